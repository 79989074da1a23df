"""Gives a DEAD slot its orders anew: a GLIMPSE snapshot, and what the feed brought behind it, while all else goes on."""

from __future__ import annotations

import enum
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from hdl.spec import injection, itch
from hdl.spec.injection import Mark
from hdl.spec.reasons import WINDOW_CAUSES, Integrity, IntegrityCause
from host.config import RecoveryTable, clocks
from host.glimpse import Snapshot, SnapshotError, SnapshotReader, login
from host.loader import Loader
from host.recovery import Server, messages_of, request_for
from host.summary import ReloadSummary

_OF_BOOK = (*itch.BOOK_TYPES, itch.TRADE.code)
_CAPACITY = (IntegrityCause.TABLE_FULL, IntegrityCause.LEVEL_OVERFLOW, IntegrityCause.OFF_TICK)
"""What another snapshot would only meet again."""


class Glimpse(Protocol):
    """A GLIMPSE server, as far as the bytes of its stream."""

    def login(self, packet: bytes, cycle: int) -> None:
        """Send a login request on a new connection."""

    def answers(self, cycle: int) -> bytes:
        """What has come back since the last call."""


class _Step(enum.Enum):
    IDLE = enum.auto()
    DETACHING = enum.auto()
    ASKED = enum.auto()
    CATCHING_UP = enum.auto()
    ATTACHING = enum.auto()
    ATTACHED = enum.auto()
    RELEASING = enum.auto()


