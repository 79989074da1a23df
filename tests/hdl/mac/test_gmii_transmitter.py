"""`GmiiTransmitter` under cocotb."""

from __future__ import annotations

from hdl.mac.gmii_transmitter import GmiiTransmitter
from tests.support.bench import run_cocotb


def test_frames() -> None:
    run_cocotb(GmiiTransmitter(), module="tests.hdl.mac.cocotb_gmii_transmitter", name="gmii_transmitter")
