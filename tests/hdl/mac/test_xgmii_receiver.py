"""`XgmiiReceiver` under cocotb."""

from __future__ import annotations

from hdl.mac.xgmii_receiver import XgmiiReceiver
from tests.support.bench import run_cocotb


def test_frames() -> None:
    run_cocotb(XgmiiReceiver(), module="tests.hdl.mac.cocotb_xgmii_receiver", name="xgmii_receiver")
