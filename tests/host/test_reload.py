"""Slots that are given their orders anew, with a card that keeps what it is given and refuses what the gateware refuses."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

import pytest

from hdl.spec import events, injection, itch
from hdl.spec.geometry import PRESETS
from hdl.spec.injection import Mark
from hdl.spec.reasons import Integrity, IntegrityCause
from host.config import RecoveryTable
from host.glimpse import Snapshot
from host.reload import Reload
from sim.glimpse import GlimpseServer
from tests.host.test_recovery import SESSION, Server

TABLE = RecoveryTable(timeout_us=Decimal(100), tries=2, reload_feed=True)
CLOCKS = 12_500
LOCATES = {0: 11, 1: 12}


def order(slot: int) -> bytes:
    return itch.ADD_ORDER_NO_MPID.pack(
        stock_locate=LOCATES[slot], tracking_number=0, timestamp=1, order_ref=5 + slot, side="B", shares=1, stock="AAA", price=100
    )


class Card:
    """Of two slots; orders of those that are `small` do not fit. A `deaf` one takes nothing from the third line."""

    def __init__(self) -> None:
        self.geometry, self.slots, self.next_sequence = PRESETS["versa"], {"AAA": 0, "BBB": 1}, 4
        self.detached: int | None = None
        self.small: set[int] = set()
        self.deaf = False
        self.refuses = 0
        """Attachments that come too late, a message of the slot before them."""
        self.states = {0: Integrity.SUSPECT, 1: Integrity.SUSPECT}
        self.waiting: deque[tuple[int, bytes, Mark]] = deque()
        self.records: list[dict[str, int | str]] = []
        self._spoiled = False

    @property
    def inject_room(self) -> int:
        return injection.MESSAGES - len(self.waiting)

    def symbol(self, slot: int) -> str:
        return "AB"[slot] * 3

    def locate(self, slot: int) -> int:
        return LOCATES[slot]

    def inject(self, number: int, raw: bytes, mark: Mark) -> None:
        assert self.inject_room
        self.waiting.append((number, raw, mark))

    def detach(self, slot: int) -> None:
        self.inject(0, injection.command(LOCATES[slot]), Mark.DETACH)

    def attach(self, slot: int, number: int, *, timestamp: int = 0) -> None:
        self.inject(number, injection.command(LOCATES[slot]), Mark.ATTACH)

    def take(self) -> None:
        while self.waiting and not self.deaf:
            number, raw, mark = self.waiting.popleft()
            slot = int.from_bytes(raw[1:3], "big") - 11
            if mark is Mark.DETACH and self.detached in (None, slot):
                self.detached, self._spoiled = slot, False
                self._tell(slot, Integrity.DEAD, IntegrityCause.DETACHED)
            elif mark is Mark.PRIVATE and self.detached == slot and (slot in self.small or raw[:1] == b"D"):
                self._spoiled = True
                cause = IntegrityCause.UNKNOWN_ORDER if raw[:1] == b"D" else IntegrityCause.TABLE_FULL
                self._tell(slot, Integrity.DEAD, cause)
            elif mark is Mark.PRIVATE and self.detached == slot:
                # A window of half a book runs empty, and is filled: no error, and no news of the slot.
                self._tell(slot, Integrity.DEAD, IntegrityCause.WINDOW)
                self._tell(slot, Integrity.DEAD, IntegrityCause.REFILLED)
            elif mark is Mark.ATTACH and self.detached == slot and number < self.next_sequence:
                self.refuses -= 1
                if self.refuses < 0:
                    self.detached = None
                    self._tell(slot, Integrity.DEAD if self._spoiled else Integrity.SUSPECT, IntegrityCause.RELOADED)

    def _tell(self, slot: int, state: Integrity, cause: IntegrityCause) -> None:
        self.states[slot] = state
        self.records.append({"kind": events.INTEGRITY.code, "slot": slot, "integrity": state, "cause": cause, "sequence": 1})


class Desk:
    def __init__(self) -> None:
        self.card, self.cycle = Card(), 0
        self.reload = Reload(self.card, SESSION, TABLE, Server(), GlimpseServer(SESSION))  # type: ignore[arg-type]
        self.reload.stop()

    def join(self) -> None:
        """More orders than there is room for at once."""
        self.reload.join(Snapshot(4, (*40 * [order(0)], order(1))), {0, 1})

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.cycle += 100
            self.reload.step(self.cycle)
            self.card.take()
            for record in self.card.records:
                self.reload.take(record)
            self.card.records.clear()


@pytest.mark.parametrize("refuses", [0, 3])
def test_a_slot_that_does_not_fit_is_released_for_the_others(refuses: int) -> None:
    """As long as one is detached no other can be."""
    desk = Desk()
    desk.card.small = {0}
    desk.join()
    desk.steps(2)
    desk.card.refuses = refuses
    desk.steps(40)
    assert not desk.reload.busy and desk.card.detached is None and desk.card.refuses < 0
    assert desk.card.states == {0: Integrity.DEAD, 1: Integrity.SUSPECT} and desk.reload.attached == {1}
    assert list(desk.reload.findings()) == ["AAA: not reloaded: table_full; it stays DEAD"]
    counts = desk.reload.summary()
    assert (counts.reloaded, counts.given_up) == (1, 1)


def test_what_was_attached_is_what_the_card_says() -> None:
    desk = Desk()
    desk.join()
    desk.steps(30)
    assert desk.reload.attached == {0, 1} and not desk.reload.busy
    desk.join()
    assert not desk.reload.attached
    desk.card.deaf = True
    desk.steps(10 * CLOCKS // 100)
    assert not desk.reload.busy and not desk.reload.attached
    assert all("no answer in time, nor released" in finding for finding in desk.reload.findings())


def test_who_has_stopped_for_good_hears_nothing() -> None:
    desk = Desk()
    for hearing in (True, False):
        desk.reload.stop(hearing=hearing)
        desk.reload.hear(4, [order(0)])
        assert bool(desk.reload._heard) == hearing


@pytest.mark.parametrize("raw", [b"D" + bytes([0, 11]) + bytes(8), order(0)[:-1], order(0) + b"!", b"A\0\x0b"])
def test_a_message_that_cannot_be_read_needs_another_snapshot(raw: bytes) -> None:
    """The card would refuse it, and what is behind it is worth nothing without it. Another stock's is passed by."""
    desk = Desk()
    desk.card.next_sequence = 6
    desk.join()
    desk.reload.hear(4, [order(1)[:-1], raw])
    desk.steps(40)
    assert not desk.reload.busy and desk.card.detached is None
    assert desk.card.states[0] == Integrity.DEAD and desk.reload.summary().given_up == 2
    assert [finding.split(": ")[-1] for finding in desk.reload.findings()] == [
        "message 5 cannot be read; it stays DEAD", "message 4 cannot be read; it stays DEAD",
    ]  # fmt: skip
