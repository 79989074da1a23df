"""The simulated card: the appliance's gateware under Verilator, with the same calls as a card in a slot.

One clock: 125 MHz and GMII where the geometry's width is 1, 156.25 MHz and XGMII where it is 8. Frames go in and out as bytes,
registers over the control bus, event records come as the gateware makes them. Python is called per frame or access, never per
cycle, and the same calls give the same bytes at the same cycles in every run.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from amaranth.lib import wiring

from hdl.spec import events
from hdl.spec.geometry import Geometry
from hdl.spec.layout import Value
from hdl.spec.registers import Access, Place, Register, RegisterMap, Table
from sim import tools, verilated

LONGEST_FRAME: Final = 16_000
"""Bytes of a frame the wire takes, without check sequence; more than any port of the appliance takes."""

READ_LIMIT: Final = 256
"""Cycles a register read may take."""

_CHUNK: Final = 4_000_000
"""Cycles between two looks at the keyboard."""

_REACHED, _LIMIT, _FAULT = range(3)
_SENT, _SENT_BYTES, _EVENTS, _RECEIVED = range(4)
_FRAME = np.dtype([("start", "u8"), ("wire", "u8"), ("end", "u8"), ("size", "u4"), ("flags", "u4")])
_FCS_OK, _MALFORMED = 1, 2
RECEIVED: Final = np.dtype([("frame", "u8"), ("first", "u8"), ("last", "u8")])
"""One received frame: number `SimulatedCard.send` gave it, cycles of its first and last byte at the MAC's receive output."""


class CardError(RuntimeError):
    """The card was used wrongly, did not answer, or broke a rule of its own ports."""


@dataclass(frozen=True)
class OutFrame:
    """A frame that left the card.

    Parameters
    ----------
    data : bytes
        Destination address to last byte before the check sequence, padding included.
    fcs : int
        Check sequence it carried.
    fcs_ok : bool
        Whether that is the right one.
    start_cycle : int
        First cycle in which its first byte was offered to the MAC (SOF).
    wire_cycle : int
        Cycle of the first preamble byte (XGMII: of the start character) on the wire.
    end_cycle : int
        Cycle of the last byte on the wire.
    malformed : bool
        The MAC flagged an error, or preamble and start delimiter were not as they must be.
    """

    data: bytes
    fcs: int
    fcs_ok: bool
    start_cycle: int
    wire_cycle: int
    end_cycle: int
    malformed: bool = False


def decode(raw: bytes) -> Iterator[dict[str, Value]]:
    """Records in the bytes that `SimulatedCard.events_raw` gives, each with the fields of its layout in `hdl.spec.events`."""
    at = 0
    while at < len(raw):
        layout = events.RECORDS.get(chr(raw[at]))
        words = raw[at + 1]
        if layout is None or 4 * words != layout.size:
            raise CardError(f"event record of kind {chr(raw[at])!r} with {words} words is not one of hdl.spec.events")
        record = layout.unpack(raw, at)
        record.pop("spare", None)
        yield record
        at += layout.size


