"""From frames to fields: the market-data path as a whole, both widths, on every real capture."""

from __future__ import annotations

import os

import pytest

from hdl.spec.geometry import Geometry
from tests.support import data
from tests.support.bench import run_cocotb
from tests.support.feed_chain import FeedChain


@pytest.mark.soak
@pytest.mark.parametrize("width", [1, 8])
def test_captures_and_garbage(width: int, soak: bool) -> None:
    """In a soak with ten thousand schedules of faults."""
    captures = data.captures(data.ITCH_WIRE) + data.captures(data.ITCH_TYPES)
    run_cocotb(
        FeedChain(geometry=Geometry(width=width, ring_messages=16)),
        module="tests.hdl.feed.cocotb_feed_chain",
        name=f"feed_chain_{width}",
        parameters={
            "WIDTH": str(width),
            "CAPTURES": os.pathsep.join(map(str, captures)),
            "GARBAGE": "400",
            "SCHEDULES": "10000" if soak else "16",
        },
    )
