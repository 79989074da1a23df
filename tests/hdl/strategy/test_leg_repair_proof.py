"""What `LegRepair` asks for is bounded and is what remains: proved by k-induction for each pair, whatever the ledger tells of
both, whatever sets come and whenever the gate judges.

What is abstract: shares are `SHARES` bits wide in place of 20. Nothing else is: the memories are the component's own, and what
the induction stands on is what lies in them. What is assumed is what ledger, trigger, gate and `ParameterSets` promise:

- reports lie two clocks apart and fill no more than is open (`test_order_proof`); no order is open at the beginning
- a pair's orders are entered leg a, leg b, and not while the pair is pending; `done` comes with a report of its last one
- an order that repairs ends once, and `left` tells of the one that was taken
- a set changes while `hold` is high, and takes no row then

A break that is told in the last `UNSEEN` clocks before an order is offered is not seen any more.

What is said of offers (`_offer`) is told apart from what the induction stands on (`_stand`, `_look`): a fault has to break the
former, from reset on, in a `Story` of as many clocks as it needs. Stories of a second order are told with numbers: a solver takes
minutes to choose some.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

import pytest
from amaranth.hdl import Assert, Assume, Cat, Const, Cover, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.interfaces import LegPolicy, PairOutcome
from hdl.spec.geometry import Geometry
from hdl.strategy.leg_repair import LegRepair
from tests.support.proofs import judge, mutant, out_of_reset

GEOMETRY = Geometry(slots=2, pairs=2)
SHARES = 3
UNSEEN = 8
DEPTH = 2
ENDED = 4
OFFERED = ENDED + LegRepair.LEAST
"""Clocks in which a pair is legged, and its first order offered, in each story."""
STEPS = ("LEG_A", "LEG_B", "CHOOSE", "PICK", "PRICE", "TICKS", "ADD", "LIMIT", "OFFER")


@dataclass(frozen=True)
class Story:
    """When what comes, from reset on."""

    last: int = OFFERED
    """Clock of its end."""
    reports: tuple[int, ...] = ()
    """Clocks of reports behind those of both orders."""
    judging: tuple[int, ...] = ()
    left: tuple[int, ...] = ()
    sets: tuple[int, ...] = (3,)
    """From when on it is the other set that is in force; no row is written to the first, which stops every pair."""
    row: Mapping[str, int] = field(default_factory=dict)
    """Columns of the row. Without any, and so without what follows: whatever they are."""
    told: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """What reports say, by the clock; 0 in all others."""


JUDGED = OFFERED + 1
# What is known of an order two clocks behind its verdict: that it was refused, or its end.
KNOWN = JUDGED + 2
ENTERED = {0: 1, 2: 1}
REFUSED = Story(
    last=KNOWN + LegRepair.LEAST,
    judging=(JUDGED,),
    row={"enabled": 1, "policy": LegPolicy.COMPLETE.value, "leg_tries": 1},
    told={"entered": ENTERED, "leg": {2: 1, ENDED: 1}, "quantity": {0: 2, 2: 2, ENDED: 2}},
)
FILLED = Story(
    last=KNOWN + LegRepair.LEAST,
    reports=(KNOWN,),
    judging=(JUDGED,),
    left=(JUDGED,),
    row={"enabled": 1, "policy": LegPolicy.UNWIND.value, "leg_tries": 2},
    told={
        "entered": ENTERED, "leg": {2: 1, ENDED: 1, KNOWN: 1}, "quantity": {0: 3, 2: 3, ENDED: 2, KNOWN: 1},
        "side": {KNOWN: 1}, "ended": {KNOWN: 1},
    },
)  # fmt: skip
STORIES = {
    "first order": Story(),
    "broken trade": Story(reports=(ENDED + 2,)),
    "another set": Story(sets=(3, OFFERED - 1)),
    "refused": REFUSED,
    "filled": FILLED,
    "last try": replace(FILLED, row={**FILLED.row, "leg_tries": 1}),
}


class Leg:
    """What a harness knows of one leg: by what was told, a clock later, as the component's memory has it."""

    def __init__(self, name: str) -> None:
        self.slot, self.side, self.doubted = (Signal(name=f"{what}_{name}") for what in ("slot", "side", "doubted"))
        self.size, self.held = (Signal(SHARES, name=f"{what}_{name}") for what in ("size", "held"))
        self.unseen = Signal(UNSEEN, name=f"unseen_{name}")

    def all(self) -> Any:
        return Cat(self.slot, self.side, self.size, self.held, self.doubted)


