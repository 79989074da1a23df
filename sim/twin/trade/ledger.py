"""`Ledger`: own orders, positions and cash."""

from __future__ import annotations

from hdl.spec import events, ouch
from hdl.spec.events import NO_PAIR
from hdl.spec.reasons import Alarm, PairAction, PairOutcome
from hdl.spec.registers import STRATEGY
from sim.compiled import apart, part
from sim.twin.trade import state as s
from sim.twin.trade.gate import count_report, emit, side_code
from sim.twin.trade.portfolio import tell
from sim.twin.trade.repair import DONE, repairable

_ACCEPTED, _EXECUTED, _CANCELED, _REJECTED, _SYSTEM = (
    ord(layout.code)
    for layout in (ouch.ORDER_ACCEPTED, ouch.ORDER_EXECUTED, ouch.ORDER_CANCELED, ouch.REJECTED, ouch.SYSTEM_EVENT)
)
_SELF_MATCH, _BROKEN, _PENDING, _CANCEL_REJECT, _RESTATED, _PRIORITY = (
    ord(layout.code)
    for layout in (
        ouch.AIQ_CANCELED,
        ouch.BROKEN_TRADE,
        ouch.CANCEL_PENDING,
        ouch.CANCEL_REJECT,
        ouch.ORDER_RESTATED,
        ouch.ORDER_PRIORITY_UPDATE,
    )
)
_NOTED = (_PENDING, _CANCEL_REJECT, _RESTATED, _PRIORITY)
"""They move no shares."""
_OUTLIVING = (_CANCEL_REJECT, _BROKEN)
"""An order that has ended may get them."""
_TAKEN_BACK = 1 << events.TAKEN_BACK_BIT
_DEAD, _LIVE_CODE = ord(ouch.ORDER_STATE_DEAD), ord(ouch.ORDER_STATE_LIVE)
_UNKNOWN_ORDER, _OVERFILL, _UNHANDLED = int(Alarm.UNKNOWN_ORDER), int(Alarm.OVERFILL), int(Alarm.UNHANDLED_REPORT)
_BROKEN_TRADE = int(Alarm.BROKEN_TRADE)
_FINE = -1
_FULL, _NOTHING, _LEGGED = int(PairOutcome.FILLED), int(PairOutcome.NOTHING), int(PairOutcome.LEGGED)
_BITS = {column.name: column.bits for table in STRATEGY.tables for column in table.columns}
_MOST_USED, _MOST_REJECTS = (1 << _BITS["max_triggers"]) - 2, (1 << _BITS["max_rejects"]) - 2
_SELLING = (1 << int(PairAction.SELL_SPREAD)) | (1 << int(PairAction.SELL_OUT))


