"""Asks a retransmission server for what is missing on every line, and gives it to the card on its third one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from hdl.spec import injection, moldudp64
from host.config import RecoveryTable, clocks
from host.inputs.capture import blocks
from host.loader import Loader
from host.summary import RecoverySummary


class Server(Protocol):
    """A MoldUDP64 retransmission server, as far as the payloads of its datagrams."""

    def request(self, packet: bytes, cycle: int) -> None:
        """Send a request."""

    def answers(self, cycle: int) -> Sequence[bytes]:
        """What has come back since the last call."""


def request_for(session: bytes, first: int, count: int) -> bytes:
    """The request for so many messages from a number on."""
    return moldudp64.HEADER.pack(session=session, sequence_number=first, message_count=count)


def messages_of(packet: bytes, session: bytes) -> tuple[int, tuple[bytes, ...]]:
    """Messages of an answer and the number of the first; none where it is not one of this session, or not whole."""
    size = moldudp64.HEADER.size
    if len(packet) < size or packet[: len(session)] != session:
        return 0, ()
    header = moldudp64.HEADER.unpack(packet)
    messages, whole = blocks(packet[size:], int(header["message_count"]))
    return int(header["sequence_number"]), messages if whole else ()


class Recovery:
    """Fills one gap after the other.

    A gap record of the card opens a range of numbers. It is asked for from its first one on, one request at a time; what an
    answer left out is asked for next. Where nothing of use has come for the timeout, the request is sent again, and after so many
    times the range is given up: the card goes on waiting, its books stay SUSPECT, and `findings` names what is missing.

    Parameters
    ----------
    loader : Loader
        The card.
    session : bytes
        MoldUDP64 session.
    table : RecoveryTable
        Timeout, tries, messages a request.
    server : Server
        Who is asked.
    """

    def __init__(self, loader: Loader, session: bytes, table: RecoveryTable, server: Server) -> None:
        self._loader, self._session, self._table, self._server = loader, session, table, server
        self._timeout = max(1, clocks(table.timeout_us, loader.geometry))
        self._next = self._behind = 0
        """Number not yet heard, and the one behind the range; equal: there is nothing to ask for."""
        self._open = False
        self._heard: deque[tuple[int, bytes]] = deque()
        self._again = 0
        self._tries = 0
        self._lost: list[tuple[int, int, str]] = []
        self._counts = dict.fromkeys(("gaps", "requests", "repeats", "answers", "unusable", "given"), 0)

    @property
    def busy(self) -> bool:
        """A range is open, and not given up."""
        return self._open

    @property
    def failed(self) -> bool:
        """The range opened last was given up."""
        return bool(self._lost) and not self._open

    @property
    def behind(self) -> int:
        """Number behind all that was given up."""
        return max((behind for _, behind, _ in self._lost), default=0)

    def let_go(self) -> int:
        """Stop asking: what is missing is not needed any more. How many messages had been given up."""
        count = self._unrecovered
        self._open = False
        self._heard.clear()
        self._lost.clear()
        return count

    def take(self, record: Mapping[str, Any], cycle: int) -> None:
        """Take a gap record of the card."""
        self.open(record["first"], record["next"], cycle)

    def open(self, first: int, behind: int, cycle: int) -> None:
        """Numbers from `first` on, up to the one before `behind`, are missing."""
        if self._open and first < self._behind:
            # Some of what was asked for has come.
            self._behind = max(self._behind, behind)
            return
        self._counts["gaps"] += 1
        self._open, self._tries = True, 0
        self._next, self._behind = first, behind
        self._heard.clear()
        self._ask(cycle)

    def step(self, cycle: int) -> None:
        """Take answers, give the card what it has room for, ask again where it is time; to be called often while `busy`."""
        for answer in self._server.answers(cycle):
            self._hear(answer, cycle)
        if not self._open:
            return
        self._give(cycle)
        if self._loader.next_sequence >= self._behind:
            self._open = False
        elif cycle >= self._again and not self._heard:
            self._repeat(cycle)

    def findings(self) -> Iterator[str]:
        """What could not be recovered."""
        for first, behind, why in self._lost:
            yield f"messages {first} to {behind - 1} are missing: {why}; books that were EXACT stay SUSPECT, and nothing trades"

    def summary(self) -> RecoverySummary:
        """What was done."""
        return RecoverySummary(**self._counts, unrecovered=self._unrecovered)

    @property
    def _unrecovered(self) -> int:
        return sum(behind - first for first, behind, _ in self._lost)

    def _ask(self, cycle: int) -> None:
        count = min(self._behind - self._next, self._table.messages_per_request)
        self._again = cycle + self._timeout
        if count > 0:
            self._counts["requests"] += 1
            self._server.request(request_for(self._session, self._next, count), cycle)

    def _repeat(self, cycle: int) -> None:
        """Nothing came, or the card did not take what did: from where the card is, once more."""
        self._tries += 1
        self._next = self._loader.next_sequence
        if self._tries >= self._table.tries:
            self._give_up(f"asked for {self._tries} times and not answered")
            return
        self._counts["repeats"] += 1
        self._ask(cycle)

    def _give_up(self, why: str) -> None:
        self._lost.append((self._loader.next_sequence, self._behind, why))
        self._open = False
        self._heard.clear()

    def _hear(self, packet: bytes, cycle: int) -> None:
        """Take what of an answer goes on where the last one ended."""
        first, messages = messages_of(packet, self._session)
        fresh = list(messages[self._next - first :]) if messages and first <= self._next else []
        fresh = fresh[: max(0, self._behind - self._next)] if self._open else []
        if not fresh:
            self._counts["unusable"] += 1
            return
        self._counts["answers"] += 1
        for message in fresh:
            if not 1 <= len(message) <= injection.LONGEST:
                self._give_up(f"message {self._next} has {len(message)} bytes, allowed are 1 to {injection.LONGEST}")
                return
            self._heard.append((self._next, message))
            self._next += 1
        self._tries = 0
        self._ask(cycle)

    def _give(self, cycle: int) -> None:
        room = self._loader.inject_room if self._heard else 0
        for _ in range(min(room, len(self._heard))):
            self._loader.inject(*self._heard.popleft())
            self._counts["given"] += 1
            # On a full line it takes what it was given one by one.
            self._again = cycle + self._timeout
