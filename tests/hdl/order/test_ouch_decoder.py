"""`OuchDecoder` gives every booked field at its place, two clocks after the last byte."""

from __future__ import annotations

import random

import pytest

from hdl.order.ouch_decoder import OuchDecoder
from hdl.spec.reasons import Drop
from tests.support import ouch_reports
from tests.support.simulation import put, simulate


@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_random_messages(gaps: float) -> None:
    decoder = OuchDecoder()
    rng = random.Random(3)
    messages = []
    for kind, size in ouch_reports.FIXED.items():
        whole = ouch_reports.random_message(rng, kind)
        messages += [whole, whole[: size - 1], whole[:1], whole[:size], whole + bytes(70)]
    messages += [bytes([code]) + bytes(90) for code in (0, ord("O"), ord("F"), 255)]
    rng.shuffle(messages)
    clock = [0]
    ended: list[int] = []
    found: list[tuple[int, ouch_reports.Report | None]] = []

    async def bench(ctx):
        for message in messages:
            for place, octet in enumerate(message):
                last = place + 1 == len(message)
                await put(ctx, decoder.message, {"data": [octet], "count": 1, "first": place == 0, "last": last})
                while rng.random() < gaps:
                    await ctx.tick()
        await ctx.tick().repeat(4)

    async def watch(ctx):
        while True:
            if ctx.get(decoder.message.valid) and ctx.get(decoder.message.payload).last:
                ended.append(clock[0])
            if ctx.get(decoder.report.valid):
                report = ctx.get(decoder.report.payload)
                names = ouch_reports.expected_report(b"S" + bytes(9))
                found.append((clock[0], {name: report[name] for name in names}))
            if ctx.get(decoder.drop):
                assert ctx.get(decoder.drop) == 1 << Drop.OUCH_TYPE
                found.append((clock[0], None))
            await ctx.tick()
            clock[0] += 1

    simulate(decoder, bench, background=(watch,))
    assert [report for _, report in found] == [ouch_reports.expected_report(message) for message in messages]
    assert {at - end for (at, _), end in zip(found, ended, strict=True)} == {2}
