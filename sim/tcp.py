"""TCP segments of one established connection, as Ethernet frames: built and taken apart with every check."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from ipaddress import IPv4Address

from hdl.spec.network import (
    ETHERNET,
    ETHERTYPE_IPV4,
    FCS_BYTES,
    IPV4,
    MINIMUM_FRAME,
    PROTOCOL_TCP,
    TCP,
    TCP_ACK,
    TCP_FIN,
    TCP_PSH,
    TCP_RST,
    TCP_SYN,
)
from sim.checksum import internet_checksum
from sim.packing import compiled

_DONT_FRAGMENT = 0x4000
_TTL = 64
_WINDOW = 0xFFFF


class SegmentError(ValueError):
    """A frame is not a sound segment of this connection."""


class SequenceError(SegmentError):
    """A sound segment, but not the next one: its bytes came before, or some before it are missing."""


@dataclass(frozen=True)
class Endpoint:
    """One end of a connection."""

    mac: int
    address: int
    port: int

    def __str__(self) -> str:
        return f"{IPv4Address(self.address)}:{self.port}"


@dataclass(frozen=True)
class Segment:
    """What a segment says."""

    sequence: int
    acknowledgment: int
    flags: int
    window: int
    payload: bytes


def _pseudo_header(source: int, destination: int, length: int) -> bytes:
    return struct.pack(">IIHH", source, destination, PROTOCOL_TCP, length)


def build(source: Endpoint, destination: Endpoint, segment: Segment, *, identification: int = 0) -> bytes:
    """Frame of a segment, without padding and check sequence."""
    length = TCP.size + len(segment.payload)
    ip = bytearray(
        compiled(IPV4).pack(
            0x45, 0, IPV4.size + length, identification & 0xFFFF, _DONT_FRAGMENT, _TTL, PROTOCOL_TCP, 0,
            source.address, destination.address,
        )
    )  # fmt: skip
    at = IPV4.offset("header_checksum")
    ip[at : at + 2] = internet_checksum(bytes(ip)).to_bytes(2, "big")
    offset_flags = TCP.size // 4 << 12 | segment.flags
    tcp = bytearray(
        compiled(TCP).pack(
            source.port, destination.port, segment.sequence, segment.acknowledgment, offset_flags, segment.window, 0, 0
        )
        + segment.payload
    )
    at = TCP.offset("checksum")
    pseudo = _pseudo_header(source.address, destination.address, length)
    tcp[at : at + 2] = internet_checksum(pseudo + bytes(tcp)).to_bytes(2, "big")
    ethernet = compiled(ETHERNET).pack(destination.mac.to_bytes(6, "big"), source.mac.to_bytes(6, "big"), ETHERTYPE_IPV4)
    return ethernet + bytes(ip) + bytes(tcp)


def parse(frame: bytes, *, source: Endpoint, destination: Endpoint) -> Segment:
    """Segment in a frame, padding and check sequence at its end or not.

    Raises
    ------
    SegmentError
        Names the first thing that is wrong: length, address, port, flag, checksum or check sequence.
    """
    if len(frame) < ETHERNET.size + IPV4.size + TCP.size:
        raise SegmentError(f"frame of {len(frame)} bytes is shorter than its headers")
    ethernet, ip = ETHERNET.unpack(frame), IPV4.unpack(frame, ETHERNET.size)
    macs = (destination.mac.to_bytes(6, "big"), source.mac.to_bytes(6, "big"), ETHERTYPE_IPV4)
    if (ethernet["destination"], ethernet["source"], ethernet["ethertype"]) != macs:
        raise SegmentError("MAC addresses or ethertype are not this connection's")
    wanted = (0x45, PROTOCOL_TCP, source.address, destination.address)
    if (ip["version_ihl"], ip["protocol"], ip["source"], ip["destination"]) != wanted:
        raise SegmentError("IPv4 version, header length, protocol or addresses are not this connection's")
    total = int(ip["total_length"])
    end = ETHERNET.size + total
    if total < IPV4.size + TCP.size or len(frame) < end:
        raise SegmentError(f"IPv4 total length {total} does not fit a frame of {len(frame)} bytes")
    _check_tail(frame, end)
    header = frame[ETHERNET.size : ETHERNET.size + IPV4.size]
    if internet_checksum(header):
        raise SegmentError("IPv4 header checksum is wrong")
    body = frame[ETHERNET.size + IPV4.size : end]
    if internet_checksum(_pseudo_header(source.address, destination.address, len(body)) + body):
        raise SegmentError("TCP checksum is wrong")
    tcp = TCP.unpack(body)
    if (tcp["source_port"], tcp["destination_port"]) != (source.port, destination.port):
        raise SegmentError("TCP ports are not this connection's")
    offset, flags = int(tcp["offset_flags"]) >> 12 << 2, int(tcp["offset_flags"]) & 0x1FF
    if not TCP.size <= offset <= len(body):
        raise SegmentError(f"TCP header length {offset} is impossible")
    if not flags & TCP_ACK or flags & (TCP_SYN | TCP_FIN | TCP_RST):
        raise SegmentError(f"TCP flags {flags:#x} do not belong in an established connection")
    return Segment(int(tcp["sequence"]), int(tcp["acknowledgment"]), flags, int(tcp["window"]), body[offset:])


def _check_tail(frame: bytes, end: int) -> None:
    """Behind the IPv4 packet stand nothing, padding up to the smallest frame, and perhaps the check sequence."""
    padded = max(end, MINIMUM_FRAME)
    if len(frame) == padded + FCS_BYTES:
        if zlib.crc32(frame[:padded]) != int.from_bytes(frame[padded:], "little"):
            raise SegmentError("frame check sequence is wrong")
    elif len(frame) not in (end, padded):
        raise SegmentError(f"{len(frame) - end} bytes stand behind the IPv4 packet")


class Connection:
    """Our end of an established connection whose state was agreed on beforehand: no handshake, no timers.

    Parameters
    ----------
    local, remote : Endpoint
        Both ends.
    send_next, receive_next : int
        Sequence numbers of the next byte each way.
    """

    def __init__(self, *, local: Endpoint, remote: Endpoint, send_next: int, receive_next: int) -> None:
        self.local, self.remote = local, remote
        self.send_next, self.receive_next = send_next, receive_next
        self.acknowledged = send_next
        self.window = _WINDOW
        self._sent = 0

    @property
    def outstanding(self) -> int:
        """Bytes sent and not yet acknowledged."""
        return (self.send_next - self.acknowledged) % (1 << 32)

    def receive(self, frame: bytes) -> bytes:
        """New bytes of the stream; `SegmentError` where the frame is bad, or is not the next segment."""
        segment = parse(frame, source=self.remote, destination=self.local)
        ahead = (segment.acknowledgment - self.acknowledged) % (1 << 32)
        if ahead > self.outstanding:
            raise SegmentError(f"acknowledges {segment.acknowledgment}, sent was {self.acknowledged} to {self.send_next}")
        if segment.sequence != self.receive_next and (segment.payload or segment.sequence != (self.receive_next - 1) % (1 << 32)):
            behind = (self.receive_next - segment.sequence) % (1 << 32) < 1 << 31
            raise SequenceError(
                f"{'duplicate' if behind else 'out of order'}: begins at {segment.sequence}, expected was {self.receive_next}"
            )
        self.acknowledged = segment.acknowledgment
        self.window = segment.window
        self.receive_next = (self.receive_next + len(segment.payload)) % (1 << 32)
        return segment.payload

    def send(self, payload: bytes) -> bytes:
        """Frame of the next segment; without payload a pure acknowledgment. `SegmentError` where the window has no room."""
        if self.outstanding + len(payload) > self.window:
            raise SegmentError(f"{len(payload)} bytes more do not fit the window of {self.window}, {self.outstanding} are out")
        flags = TCP_ACK | (TCP_PSH if payload else 0)
        segment = Segment(self.send_next, self.receive_next, flags, _WINDOW, payload)
        frame = build(self.local, self.remote, segment, identification=self._sent)
        self._sent += 1
        self.send_next = (self.send_next + len(payload)) % (1 << 32)
        return frame
