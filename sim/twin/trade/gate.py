"""`RiskGate`, `RecentOrders` and what of `OrderTransmitter` decides whether an order can leave at once."""

from __future__ import annotations

from hdl.risk.report_rates import COUNT_BITS
from hdl.spec.events import NO_PAIR
from hdl.spec.reasons import Miss, Mode, Refusal
from sim.compiled import apart, part
from sim.twin.trade import state as s
from sim.twin.trade.portfolio import bring, settled, sum_at
from sim.twin.trade.repair import judged

VERDICT = 5
"""Clocks from a request that was taken to its verdicts."""
BOOKED_BY = 7
"""By then it is known when the ledger begins to enter what left."""
_RETURNED = 3
"""Clocks until evaluations see that a request came back."""
_DOLLAR, _CENT, _BPS = 10_000, 100, 10_000
ACKNOWLEDGE_DELAY = 8193
"""From the wish for an acknowledgment to its start."""
_GATE_BUSY, _HOST_ORDER = int(Miss.GATE_BUSY), int(Miss.HOST_ORDER)
_LIVE, _SHADOW = int(Mode.LIVE), int(Mode.SHADOW)
_MOST_COUNT = 0xFFFF
_MOST_REPORTS = (1 << COUNT_BITS) - 1
REPORT_COUNTED, _REPORT_SEEN = 2, 3
"""Clocks from a report's booking to the one whose window it counts in, and to the first in which the gate sees the count."""

_R = {reason.name: 1 << reason for reason in Refusal}
_KILLED, _HALTED, _REDUCE_ONLY, _MODE_OFF = _R["KILLED"], _R["HALTED"], _R["REDUCE_ONLY"], _R["MODE_OFF"]
_SLOT_DISABLED, _PAIR_DISABLED = _R["SLOT_DISABLED"], _R["PAIR_DISABLED"]
_QUANTITY, _NOTIONAL, _COLLAR, _NO_REFERENCE = _R["QUANTITY"], _R["NOTIONAL"], _R["COLLAR"], _R["NO_REFERENCE"]
_LONG_LIMIT, _SHORT_LIMIT, _RATE, _INTEGRITY = _R["LONG_LIMIT"], _R["SHORT_LIMIT"], _R["RATE"], _R["INTEGRITY"]
_STOCK_HALTED, _MARKET_CLOSED, _CROSSED = _R["STOCK_HALTED"], _R["MARKET_CLOSED"], _R["CROSSED"]
_TRANSMITTER_BUSY, _SESSION_DOWN, _LEDGER_FULL = _R["TRANSMITTER_BUSY"], _R["SESSION_DOWN"], _R["LEDGER_FULL"]
_OTHER_LEG, _SHORT_SALE, _STALE, _OFF_TICK = _R["OTHER_LEG"], _R["SHORT_SALE"], _R["STALE"], _R["OFF_TICK"]
_GROSS, _NET, _LOSS, _OPEN_ORDERS = _R["GROSS"], _R["NET"], _R["LOSS"], _R["OPEN_ORDERS"]
_DUPLICATE, _SLOT_RATE, _LOCATE, _CANARY = _R["DUPLICATE"], _R["SLOT_RATE"], _R["LOCATE"], _R["CANARY"]
_REJECT_RATE, _CANCEL_RATE = _R["REJECT_RATE"], _R["CANCEL_RATE"]
_REASONS = len(Refusal)


