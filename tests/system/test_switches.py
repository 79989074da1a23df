"""What stops trading, through the registers and the whole card: kill, watchdog, ceilings, a stale feed, the sums of all slots."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hdl.spec import ouch, soupbintcp
from hdl.spec.reasons import Mode, Refusal, TradingState
from hdl.spec.registers import REARM_KEYS
from host.card import CardError
from host.exposure import read_sums
from sim.card import SimulatedCard
from sim.tcp import Connection, Endpoint
from tests.support.desk import NO_CARD_CEILINGS, Desk


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
    row |= {"collar": 100_000, "collar_bps": 1_000} | NO_CARD_CEILINGS
    card.write_row("risk", "ceilings", 0, **row)
    assert card.read("risk", "ceilings_locked") == 1
    limits = dict(desk.configuration.limits)
    limits["AAA"] = limits["AAA"].model_copy(update={"max_long_shares": 10_001, "enabled": False})
    with pytest.raises(CardError, match="refused the limits of AAA: they are above its ceilings"):
        desk.loader.push(replace(desk.configuration, limits=limits))
    assert card.read("status", "limits_refused") == 2, "refused, and once more to find which it was"
    # Nor can what is there of the set be put in force.
    with pytest.raises(CardError, match="nothing was staged whole"):
        desk.loader.commit()
    card.write("risk", "commit", 2)
    card.run(300)
    assert card.read("status", "commits_incomplete") == 1
    assert desk.loader.epoch == 1
    assert trigger(desk) == 1
    assert refused(card, Refusal.SLOT_DISABLED) == 0


def test_nothing_leaves_on_a_stale_feed(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    # The trigger's own message is older than this when its order is judged.
    desk.change(stale_after=5)
    assert trigger(desk) == 0
    assert refused(card, Refusal.STALE) == 2
    desk.change(stale_after=1_000)
    assert trigger(desk) == 1


AAA_ASK, BBB_BID, BBB_ASK = 1_010_000, 500_000, 500_200
"""Last prices of the opening: 100 AAA are sold and 200 BBB bought."""


def exchange(desk: Desk) -> Connection:
    """The far end of the order session."""
    own = desk.session
    return Connection(
        local=Endpoint(own.peer_mac, own.peer_address, own.peer_port),
        remote=Endpoint(own.local_mac, own.local_address, own.local_port),
        send_next=own.receive_next,
        receive_next=own.send_next,
    )


def fill(card: SimulatedCard, far: Connection, number: int, quantity: int, price: int) -> None:
    message = ouch.ORDER_EXECUTED.pack(
        timestamp=1, user_ref_num=number, quantity=quantity, price=price, liquidity_flag="R", match_number=number
    ) + ouch.APPENDAGE.pack(appendage_length=0)
    header = soupbintcp.HEADER.pack(packet_length=1 + len(message), packet_type=soupbintcp.SEQUENCED_DATA)
    card.send(far.send(header + message))
    card.run_until_idle(limit=100_000)


def test_all_slots_together_have_limits(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    assert set(read_sums(card).values()) == {0}
    for name, reason, count in (
        ("max_gross", Refusal.GROSS, 2),
        ("max_net", Refusal.NET, 2),
        ("max_open_orders", Refusal.OPEN_ORDERS, 2),
    ):
        before = card.read("risk", name)
        desk.change(**{name: 0})
        assert trigger(desk) == 0
        assert refused(card, reason) == count
        desk.change(**{name: before})
    assert trigger(desk) == 1
    sold, bought = 100 * AAA_ASK, 200 * BBB_ASK
    assert read_sums(card) == {"pnl": 0, "gross": sold + bought, "net_long": bought, "net_short": -sold}


def test_a_loss_stops_what_grows_until_it_is_rearmed(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    assert trigger(desk) == 1
    far = exchange(desk)
    desk.change(max_loss=1_000_000)
    # Sold at the bid, marked at the ask; then the other leg.
    fill(card, far, 1, 100, 1_000_000)
    assert read_sums(card)["pnl"] == -100 * 10_000
    assert state(card) is TradingState.ACTIVE and not card.read("risk", "loss_reached")
    fill(card, far, 2, 200, BBB_ASK)
    sums = read_sums(card)
    assert sums["pnl"] == -1_000_000 - 200 * (BBB_ASK - BBB_BID)
    assert sums["gross"] == 100 * AAA_ASK + 200 * BBB_BID
    assert state(card) is TradingState.REDUCE_ONLY and card.read("risk", "loss_reached")
    # Neither arming nor writing the state lifts it.
    with pytest.raises(CardError, match="the loss limit was reached"):
        desk.loader.arm(Mode.LIVE)
    card.write("risk", "trading_state", TradingState.ACTIVE)
    card.run(100)
    assert state(card) is TradingState.REDUCE_ONLY
    with pytest.raises(CardError, match="still greater"):
        desk.loader.rearm_loss()
    desk.change(max_loss=5_000_000)
    assert card.read("risk", "loss_reached")
    desk.loader.rearm_loss()
    assert state(card) is TradingState.REDUCE_ONLY
    desk.loader.arm(Mode.LIVE)
    assert state(card) is TradingState.ACTIVE
