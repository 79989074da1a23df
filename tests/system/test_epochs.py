"""A set of parameters and limits in one clock, through the registers and the whole card, while it trades."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from hdl.spec.geometry import PRESETS, Geometry
from hdl.spec.reasons import Refusal
from host import config
from host.card import CardError
from host.config import Configuration
from host.framing import Feed
from host.loader import Loader, OrderSession
from sim.card import SimulatedCard
from tests.support.desk import CONFIGURATION, DOLLAR, NO_CARD_CEILINGS, Desk

PUSH_CLOCKS = 19_400
"""Of a set of 512 pairs and 128 symbols, written, checked and in force; 50 ms are 6,250,000."""


def tuned(configuration: Configuration, **changes: Any) -> Configuration:
    """The same with another pair."""
    [pair] = configuration.pairs
    return replace(configuration, pairs=(pair.model_copy(update=changes),))


def records(desk: Desk) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {"T": [], "V": [], "O": []}
    for record in desk.card.events():
        if record["kind"] in found:
            found[str(record["kind"])].append(record)
    return found


def rise(desk: Desk, cents: int) -> int:
    """AAA's bid goes up to so many cents above a hundred dollars; how many frames left."""
    desk.send(desk.add("AAA", "B", 500, 100 + cents / 100)[1])
    return len(desk.card.frames())


