"""`LegRepair`: pairs that are legged, and the orders that make them level."""

from __future__ import annotations

from hdl.spec.reasons import LegAction, LegPolicy, PairOutcome
from sim.compiled import apart, part
from sim.twin.trade import state as s
from sim.twin.trade.pairs import limit

DONE = 2
"""Clocks until evaluations see that a pair's orders ended."""
TAKE, READY, LOOK, OFFER, JUDGE, BACK, END = range(7)
"""What is done next: another pair is taken from those that wait, it has waited, its legs and the touch are looked at, its order
is offered and judged, it goes back to the others, it is given back to the trigger."""
_WAITS, _LOOKS, _ENDS, _OFFERS, _BACK = 2, 4, 1, 5, 2
"""Clocks from one to the other: taken to ready, ready to touch, touch to end, touch to offer, verdict to the queue."""
_COMPLETE, _UNWIND, _STOP = int(LegAction.COMPLETE), int(LegAction.UNWIND), int(LegAction.STOP)
_COMPLETES, _UNWINDS = int(LegPolicy.COMPLETE), int(LegPolicy.UNWIND)
_FILLED, _NOTHING, _LEGGED = int(PairOutcome.FILLED), int(PairOutcome.NOTHING), int(PairOutcome.LEGGED)


@part
def has_policy(row):
    return row[s.ENABLED] != 0 and (row[s.POLICY] == _COMPLETES or row[s.POLICY] == _UNWINDS)


@part
def repairable(numbers, row):
    """Whether a pair that is legged is to be repaired."""
    return numbers[s.REPAIRS] != 0 and has_policy(row) and row[s.LEG_TRIES] != 0


@part
def finish(state, clock, pair, outcome, out):
    """The trigger is told; of a pair that stops the host as well."""
    numbers = state.numbers
    first = numbers[s.DONE_CLOCK] == s.FAR
    clock_at = s.DONE_CLOCK if first else s.NEXT_CLOCK
    numbers[clock_at], numbers[clock_at + 1], numbers[clock_at + 2] = clock + DONE, pair, outcome
    # The allowance, and the rejects allowed, are those of the set in force now; what was rejected are orders of its own.
    row = state.pairs[pair]
    numbers[s.DONE_MOST if first else s.NEXT_MOST] = row[s.MAX_TRIGGERS]
    numbers[s.DONE_MOST_REJECTS if first else s.NEXT_MOST_REJECTS] = row[s.MAX_REJECTS]
    numbers[s.DONE_REJECTED if first else s.NEXT_REJECTED] = row[s.TALLY_REJECTED]
    numbers[s.DONE_BEFORE], numbers[s.LAST_DONE] = numbers[s.LAST_DONE], clock
    if outcome == _LEGGED and numbers[s.REPAIRS]:
        record = out[numbers[s.OUT_AT]]
        numbers[s.OUT_AT] += 1
        record[0], record[1] = s.OUT_TRIGGER, clock
        record[2], record[3], record[4], record[5] = 0, 0, pair, _STOP


@part
def push(state, clock, pair, tries):
    """A pair waits behind all others."""
    numbers = state.numbers
    row = state.waiting[numbers[s.WAITING]]
    row[0], row[1], row[2] = pair, tries, clock
    numbers[s.WAITING] += 1
    numbers[s.PUSHED] = clock
    if numbers[s.LOOK_STEP] == TAKE and numbers[s.LOOK_CLOCK] == s.FAR:
        numbers[s.LOOK_STEP], numbers[s.LOOK_CLOCK] = TAKE, max(numbers[s.LOOK_FREE], clock + 1)


@part
def rest(numbers, clock):
    """Nothing is being looked at from this clock on."""
    numbers[s.LOOK_FREE] = clock
    numbers[s.LOOK_STEP], numbers[s.LOOK_CLOCK] = TAKE, clock if numbers[s.WAITING] else s.FAR


@apart
def hear(state, clock, out):
    """What the ledger told a clock before."""
    numbers = state.numbers
    pair, kind = numbers[s.TOLD_PAIR], numbers[s.TOLD_KIND]
    numbers[s.TOLD_CLOCK] = s.FAR
    if kind == s.ORDERS_ENDED:
        numbers[s.WENT_ON] = clock
        finish(state, clock, pair, numbers[s.TOLD_OUTCOME], out)
    elif kind == s.LEGGED:
        numbers[s.REPAIRED] += 1
        push(state, clock, pair, 0)
    elif numbers[s.REPAIRED]:
        push(state, clock, pair, state.pairs[pair, s.USED_TRIES])


@part
def ready(numbers, clock):
    """The first clock, from this one on, in which a pair has waited long enough and no set may change."""
    clock = max(clock, numbers[s.LOOK_SINCE] + numbers[s.COOLDOWN] + 1)
    numbers[s.LOOK_STEP], numbers[s.LOOK_CLOCK] = READY, clock


