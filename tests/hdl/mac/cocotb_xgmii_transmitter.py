"""Frames into `XgmiiTransmitter`; what stands on the XGMII is judged by zlib and scapy."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from typing import Any

import cocotb

from hdl.mac.xgmii_transmitter import XgmiiTransmitter
from tests.support import frames
from tests.support.stepper import Stepper

COMPONENT = XgmiiTransmitter()
IDLE, START, TERMINATE, ERROR = (0x07, 1), (0xFB, 1), (0xFD, 1), (0xFE, 1)
OPENING = [START, *[(0x55, 0)] * 6, (0xD5, 0)]


@dataclass
class Wire:
    """The transmitter, and every character of the XGMII."""

    bench: Stepper
    characters: list[tuple[int, int]]

    async def step(self) -> None:
        await self.bench.step()
        raw = int(self.bench.get("txd")).to_bytes(8, "little")
        control = self.bench.get("txc")
        self.characters += [(byte, control >> lane & 1) for lane, byte in enumerate(raw)]

    async def send(self, frame: bytes, *, starve: int | None = None) -> int:
        """Give a frame, one clock nothing before beat `starve`; returns the clock in which it was first offered."""
        start = self.bench.cycle
        beats = [frame[at : at + 8] for at in range(0, len(frame), 8)]
        for index, raw in enumerate(beats):
            if index == starve:
                await self.step()
            while True:
                lanes = [*raw, *[0xAA] * (8 - len(raw))]
                last = int(index == len(beats) - 1)
                self.bench.offer("frame", {"data": lanes, "count": len(raw), "first": int(index == 0), "last": last})
                await self.step()
                if self.bench.get("frame__ready"):
                    break
        return start

    async def quiet(self) -> None:
        for _ in range(24):
            await self.step()

    def bursts(self) -> list[tuple[int, bytes, int]]:
        """Place, bytes behind the preamble and error characters of every frame; all else must be idle."""
        found, at = [], 0
        while at < len(self.characters):
            if self.characters[at] == IDLE:
                at += 1
                continue
            assert at % 8 == 0 and self.characters[at : at + 8] == OPENING
            end = self.characters.index(TERMINATE, at)
            body = self.characters[at + 8 : end]
            assert all(character == ERROR for character in body if character[1])
            found.append((at, bytes(byte for byte, control in body if not control), sum(control for _, control in body)))
            at = end + 1
        return found


async def started(dut: Any) -> tuple[Wire, random.Random]:
    bench = Stepper(dut, COMPONENT, pulses=("underrun",), levels=("txd", "txc", "idle", "frame__ready"))
    await bench.reset()
    return Wire(bench, []), random.Random(6)


def content(burst: bytes) -> bytes:
    """Frame of a burst without its check sequence, which must be right."""
    frame, fcs = burst[:-4], burst[-4:]
    assert zlib.crc32(frame).to_bytes(4, "little") == fcs
    return frame


@cocotb.test()
async def frames_of_every_length(dut: Any) -> None:
    wire, rng = await started(dut)
    for size in [*range(1, 140), 1514]:
        frame = rng.randbytes(size)
        start = await wire.send(frame)
        await wire.quiet()
        place, burst, errors = wire.bursts()[-1]
        assert content(burst) == frame.ljust(60, b"\0") and not errors
        assert place == 8 * (start + 1), "the start character one clock behind the offer"
        assert wire.bench.get("idle")


@cocotb.test()
async def back_to_back(dut: Any) -> None:
    """Frames that wait leave with 12 to 19 bytes between them, terminate character included."""
    wire, rng = await started(dut)
    given = [rng.randbytes(rng.choice((14, *range(56, 76), 200))) for _ in range(200)]
    for frame in given:
        await wire.send(frame)
    await wire.quiet()
    bursts = wire.bursts()
    assert [content(burst) for _, burst, _ in bursts] == [frame.ljust(60, b"\0") for frame in given]
    gaps = {later - (place + 8 + len(burst)) for (place, burst, _), (later, _, _) in zip(bursts, bursts[1:], strict=False)}
    assert min(gaps) == 12 and max(gaps) == 19


@cocotb.test()
async def underrun(dut: Any) -> None:
    wire, rng = await started(dut)
    for starve in (1, 2, 7, 8, 12):
        await wire.send(rng.randbytes(100), starve=starve)
        frame = rng.randbytes(80)
        await wire.send(frame)
        await wire.quiet()
        (_, cut, errors), (_, whole, none) = wire.bursts()[-2:]
        assert errors == 7 and len(cut) == 8 * starve
        assert content(whole) == frame and not none
        assert len(wire.bench.taken("underrun")) == 1


@cocotb.test()
async def scapy_reads_it(dut: Any) -> None:
    wire, _ = await started(dut)
    await wire.send(frames.GREETING)
    await wire.quiet()
    [(_, burst, _)] = wire.bursts()
    frames.check_greeting(content(burst))
