"""The card every test of the whole appliance starts from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sim.card import SimulatedCard
from tests.support import desk


@pytest.fixture
def card() -> Iterator[SimulatedCard]:
    """A simulated card out of reset."""
    with desk.card() as card:
        yield card
