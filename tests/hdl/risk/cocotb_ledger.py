"""Ledger against accounts kept in plain Python."""

from __future__ import annotations

import random
from collections import Counter

import cocotb

from hdl.risk.ledger import RELOAD, Ledger
from hdl.spec import ouch
from hdl.spec.events import NO_PAIR
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Alarm, OrderState, PairOutcome
from hdl.spec.registers import LEDGER_ORDER, LEDGER_SLOT, Table, inspected
from tests.hdl.risk.accounts import BUY, SELL, Accounts, Own
from tests.support.stepper import Stepper

GEOMETRY = Geometry(slots=8, pairs=16, open_orders=32)
REPORT_CLOCKS = 8
ENTER_CLOCKS = 7


class Bench(Stepper):
    def __init__(self, dut):
        super().__init__(
            dut,
            Ledger(geometry=GEOMETRY),
            collect=("done", "leg_told", "fill_event", "order_state_event", "alarm_event", "booked", "shown"),
            pulses=("alarm", "halt", "rejected", "canceled"),
            levels=("exposure", "booking", "full", "live", "inspected", "inspected_word", "changes", "reload__ready"),
        )

    # The ledger's memories outlive a reset, so the accounts go on from test to test.
    accounts = Accounts(GEOMETRY.open_orders)
    pairs: dict[int, tuple[int, int]] = {}
    legs: dict[int, tuple[int, bool]] = {}
    """By number of an order that is for a leg of a pair: which, and whether it repairs the pair."""

    async def start(self) -> int:
        """Reset, end what is open, give the number of the next order."""
        await self.reset()
        self.number = max(self.accounts.orders, default=0) + 1
        for order in self.live():
            await self.report("J" if order.state == OrderState.SENT else "C", order.number, order.open)
        return self.number

    async def send(
        self, pair: int, legs: list[tuple[int, int, int, int]], *, wait: int = ENTER_CLOCKS, repair: int | None = None
    ) -> None:
        """Legs are slot, side, short, quantity. A single one is of `NO_PAIR`, or to `repair` a leg of the pair."""
        numbers = tuple(range(self.number, self.number + len(legs)))
        given = [
            {"slot": slot, "side": side, "short": short, "quantity": quantity, "price": 77, "user_ref_num": number}
            for number, (slot, side, short, quantity) in zip(numbers, legs, strict=True)
        ]
        single = len(legs) == 1
        if single:
            # What stands in the place of leg b must not matter.
            assert (pair == NO_PAIR) == (repair is None)
            given.append({"slot": 7 - legs[0][0], "quantity": 999, "price": 5, "user_ref_num": self.number + 1})
        sent = {"pair": pair % (1 << GEOMETRY.pair_bits), "single": int(single), "repair": int(repair is not None), "legs": given}
        self.offer("sent", sent | {"leg": repair or 0})
        for number, (slot, side, short, quantity) in zip(numbers, legs, strict=True):
            self.accounts.orders[number] = Own(number, slot, pair, side, short, quantity)
        self.legs |= {number: (index, False) for index, number in enumerate(numbers)} if not single else {}
        if repair is None:
            self.pairs[pair] = numbers
        else:
            self.legs[numbers[0]] = repair, True
        self.number += len(legs)
        self.taken("booked"), self.taken("leg_told")
        await self.step(wait)
        if wait < ENTER_CLOCKS:
            return
        told = self.taken("booked")
        assert [cycle - told[0][0] for cycle, _ in told] == [0, 2][: len(legs)]
        begun = [(cycle - told[0][0], each) for cycle, each in self.taken("leg_told")]
        begins = {"pair": pair, "entered": 1, "ended": 0, "back": 0}
        assert begun == [
            (2 * leg, begins | {"leg": leg, "slot": slot, "side": side, "quantity": quantity})
            for leg, (slot, side, _, quantity) in enumerate(legs if not single else ())
        ]
        for leg, ((slot, *_), (_, each)) in enumerate(zip(legs, told, strict=True)):
            # Of one slot, the second order is not in what is told of the first.
            if legs[0][0] != legs[-1][0] or single:
                assert each["exposure"] == self.accounts.exposure(slot)
            assert (each["slot"], each["price"], each["entered"], each["leg"], each["filled"]) == (slot, 77, 1, leg, 0)

    def tell(
        self,
        kind: str,
        number: int,
        quantity: int = 0,
        *,
        price: int = 0,
        order_state: str = "L",
        reason: int = 0,
        match: int = 0,
    ):
        report = {"type": ord(kind), "user_ref_num": number, "quantity": quantity, "price": price, "reason": reason}
        self.offer("report", report | {"order_state": ord(order_state), "match_number": match})

    async def report(self, kind: str, number: int, quantity: int = 0, **more) -> Alarm | None:
        """Give a report and check all that comes of it."""
        before = self.accounts.orders.get(number)
        had_ended = before is not None and before.ended
        price, state = more.get("price", 0), more.get("order_state", "L")
        self.tell(kind, number, quantity, **more)
        fill = before.last_fill if before else None
        alarm = self.accounts.book(kind, number, quantity, price, state, more.get("match", 0))
        await self.step(REPORT_CLOCKS + 2 * (kind == "B"))
        assert self.get("live") == len(self.live())
        taken = {name: [payload for _, payload in self.taken(name)] for name in list(self.seen) if name != "shown"}
        order = self.accounts.orders.get(number)
        for name in ("fill_event", "order_state_event", "alarm_event"):
            for event in taken[name]:
                event.pop("cycle")
        if alarm is not None or kind == "S":
            named = ("fill_event", "order_state_event", "done", "leg_told", "booked", "rejected", "canceled")
            assert not any(taken[name] for name in named)
            if alarm is None:
                assert not taken["alarm"] and not taken["halt"]
                return None
            assert taken["alarm"] == [1 << alarm] and taken["halt"] == [1], (kind, number, quantity)
            assert taken["alarm_event"] == [{"user_ref_num": number, "alarm": alarm, "report": ord(kind)}]
            return alarm
        assert not taken["alarm"] and not taken["alarm_event"] and not taken["halt"], (kind, number, quantity, order)
        assert taken["order_state_event"] == [
            {
                "user_ref_num": number,
                "open_shares": order.open,
                "slot": order.slot,
                "pair": order.pair,
                "state": order.state,
                "report": ord(kind),
                "reason": more.get("reason", 0),
            }
        ]
        fills = []
        if kind == "B":
            _, quantity, price = fill
        if kind in "EB":
            fills.append(
                {
                    "user_ref_num": number,
                    "match_number": more.get("match", 0),
                    "price": price,
                    "quantity": quantity,
                    "position": self.accounts.exposure(order.slot)["position"],
                    "cash": self.accounts.cash[order.slot],
                    "slot": order.slot,
                    "pair": order.pair,
                    "side": (2 if order.short else order.side) + 4 * (kind == "B"),
                }
            )
        assert taken["fill_event"] == fills
        [told] = taken["booked"]
        assert told["slot"] == order.slot and told["exposure"] == self.accounts.exposure(order.slot)
        assert (told["entered"], told["filled"]) == (0, int(kind in "EB"))
        if kind in "EB":
            assert (told["cash"], told["price"]) == (self.accounts.cash[order.slot], price)
        rejected = kind == "J" or (kind == "A" and state == "D")
        assert (taken["rejected"], taken["canceled"]) == ([1] * rejected, [1] * (kind in "CD")), (kind, state)
        outcome = None if had_ended else self.outcome(order)
        done = []
        if outcome is not None:
            told = any(self.accounts.orders[each].rejected for each in self.pairs[order.pair])
            done.append({"pair": order.pair, "outcome": outcome, "rejected": int(told)})
        assert taken["done"] == done
        leg, repairs = self.legs.get(number, (0, False))
        # A broken trade is told, and no shares of it.
        filled = quantity if kind == "E" else 0
        told = {"pair": order.pair, "leg": leg, "slot": order.slot, "side": order.side, "quantity": filled, "entered": 0}
        told |= {"back": int(kind == "B")}
        ends = int(repairs and order.ended and not had_ended)
        assert taken["leg_told"] == ([told | {"ended": ends}] if number in self.legs else [])
        return None

    def outcome(self, order: Own) -> PairOutcome | None:
        """How the order's pair ended, if it has and there is one."""
        numbers = self.pairs.get(order.pair, ())
        return self.accounts.outcome(order.pair, numbers) if order.number in numbers and order.pair != NO_PAIR else None

    async def word(self, view: Table, index: int, word: int, *, limit: int = 9) -> int:
        """A word of a view."""
        asked = inspected(view, index, word)
        self.offer("inspect", asked)
        await self.step(2)
        for _ in range(limit):
            if self.get("inspected") == asked:
                return self.get("inspected_word")
            await self.step()
        raise AssertionError(f"{view.name} {index} was not shown within {limit} clocks")

    async def view(self, view: Table, index: int) -> dict[str, int]:
        return view.unpack([await self.word(view, index, word) for word in range(view.words)])

    async def check_slot(self, slot: int) -> None:
        """What the host reads of a slot."""
        cash = {"cash": self.accounts.cash.get(slot, 0)}
        assert await self.view(LEDGER_SLOT, slot) == self.accounts.exposure(slot) | cash | self.accounts.entry(slot)

    async def check_order(self, order: Own) -> None:
        """What the host reads of an order, while no other is in its place."""
        found = await self.view(LEDGER_ORDER, order.number % GEOMETRY.open_orders)
        single = order.pair == NO_PAIR
        found["pair"] = order.pair if single else found["pair"]
        assert found == {
            "user_ref_num": order.number,
            "open": order.open,
            "state": order.state,
            "single": int(single),
            "side": order.side,
            "short": order.short,
            "slot": order.slot,
            "pair": order.pair,
        }

    async def reload(self, slot: int, position: int, cash: int, entries: list[tuple[int, int]], *, price: int = 0) -> None:
        """Give a slot something to go on from; it has to be taken at once, and told a clock later as a fill is."""
        self.accounts.reload(slot, position, cash, entries)
        row = {"position": position, "cash": cash, "price": price} | self.accounts.entry(slot)
        row |= {"shorts": self.accounts.exposure(slot)["shorts"]}
        # What the last fill does to the entry figures goes first; the bus brings a row no sooner.
        await self.step(RELOAD.words - 2)
        self.taken("booked")
        self.offer("reload", {"index": slot, "row": row})
        await self.step()
        assert self.get("reload__ready")
        at = self.cycle
        await self.step()
        [(cycle, told)] = self.taken("booked")
        assert cycle == at and told["exposure"] == self.accounts.exposure(slot)
        assert [told[name] for name in ("slot", "cash", "price", "entered", "filled")] == [slot, cash, price, 0, 1]

    async def check_exposure(self) -> None:
        for slot in range(0, GEOMETRY.slots, 2):
            self.set("lookup", [slot, slot + 1])
            self.set("looking", 1)
            await self.step()
            assert self.get("exposure") == [self.accounts.exposure(slot), self.accounts.exposure(slot + 1)]
            self.set("looking", 0)
            await self.step()

    def live(self) -> list[Own]:
        return [order for order in self.accounts.orders.values() if not order.ended]


