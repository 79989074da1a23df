from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest
import zstandard
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback
from scapy.packet import Packet
from scapy.utils import PcapNgWriter, PcapWriter

from host.inputs import capture
from host.inputs.capture import Captured, MoldPacket, Other, mold_packet
from host.inputs.source import InputError, Source
from tests.support.data import ITCH_TYPES, ITCH_WIRE, blocks, captures, frames, udp_payload

FRAMES = [bytes(Ether(dst="01:00:5e:36:0c:6f") / IP(dst="233.54.12.111") / UDP(dport=9) / bytes(size)) for size in (20, 60, 1400)]


def read(path: Path) -> list[Captured]:
    with Source(path) as source:
        return list(capture.frames(source))


def classic(order: str, nano: bool, packets: list[bytes], link: int = 1) -> bytes:
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for number, data in enumerate(packets):
        out += struct.pack(order + "IIII", 5, number, len(data), len(data)) + data
    return out


@pytest.mark.parametrize("folder", [ITCH_WIRE, ITCH_TYPES])
def test_real_captures_give_the_frames_and_messages_scapy_finds(folder: str) -> None:
    for path in captures(folder):
        found = read(path)
        assert [each.data for each in found] == frames(path)
        for each in found:
            packet = mold_packet(each.data)
            assert isinstance(packet, MoldPacket)
            assert packet.plausible
            assert list(packet.messages) == blocks(udp_payload(each.data))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
def test_every_classic_form_reads_the_same(tmp_path: Path, order: str, nano: bool, pack) -> None:
    path = tmp_path / "some"
    path.write_bytes(pack(classic(order, nano, FRAMES)))
    unit = 1 if nano else 1000
    assert read(path) == [Captured(5_000_000_000 + number * unit, data) for number, data in enumerate(FRAMES)]


def test_pcapng_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "some.pcapng"
    with PcapNgWriter(str(path)) as writer:
        writer.write([Ether(frame) for frame in FRAMES])
    assert [each.data for each in read(path)] == FRAMES


def test_scapys_own_pcap_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "some.pcap"
    with PcapWriter(str(path), linktype=1) as writer:
        writer.write([Ether(frame) for frame in FRAMES])
    assert [each.data for each in read(path)] == FRAMES


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    size = struct.pack(order + "I", 12 + len(body) + -len(body) % 4)
    return struct.pack(order + "I", kind) + size + body + bytes(-len(body) % 4) + size


def pcapng(order: str, frames: list[bytes], wire: int = 0) -> list[bytes]:
    """Blocks as dumpcap writes them: times in nanoseconds, names, statistics behind the last packet."""
    section = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    interface = block(1, struct.pack(order + "HHIHHB3xHH", 1, 0, 1 << 18, 9, 1, 9, 0, 0), order)
    packets = [
        block(6, struct.pack(order + "5I", 0, 1, number, len(data), wire or len(data)) + data, order)
        for number, data in enumerate(frames)
    ]
    return [section, interface, block(4, bytes(4), order), *packets, block(5, struct.pack(order + "3I", 0, 1, 9), order)]


@pytest.mark.parametrize("order", ["<", ">"])
def test_blocks_that_are_no_packets_end_a_pcapng(tmp_path: Path, order: str) -> None:
    path = tmp_path / "some.pcapng"
    path.write_bytes(b"".join(pcapng(order, FRAMES)))
    assert read(path) == [Captured((1 << 32) + number, data) for number, data in enumerate(FRAMES)]
    path.write_bytes(b"".join(pcapng(order, [])))
    assert read(path) == []


