"""The trading half of a card: touches with their clocks in, triggers, verdicts, orders and the ledger out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.spec import events
from hdl.spec.geometry import Geometry
from hdl.spec.layout import Layout
from hdl.spec.reasons import Miss, Refusal, TradingState
from sim.twin.samples import Published, Samples
from sim.twin.sets import HELD, NEVER, Change, ParameterSet
from sim.twin.trade import run as kernel
from sim.twin.trade import state as at
from sim.twin.trade.gate import transmitter_ready
from sim.twin.trade.pairs import LEAD
from sim.twin.trade.portfolio import bring, sum_at
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
_WITH_EPOCH = {layout.code for layout in (events.TRIGGER, events.VERDICT, events.ORDER_SENT)}
_RECORDS = 4096
_SAMPLED = 3
"""Clocks from an evaluation to its sample."""
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
        self.epoch = 0
        """Number of the set in force."""
        self._sets: deque[ParameterSet] = deque()
        self._change: Change | None = None
        self._clock = 0
        """While a change is under way: up to where it went."""
        self._swapped = at.LONG_AGO

    def _write(self, number: int, row: Mapping[str, int]) -> None:
        pair = self._state.pairs[number]
        pair[: len(at.PAIR_ROW)] = [row[name] for name in at.PAIR_ROW]
        if row["adaptive"]:
            pair[at.UPPER : at.EXIT_LONG + 1] = NEVER
        pair[at.ALLOWED] = row["enabled"]

    def advance(
        self,
        rows: NDArray[Any],
        clocks: NDArray[np.int64],
        *,
        until: int,
        inputs: Iterable[Input] = (),
        leads: NDArray[np.int64] | None = None,
        heard: NDArray[np.int64] | None = None,
        sets: Iterable[ParameterSet] = (),
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
            Clocks from the book's last `accept` before each row to the row, less than 0 where that was of another slot; `LEAD`
            where not given.
        heard : numpy.ndarray, optional
            Clocks in which messages of the feed were decoded, for `stale_after`.
        sets : iterable of ParameterSet
            Sets that are committed before that clock, in order.
        """
        self._sets.extend(sets)
        others = list(inputs)
        given = np.zeros((max(1, len(others)), at.INPUT_NUMBERS), np.int64)
        for number, one in enumerate(others):
            given[number, : len(one)] = one
        leads = np.full(len(rows), LEAD, np.int64) if leads is None else leads
        heard = np.zeros(0, np.int64) if heard is None else heard
        numbers = self._numbers
        numbers[at.ROW_AT] = numbers[at.INPUT_AT] = numbers[at.HEARD_AT] = 0

        def run(clock: int) -> None:
            reason = at.FULL
            while reason != at.DONE:
                reason = kernel.run(
                    self._state, rows.view(np.int64), clocks, leads, len(rows), given, len(others), heard, clock, self._out
                )
                self._collect()
                if reason == at.SAMPLE:
                    self._sample()

        while self._sets or self._change is not None:
            if self._change is None:
                wanted = self._sets[0]
                if wanted.clock + HELD >= until:
                    break
                run(wanted.clock + HELD)
                self._change = Change(self._state, self._sets.popleft(), self._swapped)
                self._clock = self._change.held_from
            # Clock by clock: how many they are hangs on what the gate is at.
            while not self._change.over:
                if self._clock >= until:
                    return
                run(self._clock + 1)
                self._change.look(self._clock)
                self._clock += 1
            self._swap(self._change)
        run(until)

    def _swap(self, change: Change) -> None:
        """Another set is in force from this clock on."""
        last, wanted = self._clock - 1, change.wanted
        change.swap(last)
        numbers = self._numbers
        numbers[at.PUBLICATIONS], numbers[at.PUBLISH_CLOCK] = 0, at.FAR
        for published in self.samples.swap(last, [wanted.pairs[number] for number in range(len(wanted.pairs))]):
            self._publish(published)
        kernel.schedule(numbers)
        self.epoch, self._swapped = wanted.epoch, last
        self._change = None

    def _sample(self) -> None:
        numbers, state = self._numbers, self._state
        pair, clock = int(numbers[at.FOUND_PAIR]), int(numbers[at.FOUND_CLOCK]) + _SAMPLED
        total = int(numbers[at.FOUND_SELL]) + int(numbers[at.FOUND_BUY])
        room, published = self.samples.take(pair, total, clock)
        if room:
            state.pairs[pair, at.WINDOW] = numbers[at.WINDOW_NUMBER]
        if published is not None:
            self._publish(published)

    def _publish(self, published: Published) -> None:
        numbers, state = self._numbers, self._state
        waiting = int(numbers[at.PUBLICATIONS])
        state.publications[waiting] = published.clock, published.pair, *vars(published.thresholds).values()
        numbers[at.PUBLICATIONS] += 1
        numbers[at.PUBLISH_CLOCK] = state.publications[0, 0]
        numbers[at.STAGE_CLOCK] = min(numbers[at.STAGE_CLOCK], numbers[at.PUBLISH_CLOCK])

    def sums(self, clock: int) -> dict[str, int]:
        """The portfolio's sums as they stand in a clock up to which the twin went on."""
        bring(self._state, clock)
        return {name: int(sum_at(self._numbers, index, clock)) for index, name in enumerate(SUMS)}

    def _collect(self) -> None:
        """Take the records the kernel made."""
        for row in self._out[: int(self._numbers[at.OUT_AT])].tolist():
            layout, names = _OUTPUTS[row[0]]
            values = dict(zip(names, row[2:], strict=False))
            if layout.code in _WITH_EPOCH:
                values["epoch"] = self.epoch & 0xFF
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
    def live(self) -> int:
        """Own orders that have not ended."""
        return int(self._numbers[at.LIVE])

    @property
    def next_user_ref_num(self) -> int:
        """Number of the next order."""
        return int(self._numbers[at.NEXT_NUMBER])

    @property
    def gate(self) -> tuple[int, int, int, bool]:
        """Clocks: of the last request that was taken, of the last order that left, from which on the ledger takes up a report;
        and whether the orders that left last are yet to be entered."""
        numbers = self._numbers
        taken = int(self._state.requests[-1, at.R_CLOCK])
        return taken, int(numbers[at.SENT_CLOCK]), int(numbers[at.FSM_FREE]), bool(numbers[at.BOOKING])

    def acknowledgments(self, clock: int) -> tuple[int, int]:
        """Acknowledgments without orders that left before a clock, and when the transmitter is free behind the last frame."""
        transmitter_ready(self._state, clock)
        return int(self._numbers[at.BARE_FRAMES]), int(self._numbers[at.FREE_FROM])

    @property
    def trading_state(self) -> TradingState:
        """As a loss or an alarm has lowered it."""
        state = TradingState(int(self._numbers[at.TRADING_STATE]))
        return max(state, TradingState.REDUCE_ONLY) if self.loss_reached else state

    @property
    def loss_reached(self) -> bool:
        """The loss limit was reached, as of the last clock of `sums` or a verdict."""
        return int(self._numbers[at.LOSS_FROM]) < at.FAR

    def order(self, place: int) -> dict[str, int]:
        """What is known of the order in a place."""
        row = self._state.orders[place]
        names = {
            "user_ref_num": at.NUMBER,
            "open": at.OPEN,
            "state": at.STATE,
            "side": at.SIDE,
            "short": at.SHORT,
            "slot": at.SLOT,
            "pair": at.PAIR,
        }
        found = {name: int(row[column]) for name, column in names.items()}
        single = found["pair"] == events.NO_PAIR
        return found | {"single": int(single), "pair": 0 if single else found["pair"]}

    def holding(self, slot: int) -> dict[str, int]:
        """Position, open shares and orders, cash, entry figures and shares sold short of a slot."""
        row = self._state.slots[slot]
        names = {
            "position": at.POSITION,
            "open_buys": at.OPEN_BUYS,
            "open_sells": at.OPEN_SELLS,
            "orders": at.ORDERS,
            "cash": at.CASH,
            "entry_shares": at.ENTRY_SHARES,
            "entry_notional": at.ENTRY_NOTIONAL,
            "shorts": at.SHORTS,
        }
        return {name: int(row[column]) for name, column in names.items()}