@apart
def offered(state, heard, out):
    """The request that waits longest is offered in this clock: taken, or dropped."""
    numbers = state.numbers
    clock = numbers[s.REQUEST_AT]
    numbers[s.OFFERED_AT] = clock
    row = state.pairs[state.requests[0, s.R_PAIR]]
    if free(state, clock):
        asked = state.requests[len(state.requests) - 1]
        asked[:] = state.requests[0]
        action = asked[s.R_ACTION]
        row[s.ACTION] = action
        row[s.DISARMED] |= 1 << action
        numbers[s.TRIGGERS] += 1
        record = emit(numbers, out, s.OUT_TRIGGER, clock)
        record[2], record[3], record[4], record[5] = asked[s.R_SEQUENCE], asked[s.R_SPREAD], asked[s.R_PAIR], action
        alike = asked[s.R_SLOT] == asked[s.R_SLOT + s.LEG_NUMBERS]
        begin(state, heard, clock, 0 if row[s.ALLOWED] and not alike else _PAIR_DISABLED)
    else:
        state.misses[_GATE_BUSY] += 1
        row[s.PENDING] = 0
    numbers[s.REQUESTS] -= 1
    for number in range(numbers[s.REQUESTS]):
        state.requests[number] = state.requests[number + 1]
    numbers[s.REQUEST_AT] = state.requests[0, s.R_CLOCK] if numbers[s.REQUESTS] else s.FAR


@part
def free(state, clock):
    """Whether the gate takes a request."""
    numbers = state.numbers
    return clock >= numbers[s.BUSY_UNTIL] and not numbers[s.BOOKING] and settled(state, clock)


@apart
def begin(state, heard, clock, shared):
    """Judge the request in the last row, which was taken in this clock."""
    numbers = state.numbers
    asked = state.requests[len(state.requests) - 1]
    numbers[s.BUSY_UNTIL] = clock + VERDICT + 1
    shared |= 0 if numbers[s.MARKET_OPEN] else _MARKET_CLOSED
    shared |= _STALE if stale(state, heard, clock) else 0
    for leg in range(asked[s.R_LEGS]):
        look(state, asked, leg * s.LEG_NUMBERS, clock, shared)
    numbers[s.GATE_STEP], numbers[s.GATE_CLOCK] = 1, clock + 1


@apart
def by_hand(state, heard, clock, given):
    """An order of the host: slot, side, quantity, price. A trigger of this clock goes first."""
    numbers = state.numbers
    slot = given[2]
    if numbers[s.OFFERED_AT] == clock or clock <= numbers[s.KEPT_OUT] or slot >= len(state.slots) or not free(state, clock):
        state.misses[_HOST_ORDER] += 1
        return
    asked = state.requests[len(state.requests) - 1]
    asked[:] = 0
    asked[s.R_CLOCK], asked[s.R_PAIR], asked[s.R_LEGS] = clock, NO_PAIR, 1
    asked[s.R_SLOT], asked[s.R_SIDE], asked[s.R_QUANTITY], asked[s.R_PRICE] = slot, given[3], given[4], given[5]
    begin(state, heard, clock, 0)


@part
def emit(numbers, out, kind, clock):
    """A record to be filled in."""
    record = out[numbers[s.OUT_AT]]
    numbers[s.OUT_AT] += 1
    record[0], record[1] = kind, clock
    return record


@part
def stale(state, heard, clock):
    """No message was decoded for too long, as of two clocks before."""
    numbers = state.numbers
    if numbers[s.STALE_AFTER] == 0:
        return False
    at = numbers[s.HEARD_AT]
    while at < len(heard) and heard[at] <= clock - 2:
        at += 1
    numbers[s.HEARD_AT] = at
    return at == 0 or clock - 1 - heard[at - 1] >= numbers[s.STALE_AFTER]


