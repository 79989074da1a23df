"""SpreadTrigger against the rules in plain Python."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import cocotb

from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Integrity, Miss, PairAction, PairOutcome
from hdl.strategy.spread_trigger import SpreadTrigger
from tests.hdl.strategy.rules import SELLING, Pair, Touch, spreads
from tests.support.stepper import Stepper

GEOMETRY = Geometry(slots=8, pairs=16)
LATENCY = 4
LEAD = 5
GATE_CLOCKS = 7
EPOCH = 77
LEGS = ("slot_a", "slot_b")
ROW = {
    "slot_a": 0,
    "slot_b": 1,
    "enabled": 1,
    "weight_a": 1 << 12,
    "weight_b": 1 << 12,
    "upper": 100 << 12,
    "lower": -(200 << 12),
    "exit_short": -(100 << 12),
    "exit_long": 0,
    "size_a": 100,
    "size_b": 200,
    "max_units": 2,
    "slippage": 3,
    "max_triggers": 0,
    "max_rejects": 0,
    "adaptive": 0,
}
NARROW = Touch(1_000_000, 500, 1_000_100, 500)
HIGH = Touch(1_000_300, 500, 1_000_400, 500)
LOW = Touch(999_700, 500, 999_800, 500)


class Bench(Stepper):
    def __init__(self, dut):
        super().__init__(
            dut,
            SpreadTrigger(geometry=GEOMETRY),
            collect=("request", "trigger_event", "sample"),
            pulses=("miss",),
            levels=("allowed", "thresholds__ready"),
        )

    async def start(self, *, cooldown: int = 0) -> None:
        await self.reset()
        await self.sweep()
        self.pairs: dict[int, Pair] = {}
        self.lists: dict[int, list[int]] = {}
        self.touches: dict[int, Touch] = {}
        self.integrity = [Integrity.EXACT] * GEOMETRY.slots
        self.cooldown = cooldown
        self.set("cooldown", cooldown)
        self.set("request__ready", 1)
        self.misses: Counter = Counter()
        self.bank = 0
        self.set("epoch", EPOCH)

    async def sweep(self) -> None:
        """Wait while what is remembered is written over."""
        await self.step(max(GEOMETRY.pairs, GEOMETRY.slots))

    async def write_pair(self, number: int, row: dict[str, int]) -> None:
        """A pair begins anew: its row in both banks, one after the other, and its legs."""
        values = {name: value for name, value in row.items() if name not in LEGS}
        for _ in range(2):
            self.set("hold", 1)
            self.offer("pairs", {"index": number, "row": values})
            await self.step(2)
            self.bank ^= 1
            self.set("bank", self.bank)
            self.set("hold", 0)
        self.offer("pair_legs", {"index": number, "row": {name: row[name] for name in LEGS}})
        if number in self.pairs:
            self.pairs[number].rewrite(row)
        else:
            self.pairs[number] = Pair(row)
        await self.step(3)

    async def write_lists(self, lists: dict[int, list[int]]) -> None:
        self.lists = lists
        position = 0
        for slot in range(GEOMETRY.slots):
            entries = lists.get(slot, [])
            for offset, pair in enumerate(entries):
                self.offer("pair_index", {"index": position + offset, "row": {"pair": pair}})
                await self.step()
            self.offer("pair_lists", {"index": slot, "row": {"first": position, "count": len(entries)}})
            await self.step()
            position += len(entries)
        await self.step(3)

    async def one_pair(self, **changes: int) -> Pair:
        row = ROW | changes
        await self.write_pair(5, row)
        await self.write_lists({row["slot_a"]: [5], row["slot_b"]: [5]})
        return self.pairs[5]

    async def change(
        self, slot: int, touch: Touch, *, lead: int | None = LEAD, busy: bool = False
    ) -> list[tuple[int, PairAction]]:
        """Change a touch, let the gate take what it can, check all of it, and give the requests that were taken."""
        if lead:
            self.offer("accept", {"slot": slot})
            await self.step(lead)
        self.offer("bbo", {"slot": slot, "touch": touch._asdict(), "sequence": 77, "som": 5, "eot": 6, "type": 69})
        at = self.cycle
        self.touches[slot] = touch
        delay = LATENCY + (0 if lead and lead >= LEAD else LEAD)
        entries = self.lists.get(slot, [])

        expected, taken_events, samples = [], [], []
        misses: Counter = Counter()
        free_from = 0
        for step, number in enumerate(entries):
            pair = self.pairs[number]
            a, b = pair.row["slot_a"], pair.row["slot_b"]
            if a == b or slot not in (a, b) or not {a, b} <= self.touches.keys():
                continue
            touches = (self.touches[a], self.touches[b])
            if not all(each.two_sided for each in touches) or {self.integrity[a], self.integrity[b]} != {Integrity.EXACT}:
                continue
            # The first pair waited for the touch: the second one comes a clock later.
            due = at + delay + step + int(bool(lead) and lead >= LEAD and step > 0)
            if pair.sampled(*touches):
                sell, buy = spreads(pair.row, *touches)
                samples.append((due - 1, {"pair": number, "sell": sell, "buy": buy}))
            result = pair.evaluate(*touches, due - LATENCY + 1)
            if isinstance(result, Miss):
                misses[result] += 1
            elif result is not None:
                request = {
                    "pair": number,
                    "single": 0,
                    "repair": 0,
                    "leg": 0,
                    "action": result,
                    "epoch": 0,
                    "legs": pair.orders(result, *touches),
                    "type": 69,
                    "sequence": 77,
                    "som": 5,
                    "eot": 6,
                }
                expected.append((due, request))
                if busy or due < free_from:
                    misses[Miss.GATE_BUSY] += 1
                    pair.dropped()
                else:
                    free_from = due + GATE_CLOCKS
                    value = spreads(pair.row, *touches)[0 if result in SELLING else 1]
                    taken_events.append(
                        (
                            due + 1,
                            {"sequence": 77, "cycle": due & 0xFFFFFFFF, "spread": value, "pair": number, "action": result}
                            | {"epoch": EPOCH},
                        )
                    )

        hold = 0
        self.set("request__ready", int(not busy))
        for _ in range(delay + len(entries) + 4):
            seen = len(self.seen["request"])
            await self.step()
            if len(self.seen["request"]) > seen:
                _, offered = self.seen["request"][-1]
                assert self.get("allowed") == self.pairs[offered["pair"]].allowed
                if not hold and not busy:
                    hold = GATE_CLOCKS
            hold = max(0, hold - 1)
            self.set("request__ready", int(not busy and not hold))
        await self.step(2)
        self.set("request__ready", 1)
        assert self.taken("request") == expected
        assert self.taken("trigger_event") == taken_events
        assert self.taken("sample") == samples
        found: Counter = Counter()
        for _, mask in self.taken("miss"):
            found.update(cause for cause in Miss if mask >> cause & 1)
        assert found == misses, (found, misses)
        self.misses += found
        return [(event["pair"], PairAction(event["action"])) for _, event in taken_events]

    async def bring(self, number: int, thresholds: dict[str, int]) -> None:
        """New thresholds of an adaptive pair, offered until they are taken; nothing is looked up meanwhile."""
        self.offer("thresholds", {"pair": number, "thresholds": thresholds})
        await self.step()
        assert self.get("thresholds__ready")
        self.pairs[number].found = thresholds

    async def done(self, number: int, outcome: PairOutcome, *, rejected: int = 0) -> None:
        self.offer("done", {"pair": number, "outcome": outcome, "rejected": rejected})
        self.pairs[number].ended(outcome, self.cycle, self.cooldown, rejected)
        await self.step()

    async def retune(self, **changes: int) -> None:
        """Pair 5 by another set."""
        pair = self.pairs[5]
        pair.row = pair.row | changes
        for _ in range(2):
            self.offer("pairs", {"index": 5, "row": {name: value for name, value in pair.row.items() if name not in LEGS}})
            self.set("hold", 1)
            await self.step(SpreadTrigger.DRAIN + 1)
            self.bank ^= 1
            self.set("bank", self.bank)
            self.set("hold", 0)
        await self.step()

    async def give_back(self, number: int) -> None:
        self.offer("returned", {"pair": number, "allowed": int(self.pairs[number].allowed)})
        self.pairs[number].came_back()
        await self.step()


@cocotb.test()
async def fires_on_the_edge_and_not_again(dut):
    bench = Bench(dut)
    await bench.start()
    await bench.one_pair()
    assert await bench.change(0, NARROW) == []
    assert await bench.change(1, NARROW) == []
    assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]
    assert await bench.change(0, HIGH._replace(bid_shares=499)) == []
    await bench.done(5, PairOutcome.NOTHING)
    assert await bench.change(0, HIGH) == []
    assert await bench.change(0, NARROW) == []
    assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]


@cocotb.test()
async def latency_follows_the_lead_of_accept(dut):
    bench = Bench(dut)
    await bench.start()
    await bench.one_pair()
    await bench.change(1, NARROW)
    for lead in (None, 1, 2, 3, 4, 5, 6, 9, 40):
        # The clock itself is asserted in `change`.
        assert await bench.change(0, HIGH, lead=lead) == [(5, PairAction.SELL_SPREAD)]
        await bench.done(5, PairOutcome.NOTHING)
        await bench.change(0, NARROW, lead=lead)


@cocotb.test()
async def units_up_and_down(dut):
    bench = Bench(dut)
    await bench.start()
    pair = await bench.one_pair(exit_short=-(100 << 12))
    await bench.change(1, NARROW)
    for units in (-1, -2):
        await bench.change(0, NARROW._replace(bid_price=1_000_050))
        assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]
        await bench.done(5, PairOutcome.FILLED)
        assert pair.units == units
    await bench.change(0, NARROW._replace(bid_price=1_000_050))
    assert await bench.change(0, HIGH) == []
    assert bench.misses == {Miss.MAX_UNITS: 1}
    # S_buy = ask_a - bid_b reaches exit_short.
    for units in (-1, 0):
        assert await bench.change(0, LOW) == [(5, PairAction.BUY_BACK)]
        await bench.done(5, PairOutcome.FILLED)
        assert pair.units == units
        await bench.change(0, NARROW)
    for units in (1, 2):
        assert await bench.change(0, LOW) == [(5, PairAction.BUY_SPREAD)]
        await bench.done(5, PairOutcome.FILLED)
        assert pair.units == units
        await bench.change(0, NARROW)
    assert await bench.change(0, HIGH) == [(5, PairAction.SELL_OUT)]
    await bench.done(5, PairOutcome.FILLED)
    assert pair.units == 1


@cocotb.test()
async def a_legged_pair_is_latched_until_it_begins_anew(dut):
    bench = Bench(dut)
    await bench.start()
    await bench.one_pair()
    await bench.change(1, NARROW)
    await bench.change(0, HIGH)
    await bench.done(5, PairOutcome.LEGGED)
    await bench.change(0, NARROW)
    # The request goes to the gate, which refuses it (not `allowed`, asserted in `change`); come back, it does not arm the pair.
    assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]
    await bench.give_back(5)
    assert await bench.change(0, HIGH._replace(ask_shares=7)) == []
    await bench.write_pair(5, dict(ROW))
    assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]


@cocotb.test()
async def what_did_not_leave_arms_again(dut):
    bench = Bench(dut)
    await bench.start()
    await bench.one_pair()
    await bench.change(1, NARROW)
    assert await bench.change(0, HIGH, busy=True) == []
    assert await bench.change(0, HIGH, busy=True) == []
    assert bench.misses == {Miss.GATE_BUSY: 2}
    assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]
    assert await bench.change(0, NARROW) == []
    assert await bench.change(0, HIGH) == []
    assert bench.misses[Miss.PENDING] == 1
    await bench.give_back(5)
    assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]


@cocotb.test()
async def cooldown_to_the_clock(dut):
    bench = Bench(dut)
    await bench.start(cooldown=200)
    await bench.one_pair()
    await bench.change(1, NARROW)
    for early in (1, 0):
        await bench.change(0, NARROW)
        await bench.change(0, HIGH)
        await bench.done(5, PairOutcome.NOTHING)
        ended = bench.cycle - 1
        await bench.change(0, NARROW)
        # The rest is judged one clock behind `bbo`.
        await bench.step(ended + 200 - early - 1 - LEAD - bench.cycle)
        assert await bench.change(0, HIGH) == ([] if early else [(5, PairAction.SELL_SPREAD)])
        if early:
            await bench.step(300)
            await bench.change(0, NARROW)
    assert bench.misses == {Miss.COOLDOWN: 1}


@cocotb.test()
async def a_rest_is_struck_off_before_the_clock_count_comes_round(dut):
    bench = Bench(dut)
    await bench.start(cooldown=5)
    await bench.one_pair()
    await bench.change(1, NARROW)
    await bench.change(0, HIGH)
    await bench.done(5, PairOutcome.NOTHING)
    ended = bench.cycle - 1
    await bench.step(2 * GEOMETRY.pairs)
    await bench.change(0, NARROW)
    # Just after 2**32 clocks the difference of clock counts is small again.
    bench.cycle = ended + (1 << 32) - 1
    bench.pairs[5].rests_until = -1
    assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]


@cocotb.test()
async def nothing_is_evaluated_on_less_than_two_exact_sides(dut):
    bench = Bench(dut)
    await bench.start()
    # With an empty side's price taken for 0, each of these would fire.
    await bench.one_pair(upper=-(1 << 51), lower=(1 << 51) - 1)
    assert await bench.change(0, HIGH) == []
    for touch in (Touch(0, 0, 1_000_100, 500), Touch(1_000_000, 500, 0, 0), Touch(0, 0, 0, 0)):
        assert await bench.change(1, touch) == []
        assert await bench.change(0, HIGH) == []
    for slot in (0, 1):
        for state in (Integrity.SUSPECT, Integrity.DEAD):
            bench.integrity[slot] = state
            bench.set("integrity", [int(each) for each in bench.integrity])
            assert await bench.change(1, NARROW) == []
            assert await bench.change(0, HIGH) == []
        bench.integrity[slot] = Integrity.EXACT
    bench.set("integrity", [int(each) for each in bench.integrity])
    bench.set("clear", 1)
    await bench.step()
    bench.set("clear", 0)
    await bench.sweep()
    bench.touches.clear()
    assert await bench.change(0, HIGH) == []
    assert await bench.change(1, NARROW) == [(5, PairAction.SELL_SPREAD)]


@cocotb.test()
async def the_next_change_wins(dut):
    """A change in the midst of a list: the rest of the list is lost and counted, the new list is evaluated."""
    bench = Bench(dut)
    await bench.start()
    for number in range(8):
        await bench.write_pair(number, ROW | {"slot_b": 1 + number % 2, "upper": (1 << 51) - 1, "lower": -(1 << 51)})
    await bench.write_pair(8, ROW | {"slot_a": 3, "slot_b": 4})
    await bench.write_lists({0: list(range(8)), 3: [8], 4: [8]})
    await bench.change(4, NARROW)
    for gap in range(1, 14):
        await bench.change(3, NARROW)
        bench.offer("accept", {"slot": 0})
        await bench.step(LEAD)
        bench.offer("bbo", {"slot": 0, "touch": NARROW._asdict()})
        bench.touches[0] = NARROW
        await bench.step(gap)
        bench.offer("bbo", {"slot": 3, "touch": HIGH._asdict()})
        at = bench.cycle
        await bench.step(20)
        [(cycle, request)] = bench.taken("request")
        assert request["pair"] == 8 and cycle - at == LATENCY + LEAD
        overruns = [mask for _, mask in bench.taken("miss") if mask >> Miss.OVERRUN & 1]
        # Eight pairs take nine clocks; none is evaluated in the clock of the next change.
        assert len(overruns) == (gap < 9), gap
        bench.taken("trigger_event")
        bench.pairs[8].evaluate(HIGH, NARROW, at)
        bench.touches[3] = HIGH
        await bench.done(8, PairOutcome.NOTHING)


def around(level: int) -> dict[str, int]:
    return {"upper": level, "lower": -level, "exit_short": 0, "exit_long": 0}


@cocotb.test()
async def an_adaptive_pair_waits_for_thresholds_and_follows_them(dut):
    bench = Bench(dut)
    await bench.start()
    # Its row's own would fire at any change.
    await bench.one_pair(adaptive=1, upper=-(1 << 51), lower=(1 << 51) - 1)
    await bench.change(1, NARROW)
    assert await bench.change(0, HIGH) == []
    assert await bench.change(0, LOW) == []
    # HIGH - NARROW: S_sell is 200 units of price.
    await bench.bring(5, around((200 << 12) + 1))
    assert await bench.change(0, HIGH) == []
    await bench.bring(5, around(200 << 12))
    assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]
    await bench.done(5, PairOutcome.FILLED)
    await bench.change(0, NARROW)
    await bench.bring(5, around(200 << 12) | {"exit_short": -(200 << 12) - 1})
    assert await bench.change(0, LOW) == []
    await bench.bring(5, around(200 << 12) | {"exit_short": -(200 << 12)})
    assert await bench.change(0, LOW) == [(5, PairAction.BUY_BACK)]
    await bench.done(5, PairOutcome.FILLED)
    await bench.change(0, NARROW)
    # A new set forgets them; a static pair never heard of them.
    await bench.write_pair(5, ROW | {"adaptive": 1})
    assert await bench.change(0, HIGH) == []
    await bench.write_pair(5, ROW | {"upper": 201 << 12})
    assert await bench.change(0, HIGH) == []


@cocotb.test()
async def every_request_is_of_one_set(dut):
    """The bank changes in any clock around a touch: both pairs of its list ask once, by the set in force."""
    bench = Bench(dut)
    kinds = set()
    for lead, gap in itertools.product((0, 1, LEAD), range(-3, 14)):
        await bench.start()
        for number in (5, 6):
            await bench.write_pair(number, dict(ROW))
        await bench.write_lists({0: [5, 6], 1: [5, 6]})
        await bench.change(1, NARROW)
        await bench.change(0, NARROW)
        for number in (5, 6):
            row = {name: value for name, value in ROW.items() if name not in LEGS}
            bench.offer("pairs", {"index": number, "row": row | {"size_a": 50, "slippage": 9, "upper": 99 << 12}})
            await bench.step()
        held: list[int] = []
        for clock in range(40):
            if clock == 5 - lead and lead:
                bench.offer("accept", {"slot": 0})
            if clock == 5:
                bench.offer("bbo", {"slot": 0, "touch": HIGH._asdict()})
            if clock == 5 + gap:
                bench.set("hold", 1)
                held.append(bench.cycle)
            if clock == 5 + gap + SpreadTrigger.DRAIN + 2:
                bench.set("hold", 0)
                bench.set("bank", 1)
                held.append(bench.cycle)
            await bench.step()
        begun, ended = held
        sizes = {}
        for cycle, request in bench.taken("request"):
            size = request["legs"][0]["quantity"]
            assert size == (100 if cycle <= begun + SpreadTrigger.DRAIN else 50)
            assert not begun + SpreadTrigger.DRAIN < cycle < ended + LATENCY
            assert request["legs"][0]["price"] == 1_000_300 - (300 if size == 100 else 900)
            assert request["pair"] not in sizes, "once"
            sizes[request["pair"]] = size
        assert set(sizes) == {5, 6}
        kinds.add(tuple(sizes.values()))
        bench.taken("trigger_event")
        bench.taken("miss")
    assert kinds == {(100, 100), (100, 50), (50, 50)}


@cocotb.test()
async def what_is_remembered_of_a_pair_outlives_its_set(dut):
    """Units, latch, allowance used and the edge; `enabled`, the size and the allowance itself are the set's."""
    bench = Bench(dut)
    await bench.start()
    pair = await bench.one_pair(max_units=3)
    await bench.change(1, NARROW)
    assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]
    await bench.retune(upper=150 << 12)
    assert await bench.change(0, HIGH) == [], "the edge, and its orders are still out"
    await bench.done(5, PairOutcome.FILLED)
    await bench.change(0, NARROW)
    await bench.retune(exit_short=150 << 12, enabled=0)
    assert pair.units == -1
    assert await bench.change(0, NARROW._replace(ask_price=1_000_050)) == [(5, PairAction.BUY_BACK)]
    await bench.give_back(5)
    await bench.retune(enabled=1, max_triggers=3)
    # Not allowed when it came back, so it is not armed again but by a change that does not reach the threshold.
    assert await bench.change(0, NARROW._replace(ask_price=1_000_050)) == []
    await bench.retune(exit_short=-(100 << 12))
    await bench.change(0, NARROW)
    for outcome in (PairOutcome.NOTHING, PairOutcome.NOTHING):
        assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]
        await bench.done(5, outcome)
        await bench.change(0, NARROW)
    assert await bench.change(0, HIGH) == []
    assert bench.misses[Miss.ALLOWANCE] == 1, "three ended, the first of them under another set"
    await bench.retune(max_triggers=9)
    pair.fires = 9
    assert await bench.change(0, HIGH) == []
    assert bench.misses[Miss.ALLOWANCE] == 2, "used up is used up"
    await bench.write_pair(5, dict(ROW))
    assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]
    await bench.done(5, PairOutcome.LEGGED)
    await bench.change(0, NARROW)
    await bench.retune(size_a=60)
    # It asks, and is not allowed: asserted in `change`.
    assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]


