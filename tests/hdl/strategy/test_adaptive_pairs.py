"""Adaptive pairs in `TradingCore`: touches, the feed's time, lost trust and new rows by hypothesis, judged in fractions."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Integrity, Miss, PairAction, TradingState
from hdl.strategy.spread_statistics import SpreadStatistics
from hdl.trading import TradingCore
from sim import poke
from tests.hdl.strategy.middle import MEAN_GRID, VARIANCE_GRID, Middle
from tests.hdl.strategy.rules import Pair, Touch, spreads
from tests.support.stepper import Fields

GEOMETRY = Geometry(slots=4, pairs=4, open_orders=16)
INTERVAL = 14
LEGS = ((0, 1), (2, 1), (0, 3))
"""Pairs by their slots: two of them share a slot, so that a change makes both due."""
LISTS = {0: (0, 2), 1: (0, 1), 2: (1,), 3: (2,)}
NAMES = (
    "decoded", "bbo", "pairs", "pair_legs", "pair_lists", "pair_index", "limits", "commit", "trading_state", "inspect",
    "integrity", "trigger_event", "mean", "accept",
)  # fmt: skip


@dataclass
class Bench:
    """The core and the rules beside it. Its gate refuses everything, so every trigger comes back and arms its pair again."""

    dut: Any
    fields: dict[str, Fields]
    pairs: dict[int, Pair] = field(default_factory=dict)
    middles: dict[int, Middle] = field(default_factory=dict)
    touches: dict[int, Touch] = field(default_factory=dict)
    integrity: list[Integrity] = field(default_factory=list)
    had: set[int] = field(default_factory=set)
    time: int = 0
    epoch: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    fired: list[tuple[int, PairAction]] = field(default_factory=list)
    """Of the last change."""

    def begin(self, rows: list[dict[str, int]]) -> None:
        dut = self.dut
        dut.reset()
        dut["sample_interval"] = INTERVAL
        self.pairs.clear()
        self.middles.clear()
        self.touches.clear()
        self.had.clear()
        self.epoch = 0
        self.time = 34_200_000_000_000
        self.counts = dict.fromkeys(("sample_taken", "sample_cut", "samples_lost"), 0)
        self.integrity = [Integrity.EXACT] * GEOMETRY.slots
        self.trust(0, Integrity.EXACT)
        dut.step(GEOMETRY.slots)
        dut["trading_state"] = int(TradingState.HALTED)
        place = 0
        for slot, entries in LISTS.items():
            self.offer("pair_lists", {"index": slot, "row": {"first": place, "count": len(entries)}})
            for pair in entries:
                self.offer("pair_index", {"index": place, "row": {"pair": pair}})
                place += 1
        for number, row in enumerate(rows):
            self.pairs[number] = Pair(row)
        for number, row in enumerate(rows):
            self.write(number, row)
        for slot, centre in CENTRES.items():
            self.change(slot, Touch(centre, 500, centre + 100, 500), 1 << INTERVAL)

    def step(self, clocks: int) -> list[tuple[int, PairAction]]:
        """Go on; gives the triggers."""
        dut, found = self.dut, []
        for _ in range(clocks):
            for name in self.counts:
                self.counts[name] += dut[name]
            if dut["trigger_event__valid"]:
                record = self.fields["trigger_event"].unpack(dut["trigger_event__payload"])
                found.append((record["pair"], PairAction(record["action"])))
            dut.step()
        return found

    def offer(self, name: str, payload: Any) -> None:
        self.dut[f"{name}__payload"], self.dut[f"{name}__valid"] = self.fields[name].pack(payload), 1
        self.step(1)
        self.dut[f"{name}__valid"] = 0

    def write(self, number: int, row: dict[str, int]) -> None:
        """A pair begins anew, with a new set in which it alone is another."""
        self.pairs[number] = Pair(row)
        self.dut["trading_state"] = int(TradingState.HALTED)
        self.offer("pair_legs", {"index": number, "row": {name: row[name] for name in ("slot_a", "slot_b")}})
        self.dut["trading_state"] = int(TradingState.ACTIVE)
        for slot in range(GEOMETRY.slots):
            self.offer("limits", {"index": slot, "row": {}})
            assert self.step(3) == []
        for index in range(GEOMETRY.pairs):
            values = self.pairs[index].row if index in self.pairs else {}
            values = {name: value for name, value in values.items() if name not in ("slot_a", "slot_b")}
            self.offer("pairs", {"index": index, "row": values})
        self.epoch += 1
        self.offer("commit", self.epoch)
        assert self.step(12) == []
        assert self.dut["epoch"] == self.epoch
        for pair in self.pairs.values():
            # Of the set before; the next sample brings others.
            pair.found = {}
        self.middles[number] = Middle(row["alpha_shift"], row["k_entry"], row["k_exit"], row["warmup"])

    def trust(self, slot: int, state: Integrity) -> None:
        self.integrity[slot] = state
        self.dut["integrity"] = self.fields["integrity"].pack([int(each) for each in self.integrity])

    def change(self, slot: int, touch: Touch, later: int) -> None:
        """A touch changed, so many ns later; what the core makes of it has to be what the rules do."""
        window, self.time = self.time >> INTERVAL, self.time + later
        if self.time >> INTERVAL != window:
            self.had.clear()
        self.touches[slot] = touch
        expected: list[tuple[int, PairAction]] = []
        sampled: list[int] = []
        for number in LISTS[slot]:
            pair = self.pairs[number]
            legs = [pair.row["slot_a"], pair.row["slot_b"]]
            if not all(leg in self.touches and self.touches[leg].two_sided for leg in legs):
                continue
            if any(self.integrity[leg] != Integrity.EXACT for leg in legs):
                continue
            a, b = (self.touches[leg] for leg in legs)
            outcome = pair.evaluate(a, b, 0)
            if isinstance(outcome, PairAction):
                if expected:
                    pair.dropped()  # The gate is at work on the first.
                else:
                    expected.append((number, outcome))
                    pair.came_back()
            else:
                assert outcome in (None, Miss.SIZE, Miss.MAX_UNITS)
            if pair.sampled(a, b) and number not in self.had:
                self.had.add(number)
                self.middles[number].sample(*spreads(pair.row, a, b))
                sampled.append(number)
        self.offer("accept", {"slot": slot})
        self.step(5)
        self.offer("bbo", {"slot": slot, "touch": touch._asdict(), "timestamp": self.time})
        self.fired = self.step(3 * SpreadStatistics.latency(15))
        assert self.fired == expected
        for number in sampled:
            if (middle := self.middles[number]).warm:
                self.pairs[number].found = middle.thresholds()

    def agrees(self) -> None:
        for number, middle in self.middles.items():
            self.offer("inspect", number)
            self.step(SpreadStatistics.latency(15))
            assert self.dut["inspected"] == number
            assert self.dut["samples"] == middle.samples
            if middle.samples:
                mean = self.fields["mean"].unpack(self.dut["mean"])
                assert (mean * MEAN_GRID, self.dut["variance"] * VARIANCE_GRID) == (middle.mean, middle.variance)
        assert self.counts["samples_lost"] == 0


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    component = TradingCore(geometry=GEOMETRY)
    fields = {}
    for path, member, _ in component.signature.flatten(component):
        if path[0] in NAMES and path[-1] not in ("valid", "ready"):
            fields[str(path[0])] = Fields(member.shape)
    with poke.build(component, name="trading_core", inside=False) as dut:
        yield Bench(dut, fields)


weights = st.sampled_from([1 << 12, 3 << 11, 1_234, (1 << 18) - 1])
factors = st.sampled_from([4, 8, 12, 16, 24])
rows = st.fixed_dictionaries(
    {
        "weight_a": weights,
        "weight_b": weights,
        "alpha_shift": st.integers(1, 4),
        "k_entry": factors,
        "k_exit": st.integers(0, 12),
        "warmup": st.sampled_from([1, 2, 2, 3, 5]),
        "adaptive": st.sampled_from([1, 1, 1, 1, 0]),
        "max_units": st.sampled_from([0, 1, 255]),
    }
)
CENTRES = {0: 1_000_000, 1: 500_000, 2: 9_900, 3: 1_999_000_000}


@st.composite
def touches(draw: st.DrawFn) -> tuple[int, Touch]:
    """A touch near its slot's price, mostly in order, sometimes locked, crossed or one-sided."""
    slot = draw(st.integers(0, 3))
    bid = CENTRES[slot] + 100 * draw(st.integers(-40, 40)) // (100 if slot == 2 else 1)
    ask = bid + draw(st.sampled_from([100, 100, 300, 1_000, 0, -100]))
    shares = draw(st.sampled_from([500, 500, 99]))
    empty = draw(st.sampled_from([0] * 12 + [1, 2]))
    return slot, Touch(0 if empty == 1 else bid, shares, 0 if empty == 2 else ask, 500)


