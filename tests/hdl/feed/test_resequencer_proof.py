# amaranth: UnusedElaboratable=no -- what is inside is asked for by `elaborated`
"""No message is lost, given twice, given for another or skipped untold: proved by k-induction for one number, whichever it is.

`Resequencer` as it is, with a free `gap_wait`, `recover` and `load` in every clock. What is said:

1. The number expected passes a number where it is given, in a gap that is told and given up, without bytes, or when a number is
   loaded, and then only. None is given that was before, but behind `lost_after_use`, nor one of a gap, but behind the bad packet
   that told it. What a bad packet gave is taken back: the number expected falls to where that began, never further.
2. What is given straight is what came `latency` clocks ago. What is given out of the ring is what was kept for that number, beat
   by beat, of one copy; beats of two messages never mix, nor with one that has a mark.
3. What comes passes, was given or held before, is kept, or has one pulse of BEYOND. What is kept stays until it is given, its
   packet's frame was bad, or a number is loaded: the number expected never passes it.
4. The bit of a slot is set just where the one number of the span that has this slot is kept.

What is abstract: numbers are `NUMBER` bits wide in place of 64, and `empties` `EMPTIES` in place of 16; the ring has `RING`
messages of `ROWS` beats. Of both memories the place of the watched number is known, and all others give anything at any time.

What is assumed of `MoldUdp64Receiver` and `MessageInjector`:

- Messages lie in packets, one at a time; `busy` is high from their first (a clock before it where a beat is a byte) until the
  packet's end, which comes behind the last beat. All beats of a message but its last are full and have one number; the last
  message may be cut. Where a beat is a byte, a length of two lies between messages, and `coming` is the number a clock before.
- In a packet each number is the one behind the message before it and its `empties`. A beat without bytes ends the packet, which
  is good: the receiver gives it with that verdict. No number is the highest there is: the one behind it would be 0.
- A first message comes `APART` clocks behind the end of the packet before it or later: a frame begins 4 clocks behind a verdict
  and has a header, and a message of the host waits for verdicts to arrive. The same holds for two ends one of which tells a
  number, which takes a frame with a header. Only ends of good packets tell.
- With a mark: `asks` is high from the clock before the mark on, in which the ring does not drain and no packet is under way. The
  mark stays until `latency` clocks behind the last beat, and no packet ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from amaranth.hdl import Assert, Assume, Cat, Cover, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hdl.feed.moldudp64_receiver import PACKET, message_width, numbered_beat
from hdl.feed.resequencer import Resequencer
from hdl.interfaces import message_beat
from tests.support.proofs import constant, elaborated, judge, out_of_reset, rewritten

NUMBER, EMPTIES, ROWS, RING = 6, 3, 2, 4
SOAK_RING = 16
APART = 4
DEPTH = 4
"""Clocks: a message is looked up two before it is judged."""


@dataclass(frozen=True)
class Story:
    """When what comes, from reset on; what it says is free. Clocks are those in which it is judged."""

    last: int
    messages: tuple[tuple[int, ...], ...] = ()
    """Clocks of the beats of each."""
    numbers: tuple[int, ...] = ()
    """Of each; free where none are told."""
    ends: tuple[int, ...] = ()
    loads: tuple[int, ...] = ()


class Watched(Elaboratable):
    """A memory of which one place is known: `what` lies `at` it. What is read from any other may be anything."""

    def __init__(self, *, shape: Any, depth: int, init: Any) -> None:
        self.shape = shape
        self.at, self.what, self.anything = Signal(range(depth)), Signal(shape), Signal(shape)

    def write_port(self) -> Any:
        self.write = SimpleNamespace(addr=Signal.like(self.at), data=Signal(self.shape), en=Signal())
        return self.write

    def read_port(self, domain: str = "sync") -> Any:
        self.read = SimpleNamespace(addr=Signal.like(self.at), data=Signal(self.shape), en=Signal(), domain=domain)
        return self.read

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        with m.If(self.write.en & (self.write.addr == self.at)):
            m.d.sync += self.what.eq(self.write.data)
        m.d[self.read.domain] += self.read.data.eq(Mux(self.read.addr == self.at, self.what, self.anything))
        return m


class Way:
    """What is known of the packet at one place of its way: behind the input, or behind the stage in which messages are judged.

    ``begun``: a message of it has come. ``mid``: one is not whole; ``num``: its number; ``behind``: the number behind the last;
    ``tailed``: what has no bytes has ended it.
    """

    def __init__(self, name: str) -> None:
        self.begun, self.mid, self.tailed = (Signal(name=f"{name}_{what}") for what in ("begun", "mid", "tailed"))
        self.num, self.behind = (Signal(NUMBER, name=f"{name}_{what}") for what in ("num", "behind"))

    def all(self) -> tuple[Value, ...]:
        return self.begun, self.mid, self.tailed, self.num, self.behind

    def follow(self, m: Module, valid: Value, beat: data.View, end: Value) -> None:
        with m.If(valid):
            m.d.sync += [signal.eq(value) for signal, value in zip(self.all(), moved(self.all(), valid, beat), strict=True)]
        with m.If(end):
            m.d.sync += [self.begun.eq(0), self.mid.eq(0), self.tailed.eq(0)]


def moved(way: tuple[Value, ...], valid: Value, beat: data.View) -> tuple[Value, ...]:
    """What is known of a packet behind one more beat."""
    here = (1, ~beat.last, beat.count == 0, beat.sequence, (beat.sequence + (beat.count != 0))[:NUMBER])
    return tuple(Mux(valid, *both) for both in zip(here, way, strict=True))


class Harness(wiring.Component):
    """Plays receiver, injector and host, and watches one number and one row of its slot.

    Without a story they do what they may, whenever they may, and what an induction stands on is asserted, too.
    """

    def __init__(self, resequencer: Any, width: int, ring: int, story: Story | None = None) -> None:
        self.dut, self.story = resequencer(width=width), story
        self.dut.ring_messages = ring
        self.sized = range(ROWS * self.dut.lanes)
        inputs = {name: member for name, member in self.dut.signature.members.items() if member.flow is In}
        inputs |= {"number": In(NUMBER), "row": In(range(ROWS)), "any_beat": In(8 * self.dut.lanes), "any_size": In(self.sized)}
        super().__init__(inputs)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        out_of_reset(m)
        dut = self.dut
        m.submodules.resequencer, self.seen = elaborated(dut, platform)
        for name, member in dut.signature.members.items():
            if member.flow is In:
                pair = (getattr(dut, name), getattr(self, name))
                parts = ("valid", "payload")
                pairs = [pair] if member.is_port else [tuple(getattr(each, part) for each in pair) for part in parts]
                m.d.comb += [Value.cast(there).eq(Value.cast(here)) for there, here in pairs]
        constant(m, self.number, "number")
        constant(m, self.row, "row")
        inside = self.inside = self.seen["elaborate"]
        self.stage, self.drain = self.seen["_look"].coming, self.seen["_drain"]
        self.slot = self.number[: dut._bits]
        m.d.comb += [
            inside.ring.at.eq(Cat(self.row, self.slot)), inside.ring.anything.eq(self.any_beat),
            inside.sizes.at.eq(self.slot), inside.sizes.anything.eq(self.any_size),
        ]  # fmt: skip
        self.input, self.judged = Way("input"), Way("judged")
        self._assume(m)
        self._follow(m)
        self._numbers(m)
        self._content(m)
        self._fate(m)
        if self.story is None:
            self._stand_input(m)
            self._stand_way(m)
            self._stand_slots(m)
            self._stand_drain(m)
            self._stand_packet(m)
        else:
            self._tell(m, self.story)
        return m

    def _span(self, number: Value) -> Value:
        return (number - self.dut.expected)[self.dut._bits : NUMBER] == 0

    def _assume(self, m: Module) -> None:
        dut, way, end = self.dut, self.input, self.packet
        valid, beat, mark = self.message.valid, self.message.payload, self.mark.any()
        was = self.was = SimpleNamespace(
            **{name: Signal(name=f"was_{name}") for name in ("busy", "end", "told", "asks", "free")},
            mark=Signal(2, name="was_mark"), coming=Signal(NUMBER, name="was_coming"), valid=Signal(2, name="was_valid"),
        )  # fmt: skip
        age = was.age = Signal(range(APART + 1), init=APART, name="age")
        m.d.sync += [
            was.busy.eq(self.busy), was.end.eq(end.valid), was.mark.eq(self.mark), was.asks.eq(self.asks),
            was.free.eq(~dut.draining & ~self.busy), was.coming.eq(self.coming),
            was.valid.eq(Cat(valid, was.valid)), age.eq(Mux(end.valid, 1, Mux(age < APART, age + 1, age))),
        ]  # fmt: skip
        with m.If(end.valid):
            m.d.sync += was.told.eq(end.payload.told)
        own = valid & ~mark
        first = own & beat.first
        # A message with a mark has no packet; what is not whole is known of it all the same.
        half, its = Signal(name="half"), Signal(NUMBER, name="its")
        way.follow(m, own, beat, end.valid)
        with m.If(valid):
            m.d.sync += [half.eq(~beat.last), its.eq(beat.sequence)]
        with m.If(end.valid):
            m.d.sync += half.eq(0)
        self.half, self.its = half, its
        m.d.comb += [
            Assume(~valid | self.busy),
            Assume(~(was.busy & ~was.end & ~was.mark.any()) | self.busy),
            Assume(~end.valid | ~(valid | mark)),
            Assume(~first | (age == APART)),
            Assume(~(end.valid & (end.payload.told | was.told)) | (age == APART)),
            Assume(~(end.valid & (way.tailed | end.payload.told | end.payload.judged)) | end.payload.ok),
            # Beats of a message.
            Assume(~valid | (beat.first == ~half)),
            Assume(~(valid & ~beat.first) | (beat.sequence == its)),
            Assume(~valid | Mux(beat.last, beat.count <= dut.lanes, beat.count == dut.lanes)),
            Assume(~(valid & (beat.count == 0)) | (beat.first & beat.last & (beat.empties != 0) & ~mark)),
            # Messages of a packet.
            Assume(~(first & way.begun) | (beat.sequence == (way.behind + beat.empties)[:NUMBER])),
            Assume(~first | ~(beat.sequence < beat.empties)),
            Assume(~valid | ~beat.sequence.all()),
            Assume(~(own & way.tailed)),
            # Marks.
            Assume(~mark | (self.asks & self.busy)),
            Assume(~mark | (was.mark == self.mark) | (~was.mark.any() & was.asks & was.free)),
            Assume(~(valid & mark) | was.mark.any()),
            Assume(~was.mark.any() | mark | ~(half | was.valid[: dut.latency].any())),
        ]
        if dut.width == 1:
            m.d.comb += Assume(~(valid & beat.first) | (was.busy & (was.coming == beat.sequence) & ~was.valid.any()))

    def _follow(self, m: Module) -> None:
        """What is known of the watched number, and of what is under way."""
        dut, inside, packet, way, known = self.dut, self.inside, self.inside.packet, self.judged, SimpleNamespace()
        valid, late, w = self.stage.late_valid, self.stage.late, self.number
        way.follow(m, valid, late, packet.end.valid)
        self.known = known
        known.empties, known.empties_now = (Signal(EMPTIES, name=name) for name in ("empties", "empties_now"))
        m.d.comb += known.empties_now.eq(Mux(late.first, late.empties, known.empties))
        m.d.sync += known.empties.eq(known.empties_now)
        # Beats that came of a message; the watched one of what may be the watched message.
        known.rows, known.rows_now = (Signal(range(ROWS + 1), name=name) for name in ("rows", "rows_now"))
        known.coming, known.coming_now = (Signal(8 * dut.lanes, name=name) for name in ("its_row", "its_row_now"))
        here = valid & (late.sequence == w)
        m.d.comb += [
            known.rows_now.eq(Mux(late.first, 0, known.rows)),
            known.coming_now.eq(Mux(here & (known.rows_now == self.row), Value.cast(late.data), known.coming)),
        ]
        m.d.sync += known.coming.eq(known.coming_now)
        with m.If(valid):
            m.d.sync += known.rows.eq(Mux(known.rows_now == ROWS, ROWS, known.rows_now + 1))
        # What is given.
        o, known.drained = dut.o.payload, self.drain.given.valid
        known.valid = dut.o.valid & ~dut.mark_out.any()
        known.straight = known.valid & ~known.drained
        known.gives = known.valid & o.last & (o.sequence == w)
        known.drained_rows = Signal(range(ROWS + 1), name="drained_rows")
        with m.If(known.drained):
            m.d.sync += known.drained_rows.eq(Mux(o.last, 0, known.drained_rows + 1))
        with m.If(packet.bad | inside.set_number):
            m.d.sync += known.drained_rows.eq(0)
        known.open = Signal(name="open")
        with m.If(known.straight):
            m.d.sync += known.open.eq(~o.last)
        with m.If(packet.end.valid):
            m.d.sync += known.open.eq(0)
        # What is kept: by a packet that has not ended, where it can be lost again.
        known.kept, known.pending = Signal(name="is_kept"), Signal(name="is_pending")
        known.data, known.size = Signal(8 * dut.lanes, name="its_data"), Signal(self.sized, name="its_size")
        with m.If(packet.end.valid):
            m.d.sync += known.pending.eq(0)
            with m.If(packet.bad & known.pending):
                m.d.sync += known.kept.eq(0)
        with m.If(inside.kept & here):
            m.d.sync += [known.kept.eq(1), known.pending.eq(1), known.data.eq(known.coming_now)]
            m.d.sync += known.size.eq(known.rows_now * dut.lanes + late.count - 1)
        with m.If((known.gives & known.drained) | inside.set_number):
            m.d.sync += [known.kept.eq(0), known.pending.eq(0)]

    def _numbers(self, m: Module) -> None:
        """The first statement."""
        dut, inside, known, w = self.dut, self.inside, self.known, self.number
        packet, late, o, gap, expected = inside.packet, self.stage.late, dut.o.payload, dut.gap.payload, dut.expected
        was = SimpleNamespace(
            **{name: Signal(name=f"at_{name}") for name in ("begun", "given", "taken_back", "empty", "loaded", "leaps", "leapt")},
            **{name: Signal(NUMBER, name=f"last_{name}") for name in ("expected", "sequence", "floor")},
        )
        unsaid = (w < late.sequence) & ~(w < late.sequence - known.empties_now)
        reached = known.straight & (expected < o.sequence) & ~(expected < o.sequence - known.empties_now)
        m.d.sync += [
            was.begun.eq(1), was.expected.eq(expected), was.sequence.eq(o.sequence), was.loaded.eq(inside.set_number),
            was.given.eq(known.gives), was.empty.eq(inside.whole & unsaid), was.leapt.eq(inside.leap),
            was.leaps.eq(known.valid & o.first & (o.sequence != expected) & ~reached),
            was.floor.eq(Mux(packet.touched, was.floor, expected)),
        ]  # fmt: skip
        gives_up = dut.gap.valid & dut.given_up
        told = gives_up & ~(w < gap.first) & (w < gap.next)
        # The frame was bad, and what was given is taken back.
        back = dut.lost_after_use & ~(w < expected)
        given, gapped, by_packet = (Signal(name=name) for name in ("is_given", "is_gapped", "gapped_by_packet"))
        known.given, known.gapped, known.by_packet = given, gapped, by_packet
        known.back = back
        with m.If(back):
            m.d.sync += given.eq(0)
        with m.If(known.gives):
            m.d.sync += given.eq(1)
        with m.If(told & ~was.loaded):
            m.d.sync += [gapped.eq(1), by_packet.eq(was.leapt)]
        with m.If(packet.end.valid):
            m.d.sync += by_packet.eq(0)
            with m.If(packet.bad & by_packet):
                m.d.sync += gapped.eq(0)
        with m.If(inside.set_number):
            m.d.sync += [given.eq(0), gapped.eq(0), by_packet.eq(0)]
        known.floor = was.floor
        # What a packet gave of itself, in the clock of its end, too.
        by_it = known.by_it = Signal(name="is_given_by_packet")
        gives_it = known.gives & (known.straight | known.pending)
        with m.If(packet.end.valid):
            m.d.sync += by_it.eq(0)
        with m.Elif(gives_it):
            m.d.sync += by_it.eq(1)
        m.d.sync += was.taken_back.eq(packet.bad & (by_it | gives_it))
        m.d.comb += [
            Assert(~was.begun | ~(~(w < was.expected) & (w < expected)) | was.given | was.empty | was.loaded | told),
            Assert(~was.begun | was.loaded | ~(expected < was.floor)),
            Assert(~was.taken_back | ~(w < expected)),
            Assert(~was.leaps | (gives_up & (gap.first == was.expected) & (gap.next == was.sequence))),
            Assert(~dut.gap.valid | ((gap.first == was.expected) & (gap.first < gap.next))),
            Assert(~gives_up | was.loaded | ~(expected < gap.next)),
            Assert(~was.loaded | dut.given_up),
            Assert(~(known.gives & given)),
            Assert(~given | (w < expected) | back),
            Assert(~(known.valid & (o.sequence == w)) | ~gapped),
        ]

    def _content(self, m: Module) -> None:
        """The second statement."""
        dut, known, late, o = self.dut, self.known, self.stage.late, self.dut.o.payload
        same = [getattr(o, name) == getattr(late, name) for name in ("first", "last", "sequence", "count")]
        same.append(Value.cast(o.data) == Value.cast(late.data))
        mine, last_row = known.drained & (o.sequence == self.number), known.size // dut.lanes
        known.last_row = last_row
        m.d.comb += [
            Assert(~known.straight | (self.stage.late_valid & Cat(same).all())),
            Assert(~self.stage.marked | (dut.o.valid & ~known.drained & Cat(same).all())),
            Assert(~dut.mark_out.any() | self.stage.marked),
            Assert(~mine | known.kept),
            Assert(~(mine & (known.drained_rows == self.row)) | (Value.cast(o.data) == known.data)),
            Assert(~mine | (o.first == (known.drained_rows == 0)) & (o.last == (known.drained_rows == last_row))),
            Assert(~mine | (o.count == Mux(o.last, known.size % dut.lanes + 1, dut.lanes))),
            Assert(~known.open | ~known.drained),
            Assert(~known.straight | (o.first == ~known.open)),
        ]

    def _fate(self, m: Module) -> None:
        """The third statement, and the fourth."""
        inside, known, valid, late, w = self.inside, self.known, self.stage.late_valid, self.stage.late, self.number
        opens = valid & late.first & (late.count != 0)
        fates = Cat(inside.heard_before, inside.begins, inside.keep, inside.far & ~inside.begins)
        # One that neither passes nor was heard before; whether it was called lost.
        under, under_now, lost, lost_now = (Signal(name=name) for name in ("under", "under_now", "was_lost", "was_lost_now"))
        known.under, known.lost = under, lost
        m.d.comb += [
            under_now.eq(valid & Mux(late.first, opens & ~inside.heard_before & ~known.straight, under)),
            lost_now.eq(inside.beyond | (~late.first & lost)),
        ]
        with m.If(valid):
            m.d.sync += [under.eq(under_now & ~late.last), lost.eq(lost_now & ~late.last)]
        with m.If(inside.packet.end.valid):
            m.d.sync += [under.eq(0), lost.eq(0)]
        m.d.comb += [
            Assert(~opens | (fates.any() & ((fates & (fates - 1)) == 0))),
            Assert(~(opens & inside.heard_before & (late.sequence == w)) | known.kept | (w < self.dut.expected)),
            Assert(~(valid & ~late.first & lost & inside.beyond)),
            Assert(~(under_now & late.last) | (inside.kept ^ lost_now)),
            Assert(~known.kept | self._span(w)),
            Assert(~self._span(w) | (inside.held.bit_select(self.slot, 1) == known.kept)),
        ]

    def _stand_input(self, m: Module) -> None:
        way, was, half = self.input, self.was, self.half
        m.d.comb += [
            Assert(~half | was.mark.any() | way.mid),
            Assert(~way.mid | (half & (way.num == self.its))),
            Assert(~way.mid | (way.begun & (way.behind == (way.num + 1)[:NUMBER]))),
            Assert(~way.begun | (was.busy & ~was.end & ~was.mark.any() & (was.age == APART))),
            Assert(~way.tailed | (way.begun & ~way.mid)),
            Assert(~was.mark.any() | (was.busy & ~was.end & was.asks & ~self.dut.draining)),
            Assert((was.age != 0) & (was.age <= APART)),
            Assert(~was.end | (was.age == 1)),
        ]

    def _stand_way(self, m: Module) -> None:
        """What is known at the input arrives where it is judged, and before its packet's end."""
        dut, way, packet, coming = self.dut, self.judged, self.inside.packet, self.stage
        late, at_end, was = coming.late, self.input, self.was
        ends = Cat(each.valid for each in packet.ends)
        stages = [(coming.late_valid, late)]
        if dut.width == 8:
            marked = self.seen["_look"].mark.any()
            stages.append((coming.pre_valid & ~marked, coming.pre))
            m.d.comb += Assert(~(coming.pre_valid & marked) | was.mark.any())
        state = way.all()
        for place, (valid, beat) in enumerate(stages):
            begun, mid, tailed, num, behind = state
            m.d.comb += [
                Assert(~valid | ((beat.first == ~mid) & ~tailed & ~beat.sequence.all())),
                Assert(~(valid & ~beat.first) | (beat.sequence == num)),
                Assert(~(valid & beat.first & begun) | (beat.sequence == (behind + beat.empties)[:NUMBER])),
                Assert(~(valid & beat.first) | ~(beat.sequence < beat.empties)),
                Assert(~valid | Mux(beat.last, beat.count <= dut.lanes, beat.count == dut.lanes)),
                Assert(~(valid & (beat.count == 0)) | (beat.first & beat.last & (beat.empties != 0))),
                # Its packet's end is behind it.
                Assert(~valid | ~ends[dut.latency - place :].any()),
            ]
            state = moved(state, valid, beat)
        begun, mid, tailed, num, behind = state
        m.d.comb += [
            Assert(~coming.late_valid | (coming.behind == (late.sequence + (late.count != 0))[:NUMBER])),
            Assert((begun & ~ends.any()) == at_end.begun),
            Assert(~at_end.begun | ((mid == at_end.mid) & (tailed == at_end.tailed) & (behind == at_end.behind))),
            Assert(~at_end.mid | (num == at_end.num)),
            Assert(~way.mid | (way.begun & (way.behind == (way.num + 1)[:NUMBER]) & ~way.num.all())),
            Assert(~way.mid | ~(way.num < self.known.empties)),
            Assert(~way.tailed | (way.begun & ~way.mid)),
            Assert(ends[0] == was.end),
            Assert(~coming.marked | was.mark.any()),
        ]
        for place, each in enumerate(packet.ends):
            m.d.comb += [
                Assert(~each.valid | (was.age <= place + 1)),
                Assert(~(each.valid & each.verdict.told) | ((was.age == place + 1) & was.told)),
                Assert(~(each.valid & (each.verdict.told | each.verdict.judged)) | each.verdict.ok),
                Assert(~(each.valid & tailed & ~ends[place + 1 :].any()) | each.verdict.ok),
            ]
        heard = self.seen["_hear"]
        m.d.comb += [
            Assert(~(heard.heard_valid[1] & heard.higher & self.seen["_watch"].still[0]) | (dut.highest < heard.heard)),
            Assert(~heard.heard_valid[0] | ((was.age == APART) & ~packet.end.valid)
                   | ((was.age == len(ends) + 1) & ~packet.end.valid)),
        ]  # fmt: skip

    def _stand_slots(self, m: Module) -> None:
        """What is held lies in the span, also as the number falls back; where the hole ends; what the memories hold."""
        inside, known, way, watch, expected = self.inside, self.known, self.judged, self.seen["_watch"], self.dut.expected
        packet, held, pending, late, ring = inside.packet, inside.held, inside.pending, self.stage.late, self.dut.ring_messages
        bits = self.dut._bits
        low, found, reach = expected[:bits], watch.found, watch.reach
        turned, older = (Signal(ring, name=name) for name in ("held_from_expected", "older_from_expected"))
        m.d.comb += [turned.eq(Cat(held, held) >> low), older.eq(Cat(held & ~pending, held & ~pending) >> low)]
        for place in range(ring):
            m.d.comb += [
                Assert(~turned[place] | ~(place < reach)),
                Assert(~turned[place] | (expected < (1 << NUMBER) - 1 - place)),
                Assert(~(older[place] & packet.touched) | ((expected - packet.base)[:NUMBER] < ring - place)),
            ]
        opens, count, number = self.stage.late_valid & late.first, late.count != 0, late.sequence
        at_slot = held.bit_select(number[:bits], 1)
        near, seen = self.stage.near, self.stage.seen
        m.d.comb += [
            Assert(reach <= ring),
            Assert(~found | ((reach < ring) & turned.bit_select(reach[:bits], 1))),
            Assert((pending & ~held) == 0),
            Assert(~held.any() | inside.any_held),
            Assert(~known.pending | known.kept),
            Assert(~known.kept | (pending.bit_select(self.slot, 1) == known.pending)),
            # A message that opens: what was looked up of it is still so.
            Assert(~(opens & count & near & ~seen) | (self._span(number) & ~(number < expected) & ~at_slot)),
            Assert(~(opens & count & near & seen) | at_slot | (number < expected)),
            Assert(~(opens & ~self.stage.after) | (number < expected)),
            Assert(~(opens & inside.begins & ~inside.leap) | ~turned[0] & ~(number < expected)
                   & ~(expected < number - late.empties)),
            Assert(~(opens & inside.begins) | (expected == number) | ~held.any()),
            Assert(~inside.leap | (expected < number) & ~held.any()),
            # One under way.
            Assert(~inside.passing | (way.mid & ~inside.keeping & ~inside.follows & packet.touched & ~turned[0])),
            Assert(~inside.passing | ~(way.num < expected) & ~(expected < way.num - known.empties)),
            Assert(~inside.passing | (expected == way.num) | ~held.any()),
            Assert(inside.passing == known.open),
            Assert(~inside.keeping | (way.mid & ~inside.follows & self._span(way.num) & ~(way.num < expected))),
            Assert(~inside.keeping | ~held.bit_select(way.num[:bits], 1)),
            Assert(~inside.keeping | (known.under & ~known.lost)),
            Assert(~inside.follows | ((expected == way.behind) & ~way.mid)),
            Assert(~way.mid | ((known.rows == inside.row) & (known.rows != 0))),
            Assert(known.rows <= ROWS),
            Assert(~known.under | (way.mid & (inside.keeping | known.lost))),
            Assert(~known.lost | known.under),
            # The memories.
            Assert(~(inside.keeping & (way.num == self.number) & (self.row < known.rows)) | (inside.ring.what == known.coming)),
            Assert(~known.kept | (inside.sizes.what == known.size)),
            Assert(~known.kept | (known.last_row < self.row) | (inside.ring.what == known.data)),
        ]  # fmt: skip

    def _stand_drain(self, m: Module) -> None:
        """Three beats in a row, of messages in a row, all of them held."""
        known, drain, lanes, bits = self.known, self.drain, self.dut.lanes, self.dut._bits
        low, mine = self.dut.expected[:bits], known.kept

        def later(signal: Signal, name: str) -> Signal:
            behind = Signal.like(signal, name=name)
            m.d.sync += behind.eq(signal)
            return behind

        slots = [drain.slot, *(Signal(bits, name=f"slot{stage}") for stage in (1, 2))]
        sizes = [drain.size, *(Signal.like(drain.size, name=f"size{stage}") for stage in (1, 2))]
        row = later(drain.row, "row1")
        m.d.sync += [signal.eq(before) for stages in (slots, sizes) for before, signal in zip(stages, stages[1:], strict=False)]
        beats, rows = [drain.asked, drain.fetched, drain.given], [drain.row, row, known.drained_rows]
        ahead: Value = Value.cast(0)
        after = known.drained_rows
        for stage in (2, 1, 0):
            beat, slot, size, here = beats[stage], slots[stage], sizes[stage], rows[stage]
            valid, last_row = beat.valid, size // lanes
            m.d.comb += [
                Assert(~valid | ((slot == (low + ahead)[:bits]) & self.inside.held.bit_select(slot, 1))),
                Assert(~valid | ((here == after) & ~(last_row < here))),
                Assert(~valid | ((beat.first == (here == 0)) & (beat.last == (here == last_row)))),
                Assert(~valid | (beat.count == Mux(beat.last, size % lanes + 1, lanes))),
                Assert(~(valid & mine & (slot == self.slot)) | (size == known.size)),
            ]
            if stage:
                m.d.comb += Assert(~(valid & ~beat.last) | (beats[stage - 1].valid & (sizes[stage - 1] == size)))
                read = drain.out if stage == 2 else drain.read.data
                m.d.comb += Assert(~(valid & mine & (slot == self.slot) & (here == self.row)) | (read == known.data))
            ahead = ahead + (valid & beat.last)
            after = Mux(valid, Mux(beat.last, 0, here + 1), after)
        m.d.comb += Assert((known.drained_rows == 0) | known.drained)

    def _stand_packet(self, m: Module) -> None:
        """What a packet has done is behind the first number it gave; nothing of it is left when it is over."""
        inside, known, way, w, expected = self.inside, self.known, self.judged, self.number, self.dut.expected
        packet, low = inside.packet, expected[: self.dut._bits]
        left = Cat(inside.passing, inside.keeping, inside.follows, packet.touched, packet.used, packet.moved, packet.fresh)
        through = (known.drained_rows != 0) & inside.pending.bit_select(low, 1) & (packet.base == expected)
        m.d.comb += [
            Assert(way.begun | self.stage.late_valid | ~(left.any() | inside.pending.any())),
            Assert(~packet.touched | (~(expected < packet.base) & (known.floor == packet.base))),
            Assert(packet.touched | ~(packet.used | packet.moved)),
            Assert(~packet.touched | packet.used | inside.passing | way.tailed | through),
            Assert(~(packet.touched & ~packet.used & ~way.tailed & known.given) | (w < packet.base) | known.back),
            Assert(~known.by_it | (packet.used & ~(w < packet.base) & way.begun)),
            Assert(~known.gapped | (w < expected)),
            Assert(~known.by_packet | (known.gapped & way.begun)),
            Assert(~(known.gapped & packet.touched) | (w < packet.base) | known.by_packet),
        ]

    def _tell(self, m: Module, story: Story) -> None:
        clock = Signal(range(story.last + 2))
        m.d.sync += clock.eq(clock + 1)

        def at(clocks: Any, before: int) -> Value:
            return Cat(clock == each - before for each in clocks).any()

        latency = self.dut.latency
        m.d.comb += [
            Assume(self.message.valid == at([each for beats in story.messages for each in beats], latency)),
            Assume(self.message.payload.first == at([beats[0] for beats in story.messages], latency)),
            Assume(self.message.payload.last == at([beats[-1] for beats in story.messages], latency)),
            *(
                Assume(~at(beats, latency) | (self.message.payload.sequence == number))
                for beats, number in zip(story.messages, story.numbers, strict=False)
            ),
            Assume(self.packet.valid == at(story.ends, latency + 1)),
            Assume(self.load.valid == at(story.loads, 0)),
            Assume(~(self.mark.any() | self.asks | self.recover) & (self.gap_wait == 0)),
            Cover(self.known.gives & self.known.drained),
        ]


