"""What comes in and what is due, in order of clocks."""

from __future__ import annotations

from hdl.book.book import ALL_SLOTS
from hdl.spec.reasons import Integrity, IntegrityCause
from sim.compiled import apart, entry, part
from sim.twin.kernel import ROW as _ROW
from sim.twin.machine import pointer
from sim.twin.trade import state as s
from sim.twin.trade.gate import acknowledge, begin, by_hand, cancel, free, go_on, offered
from sim.twin.trade.ledger import alarm, ended, enter, reload, report
from sim.twin.trade.pairs import FIRES, SAMPLES, armed_again, judge, step, walk
from sim.twin.trade.portfolio import bring, tell, too_much, touched
from sim.twin.trade.repair import OFFER, go_on_with, hear, offer

ROW_WORDS = _ROW.itemsize // 8
LOW = 0xFFFFFFFF
_ROOM = 8
"""Records a step makes at most."""
_SUSPECT = int(Integrity.SUSPECT)
_RECOVERED = int(IntegrityCause.RECOVERED)
_WINDOW, _REFILLED = int(IntegrityCause.WINDOW), int(IntegrityCause.REFILLED)
_FILLING = 4
"""Bit of a slot's state while its window is filled: what the slot is beside it goes on."""
_RETURNED = 3


@entry
def run(state, words, clocks, leads, count, inputs, input_count, heard, until, out):
    """Go on to a clock, before which all that comes in is given; `words` are rows. Gives why it came back."""
    numbers, touches, slots = pointer(state.numbers), pointer(state.touches), pointer(state.slots)
    pairs, lists, entries, misses = pointer(state.pairs), pointer(state.lists), pointer(state.entries), pointer(state.misses)
    row, row_clocks, row_leads, other_inputs = pointer(words), pointer(clocks), pointer(leads), pointer(inputs)
    room = len(out) - _ROOM
    while True:
        if numbers[s.OUT_AT] > room:
            return s.FULL
        at, other = numbers[s.ROW_AT], numbers[s.INPUT_AT]
        row_clock = row_clocks[at] if at < count else s.FAR
        input_clock = other_inputs[other * s.INPUT_NUMBERS + 1] if other < input_count else s.FAR
        walk_clock, stage_clock = numbers[s.WALK_CLOCK], numbers[s.STAGE_CLOCK]
        clock = min(min(row_clock, input_clock), min(walk_clock, stage_clock))
        if clock >= until:
            return s.DONE
        # What is decided in a clock hangs on what came before it, so that what comes in the same clock waits. Only a touch puts
        # an end to the walk in its own clock.
        if stage_clock == clock:
            due(state, clock, inputs, input_count, heard, out)
        elif row_clock == clock:
            numbers[s.ROW_AT] = at + 1
            begin = at * ROW_WORDS
            slot, bid, ask = row[begin + 4] & LOW, row[begin + 2] & LOW, row[begin + 3] & LOW
            place = 4 * slot
            touches[place], touches[place + 1] = bid, row[begin + 2] >> 32 & LOW
            touches[place + 2], touches[place + 3] = ask, row[begin + 3] >> 32 & LOW
            # The gate sees it two clocks later.
            place = slot * s.SLOT_NUMBERS
            slots[place + s.CROSSED_BEFORE] = slots[place + s.CROSSED]
            slots[place + s.CROSSED], slots[place + s.CROSSED_FROM] = bid == 0 or ask == 0 or bid >= ask, clock + 2
            if slots[place + s.ACTIVE]:
                tell(state, clock + 1, s.TOUCH, slot, bid, ask, 0, 0, 0)
            else:
                touched(slots, place, bid, ask)
            walk(numbers, lists, misses, clock, slot, row[begin], row[begin + 1], row_leads[at])
        elif walk_clock == clock:
            found = step(numbers, touches, slots, pairs, entries)
            if found & FIRES:
                judge(state)
            if found & SAMPLES:
                return s.SAMPLE
        else:
            numbers[s.INPUT_AT] = other + 1
            take(state, clock, inputs, other, heard, out)


@part
def schedule(numbers):
    """The clock of what is due next."""
    clock = min(min(numbers[s.REQUEST_AT], numbers[s.GATE_CLOCK]), min(numbers[s.BOOKING_CLOCK], numbers[s.DONE_CLOCK]))
    clock = min(clock, min(numbers[s.RETURN_CLOCK], numbers[s.PUBLISH_CLOCK]))
    numbers[s.STAGE_CLOCK] = min(clock, min(numbers[s.TOLD_CLOCK], numbers[s.LOOK_CLOCK]))


