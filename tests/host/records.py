"""ITCH messages typed by hand from the specification's offsets, so that the tests do not lean on the code's own layouts."""

from __future__ import annotations

import struct


def header(kind: str, locate: int, nanoseconds: int = 0) -> bytes:
    return kind.encode() + struct.pack(">HH", locate, 0) + nanoseconds.to_bytes(6, "big")


def directory(symbol: str, locate: int) -> bytes:
    return header("R", locate) + symbol.ljust(8).encode() + b"QN" + struct.pack(">I", 100) + b"NCZ PNN1N" + b"\0\0\0\0N"


def add(symbol: str, locate: int, reference: int, side: str, shares: int, price: int, nanoseconds: int = 0) -> bytes:
    body = struct.pack(">QcI8sI", reference, side.encode(), shares, symbol.ljust(8).encode(), price)
    return header("A", locate, nanoseconds) + body


def delete(locate: int, reference: int, nanoseconds: int = 0) -> bytes:
    return header("D", locate, nanoseconds) + struct.pack(">Q", reference)


def cancel(locate: int, reference: int, shares: int, nanoseconds: int = 0) -> bytes:
    return header("X", locate, nanoseconds) + struct.pack(">QI", reference, shares)


def executed(locate: int, reference: int, shares: int, match: int, nanoseconds: int = 0) -> bytes:
    return header("E", locate, nanoseconds) + struct.pack(">QIQ", reference, shares, match)


def trade(symbol: str, locate: int, shares: int, price: int, match: int, nanoseconds: int = 0) -> bytes:
    return header("P", locate, nanoseconds) + struct.pack(">QcI8sIQ", 0, b"B", shares, symbol.ljust(8).encode(), price, match)


def system_event(code: str, nanoseconds: int = 0) -> bytes:
    return header("S", 0, nanoseconds) + code.encode()


def framed(messages: list[bytes]) -> bytes:
    """An ITCH file."""
    return b"".join(struct.pack(">H", len(message)) + message for message in messages)


def trading_action(symbol: str, locate: int, state: str, nanoseconds: int = 0) -> bytes:
    return header("H", locate, nanoseconds) + symbol.ljust(8).encode() + state.encode() + b"     "
