"""RiskGate against the rules in plain Python."""

from __future__ import annotations

import dataclasses
import os
import random
from collections import Counter

import cocotb

from hdl.risk.portfolio import total_bits
from hdl.risk.risk_gate import RiskGate
from hdl.spec.events import NO_PAIR
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Integrity, Mode, Refusal, TradingState
from tests.hdl.risk.rules import BUY, SELL, Order, Slot, World, grows, is_short, judge
from tests.support.stepper import Stepper

GEOMETRY = Geometry()
LIMIT_COLUMNS = ("enabled", "max_quantity", "max_notional", "max_long", "max_short", "collar", "collar_bps", "located")
EPOCH = 201
LATENCY = 5
SHARED = (
    "market_open",
    "stale",
    "transmitter_ready",
    "session_up",
    "ledger_full",
    "gross",
    "net_long",
    "net_short",
    "max_gross",
    "max_net",
    "loss",
    "max_open_orders",
    "duplicate_window",
    "slot_rate_orders",
    "rejects_reached",
    "cancels_reached",
    "canary_quantity",
)
"""Inputs that are of the world's name and value."""


class Bench(Stepper):
    def __init__(self, dut):
        super().__init__(
            dut,
            RiskGate(geometry=GEOMETRY),
            collect=("order", "returned", "verdict_event"),
            pulses=("refusal", "passed", "refused", "limits_refused"),
            levels=("request__ready", "lookup", "next_user_ref_num", "ceilings_locked"),
        )
        self.written: dict[int, tuple] = {}
        self.references: dict[int, int] = {}
        self.bank = 0
        self.last: dict[int, tuple[int, tuple[int, int, int]]] = {}
        self.counts: Counter[int] = Counter()
        self.touch: dict[int, tuple] = {}
        self.pair_number = 0
        self.number = 1
        self.used = 0

    async def start(self) -> None:
        await self.reset()
        self.number, self.used = 1, 0
        self.written.clear()
        self.references.clear()
        self.bank = 0
        self.set("epoch", EPOCH)
        self.touch.clear()
        self.last.clear()
        self.counts.clear()

    async def arrange(self, world: World, *, rng: random.Random | None = None) -> None:
        """Bring the inputs into the state of `world`."""
        masks = {"halted": 0, "restricted": 0}
        integrity = [Integrity.EXACT] * GEOMETRY.slots
        for index, slot in world.slots.items():
            row = tuple(getattr(slot, name) for name in LIMIT_COLUMNS)
            if self.written.get(index) != row:
                await self.write(index, dict(zip(LIMIT_COLUMNS, row, strict=True)))
                self.written[index] = row
            if self.references.get(index) != slot.reference:
                by_trade = rng is not None and slot.reference and rng.random() < 0.5
                given = rng.randrange(1, 1 << 32) if by_trade else slot.reference
                self.offer("references", {"index": index, "row": {"price": given}})
                if by_trade:
                    # A trade right behind the host's price, or in its very clock: that must not outlive it.
                    if rng.random() < 0.5:
                        await self.step()
                    self.offer("trade", {"slot": index, "price": slot.reference})
                await self.step(3)
                self.references[index] = slot.reference
            if self.touch.get(index) != (slot.bid, slot.ask):
                self.offer("bbo", {"slot": index, "touch": {"bid_price": slot.bid, "ask_price": slot.ask}})
                await self.step()
                self.touch[index] = (slot.bid, slot.ask)
            masks["halted"] |= slot.halted << index
            masks["restricted"] |= slot.restricted << index
            integrity[index] = slot.integrity
        for name, mask in masks.items():
            self.set(name, mask)
        self.set("integrity", [int(state) for state in integrity])
        self.set("trading_state", int(world.state))
        self.set("mode", int(world.mode))
        self.set("rate_tokens", self.used + world.tokens)
        for name in SHARED:
            self.set(name, getattr(world, name))

    async def write(self, index: int, values: dict[str, int]) -> None:
        """A row of limits into both banks."""
        for _ in range(2):
            self.offer("limits", {"index": index, "row": values})
            # The host needs several clocks a row.
            await self.step(3)
            self.change_over()

    def change_over(self) -> None:
        """The other bank comes into force."""
        self.bank ^= 1
        self.set("bank", self.bank)

    async def ask(self, orders: list[Order], world: World) -> list[set[Refusal]]:
        """Ask for both orders, or a single one, check everything that comes of it against the rules, and give the reasons."""
        self.pair_number = (self.pair_number + 7) % GEOMETRY.pairs
        pair = self.pair_number
        self.set("allowed", world.allowed)
        single = len(orders) == 1
        exposure = [
            {name: getattr(world.slots[order.slot], name) for name in ("position", "open_buys", "open_sells", "orders", "shorts")}
            for order in orders
        ]
        sequence = random.getrandbits(64)
        legs = [dataclasses.asdict(order) for order in orders]
        if single:
            # What stands in the place of leg b must not matter, of the same slot or not.
            slot = random.choice((orders[0].slot, random.randrange(GEOMETRY.slots)))
            legs.append({"slot": slot, "side": random.getrandbits(1), "quantity": random.getrandbits(32), "price": 77})
            exposure.append({"position": random.getrandbits(31), "orders": random.getrandbits(16)})
        self.set("exposure", exposure)
        # A single order of the host, or one that repairs a leg of a pair.
        repair = int(single) and random.getrandbits(1)
        number = pair if repair or not single else NO_PAIR
        own_leg = repair and random.getrandbits(1)
        given = {"pair": pair, "single": int(single), "repair": repair, "leg": own_leg, "legs": legs}
        given |= {"sequence": sequence, "som": 5, "eot": 6, "type": 65}
        self.offer("request", given)
        at = self.cycle
        await self.step()
        assert self.get("request__ready"), "the gate was not free"
        lookup = self.get("lookup")
        assert lookup == [leg["slot"] for leg in legs]
        # What follows on the stream must not matter.
        self.set("request__payload", random.getrandbits(self.shapes["request__payload"].bits))
        await self.step()
        assert not self.get("request__ready")
        await self.step(LATENCY + 1)

        for order in orders:
            slot, sent = world.slots[order.slot], self.last.get(order.slot)
            slot.last, slot.last_ago = (sent[1], at + LATENCY - sent[0]) if sent else (None, 0)
            slot.sent_in_window = self.counts[order.slot]
        expected = judge(orders, world)
        passed = not any(expected)
        leaves = passed and world.mode == Mode.LIVE
        verdicts = self.taken("verdict_event")
        assert [cycle - at for cycle, _ in verdicts] == [LATENCY, LATENCY + 1][: len(orders)], "latency"
        for leg, ((_, verdict), order) in enumerate(zip(verdicts, orders, strict=True)):
            found = {reason for reason in Refusal if verdict["refusals"] >> reason & 1}
            assert found == expected[leg], f"leg {leg} {order} {world}: {found ^ expected[leg]}"
            short = is_short(order, world.slots[order.slot])
            assert verdict == {
                "sequence": 0 if single else sequence,
                "cycle": at + LATENCY,
                "refusals": sum(1 << reason for reason in found),
                "user_ref_num": self.number + leg if leaves else 0,
                "price": order.price,
                "quantity": order.quantity,
                "slot": order.slot,
                "pair": number,
                "side": 2 if short else order.side,
                "leg": leg + own_leg,
                "mode": int(world.mode),
                "epoch": EPOCH,
            }
        sent, returned = self.taken("order"), self.taken("returned")
        if leaves:
            assert not returned
            [(cycle, order_pair)] = sent
            assert cycle - at == LATENCY
            if single:
                given = dict.fromkeys(given, 0) | {"pair": number % (1 << GEOMETRY.pair_bits), "single": 1}
                given |= {"repair": repair, "leg": own_leg}
                del order_pair["legs"][1]
            assert order_pair == given | {
                "action": 0,
                "epoch": EPOCH,
                "legs": [
                    leg | {"short": int(is_short(order, world.slots[order.slot])), "user_ref_num": self.number + index}
                    for index, (leg, order) in enumerate(zip(legs, orders, strict=False))
                ],
            }
            self.number += len(orders)
            self.used += len(orders)
            for order in orders:
                self.last[order.slot] = (at + LATENCY, (order.side, order.quantity, order.price))
                self.counts[order.slot] += 1
        else:
            assert not sent
            assert returned == ([] if single else [(at + LATENCY, {"pair": pair, "allowed": int(world.allowed)})])
        assert self.taken("passed") == ([(at + LATENCY, len(orders))] if passed else [])
        assert self.taken("refused") == ([] if passed else [(at + LATENCY, len(orders))])
        counts = Counter(reason for reasons in expected for reason in reasons)
        assert self.taken("refusal") == ([(at + LATENCY, [counts[reason] for reason in Refusal])] if not passed else [])
        return expected

    async def judged(self, orders: list[Order], world: World, **options) -> list[set[Refusal]]:
        await self.arrange(world, **options)
        await self.step(6)
        return await self.ask(orders, world)


