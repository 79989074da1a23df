"""Frames from real captures, and good ones among garbage, through the whole market-data path; itchfeed is the judge."""

from __future__ import annotations

import os
import random
import struct
from itertools import accumulate
from pathlib import Path
from typing import Any

import cocotb
from scapy.utils import checksum

from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Drop
from sim.twin.timing import Timing
from tests.support import data, frames, itch_judge
from tests.support.feed_chain import FeedChain
from tests.support.stepper import Stepper

WIDTH = int(os.environ["WIDTH"])
GEOMETRY = Geometry(width=WIDTH, ring_messages=16)
COMPONENT = FeedChain(geometry=GEOMETRY)
TIMING = Timing(WIDTH)
SESSION = b"000010059B"
MEMBERS = ("type", "locate", "timestamp", "order_ref", "new_order_ref", "side", "shares", "price", "code", "market")
SETTLE = 40


async def started(dut: Any) -> Stepper:
    bench = Stepper(
        dut,
        COMPONENT,
        collect=("decoded", "gap", "message"),
        pulses=("filter_drop", "mold_drop", "itch_drop", "received", "lost_after_use", "heartbeat", "overflow", "duplicate"),
        levels=("expected", "highest"),
    )
    await bench.reset()
    return bench


async def on_two_lines(dut: Any) -> Stepper:
    """Started, with the addresses of both lines."""
    bench = await started(dut)
    for name, value in frames.configuration().items():
        if name.startswith("feed"):
            bench.set(name, value)
    bench.set("feed_b_address", frames.number("233.54.12.1"))
    bench.set("feed_b_port", frames.FEED_PORT + 1)
    bench.set("session", int.from_bytes(SESSION, "big"))
    return bench


