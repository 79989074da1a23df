"""TradingCore as a whole: market data and reports in, orders out, judged by the rules and accounts in plain Python."""

from __future__ import annotations

import os
import random
from collections import Counter

import cocotb

from hdl.control.parameter_sets import ParameterSets
from hdl.order.cancel_walker import CancelWalker
from hdl.risk.risk_gate import RiskGate
from hdl.spec import itch
from hdl.spec.events import NO_PAIR
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import LegAction, LegPolicy, Miss, Mode, OrderState, PairAction, PairOutcome, Refusal, TradingState
from hdl.strategy.leg_repair import LegRepair
from hdl.trading import TradingCore
from tests.hdl.risk.accounts import Accounts, Own
from tests.hdl.risk.exposures import Held, sums
from tests.hdl.risk.rules import Order, Slot, World, judge
from tests.hdl.strategy.rules import Touch
from tests.support.stepper import Stepper

GEOMETRY = Geometry(slots=8, pairs=16, open_orders=16)
"""As in tests/sim/cocotb_trading_twin.py: one build serves both."""
LATENCY = 9
LEAD = 5
ROW = {
    "enabled": 1,
    "weight_a": 1 << 12,
    "weight_b": 1 << 12,
    "upper": 100 << 12,
    "lower": -(400 << 12),
    "exit_short": 0,
    "exit_long": -(100 << 12),
    "size_a": 100,
    "size_b": 100,
    "max_units": 3,
    "slippage": 3,
}
LIMITS = {
    "enabled": 1,
    "max_quantity": 1000,
    "max_notional": 10**12,
    "max_long": 250,
    "max_short": 250,
    "collar": 50_000,
    "collar_bps": 500,
    "located": 1 << 20,
}
REFERENCE = 1_000_000
NARROW = Touch(1_000_000, 500, 1_000_100, 500)
HIGH = Touch(1_000_300, 500, 1_000_400, 500)
LOW = Touch(999_600, 500, 999_700, 500)
TOUCHES = (
    NARROW,
    HIGH,
    LOW,
    Touch(1_000_000, 50, 1_000_100, 500),
    Touch(1_000_200, 500, 1_000_200, 500),
    Touch(1_060_000, 500, 1_060_100, 500),
)


UNLIMITED = (1 << 56) - 1
SETTLED = 80
"""Clocks after a changed touch in which the orders it led to are entered and counted."""


