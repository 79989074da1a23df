"""From a changed touch to an order request."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.flags import one_hot
from hdl.interfaces import Integrity, PairAction, PairOutcome, Side
from hdl.spec import events, ouch, registers
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Miss

PAIRS, PAIR_LISTS, PAIR_INDEX = (
    next(table for table in registers.STRATEGY.tables if table.name == name) for name in ("pairs", "pair_lists", "pair_index")
)

_DOLLAR = 10_000
"""Price from which the tick is a cent, 1/10000 dollar."""
_CENT = 100

_BID_A, _ASK_A, _BID_B, _ASK_B = range(4)


class SpreadTrigger(wiring.Component):
    """Watches pairs of slots and asks for both orders of a pair when its spread reaches a threshold.

    With touches and weights of legs a and b, ``S_sell = wa*bid_a - wb*ask_b`` and ``S_buy = wa*ask_a - wb*bid_b``, exact. Every
    pair of the changed slot's list is evaluated, and only while both books are EXACT and two-sided; a pair of a slot with itself,
    or one that does not hold the slot, never is.

    ==============  ================================================================================
    units held      action
    ==============  ================================================================================
    none            SELL_SPREAD where S_sell >= upper, else BUY_SPREAD where S_buy <= lower
    below zero      BUY_BACK where S_buy <= exit_short, else SELL_SPREAD (one more) as above
    above zero      SELL_OUT where S_sell >= exit_long, else BUY_SPREAD (one more) as above
    ==============  ================================================================================

    An action fires on its edge: it disarms itself and is armed again by an evaluation in which its threshold is not reached,
    or when its request did not leave (dropped here, or `returned`). The re-arm on return leaves out a pair that is not
    `allowed`: it would keep the gate from the others at every change. A pair whose row was just written is armed. What else
    stands in the way is a miss, one per evaluation, and leaves the action armed: PENDING, COOLDOWN, MAX_UNITS (entries),
    SIZE, in this order.

    Limits are the touch less (sales) or plus (purchases) `slippage` ticks, a tick being 1 below a dollar and 100 from there on. A
    purchase below a dollar goes no higher than the dollar, where its ticks end; no limit leaves the range 1 to
    `ouch.HIGHEST_PRICE`.

    Latency: `request` is valid 4 clocks after `bbo` where the slot's `accept` came at least 4 clocks before `bbo`; every clock by
    which it came later adds one, without any `accept` it is 8. Every later pair of the list takes one clock more.

    Overload: the next change always wins. Pairs of the list that were not begun then are lost, Miss.OVERRUN. A request the gate
    does not take in the clock in which it is offered is dropped, Miss.GATE_BUSY. A table write begins the list under way anew.

    Source: DESIGN section 6.

    Parameters
    ----------
    geometry : Geometry
        Decides slots and pairs.

    Members
    -------
    bbo : In(stream.Signature(interfaces.bbo(geometry), always_ready=True))
        Touches that changed.
    accept : In(stream.Signature(StructLayout({"slot"}), always_ready=True))
        Slot whose touch may change next.
    pairs, pair_lists, pair_index : In(stream.Signature(interfaces.table_write(...), always_ready=True))
        Rows of the host. A row of `pairs` also forgets the pair's units, latch and cooldown, and arms it.
    cooldown : In(32)
        Clocks a pair rests after its orders ended.
    clear : In(1)
        Forget all touches.
    integrity : In(ArrayLayout(Integrity, geometry.slots))
        State of each slot's book.
    done : In(stream.Signature(StructLayout({"pair", "outcome": PairOutcome}), always_ready=True))
        Both orders of a pair ended: FILLED moves its units, LEGGED latches it off.
    returned : In(stream.Signature(StructLayout({"pair"}), always_ready=True))
        A request that was taken did not leave.
    now : In(32)
        Clock count.
    request : Out(stream.Signature(interfaces.order_pair(geometry)))
        Both orders; user_ref_num and short are left 0. Offered for one clock only.
    trigger_event : Out(stream.Signature(interfaces.event(events.TRIGGER), always_ready=True))
        Record of a request that was taken, one clock later.
    miss : Out(len(Miss))
        One-clock pulses, a bit per `Miss`.
    allowed : Out(geometry.pairs)
        Pairs that are enabled and not latched off.
    """

    LATENCY = 4

    def __init__(self, geometry: Geometry):
        self._geometry = geometry
        pair = data.StructLayout({"pair": geometry.pair_bits})
        done = data.StructLayout({"pair": geometry.pair_bits, "outcome": PairOutcome})

        def write(table):
            return In(stream.Signature(interfaces.table_write(table, geometry), always_ready=True))

        super().__init__(
            {
                "bbo": In(stream.Signature(interfaces.bbo(geometry), always_ready=True)),
                "accept": In(stream.Signature(data.StructLayout({"slot": geometry.slot_bits}), always_ready=True)),
                "pairs": write(PAIRS),
                "pair_lists": write(PAIR_LISTS),
                "pair_index": write(PAIR_INDEX),
                "cooldown": In(32),
                "clear": In(1),
                "integrity": In(data.ArrayLayout(Integrity, geometry.slots)),
                "done": In(stream.Signature(done, always_ready=True)),
                "returned": In(stream.Signature(pair, always_ready=True)),
                "now": In(32),
                "request": Out(stream.Signature(interfaces.order_pair(geometry))),
                "trigger_event": Out(stream.Signature(interfaces.event(events.TRIGGER), always_ready=True)),
                "miss": Out(len(Miss)),
                "allowed": Out(geometry.pairs),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        head = self._walk(m)
        evaluated = self._arithmetic(m, head)
        self._decide(m, evaluated)
        return m

    def _walk(self, m: Module) -> data.View:
        """Fetch the pairs of a slot's list, one a clock, and hold the first until the slot's touch comes.

        Gives the pair to evaluate in this clock.
        """
        geometry = self._geometry
        slot_bits, pair_bits = geometry.slot_bits, geometry.pair_bits
        row_layout = self.pairs.payload.row.shape()
        list_layout = self.pair_lists.payload.row.shape()
        legs_layout = data.StructLayout({"a": slot_bits, "b": slot_bits})
        m.submodules.touches = touches = Memory(shape=interfaces.touch(), depth=geometry.slots, init=[])
        m.submodules.lists = lists = Memory(shape=list_layout, depth=geometry.slots, init=[])
        m.submodules.index = index = Memory(shape=pair_bits, depth=2 * geometry.pairs, init=[])
        # The legs stand a second time in fast memory: with them the other touch is fetched while the row is.
        m.submodules.legs = legs = Memory(shape=legs_layout, depth=max(2, geometry.pairs), init=[])
        m.submodules.rows = rows = Memory(shape=row_layout, depth=max(2, geometry.pairs), init=[])
        touch_read, touch_write = touches.read_port(domain="comb"), touches.write_port()
        list_read, list_write = lists.read_port(domain="comb"), lists.write_port()
        index_read, index_write = index.read_port(domain="comb"), index.write_port()
        legs_read, legs_write = legs.read_port(domain="comb"), legs.write_port()
        row_read, row_write = rows.read_port(), rows.write_port()
        written = self.pairs.payload
        m.d.comb += [
            touch_write.addr.eq(self.bbo.payload.slot),
            touch_write.data.eq(self.bbo.payload.touch),
            touch_write.en.eq(self.bbo.valid),
            list_write.addr.eq(self.pair_lists.payload.index),
            list_write.data.eq(self.pair_lists.payload.row),
            list_write.en.eq(self.pair_lists.valid),
            index_write.addr.eq(self.pair_index.payload.index),
            index_write.data.eq(self.pair_index.payload.row.pair),
            index_write.en.eq(self.pair_index.valid),
            legs_write.addr.eq(written.index),
            legs_write.data.a.eq(written.row.slot_a),
            legs_write.data.b.eq(written.row.slot_b),
            legs_write.en.eq(self.pairs.valid),
            row_write.addr.eq(written.index),
            row_write.data.eq(written.row),
            row_write.en.eq(self.pairs.valid),
        ]
        known = Signal(geometry.slots)
        m.d.sync += known.eq(known | one_hot(m, self.bbo.payload.slot, geometry.slots, self.bbo.valid))
        with m.If(self.clear):
            m.d.sync += known.eq(0)

        # A row write is applied to the pair's state when no `done` is; everything in flight begins anew around it.
        self._reset, self._reset_pair, self._reset_allowed = Signal(), Signal(pair_bits), Signal()
        writing, wrote = Signal(), Signal()
        m.d.comb += writing.eq(self.pairs.valid | self.pair_lists.valid | self.pair_index.valid)
        m.d.sync += wrote.eq(writing)
        self._flush = Signal()
        m.d.comb += self._flush.eq(writing | wrote | self._reset)

        active, go = Signal(), Signal()
        slot = Signal(slot_bits)
        current = Signal(self.bbo.payload.shape())
        next_slot, next_valid = Signal(slot_bits), Signal()

        pointer, left = Signal(range(2 * geometry.pairs)), Signal(len(list_read.data.count))
        one = Signal(data.StructLayout({"valid": 1, "pair": pair_bits}))
        two = Signal(data.StructLayout({"valid": 1, "pair": pair_bits, "legs": legs_layout}))
        three = Signal(
            data.StructLayout(
                {
                    "valid": 1,
                    "pair": pair_bits,
                    "is_a": 1,
                    "held": 1,
                    "other_known": 1,
                    "other": interfaces.touch(),
                    "row": row_layout,
                }
            )
        )
        hit, take, advance, over, rerun = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            hit.eq(self.bbo.valid & active & ~go & (self.bbo.payload.slot == slot) & ~self._flush),
            take.eq(three.valid & (go | hit) & ~self._flush),
            advance.eq(~three.valid | take),
            over.eq(active & (go | hit) & (left == 0) & ~one.valid & ~two.valid & advance),
            rerun.eq(self.bbo.valid & ~hit),
        ]
        other_slot = Mux(two.legs.a == slot, two.legs.b, two.legs.a)
        m.d.comb += [
            index_read.addr.eq(pointer),
            legs_read.addr.eq(one.pair),
            row_read.addr.eq(one.pair),
            row_read.en.eq(advance),
            touch_read.addr.eq(other_slot),
        ]
        with m.If(advance):
            m.d.sync += [
                one.valid.eq(active & (left != 0)),
                one.pair.eq(index_read.data),
                pointer.eq(pointer + 1),
                left.eq(Mux(left == 0, 0, left - 1)),
                two.valid.eq(one.valid),
                two.pair.eq(one.pair),
                two.legs.eq(legs_read.data),
                three.valid.eq(two.valid),
                three.pair.eq(two.pair),
                three.is_a.eq(two.legs.a == slot),
                three.held.eq((two.legs.a == slot) ^ (two.legs.b == slot)),
                three.other_known.eq(known.bit_select(other_slot, 1)),
                three.other.eq(touch_read.data),
                three.row.eq(row_read.data),
            ]
        with m.If(hit):
            m.d.sync += [go.eq(1), current.eq(self.bbo.payload)]
        with m.If(over):
            m.d.sync += [active.eq(0), go.eq(0)]

        start = Signal()
        start_slot = Signal(slot_bits)
        m.d.comb += list_read.addr.eq(start_slot)
        prefetch = Signal()
        # A slot that was accepted while a list is walked waits for the clock after its end: `over` comes too late in its own.
        m.d.comb += prefetch.eq((self.accept.valid | next_valid) & ~(active & go) & ~hit)
        with m.If(rerun):
            m.d.comb += [start.eq(1), start_slot.eq(self.bbo.payload.slot)]
            m.d.sync += [go.eq(1), current.eq(self.bbo.payload)]
        with m.Elif(self._flush):
            m.d.comb += [start.eq(active), start_slot.eq(slot)]
        with m.Elif(prefetch):
            m.d.comb += [start.eq(1), start_slot.eq(Mux(self.accept.valid, self.accept.payload.slot, next_slot))]
            m.d.sync += [go.eq(0), next_valid.eq(0)]
        with m.If(self.accept.valid & ~(prefetch & ~rerun & ~self._flush)):
            m.d.sync += [next_slot.eq(self.accept.payload.slot), next_valid.eq(1)]
        with m.If(start):
            m.d.sync += [
                active.eq(1),
                slot.eq(start_slot),
                pointer.eq(list_read.data.first),
                left.eq(list_read.data.count),
                one.valid.eq(0),
                two.valid.eq(0),
                three.valid.eq(0),
            ]
        with m.If(self.clear):
            m.d.sync += [active.eq(0), go.eq(0), next_valid.eq(0), one.valid.eq(0), two.valid.eq(0), three.valid.eq(0)]
        self._overrun = Signal()
        m.d.comb += self._overrun.eq(self.bbo.valid & active & go & ~over)

        head = Signal(
            data.StructLayout(
                {
                    "valid": 1,
                    "pair": pair_bits,
                    "a": interfaces.touch(),
                    "b": interfaces.touch(),
                    "row": row_layout,
                    "cause": self.bbo.payload.shape(),
                }
            )
        )
        mine = Mux(go, current.touch, self.bbo.payload.touch)
        m.d.comb += [
            head.valid.eq(take & three.held & three.other_known & ~self.clear),
            head.pair.eq(three.pair),
            head.a.eq(Mux(three.is_a, mine, three.other)),
            head.b.eq(Mux(three.is_a, three.other, mine)),
            head.row.eq(three.row),
            head.cause.eq(Mux(go, current, self.bbo.payload)),
        ]
        return head

    def _arithmetic(self, m: Module, head: data.View) -> data.View:
        """Three clocks from touches to what the decision hangs on."""
        geometry = self._geometry
        row_layout = self.pairs.payload.row.shape()
        common = {"valid": 1, "pair": geometry.pair_bits, "row": row_layout, "cause": self.bbo.payload.shape()}
        kill = self._flush | self.clear

        def carry(late, early) -> None:
            m.d.sync += [late[name].eq(early[name]) for name in common]
            m.d.sync += late.valid.eq(early.valid & ~kill)

        # Clock 0: partial products of the four touches; prices are cut at 18 bits, the size of a multiplier.
        part = len(head.row.weight_a)
        first = Signal(
            data.StructLayout(
                common
                | {
                    "low": data.ArrayLayout(2 * part, 4),
                    "high": data.ArrayLayout(32, 4),
                    "price": data.ArrayLayout(32, 4),
                    "shares": data.ArrayLayout(32, 4),
                    "two_sided": 1,
                }
            )
        )
        carry(first, head)
        prices = (head.a.bid_price, head.a.ask_price, head.b.bid_price, head.b.ask_price)
        shares = (head.a.bid_shares, head.a.ask_shares, head.b.bid_shares, head.b.ask_shares)
        weights = (head.row.weight_a, head.row.weight_a, head.row.weight_b, head.row.weight_b)
        for number, (price, count, weight) in enumerate(zip(prices, shares, weights, strict=True)):
            m.d.sync += [
                first.low[number].eq(price[:part] * weight),
                first.high[number].eq(price[part:] * weight),
                first.price[number].eq(price),
                first.shares[number].eq(count),
            ]
        m.d.sync += first.two_sided.eq(
            (head.a.bid_price != 0) & (head.a.ask_price != 0) & (head.b.bid_price != 0) & (head.b.ask_price != 0)
        )

        # Clock 1: differences of the parts, allowances; what the pair's state has to say is read here.
        second = Signal(
            data.StructLayout(
                common
                | {
                    "low": data.ArrayLayout(signed(2 * part + 1), 2),
                    "high": data.ArrayLayout(signed(33), 2),
                    "price": data.ArrayLayout(32, 4),
                    "allowance": data.ArrayLayout(range(255 * _CENT + 1), 4),
                    "cheap": 4,
                    "covered": 4,
                    "two_sided": 1,
                    "units": signed(9),
                    "elapsed": 32,
                    "cooling": 1,
                    "was_pending": 1,
                }
            )
        )
        # Where nothing is evaluated, the pairs take turns, so that every rest that is over is struck off long before the clock
        # count could come round again.
        looked_up, walker = Signal(geometry.pair_bits), Signal(geometry.pair_bits)
        m.d.comb += looked_up.eq(Mux(first.valid, first.pair, walker))
        with m.If(~first.valid):
            m.d.sync += walker.eq(Mux(walker == geometry.pairs - 1, 0, walker + 1))
        rest_over = Signal()
        m.d.comb += rest_over.eq(second.cooling & (second.elapsed >= self.cooldown))
        units, started = self._state(m, looked_up, one_hot(m, second.pair, geometry.pairs, rest_over))
        carry(second, first)
        for number, (gain, cost) in enumerate(((_BID_A, _ASK_B), (_ASK_A, _BID_B))):
            m.d.sync += [
                second.low[number].eq(first.low[gain] - first.low[cost]),
                second.high[number].eq(first.high[gain] - first.high[cost]),
            ]
        sizes = (first.row.size_a, first.row.size_a, first.row.size_b, first.row.size_b)
        for number, size in enumerate(sizes):
            cheap = first.price[number] < _DOLLAR
            m.d.sync += [
                second.price[number].eq(first.price[number]),
                second.allowance[number].eq(Mux(cheap, first.row.slippage, first.row.slippage * _CENT)),
                second.cheap[number].eq(cheap),
                second.covered[number].eq(first.shares[number] >= size),
            ]
        m.d.sync += [
            second.pair.eq(looked_up),
            second.two_sided.eq(first.two_sided),
            second.units.eq(units),
            second.elapsed.eq(self.now - started),
            # A rest that begins in this clock has another start than the one just read.
            second.cooling.eq(
                self._cooling.bit_select(looked_up, 1) & ~(self.done.valid & (self.done.payload.pair == looked_up))
            ),
            second.was_pending.eq(self._pending.bit_select(looked_up, 1)),
        ]

        # Clock 2: spreads and thresholds, each in one carry chain; limits.
        third = Signal(
            data.StructLayout(
                common
                | {
                    "spread": data.ArrayLayout(signed(52), 2),
                    "reached": data.ArrayLayout(1, len(PairAction)),
                    "limit": data.ArrayLayout(signed(34), 4),
                    "cheap": 4,
                    "usable": 1,
                    "covers_sale": 1,
                    "covers_purchase": 1,
                    "units": signed(9),
                    "at_most": 1,
                    "resting": 1,
                    "was_pending": 1,
                }
            )
        )
        carry(third, second)
        sale, purchase = Signal(signed(52)), Signal(signed(52))
        for total, high, low in zip((sale, purchase), second.high, second.low, strict=True):
            m.d.comb += total.eq(Cat(Const(0, part), high).as_signed() + low)
        row = second.row
        m.d.sync += [
            third.spread[0].eq(sale),
            third.spread[1].eq(purchase),
            third.reached[PairAction.SELL_SPREAD.value].eq(sale >= row.upper),
            third.reached[PairAction.BUY_SPREAD.value].eq(purchase <= row.lower),
            third.reached[PairAction.BUY_BACK.value].eq(purchase <= row.exit_short),
            third.reached[PairAction.SELL_OUT.value].eq(sale >= row.exit_long),
        ]
        for number in range(4):
            buying = number in (_ASK_A, _ASK_B)
            price, allowance = second.price[number], second.allowance[number]
            m.d.sync += third.limit[number].eq(price + allowance if buying else price - allowance)
        magnitude = Mux(second.units < 0, -second.units, second.units)
        inexact = Cat(self.integrity[slot] != Integrity.EXACT for slot in range(geometry.slots))

        def is_inexact(slot):
            return inexact.bit_select(slot[: geometry.slot_bits], 1)

        m.d.sync += [
            third.cheap.eq(second.cheap),
            third.usable.eq(second.two_sided & ~is_inexact(row.slot_a) & ~is_inexact(row.slot_b)),
            third.covers_sale.eq(second.covered[_BID_A] & second.covered[_ASK_B]),
            third.covers_purchase.eq(second.covered[_ASK_A] & second.covered[_BID_B]),
            third.units.eq(second.units),
            third.at_most.eq(magnitude >= row.max_units),
            third.resting.eq(second.cooling & ~rest_over),
            third.was_pending.eq(second.was_pending),
        ]
        return third

    def _state(self, m: Module, pair, rest_over) -> tuple:
        """What is remembered of each pair, and how orders that end change it.

        Gives the units of `pair` and the start of its rest; `rest_over` has a bit for each pair whose rest is to be struck off.
        """
        pairs = self._geometry.pairs
        depth = max(2, pairs)
        m.submodules.units = units = Memory(shape=signed(9), depth=depth, init=[])
        m.submodules.started = started = Memory(shape=32, depth=depth, init=[])
        m.submodules.actions = actions = Memory(shape=PairAction, depth=depth, init=[])
        units_read, units_own, units_write = units.read_port(domain="comb"), units.read_port(domain="comb"), units.write_port()
        started_read, started_write = started.read_port(domain="comb"), started.write_port()
        done_action, self._last_action = actions.read_port(domain="comb"), actions.read_port(domain="comb")
        self._action_write = actions.write_port()

        done = self.done.payload
        sold = (done_action.data == PairAction.SELL_SPREAD) | (done_action.data == PairAction.SELL_OUT)
        m.d.comb += [
            units_read.addr.eq(pair),
            started_read.addr.eq(pair),
            done_action.addr.eq(done.pair),
            units_own.addr.eq(done.pair),
            started_write.addr.eq(done.pair),
            started_write.data.eq(self.now),
            started_write.en.eq(self.done.valid),
            units_write.addr.eq(Mux(self.done.valid, done.pair, self._reset_pair)),
            units_write.data.eq(Mux(self.done.valid, Mux(sold, units_own.data - 1, units_own.data + 1), 0)),
            units_write.en.eq(Mux(self.done.valid, done.outcome == PairOutcome.FILLED, self._reset)),
        ]

        # One bit a pair. `back`: its last request did not leave, so what that disarmed is armed again.
        self._pending, self._cooling, self._back = Signal(pairs), Signal(pairs), Signal(pairs)
        self._fired, self._dropped, self._judged = Signal(pairs), Signal(pairs), Signal(pairs)
        apply = Signal()
        m.d.comb += apply.eq(self._reset & ~self.done.valid)
        ended = one_hot(m, done.pair, pairs, self.done.valid)
        legged = ended & (done.outcome == PairOutcome.LEGGED).replicate(pairs)
        rewritten = one_hot(m, self._reset_pair, pairs, apply)
        came_back = self._dropped | one_hot(m, self.returned.payload.pair, pairs, self.returned.valid)
        m.d.sync += [
            self._pending.eq((self._pending & ~(came_back | ended)) | self._fired),
            self._cooling.eq(((self._cooling & ~rest_over) | ended) & ~rewritten),
            self._back.eq((self._back & ~self._judged) | (came_back & self.allowed)),
            self.allowed.eq((self.allowed & ~(legged | rewritten)) | (rewritten & self._reset_allowed.replicate(pairs))),
        ]
        with m.If(apply):
            m.d.sync += self._reset.eq(0)
        with m.If(self.pairs.valid):
            m.d.sync += [
                self._reset.eq(1),
                self._reset_pair.eq(self.pairs.payload.index),
                self._reset_allowed.eq(self.pairs.payload.row.enabled),
            ]
        return units_read.data, started_read.data

    def _disarmed(self, m: Module, pair, judged, reached, fired):
        """Actions of `pair` that are disarmed, one bit each; `judged` arms those not reached, `fired` disarms those it names.

        They outlive a reset as the rows do; a pair is not allowed before its row is written again, which arms all of it.
        """
        m.submodules.disarmed = disarmed = Memory(shape=len(PairAction), depth=max(2, self._geometry.pairs), init=[])
        read, write = disarmed.read_port(domain="comb"), disarmed.write_port()
        last = Cat(self._last_action.data == kind for kind in PairAction)
        now = read.data & ~(last & self._back.bit_select(pair, 1).replicate(len(PairAction)))
        m.d.comb += [
            read.addr.eq(pair),
            self._last_action.addr.eq(pair),
            write.addr.eq(Mux(self._reset, self._reset_pair, pair)),
            write.data.eq(Mux(self._reset, 0, (now & reached) | fired)),
            write.en.eq(self._reset | judged),
            self._judged.eq(one_hot(m, pair, self._geometry.pairs, judged)),
        ]
        return now

    def _decide(self, m: Module, spread: data.View) -> None:
        """Choose the action, and offer its orders or say why not."""
        row, pair = spread.row, spread.pair
        reached = spread.reached
        short, flat = spread.units < 0, spread.units == 0
        leaving = Mux(short, reached[PairAction.BUY_BACK.value], ~flat & reached[PairAction.SELL_OUT.value])
        more_sales = reached[PairAction.SELL_SPREAD.value] & (short | flat)
        more_buys = reached[PairAction.BUY_SPREAD.value] & ~short
        action = Signal(PairAction)
        m.d.comb += action.eq(
            Mux(
                leaving,
                Mux(short, PairAction.BUY_BACK, PairAction.SELL_OUT),
                Mux(more_sales, PairAction.SELL_SPREAD, PairAction.BUY_SPREAD),
            )
        )
        selling = Signal()
        m.d.comb += selling.eq((action == PairAction.SELL_SPREAD) | (action == PairAction.SELL_OUT))
        counted = spread.valid & spread.usable
        fire = Signal()
        chosen = Cat(action == kind for kind in PairAction)
        disarmed = self._disarmed(m, pair, counted, Cat(*reached), chosen & fire.replicate(len(PairAction)))
        wanted = counted & (leaving | more_sales | more_buys) & ~(disarmed & chosen).any()
        pending = spread.was_pending | self._pending.bit_select(pair, 1)
        at_most = spread.at_most & ~leaving
        covered = Mux(selling, spread.covers_sale, spread.covers_purchase)
        causes = {Miss.PENDING: pending, Miss.COOLDOWN: spread.resting, Miss.MAX_UNITS: at_most, Miss.SIZE: ~covered}
        missed = Signal(len(Miss))
        free = wanted & ~(self._flush | self.clear)
        for cause, holds in causes.items():
            m.d.comb += missed[cause].eq(free & holds)
            free = free & ~holds
        m.d.comb += fire.eq(free)

        m.d.comb += [
            self._action_write.addr.eq(pair),
            self._action_write.data.eq(action),
            self._action_write.en.eq(fire),
            self._fired.eq(one_hot(m, pair, self._geometry.pairs, fire)),
        ]

        asked = Signal(self.request.payload.shape())
        value = Signal(signed(52))
        legs = ((row.slot_a, row.size_a, _BID_A, _ASK_A), (row.slot_b, row.size_b, _BID_B, _ASK_B))
        for number, (slot, size, bid, ask) in enumerate(legs):
            sale = selling if number == 0 else ~selling
            leg = asked.legs[number]
            lowest = Mux(
                spread.limit[bid] < 1, 1, Mux(spread.limit[bid] > ouch.HIGHEST_PRICE, ouch.HIGHEST_PRICE, spread.limit[bid])
            )
            ceiling = Mux(spread.cheap[ask], _DOLLAR, ouch.HIGHEST_PRICE)
            highest = Mux(spread.limit[ask] > ceiling, ceiling, spread.limit[ask])
            m.d.comb += [
                leg.slot.eq(slot),
                leg.side.eq(Mux(sale, Side.SELL, Side.BUY)),
                leg.quantity.eq(size),
                leg.price.eq(Mux(sale, lowest, highest)),
            ]
        m.d.comb += [
            asked.pair.eq(pair),
            asked.action.eq(action),
            asked.type.eq(spread.cause.type),
            asked.sequence.eq(spread.cause.sequence),
            asked.som.eq(spread.cause.som),
            asked.eot.eq(spread.cause.eot),
            value.eq(Mux(selling, spread.spread[0], spread.spread[1])),
        ]
        offered_value = Signal(signed(52))
        m.d.sync += [self.request.valid.eq(fire), self.request.payload.eq(asked), offered_value.eq(value)]

        # Offered for one clock: what waited would be stale.
        dropped = Signal()
        offer = self.request.payload
        m.d.comb += [
            dropped.eq(self.request.valid & ~self.request.ready),
            self._dropped.eq(one_hot(m, offer.pair, self._geometry.pairs, dropped)),
        ]
        record = self.trigger_event.payload
        m.d.sync += [
            self.trigger_event.valid.eq(self.request.valid & self.request.ready),
            record.sequence.eq(offer.sequence),
            record.cycle.eq(self.now),
            record.spread.eq(offered_value),
            record.pair.eq(offer.pair),
            record.action.eq(offer.action),
        ]
        m.d.sync += [
            self.miss.eq(missed),
            self.miss[Miss.OVERRUN].eq(self._overrun),
            self.miss[Miss.GATE_BUSY].eq(dropped),
        ]
