"""`Crc32`, judged by zlib."""

from __future__ import annotations

import random
import zlib

import pytest
from amaranth.sim import Simulator

from hdl.mac.crc32 import Crc32


@pytest.mark.parametrize("width", [4, 8])
def test_every_count(width):
    dut, rng = Crc32(width=width), random.Random(3)

    async def bench(ctx):
        async def feed(frame):
            at = 0
            while at < len(frame):
                count = min(rng.randrange(width + 1), len(frame) - at)
                for lane in range(width):
                    # Lanes beyond the count hold anything.
                    ctx.set(dut.bytes[lane], frame[at + lane] if lane < count else rng.randrange(256))
                ctx.set(dut.count, count)
                ctx.set(dut.start, int(at == 0))
                at += count
                await ctx.tick()
            ctx.set(dut.count, 0)
            ctx.set(dut.start, 0)

        for size in [*range(1, 80), 1514]:
            frame = rng.randbytes(size)
            await feed(frame)
            assert ctx.get(dut.crc) == zlib.crc32(frame)
            await feed(frame + zlib.crc32(frame).to_bytes(4, "little"))
            assert ctx.get(dut.match)
            await ctx.tick()
            assert ctx.get(dut.match), "held while nothing comes"
            await feed(frame + (zlib.crc32(frame) ^ 1 << rng.randrange(32)).to_bytes(4, "little"))
            assert not ctx.get(dut.match)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


def test_a_narrow_one_is_refused():
    with pytest.raises(ValueError, match="width: 3"):
        Crc32(width=3)
