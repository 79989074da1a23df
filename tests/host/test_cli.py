from __future__ import annotations

import gzip
import json
import os
import struct
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from host import cli
from tests.host.records import add, directory, framed
from tests.host.test_compare_trading import CONFIGURATION


def call(*arguments: object):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.fixture
def itch(tmp_path: Path) -> Path:
    path = tmp_path / "some.itch"
    path.write_bytes(framed([add("AAPL", 13, 1, "B", 100, 10_000)]))
    return path


def test_help_names_commands_and_exit_codes() -> None:
    result = call("--help")
    assert result.exit_code == 0
    for word in ("replay", "compare", "generate", "bench", "spec", "doctor", "synth", "demo", "Exit codes"):
        assert word in result.stdout


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file is empty"),
        (b"Time,Type,Order\n", "neither ITCH 5.0 records with a u16 length nor a packet capture"),
        (struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1), "no MoldUDP64 packet"),
        (struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 105), "link type 105"),
        (b"\x1f\x8b\x08", "damaged or cut"),
        (b"BZh91AY", "plain, gzip or zstd: it begins with 42 5a 68 39"),
        (b"\0\0", "it begins with 00 00, the end of a session in front of its first message;"),
    ],
)
def test_a_file_that_cannot_be_read_is_code_4(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    result = call("replay", path)
    assert result.exit_code == 4
    assert result.stdout == ""
    assert str(path) in result.stderr
    assert why in result.stderr


def test_a_wrong_configuration_is_code_2_and_names_everything(tmp_path: Path, itch: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("nonsense = 1\n[risk]\nrate_tokens = -1\n")
    result = call("replay", itch, "--config", bad, "--symbol", "A=0")
    assert result.exit_code == 2
    assert result.stdout == ""
    allowed = "slots, pairs, limits, line_b, feed, recovery, risk, ceilings, strategy"
    assert f"{bad}: nonsense: unknown key; allowed are {allowed}" in result.stderr
    assert f"{bad}: risk.rate_tokens: -1 was given; allowed are 0 to 65535" in result.stderr
    assert "--symbol A=0: locate: 0 was given; allowed are 1 to 65535" in result.stderr


@pytest.mark.parametrize(
    "arguments", ["--feed nowhere", "--feed 233.1.1.1:70000", "--session elevenchars", "--pack 0", "--engine x", "--nope"]
)
def test_a_wrong_call_is_code_2(itch: Path, arguments: str) -> None:
    assert call("replay", itch, *arguments.split()).exit_code == 2


def test_a_file_that_is_not_there_is_code_2(tmp_path: Path) -> None:
    assert call("replay", tmp_path / "none").exit_code == 2
    assert call("replay", tmp_path).exit_code == 2


def test_a_dry_run_shows_the_cards_integers(tmp_path: Path, itch: Path) -> None:
    some = tmp_path / "some.toml"
    some.write_text('[[limits]]\nsymbol = "AAPL"\nmax_notional_usd = 1.5\n')
    result = call("replay", itch, "--symbol", "AAPL=13", "--config", some, "--dry-run")
    assert result.exit_code == 0
    shown = json.loads(result.stdout)
    assert shown["slots"] == [{"slot": 0, "symbol": "AAPL", "locate": 13}]
    assert shown["limits"][0]["max_notional"] == 15_000
    assert shown["mode"] == "off"
    assert shown["feed"]["session"] == "T2TREPLAY1"


def test_spec_shows_every_topic_as_json_and_as_tables() -> None:
    shown = json.loads(call("spec", "--json").stdout)
    assert {row["layout"] for row in shown["itch"] if row["code"] == "A"} == {"add_order_no_mpid"}
    assert [row["offset"] for row in shown["itch"] if row["code"] == "A" and row["field"] == "price"] == [32]
    assert shown["registers"][0]["name"] == "magic"
    assert all(rows for rows in shown.values())
    assert "map_digest" in call("spec", "registers").stdout


@pytest.mark.parametrize("key", ["reload_dead", "reload_feed"])
@pytest.mark.parametrize("command", [("replay", "--engine", "twin"), ("compare",)])
def test_the_twin_refuses_to_reload_slots(tmp_path: Path, itch: Path, command: tuple[str, ...], key: str) -> None:
    (tmp_path / "reload.toml").write_text(f"[feed]\nrecover = true\n[recovery]\n{key} = true\n")
    name, *options = command
    result = call(name, itch, *options, "--config", tmp_path / "reload.toml")
    assert result.exit_code == cli.Exit.USAGE and f"recovery.{key}" in result.stderr


def test_trading_is_not_compared_on_packets_that_are_held(tmp_path: Path, itch: Path) -> None:
    (tmp_path / "pairs.toml").write_text(CONFIGURATION.format("A", "B"))
    result = call("compare", itch, "--config", tmp_path / "pairs.toml", "--hold-until-fcs")
    assert result.exit_code == cli.Exit.USAGE and "--hold-until-fcs: trading" in result.stderr, result.output


@pytest.mark.parametrize("option", ["--start-at", "--server-keeps"])
def test_the_twin_refuses_what_it_cannot_lose(itch: Path, option: str) -> None:
    result = call("replay", itch, "--engine", "twin", option, 5)
    assert result.exit_code == cli.Exit.USAGE and option in result.stderr


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    """As a shell makes it: t2t replay <(zcat day.itch.gz)."""
    pipe, raw = tmp_path / "pipe", framed([directory("AAA", 1), add("AAA", 1, 1, "B", 100, 10_000)])
    os.mkfifo(pipe)
    for content in (raw, gzip.compress(raw)):
        writer = threading.Thread(target=pipe.write_bytes, args=[content])
        writer.start()
        result = call("replay", pipe, "--engine", "twin", "--json")
        writer.join()
        assert (result.exit_code, json.loads(result.stdout)["messages"]) == (0, 2)
    result = call("compare", pipe)
    assert (result.exit_code, "allowed is a file, not a pipe" in result.stderr) == (2, True)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full: a disk without room cannot be had")
def test_a_full_disk_is_named_and_no_traceback(tmp_path: Path) -> None:
    day = tmp_path / "day.itch"
    for messages in (1, 2_000):
        day.write_bytes(framed([add("AAA", 1, 1 + each, "B", 100, 10_000 + each) for each in range(messages)]))
        result = call("replay", day, "--engine", "twin", "--bbo", "/dev/full")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == "t2t: /dev/full: No space left on device\n"


def test_a_ledger_that_could_not_be_saved_is_refused_before_the_run(tmp_path: Path) -> None:
    day = tmp_path / "day.itch"
    day.write_bytes(framed([directory("AAA", 1)]))
    result = call("replay", day, "--save-ledger", tmp_path / "nowhere" / "noon.json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"noon.json: there is no folder {tmp_path / 'nowhere'}" in result.stderr
