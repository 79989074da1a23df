"""A run of market data through the twin instead of the gateware: the same rows, without clocks and without trading."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from hdl.spec import events, network
from hdl.spec.geometry import Geometry
from hdl.spec.network import ETHERNET, IPV4, UDP, VLAN_TAG
from hdl.spec.reasons import Drop, IntegrityCause
from host.config import Configuration
from host.framing import LARGEST_PACKET, Feed
from host.inputs.itch_file import LONGEST_RECORD, unread_behind
from host.inputs.source import InputError, Source
from host.loader import Loader
from host.replay import Progress
from host.stimulus import Index, Stimulus
from host.summary import MarketSlot, TwinSummary, bad_packets, geometry_of
from host.tally import BBO_HEADER, Tally
from host.watch import Watch
from sim.checksum import internet_checksum
from sim.twin import FramingError, Receiver, Twin

NOT_MODELLED = (
    "frames that are not the feed's, by cause",
    "triggers, verdicts, orders and fills",
    "latency and clocks, and what a card loses that is too slow for its input",
)
CAUSES = (Drop.MOLD_HEADER, Drop.SESSION, Drop.BLOCK_LENGTH, Drop.DUPLICATE, Drop.ITCH_TYPE, Drop.ITCH_LENGTH)
"""Of what is not used the twin counts these."""
_CHUNK = 1 << 22
_LONGEST_FRAME = ETHERNET.size + VLAN_TAG.size + LARGEST_PACKET


class _Slots(Loader):
    """The part of loading that the twin has: slots and their locates."""

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._symbols = [""] * geometry.slots
        self.slots = {}
        self.twin: Twin | None = None

    def bind(self, slot: int, locate: int) -> None:
        assert self.twin is not None
        self.twin.bind(slot, locate)

    def unbind(self, slot: int) -> None:
        assert self.twin is not None
        self.twin.unbind(slot)

    def _name(self, slot: int, symbol: str) -> None:
        self._symbols[slot] = symbol


class TwinReplay:
    """One run.

    Parameters
    ----------
    geometry : Geometry
        Sizes of the card.
    configuration : Configuration
        The watch list; pairs and limits are not used.
    feed : Feed
        What is listened to.
    bbo : TextIO, optional
        Gets one CSV row a BBO change.
    hold_until_fcs : bool
        A packet that turns out bad is not used at all.
    keep_rows : bool
        Rows are kept in `rows`.

    Attributes
    ----------
    rows : list of numpy.ndarray
        BBO changes, `sim.twin.ROW`, as they came.
    """

    def __init__(
        self,
        geometry: Geometry,
        configuration: Configuration,
        feed: Feed,
        *,
        bbo: TextIO | None = None,
        hold_until_fcs: bool = False,
        keep_rows: bool = False,
    ) -> None:
        self._feed = feed
        self._bbo = bbo
        self._hold = hold_until_fcs
        self._keep = keep_rows
        self.rows: list[NDArray[Any]] = []
        self._loader = _Slots(geometry)
        self._watch = Watch(self._loader, configuration)
        self.twin = self._loader.twin = Twin(
            geometry, see=self._see, longest=LONGEST_RECORD, next_sequence=feed.next_sequence
        )
        self._loader.load_slots(configuration)
        self._receiver = Receiver(self.twin, feed.session)
        self._index = Index(feed.next_sequence)
        self._of_file = False
        self._changes = np.zeros(geometry.slots, np.int64)
        self._tally = Tally(self._index.__getitem__, self._loader.symbol, ())
        self._told = 0
        self._bad = 0
        self.progress = Progress()
        self.findings: list[str] = []
        self.seconds = 0.0
        """Wall time of the run."""
        if bbo is not None:
            bbo.write(BBO_HEADER + "\n")

    def run_file(self, source: Source) -> None:
        """Take the records of an ITCH file. What the input breaks off with becomes a finding."""
        self._of_file = True
        self._timed(self._records(source))

    def run_frames(self, stimuli: Iterator[Stimulus]) -> None:
        """Take the frames of a capture. What the input breaks off with becomes a finding."""
        self._timed(self._packets(stimuli))

    def _timed(self, batches: Iterator[NDArray[Any]]) -> None:
        started = time.perf_counter()
        try:
            for rows in batches:
                self._take(rows)
        except (InputError, FramingError) as error:
            self.findings.append(f"input: {error}; everything before it was processed")
        except KeyboardInterrupt:
            self.findings.append("interrupted: the file was not read to its end")
        finally:
            self.seconds = time.perf_counter() - started

    def _records(self, source: Source) -> Iterator[NDArray[Any]]:
        while not self.twin.ended and (raw := source.some(_CHUNK)):
            yield from self.twin.batches(raw)
            self.progress.records = self.records
            self.progress.show()
        self.twin.finish()
        behind = source.offset - self.twin.position - 2
        if self.twin.ended and any(raw[len(raw) - behind :]):
            self.findings.append(unread_behind(self.twin.position))

    def _packets(self, stimuli: Iterator[Stimulus]) -> Iterator[NDArray[Any]]:
        for stimulus in stimuli:
            for message in stimulus.messages:
                self._watch.see(message)
            self._index.add(stimulus)
            payload, ok = feed_payload(stimulus.frame, self._feed)
            self._bad += payload is not None and not ok
            if payload is not None and (ok or not self._hold):
                yield self._receiver.packet(payload, ok=ok)
            self.progress.frames += 1
            self.progress.records = self.records
            self.progress.show()

    def _see(self, message: bytes) -> bool:
        self._watch.see(message)
        return self._watch.settled(message)

    def _take(self, rows: NDArray[Any]) -> None:
        if self._keep:
            self.rows.append(rows)
        self._changes += np.bincount(rows["slot"], minlength=len(self._changes))
        if self._bbo is not None and len(rows):
            symbols, place = self._loader.symbol, self.place
            self._bbo.writelines(
                f"{place(sequence)},{time},{symbols(slot)},{bid},{bid_shares},{ask},{ask_shares}\n"
                for sequence, time, bid, bid_shares, ask, ask_shares, slot in rows.tolist()
            )

    def place(self, sequence: int) -> int:
        """0-based number in the file of the message with a feed number."""
        return sequence - self._feed.next_sequence if self._of_file else self._index[sequence]

    @property
    def records(self) -> int:
        """Messages of the file so far."""
        return self.twin.sequence - self._feed.next_sequence if self._of_file else self._index.records

    def symbol(self, slot: int) -> str:
        """Symbol of a slot."""
        return self._loader.symbol(slot)

    @property
    def drops(self) -> dict[str, int]:
        """What was not used, by those causes the twin knows."""
        counts: Counter[Drop] = self._receiver.drops + Counter(self.twin.drops)
        return {cause.name.lower(): counts[cause] for cause in CAUSES}

    def summary(self, *, file: str, form: str, engine: str) -> TwinSummary:
        """What the run did."""
        twin, receiver = self.twin, self._receiver
        self._fold_transitions()
        return TwinSummary(
            file=file,
            format=form,
            engine=engine,
            geometry=geometry_of(twin.geometry),
            feed=self._feed.described(),
            records=self.records,
            messages=twin.messages,
            messages_by_type=twin.messages_by_type,
            bbo_changes=int(self._changes.sum()),
            drops=self.drops,
            gaps=len(receiver.gaps),
            missing_messages=sum(behind - first for first, behind in receiver.gaps),
            lost_after_use=receiver.lost_after_use,
            heartbeats=receiver.heartbeats,
            unknown_references=self._tally.unknown_references,
            live_orders=twin.live_orders,
            table_peak=twin.table_peak,
            slots=tuple(self._slots()),
            unwatched_symbols=self._watch.unwatched,
            not_modelled=NOT_MODELLED,
            findings=(*self.findings, *self._found_wrong()),
        )

    def _fold_transitions(self) -> None:
        for number, one in enumerate(self.twin.transitions[self._told :], self._told):
            record = {"slot": one.slot, "integrity": one.integrity, "cause": one.cause}
            self._tally.add({"kind": events.INTEGRITY.code, "number": number, **record})
        self._told = len(self.twin.transitions)

    def _slots(self) -> Iterator[MarketSlot]:
        for symbol, slot in self._loader.slots.items():
            yield MarketSlot(
                slot=slot,
                symbol=symbol,
                locate=self._watch.locates[symbol],
                bbo_changes=int(self._changes[slot]),
                integrity=self.twin.integrity[slot].name.lower(),
                lowered_by=self._tally.lowered_by(slot),
            )

    def _found_wrong(self) -> Iterator[str]:
        """What the reader of a summary must not overlook."""
        yield from self._watch.conflicts
        if self._bad:
            yield bad_packets(self._bad)
        for symbol in self._watch.missing:
            yield f"{symbol}: no message of the file tells its locate; give it with --symbol {symbol}=LOCATE"
        for slot in self._slots():
            short = [cause for cause in _CAPACITY if slot.lowered_by.get(cause)]
            if short:
                yield f"{slot.symbol}: the card's book was too small ({', '.join(short)})"
        if self.records and not self.twin.messages:
            yield "the twin decoded no message: see what was not used, by cause"
        if self._of_file and self.twin.first_odd is not None:
            yield (
                f"input: {sum(self.twin.drops.values())} records are not of ITCH 5.0 (type unknown, or not of its type's "
                f"length), the first at byte {self.twin.first_odd}"
            )


_CAPACITY = tuple(cause.name.lower() for cause in (IntegrityCause.TABLE_FULL, IntegrityCause.LEVEL_OVERFLOW))


def feed_payload(frame: bytes, feed: Feed) -> tuple[bytes | None, bool]:
    """The feed's UDP payload in a frame (without check sequence), None where it does not pass `FrameFilter`, and whether its end
    finds it good: whole, of allowed length, its UDP checksum right."""
    ip = ETHERNET.size
    if _number(frame, ip - 2, 2) == network.ETHERTYPE_VLAN:
        ip += VLAN_TAG.size
    if _number(frame, ip - 2, 2) != network.ETHERTYPE_IPV4:
        return None, False
    version, words = divmod(_number(frame, ip, 1), 16)
    total = _number(frame, ip + IPV4.offset("total_length"), 2)
    udp = ip + 4 * words
    length = total - 4 * words
    shaped = version == 4 and 4 * words >= IPV4.size and internet_checksum(frame[ip:udp]) == 0
    whole_datagram = not _number(frame, ip + IPV4.offset("flags_fragment"), 2) & 0x3FFF
    ours = (
        _number(frame, ip + IPV4.offset("protocol"), 1) == network.PROTOCOL_UDP
        and (_number(frame, ip + IPV4.offset("destination"), 4), _number(frame, udp + UDP.offset("destination_port"), 2))
        in feed.lines
    )
    sized = length >= UDP.size and _number(frame, udp + UDP.offset("length"), 2) == length
    if not (shaped and whole_datagram and ours and sized):
        return None, False
    datagram = frame[udp : ip + total]
    pseudo = frame[ip + IPV4.offset("source") : ip + IPV4.size] + bytes([0, network.PROTOCOL_UDP]) + length.to_bytes(2, "big")
    unused = not _number(datagram, UDP.offset("checksum"), 2)
    ok = len(datagram) == length and len(frame) <= _LONGEST_FRAME and (unused or internet_checksum(pseudo + datagram) == 0)
    return datagram[UDP.size :], ok


def _number(raw: bytes, at: int, size: int) -> int:
    """A number in the frame, 0 where it is cut."""
    return int.from_bytes(raw[at : at + size], "big")