class Bench(Stepper):
    accounts = Accounts(GEOMETRY.open_orders)
    marks: dict[int, Held] = {slot: Held() for slot in range(GEOMETRY.slots)}

    def __init__(self, dut):
        super().__init__(
            dut,
            TradingCore(geometry=GEOMETRY),
            collect=("order", "verdict_event", "trigger_event", "fill_event", "order_state_event", "alarm_event", "cancel"),
            pulses=("miss", "refusal", "passed", "refused", "alarm", "halt", "triggered", "structure_refused"),
            levels=("pnl", "gross", "net_long", "net_short", "loss_reached", "epoch", "repairing"),
        )

    async def start(self, **limits: int) -> None:
        """Everything set up for trading of two pairs on three slots; the memories outlive a reset."""
        await self.reset()
        limits = LIMITS | limits
        self.epoch = 0
        self.number = max(self.accounts.orders, default=0) + 1
        self.world = World(tokens=60_000)
        self.touches: dict[int, Touch] = {}
        self.world.slots = {slot: Slot(**limits, reference=REFERENCE, halted=1) for slot in range(GEOMETRY.slots)}
        # Before the rows are written: an end of legged orders latches a pair off.
        for order in list(self.accounts.orders.values()):
            if not order.ended:
                await self.report("J" if order.state == OrderState.SENT else "C", order, order.open)
        for name, value in (
            ("mode", Mode.LIVE),
            ("trading_state", TradingState.HALTED),
            ("session_up", 1),
            ("transmitter_ready", 1),
            ("cancel__ready", 1),
        ):
            self.set(name, int(value))
        self.set("rate_tokens", 60_000)
        for name in ("max_gross", "max_net", "max_loss"):
            self.set(name, UNLIMITED)
        self.set("max_open_orders", 0xFFFF)
        self.offer("load_user_ref_num", self.number)
        for slot in range(GEOMETRY.slots):
            self.offer("references", {"index": slot, "row": {"price": REFERENCE}})
            self.offer("pair_lists", {"index": slot, "row": {"first": 2 * slot, "count": 0 if slot == 3 else 1 + (slot == 1)}})
            self.offer("pair_index", {"index": 2 * slot, "row": {"pair": int(slot == 2)}})
            await self.step(3)
        self.offer("pair_index", {"index": 3, "row": {"pair": 1}})
        for number, (slot_a, slot_b) in enumerate(((0, 1), (2, 1))):
            self.offer("pair_legs", {"index": number, "row": {"slot_a": slot_a, "slot_b": slot_b}})
            await self.step(3)
        await self.commit(dict.fromkeys(range(GEOMETRY.slots), limits), {0: ROW, 1: ROW})
        self.set("trading_state", int(TradingState.ACTIVE))
        await self.step(6)

    async def stage(self, limits: dict[int, dict[str, int]], pairs: dict[int, dict[str, int]]) -> None:
        """Write a set; rows that are not given are 0."""
        for slot in range(GEOMETRY.slots):
            self.offer("limits", {"index": slot, "row": limits.get(slot, {})})
            await self.step(3)
        for number in range(GEOMETRY.pairs):
            self.offer("pairs", {"index": number, "row": pairs.get(number, {})})
            await self.step(3)

    async def commit(self, limits: dict[int, dict[str, int]], pairs: dict[int, dict[str, int]]) -> None:
        """Write a set and have it in force."""
        await self.stage(limits, pairs)
        self.epoch += 1
        self.offer("commit", self.epoch)
        await self.step(ParameterSets.LATENCY_BUSY + 1)
        assert self.get("epoch") == self.epoch

    async def open_market(self) -> None:
        self.offer("decoded", {"type": ord("S"), "code": ord(itch.MARKET_HOURS_BEGIN)})
        await self.step()
        for slot in range(GEOMETRY.slots):
            self.offer("decoded", {"type": ord("H"), "slot": slot, "watched": 1, "code": ord(itch.TRADING_STATE_TRADING)})
            self.world.slots[slot].halted = 0
            await self.step()

    async def change(self, slot: int, touch: Touch, *, wait: int = SETTLED) -> int:
        """Change a touch, give the clock it was told in."""
        self.offer("accept", {"slot": slot})
        await self.step(LEAD)
        self.offer("bbo", {"slot": slot, "touch": touch._asdict(), "sequence": 9, "type": 65})
        at = self.cycle
        self.touches[slot] = touch
        self.marks[slot].look(touch.bid_price, touch.ask_price)
        self.world.slots[slot].bid, self.world.slots[slot].ask = touch.bid_price, touch.ask_price
        await self.step(wait)
        return at

    def book_sent(self) -> list[tuple[int, dict]]:
        """Take over what left into the accounts."""
        sent = self.taken("order")
        for _, pair in sent:
            if pair["single"]:
                del pair["legs"][1]
            for leg in pair["legs"]:
                assert leg["user_ref_num"] == self.number
                self.number += 1
                own = Own(leg["user_ref_num"], leg["slot"], pair["pair"], leg["side"], leg["short"], leg["quantity"])
                self.accounts.orders[own.number] = own
        return sent

    async def report(self, kind: str, order: Own, quantity: int, *, price: int = 1_000_000, order_state: str = "L") -> None:
        assert self.accounts.book(kind, order.number, quantity, price, order_state) is None
        payload = {"type": ord(kind), "user_ref_num": order.number, "quantity": quantity, "price": price}
        self.offer("report", payload | {"order_state": ord(order_state)})
        await self.step(10)
        for name, value in self.accounts.exposure(order.slot).items():
            setattr(self.world.slots[order.slot], name, value)

    def outcome(self, numbers: list[int]) -> PairOutcome | None:
        first, second = numbers
        return self.accounts.outcome(0, (first, second))

    def check_sums(self) -> None:
        """The card's sums are those of the accounts at the last touches."""
        for slot, held in self.marks.items():
            shares = self.accounts.exposure(slot)
            held.position, held.open_buys, held.open_sells = (shares[name] for name in ("position", "open_buys", "open_sells"))
            held.cash = self.accounts.cash.get(slot, 0)
        expected = sums(list(self.marks.values()))
        found = {name: self.get(name) for name in ("pnl", "gross", "net_long", "net_short")}
        assert found == dict(zip(found, (expected[name] for name in ("pnl", "gross", "long", "short")), strict=True))

    def refresh(self) -> None:
        for index, slot in self.world.slots.items():
            for name, value in self.accounts.exposure(index).items():
                setattr(slot, name, value)