@cocotb.test()
async def thresholds_are_not_taken_while_they_are_looked_up(dut):
    """Offered from any clock on, they are taken within a few; the change is judged by either, never by something else."""
    bench = Bench(dut)
    late = []
    for gap in range(LEAD + LATENCY + 3):
        await bench.start()
        await bench.one_pair(adaptive=1)
        await bench.change(1, NARROW)
        await bench.change(0, NARROW)
        await bench.bring(5, around(200 << 12))
        bench.set("thresholds__payload", {"pair": 5, "thresholds": around(300 << 12)})
        bench.offer("accept", {"slot": 0})
        taken = None
        for clock in range(30):
            if clock == gap:
                bench.set("thresholds__valid", 1)
            if clock == LEAD:
                bench.offer("bbo", {"slot": 0, "touch": HIGH._asdict()})
            await bench.step()
            if clock >= gap and taken is None and bench.get("thresholds__ready"):
                taken = clock
                bench.set("thresholds__valid", 0)
        assert taken is not None and taken - gap <= 1
        late.append(taken - gap)
        # Looked up with the row, three clocks after `accept`.
        assert bool(bench.taken("request")) == (taken >= 3)
        for name in ("trigger_event", "sample"):
            bench.taken(name)
    assert late.count(1) == 1


@cocotb.test()
async def a_row_goes_before_thresholds(dut):
    bench = Bench(dut)
    await bench.start()
    await bench.one_pair(adaptive=1)
    await bench.change(1, NARROW)
    bench.offer("thresholds", {"pair": 5, "thresholds": around(0)})
    bench.offer("pairs", {"index": 5, "row": {"adaptive": 1}})
    await bench.step()
    assert not bench.get("thresholds__ready")
    await bench.step(3)
    assert await bench.change(0, HIGH) == []
    # Nor do those of another pair take its place.
    bench.offer("thresholds", {"pair": 6, "thresholds": around(0)})
    await bench.write_pair(5, dict(ROW))
    assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]


