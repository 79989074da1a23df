"""From a changed touch to an order request."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.interfaces import Integrity, PairAction, PairOutcome, Side
from hdl.spec import events, ouch, registers
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Miss
from hdl.spec.statistics import HIGHEST_SPREAD, SAMPLE_BITS
from hdl.strategy.spread_statistics import thresholds

PAIRS, PAIR_LEGS, PAIR_LISTS, PAIR_INDEX = (
    next(table for table in registers.STRATEGY.tables if table.name == name)
    for name in ("pairs", "pair_legs", "pair_lists", "pair_index")
)

_DOLLAR = 10_000
"""Price from which the tick is a cent, 1/10000 dollar."""
_CENT = 100

_BID_A, _ASK_A, _BID_B, _ASK_B = range(4)

_KEPT = ("enabled", "weight_a", "weight_b", "size_a", "size_b", "max_units", "slippage", "adaptive")
"""What of a row is looked up with every evaluation, beside the legs and the thresholds."""
_NEVER = {"upper": HIGHEST_SPREAD, "lower": ~HIGHEST_SPREAD, "exit_short": ~HIGHEST_SPREAD, "exit_long": HIGHEST_SPREAD}
"""Thresholds no spread reaches."""
_MOST_USED, _MOST_REJECTS = (
    (1 << next(column.bits for column in PAIRS.columns if column.name == name)) - 2 for name in ("max_triggers", "max_rejects")
)
"""Triggers, and rejects in a row, counted; one more would be no limit."""


def below_a_dollar(price: Value) -> Value:
    """Where ticks are smaller."""
    return price < _DOLLAR


def allowance(price: Value, slippage: Value) -> Value:
    """What `slippage` ticks beyond a price come to."""
    return Mux(below_a_dollar(price), slippage, slippage * _CENT)


def sale_limit(limit: Value, lowest: Value) -> Value:
    """Limit of a sale: a price less its allowance, `lowest` where that is below the lowest price there is."""
    return Mux(lowest, 1, Mux(limit >= ouch.HIGHEST_PRICE + 1, ouch.HIGHEST_PRICE, limit))


def purchase_limit(limit: Value, cheap: Value) -> Value:
    """Limit of a purchase: a price and its allowance, `cheap` where the price is below a dollar."""
    ceiling = Mux(cheap, _DOLLAR, ouch.HIGHEST_PRICE)
    return Mux(ceiling < limit, ceiling, limit)


class SpreadTrigger(wiring.Component):
    """Watches pairs of slots and asks for both orders of a pair when its spread reaches a threshold.

    With touches and weights of legs a and b, ``S_sell = wa*bid_a - wb*ask_b`` and ``S_buy = wa*ask_a - wb*bid_b``, exact. Every
    pair of the changed slot's list is evaluated, and only while both books are EXACT and two-sided; a pair of a slot with itself,
    or one that does not hold the slot, never is. A pair that a list names twice within three entries is evaluated once.

    ==============  ================================================================================
    units held      action
    ==============  ================================================================================
    none            SELL_SPREAD where S_sell >= upper, else BUY_SPREAD where S_buy <= lower
    below zero      BUY_BACK where S_buy <= exit_short, else SELL_SPREAD (one more) as above
    above zero      SELL_OUT where S_sell >= exit_long, else BUY_SPREAD (one more) as above
    ==============  ================================================================================

    An action fires on its edge: it disarms itself and is armed again by an evaluation in which its threshold is not reached,
    or when its request was `returned`; one that was dropped here counts as never made. The re-arm on return leaves out a pair
    that is not `allowed`: it would keep the gate from the others at every change.
    What else stands in the way is a miss, one per evaluation, and leaves the action armed: ALLOWANCE, REJECTS, PENDING, COOLDOWN,
    MAX_UNITS (entries), SIZE, in this order. The allowance is used up when the orders of the `max_triggers`-th request that left,
    or of a later one, have ended; nothing but a restart gives another. REJECTS is told from the end of the `max_rejects`-th
    request in a row on, or a later one, of which an order was rejected, until a restart.

    Two sets. Rows of `pairs` lie in two banks: pairs are evaluated by those of `bank`, rows of the host go to the other. While
    `hold` is high no evaluation is begun; the list under way begins anew behind it. The last request by the old set is offered
    `DRAIN` clocks after `hold` came; from then on `bank`, and `cooldown` with it, may change while it is high. What is
    remembered of a pair does not change with it: that is forgotten when the pair's legs are written, and then it is armed.

    An adaptive pair's thresholds are never reached until `thresholds` brings some under the set in force, and those it brought
    last from then on. They
    are looked up before the touch comes, with the row: a change is judged by those that stood then. Every evaluation of such a
    pair is also a `sample`, where neither leg is locked or crossed.

    Limits are the touch less (sales) or plus (purchases) `slippage` ticks, a tick being 1 below a dollar and 100 from there on. A
    purchase below a dollar goes no higher than the dollar, where its ticks end; no limit leaves the range 1 to
    `ouch.HIGHEST_PRICE`.

    Latency: `request` is valid 4 clocks after `bbo` where the slot's `accept` came at least `LEAD` clocks before `bbo`, 9 where
    it came later or not at all. Every later pair of the list takes one clock more, and where the first one waited for its touch
    there is one clock between it and the second.

    What is remembered of pairs is written over in the first clocks after a reset, of touches also after `clear`, a row each
    clock: no legs may be written and no touch may come meanwhile (the greater of slots and pairs).

    Overload: the next change always wins. Pairs of the list that were not begun then are lost, Miss.OVERRUN. A request the gate
    does not take in the clock in which it is offered is dropped, Miss.GATE_BUSY. A write of legs, lists or index begins the list
    under way anew. Legs are not taken (`pair_legs.ready`) while ends of orders keep those before them waiting.

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
        Rows of the host; those of `pairs` for the bank that is not in force.
    pair_legs : In(stream.Signature(interfaces.table_write(PAIR_LEGS, geometry)))
        Legs of a pair; also forgets the pair's units, latch, cooldown and allowance used, and arms it.
    bank : In(1)
        Bank in force.
    hold : In(1)
        Begin no evaluation.
    cooldown : In(32)
        Clocks a pair rests after its orders ended.
    clear : In(1)
        Forget all touches.
    integrity : In(ArrayLayout(Integrity, geometry.slots))
        State of each slot's book.
    done : In(stream.Signature(interfaces.pair_done(geometry), always_ready=True))
        Both orders of a pair ended: FILLED moves its units, LEGGED latches it off; whether one was rejected.
    returned : In(stream.Signature(StructLayout({"pair", "allowed"}), always_ready=True))
        A request that was taken did not leave; what `allowed` said of it.
    now : In(32)
        Clock count.
    request : Out(stream.Signature(interfaces.order_pair(geometry)))
        Both orders; epoch, user_ref_num and short are left 0. Offered for one clock only.
    epoch : In(8)
        What `trigger_event` bears.
    trigger_event : Out(stream.Signature(interfaces.event(events.TRIGGER), always_ready=True))
        Record of a request that was taken, one clock later.
    miss : Out(len(Miss))
        One-clock pulses, a bit per `Miss`.
    allowed : Out(1)
        The pair of `request` is enabled and not latched off.
    thresholds : In(stream.Signature(StructLayout({"pair", "thresholds"})))
        New thresholds of an adaptive pair. Taken in any clock in which neither row nor legs are written nor these are looked up.
    sample : Out(stream.Signature(StructLayout({"pair", "sell", "buy"}), always_ready=True))
        Both spreads of an adaptive pair, three clocks after `bbo` for the first pair.
    """

    LATENCY = 4
    LEAD = 5
    DRAIN = 3

    def __init__(self, *, geometry: Geometry):
        self._geometry = geometry
        returned = data.StructLayout({"pair": geometry.pair_bits, "allowed": 1})
        sample = data.StructLayout({"pair": geometry.pair_bits, "sell": signed(SAMPLE_BITS), "buy": signed(SAMPLE_BITS)})

        def write(table):
            return In(stream.Signature(interfaces.table_write(table, geometry), always_ready=True))

        super().__init__(
            {
                "bbo": In(stream.Signature(interfaces.bbo(geometry), always_ready=True)),
                "accept": In(stream.Signature(data.StructLayout({"slot": geometry.slot_bits}), always_ready=True)),
                "pairs": write(PAIRS),
                "pair_legs": In(stream.Signature(interfaces.table_write(PAIR_LEGS, geometry))),
                "bank": In(1),
                "hold": In(1),
                "epoch": In(8),
                "pair_lists": write(PAIR_LISTS),
                "pair_index": write(PAIR_INDEX),
                "cooldown": In(32),
                "clear": In(1),
                "integrity": In(data.ArrayLayout(Integrity, geometry.slots)),
                "done": In(stream.Signature(interfaces.pair_done(geometry), always_ready=True)),
                "returned": In(stream.Signature(returned, always_ready=True)),
                "now": In(32),
                "request": Out(stream.Signature(interfaces.order_pair(geometry))),
                "trigger_event": Out(stream.Signature(interfaces.event(events.TRIGGER), always_ready=True)),
                "miss": Out(len(Miss)),
                "allowed": Out(1),
                "thresholds": In(stream.Signature(data.StructLayout({"pair": geometry.pair_bits, "thresholds": thresholds()}))),
                "sample": Out(stream.Signature(sample, always_ready=True)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        # What was decided a clock ago, on its way into memory.
        self._decided = Signal(
            data.StructLayout({"valid": 1, "pair": self._geometry.pair_bits, "state": self._fired_layout()})
        )
        self._enabled = Signal()
        self._sweep(m)
        head, void = self._walk(m)
        evaluated = self._arithmetic(m, head, void)
        self._decide(m, evaluated, void)
        return m

    def _sweep(self, m: Module) -> None:
        """Memories outlive a reset: all that is remembered of touches and pairs is written over then, one row a clock. `clear`
        does so with the touches alone."""
        geometry = self._geometry
        self._swept = swept = Signal(range(max(geometry.pairs, geometry.slots)))
        self._sweeping, self._sweeps_pairs = Signal(init=1), Signal(init=1)
        with m.If(self.clear):
            m.d.sync += [swept.eq(0), self._sweeping.eq(1)]
        with m.Elif(swept == max(geometry.pairs, geometry.slots) - 1):
            m.d.sync += [self._sweeping.eq(0), self._sweeps_pairs.eq(0)]
        with m.Else():
            m.d.sync += swept.eq(swept + 1)

    def _walk(self, m: Module) -> tuple[data.View, Signal]:
        """Fetch the pairs of a slot's list, one a clock, and hold the first until the slot's touch comes.

        Gives the pair to evaluate in this clock, and whether all that is under way is void.
        """
        geometry = self._geometry
        slot_bits, pair_bits = geometry.slot_bits, geometry.pair_bits
        hot_layout, row_layout = self._hot_layout(), self._row_layout()
        list_layout = self.pair_lists.payload.row.shape()
        legs_layout = data.StructLayout({"a": slot_bits, "b": slot_bits})
        m.submodules.touches = touches = Memory(shape=interfaces.touch(), depth=geometry.slots, init=[])
        m.submodules.lists = lists = Memory(shape=list_layout, depth=geometry.slots, init=[])
        m.submodules.index = index = Memory(shape=pair_bits, depth=2 * geometry.pairs, init=[])
        # The legs stand a second time in fast memory: with them the other touch is fetched while the row is.
        m.submodules.legs = legs = Memory(shape=legs_layout, depth=max(2, geometry.pairs), init=[])
        # What is read is in force and what the host writes is not, so the memory need not say what a read of the same row gives.
        attributes = {"ram_style": "block", "no_rw_check": 1}
        m.submodules.rows = rows = Memory(shape=hot_layout, depth=2 << pair_bits, init=[], attrs=attributes)
        m.submodules.edges = edges = Memory(shape=thresholds(), depth=2 << pair_bits, init=[], attrs=attributes)
        touch_read, touch_write = touches.read_port(domain="comb"), touches.write_port()
        list_read, list_write = lists.read_port(domain="comb"), lists.write_port()
        index_read, index_write = index.read_port(domain="comb"), index.write_port()
        legs_read, legs_write = legs.read_port(domain="comb"), legs.write_port()
        row_read, row_write = rows.read_port(domain="comb"), rows.write_port()
        edge_read, edge_write = edges.read_port(domain="comb"), edges.write_port()
        found = self.thresholds.payload
        written, own_legs = self.pairs.payload, self.pair_legs
        m.d.comb += [
            touch_write.addr.eq(Mux(self.bbo.valid, self.bbo.payload.slot, self._swept)),
            touch_write.data.eq(Value.cast(self.bbo.payload.touch) & self.bbo.valid.replicate(len(touch_write.data.as_value()))),
            touch_write.en.eq(self.bbo.valid | self._sweeping),
            list_write.addr.eq(self.pair_lists.payload.index),
            list_write.data.eq(self.pair_lists.payload.row),
            list_write.en.eq(self.pair_lists.valid),
            index_write.addr.eq(self.pair_index.payload.index),
            index_write.data.eq(self.pair_index.payload.row.pair),
            index_write.en.eq(self.pair_index.valid),
            legs_write.addr.eq(own_legs.payload.index),
            legs_write.data.a.eq(own_legs.payload.row.slot_a),
            legs_write.data.b.eq(own_legs.payload.row.slot_b),
            legs_write.en.eq(own_legs.valid & own_legs.ready),
            row_write.addr.eq(Cat(written.index, ~self.bank)),
            *(row_write.data[name].eq(written.row[name]) for name in _KEPT),
            row_write.en.eq(self.pairs.valid),
            edge_write.addr.eq(Mux(self.pairs.valid, Cat(written.index, ~self.bank), Cat(found.pair, self.bank))),
            edge_write.data.eq(found.thresholds),
            edge_write.en.eq(self.pairs.valid | (self.thresholds.valid & self.thresholds.ready)),
        ]
        with m.If(self.pairs.valid):
            for name, never in _NEVER.items():
                m.d.comb += edge_write.data[name].eq(Mux(written.row.adaptive, never, written.row[name]))

        # New legs are applied to the pair's state when no `done` is; everything in flight begins anew around them.
        self._reset, self._reset_pair = Signal(), Signal(pair_bits)
        writes, wrote, writing = Signal(), Signal(), Signal()
        m.d.comb += writes.eq(own_legs.valid | self.pair_lists.valid | self.pair_index.valid)
        m.d.sync += [wrote.eq(writes), writing.eq(writes | wrote)]
        void = writing | self._reset | self.clear
        # What is evaluated already ends by its set; the walk begins anew by the next.
        kill = void | self.hold

        # `fetch`: the list of `slot` is looked up. `go`: the touch has come, the pairs of the list follow each other.
        active, fetch, go = Signal(), Signal(), Signal()
        slot = Signal(slot_bits)
        current = Signal(self.bbo.payload.shape())
        next_slot, next_valid = Signal(slot_bits), Signal()
        self._cause = current

        pointer, left = Signal(range(2 * geometry.pairs)), Signal(len(list_read.data.count))
        one = Signal(data.StructLayout({"valid": 1, "pair": pair_bits}))
        two = Signal(data.StructLayout({"valid": 1, "pair": pair_bits, "legs": legs_layout}))
        two_row, two_edges = Signal(hot_layout, reset_less=True), Signal(thresholds(), reset_less=True)
        three = Signal(
            data.StructLayout(
                {
                    "valid": 1,
                    "pair": pair_bits,
                    "held": 1,
                    "a": interfaces.touch(),
                    "b": interfaces.touch(),
                    "awaits_a": 1,
                    "awaits_b": 1,
                    "row": row_layout,
                }
            )
        )
        hit, advance, over = Signal(), Signal(), Signal()
        awaited = active & ~go & ~fetch & three.valid
        m.d.comb += [
            hit.eq(self.bbo.valid & awaited & (self.bbo.payload.slot == slot) & ~kill),
            # Nothing wide hangs on the touch that comes in this clock: the pair it meets leaves its place empty for a clock.
            advance.eq(~three.valid | go),
            over.eq(active & go & ~fetch & (left == 0) & ~one.valid & ~two.valid & ~kill),
            # What a memory gives of a row that is being written is nothing to trade on.
            self.thresholds.ready.eq(~self.pairs.valid & ~own_legs.valid & ~(advance & one.valid & (one.pair == found.pair))),
        ]
        is_a = two.legs.a == slot
        other_slot = Mux(is_a, two.legs.b, two.legs.a)
        m.d.comb += [
            list_read.addr.eq(slot),
            index_read.addr.eq(pointer),
            legs_read.addr.eq(one.pair),
            row_read.addr.eq(Cat(one.pair, self.bank)),
            edge_read.addr.eq(Cat(one.pair, self.bank)),
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
                two_row.eq(row_read.data),
                two_edges.eq(edge_read.data),
                three.valid.eq(two.valid),
                three.pair.eq(two.pair),
                three.held.eq(is_a ^ (two.legs.b == slot)),
                three.a.eq(Mux(is_a, current.touch, touch_read.data)),
                three.b.eq(Mux(is_a, touch_read.data, current.touch)),
                three.awaits_a.eq(is_a & ~go),
                three.awaits_b.eq(~is_a & ~go),
                three.row.eq(Cat(two_row, two_edges, two.legs)),
            ]
        with m.If(fetch):
            m.d.sync += [fetch.eq(0), pointer.eq(list_read.data.first), left.eq(list_read.data.count)]
            m.d.sync += [one.valid.eq(0), two.valid.eq(0), three.valid.eq(0)]
        with m.If(over):
            m.d.sync += [active.eq(0), go.eq(0)]
        with m.If(hit):
            m.d.sync += [go.eq(1), three.valid.eq(0)]
        with m.If(self.bbo.valid):
            m.d.sync += current.eq(self.bbo.payload)

        start = Signal()
        # A slot that was accepted while a list is walked waits for its end.
        prefetch = (self.accept.valid | next_valid) & ~(active & go) & ~hit
        with m.If(self.bbo.valid & ~hit):
            m.d.comb += start.eq(1)
            m.d.sync += [go.eq(1), slot.eq(self.bbo.payload.slot)]
        with m.Elif(kill):
            m.d.comb += start.eq(active)
        with m.Elif(prefetch):
            m.d.comb += start.eq(1)
            m.d.sync += [slot.eq(Mux(self.accept.valid, self.accept.payload.slot, next_slot)), go.eq(0), next_valid.eq(0)]
        with m.If(self.accept.valid & (self.bbo.valid | kill | (active & go))):
            m.d.sync += [next_slot.eq(self.accept.payload.slot), next_valid.eq(1)]
        with m.If(start):
            m.d.sync += [active.eq(1), fetch.eq(1)]
        with m.If(self.clear):
            m.d.sync += [active.eq(0), go.eq(0), next_valid.eq(0)]
        self._overrun = Signal()
        m.d.comb += self._overrun.eq(self.bbo.valid & active & go & ~(over & ~three.valid))

        head = Signal(
            data.StructLayout(
                {"valid": 1, "pair": pair_bits, "a": interfaces.touch(), "b": interfaces.touch(), "row": row_layout}
            )
        )
        m.d.comb += [
            head.valid.eq(three.valid & three.held & ((go & ~self.bbo.valid & ~fetch) | hit) & ~kill),
            head.pair.eq(three.pair),
            # The touch that comes in this clock has the shortest way; the pairs behind the first one got it with their rows.
            head.a.eq(Mux(three.awaits_a, self.bbo.payload.touch, three.a)),
            head.b.eq(Mux(three.awaits_b, self.bbo.payload.touch, three.b)),
            head.row.eq(three.row),
        ]
        return head, void

    def _arithmetic(self, m: Module, head: data.View, void) -> data.View:
        """Three clocks from touches to what the decision hangs on."""
        geometry = self._geometry
        row_layout = self._row_layout()
        cause = data.StructLayout({name: self.bbo.payload.shape()[name].shape for name in ("type", "sequence", "som", "eot")})
        first_has = {"valid": 1, "pair": geometry.pair_bits, "row": row_layout}
        common = first_has | {"cause": cause}

        def carry(late, early, names) -> None:
            m.d.sync += [late[name].eq(early[name]) for name in names]
            m.d.sync += late.valid.eq(early.valid & ~void)

        # Clock 0: partial products of the four touches; prices are cut at 18 bits, the size of a multiplier.
        part = len(head.row.weight_a)
        first = Signal(
            data.StructLayout(
                first_has
                | {
                    "low": data.ArrayLayout(2 * part, 4),
                    "high": data.ArrayLayout(32, 4),
                    "price": data.ArrayLayout(32, 4),
                    "shares": data.ArrayLayout(32, 4),
                }
            )
        )
        carry(first, head, first_has)
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

        # Clock 1: differences of the parts, allowances; what orders that ended left of the pair is read here.
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
                    "usable": 1,
                    "sound": 1,
                    "state": self._ended_layout(),
                    "elapsed": 32,
                    "cooling": 1,
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
        struck, struck_pair = Signal(), Signal(geometry.pair_bits)
        m.d.sync += [struck.eq(rest_over), struck_pair.eq(second.pair)]
        ended, cooling, started = self._ended(m, looked_up, struck_pair, struck)
        carry(second, first, first_has)
        m.d.sync += [second.cause[name].eq(self._cause[name]) for name in cause.members]
        for number, (gain, cost) in enumerate(((_BID_A, _ASK_B), (_ASK_A, _BID_B))):
            m.d.sync += [
                second.low[number].eq(first.low[gain] - first.low[cost]),
                second.high[number].eq(first.high[gain] - first.high[cost]),
            ]
        sizes = (first.row.size_a, first.row.size_a, first.row.size_b, first.row.size_b)
        for number, size in enumerate(sizes):
            cheap = below_a_dollar(first.price[number])
            m.d.sync += [
                second.price[number].eq(first.price[number]),
                second.allowance[number].eq(allowance(first.price[number], first.row.slippage)),
                second.cheap[number].eq(cheap),
                second.covered[number].eq(first.shares[number] >= size),
            ]
        inexact = Signal(geometry.slots)
        m.d.sync += inexact.eq(Cat(self.integrity[slot] != Integrity.EXACT for slot in range(geometry.slots)))
        both_exact = ~(inexact.bit_select(first.row.slot_a, 1)) & ~(inexact.bit_select(first.row.slot_b, 1))
        m.d.sync += [
            second.pair.eq(looked_up),
            second.usable.eq(both_exact & Cat(price.any() for price in first.price).all()),
            second.sound.eq((first.price[_BID_A] < first.price[_ASK_A]) & (first.price[_BID_B] < first.price[_ASK_B])),
            second.state.eq(ended),
            second.elapsed.eq(self.now - started),
            second.cooling.eq(cooling),
        ]

        # Clock 2: spreads and thresholds, each in one carry chain; limits; what the pair's last evaluation left is read here.
        third = Signal(
            data.StructLayout(
                common
                | {
                    "spread": data.ArrayLayout(signed(52), 2),
                    "reached": data.ArrayLayout(1, len(PairAction)),
                    "limit": data.ArrayLayout(signed(34), 4),
                    "lowest": 4,
                    "cheap": 4,
                    "usable": 1,
                    "sound": 1,
                    "spent": 1,
                    "refused": 1,
                    "covers_sale": 1,
                    "covers_purchase": 1,
                    "short": 1,
                    "flat": 1,
                    "at_most": 1,
                    "resting": 1,
                    "pending": 1,
                    "last": self._fired_layout(),
                }
            )
        )
        carry(third, second, common)
        sale, purchase = Signal(signed(52)), Signal(signed(52))
        for total, high, low in zip((sale, purchase), second.high, second.low, strict=True):
            m.d.comb += total.eq(Cat(Const(0, part), high).as_signed() + low)
        row = second.row
        m.d.sync += [
            third.spread[0].eq(sale),
            third.spread[1].eq(purchase),
            third.reached[PairAction.SELL_SPREAD.value].eq(sale >= row.upper),
            third.reached[PairAction.BUY_SPREAD.value].eq(row.lower >= purchase),
            third.reached[PairAction.BUY_BACK.value].eq(row.exit_short >= purchase),
            third.reached[PairAction.SELL_OUT.value].eq(sale >= row.exit_long),
        ]
        for number in range(4):
            buying = number in (_ASK_A, _ASK_B)
            price, beyond = second.price[number], second.allowance[number]
            m.d.sync += [
                third.limit[number].eq(price + beyond if buying else price - beyond),
                third.lowest[number].eq(beyond >= price),
            ]
        fired = self._fired_read.data
        m.d.comb += self._fired_read.addr.eq(second.pair)
        units = second.state.units
        magnitude = Mux(units < 0, -units, units)
        # The action of a request that did not leave is armed again.
        back = second.state.returns ^ fired.returns
        last = Cat(fired.action == kind for kind in PairAction)
        m.d.sync += [
            third.cheap.eq(second.cheap),
            third.sound.eq(second.sound),
            third.spent.eq(second.state.spent),
            third.refused.eq(second.state.refused),
            # What was decided on a pair in this clock and the last one is not written yet.
            third.usable.eq(
                second.usable
                & ~(third.valid & (third.pair == second.pair))
                & ~(self._decided.valid & (self._decided.pair == second.pair))
            ),
            third.covers_sale.eq(second.covered[_BID_A] & second.covered[_ASK_B]),
            third.covers_purchase.eq(second.covered[_ASK_A] & second.covered[_BID_B]),
            third.short.eq(units < 0),
            third.flat.eq(units == 0),
            third.at_most.eq(magnitude >= row.max_units),
            third.resting.eq(second.cooling & ~rest_over),
            third.pending.eq(fired.sent ^ second.state.ended),
            third.last.eq(fired),
            third.last.returns.eq(second.state.returns),
            third.last.disarmed.eq(fired.disarmed & ~(last & back.replicate(len(PairAction)))),
        ]
        return third

    def _hot_layout(self) -> data.StructLayout:
        """What of a row is looked up, without thresholds."""
        row = self.pairs.payload.row.shape()
        return data.StructLayout({name: row[name].shape for name in _KEPT})

    def _row_layout(self) -> data.StructLayout:
        """A row as it is evaluated, with the pair's legs."""
        legs = dict.fromkeys(("slot_a", "slot_b"), self._geometry.slot_bits)
        return data.StructLayout(dict(self._hot_layout().members) | dict(thresholds().members) | legs)

    def _ended_layout(self) -> data.StructLayout:
        """What ends of orders leave: units held, whether the allowance is used up, whether too much was rejected, and two bits
        that differ from their like in `_fired_layout` for "ended" and "came back" to be seen without either side writing the
        other's memory."""
        return data.StructLayout({"units": signed(9), "ended": 1, "returns": 1, "spent": 1, "refused": 1})

    def _fired_layout(self) -> data.StructLayout:
        """What evaluations leave: actions disarmed, the last action, ``sent`` (differs from ``ended`` while its orders live) and
        ``returns`` (differs from the other side's where the last request came back and nothing was evaluated since)."""
        return data.StructLayout({"disarmed": len(PairAction), "action": PairAction, "sent": 1, "returns": 1})

    def _ended(self, m: Module, pair, struck_pair, struck) -> tuple:
        """Remember how orders end. Gives what is known of `pair`: `_ended_layout`, whether it rests, and since when; the rest of
        `struck_pair` is struck off where `struck`.

        An end is taken in one clock, what it changes is read in the next and written in the third; what comes together waits.
        """
        geometry = self._geometry
        depth = max(2, geometry.pairs)
        layout = self._ended_layout()
        m.submodules.ended = ended = Memory(shape=layout, depth=depth, init=[])
        m.submodules.latched = latched = Memory(shape=1, depth=depth, init=[])
        m.submodules.cooling = cooling = Memory(shape=1, depth=depth, init=[])
        m.submodules.started = started = Memory(shape=32, depth=depth, init=[])
        written = self.pairs.payload
        counted = data.StructLayout({"triggers": len(written.row.max_triggers), "rejects": len(written.row.max_rejects)})
        m.submodules.used = used = Memory(shape=counted, depth=depth, init=[])
        # One less than the row's, so that 0, no limit, is more than `used` ever comes to.
        attributes = {"ram_style": "block", "no_rw_check": 1}
        m.submodules.most = most = Memory(shape=counted, depth=2 << geometry.pair_bits, init=[], attrs=attributes)
        m.submodules.fired = fired = Memory(shape=self._fired_layout(), depth=depth, init=[])
        ended_read, ended_own, ended_write = ended.read_port(domain="comb"), ended.read_port(domain="comb"), ended.write_port()
        latched_read, latched_write = latched.read_port(domain="comb"), latched.write_port()
        most_read, most_write = most.read_port(domain="comb"), most.write_port()
        cooling_read, started_read = cooling.read_port(domain="comb"), started.read_port(domain="comb")
        cooling_write, started_write = cooling.write_port(), started.write_port()
        used_own, used_write = used.read_port(domain="comb"), used.write_port()
        fired_own, fired_write = fired.read_port(domain="comb"), fired.write_port()
        self._fired_read = fired.read_port(domain="comb")

        # Clock 0: who is next. Ends are at least as far apart as the gate's verdicts, so none is overtaken by its like.
        came_back, came_back_of = Signal(), Signal(self.returned.payload.shape())
        rewritten = Signal()
        end = Signal(
            data.StructLayout(
                {
                    "done": 1,
                    "returned": 1,
                    "rewritten": 1,
                    "may": 1,
                    "pair": geometry.pair_bits,
                    "outcome": PairOutcome,
                    "rejected": 1,
                    "cycle": 32,
                }
            )
        )
        next_pair = Signal(geometry.pair_bits)
        waits = Mux(came_back, came_back_of.pair, self._reset_pair)
        m.d.comb += next_pair.eq(Mux(self.done.valid, self.done.payload.pair, waits))
        m.d.comb += rewritten.eq(self._reset & ~self.done.valid & ~came_back & ~self._sweeping)
        with m.If(self.returned.valid):
            m.d.sync += [came_back.eq(1), came_back_of.eq(self.returned.payload)]
        with m.Elif(~self.done.valid):
            m.d.sync += came_back.eq(0)
        m.d.comb += self.pair_legs.ready.eq(~self._reset | rewritten)
        with m.If(self.pair_legs.valid & self.pair_legs.ready):
            m.d.sync += [self._reset.eq(1), self._reset_pair.eq(self.pair_legs.payload.index)]
        with m.Elif(rewritten):
            m.d.sync += self._reset.eq(0)
        m.d.sync += [
            end.done.eq(self.done.valid),
            end.returned.eq(came_back & ~self.done.valid),
            end.rewritten.eq(rewritten),
            end.pair.eq(next_pair),
            end.may.eq(came_back_of.allowed),
            end.outcome.eq(self.done.payload.outcome),
            end.rejected.eq(self.done.payload.rejected),
            end.cycle.eq(self.now),
        ]

        # Clock 1: what it changes is read.
        late = Signal(end.shape())
        before = Signal(layout)
        had, own = Signal(self._fired_layout()), fired_own.data
        sold, so_far, at_most = Signal(), Signal(counted), Signal(counted)
        # What comes out of block RAM comes late: fetched a clock before all else.
        most_word = Signal(counted, reset_less=True)
        m.d.sync += most_word.eq(most_read.data)
        m.d.comb += [port.addr.eq(end.pair) for port in (ended_own, fired_own, used_own)]
        m.d.comb += [
            most_read.addr.eq(Cat(next_pair, self.bank)),
            most_write.addr.eq(Cat(written.index, ~self.bank)),
            most_write.data.triggers.eq(written.row.max_triggers - 1),
            most_write.data.rejects.eq(written.row.max_rejects - 1),
            most_write.en.eq(self.pairs.valid),
        ]

        def newest(read, write) -> Value:
            """With what a row or an end just before it is writing in this clock."""
            return Mux(write.en & (write.addr == end.pair), Value.cast(write.data), Value.cast(read.data))

        m.d.sync += [
            late.eq(end),
            before.eq(newest(ended_own, ended_write)),
            had.eq(own),
            sold.eq((own.action == PairAction.SELL_SPREAD) | (own.action == PairAction.SELL_OUT)),
            so_far.eq(newest(used_own, used_write)),
            at_most.eq(most_word),
        ]

        # Clock 2: changed and written.
        sweeping = self._sweeping & self._sweeps_pairs
        after, place = Signal(layout), Mux(sweeping, self._swept, late.pair)
        m.d.comb += after.eq(before)
        with m.If(late.rewritten):
            m.d.comb += [after.units.eq(0), after.spent.eq(0), after.refused.eq(0)]
        with m.If(late.done & (so_far.triggers >= at_most.triggers)):
            m.d.comb += after.spent.eq(1)
        with m.If(late.done & late.rejected & (so_far.rejects >= at_most.rejects)):
            m.d.comb += after.refused.eq(1)
        with m.If(late.done & (late.outcome == PairOutcome.FILLED)):
            m.d.comb += after.units.eq(before.units + Mux(sold, -1, 1))
        with m.If(late.done | late.returned):
            m.d.comb += after.ended.eq(had.sent)
        with m.If(late.returned):
            m.d.comb += after.returns.eq(before.returns ^ late.may)
        # What is struck off was looked up two clocks ago: a rest that began since is another one.
        done_before = Signal(2)
        m.d.sync += done_before.eq(Cat(late.done, done_before))
        strikes = struck & ~late.done & ~late.rewritten & ~done_before.any()
        m.d.comb += [
            ended_write.addr.eq(place),
            ended_write.data.eq(Mux(sweeping, 0, after)),
            ended_write.en.eq(sweeping | late.done | late.returned | late.rewritten),
            latched_write.addr.eq(place),
            latched_write.data.eq(late.done & ~sweeping),
            latched_write.en.eq(sweeping | late.rewritten | (late.done & (late.outcome == PairOutcome.LEGGED))),
            cooling_write.addr.eq(Mux(strikes, struck_pair, place)),
            cooling_write.data.eq(late.done),
            cooling_write.en.eq(sweeping | late.done | late.rewritten | strikes),
            # Legs are rewritten while nothing is evaluated.
            fired_write.addr.eq(Mux(self._decided.valid, self._decided.pair, place)),
            fired_write.data.eq(Mux(self._decided.valid, self._decided.state, Mux(sweeping, 0, had))),
            fired_write.en.eq(self._decided.valid | sweeping | late.rewritten),
            used_write.addr.eq(place),
            used_write.en.eq(sweeping | late.rewritten | late.done),
            started_write.addr.eq(late.pair),
            started_write.data.eq(late.cycle),
            started_write.en.eq(late.done),
            ended_read.addr.eq(pair),
            cooling_read.addr.eq(pair),
            started_read.addr.eq(pair),
            latched_read.addr.eq(self.request.payload.pair),
            self.allowed.eq(self._enabled & ~latched_read.data),
        ]
        with m.If(late.done & ~sweeping):
            m.d.comb += used_write.data.triggers.eq(so_far.triggers + (so_far.triggers != _MOST_USED))
            with m.If(late.rejected):
                m.d.comb += used_write.data.rejects.eq(so_far.rejects + (so_far.rejects != _MOST_REJECTS))
        with m.If(~self._decided.valid):
            m.d.comb += fired_write.data.disarmed.eq(0)
        return ended_read.data, cooling_read.data, started_read.data

    def _decide(self, m: Module, spread: data.View, void) -> None:
        """Choose the action, and offer its orders or say why not."""
        row, pair = spread.row, spread.pair
        reached = spread.reached
        short, flat = spread.short, spread.flat
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
        counted, fire = Signal(), Signal()
        chosen = Cat(action == kind for kind in PairAction)
        m.d.comb += [
            counted.eq(spread.valid & spread.usable & ~void),
            self.sample.valid.eq(counted & spread.sound & row.adaptive),
            self.sample.payload.pair.eq(pair),
            self.sample.payload.sell.eq(spread.spread[0]),
            self.sample.payload.buy.eq(spread.spread[1]),
        ]
        wanted = counted & (leaving | more_sales | more_buys) & ~(spread.last.disarmed & chosen).any()
        at_most = spread.at_most & ~leaving
        covered = Mux(selling, spread.covers_sale, spread.covers_purchase)
        causes = {
            Miss.ALLOWANCE: spread.spent,
            Miss.REJECTS: spread.refused,
            Miss.PENDING: spread.pending,
            Miss.COOLDOWN: spread.resting,
            Miss.MAX_UNITS: at_most,
            Miss.SIZE: ~covered,
        }
        missed = Signal(len(Miss))
        free = wanted
        for cause, holds in causes.items():
            m.d.comb += missed[cause].eq(free & holds)
            free = free & ~holds
        m.d.comb += fire.eq(free)

        asked = Signal(self.request.payload.shape())
        legs = ((row.slot_a, row.size_a, _BID_A, _ASK_A), (row.slot_b, row.size_b, _BID_B, _ASK_B))
        for number, (slot, size, bid, ask) in enumerate(legs):
            sale = selling if number == 0 else ~selling
            leg = asked.legs[number]
            lowest = sale_limit(spread.limit[bid], spread.lowest[bid])
            highest = purchase_limit(spread.limit[ask], spread.cheap[ask])
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
        ]
        m.d.sync += self._enabled.eq(row.enabled)
        offered_value = Signal(signed(52))
        m.d.sync += [
            self.request.valid.eq(fire),
            self.request.payload.eq(asked),
            offered_value.eq(Mux(selling, spread.spread[0], spread.spread[1])),
        ]

        # Offered for one clock: what waited would be stale. Only then it is known whether the pair fired.
        decided, last = self._decided, Signal(self._fired_layout())
        m.d.sync += [
            decided.valid.eq(counted),
            decided.pair.eq(pair),
            last.eq(spread.last),
            last.disarmed.eq(spread.last.disarmed & Cat(*reached)),
        ]
        offer = self.request.payload
        taken, dropped = Signal(), Signal()
        m.d.comb += [
            taken.eq(self.request.valid & self.request.ready),
            dropped.eq(self.request.valid & ~self.request.ready),
            decided.state.eq(last),
            decided.state.sent.eq(last.sent ^ taken),
        ]
        with m.If(taken):
            m.d.comb += [
                decided.state.action.eq(offer.action),
                decided.state.disarmed.eq(last.disarmed | Cat(offer.action == kind for kind in PairAction)),
            ]
        record = self.trigger_event.payload
        m.d.sync += [
            self.trigger_event.valid.eq(taken),
            record.sequence.eq(offer.sequence),
            record.cycle.eq(self.now),
            record.spread.eq(offered_value),
            record.pair.eq(offer.pair),
            record.action.eq(offer.action),
            record.epoch.eq(self.epoch),
        ]
        m.d.sync += [
            self.miss.eq(missed),
            self.miss[Miss.OVERRUN].eq(self._overrun),
            self.miss[Miss.GATE_BUSY].eq(dropped),
        ]
