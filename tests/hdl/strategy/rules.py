"""The pair rules in plain Python, from DESIGN section 6; nothing here follows the gateware."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from hdl.spec.reasons import Miss, PairAction, PairOutcome

BUY, SELL = 0, 1
SELLING = (PairAction.SELL_SPREAD, PairAction.SELL_OUT)
HIGHEST = 1_999_999_900
NEVER = {"upper": (1 << 51) - 1, "lower": -(1 << 51), "exit_short": -(1 << 51), "exit_long": (1 << 51) - 1}
"""What an adaptive pair is held against before it has thresholds; no spread goes so far."""


class Touch(NamedTuple):
    """Best bid and offer."""

    bid_price: int
    bid_shares: int
    ask_price: int
    ask_shares: int

    @property
    def two_sided(self) -> bool:
        return bool(self.bid_price and self.ask_price)

    @property
    def crossed(self) -> bool:
        """Or locked."""
        return self.bid_price >= self.ask_price


def spreads(row: dict[str, int], a: Touch, b: Touch) -> tuple[int, int]:
    """S_sell and S_buy."""
    sell = row["weight_a"] * a.bid_price - row["weight_b"] * b.ask_price
    buy = row["weight_a"] * a.ask_price - row["weight_b"] * b.bid_price
    return sell, buy


def limit(side: int, touch: Touch, slippage: int) -> int:
    """The touch, and as many ticks beyond it as allowed."""
    price = touch.bid_price if side == SELL else touch.ask_price
    tick = 1 if price < 10_000 else 100
    if side == SELL:
        return min(max(price - slippage * tick, 1), HIGHEST)
    return min(price + slippage * tick, 10_000 if price < 10_000 else HIGHEST)


@dataclass
class Pair:
    """A pair's row and what is remembered of it."""

    row: dict[str, int]
    units: int = 0
    pending: bool = False
    latched: bool = False
    rests_until: int = -1
    fired: PairAction = PairAction.SELL_SPREAD
    armed: set[PairAction] = field(default_factory=lambda: set(PairAction))
    fires: int = 0
    """Requests of this row whose orders ended."""
    rejects: int = 0
    """Requests in a row of which the exchange rejected an order."""
    refused: bool = False
    """Latched off for them."""
    found: dict[str, int] = field(default_factory=dict)
    """Adaptive thresholds, where some came."""

    @property
    def adaptive(self) -> bool:
        return bool(self.row["adaptive"])

    @property
    def thresholds(self) -> dict[str, int]:
        """What spreads are held against."""
        return (self.found or NEVER) if self.adaptive else self.row

    def sampled(self, a: Touch, b: Touch) -> bool:
        """Whether an evaluation is worth a sample."""
        return self.adaptive and not a.crossed and not b.crossed

    @property
    def allowed(self) -> bool:
        return bool(self.row["enabled"]) and not self.latched

    def evaluate(self, a: Touch, b: Touch, now: int) -> PairAction | Miss | None:
        """What a change of one of its touches makes of the pair."""
        sell, buy = spreads(self.row, a, b)
        at = self.thresholds
        reached = {
            PairAction.SELL_SPREAD: sell >= at["upper"],
            PairAction.BUY_SPREAD: buy <= at["lower"],
            PairAction.BUY_BACK: buy <= at["exit_short"],
            PairAction.SELL_OUT: sell >= at["exit_long"],
        }
        was_armed = set(self.armed)
        self.armed |= {action for action, holds in reached.items() if not holds}
        if self.units == 0:
            choices = (PairAction.SELL_SPREAD, PairAction.BUY_SPREAD)
        elif self.units < 0:
            choices = (PairAction.BUY_BACK, PairAction.SELL_SPREAD)
        else:
            choices = (PairAction.SELL_OUT, PairAction.BUY_SPREAD)
        action = next((choice for choice in choices if reached[choice]), None)
        if action is None or action not in was_armed:
            return None
        if 0 < self.row["max_triggers"] <= self.fires:
            return Miss.ALLOWANCE
        if self.refused:
            return Miss.REJECTS
        if self.pending:
            return Miss.PENDING
        if now < self.rests_until:
            return Miss.COOLDOWN
        if action in (PairAction.SELL_SPREAD, PairAction.BUY_SPREAD) and abs(self.units) >= self.row["max_units"]:
            return Miss.MAX_UNITS
        shown = (a.bid_shares, b.ask_shares) if action in SELLING else (a.ask_shares, b.bid_shares)
        if shown[0] < self.row["size_a"] or shown[1] < self.row["size_b"]:
            return Miss.SIZE
        self.armed.discard(action)
        self.pending = True
        self.fired = action
        return action

    def orders(self, action: PairAction, a: Touch, b: Touch) -> list[dict[str, int]]:
        """Both orders of an action."""
        sides = (SELL, BUY) if action in SELLING else (BUY, SELL)
        return [
            {
                "slot": self.row[f"slot_{name}"],
                "side": side,
                "short": 0,
                "quantity": self.row[f"size_{name}"],
                "price": limit(side, touch, self.row["slippage"]),
                "user_ref_num": 0,
            }
            for name, side, touch in zip("ab", sides, (a, b), strict=True)
        ]

    def dropped(self) -> None:
        """The request was not taken."""
        self.pending = False
        self.armed.add(self.fired)

    def came_back(self) -> None:
        """The request did not leave."""
        self.pending = False
        if self.allowed:
            self.armed.add(self.fired)

    def ended(self, outcome: PairOutcome, now: int, cooldown: int, rejected: int = 0) -> None:
        """Both orders ended; whether one was rejected."""
        self.rejects = self.rejects + 1 if rejected else 0
        self.refused |= 0 < self.row["max_rejects"] <= self.rejects
        self.pending = False
        self.fires += 1
        self.rests_until = now + cooldown
        if outcome == PairOutcome.FILLED:
            self.units += -1 if self.fired in SELLING else 1
        if outcome == PairOutcome.LEGGED:
            self.latched = True

    def rewrite(self, row: dict[str, int]) -> None:
        """The host wrote the row."""
        self.row, self.units, self.latched, self.rests_until, self.armed = row, 0, False, -1, set(PairAction)
        self.fires, self.found = 0, {}
        self.rejects, self.refused = 0, False
