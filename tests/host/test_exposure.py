from __future__ import annotations

import random

from hdl.spec.reasons import OrderState
from host.exposure import SUMS, Exposure, read_sums
from tests.hdl.risk.exposures import Held, sums
from tests.host.fake_card import FakeCard

MEANING = {"pnl": "pnl", "gross": "gross", "net_long": "long", "net_short": "short"}


def test_the_fold_is_what_the_rules_say() -> None:
    """Random days as records, against the rules that judge the gateware too."""
    source = random.Random(8)
    fold, held = Exposure(), [Held() for _ in range(4)]
    open_orders: dict[int, tuple[int, int, int]] = {}
    for number in range(1, 4000):
        slot = source.randrange(4)
        own = held[slot]
        if source.random() < 0.4:
            bid, ask = (source.choice((0, source.randrange(1, 1 << 31))) for _ in range(2))
            fold.take({"kind": "B", "slot": slot, "bid_price": bid, "ask_price": ask})
            own.look(bid, ask)
        side, quantity, price = source.randrange(3), source.randrange(1, 1000), source.randrange(1, 1 << 31)
        verdict = {"kind": "V", "slot": slot, "side": side, "quantity": quantity, "price": price}
        if source.random() < 0.4:
            fold.take(verdict | {"user_ref_num": number})
            open_orders[number] = (slot, side, quantity)
            own.paid = price
        else:
            # Refused, or only judged.
            fold.take(verdict | {"user_ref_num": 0})
        if open_orders and source.random() < 0.6:
            number = source.choice(list(open_orders))
            slot, side, quantity = open_orders.pop(number)
            own, ended = held[slot], source.randint(1, quantity)
            left = quantity - ended
            state = OrderState.LIVE if left else OrderState.FILLED
            fold.take({"kind": "S", "slot": slot, "user_ref_num": number, "open_shares": left, "state": int(state)})
            if source.random() < 0.7:
                fold.take({"kind": "F", "slot": slot, "side": side, "quantity": ended, "price": price})
                own.position += -ended if side else ended
                own.cash += ended * price if side else -ended * price
                own.paid = price
            if left:
                open_orders[number] = (slot, side, left)
        for slot, own in enumerate(held):
            own.open_buys = sum(shares for at, way, shares in open_orders.values() if at == slot and not way)
            own.open_sells = sum(shares for at, way, shares in open_orders.values() if at == slot and way)
        expected = sums(held)
        assert fold.sums() == {name: expected[meaning] for name, meaning in MEANING.items()}
    assert all(own.position and own.open_buys and own.open_sells for own in held)


def test_records_of_orders_it_never_saw_change_nothing() -> None:
    fold = Exposure()
    fold.take({"kind": "S", "slot": 0, "user_ref_num": 5, "open_shares": 10, "state": 2})
    fold.take({"kind": "G", "first": 1, "next": 2})
    assert set(fold.sums().values()) == {0}


def test_the_cards_sums_have_signs() -> None:
    card = FakeCard()
    for number, name in enumerate(SUMS):
        card.registers["risk", name] = (1 << 80) - 5 - number
    assert read_sums(card) == {name: -5 - number for number, name in enumerate(SUMS)}
    card.registers["risk", "gross"] = (1 << 79) - 1
    assert read_sums(card)["gross"] == (1 << 79) - 1
