"""Records come out whole, numbered, in order of priority, and a lost one leaves a hole."""

from __future__ import annotations

import random
import struct

from hdl.control.event_writer import QUEUE_DEPTH, EventWriter
from hdl.spec import events
from hdl.spec.layout import Kind
from tests.support.simulation import put, simulate


def random_event(rng: random.Random, layout) -> dict[str, int]:
    """Values of every field a source gives."""
    values = {}
    for field in layout:
        if field.name in ("kind", "words", "lost", "number", "spare"):
            continue
        bits = 8 * field.size
        signed = field.kind is Kind.SINT
        values[field.name] = rng.randrange(-(1 << bits - 1), 1 << bits - 1) if signed else rng.getrandbits(bits)
    return values


async def collect(ctx, writer, records: list[bytes], *, ready=lambda: True) -> None:
    """Put words together to records for ever."""
    words: list[int] = []
    while True:
        ctx.set(writer.words.ready, int(ready()))
        valid, ready_now = ctx.get(writer.words.valid), ctx.get(writer.words.ready)
        payload = ctx.get(writer.words.payload)
        word, last = payload.data, payload.last
        await ctx.tick()
        if valid and ready_now:
            words.append(word)
            if last:
                records.append(struct.pack(f">{len(words)}I", *words))
                words = []


def decode(record: bytes):
    """Unpack by the byte layout: the judge of what the gateware wrote."""
    layout = events.RECORDS[chr(record[0])]
    assert len(record) == layout.size
    return layout, layout.unpack(record)


def test_every_kind_comes_out_as_its_layout_says() -> None:
    writer = EventWriter(depth=64)
    rng = random.Random(1)
    records: list[bytes] = []
    sent = []

    async def bench(ctx):
        for number in range(3):
            for layout in events.RECORDS.values():
                event = random_event(rng, layout)
                sent.append((layout.name, event, number))
                await put(ctx, getattr(writer, layout.name), event)
                await ctx.tick().repeat(30)

    async def sink(ctx):
        await collect(ctx, writer, records, ready=lambda: rng.random() < 0.8)

    simulate(writer, bench, background=(sink,))
    assert len(records) == len(sent)
    for number, (record, (name, event, _)) in enumerate(zip(records, sent, strict=True)):
        layout, values = decode(record)
        assert layout.name == name
        assert values["number"] == number
        assert values["words"] * 4 == layout.size
        assert values["lost"] == 0
        assert {key: values[key] for key in event} == event


def test_priority_and_first_word_latency() -> None:
    writer = EventWriter(depth=64)
    records: list[bytes] = []
    first_word = []

    async def bench(ctx):
        for layout in events.RECORDS.values():
            ctx.set(getattr(writer, layout.name).valid, 1)
        await ctx.tick()
        for layout in events.RECORDS.values():
            ctx.set(getattr(writer, layout.name).valid, 0)
        clocks = 0
        while not ctx.get(writer.words.valid):
            await ctx.tick()
            clocks += 1
        first_word.append(clocks)
        await ctx.tick().repeat(300)

    async def sink(ctx):
        await collect(ctx, writer, records)

    simulate(writer, bench, background=(sink,))
    verdict = events.VERDICT.code
    assert "".join(chr(record[0]) for record in records) == verdict + "".join(events.RECORDS).replace(verdict, "")
    # `bench` counts from the clock after the event.
    assert first_word == [VERDICT_LATENCY - 1]


VERDICT_LATENCY = EventWriter.LATENCY - 1


def test_verdicts_may_come_one_a_clock_and_the_other_kinds_in_one_clock() -> None:
    """Nothing is lost while the queue has room, whatever comes together."""
    writer = EventWriter()
    records: list[bytes] = []
    lost = []

    async def bench(ctx):
        for index in range(10):
            if index == 0:
                for layout in events.RECORDS.values():
                    ctx.set(getattr(writer, layout.name).valid, 1)
            ctx.set(writer.verdict.payload.leg, index)
            await ctx.tick()
            for layout in events.RECORDS.values():
                ctx.set(getattr(writer, layout.name).valid, int(layout is events.VERDICT and index < 6))
            lost.append(ctx.get(writer.lost))
        await ctx.tick().repeat(300)

    async def sink(ctx):
        await collect(ctx, writer, records)

    simulate(writer, bench, background=(sink,))
    verdicts = [values for layout, values in map(decode, records) if layout is events.VERDICT]
    assert [values["leg"] for values in verdicts] == list(range(7))
    assert len(records) == 7 + len(events.RECORDS) - 1
    assert not any(lost)


SENT = 3 * QUEUE_DEPTH


def test_losses_are_counted_and_leave_a_hole() -> None:
    writer = EventWriter(depth=32)
    records: list[bytes] = []
    lost = []

    async def bench(ctx):
        # The host does not read: some records are written, a queue full of them waits, the rest is lost.
        for index in range(SENT):
            await put(ctx, writer.bbo, {"slot": index})
            await ctx.tick().repeat(20)
        await ctx.tick().repeat(50)
        ctx.set(writer.words.ready, 1)
        await ctx.tick().repeat(20 * QUEUE_DEPTH)
        await put(ctx, writer.bbo, {"slot": 99})
        await ctx.tick().repeat(100)

    async def sink(ctx):
        words: list[int] = []
        while True:
            taken = ctx.get(writer.words.valid) and ctx.get(writer.words.ready)
            payload = ctx.get(writer.words.payload)
            word, last = payload.data, payload.last
            lost.append(ctx.get(writer.lost))
            await ctx.tick()
            if taken:
                words.append(word)
                if last:
                    records.append(struct.pack(f">{len(words)}I", *words))
                    words = []

    simulate(writer, bench, background=(sink,))
    decoded = [decode(record)[1] for record in records]
    slots = [record["slot"] for record in decoded]
    assert slots[-1] == 99
    assert slots[:-1] == list(range(len(slots) - 1))
    missing = SENT - (len(slots) - 1)
    assert missing > 0
    assert sum(lost) == missing
    assert decoded[-1]["lost"] == missing
    assert decoded[-1]["number"] == SENT
