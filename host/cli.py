"""The command `t2t`. Data goes to standard output, everything else to standard error."""

from __future__ import annotations

import enum
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hdl.spec.geometry import PRESETS, Geometry
from hdl.spec.reasons import Mode
from host import compare, compare_trading, config, snapshot, specification
from host.bench import bench
from host.card import CardError, WiredCard
from host.config import ConfigError, Configuration
from host.demo import demo
from host.doctor import doctor
from host.feed_reload import FeedReload
from host.framing import Feed
from host.generate import generate
from host.heard import Heard
from host.inputs import capture
from host.inputs.itch_file import ItchFile, looks_like_itch, unread_behind
from host.inputs.source import InputError, Source
from host.journal import RecordingCard
from host.loader import Loader, OrderSession
from host.recovery import Recovery
from host.reload import Reload
from host.replay import Outputs, Push, Replay
from host.snapshot import Snapshot
from host.stimulus import Capture, Losses, Stimulus, Wanted, from_messages, from_the_middle, lossy
from host.summary import MarketSummary, Summary, TradingTwinSummary, render
from host.synth import synth
from host.twin_card import TwinCard
from host.twin_replay import TwinReplay
from host.wire_log import WireLog
from sim import card as simulated
from sim.glimpse import GlimpseServer
from sim.retransmission import RetransmissionServer
from sim.tools import ToolError
from sim.venue import Venue


class Exit(enum.IntEnum):
    """Exit codes of every command."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    TOOL = 3
    INPUT = 4
    CARD = 5
    INTERRUPTED = 130


EPILOG = (
    "Exit codes: 0 done, no findings. 1 done, with findings, which are listed. "
    "2 the call or a configuration file is wrong. "
    "3 a tool is missing or failed (see: t2t doctor). 4 the input is nothing that can be read. "
    "5 the card is not the one expected, or failed. 130 interrupted; what was done until then is reported."
)

app = typer.Typer(
    name="t2t",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    epilog=EPILOG,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """Tick-to-trade: market data in, orders out, in gateware; on a card or simulated."""


_SEQUENCE_MOST = (1 << 63) - 1
"""Highest first number: as many again can follow."""


class Engine(enum.StrEnum):
    """What runs the data path."""

    RTL = "rtl"
    TWIN = "twin"


class Preset(enum.StrEnum):
    """Named sizes of the card."""

    LARGE = "large"
    LARGE_10G = "large_10g"
    VERSA = "versa"


def fail(code: Exit, *lines: str) -> NoReturn:
    """Say what is wrong on standard error and leave."""
    for line in lines:
        print(f"t2t: {line}", file=sys.stderr)
    raise typer.Exit(code)


def data_console() -> Console:
    """Standard output; wide where it is not a terminal, so that nothing is folded in a file."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


@dataclass
class Input:
    """An opened input file.

    Parameters
    ----------
    source : Source
        Its bytes.
    form : str
        What it is.
    feed : Feed
        Feed that it holds, or that is made of it.
    stimuli : iterator of Stimulus
        Its frames.
    records : ItchFile or None
        Its ITCH records, where it holds such.
    capture : Capture or None
        The capture, where it is one.
    """

    source: Source
    form: str
    feed: Feed
    stimuli: Iterator[Stimulus]
    records: ItchFile | None = None
    capture: Capture | None = None


def _no_input(head: bytes) -> str:
    """Why a file that begins like this is no input."""
    ended = ", the end of a session in front of its first message" * head.startswith(bytes(2))
    return (
        "neither ITCH 5.0 records with a u16 length nor a packet capture (pcap, pcapng), plain, gzip or zstd: it begins with "
        f"{head.hex(' ')}{ended}; a whole day begins with 00 0c 53, length and type of its first message"
    )


