"""What must never happen, proved by k-induction for every state and every input, on a gate of two slots and two pairs.

What is abstract: the limits of a slot are arbitrary but constant, in place of the memory they are kept in (`cocotb_risk_gate`
tests that a row counts whole or not at all); the product of quantity and price is an arbitrary number that comes when `Product`
promises one (`test_product` tests the multiplier); the reference price is fixed, and the collar counts in whole references, which
leaves no other multiplier; what `RecentOrders` says of orders before is arbitrary, and proved apart. None of these touches the
rules proved here.

Every proof is run a second time on a gate with a fault that it has to find.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
from amaranth.hdl import Array, Assert, Assume, Cat, Const, Cover, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hdl.control.trading_state_holder import TradingStateHolder
from hdl.interfaces import Mode, Side, TradingState
from hdl.risk.ledger import Exposure
from hdl.risk.loss_limit import LOSS_BITS, LossLimit
from hdl.risk.product import Product
from hdl.risk.recent_orders import RecentOrders
from hdl.risk.risk_gate import RiskGate
from hdl.spec.events import NO_PAIR
from hdl.spec.geometry import Geometry
from hdl.spec.registers import REARM_KEYS
from tests.support.proofs import constant, judge, mutant, out_of_reset

GEOMETRY = Geometry(slots=2, pairs=2)
REFERENCE = 1_000_000
INDUCTION = RiskGate.LATENCY + 2
"""Clocks after which nothing is left of what the gate may have been at before."""
REACH = RiskGate.LATENCY + 6
"""Clocks in which a first order can have left: both touches, the request, its verdict."""
RULES = ("switches", "limits", "reduces", "verdicts")
TOTALS = ("portfolio", "recent", "verdicts")
WIDE, NARROW = ("gross", "net_long", "net_short", "max_gross", "max_net"), 8
"""Sums of all slots, and the bits of them and of products that are free where they are added: the solver's time grows with the
carries, and the tests of the gate add the widest ones."""


def as_of(m: Module, when: Any, value: Any) -> Signal:
    """A value as it stood when `when` was high last."""
    then = Signal(value.shape(), name=f"then_{value.name}")
    with m.If(when):
        m.d.sync += then.eq(value)
    return then


def narrow(value: Any) -> Any:
    return value[:NARROW].as_signed() if value.shape().signed else value[:NARROW]


def with_constant_limits(gate: Any, rows: list) -> Any:
    """The gate class, reading `rows` in place of its tables."""

    class Gate(gate):
        def _tables(self, m: Module, request: Any, step: Any) -> list:
            return [(Array(rows)[leg.slot], Const(REFERENCE, 32), Const(1, 14)) for leg in request.legs]

    return Gate


class GivenProduct(wiring.Component):
    """In place of `Product`: whatever number it is given."""

    def __init__(self, given: Signal):
        self._given = given
        super().__init__(Product(a=32, b=32).signature)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += self.product.eq(self._given)
        return m


class GivenAnswers(wiring.Component):
    """In place of `RecentOrders`: whatever it is given."""

    def __init__(self, geometry: Geometry, given: Signal):
        self._given = given
        super().__init__(RecentOrders(geometry=geometry).signature)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += Cat(self.duplicate, self.crowded).eq(self._given)
        return m


@dataclass(frozen=True)
class Kept:
    """What a harness knows of the request that is judged. `passes`: which of its orders leave in this clock."""

    leaves: Any
    passes: list
    request: Any
    limits: list
    exposure: list
    products: list
    allowed: Any
    story: Any
    growing: list


class GateProof(wiring.Component):
    """Watches a gate from outside and asserts some rules.

    The request, and what it is judged by, are kept in the clock in which it is taken.
    """

    def __init__(self, gate: Any, rules: tuple[str, ...]):
        self._gate_class, self._rules, self._narrow = gate, rules, "portfolio" in rules
        self._rows = [Signal(RiskGate(geometry=GEOMETRY).limits.payload.row.shape(), name=f"limits_{n}") for n in range(2)]
        self._products = [Signal(64, name=f"product_{n}") for n in range(2)]
        self._answers = Signal(4)
        self.gate = with_constant_limits(gate, self._rows)(geometry=GEOMETRY)
        inputs = {name: member for name, member in self.gate.signature.members.items() if member.flow is In}
        row_bits = len(self._rows[0].as_value())
        more = {"rows": In(data.ArrayLayout(row_bits, 2)), "products": In(data.ArrayLayout(64, 2))}
        super().__init__(inputs | more | {"fill": In(32), "answers": In(4)})

    def text(self, run: Any) -> Any:
        """`run` while the gate's multipliers are given."""
        given = iter(self._products)
        module = sys.modules[RiskGate.__module__]
        names = vars(module) if self._gate_class is RiskGate else self._gate_class._leg.__globals__
        replaced = {
            "Product": lambda a, b: GivenProduct(next(given)),
            "RecentOrders": lambda geometry: GivenAnswers(geometry, self._answers),
            "_BPS": 1,
        }
        with mock.patch.dict(names, replaced):
            return run()

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        out_of_reset(m)
        m.submodules.gate = gate = self.gate
        for name, member in gate.signature.members.items():
            inner = getattr(gate, name)
            if member.is_port and member.flow is In:
                given = getattr(self, name)
                m.d.comb += inner.eq(narrow(given) if self._narrow and name in WIDE else given)
            elif member.is_signature and member.flow is In:
                wiring.connect(m, wiring.flipped(getattr(self, name)), inner)
        for number in range(2):
            product = self.products[number]
            m.d.comb += [
                self._rows[number].as_value().eq(self.rows[number]),
                self._products[number].eq(product[:NARROW] if self._narrow else product),
            ]
        m.d.comb += self._answers.eq(self.answers)
        constant(m, self.rows.as_value(), "rows")

        # The story of a request, kept by the harness itself.
        taken = Signal()
        story = Signal(RiskGate.LATENCY + 2)
        m.d.comb += [taken.eq(gate.request.valid & gate.request.ready), story[0].eq(taken)]
        # What repairs a pair is a single order, and nothing else is of a leg.
        asked = gate.request.payload
        m.d.comb += Assume((asked.single | ~asked.repair) & (asked.repair | ~asked.leg))
        m.d.sync += story[1:].eq(story[:-1])
        request = Signal(gate.request.payload.shape())
        allowed = Signal()
        exposure = [Signal(Exposure, name=f"exposure_{number}") for number in range(2)]
        products = [Signal(64, name=f"kept_product_{number}") for number in range(2)]
        with m.If(taken):
            m.d.sync += [request.eq(gate.request.payload), allowed.eq(gate.allowed)]
            m.d.sync += [kept.eq(gate.exposure[number]) for number, kept in enumerate(exposure)]
        with m.If(story[Product.LATENCY]):
            m.d.sync += [kept.eq(self._products[number]) for number, kept in enumerate(products)]

        limits = [Array(self._rows)[leg.slot] for leg in request.legs]
        leaves = gate.order.valid
        m.d.comb += Cover(leaves & ~request.single & (request.legs[0].slot != request.legs[1].slot))
        m.d.comb += Cover(leaves & request.single)
        growing = []
        for held, leg in zip(exposure, request.legs, strict=True):
            buying, selling = held.position + held.open_buys, held.open_sells - held.position
            worst = Mux(leg.side == Side.BUY, buying, selling) + leg.quantity
            growing.append((worst > 0) | (leg.quantity == 0))
        passes = [leaves, leaves & ~request.single]
        kept = Kept(leaves, passes, request, limits, exposure, products, allowed, story, growing)
        for rule in self._rules:
            getattr(self, f"_{rule}")(m, kept)
        return m

    def _switches(self, m: Module, kept: Kept) -> None:
        """No order leaves unless every switch says so, in that very clock where it is a shared one."""
        gate = self.gate
        free = (gate.trading_state == TradingState.ACTIVE) | (gate.trading_state == TradingState.REDUCE_ONLY)
        m.d.comb += [
            Assert(~kept.leaves | (free & (gate.mode == Mode.LIVE) & gate.session_up & gate.transmitter_ready)),
            *(Assert(~passes | row.enabled) for passes, row in zip(kept.passes, kept.limits, strict=True)),
            # What makes a pair one.
            Assert(~kept.passes[1] | (kept.allowed & (kept.request.legs[0].slot != kept.request.legs[1].slot))),
        ]

    def _limits(self, m: Module, kept: Kept) -> None:
        """No order above the limits of its slot leaves, nor a short sale above what is located, nor one above a canary's cap."""
        canary = as_of(m, kept.story[RiskGate.LATENCY - 2], self.gate.canary_quantity)
        for number, leg in enumerate(kept.request.legs):
            row, held, passes = kept.limits[number], kept.exposure[number], kept.passes[number]
            m.d.comb += Assert(~passes | ((leg.quantity != 0) & (leg.quantity <= row.max_quantity)))
            m.d.comb += Assert(~passes | (kept.products[number] <= row.max_notional))
            m.d.comb += Assert(~passes | (canary == 0) | (leg.quantity <= canary))
            short = (leg.side == Side.SELL) & (leg.quantity > held.position - held.open_sells)
            m.d.comb += Assert(~(passes & short) | (held.shorts + leg.quantity <= row.located))
            worst = Signal(signed(40), name=f"worst_{number}")
            with m.If(leg.side == Side.BUY):
                m.d.comb += worst.eq(held.position + held.open_buys + leg.quantity)
                m.d.comb += Assert(~passes | (worst <= row.max_long))
            with m.Else():
                m.d.comb += worst.eq(held.position - held.open_sells - leg.quantity)
                m.d.comb += Assert(~passes | (worst >= -row.max_short))

    def _reduces(self, m: Module, kept: Kept) -> None:
        """In REDUCE_ONLY, and with the loss limit reached, |position| only shrinks, whatever part of an order is filled, and of
        those of its side before it."""
        reducing = (self.gate.trading_state == TradingState.REDUCE_ONLY) | self.gate.loss
        for number, leg in enumerate(kept.request.legs):
            held = kept.exposure[number]
            before, after = (Signal(signed(40), name=f"{name}_{number}") for name in ("before", "after"))
            some = (self.fill != 0) & (self.fill <= leg.quantity)
            buying = leg.side == Side.BUY
            m.d.comb += [
                before.eq(Mux(buying, held.position + held.open_buys, held.position - held.open_sells)),
                after.eq(Mux(buying, before + self.fill, before - self.fill)),
                Assert(~(kept.passes[number] & reducing & some) | (abs(after) < abs(before))),
            ]

    def _portfolio(self, m: Module, kept: Kept) -> None:
        """No order that may let a position grow leaves where all slots would come to more than they may."""
        gate, bits = self.gate, 70

        def added(side: Side | None) -> Signal:
            total = Signal(signed(bits), name=f"added_{side.name if side else 'all'}")
            counts = [
                kept.growing[number] & kept.passes[number] & ((leg.side == side) if side else 1)
                for number, leg in enumerate(kept.request.legs)
            ]
            m.d.comb += total.eq(sum(Mux(each, kept.products[number], 0) for number, each in enumerate(counts)))
            return total

        sums = (gate.max_gross, gate.max_net, gate.gross, gate.net_long, gate.net_short)
        max_gross, max_net, gross, net_long, net_short = (as_of(m, kept.story[Product.LATENCY], each) for each in sums)
        everything, bought, sold = added(None), added(Side.BUY), added(Side.SELL)
        for number, leg in enumerate(kept.request.legs):
            grows = kept.passes[number] & kept.growing[number]
            m.d.comb += [
                Assert(~grows | (gross + everything <= max_gross)),
                Assert(~grows | (leg.side == Side.SELL) | (net_long + bought <= max_net)),
                Assert(~grows | (leg.side == Side.BUY) | (net_short - sold >= -max_net)),
            ]

    def _recent(self, m: Module, kept: Kept) -> None:
        """No order leaves that `RecentOrders` said is a duplicate, or one too many, in the clock in which it says so; none of a
        slot that has as many open orders as it may; and none while too much is rejected or canceled."""
        too_much = self.gate.rejects_reached | self.gate.cancels_reached
        reached = Signal()
        with m.If(kept.story[RiskGate.LATENCY - 2]):
            m.d.sync += reached.eq(too_much)
        m.d.comb += Assert(~kept.leaves | ~reached)
        answers = as_of(m, kept.story[RecentOrders.LATENCY], self.answers)
        most_orders = as_of(m, kept.story[1], self.gate.max_open_orders)
        for number, (passes, held) in enumerate(zip(kept.passes, kept.exposure, strict=True)):
            m.d.comb += Assert(~passes | (~answers[number] & ~answers[2 + number] & (held.orders < most_orders)))

    def _verdicts(self, m: Module, kept: Kept) -> None:
        """Every order gets one verdict, `LATENCY` clocks after it was taken, and none comes without one. A pair is never told
        of a single order."""
        gate, single, repair = self.gate, kept.request.single, kept.request.repair
        first, second = kept.story[RiskGate.LATENCY], kept.story[RiskGate.LATENCY + 1] & ~single
        orders = Mux(single, 1, 2)
        record = gate.verdict_event.payload
        m.d.comb += [
            Assert((kept.leaves | gate.returned.valid) == (first & (kept.leaves | ~single))),
            Assert(~(kept.leaves & gate.returned.valid)),
            Assert(gate.verdict_event.valid == (first | second)),
            Assert(~gate.verdict_event.valid | (record.leg == Mux(repair, kept.request.leg, second))),
            Assert(gate.passed + gate.refused == Mux(first, orders, 0)),
            Assert(~kept.leaves | ((record.refusals == 0) & (gate.passed == orders))),
            Assert(~(first & (gate.refused != 0)) | (record.refusals != 0)),
            Assert(~first | (record.pair == Mux(single & ~repair, NO_PAIR, kept.request.pair))),
            Assert(~first | (record.quantity == kept.request.legs[0].quantity)),
            Assert(~second | (record.quantity == kept.request.legs[1].quantity)),
            # None is taken before the one before it has its verdicts.
            Assert(~(kept.story[0] & kept.story[1 : RiskGate.LATENCY + 1].any())),
        ]


