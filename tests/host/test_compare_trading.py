"""Trading of gateware and twin on days that provoke every refusal the demo's market can, and a twin that lies."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hdl.spec.geometry import PRESETS
from hdl.spec.reasons import IntegrityCause, Miss, Mode, Refusal, TradingState
from host import cli, compare, compare_trading, demo
from host.config import Configuration, Pair
from host.journal import Journal, RecordingCard
from host.loader import Loader
from host.summary import Summary
from sim.market import Market
from sim.twin.trading import TradingTwin
from tests.host.records import add, delete, framed, system_event, trading_action
from tests.support import fickle
from tests.support.fickle import Act, Moods, traded
from tests.support.geometries import GEOMETRIES

USD = Decimal
_OPENS = 2_400
"""Messages by then, with which trading begins."""
FREE = {"rate_tokens": 5_000, "rate_interval_us": USD(1)}
WIDE = {"max_long_shares": 100_000, "max_short_shares": 100_000, "max_quantity_shares": 1_000}
NOT_PROVOKED = {Refusal.INTEGRITY, Refusal.STALE, Refusal.OFF_TICK}
"""A book that falls between trigger and gate, a feed silent between them, a limit off the grid: no market
brings these about.
`tests/sim/test_trading_twin.py` does."""


@dataclass
class Day:
    """A configuration, as it differs from the demo's, and what happens."""

    messages: int = 6_000
    sample: int = 0
    """Messages of it where the whole is left to a soak."""
    risk: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    pairs: dict[str, Any] = field(default_factory=dict)
    cooldown: Decimal = USD(1)
    interval: int = 34
    hubs: int = 0
    """More pairs, all with one of two symbols."""
    alternate: bool = False
    """Every third symbol and every other pair is off."""
    moods: Moods = Moods()
    acts: dict[int, Act] = field(default_factory=dict)
    changes: tuple[dict[str, Any], ...] = ()
    """Of the sets that come into force in turn, one after the other: how they differ, see `another`."""
    orders: int = 0
    """Orders of the host, at random."""
    preset: str = "versa"
    becomes: str = ""
    """What becomes of pairs that are legged, among others."""
    brings: str = ""
    """Names of the reasons and misses it brings about, among others."""

    def configuration(self, market: Market) -> Configuration:
        base = demo.configuration(market)
        pairs = [pair.model_copy(update=self.pairs) for pair in base.pairs]
        pairs += hub_pairs(base, market, self.hubs, self.pairs)
        limits = {symbol: limit.model_copy(update=self.limits) for symbol, limit in base.limits.items()}
        if self.alternate:
            pairs = [pair.model_copy(update={"enabled": number % 2 == 0}) for number, pair in enumerate(pairs)]
            off = list(limits)[::3]
            limits |= {symbol: limits[symbol].model_copy(update={"enabled": False}) for symbol in off}
        strategy = {"cooldown_us": self.cooldown, "sample_interval_log2_ns": self.interval}
        return replace(
            base,
            ceilings=None,
            pairs=tuple(pairs),
            limits=limits,
            risk=base.risk.model_copy(update=FREE | self.risk),
            strategy=base.strategy.model_copy(update=strategy),
        )


def hub_pairs(base: Configuration, market: Market, count: int, changes: dict[str, Any]) -> list[Pair]:
    """Pairs of two symbols with all others, so many that a change of one is not through with its list before the next."""
    rng, closes = random.Random(count), market.previous_closes
    names = [slot.symbol for slot in base.slots]
    found = []
    while len(found) < count:
        leg_a, leg_b = rng.choice(names[:2]), rng.choice(names)
        if leg_a == leg_b:
            continue
        middle = (USD(closes[leg_a]) - USD(closes[leg_b])) / 10_000
        row = {"name": f"hub {len(found)}", "leg_a": leg_a, "leg_b": leg_b, "weight_a": USD(1), "weight_b": USD(1)}
        at = {"upper_usd": middle + USD("0.3"), "lower_usd": middle - USD("0.3")}
        at |= {"exit_short_usd": middle, "exit_long_usd": middle}
        found.append(base.pairs[0].model_copy(update=row | at | changes))
    return found


