"""The twin, judged by itch-book on what is real, and by the gateware on everything that must not happen."""

from __future__ import annotations

import dataclasses
import random
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from itch_book import Session

from hdl.book.book import ALL_SLOTS
from hdl.spec import itch
from hdl.spec.geometry import PRESETS, Geometry
from hdl.spec.reasons import Drop, Integrity, IntegrityCause
from sim.twin import FramingError, Receiver, Transition, Twin
from tests.hdl.book.flows import Flow, Maker, add, cancel, delete, execute, replace
from tests.hdl.book.player import decode, play, step
from tests.host.records import framed
from tests.support.data import AAPL, ITCH_TYPES, ITCH_WIRE, blocks, captures, frames, records, require, udp_payload

Row = tuple[int, ...]
TINY = Geometry(slots=4, order_rows=64, order_ways=4, ladder_ticks=64, book_queue=16)
SCARCE = Geometry(slots=2, order_rows=16, order_ways=1, ladder_ticks=128, book_queue=16)
GAP = 500
"""Clocks from message to message in which every window of these geometries is filled."""


def judged(raw: bytes) -> list[Row]:
    """Message, timestamp, locate, bid price and shares, offer price and shares, as itch-book has them."""
    session = Session(["bbo"], 1, [])
    session.feed(raw)
    table = session.take_bbo()
    columns = ("ts", "locate", "bid_px", "bid_sz", "ask_px", "ask_sz")
    # Its numbers count from 1, the twin's from 0.
    return list(zip((table["seq"] - 1).tolist(), *(table[name].tolist() for name in columns), strict=True))


def plain(rows: np.ndarray, locates: dict[int, int] | None = None) -> list[Row]:
    """The twin's rows in the same form; slots as they are where no locates are given."""
    names = ("sequence", "timestamp", "slot", "bid_price", "bid_shares", "ask_price", "ask_shares")
    columns = [rows[name].tolist() for name in names]
    if locates is not None:
        columns[2] = [locates[slot] for slot in columns[2]]
    return list(zip(*columns, strict=True))


def everything(raw: bytes) -> tuple[Twin, dict[int, int]]:
    """A twin that watches every locate of a file, and the locates by slot."""
    found, at = set(), 0
    while at < len(raw):
        (size,) = struct.unpack_from(">H", raw, at)
        found.add(struct.unpack_from(">H", raw, at + 3)[0])
        at += 2 + size
    slots = dict(enumerate(sorted(found)))
    return Twin(PRESETS["large"], bindings={locate: slot for slot, locate in slots.items()}), slots


@pytest.mark.parametrize("preset", ["versa", "large"])
@pytest.mark.parametrize("chunk", [1_000_000, 4099, 7])
def test_real_morning_is_the_book_of_itch_book_in_whatever_pieces_it_comes(preset: str, chunk: int) -> None:
    raw = require(AAPL).read_bytes()
    twin = Twin(PRESETS[preset], bindings={13: 5})
    rows = np.concatenate([twin.feed(raw[at : at + chunk]) for at in range(0, len(raw), chunk)])
    twin.finish()
    assert plain(rows, {5: 13}) == judged(raw)
    assert len(rows) == 2792
    assert (twin.live_orders, twin.table_peak, twin.messages, twin.position) == (215, 216, 10_000, len(raw))
    assert twin.messages_by_type == Counter(message[:1].decode() for message in records(require(AAPL))) | {
        code: 0 for code, count in twin.messages_by_type.items() if not count
    }
    assert twin.transitions == [] and set(twin.integrity) == {Integrity.EXACT}


@pytest.mark.parametrize("folder", [ITCH_WIRE, ITCH_TYPES])
def test_real_captures_packet_by_packet(folder: str) -> None:
    for path in captures(folder):
        payloads = [udp_payload(frame) for frame in frames(path)]
        raw = framed([message for payload in payloads for message in blocks(payload)])
        twin, locates = everything(raw)
        receiver, parts = Receiver(twin, payloads[0][:10]), []
        for payload in payloads:
            # Numbers were taken out of some captures.
            parts.append(receiver.packet(payload[:10] + struct.pack(">Q", twin.sequence) + payload[18:]))
        assert plain(np.concatenate(parts), locates) == judged(raw)
        assert not receiver.drops and not any(twin.drops.values())


