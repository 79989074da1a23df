"""Touches whose records the card lost: as many are filled in as it says, and any other number is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from hdl.spec import events
from hdl.spec.geometry import PRESETS
from host.journal import Heard, Hole, touches
from sim.twin import Twin
from tests.host.records import add, framed

GEOMETRY = PRESETS["versa"]
SLOTS = {13: 0}
COUNT = 9
MESSAGES = [add("AAPL", 13, number, "B", 100, 10_000 * number) for number in range(1, COUNT + 1)]
"""Each is a touch of its own."""
HEARD = [Heard(number, message, 0, *(100 * number,) * 4) for number, message in enumerate(MESSAGES, 1)]
ROWS = Twin(GEOMETRY, bindings=SLOTS, next_sequence=1).feed(framed(MESSAGES))


def found(never: Collection[int], lost: Mapping[int, int], *, all_lost: int = 0) -> Hole | None:
    """Of a card that told all touches but some and said what it lost before which; all are filled in, as some were lost."""
    records: list[dict[str, Any]] = [
        {name: int(row[name]) for name in ROWS.dtype.names if name}
        | {"kind": events.BBO.code, "lost": lost.get(int(row["sequence"]), 0)}
        for row in ROWS
        if row["sequence"] not in never
    ]
    rows, hole = touches(records, GEOMETRY, HEARD, SLOTS, lost=all_lost)
    assert rows.tolist() == ROWS.tolist()
    return hole


def test_what_was_lost_is_filled_in() -> None:
    assert len(ROWS) == COUNT
    assert found((), {}) is None
    assert found({1, 4, 5}, {2: 1, 6: 2}, all_lost=3) is None
    assert found({4, 8, 9}, {5: 1}, all_lost=4) is None, "one of another kind"
    assert found({9}, {}, all_lost=1) is None
    assert found(range(1, COUNT + 1), {}, all_lost=COUNT) is None


@pytest.mark.parametrize(
    ("never", "lost", "all_lost", "hole"),
    [
        ({4, 7}, {5: 1}, 1, Hole(8, 0, 1)),
        ({4, 5}, {6: 1}, 1, Hole(6, 1, 2)),
        # As many, but not there.
        ({2, 7}, {5: 2}, 2, Hole(3, 0, 1)),
        ({4}, {5: 2}, 2, Hole(5, 2, 1)),
        ({4}, {5: 0xFFFF}, 0xFFFF, Hole(5, 0xFFFF, 1)),
        ({4, 9}, {5: 1}, 1, Hole(None, 0, 1)),
        ({8, 9}, {}, 1, Hole(None, 1, 2)),
    ],
)
def test_what_the_card_never_told_is_no_loss(never: set[int], lost: dict[int, int], all_lost: int, hole: Hole) -> None:
    assert found(never, lost, all_lost=all_lost) == hole
