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
    located: int = 1 << 23
    shorts: int = 0
    """Shares of short sales that were filled or are open."""
    integrity: Integrity = Integrity.EXACT
    halted: int = 0
    restricted: int = 0
    last: tuple[int, int, int] | None = None
    """Side, quantity and price of its last order."""
    last_ago: int = 0
    """Clocks from that one's verdict to this one's."""
    sent_in_window: int = 0
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
    gross: int = 0
    net_long: int = 0
    net_short: int = 0
    max_gross: int = (1 << 56) - 1
    max_net: int = (1 << 56) - 1
    loss: int = 0
    rejects_reached: int = 0
    cancels_reached: int = 0
    canary_quantity: int = 0
    max_open_orders: int = 0xFFFF
    duplicate_window: int = 0
    slot_rate_orders: int = 0
    slots: dict[int, Slot] = field(default_factory=dict)


def is_short(order: Order, slot: Slot) -> bool:
    """More is sold than is owned and not already being sold."""
    return order.side == SELL and order.quantity > slot.position - slot.open_sells


def grows(order: Order, slot: Slot) -> bool:
    """Whether |position| may grow by the order, in any state the open orders may lead to, filled in part or whole."""
    low, high = slot.position - slot.open_sells, slot.position + slot.open_buys
    move = order.quantity if order.side == BUY else -order.quantity
    start = high if order.side == BUY else low
    return move == 0 or abs(start + move) >= abs(start) or (start + move) * start < 0


def alone(order: Order, leg: int, world: World, *, of_pair: bool) -> set[Refusal]:
    """Reasons against one order, the other one left aside."""
    slot = world.slots[order.slot]
    reasons = set()

    def refuse_if(holds: bool, reason: Refusal) -> None:
        if holds:
            reasons.add(reason)

    refuse_if(world.state == TradingState.KILLED, Refusal.KILLED)
    refuse_if(world.state == TradingState.HALTED, Refusal.HALTED)
    refuse_if(world.state == TradingState.REDUCE_ONLY and grows(order, slot), Refusal.REDUCE_ONLY)
    refuse_if(bool(world.loss) and grows(order, slot), Refusal.LOSS)
    refuse_if(world.mode not in (Mode.SHADOW, Mode.LIVE), Refusal.MODE_OFF)
    refuse_if(not slot.enabled, Refusal.SLOT_DISABLED)
    refuse_if(of_pair and not world.allowed, Refusal.PAIR_DISABLED)
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
    refuse_if(is_short(order, slot) and slot.shorts + order.quantity > slot.located, Refusal.LOCATE)
    refuse_if(0 < world.canary_quantity < order.quantity, Refusal.CANARY)
    refuse_if(bool(world.rejects_reached), Refusal.REJECT_RATE)
    refuse_if(bool(world.cancels_reached), Refusal.CANCEL_RATE)
    refuse_if(slot.orders + 1 > world.max_open_orders, Refusal.OPEN_ORDERS)
    same = slot.last == (order.side, order.quantity, order.price)
    refuse_if(same and slot.last_ago < world.duplicate_window, Refusal.DUPLICATE)
    refuse_if(0 < world.slot_rate_orders <= slot.sent_in_window, Refusal.SLOT_RATE)
    return reasons


def together(orders: list[Order], world: World) -> list[set[Refusal]]:
    """Reasons against orders for what all slots come to: only orders that may let a position grow count, and are refused."""
    growing = [grows(order, world.slots[order.slot]) for order in orders]
    notional = {BUY: 0, SELL: 0}
    for order, counts in zip(orders, growing, strict=True):
        notional[order.side] += order.quantity * order.price * counts
    too_gross = world.gross + sum(notional.values()) > world.max_gross
    too_net = {
        BUY: world.net_long + notional[BUY] > world.max_net,
        SELL: world.net_short - notional[SELL] < -world.max_net,
    }
    reasons: list[set[Refusal]] = []
    for order, counts in zip(orders, growing, strict=True):
        holds = {Refusal.GROSS: too_gross, Refusal.NET: too_net[order.side]}
        reasons.append({reason for reason, held in holds.items() if held and counts})
    return reasons


def judge(orders: list[Order], world: World) -> list[set[Refusal]]:
    """All reasons of both orders of a pair, or of a single order."""
    shared = together(orders, world)
    reasons = [alone(order, leg, world, of_pair=len(orders) == 2) | shared[leg] for leg, order in enumerate(orders)]
    if len(orders) == 1:
        return reasons
    if orders[0].slot == orders[1].slot:
        # Each order is held against the exposure without the other: two of one slot could pass a limit together.
        reasons = [own | {Refusal.PAIR_DISABLED} for own in reasons]
    return [own | ({Refusal.OTHER_LEG} if reasons[1 - leg] else set()) for leg, own in enumerate(reasons)]
