"""Nasdaq TotalView-ITCH 5.0: the 23 messages.

Source: Nasdaq TotalView-ITCH 5.0 specification, revision log to 2023-04-28; checked against itchfeed and real captures.
The first four fields are the same in every message. A message carries no length: its framing does.
"""

from __future__ import annotations

from collections.abc import Mapping

from hdl.spec.layout import Field, Kind, Layout, alpha, by_code, char, price, price8, uint

HEADER = (
    Field("type", 1, Kind.CHAR, "message type"),
    Field("stock_locate", 2, Kind.UINT, "index of the stock for the day, 0 where the message is about no one stock"),
    Field("tracking_number", 2, Kind.UINT, "the exchange's own"),
    Field("timestamp", 6, Kind.UINT, "ns since midnight, US Eastern"),
)


HEADER_BYTES = sum(field.size for field in HEADER)
"""A message that has not even these does not tell whose it is."""


def _message(code: str, name: str, doc: str, *fields: Field) -> Layout:
    return Layout(name, HEADER + fields, code, doc)


SYSTEM_EVENT = _message(
    "S",
    "system_event",
    "market-wide; locate always 0",
    char("event_code", "see system event codes"),
)
STOCK_DIRECTORY = _message(
    "R",
    "stock_directory",
    "one per symbol before the session (and when a symbol is added); the only source of locate -> symbol",
    alpha("stock", 8, "symbol, left-justified, space padded"),
    char("market_category", "listing venue / tier, see codes"),
    char("financial_status", "listing-compliance state, see codes"),
    uint("round_lot_size", 4, "shares per round lot"),
    char("round_lots_only", "Y = system takes round lots only, N = no restriction"),
    char("issue_classification", "security class, see codes"),
    alpha("issue_sub_type", 2, "security sub-type, 1-2 letters space padded"),
    char("authenticity", "P = production, T = test security"),
    char("short_sale_threshold", "Y/N = on / not on the Rule 203(b)(3) threshold list, space = unknown"),
    char("ipo_flag", "Y = new IPO, N = not, space = unknown (non-Nasdaq listing); Z see doubts"),
    char("luld_tier", "1 or 2 = LULD tier, space = none"),
    char("etp_flag", "Y/N = exchange-traded product or not, space = unknown"),
    uint("etp_leverage", 4, "leverage factor, fraction truncated (3 = 3x)"),
    char("inverse_indicator", "Y = inverse ETP, N = not"),
)
STOCK_TRADING_ACTION = _message(
    "H",
    "stock_trading_action",
    "initial spin before system hours, then on every change; a symbol missing from the spin counts as halted",
    alpha("stock", 8, "symbol, left-justified, space padded"),
    char("trading_state", "see trading states"),
    char("reserved", "ignore"),
    alpha("reason", 4, "see reason codes, space padded"),
)
REG_SHO_SHORT_SALE_PRICE_TEST = _message(
    "Y",
    "reg_sho_short_sale_price_test",
    "spin for Nasdaq-listed symbols, then on change",
    alpha("stock", 8, "symbol, left-justified, space padded"),
    char("reg_sho_action", "see Reg SHO codes"),
)
MARKET_PARTICIPANT_POSITION = _message(
    "L",
    "market_participant_position",
    "no book effect",
    alpha("mpid", 4, "participant id"),
    alpha("stock", 8, "symbol, left-justified, space padded"),
    char("primary_mm", "Y/N"),
    char("mm_mode", "N normal, P passive, S syndicate, R pre-syndicate, L penalty"),
    char("mp_state", "A active, E excused, W withdrawn, S suspended, D deleted"),
)
MWCB_DECLINE_LEVEL = _message(
    "V",
    "mwcb_decline_level",
    "locate 0; index level, not a stock price",
    price8("level_1", "S&P 500 value of the first (7 %) breach"),
    price8("level_2", "second (13 %)"),
    price8("level_3", "third (20 %)"),
)
MWCB_STATUS = _message(
    "W",
    "mwcb_status",
    "locate 0",
    char("breached_level", "1, 2 or 3"),
)
IPO_QUOTING_PERIOD_UPDATE = _message(
    "K",
    "ipo_quoting_period_update",
    "",
    alpha("stock", 8, "symbol, left-justified, space padded"),
    uint("release_time", 4, "SECONDS since midnight (0 = cancelled)"),
    char("release_qualifier", "A anticipated, C cancelled / postponed"),
    price("ipo_price", 4, "IPO price (0 = cancelled)"),
)
LULD_AUCTION_COLLAR = _message(
    "J",
    "luld_auction_collar",
    "",
    alpha("stock", 8, "symbol, left-justified, space padded"),
    price("collar_ref_price", 4, "reference price of the collar"),
    price("upper_collar", 4, ""),
    price("lower_collar", 4, ""),
    uint("extension", 4, "how many times the reopening auction was extended"),
)
OPERATIONAL_HALT = _message(
    "h",
    "operational_halt",
    "halt on one market only; other venues keep trading",
    alpha("stock", 8, "symbol, left-justified, space padded"),
    char("market_code", "Q Nasdaq, B BX, X PSX"),
    char("halt_action", "H halted on that market, T resumed"),
)
ADD_ORDER_NO_MPID = _message(
    "A",
    "add_order_no_mpid",
    "changes the book",
    uint("order_ref", 8, "day-unique order reference"),
    char("side", "B buy, S sell"),
    uint("shares", 4, "displayed shares"),
    alpha("stock", 8, "symbol, left-justified, space padded"),
    price("price", 4, "display price"),
)
ADD_ORDER_WITH_MPID = _message(
    "F",
    "add_order_with_mpid",
    "changes the book",
    uint("order_ref", 8, "day-unique order reference"),
    char("side", "B buy, S sell"),
    uint("shares", 4, "displayed shares"),
    alpha("stock", 8, "symbol, left-justified, space padded"),
    price("price", 4, "display price"),
    alpha("attribution", 4, "MPID"),
)
ORDER_EXECUTED = _message(
    "E",
    "order_executed",
    "changes the book",
    uint("order_ref", 8, "day-unique order reference"),
    uint("executed_shares", 4, "shares filled now (incremental)"),
    uint("match_number", 8, "day-unique execution id"),
)
ORDER_EXECUTED_WITH_PRICE = _message(
    "C",
    "order_executed_with_price",
    "changes the book",
    uint("order_ref", 8, "day-unique order reference"),
    uint("executed_shares", 4, "shares filled now (incremental)"),
    uint("match_number", 8, "day-unique execution id"),
    char("printable", "Y = count in volume, N = part of a later bulk print"),
    price("execution_price", 4, "price of this fill"),
)
ORDER_CANCEL = _message(
    "X",
    "order_cancel",
    "changes the book",
    uint("order_ref", 8, "day-unique order reference"),
    uint("cancelled_shares", 4, "shares removed (incremental)"),
)
ORDER_DELETE = _message(
    "D",
    "order_delete",
    "changes the book",
    uint("order_ref", 8, "day-unique order reference"),
)
ORDER_REPLACE = _message(
    "U",
    "order_replace",
    "changes the book",
    uint("orig_order_ref", 8, "reference that dies"),
    uint("new_order_ref", 8, "reference that lives on"),
    uint("shares", 4, "new displayed shares (absolute)"),
    price("price", 4, "new display price"),
)
TRADE = _message(
    "P",
    "trade",
    "hidden-order print; no book effect",
    uint("order_ref", 8, "zero since 2010-12-06"),
    char("side", "always B since 2014-07-14"),
    uint("shares", 4, "shares matched"),
    alpha("stock", 8, "symbol, left-justified, space padded"),
    price("price", 4, "match price"),
    uint("match_number", 8, "day-unique execution id"),
)
CROSS_TRADE = _message(
    "Q",
    "cross_trade",
    "no book effect by itself",
    uint("shares", 8, "cross volume, may be 0"),
    alpha("stock", 8, "symbol, left-justified, space padded"),
    price("cross_price", 4, ""),
    uint("match_number", 8, "day-unique execution id"),
    char("cross_type", "see cross types"),
)
BROKEN_TRADE = _message(
    "B",
    "broken_trade",
    "no book effect; fixes volume statistics only",
    uint("match_number", 8, "execution that is void (from an earlier E, C or P)"),
)
NET_ORDER_IMBALANCE = _message(
    "I",
    "net_order_imbalance",
    "no book effect",
    uint("paired_shares", 8, ""),
    uint("imbalance_shares", 8, ""),
    char("imbalance_direction", "B buy, S sell, N none, O too few orders, P paused"),
    alpha("stock", 8, "symbol, left-justified, space padded"),
    price("far_price", 4, "clearing price, cross orders only"),
    price("near_price", 4, "clearing price, cross + continuous orders"),
    price("ref_price", 4, "price the imbalance is computed at"),
    char("cross_type", "see cross types"),
    char("price_variation", "see variation codes"),
)
RETAIL_PRICE_IMPROVEMENT_INDICATOR = _message(
    "N",
    "retail_price_improvement_indicator",
    "no book effect",
    alpha("stock", 8, "symbol, left-justified, space padded"),
    char("interest_flag", "B bid side, S sell side, A both, N none"),
)
DIRECT_LISTING_WITH_CAPITAL_RAISE = _message(
    "O",
    "direct_listing_with_capital_raise",
    "added to the spec 2023-04-28; no book effect",
    alpha("stock", 8, "symbol, left-justified, space padded"),
    char("open_eligibility", "Y / N = may be released"),
    price("min_price", 4, "20 % below the registered low"),
    price("max_price", 4, "80 % above the registered high"),
    price("near_exec_price", 4, "reference when the volatility test passed"),
    uint("near_exec_time", 8, "when it was set"),
    price("lower_collar", 4, "10 % below near_exec_price"),
    price("upper_collar", 4, "10 % above near_exec_price"),
)

