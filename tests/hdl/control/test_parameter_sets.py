"""When a set comes into force: to the clock in simulation; what must never happen by k-induction, for every input.

Every proof is run a second time on a component with a fault that it has to find.
"""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.hdl import Assert, Assume, Cat, Const, Cover, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.control.parameter_sets import ParameterSets
from hdl.interfaces import Mode, TradingState
from hdl.risk.risk_gate import RiskGate
from hdl.spec.geometry import Geometry
from tests.support.proofs import constant, judge, mutant, out_of_reset
from tests.support.simulation import simulate

GEOMETRY = Geometry(slots=3, pairs=5)
PROVED = Geometry(slots=2, pairs=3)
JUDGED = Geometry(slots=2, pairs=1)
"""A set of three rows, for proofs that begin with a whole one."""
PULSES = ("wrong_epoch", "incomplete", "above_ceiling", "out_of_turn", "swap")


class Bench:
    """Rows and commits of a host, and what comes of them."""

    def __init__(self, ctx: Any, sets: ParameterSets):
        self.ctx, self.sets = ctx, sets
        self.clock = 0
        self.seen: dict[str, list[int]] = {name: [] for name in PULSES}

    async def step(self, clocks: int = 1) -> None:
        for _ in range(clocks):
            for name in PULSES:
                if self.ctx.get(getattr(self.sets, name)):
                    self.seen[name].append(self.clock)
            await self.ctx.tick()
            self.clock += 1

    def taken(self) -> dict[str, int]:
        found = {name: len(clocks) for name, clocks in self.seen.items() if clocks}
        for clocks in self.seen.values():
            clocks.clear()
        return found

    async def row(self, table: str, row: int) -> None:
        stream = getattr(self.sets, table)
        self.ctx.set(stream.valid, 1)
        self.ctx.set(stream.payload.row, row)
        await self.step()
        self.ctx.set(stream.valid, 0)

    async def write(self) -> None:
        for row in range(GEOMETRY.slots):
            await self.row("limits", row)
        for row in range(GEOMETRY.pairs):
            await self.row("pairs", row)

    async def commit(self, epoch: int, clocks: int = 10) -> dict[str, int]:
        self.ctx.set(self.sets.commit.valid, 1)
        self.ctx.set(self.sets.commit.payload, epoch)
        await self.step()
        self.ctx.set(self.sets.commit.valid, 0)
        await self.step(clocks)
        return self.taken()

    @property
    def state(self) -> tuple[int, int]:
        return self.ctx.get(self.sets.epoch), self.ctx.get(self.sets.bank)


def run(story: Any) -> None:
    sets = ParameterSets(geometry=GEOMETRY)

    async def bench(ctx: Any) -> None:
        await story(Bench(ctx, sets))

    simulate(sets, bench)


def test_a_whole_set_is_committed_by_the_next_number_only() -> None:
    async def story(bench: Bench) -> None:
        assert await bench.commit(1) == {"incomplete": 1}
        for epoch in (1, 2, 3):
            await bench.write()
            for other in (epoch - 1, epoch + 1, 65_535):
                assert await bench.commit(other) == {"wrong_epoch": 1}
                assert bench.state == (epoch - 1, 1 - epoch % 2)
            assert await bench.commit(epoch) == {"swap": 1}
            assert bench.state == (epoch, epoch % 2)
            # What is in the other bank now is the set before.
            assert await bench.commit(epoch + 1) == {"incomplete": 1}

    run(story)


@pytest.mark.parametrize("table", ["pairs", "limits"])
def test_a_row_that_is_missing_is_missed(table: str) -> None:
    rows = {"pairs": GEOMETRY.pairs, "limits": GEOMETRY.slots}[table]

    async def story(bench: Bench) -> None:
        for missing in range(rows):
            await bench.write()
            for row in range(rows):
                if row != missing:
                    await bench.row(table, row)
            # Without its row 0 a table is not begun anew, and the rest comes too late.
            late = rows - 1 if missing == 0 else rows - 1 - missing
            if missing == 0:
                assert bench.taken() == {"out_of_turn": late}
                continue
            expected = {"incomplete": 1} | ({"out_of_turn": late} if late else {})
            assert await bench.commit(1) == expected
            assert bench.state == (0, 0)

    run(story)


def test_limits_of_one_set_and_pairs_of_another_are_none() -> None:
    async def story(bench: Bench) -> None:
        await bench.write()
        for row in range(GEOMETRY.slots):
            await bench.row("limits", row)
        assert await bench.commit(1) == {"incomplete": 1}
        for row in range(GEOMETRY.pairs):
            await bench.row("pairs", row)
        assert await bench.commit(1) == {"swap": 1}

    run(story)


