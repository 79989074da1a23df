"""The feed's third line: what the host writes, between the frames of the other two and never instead of them."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from hdl.spec import injection
from hdl.spec.reasons import Integrity, IntegrityCause
from host.framing import Feed, Framer
from host.stimulus import wire_cycles
from sim.card import SimulatedCard
from tests.system.conftest import GEOMETRIES
from tests.system.test_two_lines import DAY, HOLES, LAST, RING, Run, hole, packets, undisturbed

__all__ = ["undisturbed"]
LONGEST = b"I" + bytes(injection.LONGEST - 1)
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
    while run.loader.next_sequence < run.loader.highest:
        inject(run, run.loader.next_sequence, run.gaps[-1][1])
        run.rest(2_000)
    assert run.changes == [SUSPECT, EXACT]
    assert run.rows == undisturbed
    assert run.status("duplicates_inject") == 0


def keep_full(run: Run, until: int) -> int:
    """Write the longest messages, heard before, as long as there is room, up to a clock; how many. All of them are counted, and
    nothing else is seen of them."""
    written = 0
    while run.card.cycle < until:
        for _ in range(run.loader.inject_room):
            run.loader.inject(0, LONGEST)
            written += 1
        run.card.run(min(1_000, max(1, until - run.card.cycle)))
    return written


def foreign(run: Run, count: int) -> int:
    """Queue full frames of another feed without a pause; the clock at which they are in."""
    framer = Framer(Feed(port=9))
    frame = framer.packet([bytes(1_430)])
    for _ in range(count):
        run.card.send(frame)
    return run.card.cycle + count * wire_cycles(frame) // run.card.geometry.width


@pytest.mark.parametrize("pack", [1, 38])
@pytest.mark.parametrize("hold", [False, True], ids=["cut_through", "hold"])
def test_frames_without_a_pause_let_one_message_through_each(undisturbed: list[tuple[Any, ...]], pack: int, hold: bool) -> None:
    """At one byte a beat, whatever the frames' size. Where full packets are held until they are good, there is no room."""
    with SimulatedCard(GEOMETRIES["gmii"]) as card:
        # Records of triggers and verdicts besides would be more words than clocks, and some rows lost.
        run = Run(card, hold=hold, pairs=False)
        ends = [*range(1, LAST, pack), LAST]
        clocks = [run.give_at_once(0, at, behind) for at, behind in pairwise(ends)]
        written = keep_full(run, card.cycle + sum(clocks))
        given = written - card.read("feed", "inject")
        if not hold:
            assert len(clocks) - 1 <= given <= len(clocks) + 2
        elif pack > 1:
            assert given <= 2
        run.rest(5_000)
        assert run.rows == run.exact == undisturbed
        assert run.status("duplicates_inject") == written
        assert run.drop("inject_overrun") == 0 and run.loader.next_sequence == LAST


def test_at_eight_bytes_a_beat_it_waits_for_a_pause() -> None:
    with SimulatedCard(GEOMETRIES["xgmii"]) as card:
        run = Run(card)
        end = foreign(run, 40)
        card.run(100)
        written = keep_full(run, end - 200)
        assert card.read("feed", "inject") == written == injection.MESSAGES
        run.rest(2_000)
        assert run.status("duplicates_inject") == written


@pytest.mark.parametrize("hold", [False, True], ids=["cut_through", "hold"])
def test_it_never_meets_a_frame(card: SimulatedCard, undisturbed: list[tuple[Any, ...]], hold: bool) -> None:
    """Pauses of every length between packets, foreign frames and bad ones, and always something to write."""
    run, rng = Run(card, hold=hold), random.Random(5)
    at, spare = card.cycle + 100, 40 if card.geometry.width == 8 else 0
    for packet in packets(7, 0):
        for _ in range(rng.randrange(3)):
            at += rng.randrange(150)
            card.send(rng.randbytes(rng.randrange(14, 200)), at=at, fcs=rng.choice((None, 0)))
        at += rng.randrange(150) + spare * (packet.behind - packet.first)
        run.give_at_once(0, packet.first, packet.behind, at=at)
    written = keep_full(run, at)
    run.rest(5_000)
    assert written > 40
    assert run.rows == run.exact == undisturbed
    assert run.status("duplicates_inject") == written and run.loader.next_sequence == LAST


def test_what_is_no_message_is_refused_and_counted(card: SimulatedCard, undisturbed: list[tuple[Any, ...]]) -> None:
    """A length that is none; more than there is room for; a number heard before; one beyond the ring; half a message."""
    run = Run(card, recover=True, wait_us=5)
    run.give(*packets(3, 0, 1, 50))
    for length in (0, injection.LONGEST + 1, 1 << 31):
        for word in [*injection.words(50, DAY[49])[:-1], length]:
            card.write("feed", "inject", word)
    run.rest(100)
    assert run.drop("inject_length") == 3 and run.loader.next_sequence == 50
    foreign(run, 20)
    card.run(100)
    for _ in range(2 * injection.MESSAGES):
        run.loader.inject(0, LONGEST)
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
