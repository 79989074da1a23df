"""`t2t demo`: the whole appliance in simulation, from a generated market to orders, fills and a reconciled position."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hdl.spec.geometry import PRESETS
from hdl.spec.reasons import Mode
from host import pictures
from host.card import CardError, WiredCard
from host.config import PRICE_UNITS, Ceilings, Configuration, Limit, Pair, Risk, Slot, Strategy
from host.framing import Feed
from host.loader import Loader, OrderSession
from host.mirror import Mirror, Outcome, PairView
from host.replay import Replay
from host.screen import TITLE, Screen
from host.stimulus import from_messages
from host.summary import Summary, render
from sim import card as simulated
from sim.cointegration import PairPlan
from sim.market import CLOSE, LISTING, OPEN, Market
from sim.tools import BUILD, ToolError
from sim.venue import Venue

MESSAGES = 50_000
"""A day of so many messages takes the simulated card some four million clocks."""
_PRESET = "versa"
_PACK = 2
"""Messages a packet, at most."""
_LATENCY_US = 3
"""The venue's; some messages of the market long, since the day comes at the speed of the line."""
_SLIPPAGE_TICKS = 5
_UNITS = 2
_LOCATED = 1_000_000
"""Of each symbol: more than a day sells."""
_FINDINGS, _TOOL, _CARD = 1, 3, 5
_CEILINGS = Ceilings(
    max_quantity_shares=500,
    max_notional_usd=Decimal(100_000),
    max_long_shares=1_000,
    max_short_shares=1_000,
    collar_usd=Decimal(5),
    collar_bps=500,
    max_gross_usd=Risk().max_gross_usd,
    max_net_usd=Risk().max_net_usd,
    max_loss_usd=Risk().max_loss_usd,
    max_open_orders=65_535,
    rate_tokens=10,
)


@dataclass(frozen=True)
class Break:
    """A symbol whose position or cash is not the same everywhere.

    Parameters
    ----------
    symbol : str
        Symbol.
    folded, ledger, venue : tuple of (int, int)
        Shares and cash (1/10000 dollar): fold of the fill events, the card's ledger, the venue's own books.
    """

    symbol: str
    folded: tuple[int, int]
    ledger: tuple[int, int]
    venue: tuple[int, int]


@dataclass(frozen=True)
class Result:
    """What a demo run was.

    Parameters
    ----------
    summary : Summary
        The run, as every replay reports it.
    mirror : Mirror
        Fold of the events.
    venue : Venue
        The simulated exchange.
    breaks : tuple of Break
        Where positions or cash differ.
    """

    summary: Summary
    mirror: Mirror
    venue: Venue
    breaks: tuple[Break, ...]

    @property
    def problems(self) -> list[str]:
        """What must not be overlooked."""
        faults = [f"the venue could not use what came at clock {fault.cycle:,}: {fault.text}" for fault in self.venue.faults]
        return [*self.summary.findings, *(f"position break: {each}" for each in self.breaks), *faults]


def configuration(market: Market) -> Configuration:
    """Pairs, limits and switches for a generated market. The direct listing is not watched."""
    pairs = tuple(_pair(plan) for plan in market.plans)
    closes, limits = market.previous_closes, {}
    for pair in pairs:
        for symbol, shares in ((pair.leg_a, pair.size_a_shares), (pair.leg_b, pair.size_b_shares)):
            limits[symbol] = Limit(
                symbol=symbol,
                max_quantity_shares=200,
                max_notional_usd=Decimal(60_000),
                max_long_shares=_UNITS * shares,
                max_short_shares=_UNITS * shares,
                reference_usd=Decimal(closes[symbol]) / PRICE_UNITS,
                collar_usd=Decimal(2),
                collar_bps=200,
                located_shares=_LOCATED,
            )
    slots = tuple(Slot(symbol=name) for name in market.names if name != LISTING)
    # A day of hours passes in some 30 ms of the card's time, so rates, rests and silences are short.
    risk = Risk(mode="live", rate_tokens=6, rate_interval_us=Decimal(60), stale_after_ms=Decimal(1), watchdog_ms=1)
    return Configuration(slots, pairs, limits, risk, Strategy(cooldown_us=Decimal(100)), _CEILINGS)


