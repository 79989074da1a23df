"""One stock's displayed orders in a generated market, and the ITCH messages that change them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from math import ceil, floor, log

import numpy as np

from hdl.spec import itch
from sim.cointegration import TICK
from sim.packing import compiled

BUY, SELL = b"B", b"S"
_ADD = compiled(itch.ADD_ORDER_NO_MPID)
_ADD_MPID = compiled(itch.ADD_ORDER_WITH_MPID)
_EXECUTED = compiled(itch.ORDER_EXECUTED)
_EXECUTED_PRICE = compiled(itch.ORDER_EXECUTED_WITH_PRICE)
_CANCEL = compiled(itch.ORDER_CANCEL)
_DELETE = compiled(itch.ORDER_DELETE)
_REPLACE = compiled(itch.ORDER_REPLACE)
_TRADE = compiled(itch.TRADE)

_MPIDS = (b"NITE", b"CDRG", b"UBSS", b"GSCO")
TRACKING = 0
_JUMP = 6
"""Ticks the touch may give way at once."""


class Draws:
    """Uniform numbers from a numpy generator, drawn in bulk because single calls are slow."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._pool: Iterator[float] = iter(())

    def __call__(self) -> float:
        """Return the next number from [0, 1)."""
        for value in self._pool:
            return value
        self._pool = iter(self._rng.random(1 << 16).tolist())
        return next(self._pool)

    def below(self, count: int) -> int:
        """Return an integer from 0 to count - 1."""
        return int(self() * count)

    def geometric(self, chance: float) -> int:
        """Return the failures before a success of this chance."""
        return int(log(1.0 - self()) / log(1.0 - chance))


class Numbers:
    """Order references and match numbers of the day.

    References are unique but do not increase from one add to the next, as on the real feed: they are handed out in shuffled runs.
    """

    def __init__(self, rng: np.random.Generator, *, run: int = 64) -> None:
        self._rng = rng
        self._run = run
        self._next = 8_000
        self._waiting: list[int] = []
        self._match = 10_000

    def reference(self) -> int:
        """Return a new order reference."""
        if not self._waiting:
            steps = np.cumsum(self._rng.integers(1, 6, self._run)) + self._next
            self._next = int(steps[-1])
            self._waiting = self._rng.permutation(steps).tolist()
        return self._waiting.pop()

    def match(self) -> int:
        """Return a new match number."""
        self._match += 1
        return self._match


class _Order:
    __slots__ = ("price", "reference", "shares", "side")

    def __init__(self, reference: int, side: bytes, price: int, shares: int) -> None:
        self.reference = reference
        self.side = side
        self.price = price
        self.shares = shares


