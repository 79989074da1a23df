"""Nothing that is counted is lost, however it comes in."""

from __future__ import annotations

import random

import pytest

from hdl.control.counter_bank import CounterBank
from tests.support.simulation import simulate


@pytest.mark.parametrize(("counters", "step"), [(1, 1), (3, 1), (24, 1), (22, 2)])
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
        await ctx.tick().repeat(6 * counters + 6)
        for index in range(counters):
            ctx.set(bank.address, index)
            await ctx.tick().repeat(2)
            assert ctx.get(bank.count) == expected[index]

    simulate(bank, bench)


@pytest.mark.parametrize("wrong", [{"counters": 0}, {"counters": 4, "step": 0}])
def test_refuses_sizes_that_mean_nothing(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="0 was given, allowed is 1 and more"):
        CounterBank(**wrong)
