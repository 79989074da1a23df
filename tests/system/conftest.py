"""The card every test of the whole appliance starts from, at one and at eight bytes a clock from the same sources."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hdl.spec.geometry import PRESETS
from sim.card import SimulatedCard
from tests.support.geometries import WIDE

GEOMETRIES = {"gmii": PRESETS["versa"], "xgmii": WIDE}


@pytest.fixture(params=GEOMETRIES.values(), ids=GEOMETRIES)
def card(request: pytest.FixtureRequest) -> Iterator[SimulatedCard]:
    """A simulated card out of reset."""
    with SimulatedCard(request.param) as card:
        yield card
