"""A slot is given its orders anew while the feed goes on: its book then, and the others' all the time, are the plain book's."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hdl.spec import injection, itch
from hdl.spec.geometry import Geometry
from hdl.spec.injection import Mark
from hdl.spec.reasons import Integrity, IntegrityCause
from tests.hdl.book.conftest import ADDED, NAMED
from tests.hdl.book.flows import Maker, add, delete, execute, replace, trade
from tests.hdl.book.model import Order, PlainBook, Row, rows_of
from tests.hdl.book.player import Seen, decode, play, step

EXACT, SUSPECT, DEAD = Integrity.EXACT, Integrity.SUSPECT, Integrity.DEAD
RELOADED, DETACHED, GAP = IntegrityCause.RELOADED, IntegrityCause.DETACHED, IntegrityCause.GAP
COMMAND = injection.command(1)
_PRIVATE = 1 << 32
"""Numbers of private messages begin here, so that each is told from the feed's."""


@dataclass
class Host:
    """Steps for the book, and the rows that must come of them: gate and host as they work together."""

    geometry: Geometry
    seed: int = 0
    steps: list[dict[str, Any]] = field(default_factory=lambda: [step(1, declare_exact=1)])
    rows: list[Row] = field(default_factory=list)
    model: PlainBook = field(default_factory=PlainBook)
    detached: int | None = None
    held: list[bytes] = field(default_factory=list)
    """Of the detached slot, passed over."""
    number: int = 0
    private: int = _PRIVATE

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def live(self, slot: int, raw: bytes, gap: int, **controls: int) -> None:
        """A message of the feed, which the gate passes over where its slot is detached."""
        self.number += 1
        before = len(self.model.rows)
        self.model.apply(self.number, slot, itch.MESSAGES[chr(raw[0])].unpack(raw))
        if slot == self.detached:
            self.held.append(raw)
            self.steps.append(step(gap, **controls))
        else:
            self.rows += self.model.rows[before:]
            self.steps.append(step(gap, decode(raw, self.geometry, slot=slot, number=self.number), **controls))

    def detach(self, slot: int, gap: int, **controls: int) -> None:
        """The slot's orders as they are now become the snapshot."""
        self.detached, self.held = slot, []
        self.snapshot = [(ref, Order(**vars(one))) for ref, one in self.model.orders.items() if one.slot == slot]
        self._marked(COMMAND, Mark.DETACH, gap, detached=1 << slot, **controls)

    def give(self, raw: bytes, gap: int) -> None:
        """A private message."""
        self._marked(raw, Mark.PRIVATE, gap)

    def give_snapshot(self, gap: int) -> None:
        """Open orders, in any order."""
        self.random.shuffle(self.snapshot)
        for reference, one in self.snapshot:
            self.give(add(reference, one.side, one.shares, one.price), gap)

    def give_held(self, gap: int) -> None:
        """What was passed over so far."""
        for raw in self.held:
            self.give(raw, gap)
        self.held = []

    def attach(self, gap: int, *, row: bool = True) -> None:
        """The slot has all that came so far."""
        assert self.detached is not None and not self.held
        slot, self.detached = self.detached, None
        self._marked(COMMAND, Mark.ATTACH, gap, slot=slot, detached=0)
        if row:
            self.rows.append((self.private, slot, *self.model.best(slot)))

    def _marked(self, raw: bytes, mark: Mark, gap: int, *, slot: int | None = None, **controls: int) -> None:
        self.private += 1
        slot = self.detached if slot is None else slot
        assert slot is not None
        self.steps.append(step(gap, decode(raw, self.geometry, slot=slot, number=self.private, mark=mark), **controls))

    def play(self, folder: Path, *, settle: int = 3000) -> Seen:
        return play(self.geometry, self.steps, folder, settle=settle)

    def judge(self, seen: Seen) -> None:
        for slot in range(self.geometry.slots):
            assert [row for row in seen.told if row[1] == slot] == [row for row in self.rows if row[1] == slot]
        assert seen.live == len(self.model.orders)
        assert not seen.drops


def told(seen: Seen) -> list[tuple[int, Integrity, IntegrityCause]]:
    """Records behind the first declaration, but for those of windows."""
    return [(one["slot"], Integrity(one["integrity"]), IntegrityCause(one["cause"])) for one in seen.changes[1:]]


def of_slot(slot: int, pairs: list[tuple[int, int]]) -> list[int]:
    return [value for number, value in pairs if number == slot]


