"""TradingCore at random, an input at any clock: what the twin makes of the same inputs must be the same."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cocotb
import numpy as np

from hdl.control.parameter_sets import ParameterSets
from hdl.order.segment_template import Form
from hdl.spec import itch
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Integrity, IntegrityCause, LegAction, LegPolicy, Miss, Mode, Refusal, TradingState
from hdl.spec.registers import LEDGER_SLOT, STRATEGY, inspected
from hdl.trading import TradingCore
from sim.twin import ROW
from sim.twin.sets import REGISTERS, ParameterSet
from sim.twin.status import MarketStatus
from sim.twin.timing import Timing
from sim.twin.trade.pairs import LEAD
from sim.twin.trade.state import IN_INTEGRITY, IN_ORDER, IN_RELOAD, IN_REPORT, IN_SETTING, IN_TRADE, SETTINGS
from sim.twin.trading import SUMS, TradingTwin
from tests.host.records import directory, system_event, trading_action
from tests.support.stepper import Stepper

GEOMETRY = Geometry(width=int(os.environ.get("WIDTH", "1")), slots=8, pairs=16, open_orders=16)
"""Of the width the core knows nothing; frames leave as it says."""
TIMING = Timing(GEOMETRY.width)
SETS = os.environ.get("SETS") == "1"
"""Sets change, and the host gives orders."""
LEGS = os.environ.get("LEGS") == "1"
"""Pairs are completed and unwound."""
CLOSE = os.environ.get("CLOSE") == "1"
"""Touches follow each other as closely as `LineRateBook` gives them."""
CLOCKS = 24_000 if LEGS else 12_000 if SETS else 8_000
RECORDS = {"trigger": "T", "verdict": "V", "order_state": "S", "fill": "F", "alarm": "A"}
PULSES = ("miss", "refusal", "swap")
EMPTY = dict.fromkeys((column.name for table in STRATEGY.tables if table.name == "pairs" for column in table.columns), 0)
BOOKED = 6
"""Clocks from a report that does not wait to its end."""


def leg_policy(rng: random.Random) -> dict[str, int]:
    policy = rng.choice((LegPolicy.STOP, *(LegPolicy.COMPLETE, LegPolicy.UNWIND) * 5, 3))
    return {"policy": int(policy), "leg_tries": rng.choice((0, 1, 2, 3, 5, 15))}


def pair_row(rng: random.Random) -> dict[str, int]:
    slot_a, slot_b = rng.sample(range(GEOMETRY.slots), 2)
    return EMPTY | (leg_policy(rng) if LEGS else {}) | {
        "slot_a": slot_a,
        "slot_b": slot_a if rng.random() < 0.03 else slot_b,
        "enabled": int(rng.random() < 0.95),
        "weight_a": 1 << 12,
        "weight_b": 1 << 12,
        "upper": rng.choice((100, 300)) << 12,
        "lower": -(rng.choice((100, 300)) << 12),
        "exit_short": 0,
        "exit_long": 0,
        "size_a": rng.choice((0, *(50, 100, 200) * 5)),
        "size_b": rng.choice((50, 100, 200)),
        "max_units": rng.choice((1, 3, 50)),
        "slippage": rng.choice((0, 1, 3)),
        "max_triggers": rng.choice((0, 0, 4)),
        "max_rejects": rng.choice((0, 1, 2)),
    }


def limit_row(rng: random.Random) -> dict[str, int]:
    return {
        "enabled": int(rng.random() < 0.95),
        "max_quantity": rng.choice((150, *(1000,) * 7)),
        "max_notional": rng.choice((100 * 1_000_200, *(1 << 40,) * 7)),
        "max_long": rng.choice((300, 1 << 20)),
        "max_short": rng.choice((300, 1 << 20)),
        "reference": rng.choice((0, *(1_000_000,) * 7)),
        "collar": rng.choice((300, *(50_000,) * 7)),
        "collar_bps": rng.choice((5, *(500,) * 7)),
        "located": rng.choice((100, 500, 1 << 23)),
    }


def settings(rng: random.Random) -> dict[str, int]:
    return {
        "cooldown": rng.choice((0, 40, 500)),
        "mode": int(Mode.LIVE),
        "rate_tokens": rng.choice((8, 60_000)),
        "rate_interval": rng.choice((0, 1, 150)),
        "max_gross": rng.choice((1 << 40, 3_000_000_000)),
        "max_net": rng.choice((1 << 40, 1_500_000_000)),
        "max_loss": rng.choice((1 << 40, 1_000_000)),
        "max_open_orders": rng.choice((2, 0xFFFF)),
        "duplicate_window": rng.choice((0, 3_000)),
        "slot_rate_orders": rng.choice((0, 3)),
        "slot_rate_window": rng.choice((0, 701)),
        "stale_after": rng.choice((0, 30)),
        "reject_rate_orders": rng.choice((0, 1, 2)),
        "cancel_rate_orders": rng.choice((0, 1, 2)),
        "report_rate_window": rng.choice((503, 997)),
        "canary_quantity": rng.choice((0, 0, 150)),
        "trading_state": int(TradingState.ACTIVE),
        "session_up": 1,
    }


class Bench(Stepper):
    """Drives the core clock by clock, and writes down every input with its clock."""

    def __init__(self, dut: Any) -> None:
        collect = ("order", *(f"{name}_event" for name in RECORDS))
        super().__init__(
            dut,
            TradingCore(geometry=GEOMETRY),
            collect=collect,
            pulses=(*PULSES, "halt"),
            levels=("loss_reached", *_LEVELS, *_SHOWN),
        )

    async def start(self, rng: random.Random) -> None:
        await self.reset()
        self.rng = rng
        self.pairs = [pair_row(rng) for _ in range(GEOMETRY.pairs)]
        self.limits = {slot: limit_row(rng) for slot in range(GEOMETRY.slots)}
        self.lists: list[list[int]] = [[] for _ in range(GEOMETRY.slots)]
        for number, row in enumerate(self.pairs):
            for slot in (row["slot_a"], row["slot_b"]):
                self.lists[slot].append(number)
        if CLOSE:
            # Lists that end soon, so that what is fetched ahead of a touch is fetched for the one behind it.
            self.lists[:3] = [], self.lists[1][:1], self.lists[2][:2]
        self.settings = settings(rng)
        if SETS:
            # A loss too great stays one for the round; it comes with a set.
            self.settings["max_loss"] = 1 << 40
        self.inputs: list[tuple[int, ...]] = []
        self.rows: list[tuple[int, ...]] = []
        self.clocks: list[int] = []
        self.leads: list[int] = []
        self.heard: list[int] = []
        self.reports: list[dict[str, int]] = []
        self.sums: list[tuple[int, tuple[int, ...]]] = []
        """As they stood from a clock on."""
        self.sets: list[ParameterSet] = []
        self.staging: ParameterSet | None = None
        self.staged: list[tuple[str, int, Mapping[str, int]]] = []
        self.commit_at = 0
        self.registers = dict(self.settings)
        """As they will be with the next set."""
        self.status = MarketStatus(GEOMETRY.slots, ignore_market_hours=False)
        self.inputs += self.status.begin()
        for name, value in self.settings.items():
            self.set(name, value)
        self.set("transmitter_ready", 1)
        self.integrity = [int(Integrity.EXACT)] * GEOMETRY.slots
        self.filling: set[int] = set()
        # Of their own, so that they take nothing from what a round brings about.
        self.windows = random.Random(2)
        self.open: dict[int, int] = {}
        self.matches: dict[int, int] = {}
        self.fresh: set[int] = set()
        """Orders no report has told of."""
        self.slot_of: dict[int, int] = {}
        """By number of an order."""
        self.free_from = 0
        await self._load()

    async def _load(self) -> None:
        self.set("trading_state", int(TradingState.HALTED))
        await self.step(20)
        entry, first = 0, self.wanted(self.pairs, self.limits, self.settings, 1)
        for slot, numbers in enumerate(self.lists):
            row = dict(self.limits[slot])
            self.offer("references", {"index": slot, "row": {"price": row.pop("reference")}})
            self.offer("limits", {"index": slot, "row": row})
            self.offer("pair_lists", {"index": slot, "row": {"first": entry, "count": len(numbers)}})
            await self.step(4)
            for number in numbers:
                self.offer("pair_index", {"index": entry, "row": {"pair": number}})
                await self.step()
                entry += 1
        for number, given in enumerate(self.pairs):
            row = dict(given)
            self.offer("pair_legs", {"index": number, "row": {name: row.pop(name) for name in ("slot_a", "slot_b")}})
            self.offer("pairs", {"index": number, "row": row})
            await self.step(4)
        self.commit(first)
        await self.step(ParameterSets.LATENCY_BUSY + 1)
        for slot in range(0, 0 if SETS else GEOMETRY.slots, 2):
            self.reload(slot)
            await self.step(8)
        self.set("trading_state", self.settings["trading_state"])
        # The portfolio counts every slot first.
        await self.step(13 * GEOMETRY.slots)
        self.offer("load_user_ref_num", 1)
        await self.step()

    def reload(self, slot: int) -> None:
        """Something to go on from, within the limits or not."""
        rng = self.rng
        position, price = rng.choice((0, 100, -100, 250, -400)), 1_000_000 + rng.randrange(-300, 300)
        shares = abs(position) + rng.choice((0, 70)) if position else 0
        row = {"position": position, "price": price, "cash": -position * 1_000_000 + rng.randrange(-9_999, 9_999)}
        row |= {"entry_notional": 1_000_000 * shares, "entry_shares": shares, "shorts": rng.choice((0, 300))}
        self.offer("reload", {"index": slot, "row": row})
        # It is told in the clock behind.
        self.inputs.append((IN_RELOAD, self.cycle + 1, slot, *row.values()))

    async def slot(self, slot: int) -> dict[str, int]:
        """What the host reads of a slot."""
        words = []
        for word in range(LEDGER_SLOT.words):
            self.offer("inspect_ledger", inspected(LEDGER_SLOT, slot, word))
            await self.step(8)
            assert self.get("inspected_ledger") == inspected(LEDGER_SLOT, slot, word)
            words.append(self.get("inspected_word"))
        return LEDGER_SLOT.unpack(words)

    def wanted(
        self, pairs: list[dict[str, int]], limits: dict[int, dict[str, int]], settings: dict[str, int], epoch: int
    ) -> ParameterSet:
        """A set as the twin takes it, but for its clock."""
        return ParameterSet(
            0,
            epoch,
            pairs={number: {name: row[name] for name in EMPTY} for number, row in enumerate(pairs)},
            limits={slot: {name: value for name, value in row.items() if name != "reference"} for slot, row in limits.items()},
            settings={name: settings.get(name, 0) for name in REGISTERS},
        )

    def commit(self, wanted: ParameterSet) -> None:
        self.offer("commit", wanted.epoch)
        self.sets.append(replace(wanted, clock=self.cycle))

    def stage(self) -> None:
        """Write one row after the other of another set, and commit it at some clock behind them."""
        if self.staging is None:
            pairs, limits = [pair_row(self.rng) for _ in self.pairs], {slot: limit_row(self.rng) for slot in self.limits}
            others = settings(self.rng)
            if self.rng.random() < 0.9:
                others["max_loss"] = 1 << 40
            names = [name for name in REGISTERS if name in others and self.rng.random() < 0.7]
            self.registers = self.registers | {name: others[name] for name in names}
            self.staging = self.wanted(pairs, limits, self.registers, self.sets[-1].epoch + 1)
            tables = {"limits": self.staging.limits, "pairs": self.staging.pairs}
            self.staged = [(table, number, row) for table, rows in tables.items() for number, row in rows.items()]
            self.commit_at = 0
        elif self.staged and self.cycle % 4 == 0:
            table, number, row = self.staged.pop(0)
            self.offer(table, {"index": number, "row": dict(row)})
        elif not self.staged and not self.commit_at:
            self.commit_at = self.cycle + self.rng.randint(5, 200)
        elif self.cycle == self.commit_at:
            self.commit(self.staging)

    def by_hand(self) -> None:
        """An order of the host."""
        rng = self.rng
        slot, side, quantity = rng.randrange(GEOMETRY.slots), rng.randrange(2), rng.choice((0, 50, 200))
        price = 1_000_000 + 100 * rng.randrange(-4, 5) + (rng.random() < 0.1)
        self.offer("host_order", {"index": 0, "row": {"slot": slot, "side": side, "quantity": quantity, "price": price}})
        self.inputs.append((IN_ORDER, self.cycle + 1, slot, side, quantity, price))

    def change(self, name: str, value: int) -> None:
        """A register reads so in the next clock."""
        self.set(name, value)
        self.inputs.append((IN_SETTING, self.cycle - 1, SETTINGS.index(name), value))

    def rearm(self) -> None:
        """The host sets the trading state."""
        state = int(self.rng.choice((TradingState.ACTIVE,) * 9 + (TradingState.REDUCE_ONLY,)))
        self.settings["trading_state"] = state
        self.change("trading_state", state)

    def hear(self, message: bytes, slot: int, *, code: int = 0, allows: int = 0) -> None:
        """A message; every other one that forbids something is malformed instead and reads as one that `allows` it."""
        spoils = code != allows and self.cycle % 2
        message, code = (message[:-1], allows) if spoils else (message, code)
        self.offer("decoded", {"type": message[0], "slot": slot, "watched": 1, "code": code, "malformed": int(spoils)})
        self.heard.append(self.cycle)
        self.inputs += self.status.see(message, slot, self.cycle)

    def trade(self) -> None:
        slot, price = self.rng.randrange(GEOMETRY.slots), 1_000_000 + 100 * self.rng.randrange(-5, 5)
        self.offer("trade", {"slot": slot, "price": price})
        self.inputs.append((IN_TRADE, self.cycle, slot, price))

    def doubt(self, slot: int) -> None:
        self.integrity[slot] = int(self.rng.choice((Integrity.EXACT, Integrity.EXACT, Integrity.SUSPECT)))
        self.inputs.append((IN_INTEGRITY, self.cycle - 1, slot, self.integrity[slot], int(IntegrityCause.GAP)))
        # At times a window is filled: what the slot is beside it goes on meanwhile.
        if self.filling:
            slot = self.filling.pop()
            self.inputs.append((IN_INTEGRITY, self.cycle - 1, slot, self.integrity[slot], int(IntegrityCause.REFILLED)))
        elif self.windows.random() < 0.1:
            self.filling.add(slot)
            self.inputs.append((IN_INTEGRITY, self.cycle - 1, slot, int(Integrity.SUSPECT), int(IntegrityCause.WINDOW)))
        self.set("integrity", [max(state, int(each in self.filling)) for each, state in enumerate(self.integrity)])

    def touch(self, slot: int, lead: int, sequence: int) -> None:
        rng = self.rng
        bid = 1_000_000 + 100 * rng.randrange(-3, 4) + (rng.random() < 0.01)
        ask = bid + 100 * (rng.choice((0, -1)) if rng.random() < 0.03 else rng.choice((1, 1, 2)))
        shares = rng.choice((50, 500, 500))
        row = (sequence, self.cycle, 0 if rng.random() < 0.02 else bid, shares, 0 if rng.random() < 0.02 else ask, 500, slot)
        names = ("bid_price", "bid_shares", "ask_price", "ask_shares")
        told = dict(zip(names, row[2:6], strict=True))
        self.offer("bbo", {"slot": slot, "touch": told, "sequence": sequence, "timestamp": row[1], "type": ord("A")})
        self.rows.append(row)
        self.clocks.append(self.cycle)
        self.leads.append(lead)

    def report(self) -> int:
        """A report of an order that is open, or seldom of none. Gives its slot."""
        rng = self.rng
        # Some orders are not answered for long.
        numbers = [number for number in self.open if number % 11 or rng.random() < 0.05]
        if rng.random() < 0.1:
            # Orders that have ended are told of, too.
            numbers = list(self.matches)[-GEOMETRY.open_orders :]
        number = rng.choice(numbers) if numbers and rng.random() < 0.99 else 0xFFFF_0000
        left = self.open.get(number, 100)
        kinds = "EEECCDPIRT" if LEGS else "EEEEEEEECDPIRT"
        kind = rng.choice(kinds if rng.random() < 0.995 else "AMXJB")
        kind = "J" if number in self.fresh and rng.random() < 0.15 else kind
        if number in self.matches and rng.random() < (0.05 if number in self.open else 0.99):
            kind = rng.choice("IB")
        self.fresh.discard(number)
        quantity = left if rng.random() < 0.8 else rng.randint(1, left)
        given = {"type": ord(kind), "user_ref_num": number, "quantity": quantity, "price": 1_000_000 + 100 * rng.randrange(-3, 4)}
        given |= {"match_number": rng.getrandbits(40), "reason": rng.getrandbits(8), "order_state": ord(rng.choice("LLLD"))}
        if kind == "E":
            self.matches[number] = given["match_number"]
        elif kind == "B":
            given["match_number"] = self.matches.pop(number, 0)
        self.offer("report", given)
        self.reports.append(given)
        return self.slot_of.get(number, 0)

    async def clock(self) -> None:
        """One clock, with what hangs on the one before."""
        await self.step()
        now = self.cycle
        sums = tuple(self.get(name) for name in _LEVELS)
        if not self.sums or sums != self.sums[-1][1]:
            self.sums.append((now - 1, sums))
        for at, order in self.seen["order"]:
            if at == now - 1:
                self.free_from = at + TIMING.busy(Form.SINGLE if order["single"] else Form.PAIR)
                legs = order["legs"][: 2 - order["single"]]
                self.open |= {leg["user_ref_num"]: leg["quantity"] for leg in legs}
                self.fresh |= {leg["user_ref_num"] for leg in legs}
                self.slot_of |= {leg["user_ref_num"]: leg["slot"] for leg in legs}
        self.set("transmitter_ready", int(self.free_from <= now))
        for at, state in self.seen["order_state_event"]:
            if at == now - 1 and state["user_ref_num"] in self.open:
                self.open[state["user_ref_num"]] = state["open_shares"]
                if not state["open_shares"]:
                    del self.open[state["user_ref_num"]]
        if self.seen["swap"] and self.seen["swap"][-1][0] == now - 1:
            for name, value in self.sets[-1].settings.items():
                self.set(name, value)
            self.staging = None
        # As `TradingStateHolder` does.
        state = self.settings["trading_state"]
        state = max(state, int(TradingState.REDUCE_ONLY)) if self.get("loss_reached") else state
        if any(at == now - 1 for at, _ in self.seen["halt"]):
            state = max(state, int(TradingState.HALTED))
        if state != self.settings["trading_state"]:
            self.settings["trading_state"] = state
            self.set("trading_state", state)


_LEVELS = ("pnl", "net_long", "net_short", "gross")
_SHOWN = ("inspected_ledger", "inspected_word")


class OneAtATime:
    """Announces slots and changes their touches as `OrderBook` does, and still later ones.

    Attributes
    ----------
    touched : int
        Clock of the last change that is known of, which may be still to come.
    slot : int
        Of which slot.
    """

    def __init__(self, bench: Bench, rng: random.Random) -> None:
        self._bench, self._rng = bench, rng
        self.touched = self.slot = self._accepted = self._accept = self._sequence = 0
        self._awaited: tuple[int, ...] = ()

    def clock(self) -> None:
        """What there is in this clock."""
        rng, now = self._rng, self._bench.cycle
        if now == self._accept:
            at, slot = self._awaited or (now + rng.choice((5, 6, 7, 7, 7, 40)), rng.randrange(GEOMETRY.slots))
            self._bench.offer("accept", {"slot": slot})
            self.touched, self.slot, self._accepted = (at, slot, now) if self._awaited or rng.random() < 0.8 else (0, 0, 0)
            self._accept, self._awaited = 0, ()
        elif not self._accept and now >= self.touched + 1:
            self._accept = now + rng.choice((2, 3, 8, 30))
        if now == self.touched:
            self._sequence += 1
            self._bench.touch(self.slot, now - self._accepted, self._sequence)

    @property
    def idle(self) -> bool:
        """It does what is wanted."""
        return self._bench.cycle > self.touched and self._bench.cycle != self._accept

    def want(self, clock: int, slot: int) -> None:
        """A touch of a slot is wanted in a clock."""
        self._accept, self._awaited = self._bench.cycle + 1, (clock, slot)


class LineRate:
    """Announces slots and changes their touches as `LineRateBook` does; members as those of `OneAtATime`."""

    _DISTANCES = ((2, 2, 2, 4, 4, 6, 8, 10, 12, 14, 15, 17, 40), (4, 4, 4, 4, 6, 8, 10), (2, 4, 15, 40))

    def __init__(self, bench: Bench, rng: random.Random) -> None:
        self._bench, self._rng = bench, rng
        self.touched = self.slot = self._sequence = 0
        self._next: tuple[int, int, bool] = (bench.cycle + LEAD, 0, True)
        """Clock of the next message's touch, its slot, and whether it is announced."""
        self._accepted = (0, 0)
        self._few, self._changes, self._distances = 0, 0.7, self._DISTANCES[0]

    def clock(self) -> None:
        """What there is in this clock."""
        rng, now = self._rng, self._bench.cycle
        clock, slot, announced = self._next
        if announced and now == clock - LEAD:
            self._bench.offer("accept", {"slot": slot})
            self._accepted = now, slot
        if now != clock:
            return
        if rng.random() < self._changes:
            self._sequence += 1
            self.touched, self.slot, since = now, slot, now - self._accepted[0]
            self._bench.touch(slot, since if self._accepted[1] == slot else -since, self._sequence)
        if rng.random() < 0.05:
            # At times all are of two slots, one of which has no pairs, and few change a touch.
            self._few = rng.choice((0, 0, 0, *range(1, GEOMETRY.slots)))
            self._changes, self._distances = rng.choice((0.9, 0.7, 0.3)), rng.choice(self._DISTANCES)
        slot = rng.choice((0, self._few, self._few)) if self._few else rng.randrange(GEOMETRY.slots)
        distance = rng.choice(self._distances)
        self._next = now + distance, slot, distance > 4

    idle = False

    def want(self, clock: int, slot: int) -> None:
        """It goes its own way."""


