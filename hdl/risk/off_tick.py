"""Whether a price is on the grid of ticks."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

_DOLLAR = 10_000
_DIGIT = 10
"""Bits of a digit: 2**10 is one less than 41 times 25, so digits of even and odd place count with opposite signs modulo 25."""


class OffTick(wiring.Component):
    """Tells prices that are no multiple of 100, one a clock, `LATENCY` clocks later. Below a dollar every price is on the grid.

    A multiple of 100 is one of 4, which two bits tell, and of 25, which the alternating sum of its digits tells.

    Members
    -------
    price : In(32)
        Price, 1/10000 dollar.
    off_tick : Out(1)
        The price of three clocks ago is not on the grid.
    """

    LATENCY = 3

    price: In(32)
    off_tick: Out(1)

    def elaborate(self, platform) -> Module:
        m = Module()
        digits = [self.price[place : place + _DIGIT] for place in range(0, len(self.price), _DIGIT)]
        alternating = Signal(signed(_DIGIT + 2))
        odd, coarse = Signal(), Signal()
        m.d.sync += [
            alternating.eq(digits[0] + digits[2] - digits[1] - digits[3]),
            odd.eq(self.price[:2].any()),
            coarse.eq(self.price >= _DOLLAR),
        ]

        # The bits above the digit are -2 to 1; 75 makes the sum positive and changes nothing modulo 25.
        folded = Signal(_DIGIT + 1)
        odd_next, coarse_next = Signal(), Signal()
        m.d.sync += [
            folded.eq(alternating[:_DIGIT] - alternating[_DIGIT:].as_signed() + 75),
            odd_next.eq(odd),
            coarse_next.eq(coarse),
        ]

        multiple = Signal()
        with m.Switch(folded):
            with m.Case(*range(0, 1 << len(folded), 25)):
                m.d.comb += multiple.eq(1)
        m.d.sync += self.off_tick.eq(coarse_next & (odd_next | ~multiple))
        return m
