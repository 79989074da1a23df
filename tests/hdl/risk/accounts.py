"""What the ledger must know, kept in plain Python from DESIGN section 8 and the OUCH 5.0 rules for position keeping."""

from __future__ import annotations

from dataclasses import dataclass, field

from hdl.spec.reasons import Alarm, OrderState, PairOutcome

BUY, SELL = 0, 1
NOTED = "PIRT"
"""Cancel pending, cancel reject, restated, priority update: they move no shares."""
OUTLIVING = "IB"
"""A cancel that came too late may be refused after the order has ended, and a trade be broken."""
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
    last_fill: tuple[int, int, int] | None = None
    """Match number, shares and price of the last fill, unless it was taken back."""
    broken: int = 0
    """Shares that were filled and taken back."""
    lessened: bool = False
    """Some of them before it ended: how a pair ended is not looked at again."""
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

    places: int
    """Own orders followed at once."""
    orders: dict[int, Own] = field(default_factory=dict)
    cash: dict[int, int] = field(default_factory=dict)
    brought: dict[int, int] = field(default_factory=dict)
    """Position a slot began with, less what its orders had come to by then."""
    entries: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """By slot, shares and price of all that made its position greater since it was 0."""

    def reload(self, slot: int, position: int, cash: int, entries: list[tuple[int, int]]) -> None:
        """Go on from another position."""
        self.brought[slot] = self.brought.get(slot, 0) + position - self.exposure(slot)["position"]
        self.cash[slot], self.entries[slot] = cash, entries

    def entry(self, slot: int) -> dict[str, int]:
        """Sums over what made the position greater."""
        found = self.entries.get(slot, [])
        return {"entry_notional": sum(shares * price for shares, price in found), "entry_shares": sum(n for n, _ in found)}

    def _trade(self, slot: int, side: int, quantity: int, price: int) -> None:
        """First what closes, then what opens. Not booked yet."""
        position = self.exposure(slot)["position"]
        closes = min(quantity, max(0, position if side == SELL else -position))
        entries = self.entries.setdefault(slot, [])
        if closes and closes == abs(position):
            entries.clear()
        if quantity - closes:
            entries.append((quantity - closes, price))

    def in_place(self, order: Own) -> bool:
        """No other order has taken its place."""
        return not any(number > order.number and (number - order.number) % self.places == 0 for number in self.orders)

    def of_slot(self, slot: int, side: int) -> list[Own]:
        return [order for order in self.orders.values() if order.slot == slot and order.side == side]

    def exposure(self, slot: int) -> dict[str, int]:
        """Position and open shares, from nothing but the orders."""
        buys, sells = self.of_slot(slot, BUY), self.of_slot(slot, SELL)
        return {
            "position": self.brought.get(slot, 0)
            + sum(order.filled - order.broken for order in buys)
            - sum(order.filled - order.broken for order in sells),
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
        if all(order.filled == order.sent and not order.lessened for order in (first, second)):
            return PairOutcome.FILLED
        if all(order.filled == 0 for order in (first, second)):
            return PairOutcome.NOTHING
        return PairOutcome.LEGGED

    def book(self, kind: str, number: int, quantity: int, price: int, order_state: str, match: int = 0) -> Alarm | None:
        """Book a report, or tell what is wrong with it; a wrong one changes nothing."""
        if kind == "S":
            return None
        if kind not in "AECDJB" + NOTED:
            return Alarm.UNHANDLED_REPORT
        order = self.orders.get(number)
        if order is None or (order.ended and not (kind in OUTLIVING and self.in_place(order))):
            return Alarm.UNKNOWN_ORDER
        if kind in NOTED:
            if not order.ended:
                order.state = OrderState.LIVE
            return None
        if kind == "B":
            if order.last_fill is None or order.last_fill[0] != match:
                return Alarm.BROKEN_TRADE
            _, shares, at = order.last_fill
            order.last_fill = None
            self._trade(order.slot, SELL if order.side == BUY else BUY, shares, at)
            order.broken += shares
            self.cash[order.slot] += (1 if order.side == BUY else -1) * shares * at
            if not order.ended:
                order.state, order.lessened = OrderState.LIVE, True
            return None
        if kind in "ECD":
            if quantity > order.open:
                return Alarm.OVERFILL
            if quantity == 0:
                return Alarm.UNHANDLED_REPORT
        if kind in "AJ" and order.state != OrderState.SENT:
            return Alarm.UNHANDLED_REPORT
        if kind == "A" and (quantity != order.sent or order_state not in "LD"):
            return Alarm.UNHANDLED_REPORT
        if kind == "E":
            self._trade(order.slot, order.side, quantity, price)
            order.filled += quantity
            order.last_fill = (match, quantity, price)
            sign = 1 if order.side == SELL else -1
            self.cash[order.slot] = self.cash.get(order.slot, 0) + sign * quantity * price
        if kind in "CD":
            order.removed += quantity
        if kind == "J" or (kind == "A" and order_state == "D"):
            order.removed += order.open
            order.rejected = True
        if order.open:
            order.state = OrderState.LIVE
        else:
            order.state = {"E": OrderState.FILLED, "J": OrderState.REJECTED}.get(kind, OrderState.CANCELED)
        return None
