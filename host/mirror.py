"""What the host knows of a run while it goes on: the card's event records, folded into touches, pairs, positions and P&L."""

from __future__ import annotations

import enum
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hdl.spec import events, itch, ouch
from hdl.spec.reasons import LegAction, OrderState, PairAction, Refusal
from host.config import PRICE_UNITS, WEIGHT_UNITS, Configuration
from host.exposure import Exposure, Line
from host.legs import action_name
from host.snapshot import Snapshot, average_usd

Record = Mapping[str, Any]

_NEWS = 6
_ENDS = (OrderState.FILLED, OrderState.CANCELED, OrderState.REJECTED)
_EVENTS = {
    "O": "messages begin",
    "S": "system hours begin",
    "Q": "market hours begin",
    "M": "market hours end",
    "E": "system hours end",
    "C": "messages end",
}
_STATES = {"T": "trades", "H": "is halted", "P": "is paused", "Q": "is quoted only"}


class Outcome(enum.Enum):
    """What became of a trigger."""

    REFUSED = "refused"
    SENT = "nothing filled"
    FILLED = "filled"


@dataclass
class Mark:
    """One trigger of a pair.

    Parameters
    ----------
    time : int
        Feed time, ns since midnight.
    action : PairAction
        What the pair wanted.
    spread : float
        Dollars; the spread that reached the threshold.
    epoch : int
        Of the set of parameters that it is of, modulo 256.
    """

    time: int
    action: PairAction
    spread: float
    outcome: Outcome = Outcome.REFUSED
    shares: int = 0
    epoch: int = 0


@dataclass
class Touch:
    """Best bid and offer of a slot, 1/10000 dollar and shares; 0 where a side is empty."""

    bid: int = 0
    bid_shares: int = 0
    ask: int = 0
    ask_shares: int = 0


@dataclass
class Holding:
    """Position and cash of one symbol, kept two ways apart: folded from fills here, and as the card's ledger said it last.

    Parameters
    ----------
    line : Line
        What records come to.
    ledger_shares, ledger_cash : int
        After the last fill, as the card's ledger gave it.
    """

    line: Line
    ledger_shares: int = 0
    ledger_cash: int = 0

    @property
    def shares(self) -> int:
        """Sum of fills."""
        return self.line.shares

    @property
    def cash(self) -> int:
        """What fills cost and brought, 1/10000 dollar."""
        return self.line.cash

    @property
    def value(self) -> int:
        """Profit or loss in 1/10000 dollar: cash and shares, longs at the bid and shorts at the offer."""
        return self.line.pnl

    @property
    def average_usd(self) -> float | None:
        """Average price at which the position was entered since it was 0, `None` where there is none."""
        return average_usd(self.line.entry_notional, self.line.entry_shares)


@dataclass
class PairView:
    """A pair with its history.

    Parameters
    ----------
    title : str
        Name.
    slot_a, slot_b : int
        Legs.
    weight_a, weight_b : float
        Weights.
    """

    title: str
    slot_a: int
    slot_b: int
    weight_a: float
    weight_b: float
    size_a: int
    size_b: int
    sell: float = 0.0
    buy: float = 0.0
    times: list[int] = field(default_factory=list)
    sells: list[float] = field(default_factory=list)
    buys: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)


