"""The real market data that tests judge by. It belongs to the venues and lies beside the project, never in it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import RawPcapReader

DATA = Path(os.environ.get("T2T_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
"""Where it lies; the environment variable T2T_DATA moves it."""

ITCH_WIRE = "omi-pcaps/Nasdaq.Equities.TotalView.Itch.v5.0"
ITCH_TYPES = "omi-pcaps/Nasdaq.Equities.TotalView.Itch.v5.0.20230822"
OUCH = "omi-pcaps/Nasdaq.Nsm.Ouch.v5.0"
AAPL = "nasdaq_20200130_AAPL_first10k.itch"


def require(name: str) -> Path:
    """Path of a piece of data. Where it is missing the test is skipped and says why; with CI=true it fails."""
    path = DATA / name
    if not path.exists():
        missing = f"market data is missing: {name} is not in {DATA}; set T2T_DATA to the folder that holds it"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return path


def captures(folder: str) -> list[Path]:
    """Capture files of a folder, sorted by name."""
    found = sorted(require(folder).glob("*.pcap"))
    assert found, f"no capture in {folder}"
    return found


def frames(path: Path) -> list[bytes]:
    """Frames of a capture, from destination address on, without check sequence."""
    with RawPcapReader(str(path)) as reader:
        return [data for data, _ in reader]


def udp_payload(frame: bytes) -> bytes:
    """UDP payload of a frame as scapy finds it."""
    return bytes(Ether(frame)[UDP].payload)


def tcp_payload(frame: bytes) -> bytes:
    """TCP payload of a frame as scapy finds it, what follows the IP packet left out."""
    return bytes(Ether(frame)[TCP][Raw].load)


def blocks(payload: bytes) -> list[bytes]:
    """Messages in a MoldUDP64 packet."""
    (count,) = struct.unpack_from(">H", payload, 18)
    messages, at = [], 20
    for _ in range(count):
        (length,) = struct.unpack_from(">H", payload, at)
        messages.append(payload[at + 2 : at + 2 + length])
        at += 2 + length
    assert at == len(payload)
    return messages


def records(path: Path) -> Iterator[bytes]:
    """Messages of a file in which a 16-bit length stands before each."""
    raw, at = path.read_bytes(), 0
    while at < len(raw):
        (length,) = struct.unpack_from(">H", raw, at)
        yield raw[at + 2 : at + 2 + length]
        at += 2 + length
    assert at == len(raw)
