"""What a run did, as one model with a stable JSON form and a rendering for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import ceil
from typing import Self

from pydantic import BaseModel, ConfigDict
from rich import box
from rich.console import Console
from rich.table import Table

from hdl.spec import itch
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Integrity

_BARS = 40
_ROWS = 12


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Latency(_Model):
    """Distribution of one latency. Values are 0 where `count` is.

    Parameters
    ----------
    count : int
        Orders frames measured.
    min_cycles, median_cycles, p99_cycles, max_cycles : int
        In clocks; nearest-rank percentiles.
    min_ns, median_ns, p99_ns, max_ns : float
        The same in nanoseconds.
    histogram : dict of int to int
        Frames by clocks.
    """

    count: int = 0
    min_cycles: int = 0
    median_cycles: int = 0
    p99_cycles: int = 0
    max_cycles: int = 0
    min_ns: float = 0
    median_ns: float = 0
    p99_ns: float = 0
    max_ns: float = 0
    histogram: dict[int, int] = {}

    @classmethod
    def of(cls, cycles: Counter[int], clock_hz: int) -> Self:
        """Distribution of counted clock numbers."""
        count = cycles.total()
        if not count:
            return cls()
        ordered = sorted(cycles.items())
        ranks = {"min": 0, "median": 50, "p99": 99, "max": 100}
        values = {name: _rank(ordered, percent, count) for name, percent in ranks.items()}
        in_cycles = {f"{name}_cycles": value for name, value in values.items()}
        in_ns = {f"{name}_ns": round(value * 1e9 / clock_hz, 1) for name, value in values.items()}
        return cls.model_validate({"count": count, "histogram": dict(ordered)} | in_cycles | in_ns)


def _rank(ordered: list[tuple[int, int]], percent: int, count: int) -> int:
    left = max(1, ceil(count * percent / 100))
    for value, times in ordered:
        left -= times
        if left <= 0:
            return value
    raise AssertionError("a rank lies within the count")


class Verdicts(_Model):
    """Decisions of the gate, one an order."""

    passed: int = 0
    refused: int = 0
    by_reason: dict[str, int] = {}
    """Refused orders under each reason that applied, so the sum may exceed `refused`."""


class Triggers(_Model):
    """Thresholds reached."""

    requests: int = 0
    """Triggers that became order requests."""
    misses: dict[str, int] = {}
    """Those that did not, by cause."""


class PairSummary(_Model):
    """What one pair's spread was held against at the end, in dollars; empty where nothing could fire.

    Parameters
    ----------
    pair : str
        Name.
    thresholds : str
        ``static`` or ``adaptive``.
    units : int
        Held, less than 0 where the spread is sold; of a pair that is legged, without what is too much or too little.
    samples : int
        Of an adaptive pair, at most 65,535.
    warmup_samples : int
        Samples from which on an adaptive pair may fire.
    mean_usd, sigma_usd : float, optional
        Mean of an adaptive pair's spread, and its standard deviation.
    upper_usd, lower_usd, exit_short_usd, exit_long_usd : float, optional
        Thresholds.
    """

    pair: str
    thresholds: str
    units: int = 0
    samples: int = 0
    warmup_samples: int = 0
    mean_usd: float | None = None
    sigma_usd: float | None = None
    upper_usd: float | None = None
    lower_usd: float | None = None
    exit_short_usd: float | None = None
    exit_long_usd: float | None = None


class LeggedSummary(_Model):
    """A pair whose orders were filled unequally, and what became of it.

    Parameters
    ----------
    pair : str
        Name.
    action : str
        What it had wanted.
    filled_a, filled_b : int
        Shares its orders filled.
    tries : int
        Orders that were asked for to repair it.
    outcome : str
        ``completed``, ``unwound``, ``stopped``, or ``legged`` where it still is.
    held_a, held_b : int
        Shares held of either leg beside the pair's units, negative where short; those of a whole unit where it is completed.
    """

    pair: str
    action: str
    filled_a: int
    filled_b: int
    tries: int
    outcome: str
    held_a: int
    held_b: int


class Samples(_Model):
    """Samples of adaptive pairs."""

    taken: int = 0
    lost: int = 0
    """Due, and without room or overtaken by a new row."""
    cut: int = 0
    """Further from the mean than is taken over."""


class Orders(_Model):
    """Own orders."""

    frames: int = 0
    """Frames with both orders of a pair."""
    sent: int = 0
    """Orders that left in these."""
    ended: dict[str, int] = {}
    """Orders by the state they ended in: filled, canceled, rejected."""
    open: int = 0
    """Orders that had not ended when the run did."""
    cancels: int = 0
    """Cancels that left."""
    noted: dict[str, int] = {}
    """Reports that ended no order and moved none of its open shares, by type."""


class Fills(_Model):
    """Executions of own orders."""

    count: int = 0
    shares: int = 0
    bought_shares: int = 0
    sold_shares: int = 0
    broken: int = 0
    """Fills that were taken back; the counts above still hold them."""
    broken_shares: int = 0


class Portfolio(_Model):
    """Sums over all symbols as the card keeps them, 1/10000 dollar.

    Parameters
    ----------
    pnl : int
        Profit or loss, longs at the bid and shorts at the ask.
    gross : int
        Gross notional, at the worst with open orders.
    net_long, net_short : int
        Net notional if all open buys, or all open sales, are filled and none of the others.
    loss_reached : bool
        The loss limit was passed and not re-armed.
    """

    pnl: int
    gross: int
    net_long: int
    net_short: int
    loss_reached: bool


class ReloadSummary(_Model):
    """DEAD slots that were given their orders anew.

    Parameters
    ----------
    begun, reloaded, given_up : int
        Reloads that were begun, those that ended with the slot attached and in order, slots that were given up.
    snapshots : int
        Snapshots that were asked for.
    orders, messages : int
        Open orders and messages behind them that were given to the card.
    refused : int
        Times the card did not attach a slot yet.
    """

    begun: int
    reloaded: int
    given_up: int
    snapshots: int
    orders: int
    messages: int
    refused: int


class FeedReloadSummary(_Model):
    """The whole feed begun anew from a snapshot.

    Parameters
    ----------
    begun, ended : int
        Times it was begun, and came to where the card was up to the lines again.
    snapshots : int
        Snapshots that were asked for.
    states : int
        Messages of what trades that were given to the card before the snapshot's number.
    let_go : int
        Messages that were given up before it, and are not needed any more.
    """

    begun: int
    ended: int
    snapshots: int
    states: int
    let_go: int


class RecoverySummary(_Model):
    """What was asked for of messages missing on every line.

    Parameters
    ----------
    gaps : int
        Ranges of numbers that were asked for.
    requests, repeats : int
        Requests sent; those of them that followed one without an answer.
    answers, unusable : int
        Packets that brought something that was asked for, and those that did not.
    given : int
        Messages given to the card.
    unrecovered : int
        Messages that were given up.
    """

    gaps: int
    requests: int
    repeats: int
    answers: int
    unusable: int
    given: int
    unrecovered: int


class MarketSlot(_Model):
    """What became of one watched symbol's book.

    Parameters
    ----------
    slot : int
        Slot number.
    symbol : str
        Symbol; ``#`` and the locate where the feed never named it.
    locate : int
        Stock locate, 0 where none was found.
    bbo_changes : int
        Changes of its best bid or offer.
    integrity : str
        How far its book can be trusted at the end.
    lowered_by : dict of str to int
        Records of lost integrity, by cause.
    """

    slot: int
    symbol: str
    locate: int
    bbo_changes: int
    integrity: str
    lowered_by: dict[str, int]


class SlotSummary(MarketSlot):
    """One watched symbol with what is held of it.

    Parameters
    ----------
    position : int
        Shares held.
    cash : int
        1/10000 dollar.
    entry_shares, entry_notional : int
        Shares of the fills that made the position greater since it was 0, and these times their prices, 1/10000 dollar.
    average_usd : float, optional
        Their quotient: the average price at which the position was entered, in dollars.
    """

    position: int
    cash: int
    entry_shares: int = 0
    entry_notional: int = 0
    average_usd: float | None = None


class MarketSummary(_Model):
    """What a run made of its market data, whichever engine ran it."""

    file: str
    format: str
    """``itch`` or ``pcap``; of a capture also ``reframed`` and ``renumbered``, where its frames had to be."""
    engine: str
    geometry: dict[str, int]
    feed: dict[str, str | int]
    other_feeds: tuple[str, ...] = ()
    """MoldUDP64 in the same capture that was not listened to."""
    records: int
    """Messages in the file, as far as it was read."""
    messages: int
    """Messages the card decoded."""
    messages_by_type: dict[str, int]
    bbo_changes: int
    drops: dict[str, int]
    gaps: int
    missing_messages: int
    lost_after_use: int
    heartbeats: int
    unknown_references: int
    """Records of integrity lost by a reference to an order that is not in the table."""
    live_orders: int
    table_peak: int
    slots: tuple[MarketSlot, ...]
    unwatched_symbols: int
    """Symbols seen for which the card had no slot."""
    findings: tuple[str, ...]
    """What is wrong with the input or the run; empty where nothing is."""


class TwinSummary(MarketSummary):
    """A run of the twin."""

    not_modelled: tuple[str, ...]
    """What the card does and the twin does not."""


class Summary(MarketSummary):
    """A whole run of the card."""

    mode: str
    epoch: int = 0
    """Number of the set of parameters and limits in force at the end."""
    trading_state: str
    """At the end."""
    watchdog_expired: int
    """Times the host's heartbeat came too late."""
    limits_refused: int
    """Rows of limits above a ceiling, and of ceilings when locked, that were not taken over."""
    frames_in: int
    frames_out: int
    triggers: Triggers
    pairs: tuple[PairSummary, ...]
    legged: tuple[LeggedSummary, ...] = ()
    samples: Samples
    verdicts: Verdicts
    orders: Orders
    fills: Fills
    portfolio: Portfolio
    alarms: dict[str, int]
    eot_to_sof: Latency
    som_to_sof: Latency
    events_lost: int
    slots: tuple[SlotSummary, ...]
    cycles: int
    recovery: RecoverySummary | None = None
    reload: ReloadSummary | None = None
    feed_reload: FeedReloadSummary | None = None
    """Where messages that are missing are asked for."""


