"""`t2t replay` from the command line to the files it writes, through the gateware; judged by books nobody here computed."""

from __future__ import annotations

import csv
import gzip
import json
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from itch_book._core import Session
from scapy.utils import RawPcapReader
from typer.testing import CliRunner

from host import cli, snapshot
from host.framing import Feed, Framer
from host.loader import Loader
from host.snapshot import SlotLedger, Snapshot
from host.wire_log import WireLog
from tests.host.lobster import derived
from tests.host.records import add, delete, directory, executed, framed, system_event, trading_action
from tests.support.data import AAPL, ITCH_TYPES, ITCH_WIRE, blocks, captures, frames, records, require, udp_payload

Row = tuple[int, int, int, int, int, int, int]
"""Index, timestamp, locate, bid price, bid shares, ask price, ask shares."""

SMALL = ("--preset", "versa")
"""Quicker to build than the card a replay takes by itself."""


def call(*arguments: object, code: int = 0) -> dict[str, Any]:
    """The summary of a run that ends with an exit code."""
    result = CliRunner().invoke(cli.app, ["replay", *(str(argument) for argument in arguments), "--json"], catch_exceptions=False)
    assert result.exit_code == code, result.stderr
    return json.loads(result.stdout)


def judged(raw: bytes) -> list[Row]:
    """BBO changes as itch-book finds them in a file."""
    session = Session(["bbo"], 1, [])
    session.feed(raw)
    table = session.take_bbo()
    columns = ("ts", "locate", "bid_px", "bid_sz", "ask_px", "ask_sz")
    # Its numbers count from 1, ours from 0.
    return list(zip((table["seq"] - 1).tolist(), *(table[name].tolist() for name in columns), strict=True))


def written(path: Path, locates: dict[str, int]) -> list[Row]:
    """BBO changes as `--bbo` wrote them."""
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == ["index", "timestamp_ns", "symbol", "bid_price", "bid_shares", "ask_price", "ask_shares"]
        return [tuple(int(locates[value] if name == "symbol" else value) for name, value in row.items()) for row in reader]


def locates(summary: dict[str, Any]) -> dict[str, int]:
    return {slot["symbol"]: slot["locate"] for slot in summary["slots"]}


def test_aapl_morning_row_for_row(tmp_path: Path) -> None:
    path = require(AAPL)
    summary = call(path, "--symbol", "AAPL=13", "--bbo", tmp_path / "bbo.csv")
    rows = written(tmp_path / "bbo.csv", {"AAPL": 13})
    assert rows == judged(path.read_bytes())
    assert len(rows) == summary["bbo_changes"] == 2792
    assert (summary["unknown_references"], summary["findings"], summary["messages"]) == (0, [], 10_000)
    assert {kind: count for kind, count in summary["messages_by_type"].items() if count} == Counter(
        message[:1].decode() for message in records(path)
    )
    assert (summary["live_orders"], summary["slots"][0]["integrity"]) == (215, "exact")
    assert not any(summary["drops"].values())


@pytest.mark.parametrize("pack", [1, 2, 1000])
def test_aapl_on_the_small_card_in_every_packing(tmp_path: Path, pack: int) -> None:
    raw = require(AAPL).read_bytes()
    path = tmp_path / "aapl.itch.gz"
    path.write_bytes(gzip.compress(raw, 1))
    summary = call(path, *SMALL, "--pack", pack, "--bbo", tmp_path / "bbo.csv")
    assert written(tmp_path / "bbo.csv", locates(summary)) == judged(raw)
    assert (summary["findings"], summary["unknown_references"]) == ([], 0)


def test_holding_packets_until_they_are_known_to_be_good_changes_no_row(tmp_path: Path) -> None:
    path = require(AAPL)
    call(path, *SMALL, "--symbol", "AAPL", "--hold-until-fcs", "--bbo", tmp_path / "bbo.csv")
    assert written(tmp_path / "bbo.csv", {"AAPL": 13}) == judged(path.read_bytes())