def plain() -> tuple[list[Order], World]:
    world = World(slots={3: Slot(), 9: Slot()})
    return [Order(3, SELL, 100, 999_900), Order(9, BUY, 100, 1_000_100)], world


def far(leg: int, price: int, **slot: int):
    def change(orders, world):
        orders[leg].price = price
        for name, value in slot.items():
            setattr(world.slots[orders[leg].slot], name, value)

    return change


def on_slot(leg: int, **values):
    def change(orders, world):
        for name, value in values.items():
            setattr(world.slots[orders[leg].slot], name, value)

    return change


def on_order(leg: int, **values):
    def change(orders, world):
        for name, value in values.items():
            setattr(orders[leg], name, value)

    return change


def on_world(**values):
    def change(orders, world):
        for name, value in values.items():
            setattr(world, name, value)

    return change


def both(*changes):
    def change(orders, world):
        for each in changes:
            each(orders, world)

    return change


def swapped(orders, world):
    orders.reverse()


REDUCE = on_world(state=TradingState.REDUCE_ONLY)
LONG_A, SHORT_B = on_slot(0, position=100), on_slot(1, position=-100)
ABOVE = on_world(gross=1 << 60, max_gross=99_990_000)
ASKEW = on_world(net_long=1 << 60, net_short=-(1 << 60), max_net=0)

