"""When a book begins with each message, and when what comes of it is there, as long as it fills no window."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from hdl.book.line_rate_book import LineRateBook
from hdl.spec import itch
from hdl.spec.geometry import Geometry
from sim.twin.kernel import meet, sizes_of
from sim.twin.trade.pairs import LEAD

ADDS = "AF"
_USED = itch.BOOK_TYPES + itch.TRADE.code
_LONG_AGO = -(1 << 32)


class Heard(NamedTuple):
    """A message of the feed."""

    sequence: int
    message: bytes
    slot: int | None
    som: int
    """Clocks as the card stamps them, from which on the decoder shows the slot, and of its answer."""
    eot: int
    shown: int
    clock: int

    @property
    def short(self) -> bool:
        """It does not tell what and whose it is."""
        return len(self.message) < itch.HEADER_BYTES

    @property
    def decoded(self) -> bool:
        """The decoder gives it, readable or malformed."""
        return self.short or chr(self.message[0]) in itch.MESSAGES

    @property
    def used(self) -> bool:
        """The book takes it."""
        return self.short or (self.slot is not None and chr(self.message[0]) in _USED)

    @property
    def whole(self) -> bool:
        """It is as long as its type is."""
        layout = itch.MESSAGES.get(chr(self.message[0]))
        return layout is not None and layout.size == len(self.message)

    @property
    def replaces(self) -> bool:
        """It stands for two: an order goes, another comes."""
        return self.whole and chr(self.message[0]) == itch.ORDER_REPLACE.code


class Entry(NamedTuple):
    """Clocks of a message at the book."""

    clock: int
    """It is begun with."""
    fault: int
    """Its fault is told, where it has one; that of a replacement's new order."""
    sale: int
    """The sale it may tell is there."""
    touch: int
    """The touch it may change is."""
    lead: int
    """Clocks from the book's last `accept` before that touch to it, less than 0 where that was of another slot."""


class BookClocks:
    """Messages in, each with its clock, and out again as soon as the book has begun with them.

    Parameters
    ----------
    geometry : Geometry
        Of the card.
    told : mapping of int to int
        Clocks of the touches that are known from the card, by message: what follows goes by them.
    filled : collection of int
        Messages for whose touch a window had to be filled first.
    """

    def __init__(self, geometry: Geometry, *, told: Mapping[int, int] | None = None, filled: Collection[int] = ()) -> None:
        self._told, self._filled = told or {}, filled
        self._waiting: deque[Heard] = deque()
        """From the oldest that the book has not begun with on; messages that it has no use for among them."""

    def hear(self, messages: Iterable[Heard]) -> None:
        """Messages come, in order."""
        self._waiting.extend(messages)

    def entered(self, until: int) -> Iterator[tuple[Heard, Entry]]:
        """Those that the book begins with before a clock, which all that come before it must have been heard for."""
        while True:
            while self._waiting and not self._waiting[0].used:
                self._waiting.popleft()
            if not self._waiting or (begin := self._begin(self._waiting[0])) >= until:
                return
            one = self._waiting[0]
            entry = self._enter(one, begin)
            self._waiting.popleft()
            yield one, entry

    def _begin(self, one: Heard) -> int:
        """The clock in which the book begins with the message that comes next."""
        raise NotImplementedError

    def _enter(self, one: Heard, begin: int) -> Entry:
        """It does."""
        raise NotImplementedError


class OrderBookClocks(BookClocks):
    """Clocks of `OrderBook`."""

    SALE, FAULT = 7, 6
    TOUCHES = {True: 6, False: 7}
    """Of messages that add an order, and of others; a clock more where the slot was not at hand."""
    NEXT = {True: 13, False: 9}
    """To the entry of the next one: behind replacements, and behind others."""
    QUEUED = 3
    """Clocks in its queue, at least."""

    def __init__(self, geometry: Geometry, *, told: Mapping[int, int] | None = None, filled: Collection[int] = ()) -> None:
        super().__init__(geometry, told=told, filled=filled)
        self._free = 0
        self._slot = 0
        """At work last."""

    def _begin(self, one: Heard) -> int:
        # An idle book takes a message as it comes.
        return one.clock if one.clock >= self._free else max(self._free, one.clock + self.QUEUED)

    def _enter(self, one: Heard, begin: int) -> Entry:
        adds = chr(one.message[0]) in ADDS
        takes = self.TOUCHES[adds]
        if not adds:
            takes += self._at_hand(begin) != one.slot
        self._slot = one.slot or 0
        touch, fills = self._told.get(one.sequence), one.sequence in self._filled
        if touch is None or not fills:
            begin = begin if touch is None else touch - takes
            touch = begin + takes
        self._free = begin + self.NEXT[one.replaces]
        return Entry(begin, begin + self.FAULT, begin + self.SALE, touch, touch - begin - 1)

    def _at_hand(self, begin: int) -> int:
        """Slot that the ladder holds in the clock before an entry: of the message at work, or what the decoder shows."""
        if begin == self._free:
            return self._slot
        shown = self._waiting[0]
        for one in self._waiting:
            if one is not shown and one.shown >= begin:
                break
            shown = one
        return shown.slot or 0


