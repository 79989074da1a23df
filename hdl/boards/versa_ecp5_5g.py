"""Lattice ECP5-5G Versa board: the appliance behind the pins of its first Ethernet port and its USB serial line."""

from amaranth import Cat, ClockDomain, ClockSignal, Instance, Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth_boards.versa_ecp5_5g import VersaECP55GPlatform

from hdl.boards.byte_link import ByteLink
from hdl.boards.rgmii_port import RgmiiPort

BAUD = 1_000_000
"""Bits a second on the serial line."""

PHY_RESET_CLOCKS = 1 << 20
"""Clocks of the 100 MHz oscillator for which the PHY is held in reset: 10.5 ms."""


class VersaEcp55g(wiring.Component):
    """The whole design for the board: `core` between the pins.

    The data path's clock is the 125 MHz that the first PHY gives from its own crystal; the receive clock is a domain of its own.
    The second Ethernet port stays in reset until the management port is built.

    Nothing is reset: configuration gives every register and memory its first value, and `sync` has no edge before the PHY has
    been brought up. A reset is to be configured anew. A reset net to 20,000 registers took the wires that the data path needs.

    Parameters
    ----------
    core : wiring.Component
        `hdl.appliance.Appliance`, or another component with ``rxd, rx_dv, rx_er, txd, tx_en, tx_er, control, events``.
    """

    def __init__(self, *, core: wiring.Component) -> None:
        self._core = core
        super().__init__({})

    def elaborate(self, platform: VersaECP55GPlatform) -> Module:
        m = Module()
        m.submodules.core = core = self._core
        phy_reset = self._clocks(m, platform)

        m.submodules.port = port = RgmiiPort(pins=self._rgmii(m, platform, phy_reset))
        m.d.comb += [
            Cat(core.rxd, core.rx_dv, core.rx_er).eq(port.receive),
            port.transmit.eq(Cat(core.txd, core.tx_en, core.tx_er)),
        ]

        uart = platform.request("uart", 0, dir="-")
        m.submodules.uart_rx = uart_rx = io.Buffer("i", uart.rx)
        m.submodules.uart_tx = uart_tx = io.Buffer("o", uart.tx)
        m.submodules.link = link = ByteLink(divisor=125_000_000 // BAUD)
        m.d.comb += [link.rx.eq(uart_rx.i), uart_tx.o.eq(link.tx)]
        wiring.connect(m, link.control, core.control)
        wiring.connect(m, link.events, core.events)
        return m

    def _clocks(self, m: Module, platform: VersaECP55GPlatform) -> Signal:
        """Domains `sync` (125 MHz) and `board` (100 MHz); gives the reset of the PHY, in `board`."""
        m.submodules.clk125 = clk125 = io.Buffer("i", platform.request("eth_clk125", 0, dir="-"))
        m.submodules.clk100 = clk100 = io.Buffer("i", platform.request("clk100", 0, dir="-"))
        for name, clock in (("board", clk100.i), ("phy", clk125.i)):
            m.domains += (domain := ClockDomain(name, reset_less=True))
            m.d.comb += domain.clk.eq(clock)

        count = Signal(range(PHY_RESET_CLOCKS + 1))
        phy_reset = Signal(init=1)
        m.d.board += phy_reset.eq(count != PHY_RESET_CLOCKS)
        with m.If(count != PHY_RESET_CLOCKS):
            m.d.board += count.eq(count + 1)

        m.domains.sync = ClockDomain(reset_less=True)
        running = Signal()
        m.submodules.running = FFSynchronizer(~phy_reset, running, o_domain="phy")
        m.submodules.gate = Instance("DCCA", i_CLKI=ClockSignal("phy"), i_CE=running, o_CLKO=ClockSignal("sync"))
        return phy_reset

    def _rgmii(self, m: Module, platform: VersaECP55GPlatform, phy_reset: Signal):
        """Pins of the first port; resets of both PHYs."""
        first, second = platform.request("eth_rgmii", 0, dir="-"), platform.request("eth_rgmii", 1, dir="-")
        m.submodules.first_reset = first_reset = io.Buffer("o", first.rst)
        m.submodules.second_reset = second_reset = io.Buffer("o", second.rst)
        m.submodules.mdc = mdc = io.Buffer("o", first.mdc)
        m.d.comb += [first_reset.o.eq(phy_reset), second_reset.o.eq(1), mdc.o.eq(0)]
        platform.add_clock_constraint(first.rx_clk.io, 125e6)
        return first
