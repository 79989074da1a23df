"""`ReportRates` against a list of everything told."""

import random

import pytest

from hdl.risk.report_rates import COUNT_BITS, ReportRates
from sim import poke


@pytest.fixture(scope="module")
def dut():
    with poke.build(ReportRates(), name="report_rates", inside=False) as model:
        yield model


def setup(dut, *, rejects: int = 0, cancels: int = 0, window: int = 0) -> None:
    dut.reset()
    dut.reject_rate_orders, dut.cancel_rate_orders, dut.report_rate_window = rejects, cancels, window
    dut.rejected = dut.canceled = 0


def step(dut, rejected: int = 0, canceled: int = 0, clocks: int = 1) -> tuple[int, int]:
    for _ in range(clocks):
        dut.rejected, dut.canceled = rejected, canceled
        dut.step()
    dut.rejected = dut.canceled = 0
    return dut.rejects_reached, dut.cancels_reached


def test_a_count_shows_two_clocks_later_and_each_kind_counts_alone(dut):
    setup(dut, rejects=2, cancels=3)
    assert step(dut, rejected=1, canceled=1, clocks=2) == (0, 0)
    assert step(dut) == (1, 0)
    assert step(dut, canceled=1) == (1, 0)
    assert step(dut) == (1, 1)
    # Without an end of the window nothing clears them but another limit.
    assert step(dut, clocks=100) == (1, 1)
    dut.reject_rate_orders = 3
    assert step(dut) == (0, 1)
    dut.cancel_rate_orders = 0
    assert step(dut) == (0, 0)


def test_a_count_stays_at_its_highest(dut):
    highest = (1 << COUNT_BITS) - 1
    setup(dut, rejects=highest)
    step(dut, rejected=1, clocks=highest - 1)
    assert step(dut, clocks=2) == (0, 0)
    step(dut, rejected=1, clocks=highest + 5)
    assert step(dut, clocks=2) == (1, 0)


@pytest.mark.parametrize("window", [1, 2, 7, 60])
def test_against_everything_told(dut, window):
    """A window's reports are those from its predecessor's last clock on."""
    source = random.Random(window)
    most = (3, 1 + window // 4)
    setup(dut, rejects=most[0], cancels=most[1], window=window)
    told: tuple[list[int], list[int]] = ([], [])
    seen = set()
    for clock in range(4_000):
        now = (int(source.random() < 2 / window), int(source.random() < 0.3))
        for kind, each in enumerate(now):
            if each:
                told[kind].append(clock)
        reached = step(dut, *now)
        # What shows behind this clock was counted behind the one before.
        expected = tuple(
            int(sum((at + 1) // window == clock // window for at in each if at < clock) >= limit)
            for each, limit in zip(told, most, strict=True)
        )
        assert reached == expected, clock
        seen.add(expected)
    assert len(seen) > 1
