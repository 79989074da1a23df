"""SoupBinTCP packets from the exchange."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.spec import soupbintcp
from hdl.spec.reasons import Drop

_IGNORED = (soupbintcp.DEBUG, soupbintcp.LOGIN_ACCEPTED, soupbintcp.SERVER_HEARTBEAT)
_ENDS = (soupbintcp.LOGIN_REJECTED, soupbintcp.END_OF_SESSION)


def is_one_of(value: Signal, codes: tuple[str, ...]):
    """Whether a byte is one of some characters."""
    return Cat(value == ord(code) for code in codes).any()


class SoupBinTcpReceiver(wiring.Component):
    """Takes the byte stream of the session apart into packets and gives the messages of the sequenced ones.

    Every packet is passed over by its length, whatever its type: only a packet of sequenced data gives a message. Packets of
    unknown type, and those of length 0, which have none, are pulsed as SOUP_TYPE, sequenced ones without a message as OUCH_TYPE.

    Latency: none, a byte of a message stands at `message` in the clock it came. Takes a byte every clock.
    Source: SoupBinTCP 3.00.

    Members
    -------
    octets : In(stream.Signature(8, always_ready=True))
        The exchange's bytes in order; the first one after reset begins a packet.
    message : Out(stream.Signature(interfaces.beat(1), always_ready=True))
        Payload of sequenced packets.
    session_lost : Out(1)
        The exchange refused the login or ended the session.
    drop : Out(len(Drop))
        Packets not used, by cause.
    """

    octets: In(stream.Signature(8, always_ready=True))
    message: Out(stream.Signature(interfaces.beat(1), always_ready=True))
    session_lost: Out(1)
    drop: Out(len(Drop))

    def elaborate(self, platform) -> Module:
        m = Module()
        left = Signal(16)
        sequenced = Signal()
        first = Signal()
        octet = self.octets.payload
        m.d.comb += [
            self.message.p.data[0].eq(octet),
            self.message.p.count.eq(1),
            self.message.p.first.eq(first),
            self.message.p.last.eq(left == 1),
        ]
        with m.If(self.octets.valid):
            with m.FSM():
                with m.State("LENGTH_HIGH"):
                    m.d.sync += left[8:].eq(octet)
                    m.next = "LENGTH_LOW"
                with m.State("LENGTH_LOW"):
                    m.d.sync += left[:8].eq(octet)
                    m.next = "TYPE"
                    with m.If((left[8:] == 0) & (octet == 0)):
                        m.d.comb += self.drop[Drop.SOUP_TYPE].eq(1)
                        m.next = "LENGTH_HIGH"
                with m.State("TYPE"):
                    sequenced_now = octet == ord(soupbintcp.SEQUENCED_DATA)
                    m.d.comb += self.session_lost.eq(is_one_of(octet, _ENDS))
                    m.d.comb += self.drop[Drop.SOUP_TYPE].eq(~(sequenced_now | is_one_of(octet, _ENDS + _IGNORED)))
                    m.d.sync += [left.eq(left - 1), sequenced.eq(sequenced_now), first.eq(1)]
                    m.next = "PAYLOAD"
                    with m.If(left == 1):
                        m.d.comb += self.drop[Drop.OUCH_TYPE].eq(sequenced_now)
                        m.next = "LENGTH_HIGH"
                with m.State("PAYLOAD"):
                    m.d.comb += self.message.valid.eq(sequenced)
                    m.d.sync += [left.eq(left - 1), first.eq(0)]
                    with m.If(left == 1):
                        m.next = "LENGTH_HIGH"
        return m
