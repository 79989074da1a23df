"""What goes onto the wire, frame by frame, and which message of the file each number on the feed stands for."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from itertools import chain, islice

from hdl.spec import moldudp64
from hdl.spec.network import FCS_BYTES, INTERFRAME_GAP, IPV4, MINIMUM_FRAME, PREAMBLE, UDP
from host.framing import Feed, Framer, pack_messages, session_text
from host.inputs.capture import Captured, MoldPacket, Other, destination, mold_packet
from host.inputs.itch_file import SIZES
from host.inputs.source import InputError
from sim.checksum import internet_checksum

_SEARCHED_FRAMES = 100_000
"""Frames looked at for the first MoldUDP64 packet."""


@dataclass(frozen=True)
class Stimulus:
    """One frame for the exchange port.

    Parameters
    ----------
    frame : bytes
        Without check sequence.
    messages : tuple of bytes
        The feed's messages in it, in order; empty in frames that are not the feed's.
    sequence : int
        Number of the first of them.
    lost : bool
        It was sent and does not arrive.
    before : bool
        It was sent before anybody here listened.
    """

    frame: bytes
    messages: tuple[bytes, ...] = ()
    sequence: int = 0
    lost: bool = False
    before: bool = False


def from_messages(messages: Iterable[bytes], feed: Feed, *, pack: int) -> Iterator[Stimulus]:
    """Frames for the messages of an ITCH file, at most `pack` in each."""
    framer = Framer(feed)
    for group in pack_messages(messages, most=pack):
        sequence = framer.next_sequence
        yield Stimulus(framer.packet(group), tuple(group), sequence)


@dataclass(frozen=True)
class Losses:
    """Which packets do not arrive.

    Parameters
    ----------
    rate : float
        Part of them, by chance.
    seed : int
        Of that chance.
    first, last : int
        Those with a message from the one to the other, counted from 0; none where ``last`` is the smaller one.
    """

    rate: float = 0.0
    seed: int = 1
    first: int = 0
    last: int = -1


def lossy(stimuli: Iterable[Stimulus], feed: Feed, losses: Losses) -> Iterator[Stimulus]:
    """The same with some of the feed's packets lost, and a heartbeat behind the last: it shows a loss at the end."""
    rng, framer, place = random.Random(losses.seed), Framer(feed), 0
    for stimulus in stimuli:
        begin, place = place, place + len(stimulus.messages)
        framer.next_sequence = max(framer.next_sequence, stimulus.sequence + len(stimulus.messages))
        hit = begin <= losses.last and losses.first < place
        yield replace(stimulus, lost=begin < place and (hit or rng.random() < losses.rate))
    yield Stimulus(framer.packet([]))


def from_the_middle(stimuli: Iterable[Stimulus], start: int) -> Iterator[Stimulus]:
    """The same, but nobody listens before the packet that holds the message `start`, counted from 0."""
    place = 0
    for stimulus in stimuli:
        place += len(stimulus.messages)
        yield replace(stimulus, before=place <= start)


@dataclass(frozen=True)
class Wanted:
    """What is known of a capture's feed beforehand; None is taken from its first MoldUDP64 packet.

    Parameters
    ----------
    address, port : int or None
        IPv4 destination and UDP port.
    session : bytes or None
        MoldUDP64 session.
    next_sequence : int or None
        First number to be expected.
    line_b : tuple of (int, int) or None
        IPv4 destination and UDP port of the second line; None: there is none.
    """

    address: int | None = None
    port: int | None = None
    session: bytes | None = None
    next_sequence: int | None = None
    line_b: tuple[int, int] | None = None

    def fits(self, packet: MoldPacket) -> bool:
        """Whether a packet can be of the feed's line A."""
        return (
            self.line_b != (packet.address, packet.port)
            and self.address in (None, packet.address)
            and self.port in (None, packet.port)
            and self.session in (None, packet.session)
            and packet.plausible
        )


@dataclass
class _Sighting:
    """Frames that could not be used for one reason: which was the first, and how many."""

    first: int
    why: str
    count: int = 0


