"""ITCH files of any size with the statistics of a real day, quickly: for speed and for comparison, not for strategies.

Where `sim.market` has a day with everything that can happen on it, this has the traffic: the mix of types, sizes, depths, bursts
and live orders as counted on real full days (types of 2019-01-30; depth of 489 million events; 240 live orders a symbol, most of
them in few; references that are not monotonic and about half dense). Every reference named is live, no order has more taken than
it has, no book is ever locked or crossed. Far from the touch of every symbol lie two stub quotes, as on the real feed. The same
seed gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.book.ticks import CENT, DOLLAR, OFFSET
from hdl.spec import itch
from hdl.spec.layout import Layout, Value
from hdl.spec.moldudp64 import BLOCK
from sim.compiled import apart, entry
from sim.market import CLOSE, OPEN, clock

BLOCK_SIZE = BLOCK.size
WIDTH = 4096
"""Ticks in which a symbol's orders lie."""
_LIVE = 240
"""Live orders a symbol, on average."""
_HEAD = 6
"""Messages of each symbol before the session begins: four of its state and two stub quotes."""
_EVENTS_BEFORE, _EVENTS_BEHIND = "OSQ", "MEC"
_STUBS = (("B", 100), ("S", 1_999_990_000))
_CHUNK = 1 << 24
_LONGEST = BLOCK.size + itch.LONGEST
_CHOICES = 1 << 16

