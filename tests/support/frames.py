"""Frames for tests: built with scapy, driven beat by beat, and judged by a plain reading of the standards."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw
from scapy.utils import checksum

from hdl.spec.reasons import Drop

MAC = "02:00:5e:10:20:30"
GROUP, FEED_PORT = "233.54.12.111", 26477
LOCAL, LOCAL_PORT = "10.9.8.7", 40123
PEER, PEER_PORT = "192.0.2.33", 8003


GREETING = bytes(Ether(dst="01:00:5e:36:0c:6f", src="02:00:00:00:00:01") / IP(dst=GROUP) / UDP(dport=7) / b"hello")
"""A datagram shorter than the shortest frame."""


def check_greeting(raw: bytes) -> None:
    """Scapy reads `GREETING` in these bytes."""
    again = Ether(raw)
    assert again[IP].dst == GROUP and again[UDP][Raw].load == b"hello"


def number(address: str) -> int:
    """An IPv4 address as an integer."""
    return int.from_bytes(bytes(int(part) for part in address.split(".")), "big")


def fcs(frame: bytes) -> bytes:
    """Check sequence of a frame."""
    return zlib.crc32(frame).to_bytes(4, "little")


def ethernet(packet: Any, *, vlan: bool = False, pad: bool = True, trailer: bytes = b"") -> bytes:
    """An IP packet in a frame, check sequence at its end."""
    link = Ether(dst=MAC, src="02:00:00:00:00:01")
    frame = bytes(link / Dot1Q(vlan=7) / packet if vlan else link / packet) + trailer
    if pad:
        frame = frame.ljust(60, b"\0")
    return frame + fcs(frame)


def datagram(payload: bytes, *, options: int = 0, dst: str = GROUP, port: int = FEED_PORT, udp: dict[str, int] | None = None,
             ip: dict[str, Any] | None = None) -> Any:
    """A UDP datagram; `options` 32-bit words of IPv4 options; `udp` and `ip` override fields."""
    header = {"dst": dst, "src": PEER, "options": b"\x01" * (4 * options)} | (ip or {})
    return IP(**header) / UDP(**({"sport": 49653, "dport": port} | (udp or {}))) / Raw(payload)


def segment(payload: bytes, *, options: int = 0, tcp_options: int = 0, ip: dict[str, Any] | None = None, **tcp: Any) -> Any:
    """A TCP segment of the order session."""
    header = {"dst": LOCAL, "src": PEER, "options": b"\x01" * (4 * options)} | (ip or {})
    fields = {"sport": PEER_PORT, "dport": LOCAL_PORT, "flags": "PA", "options": [("NOP", None)] * (4 * tcp_options)} | tcp
    return IP(**header) / TCP(**fields) / Raw(payload)


@dataclass(frozen=True)
class Reading:
    """What must come of a frame."""

    cause: Drop | None
    payload: bytes = b""
    """Bytes that may pass, at most."""
    promised: int = 0
    """Payload bytes the headers promise."""
    session: bool = False
    """Of the order session rather than the feed."""
    header: tuple[int, ...] = ()
    """TCP sequence, acknowledgment, flags, window, payload length."""


def read(frame: bytes, *, error: bool | None = None, max_frame: int = 1522, any_mac: bool = False) -> Reading:
    """A frame, check sequence included, read from its first byte on as the standards tell."""
    error = frame[-4:] != fcs(frame[:-4]) if error is None else error
    end = len(frame) - 4
    raw = frame + bytes(128)

    def word(at: int) -> int:
        return int(struct.unpack_from(">H", raw, at)[0])

    start = 18 if word(12) == 0x8100 else 14
    if end < start:
        return Reading(Drop.RUNT)
    kind = word(start - 2)
    if kind == 0x0800:
        size = 4 * (raw[start] & 15)
        shaped = raw[start] >> 4 == 4 and size >= 20
        fragment, protocol = word(start + 6) & 0x3FFF, raw[start + 9]
        need = start + 20
        if shaped and end >= need:
            need = start + size
            if not fragment and end >= need:
                need += {17: 8, 6: 20}.get(protocol, 0)
                if protocol == 6 and end >= need and raw[start + size + 12] >> 4 >= 5:
                    need = start + size + 4 * (raw[start + size + 12] >> 4)
        if end < need:
            return Reading(Drop.RUNT)
    oversize = len(frame) > max_frame
    if kind != 0x0800:
        return Reading(Drop.OVERSIZE if oversize else Drop.NOT_IPV4)
    content = word(start + 2) - size
    at = start + size
    source, target = raw[start + 12 : start + 16], raw[start + 16 : start + 20]
    ports = struct.unpack_from(">HH", raw, at)
    to_feed = target == bytes(map(int, GROUP.split(".")))
    to_session = (
        target == bytes(map(int, LOCAL.split(".")))
        and source == bytes(map(int, PEER.split(".")))
        and raw[:6] == bytes.fromhex(MAC.replace(":", ""))
    )
    feed = protocol == 17 and to_feed and ports[1] == FEED_PORT
    session = protocol == 6 and to_session and ports == (PEER_PORT, LOCAL_PORT)
    cause = None
    if not shaped or content < 0:
        cause = Drop.IP_HEADER
    elif checksum(raw[start:at]) != 0:
        cause = Drop.IP_CHECKSUM
    elif fragment:
        cause = Drop.FRAGMENT
    elif not to_feed and not to_session:
        cause = Drop.ADDRESS
    elif not feed and not session:
        cause = Drop.PORT
    elif feed and (word(at + 4) != content or content < 8):
        cause = Drop.UDP_LENGTH
    elif session:
        offset, flags = 4 * (raw[at + 12] >> 4), word(at + 12) & 0x1FF
        if offset < 20 or offset > content:
            cause = Drop.TCP_HEADER
    if cause is not None:
        return Reading(Drop.OVERSIZE if oversize else cause)
    begin = at + (8 if feed else offset)
    promised = at + content - begin
    payload = frame[begin : at + content]
    header = () if feed else (*struct.unpack_from(">II", raw, at + 4), flags, word(at + 14), promised)
    pseudo = source + target + struct.pack(">HH", protocol, content)
    if oversize:
        cause = Drop.OVERSIZE
    elif end < at + content:
        cause = Drop.TRUNCATED
    elif error:
        cause = Drop.FCS
    elif (session or word(at + 6)) and checksum(pseudo + raw[at : at + content]) != 0:
        cause = Drop.UDP_CHECKSUM if feed else Drop.TCP_CHECKSUM
    elif feed and not promised:
        cause = Drop.MOLD_HEADER
    return Reading(cause, payload, promised, session, header)


def configuration() -> dict[str, int]:
    """Inputs of `FrameFilter` for the addresses above."""
    return {
        "feed_address": number(GROUP), "feed_port": FEED_PORT, "local_mac": int(MAC.replace(":", ""), 16),
        "local_address": number(LOCAL), "local_port": LOCAL_PORT, "peer_address": number(PEER), "peer_port": PEER_PORT,
    }  # fmt: skip


async def drive(stepper: Any, stream: str, raw: bytes, *, width: int, rng: random.Random, idle: float = 0.0, last: bool = True,
                each: dict[str, int] | None = None, **more: int) -> list[int]:
    """Give bytes as beats, with idle clocks between; `each` goes with every beat, `more` with the last one. Returns the clock of
    every byte."""
    clocks = []
    for at in range(0, len(raw), width):
        while rng.random() < idle:
            await stepper.step()
        lanes = list(raw[at : at + width])
        final = at + width >= len(raw)
        beat = {"data": lanes + [rng.randrange(256)] * (width - len(lanes)), "count": len(lanes), "first": int(at == 0),
                "last": int(final and last)} | (each or {})
        stepper.offer(stream, beat | (more if final else {}))
        clocks += [stepper.cycle] * len(lanes)
        await stepper.step()
    return clocks


def collected(beats: Sequence[tuple[int, dict[str, Any]]]) -> bytes:
    """Bytes of beats."""
    return b"".join(bytes(beat["data"][: beat["count"]]) for _, beat in beats)