def test_a_set_arms_nothing_that_is_pending(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    assert rise(desk, 5) == 1
    old = records(desk)
    assert [record["epoch"] for kind in "TVO" for record in old[kind]] == [1, 1, 1, 1]
    assert [record["price"] for record in old["V"]] == [1_000_500, 500_200]
    # The edge is remembered, and that its orders are out: the new set arms nothing.
    assert desk.loader.push(tuned(desk.configuration, slippage_ticks=3, max_units=5)) == desk.loader.epoch == 2
    assert rise(desk, 6) == 0
    # Nor has it fired by the new set, until its threshold is left and reached once more.
    desk.loader.push(tuned(desk.configuration, upper_usd=Decimal("50.07")))
    rise(desk, 6)
    misses = card.read_rows("status", "miss")["pending"]
    assert rise(desk, 10) == 0 and card.read_rows("status", "miss")["pending"] == misses + 1


def test_the_set_decides_what_is_refused(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    tight = {symbol: limit.model_copy(update={"max_quantity_shares": 50}) for symbol, limit in desk.configuration.limits.items()}
    for epoch, limits in ((2, tight), (3, dict(desk.configuration.limits)), (4, tight)):
        wanted = replace(tuned(desk.configuration, slippage_ticks=epoch), limits=limits)
        assert desk.loader.push(wanted) == epoch
        frames = rise(desk, 4 + epoch)
        found = records(desk)
        if epoch == 4:
            # Its orders are still out.
            assert not frames and not found["V"]
            continue
        assert [record["epoch"] for record in found["T"] + found["V"]] == [epoch] * 3
        # The bid went up by a cent an epoch, and so did the slippage.
        assert found["V"][0]["price"] == 1_000_400
        too_many = [bool(record["refusals"] >> Refusal.QUANTITY & 1) for record in found["V"]]
        assert too_many == [limits is tight] * 2
        assert frames == (limits is not tight) and [record["epoch"] for record in found["O"]] == [epoch] * frames


def by_epoch(geometry: Geometry, lead: int) -> int:
    """The commit is written so many clocks after the message that triggers began to come in; whose order left."""
    with SimulatedCard(geometry) as card:
        desk = Desk(card)
        desk.touch()
        desk.loader.stage(tuned(desk.configuration, slippage_ticks=7, size_a_shares=60))
        records(desk)
        card.send(desk.framer.packet([desk.add("AAA", "B", 500, 100.06)[1]]))
        card.run(lead)
        card.write("risk", "commit", 2)
        card.run_until_idle(limit=100_000)
        assert card.read("risk", "epoch") == 2
        found = records(desk)
    assert [len(found[kind]) for kind in "TVO"] == [1, 2, 1]
    [epoch] = {record["epoch"] for kind in "TVO" for record in found[kind]}
    first = found["V"][0]
    assert (first["quantity"], first["price"]) == {1: (100, 1_000_600), 2: (60, 999_900)}[epoch]
    assert not any(record["refusals"] for record in found["V"])
    return int(epoch)


def test_a_switch_in_any_clock_around_a_trigger_leaves_no_order_of_two_sets(card: SimulatedCard) -> None:
    """By its epoch everything of an order is told: trigger, limits, price, shares, frame."""
    first = {1: 110, 8: 12}[card.geometry.width]
    epochs = [by_epoch(card.geometry, lead) for lead in range(first, first + 40, 2)]
    assert epochs == sorted(epochs, reverse=True) and set(epochs) == {1, 2}


def test_commits_that_are_refused_change_nothing(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    counts = ("commits_wrong_epoch", "commits_incomplete", "rows_out_of_turn", "structure_refused")

    def counted() -> tuple[int, ...]:
        card.run(200)
        return tuple(card.read("status", name) for name in counts)

    assert counted() == (0, 0, 0, 0)
    desk.loader.stage(tuned(desk.configuration, enabled=False))
    for wrong in (0, 1, 3, 65_535):
        card.write("risk", "commit", wrong)
    assert counted() == (4, 0, 0, 0)
    # A row that is missing: the table is begun anew and not ended.
    row = config.pair_row(desk.configuration.pairs[0])
    card.write_row("strategy", "pairs", 0, **row)
    card.write_row("strategy", "pairs", 2, **row)
    card.write("risk", "commit", 2)
    assert counted() == (4, 1, 1, 0)
    # What is no set is not taken while orders may leave.
    card.write_row("strategy", "pair_legs", 0, slot_a=1, slot_b=0)
    card.write_row("strategy", "pair_lists", 0, first=0, count=0)
    card.write_row("strategy", "pair_index", 0, pair=1)
    card.write_row("risk", "references", 0, price=1)
    assert counted() == (4, 1, 1, 4)
    assert desk.loader.epoch == 1
    assert rise(desk, 6) == 1
    assert {record["epoch"] for record in records(desk)["V"]} == {1}


def test_a_row_above_a_ceiling_keeps_the_whole_set_out(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    row = config.limit_row(desk.configuration.limits["AAA"])
    del row["enabled"], row["located"]
    card.write_row("risk", "ceilings", 0, **row, **NO_CARD_CEILINGS)
    higher = desk.configuration.limits["BBB"].model_copy(update={"max_long_shares": row["max_long"] + 1})
    with pytest.raises(CardError, match="the card refused the limits of BBB"):
        desk.loader.push(replace(tuned(desk.configuration, enabled=False), limits={**desk.configuration.limits, "BBB": higher}))
    with pytest.raises(CardError, match="nothing was staged whole"):
        desk.loader.commit()
    card.write("risk", "commit", 2)
    card.run(300)
    assert card.read("status", "commits_incomplete") == 1
    assert rise(desk, 6) == 1


def test_a_limit_of_the_whole_card_above_its_ceiling_keeps_the_set_out(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    row = config.limit_row(desk.configuration.limits["AAA"])
    del row["enabled"], row["located"]
    card.write_row("risk", "ceilings", 0, **row, **NO_CARD_CEILINGS | {"max_gross": 500_000 * DOLLAR})
    for gross, taken in ((500_001, False), (500_000, True), (500_001, False)):
        risk = desk.configuration.risk.model_copy(update={"max_gross_usd": Decimal(gross)})
        before = desk.loader.epoch
        if taken:
            assert desk.loader.push(replace(desk.configuration, risk=risk)) == before + 1
        else:
            with pytest.raises(CardError, match="a limit of the whole card is above its ceiling"):
                desk.loader.push(replace(desk.configuration, risk=risk))
            assert desk.loader.epoch == before
    assert card.read("status", "commits_above_ceiling") == 2
    assert card.read("status", "commits_incomplete") == 0


def test_a_push_of_512_pairs_takes_little_of_the_cards_time() -> None:
    geometry = PRESETS["large"]
    with SimulatedCard(geometry) as card:
        loader = Loader(card)
        loader.identify()
        symbols = [f"S{number}" for number in range(geometry.slots)]
        pair = CONFIGURATION.pairs[0]
        legs = [(symbols[number % 128], symbols[(number * 7 + 1 + number // 128) % 128]) for number in range(geometry.pairs)]
        pairs = tuple(pair.model_copy(update={"leg_a": a, "leg_b": b if a != b else symbols[(number + 5) % 128]})
                      for number, (a, b) in enumerate(legs))  # fmt: skip
        limits = {symbol: config.Limit(symbol=symbol, reference_usd=Decimal(1)) for symbol in symbols}
        slots = tuple(config.Slot(symbol=symbol) for symbol in symbols)
        configuration = replace(CONFIGURATION, slots=slots, pairs=pairs, limits=limits)
        loader.load(configuration, Feed(), OrderSession())
        begin = card.cycle
        changed = tuple(pair.model_copy(update={"upper_usd": Decimal(number % 97)}) for number, pair in enumerate(pairs))
        assert loader.push(replace(configuration, pairs=changed)) == 2
        took = card.cycle - begin
        assert took < PUSH_CLOCKS, took
        assert took < geometry.clock_hz // 20