@part
def look(state, asked, at, clock, shared):
    """What is found of a leg alone, but for the ledger's room, the tokens and what all slots share."""
    numbers = state.numbers
    slot = state.slots[asked[s.R_SLOT + at]]
    sale, quantity, price = asked[s.R_SIDE + at], asked[s.R_QUANTITY + at], asked[s.R_PRICE + at]
    mask = shared
    if not slot[s.SLOT_ENABLED]:
        mask |= _SLOT_DISABLED
    if quantity == 0 or quantity > slot[s.MAX_QUANTITY]:
        mask |= _QUANTITY
    if quantity * price > slot[s.MAX_NOTIONAL]:
        mask |= _NOTIONAL
    reference = slot[s.REFERENCE]
    if reference == 0:
        mask |= _NO_REFERENCE
    else:
        distance = abs(price - reference)
        if distance > slot[s.COLLAR] or distance * _BPS > reference * slot[s.COLLAR_BPS]:
            mask |= _COLLAR
    # One less than the worst case, turned round for a sale: below zero the order shrinks the position, whatever fills.
    if sale:
        worst = quantity + slot[s.OPEN_SELLS] - slot[s.POSITION] - 1
        if worst >= slot[s.MAX_SHORT]:
            mask |= _SHORT_LIMIT
    else:
        worst = quantity + slot[s.OPEN_BUYS] + slot[s.POSITION] - 1
        if worst >= slot[s.MAX_LONG]:
            mask |= _LONG_LIMIT
    short = sale and worst >= 0
    growing = worst >= 0 or quantity == 0
    if short and slot[s.RESTRICTED]:
        mask |= _SHORT_SALE
    if short and slot[s.SHORTS] + quantity > slot[s.LOCATED]:
        mask |= _LOCATE
    if slot[s.ORDERS] >= numbers[s.MAX_OPEN_ORDERS]:
        mask |= _OPEN_ORDERS
    if slot[s.INTEGRITY] != s.EXACT:
        mask |= _INTEGRITY
    if slot[s.HALTED]:
        mask |= _STOCK_HALTED
    if slot[s.CROSSED] if clock >= slot[s.CROSSED_FROM] else slot[s.CROSSED_BEFORE]:
        mask |= _CROSSED
    if price >= _DOLLAR and price % _CENT:
        mask |= _OFF_TICK
    asked[s.R_MASK + at], asked[s.R_SHORT + at], asked[s.R_GROWING + at] = mask, short, growing
    asked[s.R_WEIGHT + at] = quantity * price if growing else 0


@apart
def go_on(state, out):
    """The next clock in which the gate looks at something."""
    numbers = state.numbers
    asked = state.requests[len(state.requests) - 1]
    clock = numbers[s.GATE_CLOCK]
    if numbers[s.GATE_STEP] == 1:
        look_back(state, asked, clock)
        numbers[s.GATE_STEP], numbers[s.GATE_CLOCK] = 3, clock + 2
    elif numbers[s.GATE_STEP] == 3:
        look_around(state, asked, clock)
        numbers[s.GATE_STEP], numbers[s.GATE_CLOCK] = 5, clock + 2
    else:
        numbers[s.GATE_STEP], numbers[s.GATE_CLOCK] = 0, s.FAR
        decide(state, asked, clock, out)


@part
def look_back(state, asked, clock):
    """What left of the slot before, and whether the ledger has room; a clock after the request was taken."""
    numbers = state.numbers
    verdict = clock + VERDICT - 1
    full = 0
    # The ledger reads its two places in turn.
    for leg in range(2):
        number = numbers[s.NEXT_NUMBER] + leg
        read = clock if clock & 1 == leg else clock - 1
        place = state.orders[number & (numbers[s.OPEN_ORDERS] - 1)]
        if place[s.TAKEN] if read >= place[s.TAKEN_FROM] else not place[s.TAKEN]:
            full = _LEDGER_FULL
    for leg in range(asked[s.R_LEGS]):
        at = leg * s.LEG_NUMBERS
        slot = state.slots[asked[s.R_SLOT + at]]
        same = slot[s.KEPT_SIDE] == asked[s.R_SIDE + at] and slot[s.KEPT_QUANTITY] == asked[s.R_QUANTITY + at]
        same = same and slot[s.KEPT_PRICE] == asked[s.R_PRICE + at] and slot[s.KNOWN]
        asked[s.R_MASK + at] |= full
        if same and verdict - slot[s.KEPT_CLOCK] < numbers[s.DUPLICATE_WINDOW]:
            asked[s.R_MASK + at] |= _DUPLICATE
        many = numbers[s.SLOT_RATE_ORDERS] != 0 and slot[s.KEPT_COUNT] >= numbers[s.SLOT_RATE_ORDERS]
        if many and slot[s.KNOWN] and same_window(numbers, slot[s.KEPT_SINCE], clock):
            asked[s.R_MASK + at] |= _SLOT_RATE


