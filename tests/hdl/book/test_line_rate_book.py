"""What the book at line rate has to itself: messages that follow each other as closely as any line brings them."""

from __future__ import annotations

import random
from dataclasses import replace as altered
from pathlib import Path

import pytest

from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Integrity, IntegrityCause
from sim.twin import Twin
from tests.hdl.book.conftest import FULL, PATIENT, TINY
from tests.hdl.book.flows import Flow, Maker, add, cancel, delete, execute, replace, trade
from tests.hdl.book.player import Seen, decode, play, step
from tests.hdl.book.test_order_book import judge
from tests.hdl.book.test_slot_reload import Host, of_slot

NEAR, FAR = 5_000_000, 1_000_000
"""Prices further apart than a window is wide."""
FAR_ENOUGH = range(1, 19)
"""Clocks between two messages, until nothing of the first is on its way any more."""
DISTANCES = ((1,), (2,), (3,), (1, 2, 3, 4), (2, 5, 9), (1, 1, 1, 1, 30), (7, 14, 40, 100))
"""Clocks between two messages; they are mixed."""


def played(geometry: Geometry, flow: Flow, gaps: dict[int, int], folder: Path, *, gap: int = 60, settle: int = 3000) -> Seen:
    """Play a flow; messages come `gap` clocks behind the one before, but for those in `gaps`."""
    steps = [step(1, declare_exact=1)]
    for number, (slot, raw) in enumerate(flow, 1):
        steps.append(step(gaps.get(number, gap), decode(raw, geometry, slot=slot, number=number)))
    return play(geometry, steps, folder, settle=settle)


def by_twin(geometry: Geometry, flow: Flow) -> tuple[list[tuple[int, ...]], list[tuple[int, int, str]]]:
    """Rows and faults of a flow, as the twin has them."""
    twin = Twin(geometry, bindings={slot + 1: slot for slot in range(geometry.slots)}, next_sequence=1)
    stream = b""
    for slot, raw in flow:
        stream += len(raw).to_bytes(2, "big") + raw[:1] + (slot + 1).to_bytes(2, "big") + raw[3:]
    names = ("sequence", "slot", "bid_price", "bid_shares", "ask_price", "ask_shares")
    rows = [tuple(int(row[name]) for name in names) for row in twin.feed(stream)]
    return rows, [(one.sequence, one.slot, one.cause.name) for one in twin.transitions]


@pytest.mark.parametrize(
    ("gap", "flow"),
    [
        (2, [(0, add(number, "B", 1, 100 + number)) for number in range(1, 60)]),
        (2, [(0, (add(n, "B", 1, 100), delete(n))[way]) for n in range(1, 30) for way in range(2)]),
        (2, [(0, add(1, "S", 1000, 5000))] + [(0, cancel(1, number % 3)) for number in range(2, 60)]),
        (2, [(0, add(1, "S", 1000, 5000))] + [(0, execute(1, 1)) for _ in range(58)]),
        (4, [(0, add(1, "S", 1, 5000))] + [(0, replace(n, n + 1, 1, 5000 - n)) for n in range(1, 40)]),
    ],
    ids=["adds", "adds and deletes", "cancels", "executions", "replaces"],
)  # fmt: skip
def test_interval_between_messages(gap: int, flow: Flow, tmp_path: Path) -> None:
    """All of one order, level or slot: a replace begins every fourth clock, everything else every second."""
    geometry = altered(TINY, line_rate=True)
    seen = played(geometry, flow, {}, tmp_path, gap=gap, settle=200)
    judge(flow, seen)
    assert not seen.faults
    shown = [number for number in range(2, len(flow) + 1) if any(row["sequence"] == number for row in seen.bbo)]
    # They go through the queue, which they never find full: the first ones fill what takes them 3 clocks, and no more wait later.
    assert len(shown) > 30 and max(seen.latency(number) for number in shown) <= 13 + 2 * (gap == 4) + 5


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(8))
def test_messages_as_close_as_can_be(seed: int, tmp_path: Path, soak: bool) -> None:
    """Of few orders or many, of one slot or more, at distances from a clock on; windows run empty, rules are broken."""
    for each in range(seed, 800 if soak else 8, 8):
        close(each, tmp_path)


