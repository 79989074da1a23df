# amaranth: UnusedElaboratable=no -- a refused parameter leaves a half-made component
"""`Resequencer`: messages of two lines, late, twice or never, against what its description says."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hdl.feed.resequencer import Resequencer
from hdl.spec.reasons import Drop
from sim import poke
from tests.support.stepper import Fields

RING = 16
START = 2**32 - 40
"""Numbers carry into the upper half."""


@cache
def built(width: int) -> tuple[Resequencer, dict[str, Fields], Path]:
    """The component, what its ports carry, and its model."""
    dut = Resequencer(width=width, ring_messages=RING)
    fields = {"__".join(map(str, path)): Fields(member.shape) for path, member, _ in dut.signature.flatten(dut)}
    return dut, fields, poke.library(dut, name=f"resequencer_{width}", inside=False)


class Bench:
    """The component and all that came out of it."""

    def __init__(self, width: int, *, gap_wait: int = 200, recover: int = 0) -> None:
        self.dut, self.fields, self._library = built(width)
        self.gap_wait, self.recover = gap_wait, recover
        self.cycle = 0
        self.messages: list[tuple[int, bytes]] = []
        self.begun: list[int] = []
        self.gaps: list[tuple[int, int]] = []
        self.counts = {"recovered": 0, "lost_after_use": 0, "given_up": 0}
        self.duplicates = [0, 0, 0]
        self.drops: list[Drop] = []
        self.marked: list[tuple[int, bytes, int, int]] = []
        self.at_mark = 0
        self._current, self._number, self._mark, self._behind = b"", 0, 0, 0

    def run(self, story: Callable[[Any], None]) -> None:
        with poke.Poke(self._library) as self.model:
            self.set("gap_wait", self.gap_wait)
            self.set("recover", self.recover)
            self.load(START)
            self.step(3)
            self.counts["given_up"] = 0
            story(self)

    def set(self, name: str, value: Any) -> None:
        self.model[name] = self.fields[name].pack(value)

    def get(self, name: str) -> Any:
        return self.fields[name].unpack(self.model[name])

    def step(self, clocks: int = 1) -> None:
        for _ in range(clocks):
            self.model.step()
            self.cycle += 1
            self._look()

    def _look(self) -> None:
        model = self.model
        if model["o__valid"]:
            beat, mark = self.get("o__payload"), model["mark_out"]
            if beat["first"]:
                self._current, self._number = b"", beat["sequence"]
                self._mark, self._behind = mark, model["behind"]
                self.begun.append(self.cycle)
            assert (beat["sequence"], mark) == (self._number, self._mark)
            self._current += bytes(beat["data"][: beat["count"]])
            if beat["last"] and self._mark:
                self.marked.append((self._number, self._current, self._mark, self._behind))
            elif beat["last"]:
                self.messages.append((self._number, self._current))
        if model["gap__valid"]:
            gap = self.get("gap__payload")
            self.gaps.append((gap["first"], gap["next"]))
        for name in self.counts:
            self.counts[name] += model[name]
        if duplicate := model["duplicate"]:
            self.duplicates[duplicate.bit_length() - 1] += 1
        if drop := model["drop"]:
            self.drops += [cause for cause in Drop if drop >> cause & 1]

    def _offer(self, stream: str, payload: Any) -> None:
        self.set(f"{stream}__payload", payload)
        self.set(f"{stream}__valid", 1)
        self.step()
        self.set(f"{stream}__valid", 0)

    def load(self, number: int) -> None:
        self._offer("load", number)

    def give(self, *numbers: int, ok: bool = True, line: int = 0, cut: bool = False, told: bool = True, pause: int = 8,
             between: int | None = None, raw: bytes | None = None) -> list[int]:
        """A packet of messages, `EMPTY` ones without bytes; of the last one, where it is cut, the end never comes. The clock of
        each message's first beat."""
        between = (2 if self.dut.width == 1 else 0) if between is None else between
        self.set("line", line)
        self.set("coming", numbers[0])
        self.set("busy", 1)
        self.step(2)
        clocks, empties = [], 0
        for at, number in enumerate(numbers):
            if number in EMPTY:
                empties += 1
                self.set("coming", number + 1)
                self.step(between)
                continue
            clocks.append(self.cycle)
            self._message(number, raw or content(number), empties, cut=cut and at == len(numbers) - 1)
            empties = 0
            self.set("coming", number + 1)
            self.step(between)
        behind = numbers[-1] + 1
        if empties:
            self.set("coming", behind)
            self.step(2)
            self._beat([], first=1, last=1, sequence=behind, empties=empties)
        self.step(1)
        told = ok and told
        self._offer("packet", {"ok": int(ok), "told": int(told), "judged": int(told), "next": numbers[-1] if cut else behind})
        self.set("busy", 0)
        self.step(pause)
        return clocks

    def _message(self, number: int, raw: bytes, empties: int, *, cut: bool) -> None:
        lanes = self.dut.lanes
        for at in range(0, len(raw), lanes):
            last = at + lanes >= len(raw)
            if not (cut and last):
                self._beat(list(raw[at : at + lanes]), first=int(at == 0), last=int(last), sequence=number, empties=empties)

    def _beat(self, data: list[int], **members: int) -> None:
        self._offer("message", {"data": data, "count": len(data), **members})

    def give_marked(self, number: int, mark: int, *, pause: int = 8) -> int:
        """One with a mark, as `MessageInjector` gives it; how many clocks it waited for its turn."""
        waited = 0
        self.set("asks", 1)
        while self.get("draining"):
            self.step()
            waited += 1
        self.step()
        for name, value in (("line", 2), ("coming", number), ("busy", 1), ("mark", mark)):
            self.set(name, value)
        self.at_mark = self.get("expected")
        self.step()
        self._message(number, content(number), 0, cut=False)
        self.step(self.dut.latency)
        for name in ("line", "busy", "mark", "asks"):
            self.set(name, 0)
        self.step(pause)
        return waited

    def tell(self, number: int) -> None:
        """A heartbeat."""
        self._offer("packet", {"ok": 1, "told": 1, "judged": 0, "next": number})

    def settle(self) -> None:
        self.step(RING * 25 + self.gap_wait)