@part
def same_window(numbers, sent, clock):
    """No window ended from one clock on to the one before another. Windows end in the clocks before `windows_from` and every
    `slot_rate_window` behind it."""
    window, begin = numbers[s.SLOT_RATE_WINDOW], numbers[s.WINDOWS_FROM]
    return window == 0 or (sent - begin) // window == (clock - begin) // window


@part
def look_around(state, asked, clock):
    """Tokens, what all slots come to and what holds for the whole card, three clocks after the request was taken."""
    numbers = state.numbers
    whole = 0
    if reports_reached(numbers, s.REJECTS_TOLD, numbers[s.REJECT_RATE_ORDERS], clock):
        whole |= _REJECT_RATE
    if reports_reached(numbers, s.CANCELS_TOLD, numbers[s.CANCEL_RATE_ORDERS], clock):
        whole |= _CANCEL_RATE
    canary = numbers[s.CANARY_QUANTITY]
    used = tokens_used(numbers, clock - 1)
    bring(state, clock)
    added = bought = sold = 0
    for leg in range(asked[s.R_LEGS]):
        at = leg * s.LEG_NUMBERS
        weight = asked[s.R_WEIGHT + at]
        added += weight
        asked[s.R_MASK + at] |= whole
        if canary and asked[s.R_QUANTITY + at] > canary:
            asked[s.R_MASK + at] |= _CANARY
        if asked[s.R_SIDE + at]:
            sold += weight
        else:
            bought += weight
        if used + leg >= numbers[s.RATE_TOKENS]:
            asked[s.R_MASK + at] |= _RATE
    too_gross = numbers[s.MAX_GROSS] - sum_at(numbers, 3, clock) < added
    too_long = numbers[s.MAX_NET] - sum_at(numbers, 1, clock) < bought
    too_short = numbers[s.MAX_NET] + sum_at(numbers, 2, clock) < sold
    for leg in range(asked[s.R_LEGS]):
        at = leg * s.LEG_NUMBERS
        if asked[s.R_GROWING + at]:
            asked[s.R_MASK + at] |= _GROSS if too_gross else 0
            asked[s.R_MASK + at] |= _NET if (too_short if asked[s.R_SIDE + at] else too_long) else 0


@part
def report_window(numbers, clock):
    """Number of the window a clock lies in; one of them begins with `reports_from`."""
    window = numbers[s.REPORT_RATE_WINDOW]
    return 0 if window == 0 else (clock - numbers[s.REPORTS_FROM]) // window


@part
def count_report(numbers, at, clock):
    """A report of a kind was booked; `at` is where the kind's numbers begin."""
    count, last = numbers[at], numbers[at + 1]
    again = report_window(numbers, last + REPORT_COUNTED) == report_window(numbers, clock + REPORT_COUNTED)
    numbers[at + 2], numbers[at + 3] = count, last
    numbers[at], numbers[at + 1] = min(count + 1, _MOST_REPORTS) if again else 1, clock


@part
def reports_reached(numbers, at, most, clock):
    """As many reports of a kind as may were booked in the window of the clock before."""
    # Reports are further apart than it takes to see one.
    seen = at if numbers[at + 1] + _REPORT_SEEN <= clock else at + 2
    same = report_window(numbers, numbers[seen + 1] + REPORT_COUNTED) == report_window(numbers, clock - 1)
    return most != 0 and same and numbers[seen] >= most


