"""A day of trading against an exchange that is not always kind, recorded for the twin."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hdl.spec import ouch
from hdl.spec.layout import Value
from host.compare_trading import TradingComparison, judge
from host.config import Configuration
from host.framing import Feed
from host.journal import RecordingCard
from host.loader import Loader, OrderSession
from host.replay import Replay
from host.stimulus import from_messages
from host.summary import Summary
from sim.market import Market
from sim.venue import Reject, Resting, Venue
from tests.support.geometries import GEOMETRIES

_REPORT_CLOCKS = 375
Act = Callable[[RecordingCard, Loader], None]
"""What a host does as a message goes by."""


@dataclass(frozen=True)
class Moods:
    """How often, of a thousand orders, the exchange does something else than what the market would have it do."""

    reject: int = 0
    dead: int = 0
    part: int = 0
    """Fills some shares at random, cancels the others."""
    silent: int = 0
    """Never answers."""
    impossible: int = 0
    """Reports what cannot be."""
    broken: int = 0
    """Fills all, and takes the fill back behind it."""
    hold: int = 0
    """Accepts, and leaves the order open until it is canceled; now and then the cancel has to wait, or is refused."""


class FickleVenue(Venue):
    """`Venue` with moods, and a host that acts as messages go by."""

    def __init__(self, *, moods: Moods, seed: int, acts: Mapping[int, Callable[[], None]], **options: Any) -> None:
        super().__init__(**options)
        self._moods = moods
        self._rng = random.Random(seed)
        self._acts = acts
        self._seen = 0

    def observe(self, message: bytes) -> None:
        super().observe(message)
        self._seen += 1
        if self._seen in self._acts:
            self._acts[self._seen]()

    def _enter(self, order: dict[str, Value]) -> bytes:
        roll = self._rng.randrange(1000)
        for mood, times in vars(self._moods).items():
            if roll < times:
                return getattr(self, f"_{mood}")(order)
            roll -= times
        return super()._enter(order)

    def _reject(self, order: dict[str, Value]) -> bytes:
        return self._say(ouch.REJECTED, order, reason=Reject.OTHER, clordid=order["clordid"])

    def _accepted(self, order: dict[str, Value], state: str) -> bytes:
        echoed = {name: value for name, value in order.items() if name not in ("type", "user_ref_num")}
        self._next_reference += 1
        return self._say(ouch.ORDER_ACCEPTED, order, order_ref=self._next_reference, order_state=state, **echoed)

    def _dead(self, order: dict[str, Value]) -> bytes:
        return self._accepted(order, "D")

    def _part(self, order: dict[str, Value]) -> bytes:
        quantity = int(order["quantity"])
        filled = self._rng.randrange(quantity)
        said = self._accepted(order, "L")
        if filled:
            self._next_match += 1
            fill = {"quantity": filled, "price": order["price"], "liquidity_flag": "R", "match_number": self._next_match}
            said += self._say(ouch.ORDER_EXECUTED, order, **fill)
        return said + self._say(ouch.ORDER_CANCELED, order, quantity=quantity - filled, reason="I")

    def _broken(self, order: dict[str, Value]) -> bytes:
        self._next_match += 1
        fill = {"quantity": order["quantity"], "price": order["price"], "liquidity_flag": "R", "match_number": self._next_match}
        told = {"match_number": self._next_match, "reason": "E", "clordid": order["clordid"]}
        said = self._accepted(order, "L") + self._say(ouch.ORDER_EXECUTED, order, **fill)
        return said + self._say(ouch.BROKEN_TRADE, order, **told)

    def _silent(self, order: dict[str, Value]) -> bytes:
        return b""

    def _hold(self, order: dict[str, Value]) -> bytes:
        self.resting[int(order["user_ref_num"])] = Resting(order, int(order["quantity"]))
        return self._accepted(order, "L")

    def _cancel(self, number: int, quantity: int) -> bytes:
        held = self.resting.get(number)
        if held is None:
            return super()._cancel(number, quantity)
        roll = self._rng.randrange(4)
        if roll == 0:
            return self._say(ouch.CANCEL_REJECT, held.order)
        said = self._say(ouch.CANCEL_PENDING, held.order) if roll == 1 else b""
        if roll == 2:
            # Part of it has met another order of ours, so that no more than the rest is canceled.
            size = held.left - 1
            if size:
                held.left -= size
                prevented = {"decrement_shares": size, "prevented_shares": size, "execution_price": held.order["price"]}
                said = self._say(ouch.AIQ_CANCELED, held.order, reason="Q", liquidity_flag="R", aiq_strategy="D", **prevented)
        return said + super()._cancel(number, quantity)

    def _impossible(self, order: dict[str, Value]) -> bytes:
        return self._say(ouch.ORDER_CANCELED, order, quantity=1_000_000, reason="I")


def traded(
    configuration: Configuration,
    market: Market,
    *,
    moods: Moods | None = None,
    acts: Mapping[int, Act] | None = None,
    preset: str = "versa",
) -> tuple[TradingComparison, Summary]:
    """Run a market through the simulated card, and what it did through the twin; `acts` by number of the message they follow."""
    feed, session, records = Feed(session=b"T2TDEMO001"), OrderSession(), []
    with RecordingCard(GEOMETRIES[preset]) as card:
        loader = Loader(card)
        loader.load(configuration, feed, session)
        loader.arm(configuration.mode)
        venue = FickleVenue(
            moods=moods or Moods(),
            seed=market.seed,
            acts={number: lambda act=act: act(card, loader) for number, act in (acts or {}).items()},
            **session.at_exchange(),
            latency=_REPORT_CLOCKS,
        )
        replay = Replay(card, loader, configuration, feed, exchange=venue, listen=records.append)
        replay.run(from_messages(market.generate(), feed, pack=2))
        summary = replay.summary(file="", form="itch", engine="rtl")
        return judge(records, card, replay, summary, configuration), summary
