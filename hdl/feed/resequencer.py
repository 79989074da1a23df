"""Numbered messages of several lines, in order and once each."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.feed.moldudp64_receiver import GAP, message_width
from hdl.interfaces import message_beat

SLOT_BYTES = 64
"""Longest message the ring holds."""


class Resequencer(wiring.Component):
    """The first copy of each message wins; what comes too soon waits in a ring while the hole may still be filled.

    A message with the number expected passes at once. One before it, or one that is held, is a duplicate. One ahead of it is
    held in the slot of its number's low bits. The hole before it is a gap after `gap_wait` clocks; then the number expected
    moves to the first message held, or with ``recover`` stays where it is until the hole is filled. Messages held go out in
    order as soon as the number expected reaches them, one beat a clock.

    A message too far ahead for the ring ends the wait. It passes where nothing is held, and is dropped where something is, or
    with ``recover``: the hole behind what is held then grows.

    Parameters
    ----------
    width : int
        Bytes a beat of the payload, 1 or 8.
    ring_messages : int
        Messages the ring holds, a power of two.

    Members
    -------
    message : In(stream.Signature(message_beat(message_width(width)), always_ready=True))
        Messages of all lines, one at a time.
    packet_end : In(1)
        Pulse: a message without a last beat so far has been cut.
    ahead : In(stream.Signature(64, always_ready=True))
        A heartbeat told the number of the next message.
    load : In(stream.Signature(64, always_ready=True))
        Sets the number expected and forgets what is held.
    gap_wait : In(32)
        Clocks a hole may stay open, at least 1.
    recover : In(1)
        Wait at a hole until it is filled.
    expected, known : Out(64)
        Number of the next message to go out, and the one behind the highest heard of. Between them lies what is open.
    o : Out(stream.Signature(message_beat(message_width(width)), always_ready=True))
        Messages with consecutive numbers but for gaps. Beats of a message that is cut have no ``last``.
    gap : Out(stream.Signature(GAP, always_ready=True))
        Declared, once a hole.
    recovered : Out(1)
        Pulse: after a gap declared with ``recover`` there is nothing open any more.
    duplicate, beyond : Out(1)
        Pulses: a message was heard before; a message was too far ahead, or too long, to be held.

    Latency: 1 cycle from `message` to `o` for a message that passes at once.
    Overload: `beyond`.
    Source: DESIGN section 4.
    """

    def __init__(self, *, width: int, ring_messages: int = 64) -> None:
        if width not in (1, 8):
            raise ValueError(f"width: {width} was given, allowed are 1 and 8")
        if ring_messages < 2 or ring_messages & (ring_messages - 1):
            raise ValueError(f"ring_messages: {ring_messages} was given, allowed are powers of two from 2 on")
        self.lanes = message_width(width)
        self.ring_messages = ring_messages
        beats = stream.Signature(message_beat(self.lanes), always_ready=True)
        number = stream.Signature(64, always_ready=True)
        super().__init__(
            {
                "message": In(beats),
                "packet_end": In(1),
                "ahead": In(number),
                "load": In(number),
                "gap_wait": In(32),
                "recover": In(1),
                "expected": Out(64),
                "known": Out(64),
                "o": Out(beats),
                "gap": Out(stream.Signature(GAP, always_ready=True)),
                "recovered": Out(1),
                "duplicate": Out(1),
                "beyond": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        slots, bits = self.ring_messages, self.ring_messages.bit_length() - 1
        rows = SLOT_BYTES // self.lanes
        held = Signal(slots)
        low = self.expected[:bits]

        # Where the number expected goes next: everything that is judged is judged against that.
        jump, target, step = Signal(), Signal(64), Signal()
        base = Signal(64)
        m.d.comb += base.eq(Mux(jump, target, self.expected))
        m.d.sync += self.expected.eq(base + step)

        # What comes in, a clock later, with its distance from the number then expected.
        late_valid, late, offset = Signal(), Signal(message_beat(self.lanes)), Signal(65)
        m.d.sync += late_valid.eq(self.message.valid)
        with m.If(self.message.valid):
            m.d.sync += late.eq(self.message.payload)
            with m.If(self.message.payload.first):
                m.d.sync += offset.eq(self.message.payload.sequence - base - step)
        opens = late_valid & late.first
        seen = held.bit_select(late.sequence[:bits], 1)
        near, after = offset[bits:] == 0, ~offset[64]
        fresh = opens & near & ~seen
        straight, passing, keeping = Signal(), Signal(), Signal()
        far = opens & after & ~near
        leap = far & ~held.any() & ~self.recover
        begins = (fresh & (offset[:bits] == 0)) | leap
        m.d.comb += straight.eq(late_valid & Mux(late.first, begins, passing))
        with m.If(opens):
            m.d.sync += passing.eq(begins)
        with m.If(late_valid & late.last):
            m.d.sync += passing.eq(0)
        m.d.sync += [self.duplicate.eq(opens & (~after | (near & seen))), self.beyond.eq(far & ~leap)]

        # The ring.
        layout = data.StructLayout({"data": 8 * self.lanes, "count": range(self.lanes + 1), "last": 1})
        m.submodules.ring = ring = memory.Memory(shape=layout, depth=slots * rows, init=[])
        write, read = ring.write_port(), ring.read_port()
        row, row_now = Signal(range(rows + 1)), Signal(range(rows + 1))
        keep = Mux(late.first, fresh & ~begins, keeping)
        m.d.comb += [
            row_now.eq(Mux(late.first, 0, row)),
            write.addr.eq(Cat(row_now[: (rows - 1).bit_length()], late.sequence[:bits])),
            write.data.data.eq(late.data),
            write.data.count.eq(late.count),
            write.data.last.eq(late.last),
            write.en.eq(late_valid & keep & (row_now != rows)),
        ]
        with m.If(late_valid):
            m.d.sync += [keeping.eq(keep & ~late.last & (row_now != rows)), row.eq(Mux(row_now == rows, rows, row_now + 1))]
            with m.If(keep & (row_now == rows)):
                m.d.sync += self.beyond.eq(1)
        with m.If(self.load.valid | (self.packet_end & ~late_valid)):
            m.d.sync += [passing.eq(0), keeping.eq(0)]
        with m.If(write.en & late.last):
            m.d.sync += held.bit_select(late.sequence[:bits], 1).eq(1)

        # Out of it: the address of the next beat is there a clock before the beat.
        draining, place, following = Signal(), Signal(range(rows)), Signal(bits)
        ended = draining & read.data.last
        m.d.comb += [
            following.eq(low + ended),
            read.en.eq(1),
            read.addr.eq(Mux(draining & ~ended, Cat((place + 1)[: (rows - 1).bit_length()], low), Cat(place & 0, following))),
        ]
        m.d.sync += [
            place.eq(Mux(draining & ~ended, place + 1, 0)),
            draining.eq(~jump & ((draining & ~ended) | held.bit_select(following, 1))),
        ]
        with m.If(ended):
            m.d.sync += held.bit_select(low, 1).eq(0)
        m.d.comb += step.eq((straight & late.last) | ended)
        self._give(m, straight, late, draining, read.data, place)
        # What is still coming in is not missing.
        arriving = straight | passing | (late_valid & keep) | keeping
        self._watch(m, held, arriving, draining, jump, target, leap, late, opens, far & ~leap)
        return m

    def _give(self, m: Module, straight: Value, late: data.View, draining: Value, kept: data.View, place: Value) -> None:
        """Either passes or drains: never both, as what is held is never taken again."""
        out = self.o.payload
        m.d.comb += [
            self.o.valid.eq(straight | draining),
            Value.cast(out.data).eq(Mux(draining, kept.data, Value.cast(late.data))),
            out.count.eq(Mux(draining, kept.count, late.count)),
            out.first.eq(Mux(draining, place == 0, late.first)),
            out.last.eq(Mux(draining, kept.last, late.last)),
            out.sequence.eq(Mux(draining, self.expected, late.sequence)),
        ]

    def _watch(self, m: Module, held: Value, arriving: Value, draining: Value, jump: Signal, target: Signal, leap: Value,
               late: data.View, opens: Value, full: Value) -> None:
        """Holes: how long one is open, where it ends, and what then."""
        bits = self.ring_messages.bit_length() - 1
        known, expected = self.known, self.expected

        # One number is taken a clock; what a message or a heartbeat tells waits a clock for the comparison.
        heard, heard_valid, higher = Signal(64), Signal(), Signal(65)
        m.d.sync += heard_valid.eq(opens | self.ahead.valid)
        with m.If(opens):
            m.d.sync += [heard.eq(late.sequence), higher.eq(known - late.sequence - 1)]
        with m.Elif(self.ahead.valid):
            m.d.sync += [heard.eq(self.ahead.payload - 1), higher.eq(known - self.ahead.payload)]
        with m.If(heard_valid & higher[64]):
            m.d.sync += known.eq(heard + 1)

        filled = (known == expected) | held.bit_select(expected[:bits], 1) | draining
        behind = Signal(65)
        m.d.comb += behind.eq(known - expected)
        clear = filled | behind[64]
        waited, probing, probe, first = Signal(32), Signal(), Signal(64), Signal(64)
        waiting = Signal()
        found = (probe == known) | held.bit_select(probe[:bits], 1)
        m.d.sync += [self.gap.valid.eq(0), self.recovered.eq(0)]
        with m.If(clear):
            m.d.sync += [waited.eq(0), probing.eq(0)]
        with m.Elif(probing):
            with m.If((first != expected) | arriving):
                m.d.sync += probing.eq(0)
            with m.Elif(found):
                m.d.sync += [
                    probing.eq(0), waited.eq(0), waiting.eq(self.recover), self.gap.valid.eq(1),
                    self.gap.payload.first.eq(first), self.gap.payload.next.eq(probe),
                ]  # fmt: skip
                with m.If(~self.recover):
                    m.d.comb += [jump.eq(1), target.eq(probe)]
            with m.Else():
                m.d.sync += probe.eq(probe + 1)
        with m.Elif(~waiting):
            with m.If(waited >= self.gap_wait):
                m.d.sync += [probing.eq(1), probe.eq(expected), first.eq(expected)]
            with m.Else():
                m.d.sync += waited.eq(waited + 1)
            with m.If(full):
                m.d.sync += waited.eq(self.gap_wait)
        with m.If(waiting & (known == expected)):
            m.d.sync += [waiting.eq(0), self.recovered.eq(1)]
        with m.If(leap):
            m.d.comb += [jump.eq(1), target.eq(late.sequence)]
            m.d.sync += [
                self.gap.valid.eq(1), self.gap.payload.first.eq(expected), self.gap.payload.next.eq(late.sequence),
                waited.eq(0), probing.eq(0), waiting.eq(0),
            ]  # fmt: skip
        with m.If(self.load.valid):
            m.d.comb += [jump.eq(1), target.eq(self.load.payload)]
            m.d.sync += [
                held.eq(0), known.eq(self.load.payload), heard_valid.eq(0),
                waited.eq(0), probing.eq(0), waiting.eq(0),
            ]  # fmt: skip
