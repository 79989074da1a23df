"""The generated day, judged by itchfeed, itch-book and a plain book kept from itchfeed's fields."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
from itch.messages import messages as itchfeed_messages
from itch_book._core import Session

from sim.cointegration import PairPlan, reverting
from sim.market import CLOSE, LISTING, OPEN, Market, generate

SMALL = 8_000
DAY = Market(seed=7, messages=40_000)


@pytest.fixture(scope="module")
def day() -> list[bytes]:
    return list(DAY.generate())


@pytest.fixture(scope="module")
def small() -> list[bytes]:
    return list(generate(3, messages=SMALL))


def test_itchfeed_parses_every_message_and_sees_all_types(small: list[bytes]) -> None:
    seen = set()
    for raw in small:
        message = itchfeed_messages[raw[:1]](raw)
        assert message.to_bytes() == raw
        seen.add(raw[:1])
    assert seen == set(itchfeed_messages)
    assert len(seen) == 23


@pytest.mark.parametrize("messages", [SMALL, 40_000])
def test_the_day_has_about_as_many_messages_as_wanted(messages: int) -> None:
    assert abs(sum(1 for _ in generate(5, messages=messages)) / messages - 1) < 0.08


def test_times_do_not_step_back_and_market_hours_are_marked(small: list[bytes]) -> None:
    times = [int.from_bytes(raw[5:11], "big") for raw in small]
    assert all(before <= after for before, after in pairwise(times))
    events = [(chr(raw[11]), int.from_bytes(raw[5:11], "big")) for raw in small if raw[:1] == b"S"]
    assert [code for code, _ in events] == ["O", "S", "Q", "M", "E", "C"]
    assert dict(events)["Q"] == OPEN == 34_200 * 10**9
    assert dict(events)["M"] == CLOSE == 57_600 * 10**9
    # A breaker message stops trading for good, so it may only come when the market has closed.
    assert all(int.from_bytes(raw[5:11], "big") > CLOSE for raw in small if raw[:1] == b"W")


def test_itch_book_finds_no_fault(day: list[bytes]) -> None:
    session = Session(["bbo"], 1, [])
    session.feed(b"".join(struct.pack(">H", len(raw)) + raw for raw in day))
    stats = session.stats()
    faults = {key: stats[key] for key in ("unknown", "malformed", "missing_ref", "dup_ref", "rejected", "clamped", "live_orders")}
    assert not any(faults.values()), faults
    assert len(session.take_symbols()) == len(DAY.names) == 17
    assert len(session.take_bbo()["ts"]) > 0.4 * len(day)


def test_plain_book_is_never_locked_or_crossed_in_continuous_trading(day: list[bytes]) -> None:
    orders: dict[int, list[int]] = {}
    levels: dict[tuple[int, bytes], Counter[int]] = defaultdict(Counter)
    trading: dict[int, bool] = {}
    checked = crossed = falls = last = 0

    def move(reference: int, shares: int) -> None:
        locate, side, price, _ = orders[reference]
        orders[reference][3] += shares
        assert orders[reference][3] >= 0
        level = levels[locate, bytes([side])]
        level[price] += shares
        if not level[price]:
            del level[price]
        if not orders[reference][3]:
            del orders[reference]

    def add(reference: int, locate: int, side: bytes, price: int, shares: int) -> None:
        assert reference not in orders
        assert shares > 0
        orders[reference] = [locate, side[0], price, 0]
        move(reference, shares)

    for raw in day:
        kind, message = raw[:1], itchfeed_messages[raw[:1]](raw)
        locate = message.stock_locate
        if kind in (b"A", b"F"):
            falls, last = falls + (message.order_reference_number < last), message.order_reference_number
            add(last, locate, message.buy_sell_indicator, message.price, message.shares)
        elif kind in (b"E", b"C"):
            assert orders[message.order_reference_number][0] == locate
            move(message.order_reference_number, -message.executed_shares)
        elif kind == b"X":
            move(message.order_reference_number, -message.cancelled_shares)
        elif kind == b"D":
            move(message.order_reference_number, -orders[message.order_reference_number][3])
        elif kind == b"U":
            _, side, _, shares = orders[message.order_reference_number]
            move(message.order_reference_number, -shares)
            add(message.new_order_reference_number, locate, bytes([side]), message.price, message.shares)
        elif kind == b"H":
            trading[locate] = message.trading_state == b"T"
        bids, asks = levels[locate, b"B"], levels[locate, b"S"]
        if bids and asks:
            touching = max(bids) >= min(asks)
            # When trading resumes, the auction has uncrossed the book.
            assert not (touching and trading[locate]), raw
            checked, crossed = checked + trading[locate], crossed + touching
    assert checked > 20_000
    assert crossed > 0, "a quotation period should have crossed a book"
    assert not orders
    assert falls > 1_000, "references should not increase from add to add"


def test_type_mix_is_like_a_real_day(day: list[bytes]) -> None:
    share = {chr(kind): count / len(day) for kind, count in Counter(raw[0] for raw in day).items()}
    for kind, low, high in (("A", 0.36, 0.5), ("D", 0.36, 0.5), ("U", 0.05, 0.12), ("E", 0.01, 0.05), ("X", 0.01, 0.03)):
        assert low < share[kind] < high, (kind, share[kind])


def test_a_seed_decides_every_byte(small: list[bytes]) -> None:
    assert list(generate(3, messages=SMALL)) == small
    assert list(generate(4, messages=SMALL)) != small


def test_a_halt_leads_through_a_quotation_period_to_trading(small: list[bytes]) -> None:
    actions = defaultdict(list)
    for raw in small:
        if raw[:1] == b"H":
            actions[raw[11:19].decode().strip()].append(chr(raw[19]))
    assert Counter("".join(states) for states in actions.values()) == {"T": 14, "THQT": 1, "TPQT": 1, "HQT": 1}
    assert actions[LISTING] == ["H", "Q", "T"]


def test_spreads_follow_their_law() -> None:
    paths = reverting(np.random.default_rng(1), steps=200_000, count=4, half_life=50)
    assert paths.std(axis=0) == pytest.approx(1.0, abs=0.05)
    lagged = (paths[50:] * paths[:-50]).mean(axis=0)
    assert lagged == pytest.approx(0.5, abs=0.06)


def test_thresholds_are_crossed_now_and_then(day: list[bytes]) -> None:
    session = Session(["bbo"], 1, [])
    session.feed(b"".join(struct.pack(">H", len(raw)) + raw for raw in day))
    bbo = session.take_bbo()
    entries = [_entries(plan, 2 * number + 1, bbo) for number, plan in enumerate(DAY.plans)]
    assert len(entries) == 8
    assert 20 < sum(entries) < 200, entries


def _entries(plan: PairPlan, first: int, bbo: dict[str, np.ndarray]) -> int:
    """How often the pair would have been entered at the touch, one unit at a time."""
    touch: dict[int, tuple[int, int]] = {}
    holding = entered = 0
    rows = zip(bbo["ts"].tolist(), bbo["locate"].tolist(), bbo["bid_px"].tolist(), bbo["ask_px"].tolist(), strict=True)
    for time, locate, bid, ask in rows:
        if locate not in (first, first + 1) or not OPEN < time < CLOSE:
            continue
        touch[locate] = bid / 10_000, ask / 10_000
        if len(touch) < 2:
            continue
        (bid_a, ask_a), (bid_b, ask_b) = touch[first], touch[first + 1]
        sell = plan.weight_a * bid_a - plan.weight_b * ask_b
        buy = plan.weight_a * ask_a - plan.weight_b * bid_b
        if not holding and (sell >= plan.upper or buy <= plan.lower):
            holding = -1 if sell >= plan.upper else 1
            entered += 1
        elif (holding < 0 and buy <= plan.exit_short) or (holding > 0 and sell >= plan.exit_long):
            holding = 0
    return entered


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"pairs": 0}, "pairs: 0 was given, allowed are 1 to 16"),
        ({"symbols": 15}, "symbols: 15 was given, allowed are 16 (two a pair) to 1000"),
        ({"messages": 10}, "messages: 10 was given, allowed are 4250 or more here"),
    ],
)
def test_impossible_days_are_refused(values: dict[str, int], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        Market(**values)
    assert str(caught.value) == text
