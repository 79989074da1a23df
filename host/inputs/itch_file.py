"""ITCH files: a big-endian u16 length before each message, a length of zero at the end of a session."""

from __future__ import annotations

from collections.abc import Iterator

from hdl.spec import itch, moldudp64
from host.inputs.source import InputError, Source

LONGEST_RECORD = 1500 - 20 - 8 - moldudp64.HEADER.size - moldudp64.BLOCK.size
"""Bytes of the longest message that one 1,500 byte IP packet can carry."""

SIZES = {layout.code.encode(): layout.size for layout in itch.MESSAGES.values()}
"""Bytes of a message by its first one."""


_BEHIND = 1 << 16
"""Bytes behind the end of the session that are looked at."""


def unread_behind(mark: int) -> str:
    """What there is to say of a file that goes on behind the end of its session."""
    return f"input: byte {mark}: the session ends here (record length 0) and the file goes on; what is behind was not read"


def looks_like_itch(head: bytes) -> bool:
    """Whether the first bytes of a file can be an ITCH record: a known type of its right length."""
    return len(head) >= 3 and SIZES.get(head[2:3]) == int.from_bytes(head[:2], "big")


class ItchFile:
    """The messages of an ITCH file, in order.

    Parameters
    ----------
    source : Source
        Where the bytes come from.

    Attributes
    ----------
    ended : bool
        The end-of-session mark (a length of zero) was met; nothing behind it is read.
    goes_on : int or None
        Byte of that mark, where more than zeros stands behind it.
    odd_records : int
        Records whose type is not ITCH 5.0's or whose length is not its type's. They are given out as they are.
    first_odd : int or None
        Byte at which the first of these begins.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.ended = False
        self.goes_on: int | None = None
        self.odd_records = 0
        self.first_odd: int | None = None

    def __iter__(self) -> Iterator[bytes]:
        """Messages; `InputError` names the byte at which a record is cut or cannot be one."""
        source = self._source
        while True:
            start = source.offset
            prefix = source.read(2)
            if not prefix:
                return
            if len(prefix) < 2:
                raise InputError("the file ends inside a record's length", start)
            length = int.from_bytes(prefix, "big")
            if length == 0:
                self.ended = True
                self.goes_on = start if any(source.peek(_BEHIND)) else None
                return
            if length > LONGEST_RECORD:
                raise InputError(f"record length {length}: allowed are 1 to {LONGEST_RECORD}", start)
            message = source.read(length)
            if len(message) < length:
                raise InputError(f"the file ends inside a record: {len(message)} of {length} bytes are there", start)
            if SIZES.get(message[:1]) != length:
                self.odd_records += 1
                if self.first_odd is None:
                    self.first_odd = start
            yield message
