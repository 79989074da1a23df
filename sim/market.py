"""A seeded, generated trading day as ITCH 5.0 messages, for the demo and for soak tests.

The day has everything a consumer must cope with: the directory and state spins, pre-market orders, imbalance messages, an opening
cross, continuous trading with bursts, a news halt and a volatility pause with quotation periods and auctions, an operational
halt, a direct listing, a broken trade, a short-sale restriction, the closing cross and the end of the day. All 23 message types
occur. Bookkeeping is strict: references are unique but not monotonic, every execution, cancel, delete and replace names a live
order and never more shares than it has, and in continuous trading no book is ever locked or crossed. The same seed gives the same
bytes.

What it is not: a model of real order flow. Prices follow `sim.cointegration`, so a strategy on these pairs earns by construction.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from hdl.spec import itch
from hdl.spec.layout import Layout, Value
from sim.cointegration import TICK, PairPlan, Prices, prices
from sim.liquidity import TRACKING, Draws, Numbers, StockBook

_STEMS = ("ABL", "COR", "DUN", "ELM", "FIR", "GAL", "HUB", "IVY", "JET", "KIN", "LOD", "MAR", "NIL", "OAK", "PIN", "RYE")
LISTING = "DLCR"
"""Symbol of the direct listing of the day; it is part of no pair."""
_PREMARKET_SHARE = 0.02
_HALF_LIFE = 60
"""Half-life of a spread, in messages of one stock."""


def clock(hour: int, minute: int = 0, second: float = 0.0) -> int:
    """Nanoseconds since midnight."""
    return int(((hour * 60 + minute) * 60 + second) * 1_000_000_000)


OPEN, CLOSE = clock(9, 30), clock(16)


class _State(enum.Enum):
    TRADING = "T"
    HALTED = "H"
    PAUSED = "P"
    QUOTING = "Q"


@dataclass(order=True)
class _Planned:
    """Something that happens at a set time."""

    time: int
    order: int
    act: Callable[[int], list[bytes]] = field(compare=False)


@dataclass(frozen=True, kw_only=True)
class Market:
    """Plan of a day.

    Parameters
    ----------
    seed : int
        Decides everything random.
    symbols : int
        Stocks; the first ``2 * pairs`` of them are legs. The direct listing comes on top.
    pairs : int
        Cointegrated pairs.
    messages : int
        Messages of the day, to within a few percent.
    """

    seed: int = 1
    symbols: int = 16
    pairs: int = 8
    messages: int = 100_000

    def __post_init__(self) -> None:
        if not 1 <= self.pairs <= len(_STEMS):
            raise ValueError(f"pairs: {self.pairs} was given, allowed are 1 to {len(_STEMS)}")
        if not 2 * self.pairs <= self.symbols <= 1000:
            raise ValueError(f"symbols: {self.symbols} was given, allowed are {2 * self.pairs} (two a pair) to 1000")
        if self.messages < self.smallest:
            raise ValueError(f"messages: {self.messages} was given, allowed are {self.smallest} or more here")

    @property
    def smallest(self) -> int:
        """Fewest messages a day with so many symbols can have."""
        return 250 * (self.symbols + 1)

    @cached_property
    def names(self) -> list[str]:
        """Symbols in order of their stock locate, which begins at 1; the last one is `LISTING`."""
        legs = [stem + leg for stem in _STEMS[: self.pairs] for leg in "AB"]
        return legs + [f"ONE{number}" for number in range(self.symbols - len(legs))] + [LISTING]

    @cached_property
    def prices(self) -> Prices:
        """Fair prices of the day and the pairs with thresholds that follow from their law."""
        each = self.messages / len(self.names)
        return prices(
            np.random.default_rng([self.seed, 0]),
            self.names,
            pairs=self.pairs,
            steps=max(1000, self.messages // 5),
            half_lives=each / _HALF_LIFE,
            drift=0.6 * each**0.5,
        )

    @property
    def plans(self) -> tuple[PairPlan, ...]:
        """The pairs with weights, sizes and thresholds."""
        return self.prices.pairs

    @property
    def previous_closes(self) -> dict[str, int]:
        """Price of each stock before the day, in 1/10000 dollar."""
        return {name: round(float(fair)) * TICK for name, fair in zip(self.names, self.prices.fair[0], strict=True)}

    def generate(self) -> Iterator[bytes]:
        """Messages of the day in order of their timestamps."""
        return _Day(self).run()


def generate(seed: int = 1, *, symbols: int = 16, pairs: int = 8, messages: int = 100_000) -> Iterator[bytes]:
    """Messages of a `Market` of these parameters."""
    return Market(seed=seed, symbols=symbols, pairs=pairs, messages=messages).generate()


class _Day:
    """One run through a market's day."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._rng = np.random.default_rng([market.seed, 1])
        self._draws = Draws(self._rng)
        self._fair = market.prices.fair
        numbers = Numbers(self._rng)
        self._books = [
            StockBook(
                locate=locate,
                symbol=name,
                half_spread=float(self._rng.uniform(0.5, 1.2)),
                population=60,
                draws=self._draws,
                numbers=numbers,
            )
            for locate, name in enumerate(market.names, 1)
        ]
        self._listing = self._books[-1]
        self._states = [_State.TRADING] * market.symbols + [_State.HALTED]
        self._planned: list[_Planned] = []
        self._written = 0

    def run(self) -> Iterator[bytes]:
        """Yield the messages of the day."""
        for part in (self._spins, self._premarket, self._session, self._evening):
            for message in part():
                self._written += 1
                yield message

    # Parts of the day.

    def _spins(self) -> Iterator[bytes]:
        yield _event("O", clock(3, 4, 32))
        for book in self._books:
            yield _stock(
                itch.STOCK_DIRECTORY, book, clock(3, 7) + book.locate * 1_000_000,
                market_category="Q", financial_status="N", round_lot_size=100, round_lots_only="N",
                issue_classification="C", issue_sub_type="Z", authenticity="P", short_sale_threshold="N",
                ipo_flag="Y" if book is self._listing else "N", luld_tier="1", etp_flag="N", etp_leverage=0,
                inverse_indicator="N",
            )  # fmt: skip
        for book, state in zip(self._books, self._states, strict=True):
            reason = "IPO1" if book is self._listing else ""
            yield _action(book, state, reason, clock(3, 8) + book.locate * 1_000_000)
        for book in self._books:
            yield _stock(itch.REG_SHO_SHORT_SALE_PRICE_TEST, book, clock(3, 9) + book.locate * 1_000_000, reg_sho_action="0")
        for book in self._books:
            yield _stock(
                itch.MARKET_PARTICIPANT_POSITION, book, clock(3, 10) + book.locate * 1_000_000,
                mpid="NITE", primary_mm="Y", mm_mode="N", mp_state="A",
            )  # fmt: skip
        levels = {f"level_{number}": int(5_000 * share * 1e8) for number, share in ((1, 0.93), (2, 0.87), (3, 0.80))}
        yield _market(itch.MWCB_DECLINE_LEVEL, clock(3, 11), **levels)
        yield _event("S", clock(4))

    def _premarket(self) -> Iterator[bytes]:
        begin = clock(7)
        for book, fair in zip(self._books[:-1], self._fair[0], strict=False):
            # As on the real feed, a stock's resting orders come as one batch with one timestamp.
            yield from book.fill(fair, 40, (begin + book.locate * 1_000).to_bytes(6, "big"))
        self._plan_imbalances(clock(9, 25), OPEN, "O")
        self._plan(
            clock(9, 28),
            lambda time: [
                _stock(
                    itch.IPO_QUOTING_PERIOD_UPDATE, self._listing, time,
                    release_time=clock(11) // 1_000_000_000, release_qualifier="A",
                    ipo_price=self._price(self._listing, OPEN),
                )
            ],
        )  # fmt: skip
        yield from self._flow(int(self._market.messages * _PREMARKET_SHARE), begin + 1_000_000, OPEN)

    def _session(self) -> Iterator[bytes]:
        yield _event("Q", OPEN)
        for book in self._books[:-1]:
            yield from self._cross(book, "O", OPEN + 100_000 + book.locate * 1_000)
        self._plan_incidents()
        self._plan_imbalances(clock(15, 50), CLOSE, "C")
        remaining = self._market.messages - self._written - len(self._planned) - 60 * len(self._books)
        yield from self._flow(max(0, int(remaining / 1.005)), OPEN + 1_000_000, CLOSE)

    def _evening(self) -> Iterator[bytes]:
        yield _event("M", CLOSE)
        for book in self._books:
            yield from self._cross(book, "C", CLOSE + 100_000 + book.locate * 1_000)
        # A breach after the close stops nothing; the message must occur somewhere.
        yield _market(itch.MWCB_STATUS, clock(16, 1), breached_level="1")
        waiting = [book for book in self._books if len(book)]
        time = clock(16, 30)
        while waiting:
            book = waiting[self._draws.below(len(waiting))]
            time += 1 + self._draws.below(10_000_000_000)
            yield from book.withdraw(time.to_bytes(6, "big"))
            if not len(book):
                waiting.remove(book)
        yield _event("E", clock(20))
        yield _event("C", clock(20, 5))

    # Order flow and what is planned between it.

    def _flow(self, count: int, begin: int, end: int) -> Iterator[bytes]:
        """`count` events of all stocks between two times, with everything planned for before `end`."""
        times = _times(self._rng, count, begin, end)
        stocks = self._choices(count)
        grid = np.clip((times - OPEN) * len(self._fair) // (CLOSE - OPEN), 0, len(self._fair) - 1)
        fairs = self._fair[grid, stocks]
        for time, stock, fair in zip(times.tolist(), stocks.tolist(), fairs.tolist(), strict=True):
            while self._planned and self._planned[0].time <= time:
                planned = heappop(self._planned)
                yield from planned.act(planned.time)
            book, state = self._books[stock], self._states[stock]
            if state is _State.TRADING:
                yield from book.step(fair, time.to_bytes(6, "big"))
            elif len(book) and self._draws() < 0.3:
                yield from book.rest(fair, time.to_bytes(6, "big"))
        while self._planned:
            planned = heappop(self._planned)
            yield from planned.act(planned.time)

    def _choices(self, count: int) -> NDArray[np.int64]:
        """Stock of each event: some trade more than others, and one often comes several times in a row."""
        weights = 1.0 / (1.0 + 0.05 * np.arange(len(self._books)))
        fresh = self._rng.choice(len(self._books), size=count, p=weights / weights.sum())
        again = self._rng.random(count) < 0.3
        again[:1] = False
        source: NDArray[np.int64] = np.maximum.accumulate(np.where(again, 0, np.arange(count)))
        return np.asarray(fresh[source], dtype=np.int64)

    def _plan(self, time: int, act: Callable[[int], list[bytes]]) -> None:
        heappush(self._planned, _Planned(time, len(self._planned), act))

    def _plan_imbalances(self, begin: int, end: int, cross_type: str) -> None:
        rounds = max(2, self._market.messages // (220 * len(self._books)))
        for turn in range(rounds):
            for book in self._books[:-1]:
                time = begin + (end - begin) * turn // rounds + book.locate * 1_000
                self._plan(time, partial(self._imbalances, book, cross_type))
        heapify(self._planned)

    def _plan_incidents(self) -> None:
        halted, limited, quiet, restricted = (self._books[index % self._market.symbols] for index in (2, 5, 8, 12))
        self._plan_auction(halted, _State.HALTED, "T1", clock(10, 40), clock(10, 50), clock(10, 54))
        self._plan_auction(limited, _State.PAUSED, "LUDP", clock(13, 5), clock(13, 9), clock(13, 12))
        self._plan_listing()
        self._plan(clock(11, 30), lambda time: [_stock(itch.OPERATIONAL_HALT, quiet, time, market_code="Q", halt_action="H")])
        self._plan(clock(11, 36), lambda time: [_stock(itch.OPERATIONAL_HALT, quiet, time, market_code="Q", halt_action="T")])
        quiet_index = quiet.locate - 1
        self._plan(clock(11, 30), lambda _: self._set(quiet_index, _State.HALTED))
        self._plan(clock(11, 36), lambda _: self._set(quiet_index, _State.TRADING))
        self._plan(clock(12), lambda time: [_stock(itch.REG_SHO_SHORT_SALE_PRICE_TEST, restricted, time, reg_sho_action="1")])
        self._plan(clock(12, 30), self._broken)
        for number, flag in enumerate("BSAN"):
            book = self._books[number % self._market.symbols]
            self._plan(clock(14, 10 * number), partial(self._interest, book, flag))

    def _plan_auction(self, book: StockBook, state: _State, reason: str, stop: int, quote: int, resume: int) -> None:
        """Halt or pause, quotation period with imbalance messages and a crossing book, auction, resumption."""
        index = book.locate - 1

        def halt(time: int) -> list[bytes]:
            self._states[index] = state
            messages = [_action(book, state, reason, time)]
            if state is _State.PAUSED:
                messages.append(self._collar(book, time))
            return messages

        def quoting(time: int) -> list[bytes]:
            self._states[index] = _State.QUOTING
            return [_action(book, _State.QUOTING, reason if state is _State.PAUSED else "T3", time)]

        def release(time: int) -> list[bytes]:
            return self._auction(book, "T3" if state is _State.HALTED else reason, time)

        self._plan(stop, halt)
        self._plan(quote, quoting)
        for turn in range(5):
            time = quote + (resume - quote) * (turn + 1) // 6
            self._plan(time, lambda time: [self._imbalance(book, "H", time)])
        self._plan((2 * resume + quote) // 3, lambda time: book.cross_orders(time.to_bytes(6, "big")))
        self._plan(resume, release)

    def _plan_listing(self) -> None:
        book, quote, release = self._listing, clock(10, 45), clock(11)
        index = book.locate - 1

        def quoting(time: int) -> list[bytes]:
            self._states[index] = _State.QUOTING
            fair = self._price(book, time) / TICK
            return [_action(book, _State.QUOTING, "IPOQ", time), *book.fill(fair, 40, time.to_bytes(6, "big"))]

        def eligible(time: int) -> list[bytes]:
            price = self._price(book, time)
            return [
                _stock(
                    itch.DIRECT_LISTING_WITH_CAPITAL_RAISE, book, time,
                    open_eligibility="Y", min_price=price * 8 // 10, max_price=price * 18 // 10, near_exec_price=price,
                    near_exec_time=time, lower_collar=price * 9 // 10, upper_collar=price * 11 // 10,
                )
            ]  # fmt: skip

        self._plan(quote, quoting)
        self._plan(clock(10, 50), eligible)
        self._plan(clock(10, 55), lambda time: [self._imbalance(book, "H", time)])
        self._plan(clock(10, 58), lambda time: book.cross_orders(time.to_bytes(6, "big")))
        self._plan(release, lambda time: self._auction(book, "IPOE", time))

    # What is planned.

    def _set(self, index: int, state: _State) -> list[bytes]:
        self._states[index] = state
        return []

    def _auction(self, book: StockBook, reason: str, time: int) -> list[bytes]:
        self._states[book.locate - 1] = _State.TRADING
        fills, volume, price = book.uncross(time.to_bytes(6, "big"))
        return [*fills, _cross_trade(book, "H", volume, price, time), _action(book, _State.TRADING, reason, time)]

    def _cross(self, book: StockBook, cross_type: str, time: int) -> list[bytes]:
        fills, shares, price = book.auction_fill(time.to_bytes(6, "big"))
        return [*fills, _cross_trade(book, cross_type, shares + 100 * self._draws.below(200), price, time)]

    def _broken(self, time: int) -> list[bytes]:
        book = max(self._books, key=lambda book: book.last_match)
        return [_pack(itch.BROKEN_TRADE, book.locate, time, match_number=book.last_match)]

    def _collar(self, book: StockBook, time: int) -> bytes:
        price = self._price(book, time)
        return _stock(
            itch.LULD_AUCTION_COLLAR, book, time,
            collar_ref_price=price, upper_collar=price * 105 // 100, lower_collar=price * 95 // 100, extension=0,
        )  # fmt: skip

    def _interest(self, book: StockBook, flag: str, time: int) -> list[bytes]:
        return [_stock(itch.RETAIL_PRICE_IMPROVEMENT_INDICATOR, book, time, interest_flag=flag)]

    def _imbalances(self, book: StockBook, cross_type: str, time: int) -> list[bytes]:
        return [self._imbalance(book, cross_type, time)]

    def _imbalance(self, book: StockBook, cross_type: str, time: int) -> bytes:
        price = self._price(book, time)
        return _stock(
            itch.NET_ORDER_IMBALANCE, book, time,
            paired_shares=100 * self._draws.below(500), imbalance_shares=100 * self._draws.below(50),
            imbalance_direction="BSN"[self._draws.below(3)], far_price=price, near_price=price, ref_price=price,
            cross_type=cross_type, price_variation="L",
        )  # fmt: skip

    def _price(self, book: StockBook, time: int) -> int:
        """Fair price at a time, to the tick, in 1/10000 dollar."""
        step = min(max(0, (time - OPEN) * len(self._fair) // (CLOSE - OPEN)), len(self._fair) - 1)
        return round(float(self._fair[step, book.locate - 1])) * TICK


def _times(rng: np.random.Generator, count: int, begin: int, end: int) -> NDArray[np.int64]:
    """Increasing times between two others: bursts of microseconds, and more at both ends than in the middle."""
    gaps = np.where(rng.random(count) < 0.3, rng.exponential(2e-5, count), rng.exponential(1.0, count))
    even = np.cumsum(gaps) / max(1.0, gaps.sum()) * 0.999_999
    share = np.linspace(0.0, 1.0, 401)
    rate = 1.0 + 1.2 * (np.exp(-share / 0.08) + np.exp(-(1.0 - share) / 0.08))
    passed = np.concatenate(([0.0], np.cumsum((rate[1:] + rate[:-1]) / 2)))
    place = np.interp(even, passed / passed[-1], share)
    times = (begin + place * (end - begin)).astype(np.int64)
    return np.maximum.accumulate(times - np.arange(count)) + np.arange(count)


def _pack(layout: Layout, locate: int, time: int, **values: Value) -> bytes:
    return layout.pack(stock_locate=locate, tracking_number=TRACKING, timestamp=time, **values)


def _market(layout: Layout, time: int, **values: Value) -> bytes:
    return _pack(layout, 0, time, **values)


def _event(code: str, time: int) -> bytes:
    return _market(itch.SYSTEM_EVENT, time, event_code=code)


def _stock(layout: Layout, book: StockBook, time: int, **values: Value) -> bytes:
    return _pack(layout, book.locate, time, stock=book.symbol, **values)


def _action(book: StockBook, state: _State, reason: str, time: int) -> bytes:
    return _stock(itch.STOCK_TRADING_ACTION, book, time, trading_state=state.value, reserved=" ", reason=reason)


def _cross_trade(book: StockBook, cross_type: str, shares: int, price: int, time: int) -> bytes:
    match, cross_price = book.cross_match(), price * TICK
    return _stock(itch.CROSS_TRADE, book, time, shares=shares, cross_price=cross_price, match_number=match, cross_type=cross_type)
