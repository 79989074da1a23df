"""The twin in place of the simulated card: the same calls, the same clocks, and no gateware.

Frames come in byte by byte as on the wire, so that the clock of every message is known; decoder and book say what it changes, the
trading twin what follows, and the order session what leaves and when the exchange's answer is booked. Host code cannot tell it
from a card but for what `TwinCard.not_modelled` says.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from hdl.order.order_transmitter import client_order_id
from hdl.order.segment_template import Form
from hdl.spec import events, network, ouch, soupbintcp
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Alarm, Drop, Miss, Refusal, TradingState
from hdl.spec.registers import LEDGER_SLOT, LEDGER_VIEWS, MAGIC, VIEW_WORDS, Register, RegisterMap, Table, checksum
from hdl.spec.statistics import Statistics
from host.card import CardError
from host.journal import WRITTEN, Input, Sales, Writings, messages_of
from host.stimulus import wire_cycles
from host.twin_records import RecordQueue
from sim.card import OutFrame
from sim.tcp import Connection, Endpoint
from sim.twin import ROW, Receiver, Transition, Twin
from sim.twin.book_clocks import Heard, book_clocks
from sim.twin.status import MarketStatus
from sim.twin.timing import Timing
from sim.twin.trade import state as at
from sim.twin.trade.gate import BOOKED_BY
from sim.twin.trade.state import IN_INTEGRITY, IN_ORDER, IN_REPORT, IN_SEGMENT, IN_TRADE
from sim.twin.trading import SUMS, TradingTwin

_READ, _SEEN = 13, 4
"""Clocks of a word that is read; what is read is what stood there so many clocks before the end."""
_INTEGRITY = 8
"""From a frame's first beat to the record of the books that a gap before it makes doubtful."""
_FETCHED, _TAKEN_UP = 3, 4
"""From the clock in which bytes of a report are fetched to the first of them, and from its last one to the clock in which the
ledger could take it up."""
_BOOKS = 4
"""Clocks from there to the booking."""
_FETCHES = 2
"""More of them where a trade is broken."""
_WIRE = 1
"""From SOF to the preamble on the wire."""
_AROUND = len(network.PREAMBLE) + network.FCS_BYTES
"""Bytes of a frame on the wire beside its own."""
_INSPECTS = 12
"""Clocks from a write to the statistics it asks for, where no sample is at work."""
_NO_PAIR = 0xFFFF
_LOOKED_BACK = 8
"""Messages heard before that tell how long the feed is silent."""
_QUIET = 300
_ROW_NAMES = tuple(name for name in ROW.names or () if name)
_LABELS = {"drop": Drop, "refusal": Refusal, "miss": Miss, "alarm": Alarm}
_TCP_PAYLOAD = network.ETHERNET.size + network.IPV4.size + network.TCP.size
_UDP_PAYLOAD = network.ETHERNET.size + network.IPV4.size + network.UDP.size
_REPORTED = ("user_ref_num", "quantity", "price", "order_state", "reason", "match_number")
_SIDES = {0: "B", 1: "S", 2: "T"}


