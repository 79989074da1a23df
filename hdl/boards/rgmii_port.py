"""RGMII pins to GMII bytes, with the input and output cells of the FPGA."""

from amaranth import ClockDomain, ClockSignal, Const, Module
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from hdl.boards.elastic_buffer import ElasticBuffer, GmiiByte


class RgmiiPort(wiring.Component):
    """One 1000BASE-T port: double data rate cells, receive clock domain and `ElasticBuffer`.

    RGMII 2.0: low nibble with the rising edge, high nibble with the falling one; the control wire carries valid with the rising
    edge and valid xor error with the falling one. Both clocks go beside their data without a shift: the PHY of the Versa board
    delays them itself. Only 1 Gbit/s is spoken. The receive clock needs no reset: it begins when the PHY leaves its own.

    Latency: receive 2 clocks of the receive clock in the input cells, then the elastic buffer's; transmit 3 clocks to the pin.

    Parameters
    ----------
    pins : object
        Ports of the platform's RGMII resource, requested with ``dir="-"``: tx_clk, tx_ctl, tx_data, rx_clk, rx_ctl, rx_data.

    Members
    -------
    receive : Out(GmiiByte)
        Bytes from the line, in `sync`.
    transmit : In(GmiiByte)
        Bytes to the line, in `sync`.
    """

    def __init__(self, *, pins) -> None:
        self._pins = pins
        super().__init__({"receive": Out(GmiiByte), "transmit": In(GmiiByte)})

    def elaborate(self, platform) -> Module:
        m = Module()
        pins = self._pins
        m.domains.rx = ClockDomain(local=True, reset_less=True)
        m.submodules.rx_clk = rx_clk = io.Buffer("i", pins.rx_clk)
        m.d.comb += ClockSignal("rx").eq(rx_clk.i)

        m.submodules.rx_ctl = rx_ctl = io.DDRBuffer("i", pins.rx_ctl, i_domain="rx")
        m.submodules.rx_data = rx_data = io.DDRBuffer("i", pins.rx_data, i_domain="rx")
        m.submodules.elastic = elastic = ElasticBuffer(domain="rx")
        # The cells' outputs are registered once more: they sit at the rim of the chip, the buffer does not.
        m.d.rx += [
            elastic.received.data.eq(rx_data.i[0] | (rx_data.i[1] << 4)),
            elastic.received.valid.eq(rx_ctl.i[0]),
            elastic.received.error.eq(rx_ctl.i[0] ^ rx_ctl.i[1]),
        ]
        m.d.comb += self.receive.eq(elastic.given)

        m.submodules.tx_clk = tx_clk = io.DDRBuffer("o", pins.tx_clk, o_domain="sync")
        m.submodules.tx_ctl = tx_ctl = io.DDRBuffer("o", pins.tx_ctl, o_domain="sync")
        m.submodules.tx_data = tx_data = io.DDRBuffer("o", pins.tx_data, o_domain="sync")
        held = GmiiByte(self.transmit)
        m.d.comb += [
            tx_clk.o[0].eq(Const(1)),
            tx_clk.o[1].eq(Const(0)),
            tx_ctl.o[0].eq(held.valid),
            tx_ctl.o[1].eq(held.valid ^ held.error),
            tx_data.o[0].eq(held.data[:4]),
            tx_data.o[1].eq(held.data[4:]),
        ]
        return m