# Reason, legs it hits, the last state that passes, the first that is refused.
EDGES = (
    (Refusal.KILLED, (0, 1), on_world(), on_world(state=TradingState.KILLED)),
    (Refusal.HALTED, (0, 1), on_world(), on_world(state=TradingState.HALTED)),
    (Refusal.REDUCE_ONLY, (0,), both(REDUCE, LONG_A, SHORT_B), both(REDUCE, on_slot(0, position=99), SHORT_B)),
    (Refusal.REDUCE_ONLY, (1,), both(REDUCE, LONG_A, SHORT_B), both(REDUCE, LONG_A, on_slot(1, position=-99))),
    (
        Refusal.REDUCE_ONLY,
        (0,),
        both(REDUCE, SHORT_B, on_slot(0, position=150, open_sells=50)),
        both(REDUCE, SHORT_B, on_slot(0, position=150, open_sells=51)),
    ),
    (
        Refusal.REDUCE_ONLY,
        (1,),
        both(REDUCE, LONG_A, on_slot(1, position=-150, open_buys=50)),
        both(REDUCE, LONG_A, on_slot(1, position=-150, open_buys=51)),
    ),
    (Refusal.MODE_OFF, (0, 1), on_world(), on_world(mode=Mode.OFF)),
    (Refusal.MODE_OFF, (0, 1), on_world(mode=Mode.SHADOW), on_world(mode=3)),
    (Refusal.SLOT_DISABLED, (0,), on_world(), on_slot(0, enabled=0)),
    (Refusal.SLOT_DISABLED, (1,), on_world(), on_slot(1, enabled=0)),
    (Refusal.PAIR_DISABLED, (0, 1), on_world(), on_world(allowed=0)),
    (Refusal.PAIR_DISABLED, (0, 1), on_world(), on_order(1, slot=3)),
    (Refusal.QUANTITY, (0,), on_slot(0, max_quantity=100), on_slot(0, max_quantity=99)),
    (Refusal.QUANTITY, (1,), on_order(1, quantity=1), on_order(1, quantity=0)),
    (Refusal.NOTIONAL, (0,), on_slot(0, max_notional=99_990_000), on_slot(0, max_notional=99_989_999)),
    (Refusal.NOTIONAL, (1,), on_slot(1, max_notional=100_010_000), on_slot(1, max_notional=100_009_999)),
    (Refusal.COLLAR, (0,), on_slot(0, collar=100), on_slot(0, collar=99)),
    (Refusal.COLLAR, (1,), far(1, 1_050_000), far(1, 1_050_000, reference=999_999, collar=60_000)),
    (Refusal.COLLAR, (0,), far(0, 950_000), far(0, 950_000, reference=1_000_001, collar=60_000)),
    (Refusal.OFF_TICK, (0,), far(0, 9_999, reference=9_999), far(0, 10_001, reference=9_999)),
    (Refusal.OFF_TICK, (1,), far(1, 10_100, reference=10_000), far(1, 10_099, reference=10_000)),
    (Refusal.STALE, (0, 1), on_world(), on_world(stale=1)),
    (
        Refusal.COLLAR,
        (1,),
        far(1, 1_000_000, reference=999_901, collar_bps=1, collar=99),
        far(1, 1_000_100, reference=999_999, collar_bps=1, collar=200),
    ),
    (Refusal.NO_REFERENCE, (0,), on_world(), on_slot(0, reference=0)),
    (Refusal.LONG_LIMIT, (1,), on_slot(1, max_long=100), on_slot(1, max_long=99)),
    (
        Refusal.LONG_LIMIT,
        (1,),
        on_slot(1, position=-50, open_buys=50, max_long=100),
        on_slot(1, position=-49, open_buys=50, max_long=100),
    ),
    (Refusal.SHORT_LIMIT, (0,), on_slot(0, max_short=100), on_slot(0, max_short=99)),
    (
        Refusal.SHORT_LIMIT,
        (0,),
        on_slot(0, position=50, open_sells=50, max_short=100),
        on_slot(0, position=50, open_sells=51, max_short=100),
    ),
    (Refusal.RATE, (1,), on_world(tokens=2), on_world(tokens=1)),
    (Refusal.RATE, (0, 1), on_world(tokens=2), on_world(tokens=0)),
    (Refusal.INTEGRITY, (0,), on_world(), on_slot(0, integrity=Integrity.SUSPECT)),
    (Refusal.INTEGRITY, (1,), on_world(), on_slot(1, integrity=Integrity.DEAD)),
    (Refusal.STOCK_HALTED, (0,), on_world(), on_slot(0, halted=1)),
    (Refusal.STOCK_HALTED, (1,), on_world(), on_slot(1, halted=1)),
    (Refusal.MARKET_CLOSED, (0, 1), on_world(), on_world(market_open=0)),
    (Refusal.CROSSED, (0,), on_slot(0, bid=1_000_099), on_slot(0, bid=1_000_100)),
    (Refusal.CROSSED, (1,), on_world(), on_slot(1, bid=0)),
    (Refusal.CROSSED, (1,), on_world(), on_slot(1, ask=0)),
    (Refusal.TRANSMITTER_BUSY, (0, 1), on_world(), on_world(transmitter_ready=0)),
    (Refusal.SESSION_DOWN, (0, 1), on_world(), on_world(session_up=0)),
    (Refusal.LEDGER_FULL, (0, 1), on_world(), on_world(ledger_full=1)),
    (Refusal.SHORT_SALE, (0,), on_slot(0, restricted=1, position=100), on_slot(0, restricted=1, position=99)),
    (
        Refusal.SHORT_SALE,
        (0,),
        on_slot(0, restricted=1, position=150, open_sells=50),
        on_slot(0, restricted=1, position=150, open_sells=51),
    ),
    (Refusal.GROSS, (0, 1), on_world(max_gross=200_000_000), on_world(max_gross=199_999_999)),
    (Refusal.GROSS, (0, 1), on_world(gross=7, max_gross=200_000_007), on_world(gross=8, max_gross=200_000_007)),
    # Only what may grow counts, and is refused; above the limit, too.
    (Refusal.GROSS, (1,), both(LONG_A, on_world(max_gross=100_010_000)), both(LONG_A, on_world(max_gross=100_009_999))),
    (Refusal.GROSS, (0,), both(SHORT_B, on_world(max_gross=99_990_000)), both(SHORT_B, on_world(max_gross=99_989_999))),
    (Refusal.GROSS, (0,), both(LONG_A, SHORT_B, ABOVE), both(SHORT_B, ABOVE)),
    (Refusal.NET, (1,), on_world(max_net=100_010_000), on_world(max_net=100_009_999)),
    (Refusal.NET, (1,), on_world(net_long=1, max_net=100_010_001), on_world(net_long=2, max_net=100_010_001)),
    (
        Refusal.NET,
        (0,),
        on_world(net_short=-50_000, net_long=-50_000, max_net=100_040_000),
        on_world(net_short=-50_001, net_long=-50_001, max_net=100_040_000),
    ),
    (Refusal.NET, (0, 1), both(LONG_A, SHORT_B, ASKEW), ASKEW),
    (Refusal.NET, (1,), both(LONG_A, SHORT_B, ASKEW), both(LONG_A, ASKEW)),
    (Refusal.LOSS, (0, 1), on_world(), on_world(loss=1)),
    (Refusal.LOSS, (1,), both(LONG_A, SHORT_B, on_world(loss=1)), both(LONG_A, on_world(loss=1))),
    (
        Refusal.LOSS,
        (0,),
        both(SHORT_B, on_slot(0, position=150, open_sells=50), on_world(loss=1)),
        both(SHORT_B, on_slot(0, position=150, open_sells=51), on_world(loss=1)),
    ),
    (Refusal.OPEN_ORDERS, (0,), on_world(max_open_orders=1), both(on_slot(0, orders=1), on_world(max_open_orders=1))),
    (
        Refusal.OPEN_ORDERS,
        (1,),
        both(on_slot(1, orders=6), on_world(max_open_orders=7)),
        both(on_slot(1, orders=7), on_world(max_open_orders=7)),
    ),
    (Refusal.OPEN_ORDERS, (0, 1), on_slot(0, orders=300), on_world(max_open_orders=0)),
    # What passed is the last order of its slot.
    (Refusal.DUPLICATE, (0, 1), on_world(), on_world(duplicate_window=1 << 31)),
    (Refusal.DUPLICATE, (0,), on_world(), both(on_world(duplicate_window=1 << 31), on_order(1, quantity=99))),
    (Refusal.DUPLICATE, (1,), on_world(), both(on_world(duplicate_window=1 << 31), on_order(0, price=999_800))),
    # The slot of leg b before is that of leg a now.
    (Refusal.DUPLICATE, (0,), on_world(), both(on_world(duplicate_window=1 << 31), swapped, on_order(1, quantity=99))),
    (Refusal.REJECT_RATE, (0, 1), on_world(), on_world(rejects_reached=1)),
    (Refusal.CANCEL_RATE, (0, 1), on_world(), on_world(cancels_reached=1)),
    # All of a short sale counts, and only of one.
    (Refusal.LOCATE, (0,), on_slot(0, located=100), on_slot(0, located=99)),
    (Refusal.LOCATE, (0,), on_slot(0, located=500, shorts=400), on_slot(0, located=500, shorts=401)),
    (Refusal.LOCATE, (0,), on_slot(0, located=0, position=100), on_slot(0, located=99, position=99)),
    (
        Refusal.LOCATE,
        (0,),
        both(on_slot(0, located=99, position=150, open_sells=50), on_slot(1, located=0)),
        on_slot(0, located=99, position=150, open_sells=51),
    ),
    (
        Refusal.LOCATE,
        (0,),
        on_slot(0, located=(1 << 24) - 1, shorts=(1 << 24) - 101),
        on_slot(0, located=(1 << 24) - 1, shorts=(1 << 24) - 100),
    ),
    (Refusal.LOCATE, (0,), on_world(), on_slot(0, located=0, shorts=(1 << 24) - 1)),
    (Refusal.CANARY, (0, 1), on_world(canary_quantity=100), on_world(canary_quantity=99)),
    (
        Refusal.CANARY,
        (1,),
        both(on_order(1, quantity=5), on_order(0, quantity=5), on_world(canary_quantity=5)),
        both(on_order(1, quantity=6), on_order(0, quantity=5), on_world(canary_quantity=5)),
    ),
    # More than one left of each by now.
    (Refusal.SLOT_RATE, (0, 1), on_world(), on_world(slot_rate_orders=1)),
)