def run(gate: Any, *rules: str, mode: str = "prove") -> str:
    proof = GateProof(gate, rules)
    learns = mode == "prove" and rules == RULES
    return proof.text(lambda: judge(proof, depth=INDUCTION if mode == "prove" else REACH, mode=mode, learns=learns))


def test_some_order_leaves() -> None:
    """The rules below are not true for want of orders."""
    assert run(RiskGate, mode="cover") == "PASS"


def test_all_rules_hold() -> None:
    """Together: that a verdict belongs to its request is what the induction of the other rules stands on."""
    assert run(RiskGate, *RULES) == "PASS"


def test_rules_of_the_portfolio_hold() -> None:
    """Gross, net and open orders; nothing leaves that was just sent."""
    assert run(RiskGate, *TOTALS) == "PASS"


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        ("portfolio", "gross_room < added,", "gross_room + 1 < added,"),
        ("recent", "orders >= self.max_open_orders", "self.max_open_orders < orders"),
        ("recent", "[Refusal.CANCEL_RATE] = self.cancels_reached", "[Refusal.CANCEL_RATE] = self.rejects_reached"),
        ("limits", "is_short & (row.located < borrowed)", "is_short & (row.located + 1 < borrowed)"),
        ("limits", "(self.canary_quantity < leg.quantity)", "(self.canary_quantity + 1 < leg.quantity)"),
        ("recent", "[Refusal.DUPLICATE].eq(recent.duplicate[index])", "[Refusal.DUPLICATE].eq(recent.duplicate[0])"),
        ("reduces", "~((reducing | self.loss) & growing.any())", "~(reducing & growing.any())"),
        ("switches", "(self.trading_state == TradingState.KILLED)", "(0)"),
        ("limits", "row.max_notional < notional.product", "row.max_notional + 1 < notional.product"),
        ("reduces", "delayed((~worst[-1] | nothing) & present, 1", "delayed((~worst[-1] & nothing) & present, 1"),
        ("reduces", "present = ~request.single if index else", "present = ~request.single if index == 0 else"),
        ("switches", "(~self.allowed | one_slot) & ~single", "(~self.allowed & one_slot) & ~single"),
        ("verdicts", "self.returned.valid.eq(judging & ~leaves & pair)", "self.returned.valid.eq(judging & ~leaves)"),
        ("verdicts", "self.request.ready.eq(~busy & ~self.booking & ~self.settling)", "self.request.ready.eq(~self.booking)"),
    ],
)
@pytest.mark.soak(one_in=3)
def test_each_rule_finds_a_fault(rule: str, old: str, new: str) -> None:
    assert run(mutant(RiskGate, old, new), rule, mode="bmc") == "FAIL"


