"""Bytes from a serial line."""

from amaranth import Cat, Module, Signal
from amaranth.lib import cdc, stream, wiring
from amaranth.lib.wiring import In, Out


class SerialReceiver(wiring.Component):
    """Bytes from a serial line: one start bit, eight data bits, one stop bit.

    A byte is given in the middle of its stop bit. A byte whose stop bit is low is not given.

    Parameters
    ----------
    divisor : int
        Clocks a bit, from 4 on.

    Members
    -------
    line : In(1)
        The wire, in no clock domain.
    byte : Out(stream of 8 bits)
        Cannot wait.
    """

    def __init__(self, *, divisor: int) -> None:
        if divisor < 4:
            raise ValueError(f"divisor: {divisor} was given, allowed are 4 and more")
        self._divisor = divisor
        super().__init__({"line": In(1, init=1), "byte": Out(stream.Signature(8, always_ready=True))})

    def elaborate(self, platform) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.line = cdc.FFSynchronizer(self.line, line, init=1)
        timer = Signal(range(self._divisor + self._divisor // 2))
        left = Signal(range(10))
        m.d.sync += self.byte.valid.eq(0)
        with m.If(left == 0):
            with m.If(~line):
                # To the middle of the first data bit.
                m.d.sync += [left.eq(9), timer.eq(self._divisor + self._divisor // 2 - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [left.eq(left - 1), timer.eq(self._divisor - 1)]
            with m.If(left == 1):
                m.d.sync += self.byte.valid.eq(line)
            with m.Else():
                m.d.sync += self.byte.payload.eq(Cat(self.byte.payload[1:], line))
        return m
