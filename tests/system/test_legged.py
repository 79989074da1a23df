"""Legged pairs on the whole card: completed, unwound, tries used up, and what happens meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from hdl.spec import ouch, soupbintcp
from hdl.spec.geometry import PRESETS
from hdl.spec.layout import Layout
from hdl.spec.reasons import LegAction, Refusal, TradingState
from host.config import Strategy
from host.legs import Fate, Legs
from sim.card import SimulatedCard
from tests.support import ouch_definitions as judge
from tests.support.desk import CONFIGURATION, PAIR, Desk
from tests.system.test_switches import exchange, refused

GEOMETRY = PRESETS["large"]
COOLDOWN_US = Decimal(20)
TRIES = 3


@pytest.fixture
def card() -> Iterator[SimulatedCard]:
    """A simulated card that repairs pairs, out of reset."""
    with SimulatedCard(GEOMETRY) as card:
        yield card


@dataclass
class Exchange:
    """The far end of a desk's session, which answers orders as it is told, and the host's fold of what the card says.

    Parameters
    ----------
    desk : Desk
        Set up, and not traded yet.
    """

    desk: Desk

    def __post_init__(self) -> None:
        self.far = exchange(self.desk)
        self.legs = Legs(repairs=True)
        self.records: list[dict[str, Any]] = []

    def orders(self) -> list[dict[str, Any]]:
        """Orders that left since the last call, as the exchange's library reads them."""
        found = []
        for frame in self.desk.card.frames():
            # Without what pads an acknowledgment.
            packet = Ether(frame.data)[IP]
            payload = bytes(packet[TCP].payload)[: packet.len - 4 * (packet.ihl + packet[TCP].dataofs)]
            if payload:
                found += [judge.enter_order(packet.data) for packet in judge.packets(payload)]
        return found

    def say(self, layout: Layout, number: int, **values: Any) -> None:
        message = layout.pack(timestamp=1, user_ref_num=number, **values)
        if layout.name in ouch.APPENDAGE_REQUIRED:
            message += ouch.APPENDAGE.pack(appendage_length=0)
        header = soupbintcp.HEADER.pack(packet_length=1 + len(message), packet_type=soupbintcp.SEQUENCED_DATA)
        self.desk.card.send(self.far.send(header + message))
        self.desk.card.run(600)

    def answer(self, order: dict[str, Any], filled: int) -> None:
        """Fill so many shares, cancel the others."""
        number, left = order["user_ref_num"], order["quantity"] - filled
        if filled:
            self.say(
                ouch.ORDER_EXECUTED, number,
                quantity=filled, price=order["price"], liquidity_flag="R", match_number=number,
            )  # fmt: skip
        if left:
            self.say(ouch.ORDER_CANCELED, number, quantity=left, reason="I")

    def rest(self) -> None:
        """Let the cooldown pass, and all that follows."""
        self.desk.card.run(4_000)
        self.listen()

    def listen(self) -> None:
        for record in self.desk.card.events():
            self.records.append(dict(record))
            self.legs.take(record)

    def actions(self) -> list[int]:
        """Of the records of pairs, so far."""
        self.listen()
        return [record["action"] for record in self.records if record["kind"] == "T"][1:]

    def check(self, fate: Fate, *, tries: int, units: int = 0) -> None:
        """What the host makes of it, and the card's ledger."""
        self.listen()
        [legged] = self.legs.legged
        assert (legged.fate, legged.tries, self.legs.units[0]) == (fate, tries, units)
        held = legged.trade.signed if fate is not Fate.UNWOUND else (0, 0)
        positions = dict.fromkeys(range(2), 0) | {
            record["slot"]: record["position"] for record in self.records if record["kind"] == "F"
        }
        assert (positions[0], positions[1]) == held


def legged(card: SimulatedCard, policy: str, filled: tuple[int, int]) -> Exchange:
    """A desk whose pair sold the spread, 100 shares of AAA for 200 of BBB, of which so many were filled."""
    pair = PAIR.model_copy(update={"policy": policy, "leg_tries": TRIES, "slippage_ticks": 2})
    desk = Desk(card, replace(CONFIGURATION, pairs=(pair,), strategy=Strategy(cooldown_us=COOLDOWN_US)))
    desk.touch()
    there = Exchange(desk)
    assert trigger_orders(there, desk) == 2
    for order, shares in zip(there.first, filled, strict=True):
        there.answer(order, shares)
    return there


def trigger_orders(there: Exchange, desk: Desk) -> int:
    desk.send(desk.add("AAA", "B", 500, 100.06)[1])
    there.first = there.orders()
    return len(there.first)


