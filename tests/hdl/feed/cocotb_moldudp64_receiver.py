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

    number: int
    """Of the first message of the next packet in order."""
    messages: list[tuple[int, bytes]] = field(default_factory=list)
    ends: list[dict[str, int]] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    heartbeats: int = 0

    def packet(self, payload: bytes, ok: bool) -> None:
        cause, end = self._use(payload, ok)
        self.ends.append({"ok": int(ok)} | {name: int(ok and value) for name, value in end.items()})
        if ok and cause is not None:
            self.drops.append(cause)

    def _use(self, payload: bytes, ok: bool) -> tuple[Drop | None, dict[str, int]]:
        nothing = {"told": 0, "judged": 0, "next": 0}
        if len(payload) < 20:
            return Drop.MOLD_HEADER, nothing
        session, sequence, count = struct.unpack_from(">10sQH", payload)
        if session != SESSION:
            return Drop.SESSION, nothing
        if count in (0, 0xFFFF):
            if len(payload) != 20:
                return Drop.BLOCK_LENGTH, nothing
            self.heartbeats += ok
            return None, {"told": 1, "judged": 0, "next": sequence}
        at, number, whole = 20, sequence, False
        for _ in range(count):
            if at + 2 > len(payload):
                break
            (length,) = struct.unpack_from(">H", payload, at)
            if 0 < length < SHORT or at + 2 + length > len(payload):
                break
            self.messages += [(number, payload[at + 2 : at + 2 + length])] if length or ok else []
            at, number = at + 2 + length, number + 1
        else:
            whole = at == len(payload)
        if ok:
            self.number = max(self.number, number)
        return None if whole else Drop.BLOCK_LENGTH, {"told": 1, "judged": int(whole), "next": number}


@dataclass
class Bench:
    """The receiver, its model, and what was given."""

    stepper: Stepper
    model: Model
    rng: random.Random
    sent: int = 0

    async def send(self, payload: bytes, *, ok: bool = True, idle: float = 0.0, pause: int = 8, cut: int = 0) -> None:
        """A packet, of which the last `cut` bytes never come, and its verdict."""
        given = payload[: len(payload) - cut]
        line = self.rng.randrange(2)
        if given:
            await frames.drive(
                self.stepper, "payload", given, width=WIDTH, rng=self.rng, idle=idle, last=not cut, each={"line": line}
            )
        self.stepper.offer("payload_end", {"ok": int(ok)})
        await self.stepper.step(1 + pause)
        self.model.packet(given, ok)

    async def check(self) -> None:
        """Everything so far came out as the model has it."""
        await self.stepper.step(16)
        seen = {name: self.stepper.taken(name) for name in self.stepper.seen}
        ends = [end if end["told"] else end | {"next": 0} for _, end in seen["packet"]]
        assert ends == self.model.ends
        assert whole(seen["message"]) == self.model.messages
        assert [drop for _, drop in seen["drop"]] == [1 << drop for drop in self.model.drops]
        assert len(seen["heartbeat"]) == self.model.heartbeats
        self.model = Model(self.model.number)


def whole(beats: list[tuple[int, dict[str, Any]]]) -> list[tuple[int, bytes]]:
    """Messages that had a first and a last beat, those without bytes among them; the beats must be legal."""
    found, current, sequence = [], None, None
    for _, beat in beats:
        if beat["first"]:
            current, sequence = b"", beat["sequence"]
            found += [(number, b"") for number in range(sequence - beat["empties"], sequence)]
            if not beat["count"]:
                assert beat["last"] and beat["empties"]
                current = None
                continue
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
        collect=("message", "packet"),
        pulses=("drop", "heartbeat"),
        levels=("coming", "line", "busy"),
    )
    await stepper.reset()
    stepper.set("session", int.from_bytes(SESSION, "big"))
    await stepper.step(3)
    return Bench(stepper, Model(expected), random.Random(seed))


