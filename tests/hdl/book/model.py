"""A plain book, written from the protocol's fact sheet: a dict of orders, and the best of each side found anew every time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from hdl.spec.geometry import Geometry

Row = tuple[int, int, int, int, int, int]
"""Message number, slot, bid price, bid shares, ask price, ask shares."""


def on_grid(price: int) -> bool:
    """Ticks of 0.0001 dollar below one dollar, of one cent from there on."""
    return price < 10_000 or price % 100 == 0


def rows_of(reference: int, geometry: Geometry) -> tuple[int, int]:
    """Rows of a reference, as the table's docstring has it, bit by bit."""
    bits = geometry.order_rows.bit_length() - 1
    chunks = [reference >> at & (1 << bits) - 1 for at in range(0, 64, bits)]
    first = second = 0
    for number, chunk in enumerate(chunks):
        first ^= chunk
        turn = number % bits
        second ^= (chunk << turn | chunk >> bits - turn) & (1 << bits) - 1
    return first, second


@dataclass
class Order:
    """A live order."""

    slot: int
    side: str
    shares: int
    price: int


@dataclass
class PlainBook:
    """Every message changes `orders`; what came of it is told by the lists.

    `full` holds message numbers at which the table had no room: where that happens is the table's own business, so a test says.
    """

    full: set[int] = field(default_factory=set)
    orders: dict[int, Order] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    trades: list[tuple[int, int]] = field(default_factory=list)
    faults: list[tuple[int, int, str]] = field(default_factory=list)
    levels: dict[tuple[int, str], dict[int, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))

    def best(self, slot: int) -> tuple[int, int, int, int]:
        """Best bid and offer with shares, zeros where there is none."""
        bids, asks = self.levels[slot, "B"], self.levels[slot, "S"]
        bid = max(bids, default=None)
        ask = min(asks, default=None)
        return (
            0 if bid is None else bid,
            0 if bid is None else bids[bid],
            0 if ask is None else ask,
            0 if ask is None else asks[ask],
        )

    def _level(self, order: Order, shares: int) -> None:
        if not on_grid(order.price):
            return
        levels = self.levels[order.slot, order.side]
        levels[order.price] += shares
        if not levels[order.price]:
            del levels[order.price]

    def _add(self, number: int, reference: int, order: Order) -> None:
        fault = None
        if order.shares == 0:
            fault = "ZERO_SHARES"
        elif reference in self.orders:
            fault = "DUPLICATE_ORDER"
        elif number in self.full:
            fault = "TABLE_FULL"
        if fault:
            self.faults.append((number, order.slot, fault))
            return
        if not on_grid(order.price):
            self.faults.append((number, order.slot, "OFF_TICK"))
        self.orders[reference] = order
        self._level(order, order.shares)

    def _take(self, reference: int, shares: int) -> None:
        order = self.orders[reference]
        self._level(order, -shares)
        order.shares -= shares
        if not order.shares:
            del self.orders[reference]

    def apply(self, number: int, slot: int, message: dict) -> None:
        """One message of `slot`; its members have the names of the protocol."""
        before, kind = self.best(slot), message["type"]
        if kind in ("A", "F"):
            self._add(number, message["order_ref"], Order(slot, message["side"], message["shares"], message["price"]))
        elif kind in ("E", "C", "X", "D", "U"):
            self._named(number, slot, kind, message)
        elif kind == "P":
            self.trades.append((slot, message["price"]))
        after = self.best(slot)
        if after != before:
            self.rows.append((number, slot, *after))

    def _named(self, number: int, slot: int, kind: str, message: dict) -> None:
        reference = message["orig_order_ref" if kind == "U" else "order_ref"]
        order = self.orders.get(reference)
        if order is None or order.slot != slot:
            self.faults.append((number, slot, "UNKNOWN_ORDER"))
            return
        if kind in ("E", "C", "X"):
            if kind == "E":
                self.trades.append((slot, order.price))
            if kind == "C" and message["printable"] == "Y":
                self.trades.append((slot, message["execution_price"]))
            shares = message["cancelled_shares" if kind == "X" else "executed_shares"]
            if shares > order.shares:
                self.faults.append((number, slot, "OVERFILL"))
            self._take(reference, min(shares, order.shares))
            return
        self._take(reference, order.shares)
        if kind == "U":
            self._add(number, message["new_order_ref"], Order(slot, order.side, message["shares"], message["price"]))
