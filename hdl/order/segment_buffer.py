"""Segments on trial, and the bytes of those that were kept."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl import interfaces


class SegmentBuffer(wiring.Component):
    """Stores a segment until it is known whether it is to be used, then gives its bytes one by one.

    A ring of rows of one beat each. What is not kept is written over. Kept segments follow each other without a border.

    Latency: the first byte stands at `octets` four clocks after `keep` (up to ``width - 1`` more). Throughput: a row in `width`
    clocks. Overload: a segment that found no room for a beat does not `fit` and must be discarded.

    Parameters
    ----------
    width : int
        Bytes a beat.
    depth : int
        Bytes the ring holds where all beats are full, a power of two.

    Members
    -------
    segment : In(stream.Signature(interfaces.beat(width), always_ready=True))
        Payload; a ``first`` beat begins anew.
    keep, discard : In(1)
        End of a segment, two clocks or more after its last beat and before the second clock of the next one.
    length : Out(16)
        Bytes of the segment so far, two clocks after their beat.
    fits : Out(1)
        All of them found room.
    octets : Out(stream.Signature(8, always_ready=True))
        Bytes of kept segments.
    """

    def __init__(self, *, width: int, depth: int):
        if width not in (1, 8):
            raise ValueError(f"width: {width} was given, allowed are 1 and 8")
        if depth & (depth - 1) or not 64 <= depth <= 1 << 15:
            raise ValueError(f"depth: {depth} was given, allowed are powers of two from 64 to {1 << 15}")
        self._width = width
        self._depth = depth
        super().__init__(
            {
                "segment": In(stream.Signature(interfaces.beat(width), always_ready=True)),
                "keep": In(1),
                "discard": In(1),
                "length": Out(16),
                "fits": Out(1),
                "octets": Out(stream.Signature(8, always_ready=True)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        rows = self._depth // self._width
        row = data.StructLayout({"data": data.ArrayLayout(8, self._width), "count": range(self._width + 1)})
        m.submodules.ring = memory = Memory(shape=row, depth=rows, init=[])
        writer = memory.write_port()
        reader = memory.read_port()

        # Pointers have one bit more than an address, which tells full from empty.
        kept, next_row, read = (Signal(range(2 * rows), name=name) for name in ("kept", "next_row", "read"))
        beat = Signal(interfaces.beat(self._width))
        given = Signal()
        target = Signal.like(kept)
        room = Signal()
        m.d.sync += [beat.eq(self.segment.p), given.eq(self.segment.valid)]
        m.d.comb += [
            target.eq(Mux(beat.first, kept, next_row)),
            room.eq((target ^ read) != rows),
            writer.addr.eq(target),
            writer.data.data.eq(beat.data),
            writer.data.count.eq(beat.count),
            writer.en.eq(given & room),
        ]
        with m.If(given):
            m.d.sync += [
                next_row.eq(target + room),
                self.length.eq(Mux(beat.first, 0, self.length) + beat.count),
                self.fits.eq((beat.first | self.fits) & room),
            ]
        with m.Elif(self.keep | self.discard):
            m.d.sync += self.length.eq(0)
            with m.If(self.keep):
                m.d.sync += kept.eq(next_row)

        issue = Signal()
        landed = Signal(2)
        fetched = Signal(row)
        turn = Signal(range(max(2, self._width)))
        left = Signal(range(self._width + 1))
        current = Signal(8 * self._width)
        m.d.sync += turn.eq(Mux(turn == self._width - 1, 0, turn + 1))
        m.d.comb += [
            issue.eq((turn == 0) & (read != kept)),
            reader.addr.eq(read),
            reader.en.eq(issue),
            self.octets.valid.eq(left != 0),
            self.octets.payload.eq(current[:8]),
        ]
        m.d.sync += [read.eq(read + issue), landed.eq(Cat(issue, landed)), fetched.eq(reader.data)]
        with m.If(landed[1]):
            m.d.sync += [current.eq(fetched.data), left.eq(fetched.count)]
        with m.Elif(left != 0):
            m.d.sync += [current.eq(current >> 8), left.eq(left - 1)]
        return m
