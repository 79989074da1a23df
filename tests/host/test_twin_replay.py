"""`t2t replay --engine twin`, and what both engines say of files that are broken."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import zstandard
from scapy.packet import Raw
from scapy.utils import wrpcap
from typer.testing import CliRunner

from hdl.spec.geometry import PRESETS
from host import cli
from host.framing import Feed, Framer
from tests.host.lobster import derived
from tests.host.records import add, delete, directory, framed
from tests.host.test_replay import judged, locates, written
from tests.support.data import AAPL, ITCH_TYPES, ITCH_WIRE, blocks, captures, frames, records, require, udp_payload

SMALL = ("--preset", "versa")
ENGINES = pytest.mark.parametrize("engine", ["rtl", "twin"])


def call(*arguments: object, engine: str = "twin", code: int = 0) -> dict[str, Any]:
    command = ["replay", *map(str, arguments), *SMALL, "--engine", engine, "--json"]
    result = CliRunner().invoke(cli.app, command, catch_exceptions=False)
    assert result.exit_code == code, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("preset", ["versa", "large"])
def test_aapl_morning_row_for_row(tmp_path: Path, preset: str) -> None:
    path = require(AAPL)
    summary = call(path, "--symbol", "AAPL", "--preset", preset, "--bbo", tmp_path / "bbo.csv")
    rows = written(tmp_path / "bbo.csv", {"AAPL": 13})
    assert rows == judged(path.read_bytes())
    assert len(rows) == summary["bbo_changes"] == summary["slots"][0]["bbo_changes"] == 2792
    assert (summary["engine"], summary["live_orders"], summary["findings"]) == ("twin", 215, [])


def test_the_summary_says_what_is_not_modelled_and_shows_no_number_for_it(tmp_path: Path) -> None:
    path = tmp_path / "day.itch"
    path.write_bytes(framed([directory("AAA", 1), add("AAA", 1, 1, "B", 100, 10_000)]))
    summary = call(path)
    assert any("triggers" in line for line in summary["not_modelled"])
    assert not {"triggers", "verdicts", "orders", "fills", "cycles", "eot_to_sof", "frames_in"} & set(summary)
    assert not {"position", "cash"} & set(summary["slots"][0])
    text = CliRunner().invoke(cli.app, ["replay", str(path), "--engine", "twin"]).stdout
    assert "BBO changes" in text and "clocks" not in text and "position" not in text


@pytest.mark.parametrize("option", ["--orders", "--pcap", "--wave"])
def test_what_the_twin_does_not_have_is_refused(tmp_path: Path, option: str) -> None:
    path, out = tmp_path / "day.itch", tmp_path / "out"
    path.write_bytes(framed([directory("AAA", 1)]))
    result = CliRunner().invoke(cli.app, ["replay", str(path), "--engine", "twin", option, str(out)])
    assert (result.exit_code, result.stdout, out.exists()) == (2, "", False)
    why = "there are no pairs to trade" if option == "--orders" else "a replay of the twin has neither wires nor signals"
    assert f"{option}: {why}" in result.stderr


@pytest.mark.parametrize("folder", [ITCH_WIRE, ITCH_TYPES])
def test_real_captures(tmp_path: Path, folder: str) -> None:
    for path in captures(folder):
        messages = [message for frame in frames(path) for message in blocks(udp_payload(frame))]
        summary = call(path, "--bbo", tmp_path / "bbo.csv")
        assert (summary["messages"], summary["records"], summary["findings"]) == (len(messages), len(messages), [])
        assert written(tmp_path / "bbo.csv", locates(summary)) == judged(framed(messages))


def test_lobsters_own_book(tmp_path: Path) -> None:
    """The touch after each of 999 real events equals the exchange book LOBSTER computed from the same day."""
    messages, expected = derived()
    path = tmp_path / "lobster.itch"
    path.write_bytes(framed(messages))
    summary = call(path, "--symbol", "AAPL=1", "--bbo", tmp_path / "bbo.csv")
    assert (summary["findings"], summary["unknown_references"]) == ([], 0)
    rows = {row[0]: row[3:] for row in written(tmp_path / "bbo.csv", {"AAPL": 1})}
    touch: tuple[int, ...] = (0, 0, 0, 0)
    for index in range(len(messages)):
        touch = rows.get(index, touch)
        assert touch == expected.get(index, touch), f"after message {index}"
    assert len(expected) == 999 and max(expected) < len(messages)


def test_every_directory_message_is_seen_wherever_it_stands(tmp_path: Path) -> None:
    """A symbol without a locate beforehand; a locate that the directory gives to another; more symbols than slots."""
    day = [add("AAA", 1, 1, "B", 100, 10_000), directory("BBB", 7), directory("AAA", 2), add("AAA", 2, 2, "B", 300, 10_100)]
    path = tmp_path / "day.itch"
    path.write_bytes(framed(day))
    summary = call(path, "--symbol", "AAA", "--symbol", "BBB=2", code=1)
    assert [(slot["symbol"], slot["locate"], slot["bbo_changes"]) for slot in summary["slots"]] == [("AAA", 2, 2), ("BBB", 7, 0)]
    assert "BBB: locate 2 was given, the directory says 7, which is used" in summary["findings"]
    path.write_bytes(framed([directory(f"S{number}", number) for number in range(1, 40)]))
    assert call(path)["unwatched_symbols"] == 39 - PRESETS["versa"].slots


# Broken input. What stands before the break is processed and reported by either engine.


def whole(raw: bytes) -> bytes:
    """The records of some bytes that are there whole."""
    at = 0
    while at + 2 <= len(raw) and (end := at + 2 + int.from_bytes(raw[at : at + 2], "big")) <= len(raw):
        at = end
    return raw[:at]


@ENGINES
@pytest.mark.parametrize("keep", [20_000, 20_001, 20_015])
def test_a_file_cut_inside_a_record(tmp_path: Path, engine: str, keep: int) -> None:
    raw = require(AAPL).read_bytes()[:keep]
    path = tmp_path / "cut.itch"
    path.write_bytes(raw)
    summary = call(path, "--bbo", tmp_path / "bbo.csv", engine=engine, code=1)
    assert written(tmp_path / "bbo.csv", locates(summary)) == judged(raw)
    [finding] = summary["findings"]
    assert finding.startswith(f"input: byte {len(whole(raw))}: the file ends inside a record")


@ENGINES
def test_a_file_cut_inside_a_length(tmp_path: Path, engine: str) -> None:
    raw = whole(require(AAPL).read_bytes()[:20_000])
    path = tmp_path / "cut.itch"
    path.write_bytes(raw + b"\0")
    summary = call(path, engine=engine, code=1)
    [finding] = summary["findings"]
    assert finding.startswith(f"input: byte {len(raw)}: the file ends inside a record's length")
    path.write_bytes(raw)
    assert summary["records"] == summary["messages"] == len(list(records(path)))


@ENGINES
def test_an_absurd_length(tmp_path: Path, engine: str) -> None:
    messages = list(records(require(AAPL)))[:500]
    raw = framed(messages)
    path = tmp_path / "long.itch"
    path.write_bytes(raw + struct.pack(">H", 60_000) + b"A" * 70_000)
    summary = call(path, "--bbo", tmp_path / "bbo.csv", engine=engine, code=1)
    assert summary["findings"] == [
        f"input: byte {len(raw)}: record length 60000: allowed are 1 to 1450; everything before it was processed"
    ]
    assert (summary["records"], written(tmp_path / "bbo.csv", locates(summary))) == (500, judged(raw))


@ENGINES
def test_records_of_unknown_type_or_wrong_length(tmp_path: Path, engine: str) -> None:
    messages = list(records(require(AAPL)))[:300]
    odd = [b"Zebra", messages[0] + b"!", b"\0", delete(13, 5)[:-1]]
    path = tmp_path / "odd.itch"
    path.write_bytes(framed(messages[:200] + odd + messages[200:]))
    summary = call(path, "--bbo", tmp_path / "bbo.csv", engine=engine, code=1)
    assert (summary["drops"]["itch_type"], summary["drops"]["itch_length"], summary["records"]) == (2, 2, 304)
    at = len(framed(messages[:200]))
    assert summary["findings"] == [
        f"input: 4 records are not of ITCH 5.0 (type unknown, or not of its type's length), the first at byte {at}"
    ]
    expected = [(row[0] + 4 * (row[0] >= 200), *row[1:]) for row in judged(framed(messages))]
    assert written(tmp_path / "bbo.csv", locates(summary)) == expected


@ENGINES
def test_what_stands_behind_the_end_of_the_session_is_not_read_and_said(tmp_path: Path, engine: str) -> None:
    day = [directory("AAA", 1), add("AAA", 1, 1, "B", 100, 10_000)]
    path = tmp_path / "two.itch"
    path.write_bytes(framed(day) + bytes(2) + framed(day))
    summary = call(path, engine=engine, code=1)
    at = len(framed(day))
    assert (summary["records"], summary["findings"]) == (2, [
        f"input: byte {at}: the session ends here (record length 0) and the file goes on; what is behind was not read"
    ])  # fmt: skip
    path.write_bytes(framed(day) + bytes(64))
    assert call(path, engine=engine)["findings"] == []


@ENGINES
def test_packets_whose_end_shows_them_bad_are_a_finding(tmp_path: Path, engine: str) -> None:
    """As they are captured at the sender, whose network card writes the checksum later."""
    path, framer = tmp_path / "sent.pcap", Framer(Feed())
    frames = [bytearray(framer.packet([message])) for message in (directory("AAA", 1), add("AAA", 1, 1, "B", 100, 10_000))]
    frames[1][41] ^= 1
    wrpcap(str(path), [Raw(bytes(frame)) for frame in frames], linktype=1)
    [finding] = call(path, engine=engine, code=1)["findings"]
    assert finding.startswith("bad packets of the feed (UDP checksum, cut short, or too long for the card): 1;")


@ENGINES
@pytest.mark.parametrize("pack", ["gzip", "zstd"])
def test_compressed_data_that_is_cut_or_damaged(tmp_path: Path, engine: str, pack: str) -> None:
    raw = require(AAPL).read_bytes()
    packed = gzip.compress(raw) if pack == "gzip" else zstandard.ZstdCompressor().compress(raw)
    path = tmp_path / "cut"
    path.write_bytes(packed[: len(packed) * 2 // 3])
    summary = call(path, "--bbo", tmp_path / "bbo.csv", engine=engine, code=1)
    [finding] = summary["findings"]
    assert finding.startswith("input: byte ") and "compressed data is damaged or cut" in finding
    assert 1_000 < summary["records"] < 9_000
    assert written(tmp_path / "bbo.csv", locates(summary)) == [row for row in judged(raw) if row[0] < summary["records"]]


def test_zstd_frames_follow_each_other(tmp_path: Path) -> None:
    raw = require(AAPL).read_bytes()
    path = tmp_path / "two.zst"
    path.write_bytes(b"".join(zstandard.ZstdCompressor().compress(part) for part in (raw[:100_001], raw[100_001:])))
    assert call(path)["records"] == 10_000


@ENGINES
def test_a_capture_that_is_cut(tmp_path: Path, engine: str) -> None:
    source = captures(ITCH_WIRE)[0]
    raw = source.read_bytes()
    path = tmp_path / "cut.pcap"
    path.write_bytes(raw + raw[24:40] + b"?" * 5)
    summary = call(path, engine=engine, code=1)
    [finding] = summary["findings"]
    assert finding.startswith(f"input: byte {len(raw)}: the file ends inside a packet: 5 of ")
    assert summary["messages"] > 0


@ENGINES
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "byte 0: the file is empty"),
        (b"\0", "byte 0: neither ITCH 5.0 records"),
        (b"\0\0\0\0", "byte 0: neither ITCH 5.0 records"),
        (framed([b"Z" * 36]), "byte 0: neither ITCH 5.0 records"),
        (b"A" * 100, "byte 0: neither ITCH 5.0 records"),
        (bytes(range(256)) * 10, "byte 0: neither ITCH 5.0 records"),
    ],
)
def test_what_is_no_market_data_is_code_4(tmp_path: Path, engine: str, content: bytes, why: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    result = CliRunner().invoke(cli.app, ["replay", str(path), "--engine", engine])
    assert (result.exit_code, result.stdout) == (4, "")
    assert why in result.stderr
