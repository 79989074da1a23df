"""The order table: 64-bit reference to order."""

from __future__ import annotations

from functools import reduce
from operator import or_, xor

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.book.quiet_read import quiet_read
from hdl.interfaces import Side
from hdl.spec.geometry import Geometry

REF_BITS = 64
BANKS = 2


class Change(enum.Enum, shape=2):
    """What a write does to the table."""

    INSERT = 0
    REDUCE = 1
    REMOVE = 2


def order(geometry: Geometry) -> data.StructLayout:
    """An order as stored. ``tick`` is the tick of its price, or where ``on_tick`` is 0 the price itself."""
    return data.StructLayout({"slot": geometry.slot_bits, "side": Side, "on_tick": 1, "tick": 32, "shares": 32})


def place(geometry: Geometry) -> data.StructLayout:
    """Where an order lies."""
    return data.StructLayout(
        {"bank": 1, "way": range(max(2, geometry.order_ways)), "row": (geometry.order_rows - 1).bit_length()}
    )


def lookup_result(geometry: Geometry) -> data.StructLayout:
    """``order`` lies at ``place`` if ``found``; ``free`` is where it could be put unless both rows are ``full``."""
    return data.StructLayout(
        {"found": 1, "place": place(geometry), "order": order(geometry), "full": 1, "free": place(geometry)}
    )


def table_change(geometry: Geometry) -> data.StructLayout:
    """One write: ``order`` under ``order_ref`` at ``place``."""
    return data.StructLayout({"change": Change, "place": place(geometry), "order_ref": REF_BITS, "order": order(geometry)})


def row_of(order_ref: Value, *, bank: int, row_bits: int) -> Value:
    """Row of a reference in a bank: its low bits XOR a fold of the others. Tag and row together give back all 64 bits, so equal
    tags in one row are equal references. The second bank turns each chunk by its own amount: what meets in one bank parts in the
    other."""
    chunks = [order_ref[at : at + row_bits] for at in range(0, REF_BITS, row_bits)]
    chunks[-1] = Cat(chunks[-1], Const(0, row_bits - len(chunks[-1]))) if len(chunks[-1]) < row_bits else chunks[-1]
    turned = [chunk.rotate_left((bank * number) % row_bits) for number, chunk in enumerate(chunks)]
    return reduce(xor, turned)


def rows_of(geometry: Geometry, order_ref: Value) -> list[Value]:
    """Row of a reference in each bank."""
    return [row_of(order_ref, bank=bank, row_bits=(geometry.order_rows - 1).bit_length()) for bank in range(BANKS)]


def asked(geometry: Geometry) -> data.StructLayout:
    """A reference and its rows; ``replaces``: the order found by the lookup one clock before goes.

    The rows come with it so that whoever chooses between references can do so behind the hash, not before it.
    """
    rows = data.ArrayLayout((geometry.order_rows - 1).bit_length(), BANKS)
    return data.StructLayout({"order_ref": REF_BITS, "rows": rows, "replaces": 1})


def scan(geometry: Geometry) -> data.StructLayout:
    """Whose orders are looked for, whether they are taken out, and in which row that begins."""
    return data.StructLayout(
        {"slot": geometry.slot_bits, "side": Side, "removes": 1, "row": (geometry.order_rows - 1).bit_length()}
    )


