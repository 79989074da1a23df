"""Why something did not happen: one stable name and number for every drop, refusal and loss of integrity.

Numbers are bit positions in masks and indices of counters. They are never used again for another meaning.
"""

from __future__ import annotations

import enum


class Drop(enum.IntEnum):
    """Why a frame, packet, block or segment was not used. Exactly one per item; the first that applies."""

    RUNT = 0
    """Frame ended inside its Ethernet, IPv4, UDP or TCP header."""
    OVERSIZE = 1
    """Frame longer than the largest the port takes."""
    NOT_IPV4 = 2
    """Ethertype other than IPv4, behind at most one VLAN tag."""
    IP_HEADER = 3
    """Version, header length or total length impossible."""
    IP_CHECKSUM = 4
    """Header checksum wrong."""
    FRAGMENT = 5
    """Part of a fragmented datagram."""
    ADDRESS = 6
    """Neither the feed's nor the order session's addresses."""
    PORT = 7
    """Address known, port or protocol not."""
    UDP_LENGTH = 8
    """UDP length does not match the IPv4 total length."""
    TRUNCATED = 9
    """Frame ended before the payload its headers promise."""
    FCS = 10
    """Frame check sequence wrong, or the receiver flagged the frame."""
    UDP_CHECKSUM = 11
    """UDP checksum given and wrong."""
    MOLD_HEADER = 12
    """Payload too short for a MoldUDP64 header."""
    SESSION = 13
    """MoldUDP64 session other than the one expected."""
    BLOCK_LENGTH = 14
    """Message block reaches past the packet, or bytes are left over behind the last block."""
    DUPLICATE = 15
    """Every message of the packet was seen before."""
    ITCH_TYPE = 16
    """Message type not in ITCH 5.0."""
    ITCH_LENGTH = 17
    """Message length does not match its type."""
    BOOK_OVERRUN = 18
    """Message lost in front of the book: its queue was full."""
    TCP_HEADER = 19
    """TCP header length impossible, or flags other than ACK and PSH."""
    TCP_CHECKSUM = 20
    """TCP checksum wrong."""
    TCP_ORDER = 21
    """Segment is not the next one of the order session."""
    SOUP_TYPE = 22
    """SoupBinTCP packet type not one of the server's."""
    OUCH_TYPE = 23
    """OUCH message type not known or of impossible length."""
    HOLD_OVERRUN = 24
    """Packet did not fit the store of `hold_until_fcs`."""
    SEGMENT_OVERRUN = 25
    """Segment did not fit the store in front of the order session; the exchange sends it again."""
    BEYOND = 26
    """Message too far ahead of the one expected, or too long, to wait for its turn."""
    INJECT_LENGTH = 27
    """Message the host wrote whose length is none."""
    INJECT_OVERRUN = 28
    """Message the host wrote that there was no room for."""
    PRIVATE_REFUSED = 29
    """Private message of the host that was not for the detached slot, or of a type the book does not look at."""
    DETACH_REFUSED = 30
    """The host wanted a slot detached while another one was, or one that is none of this card."""
    ATTACH_REFUSED = 31
    """The host wanted a slot attached that was not detached, had not been given all that the feed brought, or lost some of it."""