class TradingTwinSummary(Summary):
    """A whole run of the twin in place of the card."""

    not_modelled: tuple[str, ...]
    """What the card does and the twin does not."""


def bad_packets(count: int) -> str:
    """What there is to say of packets of the feed whose end was not what their begin promised."""
    return (
        f"bad packets of the feed (UDP checksum, cut short, or too long for the card): {count:,}; with the first that was used "
        "every book is SUSPECT"
    )


def geometry_of(geometry: Geometry) -> dict[str, int]:
    """Sizes of a card, by name."""
    return {
        "width": geometry.width,
        "clock_hz": geometry.clock_hz,
        "slots": geometry.slots,
        "pairs": geometry.pairs,
        "order_capacity": geometry.order_capacity,
        "ladder_ticks": geometry.ladder_ticks,
        "open_orders": geometry.open_orders,
        "ring_messages": geometry.ring_messages,
        "adaptive": int(geometry.adaptive),
        "repair": int(geometry.repair),
        "line_rate": int(geometry.line_rate),
    }


def render(summary: MarketSummary, console: Console) -> None:
    """Write a summary as tables."""
    console.print(_counts("Run", _run(summary)))
    _print_nonzero(console, "Messages by type", {
        f"{code} {itch.MESSAGES[code].name}": count for code, count in summary.messages_by_type.items()
    })
    _print_nonzero(console, "Not used, by cause", summary.drops)
    if isinstance(summary, Summary) and (summary.mode != "off" or summary.verdicts.passed or summary.verdicts.refused):
        console.print(_counts("Trading", _trading(summary)))
        _print_nonzero(console, "Refused orders, by reason", summary.verdicts.by_reason)
        _print_nonzero(console, "Triggers without orders, by cause", summary.triggers.misses)
        _print_nonzero(console, "Alarms", summary.alarms)
        if summary.legged:
            console.print(_legged(summary))
        if any(pair.thresholds == "adaptive" for pair in summary.pairs):
            console.print(_adaptive(summary))
    console.print(_slots(summary))
    if isinstance(summary, Summary) and summary.eot_to_sof.count:
        console.print(_latency(summary))
        console.print(_histogram(summary.eot_to_sof, summary.geometry["clock_hz"]))
    if isinstance(summary, TradingTwinSummary):
        for line in summary.not_modelled:
            console.print(f"not modelled: {line}", markup=False, highlight=False)
    for finding in summary.findings:
        console.print(f"finding: {finding}", style="bold red", markup=False, highlight=False)


