"""`t2t bench`: what a message costs in the twin, in itch-book beside it, and what a clock costs in the Verilated card."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NoReturn

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from hdl.spec import itch
from hdl.spec.geometry import PRESETS, Geometry
from hdl.spec.reasons import TradingState
from hdl.spec.statistics import SPREAD_FRACTION
from host.card import CardError
from host.config import Configuration, pairs_by_slot
from host.framing import Feed
from host.inputs.itch_file import looks_like_itch
from host.inputs.source import InputError, Source
from host.loader import Loader, OrderSession
from host.replay import Replay
from host.stimulus import from_messages
from sim import card as simulated
from sim.generator import Traffic
from sim.tools import ToolError
from sim.twin import ROW, FramingError, Twin
from sim.twin.trade.state import PAIR_ROW
from sim.twin.trading import TradingTwin

_USAGE, _TOOL, _INPUT, _CARD = 2, 3, 4, 5
_GENERATED = 2_000_000
_RTL_MESSAGES = 3_000
_PAIRS, _CLOCKS_A_ROW = 64, 160
_BOOK_TYPES = itch.BOOK_TYPES.encode()
_CARDS = (
    PRESETS["large"],
    Geometry(slots=1024, order_rows=65536, order_ways=4, ladder_ticks=4096),
    Geometry(slots=1024, order_rows=65536, order_ways=8, ladder_ticks=4096),
)
"""The first that has room for a file is measured; the last one is the largest card there can be."""


@dataclass(frozen=True)
class Figure:
    """One measurement.

    Parameters
    ----------
    name : str
        What was measured.
    value : float
        How much.
    unit : str
        Of what.
    note : str
        How it is to be read.
    """

    name: str
    value: float
    unit: str
    note: str = ""


def bench(
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, show_default=False, help="ITCH file; without one a day is made.")
    ] = None,
    messages: Annotated[int, typer.Option("--messages", "-n", metavar="N", help="Messages of that day.")] = _GENERATED,
    rounds: Annotated[int, typer.Option(min=1, metavar="N", help="Rounds; the best counts.")] = 3,
    no_rtl: Annotated[bool, typer.Option("--no-rtl", help="Leave the Verilated card out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Measure the twin, itch-book beside it on the same bytes in the same run, and the Verilated card.

    Times are processor time of one core, the best of some rounds that take turns. A busy machine still makes them longer, by what
    others do to its caches: the load is shown.

        t2t bench --no-rtl
    """
    try:
        raw = _made(messages) if file is None else _read(file)
        market = Sample.of(raw)
        figures = list(_software(market, rounds))
        figures += [] if no_rtl else list(_card(raw))
    except (InputError, FramingError) as error:
        _leave(_INPUT, f"{file}: {error}")
    except ValueError as error:
        _leave(_USAGE, str(error))
    except ToolError as error:
        _leave(_TOOL, str(error))
    except (CardError, simulated.CardError) as error:
        _leave(_CARD, str(error))
    described = {"file": "generated" if file is None else str(file), **market.described(), "load": round(os.getloadavg()[0], 2)}
    if as_json:
        print(json.dumps({**described, "figures": [asdict(figure) for figure in figures]}, indent=2))
    else:
        _render(described, figures)


def _leave(code: int, text: str) -> NoReturn:
    print(f"t2t: {text}", file=sys.stderr)
    raise typer.Exit(code)


def _made(messages: int) -> bytes:
    return b"".join(Traffic(messages=messages).generate())


def _read(path: Path) -> bytes:
    with Source(path) as source:
        if not looks_like_itch(source.peek(4)):
            raise InputError("not ITCH 5.0 records with a u16 length", 0)
        return b"".join(iter(lambda: source.read(1 << 24), b""))


