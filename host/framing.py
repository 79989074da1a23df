"""Puts ITCH messages on the wire: MoldUDP64 in UDP in IPv4 in Ethernet, as the exchange sends them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from hdl.spec import moldudp64
from hdl.spec.network import ETHERNET, ETHERTYPE_IPV4, IPV4, PROTOCOL_UDP, UDP
from sim.checksum import internet_checksum

LARGEST_PACKET = 1500
"""Bytes of an IP packet."""

_DONT_FRAGMENT = 0x4000
_TTL = 20


@dataclass(frozen=True)
class Feed:
    """Where the market data goes and how it is numbered.

    Parameters
    ----------
    address, port : int
        IPv4 group and UDP port.
    session : bytes
        MoldUDP64 session, ten bytes.
    next_sequence : int
        Number of the first message.
    address_b, port_b : int
        Line B, which may carry the same messages; address 0: there is none.
    source_address, source_port : int
        Sender; the card does not look at them.
    """

    address: int = int(IPv4Address("233.54.12.111"))
    port: int = 26477
    session: bytes = b"T2TREPLAY1"
    next_sequence: int = 1
    source_address: int = int(IPv4Address("206.200.127.138"))
    source_port: int = 49653
    address_b: int = 0
    port_b: int = 0

    def __post_init__(self) -> None:
        if len(self.session) != moldudp64.HEADER.by_name["session"].size:
            raise ValueError(f"session: {self.session!r} was given, allowed are ten bytes")
        if self.address_b and not IPv4Address(self.address_b).is_multicast:
            group = IPv4Address(self.address_b)
            raise ValueError(f"address_b: {group} was given, allowed are 0 and 224.0.0.0 to 239.255.255.255")
        if len(set(self.lines)) < len(self.lines):
            raise ValueError("address_b, port_b: line A was given, allowed is another address or port")

    @property
    def lines(self) -> tuple[tuple[int, int], ...]:
        """Address and port of each line there is."""
        return ((self.address, self.port), *(((self.address_b, self.port_b),) if self.address_b else ()))

    def described(self) -> dict[str, str | int]:
        """The feed in words, for reports."""
        return {
            "address": str(IPv4Address(self.address)),
            "port": self.port,
            "session": session_text(self.session),
            "next_sequence": self.next_sequence,
            **({"address_b": str(IPv4Address(self.address_b)), "port_b": self.port_b} if self.address_b else {}),
        }


def session_text(session: bytes) -> str:
    """A session's name, or its bytes in hex where they are no text."""
    text = session.decode("latin-1")
    return text if text.isprintable() else session.hex()


class Framer:
    """Makes the frames of one feed, numbering messages on.

    Parameters
    ----------
    feed : Feed
        Multicast address, session and first number.
    """

    def __init__(self, feed: Feed) -> None:
        if not IPv4Address(feed.address).is_multicast:
            raise ValueError(f"address: {IPv4Address(feed.address)} was given, allowed are 224.0.0.0 to 239.255.255.255")
        self.feed = feed
        self.next_sequence = feed.next_sequence
        group = feed.address
        self._ethernet = ETHERNET.pack(
            destination=b"\x01\x00\x5e" + (group & 0x7FFFFF).to_bytes(3, "big"),
            source=b"\x02\x00\x5e\x00\x00\x01",
            ethertype=ETHERTYPE_IPV4,
        )
        self._addresses = feed.source_address.to_bytes(4, "big") + group.to_bytes(4, "big")
        self._ports = feed.source_port.to_bytes(2, "big") + feed.port.to_bytes(2, "big")

    def packet(self, messages: list[bytes]) -> bytes:
        """Frame (without check sequence) of one MoldUDP64 packet. `ValueError` where the messages do not fit one IP packet."""
        blocks = b"".join(len(message).to_bytes(2, "big") + message for message in messages)
        header = moldudp64.HEADER.pack(
            session=self.feed.session, sequence_number=self.next_sequence, message_count=len(messages)
        )
        frame = self._frame(header + blocks)
        self.next_sequence += len(messages)
        return frame

    def _frame(self, payload: bytes) -> bytes:
        udp_length = UDP.size + len(payload)
        total = IPV4.size + udp_length
        if total > LARGEST_PACKET:
            raise ValueError(f"messages take an IP packet of {total} bytes, allowed are {LARGEST_PACKET}")
        ip = bytearray(
            IPV4.pack(
                version_ihl=0x45,
                dscp_ecn=0,
                total_length=total,
                identification=self.next_sequence & 0xFFFF,
                flags_fragment=_DONT_FRAGMENT,
                ttl=_TTL,
                protocol=PROTOCOL_UDP,
                header_checksum=0,
                source=self.feed.source_address,
                destination=self.feed.address,
            )
        )
        at = IPV4.offset("header_checksum")
        ip[at : at + 2] = internet_checksum(bytes(ip)).to_bytes(2, "big")
        length = udp_length.to_bytes(2, "big")
        pseudo = self._addresses + PROTOCOL_UDP.to_bytes(2, "big") + length
        # A sum of zero is sent as all ones: zero says that there is no checksum.
        checksum = internet_checksum(pseudo + self._ports + length + b"\0\0" + payload) or 0xFFFF
        return self._ethernet + bytes(ip) + self._ports + length + checksum.to_bytes(2, "big") + payload


def pack_messages(messages: Iterable[bytes], *, most: int) -> Iterator[list[bytes]]:
    """Groups of at most `most` messages that fit one packet each."""
    room = LARGEST_PACKET - IPV4.size - UDP.size - moldudp64.HEADER.size
    group: list[bytes] = []
    used = 0
    try:
        for message in messages:
            size = moldudp64.BLOCK.size + len(message)
            if group and (len(group) == most or used + size > room):
                yield group
                group, used = [], 0
            group.append(message)
            used += size
    except Exception:
        # Where the input breaks off, what came before it still goes out.
        if group:
            yield group
        raise
    if group:
        yield group
