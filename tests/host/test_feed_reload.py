"""When slots are joined and when they are declared EXACT, step by step, with a card that does what each story needs."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

import pytest

from hdl.spec import events, itch
from hdl.spec.geometry import PRESETS
from hdl.spec.reasons import Integrity, IntegrityCause
from host.config import RecoveryTable
from host.feed_reload import FeedReload
from host.glimpse import Snapshot
from host.heard import Heard
from host.recovery import Recovery
from sim.glimpse import GlimpseServer
from tests.host.test_recovery import SESSION, Server

TABLE = RecoveryTable(timeout_us=Decimal(100), tries=2, reload_feed=True)
LONG = 25_000
EVENT = itch.SYSTEM_EVENT.pack(stock_locate=0, tracking_number=0, timestamp=1, event_code="Q")
ORDER = itch.ADD_ORDER_NO_MPID.pack(
    stock_locate=11, tracking_number=0, timestamp=1, order_ref=5, side="B", shares=1, stock="AAA", price=100
)


class Card:
    """What of a loader is used. `joined` slots, `shut` lines, and whether all was declared EXACT."""

    def __init__(self) -> None:
        self.geometry, self.slots, self.bound = PRESETS["versa"], {"AAA": 0}, {0: 11}
        self.next_sequence = self.highest = 1
        self.inject_room, self.lost_after_use = 32, 0
        self.shut = self.declared = self.busy = False
        self.joined: Collection[int] = ()
        self.given: list[int] = []

    def symbol(self, slot: int) -> str:
        return "AAA"

    def listen(self, on: bool) -> None:
        self.shut = not on

    def go_on_at(self, number: int) -> None:
        self.next_sequence = self.highest = number

    def clear_book(self) -> None:
        pass

    def declare_exact(self) -> None:
        assert self.shut
        self.declared = True

    def inject(self, number: int, raw: bytes) -> None:
        assert number == self.next_sequence
        self.given.append(number)
        self.next_sequence += 1

    def stop(self) -> None:
        self.joined = ()

    def join(self, snapshot: Snapshot, slots: Collection[int]) -> None:
        assert snapshot.orders() == [ORDER] and not self.shut
        self.joined = slots


class Desk:
    """A snapshot of three messages on its way: it goes on at message 4."""

    def __init__(self, *, late: bool) -> None:
        self.card, self.state, self.cycle = Card(), Integrity.DEAD if late else Integrity.SUSPECT, 0
        self.heard = Heard(SESSION, Server())
        card = self.card
        self.recovery = Recovery(card, SESSION, TABLE, self.heard)  # type: ignore[arg-type]
        glimpse = GlimpseServer(SESSION, latency=10)
        glimpse.publish(1, [EVENT, EVENT, ORDER])
        self.anew = FeedReload(
            card, SESSION, TABLE, self.recovery, card, glimpse, heard=self.heard, late=late  # type: ignore[arg-type]
        )
        self.anew.attend(learn=lambda raw: None, integrity=lambda slot: self.state)
        if not late:
            self.anew.take(
                {"kind": events.INTEGRITY.code, "slot": 0xFFFF, "integrity": Integrity.SUSPECT,
                 "cause": IntegrityCause.LOST_AFTER_USE}, 0,
            )  # fmt: skip
        assert self.anew.busy

    def steps(self, count: int, clocks: int = 20) -> None:
        for _ in range(count):
            self.cycle += clocks
            self.anew.step(self.cycle)

    def joins(self) -> None:
        """Nothing came meanwhile, and a heartbeat tells."""
        self.steps(5)
        assert not self.card.joined
        self.card.highest = 4
        self.steps(1)
        assert self.card.joined == {0}

    def gap(self, first: int, behind: int) -> None:
        self.card.highest = behind
        self.anew.take({"kind": events.GAP.code, "first": first, "next": behind}, self.cycle)


def test_no_slot_is_joined_before_the_card_knows_what_came_meanwhile() -> None:
    desk = Desk(late=True)
    desk.steps(1)
    assert desk.card.shut
    desk.anew.hear(4, [ORDER, ORDER])
    desk.steps(50)
    assert desk.card.given == [3] and desk.card.next_sequence == 4 and not desk.card.shut
    assert not desk.card.joined, "a quiet line has told nothing yet"
    desk.card.highest = 6
    desk.steps(50)
    assert not desk.card.joined, "the gap is not declared yet: a slot would be EXACT"
    desk.gap(4, 6)
    desk.steps(1)
    assert desk.card.joined == {0} and not desk.recovery.busy
    desk.steps(1)
    assert desk.recovery.busy, "what came meanwhile is given behind the orders"
    desk.recovery.step(desk.cycle)
    assert desk.card.given == [3, 4, 5]


def test_where_nothing_came_meanwhile_there_is_nothing_to_wait_for() -> None:
    desk = Desk(late=True)
    desk.joins()
    desk.state = Integrity.EXACT
    desk.steps(2, LONG)
    assert not desk.anew.busy and not desk.card.declared and not list(desk.anew.findings())


@pytest.mark.parametrize("what", ["nothing", "hole", "bad", "dead"])
def test_declared_exact_behind_shut_lines_and_only_where_all_is_well(what: str) -> None:
    desk = Desk(late=False)
    desk.joins()
    desk.steps(2, LONG)
    assert desk.card.shut and not desk.card.declared
    if what == "hole":
        desk.card.highest = desk.card.next_sequence + 1
    elif what == "bad":
        desk.card.lost_after_use += 1
    elif what == "dead":
        desk.state = Integrity.DEAD
    desk.steps(1, LONG)
    assert desk.card.declared == (what == "nothing") and not desk.card.shut and desk.anew.busy == (what != "nothing")
    desk.card.highest = desk.card.next_sequence
    desk.steps(1, LONG)
    desk.steps(3, LONG)
    assert desk.card.declared == (what in ("nothing", "hole"))
