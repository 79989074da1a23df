"""Nasdaq OUCH 5.0: messages to the exchange (inbound) and from it (outbound).

Source: Nasdaq OUCH 5.0 specification, revision 1.04 of 2024-05-01; checked against real captures. A layout is the fixed part of a
message; behind it stands an appendage: a u16 length and that many bytes of options. On some types the whole appendage may be
absent (`APPENDAGE_REQUIRED` names those where it may not).
"""

from __future__ import annotations

from collections.abc import Mapping

from hdl.spec.layout import Field, Kind, Layout, by_code

APPENDAGE = Layout("appendage", (Field("appendage_length", 2, Kind.UINT, "bytes of options that follow"),))

APPENDAGE_REQUIRED: set[str] = set()
"""Names of the messages whose appendage length is always there."""


def _message(code: str, name: str, appendage_required: bool, *fields: Field) -> Layout:
    if appendage_required:
        APPENDAGE_REQUIRED.add(name)
    return Layout(name, (Field("type", 1, Kind.CHAR, "message type"), *fields), code)


def _char(name: str, doc: str) -> Field:
    return Field(name, 1, Kind.CHAR, doc)


def _alpha(name: str, size: int, doc: str) -> Field:
    return Field(name, size, Kind.ALPHA, doc)


def _uint(name: str, size: int, doc: str) -> Field:
    return Field(name, size, Kind.UINT, doc)


def _price(name: str, size: int, doc: str) -> Field:
    return Field(name, size, Kind.PRICE, doc)


