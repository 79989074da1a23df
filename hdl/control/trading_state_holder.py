"""The one place where the trading state is kept."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import TradingState
from hdl.spec.registers import REARM_KEYS


class TradingStateHolder(wiring.Component):
    """Holds the trading state: the host sets it, gateware can only lower it, and nobody raises it out of KILLED by setting it.

    After reset the state is HALTED: nothing leaves a card nobody has set up. KILLED becomes HALTED, and no more than that, when
    both `REARM_KEYS` come in their order with nothing else loaded between them, and all own orders have ended.

    Members
    -------
    load : In(stream.Signature(TradingState, always_ready=True))
        The host sets a state. In KILLED it does nothing.
    rearm : In(stream.Signature(32, always_ready=True))
        The host gives a key.
    rearming : Out(1)
        The first key was given.
    ended : In(1)
        No own order is open.
    reduce : In(1)
        ACTIVE becomes REDUCE_ONLY.
    halt : In(1)
        A machine saw something it cannot square: ACTIVE and REDUCE_ONLY become HALTED.
    kill : In(1)
        Whatever it is becomes KILLED.
    value : Out(TradingState)
        State in force, one clock after its cause. What lowers it counts before what the host does in the same clock.
    """

    load: In(stream.Signature(TradingState, always_ready=True))
    rearm: In(stream.Signature(32, always_ready=True))
    rearming: Out(1)
    ended: In(1)
    reduce: In(1)
    halt: In(1)
    kill: In(1)
    value: Out(TradingState, init=TradingState.HALTED)

    def elaborate(self, platform) -> Module:
        m = Module()
        killed = Signal()
        wanted = Signal(TradingState)
        m.d.comb += [killed.eq(self.value == TradingState.KILLED), wanted.eq(self.value)]
        with m.If(self.load.valid):
            m.d.sync += self.rearming.eq(0)
            with m.If(~killed):
                m.d.comb += wanted.eq(self.load.payload)
        with m.Elif(self.rearm.valid):
            m.d.sync += self.rearming.eq(self.rearm.payload == REARM_KEYS[0])
            with m.If(self.rearming & (self.rearm.payload == REARM_KEYS[1]) & self.ended & killed):
                m.d.comb += wanted.eq(TradingState.HALTED)

        # States are numbered from the freest on.
        lowest = Signal(TradingState)
        m.d.comb += lowest.eq(
            Mux(
                self.kill,
                TradingState.KILLED,
                Mux(self.halt, TradingState.HALTED, Mux(self.reduce, TradingState.REDUCE_ONLY, TradingState.ACTIVE)),
            )
        )
        m.d.sync += self.value.eq(Mux(wanted.as_value() < lowest.as_value(), lowest, wanted))
        return m
