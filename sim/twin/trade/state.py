"""What the trading half remembers, as arrays of numbers.

All are signed 64-bit, money in 1/10000 dollar: exact where no sum passes 2**63, which is 922 trillion dollars. Clocks are whole
counts, not modulo 2**32. A number that others read a fixed count of clocks after it changed stands here with the clock from which
it is read.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hdl.order.segment_template import Form
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Integrity, Miss, OrderState, Refusal, TradingState
from hdl.spec.registers import RISK, STRATEGY
from sim.twin.timing import Timing

Numbers = NDArray[np.int64]

FAR = 1 << 62
"""A clock that never comes."""
LONG_AGO = -(1 << 62)


def _columns(block, table):
    return tuple(column.name for entry in block.tables if entry.name == table for column in entry.columns)


PAIR_ROW = _columns(STRATEGY, "pair_legs") + _columns(STRATEGY, "pairs")
LIMIT_ROW = (*_columns(RISK, "limits"), "reference")

# Columns of a pair: its row as the host writes it, then what is remembered.
(
    SLOT_A, SLOT_B, ENABLED, WEIGHT_A, WEIGHT_B, UPPER, LOWER, EXIT_SHORT, EXIT_LONG, SIZE_A, SIZE_B, MAX_UNITS, SLIPPAGE,
    MAX_TRIGGERS, ADAPTIVE, ALPHA_SHIFT, K_ENTRY, K_EXIT, WARMUP, MAX_REJECTS, POLICY, LEG_TRIES,
) = range(len(PAIR_ROW))  # fmt: skip
(
    UNITS, ALLOWED, COOLING, STARTED, USED_UP, SPENT, DISARMED, ACTION, PENDING, LAST_VALID, LAST_COUNTED, WINDOW, PUBLISHED,
    OLD_UPPER, OLD_LOWER, OLD_EXIT_SHORT, OLD_EXIT_LONG, TALLY_ORDERS, TALLY_FULL, TALLY_NONE, LATCHED, TALLY_REJECTED,
    REJECTS, TOO_MANY_REJECTS, USED_TRIES, L_SLOT, L_SIDE, L_SIZE, L_HELD, L_BROKEN,
) = range(len(PAIR_ROW), len(PAIR_ROW) + 30)  # fmt: skip
LEG_COLUMNS = 5
"""From a column of leg a to that of leg b, of those from `L_SLOT` on."""
PAIR_NUMBERS = len(PAIR_ROW) + 30 + LEG_COLUMNS
assert PAIR_ROW[SLOT_A] == "slot_a" and PAIR_ROW[UPPER] == "upper" and PAIR_ROW[LEG_TRIES] == "leg_tries", PAIR_ROW

# Columns of a slot: its limits, then what is remembered.
(SLOT_ENABLED, MAX_QUANTITY, MAX_NOTIONAL, MAX_LONG, MAX_SHORT, COLLAR, COLLAR_BPS, LOCATED, REFERENCE) = range(
    len(LIMIT_ROW)
)
(
    INTEGRITY, HALTED, RESTRICTED, CROSSED, CROSSED_FROM, CROSSED_BEFORE,
    POSITION, OPEN_BUYS, OPEN_SELLS, ORDERS, CASH,
    KNOWN, KEPT_SIDE, KEPT_QUANTITY, KEPT_PRICE, KEPT_CLOCK, KEPT_COUNT,
    ACTIVE, BID, ASK, PAID, HELD, DIRTY, P_POSITION, P_BUYS, P_SELLS, P_CASH,
    PART_PNL, PART_LONG, PART_SHORT, PART_GROSS, KEPT_SINCE,
    ENTRY_SHARES, ENTRY_NOTIONAL, SHORTS,
) = range(len(LIMIT_ROW), len(LIMIT_ROW) + 35)  # fmt: skip
SLOT_NUMBERS = len(LIMIT_ROW) + 35
assert LIMIT_ROW[REFERENCE] == "reference" and LIMIT_ROW[LOCATED] == "located", LIMIT_ROW

# Columns of an own order's place.
(
    STATE, NUMBER, SLOT, PAIR, SIDE, SHORT, OPEN, ANY_FILLED, ANY_ENDED, TAKEN, TAKEN_FROM, LEG, REPAIR,
    # the last fill, unless it was taken back
    KNOWS_FILL, FILL_MATCH, FILL_QUANTITY, FILL_PRICE,
) = range(17)  # fmt: skip
ORDER_NUMBERS = 17

# Registers and the like, as the host sets them.
SETTINGS = (
    "cooldown", "sample_interval", "mode", "rate_tokens", "rate_interval", "max_gross", "max_net", "max_loss", "max_open_orders",
    "duplicate_window", "slot_rate_orders", "slot_rate_window", "stale_after", "trading_state", "session_up", "market_open",
    "windows_from", "next_user_ref_num", "reject_rate_orders", "cancel_rate_orders", "report_rate_window", "canary_quantity",
    "reports_from",
)  # fmt: skip
(
    COOLDOWN, SAMPLE_INTERVAL, MODE, RATE_TOKENS, RATE_INTERVAL, MAX_GROSS, MAX_NET, MAX_LOSS, MAX_OPEN_ORDERS,
    DUPLICATE_WINDOW, SLOT_RATE_ORDERS, SLOT_RATE_WINDOW, STALE_AFTER, TRADING_STATE, SESSION_UP, MARKET_OPEN,
    WINDOWS_FROM, NEXT_NUMBER, REJECT_RATE_ORDERS, CANCEL_RATE_ORDERS, REPORT_RATE_WINDOW, CANARY_QUANTITY,
    REPORTS_FROM,
) = range(len(SETTINGS))  # fmt: skip

# Scalars behind the settings.
_SCALARS = len(SETTINGS)
(
    OPEN_ORDERS, ROW_AT, INPUT_AT,
    # the walk through a list: its next evaluation, its clock of the end, where its slot's list is; which list that was fetched
    # ahead is none any more, by the clock of its `accept`, and which are fetched anew
    WALK_CLOCK, WALK_END, WALK_SLOT, WALK_FIRST, WALK_NEXT, WALK_STOP, WALK_READ, WALK_HIT, WALK_SEQUENCE,
    WALK_USED, HELD_FROM, SWAPPED,
    LAST_TIME, WINDOW_NUMBER,
    # what is due: see `run`
    STAGE_CLOCK, REQUESTS, REQUEST_AT, GATE_STEP, GATE_CLOCK, BUSY_UNTIL, BOOKING, BOOKING_CLOCK, SENT_CLOCK,
    DONE_CLOCK, DONE_PAIR, DONE_OUTCOME, LAST_DONE, RETURN_CLOCK, RETURN_PAIR, PUBLISH_CLOCK, PUBLICATIONS,
    FSM_FREE, LIVE, LOSS_FROM,
    # rate tokens in use, and when the next one comes back
    USED, TOKEN_CLOCK, LEFT_CLOCK,
    # transmitter
    FREE_FROM, ACK_PENDING, ACK_DUE, ACKS, BARE_FRAMES,
    # portfolio
    P_CLOCK, P_TURN, P_DIRTY, P_SENT_A, P_SENT_B, P_SLOT_A, P_SLOT_B, P_INPUTS, P_FIRST, P_JOB, P_JOB_SLOT, P_SERVING,
    P_PNL, P_LONG, P_SHORT, P_GROSS, P_DELTA_PNL, P_DELTA_LONG, P_DELTA_SHORT, P_DELTA_GROSS,
    OUT_AT, TRIGGERS, PASSED, REFUSED, HEARD_AT,
    # what a step found
    FOUND_PAIR, FOUND_CLOCK, FOUND_SELL, FOUND_BUY, FIRE_ACTION,
    # sets and orders of the host: evaluations so far, what a request that came back was told of its pair, when a request of the
    # trigger was offered last, and until when orders of the host are kept out
    EVALUATED, RETURN_MAY, OFFERED_AT, KEPT_OUT, DONE_MOST, LEFT_TOKENS,
    DONE_REJECTED, DONE_MOST_REJECTS,
    # of reports that reject, and of those that cancel: how many of the window, the clock of the last, and both before it
    REJECTS_TOLD, REJECT_AT, REJECTS_BEFORE, REJECT_AT_BEFORE, CANCELS_TOLD, CANCEL_AT, CANCELS_BEFORE, CANCEL_AT_BEFORE,
    # pairs that are legged: whether the card repairs them, how many wait or are being repaired, what the ledger just told, and
    # the one that is looked at
    REPAIRS, WAITING, REPAIRED, TOLD_CLOCK, TOLD_PAIR, TOLD_OUTCOME, TOLD_KIND, WENT_ON, PUSHED,
    NEXT_CLOCK, NEXT_PAIR, NEXT_OUTCOME, NEXT_MOST, NEXT_REJECTED, NEXT_MOST_REJECTS, DONE_BEFORE,
    LOOK_CLOCK, LOOK_STEP, LOOK_FREE, LOOK_PAIR, LOOK_TRIES, LOOK_SINCE, LOOK_OUTCOME, LOOK_READY,
    # what hangs on the card's width: clocks the transmitter is busy by form of a frame, and see `Timing.acknowledge`
    PAIR_CLOCKS, SINGLE_CLOCKS, BARE_CLOCKS, CANCEL_CLOCKS, ACKNOWLEDGE_CLOCKS,
) = range(_SCALARS, _SCALARS + 120)  # fmt: skip
SCALARS = _SCALARS + 120

# A request: what is asked for, and while the gate is at work what it found.
(
    R_CLOCK, R_PAIR, R_ACTION, R_SEQUENCE, R_SPREAD, R_LEGS, R_REPAIR, R_LEG,
    R_SLOT, R_SIDE, R_QUANTITY, R_PRICE, R_MASK, R_SHORT, R_GROWING, R_WEIGHT,
) = range(16)  # fmt: skip
LEG_NUMBERS = 8
REQUEST_NUMBERS = R_SLOT + 2 * LEG_NUMBERS
MOST_REQUESTS = 8

# What the portfolio is told: clock, kind, slot, and of a touch bid and ask, else shares, money and price.
PI_CLOCK, PI_KIND, PI_SLOT, PI_A, PI_B, PI_C, PI_CASH, PI_PRICE = range(8)
TOUCH, ENTERED_A, ENTERED_B, BOOKED, FILLED = range(5)
PORTFOLIO_INPUTS = 1024
PORTFOLIO_NUMBERS = 8

# Thresholds on their way to a pair: clock and pair, then the four.
PUBLICATION_NUMBERS = 6
MOST_PUBLICATIONS = 32
MOST_ACKS = 64

# What else comes in, beside touches: kind, clock, and up to six numbers.
(
    IN_TRADE, IN_INTEGRITY, IN_HALTED, IN_RESTRICTED, IN_SETTING, IN_REPORT, IN_ALARM, IN_SEGMENT, IN_REARM_LOSS, IN_ORDER,
    IN_RELOAD, IN_CANCEL,
) = range(12)  # fmt: skip
INPUT_NUMBERS = 9

# What comes out: kind, clock, and up to ten numbers.
OUT_TRIGGER, OUT_VERDICT, OUT_ORDER, OUT_STATE, OUT_FILL, OUT_ALARM, OUT_CANCEL = range(7)
OUTPUT_NUMBERS = 12

# What the ledger told of a pair: its orders ended, they did and it is to be repaired, an order that repairs it ended.
ORDERS_ENDED, LEGGED, REPAIR_ENDED = range(3)

# Why `run` came back.
DONE, FULL, SAMPLE = range(3)

EXACT = int(Integrity.EXACT)
FREE, SENT, LIVE_ORDER, FILLED_ORDER, CANCELED, REJECTED = (int(each) for each in OrderState)
ACTIVE_STATE, REDUCE_ONLY, HALTED_STATE, KILLED = (int(each) for each in TradingState)


class Trading(NamedTuple):
    """Everything."""

    numbers: Numbers
    """Settings and scalars."""
    touches: Numbers
    """By slot: bid, its shares, offer, its shares."""
    slots: Numbers
    pairs: Numbers
    lists: Numbers
    """By slot: where its pairs begin in `entries`, and how many they are."""
    entries: Numbers
    orders: Numbers
    requests: Numbers
    """One row each; the gate's own is the last."""
    told: Numbers
    """What the portfolio has yet to hear, in order of clocks."""
    publications: Numbers
    acks: Numbers
    """Clocks at which an acknowledgment was asked for."""
    misses: Numbers
    refusals: Numbers
    waiting: Numbers
    """Pairs that are to be repaired, the one that waits longest first: pair, tries made, since when."""
    repair: Numbers
    """The order to repair a pair that is offered next."""


