"""Packet captures: classic pcap of either byte order and resolution, and pcapng; the MoldUDP64 packets inside.

Link types: https://www.tcpdump.org/linktypes.html.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hdl.spec import moldudp64
from hdl.spec.layout import Layout
from hdl.spec.network import ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_QINQ, ETHERTYPE_VLAN, IPV4, PROTOCOL_UDP, UDP, VLAN_TAG
from host.inputs.source import InputError, Source

_CLASSIC = {
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\x3c\x4d": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
}
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_LINK_ETHERNET = 1
_IP_LINKS = {0: 4, 12: 0, 101: 0, 108: 4, 113: 16, 228: 0, 276: 20}
"""Bytes in front of the IP packet by link type: BSD loopback, raw IP, Linux cooked."""
_LINKS = f"allowed are {_LINK_ETHERNET} (Ethernet), {', '.join(map(str, _IP_LINKS))} (loopback, raw IP, Linux cooked)"
_LONGEST_CAPTURE = 1 << 18
_ETHERTYPE_AT = ETHERNET.offset("ethertype")
_TAGS = tuple(tag.to_bytes(2, "big") for tag in (ETHERTYPE_VLAN, ETHERTYPE_QINQ, 0x9100))
"""Ethertypes of a VLAN tag; the last is what was used for stacked ones before 802.1ad."""
_NOT_IPV4 = 0xFFFF
"""Ethertype that nothing has."""


def looks_like_capture(head: bytes) -> bool:
    """Whether the first bytes of a file are a pcap's or pcapng's."""
    return head[:4] in _CLASSIC or head[:4] == _PCAPNG


@dataclass(frozen=True)
class Captured:
    """One frame of a capture.

    Parameters
    ----------
    timestamp : int
        Nanoseconds since 1970, as captured.
    data : bytes
        From the destination address on, without check sequence, with one VLAN tag at most.
    cut : int
        Bytes of its end that were not captured.
    reframed : bool
        It was captured behind stacked VLAN tags, or without Ethernet's header: those are gone, or a made up one is there.
    """

    timestamp: int
    data: bytes
    cut: int = 0
    reframed: bool = False


class Other(enum.StrEnum):
    """Why a frame carries no MoldUDP64 packet."""

    NOT_IPV4 = "not IPv4"
    FRAGMENT = "fragments of IP packets"
    NOT_UDP = "not UDP"
    SHORT = "too short for MoldUDP64"


@dataclass(frozen=True)
class MoldPacket:
    """The MoldUDP64 packet inside a frame.

    Parameters
    ----------
    address, port : int
        IPv4 destination and UDP destination port.
    session : bytes
        Ten bytes.
    sequence : int
        Number of the first message.
    count : int
        Messages promised, 0 in a heartbeat, 0xFFFF at the end of the session.
    messages : tuple of bytes
        Messages that are there whole.
    offset : int
        Byte of the frame at which the MoldUDP64 header begins.
    ip_offset : int
        Byte of the frame at which the IPv4 header begins.
    whole : bool
        The messages promised are all there, and nothing stands behind the last.
    """

    address: int
    port: int
    session: bytes
    sequence: int
    count: int
    messages: tuple[bytes, ...]
    offset: int
    ip_offset: int
    whole: bool

    @property
    def plausible(self) -> bool:
        """Whether this is MoldUDP64 and not something else over UDP: whole, with a session name or at least with messages."""
        return self.whole and (all(0x20 <= byte < 0x7F for byte in self.session) or bool(self.messages))


def frames(source: Source) -> Iterator[Captured]:
    """Frames of a capture in order. `InputError` names the byte at which it is cut or damaged."""
    head = source.peek(4)
    if head in _CLASSIC:
        return _classic(source)
    if head == _PCAPNG:
        return _pcapng(source)
    raise InputError("neither pcap nor pcapng", 0)


def _classic(source: Source) -> Iterator[Captured]:
    order, unit = _CLASSIC[source.read(4)]
    header = source.read(20)
    if len(header) < 20:
        raise InputError("the file ends inside the capture's header", 0)
    link = struct.unpack(order + "HHiIII", header)[5] & 0xFFFF
    if link != _LINK_ETHERNET and link not in _IP_LINKS:
        raise InputError(f"link type {link}: {_LINKS}", 20)
    record = struct.Struct(order + "IIII")
    while True:
        start = source.offset
        raw = source.read(record.size)
        if not raw:
            return
        if len(raw) < record.size:
            raise InputError("the file ends inside a packet's header", start)
        seconds, fraction, length, wire = record.unpack(raw)
        if length > _LONGEST_CAPTURE:
            raise InputError(f"packet length {length}: allowed are 0 to {_LONGEST_CAPTURE}", start)
        data = source.read(length)
        if len(data) < length:
            raise InputError(f"the file ends inside a packet: {len(data)} of {length} bytes are there", start)
        yield _captured(seconds * 1_000_000_000 + fraction * unit, data, link, wire)


def _pcapng(source: Source) -> Iterator[Captured]:
    from scapy.error import Scapy_Exception
    from scapy.utils import RawPcapNgReader

    class Blocks(RawPcapNgReader):  # type: ignore[misc]
        """Knows where the block begins that it reads: many files end with one that is no packet's."""

        begin = 0

        def _read_block(self, *arguments: Any, **named: Any) -> Any:
            self.begin = source.offset
            return super()._read_block(*arguments, **named)

    begin = source.offset
    try:
        reader = Blocks(source)
        while True:
            begin = source.offset
            try:
                data, meta = next(reader)
            except StopIteration:
                begin = reader.begin
                if source.offset != begin or source.read(1):
                    raise InputError("the file ends inside a block, or the block is damaged", begin) from None
                return
            begin = reader.begin
            if meta.linktype != _LINK_ETHERNET and meta.linktype not in _IP_LINKS:
                raise InputError(f"link type {meta.linktype}: {_LINKS}", begin)
            ticks = (meta.tshigh or 0) << 32 | (meta.tslow or 0)
            yield _captured(ticks * 1_000_000_000 // (meta.tsresol or 1_000_000), data, meta.linktype, meta.wirelen)
    except (Scapy_Exception, struct.error) as error:
        raise InputError(f"damaged pcapng: {error}", begin) from error


def _captured(timestamp: int, data: bytes, link: int, wire: int) -> Captured:
    """A frame as a port without a provider's tags would have it."""
    cut = max(0, wire - len(data))
    if link != _LINK_ETHERNET:
        packet = data[_IP_LINKS[link] :]
        ethertype = ETHERTYPE_IPV4 if packet[:1] and packet[0] >> 4 == 4 else _NOT_IPV4
        header = ETHERNET.pack(destination=bytes(6), source=bytes(6), ethertype=ethertype)
        return Captured(timestamp, header + packet, cut, reframed=True)
    at = _ETHERTYPE_AT
    while data[at : at + 2] in _TAGS:
        at += VLAN_TAG.size
    if at == _ETHERTYPE_AT or (at == _ETHERTYPE_AT + VLAN_TAG.size and data[_ETHERTYPE_AT : _ETHERTYPE_AT + 2] == _TAGS[0]):
        return Captured(timestamp, data, cut)
    return Captured(timestamp, data[:_ETHERTYPE_AT] + data[at:], cut, reframed=True)


def _uint(frame: bytes, at: int, layout: Layout, name: str) -> int:
    start = at + layout.offset(name)
    return int.from_bytes(frame[start : start + layout.by_name[name].size], "big")


def _ip_at(frame: bytes) -> int:
    """Byte at which the IPv4 header begins, behind at most one VLAN tag; 0 where there is none."""
    at = ETHERNET.size
    if len(frame) < at + IPV4.size:
        return 0
    ethertype = _uint(frame, 0, ETHERNET, "ethertype")
    if ethertype == ETHERTYPE_VLAN:
        ethertype = _uint(frame, at, VLAN_TAG, "ethertype")
        at += VLAN_TAG.size
    if ethertype != ETHERTYPE_IPV4 or len(frame) < at + IPV4.size:
        return 0
    version, words = divmod(_uint(frame, at, IPV4, "version_ihl"), 16)
    return at if version == 4 and 4 * words >= IPV4.size else 0


def destination(frame: bytes) -> int | None:
    """IPv4 address a frame is sent to."""
    at = _ip_at(frame)
    return _uint(frame, at, IPV4, "destination") if at else None


def mold_packet(frame: bytes) -> MoldPacket | Other:
    """The MoldUDP64 packet a frame carries over UDP and IPv4, behind at most one VLAN tag; where it carries none, why."""
    ip_at = _ip_at(frame)
    if not ip_at:
        return Other.NOT_IPV4
    if _uint(frame, ip_at, IPV4, "protocol") != PROTOCOL_UDP:
        return Other.NOT_UDP
    if _uint(frame, ip_at, IPV4, "flags_fragment") & 0x3FFF:
        return Other.FRAGMENT
    udp_at = ip_at + 4 * (_uint(frame, ip_at, IPV4, "version_ihl") & 15)
    mold_at = udp_at + UDP.size
    end = min(len(frame), udp_at + _uint(frame, udp_at, UDP, "length"))
    if end < mold_at + moldudp64.HEADER.size:
        return Other.SHORT
    count = _uint(frame, mold_at, moldudp64.HEADER, "message_count")
    messages, whole = blocks(frame[mold_at + moldudp64.HEADER.size : end], count)
    return MoldPacket(
        _uint(frame, ip_at, IPV4, "destination"),
        _uint(frame, udp_at, UDP, "destination_port"),
        frame[mold_at : mold_at + moldudp64.HEADER.by_name["session"].size],
        _uint(frame, mold_at, moldudp64.HEADER, "sequence_number"),
        count,
        messages,
        mold_at,
        ip_at,
        whole,
    )


def blocks(payload: bytes, count: int) -> tuple[tuple[bytes, ...], bool]:
    """Whole messages of a packet, and whether they are all there and nothing else is."""
    messages: list[bytes] = []
    at = 0
    while len(messages) < (0 if count == moldudp64.END_OF_SESSION else count):
        end = at + 2 + int.from_bytes(payload[at : at + 2], "big")
        if end > len(payload):
            return tuple(messages), False
        messages.append(payload[at + 2 : end])
        at = end
    return tuple(messages), at == len(payload)
