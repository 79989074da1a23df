"""Bytes on a GMII into `GmiiReceiver`; check sequences by zlib."""

from __future__ import annotations

import random
import zlib
from typing import Any

import cocotb

from hdl.mac.gmii_receiver import GmiiReceiver
from tests.support.stepper import Stepper

COMPONENT = GmiiReceiver()
PREAMBLE = b"\x55" * 7 + b"\xd5"


async def started(dut: Any) -> tuple[Stepper, random.Random]:
    bench = Stepper(dut, COMPONENT, collect=("frame",))
    await bench.reset()
    return bench, random.Random(5)


async def carry(bench: Stepper, raw: bytes, *, fault: int | None = None, gap: int = 12) -> list[int]:
    """One carrier event, rx_er at byte `fault`; returns the clock of every byte."""
    clocks = []
    for index, byte in enumerate(raw):
        bench.set("rxd", byte)
        bench.set("rx_dv", 1)
        bench.set("rx_er", int(index == fault))
        clocks.append(bench.cycle)
        await bench.step()
    bench.set("rx_dv", 0)
    bench.set("rx_er", 0)
    await bench.step(gap)
    return clocks


def seal(frame: bytes) -> bytes:
    return frame + zlib.crc32(frame).to_bytes(4, "little")


def check(beats: list[tuple[int, dict[str, Any]]], frame: bytes, clocks: list[int], error: bool) -> None:
    assert bytes(beat["data"][0] for _, beat in beats) == frame
    assert [cycle for cycle, _ in beats] == [clock + 1 for clock in clocks]
    assert [beat["first"] for _, beat in beats] == [1] + [0] * (len(frame) - 1)
    assert [beat["last"] for _, beat in beats] == [0] * (len(frame) - 1) + [1]
    assert all(beat["count"] == 1 for _, beat in beats)
    assert beats[-1][1]["error"] == error


@cocotb.test()
async def frames_of_every_length(dut: Any) -> None:
    bench, rng = await started(dut)
    for size in [*range(1, 130), 1518]:
        frame = seal(rng.randbytes(size))
        clocks = await carry(bench, PREAMBLE + frame, gap=rng.choice((1, 12)))
        check(bench.taken("frame"), frame, clocks[8:], False)


@cocotb.test()
async def bad_frames(dut: Any) -> None:
    bench, rng = await started(dut)
    for _ in range(100):
        good = seal(rng.randbytes(60))
        at = rng.randrange(len(good))
        bad = good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1 :]
        flagged, stub = rng.randrange(8 + len(good)), good[: rng.randint(1, 4)]
        for frame, fault in ((bad, None), (good[:-1], None), (good, flagged), (stub, None)):
            clocks = await carry(bench, PREAMBLE + frame, fault=fault, gap=1)
            check(bench.taken("frame"), frame, clocks[8:], True)
        clocks = await carry(bench, PREAMBLE + good)
        check(bench.taken("frame"), good, clocks[8:], False)


@cocotb.test()
async def preambles(dut: Any) -> None:
    """Short and damaged preambles are taken; carrier without delimiter is not a frame."""
    bench, rng = await started(dut)
    for before in (b"\xd5", b"\x55\xd5", b"\x5d" + b"\x55" * 5 + b"\xd5", b"\x55" * 20 + b"\xd5"):
        frame = seal(b"\xd5" + rng.randbytes(60))
        clocks = await carry(bench, before + frame)
        check(bench.taken("frame"), frame, clocks[len(before) :], False)
    for nothing in (b"\x55" * 30, b"\x55", b"\x55" * 7 + b"\xd5", b"\x00" * 9):
        await carry(bench, nothing, gap=1)
        assert not bench.taken("frame")
    frame = seal(rng.randbytes(60))
    clocks = await carry(bench, PREAMBLE + frame)
    check(bench.taken("frame"), frame, clocks[8:], False)