_STATES = tuple(state.name.lower() for state in Integrity)


def _run(summary: MarketSummary) -> Mapping[str, object]:
    feed, states = summary.feed, Counter(slot.integrity for slot in summary.slots)
    card = summary if isinstance(summary, Summary) else None
    line_b = f" and {feed['address_b']}:{feed['port_b']}" if "address_b" in feed else ""
    return {
        "file": f"{summary.file} ({summary.format})",
        "feed": f"{feed['address']}:{feed['port']}{line_b} session {feed['session']} from {feed['next_sequence']}",
        **({"other feeds, not used": "\n".join(summary.other_feeds)} if summary.other_feeds else {}),
        **({"frames in, out": f"{card.frames_in:,}, {card.frames_out:,}"} if card else {}),
        "messages in the file": summary.records,
        "messages decoded": summary.messages,
        "BBO changes": summary.bbo_changes,
        "unknown references": summary.unknown_references,
        "gaps, messages missing": f"{summary.gaps:,}, {summary.missing_messages:,}",
        **(_recovered(card.recovery) if card and card.recovery else {}),
        **(_reloaded(card.reload) if card and card.reload else {}),
        **(_begun_anew(card.feed_reload) if card and card.feed_reload else {}),
        "orders in the book, most": f"{summary.live_orders:,}, {summary.table_peak:,}",
        f"books {', '.join(_STATES)}": ", ".join(f"{states[state]:,}" for state in _STATES),
        **({"clocks": card.cycles} if card else {}),
    }