@cocotb.test()
async def every_reason_alone_and_at_its_edge(dut):
    bench = Bench(dut)
    await bench.start()
    assert {reason for reason, *_ in EDGES} == set(Refusal) - {Refusal.OTHER_LEG}
    for reason, legs, passes, refuses in EDGES:
        orders, world = plain()
        passes(orders, world)
        assert await bench.judged(orders, world) == [set(), set()], reason
        orders, world = plain()
        refuses(orders, world)
        other = [{Refusal.OTHER_LEG} if (1 - leg) in legs else set() for leg in range(2)]
        assert await bench.judged(orders, world) == [({reason} if leg in legs else set()) | other[leg] for leg in range(2)], (
            reason
        )


@cocotb.test()
async def a_single_order_is_judged_by_the_same_rules_but_those_of_pairs(dut):
    """Either order of every state above, alone."""
    bench = Bench(dut)
    await bench.start()
    seen: set[Refusal] = set()
    too_much = on_world(max_gross=99_989_999, max_net=99_989_999)
    for change in (too_much, on_world(tokens=0), *(change for _, _, *changes in EDGES for change in changes)):
        for leg in range(2):
            orders, world = plain()
            change(orders, world)
            [reasons] = await bench.judged([orders[leg]], world)
            seen |= reasons
    assert seen == set(Refusal) - {Refusal.OTHER_LEG, Refusal.PAIR_DISABLED}


@cocotb.test()
async def single_orders_and_pairs_follow_each_other_as_close_as_may_be(dut):
    """Each as soon as the gate is free: numbers, tokens and the last order of a slot are those of the one before."""
    bench = Bench(dut)
    await bench.start()
    orders, world = plain()
    await bench.arrange(world)
    await bench.step(6)
    for number in range(24):
        orders[0].quantity, orders[1].quantity = 1 + number, 100 + number
        world.tokens = 60
        bench.set("rate_tokens", bench.used + world.tokens)
        expected = await bench.ask(orders[:1] if number % 3 else orders, world)
        assert not any(expected)
    # The last order of slot 9, leg b's place, is that of the last pair.
    world.duplicate_window = 1 << 31
    await bench.arrange(world)
    assert await bench.ask([orders[0]], world) == [{Refusal.DUPLICATE}]
    assert await bench.ask([Order(9, BUY, 121, orders[1].price)], world) == [{Refusal.DUPLICATE}]


