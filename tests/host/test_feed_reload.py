"""When books are emptied and slots are joined, step by step, with a card that does what each story needs."""

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
from host.recovery import Recovery, request_for
from sim.glimpse import GlimpseServer
from tests.host.test_recovery import SESSION, Server

TABLE = RecoveryTable(timeout_us=Decimal(100), tries=2, reload_feed=True)
LONG = 25_000
SILENCE = 50_000
EVENT = itch.SYSTEM_EVENT.pack(stock_locate=0, tracking_number=0, timestamp=1, event_code="Q")
ORDER = itch.ADD_ORDER_NO_MPID.pack(
    stock_locate=11, tracking_number=0, timestamp=1, order_ref=5, side="B", shares=1, stock="AAA", price=100
)


class Card:
    """What of a loader is used. `joined` slots, `shut` lines, and how often the books were emptied."""

    def __init__(self) -> None:
        self.geometry, self.slots, self.bound = PRESETS["versa"], {"AAA": 0}, {0: 11}
        self.next_sequence = self.highest = 1
        self.inject_room, self.lost_after_use, self.events_lost, self.gap_wait = 32, 0, 0, 500
        self.shut = self.busy = False
        self.emptied = 0
        self.hears = True
        self.joined: Collection[int] = ()
        self.given: list[int] = []
        self.deaf = False

    def symbol(self, slot: int) -> str:
        return "AAA"

    def listen(self, on: bool) -> None:
        self.shut = not on

    def go_on_at(self, number: int) -> None:
        self.next_sequence = self.highest = number

    def clear_book(self) -> None:
        assert self.shut
        self.emptied += 1

    def inject(self, number: int, raw: bytes) -> None:
        assert number == self.next_sequence + self.deaf * len(self.given)
        self.given.append(number)
        self.next_sequence += not self.deaf

    def stop(self, *, hearing: bool = True) -> None:
        self.joined = ()
        self.hears = hearing

    def join(self, snapshot: Snapshot, slots: Collection[int]) -> None:
        assert snapshot.orders() == [ORDER] and not self.shut
        self.joined = slots


class Desk:
    """A snapshot of three messages on its way: it goes on at message 4."""

    def __init__(self, *, late: bool, wanted: bool = True, answered: bool = True) -> None:
        self.card, self.state, self.cycle = Card(), Integrity.DEAD if late else Integrity.SUSPECT, 0
        self.heard = Heard(SESSION, Server())
        self.missed = 0
        card = self.card
        self.recovery = Recovery(card, SESSION, TABLE, self.heard)  # type: ignore[arg-type]
        glimpse = GlimpseServer(SESSION, latency=10 if answered else 1 << 40)
        glimpse.publish(1, [EVENT, EVENT, ORDER])
        self.anew = FeedReload(
            card, SESSION, TABLE, self.recovery, card, glimpse, heard=self.heard, late=late  # type: ignore[arg-type]
        )
        self.anew.attend(
            learn=lambda raw: None, integrity=lambda slot: self.state, lost=lambda: self.missed, silence=SILENCE
        )
        if not late and wanted:
            self.anew.take(
                {"kind": events.INTEGRITY.code, "slot": 0xFFFF, "integrity": Integrity.SUSPECT,
                 "cause": IntegrityCause.LOST_AFTER_USE}, 0,
            )  # fmt: skip
        assert self.anew.busy == wanted

    def steps(self, count: int, clocks: int = 20) -> None:
        for _ in range(count):
            self.cycle += clocks
            self.anew.step(self.cycle)

    def joins(self) -> None:
        """Nothing came meanwhile, and a heartbeat tells."""
        self.steps(5)
        self.steps(2, 2_000)
        assert not self.card.joined and not self.card.shut
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
    desk.steps(100)
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
    assert not desk.anew.busy and not list(desk.anew.findings())


