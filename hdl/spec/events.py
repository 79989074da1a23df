"""Records the card gives the host: numbered, fixed in size per kind, whole 32-bit words, big-endian.

Every record begins with `HEADER`. Numbers count every record made, so one that was lost leaves a hole the host can see.
"""

from __future__ import annotations

from collections.abc import Mapping

from hdl.spec.layout import Field, Kind, Layout, by_code

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


def _u(name: str, size: int, doc: str) -> Field:
    return Field(name, size, Kind.UINT, doc)


def _s(name: str, size: int, doc: str) -> Field:
    return Field(name, size, Kind.SINT, doc)


def _p(name: str, doc: str) -> Field:
    return Field(name, 4, Kind.PRICE, doc)


_SEQUENCE = _u("sequence", 8, "MoldUDP64 number of the message that caused it")
_CYCLE = _u("cycle", 4, "clock count when made, modulo 2**32")

BBO = _record(
    "B",
    "bbo",
    "Best bid or offer of a slot changed.",
    _SEQUENCE,
    _u("timestamp", 8, "ITCH timestamp, ns since midnight"),
    _CYCLE,
    _p("bid_price", "0 where the side is empty"),
    _u("bid_shares", 4, "shares at the best bid"),
    _p("ask_price", "0 where the side is empty"),
    _u("ask_shares", 4, "shares at the best offer"),
    _u("slot", 2, "slot"),
    _u("integrity", 1, "see Integrity"),
)
TRIGGER = _record(
    "T",
    "trigger",
    "A pair's threshold was reached and an order request made.",
    _SEQUENCE,
    _CYCLE,
    _s("spread", 8, "S_sell or S_buy, 1/10000 dollar with 12 fraction bits"),
    _u("pair", 2, "pair"),
    _u("action", 1, "see PairAction"),
)
VERDICT = _record(
    "V",
    "verdict",
    "The gate decided on one order.",
    _SEQUENCE,
    _CYCLE,
    _u("refusals", 4, "bit mask by Refusal, 0 where the order passed"),
    _u("user_ref_num", 4, "number the order bears, 0 where it was refused or not sent"),
    _p("price", "limit"),
    _u("quantity", 4, "shares"),
    _u("slot", 2, "slot"),
    _u("pair", 2, "pair"),
    _u("side", 1, "0 buy, 1 sell, 2 sell short"),
    _u("leg", 1, "0 leg a, 1 leg b"),
    _u("mode", 1, "see Mode"),
)
ORDER_SENT = _record(
    "O",
    "order_sent",
    "The frame with both orders of a pair began to leave.",
    _SEQUENCE,
    _CYCLE,
    _u("user_ref_num", 4, "number of leg a; leg b bears the next one"),
    _u("eot_to_sof", 4, "cycles from the last byte of the trigger message to the first byte of the frame"),
    _u("som_to_sof", 4, "cycles from the first byte of the trigger message to the first byte of the frame"),
    _u("pair", 2, "pair"),
    _u("trigger_type", 1, "ITCH type of the trigger message"),
)
ORDER_STATE = _record(
    "S",
    "order_state",
    "An own order changed state by a report of the exchange.",
    _CYCLE,
    _u("user_ref_num", 4, "order"),
    _u("open_shares", 4, "shares still open"),
    _u("slot", 2, "slot"),
    _u("pair", 2, "pair"),
    _u("state", 1, "see OrderState"),
    _u("report", 1, "OUCH type of the report"),
    _u("reason", 2, "cancel reason character or reject reason number"),
)
FILL = _record(
    "F",
    "fill",
    "An own order was executed, in part or whole.",
    _CYCLE,
    _u("user_ref_num", 4, "order"),
    _u("match_number", 8, "trade id of the exchange"),
    _p("price", "fill price"),
    _u("quantity", 4, "shares filled"),
    _s("position", 4, "the slot's position after the fill, shares"),
    _s("cash", 8, "the slot's cash after the fill, 1/10000 dollar"),
    _u("slot", 2, "slot"),
    _u("pair", 2, "pair"),
    _u("side", 1, "0 buy, 1 sell, 2 sell short"),
)
INTEGRITY = _record(
    "I",
    "integrity",
    "A slot's integrity changed.",
    _SEQUENCE,
    _CYCLE,
    _u("order_ref", 8, "order reference in the message that caused it, 0 where there is none"),
    _u("slot", 2, "slot, 0xFFFF for all"),
    _u("integrity", 1, "see Integrity"),
    _u("cause", 1, "see IntegrityCause"),
)
GAP = _record(
    "G",
    "gap",
    "Messages are missing from the feed.",
    _CYCLE,
    _u("first", 8, "first missing number"),
    _u("next", 8, "first number after the hole"),
)
ALARM = _record(
    "A",
    "alarm",
    "The ledger cannot square a report; trading is halted.",
    _CYCLE,
    _u("user_ref_num", 4, "order named by the report"),
    _u("alarm", 1, "see Alarm"),
    _u("report", 1, "OUCH type of the report"),
)

RECORDS: Mapping[str, Layout] = by_code(ALARM, FILL, ORDER_STATE, ORDER_SENT, VERDICT, TRIGGER, GAP, INTEGRITY, BBO)
"""Records by kind, in order of priority when several wait at once: what is worth most and comes least often goes first."""
