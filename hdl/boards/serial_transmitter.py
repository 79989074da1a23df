"""Bytes to a serial line."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class SerialTransmitter(wiring.Component):
    """Bytes to a serial line: one start bit, eight data bits, one stop bit.

    Parameters
    ----------
    divisor : int
        Clocks a bit, from 4 on.

    Members
    -------
    byte : In(stream of 8 bits)
        Taken when the line is free.
    line : Out(1)
        The wire, high when idle.
    """

    def __init__(self, *, divisor: int) -> None:
        if divisor < 4:
            raise ValueError(f"divisor: {divisor} was given, allowed are 4 and more")
        self._divisor = divisor
        super().__init__({"byte": In(stream.Signature(8)), "line": Out(1, init=1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        timer = Signal(range(self._divisor))
        bits = Signal(9, init=0x1FF)
        left = Signal(range(11))
        m.d.comb += self.byte.ready.eq((left == 0) & (timer == 0))
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(left != 0):
            m.d.sync += [self.line.eq(bits[0]), bits.eq(Cat(bits[1:], 1)), left.eq(left - 1), timer.eq(self._divisor - 1)]
        with m.Elif(self.byte.valid):
            m.d.sync += [self.line.eq(0), bits.eq(Cat(self.byte.payload, 1)), left.eq(9), timer.eq(self._divisor - 1)]
        return m