class OrderTable(wiring.Component):
    """Exact table of live orders by 64-bit reference, two hashed banks of several ways.

    A lookup reads one row of each bank, all ways at once. An order goes to the emptier of its two rows. Lookups may follow each
    other every clock; a lookup that ``replaces`` sees the table as if the order found by the lookup one clock before were gone.
    What a write changes is seen by lookups from the next clock on; in the clock of a write no lookup may be made.

    A scan gives every order of one slot and side that is on the grid, from a ``row`` on; during it no lookup or write may be
    made. It takes one clock a row, and for a row that holds such orders 2 more and two for each order beside the time the taker
    needs. ``pause`` ends it behind the next row it has seen, whose orders were given: ``through`` says whether that was the last
    one, and ``row`` from where another scan goes on. One that removes takes every order of the slot out, of either side and off
    the grid too, and gives none: a clock a row, and for a row that holds such orders one more and one for each.

    Parameters
    ----------
    geometry : Geometry
        `order_rows`, `order_ways`, `slots`.

    Members
    -------
    lookup : In(stream.Signature(asked(geometry), always_ready=True))
        Reference to look for.
    result : Out(stream.Signature(lookup_result(geometry), always_ready=True))
        Answer, `latency` clocks after the lookup.
    change : In(stream.Signature(table_change(geometry), always_ready=True))
        Write of one order.
    scan : In(stream.Signature({slot, side, removes, row}))
        Starts a scan; ready when none is under way.
    pause : In(1)
        The scan is to end as soon as it can.
    row : Out(row_bits)
        First row the last scan did not come to, if it was paused.
    through : Out(1)
        The last scan was not paused.
    found : Out(stream.Signature(order(geometry)))
        Orders found by the scan.
    clear : In(1)
        Forget everything; takes one clock a row.
    ready : Out(1)
        Low during a clear, which is also made after reset.
    live : Out(32)
        Orders in the table.
    peak : Out(32)
        Most orders there were since the last clear.

    Notes
    -----
    Latency 4: memory, its output register, tags compared, order selected. A reference whose rows are both full cannot be put in:
    ``full`` says so, nothing is evicted.
    """

    latency = 4

    def __init__(self, *, geometry: Geometry) -> None:
        self._geometry = geometry
        self._row_bits = (geometry.order_rows - 1).bit_length()
        self._tag_bits = REF_BITS - self._row_bits
        super().__init__(
            {
                "lookup": In(stream.Signature(asked(geometry), always_ready=True)),
                "result": Out(stream.Signature(lookup_result(geometry), always_ready=True)),
                "change": In(stream.Signature(table_change(geometry), always_ready=True)),
                "scan": In(stream.Signature(scan(geometry))),
                "pause": In(1),
                "row": Out(self._row_bits),
                "through": Out(1),
                "found": Out(stream.Signature(order(geometry))),
                "clear": In(1),
                "ready": Out(1),
                "live": Out(32),
                "peak": Out(32),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        geometry, ways = self._geometry, self._geometry.order_ways
        stored = data.StructLayout({"order": order(geometry), "tag": self._tag_bits, "live": 1})
        cells = [(bank, way) for bank in range(BANKS) for way in range(ways)]

        clearing = Signal(init=1)
        clear_row = Signal(self._row_bits)
        with m.If(clearing):
            m.d.sync += [clear_row.eq(clear_row + 1), clearing.eq(~clear_row.all())]
        with m.If(self.clear):
            m.d.sync += [clearing.eq(1), clear_row.eq(0)]
        m.d.comb += self.ready.eq(~clearing)

        # address: a lookup's rows, or the scan's
        scanning = Signal()
        scan_row = Signal(self._row_bits)
        rows = [Signal(self._row_bits, name=f"row_{bank}") for bank in range(BANKS)]
        for bank in range(BANKS):
            m.d.comb += rows[bank].eq(Mux(scanning, scan_row, self.lookup.p.rows[bank]))

        changed = Signal(stored)
        m.d.comb += [
            changed.order.eq(self.change.p.order),
            changed.tag.eq(self.change.p.order_ref[self._row_bits :]),
            changed.live.eq(self.change.p.change != Change.REMOVE),
        ]
        freeze = Signal()  # the scan looks at a row: what lies behind it waits
        removing, seen = Signal(), Signal(self._row_bits)  # the scan takes an order out; of the row it looks at
        select = Signal(len(cells))
        raw = {}
        for number, (bank, way) in enumerate(cells):
            ram = memory.Memory(shape=unsigned(stored.size), depth=geometry.order_rows, init=[])
            m.submodules[f"bank{bank}_way{way}"] = ram
            write = ram.write_port()
            here = (self.change.p.place.bank == bank) & (self.change.p.place.way == way)
            m.d.comb += [
                write.addr.eq(Mux(clearing, clear_row, Mux(removing, seen, self.change.p.place.row))),
                write.data.eq(Mux(clearing | removing, 0, changed.as_value())),
                write.en.eq(clearing | (self.change.valid & here) | (removing & select[number])),
            ]
            raw[bank, way] = stored(quiet_read(m, ram, write, address=rows[bank], name=f"raw_{bank}_{way}", hold=freeze))

        # what goes with the rows, one register a stage
        valid = [Signal(name=f"valid_{stage}") for stage in range(1, 5)]
        replaces = [Signal(name=f"replaces_{stage}") for stage in range(1, 4)]
        tag = [Signal(self._tag_bits, name=f"tag_{stage}") for stage in range(1, 3)]
        kept_rows = [[Signal(self._row_bits, name=f"row_{bank}_{stage}") for stage in range(1, 4)] for bank in range(BANKS)]
        for pipe, first in (
            (valid, self.lookup.valid),
            (replaces, self.lookup.p.replaces),
            (tag, self.lookup.p.order_ref[self._row_bits :]),
            *zip(kept_rows, rows, strict=True),
        ):
            m.d.sync += [after.eq(before) for before, after in zip([first, *pipe], pipe, strict=False)]

        # stage 2: output registers; stage 3: compared
        fetched = {cell: Signal(stored, name=f"fetched_{cell[0]}_{cell[1]}") for cell in cells}
        held = {cell: Signal(order(geometry), name=f"held_{cell[0]}_{cell[1]}") for cell in cells}
        wanted = Signal(self.scan.payload.shape())
        hits, lives, matches = (Signal(len(cells), name=name) for name in ("hits", "lives", "matches"))
        some = Signal()  # of the matches
        same_row = Signal(BANKS)
        match = {}
        for number, cell in enumerate(cells):
            row = fetched[cell]
            meant = (row.order.on_tick & (row.order.side == wanted.side)) | wanted.removes
            match[cell] = row.live & (row.order.slot == wanted.slot) & meant
            m.d.sync += [hits[number].eq(row.live & (row.tag == tag[1])), lives[number].eq(row.live)]
            with m.If(~freeze):
                m.d.sync += [row.eq(raw[cell]), held[cell].eq(row.order)]
        with m.If(~freeze):
            m.d.sync += [matches.eq(Cat(match.values())), some.eq(Cat(match.values()).any())]
        m.d.sync += [same_row[bank].eq(kept_rows[bank][1] == kept_rows[bank][2]) for bank in range(BANKS)]

        # stage 3 to 4: select
        hits_before = Signal(len(cells))
        leaving = Signal(len(cells))
        gone = Cat(same_row[bank].replicate(ways) for bank in range(BANKS)) & replaces[2].replicate(len(cells))
        m.d.sync += hits_before.eq(hits)
        m.d.comb += leaving.eq(hits_before & gone)
        pending = Signal(len(cells))
        staying = Signal(len(cells))
        m.d.comb += [
            staying.eq(hits & ~leaving),
            select.eq(Mux(scanning, pending & ~(pending - 1), staying)),
        ]
        answer = self.result.p
        selected = [Mux(select[number], held[cell].as_value(), 0) for number, cell in enumerate(cells)]
        way_of = [Mux(select[number], way, 0) for number, (_, way) in enumerate(cells)]
        with m.If(~(scanning & self.found.valid)):
            m.d.sync += answer.order.eq(reduce(or_, selected))
        found_bank = Signal()
        m.d.comb += found_bank.eq(staying[ways:].any())
        m.d.sync += [
            answer.found.eq(staying.any()),
            answer.place.bank.eq(found_bank),
            answer.place.way.eq(reduce(or_, way_of)),
            answer.place.row.eq(Mux(found_bank, kept_rows[1][2], kept_rows[0][2])),
        ]
        m.d.comb += self.result.valid.eq(valid[3])
        self._choose_free(m, lives & ~leaving, [kept_rows[bank][2] for bank in range(BANKS)])

        self._scan(m, scanning, scan_row, seen, wanted, matches, some, pending, freeze, removing)
        m.d.comb += self.found.payload.eq(answer.order)
        self._count(m, removing)
        return m

    def _choose_free(self, m: Module, lives: Value, rows: list[Value]) -> None:
        """First free way of the emptier row."""
        ways, free = self._geometry.order_ways, self.result.p.free
        used = [lives[bank * ways : (bank + 1) * ways] for bank in range(BANKS)]
        counts = [sum((bit for bit in bits), Const(0)) for bits in used]
        second = Signal()
        m.d.comb += second.eq(counts[1] < counts[0])
        first_free = [Signal(range(max(2, ways)), name=f"first_free_{bank}") for bank in range(BANKS)]
        for bank in range(BANKS):
            for way in reversed(range(ways)):
                with m.If(~used[bank][way]):
                    m.d.comb += first_free[bank].eq(way)
        m.d.sync += [
            free.bank.eq(second),
            free.way.eq(Mux(second, first_free[1], first_free[0])),
            free.row.eq(Mux(second, rows[1], rows[0])),
            self.result.p.full.eq(used[0].all() & used[1].all()),
        ]

    def _scan(
        self,
        m: Module,
        scanning: Signal,
        row: Signal,
        seen: Signal,
        wanted: data.View,
        matches: Signal,
        some: Signal,
        pending: Signal,
        freeze: Signal,
        removing: Signal,
    ) -> None:
        """Rows stream through the lookup's stages; where one holds wanted orders, those behind it wait until they are given, or
        taken out. `seen` is the row whose matches are next to come; a scan that is paused forgets those behind it."""
        on_way = Signal(3)  # rows read and not yet seen, by stage
        last = Signal()  # the last row was read
        steps = Signal()
        m.d.comb += [freeze.eq(scanning & ~steps), self.row.eq(seen)]
        with m.If(steps):
            m.d.sync += [
                row.eq(row + 1),
                last.eq(last | row.all()),
                on_way.eq(Cat(~last, on_way[:-1])),
                seen.eq(seen + on_way[-1]),
            ]
            with m.If(on_way[-1] & (seen.all() | self.pause)):
                m.d.sync += [scanning.eq(0), self.through.eq(seen.all())]
        with m.FSM():
            with m.State("READ"):
                m.d.comb += [self.scan.ready.eq(~scanning), steps.eq(scanning & ~(on_way[-1] & some))]
                with m.If(self.scan.valid & ~scanning):
                    m.d.sync += [wanted.eq(self.scan.p), row.eq(self.scan.p.row), seen.eq(self.scan.p.row)]
                    m.d.sync += [on_way.eq(0), last.eq(0), scanning.eq(1), self.through.eq(0)]
                with m.If(scanning & on_way[-1] & some):
                    m.d.sync += pending.eq(matches)
                    m.next = "PICK"
            with m.State("PICK"):
                rest = pending & (pending - 1)
                m.d.sync += [pending.eq(rest), self.found.valid.eq(~wanted.removes)]
                m.d.comb += removing.eq(wanted.removes)
                with m.If(~wanted.removes):
                    m.next = "OFFER"
                with m.Elif(~rest.any()):
                    m.next = "STEP"
            with m.State("OFFER"):
                with m.If(self.found.ready):
                    m.d.sync += self.found.valid.eq(0)
                    m.next = "PICK"
                    with m.If(~pending.any()):
                        m.next = "STEP"
            with m.State("STEP"):
                m.d.comb += steps.eq(1)
                m.next = "READ"

    def _count(self, m: Module, removing: Signal) -> None:
        live, peak = (Signal(range(self._geometry.order_capacity + 1), name=name) for name in ("live", "peak"))
        m.d.comb += [self.live.eq(live), self.peak.eq(peak)]
        with m.If(self.clear):
            m.d.sync += [live.eq(0), peak.eq(0)]
        with m.Elif(self.change.valid):
            with m.If(self.change.p.change == Change.INSERT):
                m.d.sync += live.eq(live + 1)
            with m.If(self.change.p.change == Change.REMOVE):
                m.d.sync += live.eq(live - 1)
        with m.Elif(removing):
            m.d.sync += live.eq(live - 1)
        with m.Elif(live > peak):
            m.d.sync += peak.eq(live)
