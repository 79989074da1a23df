# amaranth: UnusedElaboratable=no -- a refused parameter leaves a half-made component
"""`FrameFilter` under cocotb, both widths."""

from __future__ import annotations

import pytest

from hdl.net.frame_filter import FrameFilter
from tests.support.bench import run_cocotb


@pytest.mark.parametrize("width", [1, 8])
def test_frames(width: int) -> None:
    run_cocotb(
        FrameFilter(width=width),
        module="tests.hdl.net.cocotb_frame_filter",
        name=f"frame_filter_{width}",
        parameters={"WIDTH": str(width), "GARBAGE": "1000"},
    )


def test_latency_is_stated() -> None:
    assert [FrameFilter(width=width).latency for width in (1, 8)] == [0, 5]
    assert [FrameFilter(width=width).verdict for width in (1, 8)] == [5, 9]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"width": 4}, "width: 4 was given, allowed are 1 and 8"),
        ({"width": 1, "max_frame": 63}, "max_frame: 63 was given, allowed are 64 to 9216"),
    ],
)
def test_refused_parameters(parameters: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FrameFilter(**parameters)
