"""The whole appliance at eight bytes a beat, between XGMII and XGMII."""

from __future__ import annotations

from hdl.appliance import Appliance
from tests.support.bench import run_cocotb
from tests.system.test_datapath import geometry


def test_a_trigger_becomes_an_order_frame() -> None:
    run_cocotb(Appliance(geometry=geometry(8)), module="tests.system.cocotb_xgmii", name="appliance_8")