EMPTY: set[int] = set()
"""Numbers of messages without bytes."""


def content(number: int) -> bytes:
    """The message of a number, of an ITCH message's length."""
    source = random.Random(number)
    return source.randbytes(source.choice((12, 19, 31, 32, 33, 36, 40, 44, 50)))


def wanted(numbers: Any) -> list[tuple[int, bytes]]:
    return [(number, content(number)) for number in numbers if number not in EMPTY]


both = pytest.mark.parametrize("width", [1, 8])


@both
def test_in_order_passes_after_the_stated_clocks(width: int) -> None:
    bench = Bench(width)
    given: list[int] = []

    def story(bench: Bench) -> None:
        for first in range(START, START + 60, 6):
            given.extend(bench.give(*range(first, first + 6)))
        bench.step(6)

    bench.run(story)
    assert bench.messages == wanted(range(START, START + 60))
    assert bench.begun == [clock + bench.dut.latency for clock in given]
    assert not bench.gaps and not bench.drops and not any(bench.counts.values())
    assert bench.dut.latency == (1 if width == 1 else 2)


@both
@pytest.mark.parametrize("seed", range(2))
def test_messages_with_a_mark_pass_by_the_numbers(width: int, seed: int) -> None:
    """Any number, before, in and right behind a hole, while the ring waits, drains, or is about to: each comes whole and at once
    or when the ring is at rest, and all else is as without them."""
    rng, pick, waits = random.Random(seed), random.Random(100 + seed), []
    bench, end = Bench(width, gap_wait=100, recover=1), START + 70

    def story(bench: Bench) -> None:
        last = START

        def some() -> None:
            for _ in range(rng.randrange(4)):
                number = rng.choice((0, last - 1, last, last + 1, last + 3, last + RING, rng.randrange(1 << 64)))
                waits.append(bench.give_marked(number, 1 + rng.randrange(3), pause=rng.choice((4, 5, 6, 7, 30))))
                assert bench.marked[-1][:2] == (number, content(number))
                assert bench.marked[-1][3] == (number < bench.at_mark)

        while last < end:
            hole, ahead = pick.randrange(1, 3), pick.randrange(1, RING - 3)
            bench.give(*range(last + hole, last + hole + ahead), pause=pick.choice((1, 4, 8)))
            some()
            if pick.random() < 0.3:
                bench.step(bench.gap_wait + 40)
                some()
            bench.give(*range(last, last + hole), line=1, pause=pick.choice((1, 2, 4, 8)))
            some()
            last += hole + ahead
            for _ in range(RING * 80):
                if bench.get("expected") >= last:
                    break
                bench.step()

    bench.run(story)
    assert len(bench.marked) == len(waits) > 10 and max(waits) > 20
    assert bench.messages == wanted(range(START, START + len(bench.messages))) and len(bench.messages) >= 70
    assert bench.duplicates == [0, 0, 0] and not bench.drops