@cocotb.test()
async def from_touch_to_order_and_back(dut):
    bench = Bench(dut)
    await bench.start()
    # Nobody said the stocks trade.
    await bench.change(1, NARROW)
    at = await bench.change(0, HIGH)
    verdicts = bench.taken("verdict_event")
    closed = 1 << Refusal.STOCK_HALTED | 1 << Refusal.MARKET_CLOSED | 1 << Refusal.OTHER_LEG
    assert [(cycle - at, verdict["refusals"]) for cycle, verdict in verdicts] == [(LATENCY, closed), (LATENCY + 1, closed)]
    await bench.open_market()
    # What came back is armed again: the next change of the touch sends.
    at = await bench.change(0, HIGH)
    [(cycle, pair)] = bench.book_sent()
    assert cycle - at == LATENCY
    assert pair["pair"] == 0 and pair["action"] == PairAction.SELL_SPREAD and pair["type"] == 65 and pair["sequence"] == 9
    assert [(leg["side"], leg["short"], leg["price"]) for leg in pair["legs"]] == [(1, 1, 1_000_000), (0, 0, 1_000_400)]
    verdicts = bench.taken("verdict_event")
    assert [verdict["refusals"] for _, verdict in verdicts] == [0, 0]
    assert [verdict["user_ref_num"] for _, verdict in verdicts] == [leg["user_ref_num"] for leg in pair["legs"]]
    first, second = (bench.accounts.orders[leg["user_ref_num"]] for leg in pair["legs"])
    for order in (first, second):
        await bench.report("A", order, order.sent)
        await bench.report("E", order, order.sent)
    bench.refresh()
    # One unit short now: it is bought back where the spread falls, and only then.
    at = await bench.change(0, LOW)
    [(cycle, pair)] = bench.book_sent()
    assert cycle - at == LATENCY and pair["action"] == PairAction.BUY_BACK
    assert [(leg["side"], leg["short"]) for leg in pair["legs"]] == [(0, 0), (1, 0)]
    first, second = (bench.accounts.orders[leg["user_ref_num"]] for leg in pair["legs"])
    await bench.report("E", first, 40)
    await bench.report("C", first, 60)
    await bench.report("J", second, 0)
    # Legged: the gate refuses the pair.
    await bench.change(0, NARROW)
    await bench.change(0, LOW)
    assert not bench.taken("order")
    verdicts = bench.taken("verdict_event")
    assert [verdict["refusals"] for _, verdict in verdicts[:2]] == [0, 0]
    assert [verdict["refusals"] >> Refusal.PAIR_DISABLED & 1 for _, verdict in verdicts[2:]] == [1, 1]
    assert not bench.taken("alarm") and not bench.taken("halt")


@cocotb.test()
async def shadow_sends_and_books_nothing(dut):
    bench = Bench(dut)
    await bench.start()
    await bench.open_market()
    bench.set("mode", int(Mode.SHADOW))
    await bench.change(1, NARROW)
    for _ in range(3):
        await bench.change(0, HIGH)
        verdicts = bench.taken("verdict_event")
        assert [(verdict["refusals"], verdict["user_ref_num"], verdict["mode"]) for _, verdict in verdicts] == [
            (0, 0, Mode.SHADOW)
        ] * 2
    assert not bench.taken("order")
    bench.set("mode", int(Mode.LIVE))
    await bench.change(0, HIGH)
    [(_, pair)] = bench.book_sent()
    assert pair["legs"][0]["user_ref_num"] == bench.number - 2


