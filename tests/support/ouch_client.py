"""Order entry as the exchange's own client library speaks it.

SoupBinTCP is nasdaq-protocols, and so are the OUCH field types; the field lists of OUCH 5.0 are typed from the specification.

Nothing here is taken from `hdl.spec`, so that it can judge what is made from it.
"""

from __future__ import annotations

import struct
from typing import Any

from nasdaq_protocols.common.message.structures import Field, Record
from nasdaq_protocols.common.message.types import CharAscii, FixedAsciiString, UnsignedIntBE, UnsignedLongBE, UnsignedShortBE
from nasdaq_protocols.soup import SoupMessage, UnSequencedData

_ORDER = [
    Field("side", CharAscii),
    Field("quantity", UnsignedIntBE),
    Field("symbol", FixedAsciiString(8)),
    Field("price", UnsignedLongBE),
    Field("time_in_force", CharAscii),
    Field("display", CharAscii),
]
_REFERENCE = [Field("user_ref_num", UnsignedIntBE)]
_STAMP = [Field("timestamp", UnsignedLongBE), *_REFERENCE]
_CAPACITY = [Field("capacity", CharAscii), Field("iso", CharAscii), Field("cross_type", CharAscii)]
_APPENDAGE = [Field("appendage", UnsignedShortBE)]
_CLORDID = [Field("clordid", FixedAsciiString(14))]


class EnterOrder(Record):
    """O, without options."""

    Fields = _REFERENCE + _ORDER + _CAPACITY + _CLORDID + _APPENDAGE


class Accepted(Record):
    """A."""

    Fields = [
        *_STAMP, *_ORDER, Field("order_ref", UnsignedLongBE), *_CAPACITY, Field("order_state", CharAscii), *_CLORDID, *_APPENDAGE,
    ]  # fmt: skip


class Executed(Record):
    """E."""

    Fields = [
        *_STAMP,
        Field("quantity", UnsignedIntBE),
        Field("price", UnsignedLongBE),
        Field("liquidity_flag", CharAscii),
        Field("match_number", UnsignedLongBE),
        *_APPENDAGE,
    ]


class Canceled(Record):
    """C, its appendage left out."""

    Fields = [*_STAMP, Field("quantity", UnsignedIntBE), Field("reason", CharAscii)]


class Rejected(Record):
    """J, its appendage left out."""

    Fields = [*_STAMP, Field("reason", UnsignedShortBE), *_CLORDID]


_FROM_EXCHANGE = {"A": Accepted, "E": Executed, "C": Canceled, "J": Rejected}


def enter_order(**values: Any) -> bytes:
    """SoupBinTCP packet with an Enter Order."""
    record = EnterOrder()
    record.values.update(values | {"appendage": 0})
    return bytes(UnSequencedData(b"O" + EnterOrder.to_bytes(record)[1]).to_bytes()[1])


def replies(stream: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Type and fields of every sequenced message in a stream of whole packets; fails where bytes are left over."""
    found = []
    while stream:
        size = 2 + struct.unpack(">H", stream[:2])[0]
        packet = SoupMessage.from_bytes(stream[:size])[1]
        assert packet.Indicator == "S", packet
        kind = chr(packet.data[0])
        used, record = _FROM_EXCHANGE[kind].from_bytes(packet.data[1:])
        assert used == len(packet.data) - 1, (kind, len(packet.data))
        found.append((kind, dict(record.values)))
        stream = stream[size:]
    return found
