"""Packets into `MoldUdp64Receiver`; a plain reading of the specification says what must come of them."""

from __future__ import annotations

import os
import random
import struct
from dataclasses import dataclass, field
from typing import Any

import cocotb

from hdl.feed.moldudp64_receiver import MoldUdp64Receiver
from hdl.spec.reasons import Drop
from tests.support import frames
from tests.support.stepper import Stepper

WIDTH = int(os.environ["WIDTH"])
COMPONENT = MoldUdp64Receiver(width=WIDTH)
SESSION = b"000010059B"
SHORT = 1 if WIDTH == 1 else 8
"""Blocks shorter than that, but for empty ones, end the packet."""


@dataclass
class Model:
    """What the specification says of a stream of packets."""

    expected: int
    messages: list[tuple[int, bytes]] = field(default_factory=list)
    gaps: list[dict[str, int]] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    lost: int = 0
    heartbeats: int = 0

    def packet(self, payload: bytes, ok: bool) -> None:
        before = self.expected
        cause, used = self._use(payload, ok)
        if not ok:
            self.expected = before
            self.lost += used
        elif cause is not None:
            self.drops.append(cause)

    def _use(self, payload: bytes, ok: bool) -> tuple[Drop | None, bool]:
        if len(payload) < 20:
            return Drop.MOLD_HEADER, False
        session, sequence, count = struct.unpack_from(">10sQH", payload)
        if session != SESSION:
            return Drop.SESSION, False
        if count in (0, 0xFFFF):
            if len(payload) != 20:
                return Drop.BLOCK_LENGTH, False
            if ok:
                self.heartbeats += 1
                self._reach(sequence)
            return None, False
        self._reach(sequence)
        at, used, fresh = 20, False, False
        for number in range(sequence, sequence + count):
            if at + 2 > len(payload):
                return Drop.BLOCK_LENGTH, used
            (length,) = struct.unpack_from(">H", payload, at)
            if 0 < length < SHORT or at + 2 + length > len(payload):
                return Drop.BLOCK_LENGTH, used
            if number == self.expected:
                if length:
                    self.messages.append((number, payload[at + 2 : at + 2 + length]))
                    used = True
                self.expected += 1
                fresh = True
            at += 2 + length
        if at != len(payload):
            return Drop.BLOCK_LENGTH, used
        return None if fresh else Drop.DUPLICATE, used

    def _reach(self, sequence: int) -> None:
        if sequence > self.expected:
            self.gaps.append({"first": self.expected, "next": sequence})
            self.expected = sequence


@dataclass
class Bench:
    """The receiver, its model, and what was given."""

    stepper: Stepper
    model: Model
    rng: random.Random
    clocks: list[tuple[bytes, list[int]]] = field(default_factory=list)
    messages: list[tuple[int, list[dict[str, Any]], list[int]]] = field(default_factory=list)

    async def send(self, payload: bytes, *, ok: bool = True, idle: float = 0.0, pause: int = 8, cut: int = 0) -> None:
        """A packet, of which the last `cut` bytes never come, and its verdict."""
        given = payload[: len(payload) - cut]
        if given:
            await frames.drive(self.stepper, "payload", given, width=WIDTH, rng=self.rng, idle=idle, last=not cut)
        self.stepper.offer("payload_end", {"ok": int(ok)})
        await self.stepper.step(1 + pause)
        self.model.packet(given, ok)

    async def check(self) -> None:
        """Everything so far came out as the model has it."""
        await self.stepper.step(16)
        seen = {name: self.stepper.taken(name) for name in self.stepper.seen}
        assert whole(seen["message"]) == self.model.messages
        assert [gap for _, gap in seen["gap"]] == self.model.gaps
        assert [drop for _, drop in seen["drop"]] == [1 << drop for drop in self.model.drops]
        assert len(seen["lost_after_use"]) == self.model.lost
        assert len(seen["heartbeat"]) == self.model.heartbeats
        assert self.stepper.get("expected") == self.model.expected
        self.model = Model(self.model.expected)


