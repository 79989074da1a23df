"""`Recovery` against a card and a server that do what each story needs, clock by clock."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hdl.spec import injection
from hdl.spec.geometry import PRESETS
from hdl.spec.moldudp64 import BLOCK, HEADER
from host.config import RecoveryTable
from host.recovery import Recovery

SESSION = b"T2TREPLAY1"
TIMEOUT = 1_250
TABLE = RecoveryTable(timeout_us=Decimal(10), tries=3, messages_per_request=40)


def message(number: int) -> bytes:
    return number.to_bytes(2, "big") * 10


def packet(first: int, messages: list[bytes], *, session: bytes = SESSION, count: int | None = None) -> bytes:
    head = HEADER.pack(session=session, sequence_number=first, message_count=len(messages) if count is None else count)
    return head + b"".join(BLOCK.pack(message_length=len(each)) + each for each in messages)


class Card:
    """Takes what it is given in order."""

    def __init__(self, next_sequence: int = 10) -> None:
        self.geometry = PRESETS["versa"]
        self.next_sequence = next_sequence
        self.inject_room = injection.MESSAGES
        self.given: list[tuple[int, bytes]] = []

    def inject(self, number: int, raw: bytes) -> None:
        assert self.inject_room
        self.inject_room -= 1
        self.given.append((number, raw))

    def take(self, *, deaf: bool = False) -> None:
        """Everything written goes into the book."""
        self.inject_room = injection.MESSAGES
        if self.given and not deaf:
            self.next_sequence = max(self.next_sequence, self.given[-1][0] + 1)


class Server:
    """Keeps requests; answers what it is told to."""

    def __init__(self) -> None:
        self.requests: list[tuple[int, int, int]] = []
        self.ready: list[bytes] = []

    def request(self, raw: bytes, cycle: int) -> None:
        assert len(raw) == HEADER.size and raw[:10] == SESSION
        self.requests.append((cycle, int.from_bytes(raw[10:18], "big"), int.from_bytes(raw[18:], "big")))

    def answers(self, cycle: int) -> list[bytes]:
        ready, self.ready = self.ready, []
        return ready

    def answer(self, first: int, count: int) -> None:
        self.ready.append(packet(first, [message(number) for number in range(first, first + count)]))


@pytest.fixture
def desk() -> tuple[Card, Server, Recovery]:
    card, server = Card(), Server()
    return card, server, Recovery(card, SESSION, TABLE, server)  # type: ignore[arg-type]


Desk = tuple[Card, Server, Recovery]


def test_a_gap_is_asked_for_in_parts_and_given_in_order(desk: Desk) -> None:
    card, server, recovery = desk
    recovery.take({"first": 10, "next": 110}, 1_000)
    assert server.requests == [(1_000, 10, 40)] and recovery.busy
    for first, count in ((10, 40), (50, 7), (57, 40), (97, 13)):
        server.answer(first, count)
        for cycle in range(2_000, 2_005):
            recovery.step(cycle)
            card.take()
    assert [number for number, _ in card.given] == list(range(10, 110))
    assert all(raw == message(number) for number, raw in card.given)
    assert [each[1:] for each in server.requests] == [(10, 40), (50, 40), (57, 40), (97, 13)]
    recovery.step(3_000)
    assert not recovery.busy and not recovery.failed and not list(recovery.findings())
    summary = recovery.summary()
    assert (summary.gaps, summary.requests, summary.repeats, summary.answers, summary.given) == (1, 4, 0, 4, 100)


def test_the_card_is_never_given_more_than_it_has_room_for(desk: Desk) -> None:
    card, server, recovery = desk
    recovery.take({"first": 10, "next": 50}, 0)
    server.answer(10, 40)
    recovery.step(1)
    assert len(card.given) == injection.MESSAGES
    recovery.step(2)
    assert len(card.given) == injection.MESSAGES
    card.take()
    recovery.step(3)
    assert len(card.given) == 40


def test_no_answer_is_asked_for_again_and_given_up_in_the_end(desk: Desk) -> None:
    card, server, recovery = desk
    recovery.take({"first": 10, "next": 12}, 0)
    for cycle in range(0, 10 * TIMEOUT, 50):
        recovery.step(cycle)
    assert server.requests == [(0, 10, 2), (TIMEOUT, 10, 2), (2 * TIMEOUT, 10, 2)]
    assert not recovery.busy and recovery.failed and not card.given
    [finding] = recovery.findings()
    assert finding.startswith("messages 10 to 11 are missing: asked for 3 times")
    assert recovery.summary().unrecovered == 2


def test_an_answer_counts_the_tries_anew(desk: Desk) -> None:
    card, server, recovery = desk
    recovery.take({"first": 10, "next": 14}, 0)
    for first in range(10, 14):
        begin = server.requests[-1][0]
        recovery.step(begin + TIMEOUT)
        recovery.step(begin + 2 * TIMEOUT)
        server.answer(first, 1)
        recovery.step(begin + 2 * TIMEOUT + 5)
        card.take()
    recovery.step(20 * TIMEOUT)
    assert not recovery.busy and not recovery.failed and len(card.given) == 4
    assert recovery.summary().repeats == 8


def test_what_the_card_did_not_take_is_asked_for_again(desk: Desk) -> None:
    card, server, recovery = desk
    recovery.take({"first": 10, "next": 12}, 0)
    server.answer(10, 2)
    recovery.step(1)
    card.take(deaf=True)
    recovery.step(TIMEOUT + 1)
    assert recovery.busy and server.requests[-1][1:] == (10, 2)
    server.answer(10, 2)
    recovery.step(TIMEOUT + 2)
    card.take()
    recovery.step(TIMEOUT + 3)
    assert not recovery.busy and not recovery.failed


@pytest.mark.parametrize(
    "raw",
    [
        packet(10, [message(10)], session=b"ANOTHER   "),
        packet(11, [message(11)]),
        packet(8, [message(8), message(9)]),
        packet(10, [message(10)], count=2),
        packet(10, [message(10)])[:-1],
        packet(10, []),
        b"short",
    ],
    ids=["session", "later", "before", "count", "cut", "heartbeat", "short"],
)
def test_what_is_no_answer_is_not_used(desk: Desk, raw: bytes) -> None:
    card, server, recovery = desk
    recovery.take({"first": 10, "next": 12}, 0)
    server.ready.append(raw)
    recovery.step(1)
    assert not card.given and recovery.summary().unusable == 1 and recovery.busy


@pytest.mark.parametrize("size", [0, injection.LONGEST + 1])
def test_a_message_the_third_line_cannot_carry_is_said(desk: Desk, size: int) -> None:
    card, server, recovery = desk
    recovery.take({"first": 10, "next": 12}, 0)
    server.ready.append(packet(10, [bytes(size), message(11)]))
    recovery.step(1)
    assert recovery.failed and not card.given
    assert f"message 10 has {size} bytes" in next(iter(recovery.findings()))


def test_a_gap_told_again_while_it_is_filled_is_one(desk: Desk) -> None:
    card, server, recovery = desk
    recovery.take({"first": 10, "next": 20}, 0)
    server.answer(10, 5)
    recovery.step(1)
    card.take()
    recovery.take({"first": 15, "next": 25}, 2)
    server.answer(15, 10)
    recovery.step(3)
    card.take()
    recovery.step(4)
    assert [number for number, _ in card.given] == list(range(10, 25)) and not recovery.busy
    assert recovery.summary().gaps == 1
