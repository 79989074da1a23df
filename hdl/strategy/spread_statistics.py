"""Thresholds that follow the spread: mean and variance of each pair's middle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.book.quiet_read import quiet_read
from hdl.spec import registers
from hdl.spec.geometry import Geometry
from hdl.spec.statistics import (
    COUNT_BITS,
    DEVIATION_BITS,
    FRACTION,
    FURTHEST,
    K_FRACTION,
    MEAN_BITS,
    SAMPLE_BITS,
    VARIANCE_BITS,
)

PAIRS = next(table for table in registers.STRATEGY.tables if table.name == "pairs")

_WORD = 36
"""Width of a block RAM of ECP5."""
_SAMPLES = 4
"""Word of a pair's row that says how much the others are worth."""
_SHIFT_BITS, _FACTOR_BITS = 4, 8
_BAND = DEVIATION_BITS + _FACTOR_BITS
_BELOW = FRACTION - K_FRACTION
"""Bits of the mean below those of a standard deviation times a factor."""
_CEIL = (1 << K_FRACTION + 1) - 1


def thresholds() -> data.StructLayout:
    """What spreads are held against, in steps of the spread."""
    return data.StructLayout({name: signed(SAMPLE_BITS) for name in ("upper", "lower", "exit_short", "exit_long")})