@cocotb.test()
async def an_unknown_report_asks_for_a_halt(dut):
    bench = Bench(dut)
    await bench.start()
    bench.offer("report", {"type": ord("E"), "user_ref_num": 0xFFFF0000, "quantity": 1, "price": 1})
    await bench.step(10)
    assert len(bench.taken("halt")) == 1 and len(bench.taken("alarm_event")) == 1


@cocotb.test()
async def no_pair_is_sent_twice_before_the_ledger_knows_the_first(dut):
    """Two pairs fire from one change: the second finds the gate at work and tries again at the next change."""
    bench = Bench(dut)
    await bench.start(max_long=10_000, max_short=10_000)
    await bench.open_market()
    await bench.change(0, NARROW)
    await bench.change(2, NARROW)
    await bench.change(1, LOW._replace(ask_price=999_700))
    sent = bench.book_sent()
    assert [pair["pair"] for _, pair in sent] == [0]
    assert [mask for _, mask in bench.taken("miss")] == [1 << Miss.GATE_BUSY]
    await bench.change(1, LOW._replace(ask_shares=501))
    assert [pair["pair"] for _, pair in bench.book_sent()] == [1]


def by_hand(slot: int, side: int, quantity: int, price: int) -> dict:
    return {"row": {"slot": slot, "side": side, "quantity": quantity, "price": price}}


@cocotb.test()
async def an_order_of_the_host_passes_the_same_gate(dut):
    """From its write to its fill: the pairs are not told, the sums are."""
    bench = Bench(dut)
    await bench.start(max_long=10_000, max_short=10_000)
    await bench.open_market()
    for slot in range(3):
        await bench.change(slot, NARROW)
    bench.refresh()
    for name in ("trigger_event", "verdict_event", "fill_event", "order_state_event", "miss"):
        bench.taken(name)
    held = bench.accounts.exposure(3)["position"]
    for slot, side, quantity, price in ((2, 1, 7, 999_900), (1, 0, 9, 1_000_200), (2, 0, 3, 1_000_100)):
        number, at = bench.number, bench.cycle
        bench.offer("host_order", by_hand(slot, side, quantity, price))
        await bench.step(SETTLED)
        [(cycle, order)] = bench.book_sent()
        [(_, verdict)] = bench.taken("verdict_event")
        assert cycle - at == 6 and order["legs"][0]["user_ref_num"] == number == bench.number - 1
        expected = {"slot": slot, "quantity": quantity, "price": price, "refusals": 0, "user_ref_num": number}
        expected |= {"pair": NO_PAIR, "sequence": 0}
        assert {name: verdict[name] for name in expected} == expected
        bench.check_sums()
        own = bench.accounts.orders[number]
        await bench.report("A", own, quantity)
        await bench.report("E", own, quantity, price=price)
        bench.marks[slot].paid = price
        [(_, fill)] = bench.taken("fill_event")
        assert fill["pair"] == NO_PAIR and fill["position"] == bench.accounts.exposure(slot)["position"]
        assert {state["pair"] for _, state in bench.taken("order_state_event")} == {NO_PAIR}
        await bench.step(SETTLED)
        bench.check_sums()
    assert bench.accounts.exposure(3)["position"] == held
    # The pairs know nothing of it, the last one no more than the others: nothing waits, nothing is legged, nothing is missed.
    assert not bench.taken("miss") and not bench.taken("trigger_event")
    await bench.change(0, HIGH)
    assert [pair["pair"] for _, pair in bench.book_sent()] == [0]