# The gateware's word.


def located(raw: bytes, slot: int) -> bytes:
    """The message with a locate of its slot's own."""
    return raw[:1] + struct.pack(">H", slot + 1)[: len(raw) - 1] + raw[3:]


def on_the_twin(geometry: Geometry, flow: Flow, *, exact_each: bool) -> tuple[Twin, list[Row]]:
    twin = Twin(geometry, bindings={slot + 1: slot for slot in range(geometry.slots)}, next_sequence=1)
    twin.declare_exact()
    parts = []
    for slot, raw in flow:
        if exact_each:
            twin.declare_exact()
        parts.append(twin.feed(framed([located(raw, slot)])))
    names = ("sequence", "slot", "bid_price", "bid_shares", "ask_price", "ask_shares")
    rows = np.concatenate(parts)
    return twin, list(zip(*(rows[name].tolist() for name in names), strict=True))


def agree(geometry: Geometry, flow: Flow, folder: Path, *, exact_each: bool = True) -> Counter[str]:
    """Play a flow on the Verilated book and on the twin; causes of lost integrity, by name."""
    steps = [step(1, declare_exact=1)]
    for number, (slot, raw) in enumerate(flow, 1):
        steps += [step(GAP, declare_exact=1)] if exact_each else []
        steps.append(step(2 if exact_each else GAP, decode(raw, geometry, slot=slot, number=number)))
    seen = play(geometry, steps, folder, settle=3000)
    twin, rows = on_the_twin(geometry, flow, exact_each=exact_each)
    assert rows == seen.rows
    expected = [
        Transition(each["slot"], Integrity(each["integrity"]), IntegrityCause(each["cause"]), each["sequence"], each["order_ref"])
        for each in seen.changes
    ]
    assert twin.transitions == expected
    assert (twin.live_orders, twin.table_peak) == (seen.live, seen.peak)
    assert twin.integrity == [Integrity(state) for state in seen.integrity]
    return Counter(each.cause.name for each in expected)


@pytest.mark.parametrize(("geometry", "most"), [(TINY, 60), (SCARCE, 60)], ids=["tiny", "scarce"])
def test_broken_rules_end_as_in_the_gateware(geometry: Geometry, most: int, tmp_path: Path) -> None:
    """Random flow, windows that move and run empty, and every seventh message against the rules."""
    flow = list(Maker(seed=11, slots=geometry.slots, most=most, faults=True).messages(900))
    causes = agree(geometry, flow, tmp_path)
    for cause in ("UNKNOWN_ORDER", "DUPLICATE_ORDER", "OVERFILL", "OFF_TICK", "ZERO_SHARES"):
        assert causes[cause] > 5, cause
    assert (causes["TABLE_FULL"] > 5) == (geometry is SCARCE)


def test_a_dead_slot_goes_on(tmp_path: Path) -> None:
    flow = list(Maker(seed=5, slots=TINY.slots, most=60, faults=True).messages(300))
    causes = agree(TINY, flow, tmp_path, exact_each=False)
    assert causes.total() == 1 + TINY.slots


@pytest.mark.parametrize("exact_each", [True, False])
def test_malformed_messages_end_as_in_the_gateware(exact_each: bool, tmp_path: Path) -> None:
    """Of every length, among those of a random flow with errors of its own; too short ones are of nobody knows whom."""
    rng, flow = random.Random(8), []
    for slot, raw in Maker(seed=12, slots=TINY.slots, most=60, faults=exact_each).messages(150):
        flow.append((slot, raw))
        if rng.random() < 0.3:
            size = rng.choice((*range(1, 16), len(raw) - 1, len(raw) + 1, len(raw) + 20))
            flow.append((rng.randrange(TINY.slots), (raw + bytes(20))[:size]))
    causes = agree(TINY, flow, tmp_path, exact_each=exact_each)
    assert causes["MALFORMED"] > 20 if exact_each else causes == {"RELOADED": 1, "MALFORMED": 1 + TINY.slots}


