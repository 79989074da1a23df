"""`SpreadTrigger`: which pairs a changed touch leads to, and what each makes of it."""

from __future__ import annotations

import numpy as np

from hdl.spec import ouch
from hdl.spec.reasons import Miss, PairAction
from sim.compiled import apart, part
from sim.twin.trade import state as s

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
_REJECTS = int(Miss.REJECTS)


# What runs with every change takes pointers: to hand arrays on counts references, which costs more than the rest.


@part
def walk(numbers, lists, misses, clock, slot, sequence, time, lead):
    """A touch changed: its list's pairs follow. What is left of the last list is lost.

    So many clocks before it the book announced a slot: that of the touch, or another one where `lead` is less than 0.
    """
    window = numbers[s.SAMPLE_INTERVAL]
    if window < _ONCE and (time ^ numbers[s.LAST_TIME]) >> window:
        numbers[s.WINDOW_NUMBER] += 1
    numbers[s.LAST_TIME] = time
    # That a list is empty is seen two clocks behind its touch.
    empty = numbers[s.WALK_FIRST] == numbers[s.WALK_STOP]
    if numbers[s.WALK_CLOCK] < s.FAR or (empty and numbers[s.WALK_END] == clock + 1):
        misses[_OVERRUN] += 1
    numbers[s.EVALUATED] += numbers[s.WALK_NEXT] - numbers[s.WALK_FIRST]
    # The list was fetched when the slot was announced, or as soon as the last one had ended. One that is fetched ahead goes with
    # the next touch, whosever it is; what was fetched by another set is fetched anew.
    first, count = lists[2 * slot], lists[2 * slot + 1]
    announced = clock - abs(lead)
    fetched = announced if announced > numbers[s.SWAPPED] else numbers[s.SWAPPED] + (announced >= numbers[s.HELD_FROM])
    fetched = max(fetched, numbers[s.WALK_END] + 1)
    hit = count > 0 and lead > 0 and announced > numbers[s.WALK_USED] and clock >= fetched + LEAD
    if fetched < clock:
        numbers[s.WALK_USED] = announced
    numbers[s.WALK_SLOT], numbers[s.WALK_SEQUENCE], numbers[s.WALK_HIT] = slot, sequence, hit
    numbers[s.WALK_FIRST], numbers[s.WALK_NEXT], numbers[s.WALK_STOP] = first, first, first + count
    numbers[s.WALK_READ] = fetched + LEAD - 2
    if count == 0:
        numbers[s.WALK_CLOCK], numbers[s.WALK_END] = s.FAR, clock + 2
    elif hit:
        numbers[s.WALK_CLOCK], numbers[s.WALK_END] = clock, clock + count
    else:
        numbers[s.WALK_CLOCK], numbers[s.WALK_END] = clock + LEAD, clock + LEAD - 1 + count


