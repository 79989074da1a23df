"""`CancelWalker`: every open order is canceled once a walk, by trial and by proof."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest
from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.interfaces import TradingState
from hdl.order.cancel_walker import CancelWalker
from hdl.spec.geometry import Geometry
from tests.support.proofs import judge, mutant, out_of_reset
from tests.support.simulation import simulate

PLACES = 16
"""Of the smallest card."""


@pytest.mark.parametrize("busy", [0.0, 0.4])
def test_walks(busy: float) -> None:
    """Places, the clocks in which the ledger has time, and those in which a cancel is taken, as chance has it."""
    walker = CancelWalker(geometry=Geometry(slots=2, pairs=2, open_orders=PLACES))
    rng = random.Random(int(10 * busy))
    orders: list[dict[str, int]] = []
    shown: tuple[bool, int] = (False, 0)
    canceled: list[tuple[int, int]] = []
    clock = 0

    async def tick(ctx: Any) -> None:
        nonlocal shown, clock
        known, place = shown
        ctx.set(walker.shown.valid, int(known))
        ctx.set(walker.shown.payload, orders[place] if known else {"user_ref_num": rng.getrandbits(32), "open": 1})
        ctx.set(walker.cancel.ready, int(rng.random() >= busy))
        if ctx.get(walker.cancel.valid) and ctx.get(walker.cancel.ready):
            canceled.append((clock, ctx.get(walker.cancel.payload)))
        shown = (rng.random() >= busy, ctx.get(walker.show))
        await ctx.tick()
        clock += 1

    async def bench(ctx: Any) -> None:
        nonlocal orders
        for turn in range(60):
            first = rng.getrandbits(27) * PLACES
            newest = rng.randrange(PLACES)
            # Numbers grow with time: the newest order is the one before the next.
            orders = [
                {"user_ref_num": first + place + PLACES * (place <= newest), "open": int(rng.random() < 0.4)}
                for place in range(PLACES)
            ]
            open_orders = sorted((order["user_ref_num"] for order in orders if order["open"]), reverse=True)
            ctx.set(walker.next_user_ref_num, first + PLACES + newest + 1)
            canceled.clear()
            by_kill = turn % 2
            ctx.set(walker.trading_state, TradingState.KILLED if by_kill else TradingState.ACTIVE)
            ctx.set(walker.cancel_all, int(not by_kill))
            begun = clock
            await tick(ctx)
            ctx.set(walker.cancel_all, 0)
            again = turn % 5 == 4
            if again:
                # Asked for once more on the way: from where it is, once round.
                for _ in range(rng.randrange(1, 2 * PLACES)):
                    await tick(ctx)
                canceled.clear()
                ctx.set(walker.cancel_all, 1)
                await tick(ctx)
                ctx.set(walker.cancel_all, 0)
            for _ in range(400 if busy else 2 * PLACES + CancelWalker.LATENCY):
                await tick(ctx)
            numbers = [number for _, number in canceled]
            if not again:
                assert numbers == open_orders
                if not busy and orders[newest]["open"]:
                    assert canceled[0][0] - begun == CancelWalker.LATENCY
                if not busy:
                    # Two clocks a place.
                    ages = {first + PLACES + newest - age: age for age in range(PLACES)}
                    assert [at - begun for at, _ in canceled] == [CancelWalker.LATENCY + 2 * ages[number] for number in numbers]
            else:
                # One that was offered as it was asked for may come on top.
                assert sorted(set(numbers)) == sorted(open_orders) and len(numbers) <= len(open_orders) + 1
            for _ in range(2 * PLACES):
                await tick(ctx)
            assert len(canceled) == len(numbers), "nothing more comes without another word"

    simulate(walker, bench)


@dataclass(frozen=True)
class Few:
    """Fewer places than a card may have: the solver's time grows with them."""

    open_orders: int = 4


FEW: Any = Few()