@pytest.mark.parametrize("seed", range(4))
def test_reloads_under_live_traffic(tiny: Geometry, seed: int, tmp_path: Path) -> None:
    """At any time, in a rebuild and right behind a replace too, one slot after the other, whose own messages go on as well."""
    host, pick = Host(tiny, seed), random.Random(1000 + seed)
    waits, given = 0, False
    for slot, raw in Maker(200 + seed, slots=4, most=60).messages(1500):
        host.live(slot, raw, pick.choice((100, 120, 160)))
        if host.detached is None:
            if pick.random() < 0.02:
                host.detach(pick.randrange(4), pick.choice((1, 2, 3, 5, 8, 9, 13, 100)))
                waits, given = pick.randrange(12), False
        elif waits:
            waits -= 1
        elif not given:
            host.give_snapshot(pick.choice((13, 30, 60)))
            given = True
        elif pick.random() < 0.5:
            host.give_held(pick.choice((13, 30, 60)))
            if pick.random() < 0.5:
                host.attach(pick.choice((1, 13, 60)))
    if host.detached is not None:
        host.give_snapshot(30) if not given else None
        host.give_held(30)
        host.attach(30)
    seen = host.play(tmp_path)
    host.judge(seen)
    for slot in range(4):
        assert of_slot(slot, [(one, price) for _, one, price in seen.trades]) == of_slot(slot, host.model.trades)
    assert any(row["clock"] - seen.sent[row["sequence"]] > 20 for row in seen.bbo), "no rebuild was met"
    reloaded = [row[1] for row in host.rows if row[0] > _PRIVATE]
    assert len(reloaded) > 5
    changes = told(seen)
    assert [each for each in changes if each[1] is not DEAD] == [(slot, EXACT, RELOADED) for slot in reloaded]
    assert [each for each in changes if each[1] is DEAD] == [(slot, DEAD, DETACHED) for slot in reloaded]
    assert seen.integrity == [EXACT] * 4


def filled(geometry: Geometry, orders: int, others: int) -> Host:
    """Slot 1 with orders on both sides, slot 0 with others."""
    host = Host(geometry)
    for number in range(1, orders + 1):
        host.live(1, add(number, "BS"[number % 2], number, 1_000_000 + 100 * number if number % 2 else 900_000), 24)
    for number in range(1, others + 1):
        host.live(0, add(1 << 40 | number, "B", number, 500_000), 24)
    return host


@pytest.mark.parametrize("orders", [0, 1, 30])
def test_what_a_detach_takes(tiny: Geometry, orders: int, tmp_path: Path) -> None:
    """Its followers wait for a clock a row, one an order, one a row that holds some, and what lies before and behind."""
    host = filled(tiny, orders, 10)
    host.detach(1, 24)
    host.live(0, add(1 << 41, "B", 7, 600_000), 1)
    seen = host.play(tmp_path)
    places = {rows_of(reference, tiny) for reference in range(1, orders + 1)}
    assert all(one == other for one, other in places), "references this low lie in the same row of either bank"
    assert seen.latency(host.number) + 1 == tiny.order_rows + orders + len(places) + (33 if tiny.line_rate else 20)
    assert seen.rows == host.rows and seen.live == 11


def test_what_waits_meanwhile_is_not_lost(tiny: Geometry, tmp_path: Path) -> None:
    """Messages of the others at the smallest distance of the wire, longer than the walk of the table lasts."""
    host = filled(tiny, 40, 5)
    host.detach(1, 24)
    for number in range(40):
        host.live(number % 2 * 2, add(1 << 20 | number, "B", 9, 700_000 + 100 * number), 21)
    host.give_snapshot(24)
    host.attach(24)
    seen = host.play(tmp_path)
    host.judge(seen)
    late = [seen.latency(number) for number in range(46, 86)]
    assert max(late) > 100 and late[-1] == ADDED[tiny.line_rate]


def test_an_attach_gives_its_best_as_fast_as_a_sale(tiny: Geometry, tmp_path: Path) -> None:
    """As what names an order; an empty book is told too."""
    host = filled(tiny, 4, 1)
    for whole in (False, True):
        host.detach(1, 300)
        if whole:
            host.give_snapshot(300)
        host.attach(300, row=False)
    seen = host.play(tmp_path)
    assert [row[2:] for row in seen.rows[-2:]] == [(0, 0, 0, 0), host.model.best(1)]
    assert [row["clock"] - seen.sent[row["sequence"]] for row in seen.bbo[-2:]] == 2 * [NAMED[tiny.line_rate]]


@pytest.mark.parametrize("before", [0, 1])
def test_a_slot_is_exact_behind_its_touch(tiny: Geometry, before: int, tmp_path: Path) -> None:
    """Not in the clock before: who goes by an older touch, or has a price made from one on the way, must find the slot DEAD. Its
    record comes a clock behind."""
    host = filled(tiny, 4, 1)
    host.detach(1, 300)
    host.give_snapshot(300)
    host.live(before, add(1 << 41, "B", 7, 600_000), 300)
    host.give_held(1)
    host.attach(1)
    host.live(0, add(1 << 42, "B", 7, 600_100), 1)
    seen = host.play(tmp_path)
    host.judge(seen)
    [exact] = [one["clock"] for one in seen.events if one["slot"] == 1 and one["integrity"] == EXACT]
    [touch] = [row["clock"] for row in seen.bbo if row["sequence"] == host.private]
    assert exact - 1 == touch + (7 if before and not tiny.line_rate else 6)


