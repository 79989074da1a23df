"""Short forms for tests that run in Amaranth's own simulator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from amaranth.lib import wiring
from amaranth.sim import Simulator, SimulatorContext

CLOCK = 8e-9
"""Clock period, s."""

Bench = Callable[[SimulatorContext], Awaitable[None]]


def simulate(component: wiring.Component, *benches: Bench, background: tuple[Bench, ...] = ()) -> None:
    """Run the test benches to their end; background benches are dropped then."""
    simulator = Simulator(component)
    simulator.add_clock(CLOCK)
    for bench in benches:
        simulator.add_testbench(bench)
    for bench in background:
        simulator.add_testbench(bench, background=True)
    simulator.run()


async def put(ctx: SimulatorContext, stream: Any, value: Any) -> None:
    """Offer one transfer on an always-ready stream."""
    ctx.set(stream.payload, value)
    ctx.set(stream.valid, 1)
    await ctx.tick()
    ctx.set(stream.valid, 0)
