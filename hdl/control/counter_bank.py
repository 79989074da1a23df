"""Counters kept in memory."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

_FEW = 16
"""Words of a LUT RAM of ECP5."""


class CounterBank(wiring.Component):
    """Many 32-bit counters for the price of a few bits each.

    What a counter gains is first held in a few flip-flops; a walker adds it to the counter's word in memory, a counter each
    clock. Nothing is ever lost: the flip-flops hold the most that can come in between two visits.

    A counter read is at most ``counters + 3`` clocks old.

    Parameters
    ----------
    steps : sequence of int
        Most each counter can gain in one clock; as many as there are counters, 3 or more.
    spacing : int
        Fewest clocks from one gain of a counter to its next.

    Members
    -------
    gain : In(ArrayLayout(range(max(steps) + 1), counters))
        What each counter gains this clock.
    address : In(range(counters))
        Counter to read.
    count : Out(32)
        Its value, two clocks after `address`, three where the word was being written.
    """

    def __init__(self, *, steps: Sequence[int], spacing: int = 1):
        counters = len(steps)
        for name, value, least in (("steps", counters, 3), ("step", min(steps, default=1), 1), ("spacing", spacing, 1)):
            if value < least:
                raise ValueError(f"{name}: {value} was given, allowed is {least} and more")
        self._counters = counters
        self._most = [-(-counters // spacing) * step for step in steps]
        super().__init__(
            {
                "gain": In(data.ArrayLayout(range(max(steps) + 1), counters)),
                "address": In(range(counters)),
                "count": Out(32),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        # A board runs out of LUTs before block RAM; up to 16 words they are cheap. The walker never reads what it writes.
        attributes = {"ram_style": "block", "no_rw_check": 1} if self._counters > _FEW else {}
        m.submodules.memory = memory = Memory(shape=32, depth=self._counters, init=[], attrs=attributes)
        written = Signal()
        walk, host, write = memory.read_port(), memory.read_port(), memory.write_port()

        # A counter is read, taken over and written in three clocks; with three counters or more it is never two at once.
        at, after = Signal(range(self._counters)), Signal(range(self._counters))
        held = [Signal(range(most + 1), name=f"held_{index}") for index, most in enumerate(self._most)]
        visited, taken = Signal(range(max(self._most) + 1)), Signal(range(max(self._most) + 1))
        # Behind a register: the adders here are on nobody's path.
        gain = Signal.like(self.gain)
        m.d.sync += gain.eq(self.gain)
        # The same as `at`, one bit a counter: to be ANDed and ORed, which takes far less than a choice.
        turn = Signal(self._counters, init=1)
        m.d.sync += turn.eq(Cat(turn[-1], turn[:-1]))
        chosen: Value = Const(0, len(visited))
        for here, pending in zip(turn, held, strict=True):
            chosen = chosen | (pending & here.replicate(len(pending)))
        m.d.comb += visited.eq(chosen)
        for index, pending in enumerate(held):
            with m.If(turn[index]):
                m.d.sync += pending.eq(gain[index])
            with m.Elif(gain[index] != 0):
                m.d.sync += pending.eq(pending + gain[index])

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
            written.eq(after == self.address),
        ]
        # What block RAM gives of a word that is being written is nothing to show.
        with m.If(~written):
            m.d.sync += self.count.eq(host.data)
        return m
