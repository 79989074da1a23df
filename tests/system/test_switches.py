"""What stops trading, through the registers and the whole card: kill, watchdog, ceilings, a stale feed."""

from __future__ import annotations

import pytest

from hdl.spec.reasons import Mode, Refusal, TradingState
from hdl.spec.registers import REARM_KEYS
from host.card import CardError
from sim.card import SimulatedCard
from tests.support.desk import Desk


def state(card: SimulatedCard) -> TradingState:
    return TradingState(card.read("risk", "trading_state"))


def rearm(card: SimulatedCard) -> None:
    for key in REARM_KEYS:
        card.write("risk", "rearm", key)


def trigger(desk: Desk) -> int:
    """Bring the pair to its threshold; give how many frames left."""
    desk.send(desk.add("AAA", "B", 500, 100.06)[1])
    return len(desk.card.frames())


def refused(card: SimulatedCard, reason: Refusal) -> int:
    return card.read_rows("status", "refusal")[reason.name.lower()]


def test_killed_is_left_by_both_keys_alone(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    card.write("risk", "trading_state", TradingState.KILLED)
    with pytest.raises(CardError, match="the card is KILLED"):
        desk.loader.arm(Mode.LIVE)
    assert trigger(desk) == 0
    assert refused(card, Refusal.KILLED) == 2
    card.write("risk", "rearm", REARM_KEYS[1])
    assert state(card) is TradingState.KILLED
    rearm(card)
    assert state(card) is TradingState.HALTED
    desk.loader.arm(Mode.LIVE)
    # What did not leave is armed again: the next change of the touch sends it.
    assert trigger(desk) == 1


def test_killed_stays_while_an_order_is_open(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    assert trigger(desk) == 1
    assert card.read("risk", "orders_open") == 2
    card.write("risk", "trading_state", TradingState.KILLED)
    rearm(card)
    assert state(card) is TradingState.KILLED


def test_a_host_that_is_silent_loses_the_card(card: SimulatedCard) -> None:
    desk = Desk(card)
    card.write("risk", "watchdog", 5_000)
    for _ in range(3):
        card.pulse("risk", "heartbeat")
        card.run(4_000)
    assert state(card) is TradingState.ACTIVE
    card.run(2_000)
    assert state(card) is TradingState.REDUCE_ONLY
    # Late is late: what it lowered, the host has to raise.
    card.pulse("risk", "heartbeat")
    assert state(card) is TradingState.REDUCE_ONLY
    desk.loader.arm(Mode.LIVE)
    assert state(card) is TradingState.ACTIVE
    card.run(11_000)
    assert state(card) is TradingState.KILLED
    assert card.read("status", "watchdog_expired") == 3
    # Nor do the keys help a host that does not beat.
    rearm(card)
    assert state(card) is TradingState.KILLED
    card.pulse("risk", "heartbeat")
    rearm(card)
    assert state(card) is TradingState.HALTED


def test_a_limit_above_its_ceiling_is_not_taken_over(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    row = {"max_quantity": 1_000, "max_notional": 10**12, "max_long": 10_000, "max_short": 10_000}
    row |= {"collar": 100_000, "collar_bps": 1_000}
    card.write_row("risk", "ceilings", 0, **row)
    assert card.read("risk", "ceilings_locked") == 1
    slot = desk.loader.slots["AAA"]
    card.write_row("risk", "limits", slot, **row | {"max_long": 10_001}, enabled=0, reference=1_000_000)
    card.run(100)
    assert card.read("status", "limits_refused") == 1
    assert trigger(desk) == 1
    assert refused(card, Refusal.SLOT_DISABLED) == 0


def test_nothing_leaves_on_a_stale_feed(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    # The trigger's own message is older than this when its order is judged.
    card.write("risk", "stale_after", 5)
    assert trigger(desk) == 0
    assert refused(card, Refusal.STALE) == 2
    card.write("risk", "stale_after", 1_000)
    assert trigger(desk) == 1
