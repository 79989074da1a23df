"""`t2t compare` on what both engines must read alike, and on a gateware that lies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap
from typer.testing import CliRunner

from hdl.spec import events
from hdl.spec.geometry import PRESETS
from hdl.spec.reasons import IntegrityCause
from host import cli, compare
from tests.host.records import add, cancel, delete, directory, executed, framed
from tests.support.data import AAPL, ITCH_TYPES, ITCH_WIRE, captures, require
from tests.support.geometries import WIDE

SMALL = ("--preset", "versa")


@pytest.fixture(params=[1, 8], ids=["gmii", "xgmii"], autouse=True)
def _width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small card at one and at eight bytes a beat."""
    monkeypatch.setitem(PRESETS, "versa", {1: PRESETS["versa"], 8: WIDE}[request.param])


def call(*arguments: object, code: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(cli.app, ["compare", *map(str, arguments), *SMALL, "--json"], catch_exceptions=False)
    assert result.exit_code == code, result.stdout + result.stderr
    return json.loads(result.stdout)


def test_aapl_morning() -> None:
    found = call(require(AAPL), "--pack", 3)
    assert (found["equal"], found["records"], found["counts"]) == (True, 10_000, {})
    assert found["bbo_changes"] == {"rtl": 2792, "twin": 2792}


@pytest.mark.parametrize("folder", [ITCH_WIRE, ITCH_TYPES])
def test_real_captures(folder: str) -> None:
    for path in captures(folder)[:6]:
        assert call(path)["equal"]


def broken() -> list[bytes]:
    """Rules broken in several slots, and records that are no messages."""
    good = [directory("AAA", 1), directory("BBB", 2), directory("CCC", 3), directory("DDD", 4)]
    prices = [10_000 + (100 if number % 2 else -1) * number for number in range(30)]
    good += [add("AAA", 1, number, "BS"[number % 2], 100, prices[number]) for number in range(1, 30)]
    bad = [
        add("AAA", 1, 5, "B", 10, 9_000),
        executed(2, 1, 10, 1),
        add("CCC", 3, 101, "S", 0, 500),
        add("DDD", 4, 102, "S", 10, 10_001),
        cancel(1, 7, 1_000_000),
        b"Z" * 19,
        delete(1, 3) + b"!",
        add("EEE", 5, 103, "B", 10, 500),
        delete(6, 1),
    ]
    return good + bad + [delete(1, number) for number in range(1, 30)] + [delete(4, 102)]


@pytest.mark.parametrize("pack", [1, 50])
def test_broken_rules(tmp_path: Path, pack: int) -> None:
    path = tmp_path / "broken.itch"
    path.write_bytes(framed(broken()))
    found = call(path, "--pack", pack)
    assert found["equal"], found
    # EEE and the nameless symbol of the last message have slots too.
    assert found["transitions"] == {"rtl": 5, "twin": 5}
    assert "2 records are not of ITCH 5.0" in found["findings"][0]


@pytest.mark.parametrize("pack", [1, 50])
def test_malformed_messages(tmp_path: Path, pack: int) -> None:
    """One of each type that the book looks at; types it does not; an error right before one that is of nobody knows whom."""
    symbols = [chr(65 + number) * 3 for number in range(10)]
    given = [directory(symbol, locate) for locate, symbol in enumerate(symbols, 1)]
    given += [add(symbol, locate, 10 * locate, "B", 100, 10_000) for locate, symbol in enumerate(symbols, 1)]
    for locate, kind in enumerate("AFECXDUP", 1):
        given += [kind.encode() + locate.to_bytes(2, "big") + bytes(8 + 30 * (locate % 2)), delete(9, 90)]
        given.append(add("III", 9, 90, "B", 1, 100))
    given += [kind.encode() + (9).to_bytes(2, "big") + bytes(70) for kind in "SRHYLVWKJhQBINOZ"]
    given += [delete(10, 999), b"A" + (9).to_bytes(2, "big") + bytes(7), delete(9, 999)]
    given += [delete(locate, 10 * locate) for locate in range(1, 11)]
    path = tmp_path / "malformed.itch"
    path.write_bytes(framed(given))
    found = call(path, "--pack", pack)
    assert found["equal"], found
    assert found["transitions"] == {"rtl": 11, "twin": 11}


def test_a_capture_with_duplicates_gaps_and_bad_packets(tmp_path: Path) -> None:
    orders = [add("XYZ", 7, number, "B", 100, 10_000 + 100 * number) for number in range(1, 20)]

    def packet(sequence: int, *messages: bytes, count: int | None = None, tail: bytes = b"") -> Ether:
        head = b"SESSION001" + sequence.to_bytes(8, "big") + (len(messages) if count is None else count).to_bytes(2, "big")
        payload = head + framed(list(messages)) + tail
        frame = Ether(dst="01:00:5e:01:02:03") / IP(src="10.0.0.9", dst="233.1.2.3") / UDP(sport=5, dport=99) / payload
        return Ether(bytes(frame))

    wrong_sum, wrong_ip, short = packet(8, orders[7]), packet(8, orders[8]), packet(8, orders[9])
    wrong_sum[UDP].chksum ^= 0x0F
    wrong_ip[IP].chksum ^= 0x0F
    sent = [
        packet(1, *orders[:3]),
        packet(1, *orders[:3]),
        packet(3, *orders[2:5]),
        packet(7, orders[6]),
        wrong_sum,
        wrong_ip,
        Ether(bytes(short)[:-9]),
        packet(8, orders[10], tail=b"?"),
        packet(9, orders[11], count=2),
        packet(10, b"", orders[12]),
        packet(20, count=0),
        packet(20, count=0, tail=b"?"),
        packet(21, count=0xFFFF),
        packet(21, delete(7, 999), orders[13]),
        packet(23, orders[14], b"?" * 7, orders[15]),
    ]
    path = tmp_path / "feed.pcap"
    wrpcap(str(path), sent)
    found = call(path)
    assert found["equal"], found
    assert found["transitions"]["twin"] == 2
    assert call(path, "--hold-until-fcs")["equal"]


def windows() -> list[bytes]:
    """Best bids whose going empties the window, one symbol's after the other's, while two others trade."""
    symbols = [("AAA", 1), ("BBB", 2), ("CCC", 3), ("DDD", 4)]
    messages = [directory(*symbol) for symbol in symbols]
    numbers = iter(range(1, 10_000))
    for symbol in symbols[:2]:
        messages += [add(*symbol, next(numbers), "B", 100, 500_000 - 100 * place) for place in range(40)]
    for turn in range(8):
        symbol, best = symbols[turn % 2], next(numbers)
        messages += [add(*symbol, best, "B", 7, 900_000), delete(symbol[1], best)]
        for place in range(10):
            messages.append(add(*symbols[2 + place % 2], next(numbers), "S", 5, 800_000 - 1_000 * turn - 100 * place))
        messages.append(add(*symbol, next(numbers), "B", 9, 500_000))
    return messages


@pytest.mark.parametrize("pack", [1, 60])
def test_windows_that_run_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: int) -> None:
    """What others say while a window is filled comes before its best bid and offer; equal all the same, and EXACT in the end."""
    cards: list[compare.Recorder] = []

    class Kept(compare.Recorder):
        def __init__(self) -> None:
            super().__init__()
            cards.append(self)

    monkeypatch.setattr(compare, "Recorder", Kept)
    path = tmp_path / "windows.itch"
    path.write_bytes(framed(windows()))
    found = call(path, "--pack", pack)
    assert found["equal"], found
    assert found["transitions"] == {"rtl": 0, "twin": 0}
    order = [record["sequence"] for record in cards[0].records if record["kind"] == events.BBO.code]
    assert order != sorted(order)
    causes = [IntegrityCause(record["cause"]) for record in cards[0].records if record["kind"] == events.INTEGRITY.code]
    assert causes.count(IntegrityCause.WINDOW) == causes.count(IntegrityCause.REFILLED) == 8


