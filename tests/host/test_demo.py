"""The demo: its parts on a model card in seconds, the whole of it on the gateware."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from hdl.spec.geometry import PRESETS
from hdl.spec.reasons import PairAction
from host import cli, pictures
from host import demo as demo_module
from host.config import Configuration
from host.demo import Result, configuration, draw, run
from host.mirror import Mark, Mirror, Outcome
from host.replay import Progress
from host.screen import Screen, gauge
from sim.card import SimulatedCard
from sim.market import CLOSE, OPEN, Market
from tests.host.model_card import ModelCard

MARKET = Market(seed=2, messages=6_000)


def quiet() -> Console:
    return Console(file=io.StringIO(), width=140)


@pytest.fixture(scope="module")
def result() -> Result:
    return run(ModelCard(), MARKET, quiet(), live=False)


def record(kind: str, **values: Any) -> dict[str, Any]:
    return {"kind": kind, "cycle": 0} | values


def bbo(slot: int, bid: int, ask: int) -> dict[str, Any]:
    return record("B", slot=slot, bid_price=bid, bid_shares=100, ask_price=ask, ask_shares=100, timestamp=OPEN, integrity=0)


def fill(slot: int, side: int, quantity: int, price: int, position: int, cash: int) -> dict[str, Any]:
    return record("F", slot=slot, side=side, quantity=quantity, price=price, position=position, cash=cash, pair=0)


@pytest.fixture
def settings() -> Configuration:
    return configuration(MARKET)


@pytest.fixture
def mirror(settings: Configuration) -> Mirror:
    return Mirror(settings, {slot.symbol: number for number, slot in enumerate(settings.slots)})


def test_the_three_books_agree_and_orders_were_filled(result: Result) -> None:
    assert result.breaks == ()
    assert result.problems == []
    assert result.venue.counts["fills"] == result.mirror.fills > 0
    assert result.venue.counts["orders"] == result.mirror.passed == result.summary.verdicts.passed
    assert result.mirror.messages == result.summary.records == result.summary.messages


def test_a_ledger_that_differs_is_a_break_and_a_problem() -> None:
    differing = run(ModelCard(broken_ledger=True), MARKET, quiet(), live=False)
    assert differing.breaks
    assert differing.breaks[0].folded == differing.breaks[0].venue != differing.breaks[0].ledger
    assert any("position break" in problem for problem in differing.problems)


def test_a_portfolio_that_differs_is_a_problem() -> None:
    for name in ("pnl", "gross", "net_long", "net_short"):
        differing = run(ModelCard(wrong_sums={name: -10_000}), MARKET, quiet(), live=False)
        found = [problem for problem in differing.problems if problem.startswith(f"{name}: the card says -1.0000 dollars")]
        assert len(found) == 1, differing.problems


def test_longs_are_marked_at_the_bid_and_shorts_at_the_offer(mirror: Mirror) -> None:
    mirror.take(bbo(0, 100_000, 100_200))
    mirror.take(bbo(1, 50_000, 50_300))
    mirror.take(fill(0, 0, 80, 100_200, 80, -8_016_000))
    mirror.take(fill(1, 2, 40, 50_000, -40, 2_000_000))
    assert mirror.holdings[0].value == 80 * (100_000 - 100_200)
    assert mirror.holdings[1].value == 40 * (50_000 - 50_300)
    assert mirror.pnl == -28_000 == mirror.pair_value(mirror.pairs[0])
    assert mirror.units(mirror.pairs[0]) == (1, 1)
    # A side that empties leaves the last mark in place.
    mirror.take(bbo(0, 0, 100_200))
    assert mirror.pnl == -28_000


def test_a_trigger_is_refused_until_its_orders_are_sent_and_filled(mirror: Mirror) -> None:
    trigger = record("T", pair=0, action=PairAction.BUY_SPREAD, spread=5 * 10_000 * 4096, epoch=7)
    verdict = {"pair": 0, "slot": 0, "side": 0, "quantity": 80, "price": 100_000}
    mirror.take(trigger)
    mirror.take(record("V", refusals=1 << 15 | 1 << 20, user_ref_num=0, **verdict))
    assert mirror.reasons == {"market_closed": 1, "other_leg": 1}
    mirror.take(trigger)
    mirror.take(record("V", refusals=0, user_ref_num=1, **verdict))
    mirror.take(record("O", pair=0, trigger_type=ord("A"), eot_to_sof=20, som_to_sof=56))
    mirror.take(fill(0, 0, 80, 100_000, 80, -8_000_000))
    assert mirror.pairs[0].marks == [
        Mark(0, PairAction.BUY_SPREAD, 5.0, Outcome.REFUSED, epoch=7),
        Mark(0, PairAction.BUY_SPREAD, 5.0, Outcome.FILLED, 80, epoch=7),
    ]
    assert mirror.eot_to_sof == {"A": {20: 1}}


def test_news_and_halts_come_from_the_feed(result: Result) -> None:
    halts = {symbol: [each for each in found if each[0] > OPEN] for symbol, found in result.mirror.halts.items()}
    assert {symbol for symbol, found in halts.items() if found} >= {"CORA", "DUNB"}
    assert all(end is not None and OPEN < begin < end < CLOSE for found in halts.values() for begin, end in found)
    assert result.mirror.news[-1] == "20:05:00 messages end"


def test_pictures_are_written_and_the_same_for_the_same_run(result: Result, settings: Configuration, tmp_path: Path) -> None:
    files = draw(result, settings, tmp_path / "one", seed=2)
    again = draw(result, settings, tmp_path / "two", seed=2)
    assert [file.name for file in files] == ["spread.png", "latency.png"]
    for file, other in zip(files, again, strict=True):
        raw = file.read_bytes()
        assert raw[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(raw) > 20_000
        assert raw == other.read_bytes()


def test_pictures_of_a_run_without_trades_say_so(settings: Configuration, tmp_path: Path, result: Result) -> None:
    nothing = Result(
        result.summary, Mirror(settings, {slot.symbol: n for n, slot in enumerate(settings.slots)}), result.venue, ()
    )
    assert all(file.stat().st_size > 5_000 for file in draw(nothing, settings, tmp_path, seed=2))


def test_the_screen_shows_feed_pairs_positions_and_verdicts(result: Result, settings: Configuration) -> None:
    console = quiet()
    screen = Screen(result.mirror, settings, Progress(), total=6_000, console=console)
    console.print(screen.picture())
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for expected in (
        "SIMULATED card and venue",
        "ABLA-ABLB",
        "IVYB",
        "orders passed",
        "refused for",
        "16:00:00 market hours end",
        "P&L",
        "trades",
    ):
        assert expected in text, expected


@pytest.mark.parametrize(("share", "place"), [(0.0, 6), (0.5, 12), (1.0, 18), (-9.0, 0), (9.0, 24)])
def test_the_gauge_stands_between_the_thresholds(settings: Configuration, mirror: Mirror, share: float, place: int) -> None:
    pair, view = settings.pairs[0], mirror.pairs[0]
    low, high = float(pair.lower_usd), float(pair.upper_usd)
    view.sell = view.buy = low + share * (high - low)
    view.times.append(OPEN)
    assert gauge(pair, view).plain.index("●") == place


def test_an_adaptive_pair_has_no_gauge_but_its_spread(settings: Configuration, mirror: Mirror, tmp_path: Path) -> None:
    none = dict.fromkeys(("upper_usd", "lower_usd", "exit_short_usd", "exit_long_usd"))
    pair, view = settings.pairs[0].model_copy(update={"thresholds": "adaptive", **none}), mirror.pairs[0]
    assert gauge(pair, view).plain == "adaptive"
    view.sell, view.buy = 1.25, 1.75
    view.times.append(OPEN)
    assert gauge(pair, view).plain == "1.5000 adaptive"
    view.times.clear()
    pictures.spread(tmp_path / "spread.png", pair, view, begin=OPEN, end=CLOSE)
    assert (tmp_path / "spread.png").stat().st_size > 10_000


def test_the_command_prints_summary_files_and_reconciliation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo_module.simulated, "SimulatedCard", lambda _: contextlib.nullcontext(ModelCard()))
    options = ["demo", "--seed", "2", "--messages", "6000", "--out", str(tmp_path)]
    done = CliRunner().invoke(cli.app, options)
    assert done.exit_code == 0, done.output
    for expected in ("positions and cash agree in all 16 symbols", "spread.png", "latency.png", "EOT->SOF"):
        assert expected in done.stdout, expected
    assert "SIMULATED card and venue, GENERATED market" in done.stderr
    assert "of about 6,000 messages" in done.stderr
    as_json = json.loads(CliRunner().invoke(cli.app, [*options, "--json"]).stdout)
    assert as_json["reconciliation"] == {"agree": True, "breaks": []}
    assert as_json["simulated"] == {"card": True, "venue": True, "market": "generated"}
    assert len(as_json["pairs"]) == 8
    assert [Path(file).exists() for file in as_json["files"]] == [True, True]


def test_a_break_ends_the_command_with_findings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = ModelCard(broken_ledger=True)
    monkeypatch.setattr(demo_module.simulated, "SimulatedCard", lambda _: contextlib.nullcontext(broken))
    done = CliRunner().invoke(cli.app, ["demo", "--seed", "2", "--messages", "6000", "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert "DIFFER" in done.stdout
    assert "position break" in done.stderr


def test_the_gateware_trades_the_generated_day() -> None:
    with SimulatedCard(PRESETS["versa"]) as card:
        whole = run(card, MARKET, quiet(), live=False)
    assert whole.problems == []
    assert whole.summary.messages == whole.summary.records
    assert all(slot.integrity == "exact" for slot in whole.summary.slots)
    assert whole.venue.counts["fills"] > 10
    assert whole.venue.counts["orders"] == whole.summary.orders.sent
    assert whole.summary.eot_to_sof.max_cycles <= 30