ENTER_ORDER = _message(
    "O",
    "enter_order",
    True,
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _char("side", "B buy, S sell, T sell short, E sell short exempt"),
    _uint("quantity", 4, "shares, 1 to 999,999"),
    _alpha("symbol", 8, "space padded"),
    _price("price", 8, "u64 with 4 decimals"),
    _char("time_in_force", "0 day, 3 IOC, 5 extended hours (GTX), 6 until ExpireTime (GTT), E after hours"),
    _char("display", "Y visible, N hidden, A attributable"),
    _char("capacity", "A agency, P principal, R riskless, O other"),
    _char("iso", "intermarket sweep: Y / N"),
    _char("cross_type", "N continuous, O open, C close, H halt/IPO, S supplemental, R retail (BX), E extended life, A after-hours close"),
    _alpha("clordid", 14, "free text of the client, echoed, not checked for uniqueness"),
)
REPLACE_ORDER = _message(
    "U",
    "replace_order",
    True,
    _uint("orig_user_ref_num", 4, "live order to replace"),
    _uint("user_ref_num", 4, "new number for the replacement"),
    _uint("quantity", 4, "TOTAL liable shares of the chain, already executed shares included"),
    _price("price", 8, "u64 with 4 decimals"),
    _char("time_in_force", "0, 3, 5, 6"),
    _char("display", "Y visible, N hidden, A attributable"),
    _char("iso", "intermarket sweep: Y / N"),
    _alpha("clordid", 14, "free text of the client, echoed, not checked for uniqueness"),
)
CANCEL_ORDER = _message(
    "X",
    "cancel_order",
    False,
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _uint("quantity", 4, "new INTENDED total size of the order (executed + open); 0 = cancel all"),
)
MODIFY_ORDER = _message(
    "M",
    "modify_order",
    False,
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _char("side", "only S to E, E to S, S to T, T to S, E to T, T to E"),
    _uint("quantity", 4, "new intended total size; may not grow; 0 = cancel all"),
)
MASS_CANCEL = _message(
    "C",
    "mass_cancel",
    True,
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _alpha("firm", 4, "MPID, capitals"),
    _alpha("symbol", 8, "spaces = all symbols"),
)
DISABLE_ORDER_ENTRY = _message(
    "D",
    "disable_order_entry",
    True,
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _alpha("firm", 4, "MPID, capitals"),
)
ENABLE_ORDER_ENTRY = _message(
    "E",
    "enable_order_entry",
    True,
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _alpha("firm", 4, "MPID, capitals"),
)
ACCOUNT_QUERY = _message(
    "Q",
    "account_query",
    False,
)
SYSTEM_EVENT = _message(
    "S",
    "system_event",
    False,
    _uint("timestamp", 8, "ns since midnight"),
    _char("event_code", "S start of day, E end of day (breaks and cancels may still follow)"),
)
ORDER_ACCEPTED = _message(
    "A",
    "order_accepted",
    True,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _char("side", "B buy, S sell, T sell short, E sell short exempt"),
    _uint("quantity", 4, "shares, 1 to 999,999"),
    _alpha("symbol", 8, "space padded"),
    _price("price", 8, "accepted price, may be better than entered"),
    _char("time_in_force", "accepted, may be shorter"),
    _char("display", "Y, N, A, or Z conformant"),
    _uint("order_ref", 8, "exchange order reference (the ITCH one if displayed)"),
    _char("capacity", "A agency, P principal, R riskless, O other"),
    _char("iso", "intermarket sweep: Y / N"),
    _char("cross_type", "N continuous, O open, C close, H halt/IPO, S supplemental, R retail (BX), E extended life, A after-hours close"),
    _char("order_state", "L live, D dead (accepted and cancelled at once)"),
    _alpha("clordid", 14, "free text of the client, echoed, not checked for uniqueness"),
)
ORDER_REPLACED = _message(
    "U",
    "order_replaced",
    True,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("orig_user_ref_num", 4, "replaced order"),
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _char("side", "B buy, S sell, T sell short, E sell short exempt"),
    _uint("quantity", 4, "shares OPEN now (not the chain total)"),
    _alpha("symbol", 8, "space padded"),
    _price("price", 8, "u64 with 4 decimals"),
    _char("time_in_force", "accepted"),
    _char("display", "Y, N, A, or Z conformant"),
    _uint("order_ref", 8, "exchange order reference (the ITCH one if displayed)"),
    _char("capacity", "A agency, P principal, R riskless, O other"),
    _char("iso", "intermarket sweep: Y / N"),
    _char("cross_type", "N continuous, O open, C close, H halt/IPO, S supplemental, R retail (BX), E extended life, A after-hours close"),
    _char("order_state", "L live, D dead (accepted and cancelled at once)"),
    _alpha("clordid", 14, "free text of the client, echoed, not checked for uniqueness"),
)
ORDER_CANCELED = _message(
    "C",
    "order_canceled",
    False,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _uint("quantity", 4, "shares removed NOW (incremental); the rest may live"),
    _char("reason", "see cancel reasons"),
)
AIQ_CANCELED = _message(
    "D",
    "aiq_canceled",
    False,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _uint("decrement_shares", 4, "shares removed now (incremental)"),
    _char("reason", "always Q"),
    _uint("prevented_shares", 4, "shares that would have traded"),
    _price("execution_price", 8, "price it would have traded at"),
    _char("liquidity_flag", "see liquidity codes"),
    _char("aiq_strategy", "strategy of the cancelled order"),
)
ORDER_EXECUTED = _message(
    "E",
    "order_executed",
    True,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _uint("quantity", 4, "shares filled NOW (incremental)"),
    _price("price", 8, "fill price"),
    _char("liquidity_flag", "see liquidity codes"),
    _uint("match_number", 8, "trade id shared by both sides and by ITCH"),
)
BROKEN_TRADE = _message(
    "B",
    "broken_trade",
    False,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _uint("match_number", 8, "of an earlier E"),
    _char("reason", "E erroneous, C consent, S supervisory, X external"),
    _alpha("clordid", 14, "free text of the client, echoed, not checked for uniqueness"),
)
REJECTED = _message(
    "J",
    "rejected",
    False,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _uint("reason", 2, "see reject reasons"),
    _alpha("clordid", 14, "free text of the client, echoed, not checked for uniqueness"),
)
CANCEL_PENDING = _message(
    "P",
    "cancel_pending",
    False,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("user_ref_num", 4, "see UserRefNum rules"),
)
CANCEL_REJECT = _message(
    "I",
    "cancel_reject",
    False,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("user_ref_num", 4, "see UserRefNum rules"),
)
ORDER_PRIORITY_UPDATE = _message(
    "T",
    "order_priority_update",
    False,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _price("price", 8, "u64 with 4 decimals"),
    _char("display", "new display"),
    _uint("order_ref", 8, "NEW exchange reference"),
)
ORDER_MODIFIED = _message(
    "M",
    "order_modified",
    False,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _char("side", "B buy, S sell, T sell short, E sell short exempt"),
    _uint("quantity", 4, "shares open now"),
)
ORDER_RESTATED = _message(
    "R",
    "order_restated",
    True,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _char("reason", "R reserve refreshed, P displayed price changed"),
)
MASS_CANCEL_RESPONSE = _message(
    "X",
    "mass_cancel_response",
    True,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _alpha("firm", 4, "MPID, capitals"),
    _alpha("symbol", 8, ""),
)
DISABLE_ORDER_ENTRY_RESPONSE = _message(
    "G",
    "disable_order_entry_response",
    True,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _alpha("firm", 4, "MPID, capitals"),
)
ENABLE_ORDER_ENTRY_RESPONSE = _message(
    "K",
    "enable_order_entry_response",
    True,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("user_ref_num", 4, "see UserRefNum rules"),
    _alpha("firm", 4, "MPID, capitals"),
)
ACCOUNT_QUERY_RESPONSE = _message(
    "Q",
    "account_query_response",
    False,
    _uint("timestamp", 8, "ns since midnight"),
    _uint("next_user_ref_num", 4, "next free number"),
)

