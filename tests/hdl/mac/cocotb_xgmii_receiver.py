"""Words on an XGMII into `XgmiiReceiver`; check sequences by zlib."""

from __future__ import annotations

import random
import zlib
from typing import Any

import cocotb

from hdl.mac.xgmii_receiver import XgmiiReceiver
from tests.support.stepper import Stepper

COMPONENT = XgmiiReceiver()
IDLE, START, TERMINATE, ERROR = (0x07, 1), (0xFB, 1), (0xFD, 1), (0xFE, 1)
OPENING = [START, *[(0x55, 0)] * 6, (0xD5, 0)]

Character = tuple[int, int]


async def started(dut: Any) -> tuple[Stepper, random.Random]:
    bench = Stepper(dut, COMPONENT, collect=("frame",))
    await bench.reset()
    return bench, random.Random(7)


def plain(raw: bytes) -> list[Character]:
    return [(byte, 0) for byte in raw]


def seal(frame: bytes) -> bytes:
    return frame + zlib.crc32(frame).to_bytes(4, "little")


async def carry(bench: Stepper, characters: list[Character]) -> int:
    """Put characters on the lanes, idle ones to the end of the word and a few words more; returns the first clock."""
    first = bench.cycle
    characters = characters + [IDLE] * (-len(characters) % 8 + 64)
    for at in range(0, len(characters), 8):
        word = characters[at : at + 8]
        bench.set("rxd", int.from_bytes(bytes(byte for byte, _ in word), "little"))
        bench.set("rxc", sum(control << lane for lane, (_, control) in enumerate(word)))
        await bench.step()
    return first


def frames(beats: list[tuple[int, dict[str, Any]]]) -> list[tuple[bytes, int]]:
    """Frames and their errors; beats are full but for the last, bounds are marked right."""
    found: list[tuple[bytes, int]] = []
    current: bytes | None = None
    for _, beat in beats:
        assert beat["first"] == (current is None)
        assert beat["count"] == 8 or (beat["last"] and 0 < beat["count"] < 8)
        current = (current or b"") + bytes(beat["data"][: beat["count"]])
        if beat["last"]:
            found.append((current, beat["error"]))
            current = None
        else:
            assert not beat["error"]
    assert current is None, "a frame without an end"
    return found


@cocotb.test()
async def frames_of_every_length_in_both_lanes(dut: Any) -> None:
    bench, rng = await started(dut)
    for size in [*range(1, 130), 1514]:
        for lane in (0, 4):
            frame = seal(rng.randbytes(size))
            first = await carry(bench, [IDLE] * lane + OPENING + plain(frame) + [TERMINATE])
            beats = bench.taken("frame")
            assert frames(beats) == [(frame, 0)]
            # The word behind the preamble is the second one; it waits for the word that holds its second half.
            assert [cycle for cycle, _ in beats] == [first + 1 + COMPONENT.LATENCY + index for index in range(len(beats))]


@cocotb.test()
async def back_to_back(dut: Any) -> None:
    """Five idle characters and more, terminate included, starts in the next lane there is: nothing is lost."""
    bench, rng = await started(dut)
    line: list[Character] = []
    given = []
    for _ in range(400):
        frame = seal(rng.randbytes(rng.choice((60, 61, 62, 63, 64, 65, 66, 67, 300))))
        line += OPENING + plain(frame) + [TERMINATE] + [IDLE] * 4
        line += [IDLE] * (-len(line) % 4 + rng.choice((0, 0, 0, 4, 8)))
        given.append((frame, 0))
    await carry(bench, line)
    assert frames(bench.taken("frame")) == given


@cocotb.test()
async def bad_frames(dut: Any) -> None:
    """Damaged bytes, error characters, missing ends: bad, and the next frame is good."""
    bench, rng = await started(dut)
    for number in range(200):
        lane = 4 * (number % 2)
        good = seal(rng.randbytes(rng.randrange(60, 76)))
        at = rng.randrange(1, len(good))
        damaged = good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1 :]
        for body, seen in (
            ([*plain(damaged), TERMINATE], damaged),
            ([*plain(good[:-1]), TERMINATE], good[:-1]),
            ([*plain(good[:at]), ERROR, *plain(good[at + 1 :]), TERMINATE], good[:at]),
            ([*plain(good), IDLE], good),
        ):
            line = [IDLE] * lane + OPENING + body
            line += [IDLE] * (-len(line) % 8 + 8 + lane)
            await carry(bench, [*line, *OPENING, *plain(good), TERMINATE])
            got = frames(bench.taken("frame"))
            assert got[0] == (seen, 1)
            assert got[1:] == [(good, 0)]


@cocotb.test()
async def a_start_inside_a_frame_ends_it_as_bad(dut: Any) -> None:
    bench, rng = await started(dut)
    for words in (1, 2, 9):
        cut, good = rng.randbytes(8 * words), seal(rng.randbytes(60))
        await carry(bench, OPENING + plain(cut) + OPENING + plain(good) + [TERMINATE])
        assert frames(bench.taken("frame")) == [(cut, 1), (good, 0)]


@cocotb.test()
async def no_frames(dut: Any) -> None:
    """No delimiter, a delimiter in the wrong place, a start in a lane where none can be, an empty frame."""
    bench, rng = await started(dut)
    good = seal(rng.randbytes(60))
    for line in (
        [START, *[(0x55, 0)] * 7, *plain(good), TERMINATE],
        [START, *[(0x55, 0)] * 5, (0xD5, 0), (0x55, 0), *plain(good), TERMINATE],
        [IDLE, IDLE, *OPENING, *plain(good), TERMINATE],
        [*OPENING, TERMINATE],
        [*[IDLE] * 4, *OPENING, TERMINATE],
    ):
        await carry(bench, line)
        assert not bench.taken("frame")
    await carry(bench, OPENING + plain(good) + [TERMINATE])
    assert frames(bench.taken("frame")) == [(good, 0)]