class Reload:
    """Reloads one DEAD slot after the other.

    A slot is detached first; then a snapshot is asked for, its open orders are given to the slot as private messages, and behind
    them what came of the slot from the snapshot's number on: as the host heard it on the lines itself, and what it did not hear
    from the retransmission server. When all is given up to the number the card is at, the slot is attached; where the card
    refuses it because a message of the slot has come meanwhile, the host goes on.

    What is not answered in time, a snapshot that is none, a message of the slot behind it that cannot be read, and a slot that
    was in error again begin anew, `tries` times; then, and at once where the slot's book does not fit the card, the slot is given
    up and stays DEAD: `findings` tells why. It is attached all the same, spoiled by a message of no order, as no other slot can
    be detached before. Given up too is a slot that is DEAD again after as many reloads. Where the table does not say
    `reload_dead`, slots are only reloaded by `join`.

    Parameters
    ----------
    loader : Loader
        The card.
    session : bytes
        MoldUDP64 session.
    table : RecoveryTable
        Timeout, tries, messages a request.
    server : Server
        Retransmission server, asked by nobody else on this connection.
    glimpse : Glimpse
        Who gives snapshots.
    """

    def __init__(self, loader: Loader, session: bytes, table: RecoveryTable, server: Server, glimpse: Glimpse) -> None:
        self._loader, self._session, self._table, self._server, self._glimpse = loader, session, table, server, glimpse
        self._timeout = max(1, clocks(table.timeout_us, loader.geometry))
        self._dead: deque[int] = deque()
        self._lost: dict[int, str] = {}
        self._attached: set[int] = set()
        self._reloads: Counter[int] = Counter()
        self._counts = dict.fromkeys(("begun", "reloaded", "given_up", "snapshots", "orders", "messages", "refused"), 0)
        self._step, self._slot, self._tries, self._due = _Step.IDLE, 0, 0, 0
        self._reader = SnapshotReader(session)
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._heard: dict[int, bytes] = {}
        self._next, self._timestamp, self._asked = 0, 0, False
        self._released = False
        """The card was given what releases the slot."""
        self._error = ""
        self._stopped, self._hears = False, True
        self._given: Snapshot | None = None
        """What all slots are given that are being reloaded."""

    @property
    def busy(self) -> bool:
        """A slot is being reloaded, or is to be."""
        return self._step is not _Step.IDLE or bool(self._dead)

    @property
    def attached(self) -> frozenset[int]:
        """Slots that the card said were attached and not DEAD, since `join` and since each was begun with last."""
        return frozenset(self._attached)

    def stop(self, *, hearing: bool = True) -> None:
        """Leave everything as it is, until `join`, and go on hearing or do not."""
        self._stopped, self._hears, self._step, self._given = True, hearing, _Step.IDLE, None
        for each in (self._dead, self._waiting, self._heard, self._attached):
            each.clear()

    def join(self, snapshot: Snapshot, slots: Collection[int]) -> None:
        """Give these slots their orders from this snapshot, one after the other. None is detached."""
        self._stopped, self._given = False, snapshot
        self._dead.extend(sorted(slots))
        self._lost.clear()
        self._attached.clear()
        self._reloads.clear()

    def _forget(self) -> None:
        """No slot is left of those that `join` named."""
        if self._given is not None:
            self._given = None
            self._heard.clear()

    def take(self, record: Mapping[str, Any]) -> None:
        """Take an integrity record of the card."""
        slot, state, cause = record["slot"], Integrity(record["integrity"]), IntegrityCause(record["cause"])
        if self._stopped or cause in (IntegrityCause.DETACHED, *WINDOW_CAUSES) or slot not in self._loader.slots.values():
            return
        mine = self._step is not _Step.IDLE and slot == self._slot
        if mine and self._step is _Step.RELEASING:
            return
        if mine and cause is IntegrityCause.RELOADED:
            if state is Integrity.DEAD:
                self._error = self._error or "an error among its messages"
            elif self._step in (_Step.ATTACHING, _Step.ATTACHED):
                self._end("reloaded")
        elif state is Integrity.DEAD and mine:
            self._error = cause.name.lower()
            if cause in _CAPACITY:
                self._tries = self._table.tries
        elif state is Integrity.DEAD and self._table.reload_dead and slot not in self._dead and slot not in self._lost:
            if self._reloads[slot] < self._table.tries:
                self._dead.append(slot)
            else:
                self._lost[slot] = f"{cause.name.lower()} after {self._reloads[slot]} reloads"
                self._counts["given_up"] += 1

    def hear(self, sequence: int, messages: Sequence[bytes]) -> None:
        """Take what came on the lines."""
        if (self._stopped and self._hears) or self.busy:
            self._heard.update(enumerate(messages, sequence))

    def step(self, cycle: int) -> None:
        """Go on; to be called often while `busy`."""
        answers, stream = self._server.answers(cycle), self._glimpse.answers(cycle)
        if self._step is _Step.IDLE:
            if not self._dead:
                self._forget()
                return
            if not self._loader.inject_room:
                return
            self._slot, self._tries = self._dead.popleft(), 0
            self._counts["begun"] += 1
            self._reloads[self._slot] += 1
            self._begin(cycle)
        elif self._error:
            self._begin(cycle)
        elif self._step is _Step.DETACHING:
            if self._loader.detached == self._slot and self._given is not None:
                self._take(self._given, cycle)
            elif self._loader.detached == self._slot:
                self._ask_snapshot(cycle)
        elif self._step is _Step.ASKED:
            self._read(stream, cycle)
        elif self._step is _Step.CATCHING_UP:
            for answer in answers:
                first, messages = messages_of(answer, self._session)
                self._heard.update(enumerate(messages, first))
                self._asked = False
            self._catch_up(cycle)
        elif self._step is _Step.ATTACHING:
            self._look(cycle)
        elif self._step is _Step.RELEASING:
            self._release(cycle)
        if self._step not in (_Step.IDLE, _Step.CATCHING_UP, _Step.RELEASING) and cycle >= self._due:
            self._begin(cycle, self._overdue())

    def findings(self) -> Iterator[str]:
        """Slots that could not be reloaded."""
        for slot, why in self._lost.items():
            yield f"{self._loader.symbol(slot)}: not reloaded: {why}; it stays DEAD"

    def summary(self) -> ReloadSummary:
        """What was done."""
        return ReloadSummary(**self._counts)

    def _overdue(self) -> str:
        """What did not come in time."""
        if self._step is _Step.ASKED and self._reader.begun:
            try:
                self._reader.finish()
            except SnapshotError as error:
                return f"the snapshot: {error}"
        return "no answer in time"

    def _begin(self, cycle: int, why: str = "") -> None:
        """Detach the slot, for the first time or anew."""
        why = self._error or why
        self._waiting.clear()
        self._error = ""
        self._attached.discard(self._slot)
        if self._tries >= self._table.tries:
            self._lost[self._slot] = why
            self._released = False
            self._step, self._due = _Step.RELEASING, cycle + self._table.tries * self._timeout
            self._release(cycle)
            return
        if not self._loader.inject_room:
            self._error = why
            return
        self._tries += 1
        self._loader.detach(self._slot)
        self._go(_Step.DETACHING, cycle)

    def _go(self, step: _Step, cycle: int) -> None:
        self._step, self._due = step, cycle + self._timeout

    def _release(self, cycle: int) -> None:
        """Have the slot attached that is given up: DEAD, as a message of it was in error."""
        if self._loader.inject_room == injection.MESSAGES:
            if self._released and self._loader.detached is None:
                self._end("given_up")
                return
            locate = self._loader.locate(self._slot)
            wrong = itch.ORDER_DELETE.pack(stock_locate=locate, tracking_number=0, timestamp=0, order_ref=0)
            self._loader.detach(self._slot)
            self._loader.inject(0, wrong, Mark.PRIVATE)
            # Refused where a message of the slot comes before it.
            self._loader.attach(self._slot, self._loader.next_sequence - 1)
            self._released = True
        if cycle >= self._due:
            self._lost[self._slot] += ", nor released"
            self._end("given_up")

    def _end(self, how: str) -> None:
        self._counts[how] += 1
        if how == "reloaded":
            self._attached.add(self._slot)
        self._step, self._error = _Step.IDLE, ""
        self._waiting.clear()
        if self._given is None:
            self._heard.clear()

    def _ask_snapshot(self, cycle: int) -> None:
        self._reader = SnapshotReader(self._session)
        self._counts["snapshots"] += 1
        self._glimpse.login(login(), cycle)
        self._go(_Step.ASKED, cycle)

    def _read(self, stream: bytes, cycle: int) -> None:
        try:
            self._reader.take(stream)
        except SnapshotError as error:
            self._begin(cycle, f"the snapshot: {error}")
            return
        if stream:
            self._due = cycle + self._timeout
        if (snapshot := self._reader.snapshot) is not None:
            self._take(snapshot, cycle)

    def _take(self, snapshot: Snapshot, cycle: int) -> None:
        orders = snapshot.orders(self._loader.locate(self._slot))
        self._counts["orders"] += len(orders)
        self._next = snapshot.next_sequence
        self._waiting.extend((self._next - 1, raw) for raw in orders)
        self._timestamp = max((_timestamp(raw) for raw in orders), default=0)
        self._asked = False
        self._go(_Step.CATCHING_UP, cycle)
        self._catch_up(cycle)

    def _catch_up(self, cycle: int) -> None:
        """Give what waits; once that is all up to where the card is, attach the slot."""
        until = self._loader.next_sequence
        self._advance(until, cycle)
        for _ in range(min(self._loader.inject_room, len(self._waiting))):
            self._loader.inject(*self._waiting.popleft(), Mark.PRIVATE)
            self._due = cycle + self._timeout
        # A snapshot can be ahead of the card, which has to come to its number first.
        if not self._waiting and self._next == until and self._loader.inject_room:
            self._loader.attach(self._slot, until - 1, timestamp=self._timestamp)
            self._go(_Step.ATTACHING, cycle)
        elif cycle >= self._due:
            behind = f"the card is at {until} and the snapshot is ahead of it"
            self._begin(cycle, behind if self._next > until else f"message {self._next} did not come")

    def _advance(self, until: int, cycle: int) -> None:
        """Take the slot's messages before this number, as far as they were heard; ask for the next one that was not."""
        locate, begun = self._loader.locate(self._slot).to_bytes(2, "big"), self._next
        while self._next < until and (raw := self._heard.get(self._next)) is not None:
            if raw[1:3] == locate and chr(raw[0]) in _OF_BOOK:
                if len(raw) != itch.MESSAGES[chr(raw[0])].size:
                    # Another snapshot knows what it did.
                    self._error = f"message {self._next} cannot be read"
                    return
                self._waiting.append((self._next, raw))
                self._counts["messages"] += 1
                self._timestamp = _timestamp(raw)
            self._next += 1
        if self._next != begun:
            self._due, self._asked = cycle + self._timeout, False
        if self._next < until and not self._asked:
            count = min(until - self._next, self._table.messages_per_request)
            self._server.request(request_for(self._session, self._next, count), cycle)
            self._asked = True

    def _look(self, cycle: int) -> None:
        """Whether the card has attached the slot."""
        if self._loader.inject_room < injection.MESSAGES:
            return
        if self._loader.detached is None:
            self._go(_Step.ATTACHED, cycle)
        else:
            self._counts["refused"] += 1
            self._go(_Step.CATCHING_UP, cycle)
            self._catch_up(cycle)


def _timestamp(raw: bytes) -> int:
    return int.from_bytes(raw[5:11], "big")