@cocotb.test()
async def a_pair_from_sent_to_filled(dut):
    bench = Bench(dut)
    first = await bench.start()
    bench.set("lookup", [3, 5])
    await bench.send(2, [(3, SELL, 1, 100), (5, BUY, 0, 250)])
    await bench.check_exposure()
    await bench.report("A", first, 100)
    await bench.report("E", first, 40, price=1_000_000, match=0xFEDCBA9876543210)
    await bench.report("A", first + 1, 250)
    await bench.report("E", first, 60, price=1_000_100)
    await bench.check_exposure()
    await bench.report("E", first + 1, 250, price=(1 << 31) - 1)
    await bench.check_exposure()
    assert bench.accounts.outcome(2, (first, first + 1)) == PairOutcome.FILLED


@cocotb.test()
async def a_single_order_ends_without_a_pair(dut):
    """Of the pair whose number is all ones as well: its count of orders is its own."""
    bench = Bench(dut)
    last = GEOMETRY.pairs - 1
    assert last == NO_PAIR % (1 << GEOMETRY.pair_bits)
    first = await bench.start()
    await bench.send(last, [(0, BUY, 0, 10), (1, SELL, 0, 10)])
    single = bench.number
    await bench.send(NO_PAIR, [(3, SELL, 1, 40)])
    assert bench.number == single + 1 and bench.get("live") == 3
    await bench.check_exposure()
    await bench.report("A", single, 40)
    await bench.report("E", single, 30, price=9)
    await bench.report("E", first, 10, price=3)
    await bench.report("C", single, 10)
    # Nothing but its second order ends the pair.
    await bench.report("E", first + 1, 10, price=4)
    assert bench.accounts.outcome(last, (first, first + 1)) == PairOutcome.FILLED
    await bench.check_exposure()
    # An order after a single one, at once.
    number = bench.number
    await bench.send(NO_PAIR, [(2, BUY, 0, 5)])
    await bench.send(0, [(2, BUY, 0, 6), (4, SELL, 0, 7)])
    for each in range(number, number + 3):
        await bench.report("J", each, reason=1)
    await bench.check_exposure()


