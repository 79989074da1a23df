"""TotalView-ITCH messages to fields."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.feed.moldudp64_receiver import message_width
from hdl.interfaces import decoded, message_beat
from hdl.spec import injection, itch
from hdl.spec.geometry import Geometry
from hdl.spec.layout import Layout
from hdl.spec.reasons import Drop

SOURCES = {
    "locate": ("stock_locate",),
    "timestamp": ("timestamp",),
    "order_ref": ("order_ref", "orig_order_ref"),
    "new_order_ref": ("new_order_ref",),
    "shares": ("shares", "executed_shares", "cancelled_shares"),
    "price": ("price", "execution_price", "cross_price"),
    "code": ("event_code", "trading_state", "halt_action", "reg_sho_action", "breached_level", "printable"),
    "market": ("market_code",),
}
"""Which fields of a message each member of `interfaces.decoded` is made of."""

OF_BOOK = (*itch.BOOK_TYPES, itch.TRADE.code)
"""Types the book looks at: those that change it, and sales."""


def source(layout: Layout, member: str) -> tuple[int, int] | None:
    """Offset and size of the bytes that make `member` in a message, None where it has no such field."""
    for name in SOURCES[member]:
        if name in layout:
            return layout.offset(name), layout.by_name[name].size
    return None


def bind(geometry: Geometry) -> data.StructLayout:
    """A slot's stock locate. A locate must not be bound to two slots."""
    return data.StructLayout({"slot": geometry.slot_bits, "locate": 16, "valid": 1})


