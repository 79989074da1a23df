"""The Internet checksum, by the example of RFC 1071 and scapy."""

from __future__ import annotations

import random

from scapy.utils import checksum

from sim.checksum import internet_checksum


def test_the_example_of_rfc_1071() -> None:
    assert internet_checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


def test_scapy_agrees() -> None:
    rng = random.Random(1)
    for size in range(80):
        for raw in (rng.randbytes(size), bytes(size), b"\xff" * size):
            assert internet_checksum(raw) == checksum(raw)


def test_bytes_with_their_own_checksum_give_zero() -> None:
    raw = b"\x45\x00\x01\x02\x00\x00"
    assert internet_checksum(raw[:4] + internet_checksum(raw).to_bytes(2, "big")) == 0
