"""Pictures of a run, as PNG files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from operator import mul
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib.figure import Figure

from hdl.spec import itch
from hdl.spec.reasons import PairAction
from host.config import Pair
from host.mirror import Mark, Outcome, PairView

_HOUR = 3600 * 1e9
_SMALLEST_STEP = 2_000
"""Points a line is thinned to at most, by keeping the extremes of each run."""
_LOOK: Mapping[PairAction, tuple[str, str, str]] = {
    PairAction.SELL_SPREAD: ("sell spread", "v", "#c0392b"),
    PairAction.BUY_BACK: ("buy back", "^", "#d4813f"),
    PairAction.BUY_SPREAD: ("buy spread", "^", "#1e8449"),
    PairAction.SELL_OUT: ("sell out", "v", "#45a870"),
}
_COLOURS = ("#2e6da4", "#e08e45", "#4b9a6a", "#a05195", "#c0504d", "#7f7f7f", "#b8a13a")


def spread(
    path: Path,
    pair: Pair,
    view: PairView,
    *,
    begin: int,
    end: int,
    halts: Sequence[tuple[str, int, int]] = (),
    note: str = "",
) -> Path:
    """Draw a pair's spread over the market hours with its thresholds and trades, and its profit below.

    Parameters
    ----------
    path : Path
        PNG file to write.
    pair : Pair
        Thresholds.
    view : PairView
        History.
    begin, end : int
        Feed times to draw, ns since midnight.
    halts : sequence of (str, int, int)
        Symbols and times between which they did not trade.
    note : str
        Where the numbers come from.

    Returns
    -------
    Path
        `path`.
    """
    figure, (axes, profit) = _figure(note, height=7.2, rows=2, ratios=(3, 1))
    times = np.asarray(view.times, dtype=np.int64)
    inside = (times >= begin) & (times <= end)
    hours = times[inside] / _HOUR
    sells, buys, values = (np.asarray(each)[inside] for each in (view.sells, view.buys, view.values))
    if len(hours):
        kept = _thinned(sells + buys)
        axes.fill_between(hours[kept], sells[kept], buys[kept], step="post", color="#2e6da4", alpha=0.25, linewidth=0)
        axes.plot(
            hours[kept],
            (sells + buys)[kept] / 2,
            drawstyle="steps-post",
            color="#2e6da4",
            linewidth=0.8,
            label="spread, mid (band: bid to offer)",
        )
        profit.plot(hours, values, drawstyle="steps-post", color="#34495e", linewidth=1.0)
        profit.fill_between(hours, 0, values, step="post", color="#34495e", alpha=0.15, linewidth=0)
    for value, style, colour, text, side in (
        (pair.upper_usd, "-", "#c0392b", "upper: sell at or above", "bottom"),
        (pair.exit_short_usd, "--", "#d4813f", "exit short: buy back at or below", "bottom"),
        (pair.exit_long_usd, "--", "#45a870", "exit long: sell out at or above", "top"),
        (pair.lower_usd, "-", "#1e8449", "lower: buy at or below", "top"),
    ):
        if value is None:  # An adaptive pair's change all day.
            continue
        axes.axhline(float(value), color=colour, linestyle=style, linewidth=1.2)
        axes.annotate(
            f" {float(value):.2f}\n {text}",
            (1.0, float(value)),
            xycoords=("axes fraction", "data"),
            color=colour,
            fontsize=8,
            va=side,
        )
    shown = [mark for mark in view.marks if begin <= mark.time <= end]
    for action, (text, marker, colour) in _LOOK.items():
        filled = [mark for mark in shown if mark.action is action and mark.outcome is Outcome.FILLED]
        _scatter(
            axes, filled, f"{text} ({len(filled)})", marker=marker, color=colour, edgecolor="black", linewidth=0.6, s=52, zorder=4
        )
    missed = [mark for mark in shown if mark.outcome is Outcome.SENT]
    _scatter(
        axes, missed, f"sent, nothing filled ({len(missed)})", marker="o", facecolor="none", edgecolor="black", s=40, zorder=4
    )
    refused = [mark for mark in shown if mark.outcome is Outcome.REFUSED]
    _scatter(axes, refused, f"refused by the gate ({len(refused)})", marker="x", color="#555555", s=28, zorder=3)
    for number, (symbol, start, stop) in enumerate(halts):
        for each in (axes, profit):
            each.axvspan(
                start / _HOUR,
                stop / _HOUR,
                color="#999999",
                alpha=0.25,
                linewidth=0,
                label="leg not trading" if not number else None,
            )
        axes.annotate(
            symbol, (start / _HOUR, 0.98), xycoords=("data", "axes fraction"), fontsize=8, rotation=90, va="top", ha="right"
        )
    axes.set_title(
        f"{pair.leg_a} against {pair.leg_b}: spread, thresholds and trades", loc="left", fontsize=13, fontweight="bold"
    )
    axes.set_ylabel(f"{_weight(view.weight_a)}{pair.leg_a} - {_weight(view.weight_b)}{pair.leg_b}, $")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=5, fontsize=8, frameon=False)
    profit.set_ylabel("profit or loss, $")
    profit.axhline(0, color="#888888", linewidth=0.8)
    profit.set_xlabel("time on the feed, h")
    profit.set_xlim(begin / _HOUR, end / _HOUR)
    axes.set_xlim(begin / _HOUR, end / _HOUR)
    profit.xaxis.set_major_formatter(lambda hour, _: f"{int(hour):02}:{round(hour % 1 * 60):02}")
    axes.set_xticklabels([])
    return _save(figure, path)


def latency(
    path: Path,
    *,
    eot_to_sof: Mapping[str, Counter[int]],
    som_to_sof: Mapping[str, Counter[int]],
    clock_hz: int,
    note: str = "",
) -> Path:
    """Draw both latencies as histograms, split by the type of the message that caused the order.

    Parameters
    ----------
    path : Path
        PNG file to write.
    eot_to_sof, som_to_sof : mapping of str to Counter
        Order frames by clocks, by ITCH type.
    clock_hz : int
        Clock of the card.
    note : str
        Where the numbers come from.

    Returns
    -------
    Path
        `path`.
    """
    figure, all_axes = _figure(note, height=7.2, rows=2, ratios=(1, 1))
    nanoseconds = 1e9 / clock_hz
    kinds = sorted(eot_to_sof, key=lambda kind: -eot_to_sof[kind].total())
    for axes, title, counts in (
        (all_axes[0], "EOT→SOF: last byte of the trigger message to first byte of the order frame", eot_to_sof),
        (all_axes[1], "SOM→SOF: first byte of the trigger message to first byte of the order frame", som_to_sof),
    ):
        together = sum(counts.values(), Counter[int]())
        axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
        axes.set_ylabel("order frames")
        if not together:
            axes.annotate("no order frame left", (0.5, 0.5), xycoords="axes fraction", ha="center")
            continue
        low, high = min(together), max(together)
        width = max(1, -(-(high - low + 1) // 80))
        bins = np.arange(low, high + width + 1, width) - 0.5
        axes.hist(
            [np.repeat(list(counts[kind]), list(counts[kind].values())) for kind in kinds],
            bins=bins,
            stacked=True,
            rwidth=0.85,
            color=[_COLOURS[number % len(_COLOURS)] for number in range(len(kinds))],
            label=[f"{kind} {itch.MESSAGES[kind].name.replace('_', ' ')} ({counts[kind].total():,})" for kind in kinds],
        )
        median = int(np.median(np.repeat(list(together), list(together.values()))))
        axes.axvline(median, color="black", linestyle="--", linewidth=1)
        axes.annotate(
            f"  median {median} clocks, {median * nanoseconds:.0f} ns; {low} to {high} clocks, {together.total():,} frames  ",
            (median, 0.97),
            xycoords=("data", "axes fraction"),
            fontsize=9,
            va="top",
            ha="left" if median - low <= (high - low) / 2 else "right",
        )
        axes.set_xlim(min(low - 2, median - 6), max(high + 2, median + 6))
        axes.set_ylim(top=axes.get_ylim()[1] * 1.15)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("clocks")
        upper = axes.secondary_xaxis("top", functions=(partial(mul, nanoseconds), partial(mul, 1 / nanoseconds)))
        upper.set_xlabel("ns", fontsize=8)
        upper.tick_params(labelsize=8)
        axes.legend(title="caused by", loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, title_fontsize=8, frameon=False)
    return _save(figure, path)


def _figure(note: str, *, height: float, rows: int, ratios: tuple[int, ...]) -> tuple[Figure, Any]:
    figure = Figure(figsize=(12, height), dpi=110, layout="constrained")
    axes = figure.subplots(rows, 1, height_ratios=ratios)
    for each in axes:
        each.grid(visible=True, color="#dddddd", linewidth=0.6)
        each.set_axisbelow(True)
        each.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(note, fontsize=8, color="#666666", x=0.01, ha="left")
    return figure, axes


def _save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the program's version a picture depends on nothing but its data.
    figure.savefig(path, metadata={"Software": None})
    return path


def _thinned(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Indices of at most some thousand points that keep a line's shape: first, lowest and highest of each run."""
    run = max(1, len(values) // _SMALLEST_STEP)
    if run == 1:
        return np.arange(len(values))
    starts = np.arange(0, len(values), run)
    chosen = [
        (start, start + values[start : start + run].argmin(), start + values[start : start + run].argmax()) for start in starts
    ]
    return np.unique(np.array(chosen))


def _scatter(axes: Any, marks: list[Mark], label: str, **look: Any) -> None:
    if marks:
        axes.scatter([mark.time / _HOUR for mark in marks], [mark.spread for mark in marks], label=label, **look)


def _weight(weight: float) -> str:
    return "" if weight == 1 else f"{weight:g} · "
