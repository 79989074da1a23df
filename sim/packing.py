"""Layouts compiled to `struct`, for the places where a run packs or reads hundreds of thousands of messages."""

from __future__ import annotations

import struct
from functools import cache

from hdl.spec.layout import Kind, Layout

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_NUMBERS = {Kind.UINT, Kind.SINT, Kind.PRICE, Kind.PRICE8}


@cache
def compiled(layout: Layout) -> struct.Struct:
    """One `struct` for the whole layout, values in field order.

    Numbers of 1, 2, 4 and 8 bytes are integers; text, characters and numbers of other sizes (the 6-byte timestamp) are bytes of
    exactly the field's size, so text must be padded already.
    """
    codes = [">"]
    for field in layout:
        if field.kind in _NUMBERS and field.size in _CODES:
            code = _CODES[field.size]
            codes.append(code.lower() if field.kind is Kind.SINT else code)
        else:
            codes.append(f"{field.size}s")
    return struct.Struct("".join(codes))
