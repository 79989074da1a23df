"""OUCH messages from the exchange."""

from collections import defaultdict

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.spec import ouch
from hdl.spec.layout import Layout
from hdl.spec.reasons import Drop

_BOOKED = (
    ouch.ORDER_ACCEPTED,
    ouch.ORDER_EXECUTED,
    ouch.ORDER_CANCELED,
    ouch.REJECTED,
    ouch.AIQ_CANCELED,
    ouch.BROKEN_TRADE,
    ouch.ORDER_RESTATED,
)
_ALWAYS = "user_ref_num"
_MEMBERS = [name for name in data.Layout.cast(interfaces.OrderReport).members if name != "type"]
_LONGEST = max(layout.size for layout in ouch.OUTBOUND.values())


def _sources(member: str) -> dict[range, list[Layout]]:
    """Where in which messages the bytes of a member of the report stand."""
    places = defaultdict(list)
    for layout in ouch.OUTBOUND.values() if member == _ALWAYS else _BOOKED:
        name = ouch.OTHER_NAMES.get((layout.name, member), member)
        if name in layout:
            start = layout.offset(name)
            places[range(start, start + layout.by_name[name].size)].append(layout)
    return places


class OuchDecoder(wiring.Component):
    """Reads the fields the ledger books out of each message, byte by byte.

    Fields are shifted into the report as their bytes come by; a field wider than its member keeps the low end. Only Accepted,
    Executed, Canceled, AIQ Canceled, Broken Trade, Rejected and Restated give more than type and user_ref_num, and messages
    without a user_ref_num (System Event, Account Query Response) only their type. A message may be longer than its fixed part:
    what follows is options, which are not read. One of unknown type, or shorter than its fixed part, is pulsed as OUCH_TYPE.

    Latency: `report` two clocks after the last byte. Takes a byte every clock.
    Source: OUCH 5.0, outbound messages.

    Members
    -------
    message : In(stream.Signature(interfaces.beat(1), always_ready=True))
        One message from ``first`` to ``last``.
    report : Out(stream.Signature(interfaces.OrderReport, always_ready=True))
        What it says.
    drop : Out(len(Drop))
        Messages not used.
    """

    message: In(stream.Signature(interfaces.beat(1), always_ready=True))
    report: Out(stream.Signature(interfaces.OrderReport, always_ready=True))
    drop: Out(len(Drop))

    def elaborate(self, platform) -> Module:
        m = Module()
        report = self.report.payload
        beat = Signal(interfaces.beat(1))
        given = Signal()
        position = Signal(range(_LONGEST + 1))
        kind = Signal(8)
        octet = beat.data[0]
        m.d.sync += given.eq(self.message.valid)
        with m.If(self.message.valid):
            m.d.sync += [
                beat.eq(self.message.payload),
                position.eq(Mux(self.message.p.first, 0, position + (position != _LONGEST))),
            ]
            with m.If(self.message.p.first):
                m.d.sync += kind.eq(self.message.p.data[0])

        selected = {layout.code: Signal(name=f"is_{layout.name}") for layout in ouch.OUTBOUND.values()}
        m.d.comb += [signal.eq(kind == ord(code)) for code, signal in selected.items()]
        whole = Cat(selected[code] & (position >= layout.size - 1) for code, layout in ouch.OUTBOUND.items()).any()

        m.d.sync += [self.report.valid.eq(0), self.drop[Drop.OUCH_TYPE].eq(0)]
        with m.If(given):
            with m.If(beat.first):
                m.d.sync += [report.eq(0), report.type.eq(octet)]
            for member in _MEMBERS:
                register = report[member]
                for place, layouts in _sources(member).items():
                    of_type = Cat(selected[layout.code] for layout in layouts).any()
                    with m.If(of_type & (position >= place.start) & (position < place.stop)):
                        m.d.sync += register.eq(Cat(octet, register))
            with m.If(beat.last):
                m.d.sync += [self.report.valid.eq(whole), self.drop[Drop.OUCH_TYPE].eq(~whole)]
        return m
