"""Orders the host writes by hand: through the same gate, one frame each, and never part of a pair."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from hdl.spec.events import NO_PAIR
from hdl.spec.network import FCS_BYTES, MINIMUM_FRAME
from hdl.spec.reasons import Refusal, TradingState
from sim.card import SimulatedCard
from tests.support import ouch_definitions as judge
from tests.support.desk import CONFIGURATION, DOLLAR, PAIR, Desk
from tests.system.test_switches import exchange, fill, refused, trigger


def order(desk: Desk, symbol: str, shares: int, usd: float) -> list[dict]:
    """Write an order, and give the verdicts that came of it."""
    desk.card.events()
    desk.loader.order(symbol, shares, round(usd * DOLLAR))
    desk.card.run(1_000)
    return [dict(record) for record in desk.card.events() if record["kind"] == "V"]


def reasons(verdict: dict) -> set[Refusal]:
    return {reason for reason in Refusal if verdict["refusals"] >> reason & 1}


def text(address: int, parts: int, form: str, separator: str) -> str:
    return separator.join(format(byte, form) for byte in address.to_bytes(parts, "big"))


@pytest.mark.parametrize(("shares", "usd", "side"), [(-300, 99.95, "T"), (7, 101.0, "B")])
def test_one_order_in_one_segment(card: SimulatedCard, shares: int, usd: float, side: str) -> None:
    desk = Desk(card)
    desk.touch()
    [verdict] = order(desk, "AAA", shares, usd)
    assert not reasons(verdict) and verdict["pair"] == NO_PAIR and verdict["user_ref_num"] == 1
    (frame,) = card.frames()
    assert frame.fcs_ok and not frame.malformed and frame.fcs == zlib.crc32(frame.data)

    payload = bytes(Ether(frame.data)[TCP].payload)
    (packet,) = judge.packets(payload)
    assert packet.Indicator == "U"
    assert judge.enter_order(packet.data) == {
        "user_ref_num": 1,
        "side": side,
        "quantity": abs(shares),
        "symbol": "AAA",
        "price": round(usd * DOLLAR),
        "time_in_force": "3",
        "display": "Y",
        "capacity": "P",
        "iso": "N",
        "cross_type": "N",
        "clordid": "PFFFFA",
        "appendage_length": 0,
    }
    own = desk.session
    expected = (
        Ether(src=text(own.local_mac, 6, "02x", ":"), dst=text(own.peer_mac, 6, "02x", ":"), type=0x0800)
        / IP(
            src=text(own.local_address, 4, "d", "."), dst=text(own.peer_address, 4, "d", "."), id=0, flags="DF", ttl=64, tos=0
        )
        / TCP(
            sport=own.local_port, dport=own.peer_port, seq=own.send_next, ack=own.receive_next, flags="PA",
            window=Ether(frame.data)[TCP].window,
        )
        / Raw(payload)
    )  # fmt: skip
    assert frame.data == bytes(expected)
    assert len(frame.data) + FCS_BYTES > MINIMUM_FRAME
    assert card.read("session", "send_next") == own.send_next + len(payload)
    assert card.read("risk", "next_user_ref_num") == 2


def test_a_pair_and_orders_by_hand_follow_each_other(card: SimulatedCard) -> None:
    """Numbers and sequence numbers go on, what is open is counted, and the pair is none the wiser."""
    desk = Desk(card)
    desk.touch()
    order(desk, "BBB", 10, 50.02)
    assert trigger(desk) == 2
    order(desk, "AAA", 5, 101.00)
    (frame,) = card.frames()
    (packet,) = judge.packets(bytes(Ether(frame.data)[TCP].payload))
    assert judge.enter_order(packet.data)["user_ref_num"] == 4
    assert card.read("risk", "orders_open") == 4
    far = exchange(desk)
    card.events()
    for number, quantity, price in ((1, 10, 500_200), (4, 5, 1_010_000)):
        fill(card, far, number, quantity, price)
    fills = [record for record in card.events() if record["kind"] == "F"]
    assert [(record["pair"], record["position"]) for record in fills] == [(NO_PAIR, 10), (NO_PAIR, 5)]
    # The pair waits for its own orders only, which end it as ever: it is one unit short, bought back at its exit.
    for number, quantity, price in ((2, 100, 1_000_600), (3, 200, 500_200)):
        fill(card, far, number, quantity, price)
    assert card.read("risk", "orders_open") == 0
    assert card.read("status", "triggers") == 1
    assert sum(card.read_rows("status", "alarm").values()) == 0


def write(name: str, value: int) -> Callable[[Desk], None]:
    return lambda desk: desk.card.write("risk", name, value)


def push(**limits: int | Decimal) -> Callable[[Desk], object]:
    """A set with other limits of all symbols."""
    return lambda desk: desk.loader.push(
        replace(desk.configuration, risk=desk.configuration.risk.model_copy(update=limits))
    )


@pytest.mark.parametrize(
    ("prepare", "shares", "usd", "expected"),
    [
        (write("trading_state", TradingState.KILLED), 10, 101.0, {Refusal.KILLED}),
        (write("trading_state", TradingState.HALTED), 10, 101.0, {Refusal.HALTED}),
        (write("trading_state", TradingState.REDUCE_ONLY), 10, 101.0, {Refusal.REDUCE_ONLY}),
        (write("mode", 0), 10, 101.0, {Refusal.MODE_OFF}),
        (lambda desk: desk.card.write("session", "up", 0), 10, 101.0, {Refusal.SESSION_DOWN}),
        (lambda _: None, 1_001, 101.0, {Refusal.QUANTITY}),
        (lambda _: None, 10, 103.01, {Refusal.COLLAR}),
        (lambda _: None, 10, 101.005, {Refusal.OFF_TICK}),
        (lambda _: None, 0, 101.0, {Refusal.QUANTITY}),
        (push(max_open_orders=0), -10, 100.0, {Refusal.OPEN_ORDERS}),
        (push(max_gross_usd=Decimal("1009.9999")), 10, 101.0, {Refusal.GROSS}),
        (push(rate_tokens=0), 10, 101.0, {Refusal.RATE}),
    ],
)
def test_what_refuses_a_pair_refuses_an_order_by_hand(
    card: SimulatedCard, prepare: Callable[[Desk], object], shares: int, usd: float, expected: set[Refusal]
) -> None:
    desk = Desk(card)
    desk.touch()
    prepare(desk)
    [verdict] = order(desk, "AAA", shares, usd)
    assert reasons(verdict) == expected
    assert not card.frames()
    assert {reason for reason in Refusal if refused(card, reason)} == expected
    assert all(refused(card, reason) == 1 for reason in expected)


def test_reduce_only_lets_what_shrinks_pass(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    far = exchange(desk)
    order(desk, "AAA", -100, 100.00)
    fill(card, far, 1, 100, 100 * DOLLAR)
    card.frames()
    desk.loader.reduce()
    assert desk.loader.trading_state is TradingState.REDUCE_ONLY
    for shares, passes in ((101, False), (-1, False), (60, True), (41, False), (40, True)):
        [verdict] = order(desk, "AAA", shares, 101.0 if shares > 0 else 100.0)
        assert reasons(verdict) == (set() if passes else {Refusal.REDUCE_ONLY}), shares
        assert len(card.frames()) == passes
    fill(card, far, 2, 60, 101 * DOLLAR)
    fill(card, far, 3, 40, 101 * DOLLAR)
    # Nothing is held: nothing shrinks it.
    [verdict] = order(desk, "AAA", 1, 101.0)
    assert reasons(verdict) == {Refusal.REDUCE_ONLY}
    # Lowered, never raised.
    desk.loader.kill()
    desk.loader.reduce()
    assert desk.loader.trading_state is TradingState.KILLED


def test_a_pair_that_is_off_does_not_stop_it(card: SimulatedCard) -> None:
    desk = Desk(card, replace(CONFIGURATION, pairs=(PAIR.model_copy(update={"enabled": False}),)))
    desk.touch()
    [verdict] = order(desk, "BBB", 100, 50.02)
    assert not reasons(verdict)
    assert len(card.frames()) == 1


def test_an_order_while_another_leaves_is_refused_or_dropped(card: SimulatedCard) -> None:
    """Written as fast as the host can, whatever comes of it is told."""
    desk = Desk(card)
    desk.touch()
    card.events()
    for number in range(12):
        desk.loader.order("AAA", 1 + number, 101 * DOLLAR)
    card.run(1_000)
    verdicts = [record for record in card.events() if record["kind"] == "V"]
    busy = [verdict for verdict in verdicts if reasons(dict(verdict)) == {Refusal.TRANSMITTER_BUSY}]
    dropped = card.read_rows("status", "miss")["host_order"]
    sent = card.frames()
    assert len(sent) + len(busy) + dropped == 12 and len(sent) + len(busy) == len(verdicts)
    assert sent and dropped
    assert card.read("status", "orders_passed") == len(sent) and card.read("status", "orders_refused") == len(busy)
    numbers = [judge.enter_order(judge.packets(bytes(Ether(f.data)[TCP].payload))[0].data)["user_ref_num"] for f in sent]
    assert numbers == list(range(1, len(sent) + 1))