@part
def tokens_used(numbers, clock):
    """Tokens in use as counted in a clock. One that comes back is taken off a clock after it was due, seen another one later."""
    left = numbers[s.LEFT_CLOCK]
    if left < clock and left >= 0:
        give_back(numbers, left + 2)
        if numbers[s.USED] == 0:
            numbers[s.TOKEN_CLOCK] = left + 1 + numbers[s.RATE_INTERVAL]
        numbers[s.USED] += numbers[s.LEFT_TOKENS]
        numbers[s.LEFT_CLOCK] = -1
    give_back(numbers, clock)
    just = numbers[s.RATE_INTERVAL] != 0 and numbers[s.TOKEN_CLOCK] - numbers[s.RATE_INTERVAL] == clock - 1
    return numbers[s.USED] + (1 if just else 0)


@part
def give_back(numbers, clock):
    interval = numbers[s.RATE_INTERVAL]
    if interval:
        while numbers[s.USED] and numbers[s.TOKEN_CLOCK] < clock:
            numbers[s.USED] -= 1
            numbers[s.TOKEN_CLOCK] += interval


@part
def state_at(numbers, clock):
    """The trading state, which a loss that was reached a clock before has lowered."""
    lowered = numbers[s.LOSS_FROM] < clock and numbers[s.TRADING_STATE] < s.REDUCE_ONLY
    return s.REDUCE_ONLY if lowered else numbers[s.TRADING_STATE]


@part
def decide(state, asked, clock, out):
    """Both verdicts, and what follows."""
    numbers = state.numbers
    bring(state, clock)
    trading_state, mode = state_at(numbers, clock), numbers[s.MODE]
    shared = 0
    if trading_state == s.KILLED:
        shared |= _KILLED
    if trading_state == s.HALTED_STATE:
        shared |= _HALTED
    if mode not in (_LIVE, _SHADOW):
        shared |= _MODE_OFF
    if not transmitter_ready(state, clock):
        shared |= _TRANSMITTER_BUSY
    if not numbers[s.SESSION_UP]:
        shared |= _SESSION_DOWN
    legs = asked[s.R_LEGS]
    for leg in range(legs):
        at = leg * s.LEG_NUMBERS
        mask = asked[s.R_MASK + at] | shared
        if asked[s.R_GROWING + at]:
            mask |= _REDUCE_ONLY if trading_state == s.REDUCE_ONLY else 0
            mask |= _LOSS if numbers[s.LOSS_FROM] <= clock else 0
        asked[s.R_MASK + at] = mask
    first, second = asked[s.R_MASK], asked[s.R_MASK + s.LEG_NUMBERS]
    asked[s.R_MASK] |= _OTHER_LEG if second else 0
    asked[s.R_MASK + s.LEG_NUMBERS] |= _OTHER_LEG if first else 0
    good = not (first or second)
    leaves = good and mode == _LIVE
    number = numbers[s.NEXT_NUMBER]
    for leg in range(legs):
        at = leg * s.LEG_NUMBERS
        record = emit(numbers, out, s.OUT_VERDICT, clock)
        record[2], record[3], record[4] = asked[s.R_SEQUENCE], asked[s.R_MASK + at], number + leg if leaves else 0
        record[5], record[6], record[7] = asked[s.R_PRICE + at], asked[s.R_QUANTITY + at], asked[s.R_SLOT + at]
        record[8], record[9] = asked[s.R_PAIR], side_code(asked[s.R_SIDE + at], asked[s.R_SHORT + at])
        record[10], record[11] = leg + asked[s.R_LEG], mode
        for reason in range(_REASONS):
            state.refusals[reason] += asked[s.R_MASK + at] >> reason & 1
    if good:
        numbers[s.PASSED] += legs
    else:
        numbers[s.REFUSED] += legs
    if leaves:
        send(state, asked, clock, out)
    if asked[s.R_REPAIR]:
        judged(state, clock, leaves)
    elif legs == 2 and not leaves:
        numbers[s.RETURN_CLOCK], numbers[s.RETURN_PAIR] = clock + _RETURNED, asked[s.R_PAIR]
        # By then another set may be in force.
        numbers[s.RETURN_MAY] = state.pairs[asked[s.R_PAIR], s.ALLOWED]


@part
def side_code(sale, short):
    """Side as records tell it."""
    return (2 if short else 1) if sale else 0


