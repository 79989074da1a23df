"""What the card's portfolio must come to, folded from its event records by the rules of `hdl.risk.portfolio`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hdl.spec import events
from hdl.spec.registers import RISK
from host.card import Card
from host.snapshot import Snapshot

Record = Mapping[str, Any]

SUMS = ("pnl", "gross", "net_long", "net_short")
"""Registers of the card's sums; all but `gross` are signed."""


@dataclass
class Line:
    """One slot.

    Parameters
    ----------
    shares, cash : int
        Sum of fills; cash in 1/10000 dollar.
    buys, sells : int
        Open shares.
    bid, ask : int
        Last price each side has shown, 0: none yet.
    paid : int
        Price of the last order or fill, which stands for a side that has shown none.
    entry_shares, entry_notional : int
        Shares of the fills that made the position greater since it was 0, and these times their prices.
    """

    shares: int = 0
    cash: int = 0
    buys: int = 0
    sells: int = 0
    bid: int = 0
    ask: int = 0
    paid: int = 0
    entry_shares: int = 0
    entry_notional: int = 0

    def fill(self, shares: int, price: int) -> None:
        """Book a fill, below zero a sale."""
        after = self.shares + shares
        if self.shares * after <= 0:
            # It begins anew with what lies beyond 0.
            self.entry_shares, self.entry_notional = abs(after), abs(after) * price
        elif abs(after) > abs(self.shares):
            self.entry_shares, self.entry_notional = self.entry_shares + abs(shares), self.entry_notional + abs(shares) * price
        self.shares, self.cash, self.paid = after, self.cash - shares * price, price

    @property
    def mark(self) -> int:
        """What the shares could be closed at."""
        return (self.bid if self.shares > 0 else self.ask) or self.paid

    @property
    def pnl(self) -> int:
        """Profit or loss, 1/10000 dollar."""
        return self.cash + self.shares * self.mark

    @property
    def net_long(self) -> int:
        """Notional if every open buy is filled and no sale."""
        return (self.shares + self.buys) * self.mark

    @property
    def net_short(self) -> int:
        """Notional if every open sale is filled and no buy."""
        return (self.shares - self.sells) * self.mark

    @property
    def gross(self) -> int:
        """The greater of both, without its sign."""
        return max(abs(self.net_long), abs(self.net_short))


class Exposure:
    """Fold of records.

    Attributes
    ----------
    lines : mapping of int to Line
        By slot.
    """

    def __init__(self) -> None:
        self.lines: defaultdict[int, Line] = defaultdict(Line)
        self._open: dict[int, tuple[int, bool, int]] = {}
        self._handlers = {
            events.BBO.code: self._on_bbo,
            events.VERDICT.code: self._on_verdict,
            events.ORDER_STATE.code: self._on_order_state,
            events.FILL.code: self._on_fill,
        }

    def begin(self, snapshot: Snapshot, slots: Mapping[str, int]) -> None:
        """Go on from a snapshot, with the slots its symbols have now."""
        for each in snapshot.slots:
            if each.symbol not in slots:
                continue
            line = self.lines[slots[each.symbol]]
            line.shares, line.cash, line.paid = each.position, each.cash, each.mark
            line.entry_shares, line.entry_notional = each.entry_shares, each.entry_notional
        for order in snapshot.orders:
            self._set_open(order.user_ref_num, slots[order.symbol], order.side != "buy", order.open_shares)

    def take(self, record: Record) -> None:
        """Take one record of the card."""
        handler = self._handlers.get(record["kind"])
        if handler is not None:
            handler(record)

    def sums(self) -> dict[str, int]:
        """All sums, 1/10000 dollar."""
        return {name: sum(getattr(line, name) for line in self.lines.values()) for name in SUMS}

    def _on_bbo(self, record: Record) -> None:
        line = self.lines[record["slot"]]
        line.bid, line.ask = record["bid_price"] or line.bid, record["ask_price"] or line.ask

    def _on_verdict(self, record: Record) -> None:
        if record["user_ref_num"]:
            self.lines[record["slot"]].paid = record["price"]
            self._set_open(record["user_ref_num"], record["slot"], bool(record["side"]), record["quantity"])

    def _on_order_state(self, record: Record) -> None:
        number = record["user_ref_num"]
        if number in self._open:
            slot, selling, _ = self._open[number]
            self._set_open(number, slot, selling, record["open_shares"])

    def _on_fill(self, record: Record) -> None:
        self.lines[record["slot"]].fill(events.signed_shares(record), record["price"])

    def _set_open(self, number: int, slot: int, selling: bool, shares: int) -> None:
        _, _, before = self._open.pop(number, (slot, selling, 0))
        line = self.lines[slot]
        if selling:
            line.sells += shares - before
        else:
            line.buys += shares - before
        if shares:
            self._open[number] = (slot, selling, shares)


def read_sums(card: Card) -> dict[str, int]:
    """The card's own sums, 1/10000 dollar."""
    return {name: _signed(card.read("risk", name), _bits(name)) for name in SUMS}


def _bits(name: str) -> int:
    return next(register.bits for register in RISK.registers if register.name == name)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value