@pytest.mark.parametrize("start", [500, 4_000, 9_000])
def test_a_file_cut_from_the_middle_of_a_day(tmp_path: Path, start: int) -> None:
    """Orders added before the cut are named; the book goes on, and says that it cannot be trusted."""
    raw = framed(list(records(require(AAPL)))[start:])
    path = tmp_path / "cut.itch"
    path.write_bytes(raw)
    summary = call(path, *SMALL, "--symbol", "AAPL=13", "--bbo", tmp_path / "bbo.csv")
    assert written(tmp_path / "bbo.csv", {"AAPL": 13}) == judged(raw)
    assert summary["unknown_references"] > 0
    assert summary["slots"][0]["integrity"] == "dead"


def test_a_file_that_ends_inside_a_record_is_processed_up_to_it(tmp_path: Path) -> None:
    raw = require(AAPL).read_bytes()[:50_000]
    path = tmp_path / "cut.itch"
    path.write_bytes(raw)
    summary = call(path, *SMALL, "--pack", 5, "--bbo", tmp_path / "bbo.csv", code=1)
    assert written(tmp_path / "bbo.csv", locates(summary)) == judged(raw)
    [finding] = summary["findings"]
    assert finding.startswith("input: byte ")
    assert "the file ends inside a record" in finding
    at = int(finding.split()[2].rstrip(":"))
    assert at < 50_000 < at + 2 + int.from_bytes(raw[at : at + 2], "big")


def test_nothing_behind_the_end_of_session_is_used(tmp_path: Path) -> None:
    messages = list(records(require(AAPL)))
    path = tmp_path / "ended.itch"
    path.write_bytes(framed(messages[:500]) + b"\0\0" + framed(messages[500:600]))
    summary = call(path, *SMALL, "--bbo", tmp_path / "bbo.csv", code=1)
    [finding] = summary["findings"]
    assert (summary["records"], finding.startswith("input: byte 15789: the session ends here")) == (500, True)
    assert written(tmp_path / "bbo.csv", locates(summary)) == judged(framed(messages[:500]))


def test_records_that_are_not_itch_are_counted_and_skipped(tmp_path: Path) -> None:
    messages = list(records(require(AAPL)))[:300]
    odd = [b"Zebra", messages[0] + b"!", b"\0"]
    path = tmp_path / "odd.itch"
    path.write_bytes(framed(messages[:200] + odd + messages[200:]))
    summary = call(path, *SMALL, "--bbo", tmp_path / "bbo.csv", code=1)
    assert (summary["drops"]["itch_type"], summary["drops"]["itch_length"]) == (2, 1)
    assert "3 records are not of ITCH 5.0" in summary["findings"][0]
    # Every record of the file has a number, also those that are no messages.
    expected = [(row[0] + 3 * (row[0] >= 200), *row[1:]) for row in judged(framed(messages))]
    assert written(tmp_path / "bbo.csv", locates(summary)) == expected


def test_lobsters_own_book(tmp_path: Path) -> None:
    """The touch after each of 999 real events equals the exchange book LOBSTER computed from the same day."""
    messages, expected = derived()
    path = tmp_path / "lobster.itch"
    path.write_bytes(framed(messages))
    summary = call(path, *SMALL, "--symbol", "AAPL=1", "--bbo", tmp_path / "bbo.csv")
    assert (summary["findings"], summary["unknown_references"]) == ([], 0)
    rows = {row[0]: row[3:] for row in written(tmp_path / "bbo.csv", {"AAPL": 1})}
    touch: tuple[int, ...] = (0, 0, 0, 0)
    seen = 0
    for index in range(len(messages)):
        touch = rows.get(index, touch)
        if index in expected:
            assert touch == expected[index], f"after message {index}"
            seen += 1
    assert seen == 999


@pytest.mark.parametrize("folder", [ITCH_WIRE, ITCH_TYPES])
def test_real_captures(tmp_path: Path, folder: str) -> None:
    for path in captures(folder):
        messages = [message for frame in frames(path) for message in blocks(udp_payload(frame))]
        summary = call(path, *SMALL, "--bbo", tmp_path / "bbo.csv")
        assert summary["format"] == ("pcap" if folder == ITCH_WIRE else "pcap, renumbered")
        assert (summary["messages"], summary["records"], summary["findings"]) == (len(messages), len(messages), [])
        kinds = Counter(message[:1].decode() for message in messages)
        assert {kind: count for kind, count in summary["messages_by_type"].items() if count} == kinds
        assert written(tmp_path / "bbo.csv", locates(summary)) == judged(framed(messages))
        assert not any(summary["drops"].values())