def test_rows_come_in_order_and_row_0_begins_anew() -> None:
    async def story(bench: Bench) -> None:
        await bench.write()
        for row in (0, 1, 3, 1, 2, 2, 3):
            await bench.row("pairs", row)
        assert bench.taken() == {"out_of_turn": 3}
        assert await bench.commit(1) == {"incomplete": 1}
        await bench.row("pairs", 4)
        assert await bench.commit(1) == {"swap": 1}

    run(story)


def test_a_row_above_a_ceiling_spoils_the_set_until_limits_begin_anew() -> None:
    async def story(bench: Bench) -> None:
        await bench.write()
        bench.ctx.set(bench.sets.limits_refused, 1)
        await bench.step()
        bench.ctx.set(bench.sets.limits_refused, 0)
        assert await bench.commit(1) == {"incomplete": 1}
        await bench.row("pairs", 0)
        assert await bench.commit(1) == {"incomplete": 1}
        await bench.write()
        assert await bench.commit(1) == {"swap": 1}

    run(story)


def test_a_register_above_its_ceiling_keeps_the_set_out_and_spoils_nothing() -> None:
    async def story(bench: Bench) -> None:
        bench.ctx.set(bench.sets.registers_above, 1)
        assert await bench.commit(1) == {"incomplete": 1}
        await bench.write()
        assert await bench.commit(2) == {"wrong_epoch": 1}
        assert await bench.commit(1) == {"above_ceiling": 1}
        assert bench.state == (0, 0)
        bench.ctx.set(bench.sets.registers_above, 0)
        assert await bench.commit(1) == {"swap": 1}

    run(story)


def test_nothing_is_taken_while_a_commit_waits() -> None:
    async def story(bench: Bench) -> None:
        for gap in range(16):
            epoch = bench.state[0]
            await bench.write()
            bench.ctx.set(bench.sets.limits_waiting, 1)
            assert await bench.commit(epoch + 1, 4) == {}
            bench.ctx.set(bench.sets.limits_waiting, 0)
            await bench.step(gap)
            switched = bench.state[0] != epoch
            await bench.row("pairs", 0)
            await bench.step(10)
            found = bench.taken()
            assert found.pop("swap") == 1
            assert found == ({} if switched else {"out_of_turn": 1}), gap
            assert bench.ctx.get(bench.sets.frozen) == 0

    run(story)


LAST_TAKEN = 2 + ParameterSets.DRAIN


@pytest.mark.parametrize("busy", [0, 1, RiskGate.LATENCY])
def test_latency(busy: int) -> None:
    """Where nothing is judged, and where a request is taken in the last clock in which one may be."""

    async def story(bench: Bench) -> None:
        await bench.write()
        bench.ctx.set(bench.sets.commit.valid, 1)
        bench.ctx.set(bench.sets.commit.payload, 1)
        at = bench.clock
        for clock in range(20):
            # `hold` is high from the second clock on.
            bench.ctx.set(bench.sets.judging, bool(busy) and LAST_TAKEN < clock <= LAST_TAKEN + busy)
            await bench.step()
            bench.ctx.set(bench.sets.commit.valid, 0)
        [switched] = bench.seen["swap"]
        assert switched - at == ParameterSets.LATENCY + busy
        assert ParameterSets.LATENCY + RiskGate.LATENCY == ParameterSets.LATENCY_BUSY

    run(story)


