"""Reads a GLIMPSE snapshot: the open orders of every stock as of one number of the feed."""

from __future__ import annotations

from dataclasses import dataclass

from hdl.spec import glimpse, itch, soupbintcp

_ORDERS = (itch.ADD_ORDER_NO_MPID.code, itch.ADD_ORDER_WITH_MPID.code)


class SnapshotError(ValueError):
    """What came is no snapshot, or not a whole one."""


@dataclass(frozen=True)
class Snapshot:
    """A snapshot.

    Parameters
    ----------
    next_sequence : int
        The number from which the feed goes on.
    messages : tuple of bytes
        Its ITCH messages.
    """

    next_sequence: int
    messages: tuple[bytes, ...]

    def orders(self, locate: int | None = None) -> list[bytes]:
        """The messages that add the open orders, of one stock or of all."""
        return [
            raw
            for raw in self.messages
            if chr(raw[0]) in _ORDERS and (locate is None or int.from_bytes(raw[1:3], "big") == locate)
        ]


def login() -> bytes:
    """The login request: the running session, from its first message on."""
    layout = soupbintcp.LOGIN_REQUEST_PAYLOAD
    payload = layout.pack(username="", password="", requested_session="", requested_sequence_number=b"%20d" % 1)
    return soupbintcp.HEADER.pack(packet_length=1 + len(payload), packet_type=soupbintcp.LOGIN_REQUEST) + payload


class SnapshotReader:
    """Takes the bytes of the stream as they come.

    Attributes
    ----------
    snapshot : Snapshot or None
        There once the marker has come.
    """

    def __init__(self) -> None:
        self._left = b""
        self._accepted = False
        self._messages: list[bytes] = []
        self.snapshot: Snapshot | None = None

    @property
    def begun(self) -> bool:
        """The login was accepted."""
        return self._accepted

    def take(self, data: bytes) -> None:
        """Take bytes of the stream. `SnapshotError` where they cannot be a snapshot's."""
        self._left += data
        size = soupbintcp.HEADER.size
        while len(self._left) >= size and self.snapshot is None:
            head = soupbintcp.HEADER.unpack(self._left)
            end = size - 1 + int(head["packet_length"])
            if end < size:
                raise SnapshotError("a packet without a type")
            if len(self._left) < end:
                return
            payload, self._left = self._left[size:end], self._left[end:]
            self._packet(str(head["packet_type"]), payload)

    def finish(self) -> Snapshot:
        """The stream has ended: the snapshot. `SnapshotError` where it is not whole."""
        if self.snapshot is None:
            raise SnapshotError(f"the stream ended after {len(self._messages)} messages, before the marker")
        return self.snapshot

    def _packet(self, kind: str, payload: bytes) -> None:
        if kind == soupbintcp.LOGIN_REJECTED:
            raise SnapshotError(f"the login was rejected: {payload.decode('latin-1')}")
        if kind == soupbintcp.LOGIN_ACCEPTED:
            self._accept(payload)
        elif kind == soupbintcp.END_OF_SESSION:
            self.finish()
        elif kind == soupbintcp.SEQUENCED_DATA:
            if not self._accepted:
                raise SnapshotError("a message came before the login was accepted")
            self._message(payload)
        elif kind not in soupbintcp.FROM_SERVER:
            raise SnapshotError(f"packet type {kind!r} is not one of a server")

    def _accept(self, payload: bytes) -> None:
        layout = soupbintcp.LOGIN_ACCEPTED_PAYLOAD
        if len(payload) != layout.size:
            raise SnapshotError(f"the login's answer has {len(payload)} bytes, not {layout.size}")
        number = layout.unpack(payload)["sequence_number"]
        assert isinstance(number, bytes)
        if _number(number) != 1:
            raise SnapshotError(f"the snapshot begins at message {number.decode('latin-1').strip()}, not at 1")
        self._accepted = True

    def _message(self, raw: bytes) -> None:
        code, place = chr(raw[0]) if raw else "", len(self._messages) + 1
        layout = glimpse.SNAPSHOT if code == glimpse.SNAPSHOT.code else itch.MESSAGES.get(code)
        if layout is None or (code not in glimpse.TYPES and layout is not glimpse.SNAPSHOT):
            raise SnapshotError(f"message {place}: type {code!r} does not belong into a snapshot")
        if len(raw) != layout.size:
            raise SnapshotError(f"message {place}: type {code!r} has {len(raw)} bytes, not {layout.size}")
        if layout is not glimpse.SNAPSHOT:
            self._messages.append(raw)
            return
        digits = raw[1:]
        number = _number(digits)
        if number is None or number < 1:
            raise SnapshotError(f"the marker's number is {digits.decode('latin-1')!r}")
        self.snapshot = Snapshot(number, tuple(self._messages))


def _number(digits: bytes) -> int | None:
    """Number of ASCII digits, padded with blanks or zeros on the left."""
    text = digits.strip()
    return int(text) if text.isdigit() else None
