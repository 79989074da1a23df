"""Two lines that lose, reorder, double, damage and cut packets: best bids and offers as if nothing had happened."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any

import pytest

from hdl.spec import events
from hdl.spec.geometry import PRESETS
from hdl.spec.reasons import Integrity, IntegrityCause
from host.config import FeedTable
from host.framing import Feed, Framer
from host.loader import Loader, OrderSession
from host.stimulus import wire_cycles
from sim.card import SimulatedCard
from tests.support.desk import CONFIGURATION, DOLLAR, Market

FEED = Feed(address_b=int(IPv4Address("233.54.12.112")), port_b=26478)
_RECORDS = 40
"""Clocks in which the records of one message leave the event port."""
RING = PRESETS["versa"].ring_messages


@dataclass(frozen=True)
class Packet:
    """Messages `first` to `behind` - 1 on a line, 0 (A) or 1 (B); its frame cut to so many bytes or its check sequence wrong."""

    line: int
    first: int
    behind: int
    bad: bool = False
    cut: int = 0


def day(seed: int = 1, count: int = 400) -> list[bytes]:
    """Orders of two stocks that come, trade, are replaced and go."""
    rng, market = random.Random(seed), Market()
    made, live = list(market.opening()), []
    while len(made) < count:
        code = rng.choice("AFEXDDU" if len(live) > 8 else "AAFEXDU") if live else "A"
        if code in "AF":
            symbol, side = rng.choice(("AAA", "BBB")), rng.choice("BS")
            middle = 100.5 if symbol == "AAA" else 50.01
            price = round(middle + rng.randint(-3, 3) / 100, 2)
            reference, raw = market.add(symbol, side, rng.randint(10, 90) * 100, price, code=code)
            live.append((symbol, reference))
        else:
            symbol, reference = rng.choice(live)
            if code in "DU":
                live.remove((symbol, reference))
            values: dict[str, Any] = {"order_ref": reference, "executed_shares": 10, "cancelled_shares": 10}
            if code == "U":
                new = market.add(symbol, "B", 1, 1.0)[0]
                live.append((symbol, new))
                price = round((100.5 if symbol == "AAA" else 50.01) * DOLLAR / 100) * 100
                values = {"orig_order_ref": reference, "new_order_ref": new, "shares": 3_000, "price": price}
            raw = market.message(code, symbol, **values)
        made.append(raw)
    return made


DAY = day()
LAST = len(DAY) + 1


def packets(seed: int, line: int, first: int = 1, behind: int = LAST) -> list[Packet]:
    """The day in packets of one to twelve messages."""
    rng, made = random.Random(seed), []
    while first < behind:
        end = min(behind, first + rng.randint(1, 12))
        made.append(Packet(line, first, end))
        first = end
    return made


def both(*, seed: int = 1, late: int = 3) -> Iterator[Packet]:
    """Line A, and B by other borders and a few packets behind."""
    a, b = packets(seed, 0), packets(seed + 1, 1)
    order = sorted([(each.first, each) for each in a] + [(each.first + late * 6, each) for each in b], key=lambda each: each[0])
    return (each for _, each in order)


class Run:
    """A card that was given packets, and what it said."""

    def __init__(
        self, card: SimulatedCard, *, hold: bool = False, wait_us: int = 50, recover: bool = False, pairs: bool = True
    ) -> None:
        self.card = card
        configuration = replace(CONFIGURATION, feed=FeedTable(gap_wait_us=Decimal(wait_us), recover=recover))
        configuration = configuration if pairs else replace(configuration, pairs=())
        self.loader = Loader(card)
        self.loader.load(configuration, FEED, OrderSession(), hold_until_fcs=hold)
        self._framers = [Framer(FEED), Framer(Feed(address=FEED.address_b, port=FEED.port_b))]
        self.rows: list[tuple[Any, ...]] = []
        self.exact: list[tuple[Any, ...]] = []
        self.gaps: list[tuple[int, int]] = []
        self.changes: list[tuple[Integrity, IntegrityCause]] = []
        card.events()

    def give(self, *given: Packet) -> None:
        """Send packets, each as soon as the one before is in and, at eight bytes a clock, its records can be out."""
        at = self.card.cycle
        for packet in given:
            framer = self._framers[packet.line]
            framer.next_sequence = packet.first
            frame = framer.packet(DAY[packet.first - 1 : packet.behind - 1])
            if packet.cut:
                self.card.send(frame[: packet.cut], at=at)
            else:
                self.card.send(frame, fcs=0 if packet.bad else None, at=at)
            if self.card.geometry.width == 8:
                at += _RECORDS * (packet.behind - packet.first)
        self.rest()

    def give_at_once(self, line: int, first: int, behind: int, *, at: int = 0) -> int:
        """Queue a packet right behind the one before, or at a clock; the clocks it takes on the wire."""
        framer = self._framers[line]
        framer.next_sequence = first
        frame = framer.packet(DAY[first - 1 : behind - 1])
        self.card.send(frame, at=at)
        return wire_cycles(frame)

    def heartbeat(self, number: int = LAST, *, line: int = 0) -> None:
        """Tell the number of the next message."""
        self._framers[line].next_sequence = number
        self.card.send(self._framers[line].packet([]))
        self.rest()

    def rest(self, clocks: int = 0) -> None:
        """Until the card is quiet, and then so many clocks more."""
        self.card.run_until_idle(limit=3_000_000)
        self.card.run(clocks)
        for record in self.card.events():
            if record["kind"] == events.BBO.code:
                names = ("sequence", "slot", "bid_price", "bid_shares", "ask_price", "ask_shares")
                row = tuple(record[name] for name in names)
                self.rows.append(row)
                if record["integrity"] == Integrity.EXACT:
                    self.exact.append(row)
            elif record["kind"] == events.GAP.code:
                self.gaps.append((record["first"], record["next"]))
            elif record["kind"] == events.INTEGRITY.code:
                self.changes.append((Integrity(record["integrity"]), IntegrityCause(record["cause"])))

    def status(self, name: str) -> int:
        """A counter."""
        return self.card.read("status", name)

    def drop(self, name: str) -> int:
        """A count of what was not used."""
        return self.card.read_rows("status", "drop")[name]


@pytest.fixture(scope="module")
def undisturbed() -> list[tuple[Any, ...]]:
    """Best bids and offers of the day."""
    with SimulatedCard(PRESETS["versa"]) as card:
        run = Run(card)
        run.give(*packets(1, 0))
        assert not run.gaps and not run.changes and len(run.rows) > 100
        return run.rows


def lossy(seed: int) -> Iterator[Packet]:
    """Either line loses what the other one brings: of one place never both."""
    rng = random.Random(seed)
    for packet in both(seed=seed):
        if rng.random() < 0.3 and (packet.first // 40 + packet.line) % 2:
            continue
        yield packet


def reordered(seed: int) -> Iterator[Packet]:
    """Packets of both lines some places later than they were sent."""
    rng = random.Random(seed)
    given = list(both(seed=seed))
    yield from (given[at] for _, at in sorted((at + rng.random() * 5, at) for at in range(len(given))))


def doubled(seed: int) -> Iterator[Packet]:
    """Every packet twice, now and then a third time much later."""
    rng, seen = random.Random(seed), []
    for packet in both(seed=seed):
        seen.append(packet)
        yield from (packet, packet, rng.choice(seen))


def damaged(seed: int) -> Iterator[Packet]:
    """As `lossy`, but what is lost there comes with a wrong check sequence or cut here."""
    rng = random.Random(seed)
    for packet in both(seed=seed):
        if rng.random() < 0.3 and (packet.first // 40 + packet.line) % 2:
            yield replace(packet, bad=True) if rng.random() < 0.5 else replace(packet, cut=rng.randint(64, 90))
        else:
            yield packet


@pytest.mark.parametrize("schedule", [lossy, reordered, doubled, damaged], ids=lambda each: each.__name__)
def test_what_one_line_brings_in_time_is_enough(
    card: SimulatedCard, undisturbed: list[tuple[Any, ...]], schedule: Callable[[int], Iterator[Packet]]
) -> None:
    """Not a message is missing and nothing is SUSPECT; damaged frames where packets are used only when they were good."""
    run = Run(card, hold=schedule is damaged)
    run.give(*schedule(7))
    # At eight bytes a clock the ring gives messages faster than records can leave: some are lost, and counted.
    told = [row for row in undisturbed if row in set(run.rows)]
    assert run.rows == told == run.exact
    assert run.status("bbo_changes") == len(undisturbed)
    assert told == undisturbed or (card.geometry.width == 8 and run.status("events_lost"))
    assert not run.gaps and not run.changes
    assert run.card.read("feed", "next_sequence") == run.card.read("feed", "highest") == LAST
    assert run.status("duplicates_a") + run.status("duplicates_b") > 50
    assert run.drop("beyond") == 0


def test_while_exact_nothing_is_wrong(card: SimulatedCard, undisturbed: list[tuple[Any, ...]]) -> None:
    """Cut through: what a bad frame brought counts as missing, and nothing is EXACT from then on."""
    run = Run(card)
    run.give(*damaged(7))
    assert run.changes[0] == (Integrity.SUSPECT, IntegrityCause.LOST_AFTER_USE)
    assert run.exact == undisturbed[: len(run.exact)]
    assert 0 < len(run.exact) < len(undisturbed)


HOLES = {"early": (50, 60), "a_replace": (0, 0), "at_the_close": (LAST - 5, LAST), "beyond_the_ring": (100, 100 + RING + 20)}


def hole(name: str) -> tuple[int, int]:
    """Numbers lost on both lines."""
    if name == "a_replace":
        at = next(number for number, raw in enumerate(DAY, 1) if number > 150 and raw[:1] == b"U")
        return at, at + 1
    return HOLES[name]


@pytest.mark.parametrize("name", HOLES)
def test_a_gap_is_declared_after_the_wait(card: SimulatedCard, undisturbed: list[tuple[Any, ...]], name: str) -> None:
    first, behind = hole(name)
    run = Run(card)
    run.give(*packets(3, 0, 1, first), *packets(4, 1, 1, first))
    if behind < LAST:
        run.give(*packets(5, 0, behind, behind + 1))
    else:
        run.heartbeat(behind)
    assert not run.gaps or name == "beyond_the_ring"
    run.rest(10_000)
    assert run.gaps == [(first, behind)]
    run.give(*packets(5, 0, behind + 1))
    assert run.changes == [(Integrity.SUSPECT, IntegrityCause.GAP)] or run.changes[0] == (Integrity.SUSPECT, IntegrityCause.GAP)
    assert run.exact == [row for row in undisturbed if row[0] < first]
    assert run.card.read("feed", "next_sequence") == run.card.read("feed", "highest") == LAST


@pytest.mark.parametrize("name", HOLES)
def test_after_recovery_the_book_is_exact_message_for_message(
    card: SimulatedCard, undisturbed: list[tuple[Any, ...]], name: str
) -> None:
    """Lost on both lines, sent again later while live packets go on: everything is applied once and in order."""
    first, behind = hole(name)
    run = Run(card, recover=True, wait_us=5)
    live = packets(5, 0, behind, min(LAST, behind + 60))
    run.give(*packets(3, 0, 1, first), *packets(4, 1, 1, first), *live)
    if not live:
        run.heartbeat(behind)
    run.rest(2_000)
    assert run.gaps[0][0] == first
    assert run.changes == [(Integrity.SUSPECT, IntegrityCause.GAP)]
    assert run.rows == [row for row in undisturbed if row[0] < first]
    later = packets(6, 0, behind + 60)
    for number, again in enumerate(packets(8, 1, first, behind)):
        run.give(*later[number : number + 1], again)
    # What was too far ahead for the ring is asked for like the rest.
    while (number := run.loader.next_sequence) < run.loader.highest:
        run.give(*packets(9, 1, number, min(run.loader.highest, number + 10)))
    run.give(*later)
    run.rest(2_000)
    assert run.changes == [(Integrity.SUSPECT, IntegrityCause.GAP), (Integrity.EXACT, IntegrityCause.RECOVERED)]
    assert run.status("recovered") == 1
    assert run.rows == undisturbed
    assert {row[0] for row in run.exact} < {row[0] for row in undisturbed} or name == "at_the_close"
