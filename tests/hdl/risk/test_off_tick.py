"""The grid by plain arithmetic."""

from __future__ import annotations

import random

from hdl.risk.off_tick import OffTick
from tests.support.simulation import simulate


def test_agrees_with_division() -> None:
    rng = random.Random(7)
    prices = [0, 1, 99, 9_999, 10_000, 10_001, 10_025, 10_050, 10_100, (1 << 32) - 1, 1_999_999_900, *range(1 << 10, 1 << 12)]
    for _ in range(3_000):
        price = rng.getrandbits(rng.randrange(14, 33))
        prices += [price, price - price % 100, price - price % 25, price - price % 4]
    prices += [100 * (value << place) % (1 << 32) for value in range(1, 40) for place in range(26)]
    dut = OffTick()

    async def bench(ctx):
        for price in prices + [0] * OffTick.LATENCY:
            found.append(ctx.get(dut.off_tick))
            ctx.set(dut.price, price)
            await ctx.tick()

    found: list[int] = []
    simulate(dut, bench)
    assert found[OffTick.LATENCY :] == [int(price >= 10_000 and price % 100 != 0) for price in prices]