def open_input(source: Source, wanted: Wanted, *, pack: int) -> Input:
    """Find out what a file is; `InputError` where it is nothing that can be replayed."""
    head = source.peek(4)
    if not head:
        raise InputError("the file is empty", 0)
    if capture.looks_like_capture(head):
        frames = Capture(capture.frames(source), wanted)
        return Input(source, frames.form, frames.feed, iter(frames), capture=frames)
    if not looks_like_itch(head):
        raise InputError(_no_input(head), 0)
    default = Feed()
    if wanted.address is not None and not IPv4Address(wanted.address).is_multicast:
        raise InputError(f"feed address {IPv4Address(wanted.address)}: allowed for ITCH files are multicast addresses")
    address_b, port_b = wanted.line_b or (0, 0)
    line_a = (
        default.address if wanted.address is None else wanted.address,
        default.port if wanted.port is None else wanted.port,
    )
    if wanted.line_b == line_a:
        raise InputError(f"line_b {IPv4Address(address_b)}:{port_b}: that is line A; allowed is another address or port")
    feed = Feed(
        *line_a,
        default.session if wanted.session is None else wanted.session,
        default.next_sequence if wanted.next_sequence is None else wanted.next_sequence,
        address_b=address_b,
        port_b=port_b,
    )
    records = ItchFile(source)
    return Input(source, "itch", feed, from_messages(records, feed, pack=pack), records)


def _wanted(feed: str | None, session: str | None, first: int | None) -> Wanted:
    address = port = None
    if feed is not None:
        host, _, number = feed.partition(":")
        try:
            address, port = int(IPv4Address(host)), int(number)
        except (AddressValueError, ValueError):
            fail(Exit.USAGE, f"--feed {feed}: allowed is ADDRESS:PORT, for example 233.54.12.111:26477")
        if not 0 <= port <= 65535:
            fail(Exit.USAGE, f"--feed {feed}: port {port}; allowed are 0 to 65535")
    if session is not None and not (session.isascii() and len(session) <= 10):
        fail(Exit.USAGE, f"--session {session}: allowed are at most 10 ASCII characters")
    return Wanted(address, port, session.ljust(10).encode() if session is not None else None, first)


def _losses(text: str) -> Losses:
    """What is lost."""
    if match := re.fullmatch(r"(\d+)-(\d+)", text, re.ASCII):
        first, last = int(match[1]), int(match[2])
        if first <= last:
            return Losses(first=first, last=last)
    seed, _, rate = text.rpartition(":")
    try:
        losses = Losses(seed=int(seed or 1), rate=float(rate))
    except ValueError:
        losses = Losses(rate=-1.0)
    if not 0 <= losses.rate <= 1:
        fail(
            Exit.USAGE,
            f"--lose {text}: allowed is [SEED:]RATE with a rate of 0 to 1, for example 7:0.01, or FIRST-LAST of messages, "
            "for example 500-900",
        )
    return losses


