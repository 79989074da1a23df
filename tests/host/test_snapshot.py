from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdl.spec.reasons import Mode, OrderState, TradingState
from host import snapshot
from host.card import CardError
from host.config import ConfigError, Configuration, Slot
from host.exposure import Exposure, Line
from host.framing import Feed
from host.loader import Loader, OrderSession
from host.mirror import Mirror
from host.snapshot import OpenOrder, SlotLedger, Snapshot
from host.tally import Tally
from tests.host.fake_card import SMALL, FakeCard

HELD = SlotLedger(symbol="AAA", position=-30, cash=77, entry_shares=50, entry_notional=5_000, mark=99, shorts=40)
FLAT = SlotLedger(symbol="BBB", position=0, cash=-12, entry_shares=0, entry_notional=0, mark=0)
NOON = Snapshot(next_user_ref_num=40, trading_state="active", slots=(HELD, FLAT))
CONFIGURATION = Configuration(slots=(Slot(symbol="BBB", locate=2), Slot(symbol="AAA", locate=1)))


def loaded(card: FakeCard, configuration: Configuration = CONFIGURATION) -> Loader:
    loader = Loader(card)
    loader.load(configuration, Feed(), OrderSession())
    return loader


symbols = st.text("ABC", min_size=1, max_size=3)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    names = draw(st.lists(symbols, max_size=4, unique=True))
    orders = draw(st.lists(st.tuples(st.sampled_from(names), st.integers(0, 2), st.integers(1, 99)), max_size=5)) if names else []
    own = [
        OpenOrder(
            user_ref_num=number, symbol=symbol, pair=draw(st.none() | st.integers(0, 9)), side=snapshot.SIDES[side],
            open_shares=shares, state=draw(st.sampled_from(("sent", "live"))),
        )
        for number, (symbol, side, shares) in enumerate(orders)
    ]  # fmt: skip
    slots = []
    for name in names:
        position = draw(st.integers(-(1 << 31), (1 << 31) - 1))
        mine = [order for order in own if order.symbol == name]
        slots.append(
            SlotLedger(
                symbol=name,
                position=position,
                cash=draw(st.integers(-(1 << 63), (1 << 63) - 1)),
                entry_shares=draw(st.integers(abs(position), (1 << 40) - 1)) if position else 0,
                entry_notional=draw(st.integers(0, (1 << 56) - 1)) if position else 0,
                mark=draw(st.integers(0, (1 << 32) - 1)),
                open_buys=sum(order.open_shares for order in mine if order.side == "buy"),
                open_sells=sum(order.open_shares for order in mine if order.side != "buy"),
                orders=len(mine),
            )
        )
    state = draw(st.sampled_from(("active", "reduce_only", "halted", "killed")))
    return Snapshot(next_user_ref_num=len(own), trading_state=state, slots=tuple(slots), orders=tuple(own))


