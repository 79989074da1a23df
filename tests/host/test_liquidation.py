"""The schedule of a liquidation, against registers that hold what was written and records made by hand."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdl.spec import itch, ouch
from hdl.spec.events import NO_PAIR
from hdl.spec.reasons import Integrity, Refusal, TradingState
from host import config
from host.config import ConfigError, Configuration, Liquidation, Slot
from host.exposure import Exposure
from host.liquidation import Liquidation as Schedule
from host.liquidation import limit_price
from host.loader import Loader
from tests.host.fake_card import SMALL, FakeCard

SYMBOLS = ("AAA", "BBB", "CCC")
MS = SMALL.clock_hz // 1_000
TOUCH = (1_000_000, 1_000_200)


class Run:
    """A schedule and the exchange's answers, which are given by hand."""

    def __init__(self, **terms: Any) -> None:
        self.card = FakeCard()
        self.loader = Loader(self.card)
        given = {"slice_shares": 100, "slippage_ticks": 3, "max_tries": 3} | terms
        configuration = Configuration(slots=tuple(Slot(symbol=each) for each in SYMBOLS), liquidation=Liquidation(**given))
        self.loader.load_slots(configuration)
        self.card.registers["risk", "trading_state"] = TradingState.ACTIVE
        self.exposure = Exposure()
        self.states = dict.fromkeys(range(SMALL.slots), Integrity.EXACT)
        self.schedule = Schedule(
            self.loader, configuration, SMALL, exposure=self.exposure, integrity=self.states.__getitem__
        )
        self.number = 0
        self.cycle = 0
        for slot in range(len(SYMBOLS)):
            self.touch(slot, *TOUCH)

    def take(self, kind: str, **values: int) -> None:
        record = {"kind": kind, "pair": NO_PAIR} | values
        self.exposure.take(record)
        self.schedule.take(record)

    def touch(self, slot: int, bid: int, ask: int) -> None:
        self.take("B", slot=slot, bid_price=bid, ask_price=ask)

    def hold(self, slot: int, shares: int) -> None:
        self.take("F", slot=slot, side=int(shares < 0), quantity=abs(shares), price=TOUCH[0], pair=0)

    def step(self, clocks: int = MS) -> tuple[str, int, int] | None:
        """Go on; the order that was written, if one was."""
        self.cycle += clocks
        self.card.rows.pop(("risk", "order", 0), None)
        self.schedule.step(self.cycle)
        row = self.card.rows.get(("risk", "order", 0))
        if row is None:
            return None
        return SYMBOLS[row["slot"]], -row["quantity"] if row["side"] else row["quantity"], row["price"]

    def answer(self, order: tuple[str, int, int], filled: int, *refusals: Refusal) -> None:
        symbol, shares, price = order
        slot, side = SYMBOLS.index(symbol), int(shares < 0)
        mask = sum(1 << reason for reason in refusals)
        self.number += not refusals
        number = 0 if refusals else self.number
        self.take("V", slot=slot, side=side, quantity=abs(shares), price=price, refusals=mask, user_ref_num=number)
        if not refusals:
            if filled:
                self.take("F", slot=slot, side=side, quantity=filled, price=price)
            self.take("S", slot=slot, user_ref_num=number, open_shares=0)


