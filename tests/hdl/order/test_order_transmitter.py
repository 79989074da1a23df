# amaranth: UnusedElaboratable=no -- a refused parameter leaves a half-made component
"""`OrderTransmitter`: frames, latency, acknowledgments (cocotb), and what the constructor refuses."""

from __future__ import annotations

import pytest

from hdl.order.order_transmitter import OrderTransmitter
from hdl.spec.geometry import Geometry
from tests.support.bench import run_cocotb

DELAY = 40


@pytest.mark.parametrize("width", [1, 8])
def test_frames(width: int) -> None:
    run_cocotb(
        OrderTransmitter(geometry=Geometry(width=width), acknowledge_delay=DELAY),
        module="tests.hdl.order.cocotb_order_transmitter",
        name=f"order_transmitter_{width}",
        parameters={"WIDTH": str(width), "DELAY": str(DELAY)},
    )


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"acknowledge_delay": 0}, "acknowledge_delay: 0 was given, allowed are 1 to 16777216"),
        ({"window": 65536}, "window: 65536 was given, allowed are 1 to 65535"),
    ],
)
def test_refused_parameters(parameters: dict[str, int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        OrderTransmitter(geometry=Geometry(), **parameters)