@cocotb.test()
async def a_trigger_goes_before_an_order_of_the_host(dut):
    """Written in every clock around a trigger: it leaves when it would; the order is judged or dropped, and it is told which."""
    bench = Bench(dut)
    found = []
    for early in range(-90, 12, 1 if os.environ.get("SOAK") else 3):
        await bench.start(max_long=100_000, max_short=100_000)
        await bench.open_market()
        await bench.change(1, NARROW)
        await bench.change(0, NARROW)
        for name in ("verdict_event", "miss", "order", "passed"):
            bench.taken(name)
        bench.offer("accept", {"slot": 0})
        await bench.step(LEAD)
        sent_at = None
        at = bench.cycle
        for clock in range(-20, SETTLED + 100):
            if clock == 0:
                at = bench.cycle
                bench.offer("bbo", {"slot": 0, "touch": HIGH._asdict(), "sequence": 9, "type": 65})
            if clock == 3 - early:
                bench.offer("host_order", by_hand(1, 0, 5, 1_000_100))
                sent_at = bench.cycle
            await bench.step()
        bench.touches[0] = HIGH
        bench.marks[0].look(HIGH.bid_price, HIGH.ask_price)
        sent = bench.book_sent()
        misses = [mask for _, mask in bench.taken("miss")]
        singles = [cycle for cycle, order in sent if order["single"]]
        pairs = [cycle for cycle, order in sent if not order["single"]]
        if misses == [1 << Miss.GATE_BUSY]:
            # The gate was at work on the order before the trigger came, which is armed and comes again.
            assert pairs == [] and singles == [sent_at + 6] and early > 0
            found.append("first")
        else:
            assert pairs == [at + LATENCY]
            assert misses == ([] if singles else [1 << Miss.HOST_ORDER])
            assert singles in ([], [sent_at + 6])
            found.append("taken" if singles else "dropped")
            assert early != 0 or not singles
        assert len(bench.taken("verdict_event")) == 2 * len(pairs) + len(singles)
        assert sum(count for _, count in bench.taken("passed")) == 2 * len(pairs) + len(singles)
    assert set(found) == {"first", "taken", "dropped"}, found


@cocotb.test()
async def a_fresh_card_lets_nothing_grow(dut):
    """What the host has not set is no limit that lets an order through."""
    bench = Bench(dut)
    for name, reason in (
        ("max_gross", Refusal.GROSS),
        ("max_net", Refusal.NET),
        ("max_open_orders", Refusal.OPEN_ORDERS),
    ):
        await bench.start(max_long=10_000, max_short=10_000)
        await bench.open_market()
        bench.set(name, 0)
        await bench.change(1, NARROW)
        await bench.change(0, NARROW)
        await bench.change(0, HIGH)
        masks = [verdict["refusals"] for _, verdict in bench.taken("verdict_event")]
        assert masks == [1 << reason] * 2 or masks == [1 << reason | 1 << Refusal.OTHER_LEG] * 2
        assert not bench.taken("order")


@cocotb.test()
async def the_orders_just_sent_count_against_every_limit(dut):
    """Two pairs of one slot, one after the other: room for one. All that was sent before this test has ended, and is held."""
    bench = Bench(dut)
    for name, reason in (("max_gross", Refusal.GROSS), ("max_net", Refusal.NET), ("max_open_orders", Refusal.OPEN_ORDERS)):
        await bench.start(max_long=10_000, max_short=10_000)
        await bench.open_market()
        await bench.change(0, NARROW)
        await bench.change(2, NARROW)
        bench.refresh()
        bench.check_sums()
        first = {
            "max_gross": bench.get("gross") + 2 * 100 * 1_000_500,
            "max_net": max(bench.get("net_long"), -bench.get("net_short")) + 100 * 1_000_500,
            "max_open_orders": 1,
        }
        bench.set(name, first[name])
        await bench.change(1, LOW._replace(ask_price=999_700))
        sent = bench.book_sent()
        assert [pair["pair"] for _, pair in sent] == [0], name
        bench.check_sums()
        bench.taken("verdict_event")
        await bench.change(1, LOW._replace(ask_shares=501))
        assert not bench.taken("order"), name
        masks = [verdict["refusals"] & ~(1 << Refusal.OTHER_LEG) for _, verdict in bench.taken("verdict_event")]
        assert 1 << reason in masks and set(masks) <= {0, 1 << reason}, name


