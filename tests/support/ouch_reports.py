"""What a report of the exchange must become, worked out from the specification's tables and not from `hdl.spec`."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tests.support import ouch_definitions as judge

FIXED = {
    "S": 10, "A": 62, "U": 66, "C": 18, "D": 32, "E": 34, "B": 36, "J": 29, "P": 13, "I": 13, "T": 30, "M": 18, "R": 14, "X": 25,
    "G": 17, "K": 17, "Q": 13,
}
"""Bytes of the fixed part of every outbound message."""

USER_REF_NUM = dict.fromkeys(FIXED, 9) | {"U": 13}
WITHOUT_USER_REF_NUM = "SQ"

BOOKED: dict[str, type[judge.OuchMessage]] = {
    "A": judge.OrderAccepted, "E": judge.OrderExecuted, "C": judge.OrderCanceled, "J": judge.Rejected,
    "D": judge.AiqCanceled, "R": judge.OrderRestated, "B": judge.BrokenTrade,
}
OTHER_NAMES = {("D", "quantity"): "decrement_shares"}

Report = dict[str, int]


def expected_report(message: bytes) -> Report | None:
    """The report of one message; None where it is unknown or too short."""
    kind = chr(message[0]) if message else ""
    if len(message) < FIXED.get(kind, 1 << 16):
        return None
    report = {
        "type": message[0], "user_ref_num": 0, "quantity": 0, "price": 0, "match_number": 0, "reason": 0, "order_state": 0,
    }
    if kind not in WITHOUT_USER_REF_NUM:
        at = USER_REF_NUM[kind]
        report["user_ref_num"] = int.from_bytes(message[at : at + 4], "big")
    if kind in BOOKED:
        padded = message + bytes(2)
        _, body = BOOKED[kind].BodyRecord.from_bytes(padded[1:])
        for name in ("quantity", "price", "match_number", "reason", "order_state"):
            field_name = OTHER_NAMES.get((kind, name), name)
            if field_name in BOOKED[kind].BodyRecord.IndexedFields:
                value = body.values[field_name]
                report[name] = ord(value) if isinstance(value, str) else value & 0xFFFFFFFF if name == "price" else value
    return report


def random_message(rng: random.Random, kind: str | None = None) -> bytes:
    """A well-formed message with random content in every field."""
    kind = kind or rng.choice(list(FIXED))
    body = bytes(rng.randrange(128) for _ in range(FIXED[kind] - 1))
    appendage = rng.choice((b"", b"\0\0", b"\0\x06\x05\x02LIME", b"\0\x09\x05\x02MLRO\x02\x120"))
    return kind.encode() + body + appendage


@dataclass
class Expected:
    """What the parser of a byte stream must have given."""

    reports: list[Report] = field(default_factory=list)
    soup_type: int = 0
    ouch_type: int = 0
    session_lost: int = 0


def parse(stream: bytes) -> Expected:
    """Whole packets of a byte stream, one by one, without any library: it must bear garbage."""
    found = Expected()
    while len(stream) >= 2:
        size = int.from_bytes(stream[:2], "big")
        kind = stream[2:3]
        if size == 0 or (kind and kind not in (b"S", b"+", b"A", b"H", b"Z", b"J")):
            found.soup_type += 1
        elif kind in (b"Z", b"J"):
            found.session_lost += 1
        if len(stream) < 2 + size:
            break
        if kind == b"S" and size:
            report = expected_report(stream[3 : 2 + size])
            if report is None:
                found.ouch_type += 1
            else:
                found.reports.append(report)
        stream = stream[2 + size :]
    return found
