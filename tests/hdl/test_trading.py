from hdl.trading import TradingCore
from tests.hdl.cocotb_trading import GEOMETRY
from tests.support.bench import run_cocotb


def test_trading_core():
    run_cocotb(TradingCore(geometry=GEOMETRY), module="tests.hdl.cocotb_trading", name="trading_core")