def test_slices_until_nothing_is_held() -> None:
    run = Run()
    run.hold(0, 250)
    run.hold(1, -130)
    assert run.step() is None
    run.schedule.begin(run.cycle)
    assert run.loader.trading_state is TradingState.REDUCE_ONLY
    sent = []
    for _ in range(40):
        if order := run.step(MS // 4):
            sent.append((run.cycle, *order))
            run.answer(order, abs(order[1]))
    by_symbol = {symbol: [entry for entry in sent if entry[1] == symbol] for symbol in SYMBOLS}
    assert [entry[2:] for entry in by_symbol["AAA"]] == [(-100, 999_700), (-100, 999_700), (-50, 999_700)]
    assert [entry[2:] for entry in by_symbol["BBB"]] == [(100, 1_000_500), (30, 1_000_500)]
    assert not by_symbol["CCC"] and not run.schedule.left
    for entries in by_symbol.values():
        assert all(later[0] - before[0] >= MS for before, later in zip(entries, entries[1:], strict=False))
    assert run.schedule.sent == 5 and not run.schedule.ending()


def test_it_begins_when_the_loss_was_reached_if_it_is_told_to() -> None:
    for on_loss in (True, False):
        run = Run(on_loss=on_loss)
        run.hold(0, 10)
        assert run.step() is None
        run.card.registers["risk", "loss_reached"] = 1
        # The card made itself REDUCE_ONLY.
        run.card.registers["risk", "trading_state"] = TradingState.REDUCE_ONLY
        run.step()
        assert (run.step() == ("AAA", -10, 999_700)) == on_loss
        assert run.loader.trading_state is TradingState.REDUCE_ONLY


def test_it_raises_no_state() -> None:
    run = Run()
    for state in (TradingState.HALTED, TradingState.KILLED):
        run.card.registers["risk", "trading_state"] = state
        run.loader.reduce()
        assert run.loader.trading_state is state


def test_a_slice_that_brings_nothing_is_tried_again_so_often() -> None:
    run = Run(max_tries=3)
    run.hold(0, 50)
    run.schedule.begin(0)
    first = run.step()
    assert first
    run.answer(first, 0)
    assert run.schedule.left == {"AAA": (50, "not filled")}
    second = run.step()
    assert second == first
    # A part is filled: the count begins anew.
    run.answer(second, 20)
    for _ in range(2):
        order = run.step()
        assert order == ("AAA", -30, 999_700)
        run.answer(order, 0, Refusal.COLLAR, Refusal.RATE)
    # Of the last one nothing is heard.
    assert run.step() == ("AAA", -30, 999_700)
    for _ in range(10):
        assert run.step() is None
    assert run.schedule.left == {"AAA": (30, "dropped: the gate was busy")}
    assert not run.schedule.ending()


def test_what_is_open_is_waited_for() -> None:
    run = Run()
    run.hold(0, 50)
    run.schedule.begin(0)
    order = run.step()
    assert order
    run.take("V", slot=0, side=1, quantity=50, price=order[2], refusals=0, user_ref_num=7)
    for _ in range(5):
        assert run.step() is None
    run.take("S", slot=0, user_ref_num=7, open_shares=0)
    assert run.step() == order


def test_nothing_is_sent_where_the_book_cannot_be_trusted() -> None:
    run = Run(max_tries=1)
    run.hold(2, -5)
    run.schedule.begin(0)

    def book(state: Integrity) -> None:
        run.states[2] = state

    market = {
        "its book is SUSPECT": (lambda: book(Integrity.SUSPECT), lambda: book(Integrity.EXACT)),
        "its book is locked, crossed or one-sided": (lambda: run.touch(2, 0, 5), lambda: run.touch(2, *TOUCH)),
        "it is halted": (lambda: halt(run, "H", "H"), lambda: halt(run, "H", "T")),
    }
    for reason, (spoil, heal) in market.items():
        spoil()
        for _ in range(4):
            assert run.step() is None
        assert run.schedule.left == {"CCC": (-5, reason)} and not run.schedule.ending()
        heal()
    # Two ways to be halted, each ended by itself; another market's is not ours.
    halt(run, "H", "P")
    halt(run, "h", "H")
    halt(run, "H", "T")
    assert run.step() is None
    halt(run, "h", "T")
    halt(run, "h", "H", market_code="B")
    halt(run, "H", "H", stock="OTHER")
    assert run.schedule.ending()
    assert run.step() == ("CCC", 5, 1_000_500)


def test_a_halt_that_cannot_be_read_is_one() -> None:
    """Of the symbol whose locate it has, as for the card; until the next word on it. One too short for a locate is of nobody."""
    run = Run()
    run.hold(2, -5)
    run.loader.bind(2, 7)
    run.schedule.begin(0)
    for size, locate, halts in ((-1, 7, True), (10, 7, False), (-1, 8, False)):
        told = itch.STOCK_TRADING_ACTION.pack(
            stock_locate=locate, tracking_number=0, timestamp=1, stock="CCC", trading_state="T", reserved=" ", reason=""
        )
        run.schedule.see(told[:size])
        assert run.schedule.ending() is not halts
        run.schedule.see(told)
        assert run.schedule.ending()


def halt(run: Run, kind: str, state: str, **values: str) -> None:
    layout = itch.MESSAGES[kind]
    field = "trading_state" if kind == "H" else "halt_action"
    usual = {"stock_locate": 1, "tracking_number": 0, "timestamp": 1, "reason": "", "reserved": " "}
    given = usual | {"stock": "CCC", "market_code": "Q", field: state} | values
    run.schedule.see(layout.pack(**{each.name: given[each.name] for each in layout if each.name != "type"}))


def test_symbols_take_turns() -> None:
    run = Run(interval_ms=Decimal("0.001"))
    for slot in range(3):
        run.hold(slot, 1_000)
    run.schedule.begin(0)
    orders = []
    for _ in range(9):
        order = run.step()
        assert order
        orders.append(order[0])
        run.answer(order, 100)
    assert orders == list(SYMBOLS) * 3


@given(touch=st.integers(1, ouch.HIGHEST_PRICE), ticks=st.integers(0, 255), selling=st.booleans())
def test_a_limit_is_a_price_the_exchange_takes(touch: int, ticks: int, selling: bool) -> None:
    touch -= touch % 100 if touch >= 10_000 else 0
    price = limit_price(touch, ticks, selling=selling)
    assert 1 <= price <= ouch.HIGHEST_PRICE
    assert price < 10_000 or price % 100 == 0
    assert price <= touch if selling else price >= touch
    tick = 100 if touch >= 10_000 else 1
    assert abs(price - touch) <= ticks * tick


@pytest.mark.parametrize(
    ("touch", "ticks", "sale", "purchase"),
    [(1_000_000, 5, 999_500, 1_000_500), (9_998, 5, 9_993, 10_000), (10_000, 1, 9_900, 10_100), (3, 5, 1, 8)],
)
def test_the_price_rule(touch: int, ticks: int, sale: int, purchase: int) -> None:
    assert limit_price(touch, ticks, selling=True) == sale
    assert limit_price(touch, ticks, selling=False) == purchase


def load(tmp_path: Path, *lines: str) -> Configuration:
    file = tmp_path / "way-out.toml"
    file.write_text("\n".join(['slots = [{symbol = "AAA"}]', "[liquidation]", *lines]))
    return config.load([file], SMALL)


def test_terms_are_read(tmp_path: Path) -> None:
    assert config.load([], SMALL).liquidation is None
    assert load(tmp_path).liquidation == Liquidation()
    terms = load(tmp_path, "slice_shares = 7", "interval_ms = 0.5", "max_tries = 2", "on_loss = false").liquidation
    assert terms == Liquidation(slice_shares=7, interval_ms=Decimal("0.5"), max_tries=2, on_loss=False)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("slice_shares = 0", "liquidation.slice_shares: 0 was given; allowed are 1 to 999999"),
        ("interval_ms = 0", "liquidation.interval_ms: 0 was given; allowed are 0.001 to 27487 in steps of 0.001"),
        ("slippage_ticks = 256", "liquidation.slippage_ticks: 256 was given; allowed are 0 to 255"),
        ("max_tries = 0", "liquidation.max_tries: 0 was given; allowed are 1 to 1000"),
        ("on_loss = 1", "liquidation.on_loss: 1 was given; allowed are true or false"),
        ("slices = 1", "liquidation.slices: unknown key; allowed are slice_shares, interval_ms"),
        (
            'slice_shares = 11\n[[limits]]\nsymbol = "AAA"\nmax_quantity_shares = 10',
            "liquidation.slice_shares: 11 was given; allowed are 1 to 10, AAA's max_quantity_shares",
        ),
    ],
)
def test_terms_that_cannot_be_are_named(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(ConfigError) as told:
        load(tmp_path, line)
    assert f"way-out.toml: {expected}" in "\n".join(told.value.problems)
