"""`Portfolio` and `LossLimit`: sums over all slots, a slot after the other.

It is brought up to a clock only when somebody asks what stands there. What it has to hear until then waits in `told`.
"""

from __future__ import annotations

from sim.compiled import apart, part
from sim.twin.trade.state import (
    ASK, BID, BOOKED, BOOKING, COUNT_CLOCKS, DIRTY, ENTERED_A, ENTERED_B, FAR, FILLED, HELD, LOSS_FROM, MAX_LOSS, P_BUYS, P_CASH, P_CLOCK,
    P_DELTA_PNL, P_DIRTY, P_FIRST, P_INPUTS, P_JOB, P_JOB_SLOT, P_PNL, P_POSITION, P_SELLS, P_SENT_A, P_SENT_B, P_SERVING,
    P_SLOT_A, P_SLOT_B, P_TURN, PAID, PART_PNL, PI_A, PI_B, PI_C, PI_CASH, PI_CLOCK, PI_KIND, PI_PRICE, PI_SLOT,
    PORTFOLIO_INPUTS, SENT_CLOCK, TOUCH,
)  # fmt: skip

_LAST_STEP = COUNT_CLOCKS - 1
_FIRST_SUM = 10
"""From the clock in which a slot is picked to the one in which P&L stands; the others follow, a clock each."""
_LOSS = 2
"""From P&L to the loss that was reached."""
_ROOM = PORTFOLIO_INPUTS - 8
_SETTLED = 64
"""Nothing comes in that is older than so many clocks."""


@apart
def tell(state, clock, kind, slot, a, b, c, cash, price):
    """Keep what the portfolio will hear at a clock."""
    numbers, told = state.numbers, state.told
    if numbers[P_FIRST] + numbers[P_INPUTS] >= _ROOM:
        bring(state, clock - _SETTLED)
        first, count = numbers[P_FIRST], numbers[P_INPUTS]
        for number in range(count):
            told[number] = told[first + number]
        numbers[P_FIRST] = 0
    at = numbers[P_FIRST] + numbers[P_INPUTS]
    while at > numbers[P_FIRST] and told[at - 1, PI_CLOCK] > clock:
        told[at] = told[at - 1]
        at -= 1
    row = told[at]
    row[PI_CLOCK], row[PI_KIND], row[PI_SLOT] = clock, kind, slot
    row[PI_A], row[PI_B], row[PI_C], row[PI_CASH], row[PI_PRICE] = a, b, c, cash, price
    numbers[P_INPUTS] += 1


@part
def touched(slots, place, bid, ask):
    """A side that empties keeps its last price."""
    if bid:
        slots[place + BID] = bid
    if ask:
        slots[place + ASK] = ask


@apart
def hear(state, until):
    """Take what was told before a clock."""
    numbers, told = state.numbers, state.told
    while numbers[P_INPUTS] and told[numbers[P_FIRST], PI_CLOCK] < until:
        row = told[numbers[P_FIRST]]
        numbers[P_FIRST] += 1
        numbers[P_INPUTS] -= 1
        clock, kind, number = row[PI_CLOCK], row[PI_KIND], row[PI_SLOT]
        slot = state.slots[number]
        if kind == TOUCH:
            touched(slot, 0, row[PI_A], row[PI_B])
            # One that changes while its slot is at work comes too late for it.
            late = numbers[P_JOB_SLOT] == number and numbers[P_JOB] < clock < numbers[P_JOB] + COUNT_CLOCKS
            if slot[HELD] or late:
                soil(numbers, slot)
            continue
        slot[P_POSITION], slot[P_BUYS], slot[P_SELLS] = row[PI_A], row[PI_B], row[PI_C]
        if kind != BOOKED:
            slot[PAID] = row[PI_PRICE]
        if kind == ENTERED_A:
            numbers[P_SENT_A], numbers[P_SLOT_A] = 1, number
        elif kind == ENTERED_B:
            numbers[P_SENT_B], numbers[P_SLOT_B] = 1, number
        else:
            if kind == FILLED:
                slot[P_CASH] = row[PI_CASH]
            soil(numbers, slot)


