"""The small exchange, spoken to by scapy (frames) and nasdaq-protocols (SoupBinTCP and OUCH)."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from hdl.spec.layout import LayoutError
from sim.tcp import Endpoint
from sim.venue import Reject, Resting, Venue
from tests.support import ouch_definitions as judge

US, THEM = Endpoint(0x02005E000002, 0x0A000002, 40000), Endpoint(0x02005E000001, 0x0A000001, 8003)
LATENCY = 2_500
ABC, XYZ = 7, 9


def itch(kind: bytes, locate: int, body: bytes, time: int = 36_000 * 10**9) -> bytes:
    """ITCH message with its fields behind the common ones given as bytes."""
    return kind + struct.pack(">HH", locate, 0) + time.to_bytes(6, "big") + body


def add(reference: int, side: bytes, shares: int, price: int, locate: int = ABC, stock: bytes = b"ABC     ") -> bytes:
    return itch(b"A", locate, struct.pack(">QcI8sI", reference, side, shares, stock, price))


class Client:
    """Our end of the connection, with scapy."""

    def __init__(self, **options: Any) -> None:
        self.venue = Venue(local=THEM, remote=US, send_next=2_000, receive_next=1_000, **options)
        self.sequence, self.acknowledgment = 1_000, 2_000
        for locate, stock in ((ABC, b"ABC     "), (XYZ, b"XYZ     ")):
            self.venue.observe(itch(b"R", locate, stock + b"QN" + struct.pack(">I", 100) + b"NCZ PNN1N" + bytes(4) + b"N"))
            self.venue.observe(itch(b"H", locate, stock + b"T " + b"    "))
        self.venue.observe(itch(b"S", 0, b"Q"))

    def frame(self, payload: bytes, **changes: Any) -> bytes:
        """Frame of a segment; `changes` go to scapy's TCP."""
        fields = {"seq": self.sequence, "ack": self.acknowledgment, "flags": "PA", "window": 8_000} | changes
        packet: Packet = Ether(dst="02:00:5e:00:00:01", src="02:00:5e:00:00:02") / IP(src="10.0.0.2", dst="10.0.0.1")
        return bytes(packet / TCP(sport=40000, dport=8003, **fields) / Raw(payload))

    def say(self, payload: bytes, cycle: int = 100) -> list[tuple[str, dict[str, Any]]]:
        """Send bytes and take the replies apart."""
        answers = self.venue.receive(self.frame(payload), cycle)
        self.sequence += len(payload)
        stream = b""
        for at, frame in answers:
            assert at == cycle + self.venue.latency
            stream += self.check(frame)
        return judge.replies(stream)

    def check(self, frame: bytes) -> bytes:
        """Payload of a frame from the venue, every header judged by scapy."""
        packet = Ether(frame)
        again = Ether(frame)
        del again[IP].chksum, again[TCP].chksum, again[IP].len
        assert bytes(again) == frame
        assert (packet.dst, packet.src) == ("02:00:5e:00:00:02", "02:00:5e:00:00:01")
        assert (packet[IP].src, packet[IP].dst, packet[TCP].sport, packet[TCP].dport) == ("10.0.0.1", "10.0.0.2", 8003, 40000)
        assert packet[TCP].seq == self.acknowledgment
        assert packet[TCP].ack == self.sequence
        assert "A" in packet[TCP].flags
        payload = bytes(packet[TCP].payload)
        self.acknowledgment += len(payload)
        return payload


def order(number: int, side: str = "B", quantity: int = 300, symbol: str = "ABC", price: int = 100_000, **changes: Any) -> bytes:
    message = judge.encode(
        judge.EnterOrder,
        **{
            "user_ref_num": number, "side": side, "quantity": quantity, "symbol": symbol, "price": price, "time_in_force": "3",
            "display": "Y", "capacity": "P", "iso": "N", "cross_type": "N", "clordid": f"PAIR{number}",
            "appendage_length": 0,
        }
        | changes,
    )  # fmt: skip
    return judge.unsequenced(message)


def test_both_orders_of_a_pair_are_filled_and_echoed() -> None:
    client = Client(latency=LATENCY)
    client.venue.observe(add(1, b"S", 500, 100_000))
    client.venue.observe(add(2, b"B", 400, 50_000, XYZ, b"XYZ     "))
    kinds = client.say(order(1) + order(2, "T", 400, "XYZ", 49_900))
    assert [kind for kind, _ in kinds] == ["A", "E", "A", "E"]
    accepted, executed = kinds[0][1], kinds[1][1]
    assert (accepted["symbol"], accepted["side"], accepted["quantity"], accepted["price"]) == ("ABC", "B", 300, 100_000)
    assert (accepted["clordid"], accepted["order_state"], accepted["time_in_force"]) == ("PAIR1", "L", "3")
    assert accepted["timestamp"] == 36_000 * 10**9
    assert (executed["user_ref_num"], executed["quantity"], executed["price"]) == (1, 300, 100_000)
    assert kinds[3][1]["price"] == 50_000, "a fill is at the displayed price, not at the limit"
    assert kinds[1][1]["match_number"] != kinds[3][1]["match_number"]
    assert dict(client.venue.positions) == {"ABC": 300, "XYZ": -400}
    assert dict(client.venue.cash) == {"ABC": -30_000_000, "XYZ": 20_000_000}
    assert client.venue.counts == {"orders": 2, "accepted": 2, "fills": 2}
    assert not client.venue.faults