class ItchDecoder(wiring.Component):
    """Decodes every ITCH 5.0 message of right length and tells which slot it is about.

    A beat with ``first`` begins anew whatever came before; a message that is cut gives nothing, and neither does one of unknown
    type, which may be new and act on no book. One of a known type and a wrong length is given as ``malformed``: what it did is
    not known, but to whom. One that is shorter than what all messages begin with tells neither type nor slot: it is ``malformed``
    whatever its first byte is.

    Where a slot is ``detached``, of its messages only those with a mark (`injection.Mark`) are for the book, and of those with a
    mark only its own. None with a mark is given as ``malformed``. A `DETACH` is for any slot where none is detached; an `ATTACH`
    only where its number is before the one the feed expects and not before ``latest``.

    Parameters
    ----------
    geometry : Geometry
        Slots and width.
    delay : int
        Cycles from the MAC's receive output to `message`.

    Members
    -------
    message : In(stream.Signature(message_beat(message_width(width)), always_ready=True))
        Messages.
    mark : In(2)
        Mark of `message`. At least four clocks lie between the last beat of one without and the first of one with.
    behind : In(1)
        With the first beat of one with a mark: its number is before the one the feed expects.
    detached : In(slots)
        The slot that is detached, one bit.
    latest : In(64)
        Number an `ATTACH` must have at least.
    bind : In(stream.Signature(bind(geometry), always_ready=True))
        Sets the stock locate of a slot; none is set after reset.
    now : In(32)
        Clock count.
    decoded : Out(stream.Signature(decoded(geometry), always_ready=True))
        Messages of all types, watched or not.
    drop : Out(len(Drop))
        Pulses ITCH_TYPE and ITCH_LENGTH, two cycles after the last beat, also for what is ``malformed``.
    type_seen : Out(23)
        Pulse with `decoded`, by type in the order of `itch.MESSAGES`, for those without a mark.
    unread : Out(1)
        Pulse with `drop`: it was one with a mark.

    Latency: `latency` cycles from the last beat to `decoded`: 1 where ``width`` is 1, 3 where it is 8.
    Overload: none, one message a beat.
    Source: Nasdaq TotalView-ITCH 5.0.
    """

    def __init__(self, *, geometry: Geometry, delay: int = 0) -> None:
        if delay < 0:
            raise ValueError(f"delay: {delay} was given, allowed are numbers from 0 on")
        self.geometry = geometry
        self.delay = delay
        self.latency = 1 if geometry.width == 1 else 3
        super().__init__(
            {
                "message": In(stream.Signature(message_beat(message_width(geometry.width)), always_ready=True)),
                "mark": In(2),
                "behind": In(1),
                "detached": In(geometry.slots),
                "latest": In(64),
                "bind": In(stream.Signature(bind(geometry), always_ready=True)),
                "now": In(32),
                "decoded": Out(stream.Signature(decoded(geometry), always_ready=True)),
                "drop": Out(len(Drop)),
                "type_seen": Out(len(itch.MESSAGES)),
                "unread": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = message_width(self.geometry.width)
        rows = -(-itch.LONGEST // lanes)
        layouts = list(itch.MESSAGES.values())
        given, valid = self.message.payload, self.message.valid

        # The message and its size so far. At one byte a beat the type is known before the fields come, and each byte goes where
        # it belongs; else all are kept until then.
        narrow = self.geometry.width == 1
        out = self.decoded.payload
        store = [Signal(8, name=f"byte{index}") for index in range(0 if narrow else rows * lanes)]
        code = out.type if narrow else store[0]
        row, size = Signal(range(rows + 1)), Signal(range((rows + 1) * lanes + 1))
        here = Mux(given.first, 0, row)
        total = Mux(given.first, 0, size) + given.count
        som, eot, number = Signal(32), Signal(32), Signal(64)
        done, right = Signal(), Signal()
        m.d.sync += done.eq(valid & given.last)
        with m.If(valid):
            for index, byte in enumerate(store):
                with m.If(here == index // lanes):
                    m.d.sync += byte.eq(given.data[index % lanes])
            with m.If(here != rows):
                m.d.sync += [row.eq(here + 1), size.eq(total)]
            m.d.sync += [eot.eq(self.now - self.delay), number.eq(given.sequence)]
            with m.If(given.first):
                m.d.sync += som.eq(self.now - self.delay)

        # The type, a clock after its byte.
        kind, wanted, known = Signal(len(layouts)), Signal(range(itch.LONGEST + 1)), Signal()
        matches = [code == ord(layout.code) for layout in layouts]
        m.d.sync += [kind.eq(Cat(*matches)), known.eq(Cat(*matches).any()), wanted.eq(_pick(matches, [x.size for x in layouts]))]

        # The slot, a clock for the comparison and one for the number.
        slots = self.geometry.slots
        locates = [Signal(16, name=f"locate{slot}") for slot in range(slots)]
        bound = Signal(slots)
        with m.If(self.bind.valid):
            for slot, locate in enumerate(locates):
                with m.If(self.bind.payload.slot == slot):
                    m.d.sync += [locate.eq(self.bind.payload.locate), bound[slot].eq(self.bind.payload.valid)]
        place = source(layouts[0], "locate")
        assert place is not None
        heard = out.locate if narrow else Cat(*reversed([store[place[0] + index] for index in range(place[1])]))
        hits = Signal(slots)
        m.d.sync += [hits[slot].eq(bound[slot] & (locate == heard)) for slot, locate in enumerate(locates)]
        slot, watched, for_book, passed_over = Signal(self.geometry.slot_bits), Signal(), Signal(), Signal()
        of_book = Cat(kind[index] for index, layout in enumerate(layouts) if layout.code in OF_BOOK).any()
        mark, for_mine, for_others = self._open_to(m, number, kind)
        mine = (hits & self.detached).any()
        taken = of_book & ((mine & for_mine) | (hits.any() & ~mine & for_others))
        passes_over = of_book & mine & ~mark.any()
        short = Signal()  # of what is decoded next, so that slot and type are none
        m.d.sync += [
            slot.eq(_pick(list(hits), list(range(slots)))),
            watched.eq(hits.any() & ~short),
            for_book.eq(taken | short),
            passed_over.eq(passes_over | short),
        ]

        if narrow:
            self._place_fields(m, row, kind)
            # By the last byte of a message that is not short type and slot have long been known.
            ends, fits = valid & given.last, (here != rows) & (total >= itch.SHORTEST) & (total == wanted)
            marked = Mux(given.first, self.mark, mark).any()
            m.d.comb += short.eq(ends & (total < itch.HEADER_BYTES))
            m.d.sync += [
                right.eq(ends & fits),
                self.decoded.valid.eq(ends & (fits | (~marked & (known | short)))),
                out.malformed.eq(~fits),
            ]
            m.d.comb += [
                out.slot.eq(slot),
                out.watched.eq(watched),
                out.for_book.eq(for_book),
                out.passed.eq(passed_over),
                out.mark.eq(mark),
                out.sequence.eq(number),
                out.som.eq(som),
                out.eot.eq(eot),
                self.type_seen.eq(Mux(right & ~mark.any(), kind, 0)),
            ]
            checked, passed = Signal(), Signal()
            m.d.sync += [checked.eq(done), passed.eq(right)]
            m.d.comb += [
                self.drop[Drop.ITCH_TYPE].eq(checked & ~known),
                self.drop[Drop.ITCH_LENGTH].eq(checked & known & ~passed),
            ]
        else:
            # The next message may be written while type and slot of this one are looked up, so it moves along.
            moved = data.StructLayout(
                {"done": 1, "bytes": data.ArrayLayout(8, len(store)), "size": size.shape(), "som": 32, "eot": 32, "number": 64}
            )
            second = Signal(moved)
            m.d.sync += [
                second.done.eq(done),
                Value.cast(second.bytes).eq(Cat(*store)),
                second.size.eq(size),
                second.som.eq(som),
                second.eot.eq(eot),
                second.number.eq(number),
            ]
            fits = known & (second.size == wanted)
            fine = second.done & fits
            m.d.comb += short.eq(second.size < itch.HEADER_BYTES)
            m.d.sync += [
                self.decoded.valid.eq(second.done & (fits | (~mark.any() & (known | short)))),
                out.malformed.eq(~fits),
                self.type_seen.eq(Mux(fine & ~mark.any(), kind, 0)),
                *self._fields(list(second.bytes), kind),
                out.sequence.eq(second.number),
                out.som.eq(second.som),
                out.eot.eq(second.eot),
                out.slot.eq(_pick(list(hits), list(range(slots)))),
                out.watched.eq(hits.any() & ~short),
                out.for_book.eq(taken | short),
                out.passed.eq(passes_over | short),
                out.mark.eq(mark),
            ]
            m.d.comb += [
                self.drop[Drop.ITCH_TYPE].eq(second.done & ~known),
                self.drop[Drop.ITCH_LENGTH].eq(second.done & known & (second.size != wanted)),
            ]
        m.d.comb += self.unread.eq(self.drop.any() & mark.any())
        return m

    def _open_to(self, m: Module, number: Signal, kind: Signal) -> tuple[Signal, Value, Value]:
        """Mark of the message under way, and whether it may be for the slot that is detached, and for the others.

        A command is a sale of nothing: any other type would do something to the book beside it.
        """
        mark, behind, reached = Signal(2), Signal(), Signal()
        with m.If(self.message.valid & self.message.payload.first):
            m.d.sync += [mark.eq(self.mark), behind.eq(self.behind)]
        m.d.sync += reached.eq(~(number < self.latest))
        sale = kind[list(itch.MESSAGES).index(itch.TRADE.code)]
        detaches = (mark == injection.Mark.DETACH) & sale
        attaches = (mark == injection.Mark.ATTACH) & sale & behind & reached
        return (
            mark,
            (mark == injection.Mark.PRIVATE) | detaches | attaches,
            ~mark.any() | (detaches & ~self.detached.any()),
        )

    def _place_fields(self, m: Module, at: Signal, kind: Signal) -> None:
        """Byte number `at` is written to its place in a member as it comes; a first byte clears them all."""
        out, given = self.decoded.payload, self.message.payload
        begins, goes_on = self.message.valid & given.first, self.message.valid & ~given.first
        layouts = list(itch.MESSAGES.values())
        byte = given.data[0]
        with m.If(begins):
            m.d.sync += [out.type.eq(byte), *(out[member].eq(0) for member in (*SOURCES, "side"))]
        for member in SOURCES:
            places = [source(layout, member) for layout in layouts]
            used = {}
            for place in sorted({place for place in places if place is not None}):
                used[place] = Signal(name=f"{member}_at_{place[0]}")
                if len({*places}) == 1:
                    m.d.comb += used[place].eq(1)
                else:
                    m.d.sync += used[place].eq(Cat(*[kind[index] for index, at in enumerate(places) if at == place]).any())
            for number in range(len(out[member]) // 8):
                comes = Cat(use & (at == place + size - 1 - number) for (place, size), use in used.items() if number < size)
                with m.If(goes_on & comes.any()):
                    m.d.sync += out[member][8 * number : 8 * number + 8].eq(byte)
        sides = Cat(kind[index] & (at == layout.offset("side")) for index, layout in enumerate(layouts) if "side" in layout)
        with m.If(goes_on & sides.any()):
            m.d.sync += out.side.eq(byte == ord(itch.SELL))

    def _fields(self, message: list[Value], kind: Value) -> list[object]:
        """Assignments of the members that are bytes of the message."""
        out = self.decoded.payload
        layouts = list(itch.MESSAGES.values())
        assigned: list[object] = [out.type.eq(message[0])]
        for member in SOURCES:
            places = [source(layout, member) for layout in layouts]
            target = getattr(out, member)
            parts: list[Value] = []
            # One term for each place a field can have, not for each type.
            for place in sorted({place for place in places if place is not None}):
                use = Cat(*[kind[index] for index, at in enumerate(places) if at == place]).any()
                value = Cat(*reversed(message[place[0] : place[0] + place[1]]))[: len(target)]
                parts.append(value if len({*places}) == 1 else Mux(use, value, 0))
            total = parts[0]
            for part in parts[1:]:
                total = total | part
            assigned.append(target.eq(total))
        sells = [
            kind[index] & (message[layout.offset("side")] == ord(itch.SELL))
            for index, layout in enumerate(layouts)
            if "side" in layout
        ]
        assigned.append(Value.cast(out.side).eq(Cat(*sells).any()))
        return assigned


def _pick(conditions: list[Value], numbers: list[int]) -> Value:
    """The number whose condition holds, 0 where none does; one condition holds at most."""
    bits = []
    for bit in range(max(numbers).bit_length()):
        bits.append(Cat(*[condition for condition, number in zip(conditions, numbers, strict=True) if number >> bit & 1]).any())
    return Cat(*bits)