class SetsProof(wiring.Component):
    """Watches any row of either table: it is in force only if it was written since the last change, and none was refused."""

    def __init__(self, sets: Any):
        self._watched = [Signal(range(PROVED.pairs), name="pair_watched"), Signal(range(PROVED.slots), name="slot_watched")]
        self._written = [Signal(name="pair_written"), Signal(name="slot_written")]
        self._spoiled = Signal()
        self.sets = self._seen_through(sets)(geometry=PROVED)
        inputs = {name: member for name, member in self.sets.signature.members.items() if member.flow is In}
        super().__init__(inputs | {"pair": In(range(PROVED.pairs)), "slot": In(range(PROVED.slots))})

    def _seen_through(self, sets: Any) -> Any:
        """The class with what the induction stands on: what it counts is what is watched."""
        watched, written, spoiled = self._watched, self._written, self._spoiled

        class Seen(sets):
            def _rows(self, *given: Any) -> Signal:
                self.done.append(super()._rows(*given))
                return self.done[-1]

            def elaborate(self, platform: Any) -> Module:
                self.done: list[Signal] = []
                m = super().elaborate(platform)
                whole = (self.done[0] == PROVED.pairs) & (self.done[1] == PROVED.slots) & ~self._broken
                m.d.comb += [Assert(kept == (row < done)) for kept, row, done in zip(written, watched, self.done, strict=True)]
                m.d.comb += [
                    Assert(self._broken == spoiled),
                    Assert(~self.hold | (whole & ~self.limits_waiting)),
                    Assert(self.hold | ~(self._held.any() | self.swap)),
                ]
                return m

        return Seen

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        out_of_reset(m)
        m.submodules.sets = sets = self.sets
        for name, member in sets.signature.members.items():
            if member.flow is In and member.is_port:
                m.d.comb += getattr(sets, name).eq(getattr(self, name))
            elif member.flow is In:
                wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(sets, name))
        taken, waited = Signal(), Signal()
        m.d.sync += [taken.eq(sets.take_limits), waited.eq(self.limits_waiting)]
        m.d.comb += [
            # What the gate promises: a row that was taken waits, and is refused then or never.
            Assume(~taken | self.limits_waiting),
            Assume(~self.limits_waiting | taken | waited),
            Assume(~self.limits_refused | self.limits_waiting),
            Assume((self.pair < PROVED.pairs) & (self.pairs.payload.row < PROVED.pairs)),
            Assume((self.slot < PROVED.slots) & (self.limits.payload.row < PROVED.slots)),
            self._watched[0].eq(self.pair),
            self._watched[1].eq(self.slot),
        ]
        constant(m, self.pair, "pair")
        constant(m, self.slot, "slot")
        rows, takes = (self.pairs.payload.row, self.limits.payload.row), (sets.take_pair, sets.take_limits)
        for row, take, watched, written in zip(rows, takes, self._watched, self._written, strict=True):
            with m.If(sets.swap):
                m.d.sync += written.eq(0)
            with m.Elif(take & (row == 0)):
                m.d.sync += written.eq(watched == 0)
            with m.Elif(take & (row == watched)):
                m.d.sync += written.eq(1)
        with m.If(sets.take_limits & (self.limits.payload.row == 0)):
            # A set begins with its limits; a pair written before them is of another.
            m.d.sync += self._written[0].eq(0)
        with m.If(self.limits_refused):
            m.d.sync += self._spoiled.eq(1)
        with m.Elif(sets.take_limits & (self.limits.payload.row == 0)):
            m.d.sync += self._spoiled.eq(0)
        bank, switched, begun = Signal(), Signal(), Signal()
        held, above = Signal(), Signal()
        m.d.sync += [bank.eq(sets.bank), switched.eq(sets.swap), begun.eq(1), held.eq(sets.hold), above.eq(self.registers_above)]
        m.d.comb += [
            # It begins to hold with nothing above a ceiling; from then on `frozen` keeps what is written as it is.
            Assert(~(begun & sets.hold & ~held) | ~above),
            Assert(~sets.hold | sets.frozen),
            Assert(~sets.swap | (self._written[0] & self._written[1] & ~self._spoiled & ~self.limits_waiting)),
            Assert(~begun | ((bank ^ sets.bank) == switched)),
            # Nothing goes into the bank that is about to be in force.
            Assert(~(sets.hold & (sets.take_pair | sets.take_limits))),
            Assert(~sets.take_pair | self.pairs.valid),
            Assert(~sets.take_limits | self.limits.valid),
            Cover(sets.swap & sets.bank),
        ]
        return m


def test_a_second_set_can_come_into_force() -> None:
    """The rules below are not true for want of commits."""
    assert judge(SetsProof(ParameterSets), depth=2 * (PROVED.pairs + PROVED.slots + 8), mode="cover") == "PASS"


def test_a_half_written_set_is_never_in_force() -> None:
    assert judge(SetsProof(ParameterSets), depth=3) == "PASS"


FAULTS = [
    ("& complete & ~self.registers_above):", "& complete):"),
    ("& ~broken", ""),
    ("(pairs == self._geometry.pairs) & ", "(pairs != 0) & "),
    ("(limits == self._geometry.slots)", "(limits != 0)"),
    ("written.valid & ~self.frozen", "written.valid"),
    ("(row == done)", "(row >= done)"),
    ("& ~self.limits_waiting),\n            is_next", "),\n            is_next"),
    ("limits.eq(0),", "limits.eq(limits),"),
    ("pairs.eq(0)\n        m.d.comb", "pairs.eq(pairs)\n        m.d.comb"),
    ("self.bank.eq(~self.bank)", "self.bank.eq(self.bank)"),
]