def _recovered(recovery: RecoverySummary) -> Mapping[str, object]:
    return {
        "requests (repeats), answers": f"{recovery.requests:,} ({recovery.repeats:,}), {recovery.answers:,}",
        "messages recovered, given up": f"{recovery.given:,}, {recovery.unrecovered:,}",
    }


def _reloaded(reload: ReloadSummary) -> Mapping[str, object]:
    return {
        "slots reloaded, given up": f"{reload.reloaded:,}, {reload.given_up:,}",
        "orders, messages given to them": f"{reload.orders:,}, {reload.messages:,}",
    }


def _begun_anew(anew: FeedReloadSummary) -> Mapping[str, object]:
    return {
        "feed begun anew, ended": f"{anew.begun:,}, {anew.ended:,}",
        "snapshots, messages let go": f"{anew.snapshots:,}, {anew.let_go:,}",
    }


def _trading(summary: Summary) -> Mapping[str, object]:
    return {
        "mode, state at the end": f"{summary.mode}, {summary.trading_state}",
        "triggers": summary.triggers.requests,
        "verdicts passed, refused": f"{summary.verdicts.passed:,}, {summary.verdicts.refused:,}",
        "orders sent (frames)": f"{summary.orders.sent:,} ({summary.orders.frames:,})",
        "orders ended": ", ".join(f"{count:,} {state}" for state, count in summary.orders.ended.items() if count) or "0",
        **_cancels(summary),
        "fills (shares)": f"{summary.fills.count:,} ({summary.fills.shares:,})",
        "P&L": _dollars(summary.portfolio.pnl),
        "gross; net long, short": "{}; {}, {}".format(
            *(_dollars(getattr(summary.portfolio, name)) for name in ("gross", "net_long", "net_short"))
        ),
    }


def _cancels(summary: Summary) -> Mapping[str, object]:
    """What most runs have none of."""
    orders, fills = summary.orders, summary.fills
    return {
        **({"orders that have not ended": orders.open} if orders.open else {}),
        **({"cancels sent": orders.cancels} if orders.cancels else {}),
        **({"reports noted": ", ".join(f"{count:,} {name}" for name, count in orders.noted.items())} if orders.noted else {}),
        **({"fills taken back (shares)": f"{fills.broken:,} ({fills.broken_shares:,})"} if fills.broken else {}),
    }


def _dollars(units: int) -> str:
    sign = "-" if units < 0 else ""
    return f"{sign}${abs(units) / 10_000:,.2f}"


def _legged(summary: Summary) -> Table:
    outcomes = Counter(each.outcome for each in summary.legged)
    table = _table("Legged pairs: " + ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.items()))
    for name in ("pair", "wanted", "filled a, b", "tries", "outcome", "held a, b"):
        table.add_column(name, justify="left" if name in ("pair", "wanted", "outcome") else "right")
    for each in summary.legged[-_ROWS:]:
        filled, held = f"{each.filled_a:,}, {each.filled_b:,}", f"{each.held_a:,}, {each.held_b:,}"
        table.add_row(each.pair, each.action, filled, str(each.tries), each.outcome, held)
    if len(summary.legged) > _ROWS:
        table.add_row(f"and {len(summary.legged) - _ROWS} before")
    return table


