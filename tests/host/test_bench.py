"""`t2t generate` and `t2t bench`: that they measure what they say; how fast a machine is, is no test's business."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zstandard
from typer.testing import CliRunner

from host import bench, cli
from tests.host.records import add, framed
from tests.support.data import AAPL, require


def call(*arguments: object, code: int = 0):
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.stderr
    return result


def test_a_file_is_generated_and_measured(tmp_path: Path) -> None:
    plain, packed = tmp_path / "day.itch", tmp_path / "day.zst"
    call("generate", plain, "--messages", 5000, "--seed", 4, "--symbols", 5)
    call("generate", packed, "--messages", 5000, "--seed", 4, "--symbols", 5, "--zstd")
    with packed.open("rb") as file:
        assert zstandard.ZstdDecompressor().stream_reader(file).read() == plain.read_bytes()
    found = json.loads(call("bench", packed, "--no-rtl", "--rounds", 1, "--json").stdout)
    assert (found["messages"], found["symbols"], found["watched"], found["unwatched_messages"]) == (5000, 5, 5, 0)
    figures = {figure["name"]: figure["value"] for figure in found["figures"]}
    assert set(figures) == {
        "twin, decode", "twin, decode and book", "twin, busiest symbol alone", "twin, more than that", "twin, trading",
        "itch-book", "twin against itch-book",
    }  # fmt: skip
    assert 0 < figures["twin, decode"] < figures["twin, decode and book"]
    assert figures["twin against itch-book"] == pytest.approx(figures["itch-book"] / figures["twin, decode and book"])


def test_the_card_is_measured_beside_them() -> None:
    found = json.loads(call("bench", require(AAPL), "--rounds", 1, "--json").stdout)
    assert (found["live_orders_at_most"], found["bbo_changes"]) == (216, 2792)
    card = {figure["unit"]: figure for figure in found["figures"] if figure["name"] == "card, Verilated"}
    # A packet of one add takes some 127 clocks on the wire, and 107 the smallest.
    assert 80 < card["clocks/message"]["value"] < 140
    assert card["clocks/s"]["note"].startswith("3,000 messages")


def test_without_itch_book_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_itch_book", lambda: None)
    shown = call("bench", "--messages", 3000, "--rounds", 1, "--no-rtl").stdout
    assert "not installed" in shown and "times as fast" not in shown


def test_more_symbols_than_the_preset_has_slots() -> None:
    orders = [add("X", locate, locate, "B", 100, 10_000) for locate in range(1, 1101)]
    market = bench.Sample.of(framed(orders))
    assert (market.geometry.slots, market.unwatched, market.peak, len(market.locates)) == (1024, 76, 1024, 1100)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "byte 0: not ITCH 5.0"),
        (framed([add("X", 1, 1, "B", 100, 10_000)] * 3)[:-5], "byte 76: the file ends inside a record: 31 of 36 bytes are there"),
    ],
)
def test_what_cannot_be_read_is_code_4(tmp_path: Path, raw: bytes, why: str) -> None:
    path = tmp_path / "bad.itch"
    path.write_bytes(raw)
    assert why in call("bench", path, "--no-rtl", code=4).stderr


def test_a_plan_that_cannot_be_is_code_2(tmp_path: Path) -> None:
    assert "messages: 10 was given" in call("generate", tmp_path / "x", "--messages", 10, code=2).stderr
    assert "No such file or directory" in call("generate", tmp_path / "no" / "x", code=2).stderr
    assert call("bench", "--messages", 10, "--no-rtl", code=2).stdout == ""
