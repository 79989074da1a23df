"""Where messages wait for the book."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.book.quiet_read import quiet_read


class MessageQueue(wiring.Component):
    """First in, first out, in block RAM with an output register.

    The next head comes 2 clocks after the last one was taken, and 3 after it was written to an empty queue; a write in the clock
    in which it would be read is a clock more.

    Parameters
    ----------
    shape : data.StructLayout
        What waits.
    depth : int
        How many may wait, beside the one at the output.

    Members
    -------
    write : In(stream.Signature(shape))
        Not ready when full.
    head : Out(stream.Signature(shape))
        The oldest.
    empty : Out(1)
        Nothing waits, at the output neither.
    """

    def __init__(self, *, shape: data.StructLayout, depth: int) -> None:
        if depth < 2:
            raise ValueError(f"depth: {depth} was given, allowed are numbers from 2 on")
        self._shape, self._depth = shape, depth
        super().__init__({"write": In(stream.Signature(shape)), "head": Out(stream.Signature(shape)), "empty": Out(1)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.ram = ram = memory.Memory(shape=unsigned(self._shape.size), depth=self._depth, init=[])
        put = ram.write_port()
        write_at, read_at = Signal(range(self._depth)), Signal(range(self._depth))
        stored = Signal(range(self._depth + 1))
        fetched = Signal()  # the memory's output is the next head
        puts, moves = Signal(), Signal()
        m.d.comb += [
            self.write.ready.eq(stored != self._depth),
            puts.eq(self.write.valid & self.write.ready),
            put.addr.eq(write_at),
            put.data.eq(self.write.payload),
            put.en.eq(puts),
            moves.eq(fetched & ~self.head.valid),
            self.empty.eq((stored == 0) & ~self.head.valid),
        ]
        oldest = quiet_read(m, ram, put, address=read_at, name="oldest")
        m.d.sync += [fetched.eq((stored != 0) & ~moves & (fetched | ~puts)), stored.eq(stored + puts - moves)]
        with m.If(puts):
            m.d.sync += write_at.eq(Mux(write_at == self._depth - 1, 0, write_at + 1))
        with m.If(moves):
            m.d.sync += [
                read_at.eq(Mux(read_at == self._depth - 1, 0, read_at + 1)),
                self.head.payload.eq(oldest),
                self.head.valid.eq(1),
            ]
        with m.Elif(self.head.ready):
            m.d.sync += self.head.valid.eq(0)
        return m
