"""An orderly way out: every position to zero, slice by slice, through the card's own gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hdl.spec import events, itch, ouch
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Integrity, Refusal
from host import config
from host.config import Configuration
from host.exposure import Exposure
from host.loader import Loader

Record = Mapping[str, Any]

_DOLLAR, _CENT = 10_000, 100
"""Price from which the tick is a cent, and that tick, 1/10000 dollar."""
_STATES = {"H": "trading_state", "h": "halt_action"}
"""Messages that halt a symbol, and the field that says so."""
_HERE = "Q"
"""Market code of this exchange in an operational halt."""


def limit_price(touch: int, ticks: int, *, selling: bool) -> int:
    """The price rule: the bid less so many ticks for a sale, the offer plus so many for a purchase.

    As `SpreadTrigger` does it: the tick is that of the touch; what is below a dollar is bought for no more than the dollar, where
    its ticks end; no price leaves 0.0001 dollar to the highest the exchange takes.
    """
    tick = _CENT if touch >= _DOLLAR else 1
    if selling:
        return max(1, touch - ticks * tick)
    return min(touch + ticks * tick, ouch.HIGHEST_PRICE if touch >= _DOLLAR else _DOLLAR)


@dataclass
class Line:
    """What the schedule knows of one symbol.

    Parameters
    ----------
    bid, ask : int
        The touch, 1/10000 dollar; 0 where a side is empty.
    halts : set of str
        Types of the feed's messages by which it does not trade.
    due : int
        Clock from which on the next slice may be sent.
    tries : int
        Slices since the last one of which some share was filled.
    shares : int
        Position when the last slice was sent.
    reason : str
        Why the last slice brought nothing, or none was sent.
    """

    bid: int = 0
    ask: int = 0
    halts: set[str] = field(default_factory=set)
    due: int = 0
    tries: int = 0
    shares: int = 0
    reason: str = ""


class Liquidation:
    """Reduces every position to nothing: for each symbol a slice of at most `slice_shares` every `interval_ms` of card time.

    A slice is one immediate-or-cancel order at `limit_price`. It is sent only where the book is EXACT and two-sided and the
    symbol is not halted, while no order of the symbol is open; otherwise the symbol waits, which costs no try. One order is
    written at a time, since the gate takes one at a time and keeps none. A slice that was refused, dropped, rejected or not
    filled at all counts as a try; after `max_tries` of them in a row the symbol is left as it is, and why. Nothing sleeps: the
    host's loop calls `step`.

    It begins by `begin`, or by itself when the card's loss limit was reached and `on_loss` is set. The card is then REDUCE_ONLY
    or made so, so that no pair opens again what is closed here.

    Parameters
    ----------
    loader : Loader
        Loader of the card.
    configuration : Configuration
        With `liquidation`, the terms.
    geometry : Geometry
        Of the card, for its clock.
    exposure : Exposure
        Fold of the card's records, kept by somebody else.
    integrity : callable
        Integrity of a slot's book.
    """

    def __init__(
        self,
        loader: Loader,
        configuration: Configuration,
        geometry: Geometry,
        *,
        exposure: Exposure,
        integrity: Callable[[int], Integrity],
    ) -> None:
        assert configuration.liquidation is not None
        self._terms = configuration.liquidation
        self._loader = loader
        self._integrity = integrity
        self.interval = config.clocks(1_000 * self._terms.interval_ms, geometry)
        """Clocks between two slices of a symbol."""
        self._looked_at: int | None = None
        self._next = 0
        self._lines: dict[int, Line] = {}
        self._exposure = exposure
        self.begun_at: int | None = None
        """Clock at which it began; none where it did not."""
        self.sent = 0
        """Slices sent."""

    def _line(self, slot: int) -> Line:
        return self._lines.setdefault(slot, Line())

    # What it is told.

    def see(self, message: bytes) -> None:
        """Look at a feed message on its way to the card: halts."""
        kind = chr(message[0])
        if kind not in _STATES:
            return
        if len(message) != itch.MESSAGES[kind].size:
            self._doubt(kind, message)
            return
        values = itch.MESSAGES[kind].unpack(message)
        slot = self._loader.slots.get(str(values["stock"]))
        if slot is None or values.get("market_code", _HERE) != _HERE:
            return
        halts = self._line(slot).halts
        halts.discard(kind)
        if values[_STATES[kind]] != itch.TRADING_STATE_TRADING:
            halts.add(kind)

    def _doubt(self, kind: str, message: bytes) -> None:
        """Of a halt that cannot be read the card knows no more than whose it is, and takes it for one."""
        for slot, locate in self._loader.bound.items():
            if len(message) >= itch.HEADER_BYTES and message[1:3] == locate.to_bytes(2, "big"):
                self._line(slot).halts.add(kind)

    def take(self, record: Record) -> None:
        """Take one event record of the card, which the exposure holds already."""
        kind = record["kind"]
        if kind == events.BBO.code:
            line = self._line(record["slot"])
            line.bid, line.ask = record["bid_price"], record["ask_price"]
        elif kind == events.VERDICT.code and record["pair"] == events.NO_PAIR:
            line = self._line(record["slot"])
            refusals = [reason.name.lower() for reason in Refusal if record["refusals"] >> reason & 1]
            line.reason = f"refused: {', '.join(refusals)}" if refusals else "not filled"

    # What it does.

    def begin(self, cycle: int) -> None:
        """Start, at a clock of the card."""
        if self.begun_at is None:
            self._loader.reduce()
            self.begun_at = cycle

    def step(self, cycle: int) -> None:
        """Do what is due at this clock: one order at most."""
        if self.begun_at is None:
            if self._terms.on_loss and self._look(cycle) and self._loader.loss_reached:
                self.begin(cycle)
            return
        slots = sorted(self._open())
        # In turn, so that none is starved by those before it.
        for slot in [slot for slot in slots if slot >= self._next] + [slot for slot in slots if slot < self._next]:
            if self._slice(slot, cycle):
                self._next = slot + 1
                return

    @property
    def left(self) -> dict[str, tuple[int, str]]:
        """Symbols that still hold something once it has begun, with their shares and why."""
        if self.begun_at is None:
            return {}
        return {
            self._loader.symbol(slot): (line.shares, self._line(slot).reason or "no slice was sent yet")
            for slot, line in sorted(self._exposure.lines.items())
            if line.shares
        }

    def ending(self) -> bool:
        """Whether something can still be done although nothing more comes on the feed."""
        return self.begun_at is not None and any(not self._obstacle(slot) for slot in self._open())

    def _open(self) -> list[int]:
        """Slots with a position that are not given up."""
        return [
            slot
            for slot, line in self._exposure.lines.items()
            if line.shares and (self._line(slot).tries < self._terms.max_tries or line.shares != self._line(slot).shares)
        ]

    def _look(self, cycle: int) -> bool:
        """Whether it is time to read the card's registers again."""
        if self._looked_at is not None and cycle - self._looked_at < self.interval:
            return False
        self._looked_at = cycle
        return True

    def _obstacle(self, slot: int) -> str:
        """What stands in the way of a slice, if anything."""
        line = self._line(slot)
        if (state := self._integrity(slot)) is not Integrity.EXACT:
            return f"its book is {state.name}"
        if line.halts:
            return "it is halted"
        if not (line.bid and line.ask and line.bid < line.ask):
            return "its book is locked, crossed or one-sided"
        return ""

    def _slice(self, slot: int, cycle: int) -> bool:
        """Send a symbol's next slice if it is due; whether one was sent."""
        line, held = self._line(slot), self._exposure.lines[slot]
        if cycle < line.due or held.buys or held.sells:
            return False
        if held.shares != line.shares:
            line.tries, line.shares = 0, held.shares
        if line.tries >= self._terms.max_tries:
            return False
        if obstacle := self._obstacle(slot):
            line.reason = obstacle
            return False
        symbol = self._loader.symbol(slot)
        selling = held.shares > 0
        price = limit_price(line.bid if selling else line.ask, self._terms.slippage_ticks, selling=selling)
        shares = min(abs(held.shares), self._terms.slice_shares)
        self._loader.order(symbol, -shares if selling else shares, price)
        # Until a verdict tells otherwise, which it does long before the next slice.
        line.reason = "dropped: the gate was busy"
        line.tries, line.due = line.tries + 1, cycle + self.interval
        self.sent += 1
        return True
