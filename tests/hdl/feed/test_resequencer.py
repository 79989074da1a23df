# amaranth: UnusedElaboratable=no -- a refused parameter leaves a half-made component
"""`Resequencer`: messages of two lines, late, twice or never, against what its description says."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from hdl.feed.resequencer import Resequencer
from tests.support.simulation import simulate

RING = 16
START = 2**32 - 40
"""Numbers carry into the upper half."""


class Bench:
    """The component and all that came out of it."""

    def __init__(self, width: int, *, gap_wait: int = 200, recover: int = 0) -> None:
        self.dut = Resequencer(width=width, ring_messages=RING)
        self.gap_wait, self.recover = gap_wait, recover
        self.cycle = 0
        self.messages: list[tuple[int, bytes]] = []
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.gaps: list[tuple[int, int]] = []
        self.counts = {"duplicate": 0, "beyond": 0, "recovered": 0}
        self._current, self._number = b"", 0

    def run(self, story: Callable[[Any], Any]) -> None:
        async def bench(ctx: Any) -> None:
            self.ctx = ctx
            ctx.set(self.dut.gap_wait, self.gap_wait)
            ctx.set(self.dut.recover, self.recover)
            ctx.set(self.dut.load.payload, START)
            ctx.set(self.dut.load.valid, 1)
            await self.step()
            ctx.set(self.dut.load.valid, 0)
            await self.step(2)
            await story(self)

        simulate(self.dut, bench)

    async def step(self, clocks: int = 1) -> None:
        for _ in range(clocks):
            await self.ctx.tick()
            self.cycle += 1
            self._look()

    def _look(self) -> None:
        ctx, dut = self.ctx, self.dut
        if ctx.get(dut.o.valid):
            beat = dut.o.payload
            if ctx.get(beat.first):
                self._current, self._number = b"", ctx.get(beat.sequence)
                self.begun.append(self.cycle)
            assert ctx.get(beat.sequence) == self._number
            self._current += bytes(ctx.get(beat.data[lane]) for lane in range(ctx.get(beat.count)))
            if ctx.get(beat.last):
                self.messages.append((self._number, self._current))
                self.ended.append(self.cycle)
        if ctx.get(dut.gap.valid):
            self.gaps.append((ctx.get(dut.gap.payload.first), ctx.get(dut.gap.payload.next)))
        for name in self.counts:
            self.counts[name] += ctx.get(getattr(dut, name))

    async def give(self, number: int, *, pause: int = 2, cut: bool = False) -> None:
        """A message of which, where it is cut, the end never comes; the pause of a block's length behind it."""
        ctx, dut, raw = self.ctx, self.dut, content(number)
        for at in range(0, len(raw), dut.lanes):
            lanes = raw[at : at + dut.lanes]
            last = at + dut.lanes >= len(raw)
            if cut and last:
                break
            ctx.set(dut.message.valid, 1)
            ctx.set(dut.message.payload, {
                "data": list(lanes) + [0] * (dut.lanes - len(lanes)), "count": len(lanes), "first": int(at == 0),
                "last": int(last), "sequence": number,
            })  # fmt: skip
            await self.step()
            ctx.set(dut.message.valid, 0)
        if cut:
            ctx.set(dut.packet_end, 1)
            await self.step()
            ctx.set(dut.packet_end, 0)
        await self.step(pause)

    async def tell(self, number: int) -> None:
        """A heartbeat."""
        self.ctx.set(self.dut.ahead.payload, number)
        self.ctx.set(self.dut.ahead.valid, 1)
        await self.step()
        self.ctx.set(self.dut.ahead.valid, 0)

    async def settle(self) -> None:
        await self.step(RING * 50 + 2 * self.gap_wait)


def content(number: int) -> bytes:
    """The message of a number, of an ITCH message's length."""
    source = random.Random(number)
    return source.randbytes(source.choice((12, 19, 31, 32, 33, 36, 40, 44, 50)))


def wanted(numbers: Any) -> list[tuple[int, bytes]]:
    return [(number, content(number)) for number in numbers]


both = pytest.mark.parametrize("width", [1, 8])


@both
def test_in_order_passes_after_one_clock(width: int) -> None:
    bench = Bench(width)
    given: list[int] = []

    async def story(bench: Bench) -> None:
        for number in range(START, START + 60):
            given.append(bench.cycle + 1)
            await bench.give(number, pause=0 if width == 8 else 2)
        await bench.step(3)

    bench.run(story)
    assert bench.messages == wanted(range(START, START + 60))
    assert bench.begun == given
    assert not bench.gaps and not any(bench.counts.values())