@cocotb.test()
async def nothing_is_sampled_that_cannot_be_trusted(dut):
    """Neither what is not EXACT, nor a locked or crossed leg, nor a static pair; samples are asserted in `change`."""
    bench = Bench(dut)
    await bench.start()
    await bench.one_pair(adaptive=1)
    await bench.change(1, NARROW)
    locked = NARROW._replace(ask_price=NARROW.bid_price)
    for slot in (0, 1):
        for touch in (NARROW, locked, locked._replace(ask_price=1), NARROW._replace(bid_price=0), NARROW):
            await bench.change(slot, touch)
        for state in (Integrity.SUSPECT, Integrity.DEAD, Integrity.EXACT):
            bench.integrity[slot] = state
            bench.set("integrity", [int(each) for each in bench.integrity])
            await bench.change(1 - slot, NARROW)
    await bench.write_pair(5, dict(ROW))
    await bench.change(0, NARROW)


@cocotb.test()
async def an_allowance_used_up_stops_the_pair(dut):
    bench = Bench(dut)
    await bench.start()
    await bench.one_pair(max_triggers=3, max_units=255)
    await bench.change(1, NARROW)
    for outcome in (PairOutcome.FILLED, PairOutcome.NOTHING, PairOutcome.FILLED):
        assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]
        # What did not leave does not count.
        await bench.give_back(5)
        assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]
        await bench.done(5, outcome)
        await bench.change(0, NARROW)
    for _ in range(3):
        assert await bench.change(0, HIGH) == []
        # Nor may it leave.
        assert await bench.change(0, LOW) == []
    assert bench.misses == {Miss.ALLOWANCE: 6}
    await bench.write_pair(5, ROW | {"max_triggers": 1})
    assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]
    await bench.done(5, PairOutcome.NOTHING)
    await bench.change(0, NARROW)
    assert await bench.change(0, HIGH) == []
    assert bench.misses == {Miss.ALLOWANCE: 7}


