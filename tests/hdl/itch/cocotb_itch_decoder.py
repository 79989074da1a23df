"""Messages into `ItchDecoder`; itchfeed says what is in them."""

from __future__ import annotations

import os
import random
from typing import Any

import cocotb

from hdl.itch.itch_decoder import ItchDecoder
from hdl.spec import itch
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Drop
from tests.support import itch_judge
from tests.support.stepper import Stepper

WIDTH = int(os.environ["WIDTH"])
DELAY = 7
GEOMETRY = Geometry(width=WIDTH)
COMPONENT = ItchDecoder(geometry=GEOMETRY, delay=DELAY)
LANES = 1 if WIDTH == 1 else 16


async def started(dut: Any) -> tuple[Stepper, random.Random]:
    bench = Stepper(dut, COMPONENT, collect=("decoded",), pulses=("drop", "type_seen"))
    await bench.reset()
    return bench, random.Random(1)


async def bind(bench: Stepper, slot: int, locate: int, valid: int = 1) -> None:
    bench.offer("bind", {"slot": slot, "locate": locate, "valid": valid})
    await bench.step()


async def send(bench: Stepper, raw: bytes, rng: random.Random, *, sequence: int = 0, idle: float = 0.0,
               cut: bool = False) -> tuple[int, int]:
    """Give a message, without `last` where it is cut; returns the clocks of its first and last beat."""
    first = None
    for at in range(0, len(raw), LANES):
        while first is not None and rng.random() < idle:
            await bench.step()
        lanes = list(raw[at : at + LANES])
        bench.offer("message", {"data": lanes + [rng.randrange(256)] * (LANES - len(lanes)), "count": len(lanes),
                                "first": int(at == 0), "last": int(at + LANES >= len(raw) and not cut), "sequence": sequence})
        first = bench.cycle if first is None else first
        await bench.step()
    assert first is not None
    return first, bench.cycle - 1


def message(rng: random.Random, kind: str, locate: int) -> bytes:
    raw = bytearray(rng.randbytes(itch_judge.SIZES[kind]))
    raw[0], raw[1:3] = ord(kind), locate.to_bytes(2, "big")
    if kind in "AFP":
        raw[19] = rng.choice(b"BS")
    return bytes(raw)


@cocotb.test()
async def every_type(dut: Any) -> None:
    bench, rng = await started(dut)
    slots = {rng.randrange(1, 1 << 16): slot for slot in rng.sample(range(GEOMETRY.slots), 20)}
    for locate, slot in slots.items():
        await bind(bench, slot, locate)
    expected, seen = [], []
    for number in range(25 * 23):
        kind = itch_judge.TYPES[number % 23]
        locate = rng.choice([*slots, rng.randrange(1 << 16)])
        raw = message(rng, kind, locate)
        sequence = rng.getrandbits(64)
        # Back to back, without the two length bytes that a packet has between two messages, or with gaps inside.
        first, last = await send(bench, raw, rng, sequence=sequence, idle=rng.choice((0, 0, 0.3)))
        expected.append((last + COMPONENT.latency, itch_judge.decode(raw) | {
            "slot": slots.get(locate, 0), "watched": int(locate in slots), "sequence": sequence,
            "for_book": int(locate in slots and kind in "AFECXDUP"), "passed": 0, "malformed": 0, "mark": 0,
            "som": (first - DELAY) & 0xFFFFFFFF, "eot": (last - DELAY) & 0xFFFFFFFF,
        }))  # fmt: skip
        seen.append((last + COMPONENT.latency, 1 << list(itch.MESSAGES).index(kind)))
    await bench.step(6)
    assert bench.taken("decoded") == expected
    assert bench.taken("type_seen") == seen
    assert not bench.taken("drop")


