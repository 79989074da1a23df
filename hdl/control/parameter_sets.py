"""When a new set of parameters and limits comes into force."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.spec.geometry import Geometry
from hdl.spec.registers import EPOCH_BITS


class ParameterSets(wiring.Component):
    """Two banks of everything that belongs to a set: one is in force, the host writes the other. A commit changes them over.

    Rows of `limits` and then of `pairs` are taken in order, each table from row 0 on. Row 0 of `limits` begins a set anew, row
    0 of `pairs` that table; whatever else comes is `out_of_turn` and not taken. A commit asks for an epoch. It is refused where
    that is not the one behind the epoch in force (`wrong_epoch`), where not every row of both tables was taken since the
    last change, or one of them was refused behind this component (`incomplete`), and where a register is above its ceiling
    (`above_ceiling`); the first that holds is told. So a set is only ever in force whole, and one
    that was begun and given up is written over. Registers that belong to a set are not counted: the host reads them back.

    A change waits for nothing but what is under way: from `hold` on nothing is evaluated anew, what was begun leads to its
    request, or to none, within `DRAIN` clocks, the gate judges it, and in the clock after `swap` everything is read from the
    other bank.

    Latency: `swap` comes `LATENCY` clocks after `commit`, at most `LATENCY_BUSY` where a request is being judged; one more
    behind a row of limits that was just written.

    Overload: while a commit waits (`frozen`) nothing of a set is taken; rows that come then are out of turn. A second commit that
    comes meanwhile is answered after the first.

    Source: DESIGN sections 7, 9 and 10, docs/decisions/0008.

    Parameters
    ----------
    geometry : Geometry
        Decides how many rows are a set.

    Members
    -------
    pairs : In(stream.Signature(StructLayout({"row"}), always_ready=True))
    limits : In(stream.Signature(StructLayout({"row"}), always_ready=True))
        Number of a row that the host wrote.
    take_pair, take_limits : Out(1)
        It is taken.
    limits_waiting : In(1)
        A row of limits that was taken is not in its bank yet.
    limits_refused : In(1)
        It was above a ceiling.
    registers_above : In(1)
        What was written of a set's registers is above a ceiling, as of one clock before.
    judging : In(1)
        A request is being judged, from the clock after it was taken on.
    commit : In(stream.Signature(EPOCH_BITS, always_ready=True))
        The host wants what it wrote to be this epoch.
    epoch : Out(EPOCH_BITS)
        The one in force.
    bank : Out(1)
        Bank in force.
    frozen : Out(1)
        A commit waits.
    hold : Out(1)
        No evaluation may be begun: no request is offered later than `DRAIN` clocks after this came.
    swap : Out(1)
        The last clock of the old set.
    wrong_epoch, incomplete, above_ceiling, out_of_turn : Out(1)
        One-clock pulses.
    """

    DRAIN = 3
    LATENCY = DRAIN + 4
    LATENCY_BUSY = LATENCY + 5

    def __init__(self, *, geometry: Geometry):
        self._geometry = geometry
        super().__init__(
            {
                "pairs": In(stream.Signature(data.StructLayout({"row": range(max(2, geometry.pairs))}), always_ready=True)),
                "limits": In(stream.Signature(data.StructLayout({"row": range(geometry.slots)}), always_ready=True)),
                "take_pair": Out(1),
                "take_limits": Out(1),
                "limits_waiting": In(1),
                "limits_refused": In(1),
                "registers_above": In(1),
                "judging": In(1),
                "commit": In(stream.Signature(EPOCH_BITS, always_ready=True)),
                "epoch": Out(EPOCH_BITS),
                "bank": Out(1),
                "frozen": Out(1),
                "hold": Out(1),
                "swap": Out(1),
                "wrong_epoch": Out(1),
                "incomplete": Out(1),
                "above_ceiling": Out(1),
                "out_of_turn": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        asked = Signal()
        self._held = held = Signal(self.DRAIN + 1)
        m.d.comb += self.frozen.eq(self.commit.valid | asked | self.hold)
        pairs = self._rows(m, self.pairs, self.take_pair, self._geometry.pairs)
        limits = self._rows(m, self.limits, self.take_limits, self._geometry.slots)
        # A set begins with its limits: what was written of another before them is none of it.
        with m.If(self.take_limits & (self.limits.payload.row == 0)):
            m.d.sync += pairs.eq(0)
        m.d.comb += self.out_of_turn.eq((self.pairs.valid & ~self.take_pair) | (self.limits.valid & ~self.take_limits))
        self._broken = broken = Signal()
        with m.If(self.limits_refused):
            m.d.sync += broken.eq(1)
        with m.Elif(self.take_limits & (self.limits.payload.row == 0)):
            m.d.sync += broken.eq(0)

        wanted, following = Signal(EPOCH_BITS), Signal(EPOCH_BITS, init=1)
        decide, is_next, complete = Signal(), Signal(), Signal()
        m.d.comb += [
            decide.eq(asked & ~self.hold & ~self.limits_waiting),
            is_next.eq(wanted == following),
            complete.eq((pairs == self._geometry.pairs) & (limits == self._geometry.slots) & ~broken),
            self.wrong_epoch.eq(decide & ~is_next),
            self.incomplete.eq(decide & is_next & ~complete),
            self.above_ceiling.eq(decide & is_next & complete & self.registers_above),
        ]
        with m.If(self.commit.valid):
            m.d.sync += [asked.eq(1), wanted.eq(self.commit.payload)]
        with m.Elif(decide):
            m.d.sync += asked.eq(0)

        # The last request may be taken just when the last of these comes, and is being judged a clock later.
        m.d.sync += [
            held.eq(Cat(self.hold, held) & ~self.swap.replicate(len(held))),
            self.swap.eq(held[-1] & ~self.judging & ~self.swap),
        ]
        with m.If(decide & is_next & complete & ~self.registers_above):
            m.d.sync += self.hold.eq(1)
        with m.If(self.swap):
            m.d.sync += [
                self.hold.eq(0),
                self.bank.eq(~self.bank),
                self.epoch.eq(following),
                following.eq(following + 1),
                pairs.eq(0),
                limits.eq(0),
            ]
        return m

    def _rows(self, m: Module, written, take: Signal, count: int) -> Signal:
        """Rows taken in order since the last change."""
        done = Signal(range(count + 1), name=f"rows_of_{take.name}")
        row = written.payload.row
        m.d.comb += take.eq(written.valid & ~self.frozen & ((row == 0) | (row == done)))
        with m.If(take):
            m.d.sync += done.eq(row + 1)
        return done
