"""Units and legged pairs, folded from records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hdl.spec.reasons import LegAction, OrderState, PairAction
from host.legs import Fate, Legs, action_name

PAIR = 3


def trigger(action: int) -> dict[str, Any]:
    return {"kind": "T", "pair": PAIR, "action": int(action)}


def sent(number: int, leg: int, side: int, quantity: int) -> dict[str, Any]:
    return {"kind": "V", "pair": PAIR, "user_ref_num": number, "leg": leg, "side": side, "quantity": quantity}


def ended(number: int, *, wanted: int, filled: int) -> Iterator[dict[str, Any]]:
    """What is told of an order that is filled so far and then ends."""
    state = {"kind": "S", "user_ref_num": number}
    yield state | {"state": OrderState.LIVE, "report": ord("A"), "open_shares": wanted}
    if filled:
        last = OrderState.FILLED if filled == wanted else OrderState.LIVE
        yield state | {"state": last, "report": ord("E"), "open_shares": wanted - filled}
    if filled < wanted:
        yield state | {"state": OrderState.CANCELED, "report": ord("C"), "open_shares": 0}


def traded(legs: Legs, first: int, second: int, action: PairAction = PairAction.SELL_SPREAD) -> None:
    """Both orders of a trigger, of 100 and 200 shares, filled so far. A sale of leg a is short."""
    selling = action in (PairAction.SELL_SPREAD, PairAction.SELL_OUT)
    legs.take(trigger(action))
    legs.take(sent(1, 0, 2 if selling else 0, 100))
    legs.take(sent(2, 1, 0 if selling else 1, 200))
    for record in (*ended(1, wanted=100, filled=first), *ended(2, wanted=200, filled=second)):
        legs.take(record)


@pytest.mark.parametrize("action", PairAction)
def test_units_move_with_what_is_filled(action: PairAction) -> None:
    legs = Legs(repairs=True)
    traded(legs, 100, 200, action)
    assert legs.units[PAIR] == (-1 if action in (PairAction.SELL_SPREAD, PairAction.SELL_OUT) else 1)
    traded(legs, 0, 0, action)
    assert abs(legs.units[PAIR]) == 1 and not legs.legged


def test_completed() -> None:
    legs = Legs(repairs=True)
    traded(legs, 60, 200)
    [legged] = legs.legged
    assert (legged.filled, legged.trade.signed, legged.fate, legs.units[PAIR]) == ((60, 200), (-60, 200), Fate.LEGGED, 0)
    # Refused, filled in part, filled.
    legs.take(trigger(LegAction.COMPLETE))
    legs.take({**sent(0, 0, 2, 40), "refusals": 1})
    for number, wanted, filled in ((3, 40, 10), (4, 30, 30)):
        legs.take(trigger(LegAction.COMPLETE))
        legs.take(sent(number, 0, 2, wanted))
        for record in ended(number, wanted=wanted, filled=filled):
            legs.take(record)
    assert (legged.tries, legged.fate, legged.trade.signed, legs.units[PAIR]) == (3, Fate.COMPLETED, (-100, 200), -1)


def test_unwound() -> None:
    legs = Legs(repairs=True)
    traded(legs, 7, 0, PairAction.BUY_BACK)
    legs.take(trigger(LegAction.UNWIND))
    legs.take(sent(3, 0, 1, 7))
    for record in ended(3, wanted=7, filled=7):
        legs.take(record)
    [legged] = legs.legged
    assert (legged.tries, legged.fate, legged.filled, legged.trade.signed) == (1, Fate.UNWOUND, (7, 0), (0, 0))
    assert legs.units[PAIR] == 0
    # The next trade is another one.
    traded(legs, 100, 200, PairAction.BUY_BACK)
    assert legs.units[PAIR] == 1 and len(legs.legged) == 1


def test_stopped() -> None:
    legs = Legs(repairs=True)
    traded(legs, 7, 0)
    legs.take(trigger(LegAction.STOP))
    assert (legs.legged[0].fate, legs.legged[0].trade.signed) == (Fate.STOPPED, (-7, 0))


def test_a_card_that_repairs_none_stops_them_all() -> None:
    legs = Legs(repairs=False)
    traded(legs, 7, 0)
    assert legs.legged[0].fate is Fate.STOPPED


def test_names() -> None:
    assert [action_name(number) for number in range(7)] == (
        ["sell_spread", "buy_spread", "buy_back", "sell_out", "complete", "unwind", "stop"]
    )
