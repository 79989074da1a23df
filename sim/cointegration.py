"""Prices of a market whose stocks move in cointegrated pairs.

For a pair with legs a and b and weights wa, wb the spread ``wa*a - wb*b`` is an Ornstein-Uhlenbeck process: it wanders from its
mean with a known stationary deviation and comes back. Leg b follows a random walk that all stocks share in part, so single prices
have no such anchor. Thresholds can therefore be given as a known multiple of the deviation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TICK = 100
"""A cent in 1/10000 dollar. Every generated stock trades above one dollar."""

_RATIOS = (0.5, 0.625, 0.75, 0.875, 1.0, 1.25, 1.5, 2.0)
"""Weights of leg b; all are exact in Q6.12 and give whole shares for 80 of leg a."""


@dataclass(frozen=True)
class PairPlan:
    """A pair, its law, and thresholds that follow from it.

    Parameters
    ----------
    symbol_a, symbol_b : str
        Legs.
    weight_a, weight_b : float
        The spread is ``weight_a * a - weight_b * b``; both are exact in Q6.12.
    mean, deviation : float
        Dollars; of the stationary distribution of the spread of the fair prices.
    upper, lower : float
        Dollars; sell the spread at or above, buy it at or below.
    exit_short, exit_long : float
        Dollars; buy back at or below, sell out at or above.
    size_a, size_b : int
        Shares a unit, in the ratio of the weights.
    """

    symbol_a: str
    symbol_b: str
    weight_a: float
    weight_b: float
    mean: float
    deviation: float
    upper: float
    lower: float
    exit_short: float
    exit_long: float
    size_a: int
    size_b: int

    @property
    def name(self) -> str:
        """Name made of both symbols."""
        return f"{self.symbol_a}-{self.symbol_b}"


@dataclass(frozen=True)
class Prices:
    """Fair prices on an even grid over the day.

    Parameters
    ----------
    fair : array of float, (steps, stocks)
        Ticks.
    pairs : tuple of PairPlan
        Stock 2*p and 2*p+1 are the legs of pair p; later stocks stand alone.
    """

    fair: NDArray[np.float64]
    pairs: tuple[PairPlan, ...]


def reverting(rng: np.random.Generator, *, steps: int, count: int, half_life: float) -> NDArray[np.float64]:
    """Independent Ornstein-Uhlenbeck paths of deviation 1, started from the stationary distribution; `half_life` in steps."""
    keep = 0.5 ** (1.0 / half_life)
    paths = rng.standard_normal((steps, count))
    paths[1:] *= np.sqrt(1.0 - keep * keep)
    for step in range(1, steps):
        paths[step] += keep * paths[step - 1]
    return paths


def walk(rng: np.random.Generator, *, steps: int, count: int, deviation: float) -> NDArray[np.float64]:
    """Random walks from 0 whose value at the end of the day has this deviation."""
    return np.cumsum(rng.standard_normal((steps, count)) * (deviation / np.sqrt(steps)), axis=0)


def prices(
    rng: np.random.Generator,
    symbols: list[str],
    *,
    pairs: int,
    steps: int,
    half_lives: float,
    drift: float = 50.0,
    entry: float = 1.3,
    leave: float = 0.25,
) -> Prices:
    """Draw the day.

    Parameters
    ----------
    symbols : list of str
        All stocks; the first ``2 * pairs`` are the legs.
    steps : int
        Points of the grid.
    half_lives : float
        How many half-lives of the spread the day has: more give more trades.
    drift : float
        Ticks; deviation over the day of the walk each pair shares.
    entry, leave : float
        Thresholds, in multiples of the spread's deviation from its mean.
    """
    base = np.round(rng.uniform(30.0, 220.0, len(symbols)), 2) / 0.01
    market = walk(rng, steps=steps, count=1, deviation=0.7 * drift)
    fair = base + market + walk(rng, steps=steps, count=len(symbols), deviation=0.7 * drift)
    spreads = reverting(rng, steps=steps, count=pairs, half_life=steps / half_lives)
    plans = []
    for pair in range(pairs):
        a, b = 2 * pair, 2 * pair + 1
        ratio = _RATIOS[pair % len(_RATIOS)]
        deviation = float(rng.uniform(10.0, 14.0))
        mean = float(base[a] - ratio * base[b])
        # Both legs carry half of the spread, so that neither has to make all of its way.
        half = spreads[:, pair] * deviation / 2
        common = fair[:, b] - base[b]
        fair[:, a] = base[a] + ratio * common + half
        fair[:, b] = base[b] + common - half / ratio
        dollars = {
            name: round((mean + sign * multiple * deviation) * 0.01, 4)
            for name, sign, multiple in (
                ("upper", 1, entry),
                ("lower", -1, entry),
                ("exit_short", 1, leave),
                ("exit_long", -1, leave),
            )
        }
        plans.append(
            PairPlan(
                symbols[a],
                symbols[b],
                weight_a=1.0,
                weight_b=ratio,
                mean=mean * 0.01,
                deviation=deviation * 0.01,
                size_a=80,
                size_b=int(80 * ratio),
                **dollars,
            )
        )
    return Prices(fair, tuple(plans))
