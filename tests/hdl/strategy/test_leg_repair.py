from hdl.strategy.leg_repair import LegRepair
from tests.hdl.strategy.cocotb_leg_repair import GEOMETRY
from tests.support.bench import run_cocotb


def test_leg_repair():
    run_cocotb(LegRepair(geometry=GEOMETRY), module="tests.hdl.strategy.cocotb_leg_repair", name="leg_repair")
