# amaranth: UnusedElaboratable=no -- a refused parameter leaves a half-made component
"""`PacketHold` under cocotb, both widths."""

from __future__ import annotations

import pytest

from hdl.net.packet_hold import PacketHold
from tests.support.bench import run_cocotb

DEPTH = 64


@pytest.mark.parametrize("width", [1, 8])
def test_packets(width: int) -> None:
    run_cocotb(
        PacketHold(width=width, depth=DEPTH),
        module="tests.hdl.net.cocotb_packet_hold",
        name=f"packet_hold_{width}",
        parameters={"WIDTH": str(width), "DEPTH": str(DEPTH)},
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"width": 2}, "width: 2 was given, allowed are 1 and 8"),
        ({"width": 1, "depth": 100}, "depth: 100 was given, allowed are powers of two from 16 on"),
    ],
)
def test_refused_parameters(parameters: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PacketHold(**parameters)
