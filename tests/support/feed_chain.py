"""The market-data path from frames to fields as one component, with its inner streams to look at."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl import interfaces
from hdl.feed.moldudp64_receiver import MoldUdp64Receiver, message_width
from hdl.feed.resequencer import GAP, Resequencer
from hdl.itch.itch_decoder import ItchDecoder, bind
from hdl.net.frame_filter import FrameFilter
from hdl.net.packet_hold import END, PacketHold
from hdl.spec import itch
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Drop


class FeedChain(wiring.Component):
    """`FrameFilter`, `PacketHold`, `MoldUdp64Receiver`, `Resequencer` and `ItchDecoder` in a row."""

    def __init__(self, *, geometry: Geometry) -> None:
        width = geometry.width
        self.filter = FrameFilter(width=width)
        self.hold_stage = PacketHold(width=width)
        self.mold = MoldUdp64Receiver(width=width)
        self.resequencer = Resequencer(width=width, ring_messages=geometry.ring_messages)
        self.itch = ItchDecoder(geometry=geometry, delay=self.filter.latency + self.mold.latency + self.resequencer.latency)
        super().__init__(
            {
                "frame": In(interfaces.frame_signature(width)),
                "feed_address": In(32),
                "feed_port": In(16),
                "feed_b_address": In(32),
                "feed_b_port": In(16),
                "session": In(80),
                "hold": In(1),
                "gap_wait": In(32),
                "recover": In(1),
                "load": In(stream.Signature(64, always_ready=True)),
                "bind": In(stream.Signature(bind(geometry), always_ready=True)),
                "feed_end": Out(stream.Signature(END, always_ready=True)),
                "message": Out(stream.Signature(interfaces.message_beat(message_width(width)), always_ready=True)),
                "decoded": Out(stream.Signature(interfaces.decoded(geometry), always_ready=True)),
                "gap": Out(stream.Signature(GAP, always_ready=True)),
                "given_up": Out(1),
                "recovered": Out(1),
                "duplicate": Out(3),
                "lost_after_use": Out(1),
                "heartbeat": Out(1),
                "overflow": Out(1),
                "received": Out(1),
                "filter_drop": Out(len(Drop)),
                "mold_drop": Out(len(Drop)),
                "itch_drop": Out(len(Drop)),
                "type_seen": Out(len(itch.MESSAGES)),
                "expected": Out(64),
                "highest": Out(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.filter = self.filter
        m.submodules.hold = self.hold_stage
        m.submodules.mold = self.mold
        m.submodules.resequencer = self.resequencer
        m.submodules.itch = self.itch
        now = Signal(32)
        m.d.sync += now.eq(now + 1)
        connect(m, flipped(self.frame), self.filter.frame)
        connect(m, self.filter.feed, self.hold_stage.i)
        connect(m, self.filter.feed_end, self.hold_stage.i_end)
        connect(m, self.hold_stage.o, self.mold.payload)
        connect(m, self.hold_stage.o_end, self.mold.payload_end)
        connect(m, self.mold.message, self.resequencer.message)
        connect(m, self.mold.packet, self.resequencer.packet)
        connect(m, self.resequencer.o, self.itch.message)
        connect(m, flipped(self.load), self.resequencer.load)
        connect(m, flipped(self.bind), self.itch.bind)
        connect(m, self.itch.decoded, flipped(self.decoded))
        connect(m, self.resequencer.gap, flipped(self.gap))
        m.d.comb += [
            self.filter.feed_address.eq(self.feed_address),
            self.filter.feed_port.eq(self.feed_port),
            self.filter.feed_b_address.eq(self.feed_b_address),
            self.filter.feed_b_port.eq(self.feed_b_port),
            self.hold_stage.hold.eq(self.hold),
            self.mold.session.eq(self.session),
            self.itch.now.eq(now),
            self.feed_end.valid.eq(self.filter.feed_end.valid),
            self.feed_end.payload.eq(self.filter.feed_end.payload),
            self.resequencer.coming.eq(self.mold.coming),
            self.resequencer.line.eq(self.mold.line),
            self.resequencer.busy.eq(self.mold.busy),
            self.resequencer.gap_wait.eq(self.gap_wait),
            self.resequencer.recover.eq(self.recover),
            self.given_up.eq(self.resequencer.given_up),
            self.recovered.eq(self.resequencer.recovered),
            self.duplicate.eq(self.resequencer.duplicate),
            self.highest.eq(self.resequencer.highest),
            self.message.valid.eq(self.resequencer.o.valid),
            self.message.payload.eq(self.resequencer.o.payload),
            self.lost_after_use.eq(self.resequencer.lost_after_use),
            self.heartbeat.eq(self.mold.heartbeat),
            self.overflow.eq(self.hold_stage.overflow),
            self.received.eq(self.filter.received),
            self.filter_drop.eq(self.filter.drop),
            self.mold_drop.eq(self.mold.drop | self.resequencer.drop),
            self.itch_drop.eq(self.itch.drop),
            self.type_seen.eq(self.itch.type_seen),
            self.expected.eq(self.resequencer.expected),
        ]
        return m
