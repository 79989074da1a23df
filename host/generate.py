"""`t2t generate`: an ITCH file of any size with the statistics of a real day."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import typer
import zstandard

from sim.generator import Traffic

_USAGE = 2


def generate(
    out: Annotated[Path, typer.Argument(dir_okay=False, show_default=False, metavar="OUT", help="File to write.")],
    messages: Annotated[int, typer.Option("--messages", "-n", metavar="N", help="Messages, exactly.")] = 1_000_000,
    seed: Annotated[int, typer.Option(metavar="S", help="Decides everything random.")] = 1,
    symbols: Annotated[int, typer.Option(metavar="K", help="Stocks; locates count from 1.")] = 128,
    zstd: Annotated[bool, typer.Option("--zstd", help="Compress it.")] = False,
) -> None:
    """Write an ITCH 5.0 file (u16 length before each message) with the traffic of a real day.

    Types, sizes, depths, bursts and live orders are as counted on real days; every reference is known and no book is crossed. The
    same seed gives the same bytes.

        t2t generate day.itch --messages 5000000 --seed 7
    """
    started = time.perf_counter()
    try:
        traffic = Traffic(messages=messages, seed=seed, symbols=symbols)
        size = _write(out, traffic.generate(), zstd=zstd)
    except (ValueError, OSError) as error:
        print(f"t2t: {error}", file=sys.stderr)
        raise typer.Exit(_USAGE) from None
    seconds = time.perf_counter() - started
    print(f"t2t: {messages:,} messages, {size:,} bytes before compression, in {seconds:.1f} s: {out}", file=sys.stderr)


def _write(out: Path, pieces: Iterable[bytes], *, zstd: bool) -> int:
    with ExitStack() as stack:
        file: BinaryIO = stack.enter_context(out.open("wb"))
        if zstd:
            file = cast(BinaryIO, stack.enter_context(zstandard.ZstdCompressor().stream_writer(file)))
        return sum(file.write(piece) and len(piece) for piece in pieces)