def trading_of(geometry: Geometry) -> Trading:
    """A card after its reset: nothing known, every slot counted once."""
    state = Trading(
        numbers=np.zeros(SCALARS, np.int64),
        touches=np.zeros((geometry.slots, 4), np.int64),
        slots=np.zeros((geometry.slots, SLOT_NUMBERS), np.int64),
        pairs=np.zeros((geometry.pairs, PAIR_NUMBERS), np.int64),
        lists=np.zeros((geometry.slots, 2), np.int64),
        entries=np.zeros(2 * geometry.pairs, np.int64),
        orders=np.zeros((geometry.open_orders, ORDER_NUMBERS), np.int64),
        requests=np.zeros((MOST_REQUESTS + 1, REQUEST_NUMBERS), np.int64),
        told=np.zeros((PORTFOLIO_INPUTS, PORTFOLIO_NUMBERS), np.int64),
        publications=np.zeros((MOST_PUBLICATIONS, PUBLICATION_NUMBERS), np.int64),
        acks=np.zeros(MOST_ACKS, np.int64),
        misses=np.zeros(len(Miss), np.int64),
        refusals=np.zeros(len(Refusal), np.int64),
        waiting=np.zeros((geometry.pairs + 1, 3), np.int64),
        repair=np.zeros(REQUEST_NUMBERS, np.int64),
    )
    numbers = state.numbers
    numbers[OPEN_ORDERS], numbers[REPAIRS] = geometry.open_orders, geometry.repair
    timing = Timing(geometry.width)
    numbers[PAIR_CLOCKS : CANCEL_CLOCKS + 1] = [timing.busy(form) for form in Form]
    numbers[ACKNOWLEDGE_CLOCKS] = timing.acknowledge
    stages = (REQUEST_AT, GATE_CLOCK, BOOKING_CLOCK, DONE_CLOCK, RETURN_CLOCK, PUBLISH_CLOCK, TOLD_CLOCK, NEXT_CLOCK, LOOK_CLOCK)
    numbers[[WALK_CLOCK, STAGE_CLOCK, LOSS_FROM, *stages]] = FAR
    numbers[[WALK_END, WALK_USED, SWAPPED, LAST_DONE, DONE_BEFORE, LEFT_CLOCK, OFFERED_AT, KEPT_OUT, WENT_ON, PUSHED]] = LONG_AGO
    numbers[[REJECT_AT, REJECT_AT_BEFORE, CANCEL_AT, CANCEL_AT_BEFORE]] = LONG_AGO
    # The portfolio counts every slot after the reset, 13 clocks each.
    numbers[P_CLOCK] = COUNT_CLOCKS * geometry.slots
    numbers[P_JOB] = LONG_AGO
    state.slots[:, CROSSED] = state.slots[:, CROSSED_BEFORE] = 1
    state.pairs[:, LAST_VALID] = state.pairs[:, LAST_COUNTED] = LONG_AGO
    state.pairs[:, PUBLISHED] = LONG_AGO
    state.pairs[:, WINDOW] = -1
    return state


COUNT_CLOCKS = 13
"""From the clock in which the portfolio picks a slot to the one in which it may pick the next."""
