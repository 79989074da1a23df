import pytest

from hdl.trading import TradingCore
from tests.sim.cocotb_trading_twin import GEOMETRY
from tests.support.bench import run_cocotb

CORE = TradingCore(geometry=GEOMETRY)
BRINGS = {
    0: "cancel_rate rejects short_limit",
    1: "locate slot_rate stale no_reference",
    2: "max_units session_down notional",
    3: "integrity off_tick long_limit",
}
"""By seed, some of the reasons its round brings about."""
BRINGS_WITH_SETS = {4: "host_order canary cancel_rate reject_rate rejects", 9: "host_order reject_rate stale"}
"""The same of rounds in which sets change and the host gives orders."""


BRINGS_WITH_LEGS = {6: "canary duplicate cancel_rate integrity pending cooldown", 8: "host_order open_orders rate pending"}
"""The same of rounds in which pairs are completed and unwound, the first one without other sets and orders of the host."""
BRINGS_CLOSELY = {204: "overrun", 217: "overrun"}
"""The same of rounds in which sets change and touches follow each other closely."""
AT_EIGHT_BYTES = {9, *BRINGS_CLOSELY}
"""Rounds whose frames leave as they do at eight bytes a beat."""


@pytest.mark.parametrize("seed", [*BRINGS, *BRINGS_WITH_SETS, *BRINGS_WITH_LEGS, *BRINGS_CLOSELY])
def test_trading_twin(seed: int) -> None:
    brings = BRINGS | BRINGS_WITH_SETS | BRINGS_WITH_LEGS | BRINGS_CLOSELY
    sets, legs = seed in BRINGS_WITH_SETS or seed > min(BRINGS_WITH_LEGS), seed in BRINGS_WITH_LEGS
    width = 8 if seed in AT_EIGHT_BYTES else 1
    given = {"SEED": seed, "BRINGS": brings[seed], "SETS": int(sets), "LEGS": int(legs), "WIDTH": width}
    given["CLOSE"] = int(seed in BRINGS_CLOSELY)
    run_cocotb(
        CORE,
        module="tests.sim.cocotb_trading_twin",
        name="trading_core",
        parameters={name: str(value) for name, value in given.items()},
    )