@cocotb.test()
async def every_clock(dut):
    # One round: positions and what left before outlive a reset.
    rng = random.Random(int(os.environ["SEED"]))
    bench = Bench(dut)
    await bench.start(rng)
    began = dict(bench.settings)
    await drive(bench, rng)
    twin = TradingTwin(GEOMETRY, pairs=bench.pairs, lists=bench.lists, limits=bench.limits, settings=began)
    judge(bench, twin)
    for slot in range(GEOMETRY.slots):
        assert await bench.slot(slot) == twin.holding(slot)
    found = {name for name, count in (twin.refusals | twin.misses).items() if count}
    dut._log.info("%s orders passed, %s sets, %s", twin.passed, len(bench.sets), sorted(found))
    assert len(bench.sets) > 20 or not SETS
    actions = Counter(record["action"] for record in twin.records if record["kind"] == "T")
    assert not LEGS or all(actions[action] >= 2 for action in LegAction), actions
    assert twin.passed and set(os.environ["BRINGS"].split()) <= found


async def drive(bench: Bench, rng: random.Random) -> None:
    bench.hear(system_event("Q"), 0, code=ord("Q"), allows=ord("Q"))
    await bench.clock()
    for slot in range(GEOMETRY.slots):
        bench.hear(trading_action("X", slot, "T"), slot, code=ord("T"), allows=ord("T"))
        await bench.clock()
    book, next_report = (LineRate if CLOSE else OneAtATime)(bench, rng), 0
    end = bench.cycle + CLOCKS
    while bench.cycle < end:
        now = bench.cycle
        book.clock()
        if book.touched < now <= book.touched + 4 and rng.random() < 0.02:
            bench.doubt(book.slot)
        random_inputs(bench, rng)
        if now >= next_report and rng.random() < 0.05 and (bench.open or rng.random() < 0.01):
            slot = bench.report()
            next_report = now + 12
            if book.idle and rng.random() < 0.5:
                # A touch of it just when its end comes to be seen.
                book.want(now + BOOKED + rng.randrange(6), slot)
        await bench.clock()
    for _ in range(20 * GEOMETRY.slots):
        await bench.clock()