@cocotb.test()
async def entry_figures_by_hand(dut):
    """Since flat: what adds is added, what reduces leaves them, what leads through 0 begins anew."""
    bench = Bench(dut)
    await bench.start()
    slot = 4
    await bench.reload(slot, 0, 0, [])
    for signed, price, shares, notional in (
        (100, 10, 100, 1_000),
        (100, 20, 200, 3_000),
        (-150, 50, 200, 3_000),
        (50, 30, 250, 4_500),
        (-130, 40, 30, 1_200),
        (-70, 60, 100, 5_400),
        (100, 7, 0, 0),
        (-5, 8, 5, 40),
        (6, (1 << 32) - 1, 1, (1 << 32) - 1),
        ((1 << 20) - 1, (1 << 32) - 1, 1 << 20, ((1 << 32) - 1) << 20),
    ):
        number = bench.number
        await bench.send(NO_PAIR, [(slot, SELL if signed < 0 else BUY, 0, abs(signed))])
        await bench.report("E", number, abs(signed), price=price)
        found = await bench.view(LEDGER_SLOT, slot)
        assert (found["entry_shares"], found["entry_notional"]) == (shares, notional), signed
        await bench.check_slot(slot)


@cocotb.test()
async def fills_through_zero_behind_each_other(dut):
    """As close as they can come: the second product of one is there when the next one needs it."""
    bench = Bench(dut)
    await bench.start()
    first = bench.number
    rng = random.Random(8)
    for slot in (2, 3):
        await bench.reload(slot, 0, 0, [])
    await bench.send(NO_PAIR, [(2, BUY, 0, 10_000)])
    await bench.send(NO_PAIR, [(2, SELL, 0, 10_000)])
    await bench.send(NO_PAIR, [(3, SELL, 0, 10_000)])
    for kinds in ("bs", "bsx", "xbs", "bbsxs", "sbbsx"):
        for _ in range(3):
            for kind in kinds:
                order = bench.accounts.orders[first + "bsx".index(kind)]
                position = bench.accounts.exposure(order.slot)["position"]
                quantity = rng.choice((abs(position) + 3, abs(position) or 1, 2))
                price = rng.randrange(1, 1 << 32)
                bench.tell("E", order.number, quantity, price=price)
                assert bench.accounts.book("E", order.number, quantity, price, "L") is None
                await bench.step(1)
            await bench.step(8 * len(kinds))
            for slot in (2, 3):
                await bench.check_slot(slot)