@contextmanager
def _progress(replay: Replay | TwinReplay, source: Source) -> Iterator[None]:
    """A bar on standard error while something runs there to be seen, nothing otherwise."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("replay", total=source.size)

        def show() -> None:
            done = replay.progress
            clocks = f", {done.cycles:,} clocks" if done.cycles else ""
            bar.update(task, completed=source.position, description=f"{done.records:,} messages{clocks}")

        replay.progress.show = show
        yield


@app.command(epilog=EPILOG)
def replay(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, show_default=False, help="ITCH file or capture.")],
    symbol: Annotated[
        list[str] | None, typer.Option("--symbol", "-s", metavar="NAME[=LOCATE]", help="Watch this symbol. May be repeated.")
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option("--config", "-c", "--slots", "--pairs", "--limits", metavar="FILE", help="TOML file. May be repeated."),
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="What runs the data path: the gateware, simulated, or its twin in compiled Python.")
    ] = Engine.RTL,
    preset: Annotated[Preset, typer.Option(help="Sizes of the card.")] = Preset.LARGE,
    bbo: Annotated[Path | None, typer.Option(dir_okay=False, metavar="OUT.csv", help="One row a BBO change.")] = None,
    orders: Annotated[
        Path | None, typer.Option(dir_okay=False, metavar="OUT.jsonl", help="One line a trigger, verdict, order, report.")
    ] = None,
    pcap: Annotated[Path | None, typer.Option(dir_okay=False, metavar="OUT.pcap", help="Frames in and out.")] = None,
    wave: Annotated[Path | None, typer.Option(dir_okay=False, metavar="OUT.fst", help="Waves of all signals; slow.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
    pack: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Messages a packet, at most; ITCH files only.")] = 1,
    feed: Annotated[
        str | None, typer.Option(metavar="ADDRESS:PORT", help="The feed, where it is not a capture's first MoldUDP64 packet's.")
    ] = None,
    session: Annotated[str | None, typer.Option(metavar="NAME", help="Its session, where not that packet's.")] = None,
    first: Annotated[
        int | None, typer.Option(min=0, max=_SEQUENCE_MOST, metavar="N", help="Its first number, where not that packet's.")
    ] = None,
    push: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INDEX:FILE",
            help="Put a file's parameters and limits in force before this message; 0 is the first. May be repeated.",
        ),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, metavar="FILE", help="Start from what a run before saved with --save-ledger."),
    ] = None,
    save_ledger: Annotated[
        Path | None, typer.Option(dir_okay=False, metavar="OUT.json", help="What the card's ledger holds at the end.")
    ] = None,
    hold_until_fcs: Annotated[
        bool, typer.Option("--hold-until-fcs", help="Use a packet only after its check sequence was good.")
    ] = False,
    lose: Annotated[
        str | None,
        typer.Option(
            metavar="[SEED:]RATE|FIRST-LAST",
            help="Lose this part of the packets, 0 to 1, or those with these messages; ITCH files only. See [feed] recover.",
        ),
    ] = None,
    start_at: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Listen from this message on, 0 is the first; ITCH files only. See [recovery] reload_feed."
        ),
    ] = 0,
    server_keeps: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="The retransmission server has the last N messages, 0: all. See [feed] recover."),
    ] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check call and files, show what would be loaded as the card's integers, and stop.")
    ] = False,
) -> None:
    """Run market data through the gateware, or its twin.

    Takes ITCH 5.0 files (u16 length before each message) and captures (pcap, pcapng) of MoldUDP64, plain, gzip or zstd. Symbols
    are found by the directory messages, or by `NAME=LOCATE`. With no symbol and no configuration, every symbol is watched, up to
    the card's slot count.

        t2t replay day.itch.gz --symbol AAPL --bbo bbo.csv
        t2t replay part.itch --symbol AAPL=13 --symbol MSFT=5120 --json
        t2t replay feed.pcap --config pairs.toml --orders orders.jsonl
        t2t replay day.itch --config pairs.toml --push 20000:tighter.toml --orders orders.jsonl
        t2t replay day.itch --config recover.toml --lose 0.01
        t2t replay day.itch --config rejoin.toml --lose 20000-25000 --server-keeps 1000 --bbo bbo.csv
        t2t replay day.itch --config rejoin.toml --start-at 20000 --bbo bbo.csv
        t2t replay morning.itch --config pairs.toml --save-ledger noon.json
        t2t replay afternoon.itch --config pairs.toml --ledger noon.json
        t2t replay day.itch.gz --engine twin --bbo bbo.csv
        t2t replay day.itch.gz --engine twin --config pairs.toml --orders orders.jsonl
    """
    if engine is Engine.TWIN:
        _refuse_what_the_twin_lacks(
            pcap=pcap, wave=wave, lose=lose, start_at=start_at, server_keeps=server_keeps, ledger=ledger, save_ledger=save_ledger
        )
    if save_ledger is not None and not save_ledger.parent.is_dir():
        fail(Exit.USAGE, f"--save-ledger {save_ledger}: there is no folder {save_ledger.parent}")
    geometry = PRESETS[preset.value]
    wanted = _wanted(feed, session, first)
    losses = None if lose is None else _losses(lose)
    try:
        with ExitStack() as stack:
            configuration = config.load(files or (), geometry, symbols=symbol or ())
            wanted = replace(wanted, line_b=config.line_units(configuration.line_b))
            pushes = [_push(text, configuration, geometry, symbol or ()) for text in push or ()]
            start = None if ledger is None else _start(ledger, configuration)
            given = open_input(stack.enter_context(Source(file)), wanted, pack=pack)
            _refuse_what_nothing_would_use(configuration, start_at=start_at, server_keeps=server_keeps)
            if given.records is None:
                _refuse_what_a_capture_lacks(configuration, lose=lose, start_at=start_at, server_keeps=server_keeps)
            if start_at:
                given = replace(given, stimuli=from_the_middle(given.stimuli, start_at))
            if losses is not None:
                given = replace(given, stimuli=lossy(given.stimuli, given.feed, losses))
            if dry_run:
                print(json.dumps(_resolved(configuration, given.feed, geometry), indent=2))
                return
            if engine is Engine.TWIN:
                _refuse_what_its_trading_lacks(configuration, given, geometry, orders, push, hold_until_fcs)
            outputs = _outputs(stack, bbo, orders, pcap, geometry)
            run: Replay | TwinReplay
            card: simulated.SimulatedCard | TwinCard
            if engine is Engine.TWIN and configuration.pairs:
                card = TwinCard(geometry)
                run = _run(card, configuration, given, outputs, hold_until_fcs=False, pushes=pushes)
            elif engine is Engine.TWIN:
                run = run_twin(configuration, given, geometry, bbo=outputs.bbo, hold_until_fcs=hold_until_fcs)
            else:
                card = stack.enter_context(simulated.SimulatedCard(geometry, wave=wave))
                run = _run(
                    card, configuration, given, outputs, hold_until_fcs=hold_until_fcs, pushes=pushes, start=start,
                    start_at=start_at, server_keeps=server_keeps,
                )  # fmt: skip
                if save_ledger is not None:
                    snapshot.save(run.snapshot(), save_ledger)
            summary: MarketSummary = run.summary(file=str(file), form=given.form, engine=engine.value)
            if isinstance(summary, Summary) and isinstance(card, TwinCard):
                summary = TradingTwinSummary(**dict(summary), not_modelled=card.not_modelled)
    except ConfigError as error:
        fail(Exit.USAGE, *error.problems)
    except InputError as error:
        fail(Exit.INPUT, f"{file}: {error}")
    except OSError as error:
        written = [str(path) for path in (bbo, orders, pcap, wave, save_ledger) if path]
        fail(Exit.USAGE, f"{error.filename or ', '.join(written) or file}: {error.strerror or error}")
    except ToolError as error:
        fail(Exit.TOOL, str(error))
    except (CardError, simulated.CardError) as error:
        fail(Exit.CARD, str(error))
    other_feeds = tuple(given.capture.other_feeds) if given.capture else ()
    summary = summary.model_copy(update={"findings": (*summary.findings, *_found_in(given)), "other_feeds": other_feeds})
    _report(summary, as_json=as_json, seconds=run.seconds)
    if any(finding.startswith("interrupted") for finding in summary.findings):
        raise typer.Exit(Exit.INTERRUPTED)
    if summary.findings:
        raise typer.Exit(Exit.FINDINGS)


@app.command("compare", epilog="Exit codes: 0 equal. 1 different. Others as everywhere, see: t2t --help")
def compare_engines(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, show_default=False, help="ITCH file or capture.")],
    symbol: Annotated[
        list[str] | None, typer.Option("--symbol", "-s", metavar="NAME[=LOCATE]", help="Watch this symbol. May be repeated.")
    ] = None,
    files: Annotated[
        list[Path] | None, typer.Option("--config", "-c", metavar="FILE", help="TOML file. May be repeated.")
    ] = None,
    preset: Annotated[Preset, typer.Option(help="Sizes of the card.")] = Preset.LARGE,
    pack: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Messages a packet, at most; ITCH files only.")] = 1,
    push: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INDEX:FILE",
            help="Put a file's parameters and limits in force before this message; 0 is the first. May be repeated.",
        ),
    ] = None,
    hold_until_fcs: Annotated[
        bool, typer.Option("--hold-until-fcs", help="Use a packet only after its check sequence was good.")
    ] = False,
    ledger: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, metavar="FILE", help="Start from what a run before saved with --save-ledger."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Run market data through gateware and twin, and show where they part first.

    Best bids and offers, changes of integrity and counts must be the same, message for message. Where a configuration has
    pairs, so must triggers, verdicts with all their reasons, orders, reports, fills, positions, cash and the sums of all
    symbols; in mode LIVE the simulated exchange answers the card, and the twin gets the same answers at the same clocks.

        t2t compare day.itch --symbol AAPL
        t2t compare day.itch --config pairs.toml
        t2t compare day.itch --config pairs.toml --push 20000:tighter.toml
    """
    if not file.is_file():
        fail(Exit.USAGE, f"{file}: a comparison reads its input three times; allowed is a file, not a pipe")
    geometry = PRESETS[preset.value]
    recorder = compare.Recorder()
    with ExitStack() as stack:
        try:
            # The twin has no clock to wait by.
            at_once = config.FeedTable(gap_wait_us=Decimal(0))
            configuration = config.load(files or (), geometry, symbols=symbol or ())
            if configuration.pairs and hold_until_fcs:
                fail(Exit.USAGE, "--hold-until-fcs: trading is compared on messages as they come; leave it out, or the pairs")
            pushes = [_push(text, configuration, geometry, symbol or ()) for text in push or ()]
            configuration = replace(configuration, feed=at_once)
            pushes = [replace(each, configuration=replace(each.configuration, feed=at_once)) for each in pushes]

            def opened() -> Input:
                return open_input(stack.enter_context(Source(file)), Wanted(), pack=pack)

            given = opened()
            twin = run_twin(configuration, given, geometry, hold_until_fcs=hold_until_fcs, keep_rows=True)
            given = opened()
            if configuration.pairs and given.records is None:
                fail(Exit.USAGE, "pairs: trading is compared on ITCH files")
            start = None if ledger is None else _start(ledger, configuration)
            recording = stack.enter_context(RecordingCard(geometry))
            card = _run(
                recording, configuration, given, Outputs(), hold_until_fcs=hold_until_fcs, listen=recorder, pushes=pushes,
                start=start,
            )  # fmt: skip
            told = card.summary(file=str(file), form=given.form, engine="")
            summary = twin.summary(file=str(file), form=given.form, engine="")
            fresh = TwinReplay(geometry, configuration, given.feed, hold_until_fcs=hold_until_fcs)
            result = compare.compare(told, recorder, summary, twin, again=opened().stimuli, fresh=fresh)
            if configuration.pairs:
                result = result.with_trading(compare_trading.judge(recorder.records, recording, card, told, configuration))
        except ConfigError as error:
            fail(Exit.USAGE, *error.problems)
        except InputError as error:
            fail(Exit.INPUT, f"{file}: {error}")
        except ToolError as error:
            fail(Exit.TOOL, str(error))
        except (CardError, simulated.CardError) as error:
            fail(Exit.CARD, str(error))
    if as_json:
        print(result.model_dump_json(indent=2))
    else:
        compare.render(result, data_console())
    raise typer.Exit(Exit.OK if result.equal else Exit.FINDINGS)


