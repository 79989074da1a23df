"""The feed's third line: how the host writes a message that it got by itself.

A message is a run of `WORDS` words into the register `feed.inject`, always so many: its bytes, four a word, the first one least
significant, then its number, low word first, then its length. The last word makes it one.
"""

from __future__ import annotations

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


def words(number: int, message: bytes) -> list[int]:
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
        len(message),
    ]
