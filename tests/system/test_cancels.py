"""What is open when a card is killed is canceled at the exchange, and the host sees every order to its end."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from hdl.spec import events
from hdl.spec.reasons import Mode, TradingState
from host.card import CardError
from host.config import Risk
from sim.card import OutFrame, SimulatedCard
from tests.support import ouch_definitions as judge
from tests.support.desk import CONFIGURATION, Desk
from tests.support.fickle import FickleVenue, Moods

KILL_TO_CANCEL = 4
"""Clocks from the first one in which the card is KILLED to the first byte of the first cancel, where nothing else leaves."""


WRITE_TO_STATE = 4
"""Clocks from a write on the control bus to the state in force."""
WALK = 1_000
"""Clocks in which all places were looked at and both cancels have left."""


class Floor(Desk):
    """A desk whose orders rest at an exchange."""

    def __init__(self, card: SimulatedCard, *, seed: int = 1, **changes: Any) -> None:
        super().__init__(card, replace(CONFIGURATION, **changes))
        self.sequence = self.session.send_next
        self.venue = FickleVenue(
            moods=Moods(hold=1000), seed=seed, acts={}, **self.session.at_exchange(), latency=500, midday=True
        )
        for message in self.opening():
            self.venue.observe(message)
            self.send(message)

    def fire(self) -> None:
        """Bring the pair to its threshold."""
        message = self.add("AAA", "B", 500, 100.06)[1]
        self.venue.observe(message)
        self.send(message)

    def exchange(self) -> list[tuple[OutFrame, bytes]]:
        """Let the exchange answer until nothing moves; the frames with a payload that left, and what was in them."""
        seen = []
        while frames := self.card.frames():
            for frame in frames:
                payload = self.judged(frame)
                if payload:
                    seen.append((frame, payload))
                for at, reply in self.venue.receive(frame.data, frame.end_cycle):
                    self.card.send(reply, at=at)
            self.card.run_until_idle(limit=100_000)
        assert not self.venue.faults
        return seen

    def judged(self, frame: OutFrame) -> bytes:
        """Payload of a frame; scapy and zlib work out every sum again."""
        assert frame.fcs_ok and not frame.malformed and frame.fcs == zlib.crc32(frame.data)
        ether = Ether(frame.data)
        size = 14 + ether[IP].len
        again = Ether(frame.data[:size])
        del again[IP].chksum, again[TCP].chksum, again[IP].len
        assert bytes(again) == frame.data[:size]
        assert ether[TCP].seq == self.sequence
        payload = frame.data[54:size]
        self.sequence += len(payload)
        return payload

    def cancels(self) -> Iterator[tuple[int, int]]:
        """Clock and number of every cancel that leaves now."""
        for frame, payload in self.exchange():
            [packet] = judge.packets(payload)
            assert packet.Indicator == "U"
            cancel = judge.cancel_order(packet.data)
            assert cancel["quantity"] == 0
            yield frame.start_cycle, int(cancel["user_ref_num"])

    @property
    def open_orders(self) -> int:
        return self.card.read("risk", "orders_open")


def sent(card: SimulatedCard) -> list[tuple[int, int]]:
    """Clock and number of the cancels the card told of."""
    return [(record["cycle"], record["user_ref_num"]) for record in card.events() if record["kind"] == events.CANCEL_SENT.code]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_kill_cancels_and_the_way_back(card: SimulatedCard, seed: int) -> None:
    floor = Floor(card, seed=seed)
    floor.fire()
    assert len(floor.exchange()) == 1 and floor.open_orders == 2
    card.events()
    card.write("risk", "trading_state", TradingState.KILLED)
    killed = card.cycle - 1 + WRITE_TO_STATE
    card.run(WALK)
    left = list(floor.cancels())
    assert left[0][0] - killed == KILL_TO_CANCEL
    # The newest first, each once, one behind the other.
    assert [number for _, number in left] == [2, 1]
    assert sent(card) == left and card.read("status", "cancels_sent") == 2
    # A cancel may come to nothing. The card stays as it is until every order has ended, and the host asks again.
    rounds = 0
    while floor.open_orders:
        with pytest.raises(CardError, match=f"own orders are open: {floor.open_orders}"):
            floor.loader.rearm()
        resting = sorted(floor.venue.resting, reverse=True)
        assert len(resting) == floor.open_orders
        floor.loader.cancel_all()
        card.run(WALK)
        assert [number for _, number in floor.cancels()] == resting
        rounds += 1
        assert rounds < 20
    assert not floor.venue.resting and sum(card.read_rows("status", "alarm").values()) == 0
    floor.loader.rearm()
    floor.loader.arm(Mode.LIVE)
    assert floor.loader.trading_state is TradingState.ACTIVE
    assert not list(floor.cancels())


def test_cancels_wait_for_the_session(card: SimulatedCard) -> None:
    floor = Floor(card)
    floor.fire()
    floor.exchange()
    card.write("session", "up", 0)
    floor.loader.kill()
    card.run(20_000)
    assert not list(floor.cancels()) and card.read("status", "cancels_sent") == 0 and floor.open_orders == 2
    card.write("session", "up", 1)
    card.run(WALK)
    assert sorted(number for _, number in floor.cancels()) == [1, 2]
    assert card.read("status", "cancels_sent") == 2


def test_everything_can_be_canceled_while_the_card_trades(card: SimulatedCard) -> None:
    """No gate, no token, in every state; and nothing else is stopped by it."""
    floor = Floor(card)
    floor.change(rate_tokens=2)
    floor.fire()
    floor.exchange()
    for state in (TradingState.ACTIVE, TradingState.REDUCE_ONLY, TradingState.HALTED):
        card.write("risk", "trading_state", state)
        expected = sorted(floor.venue.resting, reverse=True)
        floor.loader.cancel_all()
        card.run(WALK)
        assert [number for _, number in floor.cancels()] == expected
        assert floor.loader.trading_state is state


def test_a_host_that_is_gone_leaves_nothing_open(card: SimulatedCard) -> None:
    floor = Floor(card, risk=Risk(ignore_market_hours=True, watchdog_ms=1))
    floor.fire()
    floor.exchange()
    card.run(3 * floor.loader.watchdog)
    assert floor.loader.trading_state is TradingState.KILLED
    assert sorted(number for _, number in floor.cancels()) == [1, 2]
