"""The one place where the trading state is kept."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import TradingState


class TradingStateHolder(wiring.Component):
    """Holds the trading state: the host sets it, gateware can only lower it.

    After reset the state is HALTED: nothing leaves a card nobody has set up.

    Members
    -------
    load : In(stream.Signature(TradingState, always_ready=True))
        The host sets a state.
    halt : In(1)
        A machine saw something it cannot square: ACTIVE and REDUCE_ONLY become HALTED, and a load of this very clock that would
        leave it higher does not count.
    value : Out(TradingState)
        State in force, one clock after its cause.
    """

    load: In(stream.Signature(TradingState, always_ready=True))
    halt: In(1)
    value: Out(TradingState, init=TradingState.HALTED)

    def elaborate(self, platform) -> Module:
        m = Module()
        with m.If(self.load.valid):
            m.d.sync += self.value.eq(self.load.payload)
        killed = (self.value == TradingState.KILLED) & ~self.load.valid
        killing = self.load.valid & (self.load.payload == TradingState.KILLED)
        with m.If(self.halt & ~killed & ~killing):
            m.d.sync += self.value.eq(TradingState.HALTED)
        return m
