"""How the keys of a slot's and side's window part into words and bits."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Value

from hdl.book.ticks import TICK_BITS
from hdl.spec.geometry import Geometry


@dataclass(frozen=True)
class Window:
    """A window of `ladder_ticks` keys, in words of bits that say which levels hold shares.

    Parameters
    ----------
    ticks_bits : int
        Keys of a window are `1 << ticks_bits`.
    """

    ticks_bits: int

    @classmethod
    def of(cls, geometry: Geometry) -> Window:
        """Window of a geometry."""
        return cls((geometry.ladder_ticks - 1).bit_length())

    @property
    def bit_bits(self) -> int:
        """Keys of a word are `1 << bit_bits`."""
        return max(4, -(-self.ticks_bits // 2))

    @property
    def word_bits(self) -> int:
        """Words of a window are `1 << word_bits`."""
        return self.ticks_bits - self.bit_bits

    @property
    def words(self) -> int:
        """Words of a window."""
        return 1 << self.word_bits

    @property
    def word_size(self) -> int:
        """Keys of a word."""
        return 1 << self.bit_bits

    @property
    def number_bits(self) -> int:
        """Bits of the number of a word."""
        return TICK_BITS - self.bit_bits

    @property
    def high(self) -> int:
        """Place of the word of a key that moved the window."""
        return 3 * self.words // 4

    @staticmethod
    def key(tick: Value, side: Value) -> Value:
        """Key of a tick, and tick of a key."""
        return tick ^ Value.cast(side).replicate(TICK_BITS)

    def number(self, key: Value) -> Value:
        """Number of the word a key lies in."""
        return key[self.bit_bits :]

    def bit(self, key: Value) -> Value:
        """Bit of a key in its word."""
        return key[: self.bit_bits]
