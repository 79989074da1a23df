"""XGMII to frames."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import frame_signature
from hdl.mac.crc32 import Crc32
from hdl.spec import xgmii

_HALF = xgmii.LANES // 2


class XgmiiReceiver(wiring.Component):
    """Takes frames off an XGMII: finds the start character in either of its lanes, checks the frame check sequence.

    A start without preamble and delimiter behind it gives nothing. Every frame begun ends with ``last``; one that ends with
    anything but the terminate character is bad. One without a byte gives nothing.

    Members
    -------
    rxd, rxc : In(64), In(8)
        XGMII, from registers of this clock; lane 0 is least significant.
    frame : Out(frame_signature(8))
        Bytes from destination address to last byte of the check sequence; ``error`` with ``last`` where the sequence is wrong or
        an error character came.

    Latency: 6 cycles from a byte on ``rxd`` to its beat on ``frame``; half a cycle less for frames that start in lane 4.
    Overload: none, the output cannot wait.
    Source: IEEE 802.3-2022 clauses 3, 4 and 46.
    """

    LATENCY = 6

    def __init__(self) -> None:
        super().__init__(
            {"rxd": In(8 * xgmii.LANES), "rxc": In(xgmii.LANES), "frame": Out(frame_signature(xgmii.LANES))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = self._align(m)
        held = self._delimit(m, word)
        self._check(m, held)
        return m

    def _align(self, m: Module) -> data.View:
        """Words whose lane 0 is the lane the last frame started in."""
        layout = data.StructLayout({"data": data.ArrayLayout(8, xgmii.LANES), "control": xgmii.LANES})
        before, word = Signal(layout), Signal(layout)
        shifted = Signal()
        for lane in xgmii.START_LANES:
            with m.If(self.rxc[lane] & (self.rxd.word_select(lane, 8) == xgmii.START)):
                m.d.sync += shifted.eq(lane != 0)
        straddling = [
            Cat(Value.cast(before.data)[8 * _HALF :], self.rxd[: 8 * _HALF]),
            Cat(before.control[_HALF:], self.rxc[:_HALF]),
        ]
        m.d.sync += [
            Value.cast(before.data).eq(self.rxd),
            before.control.eq(self.rxc),
            Value.cast(word.data).eq(Mux(shifted, straddling[0], Value.cast(before.data))),
            word.control.eq(Mux(shifted, straddling[1], before.control)),
        ]
        return word

    def _delimit(self, m: Module, word: data.View) -> data.View:
        """Words of frames with their count, `last` known: a word waits until the next one shows whether the frame goes on."""
        opens = (Value.cast(word.data) == int.from_bytes(xgmii.OPENING, "little")) & (word.control == 1)
        count, fine = Signal(range(xgmii.LANES + 1)), Signal()
        m.d.comb += count.eq(xgmii.LANES)
        for lane in reversed(range(xgmii.LANES)):
            with m.If(word.control[lane]):
                m.d.comb += [count.eq(lane), fine.eq(word.data[lane] == xgmii.TERMINATE)]
        ends = word.control.any()

        layout = data.StructLayout(
            {"valid": 1, "data": data.ArrayLayout(8, xgmii.LANES), "count": count.shape(), "first": 1, "last": 1, "bad": 1}
        )
        waiting, given = Signal(layout), Signal(layout)
        inside, first = Signal(), Signal()
        m.d.sync += [given.eq(waiting), waiting.valid.eq(0)]
        with m.If(inside):
            m.d.sync += [
                waiting.valid.eq(count != 0),
                waiting.data.eq(word.data),
                waiting.count.eq(count),
                waiting.first.eq(first),
                waiting.last.eq(ends),
                waiting.bad.eq(ends & ~fine),
                first.eq(0),
            ]
            with m.If(ends):
                m.d.sync += inside.eq(0)
            with m.If(ends & (count == 0)):
                m.d.sync += [given.last.eq(1), given.bad.eq(~fine)]
        with m.If(opens):
            m.d.sync += [inside.eq(1), first.eq(1)]
        return given

    def _check(self, m: Module, given: data.View) -> None:
        """The word, one clock later beside the sequence of all up to it."""
        m.submodules.crc = check = Crc32(width=xgmii.LANES)
        m.d.comb += [
            check.bytes.eq(given.data),
            check.count.eq(Mux(given.valid, given.count, 0)),
            check.start.eq(given.valid & given.first),
        ]
        checked = Signal.like(given)
        m.d.sync += checked.eq(given)
        beat = self.frame.payload
        m.d.sync += [
            self.frame.valid.eq(checked.valid),
            beat.data.eq(checked.data),
            beat.count.eq(checked.count),
            beat.first.eq(checked.first),
            beat.last.eq(checked.last),
            beat.error.eq(checked.last & (checked.bad | ~check.match)),
        ]