class Capture:
    """Frames of a capture, and the feed among them.

    A capture whose first feed packet bears the number 0, which no exchange sends, had its numbers taken out: its packets are
    given new ones from 1 on and right checksums, and nothing else of them is changed.

    Parameters
    ----------
    frames : iterator of Captured
        The capture.
    wanted : Wanted
        What is known of the feed.

    Attributes
    ----------
    feed : Feed
        The feed.
    form : str
        What the capture is: ``pcap``, with what was done to its frames.
    renumbered : bool
        The packets are given new numbers.
    findings : list of str
        What of the feed the capture holds and nobody can use, of the frames given out so far.
    other_feeds : list of str
        Other MoldUDP64 feeds in them.

    Raises
    ------
    InputError
        No such packet among the first frames.
    """

    def __init__(self, frames: Iterator[Captured], wanted: Wanted) -> None:
        head: list[Captured] = []
        first: MoldPacket | None = None
        earlier: list[MoldPacket] = []
        """Line B's, ahead of line A's first."""
        for captured in islice(frames, _SEARCHED_FRAMES):
            head.append(captured)
            packet = mold_packet(captured.data)
            if isinstance(packet, MoldPacket) and wanted.fits(packet):
                first = packet
                break
            if isinstance(packet, MoldPacket) and (packet.address, packet.port) == wanted.line_b:
                earlier.append(packet)
        if first is None:
            what = "no MoldUDP64 packet" if wanted == Wanted() else "no MoldUDP64 packet of the feed asked for"
            where = f"among the first {len(head)} frames{_what_there_is(head)}" if head else "in a capture without a frame"
            raise InputError(f"{what} {where}")
        self._frames = chain(head, frames)
        self.renumbered = first.sequence == 0 and wanted.next_sequence is None
        self.form = "pcap" + ", reframed" * head[-1].reframed + ", renumbered" * self.renumbered
        numbers = [first.sequence, *(packet.sequence for packet in earlier if packet.session == first.session)]
        number = wanted.next_sequence if wanted.next_sequence is not None else min(numbers)
        self.feed = Feed(first.address, first.port, first.session, 1 if self.renumbered else number)
        if wanted.line_b is not None:
            if self.renumbered:
                raise InputError("the packets' numbers were taken out, so line B's copies cannot be told: leave line B away")
            self.feed = replace(self.feed, address_b=wanted.line_b[0], port_b=wanted.line_b[1])
        self._session_chosen = wanted.session is not None
        self._unused: dict[str, _Sighting] = {}
        self._others: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Stimulus]:
        feed, number = self.feed, 1
        for place, captured in enumerate(self._frames, 1):
            packet = mold_packet(captured.data)
            spoilt = captured.cut and not (isinstance(packet, MoldPacket) and packet.whole)
            if spoilt or packet is Other.FRAGMENT:
                self._note(place, captured, packet)
            if isinstance(packet, Other):
                yield Stimulus(captured.data)
            elif (packet.address, packet.port) not in feed.lines or packet.session != feed.session:
                self._pass_over(place, packet)
                yield Stimulus(captured.data)
            else:
                if any(SIZES.get(message[:1]) != len(message) for message in packet.messages):
                    kind = "packets with messages that are not of ITCH 5.0"
                    self._unused_one(place, kind, "their type is unknown, or their length not their type's")
                if self.renumbered:
                    yield Stimulus(_renumbered(captured.data, packet, number), packet.messages, number)
                    number += len(packet.messages)
                else:
                    yield Stimulus(captured.data, packet.messages, packet.sequence)

    def _note(self, place: int, captured: Captured, packet: MoldPacket | Other) -> None:
        if destination(captured.data) not in {address for address, _ in self.feed.lines}:
            return
        if packet is Other.FRAGMENT:
            self._unused_one(place, packet.value, "the card takes whole ones only")
        else:
            self._unused_one(
                place, "frames captured cut", f"{captured.cut} bytes are missing; tcpdump -s 0 captures whole frames"
            )

    def _pass_over(self, place: int, packet: MoldPacket) -> None:
        if not packet.plausible:
            return
        if (packet.address, packet.port) in self.feed.lines and not self._session_chosen:
            kind = f"packets of another session, {session_text(packet.session)},"
            self._unused_one(place, kind, "they were not used; --session chooses which are")
        else:
            self._others[_named(packet)] += 1

    def _unused_one(self, place: int, kind: str, why: str) -> None:
        self._unused.setdefault(kind, _Sighting(place, why)).count += 1

    @property
    def findings(self) -> list[str]:
        return [
            f"input: {kind} on the feed's lines: {seen.count:,}, the first is frame {seen.first}: {seen.why}"
            for kind, seen in self._unused.items()
        ]

    @property
    def other_feeds(self) -> list[str]:
        return [_counted(name, count) for name, count in self._others.items()]


