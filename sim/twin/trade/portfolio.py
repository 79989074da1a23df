"""`Portfolio` and `LossLimit`: sums over all slots, a slot after the other.

It is brought up to a clock only when somebody asks what stands there. What it has to hear until then waits in `told`.
"""

from __future__ import annotations

from sim.compiled import apart, part
from sim.twin.trade import state as s

_FIRST_SUM = 10
"""From the clock in which a slot is picked to the one in which P&L stands; the others follow, a clock each."""
_LOSS = 2
"""From P&L to the loss that was reached."""
STANDS = _FIRST_SUM + _LOSS
"""From the clock in which a slot is picked to the one in which it is known whether too much was lost."""
_ROOM = s.PORTFOLIO_INPUTS - 8
_SETTLED = 64
"""Nothing comes in that is older than so many clocks."""


@apart
def tell(state, clock, kind, slot, a, b, c, cash, price):
    """Keep what the portfolio will hear at a clock."""
    numbers, told = state.numbers, state.told
    if numbers[s.P_FIRST] + numbers[s.P_INPUTS] >= _ROOM:
        bring(state, clock - _SETTLED)
        first, count = numbers[s.P_FIRST], numbers[s.P_INPUTS]
        for number in range(count):
            told[number] = told[first + number]
        numbers[s.P_FIRST] = 0
    at = numbers[s.P_FIRST] + numbers[s.P_INPUTS]
    while at > numbers[s.P_FIRST] and told[at - 1, s.PI_CLOCK] > clock:
        told[at] = told[at - 1]
        at -= 1
    row = told[at]
    row[s.PI_CLOCK], row[s.PI_KIND], row[s.PI_SLOT] = clock, kind, slot
    row[s.PI_A], row[s.PI_B], row[s.PI_C], row[s.PI_CASH], row[s.PI_PRICE] = a, b, c, cash, price
    numbers[s.P_INPUTS] += 1


@part
def touched(slots, place, bid, ask):
    """A side that empties keeps its last price."""
    if bid:
        slots[place + s.BID] = bid
    if ask:
        slots[place + s.ASK] = ask


@apart
def hear(state, until):
    """Take what was told before a clock."""
    numbers, told = state.numbers, state.told
    while numbers[s.P_INPUTS] and told[numbers[s.P_FIRST], s.PI_CLOCK] < until:
        row = told[numbers[s.P_FIRST]]
        numbers[s.P_FIRST] += 1
        numbers[s.P_INPUTS] -= 1
        clock, kind, number = row[s.PI_CLOCK], row[s.PI_KIND], row[s.PI_SLOT]
        slot = state.slots[number]
        if kind == s.TOUCH:
            touched(slot, 0, row[s.PI_A], row[s.PI_B])
            # One that changes while its slot is at work comes too late for it.
            late = numbers[s.P_JOB_SLOT] == number and numbers[s.P_JOB] < clock < numbers[s.P_JOB] + s.COUNT_CLOCKS
            if slot[s.HELD] or late:
                soil(numbers, slot)
            continue
        slot[s.P_POSITION], slot[s.P_BUYS], slot[s.P_SELLS] = row[s.PI_A], row[s.PI_B], row[s.PI_C]
        if kind != s.BOOKED:
            slot[s.PAID] = row[s.PI_PRICE]
        if kind == s.ENTERED_A:
            numbers[s.P_SENT_A], numbers[s.P_SLOT_A] = 1, number
        elif kind == s.ENTERED_B:
            numbers[s.P_SENT_B], numbers[s.P_SLOT_B] = 1, number
        else:
            if kind == s.FILLED:
                slot[s.P_CASH] = row[s.PI_CASH]
            soil(numbers, slot)


@part
def soil(numbers, slot):
    if not slot[s.DIRTY]:
        slot[s.DIRTY] = 1
        numbers[s.P_DIRTY] += 1


