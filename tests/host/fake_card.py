"""A stand-in for the card in tests of the code that loads it: registers that hold what was written, and a log of every access."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hdl.spec.geometry import Geometry
from hdl.spec.reasons import TradingState
from hdl.spec.registers import (
    CARD_LIMITS,
    LEDGER_VIEWS,
    REARM_KEYS,
    VIEW_WORDS,
    Access,
    Register,
    RegisterMap,
    Table,
    checksum,
)

SMALL = Geometry(slots=4, pairs=4, order_rows=16, ladder_ticks=64, book_queue=16, open_orders=16)


class FakeCard:
    """Registers and tables by name. `stuck` registers do not take what is written. KILLED, ceilings and sets hold as in gateware:
    `rows` and `registers` hold what was staged, `live` what was committed."""

    def __init__(self, geometry: Geometry = SMALL, *, stuck: tuple[str, ...] = ()) -> None:
        self.geometry = geometry
        self.stuck = stuck
        self.log: list[tuple[Any, ...]] = []
        self.rows: dict[tuple[str, str, int], dict[str, int]] = {}
        self.busy_reads = 3
        self.live: dict[tuple[Any, ...], Any] = {}
        self.views: dict[tuple[str, int], dict[str, int]] = {}
        """Rows of the ledger, where they hold something; `booked` is called before each word that is read."""
        self.booked: Callable[[], None] = lambda: None
        self._fresh: dict[str, int] = {"pairs": 0, "limits": 0}
        self._broken = False
        self.registers: dict[tuple[str, str], int] = {
            ("identity", "magic"): 0x54325431,
            ("identity", "map_digest"): RegisterMap(geometry).digest,
            ("identity", "width"): geometry.width,
            ("identity", "slots"): geometry.slots,
            ("identity", "pairs"): geometry.pairs,
            ("identity", "order_capacity"): geometry.order_capacity,
            ("identity", "ladder_ticks"): geometry.ladder_ticks,
            ("identity", "open_orders"): geometry.open_orders,
            ("identity", "ring_messages"): geometry.ring_messages,
            ("identity", "adaptive"): int(geometry.adaptive),
            ("identity", "repair"): int(geometry.repair),
            ("risk", "trading_state"): 2,
        }

    def write(self, block: str, name: str, value: int) -> None:
        place = RegisterMap(self.geometry)[block, name]
        assert isinstance(place.entry, Register)
        self._sum(place.address, [value >> 32 * word & 0xFFFFFFFF for word in range(place.entry.words)])
        self.log.append(("write", block, name, value))
        killed = self.registers["risk", "trading_state"] == TradingState.KILLED
        if name == "commit":
            self._commit(value)
        elif name == "rearm":
            self._key(value, killed=killed)
        elif name not in self.stuck and not (killed and name == "trading_state"):
            self.registers[block, name] = value

    def _sum(self, address: int, words: list[int]) -> None:
        for offset, word in enumerate(words):
            self.registers["risk", "checksum"] = checksum(self.read("risk", "checksum"), address + offset, word)

    def _refuse(self, counter: str) -> None:
        self.registers["status", counter] = self.read("status", counter) + 1

    def _commit(self, wanted: int) -> None:
        if wanted != self.read("risk", "epoch") + 1:
            return self._refuse("commits_wrong_epoch")
        ceilings = self.rows.get(("risk", "ceilings", 0), {})
        if any(self.read("risk", name) > ceilings.get(name, 1 << 64) for name in CARD_LIMITS):
            return self._refuse("commits_above_ceiling")
        if self._broken or self._fresh != {"pairs": self.geometry.pairs, "limits": self.geometry.slots}:
            return self._refuse("commits_incomplete")
        self.registers["risk", "epoch"] = wanted
        self._fresh = dict.fromkeys(self._fresh, 0)
        for place in RegisterMap(self.geometry):
            if place.entry.access is Access.SET:
                block, name = place.block.name, place.entry.name
                if isinstance(place.entry, Table):
                    self.live |= {(block, name, row): self.rows[block, name, row] for row in range(place.rows)}
                else:
                    self.live[block, name] = self.registers.get((block, name), 0)
        return None

    def _key(self, key: int, *, killed: bool) -> None:
        first = self.registers.get(("risk", "rearm"), 0)
        if first and key == REARM_KEYS[1] and killed and not self.read("risk", "orders_open") and "rearm" not in self.stuck:
            self.registers["risk", "trading_state"] = TradingState.HALTED
        self.registers["risk", "rearm"] = int(key == REARM_KEYS[0])

    def _view_word(self) -> int:
        self.booked()
        index, word = self.registers["risk", "inspect_ledger"] & 0xFFFF, self.registers["risk", "inspect_ledger"] >> 16
        view = LEDGER_VIEWS[word // VIEW_WORDS]
        zeros = {column.name: 0 for column in view.columns}
        return view.pack(**(zeros | self.views.get((view.name, index), {})))[word % VIEW_WORDS]

    def read(self, block: str, name: str) -> int:
        if name == "inspect_ledger_word":
            return self._view_word()
        if (block, name) == ("book", "ready"):
            self.busy_reads -= 1
            return int(self.busy_reads <= 0)
        return self.registers.get((block, name), 0)

    def write_row(self, block: str, table: str, row: int, **columns: int) -> None:
        place = RegisterMap(self.geometry)[block, table]
        assert 0 <= row < place.rows
        assert isinstance(place.entry, Table)
        self._sum(place.address + row * place.entry.stride, place.entry.pack(**columns))
        self.log.append(("row", block, table, row))
        if table == "reload":
            stopped = self.registers["risk", "trading_state"] in (TradingState.HALTED, TradingState.KILLED)
            if not stopped or "reload" in self.stuck:
                return self._refuse("structure_refused")
            self.views["ledger_slot", row] = {name: value for name, value in columns.items() if name != "price"}
        if table in self._fresh:
            if row not in (0, self._fresh[table]):
                return self._refuse("rows_out_of_turn")
            self._fresh[table] = row + 1
            if (table, row) == ("limits", 0):
                self._fresh["pairs"] = 0
            self._broken &= table != "limits" or row != 0
        ceilings = self.rows.get(("risk", "ceilings", 0), {})
        above = table == "limits" and any(columns.get(name, 0) > ceiling for name, ceiling in ceilings.items())
        if above or (table == "ceilings" and ceilings):
            self._broken |= table == "limits"
            return self._refuse("limits_refused")
        if table == "ceilings":
            self.registers["risk", "ceilings_locked"] = int("ceilings" not in self.stuck)
        self.rows[block, table, row] = columns
        return None

    def read_rows(self, block: str, table: str) -> dict[str, int]:
        return {}

    def pulse(self, block: str, name: str) -> None:
        self.log.append(("pulse", block, name))