def _refuse_what_the_twin_lacks(**options: object) -> None:
    wanted = [f"--{name.replace('_', '-')}" for name, given in options.items() if given]
    if wanted:
        fail(Exit.USAGE, f"{', '.join(wanted)}: a replay of the twin has neither wires nor signals; take --engine rtl")


def _refuse_what_a_capture_lacks(configuration: Configuration, **options: object) -> None:
    wanted = [f"--{name.replace('_', '-')}" for name, given in options.items() if given]
    wanted += ["[recovery] reload_feed"] * configuration.recovery.reload_feed
    if wanted:
        fail(Exit.USAGE, f"{', '.join(wanted)}: allowed with ITCH files; a capture holds what arrived")


def _refuse_what_nothing_would_use(configuration: Configuration, *, start_at: int, server_keeps: int) -> None:
    if start_at and not configuration.recovery.reload_feed:
        fail(Exit.USAGE, "--start-at: a book that begins in the middle of a day is wrong; allowed with [recovery] reload_feed")
    if server_keeps and not (configuration.feed.recover or configuration.recovery.reload_dead):
        fail(Exit.USAGE, "--server-keeps: nobody asks the server; allowed with [feed] recover or [recovery] reload_dead")


def _refuse_what_its_trading_lacks(
    configuration: Configuration,
    given: Input,
    geometry: Geometry,
    orders: Path | None,
    push: Sequence[str] | None,
    hold_until_fcs: bool,
) -> None:
    if not configuration.pairs:
        wanted = [name for name, value in (("--orders", orders), ("--push", push)) if value]
        if wanted:
            fail(Exit.USAGE, f"{', '.join(wanted)}: there are no pairs to trade; a --config with [[pairs]] has some")
        return
    lacks = {
        "a capture": given.records is None, "--hold-until-fcs": hold_until_fcs, "[feed] recover": configuration.feed.recover,
        "[recovery] reload_dead": configuration.recovery.reload_dead,
    }  # fmt: skip
    for name in (name for name, wanted in lacks.items() if wanted):
        fail(Exit.USAGE, f"{name}: the twin trades on ITCH files, as messages come; take --engine rtl")