class Refusal(enum.IntEnum):
    """Why the gate refused an order. Several may hold at once; all are recorded."""

    KILLED = 0
    """Trading state is KILLED."""
    HALTED = 1
    """Trading state is HALTED."""
    REDUCE_ONLY = 2
    """Trading state is REDUCE_ONLY and the order would not shrink |position|."""
    MODE_OFF = 3
    """Mode is OFF."""
    SLOT_DISABLED = 4
    """The slot is not enabled."""
    PAIR_DISABLED = 5
    """The pair is not enabled, was latched off, or names one slot for both legs."""
    QUANTITY = 6
    """Shares are 0 or above the slot's maximum."""
    NOTIONAL = 7
    """Shares times price above the slot's maximum."""
    COLLAR = 8
    """Price further from the reference than the collar allows."""
    NO_REFERENCE = 9
    """No reference price is known for the slot."""
    LONG_LIMIT = 10
    """Position plus open buys plus this order above the slot's maximum."""
    SHORT_LIMIT = 11
    """Position less open sells less this order below the slot's minimum."""
    RATE = 12
    """No order token left."""
    INTEGRITY = 13
    """The slot's book is not EXACT."""
    STOCK_HALTED = 14
    """The stock is halted, paused or quotation only, or was never said to trade."""
    MARKET_CLOSED = 15
    """Outside market hours, or a market-wide breaker is on."""
    CROSSED = 16
    """The slot's book is locked, crossed or one-sided."""
    TRANSMITTER_BUSY = 17
    """The order could not have left at once. It is not queued."""
    SESSION_DOWN = 18
    """The order session is not up."""
    LEDGER_FULL = 19
    """No free place to follow the order in."""
    OTHER_LEG = 20
    """The pair's other order was refused."""
    SHORT_SALE = 21
    """A sale would be short while the stock is under a short-sale restriction."""
    STALE = 22
    """No message came on the feed line for `stale_after` clocks."""
    OFF_TICK = 23
    """The price is not on the tick grid: 0.0001 below one dollar, 0.01 from there on."""
    GROSS = 24
    """Gross notional of all slots, at the worst and with this pair, above its maximum. Not where the order shrinks |position|."""
    NET = 25
    """Net notional of all slots, at the worst in the order's direction and with this pair, above its maximum. Not where the order
    shrinks |position|."""
    LOSS = 26
    """The loss limit was reached and not re-armed, and the order would not shrink |position|."""
    OPEN_ORDERS = 27
    """As many orders of the slot are open as may be."""
    DUPLICATE = 28
    """The slot's last order, of this side, price and quantity, left less than `duplicate_window` clocks ago."""
    SLOT_RATE = 29
    """As many orders of the slot left in this window as may."""
    REJECT_RATE = 30
    """The exchange rejected as many orders in this window as it may."""
    CANCEL_RATE = 31
    """The exchange canceled as many orders in this window, in part or whole, as it may."""
    LOCATE = 32
    """A sale would be short, and short sales of the slot would come to more shares than are located."""
    CANARY = 33
    """Shares are above the most any order of the card may have for now."""


class Miss(enum.IntEnum):
    """Why a trigger, or an order of the host, did not become an order request."""

    PENDING = 0
    """The pair's last orders have not ended."""
    COOLDOWN = 1
    """The pair's cooldown has not ended."""
    SIZE = 2
    """Shares at the touch do not cover the order."""
    MAX_UNITS = 3
    """The pair holds its maximum already."""
    OVERRUN = 4
    """Evaluation lost: the next BBO change came before the pairs of the last one were through."""
    GATE_BUSY = 5
    """The gate was at work on another order."""
    ALLOWANCE = 6
    """The pair has used up its `max_triggers`: it is off until the host writes its legs."""
    HOST_ORDER = 7
    """The host wrote an order while the gate was at work on another one, in the clock of a trigger, which goes
    first, or while sets change; or for no slot of this card."""
    REJECTS = 8
    """The exchange rejected orders of the pair `max_rejects` times in a row: it is off until the host writes its legs."""


class Integrity(enum.IntEnum):
    """How far the book of a slot can be trusted."""

    EXACT = 0
    SUSPECT = 1
    DEAD = 2


