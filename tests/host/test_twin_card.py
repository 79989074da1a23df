"""A day through gateware and twin by the same host code: every record with its clock, every number of the summary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from hdl.spec import events
from host import cli, demo
from host.card import WiredCard
from host.config import Configuration, Liquidation
from host.framing import Feed
from host.loader import Loader, OrderSession
from host.replay import Push, Replay
from host.stimulus import from_messages
from host.summary import Summary
from host.twin_card import TwinCard
from sim.card import SimulatedCard
from sim.market import Market
from sim.venue import Venue
from tests.host.records import framed
from tests.host.test_compare_trading import ADAPTIVE, CONFIGURATION, DAYS, USD, WIDE, another
from tests.support.geometries import GEOMETRIES

Record = Mapping[str, Any]


def played(
    card: WiredCard, configuration: Configuration, market: Market, *, pushes: tuple[Push, ...] = (), pack: int = 1
) -> tuple[list[Record], Summary]:
    feed, session, records = Feed(session=b"T2TDEMO001"), OrderSession(), []
    loader = Loader(card)
    loader.identify()
    loader.load(configuration, feed, session)
    loader.arm(configuration.mode)
    venue = Venue(**session.at_exchange())
    replay = Replay(card, loader, configuration, feed, exchange=venue, listen=records.append, pushes=pushes)
    replay.run(from_messages(market.generate(), feed, pack=pack))
    assert not venue.faults
    return records, replay.summary(file="", form="itch", engine="")


def plain(records: list[Record]) -> list[Record]:
    """Without what the queue of records is about, and without those of the card's own setting up."""
    kept = (record for record in records if record["kind"] != events.INTEGRITY.code)
    return [{name: value for name, value in record.items() if name not in ("words", "lost", "number")} for record in kept]


def equal(configuration: Configuration, *, messages: int, preset: str = "versa", **options: Any) -> Summary:
    market = Market(seed=1, messages=messages)
    with SimulatedCard(GEOMETRIES[preset]) as card:
        told, summary = played(card, configuration, market, **options)
    said, of_twin = played(TwinCard(GEOMETRIES[preset]), configuration, market, **options)
    for one, other in zip(plain(told), plain(said), strict=False):
        assert one == other
    assert len(told) == len(said) + 1
    assert of_twin == summary
    return summary


def test_the_demos_day() -> None:
    market = Market(seed=1, messages=6_000)
    summary = equal(demo.configuration(market), messages=6_000)
    assert summary.fills.count > 20 and summary.frames_out > summary.orders.frames


def test_eight_bytes_a_beat() -> None:
    """Messages that wait for the book, touches that follow each other closely."""
    market = Market(seed=1, messages=6_000)
    summary = equal(DAYS["hubs"].configuration(market), messages=6_000, preset="versa_10g", pack=20)
    assert summary.fills.count > 20


def test_sets_and_a_way_out() -> None:
    """A loss that ends trading, what is held is sold; before it another set."""
    base = demo.configuration(Market(seed=1, messages=8_000))
    base = another(base, {"risk": {"max_loss_usd": USD(1)}, "limits": WIDE})
    terms = Liquidation(slice_shares=40, interval_ms=Decimal("0.1"), slippage_ticks=5, max_tries=20)
    base = replace(base, liquidation=terms, ceilings=None)
    push = Push(3_000, another(base, {"pairs": {"slippage_ticks": 0}, "strategy": {"cooldown_us": USD(10)}}))
    summary = equal(base, messages=8_000, pushes=(push,), pack=2)
    assert summary.epoch == 2 and summary.portfolio.loss_reached
    assert all(slot.position == 0 for slot in summary.slots)


def test_adaptive_pairs() -> None:
    base = another(demo.configuration(Market(seed=1, messages=5_000)), {"pairs": ADAPTIVE})
    assert equal(base, messages=5_000, preset="large").samples.taken > 100


def test_from_the_command_line(tmp_path: Path) -> None:
    market = Market(seed=1, messages=4_500)
    path, config = tmp_path / "day.itch", tmp_path / "pairs.toml"
    path.write_bytes(framed(list(market.generate())))
    config.write_text(CONFIGURATION.format(*market.names[:2]))
    shown, told = {}, {}
    for engine in ("rtl", "twin"):
        out = tmp_path / f"{engine}.jsonl"
        arguments = ["replay", str(path), "-c", str(config), "--preset", "versa", "--engine", engine, "--orders", str(out)]
        result = CliRunner().invoke(cli.app, [*arguments, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        shown[engine], told[engine] = json.loads(result.stdout), out.read_text()
    assert told["rtl"] == told["twin"] and '"event": "fill"' in told["twin"]
    assert shown["twin"].pop("not_modelled") and shown["twin"].pop("engine") != shown["rtl"].pop("engine")
    assert shown["rtl"] == shown["twin"]
    text = CliRunner().invoke(cli.app, arguments).stdout
    assert "not modelled: a watchdog that expires" in text and "P&L" in text


def test_what_it_does_not_have_is_refused(tmp_path: Path) -> None:
    path, config = tmp_path / "day.itch", tmp_path / "pairs.toml"
    path.write_bytes(framed(list(Market(seed=1, messages=4_300).generate())))
    config.write_text(CONFIGURATION.format("A", "B"))
    result = CliRunner().invoke(cli.app, ["replay", str(path), "-c", str(config), "--engine", "twin", "--hold-until-fcs"])
    assert result.exit_code == 2 and "as messages come" in result.stderr