def _push(text: str, configuration: Configuration, geometry: Geometry, symbols: Iterable[str]) -> Push:
    """A set to put in force as a replay goes; `ConfigError` names what no set can change."""
    index, _, file = text.partition(":")
    if not (index.isdecimal() and file):
        fail(Exit.USAGE, f"--push {text}: allowed is INDEX:FILE, for example 20000:tighter.toml")
    if not Path(file).is_file():
        fail(Exit.USAGE, f"--push {text}: there is no file {file}")
    other = config.load([Path(file)], geometry, symbols=symbols)
    if differences := config.beyond_a_set(configuration, other):
        raise ConfigError([f"{file}: {key}: a push cannot change it, loading the card anew can" for key in differences])
    return Push(int(index), other)


def _start(file: Path, configuration: Configuration) -> Snapshot:
    """What to start from; `ConfigError` names what this configuration cannot go on with."""
    found = snapshot.load(file)
    watched = [slot.symbol for slot in configuration.slots]
    unknown = [slot.symbol for slot in found.slots if slot.symbol not in watched and (slot.position or slot.cash)]
    allowed = f"allowed are the symbols watched: {', '.join(watched)}"
    problems = [f"{file}: slots: {symbol} was given; {allowed}" for symbol in unknown]
    problems += [
        f"{file}: orders: {order.user_ref_num} was given ({order.side} {order.open_shares} {order.symbol}); allowed is none: "
        "what became of it has to be asked of the exchange first"
        for order in found.orders
    ]
    if problems:
        raise ConfigError(problems)
    return found


