"""The whole data path at one and at eight bytes a beat, from the same sources."""

from __future__ import annotations

import pytest

from hdl.datapath import DataPath
from hdl.spec.geometry import Geometry
from tests.support.bench import run_cocotb

EOT_TO_SOF = {1: 18, 8: 32}
"""Clocks for an add. Eight bytes a beat are rotated into place on the way; shortening that is work to come (DESIGN wants 16)."""


def geometry(width: int) -> Geometry:
    """Small, so that it builds in little time."""
    return Geometry(width=width, slots=4, pairs=4, order_rows=16, ladder_ticks=64, book_queue=16, open_orders=16)


@pytest.mark.parametrize("width", [1, 8])
def test_a_trigger_becomes_an_order_frame(width: int) -> None:
    run_cocotb(
        DataPath(geometry=geometry(width)),
        module="tests.system.cocotb_datapath",
        name=f"datapath_{width}",
        parameters={"WIDTH": str(width)},
    )
