"""What the twin needs to know of ITCH and of the card, as numbers numba takes for constants. All come from the definitions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hdl.book.book import ALL_SLOTS as _ALL_SLOTS
from hdl.book.ticks import CENT, DOLLAR, OFFSET, TICK_BITS
from hdl.itch.itch_decoder import OF_BOOK, source
from hdl.spec import itch
from hdl.spec.layout import Layout

U = np.uint64

ADDS = (itch.ADD_ORDER_NO_MPID, itch.ADD_ORDER_WITH_MPID)
TAKES_SHARES = (itch.ORDER_EXECUTED, itch.ORDER_EXECUTED_WITH_PRICE, itch.ORDER_CANCEL)
BOOK = tuple(itch.MESSAGES[code] for code in itch.BOOK_TYPES)
EVERY = tuple(itch.MESSAGES.values())

NOTHING, ADD, TAKE, DELETE, REPLACE, SPOIL, DOUBT = map(U, range(7))
"""What a message does to the book; by its type, but for the last two: of a wrong length, to its slot or to all."""


def _last(member: str, layouts: Iterable[Layout], *, size: int) -> np.uint64:
    """Offset of the eight bytes that end with a member which lies at one place in all these layouts."""
    places = {source(layout, member) for layout in layouts}
    assert len(places) == 1, f"{member} lies at several places"
    place = places.pop()
    assert place is not None and place[1] == size and sum(place) >= 8, f"{member}: {place}"
    return U(sum(place) - 8)


# Numbers are read as the low bits of the eight bytes that end where they end.
TIMESTAMP = _last("timestamp", EVERY, size=6)
ORDER_REF = _last("order_ref", BOOK, size=8)
NEW_ORDER_REF = _last("new_order_ref", [itch.ORDER_REPLACE], size=8)
TAKEN_SHARES = _last("shares", TAKES_SHARES, size=4)
ADDED_SHARES = _last("shares", ADDS, size=4)
ADDED_PRICE = _last("price", ADDS, size=4)
REPLACED_SHARES = _last("shares", [itch.ORDER_REPLACE], size=4)
REPLACED_PRICE = _last("price", [itch.ORDER_REPLACE], size=4)

LOCATE = U(itch.STOCK_DIRECTORY.offset("stock_locate"))
assert {source(layout, "locate") for layout in EVERY} == {(int(LOCATE), 2)}
SIDE = U(itch.ADD_ORDER_NO_MPID.offset("side"))
assert {layout.offset("side") for layout in ADDS} == {int(SIDE)}
SELL = U(ord(itch.SELL))
DIRECTORY = U(ord(itch.STOCK_DIRECTORY.code))
HEADER_BYTES = U(itch.HEADER_BYTES)
ALL_SLOTS = U(_ALL_SLOTS)


_ACTIONS = (
    {layout.code: ADD for layout in ADDS}
    | {layout.code: TAKE for layout in TAKES_SHARES}
    | {itch.ORDER_DELETE.code: DELETE, itch.ORDER_REPLACE.code: REPLACE}
)
KIND_SIZE, KIND_USED, KIND_ACTION, KIND_PLACE = U(0x7FFF), U(0x8000), U(16), U(24)
"""Parts of a kind: masks of its size and of whether the book looks at it, and where action and place in `itch.MESSAGES` begin."""
KINDS = np.zeros(256, np.uint32)
"""What a type is, by its first byte; 0 where there is no such type."""
for _place, _layout in enumerate(EVERY):
    _action = _ACTIONS.get(_layout.code, NOTHING)
    _used = int(KIND_USED) * (_layout.code in OF_BOOK)
    KINDS[ord(_layout.code)] = _layout.size | _used | int(_action) << int(KIND_ACTION) | _place << int(KIND_PLACE)

PRICE_DOLLAR, PRICE_CENT, TICK_OFFSET = U(DOLLAR), U(CENT), U(OFFSET)
OFFER_FLIP = U((1 << TICK_BITS) - 1)
"""Key of an offer: its tick with these bits turned, so that the highest key is the best on both sides."""