def test_the_first_difference_is_shown_with_what_led_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [add("AAA", 1, number, "B", 100 * number, 10_000 + 100 * number) for number in range(1, 11)]
    path = tmp_path / "day.itch"
    path.write_bytes(framed(messages))
    take = compare.Recorder.__call__

    def lie(self: compare.Recorder, record: dict[str, Any]) -> None:
        take(self, dict(record) | ({"bid_shares": 7} if record.get("sequence") == 7 and "bid_shares" in record else {}))

    monkeypatch.setattr(compare.Recorder, "__call__", lie)
    found = call(path, code=1)
    shown = found["difference"]
    assert (shown["what"], shown["index"], shown["symbol"]) == ("bbo", 6, "AAA")
    assert (shown["rtl"]["bid_shares"], shown["twin"]["bid_shares"]) == (7, 700)
    assert [message["index"] for message in shown["messages"]] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert shown["bids"][:2] == [{"price": 10_600, "shares": 600}, {"price": 10_500, "shares": 500}]
    text = CliRunner().invoke(cli.app, ["compare", str(path), *SMALL])
    assert text.exit_code == 1
    for line in ("first difference (bbo) at message 6, AAA", "bid 1.0600 x 600", "> 6 type=A"):
        assert line in text.stdout


def test_a_row_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "day.itch"
    path.write_bytes(framed([add("AAA", 1, number, "B", 100, 10_000 + 100 * number) for number in range(1, 5)]))
    take = compare.Recorder.__call__
    monkeypatch.setattr(compare.Recorder, "__call__", lambda self, record: record.get("sequence") == 4 or take(self, record))
    shown = call(path, code=1)["difference"]
    assert (shown["index"], shown["rtl"], shown["twin"]["bid_price"]) == (3, None, 10_400)


def test_a_file_that_cannot_be_read_is_code_4(tmp_path: Path) -> None:
    path = tmp_path / "none.itch"
    path.write_bytes(b"")
    result = CliRunner().invoke(cli.app, ["compare", str(path)])
    assert result.exit_code == 4 and "the file is empty" in result.stderr