@cocotb.test()
async def rejects_in_a_row_stop_the_pair(dut):
    bench = Bench(dut)
    await bench.start()
    await bench.one_pair(max_rejects=3, max_units=255)
    await bench.change(1, NARROW)

    async def attempt(rejected: int, outcome: PairOutcome = PairOutcome.NOTHING) -> None:
        assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]
        await bench.done(5, outcome, rejected=rejected)
        await bench.change(0, NARROW)

    # Any other end begins the count anew; what did not leave is no end.
    for rejected in (1, 1, 0, 1, 1):
        await attempt(rejected, PairOutcome.NOTHING if rejected else PairOutcome.FILLED)
        assert await bench.change(0, HIGH) == [(5, PairAction.SELL_SPREAD)]
        await bench.give_back(5)
        await bench.change(0, NARROW)
    assert not bench.misses
    await attempt(1)
    for _ in range(2):
        assert await bench.change(0, HIGH) == []
        assert await bench.change(0, LOW) == []
    assert bench.misses == {Miss.REJECTS: 4}
    # Another set opens nothing; the pair's legs do, and the count begins anew.
    await bench.retune(max_rejects=0)
    assert await bench.change(0, HIGH) == []
    await bench.write_pair(5, ROW | {"max_rejects": 2})
    await bench.change(0, NARROW)
    await attempt(1)
    await attempt(1)
    assert await bench.change(0, HIGH) == []
    assert bench.misses == {Miss.REJECTS: 6}
    # Of both causes the allowance is told. Without a limit any number may come.
    await bench.write_pair(5, ROW | {"max_rejects": 1, "max_triggers": 1})
    await bench.change(0, NARROW)
    await attempt(1)
    assert await bench.change(0, HIGH) == []
    assert bench.misses == {Miss.REJECTS: 6, Miss.ALLOWANCE: 1}
    await bench.write_pair(5, dict(ROW))
    await bench.change(0, NARROW)
    for _ in range(260):
        await attempt(1)
    # The count stands still at the highest limit's.
    await bench.retune(max_rejects=255)
    await attempt(1)
    assert await bench.change(0, HIGH) == []
    assert bench.misses[Miss.REJECTS] == 7