def test_an_order_walks_the_book_in_price_and_time_and_the_rest_is_canceled() -> None:
    client = Client()
    for reference, shares, price in ((1, 100, 100_100), (2, 100, 100_000), (3, 50, 100_000), (4, 100, 100_300)):
        client.venue.observe(add(reference, b"S", shares, price))
    client.venue.observe(itch(b"X", ABC, struct.pack(">QI", 2, 20)))
    said = client.say(order(1, quantity=300, price=100_200))
    assert [(kind, fields["quantity"]) for kind, fields in said] == [("A", 300), ("E", 80), ("E", 50), ("E", 100), ("C", 70)]
    assert [fields["price"] for kind, fields in said if kind == "E"] == [100_000, 100_000, 100_100]
    assert said[-1][1]["reason"] == "I"


def test_what_we_took_is_gone_until_the_market_shows_more() -> None:
    client = Client()
    client.venue.observe(add(1, b"S", 100, 100_000))
    assert [kind for kind, _ in client.say(order(1, quantity=60))] == ["A", "E"]
    assert [fields["quantity"] for kind, fields in client.say(order(2, quantity=60)) if kind in "EC"] == [40, 20]
    assert [kind for kind, _ in client.say(order(3, quantity=60))] == ["A", "C"]
    client.venue.observe(itch(b"U", ABC, struct.pack(">QQII", 1, 5, 30, 100_000)))
    assert [fields["quantity"] for kind, fields in client.say(order(4, quantity=60)) if kind in "EC"] == [30, 30]
    # Executions in the market shrink the order as displayed; what we took of it came out of the same shares.
    client.venue.observe(itch(b"E", ABC, struct.pack(">QIQ", 5, 30, 1)))
    assert client.venue.counts["fills"] == 3


def test_cancels_reach_what_rests_and_no_more() -> None:
    client = Client()
    client.venue.observe(add(1, b"S", 100, 100_000))
    assert [kind for kind, _ in client.say(order(1, quantity=300))] == ["A", "E", "C"]
    # An immediate order has gone when its cancel comes, and no word is said of it.
    assert client.say(judge.unsequenced(judge.encode(judge.CancelOrder, user_ref_num=1, quantity=0))) == []
    held = {"user_ref_num": 2, "quantity": 500}
    for number, quantity, left, removed in ((2, 450, 300, 50), (3, 0, 300, 300), (4, 200, 100, 100), (5, 500, 300, 0)):
        client.venue.resting[number] = Resting(held | {"user_ref_num": number}, left)
        if number == 2:
            client.venue.resting[number].left = 350
        said = client.say(judge.unsequenced(judge.encode(judge.CancelOrder, user_ref_num=number, quantity=quantity)))
        expected = [("C", {"timestamp": 36_000 * 10**9, "user_ref_num": number, "quantity": removed, "reason": "U"})]
        assert said == (expected if removed else []), number
    assert sorted(client.venue.resting) == [2, 5] and client.venue.resting[2].left == 300
    assert (client.venue.counts["cancels"], client.venue.counts["cancels_late"]) == (5, 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"symbol": "NOPE"}, Reject.SYMBOL),
        ({"quantity": 0}, Reject.QUANTITY),
        ({"quantity": 1_000_000}, Reject.QUANTITY),
        ({"price": 0}, Reject.PRICE),
        ({"price": 100_001}, Reject.PRICE),
        ({"price": 2_000_000_000}, Reject.PRICE),
        ({"price": 121_000}, Reject.FAT_FINGER),
        ({"side": "Q"}, Reject.SIDE),
        ({"time_in_force": "0"}, Reject.OTHER),
    ],
)
def test_nonsense_is_rejected(changes: dict[str, Any], reason: Reject) -> None:
    client = Client()
    client.venue.observe(add(1, b"S", 500, 100_000))
    ((kind, fields),) = client.say(order(1, **changes))
    assert (kind, fields["reason"], fields["user_ref_num"], fields["clordid"]) == ("J", reason, 1, "PAIR1")
    assert client.venue.counts["rejected"] == 1
    assert not client.venue.positions


@pytest.mark.parametrize(
    ("message", "side", "reason"),
    [
        (itch(b"H", ABC, b"ABC     H T1  "), "B", Reject.HALTED),
        (itch(b"H", ABC, b"ABC     Q T3  "), "B", Reject.HALTED),
        (itch(b"h", ABC, b"ABC     QH"), "B", Reject.HALTED),
        (itch(b"S", 0, b"M"), "B", Reject.DESTINATION_CLOSED),
        (itch(b"W", 0, b"1"), "B", Reject.DESTINATION_CLOSED),
        (itch(b"Y", ABC, b"ABC     1"), "T", Reject.SHORT_SELL_RESTRICTED),
    ],
)
def test_the_state_of_the_market_decides(message: bytes, side: str, reason: Reject) -> None:
    client = Client()
    client.venue.observe(message)
    assert [(kind, fields["reason"]) for kind, fields in client.say(order(1, side))] == [("J", reason)]


