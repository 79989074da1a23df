"""The definitions in `hdl.spec` as rows, to be shown or given out as JSON."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from hdl.spec import events, itch, moldudp64, network, ouch, reasons, soupbintcp
from hdl.spec.geometry import PRESETS, Geometry
from hdl.spec.layout import Layout
from hdl.spec.registers import RegisterMap, Table

Row = dict[str, str | int]
Rows = list[Row]


class Topic(enum.StrEnum):
    """What can be shown."""

    ITCH = "itch"
    OUCH = "ouch"
    MOLDUDP64 = "moldudp64"
    SOUPBINTCP = "soupbintcp"
    NETWORK = "network"
    EVENTS = "events"
    REGISTERS = "registers"
    REASONS = "reasons"
    GEOMETRY = "geometry"


_REASONS = (
    reasons.Drop,
    reasons.Refusal,
    reasons.Miss,
    reasons.Integrity,
    reasons.IntegrityCause,
    reasons.TradingState,
    reasons.Mode,
    reasons.Alarm,
    reasons.OrderState,
    reasons.PairAction,
    reasons.PairOutcome,
)


def describe(topic: Topic, geometry: Geometry) -> Rows:
    """Rows of a topic; all have the same keys."""
    if topic is Topic.REGISTERS:
        return _registers(geometry)
    if topic is Topic.REASONS:
        return [{"kind": kind.__name__, "number": each.value, "name": each.name.lower()} for kind in _REASONS for each in kind]
    if topic is Topic.GEOMETRY:
        return [_sizes(name, each) for name, each in PRESETS.items()]
    return [row for layout in _LAYOUTS[topic] for row in _fields(layout)]


def _unique(module: object) -> tuple[Layout, ...]:
    return tuple(value for value in vars(module).values() if isinstance(value, Layout))


_LAYOUTS: Mapping[Topic, Iterable[Layout]] = {
    Topic.ITCH: tuple(itch.MESSAGES.values()),
    Topic.OUCH: _unique(ouch),
    Topic.MOLDUDP64: _unique(moldudp64),
    Topic.SOUPBINTCP: _unique(soupbintcp),
    Topic.NETWORK: _unique(network),
    Topic.EVENTS: tuple(events.RECORDS.values()),
}


def _fields(layout: Layout) -> Rows:
    return [
        {
            "layout": layout.name,
            "code": layout.code,
            "offset": layout.offset(field.name),
            "size": field.size,
            "kind": field.kind.value,
            "field": field.name,
            "doc": field.doc,
        }
        for field in layout
    ]


def _registers(geometry: Geometry) -> Rows:
    rows: Rows = []
    for place in RegisterMap(geometry):
        entry = place.entry
        head: Row = {"block": place.block.name, "name": entry.name, "address": f"0x{place.address:05x}", "rows": place.rows}
        if isinstance(entry, Table):
            rows += [
                head | {"column": column.name, "bits": column.bits, "access": entry.access.value, "doc": column.doc}
                for column in entry.columns
            ]
        else:
            rows.append(head | {"column": "", "bits": entry.bits, "access": entry.access.value, "doc": entry.doc})
    return rows


def _sizes(preset: str, geometry: Geometry) -> Row:
    return {
        "preset": preset,
        "width": geometry.width,
        "slots": geometry.slots,
        "pairs": geometry.pairs,
        "order_capacity": geometry.order_capacity,
        "ladder_ticks": geometry.ladder_ticks,
        "book_queue": geometry.book_queue,
        "open_orders": geometry.open_orders,
        "ring_messages": geometry.ring_messages,
        "adaptive": int(geometry.adaptive),
        "repair": int(geometry.repair),
        "line_rate": int(geometry.line_rate),
    }


def render(tables: Mapping[str, Rows], console: Console) -> None:
    """Write rows as tables."""
    for title, rows in tables.items():
        table = RichTable(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        for name in rows[0]:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(str(value) for value in row.values()))
        console.print(table)