@cocotb.test()
async def a_loss_leaves_only_what_shrinks(dut):
    bench = Bench(dut)
    await bench.start(max_long=10_000, max_short=10_000)
    await bench.open_market()
    await bench.change(1, NARROW)
    await bench.change(0, NARROW)
    await bench.change(0, HIGH)
    [(_, pair)] = bench.book_sent()
    for leg in pair["legs"]:
        order = bench.accounts.orders[leg["user_ref_num"]]
        await bench.report("E", order, order.sent, price=leg["price"])
    await bench.step(SETTLED)
    bench.check_sums()
    worst = -bench.get("pnl")
    assert worst > 0
    # A loss of just the limit is none too many; a unit of price more on one share is.
    bench.set("max_loss", worst)
    await bench.step(SETTLED)
    assert not bench.get("loss_reached")
    bench.set("max_loss", worst - 1)
    await bench.step(3)
    assert bench.get("loss_reached")
    bench.set("max_loss", worst)
    await bench.step(SETTLED)
    assert bench.get("loss_reached"), "latched"
    # What buys back still leaves.
    bench.taken("verdict_event")
    await bench.change(0, LOW)
    assert len(bench.book_sent()) == 1
    for order in [order for order in bench.accounts.orders.values() if not order.ended]:
        await bench.report("E", order, order.sent)
    bench.taken("verdict_event")
    await bench.change(0, HIGH)
    masks = [verdict["refusals"] for _, verdict in bench.taken("verdict_event")]
    assert masks and all(mask >> Refusal.LOSS & 1 for mask in masks) and not bench.taken("order")
    # The host re-arms it once there is room, and not before.
    for limit, reached in ((0, 1), (UNLIMITED, 0)):
        bench.set("max_loss", limit)
        await bench.step(3)
        bench.set("rearm_loss", 1)
        await bench.step()
        bench.set("rearm_loss", 0)
        await bench.step(3)
        assert bench.get("loss_reached") == (reached and bench.get("pnl") < 0)


@cocotb.test()
async def random_trading_keeps_every_limit(dut):
    rng = random.Random(3)
    bench = Bench(dut)
    seen: Counter = Counter()
    for _ in range(5):
        # What was sold short before outlives a reset.
        shorts = max(bench.accounts.exposure(slot)["shorts"] for slot in range(GEOMETRY.slots))
        await bench.start(located=shorts + rng.choice((300, 4_000)))
        await bench.open_market()
        bench.refresh()
        numbers: dict[int, list[int]] = {}
        for _ in range(250):
            state = rng.choice((TradingState.ACTIVE,) * 8 + (TradingState.REDUCE_ONLY,))
            bench.world.state = state
            bench.set("trading_state", int(state))
            at = await bench.change(rng.randrange(3), rng.choice(TOUCHES))
            sent = bench.taken("order")
            verdicts = [verdict for _, verdict in bench.taken("verdict_event")]
            assert len(verdicts) % 2 == 0
            leaving = iter(sent)
            for number in range(0, len(verdicts), 2):
                both = verdicts[number : number + 2]
                assert [verdict["leg"] for verdict in both] == [0, 1]
                orders = [Order(each["slot"], int(each["side"] != 0), each["quantity"], each["price"]) for each in both]
                live = [order for order in bench.accounts.orders.values() if not order.ended]
                places = {order.number % GEOMETRY.open_orders for order in live}
                bench.world.ledger_full = int(any((bench.number + leg) % GEOMETRY.open_orders in places for leg in range(2)))
                pair = both[0]["pair"]
                bench.world.allowed = int(pair not in numbers or bench.outcome(numbers[pair]) != PairOutcome.LEGGED)
                expected = judge(orders, bench.world)
                found = [{reason for reason in Refusal if verdict["refusals"] >> reason & 1} for verdict in both]
                assert found == expected, (at, orders, bench.world)
                seen.update(reason for reasons in found for reason in reasons)
                if not any(expected):
                    _, gone = next(leaving)
                    assert gone["pair"] == pair
                    seen["sent"] += 1
                    numbers[pair] = [leg["user_ref_num"] for leg in gone["legs"]]
                    bench.seen["order"][:] = [(0, gone)]
                    bench.book_sent()
                    bench.refresh()
            assert next(leaving, None) is None
            bench.seen["order"].clear()
            for slot in bench.world.slots.values():
                assert slot.position + slot.open_buys <= slot.max_long and slot.position - slot.open_sells >= -slot.max_short
                assert slot.shorts <= slot.located
            for order in [order for order in bench.accounts.orders.values() if not order.ended]:
                if rng.random() < 0.6:
                    if order.state == OrderState.SENT:
                        kind = rng.choice("AAAAJ")
                        await bench.report(kind, order, order.sent, order_state=rng.choice("LLLLLD"))
                    if not order.ended and rng.random() < 0.8:
                        # Mostly filled in full, so that pairs seldom end legged.
                        await bench.report(
                            "C" if rng.random() < 0.02 else "E",
                            order,
                            rng.choice((order.open, order.open, rng.randint(1, order.open))),
                        )
            bench.refresh()
            await bench.step(SETTLED)
            bench.check_sums()
            for pair, both in numbers.items():
                if bench.outcome(both) == PairOutcome.LEGGED:
                    bench.set("trading_state", int(TradingState.HALTED))
                    bench.offer("pair_legs", {"index": pair, "row": {"slot_a": 2 if pair else 0, "slot_b": 1}})
                    await bench.step(4)
                    numbers[pair] = []
            numbers = {pair: both for pair, both in numbers.items() if both}
            assert not bench.taken("alarm")
            fills = bench.taken("fill_event")
            for slot in range(GEOMETRY.slots):
                of_slot = [fill for _, fill in fills if fill["slot"] == slot]
                if of_slot:
                    assert of_slot[-1]["position"] == bench.accounts.exposure(slot)["position"]
                    assert of_slot[-1]["cash"] == bench.accounts.cash[slot]
    dut._log.info("%s", seen)
    assert seen["sent"] > 60
    assert all(
        seen[reason] for reason in (Refusal.LONG_LIMIT, Refusal.SHORT_LIMIT, Refusal.REDUCE_ONLY, Refusal.COLLAR, Refusal.CROSSED)
    ), seen
    assert seen[Refusal.LOCATE] > 5, seen


