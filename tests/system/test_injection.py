"""The feed's third line: what the host writes, between the frames of the other two and never instead of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from hdl.spec import injection
from hdl.spec.reasons import Integrity, IntegrityCause
from sim.card import SimulatedCard
from tests.system.test_two_lines import DAY, HOLES, LAST, RING, Run, hole, packets, undisturbed

__all__ = ["undisturbed"]
SUSPECT, EXACT = (Integrity.SUSPECT, IntegrityCause.GAP), (Integrity.EXACT, IntegrityCause.RECOVERED)


def inject(run: Run, first: int, behind: int) -> None:
    """Messages of the day, as fast as the card takes them."""
    for number in range(first, behind):
        while not run.loader.inject_room:
            run.card.run(20)
        run.loader.inject(number, DAY[number - 1])


@pytest.mark.parametrize("name", HOLES)
def test_what_the_host_writes_fills_the_hole(card: SimulatedCard, undisturbed: list[tuple[Any, ...]], name: str) -> None:
    """Lost on both lines; messages too far ahead for the ring are written like the rest."""
    first, behind = hole(name)
    run = Run(card, recover=True, wait_us=5)
    live = packets(5, 0, behind, min(LAST, behind + 60))
    run.give(*packets(3, 0, 1, first), *packets(4, 1, 1, first), *live)
    if not live:
        run.heartbeat(behind)
    run.rest(2_000)
    assert run.changes == [SUSPECT] and run.gaps[0][0] == first
    run.give(*packets(6, 0, behind + 60))
    while (number := run.loader.next_sequence) < (highest := run.loader.highest):
        inject(run, number, min(highest, number + 10))
        run.rest(2_000)
    assert run.changes == [SUSPECT, EXACT]
    assert run.rows == undisturbed
    assert run.status("duplicates_inject") == 0 or name == "beyond_the_ring"


@pytest.mark.parametrize("pack", [1, 38])
@pytest.mark.parametrize("hold", [False, True], ids=["cut_through", "hold"])
def test_frames_without_a_pause_are_not_touched(
    card: SimulatedCard, undisturbed: list[tuple[Any, ...]], pack: int, hold: bool
) -> None:
    """A message goes out a frame at one byte a clock, whatever the frames' size; none at eight, or where packets are held.

    What is written was heard before and is the longest there is, so all of it is counted and nothing else is seen of it.
    """
    run = Run(card, hold=hold)
    ends = [*range(1, LAST, pack), LAST]
    wide = card.geometry.width == 8
    last = 1 + 3 * pack if wide else LAST
    clocks = [run.give_at_once(0, at, behind) for at, behind in pairwise(ends) if at < last]
    end, frames = card.cycle + sum(clocks) // card.geometry.width, len(clocks)
    longest = b"I" + bytes(injection.LONGEST - 1)
    written = 0
    while card.cycle < end:
        for _ in range(run.loader.inject_room):
            run.loader.inject(1, longest)
            written += 1
        card.run(min(1_000, max(1, end - card.cycle)))
    given = written - card.read("feed", "inject")
    if wide or (hold and pack > 1):
        assert given <= 2
    elif not hold:
        assert frames - 1 <= given <= frames + 2
    run.rest(5_000)
    assert run.status("duplicates_inject") == written
    assert run.drop("inject_overrun") == 0
    assert run.rows == [row for row in undisturbed if row[0] < last] == run.exact
    assert run.card.read("feed", "next_sequence") == last


def test_what_is_no_message_is_refused_and_counted(card: SimulatedCard, undisturbed: list[tuple[Any, ...]]) -> None:
    """A length that is none; more than there is room for; a number heard before; one beyond the ring; half a message."""
    run = Run(card, recover=True, wait_us=5)
    run.give(*packets(3, 0, 1, 50))
    for length in (0, injection.LONGEST + 1, 1 << 31):
        for word in [*injection.words(50, DAY[49])[:-1], length]:
            card.write("feed", "inject", word)
    run.rest(100)
    assert run.drop("inject_length") == 3 and run.loader.next_sequence == 50
    for _ in range(2 * injection.MESSAGES):
        run.loader.inject(1, bytes(injection.LONGEST))
    run.rest(5_000)
    refused = run.drop("inject_overrun")
    assert refused and run.status("duplicates_inject") == 2 * injection.MESSAGES - refused
    assert run.drop("duplicate") == 2 * injection.MESSAGES - refused
    run.loader.inject(50 + RING, DAY[49 + RING])
    run.rest(1_000)
    assert run.drop("beyond") == 1
    for word in injection.words(50, DAY[50])[:9]:
        card.write("feed", "inject", word)
    card.write("feed", "next_sequence", 50)
    inject(run, 50, 60)
    run.give(*packets(3, 0, 60))
    assert run.rows == undisturbed