@apart
def enter(state):
    """Both orders that left are entered, once no report is at work; that began `BOOKED_BY` clocks ago at the latest."""
    numbers = state.numbers
    asked = state.requests[len(state.requests) - 1]
    begin = max(numbers[s.SENT_CLOCK] + 1, numbers[s.FSM_FREE])
    legs = asked[s.R_LEGS]
    first = (numbers[s.NEXT_NUMBER] - legs) & 0xFFFFFFFF
    for leg in range(legs):
        at = leg * s.LEG_NUMBERS
        written = begin + 2 + 2 * leg
        number, sale, quantity = (first + leg) & 0xFFFFFFFF, asked[s.R_SIDE + at], asked[s.R_QUANTITY + at]
        row = state.orders[number & (numbers[s.OPEN_ORDERS] - 1)]
        row[s.STATE], row[s.NUMBER], row[s.SLOT], row[s.PAIR] = s.SENT, number, asked[s.R_SLOT + at], asked[s.R_PAIR]
        row[s.SIDE], row[s.SHORT], row[s.OPEN], row[s.ANY_FILLED], row[s.ANY_ENDED] = sale, asked[s.R_SHORT + at], quantity, 0, 0
        row[s.TAKEN], row[s.TAKEN_FROM], row[s.KNOWS_FILL] = 1, written + 1, 0
        row[s.LEG], row[s.REPAIR] = leg + asked[s.R_LEG], asked[s.R_REPAIR]
        slot = state.slots[row[s.SLOT]]
        slot[s.OPEN_SELLS if sale else s.OPEN_BUYS] += quantity
        slot[s.ORDERS] += 1
        slot[s.SHORTS] += quantity if row[s.SHORT] else 0
        numbers[s.LIVE] += 1
        told(state, written, s.ENTERED_B if leg else s.ENTERED_A, row[s.SLOT], asked[s.R_PRICE + at])
    if legs == 2:
        pair = state.pairs[asked[s.R_PAIR]]
        pair[s.TALLY_ORDERS], pair[s.TALLY_FULL], pair[s.TALLY_NONE], pair[s.TALLY_REJECTED] = 2, 1, 1, 0
        for leg in range(2):
            at, to = leg * s.LEG_NUMBERS, leg * s.LEG_COLUMNS
            pair[s.L_SLOT + to], pair[s.L_SIDE + to] = asked[s.R_SLOT + at], asked[s.R_SIDE + at]
            pair[s.L_SIZE + to], pair[s.L_HELD + to], pair[s.L_BROKEN + to] = asked[s.R_QUANTITY + at], 0, s.FAR
    numbers[s.BOOKING], numbers[s.BOOKING_CLOCK] = 0, s.FAR
    numbers[s.BUSY_UNTIL] = numbers[s.FSM_FREE] = begin + 1 + 2 * legs


@part
def told(state, clock, kind, number, price):
    slot = state.slots[number]
    tell(state, clock, kind, number, slot[s.POSITION], slot[s.OPEN_BUYS], slot[s.OPEN_SELLS], slot[s.CASH], price)


@part
def is_open(row):
    return row[s.STATE] == s.SENT or row[s.STATE] == s.LIVE_ORDER


@part
def wrong(row, given):
    """Why a report cannot be, `_FINE` where it can."""
    kind, number, quantity, order_state = given[2], given[3], given[4], given[6]
    moves = kind in (_EXECUTED, _CANCELED, _SELF_MATCH)
    if not (moves or kind in (_ACCEPTED, _REJECTED, _BROKEN) or kind in _NOTED):
        return _UNHANDLED
    if row[s.NUMBER] != number or not (is_open(row) or (kind in _OUTLIVING and row[s.STATE] != s.FREE)):
        return _UNKNOWN_ORDER
    if moves:
        if quantity > row[s.OPEN]:
            return _OVERFILL
        return _FINE if quantity else _UNHANDLED
    if kind == _BROKEN:
        return _FINE if row[s.KNOWS_FILL] and row[s.FILL_MATCH] == given[8] else _BROKEN_TRADE
    if kind in _NOTED:
        return _FINE
    if row[s.STATE] != s.SENT:
        return _UNHANDLED
    if kind == _ACCEPTED and (quantity != row[s.OPEN] or order_state not in (_DEAD, _LIVE_CODE)):
        return _UNHANDLED
    return _FINE


@apart
def report(state, clock, given, out):
    """A report is booked: type, user_ref_num, quantity, price, order_state, reason, match_number. A quantity below zero is what
    is open then and one, turned round."""
    numbers = state.numbers
    kind, number = given[2], given[3]
    numbers[s.FSM_FREE] = clock + 1
    if kind == _SYSTEM:
        return
    row = state.orders[number & (numbers[s.OPEN_ORDERS] - 1)]
    if given[4] < 0:
        given[4] += 1 + row[s.OPEN]
    cause = wrong(row, given)
    if cause != _FINE:
        alarm(state, clock, number, cause, kind, out)
        return
    traded = kind in (_EXECUTED, _BROKEN)
    rejected = kind == _REJECTED or (kind == _ACCEPTED and given[6] == _DEAD)
    ends = is_open(row) and move(row, kind, given[4], rejected, state.slots[row[s.SLOT]])
    if rejected:
        if row[s.PAIR] != NO_PAIR and not row[s.REPAIR]:
            state.pairs[row[s.PAIR], s.TALLY_REJECTED] = 1
        count_report(numbers, s.REJECTS_TOLD, clock)
    elif kind in (_CANCELED, _SELF_MATCH):
        count_report(numbers, s.CANCELS_TOLD, clock)
    record = emit(numbers, out, s.OUT_STATE, clock)
    record[2], record[3], record[4], record[5] = number, row[s.OPEN], row[s.SLOT], row[s.PAIR]
    record[6], record[7], record[8] = row[s.STATE], kind, given[7]
    if traded:
        trade(state, clock, given, row, out)
    told(state, clock + traded, s.FILLED if traded else s.BOOKED, row[s.SLOT], row[s.FILL_PRICE])
    if ends:
        end(state, row, clock)