def test_shares_beyond_a_level(tmp_path: Path) -> None:
    """Inside the window an order that overflows its level is refused; below it none is seen, until the window comes to them."""
    most = 0xFFFFFFFF
    low, top = 1_000_000, 2_000_000
    flow: Flow = [
        (1, add(1, "B", most - 5, top)),
        (1, add(2, "B", 6, top)),
        (1, replace(1, 3, 5, top)),
        (1, add(4, "B", most, low)),
        (1, add(5, "B", most, low)),
        (1, add(6, "B", 3, low - 100)),
        (1, replace(3, 7, 9, top + 200)),
        (1, delete(7)),
        (1, execute(6, 1)),
        (1, add(8, "B", 1, top)),
        (1, cancel(8, 1)),
    ]
    assert agree(TINY, flow, tmp_path)["LEVEL_OVERFLOW"] >= 2


references = st.integers(1, 12)
prices = st.sampled_from((1, 9_999, 10_000, 10_001, 10_100, 20_000, 5_000_000, 5_000_100, 0xFFFFFFFF, 4_294_967_200))
shares = st.sampled_from((0, 1, 7, 100, 0x7FFFFFFF, 0xFFFFFFFF))
messages = st.one_of(
    st.builds(add, references, st.sampled_from("BS"), shares, prices),
    st.builds(execute, references, shares),
    st.builds(cancel, references, shares),
    st.builds(delete, references),
    st.builds(replace, references, references, shares, prices),
)