@cocotb.test()
async def nothing_leaves_while_too_much_is_rejected_or_canceled(dut):
    """From the clock on in which that shows, until the window ends."""
    bench = Bench(dut)
    window = 4_000
    for kind, register, reason in (
        ("J", "reject_rate_orders", Refusal.REJECT_RATE),
        ("D", "reject_rate_orders", Refusal.REJECT_RATE),
        ("C", "cancel_rate_orders", Refusal.CANCEL_RATE),
    ):
        await bench.start(max_long=10_000, max_short=10_000)
        await bench.open_market()
        await bench.change(1, NARROW)
        # What ended as the bench began is of another window.
        bench.set("report_rate_window", 1)
        await bench.step(3)
        bench.set("report_rate_window", window)
        began = bench.cycle
        bench.set(register, 3)
        for attempt in range(2):
            await bench.change(0, NARROW)
            await bench.change(0, HIGH)
            [(_, pair)] = bench.book_sent()
            first, second = (bench.accounts.orders[leg["user_ref_num"]] for leg in pair["legs"])
            # Both of the first pair, and of the second pair one; there canceled in part.
            part = 1 if kind == "C" and attempt else first.sent
            for order, quantity in ((first, part),) if attempt else ((first, first.sent), (second, second.sent)):
                await bench.report("A" if kind == "D" else kind, order, quantity, order_state="D" if kind == "D" else "L")
            for order in (first, second):
                if not order.ended:
                    await bench.report("E", order, order.open)
        await bench.step(SETTLED)
        await bench.change(2, NARROW)
        for expected in (1 << reason, 0):
            bench.taken("verdict_event")
            await bench.change(2, HIGH)
            found = {verdict["refusals"] & ~(1 << Refusal.OTHER_LEG) for _, verdict in bench.taken("verdict_event")}
            assert found == {expected}, (kind, found)
            assert len(bench.book_sent()) == (not expected)
            await bench.change(2, NARROW)
            if expected:
                assert bench.cycle - began < window
                await bench.step(began + window - bench.cycle)
        bench.set(register, 0)
        bench.set("report_rate_window", 0)


