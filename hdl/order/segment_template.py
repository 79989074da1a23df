"""The bytes of the frames that leave, laid out once while the gateware is built."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Mux, Value

from hdl.spec.layout import Layout


class Source(enum.Enum):
    """When the value of a byte is known, which decides where its checksum term enters."""

    FIXED = "while the gateware is built"
    SESSION = "before any frame starts"
    SEGMENT = "when the frame starts, in any frame"
    NUMBER = "when the frame starts, in a frame with orders or a cancel"
    LEG = "when the frame starts, in a frame with orders"
    SYMBOL = "a clock later, from the symbol table"
    CHECKSUM = "last; no part of any sum"


class Form(enum.IntEnum):
    """What a frame carries."""

    PAIR = 0
    """Both orders of a pair."""
    SINGLE = 1
    """One order."""
    BARE = 2
    """An acknowledgment alone."""
    CANCEL = 3
    """One cancel. Bit 1 of a form says that there is no order in it."""


_HALVES = ((Form.CANCEL, Form.BARE), (Form.SINGLE, Form.PAIR))


@dataclass(frozen=True)
class Octet:
    """One byte of the template.

    Parameters
    ----------
    source : Source
        When it is known.
    forms : tuple of Value or int
        The byte in a frame of each `Form`.
    """

    source: Source
    forms: tuple[Value | int, ...]

    @classmethod
    def same(cls, source: Source, value: Value | int) -> Octet:
        """One that is the same in every form."""
        return cls(source, (value,) * len(Form))

    @property
    def is_fixed(self) -> bool:
        """Whether it is known while the gateware is built."""
        return self.source is Source.FIXED

    @property
    def value(self) -> Value:
        """The byte of one not known while the gateware is built: the same in every form."""
        return Value.cast(self.forms[Form.PAIR])

    def select(self, form: Value) -> Value:
        """The byte as it leaves, of one known while the gateware is built."""
        if len(set(self.forms)) == 1:
            return Const(self.forms[Form.PAIR], 8)
        return choose(form, [Const(value, 8) for value in self.forms])


def choose(form: Value, forms: Sequence[Value | int]) -> Value:
    """What belongs to the form that leaves."""
    bare, orders = (Mux(form[0], forms[odd], forms[even]) for odd, even in _HALVES)
    return Mux(form[1], bare, orders)


def split(value: Value, size: int) -> list[Value | int]:
    """Bytes of a value, the most significant first; those beyond its width are 0."""
    whole = Cat(value, Const(0, -len(value) % 8))
    return [whole[8 * place : 8 * place + 8] if 8 * place < len(whole) else 0 for place in reversed(range(size))]


class Template:
    """A frame as a run of octets.

    Parameters
    ----------
    size : int
        Bytes of the frame.
    """

    def __init__(self, size: int):
        self._octets: list[Octet | None] = [None] * size

    def put(
        self,
        at: int,
        layout: Layout,
        known: Source = Source.FIXED,
        /,
        **values: Value | int | str | bytes | tuple[int | str, ...],
    ) -> None:
        """Place fields of the layout that begins at byte `at`.

        A number or text is the same in every frame, a tuple has one a `Form`.
        """
        for name, value in values.items():
            field = layout.by_name[name]
            if isinstance(value, Value):
                octets = [(byte,) * len(Form) for byte in split(value, field.size)]
            else:
                forms = value if isinstance(value, tuple) else (value,) * len(Form)
                octets = list(zip(*(field.pack(each) for each in forms), strict=True))
            for index, octet in enumerate(octets):
                kind = Source.FIXED if isinstance(octet[0], int) else known
                self._octets[at + layout.offset(name) + index] = Octet(kind, octet)

    def octet(self, at: int) -> Octet:
        """One byte that was placed."""
        octet = self._octets[at]
        assert octet is not None, at
        return octet

    def put_octet(self, at: int, source: Source, value: Value) -> None:
        """Place one byte, over what stood there."""
        self._octets[at] = Octet.same(source, value)

    @property
    def octets(self) -> list[Octet]:
        """All bytes; `ValueError` while one is not placed."""
        missing = [place for place, octet in enumerate(self._octets) if octet is None]
        if missing:
            raise ValueError(f"template: no value for bytes {missing}")
        return list(self._octets)


def words(octets: Sequence[Octet], source: Source) -> list[Value]:
    """16-bit terms those octets of one source add to the one's complement sum over all of them."""

    def byte(place: int) -> Value:
        chosen = place < len(octets) and octets[place].source is source
        return octets[place].value if chosen else Const(0, 8)

    return [
        Cat(byte(place + 1), byte(place))
        for place in range(0, len(octets), 2)
        if any(octet.source is source for octet in octets[place : place + 2])
    ]


def fixed_sum(octets: Sequence[Octet], form: Form) -> int:
    """One's complement sum over the octets known at build time, in a frame of that form, folded to 16 bits."""
    total = 0
    for place, octet in enumerate(octets):
        if octet.source is Source.FIXED:
            total += octet.forms[form] << (0 if place % 2 else 8)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def total(terms: Sequence[Value]) -> Value:
    """Sum as a balanced tree of adders."""
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return total(terms[:middle]) + total(terms[middle:])


def fold(value: Value) -> Value:
    """Add what is above 16 bits to the low 16: one step of the end-around carry."""
    return value[:16] + value[16:]
