"""`sim.twin.timing` against the gateware, at both widths."""

from __future__ import annotations

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import SimulatorContext

from hdl import interfaces
from hdl.mac.gmii_transmitter import GmiiTransmitter
from hdl.mac.xgmii_transmitter import XgmiiTransmitter
from hdl.order.order_transmitter import OrderTransmitter
from hdl.order.segment_template import Form
from hdl.spec import soupbintcp
from hdl.spec.geometry import Geometry
from sim.card import SimulatedCard
from sim.twin.timing import Timing
from sim.twin.trade.gate import ACKNOWLEDGE_DELAY
from tests.support.desk import Desk
from tests.support.geometries import GEOMETRIES
from tests.support.simulation import simulate
from tests.system.test_switches import exchange

DELAY = 300
"""Clocks an acknowledgment waits: longer than any frame is."""


class Outgoing(wiring.Component):
    """`OrderTransmitter` and the MAC behind it."""

    def __init__(self, *, width: int) -> None:
        self._geometry = geometry = Geometry(width=width, slots=2, pairs=2)
        order = stream.Signature(interfaces.order_pair(geometry), always_ready=True)
        super().__init__({"order": In(order), "cancel": In(stream.Signature(32)), "acknowledge": In(1), "ready": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.orders = orders = OrderTransmitter(geometry=self._geometry, acknowledge_delay=DELAY)
        m.submodules.mac = mac = GmiiTransmitter() if self._geometry.width == 1 else XgmiiTransmitter()
        connect(m, flipped(self.order), orders.order)
        connect(m, flipped(self.cancel), orders.cancel)
        connect(m, orders.frame, mac.frame)
        m.d.comb += [
            orders.mac_idle.eq(mac.idle), orders.acknowledge.eq(self.acknowledge), self.ready.eq(orders.ready),
        ]  # fmt: skip
        return m


@pytest.mark.parametrize("width", [1, 8])
def test_the_transmitter_is_busy_as_long_as_stated(width: int) -> None:
    card, found = Outgoing(width=width), {}

    async def bench(ctx: SimulatorContext) -> None:
        asks = {Form.BARE: card.acknowledge, Form.CANCEL: card.cancel.valid}
        for form in Form:
            ctx.set(card.order.p.single, form == Form.SINGLE)
            asked, clocks = asks.get(form, card.order.valid), 0
            ctx.set(asked, 1)
            while not clocks or not ctx.get(card.ready):
                # A cancel is taken with the end of its frame.
                done = ctx.get(card.cancel.ready) or form != Form.CANCEL
                await ctx.tick()
                clocks += 1 if clocks or not ctx.get(card.ready) else 0
                if done:
                    ctx.set(asked, 0)
            found[form] = clocks

    simulate(card, bench)
    assert found == {form: Timing(width).busy(form) for form in Form}


@pytest.mark.parametrize("preset", ["versa", "versa_10g"])
def test_an_acknowledgment_leaves_when_stated(preset: str) -> None:
    """Of a segment that brings no report, with nothing else to carry it."""
    with SimulatedCard(GEOMETRIES[preset]) as card:
        far = exchange(Desk(card))
        card.received_at()
        card.send(far.send(soupbintcp.HEADER.pack(packet_length=1, packet_type=soupbintcp.SERVER_HEARTBEAT)))
        card.run(10_000)
        [(_, _, last)], [frame] = card.received_at().tolist(), card.frames()
        wish = last + Timing(card.geometry.width).acknowledge
        # A clock from the start to the first beat.
        assert frame.start_cycle == wish + ACKNOWLEDGE_DELAY + 1