def run_twin(
    configuration: Configuration,
    given: Input,
    geometry: Geometry,
    *,
    bbo: TextIO | None = None,
    hold_until_fcs: bool = False,
    keep_rows: bool = False,
) -> TwinReplay:
    """An input through the twin, to its end. `ConfigError` where it cannot do what is asked."""
    for name in ("reload_dead", "reload_feed"):
        if getattr(configuration.recovery, name):
            raise ConfigError([f"recovery.{name}: the twin gives no slot its orders anew; leave it out, or take --engine rtl"])
    replay = TwinReplay(geometry, configuration, given.feed, bbo=bbo, hold_until_fcs=hold_until_fcs, keep_rows=keep_rows)
    with _progress(replay, given.source):
        if given.records is not None:
            replay.run_file(given.source)
        else:
            replay.run_frames(given.stimuli)
    return replay


def _outputs(stack: ExitStack, bbo: Path | None, orders: Path | None, pcap: Path | None, geometry: Geometry) -> Outputs:
    return Outputs(
        bbo=stack.enter_context(bbo.open("w", newline="")) if bbo else None,
        orders=stack.enter_context(orders.open("w")) if orders else None,
        wire=WireLog(stack.enter_context(pcap.open("wb")), geometry.clock_hz) if pcap else None,
    )


def _run(
    card: WiredCard,
    configuration: Configuration,
    given: Input,
    outputs: Outputs,
    *,
    hold_until_fcs: bool,
    listen: compare.Recorder | None = None,
    pushes: Sequence[Push] = (),
    start: Snapshot | None = None,
    start_at: int = 0,
    server_keeps: int = 0,
) -> Replay:
    session, table, name = OrderSession(), configuration.recovery, given.feed.session
    late = bool(start_at)
    loader = Loader(card)
    loader.identify()
    feed = replace(given.feed, next_sequence=given.feed.next_sequence + start_at)
    loader.load(configuration, feed, session, hold_until_fcs=hold_until_fcs, late=late)
    if start is not None:
        loader.reload(start)
    loader.arm(configuration.mode)
    exchange = Venue(**session.at_exchange()) if configuration.mode is Mode.LIVE else None
    stimuli, recovery, reload, feed_reload = given.stimuli, None, None, None
    if configuration.feed.recover:
        server = RetransmissionServer(name, keep=server_keeps)
        stimuli, heard = _published(stimuli, server), Heard(name, server)
        recovery = Recovery(loader, name, table, heard if table.reload_feed else server)
    if table.reload_dead or table.reload_feed:
        server, glimpse = RetransmissionServer(name, keep=server_keeps), GlimpseServer(name)
        stimuli = _published(_published(stimuli, server), glimpse)
        reload = Reload(loader, name, table, server, glimpse)
    if table.reload_feed and recovery is not None and reload is not None:
        glimpse = GlimpseServer(name)
        stimuli = _published(stimuli, glimpse)
        feed_reload = FeedReload(loader, name, table, recovery, reload, glimpse, heard=heard, late=late)
    replay = Replay(
        card, loader, configuration, given.feed, exchange=exchange, outputs=outputs, recovery=recovery, reload=reload,
        feed_reload=feed_reload, listen=listen, pushes=pushes, start=start,
    )  # fmt: skip
    with _progress(replay, given.source):
        replay.run(stimuli)
    return replay


