"""The feed's third line: messages the host writes, put between those of the packets."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.feed.moldudp64_receiver import PACKET, message_width, numbered_beat
from hdl.spec import injection
from hdl.spec.reasons import Drop

LINE = 2
"""What `MessageInjector.line_out` says of the host's messages; 0 is A, 1 is B."""

_WORD_BYTES = 4


class _Oldest:
    """The oldest message of the host.

    ``number``; ``left``: beats behind the one that comes; ``odd``: bytes of its last beat, less one; ``mark``; ``ready``: these
    are known.
    ``giving``: from the clock before its first beat to the end of its packet. ``valid``, ``first``: of its beat; ``data``: that
    beat's bytes. ``clearing``: it is to be forgotten, once it is not being given.
    """

    def __init__(self, lanes: int) -> None:
        self.number, self.data = Signal(64, reset_less=True), Signal(8 * lanes)
        self.odd = Signal((lanes - 1).bit_length())
        self.left = Signal(injection.LONGEST.bit_length() - len(self.odd))
        self.mark = Signal(2)
        self.ready, self.giving, self.valid, self.first, self.clearing = (
            Signal(name=name) for name in ("ready", "giving", "valid", "first", "clearing")
        )
        self.last = self.left == 0


class MessageInjector(wiring.Component):
    """Passes the messages of packets on, and puts the host's between them, each as a packet of its own whose frame was good, or
    where it has a mark as none.

    The host writes words (`hdl.spec.injection`). A message is begun only while no frame is being received, none has just ended
    and no packet waits in `PacketHold`: a frame that begins then has its headers before its first message, and they take longer
    than the longest message from here. So nothing of a packet ever waits.

    Parameters
    ----------
    width : int
        Bytes a beat of the payload, 1 or 8.
    settle : int
        Clocks after the last beat of a frame in which its verdict can still be on its way to the stage behind.
    tail : int
        Clocks from a message's last beat to its packet's end, 1 or more: as many as the stage behind looks at `line_out`.
    messages : int
        Messages that can wait, a power of two.

    Members
    -------
    word : In(stream.Signature(32, always_ready=True))
        Words of the host.
    clear : In(1)
        Forget every message that is not under way, and the words of one not yet whole.
    level : Out(range(messages + 1))
        Messages that wait, the one under way among them.
    frame : In({"valid", "last"})
        A beat of a frame stands at the MAC's receive output, and whether it is the frame's last.
    waiting : In(1)
        `PacketHold` has something to give.
    draining : In(1)
        The ring behind gives messages, before which one with a mark does not begin.
    asks : Out(1)
        One with a mark would begin, or is under way: the ring must not begin to drain.
    message, coming, line, busy, packet : In
        As `MoldUdp64Receiver` gives them.
    message_out, coming_out, line_out, busy_out, packet_out, mark_out : Out
        The same with the host's messages among them, as `Resequencer` takes them; the host's packets tell no number.
        ``mark_out``: of the message under way, see `injection.Mark`; one with a mark has no end of a packet.
    drop : Out(len(Drop))
        Pulses: INJECT_LENGTH, a message whose length is none; INJECT_OVERRUN, one there was no room for.

    Latency: 0 cycles for what passes. A message of the host begins two cycles after the first in which it may, which is
    ``settle`` + 1 cycles after the last beat of a frame at the earliest; the next one is ready `refill` cycles after it.
    Overload: where frames follow each other with the smallest gap, one message goes out a frame where ``width`` is 1; where it is
    8, or packets are held until they are good, none may. What does not fit is refused; the host reads `level` before it writes.
    Source: DESIGN section 4; decision 4.
    """

    def __init__(self, *, width: int, settle: int, tail: int = 1, messages: int = injection.MESSAGES) -> None:
        if width not in (1, 8):
            raise ValueError(f"width: {width} was given, allowed are 1 and 8")
        if not 1 <= settle <= 63:
            raise ValueError(f"settle: {settle} was given, allowed are 1 to 63")
        if not 1 <= tail <= 8:
            raise ValueError(f"tail: {tail} was given, allowed are 1 to 8")
        if not 2 <= messages <= 1024 or messages & (messages - 1):
            raise ValueError(f"messages: {messages} was given, allowed are powers of two from 2 to 1024")
        self.settle, self.tail, self.messages = settle, tail, messages
        self.lanes = message_width(width)
        message = stream.Signature(numbered_beat(width), always_ready=True)
        packet = stream.Signature(PACKET, always_ready=True)
        super().__init__(
            {
                "word": In(stream.Signature(32, always_ready=True)),
                "clear": In(1),
                "level": Out(range(messages + 1)),
                "frame": In(data.StructLayout({"valid": 1, "last": 1})),
                "waiting": In(1),
                "draining": In(1),
                "asks": Out(1),
                "message": In(message),
                "coming": In(64),
                "line": In(1),
                "busy": In(1),
                "packet": In(packet),
                "message_out": Out(message),
                "coming_out": Out(64),
                "line_out": Out(2),
                "busy_out": Out(1),
                "mark_out": Out(2),
                "packet_out": Out(packet),
                "drop": Out(len(Drop)),
            }
        )

    @property
    def longest(self) -> int:
        """Cycles from the one in which a message may begin to the end of its packet, at most."""
        return 1 + -(-injection.LONGEST // self.lanes) + self.tail

    @property
    def refill(self) -> int:
        """Cycles from the end of a message's packet to the first in which the next one may begin."""
        return 2 + (5 if self.lanes < _WORD_BYTES else 3)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row_bytes = max(_WORD_BYTES, self.lanes)
        rows = injection.WORDS * _WORD_BYTES // row_bytes
        m.submodules.ram = ram = memory.Memory(shape=8 * row_bytes, depth=self.messages * rows, init=[])
        # One bit more than there are messages: full and empty differ.
        head, tail = (Signal((self.messages - 1).bit_length() + 1, name=name) for name in ("head", "tail"))
        oldest, begin, done = _Oldest(self.lanes), Signal(), Signal()
        write = self._write(m, ram, head, tail)
        address, row = self._read(m, ram, write)
        self._fetch(m, oldest, row, address, head, tail, begin, done)
        self._give(m, oldest, begin, done)
        may, marked = Signal(), oldest.mark.any()
        m.d.comb += [
            may.eq(oldest.ready & ~oldest.clearing & self._may_begin(m)),
            begin.eq(may & ~(marked & self.draining)),
            self.asks.eq((may | oldest.giving) & marked),
        ]
        return m

    def _write(self, m: Module, ram: memory.Memory, head: Signal, tail: Signal) -> memory.WritePort:
        """Words to the free slot; the last one of a message checks it and makes it the next."""
        write = ram.write_port(granularity=8 * _WORD_BYTES)
        words = len(write.en)
        index, refused = Signal(range(injection.WORDS)), Signal()
        word = self.word.payload
        full, lacks, length_ok, final = Signal(), Signal(), Signal(), Signal()
        lane_bits, bits = (words - 1).bit_length(), injection.LONGEST.bit_length()
        m.d.comb += [
            full.eq((head ^ tail) == self.messages),
            # Room that comes while the words of a message do is none for those that came before it.
            lacks.eq(full | (refused & (index != 0))),
            final.eq(self.word.valid & (index == injection.LENGTH_AT)),
            length_ok.eq(~word[bits : injection.MARK_AT].any() & word[:bits].any() & (word[:bits] < injection.LONGEST + 1)),
            write.addr.eq(Cat(index[lane_bits:], head[:-1])),
            write.data.eq(word.replicate(words)),
        ]
        for lane in range(words):
            m.d.comb += write.en[lane].eq(self.word.valid & ~lacks & (index[:lane_bits] == lane))
        with m.If(self.word.valid):
            m.d.sync += [index.eq(index + 1), refused.eq(lacks)]
        with m.If(self.clear):
            m.d.sync += index.eq(0)
        with m.Elif(final & ~lacks & length_ok):
            m.d.sync += head.eq(head + 1)
        m.d.sync += [
            self.drop.eq(0),
            self.drop[Drop.INJECT_OVERRUN].eq(final & lacks),
            self.drop[Drop.INJECT_LENGTH].eq(final & ~lacks & ~length_ok),
            self.level.eq(head - tail),
        ]
        return write

    @staticmethod
    def _read(m: Module, ram: memory.Memory, write: memory.WritePort) -> tuple[Signal, Signal]:
        """Address of a row, and what lies there two clocks later."""
        port = ram.read_port(domain="comb")
        address = Signal.like(port.addr)
        answer, row = Signal.like(port.data, reset_less=True), Signal.like(port.data, reset_less=True)
        m.d.comb += port.addr.eq(address)
        # What is read is never what is being written: said so that the synthesiser can prove it.
        with m.If(~(Value.cast(write.en).any() & (write.addr == address))):
            m.d.sync += answer.eq(port.data)
        m.d.sync += row.eq(answer)
        return address, row

    def _fetch(self, m: Module, oldest: _Oldest, row: Signal, address: Signal, head: Signal, tail: Signal, begin: Value,
               done: Value) -> None:
        """Rows of the oldest message: first what stands at its end, number and length, then its bytes as they are given."""
        words = [row[at : at + 32] for at in range(0, len(row), 32)]
        rows = injection.WORDS // len(words)
        row_bits, first_row = (rows - 1).bit_length(), injection.NUMBER_AT // len(words)
        step, end_row, until = Signal(rows - first_row + 2), Signal(row_bits), Signal.like(head)
        idle = ~(oldest.ready | oldest.giving | step.any())
        m.d.sync += [step.eq(Cat(idle & (head != tail), step)), end_row.eq(Mux(idle, first_row, end_row + 1))]
        there = step[2:]
        if len(words) == 1:
            with m.If(there[0] | there[1]):
                m.d.sync += oldest.number.eq(Cat(oldest.number[32:], row))
        else:
            with m.If(there[0]):
                m.d.sync += oldest.number.eq(Cat(*words[injection.NUMBER_AT % len(words) : injection.LENGTH_AT % len(words)]))
        with m.If(there[-1]):
            m.d.sync += [oldest.ready.eq(1), Cat(oldest.odd, oldest.left).eq(words[-1] - 1), oldest.mark.eq(words[-1][-2:])]
        with m.Elif(begin):
            m.d.sync += oldest.ready.eq(0)
        with m.If(oldest.valid):
            m.d.sync += oldest.left.eq(oldest.left - 1)
        with m.If(done):
            m.d.sync += tail.eq(tail + 1)

        # A message under way is given to its end.
        with m.If(oldest.clearing & ~oldest.giving):
            m.d.sync += [oldest.clearing.eq(0), tail.eq(until), step.eq(0), oldest.ready.eq(0)]
        with m.If(self.clear):
            m.d.sync += [oldest.clearing.eq(1), until.eq(head)]

        # Two clocks ahead of the beat that is given.
        beats = len(row) // (8 * self.lanes)
        beat_bits = (beats - 1).bit_length()
        ahead = Signal(row_bits + beat_bits)
        m.d.sync += ahead.eq(Mux(begin | oldest.giving, ahead + 1, 0))
        m.d.comb += [
            address.eq(Cat(Mux(step.any(), end_row, ahead[beat_bits:]), tail[:-1])),
            oldest.data.eq(row.word_select(ahead[:beat_bits] ^ 2, 8 * self.lanes) if beat_bits else row),
        ]

    def _may_begin(self, m: Module) -> Value:
        """No frame is being received, none has just ended, no packet waits."""
        rest, under_way = Signal(range(self.settle + 1), init=self.settle), Signal()
        with m.If(self.frame.valid):
            m.d.sync += under_way.eq(~self.frame.last)
        with m.If(self.frame.valid | under_way | self.waiting):
            m.d.sync += rest.eq(self.settle)
        with m.Elif(rest != 0):
            m.d.sync += rest.eq(rest - 1)
        return rest == 0

    def _give(self, m: Module, oldest: _Oldest, begin: Value, done: Signal) -> None:
        """The message and the end of its packet, where `MoldUdp64Receiver` gives nothing."""
        begun, ends = Signal(), Signal(self.tail)
        giving, valid = oldest.giving, oldest.valid
        m.d.sync += [begun.eq(begin), ends.eq(Cat(valid & oldest.last, ends))]
        m.d.comb += done.eq(ends[-1])
        with m.If(begin):
            m.d.sync += giving.eq(1)
        with m.Elif(done):
            m.d.sync += giving.eq(0)
        with m.If(begun):
            m.d.sync += [valid.eq(1), oldest.first.eq(1)]
        with m.Elif(valid):
            m.d.sync += [valid.eq(~oldest.last), oldest.first.eq(0)]

        mine, theirs, end = Signal.like(self.message.payload), self.message.payload, self.packet.payload
        m.d.comb += [
            Value.cast(mine.data).eq(oldest.data),
            mine.count.eq(Mux(oldest.last, oldest.odd + 1, self.lanes)),
            mine.first.eq(oldest.first),
            mine.last.eq(oldest.last),
            mine.sequence.eq(oldest.number),
            self.message_out.valid.eq(self.message.valid | valid),
            self.message_out.payload.eq(Mux(giving, mine, theirs)),
            self.coming_out.eq(Mux(giving, oldest.number, self.coming)),
            self.line_out.eq(Mux(giving, LINE, self.line)),
            self.mark_out.eq(Mux(giving, oldest.mark, injection.Mark.LINE)),
            self.busy_out.eq(self.busy | giving),
            # A frame that ends this early held no whole header: its end tells nothing.
            self.packet_out.valid.eq((self.packet.valid & ~giving) | (done & ~oldest.mark.any())),
            self.packet_out.payload.ok.eq(end.ok | giving),
            self.packet_out.payload.told.eq(end.told & ~giving),
            self.packet_out.payload.judged.eq(end.judged | giving),
            self.packet_out.payload.next.eq(end.next),
        ]
