"""Pipelined multiplication."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Product(wiring.Component):
    """Exact unsigned product, one a clock, `LATENCY` clocks behind its factors.

    Both factors are cut into parts of 18 bits, the size of the multipliers of the device.

    Parameters
    ----------
    a, b : int
        Bits of the factors, 1 to 36.

    Members
    -------
    a : In(a)
        Factor.
    b : In(b)
        Factor.
    product : Out(a + b)
        ``a * b`` of three clocks ago.
    """

    LATENCY = 3

    _PART = 18

    def __init__(self, *, a: int, b: int):
        for name, value in (("a", a), ("b", b)):
            if not 1 <= value <= 2 * self._PART:
                raise ValueError(f"{name}: {value} was given, allowed are 1 to {2 * self._PART}")
        self._bits = a + b
        super().__init__({"a": In(a), "b": In(b), "product": Out(a + b)})

    def elaborate(self, platform) -> Module:
        m = Module()
        part = self._PART
        a, b = Cat(self.a, Const(0, 2 * part - len(self.a))), Cat(self.b, Const(0, 2 * part - len(self.b)))
        low, mid_a, mid_b, high = (Signal(2 * part, name=name) for name in ("low", "mid_a", "mid_b", "high"))
        m.d.sync += [
            low.eq(a[:part] * b[:part]),
            mid_a.eq(a[part:] * b[:part]),
            mid_b.eq(a[:part] * b[part:]),
            high.eq(a[part:] * b[part:]),
        ]
        mid = Signal(2 * part + 1)
        outer = Signal(4 * part)
        m.d.sync += [mid.eq(mid_a + mid_b), outer.eq(Cat(low, high))]
        m.d.sync += self.product.eq((outer + (mid << part))[: self._bits])
        return m
