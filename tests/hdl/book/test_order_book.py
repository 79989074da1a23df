"""The book, judged by itch-book, by LOBSTER's own book and by a plain model."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace as replaced
from pathlib import Path

import numpy as np
import pytest
from itch_book import Session

from hdl.book.book import ALL_SLOTS
from hdl.book.order_book import OrderBook
from hdl.spec import itch
from hdl.spec.geometry import PRESETS, Geometry
from hdl.spec.reasons import Integrity, IntegrityCause
from tests.hdl.book import flows
from tests.hdl.book.conftest import TINY
from tests.hdl.book.flows import Flow, Maker, add, add_with_mpid, cancel, delete, execute, execute_at, replace, trade
from tests.hdl.book.model import PlainBook, rows_of
from tests.hdl.book.player import Seen, decode, play, step
from tests.host.records import framed
from tests.support.data import AAPL, records, require

LOBSTER = "lobster/AAPL_2012-06-21_34200000_57600000"
DELETE_GAP = 21
"""Clocks from one book message to the next at least: the smallest one, its block length, one byte a clock."""
REBUILD = 64 + 10 * 60 + 50
"""Clocks the longest rebuild of the small book takes with 60 orders."""


def run(geometry: Geometry, flow: Flow, folder: Path, *, gap: int, exact_each: bool = False, settle: int = 3000) -> Seen:
    """Play a flow on a book declared exact at its beginning, or before each message so that every fault makes a record."""
    steps = [step(1, declare_exact=1)]
    for number, (slot, raw) in enumerate(flow, 1):
        if exact_each:
            steps.append(step(gap, declare_exact=1))
        steps.append(step(1 if exact_each else gap, decode(raw, geometry, slot=slot, number=number)))
    return play(geometry, steps, folder, settle=settle)


def judge(flow: Flow, seen: Seen) -> PlainBook:
    """The model's outcome is the book's. It is not told of what is malformed."""
    model = PlainBook(full={number for number, _, cause in seen.faults if cause == "TABLE_FULL"})
    for number, (slot, raw) in enumerate(flow, 1):
        layout = itch.MESSAGES[chr(raw[0])]
        if len(raw) == layout.size:
            model.apply(number, slot, layout.unpack(raw))
    assert seen.rows == model.rows
    assert [row[1:] for row in seen.trades] == model.trades
    assert seen.live == len(model.orders)
    assert not seen.drops
    return model


@pytest.mark.soak
def test_real_morning_is_the_book_of_itch_book(tiny: Geometry, tmp_path: Path, soak: bool) -> None:
    """In a soak the whole of it; the whole card plays it all every time (`tests/host/test_replay.py`)."""
    path, slot = require(AAPL), 3
    geometry = replaced(PRESETS["versa"], line_rate=tiny.line_rate) if soak else tiny
    messages = list(records(path))[: None if soak else 4_000]
    seen = run(geometry, [(slot, raw) for raw in messages], tmp_path, gap=DELETE_GAP)
    session = Session(["bbo"], 1, [])
    session.feed(np.frombuffer(framed(messages), dtype=np.uint8))
    rows = session.take_bbo()
    judged = zip(*(rows[name].tolist() for name in ("seq", "bid_px", "bid_sz", "ask_px", "ask_sz")), strict=True)
    expected = [(number, slot, *best) for number, *best in judged]
    assert len(expected) == 2792 if soak else len(expected) > 500
    assert seen.rows == expected
    assert (seen.live, seen.peak) == (215, 216) if soak else seen.live > 50
    assert seen.integrity[slot] == Integrity.EXACT and not seen.faults and not seen.drops
    assert [(row["timestamp"], row["som"], row["eot"]) for row in seen.bbo] == [
        (stamp, number, number + 1) for stamp, number in zip(rows["ts"].tolist(), rows["seq"].tolist(), strict=True)
    ]


def lobster_flow() -> tuple[Flow, list[tuple[int, tuple[int, ...]]]]:
    """LOBSTER's events as ITCH (derived), with the number of the message behind each event and the best bid and offer then.

    The file shows ten levels. What its first line shows and the events do not add rests from the beginning; what comes into
    sight at a deeper level later was added unseen and is added then, as one order a level, and made smaller again when an
    event names one of the orders it stood for. What left unseen below the ten levels is taken from it where it can be. The
    best level is never mended so.
    """
    with require(f"{LOBSTER}_message_10.head.csv").open() as file:
        rows = [list(map(int, row[1:])) for row in csv.reader(file)]
    with require(f"{LOBSTER}_orderbook_10.head.csv").open() as file:
        books = [tuple(map(int, row)) for row in csv.reader(file)]
    added = {reference for kind, reference, *_ in rows if kind == 1}
    touched: Counter[int] = Counter()
    for kind, reference, size, *_ in rows:
        if kind in (2, 3, 4) and reference not in added:
            touched[reference] += size
    flow: Flow = []
    model = PlainBook()
    unseen: dict[tuple[int, str], int] = {}  # level -> reference of the order that stands for what was not seen

    def put(raw: bytes) -> None:
        flow.append((0, raw))
        model.apply(len(flow), 0, itch.MESSAGES[chr(raw[0])].unpack(raw))

    def mend(price: int, side: str, missing: int) -> None:
        reference = unseen.get((price, side), 0)
        stands = model.orders.get(reference)
        if missing < 0:
            if stands and stands.shares >= -missing:
                put(cancel(reference, -missing))
        elif missing > 0:
            if stands:
                missing += stands.shares
                put(delete(reference))
            unseen[price, side] = (1 << 40) + len(flow)
            put(add(unseen[price, side], side, missing, price))

    states = []
    for number, ((kind, reference, size, price, direction), book) in enumerate(zip(rows, books, strict=True)):
        side = "B" if direction == 1 else "S"
        levels = [(at % 4, book[at], book[at + 1]) for at in range(0, len(book), 2)]
        if number == 0:
            assert kind == 1
            for place, level, shares in levels:
                own = size if (level, "SB"[place // 2]) == (price, side) else 0
                mend(level, "SB"[place // 2], shares - own)
        if kind in (2, 3, 4) and reference not in added:
            added.add(reference)
            stands = model.orders.get(unseen.get((price, side), 0))
            known = min(stands.shares, touched[reference]) if stands else 0
            if known:
                put(cancel(unseen[price, side], known))
            put(add(reference, side, touched[reference], price))
        if kind == 1:
            put(add(reference, side, size, price))
        elif kind == 5:
            put(trade(price))
        else:
            put({2: cancel, 4: execute}[kind](reference, size) if kind != 3 else delete(reference))
        states.append((len(flow), (book[2], book[3], book[0], book[1])))
        for place, level, shares in levels[2:]:
            mend(level, "SB"[place // 2], shares - model.levels[0, "SB"[place // 2]].get(level, 0))
    return flow, states


def test_lobster_book_after_every_event(tiny: Geometry, tmp_path: Path) -> None:
    flow, states = lobster_flow()
    seen = run(tiny, flow, tmp_path, gap=DELETE_GAP)
    assert not seen.faults
    rows = {number: tuple(best) for number, _, *best in seen.rows}
    best: tuple[int, ...] = ()
    number = 0
    for event, (behind, expected) in enumerate(states, 1):
        while number < behind:
            number += 1
            best = rows.get(number, best)
        assert best == expected, f"after event {event}"
    assert len(states) == 999


@pytest.mark.parametrize("seed", range(3))
def test_random_flow(tiny: Geometry, seed: int, tmp_path: Path) -> None:
    flow = list(Maker(seed, slots=4, most=60).messages(1500))
    seen = run(tiny, flow, tmp_path, gap=120)
    model = judge(flow, seen)
    assert not seen.faults and not model.faults
    assert any(row["clock"] - seen.sent[row["sequence"]] > 20 for row in seen.bbo), "no rebuild was met"


@pytest.mark.parametrize("seed", range(2))
def test_random_flow_with_every_fault(tiny: Geometry, seed: int, tmp_path: Path) -> None:
    flow = list(Maker(100 + seed, slots=4, most=60, faults=True).messages(1500))
    seen = run(tiny, flow, tmp_path, gap=180, exact_each=True)
    model = judge(flow, seen)
    assert seen.faults == model.faults
    causes = {cause for *_, cause in seen.faults}
    assert causes >= {"UNKNOWN_ORDER", "DUPLICATE_ORDER", "OVERFILL", "OFF_TICK", "ZERO_SHARES"}


def test_table_without_room(scarce: Geometry, tmp_path: Path) -> None:
    flow = list(Maker(7, slots=2, most=40).messages(1500))
    seen = run(scarce, flow, tmp_path, gap=120, exact_each=True)
    model = judge(flow, seen)
    assert seen.faults == model.faults
    assert Counter(cause for *_, cause in seen.faults)["TABLE_FULL"] > 20
    assert 20 < seen.peak <= scarce.order_capacity


def test_replace_storm_at_the_smallest_distance(tiny: Geometry, tmp_path: Path) -> None:
    """One symbol, one order after the other replaced, up and down through the window: nothing waits for long, nothing is lost."""
    flow: Flow = [(1, add(1, "B", 10, 1_000_000)), (1, add(2, "S", 10, 1_010_000)), (1, add(3, "B", 5, 999_900))]
    for number in range(400):
        price = 1_000_000 + 100 * ((number * 37) % 90 - 45)
        flow.append((1, replace(10 + number - 1 if number else 1, 10 + number, number % 7 + 1, price)))
    seen = run(tiny, flow, tmp_path, gap=37)
    judge(flow, seen)
    assert not seen.faults


def test_latency_of_each_type(tiny: Geometry, tmp_path: Path) -> None:
    """Clocks from the message to the best bid and offer, of both books; 24 clocks before the next message."""
    steps = [
        ("A", add(1, "B", 100, 1_000_000), 6, 13),
        ("A better", add(2, "B", 100, 1_000_100), 6, 13),
        ("A same level", add(3, "B", 100, 1_000_100), 6, 13),
        ("F", add_with_mpid(4, "S", 100, 1_002_000), 6, 13),
        ("A beyond the window", add(5, "B", 70, 1_001_900), 6, 13),
        ("X", cancel(5, 10), 7, 13),
        ("E", execute(5, 10), 7, 13),
        ("C", execute_at(5, 10, 1_001_000), 7, 13),
        ("E of the best level, next in an other word", execute(5, 40), 7, 13),
        ("D at the best", delete(3), 7, 13),
        ("U worse, best level goes", replace(2, 6, 5, 999_000), 7, 15),
        ("U better", replace(1, 7, 5, 1_000_500), 7, 15),
        ("U in its place", replace(7, 8, 6, 1_000_500), 7, 15),
        ("D of the best level", delete(8), 7, 13),
    ]
    flow: Flow = [(2, raw) for _, raw, *_ in steps]
    seen = run(tiny, flow, tmp_path, gap=24)
    judge(flow, seen)
    found = {name: seen.latency(number) for number, (name, *_) in enumerate(steps, 1)}
    wanted = {name: clocks[tiny.line_rate] for name, _, *clocks in steps}
    assert found == wanted
    ahead = [clocks - 5 if tiny.line_rate else 1 for clocks in wanted.values()]
    assert [(clock, slot) for clock, slot in seen.accepts] == [(seen.sent[at] + clocks, 2) for at, clocks in enumerate(ahead, 1)]


def test_latency_where_the_slot_comes_with_the_message(tmp_path: Path) -> None:
    """Where one message is at work at a time, an add does not wait for the slot's state, all else a clock longer."""
    adds: Flow = [(0, add(1, "B", 9, 100)), (1, add(2, "B", 9, 100))]
    flow: Flow = [*adds, (0, cancel(1, 1)), (1, replace(2, 3, 9, 101)), (0, delete(1))]
    seen = run(TINY, flow, tmp_path, gap=24)
    judge(flow, seen)
    assert [seen.latency(number) for number in range(1, 6)] == [6, 6, 8, 8, 8]


