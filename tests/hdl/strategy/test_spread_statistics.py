"""`SpreadStatistics` against fractions: every sample, every threshold, time by the feed, and what too much of it costs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hdl.spec.geometry import Geometry
from hdl.spec.statistics import Statistics
from hdl.strategy.spread_statistics import SpreadStatistics
from sim import poke
from tests.hdl.strategy.middle import DEVIATION_GRID, MEAN_GRID, VARIANCE_GRID, Middle
from tests.support.stepper import Fields

GEOMETRY = Geometry(slots=8, pairs=64)
HIGHEST = (1 << 50) - (1 << 33)
"""Nearly the highest spread: the largest weight and the highest price, nothing taken off."""
CLOCKS = (*range(2, 14), *range(54, 66), *range(122, 136), *range(178, 190), *range(246, 262), *range(300, 390, 11))
"""Around everything that begins or ends at work on three samples, and some in between."""
RULE = {"alpha_shift": 3, "k_entry": 32, "k_exit": 8, "warmup": 3}


@dataclass
class Bench:
    """The component, the rules beside it, and what came out of it."""

    dut: Any
    fields: dict[str, Fields]
    pairs: dict[int, Middle] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {"taken": 0, "cut": 0, "lost": 0})
    published: list[tuple[int, int, dict[str, int]]] = field(default_factory=list)
    time: int = 0

    def begin(self, interval: int = 10) -> None:
        self.dut.reset()
        self.dut["interval"], self.dut["thresholds__ready"] = interval, 1
        self.pairs.clear()
        self.published.clear()
        self.counts = dict.fromkeys(self.counts, 0)
        self.time = 0
        self.step(3)

    def step(self, clocks: int = 1) -> None:
        dut = self.dut
        for _ in range(clocks):
            for name in self.counts:
                self.counts[name] += dut[name]
            if dut["thresholds__valid"] and dut["thresholds__ready"]:
                value = self.fields["thresholds"].unpack(dut["thresholds__payload"])
                self.published.append((dut.cycle, value["pair"], value["thresholds"]))
            dut.step()

    def offer(self, name: str, payload: Any, *, clocks: int = 1) -> None:
        self.dut[f"{name}__payload"], self.dut[f"{name}__valid"] = self.fields[name].pack(payload), 1
        self.step()
        self.dut[f"{name}__valid"] = 0
        self.step(clocks - 1)

    def write(self, pair: int, rule: dict[str, int] | None = None) -> None:
        """A pair begins anew, by the same rule in both banks."""
        rule = rule or RULE
        for _ in range(2):
            # Whoever takes the thresholds takes none in the clock of a row.
            self.dut["thresholds__ready"] = 0
            self.offer("pairs", {"index": pair, "row": rule | {"adaptive": 1}})
            self.dut["bank"] ^= 1
        self.offer("restart", {"pair": pair})
        self.dut["thresholds__ready"] = 1
        self.pairs[pair] = Middle(**rule)

    def window(self, windows: int = 1) -> None:
        """A touch changed, so many windows on."""
        self.time += windows << self.dut["interval"]
        self.offer("timestamp", self.time, clocks=3)

    def sample(self, pair: int, sell: int, buy: int) -> None:
        self.offer("sample", {"pair": pair, "sell": sell, "buy": buy})

    def rest(self, samples: int = SpreadStatistics.QUEUE + 1) -> None:
        """Wait until so many samples are through."""
        self.step((samples + 1) * SpreadStatistics.latency(15))

    def inspect(self, pair: int) -> tuple[Fraction, Fraction, int]:
        self.offer("inspect", pair)
        assert self.dut["inspected"] == 0xFFFF
        self.step(SpreadStatistics.latency(15))
        assert self.dut["inspected"] == pair
        mean = self.fields["mean"].unpack(self.dut["mean"])
        return mean * MEAN_GRID, self.dut["variance"] * VARIANCE_GRID, self.dut["samples"]

    def agrees(self, pair: int) -> None:
        rules = self.pairs[pair]
        assert self.inspect(pair) == (rules.mean, rules.variance, rules.samples)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    component = SpreadStatistics(geometry=GEOMETRY)
    fields = {}
    for path, member, _ in component.signature.flatten(component):
        if path[-1] not in ("valid", "ready"):
            fields[str(path[0])] = Fields(member.shape)
    with poke.build(component, name="spread_statistics") as dut:
        yield Bench(dut, fields)


def feed(bench: Bench, pair: int, sell: int, buy: int) -> list[dict[str, int]]:
    """One sample in a window of its own, taken over by both; gives the thresholds that came."""
    bench.window()
    bench.sample(pair, sell, buy)
    bench.pairs[pair].sample(sell, buy)
    rule = bench.pairs[pair]
    seen = len(bench.published)
    bench.step(SpreadStatistics.latency(rule.alpha_shift) + 1)
    found = bench.published[seen:]
    assert all(number == pair for _, number, _ in found)
    return [thresholds for _, _, thresholds in found]


@pytest.mark.parametrize("scale", [1 << 8, 1 << 24, 1 << 34, 1 << 40])
def test_a_wandering_spread(bench: Bench, scale: int) -> None:
    rng = random.Random(scale)
    bench.begin()
    bench.write(6, RULE)
    middle, value = bench.pairs[6], 0
    for _ in range(40):
        value += rng.randint(-scale, scale)
        found = feed(bench, 6, value, value + rng.randrange(1_000))
        assert found == ([middle.thresholds()] if middle.warm else [])
    bench.agrees(6)
    assert bench.counts == {"taken": 40, "cut": middle.cuts, "lost": 0}
    assert bool(middle.cuts) == (scale >= 1 << 34)


def test_a_deviation_at_the_edge_is_not_cut(bench: Bench) -> None:
    """From a mean of 0, the furthest sample either way, and the first beyond."""
    # Of a sample's 2**16 parts the mean keeps all: 2**52 parts are 2**36 in a sample.
    for sample, cut in (((1 << 36) - 1, 0), (1 << 36, 1), (-(1 << 36) + 1, 0), (-(1 << 36), 1), (-(1 << 36) - 1, 1)):
        bench.begin()
        bench.write(6, RULE | {"warmup": 1})
        feed(bench, 6, 0, 0)
        assert feed(bench, 6, sample, 0) == [bench.pairs[6].thresholds()]
        bench.agrees(6)
        assert bench.counts["cut"] == cut == bench.pairs[6].cuts


spread = st.integers(-HIGHEST, HIGHEST)
near = st.integers(-(1 << 24), 1 << 24)
edges = st.sampled_from([0, 1, -1, 4096, (1 << 35) - 1, 1 << 35, (1 << 35) + 1, -(1 << 35), -(1 << 35) - 1, HIGHEST, -HIGHEST])
rules = st.fixed_dictionaries(
    {
        "alpha_shift": st.integers(0, 15),
        "k_entry": st.integers(0, 255),
        "k_exit": st.integers(0, 255),
        "warmup": st.integers(0, 6),
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rule=rules,
    centre=st.one_of(spread, edges),
    moves=st.lists(st.tuples(st.one_of(near, edges), st.integers(0, 1 << 20)), min_size=1, max_size=12),
)
def test_every_sample_and_threshold_agrees_with_fractions(
    bench: Bench, rule: dict[str, int], centre: int, moves: list[tuple[int, int]]
) -> None:
    bench.begin()
    bench.write(5, rule)
    middle = bench.pairs[5]
    own = Statistics()
    for move, width in moves:
        sell = max(-HIGHEST, min(HIGHEST, centre + move))
        buy = min(HIGHEST, sell + width)
        found = feed(bench, 5, sell, buy)
        own = own.after(sell + buy, alpha_shift=rule["alpha_shift"])
        expected = [middle.thresholds()] if middle.warm else []
        assert found == expected
        # What the host shows is the same once more.
        assert [vars(own.thresholds(k_entry=rule["k_entry"], k_exit=rule["k_exit"]))] * middle.warm == expected
        assert (own.mean * MEAN_GRID, own.variance * VARIANCE_GRID, own.samples) == (middle.mean, middle.variance, middle.samples)
    bench.agrees(5)
    assert bench.counts == {"taken": len(moves), "cut": middle.cuts, "lost": 0}


@settings(max_examples=80, deadline=None)
@given(rule=rules, values=st.lists(st.tuples(near, st.integers(0, 1 << 20)), min_size=2, max_size=16), probe=st.integers(-40, 40))
def test_thresholds_are_the_squares_of_the_design(rule: dict[str, int], values: list[tuple[int, int]], probe: int) -> None:
    """No entry where the squares say none; and none is missed that is more than the rounding of sigma inside."""
    middle = Middle(**rule)
    for sell, width in values:
        middle.sample(sell, sell + width)
    for name, step in (("upper", 1), ("lower", -1)):
        at = middle.thresholds()[name] + probe
        reached, by_squares = middle.reached(at)[name], middle.outside(at)[name]
        assert by_squares or not reached
        slack = Fraction(rule["k_entry"], 16) * DEVIATION_GRID + 1
        assert middle.reached(at + step * -(-slack // 1))[name] or not by_squares


def test_the_rounded_mean_and_variance_stay_near_the_exact_ones() -> None:
    """A thousand samples without any rounding beside the rounded ones."""
    shift = 6
    middle, mean, variance = Middle(shift, 32, 8, 1), None, Fraction(0)
    alpha, value = Fraction(1, 1 << shift), 500 << 12
    for number in range(1_000):
        value += (number * 7919) % 8191 - 4095
        middle.sample(value - 2048, value + 2047)
        exact = value - Fraction(1, 2)
        if mean is None:
            mean = exact
            continue
        deviation = exact - mean
        # Denominators double with every sample; a bound far below any grid keeps them in hand.
        mean = (mean + alpha * deviation).limit_denominator(1 << 60)
        variance = ((1 - alpha) * (variance + alpha * deviation**2)).limit_denominator(1 << 60)
    assert mean is not None
    assert abs(middle.mean - mean) < 2 * (MEAN_GRID * (1 << shift))
    assert abs(middle.variance - variance) < variance / 1_000


@pytest.mark.parametrize("shift", [0, 1, 7, 15])
def test_latency_to_the_clock(bench: Bench, shift: int) -> None:
    bench.begin()
    bench.write(9, RULE | {"alpha_shift": shift, "warmup": 2})
    feed(bench, 9, 100, 200)
    bench.window()
    at = bench.dut.cycle
    bench.sample(9, 900, 1_000)
    bench.pairs[9].sample(900, 1_000)
    bench.step(400)
    assert [(cycle - at, pair) for cycle, pair, _ in bench.published] == [(SpreadStatistics.latency(shift), 9)]


def test_one_sample_a_window(bench: Bench) -> None:
    bench.begin(interval=20)
    bench.write(1)
    bench.write(2)
    for moved, taken in ((0, 2), (1, 2), ((1 << 20) - 2, 2), ((1 << 20) - 1, 2), (1 << 20, 4), ((1 << 21) - 1, 4), (1 << 40, 6)):
        bench.offer("timestamp", moved, clocks=3)
        for pair in (1, 2, 1):
            bench.sample(pair, moved % 977, moved % 977 + 5)
        bench.rest(2)
        assert bench.counts["taken"] == taken
    for pair in (1, 2):
        for moved in (0, 1 << 20, 1 << 40):
            bench.pairs[pair].sample(moved % 977, moved % 977 + 5)
        bench.agrees(pair)


def test_a_window_begins_with_the_evaluations_of_its_touch(bench: Bench) -> None:
    """Samples of the touch before come until two clocks after the new one, those of it three clocks after or later."""
    for gap, taken in ((1, 1), (2, 1), (3, 2), (4, 2)):
        bench.begin()
        bench.write(1)
        bench.offer("timestamp", 0, clocks=4)
        bench.sample(1, 5, 5)
        bench.offer("timestamp", 1 << 10, clocks=gap)
        bench.sample(1, 7, 7)
        bench.rest(2)
        assert bench.counts["taken"] == taken, gap


def test_an_interval_of_48_has_one_window(bench: Bench) -> None:
    bench.begin(interval=48)
    bench.write(1)
    for moved in (0, 1 << 47, (1 << 48) - 1):
        bench.offer("timestamp", moved, clocks=3)
        bench.sample(1, 5, 5)
    bench.rest(3)
    assert bench.counts["taken"] == 1


def test_samples_beyond_the_queue_are_counted_and_come_again(bench: Bench) -> None:
    bench.begin()
    rule = RULE | {"warmup": 1}
    for pair in range(40):
        bench.write(pair, rule)
    bench.window()
    for pair in range(40):
        bench.sample(pair, pair, pair)
    # One at work, a queue behind it.
    room = SpreadStatistics.QUEUE + 1
    bench.step()
    assert bench.counts["lost"] == 40 - room
    bench.rest()
    assert bench.counts["taken"] == room
    assert [pair for _, pair, _ in bench.published] == list(range(room))
    # In the same window those that had found no room are taken, the others are not due.
    for pair in range(40):
        bench.sample(pair, 1_000 + pair, 1_000 + pair)
        bench.step(SpreadStatistics.latency(15))
    bench.rest()
    assert bench.counts["taken"] == 40 and bench.counts["lost"] == 40 - room
    assert [pair for _, pair, _ in bench.published] == list(range(40))


def test_rate_with_work_waiting(bench: Bench) -> None:
    bench.begin()
    for pair in range(10):
        bench.write(pair, RULE | {"alpha_shift": 15, "warmup": 1})
    for start in (0, 500):
        bench.window()
        bench.published.clear()
        for pair in range(10):
            bench.sample(pair, start, start)
        bench.rest(10)
    clocks = [cycle for cycle, _, _ in bench.published]
    assert {later - earlier for earlier, later in zip(clocks, clocks[1:], strict=False)} == {SpreadStatistics.latency(15) - 1}


def test_thresholds_wait_until_they_are_taken(bench: Bench) -> None:
    bench.begin()
    bench.write(3, RULE | {"warmup": 1})
    bench.dut["thresholds__ready"] = 0
    assert feed(bench, 3, 10, 20) == []
    bench.step(100)
    bench.dut["thresholds__ready"] = 1
    bench.step(2)
    assert [pair for _, pair, _ in bench.published] == [3]


@pytest.mark.parametrize("rewritten", [6, 7])
def test_a_row_written_at_any_clock_leaves_nothing_half_done(bench: Bench, rewritten: int) -> None:
    """Pair 6 is at work, 7 and 8 wait. Whatever the clock of the write: the row's pair knows nothing afterwards and gives no
    thresholds of before, and of every other pair a sample is taken whole, or lost and counted."""
    rule = RULE | {"warmup": 1, "alpha_shift": 2}
    for gap in CLOCKS:
        bench.begin()
        for pair in (6, 7, 8):
            bench.write(pair, rule)
        for value in (100, 5_000):
            bench.window()
            for pair in (6, 7, 8):
                bench.sample(pair, value, value + pair)
            if value == 100:
                bench.rest(3)
        for pair in (6, 7, 8):
            bench.pairs[pair].sample(100, 100 + pair)
        bench.published.clear()
        bench.counts = dict.fromkeys(bench.counts, 0)
        bench.step(gap - 1)
        at = bench.dut.cycle
        bench.write(rewritten, rule | {"k_entry": 77})
        bench.rest(3)
        assert bench.counts["taken"] + bench.counts["lost"] == 3
        assert all(pair != rewritten or cycle < at for cycle, pair, _ in bench.published)
        assert bench.inspect(rewritten)[2] == 0
        whole = 0
        for pair in {6, 7, 8} - {rewritten}:
            middle = bench.pairs[pair]
            if bench.inspect(pair)[2] == 2:
                whole += 1
                middle.sample(5_000, 5_000 + pair)
                assert [found for _, number, found in bench.published if number == pair] == [middle.thresholds()]
            else:
                assert all(number != pair for _, number, _ in bench.published)
            bench.agrees(pair)
        assert whole <= bench.counts["taken"] <= whole + 1
        # The row as it is now counts from here on.
        [found] = feed(bench, rewritten, 40, 44)
        assert found == bench.pairs[rewritten].thresholds()


def test_thresholds_are_of_the_rule_in_force(bench: Bench) -> None:
    """The bank changes in any clock of a sample's work: it is taken over, and gives thresholds by the old rule before or none."""
    old, new = RULE | {"warmup": 1}, RULE | {"warmup": 1, "k_entry": 77, "k_exit": 3}
    end = SpreadStatistics.latency(3)
    for gap in (*range(1, 10), *range(40, end - 6, 17), *range(end - 6, end + 6)):
        bench.begin()
        bench.dut["bank"] = 0
        bench.write(6, old)
        feed(bench, 6, 100, 110)
        middle = bench.pairs[6]
        bench.offer("pairs", {"index": 6, "row": new | {"adaptive": 1}})
        bench.published.clear()
        bench.window()
        bench.sample(6, 5_000, 5_010)
        middle.sample(5_000, 5_010)
        bench.step(gap - 1)
        bench.dut["swap"] = 1
        at = bench.dut.cycle
        bench.step()
        bench.dut["swap"], bench.dut["bank"] = 0, 1
        bench.rest(2)
        by_new = Middle(**new)
        for value in (100, 5_000):
            by_new.sample(value, value + 10)
        found = [(cycle > at, thresholds) for cycle, _, thresholds in bench.published]
        # What waits in the queue is begun by the new rule.
        assert found in ([], [(False, middle.thresholds())]) or (gap < 5 and found == [(True, by_new.thresholds())]), gap
        assert bench.inspect(6) == (middle.mean, middle.variance, 2)
        bench.pairs[6] = by_new
        [after] = feed(bench, 6, 4_000, 4_010)
        assert after == by_new.thresholds()