@cocotb.test()
async def legs_and_an_end_that_meet_both_count(dut):
    """The legs of a pair whose orders live are written around the clock in which they end, or come back."""
    bench = Bench(dut)
    row = ROW | {"max_units": 2, "max_triggers": 3}
    for gap in range(-4, 5):
        for returned in (False, True):
            await bench.start()
            await bench.one_pair(**row)
            await bench.change(1, NARROW)
            await bench.change(0, HIGH)
            await bench.done(5, PairOutcome.FILLED)
            await bench.change(0, NARROW)
            await bench.change(0, HIGH)
            pair = bench.pairs[5]
            for clock in range(10):
                if clock == 5:
                    bench.offer("pair_legs", {"index": 5, "row": {name: row[name] for name in LEGS}})
                    pair.rewrite(row)
                if clock == 5 + gap:
                    # Legs take effect a clock later, behind an end and what came back before it.
                    await (bench.give_back(5) if returned else bench.done(5, PairOutcome.FILLED))
                else:
                    await bench.step()
            if gap <= 1:
                pair.units, pair.fires = 0, 0
            for _ in range(4):
                await bench.change(0, NARROW)
                if await bench.change(0, HIGH):
                    await bench.done(5, PairOutcome.FILLED)
            assert pair.units == -2 and bench.misses[Miss.MAX_UNITS] >= 2, gap