class _Step(NamedTuple):
    """What `LineRateBook` does of a message at a time."""

    clock: int
    reference: np.uint64 | None
    """Of the order it looks for; None where that is not known."""


class LineRateBookClocks(BookClocks):
    """Clocks of `LineRateBook`.

    What order a malformed message seems to name is not looked at: none waits for it, and it for none.
    """

    BEAT = 2
    """From a step to the next one."""
    QUEUED = 2
    """Clocks in its queue, at least."""
    PASSED = LineRateBook.latency + BEAT
    """From a step to the clock in which nothing of it is on the way any more."""
    MEETS = 3 * BEAT
    """So far behind a step one that adds an order still waits where both are of one row."""
    NEAR = 2 * BEAT
    """So far behind the last step of a message that of another one is not announced."""
    FAULT = LineRateBook.latency - 1
    _ORDER, _NEW_ORDER = (itch.ORDER_REPLACE.offset(name) for name in ("orig_order_ref", "new_order_ref"))
    """Where all that are used have them."""

    def __init__(self, geometry: Geometry, *, told: Mapping[int, int] | None = None, filled: Collection[int] = ()) -> None:
        super().__init__(geometry, told=told, filled=filled)
        self._sizes = sizes_of(geometry)
        self._steps = [_Step(_LONG_AGO, None)]
        """The last ones."""
        self._settled = [_LONG_AGO]
        """Of the last steps of messages."""
        self._accepted = (_LONG_AGO, -1)
        """Clock and slot of the last `accept`."""

    def _begin(self, one: Heard) -> int:
        added = self._reference(one, self._ORDER) if chr(one.message[0]) in ADDS else None
        # It begins as it comes, or goes through the queue.
        return one.clock if self._beat(one.clock, added) == one.clock else self._beat(one.clock + self.QUEUED, added)

    def _beat(self, earliest: int, added: np.uint64 | None) -> int:
        """The first clock in which a step may begin that adds an order, or none."""
        last = self._steps[-1].clock
        clock = max(earliest, last + self.BEAT)
        if clock < last + self.PASSED:
            clock += (clock - last) % self.BEAT
        while added is not None and self._meets(clock, added):
            clock += self.BEAT
        return clock

    def _meets(self, clock: int, added: np.uint64) -> bool:
        near = (step.reference for step in self._steps if step.reference is not None and clock <= step.clock + self.MEETS)
        return any(meet(reference, added, self._sizes) for reference in near)

    def _enter(self, one: Heard, begin: int) -> Entry:
        touch, fills = self._told.get(one.sequence), one.sequence in self._filled
        first, second = _Step(begin, self._reference(one, self._ORDER)), None
        if one.replaces:
            reference = self._reference(one, self._NEW_ORDER)
            self._steps.append(first)
            second = _Step(self._beat(begin, reference), reference)
            self._steps.pop()
        last = second or first
        late = 0 if touch is None or fills else touch - LineRateBook.latency - last.clock
        for step in (first, second):
            if step is not None:
                self._steps.append(step._replace(clock=step.clock + late))
        self._steps = self._steps[-(self.MEETS // self.BEAT) :]
        begin, end = begin + late, last.clock + late
        self._accept(one.slot or 0, end)
        settled = end + LineRateBook.latency
        clock, slot = self._accepted
        lead = (settled - clock) * (1 if slot == (one.slot or 0) else -1)
        if fills and touch is not None:
            # Nothing else is on the way then.
            settled, lead = touch, LEAD
        return Entry(begin, end + self.FAULT, begin + LineRateBook.latency, settled, lead)

    def _accept(self, slot: int, end: int) -> None:
        """Who looks up ahead is told of the slot, unless another message's touch may come in between."""
        if all(end > settled + self.NEAR for settled in self._settled):
            self._accepted = end + LineRateBook.latency - LEAD, slot
        self._settled = [*self._settled[-1:], end]

    def _reference(self, one: Heard, offset: int) -> np.uint64 | None:
        return np.uint64(int.from_bytes(one.message[offset : offset + 8], "big")) if one.whole else None


def book_clocks(geometry: Geometry, *, told: Mapping[int, int] | None = None, filled: Collection[int] = ()) -> BookClocks:
    """Of the book a card has."""
    return (LineRateBookClocks if geometry.line_rate else OrderBookClocks)(geometry, told=told, filled=filled)
