"""Made-up order flows, as ITCH bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from hdl.spec import itch

Flow = list[tuple[int, bytes]]
"""Slot and message; the number of a message is its place in the list, counted from 1."""

HEAD = {"stock_locate": 1, "tracking_number": 0, "timestamp": 0}


def add(reference: int, side: str, shares: int, price: int) -> bytes:
    """An `A`."""
    return itch.ADD_ORDER_NO_MPID.pack(
        **HEAD, order_ref=reference, side=side, shares=shares, stock="X", price=price
    )


def add_with_mpid(reference: int, side: str, shares: int, price: int) -> bytes:
    """An `F`."""
    return itch.ADD_ORDER_WITH_MPID.pack(
        **HEAD, order_ref=reference, side=side, shares=shares, stock="X", price=price, attribution="MPID"
    )


def execute(reference: int, shares: int) -> bytes:
    """An `E`."""
    return itch.ORDER_EXECUTED.pack(**HEAD, order_ref=reference, executed_shares=shares, match_number=1)


def execute_at(reference: int, shares: int, price: int, printable: str = "Y") -> bytes:
    """A `C`."""
    return itch.ORDER_EXECUTED_WITH_PRICE.pack(
        **HEAD, order_ref=reference, executed_shares=shares, match_number=1, printable=printable, execution_price=price
    )


def cancel(reference: int, shares: int) -> bytes:
    """An `X`."""
    return itch.ORDER_CANCEL.pack(**HEAD, order_ref=reference, cancelled_shares=shares)


def delete(reference: int) -> bytes:
    """A `D`."""
    return itch.ORDER_DELETE.pack(**HEAD, order_ref=reference)


def replace(old: int, new: int, shares: int, price: int) -> bytes:
    """A `U`."""
    return itch.ORDER_REPLACE.pack(**HEAD, orig_order_ref=old, new_order_ref=new, shares=shares, price=price)


def trade(price: int) -> bytes:
    """A `P`."""
    return itch.TRADE.pack(**HEAD, order_ref=0, side="B", shares=1, stock="X", price=price, match_number=1)


@dataclass
class Maker:
    """Random flow over some slots.

    Prices walk, jump far (so that windows move and are rebuilt), cross one dollar and go to the ends of the range. With `faults`
    some messages break a rule; otherwise all are legal and at most `most` orders are live.
    """

    seed: int
    slots: int
    most: int
    faults: bool = False
    live: dict[int, tuple[int, int]] = field(default_factory=dict)  # reference -> slot, shares

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.middle = [self.random.choice((9_000, 10_100, 1_500_000, 3_214_500)) for _ in range(self.slots)]

    def price(self, slot: int) -> int:
        """A price on the grid."""
        pick, kind = self.random, self.random.random()
        if kind < 0.01:
            self.middle[slot] = pick.choice((700, 9_990, 20_000, 500_000, 1_999_000_000, pick.randrange(1 << 31)))
        if kind < 0.02:
            return self.grid(pick.choice((1, 100, 1_999_999_900, 2_000_000_000, 4_294_967_200, pick.randrange(1, 1 << 32))))
        reach = pick.choice((3, 10, 60, 400))
        unit = 1 if self.middle[slot] < 10_000 else 100
        return self.grid(max(1, self.middle[slot] + unit * pick.randrange(-reach, reach + 1)))

    @staticmethod
    def grid(price: int) -> int:
        """The next price on the grid at or below."""
        return price if price < 10_000 else price // 100 * 100

    def reference(self) -> int:
        """One that is not live; often only its high or low bits differ from a live one."""
        while True:
            reference = self.random.choice((self.random.randrange(1 << 64), self.random.randrange(1 << 12)))
            if self.live and self.random.random() < 0.3:
                reference = self.random.choice(list(self.live)) ^ (1 << self.random.randrange(64))
            if reference not in self.live:
                return reference

    def side(self) -> str:
        return self.random.choice("BS")

    def shares(self) -> int:
        return self.random.choice((1, 100, self.random.randrange(1, 100_000)))

    def messages(self, count: int) -> Iterator[tuple[int, bytes]]:
        """The flow."""
        for _ in range(count):
            yield self.fault() if self.faults and self.random.random() < 0.15 else self.legal()

    def legal(self) -> tuple[int, bytes]:
        """A message that keeps to the rules."""
        pick = self.random
        choice = pick.random()
        slot = pick.randrange(self.slots)
        if not self.live or (choice < 0.45 and len(self.live) < self.most):
            reference, shares = self.reference(), self.shares()
            self.live[reference] = slot, shares
            return slot, pick.choice((add, add_with_mpid))(reference, self.side(), shares, self.price(slot))
        if choice > 0.97:
            return slot, trade(self.price(slot))
        reference = pick.choice(list(self.live))
        slot, shares = self.live.pop(reference)
        if choice < 0.6:
            new = reference if pick.random() < 0.05 else self.reference()
            self.live[new] = slot, self.shares()
            return slot, replace(reference, new, self.live[new][1], self.price(slot))
        if choice < 0.85:
            return slot, delete(reference)
        part = pick.choice((shares, pick.randrange(0, shares + 1)))
        if part < shares:
            self.live[reference] = slot, shares - part
        kind = pick.randrange(3)
        if kind == 0:
            return slot, execute(reference, part)
        if kind == 1:
            return slot, execute_at(reference, part, self.price(slot), pick.choice("YN"))
        return slot, cancel(reference, part)

    def fault(self) -> tuple[int, bytes]:
        """A message that breaks a rule. What stays live is no longer followed exactly, so later ones may break one too."""
        pick = self.random
        slot = pick.randrange(self.slots)
        known = pick.choice(list(self.live)) if self.live else 1
        slot_of, shares = self.live.get(known, (slot, 1))
        made = [
            (slot, delete(self.reference())),
            (slot, replace(self.reference(), self.reference(), 1, self.price(slot))),
            ((slot_of + 1) % self.slots, execute(known, 1)),
            (slot_of, execute(known, shares + pick.randrange(1, 1 << 31))),
            (slot_of, cancel(known, 0xFFFFFFFF)),
            (slot, add(known, self.side(), 7, self.price(slot))),
            (slot, add(self.reference(), self.side(), 0, self.price(slot))),
            (slot, add(self.reference(), self.side(), 9, pick.choice((10_001, 1_000_050, 0xFFFFFFFF)))),
            (slot_of, replace(known, pick.choice(list(self.live) or [2]), 3, self.price(slot_of))),
            (slot_of, replace(known, self.reference(), pick.choice((0, 5)), pick.choice((10_199, 10_200)))),
        ]
        return pick.choice(made)