def whole(beats: list[tuple[int, dict[str, Any]]]) -> list[tuple[int, bytes]]:
    """Messages that had a first and a last beat; the beats must be legal."""
    found, current, sequence = [], None, None
    for _, beat in beats:
        if beat["first"]:
            current, sequence = b"", beat["sequence"]
        assert current is not None and sequence == beat["sequence"]
        current += bytes(beat["data"][: beat["count"]])
        assert beat["count"] == len(beat["data"]) or (beat["last"] and beat["count"])
        if beat["last"]:
            found.append((sequence, current))
            current = None
    return found


def packet(sequence: int, blocks: list[bytes], *, session: bytes = SESSION, count: int | None = None) -> bytes:
    count = len(blocks) if count is None else count
    return struct.pack(">10sQH", session, sequence, count) + b"".join(struct.pack(">H", len(b)) + b for b in blocks)


async def started(dut: Any, *, expected: int, seed: int) -> Bench:
    stepper = Stepper(
        dut,
        COMPONENT,
        collect=("message", "gap"),
        pulses=("drop", "lost_after_use", "heartbeat"),
        levels=("expected",),
    )
    await stepper.reset()
    stepper.set("session", int.from_bytes(SESSION, "big"))
    stepper.offer("load", expected)
    await stepper.step(3)
    assert stepper.get("expected") == expected
    return Bench(stepper, Model(expected), random.Random(seed))


def messages(rng: random.Random, count: int, low: int = 12, high: int = 50) -> list[bytes]:
    return [rng.randbytes(rng.randint(low, high)) for _ in range(count)]


@cocotb.test()
async def in_order(dut: Any) -> None:
    bench = await started(dut, expected=14_757_701, seed=1)
    for length in range(SHORT, 70):
        await bench.send(packet(bench.model.expected, [bench.rng.randbytes(length)] * 3))
    for idle in (0.0, 0.3, 0.8):
        for _ in range(12):
            await bench.send(packet(bench.model.expected, messages(bench.rng, bench.rng.randint(1, 12), SHORT)), idle=idle)
    await bench.check()