class StockBook:
    """Displayed orders of one stock. Every method that changes them returns the messages that say so.

    Prices in ticks inside, in 1/10000 dollar on the wire. The book is never locked or crossed, except by `cross_orders`.

    Parameters
    ----------
    locate : int
        Stock locate.
    symbol : str
        Symbol.
    half_spread : float
        Ticks between the fair price and where the touch wants to be.
    population : int
        Orders the book tends to hold.
    """

    def __init__(self, *, locate: int, symbol: str, half_spread: float, population: int, draws: Draws, numbers: Numbers) -> None:
        self.locate = locate
        self.symbol = symbol
        self.stock = symbol.encode().ljust(8)
        self.half_spread = half_spread
        self.population = population
        self.last_match = 0
        self._draws = draws
        self._numbers = numbers
        self._orders: list[_Order] = []
        self._place: dict[int, int] = {}
        self._levels: dict[bytes, dict[int, list[_Order]]] = {BUY: {}, SELL: {}}
        self._prices: dict[bytes, list[int]] = {BUY: [], SELL: []}

    def __len__(self) -> int:
        return len(self._orders)

    @property
    def bid(self) -> int | None:
        """Best bid in ticks."""
        return self._prices[BUY][-1] if self._prices[BUY] else None

    @property
    def ask(self) -> int | None:
        """Best offer in ticks."""
        return self._prices[SELL][0] if self._prices[SELL] else None

    def cross_match(self) -> int:
        """Match number of a cross."""
        self.last_match = self._numbers.match()
        return self.last_match

    # What the market does.

    def fill(self, fair: float, orders: int, time: bytes) -> list[bytes]:
        """Put the first orders on an empty book."""
        messages = []
        for count in range(orders):
            side = BUY if count % 2 else SELL
            messages.append(self._add(side, self._resting_price(side, fair), time))
        return messages

    def step(self, fair: float, time: bytes) -> list[bytes]:
        """One event: mostly the touch following the fair price, otherwise orders that come and go behind it."""
        if self._draws() < 0.75 and (followed := self._follow(fair, time)):
            return followed
        return self._background(fair, time)

    def rest(self, fair: float, time: bytes) -> list[bytes]:
        """One event while the stock does not trade: orders are withdrawn or placed away from the touch."""
        if len(self._orders) > self.population // 2 and self._draws() < 0.5:
            return [self._delete(self._any(), time)]
        side = BUY if self._draws() < 0.5 else SELL
        return [self._add(side, self._resting_price(side, fair), time)]

    def cross_orders(self, time: bytes, *, ticks: int = 3, orders: int = 3) -> list[bytes]:
        """Orders of both sides that cross the book, as a quotation period before an auction allows."""
        bid, ask = self.bid, self.ask
        if bid is None or ask is None:
            return []
        return [
            self._add(side, price, time)
            for count in range(orders)
            for side, price in ((BUY, ask + count % ticks), (SELL, bid - count % ticks))
        ]

    def uncross(self, time: bytes) -> tuple[list[bytes], int, int]:
        """Execute what crosses at one price, not printable; messages, shares of one side, and the price in ticks."""
        fills: list[tuple[_Order, int]] = []
        volume = price = 0
        while (bid := self.bid) is not None and (ask := self.ask) is not None and bid >= ask:
            buy, sell = self._levels[BUY][bid][0], self._levels[SELL][ask][0]
            shares = min(buy.shares, sell.shares)
            volume, price = volume + shares, (bid + ask) // 2
            for order in (buy, sell):
                self._take(order, shares)
                fills.append((order, shares))
        return [self._print(order, shares, price, b"N", time) for order, shares in fills], volume, price

    def auction_fill(self, time: bytes) -> tuple[list[bytes], int, int]:
        """Execution of the first buy order at the touch in an opening or closing cross; messages, shares and price in ticks."""
        bid = self.bid
        if bid is None:
            return [], 0, 0
        order = self._levels[BUY][bid][0]
        shares = min(order.shares, 100)
        self._take(order, shares)
        return [self._print(order, shares, bid, b"N", time)], shares, bid

    def withdraw(self, time: bytes) -> list[bytes]:
        """Delete the order furthest from the touch; nothing when the book is empty."""
        if not self._orders:
            return []
        side = BUY if len(self._prices[BUY]) >= len(self._prices[SELL]) else SELL
        price = self._prices[side][0 if side == BUY else -1]
        return [self._delete(self._levels[side][price][-1], time)]

    # The choices behind a step.

    def _follow(self, fair: float, time: bytes) -> list[bytes]:
        low, high = floor(fair - self.half_spread), ceil(fair + self.half_spread)
        bid, ask = self.bid, self.ask
        if bid is None or ask is None:
            side = BUY if bid is None else SELL
            return [self._add(side, self._resting_price(side, fair), time)]
        moves: list[bytes] = []
        if bid > low:
            moves = self._retreat(BUY, bid, time)
        elif ask < high:
            moves = self._retreat(SELL, ask, time)
        elif bid < low and low < ask:
            moves = self._advance(BUY, low, time)
        elif ask > high and high > bid:
            moves = self._advance(SELL, high, time)
        return moves

    def _retreat(self, side: bytes, price: int, time: bytes) -> list[bytes]:
        order = self._levels[side][price][0]
        if self._alone(order):
            return [self._add(side, self._behind(side, price), time)]
        choice = self._draws()
        if choice < 0.05:
            return self._executions(order, order.shares, time)
        if choice < 0.20:
            return [self._replace(order, self._behind(side, price), order.shares, time)]
        return [self._delete(order, time)]

    def _advance(self, side: bytes, price: int, time: bytes) -> list[bytes]:
        if self._draws() < 0.10:
            far = self._prices[side][0 if side == BUY else -1]
            return [self._replace(self._levels[side][far][0], price, self._size(), time)]
        return [self._add(side, price, time)]

    def _background(self, fair: float, time: bytes) -> list[bytes]:
        choice = self._draws()
        side = BUY if self._draws() < 0.5 else SELL
        if choice < 0.06 and self._prices[side]:
            price = self._prices[side][-1 if side == BUY else 0]
            order = self._levels[side][price][0]
            if choice < 0.012:
                return [self._hidden_trade(price, time)]
            shares = min(order.shares, 100 * (1 + self._draws.below(2)))
            if shares < order.shares or not self._alone(order):
                return self._executions(order, shares, time)
        if choice < 0.11 and self._orders:
            order = self._any()
            if order.shares > 100:
                return [self._cancel(order, 100 * (1 + self._draws.below((order.shares - 1) // 100)), time)]
        if choice < 0.17 and self._orders:
            order = self._any()
            if not self._alone(order):
                return [self._replace(order, self._resting_price(order.side, fair), self._size(), time)]
        if self._draws() * self.population * 2 < len(self._orders):
            order = self._any()
            if not self._alone(order):
                return [self._delete(order, time)]
        return [self._add(side, self._resting_price(side, fair), time)]

    def _alone(self, order: _Order) -> bool:
        """Whether the touch would jump if this order went: it is the only one there, and the next price is far."""
        prices = self._prices[order.side]
        best, following = (prices[-1], prices[-2:-1]) if order.side == BUY else (prices[0], prices[1:2])
        if order.price != best or len(self._levels[order.side][best]) > 1:
            return False
        return not following or abs(best - following[0]) > _JUMP

    def _resting_price(self, side: bytes, fair: float) -> int:
        """Ticks; behind the wanted touch, sometimes far behind, never reaching the other side."""
        depth = self._draws.geometric(0.2) if self._draws() < 0.97 else 20 + self._draws.below(300)
        if side == BUY:
            price = floor(fair - self.half_spread) - depth
            return price if self.ask is None else min(price, self.ask - 1)
        price = ceil(fair + self.half_spread) + depth
        return price if self.bid is None else max(price, self.bid + 1)

    def _behind(self, side: bytes, price: int) -> int:
        depth = 1 + self._draws.geometric(0.3)
        return price - depth if side == BUY else price + depth

    def _size(self) -> int:
        if self._draws() < 0.04:
            return 1 + self._draws.below(99)
        return 100 * (2 + self._draws.geometric(0.4))

    def _any(self) -> _Order:
        return self._orders[self._draws.below(len(self._orders))]

    # Orders and their messages.

    def _insert(self, order: _Order) -> None:
        self._place[order.reference] = len(self._orders)
        self._orders.append(order)
        level = self._levels[order.side].get(order.price)
        if level is None:
            self._levels[order.side][order.price] = [order]
            insort(self._prices[order.side], order.price)
        else:
            level.append(order)

    def _remove(self, order: _Order) -> None:
        place, last = self._place.pop(order.reference), self._orders.pop()
        if last is not order:
            self._orders[place] = last
            self._place[last.reference] = place
        level = self._levels[order.side][order.price]
        level.remove(order)
        if not level:
            del self._levels[order.side][order.price]
            prices = self._prices[order.side]
            del prices[bisect_left(prices, order.price)]

    def _take(self, order: _Order, shares: int) -> None:
        order.shares -= shares
        if order.shares == 0:
            self._remove(order)

    def _add(self, side: bytes, price: int, time: bytes) -> bytes:
        order = _Order(self._numbers.reference(), side, price, self._size())
        self._insert(order)
        start = (self.locate, TRACKING, time, order.reference, side, order.shares, self.stock, price * TICK)
        if self._draws() < 0.011:
            return _ADD_MPID.pack(b"F", *start, _MPIDS[self._draws.below(len(_MPIDS))])
        return _ADD.pack(b"A", *start)

    def _delete(self, order: _Order, time: bytes) -> bytes:
        self._remove(order)
        return _DELETE.pack(b"D", self.locate, TRACKING, time, order.reference)

    def _cancel(self, order: _Order, shares: int, time: bytes) -> bytes:
        self._take(order, shares)
        return _CANCEL.pack(b"X", self.locate, TRACKING, time, order.reference, shares)

    def _replace(self, order: _Order, price: int, shares: int, time: bytes) -> bytes:
        self._remove(order)
        fresh = _Order(self._numbers.reference(), order.side, price, shares)
        self._insert(fresh)
        return _REPLACE.pack(
            b"U", self.locate, TRACKING, time, order.reference, fresh.reference, fresh.shares, fresh.price * TICK
        )

    def _executions(self, order: _Order, shares: int, time: bytes) -> list[bytes]:
        """An incoming order takes shares; now and then at a price better for the resting one (C)."""
        if self._draws() < 0.05:
            better = -1 if order.side == BUY else 1
            self._take(order, shares)
            return [self._print(order, shares, order.price + better, b"Y", time)]
        self.last_match = self._numbers.match()
        self._take(order, shares)
        return [_EXECUTED.pack(b"E", self.locate, TRACKING, time, order.reference, shares, self.last_match)]

    def _print(self, order: _Order, shares: int, price: int, printable: bytes, time: bytes) -> bytes:
        self.last_match = self._numbers.match()
        return _EXECUTED_PRICE.pack(
            b"C", self.locate, TRACKING, time, order.reference, shares, self.last_match, printable, price * TICK
        )

    def _hidden_trade(self, price: int, time: bytes) -> bytes:
        shares = 100 * (1 + self._draws.below(3))
        self.last_match = self._numbers.match()
        return _TRADE.pack(b"P", self.locate, TRACKING, time, 0, BUY, shares, self.stock, price * TICK, self.last_match)