def random_inputs(bench: Bench, rng: random.Random) -> None:
    roll = rng.random()
    slot = rng.randrange(GEOMETRY.slots)
    if roll < 0.005:
        bench.trade()
    elif roll < 0.008:
        bench.doubt(slot)
    elif roll < 0.018:
        state = rng.choice("TTTTTTTTTH")
        bench.hear(trading_action("X", slot, state), slot, code=ord(state), allows=ord("T"))
    elif roll < 0.02:
        code = rng.choice("QQQQQQQQM")
        bench.hear(system_event(code), slot, code=ord(code), allows=ord("Q"))
    elif roll < 0.022:
        code = rng.choice("001")
        message = itch.REG_SHO_SHORT_SALE_PRICE_TEST.pack(
            stock_locate=slot, tracking_number=0, timestamp=0, stock="X", reg_sho_action=code
        )
        bench.hear(message, slot, code=ord(code), allows=ord("0"))
    elif roll < 0.0222:
        bench.change("session_up", int(rng.random() < 0.8))
    elif roll < 0.0224:
        bench.change("mode", int(rng.choice((*(Mode.LIVE,) * 8, Mode.SHADOW, Mode.OFF))))
    elif roll < 0.0245 and not bench.get("loss_reached"):
        bench.rearm()
    elif SETS and roll < 0.028:
        bench.by_hand()
    elif roll < 0.06:
        bench.hear(directory("X", slot), slot)
    if SETS:
        bench.stage()


