"""Whether limits of the whole card that the host wrote are above their ceilings."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.risk.risk_gate import CEILINGS
from hdl.spec.geometry import Geometry
from hdl.spec.registers import CARD_LIMITS


class CardCeilings(wiring.Component):
    """Keeps the first row of ceilings after reset, as the gate does, and holds what is staged against it. Before it came nothing
    is above.

    Latency: `above` is as of the clock before.

    Source: DESIGN section 7, ceilings.

    Parameters
    ----------
    geometry : Geometry
        Of the card.

    Members
    -------
    ceilings : In(stream.Signature(interfaces.table_write(CEILINGS, geometry), always_ready=True))
        The gate takes the same stream.
    locked : In(1)
        The gate has ceilings: none is taken any more.
    staged : In(interfaces.card_limits())
        What is to be in force with the next set.
    above : Out(1)
        Some of it is above its ceiling.
    """

    def __init__(self, *, geometry: Geometry):
        super().__init__(
            {
                "ceilings": In(stream.Signature(interfaces.table_write(CEILINGS, geometry), always_ready=True)),
                "locked": In(1),
                "staged": In(interfaces.card_limits()),
                "above": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        highest = {name: (1 << bits) - 1 for name, bits in CARD_LIMITS.items()}
        self._kept = ceilings = Signal(interfaces.card_limits(), init=highest)
        with m.If(self.ceilings.valid & ~self.locked):
            m.d.sync += [ceilings[name].eq(self.ceilings.payload.row[name]) for name in CARD_LIMITS]
        m.d.sync += self.above.eq(Cat(ceilings[name] < self.staged[name] for name in CARD_LIMITS).any())
        return m
