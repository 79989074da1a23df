"""A stand-in for the card in tests of the code that loads it: registers that hold what was written, and a log of every access."""

from __future__ import annotations

from typing import Any

from hdl.spec.geometry import Geometry
from hdl.spec.reasons import TradingState
from hdl.spec.registers import REARM_KEYS, RegisterMap

SMALL = Geometry(slots=4, pairs=4, order_rows=16, ladder_ticks=64, book_queue=16, open_orders=16)


class FakeCard:
    """Registers and tables by name. `stuck` registers do not take what is written. KILLED and ceilings hold as in gateware."""

    def __init__(self, geometry: Geometry = SMALL, *, stuck: tuple[str, ...] = ()) -> None:
        self.geometry = geometry
        self.stuck = stuck
        self.log: list[tuple[Any, ...]] = []
        self.rows: dict[tuple[str, str, int], dict[str, int]] = {}
        self.busy_reads = 3
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
            ("risk", "trading_state"): 2,
        }

    def write(self, block: str, name: str, value: int) -> None:
        assert (block, name) in RegisterMap(self.geometry).places
        self.log.append(("write", block, name, value))
        killed = self.registers["risk", "trading_state"] == TradingState.KILLED
        if name == "rearm":
            self._key(value, killed=killed)
        elif name not in self.stuck and not (killed and name == "trading_state"):
            self.registers[block, name] = value

    def _key(self, key: int, *, killed: bool) -> None:
        first = self.registers.get(("risk", "rearm"), 0)
        if first and key == REARM_KEYS[1] and killed and not self.read("risk", "orders_open") and "rearm" not in self.stuck:
            self.registers["risk", "trading_state"] = TradingState.HALTED
        self.registers["risk", "rearm"] = int(key == REARM_KEYS[0])

    def read(self, block: str, name: str) -> int:
        if (block, name) == ("book", "ready"):
            self.busy_reads -= 1
            return int(self.busy_reads <= 0)
        return self.registers.get((block, name), 0)

    def write_row(self, block: str, table: str, row: int, **columns: int) -> None:
        place = RegisterMap(self.geometry)[block, table]
        assert 0 <= row < place.rows
        place.entry.pack(**columns)  # type: ignore[union-attr]
        self.log.append(("row", block, table, row))
        ceilings = self.rows.get(("risk", "ceilings", 0), {})
        above = table == "limits" and any(columns[name] > ceiling for name, ceiling in ceilings.items())
        if above or (table == "ceilings" and ceilings):
            self.registers["status", "limits_refused"] = self.read("status", "limits_refused") + 1
            return
        if table == "ceilings":
            self.registers["risk", "ceilings_locked"] = int("ceilings" not in self.stuck)
        self.rows[block, table, row] = columns

    def read_rows(self, block: str, table: str) -> dict[str, int]:
        return {}

    def pulse(self, block: str, name: str) -> None:
        self.log.append(("pulse", block, name))