def test_duplicates_and_gaps_in_a_capture(tmp_path: Path) -> None:
    """Messages are numbered as they stand in the file; what was seen before is dropped, what is missing is said."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    def packet(sequence: int, *messages: bytes) -> bytes:
        head = b"SESSION001" + struct.pack(">QH", sequence, len(messages))
        return bytes(Ether(dst="01:00:5e:01:02:03") / IP(dst="233.1.2.3") / UDP(dport=99) / (head + framed(list(messages))))

    first = [add("XYZ", 7, number, "B", 100 * number, 10_000 + 100 * number, number) for number in range(1, 5)]
    sent = [packet(70, *first[:2]), packet(70, *first[:2]), packet(71, *first[1:4]), packet(80, delete(7, 4, 9))]
    path = tmp_path / "some.pcap"
    path.write_bytes(
        struct.pack(">IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
        + b"".join(struct.pack(">IIII", 0, 0, len(each), len(each)) + each for each in sent)
    )
    summary = call(path, *SMALL, "--bbo", tmp_path / "bbo.csv")
    rows = written(tmp_path / "bbo.csv", locates(summary))
    best = [(0, 10_100, 100), (1, 10_200, 200), (5, 10_300, 300), (6, 10_400, 400), (7, 10_300, 300)]
    assert [(row[0], row[3], row[4]) for row in rows] == best
    assert (summary["gaps"], summary["missing_messages"], summary["drops"]["duplicate"]) == (1, 6, 1)
    assert summary["slots"][0]["integrity"] == "suspect"
    assert summary["feed"] == {"address": "233.1.2.3", "port": 99, "session": "SESSION001", "next_sequence": 70}


def test_what_is_lost_is_asked_for_and_no_row_is_different(tmp_path: Path) -> None:
    recover = tmp_path / "recover.toml"
    recover.write_text("[feed]\nrecover = true\n")
    path = tmp_path / "part.itch"
    path.write_bytes(framed(list(records(require(AAPL)))[:3_000]))
    arguments = (path, *SMALL, "--symbol", "AAPL=13", "--pack", 4, "--bbo", tmp_path / "bbo.csv", "--lose", "7:0.02")
    summary = call(*arguments, "--config", recover)
    assert written(tmp_path / "bbo.csv", {"AAPL": 13}) == judged(path.read_bytes())
    assert summary["slots"][0]["integrity"] == "exact" and summary["slots"][0]["lowered_by"]["gap"] > 0
    assert summary["recovery"]["given"] > 0 and summary["recovery"]["unrecovered"] == summary["missing_messages"] == 0
    assert summary["frames_in"] < 750
    without = call(*arguments)
    assert without["slots"][0]["integrity"] != "exact" and without["missing_messages"] > 0 and without["recovery"] is None


REJOIN = "[feed]\nrecover = true\n[recovery]\nreload_feed = true\ntimeout_us = 450\ntries = 1\n"


@pytest.mark.parametrize(
    ("options", "let_go"), [("--lose 1000-1402 --server-keeps 100", 408), ("--start-at 1000", 0)], ids=["loss", "late"]
)
def test_behind_a_snapshot_no_row_is_different(tmp_path: Path, options: str, let_go: int) -> None:
    (tmp_path / "rejoin.toml").write_text(REJOIN)
    path = tmp_path / "part.itch"
    path.write_bytes(framed(list(records(require(AAPL)))[:4_500]))
    arguments = (path, *SMALL, "--symbol", "AAPL=13", "--pack", 4, "--bbo", tmp_path / "bbo.csv", *options.split())
    summary = call(*arguments, "--config", tmp_path / "rejoin.toml")
    rows, plain = written(tmp_path / "bbo.csv", {"AAPL": 13}), judged(path.read_bytes())
    before = [row for row in plain if row[0] < 1_000] if let_go else []
    joined, *behind = rows[len(before) :]
    assert rows[: len(before)] == before and 1_000 <= joined[0] < 4_000
    assert joined[2:] == [row for row in plain if row[0] <= joined[0]][-1][2:]
    assert behind == [row for row in plain if row[0] > joined[0]] and len(behind) > 50
    assert summary["slots"][0]["integrity"] == "exact" and summary["findings"] == []
    assert summary["feed_reload"] | {"states": 0} == {"begun": 1, "ended": 1, "snapshots": 1, "states": 0, "let_go": let_go}


def test_a_dead_slot_is_given_its_orders_anew_in_a_replay(tmp_path: Path) -> None:
    """One message of an order nobody added."""
    (tmp_path / "dead.toml").write_text("[recovery]\nreload_dead = true\n")
    path, messages = tmp_path / "part.itch", list(records(require(AAPL)))[:1_500]
    messages.insert(1_000, delete(13, (1 << 64) - 1))
    path.write_bytes(framed(messages))
    arguments = (path, *SMALL, "--symbol", "AAPL=13", "--bbo", tmp_path / "bbo.csv")
    summary = call(*arguments, "--config", tmp_path / "dead.toml")
    [slot] = summary["slots"]
    assert slot["integrity"] == "exact" and slot["lowered_by"]["unknown_order"] == 1 and summary["reload"]["reloaded"] == 1
    assert written(tmp_path / "bbo.csv", {"AAPL": 13})[-1][2:] == judged(path.read_bytes())[-1][2:]
    without = call(*arguments)
    assert without["slots"][0]["integrity"] == "dead" and without["reload"] is None


@pytest.mark.parametrize(
    ("option", "needs"),
    [("--start-at", "[recovery] reload_feed"), ("--server-keeps", "[feed] recover or [recovery] reload_dead")],
)
def test_what_nothing_would_use_is_refused(tmp_path: Path, option: str, needs: str) -> None:
    path = tmp_path / "part.itch"
    path.write_bytes(framed([add("XYZ", 7, 1, "B", 100, 10_000, 1)]))
    result = CliRunner().invoke(cli.app, ["replay", str(path), option, "5"])
    assert result.exit_code == 2 and f"allowed with {needs}" in result.stderr


def test_what_a_capture_does_not_hold_cannot_be_recovered(tmp_path: Path) -> None:
    recover = tmp_path / "recover.toml"
    recover.write_text("[feed]\nrecover = true\n[recovery]\ntries = 2\n")
    framer = Framer(Feed())
    messages = [add("XYZ", 7, number, "B", 100 * number, 10_000 + 100 * number, number) for number in range(1, 9)]
    sent = [framer.packet(messages[:3])]
    framer.next_sequence = 6
    sent.append(framer.packet(messages[5:]))
    path = tmp_path / "some.pcap"
    path.write_bytes(
        struct.pack(">IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
        + b"".join(struct.pack(">IIII", 0, 0, len(each), len(each)) + each for each in sent)
    )
    summary = call(path, *SMALL, "--config", recover, code=1)
    assert summary["slots"][0]["integrity"] == "suspect" and summary["messages"] == 3
    [finding] = summary["findings"]
    assert finding.startswith("messages 4 to 5 are missing: asked for 2 times and not answered")
    result = CliRunner().invoke(cli.app, ["replay", str(path), "--lose", "0.1"])
    assert result.exit_code == 2 and "a capture holds what arrived" in result.stderr
    (tmp_path / "rejoin.toml").write_text(REJOIN)
    result = CliRunner().invoke(
        cli.app, ["replay", str(path), "--start-at", "1", "--server-keeps", "1", "--config", str(tmp_path / "rejoin.toml")]
    )
    assert result.exit_code == 2
    assert "--start-at, --server-keeps, [recovery] reload_feed: allowed with ITCH files" in result.stderr


@pytest.mark.parametrize("text", ["1.5", "-0.1", "x", "a:0.1", "1:2:3", "5-4", "-5", "1-2-3"])
def test_a_loss_that_is_none_is_refused(text: str) -> None:
    result = CliRunner().invoke(cli.app, ["replay", __file__, "--lose", text])
    assert result.exit_code == 2 and "allowed is [SEED:]RATE" in result.stderr


PAIR = """
[[pairs]]
leg_a = "AAA"
leg_b = "BBB"
weight_a = 1
weight_b = 1
upper_usd = 1
lower_usd = -9
exit_short_usd = 0.5
exit_long_usd = 0.5
size_a_shares = 100
size_b_shares = 200
slippage_ticks = 1
[[limits]]
symbol = "AAA"
reference_usd = 20
located_shares = 5000
[[limits]]
symbol = "BBB"
reference_usd = 19
located_shares = 5000
[strategy]
cooldown_us = 1
"""


def traded_day() -> list[bytes]:
    """The spread rises over its threshold, and comes back after a while."""
    opening = [system_event("O"), directory("AAA", 1), directory("BBB", 2)]
    opening += [trading_action("AAA", 1, "T"), trading_action("BBB", 2, "T"), system_event("S"), system_event("Q")]
    opening += [add("BBB", 2, 1, "B", 500, 190_000), add("BBB", 2, 2, "S", 500, 190_100)]
    opening += [add("AAA", 1, 3, "B", 500, 199_000), add("AAA", 1, 4, "S", 500, 200_500)]
    rise = [add("AAA", 1, 5, "B", 300, 200_200)]
    pause = [add("ZZZ", 3, 1_000 + number, "B", 100, 10_000) for number in range(300)]
    fall = [executed(1, 5, 300, 1), delete(1, 4), delete(1, 3)]
    fall += [add("AAA", 1, 6, "B", 400, 194_900), add("AAA", 1, 7, "S", 400, 195_000)]
    return opening + rise + pause + fall + [add("ZZZ", 3, 2_000 + number, "B", 100, 10_000) for number in range(300)]


def test_a_pair_trades_there_and_back(tmp_path: Path) -> None:
    day, pairs = tmp_path / "day.itch", tmp_path / "pairs.toml"
    day.write_bytes(framed(traded_day()))
    pairs.write_text(PAIR)
    summary = call(day, *SMALL, "--config", pairs, "--orders", tmp_path / "orders.jsonl", "--pcap", tmp_path / "wire.pcap")
    assert summary["findings"] == []
    assert summary["triggers"]["requests"] == 2
    assert summary["verdicts"]["passed"] == 4
    assert summary["verdicts"]["refused"] == 0
    assert summary["orders"] == {
        "frames": 2,
        "sent": 4,
        "ended": {"filled": 4, "canceled": 0, "rejected": 0},
        "open": 0,
        "cancels": 0,
        "noted": {},
    }
    assert summary["fills"] == {
        "count": 4, "shares": 600, "bought_shares": 300, "sold_shares": 300, "broken": 0, "broken_shares": 0
    }  # fmt: skip
    assert {slot["symbol"]: slot["position"] for slot in summary["slots"]} == {"AAA": 0, "BBB": 0}
    # 100 * (20.02 - 19.50) dollars earned on leg a, 200 * (19.01 - 19.00) paid on leg b.
    assert {slot["symbol"]: slot["cash"] for slot in summary["slots"]} == {"AAA": 520_000, "BBB": -20_000}
    assert 0 < summary["eot_to_sof"]["max_cycles"] <= 30
    assert summary["eot_to_sof"]["max_ns"] == 8 * summary["eot_to_sof"]["max_cycles"]
    assert summary["som_to_sof"]["min_cycles"] > summary["eot_to_sof"]["min_cycles"]
    lines = [json.loads(line) for line in (tmp_path / "orders.jsonl").read_text().splitlines()]
    triggers = [line for line in lines if line["event"] == "trigger"]
    assert [(line["index"], line["action"]) for line in triggers] == [(11, "sell_spread"), (316, "buy_back")]
    sides = [(line["symbol"], line["side"], line["quantity"], line["price"]) for line in lines if line["event"] == "verdict"]
    assert sides == [
        ("AAA", "sell_short", 100, 200_100),
        ("BBB", "buy", 200, 190_200),
        ("AAA", "buy", 100, 195_100),
        ("BBB", "sell", 200, 189_900),
    ]
    with RawPcapReader(str(tmp_path / "wire.pcap")) as reader:
        wire = [data for data, _ in reader]
    assert len(wire) == summary["frames_in"] + summary["frames_out"]
    assert sum(b"BBB     " in frame and frame[:1] != b"\x01" for frame in wire) >= 2


def test_a_set_pushed_while_it_trades_is_what_orders_go_by_from_its_message_on(tmp_path: Path) -> None:
    """The day triggers by messages 11 and 316."""
    day, pairs, orders = tmp_path / "day.itch", tmp_path / "pairs.toml", tmp_path / "orders.jsonl"
    wider, tight = tmp_path / "wider.toml", tmp_path / "tight.toml"
    day.write_bytes(framed(traded_day()))
    pairs.write_text(PAIR)
    wider.write_text(PAIR.replace("slippage_ticks = 1", "slippage_ticks = 3"))
    tight.write_text(PAIR.replace("slippage_ticks = 1", "slippage_ticks = 0"))
    never = [f"push at message 400,000: the file has {len(traded_day())}; the set was never put in force"]
    for first, second, epochs in ((12, 316, [1, 3]), (11, 317, [2, 2]), (0, 11, [3, 3]), (317, 400_000, [1, 1])):
        given = ("--push", f"{second}:{tight}", "--push", f"{first}:{wider}")
        beyond_the_end = second == 400_000
        summary = call(day, *SMALL, "--config", pairs, "--orders", orders, *given, code=int(beyond_the_end))
        assert summary["findings"] == never * beyond_the_end
        lines = [json.loads(line) for line in orders.read_text().splitlines()]
        for event, each in (("trigger", 1), ("verdict", 2), ("sent", 1)):
            found = [line["epoch"] for line in lines if line["event"] == event]
            assert found == [epoch for epoch in epochs for _ in range(each)]
        beyond = {1: 100, 2: 300, 3: 0}
        prices = [line["price"] for line in lines if line["event"] == "verdict"]
        (sale, buy), (back, away) = ((-beyond[epoch], beyond[epoch]) for epoch in epochs)
        assert prices == [200_200 + sale, 190_100 + buy, 195_000 + away, 190_000 + back]
    # The last one's message never came.
    assert summary["epoch"] == 2


def test_a_push_that_is_no_set_is_refused_before_anything_runs(tmp_path: Path) -> None:
    day, pairs, other = tmp_path / "day.itch", tmp_path / "pairs.toml", tmp_path / "other.toml"
    day.write_bytes(framed(traded_day()))
    pairs.write_text(PAIR)
    other.write_text(PAIR.replace("size_a_shares = 100", "size_a_shares = 50"))
    for push, why in (
        (f"5:{other}", f"{other}: [[pairs]] AAA/BBB: size_a_shares: a push cannot change it"),
        ("5", "--push 5: allowed is INDEX:FILE"),
        (f"x:{other}", "allowed is INDEX:FILE"),
        ("5:nowhere.toml", "there is no file nowhere.toml"),
    ):
        result = CliRunner().invoke(cli.app, ["replay", str(day), *SMALL, "--config", str(pairs), "--push", push])
        assert (result.exit_code, why in result.stderr) == (2, True), result.stderr


def test_the_summary_says_what_pairs_were_held_against(tmp_path: Path) -> None:
    day, pairs = tmp_path / "day.itch", tmp_path / "pairs.toml"
    day.write_bytes(framed(traded_day()))
    static = PAIR.partition("[[limits]]")
    own = "upper_usd = 1\nlower_usd = -9\nexit_short_usd = 0.5\nexit_long_usd = 0.5\n"
    rule = 'name = "moving"\nthresholds = "adaptive"\nalpha_shift = 1\nk_entry = 2\nk_exit = 1\nwarmup_samples = 3\n'
    pairs.write_text(static[0] + static[0].replace(own, rule) + "".join(static[1:]) + "sample_interval_log2_ns = 40\n")
    summary = call(day, "--config", pairs)
    held, moving = summary["pairs"]
    assert (held["pair"], held["thresholds"], held["samples"]) == ("AAA/BBB", "static", 0)
    assert [held[f"{name}_usd"] for name in ("upper", "lower", "exit_short", "exit_long")] == [1.0, -9.0, 0.5, 0.5]
    # One window, so one sample: of the first clock with four sides, (19.90 - 19.01 + 20.05 - 19.00) / 2 dollars.
    assert (moving["pair"], moving["thresholds"], moving["samples"], moving["warmup_samples"]) == ("moving", "adaptive", 1, 3)
    assert (moving["mean_usd"], moving["sigma_usd"], moving["upper_usd"]) == (0.97, 0.0, None)
    assert summary["samples"] == {"taken": 1, "lost": 0, "cut": 0}


def test_with_mode_off_the_gate_refuses_and_nothing_leaves(tmp_path: Path) -> None:
    day, pairs = tmp_path / "day.itch", tmp_path / "pairs.toml"
    day.write_bytes(framed(traded_day()))
    pairs.write_text(PAIR + '[risk]\nmode = "off"\n')
    summary = call(day, *SMALL, "--config", pairs)
    assert (summary["frames_out"], summary["orders"]["frames"], summary["verdicts"]["passed"]) == (0, 0, 0)
    assert summary["verdicts"]["refused"] == summary["verdicts"]["by_reason"]["mode_off"] > 0


WATCHED = """
[risk]
watchdog_ms = 1
stale_after_ms = 1
max_gross_usd = 100_000
max_net_usd = 100_000
max_loss_usd = 100_000
max_open_orders = 100
[ceilings]
max_quantity_shares = 1000
max_notional_usd = 500000
max_long_shares = 10000
max_short_shares = 10000
collar_usd = 10
collar_bps = 300
max_gross_usd = 100_000
max_net_usd = 100_000
max_loss_usd = 100_000
max_open_orders = 100
rate_tokens = 100
"""


def test_a_replay_beats_often_enough_in_the_cards_own_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The day takes longer than the card waits for a host that is silent: REDUCE_ONLY and KILLED, one period each."""
    day, pairs = tmp_path / "day.itch", tmp_path / "pairs.toml"
    opening, rest = traded_day()[:11], traded_day()[11:]
    pause = [add("ZZZ", 3, 5_000 + number, "B", 100, 10_000) for number in range(3_000)]
    day.write_bytes(framed(opening + pause + rest))
    pairs.write_text(PAIR + WATCHED)
    summary = call(day, *SMALL, "--config", pairs)
    assert summary["cycles"] > 2 * 125_000
    assert (summary["findings"], summary["orders"]["sent"], summary["trading_state"]) == ([], 4, "active")
    assert (summary["watchdog_expired"], summary["limits_refused"]) == (0, 0)
    monkeypatch.setattr(Loader, "beat", lambda _: None)
    summary = call(day, *SMALL, "--config", pairs, code=1)
    assert (summary["watchdog_expired"], summary["orders"]["sent"], summary["trading_state"]) == (2, 0, "killed")
    assert summary["verdicts"]["by_reason"]["killed"] > 0
    assert summary["findings"] == [
        "the host's heartbeat came too late, 2 times",
        "trading was stopped: the card ended KILLED",
    ]


