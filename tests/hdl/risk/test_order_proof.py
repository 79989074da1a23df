"""The open shares of an own order are those sent without those that ended: proved by k-induction, through the ledger's memory,
for any place of it and every order of orders, reports, reads and rows.

What is abstract: the queue gives any report in any clock (that it gives those that came, in their order, is the library's), and
products of quantity and price are arbitrary numbers, as no shares hang on them. What is assumed, as the gate keeps it: no orders
are sent while others are being entered, none is of no shares, and nothing is looked up then, nor twice in a row.

Whether a broken trade can be is not judged here: no open shares move for it.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import OrderReport
from hdl.risk.ledger import NOTED, OUTLIVING, Ledger, OrderState
from hdl.spec import ouch
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Alarm
from tests.support.proofs import constant, judge, mutant, out_of_reset

GEOMETRY = Geometry(slots=2, pairs=2, open_orders=16)
DEPTH = 3
FIRST, SECOND = 4, 9
"""Clocks in which reports come, in the story that is told to see what can be and to find faults."""
REPORT_BITS = OrderReport.as_shape().size


def counts(sent: Any) -> Any:
    """No order that is sent is one of no shares."""
    return (sent.legs[0].quantity != 0) & (sent.single | (sent.legs[1].quantity != 0))


class Given(wiring.Component):
    """A part of the ledger with the ports of another one, whose outputs are whatever comes from outside."""

    def __init__(self, members: dict, given: dict) -> None:
        self._given = given
        super().__init__(members)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += [getattr(self, name).eq(value) for name, value in self._given.items()]
        return m


class OrderProof(wiring.Component):
    """Follows one place of the ledger by what is sent and what is reported, in words of its own."""

    def __init__(self, ledger: Any, *, story: bool = False) -> None:
        self._ledger, self._story = ledger, story
        self._waits, self._next, self._product = Signal(), Signal(REPORT_BITS), Signal(64)
        self.ledger = ledger(geometry=GEOMETRY)
        inputs = {name: member for name, member in self.ledger.signature.members.items() if member.flow is In}
        super().__init__(inputs | {"waits": In(1), "next": In(REPORT_BITS), "room": In(1), "product": In(64), "place": In(4)})

    def text(self, run: Any) -> Any:
        """`run` while the ledger's queue and multiplier are given."""

        def queue(width: int, depth: int) -> Given:
            ports = {"w_data": In(width), "w_en": In(1), "r_en": In(1), "r_data": Out(width), "r_rdy": Out(1), "w_rdy": Out(1)}
            self._queue = Given(ports, {"r_data": self._next, "r_rdy": self._waits, "w_rdy": self.room})
            return self._queue

        def product(a: int, b: int) -> Given:
            return Given({"a": In(a), "b": In(b), "product": Out(a + b)}, {"product": self._product})

        with mock.patch.dict(self._ledger.elaborate.__globals__, {"SyncFIFOBuffered": queue, "Product": product}):
            return run()

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        out_of_reset(m)
        ledger = self.ledger
        m.submodules.ledger = inner = ledger.elaborate(platform)
        for name, member in ledger.signature.members.items():
            if member.flow is In and member.is_port:
                m.d.comb += getattr(ledger, name).eq(getattr(self, name))
            elif member.flow is In:
                wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(ledger, name))
        m.d.comb += [self._waits.eq(self.waits), self._next.eq(self.next), self._product.eq(self.product)]
        constant(m, self.place, "place")
        looked = Signal()
        m.d.sync += looked.eq(ledger.looking)
        legs = self.sent.payload.legs
        m.d.comb += [
            Assume(~(self.sent.valid & ledger.booking)),
            Assume(~self.sent.valid | counts(self.sent.payload)),
            Assume(~(ledger.looking & (looked | ledger.booking))),
        ]

        # What was sent, and of the order of the place how much, and how much of it ended.
        sent = Signal(self.sent.payload.shape())
        with m.If(self.sent.valid):
            m.d.sync += sent.eq(self.sent.payload)
        entered = ledger.booked.valid & ledger.booked.payload.entered
        leg = Signal(legs[0].shape())
        m.d.comb += leg.eq(Mux(ledger.booked.payload.leg, sent.legs[1].as_value(), sent.legs[0].as_value()))
        number, shares, gone = Signal(32), Signal(32), Signal(32)
        # Whether any order was ever in it, whether it is open still, and whether nothing was reported of it.
        known, lives, fresh = Signal(), Signal(), Signal()
        with m.If(entered & (leg.user_ref_num[:4] == self.place)):
            m.d.sync += [known.eq(1), lives.eq(1), fresh.eq(1), number.eq(leg.user_ref_num), shares.eq(leg.quantity), gone.eq(0)]

        # The report at work: whether it is of that order, whether it can be, and how much of it ends by it.
        report, working = Signal(OrderReport), Signal()
        popped = self._queue.r_en & self.waits

        def of(*layouts: Any) -> Any:
            return Cat(report.type == ord(layout.code) for layout in layouts).any()

        rest = shares - gone
        here = report.user_ref_num[:4] == self.place
        mine = here & known & (report.user_ref_num == number)
        dead, live = (report.order_state == ord(code) for code in (ouch.ORDER_STATE_DEAD, ouch.ORDER_STATE_LIVE))
        parts = of(ouch.ORDER_EXECUTED, ouch.ORDER_CANCELED, ouch.AIQ_CANCELED)
        accepts, rejects = of(ouch.ORDER_ACCEPTED), of(ouch.REJECTED)
        broken = of(ouch.BROKEN_TRADE)
        can = mine & (
            (parts & lives & (report.quantity != 0) & (report.quantity <= rest))
            | (accepts & lives & fresh & (report.quantity == rest) & (dead | live))
            | (rejects & lives & fresh)
            | (of(*NOTED) & (lives | of(*OUTLIVING)))
        )
        ends = Signal(32)
        m.d.comb += ends.eq(Mux(parts, report.quantity, Mux(rejects | (accepts & dead), rest, 0)))
        booked = ledger.order_state_event.valid
        alarms = Cat(ledger.alarm[kind] for kind in Alarm if kind != Alarm.REPORT_OVERRUN).any()
        with m.If(popped):
            m.d.sync += [report.eq(self.next), working.eq(1)]
        with m.Elif(booked | alarms):
            m.d.sync += working.eq(0)
        with m.If(booked & here):
            m.d.sync += [gone.eq(gone + ends), fresh.eq(0), lives.eq(lives & (ends != rest))]
        told = ledger.order_state_event.payload
        m.d.comb += [
            # Only what can be is booked, and all else is an alarm, before anything else is done.
            Assert(~(booked & here & ~broken) | can),
            Assert(~(booked & here & broken) | mine),
            Assert(~(alarms & here) | ~can),
            Assert(~(booked & alarms)),
            Assert(~(booked | alarms) | working),
            Assert(~(popped | entered) | ~working | of(ouch.SYSTEM_EVENT)),
            # What is told of it is what remains.
            Assert(~(booked & here) | ((told.open_shares == rest - ends) & (told.user_ref_num == number))),
            # Never less than nothing; what has ended has ended whole.
            Assert(gone <= shares),
            Assert(lives == (known & (gone != shares))),
        ]
        self._stand(m, inner, (known, lives, fresh, number, rest, working), sent, report, here)
        if self._story:
            self._tell(m)
            m.d.comb += Cover(booked & here & of(ouch.ORDER_EXECUTED) & (ends == 3) & (rest == 5))
        return m

    def _tell(self, m: Module) -> None:
        """One story: a single order and two reports, whatever they say, and nothing else."""
        clock = Signal(5)
        m.d.sync += clock.eq(clock + 1)
        none = (self.looking, self.reload.valid, self.inspect.valid)
        m.d.comb += [
            Assume(~Cat(none).any()),
            Assume(self.sent.valid == (clock == 0)),
            Assume(self.sent.payload.single),
            Assume(self.waits == ((clock == FIRST) | (clock == SECOND))),
        ]

    def _stand(self, m: Module, inner: Module, kept: tuple, sent: Any, report: Any, here: Any) -> None:
        """What the induction stands on: the place holds what is known of it, and what was read is what stands there."""
        known, lives, fresh, number, rest, working = kept
        place = inner.submodules.orders.read_port(domain="comb")
        m.d.comb += place.addr.eq(self.place)
        stands = place.data
        # By number: a ledger with a fault has states of its own.
        state = [stands.state.as_value() == each.value for each in (OrderState.FREE, OrderState.SENT, OrderState.LIVE)]
        entering, at_work, row, order = self.ledger._at_work
        at = self.ledger._fsm.ongoing
        judging = Cat(at(step) for step in ("FETCH", "ROW", "JUDGE", "BOOK")).any()
        same = Cat(getattr(at_work, name) == getattr(report, name) for name in ("type", "user_ref_num", "order_state")).all()
        whole = (at_work.quantity == report.quantity) | (report.type == ord(ouch.BROKEN_TRADE.code))
        m.d.comb += [
            Assert(entering.as_value() == sent.as_value()),
            Assert(~(at("ENTER_READ") | at("ENTER_WRITE")) | self.ledger.booking),
            Assert(~self.ledger.booking | counts(sent)),
            Assert(~self.ledger.booking | ~sent.single | ~self.ledger.booked.payload.leg),
            Assert(known == ~state[0]),
            Assert(lives == (state[1] | state[2])),
            Assert((lives & fresh) == state[1]),
            Assert(~known | ((stands.user_ref_num == number) & (stands.open == rest))),
            Assert(~judging | (same & whole & working)),
            Assert(~working | judging | (report.type == ord(ouch.SYSTEM_EVENT.code))),
            Assert(~(at("ROW") & here) | (row.as_value() == stands.as_value())),
            Assert(~((at("JUDGE") | at("BOOK")) & here) | (order.as_value() == stands.as_value())),
        ]


