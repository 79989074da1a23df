# amaranth: UnusedElaboratable=no -- a refused parameter leaves a half-made component
"""`SegmentBuffer` gives the bytes of kept segments, once and in order."""

from __future__ import annotations

import random

import pytest

from hdl.order.segment_buffer import SegmentBuffer
from tests.support.simulation import put, simulate


async def segment(ctx, buffer: SegmentBuffer, width: int, payload: bytes, *, keep: bool, gap: int = 0) -> bool:
    """One segment and its verdict; returns whether it fits."""
    for place in range(0, len(payload), width):
        lanes = list(payload[place : place + width])
        beat = {"data": lanes + [0xEE] * (width - len(lanes)), "count": len(lanes), "first": place == 0,
                "last": place + width >= len(payload)}  # fmt: skip
        await put(ctx, buffer.segment, beat)
        if gap:
            await ctx.tick().repeat(gap)
    await ctx.tick()
    fits = bool(ctx.get(buffer.fits))
    assert not payload or ctx.get(buffer.length) == len(payload)
    use = keep and fits and bool(payload)
    ctx.set(buffer.keep, use)
    ctx.set(buffer.discard, not use)
    await ctx.tick()
    ctx.set(buffer.keep, 0)
    ctx.set(buffer.discard, 0)
    return fits


@pytest.mark.parametrize("width", [1, 8])
def test_random_segments(width: int) -> None:
    buffer = SegmentBuffer(width=width, depth=64)
    rng = random.Random(width)
    wanted, found = bytearray(), bytearray()
    dropped = []

    async def bench(ctx):
        for _ in range(200):
            payload = rng.randbytes(rng.choice((1, 2, 7, 8, 9, 16, 40, 64, 65, 100)))
            keep = rng.random() < 0.6
            fits = await segment(ctx, buffer, width, payload, keep=keep, gap=rng.randrange(3))
            if keep and fits:
                wanted.extend(payload)
            elif not fits:
                dropped.append(len(payload))
            await ctx.tick().repeat(rng.choice((1, 1, 10, 100)))
        await ctx.tick().repeat(200)

    async def watch(ctx):
        while True:
            if ctx.get(buffer.octets.valid):
                found.append(ctx.get(buffer.octets.payload))
            await ctx.tick()

    simulate(buffer, bench, background=(watch,))
    assert found == wanted
    assert len(found) > 500
    assert max(dropped) == 100, "longer than the ring"


@pytest.mark.parametrize("width", [1, 8])
def test_latency_and_throughput(width: int) -> None:
    buffer = SegmentBuffer(width=width, depth=64)
    seen = []

    async def bench(ctx):
        await segment(ctx, buffer, width, bytes(range(32)), keep=True)
        for clock in range(1, 60):
            if ctx.get(buffer.octets.valid):
                seen.append((clock, ctx.get(buffer.octets.payload)))
            await ctx.tick()

    simulate(buffer, bench)
    start = seen[0][0]
    assert 4 <= start < 4 + width
    assert seen == [(start + byte, byte) for byte in range(32)]


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"width": 4, "depth": 64}, "width: 4 was given, allowed are 1 and 8"),
        ({"width": 1, "depth": 96}, "depth: 96 was given, allowed are powers of two from 64 to 32768"),
    ],
)
def test_refused_parameters(parameters: dict[str, int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SegmentBuffer(**parameters)
