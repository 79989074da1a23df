"""Mean and spread of a pair's middle, in integers: the definition that gateware, host and reference share.

A sample is ``x = S_sell + S_buy``, twice the middle of the spread, in `STEPS` a unit of price (1/10000 dollar). With the weight
``2**-k`` of a new sample, "floor" meaning an arithmetic shift to the right:

======================================  =============================================================================
first sample                            mean = x, variance = 0
deviation, cut at `FURTHEST`            e = x - mean, with `FRACTION` bits behind the point
mean                                    mean + floor(e * 2**-k)
variance                                u - floor(u * 2**-k), where u = variance + floor(d**2 * 2**-k), d = floor(|e|)
samples                                 one more, at most `MOST_SAMPLES`
======================================  =============================================================================

This is ``(1 - a) * (variance + a * d**2)`` for a = 2**-k. The thresholds, each rounded so that the comparison of whole numbers
is the comparison with the exact value, come from ``sigma = ceil(sqrt(variance))`` and the factors, which have `K_FRACTION` bits
behind the point:

==============  ===========================
upper           ceil((mean + k_entry * sigma) / 2)
lower           floor((mean - k_entry * sigma) / 2)
exit_short      floor((mean + k_exit * sigma) / 2)
exit_long       ceil((mean - k_exit * sigma) / 2)
==============  ===========================

Nothing overflows: a sample takes 52 bits (|S| < 2**50), the mean lies between samples, d is below 2**36, and no variance is above
the greatest d**2.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

SPREAD_FRACTION = 12
"""Bits behind the point of a spread, from the weights."""
STEPS = 1 << SPREAD_FRACTION + 1
"""Steps of a sample in 1/10000 dollar: half a step of the spread each."""
FRACTION = 16
"""Bits of the mean behind a sample's step; no weight of a new sample is so small that the mean would stand still."""
DEVIATION_BITS = 36
FURTHEST = (1 << DEVIATION_BITS + FRACTION) - 1
"""Largest deviation taken over, with `FRACTION` bits: 838.86 dollars. One further off is cut to it and counted."""
K_FRACTION = 4
"""Bits behind the point of k_entry and k_exit."""
SAMPLE_BITS = 52
MEAN_BITS = SAMPLE_BITS + FRACTION
VARIANCE_BITS = 2 * DEVIATION_BITS
COUNT_BITS = 16
MOST_SAMPLES = (1 << COUNT_BITS) - 1
"""Samples are counted so far; a warm-up can ask for no more."""
HIGHEST_SPREAD = (1 << SAMPLE_BITS - 1) - 1
"""No spread reaches it: an upper threshold that never fires. Its complement is a lower one."""


@dataclass(frozen=True)
class Thresholds:
    """What a pair's spread is held against, in steps of the spread."""

    upper: int
    lower: int
    exit_short: int
    exit_long: int


@dataclass(frozen=True)
class Statistics:
    """What is known of a pair.

    Parameters
    ----------
    mean : int
        With `FRACTION` bits behind a sample's step.
    variance : int
        In sample steps, squared.
    samples : int
        Taken over so far, at most `MOST_SAMPLES`.
    """

    mean: int = 0
    variance: int = 0
    samples: int = 0

    def after(self, sample: int, *, alpha_shift: int) -> Statistics:
        """With one sample more."""
        if not self.samples:
            return Statistics(sample << FRACTION, 0, 1)
        deviation = min(max((sample << FRACTION) - self.mean, -FURTHEST), FURTHEST)
        square = (abs(deviation) >> FRACTION) ** 2
        grown = self.variance + (square >> alpha_shift)
        return Statistics(
            self.mean + (deviation >> alpha_shift), grown - (grown >> alpha_shift), min(self.samples + 1, MOST_SAMPLES)
        )

    @property
    def sigma(self) -> int:
        """Root of the variance, rounded up: a threshold lies no nearer than the exact one."""
        root = isqrt(self.variance)
        return root + (root * root < self.variance)

    def thresholds(self, *, k_entry: int, k_exit: int) -> Thresholds:
        """Where entries and exits lie; both factors in units of ``2**-K_FRACTION``."""
        below = 1 << FRACTION + 1
        entry, leave = (k * self.sigma << FRACTION - K_FRACTION for k in (k_entry, k_exit))
        return Thresholds(
            upper=-(-(self.mean + entry) // below),
            lower=(self.mean - entry) // below,
            exit_short=(self.mean + leave) // below,
            exit_long=-(-(self.mean - leave) // below),
        )
