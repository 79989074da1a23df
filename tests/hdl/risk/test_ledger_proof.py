"""What the ledger tells is square: open shares are those sent less those that ended, position and fills agree, whatever the
exchange reports and whenever.

From power-up on, for as many clocks as an order and a report of it take; cash is not looked at, and the multiplier is left out.
"""

from __future__ import annotations

import sys
from typing import Any
from unittest import mock

import pytest
from amaranth.hdl import Array, Assert, Assume, Cover, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.interfaces import OrderReport, Side
from hdl.risk.ledger import Ledger
from hdl.risk.product import Product
from hdl.spec import ouch
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import OrderState
from tests.support.proofs import judge, mutant, out_of_reset

GEOMETRY = Geometry(slots=2, pairs=2, open_orders=16)
DEPTH = 14
"""An order is entered in 3 clocks, two in 5; a fill is told of 7 clocks after it came."""
FEW = 8
"""Bits of shares that are free: the solver's time grows with them."""


class NoProduct(wiring.Component):
    """In place of `Product`: always 0."""

    def __init__(self, *, a: int, b: int):
        super().__init__(Product(a=a, b=b).signature)

    def elaborate(self, platform: Any) -> Module:
        return Module()


class LedgerProof(wiring.Component):
    """Two orders of one slot and what the ledger tells of them."""

    def __init__(self, ledger: Any):
        with self._without_products(ledger):
            self.ledger = ledger(geometry=GEOMETRY, report_queue=4)
        self._class = ledger
        single = dict.fromkeys(("send", "reports", "single", "looking", "side_a", "side_b"), In(1))
        sizes = dict.fromkeys(("size_a", "size_b", "shares"), In(FEW))
        super().__init__(single | sizes | {"report": In(OrderReport), "first": In(2), "show": In(4)})

    @staticmethod
    def _without_products(ledger: Any) -> Any:
        names = vars(sys.modules[Ledger.__module__]) if ledger is Ledger else ledger.elaborate.__globals__
        return mock.patch.dict(names, {"Product": NoProduct})

    def text(self, run: Any) -> Any:
        with self._without_products(self._class):
            return run()

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        out_of_reset(m)
        m.submodules.ledger = ledger = self.ledger
        given, sent = Signal(), Signal()
        numbers = [self.first + 1, self.first + 2]
        m.d.comb += [
            given.eq(self.send & ~sent),
            ledger.sent.valid.eq(given),
            ledger.sent.payload.single.eq(self.single),
            ledger.show.eq(self.show),
            ledger.looking.eq(self.looking),
            ledger.report.valid.eq(self.reports),
            ledger.report.payload.eq(self.report),
            ledger.report.payload.quantity.eq(self.shares),
        ]
        orders = [(self.size_a, self.side_a), (self.size_b, self.side_b)]
        for leg, number, (size, side) in zip(ledger.sent.payload.legs, numbers, orders, strict=True):
            m.d.comb += [leg.user_ref_num.eq(number), leg.quantity.eq(size), leg.side.eq(side), Assume(size != 0)]

        looked = Signal()
        m.d.sync += looked.eq(self.looking)
        # As gate and receiver do: one order at a time, no look while it is entered or twice in a row, no lost report.
        m.d.comb += [Assume(~(self.looking & (ledger.booking | looked))), Assume(~ledger.alarm[3])]

        # What was sent and what was told of it since.
        open_shares = [Signal(32, name=f"open_{name}") for name in "ab"]
        was = [Signal(32, name=f"was_{name}") for name in "ab"]
        sides, kept = Signal(2), [Signal(32, name=f"number_{name}") for name in "ab"]
        position, entered = Signal(signed(32)), Signal(2)
        with m.If(given):
            m.d.sync += [sent.eq(1), kept[0].eq(numbers[0]), kept[1].eq(numbers[1]), sides.eq((self.side_b << 1) | self.side_a)]
            m.d.sync += [open_shares[0].eq(self.size_a), open_shares[1].eq(Mux(self.single, 0, self.size_b))]
        told, state, fill = ledger.booked, ledger.order_state_event, ledger.fill_event
        with m.If(told.valid & told.p.entered):
            m.d.sync += entered.eq(entered + 1)
        now_open = [Signal(32, name=f"now_open_{name}") for name in "ab"]
        named = Signal(2)
        for index in range(2):
            m.d.comb += [
                named[index].eq(state.valid & (state.p.user_ref_num == kept[index]) & sent),
                now_open[index].eq(Mux(named[index], state.p.open_shares, open_shares[index])),
            ]
            m.d.sync += was[index].eq(open_shares[index])
            with m.If(named[index]):
                m.d.sync += open_shares[index].eq(state.p.open_shares)
            # Nothing opens shares again, and only some reports end any.
            ending = Array(state.p.report == ord(code) for code in sorted(ouch.ENDING))
            m.d.comb += Assert(~named[index] | (state.p.open_shares <= open_shares[index]))
            moves = state.p.open_shares != open_shares[index]
            any_ending = sum(ending[number] for number in range(len(ouch.ENDING))) != 0
            m.d.comb += Assert(~(named[index] & moves) | any_ending)
            ended = state.p.state >= OrderState.FILLED
            m.d.comb += Assert(~named[index] | ((state.p.open_shares == 0) == ended))
        bought = Signal(signed(32))
        back = fill.p.side[2]
        selling = fill.p.side[:2] != 0
        m.d.comb += bought.eq(Mux(fill.valid, Mux(selling ^ back, -fill.p.quantity, fill.p.quantity), 0)[:32].as_signed())
        m.d.sync += position.eq(position + bought)

        def total(side: Side) -> Any:
            return sum(Mux(sides[index] == side.value, now_open[index], 0) for index in range(2))

        # A fill is told a clock behind its order's record; both stand then.
        whole = told.valid & ~told.p.entered
        m.d.comb += [
            Assert(~state.valid | named.any()),
            Assert(~whole | (told.p.exposure.open_buys == total(Side.BUY)[:32])),
            Assert(~whole | (told.p.exposure.open_sells == total(Side.SELL)[:32])),
            Assert(~whole | (told.p.exposure.position == (position + bought)[:32].as_signed())),
            Assert(~whole | (told.p.exposure.orders == sum(each != 0 for each in now_open))),
            # What is shown as open is what was sent and has not ended.
            Assert(
                ~(ledger.shown.valid & ledger.shown.p.open)
                | (sent & sum((ledger.shown.p.user_ref_num == kept[n]) & (was[n] != 0) for n in range(2)).any())
            ),
            Cover(fill.valid),
        ]
        return m


def run(ledger: Any, mode: str) -> str:
    proof = LedgerProof(ledger)
    return proof.text(lambda: judge(proof, depth=DEPTH, mode=mode))


def test_an_order_can_be_filled_in_time() -> None:
    """The proof is not true for want of time."""
    assert run(Ledger, "cover") == "PASS"


def test_open_shares_are_what_was_sent_less_what_ended() -> None:
    assert run(Ledger, "bmc") == "PASS"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("stays = (accepted & live) | noted | broken", "stays = (accepted & live) | broken"),
        ("minus_if(selling ^ back, Mux(traded, ended, 0), 32)", "minus_if(selling ^ back, ended, 32)"),
        ("is_type(ouch.ORDER_CANCELED, ouch.AIQ_CANCELED)", "is_type(ouch.ORDER_CANCELED, ouch.CANCEL_PENDING)"),
        ("shown.eq(idle & ~self.booking)", "shown.eq(1)"),
        ("still.orders.eq(held.orders - all_ends)", "still.orders.eq(held.orders - (all_ends & ~fill))"),
    ],
)
def test_the_proof_finds_a_fault(old: str, new: str) -> None:
    assert run(mutant(Ledger, old, new), "bmc") == "FAIL"
