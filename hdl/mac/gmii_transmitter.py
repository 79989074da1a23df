"""Frames to GMII."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import crc, enum, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ETHERNET
from amaranth.lib.wiring import In, Out

from hdl.interfaces import beat
from hdl.spec import network


class _State(enum.Enum, shape=3):
    IDLE = 0
    PREAMBLE = 1
    DATA = 2
    PAD = 3
    CHECK = 4
    DISCARD = 5
    GAP = 6


class GmiiTransmitter(wiring.Component):
    """Puts frames on a GMII: preamble, padding to the minimum, frame check sequence and the gap.

    A source that starves a frame it began cuts it: tx_er is given once, no check sequence follows, the rest of that frame is
    taken and thrown away, and ``underrun`` pulses.

    Members
    -------
    frame : In(stream.Signature(beat(1)))
        Bytes from destination address to the last before the check sequence.
    txd, tx_en, tx_er : Out(8), Out(1), Out(1)
        GMII, registered.
    idle : Out(1)
        A frame offered now begins at once.
    underrun : Out(1)
        Pulse: a frame was cut.

    Latency: from SOF (first cycle ``frame.valid`` is high with ``idle``) 1 cycle to the first preamble byte on ``txd``, 9 to the
    first byte of the frame. A frame occupies the port for 8 + max(length, 60) + 4 + 12 cycles.
    Overload: the source waits.
    Source: IEEE 802.3-2022 clauses 3, 4 and 35.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "frame": In(stream.Signature(beat(1))),
                "txd": Out(8),
                "tx_en": Out(1),
                "tx_er": Out(1),
                "idle": Out(1),
                "underrun": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = check = crc.Processor(CRC32_ETHERNET(data_width=8))
        state = Signal(_State)
        # Counts the bytes of each state; 60 is the most it has to reach.
        count = Signal(range(network.MINIMUM_FRAME + 1))
        byte, enable, error = Signal(8), Signal(), Signal()
        step = Signal(count.shape())
        idle = Signal(init=1)  # beside `state`, for who waits for it decides in the same clock
        preamble, delimiter = network.PREAMBLE[0], network.PREAMBLE[-1]
        data, last = self.frame.payload.data[0], self.frame.payload.last

        m.d.comb += [step.eq(count + 1), self.idle.eq(idle)]
        m.d.comb += check.start.eq((state == _State.IDLE) | (state == _State.PREAMBLE))
        m.d.sync += [self.txd.eq(byte), self.tx_en.eq(enable), self.tx_er.eq(error), self.underrun.eq(0)]

        with m.Switch(state):
            with m.Case(_State.IDLE):
                with m.If(self.frame.valid):
                    m.d.comb += [byte.eq(preamble), enable.eq(1)]
                    m.d.sync += [state.eq(_State.PREAMBLE), count.eq(1), idle.eq(0)]
            with m.Case(_State.PREAMBLE):
                final = step == len(network.PREAMBLE)
                m.d.comb += [byte.eq(Mux(final, delimiter, preamble)), enable.eq(1)]
                m.d.sync += count.eq(step)
                with m.If(final):
                    m.d.sync += [state.eq(_State.DATA), count.eq(0)]
            with m.Case(_State.DATA):
                m.d.comb += [self.frame.ready.eq(1), byte.eq(data), enable.eq(1), check.data.eq(data), check.valid.eq(1)]
                with m.If(count != network.MINIMUM_FRAME):
                    m.d.sync += count.eq(step)
                with m.If(~self.frame.valid):
                    m.d.comb += error.eq(1)
                    m.d.sync += [state.eq(_State.DISCARD), self.underrun.eq(1)]
                with m.Elif(last):
                    with m.If((count == network.MINIMUM_FRAME) | (step == network.MINIMUM_FRAME)):
                        m.d.sync += [state.eq(_State.CHECK), count.eq(0)]
                    with m.Else():
                        m.d.sync += state.eq(_State.PAD)
            with m.Case(_State.PAD):
                m.d.comb += [enable.eq(1), check.valid.eq(1)]
                m.d.sync += count.eq(step)
                with m.If(step == network.MINIMUM_FRAME):
                    m.d.sync += [state.eq(_State.CHECK), count.eq(0)]
            with m.Case(_State.CHECK):
                m.d.comb += [byte.eq(check.crc.word_select(count[:2], 8)), enable.eq(1)]
                m.d.sync += count.eq(step)
                with m.If(step == network.FCS_BYTES):
                    m.d.sync += [state.eq(_State.GAP), count.eq(1)]
            with m.Case(_State.DISCARD):
                m.d.comb += self.frame.ready.eq(1)
                with m.If(self.frame.valid & last):
                    m.d.sync += [state.eq(_State.GAP), count.eq(1)]
            with m.Case(_State.GAP):
                m.d.sync += count.eq(step)
                with m.If(step == network.INTERFRAME_GAP + 1):
                    m.d.sync += [state.eq(_State.IDLE), idle.eq(1)]
        return m