def close(seed: int, folder: Path) -> None:
    pick = random.Random(seed)
    geometry = FULL if seed % 4 == 3 else PATIENT
    slots, most, faults = pick.choice((1, 2, geometry.slots)), pick.choice((2, 3, 6, 20, 60)), bool(seed % 2)
    gaps = DISTANCES[seed % len(DISTANCES)]
    flow = list(Maker(seed, slots=slots, most=most, faults=faults).messages(1000))
    seen = played(geometry, flow, {number: pick.choice(gaps) for number in range(1, len(flow) + 1)}, folder, settle=40_000)
    rows, told = by_twin(geometry, flow)
    assert not seen.drops
    assert seen.rows == rows
    assert sorted(seen.faults) == sorted(told)
    if geometry is PATIENT:
        judge(flow, seen)


def at_each_distance(flow: Flow, first: int, folder: Path) -> Seen:
    """Play a flow time and again on a book that was emptied, its messages from `first` on a clock later each time."""
    steps, number = [], 0
    for distance in FAR_ENOUGH:
        steps.append(step(600, clear=1))
        steps.append(step(100, declare_exact=1))
        for place, (slot, raw) in enumerate(flow, 1):
            number += 1
            steps.append(step(distance if place >= first else 60, decode(raw, PATIENT, slot=slot, number=number)))
    return play(PATIENT, steps, folder, settle=1000)


def compare(seen: Seen, flow: Flow) -> None:
    """Each time the rows are those of the twin, and of a book that was EXACT to begin with."""
    rows, told = by_twin(PATIENT, flow)
    each = [(again * len(flow), one) for again in range(len(FAR_ENOUGH)) for one in rows]
    assert seen.rows == [(begin + number, *rest) for begin, (number, *rest) in each]
    faults = [fault for fault in seen.faults if fault[2] != "CLEARED"]
    assert faults == [(again * len(flow) + number, *rest) for again in range(len(FAR_ENOUGH)) for number, *rest in told]


def test_a_message_meets_those_before_it(tmp_path: Path) -> None:
    """On its order, its level, its side, its slot, its rows of the table."""
    flow: Flow = [
        (0, add(1, "B", 100, NEAR)),
        (0, delete(1)),
        (0, add(1, "B", 70, NEAR)),  # the same reference anew
        (0, add(2, "B", 30, NEAR)),
        (0, replace(1, 1, 20, NEAR)),  # by itself
        (0, replace(1, 3, 20, NEAR - 100)),
        (0, replace(3, 4, 20, NEAR)),
        (1, add(66, "S", 10, NEAR)),
        (0, cancel(2, 30)),
        (0, execute(4, 5)),
        (0, delete(4)),
        (1, delete(66)),
        (0, add(5, "B", 7, NEAR)),
        (0, add(6, "B", 9, NEAR)),
        (0, execute(6, 5)),  # what it leaves
        (0, cancel(6, 1)),
        (0, delete(6)),
        (0, delete(5)),
    ]
    seen = at_each_distance(flow, 2, tmp_path)
    compare(seen, flow)
    assert not [fault for fault in seen.faults if fault[2] != "CLEARED"]


def test_an_order_that_went_is_unknown(tmp_path: Path) -> None:
    """By a deletion, by executions of all it had, by a replace; and it is not the one that has its reference since."""
    flow: Flow = [(0, add(1, "B", 9, NEAR)), (0, delete(1)), (0, delete(1)), (0, add(2, "B", 9, NEAR)), (0, execute(2, 5))]
    flow += [(0, execute(2, 4)), (1, cancel(2, 1)), (1, add(3, "S", 9, NEAR)), (1, replace(3, 4, 8, NEAR)), (2, execute(3, 1))]
    seen = at_each_distance(flow, 2, tmp_path)
    compare(seen, flow)
    assert [slot for _, slot, cause in seen.faults if cause == "UNKNOWN_ORDER"] == [0, 1, 2] * len(FAR_ENOUGH)


