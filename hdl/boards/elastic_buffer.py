"""Received bytes from the PHY's clock to ours."""

from amaranth import Module, Shape, Signal
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out


class GmiiByte(data.Struct):
    """What GMII carries in one clock."""

    data: 8
    valid: 1
    error: 1


class ElasticBuffer(wiring.Component):
    """Carries GMII bytes from the receive clock, recovered from the line, into the clock of the data path.

    The clocks differ by up to 200 ppm (100 ppm each, IEEE 802.3). Only frames and the first idle byte behind each one cross. A
    frame is given from the clock on in which two bytes of it are seen to be in: over 1,522 bytes the clocks drift by 0.3 bytes,
    so it never runs dry. Gaps between frames grow or shrink by a few clocks.

    Latency is 4 to 6 clocks of `sync` from `received` to `given`, by their phase: write, two synchronisers, head start
    of a byte, output register.

    Under overload (`sync` too slow by more than the gaps make good) new bytes are lost; where it would run dry it gives
    ``error``. Either way the frame is bad and is counted so by the receiver behind. No counters of its own.

    Parameters
    ----------
    depth : int
        Bytes it holds, a power of two from 8 on.
    domain : str
        Clock domain of `received`.

    Members
    -------
    received : In(GmiiByte)
        From the PHY, in `domain`.
    given : Out(GmiiByte)
        The same frames in `sync`.
    """

    def __init__(self, *, depth: int = 16, domain: str = "rx") -> None:
        if depth < 8 or depth & (depth - 1):
            raise ValueError(f"depth: {depth} was given, allowed are powers of two from 8 on")
        self._depth = depth
        self._domain = domain
        super().__init__({"received": In(GmiiByte), "given": Out(GmiiByte)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.queue = queue = fifo.AsyncFIFO(
            width=Shape.cast(GmiiByte).width, depth=self._depth, w_domain=self._domain, r_domain="sync"
        )

        in_frame = Signal()
        m.d[self._domain] += in_frame.eq(self.received.valid)
        m.d.comb += [queue.w_data.eq(self.received), queue.w_en.eq(self.received.valid | in_frame)]

        running = Signal()
        byte = GmiiByte(queue.r_data)
        m.d.comb += queue.r_en.eq(running | (queue.r_level >= 2))
        m.d.sync += self.given.eq(0)
        with m.If(queue.r_en & queue.r_rdy):
            m.d.sync += [self.given.eq(queue.r_data), running.eq(byte.valid)]
        with m.Elif(running):
            m.d.sync += [self.given.valid.eq(1), self.given.error.eq(1)]
        return m
