"""Highest set bit against Python's bit_length."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator, SimulatorContext

from hdl.book.priority_encoder import PriorityEncoder


@pytest.mark.parametrize("width", [2, 4, 16, 64])
def test_highest_bit(width: int) -> None:
    dut = PriorityEncoder(width=width)
    pick = random.Random(width)
    chosen = [0, *(1 << n for n in range(width)), *(pick.getrandbits(width) for _ in range(300))]
    values = range(1 << width) if width <= 4 else chosen

    async def bench(ctx: SimulatorContext) -> None:
        for value in values:
            ctx.set(dut.bits, value)
            await ctx.delay(1e-9)
            assert ctx.get(dut.some) == bool(value)
            assert ctx.get(dut.index) == max(0, value.bit_length() - 1)

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


def test_width_must_be_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="width: 6 was given"):
        PriorityEncoder(width=6)
