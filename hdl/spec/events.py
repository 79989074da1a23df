"""Records the card gives the host: numbered, fixed in size per kind, whole 32-bit words, big-endian.

Every record begins with `HEADER`. Numbers count every record made, so one that was lost leaves a hole the host can see.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hdl.spec.layout import Field, Kind, Layout, by_code, price, sint, uint

HEADER = (
    Field("kind", 1, Kind.CHAR, "record kind"),
    Field("words", 1, Kind.UINT, "32-bit words of the whole record"),
    Field("lost", 2, Kind.UINT, "records of this kind lost just before this one, 65,535 standing for as many or more"),
    Field("number", 4, Kind.UINT, "running number of the record, modulo 2**32"),
)


def _record(code: str, name: str, doc: str, *fields: Field) -> Layout:
    pad = -sum(field.size for field in fields) % 4
    spare = (Field("spare", pad, Kind.RAW, "zero"),) if pad else ()
    return Layout(name, HEADER + fields + spare, code, doc)


_SEQUENCE = uint("sequence", 8, "MoldUDP64 number of the message that caused it")
_CYCLE = uint("cycle", 4, "clock count when made, modulo 2**32")
_EPOCH = uint("epoch", 1, "epoch of the set it was judged by, modulo 256")

PAIR_BITS = 16
NO_PAIR = (1 << PAIR_BITS) - 1
"""What records name as the pair of a single order, which the host asked for. No message caused it: `sequence` is 0, and so are
the cycles since one. It is leg a of nothing."""
_PAIR = uint("pair", 2, "pair, 0xFFFF for a single order of the host")

SIDE_MASK = 3
TAKEN_BACK_BIT = 2
"""Bit of a fill's `side` that says that it was taken back: a broken trade."""


def signed_shares(fill: Mapping[str, Any]) -> int:
    """By how many shares a `FILL` record moves the position."""
    bought = (fill["side"] & SIDE_MASK == 0) ^ bool(fill["side"] >> TAKEN_BACK_BIT)
    return int(fill["quantity"] if bought else -fill["quantity"])


BBO = _record(
    "B",
    "bbo",
    "Best bid or offer of a slot changed.",
    _SEQUENCE,
    uint("timestamp", 8, "ITCH timestamp, ns since midnight"),
    _CYCLE,
    price("bid_price", 4, "0 where the side is empty"),
    uint("bid_shares", 4, "shares at the best bid"),
    price("ask_price", 4, "0 where the side is empty"),
    uint("ask_shares", 4, "shares at the best offer"),
    uint("slot", 2, "slot"),
    uint("integrity", 1, "see Integrity"),
)
TRIGGER = _record(
    "T",
    "trigger",
    "A pair's threshold was reached and an order request made; or, by its action, an order to repair a legged pair was asked "
    "for, or that pair stopped: no message caused it, `sequence` and `spread` are 0.",
    _SEQUENCE,
    _CYCLE,
    sint("spread", 8, "S_sell or S_buy, 1/10000 dollar with 12 fraction bits"),
    uint("pair", 2, "pair"),
    uint("action", 1, "see PairAction and LegAction"),
    _EPOCH,
)
VERDICT = _record(
    "V",
    "verdict",
    "The gate decided on one order.",
    _SEQUENCE,
    _CYCLE,
    uint("refusals", 8, "bit mask by Refusal, 0 where the order passed"),
    uint("user_ref_num", 4, "number the order bears, 0 where it was refused or not sent"),
    price("price", 4, "limit"),
    uint("quantity", 4, "shares"),
    uint("slot", 2, "slot"),
    _PAIR,
    uint("side", 1, "0 buy, 1 sell, 2 sell short"),
    uint("leg", 1, "0 leg a, 1 leg b"),
    uint("mode", 1, "see Mode"),
    _EPOCH,
)
ORDER_SENT = _record(
    "O",
    "order_sent",
    "The frame with both orders of a pair, or a single one, began to leave.",
    _SEQUENCE,
    _CYCLE,
    uint("user_ref_num", 4, "number of leg a; leg b, where there is one, bears the next"),
    uint("eot_to_sof", 4, "cycles from the last byte of the trigger message to the first byte of the frame"),
    uint("som_to_sof", 4, "cycles from the first byte of the trigger message to the first byte of the frame"),
    _PAIR,
    uint("trigger_type", 1, "ITCH type of the trigger message"),
    _EPOCH,
)
ORDER_STATE = _record(
    "S",
    "order_state",
    "An own order changed state by a report of the exchange.",
    _CYCLE,
    uint("user_ref_num", 4, "order"),
    uint("open_shares", 4, "shares still open"),
    uint("slot", 2, "slot"),
    _PAIR,
    uint("state", 1, "see OrderState"),
    uint("report", 1, "OUCH type of the report"),
    uint("reason", 2, "cancel reason character or reject reason number"),
)
FILL = _record(
    "F",
    "fill",
    "An own order was executed, in part or whole, or a fill of one was taken back.",
    _CYCLE,
    uint("user_ref_num", 4, "order"),
    uint("match_number", 8, "trade id of the exchange"),
    price("price", 4, "fill price"),
    uint("quantity", 4, "shares filled, or taken back"),
    sint("position", 4, "the slot's position after the fill, shares"),
    sint("cash", 8, "the slot's cash after the fill, 1/10000 dollar"),
    uint("slot", 2, "slot"),
    _PAIR,
    uint("side", 1, "0 buy, 1 sell, 2 sell short; 4 more where the fill was taken back"),
)
INTEGRITY = _record(
    "I",
    "integrity",
    "A slot's integrity changed.",
    _SEQUENCE,
    _CYCLE,
    uint("order_ref", 8, "order reference in the message that caused it, 0 where there is none"),
    uint("slot", 2, "slot, 0xFFFF for all"),
    uint("integrity", 1, "see Integrity"),
    uint("cause", 1, "see IntegrityCause"),
)
GAP = _record(
    "G",
    "gap",
    "Messages are missing from the feed.",
    _CYCLE,
    uint("first", 8, "first missing number"),
    uint("next", 8, "first number after the hole"),
)
ALARM = _record(
    "A",
    "alarm",
    "The ledger cannot square a report; trading is halted.",
    _CYCLE,
    uint("user_ref_num", 4, "order named by the report"),
    uint("alarm", 1, "see Alarm"),
    uint("report", 1, "OUCH type of the report"),
)

CANCEL_SENT = _record(
    "C",
    "cancel_sent",
    "The frame with a cancel of all that is open of an own order began to leave: 12 bytes of the order session.",
    _CYCLE,
    uint("user_ref_num", 4, "order"),
)

RECORDS: Mapping[str, Layout] = by_code(ALARM, FILL, ORDER_STATE, ORDER_SENT, CANCEL_SENT, VERDICT, TRIGGER, GAP, INTEGRITY, BBO)
"""Records by kind, in order of priority when several wait at once: what is worth most and comes least often goes first."""