def _published(stimuli: Iterator[Stimulus], server: RetransmissionServer | GlimpseServer) -> Iterator[Stimulus]:
    """What the exchange sends, the server has."""
    for stimulus in stimuli:
        server.publish(stimulus.sequence, stimulus.messages)
        yield stimulus


def _found_in(given: Input) -> Iterator[str]:
    """What an input holds that was not used."""
    if given.capture is not None:
        yield from given.capture.findings
    records = given.records
    if records is not None and records.goes_on is not None:
        yield unread_behind(records.goes_on)
    if records is not None and records.odd_records:
        yield (
            f"input: {records.odd_records} records are not of ITCH 5.0 (type unknown, or not of its type's length), "
            f"the first at byte {records.first_odd}"
        )


def _report(summary: MarketSummary, *, as_json: bool, seconds: float) -> None:
    if as_json:
        print(summary.model_dump_json(indent=2))
    else:
        render(summary, data_console())
    if isinstance(summary, Summary):
        print(f"t2t: {summary.cycles:,} clocks in {seconds:.1f} s ({summary.cycles / seconds:,.0f}/s)", file=sys.stderr)
    else:
        print(f"t2t: {summary.records:,} messages in {seconds:.1f} s", file=sys.stderr)
    if as_json:
        for finding in summary.findings:
            print(f"t2t: {finding}", file=sys.stderr)


def _resolved(configuration: Configuration, feed: Feed, geometry: Geometry) -> dict[str, object]:
    """The configuration as the integers the card takes."""
    slots = {slot.symbol: number for number, slot in enumerate(configuration.slots)}
    return {
        "feed": feed.described(),
        "mode": configuration.mode.name.lower(),
        "slots": [{"slot": slots[slot.symbol], "symbol": slot.symbol, "locate": slot.locate} for slot in configuration.slots],
        "pairs": [
            {"pair": pair.title} | (config.legs_row(pair, slots) | config.pair_row(pair)) for pair in configuration.pairs
        ],
        "limits": [
            {"symbol": symbol} | ({"reference": config.price_units(limit.reference_usd)} | config.limit_row(limit))
            for symbol, limit in configuration.limits.items()
        ],
        "ceilings": config.ceilings_row(configuration.ceilings) if configuration.ceilings else None,
        "risk": config.risk_registers(configuration.risk, geometry)
        | {
            "ignore_market_hours": int(configuration.risk.ignore_market_hours),
            "watchdog": config.watchdog_clocks(configuration.risk, geometry),
        },
        "strategy": config.strategy_registers(configuration.strategy, geometry),
    }


@app.command(epilog="Example: t2t spec registers --json")
def spec(
    topic: Annotated[specification.Topic | None, typer.Argument(help="One of them, or all.", show_default=False)] = None,
    preset: Annotated[Preset, typer.Option(help="Sizes the register map is for.")] = Preset.LARGE,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show the definitions that gateware and host are made from: layouts, registers, events, reasons."""
    topics = [topic] if topic else list(specification.Topic)
    tables = {each.value: specification.describe(each, PRESETS[preset.value]) for each in topics}
    if as_json:
        print(json.dumps(tables, indent=2))
    else:
        specification.render(tables, data_console())


app.command()(doctor)
app.command()(synth)
app.command()(demo)
app.command()(generate)
app.command()(bench)


def main() -> None:
    """Entry point of the command `t2t`."""
    try:
        app()
    except OSError as error:
        # Standard output, or a file that is written, has no more room.
        print(f"t2t: {error}", file=sys.stderr)
        sys.exit(Exit.USAGE)


if __name__ == "__main__":
    main()
