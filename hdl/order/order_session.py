"""The order session as one piece: orders and acknowledgments out, reports in."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.order.order_receiver import OrderReceiver
from hdl.order.order_transmitter import OrderTransmitter
from hdl.spec.geometry import Geometry


class OrderSession(wiring.Component):
    """`OrderTransmitter` and `OrderReceiver` of one TCP connection.

    The receive window announced is what the receiver can store. Latencies, overload and sources are those of the two parts.

    Parameters
    ----------
    geometry : Geometry
        Decides width, slots and pairs.
    acknowledge_delay : int
        Clocks an acknowledgment waits for an order to carry it.
    depth : int
        Bytes of received segments waiting, a power of two.

    Members
    -------
    segment, segment_header, segment_end, load_receive_next, report, send_acknowledged, session_lost, overflow, drop
        Of `OrderReceiver`.
    order, cancel, hold_cancels, reserve, ready, order_lost, symbols, local_mac, peer_mac, local_address, peer_address,
    local_port, peer_port, mac_idle, now, frame, sent_event, cancel_event, frames_sent
        Of `OrderTransmitter`.
    load_send_next : In(stream.Signature(32, always_ready=True))
        Sets `send_next` and `send_acknowledged`.
    send_next, receive_next : Out(32)
        TCP sequence numbers of the next byte sent and expected.
    """

    def __init__(self, *, geometry: Geometry, acknowledge_delay: int = 8192, depth: int = 4096):
        self._transmitter = OrderTransmitter(geometry=geometry, acknowledge_delay=acknowledge_delay, window=depth)
        self._receiver = OrderReceiver(geometry=geometry, depth=depth)
        # A number one part gives and the other takes stays visible; `acknowledge` concerns nobody else.
        members = dict(self._receiver.signature.members) | dict(self._transmitter.signature.members)
        members["receive_next"] = Out(32)
        del members["acknowledge"]
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.transmitter = transmitter = self._transmitter
        m.submodules.receiver = receiver = self._receiver
        m.d.comb += [
            transmitter.acknowledge.eq(receiver.acknowledge),
            transmitter.receive_next.eq(receiver.receive_next),
            receiver.send_next.eq(transmitter.send_next),
        ]
        inside = {"acknowledge", (transmitter, "receive_next"), (receiver, "send_next")}
        for part in (transmitter, receiver):
            for name, member in part.signature.members.items():
                if name in inside or (part, name) in inside:
                    continue
                inner, outer = getattr(part, name), getattr(self, name)
                if member.is_signature:
                    wiring.connect(m, inner, wiring.flipped(outer))
                elif member.flow is In:
                    m.d.comb += inner.eq(outer)
                else:
                    m.d.comb += outer.eq(inner)
        return m
