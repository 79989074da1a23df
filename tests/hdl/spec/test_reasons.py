"""Numbers that stand in logs, masks and counters, pinned: whoever changes one breaks every log that was ever written."""

import enum

import pytest

from hdl.spec import reasons

# In order of number. A new name goes to the end; a name that is no longer used keeps its place.
PINNED = {
    reasons.Drop: """RUNT OVERSIZE NOT_IPV4 IP_HEADER IP_CHECKSUM FRAGMENT ADDRESS PORT UDP_LENGTH TRUNCATED FCS UDP_CHECKSUM
        MOLD_HEADER SESSION BLOCK_LENGTH DUPLICATE ITCH_TYPE ITCH_LENGTH BOOK_OVERRUN TCP_HEADER TCP_CHECKSUM TCP_ORDER SOUP_TYPE
        OUCH_TYPE HOLD_OVERRUN SEGMENT_OVERRUN BEYOND INJECT_LENGTH INJECT_OVERRUN PRIVATE_REFUSED DETACH_REFUSED
        ATTACH_REFUSED""",
    reasons.Refusal: """KILLED HALTED REDUCE_ONLY MODE_OFF SLOT_DISABLED PAIR_DISABLED QUANTITY NOTIONAL COLLAR NO_REFERENCE
        LONG_LIMIT SHORT_LIMIT RATE INTEGRITY STOCK_HALTED MARKET_CLOSED CROSSED TRANSMITTER_BUSY SESSION_DOWN LEDGER_FULL
        OTHER_LEG SHORT_SALE STALE OFF_TICK GROSS NET LOSS OPEN_ORDERS DUPLICATE SLOT_RATE REJECT_RATE
        CANCEL_RATE LOCATE CANARY""",
    reasons.Miss: "PENDING COOLDOWN SIZE MAX_UNITS OVERRUN GATE_BUSY ALLOWANCE HOST_ORDER REJECTS",
    reasons.Integrity: "EXACT SUSPECT DEAD",
    reasons.IntegrityCause: """RELOADED GAP LOST_AFTER_USE UNKNOWN_ORDER DUPLICATE_ORDER OVERFILL TABLE_FULL OFF_TICK
        LEVEL_OVERFLOW OVERRUN ZERO_SHARES RECOVERED DETACHED CLEARED WINDOW REFILLED MALFORMED""",
    reasons.TradingState: "ACTIVE REDUCE_ONLY HALTED KILLED",
    reasons.Mode: "OFF SHADOW LIVE",
    reasons.Alarm: "UNKNOWN_ORDER OVERFILL UNHANDLED_REPORT REPORT_OVERRUN BROKEN_TRADE",
    reasons.OrderState: "FREE SENT LIVE FILLED CANCELED REJECTED",
    reasons.PairAction: "SELL_SPREAD BUY_SPREAD BUY_BACK SELL_OUT",
    reasons.LegAction: "COMPLETE UNWIND STOP",
    reasons.LegPolicy: "STOP COMPLETE UNWIND",
    reasons.PairOutcome: "FILLED NOTHING LEGGED",
}


@pytest.mark.parametrize("kind", PINNED, ids=lambda kind: kind.__name__)
def test_numbers_keep_their_meaning(kind):
    pinned = PINNED[kind].split()
    assert [member.name for member in kind] == pinned, "a new name goes to the end, here too"
    # __members__ holds aliases too: an alias would be one number with two meanings.
    first = len(reasons.PairAction) if kind is reasons.LegAction else 0
    assert [member.value - first for member in kind.__members__.values()] == list(range(len(kind.__members__)))


def test_every_enum_is_pinned():
    kinds = {kind for kind in vars(reasons).values() if isinstance(kind, type) and issubclass(kind, enum.IntEnum) and len(kind)}
    assert kinds == set(PINNED)


def test_refusals_fit_the_verdict_mask():
    from hdl.spec import events

    assert len(reasons.Refusal) <= 8 * events.VERDICT.by_name["refusals"].size
