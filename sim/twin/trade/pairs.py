"""`SpreadTrigger`: which pairs a changed touch leads to, and what each makes of it."""

from __future__ import annotations

import numpy as np

from hdl.spec import ouch
from hdl.spec.reasons import Miss, PairAction
from sim.compiled import apart, part
from sim.twin.trade.state import (
    ACTION, ADAPTIVE, COOLDOWN, COOLING, DISARMED, EXACT, EXIT_LONG, EXIT_SHORT, FAR, FIRE_ACTION, FOUND_BUY, FOUND_CLOCK,
    FOUND_PAIR, FOUND_SELL, INTEGRITY, LAST_COUNTED, LAST_TIME, LAST_VALID, LEG_NUMBERS, LOWER, MAX_UNITS, OLD_UPPER,
    PAIR_NUMBERS, PENDING, PUBLISHED, REQUESTS, REQUEST_AT, R_ACTION, R_CLOCK, R_PAIR, R_PRICE, R_QUANTITY, R_SEQUENCE, R_SIDE,
    R_SLOT, R_SPREAD, SAMPLE_INTERVAL, SIZE_A, SIZE_B, SLIPPAGE, SLOT_A, SLOT_B, SLOT_NUMBERS, SPENT, STAGE_CLOCK, STARTED,
    UNITS, UPPER, WALK_CLOCK, WALK_END, WALK_FIRST, WALK_HIT, WALK_NEXT, WALK_READ, WALK_SEQUENCE, WALK_SLOT, WALK_STOP,
    WEIGHT_A, WEIGHT_B, WINDOW, WINDOW_NUMBER,
)  # fmt: skip

LEAD, LATENCY = 5, 4
"""`SpreadTrigger`'s: clocks a list takes to be fetched; clocks from an evaluation to its request."""
FIRES, SAMPLES = 1, 2
_ONCE = 48
"""From here on `sample_interval` makes one window of all time."""
_DOLLAR, _CENT = 10_000, 100
_HIGHEST = ouch.HIGHEST_PRICE
_SELL_SPREAD, _BUY_SPREAD, _BUY_BACK, _SELL_OUT = (int(action) for action in PairAction)
_PENDING, _COOLDOWN = int(Miss.PENDING), int(Miss.COOLDOWN)
_SIZE, _MAX_UNITS, _OVERRUN, _ALLOWANCE = int(Miss.SIZE), int(Miss.MAX_UNITS), int(Miss.OVERRUN), int(Miss.ALLOWANCE)


# What runs with every change takes pointers: to hand arrays on counts references, which costs more than the rest.


@part
def walk(numbers, lists, misses, clock, slot, sequence, time, lead):
    """A touch changed: its list's pairs follow. What is left of the last list is lost."""
    window = numbers[SAMPLE_INTERVAL]
    if window < _ONCE and (time ^ numbers[LAST_TIME]) >> window:
        numbers[WINDOW_NUMBER] += 1
    numbers[LAST_TIME] = time
    if numbers[WALK_CLOCK] < FAR:
        misses[_OVERRUN] += 1
    # The list was fetched when the message entered the book, or as soon as the last one had ended.
    first, count = lists[2 * slot], lists[2 * slot + 1]
    fetched = max(clock - lead, numbers[WALK_END] + 1)
    hit = count > 0 and clock >= fetched + LEAD
    numbers[WALK_SLOT], numbers[WALK_SEQUENCE], numbers[WALK_HIT] = slot, sequence, hit
    numbers[WALK_FIRST], numbers[WALK_NEXT], numbers[WALK_STOP] = first, first, first + count
    numbers[WALK_READ] = fetched + LEAD - 2
    if count == 0:
        numbers[WALK_CLOCK], numbers[WALK_END] = FAR, clock + 2
    elif hit:
        numbers[WALK_CLOCK], numbers[WALK_END] = clock, clock + count
    else:
        numbers[WALK_CLOCK], numbers[WALK_END] = clock + LEAD, clock + LEAD - 1 + count


