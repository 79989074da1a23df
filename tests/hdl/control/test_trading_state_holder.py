"""A halt is never lost and never raises the state."""

from __future__ import annotations

import itertools

from hdl.control.trading_state_holder import TradingStateHolder
from hdl.interfaces import TradingState
from tests.support.simulation import put, simulate


def test_every_state_load_and_halt() -> None:
    holder = TradingStateHolder()

    async def bench(ctx):
        assert ctx.get(holder.value) is TradingState.HALTED
        for state, load, halt in itertools.product(TradingState, (None, *TradingState), (0, 1)):
            await put(ctx, holder.load, state)
            ctx.set(holder.halt, halt)
            if load is not None:
                ctx.set(holder.load.payload, load)
                ctx.set(holder.load.valid, 1)
            await ctx.tick()
            ctx.set(holder.halt, 0)
            ctx.set(holder.load.valid, 0)
            wanted = state if load is None else load
            lowest = max(wanted.value, TradingState.HALTED.value) if halt else wanted.value
            assert ctx.get(holder.value).value == lowest, (state, load, halt)

    simulate(holder, bench)
