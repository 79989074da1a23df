"""Nothing that is counted is lost, however it comes in."""

from __future__ import annotations

import random

import pytest

from hdl.control.counter_bank import CounterBank
from tests.support.simulation import simulate


@pytest.mark.parametrize(("counters", "step"), [(3, 1), (4, 3), (24, 1), (22, 2)])
def test_counts_every_gain(counters: int, step: int) -> None:
    bank = CounterBank(steps=[step] * counters)
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
        await ctx.tick().repeat(counters + 3)
        for index in range(counters):
            ctx.set(bank.address, index)
            await ctx.tick().repeat(3)
            assert ctx.get(bank.count) == expected[index]

    simulate(bank, bench)


@pytest.mark.parametrize(("counters", "spacing"), [(24, 3), (23, 12), (3, 7)])
def test_counts_gains_as_close_as_they_may_come(counters: int, spacing: int) -> None:
    bank = CounterBank(steps=[2] * counters, spacing=spacing)
    gains = 40

    async def bench(ctx):
        for clock in range(gains * spacing):
            for index in range(counters):
                ctx.set(bank.gain[index], 2 if (clock + index) % spacing == 0 else 0)
            await ctx.tick()
        for index in range(counters):
            ctx.set(bank.gain[index], 0)
        await ctx.tick().repeat(counters + 3)
        for index in range(counters):
            ctx.set(bank.address, index)
            await ctx.tick().repeat(3)
            assert ctx.get(bank.count) == 2 * gains

    simulate(bank, bench)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"steps": [1, 1]}, "steps: 2 was given, allowed is 3 and more"),
        ({"steps": [1, 0, 1]}, "step: 0 was given, allowed is 1 and more"),
        ({"steps": [1, 1, 1], "spacing": 0}, "spacing: 0 was given, allowed is 1 and more"),
    ],
)
def test_refuses_sizes_that_mean_nothing(parameters: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CounterBank(**parameters)


def test_each_counter_has_its_own_step() -> None:
    steps = [1, 9, 2]
    bank = CounterBank(steps=steps)

    async def bench(ctx):
        for _ in range(50):
            for index, step in enumerate(steps):
                ctx.set(bank.gain[index], step)
            await ctx.tick()
        for index in range(len(steps)):
            ctx.set(bank.gain[index], 0)
        await ctx.tick().repeat(len(steps) + 3)
        for index, step in enumerate(steps):
            ctx.set(bank.address, index)
            await ctx.tick().repeat(3)
            assert ctx.get(bank.count) == 50 * step

    simulate(bank, bench)
