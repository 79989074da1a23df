from __future__ import annotations

import io
import json
import statistics
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hdl.spec import events
from hdl.spec.geometry import PRESETS
from hdl.spec.reasons import Integrity, IntegrityCause, OrderState, Refusal
from host.summary import (
    Fills,
    Latency,
    Orders,
    PairSummary,
    Portfolio,
    Samples,
    SlotSummary,
    Summary,
    Triggers,
    Verdicts,
    geometry_of,
    render,
)
from host.tally import BBO_HEADER, Tally


@given(st.lists(st.integers(0, 200), min_size=1))
def test_latency_agrees_with_a_sorted_list(values: list[int]) -> None:
    latency = Latency.of(Counter(values), 125_000_000)
    ordered = sorted(values)
    assert (latency.min_cycles, latency.max_cycles, latency.count) == (ordered[0], ordered[-1], len(ordered))
    assert latency.median_cycles == statistics.median_low(ordered)
    assert latency.p99_cycles == ordered[-(-99 * len(ordered) // 100) - 1]
    assert latency.median_ns == latency.median_cycles * 8
    assert Latency.of(Counter(), 125_000_000) == Latency()


def slot(number: int) -> SlotSummary:
    state = {"integrity": "exact", "lowered_by": {}, "position": 0, "cash": 0}
    return SlotSummary.model_validate({"slot": number, "symbol": f"S{number}", "locate": number, "bbo_changes": number} | state)


PAIRS = (
    PairSummary(pair="A/B", thresholds="static", upper_usd=1.5, lower_usd=1.25, exit_short_usd=1.375, exit_long_usd=1.375),
    PairSummary(
        pair="C/D", thresholds="adaptive", samples=777, warmup_samples=512, mean_usd=2.0, sigma_usd=0.125,
        upper_usd=2.25, lower_usd=1.75, exit_short_usd=2.0625, exit_long_usd=1.9375,
    ),
    PairSummary(pair="E/F", thresholds="adaptive", samples=12, warmup_samples=512, mean_usd=-2.5, sigma_usd=0.5),
)  # fmt: skip


def summary(**changes: object) -> Summary:
    values = {
        "file": "x.itch", "format": "itch", "engine": "rtl", "geometry": geometry_of(PRESETS["large"]),
        "feed": {"address": "233.54.12.111", "port": 26477, "session": "T2TREPLAY1", "next_sequence": 1},
        "mode": "live", "trading_state": "active", "watchdog_expired": 0, "limits_refused": 0,
        "frames_in": 10, "frames_out": 2, "records": 10, "messages": 9,
        "messages_by_type": {"A": 8, "D": 1, "S": 0}, "bbo_changes": 7,
        "pairs": PAIRS, "samples": Samples(taken=900, lost=2), "triggers": Triggers(requests=2, misses={"size": 3}),
        "verdicts": Verdicts(passed=2, refused=2, by_reason={"rate": 2, "killed": 0}),
        "orders": Orders(frames=1, sent=2, ended={"filled": 2}), "fills": Fills(count=2, shares=200), "alarms": {"overfill": 0},
            "portfolio": Portfolio(pnl=-12_345_678, gross=50_000, net_long=-50_000, net_short=-50_000, loss_reached=False),
        "eot_to_sof": Latency.of(Counter({19: 1, 25: 3}), 125_000_000), "som_to_sof": Latency.of(Counter({60: 4}), 125_000_000),
        "drops": {"fcs": 1, "port": 0}, "gaps": 0, "missing_messages": 0, "lost_after_use": 0, "heartbeats": 0, "events_lost": 0,
        "unknown_references": 0, "live_orders": 5, "table_peak": 6,
        "slots": tuple(slot(number) for number in range(20)),
        "unwatched_symbols": 0, "cycles": 12345, "findings": ("something [odd]",),
    }  # fmt: skip
    return Summary.model_validate(values | changes)


def test_json_form_is_complete_and_reads_back() -> None:
    one = summary()
    text = one.model_dump_json()
    assert Summary.model_validate_json(text) == one
    assert json.loads(text)["eot_to_sof"]["histogram"] == {"19": 1, "25": 3}


def test_the_terminal_shows_what_matters_plainly() -> None:
    out = io.StringIO()
    render(summary(), Console(file=out, width=100))
    text = out.getvalue()
    assert "-$1,234.57" in text and "$5.00, -$5.00" in text
    for expected in ("A add_order_no_mpid", "EOT->SOF", "19 (152)", "25 (200)", "SOM->SOF", "rate", "and 8 more"):
        assert expected in text
    assert "finding: something [odd]" in text
    # More symbols than are listed.
    states = [each | {"integrity": "dead"} for each in map(dict, summary().slots[:3])] + list(summary().slots[3:])
    render(summary(slots=states), Console(file=out, width=100))
    assert [line.split()[-3:] for line in out.getvalue().splitlines() if "books exact, suspect, dead" in line] == [
        ["20,", "0,", "0"], ["17,", "0,", "3"]
    ]  # fmt: skip
    assert "\x1b" not in text
    assert "killed" not in text


def record(layout: object, number: int, **values: object) -> dict[str, object]:
    empty = {field.name: 0 for field in layout}  # type: ignore[attr-defined]
    return empty | {"kind": layout.code, "number": number} | values  # type: ignore[attr-defined]


@pytest.fixture
def outputs() -> tuple[io.StringIO, io.StringIO, Tally]:
    bbo, orders = io.StringIO(), io.StringIO()
    return bbo, orders, Tally(lambda sequence: sequence - 1, lambda slot: "AB"[slot], ("A/B",), bbo=bbo, orders=orders)


def test_bbo_rows(outputs: tuple[io.StringIO, io.StringIO, Tally]) -> None:
    bbo, _, tally = outputs
    touch = {"bid_price": 3208000, "bid_shares": 300, "ask_price": 3218000, "ask_shares": 200}
    tally.add(record(events.BBO, 0, slot=1, sequence=58, timestamp=14400667737817, **touch))
    assert bbo.getvalue() == BBO_HEADER + "\n57,14400667737817,B,3208000,300,3218000,200\n"
    assert BBO_HEADER == "index,timestamp_ns,symbol,bid_price,bid_shares,ask_price,ask_shares"
    assert tally.bbo_changes[1] == 1


def test_orders_from_trigger_to_fill(outputs: tuple[io.StringIO, io.StringIO, Tally]) -> None:
    _, orders, tally = outputs
    refusals = 1 << Refusal.RATE | 1 << Refusal.OTHER_LEG
    tally.add(record(events.TRIGGER, 4, sequence=9))
    tally.add(record(events.VERDICT, 5, sequence=9, refusals=refusals))
    tally.add(record(events.VERDICT, 6, sequence=9, leg=1, side=2, slot=1, quantity=100, user_ref_num=3))
    tally.add(record(events.ORDER_SENT, 7, sequence=9, eot_to_sof=20, som_to_sof=56, trigger_type="A"))
    tally.add(record(events.FILL, 8, slot=1, quantity=100, side=2, position=-100, cash=5_000_000))
    tally.add(record(events.ORDER_STATE, 9, slot=1, state=OrderState.FILLED, report=ord("E")))
    lines = [json.loads(line) for line in orders.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["trigger", "verdict", "verdict", "sent", "fill", "state"]
    assert lines[1]["refusals"] == ["rate", "other_leg"]
    assert (lines[2]["symbol"], lines[2]["side"], lines[2]["index"]) == ("B", "sell_short", 8)
    assert (tally.verdicts["passed"], tally.verdicts["refused"], tally.ended["filled"]) == (1, 1, 1)
    assert (tally.position[1], tally.cash[1], tally.fills["sold_shares"]) == (-100, 5_000_000, 100)
    assert (tally.eot_to_sof, tally.som_to_sof) == (Counter({20: 1}), Counter({56: 1}))
    assert tally.lost == 0


def test_what_cancels_come_to_ends_no_order_twice(outputs: tuple[io.StringIO, io.StringIO, Tally]) -> None:
    _, orders, tally = outputs
    tally.add(record(events.CANCEL_SENT, 0, user_ref_num=3))
    tally.add(record(events.ORDER_STATE, 1, state=OrderState.LIVE, report=ord("P"), open_shares=50))
    tally.add(record(events.FILL, 2, slot=1, quantity=50, side=2, position=-50, cash=1_000))
    tally.add(record(events.ORDER_STATE, 3, state=OrderState.FILLED, report=ord("E")))
    tally.add(record(events.ORDER_STATE, 4, state=OrderState.FILLED, report=ord("I")))
    tally.add(record(events.ORDER_STATE, 5, state=OrderState.FILLED, report=ord("B")))
    tally.add(record(events.FILL, 6, slot=1, quantity=50, side=6, price=20, position=0, cash=0))
    tally.add(record(events.ORDER_STATE, 7, state=OrderState.CANCELED, report=ord("D")))
    lines = [json.loads(line) for line in orders.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["cancel", "state", "fill", "state", "state", "state", "broken", "state"]
    assert (lines[0]["user_ref_num"], lines[6]["side"]) == (3, "sell_short")
    assert tally.ended == {"filled": 1, "canceled": 1, "rejected": 0}
    assert tally.noted == {"cancel_pending": 1, "cancel_reject": 1, "broken_trade": 1}
    assert tally.fills == {"count": 1, "shares": 50, "sold_shares": 50, "broken": 1, "broken_shares": 50}
    assert (tally.position[1], tally.cash[1], tally.cancels_sent) == (0, 0, 1)
    # A sale that is taken back is bought again.
    assert tally.exposure.lines[1].shares == 0


def test_holes_in_the_numbers_are_counted(outputs: tuple[io.StringIO, io.StringIO, Tally]) -> None:
    *_, tally = outputs
    for number in (2**32 - 1, 0, 3):
        tally.add(record(events.GAP, number, first=5, next=8))
    assert (tally.lost, tally.missing_messages) == (2, 9)


def test_a_window_that_is_filled_is_beside_all_else(outputs: tuple[io.StringIO, io.StringIO, Tally]) -> None:
    *_, tally = outputs

    def told(number: int, slot: int, state: Integrity, cause: IntegrityCause) -> list[Integrity]:
        tally.add(record(events.INTEGRITY, number, slot=slot, integrity=state, cause=cause))
        return [tally.state(1), tally.beside_windows(1)]

    exact, suspect, dead = Integrity.EXACT, Integrity.SUSPECT, Integrity.DEAD
    assert told(0, 1, suspect, IntegrityCause.WINDOW) == [suspect, exact]
    assert told(1, 0xFFFF, suspect, IntegrityCause.GAP) == [suspect, suspect]
    assert told(2, 0xFFFF, exact, IntegrityCause.RECOVERED) == [suspect, exact]
    assert told(3, 1, exact, IntegrityCause.REFILLED) == [exact, exact]
    assert told(4, 1, suspect, IntegrityCause.WINDOW) == [suspect, exact]
    assert told(5, 1, dead, IntegrityCause.OVERRUN) == [dead, dead]
    assert told(6, 1, exact, IntegrityCause.REFILLED) == [dead, dead]
    assert tally.lowered_by(1) == {"gap": 1, "overrun": 1}


def test_integrity_is_folded_per_slot(outputs: tuple[io.StringIO, io.StringIO, Tally]) -> None:
    *_, tally = outputs
    tally.add(record(events.INTEGRITY, 0, slot=0, integrity=Integrity.DEAD, cause=IntegrityCause.UNKNOWN_ORDER))
    tally.add(record(events.INTEGRITY, 1, slot=0xFFFF, integrity=Integrity.SUSPECT, cause=IntegrityCause.GAP))
    assert (tally.state(0), tally.state(1), tally.unknown_references) == (Integrity.DEAD, Integrity.SUSPECT, 1)
    assert tally.lowered_by(0) == {"unknown_order": 1, "gap": 1}
    tally.add(record(events.INTEGRITY, 2, slot=0xFFFF, integrity=Integrity.EXACT, cause=IntegrityCause.RELOADED))
    assert (tally.state(0), tally.state(1)) == (Integrity.EXACT, Integrity.EXACT)


def test_adaptive_thresholds_are_shown_where_there_are_some() -> None:
    def shown(one: Summary) -> str:
        out = io.StringIO()
        render(one, Console(file=out, width=160))
        return out.getvalue()

    text = shown(summary())
    assert "samples taken 900, lost 2, cut 0" in text
    [warm] = [line.split() for line in text.splitlines() if line.strip().startswith("C/D")]
    assert warm == ["C/D", "777", "2.0000", "0.1250", "1.7500", "1.9375", "2.0625", "2.2500"]
    [cold] = [line.split() for line in text.splitlines() if line.strip().startswith("E/F")]
    assert cold == ["E/F", "12", "of", "512", "-2.5000", "0.5000"]
    assert "A/B" not in text
    assert "Adaptive" not in shown(summary(pairs=PAIRS[:1]))