@cocotb.test()
async def a_kill_cancels_what_was_sent_to_the_last_clock(dut):
    """Whenever it comes around an order's own clock: either no order leaves, or it is canceled. The host's own word does the same
    in any state, and stops nothing."""
    bench = Bench(dut)
    first_of_all = {}
    for by_kill in (True, False):
        for offset in range(-3, 9):
            await bench.start(max_long=1_000_000, max_short=1_000_000)
            await bench.open_market()
            await bench.change(1, NARROW)
            await bench.change(0, HIGH, wait=LATENCY + offset)
            assert not bench.taken("cancel")
            if by_kill:
                bench.set("trading_state", int(TradingState.KILLED))
            else:
                bench.set("cancel_all", 1)
            given = bench.cycle
            await bench.step()
            bench.set("cancel_all", 0)
            await bench.step(2 * GEOMETRY.open_orders + 40)
            sent = bench.book_sent()
            assert len(sent) == (not by_kill or offset > 0), offset
            cancels = bench.taken("cancel")
            live = {order.number for order in bench.accounts.orders.values() if not order.ended}
            # What leaves after the host's word may be canceled by it or not.
            if by_kill or offset >= 0:
                assert sorted(number for _, number in cancels) == sorted(live), (by_kill, offset)
            if cancels and by_kill:
                first_of_all[offset] = cancels[0][0] - given
    # The newest order's, at once where it is entered already.
    assert first_of_all == {offset: max(CancelWalker.LATENCY, 8 - offset) for offset in range(1, 9)}


@cocotb.test()
async def a_legged_pair_is_repaired_through_the_gate(dut):
    """From its end to a unit held: one order, verdict and records of the pair, no trigger; nobody writes legs meanwhile."""
    bench = Bench(dut)
    await bench.start(max_long=10_000, max_short=10_000)
    row = ROW | {"policy": int(LegPolicy.COMPLETE), "leg_tries": 2}
    await bench.commit(dict.fromkeys(range(GEOMETRY.slots), LIMITS | {"max_long": 10_000, "max_short": 10_000}), {0: row, 1: row})
    bench.set("cooldown", 1_000)
    await bench.open_market()
    await bench.change(1, NARROW)
    await bench.change(0, HIGH)
    [(_, pair)] = bench.book_sent()
    first, second = (bench.accounts.orders[leg["user_ref_num"]] for leg in pair["legs"])
    await bench.report("E", first, 100)
    await bench.report("E", second, 30)
    await bench.report("C", second, 70)
    # From the report to its booking it is 6 clocks.
    at = bench.cycle - 10 + 6
    assert bench.get("repairing")
    for _ in range(2):
        await bench.change(0, NARROW)
        await bench.change(0, HIGH)
    assert not bench.taken("order") and 1 << Miss.PENDING in [mask for _, mask in bench.taken("miss")]
    for state in (TradingState.HALTED, TradingState.ACTIVE):
        bench.set("trading_state", int(state))
        bench.offer("pair_legs", {"index": 1, "row": {"slot_a": 2, "slot_b": 1}})
        await bench.step(3)
        assert len(bench.taken("structure_refused")) == 1
    bench.taken("verdict_event"), bench.taken("trigger_event"), bench.taken("triggered")
    await bench.step(at + LegRepair.LATENCY + 1_000 + LATENCY - bench.cycle)
    [(left_at, order)] = bench.book_sent()
    assert left_at - at == LegRepair.LATENCY + 1_000 + RiskGate.LATENCY
    assert (order["pair"], order["single"], order["repair"], order["leg"]) == (0, 1, 1, 1)
    [leg] = order["legs"]
    assert (leg["slot"], leg["side"], leg["quantity"]) == (1, 0, 70)
    [(_, verdict)] = bench.taken("verdict_event")
    assert (verdict["pair"], verdict["leg"], verdict["sequence"], verdict["refusals"]) == (0, 1, 0, 0)
    [(_, event)] = bench.taken("trigger_event")
    assert (event["pair"], event["action"]) == (0, LegAction.COMPLETE)
    assert not bench.taken("triggered")
    bench.taken("order_state_event"), bench.taken("fill_event")
    await bench.report("E", bench.accounts.orders[leg["user_ref_num"]], 70)
    assert [fill["pair"] for _, fill in bench.taken("fill_event")] == [0]
    await bench.step(2_200)
    assert not bench.get("repairing")
    # It is a unit short: what it wants next is to buy it back.
    await bench.change(0, LOW)
    [(_, pair)] = bench.book_sent()
    assert pair["action"] == PairAction.BUY_BACK and len(bench.taken("triggered")) == 1
