"""What a portfolio comes to, from scratch and in plain Python: DESIGN section 7, groups exposure and loss."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Held:
    """What is known of one slot: shares, cash, the last price each side has shown, the price last traded or asked for."""

    position: int = 0
    open_buys: int = 0
    open_sells: int = 0
    cash: int = 0
    bid: int = 0
    ask: int = 0
    paid: int = 0

    def look(self, bid: int, ask: int) -> None:
        """A touch; a side that is empty keeps its last price."""
        self.bid, self.ask = bid or self.bid, ask or self.ask

    @property
    def mark(self) -> int:
        """What the position could be closed at."""
        return (self.bid if self.position > 0 else self.ask) or self.paid

    @property
    def pnl(self) -> int:
        return self.cash + self.position * self.mark

    @property
    def long(self) -> int:
        """Notional with every buy filled and no sell."""
        return (self.position + self.open_buys) * self.mark

    @property
    def short(self) -> int:
        """Notional with every sell filled and no buy."""
        return (self.position - self.open_sells) * self.mark

    @property
    def gross(self) -> int:
        return max(abs(self.long), abs(self.short))


SUMS = ("pnl", "long", "short", "gross")


def sums(held: list[Held]) -> dict[str, int]:
    """All four sums."""
    return {name: sum(getattr(each, name) for each in held) for name in SUMS}
