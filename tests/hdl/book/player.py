"""Plays messages into an OrderBook under Verilator and gives back what came out, clock by clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from amaranth.lib import data

from hdl.book.book import Book
from hdl.book.books import book_of
from hdl.interfaces import Side, bbo, decoded, event
from hdl.spec import events, itch
from hdl.spec.geometry import Geometry
from hdl.spec.injection import Mark
from hdl.spec.reasons import WINDOW_CAUSES, Drop, Integrity, IntegrityCause
from tests.support.bench import run_cocotb

MODULE = "tests.hdl.book.cocotb_order_book"


def decode(raw: bytes, geometry: Geometry, *, slot: int, number: int, watched: int = 1, mark: Mark = Mark.LINE) -> int:
    """What the decoder makes of a message, as the bits of its payload; of one that is malformed all else is ones."""
    if len(raw) != itch.MESSAGES[chr(raw[0])].size:
        return _malformed(raw, geometry, slot=slot, number=number)
    fields = itch.MESSAGES[chr(raw[0])].unpack(raw)
    shares = next((fields[name] for name in ("shares", "executed_shares", "cancelled_shares") if name in fields), 0)
    members = {
        "type": raw[0],
        "locate": fields["stock_locate"],
        "slot": slot,
        "watched": watched,
        "mark": mark,
        "for_book": int(bool(watched) and chr(raw[0]) in "AFECXDUP"),
        "timestamp": fields["timestamp"],
        "order_ref": fields.get("order_ref", fields.get("orig_order_ref", 0)),
        "new_order_ref": fields.get("new_order_ref", 0),
        "side": Side.SELL if fields.get("side") == "S" else Side.BUY,
        "shares": shares & 0xFFFFFFFF,
        "price": fields.get("price", fields.get("execution_price", fields.get("cross_price", 0))),
        "code": ord(fields.get("printable", "\0")),
        "sequence": number,
        "som": number & 0xFFFFFFFF,
        "eot": (number + 1) & 0xFFFFFFFF,
    }
    return decoded(geometry).const(members).as_value().value


def _malformed(raw: bytes, geometry: Geometry, *, slot: int, number: int) -> int:
    short = len(raw) < itch.HEADER_BYTES
    members: dict[str, Any] = dict.fromkeys(decoded(geometry).members, -1) | {"side": Side.SELL, "mark": Mark.LINE}
    members |= {"type": raw[0], "slot": slot, "sequence": number, "watched": int(not short), "passed": int(short)}
    return decoded(geometry).const(members).as_value().value


def step(gap: int, message: int = 0, **controls: int) -> dict[str, Any]:
    """`gap` clocks after the last step, a message (if not 0) and controls (`clear`, `declare_exact`, `recovered`, `given_up`,
    `suspect` and its cause; `detached`: which slot is from here on, one bit)."""
    return {"gap": gap, "message": hex(message), **controls}


@dataclass
class Seen:
    """What came out. Clocks count from the first step; every message's own clock is in `sent` by its number."""

    bbo: list[dict[str, int]]
    trades: list[tuple[int, int, int]]
    events: list[dict[str, int]]
    drops: list[int]
    accepts: list[tuple[int, int]]
    integrity: list[int]
    live: int
    peak: int
    sent: dict[int, int]
    lost_private: list[int]
    states: list[tuple[int, list[int]]]
    """Each change of what the slots show, and its clock."""
    unreadable: list[int]

    @property
    def rows(self) -> list[tuple[int, ...]]:
        """Message number, slot and best bid and offer, by number: what waits for its window comes behind those of others."""
        return sorted(self.told)

    @property
    def told(self) -> list[tuple[int, ...]]:
        """The same as they came."""
        names = ("sequence", "slot", "bid_price", "bid_shares", "ask_price", "ask_shares")
        return [tuple(row[name] for name in names) for row in self.bbo]

    @property
    def filled(self) -> list[tuple[int, int, int, int]]:
        """Message number and slot of every window that ran empty, and the clocks in which that began and ended."""
        began, filled = {}, []
        for one in self.events:
            if one["cause"] == IntegrityCause.WINDOW:
                assert one["slot"] not in began
                began[one["slot"]] = one
            elif one["cause"] == IntegrityCause.REFILLED:
                first = began.pop(one["slot"])
                assert one["sequence"] == first["sequence"]
                filled.append((one["sequence"], one["slot"], first["clock"], one["clock"]))
        assert not began
        return filled

    @property
    def changes(self) -> list[dict[str, int]]:
        """Records of integrity but for those that windows are filled."""
        return [one for one in self.events if one["cause"] not in WINDOW_CAUSES]

    @property
    def faults(self) -> list[tuple[int, int, str]]:
        """Message number, slot and cause of every slot that became DEAD."""
        return [
            (one["sequence"], one["slot"], IntegrityCause(one["cause"]).name)
            for one in self.changes
            if one["integrity"] == Integrity.DEAD
        ]

    def shown(self, slot: int, clock: int) -> int:
        """What a slot shows in a clock."""
        return next(states for since, states in reversed(self.states) if since <= clock)[slot]

    def latency(self, number: int) -> int:
        """Clocks from message to its best bid and offer."""
        (row,) = [row for row in self.bbo if row["sequence"] == number]
        return row["clock"] - self.sent[number]


