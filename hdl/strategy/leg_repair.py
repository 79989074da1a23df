"""Pairs whose orders were filled unequally: completed or unwound, one order after the other."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.interfaces import LegPolicy, PairOutcome, Side
from hdl.risk.ledger import minus_if
from hdl.spec import events
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import LegAction
from hdl.spec.registers import SHARE_BITS
from hdl.strategy.spread_trigger import PAIRS, allowance, below_a_dollar, purchase_limit, sale_limit


class LegRepair(wiring.Component):
    """Asks for single orders until the legs of a pair that ended unequally are level again, or its tries are used up.

    `done` of the ledger goes on to the trigger a clock later, but for LEGGED of a pair that has a policy and tries: that pair
    stays pending and waits here, `cooldown` clocks from the end of its orders on. Then, of the pairs that wait, the one that did
    so longest is looked at:

    ==================  ==========================================================================
    what is found       what comes of it
    ==================  ==========================================================================
    nothing remains     `ended` with FILLED where all that was wanted is held, NOTHING where none is
    no tries left       `ended` with LEGGED, and a record with action STOP
    a trade was broken  the same: what is held is not known
    otherwise           one order for all that remains of leg a, or of leg b where nothing does of a
    ==================  ==========================================================================

    What remains: COMPLETE, the shares of the leg's order that were not filled, on its side; UNWIND, those that were, on the
    other. Both are counted on, so that another set may change the policy at any time: the row in force when a pair is looked at
    is the one that counts. With a policy of STOP, or while it is not enabled, a pair has no tries left. The limit is the leg's
    touch and the pair's `slippage`, as of a trigger; where a side is empty the gate refuses. An order that the gate takes is a
    try, whether it fills, leaves or is refused. When it has ended, or two clocks behind its verdict where it did not leave, the
    pair waits again. So a pair never has more orders under way than its own two, or a single one of these.

    Latency: where nothing else is to be done, `request` is valid `LATENCY` clocks and `cooldown` after `done`, `LEAST` at least;
    the touch is looked up `LOOK` clocks before. `ended` comes a clock after `done`. Overload: a request that is not taken in the
    clock in which it is offered is made anew, with the touch as it is then. Pairs wait for each other in the order in which
    their orders ended; none is lost.

    Source: DESIGN section 6, docs/decisions/0009.

    Parameters
    ----------
    geometry : Geometry
        Decides slots and pairs.

    Members
    -------
    pairs : In(stream.Signature(interfaces.table_write(PAIRS, geometry), always_ready=True))
        Rows of the host, for the bank that is not in force.
    bank : In(1)
        Bank in force.
    hold : In(1)
        It may change: nothing is looked up.
    cooldown : In(32)
        Clocks to wait.
    bbo : In(stream.Signature(interfaces.bbo(geometry), always_ready=True))
        Touches that changed.
    leg_told, done : In
        Of `Ledger`.
    ended : Out(stream.Signature(interfaces.pair_done(geometry), always_ready=True))
        `done` for the trigger.
    request : Out(stream.Signature(interfaces.order_pair(geometry)))
        A single order. Offered for one clock only.
    judging : In(1)
        The gate judges a request, from the clock after it was taken on.
    left : In(1)
        An order leaves. In the last clock of `judging`, the one that was taken.
    busy : Out(1)
        Some pair is being repaired: legs may not be written.
    epoch : In(8)
        What records bear.
    now : In(32)
        Clock count.
    told : In(1)
        The trigger makes a record: none is made here.
    event : Out(stream.Signature(interfaces.event(events.TRIGGER), always_ready=True))
        Record of each request that was taken, a clock later, and of each pair that is stopped.
    """

    LATENCY = 11
    LEAST = 13
    LOOK = 5

    def __init__(self, *, geometry: Geometry):
        self._geometry = geometry
        super().__init__(
            {
                "pairs": In(stream.Signature(interfaces.table_write(PAIRS, geometry), always_ready=True)),
                "bank": In(1),
                "hold": In(1),
                "cooldown": In(32),
                "bbo": In(stream.Signature(interfaces.bbo(geometry), always_ready=True)),
                "leg_told": In(stream.Signature(interfaces.leg_report(geometry), always_ready=True)),
                "done": In(stream.Signature(interfaces.pair_done(geometry), always_ready=True)),
                "ended": Out(stream.Signature(interfaces.pair_done(geometry), always_ready=True)),
                "request": Out(stream.Signature(interfaces.order_pair(geometry))),
                "judging": In(1),
                "left": In(1),
                "busy": Out(1),
                "epoch": In(8),
                "now": In(32),
                "told": In(1),
                "event": Out(stream.Signature(interfaces.event(events.TRIGGER), always_ready=True)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        pair_bits = self._geometry.pair_bits
        columns = self.pairs.payload.row.shape()
        row = data.StructLayout({name: columns[name].shape for name in ("policy", "leg_tries", "slippage")})
        leg = data.StructLayout(
            {"slot": self._geometry.slot_bits, "side": Side, "size": SHARE_BITS, "held": SHARE_BITS, "doubted": 1}
        )
        # Tries made, and whether the exchange rejected an order of the pair's own.
        self._made = data.StructLayout({"tries": row["leg_tries"].shape, "rejected": 1})
        # Rows are written to the bank that is not read: the memory need not say what a read in the clock of a write gives.
        attributes = {"ram_style": "block", "no_rw_check": 1}
        m.submodules.rows = self._rows = Memory(shape=row, depth=2 << pair_bits, init=[], attrs=attributes)
        m.submodules.legs = self._legs = Memory(shape=leg, depth=2 << pair_bits, init=[], attrs={"ram_style": "block"})
        m.submodules.used = self._used = Memory(shape=self._made, depth=1 << pair_bits, init=[])
        # With that, since when the pair waits.
        self._entry = data.StructLayout({"pair": pair_bits, "made": self._made, "since": 32})
        # An end of orders, its way into the queue and to the trigger: a clock after the ledger told of it.
        self._ends = Signal(self.done.payload.shape())
        self._ends_now, self._pushes = Signal(), Signal()
        self._stops, self._repaired = Signal(), Signal()
        self._pushed = Signal(self._entry)
        self._hear(m)
        self._act(m, self._wait(m))
        return m

    def _hear(self, m: Module) -> None:
        """Keep what legs hold, and take in pairs that are legged."""
        written = self.pairs.payload
        rows_read, rows_write = self._rows.read_port(domain="comb"), self._rows.write_port()
        legs_read, legs_write = self._legs.read_port(domain="comb"), self._legs.write_port()
        used_read = self._used.read_port(domain="comb")
        told, wanted, before = (
            Signal(shape) for shape in (self.leg_told.payload.shape(), rows_read.data.shape(), legs_read.data.shape())
        )
        told_now, is_done = Signal(), Signal()
        m.d.comb += [
            rows_write.addr.eq(Cat(written.index, ~self.bank)),
            rows_write.data.policy.eq(Mux(written.row.enabled, written.row.policy, LegPolicy.STOP)),
            rows_write.data.leg_tries.eq(written.row.leg_tries),
            rows_write.data.slippage.eq(written.row.slippage),
            rows_write.en.eq(self.pairs.valid),
            rows_read.addr.eq(Cat(self.done.payload.pair, self.bank)),
            legs_read.addr.eq(Cat(self.leg_told.payload.leg, self.leg_told.payload.pair)),
        ]
        m.d.sync += [
            told_now.eq(self.leg_told.valid),
            told.eq(self.leg_told.payload),
            before.eq(legs_read.data),
            wanted.eq(rows_read.data),
            is_done.eq(self.done.valid),
            self._ends.eq(self.done.payload),
        ]
        # A fill on the other side is one of an order that unwinds.
        back = told.side != before.side
        m.d.comb += [
            legs_write.addr.eq(Cat(told.leg, told.pair)),
            legs_write.data.eq(before),
            legs_write.data.held.eq(before.held + minus_if(back, told.quantity, SHARE_BITS)),
            legs_write.data.doubted.eq(before.doubted | told.back),
            legs_write.en.eq(told_now),
        ]
        with m.If(told.entered):
            m.d.comb += [
                legs_write.data.slot.eq(told.slot),
                legs_write.data.side.eq(told.side),
                legs_write.data.size.eq(told.quantity),
                legs_write.data.held.eq(0),
                legs_write.data.doubted.eq(0),
            ]
        legged, repairable, again = Signal(), Signal(), Signal()
        m.d.comb += [
            legged.eq(is_done & (self._ends.outcome == PairOutcome.LEGGED)),
            repairable.eq(legged & has_policy(wanted) & (wanted.leg_tries != 0)),
            # None is under repair that was not taken in here: the ledger's orders outlive a reset.
            again.eq(told_now & told.ended & self.busy),
            used_read.addr.eq(told.pair),
            self._pushes.eq(repairable | again),
            self._pushed.pair.eq(told.pair),
            self._pushed.made.tries.eq(Mux(again, used_read.data.tries, 0)),
            self._pushed.made.rejected.eq(Mux(again, used_read.data.rejected, self._ends.rejected)),
            self._pushed.since.eq(self.now),
            self._ends_now.eq(is_done & ~repairable),
            self._stops.eq(legged & ~repairable),
        ]
        repaired = Signal(range((1 << self._geometry.pair_bits) + 1))
        m.d.sync += repaired.eq(repaired + repairable - self._repaired)
        m.d.comb += self.busy.eq(repaired != 0)
        # This, `_looked` and `_fsm` are what the proof of this component stands on.
        self._counts = [repaired]

    def _wait(self, m: Module) -> tuple:
        """The queue: the one that waits longest, whether there is one, and where to take it or put one behind all others."""
        depth = 1 << self._geometry.pair_bits
        m.submodules.queue = queue = Memory(shape=self._entry, depth=depth, init=[])
        read, write = queue.read_port(domain="comb"), queue.write_port()
        level = Signal(range(depth + 1))
        take, back, back_entry = Signal(), Signal(), Signal(self._entry)
        put = Signal()
        m.d.comb += [
            # A pair waits once: there is always room.
            put.eq(self._pushes | back),
            write.en.eq(put),
            write.data.eq(Mux(self._pushes, self._pushed, back_entry)),
        ]
        m.d.sync += [
            read.addr.eq(read.addr + take),
            write.addr.eq(write.addr + put),
            level.eq(level + put - take),
        ]
        self._counts.append(level)
        return read.data, level != 0, take, back, back_entry

    def _act(self, m: Module, waiting: tuple) -> None:
        """Look at one pair after the other."""
        first, any_waits, take, back, back_entry = waiting
        rows_read, legs_read = self._rows.read_port(domain="comb"), self._legs.read_port(domain="comb")
        used_write = self._used.write_port()
        m.submodules.touches = touches = Memory(
            shape=data.ArrayLayout(32, 2), depth=self._geometry.slots, init=[], attrs={"ram_style": "block"}
        )
        touch_read, touch_write = touches.read_port(domain="comb"), touches.write_port()
        m.d.comb += [
            touch_write.addr.eq(self.bbo.payload.slot),
            touch_write.data[Side.BUY.value].eq(self.bbo.payload.touch.bid_price),
            touch_write.data[Side.SELL.value].eq(self.bbo.payload.touch.ask_price),
            touch_write.en.eq(self.bbo.valid),
        ]
        pair = Signal(self._entry)
        row, legs = Signal(rows_read.data.shape()), [Signal(legs_read.data.shape(), name=f"leg_{name}") for name in "ab"]
        elapsed, held, outdated = Signal(32), Signal(), Signal()
        completes, spent, full, none, second = Signal(), Signal(), Signal(), Signal(), Signal()
        touch = Signal(touch_read.data.shape())
        price, beyond, limit = Signal(32), Signal(range(255 * 100 + 1)), Signal(signed(34))
        cheap, lowest = Signal(), Signal()
        order = self.request.payload.legs[0]
        made = Signal(self._made)
        self._looked = (row, legs, completes, spent, full, none, second, outdated)
        leg = Mux(second, legs[1], legs[0])
        chosen = Signal(legs[0].shape())
        sale = order.side == Side.SELL
        m.d.sync += [elapsed.eq(self.now - pair.since), held.eq(self.hold)]
        m.d.comb += [
            rows_read.addr.eq(Cat(pair.pair, self.bank)),
            legs_read.addr.eq(Cat(0, pair.pair)),
            chosen.eq(leg),
            touch_read.addr.eq(chosen.slot),
            made.tries.eq(pair.made.tries + 1),
            made.rejected.eq(pair.made.rejected),
            used_write.addr.eq(pair.pair),
            used_write.data.eq(made),
            back_entry.pair.eq(pair.pair),
            back_entry.made.eq(made),
            back_entry.since.eq(self.now),
            self.request.payload.pair.eq(pair.pair),
            self.request.payload.leg.eq(second),
            self.request.payload.single.eq(1),
            self.request.payload.repair.eq(1),
            self.ended.valid.eq(self._ends_now),
            self.ended.payload.eq(self._ends),
        ]
        with m.If(self.hold):
            m.d.sync += outdated.eq(1)
        stops = Signal()
        m.d.comb += stops.eq(self._stops)
        with m.FSM() as self._fsm:
            with m.State("IDLE"):
                with m.If(any_waits):
                    m.d.comb += take.eq(1)
                    m.d.sync += pair.eq(first)
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.next = "READY"
            with m.State("READY"):
                # The row is to be of the set in force when the order is offered.
                m.d.sync += outdated.eq(0)
                with m.If((elapsed >= self.cooldown) & ~self.hold & ~held):
                    m.next = "LEG_A"
            with m.State("LEG_A"):
                m.d.sync += [row.eq(rows_read.data), legs[0].eq(legs_read.data)]
                m.next = "LEG_B"
            with m.State("LEG_B"):
                m.d.comb += legs_read.addr.eq(Cat(1, pair.pair))
                m.d.sync += legs[1].eq(legs_read.data)
                m.next = "CHOOSE"
            with m.State("CHOOSE"):
                all_of = [each.held == each.size for each in legs]
                none_of = [each.held == 0 for each in legs]
                doubted = legs[0].doubted | legs[1].doubted
                m.d.sync += [
                    completes.eq(row.policy == LegPolicy.COMPLETE),
                    spent.eq(~has_policy(row) | (pair.made.tries >= row.leg_tries) | doubted),
                    full.eq(all_of[0] & all_of[1] & ~doubted),
                    none.eq(none_of[0] & none_of[1] & ~doubted),
                    second.eq(Mux(row.policy == LegPolicy.COMPLETE, all_of[0], none_of[0])),
                ]
                m.next = "PICK"
            with m.State("PICK"):
                m.d.sync += [
                    order.slot.eq(chosen.slot),
                    order.side.eq(chosen.side.as_value() ^ ~completes),
                    order.quantity.eq(Mux(completes, chosen.size, chosen.held) - Mux(completes, chosen.held, 0)),
                    touch.eq(touch_read.data),
                ]
                m.next = "PRICE"
                with m.If(spent | full | none):
                    m.next = "END"
            with m.State("PRICE"):
                m.d.sync += price.eq(Mux(sale, touch[Side.BUY.value], touch[Side.SELL.value]))
                m.next = "TICKS"
            with m.State("TICKS"):
                m.d.sync += [beyond.eq(allowance(price, row.slippage)), cheap.eq(below_a_dollar(price))]
                m.next = "ADD"
            with m.State("ADD"):
                m.d.sync += [limit.eq(Mux(sale, price - beyond, price + beyond)), lowest.eq(beyond >= price)]
                m.next = "LIMIT"
            with m.State("LIMIT"):
                m.d.sync += order.price.eq(Mux(sale, sale_limit(limit, lowest), purchase_limit(limit, cheap)))
                m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.request.valid.eq(~outdated)
                m.next = "READY"
                with m.If(self.request.valid & self.request.ready):
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                with m.If(self.left):
                    m.d.comb += used_write.en.eq(1)
                    m.next = "IDLE"
                with m.Elif(~self.judging):
                    m.next = "BACK"
            with m.State("BACK"):
                with m.If(~self._pushes):
                    m.d.comb += back.eq(1)
                    m.next = "IDLE"
            with m.State("END"):
                with m.If(~self._ends_now):
                    m.d.comb += [
                        self.ended.valid.eq(1),
                        self.ended.payload.pair.eq(pair.pair),
                        self.ended.payload.rejected.eq(pair.made.rejected),
                        self.ended.payload.outcome.eq(
                            Mux(full, PairOutcome.FILLED, Mux(none, PairOutcome.NOTHING, PairOutcome.LEGGED))
                        ),
                        self._repaired.eq(1),
                        stops.eq(~full & ~none),
                    ]
                    m.next = "IDLE"
        self._tell(m, stops, completes)

    def _tell(self, m: Module, stops: Signal, completes: Signal) -> None:
        """Records of requests that were taken, and of pairs that stop as soon as nothing else is told."""
        taken = Signal(self.event.payload.shape())
        stopped = Signal(self.event.payload.shape())
        taken_now, stopped_now = Signal(), Signal()
        m.d.sync += [
            taken_now.eq(self.request.valid & self.request.ready),
            taken.pair.eq(self.request.payload.pair),
            taken.action.eq(Mux(completes, LegAction.COMPLETE, LegAction.UNWIND)),
            taken.cycle.eq(self.now),
            taken.epoch.eq(self.epoch),
        ]
        with m.If(stops):
            m.d.sync += [
                stopped_now.eq(1),
                stopped.pair.eq(self.ended.payload.pair),
                stopped.action.eq(LegAction.STOP),
                stopped.cycle.eq(self.now),
                stopped.epoch.eq(self.epoch),
            ]
        with m.Elif(~self.told & ~taken_now):
            m.d.sync += stopped_now.eq(0)
        m.d.comb += [
            self.event.valid.eq(taken_now | (stopped_now & ~self.told)),
            self.event.payload.eq(Mux(taken_now, taken, stopped)),
        ]


def has_policy(row: data.View) -> Value:
    """The pair is to be repaired."""
    return (row.policy == LegPolicy.COMPLETE) | (row.policy == LegPolicy.UNWIND)
