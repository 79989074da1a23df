"""Numbered messages of several lines, in order and once each."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.feed.moldudp64_receiver import PACKET, message_width, numbered_beat
from hdl.interfaces import message_beat
from hdl.spec import injection
from hdl.spec.reasons import Drop

GAP = data.StructLayout({"first": 64, "next": 64})
"""Messages `first` to `next` - 1 are missing."""

SLOT_BYTES = 64
"""Longest message the ring holds."""

_AT_REST = 5
"""Clocks without a change after which all that is derived from the numbers is settled."""


class _Coming:
    """A message on its way in, and how its number lies to the one expected.

    ``pre``, ``late``: its beats, a clock apart. ``behind``: the number behind it. Of the clock of ``late``: ``after``, ``near``,
    ``zero``: the number is not below the one expected, less than a ring above it, or that; ``within``: what it is above are its
    ``empties``; ``alone``: it has none; ``seen``: the ring holds it. These are two clocks old. ``mark``: what it is; one with
    a mark is ``marked`` in place of ``late_valid``.
    """

    def __init__(self, width: int) -> None:
        layout = numbered_beat(width)
        self.pre_valid, self.pre = Signal(), Signal(layout)
        self.late_valid, self.late, self.behind = Signal(), Signal(layout), Signal(64)
        self.marked, self.mark = Signal(), Signal(2)
        self.after, self.near, self.zero, self.within, self.alone, self.seen = (
            Signal(name=name) for name in ("after", "near", "zero", "within", "alone", "seen")
        )
        self.opens = self.late_valid & self.late.first
        self.none = self.late.count == 0


class _Packet:
    """What the packet under way has done.

    ``touched``: something of it was given; ``base``: the number then expected. ``used``: a message of it was given whole.
    ``moved``: it moved the number expected. ``fresh``: something of it was not heard before. ``ends``: its end, as late as its
    last message; ``end``: that moment.
    """

    def __init__(self, delay: int) -> None:
        self.touched, self.base, self.used, self.moved, self.fresh = Signal(), Signal(64), Signal(), Signal(), Signal()
        self.ends = [
            Signal(data.StructLayout({"valid": 1, "verdict": PACKET}), name=f"packet_end{stage}") for stage in range(delay)
        ]
        self.end = self.ends[-1]
        self.good, self.bad = self.end.valid & self.end.verdict.ok, self.end.valid & ~self.end.verdict.ok


class Resequencer(wiring.Component):
    """The first copy of each message wins; what comes too soon waits in a ring while the hole may still be filled.

    A message with the number expected passes at once. One before it, or one that is held, is a duplicate. One ahead of it is
    held in the slot of its number's low bits. Held messages go out in order as soon as the number expected reaches them.

    A packet whose frame was bad is forgotten: what it left in the ring goes, what it told of numbers ahead was never believed.
    What of it had already been given cannot be taken back: the number expected falls back to the first number it gave, and
    `lost_after_use` says so. What was held and followed it is gone with it.

    The hole before held or told numbers is a gap after `gap_wait` clocks, and without a wait when a message is too far ahead for
    the ring (it is lost); it is declared between two packets. Then the number expected moves to the first message held, or with
    ``recover`` stays where it is until the hole is filled. Where nothing is held and ``recover`` is low, a message too far ahead
    passes, the gap declared with it.

    Messages without bytes are never held: they are taken where a packet brings them in their order.

    A message with a mark passes at once, whatever its number, and nothing here is changed by it.

    Parameters
    ----------
    width : int
        Bytes a beat of the payload, 1 or 8.
    ring_messages : int
        Messages the ring holds, a power of two.

    Members
    -------
    message : In(stream.Signature(numbered_beat(width), always_ready=True))
        Messages of all lines, one packet at a time.
    coming : In(64)
        Number of the message that comes, a clock before it; looked at only where ``width`` is 1.
    line : In(2)
        Line of the packet under way: 0 is A, 1 is B, 2 the host's.
    mark : In(2)
        Mark of the message that is given.
    asks : In(1)
        Messages with a mark are under way or about to be, and no others: do not begin to drain. None comes in the clock after one
        without it, or `draining` before that.
    draining : Out(1)
        Held messages go out.
    busy : In(1)
        A packet is under way: from a clock before its first message (where ``width`` is 8, from its first message) until its end.
    packet : In(stream.Signature(PACKET, always_ready=True))
        End of a packet, or a heartbeat, no earlier than a clock after the last message.
    load : In(stream.Signature(64, always_ready=True))
        Sets the number expected and forgets what is held, between two packets.
    gap_wait : In(32)
        Clocks a hole may stay open.
    recover : In(1)
        Wait at a hole until it is filled.
    expected, highest : Out(64)
        Number of the next message to go out, and the one behind the highest heard of in a good frame. Between them lies what is
        open.
    o : Out(stream.Signature(message_beat(message_width(width)), always_ready=True))
        Messages with consecutive numbers but for gaps. Beats of a message that is cut have no ``last``.
    mark_out : Out(2)
        Mark of the message on `o`.
    behind : Out(1)
        With the first beat of one with a mark: its number is before the one expected.
    gap : Out(stream.Signature(GAP, always_ready=True))
        Declared, once a hole; with ``recover`` again when `gap_wait` clocks have gone by since a part of it was filled.
    given_up : Out(1)
        Pulse: what is missing will not come: a gap without ``recover``, or a number was loaded.
    recovered : Out(1)
        Pulse: after a gap declared with ``recover`` there is nothing open any more.
    lost_after_use : Out(1)
        Pulse: a frame was bad of which at least one message was given whole.
    duplicate : Out(3)
        Pulse: a message was heard before, by line.
    drop : Out(len(Drop))
        Pulses: DUPLICATE, a packet of which all messages were; BEYOND, a message too far ahead, or too long, to be held.

    Latency: `latency` cycles from `message` to `o` for a message that passes at once: 1 where ``width`` is 1, 2 where it is 8.
    Held messages go out one beat a clock, five clocks after the number expected reached the first of them.
    Overload: nothing waits in front of the ring; what finds no place in it is `Drop.BEYOND`.
    Timing: whether a slot is held is one bit out of `ring_messages` registers: three levels for 128, five for 1,024. Every such
    look-up ends in a register or in the control of the ring, never in the way of a message that passes.
    Source: DESIGN section 4.
    """

    def __init__(self, *, width: int, ring_messages: int = 128) -> None:
        if width not in (1, 8):
            raise ValueError(f"width: {width} was given, allowed are 1 and 8")
        if not 16 <= ring_messages <= 32768 or ring_messages & (ring_messages - 1):
            raise ValueError(f"ring_messages: {ring_messages} was given, allowed are powers of two from 16 to 32768")
        self.width = width
        self.lanes = message_width(width)
        self.ring_messages = ring_messages
        number = stream.Signature(64, always_ready=True)
        super().__init__(
            {
                "message": In(stream.Signature(numbered_beat(width), always_ready=True)),
                "coming": In(64),
                "line": In(2),
                "mark": In(2),
                "asks": In(1),
                "draining": Out(1),
                "busy": In(1),
                "packet": In(stream.Signature(PACKET, always_ready=True)),
                "load": In(number),
                "gap_wait": In(32),
                "recover": In(1),
                "expected": Out(64),
                "highest": Out(64),
                "o": Out(stream.Signature(message_beat(self.lanes), always_ready=True)),
                "mark_out": Out(2),
                "behind": Out(1),
                "gap": Out(stream.Signature(GAP, always_ready=True)),
                "given_up": Out(1),
                "recovered": Out(1),
                "lost_after_use": Out(1),
                "duplicate": Out(3),
                "drop": Out(len(Drop)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a beat on `message` to the same on `o`."""
        return 1 if self.width == 1 else 2

    @property
    def _bits(self) -> int:
        return self.ring_messages.bit_length() - 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held, pending, any_held = Signal(self.ring_messages), Signal(self.ring_messages), Signal()
        low = self.expected[: self._bits]
        coming, packet = _Coming(self.width), _Packet(self.latency + 1)
        self._look(m, coming, held)
        m.d.sync += [
            Cat(*packet.ends).eq(Cat(self.packet.valid, self.packet.payload, *packet.ends[:-1])),
            self.gap.valid.eq(0),
            self.given_up.eq(0),
            self.drop.eq(0),
            self.duplicate.eq(0),
        ]
        quiet = Signal()
        m.d.comb += quiet.eq(~(self.busy | Cat(end.valid for end in packet.ends).any() | self.packet.valid))

        # What becomes of a message that opens.
        late, late_valid, opens, none = coming.late, coming.late_valid, coming.opens, coming.none
        draining, follows, passing, keeping, set_number = (
            Signal(name=name) for name in ("draining", "follows", "passing", "keeping", "set_number")
        )
        # Of what has no bytes, too: the message behind it may have left the ring since, and the number expected be further on.
        known = coming.near & coming.seen
        far = opens & coming.after & ~coming.near & ~known & ~none
        expects = coming.zero | (follows & coming.alone) | (~any_held & (coming.within | follows))
        leap = far & ~expects & ~any_held & ~draining & ~self.recover
        begins = Signal()
        m.d.comb += begins.eq((~known & ~draining & expects) | leap)
        straight = late_valid & Mux(late.first, begins, passing)
        whole = straight & late.last
        keep, kept, beyond = Signal(), Signal(), Signal()
        m.d.comb += keep.eq(Mux(late.first, coming.near & ~known & ~begins & ~none, keeping))
        heard_before = opens & ~none & (~coming.after | known)
        with m.If(late_valid):
            m.d.sync += [passing.eq(straight & ~late.last), follows.eq(whole)]
        with m.If(opens):
            m.d.sync += [
                self.duplicate.bit_select(self.line, 1).eq(heard_before),
                packet.fresh.eq(packet.fresh | Mux(none, coming.after & ~coming.zero, ~heard_before)),
            ]

        # The ring.
        rows = SLOT_BYTES // self.lanes
        m.submodules.ring = ring = memory.Memory(shape=8 * self.lanes, depth=self.ring_messages * rows, init=[])
        m.submodules.sizes = sizes = memory.Memory(shape=range(SLOT_BYTES), depth=self.ring_messages, init=[])
        write, size = ring.write_port(), sizes.write_port()
        row, row_now = Signal(range(rows + 1)), Signal(range(rows + 1))
        slot, row_bits = late.sequence[: self._bits], (rows - 1).bit_length()
        m.d.comb += [
            row_now.eq(Mux(late.first, 0, row)),
            write.addr.eq(Cat(row_now[:row_bits], slot)),
            write.data.eq(Value.cast(late.data)),
            write.en.eq(late_valid & keep & (row_now != rows)),
            kept.eq(write.en & late.last),
            size.addr.eq(slot),
            size.data.eq(Cat((late.count - 1)[: self.lanes.bit_length() - 1], row_now)),
            size.en.eq(kept),
            # A message without bytes ahead of its turn is lost too; where it is behind, nothing is.
            beyond.eq((far & ~begins) | (late_valid & keep & (row_now == rows))
                      | (opens & none & coming.after & ~coming.zero & ~begins)),
        ]  # fmt: skip
        with m.If(late_valid):
            m.d.sync += [keeping.eq(keep & ~late.last & (row_now != rows)), row.eq(Mux(row_now == rows, rows, row_now + 1))]
        m.d.sync += self.drop[Drop.BEYOND].eq(beyond)

        ended, first_out, read_data = self._drain(m, ring, sizes, held, draining, packet.bad | set_number, rows)
        with m.If(ended):
            m.d.sync += follows.eq(0)
        given_pending = draining & pending.bit_select(low, 1)
        self._give(m, (straight & ~none) | coming.marked, late, draining, read_data)
        m.d.comb += [
            self.draining.eq(draining),
            self.mark_out.eq(Mux(coming.marked, coming.mark, injection.Mark.LINE)),
            self.behind.eq(~coming.after),
        ]

        # Which slots are held.
        mine = Mux(kept, Const(1, self.ring_messages) << slot, 0)
        gone = Mux(ended, Const(1, self.ring_messages) << low, 0)
        after_bad = Mux(packet.bad, ~pending, ~Const(0, self.ring_messages))
        m.d.sync += [
            held.eq(((held | mine) & ~gone) & after_bad),
            pending.eq(Mux(packet.end.valid, 0, (pending | mine) & ~gone)),
            any_held.eq(held.any() | kept),
        ]

        # What the packet gives, and where the number expected falls back to.
        with m.If(~packet.touched & ((opens & begins) | (first_out & given_pending))):
            m.d.sync += [packet.touched.eq(1), packet.base.eq(self.expected)]
        used = packet.used | (ended & given_pending)
        with m.If(used | (whole & ~none)):
            m.d.sync += packet.used.eq(1)
        with m.If(leap | whole):
            m.d.sync += packet.moved.eq(1)
        with m.If(packet.end.valid):
            m.d.sync += [
                packet.touched.eq(0), packet.used.eq(0), packet.moved.eq(0), packet.fresh.eq(0),
                passing.eq(0), keeping.eq(0), follows.eq(0),
                self.drop[Drop.DUPLICATE].eq(packet.good & packet.end.verdict.judged & ~packet.fresh),
            ]  # fmt: skip
        m.d.sync += self.lost_after_use.eq(packet.bad & used)

        jump, target = Signal(), Signal(64)
        wanted, wanted_valid = Signal(64), Signal()
        with m.If(self.load.valid):
            m.d.sync += [wanted.eq(self.load.payload), wanted_valid.eq(1)]
        with m.Elif(set_number):
            m.d.sync += wanted_valid.eq(0)
        m.d.comb += set_number.eq(wanted_valid & quiet)
        with m.If(whole):
            m.d.sync += self.expected.eq(coming.behind)
        # What a bad packet gives in the clock of its end moves nothing: `base` is not known by then, and would be this number.
        with m.Elif(ended & ~(packet.bad & given_pending)):
            m.d.sync += self.expected.eq(self.expected + 1)
        with m.If(leap):
            m.d.sync += [
                self.gap.valid.eq(1), self.gap.payload.first.eq(self.expected), self.gap.payload.next.eq(late.sequence),
                self.given_up.eq(1),
            ]  # fmt: skip
            with m.If(~late.last):
                m.d.sync += self.expected.eq(late.sequence)
        with m.If(jump):
            m.d.sync += self.expected.eq(target)
        with m.If(packet.bad & packet.touched & (packet.moved | used)):
            m.d.sync += self.expected.eq(packet.base)

        changed = Signal()
        m.d.comb += changed.eq(whole | ended | leap | jump | set_number | packet.bad)
        self._hear(m, packet, set_number)
        self._watch(m, held=held, any_held=any_held, quiet=quiet, draining=draining, changed=changed, kept=kept, slot=slot,
                    beyond=beyond, load=set_number, jump=jump, target=target)  # fmt: skip
        with m.If(set_number):
            m.d.sync += [self.expected.eq(wanted), self.highest.eq(wanted), held.eq(0), pending.eq(0), self.given_up.eq(1)]
        return m

    def _look(self, m: Module, coming: _Coming, held: Value) -> None:
        """Where the number lies, a subtraction and what is asked of it a clock each; the message comes along."""
        bits = self._bits
        number = self.coming if self.width == 1 else self.message.payload.sequence
        pre_valid, pre, mark = coming.pre_valid, coming.pre, Signal(2)
        given = [pre_valid.eq(self.message.valid), pre.eq(self.message.payload), mark.eq(self.mark)]
        if self.width == 1:
            m.d.comb += given
        else:
            m.d.sync += given
        # Whether it is held is asked in the clock of the subtraction: what leaves the ring in between is known by either.
        lead, held_then = Signal(65), Signal()
        m.d.sync += [
            lead.eq(number - self.expected),
            held_then.eq(held.bit_select(number[:bits], 1)),
            coming.after.eq(~lead[64]),
            coming.near.eq(lead[bits:] == 0),
            coming.zero.eq(lead == 0),
            coming.within.eq((lead[16:] == 0) & ~(pre.empties < lead[:16])),
            coming.alone.eq(pre.empties == 0),
            coming.seen.eq(held_then),
            coming.late_valid.eq(pre_valid & ~mark.any()),
            coming.marked.eq(pre_valid & mark.any()),
            coming.mark.eq(mark),
        ]
        with m.If(pre_valid):
            m.d.sync += [coming.late.eq(pre), coming.behind.eq(pre.sequence + (pre.count != 0))]

    def _drain(self, m: Module, ring: memory.Memory, sizes: memory.Memory, held: Value, draining: Signal, cut: Value,
               rows: int) -> tuple[Value, Value, data.View]:
        """Beats out of the ring: asked for, read, given, a clock each. The next slot is looked at while one is asked for."""
        bits, row_bits = self._bits, (rows - 1).bit_length()
        low = self.expected[:bits]
        asking, slot, row, size = Signal(), Signal(bits), Signal(range(rows)), Signal(range(SLOT_BYTES))
        look, looked, next_held, next_size = Signal(bits), Signal(bits), Signal(), Signal(range(SLOT_BYTES))
        read, length = ring.read_port(), sizes.read_port(domain="comb")
        beat = data.StructLayout({"valid": 1, "first": 1, "last": 1, "count": range(self.lanes + 1)})
        asked, fetched, given = Signal(beat), Signal(beat), Signal(beat)
        out = Signal(8 * self.lanes)
        idle = ~asking & ~fetched.valid & ~given.valid
        m.d.comb += [
            look.eq(Mux(asking, slot + 1, low)),
            length.addr.eq(look),
            read.en.eq(1),
            read.addr.eq(Cat(row[:row_bits], slot)),
            asked.valid.eq(asking),
            asked.first.eq(row == 0),
            asked.last.eq(row == (size >> (self.lanes.bit_length() - 1))),
            asked.count.eq(Mux(asked.last, (size & (self.lanes - 1)) + 1, self.lanes)),
            draining.eq(~idle),
        ]
        m.d.sync += [
            looked.eq(look), next_held.eq(held.bit_select(look, 1)), next_size.eq(length.data),
            fetched.eq(asked), given.eq(fetched), out.eq(read.data),
        ]  # fmt: skip
        follows = next_held & (looked == slot + 1)
        opens = idle & next_held & (looked == low) & held.bit_select(low, 1) & ~self.asks
        with m.If(opens | (asking & asked.last & follows)):
            m.d.sync += [asking.eq(1), slot.eq(looked), row.eq(0), size.eq(next_size)]
        with m.Elif(asking):
            m.d.sync += [asking.eq(~asked.last), row.eq(row + 1)]
        # What a bad packet began must not go on; what was held before it waits for its turn again.
        with m.If(cut):
            m.d.sync += [asking.eq(0), fetched.valid.eq(0), given.valid.eq(0)]
        kept = Signal(data.StructLayout({"beat": beat, "data": 8 * self.lanes}))
        m.d.comb += [kept.beat.eq(given), kept.data.eq(out)]
        return given.valid & given.last, given.valid & given.first, kept

    def _give(self, m: Module, straight: Value, late: data.View, draining: Value, kept: data.View) -> None:
        """Either passes or drains: never both, as what is held is never taken again."""
        out, beat = self.o.payload, kept.beat
        m.d.comb += [
            self.o.valid.eq(straight | beat.valid),
            Value.cast(out.data).eq(Mux(beat.valid, kept.data, Value.cast(late.data))),
            out.count.eq(Mux(beat.valid, beat.count, late.count)),
            out.first.eq(Mux(beat.valid, beat.first, late.first)),
            out.last.eq(Mux(beat.valid, beat.last, late.last)),
            out.sequence.eq(Mux(beat.valid, self.expected, late.sequence)),
        ]

    def _hear(self, m: Module, packet: _Packet, load: Value) -> None:
        """The highest number told by a good frame. What was told before a number was loaded is of no meaning behind it."""
        heard, heard_valid, higher = Signal(64), Signal(2), Signal()
        m.d.sync += [
            heard_valid.eq(Cat(packet.end.valid & packet.end.verdict.told, heard_valid)),
            higher.eq(self.highest < heard),
        ]
        with m.If(packet.end.valid):
            m.d.sync += heard.eq(packet.end.verdict.next)
        with m.If(load):
            m.d.sync += heard_valid.eq(0)
        with m.If(heard_valid[1] & higher):
            m.d.sync += self.highest.eq(heard)

    def _watch(self, m: Module, *, held: Value, any_held: Value, quiet: Value, draining: Value, changed: Value, kept: Value,
               slot: Value, beyond: Value, load: Value, jump: Signal, target: Signal) -> None:
        """Holes: how long one is open, where it ends, and what then."""
        bits, expected = self._bits, self.expected
        low = expected[:bits]

        # Slots from the number expected up to `reach` are free; where `found`, the one there is held.
        reach, found, place = Signal(bits + 1), Signal(), Signal(bits)
        m.d.comb += place.eq(slot - low)
        with m.If(~found & ~reach[bits]):
            with m.If(held.bit_select((low + reach)[:bits], 1)):
                m.d.sync += found.eq(1)
            with m.Else():
                m.d.sync += reach.eq(reach + 1)
        # Also where it lies in the very slot that is being looked at, and found free.
        with m.If(kept & ~(reach < place)):
            m.d.sync += [reach.eq(place), found.eq(1)]
        with m.If(changed):
            m.d.sync += [reach.eq(0), found.eq(0)]

        waited, due, open_, hurry = Signal(32), Signal(), Signal(), Signal()
        still, told, recovering = Signal(_AT_REST), Signal(), Signal()
        # All of it is settled while packets come: only the clock in which the number moves has to lie between two.
        calm = ~draining & ~held.bit_select(low, 1)
        # `declare` stands a clock after all was calm; between two packets nothing but a drain can have begun since.
        rest = quiet & ~draining
        end, declare = Signal(64), Signal()
        m.d.sync += [
            open_.eq(expected < self.highest),
            due.eq(hurry | ~(waited < self.gap_wait)),
            still.eq(Mux(calm & ~changed, Cat(1, still), 0)),
            end.eq(Mux(found, expected + reach[:bits], self.highest)),
            declare.eq(calm & ~changed & still.all() & open_ & due & ~told & (found | reach[bits] | ~any_held)),
            self.recovered.eq(0),
        ]
        m.d.comb += [target.eq(end), jump.eq(declare & rest & ~told & ~self.recover)]
        with m.If(~open_ | (recovering & changed)):
            m.d.sync += [waited.eq(0), hurry.eq(0)]
        with m.Elif(draining):
            m.d.sync += waited.eq(0)
        with m.Elif(waited < self.gap_wait):
            m.d.sync += waited.eq(waited + 1)
        with m.If(beyond & ~recovering):
            m.d.sync += hurry.eq(1)
        with m.If(declare & rest & ~told):
            m.d.sync += [
                self.gap.valid.eq(1), self.gap.payload.first.eq(expected), self.gap.payload.next.eq(end),
                self.given_up.eq(~self.recover), told.eq(1), recovering.eq(self.recover), hurry.eq(0),
            ]  # fmt: skip
        with m.If(changed | ~self.recover):
            m.d.sync += told.eq(0)
        with m.If(~self.recover | load):
            m.d.sync += recovering.eq(0)
        with m.Elif(recovering & ~open_):
            m.d.sync += [recovering.eq(0), self.recovered.eq(1)]