def _pair(plan: PairPlan) -> Pair:
    def usd(value: float) -> Decimal:
        return Decimal(f"{value:.4f}")

    return Pair(
        name=plan.name,
        leg_a=plan.symbol_a,
        leg_b=plan.symbol_b,
        weight_a=Decimal(plan.weight_a),
        weight_b=Decimal(plan.weight_b),
        upper_usd=usd(plan.upper),
        lower_usd=usd(plan.lower),
        exit_short_usd=usd(plan.exit_short),
        exit_long_usd=usd(plan.exit_long),
        size_a_shares=plan.size_a,
        size_b_shares=plan.size_b,
        max_units=_UNITS,
        slippage_ticks=_SLIPPAGE_TICKS,
    )


def run(card: WiredCard, market: Market, console: Console, *, live: bool) -> Result:
    """Run a market through a card with a venue at the other end of its order session.

    Parameters
    ----------
    card : WiredCard
        Fresh card.
    market : Market
        The day.
    console : Console
        Where the run is shown.
    live : bool
        Show tables that follow the run; otherwise a line now and then.
    """
    settings, feed, session = configuration(market), Feed(session=b"T2TDEMO001"), OrderSession()
    loader = Loader(card)
    loader.identify()
    loader.load(settings, feed, session)
    loader.arm(Mode.LIVE)
    venue = Venue(
        **session.at_exchange(),
        latency=_LATENCY_US * card.geometry.clock_hz // 1_000_000,
    )
    mirror = Mirror(settings, loader.slots)
    replay = Replay(card, loader, settings, feed, exchange=venue, listen=mirror.take)
    screen = Screen(mirror, settings, replay.progress, total=market.messages, console=console)
    with screen.shown(live=live):
        replay.run(from_messages(_seen(market, mirror), feed, pack=_PACK))
    summary = replay.summary(file=f"generated, seed {market.seed}", form="itch", engine="rtl")
    return Result(summary, mirror, venue, reconcile(mirror, venue))


def _seen(market: Market, mirror: Mirror) -> Iterator[bytes]:
    for message in market.generate():
        mirror.see(message)
        yield message


def reconcile(mirror: Mirror, venue: Venue) -> tuple[Break, ...]:
    """Compare every symbol's position and cash in three books that were kept apart."""
    breaks = []
    for slot, symbol in mirror.symbols.items():
        holding = mirror.holdings[slot]
        folded, ledger = (holding.shares, holding.cash), (holding.ledger_shares, holding.ledger_cash)
        far = (venue.positions[symbol], venue.cash[symbol])
        if not folded == ledger == far:
            breaks.append(Break(symbol, folded, ledger, far))
    unknown = (venue.positions.keys() | venue.cash.keys()) - set(mirror.symbols.values())
    breaks += [Break(symbol, (0, 0), (0, 0), (venue.positions[symbol], venue.cash[symbol])) for symbol in sorted(unknown)]
    return tuple(breaks)


def draw(result: Result, settings: Configuration, folder: Path, *, seed: int) -> list[Path]:
    """Write the pictures: the pair that traded most, and the latency."""
    mirror, summary = result.mirror, result.summary
    number, view = max(enumerate(mirror.pairs), key=lambda each: _filled(each[1]))
    halts = [
        (symbol, begin, min(end or CLOSE, CLOSE))
        for symbol in (settings.pairs[number].leg_a, settings.pairs[number].leg_b)
        for begin, end in mirror.halts.get(symbol, [])
        if begin >= OPEN
    ]
    note = f"Generated market (seed {seed}), simulated card and venue; the spread reverts by construction."
    clock = f"{note} Cycle-accurate: {summary.geometry['clock_hz'] / 1e6:g} MHz clock, {summary.geometry['width']} byte a clock."
    return [
        pictures.spread(folder / "spread.png", settings.pairs[number], view, begin=OPEN, end=CLOSE, halts=halts, note=note),
        pictures.latency(
            folder / "latency.png",
            eot_to_sof=mirror.eot_to_sof,
            som_to_sof=mirror.som_to_sof,
            clock_hz=summary.geometry["clock_hz"],
            note=clock,
        ),
    ]