@pytest.mark.parametrize("cut", [1, 4, 8, 20])
def test_a_cut_block_is_named_with_its_offset(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "some.pcapng"
    blocks = pcapng("<", FRAMES)
    path.write_bytes(b"".join(blocks)[:-cut])
    with Source(path) as source:
        found = capture.frames(source)
        assert [next(found).data for _ in FRAMES] == FRAMES
        with pytest.raises(InputError, match="the file ends inside a block") as caught:
            next(found)
    assert caught.value.offset == sum(map(len, blocks[:-1]))


LINKS = {
    0: Loopback(type=2), 12: None, 101: None, 108: Loopback(type=2), 113: CookedLinux(), 228: None, 276: CookedLinuxV2(),
}  # fmt: skip


@pytest.mark.parametrize("link", LINKS)
def test_ip_packets_behind_other_links_get_ethernets_header(tmp_path: Path, link: int) -> None:
    path, head = tmp_path / "some.pcap", LINKS[link]
    packets: list[Packet] = [Ether(frame)[IP] for frame in FRAMES]
    other = bytes(1) if head is None else bytes(head) + b"\x60" + bytes(40)
    path.write_bytes(classic("<", True, [*(bytes(packet if head is None else head / packet) for packet in packets), other]))
    raw = bytearray(path.read_bytes())
    raw[20:24] = struct.pack("<I", link)
    path.write_bytes(raw)
    *found, last = read(path)
    assert [bytes(Ether(each.data)[IP]) for each in found] == [bytes(packet) for packet in packets]
    assert all(each.reframed and not each.cut for each in found)
    assert mold_packet(last.data) is Other.NOT_IPV4


def test_a_providers_tags_are_taken_off(tmp_path: Path) -> None:
    path, plain = tmp_path / "some.pcap", Ether(FRAMES[0])
    stacks = [Dot1Q(vlan=9), Dot1AD(vlan=7), Dot1AD(vlan=7) / Dot1Q(vlan=9), Dot1Q(vlan=7) / Dot1Q(vlan=9)]
    tagged = [bytes(Ether(src=plain.src, dst=plain.dst) / tags / plain[IP]) for tags in stacks]
    path.write_bytes(classic("<", True, tagged))
    assert [(each.data, each.reframed) for each in read(path)] == [(tagged[0], False), *[(FRAMES[0], True)] * 3]


def test_what_was_not_captured_of_a_frame_is_told(tmp_path: Path) -> None:
    path = tmp_path / "some.pcap"
    path.write_bytes(classic("<", True, []) + struct.pack("<IIII", 5, 0, 60, 1442) + FRAMES[2][:60])
    assert [(each.data, each.cut) for each in read(path)] == [(FRAMES[2][:60], 1382)]
    path.write_bytes(b"".join(pcapng("<", [FRAMES[2][:60]], wire=1442)))
    assert [(each.data, each.cut) for each in read(path)] == [(FRAMES[2][:60], 1382)]


@pytest.mark.parametrize("cut", [1, 15, 16, 30])
def test_a_cut_packet_is_named_with_its_offset(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut"
    start = 24 + 16 + len(FRAMES[0])
    path.write_bytes(classic("<", True, FRAMES)[: start + cut])
    with Source(path) as source:
        found = capture.frames(source)
        assert next(found).data == FRAMES[0]
        with pytest.raises(InputError, match=f"^byte {start}: the file ends inside a packet") as caught:
            next(found)
    assert caught.value.offset == start


def test_a_cut_pcapng_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "some.pcapng"
    with PcapNgWriter(str(path)) as writer:
        writer.write([Ether(frame) for frame in FRAMES])
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(InputError):
        read(path)


def test_absurd_lengths_other_links_and_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad"
    path.write_bytes(classic("<", False, FRAMES[:1]) + struct.pack("<IIII", 0, 0, 1 << 30, 1 << 30))
    with pytest.raises(InputError, match="packet length 1073741824: allowed are 0 to 262144"):
        read(path)
    path.write_bytes(classic("<", False, FRAMES, link=105))
    with pytest.raises(InputError, match="link type 105: allowed are 1"):
        read(path)
    path.write_bytes(b"\0\x0cS")
    with pytest.raises(InputError, match="neither pcap nor pcapng"):
        read(path)
    path.write_bytes(classic("<", False, [])[:20])
    with pytest.raises(InputError, match="inside the capture's header"):
        read(path)


def mold(messages: list[bytes], sequence: int = 9, count: int | None = None) -> bytes:
    body = b"".join(struct.pack(">H", len(message)) + message for message in messages)
    return b"SESSION001" + struct.pack(">QH", sequence, len(messages) if count is None else count) + body


def udp(payload: bytes, **ip: object) -> bytes:
    return bytes(Ether() / IP(dst="233.1.2.3", **ip) / UDP(dport=1234) / payload)


def test_the_header_walk_agrees_with_scapy_on_tags_and_options() -> None:
    payload = mold([b"one", b"", b"three"])
    plain = udp(payload)
    options = udp(payload, options=b"\x07\x07\x04\0\0\0\0\0")
    tagged = bytes(Ether() / Dot1Q(vlan=141) / IP(dst="233.1.2.3") / UDP(dport=1234) / payload)
    for frame in (plain, options, tagged, plain + b"trailer"):
        packet = mold_packet(frame)
        assert isinstance(packet, MoldPacket)
        assert (packet.port, packet.sequence, packet.session) == (1234, 9, b"SESSION001")
        assert packet.messages == (b"one", b"", b"three")
        assert frame[packet.offset : packet.offset + 10] == b"SESSION001"
        assert frame[packet.ip_offset] >> 4 == 4


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b"", Other.NOT_IPV4),
        (b"x" * 13, Other.NOT_IPV4),
        (bytes(Ether() / IP(dst="233.1.2.3") / TCP(dport=1234) / mold([b"one"])), Other.NOT_UDP),
        (udp(mold([b"one"]), flags="MF"), Other.FRAGMENT),
        (udp(b"too short"), Other.SHORT),
        (bytes(Ether(type=0x86DD) / (b"\x60" + bytes(60))), Other.NOT_IPV4),
        (udp(mold([b"one"]))[:40], Other.SHORT),
    ],
)
def test_other_frames_carry_no_mold_packet(frame: bytes, why: Other) -> None:
    assert mold_packet(frame) is why


def test_other_things_over_udp_are_not_taken_for_the_feed() -> None:
    for payload in (bytes(30), bytes(20), mold([b"one"]) + b"more", mold([b"one"], count=2)):
        packet = mold_packet(udp(payload))
        assert isinstance(packet, MoldPacket)
        assert not packet.plausible
    empty = mold_packet(udp(mold([])))
    assert isinstance(empty, MoldPacket)
    assert empty.plausible


def test_blocks_that_reach_past_the_packet_are_not_messages() -> None:
    cut = mold_packet(udp(mold([b"one", b"two"])[:-1]))
    assert isinstance(cut, MoldPacket)
    assert cut.messages == (b"one",)
    assert not cut.plausible
    end = mold_packet(udp(mold([], count=0xFFFF)))
    assert isinstance(end, MoldPacket)
    assert end.messages == ()
    assert end.plausible