@cocotb.test()
async def prefetch_for_another_slot_does_no_harm(dut):
    """The book may take in the next message before it tells the touch of the last one."""
    bench = Bench(dut)
    await bench.start()
    await bench.one_pair()
    await bench.change(1, NARROW)
    bench.offer("accept", {"slot": 0})
    await bench.step(2)
    bench.offer("accept", {"slot": 1})
    await bench.step(2)
    assert await bench.change(0, HIGH, lead=None) == [(5, PairAction.SELL_SPREAD)]
    await bench.done(5, PairOutcome.NOTHING)
    assert await bench.change(1, NARROW._replace(ask_price=1_000_200), lead=LEAD + 1) == []


@cocotb.test()
async def a_pair_named_twice_within_three_entries_is_evaluated_once(dut):
    bench = Bench(dut)
    for entries, lead in itertools.product(([5, 5, 5], [5, 6, 5]), (None, LEAD)):
        await bench.start()
        await bench.write_pair(5, dict(ROW))
        await bench.write_pair(6, ROW | {"upper": (1 << 51) - 1, "lower": -(1 << 51)})
        await bench.write_lists({0: entries, 1: [5]})
        await bench.change(1, NARROW)
        # What the rules see of the list.
        bench.lists[0] = [5]
        assert await bench.change(0, HIGH, lead=lead) == [(5, PairAction.SELL_SPREAD)]


