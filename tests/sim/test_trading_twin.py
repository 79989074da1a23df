import pytest

from hdl.trading import TradingCore
from tests.sim.cocotb_trading_twin import GEOMETRY
from tests.support.bench import run_cocotb

BRINGS = {0: "integrity stale off_tick", 1: "duplicate short_limit", 2: "rate long_limit", 3: "integrity"}
"""By seed, some of the reasons its round brings about."""
BRINGS_WITH_SETS = {4: "host_order cooldown overrun", 5: "host_order slot_rate"}
"""The same of rounds in which sets change and the host gives orders."""


@pytest.mark.parametrize("seed", [*BRINGS, *BRINGS_WITH_SETS])
def test_trading_twin(seed: int) -> None:
    brings = BRINGS | BRINGS_WITH_SETS
    run_cocotb(
        TradingCore(geometry=GEOMETRY),
        module="tests.sim.cocotb_trading_twin",
        name="trading_twin",
        parameters={"SEED": str(seed), "BRINGS": brings[seed], "SETS": str(int(seed in BRINGS_WITH_SETS))},
    )
