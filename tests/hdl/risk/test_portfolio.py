from hdl.risk.portfolio import Portfolio
from tests.hdl.risk.cocotb_portfolio import GEOMETRY
from tests.support.bench import run_cocotb


def test_portfolio():
    run_cocotb(Portfolio(geometry=GEOMETRY), module="tests.hdl.risk.cocotb_portfolio", name="portfolio")