MESSAGES: Mapping[str, Layout] = by_code(
    SYSTEM_EVENT,
    STOCK_DIRECTORY,
    STOCK_TRADING_ACTION,
    REG_SHO_SHORT_SALE_PRICE_TEST,
    MARKET_PARTICIPANT_POSITION,
    MWCB_DECLINE_LEVEL,
    MWCB_STATUS,
    IPO_QUOTING_PERIOD_UPDATE,
    LULD_AUCTION_COLLAR,
    OPERATIONAL_HALT,
    ADD_ORDER_NO_MPID,
    ADD_ORDER_WITH_MPID,
    ORDER_EXECUTED,
    ORDER_EXECUTED_WITH_PRICE,
    ORDER_CANCEL,
    ORDER_DELETE,
    ORDER_REPLACE,
    TRADE,
    CROSS_TRADE,
    BROKEN_TRADE,
    NET_ORDER_IMBALANCE,
    RETAIL_PRICE_IMPROVEMENT_INDICATOR,
    DIRECT_LISTING_WITH_CAPITAL_RAISE,
)
"""The 23 messages by type character."""

LONGEST = max(layout.size for layout in MESSAGES.values())
SHORTEST = min(layout.size for layout in MESSAGES.values())

BOOK_TYPES = "AFECXDU"
"""Types that change the book."""

MARKET_HOURS_BEGIN = "Q"
"""Event code of `S`: start of market hours."""
MESSAGES_BEGIN = "O"
"""Event code of `S`: first message of the day."""
TRADING_STATE_TRADING = "T"
"""Trading state of `H`: the one in which the stock trades."""
MARKET_NASDAQ = "Q"
"""Market code of `h`: the market whose feed this is."""
HALT_ACTION_RESUMED = "T"
"""Halt action of `h`: trading on that market goes on."""
REG_SHO_NONE = "0"
"""Action of `Y`: no restriction."""
PRINTABLE = "Y"
"""Value of `printable` (C) where the execution counts as a print of its own."""

BUY = "B"
"""`side` of an order to buy."""
SELL = "S"
"""`side` of an order to sell."""
