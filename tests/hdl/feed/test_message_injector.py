# amaranth: UnusedElaboratable=no -- a refused parameter leaves a half-made component
"""`MessageInjector`: what the host writes comes out whole, between frames and never beside what they bring."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from hdl.feed.message_injector import LINE, MessageInjector
from hdl.spec import injection
from hdl.spec.injection import Mark
from hdl.spec.reasons import Drop
from tests.support.simulation import simulate

WIDTHS = (1, 8)
SETTLE = 9
NUMBER = 0x0123456789ABCDEF


def content(size: int) -> bytes:
    """Bytes of a message."""
    return random.Random(size).randbytes(size)


class Bench:
    """The component, words of the host, frames that pass by, and what came out."""

    def __init__(self, width: int, *, messages: int = 4) -> None:
        self.dut = MessageInjector(width=width, settle=SETTLE, tail=1 if width == 1 else 2, messages=messages)
        self.cycle = 0
        self.given: list[tuple[int, bytes]] = []
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.drops: list[Drop] = []
        self.marks: list[int] = []
        self._current = b""

    def run(self, story: Callable[[Any], Any]) -> None:
        async def bench(ctx: Any) -> None:
            self.ctx = ctx
            await story(self)

        simulate(self.dut, bench)

    async def step(self, clocks: int = 1) -> None:
        for _ in range(clocks):
            await self.ctx.tick()
            self.cycle += 1
            self._look()

    def _look(self) -> None:
        ctx, dut = self.ctx, self.dut
        beat, end = dut.message_out.payload, dut.packet_out.payload
        if ctx.get(dut.message_out.valid):
            assert ctx.get(dut.busy_out) and ctx.get(dut.line_out) == LINE and not ctx.get(beat.empties)
            number = ctx.get(beat.sequence)
            assert number == ctx.get(dut.coming_out)
            if ctx.get(beat.first):
                assert not self._current
                self.begun.append(self.cycle)
                self.marks.append(ctx.get(dut.mark_out))
            assert ctx.get(dut.mark_out) == self.marks[-1]
            self._current += bytes(ctx.get(beat.data[lane]) for lane in range(ctx.get(beat.count)))
            if ctx.get(beat.last):
                self.given.append((number, self._current))
                self._current = b""
        if ctx.get(dut.packet_out.valid):
            assert ctx.get(dut.busy_out) and ctx.get(dut.line_out) == LINE
            assert (ctx.get(end.ok), ctx.get(end.told), ctx.get(end.judged)) == (1, 0, 1)
            self.ended.append(self.cycle)
        if drop := ctx.get(dut.drop):
            self.drops += [cause for cause in Drop if drop >> cause & 1]

    async def write(self, words: list[int], *, pause: int = 0) -> None:
        for word in words:
            self.ctx.set(self.dut.word.payload, word)
            self.ctx.set(self.dut.word.valid, 1)
            await self.step()
            self.ctx.set(self.dut.word.valid, 0)
            await self.step(pause)

    async def frame(self, beats: int, *, gaps: bool = False) -> None:
        for beat in range(beats):
            self.ctx.set(self.dut.frame, {"valid": 1, "last": int(beat == beats - 1)})
            await self.step()
            self.ctx.set(self.dut.frame, {"valid": 0, "last": 0})
            if gaps and beat < beats - 1:
                await self.step(2 * SETTLE)

    async def clear(self) -> None:
        self.ctx.set(self.dut.clear, 1)
        await self.step()
        self.ctx.set(self.dut.clear, 0)

    def wait(self, value: int) -> None:
        self.ctx.set(self.dut.waiting, value)

    def level(self) -> int:
        return int(self.ctx.get(self.dut.level))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("pause", [0, 3])
def test_every_length_comes_out_as_it_was_written(width: int, pause: int) -> None:
    bench = Bench(width)
    wanted = [(NUMBER - size, content(size)) for size in range(1, injection.LONGEST + 1)]

    async def story(bench: Bench) -> None:
        for number, message in wanted:
            while bench.level() == 4:
                await bench.step()
            await bench.write(injection.words(number, message), pause=pause)
            await bench.step(2)
        await bench.step(400)
        assert bench.level() == 0

    bench.run(story)
    assert bench.given == wanted and len(bench.ended) == len(wanted) and not bench.drops


@pytest.mark.parametrize("width", WIDTHS)
def test_a_message_takes_so_many_clocks(width: int) -> None:
    """From the first clock in which it may begin: two to the first beat, `longest` to the end, `refill` to the next."""
    bench = Bench(width)
    longest, refill = {1: (52, 7), 8: (7, 5)}[width]

    async def story(bench: Bench) -> None:
        bench.wait(1)
        for number in range(3):
            await bench.write(injection.words(number, content(injection.LONGEST)))
        bench.wait(0)
        await bench.frame(1)
        may = bench.cycle + SETTLE
        await bench.step(400)
        assert bench.begun[0] == may + 2
        assert bench.ended[0] == may + longest == may + bench.dut.longest
        assert bench.begun[1] - bench.ended[0] == refill + 2 == bench.dut.refill + 2

    bench.run(story)
    assert len(bench.given) == 3


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_begins_while_frames_come_or_packets_wait(width: int) -> None:
    bench = Bench(width)

    async def story(bench: Bench) -> None:
        await bench.write(injection.words(7, content(20))[:-1])
        await bench.frame(3)
        await bench.write([20])
        for _ in range(3):
            await bench.frame(12)
            await bench.step(SETTLE - 1)
        await bench.frame(6, gaps=True)
        await bench.step(SETTLE - 1)
        bench.wait(1)
        await bench.step(100)
        assert not bench.begun
        bench.wait(0)
        await bench.step(SETTLE + 2)
        assert bench.begun == [bench.cycle]
        await bench.step(60)

    bench.run(story)
    assert bench.given == [(7, content(20))]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("length", [0, injection.LONGEST + 1, 64, 256 + 20, 1 << 29 | 20])
def test_a_length_that_is_none_is_refused_and_the_next_message_taken(width: int, length: int) -> None:
    bench = Bench(width)

    async def story(bench: Bench) -> None:
        await bench.write([*injection.words(1, content(20))[:-1], length])
        await bench.step(2)
        assert bench.level() == 0
        await bench.write(injection.words(2, content(21)))
        await bench.step(100)

    bench.run(story)
    assert bench.given == [(2, content(21))] and bench.drops == [Drop.INJECT_LENGTH]


@pytest.mark.parametrize("width", WIDTHS)
def test_what_there_is_no_room_for_is_refused_whole(width: int) -> None:
    """Room that comes while its words do does not make a message of the last of them."""
    bench = Bench(width)

    async def story(bench: Bench) -> None:
        bench.wait(1)
        for number in range(5):
            await bench.write(injection.words(number, content(20 + number)))
        await bench.step(1)
        assert bench.level() == 4 and bench.drops == [Drop.INJECT_OVERRUN]
        await bench.write(injection.words(5, content(30))[:8])
        bench.wait(0)
        while bench.level() == 4:
            await bench.step()
        await bench.write(injection.words(5, content(30))[8:])
        await bench.step(200)
        await bench.write(injection.words(6, content(31)))
        await bench.step(100)

    bench.run(story)
    assert bench.given == [(number, content(20 + number)) for number in range(4)] + [(6, content(31))]
    assert bench.drops == [Drop.INJECT_OVERRUN] * 2


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("clocks", range(12))
def test_clear_forgets_what_is_not_under_way(width: int, clocks: int) -> None:
    """And half a message; what is written behind it counts from its first word."""
    bench = Bench(width)

    async def story(bench: Bench) -> None:
        bench.wait(1)
        for number in range(3):
            await bench.write(injection.words(number, content(20)))
        await bench.write([1, 2, 3])
        bench.wait(0)
        await bench.step(SETTLE - 6 + clocks)
        begins = bool(bench.ctx.get(bench.dut.busy_out))
        await bench.clear()
        begins |= bool(bench.ctx.get(bench.dut.busy_out))
        await bench.write(injection.words(9, content(25)))
        await bench.step(200)
        assert bench.given == [(0, content(20))] * begins + [(9, content(25))]
        assert bench.level() == 0

    bench.run(story)
    assert not bench.drops


@pytest.mark.parametrize("width", WIDTHS)
def test_marks_come_with_their_messages_and_those_have_no_packet(width: int) -> None:
    """One with a mark waits until the ring behind is at rest, and asks it meanwhile to stay so; others do neither."""
    bench, wanted = Bench(width), [Mark.LINE, Mark.PRIVATE, Mark.ATTACH, Mark.LINE, Mark.DETACH]

    async def story(bench: Bench) -> None:
        dut, ctx = bench.dut, bench.ctx
        bench.wait(1)
        for number, mark in enumerate(wanted[:4]):
            await bench.write(injection.words(number, content(20 + number), mark))
        ctx.set(dut.draining, 1)
        bench.wait(0)
        await bench.step(300)
        assert bench.marks == [Mark.LINE] and ctx.get(dut.asks)
        ctx.set(dut.draining, 0)
        while ctx.get(dut.asks):
            assert not ctx.get(dut.mark_out) or ctx.get(dut.busy_out)
            await bench.step()
        assert bench.marks == wanted[:2] and not ctx.get(dut.busy_out)
        await bench.step(300)
        # A frame's first byte takes the right to begin away.
        bench.wait(1)
        await bench.write(injection.words(4, content(24), wanted[4]))
        await bench.step(50)
        assert not ctx.get(dut.asks)
        ctx.set(dut.draining, 1)
        bench.wait(0)
        await bench.step(SETTLE + 2)
        assert ctx.get(dut.asks)
        await bench.frame(1)
        assert not ctx.get(dut.asks)
        ctx.set(dut.draining, 0)
        await bench.step(200)

    bench.run(story)
    assert bench.given == [(number, content(20 + number)) for number in range(5)]
    assert bench.marks == wanted and len(bench.ended) == wanted.count(Mark.LINE) and not bench.drops


@pytest.mark.parametrize("width", WIDTHS)
def test_what_passes_is_not_touched(width: int) -> None:
    """While nothing of the host is given, all signals pass in the same clock."""
    dut = MessageInjector(width=width, settle=SETTLE)

    async def story(ctx: Any) -> None:
        rng = random.Random(1)
        for _ in range(50):
            pairs = [(dut.message.payload, dut.message_out.payload), (dut.packet.payload, dut.packet_out.payload)]
            pairs += [(getattr(dut, name), getattr(dut, f"{name}_out")) for name in ("coming", "line", "busy")]
            pairs += [(getattr(dut, name).valid, getattr(dut, f"{name}_out").valid) for name in ("message", "packet")]
            bits = [rng.getrandbits(len(getattr(given, "as_value", lambda given=given: given)())) for given, _ in pairs]
            for (given, _), value in zip(pairs, bits, strict=True):
                ctx.set(getattr(given, "as_value", lambda given=given: given)(), value)
            for (_, taken), value in zip(pairs, bits, strict=True):
                assert ctx.get(getattr(taken, "as_value", lambda taken=taken: taken)()) == value
            await ctx.tick()

    simulate(dut, story)


@pytest.mark.parametrize("refused", [{"width": 2}, {"settle": 0}, {"tail": 0}, {"messages": 3}])
def test_parameters_out_of_range_are_refused(refused: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        MessageInjector(**{"width": 1, "settle": SETTLE} | refused)