@apart
def go_on_with(state, clock, out):
    """The next thing that is done with the pair that is looked at."""
    numbers = state.numbers
    step = numbers[s.LOOK_STEP]
    if step == TAKE:
        first = state.waiting[0]
        numbers[s.LOOK_PAIR], numbers[s.LOOK_TRIES], numbers[s.LOOK_SINCE] = first[0], first[1], first[2]
        numbers[s.WAITING] -= 1
        for number in range(numbers[s.WAITING]):
            state.waiting[number] = state.waiting[number + 1]
        ready(numbers, clock + _WAITS)
    elif step == READY:
        if clock <= numbers[s.KEPT_OUT]:
            numbers[s.LOOK_CLOCK] = clock + 1
        else:
            numbers[s.LOOK_STEP], numbers[s.LOOK_CLOCK], numbers[s.LOOK_READY] = LOOK, clock + _LOOKS, clock
    elif step == LOOK:
        look_at(state, clock)
    elif step == BACK:
        if numbers[s.PUSHED] == clock:
            numbers[s.LOOK_CLOCK] = clock + 1
        else:
            push(state, clock, numbers[s.LOOK_PAIR], numbers[s.LOOK_TRIES] + 1)
            rest(numbers, clock + 1)
    elif numbers[s.WENT_ON] == clock:
        numbers[s.LOOK_CLOCK] = clock + 1
    else:
        numbers[s.REPAIRED] -= 1
        finish(state, clock, numbers[s.LOOK_PAIR], numbers[s.LOOK_OUTCOME], out)
        rest(numbers, clock + 1)


@part
def look_at(state, clock):
    """What remains, and the touch."""
    numbers = state.numbers
    row = state.pairs[numbers[s.LOOK_PAIR]]
    second = s.LEG_COLUMNS
    # Leg a is read five clocks before the touch is, leg b four.
    doubted = row[s.L_BROKEN] <= clock - 5 or row[s.L_BROKEN + second] <= clock - 4
    full = row[s.L_HELD] == row[s.L_SIZE] and row[s.L_HELD + second] == row[s.L_SIZE + second] and not doubted
    none = row[s.L_HELD] == 0 and row[s.L_HELD + second] == 0 and not doubted
    spent = not has_policy(row) or numbers[s.LOOK_TRIES] >= row[s.LEG_TRIES] or doubted
    if full or none or spent:
        numbers[s.LOOK_OUTCOME] = _FILLED if full else (_NOTHING if none else _LEGGED)
        numbers[s.LOOK_STEP], numbers[s.LOOK_CLOCK] = END, clock + _ENDS
        return
    completes = row[s.POLICY] == _COMPLETES
    leg = row[s.L_HELD] == row[s.L_SIZE] if completes else row[s.L_HELD] == 0
    at = second if leg else 0
    size, held = row[s.L_SIZE + at], row[s.L_HELD + at]
    side = row[s.L_SIDE + at] if completes else 1 - row[s.L_SIDE + at]
    asked = state.repair
    asked[:] = 0
    asked[s.R_PAIR], asked[s.R_LEGS], asked[s.R_REPAIR], asked[s.R_LEG] = numbers[s.LOOK_PAIR], 1, 1, leg
    asked[s.R_ACTION] = _COMPLETE if completes else _UNWIND
    asked[s.R_SLOT], asked[s.R_SIDE], asked[s.R_QUANTITY] = row[s.L_SLOT + at], side, size - held if completes else held
    asked[s.R_PRICE] = limit(state.touches[row[s.L_SLOT + at], 0 if side else 2], side, row[s.SLIPPAGE])
    numbers[s.LOOK_STEP], numbers[s.LOOK_CLOCK] = OFFER, clock + _OFFERS


@part
def offer(state, clock, order_now, free, out):
    """The order is offered: whether it is taken. Triggers and orders of the host go first, and one of a set that may have changed
    since is made anew."""
    numbers = state.numbers
    if order_now or not free or numbers[s.OFFERED_AT] == clock or numbers[s.KEPT_OUT] > numbers[s.LOOK_READY]:
        ready(numbers, clock + 1)
        return False
    asked = state.requests[len(state.requests) - 1]
    asked[:] = state.repair
    asked[s.R_CLOCK] = clock
    record = out[numbers[s.OUT_AT]]
    numbers[s.OUT_AT] += 1
    record[0], record[1] = s.OUT_TRIGGER, clock
    record[2], record[3], record[4], record[5] = 0, 0, asked[s.R_PAIR], asked[s.R_ACTION]
    numbers[s.LOOK_STEP], numbers[s.LOOK_CLOCK] = JUDGE, s.FAR
    return True


@part
def judged(state, clock, leaves):
    """The gate gave its verdict."""
    numbers = state.numbers
    if leaves:
        state.pairs[numbers[s.LOOK_PAIR], s.USED_TRIES] = numbers[s.LOOK_TRIES] + 1
        rest(numbers, clock + 1)
    else:
        numbers[s.LOOK_STEP], numbers[s.LOOK_CLOCK] = BACK, clock + _BACK
