"""What the host is written against: a card, simulated or real, that it cannot tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hdl.spec.geometry import Geometry


class CardError(RuntimeError):
    """The card is not the one expected, or did not do what it was told."""


class Card(Protocol):
    """Registers, tables and counters of a card, all by name."""

    @property
    def geometry(self) -> Geometry:
        """Sizes the card was built with."""

    def write(self, block: str, name: str, value: int) -> None:
        """Set a register."""

    def read(self, block: str, name: str) -> int:
        """Value of a register."""

    def write_row(self, block: str, table: str, row: int, **columns: int) -> None:
        """Set one row of a table, every column of it."""

    def read_rows(self, block: str, table: str) -> Mapping[str, int]:
        """Counts of a table whose rows have names, by name."""

    def pulse(self, block: str, name: str) -> None:
        """Do once what the register stands for."""


class SentFrame(Protocol):
    """A frame that left the card."""

    @property
    def data(self) -> bytes:
        """Destination address to the last byte before the check sequence."""

    @property
    def fcs_ok(self) -> bool:
        """Whether the check sequence was right."""

    @property
    def start_cycle(self) -> int:
        """Clock at which the first byte stood at the MAC's transmit input (SOF)."""

    @property
    def wire_cycle(self) -> int:
        """Clock of the first preamble byte on the wire."""

    @property
    def end_cycle(self) -> int:
        """Clock of the last byte on the wire."""


class WiredCard(Card, Protocol):
    """A card whose exchange port and clock are in the host's hand: the simulated one."""

    @property
    def cycle(self) -> int:
        """Clocks since reset."""

    def send(self, frame: bytes, *, at: int | None = None, fcs: int | None = None) -> int:
        """Queue a frame (without check sequence) to start at clock `at` or later on the exchange port; return its number."""

    def run(self, cycles: int) -> None:
        """Run exactly so many clocks."""

    def run_until_idle(self, *, limit: int) -> None:
        """Run until every queued frame is in and the card has been quiet for a while, at most `limit` clocks."""

    def frames(self) -> Sequence[SentFrame]:
        """Frames that left since the last call."""

    def events(self) -> Sequence[Mapping[str, Any]]:
        """Event records since the last call, decoded by `hdl.spec.events`."""

    def close(self) -> None:
        """Let go of the card."""