def _named(packet: MoldPacket) -> str:
    return f"{IPv4Address(packet.address)}:{packet.port} session {session_text(packet.session)}"


def _counted(name: str, count: int) -> str:
    return f"{name} ({count:,} packet{'s' * (count != 1)})"


def _what_there_is(head: list[Captured]) -> str:
    """What frames are in which no feed was found."""
    packets = [(captured, mold_packet(captured.data)) for captured in head]
    feeds = Counter(_named(packet) for _, packet in packets if isinstance(packet, MoldPacket) and packet.plausible)
    if feeds:
        return "; there are " + ", ".join(_counted(name, count) for name, count in feeds.items())
    kinds = Counter(
        "frames captured cut" if captured.cut else packet.value if isinstance(packet, Other) else "UDP, but not MoldUDP64"
        for captured, packet in packets
    )
    return "".join(f"{', ' if number else ': '}{count:,} {kind}" for number, (kind, count) in enumerate(kinds.items()))


def _renumbered(frame: bytes, packet: MoldPacket, number: int) -> bytes:
    raw = bytearray(frame)
    at = packet.offset + moldudp64.HEADER.offset("sequence_number")
    raw[at : at + 8] = number.to_bytes(8, "big")
    udp_checksum = packet.offset - UDP.size + UDP.offset("checksum")
    raw[udp_checksum : udp_checksum + 2] = b"\0\0"
    ip = slice(packet.ip_offset, packet.offset - UDP.size)
    checksum = packet.ip_offset + IPV4.offset("header_checksum")
    raw[checksum : checksum + 2] = b"\0\0"
    raw[checksum : checksum + 2] = internet_checksum(bytes(raw[ip])).to_bytes(2, "big")
    return bytes(raw)


class Index:
    """Finds a message's place in the file by its number on the feed.

    Follows the receiver's rule: a number counts where it is first seen at or above the one expected.

    Parameters
    ----------
    next_sequence : int
        Number expected first.
    """

    def __init__(self, next_sequence: int) -> None:
        self._expected = next_sequence
        self._starts: list[int] = []
        self._places: list[int] = []
        self.records = 0
        """Messages of the file so far."""

    @property
    def next_sequence(self) -> int:
        """The number behind the highest so far."""
        return self._expected

    def add(self, stimulus: Stimulus) -> tuple[bytes, ...]:
        """Take note of a frame that is going out, and give the messages in it that were not seen before."""
        count = len(stimulus.messages)
        end = stimulus.sequence + count
        fresh: tuple[bytes, ...] = ()
        if end > self._expected:
            start = max(stimulus.sequence, self._expected)
            place = self.records + start - stimulus.sequence
            # Runs that go on as they were need no entry, so an ITCH file of any length takes one.
            if not self._starts or start - self._starts[-1] != place - self._places[-1]:
                self._starts.append(start)
                self._places.append(place)
            self._expected = end
            fresh = stimulus.messages[start - stimulus.sequence :]
        self.records += count
        return fresh

    def __getitem__(self, sequence: int) -> int:
        """0-based number in the file of the message that bears `sequence`."""
        run = bisect_right(self._starts, sequence) - 1
        if run < 0:
            raise KeyError(sequence)
        return self._places[run] + sequence - self._starts[run]


def wire_cycles(frame: bytes) -> int:
    """Clocks a frame takes on the wire with preamble, check sequence and the gap behind it, at one byte a clock.

    A replay keeps to that at eight bytes a clock too: records of every change find room then, which at line rate they do not.
    """
    return len(PREAMBLE) + max(len(frame), MINIMUM_FRAME) + FCS_BYTES + INTERFRAME_GAP
