from hdl.strategy.spread_trigger import SpreadTrigger
from tests.hdl.strategy.cocotb_spread_trigger import GEOMETRY
from tests.support.bench import run_cocotb


def test_spread_trigger():
    run_cocotb(SpreadTrigger(geometry=GEOMETRY), module="tests.hdl.strategy.cocotb_spread_trigger", name="spread_trigger")
