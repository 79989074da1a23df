"""Nasdaq OUCH 5.0: messages to the exchange (inbound) and from it (outbound).

Source: Nasdaq OUCH 5.0 specification, revision 1.04 of 2024-05-01; checked against real captures. A layout is the fixed part of a
message; behind it stands an appendage: a u16 length and that many bytes of options. On some types the whole appendage may be
absent (`APPENDAGE_REQUIRED` names those where it may not).
"""

from __future__ import annotations

from collections.abc import Mapping

from hdl.spec.layout import Field, Kind, Layout, alpha, by_code, char, price, sint, uint

APPENDAGE = Layout("appendage", (Field("appendage_length", 2, Kind.UINT, "bytes of options that follow"),))

APPENDAGE_REQUIRED: set[str] = set()
"""Names of the messages whose appendage length is always there."""


def _message(code: str, name: str, appendage_required: bool, *fields: Field) -> Layout:
    if appendage_required:
        APPENDAGE_REQUIRED.add(name)
    return Layout(name, (Field("type", 1, Kind.CHAR, "message type"), *fields), code)


ENTER_ORDER = _message(
    "O",
    "enter_order",
    True,
    uint("user_ref_num", 4, "see UserRefNum rules"),
    char("side", "B buy, S sell, T sell short, E sell short exempt"),
    uint("quantity", 4, "shares, 1 to 999,999"),
    alpha("symbol", 8, "space padded"),
    price("price", 8, "u64 with 4 decimals"),
    char("time_in_force", "0 day, 3 IOC, 5 extended hours (GTX), 6 until ExpireTime (GTT), E after hours"),
    char("display", "Y visible, N hidden, A attributable"),
    char("capacity", "A agency, P principal, R riskless, O other"),
    char("iso", "intermarket sweep: Y / N"),
    char("cross_type", "N continuous, O open, C close, H halt/IPO, S supplemental, R retail (BX), E extended life, A after-hours close"),
    alpha("clordid", 14, "free text of the client, echoed, not checked for uniqueness"),
)
REPLACE_ORDER = _message(
    "U",
    "replace_order",
    True,
    uint("orig_user_ref_num", 4, "live order to replace"),
    uint("user_ref_num", 4, "new number for the replacement"),
    uint("quantity", 4, "TOTAL liable shares of the chain, already executed shares included"),
    price("price", 8, "u64 with 4 decimals"),
    char("time_in_force", "0, 3, 5, 6"),
    char("display", "Y visible, N hidden, A attributable"),
    char("iso", "intermarket sweep: Y / N"),
    alpha("clordid", 14, "free text of the client, echoed, not checked for uniqueness"),
)
CANCEL_ORDER = _message(
    "X",
    "cancel_order",
    False,
    uint("user_ref_num", 4, "see UserRefNum rules"),
    uint("quantity", 4, "new INTENDED total size of the order (executed + open); 0 = cancel all"),
)
MODIFY_ORDER = _message(
    "M",
    "modify_order",
    False,
    uint("user_ref_num", 4, "see UserRefNum rules"),
    char("side", "only S to E, E to S, S to T, T to S, E to T, T to E"),
    uint("quantity", 4, "new intended total size; may not grow; 0 = cancel all"),
)
MASS_CANCEL = _message(
    "C",
    "mass_cancel",
    True,
    uint("user_ref_num", 4, "see UserRefNum rules"),
    alpha("firm", 4, "MPID, capitals"),
    alpha("symbol", 8, "spaces = all symbols"),
)
DISABLE_ORDER_ENTRY = _message(
    "D",
    "disable_order_entry",
    True,
    uint("user_ref_num", 4, "see UserRefNum rules"),
    alpha("firm", 4, "MPID, capitals"),
)
ENABLE_ORDER_ENTRY = _message(
    "E",
    "enable_order_entry",
    True,
    uint("user_ref_num", 4, "see UserRefNum rules"),
    alpha("firm", 4, "MPID, capitals"),
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
    uint("timestamp", 8, "ns since midnight"),
    char("event_code", "S start of day, E end of day (breaks and cancels may still follow)"),
)
ORDER_ACCEPTED = _message(
    "A",
    "order_accepted",
    True,
    uint("timestamp", 8, "ns since midnight"),
    uint("user_ref_num", 4, "see UserRefNum rules"),
    char("side", "B buy, S sell, T sell short, E sell short exempt"),
    uint("quantity", 4, "shares, 1 to 999,999"),
    alpha("symbol", 8, "space padded"),
    price("price", 8, "accepted price, may be better than entered"),
    char("time_in_force", "accepted, may be shorter"),
    char("display", "Y, N, A, or Z conformant"),
    uint("order_ref", 8, "exchange order reference (the ITCH one if displayed)"),
    char("capacity", "A agency, P principal, R riskless, O other"),
    char("iso", "intermarket sweep: Y / N"),
    char("cross_type", "N continuous, O open, C close, H halt/IPO, S supplemental, R retail (BX), E extended life, A after-hours close"),
    char("order_state", "L live, D dead (accepted and cancelled at once)"),
    alpha("clordid", 14, "free text of the client, echoed, not checked for uniqueness"),
)
ORDER_REPLACED = _message(
    "U",
    "order_replaced",
    True,
    uint("timestamp", 8, "ns since midnight"),
    uint("orig_user_ref_num", 4, "replaced order"),
    uint("user_ref_num", 4, "see UserRefNum rules"),
    char("side", "B buy, S sell, T sell short, E sell short exempt"),
    uint("quantity", 4, "shares OPEN now (not the chain total)"),
    alpha("symbol", 8, "space padded"),
    price("price", 8, "u64 with 4 decimals"),
    char("time_in_force", "accepted"),
    char("display", "Y, N, A, or Z conformant"),
    uint("order_ref", 8, "exchange order reference (the ITCH one if displayed)"),
    char("capacity", "A agency, P principal, R riskless, O other"),
    char("iso", "intermarket sweep: Y / N"),
    char("cross_type", "N continuous, O open, C close, H halt/IPO, S supplemental, R retail (BX), E extended life, A after-hours close"),
    char("order_state", "L live, D dead (accepted and cancelled at once)"),
    alpha("clordid", 14, "free text of the client, echoed, not checked for uniqueness"),
)
ORDER_CANCELED = _message(
    "C",
    "order_canceled",
    False,
    uint("timestamp", 8, "ns since midnight"),
    uint("user_ref_num", 4, "see UserRefNum rules"),
    uint("quantity", 4, "shares removed NOW (incremental); the rest may live"),
    char("reason", "see cancel reasons"),
)
AIQ_CANCELED = _message(
    "D",
    "aiq_canceled",
    False,
    uint("timestamp", 8, "ns since midnight"),
    uint("user_ref_num", 4, "see UserRefNum rules"),
    uint("decrement_shares", 4, "shares removed now (incremental)"),
    char("reason", "always Q"),
    uint("prevented_shares", 4, "shares that would have traded"),
    price("execution_price", 8, "price it would have traded at"),
    char("liquidity_flag", "see liquidity codes"),
    char("aiq_strategy", "strategy of the cancelled order"),
)
ORDER_EXECUTED = _message(
    "E",
    "order_executed",
    True,
    uint("timestamp", 8, "ns since midnight"),
    uint("user_ref_num", 4, "see UserRefNum rules"),
    uint("quantity", 4, "shares filled NOW (incremental)"),
    price("price", 8, "fill price"),
    char("liquidity_flag", "see liquidity codes"),
    uint("match_number", 8, "trade id shared by both sides and by ITCH"),
)
BROKEN_TRADE = _message(
    "B",
    "broken_trade",
    False,
    uint("timestamp", 8, "ns since midnight"),
    uint("user_ref_num", 4, "see UserRefNum rules"),
    uint("match_number", 8, "of an earlier E"),
    char("reason", "E erroneous, C consent, S supervisory, X external"),
    alpha("clordid", 14, "free text of the client, echoed, not checked for uniqueness"),
)
REJECTED = _message(
    "J",
    "rejected",
    False,
    uint("timestamp", 8, "ns since midnight"),
    uint("user_ref_num", 4, "see UserRefNum rules"),
    uint("reason", 2, "see reject reasons"),
    alpha("clordid", 14, "free text of the client, echoed, not checked for uniqueness"),
)
CANCEL_PENDING = _message(
    "P",
    "cancel_pending",
    False,
    uint("timestamp", 8, "ns since midnight"),
    uint("user_ref_num", 4, "see UserRefNum rules"),
)
CANCEL_REJECT = _message(
    "I",
    "cancel_reject",
    False,
    uint("timestamp", 8, "ns since midnight"),
    uint("user_ref_num", 4, "see UserRefNum rules"),
)
ORDER_PRIORITY_UPDATE = _message(
    "T",
    "order_priority_update",
    False,
    uint("timestamp", 8, "ns since midnight"),
    uint("user_ref_num", 4, "see UserRefNum rules"),
    price("price", 8, "u64 with 4 decimals"),
    char("display", "new display"),
    uint("order_ref", 8, "NEW exchange reference"),
)
ORDER_MODIFIED = _message(
    "M",
    "order_modified",
    False,
    uint("timestamp", 8, "ns since midnight"),
    uint("user_ref_num", 4, "see UserRefNum rules"),
    char("side", "B buy, S sell, T sell short, E sell short exempt"),
    uint("quantity", 4, "shares open now"),
)
ORDER_RESTATED = _message(
    "R",
    "order_restated",
    True,
    uint("timestamp", 8, "ns since midnight"),
    uint("user_ref_num", 4, "see UserRefNum rules"),
    char("reason", "R reserve refreshed, P displayed price changed"),
)
MASS_CANCEL_RESPONSE = _message(
    "X",
    "mass_cancel_response",
    True,
    uint("timestamp", 8, "ns since midnight"),
    uint("user_ref_num", 4, "see UserRefNum rules"),
    alpha("firm", 4, "MPID, capitals"),
    alpha("symbol", 8, ""),
)
DISABLE_ORDER_ENTRY_RESPONSE = _message(
    "G",
    "disable_order_entry_response",
    True,
    uint("timestamp", 8, "ns since midnight"),
    uint("user_ref_num", 4, "see UserRefNum rules"),
    alpha("firm", 4, "MPID, capitals"),
)
ENABLE_ORDER_ENTRY_RESPONSE = _message(
    "K",
    "enable_order_entry_response",
    True,
    uint("timestamp", 8, "ns since midnight"),
    uint("user_ref_num", 4, "see UserRefNum rules"),
    alpha("firm", 4, "MPID, capitals"),
)
ACCOUNT_QUERY_RESPONSE = _message(
    "Q",
    "account_query_response",
    False,
    uint("timestamp", 8, "ns since midnight"),
    uint("next_user_ref_num", 4, "next free number"),
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
    1: uint("secondary_ord_ref_num", 8, "reference used on ITCH (for instance the displayed part of a reserve order); outbound R"),
    2: alpha("firm", 4, "MPID (spaces = account default)"),
    3: uint("min_qty", 4, "round lot multiple (0)"),
    4: char("customer_type", "R retail designated, N not (space = port default)"),
    5: uint("max_floor", 4, "displayed part (0)"),
    6: char("price_type", "L limit, P market peg, M midpoint peg, R primary peg, Q market maker peg, m midpoint (L)"),
    7: sint("peg_offset", 4, "1/10000 dollar (0)"),
    9: price("discretion_price", 8, "(0)"),
    10: char("discretion_price_type", "L P M R (L)"),
    11: sint("discretion_peg_offset", 4, "1/10000 dollar (0)"),
    12: char("post_only", "P post only, N not (N)"),
    13: uint("random_reserves", 4, "(0)"),
    14: alpha("route", 4, "outbound only"),
    15: uint("expire_time", 4, "seconds to live, below 86,400; needed with time in force 6"),
    16: char("trade_now", "Y, N (space = port default)"),
    17: char("handle_inst", "I imbalance only, O / T retail type 1 / 2, Q retail price improvement, B extended life + continuous, D direct listing, space none"),
    18: char("bbo_weight", "0 up to 0.2 %, 1 up to 1 %, 2 up to 2 %, 3 more, S sets QBBO joining NBBO, N improves NBBO, space unspecified; outbound only"),
    22: uint("display_quantity", 4, "outbound R only"),
    23: price("display_price", 8, "outbound R only"),
    24: uint("group_id", 2, "0 = none"),
    25: char("shares_located", "Y, N (N)"),
    26: alpha("locate_broker", 4, "broker that lends the shares"),
    27: char("side", "B S T E"),
    28: uint("user_ref_idx", 1, "order-flow channel"),
}
"""Options of the appendage by tag: one element is u8 length (tag and value), u8 tag, value."""

OTHER_NAMES: Mapping[tuple[str, str], str] = {(AIQ_CANCELED.name, "quantity"): "decrement_shares"}
"""Fields of a report that stand for one which others have under another name: by message and that name."""

SIDE_BUY = "B"
SIDE_SELL = "S"
SIDE_SELL_SHORT = "T"
TIME_IN_FORCE_IOC = "3"
DISPLAY_VISIBLE = "Y"
CAPACITY_PRINCIPAL = "P"
ISO_NO = "N"
CROSS_CONTINUOUS = "N"

ENDING = {layout.code for layout in (ORDER_ACCEPTED, ORDER_EXECUTED, ORDER_CANCELED, AIQ_CANCELED, REJECTED)}
"""Types of the reports with which an order can end; all others leave it what it was."""

ORDER_STATE_LIVE = "L"
ORDER_STATE_DEAD = "D"
"""The order was accepted and cancelled at once."""

HIGHEST_PRICE = 1_999_999_900
"""Highest limit price, 199,999.99 dollars in 1/10000 dollar."""
