"""What the ledger must know, kept in plain Python from DESIGN section 8 and the OUCH 5.0 rules for position keeping."""

from __future__ import annotations

from dataclasses import dataclass, field

from hdl.spec.reasons import Alarm, OrderState, PairOutcome

BUY, SELL = 0, 1
TERMINAL = (OrderState.FILLED, OrderState.CANCELED, OrderState.REJECTED)


@dataclass
class Own:
    """One own order and all that was ever said of it."""

    number: int
    slot: int
    pair: int
    side: int
    short: int
    sent: int
    state: OrderState = OrderState.SENT
    filled: int = 0
    removed: int = 0
    rejected: bool = False

    @property
    def open(self) -> int:
        """Shares still open: sent less every increment."""
        return self.sent - self.filled - self.removed

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL


@dataclass
class Accounts:
    """All orders of a day, and what follows from them."""

    orders: dict[int, Own] = field(default_factory=dict)
    cash: dict[int, int] = field(default_factory=dict)

    def of_slot(self, slot: int, side: int) -> list[Own]:
        return [order for order in self.orders.values() if order.slot == slot and order.side == side]

    def exposure(self, slot: int) -> dict[str, int]:
        """Position and open shares, from nothing but the orders."""
        buys, sells = self.of_slot(slot, BUY), self.of_slot(slot, SELL)
        return {
            "position": sum(order.filled for order in buys) - sum(order.filled for order in sells),
            "open_buys": sum(order.open for order in buys if not order.ended),
            "open_sells": sum(order.open for order in sells if not order.ended),
            "orders": sum(not order.ended for order in buys + sells),
            "shorts": sum(order.filled + order.open for order in buys + sells if order.short),
        }

    def outcome(self, pair: int, numbers: tuple[int, int]) -> PairOutcome | None:
        """How a pair's orders ended, `None` while one has not."""
        first, second = (self.orders[number] for number in numbers)
        if not (first.ended and second.ended):
            return None
        if all(order.filled == order.sent for order in (first, second)):
            return PairOutcome.FILLED
        if all(order.filled == 0 for order in (first, second)):
            return PairOutcome.NOTHING
        return PairOutcome.LEGGED

    def book(self, kind: str, number: int, quantity: int, price: int, order_state: str) -> Alarm | None:
        """Book a report, or tell what is wrong with it; a wrong one changes nothing."""
        if kind == "S":
            return None
        if kind not in "AECJ":
            return Alarm.UNHANDLED_REPORT
        order = self.orders.get(number)
        if order is None or order.ended:
            return Alarm.UNKNOWN_ORDER
        if kind in "EC":
            if quantity > order.open:
                return Alarm.OVERFILL
            if quantity == 0:
                return Alarm.UNHANDLED_REPORT
        if kind in "AJ" and order.state != OrderState.SENT:
            return Alarm.UNHANDLED_REPORT
        if kind == "A" and (quantity != order.sent or order_state not in "LD"):
            return Alarm.UNHANDLED_REPORT
        if kind == "E":
            order.filled += quantity
            sign = 1 if order.side == SELL else -1
            self.cash[order.slot] = self.cash.get(order.slot, 0) + sign * quantity * price
        if kind == "C":
            order.removed += quantity
        if kind == "J" or (kind == "A" and order_state == "D"):
            order.removed += order.open
            order.rejected = True
        if order.open:
            order.state = OrderState.LIVE
        else:
            order.state = {"E": OrderState.FILLED, "J": OrderState.REJECTED}.get(kind, OrderState.CANCELED)
        return None
