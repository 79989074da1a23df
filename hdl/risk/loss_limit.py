"""When enough was lost."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.spec.registers import RISK

LOSS_BITS = next(register.bits for register in RISK.registers if register.name == "max_loss")


class LossLimit(wiring.Component):
    """Remembers that the loss was greater than its limit, until the host re-arms it while it no longer is.

    Latency: `reached` is high two clocks after `pnl` fell below the limit. A loss that passes within a clock counts.

    Source: DESIGN section 7, group loss.

    Parameters
    ----------
    bits : int
        Bits of `pnl`, more than `max_loss` has.

    Members
    -------
    pnl : In(signed(bits))
        Profit and loss.
    valid : In(1)
        `pnl` is whole.
    max_loss : In(LOSS_BITS)
        A loss of just as much is not too much.
    rearm : In(1)
        The host forgets it.
    reached : Out(1)
        Kept until then. A loss in the same clock counts before the host does.
    """

    def __init__(self, *, bits: int):
        if bits <= LOSS_BITS:
            raise ValueError(f"bits: {bits} was given, allowed are {LOSS_BITS + 1} and more")
        super().__init__(
            {
                "pnl": In(signed(bits)),
                "valid": In(1),
                "max_loss": In(LOSS_BITS),
                "rearm": In(1),
                "reached": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        below = Signal()
        m.d.sync += below.eq(self.valid & (self.pnl + self.max_loss < 0))
        with m.If(below):
            m.d.sync += self.reached.eq(1)
        with m.Elif(self.rearm):
            m.d.sync += self.reached.eq(0)
        return m