@cocotb.test()
async def line_rate(dut: Any) -> None:
    """Full packets of the shortest and of awkward messages, as close to each other as frames can be."""
    bench = await started(dut, expected=1, seed=2)
    frame_bytes = 8 + 46 + 4 + 12
    for length in (12, 15, 17, 19, 25, 33, 36, 50):
        blocks = [bench.rng.randbytes(length)] * (1452 // (length + 2))
        for _ in range(2):
            await bench.send(packet(bench.model.expected, blocks), pause=frame_bytes // WIDTH)
    await bench.check()


@cocotb.test()
async def latency(dut: Any) -> None:
    """Message bytes come the stated number of clocks behind the payload's."""
    bench = await started(dut, expected=1, seed=3)
    for length in range(12, 52):
        blocks = messages(bench.rng, 3, length, length)
        payload = packet(bench.model.expected, blocks)
        clocks = await frames.drive(bench.stepper, "payload", payload, width=WIDTH, rng=bench.rng)
        bench.stepper.offer("payload_end", {"ok": 1})
        await bench.stepper.step(16)
        lasts = [cycle for cycle, beat in bench.stepper.taken("message") if beat["last"]]
        at = 20
        for cycle, block in zip(lasts, blocks, strict=True):
            at += 2 + len(block)
            late = cycle - clocks[at - 1] - COMPONENT.latency
            assert late == 0 if WIDTH == 1 else late in (0, 1)
        bench.model.expected += 3


@cocotb.test()
async def overlaps_and_gaps(dut: Any) -> None:
    for base in (5, (1 << 32) - 6, (1 << 63) + 3):
        bench = await started(dut, expected=base, seed=4)
        for _ in range(60):
            start = max(1, bench.model.expected + bench.rng.randint(-8, 3))
            await bench.send(packet(start, messages(bench.rng, bench.rng.randint(1, 7))))
        for far in (1, 70_000, 1 << 33):
            # Packets from far behind: nothing of them is new.
            await bench.send(packet(max(1, bench.model.expected - far), messages(bench.rng, 1)))
        await bench.send(packet(bench.model.expected + (1 << 40), messages(bench.rng, 2)))
        await bench.check()


@cocotb.test()
async def empty_blocks(dut: Any) -> None:
    """Blocks without bytes take their number, at every alignment and in any run."""
    bench = await started(dut, expected=100, seed=5)
    for _ in range(150):
        blocks = [b"" if bench.rng.random() < 0.6 else bench.rng.randbytes(bench.rng.randint(SHORT, 30)) for _ in range(12)]
        await bench.send(packet(bench.model.expected + bench.rng.randint(-6, 1), blocks), idle=bench.rng.choice((0, 0.3)))
    await bench.send(packet(bench.model.expected, [b""] * 720))
    await bench.check()


@cocotb.test()
async def short_blocks(dut: Any) -> None:
    """Blocks shorter than any message: never a wrong message, never a hang."""
    bench = await started(dut, expected=100, seed=6)
    for _ in range(150):
        blocks = [bench.rng.randbytes(bench.rng.choice((0, 1, 2, 3, 5, 6, 7, 8, 12, 19))) for _ in range(6)]
        await bench.send(packet(bench.model.expected, blocks))
        await bench.check()


@cocotb.test()
async def heartbeats(dut: Any) -> None:
    bench = await started(dut, expected=50, seed=7)
    for count in (0, 0xFFFF):
        for ahead in (0, 0, 3, -2, 0):
            for ok in (True, False):
                await bench.send(packet(bench.model.expected + ahead, [], count=count), ok=ok)
        await bench.send(packet(bench.model.expected, [b"x" * 12], count=count))
        await bench.send(packet(bench.model.expected, [], count=count) + b"x")
    await bench.check()


@cocotb.test()
async def malformed(dut: Any) -> None:
    """Every length a packet can be cut to, wrong counts, other sessions."""
    bench = await started(dut, expected=9, seed=8)
    good = packet(9, messages(bench.rng, 3, 12, 20))
    for size in range(1, len(good)):
        again = packet(bench.model.expected, [good[22 + 0 : 22 + 12]] * 3)
        await bench.send(again[: min(size, len(again))])
    for count in (1, 2, 4, 5, 1000, 0xFFFE):
        await bench.send(packet(bench.model.expected, messages(bench.rng, 3), count=count))
    for extra in range(1, 12):
        await bench.send(packet(bench.model.expected, messages(bench.rng, 2)) + bytes(extra))
    for place in range(10):
        other = bytearray(SESSION)
        other[place] ^= 1
        await bench.send(packet(bench.model.expected, messages(bench.rng, 2), session=bytes(other)))
    for length in (0xFFFF, 0x8000, 200, 37):
        block = struct.pack(">H", length) + bench.rng.randbytes(36)
        await bench.send(packet(bench.model.expected, [], count=1) + block)
    await bench.send(packet(bench.model.expected, messages(bench.rng, 2)))
    await bench.check()


@cocotb.test()
async def bad_frames(dut: Any) -> None:
    """The count falls back, and what was used is told."""
    bench = await started(dut, expected=9, seed=9)
    for _ in range(80):
        payload = packet(bench.model.expected + bench.rng.choice((0, 0, -2, 4)), messages(bench.rng, bench.rng.randint(1, 5)))
        cut = bench.rng.choice((0, 0, bench.rng.randrange(len(payload))))
        cut -= -(len(payload) - cut) % WIDTH if cut else 0
        await bench.send(payload, ok=bool(bench.rng.random() < 0.5 and not cut), cut=max(0, cut))
    await bench.check()


@cocotb.test()
async def load_between_packets(dut: Any) -> None:
    """A number set while a packet passes counts from the next one on."""
    bench = await started(dut, expected=9, seed=10)
    payload = packet(9, messages(bench.rng, 4))
    for at in range(0, len(payload), WIDTH):
        lanes = list(payload[at : at + WIDTH])
        if at == 32:
            bench.stepper.offer("load", 500)
        bench.stepper.offer("payload", {"data": lanes + [0] * (WIDTH - len(lanes)), "count": len(lanes), "first": int(at == 0),
                                        "last": int(at + WIDTH >= len(payload))})
        await bench.stepper.step()
    bench.stepper.offer("payload_end", {"ok": 1})
    await bench.stepper.step(12)
    assert bench.stepper.get("expected") == 500
    bench.model.packet(payload, True)
    bench.model.expected = 500
    await bench.send(packet(500, messages(bench.rng, 2)))
    await bench.check()
