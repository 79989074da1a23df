"""`ParameterSets`: when another set comes into force, and what of it changes in the trading half."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hdl.control.parameter_sets import ParameterSets
from hdl.spec.registers import RISK, STRATEGY, Access
from hdl.spec.statistics import HIGHEST_SPREAD
from sim.twin.trade import state as at
from sim.twin.trade.gate import REPORT_COUNTED, VERDICT, count_report, report_window, same_window, tokens_used
from sim.twin.trade.pairs import LEAD
from sim.twin.trade.portfolio import STANDS, bring, sum_at, too_much
from sim.twin.trade.repair import READY, ready

HELD = 2
"""Clocks from a commit to the first one in which nothing is evaluated."""
NEVER = (HIGHEST_SPREAD, ~HIGHEST_SPREAD, ~HIGHEST_SPREAD, HIGHEST_SPREAD)
"""Thresholds no spread reaches: upper, lower, exit_short, exit_long."""
REGISTERS = tuple(
    register.name for block in (RISK, STRATEGY) for register in block.registers if register.access is Access.SET
)
"""Registers of a set."""
_NOT_HIT = at.FAR // 2
_LEGS = 2
"""Columns of a pair's row that are no part of a set."""


@dataclass(frozen=True)
class ParameterSet:
    """A set, and when the host wanted it.

    Parameters
    ----------
    clock : int
        In which `commit` is valid.
    epoch : int
        Its number.
    pairs, limits : mapping of int to mapping
        Rows of the tables of that name by number.
    settings : mapping of str to int
        `REGISTERS` by name.
    """

    clock: int
    epoch: int
    pairs: Mapping[int, Mapping[str, int]]
    limits: Mapping[int, Mapping[str, int]]
    settings: Mapping[str, int]


