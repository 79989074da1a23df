"""Store and forward of packets, where nothing may be used before its frame was found good."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import feed_beat

END = data.StructLayout({"ok": 1})
"""Verdict on a packet, given after its last beat."""


class PacketHold(wiring.Component):
    """Passes packets on at once, or only when they turned out good.

    With ``hold`` low everything passes combinationally. With ``hold`` high a packet is written to a ring and released, one beat a
    clock, once its end says ok; a packet that was not ok leaves no trace. ``hold`` is taken at the first beat of a packet; while
    packets wait in the ring, those that follow are stored too, so order is kept.

    An end without a beat before it passes with ``hold`` low and is swallowed with ``hold`` high.

    Parameters
    ----------
    width : int
        Bytes a beat.
    depth : int
        Beats the ring holds, a power of two. Default is 4,096 bytes' worth.

    Members
    -------
    i : In(stream.Signature(feed_beat(width), always_ready=True))
        Packets.
    i_end : In(stream.Signature({"ok"}, always_ready=True))
        Verdict on the packet just ended, at least one clock after its last beat.
    o, o_end : Out(...)
        The same, of packets let through. A packet that waited is followed by its end in the next clock, and the next one by no
        less than `SPACING` clocks.
    hold : In(1)
        Store and forward.
    waiting : Out(1)
        Something was stored and is not yet out, or has just come out; from the clock after the verdict on it.
    overflow : Out(1)
        Pulse: a packet did not fit the ring and was dropped whole.

    Latency: 0 cycles with ``hold`` low; 4 cycles from ``i_end`` to the first beat otherwise.
    Overload: a packet that does not fit is dropped whole and counted by ``overflow``; the input never waits.
    Source: DESIGN section 4, `hold_until_fcs`.
    """

    SPACING = {1: 8, 8: 4}
    """Clocks between the end of a released packet and the first beat of the next, by width: receivers settle in between. Headers
    and gap take 66 bytes on the wire between two payloads: released packets take no longer, so the ring does not fill."""

    def __init__(self, *, width: int, depth: int | None = None) -> None:
        depth = 4096 // width if depth is None else depth
        if width not in (1, 8):
            raise ValueError(f"width: {width} was given, allowed are 1 and 8")
        if depth < 16 or depth & (depth - 1):
            raise ValueError(f"depth: {depth} was given, allowed are powers of two from 16 on")
        self.width = width
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(feed_beat(width), always_ready=True)),
                "i_end": In(stream.Signature(END, always_ready=True)),
                "o": Out(stream.Signature(feed_beat(width), always_ready=True)),
                "o_end": Out(stream.Signature(END, always_ready=True)),
                "hold": In(1),
                "waiting": Out(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ring = ring = memory.Memory(shape=feed_beat(self.width), depth=self.depth, init=[])
        write, read = ring.write_port(), ring.read_port()

        # Pointers have one bit more than addresses: full and empty differ.
        bits = self.depth.bit_length()
        head, committed, tail = Signal(bits), Signal(bits), Signal(bits)
        inside, storing, refused = Signal(), Signal(), Signal()
        busy, store = Signal(), Signal()
        # Only of meaning where a beat is valid: the beat itself need not be waited for.
        m.d.comb += store.eq(Mux(self.i.payload.first, self.hold | busy, storing))

        # What is stored is written a clock later, so that only the choice itself lies on the way straight through.
        late = Signal(data.StructLayout({"valid": 1, "beat": feed_beat(self.width), "end": 1, "ok": 1}))
        stored_end = self.i_end.valid & inside & storing
        m.d.sync += [
            late.valid.eq(self.i.valid & store),
            late.beat.eq(self.i.payload),
            late.end.eq(stored_end),
            late.ok.eq(self.i_end.payload.ok),
        ]
        with m.If(self.i.valid):
            m.d.sync += [storing.eq(store), inside.eq(1)]
        with m.If(self.i_end.valid):
            m.d.sync += inside.eq(0)

        # Write side: `head` runs ahead of `committed` and falls back to it.
        base, opens = Signal(bits), late.beat.first
        room, full_at = Signal(), Signal(bits, init=self.depth)
        m.d.sync += full_at.eq(tail ^ self.depth)
        m.d.comb += [
            base.eq(Mux(opens, committed, head)),
            room.eq(base != full_at),
            write.addr.eq(base[: bits - 1]),
            write.data.eq(late.beat),
            write.en.eq(late.valid & room & (opens | ~refused)),
        ]
        m.d.sync += self.overflow.eq(0)
        with m.If(late.valid):
            with m.If(opens):
                m.d.sync += [refused.eq(0), head.eq(committed)]
            with m.If(write.en):
                m.d.sync += head.eq(base + 1)
            with m.If(~room & (opens | ~refused)):
                m.d.sync += [refused.eq(1), self.overflow.eq(1)]
        with m.If(late.end & late.ok & ~refused):
            m.d.sync += committed.eq(head)

        # Read side: addresses run ahead of the beats by two clocks; what was read past a packet's end is read again later.
        address = Signal(bits)
        ahead = Signal(2)
        ahead_at = [Signal(bits, name=f"ahead_at{stage}") for stage in range(2)]
        out = Signal(feed_beat(self.width))
        spacing = self.SPACING[self.width]
        rest = Signal(range(spacing + 1))
        asking = (address != committed) & (rest == 0)
        ending = Signal()
        finished = ahead[1] & out.last
        m.d.comb += [read.en.eq(1), read.addr.eq(address[: bits - 1])]
        m.d.sync += [
            # What passes straight on must not wait for this comparison; a packet that just ended counts from its end on.
            busy.eq((committed != tail) | (rest != 0) | stored_end | late.end),
            out.eq(read.data),
            ahead.eq(Cat(asking, ahead[0])),
            ahead_at[0].eq(address),
            ahead_at[1].eq(ahead_at[0]),
            ending.eq(finished),
        ]
        with m.If(asking):
            m.d.sync += address.eq(address + 1)
        with m.If(ahead[1]):
            m.d.sync += tail.eq(ahead_at[1] + 1)
        with m.If(rest != 0):
            m.d.sync += rest.eq(rest - 1)
        with m.If(finished):
            m.d.sync += [ahead.eq(0), address.eq(ahead_at[1] + 1), rest.eq(spacing)]

        pass_on = self.i.valid & ~store
        m.d.comb += [
            self.waiting.eq(busy),
            self.o.valid.eq(pass_on | ahead[1]),
            self.o.payload.eq(Mux(ahead[1], out, self.i.payload)),
            self.o_end.valid.eq(ending | (self.i_end.valid & Mux(inside, ~storing, ~self.hold & ~busy))),
            self.o_end.payload.ok.eq(ending | self.i_end.payload.ok),
        ]
        return m
