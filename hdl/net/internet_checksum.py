"""The one's complement sum of IPv4, UDP and TCP."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class InternetChecksum(wiring.Component):
    """Sums bytes as they pass and tells whether all of them, checksum field included, add up to -0.

    Parameters
    ----------
    width : int
        Bytes a clock.

    Members
    -------
    bytes : In(width bytes)
        Bytes now, first on the wire in lane 0.
    take : In(width)
        Which of them count; 0 where nothing passes.
    odd : In(1)
        Lane 0 holds the low byte of a 16-bit word.
    extra : In(16)
        A further word to add now.
    clear : In(1)
        The sum begins with what passes now.
    ok : Out(1)
        All that was taken up to `LATENCY` clocks ago adds up.

    Latency: `LATENCY` cycles; one sum may follow another without a pause.
    Source: RFC 1071; at most 8,192 words a sum.
    """

    LATENCY = 3

    def __init__(self, *, width: int) -> None:
        if width not in (1, 8):
            raise ValueError(f"width: {width} was given, allowed are 1 and 8")
        self.width = width
        super().__init__(
            {
                "bytes": In(data.ArrayLayout(8, width)),
                "take": In(width),
                "odd": In(1),
                "extra": In(16),
                "clear": In(1),
                "ok": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Binary sums with room for every carry; folding them once at the end is shorter than an end-around carry a clock.
        part, total = Signal(20), Signal(29)
        clear = Signal()
        taken = [Mux(self.take[lane], self.bytes[lane], Const(0, 8)) for lane in range(self.width)]
        high = sum((byte for byte in taken[0::2]), Const(0, 1))
        low = sum((byte for byte in taken[1::2]), Const(0, 1))
        m.d.sync += [
            part.eq(Mux(self.odd, (low << 8) + high, (high << 8) + low) + self.extra),
            clear.eq(self.clear),
            total.eq(Mux(clear, 0, total) + part),
            self.ok.eq(total[:16] + total[16:] == 0xFFFF),
        ]
        return m
