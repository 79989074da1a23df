"""A trigger leaves as a frame that others read: scapy, zlib, and the exchange's own client library."""

from __future__ import annotations

import zlib

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from sim.card import SimulatedCard
from tests.support import ouch_definitions as judge
from tests.support.desk import DOLLAR, Desk


@pytest.mark.parametrize("price", [100.06, 100.50])
def test_both_orders_in_one_segment(card: SimulatedCard, price: float) -> None:
    desk = Desk(card)
    desk.touch()
    desk.send(desk.add("AAA", "B", 500, price)[1])
    (frame,) = card.frames()

    assert frame.fcs_ok
    assert not frame.malformed
    assert frame.fcs == zlib.crc32(frame.data)
    ether = Ether(frame.data)
    assert int(ether.dst.replace(":", ""), 16) == desk.session.peer_mac
    assert int(ether.src.replace(":", ""), 16) == desk.session.local_mac
    ip, tcp = ether[IP], ether[TCP]
    assert (ip.version, ip.ihl, ip.len) == (4, 5, len(frame.data) - 14)
    assert (tcp.sport, tcp.dport) == (desk.session.local_port, desk.session.peer_port)
    assert (tcp.seq, tcp.ack) == (desk.session.send_next, desk.session.receive_next)
    assert str(tcp.flags) == "PA"
    sums = ip.chksum, tcp.chksum
    again = Ether(frame.data)
    del again[IP].chksum, again[TCP].chksum
    again = Ether(bytes(again))
    assert (again[IP].chksum, again[TCP].chksum) == sums

    packets = judge.packets(bytes(tcp.payload))
    assert [packet.Indicator for packet in packets] == ["U", "U"]
    orders = [judge.enter_order(packet.data) for packet in packets]
    common = {"time_in_force": "3", "display": "Y", "capacity": "P", "iso": "N", "cross_type": "N", "appendage_length": 0}
    for order in orders:
        assert {key: order[key] for key in common} == common
    a, b = orders
    # AAA is sold short at its bid: there is no position to sell from. BBB is bought at its offer.
    assert (a["user_ref_num"], a["side"], a["quantity"], a["symbol"].strip()) == (1, "T", 100, "AAA")
    assert (b["user_ref_num"], b["side"], b["quantity"], b["symbol"].strip()) == (2, "B", 200, "BBB")
    assert (a["price"], b["price"]) == (round(price * DOLLAR), round(50.02 * DOLLAR))
    assert card.read("session", "send_next") == desk.session.send_next + len(bytes(tcp.payload))
