"""A day that goes wrong: the loss limit is reached, and everything held is brought to nothing, slice by slice."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice, pairwise
from typing import Any

import pytest

from hdl.spec.events import NO_PAIR
from hdl.spec.reasons import Mode, TradingState
from host.config import Configuration, Liquidation
from host.demo import configuration, reconcile
from host.exposure import read_sums
from host.framing import Feed
from host.loader import Loader, OrderSession
from host.mirror import Mirror
from host.replay import Outputs, Replay
from host.stimulus import from_messages
from host.summary import Summary
from sim.card import SimulatedCard
from sim.market import Market
from sim.venue import Venue

MARKET = Market(seed=3, messages=12_000)
MORNING = 5_000
"""Messages of it that are played: the loss comes early, with four symbols held."""
TERMS = Liquidation(slice_shares=40, interval_ms=Decimal("0.1"), slippage_ticks=5, max_tries=20)


@dataclass
class Day:
    """A day that is over."""

    replay: Replay
    mirror: Mirror
    venue: Venue
    summary: Summary
    records: list[dict[str, Any]]
    lines: list[dict[str, Any]]
    """What the host wrote about orders."""

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        return (record for record in self.records if record["kind"] == kind)


def play(card: SimulatedCard, settings: Configuration) -> Day:
    feed, session = Feed(session=b"T2TDEMO001"), OrderSession()
    loader = Loader(card)
    loader.identify()
    loader.load(settings, feed, session)
    loader.arm(Mode.LIVE)
    venue = Venue(
        **session.at_exchange(),
        latency=3 * card.geometry.clock_hz // 1_000_000,
    )
    mirror = Mirror(settings, loader.slots)
    records: list[dict[str, Any]] = []

    def listen(record: Any) -> None:
        mirror.take(record)
        records.append(dict(record))

    orders = io.StringIO()
    replay = Replay(card, loader, settings, feed, exchange=venue, outputs=Outputs(orders=orders), listen=listen)
    replay.run(from_messages(islice(MARKET.generate(), MORNING), feed, pack=2))
    summary = replay.summary(file="generated", form="itch", engine="rtl")
    return Day(replay, mirror, venue, summary, records, [json.loads(line) for line in orders.getvalue().splitlines()])


@pytest.fixture
def settings() -> Configuration:
    usual = configuration(MARKET)
    return replace(usual, risk=usual.risk.model_copy(update={"max_loss_usd": Decimal(20)}), liquidation=TERMS)


@pytest.fixture
def stubborn(settings: Configuration) -> Configuration:
    """The same, with pairs that never leave by themselves."""
    never = {"exit_short_usd": Decimal(-1_000), "exit_long_usd": Decimal(1_000)}
    return replace(settings, pairs=tuple(pair.model_copy(update=never) for pair in settings.pairs))


def test_a_breach_brings_every_position_to_nothing(card: SimulatedCard, settings: Configuration) -> None:
    day = play(card, settings)
    liquidation = day.replay.liquidation
    assert liquidation is not None and liquidation.begun_at is not None
    assert day.summary.portfolio.loss_reached
    assert TradingState(card.read("risk", "trading_state")) is TradingState.REDUCE_ONLY

    # Something was held, in more than one slice each, and nothing is.
    by_hand = [record for record in day.of("V") if record["pair"] == NO_PAIR]
    assert len({record["slot"] for record in by_hand}) >= 2 and len(by_hand) >= 6
    assert all(record["quantity"] <= TERMS.slice_shares for record in by_hand)
    assert all(holding.shares == 0 for holding in day.mirror.holdings.values())
    assert not liquidation.left and not any("liquidation" in finding for finding in day.summary.findings)

    # Every order by hand shrank what was held, and of a symbol they came no faster than they may.
    times: dict[int, list[int]] = {}
    for record in by_hand:
        times.setdefault(record["slot"], []).append(record["cycle"])
    assert all(later - before >= liquidation.interval - 100 for each in times.values() for before, later in pairwise(each))
    held: dict[int, int] = {}
    for record in day.of("F"):
        before = held.get(record["slot"], 0)
        if record["pair"] == NO_PAIR:
            assert abs(record["position"]) < abs(before) and record["position"] * before >= 0
        held[record["slot"]] = record["position"]

    # The card's ledger, the host's fold and the exchange agree, and so do the sums.
    assert not reconcile(day.mirror, day.venue) and not day.venue.faults
    assert not any(day.venue.positions.values())
    sums = read_sums(card)
    assert sums["pnl"] == day.mirror.pnl == sum(day.venue.cash.values())
    assert sums["gross"] == sums["net_long"] == sums["net_short"] == 0
    assert sums == day.mirror.exposure.sums()

    # What is written of them names neither pair nor message.
    numbers = {record["user_ref_num"] for record in by_hand} - {0}
    told = [line for line in day.lines if line.get("user_ref_num") in numbers]
    assert {line["event"] for line in told} == {"verdict", "sent", "state", "fill"}
    assert all(line["pair"] is None and line.get("index") is None and line.get("leg") is None for line in told)

    # Orders by hand are no pair's: they are in no latency figure, and nobody waits for them.
    assert day.summary.eot_to_sof.count == day.summary.triggers.requests - sum(
        record["refusals"] != 0 for record in day.of("V") if record["pair"] != NO_PAIR and record["leg"] == 0
    )
    assert day.summary.orders.sent == day.venue.counts["orders"] == 2 * day.summary.eot_to_sof.count + sum(
        record["user_ref_num"] != 0 for record in by_hand
    )


def test_without_terms_what_is_held_stays(card: SimulatedCard, stubborn: Configuration) -> None:
    day = play(card, replace(stubborn, liquidation=None))
    assert day.summary.portfolio.loss_reached and day.replay.liquidation is None
    assert any(holding.shares for holding in day.mirror.holdings.values())


def test_what_cannot_be_sold_is_told(card: SimulatedCard, stubborn: Configuration) -> None:
    """A limit that no price fits: the symbols are named, with their shares and the gate's own reason."""
    terms = TERMS.model_copy(update={"slippage_ticks": 250, "max_tries": 2})
    day = play(card, replace(stubborn, liquidation=terms))
    told = [finding for finding in day.summary.findings if finding.startswith("liquidation: ")]
    held = {day.mirror.symbols[slot]: each.shares for slot, each in day.mirror.holdings.items() if each.shares}
    assert held and len(told) == len(held)
    for symbol, shares in held.items():
        assert any(f"{symbol}: {shares:,} shares are left: refused: collar" in finding for finding in told), (symbol, told)
