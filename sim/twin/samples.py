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
_RULES = 5
"""Clocks from the one in which a sample leaves the queue to that in which its pair's row is read."""


@dataclass
class _Task:
    """A sample on its way."""

    pair: int
    total: int
    queued: int
    start: int = 0
    before: Statistics = Statistics()
    cut: bool = False
    free: int = 0
    """When the worker may take the next one."""


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
        self._tasks: deque[_Task] = deque()
        """Those that wait or are at work, and some that are done."""
        self._free_from = 0

    def take(self, pair: int, total: int, clock: int) -> tuple[bool, Published | None]:
        """Take a sample (the sum of both spreads) of a clock. Gives whether it found room, and what is published of it."""
        task = _Task(pair, total, clock + _QUEUED)
        while self._tasks and self._tasks[0].free <= task.queued:
            self._tasks.popleft()
        if sum(other.start >= task.queued for other in self._tasks) == SpreadStatistics.QUEUE:
            self.lost += 1
            return False, None
        self._tasks.append(task)
        return True, self._work(task, self._pairs[pair])

    def swap(self, clock: int, pairs: Sequence[Mapping[str, int]]) -> list[Published]:
        """Other rows come into force behind a clock. Gives what is still published of the samples taken before.

        What was foretold of those that wait is taken back. The one at work is taken over and gives no thresholds.
        """
        old, self._pairs = self._pairs, pairs
        again = [task for task in self._tasks if task.free > clock]
        for task in reversed(again):
            if task.before.samples:
                self.statistics[task.pair] = task.before
            else:
                del self.statistics[task.pair]
            self.taken -= 1
            self.cut -= task.cut
        self._free_from = again[0].start if again else self._free_from
        published = []
        for task in again:
            late = task.start + _RULES > clock or self._free_from > clock
            found = self._work(task, (pairs if late else old)[task.pair], clock)
            if found is not None:
                published.append(found)
        return published

    def _work(self, task: _Task, row: Mapping[str, int], swap: int = -1) -> Published | None:
        """Do a sample as soon as those before it are done; thresholds of one at work at a swap are kept back."""
        task.start = max(self._free_from, task.queued + _FETCHED)
        task.before = before = self.statistics.get(task.pair, Statistics())
        shift = row["alpha_shift"]
        task.cut = bool(before.samples) and not -FURTHEST <= (task.total << FRACTION) - before.mean <= FURTHEST
        self.taken += 1
        self.cut += task.cut
        after = self.statistics[task.pair] = before.after(task.total, alpha_shift=shift)
        published = task.start + SpreadStatistics.latency(shift) - _QUEUED - _FETCHED
        if not before.samples:
            published -= _FIRST_IS_SOONER + 2 * shift
        stale = task.start < swap
        warm = published - _ROOT - 1
        known = row["adaptive"] and after.samples >= row["warmup"] and not (stale and swap < warm)
        task.free = self._free_from = published + 1 if known else warm + 1
        if not known or stale:
            return None
        return Published(published, task.pair, after.thresholds(k_entry=row["k_entry"], k_exit=row["k_exit"]))