@cocotb.test()
async def what_is_read_around_a_fill_through_zero_is_before_it_or_after(dut):
    """Asked for in any clock around it: shares and notional change together."""
    bench = Bench(dut)
    first = await bench.start()
    await bench.reload(2, 0, 0, [])
    await bench.send(NO_PAIR, [(2, BUY, 0, 10_000)])
    await bench.send(NO_PAIR, [(2, SELL, 0, 10_000)])
    bench.tell("E", first, 3, price=9)
    bench.accounts.book("E", first, 3, 9, "L")
    await bench.step(20)

    def word() -> int:
        """With the upper bits of the notional, and lower ones of the shares."""
        row = bench.accounts.exposure(2) | {"cash": bench.accounts.cash[2]} | bench.accounts.entry(2)
        return LEDGER_SLOT.pack(**row)[7]

    for early in range(20):
        before, number = word(), first + 1 - early % 2
        bench.tell("E", number, 8 + early, price=(1 << 32) - 1 - early)
        assert bench.accounts.book("E", number, 8 + early, (1 << 32) - 1 - early, "L") is None
        await bench.step(early)
        bench.offer("inspect", inspected(LEDGER_SLOT, 2, 7))
        await bench.step(30)
        assert bench.get("inspected") == inspected(LEDGER_SLOT, 2, 7)
        assert bench.get("inspected_word") in (before, word()) and before != word(), early
        await bench.check_slot(2)


@cocotb.test()
async def the_host_reads_while_reports_come(dut):
    """Whatever is asked for and when, reports and orders are held up by four clocks at most, and what was read is of one moment
    where nothing was booked meanwhile."""
    bench = Bench(dut)
    first = await bench.start()
    await bench.send(0, [(2, BUY, 0, 100), (6, SELL, 1, 100)])
    orders = [bench.accounts.orders[number] for number in (first, first + 1)]
    for order in orders:
        await bench.check_order(order)
    delays = set()
    for early in range(10):
        for look in (0, 1):
            bench.offer("inspect", inspected(LEDGER_SLOT, 2, 0))
            await bench.step(early)
            bench.tell("E", first, 1, price=1)
            at, was = bench.cycle, bench.accounts.exposure(2)["position"]
            bench.accounts.book("E", first, 1, 1, "L")
            for clock in range(20):
                bench.set("looking", int(look and clock % 3 == 0))
                bench.set("lookup", [5, 7])
                await bench.step()
            bench.set("looking", 0)
            [(cycle, _)] = bench.taken("order_state_event")
            delays.add(cycle - at)
            assert bench.get("inspected") == inspected(LEDGER_SLOT, 2, 0)
            assert bench.get("inspected_word") in (was % (1 << 32), (was + 1) % (1 << 32))
    assert max(delays) <= 11 and min(delays) == 6, delays
    # One that is asked for while another is fetched: only the later is told.
    for apart in range(1, 7):
        bench.offer("inspect", inspected(LEDGER_ORDER, (first + 1) % GEOMETRY.open_orders, 0))
        await bench.step(apart)
        assert await bench.word(LEDGER_ORDER, first % GEOMETRY.open_orders, 0, limit=8) == first
    before = bench.get("changes")
    for name in ("fill_event", "booked", "leg_told"):
        bench.taken(name)
    await bench.report("E", first + 1, 10, price=9)
    await bench.report("E", first + 77, 10, price=9)
    await bench.step()
    assert bench.get("changes") == before + 1
    # Whatever is booked counts: reports of any kind, orders entered.
    await bench.report("C", first + 1, 10)
    await bench.step(2)
    assert bench.get("changes") == before + 2
    await bench.send(NO_PAIR, [(5, BUY, 0, 7)])
    await bench.step(2)
    assert bench.get("changes") == before + 3
    for order in orders:
        await bench.check_order(order)
    await bench.check_exposure()


