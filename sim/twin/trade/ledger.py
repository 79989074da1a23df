"""`Ledger`: own orders, positions and cash."""

from __future__ import annotations

from hdl.spec import ouch
from hdl.spec.reasons import Alarm, PairOutcome
from sim.compiled import apart, part
from sim.twin.trade.gate import emit, side_code
from sim.twin.trade.portfolio import tell
from sim.twin.trade.state import (
    ALLOWED, ANY_ENDED, ANY_FILLED, BOOKED, BOOKING, BOOKING_CLOCK, BUSY_UNTIL, CANCELED, CASH, COOLING, DONE_CLOCK, DONE_OUTCOME,
    DONE_PAIR, ENTERED_A, ENTERED_B, FAR, FILLED, FILLED_ORDER, FREE, FSM_FREE, HALTED_STATE, LAST_DONE, LEFT, LEG_NUMBERS, LIVE,
    LIVE_ORDER, NEXT_NUMBER, NUMBER, OPEN, OPEN_BUYS, OPEN_ORDERS, OPEN_SELLS, ORDERS, OUT_ALARM, OUT_FILL, OUT_STATE, PAIR,
    PENDING, POSITION, R_PAIR, R_PRICE, R_QUANTITY, R_SHORT, R_SIDE, R_SLOT, REJECTED, SENT, SENT_CLOCK, SHORT, SIDE, SLOT, SPENT,
    STARTED, STATE, TAKEN, TAKEN_FROM, TALLY_FULL, TALLY_NONE, TALLY_ORDERS, TOUCH, TRADING_STATE, UNITS, ACTION,
)  # fmt: skip
from hdl.spec.reasons import PairAction

_DONE = 2
"""Clocks until evaluations see that a pair's orders ended."""
_ACCEPTED, _EXECUTED, _CANCELED, _REJECTED, _SYSTEM = (
    ord(layout.code)
    for layout in (ouch.ORDER_ACCEPTED, ouch.ORDER_EXECUTED, ouch.ORDER_CANCELED, ouch.REJECTED, ouch.SYSTEM_EVENT)
)
_DEAD, _LIVE_CODE = ord(ouch.ORDER_STATE_DEAD), ord(ouch.ORDER_STATE_LIVE)
_UNKNOWN_ORDER, _OVERFILL, _UNHANDLED = int(Alarm.UNKNOWN_ORDER), int(Alarm.OVERFILL), int(Alarm.UNHANDLED_REPORT)
_FINE = -1
_FULL, _NOTHING, _LEGGED = int(PairOutcome.FILLED), int(PairOutcome.NOTHING), int(PairOutcome.LEGGED)
_SELLING = (1 << int(PairAction.SELL_SPREAD)) | (1 << int(PairAction.SELL_OUT))


@apart
def enter(state):
    """Both orders that left are entered, once no report is at work; that began `BOOKED_BY` clocks ago at the latest."""
    numbers = state.numbers
    asked = state.requests[len(state.requests) - 1]
    begin = max(numbers[SENT_CLOCK] + 1, numbers[FSM_FREE])
    first = (numbers[NEXT_NUMBER] - 2) & 0xFFFFFFFF
    for leg in range(2):
        at = leg * LEG_NUMBERS
        written = begin + 2 + 2 * leg
        number, sale, quantity = (first + leg) & 0xFFFFFFFF, asked[R_SIDE + at], asked[R_QUANTITY + at]
        row = state.orders[number & (numbers[OPEN_ORDERS] - 1)]
        row[STATE], row[NUMBER], row[SLOT], row[PAIR] = SENT, number, asked[R_SLOT + at], asked[R_PAIR]
        row[SIDE], row[SHORT], row[OPEN], row[ANY_FILLED], row[ANY_ENDED] = sale, asked[R_SHORT + at], quantity, 0, 0
        row[TAKEN], row[TAKEN_FROM] = 1, written + 1
        slot = state.slots[row[SLOT]]
        slot[OPEN_SELLS if sale else OPEN_BUYS] += quantity
        slot[ORDERS] += 1
        numbers[LIVE] += 1
        told(state, written, ENTERED_B if leg else ENTERED_A, row[SLOT], asked[R_PRICE + at])
    pair = state.pairs[asked[R_PAIR]]
    pair[TALLY_ORDERS], pair[TALLY_FULL], pair[TALLY_NONE] = 2, 1, 1
    numbers[BOOKING], numbers[BOOKING_CLOCK] = 0, FAR
    numbers[BUSY_UNTIL] = begin + 5
    numbers[FSM_FREE] = begin + 5


@part
def told(state, clock, kind, number, price):
    slot = state.slots[number]
    tell(state, clock, kind, number, slot[POSITION], slot[OPEN_BUYS], slot[OPEN_SELLS], slot[CASH], price)


