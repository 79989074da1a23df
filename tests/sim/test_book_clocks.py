"""`sim.twin.book_clocks` against the books themselves."""

from __future__ import annotations

import random
from bisect import bisect_left
from pathlib import Path

import pytest

from hdl.spec.reasons import Integrity
from sim.twin.book_clocks import Entry, Heard, book_clocks
from sim.twin.trade.state import FAR
from tests.hdl.book.conftest import PATIENT, TINY
from tests.hdl.book.flows import Flow, add, cancel, delete, execute, replace, trade
from tests.hdl.book.model import rows_of
from tests.hdl.book.player import Seen, decode, play, step

MIDDLE, REACH = 5_000_000, 1_000
"""Prices, so near that no window runs empty."""
TOLD = 2
"""Clocks from a fault to its record."""
HALF_READ = (1 << 64) - 1
"""What order a malformed message seems to name."""
GAPS = ((1, 2, 3), (2, 3, 5), (1, 2, 3, 4, 5, 6, 7), range(1, 41), (1, 2, 4, 9, 13, 14, 15, 16, 17))
"""Clocks between two messages; they are mixed."""


def near(one: int, other: int) -> bool:
    return any(row == row_too for row, row_too in zip(rows_of(one, TINY), rows_of(other, TINY), strict=True))


def flow_of(pick: random.Random, count: int, *, slots: int = TINY.slots) -> Flow:
    """Every type, orders in few rows, chains of replacements, references that meet; some broken messages."""
    flow: Flow = []
    live: dict[int, int] = {}
    few = [pick.getrandbits(64) for _ in range(6)]

    def fresh() -> int:
        while True:
            reference = pick.getrandbits(pick.choice((7, 64)))
            if pick.random() < 0.4:
                met = pick.choice(few)
                reference = next(other for other in range(pick.getrandbits(9), 1 << 14) if near(other, met))
            if reference not in live and not near(reference, HALF_READ):
                return reference

    while len(flow) < count:
        slot, price, side = pick.randrange(slots), MIDDLE + pick.randrange(0, REACH, 100), pick.choice("BS")
        choice, old = pick.random(), pick.choice(list(live)) if live else 0
        if choice < 0.05:
            flow.append((slot, trade(price)))
        elif choice < 0.1:
            flow.append((slot, pick.choice((delete(old)[:-1], replace(old, old, 1, price)[:-1], delete(1)[:3]))))
        elif choice < 0.12:
            flow.append((slot, delete(fresh())))
        elif choice < 0.4 or len(live) < 4:
            reference = fresh()
            live[reference] = slot
            flow.append((slot, add(reference, side, 100, price)))
        elif choice < 0.55:
            flow.append((live[old], execute(old, 1)))
        elif choice < 0.65:
            flow.append((live[old], cancel(old, 1)))
        elif choice < 0.8 or len(live) > 60:
            flow.append((live.pop(old), delete(old)))
        else:
            for _ in range(pick.choice((1, 1, 4))):
                reference, slot = fresh(), live.pop(old)
                live[reference] = slot
                flow.append((slot, replace(old, reference, 50, price)))
                old = reference
    return flow


def played(flow: Flow, gaps: list[int], folder: Path, *, line_rate: bool) -> tuple[Seen, dict[int, Entry]]:
    """What the book did, and what it is said to do, each message known only when it has come."""
    geometry = PATIENT if line_rate else TINY
    steps = [step(1, declare_exact=1)]
    for number, ((slot, raw), gap) in enumerate(zip(flow, gaps, strict=True), 1):
        steps.append(step(gap, decode(raw, geometry, slot=slot, number=number)))
    seen = play(geometry, steps, folder)
    book, entries = book_clocks(geometry), {}
    for number, (slot, raw) in enumerate(flow, 1):
        clock = seen.sent[number]
        entries |= {one.sequence: entry for one, entry in book.entered(clock)}
        book.hear([Heard(number, raw, slot, clock, clock, clock, clock)])
    return seen, entries | {one.sequence: entry for one, entry in book.entered(FAR)}


def judge(flow: Flow, seen: Seen, entries: dict[int, Entry]) -> None:
    assert not seen.drops and not seen.filled
    assert len(entries) == len(flow)
    for row in seen.bbo:
        assert row["clock"] == entries[row["sequence"]].touch, row
    sales = {clock for clock, _, _ in seen.trades}
    assert sales <= {entry.sale for entry in entries.values()}
    assert {entries[number].sale for number, (_, raw) in enumerate(flow, 1) if raw[:1] == b"P"} <= sales
    faults = [one for one in seen.changes if one["sequence"] and one["integrity"] == Integrity.DEAD]
    assert faults
    for one in faults:
        assert one["clock"] - TOLD == entries[one["sequence"]].fault, one
    announced = [clock for clock, _ in seen.accepts]
    for row in seen.bbo:
        clock, slot = seen.accepts[bisect_left(announced, row["clock"]) - 1]
        assert entries[row["sequence"]].lead == (row["clock"] - clock) * (1 if slot == row["slot"] else -1), row


@pytest.mark.parametrize("seed", range(len(GAPS)))
def test_line_rate(seed: int, tmp_path: Path) -> None:
    pick = random.Random(seed)
    flow = flow_of(pick, 400)
    # It is no faster than a message every second clock: at times it catches up.
    gaps = [pick.choice(GAPS[seed]) if number % 40 else 100 for number in range(len(flow))]
    seen, entries = played(flow, gaps, tmp_path, line_rate=True)
    judge(flow, seen, entries)
    assert min(GAPS[seed]) > 2 or any(entry.lead < 0 for entry in entries.values())


@pytest.mark.parametrize("seed", range(2))
def test_one_message_at_a_time(seed: int, tmp_path: Path) -> None:
    """Of one slot, as no decoder is here to show that of a message that is still coming; as far apart as a byte a clock brings
    them, so that none comes in the clock in which the queue's memory is read.
    """
    pick = random.Random(seed)
    flow = flow_of(pick, 300, slots=1)
    gaps = [pick.choice((range(5, 41), (8, 9, 10, 13))[seed]) if number % 12 else 120 for number in range(len(flow))]
    judge(flow, *played(flow, gaps, tmp_path, line_rate=False))
