"""`CardCeilings`: to the clock in simulation; that nothing above a ceiling is ever called in order, by k-induction."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.hdl import Assert, Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl import interfaces
from hdl.risk.card_ceilings import CardCeilings
from hdl.spec.geometry import Geometry
from hdl.spec.registers import CARD_LIMITS
from tests.support.proofs import judge, mutant, out_of_reset
from tests.support.simulation import simulate

GEOMETRY = Geometry(slots=2, pairs=2)
ROW = {"max_gross": 1 << 40, "max_net": 5, "max_loss": 0, "max_open_orders": 7, "rate_tokens": 0xFFFF}


def test_each_limit_has_its_own() -> None:
    assert CARD_LIMITS == {"max_gross": 56, "max_net": 56, "max_loss": 56, "max_open_orders": 16, "rate_tokens": 16}
    dut = CardCeilings(geometry=GEOMETRY)

    async def bench(ctx: Any) -> None:
        async def above(**changes: int) -> int:
            ctx.set(dut.staged, ROW | changes)
            await ctx.tick()
            return ctx.get(dut.above)

        async def write(**row: int) -> None:
            ctx.set(dut.ceilings.payload.row, row)
            ctx.set(dut.ceilings.valid, 1)
            await ctx.tick()
            ctx.set(dut.ceilings.valid, 0)

        highest = {name: (1 << bits) - 1 for name, bits in CARD_LIMITS.items()}
        # Before they are loaded there are none.
        assert not await above(**highest)
        await write(**ROW)
        ctx.set(dut.locked, 1)
        assert not await above()
        for name, ceiling in ROW.items():
            if ceiling < highest[name]:
                assert await above(**{name: ceiling + 1})
                assert await above(**{name: highest[name]})
            assert not await above(**{name: 0})
        # A second row is too late.
        await write(**highest)
        assert await above(max_net=6)

    simulate(dut, bench)


class CeilingsProof(wiring.Component):
    """Keeps the first row by itself."""

    def __init__(self, dut: Any):
        self.dut = dut(geometry=GEOMETRY)
        super().__init__({name: member for name, member in self.dut.signature.members.items() if member.flow is In})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        out_of_reset(m)
        m.submodules.dut = dut = self.dut
        wiring.connect(m, wiring.flipped(self.ceilings), dut.ceilings)
        first = Signal(interfaces.card_limits())
        kept, before, begun = Signal(), Signal(interfaces.card_limits()), Signal()
        known = Signal()
        m.d.comb += [dut.locked.eq(kept), dut.staged.eq(self.staged)]
        m.d.sync += [before.eq(self.staged), begun.eq(1), known.eq(kept)]
        with m.If(self.ceilings.valid & ~kept):
            m.d.sync += [kept.eq(1), *(first[name].eq(self.ceilings.payload.row[name]) for name in CARD_LIMITS)]
        exceeds = Cat(before[name] > first[name] for name in CARD_LIMITS).any()
        m.d.comb += Assert(~begun | (dut.above == (known & exceeds)))
        # What the induction stands on.
        inside = dut.kept
        m.d.comb += [
            Assert(~kept | (inside == first.as_value())),
            Assert(kept | inside.all()),
        ]
        return m


def seen(dut: Any) -> Any:
    """The class with what it keeps shown."""

    class Seen(dut):
        def elaborate(self, platform: Any) -> Module:
            m = super().elaborate(platform)
            m.d.comb += self.kept.eq(self._kept.as_value())
            return m

        def __init__(self, *, geometry: Geometry):
            super().__init__(geometry=geometry)
            self.kept = Signal(sum(CARD_LIMITS.values()))

    return Seen


def test_what_is_above_a_locked_ceiling_is_told() -> None:
    assert judge(CeilingsProof(seen(CardCeilings)), depth=3) == "PASS"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.ceilings.valid & ~self.locked", "self.ceilings.valid"),
        ("ceilings[name] < self.staged[name]", "ceilings[name] + 1 < self.staged[name]"),
        (".any())", ".all())"),
    ],
)
@pytest.mark.soak(one_in=3)
def test_the_proof_finds_a_fault(old: str, new: str) -> None:
    assert judge(CeilingsProof(seen(mutant(CardCeilings, old, new))), depth=6, mode="bmc") == "FAIL"
