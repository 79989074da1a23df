"""Tick to price."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.book.ticks import CENT, DOLLAR, OFFSET, TICK_BITS


class PriceOfTick(wiring.Component):
    """Price of a tick: the inverse of `TickOfPrice`, by shifts and adds.

    One tick a clock, latency 2 cycles, never waits.

    Members
    -------
    tick : In(26)
        Tick of a price.
    price : Out(32)
        1/10000 dollar.
    """

    latency = 2

    def __init__(self) -> None:
        super().__init__({"tick": In(TICK_BITS), "price": Out(32)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        # 100 (t - 9900) = 4 (24 t + (t - 247500))
        most = Signal(TICK_BITS + 5)
        rest = Signal(TICK_BITS + 5)
        small = Signal()
        plain = Signal(range(DOLLAR))
        m.d.sync += [
            most.eq((self.tick << 4) + (self.tick << 3)),
            rest.eq(self.tick - OFFSET * CENT // 4),
            small.eq(self.tick < DOLLAR),
            plain.eq(self.tick),
            self.price.eq(Mux(small, plain, (most + rest)[:30] << 2)),
        ]
        return m
