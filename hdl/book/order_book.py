"""The book of every watched symbol."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data

from hdl.book.book import ADDS, KEPT, SETTLED, TAKES_ORDER, TAKES_SHARES, USED, Book, is_type
from hdl.book.message_queue import MessageQueue
from hdl.book.order_table import Change, OrderTable, order, place, rows_of
from hdl.book.price_ladder import Action, PriceLadder
from hdl.book.price_of_tick import PriceOfTick
from hdl.book.tick_of_price import TickOfPrice
from hdl.interfaces import Side
from hdl.spec import itch
from hdl.spec.injection import Mark
from hdl.spec.reasons import Drop, IntegrityCause


class OrderBook(Book):
    """A book with one message in flight at a time: the soonest best bid and offer.

    Members are those of `Book`.

    Parameters
    ----------
    geometry : Geometry
        Sizes of table, ladder and queue.

    Notes
    -----
    Clocks from ``message`` (empty queue) to ``bbo``: 6 for A and F; 7 for E, C, X, D and U,
    or 8 where the slot was neither on ``message`` a clock before it nor at work until then; whether or not the best level goes
    and whether or not the window moves. The next message may come in 13 clocks after a U or an ATTACH, 9 after any other.

    If a removal empties the window of a slot and side that has orders below it, the window is filled from the table: about one
    clock a table row and four an order found. Meanwhile the slot is not EXACT, and its `bbo`, of that message, comes when the
    window is filled; six clocks later the slot is what it was. Messages of other slots go before: filling stops for them at the
    next table row, so they come up to 14 clocks later than they would, and 4 more for each order but one of the row at work.
    Whenever none waits at least one row is seen. A message of the slot waits until its window is filled, and with it what is
    behind it. So a slot's `bbo` come in the order of its messages, those of different slots may not. If meanwhile a window of
    another slot runs empty, that one is filled at once and all wait.

    Messages with a mark (`injection.Mark`) give a slot its orders anew; the gate in front sees to their order. With a DETACH the
    slot becomes DEAD and loses all orders: the table is walked, one clock a row, one more an order of the slot and one a row that
    holds some; what arrives meanwhile waits. Private messages are applied, but give no best bid and offer; the ATTACH gives the
    one they left. Six clocks later, when that has come to all who go by it, the slot becomes EXACT, or SUSPECT where the others
    are, unless one of the private messages was in error or anything was lost since the queue was last empty: then it stays DEAD.

    Overload: `book_queue` messages may wait. A message that finds no room is lost, which makes its slot DEAD.

    Errors make the slot DEAD (see `IntegrityCause`): a reference that is unknown or belongs to another slot changes nothing;
    an added reference that is in the table, or no shares, or no room in the table, or shares that overflow a level: the order
    is not added (a replaced order still goes); more shares taken than were open: the order goes; a price off the grid: the
    order is kept, but not shown on the ladder; a message that is malformed changes nothing. Messages for a slot that is not EXACT
    are applied all the same.

    Source: TotalView-ITCH 5.0, "what each message does to the book".
    """

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        geometry = self._geometry
        m.submodules.table = table = OrderTable(geometry=geometry)
        m.submodules.ladder = ladder = PriceLadder(geometry=geometry)
        m.submodules.tick_of_price = ticks = TickOfPrice()
        m.submodules.price_of_tick = prices = PriceOfTick()
        m.d.comb += [self.live_orders.eq(table.live), self.table_peak.eq(table.peak)]

        busy, finish, overrun, emptied = (Signal(name=name) for name in ("busy", "finish", "overrun", "emptied"))
        # The message whose window is filled in the clocks that others leave; until there is one, the message at work.
        refilling, refill = Signal(), Signal(data.StructLayout({name: self.message.p.shape()[name].shape for name in KEPT}))
        turn, others = Signal(), Signal()  # such clocks begin; another slot's message waits for their end
        head, head_rows, take, at_rest = self._queue(m, table, ladder, busy, overrun, emptied, refilling, refill, turn, others)
        message = Signal(head.shape())
        phase = Signal(13)  # bit n: the message was taken n clocks ago; only what is `long` is at work after clock 8
        begun = Signal()
        m.d.sync += begun.eq(turn)
        with m.If(~busy):
            m.d.sync += message.eq(head)
        with m.If(take | turn):
            m.d.sync += busy.eq(1)
        with m.If(finish):
            m.d.sync += busy.eq(0)
        with m.If(~refilling):
            m.d.sync += (refill[name].eq(message[name]) for name in KEPT)
        m.d.comb += [self.accept.valid.eq(phase[1] | begun), self.accept.p.slot.eq(message.slot)]

        adds, takes_shares, takes_order, replaces, nonzero, long = (
            Signal(name=name) for name in ("adds", "takes_shares", "takes_order", "replaces", "nonzero", "long")
        )
        malformed, acts = Signal(), ~message.malformed
        m.d.sync += [
            adds.eq(is_type(message.type, *ADDS) & acts),
            takes_shares.eq(is_type(message.type, *TAKES_SHARES) & acts),
            takes_order.eq(is_type(message.type, *TAKES_ORDER) & acts),
            replaces.eq(is_type(message.type, itch.ORDER_REPLACE) & acts),
            malformed.eq(message.malformed),
            nonzero.eq(message.shares != 0),
            # An ATTACH is long so that its touch has come to everyone who looks at touches before the slot is EXACT.
            long.eq((is_type(message.type, itch.ORDER_REPLACE) & acts) | (message.mark == Mark.ATTACH)),
            # What stands in `message` once this one has ended may be any half-read type.
            phase.eq(Cat(0, take, phase[1:8], phase[8] & long, phase[9:12])),
        ]
        hidden, detaches, attaches = (Signal(name=name) for name in ("hidden", "detaches", "attaches"))
        m.d.sync += [
            hidden.eq(message.mark.any()),
            detaches.eq(message.mark == Mark.DETACH),
            attaches.eq(message.mark == Mark.ATTACH),
        ]
        names = takes_shares | takes_order  # the message names an order that must be there

        # clock 0 and 1: look up; the answers come in clocks 4 and 5
        new_rows = rows_of(geometry, message.new_order_ref)
        for rows, of_new, of_head in zip(table.lookup.p.rows, new_rows, head_rows, strict=True):
            m.d.comb += rows.eq(Mux(phase[1], of_new, of_head))
        m.d.comb += [
            table.lookup.valid.eq(take | phase[1]),
            table.lookup.p.order_ref.eq(Mux(phase[1], message.new_order_ref, head.order_ref)),
            table.lookup.p.replaces.eq(phase[1]),
            ladder.load.valid.eq(~busy),
            ladder.load.p.slot.eq(head.slot),
            ladder.begin.eq(take),
            ticks.price.eq(message.price),
        ]

        # clock 4: the order named; clock 4 (add) or 5 (replace): is there room for the new one
        answer = table.result.p
        names_of_flags = ("known", "inserts", "added_found", "added_full")
        known, inserts, added_found, added_full = (Signal(name=name) for name in names_of_flags)
        named, named_place, free = Signal(order(geometry)), Signal(place(geometry)), Signal(place(geometry))
        difference = Signal(33)
        known_now, may_add, new_comes = Signal(), Signal(), Signal()
        m.d.comb += [
            known_now.eq(answer.found & (answer.order.slot == message.slot) & names),
            new_comes.eq((phase[4] & adds) | (phase[5] & replaces & known)),
            may_add.eq(new_comes & ~answer.found & ~answer.full & nonzero),
        ]
        with m.If(phase[4]):
            m.d.sync += [
                known.eq(known_now),
                named.eq(answer.order),
                named_place.eq(answer.place),
                difference.eq(answer.order.shares - message.shares),
                inserts.eq(0),
            ]
        with m.If(new_comes):
            m.d.sync += [free.eq(answer.free), added_found.eq(answer.found), added_full.eq(answer.full), inserts.eq(may_add)]

        # clock 5: what is taken from the order named
        closes, overfill, taken = Signal(), Signal(), Signal(32)
        ends = takes_order | difference[32] | (difference == 0)
        m.d.sync += [
            closes.eq(ends),
            overfill.eq(takes_shares & difference[32]),
            taken.eq(Mux(ends, named.shares, message.shares)),
        ]

        # clock 4: the best is weighed against; clock 5 (add), 6 or 7: settled
        m.d.comb += [
            ladder.weigh.valid.eq(phase[4]),
            ladder.weigh.p.side.eq(Mux(adds, message.side, answer.order.side)),
            ladder.weigh.p.old_tick.eq(answer.order.tick),
            ladder.weigh.p.old_shares.eq(answer.order.shares),
            ladder.weigh.p.new_tick.eq(ticks.tick),
            ladder.weigh.p.shares.eq(message.shares),
            ladder.part.eq(~ends),
            ladder.settle.valid.eq(Mux(adds, phase[5], Mux(ladder.early, phase[6], phase[7]))),
            ladder.settle.p.leaves.eq(known & named.on_tick),
            ladder.settle.p.comes.eq(inserts & ticks.on_tick),
            ladder.settle.p.price.eq(message.price),
        ]

        replaying, replay = Signal(), Signal()
        removes = known_now & phase[4] & answer.order.on_tick
        comes = ((phase[4] & adds & may_add) | (phase[8] & replaces & inserts)) & ticks.on_tick
        self._on_ladder(m, table, ladder, ticks, prices, message, phase, named, removes, comes, adds, replaying, replay)
        with m.If(phase[6] & names):
            m.d.comb += ladder.amount.shares.eq(taken)
        m.d.comb += ladder.amount.closes.eq(closes)

        # clock 6: the order named changes; at the end the new one is stored
        end = Signal()
        m.d.comb += end.eq((phase[8] & ~long) | phase[12])
        change = table.change.p
        with m.If(phase[6]):
            m.d.comb += [
                table.change.valid.eq(known),
                change.change.eq(Mux(closes, Change.REMOVE, Change.REDUCE)),
                change.place.eq(named_place),
                change.order_ref.eq(message.order_ref),
                change.order.eq(named),
                change.order.shares.eq(difference),
            ]
        with m.Else():
            m.d.comb += [
                table.change.valid.eq(end & inserts & ~ladder.overflow),
                change.change.eq(Change.INSERT),
                change.place.eq(free),
                change.order_ref.eq(Mux(replaces, message.new_order_ref, message.order_ref)),
                change.order.slot.eq(message.slot),
                change.order.side.eq(Mux(replaces, named.side, message.side)),
                change.order.on_tick.eq(ticks.on_tick),
                change.order.tick.eq(Mux(ticks.on_tick, ticks.tick, message.price)),
                change.order.shares.eq(message.shares),
            ]

        replayed, rebuilt, opened, closed, at_leisure = (
            Signal(name=name) for name in ("replayed", "rebuilt", "opened", "closed", "at_leisure")
        )
        with m.If(take | turn):
            m.d.sync += at_leisure.eq(turn)
        m.d.comb += table.pause.eq(at_leisure & others)
        self._rebuild(
            m, table, ladder, message, end, finish, detaches, (refilling, turn, at_leisure), (replaying, replay),
            (replayed, rebuilt, opened, closed),
        )  # fmt: skip
        m.d.comb += ladder.store.eq(finish)
        self._give_bbo(m, ladder, message, rebuilt, refilling, at_leisure, hidden, attaches)
        self._give_trade(m, prices, message, phase, named, known, detaches | attaches | malformed)

        fault, cause = Signal(), Signal(IntegrityCause)
        new_order = adds | (replaces & known)
        m.d.comb += fault.eq(1)
        with m.If(replaying):
            m.d.comb += cause.eq(IntegrityCause.LEVEL_OVERFLOW)
        with m.Elif(names & ~known):
            m.d.comb += cause.eq(IntegrityCause.UNKNOWN_ORDER)
        with m.Elif(names & overfill):
            m.d.comb += cause.eq(IntegrityCause.OVERFILL)
        with m.Elif(new_order & ~nonzero):
            m.d.comb += cause.eq(IntegrityCause.ZERO_SHARES)
        with m.Elif(new_order & added_found):
            m.d.comb += cause.eq(IntegrityCause.DUPLICATE_ORDER)
        with m.Elif(new_order & added_full):
            m.d.comb += cause.eq(IntegrityCause.TABLE_FULL)
        with m.Elif(new_order & ~ticks.on_tick):
            m.d.comb += cause.eq(IntegrityCause.OFF_TICK)
        with m.Elif(malformed):
            m.d.comb += [fault.eq(message.watched), cause.eq(IntegrityCause.MALFORMED)]
        with m.Else():
            m.d.comb += [fault.eq(0), cause.eq(IntegrityCause.LEVEL_OVERFLOW)]
        lower, spilt = Signal(), Signal()  # a clock late: the level was only just read, and every slot looks at `lower`
        m.d.sync += spilt.eq(ladder.overflows & ~replaying)
        m.d.comb += lower.eq((phase[6] & fault) | spilt | (replayed & ladder.overflow))
        # Of a malformed message not even the order it names is told: it may be half of one. A window that is filled is of none.
        order_ref = Mux(malformed | replaying, 0, Mux(replaces & known, message.new_order_ref, message.order_ref))
        attached = Signal()  # in the clock behind the last one the message is still there
        m.d.sync += attached.eq(phase[12] & attaches)
        command, window = (phase[6] & detaches, attached), (opened, closed)
        # An ATTACH that waited while something behind it was lost does not tell of a book that has all: it is doubtful until
        # nothing waits any more.
        lossy = Signal()
        with m.If(overrun):
            m.d.sync += lossy.eq(1)
        with m.Elif(at_rest):
            m.d.sync += lossy.eq(0)
        lost_of_slot = Signal()  # what was lost was of one
        m.d.sync += [
            lost_of_slot.eq(self.message.p.watched),
            self.unreadable.eq((phase[6] & malformed & ~message.watched) | (overrun & ~lost_of_slot)),
        ]
        lost, restore = overrun & lost_of_slot, self._restore(m, at_rest)
        self._keep_integrity(m, message, lower, cause, order_ref, lost, restore, command, window, lossy, emptied)
        return m

    def _queue(
        self,
        m: Module,
        table: OrderTable,
        ladder: PriceLadder,
        busy: Signal,
        overrun: Signal,
        emptied: Signal,
        refilling: Signal,
        refill: data.View,
        turn: Signal,
        others: Signal,
    ) -> tuple[data.View, list[Value], Signal, Value]:
        """What waits, the next message, its rows in the table, whether it is taken now, and whether there is nothing to do. An
        idle book takes a message as it comes. `emptied` is high in the clock in which table and ladder begin to forget all.

        While a window is filled, messages come through the queue alone, where there is time to see whose they are.
        """
        shape = self.message.payload.shape()
        waiting_layout = data.StructLayout({name: shape[name].shape for name in USED})
        m.submodules.queue = queue = MessageQueue(shape=waiting_layout, depth=self._geometry.book_queue)
        come, head = Signal(waiting_layout), Signal(waiting_layout)
        for name in USED:
            m.d.comb += Value.cast(come[name]).eq(Value.cast(self.message.p[name]))
        wanted, take, direct, clearing, idle = (Signal(name=name) for name in ("wanted", "take", "direct", "clearing", "idle"))
        # Registered: what is ready must not lead back to what begins to clear, and every message waits for it.
        started, ready = Signal(), Signal()
        m.d.sync += [started.eq(emptied), ready.eq(table.ready & ladder.ready)]
        at_work = emptied | started | ~ready
        usable = ~clearing & ~at_work
        other, own = Signal(), Signal()
        of_refill = queue.head.payload.slot == refill.slot
        m.d.sync += [
            other.eq(queue.head.valid & ~of_refill),
            own.eq(queue.head.valid & of_refill),
            turn.eq(refilling & ~busy & ~turn & ~at_work & ~take & (queue.empty | own | clearing)),
        ]
        m.d.comb += [
            wanted.eq(self.message.valid & self.message.p.for_book),
            others.eq(other & ~clearing),
            idle.eq(~busy & ~turn & usable),
            direct.eq(idle & queue.empty & ~refilling),
            head.eq(Mux(queue.head.valid, queue.head.payload, come)),
            queue.head.ready.eq(idle & (other | ~refilling)),
            take.eq((queue.head.ready & queue.head.valid) | (direct & wanted)),
            queue.write.payload.eq(come),
            queue.write.valid.eq(wanted & ~direct),
            self.drop[Drop.BOOK_OVERRUN].eq(overrun),
            self.ready.eq(usable),
        ]
        m.d.sync += overrun.eq(wanted & ~queue.write.ready)  # a full queue is never empty, so nothing went past it
        rest = clearing & ~busy & ~at_work & ~refilling
        m.d.sync += emptied.eq(rest)
        with m.If(self.clear):
            m.d.sync += clearing.eq(1)
        with m.Elif(rest):
            m.d.sync += clearing.eq(0)
        m.d.comb += [table.clear.eq(emptied), ladder.clear.eq(emptied)]
        with m.If(turn):
            m.d.comb += (head[name].eq(refill[name]) for name in KEPT)
        rows = (rows_of(self._geometry, one.order_ref) for one in (queue.head.payload, come))
        return head, [Mux(queue.head.valid, waits, comes) for waits, comes in zip(*rows, strict=True)], take, direct & ~wanted

    def _on_ladder(
        self,
        m: Module,
        table: OrderTable,
        ladder: PriceLadder,
        ticks: TickOfPrice,
        prices: PriceOfTick,
        message: data.View,
        phase: Signal,
        named: data.View,
        removes: Value,
        comes: Value,
        adds: Signal,
        replaying: Signal,
        replay: Signal,
    ) -> None:
        """Clock 4: an order comes on, or the one named goes; clock 8: the one that replaces it comes on."""
        stored = table.result.p.order
        from_table = Signal()
        given = ladder.operation.p
        m.d.comb += [
            from_table.eq(replaying | ~(adds | phase[8])),
            prices.tick.eq(stored.tick),
            ladder.operation.valid.eq(removes | comes | replay),
            given.action.eq(Mux(removes, Action.REMOVE, Action.ADD)),
            given.tick.eq(Mux(from_table, stored.tick, ticks.tick)),
            given.side.eq(Mux(from_table, stored.side, Mux(phase[8], named.side, message.side))),
            given.replay.eq(replaying),
        ]
        replayed_shares = Signal(32)
        with m.If(replay):
            m.d.sync += replayed_shares.eq(stored.shares)
        m.d.comb += [
            ladder.amount.shares.eq(Mux(replaying, replayed_shares, message.shares)),
            ladder.amount.price.eq(prices.price),
        ]

    def _rebuild(
        self,
        m: Module,
        table: OrderTable,
        ladder: PriceLadder,
        message: data.View,
        end: Signal,
        finish: Signal,
        detaches: Signal,
        leisure: tuple[Signal, Signal, Signal],
        replays: tuple[Signal, Signal],
        told: tuple[Signal, Signal, Signal, Signal],
    ) -> None:
        """A message ends at its last clock, but for two. One that detaches its slot ends when all orders of that were taken out.
        One that empties its window leaves it to be filled in the clocks that others leave, from `row` on; if another window is
        filled like that it stays at work until its own is full.

        Of what is `told`: the orders that the table gave are all on the ladder, and those were all there are; a window ran empty,
        is filled and everyone knows the best bid and offer.
        """
        (refilling, turn, at_leisure), (replaying, replay), (replayed, rebuilt, opened, closed) = leisure, replays, told
        due, emptied, paused = (Signal(name=name) for name in ("due", "emptied", "paused"))
        with m.If(ladder.settle.valid):
            m.d.sync += due.eq(ladder.rebuild)
        m.d.sync += opened.eq(ladder.settle.valid & ladder.rebuild)
        resting, telling = Signal(ladder.latency - 1), Signal(SETTLED)
        side, refill_side, row = Signal(Side), Signal(Side), Signal(table.row.shape())
        with m.If(ladder.weigh.valid):
            m.d.sync += side.eq(ladder.weigh.p.side)
        with m.If(~refilling):
            m.d.sync += refill_side.eq(side)
        m.d.comb += [
            table.scan.p.slot.eq(message.slot),
            table.scan.p.side.eq(Mux(at_leisure, refill_side, side)),
            table.scan.p.row.eq(Mux(at_leisure, row, 0)),
            closed.eq(telling[-1]),
            finish.eq((end & ~(due & refilling) & ~detaches) | emptied | paused | closed),
        ]
        m.d.sync += telling.eq(Cat(rebuilt, telling))
        with m.If(end & due & ~refilling):
            m.d.sync += [refilling.eq(1), row.eq(0)]
        with m.Elif(closed & at_leisure):
            m.d.sync += refilling.eq(0)
        with m.FSM():
            with m.State("MESSAGE"):
                with m.If(turn | (end & due & refilling)):
                    m.next = "SCAN"
                with m.Elif(end & detaches):
                    m.next = "FORGET"
            with m.State("FORGET"):
                m.d.comb += [table.scan.valid.eq(1), table.scan.p.removes.eq(1), ladder.forget.eq(1)]
                m.next = "EMPTY"
            with m.State("EMPTY"):
                with m.If(table.scan.ready):
                    m.d.comb += emptied.eq(1)
                    m.next = "MESSAGE"
            with m.State("SCAN"):
                m.d.comb += table.scan.valid.eq(1)
                m.d.sync += [replaying.eq(1), resting.eq(0)]
                m.next = "REPLAY"
            with m.State("REPLAY"):
                m.d.comb += [
                    replay.eq(table.found.valid & ~resting.any()),
                    table.found.ready.eq(replay),
                    replayed.eq(table.scan.ready & ~table.found.valid & ~resting.any()),
                    rebuilt.eq(replayed & table.through),
                    paused.eq(replayed & ~table.through),
                ]
                m.d.sync += resting.eq(Cat(replay, resting[:-1]))
                with m.If(replayed):
                    m.d.sync += replaying.eq(0)
                    m.next = "TELL"
                with m.If(paused):
                    m.d.sync += row.eq(table.row)
                    m.next = "MESSAGE"
            with m.State("TELL"):
                with m.If(closed):
                    m.next = "MESSAGE"

    def _give_bbo(
        self,
        m: Module,
        ladder: PriceLadder,
        message: data.View,
        rebuilt: Signal,
        refilling: Signal,
        at_leisure: Signal,
        hidden: Signal,
        attaches: Signal,
    ) -> None:
        owed, refill_owed = Signal(), Signal()  # after the rebuild
        settled = ladder.settle.valid
        with m.If(settled):
            m.d.sync += owed.eq(ladder.changed & ~hidden)
        with m.If(~refilling):
            m.d.sync += refill_owed.eq(owed)
        shown = (ladder.changed & ~ladder.rebuild & ~hidden) | attaches
        m.d.sync += self.bbo.valid.eq((settled & shown) | (rebuilt & Mux(at_leisure, refill_owed, owed)))
        m.d.comb += self.bbo.p.touch.eq(ladder.touch)
        for name in ("slot", "type", "timestamp", "sequence", "som", "eot"):
            m.d.comb += self.bbo.p[name].eq(message[name])

    def _give_trade(
        self, m: Module, prices: PriceOfTick, message: data.View, phase: Signal, named: data.View, known: Signal, command: Value
    ) -> None:
        """Clock 6: the order's price is known."""
        executed = is_type(message.type, itch.ORDER_EXECUTED)
        printed = is_type(message.type, itch.ORDER_EXECUTED_WITH_PRICE) & (message.code == ord(itch.PRINTABLE))
        sale = is_type(message.type, itch.TRADE) | (known & (executed | printed))
        m.d.sync += [
            self.trade.valid.eq(phase[6] & sale & ~command),
            self.trade.p.slot.eq(message.slot),
            self.trade.p.price.eq(Mux(executed, Mux(named.on_tick, prices.price, named.tick), message.price)),
        ]