@pytest.mark.parametrize("counts", ["events_lost", "lost_after_use", ""])
def test_slots_that_stay_suspect_where_nothing_is_missing_have_it_begun_anew(counts: str) -> None:
    """A bad frame was used behind the snapshot, or what slots are is not known."""
    desk = Desk(late=False)
    desk.joins()
    desk.state = Integrity.SUSPECT
    if counts:
        setattr(desk.card, counts, 1)
    desk.steps(2, LONG)
    assert desk.anew.summary().snapshots == 2
    desk.steps(2, 2_000)
    desk.card.highest = 4
    desk.steps(1)
    desk.state = Integrity.EXACT
    desk.steps(5, LONG)
    assert desk.card.emptied == 2 and not desk.anew.busy and not list(desk.anew.findings())


def test_it_is_over_once_the_hole_is_filled_that_came_meanwhile() -> None:
    desk = Desk(late=False)
    desk.joins()
    desk.state, desk.card.highest = Integrity.SUSPECT, 6
    desk.steps(4, LONG)
    assert desk.anew.busy and desk.anew.summary().snapshots == 1
    desk.state, desk.card.next_sequence = Integrity.EXACT, 6
    desk.recovery.step(desk.cycle)
    desk.steps(3, LONG)
    assert not desk.anew.busy and desk.anew.summary().ended == 1


@pytest.mark.parametrize("exact", [False, True])
def test_without_a_snapshot_no_slot_stays_exact_and_nothing_is_heard(exact: bool) -> None:
    desk = Desk(late=False, answered=False)
    desk.steps(1)
    desk.state = Integrity.EXACT if exact else Integrity.SUSPECT
    desk.card.highest = 9
    desk.steps(2, LONG)
    assert desk.anew.busy and not desk.card.emptied and desk.card.highest == 1, "nothing mends a slot any more"
    desk.steps(2, LONG)
    assert desk.anew.failed and desk.card.shut and desk.card.emptied == 1 and not desk.card.hears
    desk.anew.hear(4, [ORDER])
    desk.heard.request(request_for(SESSION, 4, 1), 0)
    assert not desk.heard.answers(0)


def test_a_line_that_stays_silent_has_it_begun_anew() -> None:
    """The host heard two messages while the lines were shut, of which the card does not tell."""
    desk = Desk(late=True)
    desk.steps(1)
    desk.anew.hear(4, [ORDER, ORDER])
    desk.steps(4, 2_000)
    desk.card.highest = 6
    desk.steps(1, SILENCE - 5_000)
    assert not desk.card.shut and not desk.card.joined and desk.anew.summary().snapshots == 1
    desk.steps(1, 5_000)
    assert desk.card.shut and desk.anew.summary().snapshots == 2
    desk.steps(10, SILENCE)
    [finding] = desk.anew.findings()
    assert desk.anew.failed and "the card does not tell what came on the lines" in finding


@pytest.mark.parametrize("state", Integrity)
def test_a_bad_frame_nobody_tells_of(state: Integrity) -> None:
    """Where no slot is EXACT there is no record of it, and what is SUSPECT would stay so."""
    desk = Desk(late=False, wanted=False)
    desk.state = state
    desk.steps(3, LONG)
    assert not desk.anew.busy
    desk.card.lost_after_use += 1
    desk.steps(3, LONG)
    assert desk.anew.busy == (state is not Integrity.EXACT)


def test_the_states_are_given_behind_shut_lines() -> None:
    """What comes late on a line must not have the number of one: it would be taken in its place."""
    desk = Desk(late=True)
    desk.card.deaf = True
    desk.steps(100)
    assert desk.card.given == [3] and desk.card.shut
    desk.card.next_sequence = 4
    desk.steps(1)
    assert not desk.card.shut


@pytest.mark.parametrize(("slot", "state", "begins"), [(0xFFFF, Integrity.SUSPECT, True), (0, Integrity.DEAD, False)])
def test_a_message_that_may_be_of_any_slot_begins_the_feed_anew(slot: int, state: Integrity, begins: bool) -> None:
    """One that only its own slot misses is that slot's affair."""
    desk = Desk(late=False, wanted=False)
    record = {"kind": events.INTEGRITY.code, "slot": slot, "integrity": state, "cause": IntegrityCause.MALFORMED}
    desk.anew.take(record, 0)
    assert desk.anew.busy == begins