@both
@pytest.mark.parametrize("seed", range(4))
def test_two_lines_lose_nothing_that_either_brings_in_time(width: int, seed: int) -> None:
    """Every number comes at least once, none more than half a ring late."""
    rng = random.Random(seed)
    bench = Bench(width, gap_wait=100_000)
    numbers = list(range(START, START + 150))
    schedule = sorted([(number + rng.random() * (RING // 2 - 1), number) for number in numbers]
                      + [(number + rng.random() * RING, number) for number in numbers if rng.random() < 0.6])  # fmt: skip

    async def story(bench: Bench) -> None:
        for _, number in schedule:
            await bench.give(number, pause=rng.choice((0, 1, 2, 3)) if width == 8 else rng.choice((2, 3, 40)))
        await bench.step(RING * 60)

    bench.run(story)
    assert bench.messages == wanted(numbers)
    assert not bench.gaps
    assert bench.counts == {"duplicate": len(schedule) - len(numbers), "beyond": 0, "recovered": 0}


@both
@pytest.mark.parametrize("seed", range(3))
def test_what_no_line_brings_is_a_gap_after_the_wait(width: int, seed: int) -> None:
    rng = random.Random(seed)
    bench = Bench(width, gap_wait=60)
    lost: list[tuple[int, int]] = []
    kept: list[int] = []

    async def story(bench: Bench) -> None:
        number = START
        for _ in range(25):
            hole, run = rng.randint(0, 5), rng.randint(1, RING - 6)
            if hole:
                lost.append((number, number + hole))
            number += hole
            part = list(range(number, number + run))
            kept.extend(part)
            rng.shuffle(part)
            for each in part:
                await bench.give(each, pause=0 if width == 8 else 2)
            number += run
            await bench.settle()
        await bench.tell(number + 3)
        lost.append((number, number + 3))
        await bench.settle()

    bench.gap_wait = 700 if width == 1 else 120
    bench.run(story)
    assert bench.gaps == lost
    assert bench.messages == wanted(kept)
    assert not any(bench.counts.values())


@both
def test_the_wait_is_counted_in_clocks(width: int) -> None:
    bench = Bench(width, gap_wait=300)
    at: list[int] = []

    async def story(bench: Bench) -> None:
        await bench.give(START + 2)
        begin = bench.cycle
        while not bench.gaps:
            await bench.step()
        at.append(bench.cycle - begin)
        await bench.step(100)

    bench.run(story)
    assert bench.gaps == [(START, START + 2)]
    length = -(-len(content(START + 2)) // bench.dut.lanes)
    assert 300 - length - 4 <= at[0] <= 300 + 8
    assert bench.messages == wanted([START + 2])


@both
def test_a_leap_past_the_ring(width: int) -> None:
    """With nothing held it is a gap at once; with something held the wait ends and the message is dropped."""
    bench = Bench(width, gap_wait=100_000)

    async def story(bench: Bench) -> None:
        await bench.give(START + 1_000)
        await bench.give(START + 1_001)
        await bench.give(START + 1_003)
        await bench.give(START + 1_002 + RING)
        await bench.step(RING * 60)
        await bench.give(START + 1_003)
        await bench.give(START + 1_004)
        await bench.step(100)

    bench.run(story)
    assert bench.messages == wanted(START + each for each in (1_000, 1_001, 1_003, 1_004))
    assert bench.gaps == [(START, START + 1_000), (START + 1_002, START + 1_003)]
    assert bench.counts == {"duplicate": 1, "beyond": 1, "recovered": 0}


@both
def test_recovery_under_live_traffic(width: int) -> None:
    """The hole is asked for once; what was held follows what is injected, and nothing is lost or comes twice."""
    bench = Bench(width, gap_wait=20, recover=1)

    async def story(bench: Bench) -> None:
        for number in range(START, START + 5):
            await bench.give(number)
        for number in range(START + 8, START + 12):
            await bench.give(number, pause=30)
        await bench.step(60)
        assert bench.gaps == [(START + 5, START + 8)]
        assert bench.messages == wanted(range(START, START + 5))
        for injected, live in zip(range(START + 5, START + 8), range(START + 12, START + 15), strict=True):
            await bench.give(live)
            await bench.give(injected)
        assert not bench.counts["recovered"]
        await bench.step(RING * 60)
        for number in range(START + 15, START + 20):
            await bench.give(number)

    bench.run(story)
    assert bench.messages == wanted(range(START, START + 20))
    assert len(bench.gaps) == 1
    assert bench.counts == {"duplicate": 0, "beyond": 0, "recovered": 1}


@both
def test_recovery_of_more_than_the_ring_holds(width: int) -> None:
    """The hole grows; the host goes on asking until there is nothing open."""
    bench = Bench(width, gap_wait=20, recover=1)

    async def story(bench: Bench) -> None:
        for number in range(START + 2, START + 2 * RING):
            await bench.give(number)
        await bench.step(60)
        assert bench.ctx.get(bench.dut.known) == START + 2 * RING
        while (number := bench.ctx.get(bench.dut.expected)) != bench.ctx.get(bench.dut.known):
            await bench.give(number)
            await bench.step(RING * 60)
        await bench.step(4)

    bench.run(story)
    assert bench.messages == wanted(range(START, START + 2 * RING))
    assert bench.gaps == [(START, START + 2)]
    assert bench.counts == {"duplicate": 0, "beyond": RING, "recovered": 1}


@both
def test_a_message_that_is_cut_is_taken_from_the_other_line(width: int) -> None:
    bench = Bench(width, gap_wait=100_000)

    async def story(bench: Bench) -> None:
        for number in range(START, START + 20):
            await bench.give(number, cut=True)
            await bench.give(number + 1, cut=True)
            await bench.give(number)

    bench.run(story)
    assert bench.messages == wanted(range(START, START + 20))
    assert not bench.gaps and not any(bench.counts.values())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"width": 2}, "width: 2 was given, allowed are 1 and 8"),
        ({"width": 1, "ring_messages": 48}, "ring_messages: 48 was given, allowed are powers of two from 2 on"),
    ],
)
def test_refused_parameters(parameters: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Resequencer(**parameters)
