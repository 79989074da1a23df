"""Decoder and gate: which messages the book is given while a slot is detached, at both widths."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.book.slot_gate import SlotGate
from hdl.feed.moldudp64_receiver import message_width
from hdl.interfaces import decoded, message_beat
from hdl.itch.itch_decoder import ItchDecoder
from hdl.spec import injection, itch
from hdl.spec.geometry import Geometry
from hdl.spec.injection import NO_SLOT, Mark
from hdl.spec.reasons import Drop
from tests.hdl.book import flows
from tests.support.simulation import simulate

LOCATES = {0: 100, 1: 101, 3: 103}
LINE, PRIVATE, DETACH, ATTACH = Mark
REFUSED = {PRIVATE: Drop.PRIVATE_REFUSED, DETACH: Drop.DETACH_REFUSED, ATTACH: Drop.ATTACH_REFUSED}


class Chain(wiring.Component):
    """Decoder and gate."""

    def __init__(self, width: int) -> None:
        self.geometry = Geometry(width=width, slots=4)
        super().__init__(
            {
                "message": In(stream.Signature(message_beat(message_width(width)), always_ready=True)),
                "mark": In(2), "behind": In(1), "lost": In(1), "clear": In(1), "bind": In(1), "bound": In(2), "locate": In(16),
                "decoded": Out(stream.Signature(decoded(self.geometry), always_ready=True)),
                "slot": Out(16), "drop": Out(len(Drop)), "type_seen": Out(len(itch.MESSAGES)),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.itch = decoder = ItchDecoder(geometry=self.geometry)
        m.submodules.gate = gate = SlotGate(geometry=self.geometry)
        m.d.comb += [
            decoder.message.valid.eq(self.message.valid), decoder.message.payload.eq(self.message.payload),
            decoder.mark.eq(self.mark), decoder.behind.eq(self.behind),
            decoder.detached.eq(gate.detached), decoder.latest.eq(gate.latest),
            decoder.bind.valid.eq(self.bind), decoder.bind.payload.slot.eq(self.bound),
            decoder.bind.payload.locate.eq(self.locate), decoder.bind.payload.valid.eq(1),
            gate.decoded.valid.eq(decoder.decoded.valid), gate.decoded.payload.eq(decoder.decoded.payload),
            gate.lost.eq(self.lost | decoder.unread), gate.clear.eq(self.clear),
            self.decoded.valid.eq(decoder.decoded.valid), self.decoded.payload.eq(decoder.decoded.payload),
            self.slot.eq(gate.slot), self.drop.eq(gate.drop), self.type_seen.eq(decoder.type_seen),
        ]  # fmt: skip
        return m


class Bench:
    """Messages as the resequencer gives them, and whether the book was given each."""

    def __init__(self, width: int) -> None:
        self.dut, self.lanes = Chain(width), message_width(width)
        self.drops: list[Drop] = []
        self.fed = 0

    def run(self, story: Any) -> None:
        async def bench(ctx: Any) -> None:
            self.ctx = ctx
            for slot, locate in LOCATES.items():
                for name, value in (("bound", slot), ("locate", locate), ("bind", 1)):
                    ctx.set(getattr(self.dut, name), value)
                await ctx.tick()
            ctx.set(self.dut.bind, 0)
            await story(self)

        simulate(self.dut, bench)

    async def step(self, clocks: int) -> list[Any]:
        found = []
        for _ in range(clocks):
            await self.ctx.tick()
            if self.ctx.get(self.dut.decoded.valid):
                found.append(self.ctx.get(self.dut.decoded.payload))
            drop, seen = self.ctx.get(self.dut.drop), self.ctx.get(self.dut.type_seen)
            self.drops += [cause for cause in Drop if drop >> cause & 1]
            self.fed += seen.bit_count()
        return found

    async def give(self, raw: bytes, number: int, mark: Mark = LINE, *, behind: int = 1, pause: int = 6) -> tuple[bool, bool]:
        """Whether it is for the book, and whether it was passed over."""
        ctx, dut, found = self.ctx, self.dut, []
        for at in range(0, len(raw), self.lanes):
            beat = raw[at : at + self.lanes]
            ctx.set(dut.message.valid, 1)
            ctx.set(dut.message.payload, {"data": list(beat) + [0] * (self.lanes - len(beat)), "count": len(beat),
                                          "first": at == 0, "last": at + len(beat) == len(raw), "sequence": number})  # fmt: skip
            ctx.set(dut.mark, mark)
            ctx.set(dut.behind, behind if at == 0 else 0)
            found += await self.step(1)
        ctx.set(dut.message.valid, 0)
        ctx.set(dut.mark, 0)
        found += await self.step(pause)
        if not found:
            return False, False
        (one,) = found
        assert one.mark == mark and one.sequence == number
        return bool(one.for_book), bool(one.passed)

    async def detach(self, slot: int, number: int = 0) -> bool:
        return (await self.give(injection.command(LOCATES.get(slot, 999)), number, DETACH))[0]

    async def attach(self, slot: int, number: int, *, behind: int = 1) -> bool:
        return (await self.give(injection.command(LOCATES.get(slot, 999)), number, ATTACH, behind=behind))[0]


def of(slot: int, raw: bytes = b"") -> bytes:
    """A message of a slot."""
    raw = raw or flows.add(1, "B", 5, 100)
    return raw[:1] + LOCATES.get(slot, 999).to_bytes(2, "big") + raw[3:]


TAKEN, PASSED, NEITHER = (True, False), (False, True), (False, False)


@pytest.mark.parametrize("width", [1, 8])
def test_one_slot_hears_the_host_and_the_others_the_feed(width: int) -> None:
    async def story(bench: Bench) -> None:
        assert bench.ctx.get(bench.dut.slot) == NO_SLOT
        assert await bench.give(of(1), 10) == TAKEN
        assert await bench.give(of(1), 10, PRIVATE) == NEITHER
        assert await bench.attach(1, 10) is False
        assert await bench.detach(1)
        assert bench.ctx.get(bench.dut.slot) == 1
        for number, (slot, live, private) in enumerate([(0, TAKEN, NEITHER), (1, PASSED, TAKEN), (2, NEITHER, NEITHER)], 11):
            assert await bench.give(of(slot), number, pause=0 if width == 1 else 3) == live
            assert await bench.give(of(slot), number, PRIVATE) == private
        assert await bench.give(of(1, flows.trade(5)), 20) == PASSED
        # A type the book does not look at is neither, by the feed or by the host.
        broken = itch.BROKEN_TRADE.pack(**flows.HEAD, match_number=1)
        assert await bench.give(of(1, broken), 21) == NEITHER
        assert await bench.give(of(1, broken), 21, PRIVATE) == NEITHER
        # One slot at a time; the same one may be detached anew.
        assert not await bench.detach(0) and not await bench.detach(2) and await bench.detach(1)
        # A command is a sale of nothing and nothing else.
        assert await bench.give(of(1), 22, ATTACH) == NEITHER
        assert bench.ctx.get(bench.dut.slot) == 1
        assert not await bench.attach(0, 30) and await bench.attach(1, 30)
        assert bench.ctx.get(bench.dut.slot) == NO_SLOT
        assert await bench.give(of(1), 31) == TAKEN
        assert await bench.give(of(0), 31, PRIVATE) == NEITHER

    bench = Bench(width)
    bench.run(story)
    wanted = [PRIVATE, ATTACH, PRIVATE, PRIVATE, PRIVATE, DETACH, DETACH, ATTACH, ATTACH, PRIVATE]
    assert bench.drops == [REFUSED[mark] for mark in wanted]
    assert bench.fed == 7, "the feed's messages alone are counted by type"


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("high", [0, 1 << 32, 7 << 61])
def test_an_attach_needs_all_that_came_and_nothing_more(width: int, high: int) -> None:
    async def story(bench: Bench) -> None:
        for number in (40, 41, 50):
            await bench.give(of(0), high + number)
        assert await bench.detach(1)
        # Until something of the slot came, all that came before the detach counts.
        assert not await bench.attach(1, high + 49)
        await bench.give(of(0), high + 60)
        assert await bench.attach(1, high + 50)
        await bench.give(of(3), high + 65)
        assert await bench.detach(1)
        assert not await bench.attach(1, high + 64)
        assert await bench.give(of(1), high + 70) == PASSED
        await bench.give(of(0), high + 80)
        assert not await bench.attach(1, high + 69)
        assert not await bench.attach(1, high + 70, behind=0), "the feed is not there yet"
        # Detached anew, what was passed over before still counts.
        assert await bench.detach(1)
        assert not await bench.attach(1, high + 69)
        assert await bench.attach(1, high + 70)

    bench = Bench(width)
    bench.run(story)
    assert bench.drops == [Drop.ATTACH_REFUSED] * 5


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("how", ["told", "length", "type", "refused"])
def test_what_was_lost_on_the_way_forbids_the_attach(width: int, how: str) -> None:
    """Until the slot is detached anew."""
    async def story(bench: Bench) -> None:
        assert await bench.detach(1)
        if how == "told":
            bench.ctx.set(bench.dut.lost, 1)
            await bench.step(1)
            bench.ctx.set(bench.dut.lost, 0)
        else:
            raw = {"length": of(1)[:-1], "type": b"?" + of(1)[1:], "refused": of(0)}[how]
            assert await bench.give(raw, 5, PRIVATE) == NEITHER
        assert not await bench.attach(1, 9)
        assert await bench.detach(1)
        assert await bench.attach(1, 9)

    Bench(width).run(story)


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("size", [10, 35, 37])
def test_a_message_of_the_feed_that_cannot_be_read_is_passed_over(width: int, size: int) -> None:
    """The host has to have got beyond it. One that does not tell its stock may be the slot's, and is for the others too."""
    async def story(bench: Bench) -> None:
        assert await bench.detach(1)
        raw = (of(1) + b"!")[:size]
        assert await bench.give(raw, 5) == (size < itch.HEADER_BYTES, True)
        await bench.give(of(0), 6)
        assert not await bench.attach(1, 4)
        assert await bench.attach(1, 5)
        assert await bench.give(raw, 7) == (True, size < itch.HEADER_BYTES)

    Bench(width).run(story)


def test_a_clear_detaches_nothing_any_more() -> None:
    async def story(bench: Bench) -> None:
        assert await bench.detach(3)
        bench.ctx.set(bench.dut.clear, 1)
        await bench.step(1)
        bench.ctx.set(bench.dut.clear, 0)
        assert bench.ctx.get(bench.dut.slot) == NO_SLOT
        assert await bench.give(of(3), 5) == TAKEN
        assert not await bench.attach(3, 9)

    Bench(1).run(story)
