"""GMII to frames."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import crc, wiring
from amaranth.lib.crc.catalog import CRC32_ETHERNET
from amaranth.lib.wiring import In, Out

from hdl.interfaces import frame_signature
from hdl.spec import network


class GmiiReceiver(wiring.Component):
    """Takes frames off a GMII: hunts for the start delimiter, checks the frame check sequence.

    A carrier event without a start delimiter gives nothing. Every frame begun ends with ``last``, whatever its length.

    Members
    -------
    rxd, rx_dv, rx_er : In(8), In(1), In(1)
        GMII, from registers of this clock.
    frame : Out(frame_signature(1))
        Bytes from destination address to last byte of the check sequence; ``error`` with ``last`` where the sequence is wrong or
        rx_er was seen.

    Latency: a byte on ``rxd`` is on ``frame`` one cycle later (the look-ahead that ``last`` needs).
    Overload: none, the output cannot wait.
    Source: IEEE 802.3-2022 clauses 3, 4 and 35.
    """

    def __init__(self) -> None:
        super().__init__({"rxd": In(8), "rx_dv": In(1), "rx_er": In(1), "frame": Out(frame_signature(1))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = check = crc.Processor(CRC32_ETHERNET(data_width=8))
        hunting, inside, first, flagged = Signal(init=1), Signal(), Signal(), Signal()
        held, held_valid = Signal(8), Signal()
        take = inside & self.rx_dv

        m.d.comb += [check.start.eq(~held_valid), check.data.eq(self.rxd), check.valid.eq(take)]
        m.d.sync += [held.eq(self.rxd), held_valid.eq(take)]
        with m.If(~self.rx_dv):
            m.d.sync += [hunting.eq(1), inside.eq(0), flagged.eq(0)]
        with m.Else():
            m.d.sync += flagged.eq(flagged | self.rx_er)
            with m.If(hunting & (self.rxd == network.PREAMBLE[-1])):
                m.d.sync += [hunting.eq(0), inside.eq(1), first.eq(1)]
        with m.If(held_valid):
            m.d.sync += first.eq(0)

        m.d.comb += [
            self.frame.valid.eq(held_valid),
            self.frame.payload.data[0].eq(held),
            self.frame.payload.count.eq(1),
            self.frame.payload.first.eq(first),
            self.frame.payload.last.eq(~self.rx_dv),
            self.frame.payload.error.eq(flagged | ~check.match_detected),
        ]
        return m