def test_inspecting_does_not_disturb(bench: Bench) -> None:
    for gap in range(1, 140, 9):
        bench.begin()
        bench.write(4, RULE | {"warmup": 1})
        feed(bench, 4, 10, 20)
        bench.window()
        bench.sample(4, 800, 900)
        bench.step(gap)
        bench.offer("inspect", 4)
        bench.pairs[4].sample(800, 900)
        bench.rest(2)
        assert bench.dut["inspected"] == 4 and bench.dut["samples"] in (1, 2)
        bench.agrees(4)
        assert bench.counts == {"taken": 2, "cut": 0, "lost": 0}


def test_samples_are_counted_no_further_than_they_can_be(bench: Bench) -> None:
    bench.begin()
    bench.write(2, RULE | {"warmup": 65_535})
    feed(bench, 2, 10, 20)
    middle = bench.pairs[2]
    for count in (65_534, 65_535, 65_535):
        bench.dut["rows", 8 * 2 + 4] = min(count, 65_535) - (count == 65_534)
        middle.samples = min(count, 65_535) - (count == 65_534)
        assert feed(bench, 2, 30, 40) == ([middle.thresholds()] if middle.warm else [])
        bench.agrees(2)


def test_a_sample_that_waited_until_its_pair_was_static_gives_no_thresholds(bench: Bench) -> None:
    bench.begin()
    bench.write(3, RULE | {"warmup": 0})
    # The other bank's row says static, with what the host writes then.
    bench.dut["thresholds__ready"] = 0
    bench.offer("pairs", {"index": 3, "row": dict.fromkeys(RULE, 0) | {"adaptive": 0}})
    bench.dut["thresholds__ready"] = 1
    for value in (100, 200, 300):
        bench.window()
        bench.sample(3, value, value)
    bench.dut["swap"] = 1
    seen = len(bench.published)
    bench.step()
    bench.dut["swap"], bench.dut["bank"] = 0, bench.dut["bank"] ^ 1
    bench.rest()
    assert bench.published[seen:] == []
    bench.dut["bank"] ^= 1
