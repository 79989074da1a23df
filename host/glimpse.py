"""Reads a GLIMPSE snapshot: the open orders of every stock as of one number of the feed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from hdl.spec import glimpse, itch, soupbintcp

_STATES = (itch.STOCK_TRADING_ACTION.code, itch.REG_SHO_SHORT_SALE_PRICE_TEST.code, itch.OPERATIONAL_HALT.code)
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
        return [raw for raw in self.messages if chr(raw[0]) in _ORDERS and (locate is None or _locate(raw) == locate)]

    def of(self, locates: Collection[int]) -> Snapshot:
        """The open orders of some stocks alone."""
        return Snapshot(self.next_sequence, tuple(raw for raw in self.orders() if _locate(raw) in locates))

    @property
    def directory(self) -> list[bytes]:
        """The messages that tell the stocks."""
        return [raw for raw in self.messages if chr(raw[0]) == itch.STOCK_DIRECTORY.code]

    @property
    def locates(self) -> set[int]:
        """Locates of the stocks of which there is a message."""
        return {_locate(raw) for raw in self.messages}

    def states(self, locates: Collection[int]) -> list[bytes]:
        """What trades and what does not: the last system event, and all that is told of these stocks, in order.

        The events before it are over: one of them, once more, would begin the day anew.
        """
        events = [raw for raw in self.messages if chr(raw[0]) == itch.SYSTEM_EVENT.code]
        return events[-1:] + [raw for raw in self.messages if chr(raw[0]) in _STATES and _locate(raw) in locates]


def login() -> bytes:
    """The login request: the running session, from its first message on."""
    layout = soupbintcp.LOGIN_REQUEST_PAYLOAD
    payload = layout.pack(username="", password="", requested_session="", requested_sequence_number=b"%20d" % 1)
    return soupbintcp.HEADER.pack(packet_length=1 + len(payload), packet_type=soupbintcp.LOGIN_REQUEST) + payload


class SnapshotReader:
    """Takes the bytes of the stream as they come.

    Parameters
    ----------
    session : bytes
        The feed's: a snapshot of another one is none.

    Attributes
    ----------
    snapshot : Snapshot or None
        There once the marker has come.
    """

    def __init__(self, session: bytes) -> None:
        self._session = session
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
        fields = layout.unpack(payload)
        session, number = fields["session"], fields["sequence_number"]
        assert isinstance(session, bytes) and isinstance(number, bytes)
        if session.strip() != self._session.strip():
            mine, its = (name.strip().decode("latin-1") for name in (self._session, session))
            raise SnapshotError(f"it is of session {its!r}, the feed is of {mine!r}")
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


def _locate(raw: bytes) -> int:
    return int.from_bytes(raw[1:3], "big")


def _number(digits: bytes) -> int | None:
    """Number of ASCII digits, padded with blanks or zeros on the left."""
    text = digits.strip()
    return int(text) if text.isdigit() else None
