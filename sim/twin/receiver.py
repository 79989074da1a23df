"""MoldUDP64 packets for the twin."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.spec import moldudp64
from hdl.spec.reasons import Drop, IntegrityCause
from sim.twin.kernel import ROW
from sim.twin.twin import Twin

_IDLE = (moldudp64.HEARTBEAT, moldudp64.END_OF_SESSION)


class Receiver:
    """Takes packets apart and keeps the count of messages by the rules of `MoldUdp64Receiver` and `Resequencer`.

    It has no clock, so a hole is not waited at: it is a gap as soon as a good packet or heartbeat has shown it. That is a card
    with `gap_wait` 0 and without `recover`. Not modelled is a packet ahead with messages too long or too many for the ring, or
    without bytes, and what a bad packet does that comes while the ring gives what was held.

    Parameters
    ----------
    twin : Twin
        Gets the messages. Its `sequence` is the number expected.
    session : bytes
        Session wanted, ten bytes.

    Attributes
    ----------
    gaps : list of (int, int)
        First missing number and the one behind the last, of every gap.
    drops : Counter of Drop
        Packets not or not wholly used, by cause.
    lost_after_use : int
        Bad packets of which messages had been used.
    heartbeats : int
        Heartbeats and ends of session.
    """

    def __init__(self, twin: Twin, session: bytes) -> None:
        self._twin = twin
        self._session = session
        self.gaps: list[tuple[int, int]] = []
        self.drops: Counter[Drop] = Counter()
        self.lost_after_use = 0
        self.heartbeats = 0

    def packet(self, payload: bytes, *, ok: bool = True) -> NDArray[Any]:
        """BBO changes (`ROW`) that a packet brings; where it is not ok, its end told that the frame was bad."""
        rows = np.zeros(0, ROW)
        if len(payload) < moldudp64.HEADER.size:
            if ok:
                self.drops[Drop.MOLD_HEADER] += 1
            return rows
        twin, expected = self._twin, self._twin.sequence
        header = moldudp64.HEADER.unpack(payload)
        sequence, count = int(header["sequence_number"]), int(header["message_count"])
        wanted, idle = payload[: len(self._session)] == self._session, count in _IDLE
        blocks = payload[moldudp64.HEADER.size :]
        whole, fresh, used = not blocks, True, False
        leap = sequence - expected >= twin.geometry.ring_messages and len(blocks) > moldudp64.BLOCK.size
        # What is ahead waits for the verdict; too far ahead for the ring it does not.
        if wanted and not idle and (ok or leap or sequence <= expected):
            if sequence > expected:
                self._gap(sequence)
            readable, count, short = self._readable(blocks, count)
            rows, found = twin.blocks(readable, count=count, skip=min(max(0, expected - sequence), 0xFFFF))
            whole, fresh, used = found.whole and not short, found.fresh, found.used
        if not ok:
            twin.sequence = expected
            if used:
                self.lost_after_use += 1
                twin.suspect(IntegrityCause.LOST_AFTER_USE)
        elif not wanted:
            self.drops[Drop.SESSION] += 1
        elif not whole:
            self.drops[Drop.BLOCK_LENGTH] += 1
        elif idle:
            self.heartbeats += 1
            if sequence > expected:
                self._gap(sequence)
        elif not fresh:
            self.drops[Drop.DUPLICATE] += 1
        return rows

    def _readable(self, blocks: bytes, count: int) -> tuple[bytes, int, bool]:
        """The blocks up to one that is shorter than a beat, which ends the packet; how many, and whether there is one."""
        at, number, shortest = 0, 0, self._twin.geometry.width
        while shortest > 1 and number < count and at + moldudp64.BLOCK.size <= len(blocks):
            length = int(moldudp64.BLOCK.unpack(blocks, at)["message_length"])
            if 0 < length < shortest:
                return blocks[:at], number, True
            at += moldudp64.BLOCK.size + length
            number += 1
        return blocks, count, False

    def _gap(self, sequence: int) -> None:
        self.gaps.append((self._twin.sequence, sequence))
        self._twin.sequence = sequence
        self._twin.suspect(IntegrityCause.GAP)
