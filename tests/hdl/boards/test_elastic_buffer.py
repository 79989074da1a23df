"""Frames across two clocks that drift apart by the most that IEEE 802.3 allows."""

import random

import pytest
from amaranth.sim import Simulator

from hdl.boards.elastic_buffer import ElasticBuffer

PERIOD = 8e-9
LATENCY = range(4, 7)


def carry(frames, gaps, *, ppm, phase):
    """Send frames through; gives those that came out and the clocks of `sync` each took from first byte to first byte."""
    dut = ElasticBuffer()
    simulator = Simulator(dut)
    simulator.add_clock(PERIOD, domain="sync")
    simulator.add_clock(PERIOD * (1 + ppm * 1e-6), phase=phase * PERIOD, domain="rx")
    entered, left, out, clock = [], [], [], [0]

    async def line(ctx):
        for frame, gap in zip(frames, gaps, strict=True):
            ctx.set(dut.received, {"data": 0, "valid": 0, "error": 0})
            await ctx.tick("rx").repeat(gap)
            entered.append(clock[0])
            for byte, error in frame:
                ctx.set(dut.received, {"data": byte, "valid": 1, "error": error})
                await ctx.tick("rx")
        ctx.set(dut.received, {"data": 0, "valid": 0, "error": 0})
        await ctx.tick("rx").repeat(20)

    async def receiver(ctx):
        running = False
        async for _, _, given in ctx.tick("sync").sample(dut.given):
            clock[0] += 1
            if given.valid:
                if not running:
                    out.append([])
                    left.append(clock[0])
                out[-1].append((given.data, given.error))
            running = given.valid

    simulator.add_testbench(line)
    simulator.add_testbench(receiver, background=True)
    simulator.run()
    # What is sampled with a clock edge stood there since the edge before.
    return out, [after - before - 1 for before, after in zip(entered, left, strict=True)]


@pytest.mark.parametrize("ppm", [-200, 0, 200])
@pytest.mark.parametrize("phase", [0.1, 0.5, 0.9])
def test_frames_pass_unchanged(ppm, phase):
    source = random.Random(f"{ppm} {phase}")
    lengths = [64, 1522, 65, 1522, *source.choices(range(64, 200), k=4)]
    frames = [[(source.randrange(256), 0) for _ in range(length)] for length in lengths]
    out, latencies = carry(frames, [12] * len(frames), ppm=ppm, phase=phase)
    assert out == frames
    assert set(latencies) <= set(LATENCY), latencies


def test_errors_pass_where_they_stand():
    frame = [(index, index == 40) for index in range(64)]
    out, _ = carry([frame], [12], ppm=0, phase=0.3)
    assert out == [[(byte, int(error)) for byte, error in frame]]


def test_a_clock_far_too_slow_flags_the_frame():
    # 10,000 ppm is no Ethernet any more: over 1,522 bytes it lacks 15, far more than the head start.
    frame = [(7, 0)] * 1522
    out, _ = carry([frame], [12], ppm=10_000, phase=0.3)
    assert len(out) == 1
    assert any(error for _, error in out[0])


@pytest.mark.parametrize("depth", [0, 4, 12])
def test_impossible_depths_are_named(depth):
    with pytest.raises(ValueError, match=f"depth: {depth} was given, allowed are powers of two from 8 on"):
        ElasticBuffer(depth=depth)