def write(name: str, value: int, block: str = "risk") -> Act:
    return lambda card, _: card.write(block, name, value)


def another(base: Configuration, change: dict[str, Any]) -> Configuration:
    """The same with other numbers: a table's keys, or their values."""
    values: dict[str, dict[str, Any]] = {"risk": {}, "limits": {}, "pairs": {}, "strategy": {}} | change
    return replace(
        base,
        risk=base.risk.model_copy(update=values["risk"]),
        limits={symbol: limit.model_copy(update=values["limits"]) for symbol, limit in base.limits.items()},
        pairs=tuple(pair.model_copy(update=values["pairs"]) for pair in base.pairs),
        strategy=base.strategy.model_copy(update=values["strategy"]),
    )


def pushed(day: Day, base: Configuration) -> dict[int, Act]:
    """Sets are written in one quiet moment, and committed some messages later, while frames come in."""
    acts: dict[int, Act] = {}
    every = (day.messages - _OPENS) // (len(day.changes) + 1)
    for number, change in enumerate(day.changes):
        at = _OPENS + number * every
        acts[at], acts[at + 7 + number % 5] = staged(another(base, change)), commit(number + 2)
    return acts


def staged(wanted: Configuration) -> Act:
    return lambda _, loader: loader.stage(wanted)


def commit(epoch: int) -> Act:
    def act(card: RecordingCard, _: Loader) -> None:
        card.run(37 * epoch % 201)
        card.write("risk", "commit", epoch)

    return act


def by_hand(count: int, market: Market, messages: int) -> dict[int, Act]:
    """Orders near what the market was, some of them of slots that are none."""
    rng = random.Random(count)

    def order(card: RecordingCard, loader: Loader) -> None:
        symbol, slot = rng.choice(list(loader.slots.items()))
        price = round(market.previous_closes[symbol] * rng.choice((0.98, 0.999, 1, 1.001, 1.02))) // 100 * 100
        card.run(rng.randrange(100))
        slot = rng.choice((*(slot,) * 30, 1023))
        card.write_row("risk", "order", 0, slot=slot, side=rng.randrange(2), quantity=rng.choice((0, 5, 50)), price=price)
        # Where it is the last thing of a day, a card that rests is not waited for.
        card.run(50)

    return {rng.randrange(_OPENS, messages): order for _ in range(count)}


def pulse(name: str, block: str = "risk") -> Act:
    return lambda card, _: card.pulse(block, name)


