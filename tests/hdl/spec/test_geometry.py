import re

import pytest

from hdl.spec.geometry import PRESETS, Geometry


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"width": 4}, "width: 4 was given, allowed are 1 and 8"),
        ({"slots": 1}, "slots: 1 was given, allowed are 2 to 1024"),
        ({"slots": 1025}, "slots: 1025 was given, allowed are 2 to 1024"),
        ({"pairs": 0}, "pairs: 0 was given, allowed are 1 to 4096"),
        ({"order_ways": 9}, "order_ways: 9 was given, allowed are 1 to 8"),
        ({"book_queue": 15}, "book_queue: 15 was given, allowed are 16 to 65536"),
        ({"order_rows": 500}, "order_rows: 500 was given, allowed are powers of two from 16 to 65536"),
        ({"ladder_ticks": 32}, "ladder_ticks: 32 was given, allowed are powers of two from 64 to 4096"),
        ({"open_orders": 8192}, "open_orders: 8192 was given, allowed are powers of two from 16 to 4096"),
    ],
)
def test_impossible_sizes_are_named(given, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        Geometry(**given)


@pytest.mark.parametrize(("count", "bits"), [(2, 1), (3, 2), (4, 2), (5, 3), (1024, 10)])
def test_slot_bits_hold_every_slot(count, bits):
    assert Geometry(slots=count).slot_bits == bits


def test_one_pair_still_has_a_bit():
    assert Geometry(pairs=1).pair_bits == 1


def test_presets():
    assert PRESETS["versa"].order_capacity == 4096
    assert PRESETS["large"].order_capacity == 131_072
    assert PRESETS["versa"].clock_hz == 125_000_000
    assert Geometry(width=8).clock_hz == 156_250_000