class HolderProof(wiring.Component):
    """Watches the holder of the trading state: what raises it, and what leads out of KILLED."""

    def __init__(self, holder: Any):
        self.holder = holder()
        super().__init__({name: member for name, member in self.holder.signature.members.items() if member.flow is In})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        out_of_reset(m)
        m.submodules.holder = holder = self.holder
        for name, member in self.signature.members.items():
            if member.is_port:
                m.d.comb += getattr(holder, name).eq(getattr(self, name))
            else:
                wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(holder, name))
        # Two clocks of what was seen: the keys may lie apart, so the first one is only known by `rearming`.
        begun = Signal()
        before, armed = Signal(TradingState), Signal()
        given, loads, wanted = Signal(32), Signal(), Signal(TradingState)
        key, ended = Signal(), Signal()
        lowered = Signal(3)
        m.d.sync += [
            begun.eq(1),
            before.eq(holder.value),
            armed.eq(holder.rearming),
            key.eq(self.rearm.valid),
            given.eq(self.rearm.payload),
            loads.eq(self.load.valid),
            wanted.eq(self.load.payload),
            ended.eq(self.ended),
            lowered.eq(Cat(self.reduce, self.halt, self.kill)),
        ]
        now = holder.value
        raised = now.as_value() < before.as_value()
        by_keys = armed & key & (given == REARM_KEYS[1]) & ended & ~loads & (now == TradingState.HALTED)
        m.d.comb += [
            Assert(~(begun & raised & (before == TradingState.KILLED)) | by_keys),
            Assert(~(begun & raised & (before != TradingState.KILLED)) | (loads & (now == wanted)) | lowered.any()),
            Assert(~(begun & lowered[2]) | (now == TradingState.KILLED)),
            Assert(~(begun & lowered[1]) | (now.as_value() >= TradingState.HALTED.value)),
            Assert(~(begun & lowered[0]) | (now.as_value() >= TradingState.REDUCE_ONLY.value)),
            Assert(~(begun & holder.rearming & ~armed) | (key & (given == REARM_KEYS[0]))),
        ]
        return m


