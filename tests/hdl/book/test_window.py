"""A window that ran empty is filled while other slots' messages go on: rows, states and clocks."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hdl.spec.geometry import Geometry
from hdl.spec.injection import Mark
from hdl.spec.reasons import Integrity, IntegrityCause
from tests.hdl.book.conftest import ADDED, NAMED
from tests.hdl.book.flows import Flow, Maker, add, cancel, delete, replace, trade
from tests.hdl.book.player import Seen, decode, play, step
from tests.hdl.book.test_order_book import DELETE_GAP, judge, run
from tests.hdl.book.test_slot_reload import COMMAND

EXACT, SUSPECT, DEAD = Integrity.EXACT, Integrity.SUSPECT, Integrity.DEAD
NEAR, FAR = 5_000_000, 1_000_000
"""Prices further apart than a window is wide."""


def deep(slot: int, orders: int, first: int = 1) -> Flow:
    """Bids of which the window shows the first alone."""
    far = [(slot, add(first + number, "B", 10 + number, FAR - 100 * (number % 40))) for number in range(1, orders + 1)]
    return [(slot, add(first, "B", 1, NEAR)), *far]


def played(
    geometry: Geometry, flow: Flow, gaps: dict[int, int], folder: Path, controls: dict[int, dict[str, int]] | None = None
) -> Seen:
    """Play a flow, 60 clocks between two messages but for those that have another distance from the one before."""
    steps = [step(1, declare_exact=1)]
    for number, (slot, raw) in enumerate(flow, 1):
        message = decode(raw, geometry, slot=slot, number=number)
        steps.append(step(gaps.get(number, 60), message, **(controls or {}).get(number, {})))
    return play(geometry, steps, folder, settle=2000)


@pytest.mark.parametrize("seed", range(2))
def test_windows_of_any_slot_at_the_smallest_distance(tiny: Geometry, seed: int, tmp_path: Path) -> None:
    """Rows are those of the plain book, of a slot in the order of its messages, and a slot is EXACT whenever they are."""
    flow = list(Maker(300 + seed, slots=4, most=60).messages(2500))
    seen = run(tiny, flow, tmp_path, gap=40)
    judge(flow, seen)
    assert not seen.faults and seen.integrity == [EXACT] * 4
    for slot in range(4):
        numbers = [row["sequence"] for row in seen.bbo if row["slot"] == slot]
        assert numbers == sorted(numbers)
    order = [row["sequence"] for row in seen.bbo]
    assert order != sorted(order), "no message went before"
    assert len(seen.filled) > 20
    overlaps = [one for one in seen.filled for other in seen.filled if one[2] < other[2] < one[3]]
    assert overlaps, "no window ran empty while another was filled"
    touches = {row["sequence"]: row["clock"] for row in seen.bbo}
    for number, slot, began, ended in seen.filled:
        # The records come a clock behind the states, and EXACT six behind the touch.
        assert seen.shown(slot, began - 1) == SUSPECT == seen.shown(slot, ended - 2) and seen.shown(slot, ended - 1) == EXACT
        assert number not in touches or touches[number] == ended - 7
    suspect = sum(ended - began for *_, began, ended in seen.filled)
    spans = zip(seen.states, seen.states[1:], strict=False)
    assert suspect == sum(states.count(SUSPECT) * (after - clock) for (clock, states), (after, _) in spans)


def test_others_go_before(tiny: Geometry, tmp_path: Path) -> None:
    """Each of them waits for the row at work at most, here of one order; what comes for the slot itself waits for its window."""
    flow = deep(1, 30)
    empties = len(flow) + 1
    flow += [(1, delete(1))]
    others = range(empties + 1, empties + 11)
    flow += [(2, add(1 << 20 | number, "S", 5, NEAR - 100 * number)) for number in others]
    own = others[-1] + 1
    flow += [(1, add(1 << 30, "B", 5, FAR - 100)), (3, trade(NEAR))]
    seen = played(tiny, flow, dict.fromkeys(others, DELETE_GAP) | {own: 1, own + 1: 1}, tmp_path)
    judge(flow, seen)
    [(number, slot, began, ended)] = seen.filled
    assert (number, slot) == (empties, 1)
    assert began - seen.sent[empties] <= NAMED[tiny.line_rate] + 2, "not EXACT a clock after its touch would have come"
    lates = [seen.latency(other) - ADDED[tiny.line_rate] for other in others]
    assert max(lates) <= 14 and any(seen.sent[other] < ended for other in others)
    assert seen.sent[own] < ended, "nothing waited for its window"
    assert seen.latency(own) > ADDED[tiny.line_rate] + 7 and seen.latency(empties) > 64
    [sale] = [clock for clock, slot, _ in seen.trades if slot == 3]
    assert sale > ended, "what is behind a message that waits has gone before it"


def test_an_idle_book_fills_at_its_fastest(tiny: Geometry, tmp_path: Path) -> None:
    """A clock a row, 3 more for a row that holds one order, and what lies before and behind."""
    flow = deep(0, 20)
    flow += [(0, delete(1))]
    seen = run(tiny, flow, tmp_path, gap=60)
    judge(flow, seen)
    assert seen.latency(len(flow)) == tiny.order_rows + 3 * 20 + (25 if tiny.line_rate else 16)


def test_a_window_is_filled_however_fast_others_come(tiny: Geometry, tmp_path: Path) -> None:
    """A row at least for each of their messages."""
    flow = deep(1, 10)
    empties = len(flow) + 1
    flow += [(1, delete(1))]
    storm = range(empties + 1, empties + 201)
    flow += [(2, replace(number - 1, number, 5, NEAR - 100 * (number % 30))) for number in storm]
    flow.insert(0, (2, add(empties + 1, "S", 5, NEAR)))
    seen = played(tiny, flow, dict.fromkeys(range(empties + 2, empties + 202), 20), tmp_path)
    judge(flow, seen)
    [(number, _, _, ended)] = seen.filled
    assert number == empties + 1 and ended < seen.sent[empties + 2 + 70]
    assert not seen.drops


@pytest.mark.parametrize("both", [False, True])
def test_two_windows_at_once(tiny: Geometry, both: bool, tmp_path: Path) -> None:
    """The second one, of another slot, is filled at once and all wait; then the first one goes on. Of the same slot it waits.

    References this low lie in the row of their number: the second one's orders in rows that the first walk has left behind.
    """
    second = 1 if both else 2
    flow = deep(1, 20, first=20)
    flow += [(second, add(50, "S", 3, FAR)), *((second, add(number, "S", 7, NEAR)) for number in range(1, 10))]
    first = len(flow) + 1
    flow += [(1, delete(20)), (second, delete(50)), (0, add(1000, "B", 1, NEAR)), (second, delete(1))]
    seen = played(tiny, flow, dict.fromkeys(range(first + 1, first + 4), 21), tmp_path)
    judge(flow, seen)
    (one, _, began, ended), (other, _, began_other, ended_other) = sorted(seen.filled)
    assert (one, other) == (first, first + 1)
    if both:
        assert ended < began_other
    else:
        assert began < began_other < ended_other < ended
        assert seen.latency(first + 2) > 64 - 21


def test_what_happens_meanwhile(tiny: Geometry, tmp_path: Path) -> None:
    """Losses, doubts, declarations and faults count as they come; the window's records say nothing of them."""
    flow = deep(1, 30)
    empties = len(flow) + 1
    flow += [(1, delete(1)), (2, delete(77)), (2, trade(NEAR)), (2, trade(NEAR)), (2, trade(NEAR))]
    controls = {empties + 2: {"suspect": IntegrityCause.GAP}, empties + 3: {"declare_exact": 1}, empties + 4: {"recovered": 1}}
    seen = played(tiny, flow, dict.fromkeys(range(empties + 1, empties + 5), 40), tmp_path, controls)
    told = [(one["slot"], Integrity(one["integrity"]).name, IntegrityCause(one["cause"]).name) for one in seen.events[1:]]
    assert told == [
        (1, "SUSPECT", "WINDOW"),
        (2, "DEAD", "UNKNOWN_ORDER"),
        (0xFFFF, "SUSPECT", "GAP"),
        (0xFFFF, "EXACT", "RELOADED"),
        (1, "EXACT", "REFILLED"),
    ]
    [(_, _, began, ended)] = seen.filled
    assert {seen.shown(1, clock) for clock in range(began, ended - 1)} == {SUSPECT}
    assert seen.integrity == [EXACT] * 4


