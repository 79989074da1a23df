"""Pairs whose orders were filled unequally, and the units of all pairs, folded from the card's event records."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hdl.spec import events, ouch
from hdl.spec.reasons import LegAction, OrderState, PairAction

Record = Mapping[str, Any]

_ENDS = (OrderState.FILLED, OrderState.CANCELED, OrderState.REJECTED)
_FILL, _BROKEN = ord(ouch.ORDER_EXECUTED.code), ord(ouch.BROKEN_TRADE.code)
_SELLING = (PairAction.SELL_SPREAD, PairAction.SELL_OUT)


def action_name(number: int) -> str:
    """What a TRIGGER record says was wanted."""
    return (LegAction(number) if number in list(LegAction) else PairAction(number)).name.lower()


class Fate(enum.Enum):
    """What became of a pair that was legged."""

    LEGGED = "legged"
    COMPLETED = "completed"
    UNWOUND = "unwound"
    STOPPED = "stopped"


@dataclass
class Trade:
    """Both orders of a trigger, and those that repaired what became of them.

    Parameters
    ----------
    action : PairAction
        What was wanted.
    sides : list of int
        Of either leg, 0: it was to be bought.
    sizes, held : list of int
        Shares of either leg: wanted, and filled less what was given back.
    open : int
        Orders that have not ended.
    doubted : bool
        A fill was taken back: what is held is not known, and the pair stops.
    """

    action: PairAction
    sides: list[int] = field(default_factory=lambda: [0, 0])
    sizes: list[int] = field(default_factory=lambda: [0, 0])
    held: list[int] = field(default_factory=lambda: [0, 0])
    open: int = 0
    doubted: bool = False

    @property
    def full(self) -> bool:
        """All that was wanted is held."""
        return self.held == self.sizes

    @property
    def signed(self) -> tuple[int, int]:
        """Shares held of either leg, negative where short."""
        first, second = (-held if side else held for side, held in zip(self.sides, self.held, strict=True))
        return first, second


@dataclass
class Legged:
    """A trade that ended unequally.

    Parameters
    ----------
    pair : int
        Number.
    trade : Trade
        As it is now.
    filled : tuple of int
        Shares of either leg that its own orders filled.
    tries : int
        Orders that were asked for to repair it.
    """

    pair: int
    trade: Trade
    filled: tuple[int, int]
    tries: int = 0
    fate: Fate = Fate.LEGGED


class Legs:
    """Fold of records.

    Parameters
    ----------
    repairs : bool
        The card repairs pairs, and tells of those that stop; otherwise all of them do.

    Attributes
    ----------
    units : Counter
        Units held by pair; those of a pair that is legged as before.
    legged : list of Legged
        In the order in which they became so.
    """

    def __init__(self, *, repairs: bool) -> None:
        self._repairs = repairs
        self.units: Counter[int] = Counter()
        self.legged: list[Legged] = []
        self._trades: dict[int, Trade] = {}
        self._repaired: dict[int, Legged] = {}
        self._orders: dict[int, tuple[int, int, int, int]] = {}
        """By number: pair, leg, side and shares open."""
        self._pair_of: dict[int, int] = {}
        """By number, those that have ended too."""
        self._handlers = {
            events.TRIGGER.code: self._on_trigger,
            events.VERDICT.code: self._on_verdict,
            events.ORDER_STATE.code: self._on_order_state,
        }

    def take(self, record: Record) -> None:
        """Take one record of the card."""
        handler = self._handlers.get(record["kind"])
        if handler is not None:
            handler(record)

    def _on_trigger(self, record: Record) -> None:
        pair, action = record["pair"], record["action"]
        if action not in list(LegAction):
            self._trades[pair] = Trade(PairAction(action))
            return
        legged = self._repaired.get(pair)
        if legged is None:
            return
        if action == LegAction.STOP:
            self._end(legged, Fate.STOPPED)
        else:
            legged.tries += 1

    def _on_verdict(self, record: Record) -> None:
        pair, number, leg = record["pair"], record["user_ref_num"], record["leg"]
        trade = self._trades.get(pair)
        if not number or trade is None:
            return
        side = int(bool(record["side"]))
        self._orders[number] = pair, leg, side, record["quantity"]
        self._pair_of[number] = pair
        trade.open += 1
        if pair not in self._repaired:
            trade.sides[leg], trade.sizes[leg] = side, record["quantity"]

    def _on_order_state(self, record: Record) -> None:
        number = record["user_ref_num"]
        if record["report"] == _BROKEN and (number in self._orders or self._pair_of.get(number) in self._repaired):
            self._trades[self._pair_of[number]].doubted = True
        if number not in self._orders:
            return
        pair, leg, side, before = self._orders[number]
        trade = self._trades[pair]
        self._orders[number] = pair, leg, side, record["open_shares"]
        if record["report"] == _FILL:
            filled = before - record["open_shares"]
            trade.held[leg] += filled if side == trade.sides[leg] else -filled
        if OrderState(record["state"]) in _ENDS:
            del self._orders[number]
            trade.open -= 1
            if not trade.open:
                self._settle(pair, trade)

    def _settle(self, pair: int, trade: Trade) -> None:
        """All orders of a trade ended."""
        if trade.full and not trade.doubted:
            self.units[pair] += -1 if trade.action in _SELLING else 1
        legged = self._repaired.get(pair)
        if not trade.doubted and (trade.full or not any(trade.held)):
            if legged is not None:
                self._end(legged, Fate.COMPLETED if trade.full else Fate.UNWOUND)
        elif legged is None:
            self._repaired[pair] = legged = Legged(pair, trade, (trade.held[0], trade.held[1]))
            self.legged.append(legged)
            if not self._repairs:
                self._end(legged, Fate.STOPPED)

    def _end(self, legged: Legged, fate: Fate) -> None:
        legged.fate = fate
        del self._repaired[legged.pair]