@part
def step(numbers, touches, slots, pairs, entries):
    """The next pair of the list. Gives `FIRES` where its action is to be judged, and `SAMPLES` where a sample is due."""
    clock, at = numbers[s.WALK_CLOCK], numbers[s.WALK_NEXT]
    pair = entries[at]
    place = at - numbers[s.WALK_FIRST] if numbers[s.WALK_HIT] else 2
    read = numbers[s.WALK_READ] + place if place < 2 else clock - 2
    # The pair behind the one that waited for its touch comes a clock later.
    numbers[s.WALK_NEXT] = at + 1
    numbers[s.WALK_CLOCK] = s.FAR if at + 1 == numbers[s.WALK_STOP] else clock + (2 if place == 0 else 1)
    row, slot = pair * s.PAIR_NUMBERS, numbers[s.WALK_SLOT]
    slot_a, slot_b = pairs[row + s.SLOT_A], pairs[row + s.SLOT_B]
    if (slot_a == slot) == (slot_b == slot):
        numbers[s.EVALUATED] -= 1
        return 0
    busy = pairs[row + s.LAST_VALID] == clock - 1 or pairs[row + s.LAST_COUNTED] == clock - 2
    pairs[row + s.LAST_VALID] = clock
    bid_a, ask_a, bid_b, ask_b = touches[4 * slot_a], touches[4 * slot_a + 2], touches[4 * slot_b], touches[4 * slot_b + 2]
    inexact = slots[slot_a * s.SLOT_NUMBERS + s.INTEGRITY] != s.EXACT or slots[slot_b * s.SLOT_NUMBERS + s.INTEGRITY] != s.EXACT
    if busy or inexact or bid_a == 0 or ask_a == 0 or bid_b == 0 or ask_b == 0:
        return 0
    pairs[row + s.LAST_COUNTED] = clock
    weight_a, weight_b = pairs[row + s.WEIGHT_A], pairs[row + s.WEIGHT_B]
    sell = weight_a * bid_a - weight_b * ask_b
    buy = weight_a * ask_a - weight_b * bid_b
    # A change is judged by the thresholds that stood when the pair's row was read.
    at = row if pairs[row + s.PUBLISHED] < read else row + s.OLD_UPPER - s.UPPER
    reached = (
        np.int64(sell >= pairs[at + s.UPPER]) << _SELL_SPREAD
        | np.int64(buy <= pairs[at + s.LOWER]) << _BUY_SPREAD
        | np.int64(buy <= pairs[at + s.EXIT_SHORT]) << _BUY_BACK
        | np.int64(sell >= pairs[at + s.EXIT_LONG]) << _SELL_OUT
    )
    disarmed = pairs[row + s.DISARMED]
    pairs[row + s.DISARMED] = disarmed & reached
    found = 0
    if reached:
        action = choice(pairs[row + s.UNITS], reached)
        if action >= 0 and not disarmed >> action & 1:
            numbers[s.FIRE_ACTION] = action
            found = FIRES
    if pairs[row + s.ADAPTIVE] and pairs[row + s.WINDOW] != numbers[s.WINDOW_NUMBER] and bid_a < ask_a and bid_b < ask_b:
        found |= SAMPLES
    if found:
        numbers[s.FOUND_PAIR], numbers[s.FOUND_CLOCK], numbers[s.FOUND_SELL], numbers[s.FOUND_BUY] = pair, clock, sell, buy
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
    pair, clock, action = numbers[s.FOUND_PAIR], numbers[s.FOUND_CLOCK], numbers[s.FIRE_ACTION]
    row = state.pairs[pair]
    selling = action in (_SELL_SPREAD, _SELL_OUT)
    a, b = state.touches[row[s.SLOT_A]], state.touches[row[s.SLOT_B]]
    shown_a, shown_b = (a[1], b[3]) if selling else (a[3], b[1])
    if row[s.SPENT]:
        misses[_ALLOWANCE] += 1
    elif row[s.TOO_MANY_REJECTS]:
        misses[_REJECTS] += 1
    elif row[s.PENDING]:
        misses[_PENDING] += 1
    elif row[s.COOLING] and clock + 1 - row[s.STARTED] < numbers[s.COOLDOWN]:
        misses[_COOLDOWN] += 1
    elif action in (_SELL_SPREAD, _BUY_SPREAD) and abs(row[s.UNITS]) >= row[s.MAX_UNITS]:
        misses[_MAX_UNITS] += 1
    elif shown_a < row[s.SIZE_A] or shown_b < row[s.SIZE_B]:
        misses[_SIZE] += 1
    else:
        request(state, row, pair, clock, action, numbers[s.FOUND_SELL] if selling else numbers[s.FOUND_BUY])


@apart
def request(state, row, pair, clock, action, spread):
    """Both orders, on offer `LATENCY` clocks behind the evaluation."""
    numbers = state.numbers
    asked = state.requests[numbers[s.REQUESTS]]
    numbers[s.REQUESTS] += 1
    asked[s.R_CLOCK], asked[s.R_PAIR], asked[s.R_ACTION] = clock + LATENCY, pair, action
    asked[s.R_SEQUENCE], asked[s.R_SPREAD], asked[s.R_LEGS] = numbers[s.WALK_SEQUENCE], spread, 2
    asked[s.R_REPAIR] = asked[s.R_LEG] = 0
    selling = action in (_SELL_SPREAD, _SELL_OUT)
    for leg in range(2):
        slot, size = (row[s.SLOT_B], row[s.SIZE_B]) if leg else (row[s.SLOT_A], row[s.SIZE_A])
        sale = selling != (leg == 1)
        at = leg * s.LEG_NUMBERS
        asked[s.R_SLOT + at], asked[s.R_SIDE + at], asked[s.R_QUANTITY + at] = slot, sale, size
        asked[s.R_PRICE + at] = limit(state.touches[slot, 0 if sale else 2], sale, row[s.SLIPPAGE])
    # Whether it is taken shows in the clock it is offered in; until then it counts as taken.
    row[s.PENDING] = 1
    if numbers[s.REQUESTS] == 1:
        numbers[s.REQUEST_AT] = clock + LATENCY
        numbers[s.STAGE_CLOCK] = min(numbers[s.STAGE_CLOCK], clock + LATENCY)


@part
def limit(price, sale, slippage):
    """The touch, and as many ticks beyond it as allowed."""
    allowance = slippage if price < _DOLLAR else slippage * _CENT
    if sale:
        return min(max(price - allowance, 1), _HIGHEST)
    return min(price + allowance, _DOLLAR if price < _DOLLAR else _HIGHEST)


@apart
def armed_again(state, pair, may):
    """A request that was taken did not leave: its action is armed again where the pair may ask on."""
    row = state.pairs[pair]
    row[s.PENDING] = 0
    if may:
        row[s.DISARMED] &= ~(1 << row[s.ACTION])