def random_touch(rng: random.Random, wide: bool) -> Touch:
    if wide:
        bid, ask = (rng.choice((0, 1, 255, 9_999, 10_000, 1 << 18, (1 << 32) - 1, rng.getrandbits(32))) for _ in range(2))
    else:
        bid = rng.choice((9_990, 1_000_000)) + rng.randrange(8)
        ask = bid + rng.choice((1, 3, 100))
    shares = [rng.choice((0, 99, 100, 101, 199, 200, (1 << 32) - 1)) for _ in range(2)]
    return Touch(bid, shares[0] if rng.random() < 0.3 else 500, ask, shares[1] if rng.random() < 0.3 else 500)


def random_row(rng: random.Random, pools: list[list[Touch]]) -> dict[str, int]:
    slot_a, slot_b = rng.randrange(GEOMETRY.slots), rng.randrange(GEOMETRY.slots)
    weight = lambda: rng.choice((1 << 12, 1 << 12, 4095, 0, (1 << 18) - 1, rng.getrandbits(18)))  # noqa: E731
    row = ROW | {
        "slot_a": slot_a,
        "slot_b": slot_b,
        "weight_a": weight(),
        "weight_b": weight(),
        "enabled": int(rng.random() < 0.95),
    }
    for name, which in (("upper", 0), ("lower", 1), ("exit_short", 1), ("exit_long", 0)):
        value = spreads(row, rng.choice(pools[slot_a]), rng.choice(pools[slot_b]))[which] + rng.choice((-1, 0, 0, 1))
        row[name] = min(max(value, -(1 << 51)), (1 << 51) - 1)
    row["size_a"], row["size_b"] = (rng.choice((1, 100, 200, (1 << 20) - 1 if rng.random() < 0.1 else 100)) for _ in range(2))
    row["max_triggers"] = rng.choice((0, 0, 0, 3, 9, 65_535))
    row["max_rejects"] = rng.choice((0, 0, 1, 2, 255))
    row["adaptive"] = int(rng.random() < 0.3)
    row["max_units"], row["slippage"] = rng.choice((0, 1, 2, 3, 255)), rng.choice((0, 1, 9, 255))
    return row


