"""What the host writes never meets what is open: proved by k-induction for every order of orders, reports, reads and rows.

What is assumed: no orders are sent while others are being entered, as the gate keeps it.

A fault has to break that from reset on, in a story of one order, its rejection and reloads.
"""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.risk.ledger import OUTLIVING, Ledger, OrderState
from hdl.spec import ouch
from hdl.spec.geometry import Geometry
from tests.support.proofs import judge, mutant, out_of_reset

GEOMETRY = Geometry(slots=2, pairs=2, open_orders=16)
REPORTED = 3
"""Clock of the report, in the story that is told to find faults."""
LAST = REPORTED + 12
ENDS = (OrderState.FILLED, OrderState.CANCELED, OrderState.REJECTED)


class Harness(wiring.Component):
    """Counts orders by what the ledger tells of them: those it entered, and those that ended."""

    def __init__(self, ledger: Any, *, reach: bool = False, story: bool = False) -> None:
        self.ledger, self.reach, self.story = ledger(geometry=GEOMETRY), reach, story
        super().__init__({name: member for name, member in self.ledger.signature.members.items() if member.flow is In})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        out_of_reset(m)
        m.submodules.ledger = ledger = self.ledger
        for name, member in self.signature.members.items():
            if member.is_port:
                m.d.comb += getattr(ledger, name).eq(getattr(self, name))
            else:
                wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(ledger, name))
        m.d.comb += Assume(~(self.sent.valid & ledger.booking))
        told, state = ledger.booked.payload, ledger.order_state_event
        entered = ledger.booked.valid & told.entered
        ended = Signal()
        # What may be told of an order that has ended says that it has once more.
        again = Cat(state.payload.report == ord(layout.code) for layout in OUTLIVING).any()
        m.d.comb += ended.eq(state.valid & Cat(state.payload.state == each.value for each in ENDS).any() & ~again)
        followed = Signal.like(ledger.live, init=0)
        m.d.sync += followed.eq(followed + entered - ended)
        taken, was_taken = Signal(), Signal()
        m.d.comb += taken.eq(self.reload.valid & self.reload.ready)
        reloads = ledger.booked.valid & told.filled & ~ledger.fill_event.valid
        given = Signal(self.reload.payload.shape())
        m.d.sync += was_taken.eq(taken)
        with m.If(taken):
            m.d.sync += given.eq(self.reload.payload)
        before, changes = Signal(), Signal(32)
        m.d.sync += [before.eq(ledger.booked.valid), changes.eq(ledger.changes)]
        begun, reloaded, whole = Signal(), Signal(), Signal(ledger.exposure[0].shape())
        looks = ledger.looking & (ledger.lookup[0] == given.index)
        m.d.sync += reloaded.eq(reloads)
        m.d.comb += [whole.position.eq(given.row.position), whole.shorts.eq(given.row.shorts)]
        m.d.sync += begun.eq(1)
        m.d.comb += [
            # The count it goes by is that of orders entered and not ended.
            Assert(ledger.live == followed),
            Assert(~taken | ((followed == 0) & ~ledger.booking)),
            # What is told of a row is that row, a clock later and never else; nothing is open then.
            Assert(reloads == was_taken),
            Assert(~reloads | (told.exposure.as_value() == whole.as_value())),
            Assert(~reloads | ((told.cash == given.row.cash) & (told.slot == given.index) & (told.price == given.row.price))),
            # And it is what the gate finds from then on.
            Assert(~(reloaded & looks) | (ledger.exposure[0].as_value() == whole.as_value())),
            # No change is missed by who reads.
            Assert(~begun | (ledger.changes == (changes + before)[:32])),
        ]
        if self.reach:
            m.d.comb += Cover(reloads & (told.cash == 5) & (told.exposure.position == -3))
        if self.story:
            self._tell(m)
        return m

    def _tell(self, m: Module) -> None:
        """When an order and its end come; not how much it is, what is reloaded, nor when the gate looks."""
        clock = Signal(range(LAST + 2))
        m.d.sync += clock.eq(clock + 1)
        m.d.comb += [
            Assume(self.sent.valid == (clock == 0)),
            Assume(self.sent.payload.single & (self.sent.payload.legs[0].user_ref_num == 0)),
            Assume(self.report.valid == (clock == REPORTED)),
            # No product is part of the statement.
            Assume((self.report.payload.price == 0) & (self.reload.payload.row.price == 0)),
            Assume(self.report.payload.type == ord(ouch.REJECTED.code)),
            Assume(self.report.payload.user_ref_num == 0),
            Assume(self.reload.valid == (clock != 0)),
            Assume(~self.inspect.valid),
        ]


def test_nothing_is_reloaded_while_anything_is_open() -> None:
    assert judge(Harness(Ledger), depth=7) == "PASS"


def test_something_is_reloaded() -> None:
    assert judge(Harness(Ledger, reach=True), depth=4, mode="cover") == "PASS"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("quiet & (self.live == 0)", "quiet"),
        ("quiet = ~self.booking & ~queue.r_rdy", "quiet = ~queue.r_rdy"),
        ("                        ended.eq(0),\n", ""),
        ("self.changes + self.booked.valid", "self.changes + self.fill_event.valid"),
    ],
)
@pytest.mark.soak(one_in=3)
def test_the_proof_finds_a_fault(old: str, new: str) -> None:
    assert judge(Harness(mutant(Ledger, old, new), story=True), depth=LAST + 1, mode="bmc", learns=True, flat=True) == "FAIL"
