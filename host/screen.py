"""The demo on the terminal while it runs: tables that follow the run on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from host.config import PRICE_UNITS, Configuration, Pair
from host.mirror import Mirror, Outcome, PairView, time_of_day
from host.replay import Progress

_REFRESH = 0.125
"""Seconds between two pictures."""
_LINES = 10
"""Lines in place of pictures, over the whole run."""
_GAUGE = 25
_WIDE = 124
"""Columns from which feed and pairs stand side by side."""
TITLE = "t2t demo: SIMULATED card and venue, GENERATED market"


class Screen:
    """Shows a mirror.

    Parameters
    ----------
    mirror : Mirror
        What is shown.
    configuration : Configuration
        Names and thresholds of the pairs.
    progress : Progress
        How far the run is.
    total : int
        Messages to come, about.
    console : Console
        Where to.
    """

    def __init__(self, mirror: Mirror, configuration: Configuration, progress: Progress, *, total: int, console: Console) -> None:
        self._mirror = mirror
        self._pairs = configuration.pairs
        self._progress = progress
        self._total = total
        self._console = console
        self._begin = time.monotonic()
        self._next = 0.0
        self._lines = 0

    @contextmanager
    def shown(self, *, live: bool) -> Iterator[None]:
        """Follow the run until the block ends."""
        if not live:
            with self._following(self._line):
                yield
            return
        with Live(console=self._console, auto_refresh=False, vertical_overflow="crop") as display:

            def show() -> None:
                now = time.monotonic()
                if now >= self._next:
                    self._next = now + _REFRESH
                    display.update(self.picture(), refresh=True)

            with self._following(show):
                yield
            display.update(self.picture(), refresh=True)

    @contextmanager
    def _following(self, show: Callable[[], None]) -> Iterator[None]:
        before, self._progress.show = self._progress.show, show
        try:
            yield
        finally:
            self._progress.show = before

    def _line(self) -> None:
        mirror = self._mirror
        if mirror.messages * _LINES < (self._lines + 1) * self._total:
            return
        self._lines = mirror.messages * _LINES // self._total
        print(
            f"{time_of_day(mirror.time)}  {mirror.messages:,} of about {self._total:,} messages, {mirror.passed} orders passed, "
            f"{mirror.refused} refused, {mirror.fills} fills, P&L ${mirror.pnl / PRICE_UNITS:,.2f}",
            file=self._console.file,
            flush=True,
        )

    # The picture.

    def picture(self) -> RenderableType:
        """Everything, as it stands."""
        right = Group(self._pair_table(), self._verdicts())
        if self._console.width < _WIDE:
            return Group(self._head(), right)
        grid = Table.grid(padding=(0, 2))
        grid.add_row(Group(self._feed(), self._news()), right)
        return Group(self._head(), grid)

    def _head(self) -> Panel:
        mirror, progress = self._mirror, self._progress
        seconds = max(1e-3, time.monotonic() - self._begin)
        text = Text.assemble(
            (time_of_day(mirror.time), "bold cyan"),
            f"   {mirror.messages:,} of about {self._total:,} messages   {mirror.bbo_changes:,} BBO changes   ",
            f"{progress.cycles:,} clocks, {progress.cycles / seconds:,.0f}/s   P&L ",
            _money(mirror.pnl),
        )
        return Panel(text, title=TITLE, title_align="left", box=box.ROUNDED)

    def _feed(self) -> Table:
        table = _table(
            "Feed and positions", ("symbol", "left"), *((name, "right") for name in ("bid", "shs", "ask", "shs", "pos", "P&L"))
        )
        for slot, symbol in self._mirror.symbols.items():
            touch, holding = self._mirror.touches[slot], self._mirror.holdings[slot]
            halts = self._mirror.halts.get(symbol, [])
            stopped = bool(halts) and halts[-1][1] is None
            table.add_row(
                Text(symbol, style="bold red" if stopped else ""),
                _price(touch.bid),
                f"{touch.bid_shares:,}",
                _price(touch.ask),
                f"{touch.ask_shares:,}",
                f"{holding.shares:,}" if holding.shares else "",
                _money(holding.value),
            )
        return table

    def _news(self) -> Panel:
        return Panel("\n".join(self._mirror.news) or " ", title="market", title_align="left", box=box.ROUNDED, height=8)

    def _pair_table(self) -> Table:
        table = _table(
            "Pairs: lower | spread | upper",
            ("pair", "left"),
            ("", "left"),
            *((name, "right") for name in ("units", "trades", "P&L")),
        )
        for pair, view in zip(self._pairs, self._mirror.pairs, strict=True):
            a, b = self._mirror.units(view)
            level = Text(f"{a:+g}" if a else "0") if a == b else Text(f"{a:+g}/{b:+g}", style="bold red")
            trades = sum(mark.outcome is Outcome.FILLED for mark in view.marks)
            table.add_row(pair.title, gauge(pair, view), level, str(trades), _money(self._mirror.pair_value(view)))
        return table

    def _verdicts(self) -> Panel:
        mirror = self._mirror
        lines = [
            f"orders passed {mirror.passed:,}, refused {mirror.refused:,}, fills {mirror.fills:,}",
            "ended: " + (_counted(mirror.ended) or "none"),
            "refused for: " + (_counted(mirror.reasons) or "none"),
        ]
        clocks = sum(mirror.eot_to_sof.values(), Counter[int]())
        if clocks:
            lines.append(f"EOT->SOF {min(clocks)} to {max(clocks)} clocks over {clocks.total():,} order frames")
        if mirror.alarms:
            lines.append(f"[bold red]{mirror.alarms} alarms[/]")
        return Panel("\n".join(lines), title="verdicts", title_align="left", box=box.ROUNDED)


def gauge(pair: Pair, view: PairView) -> Text:
    """Where the middle of the spread stands between lower and upper, drawn with half as much room beyond each."""
    if pair.lower_usd is None or pair.upper_usd is None:
        # The card keeps them; they are read when the run is over.
        return Text(f"{(view.sell + view.buy) / 2:.4f} adaptive" if view.times else "adaptive", style="dim")
    low, high = float(pair.lower_usd), float(pair.upper_usd)
    room = (high - low) / 2

    def place(value: float) -> int:
        return min(_GAUGE - 1, max(0, round((value - low + room) / (high - low + 2 * room) * (_GAUGE - 1))))

    cells = ["·"] * _GAUGE
    cells[place(low)] = cells[place(high)] = "|"
    text = Text("".join(cells), style="dim")
    if view.times:
        here = place((view.sell + view.buy) / 2)
        outside = not place(low) < here < place(high)
        text = Text("".join([*cells[:here], "●", *cells[here + 1 :]]), style="dim")
        text.stylize("bold yellow" if outside else "bold cyan", here, here + 1)
    return text


def _table(title: str, *columns: tuple[str, str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, side in columns:
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=True)
    return table


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def _price(units: int) -> str:
    return f"{units / PRICE_UNITS:.2f}" if units else ""


def _money(units: int) -> Text:
    amount = units / PRICE_UNITS
    return Text(f"{amount:,.2f}" if units else "", style="green" if units > 0 else "red")
