"""The host's hand on what stops trading, through the whole card: it loads ceilings, kills, re-arms, beats."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from hdl.spec.reasons import Mode, TradingState
from host.card import CardError
from host.config import Ceilings, Risk
from sim.card import SimulatedCard
from tests.support.desk import CONFIGURATION, Desk, limit
from tests.system.test_switches import trigger

CEILINGS = Ceilings(
    max_quantity_shares=1_000,
    max_notional_usd=Decimal(500_000),
    max_long_shares=10_000,
    max_short_shares=10_000,
    collar_usd=Decimal(10),
    collar_bps=300,
    max_gross_usd=Risk().max_gross_usd,
    max_net_usd=Risk().max_net_usd,
    max_loss_usd=Risk().max_loss_usd,
    max_open_orders=65_535,
    rate_tokens=100,
)


def test_limits_at_their_ceilings_trade(card: SimulatedCard) -> None:
    desk = Desk(card, replace(CONFIGURATION, ceilings=CEILINGS))
    assert card.read("risk", "ceilings_locked") == 1
    desk.touch()
    assert trigger(desk) == 1


def test_a_limit_above_its_ceiling_that_passed_the_host_is_refused_by_the_card(card: SimulatedCard) -> None:
    limits = {"AAA": limit("AAA"), "BBB": limit("BBB", max_short_shares=10_001)}
    with pytest.raises(CardError, match="the card refused the limits of BBB: they are above its ceilings"):
        Desk(card, replace(CONFIGURATION, limits=limits, ceilings=CEILINGS))
    # Once with all others, once to find out which it was.
    assert card.read("status", "limits_refused") == 2
    assert TradingState(card.read("risk", "trading_state")) is TradingState.HALTED


def test_kill_and_the_way_back(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    desk.loader.kill()
    assert trigger(desk) == 0
    with pytest.raises(CardError, match="the card is KILLED"):
        desk.loader.arm(Mode.LIVE)
    assert trigger(desk) == 0
    desk.loader.rearm()
    assert desk.loader.trading_state is TradingState.HALTED
    assert trigger(desk) == 0
    desk.loader.arm(Mode.LIVE)
    assert trigger(desk) == 1


def test_open_orders_keep_the_card_killed(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    assert trigger(desk) == 1
    desk.loader.kill()
    with pytest.raises(CardError, match="own orders are open: 2"):
        desk.loader.rearm()
    assert desk.loader.trading_state is TradingState.KILLED


def test_without_beats_the_card_ends_killed(card: SimulatedCard) -> None:
    desk = Desk(card, replace(CONFIGURATION, risk=Risk(ignore_market_hours=True, watchdog_ms=1)))
    desk.touch()
    period = card.geometry.clock_hz // 1_000
    assert desk.loader.watchdog == period
    for _ in range(4):
        desk.loader.beat()
        card.run(period // 2)
    assert desk.loader.trading_state is TradingState.ACTIVE
    card.run(period)
    assert desk.loader.trading_state is TradingState.REDUCE_ONLY
    card.run(period)
    assert desk.loader.trading_state is TradingState.KILLED
    assert trigger(desk) == 0
    # Another host, which knows of no watchdog yet, gets the card back as well.
    type(desk.loader)(card).rearm()
    desk.loader.arm(Mode.LIVE)
    assert trigger(desk) == 1
