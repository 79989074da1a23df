import random

import pytest

from hdl.risk.loss_limit import LOSS_BITS, LossLimit
from sim import poke

BITS = LOSS_BITS + 4


@pytest.fixture(scope="module")
def dut():
    with poke.build(LossLimit(bits=BITS), name="loss_limit", inside=False) as model:
        yield model


def step(dut, pnl: int, max_loss: int = 100, *, rearm: int = 0, valid: int = 1, clocks: int = 1) -> int:
    dut.pnl, dut.max_loss, dut.rearm, dut.valid = pnl & ((1 << BITS) - 1), max_loss, rearm, valid
    for _ in range(clocks):
        dut.step()
    return dut.reached


def test_a_loss_of_just_the_limit_is_none_too_many(dut):
    dut.reset()
    highest, lowest = (1 << BITS - 1) - 1, -(1 << BITS - 1)
    for pnl, max_loss, reached in (
        (-100, 100, 0),
        (-101, 100, 1),
        (0, 0, 0),
        (-1, 0, 1),
        (highest, 0, 0),
        (lowest, (1 << LOSS_BITS) - 1, 1),
        (-(1 << LOSS_BITS) + 1, (1 << LOSS_BITS) - 1, 0),
        (-(1 << LOSS_BITS), (1 << LOSS_BITS) - 1, 1),
    ):
        step(dut, 0, rearm=1, clocks=3)
        assert step(dut, pnl, max_loss, clocks=2) == reached, (pnl, max_loss)


def test_it_is_reached_two_clocks_later_and_kept(dut):
    dut.reset()
    assert step(dut, -101) == 0
    assert step(dut, 5) == 1
    assert step(dut, 5, clocks=50) == 1
    assert step(dut, 5, rearm=1) == 0


def test_it_is_not_rearmed_while_the_loss_is_greater(dut):
    dut.reset()
    step(dut, -101, clocks=2)
    assert step(dut, -101, rearm=1, clocks=5) == 1
    # Not even in the clock in which it came again.
    step(dut, 0, clocks=2)
    step(dut, -101)
    assert step(dut, 0, rearm=1) == 1
    assert step(dut, 0, rearm=1) == 0


def test_sums_that_are_not_whole_do_not_count(dut):
    dut.reset()
    assert step(dut, -1000, valid=0, clocks=9) == 0


def test_against_the_rule(dut):
    source = random.Random(5)
    dut.reset()
    below, reached = False, 0
    for _ in range(3000):
        limit = source.choice((0, 1, 1000))
        pnl = source.choice((-limit, -limit - 1, 1 - limit, 7))
        rearm, valid = int(source.random() < 0.5), int(source.random() < 0.9)
        reached = 1 if below else 0 if rearm else reached
        below = bool(valid) and -pnl > limit
        assert step(dut, pnl, limit, rearm=rearm, valid=valid) == reached


def test_bits_must_hold_the_limit():
    with pytest.raises(ValueError, match="bits: 56 was given, allowed are 57 and more"):
        LossLimit(bits=LOSS_BITS)