@cocotb.test()
async def a_slot_goes_on_from_what_the_host_gives(dut):
    bench = Bench(dut)
    first = await bench.start()
    await bench.reload(1, -300, -(1 << 62), [(500, 12), (100, 11)], price=13)
    await bench.reload(5, (1 << 31) - 1, (1 << 63) - 1, [((1 << 31) - 1, 1 << 24)], price=(1 << 32) - 1)
    for slot in range(GEOMETRY.slots):
        await bench.check_slot(slot)
    await bench.check_exposure()
    await bench.send(0, [(1, BUY, 0, 1000), (2, SELL, 0, 10)])
    await bench.report("E", first, 100, price=5)
    await bench.report("E", first, 250, price=6)
    await bench.check_slot(1)
    # Not while an order is open, is entered, or a report waits.
    await bench.report("J", first + 1)
    for prepare in (None, "report"):
        if prepare:
            bench.tell("E", first + 50, 1)
            await bench.step(1)
        bench.offer("reload", {"index": 1, "row": {"position": 7}})
        await bench.step()
        assert not bench.get("reload__ready")
        await bench.step(REPORT_CLOCKS)
        await bench.check_slot(1)
    for name in ("alarm", "alarm_event", "halt", "booked"):
        bench.taken(name)
    await bench.report("C", first, 650)
    bench.taken("booked")
    number = bench.number
    await bench.send(NO_PAIR, [(1, SELL, 0, 5)], wait=0)
    for _ in range(4):
        await bench.step()
        bench.offer("reload", {"index": 1, "row": {"position": 7}})
    await bench.step(6)
    assert bench.get("live") == 1 and len(bench.taken("booked")) == 1
    await bench.check_slot(1)
    # A report of nothing known, in the same clock or just before: one of both, and never half of it.
    await bench.report("J", number)
    for apart in range(8):
        bench.tell("E", number + 50, 1)
        await bench.step(apart)
        bench.taken("booked")
        bench.offer("reload", {"index": 1, "row": {"position": 7 + apart, "cash": 8, "entry_shares": 100, "entry_notional": 5}})
        await bench.step()
        if bench.get("reload__ready"):
            bench.accounts.reload(1, 7 + apart, 8, [(95, 0), (5, 1)])
        await bench.step(8)
        assert len(bench.taken("booked")) == (bench.accounts.exposure(1)["position"] == 7 + apart)
        await bench.check_slot(1)
    assert bench.accounts.exposure(1)["position"] == 14


@cocotb.test()
async def outcomes(dut):
    bench = Bench(dut)
    await bench.start()
    cases = (
        ([("J", 1)], [("J", 1)], PairOutcome.NOTHING),
        ([("D", 1)], [("A", 0), ("C", 10)], PairOutcome.NOTHING),
        ([("A", 0), ("E", 10)], [("J", 1)], PairOutcome.LEGGED),
        ([("A", 0), ("E", 4), ("C", 6)], [("A", 0), ("E", 4), ("C", 6)], PairOutcome.LEGGED),
        ([("A", 0), ("C", 4), ("E", 6)], [("A", 0), ("E", 10)], PairOutcome.LEGGED),
        ([("A", 0), ("C", 3), ("C", 7)], [("A", 0), ("E", 10)], PairOutcome.LEGGED),
        ([("A", 0), ("E", 9), ("E", 1)], [("A", 0), ("E", 10)], PairOutcome.FILLED),
        ([("E", 10)], [("A", 0), ("E", 10)], PairOutcome.FILLED),
    )
    for pair, (first, second, outcome) in enumerate(cases):
        numbers = (bench.number, bench.number + 1)
        await bench.send(pair, [(0, BUY, 0, 10), (1, SELL, 0, 10)])
        for number, reports in zip(numbers, (first, second), strict=True):
            for kind, quantity in reports:
                match kind:
                    case "A":
                        await bench.report("A", number, 10)
                    case "D":
                        await bench.report("A", number, 10, order_state="D")
                    case "J":
                        await bench.report("J", number, reason=0x27)
                    case _:
                        await bench.report(kind, number, quantity, price=5, reason=ord("I") if kind == "C" else 0)
        assert bench.accounts.outcome(pair, numbers) == outcome
        await bench.check_exposure()