@dataclass(frozen=True)
class Sample:
    """Bytes to measure with, and what is in them.

    Parameters
    ----------
    raw : bytes
        ITCH records.
    messages : int
        Messages.
    locates : tuple of int
        Stock locates, the one with most messages about orders first.
    geometry : Geometry
        The card that is measured.
    busiest : bytes
        Records about orders of the first locate.
    peak : int
        Most live orders.
    unwatched : int
        Messages about orders of symbols that found no slot.
    bbo_changes : int
        BBO changes.
    """

    raw: bytes
    messages: int
    locates: tuple[int, ...]
    geometry: Geometry
    busiest: bytes
    peak: int
    unwatched: int
    bbo_changes: int

    @classmethod
    def of(cls, raw: bytes) -> Sample:
        """Look through the bytes, with the first card that has room for all of them, or else the last."""
        orders: Counter[int] = Counter()
        for message in _records(raw):
            if message[0] in _BOOK_TYPES:
                orders[int.from_bytes(message[1:3], "big")] += 1
        locates = tuple(locate for locate, _ in orders.most_common())
        for geometry in _CARDS:
            twin = Twin(geometry, bindings=_bindings(locates, geometry))
            changes = sum(len(rows) for rows in twin.batches(raw))
            twin.finish()
            if not twin.unwatched and not any(state for state in twin.integrity):
                break
        first = locates[0].to_bytes(2, "big") if locates else b""
        busiest = b"".join(
            len(message).to_bytes(2, "big") + message
            for message in _records(raw)
            if message[1:3] == first and message[0] in _BOOK_TYPES
        )
        return cls(raw, twin.messages, locates, geometry, busiest, twin.table_peak, twin.unwatched, changes)

    def described(self) -> dict[str, Any]:
        """What was measured with, in figures."""
        watched = min(len(self.locates), self.geometry.slots)
        return {
            "messages": self.messages,
            "bytes_a_message": round(len(self.raw) / self.messages, 1) if self.messages else 0,
            "symbols": len(self.locates),
            "watched": watched,
            "unwatched_messages": self.unwatched,
            "live_orders_at_most": self.peak,
            "bbo_changes": self.bbo_changes,
            "order_capacity": self.geometry.order_capacity,
            "ladder_ticks": self.geometry.ladder_ticks,
        }