def near(rng: random.Random, value: int, low: int, high: int) -> int:
    """A limit at, just under or just over a value, or anywhere."""
    if rng.random() < 0.9:
        return min(max(value + rng.choice((0, 0, 0, 0, 1, 1, 1000, -1)), low), high)
    return rng.choice((low, high, rng.randint(low, high)))


def draw_portfolio(rng: random.Random, orders: list[Order], world: World, trouble: float) -> None:
    """Sums and their limits, mostly with just enough room, or one too little."""
    growing = [order for order in orders if grows(order, world.slots[order.slot])]
    notional = {side: sum(order.quantity * order.price for order in growing if order.side == side) for side in (BUY, SELL)}
    highest = (1 << 56) - 1
    far = 1 << (total_bits(GEOMETRY) - 1 if rng.random() < trouble else 52)
    world.gross = rng.choice((0, 1, rng.randrange(1 << 52), rng.randrange(far)))
    world.net_long, world.net_short = (rng.choice((0, 1, -1, rng.randrange(-far, far), -far, far - 1)) for _ in range(2))
    world.max_gross = near(rng, world.gross + sum(notional.values()), 0, highest) if rng.random() < 0.5 else highest
    edge = rng.choice((world.net_long + notional[BUY], notional[SELL] - world.net_short))
    world.max_net = near(rng, edge, 0, highest) if rng.random() < 0.3 else highest
    world.loss = int(rng.random() < trouble)


