"""Decoder and book in compiled Python, a message at a time, rule for rule as the gateware has them.

What is what in the gateware: `find`, `vacancy`, `put`, `drop` are `OrderTable`; `bring`, `take` and `best_of` are `PriceLadder`;
`rebuild` is `OrderBook`'s scan; `apply` is its clocks 0 to 9; `run` is `ItchDecoder` and the blocks of `MoldUdp64Receiver`.
All numbers are unsigned 64-bit: numba makes a floating-point number of a signed and an unsigned one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Integrity, IntegrityCause
from sim.compiled import apart, entry, part
from sim.twin import wire
from sim.twin.machine import equal_of_four, leading_zeros, load_big, ones, pointer, prefetch, trailing_zeros

U = np.uint64
ZERO, ONE, TWO, THREE, FOUR, EIGHT = U(0), U(1), U(2), U(3), U(4), U(8)
HALF = U(32)
NONE = U(0xFFFFFFFFFFFFFFFF)
LOW32 = U(0xFFFFFFFF)
LOW8 = U(0xFF)
LOW48 = U((1 << 48) - 1)
LAST = U(63)

# An order's mark: its slot twice and side, and whether it is on the grid. 0 where there is no order.
LIVE, ON_TICK = U(0x8000), U(0x4000)

EACH_MARK = U(0x0001000100010001)
MARKS_OF_BLOCK, BLOCK_WORDS = U(32), U(8)

# Numbers of a slot and side.
SUMMARY, BASE, ORDERS, KEY, PRICE, SHARES = map(U, range(6))
SIDE_NUMBERS = U(8)

# What a locate is bound to: slot + 1 in the low bits, 0 where to none.
SLOT_BITS = U(0xFFFF)
NOTICE = U(0x10000)
"""Stop before a message of this locate."""

# A message of a watched slot that waits to be applied.
BEGIN, ACTION, SLOT, NUMBER, REFERENCE, FIRST, SECOND, CELL, NEW_FIRST, NEW_SECOND = map(U, range(10))
WAITING_NUMBERS = U(16)
BATCH = U(32)
"""Messages looked ahead: what they need of memory is asked for before any of them is applied."""
ADDS, NAMED = BATCH * WAITING_NUMBERS, BATCH * WAITING_NUMBERS + BATCH
"""Where the lists of those that add an order and of those that name one begin, behind the messages themselves."""

AHEAD = U(4096)
"""How far ahead the input is asked for: past the end of a page, where the processor itself stops to foresee."""

# Why `run` came back.
DONE, FULL, STOPPED, ENDED, TOO_LONG, MORE = range(6)

# Places in the counters.
(
    POSITION, SEQUENCE, ROWS, EVENTS, LIVE_ORDERS, PEAK, ITCH_TYPE, ITCH_LENGTH, UNWATCHED, SKIP, REMAINING, FRESH, USED,
    FIRST_ODD, REBUILDS,
) = map(U, range(15))  # fmt: skip
COUNTERS = 15

LINE = 64
"""Bytes of a cache line."""

EXACT, SUSPECT, DEAD = int(Integrity.EXACT), int(Integrity.SUSPECT), int(Integrity.DEAD)
FINE = -1
UNKNOWN_ORDER = int(IntegrityCause.UNKNOWN_ORDER)
DUPLICATE_ORDER = int(IntegrityCause.DUPLICATE_ORDER)
OVERFILL = int(IntegrityCause.OVERFILL)
TABLE_FULL = int(IntegrityCause.TABLE_FULL)
OFF_TICK = int(IntegrityCause.OFF_TICK)
LEVEL_OVERFLOW = int(IntegrityCause.LEVEL_OVERFLOW)
ZERO_SHARES = int(IntegrityCause.ZERO_SHARES)
MALFORMED = int(IntegrityCause.MALFORMED)

ROW = np.dtype(
    [
        ("sequence", "<u8"),
        ("timestamp", "<u8"),
        ("bid_price", "<u4"),
        ("bid_shares", "<u4"),
        ("ask_price", "<u4"),
        ("ask_shares", "<u4"),
        ("slot", "<u4"),
    ],
    align=True,
)
"""A BBO change."""
EVENT = np.dtype([("sequence", "<u8"), ("order_ref", "<u8"), ("slot", "<u2"), ("integrity", "u1"), ("cause", "u1")], align=True)
"""A loss of integrity, of a slot or of all."""
ROW_WORDS, EVENT_WORDS = U(ROW.itemsize // 8), U(EVENT.itemsize // 8)


class Sizes(NamedTuple):
    """A geometry as the kernel wants it."""

    ways: np.uint64
    row_bits: np.uint64
    row_mask: np.uint64
    cells: np.uint64
    bit_bits: np.uint64
    """Keys of a word are `1 << bit_bits`."""
    words: np.uint64
    ticks: np.uint64
    high: np.uint64
    """Place of the word of a key that moves the window."""
    slots: np.uint64


class Book(NamedTuple):
    """Tables and ladders of all slots."""

    tags: NDArray[np.uint64]
    """References by cell: row, bank, way. A vacant cell holds a reference that hashes to another row."""
    orders: NDArray[np.uint32]
    """Tick (or price, off the grid) and shares by cell."""
    marks: NDArray[np.uint16]
    """Mark by cell."""
    marks_by_four: NDArray[np.uint64]
    """The same marks, four at a time."""
    sides: NDArray[np.uint64]
    words: NDArray[np.uint64]
    levels: NDArray[np.uint32]
    binding: NDArray[np.uint32]
    integrity: NDArray[np.uint8]
    types: NDArray[np.uint64]
    """Messages by type."""
    counters: NDArray[np.uint64]
    kinds: NDArray[np.uint32]
    """`wire.KINDS`."""
    waiting: NDArray[np.uint64]
    """Messages looked ahead."""


def sizes_of(geometry: Geometry) -> Sizes:
    """Sizes of a geometry; how a key parts into word and bit is `PriceLadder`'s."""
    row_bits = (geometry.order_rows - 1).bit_length()
    ticks_bits = (geometry.ladder_ticks - 1).bit_length()
    bit_bits = max(4, -(-ticks_bits // 2))
    words = 1 << ticks_bits - bit_bits
    return Sizes(
        ways=U(geometry.order_ways),
        row_bits=U(row_bits),
        row_mask=U((1 << row_bits) - 1),
        cells=U(geometry.order_capacity),
        bit_bits=U(bit_bits),
        words=U(words),
        ticks=U(geometry.ladder_ticks),
        high=U(3 * words // 4),
        slots=U(geometry.slots),
    )


def _filled(count: int, dtype: type, value: int = 0) -> NDArray[Any]:
    """Equal numbers that lie in memory now, and not only when the first message needs them. They begin with a cache line,
    so that a row of the table, and a side's numbers, are one line and not parts of two."""
    size = count * np.dtype(dtype).itemsize
    room = np.empty(size + LINE, np.uint8)
    begin = -room.ctypes.data % LINE
    array: NDArray[Any] = room[begin : begin + size].view(dtype)
    array.fill(value)
    return array


def book_of(geometry: Geometry) -> Book:
    """An empty book, every slot EXACT, nothing bound."""
    sizes = sizes_of(geometry)
    sides = 2 * geometry.slots
    marks = _filled(geometry.order_capacity, np.uint16)
    rows = np.arange(geometry.order_rows, dtype=np.uint64) ^ ONE
    tags = _filled(geometry.order_capacity, np.uint64)
    tags[:] = np.repeat(rows, 2 * geometry.order_ways)
    return Book(
        tags=tags,
        orders=_filled(2 * geometry.order_capacity, np.uint32),
        marks=marks,
        marks_by_four=marks.view(np.uint64),
        sides=_filled(sides * int(SIDE_NUMBERS), np.uint64),
        words=_filled(sides * int(sizes.words), np.uint64),
        levels=_filled(sides * geometry.ladder_ticks, np.uint32),
        binding=_filled(1 << 16, np.uint32),
        integrity=np.full(geometry.slots, EXACT, np.uint8),
        types=_filled(len(wire.EVERY), np.uint64),
        counters=_filled(COUNTERS, np.uint64),
        kinds=wire.KINDS,
        waiting=_filled(int(NAMED + BATCH), np.uint64),
    )


# The order table.


@part
def rows_of(reference, sizes):
    """Rows of a reference in the two banks: `order_table.row_of`. Chunks of zeros add nothing."""
    first = second = turn = ZERO
    rest = reference
    while rest != ZERO:
        chunk = rest & sizes.row_mask
        first ^= chunk
        second ^= ((chunk << turn) | (chunk >> (sizes.row_bits - turn))) & sizes.row_mask
        turn += ONE
        if turn == sizes.row_bits:
            turn = ZERO
        rest >>= sizes.row_bits
    return first, second


@entry
def meet(one, other, sizes):
    """Whether two references have a row in common."""
    first, second = rows_of(one, sizes)
    others_first, others_second = rows_of(other, sizes)
    return first == others_first or second == others_second


@part
def equal(tags, at, value, ways):
    """A bit for each way of a row, set where its tag is the value. To stop at the first one would be a guess."""
    if ways == FOUR:
        return equal_of_four(tags, at, value)
    if ways == EIGHT:
        return equal_of_four(tags, at, value) | (equal_of_four(tags, at + FOUR, value) << FOUR)
    found = ZERO
    for way in range(ways):
        found |= (ONE if tags[at + way] == value else ZERO) << way
    return found


@part
def find(tags, reference, first, second, sizes):
    """Cell of a reference, `NONE` where it is not there."""
    one = first * TWO * sizes.ways
    other = (second * TWO + ONE) * sizes.ways
    in_one = equal(tags, one, reference, sizes.ways)
    in_other = equal(tags, other, reference, sizes.ways)
    cell = one + trailing_zeros(in_one) if in_one else other + trailing_zeros(in_other)
    return cell if in_one | in_other else NONE


@part
def vacancy(tags, reference, first, second, sizes):
    """Where an order goes, the first free way of the emptier row, and whether its reference is there already."""
    one = first * TWO * sizes.ways
    other = (second * TWO + ONE) * sizes.ways
    known = equal(tags, one, reference, sizes.ways) | equal(tags, other, reference, sizes.ways)
    free_in_one = equal(tags, one, first ^ ONE, sizes.ways)
    free_in_other = equal(tags, other, second ^ ONE, sizes.ways)
    in_other = ones(free_in_other) > ones(free_in_one)
    cell = other + trailing_zeros(free_in_other) if in_other else one + trailing_zeros(free_in_one)
    return known != ZERO, cell if free_in_one | free_in_other else NONE


@part
def drop(book, cell, first, second, sizes):
    """An order leaves the table; its rows are given."""
    in_first = cell - first * TWO * sizes.ways < sizes.ways
    book.tags[cell] = (first if in_first else second) ^ ONE
    book.marks[cell] = ZERO
    book.counters[LIVE_ORDERS] -= ONE


@part
def put(book, cell, reference, mark, tick, shares):
    """An order comes into the table."""
    book.tags[cell] = reference
    book.marks[cell] = mark
    book.orders[TWO * cell] = tick
    book.orders[TWO * cell + ONE] = shares
    live = book.counters[LIVE_ORDERS] + ONE
    book.counters[LIVE_ORDERS] = live
    if live > book.counters[PEAK]:
        book.counters[PEAK] = live


# Prices.


@part
def tick_of(price):
    """Tick of a price, or off the grid the price itself, and whether it is on the grid."""
    if price < wire.PRICE_DOLLAR:
        return price, True
    cents = price // wire.PRICE_CENT
    if cents * wire.PRICE_CENT != price:
        return price, False
    return cents + wire.TICK_OFFSET, True


@part
def price_of(tick):
    """Price of a tick."""
    return tick if tick < wire.PRICE_DOLLAR else (tick - wire.TICK_OFFSET) * wire.PRICE_CENT


@part
def key_of(tick, at):
    """Key of a tick on a side; sides with odd numbers are offers."""
    return tick ^ wire.OFFER_FLIP if at & ONE else tick


# The ladder. `at` is the number of a slot and side: twice the slot, and one more for offers.


@part
def best_of(book, at, summary, base, sizes):
    """The best of a side after its best level went."""
    sides, side = book.sides, at * SIDE_NUMBERS
    if summary == ZERO:
        sides[side + KEY] = sides[side + PRICE] = sides[side + SHARES] = ZERO
        return
    number = base + (LAST - leading_zeros(summary))
    word = book.words[at * sizes.words + (number & (sizes.words - ONE))]
    key = (number << sizes.bit_bits) | (LAST - leading_zeros(word))
    sides[side + KEY] = key
    sides[side + PRICE] = price_of(key_of(key, at))
    sides[side + SHARES] = book.levels[at * sizes.ticks + (key & (sizes.ticks - ONE))]


@part
def take(book, at, tick, shares, closes, sizes):
    """Shares go from a level, if it is in the window."""
    sides, side = book.sides, at * SIDE_NUMBERS
    if closes:
        sides[side + ORDERS] -= ONE
    key = key_of(tick, at)
    number = key >> sizes.bit_bits
    place = number - sides[side + BASE]
    summary = sides[side + SUMMARY]
    if place >= sizes.words or not (summary >> place) & ONE:
        return
    word_at = at * sizes.words + (number & (sizes.words - ONE))
    mask = ONE << (key & ((ONE << sizes.bit_bits) - ONE))
    word = book.words[word_at]
    if not word & mask:
        return
    level_at = at * sizes.ticks + (key & (sizes.ticks - ONE))
    level = U(book.levels[level_at])
    if level > shares:
        book.levels[level_at] = level - shares
        if key == sides[side + KEY]:
            sides[side + SHARES] = level - shares
        return
    word &= ~mask
    book.words[word_at] = word
    if word == ZERO:
        summary &= ~(ONE << place)
        sides[side + SUMMARY] = summary
    if key == sides[side + KEY]:
        best_of(book, at, summary, sides[side + BASE], sizes)


@part
def bring(book, at, tick, price, shares, replay, sizes):
    """Shares come to a level, if it is in the window or above it; whether that was refused because they would overflow it."""
    sides, side = book.sides, at * SIDE_NUMBERS
    key = key_of(tick, at)
    number = key >> sizes.bit_bits
    base, summary = sides[side + BASE], sides[side + SUMMARY]
    word_at = at * sizes.words + (number & (sizes.words - ONE))
    mask = ONE << (key & ((ONE << sizes.bit_bits) - ONE))
    level_at = at * sizes.ticks + (key & (sizes.ticks - ONE))
    place = number - base
    total = shares
    empty = summary == ZERO
    if not empty and place < sizes.words:
        word = book.words[word_at] if (summary >> place) & ONE else ZERO
        level = U(book.levels[level_at])
        total += level if word & mask else ZERO
        if total > LOW32:
            return True
        book.words[word_at] = word | mask
        sides[side + SUMMARY] = summary | (ONE << place)
        leads = key >= sides[side + KEY]
    elif (empty and (replay or sides[side + ORDERS] == ZERO)) or (not empty and number >= base + sizes.words):
        new_base = number - sizes.high if number >= sizes.high else ZERO
        shift = new_base - base
        kept = ZERO if empty or shift >= sizes.words else summary >> shift
        book.words[word_at] = mask
        sides[side + BASE] = new_base
        sides[side + SUMMARY] = kept | (ONE << (number - new_base))
        leads = True
    else:
        if not replay:
            sides[side + ORDERS] += ONE
        return False
    book.levels[level_at] = total
    if not replay:
        sides[side + ORDERS] += ONE
    sides[side + KEY] = key if leads else sides[side + KEY]
    sides[side + PRICE] = price if leads else sides[side + PRICE]
    sides[side + SHARES] = total if leads else sides[side + SHARES]
    return False


@apart
def rebuild(book, at, sizes):
    """Every order of a side goes through `bring` again, in the order of the table; whether a level overflowed."""
    left = book.sides[at * SIDE_NUMBERS + ORDERS]
    wanted = LIVE | ON_TICK | at
    pattern = wanted * EACH_MARK
    overflow = False
    book.counters[REBUILDS] += ONE
    for block in range(ZERO, sizes.cells, MARKS_OF_BLOCK):
        # Whether one of these marks is the wanted one, that is, whether one of its differences is zero.
        hit = ZERO
        for number in range(BLOCK_WORDS):
            difference = book.marks_by_four[(block >> TWO) + number] ^ pattern
            hit |= (difference - EACH_MARK) & ~difference & (EACH_MARK << U(15))
        if hit == ZERO:
            continue
        for cell in range(block, block + MARKS_OF_BLOCK):
            if book.marks[cell] == wanted:
                tick = U(book.orders[TWO * cell])
                overflow |= bring(book, at, tick, price_of(tick), U(book.orders[TWO * cell + ONE]), True, sizes)
                left -= ONE
        if left == ZERO:
            break
    return overflow


# A message.


@part
def insert(book, at, reference, first, second, price, shares, sizes):
    """An order is added to table and ladder; what is wrong with it."""
    if shares == ZERO:
        return ZERO_SHARES
    known, cell = vacancy(book.tags, reference, first, second, sizes)
    if known:
        return DUPLICATE_ORDER
    if cell == NONE:
        return TABLE_FULL
    tick, on_tick = tick_of(price)
    mark = LIVE | at
    if on_tick:
        mark |= ON_TICK
        if bring(book, at, tick, price, shares, False, sizes):
            return LEVEL_OVERFLOW
    put(book, cell, reference, mark, tick, shares)
    return FINE if on_tick else OFF_TICK


@part
def apply(book, data, entry_at, rows, events, sizes):
    """One message that waits."""
    waiting = book.waiting
    begin, action, slot = waiting[entry_at + BEGIN], waiting[entry_at + ACTION], waiting[entry_at + SLOT]
    reference, number = waiting[entry_at + REFERENCE], waiting[entry_at + NUMBER]
    first, second = waiting[entry_at + FIRST], waiting[entry_at + SECOND]
    named = reference
    cause = FINE
    at = slot * TWO
    if action >= wire.SPOIL:
        if action == wire.SPOIL:
            fault(book, number, slot, ZERO, MALFORMED, events)
        else:
            doubt(book, events, sizes)
        return
    if action == wire.ADD:
        at |= ONE if data[begin + wire.SIDE] == wire.SELL else ZERO
        side = at * SIDE_NUMBERS
        price_before, shares_before = book.sides[side + PRICE], book.sides[side + SHARES]
        shares = load_big(data, begin + wire.ADDED_SHARES) & LOW32
        price = load_big(data, begin + wire.ADDED_PRICE) & LOW32
        cause = insert(book, at, reference, first, second, price, shares, sizes)
    else:
        cell = waiting[entry_at + CELL]
        if cell == NONE or book.tags[cell] != reference:
            # Messages between the look ahead and now may have brought it.
            cell = find(book.tags, reference, first, second, sizes)
        mark = ZERO if cell == NONE else U(book.marks[cell])
        if (mark & (ON_TICK - TWO)) != at or mark == ZERO:
            fault(book, number, slot, reference, UNKNOWN_ORDER, events)
            return
        at = mark & (ON_TICK - ONE)
        side = at * SIDE_NUMBERS
        price_before, shares_before = book.sides[side + PRICE], book.sides[side + SHARES]
        tick, had = U(book.orders[TWO * cell]), U(book.orders[TWO * cell + ONE])
        taken = had
        if action == wire.TAKE:
            taken = load_big(data, begin + wire.TAKEN_SHARES) & LOW32
            if taken > had:
                cause = OVERFILL
                taken = had
        closes = taken == had
        if mark & ON_TICK:
            take(book, at, tick, taken, closes, sizes)
        if closes:
            drop(book, cell, first, second, sizes)
        else:
            book.orders[TWO * cell + ONE] = had - taken
        if action == wire.REPLACE:
            named = load_big(data, begin + wire.NEW_ORDER_REF)
            shares = load_big(data, begin + wire.REPLACED_SHARES) & LOW32
            price = load_big(data, begin + wire.REPLACED_PRICE) & LOW32
            first, second = waiting[entry_at + NEW_FIRST], waiting[entry_at + NEW_SECOND]
            cause = insert(book, at, named, first, second, price, shares, sizes)
        ran_empty = book.sides[side + SUMMARY] == ZERO and book.sides[side + ORDERS] != ZERO
        if ran_empty and rebuild(book, at, sizes) and cause == FINE:
            cause, named = LEVEL_OVERFLOW, ZERO
    same = (book.sides[side + PRICE] == price_before) & (book.sides[side + SHARES] == shares_before)
    write(book, data, begin, number, slot, rows)
    # The row counts only if something changed: whether it does is a toss-up, which costs more to guess than to write.
    book.counters[ROWS] += ZERO if same else ONE
    if cause != FINE:
        fault(book, number, slot, named, cause, events)


@part
def write(book, data, begin, number, slot, rows):
    """A row with the best bid and offer, behind those that count."""
    at = book.counters[ROWS] * ROW_WORDS
    sides, bid = book.sides, slot * TWO * SIDE_NUMBERS
    ask = bid + SIDE_NUMBERS
    rows[at] = number
    rows[at + ONE] = load_big(data, begin + wire.TIMESTAMP) & LOW48
    rows[at + TWO] = sides[bid + PRICE] | (sides[bid + SHARES] << HALF)
    rows[at + THREE] = sides[ask + PRICE] | (sides[ask + SHARES] << HALF)
    rows[at + FOUR] = slot


@part
def fault(book, number, slot, reference, cause, events):
    """A slot becomes DEAD, which is said once."""
    if book.integrity[slot] == DEAD:
        return
    book.integrity[slot] = DEAD
    at = book.counters[EVENTS] * EVENT_WORDS
    book.counters[EVENTS] += ONE
    events[at] = number
    events[at + ONE] = reference
    events[at + TWO] = slot | (U(DEAD) << U(16)) | (U(cause) << U(24))


@apart
def doubt(book, events, sizes):
    """Every slot that is EXACT becomes SUSPECT, which is said once."""
    lowered = False
    for slot in range(sizes.slots):
        if book.integrity[slot] == EXACT:
            book.integrity[slot] = SUSPECT
            lowered = True
    if lowered:
        at = book.counters[EVENTS] * EVENT_WORDS
        book.counters[EVENTS] += ONE
        events[at] = events[at + ONE] = ZERO
        events[at + TWO] = wire.ALL_SLOTS | (U(SUSPECT) << U(16)) | (U(MALFORMED) << U(24))


@part
def ask(book, first, second, sizes):
    """Have the references in the two rows of one brought near."""
    prefetch(book.tags, first * TWO * sizes.ways)
    prefetch(book.tags, (second * TWO + ONE) * sizes.ways)


@part
def ask_cell(book, cell):
    """Have what is kept of an order brought near."""
    prefetch(book.orders, TWO * cell)
    prefetch(book.marks, cell)


@part
def wait(book, data, begin, action, slot, entry_at, sizes):
    """A message is put down to be applied, and the rows it needs are asked for."""
    waiting = book.waiting
    reference = load_big(data, begin + wire.ORDER_REF)
    first, second = rows_of(reference, sizes)
    ask(book, first, second, sizes)
    prefetch(book.sides, slot * TWO * SIDE_NUMBERS)
    prefetch(book.sides, (slot * TWO + ONE) * SIDE_NUMBERS)
    waiting[entry_at + BEGIN], waiting[entry_at + ACTION], waiting[entry_at + SLOT] = begin, action, slot
    waiting[entry_at + NUMBER], waiting[entry_at + REFERENCE] = book.counters[SEQUENCE], reference
    waiting[entry_at + FIRST], waiting[entry_at + SECOND] = first, second
    if action == wire.REPLACE:
        first, second = rows_of(load_big(data, begin + wire.NEW_ORDER_REF), sizes)
        ask(book, first, second, sizes)
        waiting[entry_at + NEW_FIRST], waiting[entry_at + NEW_SECOND] = first, second


@part
def look_at_add(book, data, entry_at, sizes):
    """The level of an order that is added is asked for, and its cell as far as can be told now."""
    _, cell = vacancy(
        book.tags, book.waiting[entry_at + REFERENCE], book.waiting[entry_at + FIRST], book.waiting[entry_at + SECOND], sizes
    )
    ask_cell(book, cell if cell != NONE else ZERO)
    begin, at = book.waiting[entry_at + BEGIN], book.waiting[entry_at + SLOT] * TWO
    at |= ONE if data[begin + wire.SIDE] == wire.SELL else ZERO
    tick, _ = tick_of(load_big(data, begin + wire.ADDED_PRICE) & LOW32)
    ask_level(book, at, tick, sizes)


@part
def look_for_named(book, entry_at, sizes):
    """An order that is named is looked for, and what is kept of it asked for."""
    waiting = book.waiting
    cell = find(book.tags, waiting[entry_at + REFERENCE], waiting[entry_at + FIRST], waiting[entry_at + SECOND], sizes)
    waiting[entry_at + CELL] = cell
    ask_cell(book, cell if cell != NONE else ZERO)


@part
def look_at_named(book, data, entry_at, sizes):
    """The level of an order that is named is asked for, if the order is there already; and that of the one that replaces it."""
    waiting = book.waiting
    cell = waiting[entry_at + CELL]
    if cell != NONE:
        at = waiting[entry_at + SLOT] * TWO | (U(book.marks[cell]) & ONE)
        ask_level(book, at, U(book.orders[TWO * cell]), sizes)
        if waiting[entry_at + ACTION] == wire.REPLACE:
            tick, _ = tick_of(load_big(data, waiting[entry_at + BEGIN] + wire.REPLACED_PRICE) & LOW32)
            ask_level(book, at, tick, sizes)


@part
def ask_level(book, at, tick, sizes):
    """Have a level and its word brought near."""
    key = key_of(tick, at)
    prefetch(book.levels, at * sizes.ticks + (key & (sizes.ticks - ONE)))
    prefetch(book.words, at * sizes.words + ((key >> sizes.bit_bits) & (sizes.words - ONE)))


@part
def gather(book, sizes, data, end, longest, of_file, watching, resume):
    """Decode messages until a batch of them waits; where they end, how many add and name orders, and why no more."""
    counters = book.counters
    position = counters[POSITION]
    entry_at = adds = named = ZERO
    reason = DONE
    while position + TWO <= end:
        if entry_at == BATCH * WAITING_NUMBERS:
            reason = MORE
            break
        length = (U(data[position]) << EIGHT) | U(data[position + ONE])
        begin = position + TWO
        prefetch(data, position + AHEAD)
        after = begin + length
        if of_file:
            if length == ZERO:
                reason = ENDED
                break
            if length > longest:
                reason = TOO_LONG
                break
        elif counters[REMAINING] == ZERO:
            break
        if after > end:
            break
        if not of_file:
            counters[REMAINING] -= ONE
            if counters[SKIP] != ZERO:
                counters[SKIP] -= ONE
                position = after
                continue
            counters[FRESH] = ONE
            if length == ZERO:
                counters[SEQUENCE] += ONE
                position = after
                continue
            counters[USED] = ONE
        kind = U(data[begin])
        bound = ZERO
        if length >= wire.LOCATE + TWO:
            locate = (U(data[begin + wire.LOCATE]) << EIGHT) | U(data[begin + wire.LOCATE + ONE])
            bound = U(book.binding[locate])
            if watching and not resume and (bound & NOTICE or kind == wire.DIRECTORY):
                reason = STOPPED
                break
        resume = False
        known = U(book.kinds[kind])
        size = known & wire.KIND_SIZE
        if size == length:
            book.types[known >> wire.KIND_PLACE] += ONE
            action = (known >> wire.KIND_ACTION) & LOW8
            slot = bound & SLOT_BITS
            if action and slot:
                wait(book, data, begin, action, slot - ONE, entry_at, sizes)
                # Written to both lists and counted in one: a choice here would be a guess.
                book.waiting[ADDS + adds] = book.waiting[NAMED + named] = entry_at
                adds += ONE if action == wire.ADD else ZERO
                named += ZERO if action == wire.ADD else ONE
                entry_at += WAITING_NUMBERS
            elif action:
                counters[UNWATCHED] += ONE
        else:
            if counters[ITCH_LENGTH] + counters[ITCH_TYPE] == ZERO:
                counters[FIRST_ODD] = position
            counters[ITCH_LENGTH if size else ITCH_TYPE] += ONE
            short, slot = length < wire.HEADER_BYTES, bound & SLOT_BITS
            if short or (known & wire.KIND_USED and slot):
                book.waiting[entry_at + ACTION] = wire.DOUBT if short else wire.SPOIL
                book.waiting[entry_at + SLOT] = slot - ONE
                book.waiting[entry_at + NUMBER] = counters[SEQUENCE]
                entry_at += WAITING_NUMBERS
        counters[SEQUENCE] += ONE
        position = after
    counters[POSITION] = position
    return entry_at, adds, named, reason


@entry
def run(arrays, sizes, raw, end, longest, of_file, watching, resume, row_array, room, event_array):
    """Messages with a 16-bit length before each, from the position in the counters to `end`, as far as they are whole."""
    book = Book(
        pointer(arrays.tags), pointer(arrays.orders), pointer(arrays.marks), pointer(arrays.marks_by_four), pointer(arrays.sides),
        pointer(arrays.words), pointer(arrays.levels), pointer(arrays.binding), pointer(arrays.integrity), pointer(arrays.types),
        pointer(arrays.counters), pointer(arrays.kinds), pointer(arrays.waiting),
    )  # fmt: skip
    data, rows, events = pointer(raw), pointer(row_array), pointer(event_array)
    while book.counters[ROWS] + BATCH <= room:
        last, adds, named, reason = gather(book, sizes, data, end, longest, of_file, watching, resume)
        resume = False
        for number in range(named):
            look_for_named(book, book.waiting[NAMED + number], sizes)
        for number in range(adds):
            look_at_add(book, data, book.waiting[ADDS + number], sizes)
        for number in range(named):
            look_at_named(book, data, book.waiting[NAMED + number], sizes)
        for entry_at in range(ZERO, last, WAITING_NUMBERS):
            apply(book, data, entry_at, rows, events, sizes)
        if reason != MORE:
            return reason
    return FULL