def _records(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at + 2 < len(raw):
        end = at + 2 + (raw[at] << 8 | raw[at + 1])
        yield raw[at + 2 : end]
        at = end


def _bindings(locates: tuple[int, ...], geometry: Geometry) -> dict[int, int]:
    return {locate: slot for slot, locate in enumerate(locates[: geometry.slots])}


def _software(market: Sample, rounds: int) -> Iterator[Figure]:
    """The twin in parts, and itch-book, in turns."""
    everything, one = _bindings(market.locates, market.geometry), _bindings(market.locates[:1], market.geometry)
    work: dict[str, Callable[[], float]] = {
        "decode": lambda: _twin(market.raw, market.geometry, {}),
        "one": lambda: _twin(market.busiest, market.geometry, one),
        "whole": lambda: _twin(market.raw, market.geometry, everything),
    }
    judge = _itch_book()
    if judge is not None:
        work["itch-book"] = lambda: judge(market.raw)
    best = dict.fromkeys(work, float("inf"))
    for _ in range(rounds):
        for name, run in work.items():
            best[name] = min(best[name], run())
    per_message = {name: seconds * 1e9 / max(1, market.messages) for name, seconds in best.items()}
    alone = best["one"] * 1e9 / max(1, sum(1 for _ in _records(market.busiest)))
    yield Figure("twin, decode", per_message["decode"], "ns/message", "framing, type, length, slot; nothing is watched")
    yield Figure("twin, decode and book", per_message["whole"], "ns/message", "with rows of all BBO changes")
    yield Figure("twin, busiest symbol alone", alone, "ns/message", "its messages about orders, as a file of their own")
    memory = max(0.0, per_message["whole"] - alone)
    yield Figure("twin, more than that", memory, "ns/message", "what many symbols cost: memory out of cache, rebuilds")
    yield from _trading(market, rounds)
    if judge is None:
        yield Figure("itch-book", 0, "ns/message", "not installed; it is in the extra `test`")
    else:
        yield Figure("itch-book", per_message["itch-book"], "ns/message", "decode, book and its BBO table")
        yield Figure("twin against itch-book", per_message["itch-book"] / per_message["whole"], "times as fast")


def _timed(act: Callable[[], object]) -> float:
    started = time.process_time()
    act()
    return time.process_time() - started


def _twin(raw: bytes, geometry: Geometry, bindings: dict[int, int]) -> float:
    twin = Twin(geometry, bindings=bindings)
    return _timed(lambda: sum(len(rows) for rows in twin.batches(raw)))


def _trading(market: Sample, rounds: int) -> Iterator[Figure]:
    """What pairs cost that watch every symbol, 64 of them, with thresholds that are hardly ever reached."""
    bindings = _bindings(market.locates, market.geometry)
    rows = np.concatenate(list(Twin(market.geometry, bindings=bindings).batches(market.raw)) or [np.zeros(0, ROW)])
    clocks = np.arange(len(rows), dtype=np.int64) * _CLOCKS_A_ROW
    slots = max(2, min(len(bindings), market.geometry.slots))
    pairs = [_pair(number % slots, (number * 5 + number // slots + 1) % slots) for number in range(_PAIRS)]
    geometry = replace(market.geometry, pairs=_PAIRS)
    best = float("inf")
    for _ in range(rounds):
        halted = {"trading_state": TradingState.HALTED}
        twin = TradingTwin(geometry, pairs=pairs, lists=pairs_by_slot(pairs, geometry), limits={}, settings=halted)
        best = min(best, _timed(partial(twin.advance, rows, clocks, until=_CLOCKS_A_ROW * len(rows))))
    note = f"{_PAIRS} pairs, {2 * _PAIRS / slots:.1f} a symbol"
    yield Figure("twin, trading", best * 1e9 / max(1, len(rows)), "ns/BBO change", note)
    yield Figure("twin, trading", best * 1e9 / max(1, market.messages), "ns/message", "to be added to decode and book")


def _pair(slot_a: int, slot_b: int) -> dict[str, int]:
    """Sells at 100,000 dollars and buys at as much below zero."""
    nothing = dict.fromkeys(PAIR_ROW, 0)
    legs = {"slot_a": slot_a, "slot_b": slot_b, "enabled": 1, "size_a": 100, "size_b": 100, "max_units": 1}
    far = 10**9 << SPREAD_FRACTION
    weights = dict.fromkeys(("weight_a", "weight_b"), 1 << SPREAD_FRACTION)
    return nothing | legs | weights | {"upper": far, "lower": -far, "exit_short": -far, "exit_long": far}


def _itch_book() -> Callable[[bytes], float] | None:
    if importlib.util.find_spec("itch_book") is None:
        return None
    session_class = importlib.import_module("itch_book").Session

    def run(raw: bytes) -> float:
        session = session_class(["bbo"], 1, [])
        return _timed(lambda: (session.feed(raw), session.take_bbo()))

    return run


def _card(raw: bytes) -> Iterator[Figure]:
    """A short run of the Verilated card: every symbol of the first messages, one message a packet."""
    geometry, feed = PRESETS["large"], Feed()
    configuration = Configuration()
    with simulated.SimulatedCard(geometry) as card:
        loader = Loader(card)
        loader.load(configuration, feed, OrderSession())
        replay = Replay(card, loader, configuration, feed)
        before = card.cycle
        replay.run(from_messages(islice(_records(raw), _RTL_MESSAGES), feed, pack=1))
        clocks, seconds = card.cycle - before, replay.seconds
        taken = card.read("status", "messages")
    yield Figure("card, Verilated", clocks / seconds, "clocks/s", f"{taken:,} messages, the host's work included")
    yield Figure("card, Verilated", clocks / taken, "clocks/message", "one message a packet, at line rate")
    yield Figure("card, Verilated", seconds * 1e9 / taken, "ns/message", "of this machine")


def _render(described: dict[str, Any], figures: list[Figure]) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=160)
    for name, value in described.items():
        text = f"{value:,}" if isinstance(value, int) else str(value)
        console.print(f"{name.replace('_', ' ')}: {text}", markup=False, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_column("unit")
    table.add_column("note")
    for figure in figures:
        digits = 1 if figure.value < 1000 else 0
        table.add_row(figure.name, f"{figure.value:,.{digits}f}", figure.unit, figure.note)
    console.print(table)
