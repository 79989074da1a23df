"""The books that every test of a book is about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hdl.spec.geometry import Geometry

TINY = Geometry(slots=4, order_rows=64, order_ways=4, ladder_ticks=64, book_queue=16)
SCARCE = Geometry(slots=2, order_rows=16, order_ways=1, ladder_ticks=128, book_queue=16)

PATIENT, FULL = (replace(one, line_rate=True, book_queue=4096) for one in (TINY, SCARCE))
"""At line rate, losing nothing while windows are filled, however close messages come."""
ADDED = {False: 6, True: 13}
"""Clocks from an add that finds the book idle to its touch, of the soonest book and of the one at line rate."""
NAMED = {False: 7, True: 13}
"""The same of a message that names an order, where the book has its slot at hand."""


@pytest.fixture(params=[False, True], ids=["soonest", "line_rate"])
def line_rate(request: pytest.FixtureRequest) -> bool:
    """Which of both."""
    return bool(request.param)


@pytest.fixture
def tiny(line_rate: bool) -> Geometry:
    """Small, so that windows move and run empty."""
    return replace(TINY, line_rate=line_rate)


@pytest.fixture
def scarce(line_rate: bool) -> Geometry:
    """With a table that is soon full."""
    return FULL if line_rate else SCARCE