def run(
    width: int, *, ring: int = RING, change: Callable[[str], str] = str, story: Story | None = None, mode: str = "prove"
) -> str:
    """What is said of the component with narrow numbers and few rows."""

    def narrow(source: str) -> str:
        source = change(source).replace("SLOT_BYTES = 64", f"SLOT_BYTES = {ROWS * message_width(width)}")
        return re.sub(r"\b6([45])\b", lambda found: str(NUMBER + (found[1] == "5")), source)

    def beat(layout: Any) -> Any:
        narrower = {"sequence": NUMBER, "empties": EMPTIES}
        return lambda width: data.StructLayout({name: narrower.get(name, shape) for name, shape in layout(width).members.items()})

    resequencer = rewritten(Resequencer, narrow)
    names = {"numbered_beat": beat(numbered_beat), "message_beat": beat(message_beat)}
    names |= {"PACKET": data.StructLayout(dict(PACKET.members) | {"next": NUMBER}), "memory": SimpleNamespace(Memory=Watched)}
    with mock.patch.dict(resequencer.elaborate.__globals__, names):
        harness = Harness(resequencer, width, ring, story)
        return judge(harness, depth=DEPTH if story is None else story.last + 1, mode=mode, learns=story is not None)


both = pytest.mark.parametrize("width", [1, 8])


