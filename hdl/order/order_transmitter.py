"""Order frames, from template and checksum tree to the MAC."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.order.segment_template import Form, Octet, Source, Template, choose, fixed_sum, fold, split, total, words
from hdl.spec import events, network, ouch, soupbintcp
from hdl.spec.geometry import Geometry
from hdl.spec.registers import SESSION, Table

IPV4_AT = network.ETHERNET.size
TCP_AT = IPV4_AT + network.IPV4.size
PAYLOAD_AT = TCP_AT + network.TCP.size
MESSAGE_BYTES = ouch.ENTER_ORDER.size + ouch.APPENDAGE.size
LEG_BYTES = soupbintcp.HEADER.size + MESSAGE_BYTES
CANCEL_BYTES = soupbintcp.HEADER.size + ouch.CANCEL_ORDER.size
FORM_BYTES = (PAYLOAD_AT + 2 * LEG_BYTES, PAYLOAD_AT + LEG_BYTES, PAYLOAD_AT, PAYLOAD_AT + CANCEL_BYTES)
"""Bytes of a frame of each `Form`, without check sequence and before the MAC pads it."""
ORDER_BYTES = FORM_BYTES[Form.PAIR]
PAYLOAD_BYTES = ORDER_BYTES - PAYLOAD_AT

ROW = 8
SYMBOLS: Table = next(entry for entry in SESSION.entries if entry.name == "symbols")

_SYMBOL_OFFSETS = [LEG_BYTES * leg + soupbintcp.HEADER.size + ouch.ENTER_ORDER.offset("symbol") for leg in range(2)]
_PARITY = _SYMBOL_OFFSETS[0] % 2
assert all(offset % 2 == _PARITY for offset in _SYMBOL_OFFSETS), "one stored sum of a symbol serves both legs"
_NUMBER = ouch.ENTER_ORDER.offset("user_ref_num")
assert ouch.CANCEL_ORDER.offset("user_ref_num") == _NUMBER, "an order and a cancel have their number at one place"
assert (PAYLOAD_AT + soupbintcp.HEADER.size + _NUMBER) % 2 == 0, "whose checksum terms are its own"


def _hexadecimal(digit: Value) -> Value:
    """ASCII code of a hexadecimal digit."""
    return Mux(digit < 10, Const(ord("0"), 8) | digit, Const(ord("A") - 10, 8) + digit)[:8]


_REPAIR = 0xA
"""First digit of the pair in the ClOrdID of an order that repairs leg a; that of leg b is the next. No pair begins with it."""


def client_order_id(pair: int, leg: int, *, repair: bool = False) -> str:
    """The ClOrdID of a leg (0: a, 1: b) of a pair, or of a single order, which is leg a of `events.NO_PAIR`."""
    if repair:
        return f"P{_REPAIR + leg:X}{pair:03X}A"
    return f"P{pair:04X}{'AB'[leg]}"


class OrderTransmitter(wiring.Component):
    """Sends both orders of a pair, or a single one, in one TCP segment, cancels orders, and acknowledges what the exchange sent.

    A frame is a template of bytes, eight to a row. Rows are picked by a counter, one clock ahead of their turn, and leave `width`
    bytes a beat. Row 0 holds MAC addresses only, so the frame starts before the rest of it is worked out; the TCP checksum is the
    end of a tree of adders five clocks deep, and ready the clock before the row it stands in is picked even at ``width`` 8.

    A bare acknowledgment leaves `acknowledge_delay` clocks after the first `acknowledge` not yet answered, unless an order left
    before: an order acknowledges too. While one leaves `ready` is low, for about 90 clocks at ``width`` 1: with the default delay
    a hundredth of the time at most. None starts while `reserve` is high or in the clock an order comes.

    A cancel of a whole order leaves in a segment of its own, in the place of an order's first bytes. It goes like an
    acknowledgment, which it is too, but at once; an order of the same clock goes first, and the cancel after its frame.

    Latency: `frame` is valid one clock after `order`; `sent_event` another clock later. Once begun a frame never starves.
    Overload: an order that comes while `ready` is low is not sent, and `order_lost` is pulsed. Nothing is queued.
    Session registers must not change while a frame leaves, a symbol not in the three clocks before or after an order of its slot.
    Sources: `protocols` section OUCH 5.0, SoupBinTCP 3.00; RFC 791, RFC 1071, RFC 9293.

    Parameters
    ----------
    geometry : Geometry
        Decides width, slots and pairs.
    acknowledge_delay : int
        Clocks an acknowledgment waits for an order to carry it.
    window : int
        Receive window announced, bytes.

    Members
    -------
    order : In(stream.Signature(interfaces.order_pair(geometry), always_ready=True))
        The orders, only while `ready` is high.
    cancel : In(stream.Signature(32))
        Number of an order to cancel, taken with the last beat of its frame.
    hold_cancels : In(1)
        No cancel is started.
    reserve : In(1)
        An order may come in the next clocks: nothing else is started.
    symbols : In(stream.Signature(interfaces.table_write(SYMBOLS, geometry), always_ready=True))
        A row of the symbol table.
    local_mac, peer_mac : In(48)
        MAC addresses, first byte most significant.
    local_address, peer_address : In(32)
        IPv4 addresses.
    local_port, peer_port : In(16)
        TCP ports.
    load_send_next : In(stream.Signature(32, always_ready=True))
        Sets `send_next`. Not in the clock after an order.
    send_next : Out(32)
        TCP sequence number of the next byte sent; moves two clocks after an order.
    receive_next : In(32)
        Next byte expected of the exchange. It counts a segment already in the clock of its `acknowledge`.
    acknowledge : In(1)
        What was received is to be acknowledged.
    mac_idle : In(1)
        The MAC takes a frame at once.
    now : In(32)
        Clock count.
    ready : Out(1)
        An order given this clock leaves at once.
    order_lost : Out(1)
        An order came while `ready` was low.
    frame : Out(stream.Signature(interfaces.beat(width)))
        Destination address to last byte of payload; padding and check sequence are the MAC's.
    sent_event : Out(stream.Signature(interfaces.event(events.ORDER_SENT), always_ready=True))
        Stamped in the first clock of `frame`.
    cancel_event : Out(stream.Signature(interfaces.event(events.CANCEL_SENT), always_ready=True))
        The same of a cancel.
    frames_sent : Out(1)
        The last beat of a frame was taken.
    """

    def __init__(self, *, geometry: Geometry, acknowledge_delay: int = 8192, window: int = 4096):
        if not 1 <= acknowledge_delay <= 1 << 24:
            raise ValueError(f"acknowledge_delay: {acknowledge_delay} was given, allowed are 1 to {1 << 24}")
        if not 1 <= window <= 0xFFFF:
            raise ValueError(f"window: {window} was given, allowed are 1 to {0xFFFF}")
        self.geometry = geometry
        self._acknowledge_delay = acknowledge_delay
        self._window = window
        super().__init__(
            {
                "order": In(stream.Signature(interfaces.order_pair(geometry), always_ready=True)),
                "cancel": In(stream.Signature(32)),
                "hold_cancels": In(1),
                "reserve": In(1),
                "symbols": In(stream.Signature(interfaces.table_write(SYMBOLS, geometry), always_ready=True)),
                "local_mac": In(48),
                "peer_mac": In(48),
                "local_address": In(32),
                "peer_address": In(32),
                "local_port": In(16),
                "peer_port": In(16),
                "load_send_next": In(stream.Signature(32, always_ready=True)),
                "send_next": Out(32),
                "receive_next": In(32),
                "acknowledge": In(1),
                "mac_idle": In(1),
                "now": In(32),
                "ready": Out(1),
                "order_lost": Out(1),
                "frame": Out(stream.Signature(interfaces.beat(geometry.width))),
                "sent_event": Out(stream.Signature(interfaces.event(events.ORDER_SENT), always_ready=True)),
                "cancel_event": Out(stream.Signature(interfaces.event(events.CANCEL_SENT), always_ready=True)),
                "frames_sent": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        start, started, next_form, form = self._start(m)
        pair = Signal(interfaces.order_pair(self.geometry))
        sequence = Signal(32)
        acknowledgment = Signal(32)
        with m.If(~self.frame.valid):
            m.d.sync += [pair.eq(self.order.payload), sequence.eq(self.send_next), acknowledgment.eq(self.receive_next)]
        with m.If(started & form[1]):
            # A cancel has 0 for the shares that are to stay, where an order has its side and its shares.
            m.d.sync += pair.legs[0].quantity.eq(0)
        with m.If(self.load_send_next.valid):
            m.d.sync += self.send_next.eq(self.load_send_next.payload)
        with m.Elif(started):
            m.d.sync += self.send_next.eq(self.send_next + choose(form, [size - PAYLOAD_AT for size in FORM_BYTES]))

        # It stays as it is until its frame has left.
        number = Mux(form[1], self.cancel.payload, pair.legs[0].user_ref_num)
        symbols, symbol_sums = self._symbols(m, started, pair.single)
        ipv4_checksum = Signal(16)
        tcp_checksum = Signal(16)
        octets = self._template(pair, number, form, symbols, sequence, acknowledgment, ipv4_checksum, tcp_checksum)
        self._ipv4_checksum(m, octets, form, ipv4_checksum)
        self._tcp_checksum(m, octets, form, pair.single, symbol_sums, tcp_checksum)
        self._send(m, octets, start, next_form, form)
        self._event(m, started, form, pair)
        return m

    def _start(self, m: Module) -> tuple[Signal, Signal, Value, Signal]:
        """Decide when a frame starts; returns that, the same a clock later, its `Form`, and the same from then on."""
        start = Signal()
        started = Signal()
        cancels = Signal()
        form = Signal(2)
        pending = Signal()
        due = Signal()
        timer = Signal(range(self._acknowledge_delay))
        m.d.comb += [
            self.ready.eq(~self.frame.valid & self.mac_idle),
            self.order_lost.eq(self.order.valid & ~self.ready),
            cancels.eq(self.cancel.valid & ~self.hold_cancels),
            start.eq(self.ready & (self.order.valid | ((due | cancels) & ~self.reserve))),
        ]
        next_form = Cat(Mux(self.order.valid, self.order.payload.single, cancels), ~self.order.valid)
        m.d.sync += started.eq(start)
        with m.If(start):
            m.d.sync += form.eq(next_form)
        # What is acknowledged from the clock behind the start on is not in the frame any more.
        with m.If(started | ~pending):
            m.d.sync += [pending.eq(self.acknowledge), timer.eq(self._acknowledge_delay - 1), due.eq(0)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += due.eq(1)
        return start, started, next_form, form

    def _symbols(self, m: Module, started: Signal, single: Value) -> tuple[list[Signal], list[Signal]]:
        """Symbol of each leg and its checksum terms, two clocks after the order; the terms are added up when a row is written.

        Of a leg that is not there the sum is 0."""
        row = self.symbols.payload.row.symbol
        octets = [Octet.same(Source.FIXED, 0)] * _PARITY
        octets += [Octet.same(Source.SYMBOL, byte) for byte in split(row, len(row) // 8)]
        sums = total(words(octets, Source.SYMBOL))
        layout = data.StructLayout({"symbol": len(row), "sum": len(sums)})
        m.submodules.symbols = memory = Memory(shape=layout, depth=max(2, self.geometry.slots), init=[])
        write = memory.write_port()
        m.d.sync += [
            write.en.eq(self.symbols.valid),
            write.addr.eq(self.symbols.payload.index),
            write.data.symbol.eq(row),
            write.data.sum.eq(sums),
        ]
        symbols, symbol_sums = [], []
        for leg, name in enumerate("ab"):
            read = memory.read_port()
            symbol = Signal(len(row), name=f"symbol_{name}")
            symbol_sum = Signal(len(sums), name=f"symbol_sum_{name}")
            m.d.comb += read.addr.eq(self.order.payload.legs[leg].slot)
            with m.If(started):
                m.d.sync += [symbol.eq(read.data.symbol), symbol_sum.eq(read.data.sum)]
            if leg:
                with m.If(started & single):
                    m.d.sync += symbol_sum.eq(0)
            symbols.append(symbol)
            symbol_sums.append(symbol_sum)
        return symbols, symbol_sums

    def _template(self, pair, number, form, symbols, sequence, acknowledgment, ipv4_checksum, tcp_checksum) -> list[Octet]:
        """Every byte of the frame."""
        frame = Template(ORDER_BYTES)
        ethernet, ipv4, tcp = network.ETHERNET, network.IPV4, network.TCP
        frame.put(0, ethernet, Source.SESSION, destination=self.peer_mac, source=self.local_mac, ethertype=network.ETHERTYPE_IPV4)
        frame.put(
            IPV4_AT,
            ipv4,
            version_ihl=network.IPV4_VERSION_IHL,
            dscp_ecn=0,
            total_length=tuple(size - IPV4_AT for size in FORM_BYTES),
            identification=0,
            flags_fragment=network.IPV4_DONT_FRAGMENT,
            ttl=network.IPV4_TTL,
            protocol=network.PROTOCOL_TCP,
        )
        frame.put(IPV4_AT, ipv4, Source.SESSION, source=self.local_address, destination=self.peer_address)
        frame.put(IPV4_AT, ipv4, Source.CHECKSUM, header_checksum=ipv4_checksum)
        frame.put(TCP_AT, tcp, Source.SESSION, source_port=self.local_port, destination_port=self.peer_port)
        frame.put(TCP_AT, tcp, Source.SEGMENT, sequence=sequence, acknowledgment=acknowledgment)
        words_of_header = tcp.size // 4 << 12
        bare_flags = words_of_header | network.TCP_ACK
        flags = bare_flags | network.TCP_PSH
        frame.put(TCP_AT, tcp, offset_flags=(flags, flags, bare_flags, flags), window=self._window, urgent=0)
        frame.put(TCP_AT, tcp, Source.CHECKSUM, checksum=tcp_checksum)
        for leg, symbol in enumerate(symbols):
            repairs = Mux(pair.repair, Cat(pair.leg, Const(_REPAIR >> 1, 3)), 0)
            name = interfaces.pair_number(pair) | Cat(Const(0, events.PAIR_BITS - 4), repairs)
            self._leg(frame, PAYLOAD_AT + LEG_BYTES * leg, name, pair.legs[leg], leg, symbol)
        self._cancel(frame, pair.legs[0], number, form)
        return frame.octets

    def _cancel(self, frame: Template, leg: data.View, number: Value, form: Value) -> None:
        """What differs where a cancel takes the place of leg a."""
        layout, size = ouch.CANCEL_ORDER, soupbintcp.HEADER.by_name["packet_length"].size
        order, cancel = ouch.ENTER_ORDER.code, layout.code
        message = PAYLOAD_AT + soupbintcp.HEADER.size
        frame.put(PAYLOAD_AT, soupbintcp.HEADER, packet_length=(*[LEG_BYTES - size] * Form.CANCEL, CANCEL_BYTES - size))
        frame.put(message, layout, type=(*[order] * Form.CANCEL, cancel))
        frame.put(message, layout, Source.NUMBER, user_ref_num=number)
        side = frame.octet(message + ouch.ENTER_ORDER.offset("side")).value
        frame.put_octet(message + ouch.ENTER_ORDER.offset("side"), Source.LEG, Mux(form[1], 0, side)[:8])

    def _leg(self, frame: Template, at: int, pair: Value, leg: data.View, number: int, symbol: Signal) -> None:
        """One Enter Order in its SoupBinTCP packet."""
        layout = ouch.ENTER_ORDER
        message = at + soupbintcp.HEADER.size
        appendage = message + layout.size
        # The length counts all but itself.
        length = LEG_BYTES - soupbintcp.HEADER.by_name["packet_length"].size
        frame.put(at, soupbintcp.HEADER, packet_length=length, packet_type=soupbintcp.UNSEQUENCED_DATA)
        sell = Mux(leg.short, ord(ouch.SIDE_SELL_SHORT), ord(ouch.SIDE_SELL))
        side = Mux(leg.side == interfaces.Side.SELL, sell, ord(ouch.SIDE_BUY))
        frame.put(
            message,
            layout,
            type=layout.code,
            time_in_force=ouch.TIME_IN_FORCE_IOC,
            display=ouch.DISPLAY_VISIBLE,
            capacity=ouch.CAPACITY_PRINCIPAL,
            iso=ouch.ISO_NO,
            cross_type=ouch.CROSS_CONTINUOUS,
            clordid=client_order_id(0, number),
        )
        frame.put(
            message, layout, Source.LEG, user_ref_num=leg.user_ref_num, side=side, quantity=leg.quantity, price=leg.price
        )
        frame.put(message, layout, Source.SYMBOL, symbol=symbol)
        for digit in range(events.PAIR_BITS // 4):
            place = message + layout.offset("clordid") + len("P0000") - 1 - digit
            frame.put_octet(place, Source.LEG, _hexadecimal(pair[4 * digit : 4 * digit + 4]))
        frame.put(appendage, ouch.APPENDAGE, appendage_length=0)

    def _ipv4_checksum(self, m: Module, octets: list[Octet], form: Signal, checksum: Signal) -> None:
        """Header checksum, ready three clocks after the order: the clock in which its row is picked at ``width`` 8."""
        header = octets[IPV4_AT:TCP_AT]
        addresses = Signal(18)
        folded = Signal(17)
        m.d.sync += addresses.eq(total(words(header, Source.SESSION)))
        fixed = choose(form, [fixed_sum(header, each) for each in Form])
        m.d.sync += [folded.eq(fold(addresses + fixed)), checksum.eq(~fold(folded))]

    def _tcp_checksum(
        self, m: Module, octets: list[Octet], form: Signal, single: Value, symbol_sums: list[Signal], checksum: Signal
    ) -> None:
        """TCP checksum, ready six clocks after the order: the clock in which its row is picked at ``width`` 8."""

        def stage(name: str, terms: list[Value], size: int, absent: Value | int = 0) -> list[Signal]:
            """One register stage: sums of up to `size` terms each, 0 where they are absent."""
            sums = []
            for index in range(0, len(terms), size):
                value = total(terms[index : index + size])
                sums.append(Signal(len(value), name=f"tcp_{name}_{index}"))
                m.d.sync += sums[-1].eq(value)
                with m.If(absent):
                    m.d.sync += sums[-1].eq(0)
            return sums

        layout = network.TCP_PSEUDO_HEADER
        pseudo = Template(layout.size)
        pseudo.put(0, layout, Source.SESSION, source=self.local_address, destination=self.peer_address)
        pseudo.put(0, layout, zero=0, protocol=network.PROTOCOL_TCP, length=tuple(size - TCP_AT for size in FORM_BYTES))
        segment = pseudo.octets + octets[TCP_AT:]
        ends = [len(pseudo.octets) + size - TCP_AT for size in FORM_BYTES]
        fixed = choose(form, [fixed_sum(segment[: ends[each]], each) for each in Form])

        session = stage("session", stage("addresses", words(segment, Source.SESSION), 4), 4)
        common = stage("segment", words(segment, Source.SEGMENT), 4) + stage("fixed", [*session, fixed], 2)
        common += stage("number", words(segment, Source.NUMBER), 2, form == Form.BARE)
        # Leg b begins at an even byte of the segment, so that its words are its own.
        leg_a, leg_b = (words(part, Source.LEG) for part in (segment[: ends[Form.SINGLE]], segment[ends[Form.SINGLE] :]))
        legs = stage("leg_a", leg_a, 4) + stage("leg_b", leg_b, 4, single)
        second = stage("second", legs + symbol_sums, 4)
        [shared] = stage("shared", common, 4)
        [third] = stage("third", [*(Mux(form[1], 0, partial) for partial in second), shared], 3)
        folded = Signal(17)
        m.d.sync += [folded.eq(fold(third)), checksum.eq(~fold(folded))]

    def _send(self, m: Module, octets: list[Octet], start: Signal, next_form: Value, form: Signal) -> None:
        """Rows of eight bytes into beats."""
        width = self.geometry.width
        beats_in_row = ROW // width
        padded = octets + [Octet.same(Source.FIXED, 0)] * (-len(octets) % ROW)
        rows = [padded[place : place + ROW] for place in range(0, len(padded), ROW)]

        # What is known at build time is looked up by the row's number, the rest is ANDed and ORed by its turn: far smaller than
        # a choice between whole rows.
        index = Signal(range(len(rows) + 1))
        turn = Signal(len(rows), init=1)
        known = Signal(8 * ROW)
        with m.Switch(index):
            for number, content in enumerate(rows):
                with m.Case(number):
                    m.d.comb += known.eq(Cat(octet.select(form) if octet.is_fixed else Const(0, 8) for octet in content))
        row: Value = known
        for number, content in enumerate(rows):
            if not all(octet.is_fixed for octet in content):
                late = Cat(Const(0, 8) if octet.is_fixed else octet.value for octet in content)
                row = row | (late & turn[number].replicate(8 * ROW))

        current = Signal(8 * ROW)
        step = Signal(range(max(2, beats_in_row)))
        left = Signal(range(-(-ORDER_BYTES // width)))
        taken = Signal()
        m.d.comb += taken.eq(self.frame.valid & self.frame.ready)
        with m.If(taken):
            m.d.sync += [self.frame.p.first.eq(0), self.frame.p.last.eq(left == 0), left.eq(left - 1)]
            with m.If(step == beats_in_row - 1):
                m.d.sync += [step.eq(0), current.eq(row), index.eq(index + 1), turn.eq(turn << 1)]
            with m.Else():
                m.d.sync += [step.eq(step + 1), current.eq(current >> 8 * width)]
            with m.If(self.frame.p.last):
                m.d.sync += [self.frame.valid.eq(0), index.eq(0), turn.eq(1)]
        # While nothing leaves, row 0 is picked again and again: it follows the session registers.
        with m.Elif(~self.frame.valid):
            beats = [-(-size // width) - 2 for size in FORM_BYTES]
            m.d.sync += [
                current.eq(row),
                index.eq(start),
                turn.eq(Mux(start, 2, 1)),
                step.eq(0),
                left.eq(choose(next_form, beats)),
                self.frame.valid.eq(start),
                self.frame.p.first.eq(1),
                self.frame.p.last.eq(0),
            ]

        tails = [(size - 1) % width + 1 for size in FORM_BYTES]
        m.d.comb += [
            Cat(self.frame.p.data).eq(current),
            self.frame.p.count.eq(Mux(self.frame.p.last, choose(form, tails), width)),
            self.frames_sent.eq(taken & self.frame.p.last),
            self.cancel.ready.eq(self.frames_sent & (form == Form.CANCEL)),
        ]

    def _event(self, m: Module, started: Value, form: Value, pair: data.View) -> None:
        """Record of the frame that began this clock."""
        event, cancel = self.sent_event, self.cancel_event
        m.d.comb += cancel.p.user_ref_num.eq(self.cancel.payload)
        m.d.sync += [
            cancel.valid.eq(started & (form == Form.CANCEL)),
            cancel.p.cycle.eq(self.now),
            event.valid.eq(started & ~form[1]),
            event.p.sequence.eq(pair.sequence),
            event.p.cycle.eq(self.now),
            event.p.user_ref_num.eq(pair.legs[0].user_ref_num),
            event.p.eot_to_sof.eq(self.now - pair.eot),
            event.p.som_to_sof.eq(self.now - pair.som),
            event.p.pair.eq(interfaces.pair_number(pair)),
            event.p.trigger_type.eq(pair.type),
            event.p.epoch.eq(pair.epoch),
        ]
        with m.If(pair.single):
            m.d.sync += [event.p.eot_to_sof.eq(0), event.p.som_to_sof.eq(0)]