class TwinCard:
    """A card that uses every frame before its end is judged.

    Parameters
    ----------
    geometry : Geometry
        Its sizes.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self._timing = Timing(geometry.width)
        self.cycle = 0
        self._map = RegisterMap(geometry)
        self._registers: dict[tuple[str, str], int] = {}
        self._tables: dict[tuple[str, str], dict[int, dict[str, int]]] = {}
        self._checksum = 0
        self._inspected_from = 0
        self._ready_from = geometry.order_rows
        self._writings = Writings()
        self._twin = Twin(geometry)
        self._receiver: Receiver | None = None
        self._book, self._sales = book_clocks(geometry), Sales()
        self._status: MarketStatus | None = None
        self._trading: TradingTwin | None = None
        self._queue: list[tuple[int, int, bytes]] = []
        self._sent = 0
        self._wire = _Wire(geometry.width)
        self._active = 0
        self._frames: deque[tuple[int, bytes]] = deque()
        """Feed frames that come in, with the clock of their first byte."""
        self._changes_of: dict[int, Any] = {}
        """BBO changes by message, until the book begins with it; `_falls` the books that one breaks."""
        self._falls: dict[int, list[Transition]] = {}
        self._rows: deque[tuple[int, int, Any]] = deque()
        self._heard: deque[int] = deque()
        self._inputs: list[tuple[int, bool, int, Input]] = []
        self._inputs_given = 0
        self._settings_taken = self._sets_taken = self._transitions_taken = 0
        self._was_heard: list[int] = []
        self._slots: dict[int, int] = {}
        """By locate."""
        self._at = 0
        """Trading went on to this clock."""
        self._reports: deque[tuple[int, Input]] = deque()
        self._booked_at: int | None = None
        self._connection: Connection | None = None
        self._bare = 0
        self._causes: dict[int, Heard] = {}
        self._leaving: deque[tuple[int, OutFrame]] = deque()
        """With the clock in which the wire shows that they have ended."""
        self._fetch = 0
        """Clock in which bytes of the exchange may be fetched next."""
        self._out: deque[OutFrame] = deque()
        self._records = RecordQueue(bbo_behind=geometry.bbo_records, integrity_behind=geometry.integrity_records)
        self._changes = 0
        self._alarms: Counter[str] = Counter()
        self._events: list[dict[str, Any]] = []
        self._verdicts: dict[int, Mapping[str, Any]] = {}

    @property
    def not_modelled(self) -> tuple[str, ...]:
        """What the card does otherwise, or may."""
        lines = ["a watchdog that expires, messages the book has no room for, the clock of a record that says a book is broken"]
        lines.append("cancels: what is open when it is killed ends by the exchange's word alone")
        if rebuilt := self._twin.rebuilds:
            lines.append(f"clocks in which a window is filled: {rebuilt:,} ran empty, and were filled at once")
        return tuple(lines)

    # The host's side.

    def write(self, block: str, name: str, value: int) -> None:
        """Set a register."""
        place = self._map[block, name]
        self._put(place.address, [value >> 32 * word & 0xFFFFFFFF for word in range(place.entry.words)])
        self._registers[block, name] = value
        self._writings.register(block, name, value, self.cycle)
        if (block, name) == ("strategy", "inspect"):
            self._inspected_from = self.cycle + _INSPECTS
        if (block, name) == ("session", "receive_next"):
            # It empties the buffer, and its turns begin anew.
            self._fetch = self.cycle + WRITTEN + 1

    def write_row(self, block: str, table: str, row: int, **columns: int) -> None:
        """Set one row of a table."""
        place = self._map[block, table]
        assert isinstance(place.entry, Table)
        self._put(place.address + row * place.entry.stride, place.entry.pack(**columns))
        self._tables.setdefault((block, table), {})[row] = columns
        self._writings.row(block, table, row, columns, self.cycle)
        if table == "bindings":
            if columns["valid"]:
                self._twin.bind(row, columns["locate"])
            else:
                self._twin.unbind(row)
            rows = self._tables["feed", "bindings"]
            self._slots = {each["locate"]: slot for slot, each in rows.items() if each["valid"]}

    def pulse(self, block: str, name: str) -> None:
        """Do once what the register stands for. `CardError` for what this card cannot do."""
        if (block, name) == ("risk", "cancel_all"):
            raise CardError("the twin sends no cancels")
        self._put(self._map[block, name].address, [1])
        self._writings.pulse(block, name, self.cycle)
        if (block, name) == ("book", "clear"):
            # A clear waits for the one after the reset.
            self._ready_from = max(self.cycle + 4, self.geometry.order_rows) + 2 + self.geometry.order_rows

    def _put(self, address: int, words: Sequence[int]) -> None:
        for offset, word in enumerate(words):
            self._checksum = checksum(self._checksum, address + offset, word)
        self._go(self.cycle + len(words))

    def read(self, block: str, name: str) -> int:
        """Value of a register."""
        entry = self._map[block, name].entry
        assert isinstance(entry, Register)
        self._go(self.cycle + _READ * entry.words)
        return self._value(entry, block, name)

    def read_rows(self, block: str, table: str) -> Mapping[str, int]:
        """Counts of a table whose rows have names, by name."""
        entry = self._map[block, table].entry
        assert isinstance(entry, Table)
        self._go(self.cycle + _READ * entry.words * len(entry.labels))
        counts = self._counts(table)
        return {label: counts.get(label, 0) for label in entry.labels}

    def close(self) -> None:
        """Nothing is held."""

    # What it says.

    def _value(self, register: Register, block: str, name: str) -> int:
        known = {
            "identity": self._identity, "status": self._total, "risk": self._risk, "book": self._of_book,
            "strategy": self._inspected, "feed": self._of_feed,
        }.get(block)  # fmt: skip
        value = known(name) if known is not None else None
        if value is None:
            value = self._registers.get((block, name), register.reset)
        return value & (1 << register.bits) - 1

    def _identity(self, name: str) -> int:
        own = {"magic": MAGIC, "map_digest": self._map.digest, "cycles": self.cycle}
        return own[name] if name in own else int(getattr(self.geometry, name))

    def _of_book(self, name: str) -> int | None:
        ready = int(self.cycle - _SEEN >= self._ready_from)
        return {"ready": ready, "live_orders": self._twin.live_orders, "table_peak": self._twin.table_peak}.get(name)

    def _of_feed(self, name: str) -> int | None:
        return {"next_sequence": self._twin.sequence, "highest": self._twin.sequence}.get(name) if self._receiver else None

    def _risk(self, name: str) -> int | None:
        trading = self._trading
        if name == "checksum":
            return self._checksum
        if name == "inspect_ledger_word":
            return self._ledger_word()
        if name == "ledger_changes":
            return self._changes
        if name == "ceilings_locked":
            return int(("risk", "ceilings") in self._tables)
        if name == "epoch":
            return self._writings.sets[-1].epoch if self._writings.sets else 0
        if trading is None:
            return None
        if name in SUMS:
            return trading.sums(self.cycle)[name]
        of_twin = {
            "trading_state": trading.trading_state.value, "loss_reached": int(trading.loss_reached),
            "orders_open": trading.live, "next_user_ref_num": trading.next_user_ref_num,
        }  # fmt: skip
        return of_twin.get(name)

    def _ledger_word(self) -> int:
        """A word of a row of the ledger."""
        asked = self._registers["risk", "inspect_ledger"]
        number, word = divmod(asked >> 16, VIEW_WORDS)
        view, index = LEDGER_VIEWS[number], asked & 0xFFFF
        row: Mapping[str, int] = {}
        if self._trading is not None:
            row = self._trading.holding(index) if view is LEDGER_SLOT else self._trading.order(index)
        elif view is LEDGER_SLOT:
            # Nothing was booked yet but what the host wrote.
            row = self._tables.get(("risk", "reload"), {}).get(index, {})
        return view.pack(**{column.name: row.get(column.name, 0) for column in view.columns})[word]

    def _inspected(self, name: str) -> int | None:
        if name == "inspect":
            return self._registers.get(("strategy", name), _NO_PAIR) if self.cycle - _SEEN >= self._inspected_from else _NO_PAIR
        if not name.startswith("inspect_") or self._trading is None:
            return None
        known = self._trading.samples.statistics.get(self._registers["strategy", "inspect"], Statistics())
        return {"inspect_mean": known.mean, "inspect_variance": known.variance, "inspect_samples": known.samples}[name]

    def _total(self, name: str) -> int:
        trading, receiver = self._trading, self._receiver
        counts = {"messages": self._twin.messages, "events_lost": self._records.lost}
        if receiver is not None:
            gaps = {"gaps": len(receiver.gaps), "heartbeats": receiver.heartbeats, "lost_after_use": receiver.lost_after_use}
            counts |= gaps
        if trading is not None:
            samples = trading.samples
            counts |= {"triggers": trading.triggers, "orders_passed": trading.passed, "orders_refused": trading.refused}
            counts |= {"samples": samples.taken, "samples_lost": samples.lost, "samples_cut": samples.cut}
        return counts.get(name, 0)

    def _counts(self, table: str) -> Mapping[str, int]:
        trading = self._trading
        if table == "itch_type":
            return self._twin.messages_by_type
        if table == "drop":
            drops = Counter(self._twin.drops) + (self._receiver.drops if self._receiver else Counter())
            return {cause.name.lower(): count for cause, count in drops.items()}
        if trading is None:
            return {}
        if table == "alarm":
            return self._alarms
        return trading.refusals if table == "refusal" else trading.misses

    # Wires.

    def send(self, frame: bytes, *, at: int | None = None, fcs: int | None = None) -> int:
        """Queue a frame."""
        heappush(self._queue, (max(at or 0, self.cycle), self._sent, frame))
        self._sent += 1
        return self._sent - 1

    def run(self, cycles: int) -> None:
        """Run exactly so many clocks."""
        self._go(self.cycle + cycles)

    def run_until_idle(self, *, limit: int) -> None:
        """Run until every frame is in and nothing moved for a while."""
        while self._queue or self._reports or self.cycle < self._active + _QUIET:
            last = self._reports[-1][0] if self._reports else self._active
            self._go(max(self.cycle + 1, self._wire.free + 1 if self._queue else last + _QUIET))

    def frames(self) -> Sequence[OutFrame]:
        """Frames that left since the last call."""
        found = list(self._out)
        self._out.clear()
        return found

    def events(self) -> Sequence[Mapping[str, Any]]:
        """Event records since the last call, in order of clocks."""
        found, self._events = self._events, []
        return found

    # Clocks.

    def _go(self, until: int) -> None:
        """Everything before a clock."""
        while self._queue and self._wire.begins(self._queue[0][0]) < until:
            at, _, frame = heappop(self._queue)
            self._came(frame, self._wire.take(frame, at))
        self.cycle = until
        while self._frames and self._frames[0][0] < until:
            self._decode(*self._frames.popleft())
        self._enter(until)
        if self._trading is None:
            return
        self._book_reports(until)
        self._advance(until)
        self._acknowledge(until)
        while self._leaving and self._leaving[0][0] < until:
            self._out.append(self._leaving.popleft()[1])
        for clock, record in self._records.out(until):
            self._events.append(record)
            self._active = max(self._active, clock)

    def _came(self, frame: bytes, first: int) -> None:
        """A frame is on the wire, its first byte received in a clock."""
        last = first + self._timing.beats(max(len(frame), network.MINIMUM_FRAME) + network.FCS_BYTES) - 1
        self._active = max(self._active, last)
        if frame[network.ETHERNET.size + network.IPV4.offset("protocol")] == network.PROTOCOL_UDP:
            self._frames.append((first, frame))
            return
        self._segment(frame, last)

    def _segment(self, frame: bytes, last: int) -> None:
        payload = self._session().receive(frame)
        if not payload:
            return
        self._input((IN_SEGMENT, last))
        octets = self._octets(len(payload), last + self._timing.acknowledge)
        begin = 0
        while begin < len(payload):
            size = 2 + int(soupbintcp.HEADER.unpack(payload, begin)["packet_length"])
            packet = payload[begin : begin + size]
            begin += size
            if packet[2:3] == soupbintcp.SEQUENCED_DATA.encode():
                message = packet[soupbintcp.HEADER.size :]
                self._reports.append((octets[begin - 1] + _TAKEN_UP, _report(message)))

    def _octets(self, size: int, kept: int) -> list[int]:
        """Clocks of the bytes of a segment that was found good: they are fetched by beats, and a beat is given byte by byte."""
        width = self.geometry.width
        self._fetch += max(0, -(-(kept - self._fetch) // width) * width)
        beats = -(-size // width)
        begin, self._fetch = self._fetch, self._fetch + beats * width
        return [begin + _FETCHED + number for number in range(size)]

    def _session(self) -> Connection:
        if self._connection is None:
            self._connection = card_end(self._registers)
        return self._connection

    def _input(self, given: Input) -> None:
        # What the gate meets in a clock is what it was before.
        heappush(self._inputs, (given[1], given[0] != IN_ORDER, self._inputs_given, given))
        self._inputs_given += 1

    def _decode(self, first: int, frame: bytes) -> None:
        """A frame of the feed: what its messages lead to, and when."""
        if self._receiver is None:
            self._set_up()
        assert self._receiver is not None and self._status is not None
        self._changes_of |= {int(row["sequence"]): row.item() for row in self._receiver.packet(frame[_UDP_PAYLOAD:])}
        heard = list(messages_of(frame, first, self._timing, self._slots))
        self._book.hear(heard)
        for one in heard:
            if one.decoded:
                self._heard.append(one.clock)
            for status in self._status.see(one.message, one.slot, one.clock):
                self._input(status)
        self._fallen(first)

    def _enter(self, until: int) -> None:
        """What the messages lead to that the book begins with before a clock."""
        for one, entry in self._book.entered(until):
            if price := self._sales.of(one):
                self._input((IN_TRADE, entry.sale, one.slot or 0, price))
            if one.sequence in self._changes_of:
                self._rows.append((entry.touch, entry.lead, self._changes_of.pop(one.sequence)))
                self._causes[one.sequence] = one
            for fall in self._falls.pop(one.sequence, ()):
                self._fall(entry.fault, fall)

    def _set_up(self) -> None:
        """Trading begins with what was loaded."""
        geometry, tables = self.geometry, self._tables
        feed = {name: each for (block, name), each in self._registers.items() if block == "feed"}
        self._twin.sequence = feed["next_sequence"]
        self._receiver = Receiver(self._twin, feed["session"].to_bytes(10, "big"))
        always = self._registers["risk", "ignore_market_hours"]
        self._status = MarketStatus(geometry.slots, ignore_market_hours=bool(always))
        for one in self._status.begin():
            self._input(one)
        legs, references = tables["strategy", "pair_legs"], tables["risk", "references"]
        nothing = dict.fromkeys(at.PAIR_ROW, 0)
        lists, entries = tables["strategy", "pair_lists"], tables.get(("strategy", "pair_index"), {})
        self._trading = TradingTwin(
            geometry,
            pairs=[nothing | legs[number] for number in range(geometry.pairs)],
            lists=[
                [entries[row["first"] + number]["pair"] for number in range(row["count"])]
                for row in (lists[slot] for slot in range(geometry.slots))
            ],
            limits={slot: dict.fromkeys(at.LIMIT_ROW, 0) | {"reference": row["price"]} for slot, row in references.items()},
            settings={"trading_state": int(TradingState.HALTED)},
        )

    def _fallen(self, first: int) -> None:
        """Books that cannot be trusted any more."""
        new = self._twin.transitions[self._transitions_taken :]
        self._transitions_taken += len(new)
        for one in new:
            if one.sequence:
                self._falls.setdefault(one.sequence, []).append(one)
            else:
                self._fall(first + _INTEGRITY, one)

    def _fall(self, clock: int, one: Transition) -> None:
        integrity, cause = int(one.integrity), int(one.cause)
        self._input((IN_INTEGRITY, clock, one.slot, integrity, cause))
        told = {"sequence": one.sequence, "order_ref": one.order_ref, "slot": one.slot, "integrity": integrity, "cause": cause}
        self._records.tell(clock, events.INTEGRITY, told)

    def _book_reports(self, until: int) -> None:
        """What the exchange said, as soon as the ledger takes it up."""
        assert self._trading is not None
        while self._reports:
            ready, given = self._reports[0]
            if self._booked_at is None:
                begin = max(ready, self._trading.gate[2])
                if begin >= until:
                    return
                self._advance(begin)
                _, sent, free, entering = self._trading.gate
                if entering:
                    # Orders that left go first.
                    begin = sent + BOOKED_BY + 1
                    if begin >= until:
                        return
                    self._advance(begin)
                    continue
                if free > begin:
                    continue
                self._booked_at = begin + _BOOKS + _FETCHES * (given[0] == ord(ouch.BROKEN_TRADE.code))
            if self._booked_at >= until:
                return
            self._advance(self._booked_at)
            if self._trading.gate[0] == self._booked_at - 1:
                # The gate looks at the ledger in this clock, and does not do so twice in a row.
                self._booked_at += 1
                if self._booked_at >= until:
                    return
            self._input((IN_REPORT, self._booked_at, *given))
            self._reports.popleft()
            self._advance(self._booked_at + 1)
            self._booked_at = None

    def _advance(self, until: int) -> None:
        """Trading goes on to a clock."""
        if until <= self._at:
            return
        trading, writings = self._trading, self._writings
        assert trading is not None
        for setting in writings.settings[self._settings_taken :]:
            self._input(setting)
        self._settings_taken = len(writings.settings)
        rows, inputs, sets = [], [], []
        while self._rows and self._rows[0][0] < until:
            rows.append(self._rows.popleft())
        while self._inputs and self._inputs[0][0] < until:
            inputs.append(heappop(self._inputs)[-1])
        while self._heard and self._heard[0] < until:
            self._was_heard.append(self._heard.popleft())
        while self._sets_taken < len(writings.sets) and writings.sets[self._sets_taken].clock < until:
            sets.append(writings.sets[self._sets_taken])
            self._sets_taken += 1
        trading.advance(
            np.array([row for _, _, row in rows], ROW),
            np.array([clock for clock, _, _ in rows], np.int64),
            until=until,
            inputs=inputs,
            leads=np.array([lead for _, lead, _ in rows], np.int64),
            heard=np.array(self._was_heard, np.int64),
            sets=sets,
        )
        self._at, self._was_heard = until, self._was_heard[-_LOOKED_BACK:]
        for clock, _, row in rows:
            values = dict(zip(_ROW_NAMES, row, strict=True))
            self._records.tell(clock, events.BBO, values | {"integrity": int(self._twin.integrity[values["slot"]])})
        for record in trading.records:
            self._take(record)
        trading.records.clear()

    def _take(self, record: dict[str, Any]) -> None:
        """What trading tells, and what leaves with it."""
        layout = events.RECORDS[record["kind"]]
        # Records have clocks of 32 bits.
        clock = self._at + (record["cycle"] - self._at + (1 << 31)) % (1 << 32) - (1 << 31)
        values = {name: value for name, value in record.items() if name not in ("kind", "cycle")}
        if layout is events.VERDICT and record["user_ref_num"]:
            self._verdicts[record["user_ref_num"]] = record
        # An order is entered some clocks behind its verdict; until then its number has moved on.
        self._changes += layout is events.ORDER_STATE or bool(layout is events.VERDICT and record["user_ref_num"])
        if layout is events.ALARM:
            self._alarms[Alarm(record["alarm"]).name.lower()] += 1
        if layout is events.ORDER_SENT:
            # No message leads to an order of the host, nor to one that repairs a pair.
            cause = self._causes.get(record["sequence"]) if record["sequence"] else None
            single = not record["sequence"]
            values["eot_to_sof"], values["som_to_sof"] = (clock - cause.eot, clock - cause.som) if cause else (0, 0)
            values["trigger_type"] = cause.message[0] if cause else 0
            self._leave(clock, self._orders(record["user_ref_num"], 1 if single else 2))
        self._records.tell(clock, layout, values)

    def _orders(self, first: int, count: int) -> bytes:
        """The orders of a frame, as the exchange gets them."""
        packets = b""
        symbols = self._tables["session", "symbols"]
        for leg in range(count):
            verdict = self._verdicts.pop(first + leg)
            repair = count == 1 and verdict["pair"] != events.NO_PAIR
            message = ouch.ENTER_ORDER.pack(
                user_ref_num=first + leg, side=_SIDES[verdict["side"]], quantity=verdict["quantity"],
                symbol=symbols[verdict["slot"]]["symbol"].to_bytes(8, "big").decode("latin-1"), price=verdict["price"],
                time_in_force="3", display="Y", capacity="P", iso="N", cross_type="N",
                clordid=client_order_id(verdict["pair"], verdict["leg"], repair=repair),
            ) + ouch.APPENDAGE.pack(appendage_length=0)  # fmt: skip
            packets += soupbintcp.HEADER.pack(packet_length=1 + len(message), packet_type=soupbintcp.UNSEQUENCED_DATA) + message
        return packets

    def _leave(self, clock: int, payload: bytes) -> None:
        """A frame is offered to the transmitter in a clock."""
        frame = self._session().send(payload)
        frame += bytes(max(0, network.MINIMUM_FRAME - len(frame)))
        wire, size = clock + _WIRE, _AROUND + len(frame)
        left = OutFrame(frame, 0, True, clock, wire, wire + (size - 1) // self.geometry.width)
        self._leaving.append((wire + size // self.geometry.width, left))
        self._active = max(self._active, left.end_cycle)

    def _acknowledge(self, until: int) -> None:
        """Acknowledgments that no order carried."""
        assert self._trading is not None
        count, free = self._trading.acknowledgments(until)
        for _ in range(count - self._bare):
            self._leave(free - self._timing.busy(Form.BARE) + 1, b"")
        self._bare = count


class _Wire:
    """What the frames of a port wait for: GMII, or XGMII, where they begin in lane 0 or 4 and gaps are 12 bytes on average."""

    _FIRST = {1: len(network.PREAMBLE) + 1, 8: 7}
    """Clocks from the first byte of preamble on the wire to the frame's first beat at the receive output."""
    _LANES = {1: 1, 8: 4}

    def __init__(self, width: int) -> None:
        self._width = width
        self._free = 0
        """In bytes."""
        self._owed = 0
        """Bytes that gaps are too short."""

    @property
    def free(self) -> int:
        """Clock in which the last frame and its gap have ended."""
        return -(-self._free // self._width)

    def _start(self, at: int) -> int:
        """Byte in which a frame begins that is given in a clock."""
        earliest, lanes = max(at * self._width, self._free), self._LANES[self._width]
        over = earliest % lanes
        return earliest - over if over == 0 or self._owed + over < lanes else earliest - over + lanes

    def begins(self, at: int) -> int:
        """Clock in which such a frame begins."""
        return self._start(at) // self._width

    def take(self, frame: bytes, at: int) -> int:
        """Put it on the wire; gives the clock of its first beat."""
        start = self._start(at)
        self._owed += max(at * self._width, self._free) - start
        self._free = start + wire_cycles(frame)
        return start // self._width + self._FIRST[self._width]


def card_end(registers: Mapping[tuple[str, str], int]) -> Connection:
    """The card's end of the order session its registers tell of."""
    value = {name: each for (block, name), each in registers.items() if block == "session"}
    return Connection(
        local=Endpoint(value["local_mac"], value["local_address"], value["local_port"]),
        remote=Endpoint(value["peer_mac"], value["peer_address"], value["peer_port"]),
        send_next=value["send_next"],
        receive_next=value["receive_next"],
    )


def _report(message: bytes) -> Input:
    """What the ledger is told of a message of the exchange: type, then `_REPORTED`."""
    layout = ouch.OUTBOUND[chr(message[0])]
    values = layout.unpack(message)
    numbers = [values.get(ouch.OTHER_NAMES.get((layout.name, name), name), 0) for name in _REPORTED]
    return (message[0], *(ord(value) if isinstance(value, str) else int(value) for value in numbers))
