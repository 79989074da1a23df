"""Folds the card's event records into what a summary needs, and writes them to files as they come."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from hdl.spec import events, ouch
from hdl.spec.reasons import Alarm, Integrity, IntegrityCause, LegAction, Mode, OrderState, PairAction, Refusal
from host.exposure import Exposure
from host.legs import Legs, action_name
from host.snapshot import Snapshot

BBO_HEADER = "index,timestamp_ns,symbol,bid_price,bid_shares,ask_price,ask_shares"
_EVERY_SLOT = 0xFFFF
_SIDES = ("buy", "sell", "sell_short")
_ENDS = (OrderState.FILLED, OrderState.CANCELED, OrderState.REJECTED)

Record = Mapping[str, Any]


class Tally:
    """Counts over all records of a run.

    Parameters
    ----------
    place : callable
        Gives the number in the file of the message with a feed number.
    symbol : callable
        Gives the symbol of a slot.
    pairs : tuple of str
        Names of the pairs.
    bbo : TextIO, optional
        Gets one CSV row a BBO change.
    orders : TextIO, optional
        Gets one JSON line for everything that concerns own orders.
    start : tuple of Snapshot and slots, optional
        What the card's ledger held before the first record, and the slot of each symbol.
    repairs : bool
        See `Legs`.
    late : bool
        Slots are DEAD at first, not EXACT.
    """

    def __init__(
        self,
        place: Callable[[int], int],
        symbol: Callable[[int], str],
        pairs: tuple[str, ...],
        *,
        bbo: TextIO | None = None,
        orders: TextIO | None = None,
        start: tuple[Snapshot, Mapping[str, int]] | None = None,
        repairs: bool = True,
        late: bool = False,
    ) -> None:
        self._place = place
        self._symbol = symbol
        self._pairs = pairs
        self._bbo = bbo
        self._orders = orders
        if bbo is not None:
            bbo.write(BBO_HEADER + "\n")
        self._next_number: int | None = None
        self.lost = 0
        """Records missing in the run of their numbers."""
        self.bbo_changes: Counter[int] = Counter()
        """By slot."""
        self.verdicts: Counter[str] = Counter()
        self.sent_frames = 0
        self.sent_orders = 0
        self.cancels_sent = 0
        self.ended: Counter[str] = Counter({state.name.lower(): 0 for state in _ENDS})
        self.noted: Counter[str] = Counter()
        """Reports that ended nothing and moved no shares of an order, or took a fill back, by name."""
        self.fills: Counter[str] = Counter()
        self.position: dict[int, int] = defaultdict(int)
        self.cash: dict[int, int] = defaultdict(int)
        self.exposure = Exposure()
        self.legs = Legs(repairs=repairs)
        if start is not None:
            self.exposure.begin(*start)
            for slot, line in self.exposure.lines.items():
                self.position[slot], self.cash[slot] = line.shares, line.cash
        self.integrity: dict[int, Integrity] = {}
        self._detached: set[int] = set()
        self.filling: set[int] = set()
        """Slots of which a window is being filled."""
        self.everywhere = Integrity.DEAD if late else Integrity.EXACT
        self.lowered: defaultdict[int, Counter[str]] = defaultdict(Counter)
        """Records of lowered integrity by slot and cause; `EVERY_SLOT` for those about all."""
        self.missing_messages = 0
        self.eot_to_sof: Counter[int] = Counter()
        self.som_to_sof: Counter[int] = Counter()
        self._handlers: dict[str, Callable[[Record], None]] = {
            events.BBO.code: self._on_bbo,
            events.TRIGGER.code: self._on_trigger,
            events.VERDICT.code: self._on_verdict,
            events.ORDER_SENT.code: self._on_order_sent,
            events.CANCEL_SENT.code: self._on_cancel_sent,
            events.ORDER_STATE.code: self._on_order_state,
            events.FILL.code: self._on_fill,
            events.INTEGRITY.code: self._on_integrity,
            events.GAP.code: self._on_gap,
            events.ALARM.code: self._on_alarm,
        }

    def add(self, record: Record) -> None:
        """Take one record."""
        number = record["number"]
        if self._next_number is not None:
            self.lost += (number - self._next_number) % (1 << 32)
        self._next_number = (number + 1) % (1 << 32)
        self._handlers[record["kind"]](record)
        self.exposure.take(record)
        self.legs.take(record)

    def lowered_by(self, slot: int) -> dict[str, int]:
        """Records of lowered integrity that concern a slot, by cause."""
        return dict(self.lowered[slot] + self.lowered[_EVERY_SLOT])

    def state(self, slot: int) -> Integrity:
        """Integrity of a slot."""
        return max(self.beside_windows(slot), Integrity.SUSPECT) if slot in self.filling else self.beside_windows(slot)

    def beside_windows(self, slot: int) -> Integrity:
        """What a slot is, or will be as soon as no window of it is being filled."""
        return self.integrity.get(slot, self.everywhere)

    @property
    def unknown_references(self) -> int:
        """Records of integrity lost by an unknown reference."""
        return sum(causes[IntegrityCause.UNKNOWN_ORDER.name.lower()] for causes in self.lowered.values())

    def _on_bbo(self, record: Record) -> None:
        slot = record["slot"]
        self.bbo_changes[slot] += 1
        if self._bbo is not None:
            self._bbo.write(
                f"{self._place(record['sequence'])},{record['timestamp']},{self._symbol(slot)},{record['bid_price']},"
                f"{record['bid_shares']},{record['ask_price']},{record['ask_shares']}\n"
            )

    def _line(self, event: str, **values: object) -> None:
        if self._orders is not None:
            self._orders.write(json.dumps({"event": event, **values}) + "\n")

    def _cause(self, record: Record) -> int | None:
        """Place of the message that caused an order; the host's own, and those that repair a pair, have none."""
        return self._place(record["sequence"]) if record["sequence"] else None

    def _pair(self, number: int) -> str | None:
        if number == events.NO_PAIR:
            return None
        return self._pairs[number] if number < len(self._pairs) else f"#{number}"

    def _on_trigger(self, record: Record) -> None:
        if record["action"] in list(LegAction):
            values = {name: record[name] for name in ("cycle", "epoch")}
            self._line("legged", pair=self._pair(record["pair"]), action=action_name(record["action"]), **values)
            return
        self._line(
            "trigger",
            index=self._place(record["sequence"]),
            cycle=record["cycle"],
            pair=self._pair(record["pair"]),
            action=PairAction(record["action"]).name.lower(),
            spread=record["spread"],
            epoch=record["epoch"],
        )

    def _on_verdict(self, record: Record) -> None:
        refusals = [reason.name.lower() for reason in Refusal if record["refusals"] >> reason & 1]
        self.verdicts["refused" if refusals else "passed"] += 1
        self.verdicts.update(f"refused by {reason}" for reason in refusals)
        self._line(
            "verdict",
            index=self._cause(record),
            cycle=record["cycle"],
            pair=self._pair(record["pair"]),
            leg=None if record["pair"] == events.NO_PAIR else "ab"[record["leg"]],
            symbol=self._symbol(record["slot"]),
            side=_SIDES[record["side"]],
            quantity=record["quantity"],
            price=record["price"],
            mode=Mode(record["mode"]).name.lower(),
            refusals=refusals,
            user_ref_num=record["user_ref_num"],
            epoch=record["epoch"],
        )

    def _on_order_sent(self, record: Record) -> None:
        single = not record["trigger_type"]
        self.sent_frames += 1
        self.sent_orders += 1 if single else 2
        if not single:
            self.eot_to_sof[record["eot_to_sof"]] += 1
            self.som_to_sof[record["som_to_sof"]] += 1
        self._line(
            "sent",
            index=self._cause(record),
            cycle=record["cycle"],
            pair=self._pair(record["pair"]),
            user_ref_num=record["user_ref_num"],
            trigger_type=record["trigger_type"],
            eot_to_sof_cycles=record["eot_to_sof"],
            som_to_sof_cycles=record["som_to_sof"],
            epoch=record["epoch"],
        )

    def _on_cancel_sent(self, record: Record) -> None:
        self.cancels_sent += 1
        self._line("cancel", cycle=record["cycle"], user_ref_num=record["user_ref_num"])

    def _on_order_state(self, record: Record) -> None:
        state, report = OrderState(record["state"]), chr(record["report"])
        if report not in ouch.ENDING:
            self.noted[ouch.OUTBOUND[report].name] += 1
        elif state in _ENDS:
            self.ended[state.name.lower()] += 1
        self._line(
            "state",
            cycle=record["cycle"],
            pair=self._pair(record["pair"]),
            symbol=self._symbol(record["slot"]),
            user_ref_num=record["user_ref_num"],
            state=state.name.lower(),
            open_shares=record["open_shares"],
            report=record["report"],
            reason=record["reason"],
        )

    def _on_fill(self, record: Record) -> None:
        slot, quantity = record["slot"], record["quantity"]
        side, broken = record["side"] & events.SIDE_MASK, bool(record["side"] >> events.TAKEN_BACK_BIT)
        if broken:
            self.fills.update({"broken": 1, "broken_shares": quantity})
        else:
            self.fills.update({"count": 1, "shares": quantity, "sold_shares" if side else "bought_shares": quantity})
        self.position[slot] = record["position"]
        self.cash[slot] = record["cash"]
        self._line(
            "broken" if broken else "fill",
            cycle=record["cycle"],
            pair=self._pair(record["pair"]),
            symbol=self._symbol(slot),
            user_ref_num=record["user_ref_num"],
            side=_SIDES[side],
            quantity=quantity,
            price=record["price"],
            match_number=record["match_number"],
            position=record["position"],
            cash=record["cash"],
        )

    def _on_integrity(self, record: Record) -> None:
        slot, state, cause = record["slot"], Integrity(record["integrity"]), IntegrityCause(record["cause"])
        if cause is IntegrityCause.WINDOW:
            self.filling.add(slot)
            return
        if cause is IntegrityCause.REFILLED:
            self.filling.discard(slot)
            return
        if cause is IntegrityCause.RECOVERED:
            self.everywhere = self.everywhere if self.everywhere is Integrity.DEAD else state
            self.integrity = {each: old if old is Integrity.DEAD else state for each, old in self.integrity.items()}
        elif slot == _EVERY_SLOT:
            if cause is IntegrityCause.CLEARED:
                self._detached.clear()
            self.everywhere = state if state is Integrity.EXACT else max(self.everywhere, state)
            # A loss that concerns all leaves those alone that are worse off already.
            self.integrity = (
                # A slot that is detached is not declared exact with the others.
                {each: old for each, old in self.integrity.items() if each in self._detached}
                if state is Integrity.EXACT
                else {each: max(old, state) for each, old in self.integrity.items()}
            )
        else:
            self.integrity[slot] = state
            if cause is IntegrityCause.DETACHED:
                self._detached.add(slot)
            elif cause is IntegrityCause.RELOADED:
                self._detached.discard(slot)
        if cause not in (IntegrityCause.RELOADED, IntegrityCause.RECOVERED):
            self.lowered[slot][cause.name.lower()] += 1

    def _on_gap(self, record: Record) -> None:
        self.missing_messages += record["next"] - record["first"]

    def _on_alarm(self, record: Record) -> None:
        self._line(
            "alarm",
            cycle=record["cycle"],
            user_ref_num=record["user_ref_num"],
            alarm=Alarm(record["alarm"]).name.lower(),
            report=record["report"],
        )
