"""`SpreadStatistics`: what samples make of the thresholds of adaptive pairs, and when."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hdl.spec.statistics import FRACTION, FURTHEST, Statistics, Thresholds
from hdl.strategy.spread_statistics import SpreadStatistics

_QUEUED, _FETCHED = 1, 1
"""Clocks from a sample to the queue, and from there to the worker."""
_FIRST_IS_SOONER = 43
"""Clocks, and twice `alpha_shift`: nothing is multiplied for a pair's first sample."""
_ROOT = 62
"""Clocks from the look at `warmup` to the thresholds."""


@dataclass(frozen=True)
class Published:
    """New thresholds.

    Parameters
    ----------
    clock : int
        When they are written.
    pair : int
        Of which pair.
    thresholds : Thresholds
        They.
    """

    clock: int
    pair: int
    thresholds: Thresholds


class Samples:
    """The one worker that takes samples, one after the other.

    Parameters
    ----------
    pairs : sequence of mappings
        Rows of the card's table.

    Attributes
    ----------
    statistics : dict of int to Statistics
        By pair, of those with samples.
    taken, lost, cut : int
        Samples taken over, without room, and cut.
    """

    def __init__(self, pairs: Sequence[Mapping[str, int]]) -> None:
        self._pairs = pairs
        self.statistics: dict[int, Statistics] = {}
        self.taken = self.lost = self.cut = 0
        self._starts: deque[int] = deque()
        self._free_from = 0

    def take(self, pair: int, total: int, clock: int) -> tuple[bool, Published | None]:
        """Take a sample (the sum of both spreads) of a clock. Gives whether it found room, and what is published of it."""
        queued = clock + _QUEUED
        while self._starts and self._starts[0] < queued:
            self._starts.popleft()
        if len(self._starts) == SpreadStatistics.QUEUE:
            self.lost += 1
            return False, None
        start = max(self._free_from, queued + _FETCHED)
        self._starts.append(start)
        row = self._pairs[pair]
        before = self.statistics.get(pair, Statistics())
        shift = row["alpha_shift"]
        self.taken += 1
        self.cut += bool(before.samples) and not -FURTHEST <= (total << FRACTION) - before.mean <= FURTHEST
        after = self.statistics[pair] = before.after(total, alpha_shift=shift)
        published = start + SpreadStatistics.latency(shift) - _QUEUED - _FETCHED
        if not before.samples:
            published -= _FIRST_IS_SOONER + 2 * shift
        if after.samples < row["warmup"]:
            self._free_from = published - _ROOT
            return True, None
        self._free_from = published + 1
        return True, Published(published, pair, after.thresholds(k_entry=row["k_entry"], k_exit=row["k_exit"]))
