"""Nothing that is counted is lost, however it comes in."""

from __future__ import annotations

import random

import pytest

from hdl.control.counter_bank import CounterBank
from tests.support.simulation import simulate


@pytest.mark.parametrize(("counters", "step"), [(3, 1), (4, 3), (24, 1), (22, 2)])
def test_counts_every_gain(counters: int, step: int) -> None:
    bank = CounterBank(counters=counters, step=step)
    expected = [0] * counters
    rng = random.Random(counters)

    async def bench(ctx):
        for clock in range(600):
            for index in range(counters):
                # Every clock at full step for a while, then now and then.
                gain = step if clock < 200 else rng.randrange(step + 1) * (rng.random() < 0.3)
                ctx.set(bank.gain[index], gain)
                expected[index] += gain
            await ctx.tick()
        for index in range(counters):
            ctx.set(bank.gain[index], 0)
        await ctx.tick().repeat(counters + 2)
        for index in range(counters):
            ctx.set(bank.address, index)
            await ctx.tick().repeat(2)
            assert ctx.get(bank.count) == expected[index]

    simulate(bank, bench)


@pytest.mark.parametrize(("counters", "spacing"), [(24, 3), (23, 12), (3, 7)])
def test_counts_gains_as_close_as_they_may_come(counters: int, spacing: int) -> None:
    bank = CounterBank(counters=counters, step=2, spacing=spacing)
    gains = 40

    async def bench(ctx):
        for clock in range(gains * spacing):
            for index in range(counters):
                ctx.set(bank.gain[index], 2 if (clock + index) % spacing == 0 else 0)
            await ctx.tick()
        for index in range(counters):
            ctx.set(bank.gain[index], 0)
        await ctx.tick().repeat(counters + 2)
        for index in range(counters):
            ctx.set(bank.address, index)
            await ctx.tick().repeat(2)
            assert ctx.get(bank.count) == 2 * gains

    simulate(bank, bench)


@pytest.mark.parametrize(
    ("name", "value", "least"), [("counters", 2, 3), ("step", 0, 1), ("spacing", 0, 1)]
)
def test_refuses_sizes_that_mean_nothing(name: str, value: int, least: int) -> None:
    with pytest.raises(ValueError, match=f"{name}: {value} was given, allowed is {least} and more"):
        CounterBank(**({"counters": 4} | {name: value}))