def test_followers_of_a_message_that_empties_its_window_begin_anew(tmp_path: Path) -> None:
    """Its slot's and others', replaces and sales among them: nothing of them is told twice or left out."""
    flow: Flow = [(1, add(1, "B", 1, NEAR)), (1, add(2, "B", 9, FAR)), (2, add(3, "S", 4, NEAR)), (2, add(4, "S", 7, NEAR + 100))]
    flow += [
        (1, delete(1)),
        (2, add(8, "S", 2, NEAR)),
        (2, replace(3, 5, 6, NEAR - 100)),
        (1, execute(2, 1)),
        (2, execute(5, 2)),
        (1, add(6, "B", 3, FAR + 100)),
        (2, trade(NEAR)),
        (1, replace(2, 7, 8, FAR)),
    ]
    seen = at_each_distance(flow, 6, tmp_path)
    compare(seen, flow)
    assert len(seen.filled) == len(FAR_ENOUGH)
    assert [price for _, _, price in seen.trades if price == NEAR] == [NEAR] * len(FAR_ENOUGH)
    assert len(seen.trades) == 3 * len(FAR_ENOUGH)


def test_two_windows_one_right_behind_the_other(tmp_path: Path) -> None:
    """The second one is filled while the first one waits, wherever that came to, and nothing begins until it is."""
    flow: Flow = [(1, add(5, "B", 1, NEAR)), (1, add(2, "B", 9, FAR)), (2, add(3, "S", 4, NEAR))]
    flow += [(2, add(1, "S", 7, NEAR + 20_000)), (1, delete(5)), (2, delete(3)), (2, execute(1, 1)), (3, add(8, "B", 2, NEAR))]
    flow += [(1, execute(2, 1)), (2, delete(1)), (1, delete(2)), (3, delete(8))]
    seen = at_each_distance(flow, 6, tmp_path)
    compare(seen, flow)
    assert len(seen.filled) == 2 * len(FAR_ENOUGH)


def test_the_next_message_of_a_slot_waits_for_its_window(tmp_path: Path) -> None:
    """However soon it comes; and of a window filled with what it showed before no touch is told."""
    flow: Flow = [(1, add(1, "B", 1, NEAR)), (1, add(2, "B", 9, FAR)), (1, replace(1, 3, 1, NEAR)), (1, delete(3))]
    flow += [(1, execute(2, 1)), (1, delete(2))]
    seen = at_each_distance(flow, 4, tmp_path)
    compare(seen, flow)
    assert len(seen.filled) == 2 * len(FAR_ENOUGH)


def test_a_slot_is_attached_right_behind_a_message_that_empties_its_window(tmp_path: Path) -> None:
    """It begins only when nothing is on its way any more."""
    host = Host(PATIENT)
    for distance in FAR_ENOUGH:
        host.live(2, add(distance << 8, "B", 5, NEAR + 100 * distance), 60)
        host.live(1, add(1, "B", 1, NEAR), 60)
        host.live(1, add(2, "B", 9, FAR), 60)
        host.detach(2, 60)
        host.give_snapshot(200)
        host.live(1, delete(1), 60)
        host.attach(distance)
        host.live(1, delete(2), 200)
    host.judge(host.play(tmp_path))


def test_an_order_that_is_not_added_leaves_its_level_as_it_is(tmp_path: Path) -> None:
    """For the one right behind it, and for the one behind that."""
    flow: Flow = [(1, add(20, "B", 9, NEAR)), (1, add(20, "B", 7, NEAR)), (1, add(21, "B", 5, NEAR)), (1, add(20, "B", 7, NEAR))]
    flow += [(2, trade(NEAR)), (1, add(22, "B", 3, NEAR)), (1, delete(20))]
    seen = at_each_distance(flow, 2, tmp_path)
    compare(seen, flow)


def test_the_sale_of_an_order_off_the_grid_has_its_price(tmp_path: Path) -> None:
    """And that of one on it, right behind."""
    flow: Flow = [(1, add(1, "B", 5, NEAR + 1)), (1, add(2, "B", 5, NEAR)), (1, execute(1, 2)), (1, execute(2, 2))]
    seen = at_each_distance(flow, 2, tmp_path)
    compare(seen, flow)
    assert [price for _, _, price in seen.trades] == [NEAR + 1, NEAR] * len(FAR_ENOUGH)


