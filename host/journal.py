"""What a card did in a run, as the trading twin wants it: every input with the clock in which the card had it.

Touches, reports and changes of integrity bring their clock with their event record. Of messages without one (halts, hours, sales)
it follows from the clock their frame came in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hdl.spec import events, itch, moldudp64, network, ouch
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import IntegrityCause
from hdl.spec.registers import RISK, STRATEGY, Access
from sim import card as simulated
from sim.twin import ROW, Twin
from sim.twin.book_clocks import ADDS, Heard, book_clocks
from sim.twin.sets import REGISTERS, ParameterSet
from sim.twin.status import MarketStatus
from sim.twin.timing import Timing
from sim.twin.trade.state import (
    FAR,
    IN_ALARM,
    IN_CANCEL,
    IN_INTEGRITY,
    IN_ORDER,
    IN_REARM_LOSS,
    IN_RELOAD,
    IN_REPORT,
    IN_SEGMENT,
    IN_SETTING,
    IN_TRADE,
    SETTINGS,
)  # fmt: skip

Record = Mapping[str, Any]
Input = tuple[int, ...]

_WINDOW = int(IntegrityCause.WINDOW)
_WRAP = 1 << 32
_UDP_PAYLOAD = network.ETHERNET.size + network.IPV4.size + network.UDP.size
_TCP_PAYLOAD = network.ETHERNET.size + network.IPV4.size + network.TCP.size
_LENGTH = 2
WRITTEN = 2
"""From the clock behind a write to the one in which a register reads so, or the gateware is told."""
_MOST = 0xFFFF
"""As many records lost, or more."""
_TRADES = (ouch.ORDER_EXECUTED.code, ouch.BROKEN_TRADE.code)
_ROW_NAMES = tuple(name for name in ROW.names or () if name)


class Writings:
    """What a host wrote, as the trading twin wants it.

    Attributes
    ----------
    settings : list of Input
        Registers and orders, with the clock before they are seen.
    sets : list of ParameterSet
        Sets that were committed.
    """

    def __init__(self) -> None:
        self.settings: list[Input] = []
        self.sets: list[ParameterSet] = []
        blocks = (RISK, STRATEGY)
        self._registers = {entry.name: entry.reset for block in blocks for entry in block.registers if entry.name in REGISTERS}
        self._rows: dict[str, dict[int, Mapping[str, int]]] = {
            entry.name: {} for block in blocks for entry in block.tables if entry.access is Access.SET
        }

    def register(self, block: str, name: str, value: int, cycle: int) -> None:
        """A register was written, with its last word in the clock before `cycle`."""
        clock = cycle + WRITTEN
        setting = "session_up" if (block, name) == ("session", "up") else name
        if name in self._registers:
            self._registers[name] = value
        elif setting in SETTINGS:
            # Of these the gate hears a clock later than of the others.
            late = setting in ("session_up", "trading_state")
            self.settings.append((IN_SETTING, clock - (not late), SETTINGS.index(setting), value))
        if (block, name) == ("risk", "commit"):
            pairs, limits = (dict(self._rows[table]) for table in ("pairs", "limits"))
            self.sets.append(ParameterSet(clock, value, pairs=pairs, limits=limits, settings=dict(self._registers)))

    def row(self, block: str, table: str, row: int, columns: Mapping[str, int], cycle: int) -> None:
        """A row of a table was."""
        if table in self._rows:
            self._rows[table][row] = columns
        if (block, table) == ("risk", "order"):
            given = (columns[name] for name in ("slot", "side", "quantity", "price"))
            self.settings.append((IN_ORDER, cycle + WRITTEN + 1, *given))
        if (block, table) == ("risk", "reload"):
            # The ledger tells of it a clock later.
            self.settings.append((IN_RELOAD, cycle + WRITTEN + 1, row, *columns.values()))

    def pulse(self, block: str, name: str, cycle: int) -> None:
        """A register that does something once was."""
        if (block, name) == ("risk", "rearm_loss"):
            self.settings.append((IN_REARM_LOSS, cycle + WRITTEN))


class RecordingCard(simulated.SimulatedCard):
    """The simulated card; keeps what it was given.

    Attributes
    ----------
    given : list of bytes
        Frames by number.
    writings : Writings
        What was written.
    """

    def __init__(self, geometry: Geometry, **options: Any) -> None:
        super().__init__(geometry, **options)
        self.given: list[bytes] = []
        self.writings = Writings()

    def send(self, frame: bytes, *, at: int | None = None, fcs: int | None = None) -> int:
        """Queue a frame, see `SimulatedCard.send`."""
        self.given.append(frame)
        return super().send(frame, at=at, fcs=fcs)

    def write(self, block: str, name: str, value: int) -> None:
        """Set a register, see `SimulatedCard.write`."""
        super().write(block, name, value)
        self.writings.register(block, name, value, self.cycle)

    def write_row(self, block: str, table: str, row: int, **columns: int) -> None:
        """Write one row of a table, see `SimulatedCard.write_row`."""
        super().write_row(block, table, row, **columns)
        self.writings.row(block, table, row, columns, self.cycle)

    def pulse(self, block: str, name: str) -> None:
        """Do once what the register stands for, see `SimulatedCard.pulse`."""
        super().pulse(block, name)
        self.writings.pulse(block, name, self.cycle)


class Hole(NamedTuple):
    """A place at which the touches that a book misses are not those whose records the card says it lost."""

    before: int | None
    """Message of the touch that was told behind it; None behind the last one."""
    lost: int
    missing: int


@dataclass
class Journal:
    """A run, ready for the twin.

    Parameters
    ----------
    records : list of Record
        What the card told, in order.
    rows : numpy.ndarray
        BBO changes as the card told them; where records of some were lost, with those that a book finds missing.
    clocks : numpy.ndarray
        Their clocks, and `leads` as `sim.twin.book_clocks.Entry` has them.
    heard : numpy.ndarray
        Clocks in which messages were decoded.
    inputs : list of Input
        All else, in order of clocks.
    sets : list of ParameterSet
        Sets that were committed.
    messages : dict of int to bytes
        Messages of the feed by number.
    hole : Hole, optional
        The first one.
    """

    records: list[Record]
    rows: NDArray[Any]
    clocks: NDArray[np.int64]
    leads: NDArray[np.int64]
    heard: NDArray[np.int64]
    inputs: list[Input]
    sets: list[ParameterSet] = field(default_factory=list)
    messages: dict[int, bytes] = field(default_factory=dict)
    hole: Hole | None = None


def journal(
    records: Sequence[Record], card: RecordingCard, *, slots: Mapping[int, int], ignore_market_hours: bool, lost: int = 0
) -> Journal:
    """Of a run that has ended; `slots` gives slots by locate, `lost` is how many records of all kinds the card lost."""
    timing = Timing(card.geometry.width)
    by_number: dict[int, Heard] = {}
    inputs = list(card.writings.settings)
    for number, first, last in card.received_at().tolist():
        frame = card.given[number]
        if frame[network.ETHERNET.size + network.IPV4.offset("protocol")] == network.PROTOCOL_UDP:
            by_number |= {one.sequence: one for one in messages_of(frame, first, timing, slots)}
        elif _has_payload(frame):
            inputs.append((IN_SEGMENT, last))
    heard = [by_number[number] for number in sorted(by_number)]
    timed = list(_whole_clocks(records))
    status = MarketStatus(card.geometry.slots, ignore_market_hours=ignore_market_hours)
    inputs += status.begin()
    touched = {record["sequence"]: record["cycle"] for record in timed if record["kind"] == events.BBO.code}
    filled = {record["sequence"] for record in timed if record["kind"] == events.INTEGRITY.code and record["cause"] == _WINDOW}
    rows, hole = touches(timed, card.geometry, heard, slots, lost=lost)
    book, sales, entries = book_clocks(card.geometry, told=touched, filled=filled), Sales(), {}
    book.hear(heard)
    for one in heard:
        inputs += status.see(one.message, one.slot, one.clock)
    for one, entry in book.entered(FAR):
        entries[one.sequence] = entry
        if price := sales.of(one):
            inputs.append((IN_TRADE, entry.sale, one.slot or 0, price))
    inputs += _told(timed)
    inputs.sort(key=lambda one: one[1])
    rows = rows[np.argsort([entries[number].touch for number in rows["sequence"].tolist()], kind="stable")]
    changes = [entries[number] for number in rows["sequence"].tolist()]
    return Journal(
        records=timed,
        rows=rows,
        clocks=np.array([entry.touch for entry in changes], np.int64),
        leads=np.array([entry.lead for entry in changes], np.int64),
        heard=np.array(sorted(one.clock for one in heard if one.decoded), np.int64),
        inputs=inputs,
        sets=list(card.writings.sets),
        messages={one.sequence: one.message for one in heard},
        hole=hole,
    )


def touches(
    records: Sequence[Record], geometry: Geometry, heard: Sequence[Heard], slots: Mapping[int, int], *, lost: int
) -> tuple[NDArray[Any], Hole | None]:
    """BBO changes as the card told them, and those whose records it lost as a book has them.

    A record says how many of its kind were lost before it: as many have to be missing there. Behind the last BBO record none says
    so; of the `lost` records of all kinds those that no record speaks of may all have been there.

    Returns
    -------
    rows : numpy.ndarray
        `sim.twin.ROW`.
    hole : Hole, optional
        The first place at which too few or too many are missing.
    """
    told = [record for record in records if record["kind"] == events.BBO.code]
    rows = np.array([tuple(record[name] for name in _ROW_NAMES) for record in told], ROW)
    losses = [record["lost"] for record in told]
    rest = max(0, lost - sum(record["lost"] for record in records))
    if not (heard and (any(losses) or rest)):
        return rows, None
    book = Twin(geometry, bindings=slots, next_sequence=heard[0].sequence)
    all_rows = book.feed(b"".join(len(one.message).to_bytes(_LENGTH, "big") + one.message for one in heard))
    missing = all_rows[~np.isin(all_rows["sequence"], rows["sequence"])]
    found = np.bincount(np.searchsorted(rows["sequence"], missing["sequence"]), minlength=len(rows) + 1).tolist()
    holes = (
        Hole(int(behind), said, seen)
        for behind, said, seen in zip(rows["sequence"], losses, found, strict=False)
        if seen != said and not (said == _MOST <= seen)
    )
    tail = Hole(None, rest, found[-1]) if found[-1] > rest else None
    rows = np.concatenate([rows, missing])
    return rows[np.argsort(rows["sequence"], kind="stable")], next(holes, tail)


def messages_of(frame: bytes, first: int, timing: Timing, slots: Mapping[int, int]) -> Iterator[Heard]:
    """Messages of a feed frame whose first beat came in a clock; `slots` gives slots by locate."""
    packet = frame[_UDP_PAYLOAD:]
    header = moldudp64.HEADER.unpack(packet)
    at, places = moldudp64.HEADER.size, []
    for _ in range(int(header["message_count"])):
        begin = at + _LENGTH
        at = begin + int.from_bytes(packet[at:begin], "big")
        places.append((begin, at))
    answers = timing.answers(_UDP_PAYLOAD, places)
    for number, ((begin, end), answer) in enumerate(zip(places, answers, strict=True), int(header["sequence_number"])):
        message = packet[begin:end]
        if not message:
            continue
        slot = slots.get(int.from_bytes(message[1:3], "big")) if len(message) >= itch.HEADER_BYTES else None
        yield Heard(number, message, slot, *(first + clocks for clocks in answer))


def _has_payload(frame: bytes) -> bool:
    begin = network.ETHERNET.size + network.IPV4.offset("total_length")
    return network.ETHERNET.size + int.from_bytes(frame[begin : begin + 2], "big") > _TCP_PAYLOAD


def _whole_clocks(records: Sequence[Record]) -> Iterator[Record]:
    """Records with their clocks as counts of more than 32 bits. They come in order but for some clocks."""
    last = 0
    for record in records:
        last += (record["cycle"] - last + _WRAP // 2) % _WRAP - _WRAP // 2
        yield dict(record) | {"cycle": last}


class Sales:
    """What sales the book tells, message after message."""

    def __init__(self) -> None:
        self._prices: dict[int, int] = {}

    def of(self, one: Heard) -> int:
        """Price of the sale a message tells, 0 where it tells none."""
        if not (one.used and one.whole):
            return 0
        layout = itch.MESSAGES[chr(one.message[0])]
        values = layout.unpack(one.message)
        prices = self._prices
        if layout is itch.TRADE:
            return int(values["price"])
        reference = int(values["orig_order_ref" if layout is itch.ORDER_REPLACE else "order_ref"])
        if layout.code in ADDS:
            prices[reference] = int(values["price"])
        elif layout is itch.ORDER_DELETE:
            prices.pop(reference, None)
        elif layout is itch.ORDER_REPLACE:
            if prices.pop(reference, None) is not None:
                prices[int(values["new_order_ref"])] = int(values["price"])
        elif layout is itch.ORDER_EXECUTED:
            return prices.get(reference, 0)
        elif layout is itch.ORDER_EXECUTED_WITH_PRICE and values["printable"] == itch.PRINTABLE and reference in prices:
            return int(values["execution_price"])
        return 0


def _told(records: Sequence[Record]) -> Iterator[Input]:
    """Reports, alarms, cancels and changes of integrity. What an alarm was about is in no record, but that it was is."""
    fills = {
        (record["user_ref_num"], record["cycle"]): record for record in records if record["kind"] == events.FILL.code
    }
    left: dict[int, int] = {}
    for record in records:
        kind, clock = record["kind"], record["cycle"]
        if kind == events.VERDICT.code and record["user_ref_num"]:
            left[record["user_ref_num"]] = record["quantity"]
        elif kind == events.INTEGRITY.code:
            yield (IN_INTEGRITY, clock, record["slot"], record["integrity"], record["cause"])
        elif kind == events.ALARM.code:
            yield (IN_ALARM, clock, record["user_ref_num"], record["alarm"], record["report"])
        elif kind == events.CANCEL_SENT.code:
            # It starts a clock before its first byte.
            yield (IN_CANCEL, clock - 1, record["user_ref_num"])
        elif kind == events.ORDER_STATE.code:
            number, report = record["user_ref_num"], record["report"]
            # Where the verdict's record was lost, what is open then is all that is known.
            before, left[number] = left.get(number, -1), record["open_shares"]
            # A fill's record is made a clock behind its order's.
            fill = fills.get((number, clock + 1)) if chr(report) in _TRADES else None
            if fill is not None:
                shares, price, match = fill["quantity"], fill["price"], fill["match_number"]
                yield (IN_REPORT, clock, report, number, shares, price, 0, record["reason"], match)
                continue
            accepted = report == ord(ouch.ORDER_ACCEPTED.code)
            dead = accepted and not record["open_shares"]
            state = ord(ouch.ORDER_STATE_DEAD if dead else ouch.ORDER_STATE_LIVE)
            quantity = before if accepted else before - record["open_shares"]
            yield (IN_REPORT, clock, report, number, quantity, 0, state, record["reason"], 0)
