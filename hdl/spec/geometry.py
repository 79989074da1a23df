"""Sizes of an appliance: what is decided when the gateware is built, not while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


def _bits(count: int) -> int:
    return max(1, (count - 1).bit_length())


@dataclass(frozen=True)
class Geometry:
    """Capacities of one build.

    Parameters
    ----------
    width : int
        Bytes a beat: 1 (GMII, 125 MHz) or 8 (XGMII, 156.25 MHz).
    slots : int
        Symbols watched at once.
    pairs : int
        Pairs of slots.
    order_rows : int
        Rows of each of the two order table banks, a power of two.
    order_ways : int
        Orders a row holds. Capacity is ``2 * order_rows * order_ways``.
    ladder_ticks : int
        Price ticks in the window of each slot and side, a power of two from 64 on.
    book_queue : int
        Messages that may wait in front of the book.
    open_orders : int
        Own orders the ledger can follow at once, a power of two.
    ring_messages : int
        Messages that can wait for one before them, a power of two.
    adaptive : bool
        Pairs may have thresholds that follow mean and variance; without, all are static.
    repair : bool
        Pairs whose orders were filled unequally are completed or unwound, as they want it; without, all of them stop.
    line_rate : bool
        The book begins a message every second clock and keeps up with 10 Gbit/s (`LineRateBook`); without, it has one at a time
        and answers 7 clocks sooner (`OrderBook`).
    """

    width: int = 1
    slots: int = 32
    pairs: int = 64
    order_rows: int = 512
    order_ways: int = 4
    ladder_ticks: int = 256
    book_queue: int = 256
    open_orders: int = 256
    ring_messages: int = 128
    adaptive: bool = True
    repair: bool = True
    line_rate: bool = False

    def __post_init__(self) -> None:
        if self.width not in (1, 8):
            raise ValueError(f"width: {self.width} was given, allowed are 1 and 8")
        for name, low, high in (
            ("slots", 2, 1024),
            ("pairs", 1, 4096),
            ("order_ways", 1, 8),
            ("book_queue", 16, 65536),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: {getattr(self, name)} was given, allowed are {low} to {high}")
        for name, low, high in (("order_rows", 16, 65536), ("ladder_ticks", 64, 4096), ("open_orders", 16, 4096),
                                ("ring_messages", 16, 32768)):  # fmt: skip
            value = getattr(self, name)
            if value & (value - 1) or not low <= value <= high:
                raise ValueError(f"{name}: {value} was given, allowed are powers of two from {low} to {high}")

    @property
    def slot_bits(self) -> int:
        """Bits of a slot number."""
        return _bits(self.slots)

    @property
    def pair_bits(self) -> int:
        """Bits of a pair number."""
        return _bits(self.pairs)

    @property
    def order_capacity(self) -> int:
        """Orders the table can hold at most."""
        return 2 * self.order_rows * self.order_ways

    @property
    def bbo_records(self) -> int:
        """BBO changes that may wait for their records to be written behind the one whose turn is next: as many as come of a burst
        that the book's queue can hold, where the book is faster than the records."""
        return self.book_queue if self.line_rate else 0

    @property
    def integrity_records(self) -> int:
        """Changes of integrity that may wait likewise: every slot may fall, one right after the other."""
        return max(16, self.slots) if self.line_rate else 0

    @property
    def clock_hz(self) -> int:
        """Clock of the data path."""
        return 125_000_000 if self.width == 1 else 156_250_000


_LARGE = Geometry(
    slots=128, pairs=512, order_rows=16384, ladder_ticks=4096, book_queue=4096, open_orders=1024, ring_messages=1024
)

PRESETS: Mapping[str, Geometry] = {
    # LFE5UM5G-45F: 108 block RAMs of 18 Kbit, and wires for so much logic and no more: adaptive pairs would take 2,700 of its
    # 43,848 LUTs; the repair of legged pairs wants six block RAMs, and as many are free. 4,096 orders are 32 block RAMs, 16
    # slots with 256 ticks a side another 16.
    "versa": Geometry(slots=16, adaptive=False, repair=False),
    # A large device, and what a simulation uses unless told otherwise: 131,072 orders hold several times the busiest symbol
    # on record (37,000 live orders), 4,096 ticks are a window of 40.96 dollars. Two banks of four ways fill up before their
    # capacity is reached: with generated traffic of 1,000 symbols the first order without room came at 78,000.
    "large": _LARGE,
    # The same at 10 Gbit/s.
    "large_10g": replace(_LARGE, width=8, line_rate=True),
}
"""Builds that have a name."""
