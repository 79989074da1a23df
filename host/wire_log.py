"""Writes the frames of a run, in and out, as a capture that any analyser opens."""

from __future__ import annotations

import heapq
import struct
from typing import BinaryIO

_HEADER = struct.pack(">IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, 1)
_RECORD = struct.Struct(">IIII")


class WireLog:
    """A nanosecond pcap in the order of the clock; second 0 is the card's reset.

    Parameters
    ----------
    file : BinaryIO
        Where it goes.
    clock_hz : int
        Clock of the card.
    """

    def __init__(self, file: BinaryIO, clock_hz: int) -> None:
        self._file = file
        self._clock_hz = clock_hz
        self._waiting: list[tuple[int, int, bytes]] = []
        self._count = 0
        file.write(_HEADER)

    def add(self, cycle: int, frame: bytes) -> None:
        """Take a frame (without check sequence) whose first byte was on the wire at a clock."""
        heapq.heappush(self._waiting, (cycle, self._count, frame))
        self._count += 1

    def flush(self, before: int) -> None:
        """Write what began before a clock: nothing earlier will come any more."""
        while self._waiting and self._waiting[0][0] < before:
            cycle, _, frame = heapq.heappop(self._waiting)
            seconds, rest = divmod(cycle * 1_000_000_000 // self._clock_hz, 1_000_000_000)
            self._file.write(_RECORD.pack(seconds, rest, len(frame), len(frame)) + frame)
