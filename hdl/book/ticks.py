"""The price grid: what a tick is, and how ticks of both sides become keys of which the highest is the best."""

from __future__ import annotations

DOLLAR = 10_000
"""One dollar in price units; below it the grid is one unit, from it on one cent."""
CENT = 100
"""Price units in a cent."""
OFFSET = DOLLAR - DOLLAR // CENT
"""Added to the whole cents of a price to give its tick, so that the grid has no hole at one dollar."""
TICK_BITS = ((1 << 32) // CENT + OFFSET).bit_length()
"""Bits of a tick, for any price of 32 bits. Bids use the tick as key, offers its complement."""
