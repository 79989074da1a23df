"""A halt is never lost and never raises the state; KILLED is left by the sequence and by nothing else."""

from __future__ import annotations

import itertools

import pytest

from hdl.control.trading_state_holder import TradingStateHolder
from hdl.interfaces import TradingState
from hdl.spec.registers import REARM_KEYS
from tests.support.simulation import put, simulate

FIRST, SECOND = REARM_KEYS


async def bring_to(ctx, holder, state: TradingState) -> None:
    """By the way that leads out of every state."""
    ctx.set(holder.ended, 1)
    for key in REARM_KEYS:
        await put(ctx, holder.rearm, key)
    await put(ctx, holder.load, state)
    assert ctx.get(holder.value) is state


def test_every_state_load_and_what_lowers_it() -> None:
    holder = TradingStateHolder()

    async def bench(ctx):
        assert ctx.get(holder.value) is TradingState.HALTED
        for state, load, *lowering in itertools.product(TradingState, (None, *TradingState), (0, 1), (0, 1), (0, 1)):
            await bring_to(ctx, holder, state)
            for port, value in zip((holder.reduce, holder.halt, holder.kill), lowering, strict=True):
                ctx.set(port, value)
            if load is not None:
                ctx.set(holder.load.payload, load)
                ctx.set(holder.load.valid, 1)
            await ctx.tick()
            for port in (holder.reduce, holder.halt, holder.kill, holder.load.valid):
                ctx.set(port, 0)
            wanted = state if load is None or state is TradingState.KILLED else load
            lowest = max([wanted.value] + [level for level, holds in zip((1, 2, 3), lowering, strict=True) if holds])
            assert ctx.get(holder.value).value == lowest, (state, load, lowering)

    simulate(holder, bench)


@pytest.mark.parametrize(
    ("steps", "leaves"),
    [
        ((FIRST, SECOND), True),
        ((SECOND, FIRST), False),
        ((FIRST, FIRST, SECOND), True),
        ((FIRST, 0, SECOND), False),
        ((FIRST, TradingState.ACTIVE, SECOND), False),
        ((FIRST, TradingState.HALTED, SECOND), False),
        ((SECOND,), False),
        ((FIRST,), False),
    ],
)
def test_only_the_sequence_leaves_killed(steps, leaves: bool) -> None:
    holder = TradingStateHolder()

    async def bench(ctx):
        await bring_to(ctx, holder, TradingState.KILLED)
        for step in steps:
            await put(ctx, holder.load if isinstance(step, TradingState) else holder.rearm, step)
        # HALTED and no more: trading again takes a load of its own.
        assert ctx.get(holder.value) is (TradingState.HALTED if leaves else TradingState.KILLED)

    simulate(holder, bench)


def test_killed_stays_while_an_order_is_open() -> None:
    holder = TradingStateHolder()

    async def bench(ctx):
        await bring_to(ctx, holder, TradingState.KILLED)
        ctx.set(holder.ended, 0)
        for key in REARM_KEYS:
            await put(ctx, holder.rearm, key)
        assert ctx.get(holder.value) is TradingState.KILLED
        ctx.set(holder.ended, 1)
        # The keys were used up.
        await put(ctx, holder.rearm, SECOND)
        assert ctx.get(holder.value) is TradingState.KILLED
        assert not ctx.get(holder.rearming)
        await put(ctx, holder.rearm, FIRST)
        assert ctx.get(holder.rearming)
        await put(ctx, holder.rearm, SECOND)
        assert ctx.get(holder.value) is TradingState.HALTED

    simulate(holder, bench)


def test_keys_do_nothing_in_other_states() -> None:
    holder = TradingStateHolder()

    async def bench(ctx):
        for state in (TradingState.ACTIVE, TradingState.REDUCE_ONLY, TradingState.HALTED):
            await bring_to(ctx, holder, state)
            for key in REARM_KEYS:
                await put(ctx, holder.rearm, key)
            assert ctx.get(holder.value) is state

    simulate(holder, bench)
