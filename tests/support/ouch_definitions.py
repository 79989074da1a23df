"""OUCH 5.0 messages for the exchange's own client library, typed from the specification and not from `hdl.spec`.

The library decodes with whatever definitions it is given. Those below judge ours, so nothing here may be taken from there.
"""

from __future__ import annotations

from nasdaq_protocols import soup
from nasdaq_protocols.common.message import (
    CharIso8599,
    Field,
    FixedIsoString,
    Record,
    UnsignedIntBE,
    UnsignedLongBE,
    UnsignedShortBE,
)
from nasdaq_protocols.ouch import Message

APP = "ouch_5_0"

FROM_CLIENT = "incoming"
FROM_SERVER = "outgoing"


class OuchMessage(Message, app_name=APP):
    """Any message of the application."""

    def __init_subclass__(cls, **kwargs):
        kwargs["app_name"] = APP
        super().__init_subclass__(**kwargs)


class EnterOrder(OuchMessage, indicator=ord("O"), direction=FROM_CLIENT):
    """Client: new order."""

    class BodyRecord(Record):
        """Bytes 1 to 46."""

        Fields = [
            Field("user_ref_num", UnsignedIntBE),
            Field("side", CharIso8599),
            Field("quantity", UnsignedIntBE),
            Field("symbol", FixedIsoString(length=8)),
            Field("price", UnsignedLongBE),
            Field("time_in_force", CharIso8599),
            Field("display", CharIso8599),
            Field("capacity", CharIso8599),
            Field("iso", CharIso8599),
            Field("cross_type", CharIso8599),
            Field("clordid", FixedIsoString(length=14)),
            Field("appendage_length", UnsignedShortBE),
        ]


class OrderAccepted(OuchMessage, indicator=ord("A"), direction=FROM_SERVER):
    """Server: order taken."""

    class BodyRecord(Record):
        """Bytes 1 to 63."""

        Fields = [
            Field("timestamp", UnsignedLongBE),
            Field("user_ref_num", UnsignedIntBE),
            Field("side", CharIso8599),
            Field("quantity", UnsignedIntBE),
            Field("symbol", FixedIsoString(length=8)),
            Field("price", UnsignedLongBE),
            Field("time_in_force", CharIso8599),
            Field("display", CharIso8599),
            Field("order_ref", UnsignedLongBE),
            Field("capacity", CharIso8599),
            Field("iso", CharIso8599),
            Field("cross_type", CharIso8599),
            Field("order_state", CharIso8599),
            Field("clordid", FixedIsoString(length=14)),
            Field("appendage_length", UnsignedShortBE),
        ]


class OrderExecuted(OuchMessage, indicator=ord("E"), direction=FROM_SERVER):
    """Server: fill."""

    class BodyRecord(Record):
        """Bytes 1 to 35."""

        Fields = [
            Field("timestamp", UnsignedLongBE),
            Field("user_ref_num", UnsignedIntBE),
            Field("quantity", UnsignedIntBE),
            Field("price", UnsignedLongBE),
            Field("liquidity_flag", CharIso8599),
            Field("match_number", UnsignedLongBE),
            Field("appendage_length", UnsignedShortBE),
        ]


class OrderCanceled(OuchMessage, indicator=ord("C"), direction=FROM_SERVER):
    """Server: shares taken off; the appendage may be absent and is here."""

    class BodyRecord(Record):
        """Bytes 1 to 17."""

        Fields = [
            Field("timestamp", UnsignedLongBE),
            Field("user_ref_num", UnsignedIntBE),
            Field("quantity", UnsignedIntBE),
            Field("reason", CharIso8599),
        ]


class Rejected(OuchMessage, indicator=ord("J"), direction=FROM_SERVER):
    """Server: order refused; the appendage may be absent and is here."""

    class BodyRecord(Record):
        """Bytes 1 to 28."""

        Fields = [
            Field("timestamp", UnsignedLongBE),
            Field("user_ref_num", UnsignedIntBE),
            Field("reason", UnsignedShortBE),
            Field("clordid", FixedIsoString(length=14)),
        ]


class CancelOrder(OuchMessage, indicator=ord("X"), direction=FROM_CLIENT):
    """Client: the shares an order may have in all, 0 cancels it; the appendage may be absent and is here."""

    class BodyRecord(Record):
        """Bytes 1 to 8."""

        Fields = [
            Field("user_ref_num", UnsignedIntBE),
            Field("quantity", UnsignedIntBE),
        ]


class AiqCanceled(OuchMessage, indicator=ord("D"), direction=FROM_SERVER):
    """Server: shares taken off that would have met our own; the appendage may be absent and is here."""

    class BodyRecord(Record):
        """Bytes 1 to 31."""

        Fields = [
            Field("timestamp", UnsignedLongBE),
            Field("user_ref_num", UnsignedIntBE),
            Field("decrement_shares", UnsignedIntBE),
            Field("reason", CharIso8599),
            Field("prevented_shares", UnsignedIntBE),
            Field("execution_price", UnsignedLongBE),
            Field("liquidity_flag", CharIso8599),
            Field("aiq_strategy", CharIso8599),
        ]


