"""The price ladder against a list of orders: touch, what changed it, and when it must be rebuilt."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from amaranth.sim import SimulatorContext

from hdl.book.price_ladder import Action, PriceLadder
from hdl.interfaces import Side
from hdl.spec.geometry import Geometry
from tests.support.simulation import simulate

GEOMETRY = Geometry(slots=2, order_rows=16, order_ways=2, ladder_ticks=64)
HIGHEST = ((1 << 32) - 1) // 100 + 9_900
Order = tuple[int, int]
"""Tick and shares."""


def price_of(tick: int) -> int:
    return tick if tick < 10_000 else 100 * (tick - 9_900)


class Ladder:
    """The ladder in the simulator, fed as the book feeds it, and the orders that are on it."""

    def __init__(self, ctx: SimulatorContext, dut: PriceLadder, pick: random.Random) -> None:
        self.ctx, self.dut, self.pick = ctx, dut, pick
        self.orders: dict[tuple[int, Side], list[Order]] = defaultdict(list)
        self.rebuilds = 0
        self.slot: int | None = None

    def touch(self, slot: int) -> tuple[int, ...]:
        """Prices and shares that must be shown."""
        shown: list[int] = []
        for side, best in ((Side.BUY, max), (Side.SELL, min)):
            tick = best((tick for tick, _ in self.orders[slot, side]), default=0)
            shown += [price_of(tick), sum(shares for at, shares in self.orders[slot, side] if at == tick)]
        return tuple(shown)

    def seen(self) -> tuple[int, ...]:
        touch = self.ctx.get(self.dut.touch)
        return touch.bid_price, touch.bid_shares, touch.ask_price, touch.ask_shares

    def operate(self, action: Action, side: Side, tick: int, *, replay: bool = False) -> None:
        self.ctx.set(self.dut.operation.payload, {"action": action, "side": side, "tick": tick, "replay": replay})
        self.ctx.set(self.dut.operation.valid, 1)

    async def message(
        self, slot: int, side: Side, *, old: Order | None = None, part: int | None = None, new: Order | None = None
    ) -> None:
        """``old`` leaves, or ``part`` of its shares; ``new`` comes."""
        ctx, dut, orders = self.ctx, self.dut, self.orders[slot, side]
        before = self.touch(slot)
        shares = part if part is not None else new[1] if new else 0
        if old:
            orders.remove(old)
            if part is not None:
                orders.append((old[0], old[1] - part))
        overflow = new is not None and sum(shares for tick, shares in orders if tick == new[0]) + new[1] >= 1 << 32
        if new and not overflow:
            orders.append(new)
        loaded = self.pick.random() < 0.5
        early = loaded or slot == self.slot
        self.slot = slot
        settled, comes = (6 if early else 7) if old else 5, 8 if old else 4
        rebuild = False
        ctx.set(dut.load.payload.slot, slot)
        if loaded:
            ctx.set(dut.load.valid, 1)
            await ctx.tick()
        for clock in range(13 if old and new else 9):
            ctx.set(dut.load.valid, clock == 0)
            ctx.set(dut.begin, clock == 0)
            ctx.set(dut.weigh.valid, clock == dut.begin_latency)
            ctx.set(dut.operation.valid, 0)
            if clock == 1:
                ctx.set(dut.load.payload.slot, self.pick.randrange(2))  # the slot of what waits next
            if clock == 4:
                weighed = {"old_tick": old[0] if old else 0, "old_shares": old[1] if old else 0}
                weighed |= {"side": side, "new_tick": new[0] if new else 0, "shares": shares}
                ctx.set(dut.weigh.payload, weighed)
            if clock == 4 and old:
                self.operate(Action.REMOVE, side, old[0])
            if clock == comes and new:
                self.operate(Action.ADD, side, new[0])
            ctx.set(dut.part, part is not None)
            taken = part if part is not None else old[1] if old else shares
            ctx.set(dut.amount, {"shares": taken if clock == 6 else shares, "closes": old is not None and part is None})
            ctx.set(dut.settle.valid, clock == settled)
            settlement = {"leaves": old is not None, "comes": new is not None, "price": price_of(new[0]) if new else 0}
            ctx.set(dut.settle.payload, settlement)
            if clock == settled:
                rebuild = bool(ctx.get(dut.rebuild))
                assert ctx.get(dut.changed) == (self.touch(slot) != before)
            if clock == settled + 1 and not rebuild:
                assert self.seen() == self.touch(slot)
            await ctx.tick()
        assert ctx.get(dut.overflow) == overflow
        if rebuild:
            await self.rebuild(side, orders)
            assert self.seen() == self.touch(slot)
        ctx.set(dut.store, 1)
        await ctx.tick()
        ctx.set(dut.store, 0)

    async def rebuild(self, side: Side, orders: list[Order]) -> None:
        """Every order of the side again, in any order."""
        self.rebuilds += 1
        for tick, shares in self.pick.sample(orders, len(orders)):
            for clock in range(self.dut.latency):
                self.ctx.set(self.dut.operation.valid, 0)
                if clock == 0:
                    self.operate(Action.ADD, side, tick, replay=True)
                self.ctx.set(self.dut.amount, {"shares": shares, "price": price_of(tick)})
                await self.ctx.tick()
        self.ctx.set(self.dut.operation.valid, 0)


@pytest.mark.parametrize("seed", range(4))
def test_touch_of_random_orders(seed: int) -> None:
    """Few ticks, so that orders meet; far ones, so that windows move and run empty."""
    dut = PriceLadder(geometry=GEOMETRY)
    pick = random.Random(seed)
    rebuilds = 0

    async def bench(ctx: SimulatorContext) -> None:
        nonlocal rebuilds
        while not ctx.get(dut.ready):
            await ctx.tick()
        ladder = Ladder(ctx, dut, pick)

        def order() -> Order:
            tick = pick.choice((0, 1, 10_000, HIGHEST, *[20_000 + pick.randrange(-6, 7)] * 8, 20_000 + pick.randrange(-90, 91)))
            return tick, pick.choice((1, 2, 3, pick.randrange(1, 100_000)))

        for _ in range(500):
            slot, side = pick.randrange(2), pick.choice(list(Side))
            there = ladder.orders[slot, side]
            kind = pick.random()
            if not there or (kind < 0.4 and len(there) < 10):
                await ladder.message(slot, side, new=order())
            elif kind < 0.6:
                await ladder.message(slot, side, old=pick.choice(there))
            elif kind < 0.8:
                old = pick.choice(there)
                await ladder.message(slot, side, old=old, new=pick.choice((order(), (old[0], pick.choice((old[1], 5))))))
            else:
                old = pick.choice(there)
                await ladder.message(slot, side, old=old, part=pick.randrange(old[1]))
        rebuilds = ladder.rebuilds

    simulate(dut, bench)
    assert rebuilds > 3, "no window ran empty"


def test_a_level_that_would_overflow() -> None:
    """At the best, at the second best that becomes the best, and elsewhere: the order is not taken."""
    dut = PriceLadder(geometry=GEOMETRY)
    most = (1 << 32) - 1

    async def bench(ctx: SimulatorContext) -> None:
        while not ctx.get(dut.ready):
            await ctx.tick()
        ladder = Ladder(ctx, dut, random.Random(0))
        for tick in (20_000, 20_001):
            await ladder.message(0, Side.BUY, new=(tick, most - 4))
            await ladder.message(0, Side.BUY, new=(tick, 5))
            await ladder.message(0, Side.BUY, new=(tick, 4))
        await ladder.message(0, Side.BUY, new=(20_000, 1))
        await ladder.message(0, Side.BUY, old=(20_001, 4), new=(20_001, 5))
        await ladder.message(0, Side.BUY, old=(20_001, most - 4), new=(20_000, 1))
        assert ladder.orders[0, Side.BUY] == [(20_000, most - 4), (20_000, 4)]

    simulate(dut, bench)
