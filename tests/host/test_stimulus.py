from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from host.framing import Feed
from host.inputs.capture import Captured
from host.inputs.source import InputError
from host.stimulus import Capture, Index, Stimulus, Wanted, from_messages, wire_cycles
from tests.host.records import delete
from tests.support.data import ITCH_TYPES, ITCH_WIRE, blocks, captures, frames, udp_payload


def mold(
    messages: list[bytes], sequence: int, *, session: bytes = b"SESSION001", address: str = "233.1.2.3", port: int = 1234
) -> bytes:
    body = b"".join(struct.pack(">H", len(message)) + message for message in messages)
    payload = session + struct.pack(">QH", sequence, len(messages)) + body
    return bytes(Ether() / IP(dst=address) / UDP(dport=port) / payload)


def capture(*frames: bytes, wanted: Wanted = Wanted()) -> Capture:  # noqa: B008
    return Capture((Captured(0, frame) for frame in frames), wanted)


def test_an_itch_file_becomes_numbered_frames() -> None:
    stimuli = list(from_messages([b"a", b"bb", b"ccc"], Feed(next_sequence=5), pack=2))
    assert [(each.messages, each.sequence) for each in stimuli] == [((b"a", b"bb"), 5), ((b"ccc",), 7)]
    assert blocks(udp_payload(stimuli[0].frame)) == [b"a", b"bb"]


def test_the_feed_is_the_first_mold_packets() -> None:
    noise = bytes(Ether() / IP() / UDP(dport=53) / (b"\0" * 30))
    first = mold([b"x"], 77)
    other = mold([b"y"], 1, address="233.9.9.9")
    found = capture(noise, first, other, mold([b"z", b"z"], 78))
    assert found.feed.described() == {"address": "233.1.2.3", "port": 1234, "session": "SESSION001", "next_sequence": 77}
    assert [(each.messages, each.sequence) for each in found] == [((), 0), ((b"x",), 77), ((), 0), ((b"z", b"z"), 78)]
    assert [each.frame for each in capture(noise, first, other)] == [noise, first, other]


def test_what_is_known_beforehand_chooses_the_feed() -> None:
    packets = [mold([b"x"], 77), mold([b"y"], 5, session=b"SESSION002"), mold([b"z"], 9, address="233.9.9.9", port=99)]
    assert capture(*packets, wanted=Wanted(session=b"SESSION002")).feed.next_sequence == 5
    assert capture(*packets, wanted=Wanted(port=99)).feed.next_sequence == 9
    assert capture(*packets, wanted=Wanted(next_sequence=3)).feed.next_sequence == 3
    with pytest.raises(InputError, match="no MoldUDP64 packet of the feed asked for among the first 3 frames"):
        capture(*packets, wanted=Wanted(port=100))
    with pytest.raises(InputError, match="no MoldUDP64 packet among the first 1 frames"):
        capture(b"x" * 60)


def test_where_no_feed_is_found_there_stands_what_is() -> None:
    fragment = bytes(Ether() / IP(dst="233.1.2.3", flags="MF", proto=17) / (b"x" * 40))
    with pytest.raises(InputError, match=r"first 3 frames: 2 fragments of IP packets, 1 not IPv4$"):
        capture(fragment, b"x" * 60, fragment)
    with pytest.raises(InputError, match=r"first 1 frames: 1 frames captured cut$"):
        Capture(iter([Captured(0, mold([b"x"], 1)[:-1], cut=1)]), Wanted())
    with pytest.raises(InputError, match=r"there are 233\.1\.2\.3:1234 session SESSION001 \(2 packets\)$"):
        capture(mold([b"x"], 1), mold([b"y"], 2), wanted=Wanted(port=100))
    with pytest.raises(InputError, match="no MoldUDP64 packet in a capture without a frame"):
        capture()


def test_what_is_not_used_of_the_feed_is_a_finding() -> None:
    fragment = bytes(Ether() / IP(dst="233.1.2.3", flags="MF", proto=17) / (b"x" * 40))
    elsewhere = bytes(Ether() / IP(dst="233.9.9.9", flags="MF", proto=17) / (b"x" * 40))
    whole = [Captured(0, frame) for frame in (mold([b"x"], 1), elsewhere, fragment, mold([b"y"], 1, session=b"SESSION002"))]
    trailer = Captured(0, mold([delete(1, 1)], 2) + bytes(4), cut=8)
    found = Capture(iter([*whole, trailer, Captured(0, mold([b"x"], 3)[:-1], cut=1), whole[2], whole[3]]), Wanted())
    assert found.findings == []
    assert len(list(found)) == 8
    odd, fragments, session, cut = found.findings
    assert odd.startswith("input: packets with messages that are not of ITCH 5.0 on the feed's lines: 1, the first is frame 1:")
    assert fragments.startswith("input: fragments of IP packets on the feed's lines: 2, the first is frame 3: the card takes")
    assert session.startswith("input: packets of another session, SESSION002, on the feed's lines: 2, the first is frame 4: they")
    assert cut.startswith("input: frames captured cut on the feed's lines: 1, the first is frame 6: 1 bytes are missing;")