@both
@pytest.mark.parametrize("seed", range(4))
def test_two_lines_lose_nothing_that_either_brings_in_time(width: int, seed: int) -> None:
    """Every number comes at least once, none more than half a ring late; packets of one and more, borders as they fall."""
    rng = random.Random(seed)
    bench = Bench(width, gap_wait=100_000)
    numbers = list(range(START, START + 150))
    schedule = sorted([(number + rng.random() * (RING // 2 - 1), number) for number in numbers]
                      + [(number + rng.random() * RING, number) for number in numbers if rng.random() < 0.6])  # fmt: skip
    given = [number for _, number in schedule]

    def story(bench: Bench) -> None:
        at = 0
        while at < len(given):
            size = 1
            while at + size < len(given) and given[at + size] == given[at] + size:
                size += 1
            bench.give(*given[at : at + size], line=rng.randrange(2), pause=rng.choice((8, 9, 20, 90)))
            at += size
        bench.step(RING * 60)

    bench.run(story)
    assert bench.messages == wanted(numbers)
    assert not bench.gaps and Drop.BEYOND not in bench.drops and not any(bench.counts.values())
    assert sum(bench.duplicates) == len(schedule) - len(numbers)


@both
def test_duplicates_are_counted_by_line_and_packets_of_nothing_else_dropped(width: int) -> None:
    bench = Bench(width)

    def story(bench: Bench) -> None:
        bench.give(*range(START, START + 3), line=0)
        bench.give(*range(START, START + 3), line=1)
        bench.give(*range(START + 1, START + 5), line=1)
        bench.give(START + 6, line=0)
        bench.give(START + 6, line=1)
        bench.give(START + 4, line=0)

    bench.run(story)
    assert bench.messages == wanted(range(START, START + 5))
    assert bench.duplicates == [1, 6, 0]
    assert bench.drops == [Drop.DUPLICATE] * 3


@both
@pytest.mark.parametrize("seed", range(3))
def test_what_no_line_brings_is_a_gap_after_the_wait(width: int, seed: int) -> None:
    rng = random.Random(seed)
    bench = Bench(width, gap_wait=900 if width == 1 else 250)
    lost: list[tuple[int, int]] = []
    kept: list[int] = []

    def story(bench: Bench) -> None:
        number = START
        for _ in range(8):
            hole, run = rng.randint(0, 5), rng.randint(1, RING - 6)
            if hole:
                lost.append((number, number + hole))
            number += hole
            part = list(range(number, number + run))
            kept.extend(part)
            rng.shuffle(part)
            for each in part:
                bench.give(each)
            number += run
            bench.settle()
        bench.tell(number + 3)
        lost.append((number, number + 3))
        bench.settle()

    bench.run(story)
    assert bench.gaps == lost
    assert bench.messages == wanted(kept)
    assert not bench.drops and bench.counts == {"recovered": 0, "lost_after_use": 0, "given_up": len(lost)}


@both
@pytest.mark.parametrize("wait", [0, 300])
def test_the_wait_is_counted_in_clocks_from_the_end_of_the_packet(width: int, wait: int) -> None:
    bench = Bench(width, gap_wait=wait)
    at: list[int] = []

    def story(bench: Bench) -> None:
        bench.give(START + 2, pause=0)
        begin = bench.cycle
        while not bench.gaps and bench.cycle - begin < 1_000:
            bench.step()
        at.append(bench.cycle - begin)
        bench.step(100)

    bench.run(story)
    assert bench.gaps == [(START, START + 2)]
    assert wait <= at[0] <= wait + 14
    assert bench.messages == wanted([START + 2])


@both
def test_a_message_that_is_held_while_its_slot_is_looked_at_ends_the_hole(width: int) -> None:
    """Slots behind the number expected are looked at one a clock, for where a hole ends; a message comes in each of these clocks.
    Were it passed over, it would be lost, and lie in the ring as the message of a later number."""
    bench = Bench(width, gap_wait=30)
    given: list[tuple[int, bytes]] = []
    holes: list[tuple[int, int]] = []

    def story(bench: Bench) -> None:
        number = START
        for hole in range(1, RING - 1):
            for pause in range(RING):
                behind = number + 1 + hole
                bench.give(number, raw=b"a", pause=pause)
                bench.give(behind, raw=b"b")
                bench.step(60)
                given.extend(((number, b"a"), (behind, b"b")))
                holes.append((number + 1, behind))
                number = behind + 1

    bench.run(story)
    assert bench.gaps == holes
    assert bench.messages == given and not bench.drops


@both
def test_a_leap_past_the_ring(width: int) -> None:
    """With nothing held it is a gap at once; with something held the wait ends and the message is dropped."""
    bench = Bench(width, gap_wait=100_000)

    def story(bench: Bench) -> None:
        bench.give(START + 1_000, START + 1_001)
        bench.give(START + 1_003)
        bench.give(START + 1_002 + RING)
        bench.step(RING * 60)
        bench.give(START + 1_003)
        bench.give(START + 1_004)
        bench.step(RING * 4)

    bench.run(story)
    assert bench.messages == wanted(START + each for each in (1_000, 1_001, 1_003, 1_004))
    assert bench.gaps == [(START, START + 1_000), (START + 1_002, START + 1_003)]
    assert bench.drops == [Drop.BEYOND, Drop.DUPLICATE]


@both
def test_recovery_under_live_traffic(width: int) -> None:
    """The hole is told once; what was held follows what is injected, and nothing is lost or comes twice."""
    bench = Bench(width, gap_wait=20, recover=1)

    def story(bench: Bench) -> None:
        bench.give(*range(START, START + 5))
        for number in range(START + 8, START + 12):
            bench.give(number, pause=30)
        bench.step(60)
        assert bench.gaps == [(START + 5, START + 8)]
        assert bench.messages == wanted(range(START, START + 5))
        for injected, live in zip(range(START + 5, START + 8), range(START + 12, START + 15), strict=True):
            bench.give(live)
            bench.give(injected)
            if injected == START + 5:
                assert bench.counts["recovered"] == 0
        bench.step(RING * 60)
        bench.give(*range(START + 15, START + 20))

    bench.run(story)
    assert bench.messages == wanted(range(START, START + 20))
    assert bench.gaps[0] == (START + 5, START + 8)
    assert bench.counts == {"recovered": 1, "lost_after_use": 0, "given_up": 0}
    assert not bench.drops


@both
def test_recovery_of_more_than_the_ring_holds(width: int) -> None:
    """The hole grows; the host goes on asking until there is nothing open."""
    bench = Bench(width, gap_wait=20, recover=1)

    def story(bench: Bench) -> None:
        for number in range(START + 2, START + 2 * RING):
            bench.give(number)
        bench.step(60)
        assert bench.get("highest") == START + 2 * RING
        while (number := bench.get("expected")) != bench.get("highest"):
            bench.give(number)
            bench.step(RING * 60)
            assert len(bench.messages) < 3 * RING
        bench.step(RING * 60)

    bench.run(story)
    assert bench.messages == wanted(range(START, START + 2 * RING))
    assert bench.gaps[0] == (START, START + 2)
    assert bench.drops == [Drop.BEYOND] * RING
    assert bench.counts == {"recovered": 1, "lost_after_use": 0, "given_up": 0}


@both
def test_a_recovery_that_is_called_off_is_a_gap(width: int) -> None:
    bench = Bench(width, gap_wait=20, recover=1)

    def story(bench: Bench) -> None:
        bench.give(START + 2)
        bench.step(100)
        assert bench.gaps == [(START, START + 2)] and not bench.messages
        bench.set("recover", 0)
        bench.step(200)

    bench.run(story)
    assert bench.gaps == [(START, START + 2)] * 2
    assert bench.messages == wanted([START + 2])
    assert bench.counts == {"recovered": 0, "lost_after_use": 0, "given_up": 1}


@both
def test_a_message_that_is_cut_is_taken_from_the_other_line(width: int) -> None:
    bench = Bench(width, gap_wait=100_000)

    def story(bench: Bench) -> None:
        for number in range(START, START + 20):
            bench.give(number, cut=True, ok=False)
            bench.give(number + 1, cut=True, told=False)
            bench.give(number)

    bench.run(story)
    assert bench.messages == wanted(range(START, START + 20))
    assert not bench.gaps and not bench.drops and not any(bench.counts.values())


@both
def test_a_bad_packet_leaves_nothing_behind(width: int) -> None:
    """Neither in the ring nor in what was heard; what was held before it stays."""
    bench = Bench(width, gap_wait=50)

    def story(bench: Bench) -> None:
        bench.set("gap_wait", 100_000)
        bench.give(START + 3)
        bench.give(*range(START + 2, START + 8), ok=False)
        assert bench.get("highest") == START + 4
        bench.give(*range(START, START + 3))
        bench.step(200)
        bench.set("gap_wait", 50)
        bench.step(200)
        assert not bench.gaps
        bench.give(START + 4)

    bench.run(story)
    assert bench.messages == wanted(range(START, START + 5))
    assert not bench.drops and not any(bench.counts.values())


@both
def test_after_use_the_number_falls_back(width: int) -> None:
    """To the first number the packet gave, not to what drained before it. What was not given whole was not used."""
    bench = Bench(width, gap_wait=100_000)

    def story(bench: Bench) -> None:
        bench.give(START + 1)
        bench.give(START)
        bench.step(200)
        bench.give(START + 1, START + 2, START + 3, ok=False)
        assert bench.get("expected") == START + 2
        bench.give(START + 2, cut=True, ok=False)
        assert bench.get("expected") == START + 2
        bench.give(START + 2, START + 3)

    bench.run(story)
    assert bench.messages == wanted(START + each for each in (0, 1, 2, 3, 2, 3))
    assert bench.counts == {"recovered": 0, "lost_after_use": 1, "given_up": 0}
    assert not bench.gaps


@both
def test_what_a_bad_packet_drained_of_itself_counts_as_used(width: int) -> None:
    """While the ring drains, messages of the packet under way go through it; the end of a bad one cuts that."""
    bench = Bench(width, gap_wait=100_000)

    def story(bench: Bench) -> None:
        bench.give(*range(START + 1, START + 5))
        bench.give(START, pause=2)
        bench.give(*range(START + 5, START + 16), ok=False)
        assert bench.counts["lost_after_use"] == 1
        assert bench.get("expected") == START + 5
        bench.give(*range(START + 5, START + 16))

    bench.run(story)
    assert bench.messages[-11:] == wanted(range(START + 5, START + 16))
    assert bench.messages[:6] == wanted(range(START, START + 6))
    assert len(bench.messages) > 16


@both
def test_what_a_bad_packet_gave_in_the_clock_of_its_end_is_all_that_is_taken_back(width: int) -> None:
    """Its only message, of one beat, goes through the ring, which drains as it comes, and leaves it at any clock near the end."""
    bench = Bench(width, gap_wait=100_000)
    numbers: list[int] = []

    def story(bench: Bench) -> None:
        number = START
        for between in range(1, 5):
            for pause in range(2, 8):
                bench.give(number + 1, raw=bytes(4 * bench.dut.lanes))
                bench.give(number, pause=pause)
                bench.give(number + 2, raw=b"x", ok=False, between=between, pause=20)
                numbers.append(bench.get("expected"))
                bench.give(number + 2)
                number += 3

    bench.run(story)
    assert numbers == [START + 3 * each + 2 for each in range(24)]
    assert bench.counts["lost_after_use"] > 0 and bench.duplicates == [0, 0, 0]


@both
def test_messages_without_bytes(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take their numbers in front of, between and behind others, by borders that differ; ahead they are lost."""
    monkeypatch.setattr("tests.hdl.feed.test_resequencer.EMPTY", {START + each for each in (0, 1, 4, 8, 9, 10, 13, 16)})
    bench = Bench(width, gap_wait=50)

    def story(bench: Bench) -> None:
        bench.give(START)
        bench.give(*range(START, START + 4))
        bench.give(*range(START + 3, START + 9))
        bench.give(*range(START + 8, START + 12))
        assert bench.get("expected") == START + 12
        assert not bench.gaps
        bench.give(START + 13, START + 14)
        bench.give(START + 12)
        bench.step(400)
        bench.give(START + 15, START + 16)
        bench.give(START + 17)

    bench.run(story)
    assert bench.messages == wanted(range(START, START + 18))
    assert bench.gaps == [(START + 13, START + 14)]


@both
def test_what_has_no_bytes_is_told_while_what_is_behind_it_leaves_the_ring(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hole is given up, and just as what was held behind it goes out the other line tells that what is missing has no bytes.
    The number expected must not be taken back: the copy that follows would be given once more."""
    pauses, raw = range(20, 60), bytes(12)
    monkeypatch.setattr("tests.hdl.feed.test_resequencer.EMPTY", {START + 3 * each + 1 for each in range(len(pauses))})
    bench, given = Bench(width, gap_wait=20), []

    def story(bench: Bench) -> None:
        for number, pause in zip(range(START, START + 3 * len(pauses), 3), pauses, strict=True):
            bench.give(number, raw=raw)
            bench.give(number + 2, raw=raw, pause=pause)
            bench.give(number + 1, line=1)
            bench.give(number + 2, raw=raw, line=1)
            bench.step(60)
            given.extend((number, number + 2))

    bench.run(story)
    assert bench.messages == [(number, raw) for number in given]


@both
def test_too_long_for_the_ring(width: int) -> None:
    """In its turn a message of any length passes; ahead it is lost."""
    bench = Bench(width, gap_wait=50)

    def story(bench: Bench) -> None:
        bench.give(START, raw=bytes(64))
        bench.give(START + 2, raw=bytes(range(64)))
        bench.give(START + 1, raw=bytes(65))
        bench.step(200)
        bench.give(START + 4, raw=bytes(65))
        bench.step(400)

    bench.run(story)
    assert bench.messages == [(START, bytes(64)), (START + 1, bytes(65)), (START + 2, bytes(range(64)))]
    assert bench.drops == [Drop.BEYOND]
    assert bench.gaps == [(START + 3, START + 5)]


@both
def test_a_number_is_loaded_between_packets(width: int) -> None:
    bench = Bench(width, gap_wait=100_000)

    def story(bench: Bench) -> None:
        bench.give(START + 1)
        bench.load(START + 500)
        bench.step(4)
        assert bench.counts["given_up"] == 1
        assert bench.get("expected") == bench.get("highest") == START + 500
        bench.give(START + 500, START + 501)
        # What was held in the slot of this number is gone.
        bench.give(START + 1 + 2 * RING * 16)
        bench.step(100)

    bench.run(story)
    assert bench.messages == wanted([START + 500, START + 501, START + 1 + 2 * RING * 16][:2])


@both
@pytest.mark.parametrize("clocks", [None, *range(6)])
def test_a_number_that_is_loaded_as_a_packet_ends_is_not_undone_by_it(width: int, clocks: int | None) -> None:
    """Loaded in the middle of a packet, or so many clocks behind its end: what that packet told is forgotten, too."""
    bench = Bench(width, gap_wait=50)

    def story(bench: Bench) -> None:
        if clocks is None:
            bench.set("busy", 1)
            bench.load(1)
        bench.give(START, START + 1, pause=clocks or 0)
        if clocks is not None:
            bench.load(1)
        bench.step(100)
        assert bench.get("expected") == bench.get("highest") == 1
        bench.give(1, 2, 3)

    bench.run(story)
    assert bench.messages == wanted([START, START + 1, 1, 2, 3])
    assert not bench.gaps and not any(bench.duplicates)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"width": 2}, "width: 2 was given, allowed are 1 and 8"),
        ({"width": 1, "ring_messages": 48}, "ring_messages: 48 was given, allowed are powers of two from 16 to 32768"),
    ],
)
def test_refused_parameters(parameters: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Resequencer(**parameters)


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("between", range(2, 14))
def test_copies_that_come_while_the_ring_drains(width: int, between: int) -> None:
    """At whatever clock the copy of a message comes that just leaves the ring, it is one, and its slot is free for the next."""
    bench = Bench(width)

    def story(bench: Bench) -> None:
        for round_ in range(4):
            first = START + round_ * RING
            ahead = [first + offset for offset in range(1, 10)]
            bench.give(*ahead)
            bench.give(first, *ahead, line=1, between=between)
            bench.give(*range(first + 10, first + RING))
        bench.settle()

    bench.run(story)
    assert bench.messages == [(number, content(number)) for number in range(START, START + 4 * RING)]
    assert bench.duplicates == [0, 4 * 9, 0]
    assert not bench.gaps