@cocotb.test()
async def random_markets_agree_with_the_rules(dut):
    rng = random.Random(5)
    bench = Bench(dut)
    actions: Counter = Counter()
    total: Counter = Counter()
    for market in range(8):
        cooldown = rng.choice((0, 60))
        await bench.start(cooldown=cooldown)
        pools = [[random_touch(rng, market % 4 == 3) for _ in range(5)] for _ in range(GEOMETRY.slots)]
        for number in range(GEOMETRY.pairs):
            await bench.write_pair(number, random_row(rng, pools))
        lists: dict[int, list[int]] = {slot: [] for slot in range(GEOMETRY.slots)}
        for number, pair in bench.pairs.items():
            for slot in {pair.row["slot_a"], pair.row["slot_b"]}:
                lists[slot].append(number)
        for entries in lists.values():
            rng.shuffle(entries)
        await bench.write_lists(lists)
        for _ in range(400):
            slot = rng.randrange(GEOMETRY.slots)
            if rng.random() < 0.03:
                bench.integrity[rng.randrange(GEOMETRY.slots)] = rng.choice((Integrity.EXACT, Integrity.EXACT, Integrity.SUSPECT))
                bench.set("integrity", [int(each) for each in bench.integrity])
            touch = rng.choice(pools[slot])
            actions.update(
                action
                for _, action in await bench.change(slot, touch, lead=rng.choice((None, 1, 3, 4, 5, 8)), busy=rng.random() < 0.05)
            )
            if rng.random() < 0.2 and (adaptive := [number for number, pair in bench.pairs.items() if pair.adaptive]):
                number = rng.choice(adaptive)
                names = ("upper", "lower", "exit_short", "exit_long")
                await bench.bring(number, {name: bench.pairs[number].row[name] for name in names})
            for number, pair in bench.pairs.items():
                if pair.pending and rng.random() < 0.5:
                    if rng.random() < 0.2:
                        await bench.give_back(number)
                    else:
                        outcome = rng.choice((PairOutcome.FILLED,) * 5 + (PairOutcome.NOTHING, PairOutcome.LEGGED))
                        rejected = int(outcome != PairOutcome.FILLED and rng.random() < 0.5)
                        await bench.done(number, outcome, rejected=rejected)
            if rng.random() < 0.02:
                number = rng.choice([number for number, pair in bench.pairs.items() if not pair.pending])
                row = random_row(rng, pools) | {name: bench.pairs[number].row[name] for name in ("slot_a", "slot_b")}
                await bench.write_pair(number, row)
        total += bench.misses
    dut._log.info("%s %s", actions, total)
    assert all(actions[action] > 30 for action in PairAction), actions
    assert all(total[cause] > 10 for cause in Miss if cause not in (Miss.OVERRUN, Miss.HOST_ORDER)), total