@settings(max_examples=3, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(flow=st.lists(st.tuples(st.integers(0, 1), messages), min_size=100, max_size=200))
def test_whatever_comes(flow: Flow, tmp_path: Path) -> None:
    """Few references and prices, so that everything meets everything."""
    agree(SCARCE, flow, tmp_path)


# Framing.


def test_a_wrong_length_names_its_byte_and_loses_nothing_before_it() -> None:
    raw = framed(list(records(require(AAPL)))[:100])
    twin = Twin(PRESETS["versa"], bindings={13: 0}, longest=1420)
    twin.feed(raw)
    with pytest.raises(FramingError, match=f"byte {len(raw) + 40}: record length 1421: allowed are 1 to 1420"):
        twin.feed(framed([add(1, "B", 1, 100) + b"\0\0"]) + struct.pack(">H", 1421))
    assert (twin.messages, twin.drops[Drop.ITCH_LENGTH], twin.first_odd) == (100, 1, len(raw))


def test_a_cut_record_is_said() -> None:
    twin = Twin(PRESETS["versa"])
    twin.feed(framed([delete(1)]) + b"\0\x13D")
    with pytest.raises(FramingError, match="byte 21: the file ends inside a record: 1 of 19 bytes are there"):
        twin.finish()
    twin = Twin(PRESETS["versa"])
    twin.feed(b"\0")
    with pytest.raises(FramingError, match="byte 0: the file ends inside a record's length"):
        twin.finish()


def test_types_and_lengths_that_are_not_itch_are_counted() -> None:
    twin = Twin(PRESETS["versa"], bindings={1: 0})
    twin.feed(framed([b"\xff", b"A", delete(1) + b"x", add(1, "B", 5, 100), b"Z" * 36]))
    assert twin.drops == {Drop.ITCH_TYPE: 2, Drop.ITCH_LENGTH: 2}
    assert (twin.messages, twin.live_orders, twin.first_odd, twin.sequence) == (1, 1, 0, 5)
    assert twin.transitions == [
        Transition(ALL_SLOTS, Integrity.SUSPECT, IntegrityCause.MALFORMED),
        Transition(0, Integrity.DEAD, IntegrityCause.MALFORMED, 2),
    ]


@pytest.mark.parametrize("kind", sorted(itch.MESSAGES))
def test_only_what_the_book_looks_at_and_is_watched_can_spoil_it(kind: str) -> None:
    twin = Twin(PRESETS["versa"], bindings={1: 3})
    odd = [kind.encode() + struct.pack(">H", locate) + bytes(itch.MESSAGES[kind].size - 4) for locate in (2, 1)]
    twin.feed(framed(odd))
    assert twin.drops[Drop.ITCH_LENGTH] == 2
    assert [(one.slot, one.sequence) for one in twin.transitions] == ([(3, 1)] if kind in "AFECXDUP" else [])


def test_a_type_that_is_new_spoils_nothing() -> None:
    twin = Twin(PRESETS["versa"], bindings={1: 3})
    twin.feed(framed([b"Z" + struct.pack(">H", 1) + bytes(8), b"z" * 40]))
    assert twin.drops[Drop.ITCH_TYPE] == 2 and not twin.transitions


def test_nothing_behind_the_end_of_session() -> None:
    twin = Twin(PRESETS["versa"], bindings={1: 0})
    twin.feed(framed([add(1, "B", 5, 100)]) + b"\0\0" + framed([add(2, "B", 5, 100)]))
    twin.finish()
    assert twin.ended and twin.live_orders == 1


def test_what_is_not_watched_is_counted_and_changes_nothing() -> None:
    twin = Twin(PRESETS["versa"], bindings={2: 0})
    assert len(twin.feed(framed([add(1, "B", 5, 100), delete(1)]))) == 0
    assert (twin.unwatched, twin.live_orders, twin.messages) == (2, 0, 2)


@pytest.mark.parametrize(("slot", "locate", "why"), [(32, 1, "slot: 32"), (0, 65536, "locate: 65536")])
def test_bindings_that_cannot_be(slot: int, locate: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Twin(PRESETS["versa"], bindings={locate: slot})


# Packets.


def packet(sequence: int, *messages: bytes, session: bytes = b"SESSION001", count: int | None = None) -> bytes:
    return session + struct.pack(">QH", sequence, len(messages) if count is None else count) + framed(list(messages))


def receiver() -> tuple[Twin, Receiver]:
    twin = Twin(TINY, bindings={1: 0}, next_sequence=10)
    return twin, Receiver(twin, b"SESSION001")


def test_gaps_duplicates_and_bad_packets() -> None:
    twin, line = receiver()
    orders = [add(number, "B", number, 10_000 + 100 * number) for number in range(1, 9)]
    assert line.packet(packet(10, *orders[:2]))["sequence"].tolist() == [10, 11]
    assert len(line.packet(packet(10, *orders[:2]))) == 0
    assert line.packet(packet(11, *orders[1:3]))["sequence"].tolist() == [12]
    assert line.packet(packet(20, orders[3]))["sequence"].tolist() == [20]
    line.packet(packet(30, count=0))
    # Of a bad packet only what was given at once was used: not what lies ahead and waits for the verdict.
    line.packet(packet(31, orders[4]), ok=False)
    assert (line.gaps, line.lost_after_use) == ([(13, 20), (21, 30)], 0)
    line.packet(packet(30, orders[4]), ok=False)
    line.packet(packet(30, orders[5], session=b"SESSION002"))
    line.packet(packet(30, orders[5])[:-1])
    line.packet(packet(30, orders[5]) + b"!")
    line.packet(packet(31, orders[6], count=2))
    line.packet(packet(32, b"", orders[7], b""))
    line.packet(b"SESSION001")
    assert line.gaps == [(13, 20), (21, 30)]
    assert line.drops == {
        Drop.DUPLICATE: 1, Drop.SESSION: 1, Drop.BLOCK_LENGTH: 3, Drop.MOLD_HEADER: 1,
    }  # fmt: skip
    assert (line.heartbeats, line.lost_after_use, twin.sequence) == (1, 1, 35)
    assert twin.transitions == [Transition(ALL_SLOTS, Integrity.SUSPECT, IntegrityCause.GAP)]


@pytest.mark.parametrize(("width", "given", "why"), [(1, 3, Drop.ITCH_TYPE), (8, 1, Drop.BLOCK_LENGTH)])
def test_a_block_shorter_than_a_beat_ends_the_packet(width: int, given: int, why: Drop) -> None:
    twin = Twin(dataclasses.replace(TINY, width=width), bindings={1: 0}, next_sequence=10)
    line = Receiver(twin, b"SESSION001")
    line.packet(packet(10, add(1, "B", 5, 10_000), b"?" * 7, add(2, "B", 5, 10_000)))
    assert (twin.sequence, twin.live_orders) == (10 + given, given - 1 or 1)
    assert (line.drops if why is Drop.BLOCK_LENGTH else twin.drops)[why] == 1
