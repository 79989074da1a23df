"""Counters kept in memory."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class CounterBank(wiring.Component):
    """Many 32-bit counters for the price of a few bits each.

    What a counter gains is first held in a few flip-flops; a walker adds it to the counter's word in memory, one counter every
    three clocks. Nothing is ever lost: the flip-flops can hold the most that can come in between two visits.

    A counter read is at most ``3 * counters`` clocks old.

    Parameters
    ----------
    counters : int
        How many.
    step : int
        Most a counter can gain in one clock.

    Members
    -------
    gain : In(ArrayLayout(range(step + 1), counters))
        What each counter gains this clock.
    address : In(range(counters))
        Counter to read.
    count : Out(32)
        Its value, two clocks after `address`.
    """

    def __init__(self, *, counters: int, step: int = 1):
        if counters < 1:
            raise ValueError(f"counters: {counters} was given, allowed is 1 and more")
        if step < 1:
            raise ValueError(f"step: {step} was given, allowed is 1 and more")
        self._counters = counters
        self._step = step
        super().__init__(
            {
                "gain": In(data.ArrayLayout(range(step + 1), counters)),
                "address": In(range(max(2, counters))),
                "count": Out(32),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=32, depth=self._counters, init=[])
        walk, host, write = memory.read_port(), memory.read_port(), memory.write_port()

        at = Signal(range(max(2, self._counters)))
        phase = Signal(range(3))
        most = 3 * self._counters * self._step
        held = [Signal(range(most + 1), name=f"held_{index}") for index in range(self._counters)]
        visited = Signal.like(held[0])
        taking = Signal()
        with m.Switch(at):
            for index in range(self._counters):
                with m.Case(index):
                    m.d.comb += visited.eq(held[index])
        for index, pending in enumerate(held):
            taken = taking & (at == index)
            m.d.sync += pending.eq(Mux(taken, 0, pending) + self.gain[index])

        # Read the word, take over what is held, write the sum.
        sampled = Signal.like(visited)
        m.d.comb += [
            walk.addr.eq(at),
            write.addr.eq(at),
            write.data.eq(walk.data + sampled),
            write.en.eq(phase == 2),
            taking.eq(phase == 1),
            host.addr.eq(self.address),
        ]
        m.d.sync += [
            sampled.eq(visited),
            self.count.eq(host.data),
            phase.eq(Mux(phase == 2, 0, phase + 1)),
        ]
        with m.If(phase == 2):
            m.d.sync += at.eq(Mux(at == self._counters - 1, 0, at + 1))
        return m
