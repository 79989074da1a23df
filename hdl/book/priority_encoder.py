"""Highest set bit."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class PriorityEncoder(wiring.Component):
    """Index of the highest set bit, as a balanced tree; combinational.

    Parameters
    ----------
    width : int
        Bits to look at, a power of two from 2 on.

    Members
    -------
    bits : In(width)
        Where to look.
    index : Out(range(width))
        Index of the highest set bit, 0 where there is none.
    some : Out(1)
        Any bit is set.
    """

    def __init__(self, *, width: int) -> None:
        if width < 2 or width & (width - 1):
            raise ValueError(f"width: {width} was given, allowed are powers of two from 2 on")
        self._width = width
        super().__init__({"bits": In(width), "index": Out(range(width)), "some": Out(1)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        some, index = _highest(self.bits)
        m.d.comb += [self.some.eq(some), self.index.eq(index)]
        return m


def _highest(bits: Value) -> tuple[Value, Value]:
    """Whether a bit is set, and the index of the highest one."""
    if len(bits) == 1:
        return bits[0], bits[:0]
    half = len(bits) // 2
    (low_some, low), (high_some, high) = _highest(bits[:half]), _highest(bits[half:])
    return low_some | high_some, Cat(Mux(high_some, high, low), high_some) if half > 1 else high_some
