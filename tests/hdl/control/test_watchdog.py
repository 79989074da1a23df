"""The host is missed after one period, lost after two, to the clock."""

from __future__ import annotations

import pytest

from hdl.control.watchdog import Watchdog
from tests.support.simulation import simulate


@pytest.mark.parametrize("period", [1, 2, 7])
def test_expires_to_the_clock(period: int) -> None:
    dut = Watchdog()

    async def bench(ctx):
        async def beat():
            ctx.set(dut.heartbeat, 1)
            await ctx.tick()
            ctx.set(dut.heartbeat, 0)

        ctx.set(dut.period, period)
        for _ in range(3):
            await beat()
            expired = 0
            for clock in range(4 * period):
                found = (ctx.get(dut.overdue), ctx.get(dut.lost))
                assert found == (int(clock >= period), int(clock >= 2 * period)), clock
                expired += ctx.get(dut.expired)
                await ctx.tick()
            assert expired == 2
        await beat()
        assert not ctx.get(dut.overdue) and not ctx.get(dut.lost)

    simulate(dut, bench)


def test_a_heartbeat_in_time_keeps_it_quiet_and_zero_watches_nobody() -> None:
    dut = Watchdog()

    async def bench(ctx):
        ctx.set(dut.period, 5)
        for clock in range(100):
            ctx.set(dut.heartbeat, int(clock % 5 == 4))
            assert not ctx.get(dut.overdue)
            await ctx.tick()
        ctx.set(dut.heartbeat, 0)
        ctx.set(dut.period, 0)
        for _ in range(100):
            await ctx.tick()
            assert not ctx.get(dut.overdue) and not ctx.get(dut.expired)

    simulate(dut, bench)
