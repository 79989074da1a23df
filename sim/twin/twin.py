"""The twin as an object: bytes in, rows out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.book.book import ALL_SLOTS
from hdl.book.ticks import CENT, DOLLAR, OFFSET
from hdl.spec import itch
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Drop, Integrity, IntegrityCause
from sim.twin import kernel
from sim.twin.kernel import EVENT, ROW

Raw = bytes | bytearray | memoryview | NDArray[np.uint8]
_ROWS = 1 << 14
"""Rows taken from the kernel at a time."""
_U = np.uint64


class FramingError(ValueError):
    """The bytes cannot be messages with their lengths from here on.

    Parameters
    ----------
    reason : str
        What is wrong.
    offset : int
        Byte, counted over all that was fed, at which the record begins that is wrong.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"byte {offset}: {reason}")
        self.reason = reason
        self.offset = offset


@dataclass(frozen=True)
class Transition:
    """A change of integrity, as the card's event record has it.

    Parameters
    ----------
    slot : int
        Slot, or `ALL_SLOTS`.
    integrity : Integrity
        New state.
    cause : IntegrityCause
        Why.
    sequence : int
        Number of the message that caused it, 0 where none did.
    order_ref : int
        Order it is about, 0 where about none.
    """

    slot: int
    integrity: Integrity
    cause: IntegrityCause
    sequence: int = 0
    order_ref: int = 0