@pytest.mark.soak
@both
def test_every_number_is_given_once_or_told(width: int, soak: bool) -> None:
    """In a soak of a ring in which the search for the end of a hole takes longer than all else."""
    assert run(width, ring=SOAK_RING if soak else RING) == "PASS"


HELD = Story(last=17, messages=((3,),), ends=(5,))
FILLED = Story(last=15, messages=((2,), (7,), (13,)), numbers=(1, 0, 1), ends=(4, 9, 16))
LATE = Story(last=18, messages=((2,), (7,), (12,)), numbers=(1, 0, 2), ends=(4, 9, 17))
TWO = Story(last=19, messages=((2, 3), (6, 7), (12,)), numbers=(1, 2, 0), ends=(9, 14))
LONG = Story(last=6, messages=((2, 3, 4),))
AGAIN = Story(last=9, messages=((2,), (7,)), ends=(4,))
LOADED = Story(last=8, messages=((2,),), ends=(4,), loads=(5,))


@both
def test_a_message_is_held_and_given(width: int) -> None:
    """The statements are not true for want of messages, and stories can be told."""
    assert run(width, story=FILLED, mode="cover") == "PASS"


@pytest.mark.parametrize(
    ("width", "story", "old", "new"),
    [
        (1, HELD, "kept & ~(reach < place)", "kept & (place < reach)"),
        (8, HELD, "kept & ~(reach < place)", "kept & (place < reach)"),
        (1, FILLED, "known = coming.near & coming.seen", "known = coming.near & coming.seen & ~none"),
        (1, LATE, "packet.bad & packet.touched & (packet.moved | used)", "packet.bad & (packet.moved | used)"),
        (1, LATE, "with m.Elif(ended & ~(packet.bad & given_pending)):", "with m.Elif(ended):"),
        (8, AGAIN, "coming.near.eq(lead[bits:] == 0)", "coming.near.eq(lead[bits + 1 :] == 0)"),
        (8, AGAIN, "(~any_held & (coming.within | follows))", "coming.within | follows"),
        (8, AGAIN, "coming.near & ~known & ~begins & ~none", "coming.near & ~begins & ~none"),
        (8, AGAIN, "Mux(packet.bad, ~pending, ~Const(0, self.ring_messages))", "~Const(0, self.ring_messages)"),
        (8, AGAIN, "self.gap.valid.eq(1), self.gap.payload.first.eq(self.expected)", "self.gap.payload.first.eq(self.expected)"),
        (1, TWO, "read.addr.eq(Cat(row[:row_bits], slot))", "read.addr.eq(Cat(row[:row_bits], low))"),
        (1, LONG, "(late_valid & keep & (row_now == rows))", "0"),
        (1, LOADED, "self.highest.eq(wanted), held.eq(0), pending", "self.highest.eq(wanted), pending"),
    ],
)
@pytest.mark.soak(one_in=3)
def test_the_proof_finds_a_fault(width: int, story: Story, old: str, new: str) -> None:
    def change(source: str) -> str:
        assert source.count(old) == 1
        return source.replace(old, new)

    assert run(width, change=change, story=story, mode="bmc") == "FAIL"