@cocotb.test()
async def reports_that_cannot_be(dut):
    bench = Bench(dut)
    first = await bench.start()
    await bench.send(0, [(0, BUY, 0, 10), (1, SELL, 0, 10)])
    assert await bench.report("E", first + 7, 1) == Alarm.UNKNOWN_ORDER
    # The same place, another number.
    assert await bench.report("E", first + GEOMETRY.open_orders, 1) == Alarm.UNKNOWN_ORDER
    assert await bench.report("E", 0, 1) == Alarm.UNKNOWN_ORDER
    assert await bench.report("E", first, 11) == Alarm.OVERFILL
    assert await bench.report("C", first, 11) == Alarm.OVERFILL
    assert await bench.report("E", first, (1 << 32) - 1) == Alarm.OVERFILL
    assert await bench.report("A", first, 9) == Alarm.UNHANDLED_REPORT
    assert await bench.report("A", first, 10, order_state="X") == Alarm.UNHANDLED_REPORT
    assert await bench.report("A", first, 10) is None
    assert await bench.report("A", first, 10) == Alarm.UNHANDLED_REPORT
    assert await bench.report("J", first) == Alarm.UNHANDLED_REPORT
    assert await bench.report("E", first, 0) == Alarm.UNHANDLED_REPORT
    # Nothing this card asks for is answered so.
    for kind in set(ouch.OUTBOUND) - set("AECDJBPIRTS"):
        assert await bench.report(kind, first, 5) == Alarm.UNHANDLED_REPORT
    assert await bench.report("S", first, 5) is None
    assert await bench.report("D", first, 11) == Alarm.OVERFILL
    assert await bench.report("D", first, 0) == Alarm.UNHANDLED_REPORT
    for kind in "PIRT":
        assert await bench.report(kind, first + 7) == Alarm.UNKNOWN_ORDER
        assert await bench.report(kind, 0) == Alarm.UNKNOWN_ORDER
    assert await bench.report("E", first, 10, price=3) is None
    assert await bench.report("E", first, 10, price=3) == Alarm.UNKNOWN_ORDER
    assert await bench.report("C", first, 1) == Alarm.UNKNOWN_ORDER
    # Of what is told of cancels, only that one came to nothing may be told of an order that has ended.
    for kind in "DPRT":
        assert await bench.report(kind, first, 1) == Alarm.UNKNOWN_ORDER
    assert await bench.report("I", first) is None
    await bench.check_exposure()


@cocotb.test()
async def cancels_on_their_way_move_no_shares(dut):
    bench = Bench(dut)
    first = await bench.start()
    await bench.send(3, [(1, BUY, 0, 500), (2, SELL, 0, 300)])
    for number, size in ((first, 500), (first + 1, 300)):
        await bench.report("A", number, size)
        for kind, reason in (("T", 0), ("R", ord("P")), ("P", 0), ("I", 0), ("P", 0)):
            assert await bench.report(kind, number, reason=reason) is None
            await bench.check_exposure()
    assert await bench.report("E", first, 200, price=7) is None
    assert await bench.report("D", first, 100, reason=ord("Q")) is None
    assert await bench.report("P", first) is None
    assert await bench.report("C", first, 200, reason=ord("U")) is None
    assert await bench.report("I", first) is None
    assert await bench.report("D", first + 1, 300, reason=ord("Q")) is None
    assert bench.accounts.orders[first].state == bench.accounts.orders[first + 1].state == OrderState.CANCELED
    assert bench.accounts.outcome(3, (first, first + 1)) == PairOutcome.LEGGED
    await bench.check_exposure()
    # Once the place is another order's, nobody knows any more whose cancel it was.
    bench.number = first + GEOMETRY.open_orders
    await bench.send(NO_PAIR, [(1, BUY, 0, 5)])
    assert await bench.report("I", first) == Alarm.UNKNOWN_ORDER
    assert await bench.report("I", first + GEOMETRY.open_orders) is None