def messages(rng: random.Random, count: int, low: int = 12, high: int = 50) -> list[bytes]:
    return [rng.randbytes(rng.randint(low, high)) for _ in range(count)]


@cocotb.test()
async def in_order(dut: Any) -> None:
    bench = await started(dut, expected=14_757_701, seed=1)
    for length in range(SHORT, 70):
        await bench.send(packet(bench.model.number, [bench.rng.randbytes(length)] * 3))
    for idle in (0.0, 0.3, 0.8):
        for _ in range(12):
            await bench.send(packet(bench.model.number, messages(bench.rng, bench.rng.randint(1, 12), SHORT)), idle=idle)
    await bench.check()


@cocotb.test()
async def line_rate(dut: Any) -> None:
    """Full packets of the shortest and of awkward messages, as close to each other as frames can be."""
    bench = await started(dut, expected=1, seed=2)
    frame_bytes = 8 + 46 + 4 + 12
    for length in (12, 15, 17, 19, 25, 33, 36, 50):
        blocks = [bench.rng.randbytes(length)] * (1452 // (length + 2))
        for _ in range(2):
            await bench.send(packet(bench.model.number, blocks), pause=frame_bytes // WIDTH)
    await bench.check()


@cocotb.test()
async def latency(dut: Any) -> None:
    """Message bytes come the stated number of clocks behind the payload's."""
    bench = await started(dut, expected=1, seed=3)
    for length in range(12, 52):
        blocks = messages(bench.rng, 3, length, length)
        payload = packet(bench.model.number, blocks)
        clocks = await frames.drive(bench.stepper, "payload", payload, width=WIDTH, rng=bench.rng)
        bench.stepper.offer("payload_end", {"ok": 1})
        await bench.stepper.step(16)
        lasts = [cycle for cycle, beat in bench.stepper.taken("message") if beat["last"]]
        at = 20
        for cycle, block in zip(lasts, blocks, strict=True):
            at += 2 + len(block)
            late = cycle - clocks[at - 1] - COMPONENT.latency
            assert late == 0 if WIDTH == 1 else late in (0, 1)
        bench.model.number += 3
    for name in bench.stepper.seen:
        bench.stepper.taken(name)


@cocotb.test()
async def overlaps_and_gaps(dut: Any) -> None:
    for base in (5, (1 << 32) - 6, (1 << 63) + 3):
        bench = await started(dut, expected=base, seed=4)
        for _ in range(60):
            start = max(1, bench.model.number + bench.rng.randint(-8, 3))
            await bench.send(packet(start, messages(bench.rng, bench.rng.randint(1, 7))))
        for far in (1, 70_000, 1 << 33):
            # Packets from far behind: nothing of them is new.
            await bench.send(packet(max(1, bench.model.number - far), messages(bench.rng, 1)))
        await bench.send(packet(bench.model.number + (1 << 40), messages(bench.rng, 2)))
        await bench.check()


@cocotb.test()
async def empty_blocks(dut: Any) -> None:
    """Blocks without bytes take their number, at every alignment and in any run."""
    bench = await started(dut, expected=100, seed=5)
    for _ in range(150):
        blocks = [b"" if bench.rng.random() < 0.6 else bench.rng.randbytes(bench.rng.randint(SHORT, 30)) for _ in range(12)]
        await bench.send(packet(bench.model.number + bench.rng.randint(-6, 1), blocks), idle=bench.rng.choice((0, 0.3)))
    await bench.send(packet(bench.model.number, [b""] * 720))
    await bench.check()


@cocotb.test()
async def short_blocks(dut: Any) -> None:
    """Blocks shorter than any message: never a wrong message, never a hang."""
    bench = await started(dut, expected=100, seed=6)
    for _ in range(150):
        blocks = [bench.rng.randbytes(bench.rng.choice((0, 1, 2, 3, 5, 6, 7, 8, 12, 19))) for _ in range(6)]
        await bench.send(packet(bench.model.number, blocks))
        await bench.check()


@cocotb.test()
async def heartbeats(dut: Any) -> None:
    bench = await started(dut, expected=50, seed=7)
    for count in (0, 0xFFFF):
        for ahead in (0, 0, 3, -2, 0):
            for ok in (True, False):
                await bench.send(packet(bench.model.number + ahead, [], count=count), ok=ok)
        await bench.send(packet(bench.model.number, [b"x" * 12], count=count))
        await bench.send(packet(bench.model.number, [], count=count) + b"x")
    await bench.check()


@cocotb.test()
async def malformed(dut: Any) -> None:
    """Every length a packet can be cut to, wrong counts, other sessions."""
    bench = await started(dut, expected=9, seed=8)
    good = packet(9, messages(bench.rng, 3, 12, 20))
    for size in range(1, len(good)):
        again = packet(bench.model.number, [good[22 + 0 : 22 + 12]] * 3)
        await bench.send(again[: min(size, len(again))])
    for count in (1, 2, 4, 5, 1000, 0xFFFE):
        await bench.send(packet(bench.model.number, messages(bench.rng, 3), count=count))
    for extra in range(1, 12):
        await bench.send(packet(bench.model.number, messages(bench.rng, 2)) + bytes(extra))
    for place in range(10):
        other = bytearray(SESSION)
        other[place] ^= 1
        await bench.send(packet(bench.model.number, messages(bench.rng, 2), session=bytes(other)))
    for length in (0xFFFF, 0x8000, 200, 37):
        block = struct.pack(">H", length) + bench.rng.randbytes(36)
        await bench.send(packet(bench.model.number, [], count=1) + block)
    await bench.send(packet(bench.model.number, messages(bench.rng, 2)))
    await bench.check()


@cocotb.test()
async def bad_frames(dut: Any) -> None:
    """The count falls back, and what was used is told."""
    bench = await started(dut, expected=9, seed=9)
    for _ in range(80):
        payload = packet(bench.model.number + bench.rng.choice((0, 0, -2, 4)), messages(bench.rng, bench.rng.randint(1, 5)))
        cut = bench.rng.choice((0, 0, bench.rng.randrange(len(payload))))
        cut -= -(len(payload) - cut) % WIDTH if cut else 0
        await bench.send(payload, ok=bool(bench.rng.random() < 0.5 and not cut), cut=max(0, cut))
    await bench.check()


@cocotb.test()
async def what_goes_before(dut: Any) -> None:
    """Number, line and that a packet is under way are there before a message's first beat, and stay to its end."""
    bench = await started(dut, expected=9, seed=10)
    for line in (1, 0, 1):
        payload = packet(bench.model.number, messages(bench.rng, 4, 12, 20))
        seen: list[tuple[int, int, int, Any]] = []
        for at in range(0, len(payload) + 12 * WIDTH, WIDTH):
            lanes = list(payload[at : at + WIDTH])
            if lanes:
                last = int(at + WIDTH >= len(payload))
                lanes += [0] * (WIDTH - len(lanes))
                bench.stepper.offer("payload", {"data": lanes, "count": min(WIDTH, len(payload) - at), "first": int(at == 0),
                                                "last": last, "line": line})  # fmt: skip
            await bench.stepper.step()
            beats = bench.stepper.taken("message")
            seen.append((*(bench.stepper.get(name) for name in ("coming", "line", "busy")), beats[0][1] if beats else None))
        assert seen[-1][2] == 1
        for before, (coming, on, busy, beat) in zip(seen, seen[1:], strict=False):
            if beat is not None:
                assert (on, busy) == (line, 1)
                if WIDTH == 1:
                    assert coming == beat["sequence"]
                if beat["first"]:
                    assert before[2] == 1 and (WIDTH == 8 or before[0] == beat["sequence"])
        bench.stepper.offer("payload_end", {"ok": 1})
        await bench.stepper.step(12)
        assert bench.stepper.get("busy") == 0
        bench.model.packet(payload, True)