INBOUND: Mapping[str, Layout] = by_code(
    ENTER_ORDER,
    REPLACE_ORDER,
    CANCEL_ORDER,
    MODIFY_ORDER,
    MASS_CANCEL,
    DISABLE_ORDER_ENTRY,
    ENABLE_ORDER_ENTRY,
    ACCOUNT_QUERY,
)
"""Messages to the exchange by type character."""

OUTBOUND: Mapping[str, Layout] = by_code(
    SYSTEM_EVENT,
    ORDER_ACCEPTED,
    ORDER_REPLACED,
    ORDER_CANCELED,
    AIQ_CANCELED,
    ORDER_EXECUTED,
    BROKEN_TRADE,
    REJECTED,
    CANCEL_PENDING,
    CANCEL_REJECT,
    ORDER_PRIORITY_UPDATE,
    ORDER_MODIFIED,
    ORDER_RESTATED,
    MASS_CANCEL_RESPONSE,
    DISABLE_ORDER_ENTRY_RESPONSE,
    ENABLE_ORDER_ENTRY_RESPONSE,
    ACCOUNT_QUERY_RESPONSE,
)
"""Messages from the exchange by type character."""

OPTIONS: Mapping[int, Field] = {
    1: _uint("secondary_ord_ref_num", 8, "reference used on ITCH (for instance the displayed part of a reserve order); outbound R"),
    2: _alpha("firm", 4, "MPID (spaces = account default)"),
    3: _uint("min_qty", 4, "round lot multiple (0)"),
    4: _char("customer_type", "R retail designated, N not (space = port default)"),
    5: _uint("max_floor", 4, "displayed part (0)"),
    6: _char("price_type", "L limit, P market peg, M midpoint peg, R primary peg, Q market maker peg, m midpoint (L)"),
    7: Field("peg_offset", 4, Kind.SINT, "1/10000 dollar (0)"),
    9: _price("discretion_price", 8, "(0)"),
    10: _char("discretion_price_type", "L P M R (L)"),
    11: Field("discretion_peg_offset", 4, Kind.SINT, "1/10000 dollar (0)"),
    12: _char("post_only", "P post only, N not (N)"),
    13: _uint("random_reserves", 4, "(0)"),
    14: _alpha("route", 4, "outbound only"),
    15: _uint("expire_time", 4, "seconds to live, below 86,400; needed with time in force 6"),
    16: _char("trade_now", "Y, N (space = port default)"),
    17: _char("handle_inst", "I imbalance only, O / T retail type 1 / 2, Q retail price improvement, B extended life + continuous, D direct listing, space none"),
    18: _char("bbo_weight", "0 up to 0.2 %, 1 up to 1 %, 2 up to 2 %, 3 more, S sets QBBO joining NBBO, N improves NBBO, space unspecified; outbound only"),
    22: _uint("display_quantity", 4, "outbound R only"),
    23: _price("display_price", 8, "outbound R only"),
    24: _uint("group_id", 2, "0 = none"),
    25: _char("shares_located", "Y, N (N)"),
    26: _alpha("locate_broker", 4, "broker that lends the shares"),
    27: _char("side", "B S T E"),
    28: _uint("user_ref_idx", 1, "order-flow channel"),
}
"""Options of the appendage by tag: one element is u8 length (tag and value), u8 tag, value."""

SIDE_BUY = "B"
SIDE_SELL = "S"
SIDE_SELL_SHORT = "T"
TIME_IN_FORCE_IOC = "3"
DISPLAY_VISIBLE = "Y"
CAPACITY_PRINCIPAL = "P"
ISO_NO = "N"
CROSS_CONTINUOUS = "N"

ORDER_STATE_LIVE = "L"
ORDER_STATE_DEAD = "D"
"""The order was accepted and cancelled at once."""

HIGHEST_PRICE = 1_999_999_900
"""Highest limit price, 199,999.99 dollars in 1/10000 dollar."""