class Twin:
    """Decoder and book of a card, without its clock.

    Parameters
    ----------
    geometry : Geometry
        Sizes of the card; table, windows and slots end where the card's do.
    bindings : mapping of int to int, optional
        Slot by stock locate.
    see : callable, optional
        Is shown a message before it is decoded where it is a directory message or of a locate not yet settled; returns whether
        the locate is settled now. May bind slots.
    longest : int
        Bytes of the longest message a record may hold.
    next_sequence : int
        Number of the first message.

    Attributes
    ----------
    transitions : list of Transition
        Changes of integrity, in order.
    first_odd : int or None
        Byte at which the first record begins that is no message of ITCH 5.0.
    ended : bool
        The end-of-session mark, a length of zero, was met; nothing behind it is read.

    Notes
    -----
    The book starts empty and EXACT, as the host leaves a card it has loaded. The queue in front of the card's book is not there:
    a card that is too slow for its input loses messages and says so (`Drop.BOOK_OVERRUN`), the twin does not.
    """

    def __init__(
        self,
        geometry: Geometry,
        *,
        bindings: Mapping[int, int] | None = None,
        see: Callable[[bytes], bool] | None = None,
        longest: int = 0xFFFF,
        next_sequence: int = 0,
    ) -> None:
        self.geometry = geometry
        self.transitions: list[Transition] = []
        self.first_odd: int | None = None
        self.ended = False
        self._see = see
        self._longest = _U(longest)
        self._sizes = kernel.sizes_of(geometry)
        self._book = kernel.book_of(geometry)
        self._counters = self._book.counters
        self._locates: list[int | None] = [None] * geometry.slots
        # As words: numpy copies records of several fields field by field.
        self._rows = np.zeros(_ROWS * int(kernel.ROW_WORDS), _U)
        # Between two declarations each slot falls once to DEAD, and all fall to SUSPECT once.
        self._events = np.zeros(geometry.slots + 1, EVENT)
        self._rest = b""
        self._consumed = 0
        self.sequence = next_sequence
        if see is not None:
            self._book.binding[1:] |= int(kernel.NOTICE)
        for locate, slot in (bindings or {}).items():
            self.bind(slot, locate)

    # What the host sets.

    def bind(self, slot: int, locate: int) -> None:
        """Let a slot listen to a stock locate."""
        if not 0 <= slot < self.geometry.slots:
            raise ValueError(f"slot: {slot} was given, allowed are 0 to {self.geometry.slots - 1}")
        if not 0 <= locate <= 0xFFFF:
            raise ValueError(f"locate: {locate} was given, allowed are 0 to 65535")
        self.unbind(slot)
        self._book.binding[locate] = (self._book.binding[locate] & int(kernel.NOTICE)) | (slot + 1)
        self._locates[slot] = locate

    def unbind(self, slot: int) -> None:
        """Let a slot listen to nothing."""
        locate = self._locates[slot]
        if locate is not None and int(self._book.binding[locate] & int(kernel.SLOT_BITS)) == slot + 1:
            self._book.binding[locate] &= int(kernel.NOTICE)
        self._locates[slot] = None

    def suspect(self, cause: IntegrityCause) -> None:
        """Every EXACT slot becomes SUSPECT."""
        states = self._book.integrity
        exact = states == Integrity.EXACT
        if exact.any():
            states[exact] = Integrity.SUSPECT
            self.transitions.append(Transition(ALL_SLOTS, Integrity.SUSPECT, cause))

    def declare_exact(self) -> None:
        """Every slot becomes EXACT."""
        self._book.integrity[:] = Integrity.EXACT
        self.transitions.append(Transition(ALL_SLOTS, Integrity.EXACT, IntegrityCause.RELOADED))

    # What it makes of the feed.

    def feed(self, raw: Raw) -> NDArray[Any]:
        """BBO changes (`ROW`) of the whole records in these bytes, which go on where the last ones ended.

        A record that is cut waits for the rest of it; `finish` tells where none comes. `FramingError` where a length cannot be
        one; what came before it is in the book, and its rows are lost: `batches` gives them.
        """
        return _joined(list(self.batches(raw)))

    def batches(self, raw: Raw) -> Any:
        """The same in pieces, as they are made; also those before a `FramingError`."""
        data = np.frombuffer(self._rest + bytes(raw) if self._rest else raw, np.uint8)
        self._counters[kernel.POSITION] = 0
        resume = False
        while not self.ended:
            reason = self._run(data, len(data), of_file=True, resume=resume)
            yield self._taken()
            position = int(self._counters[kernel.POSITION])
            resume = reason == kernel.STOPPED
            if resume:
                self._show(data, position)
            elif reason == kernel.TOO_LONG:
                length = int.from_bytes(data[position : position + 2].tobytes(), "big")
                raise FramingError(f"record length {length}: allowed are 1 to {self._longest}", self._consumed + position)
            elif reason == kernel.ENDED:
                self.ended = True
            elif reason == kernel.DONE:
                break
        position = int(self._counters[kernel.POSITION])
        self._rest = b"" if self.ended else data[position:].tobytes()
        self._consumed += position

    @property
    def rebuilds(self) -> int:
        """Times a window ran empty and the table was gone through."""
        return int(self._counters[kernel.REBUILDS])

    def finish(self) -> None:
        """No more bytes come. `FramingError` where a record is cut."""
        rest = self._rest
        if len(rest) == 1:
            raise FramingError("the file ends inside a record's length", self._consumed)
        if rest:
            length = int.from_bytes(rest[:2], "big")
            raise FramingError(
                f"the file ends inside a record: {len(rest) - 2} of {length} bytes are there", self._consumed
            )

    def blocks(self, raw: Raw, *, count: int, skip: int) -> tuple[NDArray[Any], Blocks]:
        """BBO changes of the message blocks of one packet, of which the first ones are passed over."""
        data = np.frombuffer(raw, np.uint8)
        counters = self._counters
        counters[kernel.POSITION], counters[kernel.REMAINING], counters[kernel.SKIP] = 0, count, skip
        counters[kernel.FRESH] = counters[kernel.USED] = 0
        parts = []
        while True:
            reason = self._run(data, len(data), of_file=False, resume=True)
            parts.append(self._taken())
            if reason != kernel.FULL:
                break
        left = len(data) - int(counters[kernel.POSITION])
        whole = not counters[kernel.REMAINING] and not left
        return _joined(parts), Blocks(whole, bool(counters[kernel.FRESH]), bool(counters[kernel.USED]))

    def _run(self, data: NDArray[np.uint8], end: int, *, of_file: bool, resume: bool) -> int:
        return int(
            kernel.run(
                self._book, self._sizes, data, _U(end), self._longest, of_file, self._see is not None and of_file, resume,
                self._rows, _U(_ROWS), self._events.view(_U),
            )
        )  # fmt: skip

    def _taken(self) -> NDArray[Any]:
        """Rows of the last run; its events become transitions."""
        counters = self._counters
        rows = self._rows[: int(counters[kernel.ROWS] * kernel.ROW_WORDS)].copy().view(ROW)
        for event in self._events[: int(counters[kernel.EVENTS])].tolist():
            sequence, order_ref, slot, integrity, cause = event
            self.transitions.append(Transition(slot, Integrity(integrity), IntegrityCause(cause), sequence, order_ref))
        counters[kernel.ROWS] = counters[kernel.EVENTS] = 0
        if self.first_odd is None and any(self.drops.values()):
            self.first_odd = self._consumed + int(counters[kernel.FIRST_ODD])
        return rows

    def _show(self, data: NDArray[np.uint8], position: int) -> None:
        assert self._see is not None
        begin = position + 2
        length = int.from_bytes(data[position:begin].tobytes(), "big")
        message = data[begin : begin + length].tobytes()
        if self._see(message):
            self._book.binding[int.from_bytes(message[1:3], "big")] &= int(kernel.SLOT_BITS)

    # What there is to read.

    @property
    def sequence(self) -> int:
        """Number of the next message."""
        return int(self._counters[kernel.SEQUENCE])

    @sequence.setter
    def sequence(self, number: int) -> None:
        self._counters[kernel.SEQUENCE] = number

    @property
    def position(self) -> int:
        """Bytes of whole records that were read."""
        return self._consumed

    @property
    def integrity(self) -> list[Integrity]:
        """State of each slot."""
        return [Integrity(state) for state in self._book.integrity.tolist()]

    @property
    def messages_by_type(self) -> dict[str, int]:
        """Decoded messages."""
        return dict(zip(itch.MESSAGES, self._book.types.tolist(), strict=True))

    @property
    def messages(self) -> int:
        """Decoded messages of all types."""
        return int(self._book.types.sum())

    @property
    def drops(self) -> dict[Drop, int]:
        """Messages not decoded, by cause."""
        counters = self._counters
        return {Drop.ITCH_TYPE: int(counters[kernel.ITCH_TYPE]), Drop.ITCH_LENGTH: int(counters[kernel.ITCH_LENGTH])}

    @property
    def unwatched(self) -> int:
        """Messages about orders of locates that no slot listens to."""
        return int(self._counters[kernel.UNWATCHED])

    @property
    def live_orders(self) -> int:
        """Orders in the table."""
        return int(self._counters[kernel.LIVE_ORDERS])

    @property
    def table_peak(self) -> int:
        """Most orders the table held."""
        return int(self._counters[kernel.PEAK])

    def best(self, slot: int) -> tuple[int, int, int, int]:
        """Bid price and shares, offer price and shares; zeros where there is none."""
        sides = self._book.sides.reshape(-1, 2, int(kernel.SIDE_NUMBERS))[slot]
        (bid, bid_shares), (ask, ask_shares) = sides[:, [int(kernel.PRICE), int(kernel.SHARES)]].tolist()
        return bid, bid_shares, ask, ask_shares


    def locate(self, slot: int) -> int | None:
        """Stock locate that a slot listens to."""
        return self._locates[slot]

    def depth(self, slot: int, levels: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Price and shares of the best levels of bids and of offers, those off the grid and outside the windows too."""
        book = self._book
        sides = []
        for at in (2 * slot, 2 * slot + 1):
            marks = book.marks.astype(np.int64)
            held = (marks | int(kernel.ON_TICK)) == int(kernel.LIVE) | int(kernel.ON_TICK) | at
            ticks, shares = book.orders.reshape(-1, 2)[held].astype(np.int64).T
            on_tick = (marks[held] & int(kernel.ON_TICK)) != 0
            on_cents = on_tick & (ticks >= DOLLAR)
            prices = np.where(on_cents, (ticks - OFFSET) * CENT, ticks)
            found, place = np.unique(prices, return_inverse=True)
            total = np.bincount(place, weights=shares, minlength=len(found)).astype(np.int64)
            best = list(zip(found.tolist(), total.tolist(), strict=True))
            sides.append(best[:levels] if at & 1 else best[: -levels - 1 : -1])
        return sides[0], sides[1]


@dataclass(frozen=True)
class Blocks:
    """How the blocks of a packet were.

    Parameters
    ----------
    whole : bool
        As many as promised are there, and nothing behind them.
    fresh : bool
        One of them begins that was not passed over.
    used : bool
        One of them was delivered.
    """

    whole: bool
    fresh: bool
    used: bool


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([part.view(_U) for part in parts]).view(ROW) if parts else np.zeros(0, ROW)