def _adaptive(summary: Summary) -> Table:
    samples = summary.samples
    table = _table(f"Adaptive thresholds, $: samples taken {samples.taken:,}, lost {samples.lost:,}, cut {samples.cut:,}")
    table.add_column("pair")
    columns = ("mean_usd", "sigma_usd", "lower_usd", "exit_long_usd", "exit_short_usd", "upper_usd")
    for name in ("samples", *(column.removesuffix("_usd").replace("_", " ") for column in columns)):
        table.add_column(name, justify="right")
    for pair in (pair for pair in summary.pairs if pair.thresholds == "adaptive"):
        values = [getattr(pair, column) for column in columns]
        need = f" of {pair.warmup_samples:,}" if pair.samples < pair.warmup_samples else ""
        table.add_row(pair.pair, f"{pair.samples:,}{need}", *("" if value is None else f"{value:,.4f}" for value in values))
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def _counts(title: str, rows: Mapping[str, object]) -> Table:
    table = _table(title)
    table.show_header = False
    table.add_column()
    table.add_column(justify="right")
    for name, value in rows.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    return table


def _print_nonzero(console: Console, title: str, counts: Mapping[str, int]) -> None:
    if rows := {name: count for name, count in counts.items() if count}:
        console.print(_counts(title, rows))


def _slots(summary: MarketSummary) -> Table:
    """Symbols with something to tell: the rest are counted in the last line."""
    table = _table("Symbols")
    held = isinstance(summary, Summary)
    for name in ("symbol", "locate", "BBO changes", "book", *(("position", "average, $", "cash, $") if held else ())):
        table.add_column(name, justify="left" if name in ("symbol", "book") else "right")
    busiest = sorted(summary.slots, key=lambda slot: (-abs(_position(slot)), -slot.bbo_changes, slot.slot))
    for slot in busiest[:_ROWS]:
        causes = ", ".join(f"{cause} {count:,}" for cause, count in slot.lowered_by.items())
        table.add_row(
            slot.symbol,
            str(slot.locate or "not found"),
            f"{slot.bbo_changes:,}",
            slot.integrity + (f": {causes}" if causes else ""),
            *(_held(slot) if isinstance(slot, SlotSummary) else ()),
        )
    if len(busiest) > _ROWS:
        table.add_row(f"and {len(busiest) - _ROWS} more")
    return table


def _held(slot: SlotSummary) -> tuple[str, str, str]:
    average = "" if slot.average_usd is None else f"{slot.average_usd:,.4f}"
    return f"{slot.position:,}", average, f"{slot.cash / 10_000:,.2f}"


def _position(slot: MarketSlot) -> int:
    return slot.position if isinstance(slot, SlotSummary) else 0


def _latency(summary: Summary) -> Table:
    table = _table("Latency, clocks (ns)")
    table.add_column("")
    for name in ("min", "median", "p99", "max", "frames"):
        table.add_column(name, justify="right")
    for title, one in (("EOT->SOF", summary.eot_to_sof), ("SOM->SOF", summary.som_to_sof)):
        table.add_row(
            title,
            f"{one.min_cycles:,} ({one.min_ns:,.0f})",
            f"{one.median_cycles:,} ({one.median_ns:,.0f})",
            f"{one.p99_cycles:,} ({one.p99_ns:,.0f})",
            f"{one.max_cycles:,} ({one.max_ns:,.0f})",
            f"{one.count:,}",
        )
    return table


def _histogram(latency: Latency, clock_hz: int) -> Table:
    """Frames by clocks, in at most `_ROWS` bins of equal width."""
    span = latency.max_cycles - latency.min_cycles + 1
    width = ceil(span / _ROWS)
    bins: Counter[int] = Counter()
    for cycles, count in latency.histogram.items():
        bins[(cycles - latency.min_cycles) // width] += count
    table = _table("EOT->SOF")
    table.add_column("clocks", justify="right")
    table.add_column("ns", justify="right")
    table.add_column("frames", justify="right")
    table.add_column("")
    for number in range(ceil(span / width)):
        low = latency.min_cycles + number * width
        name = str(low) if width == 1 else f"{low}-{low + width - 1}"
        bar = "#" * ceil(_BARS * bins[number] / max(bins.values()))
        table.add_row(name, f"{low * 1e9 / clock_hz:.0f}", f"{bins[number]:,}", bar)
    return table
