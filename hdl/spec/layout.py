"""Byte layouts as data: the one form in which every wire and record format of the project is written down.

A `Layout` is an ordered run of fixed-size `Field`s. Gateware reads offsets and sizes from it, simulation and host pack and
unpack with it, the firmware header and the reference pages are printed from it. Integers are big-endian throughout.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

Value = int | str | bytes


class LayoutError(ValueError):
    """A value does not fit its field, or bytes do not fit their layout."""


class Kind(enum.Enum):
    """How the bytes of a field are read."""

    UINT = "u"
    """Unsigned big-endian integer."""
    SINT = "s"
    """Two's complement big-endian integer."""
    CHAR = "char"
    """One ASCII character."""
    ALPHA = "alpha"
    """ASCII text, left-justified, padded right with spaces."""
    PRICE = "price"
    """Unsigned big-endian integer in units of 1/10000 dollar."""
    PRICE8 = "price8"
    """Unsigned big-endian integer in units of 1/100000000 dollar."""
    RAW = "raw"
    """Bytes without further meaning here."""


_NUMBERS = {Kind.UINT, Kind.SINT, Kind.PRICE, Kind.PRICE8}


@dataclass(frozen=True)
class Field:
    """One field of a layout.

    Parameters
    ----------
    name : str
        Stable name, used unchanged in gateware, simulation, host and reference pages.
    size : int
        Bytes.
    kind : Kind
        Reading of the bytes.
    doc : str
        Meaning, one line.
    """

    name: str
    size: int
    kind: Kind = Kind.UINT
    doc: str = ""

    def pack(self, value: Value) -> bytes:
        """Encode one value; `LayoutError` if it does not fit."""
        if self.kind in _NUMBERS:
            if not isinstance(value, int):
                raise LayoutError(f"field {self.name}: {value!r} is not an integer")
            try:
                return value.to_bytes(self.size, "big", signed=self.kind is Kind.SINT)
            except OverflowError:
                raise LayoutError(f"field {self.name}: {value} does not fit {self.size} bytes") from None
        if isinstance(value, int):
            raise LayoutError(f"field {self.name}: {value!r} is not text")
        raw = value.encode("ascii") if isinstance(value, str) else value
        if self.kind is Kind.ALPHA:
            raw = raw.ljust(self.size, b" ")
        if len(raw) != self.size:
            raise LayoutError(f"field {self.name}: {value!r} is {len(raw)} bytes, allowed are {self.size}")
        return raw

    def unpack(self, raw: bytes) -> Value:
        """Decode the bytes of this field."""
        if self.kind in _NUMBERS:
            return int.from_bytes(raw, "big", signed=self.kind is Kind.SINT)
        if self.kind is Kind.RAW:
            return raw
        text = raw.decode("latin-1")
        return text.rstrip(" ") if self.kind is Kind.ALPHA else text


def uint(name: str, size: int, doc: str) -> Field:
    """Unsigned integer."""
    return Field(name, size, Kind.UINT, doc)


def sint(name: str, size: int, doc: str) -> Field:
    """Signed integer."""
    return Field(name, size, Kind.SINT, doc)


def char(name: str, doc: str) -> Field:
    """One character."""
    return Field(name, 1, Kind.CHAR, doc)


def alpha(name: str, size: int, doc: str) -> Field:
    """Text, padded right with spaces."""
    return Field(name, size, Kind.ALPHA, doc)


def price(name: str, size: int, doc: str) -> Field:
    """Price in 1/10000 dollar."""
    return Field(name, size, Kind.PRICE, doc)


def price8(name: str, doc: str) -> Field:
    """Price in 1/100000000 dollar."""
    return Field(name, 8, Kind.PRICE8, doc)


@dataclass(frozen=True)
class Layout:
    """A named run of fields.

    Parameters
    ----------
    name : str
        Stable name.
    fields : tuple of Field
        In wire order, without holes.
    code : str
        The type character that selects this layout, empty where none does.
    doc : str
        Meaning, one line.
    """

    name: str
    fields: tuple[Field, ...]
    code: str = ""
    doc: str = ""

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Byte offset of each field."""
        offsets, position = {}, 0
        for field in self.fields:
            if field.name in offsets:
                raise LayoutError(f"layout {self.name}: field {field.name} stands twice")
            offsets[field.name] = position
            position += field.size
        return offsets

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Fields by name."""
        return {field.name: field for field in self.fields}

    @property
    def size(self) -> int:
        """Bytes of the whole layout."""
        return sum(field.size for field in self.fields)

    def __contains__(self, name: str) -> bool:
        return name in self.offsets

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def offset(self, name: str) -> int:
        """Byte offset of the named field."""
        return self.offsets[name]

    def pack(self, **values: Value) -> bytes:
        """Encode; `type` may be left out where the layout has a code. `LayoutError` names what is missing or unknown."""
        given: dict[str, Value] = {"type": self.code, **values} if self.code and "type" in self else dict(values)
        if unknown := given.keys() - self.offsets.keys():
            raise LayoutError(f"layout {self.name}: no field {', '.join(sorted(unknown))}")
        if missing := self.offsets.keys() - given.keys():
            raise LayoutError(f"layout {self.name}: no value for {', '.join(sorted(missing))}")
        return b"".join(field.pack(given[field.name]) for field in self.fields)

    def unpack(self, raw: bytes | memoryview, at: int = 0) -> dict[str, Value]:
        """Decode the layout that begins at byte `at`; later bytes are not looked at."""
        if len(raw) - at < self.size:
            raise LayoutError(f"layout {self.name}: {len(raw) - at} bytes at offset {at}, needed are {self.size}")
        return {
            field.name: field.unpack(bytes(raw[at + offset : at + offset + field.size]))
            for field, offset in zip(self.fields, self.offsets.values(), strict=True)
        }


def by_code(*layouts: Layout) -> Mapping[str, Layout]:
    """Index layouts by their type character."""
    table = {layout.code: layout for layout in layouts}
    if len(table) != len(layouts):
        raise LayoutError("two layouts share one code")
    return table
