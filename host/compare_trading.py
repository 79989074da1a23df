"""The trading half of `t2t compare`: what a card did with its orders, and what the twin does with the same inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict
from rich.console import Console

from hdl.spec import events, itch
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import OrderState, Refusal, TradingState
from host import config
from host.config import Configuration
from host.journal import Journal, RecordingCard, journal
from host.legs import action_name
from host.loader import Loader
from host.replay import Replay
from host.summary import Summary
from sim.twin.trading import TradingTwin

_KINDS = tuple(
    layout.name
    for layout in (
        events.TRIGGER,
        events.VERDICT,
        events.ORDER_SENT,
        events.CANCEL_SENT,
        events.ORDER_STATE,
        events.FILL,
        events.ALARM,
    )
)
_NOT_TOLD = {"kind", "words", "lost", "number", "spare", "eot_to_sof", "som_to_sof", "trigger_type"}
_BEFORE = 6
"""Records shown in front of a difference."""
_SETTLED = 1 << 20
"""Clocks behind the end of a run in which every slot is counted."""

Said = dict[str, Any]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TradingDifference(_Model):
    """The first record in which the engines part."""

    what: str
    """Kind of the record."""
    index: int
    """0-based number among the records of its kind."""
    cycle: int
    rtl: Said | None
    twin: Said | None
    message: dict[str, int | str]
    """Message of the feed that led to it; empty where none did."""
    before: tuple[Said, ...]
    """What the gateware told before it."""


class TradingComparison(_Model):
    """Orders of gateware and twin on one input."""

    equal: bool
    records: dict[str, dict[str, int]]
    """By kind and engine."""
    counts: dict[str, tuple[str, str]]
    """Counts and sums that are not the same: the gateware's and the twin's."""
    difference: TradingDifference | None
    reasons: dict[str, int]
    """Orders refused, by reason, where any was."""
    misses: dict[str, int]


def trading_twin(configuration: Configuration, slots: Mapping[str, int], geometry: Geometry) -> TradingTwin:
    """The twin with pairs and limits, and every register as after a reset."""
    pairs = [config.legs_row(pair, slots) | config.pair_row(pair) for pair in configuration.pairs]
    limits = {
        slots[symbol]: config.limit_row(limit) | {"reference": config.price_units(limit.reference_usd)}
        for symbol, limit in configuration.limits.items()
    }
    return TradingTwin(
        geometry,
        pairs=pairs,
        lists=config.pairs_by_slot(pairs, geometry),
        limits=limits,
        settings={"trading_state": int(TradingState.HALTED)},
    )


def judge(
    records: Sequence[Mapping[str, Any]], card: RecordingCard, replay: Replay, summary: Summary, configuration: Configuration
) -> TradingComparison:
    """Run the twin on what a card was given and told, and compare."""
    loader = replay.loader
    locates = {locate: loader.slots[symbol] for symbol, locate in replay.locates.items() if locate}
    told = journal(
        records, card, slots=locates, ignore_market_hours=configuration.risk.ignore_market_hours, lost=summary.events_lost
    )
    twin = trading_twin(configuration, loader.slots, card.geometry)
    return compare_trading(told, summary, loader, twin)


def compare_trading(told: Journal, summary: Summary, loader: Loader, twin: TradingTwin) -> TradingComparison:
    """Run the twin on a card's journal and judge it.

    Parameters
    ----------
    told : Journal
        What the card was given and what it told.
    summary : Summary
        What its run came to.
    loader : Loader
        Of the card.
    twin : TradingTwin
        Set up as the card was, and not run yet.
    """
    twin.advance(
        told.rows, told.clocks, until=summary.cycles, inputs=told.inputs, leads=told.leads, heard=told.heard,
        sets=told.sets,
    )
    said: dict[str, tuple[list[Said | None], list[Said | None]]] = {name: ([], []) for name in _KINDS}
    engines: tuple[Sequence[Mapping[str, Any]], ...] = (told.records, twin.records)
    for side, records in enumerate(engines):
        for record in records:
            name = events.RECORDS[record["kind"]].name
            if name in said:
                # What the card's queue of records lost is no difference.
                said[name][side].extend([None] * record.get("lost", 0))
                said[name][side].append(_plain(record))
    difference = _first(said, told)
    counts = dict(_holes(told)) | dict(_counts(summary, loader, twin))
    return TradingComparison(
        equal=difference is None and not counts,
        records={name: {"rtl": len(one), "twin": len(other)} for name, (one, other) in said.items()},
        counts=counts,
        difference=difference,
        reasons={name: count for name, count in twin.refusals.items() if count},
        misses={name: count for name, count in twin.misses.items() if count},
    )


def _plain(record: Mapping[str, Any]) -> Said:
    return {name: value for name, value in record.items() if name not in _NOT_TOLD}


def _holes(told: Journal) -> Iterator[tuple[str, tuple[str, str]]]:
    """Touches that the card never gave pass for lost records where none says otherwise."""
    if told.hole is not None:
        before, lost, missing = told.hole
        where = "behind the last one told" if before is None else f"before that of message {before}"
        yield f"touches lost {where}", (str(lost), str(missing))


def _counts(summary: Summary, loader: Loader, twin: TradingTwin) -> Iterator[tuple[str, tuple[str, str]]]:
    """Counts and sums by name that differ."""
    told: list[tuple[str, Any, Any]] = [
        ("triggers", summary.triggers.requests, twin.triggers),
        ("trading state", summary.trading_state, twin.trading_state.name.lower()),
        ("loss reached", summary.portfolio.loss_reached, twin.loss_reached),
    ]
    if not summary.events_lost:
        verdicts = summary.verdicts
        told += [("orders passed", verdicts.passed, twin.passed), ("orders refused", verdicts.refused, twin.refused)]
    told += [(f"miss {name}", count, twin.misses[name]) for name, count in summary.triggers.misses.items()]
    told += [(f"refusal {name}", count, twin.refusals[name]) for name, count in summary.verdicts.by_reason.items()]
    sums = twin.sums(summary.cycles + _SETTLED)
    told += [(name, getattr(summary.portfolio, name), value) for name, value in sums.items()]
    for slot in summary.slots:
        held = twin.holding(slot.slot)
        told += [
            (f"{slot.symbol} {name.replace('_', ' ')}", getattr(slot, name), held[name])
            for name in ("position", "cash", "entry_shares", "entry_notional")
        ]
    samples = summary.samples, twin.samples
    told += [(f"samples {name}", *(getattr(side, name) for side in samples)) for name in ("taken", "lost", "cut")]
    told += [(f"statistics of pair {pair}", loader.statistics(pair), known) for pair, known in twin.samples.statistics.items()]
    for name, one, other in told:
        if one != other:
            yield name, (str(one), str(other))


def _first(
    told: Mapping[str, tuple[list[Said | None], list[Said | None]]], journal: Journal
) -> TradingDifference | None:
    """Where they part first, by the clock. A record that was lost is like any."""
    found: list[tuple[int, str, int, Said | None, Said | None]] = []
    for name, (one, other) in told.items():
        both = zip(one, other, strict=False)
        parted = (at for at, (card, twin) in enumerate(both) if card is not None and card != twin)
        same = next(parted, min(len(one), len(other)))
        said = [side[same] if same < len(side) else None for side in (one, other)]
        if any(said):
            found.append((min(each["cycle"] for each in said if each), name, same, said[0], said[1]))
    if not found:
        return None
    cycle, name, index, rtl, twin = min(found, key=lambda each: each[0])
    sequence = int((rtl or twin or {}).get("sequence", 0))
    before = [
        {"kind": events.RECORDS[record["kind"]].name} | _plain(record)
        for record in journal.records
        if events.RECORDS[record["kind"]].name in _KINDS and record["cycle"] < cycle
    ]
    return TradingDifference(
        what=name,
        index=index,
        cycle=cycle,
        rtl=_named(rtl),
        twin=_named(twin),
        message=_message(journal.messages.get(sequence, b"")),
        before=tuple(_named(each) or {} for each in before[-_BEFORE:]),
    )


def _named(said: Said | None) -> Said | None:
    """With names in place of numbers."""
    if said is None:
        return None
    named = dict(said)
    if "refusals" in said:
        mask = int(said["refusals"])
        named["refusals"] = " ".join(reason.name.lower() for reason in Refusal if mask >> reason & 1) or "none"
    if "action" in said:
        named["action"] = action_name(said["action"])
    if "state" in said:
        named["state"] = OrderState(said["state"]).name.lower()
    return named


def _message(raw: bytes) -> dict[str, int | str]:
    layout = itch.MESSAGES.get(raw[:1].decode("latin-1"))
    if layout is None or layout.size != len(raw):
        return {}
    return {name: value for name, value in layout.unpack(raw).items() if isinstance(value, int | str)}


def render(comparison: TradingComparison, console: Console) -> None:
    """Write a comparison for people."""
    counted = ", ".join(
        f"{sides['rtl']:,}" + ("" if sides["rtl"] == sides["twin"] else f" and {sides['twin']:,}") + f" {name}"
        for name, sides in comparison.records.items()
    )
    lines = [f"records of gateware and twin: {counted}"]
    for title, counts in (("refused", comparison.reasons), ("missed", comparison.misses)):
        if counts:
            lines.append(f"{title}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    lines += [f"  {name}: {one} in the gateware, {other} in the twin" for name, (one, other) in comparison.counts.items()]
    if comparison.difference is not None:
        lines += _shown(comparison.difference)
    for line in lines:
        console.print(line, markup=False, highlight=False)


def _shown(difference: TradingDifference) -> Iterator[str]:
    yield f"first difference: {difference.what} {difference.index}, clock {difference.cycle:,}"
    yield f"  rtl:  {_text(difference.rtl)}"
    yield f"  twin: {_text(difference.twin)}"
    if difference.message:
        yield f"  message {_text(difference.message)}"
    for record in difference.before:
        yield f"  before {_text(record)}"


def _text(fields: Mapping[str, int | str] | None) -> str:
    return "nothing" if fields is None else " ".join(f"{name}={value}" for name, value in fields.items())