def test_the_first_copy_of_each_message_wins_on_two_lines(tmp_path: Path) -> None:
    """Each line loses what the other has; the books are those of all messages, and nothing is missing."""
    messages = list(records(require(AAPL)))[:2_000]
    lines = [Framer(Feed()), Framer(Feed(address=0xE931C46F, port=26_400))]
    packets = [[line.packet([message]) for line in lines] for message in messages]
    # The first packet is line B's alone, the second line A's, the third comes on both, B first.
    sent = [frame for number, (a, b) in enumerate(packets) for frame in ([b], [a], [b, a])[number % 3]]
    path, both = tmp_path / "two.pcap", tmp_path / "two.toml"
    with path.open("wb") as file:
        log = WireLog(file, 125_000_000)
        for number, frame in enumerate(sent):
            log.add(1_000 * number, frame)
        log.flush(1_000 * len(sent))
    both.write_text('[line_b]\naddress = "233.49.196.111"\nport = 26400\n')
    expected = judged(framed(messages))
    summary = call(path, *SMALL, "--config", both, "--symbol", "AAPL=13", "--bbo", tmp_path / "bbo.csv")
    assert summary["feed"] | {"address_b": "233.49.196.111", "port_b": 26_400} == summary["feed"]
    assert (summary["messages"], summary["gaps"], summary["findings"]) == (2_000, 0, [])
    assert [row[1:] for row in written(tmp_path / "bbo.csv", {"AAPL": 13})] == [row[1:] for row in expected]
    assert summary["drops"]["duplicate"] == len(sent) - len(messages)
    twin = call(path, *SMALL, "--config", both, "--symbol", "AAPL=13", "--engine", "twin", "--bbo", tmp_path / "twin.csv")
    assert (tmp_path / "twin.csv").read_bytes() == (tmp_path / "bbo.csv").read_bytes()
    assert twin["drops"]["duplicate"] == summary["drops"]["duplicate"]


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    day, pairs = tmp_path / "day.itch", tmp_path / "pairs.toml"
    day.write_bytes(framed(traded_day()))
    pairs.write_text(PAIR)
    runs = []
    for name in ("one", "two"):
        outputs = [tmp_path / f"{name}.{suffix}" for suffix in ("csv", "jsonl", "pcap")]
        summary = call(day, *SMALL, "--config", pairs, "--bbo", outputs[0], "--orders", outputs[1], "--pcap", outputs[2])
        runs.append((summary, [path.read_bytes() for path in outputs]))
    assert runs[0] == runs[1]


