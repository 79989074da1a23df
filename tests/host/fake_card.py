"""A stand-in for the card in tests of the code that loads it: registers that hold what was written, and a log of every access."""

from __future__ import annotations

from typing import Any

from hdl.spec.geometry import Geometry
from hdl.spec.registers import RegisterMap

SMALL = Geometry(slots=4, pairs=4, order_rows=16, ladder_ticks=64, book_queue=16, open_orders=16)


class FakeCard:
    """Registers and tables by name. `stuck` registers do not take what is written."""

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
            ("risk", "trading_state"): 2,
        }

    def write(self, block: str, name: str, value: int) -> None:
        assert (block, name) in RegisterMap(self.geometry).places
        self.log.append(("write", block, name, value))
        if name not in self.stuck:
            self.registers[block, name] = value

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
        self.rows[block, table, row] = columns

    def read_rows(self, block: str, table: str) -> dict[str, int]:
        return {}

    def pulse(self, block: str, name: str) -> None:
        self.log.append(("pulse", block, name))
