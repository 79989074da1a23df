"""`GmiiReceiver` under cocotb."""

from __future__ import annotations

from hdl.mac.gmii_receiver import GmiiReceiver
from tests.support.bench import run_cocotb


def test_frames() -> None:
    run_cocotb(GmiiReceiver(), module="tests.hdl.mac.cocotb_gmii_receiver", name="gmii_receiver")