class Pair:
    """What a harness knows of one pair: its own orders, and the one that repairs it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.legs = [Leg(f"{number}_{leg}") for leg in "ab"]
        self.entered = Signal(2, name=f"entered_{number}")
        self.pending, self.works = Signal(name=f"pending_{number}"), Signal(name=f"works_{number}")
        # Its end was told a clock ago, as a legged one.
        self.begins = Signal(name=f"begins_{number}")
        self.tries = Signal(4, name=f"tries_{number}")
        # The order that repairs it, as it was taken.
        self.leg, self.side = Signal(name=f"leg_{number}"), Signal(name=f"side_{number}")
        self.open = Signal(SHARES, name=f"open_{number}")


def chosen(second: Any, pair: Pair) -> tuple:
    """Slot, side, size and what is held of one of both legs."""
    a, b = ((leg.slot, leg.side, leg.size, leg.held) for leg in pair.legs)
    return tuple(Mux(second, *both) for both in zip(b, a, strict=True))


class RepairProof(wiring.Component):
    """Plays ledger, gate and trigger, and asserts of every offer what it has to be.

    Without a story they do what they may, whenever they may, and what an induction stands on is asserted, too.
    """

    def __init__(self, repair: Any, *, story: Story | None = None) -> None:
        class Seen(repair):
            def _wait(self, m: Module) -> tuple:
                self.waiting = super()._wait(m)
                return self.waiting

            def elaborate(self, platform: Any) -> Module:
                m = super().elaborate(platform)
                memories = {"rows": self._rows, "legs": self._legs, "used": self._used, "queue": m.submodules.queue}
                for name, memory in memories.items():
                    ports = [memory.read_port(domain="comb") for _ in range(memory.depth)]
                    m.d.comb += [port.addr.eq(place) for place, port in enumerate(ports)]
                    self.kept[name] = [port.data for port in ports]
                # Where the queue is read, and written.
                self.turn, self.next = m.submodules.queue.read_ports[0].addr, m.submodules.queue.write_ports[0].addr
                return m

        self._repair, self._story = repair, story
        self.repair = Seen(geometry=GEOMETRY)
        self.repair.kept = {}
        inputs = {name: member for name, member in self.repair.signature.members.items() if member.flow is In}
        super().__init__(inputs | {"ready": In(1)})

    def text(self, run: Any) -> Any:
        """`run` while shares are narrow."""
        with mock.patch.dict(self._repair.elaborate.__globals__, {"SHARE_BITS": SHARES}):
            return run()

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        out_of_reset(m)
        repair = self.repair
        inner = repair.elaborate(platform)
        m.submodules.repair = inner
        for name, member in self.signature.members.items():
            if name == "ready":
                m.d.comb += repair.request.ready.eq(self.ready)
            elif member.is_port:
                m.d.comb += getattr(repair, name).eq(getattr(self, name))
            else:
                wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(repair, name))
        self._sets(m)
        pairs = [Pair(number) for number in range(2)]
        told, request = self.leg_told.payload, repair.request.payload
        told_now, was = Signal(), Signal(told.shape())
        m.d.sync += [told_now.eq(self.leg_told.valid), was.eq(told)]
        m.d.comb += [Assume(~(self.leg_told.valid & told_now)), Assume(told.quantity < 1 << SHARES)]
        taken = repair.request.valid & repair.request.ready
        judged = Signal()
        with m.If(taken):
            m.d.sync += judged.eq(1)
        with m.Elif(~self.judging | self.left):
            m.d.sync += judged.eq(0)
        fresh = Signal()
        m.d.sync += fresh.eq(taken)
        m.d.comb += [Assume(~fresh | self.judging), Assume(~(self.left & judged) | self.judging)]
        for pair in pairs:
            self._follow(m, pair, told_now, was, judged)
            self._offer(m, pair)
        if self._story is not None:
            self._tell(m, self._story)
            orders = ((0, 2), (1, 1))
            m.d.comb += [Cover(taken & (pairs[0].tries == tries) & (request.legs[0].quantity == rest)) for tries, rest in orders]
            return m
        for pair in pairs:
            self._stand(m, pair, told_now, was, judged)
            self._look(m, pair, told_now, was)
        waits = [pair.pending & ~pair.begins for pair in pairs]
        [repaired, level] = repair._counts
        m.d.comb += [
            Assert(repaired == sum(waits)),
            Assert((level <= 2) & (repair.next == (repair.turn + level)[:1])),
            Assert(repair.busy == (repaired != 0)),
        ]
        return m

    def _tell(self, m: Module, story: Story) -> None:
        clock = Signal(range(story.last + 2))
        m.d.sync += clock.eq(clock + 1)

        def at(*clocks: int) -> Any:
            return Cat(clock == each for each in clocks).any()

        held = (since - clocks for since in story.sets for clocks in (1, 2))
        m.d.comb += [
            Assume(signal == when)
            for signal, when in (
                (self.pairs.valid, at(0)),
                (self.hold, at(*held)),
                (self.bank, sum(clock >= since for since in story.sets)[0]),
                # Both orders, and what is told last of them.
                (self.leg_told.valid, at(0, 2, ENDED, *story.reports)),
                (self.leg_told.payload.pair, 0),
                (self.done.valid, at(ENDED)),
                (self.judging, at(*story.judging)),
                (self.left, at(*story.left)),
                (self.ready, 1),
                (self.cooldown, 0),
                (self.bbo.valid, 0),
                (self.told, 0),
            )
        ]
        if not story.row:
            return
        given, report, done = self.pairs.payload, self.leg_told.payload, self.done.payload
        columns = {name: Value.cast(given.row[name]) for name in ("enabled", "policy", "leg_tries", "slippage")}
        m.d.comb += [
            Assume((self.now == 0) & (given.index == 0)),
            Assume((done.pair == 0) & (done.outcome == PairOutcome.LEGGED)),
            *(Assume(column == story.row.get(name, 0)) for name, column in columns.items()),
        ]
        for name in ("slot", "side", "leg", "quantity", "entered", "ended", "back"):
            says = story.told.get(name, {})
            said = sum((Mux(clock == when, value, 0) for when, value in says.items()), Const(0))
            m.d.comb += Assume(Value.cast(report[name]) == said)

    def _sets(self, m: Module) -> None:
        """A set changes in the clock behind `hold`, and rows are written to the one that is not in force."""
        bank, held, begun = Signal(), Signal(2), Signal()
        m.d.sync += [bank.eq(self.bank), held.eq(Cat(self.hold, held)), begun.eq(1)]
        m.d.comb += [
            Assume((self.bank == bank) | held.all()),
            Assume(begun | ~self.bank),
            Assume(~(self.pairs.valid & held[0])),
        ]
        self._rows = [[Signal(7, name=f"row_{bank}_{number}") for bank in range(2)] for number in range(2)]
        given = self.pairs.payload
        for number, banks in enumerate(self._rows):
            for which, row in enumerate(banks):
                with m.If(self.pairs.valid & (given.index == number) & (self.bank != which)):
                    m.d.sync += row.eq(Cat(given.row.enabled, given.row.policy, given.row.leg_tries))

    def _row(self, pair: Pair) -> tuple:
        """Whether the pair is to be repaired by the set in force, how, and how many tries it has."""
        row = Mux(self.bank, self._rows[pair.number][1], self._rows[pair.number][0])
        enabled, policy, tries = row[0], row[1:3], row[3:]
        return enabled & ((policy == LegPolicy.COMPLETE) | (policy == LegPolicy.UNWIND)), policy == LegPolicy.COMPLETE, tries

    def _follow(self, m: Module, pair: Pair, told_now: Any, was: Any, judged: Any) -> None:
        """Keep what is known of a pair, and assume what is promised of it."""
        repair, told, number = self.repair, self.leg_told.payload, pair.number
        mine = self.leg_told.valid & (told.pair == number)
        done = self.done.valid & (self.done.payload.pair == number)
        own = pair.entered == 2
        trade = mine & ~told.entered & ~told.back
        _, side, size, held = chosen(told.leg, pair)
        m.d.comb += [
            # Leg a, then leg b, then anything else.
            Assume(~(mine & told.entered) | (~pair.pending & ~own & (told.leg == pair.entered) & ~told.ended & ~told.back)),
            Assume(~(mine & told.back) | ((told.quantity == 0) & ~told.ended)),
            Assume(~trade | own | pair.works),
            Assume(~(trade & own) | ((told.side.as_value() == side) & (told.quantity <= size - held) & ~told.ended)),
            Assume(~(trade & pair.works) | (Cat(told.side, told.leg) == Cat(pair.side, pair.leg)) & (told.quantity <= pair.open)),
            # In the clock of a report of its last order.
            Assume(~done | (own & trade)),
        ]
        with m.If(mine & told.entered):
            m.d.sync += pair.entered.eq(pair.entered + 1)
        m.d.sync += pair.begins.eq(done & (self.done.payload.outcome == PairOutcome.LEGGED))
        with m.If(done):
            m.d.sync += [pair.entered.eq(0), pair.pending.eq(self.done.payload.outcome == PairOutcome.LEGGED), pair.tries.eq(0)]
        with m.Elif(repair.ended.valid & (repair.ended.payload.pair == number)):
            m.d.sync += pair.pending.eq(0)
        order = repair.request.payload
        with m.If(repair.request.valid & repair.request.ready & (order.pair == number)):
            m.d.sync += [pair.tries.eq(pair.tries + 1), pair.leg.eq(order.leg)]
            m.d.sync += [pair.side.eq(order.legs[0].side), pair.open.eq(order.legs[0].quantity)]
        with m.If(judged & self.left & (order.pair == number)):
            m.d.sync += pair.works.eq(1)
        with m.If(trade & pair.works):
            m.d.sync += [pair.open.eq(pair.open - told.quantity), pair.works.eq(~told.ended)]
        for index, leg in enumerate(pair.legs):
            m.d.sync += leg.unseen.eq(leg.unseen << 1)
            with m.If(told_now & (was.pair == number) & (was.leg == index)):
                with m.If(was.entered):
                    m.d.sync += [leg.slot.eq(was.slot), leg.side.eq(was.side), leg.size.eq(was.quantity), leg.held.eq(0)]
                    m.d.sync += leg.doubted.eq(0)
                with m.Elif(was.back):
                    m.d.sync += [leg.doubted.eq(1), leg.unseen[0].eq(1)]
                with m.Elif(was.side.as_value() == leg.side):
                    m.d.sync += leg.held.eq(leg.held + was.quantity)
                with m.Else():
                    m.d.sync += leg.held.eq(leg.held - was.quantity)

    def _stand(self, m: Module, pair: Pair, told_now: Any, was: Any, judged: Any) -> None:
        """What the induction stands on: a legged pair is at one place, its tries with it; what is known lies in the memories."""
        repair, number = self.repair, pair.number
        [_, level] = repair._counts
        queue, used = repair.kept["queue"], repair.kept["used"][number]
        _, _, _, _, entry = repair.waiting
        m.d.comb += [
            Assert(repair.kept["rows"][2 * bank + number].policy == Mux(row[0], row[1:3], LegPolicy.STOP))
            for bank, row in enumerate(self._rows[number])
        ]
        m.d.comb += [
            Assert(repair.kept["rows"][2 * bank + number].leg_tries == row[3:]) for bank, row in enumerate(self._rows[number])
        ]
        for index, leg in enumerate(pair.legs):
            kept = repair.kept["legs"][2 * number + index]
            m.d.comb += [
                Assert(kept.as_value() == leg.all()),
                # Never more than was wanted, nor less than nothing.
                Assert((leg.held <= leg.size) | (told_now & was.entered & (was.pair == number))),
            ]
        waits = [(level == 2) | ((level == 1) & (repair.turn == place)) for place in range(2)]
        waits = [each & (queue[place].pair == number) for place, each in enumerate(waits)]
        idle = repair._fsm.ongoing("IDLE")
        looked = ~idle & (entry.pair == number)
        asked = repair._fsm.ongoing("JUDGE") | repair._fsm.ongoing("BACK")
        again = told_now & was.ended & (was.pair == number)
        m.d.comb += [
            Assert(pair.pending == pair.begins + sum(waits) + looked + pair.works + again),
            Assert(~pair.pending | (pair.entered == 0)),
            Assert(pair.entered <= 2),
            Assert(judged == repair._fsm.ongoing("JUDGE")),
            *(Assert(~each | (queue[place].made.tries == pair.tries)) for place, each in enumerate(waits)),
            Assert(~looked | (entry.made.tries == (pair.tries + ~asked)[:4])),
            Assert(~(pair.works | again) | (used.tries == pair.tries)),
            Assert(~pair.begins | (pair.tries == 0)),
        ]
        # What the order at work can still do.
        _, side, size, held = chosen(pair.leg, pair)
        told = told_now & (was.pair == number) & ~was.back
        rest = Mux(pair.side == side, size - held, held)
        at_work = pair.works | (looked & repair._fsm.ongoing("JUDGE"))
        m.d.comb += Assert(~at_work | (pair.open + Mux(told, was.quantity, 0) <= rest))

    def _look(self, m: Module, pair: Pair, told_now: Any, was: Any) -> None:
        """While a pair is looked at: what was read is what is known of it, and what was worked out is of that."""
        repair = self.repair
        row, legs, completes, spent, full, none, second, outdated = repair._looked
        _, _, _, _, entry = repair.waiting
        here = entry.pair == pair.number

        def since(step: str) -> Any:
            return here & Cat(repair._fsm.ongoing(name) for name in STEPS[STEPS.index(step) :]).any()

        whole, nothing = [leg.held == leg.size for leg in legs], [leg.held == 0 for leg in legs]
        doubted = legs[0].doubted | legs[1].doubted
        policy = (row.policy == LegPolicy.COMPLETE) | (row.policy == LegPolicy.UNWIND)
        one, one_leg = repair.request.payload.legs[0], Signal(legs[0].shape(), name=f"chosen_{pair.number}")
        m.d.comb += one_leg.eq(Mux(second, legs[1], legs[0]))
        idle = repair._fsm.ongoing("IDLE")
        rows = [repair.kept["rows"][2 * bank + pair.number] for bank in range(2)]
        in_force = [Mux(self.bank, *(getattr(each, name) for each in reversed(rows))) for name in ("policy", "leg_tries")]
        m.d.comb += [
            Assert(idle | ~here | ~(told_now & (was.pair == pair.number) & ~was.back)),
            Assert(~since("LEG_B") | outdated | (Cat(row.policy, row.leg_tries) == Cat(in_force))),
        ]
        for leg, kept, first in zip(legs, pair.legs, (1, 2), strict=True):
            known = [Cat(each.slot, each.side, each.size, each.held) for each in (leg, kept)]
            m.d.comb += Assert(~since(STEPS[first]) | (known[0] == known[1]))
            for step in range(first, len(STEPS)):
                there = here & repair._fsm.ongoing(STEPS[step])
                m.d.comb += Assert(~there | leg.doubted | ~kept.doubted | kept.unseen[: step - first + 1].any())
        m.d.comb += [
            Assert(~since("PICK") | (completes == (row.policy == LegPolicy.COMPLETE))),
            Assert(~since("PICK") | (spent == (~policy | (pair.tries >= row.leg_tries) | doubted))),
            Assert(~since("PICK") | (full == (whole[0] & whole[1] & ~doubted))),
            Assert(~since("PICK") | (none == (nothing[0] & nothing[1] & ~doubted))),
            Assert(~since("PICK") | (second == Mux(completes, whole[0], nothing[0]))),
            Assert(~since("PRICE") | ~(spent | full | none)),
            Assert(~since("PRICE") | (one.quantity == Mux(completes, one_leg.size - one_leg.held, one_leg.held)[:SHARES])),
            Assert(~since("PRICE") | (Cat(one.slot, one.side) == Cat(one_leg.slot, one_leg.side.as_value() ^ ~completes))),
        ]

    def _offer(self, m: Module, pair: Pair) -> None:
        """The statements themselves."""
        repair = self.repair
        order = repair.request.payload
        offered = repair.request.valid & (order.pair == pair.number)
        wanted, completes, tries = self._row(pair)
        seen = Cat((leg.doubted & ~leg.unseen.any()) for leg in pair.legs)
        one = order.legs[0]
        slot, side, size, held = chosen(order.leg, pair)
        m.d.comb += [
            # At most `leg_tries` are taken for one event.
            Assert(~offered | (pair.tries < tries)),
            # None while nothing is legged or another order is at work, nor for a pair that stops, is off or doubted.
            Assert(~offered | (pair.pending & ~pair.works & (pair.entered == 0))),
            Assert(~offered | wanted),
            Assert(~offered | ~seen.any()),
            # What it asks for is what remains, of a leg of which something does.
            Assert(~offered | (one.quantity == Mux(completes, size - held, held))),
            Assert(~offered | (one.quantity != 0)),
            Assert(~offered | ((one.slot == slot) & (one.side.as_value() == side ^ ~completes))),
            Assert(~offered | (order.single & order.repair)),
        ]


def run(repair: Any, *, mode: str = "prove", story: Story | None = None) -> str:
    proof = RepairProof(repair, story=story)
    told = story is not None
    depth = story.last + 1 if story is not None else DEPTH
    return proof.text(lambda: judge(proof, depth=depth, mode=mode, learns=told, flat=told))


def test_offers_are_bounded_and_what_remains() -> None:
    assert run(LegRepair) == "PASS"


def test_orders_are_offered_one_after_the_other() -> None:
    """The statements are not true for want of offers."""
    assert run(LegRepair, mode="cover", story=STORIES["filled"]) == "PASS"


@pytest.mark.parametrize(
    ("story", "old", "new"),
    [
        ("refused", "pair.made.tries >= row.leg_tries", "row.leg_tries < pair.made.tries"),
        ("refused", "back_entry.made.eq(made),", "back_entry.made.eq(pair.made),"),
        ("another set", "self.request.valid.eq(~outdated)", "self.request.valid.eq(1)"),
        ("first order", "Mux(written.row.enabled, written.row.policy, LegPolicy.STOP)", "written.row.policy"),
        ("first order", "is_done & (self._ends.outcome == PairOutcome.LEGGED)", "is_done"),
        ("first order", "with m.If(spent | full | none):", "with m.If(spent):"),
        ("first order", "order.side.eq(chosen.side.as_value() ^ ~completes)", "order.side.eq(chosen.side)"),
        (
            "first order",
            "Mux(completes, chosen.size, chosen.held) - Mux(completes, chosen.held, 0)",
            "Mux(completes, chosen.size, chosen.held)",
        ),
        ("broken trade", "before.doubted | told.back", "before.doubted"),
        ("filled", "back = told.side != before.side", "back = told.side != told.side"),
        ("last try", "Mux(again, used_read.data.tries, 0)", "0"),
    ],
)
@pytest.mark.soak(one_in=3)
def test_the_proof_finds_a_fault(story: str, old: str, new: str) -> None:
    assert run(mutant(LegRepair, old, new), mode="bmc", story=STORIES[story]) == "FAIL"