@given(found=snapshots())
def test_what_is_saved_is_what_is_loaded(tmp_path_factory: pytest.TempPathFactory, found: Snapshot) -> None:
    path = tmp_path_factory.mktemp("ledger") / "noon.json"
    snapshot.save(found, path)
    assert snapshot.load(path) == found
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_any_byte_that_is_another_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "noon.json"
    snapshot.save(NOON, path)
    whole, source = path.read_bytes(), random.Random(4)
    for _ in range(300):
        place = source.randrange(len(whole))
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << source.randrange(7)]) + whole[place + 1 :])
        if whole[place : place + 1].strip():
            with pytest.raises(ConfigError, match="noon"):
                snapshot.load(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigError, match="not JSON"):
        snapshot.load(path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"version": 2}, "version: 2 was given, allowed is 1"),
        ({"next_user_ref_num": -1}, "next_user_ref_num: -1 was given: .* greater than or equal to 0"),
        ({"next_user_ref_num": 1 << 32}, "next_user_ref_num: 4294967296 was given"),
        ({"trading_state": "on"}, "trading_state: 'on' was given: .*'active'"),
        ({"more": 1}, "more: 1 was given"),
        ({"slots": [HELD.model_dump() | {"position": 1 << 31}]}, r"slots\.0\.position: 2147483648 was given"),
        ({"slots": [HELD.model_dump() | {"position": 1.5}]}, r"slots\.0\.position: 1\.5 was given"),
        ({"slots": [HELD.model_dump() | {"position": -51}]}, r"slots\.0: AAA: entry_shares: 50 given, allowed is the position"),
        ({"slots": [FLAT.model_dump() | {"entry_shares": 1}]}, r"slots\.0: BBB: entry figures of no position; allowed is 0"),
        ({"slots": [FLAT.model_dump() | {"entry_notional": 1}]}, r"slots\.0: BBB: entry figures"),
        ({"slots": [HELD.model_dump(), HELD.model_dump()]}, "slots: AAA given more than once"),
        ({"slots": [HELD.model_dump() | {"open_buys": 5}]}, "slots: AAA: open_buys: 5 was given, its orders make 0"),
    ],
)
def test_what_is_not_allowed_is_named(tmp_path: Path, change: dict, expected: str) -> None:
    path = tmp_path / "noon.json"
    values = NOON.model_dump(mode="json") | change
    path.write_text(json.dumps(values | {"checksum": snapshot._checksum(values)}))
    with pytest.raises(ConfigError, match=f"noon.json: {expected}"):
        snapshot.load(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json: cannot be read"):
        snapshot.load(tmp_path / "none.json")


@given(fills=st.lists(st.tuples(st.integers(-9, 9).filter(bool), st.integers(1, 50)), max_size=40))
def test_the_average_is_that_of_single_shares(fills: list[tuple[int, int]]) -> None:
    """Share by share: one that brings the position to 0 ends the story, one that leads away from 0 adds to it."""
    line, position, entered = Line(), 0, []
    for signed, price in fills:
        line.fill(signed, price)
        for _ in range(abs(signed)):
            step = 1 if signed > 0 else -1
            if position * step >= 0:
                entered.append(price)
            position += step
            if position == 0:
                entered.clear()
        assert (line.shares, line.entry_shares, line.entry_notional) == (position, len(entered), sum(entered))
        average = snapshot.average_usd(line.entry_notional, line.entry_shares)
        assert average == (sum(entered) / len(entered) / 10_000 if entered else None)


def test_a_reload_is_read_back_and_the_number_goes_on() -> None:
    card = FakeCard()
    loader = loaded(card)
    loader.reload(NOON)
    entry = {"entry_notional": 5_000, "entry_shares": 50}
    assert card.views["ledger_slot", 1] == {"position": -30, "cash": 77, "shorts": 40} | entry
    assert card.views["ledger_slot", 0]["cash"] == -12
    assert [entry for entry in card.log if entry[:3] == ("row", "risk", "reload")] == [
        ("row", "risk", "reload", slot) for slot in range(SMALL.slots)
    ]
    assert card.registers["risk", "next_user_ref_num"] == 40
    loader.arm(Mode.LIVE)
    found = loader.snapshot({"AAA": 99})
    assert found.slots == (FLAT, HELD) and found.next_user_ref_num == 40 and found.trading_state == "active"
    # Also a later load goes on from there.
    with pytest.raises(CardError, match="next_user_ref_num: 39 was given, allowed is 40 or higher"):
        loader.load(CONFIGURATION, Feed(), OrderSession(next_user_ref_num=39))
    assert loader.trading_state is TradingState.ACTIVE
    loader.load(CONFIGURATION, Feed(), OrderSession(next_user_ref_num=41))


def test_what_cannot_be_reloaded_is_refused_before_anything_is_written() -> None:
    card = FakeCard()
    loader = loaded(card)
    order = OpenOrder(user_ref_num=39, symbol="AAA", pair=None, side="sell short", open_shares=5, state="live")
    open_one = NOON.model_copy(
        update={"orders": (order,), "slots": (HELD.model_copy(update={"open_sells": 5, "orders": 1}), FLAT)}
    )
    stranger = NOON.model_copy(update={"slots": (*NOON.slots, HELD.model_copy(update={"symbol": "ZZZ"}))})
    before = list(card.log)
    for found, number, expected in (
        (open_one, None, r"orders were open: 39 \(sell short 5 AAA\); .* asked of the exchange first"),
        (stranger, None, "the snapshot holds ZZZ; allowed are the symbols watched: BBB, AAA"),
        (NOON, 39, "next_user_ref_num: 39 was given, allowed is 40 or higher"),
    ):
        with pytest.raises(CardError, match=expected):
            loader.reload(found, next_user_ref_num=number)
    card.registers["risk", "orders_open"] = 2
    with pytest.raises(CardError, match="own orders are open: 2"):
        loader.reload(NOON)
    card.registers["risk", "orders_open"] = 0
    card.registers["risk", "trading_state"] = TradingState.REDUCE_ONLY
    with pytest.raises(CardError, match="the card is REDUCE_ONLY"):
        loader.reload(NOON)
    assert card.log == before and card.registers["risk", "next_user_ref_num"] == 1


def test_a_card_that_does_not_take_it_is_an_error() -> None:
    loader = loaded(FakeCard(stuck=("reload",)))
    with pytest.raises(CardError, match="refused 4 rows of the ledger"):
        loader.reload(NOON)

    class Forgetful(FakeCard):
        def write_row(self, block: str, table: str, row: int, **columns: int) -> None:
            super().write_row(block, table, row, **columns | ({"entry_shares": 51} if (table, row) == ("reload", 1) else {}))

    with pytest.raises(CardError, match="AAA: entry_shares was set to 50 and reads 51"):
        loaded(Forgetful()).reload(NOON)


def test_what_stopped_trading_before_stops_it_after() -> None:
    card = FakeCard()
    loader = loaded(card)
    loader.reload(NOON.model_copy(update={"loss_reached": True}))
    with pytest.raises(CardError, match="the loss limit was reached"):
        loader.arm(Mode.LIVE)
    assert loader.snapshot().loss_reached
    loader.rearm_loss()
    loader.arm(Mode.LIVE)

    card = FakeCard()
    loader = loaded(card)
    loader.reload(NOON.model_copy(update={"trading_state": "killed"}))
    with pytest.raises(CardError, match="the card is KILLED"):
        loader.arm(Mode.LIVE)


class Busy(FakeCard):
    """Books something before a word is read, at some of the words."""

    def __init__(self, words: range) -> None:
        super().__init__()
        self.words, self.reads = words, 0
        self.booked = self._book

    def _book(self) -> None:
        if self.reads in self.words:
            self.registers["risk", "ledger_changes"] = self.read("risk", "ledger_changes") + 1
            row = self.views.setdefault(("ledger_slot", 0), {})
            row["position"] = row["entry_shares"] = row.get("position", 0) + 1
            row["cash"] = -row["position"]
        self.reads += 1


def test_a_snapshot_is_of_one_moment() -> None:
    # Nine words of each of two symbols, and one of each slot that nobody watches.
    for first in range(20):
        card = Busy(range(first, first + 2))
        found = loaded(card).snapshot()
        assert found.slots[0].position == 2 and found.slots[0].cash == -2
    with pytest.raises(CardError, match="orders and reports kept coming"):
        loaded(Busy(range(1 << 20))).snapshot()


def test_open_orders_are_found_by_their_numbers() -> None:
    card = FakeCard()
    loader = loaded(card)
    # 16 places; the newest order is 40, and places hold what ended long ago.
    for number in range(25, 41):
        state = {26: OrderState.LIVE, 40: OrderState.SENT}.get(number, OrderState.FILLED)
        row = {"user_ref_num": number, "state": int(state), "open": 7, "slot": 1, "side": 1, "short": number % 2, "pair": 3}
        card.views["ledger_order", number % 16] = row | {"single": int(number == 40)}
    card.views["ledger_slot", 1] = {"open_sells": 14, "orders": 2}
    card.registers |= {("risk", "orders_open"): 2, ("risk", "next_user_ref_num"): 41}
    found = loader.snapshot()
    assert [(each.user_ref_num, each.pair, each.state, each.side, each.open_shares) for each in found.orders] == [
        (26, 3, "live", "sell", 7),
        (40, None, "sent", "sell", 7),
    ]


def test_shares_that_nobody_watches_are_an_error() -> None:
    card = FakeCard()
    loader = loaded(card)
    card.views["ledger_slot", 3] = {"position": -5}
    with pytest.raises(CardError, match="slot 3 holds something"):
        loader.snapshot()


def test_a_new_host_goes_on_where_the_card_is() -> None:
    card = FakeCard()
    loaded(card).reload(NOON)
    card.views["ledger_order", 41 % 16] = {"user_ref_num": 41, "state": 2, "open": 9, "slot": 1, "side": 1, "pair": 2}
    card.views["ledger_slot", 1] |= {"open_sells": 9, "orders": 1}
    card.registers |= {("risk", "orders_open"): 1, ("risk", "next_user_ref_num"): 42, ("risk", "watchdog"): 1000}
    before = list(card.log)
    loader = Loader(card)
    found = loader.adopt(CONFIGURATION)
    assert [entry for entry in card.log[len(before) :] if entry[2] != "inspect_ledger"] == []
    assert loader.slots == {"BBB": 0, "AAA": 1} and loader.watchdog == 1000
    mirror = Mirror(CONFIGURATION, loader.slots, start=found)
    assert (mirror.holdings[1].shares, mirror.holdings[1].cash, mirror.holdings[1].ledger_shares) == (-30, 77, -30)
    assert mirror.holdings[1].average_usd == 0.01
    # Of the open order what comes next is known.
    line = mirror.exposure.lines[1]
    assert line.sells == 9
    mirror.take({"kind": "S", "slot": 1, "user_ref_num": 41, "open_shares": 4, "state": 2})
    assert line.sells == 4
    with pytest.raises(CardError, match="allowed is 42 or higher"):
        loader.load(CONFIGURATION, Feed(), OrderSession())


def test_folds_go_on_from_a_snapshot_whatever_the_slots_are() -> None:
    fold = Exposure()
    fold.begin(NOON, {"AAA": 3})
    assert (fold.lines[3].shares, fold.lines[3].mark, fold.lines[3].entry_notional) == (-30, 99, 5_000)
    assert fold.sums()["pnl"] == 77 - 30 * 99
    tally = Tally(lambda _: 0, str, (), start=(NOON, {"AAA": 3, "BBB": 1}))
    assert (tally.position[3], tally.cash[3], tally.cash[1]) == (-30, 77, -12)
    assert tally.exposure.sums()["pnl"] == 77 - 30 * 99 - 12


def test_prices_of_the_host_stand_for_what_the_card_does_not_tell() -> None:
    card = FakeCard()
    loader = loaded(card)
    loader.reload(NOON)
    assert [slot.mark for slot in loader.snapshot().slots] == [0, 100]
    assert [slot.mark for slot in loader.snapshot({"AAA": 5}).slots] == [0, 5]
