import random

import pytest

from hdl.risk.product import Product
from tests.support.simulation import simulate


@pytest.mark.parametrize(("a", "b"), [(32, 32), (32, 14), (36, 36), (1, 1), (18, 20)])
def test_one_exact_product_a_clock(a, b):
    rng = random.Random(a * b)
    dut = Product(a=a, b=b)

    async def bench(ctx):
        given = []
        for clock in range(200):
            if clock >= Product.LATENCY:
                x, y = given[clock - Product.LATENCY]
                assert ctx.get(dut.product) == x * y
            pair = tuple(rng.choice((0, 1, (1 << bits) - 1, rng.getrandbits(bits))) for bits in (a, b))
            given.append(pair)
            ctx.set(dut.a, pair[0])
            ctx.set(dut.b, pair[1])
            await ctx.tick()

    simulate(dut, bench)


@pytest.mark.parametrize(("a", "b"), [(0, 4), (4, 37)])
def test_factors_have_a_size(a, b):
    with pytest.raises(ValueError, match="was given, allowed are 1 to 36"):
        Product(a=a, b=b)
