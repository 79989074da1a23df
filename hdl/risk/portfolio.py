"""What all positions and open orders come to: profit and loss, gross and net notional."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.flags import one_hot
from hdl.risk.ledger import booked, minus_if
from hdl.risk.product import Product
from hdl.spec.geometry import Geometry

SHARE_BITS = 33
"""Bits of a slot's worst-case size: position below 2**31, open shares below 2**32."""
VALUE_BITS = SHARE_BITS + 32 + 1
"""Bits of what one slot counts for, signed: its size at a mark below 2**32. P&L is less: cash and position at the mark are below
2**63 each."""


def total_bits(geometry: Geometry) -> int:
    """Bits of a sum over all slots, signed: no slots can count for more."""
    return VALUE_BITS + geometry.slot_bits


class Portfolio(wiring.Component):
    """Keeps four sums over all slots: P&L, worst-case gross notional, and net notional if all buys, or all sells, are filled.

    Of a slot at its mark:

    - P&L: cash + position * mark;
    - long: (position + open buys) * mark, short: (position - open sells) * mark;
    - gross: the greater of these two, without its sign.

    The mark is what the position could be closed at: the last bid where it is long, else the last ask. A side that empties
    keeps its last price; as long as it has shown none, the price of the slot's last order or fill stands for it, so nothing
    counts for 0.

    Method: a slot is counted anew when an order of it was entered or a report of one booked, and, where something is held or
    open, when its touch changes. What it counted for before is kept, so that the sums change by the difference. One multiplier
    serves all slots, one after the other: those just sent first, the others in turn. No sum can overflow, see `total_bits`.

    Timing: a slot takes 13 clocks. `settling` is high for 25 to 37 clocks behind the one in which the second order of a pair
    was entered: the gate judges on sums that hold every order it sent. Other changes wait for their turn, which comes after 14
    clocks for each slot at most; until then the sums are those of a moment ago. That is safe for limits on exposure: a report
    never raises gross, or net in its direction. After reset all slots are counted before `counted` is high, and nothing settles
    until then.

    Overload: more changes of a slot before its turn are counted as one. Nothing is lost.

    Source: DESIGN section 7, groups exposure and loss.

    Parameters
    ----------
    geometry : Geometry
        Decides slots.

    Members
    -------
    bbo : In(stream.Signature(interfaces.bbo(geometry), always_ready=True))
        Touches.
    booked : In(stream.Signature(ledger.booked(geometry), always_ready=True))
        What the ledger wrote.
    settling : Out(1)
        An order that was entered is not in the sums yet.
    counted : Out(1)
        Every slot was counted since reset.
    pnl : Out(signed(total_bits(geometry)))
        Profit and loss, 1/10000 dollar.
    long, short : Out(signed(total_bits(geometry)))
        Net notional, all buys filled and no sells, and the other way round, 1/10000 dollar.
    gross : Out(signed(total_bits(geometry)))
        Gross notional at the worst, never negative, 1/10000 dollar.
    """

    def __init__(self, *, geometry: Geometry):
        self._geometry = geometry
        total = signed(total_bits(geometry))
        super().__init__(
            {
                "bbo": In(stream.Signature(interfaces.bbo(geometry), always_ready=True)),
                "booked": In(stream.Signature(booked(geometry), always_ready=True)),
                "settling": Out(1, init=1),
                "counted": Out(1),
                "pnl": Out(total),
                "long": Out(total),
                "short": Out(total),
                "gross": Out(total),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        slot = Signal(self._geometry.slot_bits)
        # One-hot: step[0] reads the slot's rows, the last one ends its work.
        step = Signal(12)
        marked, bids, asks = self._marks(m)
        held, counted = Signal(self._geometry.slots), Signal(self._geometry.slots)
        self._choose(m, slot, step, held, counted, marked)
        row = self._row(m, slot, step, held, bids, asks)
        self._count(m, slot, step, counted, row)
        return m

    def _choose(self, m: Module, slot, step, held, counted, marked) -> None:
        """Which slot comes next: one of those just sent, or the next in turn that changed."""
        slots, told = self._geometry.slots, self.booked.payload
        dirty = Signal(slots, init=-1)
        sent, sent_slots = Signal(2), [Signal.like(slot, name=f"sent_slot_{leg}") for leg in range(2)]
        turn, serving, chosen = Signal.like(slot), Signal(), Signal.like(slot)
        begins, working = Signal(), Signal()
        m.d.comb += [
            chosen.eq(Mux(sent[0], sent_slots[0], Mux(sent[1], sent_slots[1], turn))),
            begins.eq(~working & (sent.any() | dirty.bit_select(turn, 1))),
        ]
        m.d.sync += [step.eq(step << 1 | begins), working.eq(begins | step[:-1].any())]
        with m.If(~working):
            m.d.sync += [slot.eq(chosen), serving.eq(sent.any())]
            with m.If(sent[0]):
                m.d.sync += sent[0].eq(0)
            with m.Elif(sent[1]):
                m.d.sync += sent[1].eq(0)
            with m.Else():
                m.d.sync += turn.eq(Mux(turn == slots - 1, 0, turn + 1))
        for leg in range(2):
            with m.If(self.booked.valid & told.entered & (told.leg == leg)):
                m.d.sync += [sent[leg].eq(1), sent_slots[leg].eq(told.slot)]

        # A touch that changes while its slot is worked on comes too late for it, and whether it will be held is not known yet.
        late = working & (marked.slot == slot)
        again = one_hot(m, marked.slot, slots, marked.valid & (held.bit_select(marked.slot, 1) | late))
        reported = one_hot(m, told.slot, slots, self.booked.valid & ~told.entered)
        done = one_hot(m, chosen, slots, begins)
        m.d.sync += [dirty.eq((dirty & ~done) | again | reported)]
        m.d.sync += [counted.eq(counted | one_hot(m, slot, slots, step[-1])), self.counted.eq(counted.all())]
        entered = self.booked.valid & told.entered
        m.d.sync += self.settling.eq(~self.counted | entered | sent.any() | (serving & working))

    def _marks(self, m: Module):
        """A change of a touch in the clock in which it is kept, and the memories of the last bids and asks."""
        slot_bits = self._geometry.slot_bits
        shape = data.StructLayout({"valid": 1, "slot": slot_bits, "bid": 32, "ask": 32, "has_bid": 1, "has_ask": 1})
        told, touch = Signal(shape), self.bbo.payload.touch
        m.d.sync += [
            told.valid.eq(self.bbo.valid),
            told.slot.eq(self.bbo.payload.slot),
            told.bid.eq(touch.bid_price),
            told.ask.eq(touch.ask_price),
            told.has_bid.eq(touch.bid_price != 0),
            told.has_ask.eq(touch.ask_price != 0),
        ]
        m.submodules.bids = bids = Memory(shape=32, depth=self._geometry.slots, init=[])
        m.submodules.asks = asks = Memory(shape=32, depth=self._geometry.slots, init=[])
        for memory, price, has in ((bids, told.bid, told.has_bid), (asks, told.ask, told.has_ask)):
            write = memory.write_port()
            m.d.comb += [write.addr.eq(told.slot), write.data.eq(price), write.en.eq(told.valid & has)]
        return told, bids, asks

    def _row(self, m: Module, slot, step, held, bids, asks):
        """What is known of the slot, from step 2 on: cash, position, long and short shares, mark."""
        told, depth = self.booked.payload, self._geometry.slots
        shares_layout = data.StructLayout({"position": signed(32), "open_buys": 32, "open_sells": 32})
        m.submodules.shares = shares = Memory(shape=shares_layout, depth=depth, init=[])
        m.submodules.money = money = Memory(shape=signed(64), depth=depth, init=[])
        m.submodules.paid = paid = Memory(shape=32, depth=depth, init=[])
        writes = [memory.write_port() for memory in (shares, money, paid)]
        m.d.comb += [
            *(write.addr.eq(told.slot) for write in writes),
            *(writes[0].data[name].eq(told.exposure[name]) for name in shares_layout.members),
            writes[1].data.eq(told.cash),
            writes[2].data.eq(told.price),
            writes[0].en.eq(self.booked.valid),
            writes[1].en.eq(self.booked.valid & told.filled),
            writes[2].en.eq(self.booked.valid & (told.filled | told.entered)),
        ]
        memories = {"shares": shares, "cash": money, "paid": paid, "bid": bids, "ask": asks}
        read = data.StructLayout({name: memory.shape for name, memory in memories.items()})
        sizes = dict.fromkeys(("position", "long", "short"), signed(SHARE_BITS + 1))
        fetched, row = Signal(read), Signal(data.StructLayout({"cash": signed(64), "mark": 32} | sizes))
        for name, memory in memories.items():
            port = memory.read_port(domain="comb")
            m.d.comb += port.addr.eq(slot)
            m.d.sync += fetched[name].eq(port.data)
        now = fetched.shares
        some = now.as_value().any()
        bid, ask = (Mux(fetched[side] == 0, fetched.paid, fetched[side]) for side in ("bid", "ask"))
        with m.If(step[1]):
            m.d.sync += [
                row.cash.eq(fetched.cash),
                row.position.eq(now.position),
                row.long.eq(now.position + now.open_buys),
                row.short.eq(now.position - now.open_sells),
                row.mark.eq(Mux((now.position != 0) & (now.position >= 0), bid, ask)),
            ]
            changed = one_hot(m, slot, depth, Const(1))
            m.d.sync += held.eq(Mux(some, held | changed, held & ~changed))
        return row

    def _count(self, m: Module, slot, step, counted, row) -> None:
        """Steps 2 to 5: sizes. 6 to 9: values, from the products. 7 to 10: what they change. 8 to 11: sums."""
        m.submodules.product = product = Product(a=SHARE_BITS, b=32)
        size, long_size = Signal(SHARE_BITS), Signal(SHARE_BITS)
        choice = Signal(signed(SHARE_BITS + 1))
        m.d.comb += [
            choice.eq(Mux(step[2], row.position, Mux(step[3], row.long, row.short))),
            product.a.eq(size),
            product.b.eq(row.mark),
        ]
        m.d.sync += size.eq(minus_if(choice[-1], choice, SHARE_BITS))
        with m.If(step[4]):
            m.d.sync += long_size.eq(size)
        with m.If(step[5]):
            m.d.sync += size.eq(Mux(size < long_size, long_size, size))

        value, change = Signal(signed(VALUE_BITS)), Signal(signed(VALUE_BITS + 1))
        negative = (step[6] & row.position[-1]) | (step[7] & row.long[-1]) | (step[8] & row.short[-1])
        base = Mux(step[6], row.cash, 0)
        m.d.sync += value.eq(base + minus_if(negative, product.product, VALUE_BITS))

        # A slot's part of each sum, in the order of the steps. A row is read a clock before it is written.
        attributes = {"ram_style": "block", "no_rw_check": 1}
        m.submodules.parts = parts = Memory(
            shape=signed(VALUE_BITS), depth=4 * self._geometry.slots, init=[], attrs=attributes
        )
        read, write = parts.read_port(domain="comb"), parts.write_port()
        number, last = Signal(2), Signal(2)
        part = Signal(signed(VALUE_BITS), reset_less=True)
        m.d.sync += [number.eq(Mux(step[5], 0, number + 1)), last.eq(number), part.eq(read.data)]
        m.d.comb += [
            read.addr.eq(Cat(number, slot)),
            write.addr.eq(Cat(last, slot)),
            write.data.eq(value),
            write.en.eq(step[7:11].any()),
        ]
        has_before = Signal()
        m.d.sync += [has_before.eq(counted.bit_select(slot, 1)), change.eq(value - Mux(has_before, part, 0))]
        for index, total in enumerate((self.pnl, self.long, self.short, self.gross)):
            with m.If(step[8 + index]):
                m.d.sync += total.eq(total + change)