ADAPTIVE = {
    "thresholds": "adaptive", "upper_usd": None, "lower_usd": None, "exit_short_usd": None, "exit_long_usd": None,
    "alpha_shift": 3, "k_entry": USD("1.5"), "k_exit": USD("0.25"), "warmup_samples": 16,
}  # fmt: skip
SETS = (
    {"strategy": {"cooldown_us": USD(200)}, "risk": {"rate_interval_us": USD(5)}},
    {"pairs": {"max_triggers": 3, "slippage_ticks": 0}, "risk": {"slot_rate_orders": 2, "slot_rate_window_us": USD(150)}},
    {"pairs": {"enabled": False}, "risk": {"slot_rate_orders": 1, "slot_rate_window_us": USD(70)}},
    {"limits": {"collar_usd": USD("0.2"), "max_quantity_shares": 90}, "risk": {"slot_rate_orders": 1}},
    {"risk": {"max_gross_usd": USD(60_000), "duplicate_window_us": USD(2_000)}, "strategy": {"cooldown_us": USD(0)}},
    {"risk": {"max_open_orders": 1, "rate_interval_us": USD(0)}},
    {},
)
"""Sets, as they differ from the first."""
ADAPTIVE_SETS = (
    {"pairs": {"alpha_shift": 5, "k_entry": USD("1.25")}}, {"strategy": {"sample_interval_log2_ns": 30}},
    {"pairs": {"warmup_samples": 40}}, {"pairs": {"k_exit": USD("0.5")}},
)
DAYS = {
    "as in the demo": Day(
        brings="rate market_closed other_leg cooldown max_units",
        cooldown=USD(100), risk={"rate_tokens": 6, "rate_interval_us": USD(60)},
    ),
    "portfolio": Day(
        brings="gross net duplicate transmitter_busy",
        risk={"max_gross_usd": USD(60_000), "max_net_usd": USD(30_000), "duplicate_window_us": USD(2_000)},
    ),
    "open orders": Day(
        brings="open_orders pending gate_busy",
        hubs=20, risk={"max_open_orders": 1}, moods=Moods(silent=100), limits=WIDE,
    ),
    "windows": Day(brings="slot_rate", risk={"slot_rate_orders": 1, "slot_rate_window_us": USD(150)}),
    "tight limits": Day(
        brings="quantity notional collar long_limit short_limit stock_halted crossed",
        limits={"max_quantity_shares": 90, "max_notional_usd": USD(9_000), "max_long_shares": 100, "max_short_shares": 100}
        | {"collar_usd": USD("0.2"), "collar_bps": 40},
    ),
    "no reference": Day(brings="no_reference", limits={"reference_usd": USD(0)}, risk={"ignore_market_hours": True}),
    "locates": Day(brings="locate", limits={"located_shares": 200}, pairs={"max_units": 5}),
    "rejects": Day(
        brings="reject_rate cancel_rate rejects",
        hubs=30, moods=Moods(reject=60, dead=40, part=150),
        pairs={"max_units": 40, "max_rejects": 1}, limits=WIDE,
        risk={"reject_rate_orders": 1, "cancel_rate_orders": 1, "report_rate_window_us": USD(200)},
    ),
    "canary": Day(brings="canary", risk={"canary_shares": 100}),
    "loss": Day(brings="loss reduce_only", risk={"max_loss_usd": USD(1)}),
    "unkind": Day(
        brings="pair_disabled",
        moods=Moods(reject=100, dead=100, part=200, silent=20), pairs={"max_units": 5}, limits=WIDE,
    ),
    "killed": Day(
        brings="killed",
        moods=Moods(hold=300, part=100, broken=100),
        limits=WIDE,
        hubs=10,
        acts={
            3_000: pulse("cancel_all"),
            3_800: write("trading_state", TradingState.KILLED),
            4_200: pulse("cancel_all"),
            4_500: pulse("cancel_all"),
            4_800: pulse("cancel_all"),
        },
    ),
    "alarm": Day(brings="halted", moods=Moods(impossible=100)),
    "off": Day(brings="slot_disabled pair_disabled", alternate=True),
    "allowance": Day(brings="allowance", pairs={"max_triggers": 2}),
    "hubs": Day(
        brings="overrun gate_busy size",
        hubs=50, risk={"max_gross_usd": USD(300_000)}, moods=Moods(part=100), limits=WIDE,
    ),
    "ledger full": Day(
        brings="ledger_full short_sale",
        messages=20_000, sample=12_000, hubs=30, moods=Moods(silent=10), limits=WIDE, pairs={"max_units": 200}, cooldown=USD(0),
    ),
    "adaptive": Day(pairs=ADAPTIVE, preset="large"),
    "orders of the host": Day(
        brings="host_order", hubs=30, orders=400, limits=WIDE, risk={"rate_tokens": 40, "rate_interval_us": USD(40)},
    ),
    "sets": Day(
        messages=20_000, sample=11_000, hubs=30, limits=WIDE, orders=200, changes=SETS * 8, pairs={"max_units": 40},
        cooldown=USD(20), risk={"rate_tokens": 40, "rate_interval_us": USD(40)},
    ),
    "adaptive sets": Day(messages=12_000, sample=8_000, pairs=ADAPTIVE, preset="large", changes=ADAPTIVE_SETS * 8),
    "completed": Day(
        becomes="completed stopped",
        hubs=20, limits=WIDE, cooldown=USD(20), moods=Moods(reject=100, dead=50, part=250), preset="large",
        pairs={"policy": "complete", "leg_tries": 3, "slippage_ticks": 3, "max_units": 40},
    ),
    "unwound": Day(
        becomes="unwound stopped",
        hubs=20, limits=WIDE, cooldown=USD(20), moods=Moods(reject=100, dead=50, part=250), preset="large",
        pairs={"policy": "unwind", "leg_tries": 3, "slippage_ticks": 3, "max_units": 40}, orders=200,
    ),
    "policies change": Day(
        becomes="unwound completed stopped",
        messages=12_000, sample=9_000, hubs=20, limits=WIDE, cooldown=USD(40), moods=Moods(part=400), preset="large", orders=100,
        pairs={"policy": "unwind", "leg_tries": 15, "max_units": 40},
        changes=({"pairs": {"policy": "complete"}}, {"pairs": {"leg_tries": 2}, "strategy": {"cooldown_us": USD(5)}}, {}) * 10,
    ),
    "the host acts": Day(
        brings="killed mode_off session_down reduce_only",
        pairs={"max_units": 40},
        limits=WIDE,
        risk={"ignore_market_hours": True},
        acts={
            2_500: write("trading_state", TradingState.REDUCE_ONLY),
            3_000: write("trading_state", TradingState.ACTIVE),
            3_200: write("mode", Mode.SHADOW),
            3_600: write("mode", Mode.OFF),
            4_000: write("mode", Mode.LIVE),
            4_200: write("up", 0, block="session"),
            4_400: write("up", 1, block="session"),
            4_500: write("trading_state", TradingState.KILLED),
        },
    ),
}

