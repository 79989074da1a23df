"""A card in plain Python that trades pairs naively: enough to run the host without building gateware. It judges nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from hdl.spec import itch, moldudp64, ouch, soupbintcp
from hdl.spec.geometry import PRESETS, Geometry
from hdl.spec.network import ETHERNET, IPV4, TCP, UDP
from hdl.spec.reasons import Alarm, Drop, Miss, OrderState, PairAction, Refusal
from hdl.spec.registers import LEDGER_SLOT, MAGIC, RegisterMap, Table, checksum
from host.exposure import SUMS
from host.stimulus import wire_cycles
from host.twin_card import card_end
from sim.card import OutFrame
from sim.displayed import DisplayedMarket
from sim.tcp import Connection
from tests.hdl.risk.exposures import Held, sums

_LABELS = {"drop": Drop, "refusal": Refusal, "miss": Miss, "alarm": Alarm}
_PAYLOAD = ETHERNET.size + IPV4.size + UDP.size


class ModelCard:
    """Takes what `host.loader` writes, keeps books, fires pairs at their thresholds one unit at a time, books reports.

    Parameters
    ----------
    broken_ledger : bool
        Positions in fill records are wrong, for tests that must notice.
    wrong_sums : mapping of str to int, optional
        What it says of its portfolio, by register, in place of what is true.
    """

    def __init__(self, *, broken_ledger: bool = False, wrong_sums: Mapping[str, int] | None = None) -> None:
        self.geometry: Geometry = PRESETS["versa"]
        self.cycle = 0
        self._broken = broken_ledger
        self._wrong = dict(wrong_sums or {})
        self._registers: dict[tuple[str, str], int] = {}
        self._rows: dict[tuple[str, str, int], dict[str, int]] = {}
        self._queue: list[tuple[int, bytes]] = []
        self._frames: list[OutFrame] = []
        self._events: list[dict[str, Any]] = []
        self._market = DisplayedMarket()
        self._counts: Counter[str] = Counter()
        self._touch: dict[int, tuple[int, int]] = {}
        self._open = False
        self._holding: Counter[int] = Counter()
        self._waiting: dict[int, int] = {}
        self._orders: dict[int, dict[str, int]] = {}
        self._position: Counter[int] = Counter()
        self._cash: Counter[int] = Counter()
        self._held: defaultdict[int, Held] = defaultdict(Held)
        self._entries: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        self._connection: Connection | None = None
        self._number = 0

    # The card's side towards the host.

    def write(self, block: str, name: str, value: int) -> None:
        place = RegisterMap(self.geometry)[block, name]
        self._sum(place.address, [value >> 32 * word & 0xFFFFFFFF for word in range(place.entry.words)])
        self._registers[block, name] = value
        if name == "commit":
            # It judges nothing: what was written is in force at once.
            self._registers["risk", "epoch"] = value

    def _sum(self, address: int, words: list[int]) -> None:
        for offset, word in enumerate(words):
            self._registers["risk", "checksum"] = checksum(self.read("risk", "checksum"), address + offset, word)

    def read(self, block: str, name: str) -> int:
        if block == "identity":
            own = {"magic": MAGIC, "map_digest": RegisterMap(self.geometry).digest}
            return own[name] if name in own else int(getattr(self.geometry, name))
        if (block, name) == ("book", "ready"):
            return 1
        if block == "risk" and name in SUMS:
            return self._sums()[name] % (1 << 80)
        if name == "inspect_ledger_word":
            return self._ledger_word()
        if (block, name) == ("risk", "ceilings_locked"):
            return int(("risk", "ceilings", 0) in self._rows)
        return self._registers.get((block, name), self._counts[name])

    def _ledger_word(self) -> int:
        asked = self._registers["risk", "inspect_ledger"]
        slot, zeros = asked & 0xFFFF, {column.name: 0 for column in LEDGER_SLOT.columns}
        entries = self._entries[slot]
        row = {
            "position": self._position[slot],
            "cash": self._cash[slot],
            "entry_shares": sum(shares for shares, _ in entries),
            "entry_notional": sum(shares * price for shares, price in entries),
        }
        return LEDGER_SLOT.pack(**(zeros | row))[asked >> 16]

    def _enter(self, slot: int, signed: int, price: int) -> None:
        """What a fill does to the entry figures: first what closes, then what opens."""
        position, entries = self._position[slot], self._entries[slot]
        closes = min(abs(signed), abs(position)) if position * signed < 0 else 0
        if closes and closes == abs(position):
            entries.clear()
        if abs(signed) > closes:
            entries.append((abs(signed) - closes, price))

    def _sums(self) -> dict[str, int]:
        for slot, held in self._held.items():
            held.position, held.cash = self._position[slot], self._cash[slot]
            of_slot = [order for order in self._orders.values() if order["slot"] == slot]
            held.open_buys = sum(order["open"] for order in of_slot if not order["side"])
            held.open_sells = sum(order["open"] for order in of_slot if order["side"])
        totals = sums(list(self._held.values()))
        return dict(zip(SUMS, (totals[name] for name in ("pnl", "gross", "long", "short")), strict=True)) | self._wrong

    def write_row(self, block: str, table: str, row: int, **columns: int) -> None:
        place = RegisterMap(self.geometry)[block, table]
        assert isinstance(place.entry, Table)
        self._sum(place.address + row * place.entry.stride, place.entry.pack(**columns))
        self._rows[block, table, row] = columns

    def read_rows(self, block: str, table: str) -> Mapping[str, int]:
        names = [kind.name.lower() for kind in _LABELS[table]] if table in _LABELS else list(itch.MESSAGES)
        return {name: self._counts[f"{table} {name}"] for name in names}

    def pulse(self, block: str, name: str) -> None:
        """Nothing to clear or declare."""

    def send(self, frame: bytes, *, at: int | None = None, fcs: int | None = None) -> int:
        self._queue.append((at or 0, frame))
        return len(self._queue)

    def run(self, cycles: int) -> None:
        until = self.cycle + cycles
        self._queue.sort(key=lambda each: each[0])
        while self._queue and self._queue[0][0] <= until:
            at, frame = self._queue.pop(0)
            self.cycle = max(self.cycle, at)
            self._receive(frame)
        self.cycle = max(until, self.cycle)

    def run_until_idle(self, *, limit: int) -> None:
        self.run(limit if self._queue else 300)

    def frames(self) -> list[OutFrame]:
        taken, self._frames = self._frames, []
        return taken

    def events(self) -> list[dict[str, Any]]:
        taken, self._events = self._events, []
        return taken

    def close(self) -> None:
        """Nothing is held."""

    # The data path.

    def _receive(self, frame: bytes) -> None:
        if frame[:1] != b"\x01":
            return self._reports(frame[ETHERNET.size + IPV4.size + TCP.size :])
        header = moldudp64.HEADER.unpack(frame, _PAYLOAD)
        at, sequence = _PAYLOAD + moldudp64.HEADER.size, int(header["sequence_number"])
        for number in range(int(header["message_count"])):
            size = int.from_bytes(frame[at : at + 2], "big")
            self._message(frame[at + 2 : at + 2 + size], sequence + number)
            at += 2 + size
        return None

    def _event(self, kind: str, **values: Any) -> None:
        self._events.append(
            {"kind": kind, "words": 0, "lost": 0, "number": self._number, "cycle": self.cycle % (1 << 32), **values}
        )
        self._number += 1

    def _message(self, message: bytes, sequence: int) -> None:
        kind = chr(message[0])
        self._counts["messages"] += 1
        self._counts[f"itch_type {kind}"] += 1
        if kind == "S" and chr(message[11]) in "QM":
            self._open = chr(message[11]) == "Q"
        if not self._market.apply(message):
            return
        locate = int.from_bytes(message[1:3], "big")
        slot = next(
            (row for (_, table, row), value in self._rows.items() if table == "bindings" and value["locate"] == locate), None
        )
        touch = (self._market.best(locate, b"B") or 0, self._market.best(locate, b"S") or 0)
        if slot is None or self._touch.get(slot) == touch:
            return
        self._touch[slot] = touch
        self._held[slot].look(*touch)
        time = int.from_bytes(message[5:11], "big")
        self._event(
            "B", sequence=sequence, timestamp=time, bid_price=touch[0], bid_shares=100, ask_price=touch[1], ask_shares=100,
            slot=slot, integrity=0,
        )  # fmt: skip
        for number in range(self.geometry.pairs):
            row = self._rows["strategy", "pairs", number] | self._rows["strategy", "pair_legs", number]
            if row["enabled"] and slot in (row["slot_a"], row["slot_b"]) and not self._waiting.get(number):
                self._evaluate(number, row, sequence, kind)

    def _evaluate(self, number: int, row: dict[str, int], sequence: int, kind: str) -> None:
        (bid_a, ask_a), (bid_b, ask_b) = (self._touch.get(row[leg], (0, 0)) for leg in ("slot_a", "slot_b"))
        if not (bid_a and ask_a and bid_b and ask_b):
            return
        sell, buy = row["weight_a"] * bid_a - row["weight_b"] * ask_b, row["weight_a"] * ask_a - row["weight_b"] * bid_b
        holding = self._holding[number]
        if holding == 0 and sell >= row["upper"]:
            action, spread, step = PairAction.SELL_SPREAD, sell, -1
        elif holding == 0 and buy <= row["lower"]:
            action, spread, step = PairAction.BUY_SPREAD, buy, 1
        elif holding < 0 and buy <= row["exit_short"]:
            action, spread, step = PairAction.BUY_BACK, buy, 1
        elif holding > 0 and sell >= row["exit_long"]:
            action, spread, step = PairAction.SELL_OUT, sell, -1
        else:
            return
        self._counts["triggers"] += 1
        self._event("T", sequence=sequence, spread=spread, pair=number, action=int(action), epoch=self._epoch())
        refusals = 0 if self._open else 1 << Refusal.MARKET_CLOSED
        packets = b""
        first = self._registers["risk", "next_user_ref_num"]
        beyond = 100 * row["slippage"]
        prices = (bid_a - beyond, ask_b + beyond) if step < 0 else (ask_a + beyond, bid_b - beyond)
        for leg, name in enumerate("ab"):
            slot, size, price = row[f"slot_{name}"], row[f"size_{name}"], prices[leg]
            buying = (step > 0) == (leg == 0)
            short = not buying and self._position[slot] < size
            side = 0 if buying else 1 + short
            self._event(
                "V", sequence=sequence, refusals=refusals, user_ref_num=0 if refusals else first + leg,
                price=price, quantity=size, slot=slot, pair=number, side=side, leg=leg, mode=2,
                epoch=self._epoch(),
            )  # fmt: skip
            if refusals:
                self._counts["refusal market_closed"] += 1
                continue
            self._orders[first + leg] = {"slot": slot, "pair": number, "side": side, "open": size, "step": step, "leg": leg}
            message = ouch.ENTER_ORDER.pack(
                user_ref_num=first + leg, side="BST"[side], quantity=size,
                symbol=self._rows["session", "symbols", slot]["symbol"].to_bytes(8, "big").decode(), price=price,
                time_in_force="3", display="Y", capacity="P", iso="N", cross_type="N", clordid="MODEL",
            ) + ouch.APPENDAGE.pack(appendage_length=0)  # fmt: skip
            packets += soupbintcp.HEADER.pack(packet_length=1 + len(message), packet_type="U") + message
        if refusals:
            return
        self._registers["risk", "next_user_ref_num"] = first + 2
        self._waiting[number] = 2
        self._send(packets)
        eot = 18 + first % 3
        self._event(
            "O", sequence=sequence, user_ref_num=first, eot_to_sof=eot, som_to_sof=eot + itch.MESSAGES[kind].size, pair=number,
            trigger_type=ord(kind), epoch=self._epoch(),
        )  # fmt: skip

    def _epoch(self) -> int:
        return self.read("risk", "epoch") % 256

    def _session(self) -> Connection:
        if self._connection is None:
            self._connection = card_end(self._registers)
        return self._connection

    def _send(self, payload: bytes) -> None:
        frame = self._session().send(payload)
        end = self.cycle + wire_cycles(frame)
        self._frames.append(OutFrame(frame, 0, True, self.cycle, self.cycle, end))

    def _reports(self, raw: bytes) -> None:
        session = self._session()
        session.receive_next += len(raw)
        while raw:
            size = 2 + int.from_bytes(raw[:2], "big")
            message, raw = raw[3:size], raw[size:]
            report = ouch.OUTBOUND[chr(message[0])].unpack(message)
            order = self._orders[int(report["user_ref_num"])]
            if report["type"] == "E":
                self._fill(order, report)
            elif report["type"] in ("C", "J"):
                order["open"] = 0
            state = OrderState.LIVE if order["open"] else OrderState.FILLED if report["type"] == "E" else OrderState.CANCELED
            self._event(
                "S", user_ref_num=report["user_ref_num"], open_shares=order["open"], slot=order["slot"], pair=order["pair"],
                state=int(state), report=message[0], reason=0,
            )  # fmt: skip
            if not order["open"]:
                self._waiting[order["pair"]] -= 1

    def _fill(self, order: dict[str, int], report: dict[str, Any]) -> None:
        slot, signed = order["slot"], -report["quantity"] if order["side"] else report["quantity"]
        order["open"] -= report["quantity"]
        self._enter(slot, signed, report["price"])
        self._position[slot] += signed
        self._cash[slot] -= signed * report["price"]
        if order["leg"] == 0 and not order["open"]:
            self._holding[order["pair"]] += order["step"]
        self._event(
            "F", user_ref_num=report["user_ref_num"], match_number=report["match_number"], price=report["price"],
            quantity=report["quantity"], position=self._position[slot] + self._broken, cash=self._cash[slot], slot=slot,
            pair=order["pair"], side=order["side"],
        )  # fmt: skip