class Mirror:
    """Fold of a run.

    Parameters
    ----------
    configuration : Configuration
        What the card was loaded with.
    slots : mapping of str to int
        Slot number by symbol.
    start : Snapshot, optional
        What the card's ledger held before the first record.
    """

    def __init__(self, configuration: Configuration, slots: Mapping[str, int], *, start: Snapshot | None = None) -> None:
        self.symbols = {number: symbol for symbol, number in slots.items()}
        self.touches: dict[int, Touch] = {number: Touch() for number in self.symbols}
        self.exposure = Exposure()
        if start is not None:
            self.exposure.begin(start, slots)
        lines = {number: self.exposure.lines[number] for number in self.symbols}
        self.holdings: dict[int, Holding] = {number: Holding(line, line.shares, line.cash) for number, line in lines.items()}
        self.pairs = [
            PairView(
                pair.title,
                slots[pair.leg_a],
                slots[pair.leg_b],
                float(pair.weight_a),
                float(pair.weight_b),
                pair.size_a_shares,
                pair.size_b_shares,
            )
            for pair in configuration.pairs
        ]
        self.time = 0
        self.messages = 0
        self.bbo_changes = 0
        self.passed = self.refused = self.fills = self.broken = self.cancels = 0
        self.reasons: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.alarms = 0
        self.eot_to_sof: dict[str, Counter[int]] = defaultdict(Counter)
        self.som_to_sof: dict[str, Counter[int]] = defaultdict(Counter)
        """Order frames by clocks, by type of the message that caused them."""
        self.halts: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
        """By symbol, times at which it stopped trading and traded again."""
        self.news: deque[str] = deque(maxlen=_NEWS)
        self._pairs_of: dict[int, list[PairView]] = defaultdict(list)
        for pair in self.pairs:
            for slot in (pair.slot_a, pair.slot_b):
                self._pairs_of[slot].append(pair)
        self._handlers = {
            events.BBO.code: self._on_bbo,
            events.TRIGGER.code: self._on_trigger,
            events.VERDICT.code: self._on_verdict,
            events.ORDER_SENT.code: self._on_order_sent,
            events.CANCEL_SENT.code: self._on_cancel_sent,
            events.ORDER_STATE.code: self._on_order_state,
            events.FILL.code: self._on_fill,
            events.ALARM.code: self._on_alarm,
        }

    @property
    def pnl(self) -> int:
        """Profit or loss of all symbols, 1/10000 dollar."""
        return self.exposure.sums()["pnl"]

    def units(self, pair: PairView) -> tuple[float, float]:
        """Units of the spread held by either leg: the same where the legs are level, positive where the spread is bought."""
        return self.holdings[pair.slot_a].shares / pair.size_a, -self.holdings[pair.slot_b].shares / pair.size_b

    def pair_value(self, pair: PairView) -> int:
        """Profit or loss of a pair's legs, 1/10000 dollar."""
        return self.holdings[pair.slot_a].value + self.holdings[pair.slot_b].value

    def see(self, message: bytes) -> None:
        """Look at a feed message on its way to the card."""
        self.messages += 1
        kind = message[:1]
        if kind == b"S":
            values = itch.SYSTEM_EVENT.unpack(message)
            self._tell(int(values["timestamp"]), _EVENTS.get(str(values["event_code"]), "unknown system event"))
        elif kind == b"H":
            values = itch.STOCK_TRADING_ACTION.unpack(message)
            self._state(int(values["timestamp"]), str(values["stock"]), str(values["trading_state"]))
        elif kind == b"h":
            values = itch.OPERATIONAL_HALT.unpack(message)
            self._state(int(values["timestamp"]), str(values["stock"]), str(values["halt_action"]))

    def take(self, record: Record) -> None:
        """Take one event record of the card."""
        self.exposure.take(record)
        handler = self._handlers.get(record["kind"])
        if handler is not None:
            handler(record)

    def _tell(self, time: int, text: str) -> None:
        self.news.append(f"{time_of_day(time)} {text}")

    def _state(self, time: int, symbol: str, state: str) -> None:
        halts = self.halts[symbol]
        stopped = bool(halts) and halts[-1][1] is None
        if state == "T":
            if stopped:
                halts[-1] = (halts[-1][0], time)
                self._tell(time, f"{symbol} {_STATES['T']}")
        else:
            if not stopped:
                halts.append((time, None))
            self._tell(time, f"{symbol} {_STATES.get(state, state)}")

    def _on_bbo(self, record: Record) -> None:
        slot = record["slot"]
        touch = self.touches[slot]
        touch.bid, touch.bid_shares = record["bid_price"], record["bid_shares"]
        touch.ask, touch.ask_shares = record["ask_price"], record["ask_shares"]
        self.time = record["timestamp"]
        self.bbo_changes += 1
        if touch.bid and touch.ask:
            for pair in self._pairs_of[slot]:
                self._evaluate(pair)

    def _evaluate(self, pair: PairView) -> None:
        a, b = self.touches[pair.slot_a], self.touches[pair.slot_b]
        if not (a.bid and a.ask and b.bid and b.ask):
            return
        pair.sell = (pair.weight_a * a.bid - pair.weight_b * b.ask) / PRICE_UNITS
        pair.buy = (pair.weight_a * a.ask - pair.weight_b * b.bid) / PRICE_UNITS
        pair.times.append(self.time)
        pair.sells.append(pair.sell)
        pair.buys.append(pair.buy)
        pair.values.append(self.pair_value(pair) / PRICE_UNITS)

    def _on_trigger(self, record: Record) -> None:
        if record["action"] in list(LegAction):
            self._tell(self.time, f"{self.pairs[record['pair']].title} is legged: {action_name(record['action'])}")
            return
        spread = record["spread"] / (PRICE_UNITS * WEIGHT_UNITS)
        self.pairs[record["pair"]].marks.append(Mark(self.time, PairAction(record["action"]), spread, epoch=record["epoch"]))

    def _on_verdict(self, record: Record) -> None:
        refusals = record["refusals"]
        if refusals:
            self.refused += 1
            self.reasons.update(reason.name.lower() for reason in Refusal if refusals >> reason & 1)
        else:
            self.passed += 1

    def _on_order_sent(self, record: Record) -> None:
        if not record["trigger_type"]:
            # No message led to it.
            return
        kind = chr(record["trigger_type"])
        self.eot_to_sof[kind][record["eot_to_sof"]] += 1
        self.som_to_sof[kind][record["som_to_sof"]] += 1
        self._last_mark(record).outcome = Outcome.SENT

    def _on_cancel_sent(self, _: Record) -> None:
        self.cancels += 1

    def _on_order_state(self, record: Record) -> None:
        state = OrderState(record["state"])
        if state in _ENDS and chr(record["report"]) in ouch.ENDING:
            self.ended[state.name.lower()] += 1

    def _on_fill(self, record: Record) -> None:
        holding = self.holdings[record["slot"]]
        holding.ledger_shares, holding.ledger_cash = record["position"], record["cash"]
        if record["side"] >> events.TAKEN_BACK_BIT:
            self.broken += 1
            return
        self.fills += 1
        if record["pair"] == events.NO_PAIR:
            return
        mark = self._last_mark(record)
        mark.outcome = Outcome.FILLED
        mark.shares += record["quantity"]

    def _on_alarm(self, _: Record) -> None:
        self.alarms += 1

    def _last_mark(self, record: Record) -> Mark:
        marks = self.pairs[record["pair"]].marks
        # A pair waits for its orders to end before it triggers again, so what happens to orders happens to the last trigger's.
        return marks[-1] if marks else Mark(self.time, PairAction.SELL_SPREAD, 0.0)


def time_of_day(nanoseconds: int) -> str:
    """Hours, minutes and seconds since midnight."""
    seconds = nanoseconds // 1_000_000_000
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