@part
def wrong(row, kind, number, quantity, order_state):
    """Why a report cannot be, `_FINE` where it can."""
    if kind not in (_ACCEPTED, _EXECUTED, _CANCELED, _REJECTED):
        return _UNHANDLED
    if row[NUMBER] != number or (row[STATE] != SENT and row[STATE] != LIVE_ORDER):
        return _UNKNOWN_ORDER
    if kind in (_EXECUTED, _CANCELED):
        if quantity > row[OPEN]:
            return _OVERFILL
        return _FINE if quantity else _UNHANDLED
    if row[STATE] != SENT:
        return _UNHANDLED
    if kind == _ACCEPTED and (quantity != row[OPEN] or order_state not in (_DEAD, _LIVE_CODE)):
        return _UNHANDLED
    return _FINE


@apart
def report(state, clock, given, out):
    """A report is booked: type, user_ref_num, quantity, price, order_state, reason, match_number."""
    numbers = state.numbers
    kind, number, quantity, price, order_state = given[2], given[3], given[4], given[5], given[6]
    numbers[FSM_FREE] = clock + 1
    if kind == _SYSTEM:
        return
    row = state.orders[number & (numbers[OPEN_ORDERS] - 1)]
    cause = wrong(row, kind, number, quantity, order_state)
    if cause != _FINE:
        alarm(state, clock, number, cause, kind, out)
        return
    fill = kind == _EXECUTED
    whole = kind == _REJECTED or (kind == _ACCEPTED and order_state == _DEAD)
    ended = row[OPEN] if whole else (0 if kind == _ACCEPTED else quantity)
    row[OPEN] -= ended
    ends = row[OPEN] == 0
    row[ANY_FILLED] |= fill
    row[ANY_ENDED] |= whole or kind == _CANCELED
    row[STATE] = LIVE_ORDER
    if ends:
        row[STATE] = FILLED_ORDER if fill else (REJECTED if kind == _REJECTED else CANCELED)
    slot, sale = state.slots[row[SLOT]], row[SIDE]
    slot[OPEN_SELLS if sale else OPEN_BUYS] -= ended
    slot[ORDERS] -= ends
    if fill:
        slot[POSITION] += -quantity if sale else quantity
        slot[CASH] += quantity * price if sale else -quantity * price
        numbers[FSM_FREE] = clock + 2
    record = emit(numbers, out, OUT_STATE, clock)
    record[2], record[3], record[4], record[5] = number, row[OPEN], row[SLOT], row[PAIR]
    record[6], record[7], record[8] = row[STATE], kind, given[7]
    if fill:
        record = emit(numbers, out, OUT_FILL, clock + 1)
        record[2], record[3], record[4], record[5] = number, given[8], price, quantity
        record[6], record[7], record[8], record[9] = slot[POSITION], slot[CASH], row[SLOT], row[PAIR]
        record[10] = side_code(sale, row[SHORT])
    told(state, clock + fill, FILLED if fill else BOOKED, row[SLOT], price)
    if ends:
        end(state, row, clock)


@part
def end(state, row, clock):
    """An order ended; perhaps its pair's last one."""
    numbers = state.numbers
    row[TAKEN], row[TAKEN_FROM] = 0, clock + 1
    numbers[LIVE] -= 1
    pair = state.pairs[row[PAIR]]
    pair[TALLY_ORDERS] -= 1
    pair[TALLY_FULL] &= not row[ANY_ENDED]
    pair[TALLY_NONE] &= not row[ANY_FILLED]
    if pair[TALLY_ORDERS] == 0:
        outcome = _FULL if pair[TALLY_FULL] else (_NOTHING if pair[TALLY_NONE] else _LEGGED)
        numbers[DONE_CLOCK], numbers[DONE_PAIR], numbers[DONE_OUTCOME] = clock + _DONE, row[PAIR], outcome
        numbers[LAST_DONE] = clock


@apart
def alarm(state, clock, number, cause, kind, out):
    """The ledger cannot square a report: trading is halted."""
    numbers = state.numbers
    record = emit(numbers, out, OUT_ALARM, clock)
    record[2], record[3], record[4] = number, cause, kind
    if numbers[TRADING_STATE] < HALTED_STATE:
        numbers[TRADING_STATE] = HALTED_STATE


@apart
def ended(state):
    """What the end of both orders leaves of a pair."""
    numbers = state.numbers
    row = state.pairs[numbers[DONE_PAIR]]
    outcome = numbers[DONE_OUTCOME]
    row[PENDING], row[COOLING], row[STARTED] = 0, 1, numbers[DONE_CLOCK] - _DONE
    if row[LEFT] == 1:
        row[SPENT] = 1
    elif row[LEFT]:
        row[LEFT] -= 1
    if outcome == _FULL:
        row[UNITS] += -1 if _SELLING >> row[ACTION] & 1 else 1
    if outcome == _LEGGED:
        row[ALLOWED] = 0
    numbers[DONE_CLOCK] = FAR