@pytest.mark.parametrize("fault", ["GAP", "OVERRUN"])
def test_a_slot_that_falls_meanwhile_does_not_rise_with_its_window(tiny: Geometry, fault: str, tmp_path: Path) -> None:
    flow = deep(1, 30)
    empties = len(flow) + 1
    flow += [(1, delete(1))]
    flow += [(1, add(900 + number, "B", 1, FAR)) for number in range(20)]
    gaps = dict.fromkeys(range(empties + 1, len(flow) + 1), 1 if fault == "OVERRUN" else 60)
    seen = played(tiny, flow, gaps, tmp_path, {empties + 1: {"suspect": IntegrityCause.GAP}} if fault == "GAP" else {})
    assert bool(seen.drops) == (fault == "OVERRUN")
    [(*_, ended)] = seen.filled
    state = SUSPECT if fault == "GAP" else DEAD
    assert seen.shown(1, ended) == seen.integrity[1] == state
    [last] = [one for one in seen.events if one["cause"] == IntegrityCause.REFILLED]
    assert last["integrity"] == state


def test_a_recovered_gap_waits_for_the_window(tiny: Geometry, tmp_path: Path) -> None:
    """What was missing is applied once all before it is."""
    flow = deep(1, 30)
    empties = len(flow) + 1
    flow += [(1, delete(1)), (2, trade(NEAR))]
    controls = {empties: {"suspect": IntegrityCause.GAP}, empties + 1: {"recovered": 1}}
    seen = played(tiny, flow, {empties + 1: 24}, tmp_path, controls)
    causes = [IntegrityCause(one["cause"]).name for one in seen.events]
    assert causes == ["RELOADED", "GAP", "WINDOW", "REFILLED", "RECOVERED"]