def test_a_loss_behind_an_attach_that_waits_leaves_the_slot_dead(tiny: Geometry, tmp_path: Path) -> None:
    """The queue runs full while the ATTACH is in it: what is lost came behind what it counts on. The next one is taken."""
    host = filled(tiny, 4, 1)
    host.detach(1, 24)
    host.give_snapshot(300)
    host.steps.append(step(300))
    for number in range(10):
        host.live(0, add(1 << 20 | number, "B", 9, 700_000 + 100 * number), 1)
    host.attach(1)
    for number in range(40):
        host.live(1, add(1 << 30 | number, "B", 7, 1_200_000 + 100 * number), 1)
    host.steps.append(step(300))
    host.detach(1, 24)
    host.give_snapshot(300)
    host.attach(300)
    seen = host.play(tmp_path)
    assert seen.drops
    assert told(seen) == [(1, DEAD, DETACHED), (1, DEAD, RELOADED), (1, DEAD, DETACHED), (1, EXACT, RELOADED)]
    assert seen.integrity == [EXACT] * 4


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (add(3, "B", 5, 800_000), IntegrityCause.DUPLICATE_ORDER),
        (add(99, "B", 0, 800_000), IntegrityCause.ZERO_SHARES),
        (add(99, "B", 5, 800_001), IntegrityCause.OFF_TICK),
        (delete(99), IntegrityCause.UNKNOWN_ORDER),
        (execute(3, 77), IntegrityCause.OVERFILL),
        (replace(3, 4, 5, 800_000), IntegrityCause.DUPLICATE_ORDER),
    ],
)
def test_a_slot_with_an_error_on_the_way_stays_dead(tiny: Geometry, fault: bytes, cause: IntegrityCause, tmp_path: Path) -> None:
    """Until it was given its orders anew without one. The error is told once, the one behind it not."""
    host = filled(tiny, 4, 1)
    host.detach(1, 24)
    host.give_snapshot(300)
    host.give(fault, 24)
    host.give(delete(98), 24)
    host.attach(24, row=False)
    host.steps.append(step(200))
    host.detach(1, 24)
    host.give_snapshot(300)
    host.attach(24)
    seen = host.play(tmp_path)
    assert told(seen) == [
        (1, DEAD, DETACHED), (1, DEAD, cause), (1, DEAD, RELOADED), (1, DEAD, DETACHED), (1, EXACT, RELOADED),
    ]  # fmt: skip
    assert seen.live == len(host.model.orders)
    assert seen.rows[-1] == host.rows[-1]


def test_no_room_in_the_table(scarce: Geometry, tmp_path: Path) -> None:
    """A slot that finds none for its orders stays DEAD; what it has left is free for the others."""
    host, number = Host(scarce), 0
    for number in range(1, 30):
        host.live(number % 2, add(number, "B", 9, 500_000), 24, declare_exact=1)
    host.detach(1, 24)
    host.give_snapshot(24)
    for more in range(1, 40):
        host.give(add(1 << 30 | more, "S", 9, 600_000), 24)
    host.attach(24, row=False)
    host.detach(1, 200)
    seen = host.play(tmp_path)
    cause = IntegrityCause.TABLE_FULL
    assert told(seen)[-4:] == [
        (1, DEAD, DETACHED), (1, DEAD, cause), (1, DEAD, RELOADED), (1, DEAD, DETACHED)
    ]  # fmt: skip
    kept = [one for one in host.model.orders.values() if one.slot == 0]
    lost = sum(1 for slot, _, why in told(seen)[:-4] if slot == 0 and why is cause)
    assert seen.live == len(kept) - lost