@apart
def due(state, clock, inputs, input_count, heard, out):
    """What is due in a clock, one after the other."""
    numbers = state.numbers
    if numbers[s.GATE_CLOCK] == clock:
        go_on(state, out)
    elif numbers[s.BOOKING_CLOCK] == clock:
        enter(state)
    elif numbers[s.REQUEST_AT] == clock:
        offered(state, heard, out)
    elif numbers[s.TOLD_CLOCK] == clock:
        hear(state, clock, out)
    elif numbers[s.LOOK_CLOCK] == clock and numbers[s.LOOK_STEP] != OFFER:
        go_on_with(state, clock, out)
    elif numbers[s.LOOK_CLOCK] == clock:
        if offer(state, clock, order_now(numbers, inputs, input_count, clock), free(state, clock), out):
            begin(state, heard, clock, 0)
    elif numbers[s.DONE_CLOCK] == clock:
        ended(state)
    elif numbers[s.RETURN_CLOCK] == clock:
        came_back(state, clock)
    else:
        publish(state, clock)
    schedule(numbers)


@part
def order_now(numbers, inputs, input_count, clock):
    """Whether the host writes an order in this clock."""
    at = numbers[s.INPUT_AT]
    while at < input_count and inputs[at, 1] == clock:
        if inputs[at, 0] == s.IN_ORDER:
            return True
        at += 1
    return False


@part
def came_back(state, clock):
    """A request that was taken did not leave. Where orders of a pair ended just behind it, they go first."""
    numbers = state.numbers
    if clock - _RETURNED + 1 in (numbers[s.LAST_DONE], numbers[s.DONE_BEFORE]):
        numbers[s.RETURN_CLOCK] = clock + 1
        return
    armed_again(state, numbers[s.RETURN_PAIR], numbers[s.RETURN_MAY])
    numbers[s.RETURN_CLOCK] = s.FAR


@apart
def publish(state, clock):
    """New thresholds of an adaptive pair."""
    numbers, waiting = state.numbers, state.publications
    row = state.pairs[waiting[0, 1]]
    for index in range(4):
        row[s.OLD_UPPER + index] = row[s.UPPER + index]
        row[s.UPPER + index] = waiting[0, 2 + index]
    row[s.PUBLISHED] = clock
    numbers[s.PUBLICATIONS] -= 1
    for number in range(numbers[s.PUBLICATIONS]):
        waiting[number] = waiting[number + 1]
    numbers[s.PUBLISH_CLOCK] = waiting[0, 0] if numbers[s.PUBLICATIONS] else s.FAR


@apart
def take(state, clock, inputs, other, heard, out):
    """What comes in beside touches; it is seen from the next clock on."""
    numbers, slots, given = state.numbers, state.slots, inputs[other]
    kind, number, value = given[0], given[2], given[3]
    if kind == s.IN_TRADE:
        slots[number, s.REFERENCE] = value
    elif kind == s.IN_INTEGRITY:
        integrity(slots, number, value, given[4])
    elif kind == s.IN_HALTED:
        slots[number, s.HALTED] = value
    elif kind == s.IN_RESTRICTED:
        slots[number, s.RESTRICTED] = value
    elif kind == s.IN_REPORT:
        report(state, clock, given, out)
    elif kind == s.IN_ALARM:
        alarm(state, clock, number, value, given[4], out)
    elif kind == s.IN_SEGMENT:
        acknowledge(state, clock)
    elif kind == s.IN_CANCEL:
        cancel(state, clock, number, out)
    elif kind == s.IN_ORDER:
        by_hand(state, heard, clock, given)
    elif kind == s.IN_RELOAD:
        reload(state, clock, given)
    elif kind == s.IN_REARM_LOSS:
        rearm(state, clock)
    elif kind == s.IN_SETTING:
        if number in (s.TRADING_STATE, s.MAX_LOSS):
            # A loss that was reached has lowered the state before it is raised.
            bring(state, clock + 1)
            if number == s.TRADING_STATE:
                value = s.KILLED if numbers[number] == s.KILLED else value
                value = max(value, s.REDUCE_ONLY) if numbers[s.LOSS_FROM] <= clock else value
        numbers[number] = value
    schedule(numbers)


@part
def integrity(slots, number, value, cause):
    """Records about all slots speak of those that can fall, or rise, by their cause."""
    if number != ALL_SLOTS:
        filling = slots[number, s.INTEGRITY] & _FILLING
        if cause == _WINDOW:
            slots[number, s.INTEGRITY] |= _FILLING
        elif cause == _REFILLED:
            slots[number, s.INTEGRITY] &= ~_FILLING
        else:
            slots[number, s.INTEGRITY] = value | filling
        return
    for each in range(len(slots)):
        filling = slots[each, s.INTEGRITY] & _FILLING
        before = slots[each, s.INTEGRITY] - filling
        if before == s.EXACT if value == _SUSPECT else (before == _SUSPECT or cause != _RECOVERED):
            slots[each, s.INTEGRITY] = value | filling


@part
def rearm(state, clock):
    """Forget that the loss limit was reached, where the loss is no longer greater."""
    numbers = state.numbers
    bring(state, clock)
    if numbers[s.LOSS_FROM] <= clock:
        numbers[s.TRADING_STATE] = max(numbers[s.TRADING_STATE], s.REDUCE_ONLY)
        if not too_much(numbers):
            numbers[s.LOSS_FROM] = s.FAR