def draw(rng: random.Random, again: list[Order], count: int) -> tuple[list[Order], World]:
    """Two orders, of which the first `count` are asked for, and the state they meet; sometimes the orders of `again`, as they
    were or a little changed."""
    world = World()
    orders: list[Order] = []
    repeats = bool(again) and rng.random() < 0.15
    trouble = 0.005 if rng.random() < 0.7 else 0.3
    chance = lambda: rng.random() < trouble  # noqa: E731
    slots = [order.slot for order in again] if repeats else rng.sample(range(GEOMETRY.slots), 2)
    for leg, index in enumerate(slots):
        side = rng.choice((BUY, SELL)) if leg == 0 else 1 - orders[0].side
        quantity = rng.choice((1, 100, 4000, (1 << 20) - 1)) if not chance() else rng.choice((0, 1 << 20, (1 << 32) - 1))
        price = rng.choice((1, 9_999, 1_000_000, rng.randrange(1, 1 << 31), (1 << 32) - 1))
        if price > 10_000 and not chance():
            price -= price % 100
        if repeats and rng.random() < 0.9:
            side, quantity, price = again[leg].side, again[leg].quantity, again[leg].price
        position = (
            rng.choice((0, quantity, -quantity, rng.randint(-(1 << 21), 1 << 21)))
            if not chance()
            else rng.choice((-(1 << 31), (1 << 31) - 1))
        )
        position = min(max(position + rng.choice((0, 0, 1, -1)), -(1 << 31)), (1 << 31) - 1)
        open_buys, open_sells = (rng.choice((0, 0, abs(position), rng.randrange(1 << 20))) for _ in range(2))
        bps = rng.choice((0, 1, 100, 9_999, (1 << 14) - 1))
        reference = near(rng, price, 0, (1 << 32) - 1)
        if rng.random() < 0.5 and bps:
            # The price at which the collar ends, from both sides.
            reference = min(
                max(price * 10_000 // (10_000 + rng.choice((bps, -bps)) or 1) + rng.choice((-1, 0, 1)), 1), (1 << 32) - 1
            )
        distance = abs(price - reference)
        most = (1 << 24) - 1
        shorts = rng.choice((0, 0, quantity, rng.randrange(1 << 24))) & most
        located = near(rng, shorts + quantity, 0, most) if rng.random() < 0.3 else most
        slot = Slot(
            enabled=int(not chance()),
            max_quantity=near(rng, quantity, 0, (1 << 20) - 1),
            max_notional=near(rng, quantity * price, 0, (1 << 52) - 1),
            max_long=near(rng, position + open_buys + quantity, 0, (1 << 31) - 1),
            max_short=near(rng, -(position - open_sells - quantity), 0, (1 << 31) - 1),
            reference=reference if not chance() else 0,
            collar=near(rng, distance, 0, (1 << 32) - 1),
            collar_bps=bps if rng.random() < 0.5 else (1 << 14) - 1,
            position=position,
            open_buys=open_buys,
            open_sells=open_sells,
            orders=rng.choice((0, 1, 255, 256)) if not chance() else 0xFFFF,
            integrity=Integrity.EXACT if not chance() else rng.choice(list(Integrity)),
            located=located,
            shorts=shorts,
            halted=int(chance()),
            restricted=int(rng.random() < 0.2),
            bid=999_900 if not chance() else rng.choice((0, 1_000_100, 1_000_099)),
            ask=1_000_100 if not chance() else 0,
        )
        world.slots[index] = slot
        orders.append(Order(index, side, quantity, price))
    world.state = (
        rng.choice(list(TradingState)) if chance() else rng.choice((TradingState.ACTIVE,) * 4 + (TradingState.REDUCE_ONLY,))
    )
    world.mode = rng.choice((0, 1, 2, 3)) if chance() else rng.choice((Mode.LIVE, Mode.LIVE, Mode.SHADOW))
    world.allowed = int(not chance())
    world.tokens = rng.choice((0, 1, 2, 3)) if chance() else rng.choice((2, 3, 50))
    world.market_open, world.transmitter_ready, world.session_up = (int(not chance()) for _ in range(3))
    world.ledger_full, world.stale = int(chance()), int(chance())
    world.max_open_orders = max(near(rng, max(slot.orders for slot in world.slots.values()) + 1, 0, 0xFFFF), int(not chance()))
    world.duplicate_window = rng.choice((0, rng.randrange(1, 60), 1 << 31))
    world.slot_rate_orders = rng.choice((0, 0xFFFF, rng.randrange(40, 60))) if not chance() else rng.randrange(1, 40)
    world.rejects_reached, world.cancels_reached = int(chance()), int(chance())
    if rng.random() < 0.1:
        world.canary_quantity = near(rng, rng.choice(orders).quantity, 0, (1 << 20) - 1)
    draw_portfolio(rng, orders[:count], world, trouble)
    return orders, world


@cocotb.test()
async def random_requests_agree_with_the_rules(dut):
    rng = random.Random(7)
    bench = Bench(dut)
    await bench.start()
    seen: Counter = Counter()
    orders: list[Order] = []
    for _ in range(int(os.environ["REQUESTS"])):
        count = rng.choice((1, 2, 2))
        orders, world = draw(rng, orders, count)
        if bench.used > 60_000:
            await bench.start()
        expected = await bench.judged(orders[:count], world, rng=rng)
        seen["single"] += count == 1 and not any(expected)
        seen.update(reason for reasons in expected for reason in reasons)
        seen["passed"] += not any(expected)
    dut._log.info("seen %s", seen)
    assert seen["passed"] > 150 and seen["single"] > 50
    assert all(seen[reason] > 30 for reason in Refusal), seen


@cocotb.test()
async def verdicts_belong_to_their_own_request(dut):
    """Pass and refuse in turn, each as soon as the gate is free."""
    bench = Bench(dut)
    await bench.start()
    for number in range(40):
        orders, world = plain()
        if number % 2:
            on_order(number // 2 % 2, quantity=1001 + number)(orders, world)
        else:
            on_order(0, quantity=number + 1)(orders, world)
        if not number:
            await bench.arrange(world)
            await bench.step(6)
        world.tokens = 60
        expected = await bench.ask(orders, world)
        assert any(expected) == bool(number % 2)


@cocotb.test()
async def a_row_counts_from_the_next_set_on(dut):
    """Rows written and sales told in every clock around a request: it is judged by the old row, and the next by the new one."""
    bench = Bench(dut)
    await bench.start()
    orders, world = plain()
    limits = {name: getattr(Slot(), name) for name in LIMIT_COLUMNS}
    refused = {Refusal.QUANTITY, Refusal.COLLAR}
    for leg in range(2):
        for sale in (None, -1, 0, 1):
            for early in range(-2, 8):
                bench.written.clear()
                await bench.arrange(world)
                bench.set("allowed", 1)
                await bench.step(6)
                for expected in (set(), refused):
                    for clock in range(20):
                        if clock == 8 - early and not expected:
                            # Either half of the collar: they lie in memories of their own.
                            row = limits | {"collar_bps" if early % 2 else "collar": 0, "max_quantity": 1}
                            bench.offer("limits", {"index": orders[leg].slot, "row": row})
                        if sale is not None and clock == 8 - early + sale:
                            # Of another slot; it only takes the clock.
                            bench.offer("trade", {"slot": 20, "price": 5})
                        if clock == 8:
                            bench.offer("request", {"legs": [dataclasses.asdict(order) for order in orders]})
                        await bench.step()
                    sent = bench.taken("order")
                    bench.used += 2 * len(sent)
                    verdict = bench.taken("verdict_event")[leg][1]
                    reasons = {reason for reason in Refusal if verdict["refusals"] >> reason & 1}
                    assert reasons == expected and bool(sent) == (not reasons), (leg, sale, early)
                    bench.change_over()


@cocotb.test()
async def gate_waits_for_the_ledger_and_takes_one_request_at_a_time(dut):
    bench = Bench(dut)
    await bench.start()
    orders, world = plain()
    await bench.arrange(world)
    for name in ("booking", "settling"):
        bench.set(name, 1)
        await bench.step(6)
        assert not bench.get("request__ready")
        bench.set(name, 0)
        await bench.step()
        assert bench.get("request__ready")
    # Held valid: one request is taken every LATENCY + 1 clocks, not more.
    bench.set("allowed", 1)
    bench.set("loss", 0)
    bench.set("request__payload", {"legs": [dataclasses.asdict(order) for order in orders]})
    bench.set("request__valid", 1)
    await bench.step(4 * (LATENCY + 1))
    bench.set("request__valid", 0)
    await bench.step(10)
    assert len(bench.taken("verdict_event")) == 8
    numbers = [leg["user_ref_num"] for _, sent in bench.taken("order") for leg in sent["legs"]]
    assert numbers == list(range(1, 9))


@cocotb.test()
async def shared_switches_act_in_the_clock_an_order_would_leave(dut):
    bench = Bench(dut)
    await bench.start()
    orders, world = plain()
    changes = (
        ("trading_state", int(TradingState.KILLED), Refusal.KILLED),
        ("trading_state", int(TradingState.HALTED), Refusal.HALTED),
        ("trading_state", int(TradingState.REDUCE_ONLY), Refusal.REDUCE_ONLY),
        ("mode", int(Mode.OFF), Refusal.MODE_OFF),
        ("transmitter_ready", 0, Refusal.TRANSMITTER_BUSY),
        ("session_up", 0, Refusal.SESSION_DOWN),
        ("loss", 1, Refusal.LOSS),
    )
    for name, value, reason in changes:
        for late in (0, 1):
            await bench.arrange(world)
            bench.set("allowed", 1)
            await bench.step(6)
            bench.offer("request", {"legs": [dataclasses.asdict(order) for order in orders]})
            await bench.step(LATENCY + late)
            bench.set(name, value)
            await bench.step(3)
            verdicts, sent = bench.taken("verdict_event"), bench.taken("order")
            bench.used += 2 * len(sent)
            if late:
                assert len(sent) == 1 and [verdict["refusals"] for _, verdict in verdicts] == [0, 0]
            else:
                mask = 1 << reason | 1 << Refusal.OTHER_LEG
                assert not sent and [verdict["refusals"] for _, verdict in verdicts] == [mask, mask], name


@cocotb.test()
async def what_the_feed_tells_is_looked_at_with_the_request(dut):
    """What changes behind that clock stops this order no more: it leaves up to 4 clocks after the first one of the new state."""
    bench = Bench(dut)
    await bench.start()
    orders, world = plain()
    fallen = [int(Integrity.SUSPECT)] * GEOMETRY.slots
    changes = (
        ("integrity", fallen, Refusal.INTEGRITY),
        ("halted", (1 << GEOMETRY.slots) - 1, Refusal.STOCK_HALTED),
        ("market_open", 0, Refusal.MARKET_CLOSED),
        ("stale", 1, Refusal.STALE),
    )
    for name, value, reason in changes:
        for late in (0, 1):
            await bench.arrange(world)
            bench.set("allowed", 1)
            await bench.step(6)
            bench.offer("request", {"legs": [dataclasses.asdict(order) for order in orders]})
            await bench.step(late)
            bench.set(name, value)
            changed = bench.cycle
            await bench.step(LATENCY + 3)
            verdicts, sent = bench.taken("verdict_event"), bench.taken("order")
            bench.used += 2 * len(sent)
            if late:
                assert [cycle - changed for cycle, _ in sent] == [LATENCY - 1], name
            else:
                assert not sent and all(verdict["refusals"] >> reason & 1 for _, verdict in verdicts), name


@cocotb.test()
async def tokens_come_back_one_an_interval(dut):
    bench = Bench(dut)
    await bench.start()
    orders, world = plain()
    world.tokens = 6
    await bench.arrange(world)
    await bench.step(6)
    for _ in range(3):
        assert await bench.ask(orders, world) == [set(), set()]
    world.tokens = 0
    assert (await bench.ask(orders, world))[0] == {Refusal.RATE, Refusal.OTHER_LEG}
    # Interval 0 never gives one back.
    await bench.step(500)
    assert (await bench.ask(orders, world))[0] == {Refusal.RATE, Refusal.OTHER_LEG}
    bench.set("rate_interval", 50)
    at = bench.cycle
    await bench.step(60)
    world.tokens = 1
    assert (await bench.ask(orders, world)) == [{Refusal.OTHER_LEG}, {Refusal.RATE}]
    await bench.step(at + 110 - bench.cycle)
    world.tokens = 2
    assert await bench.ask(orders, world) == [set(), set()]
    # Never more than the burst, however long it rests.
    await bench.step(1000)
    for _ in range(3):
        world.tokens = 2
        assert await bench.ask(orders, world) == [set(), set()]
    world.tokens = 0
    assert (await bench.ask(orders, world))[0] == {Refusal.RATE, Refusal.OTHER_LEG}


@cocotb.test()
async def a_duplicate_is_one_until_its_window_ends(dut):
    bench = Bench(dut)
    await bench.start()
    far_away = 1 << 31
    again = [{Refusal.DUPLICATE, Refusal.OTHER_LEG}] * 2
    orders, world = plain()
    await bench.judged(orders, world)
    for gap in (0, 1, 17, 300):
        for late in (0, 1):
            await bench.step(gap)
            sent = bench.last[3][0]
            world.duplicate_window = bench.cycle + LATENCY - sent + 1 - late
            await bench.arrange(world)
            expected = [set(), set()] if late else again
            assert await bench.ask(orders, world) == expected
    # Whatever differs, another order is another; as soon as it left it is the last one.
    for change in (on_order(0, quantity=99), on_order(0, price=999_800), on_order(0, slot=4)):
        orders, world = plain()
        world.slots[4] = Slot()
        world.duplicate_window = 1
        await bench.judged(orders, world)
        change(orders, world)
        orders[1].quantity = 98
        world.duplicate_window = far_away
        assert await bench.judged(orders, world) == [set(), set()]
        assert await bench.judged(orders, world) == again
    orders = [Order(3, BUY, 99, 1_000_100), Order(9, SELL, 99, 999_900)]
    assert await bench.judged(orders, world) == [set(), set()]
    orders = [Order(3, SELL, 99, 1_000_100), Order(9, BUY, 99, 999_900)]
    assert await bench.judged(orders, world) == [set(), set()]
    # What did not leave is not the last order.
    orders, world = plain()
    orders[0].quantity = orders[1].quantity = 55
    world.duplicate_window = far_away
    for name, value in (("mode", Mode.SHADOW), ("session_up", 0)):
        setattr(world, name, value)
        await bench.judged(orders, world)
    world.mode, world.session_up = Mode.LIVE, 1
    assert await bench.judged(orders, world) == [set(), set()]


@cocotb.test()
async def the_next_request_meets_the_orders_just_sent(dut):
    """Requests as close as they can come."""
    bench = Bench(dut)
    await bench.start()
    orders, world = plain()
    orders[0].quantity = orders[1].quantity = 77
    world.duplicate_window = 1 << 31
    world.slot_rate_orders = 2
    for leg in range(2):
        await bench.arrange(world)
        bench.set("allowed", 1)
        await bench.step(6)
        bench.taken("verdict_event")
        legs = [dataclasses.asdict(order) for order in orders]
        bench.set("request__payload", {"legs": legs})
        bench.set("request__valid", 1)
        await bench.step(LATENCY + 1)
        # The same, in the order of legs or turned round.
        bench.set("request__payload", {"legs": legs if leg else legs[::-1]})
        await bench.step(1)
        bench.set("request__valid", 0)
        await bench.step(10)
        masks = [verdict["refusals"] for _, verdict in bench.taken("verdict_event")]
        # By now it is the second and the third order of its slot.
        crowded = 1 << Refusal.SLOT_RATE if leg else 0
        assert masks == [0, 0, *[crowded | 1 << Refusal.DUPLICATE | 1 << Refusal.OTHER_LEG] * 2]
        # Another pair, so that it is not refused.
        orders[0].price, orders[1].price = 999_800, 1_000_200


@cocotb.test()
async def orders_of_a_slot_count_in_their_window(dut):
    bench = Bench(dut)
    window = 60
    crowded = [{Refusal.SLOT_RATE, Refusal.OTHER_LEG}] * 2
    await bench.start()
    orders, world = plain()
    # A window that never ends.
    world.slot_rate_orders = 3
    for number in range(5):
        assert await bench.judged(orders, world) == ([set(), set()] if number < 3 else crowded)
    # Of another slot, none left; what is over is refused alone.
    other = [Order(5, SELL, 100, 999_900), orders[1]]
    world.slots[5] = Slot()
    assert await bench.judged(other, world) == [{Refusal.OTHER_LEG}, {Refusal.SLOT_RATE}]
    # No limit, and none left: the count goes on.
    world.slot_rate_orders = 0
    assert await bench.judged(orders, world) == [set(), set()]
    world.slot_rate_orders = 4
    assert await bench.judged(orders, world) == crowded
    world.slot_rate_orders = 5
    assert await bench.judged(orders, world) == [set(), set()]
    # Around a border, every clock: an order counts in the window in which it leaves, the next is judged by that of its second
    # clock.
    for early in range(0, 24, 1):
        await bench.start()
        bench.touch.clear()
        orders, world = plain()
        world.slot_rate_orders = 1
        await bench.arrange(world)
        await bench.step(6)
        bench.set("slot_rate_window", window)
        begin = bench.cycle
        await bench.step(window - early)
        assert await bench.ask(orders, world) == [set(), set()]
        left_in = (bench.last[3][0] - begin) // window
        asked_in = (bench.cycle + 1 - begin) // window
        if asked_in != left_in:
            bench.counts.clear()
        assert await bench.ask(orders, world) == (crowded if asked_in == left_in else [set(), set()]), early
        bench.set("slot_rate_window", 0)


@cocotb.test()
async def numbers_are_loaded_and_go_up_by_two(dut):
    bench = Bench(dut)
    await bench.start()
    orders, world = plain()
    bench.offer("load_user_ref_num", 5001)
    bench.number = 5001
    await bench.judged(orders, world)
    assert bench.get("next_user_ref_num") == 5003
    world.mode = Mode.SHADOW
    await bench.judged(orders, world)
    assert bench.get("next_user_ref_num") == 5003


@cocotb.test()
async def nothing_passes_after_reset_or_clear(dut):
    bench = Bench(dut)
    await bench.start()
    orders, world = plain()
    assert await bench.judged(orders, world) == [set(), set()]
    bench.set("clear", 1)
    await bench.step()
    bench.set("clear", 0)
    for slot in world.slots.values():
        slot.bid = slot.ask = 0
    bench.touch = dict.fromkeys(world.slots, (0, 0))
    assert await bench.judged(orders, world) == [{Refusal.CROSSED, Refusal.OTHER_LEG}] * 2


@cocotb.test()
async def ceilings_hold_from_their_first_row_until_reset(dut):
    bench = Bench(dut)
    ceilings = {
        "max_quantity": 1000,
        "max_notional": 10**12,
        "max_long": 5000,
        "max_short": 5000,
        "collar": 50_000,
        "collar_bps": 500,
    }
    off = [{Refusal.SLOT_DISABLED}, {Refusal.OTHER_LEG}]

    async def write(**changes) -> int:
        """Write slot 3's row, the ceilings but for the changes; give how often it was refused."""
        row = {name: getattr(Slot(), name) for name in LIMIT_COLUMNS} | ceilings | changes
        await bench.write(3, row)
        await bench.step()
        # One in each bank.
        return len(bench.taken("limits_refused")) // 2

    async def verdict(enabled: int) -> None:
        orders, world = plain()
        world.slots[3].enabled = enabled
        # What the gate holds is what was written by hand.
        bench.written[3] = tuple(getattr(world.slots[3], name) for name in LIMIT_COLUMNS)
        assert await bench.judged(orders, world) == ([set(), set()] if enabled else off)

    for _ in range(2):
        await bench.start()
        await bench.step()
        assert not bench.get("ceilings_locked")
        # Before they are loaded there are none.
        for name in ceilings:
            assert await write(**{name: ceilings[name] + 1}) == 0
        bench.offer("ceilings", {"row": ceilings})
        await bench.step(2)
        assert bench.get("ceilings_locked") and not bench.taken("limits_refused")
        for name in ceilings:
            assert await write() == 0
            await verdict(1)
            assert await write(enabled=0, **{name: ceilings[name] + 1}) == 1
            await verdict(1)
            assert await write(enabled=0) == 0
            await verdict(0)
        # A second row is too late.
        bench.offer("ceilings", {"row": {name: value + 1 for name, value in ceilings.items()}})
        await bench.step(3)
        assert len(bench.taken("limits_refused")) == 1
        assert await write(max_long=5001) == 1
