"""Price to tick."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.book.ticks import CENT, DOLLAR, OFFSET, TICK_BITS

_BITS = 30
_ODD = CENT // 4
_INVERSE = pow(_ODD, -1, 1 << _BITS)
_LARGEST = ((1 << _BITS) - 1) // _ODD
_SPLIT = 18  # operand width of the multipliers


class TickOfPrice(wiring.Component):
    """Number of a price on the grid, without a divider.

    A price from one dollar on is on the grid when it is a multiple of 100, that is of 4 and of 25. Multiplying by the inverse of
    25 modulo 2**30 permutes the 30-bit numbers and sends the multiples of 25, and only those, to their quotients, which are
    the numbers up to (2**30 - 1) // 25: so one product gives the quotient and the divisibility.

    One price a clock, latency 3 cycles, never waits.

    Members
    -------
    price : In(32)
        1/10000 dollar.
    tick : Out(26)
        Price itself below one dollar, whole cents + 9900 from there on; meaningless off the grid.
    on_tick : Out(1)
        The price is on the grid.
    """

    latency = 3

    def __init__(self) -> None:
        super().__init__({"price": In(32), "tick": Out(TICK_BITS), "on_tick": Out(1)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        value = self.price[2:]
        low, high = value[:_SPLIT], value[_SPLIT:]
        constant_low, constant_high = _INVERSE & ((1 << _SPLIT) - 1), _INVERSE >> _SPLIT
        rest = _BITS - _SPLIT

        product = Signal(2 * _SPLIT)
        crosses = [Signal(rest, name=f"cross_{i}") for i in range(2)]
        quotient = Signal(_BITS)
        small = [Signal(name=f"small_{i}") for i in range(2)]
        whole = [Signal(name=f"whole_{i}") for i in range(2)]
        plain = [Signal(range(DOLLAR), name=f"plain_{i}") for i in range(2)]
        m.d.sync += [
            product.eq(low * constant_low),
            crosses[0].eq(low * constant_high),
            crosses[1].eq(high * constant_low),
            small[0].eq(self.price < DOLLAR),
            whole[0].eq(self.price[:2] == 0),
            plain[0].eq(self.price),
            quotient[:_SPLIT].eq(product),
            quotient[_SPLIT:].eq(product[_SPLIT:] + crosses[0] + crosses[1]),
            small[1].eq(small[0]),
            whole[1].eq(whole[0]),
            plain[1].eq(plain[0]),
            self.tick.eq(Mux(small[1], plain[1], quotient[:TICK_BITS] + OFFSET)),
            self.on_tick.eq(small[1] | (whole[1] & (quotient <= _LARGEST))),
        ]
        return m
