"""First in, first out, whatever the pace on both sides."""

from __future__ import annotations

import random
from collections import deque

import pytest
from amaranth.lib import data
from amaranth.sim import SimulatorContext

from hdl.book.message_queue import MessageQueue
from tests.support.simulation import simulate

SHAPE = data.StructLayout({"number": 16})


@pytest.mark.parametrize(("puts", "gets"), [(0.9, 0.2), (0.2, 0.9), (0.5, 0.5), (1, 1)])
def test_everything_comes_out_in_order(puts: float, gets: float) -> None:
    """Full, empty, and in between: what was taken in comes out once, and `empty` says whether anything is inside."""
    depth = 5
    dut = MessageQueue(shape=SHAPE, depth=depth)
    pick = random.Random(f"{puts} {gets}")
    inside: deque[int] = deque()
    most = 0

    async def bench(ctx: SimulatorContext) -> None:
        nonlocal most
        number = 0
        for _ in range(3000):
            offered, wanted = pick.random() < puts, pick.random() < gets
            ctx.set(dut.write.valid, offered)
            ctx.set(dut.write.payload.number, number)
            ctx.set(dut.head.ready, wanted)
            assert ctx.get(dut.empty) == (not inside)
            if wanted and ctx.get(dut.head.valid):
                assert ctx.get(dut.head.payload.number) == inside.popleft()
            if offered and ctx.get(dut.write.ready):
                inside.append(number)
                number += 1
            most = max(most, len(inside))
            await ctx.tick()
        assert number > 300

    simulate(dut, bench)
    if puts > gets:
        assert most == depth + 1, "the depth and the one at the output"


def test_latency() -> None:
    """A head comes 3 clocks after its write, the next one 2 clocks after that was taken."""
    dut = MessageQueue(shape=SHAPE, depth=4)
    seen = []

    async def bench(ctx: SimulatorContext) -> None:
        ctx.set(dut.head.ready, 1)
        for clock in range(10):
            ctx.set(dut.write.valid, clock in (0, 2))
            ctx.set(dut.write.payload.number, 7 + clock)
            if ctx.get(dut.head.valid):
                seen.append((clock, ctx.get(dut.head.payload.number)))
            await ctx.tick()

    simulate(dut, bench)
    assert seen == [(3, 7), (5, 9)]


def test_depth() -> None:
    with pytest.raises(ValueError, match="depth: 1 was given, allowed are numbers from 2 on"):
        MessageQueue(shape=SHAPE, depth=1)
