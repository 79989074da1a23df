# amaranth: UnusedElaboratable=no -- a refused parameter leaves a half-made component
"""`ItchDecoder` under cocotb, both widths."""

from __future__ import annotations

import pytest

from hdl.itch.itch_decoder import ItchDecoder
from hdl.spec.geometry import Geometry
from tests.support.bench import run_cocotb


@pytest.mark.parametrize("width", [1, 8])
def test_messages(width: int) -> None:
    run_cocotb(
        ItchDecoder(geometry=Geometry(width=width), delay=7),
        module="tests.hdl.itch.cocotb_itch_decoder",
        name=f"itch_decoder_{width}",
        parameters={"WIDTH": str(width)},
    )


def test_latency_is_stated() -> None:
    assert [ItchDecoder(geometry=Geometry(width=width)).latency for width in (1, 8)] == [1, 3]


def test_refused_delay() -> None:
    with pytest.raises(ValueError, match="delay: -1 was given, allowed are numbers from 0 on"):
        ItchDecoder(geometry=Geometry(), delay=-1)
