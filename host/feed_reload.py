"""Begins the whole feed anew: every slot gets its orders from one GLIMPSE snapshot, and what is missing before it is let go."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hdl.book.book import ALL_SLOTS
from hdl.spec import events
from hdl.spec.reasons import Integrity, IntegrityCause
from host.config import RecoveryTable, clocks
from host.glimpse import Snapshot, SnapshotError, SnapshotReader, login
from host.heard import Heard
from host.loader import Loader
from host.recovery import Recovery
from host.reload import Glimpse, Reload
from host.summary import FeedReloadSummary

_SETTLED = 20_000
"""Clocks in which a frame that was on its way has ended, whatever holds it, and all it led to is known."""
_PAST_MENDING = (IntegrityCause.LOST_AFTER_USE, IntegrityCause.MALFORMED)
"""What makes all slots SUSPECT, and nothing that is still to come makes them EXACT."""
_TOLD = 1_000
"""Clocks in which the host has what the card told before it took a number that was loaded."""


class _Step(enum.Enum):
    IDLE = enum.auto()
    ASKED = enum.auto()
    LOADED = enum.auto()
    STATES = enum.auto()
    OPENED = enum.auto()
    JOINING = enum.auto()
    BEHIND = enum.auto()
    FAILING = enum.auto()
    FAILED = enum.auto()


class FeedReload:
    """Takes a snapshot where nothing else helps: messages that nobody gives, one too short to tell its stock, a bad frame that
    was used, a late start.

    The card's lines are shut until the snapshot is there. Then the card is told to expect its number, and its books are emptied:
    every slot is DEAD, and what was missing before is forgotten. It is given what trades in front of that
    number, and the lines are opened: what came meanwhile is a gap like any other, only that it is not filled before the orders
    are given, slot by slot, each attached at that very number. No slot is attached before the card knows of the gap: so none is
    EXACT whose book is behind. Where nothing came meanwhile there is no gap, and a slot is attached at the number the card is at.
    Slots that were attached are EXACT once the gap is filled.

    What is not answered in time, no snapshot, one of another session or one that is too old, and what goes wrong behind it, has
    the host ask anew, `tries` times. Then nothing is EXACT, the lines stay shut, and `findings` tells why.

    Parameters
    ----------
    loader : Loader
        The card, loaded; where it comes `late`, loaded so.
    session : bytes
        MoldUDP64 session.
    table : RecoveryTable
        Timeout, tries.
    recovery : Recovery
        Who fills gaps, from `heard`.
    reload : Reload
        Who gives a slot its orders.
    glimpse : Glimpse
        Who gives snapshots, on a connection of its own.
    heard : Heard
        Told what comes on the lines.
    late : bool
        The card begins with a snapshot.
    """

    def __init__(
        self,
        loader: Loader,
        session: bytes,
        table: RecoveryTable,
        recovery: Recovery,
        reload: Reload,
        glimpse: Glimpse,
        *,
        heard: Heard,
        late: bool = False,
    ) -> None:
        self._loader, self._session, self._table, self._glimpse = loader, session, table, glimpse
        self._recovery, self._reload, self._heard = recovery, reload, heard
        self._timeout = max(1, clocks(table.timeout_us, loader.geometry))
        self.late = late
        self._learn: Callable[[bytes], None] = lambda raw: None
        self._integrity: Callable[[int], Integrity] = lambda slot: Integrity.DEAD
        self._missed: Callable[[], int] = lambda: 0
        self._silence = 0
        self._step, self._wanted, self._due, self._tries = _Step.IDLE, late, 0, 0
        self._reader = SnapshotReader(session)
        self._least = self._first = 0
        """Number a snapshot must have at least, and that of the first of its states."""
        self._states: deque[tuple[int, bytes]] = deque()
        self._snapshot = Snapshot(1, ())
        self._joined: frozenset[int] = frozenset()
        self._behind = self._shown = 0
        """The number behind all that was heard, now and when the lines were opened."""
        self._told = self._missing = False
        """The card knows of what is missing since."""
        self._bad_frames, self._records_lost = 0, (0, 0)
        """What had been counted when the books were emptied last, or at first."""
        self._why = ""
        self._counts = dict.fromkeys(("begun", "ended", "snapshots", "states", "let_go"), 0)

    @property
    def busy(self) -> bool:
        """The feed is being begun anew, or is to be."""
        return self._step not in (_Step.IDLE, _Step.FAILED) or (self._step is _Step.IDLE and self._due_now)

    @property
    def failed(self) -> bool:
        """No snapshot was of use: the card stays as it is."""
        return self._step is _Step.FAILED

    @property
    def _due_now(self) -> bool:
        return self._wanted or self._recovery.failed

    def attend(
        self,
        *,
        learn: Callable[[bytes], None],
        integrity: Callable[[int], Integrity],
        lost: Callable[[], int],
        silence: int,
    ) -> None:
        """Whom to tell the stocks of a snapshot, who binds slots to them; who knows what a slot is by the card's records, and how
        many of them are missing; and the clocks after which something must have come on the lines."""
        self._learn, self._integrity, self._missed, self._silence = learn, integrity, lost, silence
        self._mark()

    def take(self, record: Mapping[str, Any], cycle: int) -> None:
        """Take a record of a gap or of integrity."""
        if record["kind"] == events.GAP.code:
            self._told |= record["next"] > self._snapshot.next_sequence
            # What is open while slots are given their orders has to wait for them.
            if self._step in (_Step.IDLE, _Step.BEHIND):
                self._recovery.take(record, cycle)
        elif record["slot"] == ALL_SLOTS and record["cause"] in _PAST_MENDING and self._step is _Step.IDLE:
            self._wanted = True

    def hear(self, sequence: int, messages: Sequence[bytes]) -> None:
        """Take what came on the lines."""
        if self.failed:
            return
        self._heard.hear(sequence, messages)
        self._behind = max(self._behind, sequence + len(messages))

    def step(self, cycle: int) -> None:
        """Go on; to be called often."""
        stream = self._glimpse.answers(cycle)
        if self._step is _Step.IDLE:
            self._watch(cycle)
            if self._due_now:
                self._begin(cycle)
        elif self._step is _Step.ASKED:
            self._read(stream, cycle)
        elif self._step is _Step.LOADED:
            self._empty(cycle)
        elif self._step is _Step.STATES:
            self._give_states(cycle)
        elif self._step is _Step.OPENED:
            self._join(cycle)
        elif self._step is _Step.JOINING and not self._reload.busy:
            self._fill(cycle)
            self._go(_Step.BEHIND, cycle + _SETTLED)
        elif self._step is _Step.BEHIND:
            self._follow(cycle)
        elif self._step is _Step.FAILING and cycle >= self._due:
            self._loader.clear_book()
            self._go(_Step.FAILED, cycle)

    def findings(self) -> Iterator[str]:
        """What could not be joined."""
        if self._why:
            yield f"the feed was not begun anew: {self._why}; the lines stay shut, no slot is EXACT, and nothing trades"
            return
        if self._counts["begun"]:
            for symbol, slot in self._loader.slots.items():
                if slot not in self._joined:
                    yield f"{symbol}: not joined: the snapshot does not know it"

    def summary(self) -> FeedReloadSummary:
        """What was done."""
        return FeedReloadSummary(**self._counts)

    def _go(self, step: _Step, due: int) -> None:
        self._step, self._due = step, due

    @property
    def _lost_now(self) -> tuple[int, int]:
        """Records the card had no room for, and those that did not come."""
        return self._loader.events_lost, self._missed()

    def _mark(self) -> None:
        """From here on what is lost matters."""
        self._bad_frames, self._records_lost = self._loader.lost_after_use, self._lost_now

    def _watch(self, cycle: int) -> None:
        """A bad frame that is used while slots are SUSPECT or DEAD is in no record, and no gap that is filled mends them then."""
        if self._due_now or cycle < self._due:
            return
        self._due = cycle + _SETTLED
        if any(self._integrity(slot) is not Integrity.EXACT for slot in self._loader.slots.values()):
            self._wanted |= self._loader.lost_after_use != self._bad_frames

    def _begin(self, cycle: int) -> None:
        self._counts["begun"] += 1
        self._ask(cycle, "messages behind it are missing too")

    def _ask(self, cycle: int, why: str) -> None:
        """Ask for a snapshot, for the first time or because of something anew."""
        self._wanted = False
        self._loader.listen(False)
        if self._tries >= self._table.tries:
            self._why = why
            self._reload.stop(hearing=False)
            # What was missing could still be filled, and make slots EXACT that hear nothing any more.
            self._loader.go_on_at(self._loader.next_sequence)
            self._go(_Step.FAILING, cycle + _SETTLED)
            return
        self._reload.stop()
        self._tries += 1
        self._least = max(self._recovery.behind, self._loader.next_sequence)
        self._reader = SnapshotReader(self._session)
        self._counts["snapshots"] += 1
        self._glimpse.login(login(), cycle)
        self._go(_Step.ASKED, cycle + self._timeout)

    def _read(self, stream: bytes, cycle: int) -> None:
        try:
            self._reader.take(stream)
            if cycle >= self._due and not stream and self._reader.begun:
                self._reader.finish()
        except SnapshotError as error:
            self._ask(cycle, f"the snapshot: {error}")
            return
        if stream:
            self._due = cycle + self._timeout
        if (snapshot := self._reader.snapshot) is not None:
            self._take(snapshot, cycle)
        elif cycle >= self._due:
            self._ask(cycle, "the snapshot: no answer in time")

    def _take(self, snapshot: Snapshot, cycle: int) -> None:
        """Have the card expect what lies in front of the snapshot's number, its states. From there on nothing mends a slot."""
        if snapshot.next_sequence < self._least:
            old = f"the snapshot: it goes on at message {snapshot.next_sequence}, and before {self._least} some are missing"
            self._ask(cycle, old)
            return
        for raw in snapshot.directory:
            self._learn(raw)
        told, bound = snapshot.locates, self._loader.bound
        self._joined = frozenset(slot for slot, locate in bound.items() if locate in told and self._loader.symbol(slot))
        states = snapshot.states(set(bound.values()))
        first = snapshot.next_sequence - len(states)
        if first < 1:
            self._ask(cycle, f"the snapshot: it goes on at message {snapshot.next_sequence} and tells {len(states)} states")
            return
        self._snapshot, self._states = snapshot.of(set(bound.values())), deque(enumerate(states, first))
        self._first = first
        self._counts["let_go"] += self._recovery.let_go()
        self._loader.go_on_at(first)
        self._go(_Step.LOADED, cycle + _TOLD)

    def _empty(self, cycle: int) -> None:
        """Once the number is loaded, and all is told that was before: empty the books."""
        if cycle < self._due:
            return
        if self._loader.next_sequence != self._first:
            if cycle >= self._due + _SETTLED:
                self._ask(cycle, "the card did not take the snapshot's number")
            return
        self._loader.clear_book()
        self._mark()
        self._go(_Step.STATES, cycle + _SETTLED + self._timeout)

    def _give_states(self, cycle: int) -> None:
        """Behind shut lines: nothing that comes late on one takes the number of a state."""
        room = self._loader.inject_room if self._states else 0
        for _ in range(min(room, len(self._states))):
            self._loader.inject(*self._states.popleft())
            self._counts["states"] += 1
            self._due = cycle + self._timeout
        number = self._snapshot.next_sequence
        if not self._states and self._loader.next_sequence == number:
            self._told, self._shown = False, max(self._behind, number)
            self._loader.listen(True)
            self._go(_Step.OPENED, cycle + self._silence + self._loader.gap_wait)
        elif cycle >= self._due:
            self._ask(cycle, "the card did not come to the snapshot's number")

    def _join(self, cycle: int) -> None:
        """Once the card knows what came meanwhile. A quiet line tells nothing of it; its next packet does."""
        highest = self._loader.highest
        if highest >= self._shown and (self._told or self._loader.next_sequence >= highest):
            self._reload.join(self._snapshot, self._joined)
            self._go(_Step.JOINING, cycle)
        elif cycle >= self._due:
            self._ask(cycle, "the card does not tell what came on the lines while they were shut")

    def _follow(self, cycle: int) -> None:
        """Until the card is up to the lines."""
        if self._recovery.failed:
            self._ask(cycle, "what came behind the snapshot is missing too")
            return
        highest = self._loader.highest
        missing = self._loader.next_sequence < highest
        if self._recovery.busy or missing != self._missing:
            self._missing, self._due = missing, cycle + _SETTLED
        elif cycle >= self._due and missing:
            # The record of the gap was lost.
            self._fill(cycle)
        elif cycle >= self._due:
            self._weigh(cycle)

    def _fill(self, cycle: int) -> None:
        """Have asked for what is missing."""
        number, highest = self._loader.next_sequence, self._loader.highest
        if number < highest:
            self._recovery.open(number, highest, cycle)

    def _weigh(self, cycle: int) -> None:
        """Nothing is missing, and all is told."""
        if all(self._integrity(slot) is not Integrity.SUSPECT for slot in self._loader.slots.values()):
            self._end()
        elif self._loader.lost_after_use != self._bad_frames:
            self._ask(cycle, "a bad frame was used behind the snapshot")
        elif self._lost_now != self._records_lost:
            self._ask(cycle, "records of the card were lost behind the snapshot, and what slots are is not known")
        else:
            self._ask(cycle, "slots are SUSPECT behind the snapshot, where nothing is missing")

    def _end(self) -> None:
        self._counts["ended"] += 1
        self._tries = 0
        self._go(_Step.IDLE, 0)
