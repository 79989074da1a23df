"""`RiskGate` under cocotb; in a soak with a million random orders."""

import pytest

from hdl.risk.risk_gate import RiskGate
from hdl.spec.geometry import Geometry
from tests.support.bench import run_cocotb


@pytest.mark.soak
def test_risk_gate(soak: bool) -> None:
    run_cocotb(
        RiskGate(geometry=Geometry()),
        module="tests.hdl.risk.cocotb_risk_gate",
        name="risk_gate",
        # Two orders a request.
        parameters={"REQUESTS": "500000" if soak else "6000"},
    )
