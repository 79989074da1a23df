"""Event records on their way to the host."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.spec import events
from hdl.spec.layout import Layout

WORD = 32

LUT_RAM_DEPTH = 16
"""Rows of a LUT RAM of ECP5."""

RARE = {events.ORDER_SENT.name, events.GAP.name, events.ALARM.name}
"""Kinds that come a frame apart or end the day. One of them may wait, in a register; of the others as many as a LUT RAM holds:
pairs that trigger together make six verdicts in forty clocks."""


def word() -> data.StructLayout:
    """One word of a record; ``last`` with its final one."""
    return data.StructLayout({"data": WORD, "last": 1})


class RecordSource(wiring.Component):
    """Turns the events of one kind into records of whole words.

    A queue holds events until they are written. An event that finds it full is lost and counted; the next record of the kind says
    how many were.

    Parameters
    ----------
    layout : Layout
        Record to make.
    depth : int
        Events that may wait, a power of two.

    Members
    -------
    event : In(stream.Signature(interfaces.event(layout), always_ready=True))
        Event to record.
    waiting : Out(1)
        A record can be written.
    lost : Out(16)
        Events lost before the one in front.
    number : In(32)
        Running number for the one in front.
    select : In(range(words))
        Word wanted of the one in front.
    data : Out(32)
        That word, one clock later.
    done : In(1)
        The one in front is written.
    dropped : Out(1)
        An event was lost this clock.
    """

    def __init__(self, *, layout: Layout, depth: int):
        if depth < 1 or depth & (depth - 1):
            raise ValueError(f"depth: {depth} was given, allowed are powers of two")
        self._layout = layout
        self._depth = depth
        self.words = layout.size * 8 // WORD
        super().__init__(
            {
                "event": In(stream.Signature(interfaces.event(layout), always_ready=True)),
                "waiting": Out(1),
                "lost": Out(16),
                "number": In(32),
                "select": In(range(self.words)),
                "data": Out(WORD),
                "done": In(1),
                "dropped": Out(1),
            }
        )

    def _record(self, event: data.View) -> Value:
        """The record as one number, its first word most significant."""
        known = {
            "kind": Const(ord(self._layout.code), 8),
            "words": Const(self.words, 8),
            "lost": self.lost,
            "number": self.number,
        }
        parts = []
        for field in self._layout:
            if field.name in known:
                parts.append(known[field.name])
            elif field.name == "spare":
                parts.append(Const(0, 8 * field.size))
            else:
                parts.append(Value.cast(event[field.name]))
        return Cat(*reversed(parts))

    def elaborate(self, platform) -> Module:
        m = Module()
        level = Signal(range(self._depth + 1))
        missed = Signal(16)
        put = Signal()
        front = self._queue(m, put, missed)
        m.d.comb += [
            put.eq(self.event.valid & (level != self._depth)),
            self.dropped.eq(self.event.valid & ~put),
            self.waiting.eq(level != 0),
            self.lost.eq(front.lost),
        ]
        m.d.sync += level.eq(level + put - self.done)
        with m.If(put):
            m.d.sync += missed.eq(0)
        with m.Elif(self.dropped & (missed != 0xFFFF)):
            m.d.sync += missed.eq(missed + 1)

        record = self._record(front.event)
        with m.Switch(self.select):
            for index in range(self.words):
                with m.Case(index):
                    m.d.sync += self.data.eq(record.word_select(self.words - 1 - index, WORD))
        return m

    def _queue(self, m: Module, put: Signal, missed: Signal) -> data.View:
        """Keep what is put; gives what is in front."""
        entry = data.StructLayout({"event": interfaces.event(self._layout), "lost": 16})
        if self._depth == 1:
            front = Signal(entry)
            with m.If(put):
                m.d.sync += [front.event.eq(self.event.payload), front.lost.eq(missed)]
            return front
        m.submodules.queue = queue = Memory(shape=entry, depth=self._depth, init=[])
        write, read = queue.write_port(), queue.read_port(domain="comb")
        m.d.comb += [write.en.eq(put), write.data.event.eq(self.event.payload), write.data.lost.eq(missed)]
        m.d.sync += [write.addr.eq(write.addr + put), read.addr.eq(read.addr + self.done)]
        return read.data


class EventWriter(wiring.Component):
    """Writes event records, numbered, as one stream of 32-bit words.

    When several kinds wait, the order of `events.RECORDS` decides. A record is begun only when the output queue has room for the
    whole of it, so that a slow reader never sees half a record. Numbers leave a hole for every record that was lost.

    Parameters
    ----------
    depth : int
        Words the output queue holds.

    Members
    -------
    bbo, trigger, verdict, order_sent, order_state, fill, integrity, gap, alarm :
        In(stream.Signature(interfaces.event(layout), always_ready=True)), one for each kind of record.
    words : Out(stream.Signature(word()))
        The records.
    lost : Out(range(kinds + 1))
        Events lost this clock.

    Latency: an event that finds the writer idle stands at the output six clocks later.
    """

    def __init__(self, *, depth: int = 1024):
        self._depth = depth
        super().__init__(
            {
                layout.name: In(stream.Signature(interfaces.event(layout), always_ready=True))
                for layout in events.RECORDS.values()
            }
            | {"words": Out(stream.Signature(word())), "lost": Out(range(len(events.RECORDS) + 1))}
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        sources = [
            RecordSource(layout=layout, depth=1 if layout.name in RARE else LUT_RAM_DEPTH)
            for layout in events.RECORDS.values()
        ]
        for layout, source in zip(events.RECORDS.values(), sources, strict=True):
            m.submodules[layout.name] = source
            wiring.connect(m, wiring.flipped(getattr(self, layout.name)), source.event)
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=WORD + 1, depth=self._depth)

        longest = max(source.words for source in sources)
        chosen = Signal(range(len(sources)))
        length, select = Signal(range(longest + 1)), Signal(range(longest + 1))
        number, skip = Signal(32), Signal(16)
        writing, final = Signal(), Signal()
        any_waiting = Cat(source.waiting for source in sources).any()

        m.d.sync += [self.lost.eq(sum(source.dropped for source in sources)), writing.eq(0), final.eq(0)]
        m.d.comb += fifo.w_en.eq(writing)
        for index, source in enumerate(sources):
            m.d.comb += [source.number.eq(number), source.select.eq(select)]
            with m.If(chosen == index):
                m.d.comb += fifo.w_data.eq(Cat(source.data, final))

        with m.FSM():
            with m.State("CHOOSE"):
                for index, source in reversed(list(enumerate(sources))):
                    with m.If(source.waiting):
                        m.d.sync += [chosen.eq(index), length.eq(source.words), skip.eq(source.lost)]
                m.d.sync += select.eq(0)
                # The last word of the record before is still on its way.
                with m.If(any_waiting & ~writing & (fifo.w_level <= self._depth - longest)):
                    m.next = "NUMBER"
            with m.State("NUMBER"):
                m.d.sync += number.eq(number + skip)
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.sync += [select.eq(select + 1), writing.eq(1)]
                with m.If(select == length - 1):
                    for index, source in enumerate(sources):
                        m.d.comb += source.done.eq(chosen == index)
                    m.d.sync += [final.eq(1), number.eq(number + 1)]
                    m.next = "CHOOSE"

        m.d.comb += [
            self.words.valid.eq(fifo.r_rdy),
            Cat(self.words.payload.data, self.words.payload.last).eq(fifo.r_data),
            fifo.r_en.eq(self.words.ready),
        ]
        return m
