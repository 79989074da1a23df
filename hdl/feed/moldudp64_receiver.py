"""MoldUDP64: packets to numbered messages."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import feed_beat, message_beat
from hdl.net.packet_hold import END
from hdl.spec import moldudp64
from hdl.spec.moldudp64 import BLOCK, HEADER
from hdl.spec.reasons import Drop

PACKET = data.StructLayout({"ok": 1, "told": 1, "judged": 1, "next": 64})
"""What the end of a packet tells. ``ok``: its frame was good. ``told``: it was, and ``next`` is the number behind its last
message. ``judged``: it held messages and nothing was wrong with it."""


def message_width(width: int) -> int:
    """Bytes a beat of the message stream where the payload has `width`.

    Messages begin in lane 0 and a beat holds bytes of one message only. Twice the width keeps the message stream from ever
    needing more beats than the payload that carries it: 10 bytes and more of payload for every started 16 bytes of message.
    """
    return 1 if width == 1 else 2 * width


def numbered_beat(width: int) -> data.StructLayout:
    """A beat of a message before it is known whether its number is wanted: ``empties`` messages without bytes come right before
    it. With ``count`` 0 there are only those: ``sequence`` is then the number behind them."""
    return data.StructLayout(dict(message_beat(message_width(width)).members) | {"empties": 16})


class _State:
    """What is known of the packet that passes.

    ``session_ok``, ``sequence``, ``count``: its header. ``decide``: a pulse, in its last bit when they are settled. ``idle``:
    it has no blocks; ``known``: session and idle, once ``decided``, until the verdict: the next header may have begun by then.
    ``number``: the next message's, ``run``: messages without bytes right before it. ``live``: blocks are read, of which
    ``remaining`` are left (``more``, ``unread``: not 0). ``active``: a message is being given. ``over``: no further block is
    read. ``fits``: blocks and packet ended together. ``tail``: a pulse, what is left of ``run`` is to be told.
    """

    def __init__(self, skew: int) -> None:
        self.sequence, self.count = Signal(64), Signal(16)
        self.session_ok = Signal()
        self.decide = Signal(1 if skew == 0 else 3)
        self.idle = (self.count == moldudp64.HEARTBEAT) | (self.count == moldudp64.END_OF_SESSION)
        self.known, self.number, self.run, self.unread = Signal(2), Signal(64), Signal(16), Signal()
        self.live, self.decided = Signal(), Signal()
        self.remaining, self.more = Signal(16), Signal()
        self.active, self.over, self.fits, self.tail = Signal(), Signal(), Signal(), Signal()

    @property
    def at_first(self) -> tuple[Signal, ...]:
        """What a packet begins with at 0."""
        return self.live, self.decided, self.active, self.over, self.fits, self.run


class MoldUdp64Receiver(wiring.Component):
    """Takes packets apart and numbers their messages.

    Every message of a packet is given as it arrives with its number, the header's and what follows from it; which of them are
    wanted is `Resequencer`'s to say. The end of the packet tells whether it can be believed.

    A block that reaches past its packet is never delivered whole (``last`` does not come) and takes no number. Blocks of length 0
    take their number; they come as ``empties`` of the message behind them, or by themselves before the end of a good packet.
    Where `width` is 8, a block of 1 to 7 bytes (no ITCH message is so short) ends the packet like a block past its end does;
    where it is 1, it is delivered.

    Parameters
    ----------
    width : int
        Bytes a beat of the payload, 1 or 8.

    Members
    -------
    payload, payload_end : In(...)
        Packets and the verdicts on them, as `FrameFilter.feed` and `feed_end`. A packet begins no earlier than 4 clocks after the
        verdict on the one before.
    session : In(80)
        Session wanted, first character most significant.
    message : Out(stream.Signature(numbered_beat(width), always_ready=True))
        Messages. Beats of a message that is cut have no ``last``.
    coming : Out(64)
        Number of the message that is given or comes next; where ``width`` is 1, there one clock before its first beat at the
        latest.
    line : Out(1)
        Line the packet came on whose messages are given.
    busy : Out(1)
        From the clock of the first beat of a packet's first message, or before it, until the packet's end.
    packet : Out(stream.Signature(PACKET, always_ready=True))
        End of a packet, behind its last message.
    heartbeat : Out(1)
        Pulse: heartbeat or end of session.
    drop : Out(len(Drop))
        Pulses: MOLD_HEADER, SESSION or BLOCK_LENGTH, at most one a packet, given with `packet` and only where that is good (a bad
        frame was counted by `FrameFilter`).

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
                "payload": In(stream.Signature(feed_beat(width), always_ready=True)),
                "payload_end": In(stream.Signature(END, always_ready=True)),
                "session": In(80),
                "message": Out(stream.Signature(numbered_beat(width), always_ready=True)),
                "coming": Out(64),
                "line": Out(1),
                "busy": Out(1),
                "packet": Out(stream.Signature(PACKET, always_ready=True)),
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

    @property
    def verdict(self) -> int:
        """Cycles from `payload_end` to `packet`."""
        return self._skew + 3

    def elaborate(self, platform: object) -> Module:
        m = Module()
        state = _State(self._skew)
        self._header(m, state)
        entry = self._late(m)
        if self.width == 1:
            self._bytewise(m, state, entry)
        else:
            self._wide(m, state, entry)
        self._begin(m, state, entry)
        self._verdict(m, state, entry)
        m.d.comb += self.coming.eq(state.number)
        with m.If(entry.valid & entry.beat.first):
            m.d.sync += self.line.eq(entry.beat.line)
        return m

    def _header(self, m: Module, state: _State) -> None:
        """Bytes of the header are taken where they stand; `index` counts beats."""
        width = self.width
        given, given_valid = self.payload.payload, self.payload.valid
        index = Signal(range(HEADER.size // width + 2))
        here = Mux(given.first, 0, index)
        with m.If(given_valid):
            with m.If(given.first):
                m.d.sync += [index.eq(1), state.session_ok.eq(1)]
            with m.Elif(index != HEADER.size // width + 1):
                m.d.sync += index.eq(index + 1)

        def at(offset: int) -> tuple[Value, Value]:
            return given_valid & (here == offset // width), given.data[offset % width]

        for offset in range(HEADER.by_name["session"].size):
            hit, value = at(HEADER.offset("session") + offset)
            with m.If(hit & (value != self.session.word_select(9 - offset, 8))):
                m.d.sync += state.session_ok.eq(0)
        for field, register in (("sequence_number", state.sequence), ("message_count", state.count)):
            size = HEADER.by_name[field].size
            for offset in range(size):
                hit, value = at(HEADER.offset(field) + offset)
                with m.If(hit):
                    m.d.sync += register.word_select(size - 1 - offset, 8).eq(value)
        final = HEADER.size - 1
        complete = at(final)[0] & (given.count > final % width)
        m.d.sync += state.decide.eq(Cat(complete, state.decide))

    def _late(self, m: Module) -> data.View:
        """What comes in, `_skew` clocks later: blocks are read from it."""
        line = data.StructLayout({"valid": 1, "beat": feed_beat(self.width), "end": 1, "ok": 1})
        entry = Signal(line)
        m.d.comb += [
            entry.valid.eq(self.payload.valid),
            entry.beat.eq(self.payload.payload),
            entry.end.eq(self.payload_end.valid),
            entry.ok.eq(self.payload_end.payload.ok),
        ]
        for stage in range(self._skew):
            later = Signal(line, name=f"line{stage}")
            m.d.sync += later.eq(entry)
            entry = later
        return entry

    def _bytewise(self, m: Module, state: _State, entry: data.View) -> None:
        """Blocks, one byte a beat. What a byte means is known before it comes: each test of `distance` is a register."""
        valid, now = entry.valid & ~entry.beat.first, entry.beat
        previous = Signal(8)
        with m.If(entry.valid):
            m.d.sync += previous.eq(now.data[0])
        length = Cat(now.data[0], previous)

        # From this byte to the low byte of the next block's length.
        distance = Signal(18)
        at_length, at_end, opening = Signal(), Signal(), Signal()
        due = at_length & state.live & ~state.over & state.more
        headed, empty = valid & due & (length != 0), valid & due & (length == 0)
        ends = valid & state.active & at_end
        with m.If(entry.valid):
            with m.If(now.first):
                m.d.sync += distance.eq(HEADER.size + BLOCK.size - 2)
            with m.Elif(headed):
                m.d.sync += distance.eq(length + (BLOCK.size - 1))
            with m.Else():
                m.d.sync += distance.eq(Mux(empty, BLOCK.size - 1, distance - 1))
            m.d.sync += [
                at_length.eq(~now.first & ~headed & ~empty & (distance == 1)),
                at_end.eq(~now.first & Mux(headed, length == 1, ~empty & (distance == BLOCK.size + 1))),
            ]
        with m.If(valid):
            m.d.sync += [
                state.over.eq(state.over | (at_length & ~due & ~now.last)),
                state.fits.eq(now.last & ~state.over & (at_end | empty)),
            ]
            with m.If(ends | now.last):
                m.d.sync += state.active.eq(0)
            with m.If(headed & ~now.last):
                m.d.sync += state.active.eq(1)

        # The next length ends two clocks later at the earliest, so the long counts may come a clock late.
        given, passed, taken = Signal(), Signal(), Signal()
        m.d.sync += [given.eq(ends), passed.eq(empty), taken.eq(headed | empty)]
        with m.If(given | passed):
            m.d.sync += [state.number.eq(state.number + 1), state.run.eq(Mux(given, 0, state.run + 1))]
        with m.If(taken):
            m.d.sync += [state.remaining.eq(state.remaining - 1), state.more.eq(state.remaining != 1)]

        with m.If(headed):
            m.d.sync += opening.eq(1)
        with m.If(self.message.valid):
            m.d.sync += opening.eq(0)
        out = self.message.payload
        m.d.comb += [
            self.message.valid.eq((valid & state.active) | state.tail),
            out.data.eq(now.data),
            out.count.eq(~state.tail),
            out.first.eq(opening | state.tail),
            out.last.eq(at_end | state.tail),
            out.sequence.eq(state.number),
            out.empties.eq(state.run),
        ]

    def _wide(self, m: Module, state: _State, entry: data.View) -> None:
        """Blocks, several bytes a beat."""
        width = self.width
        valid, now, size = entry.valid & ~entry.beat.first, entry.beat, entry.beat.count
        previous = Signal(8)
        with m.If(entry.valid):
            m.d.sync += previous.eq(now.data[width - 1])
        lengths = Array(Cat(now.data[lane], now.data[lane - 1] if lane else previous) for lane in range(width))
        zero = Array(Value.cast(lengths[lane]) == 0 for lane in range(width))

        # `distance` is what defines everything: from lane 0 to the low byte of the next block's length.
        distance = Signal(18)
        remaining, over = state.remaining, state.over
        lane_bits = (width - 1).bit_length()
        empties = []
        empty: Value = valid & (distance < width) & state.live & ~over
        for step in range((width + 1) // 2):
            lane = distance + 2 * step
            inside = (lane < width) & (lane < size)
            empty = empty & inside & zero[(distance[:lane_bits] + 2 * step)[:lane_bits]] & (remaining > step)
            empties.append(empty)
        skipped = sum(empties, Const(0, 1))
        place = Signal(18)
        length = Signal(16)
        headed, short = Signal(), Signal()
        near = place < width
        m.d.comb += [
            place.eq(distance + (skipped << 1)),
            length.eq(lengths[place[:lane_bits]]),
            headed.eq(valid & state.live & ~over & near & (place < size) & (remaining > skipped) & (length != 0)),
            short.eq(headed & (length < width)),
        ]
        begins = headed & ~short
        ends = valid & state.active & (distance >= BLOCK.size) & (distance <= size + 1)
        with m.If(entry.valid & now.first):
            m.d.sync += distance.eq(HEADER.size + BLOCK.size - 1 - width)
        with m.If(valid):
            # Both next distances stand before the choice between them.
            reading = length + (BLOCK.size - width) + place[:lane_bits]
            m.d.sync += [
                distance.eq(Mux(headed, reading, place - width)),
                over.eq(over | short | (~headed & near & ~now.last)),
                state.fits.eq(now.last & ~over & ~headed & (place == size + BLOCK.size - 1)),
                remaining.eq(remaining - skipped - headed),
                state.number.eq(state.number + ends + skipped),
                state.run.eq(Mux(begins, 0, state.run + skipped)),
            ]
            with m.If(ends | now.last):
                m.d.sync += state.active.eq(0)
            with m.If(begins & ~now.last):
                m.d.sync += state.active.eq(1)
        before = Signal(16)
        with m.If(begins):
            m.d.sync += before.eq(state.run + skipped)
        self._gather(m, valid, now, state, begins, ends, distance, place, before)

    def _begin(self, m: Module, state: _State, entry: data.View) -> None:
        """A new packet, settled before its first block is read."""
        with m.If(entry.valid & entry.beat.first):
            m.d.sync += [signal.eq(0) for signal in state.at_first]
        with m.If(self.packet.valid):
            m.d.sync += self.busy.eq(0)
        with m.If(state.decide[-1]):
            m.d.sync += [
                state.live.eq(state.session_ok & ~state.idle),
                state.remaining.eq(Mux(state.idle, 0, state.count)),
                state.more.eq(~state.idle),
                state.decided.eq(1),
                state.known.eq(Cat(state.session_ok, state.idle)),
                state.number.eq(state.sequence),
            ]
        # Where blocks are read later than the header, the time between two packets is longer by that.
        rises = Signal(1 if self._skew == 0 else 3)
        m.d.comb += rises[0].eq(state.decide[-1] & state.session_ok & ~state.idle)
        m.d.sync += rises[1:].eq(rises)
        with m.If(rises[-1]):
            m.d.sync += self.busy.eq(1)

    def _verdict(self, m: Module, state: _State, entry: data.View) -> None:
        """What the end tells, two clocks late so that a header that ends the packet is settled."""
        late_end, late_ok = Signal(2), Signal(2)
        fine, idle = state.known[0] & state.decided & late_ok[-1], state.known[1]
        end = self.packet
        m.d.sync += [
            late_end.eq(Cat(entry.end, late_end)),
            late_ok.eq(Cat(entry.ok, late_ok)),
            state.tail.eq(late_end[0] & late_ok[0] & (state.run != 0)),
            state.unread.eq(state.remaining != 0),
            end.valid.eq(late_end[-1]),
            end.payload.ok.eq(late_ok[-1]),
            end.payload.told.eq(fine & (state.fits | ~idle)),
            end.payload.judged.eq(fine & state.fits & ~state.unread & ~idle),
            end.payload.next.eq(state.number),
            self.drop.eq(0),
            self.heartbeat.eq(0),
        ]
        with m.If(late_end[-1] & late_ok[-1]):
            with m.If(~state.decided):
                m.d.sync += self.drop[Drop.MOLD_HEADER].eq(1)
            with m.Elif(~state.known[0]):
                m.d.sync += self.drop[Drop.SESSION].eq(1)
            with m.Elif(~state.fits | state.unread):
                m.d.sync += self.drop[Drop.BLOCK_LENGTH].eq(1)
            with m.Elif(idle):
                m.d.sync += self.heartbeat.eq(1)

    def _gather(
        self,
        m: Module,
        valid: Value,
        now: data.View,
        state: _State,
        begins: Value,
        ends: Value,
        distance: Value,
        place: Value,
        before: Value,
    ) -> None:
        """Bytes of one message from beat to beat, into beats of twice the width.

        When a beat of the payload fills one beat of the message and ends the message in a second, that second one waits. It never
        waits for another: to get there a message must have come for two beats without giving any itself.
        """
        width, active = self.width, state.active
        layout = numbered_beat(width)
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
            one.sequence.eq(state.number),
            one.empties.eq(before),
            Value.cast(two.data).eq(window[8 * 2 * width :]),
            two.count.eq(total - 2 * width),
            two.last.eq(1),
            two.sequence.eq(state.number),
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
            self.message.valid.eq(waiting_valid | one_valid | state.tail),
            self.message.payload.eq(Mux(waiting_valid, waiting, one)),
            waiting_valid.eq(Mux(waiting_valid, one_valid, two_valid)),
            waiting.eq(Mux(waiting_valid, one, two)),
        ]
        with m.If(state.tail):
            m.d.sync += [
                self.message.payload.first.eq(1), self.message.payload.last.eq(1), self.message.payload.count.eq(0),
                self.message.payload.sequence.eq(state.number), self.message.payload.empties.eq(state.run),
            ]  # fmt: skip