def test_a_session_that_was_asked_for_leaves_the_others_as_other_feeds() -> None:
    packets = [mold([delete(1, 1)], 1), mold([delete(1, 2)], 1, session=b"SESSION002")]
    found = capture(*packets, wanted=Wanted(session=b"SESSION002"))
    assert [each.messages for each in found] == [(), (delete(1, 2),)]
    assert (found.findings, found.other_feeds) == ([], ["233.1.2.3:1234 session SESSION001 (1 packet)"])


def test_other_feeds_of_a_capture_are_told() -> None:
    found = capture(mold([delete(1, 1)], 1), mold([b"y"], 5, address="233.9.9.9"), mold([b"y"], 6, address="233.9.9.9"))
    assert list(found)
    assert (found.findings, found.other_feeds) == ([], ["233.9.9.9:1234 session SESSION001 (2 packets)"])
    assert found.form == "pcap"
    assert Capture(iter([Captured(0, mold([b"x"], 0), reframed=True)]), Wanted()).form == "pcap, reframed, renumbered"


def test_real_captures_go_in_byte_for_byte() -> None:
    for path in captures(ITCH_WIRE):
        raw = frames(path)
        found = capture(*raw)
        assert [each.frame for each in found] == raw
        assert not found.renumbered


def test_captures_without_numbers_get_new_ones_and_right_checksums() -> None:
    for path in captures(ITCH_TYPES):
        raw = frames(path)
        found = capture(*raw)
        assert found.renumbered
        for number, (stimulus, old) in enumerate(zip(found, raw, strict=True), start=1):
            frame = Ether(stimulus.frame)
            assert struct.unpack_from(">Q", udp_payload(stimulus.frame), 10) == (number,)
            assert blocks(udp_payload(stimulus.frame)) == blocks(udp_payload(old)) == list(stimulus.messages)
            checksum = frame[IP].chksum
            del frame[IP].chksum
            assert Ether(bytes(frame))[IP].chksum == checksum
            # Only the number and the two checksums differ.
            changed = {at for at, (a, b) in enumerate(zip(stimulus.frame, old, strict=True)) if a != b}
            assert changed <= {28, 29, 44, 45, *range(56, 64)}


def stimulus(sequence: int, count: int) -> Stimulus:
    return Stimulus(b"", tuple(bytes([sequence + each & 255]) for each in range(count)), sequence)


def test_duplicates_overlaps_and_gaps_are_counted_in_the_order_of_the_file() -> None:
    index = Index(10)
    index.add(stimulus(10, 3))
    assert index.add(stimulus(10, 3)) == ()
    assert index.add(stimulus(12, 3)) == (bytes([13]), bytes([14]))
    index.add(stimulus(20, 1))
    assert [index[number] for number in (10, 11, 12, 13, 14, 20)] == [0, 1, 2, 7, 8, 9]
    assert index.records == 10
    with pytest.raises(KeyError):
        index[9]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), max_size=60))
def test_index_agrees_with_a_plain_account(steps: list[tuple[int, int]]) -> None:
    index, plain, expected, records, number = Index(1), {}, 1, 0, 1
    for step, count in steps:
        number = max(1, number + step - 3)
        index.add(stimulus(number, count))
        for each in range(number, number + count):
            if each >= expected:
                plain[each] = records + each - number
        expected, records = max(expected, number + count), records + count
        number += count
    assert {each: index[each] for each in plain} == plain


@pytest.mark.parametrize(("size", "cycles"), [(60, 84), (14, 84), (61, 85), (1514, 1538)])
def test_a_frame_takes_its_bytes_preamble_check_sequence_and_gap(size: int, cycles: int) -> None:
    assert wire_cycles(bytes(size)) == cycles


def test_line_b_is_the_feed_too_and_never_line_a() -> None:
    line_b = (0xE9090909, 99)
    sent = [mold([b"x"], 7, address="233.9.9.9", port=99), mold([b"y"], 8)]
    found = capture(*sent, wanted=Wanted(line_b=line_b))
    assert found.feed.lines == ((0xE9010203, 1234), line_b)
    assert found.feed.next_sequence == 7
    assert [(each.messages, each.sequence) for each in found] == [((b"x",), 7), ((b"y",), 8)]
    # Without it, line B's are somebody else's frames.
    assert [each.messages for each in capture(*sent[::-1])] == [(b"y",), ()]


def test_two_lines_without_numbers_cannot_be_told_apart() -> None:
    with pytest.raises(InputError, match="leave line B away"):
        capture(mold([b"x"], 0), wanted=Wanted(line_b=(0xE9090909, 99)))