def _filled(view: PairView) -> int:
    return sum(mark.outcome is Outcome.FILLED for mark in view.marks)


def demo(
    seed: Annotated[int, typer.Option(min=0, help="Decides the generated market, byte for byte.")] = 1,
    messages: Annotated[int, typer.Option(min=4_250, max=10_000_000, help="Messages of the day, about.")] = MESSAGES,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the pictures.")] = BUILD / "demo",
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON on standard output.")] = False,
    no_live: Annotated[
        bool, typer.Option("--no-live", help="A line now and then in place of the tables, even on a terminal.")
    ] = False,
) -> None:
    """Run the whole appliance in simulation: a generated market in, orders out, a small venue that fills them.

    A seeded market of 16 stocks in 8 cointegrated pairs, with an opening and a closing cross, halts and every ITCH message type,
    goes through the gateware under Verilator. Ends with the summary, two pictures, and positions compared between the host, the
    card's ledger and the venue.

    Exit codes: 0 done. 1 done, with findings, which are listed. 3 a tool is missing or failed. 5 the card failed.
    """
    console = Console(stderr=True)
    market = Market(seed=seed, messages=messages)
    started = time.perf_counter()
    print(f"{TITLE}, seed {seed}", file=sys.stderr)
    try:
        with simulated.SimulatedCard(PRESETS[_PRESET]) as card:
            ready = time.perf_counter()
            result = run(card, market, console, live=console.is_terminal and not no_live and not as_json)
    except ToolError as error:
        print(f"t2t: {error}", file=sys.stderr)
        raise typer.Exit(_TOOL) from None
    except (CardError, simulated.CardError) as error:
        print(f"t2t: {error}", file=sys.stderr)
        raise typer.Exit(_CARD) from None
    seconds = time.perf_counter() - ready
    files = draw(result, configuration(market), out, seed=seed)
    if as_json:
        print(json.dumps(_json(result, files), indent=2))
    else:
        _report(result, files)
    cycles = result.summary.cycles
    print(
        f"t2t: {cycles:,} clocks in {seconds:.1f} s ({cycles / seconds:,.0f}/s), {time.perf_counter() - started:.1f} s in all",
        file=sys.stderr,
    )
    for problem in result.problems:
        print(f"t2t: {problem}", file=sys.stderr)
    if result.problems:
        raise typer.Exit(_FINDINGS)


def _report(result: Result, files: list[Path]) -> None:
    console = Console()
    render(result.summary, console)
    counts = result.venue.counts
    lines = [
        f"P&L      ${result.mirror.pnl / PRICE_UNITS:,.2f}, longs marked at the bid and shorts at the offer; no fees",
        "venue    " + ", ".join(f"{counts[name]:,} {name}" for name in ("orders", "fills", "canceled", "rejected")),
        _reconciliation(result),
        *(f"picture  {path}" for path in files),
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _reconciliation(result: Result) -> str:
    symbols, shares = len(result.mirror.symbols), sum(abs(holding.shares) for holding in result.mirror.holdings.values())
    where = "host, the card's ledger and the venue"
    if result.breaks:
        return f"books    DIFFER in {len(result.breaks)} of {symbols} symbols between {where}"
    return f"books    positions and cash agree in all {symbols} symbols between {where}; {shares:,} shares are held"


def _json(result: Result, files: list[Path]) -> dict[str, Any]:
    mirror = result.mirror
    return {
        "simulated": {"card": True, "venue": True, "market": "generated"},
        "summary": result.summary.model_dump(mode="json"),
        "pnl_usd": mirror.pnl / PRICE_UNITS,
        "pairs": [
            {
                "pair": view.title,
                "triggers": len(view.marks),
                "trades": _filled(view),
                "units": mirror.units(view),
                "pnl_usd": mirror.pair_value(view) / PRICE_UNITS,
            }
            for view in mirror.pairs
        ],
        "venue": dict(result.venue.counts),
        "reconciliation": {"agree": not result.breaks, "breaks": [asdict(each) for each in result.breaks]},
        "problems": result.problems,
        "files": [str(path) for path in files],
    }
