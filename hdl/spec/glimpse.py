"""GLIMPSE 5.0: the book as it stands, ITCH messages over SoupBinTCP.

Source: Nasdaq GLIMPSE 5.0, by what is published of it. All messages but the last are ITCH 5.0's own: `TYPES`.
"""

from __future__ import annotations

from hdl.spec import itch
from hdl.spec.layout import Field, Kind, Layout

TYPES = (
    itch.SYSTEM_EVENT.code,
    itch.STOCK_DIRECTORY.code,
    itch.STOCK_TRADING_ACTION.code,
    itch.REG_SHO_SHORT_SALE_PRICE_TEST.code,
    itch.RETAIL_PRICE_IMPROVEMENT_INDICATOR.code,
    itch.OPERATIONAL_HALT.code,
    itch.ADD_ORDER_NO_MPID.code,
    itch.ADD_ORDER_WITH_MPID.code,
)
"""Types of the messages before the marker."""

SNAPSHOT = Layout(
    "snapshot",
    (
        Field("type", 1, Kind.CHAR, "message type"),
        Field("sequence_number", 20, Kind.RAW, "TotalView-ITCH number from which the feed goes on, ASCII digits"),
    ),
    "G",
    "the marker: everything before this number is in the snapshot",
)
