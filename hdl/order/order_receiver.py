"""The exchange's side of the order session: TCP in order, SoupBinTCP, OUCH."""

from __future__ import annotations

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.order.ouch_decoder import OuchDecoder
from hdl.order.segment_buffer import SegmentBuffer
from hdl.order.soupbintcp_receiver import SoupBinTcpReceiver
from hdl.spec import network
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Drop

SEGMENT_END = data.StructLayout({"ok": 1})


class OrderReceiver(wiring.Component):
    """Turns the segments of the order session into reports.

    A segment is stored until its end tells that it is good, and used only if it begins at `receive_next`; what was kept is one
    stream of bytes, so packets may cross segments as they like. A good segment is

    * pulsed as TCP_HEADER where it has flags other than ACK and PSH, or no ACK: it is not used; RST or FIN lose the session;
    * pulsed as TCP_ORDER where it does not begin at `receive_next`: it is not used, but asks for an acknowledgment;
    * else used: its acknowledgment if it is for bytes sent and not yet acknowledged, its payload, which asks for one.

    Bad segments change nothing.

    Latency: `receive_next` moves two clocks after `segment_end`, the first byte is read five clocks after it, and the report of a
    message of n bytes, alone in its segment, stands 9 + n clocks after it (``width`` 1; up to seven more at 8).
    Throughput: a byte a clock, where beats are full. Overload: at ``width`` 8 the line can be faster. A segment that finds the
    buffer full is not used and not acknowledged (`overflow`), so that the exchange sends it again: nothing is lost.

    Parameters
    ----------
    geometry : Geometry
        Decides the width.
    depth : int
        Bytes of segments waiting, a power of two.

    Members
    -------
    segment : In(stream.Signature(interfaces.beat(width), always_ready=True))
        Payload.
    segment_header : In(interfaces.TcpHeader)
        Header, in the clock of `segment_end`.
    segment_end : In(stream.Signature(SEGMENT_END, always_ready=True))
        The frame's end, after its last beat and before the next one's first.
    load_receive_next : In(stream.Signature(32, always_ready=True))
        Sets `receive_next` and forgets all bytes not yet read: the next one begins a packet.
    receive_next : Out(32)
        Sequence number of the next byte expected.
    load_send_next : In(stream.Signature(32, always_ready=True))
        Sets `send_acknowledged`.
    send_next : In(32)
        Sequence number of the next byte sent.
    send_acknowledged : Out(32)
        All bytes sent before this one were acknowledged.
    acknowledge : Out(1)
        An acknowledgment of `receive_next` is wanted.
    session_lost : Out(1)
        The session ended: RST, FIN, login refused, end of session.
    report : Out(stream.Signature(interfaces.OrderReport, always_ready=True))
        Messages of the exchange.
    overflow : Out(1)
        A segment found no room.
    drop : Out(len(Drop))
        What was not used, by cause.
    """

    def __init__(self, *, geometry: Geometry, depth: int = 4096):
        self._buffer = SegmentBuffer(width=geometry.width, depth=depth)
        super().__init__(
            {
                "segment": In(stream.Signature(interfaces.beat(geometry.width), always_ready=True)),
                "segment_header": In(interfaces.TcpHeader),
                "segment_end": In(stream.Signature(SEGMENT_END, always_ready=True)),
                "load_receive_next": In(stream.Signature(32, always_ready=True)),
                "receive_next": Out(32),
                "load_send_next": In(stream.Signature(32, always_ready=True)),
                "send_next": In(32),
                "send_acknowledged": Out(32),
                "acknowledge": Out(1),
                "session_lost": Out(1),
                "report": Out(stream.Signature(interfaces.OrderReport, always_ready=True)),
                "overflow": Out(1),
                "drop": Out(len(Drop)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        buffer = self._buffer
        soupbintcp = SoupBinTcpReceiver()
        ouch = OuchDecoder()
        anew = ResetInserter(self.load_receive_next.valid)
        m.submodules += [anew(buffer), anew(soupbintcp), anew(ouch)]
        wiring.connect(m, wiring.flipped(self.segment), buffer.segment)
        wiring.connect(m, buffer.octets, soupbintcp.octets)
        wiring.connect(m, soupbintcp.message, ouch.message)
        wiring.connect(m, ouch.report, wiring.flipped(self.report))

        ended = Signal()
        good = Signal()
        flags = Signal.like(self.segment_header.flags)
        acknowledgment = Signal(32)
        in_order = Signal()
        m.d.sync += [
            ended.eq(self.segment_end.valid),
            good.eq(self.segment_end.valid & self.segment_end.p.ok),
            flags.eq(self.segment_header.flags),
            acknowledgment.eq(self.segment_header.acknowledgment),
            in_order.eq(self.segment_header.sequence == self.receive_next),
        ]

        tcp_header = Signal()
        tcp_order = Signal()
        lost = Signal()
        m.d.sync += [
            tcp_header.eq(0),
            tcp_order.eq(0),
            lost.eq(0),
            self.acknowledge.eq(0),
            self.overflow.eq(0),
        ]
        use = Signal()
        m.d.comb += buffer.discard.eq(ended & ~buffer.keep)
        with m.If(good):
            with m.If((flags & ~network.TCP_PSH) != network.TCP_ACK):
                m.d.sync += [tcp_header.eq(1), lost.eq((flags & (network.TCP_RST | network.TCP_FIN)).any())]
            with m.Elif(~in_order):
                m.d.sync += [tcp_order.eq(1), self.acknowledge.eq(1)]
            with m.Else():
                m.d.comb += use.eq(1)
                with m.If(buffer.length != 0):
                    m.d.comb += buffer.keep.eq(buffer.fits)
                    m.d.sync += [self.acknowledge.eq(buffer.fits), self.overflow.eq(~buffer.fits)]

        with m.If(self.load_receive_next.valid):
            m.d.sync += self.receive_next.eq(self.load_receive_next.payload)
        with m.Elif(buffer.keep):
            m.d.sync += self.receive_next.eq(self.receive_next + buffer.length)
        self._acknowledged(m, use, acknowledgment)

        m.d.comb += [
            self.session_lost.eq(lost | soupbintcp.session_lost),
            self.drop.eq(soupbintcp.drop | ouch.drop),
            self.drop[Drop.TCP_HEADER].eq(tcp_header),
            self.drop[Drop.TCP_ORDER].eq(tcp_order),
        ]
        return m

    def _acknowledged(self, m: Module, use: Signal, acknowledgment: Signal) -> None:
        """Move `send_acknowledged`, never back and never past what was sent."""
        candidate = Signal(32)
        forward = Signal(32)
        sent = Signal(32)
        used = Signal(2)
        m.d.sync += used.eq(used << 1 | use)
        with m.If(use):
            m.d.sync += candidate.eq(acknowledgment)
        m.d.sync += [forward.eq(candidate - self.send_acknowledged), sent.eq(self.send_next - self.send_acknowledged)]
        with m.If(self.load_send_next.valid):
            m.d.sync += self.send_acknowledged.eq(self.load_send_next.payload)
        with m.Elif(used[1] & (forward <= sent)):
            m.d.sync += self.send_acknowledged.eq(candidate)
