"""`RecordQueue` against `EventWriter`, with more records than it can write."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import SimulatorContext

from hdl.control.event_writer import EventWriter
from hdl.spec import events
from host.twin_records import LATE, RecordQueue
from tests.support.simulation import simulate

CLOCKS, LAST = 1_200, 800


@pytest.mark.parametrize(("seed", "behind"), [(1, 0), (2, 0), (1, 8), (2, 8)])
def test_the_same_records_at_the_same_clocks(seed: int, behind: int) -> None:
    rng = random.Random(seed)
    waiting = {"bbo_behind": behind, "integrity_behind": behind}
    writer, queue = EventWriter(**waiting), RecordQueue(**waiting)
    often = rng.choice((0.02, 0.1))
    told: list[tuple[int, str, int, int]] = []
    dropped: list[int] = []

    async def bench(ctx: SimulatorContext) -> None:
        ctx.set(writer.words.ready, 1)
        second, words, lost = False, [], 0
        for clock in range(CLOCKS):
            for layout in events.RECORDS.values():
                given = second if layout is events.VERDICT and second else clock < LAST and rng.random() < often
                if layout is events.VERDICT:
                    # Both verdicts of a request bear the clock of the first.
                    queue_clock, second = clock - second, given and not second
                else:
                    queue_clock = clock - LATE.get(layout.code, 0)
                if given:
                    queue.tell(queue_clock, layout, {})
                ctx.set(getattr(writer, layout.name).valid, given)
            if ctx.get(writer.words.valid):
                words.append(ctx.get(writer.words.p.data))
                if ctx.get(writer.words.p.last):
                    told.append((clock, chr(words[0] >> 24), words[0] & 0xFFFF, words[1]))
                    words = []
            lost += ctx.get(writer.lost)
            await ctx.tick()
        dropped.append(lost)

    simulate(writer, bench)
    said = [(clock, record["kind"], record["lost"], record["number"]) for clock, record in queue.out(CLOCKS)]
    assert [queue.lost] == dropped and queue.lost
    assert said == told and len(told) > 30
