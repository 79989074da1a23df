"""`SoupBinTcpReceiver` finds the packets the exchange's library makes, whatever the gaps between bytes."""

from __future__ import annotations

import random

import pytest
from nasdaq_protocols import soup

from hdl.order.soupbintcp_receiver import SoupBinTcpReceiver
from hdl.spec.reasons import Drop
from tests.support.simulation import put, simulate


@pytest.mark.parametrize("gaps", [0.0, 0.5])
def test_packets_of_the_library(gaps: float) -> None:
    receiver = SoupBinTcpReceiver()
    rng = random.Random(7)
    payloads = [rng.randbytes(size) for size in (1, 2, 29, 64, 255, 256, 600)]
    packets = [
        soup.LoginAccepted("SESSION", 1),
        soup.ServerHeartbeat(),
        *(soup.SequencedData(payload) for payload in payloads),
        soup.Debug("text"),
        soup.SequencedData(b""),
        soup.UnSequencedData(b"S"),
        soup.LoginRejected("A"),
        soup.EndOfSession(),
    ]
    messages: list[bytes] = []
    drops = [0] * len(Drop)
    lost = []

    async def bench(ctx):
        for index, packet in enumerate(packets):
            for octet in packet.to_bytes()[1]:
                ctx.set(receiver.octets.payload, octet)
                ctx.set(receiver.octets.valid, 1)
                if ctx.get(receiver.message.valid):
                    beat = ctx.get(receiver.message.payload)
                    if beat.first:
                        messages.append(b"")
                    messages[-1] += bytes([beat.data[0]])
                    assert beat.last == (messages[-1] == packet.data)
                for reason in Drop:
                    drops[reason] += ctx.get(receiver.drop) >> reason & 1
                if ctx.get(receiver.session_lost):
                    lost.append(index)
                await put(ctx, receiver.octets, octet)
                while rng.random() < gaps:
                    assert not ctx.get(receiver.message.valid)
                    await ctx.tick()

    simulate(receiver, bench)
    assert messages == payloads
    assert lost == [len(packets) - 2, len(packets) - 1]
    assert {reason.name: count for reason, count in zip(Drop, drops, strict=True) if count} == {"SOUP_TYPE": 1, "OUCH_TYPE": 1}
