# amaranth: UnusedElaboratable=no -- a refused parameter leaves a half-made component
"""`MoldUdp64Receiver` under cocotb, both widths."""

from __future__ import annotations

import pytest

from hdl.feed.moldudp64_receiver import MoldUdp64Receiver
from tests.support.bench import run_cocotb


@pytest.mark.parametrize("width", [1, 8])
def test_packets(width: int) -> None:
    run_cocotb(
        MoldUdp64Receiver(width=width),
        module="tests.hdl.feed.cocotb_moldudp64_receiver",
        name=f"moldudp64_receiver_{width}",
        parameters={"WIDTH": str(width)},
    )


def test_latency_is_stated() -> None:
    assert [MoldUdp64Receiver(width=width).latency for width in (1, 8)] == [0, 5]


def test_refused_width() -> None:
    with pytest.raises(ValueError, match="width: 2 was given, allowed are 1 and 8"):
        MoldUdp64Receiver(width=2)