class BrokenTrade(OuchMessage, indicator=ord("B"), direction=FROM_SERVER):
    """Server: a fill is taken back; the appendage may be absent and is here."""

    class BodyRecord(Record):
        """Bytes 1 to 35."""

        Fields = [
            Field("timestamp", UnsignedLongBE),
            Field("user_ref_num", UnsignedIntBE),
            Field("match_number", UnsignedLongBE),
            Field("reason", CharIso8599),
            Field("clordid", FixedIsoString(length=14)),
        ]


class CancelPending(OuchMessage, indicator=ord("P"), direction=FROM_SERVER):
    """Server: the cancel waits; the appendage may be absent and is here."""

    class BodyRecord(Record):
        """Bytes 1 to 12."""

        Fields = [
            Field("timestamp", UnsignedLongBE),
            Field("user_ref_num", UnsignedIntBE),
        ]


class CancelReject(OuchMessage, indicator=ord("I"), direction=FROM_SERVER):
    """Server: the cancel was refused; the appendage may be absent and is here."""

    class BodyRecord(Record):
        """Bytes 1 to 12."""

        Fields = [
            Field("timestamp", UnsignedLongBE),
            Field("user_ref_num", UnsignedIntBE),
        ]


class OrderPriorityUpdate(OuchMessage, indicator=ord("T"), direction=FROM_SERVER):
    """Server: new price, display and reference; the appendage may be absent and is here."""

    class BodyRecord(Record):
        """Bytes 1 to 29."""

        Fields = [
            Field("timestamp", UnsignedLongBE),
            Field("user_ref_num", UnsignedIntBE),
            Field("price", UnsignedLongBE),
            Field("display", CharIso8599),
            Field("order_ref", UnsignedLongBE),
        ]


class OrderRestated(OuchMessage, indicator=ord("R"), direction=FROM_SERVER):
    """Server: the displayed part changed."""

    class BodyRecord(Record):
        """Bytes 1 to 15."""

        Fields = [
            Field("timestamp", UnsignedLongBE),
            Field("user_ref_num", UnsignedIntBE),
            Field("reason", CharIso8599),
            Field("appendage_length", UnsignedShortBE),
        ]


def encode(cls: type[OuchMessage], **values: int | str) -> bytes:
    """One message as the library packs it."""
    message = cls()
    for name, value in values.items():
        setattr(message, name, value)
    return message.to_bytes()[1]


def sequenced(message: bytes) -> bytes:
    """The message in the SoupBinTCP packet a server sends it in."""
    return soup.SequencedData(message).to_bytes()[1]


def packets(stream: bytes) -> list[soup.SoupMessage]:
    """Every SoupBinTCP packet of a byte stream that holds whole ones."""
    found = []
    while stream:
        size = 2 + int.from_bytes(stream[:2], "big")
        assert size <= len(stream), "the last packet is cut off"
        found.append(soup.SoupMessage.from_bytes(stream[:size])[1])
        stream = stream[size:]
    return found


def enter_order(message: bytes) -> dict[str, int | str]:
    """Fields of an Enter Order message, and nothing may be left over."""
    assert message[:1] == b"O"
    size, body = EnterOrder.BodyRecord.from_bytes(message[1:])
    assert size + 1 + body.appendage_length == len(message)
    return dict(body.values)


def cancel_order(message: bytes) -> dict[str, int | str]:
    """Fields of a Cancel Order message without an appendage, and nothing may be left over."""
    assert message[:1] == b"X"
    size, body = CancelOrder.BodyRecord.from_bytes(message[1:])
    assert size + 1 == len(message)
    return dict(body.values)


_FROM_SERVER = {
    "A": OrderAccepted, "E": OrderExecuted, "C": OrderCanceled, "J": Rejected, "D": AiqCanceled, "B": BrokenTrade,
    "P": CancelPending, "I": CancelReject, "T": OrderPriorityUpdate, "R": OrderRestated,
}  # fmt: skip


def replies(stream: bytes) -> list[tuple[str, dict[str, int | str]]]:
    """Type and fields of every sequenced message in a stream of whole packets, and nothing may be left over."""
    found = []
    for packet in packets(stream):
        assert isinstance(packet, soup.SequencedData), packet
        kind = chr(packet.data[0])
        used, body = _FROM_SERVER[kind].BodyRecord.from_bytes(packet.data[1:])
        assert used == len(packet.data) - 1, (kind, len(packet.data))
        found.append((kind, dict(body.values)))
    return found


def unsequenced(message: bytes) -> bytes:
    """The message in the SoupBinTCP packet a client sends it in."""
    return soup.UnSequencedData(message).to_bytes()[1]
