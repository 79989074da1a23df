"""The order table against a dict of what was put into it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from amaranth.sim import SimulatorContext

from hdl.book.order_table import Change, OrderTable
from hdl.interfaces import Side
from hdl.spec.geometry import Geometry
from tests.hdl.book.model import rows_of
from tests.support.simulation import simulate

GEOMETRY = Geometry(slots=4, order_rows=16, order_ways=2)
LONGEST_SCAN = 10 * GEOMETRY.order_rows * (1 + 2 * GEOMETRY.order_ways)
"""Clocks no scan takes, however slow the taker of these tests."""
Place = tuple[int, int, int]


@dataclass
class Table:
    """The table in the simulator, and what must be in it."""

    ctx: SimulatorContext
    dut: OrderTable
    orders: dict[int, tuple[Place, dict[str, Any]]] = field(default_factory=dict)

    async def start(self) -> None:
        while not self.ctx.get(self.dut.ready):
            await self.ctx.tick()

    async def lookups(self, *asked: tuple[int, int]) -> list[Any]:
        """Answers to references looked for in clocks that follow each other, each with its `replaces`."""
        answers = []
        for clock in range(len(asked) + self.dut.latency):
            if clock >= self.dut.latency:
                assert self.ctx.get(self.dut.result.valid)
                answers.append(self.ctx.get(self.dut.result.payload))
            self.ctx.set(self.dut.lookup.valid, clock < len(asked))
            if clock < len(asked):
                reference, replaces = asked[clock]
                lookup = {"order_ref": reference, "rows": rows_of(reference, GEOMETRY), "replaces": replaces}
                self.ctx.set(self.dut.lookup.payload, lookup)
            await self.ctx.tick()
        assert not self.ctx.get(self.dut.result.valid)
        return answers

    async def change(self, change: Change, reference: int, place: Place, order: dict[str, Any]) -> None:
        bank, way, row = place
        self.ctx.set(self.dut.change.valid, 1)
        payload = {"change": change, "place": {"bank": bank, "way": way, "row": row}, "order_ref": reference, "order": order}
        self.ctx.set(self.dut.change.payload, payload)
        await self.ctx.tick()
        self.ctx.set(self.dut.change.valid, 0)
        if change is Change.REMOVE:
            del self.orders[reference]
        else:
            self.orders[reference] = place, order

    def used(self, reference: int, without: int | None = None) -> list[set[int]]:
        """Ways taken in the two rows of a reference."""
        rows = rows_of(reference, GEOMETRY)
        taken = [place for other, (place, _) in self.orders.items() if other != without]
        return [{way for bank, way, row in taken if (bank, row) == (number, rows[number])} for number in range(2)]

    def judge(self, answer: Any, reference: int, without: int | None = None) -> Place | None:
        """Is this the answer that must come? Gives the free place, where there is one."""
        known = self.orders.get(reference) if reference != without else None
        assert answer.found == (known is not None)
        if known:
            place, order = known
            assert (answer.place.bank, answer.place.way, answer.place.row) == place
            assert {name: answer.order[name] for name in order} == order
        used = self.used(reference, without)
        assert answer.full == (min(map(len, used)) == GEOMETRY.order_ways)
        if answer.full:
            return None
        free = answer.free
        assert free.row == rows_of(reference, GEOMETRY)[free.bank]
        assert free.way not in used[free.bank] and len(used[free.bank]) == min(map(len, used)), "not the emptier row"
        return free.bank, free.way, free.row

    async def scan(self, slot: int, side: Side, pick: random.Random, pauses: float = 0.0) -> list[dict[str, Any]]:
        """Orders given, by a taker that is not always ready; paused at times, for lookups and other orders."""
        given = await self.scan_from(0, slot, side, pick, pauses)
        while not self.ctx.get(self.dut.through):
            reference = pick.choice((pick.getrandbits(64), *self.orders))
            (answer,) = await self.lookups((reference, 0))
            free = self.judge(answer, reference)
            if reference in self.orders and self.orders[reference][1]["slot"] != slot:
                await self.change(Change.REMOVE, reference, *self.orders[reference])
            elif free and reference not in self.orders:
                await self.change(Change.INSERT, reference, free, an_order(pick) | {"slot": (slot + 1) % GEOMETRY.slots})
            row = self.ctx.get(self.dut.row)
            given += await self.scan_from(row, slot, side, pick, pauses)
            assert self.ctx.get(self.dut.through) or self.ctx.get(self.dut.row) > row, "no row was seen"
        return given

    async def scan_from(self, row: int, slot: int, side: Side, pick: random.Random, pauses: float) -> list[dict[str, Any]]:
        """One scan to its end or pause."""
        self.ctx.set(self.dut.scan.payload, {"slot": slot, "side": side, "removes": 0, "row": row})
        self.ctx.set(self.dut.scan.valid, 1)
        assert self.ctx.get(self.dut.scan.ready)
        await self.ctx.tick()
        self.ctx.set(self.dut.scan.valid, 0)
        given, clocks = [], 0
        while not self.ctx.get(self.dut.scan.ready):
            clocks += 1
            assert clocks < LONGEST_SCAN
            self.ctx.set(self.dut.pause, pick.random() < pauses)
            ready = pick.random() < 0.5
            self.ctx.set(self.dut.found.ready, ready)
            if ready and self.ctx.get(self.dut.found.valid):
                found = self.ctx.get(self.dut.found.payload)
                given.append({name: found[name] for name in ("slot", "side", "on_tick", "tick", "shares")})
            await self.ctx.tick()
        return given


def an_order(pick: random.Random) -> dict[str, Any]:
    return {
        "slot": pick.randrange(GEOMETRY.slots),
        "side": pick.choice(list(Side)),
        "on_tick": int(pick.random() < 0.9),
        "tick": pick.getrandbits(32),
        "shares": pick.getrandbits(32),
    }


@pytest.mark.parametrize("seed", range(3))
def test_it_is_a_dict(seed: int) -> None:
    dut = OrderTable(geometry=GEOMETRY)
    pick = random.Random(seed)
    full = 0

    async def bench(ctx: SimulatorContext) -> None:
        nonlocal full
        table, most = Table(ctx, dut), 0
        await table.start()
        for _ in range(600):
            reference = pick.choice((pick.getrandbits(64), pick.randrange(64)))
            known = pick.choice(list(table.orders)) if table.orders else None
            if known is not None and pick.random() < 0.4:
                # replaced by a reference that may share its rows, or be the same
                successor = pick.choice((reference, known, known ^ 0b10001 << 4 * pick.randrange(15)))
                first, second = await table.lookups((known, 0), (successor, 1))
                table.judge(first, known)
                free = table.judge(second, successor, without=known)
                place, order = table.orders[known]
                await table.change(Change.REMOVE, known, place, order)
                if free and successor not in table.orders:
                    await table.change(Change.INSERT, successor, free, an_order(pick))
            elif known is not None and pick.random() < 0.4:
                place, order = table.orders[known]
                await table.change(Change.REDUCE, known, place, order | {"shares": order["shares"] // 2})
            elif known is not None and pick.random() < 0.2:
                await table.change(Change.REMOVE, known, table.orders[known][0], table.orders[known][1])
            else:
                (answer,) = await table.lookups((reference, 0))
                free = table.judge(answer, reference)
                full += free is None
                if free and reference not in table.orders:
                    await table.change(Change.INSERT, reference, free, an_order(pick))
            most = max(most, len(table.orders))
        await ctx.tick().repeat(2)
        assert (ctx.get(dut.live), ctx.get(dut.peak)) == (len(table.orders), most)
        for slot in range(GEOMETRY.slots):
            for side in Side:
                given = await table.scan(slot, side, pick, pauses=0.3 * slot)
                wanted = [o for _, o in table.orders.values() if (o["slot"], o["side"], o["on_tick"]) == (slot, side, 1)]
                assert sorted(map(str, given)) == sorted(map(str, wanted))
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        table.orders.clear()
        await table.start()
        assert not (await table.lookups((reference, 0)))[0].found
        assert await table.scan(0, Side.BUY, pick) == []

    simulate(dut, bench)
    assert full > 5, "the table was never full"