# What a message is, by its chance: types of 2019-01-30, with C taken out of E. The rest are adds and deletes, nearly as many.
_IMBALANCE, _TRADE, _CANCEL, _EXECUTE, _REPLACE = np.cumsum([0.0100, 0.0036, 0.0127, 0.0220, 0.0739]).tolist()
_WITH_MPID = 0.0047 / 0.4471
_AT_A_PRICE = 0.03
_SAME_SYMBOL = 0.4
_RECENT = 16
"""Most of what ends is among so many of the latest orders of its symbol."""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Plan of a file.

    Parameters
    ----------
    messages : int
        Messages, exactly.
    seed : int
        Decides everything random.
    symbols : int
        Stocks; their locates count from 1.
    """

    messages: int = 1_000_000
    seed: int = 1
    symbols: int = 128

    def __post_init__(self) -> None:
        if not 1 <= self.symbols <= 10_000:
            raise ValueError(f"symbols: {self.symbols} was given, allowed are 1 to 10000")
        if not 0 <= self.seed < 1 << 63:
            raise ValueError(f"seed: {self.seed} was given, allowed are 0 to 2**63 - 1")
        if self.messages < self.smallest:
            raise ValueError(f"messages: {self.messages} was given, allowed are {self.smallest} or more with so many symbols")

    @property
    def smallest(self) -> int:
        """Fewest messages with so many symbols."""
        return 2 * _HEAD * self.symbols + len(_EVENTS_BEFORE + _EVENTS_BEHIND)

    def generate(self) -> Iterator[bytes]:
        """The file in pieces: a 16-bit length before each message."""
        rng = np.random.default_rng(self.seed)
        bases = _bases(rng, self.symbols)
        yield b"".join(_framed(message) for message in self._spins())
        flow = self.messages - _HEAD * self.symbols - len(_EVENTS_BEFORE + _EVENTS_BEHIND)
        yield from _Flow(self, rng, bases, flow).run()
        times = (CLOSE, clock(20), clock(20, 5))
        yield b"".join(_framed(_event(code, time)) for code, time in zip(_EVENTS_BEHIND, times, strict=True))

    def _spins(self) -> Iterator[bytes]:
        """Everything before the session."""
        yield _event("O", clock(3))
        for locate in range(1, self.symbols + 1):
            yield _stock(
                itch.STOCK_DIRECTORY, locate, clock(3, 7),
                market_category="Q", financial_status="N", round_lot_size=100, round_lots_only="N", issue_classification="C",
                issue_sub_type="Z", authenticity="P", short_sale_threshold="N", ipo_flag="N", luld_tier="1", etp_flag="N",
                etp_leverage=0, inverse_indicator="N",
            )  # fmt: skip
        for locate in range(1, self.symbols + 1):
            yield _stock(itch.STOCK_TRADING_ACTION, locate, clock(3, 8), trading_state="T", reserved=" ", reason="")
        for locate in range(1, self.symbols + 1):
            yield _stock(itch.REG_SHO_SHORT_SALE_PRICE_TEST, locate, clock(3, 9), reg_sho_action="0")
        for locate in range(1, self.symbols + 1):
            state: dict[str, Value] = {"mpid": "NITE", "primary_mm": "Y", "mm_mode": "N", "mp_state": "A"}
            yield _stock(itch.MARKET_PARTICIPANT_POSITION, locate, clock(3, 10), **state)
        yield _event("S", clock(4))
        for locate in range(1, self.symbols + 1):
            for number, (side, price) in enumerate(_STUBS):
                order: dict[str, Value] = {"order_ref": 2 * locate + number, "side": side, "shares": 100, "price": price}
                yield _stock(itch.ADD_ORDER_NO_MPID, locate, clock(4, 1), **order)
        yield _event("Q", OPEN)


def symbol_of(locate: int) -> str:
    """Symbol of a stock locate."""
    return f"S{locate:05}"


def _framed(message: bytes) -> bytes:
    return BLOCK.pack(message_length=len(message)) + message


def _event(code: str, time: int) -> bytes:
    return itch.SYSTEM_EVENT.pack(stock_locate=0, tracking_number=0, timestamp=time, event_code=code)


def _stock(layout: Layout, locate: int, time: int, **values: Value) -> bytes:
    return layout.pack(stock_locate=locate, tracking_number=0, timestamp=time, stock=symbol_of(locate), **values)


def _bases(rng: np.random.Generator, symbols: int) -> NDArray[np.int64]:
    """Lowest tick of each symbol's orders; prices around 30 dollars, a few below one."""
    prices = np.clip(rng.lognormal(np.log(30), 1.2, symbols), 0.5, 3_000) * DOLLAR
    ticks = np.where(prices < DOLLAR, prices, prices // CENT + OFFSET).astype(np.int64)
    return np.asarray(np.maximum(1, ticks - WIDTH // 2), dtype=np.int64)


class _Flow:
    """The session's messages."""

    def __init__(self, plan: Traffic, rng: np.random.Generator, bases: NDArray[np.int64], count: int) -> None:
        symbols = plan.symbols
        self._count = count
        weights = 1.0 / np.arange(1, symbols + 1) ** 0.7
        weights /= weights.sum()
        each = np.maximum(1, np.round(weights * _CHOICES)).astype(np.int64)
        choices = np.repeat(np.arange(symbols), each)
        self._choices = rng.permutation(choices)
        # A short file has less time to fill its books.
        live = min(_LIVE, count / symbols / 8)
        wanted = np.maximum(4, weights * live * symbols).astype(np.int64)
        room = 2 * wanted + 8
        self._symbols = np.zeros((symbols, 8), np.int64)
        self._symbols[:, _BASE] = bases
        self._symbols[:, _WANTED] = wanted
        self._symbols[:, _FIRST] = np.cumsum(room) - room
        self._symbols[:, _BID], self._symbols[:, _ASK] = -1, WIDTH
        self._orders = np.zeros((int(room.sum()), 4), np.int64)
        self._depth = np.zeros((symbols, WIDTH), np.int32)
        self._names = np.frombuffer("".join(symbol_of(k + 1).ljust(8) for k in range(symbols)).encode(), np.uint8).reshape(-1, 8)
        self._waiting = 2 * symbols + 2 + np.cumsum(rng.integers(1, 4, 64))
        self._state = np.zeros(4, np.int64)
        self._state[_TIME] = OPEN + 1_000_000
        self._state[_REFERENCE] = self._waiting[-1]
        self._state[_MATCH] = 1
        self._random = rng.integers(1, 1 << 63, 1).astype(np.uint64)

    def run(self) -> Iterator[bytes]:
        """The messages in pieces."""
        out = np.zeros(_CHUNK + _LONGEST, np.uint8)
        pace = (CLOSE - OPEN - 2_000_000) / (self._count + 1)
        while self._count:
            made, size = _fill(
                self._count, pace, out, _CHUNK, self._symbols, self._orders, self._depth, self._choices, self._names,
                self._waiting, self._state, self._random,
            )  # fmt: skip
            self._count -= made
            yield out[:size].tobytes()


# Numbers of a symbol, of an order, and of the whole flow.
_BASE, _WANTED, _FIRST, _LIVE_NOW, _BID, _ASK, _BIDS, _ASKS = range(8)
_REF, _TICK, _SHARES, _SELLS = range(4)
_TIME, _REFERENCE, _MATCH, _LAST = range(4)

_GOLDEN, _FIRST_MIX, _SECOND_MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_R11, _R27, _R30, _R31 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31)
_UNIT = 2.0**-53


@apart
def _draw(random: Any) -> Any:
    """The next number from [0, 1): splitmix64, so that a seed gives the same bytes with every version of every package."""
    random[0] += _GOLDEN
    mixed = random[0]
    mixed = (mixed ^ (mixed >> _R30)) * _FIRST_MIX
    mixed = (mixed ^ (mixed >> _R27)) * _SECOND_MIX
    return ((mixed ^ (mixed >> _R31)) >> _R11) * _UNIT


@apart
def _below(random: Any, count: Any) -> Any:
    """An integer from 0 to `count` - 1."""
    return int(_draw(random) * count)


# Bytes.



def _places(layout: Layout, *names: str) -> tuple[int, ...]:
    """Where fields begin in a framed message."""
    return tuple(BLOCK.size + layout.offset(name) for name in names)


_AT_TYPE, _AT_LOCATE, _AT_TIME = _places(itch.SYSTEM_EVENT, "type", "stock_locate", "timestamp")
_ADD, _ADD_MPID = ord(itch.ADD_ORDER_NO_MPID.code), ord(itch.ADD_ORDER_WITH_MPID.code)
_A_REF, _A_SIDE, _A_SHARES, _A_STOCK, _A_PRICE = _places(
    itch.ADD_ORDER_NO_MPID, "order_ref", "side", "shares", "stock", "price"
)
(_F_MPID,) = _places(itch.ADD_ORDER_WITH_MPID, "attribution")
_A_SIZE, _F_SIZE = itch.ADD_ORDER_NO_MPID.size, itch.ADD_ORDER_WITH_MPID.size
_D, _D_SIZE = ord(itch.ORDER_DELETE.code), itch.ORDER_DELETE.size
(_D_REF,) = _places(itch.ORDER_DELETE, "order_ref")
_X, _X_SIZE = ord(itch.ORDER_CANCEL.code), itch.ORDER_CANCEL.size
_X_REF, _X_SHARES = _places(itch.ORDER_CANCEL, "order_ref", "cancelled_shares")
_E, _E_SIZE = ord(itch.ORDER_EXECUTED.code), itch.ORDER_EXECUTED.size
_E_REF, _E_SHARES, _E_MATCH = _places(itch.ORDER_EXECUTED, "order_ref", "executed_shares", "match_number")
_C, _C_SIZE = ord(itch.ORDER_EXECUTED_WITH_PRICE.code), itch.ORDER_EXECUTED_WITH_PRICE.size
_C_PRINTABLE, _C_PRICE = _places(itch.ORDER_EXECUTED_WITH_PRICE, "printable", "execution_price")
_U, _U_SIZE = ord(itch.ORDER_REPLACE.code), itch.ORDER_REPLACE.size
_U_OLD, _U_NEW, _U_SHARES, _U_PRICE = _places(itch.ORDER_REPLACE, "orig_order_ref", "new_order_ref", "shares", "price")
_P, _P_SIZE = ord(itch.TRADE.code), itch.TRADE.size
_P_REF, _P_SIDE, _P_SHARES, _P_STOCK, _P_PRICE, _P_MATCH = _places(
    itch.TRADE, "order_ref", "side", "shares", "stock", "price", "match_number"
)
_I, _I_SIZE = ord(itch.NET_ORDER_IMBALANCE.code), itch.NET_ORDER_IMBALANCE.size
_I_PAIRED, _I_IMBALANCE, _I_DIRECTION, _I_STOCK, _I_FAR, _I_NEAR, _I_REF, _I_CROSS, _I_VARIATION = _places(
    itch.NET_ORDER_IMBALANCE, "paired_shares", "imbalance_shares", "imbalance_direction", "stock", "far_price", "near_price",
    "ref_price", "cross_type", "price_variation",
)  # fmt: skip
_BUY, _SELL, _YES, _CLOSING, _SMALL, _LETTER = map(ord, (itch.BUY, itch.SELL, itch.PRINTABLE, "C", "L", "N"))


@apart
def _number(out: Any, at: Any, value: Any, size: Any) -> None:
    for byte in range(size):
        out[at + byte] = (value >> (8 * (size - 1 - byte))) & 255


@apart
def _head(out: Any, at: Any, code: Any, size: Any, symbol: Any, time: Any) -> Any:
    """Length and header of a message of zeros; where the next one begins."""
    out[at : at + BLOCK_SIZE + size] = 0
    _number(out, at, size, BLOCK_SIZE)
    out[at + _AT_TYPE] = code
    _number(out, at + _AT_LOCATE, symbol + 1, 2)
    _number(out, at + _AT_TIME, time, 6)
    return at + BLOCK_SIZE + size


@apart
def _name(out: Any, at: Any, names: Any, symbol: Any) -> None:
    for letter in range(8):
        out[at + letter] = names[symbol, letter]


# Orders.


@apart
def _price(symbols: Any, symbol: Any, tick: Any) -> Any:
    on_grid = symbols[symbol, _BASE] + tick
    return on_grid if on_grid < DOLLAR else (on_grid - OFFSET) * CENT


@apart
def _new_reference(waiting: Any, state: Any, random: Any) -> Any:
    """One of the next 64 in no order."""
    place = _below(random, len(waiting))
    reference = waiting[place]
    state[_REFERENCE] += 1 + int(_draw(random) * 3.4)
    waiting[place] = state[_REFERENCE]
    return reference


@apart
def _size(random: Any) -> Any:
    """Mostly one round lot, sometimes several, sometimes odd."""
    kind = _draw(random)
    if kind < 0.6:
        return 100
    return 100 * (1 + _below(random, 20)) if kind < 0.85 else 1 + _below(random, 400)


@apart
def _distance(random: Any) -> Any:
    """Ticks from the touch: half at it, three quarters within 6, nine tenths within 14, 99 % within 203."""
    chance = _draw(random)
    if chance < 0.5:
        return 0
    if chance < 0.75:
        return 1 + _below(random, 5)
    if chance < 0.9:
        return 6 + _below(random, 8)
    if chance < 0.99:
        return int(14 * 14.5 ** _draw(random))
    return 203 + _below(random, 1000)


@apart
def _place(symbols: Any, symbol: Any, sells: Any, random: Any) -> Any:
    """A tick for an order: at or behind the touch, now and then inside the spread; -1 where there is no room."""
    bid, ask = symbols[symbol, _BID], symbols[symbol, _ASK]
    inside = ask - bid > 1 and bid >= 0 and ask < WIDTH and _draw(random) < 0.1
    distance = _distance(random)
    middle = WIDTH // 2
    if sells:
        if inside and ask > middle - 256:
            return ask - 1
        touch = ask if ask < WIDTH else max(bid + 1, middle + 1)
        return touch + distance if touch + distance < WIDTH else -1
    if inside and bid < middle + 256:
        return bid + 1
    touch = bid if bid >= 0 else min(ask - 1, middle)
    return touch - distance


@apart
def _enter(symbols: Any, orders: Any, depth: Any, symbol: Any, sells: Any, tick: Any, reference: Any, shares: Any) -> None:
    place = symbols[symbol, _FIRST] + symbols[symbol, _LIVE_NOW]
    symbols[symbol, _LIVE_NOW] += 1
    orders[place, _REF], orders[place, _TICK], orders[place, _SHARES], orders[place, _SELLS] = reference, tick, shares, sells
    depth[symbol, tick] += 1
    if sells:
        symbols[symbol, _ASKS] += 1
        symbols[symbol, _ASK] = min(symbols[symbol, _ASK], tick)
    else:
        symbols[symbol, _BIDS] += 1
        symbols[symbol, _BID] = max(symbols[symbol, _BID], tick)


@apart
def _leave(symbols: Any, orders: Any, depth: Any, symbol: Any, place: Any) -> None:
    tick, sells = orders[place, _TICK], orders[place, _SELLS]
    symbols[symbol, _LIVE_NOW] -= 1
    last = symbols[symbol, _FIRST] + symbols[symbol, _LIVE_NOW]
    for number in range(4):
        orders[place, number] = orders[last, number]
    depth[symbol, tick] -= 1
    symbols[symbol, _ASKS if sells else _BIDS] -= 1
    if depth[symbol, tick]:
        return
    if sells and tick == symbols[symbol, _ASK]:
        while tick < WIDTH and (not symbols[symbol, _ASKS] or not depth[symbol, tick]):
            tick += 1
        symbols[symbol, _ASK] = tick
    elif not sells and tick == symbols[symbol, _BID]:
        while tick >= 0 and (not symbols[symbol, _BIDS] or not depth[symbol, tick]):
            tick -= 1
        symbols[symbol, _BID] = tick


@apart
def _pick(symbols: Any, symbol: Any, random: Any) -> Any:
    """Place of an order that something happens to: mostly one of the latest."""
    live = symbols[symbol, _LIVE_NOW]
    back = _below(random, min(live, _RECENT)) if _draw(random) < 0.7 else _below(random, live)
    return symbols[symbol, _FIRST] + live - 1 - back


@apart
def _pick_best(symbols: Any, orders: Any, symbol: Any, random: Any) -> Any:
    """Place of an order at the touch, -1 where a few looks find none."""
    for _ in range(12):
        place = _pick(symbols, symbol, random)
        if orders[place, _TICK] == symbols[symbol, _ASK if orders[place, _SELLS] else _BID]:
            return place
    return -1


@entry
def _fill(
    count: Any, pace: Any, out: Any, room: Any, symbols: Any, orders: Any, depth: Any, choices: Any, names: Any, waiting: Any,
    state: Any, random: Any,
) -> Any:  # fmt: skip
    """As many messages as there is room for; how many, and their bytes."""
    at = made = 0
    while made < count and at < room:
        # Nine of ten follow at once, the tenth after a pause: bursts.
        gap = pace * (0.2 if _draw(random) < 0.9 else 8.2)
        state[_TIME] += int(-np.log(1.0 - _draw(random)) * gap * 0.95)
        time = state[_TIME]
        if _draw(random) >= _SAME_SYMBOL:
            state[_LAST] = choices[_below(random, len(choices))]
        symbol = state[_LAST]
        live, wanted = symbols[symbol, _LIVE_NOW], symbols[symbol, _WANTED]
        kind = _draw(random)
        made += 1
        place = -1
        if kind < _IMBALANCE:
            after = _head(out, at, _I, _I_SIZE, symbol, time)
            price = _price(symbols, symbol, min(max(symbols[symbol, _BID], 0), WIDTH - 1))
            _number(out, at + _I_PAIRED, 100 * _below(random, 10_000), 8)
            _number(out, at + _I_IMBALANCE, 100 * _below(random, 1_000), 8)
            out[at + _I_DIRECTION] = _BUY if _draw(random) < 0.5 else _SELL
            _name(out, at + _I_STOCK, names, symbol)
            _number(out, at + _I_FAR, price, 4)
            _number(out, at + _I_NEAR, price, 4)
            _number(out, at + _I_REF, price, 4)
            out[at + _I_CROSS] = _CLOSING
            out[at + _I_VARIATION] = _SMALL
            at = after
            continue
        if kind < _TRADE and symbols[symbol, _BIDS]:
            after = _head(out, at, _P, _P_SIZE, symbol, time)
            out[at + _P_SIDE] = _BUY
            _number(out, at + _P_SHARES, _size(random), 4)
            _name(out, at + _P_STOCK, names, symbol)
            _number(out, at + _P_PRICE, _price(symbols, symbol, symbols[symbol, _BID]), 4)
            _number(out, at + _P_MATCH, state[_MATCH], 8)
            state[_MATCH] += 1
            at = after
            continue
        if live and kind < _CANCEL:
            place = _pick(symbols, symbol, random)
            shares = orders[place, _SHARES]
            if shares > 1:
                part_of = 1 + _below(random, shares - 1)
                orders[place, _SHARES] = shares - part_of
                after = _head(out, at, _X, _X_SIZE, symbol, time)
                _number(out, at + _X_REF, orders[place, _REF], 8)
                _number(out, at + _X_SHARES, part_of, 4)
                at = after
                continue
        elif live and kind < _EXECUTE:
            place = _pick_best(symbols, orders, symbol, random)
            if place >= 0:
                shares = orders[place, _SHARES]
                part_of = shares if _draw(random) < 0.6 else 1 + _below(random, shares)
                at_a_price = _draw(random) < _AT_A_PRICE
                after = _head(out, at, _C if at_a_price else _E, _C_SIZE if at_a_price else _E_SIZE, symbol, time)
                _number(out, at + _E_REF, orders[place, _REF], 8)
                _number(out, at + _E_SHARES, part_of, 4)
                _number(out, at + _E_MATCH, state[_MATCH], 8)
                if at_a_price:
                    out[at + _C_PRINTABLE] = _YES
                    _number(out, at + _C_PRICE, _price(symbols, symbol, orders[place, _TICK]), 4)
                state[_MATCH] += 1
                orders[place, _SHARES] = shares - part_of
                if part_of == shares:
                    _leave(symbols, orders, depth, symbol, place)
                at = after
                continue
        elif live and kind < _REPLACE:
            place = _pick(symbols, symbol, random)
            old, sells, tick = orders[place, _REF], orders[place, _SELLS], orders[place, _TICK]
            _leave(symbols, orders, depth, symbol, place)
            new_tick = _place(symbols, symbol, sells, random)
            # Without room it stays where it was.
            tick = new_tick if new_tick >= 0 else tick
            reference, shares = _new_reference(waiting, state, random), _size(random)
            _enter(symbols, orders, depth, symbol, sells, tick, reference, shares)
            after = _head(out, at, _U, _U_SIZE, symbol, time)
            _number(out, at + _U_OLD, old, 8)
            _number(out, at + _U_NEW, reference, 8)
            _number(out, at + _U_SHARES, shares, 4)
            _number(out, at + _U_PRICE, _price(symbols, symbol, tick), 4)
            at = after
            continue
        tick = -1
        sells = 1 if _draw(random) < 0.5 + 0.4 * (symbols[symbol, _BIDS] - symbols[symbol, _ASKS]) / (live + 8) else 0
        if live < 2 * wanted + 8 and _draw(random) < 0.51 + 0.5 * (wanted - live) / wanted:
            tick = _place(symbols, symbol, sells, random)
        if tick < 0 and not live:
            tick = WIDTH // 2 + sells
        if tick >= 0:
            reference, shares = _new_reference(waiting, state, random), _size(random)
            _enter(symbols, orders, depth, symbol, sells, tick, reference, shares)
            named = _draw(random) < _WITH_MPID
            after = _head(out, at, _ADD_MPID if named else _ADD, _F_SIZE if named else _A_SIZE, symbol, time)
            _number(out, at + _A_REF, reference, 8)
            out[at + _A_SIDE] = _SELL if sells else _BUY
            _number(out, at + _A_SHARES, shares, 4)
            _name(out, at + _A_STOCK, names, symbol)
            _number(out, at + _A_PRICE, _price(symbols, symbol, tick), 4)
            if named:
                for letter in range(4):
                    out[at + _F_MPID + letter] = _LETTER
        else:
            place = _pick(symbols, symbol, random)
            after = _head(out, at, _D, _D_SIZE, symbol, time)
            _number(out, at + _D_REF, orders[place, _REF], 8)
            _leave(symbols, orders, depth, symbol, place)
        at = after
    return made, at