class WalkProof(wiring.Component):
    """Watches a walker among orders that may be anything, but stay what they are, and a ledger that shows them when it likes."""

    def __init__(self, walker: Any):
        self.walker = walker(geometry=FEW)
        bits = dict.fromkeys(("has_time", "ready", "killed", "asked"), In(1))
        super().__init__({"open": In(FEW.open_orders), "next": In(32)} | bits)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        out_of_reset(m)
        m.submodules.walker = walker = self.walker
        begun, before = Signal(), Signal(FEW.open_orders)
        m.d.sync += [begun.eq(1), before.eq(self.open)]
        m.d.comb += Assume(~begun | (before == self.open))

        shown_open, shown_place, shown = Signal(), Signal(range(FEW.open_orders)), Signal()
        m.d.sync += [
            shown.eq(self.has_time),
            shown_place.eq(walker.show),
            shown_open.eq(self.open.bit_select(walker.show, 1)),
        ]
        m.d.comb += [
            walker.trading_state.eq(Mux(self.killed, TradingState.KILLED, TradingState.ACTIVE)),
            walker.cancel_all.eq(self.asked),
            walker.next_user_ref_num.eq(self.next),
            walker.shown.valid.eq(shown),
            # Of a place that was not asked for nothing is known.
            walker.shown.payload.open.eq(shown_open),
            walker.shown.payload.user_ref_num.eq(shown_place),
            walker.cancel.ready.eq(self.ready),
        ]

        # One walk: the first clock of a kill or of the host's word, and none after it.
        was_killed, walks = Signal(), Signal()
        m.d.sync += was_killed.eq(self.killed)
        asks = (self.killed & ~was_killed) | self.asked
        with m.If(asks):
            m.d.sync += walks.eq(1)
        m.d.comb += Assume(~(walks & asks))

        taken = walker.cancel.valid & walker.cancel.ready
        number = walker.cancel.payload
        done = Signal(FEW.open_orders)
        with m.If(taken):
            m.d.sync += done.bit_select(number[:2], 1).eq(1)
        # Clocks since it began in which the ledger had time, and in which nothing was left to be taken.
        free = Signal(8)
        with m.If(walks & shown & (~walker.cancel.valid | walker.cancel.ready) & ~free[-1]):
            m.d.sync += free.eq(free + 1)
        m.d.comb += [
            Assert(~walker.cancel.valid | (walks & (number < FEW.open_orders) & self.open.bit_select(number[:2], 1))),
            Assert(~(taken & done.bit_select(number[:2], 1))),
            Assert((free < 2 * FEW.open_orders + 3) | (done == self.open)),
            Cover((done == self.open) & self.open.all()),
        ]
        return m


DEPTH = 2 * FEW.open_orders + 12
"""Clocks of a walk in which nothing waits, and a few that do."""


def test_each_open_order_is_canceled_once() -> None:
    assert judge(WalkProof(CancelWalker), depth=DEPTH, mode="bmc") == "PASS"


def test_a_walk_with_every_place_taken_ends() -> None:
    assert judge(WalkProof(CancelWalker), depth=DEPTH, mode="cover") == "PASS"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("found.eq(self.shown.payload.open)", "found.eq(1)"),
        ("with m.If(~found | self.cancel.ready):", "with m.If(1):"),
        ("m.d.sync += left.eq(self._places)", "m.d.sync += left.eq(self._places - 1)"),
        ("m.d.sync += left.eq(self._places)", "m.d.sync += left.eq(self._places + 1)"),
        ("(killed & ~was_killed)", "killed"),
        ("self.show.eq(self.show - 1),", "self.show.eq(self.show - 2),"),
    ],
)
@pytest.mark.soak(one_in=3)
def test_the_proof_finds_a_fault(old: str, new: str) -> None:
    assert judge(WalkProof(mutant(CancelWalker, old, new)), depth=DEPTH, mode="bmc") == "FAIL"