@cocotb.test()
async def a_broken_trade_takes_the_last_fill_back_once(dut):
    bench = Bench(dut)
    first = await bench.start()
    await bench.send(6, [(1, BUY, 0, 500), (2, SELL, 1, 300)])
    buy, sale = first, first + 1
    assert await bench.report("B", buy, match=0) == Alarm.BROKEN_TRADE
    await bench.report("A", buy, 500)
    assert await bench.report("B", buy, match=0) == Alarm.BROKEN_TRADE
    await bench.report("E", buy, 200, price=(1 << 31) - 1, match=0x0123456789ABCDEF)
    # Any bit of the number tells another trade.
    for bit in range(0, 64, 7):
        assert await bench.report("B", buy, match=0x0123456789ABCDEF ^ 1 << bit) == Alarm.BROKEN_TRADE
    assert await bench.report("B", buy, match=0x0123456789ABCDEF, reason=ord("E")) is None
    await bench.check_exposure()
    assert await bench.report("B", buy, match=0x0123456789ABCDEF) == Alarm.BROKEN_TRADE
    # The order lives on, and what is filled later may be broken too, but no fill before it.
    await bench.report("E", buy, 100, price=5, match=1)
    await bench.report("E", buy, 200, price=7, match=2)
    assert await bench.report("B", buy, match=1) == Alarm.BROKEN_TRADE
    await bench.report("E", sale, 300, price=(1 << 31) - 1, match=3)
    assert bench.accounts.outcome(6, (buy, sale)) == PairOutcome.LEGGED
    # Behind the end of both orders, too.
    for number, match in ((sale, 3), (buy, 2)):
        assert await bench.report("B", number, match=match, reason=ord("C")) is None
        await bench.check_exposure()
    assert await bench.report("B", buy, match=1) == Alarm.BROKEN_TRADE
    # A new order in the place knows nothing of what was filled before it.
    await bench.send(6, [(1, BUY, 0, 500), (2, SELL, 1, 300)])
    await bench.report("E", first + 2, 500, price=5, match=9)
    bench.number = first + 2 + GEOMETRY.open_orders
    await bench.send(NO_PAIR, [(1, SELL, 0, 5)])
    assert await bench.report("B", first + 2, match=9) == Alarm.UNKNOWN_ORDER
    assert await bench.report("B", first + 2 + GEOMETRY.open_orders, match=9) == Alarm.BROKEN_TRADE
    await bench.check_exposure()


@cocotb.test()
async def every_place_is_shown_where_nothing_else_is_to_do(dut):
    bench = Bench(dut)
    first = await bench.start()
    await bench.send(4, [(1, BUY, 0, 500), (2, SELL, 0, 300)])
    await bench.report("A", first, 500)
    places = {order.number % GEOMETRY.open_orders: order for order in bench.accounts.orders.values()}
    for place in range(GEOMETRY.open_orders):
        bench.taken("shown")
        bench.set("show", place)
        at = bench.cycle
        await bench.step(2)
        order = places.get(place)
        shown = [payload for cycle, payload in bench.taken("shown") if cycle == at + 1]
        assert [payload["open"] for payload in shown] == [int(order is not None and not order.ended)]
        if order is not None:
            assert shown[0]["user_ref_num"] == order.number
    # While a report is booked nothing is shown, and an order of the same clock is entered before it is.
    bench.set("show", (first + 2) % GEOMETRY.open_orders)
    await bench.step(2)
    bench.taken("shown")
    bench.tell("C", first, 500)
    bench.accounts.book("C", first, 500, 0, "L")
    at = bench.cycle
    await bench.step(REPORT_CLOCKS)
    missing = set(range(at, at + REPORT_CLOCKS)) - {cycle for cycle, _ in bench.taken("shown")}
    assert len(missing) == 4
    sent = bench.cycle
    await bench.send(5, [(1, BUY, 0, 5), (2, SELL, 0, 3)])
    await bench.step(2)
    seen = bench.taken("shown")
    assert [payload["open"] for cycle, payload in seen if cycle <= sent + 1] == [0, 0]
    behind = [(cycle, payload) for cycle, payload in seen if cycle > sent + 1]
    assert behind[0][0] == sent + 7 and all(payload == {"user_ref_num": first + 2, "open": 1} for _, payload in behind)


@cocotb.test()
async def random_days_conserve_shares_and_cash(dut):
    rng = random.Random(11)
    bench = Bench(dut)
    alarms: Counter = Counter()
    for _ in range(6):
        await bench.start()
        for _ in range(400):
            live = bench.live()
            free = set(range(GEOMETRY.pairs)) - {order.pair for order in live}
            room = all(
                (number % GEOMETRY.open_orders) not in {order.number % GEOMETRY.open_orders for order in live}
                for number in (bench.number, bench.number + 1)
            )
            bench.set("next_user_ref_num", bench.number)
            await bench.step(4)
            assert bench.get("full") == (not room)
            if room and free and rng.random() < 0.35:
                legs = []
                single = rng.random() < 0.3
                repair = rng.choice((None, 0, 1)) if single else None
                for _ in range(1 if single else 2):
                    side = rng.choice((BUY, SELL))
                    quantity = rng.choice((1, 100, (1 << 20) - 1, rng.randrange(1, 5000)))
                    legs.append((rng.randrange(GEOMETRY.slots), side, int(side == SELL and rng.random() < 0.5), quantity))
                pair = NO_PAIR if single and repair is None else rng.choice(sorted(free))
                await bench.send(pair, legs, repair=repair)
            else:
                order = rng.choice(live) if live and rng.random() < 0.9 else None
                if order is None and rng.random() < 0.5:
                    # What is told of one that has ended.
                    order = rng.choice(list(bench.accounts.orders.values())[-GEOMETRY.open_orders - 4 :])
                number = (
                    order.number
                    if order
                    else rng.choice((0, bench.number, rng.randrange(1, bench.number + 1), rng.getrandbits(32)))
                )
                size = order.open or order.sent if order else 10
                quantity = rng.choice(
                    (size, size, rng.randint(1, size), size + (rng.random() < 0.1), 0 if rng.random() < 0.05 else size)
                )
                kind = rng.choice("AAEEEECCJDB" + (rng.choice("BUMPSIRTXGKQ") if rng.random() < 0.2 else ""))
                if kind in "AJ" and order and order.state != OrderState.SENT and rng.random() < 0.9:
                    kind = "E"
                alarm = await bench.report(
                    kind,
                    number,
                    quantity,
                    price=rng.choice((1, 9_999, 1_000_000, (1 << 31) - 1)),
                    order_state=rng.choice("LLLD"),
                    reason=rng.getrandbits(16),
                    match=order.last_fill[0] if kind == "B" and order and order.last_fill else rng.getrandbits(64),
                )
                alarms[alarm] += 1
                if order and rng.random() < 0.5:
                    await bench.check_slot(order.slot)
                    if bench.accounts.in_place(order):
                        await bench.check_order(order)
            if not bench.live() and rng.random() < 0.5:
                size, position = rng.randrange(1, 1 << 30), rng.randint(-(1 << 30), 1 << 30)
                entries = [(abs(position), rng.randrange(1, 1 << 20)), (size, 7)] if position else []
                await bench.reload(rng.randrange(GEOMETRY.slots), position, rng.randint(-(1 << 60), 1 << 60), entries)
            await bench.check_exposure()
    dut._log.info("%s", alarms)
    assert alarms[None] > 500 and all(alarms[alarm] > 10 for alarm in Alarm if alarm != Alarm.REPORT_OVERRUN)


