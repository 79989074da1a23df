"""The trading half of a card: touches with their clocks in, triggers, verdicts, orders and the ledger out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.spec import events
from hdl.spec.geometry import Geometry
from hdl.spec.layout import Layout
from hdl.spec.reasons import Miss, Refusal, TradingState
from hdl.spec.statistics import HIGHEST_SPREAD
from sim.twin.samples import Samples
from sim.twin.trade import run as kernel
from sim.twin.trade import state as at
from sim.twin.trade.portfolio import bring
from sim.twin.trade.state import trading_of

Input = tuple[int, ...]
Record = Mapping[str, Any]

_OUTPUTS: Mapping[int, tuple[Layout, tuple[str, ...]]] = {
    at.OUT_TRIGGER: (events.TRIGGER, ("sequence", "spread", "pair", "action")),
    at.OUT_VERDICT: (
        events.VERDICT,
        ("sequence", "refusals", "user_ref_num", "price", "quantity", "slot", "pair", "side", "leg", "mode"),
    ),
    at.OUT_ORDER: (events.ORDER_SENT, ("sequence", "user_ref_num", "pair")),
    at.OUT_STATE: (events.ORDER_STATE, ("user_ref_num", "open_shares", "slot", "pair", "state", "report", "reason")),
    at.OUT_FILL: (
        events.FILL,
        ("user_ref_num", "match_number", "price", "quantity", "position", "cash", "slot", "pair", "side"),
    ),
    at.OUT_CANCEL: (events.CANCEL_SENT, ("user_ref_num",)),
    at.OUT_ALARM: (events.ALARM, ("user_ref_num", "alarm", "report")),
}
_NEVER = (HIGHEST_SPREAD, ~HIGHEST_SPREAD, ~HIGHEST_SPREAD, HIGHEST_SPREAD)
"""Thresholds no spread reaches: upper, lower, exit_short, exit_long."""
_RECORDS = 4096
_SAMPLED = 3
"""Clocks from an evaluation to its sample."""
LEAD = 5
"""Clocks from a message's entry into the book to its touch, at least."""
SUMS = ("pnl", "net_long", "net_short", "gross")


