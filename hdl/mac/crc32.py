"""Ethernet's check sequence over eight bytes a clock."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import crc, data, wiring
from amaranth.lib.crc.catalog import CRC32_ETHERNET
from amaranth.lib.wiring import In, Out

BITS = 32
_STATE_BYTES = BITS // 8
_SINGLE = CRC32_ETHERNET(data_width=8)
_CLOSED = _SINGLE.compute(b"\0" + _SINGLE.compute(b"\0").to_bytes(_STATE_BYTES, "little"))
"""Check sequence of any frame that ends with its own."""


class Crc32(wiring.Component):
    """Frame check sequence of the bytes taken, up to `width` of them a clock.

    Fewer bytes than `width` are moved to the end of the word: zeros before them change nothing once the state is added, so one
    network serves every count.

    Parameters
    ----------
    width : int
        Bytes a clock, 4 or more.

    Members
    -------
    bytes : In(ArrayLayout(8, width))
        ``bytes[0]`` comes first.
    count : In(range(width + 1))
        How many of them to take.
    start : In(1)
        They are the first of a frame.
    crc : Out(32)
        Check sequence of all that was taken, least significant byte first on the wire.
    match : Out(1)
        What was taken ends with its own check sequence.

    Latency: 1 cycle.
    Source: IEEE 802.3-2022 clause 3.2.9.
    """

    def __init__(self, *, width: int) -> None:
        if width < _STATE_BYTES:
            raise ValueError(f"width: {width} was given, allowed are numbers from {_STATE_BYTES} on")
        self.width = width
        super().__init__(
            {
                "bytes": In(data.ArrayLayout(8, width)),
                "count": In(range(width + 1)),
                "start": In(1),
                "crc": Out(BITS),
                "match": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width, bits = self.width, 8 * self.width
        state = Signal(BITS, init=CRC32_ETHERNET.initial_crc)
        before, mixed = Signal(BITS), Signal(bits)
        m.d.comb += [
            before.eq(Mux(self.start, CRC32_ETHERNET.initial_crc, state)),
            mixed.eq(Value.cast(self.bytes) ^ before),
        ]
        # What the state still holds when fewer bytes came than it has.
        moved = Array((mixed << (8 * (width - count)))[:bits] if count else 0 for count in range(width + 1))
        kept = Array(before[8 * count :] if count < _STATE_BYTES else 0 for count in range(width + 1))
        aligned, rest = Signal(bits), Signal(BITS)
        m.d.comb += [aligned.eq(moved[self.count]), rest.eq(kept[self.count])]
        # The check sequence without its start and end values is linear: a column for every bit.
        linear = crc.Algorithm(
            crc_width=BITS,
            polynomial=CRC32_ETHERNET.polynomial,
            initial_crc=0,
            reflect_input=True,
            reflect_output=True,
            xor_output=0,
        )(data_width=bits)
        columns = [linear.compute([1 << bit]) for bit in range(bits)]
        network = [Cat(aligned[bit] for bit in range(bits) if columns[bit] >> row & 1).xor() for row in range(BITS)]
        m.d.sync += state.eq(Cat(network) ^ rest)
        m.d.comb += [self.crc.eq(state ^ CRC32_ETHERNET.xor_output), self.match.eq(self.crc == _CLOSED)]
        return m