class IntegrityCause(enum.IntEnum):
    """What lowered (or restored) a slot's integrity."""

    RELOADED = 0
    """The host declared the slot exact, or gave it its orders anew."""
    GAP = 1
    """Messages are missing."""
    LOST_AFTER_USE = 2
    """A frame whose messages were used turned out bad."""
    UNKNOWN_ORDER = 3
    """Reference to an order that is not in the table."""
    DUPLICATE_ORDER = 4
    """An order was added whose reference is in the table."""
    OVERFILL = 5
    """More shares taken from an order than it had."""
    TABLE_FULL = 6
    """No place in the order table."""
    OFF_TICK = 7
    """Displayed price not on the tick grid: 0.0001 below one dollar, 0.01 from there on."""
    LEVEL_OVERFLOW = 8
    """Shares of one level do not fit 32 bits."""
    OVERRUN = 9
    """A message for the slot was lost in front of the book."""
    ZERO_SHARES = 10
    """An order was added with no shares."""
    RECOVERED = 11
    """What was missing came after all and was applied in its order; nothing else had happened to the slot."""
    DETACHED = 12
    """The host took the slot from the feed, to give it its orders anew."""
    CLEARED = 13
    """The host emptied the book."""
    WINDOW = 14
    """A price window ran empty and is filled anew from the order table: the slot is SUSPECT, unless it is DEAD."""
    REFILLED = 15
    """The window is filled: the slot is again what it is by the other causes."""
    MALFORMED = 16
    """A message that has not the length of its type, so nobody knows what it did. Where it is too short to tell its stock, every
    EXACT slot is SUSPECT."""


WINDOW_CAUSES = (IntegrityCause.WINDOW, IntegrityCause.REFILLED)
"""Causes of records that speak of a window alone: what the slot is beside it they leave as it is."""


class TradingState(enum.IntEnum):
    """What the gate lets through."""

    ACTIVE = 0
    REDUCE_ONLY = 1
    HALTED = 2
    KILLED = 3


class Mode(enum.IntEnum):
    """Whether orders that pass leave the card."""

    OFF = 0
    """Every order is refused."""
    SHADOW = 1
    """Verdicts are given and recorded, nothing is sent or booked."""
    LIVE = 2
    """Orders that pass are sent."""


class Alarm(enum.IntEnum):
    """What the ledger cannot square. Each one halts trading."""

    UNKNOWN_ORDER = 0
    """A report names an order the ledger does not follow."""
    OVERFILL = 1
    """More shares ended than were open."""
    UNHANDLED_REPORT = 2
    """A report that answers what this build never asks (replaced, modified, mass cancel and the like), or one that cannot be: a
    second acceptance, an acceptance or rejection of another size or state, nothing filled or canceled."""
    REPORT_OVERRUN = 3
    """A report was lost: the queue in front of the ledger was full."""
    BROKEN_TRADE = 4
    """A fill was broken that is not the last one of its order, or not any more: it is not taken back."""


class OrderState(enum.IntEnum):
    """Life of one own order."""

    FREE = 0
    SENT = 1
    LIVE = 2
    FILLED = 3
    CANCELED = 4
    REJECTED = 5


class PairAction(enum.IntEnum):
    """What a trigger wants."""

    SELL_SPREAD = 0
    """Sell leg a, buy leg b: S_sell reached upper."""
    BUY_SPREAD = 1
    """Buy leg a, sell leg b: S_buy reached lower."""
    BUY_BACK = 2
    """Close a short spread: S_buy reached exit_short."""
    SELL_OUT = 3
    """Close a long spread: S_sell reached exit_long."""


class LegAction(enum.IntEnum):
    """What becomes of a pair that is legged; its numbers are none of `PairAction`."""

    COMPLETE = 4
    """A single order for what the pair's orders left unfilled."""
    UNWIND = 5
    """A single order against what the pair's orders filled."""
    STOP = 6
    """The pair is latched off."""


class PairOutcome(enum.IntEnum):
    """How the two orders of a pair ended."""

    FILLED = 0
    """Both filled in full."""
    NOTHING = 1
    """Neither filled."""
    LEGGED = 2
    """Unequal: the pair is repaired by its policy, or latched off."""


class LegPolicy(enum.IntEnum):
    """What becomes of a pair whose orders were filled unequally."""

    STOP = 0
    """It is latched off."""
    COMPLETE = 1
    """What is missing is bought and sold."""
    UNWIND = 2
    """What was filled is given back."""