class Change:
    """A change of sets under way, clock by clock, from the first one in which nothing is evaluated on.

    Parameters
    ----------
    state : Trading
        The trading half, which went on to that clock.
    wanted : ParameterSet
        What comes.
    before : int
        Last clock of the set before the one in force.
    """

    def __init__(self, state: at.Trading, wanted: ParameterSet, before: int) -> None:
        self._state, self.wanted, self._before = state, wanted, before
        self.held_from = wanted.clock + HELD
        self.over = False
        """The clock that was looked on last was the last one of the old set."""
        numbers = state.numbers
        numbers[at.KEPT_OUT] = at.FAR
        # A list whose end was not seen before begins anew.
        self._walks = bool(numbers[at.WALK_CLOCK] < at.FAR or numbers[at.WALK_END] >= self.held_from)
        self._hold()

    def _hold(self) -> None:
        """Evaluate nothing. What comes while a list waits is an overrun all the same, and no list is there to be hit."""
        numbers = self._state.numbers
        numbers[at.WALK_CLOCK], numbers[at.WALK_END] = at.FAR - self._walks, _NOT_HIT

    def look(self, clock: int) -> None:
        """See what a clock brought."""
        if self._state.numbers[at.WALK_END] != _NOT_HIT:
            self._walks = True
            self._hold()
        taken = int(self._state.requests[-1, at.R_CLOCK])
        self.over = clock >= max(self.wanted.clock + ParameterSets.LATENCY, taken + VERDICT + 2)

    def swap(self, last: int) -> None:
        """All of it changes behind the clock."""
        state, numbers = self._state, self._state.numbers
        self._walk(last)
        self._strike(last)
        # Sums go by the old loss limit until then.
        bring(state, last + 1)
        self._tokens(last)
        self._windows(last)
        counts = self._reports(last)
        for name, value in self.wanted.settings.items():
            if name in at.SETTINGS:
                numbers[at.SETTINGS.index(name)] = value
        self._loss(last)
        for kind, told in counts.items():
            if told:
                # It counts by the new window already.
                count_report(numbers, kind, last)
        for slot, limits in self.wanted.limits.items():
            state.slots[slot, : len(limits)] = [limits[name] for name in at.LIMIT_ROW[: len(limits)]]
        for number, row in self.wanted.pairs.items():
            pair = state.pairs[number]
            pair[_LEGS : len(at.PAIR_ROW)] = [row[name] for name in at.PAIR_ROW[_LEGS:]]
            if row["adaptive"]:
                pair[at.UPPER : at.EXIT_LONG + 1] = NEVER
            pair[at.ALLOWED], pair[at.PUBLISHED] = row["enabled"] and not pair[at.LATCHED], at.LONG_AGO
        numbers[at.HELD_FROM], numbers[at.SWAPPED] = self.held_from, last
        numbers[at.KEPT_OUT] = last + 1
        if numbers[at.LOOK_CLOCK] < at.FAR and numbers[at.LOOK_STEP] == READY:
            ready(numbers, last + 1)

    def _walk(self, last: int) -> None:
        """The list that waits begins anew, as if its touch came in the last clock."""
        numbers = self._state.numbers
        numbers[at.EVALUATED] += numbers[at.WALK_NEXT] - numbers[at.WALK_FIRST]
        numbers[at.WALK_NEXT], numbers[at.WALK_HIT] = numbers[at.WALK_FIRST], 0
        count = numbers[at.WALK_STOP] - numbers[at.WALK_FIRST]
        numbers[at.WALK_CLOCK], numbers[at.WALK_END] = at.FAR, at.LONG_AGO
        if self._walks and count:
            numbers[at.WALK_CLOCK], numbers[at.WALK_END] = last + LEAD, last + LEAD - 1 + count
        elif self._walks:
            numbers[at.WALK_END] = last + 2

    def _strike(self, last: int) -> None:
        """Rests that were found to be over are, whatever the next set wants. Where nothing is evaluated the pairs take turns to
        be looked up, an evaluation looks up its own; a clock later it is known."""
        pairs, old = self._state.pairs, int(self._state.numbers[at.COOLDOWN])
        resting = np.flatnonzero(pairs[:, at.COOLING])
        if not len(resting) or self.wanted.settings["cooldown"] <= old:
            return
        evaluated = {int(clock) + 1 for clock in pairs[:, at.LAST_VALID]}
        count, clock = len(pairs), last - 1
        turn = (clock - int(self._state.numbers[at.EVALUATED])) % count
        looked: dict[int, int] = {}
        while len(looked) < count and clock >= 0:
            if clock not in evaluated:
                looked[turn] = clock
            clock -= 1
            turn = (turn - (clock not in evaluated)) % count
        for pair in resting:
            row = pairs[pair]
            clock = max(looked.get(int(pair), -1), int(row[at.LAST_VALID]) + 1)
            if clock >= max(int(row[at.STARTED]) + max(old, _ENDED), self._before):
                row[at.COOLING] = 0

    def _tokens(self, last: int) -> None:
        """The clocks since the last token came back count on."""
        numbers, new = self._state.numbers, self.wanted.settings["rate_interval"]
        tokens_used(numbers, last + 1)
        old = int(numbers[at.RATE_INTERVAL])
        counted = int(numbers[at.TOKEN_CLOCK]) - old if old else last
        numbers[at.TOKEN_CLOCK] = max(last + 1, counted + new)

    def _windows(self, last: int) -> None:
        """So do those of the window."""
        numbers, slots = self._state.numbers, self._state.slots
        old, new = int(numbers[at.SLOT_RATE_WINDOW]), self.wanted.settings["slot_rate_window"]
        for slot in slots:
            if slot[at.KNOWN] and same_window(numbers, slot[at.KEPT_SINCE], last + 1):
                slot[at.KEPT_SINCE] = last + 1
            else:
                slot[at.KEPT_COUNT] = 0
        numbers[at.WINDOWS_FROM] = _windows_from(int(numbers[at.WINDOWS_FROM]), old, new, last)

    def _reports(self, last: int) -> dict[int, bool]:
        """And those of the window of rejects and cancels. What was told in the last clock is taken out: whether there was some,
        by where the kind's numbers begin."""
        numbers = self._state.numbers
        told = {}
        for kind in (at.REJECTS_TOLD, at.CANCELS_TOLD):
            told[kind] = bool(numbers[kind + 1] == last)
            count, clock = numbers[kind + 2 : kind + 4] if told[kind] else numbers[kind : kind + 2]
            same = report_window(numbers, clock + REPORT_COUNTED) == report_window(numbers, last + 1)
            # As of the new set's first clock.
            numbers[kind], numbers[kind + 1] = count if same else 0, last + 1 - REPORT_COUNTED
        old, new = int(numbers[at.REPORT_RATE_WINDOW]), self.wanted.settings["report_rate_window"]
        numbers[at.REPORTS_FROM] = _windows_from(int(numbers[at.REPORTS_FROM]), old, new, last)
        return told

    def _loss(self, last: int) -> None:
        """The new limit looks at every sum from the next clock on."""
        numbers = self._state.numbers
        if numbers[at.LOSS_FROM] > last + 2:
            numbers[at.LOSS_FROM] = at.FAR
        if numbers[at.LOSS_FROM] < at.FAR:
            return
        if sum_at(numbers, 0, last + 1) + numbers[at.MAX_LOSS] < 0:
            numbers[at.LOSS_FROM] = last + 3
        elif too_much(numbers):
            numbers[at.LOSS_FROM] = max(last + 3, numbers[at.P_JOB] + STANDS)


def _windows_from(begin: int, old: int, new: int, last: int) -> int:
    """From when windows of the new length count: the clocks of the one under way count on."""
    counted = 1 + ((last + 1 - begin) % old if old else 0)
    return last + 2 - (counted if counted < new else 0)


_ENDED = 3
"""Clocks from an end to the look that finds it."""
