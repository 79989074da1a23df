"""Cancels for whatever is open."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import TradingState
from hdl.risk.ledger import shown
from hdl.spec.geometry import Geometry


class CancelWalker(wiring.Component):
    """Goes round the ledger's places, once whenever the trading state becomes KILLED or the host asks, and has every order it
    finds open canceled.

    It begins with the newest order and goes back: what was sent last is most likely still open. Each place is looked at once a
    walk, so each open order gets one cancel. A walk asked for during another one goes on from where that is, once round: no
    order waits longer for being asked for often. An order that ends between look and cancel gets one that comes too late, which
    the exchange passes over.

    It shares nothing with what stops orders, and nothing waits for it. What `cancel` does not take waits here, for as long as it
    takes: a cancel does not get stale.

    Latency: two clocks a place where the ledger has time, and one more before the first: the newest order's cancel is offered
    `LATENCY` clocks after the clock in which the state is KILLED, or of `cancel_all`. Overload: none.
    Source: DESIGN section 7.

    Parameters
    ----------
    geometry : Geometry
        Decides own orders followed at once.

    Members
    -------
    trading_state : In(TradingState)
        In force.
    cancel_all : In(1)
        The host wants everything canceled, in any state.
    next_user_ref_num : In(32)
        Number of the next order.
    show : Out(range(geometry.open_orders))
        Place to look at.
    shown : In(stream.Signature(shown(), always_ready=True))
        What the ledger shows of it.
    cancel : Out(stream.Signature(32))
        Number of an order to cancel.
    """

    LATENCY = 3

    def __init__(self, *, geometry: Geometry):
        self._places = geometry.open_orders
        super().__init__(
            {
                "trading_state": In(TradingState),
                "cancel_all": In(1),
                "next_user_ref_num": In(32),
                "show": Out(range(geometry.open_orders)),
                "shown": In(stream.Signature(shown(), always_ready=True)),
                "cancel": Out(stream.Signature(32)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        killed, was_killed, begins = Signal(), Signal(), Signal()
        m.d.comb += [
            killed.eq(self.trading_state == TradingState.KILLED),
            begins.eq((killed & ~was_killed) | self.cancel_all),
        ]
        m.d.sync += was_killed.eq(killed)

        left = Signal(range(self._places + 1))
        found = Signal()
        m.d.comb += self.cancel.valid.eq(found)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += self.show.eq(self.next_user_ref_num - 1)
                with m.If(begins | (left != 0)):
                    m.next = "LOOK"
            # The place is new in this clock: what is shown may be of the last one.
            with m.State("LOOK"):
                with m.If(~found | self.cancel.ready):
                    m.d.sync += found.eq(0)
                    m.next = "SEE"
                    with m.If(left == 0):
                        m.next = "IDLE"
            with m.State("SEE"):
                with m.If(self.shown.valid):
                    m.d.sync += [
                        self.cancel.payload.eq(self.shown.payload.user_ref_num),
                        found.eq(self.shown.payload.open),
                        self.show.eq(self.show - 1),
                        left.eq(left - 1),
                    ]
                    m.next = "LOOK"
        with m.If(begins):
            m.d.sync += left.eq(self._places)
        return m