@apart
def bring(state, until):
    """Pick every slot that is picked before a clock."""
    numbers = state.numbers
    count = len(state.slots)
    if numbers[s.BOOKING]:
        # What left has yet to be told.
        until = min(until, numbers[s.SENT_CLOCK] + 3)
    while numbers[s.P_CLOCK] < until:
        clock = numbers[s.P_CLOCK]
        hear(state, clock)
        if numbers[s.P_SENT_A] or numbers[s.P_SENT_B]:
            pick(state, clock, True)
            continue
        # The turn goes on by a slot a clock, until something comes or a slot that changed does.
        stop = until
        if numbers[s.P_INPUTS]:
            stop = min(until, state.told[numbers[s.P_FIRST], s.PI_CLOCK] + 1)
        if numbers[s.P_DIRTY]:
            while clock < stop and not state.slots[numbers[s.P_TURN], s.DIRTY]:
                clock += 1
                numbers[s.P_TURN] = (numbers[s.P_TURN] + 1) % count
            numbers[s.P_CLOCK] = clock
            if clock < stop:
                pick(state, clock, False)
        else:
            numbers[s.P_TURN] = (numbers[s.P_TURN] + stop - clock) % count
            numbers[s.P_CLOCK] = stop


@apart
def pick(state, clock, serving):
    """Count a slot anew."""
    numbers = state.numbers
    if not serving:
        number = numbers[s.P_TURN]
        numbers[s.P_TURN] = (number + 1) % len(state.slots)
    elif numbers[s.P_SENT_A]:
        number = numbers[s.P_SLOT_A]
        numbers[s.P_SENT_A] = 0
    else:
        number = numbers[s.P_SLOT_B]
        numbers[s.P_SENT_B] = 0
    slot = state.slots[number]
    if slot[s.DIRTY]:
        slot[s.DIRTY] = 0
        numbers[s.P_DIRTY] -= 1
    # Its rows are read a clock later.
    hear(state, clock + 1)
    position, longest, shortest = slot[s.P_POSITION], slot[s.P_POSITION] + slot[s.P_BUYS], slot[s.P_POSITION] - slot[s.P_SELLS]
    mark = slot[s.BID] if position > 0 else slot[s.ASK]
    if mark == 0:
        mark = slot[s.PAID]
    values = (slot[s.P_CASH] + position * mark, longest * mark, shortest * mark, max(abs(longest), abs(shortest)) * mark)
    for index in range(4):
        change = values[index] - slot[s.PART_PNL + index]
        slot[s.PART_PNL + index] = values[index]
        numbers[s.P_PNL + index] += change
        numbers[s.P_DELTA_PNL + index] = change
    slot[s.HELD] = position != 0 or slot[s.P_BUYS] != 0 or slot[s.P_SELLS] != 0
    numbers[s.P_JOB], numbers[s.P_JOB_SLOT], numbers[s.P_SERVING] = clock, number, serving
    numbers[s.P_CLOCK] = clock + s.COUNT_CLOCKS
    if numbers[s.LOSS_FROM] == s.FAR and too_much(numbers):
        numbers[s.LOSS_FROM] = clock + STANDS


@part
def too_much(numbers):
    """More was lost than may be."""
    return numbers[s.P_PNL] + numbers[s.MAX_LOSS] < 0


@part
def settled(state, clock):
    """No order that was entered is missing in the sums."""
    numbers = state.numbers
    bring(state, clock)
    hear(state, clock)
    serving = numbers[s.P_SERVING] and clock <= numbers[s.P_JOB] + s.COUNT_CLOCKS
    return not (numbers[s.P_SENT_A] or numbers[s.P_SENT_B] or serving)


@part
def sum_at(numbers, index, clock):
    """A sum as it stands in a clock up to which the portfolio was brought: the last change may not be in it yet."""
    early = clock < numbers[s.P_JOB] + _FIRST_SUM + index
    return numbers[s.P_PNL + index] - (numbers[s.P_DELTA_PNL + index] if early else 0)
