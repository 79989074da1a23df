"""Event records on their way to the host."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.spec import events
from hdl.spec.layout import Layout

WORD = 32
HEADER_WORDS = sum(field.size for field in events.HEADER) * 8 // WORD
LONGEST = max(layout.size for layout in events.RECORDS.values()) * 8 // WORD
"""Words of the longest record."""

QUEUE_DEPTH = 16
"""Records that may wait behind the sources: the rows of a LUT RAM of ECP5."""


ROOM = QUEUE_DEPTH // 2
"""Places in it that touches leave to the others, where some may wait behind them."""


def by_rank(*, bbo_behind: int) -> list[Layout]:
    """Kinds of records, those first that go first: verdicts, and touches last where they can wait, as all others are rarer and
    say more."""
    last = events.BBO if bbo_behind else None
    return sorted(events.RECORDS.values(), key=lambda layout: (layout is not events.VERDICT, layout is last))


def word() -> data.StructLayout:
    """One word of a record; ``last`` with its final one."""
    return data.StructLayout({"data": WORD, "last": 1})


def body(layout: Layout, event: data.View) -> Value:
    """Words of a record behind its header, the first one lowest; as many as the longest has, 0 where this one has ended."""
    parts = [
        Const(0, 8 * field.size) if field.name == "spare" else Value.cast(event[field.name])
        for field in layout
        if field.name == "spare" or field.name not in interfaces.EVENT_HEADER_FIELDS
    ]
    record = Cat(*reversed(parts))
    words = [record.word_select(index, WORD) for index in reversed(range(len(record) // WORD))]
    return Cat(*words, Const(0, WORD * (LONGEST - HEADER_WORDS - len(words))))


class RecordSource(wiring.Component):
    """Keeps one event of a kind until it is moved on. One that finds no room is lost and counted.

    Parameters
    ----------
    layout : Layout
        Record to be made of it.
    eager : bool
        `waiting` is high in the clock of the event already, so that one a clock can be moved.
    behind : int
        Events that may wait behind the one kept, in block RAM; where there are any, each comes two clocks later.

    Members
    -------
    event : In(stream.Signature(interfaces.event(layout), always_ready=True))
        Event to record.
    waiting : Out(1)
        An event can be moved in the next clock.
    move : In(1)
        The one kept is taken in this clock, one after `waiting` at least.
    kept : Out(interfaces.event(layout))
        That event.
    lost : Out(16)
        Events lost before it, 65,535 standing for as many or more.
    dropped : Out(1)
        An event was lost this clock.
    """

    def __init__(self, *, layout: Layout, eager: bool = False, behind: int = 0):
        if eager and behind:
            raise ValueError(f"behind: {behind} was given, allowed is 0 for events that are moved at once")
        self._eager, self._behind = eager, behind
        super().__init__(
            {
                "event": In(stream.Signature(interfaces.event(layout), always_ready=True)),
                "waiting": Out(1),
                "move": In(1),
                "kept": Out(interfaces.event(layout)),
                "lost": Out(16),
                "dropped": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        full, put = Signal(), Signal()
        missed, taken = Signal(16), Signal()
        entry = Cat(self.event.payload, missed)
        m.d.comb += [
            taken.eq(put),
            self.dropped.eq(self.event.valid & ~taken),
            self.waiting.eq(full & ~self.move),
        ]
        if self._behind:
            m.submodules.behind = behind = SyncFIFOBuffered(width=len(entry), depth=self._behind)
            m.d.comb += [
                behind.w_data.eq(entry),
                behind.w_en.eq(self.event.valid),
                taken.eq(self.event.valid & behind.w_rdy),
                put.eq(behind.r_rdy & (~full | self.move)),
                behind.r_en.eq(put),
            ]
            entry = behind.r_data
        else:
            m.d.comb += put.eq(self.event.valid & (~full | self.move))
        if self._eager:
            m.d.comb += self.waiting.eq((full & ~self.move) | put)
        m.d.sync += full.eq(put | (full & ~self.move))
        with m.If(put):
            m.d.sync += Cat(self.kept, self.lost).eq(entry)
        with m.If(taken):
            m.d.sync += missed.eq(0)
        with m.Elif(self.dropped & ~missed.all()):
            m.d.sync += missed.eq(missed + 1)
        return m


class EventWriter(wiring.Component):
    """Writes event records, numbered, as one stream of 32-bit words.

    Every kind keeps one event until its turn to enter the common queue (`by_rank`); one enters each clock, so an event waits for
    no more clocks than there are kinds, and only verdicts, two in a row, and at line rate touches, come closer than that. A
    record is begun only when the output queue has room for all of it, so that a slow reader never sees half a record. Numbers
    leave a hole for every record that was lost: one whose kind keeps another still, because both queues are full.

    Parameters
    ----------
    depth : int
        Words the output queue holds.
    bbo_behind, integrity_behind : int
        BBO and INTEGRITY events that may wait behind the one that is kept, where they come faster than records can be written.
        Touches that may wait go last and leave `ROOM` of the queue's places to the others.

    Members
    -------
    bbo, trigger, verdict, order_sent, order_state, fill, integrity, gap, alarm :
        In(stream.Signature(interfaces.event(layout), always_ready=True)), one for each kind of record.
    words : Out(stream.Signature(word()))
        The records.
    lost : Out(range(kinds + 1))
        Events lost this clock.

    Latency: an event that finds the writer idle stands at the output `LATENCY` clocks later, a verdict one clock earlier, what
    may wait behind another of its kind two later.
    """

    LATENCY = 7

    def __init__(self, *, depth: int = 1024, bbo_behind: int = 0, integrity_behind: int = 0):
        if depth < 2 * LONGEST:
            raise ValueError(f"depth: {depth} was given, allowed is {2 * LONGEST} and more")
        self._depth, self._behind = depth, {events.BBO: bbo_behind, events.INTEGRITY: integrity_behind}
        super().__init__(
            {
                layout.name: In(stream.Signature(interfaces.event(layout), always_ready=True))
                for layout in events.RECORDS.values()
            }
            | {"words": Out(stream.Signature(word())), "lost": Out(range(len(events.RECORDS) + 1))}
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        layouts = by_rank(bbo_behind=self._behind[events.BBO])
        entry = data.StructLayout(
            {"kind": range(len(layouts)), "lost": 16, "words": data.ArrayLayout(WORD, LONGEST - HEADER_WORDS)}
        )
        m.submodules.queue = queue = Memory(shape=entry, depth=QUEUE_DEPTH, init=[])
        write, read = queue.write_port(), queue.read_port(domain="comb")
        level, done = Signal(range(QUEUE_DEPTH + 1)), Signal()
        m.d.sync += [
            level.eq(level + write.en - done),
            write.addr.eq(write.addr + write.en),
            read.addr.eq(read.addr + done),
        ]
        self._collect(m, layouts, write, level)
        self._write(m, layouts, read.data, level, done)
        return m

    def _collect(self, m: Module, layouts: list[Layout], write, level: Signal) -> None:
        """Move what the sources keep into the queue, one a clock."""
        sources = [
            RecordSource(layout=layout, eager=layout is events.VERDICT, behind=self._behind.get(layout, 0)) for layout in layouts
        ]
        entry: Value = Const(0, len(Value.cast(write.data)))
        # One that is on its way does not count in `level` yet.
        free: Value = level < QUEUE_DEPTH - 1
        room = level < ROOM
        for index, (layout, source) in enumerate(zip(layouts, sources, strict=True)):
            m.submodules[layout.name] = source
            wiring.connect(m, wiring.flipped(getattr(self, layout.name)), source.event)
            asks = source.waiting & room if layout is events.BBO and self._behind[layout] else source.waiting
            m.d.sync += source.move.eq(free & asks)
            free = free & ~source.waiting
            row = Signal(write.data.shape(), name=f"row_{layout.name}")
            m.d.comb += [row.kind.eq(index), row.lost.eq(source.lost), Value.cast(row.words).eq(body(layout, source.kept))]
            entry = entry | (Value.cast(row) & source.move.replicate(len(entry)))
        m.d.comb += [Value.cast(write.data).eq(entry), write.en.eq(Cat(source.move for source in sources).any())]
        m.d.sync += self.lost.eq(sum(source.dropped for source in sources))

    def _write(self, m: Module, layouts: list[Layout], front: data.View, level: Signal, done: Signal) -> None:
        """Write the record in front, a word a clock."""
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=WORD + 1, depth=self._depth)
        number, ends = Signal(32), Signal(LONGEST)
        code, size, last_word = Signal(8), Signal(8), Signal(LONGEST)
        with m.Switch(front.kind):
            for index, layout in enumerate(layouts):
                words = layout.size * 8 // WORD
                with m.Case(index):
                    m.d.comb += [code.eq(ord(layout.code)), size.eq(words), last_word.eq(1 << words - 1)]
        record = Cat(front.lost, size, code, number, front.words)

        # One-hot: the word to write.
        at = Signal(LONGEST)
        chosen: Value = Const(0, WORD)
        for index in range(LONGEST):
            chosen = chosen | (record.word_select(index, WORD) & at[index].replicate(WORD))
        word, final, room = Signal(WORD), Signal(), Signal()
        last = (at & ends).any()
        # `room` is a clock late, and so is the level behind the last word written.
        m.d.sync += [fifo.w_en.eq(at.any()), word.eq(chosen), final.eq(done), room.eq(fifo.w_level < self._depth - LONGEST - 1)]
        m.d.comb += [fifo.w_data.eq(Cat(word, final)), done.eq(last)]
        with m.If(at.any()):
            m.d.sync += at.eq(Mux(last, 0, at << 1))
            with m.If(last):
                m.d.sync += number.eq(number + 1)
        with m.Elif((level != 0) & room & ~fifo.w_en):
            m.d.sync += [at.eq(1), ends.eq(last_word), number.eq(number + front.lost)]

        m.d.comb += [
            self.words.valid.eq(fifo.r_rdy),
            Cat(self.words.payload.data, self.words.payload.last).eq(fifo.r_data),
            fifo.r_en.eq(self.words.ready),
        ]
