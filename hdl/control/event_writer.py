"""Event records on their way to the host."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.spec import events
from hdl.spec.layout import Layout

WORD = 32

QUEUE = {events.BBO.name: 2, events.VERDICT.name: 4, events.FILL.name: 2, events.ORDER_STATE.name: 2}
"""Records of a kind that may wait for their turn, where it is not one: verdicts come two at a time, and others often follow close."""


def word() -> data.StructLayout:
    """One word of a record; ``last`` with its final one."""
    return data.StructLayout({"data": WORD, "last": 1})


class RecordSource(wiring.Component):
    """Turns the events of one kind into records of whole words.

    A small queue holds events until they are written. An event that finds it full is lost and counted; the next record of the kind
    says how many were.

    Parameters
    ----------
    layout : Layout
        Record to make.
    depth : int
        Events that may wait.

    Members
    -------
    event : In(stream.Signature(interfaces.event(layout), always_ready=True))
        Event to record.
    waiting : Out(1)
        A record can be written.
    lost : Out(16)
        Events lost before the one in front.
    shift : In(1)
        Present the next word. Only while `waiting`.
    start : In(1)
        Give the record its `number`, before the first `shift`.
    number : In(32)
        Running number.
    data : Out(32)
        Word in front, from the clock after `start` on.
    dropped : Out(1)
        An event was lost this clock.
    """

    def __init__(self, *, layout: Layout, depth: int):
        if depth < 1:
            raise ValueError(f"depth: {depth} was given, allowed is 1 and more")
        self._layout = layout
        self._depth = depth
        self.words = layout.size * 8 // WORD
        super().__init__(
            {
                "event": In(stream.Signature(interfaces.event(layout), always_ready=True)),
                "waiting": Out(1),
                "lost": Out(16),
                "start": In(1),
                "number": In(32),
                "shift": In(1),
                "data": Out(WORD),
                "dropped": Out(1),
            }
        )

    def _record(self, event: data.View, lost: Signal) -> list:
        """Fields in wire order, the most significant first."""
        known = {
            "kind": Const(ord(self._layout.code), 8),
            "words": Const(self.words, 8),
            "lost": lost,
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
        return parts

    def elaborate(self, platform) -> Module:
        m = Module()
        shape = interfaces.event(self._layout)
        entry = data.StructLayout({"event": shape, "lost": 16})
        queue = [Signal(entry, name=f"queue_{index}") for index in range(self._depth)]
        level = Signal(range(self._depth + 1))
        missed = Signal(16)

        take = Signal()
        room = level < self._depth
        put = Signal()
        m.d.comb += [
            put.eq(self.event.valid & room),
            self.dropped.eq(self.event.valid & ~room),
            take.eq(self.start),
        ]
        with m.If(self.dropped & (missed != 0xFFFF)):
            m.d.sync += missed.eq(missed + 1)
        with m.If(take):
            for here, behind in zip(queue, queue[1:]):
                m.d.sync += here.eq(behind)
        m.d.sync += level.eq(level + put - take)
        position = Signal.like(level)
        m.d.comb += position.eq(level - take)
        with m.If(put):
            m.d.sync += missed.eq(0)
            for index, place in enumerate(queue):
                with m.If(position == index):
                    m.d.sync += [place.event.eq(self.event.payload), place.lost.eq(missed)]

        record = Signal(self.words * WORD)
        head = queue[0]
        m.d.comb += [
            self.waiting.eq(level != 0),
            self.lost.eq(head.lost),
            self.data.eq(record[-WORD:]),
        ]
        with m.If(self.start):
            m.d.sync += record.eq(Cat(*reversed(self._record(head.event, head.lost))))
        with m.Elif(self.shift):
            m.d.sync += record.eq(record << WORD)
        return m


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

    Latency: an event that finds the writer idle stands at the output five clocks later.
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
        sources = [RecordSource(layout=layout, depth=QUEUE.get(layout.name, 1)) for layout in events.RECORDS.values()]
        for layout, source in zip(events.RECORDS.values(), sources, strict=True):
            m.submodules[layout.name] = source
            wiring.connect(m, wiring.flipped(getattr(self, layout.name)), source.event)
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=WORD + 1, depth=self._depth)

        longest = max(source.words for source in sources)
        chosen = Signal(range(len(sources)))
        left = Signal(range(longest + 1))
        number = Signal(32)
        skip = Signal(16)
        lengths = Signal(range(longest + 1))
        any_waiting = Cat(source.waiting for source in sources).any()

        m.d.sync += self.lost.eq(sum(source.dropped for source in sources))
        for index, source in enumerate(sources):
            m.d.comb += source.number.eq(number + skip)
            with m.If(chosen == index):
                m.d.comb += fifo.w_data.eq(Cat(source.data, left == 1))

        with m.FSM():
            with m.State("CHOOSE"):
                for index, source in reversed(list(enumerate(sources))):
                    with m.If(source.waiting):
                        m.d.sync += [chosen.eq(index), lengths.eq(source.words), skip.eq(source.lost)]
                with m.If(any_waiting & (fifo.w_level <= self._depth - longest)):
                    m.next = "START"
            with m.State("START"):
                for index, source in enumerate(sources):
                    m.d.comb += source.start.eq(chosen == index)
                m.d.sync += [left.eq(lengths), number.eq(number + skip + 1)]
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += fifo.w_en.eq(1)
                for index, source in enumerate(sources):
                    m.d.comb += source.shift.eq(chosen == index)
                m.d.sync += left.eq(left - 1)
                with m.If(left == 1):
                    m.next = "CHOOSE"

        m.d.comb += [
            self.words.valid.eq(fifo.r_rdy),
            Cat(self.words.payload.data, self.words.payload.last).eq(fifo.r_data),
            fifo.r_en.eq(self.words.ready),
        ]
        return m