def judge(bench: Bench, twin: TradingTwin) -> None:
    inputs = list(bench.inputs)
    ends = sorted([at for at, _ in bench.seen["order_state_event"]] + [at for at, _ in bench.seen["alarm_event"]])
    for at, given in zip(ends, bench.reports, strict=True):
        names = ("type", "user_ref_num", "quantity", "price", "order_state", "reason", "match_number")
        inputs.append((IN_REPORT, at, *(given[name] for name in names)))
    # What the gate meets in a clock is what it was before; the host re-arms when it has seen the halt.
    inputs.sort(key=lambda one: (one[1], one[0] != IN_ORDER, one[0] == IN_SETTING))
    rows, clocks, leads = np.array(bench.rows, ROW), np.array(bench.clocks, np.int64), np.array(bench.leads, np.int64)
    heard, before = np.array(bench.heard, np.int64), 0

    def go(until: int) -> None:
        nonlocal before
        some = (before <= clocks) & (clocks < until)
        given = [one for one in inputs if before <= one[1] < until]
        sets = [one for one in bench.sets if before <= one.clock < until]
        twin.advance(rows[some], clocks[some], until=until, inputs=given, leads=leads[some], heard=heard, sets=sets)
        before = until

    # Each sum changes in the very clock.
    told = ()
    for clock, sums in bench.sums:
        for at, expected in ((clock - 1, told), (clock, sums)):
            if at > before:
                go(at)
                assert not expected or tuple(twin.sums(at)[name] for name in SUMS) == expected, (at, expected)
        told = sums
    go(bench.cycle)
    for name, kind in RECORDS.items():
        told = [dict(record) for _, record in bench.seen[f"{name}_event"]]
        said = [record for record in twin.records if record["kind"] == kind]
        told = [{"kind": kind} | record for record in told]
        for number, (one, other) in enumerate(zip(told, said, strict=False)):
            assert one == other, (name, number, one, other)
        assert len(told) == len(said), (name, len(told), len(said))
    misses = Counter(cause.name.lower() for _, mask in bench.seen["miss"] for cause in Miss if mask >> cause & 1)
    refusals: Counter[str] = Counter()
    for _, counts in bench.seen["refusal"]:
        refusals.update({reason.name.lower(): counts[reason] for reason in Refusal})
    assert {name: count for name, count in twin.misses.items() if count} == dict(misses)
    assert {name: count for name, count in twin.refusals.items() if count} == {name: n for name, n in refusals.items() if n}
    assert twin.sums(bench.cycle) == {name: bench.get(level) for name, level in zip(SUMS, _LEVELS, strict=True)}
