"""Event records of the twin in the order, at the clocks and with the losses of the card's `EventWriter`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from typing import Any

from hdl.control.event_writer import QUEUE_DEPTH, ROOM, by_rank
from hdl.spec import events
from hdl.spec.layout import Layout

LATE = {events.TRIGGER.code: 1, events.ORDER_SENT.code: 1}
"""Clocks from the one a record bears to the one in which it is given, where they are not the same."""
_OUT = 3
"""Clocks from a word that is chosen to the one in which it is out."""

Record = dict[str, Any]


class _Behind:
    """Records of a kind that wait behind the one that is kept: the gateware's queue with an output register.

    Parameters
    ----------
    depth : int
        How many may.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._inside: deque[Record] = deque()
        self._front: Record | None = None

    def __bool__(self) -> bool:
        return bool(self._inside) or self._front is not None

    def step(self, record: Record | None, taken: bool) -> tuple[Record | None, bool]:
        """One clock in which a record comes or not, and the one in front is taken if there is one. Gives that, and whether there
        was room."""
        front, room = self._front, record is None or len(self._inside) < self._depth - 1
        if self._inside and (front is None or taken):
            self._front = self._inside.popleft()
        elif taken:
            self._front = None
        if record is not None and room:
            self._inside.append(record)
        return front if taken else None, room


class RecordQueue:
    """Each kind keeps one record until its turn to enter a queue, from which they are written word by word.

    Parameters
    ----------
    bbo_behind, integrity_behind : int
        BBO and INTEGRITY records that may wait behind the one that is kept.

    Attributes
    ----------
    lost : int
        Records that found no room behind those before them of their kind.
    """

    def __init__(self, *, bbo_behind: int = 0, integrity_behind: int = 0) -> None:
        self.lost = 0
        self._kinds = by_rank(bbo_behind=bbo_behind)
        """Of those that wait the first one goes."""
        self._eager, self._bbo = self._kinds.index(events.VERDICT), self._kinds.index(events.BBO)
        depths = {events.BBO: bbo_behind, events.INTEGRITY: integrity_behind}
        self._behind = {self._kinds.index(layout): _Behind(depth) for layout, depth in depths.items() if depth}
        self._clock = 0
        self._given: list[tuple[int, int, int, Record]] = []
        self._count = self._number = 0
        self._verdict_at = -1
        self._kept: dict[int, Record] = {}
        """By rank."""
        self._missed = [0] * len(self._kinds)
        self._moves: int | None = None
        """Rank of what enters the queue in this clock."""
        self._queue: deque[Record] = deque()
        self._left = 0
        """Words of the one in front that are to be written from this clock on."""
        self._wrote = False
        """A word was, a clock before."""
        self._out: deque[tuple[int, Record]] = deque()

    def tell(self, clock: int, layout: Layout, values: Mapping[str, Any]) -> None:
        """A record of a clock; those of later ones may be told before."""
        given = clock + LATE.get(layout.code, 0)
        if layout is events.VERDICT:
            # That of the second order comes a clock behind that of the first.
            given, self._verdict_at = clock + (clock == self._verdict_at), clock
        record = {"kind": layout.code, "words": layout.size // 4, "lost": 0, "cycle": clock & 0xFFFFFFFF, **values}
        heappush(self._given, (given, self._kinds.index(layout), self._count, record))
        self._count += 1

    def out(self, until: int) -> Iterator[tuple[int, Record]]:
        """Records that are out before a clock, in order, with the clocks of their last words."""
        while self._clock < until:
            rest = min(until, self._given[0][0] if self._given else until) - self._clock
            still = rest > 0 and not self._kept and self._moves is None and not any(self._behind.values())
            if still and self._left > 1:
                # Nothing but words.
                skipped = min(rest, self._left - 1)
                self._clock, self._left, self._wrote = self._clock + skipped, self._left - skipped, True
            elif still and not (self._left or self._queue or self._wrote):
                self._clock += rest
            else:
                self._step()
        while self._out and self._out[0][0] < until:
            yield self._out.popleft()

    def _step(self) -> None:
        """One clock."""
        given: dict[int, Record] = {}
        while self._given and self._given[0][0] <= self._clock:
            _, rank, _, record = heappop(self._given)
            given[rank] = record
        moves, room = self._moves, len(self._queue) < QUEUE_DEPTH - 1
        waiting = [rank for rank in self._kept if rank != moves]
        if self._bbo in self._behind and len(self._queue) >= ROOM:
            waiting = [rank for rank in waiting if rank != self._bbo]
        if self._eager in given and (self._eager not in self._kept or moves == self._eager):
            waiting.append(self._eager)
        self._moves = min(waiting) if waiting and room else None
        wrote, self._wrote = self._wrote, self._left > 0
        entering = None if moves is None else self._kept.pop(moves)
        for rank in {*given, *self._behind}:
            told, free = given.get(rank), rank not in self._kept
            if told is not None:
                told["lost"] = self._missed[rank]
            front, room = self._behind[rank].step(told, free) if rank in self._behind else (told if free else None, free)
            if front is not None:
                self._kept[rank] = front
            if told is not None:
                self.lost += not room
                self._missed[rank] = 0 if room else self._missed[rank] + 1
        self._write(wrote)
        if entering is not None:
            self._queue.append(entering)
        self._clock += 1

    def _write(self, wrote: bool) -> None:
        if self._left:
            self._left -= 1
            if not self._left:
                record = self._queue.popleft()
                self._number += record["lost"]
                self._out.append((self._clock + _OUT, record | {"number": self._number}))
                self._number += 1
        elif self._queue and not wrote:
            self._left = self._queue[0]["words"]