AT_EIGHT_BYTES = dict.fromkeys(("killed", "completed"), "versa_10g")
"""Days that come at eight bytes a beat, too: geometries that other tests build."""


@pytest.mark.soak
@pytest.mark.parametrize(("name", "preset"), [*((name, day.preset) for name, day in DAYS.items()), *AT_EIGHT_BYTES.items()])
def test_equal(name: str, preset: str, soak: bool) -> None:
    day = DAYS[name]
    day = day if soak or not day.sample else replace(day, messages=day.sample)
    market = Market(seed=1, messages=day.messages)
    configuration = day.configuration(market)
    acts = day.acts | by_hand(day.orders, market, day.messages) | pushed(day, configuration)
    found, summary = traded(configuration, market, moods=day.moods, acts=acts, preset=preset)
    assert found.equal, found
    assert found.records["verdict"]["twin"] > 50
    assert set(day.brings.split()) <= found.reasons.keys() | found.misses.keys()
    assert (found.records["cancel_sent"]["twin"] >= 10) == (name == "killed")
    assert set(day.becomes.split()) <= {legged.outcome for legged in summary.legged}, summary.legged
    if day.becomes and not day.orders:
        check_positions(summary, configuration)
    if summary.events_lost == 0:
        assert all(sides["rtl"] == sides["twin"] for sides in found.records.values())


def check_positions(summary: Summary, configuration: Configuration) -> None:
    """What the card holds of a symbol is its pairs' units, and what those that are legged say they hold beside them."""
    held: Counter[str] = Counter()
    for pair, said in zip(configuration.pairs, summary.pairs, strict=True):
        held[pair.leg_a] += said.units * pair.size_a_shares
        held[pair.leg_b] -= said.units * pair.size_b_shares
    legs = {pair.title: (pair.leg_a, pair.leg_b) for pair in configuration.pairs}
    for legged in summary.legged:
        if legged.outcome in ("legged", "stopped"):
            held.update(dict(zip(legs[legged.pair], (legged.held_a, legged.held_b), strict=True)))
    assert {slot.symbol: slot.position for slot in summary.slots} == {slot.symbol: held[slot.symbol] for slot in summary.slots}


def test_no_reason_is_left_out() -> None:
    brought = {name for day in DAYS.values() for name in day.brings.split()}
    assert {reason for reason in (*Refusal, *Miss) if reason.name.lower() not in brought} == NOT_PROVOKED


