from hdl.risk.risk_gate import RiskGate
from hdl.spec.geometry import Geometry
from tests.support.bench import run_cocotb


def test_risk_gate():
    run_cocotb(RiskGate(geometry=Geometry()), module="tests.hdl.risk.cocotb_risk_gate", name="risk_gate")