def test_completed(card: SimulatedCard) -> None:
    there = legged(card, "complete", (100, 60))
    there.rest()
    [order] = there.orders()
    shown = {"symbol": "BBB", "side": "B", "quantity": 140, "price": 500_200 + 200, "clordid": "PB000A", "time_in_force": "3"}
    assert {name: order[name] for name in shown} == shown
    there.answer(order, 100)
    there.rest()
    [order] = there.orders()
    assert (order["symbol"], order["quantity"]) == ("BBB", 40)
    there.answer(order, 40)
    there.rest()
    assert not there.orders() and there.actions() == [LegAction.COMPLETE] * 2
    there.check(Fate.COMPLETED, tries=2, units=-1)
    # It holds a unit, no more than that, and closes it.
    there.desk.send(there.desk.add("BBB", "B", 900, 50.01)[1], there.desk.add("AAA", "S", 900, 100.07)[1])
    assert len(there.orders()) == 0
    assert card.read_rows("status", "miss")["pending"] == 0


def test_unwound(card: SimulatedCard) -> None:
    there = legged(card, "unwind", (30, 200))
    there.rest()
    [order] = there.orders()
    assert (order["symbol"], order["side"], order["quantity"], order["clordid"]) == ("AAA", "B", 30, "PA000A")
    # Pending meanwhile: no trigger.
    there.desk.send(there.desk.add("AAA", "B", 500, 100.05)[1])
    there.desk.send(there.desk.add("AAA", "B", 500, 100.07)[1])
    assert not there.orders()
    there.answer(order, 30)
    there.rest()
    [order] = there.orders()
    assert (order["symbol"], order["side"], order["quantity"], order["clordid"]) == ("BBB", "S", 200, "PB000A")
    there.answer(order, 200)
    there.rest()
    there.check(Fate.UNWOUND, tries=2)
    assert there.actions() == [LegAction.UNWIND] * 2
    assert card.read("status", "triggers") == 1


def test_tries_are_used_up(card: SimulatedCard) -> None:
    there = legged(card, "complete", (100, 0))
    for number in range(TRIES):
        there.rest()
        [order] = there.orders()
        assert order["quantity"] == 200 - 10 * number
        there.answer(order, 10)
    there.rest()
    assert not there.orders() and there.actions() == [LegAction.COMPLETE] * TRIES + [LegAction.STOP]
    there.check(Fate.STOPPED, tries=TRIES)
    assert there.legs.legged[0].trade.signed == (-100, 30)
    # Latched off.
    there.desk.send(there.desk.add("AAA", "B", 500, 100.02)[1])
    there.desk.send(there.desk.add("AAA", "S", 500, 100.09)[1])
    assert not there.orders()


def test_the_default_stops(card: SimulatedCard) -> None:
    there = legged(card, "stop", (100, 0))
    there.rest()
    assert not there.orders() and there.actions() == [LegAction.STOP]
    there.check(Fate.STOPPED, tries=0)


def test_a_dead_book_uses_the_tries_up(card: SimulatedCard) -> None:
    there = legged(card, "complete", (100, 0))
    # Of an order nobody knows.
    there.desk.send(there.desk.message("D", "BBB", order_ref=77))
    card.run(16_000)
    assert not there.orders() and there.actions() == [LegAction.COMPLETE] * TRIES + [LegAction.STOP]
    assert refused(card, Refusal.INTEGRITY) == TRIES
    there.check(Fate.STOPPED, tries=TRIES)


@pytest.mark.parametrize("policy", ["complete", "unwind"])
def test_reduce_only_lets_what_shrinks_a_position_pass(card: SimulatedCard, policy: str) -> None:
    there = legged(card, policy, (100, 0))
    card.write("risk", "trading_state", TradingState.REDUCE_ONLY)
    there.rest()
    if policy == "unwind":
        [order] = there.orders()
        assert (order["symbol"], order["side"], order["quantity"]) == ("AAA", "B", 100)
        there.answer(order, 100)
        there.rest()
        there.check(Fate.UNWOUND, tries=1)
        return
    for _ in range(TRIES):
        there.rest()
    assert not there.orders() and refused(card, Refusal.REDUCE_ONLY) == TRIES
    there.check(Fate.STOPPED, tries=TRIES)


def test_nothing_is_repaired_once_killed(card: SimulatedCard) -> None:
    there = legged(card, "unwind", (100, 0))
    card.write("risk", "trading_state", TradingState.KILLED)
    for _ in range(TRIES + 1):
        there.rest()
    assert not there.orders() and refused(card, Refusal.KILLED) == TRIES
    there.check(Fate.STOPPED, tries=TRIES)


def test_another_set_counts_at_once(card: SimulatedCard) -> None:
    """From one policy to the other, in between two orders; and to none."""
    there = legged(card, "complete", (100, 0))
    there.rest()
    [order] = there.orders()
    there.answer(order, 50)
    pair = there.desk.configuration.pairs[0]
    for policy in ("unwind", "stop"):
        pair = pair.model_copy(update={"policy": policy})
        there.desk.loader.push(replace(there.desk.configuration, pairs=(pair,)))
        there.rest()
        for order in there.orders():
            there.answer(order, order["quantity"] - 1)
        there.rest()
    assert LegAction.UNWIND in there.actions() and there.actions()[-1] == LegAction.STOP
    verdicts = [record for record in there.records if record["kind"] == "V"][2:]
    assert {record["epoch"] for record in verdicts if record["side"] == 0 and record["leg"] == 0} == {2}
