"""Displayed orders of a whole market, kept from its ITCH messages, with what an exchange needs to match against them."""

from __future__ import annotations

from collections.abc import Callable

from hdl.spec import itch
from sim.packing import compiled

_BUY = b"B"


class DisplayedOrder:
    """One displayed order; `taken` of its `shares` went to us and are gone, though the generated feed does not know."""

    __slots__ = ("locate", "price", "shares", "side", "taken")

    def __init__(self, locate: int, side: bytes, price: int, shares: int) -> None:
        self.locate = locate
        self.side = side
        self.price = price
        self.shares = shares
        self.taken = 0

    @property
    def available(self) -> int:
        """Shares still there for us."""
        return self.shares - self.taken


_Level = dict[int, DisplayedOrder]


class DisplayedMarket:
    """Order-by-order books of all stocks. A message about an unknown order is a `KeyError`: the market is generated here."""

    def __init__(self) -> None:
        self._orders: dict[int, DisplayedOrder] = {}
        self._levels: dict[tuple[int, bytes], dict[int, _Level]] = {}
        self._apply: dict[int, Callable[[bytes], None]] = {
            ord("A"): self._added,
            ord("F"): self._added,
            ord("E"): self._executed,
            ord("C"): self._executed,
            ord("X"): self._cancelled,
            ord("D"): self._deleted,
            ord("U"): self._replaced,
        }

    def apply(self, message: bytes) -> bool:
        """Take one ITCH message; False where it does not change a book."""
        act = self._apply.get(message[0])
        if act is None:
            return False
        act(message)
        return True

    def best(self, locate: int, side: bytes) -> int | None:
        """Best displayed price of a side that has shares left, in 1/10000 dollar."""
        prices = [
            price
            for price, level in self._levels.get((locate, side), {}).items()
            if any(order.available for order in level.values())
        ]
        return (max(prices) if side == _BUY else min(prices)) if prices else None

    def take(self, locate: int, side: bytes, limit: int, shares: int) -> list[tuple[int, int]]:
        """Take shares from the orders of a side, best price first and in time order, as far as the limit allows.

        Returns
        -------
        list of (int, int)
            Shares and price of each fill.
        """
        buying = side != _BUY
        levels = self._levels.get((locate, side), {})
        prices = sorted(price for price in levels if (price <= limit if buying else price >= limit))
        fills = []
        for price in prices if buying else reversed(prices):
            for order in levels[price].values():
                part = min(shares, order.available)
                if part:
                    order.taken += part
                    shares -= part
                    fills.append((part, price))
        return fills

    def _insert(self, reference: int, order: DisplayedOrder) -> None:
        if reference in self._orders:
            raise KeyError(f"order {reference} was added twice")
        self._orders[reference] = order
        self._levels.setdefault((order.locate, order.side), {}).setdefault(order.price, {})[reference] = order

    def _remove(self, reference: int) -> DisplayedOrder:
        order = self._orders.pop(reference)
        levels = self._levels[order.locate, order.side]
        level = levels[order.price]
        del level[reference]
        if not level:
            del levels[order.price]
        return order

    def _reduce(self, reference: int, shares: int) -> None:
        order = self._orders[reference]
        order.shares -= shares
        order.taken = min(order.taken, order.shares)
        if order.shares <= 0:
            self._remove(reference)

    def _added(self, message: bytes) -> None:
        # A and F agree up to the price.
        _, locate, _, _, reference, side, shares, _, price = compiled(itch.ADD_ORDER_NO_MPID).unpack_from(message)
        self._insert(reference, DisplayedOrder(locate, side, price, shares))

    def _executed(self, message: bytes) -> None:
        # E and C agree up to the match number.
        _, _, _, _, reference, shares, _ = compiled(itch.ORDER_EXECUTED).unpack_from(message)
        self._reduce(reference, shares)

    def _cancelled(self, message: bytes) -> None:
        _, _, _, _, reference, shares = compiled(itch.ORDER_CANCEL).unpack_from(message)
        self._reduce(reference, shares)

    def _deleted(self, message: bytes) -> None:
        self._remove(compiled(itch.ORDER_DELETE).unpack_from(message)[4])

    def _replaced(self, message: bytes) -> None:
        _, _, _, _, original, reference, shares, price = compiled(itch.ORDER_REPLACE).unpack_from(message)
        old = self._remove(original)
        self._insert(reference, DisplayedOrder(old.locate, old.side, price, shares))
