"""MoldUDP64: packets to numbered messages."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import beat, message_beat
from hdl.net.packet_hold import END
from hdl.spec import moldudp64
from hdl.spec.moldudp64 import BLOCK, HEADER
from hdl.spec.reasons import Drop

GAP = data.StructLayout({"first": 64, "next": 64})
"""Messages `first` to `next` - 1 are missing."""


def message_width(width: int) -> int:
    """Bytes a beat of the message stream where the payload has `width`.

    Messages begin in lane 0 and a beat holds bytes of one message only. Twice the width keeps the message stream from ever
    needing more beats than the payload that carries it: 10 bytes and more of payload for every started 16 bytes of message.
    """
    return 1 if width == 1 else 2 * width


class MoldUdp64Receiver(wiring.Component):
    """Takes packets apart and keeps the count of messages.

    A message is delivered as it arrives when its number is the one expected. What was seen before is skipped. A packet ahead of
    the number expected declares a gap and delivery goes on behind it; a heartbeat or end of session ahead does so when its frame
    was good. When a frame turns out bad, the number expected falls back to what it was before the packet: the messages it brought
    count as missing, and a number damaged on the wire cannot move the count.

    A block that reaches past its packet is never delivered whole (``last`` does not come) and takes no number. Blocks of length 0
    take their number and deliver nothing. Where `width` is 8, a block of 1 to 7 bytes (no ITCH message is so short) ends the
    packet like a block past its end does; where it is 1, it is delivered.

    Parameters
    ----------
    width : int
        Bytes a beat of the payload, 1 or 8.

    Members
    -------
    payload, payload_end : In(...)
        Packets and the verdicts on them, as `FrameFilter.feed` and `feed_end`. A packet begins no earlier than 8 clocks after the
        verdict on the one before.
    session : In(80)
        Session wanted, first character most significant.
    load : In(stream.Signature(64, always_ready=True))
        Sets the number expected, between two packets.
    expected : Out(64)
        Number of the next message.
    message : Out(stream.Signature(message_beat(message_width(width)), always_ready=True))
        Messages. Beats of a message that is cut have no ``last``.
    gap : Out(stream.Signature(GAP, always_ready=True))
        Declared before the first message behind it is given.
    lost_after_use : Out(1)
        Pulse: a frame was bad of which at least one message was delivered whole.
    heartbeat : Out(1)
        Pulse: heartbeat or end of session.
    drop : Out(len(Drop))
        Pulses: MOLD_HEADER, SESSION, BLOCK_LENGTH or DUPLICATE, at most one a packet, given with the verdict and only where that
        is good (a bad frame was counted by `FrameFilter`).

    Latency: `latency` cycles from a payload beat to the message beat that holds its bytes, 0 where ``width`` is 1. Where it is 8
    a last beat can be one cycle later.
    Overload: none; one beat of message waits at most (``width`` 8).
    Source: MoldUDP64 1.00; DESIGN section 4.
    """

    def __init__(self, *, width: int) -> None:
        if width not in (1, 8):
            raise ValueError(f"width: {width} was given, allowed are 1 and 8")
        self.width = width
        super().__init__(
            {
                "payload": In(stream.Signature(beat(width), always_ready=True)),
                "payload_end": In(stream.Signature(END, always_ready=True)),
                "session": In(80),
                "load": In(stream.Signature(64, always_ready=True)),
                "expected": Out(64),
                "message": Out(stream.Signature(message_beat(message_width(width)), always_ready=True)),
                "gap": Out(stream.Signature(GAP, always_ready=True)),
                "lost_after_use": Out(1),
                "heartbeat": Out(1),
                "drop": Out(len(Drop)),
            }
        )

    @property
    def _skew(self) -> int:
        """Clocks by which blocks are read later than the header: its last byte and the first message can share a beat."""
        return 0 if self.width == 1 else 4

    @property
    def latency(self) -> int:
        """Cycles from a message byte on `payload` to the same byte on `message`."""
        return self._skew + (0 if self.width == 1 else 1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.width

        # Header. Bytes are taken where they stand; `index` counts beats.
        given, given_valid = self.payload.payload, self.payload.valid
        index = Signal(range(HEADER.size // width + 2))
        sequence, count = Signal(64), Signal(16)
        session_ok, header_ok = Signal(), Signal()
        here = Mux(given.first, 0, index)
        with m.If(given_valid):
            with m.If(given.first):
                m.d.sync += [index.eq(1), session_ok.eq(1), header_ok.eq(0)]
            with m.Elif(index != HEADER.size // width + 1):
                m.d.sync += index.eq(index + 1)

        def at(offset: int) -> tuple[Value, Value]:
            return given_valid & (here == offset // width), given.data[offset % width]

        for offset in range(HEADER.by_name["session"].size):
            hit, value = at(HEADER.offset("session") + offset)
            with m.If(hit & (value != self.session.word_select(9 - offset, 8))):
                m.d.sync += session_ok.eq(0)
        for field, register in (("sequence_number", sequence), ("message_count", count)):
            size = HEADER.by_name[field].size
            for offset in range(size):
                hit, value = at(HEADER.offset(field) + offset)
                with m.If(hit):
                    m.d.sync += register.word_select(size - 1 - offset, 8).eq(value)
        final = HEADER.size - 1
        complete = at(final)[0] & (given.count > final % width)
        with m.If(complete):
            m.d.sync += header_ok.eq(1)

        # How far behind or ahead the packet is, in two steps of one carry chain each.
        expected = self.expected
        low, difference = Signal(33), Signal(65)
        sequence_high, expected_high = Signal(32), Signal(32)
        m.d.sync += [
            low.eq(expected[:32] - sequence[:32]),
            sequence_high.eq(sequence[32:]),
            expected_high.eq(expected[32:]),
            difference.eq(Cat(low[:32], expected_high - sequence_high - low[32])),
        ]
        behind = ~difference[64]
        decide = Signal(1 if width == 1 else 3)
        m.d.sync += decide.eq(Cat(complete, decide))
        idle_count = (count == moldudp64.HEARTBEAT) | (count == moldudp64.END_OF_SESSION)
        skip, remaining, live = Signal(16), Signal(16), Signal()
        base, decided, ahead = Signal(64), Signal(), Signal()
        m.d.sync += self.gap.valid.eq(0)

        # Blocks, on beats that come `_skew` clocks later.
        line = data.StructLayout({"valid": 1, "beat": beat(width), "end": 1, "ok": 1})
        entry = Signal(line)
        m.d.comb += [
            entry.valid.eq(self.payload.valid),
            entry.beat.eq(given),
            entry.end.eq(self.payload_end.valid),
            entry.ok.eq(self.payload_end.payload.ok),
        ]
        for stage in range(self._skew):
            later = Signal(line, name=f"line{stage}")
            m.d.sync += later.eq(entry)
            entry = later
        valid, now = entry.valid & ~entry.beat.first, entry.beat
        size = Const(1) if width == 1 else now.count
        previous = Signal(8)
        with m.If(entry.valid):
            m.d.sync += previous.eq(now.data[width - 1])
        lengths = Array(Cat(now.data[lane], now.data[lane - 1] if lane else previous) for lane in range(width))
        zero = Array(Value.cast(lengths[lane]) == 0 for lane in range(width))

        # `distance` is what defines everything: from lane 0 to the low byte of the next block's length.
        distance = Signal(18)
        active, opening, over, fits = Signal(), Signal(), Signal(), Signal()
        fresh, used = Signal(), Signal()
        narrow = distance[: max(1, (width - 1).bit_length())]
        # Whether `distance` lies in this beat; at one byte a beat known a clock before, as it is 1 then.
        landed = Signal()
        if width > 1:
            m.d.comb += landed.eq(distance < width)
        empties = []
        empty: Value = valid & landed & live & ~over
        for step in range((width + 1) // 2):
            if width == 1:
                empty = empty & zero[0] & (remaining != 0)
            else:
                lane = distance + 2 * step
                inside = (lane < width) & (lane < size)
                empty = empty & inside & zero[(narrow + 2 * step)[: len(narrow)]] & (remaining > step)
            empties.append(empty)
        skipped = sum(empties, Const(0, 1))
        # At one byte a beat a length can only end where `distance` is 0: no adder stands behind the test for it.
        place = Signal(18)
        m.d.comb += place.eq(Mux(skipped[0], BLOCK.size, distance) if width == 1 else distance + (skipped << 1))
        length = Signal(16)
        m.d.comb += length.eq(lengths[place[: len(narrow)]] if width > 1 else lengths[0])
        # At one byte a beat a block is either empty or read, so nothing was passed over before one that is read.
        more, fresh_from = (remaining != 0, skip == 0) if width == 1 else (remaining > skipped, skip <= skipped)
        headed, short = Signal(), Signal()
        near = landed & ~skipped[0] if width == 1 else place < width
        skipping, reading = Signal(18), Signal(18)
        m.d.comb += [
            headed.eq(
                valid & live & ~over & near & (1 if width == 1 else place < size) & more & (length != 0)
            ),
            short.eq(headed & (length < width)),
            # Both next distances, so that the choice comes last. A length is only read in lane `narrow` of this beat.
            skipping.eq(Mux(skipped[0], BLOCK.size - 1, distance - 1) if width == 1 else place - width),
            reading.eq(length + (BLOCK.size - width) + (0 if width == 1 else place[: len(narrow)])),
        ]
        begins = headed & ~short & fresh_from
        in_reach = distance == BLOCK.size if width == 1 else (distance >= BLOCK.size) & (distance <= size + 1)
        ends = valid & active & in_reach
        counted = Mux(fresh_from, skipped, 0) if width == 1 else Mux(skip >= skipped, 0, skipped - skip[:4])
        # At one byte a beat the next block begins two clocks later at the earliest, so the long counts may come a clock late.
        step, taken = Signal(range(width + 1)), Signal(range(width + 1))
        counting = entry.valid & ~now.first
        m.d["sync" if width == 1 else "comb"] += [
            step.eq(Mux(counting, ends + counted, 0)),
            taken.eq(Mux(counting, skipped + headed, 0)),
        ]
        m.d.sync += [
            expected.eq(expected + step),
            remaining.eq(remaining - taken),
            skip.eq(Mux(skip > taken, skip - taken, 0)),
        ]
        if width == 1:
            with m.If(entry.valid):
                m.d.sync += landed.eq(~now.first & ~headed & ~skipped[0] & (distance == 1))
        with m.If(entry.valid):
            with m.If(now.first):
                m.d.sync += [
                    distance.eq(HEADER.size + BLOCK.size - 1 - width),
                    active.eq(0), over.eq(0), fits.eq(0), fresh.eq(0), used.eq(0),
                ]  # fmt: skip
            with m.Else():
                m.d.sync += [
                    distance.eq(Mux(headed, reading, skipping)),
                    over.eq(over | short | (~headed & near & ~now.last)),
                    fits.eq(now.last & ~over & ~headed & (place == size + BLOCK.size - 1)),
                    fresh.eq(fresh | begins | (counted != 0)),
                    used.eq(used | ends),
                ]
                with m.If(ends | now.last):
                    m.d.sync += active.eq(0)
                with m.If(begins & ~now.last):
                    m.d.sync += active.eq(1)

        # A new packet's place in the count, before its first block is read.
        with m.If(entry.valid & now.first):
            m.d.sync += [live.eq(0), decided.eq(0), ahead.eq(0)]
        with m.If(decide[-1]):
            m.d.sync += [
                live.eq(session_ok & ~idle_count),
                remaining.eq(Mux(idle_count, 0, count)),
                skip.eq(Mux(~behind, 0, Mux(difference[16:64].any(), 0xFFFF, difference[:16]))),
                base.eq(expected),
                decided.eq(1),
                ahead.eq(~behind),
            ]
            with m.If(session_ok & ~idle_count & ~behind):
                m.d.sync += [
                    self.gap.valid.eq(1),
                    self.gap.payload.first.eq(expected),
                    self.gap.payload.next.eq(sequence),
                    expected.eq(sequence),
                ]

        # The verdict, two clocks late so that a header that ends the packet is settled.
        busy, wanted, wanted_valid = Signal(), Signal(64), Signal()
        late_end, late_ok = Signal(2), Signal(2)
        m.d.sync += [
            late_end.eq(Cat(entry.end, late_end)),
            late_ok.eq(Cat(entry.ok, late_ok)),
            self.drop.eq(0),
            self.heartbeat.eq(0),
            self.lost_after_use.eq(0),
        ]
        with m.If(late_end[-1]):
            m.d.sync += busy.eq(0)
            with m.If(~late_ok[-1]):
                m.d.sync += self.lost_after_use.eq(used)
                with m.If(decided):
                    m.d.sync += expected.eq(base)
            with m.Elif(~header_ok):
                m.d.sync += self.drop[Drop.MOLD_HEADER].eq(1)
            with m.Elif(~session_ok):
                m.d.sync += self.drop[Drop.SESSION].eq(1)
            with m.Elif(~fits | (remaining != 0)):
                m.d.sync += self.drop[Drop.BLOCK_LENGTH].eq(1)
            with m.Elif(idle_count):
                m.d.sync += self.heartbeat.eq(1)
                with m.If(ahead):
                    m.d.sync += [
                        self.gap.valid.eq(1),
                        self.gap.payload.first.eq(expected),
                        self.gap.payload.next.eq(sequence),
                        expected.eq(sequence),
                    ]
            with m.Elif(~fresh):
                m.d.sync += self.drop[Drop.DUPLICATE].eq(1)
        with m.If(self.payload.valid):
            m.d.sync += busy.eq(1)
        with m.If(self.load.valid):
            m.d.sync += [wanted.eq(self.load.payload), wanted_valid.eq(1)]
        with m.Elif(wanted_valid & ~busy & ~self.payload.valid):
            m.d.sync += [expected.eq(wanted), wanted_valid.eq(0)]

        if width == 1:
            with m.If(begins):
                m.d.sync += opening.eq(1)
            with m.If(self.message.valid):
                m.d.sync += opening.eq(0)
            m.d.comb += [
                self.message.valid.eq(valid & active & distance[1:].any()),  # BLOCK.size or more
                self.message.payload.data.eq(now.data),
                self.message.payload.count.eq(1),
                self.message.payload.first.eq(opening),
                self.message.payload.last.eq(distance == BLOCK.size),
                self.message.payload.sequence.eq(expected),
            ]
        else:
            self._gather(m, valid, now, active, begins, ends, distance, place)
        return m

    def _gather(
        self,
        m: Module,
        valid: Value,
        now: data.View,
        active: Value,
        begins: Value,
        ends: Value,
        distance: Value,
        place: Value,
    ) -> None:
        """Bytes of one message from beat to beat, into beats of twice the width.

        When a beat of the payload fills one beat of the message and ends the message in a second, that second one waits. It never
        waits for another: to get there a message must have come for two beats without giving any itself.
        """
        width = self.width
        layout = message_beat(2 * width)
        waiting_valid, waiting = Signal(), Signal(layout)
        kept, fill, opening = Signal(8 * 2 * width), Signal(range(2 * width)), Signal()
        tail = Signal(range(width + 1))
        m.d.comb += tail.eq(Mux(distance > width, width, distance - 1))
        window, total = Signal(8 * 3 * width), Signal(range(3 * width))
        m.d.comb += [window.eq(kept | (Value.cast(now.data) << (fill << 3))), total.eq(fill + tail)]
        full, split = total >= 2 * width, total > 2 * width
        one, two = Signal(layout), Signal(layout)
        one_valid = valid & active & (ends | full)
        two_valid = valid & active & ends & split
        m.d.comb += [
            Value.cast(one.data).eq(window),
            one.count.eq(Mux(full, 2 * width, total)),
            one.first.eq(opening),
            one.last.eq(ends & ~split),
            one.sequence.eq(self.expected),
            Value.cast(two.data).eq(window[8 * 2 * width :]),
            two.count.eq(total - 2 * width),
            two.last.eq(1),
            two.sequence.eq(self.expected),
        ]
        with m.If(valid & active):
            with m.If(full):
                m.d.sync += [kept.eq(window[8 * 2 * width :]), fill.eq(total - 2 * width)]
            with m.Else():
                m.d.sync += [kept.eq(window), fill.eq(total)]
        with m.If(one_valid):
            m.d.sync += opening.eq(0)
        with m.If(begins):
            m.d.sync += [
                kept.eq(Value.cast(now.data) >> ((place[:3] + 1) << 3)),
                fill.eq(width - 1 - place[:3]),
                opening.eq(1),
            ]
        m.d.sync += [
            self.message.valid.eq(waiting_valid | one_valid),
            self.message.payload.eq(Mux(waiting_valid, waiting, one)),
            waiting_valid.eq(Mux(waiting_valid, one_valid, two_valid)),
            waiting.eq(Mux(waiting_valid, one, two)),
        ]