class SpreadStatistics(wiring.Component):
    """Mean and variance of adaptive pairs, and the thresholds that follow from them, all as `hdl.spec.statistics` defines it.

    Time is the feed's: a window of 2**`interval` ns begins with the change of a touch whose timestamp lies in another one than
    that of the change before. The first sample of a pair in a window that finds room in the queue is the one that counts.

    One worker takes the samples one after the other, bit by bit: a pair is eight words of block RAM, and the arithmetic one adder
    a step. Thresholds are given out from `warmup` samples on, after every sample. What the host's row says of a pair lies in two
    banks, that of `bank` is in force; a sample that is at work when it changes is taken over, and gives no thresholds.

    Latency: thresholds are offered `latency(alpha_shift)` clocks after a sample where nothing waits before it.

    Overload: `QUEUE` samples wait behind the one at work, so ``clock / (latency(k) - 1)`` samples a second can be served (at 125
    MHz and k = 15, 822,000). A sample that finds no room is `lost`; the next one of its pair, in the same window too, takes its
    place. A restart loses the samples that wait and the one at work, whichever pair they are of: they may be the pair's.

    Source: DESIGN section 6, docs/decisions/0007.

    Parameters
    ----------
    geometry : Geometry
        Decides the pairs.

    Members
    -------
    pairs : In(stream.Signature(interfaces.table_write(PAIRS, geometry), always_ready=True))
        Rows of the host, for the bank that is not in force.
    restart : In(stream.Signature(StructLayout({"pair"}), always_ready=True))
        Pair whose statistics begin anew.
    bank : In(1)
        Bank in force.
    swap : In(1)
        It changes with the next clock.
    timestamp : In(stream.Signature(48, always_ready=True))
        Of each changed touch, three clocks before its first `sample` at the latest.
    interval : In(6)
        Windows are 2**interval ns long; from 48 on there is only one.
    sample : In(stream.Signature(StructLayout({"pair", "sell", "buy"}), always_ready=True))
        Both spreads of an adaptive pair whose books can be trusted.
    thresholds : Out(stream.Signature(StructLayout({"pair", "thresholds"})))
        New thresholds of a pair.
    inspect : In(stream.Signature(16, always_ready=True))
        Pair whose statistics to show.
    inspected : Out(16)
        Pair of `mean`, `variance` and `samples`; 65,535 while they are fetched.
    mean, variance, samples : Out
        Of that pair, when they were fetched.
    taken, cut : Out(1)
        One-clock pulses: a sample was taken over; its deviation was cut.
    lost : Out(range(3))
        Samples lost in this clock.
    """

    QUEUE = 16

    @staticmethod
    def latency(alpha_shift: int) -> int:
        """Clocks from a sample to the thresholds that follow from it."""
        return 2 * (DEVIATION_BITS + alpha_shift) + 49

    def __init__(self, *, geometry: Geometry):
        self._geometry = geometry
        pair = geometry.pair_bits
        sample = data.StructLayout({"pair": pair, "sell": signed(SAMPLE_BITS), "buy": signed(SAMPLE_BITS)})
        super().__init__(
            {
                "pairs": In(stream.Signature(interfaces.table_write(PAIRS, geometry), always_ready=True)),
                "restart": In(stream.Signature(data.StructLayout({"pair": pair}), always_ready=True)),
                "bank": In(1),
                "swap": In(1),
                "timestamp": In(stream.Signature(48, always_ready=True)),
                "interval": In(6),
                "sample": In(stream.Signature(sample, always_ready=True)),
                "thresholds": Out(stream.Signature(data.StructLayout({"pair": pair, "thresholds": thresholds()}))),
                "inspect": In(stream.Signature(16, always_ready=True)),
                "inspected": Out(16, init=0xFFFF),
                "mean": Out(signed(MEAN_BITS)),
                "variance": Out(VARIANCE_BITS),
                "samples": Out(COUNT_BITS),
                "taken": Out(1),
                "cut": Out(1),
                "lost": Out(range(3)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        self._pop = Signal()
        waits, waiting, dropped = self._queue(m, self._window(m))
        self._work(m, waits, waiting, dropped)
        return m

    def _window(self, m: Module) -> Signal:
        """High three clocks after a change of a touch that begins a window."""
        last = Signal(48)
        apart, mask = Signal(48), Signal(48)
        seen, new, begins = Signal(), Signal(), Signal()
        m.d.sync += [
            mask.eq(Const(-1, 48) << self.interval),
            seen.eq(self.timestamp.valid),
            apart.eq(self.timestamp.payload ^ last),
            new.eq(seen & (apart & mask).any()),
            begins.eq(new),
        ]
        with m.If(self.timestamp.valid):
            m.d.sync += last.eq(self.timestamp.payload)
        return begins

    def _queue(self, m: Module, begins: Signal) -> tuple:
        """Keep the samples that are due. Gives whether one waits, which, and how many found no room."""
        geometry = self._geometry
        entry = data.StructLayout({"pair": geometry.pair_bits, "total": signed(SAMPLE_BITS)})
        m.submodules.queue = queue = Memory(shape=entry, depth=self.QUEUE, init=[])
        read, write = queue.read_port(domain="comb"), queue.write_port()
        head, tail = Signal(range(2 * self.QUEUE)), Signal(range(2 * self.QUEUE))
        had = Signal(geometry.pairs)
        here = Signal(entry)
        valid, due, room = Signal(), Signal(), Signal()
        m.d.comb += [
            due.eq(valid & ~had.bit_select(here.pair, 1)),
            room.eq((head ^ tail) != self.QUEUE),
            write.addr.eq(tail[:-1]),
            write.data.eq(here),
            write.en.eq(due & room),
            read.addr.eq(head[:-1]),
        ]
        m.d.sync += [
            valid.eq(self.sample.valid & ~self.restart.valid),
            here.pair.eq(self.sample.payload.pair),
            here.total.eq(self.sample.payload.sell + self.sample.payload.buy),
        ]
        with m.If(write.en):
            m.d.sync += [tail.eq(tail + 1), had.bit_select(here.pair, 1).eq(1)]
        with m.If(begins):
            m.d.sync += had.eq(0)
        # What waits at a restart goes, one a clock.
        discard, until = Signal(), Signal.like(tail)
        discards = discard & (head != until)
        with m.If(self._pop | discards):
            m.d.sync += head.eq(head + 1)
        with m.If(head == until):
            m.d.sync += discard.eq(0)
        with m.If(self.restart.valid):
            m.d.sync += [until.eq(tail + write.en), discard.eq(1)]
        return (head != tail) & ~discard, read.data, (due & ~room) + discards

    def _work(self, m: Module, waits: Value, waiting: data.View, dropped: Value) -> None:
        """Fetch what is known of a pair, take one sample over, put it back, work out thresholds."""
        geometry = self._geometry
        rule_layout = data.StructLayout(
            {"adaptive": 1, "alpha_shift": _SHIFT_BITS, "k_entry": _FACTOR_BITS, "k_exit": _FACTOR_BITS, "warmup": COUNT_BITS}
        )
        row_layout = data.StructLayout(
            {
                "mean": signed(MEAN_BITS),
                "spare": 2 * _WORD - MEAN_BITS,
                "variance": VARIANCE_BITS,
                "samples": COUNT_BITS,
                "spare_too": _WORD - COUNT_BITS,
            }
        )
        words = row_layout.size // _WORD
        attributes = {"ram_style": "block", "no_rw_check": 1}
        m.submodules.rows = rows = Memory(shape=_WORD, depth=8 * geometry.pairs, init=[], attrs=attributes)
        write = rows.write_port()
        pair, row = Signal(geometry.pair_bits), Signal(row_layout)
        step = Signal(range(DEVIATION_BITS))
        word = quiet_read(m, rows, write, address=Cat(step[:3], pair), name="word")

        # What the host's rows say; what is read is in force, what is written is not.
        m.submodules.rules = rules = Memory(shape=rule_layout, depth=2 << geometry.pair_bits, init=[], attrs=attributes)
        rule_read, rule_write = rules.read_port(domain="comb"), rules.write_port()
        rule_word, rule = Signal(rule_layout, reset_less=True), Signal(rule_layout)
        m.d.sync += rule_word.eq(rule_read.data)
        m.d.comb += [
            rule_read.addr.eq(Cat(pair, self.bank)),
            rule_write.addr.eq(Cat(self.pairs.payload.index, ~self.bank)),
            *(rule_write.data[name].eq(self.pairs.payload.row[name]) for name in rule_layout.members),
            rule_write.en.eq(self.pairs.valid),
        ]

        # A restart: no samples; whatever is at work and may be of it is void. `stale`: begun by rules no longer in force.
        void, kept, stale = Signal(), Signal(), Signal()
        storing = Signal()
        m.d.comb += [
            write.addr.eq(Cat(step[:3], pair)),
            write.data.eq(Value.cast(row)[:_WORD]),
            write.en.eq(self.restart.valid | (storing & ~void)),
        ]
        with m.If(self.restart.valid):
            m.d.comb += [write.addr.eq(Cat(Const(_SAMPLES, 3), self.restart.payload.pair)), write.data.eq(0)]

        asked, asked_pair = Signal(), Signal(16)
        showing = Signal()
        sample = Signal(signed(SAMPLE_BITS))
        deviation = Signal(signed(MEAN_BITS + 1))
        held_back = Signal(signed(DEVIATION_BITS + FRACTION + 1))
        factor, bits = Signal(DEVIATION_BITS), Signal(DEVIATION_BITS)
        square, grown = Signal(VARIANCE_BITS + 1), Signal(VARIANCE_BITS + 1)
        remainder, root = Signal(DEVIATION_BITS + 2), Signal(DEVIATION_BITS)
        inexact, low_bits = Signal(), Signal()
        factors, band = Signal(2 * _FACTOR_BITS), Signal(_BAND)
        which, edge = Signal(2), Signal(signed(MEAN_BITS - _BELOW + 1))
        found = Signal(thresholds())
        m.d.sync += [inexact.eq(remainder.any()), low_bits.eq(row.mean[:_BELOW].any())]
        m.d.comb += self.lost.eq(dropped)
        with m.If(self.swap):
            m.d.sync += stale.eq(1)

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [void.eq(0), stale.eq(0), step.eq(0), which.eq(0)]
                with m.If(asked):
                    m.d.sync += [showing.eq(1), pair.eq(asked_pair)]
                    m.next = "LOAD"
                with m.Elif(waits):
                    m.d.comb += self._pop.eq(1)
                    m.d.sync += [showing.eq(0), pair.eq(waiting.pair), sample.eq(waiting.total)]
                    m.next = "LOAD"

            with m.State("LOAD"):
                m.d.sync += [step.eq(step + 1), Value.cast(row).eq(Cat(Value.cast(row)[_WORD:], word)), rule.eq(rule_word)]
                with m.If(step == words):
                    m.next = "DEVIATE"

            with m.State("DEVIATE"):
                m.d.sync += [
                    step.eq(0),
                    deviation.eq(Cat(Const(0, FRACTION), sample).as_signed() - row.mean),
                ]
                m.next = "CUT"
                with m.If(showing):
                    # Another pair may have been asked for meanwhile: then that one comes next.
                    with m.If(~void & (pair == asked_pair)):
                        m.d.sync += [
                            self.mean.eq(row.mean),
                            self.variance.eq(row.variance),
                            self.samples.eq(row.samples),
                            self.inspected.eq(asked_pair),
                            asked.eq(0),
                        ]
                    m.next = "IDLE"
                with m.Elif(row.samples == 0):
                    m.d.sync += [row.mean.eq(Cat(Const(0, FRACTION), sample)), row.variance.eq(0), row.samples.eq(1)]
                    m.next = "STORE"
            with m.State("CUT"):
                size = len(held_back) - 1
                negative, beyond = deviation[-1], deviation[size:-1]
                far = Mux(negative, ~beyond.all() | ~deviation[:size].any(), beyond.any())
                m.d.comb += self.cut.eq(far & ~void)
                m.d.sync += held_back.eq(Mux(far, Mux(negative, -FURTHEST, FURTHEST), deviation[: size + 1].as_signed()))
                m.next = "MAGNITUDE"
            with m.State("MAGNITUDE"):
                magnitude = Mux(held_back < 0, -held_back, held_back)
                m.d.sync += [square.eq(0), factor.eq(magnitude[FRACTION:]), bits.eq(magnitude[FRACTION:])]
                m.next = "SQUARE"
            with m.State("SQUARE"):
                m.d.sync += [
                    square.eq((square << 1) + (factor & bits[-1].replicate(len(factor)))),
                    bits.eq(bits << 1),
                    step.eq(step + 1),
                ]
                with m.If(step < rule.alpha_shift):
                    m.d.sync += held_back.eq(held_back >> 1)
                with m.If(step == DEVIATION_BITS - 1):
                    m.d.sync += step.eq(0)
                    m.next = "MOVE"
            with m.State("MOVE"):
                m.d.sync += [row.mean.eq(row.mean + held_back), row.samples.eq(row.samples + ~row.samples.all())]
                m.next = "SHRINK"
            with m.State("SHRINK"):
                m.d.sync += [step.eq(step + 1), square.eq(square >> 1)]
                with m.If(step == rule.alpha_shift):
                    m.d.sync += [step.eq(0), square.eq(square)]
                    m.next = "GROW"
            with m.State("GROW"):
                total = Signal(len(grown))
                m.d.comb += total.eq(row.variance + square)
                m.d.sync += [grown.eq(total), square.eq(total)]
                m.next = "SHRINK_AGAIN"
            with m.State("SHRINK_AGAIN"):
                m.d.sync += [step.eq(step + 1), square.eq(square >> 1)]
                with m.If(step == rule.alpha_shift):
                    m.d.sync += [step.eq(0), square.eq(square)]
                    m.next = "DECAY"
            with m.State("DECAY"):
                m.d.sync += row.variance.eq(grown - square)
                m.next = "STORE"

            with m.State("STORE"):
                # Round once, so that everything stands where it stood. A restart goes first; what was begun is ended.
                m.d.comb += storing.eq(1)
                with m.If(~self.restart.valid):
                    m.d.sync += [step.eq(step + 1), Value.cast(row).eq(Cat(Value.cast(row)[_WORD:], Value.cast(row)[:_WORD]))]
                    with m.If(step == words - 1):
                        m.d.comb += [self.taken.eq(~void), self.lost.eq(dropped + void)]
                        m.d.sync += [step.eq(0), kept.eq(1)]
                        m.next = "WARM"
            with m.State("WARM"):
                m.d.sync += [
                    grown.eq(row.variance),
                    remainder.eq(0),
                    root.eq(0),
                    factors.eq(Cat(rule.k_exit, rule.k_entry)),
                ]
                # A sample may have waited until a set came into force in which its pair is static.
                with m.If(void | stale | ~rule.adaptive | (row.samples < rule.warmup)):
                    m.d.sync += kept.eq(0)
                    m.next = "IDLE"
                with m.Else():
                    m.next = "ROOT"
            with m.State("ROOT"):
                # Two bits of the variance bring one of its root.
                brought = Cat(grown[VARIANCE_BITS - 2 : VARIANCE_BITS], remainder)
                left = Signal(signed(len(brought) + 1))
                m.d.comb += left.eq(brought - Cat(Const(1, 2), root))
                m.d.sync += [
                    remainder.eq(Mux(left < 0, brought, left)),
                    root.eq(Cat(~left[-1], root)),
                    grown.eq(grown << 2),
                    step.eq(step + 1),
                ]
                with m.If(step == DEVIATION_BITS - 1):
                    m.next = "EXACT"
            with m.State("EXACT"):
                m.next = "ROUND"
            with m.State("ROUND"):
                m.d.sync += [root.eq(root + inexact), step.eq(0), band.eq(0)]
                m.next = "SCALE"
            with m.State("SCALE"):
                m.d.sync += [
                    band.eq((band << 1) + (root & factors[-1].replicate(len(root)))),
                    factors.eq(factors << 1),
                    step.eq(step + 1),
                ]
                with m.If(step == _FACTOR_BITS - 1):
                    m.next = "EDGE"
            with m.State("EDGE"):
                mean = row.mean[_BELOW:].as_signed()
                m.d.sync += edge.eq(Mux(which[0], mean - band, mean + band))
                m.next = "SETTLE"
            with m.State("SETTLE"):
                # Upper and exit_long are rounded up, the others down.
                up = which[0] == which[1]
                rounded = (edge + Mux(up, _CEIL + low_bits, 0)) >> K_FRACTION + 1
                m.d.sync += [
                    Value.cast(found).eq(Cat(Value.cast(found)[SAMPLE_BITS:], rounded[:SAMPLE_BITS])),
                    which.eq(which + 1),
                    step.eq(0),
                ]
                m.next = "EDGE"
                with m.If(which == 1):
                    m.d.sync += band.eq(0)
                    m.next = "SCALE"
                with m.Elif(which == 3):
                    m.next = "PUBLISH"
            with m.State("PUBLISH"):
                m.d.comb += self.thresholds.valid.eq(~void & ~stale)
                with m.If(self.thresholds.ready | void | stale):
                    m.d.sync += kept.eq(0)
                    m.next = "IDLE"

        m.d.comb += [self.thresholds.payload.pair.eq(pair), self.thresholds.payload.thresholds.eq(found)]
        # What is being stored, or is, concerns the pair restarted only where it is of it.
        with m.If(self.restart.valid & (~(kept | storing) | (self.restart.payload.pair == pair))):
            m.d.sync += void.eq(1)
        with m.If(self.inspect.valid):
            known = self.inspect.payload < self._geometry.pairs
            m.d.sync += [asked.eq(known), asked_pair.eq(self.inspect.payload), self.inspected.eq(0xFFFF)]