def test_followers_of_an_order_that_is_refused_begin_anew(tmp_path: Path) -> None:
    """Its level would overflow, so who names it names no order, and its reference is free."""
    flow: Flow = [(1, add(1, "S", 0xFFFFFFF0, NEAR)), (1, add(2, "S", 16, NEAR)), (1, cancel(2, 3)), (1, add(2, "S", 5, NEAR))]
    flow += [(2, add(3, "B", 5, NEAR)), (1, replace(2, 4, 0xF, NEAR)), (1, replace(4, 5, 0x10, NEAR)), (1, delete(5))]
    flow += [(1, delete(1))]
    seen = at_each_distance(flow, 2, tmp_path)
    compare(seen, flow)
    assert [fault[2] for fault in seen.faults if fault[2] != "CLEARED"] == ["LEVEL_OVERFLOW"] * len(FAR_ENOUGH)


def test_errors_as_close_as_can_be_are_all_told(tmp_path: Path) -> None:
    """Whatever is told of all slots meanwhile: who goes by the records knows what each slot is, at any distance of both."""
    steps, number = [], 0
    for distance in range(1, 16):
        steps.append(step(60, declare_exact=1))
        for slot in range(4):
            number += 1
            steps.append(step(2, decode(delete(7), PATIENT, slot=slot, number=number)))
        steps.append(step(distance, declare_exact=1, suspect=IntegrityCause.GAP))
    seen = play(PATIENT, steps, tmp_path)
    causes = [(one["slot"], one["cause"]) for one in seen.events]
    for slot in range(4):
        assert causes.count((slot, IntegrityCause.UNKNOWN_ORDER)) == number // 4


@pytest.mark.parametrize("seed", [0, 5])
def test_slots_are_given_their_orders_anew_as_close_as_can_be(seed: int, tmp_path: Path) -> None:
    """While windows run empty and gaps come and go."""
    given_anew(seed, tmp_path)


@pytest.mark.soak
def test_slots_are_given_their_orders_anew_as_close_as_can_be_for_long(tmp_path: Path, soak: bool) -> None:
    """The same at length."""
    for seed in range(100, 300 if soak else 101):
        given_anew(seed, tmp_path)


def given_anew(seed: int, folder: Path) -> None:
    pick, host = random.Random(seed), Host(PATIENT, seed)
    gaps, controls = pick.choice(DISTANCES), ({"suspect": IntegrityCause.GAP}, {"recovered": 1})
    doubtful, waits, given, recovered = False, 0, False, []
    for slot, raw in Maker(seed, slots=4, most=pick.choice((2, 3, 6, 20))).messages(600):
        host.live(slot, raw, pick.choice(gaps))
        if pick.random() < 0.03:
            host.steps.append(step(pick.choice((1, 2, 5, 9, 14, 20)), **controls[doubtful]))
            doubtful = not doubtful
        if host.detached is None and pick.random() < 0.05:
            host.detach(pick.randrange(4), pick.choice((1, 2, 3, 5, 8, 13)))
            waits, given = pick.randrange(12), False
        elif host.detached is not None and waits:
            waits -= 1
        elif host.detached is not None and not given:
            host.give_snapshot(pick.choice((1, 2, 13)))
            given = True
        elif host.detached is not None and pick.random() < 0.5:
            host.give_held(pick.choice((1, 2, 13)))
            host.attach(pick.choice((1, 2, 13, 60)))
    if host.detached is not None:
        host.give_snapshot(2) if not given else None
        host.give_held(2)
        host.attach(2)
    host.steps += [step(1, **one) for one in controls]
    seen = host.play(folder, settle=40_000)
    host.judge(seen)
    for slot in range(4):
        assert of_slot(slot, [(one, price) for _, one, price in seen.trades]) == of_slot(slot, host.model.trades)
    assert seen.integrity == [Integrity.EXACT] * 4
    clock = 0
    for one in host.steps:
        clock += one["gap"]
        recovered += [clock - 1] if "recovered" in one else []
    for record in seen.changes:
        if record["cause"] == IntegrityCause.RECOVERED:
            last = max(one for one in recovered if one < record["clock"])
            late = [row["clock"] for row in seen.bbo if seen.sent[row["sequence"]] <= last]
            assert max(late, default=0) < record["clock"] - 5, "what came before was not shown"
