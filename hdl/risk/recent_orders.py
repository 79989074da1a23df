"""What left of each slot a short while ago."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.flags import one_hot
from hdl.interfaces import Side
from hdl.spec.geometry import Geometry

CLOCK_BITS = 48
"""Bits of the own clock count: 26 days at 125 MHz. Behind that a duplicate may be seen where there is none, never the reverse."""


def asked(geometry: Geometry) -> data.StructLayout:
    """What of an order makes another one the same."""
    return data.StructLayout({"slot": geometry.slot_bits, "side": Side, "quantity": 32, "price": 32})


class RecentOrders(wiring.Component):
    """Of each slot keeps the last order that left, and how many left in this window.

    ``duplicate``: the slot's last order was of the same side, price and quantity, and left fewer than `duplicate_window` clocks
    before this one would. ``crowded``: `slot_rate_orders` orders left in this window, as of one clock after the request was
    taken. Windows follow each other whether orders come or not, so around a border twice as many may leave in one window's time.

    Latency: `duplicate` and `crowded` are valid `LATENCY` clocks after `taken`. `sent` tells `VERDICT` clocks after it that both
    orders left. Both are kept two clocks later, in time for a request taken in the clock after `sent`. Orders of one slot in both
    legs never leave.

    Source: DESIGN section 7, groups order and rate.

    Parameters
    ----------
    geometry : Geometry
        Decides slots.

    Members
    -------
    taken : In(1)
        A request was taken.
    asked : In(ArrayLayout(asked(geometry), 2))
        Its orders, from one clock later on until the next one is taken.
    single : In(1)
        There is only the first one; what is said of the second means nothing. As long as `asked`.
    sent : In(1)
        They leave in this clock.
    duplicate_window, slot_rate_window : In(32)
    slot_rate_orders : In(16)
        Registers.
    duplicate, crowded : Out(2)
        A bit an order.
    """

    LATENCY = 4
    VERDICT = 5

    def __init__(self, *, geometry: Geometry):
        self._geometry = geometry
        super().__init__(
            {
                "taken": In(1),
                "asked": In(data.ArrayLayout(asked(geometry), 2)),
                "single": In(1),
                "sent": In(1),
                "duplicate_window": In(32),
                "slot_rate_orders": In(16),
                "slot_rate_window": In(32),
                "duplicate": Out(2),
                "crowded": Out(2),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        # One-hot: step[n] is high n clocks after the request was taken. The legs follow each other through one comparison.
        step = Signal(4)
        m.d.sync += step[1:].eq(step[:-1])
        m.d.comb += step[0].eq(self.taken)
        orders, second = self.asked, Signal()
        m.d.sync += second.eq(self.sent & ~self.single)

        # What is kept outlives a reset, and so must the clock it was kept by.
        clock, verdict = Signal(CLOCK_BITS, reset_less=True), Signal(CLOCK_BITS)
        m.d.sync += clock.eq(clock + 1)
        with m.If(step[1]):
            m.d.sync += verdict.eq(clock + self.VERDICT - 1)

        row = data.StructLayout({"known": 1, "side": Side, "quantity": 32, "price": 32, "clock": CLOCK_BITS, "count": 16})
        m.submodules.rows = rows = Memory(shape=row, depth=self._geometry.slots, init=[])
        read, write = rows.read_port(domain="comb"), rows.write_port()
        kept, counts = Signal(row), Signal(data.ArrayLayout(16, 2))
        m.d.comb += read.addr.eq(Mux(step[1], orders[0].slot, orders[1].slot))
        m.d.sync += kept.eq(read.data)

        fresh = self._windows(m)
        fresh_now = Cat(fresh.bit_select(order.slot, 1) for order in orders)
        fresh_then = Signal(2)
        with m.If(step[1]):
            m.d.sync += fresh_then.eq(fresh_now)

        judged = Mux(step[2], orders[0].as_value(), orders[1].as_value())
        order = data.View(asked(self._geometry), judged)
        same, age = Signal(), Signal(CLOCK_BITS)
        m.d.sync += [
            same.eq(kept.known & (kept.side == order.side) & (kept.price == order.price) & (kept.quantity == order.quantity)),
            age.eq(verdict - kept.clock),
        ]
        duplicate = same & (age < self.duplicate_window)
        first = Signal()
        m.d.sync += first.eq(duplicate)
        m.d.comb += self.duplicate.eq(Cat(first, duplicate))
        for leg in range(2):
            with m.If(step[2 + leg]):
                many = fresh_then[leg] & (kept.count >= self.slot_rate_orders) & (self.slot_rate_orders != 0)
                m.d.sync += [counts[leg].eq(kept.count), self.crowded[leg].eq(many)]

        # Leg b's row is written a clock after leg a's, as of the same clock.
        more = [Mux(fresh_now[leg], counts[leg] + ~counts[leg].all(), 1) for leg in range(2)]
        more_b = Signal(16)
        m.d.sync += more_b.eq(more[1])
        m.d.comb += [
            write.addr.eq(Mux(second, orders[1].slot, orders[0].slot)),
            write.data.known.eq(1),
            *(write.data[name].eq(Mux(second, orders[1][name], orders[0][name])) for name in ("side", "quantity", "price")),
            write.data.clock.eq(verdict),
            write.data.count.eq(Mux(second, more_b, more[0])),
            write.en.eq(self.sent | second),
        ]
        return m

    def _windows(self, m: Module) -> Signal:
        """A bit a slot: some order of it left in this window."""
        slots = self._geometry.slots
        fresh, timer, over = Signal(slots), Signal(32, init=1), Signal()
        endless = self.slot_rate_window == 0
        m.d.comb += over.eq(~endless & (timer >= self.slot_rate_window))
        m.d.sync += timer.eq(Mux(over | endless, 1, timer + 1))
        sent = (self.sent, self.sent & ~self.single)
        left = [one_hot(m, order.slot, slots, each) for order, each in zip(self.asked, sent, strict=True)]
        m.d.sync += fresh.eq(Mux(over, 0, fresh | left[0] | left[1]))
        return fresh