@cache
def _book(geometry: Geometry) -> Book:
    return book_of(geometry)


def play(geometry: Geometry, steps: list[dict[str, Any]], folder: Path, *, settle: int = 200) -> Seen:
    """Play the steps from an empty book on, then run `settle` clocks more."""
    scenario, result = folder / "scenario.json", folder / "result.json"
    layout = decoded(geometry)
    stays = sum(layout.const({name: -1}).as_value().value for name in ("slot", "watched"))
    scenario.write_text(json.dumps({"steps": steps, "settle": settle, "slots": geometry.slots, "stays": stays}))
    parameters = {"SCENARIO": str(scenario), "RESULT": str(result)}
    run_cocotb(_book(geometry), module=MODULE, name="order_book", parameters=parameters)
    raw = json.loads(result.read_text())
    sent = {view.sequence: clock for clock, view in _views(decoded(geometry), raw["sent"])}
    rows = []
    for clock, view in _views(bbo(geometry), raw["bbo"]):
        row = {name: view[name] for name in ("slot", "type", "timestamp", "sequence", "som", "eot")}
        rows.append(row | {name: view.touch[name] for name in view.touch.shape().members} | {"clock": clock})
    records = [
        {name: view[name] for name in view.shape().members} | {"clock": clock}
        for clock, view in _views(event(events.INTEGRITY), raw["events"])
    ]
    trade = data.StructLayout({"slot": geometry.slot_bits, "price": 32})
    trades = [(clock, view.slot, view.price) for clock, view in _views(trade, raw["trades"])]
    accepts = [(clock, int(bits, 16)) for clock, bits in raw["accepts"]]
    assert all(int(mask, 16) == 1 << Drop.BOOK_OVERRUN for _, mask in raw["drops"])
    for row in rows:
        # Who looks up by `accept` what the touch concerns has looked up the right slot, and had the time for it. At line rate the
        # first of those that follow each other closely is announced alone, five clocks ahead.
        clock, slot = max((one for one in accepts if one[0] < row["clock"]), default=(-1, None))
        if geometry.line_rate and clock != row["clock"] - 5:
            assert clock < row["clock"] - 5
            continue
        assert slot == row["slot"] and clock <= row["clock"] - 5
    integrity = _states(raw["integrity"], geometry)
    drops = [clock for clock, _ in raw["drops"]]
    states = [(clock, _states(bits, geometry)) for clock, bits in raw["states"]]
    ends = raw["live"], raw["peak"], sent, raw["lost_private"], states, [clock for clock, _ in raw["unreadable"]]
    return Seen(rows, trades, records, drops, accepts, integrity, *ends)


def _states(bits: int, geometry: Geometry) -> list[int]:
    return [bits >> 2 * slot & 3 for slot in range(geometry.slots)]


def _views(layout: data.StructLayout, rows: list[tuple[int, str]]) -> Iterator[tuple[int, Any]]:
    """Clock and decoded payload of each row."""
    for clock, bits in rows:
        yield clock, layout.from_bits(int(bits, 16))