@part
def soil(numbers, slot):
    if not slot[DIRTY]:
        slot[DIRTY] = 1
        numbers[P_DIRTY] += 1


@apart
def bring(state, until):
    """Pick every slot that is picked before a clock."""
    numbers = state.numbers
    count = len(state.slots)
    if numbers[BOOKING]:
        # What left has yet to be told.
        until = min(until, numbers[SENT_CLOCK] + 3)
    while numbers[P_CLOCK] < until:
        clock = numbers[P_CLOCK]
        hear(state, clock)
        if numbers[P_SENT_A] or numbers[P_SENT_B]:
            pick(state, clock, True)
            continue
        # The turn goes on by a slot a clock, until something comes or a slot that changed does.
        stop = until
        if numbers[P_INPUTS]:
            stop = min(until, state.told[numbers[P_FIRST], PI_CLOCK] + 1)
        if numbers[P_DIRTY]:
            while clock < stop and not state.slots[numbers[P_TURN], DIRTY]:
                clock += 1
                numbers[P_TURN] = (numbers[P_TURN] + 1) % count
            numbers[P_CLOCK] = clock
            if clock < stop:
                pick(state, clock, False)
        else:
            numbers[P_TURN] = (numbers[P_TURN] + stop - clock) % count
            numbers[P_CLOCK] = stop


@apart
def pick(state, clock, serving):
    """Count a slot anew."""
    numbers = state.numbers
    if not serving:
        number = numbers[P_TURN]
        numbers[P_TURN] = (number + 1) % len(state.slots)
    elif numbers[P_SENT_A]:
        number = numbers[P_SLOT_A]
        numbers[P_SENT_A] = 0
    else:
        number = numbers[P_SLOT_B]
        numbers[P_SENT_B] = 0
    slot = state.slots[number]
    if slot[DIRTY]:
        slot[DIRTY] = 0
        numbers[P_DIRTY] -= 1
    # Its rows are read a clock later.
    hear(state, clock + 1)
    position, longest, shortest = slot[P_POSITION], slot[P_POSITION] + slot[P_BUYS], slot[P_POSITION] - slot[P_SELLS]
    mark = slot[BID] if position > 0 else slot[ASK]
    if mark == 0:
        mark = slot[PAID]
    values = (slot[P_CASH] + position * mark, longest * mark, shortest * mark, max(abs(longest), abs(shortest)) * mark)
    for index in range(4):
        change = values[index] - slot[PART_PNL + index]
        slot[PART_PNL + index] = values[index]
        numbers[P_PNL + index] += change
        numbers[P_DELTA_PNL + index] = change
    slot[HELD] = position != 0 or slot[P_BUYS] != 0 or slot[P_SELLS] != 0
    numbers[P_JOB], numbers[P_JOB_SLOT], numbers[P_SERVING] = clock, number, serving
    numbers[P_CLOCK] = clock + COUNT_CLOCKS
    if numbers[LOSS_FROM] == FAR and too_much(numbers):
        numbers[LOSS_FROM] = clock + _FIRST_SUM + _LOSS


@part
def too_much(numbers):
    """More was lost than may be."""
    return numbers[P_PNL] + numbers[MAX_LOSS] < 0


@part
def settled(state, clock):
    """No order that was entered is missing in the sums."""
    numbers = state.numbers
    bring(state, clock)
    hear(state, clock)
    return not (numbers[P_SENT_A] or numbers[P_SENT_B] or (numbers[P_SERVING] and clock <= numbers[P_JOB] + _LAST_STEP))


@part
def sum_at(numbers, index, clock):
    """A sum as it stands in a clock up to which the portfolio was brought: the last change may not be in it yet."""
    early = clock < numbers[P_JOB] + _FIRST_SUM + index
    return numbers[P_PNL + index] - (numbers[P_DELTA_PNL + index] if early else 0)
