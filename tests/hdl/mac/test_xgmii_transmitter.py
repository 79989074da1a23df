"""`XgmiiTransmitter` under cocotb."""

from __future__ import annotations

from hdl.mac.xgmii_transmitter import XgmiiTransmitter
from tests.support.bench import run_cocotb


def test_frames() -> None:
    run_cocotb(XgmiiTransmitter(), module="tests.hdl.mac.cocotb_xgmii_transmitter", name="xgmii_transmitter")
