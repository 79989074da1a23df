"""Price grid: every price near a border, and many others, against plain division."""

from __future__ import annotations

import random

from amaranth.sim import SimulatorContext

from hdl.book.price_of_tick import PriceOfTick
from hdl.book.tick_of_price import TickOfPrice
from tests.support.simulation import simulate

BORDERS = [0, 1, 99, 100, 9_999, 10_000, 10_001, 10_025, 10_050, 10_100, 1_999_999_900, (1 << 32) - 96, (1 << 32) - 1]


def prices() -> list[int]:
    """Borders, and random prices on and off the grid."""
    pick = random.Random(1)
    return BORDERS + [pick.randrange(1 << 32) for _ in range(300)] + [100 * pick.randrange((1 << 32) // 100) for _ in range(700)]


def tick_of(price: int) -> int:
    """The plain way."""
    return price if price < 10_000 else price // 100 + 9_900


def test_tick_of_price() -> None:
    dut = TickOfPrice()

    async def bench(ctx: SimulatorContext) -> None:
        given = prices()
        for at, price in enumerate(given + [0] * dut.latency):
            if at >= dut.latency:
                expected = given[at - dut.latency]
                on_grid = expected < 10_000 or expected % 100 == 0
                assert ctx.get(dut.on_tick) == on_grid, expected
                assert not on_grid or ctx.get(dut.tick) == tick_of(expected), expected
            ctx.set(dut.price, price)
            await ctx.tick()

    simulate(dut, bench)


def test_price_of_tick() -> None:
    dut = PriceOfTick()

    async def bench(ctx: SimulatorContext) -> None:
        given = [price for price in prices() if price < 10_000 or price % 100 == 0]
        for at, price in enumerate(given + [0] * dut.latency):
            if at >= dut.latency:
                assert ctx.get(dut.price) == given[at - dut.latency]
            ctx.set(dut.tick, tick_of(price))
            await ctx.tick()

    simulate(dut, bench)