def test_records_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of touches and verdicts the card told a third is taken away, those of the first orders among them.

    One touch more, of which no record says that it was lost, is a difference.
    """
    honest, robbed = fickle.judge, Counter[str]()
    blind: list[compare_trading.TradingComparison] = []

    def judge(
        records: Sequence[Mapping[str, Any]], card: RecordingCard, *arguments: Any
    ) -> compare_trading.TradingComparison:
        # It is told once only.
        received = card.received_at()
        monkeypatch.setattr(card, "received_at", lambda: received)
        kept, missing = [], Counter[str]()
        for number, record in enumerate(records):
            kind = record["kind"]
            drawn = number % 3 == 0 or record.get("user_ref_num")
            if kind in "BV" and drawn and number < 0.9 * len(records):
                missing[kind] += 1
            else:
                kept.append(dict(record) | {"lost": record["lost"] + missing[kind]})
                robbed[kind] += missing.pop(kind, 0)
        never = next(at for at in range(len(kept) // 2, len(kept)) if kept[at]["kind"] == "B" and not kept[at]["lost"])
        blind.append(honest(kept[:never] + kept[never + 1 :], card, *arguments))
        return honest(kept, card, *arguments)

    monkeypatch.setattr(fickle, "judge", judge)
    day, market = DAYS["hubs"], Market(seed=1, messages=6_000)
    found, _ = fickle.traded(day.configuration(market), market, moods=day.moods, preset="versa_10g")
    assert found.equal, found
    assert robbed["B"] > 100 and robbed["V"] > 50 and found.records["order_sent"]["twin"] > 10
    assert not blind[0].equal and blind[0].difference is None
    assert [name.startswith("touches lost before") for name in blind[0].counts] == [True], blind[0].counts


def test_a_lie_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A twin whose fourth order has a share more."""
    honest = TradingTwin.advance

    def lying(self: TradingTwin, *arguments: Any, **options: Any) -> None:
        honest(self, *arguments, **options)
        verdict = [record for record in self.records if record["kind"] == "V"][3]
        verdict["quantity"] += 1

    monkeypatch.setattr(compare_trading.TradingTwin, "advance", lying)
    market = Market(seed=1, messages=5_000)
    found, _ = traded(demo.configuration(market), market)
    assert not found.equal and found.difference is not None
    assert (found.difference.what, found.difference.index) == ("verdict", 3)
    assert found.difference.rtl is not None and found.difference.twin is not None
    assert found.difference.twin["quantity"] == found.difference.rtl["quantity"] + 1
    assert found.difference.message["type"] in "AFECXDU" and found.difference.before


@pytest.mark.parametrize("change", [{"slippage": 4}, {"size_a": 79}, {"max_units": 1}, {"upper": 1 << 12}])
def test_another_row_is_another_day(monkeypatch: pytest.MonkeyPatch, change: dict[str, int]) -> None:
    """Where the twin's pairs are not the card's, they part."""
    honest = compare_trading.journal

    def other(*arguments: Any, **options: Any) -> Journal:
        told = honest(*arguments, **options)
        told.sets = [
            replace(each, pairs={number: dict(row) | change for number, row in each.pairs.items()}) for each in told.sets
        ]
        return told

    monkeypatch.setattr(compare_trading, "journal", other)
    market = Market(seed=1, messages=5_000)
    assert not traded(demo.configuration(market), market)[0].equal


CONFIGURATION = """
[[pairs]]
leg_a = "{0}"
leg_b = "{1}"
weight_a = 1.0
weight_b = 1.0
upper_usd = -90.0
exit_short_usd = -91.0
lower_usd = -1000.0
exit_long_usd = -999.0
size_a_shares = 10
size_b_shares = 10
[[limits]]
symbol = "{0}"
located_shares = 100000
[[limits]]
symbol = "{1}"
located_shares = 100000
[risk]
mode = "live"
"""


