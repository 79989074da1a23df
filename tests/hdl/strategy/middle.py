"""Adaptive thresholds in exact fractions, from DESIGN section 6; nothing here follows the gateware or `hdl.spec.statistics`.

A spread is a whole number of steps (1/10000 dollar, 12 bits behind the point). The middle M of the spread, its mean and its
deviation are fractions of a step. What is rounded, and how far, is said once, by `down`, `FURTHEST` and `Middle.sigma`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import floor

MEAN_GRID = Fraction(1, 1 << 17)
"""The mean is kept in parts of a step."""
DEVIATION_GRID = Fraction(1, 2)
"""The middle of two spreads lies on halves of a step."""
VARIANCE_GRID = DEVIATION_GRID**2
FURTHEST = (1 << 35) - MEAN_GRID
"""Deviations are cut to it."""
MOST_SAMPLES = 65_535


def down(value: Fraction, grid: Fraction) -> Fraction:
    """The next multiple of the grid at or below a value."""
    return floor(value / grid) * grid


@cache
def _sigma(variance: Fraction) -> Fraction:
    low, high = 0, 1 << 40
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if (middle * DEVIATION_GRID) ** 2 >= variance else (middle + 1, high)
    return low * DEVIATION_GRID


@dataclass
class Middle:
    """A pair's statistics and what they make of a spread."""

    alpha_shift: int
    k_entry: int
    k_exit: int
    warmup: int
    mean: Fraction = Fraction(0)
    variance: Fraction = Fraction(0)
    samples: int = 0
    cuts: int = 0

    def sample(self, sell: int, buy: int) -> None:
        """Exponentially weighted mean and variance, one sample on."""
        middle = Fraction(sell + buy, 2)
        alpha = Fraction(1, 1 << self.alpha_shift)
        if self.samples == 0:
            self.mean, self.variance = middle, Fraction(0)
        else:
            deviation = middle - self.mean
            self.cuts += abs(deviation) > FURTHEST
            deviation = max(-FURTHEST, min(FURTHEST, deviation))
            square = down(abs(deviation), DEVIATION_GRID) ** 2
            grown = self.variance + down(alpha * square, VARIANCE_GRID)
            self.mean += down(alpha * deviation, MEAN_GRID)
            self.variance = grown - down(alpha * grown, VARIANCE_GRID)
        self.samples = min(self.samples + 1, MOST_SAMPLES)

    @property
    def warm(self) -> bool:
        return self.samples >= self.warmup

    @property
    def sigma(self) -> Fraction:
        """The least multiple of half a step whose square is not below the variance."""
        return _sigma(self.variance)

    def reached(self, spread: int) -> dict[str, bool]:
        """Which comparisons a spread passes."""
        away = spread - self.mean
        entry, leave = Fraction(self.k_entry, 16) * self.sigma, Fraction(self.k_exit, 16) * self.sigma
        return {"upper": away >= entry, "lower": away <= -entry, "exit_short": away <= leave, "exit_long": away >= -leave}

    def outside(self, spread: int) -> dict[str, bool]:
        """The entries as DESIGN has them, without a root: (S - mean)**2 against k**2 * variance, on the mean's right side."""
        away = spread - self.mean
        far = away**2 >= Fraction(self.k_entry, 16) ** 2 * self.variance
        return {"upper": away >= 0 and far, "lower": away <= 0 and far}

    def thresholds(self) -> dict[str, int]:
        """The nearest spread that passes each comparison, by bisection over all spreads."""
        return {name: self._nearest(name, rising=name in ("upper", "exit_long")) for name in self.reached(0)}

    def _nearest(self, name: str, *, rising: bool) -> int:
        low, high = -(1 << 52), 1 << 52
        while high - low > 1:
            middle = (low + high) // 2
            if self.reached(middle)[name] == rising:
                high = middle
            else:
                low = middle
        return high if rising else low
