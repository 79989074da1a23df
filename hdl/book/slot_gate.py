"""The slot that the host gives its orders anew."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.flags import one_hot
from hdl.interfaces import decoded
from hdl.spec.geometry import Geometry
from hdl.spec.injection import NO_SLOT, Mark
from hdl.spec.reasons import Drop


class SlotGate(wiring.Component):
    """Keeps which slot is detached, and what an `ATTACH` must have reached: it looks on between decoder and book.

    Between a `DETACH` and its `ATTACH` the decoder passes the slot's messages over, also the malformed and those that may be its
    own. ``latest`` is the number of the last of them, or until the first one that of the last message before the `DETACH`: where
    the host has given the slot all up to it, nothing is missing. Commands and messages of the feed come in one order here, so no
    message falls between a judgement and its effect.

    If something of what the host gives is lost on the way, the slot can no longer be attached, only be detached anew.

    Parameters
    ----------
    geometry : Geometry
        Decides the number of slots.

    Members
    -------
    decoded : In(stream.Signature(decoded(geometry), always_ready=True))
        Every message.
    lost : In(1)
        Something the host wrote with a mark may have been lost.
    clear : In(1)
        Nothing is detached any more.
    detached : Out(slots)
        The slot that is detached, one bit.
    slot : Out(16)
        Its number, `NO_SLOT` where none is.
    latest : Out(64)
        Number an `ATTACH` must have at least; all ones where something was lost.
    drop : Out(len(Drop))
        Pulses PRIVATE_REFUSED, DETACH_REFUSED, ATTACH_REFUSED, a clock after the message.

    Latency: 1 clock from a command to `detached`. Nothing can wait here.
    Source: DESIGN section 5; decision 11.
    """

    def __init__(self, *, geometry: Geometry) -> None:
        self._geometry = geometry
        super().__init__(
            {
                "decoded": In(stream.Signature(decoded(geometry), always_ready=True)),
                "lost": In(1),
                "clear": In(1),
                "detached": Out(geometry.slots),
                "slot": Out(16, init=NO_SLOT),
                "latest": Out(64),
                "drop": Out(len(Drop)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        message, slots = self.decoded.payload, self._geometry.slots
        marks = (Mark.PRIVATE, Mark.DETACH, Mark.ATTACH)
        private, detach, attach = (self.decoded.valid & (message.mark == mark) for mark in marks)
        taken, detached = message.for_book, Signal()
        bit = one_hot(m, message.slot, slots, 1)
        with m.If(self.clear | (attach & taken)):
            m.d.sync += [detached.eq(0), self.detached.eq(0)]
        with m.Elif(detach & taken):
            m.d.sync += [detached.eq(1), self.detached.eq(bit)]
        slot, lost, latest = Signal(self._geometry.slot_bits), Signal(), Signal(64)
        with m.If(detach & taken):
            m.d.sync += [slot.eq(message.slot), lost.eq(0)]
        with m.If(self.lost | (private & ~taken)):
            m.d.sync += lost.eq(1)
        with m.If(self.decoded.valid & (message.mark == Mark.LINE) & (message.passed | ~detached)):
            m.d.sync += latest.eq(message.sequence)
        m.d.comb += [self.slot.eq(Mux(detached, slot, NO_SLOT)), self.latest.eq(latest | lost.replicate(64))]
        m.d.sync += [
            self.drop.eq(0),
            self.drop[Drop.PRIVATE_REFUSED].eq(private & ~taken),
            self.drop[Drop.DETACH_REFUSED].eq(detach & ~taken),
            self.drop[Drop.ATTACH_REFUSED].eq(attach & ~taken),
        ]
        return m