class SimulatedCard:
    """The appliance under Verilator.

    Built on first use and kept by digest. One thread at a time may call it. Everything it gives is kept until it is taken.

    Parameters
    ----------
    geometry : Geometry
        Sizes of the appliance.
    wave : Path, optional
        FST file to write; cycle ``c`` begins ``c + 16`` clocks after its start. Uses a slower build of its own.
    engine_threads : int
        Threads of the model.
    design : wiring.Component, optional
        Something else with the same ports in place of the appliance.
    name : str
        Name of that design.
    progress : callable, optional
        Told when something is built; standard error otherwise.

    Raises
    ------
    CardError
        From every call, for values out of range, names that do not exist, a closed card, or a card that breaks its ports' rules.
    """

    def __init__(
        self,
        geometry: Geometry,
        *,
        wave: Path | None = None,
        engine_threads: int = 1,
        design: wiring.Component | None = None,
        name: str = "appliance",
        progress: verilated.Progress = verilated.to_stderr,
    ) -> None:
        self._handle: int | None = None
        if not 1 <= engine_threads <= 64:
            raise CardError(f"engine_threads: {engine_threads} was given, allowed are 1 to 64")
        self.geometry: Final = geometry
        self._map: Final = RegisterMap(geometry)
        self._seconds = 0.0
        self._clocks = 0
        options: dict[str, Any] = {"wave": wave is not None, "threads": engine_threads, "progress": progress}
        if design is not None:
            path = verilated.library(tools.verilog(design, name=name), **options)
        else:
            path = verilated.library(verilated.appliance(geometry), **options)
        self._library: Final = _bind(path)
        self._handle = self._library.card_open(_wave_file(wave), engine_threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()

    def close(self) -> None:
        """Free the model and finish the wave file. May be called twice."""
        if self._handle is not None:
            self._library.card_close(self._handle)
            self._handle = None

    # Clock

    @property
    def cycle(self) -> int:
        """Clocks since reset."""
        return int(self._library.card_cycle(self._open))

    def run(self, cycles: int) -> None:
        """Run exactly so many clocks."""
        self._advance(self._library.card_run, cycles)

    def run_until_idle(self, *, limit: int, quiet: int = 300) -> None:
        """Run until all queued frames are in and for `quiet` clocks nothing moved: no byte on a wire, no event.

        Raises
        ------
        CardError
            Not idle after `limit` clocks; the text holds what is outstanding.
        """
        _check("quiet", quiet, 1, 1 << 32)
        if not self._advance(self._library.card_run_until_idle, limit, quiet):
            queued = self._library.card_outstanding(self._open)
            what = f"{queued} frames are not yet in" if queued else f"something still moved in the last {quiet} clocks"
            raise CardError(f"not idle after {limit} clocks, at cycle {self.cycle}: {what}")

    def run_until_output(self, *, limit: int) -> bool:
        """Run until a whole frame or event record is there to be taken, at once if one is; False after `limit` clocks without."""
        return self._advance(self._library.card_run_until_output, limit)

    def speed(self) -> float:
        """Clocks simulated each second of wall time, over all runs so far."""
        return self._clocks / self._seconds if self._seconds else 0.0

    # Wires

    def send(self, frame: bytes, *, at: int | None = None, fcs: int | None = None) -> int:
        """Queue a frame for the exchange port and return its number, counted from 0.

        Frames start in the order of `at`, equal ones in the order of these calls.

        Parameters
        ----------
        frame : bytes
            Destination address to last payload byte; the wire adds preamble, padding to 60 bytes and check sequence.
        at : int, optional
            First cycle its preamble may start; at once where it is left out or gone by. The gap of 12 bytes is
            always kept, on XGMII on average.
        fcs : int, optional
            Check sequence to send in place of the right one.
        """
        _check("frame length", len(frame), 1, LONGEST_FRAME)
        _check("at", at or 0, 0, (1 << 63) - 1)
        _check("fcs", fcs or 0, 0, 0xFFFFFFFF)
        return int(self._library.card_send(self._open, bytes(frame), len(frame), at or 0, -1 if fcs is None else fcs))

    def frames(self) -> list[OutFrame]:
        """Frames that left since the last call."""
        records, raw = np.frombuffer(self._take(_SENT), _FRAME), self._take(_SENT_BYTES)
        frames, at = [], 0
        for start, wire, end, size, flags in records.tolist():
            data, fcs = raw[at : at + max(0, size - 4)], raw[at + max(0, size - 4) : at + size]
            frames.append(
                OutFrame(data, int.from_bytes(fcs, "little"), bool(flags & _FCS_OK), start, wire, end, bool(flags & _MALFORMED))
            )
            at += size
        return frames

    def received_at(self) -> npt.NDArray[np.void]:
        """Frames that ended at the MAC's receive output since the last call, as an array of `RECEIVED`."""
        return np.frombuffer(self._take(_RECEIVED), RECEIVED)

    def events_raw(self) -> bytes:
        """Whole event records made since the last call, one behind the other, in the layouts of `hdl.spec.events`."""
        return self._take(_EVENTS)

    def events(self) -> list[dict[str, Value]]:
        """Event records made since the last call, decoded."""
        return list(decode(self.events_raw()))

    # Registers

    def write(self, block: str, name: str, value: int) -> None:
        """Write a register, a clock a word, the lowest word first."""
        place, register = self._register(block, name)
        if register.access not in (Access.RW, Access.SET, Access.LOAD):
            raise CardError(f"{block}.{name} cannot be set, it is {register.access.value}")
        _check(f"{block}.{name}", value, 0, (1 << register.bits) - 1)
        self._write(place.address, [value >> 32 * word & 0xFFFFFFFF for word in range(register.words)])

    def pulse(self, block: str, name: str) -> None:
        """Do once what the register stands for."""
        place, register = self._register(block, name)
        if register.access is not Access.PULSE:
            raise CardError(f"{block}.{name} is not a pulse, it is {register.access.value}")
        self._write(place.address, [1])

    def read(self, block: str, name: str) -> int:
        """Read a register; one wider than a word is of one moment."""
        place, register = self._register(block, name)
        return self._read(place.address, register.words)

    def write_row(self, block: str, table: str, row: int, **columns: int) -> None:
        """Write one row of a table; every column must be given."""
        place, entry = self._table(block, table)
        if entry.access not in (Access.RW, Access.SET):
            raise CardError(f"{block}.{table} cannot be set, it is {entry.access.value}")
        _check(f"{block}.{table}: row", row, 0, place.rows - 1)
        try:
            words = entry.pack(**columns)
        except ValueError as error:
            raise CardError(f"{block}.{error}") from None
        self._write(place.address + row * entry.stride, words)

    def read_rows(self, block: str, table: str) -> dict[str, int]:
        """Counts of a table of labelled counters, by label."""
        place, entry = self._table(block, table)
        if entry.access is not Access.RO or not entry.labels:
            raise CardError(f"{block}.{table} is not a table of labelled counters")
        return {label: self._read(place.address + row * entry.stride, entry.words) for row, label in enumerate(entry.labels)}

    # Ways down

    @property
    def _open(self) -> int:
        if self._handle is None:
            raise CardError("the card is closed")
        return self._handle

    def _entry(self, block: str, name: str) -> Place:
        try:
            return self._map[block, name]
        except KeyError:
            raise CardError(f"{block}.{name} is not in the register map") from None

    def _register(self, block: str, name: str) -> tuple[Place, Register]:
        place = self._entry(block, name)
        if not isinstance(place.entry, Register):
            raise CardError(f"{block}.{name} is a table")
        return place, place.entry

    def _table(self, block: str, name: str) -> tuple[Place, Table]:
        place = self._entry(block, name)
        if not isinstance(place.entry, Table):
            raise CardError(f"{block}.{name} is not a table")
        return place, place.entry

    def _write(self, address: int, words: list[int]) -> None:
        self._good(self._library.card_write(self._open, address, (ctypes.c_uint32 * len(words))(*words), len(words)))

    def _read(self, address: int, count: int) -> int:
        words = (ctypes.c_uint32 * count)()
        if self._good(self._library.card_read(self._open, address, words, count, READ_LIMIT)) == _LIMIT:
            raise CardError(f"no answer to a read at word address 0x{address:05x} within {READ_LIMIT} clocks")
        return sum(word << 32 * at for at, word in enumerate(words))

    def _take(self, channel: int) -> bytes:
        size = ctypes.c_uint64()
        raw = ctypes.string_at(self._library.card_peek(self._open, channel, size), size.value)
        self._library.card_drop(self._open, channel)
        return raw

    def _advance(self, function: Callable[..., int], cycles: int, *further: int) -> bool:
        """Run for so many clocks in chunks, so that Ctrl-C is heard; whether what the function waits for was reached."""
        _check("clocks", cycles, 0, 1 << 62)
        begin, clock = self.cycle, time.perf_counter()
        result = self._good(function(self._open, min(cycles, _CHUNK), *further))
        while result == _LIMIT and self.cycle < begin + cycles:
            result = self._good(function(self._open, min(begin + cycles - self.cycle, _CHUNK), *further))
        self._seconds += time.perf_counter() - clock
        self._clocks += self.cycle - begin
        return result == _REACHED

    def _good(self, result: int) -> int:
        if result == _FAULT:
            raise CardError(self._library.card_fault(self._open).decode())
        return result


def _check(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise CardError(f"{what}: {value} was given, allowed are {low} to {high}")


def _wave_file(wave: Path | None) -> bytes | None:
    if wave is None:
        return None
    try:
        wave.parent.mkdir(parents=True, exist_ok=True)
        wave.touch()
    except OSError as error:
        raise CardError(f"wave file {wave} cannot be written: {error}") from None
    return str(wave).encode()


def _bind(path: Path) -> ctypes.CDLL:
    """Load the library and give its functions their types."""
    library = ctypes.CDLL(str(path))
    card, number, count, data = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_char_p
    words = ctypes.POINTER(ctypes.c_uint32)
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "card_open": (card, [data, count]),
        "card_close": (None, [card]),
        "card_cycle": (number, [card]),
        "card_outstanding": (number, [card]),
        "card_fault": (data, [card]),
        "card_send": (number, [card, data, count, number, ctypes.c_int64]),
        "card_run": (ctypes.c_int, [card, number]),
        "card_run_until_idle": (ctypes.c_int, [card, number, number]),
        "card_run_until_output": (ctypes.c_int, [card, number]),
        "card_write": (ctypes.c_int, [card, count, words, count]),
        "card_read": (ctypes.c_int, [card, count, words, count, number]),
        "card_peek": (card, [card, count, ctypes.POINTER(number)]),
        "card_drop": (None, [card, count]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
