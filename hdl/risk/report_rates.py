"""How often the exchange rejected or canceled orders a short while ago."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

COUNT_BITS = 12


class ReportRates(wiring.Component):
    """Counts rejected and canceled orders of all slots in a window, each up to the highest count there is.

    Windows follow each other whether reports come or not, so around a border twice as many may come in one window's time. What
    comes in the last clock of a window counts in the next. An order that was canceled in two parts counts twice.

    Latency: what is told in a clock shows two clocks later.

    Overload: a count stays at its highest.

    Source: DESIGN section 7, group rate.

    Members
    -------
    rejected, canceled : In(1)
        A report of this kind was booked.
    reject_rate_orders, cancel_rate_orders : In(COUNT_BITS)
    report_rate_window : In(32)
        Registers.
    rejects_reached, cancels_reached : Out(1)
        As many as may came in this window. Never where that is 0.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "rejected": In(1),
                "canceled": In(1),
                "reject_rate_orders": In(COUNT_BITS),
                "cancel_rate_orders": In(COUNT_BITS),
                "report_rate_window": In(32),
                "rejects_reached": Out(1),
                "cancels_reached": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        timer, over = Signal(32, init=1), Signal()
        endless = self.report_rate_window == 0
        m.d.comb += over.eq(~endless & (timer >= self.report_rate_window))
        m.d.sync += timer.eq(Mux(over | endless, 1, timer + 1))
        for told, most, reached in (
            (self.rejected, self.reject_rate_orders, self.rejects_reached),
            (self.canceled, self.cancel_rate_orders, self.cancels_reached),
        ):
            count = Signal(COUNT_BITS, name=f"{told.name}_count")
            m.d.sync += [
                count.eq(Mux(over, 0, count) + (told & (over | ~count.all()))),
                reached.eq((most != 0) & (count >= most)),
            ]
        return m