class TradingTwin:
    """What `hdl.trading.TradingCore` and the transmitter behind it do, clock for clock.

    Parameters
    ----------
    geometry : Geometry
        Sizes of the card.
    pairs : sequence of mappings
        Rows of the table `strategy.pairs`, from the first pair on.
    lists : sequence of sequences of int
        By slot its pairs, in the order of the card's list.
    limits : mapping of int to mapping
        Rows of the table `risk.limits` by slot; slots without one are disabled.
    settings : mapping of str to int
        Registers by name (`SETTINGS`), as they stand from the first clock on. `windows_from` is the clock from which windows of
        `slot_rate` count. What is not given is 0.

    Attributes
    ----------
    records : list of dict
        What the card would have told, in order: the fields of `hdl.spec.events` but for numbers; of orders that were sent
        without latencies and type.

    Notes
    -----
    All clocks are whole counts since the card's reset. Each input comes with the clock in which the card has it: a touch with
    that of its BBO record, a report with that of its ORDER_STATE record.
    """

    def __init__(
        self,
        geometry: Geometry,
        *,
        pairs: Sequence[Mapping[str, int]],
        lists: Sequence[Sequence[int]],
        limits: Mapping[int, Mapping[str, int]],
        settings: Mapping[str, int],
    ) -> None:
        self._geometry = geometry
        self._state = state = trading_of(geometry)
        self._numbers = state.numbers
        self.records: list[dict[str, Any]] = []
        self._out = np.zeros((_RECORDS, at.OUTPUT_NUMBERS), np.int64)
        for name, value in ({"next_user_ref_num": 1, "max_open_orders": 0} | dict(settings)).items():
            self._numbers[at.SETTINGS.index(name)] = value
        for slot, row in limits.items():
            state.slots[slot, : len(at.LIMIT_ROW)] = [row[name] for name in at.LIMIT_ROW]
        for number, row in enumerate(pairs):
            self._write(number, row)
        entry = 0
        for slot, numbers in enumerate(lists):
            state.lists[slot] = entry, len(numbers)
            state.entries[entry : entry + len(numbers)] = numbers
            entry += len(numbers)
        self.samples = Samples(pairs)

    def _write(self, number: int, row: Mapping[str, int]) -> None:
        pair = self._state.pairs[number]
        pair[: len(at.PAIR_ROW)] = [row[name] for name in at.PAIR_ROW]
        if row["adaptive"]:
            pair[at.UPPER : at.EXIT_LONG + 1] = _NEVER
        pair[at.ALLOWED], pair[at.LEFT] = row["enabled"], row["max_triggers"]

    def advance(
        self,
        rows: NDArray[Any],
        clocks: NDArray[np.int64],
        *,
        until: int,
        inputs: Iterable[Input] = (),
        leads: NDArray[np.int64] | None = None,
        heard: NDArray[np.int64] | None = None,
    ) -> None:
        """Go on to a clock.

        Parameters
        ----------
        rows : numpy.ndarray
            BBO changes (`ROW`) before that clock.
        clocks : numpy.ndarray
            Their clocks.
        until : int
            Everything before this clock is given.
        inputs : iterable of tuples
            What else came in, in order of clocks: kind and clock, then what `sim.twin.trade.run.take` reads.
        leads : numpy.ndarray, optional
            Clocks from the entry of each row's message into the book to the row; `LEAD` where not given.
        heard : numpy.ndarray, optional
            Clocks in which messages of the feed were decoded, for `stale_after`.
        """
        others = list(inputs)
        given = np.zeros((max(1, len(others)), at.INPUT_NUMBERS), np.int64)
        for number, one in enumerate(others):
            given[number, : len(one)] = one
        leads = np.full(len(rows), LEAD, np.int64) if leads is None else leads
        heard = np.zeros(0, np.int64) if heard is None else heard
        numbers = self._numbers
        numbers[at.ROW_AT] = numbers[at.INPUT_AT] = numbers[at.HEARD_AT] = 0
        while True:
            reason = kernel.run(
                self._state, rows.view(np.int64), clocks, leads, len(rows), given, len(others), heard, until, self._out
            )
            self._collect()
            if reason == at.DONE:
                return
            if reason == at.SAMPLE:
                self._sample()

    def _sample(self) -> None:
        numbers, state = self._numbers, self._state
        pair, clock = int(numbers[at.FOUND_PAIR]), int(numbers[at.FOUND_CLOCK]) + _SAMPLED
        total = int(numbers[at.FOUND_SELL]) + int(numbers[at.FOUND_BUY])
        room, published = self.samples.take(pair, total, clock)
        if room:
            state.pairs[pair, at.WINDOW] = numbers[at.WINDOW_NUMBER]
        if published is not None:
            waiting = int(numbers[at.PUBLICATIONS])
            state.publications[waiting] = published.clock, pair, *vars(published.thresholds).values()
            numbers[at.PUBLICATIONS] += 1
            numbers[at.PUBLISH_CLOCK] = state.publications[0, 0]
            numbers[at.STAGE_CLOCK] = min(numbers[at.STAGE_CLOCK], numbers[at.PUBLISH_CLOCK])

    def sums(self, clock: int) -> dict[str, int]:
        """The portfolio's sums at a clock up to which the twin went on."""
        bring(self._state, clock)
        return {name: int(self._numbers[at.P_PNL + index]) for index, name in enumerate(SUMS)}

    def _collect(self) -> None:
        """Take the records the kernel made."""
        for row in self._out[: int(self._numbers[at.OUT_AT])].tolist():
            layout, names = _OUTPUTS[row[0]]
            values = dict(zip(names, row[2:], strict=False))
            self.records.append({"kind": layout.code, "cycle": row[1] & 0xFFFFFFFF, **values})
        self._numbers[at.OUT_AT] = 0

    @property
    def misses(self) -> dict[str, int]:
        """Triggers that did not become requests, by cause."""
        return {miss.name.lower(): int(self._state.misses[miss]) for miss in Miss}

    @property
    def refusals(self) -> dict[str, int]:
        """Orders refused, by reason."""
        return {reason.name.lower(): int(self._state.refusals[reason]) for reason in Refusal}

    @property
    def triggers(self) -> int:
        """Requests the gate took."""
        return int(self._numbers[at.TRIGGERS])

    @property
    def passed(self) -> int:
        """Orders that passed."""
        return int(self._numbers[at.PASSED])

    @property
    def refused(self) -> int:
        """Orders that were refused."""
        return int(self._numbers[at.REFUSED])

    @property
    def trading_state(self) -> TradingState:
        """As a loss or an alarm has lowered it."""
        state = TradingState(int(self._numbers[at.TRADING_STATE]))
        return max(state, TradingState.REDUCE_ONLY) if self.loss_reached else state

    @property
    def loss_reached(self) -> bool:
        """The loss limit was reached, as of the last clock of `sums` or a verdict."""
        return int(self._numbers[at.LOSS_FROM]) < at.FAR

    def holding(self, slot: int) -> dict[str, int]:
        """Position, open shares and orders, and cash of a slot."""
        row = self._state.slots[slot]
        names = {
            "position": at.POSITION,
            "open_buys": at.OPEN_BUYS,
            "open_sells": at.OPEN_SELLS,
            "orders": at.ORDERS,
            "cash": at.CASH,
        }
        return {name: int(row[column]) for name, column in names.items()}