def test_interval_between_messages(tmp_path: Path) -> None:
    """One message at work at a time: replaces every 13 clocks and everything else every 9 go through as fast as alone."""
    for name, gap, latencies, flow in (
        ("adds", 9, {6}, [(0, add(number, "B", 1, 100 + number)) for number in range(40)]),
        ("adds and deletes", 9, {6, 7}, [(0, (add(n, "B", 1, 100), delete(n))[way]) for n in range(1, 21) for way in range(2)]),
        ("replaces", 13, {7}, [(0, add(1, "S", 1, 5000))] + [(0, replace(n, n + 1, 1, 5000 - n)) for n in range(1, 40)]),
    ):
        seen = run(TINY, flow, tmp_path, gap=gap)
        judge(flow, seen)
        assert {seen.latency(number) for number in range(2, 41)} == latencies, name


def test_burst_waits_in_the_queue(tiny: Geometry, tmp_path: Path) -> None:
    """As many messages as fit come clock by clock; all are applied in order."""
    flow: Flow = [(0, add(number, "B", number, 10_000 + 100 * number)) for number in range(1, tiny.book_queue + 2)]
    seen = run(tiny, flow, tmp_path, gap=1)
    judge(flow, seen)


def test_overrun(tiny: Geometry, tmp_path: Path) -> None:
    """Messages beyond the queue are dropped and counted, their slots are DEAD, the others are not."""
    flow: Flow = [(number // 3 % 2, add(number, "B", number, 10_000 + 100 * number)) for number in range(1, 61)]
    seen = run(tiny, flow, tmp_path, gap=1)
    lost = {number for number, clock in seen.sent.items() if clock in seen.drops}
    assert 0 < len(lost) == len(seen.drops) < 60 - tiny.book_queue
    kept = PlainBook()
    for number, (slot, raw) in enumerate(flow, 1):
        if number not in lost:
            kept.apply(number, slot, itch.MESSAGES[chr(raw[0])].unpack(raw))
    assert seen.rows == kept.rows
    assert seen.integrity == [Integrity.DEAD, Integrity.DEAD, Integrity.EXACT, Integrity.EXACT]
    assert [cause for *_, cause in seen.faults] == ["OVERRUN", "OVERRUN"]
    assert {number for number, *_ in seen.faults} <= lost


def test_a_malformed_message_changes_nothing_and_its_slot_is_dead(tiny: Geometry, tmp_path: Path) -> None:
    """Of each type the book looks at, whatever its fields: all ones. Those of right length around it are applied as ever."""
    flow: Flow = [(0, add(1, "B", 100, 1_000_000)), (1, add((1 << 64) - 1, "S", 9, 1_002_000))]
    for number, kind in enumerate("AFECXDUP", 2):
        flow += [(1, kind.encode() + bytes(10)), (0, add(number, "B", number, 1_000_000))]
    seen = run(tiny, flow, tmp_path, gap=9, exact_each=True)
    spoils = range(3, len(flow), 2)
    assert seen.faults == [(number, 1, "MALFORMED") for number in spoils]
    assert {one["order_ref"] for one in seen.events} == {0}
    judge(flow, seen)


def test_a_message_of_nobody_knows_whom_makes_all_doubtful(tiny: Geometry, tmp_path: Path) -> None:
    """In its turn: behind the error of the message before it. Once it was lost, too; and no slot is DEAD for it."""
    flow: Flow = [(2, delete(7)), (1, b"D"), (0, add(1, "B", 1, 100))]
    seen = run(tiny, flow, tmp_path, gap=9)
    assert [(one["slot"], one["integrity"], IntegrityCause(one["cause"]).name) for one in seen.events[1:]] == [
        (2, Integrity.DEAD, "UNKNOWN_ORDER"), (ALL_SLOTS, Integrity.SUSPECT, "MALFORMED"),
    ]  # fmt: skip
    assert seen.integrity == [Integrity.SUSPECT, Integrity.SUSPECT, Integrity.DEAD, Integrity.SUSPECT]
    assert len(seen.unreadable) == 1 and not seen.trades and seen.live == 1

    # More than the queue holds come clock by clock, however fast the book is.
    flow = [(0, add(number, "B", 1, 100)) for number in range(1, 61)] + [(1, b"U" * 10)] * 8 + [(3, b"U" * 30)]
    seen = run(tiny, flow, tmp_path, gap=1)
    assert [fault for fault in seen.faults if fault[1]] == [(69, 3, "OVERRUN")] and seen.events[-1]["order_ref"] == 0
    assert len(seen.unreadable) == 8 and seen.integrity[1] == Integrity.SUSPECT


def test_level_overflow(tiny: Geometry, tmp_path: Path) -> None:
    """The order that would overflow a level is not taken, alone or as a replacement; just below it is."""
    flow: Flow = [
        (1, add(1, "S", 0xFFFFFFF0, 500_000)),
        (1, add(2, "S", 0x10, 500_000)),
        (1, add(3, "S", 0xF, 500_000)),
        (1, add(4, "S", 9, 500_100)),
        (1, replace(4, 5, 1, 500_000)),
        (1, replace(1, 6, 0xFFFFFFF0, 500_000)),
    ]
    seen = run(tiny, flow, tmp_path, gap=24, exact_each=True)
    assert seen.faults == [(2, 1, "LEVEL_OVERFLOW"), (5, 1, "LEVEL_OVERFLOW")]
    assert seen.rows == [
        (1, 1, 0, 0, 500_000, 0xFFFFFFF0),
        (3, 1, 0, 0, 500_000, 0xFFFFFFFF),
    ]
    assert seen.live == 2
    refs = [one["order_ref"] for one in seen.events if one["integrity"] == Integrity.DEAD]
    assert refs == [2, 5], "a replacement's record names the new order"


def test_integrity_only_falls_until_declared(tiny: Geometry, tmp_path: Path) -> None:
    def sent(number: int, raw: bytes, **controls: int) -> dict:
        return step(24, decode(raw, tiny, slot=3, number=number), **controls)

    gap, lost = IntegrityCause.GAP, IntegrityCause.LOST_AFTER_USE
    steps = [
        step(5, suspect=gap),  # after reset all are DEAD: nothing to lower
        step(5, declare_exact=1),
        sent(1, delete(99)),  # DEAD
        sent(2, delete(98)),  # DEAD already
        step(24, suspect=gap),  # the others fall
        step(5, suspect=lost),  # none is left to fall
        step(5, declare_exact=1),
        step(5, suspect=lost),
        sent(3, delete(97)),  # SUSPECT to DEAD
        step(24, declare_exact=1),
        sent(4, delete(96), suspect=gap),  # at the same time
        step(24, declare_exact=1),
    ]
    seen = play(tiny, steps, tmp_path)
    exact, suspect, dead = Integrity.EXACT, Integrity.SUSPECT, Integrity.DEAD
    assert [(one["slot"], one["integrity"], one["cause"], one["sequence"], one["order_ref"]) for one in seen.events] == [
        (ALL_SLOTS, exact, IntegrityCause.RELOADED, 0, 0),
        (3, dead, IntegrityCause.UNKNOWN_ORDER, 1, 99),
        (ALL_SLOTS, suspect, gap, 0, 0),
        (ALL_SLOTS, exact, IntegrityCause.RELOADED, 0, 0),
        (ALL_SLOTS, suspect, lost, 0, 0),
        (3, dead, IntegrityCause.UNKNOWN_ORDER, 3, 97),
        (ALL_SLOTS, exact, IntegrityCause.RELOADED, 0, 0),
        (ALL_SLOTS, suspect, gap, 0, 0),
        (3, dead, IntegrityCause.UNKNOWN_ORDER, 4, 96),
        (ALL_SLOTS, exact, IntegrityCause.RELOADED, 0, 0),
    ]
    assert seen.integrity == [exact] * 4


def test_a_fault_around_a_declaration_is_told_where_it_counts(tiny: Geometry, tmp_path: Path) -> None:
    """A slot that was DEAD is declared EXACT in every clock from a faulty message to long behind its fault."""

    def sent(gap: int, number: int) -> dict:
        return step(gap, decode(delete(number), tiny, slot=3, number=number))

    steps, delays = [], range(1, 16)
    for delay in delays:
        steps += [step(24, declare_exact=1), sent(24, 100 + delay), sent(24, 200 + delay), step(delay, declare_exact=1)]
        steps.append(sent(40, 300 + delay))  # shows what the slot is: of one that is DEAD nothing is told
    told = {one["sequence"] for one in play(tiny, steps, tmp_path).events if one["cause"] == IntegrityCause.UNKNOWN_ORDER}
    assert {100 + delay for delay in delays} <= told
    counted = [200 + delay in told for delay in delays]
    assert counted == [300 + delay not in told for delay in delays]
    assert counted == sorted(counted, reverse=True) and set(counted) == {False, True}, counted


def test_a_gap_that_was_filled_is_mended(tiny: Geometry, tmp_path: Path) -> None:
    """Only where nothing but gaps being filled lowered the slots, and only when all that came before is applied."""

    def sent(number: int, raw: bytes, **controls: int) -> dict:
        return step(1, decode(raw, tiny, slot=1, number=number), **controls)

    gap, lost = IntegrityCause.GAP, IntegrityCause.LOST_AFTER_USE
    steps = [
        step(5, declare_exact=1),
        step(5, recovered=1),  # nothing to mend
        sent(1, delete(99)),  # slot 1 is DEAD and stays so
        step(40, suspect=gap),
        step(5, suspect=gap),  # a second one while the first is open
        step(5, recovered=1),
        # What was given in the clock before `recovered` is still on its way, and others wait in the queue.
        *(
            sent(10 + number, add(number, "B", 5, 1_000_000 + 100 * number), **({"recovered": 1} if number == 2 else {}))
            for number in range(1, 8)
        ),
        step(200, suspect=gap),
        step(5, suspect=lost),  # now more than a gap
        step(5, recovered=1),
        step(40, declare_exact=1),
        step(5, suspect=gap, given_up=1),  # will not come
        step(5, suspect=gap),
        step(5, recovered=1),
        step(40, declare_exact=1),
        step(5, suspect=gap),
        step(5, given_up=1),
        step(5, recovered=1),
        step(40, declare_exact=1),
        step(5, suspect=gap),
        step(5, recovered=1),
        step(2, suspect=gap),  # before it was mended
        step(60),
        step(5, recovered=1),
        step(60),
    ]
    seen = play(tiny, steps, tmp_path)
    exact, suspect, dead = Integrity.EXACT, Integrity.SUSPECT, Integrity.DEAD
    reloaded, recovered = (exact, IntegrityCause.RELOADED), (exact, IntegrityCause.RECOVERED)
    assert [(one["integrity"], one["cause"]) for one in seen.events] == [
        reloaded, (dead, IntegrityCause.UNKNOWN_ORDER),
        (suspect, gap), recovered, (suspect, gap),
        reloaded, (suspect, gap), reloaded, (suspect, gap), reloaded, (suspect, gap), recovered,
    ]  # fmt: skip
    assert {one["slot"] for one in seen.events if one["cause"] in (IntegrityCause.RECOVERED, gap)} == {ALL_SLOTS}
    first = next(one["clock"] for one in seen.events if one["cause"] == IntegrityCause.RECOVERED)
    assert seen.bbo[-1]["sequence"] == 17 and seen.bbo[-1]["clock"] < first
    assert seen.integrity == [exact] * 4


def test_clear_empties_the_book(tiny: Geometry, tmp_path: Path) -> None:
    """Old orders are unknown after it, levels start from nothing, messages that come meanwhile wait; every slot is DEAD."""
    before: Flow = [(0, add(n, "BS"[n % 2], 5, 1_000_000 + 100 * n)) for n in range(1, 20)]
    after: Flow = [(0, add(50, "B", 7, 1_000_500)), (0, add(51, "S", 3, 1_000_900))]
    steps = [step(1, declare_exact=1)]
    steps += [step(24, decode(raw, tiny, slot=slot, number=number)) for number, (slot, raw) in enumerate(before, 1)]
    steps.append(step(1, clear=1))
    steps += [step(3, decode(raw, tiny, slot=slot, number=100 + number)) for number, (slot, raw) in enumerate(after)]
    steps.append(step(100, declare_exact=1))
    steps.append(step(24, decode(delete(3), tiny, slot=0, number=102)))
    seen = play(tiny, steps, tmp_path)
    assert [row for row in seen.rows if row[0] >= 100] == [
        (100, 0, 1_000_500, 7, 0, 0),
        (101, 0, 1_000_500, 7, 1_000_900, 3),
    ]
    assert seen.faults == [(0, ALL_SLOTS, "CLEARED"), (102, 0, "UNKNOWN_ORDER")]
    assert seen.integrity == [Integrity.DEAD, *[Integrity.EXACT] * 3]
    assert seen.live == 2 and seen.peak == 2


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("later", range(5))
def test_a_declaration_around_the_emptying_counts_only_behind_it(tiny: Geometry, later: int, exact: bool, tmp_path: Path) -> None:
    """The records say in the end what the slots are, whatever they were before."""
    steps = [step(1, declare_exact=1)] if exact else []
    seen = play(tiny, [*steps, step(20, clear=1), step(1 + later, declare_exact=1)], tmp_path)
    assert seen.integrity == [Integrity(seen.events[-1]["integrity"])] * 4
    told = [(one["integrity"], one["cause"]) for one in seen.events]
    assert ((Integrity.DEAD, IntegrityCause.CLEARED) in told) >= exact


def test_messages_that_are_not_for_the_book(tiny: Geometry, tmp_path: Path) -> None:
    """Unwatched symbols and types without orders leave no trace."""
    head = flows.HEAD
    steps = [step(1, declare_exact=1), step(24, decode(add(1, "B", 5, 100), tiny, slot=0, number=1, watched=0))]
    others = [itch.SYSTEM_EVENT.pack(**head, event_code="O"), itch.BROKEN_TRADE.pack(**head, match_number=1)]
    steps += [step(24, decode(raw, tiny, slot=0, number=2)) for raw in others]
    seen = play(tiny, steps, tmp_path)
    assert not seen.bbo and not seen.accepts and not seen.faults and not seen.trades and seen.live == 0


def test_a_replaced_order_leaves_room_for_its_successor(scarce: Geometry, tmp_path: Path) -> None:
    """With both rows full, a replacement that hashes into them still finds the place of the order it replaces."""
    # row 0 of the first bank and of the second: references whose low bits alone are set share no row unless equal
    fills = [reference for reference in range(1 << 16) if rows_of(reference, scarce) == (0, 0)][:3]
    flow: Flow = [
        (0, add(fills[0], "B", 1, 100)),
        (0, add(fills[1], "B", 2, 101)),
        (0, replace(fills[0], fills[2], 3, 102)),
        (0, add(fills[0], "B", 1, 103)),
    ]
    seen = run(scarce, flow, tmp_path, gap=24, exact_each=True)
    assert seen.faults == [(4, 0, "TABLE_FULL")]
    judge(flow, seen)


def test_geometry_that_was_not_one() -> None:
    with pytest.raises(ValueError, match="ladder_ticks: 100 was given"):
        OrderBook(geometry=Geometry(ladder_ticks=100))
