"""The gate's rules in plain Python, from DESIGN section 7 and `reasons.Refusal`; nothing here follows the gateware."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from hdl.spec.reasons import Integrity, Mode, Refusal, TradingState

BUY, SELL = 0, 1


@dataclass
class Slot:
    """What is known of a slot when an order for it is judged."""

    enabled: int = 1
    max_quantity: int = 1000
    max_notional: int = 10**12
    max_long: int = 5000
    max_short: int = 5000
    reference: int = 1_000_000
    collar: int = 50_000
    collar_bps: int = 500
    position: int = 0
    open_buys: int = 0
    open_sells: int = 0
    orders: int = 0
    integrity: Integrity = Integrity.EXACT
    halted: int = 0
    restricted: int = 0
    bid: int = 999_900
    ask: int = 1_000_100


@dataclass
class Order:
    """One order asked for."""

    slot: int
    side: int
    quantity: int
    price: int


@dataclass
class World:
    """What all orders share."""

    state: TradingState = TradingState.ACTIVE
    mode: int = Mode.LIVE
    allowed: int = 1
    tokens: int = 100
    market_open: int = 1
    stale: int = 0
    transmitter_ready: int = 1
    session_up: int = 1
    ledger_full: int = 0
    slots: dict[int, Slot] = field(default_factory=dict)


def is_short(order: Order, slot: Slot) -> bool:
    """More is sold than is owned and not already being sold."""
    return order.side == SELL and order.quantity > slot.position - slot.open_sells


def alone(order: Order, leg: int, world: World) -> set[Refusal]:
    """Reasons against one order, the other one left aside."""
    slot = world.slots[order.slot]
    reasons = set()

    def refuse_if(holds: bool, reason: Refusal) -> None:
        if holds:
            reasons.add(reason)

    refuse_if(world.state == TradingState.KILLED, Refusal.KILLED)
    refuse_if(world.state == TradingState.HALTED, Refusal.HALTED)
    if world.state == TradingState.REDUCE_ONLY:
        # Every state the open orders may lead to, this order filled in part or whole: |position| must be smaller than without it.
        low, high = slot.position - slot.open_sells, slot.position + slot.open_buys
        move = order.quantity if order.side == BUY else -order.quantity
        start = high if order.side == BUY else low
        refuse_if(move == 0 or abs(start + move) >= abs(start) or (start + move) * start < 0, Refusal.REDUCE_ONLY)
    refuse_if(world.mode not in (Mode.SHADOW, Mode.LIVE), Refusal.MODE_OFF)
    refuse_if(not slot.enabled, Refusal.SLOT_DISABLED)
    refuse_if(not world.allowed, Refusal.PAIR_DISABLED)
    refuse_if(not 1 <= order.quantity <= slot.max_quantity, Refusal.QUANTITY)
    refuse_if(order.quantity * order.price > slot.max_notional, Refusal.NOTIONAL)
    if slot.reference == 0:
        reasons.add(Refusal.NO_REFERENCE)
    else:
        distance = abs(order.price - slot.reference)
        far = distance > slot.collar or Fraction(distance, slot.reference) > Fraction(slot.collar_bps, 10_000)
        refuse_if(far, Refusal.COLLAR)
    if order.side == BUY:
        refuse_if(slot.position + slot.open_buys + order.quantity > slot.max_long, Refusal.LONG_LIMIT)
    else:
        refuse_if(slot.position - slot.open_sells - order.quantity < -slot.max_short, Refusal.SHORT_LIMIT)
    refuse_if(world.tokens < leg + 1, Refusal.RATE)
    refuse_if(slot.integrity != Integrity.EXACT, Refusal.INTEGRITY)
    refuse_if(bool(slot.halted), Refusal.STOCK_HALTED)
    refuse_if(not world.market_open, Refusal.MARKET_CLOSED)
    refuse_if(bool(world.stale), Refusal.STALE)
    refuse_if(order.price >= 10_000 and order.price % 100 != 0, Refusal.OFF_TICK)
    refuse_if(slot.bid == 0 or slot.ask == 0 or slot.bid >= slot.ask, Refusal.CROSSED)
    refuse_if(not world.transmitter_ready, Refusal.TRANSMITTER_BUSY)
    refuse_if(not world.session_up, Refusal.SESSION_DOWN)
    refuse_if(bool(world.ledger_full), Refusal.LEDGER_FULL)
    refuse_if(bool(slot.restricted) and is_short(order, slot), Refusal.SHORT_SALE)
    return reasons


def judge(orders: list[Order], world: World) -> list[set[Refusal]]:
    """All reasons of both orders of a pair."""
    reasons = [alone(order, leg, world) for leg, order in enumerate(orders)]
    if orders[0].slot == orders[1].slot:
        # Each order is held against the exposure without the other: two of one slot could pass a limit together.
        reasons = [own | {Refusal.PAIR_DISABLED} for own in reasons]
    return [own | ({Refusal.OTHER_LEG} if reasons[1 - leg] else set()) for leg, own in enumerate(reasons)]
