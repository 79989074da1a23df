"""The feed's third line: how the host writes a message that it got by itself.

A message is a run of `WORDS` words into the register `feed.inject`, always so many: its bytes, four a word, the first one least
significant, then its number, low word first, then its length with its mark above it. The last word makes it one.
"""

from __future__ import annotations

import enum

from hdl.spec import itch

WORDS = 16
"""Words a message."""
NUMBER_AT = 13
"""Word that holds the low half of the number; the high half follows."""
LENGTH_AT = 15
"""Word that holds the length."""
LONGEST = max(layout.size for layout in itch.MESSAGES.values())
"""Bytes of the longest message taken."""
MESSAGES = 32
"""Messages that can wait: 512 words, a block RAM."""
MARK_AT = 30
"""Lowest bit of the mark in the word that holds the length."""


NO_SLOT = 0xFFFF
"""What `book.detached` reads where no slot is."""


class Mark(enum.IntEnum):
    """What a message is. All but those of the line pass its numbers by: they fill no hole and are no duplicates."""

    LINE = 0
    """One of the feed, in the order of its number."""
    PRIVATE = 1
    """For the book of the detached slot alone, at once. Its number is told by what comes of it and has no other meaning."""
    DETACH = 2
    """A `command`: the slot's book is emptied, and the slot gets nothing but private messages from here on."""
    ATTACH = 3
    """A `command`: the slot has been given every message up to this number, and gets those of the feed again."""


def command(locate: int, *, timestamp: int = 0) -> bytes:
    """The message that a `DETACH` or `ATTACH` is: a sale of nothing, which tells the slot by its locate."""
    return itch.TRADE.pack(
        stock_locate=locate, tracking_number=0, timestamp=timestamp, order_ref=0, side=itch.BUY, shares=0, stock="", price=0,
        match_number=0,
    )  # fmt: skip


def words(number: int, message: bytes, mark: Mark = Mark.LINE) -> list[int]:
    """The words of a message. `ValueError` where the line does not take it."""
    if not 1 <= len(message) <= LONGEST:
        raise ValueError(f"message: {len(message)} bytes were given, allowed are 1 to {LONGEST}")
    if not 0 <= number < 1 << 64:
        raise ValueError(f"number: {number} was given, allowed are 0 to {(1 << 64) - 1}")
    data = message.ljust(4 * NUMBER_AT, b"\0")
    return [
        *(int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)),
        number & 0xFFFFFFFF,
        number >> 32,
        len(message) | mark << MARK_AT,
    ]
