"""What flows between the stages: stream payloads and bundles, made from the definitions in `hdl.spec`.

Prices are unsigned in 1/10000 dollar, shares unsigned, sequence numbers are MoldUDP64's. `som` and `eot` are the low 32 bits of
the clock count at which the first and last byte of the message stood at the MAC's receive output.
"""

# No postponed annotations here: `data.Struct` reads its members from them.
from amaranth.hdl import Cat, ShapeLike, Value, signed, unsigned
from amaranth.lib import data, enum, stream

from hdl.spec import events, reasons
from hdl.spec.geometry import Geometry
from hdl.spec.layout import Kind, Layout
from hdl.spec.registers import CARD_LIMITS, SHARE_BITS, Table


class Side(enum.Enum, shape=1):
    """Side of an order, in the book or our own."""

    BUY = 0
    SELL = 1


class Integrity(enum.Enum, shape=2):
    """`reasons.Integrity` with a shape."""

    EXACT = reasons.Integrity.EXACT.value
    SUSPECT = reasons.Integrity.SUSPECT.value
    DEAD = reasons.Integrity.DEAD.value


class TradingState(enum.Enum, shape=2):
    """`reasons.TradingState` with a shape."""

    ACTIVE = reasons.TradingState.ACTIVE.value
    REDUCE_ONLY = reasons.TradingState.REDUCE_ONLY.value
    HALTED = reasons.TradingState.HALTED.value
    KILLED = reasons.TradingState.KILLED.value


class Mode(enum.Enum, shape=2):
    """`reasons.Mode` with a shape."""

    OFF = reasons.Mode.OFF.value
    SHADOW = reasons.Mode.SHADOW.value
    LIVE = reasons.Mode.LIVE.value


class PairAction(enum.Enum, shape=2):
    """`reasons.PairAction` with a shape."""

    SELL_SPREAD = reasons.PairAction.SELL_SPREAD.value
    BUY_SPREAD = reasons.PairAction.BUY_SPREAD.value
    BUY_BACK = reasons.PairAction.BUY_BACK.value
    SELL_OUT = reasons.PairAction.SELL_OUT.value


class PairOutcome(enum.Enum, shape=2):
    """`reasons.PairOutcome` with a shape."""

    FILLED = reasons.PairOutcome.FILLED.value
    NOTHING = reasons.PairOutcome.NOTHING.value
    LEGGED = reasons.PairOutcome.LEGGED.value


class LegPolicy(enum.Enum, shape=2):
    """`reasons.LegPolicy` with a shape."""

    STOP = reasons.LegPolicy.STOP.value
    COMPLETE = reasons.LegPolicy.COMPLETE.value
    UNWIND = reasons.LegPolicy.UNWIND.value


def fields(layout: Layout, *, without: tuple[str, ...] = ()) -> data.StructLayout:
    """Gateware view of a byte layout: one member a field, numbers as numbers, text and raw bytes as unsigned integers
    whose most significant byte is the first on the wire."""
    shapes: dict[str, ShapeLike] = {
        field.name: (signed if field.kind is Kind.SINT else unsigned)(8 * field.size)
        for field in layout
        if field.name not in without
    }
    return data.StructLayout(shapes)


EVENT_HEADER_FIELDS = ("kind", "words", "lost", "number", "spare")


def event(layout: Layout) -> data.StructLayout:
    """Body of an event record, as its source makes it; header and padding are added where records are written."""
    return fields(layout, without=EVENT_HEADER_FIELDS)


def card_limits() -> data.StructLayout:
    """Limits of the whole card that have a ceiling."""
    return data.StructLayout(CARD_LIMITS)


def beat(width: int) -> data.StructLayout:
    """One transfer of a byte stream.

    ``data[0]`` is first on the wire. ``count`` bytes are valid: `width`, or fewer in a last beat. ``first`` and ``last`` bound
    the frame, payload or message.
    """
    return data.StructLayout(
        {"data": data.ArrayLayout(8, width), "count": range(width + 1), "first": 1, "last": 1}
    )


def feed_beat(width: int) -> data.StructLayout:
    """A beat of a feed datagram's payload; ``line`` tells which line it came on: 0 is A, 1 is B."""
    return data.StructLayout(dict(beat(width).members) | {"line": 1})


def received_beat(width: int) -> data.StructLayout:
    """A beat as the MAC receives it: ``error`` with ``last`` tells that the frame is bad (check sequence or receive error)."""
    return data.StructLayout(dict(beat(width).members) | {"error": 1})


def frame_signature(width: int) -> stream.Signature:
    """Frames as they arrive: destination address to last byte of the check sequence. The wire cannot wait."""
    return stream.Signature(received_beat(width), always_ready=True)


def message_beat(width: int) -> data.StructLayout:
    """A beat of one message whose byte 0 stands in lane 0 of its first beat; ``sequence`` is the message's number."""
    return data.StructLayout(dict(beat(width).members) | {"sequence": 64})


class TcpHeader(data.Struct):
    """Fields of a received segment, stable from its first payload beat (or its end, where it has none) on."""

    sequence: 32
    acknowledgment: 32
    flags: 9
    window: 16
    payload_length: 16