def test_killed_is_left_by_the_keys_only() -> None:
    assert judge(HolderProof(TradingStateHolder), depth=3) == "PASS"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("with m.If(~killed):", "with m.If(1):"),
        ("& self.ended & killed", "& killed"),
        ("self.kill,\n                TradingState.KILLED", "self.kill,\n                TradingState.HALTED"),
    ],
)
@pytest.mark.soak(one_in=3)
def test_the_holder_proof_finds_a_fault(old: str, new: str) -> None:
    assert judge(HolderProof(mutant(TradingStateHolder, old, new)), depth=6, mode="bmc") == "FAIL"


class LossProof(wiring.Component):
    """Watches the loss limit: what sets it, and that nothing but the host resets it."""

    def __init__(self, limit: Any):
        self.limit = limit(bits=LOSS_BITS + 4)
        super().__init__({name: member for name, member in self.limit.signature.members.items() if member.flow is In})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        out_of_reset(m)
        m.submodules.limit = limit = self.limit
        m.d.comb += [getattr(limit, name).eq(getattr(self, name)) for name in self.signature.members]
        lost, reached, rearm, begun = Signal(2), Signal(), Signal(), Signal(2)
        m.d.sync += [
            lost.eq(Cat(self.valid & (-self.pnl > self.max_loss), lost)),
            begun.eq(Cat(1, begun)),
            reached.eq(limit.reached),
            rearm.eq(self.rearm),
        ]
        m.d.comb += [
            Assert(~(begun[1] & lost[1]) | limit.reached),
            Assert(~(begun[1] & reached & ~limit.reached) | (rearm & ~lost[1])),
        ]
        return m


