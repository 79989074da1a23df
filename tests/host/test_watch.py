from __future__ import annotations

from host import config
from host.framing import Feed
from host.loader import Loader, OrderSession
from host.watch import Watch
from tests.host.fake_card import SMALL, FakeCard
from tests.host.records import add, delete, directory, system_event


def watching(*symbols: str) -> tuple[FakeCard, Loader, Watch]:
    card = FakeCard()
    loader = Loader(card)
    configuration = config.load([], SMALL, symbols=symbols)
    loader.load(configuration, Feed(), OrderSession())
    return card, loader, Watch(loader, configuration)


def bound(card: FakeCard) -> dict[int, int]:
    """Locate by slot, of those in use."""
    rows = {slot: card.rows["feed", "bindings", slot] for slot in range(SMALL.slots)}
    return {slot: row["locate"] for slot, row in rows.items() if row["valid"]}


def test_a_directory_message_binds_its_symbol() -> None:
    card, _, watch = watching("MSFT", "AAPL")
    watch.see(directory("AAPL", 13))
    watch.see(directory("IBM", 14))
    assert bound(card) == {1: 13}
    assert watch.missing == ["MSFT"]


def test_without_directory_any_message_that_names_the_stock_binds_it() -> None:
    card, _, watch = watching("AAPL")
    watch.see(delete(13, 7))
    watch.see(add("MSFT", 12, 1, "B", 100, 10_000))
    assert bound(card) == {}
    watch.see(add("AAPL", 13, 2, "B", 100, 10_000))
    assert bound(card) == {0: 13}


def test_a_given_locate_holds_until_the_directory_says_otherwise() -> None:
    card, _, watch = watching("AAPL=13")
    watch.see(add("MSFT", 13, 1, "B", 100, 10_000))
    assert bound(card) == {0: 13}
    watch.see(directory("AAPL", 20))
    assert bound(card) == {0: 20}
    assert watch.conflicts == ["AAPL: locate 13 was given, the directory says 20, which is used"]


def test_a_given_locate_that_is_another_symbols_is_not_used() -> None:
    card, _, watch = watching("AAPL=13")
    watch.see(directory("MSFT", 13))
    assert bound(card) == {}
    assert watch.conflicts == ["AAPL: locate 13 was given, the directory says it is MSFT's; it is not used"]
    watch.see(directory("AAPL", 14))
    assert bound(card) == {0: 14}


def test_without_a_list_every_locate_gets_a_slot_until_there_are_none() -> None:
    card, loader, watch = watching()
    watch.see(system_event("O"))
    for locate in range(1, 7):
        watch.see(directory(f"S{locate}", locate))
        watch.see(directory(f"S{locate}", locate))
    assert bound(card) == {0: 1, 1: 2, 2: 3, 3: 4}
    assert list(loader.slots) == ["S1", "S2", "S3", "S4"]
    assert watch.unwatched == 2


def test_a_locate_without_a_name_gets_it_later() -> None:
    card, loader, watch = watching()
    watch.see(delete(13, 7))
    assert (bound(card), loader.symbol(0)) == ({0: 13}, "#13")
    watch.see(add("AAPL", 13, 2, "B", 100, 10_000))
    assert (bound(card), loader.symbol(0)) == ({0: 13}, "AAPL")
    assert card.rows["session", "symbols", 0] == {"symbol": int.from_bytes(b"AAPL    ", "big")}
    assert watch.locates == {"AAPL": 13}


def test_short_and_foreign_records_do_no_harm() -> None:
    card, _, watch = watching()
    for junk in (b"A", b"R\0", b"ZZZZ", directory("AAPL", 13)[:-1]):
        watch.see(junk)
    assert all(locate == 0x5A5A or locate == 13 for locate in bound(card).values())


def test_a_record_that_is_no_itch_message_takes_no_slot() -> None:
    card, _, watch = watching()
    watch.see(b"zabcdef")
    watch.see(add("AAPL", 13, 1, "B", 100, 10_000)[:-1])
    assert (bound(card), watch.unwatched) == ({}, 0)
