"""Generated files: valid to itch-book, the same for a seed, and with the statistics they promise."""

from __future__ import annotations

import struct
from collections import Counter

import numpy as np
import pytest
from itch_book import Session

from hdl.spec.geometry import PRESETS, Geometry
from sim.generator import Traffic
from sim.twin import Twin
from tests.sim.test_twin import judged, plain
from tests.support.itch_judge import SIZES, decode

MESSAGES = 200_000


def made(**plan: int) -> bytes:
    return b"".join(Traffic(**plan).generate())


def split(raw: bytes) -> list[bytes]:
    messages, at = [], 0
    while at < len(raw):
        (size,) = struct.unpack_from(">H", raw, at)
        messages.append(raw[at + 2 : at + 2 + size])
        at += 2 + size
    assert at == len(raw)
    return messages


@pytest.fixture(scope="module")
def day() -> bytes:
    return made(messages=MESSAGES, seed=3)


@pytest.mark.soak
def test_twin_and_itch_book_agree_row_for_row(soak: bool) -> None:
    """In a soak five million messages."""
    messages = 5_000_000 if soak else MESSAGES
    day = made(messages=messages, seed=3)
    twin = Twin(PRESETS["large"], bindings={locate: locate - 1 for locate in range(1, 129)})
    rows = twin.feed(day)
    expected = judged(day)
    assert len(expected) > messages // 4
    assert plain(rows, {slot: slot + 1 for slot in range(128)}) == expected
    assert twin.transitions == [] and twin.messages == messages


def test_small_windows_are_rebuilt_and_nothing_changes(day: bytes) -> None:
    """64 ticks, with stub quotes far outside: windows move and run empty all the time."""
    geometry = Geometry(slots=32, order_rows=4096, ladder_ticks=64)
    twin = Twin(geometry, bindings={locate: locate - 97 for locate in range(97, 129)})
    rows = plain(twin.feed(day), {slot: slot + 97 for slot in range(32)})
    assert rows == [row for row in judged(day) if row[2] >= 97]
    assert twin.transitions == []


def test_itch_book_finds_nothing_wrong(day: bytes) -> None:
    session = Session(["bbo"], 1, [])
    session.feed(day)
    stats = session.stats()
    assert stats["messages"] == MESSAGES
    for name in ("unknown", "malformed", "missing_ref", "dup_ref", "rejected", "clamped", "crossed_books", "pending_bytes"):
        assert stats[name] == 0, name
    table = session.take_bbo()
    both = (table["bid_px"] > 0) & (table["ask_px"] > 0)
    assert (table["bid_px"][both] < table["ask_px"][both]).all()


def test_itchfeed_reads_every_message(day: bytes) -> None:
    messages = split(day)
    assert all(SIZES[message[:1].decode()] == len(message) for message in messages)
    decoded = [decode(message) for message in messages[:3000] + messages[-3000:]]
    times = [each["timestamp"] for each in decoded]
    assert times == sorted(times)


def test_types_references_and_bursts_are_a_real_days() -> None:
    messages = split(made(messages=600_000, seed=5, symbols=32))
    counts = Counter(message[:1].decode() for message in messages)
    share = {kind: count / len(messages) for kind, count in counts.items()}
    for kind, real in {"A": 0.4424, "D": 0.4297, "U": 0.0739, "E": 0.0220, "X": 0.0127, "I": 0.0100, "P": 0.0036}.items():
        assert share[kind] == pytest.approx(real, rel=0.08, abs=0.002), kind
    assert sum(map(len, messages)) / len(messages) == pytest.approx(28.5, rel=0.03)
    added = [int.from_bytes(message[11:19], "big") for message in messages if message[:1] in b"AF"]
    assert len({*added}) == len(added)
    assert 0.2 < sum(later < before for before, later in zip(added, added[1:], strict=False)) / len(added) < 0.6
    assert 0.35 < len(added) / (max(added) - min(added)) < 0.55
    gaps = np.diff([int.from_bytes(message[5:11], "big") for message in messages[200:-4]])
    assert np.median(gaps) < 0.3 * gaps.mean()


def test_a_seed_gives_the_same_bytes_and_another_one_others() -> None:
    one, again, other = (made(messages=20_000, seed=seed, symbols=10) for seed in (1, 1, 2))
    assert one == again != other
    assert len(split(one)) == len(split(other)) == 20_000


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ({"messages": 100}, "messages: 100 was given, allowed are 1542 or more"),
        ({"symbols": 0}, "symbols: 0 was given, allowed are 1 to 10000"),
        ({"seed": -1}, "seed: -1 was given"),
    ],
)
def test_a_plan_that_cannot_be(plan: dict[str, int], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Traffic(**plan)