def run(ledger: Any, *, depth: int = DEPTH, mode: str = "prove", story: bool = False) -> str:
    proof = OrderProof(ledger, story=story)
    return proof.text(lambda: judge(proof, depth=depth, mode=mode))


def test_open_shares_are_those_sent_without_those_that_ended() -> None:
    assert run(Ledger) == "PASS"


def test_shares_of_an_order_end() -> None:
    """The statement is not true for want of reports."""
    assert run(Ledger, depth=FIRST + 6, mode="cover", story=True) == "PASS"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(executed | canceled) & (order.open", "executed & (order.open"),
        (") & (order.user_ref_num == report.user_ref_num)", ")"),
        ("Mux(whole, 0, order.open - report.quantity)", "order.open - report.quantity"),
        ("fresh & (report.quantity == order.open)", "(report.quantity == order.open)"),
        ("(whole | (report.quantity == order.open))", "whole"),
        ("good.eq(known_type & ~unknown & ~overfill & possible)", "good.eq(known_type & ~unknown & possible)"),
    ],
)
@pytest.mark.soak(one_in=3)
def test_the_proof_finds_a_fault(old: str, new: str) -> None:
    assert run(mutant(Ledger, old, new), depth=SECOND + 6, mode="bmc", story=True) == "FAIL"