def decoded(geometry: Geometry) -> data.StructLayout:
    """One ITCH message, decoded. Members a type does not have are zero.

    ``price``: `price` of A F U P, `execution_price` of C, `cross_price` of Q (low 32 bits of it). ``shares``: shares,
    executed_shares or cancelled_shares. ``code``: event_code (S), trading_state (H), halt_action (h), reg_sho_action (Y),
    breached_level (W), printable (C). ``market``: market_code (h). ``for_book``: watched, of a type the book looks at, and the
    slot is open to it. ``passed``: the same, but passed over because its slot is detached. ``mark``: see `injection.Mark`.

    ``malformed``: its length is not its type's, so nothing else of it counts but ``type``, ``sequence``, and ``slot`` where it is
    ``watched``. One that is shorter than `itch.HEADER_BYTES` may be of any slot: it is for the book, passed over and not watched.
    """
    return data.StructLayout(
        {
            "type": 8,
            "locate": 16,
            "slot": geometry.slot_bits,
            "watched": 1,
            "for_book": 1,
            "passed": 1,
            "malformed": 1,
            "mark": 2,
            "timestamp": 48,
            "order_ref": 64,
            "new_order_ref": 64,
            "side": Side,
            "shares": 32,
            "price": 32,
            "code": 8,
            "market": 8,
            "sequence": 64,
            "som": 32,
            "eot": 32,
        }
    )


def touch() -> data.StructLayout:
    """Best bid and offer; price and shares are 0 where a side is empty."""
    return data.StructLayout({"bid_price": 32, "bid_shares": 32, "ask_price": 32, "ask_shares": 32})


def bbo(geometry: Geometry) -> data.StructLayout:
    """The best bid and offer of a slot after a message that changed them."""
    return data.StructLayout(
        {
            "slot": geometry.slot_bits,
            "touch": touch(),
            "type": 8,
            "timestamp": 48,
            "sequence": 64,
            "som": 32,
            "eot": 32,
        }
    )


def leg(geometry: Geometry) -> data.StructLayout:
    """One order of a pair. ``short``: the sale is to be marked short."""
    return data.StructLayout(
        {"slot": geometry.slot_bits, "side": Side, "short": 1, "quantity": 32, "price": 32, "user_ref_num": 32}
    )


def pair_number(order: data.View) -> Value:
    """The pair of an order, or of what has its `pair`, `single` and `repair`, as event records tell it; `pair` is all ones where
    there is none."""
    return Cat(order.pair, (order.single & ~order.repair).replicate(events.PAIR_BITS - len(order.pair)))


def pair_done(geometry: Geometry) -> data.StructLayout:
    """Both orders of a pair ended; `rejected`: the exchange rejected one at least."""
    return data.StructLayout({"pair": geometry.pair_bits, "outcome": PairOutcome, "rejected": 1})


def leg_report(geometry: Geometry) -> data.StructLayout:
    """What happened to an order for a leg of a pair: it was ``entered`` as one of both (`quantity` shares), or `quantity` of it
    were filled, none perhaps, and an order that repairs the pair ``ended``; or a fill of it was taken ``back``."""
    return data.StructLayout(
        {
            "pair": geometry.pair_bits,
            "leg": 1,
            "slot": geometry.slot_bits,
            "side": Side,
            "quantity": SHARE_BITS,
            "entered": 1,
            "ended": 1,
            "back": 1,
        }
    )


def order_pair(geometry: Geometry) -> data.StructLayout:
    """Both orders of a pair, asked for (user_ref_num and epoch still 0) or passed. ``legs[0]`` is leg a.

    ``single``: one order of the host, ``legs[0]``; there is no leg b, whatever stands in its place. Once the gate took it,
    ``pair`` is all ones, and what tells of a message 0. With ``repair`` it is for leg ``leg`` of ``pair``, which is legged; both
    are 0 elsewhere.
    """
    return data.StructLayout(
        {
            "pair": geometry.pair_bits,
            "single": 1,
            "repair": 1,
            "leg": 1,
            "action": PairAction,
            "epoch": 8,
            "legs": data.ArrayLayout(leg(geometry), 2),
            "type": 8,
            "sequence": 64,
            "som": 32,
            "eot": 32,
        }
    )


class OrderReport(data.Struct):
    """One OUCH message from the exchange, as far as the ledger books it; members a type does not have are zero.

    ``type`` is its ASCII code. ``price`` is the low 32 bits (OUCH prices end below 2**31). ``reason`` is the cancel reason
    character or the reject reason number.
    """

    type: 8
    user_ref_num: 32
    quantity: 32
    price: 32
    match_number: 64
    reason: 16
    order_state: 8


def table_write(table: Table, geometry: Geometry) -> data.StructLayout:
    """A row of a host-written table on its way to the component that owns it."""
    columns: dict[str, ShapeLike] = {
        column.name: (signed if column.signed else unsigned)(column.bits) for column in table.columns
    }
    return data.StructLayout(
        {"index": range(max(2, table.rows(geometry))), "row": data.StructLayout(columns)}
    )