later = st.sampled_from([1, 1_000, (1 << INTERVAL) - 1, 1 << INTERVAL, 3 << INTERVAL, 1 << 32])
changes = st.tuples(touches(), later)
trust = st.tuples(st.integers(0, 3), st.sampled_from([Integrity.EXACT, *Integrity]))
steps = st.one_of(*[changes] * 12, trust, st.tuples(st.integers(0, 2), rows))


def row_of(number: int, changes: dict[str, int]) -> dict[str, int]:
    slot_a, slot_b = LEGS[number]
    row = {"slot_a": slot_a, "slot_b": slot_b, "enabled": 1, "size_a": 100, "size_b": 100, "slippage": 1, "max_triggers": 0}
    return row | {"upper": 1 << 31, "lower": -(1 << 31), "exit_short": 0, "exit_long": 0} | changes


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.tuples(rows, rows, rows), story=st.lists(steps, min_size=60, max_size=90))
def test_every_trigger_and_every_sample_is_what_the_rules_say(
    bench: Bench, first: tuple[dict[str, int], ...], story: list[tuple[Any, Any]]
) -> None:
    bench.begin([row_of(number, row) for number, row in enumerate(first)])
    for what, how in story:
        if isinstance(what, tuple):
            bench.change(*what, how)
        elif isinstance(how, Integrity):
            bench.trust(what, how)
        else:
            bench.write(what, row_of(what, how))
    bench.agrees()


def test_the_stories_are_not_idle(bench: Bench) -> None:
    """One of them by hand: the thresholds of a wandering spread are reached, again and again, on both sides."""
    rng = random.Random(3)
    seen: Counter[PairAction] = Counter()
    rule = {"weight_a": 1 << 12, "weight_b": 1 << 12, "alpha_shift": 3, "k_entry": 16, "k_exit": 4, "warmup": 4, "max_units": 1}
    bench.begin([row_of(number, rule | {"adaptive": 1}) for number in range(3)])
    bid = CENTRES[0]
    for _ in range(150):
        bid += 100 * rng.randint(-4, 4)
        bench.change(0, Touch(bid, 500, bid + 100, 500), 1 << INTERVAL)
        seen.update(action for _, action in bench.fired)
    bench.agrees()
    assert min(seen[action] for action in (PairAction.SELL_SPREAD, PairAction.BUY_SPREAD)) > 10, seen