@part
def entered(slot, shares, price):
    """What made the position greater since it was 0, before it moves by so many shares."""
    before = slot[s.POSITION]
    after = before + shares
    if (before < 0) != (after < 0) or before == 0 or after == 0:
        slot[s.ENTRY_SHARES], slot[s.ENTRY_NOTIONAL] = abs(after), abs(after) * price
    elif abs(after) > abs(before):
        slot[s.ENTRY_SHARES] += abs(shares)
        slot[s.ENTRY_NOTIONAL] += abs(shares) * price


@apart
def reload(state, clock, given):
    """A slot goes on from what the host gives: position, price, cash, entry notional and shares, shares sold short; told as a
    fill is."""
    slot = state.slots[given[2]]
    slot[s.POSITION], slot[s.CASH] = given[3], given[5]
    slot[s.ENTRY_NOTIONAL], slot[s.ENTRY_SHARES] = given[6], given[7]
    slot[s.SHORTS] = given[8]
    slot[s.ACTIVE] = 1
    state.numbers[s.FSM_FREE] = clock + 1
    told(state, clock, s.FILLED, given[2], given[4])


@part
def move(row, kind, quantity, rejected, slot):
    """Shares of an open order that are open no more; whether it ended."""
    ended = 0
    if rejected:
        ended = row[s.OPEN]
    elif kind in (_EXECUTED, _CANCELED, _SELF_MATCH):
        ended = quantity
    row[s.OPEN] -= ended
    row[s.ANY_FILLED] |= kind == _EXECUTED
    row[s.ANY_ENDED] |= (ended != 0 and kind != _EXECUTED) or kind == _BROKEN
    ends = row[s.OPEN] == 0
    row[s.STATE] = s.LIVE_ORDER
    if ends:
        row[s.STATE] = s.FILLED_ORDER if kind == _EXECUTED else (s.REJECTED if kind == _REJECTED else s.CANCELED)
    slot[s.OPEN_SELLS if row[s.SIDE] else s.OPEN_BUYS] -= ended
    slot[s.ORDERS] -= ends
    if row[s.SHORT] and kind != _EXECUTED:
        slot[s.SHORTS] -= ended
    return ends


@part
def trade(state, clock, given, row, out):
    """Shares change hands, or go back."""
    slot, sale, back = state.slots[row[s.SLOT]], row[s.SIDE], given[2] == _BROKEN
    if not back:
        row[s.FILL_QUANTITY], row[s.FILL_PRICE], row[s.FILL_MATCH] = given[4], given[5], given[8]
    row[s.KNOWS_FILL] = not back
    quantity, price = row[s.FILL_QUANTITY], row[s.FILL_PRICE]
    if row[s.PAIR] != NO_PAIR:
        pair, to = state.pairs[row[s.PAIR]], row[s.LEG] * s.LEG_COLUMNS
        if back:
            pair[s.L_BROKEN + to] = min(pair[s.L_BROKEN + to], clock)
        else:
            pair[s.L_HELD + to] += quantity if sale == pair[s.L_SIDE + to] else -quantity
    bought = -quantity if sale ^ back else quantity
    entered(slot, bought, price)
    slot[s.POSITION] += bought
    slot[s.CASH] -= bought * price
    state.numbers[s.FSM_FREE] = clock + 2
    record = emit(state.numbers, out, s.OUT_FILL, clock + 1)
    record[2], record[3], record[4], record[5] = given[3], row[s.FILL_MATCH], price, quantity
    record[6], record[7], record[8], record[9] = slot[s.POSITION], slot[s.CASH], row[s.SLOT], row[s.PAIR]
    record[10] = side_code(sale, row[s.SHORT]) + (_TAKEN_BACK if back else 0)