async def send(bench: Stepper, frame: bytes, rng: random.Random) -> list[int]:
    """A frame, check sequence included, as the MAC gives it, and the shortest pause the wire allows."""
    bad = int(frame[-4:] != frames.fcs(frame[:-4]))
    clocks = await frames.drive(bench, "frame", frame, width=WIDTH, rng=rng, error=bad)
    await bench.step(20 // WIDTH)
    return clocks


def judged(fields: dict[str, Any]) -> dict[str, int]:
    return {name: fields[name] for name in MEMBERS}


@cocotb.test()
async def captures(dut: Any) -> None:
    """Every message of every capture, cut-through and held."""
    rng = random.Random(1)
    count = 0
    for hold in (0, 1):
        bench = await started(dut)
        bench.set("hold", hold)
        for name in os.environ["CAPTURES"].split(os.pathsep):
            for frame in data.frames(Path(name)):
                start = 18 if frame[12:14] == b"\x81\x00" else 14
                transport = start + 4 * (frame[start] & 15)
                payload = data.udp_payload(frame)[: struct.unpack_from(">H", frame, transport + 4)[0] - 8]
                blocks = data.blocks(payload)
                session, sequence = struct.unpack_from(">10sQ", payload)
                bench.set("feed_address", int.from_bytes(frame[start + 16 : start + 20], "big"))
                bench.set("feed_port", int.from_bytes(frame[transport + 2 : transport + 4], "big"))
                bench.set("session", int.from_bytes(session, "big"))
                bench.offer("load", sequence)
                await bench.step(3)
                if checksum(frame[start:transport]):
                    # Captures whose addresses were zeroed have no IPv4 checksum: as they are, nothing of them may pass.
                    await send(bench, frame + frames.fcs(frame), rng)
                    await bench.step(SETTLE)
                    assert [drop for _, drop in bench.taken("filter_drop")] == [1 << Drop.IP_CHECKSUM]
                    assert not bench.taken("message") and not bench.taken("decoded")
                    header = frame[start : start + 10] + bytes(2) + frame[start + 12 : transport]
                    mended = frame[: start + 10] + checksum(header).to_bytes(2, "big") + frame[start + 12 :]
                    cycles = await send(bench, mended + frames.fcs(mended), rng)
                else:
                    cycles = await send(bench, frame + frames.fcs(frame), rng)
                await bench.step(SETTLE + (len(payload) if hold else 0))
                seen = {stream: bench.taken(stream) for stream in bench.seen}
                judge = [itch_judge.decode(block) for block in blocks]
                assert [judged(fields) for _, fields in seen["decoded"]] == judge, name
                assert [fields["sequence"] for _, fields in seen["decoded"]] == list(range(sequence, sequence + len(blocks)))
                assert bench.get("expected") == sequence + len(blocks)
                for quiet in ("filter_drop", "mold_drop", "itch_drop", "gap", "lost_after_use", "overflow"):
                    assert not seen[quiet]
                if not hold:
                    check_latency([(cycle, fields["som"], fields["eot"]) for cycle, fields in seen["decoded"]],
                                  blocks, cycles, transport + 8 + 20)
                count += len(blocks)
    assert count > 100


def check_latency(decoded: list[tuple[int, int, int]], blocks: list[bytes], cycles: list[int], at: int) -> None:
    """Decoded when the twin says, two clocks behind the last byte at the MAC where a beat is a byte; stamped as it came."""
    ends = [*accumulate((2 + len(block) for block in blocks), initial=20)]
    answers = TIMING.answers(at - 20, [(end - len(block), end) for end, block in zip(ends[1:], blocks, strict=True)])
    for stamps, block, answer in zip(decoded, blocks, answers, strict=True):
        first, last = cycles[at + 2], cycles[at + 1 + len(block)]
        at += 2 + len(block)
        assert stamps == tuple(cycles[0] + clocks for clocks in (answer.clock, answer.som, answer.eot))
        assert stamps == (last + 2, first, last) if WIDTH == 1 else 0 <= answer.eot + cycles[0] - last <= 2


@cocotb.test()
async def good_among_garbage(dut: Any) -> None:
    """Nothing of a bad frame is held for good, and each has exactly one cause over all stages."""
    rng = random.Random(2)
    bench = await started(dut)
    for name, value in frames.configuration().items():
        if name.startswith("feed"):
            bench.set(name, value)
    bench.set("session", int.from_bytes(SESSION, "big"))
    bench.set("hold", 1)
    number = 1
    bench.offer("load", number)
    await bench.step(3)
    expected, bad, beats = [], 0, 0
    for _ in range(int(os.environ["GARBAGE"])):
        blocks = [message(rng) for _ in range(rng.randint(1, 3))]
        payload = struct.pack(">10sQH", SESSION, number, len(blocks)) + b"".join(struct.pack(">H", len(b)) + b for b in blocks)
        spoil = rng.randrange(8)
        if spoil == 0:
            await send(bench, frames.ethernet(frames.datagram(payload), vlan=rng.random() < 0.5), rng)
            number += len(blocks)
            expected += [itch_judge.decode(block) for block in blocks]
            continue
        bad += 1
        frame = frames.ethernet(frames.datagram(payload))
        if spoil == 1:
            frame = frame[: rng.randrange(1, len(frame))]
        elif spoil == 2:
            at = rng.randrange(len(frame))
            frame = frame[:at] + bytes([frame[at] ^ 1 << rng.randrange(8)]) + frame[at + 1 :]
        elif spoil == 3:
            frame = rng.randbytes(rng.randrange(1, 300))
        elif spoil == 4:
            frame = frames.ethernet(frames.datagram(payload, dst="233.54.12.112"))
        elif spoil == 5:
            frame = frames.ethernet(frames.datagram(payload), trailer=bytes(1600))
        elif spoil == 6:
            frame = frames.ethernet(frames.datagram(payload[: rng.randrange(len(payload))]))
            # What is whole in it counts.
            bad -= 1
            number, more, spoiled = cut_packet(frame, number)
            expected += more
            bad += spoiled
        else:
            other = struct.pack(">10sQH", b"000010059C", number, len(blocks)) + payload[20:]
            frame = frames.ethernet(frames.datagram(other))
        await send(bench, frame, rng)
        beats += 1
    await bench.step(SETTLE + 200)
    seen = {stream: bench.taken(stream) for stream in bench.seen}
    assert [judged(fields) for _, fields in seen["decoded"]] == expected
    assert len(seen["filter_drop"]) + len(seen["mold_drop"]) == bad
    assert all(drop.bit_count() == 1 for _, drop in seen["filter_drop"] + seen["mold_drop"])
    assert len(seen["received"]) == int(os.environ["GARBAGE"])
    assert not seen["lost_after_use"] and not seen["itch_drop"] and not seen["gap"]
    assert bench.get("expected") == number


@cocotb.test()
async def two_lines(dut: Any) -> None:
    """Lines A and B with other packet borders, one running ahead by turns and each losing what the other brought."""
    rng = random.Random(3)
    bench = await on_two_lines(dut)
    bench.offer("load", 1)
    await bench.step(3)
    blocks = [message(rng) for _ in range(150)]
    done, duplicates, heard = 0, 0, [0, 0]
    while done < len(blocks):
        # A packet may begin anywhere in what was delivered; the one that ends further on brings what is new.
        first = rng.randint(max(0, done - 5), done)
        last = min(len(blocks), first + rng.randint(1, 5))
        duplicates += last <= done
        on = rng.randrange(2)
        heard[on] += min(done, last) - first
        done = max(done, last)
        part = blocks[first:last]
        payload = struct.pack(">10sQH", SESSION, first + 1, len(part)) + b"".join(struct.pack(">H", len(b)) + b for b in part)
        line: dict[str, Any] = {"dst": "233.54.12.1", "port": frames.FEED_PORT + 1} if on else {}
        await send(bench, frames.ethernet(frames.datagram(payload, **line)), rng)
    await bench.step(SETTLE)
    seen = {stream: bench.taken(stream) for stream in bench.seen}
    assert [judged(fields) for _, fields in seen["decoded"]] == [itch_judge.decode(block) for block in blocks]
    assert [drop for _, drop in seen["mold_drop"]] == [1 << Drop.DUPLICATE] * duplicates
    assert [sum(lines == 1 << line for _, lines in seen["duplicate"]) for line in range(2)] == heard
    assert duplicates and not seen["filter_drop"] and not seen["gap"] and not seen["itch_drop"]
    assert bench.get("expected") == len(blocks) + 1


class Schedule:
    """Two lines that lose, double, reorder, damage and cut packets of one day, what of it came whole, and when.

    ``came``: clock at which a good packet or heartbeat ended, its first number and the one behind its last.
    """

    def __init__(self, bench: Stepper, rng: random.Random, base: int) -> None:
        self.bench, self.rng, self.base = bench, rng, base
        self.blocks = [message(rng) for _ in range(rng.randint(10, 50))]
        self.behind = base + len(self.blocks)
        self.came: list[tuple[int, int, int]] = []

    async def run(self, *, lost: float, bad: float, shuffle: float) -> None:
        rng, given = self.rng, []
        for line in range(2):
            at = self.base
            while at < self.behind:
                end = min(self.behind, at + rng.randint(1, 6))
                for _ in range(rng.choice((1, 1, 1, 2))):
                    if rng.random() >= lost:
                        given.append((at + rng.random() * shuffle + line * rng.choice((0, 3)), line, at, end))
                at = end
        for _, line, first, end in sorted(given):
            await self.send(line, first, end, spoil=rng.choice(("check", "cut")) if rng.random() < bad else "")
            await self.bench.step(rng.choice((8, 8, 30, 200)))

    async def send(self, line: int, first: int, end: int, *, spoil: str = "") -> None:
        part = self.blocks[first - self.base : end - self.base]
        payload = struct.pack(">10sQH", SESSION, first, len(part)) + b"".join(struct.pack(">H", len(b)) + b for b in part)
        where = {"dst": "233.54.12.1", "port": frames.FEED_PORT + 1} if line else {}
        frame = frames.ethernet(frames.datagram(payload, **where))
        if spoil == "check":
            frame = frame[:-1] + bytes([frame[-1] ^ 0x40])
        elif spoil:
            frame = frame[: self.rng.randrange(64, len(frame))] if len(frame) > 64 else frame[:-1]
        await send(self.bench, frame, self.rng)
        if not spoil:
            self.came.append((self.bench.cycle, first, end))


@cocotb.test()
async def faults(dut: Any) -> None:
    """DESIGN section 4 of random schedules: each message once and in order, or in a gap that was waited for."""
    rng = random.Random(4)
    bench = await on_two_lines(dut)
    kinds = {"gaps": 0, "none": 0, "beyond": 0, "fell_back": 0}
    for _ in range(int(os.environ["SCHEDULES"])):
        hold, wait = rng.randrange(2), rng.choice((0, 100, 1_000, 20_000))
        base = rng.choice((1, (1 << 32) - 20, rng.getrandbits(60)))
        bench.set("hold", hold)
        bench.set("gap_wait", wait)
        bench.offer("load", base)
        await bench.step(50)
        for stream in bench.seen:
            bench.taken(stream)
        schedule = Schedule(bench, rng, base)
        await schedule.run(lost=rng.choice((0, 0.1, 0.4)), bad=rng.choice((0, 0.2)), shuffle=rng.choice((0, 0, 4, 20)))
        await schedule.send(0, schedule.behind, schedule.behind)
        last = bench.cycle
        bench.set("gap_wait", 0)
        await bench.step(1_500)
        judge(schedule, {stream: bench.taken(stream) for stream in bench.seen}, wait, last, kinds)
        assert bench.get("expected") == bench.get("highest") == schedule.behind
    assert all(kinds.values()), kinds


def judge(schedule: Schedule, seen: dict[str, Any], wait: int, last: int, kinds: dict[str, int]) -> None:
    """What came out against what came in."""
    given, current = [], b""
    for cycle, beat in seen["message"]:
        current = (b"" if beat["first"] else current) + bytes(beat["data"][: beat["count"]])
        if beat["last"]:
            given.append((cycle, beat["sequence"], current))
    for _, number, raw in given:
        assert raw == schedule.blocks[number - schedule.base]
    numbers = [number for _, number, _ in given]
    gaps = [(cycle, gap["first"], gap["next"]) for cycle, gap in seen["gap"]]
    missing = [number for _, first, behind in gaps for number in range(first, behind)]
    assert set(numbers) | set(missing) == set(range(schedule.base, schedule.behind))
    backwards = sum(later <= earlier for earlier, later in zip(numbers, numbers[1:], strict=False))
    assert backwards <= len(seen["lost_after_use"])
    drops = [drop for _, drop in seen["mold_drop"]]
    beyond = drops.count(1 << Drop.BEYOND)
    kinds["beyond"] += bool(beyond)
    kinds["gaps"] += bool(gaps)
    kinds["none"] += not gaps
    if seen["lost_after_use"]:
        kinds["fell_back"] += 1
        return
    assert not backwards and len(set(missing)) == len(missing) and not set(numbers) & set(missing)
    if not any(drop & (1 << Drop.FCS | 1 << Drop.TRUNCATED) for _, drop in seen["filter_drop"]):
        came = sum(behind - first for _, first, behind in schedule.came)
        assert came == len(numbers) + len(seen["duplicate"]) + beyond
    if beyond:
        return
    for cycle, first, behind in gaps:
        if behind - first < 16:
            assert cycle > last or any(end + wait <= cycle + 40 for end, _, next_number in schedule.came if next_number > first)
            for end, lowest, next_number in schedule.came:
                # What ended less than a packet's length before may not yet have come through `PacketHold`.
                assert end > cycle - 600 or not set(range(lowest, next_number)) & set(range(first, behind))


def cut_packet(frame: bytes, number: int) -> tuple[int, list[dict[str, int]], int]:
    """Next number, messages and bad frames of a good frame around a packet that was cut."""
    payload = frames.read(frame).payload
    found, at = [], 20
    while at + 2 <= len(payload):
        (length,) = struct.unpack_from(">H", payload, at)
        if at + 2 + length > len(payload):
            break
        found.append(itch_judge.decode(payload[at + 2 : at + 2 + length]))
        at += 2 + length
    return number + len(found), found, 1


def message(rng: random.Random) -> bytes:
    kind = rng.choice(itch_judge.TYPES)
    raw = bytearray(rng.randbytes(itch_judge.SIZES[kind]))
    raw[0] = ord(kind)
    if kind in "AFP":
        raw[19] = rng.choice(b"BS")
    return bytes(raw)
