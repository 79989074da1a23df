"""Packets, good and bad, through `PacketHold`."""

from __future__ import annotations

import os
import random
from typing import Any

import cocotb

from hdl.net.packet_hold import PacketHold
from tests.support import frames
from tests.support.stepper import Stepper

WIDTH, DEPTH = int(os.environ["WIDTH"]), int(os.environ["DEPTH"])
COMPONENT = PacketHold(width=WIDTH, depth=DEPTH)


async def started(dut: Any) -> tuple[Stepper, random.Random]:
    bench = Stepper(dut, COMPONENT, collect=("o", "o_end"), pulses=("overflow",))
    await bench.reset()
    return bench, random.Random(3)


async def send(bench: Stepper, raw: bytes, rng: random.Random, *, ok: bool, idle: float = 0.0) -> tuple[list[int], int]:
    clocks = await frames.drive(bench, "i", raw, width=WIDTH, rng=rng, idle=idle, last=ok or rng.random() < 0.5)
    await bench.step(rng.randrange(3))
    bench.offer("i_end", {"ok": int(ok)})
    end = bench.cycle
    await bench.step()
    return clocks, end


def packets(bench: Stepper) -> list[tuple[int, bytes, int]]:
    """Clock of the first beat, bytes and verdict of every packet that came out; ends must follow their packets."""
    beats, ends, found = bench.taken("o"), bench.taken("o_end"), []
    for cycle, end in ends:
        mine = [beat for beat in beats if beat[0] < cycle]
        beats = beats[len(mine) :]
        assert mine and mine[0][1]["first"] and not any(beat["first"] for _, beat in mine[1:])
        found.append((mine[0][0], frames.collected(mine), end["ok"]))
    assert not beats
    return found


@cocotb.test()
async def passes_at_once(dut: Any) -> None:
    bench, rng = await started(dut)
    expected = []
    for size in range(1, 60):
        raw, ok = rng.randbytes(size), rng.random() < 0.5
        clocks, _ = await send(bench, raw, rng, ok=ok, idle=rng.choice((0, 0.4)))
        expected.append((clocks[0], raw, int(ok)))
    assert packets(bench) == expected


@cocotb.test()
async def holds_until_good(dut: Any) -> None:
    bench, rng = await started(dut)
    bench.set("hold", 1)
    expected = []
    for _ in range(80):
        raw, ok = rng.randbytes(rng.randint(1, 20 * WIDTH)), rng.random() < 0.6
        _, end = await send(bench, raw, rng, ok=ok, idle=rng.choice((0, 0.4)))
        if ok:
            expected.append((end + 4, raw, 1))
        await bench.step(40)
    assert packets(bench) == expected
    assert not bench.taken("overflow")


@cocotb.test()
async def packets_close_together(dut: Any) -> None:
    """Order and content hold when packets come before the last is out, and `hold` changes at any time."""
    bench, rng = await started(dut)
    expected = []
    for number in range(300):
        bench.set("hold", rng.randrange(2))
        raw = number.to_bytes(2, "big") + rng.randbytes(rng.randint(0, 6 * WIDTH))
        ok = rng.random() < 0.7
        await frames.drive(bench, "i", raw, width=WIDTH, rng=rng, idle=0.2)
        bench.set("hold", rng.randrange(2))
        await bench.step(rng.randrange(2))
        bench.offer("i_end", {"ok": int(ok)})
        await bench.step(rng.randrange(1, 25))
        expected.append((raw, ok))
    await bench.step(200)
    got = [(raw, bool(ok)) for _, raw, ok in packets(bench)]
    # Held packets that were bad do not come; all else does, in order.
    remaining = iter(expected)
    for packet in got:
        for candidate in remaining:
            if candidate == packet:
                break
            assert not candidate[1]
        else:
            raise AssertionError("a packet came that was not given")
    assert all(not ok for _, ok in remaining)
    assert not bench.taken("overflow")


@cocotb.test()
async def overflow(dut: Any) -> None:
    """What does not fit goes whole; the next packet that fits comes."""
    bench, rng = await started(dut)
    bench.set("hold", 1)
    for size in (DEPTH + 1, DEPTH, 3 * DEPTH, DEPTH):
        raw = rng.randbytes(size * WIDTH)
        await send(bench, raw, rng, ok=True)
        await bench.step(DEPTH + 30)
        assert [packet[1:] for packet in packets(bench)] == ([(raw, 1)] if size <= DEPTH else [])
        assert len(bench.taken("overflow")) == (size > DEPTH)


@cocotb.test()
async def line_rate(dut: Any) -> None:
    """Frames without end, as close as the wire allows: the ring never fills."""
    bench, rng = await started(dut)
    bench.set("hold", 1)
    size, due = 3 * WIDTH, 0
    for _ in range(400):
        start = bench.cycle
        await frames.drive(bench, "i", rng.randbytes(size), width=WIDTH, rng=rng)
        await bench.step(2)
        bench.offer("i_end", {"ok": 1})
        await bench.step()
        # Preamble, headers, check sequence and gap stand between two payloads; what does not fill a beat is owed.
        due += size + 66
        beats, due = divmod(due, WIDTH)
        await bench.step(beats - (bench.cycle - start))
    await bench.step(400)
    assert len(packets(bench)) == 400
    assert not bench.taken("overflow")
