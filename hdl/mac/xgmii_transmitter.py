"""Frames to XGMII."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import beat
from hdl.mac.crc32 import Crc32
from hdl.spec import network, xgmii

_LANES = xgmii.LANES
_FULL_WORDS, _REST = divmod(network.MINIMUM_FRAME, _LANES)
"""The shortest frame: words that are full, and bytes in the one behind them."""


_WORD = data.StructLayout({"data": 8 * _LANES, "control": _LANES})


def _control(*characters: int) -> data.Const:
    """A word of control characters, the last of them to its end."""
    filled = [*characters, *[characters[-1]] * (_LANES - len(characters))]
    return _WORD.const({"data": int.from_bytes(bytes(filled), "little"), "control": (1 << _LANES) - 1})


_OPENING = _WORD.const({"data": int.from_bytes(xgmii.OPENING, "little"), "control": 1})
_CUT = _control(*[xgmii.ERROR] * (_LANES - 1), xgmii.TERMINATE)


class _State(enum.Enum, shape=3):
    IDLE = 0
    DATA = 1
    PAD = 2
    CLOSE = 3
    REST = 4
    GAP = 5
    CUT = 6
    DISCARD = 7


class XgmiiTransmitter(wiring.Component):
    """Puts frames on an XGMII: start, preamble, padding to the minimum, frame check sequence, terminate and the gap.

    Frames start in lane 0. The gap is never shorter than 12 bytes and up to 7 longer: no deficit is kept count of.

    A source that starves a frame it began cuts it: error characters and the terminate character are given, no check sequence,
    the rest of that frame is taken and thrown away, and ``underrun`` pulses.

    Members
    -------
    frame : In(stream.Signature(beat(8)))
        Bytes from destination address to the last before the check sequence.
    txd, txc : Out(64), Out(8)
        XGMII, registered; lane 0 is least significant.
    idle : Out(1)
        A frame offered now begins at once.
    underrun : Out(1)
        Pulse: a frame was cut.

    Latency: from SOF (first cycle ``frame.valid`` is high with ``idle``) 1 cycle to the start character on ``txd``, 2 to the
    first byte of the frame.
    Overload: the source waits.
    Source: IEEE 802.3-2022 clauses 3, 4 and 46.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "frame": In(stream.Signature(beat(_LANES))),
                "txd": Out(8 * _LANES, init=int.from_bytes(bytes([xgmii.IDLE] * _LANES), "little")),
                "txc": Out(_LANES, init=(1 << _LANES) - 1),
                "idle": Out(1),
                "underrun": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = check = Crc32(width=_LANES)
        state = Signal(_State)
        index = Signal(range(_FULL_WORDS + 2))  # of the word taken now; stays where no padding is needed any more
        word, count = Signal(8 * _LANES), Signal(range(_LANES + 1))  # taken one clock ago, as long as its check sequence takes
        taking, least = Signal(8 * _LANES), Signal(range(_LANES + 1))
        taken = Signal(range(_LANES + 1))
        line, spill = Signal(_WORD), Signal(_WORD)
        given = self.frame.payload

        m.d.comb += [
            self.idle.eq(state == _State.IDLE),
            check.bytes.eq(taking),
            check.count.eq(taken),
            check.start.eq(state == _State.IDLE),
            least.eq(Mux(index < _FULL_WORDS, _LANES, Mux(index == _FULL_WORDS, _REST, 0))),
            line.eq(_control(xgmii.IDLE)),
        ]
        m.d.sync += [word.eq(taking), count.eq(taken), self.underrun.eq(0), self.txd.eq(line.data), self.txc.eq(line.control)]
        with m.If(taken != 0):
            m.d.sync += index.eq(Mux(index > _FULL_WORDS, index, index + 1))

        def take() -> None:
            """The next word of the frame; the last is padded as far as it has to be."""
            longer = ~given.last | (given.count > least)
            m.d.comb += [
                taking.eq(Cat(Mux(given.count > lane, given.data[lane], 0) for lane in range(_LANES))),
                taken.eq(Mux(longer, given.count, least)),
            ]
            with m.If(given.last):
                m.d.sync += state.eq(Mux(index < _FULL_WORDS, _State.PAD, _State.CLOSE))
            with m.Else():
                m.d.sync += state.eq(_State.DATA)

        with m.Switch(state):
            with m.Case(_State.IDLE):
                m.d.comb += self.frame.ready.eq(1)
                with m.If(self.frame.valid):
                    m.d.comb += line.eq(_OPENING)
                    take()
            with m.Case(_State.DATA):
                m.d.comb += [self.frame.ready.eq(1), line.data.eq(word), line.control.eq(0)]
                with m.If(self.frame.valid):
                    take()
                with m.Else():
                    m.d.sync += [state.eq(_State.CUT), self.underrun.eq(1)]
            with m.Case(_State.PAD):
                m.d.comb += [taken.eq(least), line.data.eq(word), line.control.eq(0)]
                with m.If(index == _FULL_WORDS):
                    m.d.sync += state.eq(_State.CLOSE)
            with m.Case(_State.CLOSE):
                # Check sequence and terminate character behind the last byte can reach into a second word.
                closed = _closed(word, count, check.crc)
                m.d.comb += line.eq(closed[: line.shape().size])
                m.d.sync += [spill.eq(closed[line.shape().size :]), state.eq(_State.REST)]
            with m.Case(_State.REST):
                m.d.comb += line.eq(spill)
                m.d.sync += state.eq(_State.GAP)
            with m.Case(_State.GAP):
                m.d.sync += [state.eq(_State.IDLE), index.eq(0)]
            with m.Case(_State.CUT):
                m.d.comb += line.eq(_CUT)
                m.d.sync += state.eq(_State.DISCARD)
            with m.Case(_State.DISCARD):
                m.d.comb += self.frame.ready.eq(1)
                with m.If(self.frame.valid & given.last):
                    m.d.sync += state.eq(_State.GAP)
        return m


def _closed(word: Value, count: Value, sequence: Value) -> Value:
    """Two words: `count` bytes, their check sequence, the terminate character and idle ones."""
    end = [*(sequence.word_select(byte, 8) for byte in range(network.FCS_BYTES)), Const(xgmii.TERMINATE, 8)]
    data, control = [], []
    for lane in range(2 * _LANES):
        # What stands in this lane for each count there can be.
        places = [lane - count for count in range(_LANES + 1)]
        data.append(
            Array(
                word.word_select(lane, 8) if place < 0 else end[place] if place < len(end) else Const(xgmii.IDLE, 8)
                for place in places
            )[count]
        )
        control.append(Array(Const(int(place >= network.FCS_BYTES), 1) for place in places)[count])
    return Cat(*data[:_LANES], *control[:_LANES], *data[_LANES:], *control[_LANES:])
