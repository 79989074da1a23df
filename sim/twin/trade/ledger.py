"""`Ledger`: own orders, positions and cash."""

from __future__ import annotations

from hdl.spec import ouch
from hdl.spec.events import NO_PAIR
from hdl.spec.reasons import Alarm, PairAction, PairOutcome
from hdl.spec.registers import STRATEGY
from sim.compiled import apart, part
from sim.twin.trade import state as s
from sim.twin.trade.gate import emit, side_code
from sim.twin.trade.portfolio import tell

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
_ALLOWANCE = next(column for table in STRATEGY.tables for column in table.columns if column.name == "max_triggers")
_MOST_USED = (1 << _ALLOWANCE.bits) - 2
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
        row[s.TAKEN], row[s.TAKEN_FROM] = 1, written + 1
        slot = state.slots[row[s.SLOT]]
        slot[s.OPEN_SELLS if sale else s.OPEN_BUYS] += quantity
        slot[s.ORDERS] += 1
        numbers[s.LIVE] += 1
        told(state, written, s.ENTERED_B if leg else s.ENTERED_A, row[s.SLOT], asked[s.R_PRICE + at])
    if asked[s.R_PAIR] != NO_PAIR:
        pair = state.pairs[asked[s.R_PAIR]]
        pair[s.TALLY_ORDERS], pair[s.TALLY_FULL], pair[s.TALLY_NONE] = 2, 1, 1
    numbers[s.BOOKING], numbers[s.BOOKING_CLOCK] = 0, s.FAR
    numbers[s.BUSY_UNTIL] = numbers[s.FSM_FREE] = begin + 1 + 2 * legs


@part
def told(state, clock, kind, number, price):
    slot = state.slots[number]
    tell(state, clock, kind, number, slot[s.POSITION], slot[s.OPEN_BUYS], slot[s.OPEN_SELLS], slot[s.CASH], price)


@part
def wrong(row, kind, number, quantity, order_state):
    """Why a report cannot be, `_FINE` where it can."""
    if kind not in (_ACCEPTED, _EXECUTED, _CANCELED, _REJECTED):
        return _UNHANDLED
    if row[s.NUMBER] != number or (row[s.STATE] != s.SENT and row[s.STATE] != s.LIVE_ORDER):
        return _UNKNOWN_ORDER
    if kind in (_EXECUTED, _CANCELED):
        if quantity > row[s.OPEN]:
            return _OVERFILL
        return _FINE if quantity else _UNHANDLED
    if row[s.STATE] != s.SENT:
        return _UNHANDLED
    if kind == _ACCEPTED and (quantity != row[s.OPEN] or order_state not in (_DEAD, _LIVE_CODE)):
        return _UNHANDLED
    return _FINE


@apart
def report(state, clock, given, out):
    """A report is booked: type, user_ref_num, quantity, price, order_state, reason, match_number."""
    numbers = state.numbers
    kind, number, quantity, price, order_state = given[2], given[3], given[4], given[5], given[6]
    numbers[s.FSM_FREE] = clock + 1
    if kind == _SYSTEM:
        return
    row = state.orders[number & (numbers[s.OPEN_ORDERS] - 1)]
    cause = wrong(row, kind, number, quantity, order_state)
    if cause != _FINE:
        alarm(state, clock, number, cause, kind, out)
        return
    fill = kind == _EXECUTED
    whole = kind == _REJECTED or (kind == _ACCEPTED and order_state == _DEAD)
    ended = row[s.OPEN] if whole else (0 if kind == _ACCEPTED else quantity)
    row[s.OPEN] -= ended
    ends = row[s.OPEN] == 0
    row[s.ANY_FILLED] |= fill
    row[s.ANY_ENDED] |= whole or kind == _CANCELED
    row[s.STATE] = s.LIVE_ORDER
    if ends:
        row[s.STATE] = s.FILLED_ORDER if fill else (s.REJECTED if kind == _REJECTED else s.CANCELED)
    slot, sale = state.slots[row[s.SLOT]], row[s.SIDE]
    slot[s.OPEN_SELLS if sale else s.OPEN_BUYS] -= ended
    slot[s.ORDERS] -= ends
    if fill:
        slot[s.POSITION] += -quantity if sale else quantity
        slot[s.CASH] += quantity * price if sale else -quantity * price
        numbers[s.FSM_FREE] = clock + 2
    record = emit(numbers, out, s.OUT_STATE, clock)
    record[2], record[3], record[4], record[5] = number, row[s.OPEN], row[s.SLOT], row[s.PAIR]
    record[6], record[7], record[8] = row[s.STATE], kind, given[7]
    if fill:
        record = emit(numbers, out, s.OUT_FILL, clock + 1)
        record[2], record[3], record[4], record[5] = number, given[8], price, quantity
        record[6], record[7], record[8], record[9] = slot[s.POSITION], slot[s.CASH], row[s.SLOT], row[s.PAIR]
        record[10] = side_code(sale, row[s.SHORT])
    told(state, clock + fill, s.FILLED if fill else s.BOOKED, row[s.SLOT], price)
    if ends:
        end(state, row, clock)


@part
def end(state, row, clock):
    """An order ended; perhaps its pair's last one."""
    numbers = state.numbers
    row[s.TAKEN], row[s.TAKEN_FROM] = 0, clock + 1
    numbers[s.LIVE] -= 1
    if row[s.PAIR] == NO_PAIR:
        return
    pair = state.pairs[row[s.PAIR]]
    pair[s.TALLY_ORDERS] -= 1
    pair[s.TALLY_FULL] &= not row[s.ANY_ENDED]
    pair[s.TALLY_NONE] &= not row[s.ANY_FILLED]
    if pair[s.TALLY_ORDERS] == 0:
        outcome = _FULL if pair[s.TALLY_FULL] else (_NOTHING if pair[s.TALLY_NONE] else _LEGGED)
        numbers[s.DONE_CLOCK], numbers[s.DONE_PAIR], numbers[s.DONE_OUTCOME] = clock + _DONE, row[s.PAIR], outcome
        # The allowance is that of the set in force now.
        numbers[s.LAST_DONE], numbers[s.DONE_MOST] = clock, pair[s.MAX_TRIGGERS]


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
    row[s.PENDING], row[s.COOLING], row[s.STARTED] = 0, 1, numbers[s.DONE_CLOCK] - _DONE
    most = numbers[s.DONE_MOST]
    if most and row[s.USED_UP] >= most - 1:
        row[s.SPENT] = 1
    row[s.USED_UP] = min(row[s.USED_UP] + 1, _MOST_USED)
    if outcome == _FULL:
        row[s.UNITS] += -1 if _SELLING >> row[s.ACTION] & 1 else 1
    if outcome == _LEGGED:
        row[s.ALLOWED], row[s.LATCHED] = 0, 1
    numbers[s.DONE_CLOCK] = s.FAR
