"""The appliance behind an Ethernet PHY."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.control.register_file import ControlBus
from hdl.datapath import DataPath, EventPort
from hdl.mac.gmii_receiver import GmiiReceiver
from hdl.mac.gmii_transmitter import GmiiTransmitter
from hdl.mac.xgmii_receiver import XgmiiReceiver
from hdl.mac.xgmii_transmitter import XgmiiTransmitter
from hdl.spec import xgmii
from hdl.spec.geometry import Geometry


class Probe(wiring.Signature):
    """Where latency is measured from outside: the MAC's receive output and transmit input.

    Members
    -------
    rx_valid, rx_first, rx_last : Out(1)
        A byte stands at the receive output; it is the first, the last of its frame.
    tx_valid, tx_first : Out(1)
        A byte of a frame is offered to the transmitter; it is the frame's first, in the first clock it is offered (SOF).
    now : Out(32)
        Clock count the card stamps with.
    """

    def __init__(self) -> None:
        super().__init__(
            {"rx_valid": Out(1), "rx_first": Out(1), "rx_last": Out(1), "tx_valid": Out(1), "tx_first": Out(1), "now": Out(32)}
        )


_GMII = {"rxd": In(8), "rx_dv": In(1), "rx_er": In(1), "txd": Out(8), "tx_en": Out(1), "tx_er": Out(1)}
_XGMII = {"rxd": In(8 * xgmii.LANES), "rxc": In(xgmii.LANES), "txd": Out(8 * xgmii.LANES), "txc": Out(xgmii.LANES)}


class Appliance(wiring.Component):
    """`DataPath` between the MACs of a port: GMII where a beat is one byte (125 MHz), XGMII where it is eight (156.25 MHz).

    Parameters
    ----------
    geometry : Geometry
        Capacities and width.

    Members
    -------
    rxd, rx_dv, rx_er : In(8), In(1), In(1)
        GMII receive side, in the clock domain `sync`.
    txd, tx_en, tx_er : Out(8), Out(1), Out(1)
        GMII transmit side.
    rxd, rxc, txd, txc : In(64), In(8), Out(64), Out(8)
        XGMII in place of these; lane 0 is least significant.
    control : Out(ControlBus())
        The host's way to the registers.
    events : Out(EventPort())
        Records for the host.
    probe : Out(Probe())
        For measuring from outside.
    """

    def __init__(self, *, geometry: Geometry) -> None:
        self._geometry = geometry
        self._port = _GMII if geometry.width == 1 else _XGMII
        super().__init__(
            {**self._port, "control": Out(ControlBus()), "events": Out(EventPort()), "probe": Out(Probe())}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        receiver, transmitter = (
            (GmiiReceiver(), GmiiTransmitter()) if self._geometry.width == 1 else (XgmiiReceiver(), XgmiiTransmitter())
        )
        m.submodules.receiver = receiver
        m.submodules.transmitter = transmitter
        m.submodules.datapath = datapath = DataPath(geometry=self._geometry)

        connect(m, receiver.frame, datapath.receive)
        connect(m, datapath.transmit, transmitter.frame)
        connect(m, flipped(self.control), datapath.control)
        connect(m, datapath.events, flipped(self.events))
        for name, member in self._port.items():
            if member.flow is In:
                m.d.comb += getattr(receiver, name).eq(getattr(self, name))
            else:
                m.d.comb += getattr(self, name).eq(getattr(transmitter, name))
        m.d.comb += [
            datapath.transmit_idle.eq(transmitter.idle),
            datapath.transmit_fault.eq(transmitter.underrun),
        ]

        offered = Signal()
        m.d.sync += offered.eq(datapath.transmit.valid)
        m.d.comb += [
            self.probe.rx_valid.eq(receiver.frame.valid),
            self.probe.rx_first.eq(receiver.frame.payload.first),
            self.probe.rx_last.eq(receiver.frame.payload.last),
            self.probe.tx_valid.eq(datapath.transmit.valid),
            self.probe.tx_first.eq(datapath.transmit.valid & datapath.transmit.payload.first & ~offered),
            self.probe.now.eq(datapath.now),
        ]
        return m
