"""OUCH against the sizes of the exchange's document and what was really sent."""

import struct

import pytest

from hdl.spec import ouch, soupbintcp
from tests.support import data

# Bytes before the appendage, OUCH 5.0 specification 1.04.
SIZES_IN = {"O": 45, "U": 38, "X": 9, "M": 10, "C": 17, "D": 9, "E": 9, "Q": 1}
SIZES_OUT = {
    "S": 10, "A": 62, "U": 66, "C": 18, "D": 32, "E": 34, "B": 36, "J": 29, "P": 13,
    "I": 13, "T": 30, "M": 18, "R": 14, "X": 25, "G": 17, "K": 17, "Q": 13,
}  # fmt: skip


def test_sizes():
    assert {code: layout.size for code, layout in ouch.INBOUND.items()} == SIZES_IN
    assert {code: layout.size for code, layout in ouch.OUTBOUND.items()} == SIZES_OUT


def sent(name: str) -> tuple[str, bytes]:
    """SoupBinTCP type and payload of the one packet in a capture."""
    (frame,) = data.frames(data.require(data.OUCH) / name)
    payload = data.tcp_payload(frame)
    header = soupbintcp.HEADER.unpack(payload)
    return header["packet_type"], payload[soupbintcp.HEADER.size : header["packet_length"] + 2]


def options(appendage: bytes) -> dict[str, object]:
    """Options by name; lengths must come out even."""
    found, at = {}, 0
    while at < len(appendage):
        field = ouch.OPTIONS[appendage[at + 1]]
        assert appendage[at] == 1 + field.size
        found[field.name] = field.unpack(appendage[at + 2 : at + 2 + field.size])
        at += 1 + appendage[at]
    assert at == len(appendage)
    return found


def test_real_order():
    kind, raw = sent("EnterOrderMessage.pcap")
    assert kind == soupbintcp.UNSEQUENCED_DATA
    order = ouch.ENTER_ORDER.unpack(raw)
    assert {name: order[name] for name in ("type", "side", "quantity", "symbol", "price", "time_in_force", "display")} == {
        "type": "O", "side": "T", "quantity": 225, "symbol": "CVLT", "price": 630_200, "time_in_force": "0", "display": "Y",
    }  # fmt: skip
    assert order["clordid"] == "H8FUB8IV"
    (length,) = struct.unpack_from(">H", raw, ouch.ENTER_ORDER.size)
    assert options(raw[ouch.ENTER_ORDER.size + 2 :]) == {"firm": "LIME"}
    assert ouch.ENTER_ORDER.pack(**order) == raw[: -2 - length]


def test_real_acceptance():
    kind, raw = sent("OrderAcceptedMessage.pcap")
    assert kind == soupbintcp.SEQUENCED_DATA
    report = ouch.ORDER_ACCEPTED.unpack(raw)
    assert (report["type"], report["user_ref_num"], report["side"], report["quantity"]) == ("A", 0x753A8D, "B", 40)
    assert (report["symbol"], report["order_state"], report["clordid"]) == ("ADBE", "L", "7682701")
    assert ouch.ORDER_ACCEPTED.pack(**report) == raw[: ouch.ORDER_ACCEPTED.size]
    assert options(raw[ouch.ORDER_ACCEPTED.size + 2 :])["firm"] == "MLRO"


def test_real_cancel_and_its_report():
    kind, raw = sent("CancelOrderMessage.pcap")
    assert (kind, len(raw)) == (soupbintcp.UNSEQUENCED_DATA, ouch.CANCEL_ORDER.size)
    assert ouch.CANCEL_ORDER.unpack(raw) == {"type": "X", "user_ref_num": 0x752E71, "quantity": 0}
    kind, raw = sent("CanceledMessage.pcap")
    report = ouch.ORDER_CANCELED.unpack(raw)
    assert (kind, report["user_ref_num"], report["quantity"], report["reason"]) == ("S", 0x753A8D, 40, "U")
    assert len(raw) == ouch.ORDER_CANCELED.size


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ClientHeartbeatPacket.pcap", soupbintcp.CLIENT_HEARTBEAT),
        ("ServerHeartbeatPacket.pcap", soupbintcp.SERVER_HEARTBEAT),
    ],
)
def test_real_heartbeats(name, kind):
    assert sent(name) == (kind, b"")


def test_options_have_names_of_their_own():
    names = [field.name for field in ouch.OPTIONS.values()]
    assert len(names) == len(set(names))
    assert all(1 <= tag <= 255 for tag in ouch.OPTIONS)
