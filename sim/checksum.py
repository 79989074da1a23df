"""The checksum of IPv4, UDP and TCP."""

from __future__ import annotations


def internet_checksum(raw: bytes) -> int:
    """One's complement of the one's complement sum (RFC 1071); 0 over bytes that carry their own right checksum.

    An odd last byte counts as the high half of a word.
    """
    # 2**16 is 1 modulo 65,535, so the big number and the sum of its 16-bit words have one remainder.
    total = int.from_bytes(raw + b"\0" * (len(raw) % 2), "big")
    return 0xFFFF - (total % 0xFFFF or (0xFFFF if total else 0))
