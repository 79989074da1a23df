"""Frames into `GmiiTransmitter`; what stands on the GMII is judged by zlib and scapy."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from typing import Any

import cocotb

from hdl.mac.gmii_transmitter import GmiiTransmitter
from tests.support import frames
from tests.support.stepper import Stepper

COMPONENT = GmiiTransmitter()
PREAMBLE = b"\x55" * 7 + b"\xd5"


@dataclass
class Wire:
    """The transmitter, and every clock of the GMII."""

    bench: Stepper
    clocks: list[tuple[int, int, int]]

    async def step(self) -> None:
        await self.bench.step()
        self.clocks.append(tuple(self.bench.get(name) for name in ("tx_en", "tx_er", "txd")))

    async def send(self, frame: bytes, *, starve: int | None = None) -> int:
        """Give a frame, one clock nothing before byte `starve`; returns the clock in which it was first offered."""
        start = self.bench.cycle
        for index, byte in enumerate(frame):
            if index == starve:
                await self.step()
            while True:
                last = int(index == len(frame) - 1)
                self.bench.offer("frame", {"data": [byte], "count": 1, "first": int(index == 0), "last": last})
                await self.step()
                if self.bench.get("frame__ready"):
                    break
        return start

    async def quiet(self) -> None:
        for _ in range(90):
            await self.step()

    def bursts(self) -> list[tuple[int, bytes, int]]:
        """Clock, bytes and errors of every burst so far."""
        found, current = [], None
        for clock, (enable, error, data) in enumerate(self.clocks):
            if enable:
                if current is None:
                    current = (clock, bytearray(), [0])
                    found.append(current)
                current[1].append(data)
                current[2][0] += error
            else:
                current = None
                assert not error
        return [(clock, bytes(raw), errors[0]) for clock, raw, errors in found]


async def started(dut: Any) -> tuple[Wire, random.Random]:
    bench = Stepper(dut, COMPONENT, pulses=("underrun",), levels=("tx_en", "tx_er", "txd", "idle", "frame__ready"))
    await bench.reset()
    return Wire(bench, []), random.Random(6)


def content(burst: bytes) -> bytes:
    """Frame of a burst without its check sequence, which must be right."""
    assert burst.startswith(PREAMBLE)
    frame, fcs = burst[8:-4], burst[-4:]
    assert zlib.crc32(frame).to_bytes(4, "little") == fcs
    return frame


@cocotb.test()
async def frames_of_every_length(dut: Any) -> None:
    wire, rng = await started(dut)
    for size in [*range(1, 70), 1514]:
        frame = rng.randbytes(size)
        while not wire.bench.get("idle") if wire.clocks else False:
            await wire.step()
        start = await wire.send(frame)
        await wire.quiet()
        clock, burst, errors = wire.bursts()[-1]
        assert content(burst) == frame.ljust(60, b"\0")
        assert clock == start + 1 and not errors


@cocotb.test()
async def back_to_back(dut: Any) -> None:
    """Frames that wait leave with exactly the gap between them."""
    wire, rng = await started(dut)
    given = [rng.randbytes(rng.choice((60, 61, 14, 200))) for _ in range(20)]
    for frame in given:
        await wire.send(frame)
    await wire.quiet()
    bursts = wire.bursts()
    assert [content(burst) for _, burst, _ in bursts] == [frame.ljust(60, b"\0") for frame in given]
    for (clock, burst, _), (following, _, _) in zip(bursts, bursts[1:], strict=False):
        assert following - (clock + len(burst)) == 12


@cocotb.test()
async def underrun(dut: Any) -> None:
    wire, rng = await started(dut)
    for starve in (1, 2, 59, 60, 99):
        await wire.send(rng.randbytes(100), starve=starve)
        frame = rng.randbytes(80)
        await wire.send(frame)
        await wire.quiet()
        (_, cut, errors), (_, whole, none) = wire.bursts()[-2:]
        assert errors == 1 and len(cut) == 8 + starve + 1
        assert content(whole) == frame and not none
        assert len(wire.bench.taken("underrun")) == 1


@cocotb.test()
async def scapy_reads_it(dut: Any) -> None:
    wire, _ = await started(dut)
    await wire.send(frames.GREETING)
    await wire.quiet()
    [(_, burst, _)] = wire.bursts()
    frames.check_greeting(content(burst))
