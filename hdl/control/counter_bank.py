"""Counters kept in memory."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class CounterBank(wiring.Component):
    """Many 32-bit counters for the price of a few bits each.

    What a counter gains is first held in a few flip-flops; a walker adds it to the counter's word in memory, a counter each
    clock. Nothing is ever lost: the flip-flops hold the most that can come in between two visits.

    A counter read is at most ``counters + 2`` clocks old.

    Parameters
    ----------
    counters : int
        How many, 3 or more.
    step : int
        Most a counter can gain in one clock.
    spacing : int
        Fewest clocks from one gain of a counter to its next.

    Members
    -------
    gain : In(ArrayLayout(range(step + 1), counters))
        What each counter gains this clock.
    address : In(range(counters))
        Counter to read.
    count : Out(32)
        Its value, two clocks after `address`.
    """

    def __init__(self, *, counters: int, step: int = 1, spacing: int = 1):
        for name, value, least in (("counters", counters, 3), ("step", step, 1), ("spacing", spacing, 1)):
            if value < least:
                raise ValueError(f"{name}: {value} was given, allowed is {least} and more")
        self._counters = counters
        self._most = -(-counters // spacing) * step
        super().__init__(
            {
                "gain": In(data.ArrayLayout(range(step + 1), counters)),
                "address": In(range(counters)),
                "count": Out(32),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=32, depth=self._counters, init=[])
        walk, host, write = memory.read_port(), memory.read_port(), memory.write_port()

        # A counter is read, taken over and written in three clocks; with three counters or more it is never two at once.
        at, after = Signal(range(self._counters)), Signal(range(self._counters))
        held = [Signal(range(self._most + 1), name=f"held_{index}") for index in range(self._counters)]
        visited, taken = Signal.like(held[0]), Signal.like(held[0])
        with m.Switch(at):
            for index in range(self._counters):
                with m.Case(index):
                    m.d.comb += visited.eq(held[index])
        for index, pending in enumerate(held):
            with m.If(at == index):
                m.d.sync += pending.eq(self.gain[index])
            with m.Elif(self.gain[index] != 0):
                m.d.sync += pending.eq(pending + self.gain[index])

        m.d.comb += [
            walk.addr.eq(at),
            write.addr.eq(after),
            write.data.eq(walk.data + taken),
            write.en.eq(1),
            host.addr.eq(self.address),
        ]
        m.d.sync += [
            at.eq(Mux(at == self._counters - 1, 0, at + 1)),
            after.eq(at),
            taken.eq(visited),
            self.count.eq(host.data),
        ]
        return m
