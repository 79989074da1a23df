import pytest

from hdl.trading import TradingCore
from tests.sim.cocotb_trading_twin import GEOMETRY
from tests.support.bench import run_cocotb

BRINGS = {0: "integrity stale off_tick", 1: "duplicate short_limit", 3: "integrity", 7: "cooldown long_limit"}
"""By seed, some of the reasons its round brings about."""


@pytest.mark.parametrize("seed", BRINGS)
def test_trading_twin(seed: int) -> None:
    run_cocotb(
        TradingCore(geometry=GEOMETRY),
        module="tests.sim.cocotb_trading_twin",
        name="trading_twin",
        parameters={"SEED": str(seed), "BRINGS": BRINGS[seed]},
    )