def test_an_afternoon_goes_on_from_where_the_morning_ended(tmp_path: Path) -> None:
    """Positions, cash and numbers are brought over; pairs begin flat, so the spread is sold once more."""
    day, pairs, noon, evening = (tmp_path / name for name in ("day.itch", "pairs.toml", "noon.json", "evening.json"))
    day.write_bytes(framed(traded_day()[:312]))
    pairs.write_text(PAIR)
    morning = call(day, *SMALL, "--config", pairs, "--save-ledger", noon)
    assert morning["findings"] == []
    held = {slot["symbol"]: (slot["position"], slot["cash"], slot["average_usd"]) for slot in morning["slots"]}
    assert held == {"AAA": (-100, 20_020_000, 20.02), "BBB": (200, -38_020_000, 19.01)}
    assert json.loads(noon.read_text())["next_user_ref_num"] == 3

    afternoon = call(day, *SMALL, "--config", pairs, "--ledger", noon, "--save-ledger", evening)
    assert afternoon["findings"] == []
    held = {slot["symbol"]: (slot["position"], slot["cash"], slot["average_usd"]) for slot in afternoon["slots"]}
    assert held == {"AAA": (-200, 40_040_000, 20.02), "BBB": (400, -76_040_000, 19.01)}
    assert afternoon["portfolio"]["pnl"] == 2 * morning["portfolio"]["pnl"]
    saved = json.loads(evening.read_text())
    assert saved["next_user_ref_num"] == 5 and [slot["entry_shares"] for slot in saved["slots"]] == [200, 400]

    result = CliRunner().invoke(cli.app, ["compare", str(day), *SMALL, "--config", str(pairs), "--ledger", str(noon), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["trading"]["records"]["fill"] == {"rtl": 2, "twin": 2}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"next_user_ref_num": 7}, "checksum: "),
        ({"version": 9}, "version: 9 was given, allowed is 1"),
        ({}, "slots: CCC was given; allowed are the symbols watched: AAA, BBB"),
    ],
)
def test_a_ledger_that_is_none_is_refused_before_anything_runs(tmp_path: Path, change: dict, why: str) -> None:
    day, pairs, noon = (tmp_path / name for name in ("day.itch", "pairs.toml", "noon.json"))
    day.write_bytes(framed(traded_day()))
    pairs.write_text(PAIR)
    slot = SlotLedger(symbol="CCC", position=1, cash=-5, entry_shares=1, entry_notional=5, mark=5)
    snapshot.save(Snapshot(next_user_ref_num=2, trading_state="active", slots=(slot,)), noon)
    noon.write_text(json.dumps(json.loads(noon.read_text()) | change))
    result = CliRunner().invoke(cli.app, ["replay", str(day), "--config", str(pairs), "--ledger", str(noon)])
    assert result.exit_code == 2 and result.stdout == ""
    assert f"{noon}: {why}" in result.stderr
    result = CliRunner().invoke(cli.app, ["replay", str(day), "--engine", "twin", "--ledger", str(noon)])
    assert result.exit_code == 2 and "--ledger: a replay of the twin" in result.stderr