def test_a_loss_is_latched_until_it_is_rearmed() -> None:
    assert judge(LossProof(LossLimit), depth=4) == "PASS"


@pytest.mark.parametrize(("old", "new"), [("with m.Elif(self.rearm)", "with m.Else()"), ("< 0", "< -1")])
@pytest.mark.soak(one_in=3)
def test_the_loss_proof_finds_a_fault(old: str, new: str) -> None:
    assert judge(LossProof(mutant(LossLimit, old, new)), depth=6, mode="bmc") == "FAIL"


class RecentProof(wiring.Component):
    """Watches `RecentOrders`, with its memory: nothing that is the same as its slot's last order passes within the window."""

    def __init__(self, recent: Any):
        self.recent = recent(geometry=GEOMETRY)
        orders = self.recent.asked.shape()
        super().__init__({"taken": In(1), "orders": In(orders), "alone": In(1), "sent": In(1), "window": In(4)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        out_of_reset(m)
        m.submodules.recent = recent = self.recent
        constant(m, self.window, "window")
        story = Signal(RecentOrders.VERDICT + 1)
        asked, single, clock = Signal(self.orders.shape()), Signal(), Signal(8)
        m.d.sync += [story.eq(story << 1), clock.eq(clock + 1)]
        # As the gate asks: one request at a time, unchanged behind the clock in which it is taken.
        taken = self.taken & ~story[: RecentOrders.VERDICT].any()
        sent = self.sent & story[RecentOrders.VERDICT - 1] & (single | (asked[0].slot != asked[1].slot))
        with m.If(taken):
            m.d.sync += [story[0].eq(1), single.eq(self.alone)]
            # A few values are all it takes to differ, and the solver's time grows with them.
            for order, given in zip(asked, self.orders, strict=True):
                m.d.sync += [order.slot.eq(given.slot), order.side.eq(given.side)]
                m.d.sync += [order.price.eq(given.price[:2]), order.quantity.eq(given.quantity[:2])]
        m.d.comb += [recent.taken.eq(taken), recent.asked.eq(asked), recent.single.eq(single), recent.sent.eq(sent)]
        m.d.comb += recent.duplicate_window.eq(self.window)

        last = [Signal(asked[0].shape(), name=f"last_{slot}") for slot in range(2)]
        known, left_at = Signal(2), Signal(data.ArrayLayout(8, 2))
        for slot in range(2):
            for order, leaves in zip(asked, (sent, sent & ~single), strict=True):
                with m.If(leaves & (order.slot == slot)):
                    m.d.sync += [last[slot].eq(order), known[slot].eq(1), left_at[slot].eq(clock)]
        for leg, order in enumerate(asked):
            before, age = Array(last)[order.slot], Signal(8, name=f"age_{leg}")
            same = known.bit_select(order.slot, 1) & (before.as_value() == order.as_value())
            # One clock before the verdict.
            m.d.comb += age.eq(clock + 1 - Array(left_at)[order.slot])
            duplicate = same & (age < self.window)
            absent = single if leg else Const(0)
            m.d.comb += Assert(~story[RecentOrders.LATENCY - 1] | absent | (recent.duplicate[leg] == duplicate))
        return m


SECOND_ANSWER = 2 * RecentOrders.VERDICT + 2
"""Clocks in which a second request has its answer."""


def test_the_last_order_of_each_slot_is_known() -> None:
    """Two requests, from power-up on, whatever they are."""
    assert judge(RecentProof(RecentOrders), depth=SECOND_ANSWER, mode="bmc") == "PASS"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("age < self.duplicate_window", "age <= self.duplicate_window"),
        ("write.addr.eq(Mux(second, orders[1].slot, orders[0].slot))", "write.addr.eq(orders[0].slot)"),
        ("second.eq(self.sent & ~self.single)", "second.eq(self.sent)"),
    ],
)
@pytest.mark.soak(one_in=3)
def test_the_proof_of_last_orders_finds_a_fault(old: str, new: str) -> None:
    assert judge(RecentProof(mutant(RecentOrders, old, new)), depth=SECOND_ANSWER, mode="bmc") == "FAIL"
