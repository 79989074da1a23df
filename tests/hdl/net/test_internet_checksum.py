# amaranth: UnusedElaboratable=no -- a refused parameter leaves a half-made component
"""`InternetChecksum` against scapy's sum."""

from __future__ import annotations

import random

import pytest
from scapy.utils import checksum

from hdl.net.internet_checksum import InternetChecksum
from tests.support.simulation import simulate


@pytest.mark.parametrize("width", [1, 8])
def test_sums(width: int) -> None:
    rng = random.Random(width)
    component = InternetChecksum(width=width)
    cases = [b"\0\0" * 8, b"\xff" * 32, b"\xff\xfe\0\x01", b"\xff\xff\0\x01\xff\xfe"]
    for _ in range(60):
        raw = rng.randbytes(rng.randrange(2, 120))
        # Half of them made to add up.
        if len(raw) % 2 == 0 and rng.random() < 0.7:
            raw += checksum(raw).to_bytes(2, "big")
        cases.append(raw)
    given: list[tuple[int, bytes]] = []
    answers: list[int] = []

    async def bench(ctx):
        for raw in cases:
            for at in range(0, len(raw), width):
                lanes = raw[at : at + width]
                ctx.set(component.bytes, list(lanes) + [rng.randrange(256)] * (width - len(lanes)))
                ctx.set(component.take, (1 << len(lanes)) - 1)
                ctx.set(component.odd, at & 1 if width == 1 else 0)
                ctx.set(component.clear, at == 0)
                await ctx.tick()
                answers.append(ctx.get(component.ok))
            given.append((len(answers) - 1, raw))
        ctx.set(component.take, 0)
        for _ in range(component.LATENCY):
            await ctx.tick()
            answers.append(ctx.get(component.ok))

    simulate(component, bench)
    for at, raw in given:
        assert answers[at + component.LATENCY - 1] == (checksum(raw) == 0 and any(raw)), raw.hex()


def test_refused_width() -> None:
    with pytest.raises(ValueError, match="width: 3 was given, allowed are 1 and 8"):
        InternetChecksum(width=3)