def test_windows_that_run_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bid far above all others comes and goes, in either symbol of a pair that trades: its books are SUSPECT, by the clock."""
    cards: list[compare.Recorder] = []
    monkeypatch.setattr(compare, "Recorder", lambda made=compare.Recorder: cards.append(made()) or cards[-1])
    market = Market(seed=1, messages=4_500)
    path, config = tmp_path / "day.itch", tmp_path / "pairs.toml"
    messages = list(market.generate())
    for number, at in enumerate(range(len(messages), 900, -40)):
        locate, reference = 1 + number % 2, (1 << 50) + number
        messages[at:at] = [add(market.names[locate - 1], locate, reference, "B", 1, 9_000_000), delete(locate, reference)]
    path.write_bytes(framed(messages))
    config.write_text(CONFIGURATION.format(*market.names[:2]))
    arguments = ["compare", str(path), "--config", str(config), "--preset", "versa", "--json"]
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.stdout + result.stderr
    found = json.loads(result.stdout)["trading"]
    assert found["equal"] and found["records"]["order_sent"]["twin"] > 0 and found["misses"]["size"] > 0
    assert sum(record.get("cause") == IntegrityCause.WINDOW for record in cards[0].records) > 50


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    market = Market(seed=1, messages=4_500)
    path, config, other = tmp_path / "day.itch", tmp_path / "pairs.toml", tmp_path / "other.toml"
    path.write_bytes(framed(list(market.generate())))
    config.write_text(CONFIGURATION.format(*market.names[:2]))
    arguments = ["compare", str(path), "--config", str(config), "--preset", "versa", "--json"]
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.stdout + result.stderr
    found = json.loads(result.stdout)
    assert found["equal"] and found["trading"]["equal"] and found["trading"]["records"]["verdict"]["twin"] > 0
    shown = CliRunner().invoke(cli.app, arguments[:-1], catch_exceptions=False)
    assert "records of gateware and twin" in shown.stdout and shown.exit_code == 0
    # Books that miss a message, and a market that does.
    spoiled, said = list(market.generate()), (trading_action(market.names[0], 1, "T"), system_event("Q"))
    # Behind the opening, the first in which orders would leave.
    for at, raw in ((821, said[1] + b"!"), (860, said[1]), (861, said[0][:-1]), (960, said[0]),
                    (2_600, delete(1, 5)[:-1]), (3_000, delete(2, 5)[:9])):  # fmt: skip
        spoiled.insert(at, raw)
    path.write_bytes(framed(spoiled))
    missed = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert missed.exit_code == 0, missed.stdout
    missed_trading, missed_transitions = (json.loads(missed.stdout)[name] for name in ("trading", "transitions"))
    reasons, before = missed_trading["reasons"], found["trading"]["reasons"]
    assert reasons["stock_halted"] and reasons["market_closed"] > before["market_closed"] and "stock_halted" not in before
    assert missed_transitions == {"rtl": 2, "twin": 2}
    path.write_bytes(framed(list(market.generate())))
    # Another set, then a loss that is too great, and a way out by hand.
    terms = "max_loss_usd = 0.5\n[liquidation]\nslice_shares = 10\ninterval_ms = 0.1\n"
    config.write_text(CONFIGURATION.format(*market.names[:2]) + terms)
    other.write_text(config.read_text().replace("exit_short_usd = -91.0", "exit_short_usd = -92.0"))
    by_hand = CliRunner().invoke(cli.app, [*arguments, "--push", f"4000:{other}"], catch_exceptions=False)
    assert by_hand.exit_code == 0, by_hand.stdout
    more = json.loads(by_hand.stdout)["trading"]["records"]["order_sent"]["twin"]
    assert more > found["trading"]["records"]["order_sent"]["twin"]
    monkeypatch.setitem(PRESETS, "versa", GEOMETRIES["versa_10g"])
    wide = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert wide.exit_code == 0, wide.stdout + wide.stderr
    assert json.loads(wide.stdout)["trading"]["records"]["verdict"]["twin"] > 0
