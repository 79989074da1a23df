"""Packet captures: classic pcap of either byte order and resolution, and pcapng; the MoldUDP64 packets inside."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

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
_LONGEST_CAPTURE = 1 << 18


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
        From the destination address on, without check sequence.
    """

    timestamp: int
    data: bytes


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
    if link != _LINK_ETHERNET:
        raise InputError(f"link type {link}: allowed is {_LINK_ETHERNET} (Ethernet)", 20)
    record = struct.Struct(order + "IIII")
    while True:
        start = source.offset
        raw = source.read(record.size)
        if not raw:
            return
        if len(raw) < record.size:
            raise InputError("the file ends inside a packet's header", start)
        seconds, fraction, length, _ = record.unpack(raw)
        if length > _LONGEST_CAPTURE:
            raise InputError(f"packet length {length}: allowed are 0 to {_LONGEST_CAPTURE}", start)
        data = source.read(length)
        if len(data) < length:
            raise InputError(f"the file ends inside a packet: {len(data)} of {length} bytes are there", start)
        yield Captured(seconds * 1_000_000_000 + fraction * unit, data)


def _pcapng(source: Source) -> Iterator[Captured]:
    from scapy.error import Scapy_Exception
    from scapy.utils import RawPcapNgReader

    start = source.offset
    try:
        reader = RawPcapNgReader(source)
        while True:
            start = source.offset
            try:
                data, meta = next(reader)
            except StopIteration:
                if source.read(1) or start != source.offset:
                    raise InputError("the file ends inside a block", start) from None
                return
            if meta.linktype != _LINK_ETHERNET:
                raise InputError(f"link type {meta.linktype}: allowed is {_LINK_ETHERNET} (Ethernet)", start)
            ticks = (meta.tshigh or 0) << 32 | (meta.tslow or 0)
            yield Captured(ticks * 1_000_000_000 // (meta.tsresol or 1_000_000), data)
    except (Scapy_Exception, struct.error) as error:
        raise InputError(f"damaged pcapng: {error}", start) from error


def _uint(frame: bytes, at: int, layout: Layout, name: str) -> int:
    start = at + layout.offset(name)
    return int.from_bytes(frame[start : start + layout.by_name[name].size], "big")


def mold_packet(frame: bytes) -> MoldPacket | None:
    """The MoldUDP64 packet a frame carries over UDP and IPv4, behind at most one VLAN tag; None where it carries none."""
    at = ETHERNET.size
    if len(frame) < at:
        return None
    ethertype = _uint(frame, 0, ETHERNET, "ethertype")
    if ethertype in (ETHERTYPE_VLAN, ETHERTYPE_QINQ):
        ethertype = _uint(frame, at, VLAN_TAG, "ethertype")
        at += VLAN_TAG.size
    ip_at = at
    if ethertype != ETHERTYPE_IPV4 or len(frame) < ip_at + IPV4.size:
        return None
    version_ihl = _uint(frame, ip_at, IPV4, "version_ihl")
    header = 4 * (version_ihl & 15)
    if version_ihl >> 4 != 4 or header < IPV4.size or _uint(frame, ip_at, IPV4, "protocol") != PROTOCOL_UDP:
        return None
    if _uint(frame, ip_at, IPV4, "flags_fragment") & 0x3FFF:
        return None
    udp_at = ip_at + header
    mold_at = udp_at + UDP.size
    end = min(len(frame), udp_at + _uint(frame, udp_at, UDP, "length"))
    if end < mold_at + moldudp64.HEADER.size:
        return None
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
