"""Whether the host still lives."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Watchdog(wiring.Component):
    """Counts the clocks since the host's last heartbeat.

    `overdue` is high from `period` clocks without one, `lost` from twice as many, both until the next one. After reset the host
    has a whole period; a heartbeat ends what its own clock would have begun.

    Members
    -------
    heartbeat : In(1)
        The host lives.
    period : In(32)
        Clocks between two heartbeats at most; 0: it is not watched.
    overdue, lost : Out(1)
        One period, two periods without a heartbeat.
    expired : Out(1)
        One-clock pulse where either begins.
    """

    heartbeat: In(1)
    period: In(32)
    overdue: Out(1)
    lost: Out(1)
    expired: Out(1)

    def elaborate(self, platform) -> Module:
        m = Module()
        silent = Signal(32, init=1)
        over = Signal()
        m.d.comb += over.eq((silent >= self.period) & (self.period != 0))
        m.d.sync += [silent.eq(silent + 1), self.expired.eq(0)]
        with m.If(self.heartbeat | (self.period == 0)):
            m.d.sync += [silent.eq(1), self.overdue.eq(0), self.lost.eq(0)]
        with m.Elif(over):
            m.d.sync += [silent.eq(1), self.overdue.eq(1), self.lost.eq(self.overdue), self.expired.eq(~self.lost)]
        return m