@cocotb.test()
async def reports_wait_in_order_and_what_is_sent_goes_first(dut):
    bench = Bench(dut)
    first = await bench.start()
    await bench.send(0, [(0, BUY, 0, 10), (1, SELL, 0, 10)])
    for step in range(1, 9):
        bench.tell("E", first, 1, price=1)
        bench.accounts.book("E", first, 1, 1, "L")
        if step == 4:
            await bench.send(1, [(2, BUY, 0, 5), (3, BUY, 0, 5)], wait=0)
        await bench.step()
    at = bench.cycle
    await bench.step(12)
    assert not bench.get("booking")
    # Entered within ten clocks, long before the reports in front of it are through.
    assert len(bench.seen["fill_event"]) < 6, (at, bench.seen["fill_event"])
    await bench.step(80)
    positions = [event["position"] for _, event in bench.taken("fill_event")]
    assert positions == [positions[0] + step for step in range(8)]
    assert not bench.taken("alarm")
    # The second leg of the pair just entered is followed.
    bench.tell("E", first + 3, 5, price=1)
    bench.accounts.book("E", first + 3, 5, 1, "L")
    await bench.step(REPORT_CLOCKS)
    assert len(bench.taken("fill_event")) == 1 and not bench.taken("alarm")


@cocotb.test()
async def a_report_is_booked_in_six_clocks_or_seven_where_the_gate_looks_up(dut):
    bench = Bench(dut)
    first = await bench.start()
    await bench.send(0, [(2, BUY, 0, 100), (6, SELL, 0, 10)])
    bench.set("lookup", [7, 4])
    delays = {}
    for look in range(-1, 8):
        bench.tell("E", first, 1, price=1)
        at = bench.cycle
        bench.accounts.book("E", first, 1, 1, "L")
        for clock in range(10):
            bench.set("looking", int(clock == look))
            await bench.step()
            if clock == look:
                assert bench.get("exposure") == [bench.accounts.exposure(7), bench.accounts.exposure(4)]
        [(cycle, _)] = bench.taken("order_state_event")
        assert [done - cycle for done, _ in bench.taken("fill_event")] == [1]
        delays[look] = cycle - at
    assert sorted(delays.values()) == [6] * 8 + [7], delays
    await bench.check_exposure()


@cocotb.test()
async def a_lost_report_is_an_alarm(dut):
    bench = Bench(dut)
    first = await bench.start()
    await bench.send(0, [(0, BUY, 0, 1000), (1, SELL, 0, 10)])
    bench.taken("alarm")
    for step in range(40):
        bench.tell("E", first, 1, price=step + 1)
        await bench.step()
    await bench.step(300)
    fills = bench.taken("fill_event")
    lost = [event for _, event in bench.taken("alarm_event")]
    alarms = bench.taken("alarm")
    assert 16 <= len(fills) < 40
    assert len(alarms) == 40 - len(fills) and all(alarm == 1 << Alarm.REPORT_OVERRUN for _, alarm in alarms)
    assert len(lost) == len(alarms) and all(
        event["alarm"] == Alarm.REPORT_OVERRUN and event["user_ref_num"] == first for event in lost
    )
    assert len(bench.taken("halt")) == len(alarms)