@part
def send(state, asked, clock, out):
    """The orders leave."""
    numbers, legs = state.numbers, asked[s.R_LEGS]
    numbers[s.LEFT_CLOCK], numbers[s.LEFT_TOKENS] = clock, legs
    numbers[s.FREE_FROM], numbers[s.ACK_PENDING] = clock + numbers[s.PAIR_CLOCKS if legs == 2 else s.SINGLE_CLOCKS], 0
    numbers[s.BOOKING], numbers[s.SENT_CLOCK], numbers[s.BOOKING_CLOCK] = 1, clock, clock + BOOKED_BY
    record = emit(numbers, out, s.OUT_ORDER, clock + 1)
    record[2], record[3], record[4] = asked[s.R_SEQUENCE], numbers[s.NEXT_NUMBER], asked[s.R_PAIR]
    for leg in range(legs):
        at = leg * s.LEG_NUMBERS
        slot = state.slots[asked[s.R_SLOT + at]]
        again = slot[s.KNOWN] and same_window(numbers, slot[s.KEPT_SINCE], clock)
        slot[s.KEPT_COUNT] = min(slot[s.KEPT_COUNT] + 1, _MOST_COUNT) if again else 1
        slot[s.KNOWN], slot[s.KEPT_SIDE], slot[s.KEPT_CLOCK], slot[s.KEPT_SINCE] = 1, asked[s.R_SIDE + at], clock, clock
        slot[s.KEPT_QUANTITY], slot[s.KEPT_PRICE] = asked[s.R_QUANTITY + at], asked[s.R_PRICE + at]
        slot[s.ACTIVE] = 1
    numbers[s.NEXT_NUMBER] = (numbers[s.NEXT_NUMBER] + legs) & 0xFFFFFFFF


@apart
def cancel(state, clock, number, out):
    """A cancel leaves. When it does hangs on every clock of the ledger, and is told; whom it may name is the twin's to say."""
    numbers = state.numbers
    row = state.orders[number & (numbers[s.OPEN_ORDERS] - 1)]
    if row[s.NUMBER] != number or row[s.STATE] == s.FREE or not transmitter_ready(state, clock) or not numbers[s.SESSION_UP]:
        return
    numbers[s.FREE_FROM], numbers[s.ACK_PENDING], numbers[s.SENT_CLOCK] = clock + numbers[s.CANCEL_CLOCKS], 0, clock
    record = emit(numbers, out, s.OUT_CANCEL, clock + 1)
    record[2] = number


@apart
def acknowledge(state, clock):
    """A segment of the exchange ended that wants to be acknowledged."""
    numbers = state.numbers
    transmitter_ready(state, clock)
    state.acks[numbers[s.ACKS]] = clock + numbers[s.ACKNOWLEDGE_CLOCKS]
    numbers[s.ACKS] += 1


@apart
def transmitter_ready(state, clock):
    """Whether an order of this clock leaves at once: no other frame does."""
    numbers, acks = state.numbers, state.acks
    taken = 0
    while True:
        start = max(numbers[s.ACK_DUE], numbers[s.FREE_FROM]) if numbers[s.ACK_PENDING] else s.FAR
        wish = acks[taken] if taken < numbers[s.ACKS] else s.FAR
        if min(start, wish) >= clock:
            break
        if wish <= start:
            taken += 1
            # Those up to an order's own clock went with it.
            if not numbers[s.ACK_PENDING] and wish > numbers[s.SENT_CLOCK]:
                numbers[s.ACK_PENDING], numbers[s.ACK_DUE] = 1, wish + ACKNOWLEDGE_DELAY
        else:
            numbers[s.ACK_PENDING], numbers[s.FREE_FROM] = 0, start + numbers[s.BARE_CLOCKS]
            numbers[s.BARE_FRAMES] += 1
    numbers[s.ACKS] -= taken
    for number in range(numbers[s.ACKS]):
        acks[number] = acks[number + taken]
    return numbers[s.FREE_FROM] <= clock