@pytest.mark.parametrize(("old", "new"), FAULTS)
@pytest.mark.soak(one_in=3)
def test_the_proof_finds_a_fault(old: str, new: str) -> None:
    assert judge(SetsProof(mutant(ParameterSets, old, new)), depth=PROVED.pairs + PROVED.slots + 10, mode="bmc") == "FAIL"


class SwitchProof(wiring.Component):
    """Watches `ParameterSets` and the gate: no request is judged by two sets. What the gate's rows say is left out."""

    def __init__(self, sets: Any, gate: Any = RiskGate):
        class Gate(gate):
            def _tables(self, m: Module, request: Any, step: Any) -> list:
                return [(Signal(self.limits.payload.row.shape()), Const(1, 32), Const(1, 14)) for _ in request.legs]

        self.sets, self.gate = sets(geometry=JUDGED), Gate(geometry=JUDGED)
        inputs = {name: member for name, member in self.sets.signature.members.items() if member.flow is In and name != "judging"}
        super().__init__(
            inputs
            | {name: In(1) for name in ("asked", "booking", "settling")}
            | {"mode": In(Mode), "trading_state": In(TradingState)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        out_of_reset(m)
        m.submodules.sets, m.submodules.gate = sets, gate = self.sets, self.gate
        for name, member in self.signature.members.items():
            if not member.is_port:
                wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(sets, name))
            elif name != "asked":
                m.d.comb += getattr(sets if hasattr(sets, name) else gate, name).eq(getattr(self, name))
        held, taken = Signal(ParameterSets.DRAIN + 1), Signal()
        story, epoch, bank = Signal(RiskGate.LATENCY + 1), Signal(8), Signal()
        m.d.sync += [held.eq(Cat(sets.hold, held) & ~sets.swap.replicate(len(held))), story.eq(Cat(taken, story))]
        m.d.comb += [
            sets.judging.eq(gate.judging),
            gate.epoch.eq(sets.epoch[:8]),
            gate.bank.eq(sets.bank),
            # What the trigger promises: `test_spread_trigger` holds it to it.
            gate.request.valid.eq(self.asked & ~held[-1]),
            gate.request.payload.legs[1].slot.eq(1),
            gate.transmitter_ready.eq(1),
            gate.session_up.eq(1),
            taken.eq(gate.request.valid & gate.request.ready),
        ]
        with m.If(taken):
            m.d.sync += [epoch.eq(sets.epoch), bank.eq(sets.bank)]
        under_way = taken | story[: RiskGate.LATENCY].any()
        record = gate.verdict_event
        m.d.comb += [
            Assert(~(sets.swap & under_way)),
            Assert(~story[: RiskGate.LATENCY].any() | (bank == sets.bank) & (epoch == sets.epoch[:8])),
            Assert(~record.valid | (record.payload.epoch == epoch)),
            # What the induction stands on: the gate is busy as long as the story says.
            Assert(gate.judging == story[: RiskGate.LATENCY].any()),
            Assert(~(story & (story - 1)).any() | (story[RiskGate.LATENCY] & ~(story[:-1] & (story[:-1] - 1)).any())),
            Assert(~sets.swap | (sets.hold & held.all())),
            Assert(sets.hold | ~held.any()),
            Cover(sets.swap & (epoch == 1) & (sets.epoch == 1)),
        ]
        return m


def test_no_request_is_judged_by_two_sets() -> None:
    assert judge(SwitchProof(ParameterSets), depth=RiskGate.LATENCY + 3) == "PASS"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("held[-1] & ~self.judging & ~self.swap", "held[-1] & ~self.swap"),
        ("self.swap.eq(held[-1] & ~self.judging", "self.swap.eq(held[-2] & ~self.judging"),
    ],
)
@pytest.mark.soak(one_in=3)
def test_the_proof_of_the_switch_finds_a_fault(old: str, new: str) -> None:
    assert judge(SwitchProof(mutant(ParameterSets, old, new)), depth=20, mode="bmc") == "FAIL"


def test_the_proof_of_the_switch_finds_a_gate_that_does_not_say_what_it_is_at() -> None:
    gate = mutant(RiskGate, "self.judging.eq(busy)", "self.judging.eq(step[2])")
    assert judge(SwitchProof(ParameterSets, gate), depth=20, mode="bmc") == "FAIL"