@part
def end(state, row, clock):
    """An order ended; perhaps its pair's last one."""
    numbers = state.numbers
    row[s.TAKEN], row[s.TAKEN_FROM] = 0, clock + 1
    numbers[s.LIVE] -= 1
    if row[s.PAIR] == NO_PAIR:
        return
    if row[s.REPAIR]:
        tell_on(state, clock, row[s.PAIR], _LEGGED, s.REPAIR_ENDED)
        return
    pair = state.pairs[row[s.PAIR]]
    pair[s.TALLY_ORDERS] -= 1
    pair[s.TALLY_FULL] &= not row[s.ANY_ENDED]
    pair[s.TALLY_NONE] &= not row[s.ANY_FILLED]
    if pair[s.TALLY_ORDERS] == 0:
        outcome = _FULL if pair[s.TALLY_FULL] else (_NOTHING if pair[s.TALLY_NONE] else _LEGGED)
        wanted = outcome == _LEGGED and repairable(numbers, pair)
        tell_on(state, clock, row[s.PAIR], outcome, s.LEGGED if wanted else s.ORDERS_ENDED)


@part
def tell_on(state, clock, pair, outcome, kind):
    """What the ledger told is heard a clock later."""
    numbers = state.numbers
    numbers[s.TOLD_CLOCK], numbers[s.TOLD_PAIR], numbers[s.TOLD_OUTCOME], numbers[s.TOLD_KIND] = clock + 1, pair, outcome, kind


@apart
def alarm(state, clock, number, cause, kind, out):
    """The ledger cannot square a report: trading is halted."""
    numbers = state.numbers
    record = emit(numbers, out, s.OUT_ALARM, clock)
    record[2], record[3], record[4] = number, cause, kind
    if numbers[s.TRADING_STATE] < s.HALTED_STATE:
        numbers[s.TRADING_STATE] = s.HALTED_STATE


@apart
def ended(state):
    """What the end of both orders leaves of a pair."""
    numbers = state.numbers
    row = state.pairs[numbers[s.DONE_PAIR]]
    outcome = numbers[s.DONE_OUTCOME]
    row[s.PENDING], row[s.COOLING], row[s.STARTED] = 0, 1, numbers[s.DONE_CLOCK] - DONE
    most = numbers[s.DONE_MOST]
    if most and row[s.USED_UP] >= most - 1:
        row[s.SPENT] = 1
    row[s.USED_UP] = min(row[s.USED_UP] + 1, _MOST_USED)
    most = numbers[s.DONE_MOST_REJECTS]
    if most and numbers[s.DONE_REJECTED] and row[s.REJECTS] >= most - 1:
        row[s.TOO_MANY_REJECTS] = 1
    row[s.REJECTS] = min(row[s.REJECTS] + 1, _MOST_REJECTS) if numbers[s.DONE_REJECTED] else 0
    if outcome == _FULL:
        row[s.UNITS] += -1 if _SELLING >> row[s.ACTION] & 1 else 1
    if outcome == _LEGGED:
        row[s.ALLOWED], row[s.LATCHED] = 0, 1
    for index in range(3):
        numbers[s.DONE_CLOCK + index] = numbers[s.NEXT_CLOCK + index]
    numbers[s.DONE_MOST], numbers[s.DONE_MOST_REJECTS] = numbers[s.NEXT_MOST], numbers[s.NEXT_MOST_REJECTS]
    numbers[s.DONE_REJECTED], numbers[s.NEXT_CLOCK] = numbers[s.NEXT_REJECTED], s.FAR
