import pytest

from hdl.risk.ledger import Ledger
from tests.hdl.risk.cocotb_ledger import GEOMETRY
from tests.support.bench import run_cocotb


def test_ledger():
    run_cocotb(Ledger(geometry=GEOMETRY), module="tests.hdl.risk.cocotb_ledger", name="ledger")


@pytest.mark.parametrize("size", [0, 3, 12])
def test_report_queue_must_be_a_power_of_two(size):
    with pytest.raises(ValueError, match=r"report_queue: .* was given"):
        Ledger(geometry=GEOMETRY, report_queue=size)
