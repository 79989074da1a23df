from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from host.framing import Feed, Framer, pack_messages
from tests.support.data import blocks

FEED = Feed(address=int(IPv4Address("233.54.12.111")), port=26477, session=b"000010059B", next_sequence=7)


@pytest.mark.parametrize("sizes", [[1], [12], [19], [36, 40], [50] * 27, [1450], [0], [35, 0, 36]])
def test_scapy_reads_every_field_and_finds_the_same_checksums(sizes: list[int]) -> None:
    framer = Framer(FEED)
    messages = [bytes((size * 7 + at) & 255 for at in range(size)) for size in sizes]
    raw = framer.packet(messages)
    frame = Ether(raw)
    assert frame.dst == "01:00:5e:36:0c:6f"
    assert (frame[IP].dst, frame[UDP].dport) == ("233.54.12.111", 26477)
    assert (frame[IP].len, frame[UDP].len) == (len(raw) - 14, len(raw) - 34)
    payload = bytes(frame[UDP].payload)
    assert payload[:18] == b"000010059B" + (7).to_bytes(8, "big")
    assert blocks(payload) == messages
    again = Ether(raw)
    del again[IP].chksum, again[UDP].chksum
    rebuilt = Ether(bytes(again))
    assert (rebuilt[IP].chksum, rebuilt[UDP].chksum) == (frame[IP].chksum, frame[UDP].chksum)
    assert framer.next_sequence == 7 + len(sizes)


def test_a_udp_checksum_of_zero_is_sent_as_all_ones() -> None:
    framer = Framer(FEED)
    # Two free bytes make the sum come out at any value: with this one the checksum would be 0.
    plain = Ether(framer.packet([b"\0\0"]))[UDP].chksum
    assert Ether(Framer(FEED).packet([plain.to_bytes(2, "big")]))[UDP].chksum == 0xFFFF


def test_packets_are_filled_up_to_the_count_or_the_size() -> None:
    messages = [bytes(36)] * 100
    groups = list(pack_messages(messages, most=1000))
    assert sum(map(len, groups)) == 100
    assert {len(Framer(FEED).packet(group)) for group in groups[:-1]} == {14 + 20 + 8 + 20 + 38 * 38}
    assert [len(group) for group in pack_messages(messages, most=7)] == [7] * 14 + [2]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="an IP packet of 1501 bytes, allowed are 1500"):
        Framer(FEED).packet([bytes(1451)])
    with pytest.raises(ValueError, match="session: b'x' was given, allowed are ten bytes"):
        Feed(session=b"x")
    with pytest.raises(ValueError, match=r"address: 10\.0\.0\.1 was given, allowed are 224\.0\.0\.0 to 239\.255\.255\.255"):
        Framer(Feed(address=int(IPv4Address("10.0.0.1"))))


def test_messages_before_a_broken_one_still_go_out() -> None:
    def broken():
        yield b"one"
        yield b"two"
        raise OSError("gone")

    groups = pack_messages(broken(), most=10)
    assert next(groups) == [b"one", b"two"]
    with pytest.raises(OSError, match="gone"):
        next(groups)