def test_the_book_is_emptied_behind_the_window(tiny: Geometry, tmp_path: Path) -> None:
    """Whatever clock it is told to: while the walk goes on, while it is held up by another slot's message, and in between."""
    steps, rounds, number = [], range(1, 24), 0
    for later in rounds:
        flow = [*deep(1, 10), (1, delete(1)), (2, add(900, "S", 1, NEAR))]
        steps.append(step(40, declare_exact=1))
        for slot, raw in flow:
            number += 1
            steps.append(step(24, decode(raw, tiny, slot=slot, number=number)))
        steps.append(step(later, clear=1))
        number += 1
        steps.append(step(1, decode(add(901, "B", 1, NEAR), tiny, slot=1, number=number)))
        steps.append(step(400, clear=1))
        steps.append(step(100))
    seen = play(tiny, steps, tmp_path, settle=200)
    causes = [IntegrityCause(one["cause"]).name for one in seen.events]
    assert causes == ["RELOADED", "WINDOW", "REFILLED", "CLEARED"] * len(rounds)
    behind = [row[2:] for row in seen.rows if row[0] % 14 == 0]
    assert behind == [(NEAR, 1, 0, 0)] * len(rounds)
    assert seen.live == 0 and seen.integrity == [DEAD] * 4


@pytest.mark.parametrize("slot", [1, 2])
def test_a_slot_is_detached_meanwhile(tiny: Geometry, slot: int, tmp_path: Path) -> None:
    """The one whose window is filled behind that; another one at once, and the window is filled behind it."""
    flow = deep(1, 30) + [(2, add(900 + number, "S", 1, NEAR)) for number in range(5)]
    empties = len(flow) + 1
    flow += [(1, delete(1))]
    steps = [step(1, declare_exact=1)]
    steps += [step(60, decode(raw, tiny, slot=where, number=number)) for number, (where, raw) in enumerate(flow, 1)]
    detach = decode(COMMAND, tiny, slot=slot, number=1 << 32, mark=Mark.DETACH)
    steps.append(step(30, detach, detached=1 << slot))
    steps.append(step(30, decode(add(990, "S", 2, NEAR), tiny, slot=3, number=empties + 1)))
    seen = play(tiny, steps, tmp_path, settle=2000)
    causes = [(one["slot"], IntegrityCause(one["cause"]).name) for one in seen.events[1:]]
    own = [(1, "WINDOW"), (1, "REFILLED"), (1, "DETACHED")]
    assert causes == (own if slot == 1 else [(1, "WINDOW"), (2, "DETACHED"), (1, "REFILLED")])
    assert seen.live == (5 + 1 if slot == 1 else 30 + 1)
    assert next(row for row in seen.rows if row[0] == empties)[2:4] == (FAR - 100, 11)


def test_an_overflow_met_while_filling(tiny: Geometry, tmp_path: Path) -> None:
    """Below the window nobody sees how many shares lie at a price: the slot is DEAD as soon as the ladder does."""
    flow: Flow = [(1, add(1, "B", 1, NEAR)), (1, add(2, "B", 0xFFFFFFFF, FAR)), (1, add(3, "B", 5, FAR)), (1, cancel(2, 0))]
    flow += [(2, delete(88)), (1, delete(1))]
    seen = played(tiny, flow, {}, tmp_path)
    assert seen.faults == [(5, 2, "UNKNOWN_ORDER"), (6, 1, "LEVEL_OVERFLOW")]
    assert next(one for one in seen.events if one["cause"] == IntegrityCause.LEVEL_OVERFLOW)["order_ref"] == 0
    assert [one[:2] for one in seen.filled] == [(6, 1)] and seen.integrity[1] == DEAD
    assert seen.rows[-1][:3] == (6, 1, FAR) and seen.rows[-1][3] in (5, 0xFFFFFFFF)


def test_random_distances(tiny: Geometry, tmp_path: Path) -> None:
    """From bursts to pauses, many windows at a time."""
    pick, flow = random.Random(5), list(Maker(400, slots=4, most=60).messages(1500))
    seen = played(tiny, flow, {number: pick.choice((1, 5, 9, 13, 21, 40, 150, 300)) for number in range(1, 1501)}, tmp_path)
    if not seen.drops:
        judge(flow, seen)
    assert not seen.drops and len(seen.filled) > 10