@cocotb.test()
async def wrong_lengths_and_types(dut: Any) -> None:
    """Of a known type: malformed, with its slot. Too short for one: of any slot. Of an unknown type: nothing."""
    bench, rng = await started(dut)
    await bind(bench, 6, 600)
    drops, expected = [], []

    async def spoil(raw: bytes, drop: Drop) -> None:
        sequence = rng.getrandbits(64)
        _, last = await send(bench, raw, rng, sequence=sequence, idle=rng.choice((0, 0, 0.3)))
        drops.append((last + 2, 1 << drop))
        given = {"type": raw[0], "sequence": sequence, "malformed": 1}
        if len(raw) < 11:
            # What its slot reads says nothing.
            expected.append((last + COMPONENT.latency, given | {"watched": 0, "for_book": 1, "passed": 1}))
        elif drop is Drop.ITCH_LENGTH:
            mine = int(raw[1:3] == (600).to_bytes(2, "big"))
            used = int(bool(mine) and chr(raw[0]) in "AFECXDUP")
            more = {"slot": 6 * mine, "watched": mine, "for_book": used, "passed": 0}
            expected.append((last + COMPONENT.latency, given | more))

    for kind in itch_judge.TYPES:
        right = itch_judge.SIZES[kind]
        for size in (1, 2, 3, 5, 10, 11, right - 1, right + 1, 64, 65, 128 + right, 256 + right):
            locate = rng.choice((600, 601))
            if size != right:
                await spoil((message(rng, kind, locate) + rng.randbytes(500))[:size], Drop.ITCH_LENGTH)
            if rng.random() < 0.2:
                # A message of the host, with a mark, is never given as malformed.
                await bench.step(4)
                bench.set("mark", rng.randint(1, 3))
                _, last = await send(bench, message(rng, kind, locate)[: rng.choice((1, right - 1))], rng)
                drops.append((last + 2, 1 << Drop.ITCH_LENGTH))
                await bench.step(4)
                bench.set("mark", 0)
    for code in range(256):
        if chr(code) not in itch_judge.TYPES:
            for size in (rng.randrange(1, 11), rng.randrange(11, 60)):
                await spoil((bytes([code]) + (600).to_bytes(2, "big") + rng.randbytes(60))[:size], Drop.ITCH_TYPE)
    await bench.step(6)
    got = bench.taken("decoded")
    assert [(clock, {name: fields[name] for name in wanted}) for (clock, fields), (_, wanted) in
            zip(got, expected, strict=True)] == expected  # fmt: skip
    assert bench.taken("drop") == drops
    assert not bench.taken("type_seen")


@cocotb.test()
async def cut_messages(dut: Any) -> None:
    """A message that never ended leaves nothing behind in the next one."""
    bench, rng = await started(dut)
    expected = []
    for kind in itch_judge.TYPES:
        for size in (1, 5, 12, 17, itch_judge.SIZES[kind]):
            await send(bench, message(rng, "I", 9)[:size], rng, cut=True)
            raw = message(rng, kind, 9)
            await send(bench, raw, rng)
            expected.append(itch_judge.decode(raw))
    await bench.step(6)
    got = [{name: value for name, value in fields.items() if name in expected[0]} for _, fields in bench.taken("decoded")]
    assert got == expected
    assert not bench.taken("drop")


@cocotb.test()
async def bindings(dut: Any) -> None:
    bench, rng = await started(dut)

    async def slot_of(locate: int) -> tuple[int, int]:
        await send(bench, message(rng, "D", locate), rng)
        await bench.step(6)
        [(_, fields)] = bench.taken("decoded")
        return fields["watched"], fields["slot"]

    assert await slot_of(0) == (0, 0)
    for slot in range(GEOMETRY.slots):
        await bind(bench, slot, 1000 + slot)
    for slot in range(GEOMETRY.slots):
        assert await slot_of(1000 + slot) == (1, slot)
    await bind(bench, 3, 77)
    assert await slot_of(1003) == (0, 0)
    assert await slot_of(77) == (1, 3)
    await bind(bench, 3, 77, valid=0)
    assert await slot_of(77) == (0, 0)