@pytest.mark.parametrize(
    ("controls", "state"),
    [
        ((), EXACT),
        (({"suspect": GAP},), SUSPECT),
        (({"suspect": GAP}, {"recovered": 1}), EXACT),
        (({"suspect": GAP}, {"suspect": GAP}, {"recovered": 1}), EXACT),
        (({"suspect": GAP}, {"given_up": 1}, {"recovered": 1}), SUSPECT),
        (({"suspect": IntegrityCause.LOST_AFTER_USE}, {"recovered": 1}), SUSPECT),
        (({"suspect": IntegrityCause.LOST_AFTER_USE}, {"declare_exact": 1}), EXACT),
        (({"declare_exact": 1},), EXACT),
    ],
)
@pytest.mark.parametrize("all_dead", [False, True])
def test_what_is_missing_for_the_others_is_missing_for_it(
    tiny: Geometry, controls: tuple[dict[str, int], ...], state: Integrity, all_dead: bool, tmp_path: Path
) -> None:
    """A gap, its end, a declaration while the slot is detached, where another slot is there to be lowered and where none is."""
    host = filled(tiny, 4, 1)
    if all_dead:
        for slot in (0, 2, 3):
            host.live(slot, delete(1 << 50), 24)
    host.detach(1, 24)
    for each in controls:
        host.steps.append(step(150, **each))
    assert host.detached == 1
    host.steps.append(step(200))
    host.give_snapshot(24)
    host.attach(24)
    seen = host.play(tmp_path)
    assert (1, state, RELOADED) == told(seen)[-1]
    assert [each for each in told(seen) if each[0] == 1 and each[1] is not DEAD] == [(1, state, RELOADED)]
    assert seen.integrity[1] == state
    assert seen.rows == host.rows


@pytest.mark.parametrize("all_dead", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_a_gap_that_ends_later_mends_it_with_the_others(tiny: Geometry, all_dead: bool, late: bool, tmp_path: Path) -> None:
    """Attached while messages are missing, or before they were: one record for all that were SUSPECT."""
    host = filled(tiny, 4, 1)
    if all_dead:
        for slot in (0, 2, 3):
            host.live(slot, delete(1 << 50), 24)
    host.detach(1, 24)
    gap = step(150, suspect=GAP)
    host.steps += [] if late else [gap]
    host.steps.append(step(200))
    host.give_snapshot(24)
    host.attach(24)
    host.steps += [gap] if late else []
    host.steps += [step(100, recovered=1), step(100)]
    seen = host.play(tmp_path)
    assert told(seen)[-1] == (0xFFFF, EXACT, IntegrityCause.RECOVERED)
    assert seen.integrity[1] == EXACT
    assert seen.integrity[0] == (DEAD if all_dead else EXACT)


def test_private_messages_that_find_no_room_are_told(tiny: Geometry, tmp_path: Path) -> None:
    host = filled(tiny, 2, 1)
    host.detach(1, 24)
    for _ in range(40):
        host.give(trade(5), 1)
    for number in range(20):
        host.live(0, add(1 << 20 | number, "B", 9, 700_000), 1)
    seen = host.play(tmp_path)
    assert seen.drops and seen.lost_private == seen.drops[: len(seen.lost_private)]
    assert 0 < len(seen.lost_private) < len(seen.drops)
    assert (1, DEAD, DETACHED) in told(seen)


def test_a_declaration_leaves_the_detached_slot_dead(tiny: Geometry, tmp_path: Path) -> None:
    """And one that comes together with a gap does not make it SUSPECT."""
    host = filled(tiny, 2, 1)
    host.detach(1, 24)
    host.steps += [step(150, declare_exact=1), step(50, declare_exact=1, suspect=GAP)]
    seen = host.play(tmp_path)
    assert seen.integrity == [SUSPECT, DEAD, SUSPECT, SUSPECT]


def test_an_attach_that_waits_while_the_book_is_emptied_leaves_its_slot_dead(tiny: Geometry, tmp_path: Path) -> None:
    """And says so: what it was to stand for is gone."""
    host = filled(tiny, 2, 1)
    host.detach(1, 24)
    for _ in range(6):
        host.give(trade(5), 1)
    host.attach(1, row=False)
    host.steps.append(step(1, clear=1))
    seen = host.play(tmp_path)
    assert seen.integrity == [DEAD] * 4
    assert told(seen)[-2:] == [(0xFFFF, DEAD, IntegrityCause.CLEARED), (1, DEAD, RELOADED)]


@pytest.mark.parametrize("doubt", [{"suspect": IntegrityCause.LOST_AFTER_USE}, {"suspect": GAP, "given_up": 1}])
def test_doubt_ends_where_the_book_is_emptied(tiny: Geometry, doubt: dict[str, int], tmp_path: Path) -> None:
    """What was missing before is nothing to a slot that is given its orders after it; what is missing since is."""
    host = filled(tiny, 4, 1)
    host.steps += [step(50, **doubt), step(50, clear=1)]
    host.model.orders.clear()
    host.model.levels.clear()
    for slot in (1, 2):
        host.detach(slot, 200)
        host.attach(200)
        host.steps += [] if slot == 2 else [step(50, suspect=GAP)]
    host.steps.append(step(100, recovered=1))
    seen = host.play(tmp_path)
    assert (1, EXACT, RELOADED) in told(seen) and (2, SUSPECT, RELOADED) in told(seen)
    assert told(seen)[-1] == (0xFFFF, EXACT, IntegrityCause.RECOVERED)
    assert seen.integrity == [DEAD, EXACT, EXACT, DEAD]