@part
def step(numbers, touches, slots, pairs, index):
    """The next pair of the list. Gives `FIRES` where its action is to be judged, and `SAMPLES` where a sample is due."""
    clock, at = numbers[WALK_CLOCK], numbers[WALK_NEXT]
    pair = index[at]
    place = at - numbers[WALK_FIRST] if numbers[WALK_HIT] else 2
    read = numbers[WALK_READ] + place if place < 2 else clock - 2
    # The pair behind the one that waited for its touch comes a clock later.
    numbers[WALK_NEXT] = at + 1
    numbers[WALK_CLOCK] = FAR if at + 1 == numbers[WALK_STOP] else clock + (2 if place == 0 else 1)
    row, slot = pair * PAIR_NUMBERS, numbers[WALK_SLOT]
    slot_a, slot_b = pairs[row + SLOT_A], pairs[row + SLOT_B]
    if (slot_a == slot) == (slot_b == slot):
        return 0
    busy = pairs[row + LAST_VALID] == clock - 1 or pairs[row + LAST_COUNTED] == clock - 2
    pairs[row + LAST_VALID] = clock
    bid_a, ask_a, bid_b, ask_b = touches[4 * slot_a], touches[4 * slot_a + 2], touches[4 * slot_b], touches[4 * slot_b + 2]
    inexact = slots[slot_a * SLOT_NUMBERS + INTEGRITY] != EXACT or slots[slot_b * SLOT_NUMBERS + INTEGRITY] != EXACT
    if busy or inexact or bid_a == 0 or ask_a == 0 or bid_b == 0 or ask_b == 0:
        return 0
    pairs[row + LAST_COUNTED] = clock
    weight_a, weight_b = pairs[row + WEIGHT_A], pairs[row + WEIGHT_B]
    sell = weight_a * bid_a - weight_b * ask_b
    buy = weight_a * ask_a - weight_b * bid_b
    # A change is judged by the thresholds that stood when the pair's row was read.
    at = row if pairs[row + PUBLISHED] < read else row + OLD_UPPER - UPPER
    reached = (
        np.int64(sell >= pairs[at + UPPER]) << _SELL_SPREAD
        | np.int64(buy <= pairs[at + LOWER]) << _BUY_SPREAD
        | np.int64(buy <= pairs[at + EXIT_SHORT]) << _BUY_BACK
        | np.int64(sell >= pairs[at + EXIT_LONG]) << _SELL_OUT
    )
    disarmed = pairs[row + DISARMED]
    pairs[row + DISARMED] = disarmed & reached
    found = 0
    if reached:
        action = choice(pairs[row + UNITS], reached)
        if action >= 0 and not disarmed >> action & 1:
            numbers[FIRE_ACTION] = action
            found = FIRES
    if pairs[row + ADAPTIVE] and pairs[row + WINDOW] != numbers[WINDOW_NUMBER] and bid_a < ask_a and bid_b < ask_b:
        found |= SAMPLES
    if found:
        numbers[FOUND_PAIR], numbers[FOUND_CLOCK], numbers[FOUND_SELL], numbers[FOUND_BUY] = pair, clock, sell, buy
    return found


@part
def choice(units, reached):
    """What is wanted, -1 where nothing is."""
    if units < 0:
        if reached >> _BUY_BACK & 1:
            return _BUY_BACK
        return _SELL_SPREAD if reached >> _SELL_SPREAD & 1 else -1
    if units > 0:
        if reached >> _SELL_OUT & 1:
            return _SELL_OUT
        return _BUY_SPREAD if reached >> _BUY_SPREAD & 1 else -1
    if reached >> _SELL_SPREAD & 1:
        return _SELL_SPREAD
    return _BUY_SPREAD if reached >> _BUY_SPREAD & 1 else -1


@apart
def judge(state):
    """Ask for both orders of the pair that `step` found, or say why not."""
    numbers, misses = state.numbers, state.misses
    pair, clock, action = numbers[FOUND_PAIR], numbers[FOUND_CLOCK], numbers[FIRE_ACTION]
    row = state.pairs[pair]
    selling = action in (_SELL_SPREAD, _SELL_OUT)
    a, b = state.touches[row[SLOT_A]], state.touches[row[SLOT_B]]
    shown_a, shown_b = (a[1], b[3]) if selling else (a[3], b[1])
    if row[SPENT]:
        misses[_ALLOWANCE] += 1
    elif row[PENDING]:
        misses[_PENDING] += 1
    elif row[COOLING] and clock + 1 - row[STARTED] < numbers[COOLDOWN]:
        misses[_COOLDOWN] += 1
    elif action in (_SELL_SPREAD, _BUY_SPREAD) and abs(row[UNITS]) >= row[MAX_UNITS]:
        misses[_MAX_UNITS] += 1
    elif shown_a < row[SIZE_A] or shown_b < row[SIZE_B]:
        misses[_SIZE] += 1
    else:
        request(state, row, pair, clock, action, numbers[FOUND_SELL] if selling else numbers[FOUND_BUY])


@apart
def request(state, row, pair, clock, action, spread):
    """Both orders, on offer `LATENCY` clocks behind the evaluation."""
    numbers = state.numbers
    asked = state.requests[numbers[REQUESTS]]
    numbers[REQUESTS] += 1
    asked[R_CLOCK], asked[R_PAIR], asked[R_ACTION] = clock + LATENCY, pair, action
    asked[R_SEQUENCE], asked[R_SPREAD] = numbers[WALK_SEQUENCE], spread
    selling = action in (_SELL_SPREAD, _SELL_OUT)
    for leg in range(2):
        slot, size = (row[SLOT_B], row[SIZE_B]) if leg else (row[SLOT_A], row[SIZE_A])
        sale = selling != (leg == 1)
        at = leg * LEG_NUMBERS
        asked[R_SLOT + at], asked[R_SIDE + at], asked[R_QUANTITY + at] = slot, sale, size
        asked[R_PRICE + at] = limit(state.touches[slot, 0 if sale else 2], sale, row[SLIPPAGE])
    # Whether it is taken shows in the clock it is offered in; until then it counts as taken.
    row[PENDING] = 1
    if numbers[REQUESTS] == 1:
        numbers[REQUEST_AT] = clock + LATENCY
        numbers[STAGE_CLOCK] = min(numbers[STAGE_CLOCK], clock + LATENCY)


@part
def limit(price, sale, slippage):
    """The touch, and as many ticks beyond it as allowed."""
    allowance = slippage if price < _DOLLAR else slippage * _CENT
    if sale:
        return min(max(price - allowance, 1), _HIGHEST)
    return min(price + allowance, _DOLLAR if price < _DOLLAR else _HIGHEST)


@apart
def armed_again(state, pair):
    """A request that was taken did not leave: its action is armed again where the pair may ask on."""
    row = state.pairs[pair]
    row[PENDING] = 0
    row[DISARMED] &= ~(1 << row[ACTION])
