"""`t2t compare`: one input through gateware and twin, and where they part."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from rich.console import Console

from hdl.book.book import ALL_SLOTS
from hdl.spec import events, itch
from hdl.spec.reasons import WINDOW_CAUSES, Integrity, IntegrityCause
from host import compare_trading
from host.compare_trading import TradingComparison
from host.stimulus import Stimulus
from host.summary import MarketSummary
from host.twin_replay import CAUSES, TwinReplay
from sim.twin import ROW, Transition

_ROW_NAMES = tuple(name for name in ROW.names or () if name)
_BEFORE, _BEHIND = 5, 2
"""Messages of the symbol shown around a difference."""
_LEVELS = 5
_NOT_COMPARED = {"file", "engine", "findings", "drops", "slots"}


class Recorder:
    """Takes what a card says and keeps what the twin says too. Give it to `Replay` as `listen`."""

    def __init__(self) -> None:
        self.records: list[Mapping[str, Any]] = []
        self._rows: list[tuple[int, ...]] = []
        self.transitions: list[Transition] = []

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Take one event record."""
        self.records.append(record)
        if record["kind"] == events.BBO.code:
            self._rows.append(tuple(record[name] for name in _ROW_NAMES))
        elif record["kind"] == events.INTEGRITY.code:
            cause = IntegrityCause(record["cause"])
            state = Integrity(record["integrity"])
            # A window is filled between two messages, where the twin has no clock.
            if cause is not IntegrityCause.RELOADED and cause not in WINDOW_CAUSES:
                self.transitions.append(Transition(record["slot"], state, cause, record["sequence"], record["order_ref"]))

    @property
    def rows(self) -> NDArray[Any]:
        """BBO changes, `sim.twin.ROW`, by number: one that had to wait for its window comes behind those of other slots."""
        rows = np.array(self._rows, ROW)
        return rows[np.argsort(rows["sequence"], kind="stable")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(_Model):
    """A message of the input."""

    index: int
    """0-based number in the file."""
    fields: dict[str, int | str]
    """As it decodes; only `bytes`, in hexadecimal digits, where it is not ITCH 5.0."""


class Level(_Model):
    """A price and the shares there."""

    price: int
    shares: int


class Difference(_Model):
    """The first place at which the engines part."""

    what: str
    """``bbo`` or ``integrity``."""
    index: int
    """0-based number in the file of the message."""
    symbol: str
    rtl: dict[str, int | str] | None
    """What the gateware said, None where it said nothing there."""
    twin: dict[str, int | str] | None
    messages: tuple[Message, ...]
    """Messages of the symbol around it."""
    bids: tuple[Level, ...]
    """The twin's best levels before it."""
    asks: tuple[Level, ...]


class Comparison(_Model):
    """Gateware and twin on one input."""

    file: str
    format: str
    equal: bool
    records: int
    bbo_changes: dict[str, int]
    """Rows by engine."""
    transitions: dict[str, int]
    """Changes of integrity by engine."""
    counts: dict[str, tuple[str, str]]
    """Counts that are not the same: the gateware's and the twin's."""
    difference: Difference | None
    findings: tuple[str, ...]
    """What either engine found wrong with the input."""
    trading: TradingComparison | None = None
    """Of a configuration with pairs."""

    def with_trading(self, trading: TradingComparison) -> Comparison:
        """Equal where all of it is."""
        return self.model_copy(update={"trading": trading, "equal": self.equal and trading.equal})


def compare(
    card: MarketSummary,
    recorder: Recorder,
    summary: MarketSummary,
    twin: TwinReplay,
    *,
    again: Iterable[Stimulus],
    fresh: TwinReplay,
) -> Comparison:
    """Judge two runs of one input.

    Parameters
    ----------
    card, recorder : MarketSummary, Recorder
        The gateware's run.
    summary, twin : MarketSummary, TwinReplay
        The twin's run, with its rows.
    again : iterable of Stimulus
        The input once more, for the messages around a difference.
    fresh : TwinReplay
        A twin that has not run, for the book before it.
    """
    counts = dict(_counts(card, summary))
    rows = np.concatenate(twin.rows) if twin.rows else np.zeros(0, ROW)
    rows = rows[np.argsort(rows["sequence"], kind="stable")]
    lowered = [one for one in twin.twin.transitions if one.cause is not IntegrityCause.RELOADED]
    parted = _first(recorder.rows, rows, recorder.transitions, lowered)
    difference = None
    if parted is not None:
        what, one, other = parted
        difference = _described(what, one, other, twin, again, fresh)
    return Comparison(
        file=card.file,
        format=card.format,
        equal=parted is None and not counts,
        records=summary.records,
        bbo_changes={"rtl": len(recorder.rows), "twin": len(rows)},
        transitions={"rtl": len(recorder.transitions), "twin": len(lowered)},
        counts=counts,
        difference=difference,
        findings=tuple(dict.fromkeys((*card.findings, *summary.findings))),
    )


def _counts(card: MarketSummary, twin: MarketSummary) -> Iterator[tuple[str, tuple[str, str]]]:
    """Counts by name that differ."""
    for name in MarketSummary.model_fields.keys() - _NOT_COMPARED:
        one, other = getattr(card, name), getattr(twin, name)
        if one != other:
            yield name, (str(one), str(other))
    for cause in CAUSES:
        name = cause.name.lower()
        if card.drops[name] != twin.drops[name]:
            yield f"drops {name}", (str(card.drops[name]), str(twin.drops[name]))
    slots = [{slot.slot: slot for slot in summary.slots} for summary in (card, twin)]
    for number in sorted({*slots[0], *slots[1]}):
        for name in ("symbol", "locate", "bbo_changes", "integrity", "lowered_by"):
            values = [str(getattr(side[number], name)) if number in side else "no such slot" for side in slots]
            if values[0] != values[1]:
                yield f"slot {number} {name}", (values[0], values[1])


def _first(
    rows: NDArray[Any], other_rows: NDArray[Any], transitions: list[Transition], other_transitions: list[Transition]
) -> tuple[str, Any, Any] | None:
    """Where they part first: what, and what each of the two said there. Of both kinds the one with the earlier message."""
    found: list[tuple[int, str, Any, Any]] = []
    same = min(len(rows), len(other_rows))
    unequal = np.flatnonzero(rows[:same] != other_rows[:same])
    at = int(unequal[0]) if len(unequal) else same
    if at < max(len(rows), len(other_rows)):
        found.append(_parted("bbo", [_as_row(side[at]) if at < len(side) else None for side in (rows, other_rows)]))
    for one, other in _pairs(transitions, other_transitions):
        if one != other:
            found.append(_parted("integrity", [None if each is None else dict(vars(each)) for each in (one, other)]))
            break
    return min(found, key=lambda each: each[0])[1:] if found else None


def _parted(what: str, said: list[dict[str, Any] | None]) -> tuple[int, str, Any, Any]:
    """A difference is at the earlier of the two messages; the engine that is further says nothing there."""
    sequences = [one["sequence"] if one is not None else None for one in said]
    first = min(number for number in sequences if number is not None)
    one, other = (each if number == first else None for each, number in zip(said, sequences, strict=True))
    return first, what, one, other


def _pairs(one: list[Transition], other: list[Transition]) -> Iterator[tuple[Transition | None, Transition | None]]:
    longest = max(len(one), len(other))
    for at in range(longest):
        yield (one[at] if at < len(one) else None), (other[at] if at < len(other) else None)


def _as_row(row: Any) -> dict[str, int]:
    return {name: int(row[name]) for name in _ROW_NAMES}


def _described(
    what: str,
    one: dict[str, Any] | None,
    other: dict[str, Any] | None,
    twin: TwinReplay,
    again: Iterable[Stimulus],
    fresh: TwinReplay,
) -> Difference:
    said = one or other
    assert said is not None
    slot, sequence = said["slot"], said["sequence"]
    index = twin.place(sequence) if sequence else 0
    locate = None if slot == ALL_SLOTS else twin.twin.locate(slot)
    shown, before = _around(again, index, locate)
    fresh.run_frames(iter(before))
    bids, asks = ((), ()) if slot == ALL_SLOTS else fresh.twin.depth(slot, _LEVELS)
    return Difference(
        what=what,
        index=index,
        symbol="every symbol" if slot == ALL_SLOTS else twin.symbol(slot),
        rtl=_named(one),
        twin=_named(other),
        messages=shown,
        bids=tuple(Level(price=price, shares=shares) for price, shares in bids),
        asks=tuple(Level(price=price, shares=shares) for price, shares in asks),
    )


def _named(said: dict[str, Any] | None) -> dict[str, int | str] | None:
    if said is None:
        return None
    return {name: value.name.lower() if isinstance(value, Integrity | IntegrityCause) else value for name, value in said.items()}


def _around(again: Iterable[Stimulus], index: int, locate: int | None) -> tuple[tuple[Message, ...], list[Stimulus]]:
    """Messages of a locate (None: of all) around a place of the file, and the frames in front of the one that holds it."""
    head: deque[Message] = deque(maxlen=_BEFORE + 1)
    tail: list[Message] = []
    before: list[Stimulus] = []
    place = 0
    for stimulus in again:
        if place + len(stimulus.messages) <= index:
            before.append(stimulus)
        for message in stimulus.messages:
            if place == index or locate is None or message[1:3] == locate.to_bytes(2, "big"):
                (head if place <= index else tail).append(_message(place, message))
            place += 1
        if len(tail) >= _BEHIND:
            break
    return (*head, *islice(tail, _BEHIND)), before


def _message(index: int, raw: bytes) -> Message:
    layout = itch.MESSAGES.get(raw[:1].decode("latin-1"))
    if layout is None or layout.size != len(raw):
        return Message(index=index, fields={"bytes": raw.hex()})
    return Message(
        index=index, fields={name: value for name, value in layout.unpack(raw).items() if isinstance(value, int | str)}
    )


def render(comparison: Comparison, console: Console) -> None:
    """Write a comparison for people."""
    told = comparison.bbo_changes, comparison.transitions
    console.print(
        f"{comparison.file} ({comparison.format}): {comparison.records:,} messages, "
        f"{told[0]['rtl']:,} BBO changes of the gateware, {told[0]['twin']:,} of the twin, "
        f"{told[1]['rtl']:,} and {told[1]['twin']:,} changes of integrity",
        highlight=False,
    )
    for finding in comparison.findings:
        console.print(f"finding: {finding}", markup=False, highlight=False)
    if comparison.trading is not None:
        compare_trading.render(comparison.trading, console)
    if comparison.equal:
        console.print("equal", style="bold green")
        return
    console.print("different", style="bold red")
    for name, (one, other) in comparison.counts.items():
        console.print(f"  {name}: {one} in the gateware, {other} in the twin", markup=False, highlight=False)
    if comparison.difference is not None:
        _render_difference(comparison.difference, console)


def _render_difference(difference: Difference, console: Console) -> None:
    lines = [
        f"first difference ({difference.what}) at message {difference.index}, {difference.symbol}",
        f"  rtl:  {_text(difference.rtl)}",
        f"  twin: {_text(difference.twin)}",
        "  the twin's book before it",
    ]
    lines += [f"    {side} {level.price / 10_000:.4f} x {level.shares:,}" for side, level in _ladder(difference)] or ["    empty"]
    lines.append("  messages")
    for message in difference.messages:
        lines.append(f"  {'>' if message.index == difference.index else ' '} {message.index} {_text(message.fields)}")
    for line in lines:
        console.print(line, markup=False, highlight=False)


def _ladder(difference: Difference) -> Iterator[tuple[str, Level]]:
    yield from (("ask", level) for level in reversed(difference.asks))
    yield from (("bid", level) for level in difference.bids)


def _text(fields: Mapping[str, int | str] | None) -> str:
    return "nothing" if fields is None else " ".join(f"{name}={value}" for name, value in fields.items())
