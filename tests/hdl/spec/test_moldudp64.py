"""MoldUDP64 against packets from the wire."""

from hdl.spec import moldudp64
from tests.support import data


def packets(name):
    return [data.udp_payload(frame) for frame in data.frames(data.require(data.ITCH_WIRE) / name)]


def test_single_message():
    (payload,) = packets("OrderDeleteMessage.pcap")
    header = moldudp64.HEADER.unpack(payload)
    assert (header["session"], header["message_count"]) == ("000010059B", 1)
    block = moldudp64.BLOCK.unpack(payload, at=moldudp64.HEADER.size)
    assert block["message_length"] == len(payload) - moldudp64.HEADER.size - moldudp64.BLOCK.size == 19
    assert moldudp64.HEADER.pack(**header) == payload[: moldudp64.HEADER.size]


def test_full_packet_is_walked_to_its_last_byte():
    full = max(packets("Multiple.Packets.pcap"), key=len)
    header = moldudp64.HEADER.unpack(full)
    assert (len(full), header["message_count"]) == (1472, 38)
    at = moldudp64.HEADER.size
    for _ in range(header["message_count"]):
        at += moldudp64.BLOCK.size + moldudp64.BLOCK.unpack(full, at=at)["message_length"]
    assert at == len(full)


def test_counts_that_are_no_counts():
    count = moldudp64.HEADER.by_name["message_count"]
    assert moldudp64.HEARTBEAT == 0
    assert count.pack(moldudp64.END_OF_SESSION) == b"\xff\xff"
