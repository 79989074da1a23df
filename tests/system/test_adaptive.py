"""An adaptive pair on the whole card: samples by the feed's time, thresholds, orders and an allowance, judged by fractions."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from hdl.spec.geometry import PRESETS
from hdl.spec.reasons import Integrity, Miss, PairAction
from host import config
from host.card import CardError
from host.config import Pair
from sim.card import SimulatedCard
from tests.hdl.strategy.middle import MEAN_GRID, VARIANCE_GRID, Middle
from tests.hdl.strategy.rules import Pair as Rules
from tests.hdl.strategy.rules import Touch, spreads
from tests.support.desk import CONFIGURATION, PAIR, Desk
from tests.support.geometries import GEOMETRIES

WINDOW = 12
"""4,096 ns: the desk's messages are 1,000 ns apart."""
ADAPTIVE = Pair(
    leg_a=PAIR.leg_a, leg_b=PAIR.leg_b, weight_a=1, weight_b=Decimal("0.75"), size_a_shares=100, size_b_shares=100,
    max_units=3, thresholds="adaptive", alpha_shift=3, k_entry=Decimal(1), k_exit=Decimal("0.25"), warmup_samples=8,
)  # fmt: skip


@pytest.fixture(params=["large", "versa_10g"])
def card(request: pytest.FixtureRequest) -> Iterator[SimulatedCard]:
    """A simulated card with adaptive pairs, out of reset."""
    with SimulatedCard(GEOMETRIES[request.param]) as card:
        yield card


class Judge:
    """Follows the card's own touches, record by record, with the rules of pairs and of their middle."""

    def __init__(self, desk: Desk) -> None:
        pair = desk.configuration.pairs[0]
        row, self.legs = config.pair_row(pair), config.legs_row(pair, desk.loader.slots).values()
        self.row, self.rules = row, Rules(row)
        self.middle = Middle(row["alpha_shift"], row["k_entry"], row["k_exit"], row["warmup"])
        self.records: dict[int, Mapping[str, Any]] = {}
        self.window: int | None = None
        self.sampled = False
        self.misses: Counter[Miss] = Counter()

    def see(self, record: Mapping[str, Any]) -> PairAction | Miss | None:
        """What a changed touch makes of the pair."""
        self.records[record["slot"]] = record
        if (window := record["timestamp"] >> WINDOW) != self.window:
            self.window, self.sampled = window, False
        found = [self.records.get(slot) for slot in self.legs]
        if not all(each is not None and each["integrity"] == Integrity.EXACT for each in found):
            return None
        a, b = (Touch(*(each[name] for name in Touch._fields)) for each in found if each is not None)
        if not (a.two_sided and b.two_sided):
            return None
        outcome = self.rules.evaluate(a, b, 0)
        if isinstance(outcome, Miss):
            self.misses[outcome] += 1
        if not self.sampled and self.rules.sampled(a, b):
            self.middle.sample(*spreads(self.row, a, b))
            self.sampled = True
            # They stand long before the next message has come.
            self.rules.found = self.middle.thresholds() if self.middle.warm else {}
        return outcome


def desk_of(card: SimulatedCard, **changes: Any) -> Desk:
    strategy = CONFIGURATION.strategy.model_copy(update={"sample_interval_log2_ns": WINDOW})
    pair = ADAPTIVE.model_copy(update=changes)
    return Desk(card, replace(CONFIGURATION, pairs=(pair,), strategy=strategy))


def test_a_wandering_market_fires_where_fractions_say(card: SimulatedCard) -> None:
    rng = random.Random(11)
    desk = desk_of(card)
    judge = Judge(desk)
    resting: dict[tuple[str, str], int] = {}
    level = {"AAA": 100.0, "BBB": 50.0}
    triggers: list[int] = []
    for _ in range(260):
        symbol, side = rng.choice(("AAA", "BBB")), rng.choice("BS")
        level[symbol] += rng.choice((-0.03, -0.01, 0.0, 0.01, 0.03))
        if old := resting.pop((symbol, side), None):
            desk.send(desk.message("D", symbol, order_ref=old))
        price = round(level[symbol] + (-0.02 if side == "B" else 0.02) * rng.randint(1, 3), 2)
        resting[symbol, side], message = desk.add(symbol, side, 500, price)
        desk.send(message)
        records = card.events()
        outcomes = [judge.see(record) for record in records if record["kind"] == "B"]
        fired = [record["action"] for record in records if record["kind"] == "T"]
        assert fired == [outcome for outcome in outcomes if isinstance(outcome, PairAction)]
        triggers += fired
    # Nobody answers: the first pair of orders stays open, and every edge after it is a miss.
    assert len(triggers) == 1
    card.run(300)  # Counters are brought up to date in turn.
    assert card.read_rows("status", "miss")["pending"] == judge.misses[Miss.PENDING] > 3
    found = desk.loader.statistics(0)
    middle = judge.middle
    assert (found.mean * MEAN_GRID, found.variance * VARIANCE_GRID) == (middle.mean, middle.variance)
    assert found.samples == middle.samples
    assert middle.samples > 60
    assert card.read("status", "samples") == middle.samples
    assert card.read("status", "samples_lost") == card.read("status", "samples_cut") == 0
    assert vars(found.thresholds(k_entry=16, k_exit=4)) == middle.thresholds()
    assert Fraction(found.sigma, 2) == middle.sigma


def test_nothing_fires_before_the_warm_up_is_over(card: SimulatedCard) -> None:
    desk = desk_of(card, warmup_samples=65_535)
    desk.touch()
    for step in range(30):
        desk.send(desk.add("AAA", "B", 500, 100.01 + step / 100)[1])
    assert not [record for record in card.events() if record["kind"] == "T"]
    assert 0 < desk.loader.statistics(0).samples < 65_535


def test_a_gap_freezes_the_statistics(card: SimulatedCard) -> None:
    desk = desk_of(card, warmup_samples=65_535)
    desk.touch()
    for step in range(8):
        desk.send(desk.add("AAA", "B", 500, 100.01 + step / 100)[1])
    before = desk.loader.statistics(0)
    desk.framer.packet([desk.message("H", trading_state="T", reserved=" ", reason="    ")])  # Never sent.
    for step in range(8):
        desk.send(desk.add("AAA", "B", 500, 100.11 + step / 100)[1])
    card.run(10_000)  # The hole waits for the other line.
    assert card.read("status", "gaps") == 1
    assert desk.loader.statistics(0) == before


def test_a_card_without_statistics_never_fires_an_adaptive_pair() -> None:
    with SimulatedCard(PRESETS["versa"]) as card:
        desk = desk_of(card)
        desk.touch()
        for step in range(30):
            desk.send(desk.add("AAA", "B", 500, 100.01 + step / 100)[1])
        assert not [record for record in card.events() if record["kind"] == "T"]
        with pytest.raises(CardError, match="it has static pairs only"):
            desk.loader.statistics(0)