def test_a_feed_that_begins_midday_leaves_stocks_trading_until_it_says_otherwise() -> None:
    venue = Venue(local=THEM, remote=US, send_next=2_000, receive_next=1_000, midday=True)
    client = Client()
    client.venue = venue
    venue.observe(add(1, b"S", 500, 100_000))
    assert [kind for kind, _ in client.say(order(1))] == ["A", "E"]
    venue.observe(itch(b"H", ABC, b"ABC     H T1  "))
    assert [kind for kind, _ in client.say(order(2))] == ["J"]


def test_packets_may_be_split_anywhere_and_heartbeats_pass() -> None:
    client = Client()
    client.venue.observe(add(1, b"S", 500, 100_000))
    stream = b"\x00\x01R" + order(1) + order(2, quantity=100)
    said = [part for at in range(0, len(stream), 19) for part in client.say(stream[at : at + 19])]
    assert [(kind, fields["user_ref_num"]) for kind, fields in said] == [("A", 1), ("E", 1), ("A", 2), ("E", 2)]
    assert client.venue.counts["heartbeats"] == 1
    assert not client.venue.faults


def test_duplicate_and_out_of_order_segments_are_reported_and_acknowledged_but_not_used() -> None:
    client = Client()
    client.say(order(1))
    again = client.frame(order(2), seq=1_000)
    ((at, answer),) = client.venue.receive(again, 10_000)
    assert (at, client.check(answer)) == (10_000 + LATENCY, b"")
    ahead = client.frame(order(2), seq=client.sequence + 100)
    ((_, answer),) = client.venue.receive(ahead, 20_000)
    assert client.check(answer) == b""
    assert [fault.cycle for fault in client.venue.faults] == [10_000, 20_000]
    assert [fault.text.partition(":")[0] for fault in client.venue.faults] == ["duplicate", "out of order"]
    assert client.venue.counts["orders"] == 1


def test_a_user_ref_num_that_does_not_rise_is_ignored_and_reported() -> None:
    client = Client()
    client.say(order(5))
    assert client.say(order(5)) == []
    assert client.venue.counts["orders"] == 1
    assert "UserRefNum 5 after 5" in client.venue.faults[0].text


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda frame: frame[:24] + b"\0\0" + frame[26:], "IPv4 header checksum is wrong"),
        (lambda frame: frame[:-1] + bytes([frame[-1] ^ 1]), "TCP checksum is wrong"),
        (lambda frame: frame[:40], "shorter than its headers"),
        (lambda frame: frame[:-5], "does not fit a frame"),
        (lambda frame: b"\xff" + frame[1:], "MAC addresses"),
        (lambda frame: frame + b"\0\0\0\0", "frame check sequence is wrong"),
        (lambda frame: frame + b"\0\0", "2 bytes stand behind"),
    ],
)
def test_bad_frames_are_reported_and_not_used(damage: Any, text: str) -> None:
    client = Client()
    assert client.venue.receive(damage(client.frame(order(1))), 5) == []
    assert text in client.venue.faults[0].text
    assert client.venue.counts["orders"] == 0


@pytest.mark.parametrize(
    ("changes", "text"),
    [({"flags": "SA"}, "flags 0x12"), ({"dport": 8004}, "ports"), ({"ack": 2_001}, "acknowledges 2001")],
)
def test_segments_of_another_kind_are_reported(changes: dict[str, Any], text: str) -> None:
    client = Client()
    frame = client.frame(order(1))
    packet = Ether(frame)
    for name, value in changes.items():
        setattr(packet[TCP], name, value)
    del packet[TCP].chksum
    assert client.venue.receive(bytes(packet), 5) == []
    assert text in client.venue.faults[0].text


def test_a_pure_acknowledgment_needs_no_answer() -> None:
    client = Client()
    client.say(order(1))
    assert client.venue.receive(client.frame(b"", flags="A"), 50) == []
    assert not client.venue.faults


def test_a_good_check_sequence_is_accepted() -> None:
    client = Client()
    frame = client.frame(order(1))
    assert client.venue.receive(frame + zlib.crc32(frame).to_bytes(4, "little"), 5)
    assert not client.venue.faults


@pytest.mark.parametrize("kind", ["A", "E", "X", "D", "U", "H", "S"])
def test_a_market_message_of_a_wrong_length_is_refused(kind: str) -> None:
    """Whoever replays a market passes it over; half of it must not be taken for a whole one."""
    client = Client()
    client.venue.observe(add(5, b"B", 100, 10_000))
    with pytest.raises(LayoutError, match=f"message of type '{kind}' has 20 bytes"):
        client.venue.observe(itch(kind.encode(), ABC, struct.pack(">QB", 5, 0)))
