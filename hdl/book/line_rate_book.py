"""The book of every watched symbol, at the rate of any line."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory

from hdl.book.book import ADDS, KEPT, SETTLED, TAKES_ORDER, TAKES_SHARES, USED, Book, is_type
from hdl.book.ladder_pipeline import LadderPipeline
from hdl.book.order_table import BANKS, Change, OrderTable, order, place, rows_of
from hdl.book.price_ladder import Action
from hdl.book.price_of_tick import PriceOfTick
from hdl.book.tick_of_price import TickOfPrice
from hdl.interfaces import Side
from hdl.spec import itch
from hdl.spec.injection import Mark
from hdl.spec.reasons import Drop, IntegrityCause

_BEGUN = 4
"""Messages that can be begun anew, a power of two: three may have begun before one is known to need it."""


class LineRateBook(Book):
    """A book that begins a message every second clock, whatever the messages are and whose.

    Members are those of `Book`.

    Notes
    -----
    A message is one step, a replace two: its old order goes, its new one comes. A step begins every second clock and gives its
    best bid and offer `latency` clocks later, so a message that finds the book idle does after 13, a replace after 15. One that
    comes between two steps waits in the queue, three clocks if nothing else waits. At 10 gigabit a delete comes every 2.6 clocks
    and a replace every 4.6: nothing waits for long.

    What a step must know of those before it that are still on their way:

    - The order it names: taken from their registers, where they name the same reference.
    - The place of an order it adds: while one of the last three steps meets a row of the new order, it waits.
    - Level, word and best: see `LadderPipeline`.
    - Whether a removal has emptied its window, with orders of the slot below it, or an order was refused as its level would
      overflow: then all that began behind it has changed nothing yet, and is begun anew.

    Windows that ran empty are filled as in `OrderBook`, in clocks in which no message waits and none is on its way: about one
    clock a table row, and four an order found. As there, messages of other slots go before, those of the slot wait, a second
    window is filled at once, and the slot is not EXACT until six clocks behind the touch that the filled window gives. At line
    rate no such clocks are left: the window is filled once a message of its slot is next, or a pause comes.

    A DETACH and an ATTACH begin when nothing is on its way, and nothing begins until they are through.

    ``accept`` comes 5 clocks before the ``bbo`` of a message, but not where that of one ahead may come in between: who looks up
    ahead what a touch concerns does so for the first of those that follow each other closely.

    Overload and errors: as `OrderBook` has them.

    ======  ===================================================================================
    clock   what happens (a step's own, from its beginning on)
    ======  ===================================================================================
    0       its order is looked for
    4       found: the ladder's step begins
    7       the table is written; what began behind it is taken back where it must be
    8       ``accept``
    12      faults are told
    13      ``bbo``, ``trade``
    ======  ===================================================================================

    Source: TotalView-ITCH 5.0, "what each message does to the book".
    """

    latency = 13
    _close = True

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        geometry = self._geometry
        m.submodules.table = self._table = table = OrderTable(geometry=geometry)
        m.submodules.ladder = self._ladder = ladder = LadderPipeline(geometry=geometry)
        m.submodules.tick_of_price = self._ticks = TickOfPrice()
        m.submodules.price_of_tick = self._prices = PriceOfTick()
        m.d.comb += [self.live_orders.eq(table.live), self.table_peak.eq(table.peak)]
        self._layouts()

        # Steps on their way, a stage every two clocks; `_step` is high in the first of the two.
        self._early = [Signal(self._early_layout, name=f"stage_{number}") for number in (1, 2, 3)]
        self._late = [Signal(self._late_layout, name=f"stage_{number}") for number in (4, 5, 6, 7)]
        self._step, self._idle = Signal(), Signal()
        on_way = Cat(stage.valid for stage in (*self._early, *self._late)).any()
        m.d.comb += self._idle.eq(~on_way & ~ladder.busy)
        self._flush = Signal()  # what has begun behind the step in stage 4 is taken back
        self._kinds, self._same = Signal(self._kinds_layout), Signal(3)  # of stage 2
        self._looked_up = Signal(self._looked_up_layout)  # of stage 3
        self._closes = Signal()  # of stage 3, in its second clock
        self._entries = [Signal(self._entry_layout, name=f"entry_{number}") for number in (3, 4, 5)]
        self._replaces_known, self._replaces_side = Signal(), Signal(Side)  # of the replace at work
        # A message goes alone; none may begin; those of other slots wait; none does. Then the windows that are filled, the second
        # one while the first one waits.
        self._solo, self._held, self._others, self._quiet = Signal(), Signal(), Signal(), Signal()
        self._refilling, self._refill, self._nested, self._nest = (
            Signal(), Signal(self._fill_layout), Signal(), Signal(self._fill_layout)
        )  # fmt: skip
        self._may_fill, self._working, self._spilt = Signal(), Signal(self._fill_layout), Signal(2)
        self._replay, self._tell, self._closed = (Signal() for _ in range(3))

        overrun, emptied, at_rest = self._begin(m)
        self._look_up(m)
        self._change(m)
        self._carry(m)
        self._fill(m)
        self._give(m)
        self._judge(m, overrun, emptied, at_rest)
        return m

    def _layouts(self) -> None:
        geometry = self._geometry
        shape = self.message.payload.shape()
        self._message_layout = data.StructLayout({name: shape[name].shape for name in USED})
        reference = {"order_ref": 64, "index": range(_BEGUN), "valid": 1, "last": 1}
        self._early_layout = data.StructLayout(
            reference
            | {"message": self._message_layout, "second": 1}
            | {"rows": data.ArrayLayout((geometry.order_rows - 1).bit_length(), BANKS)}
        )
        self._kinds_layout = data.StructLayout(dict.fromkeys(("adds", "takes_shares", "takes_order", "replaces"), 1))
        self._looked_up_layout = data.StructLayout(
            {"known": 1, "inserts": 1, "comes": 1, "found": 1, "full": 1, "side": Side, "tick": 32, "on_tick": 1}
            | {"named": order(geometry), "named_place": place(geometry), "free": place(geometry), "difference": 33}
            | dict(self._kinds_layout.members)
        )
        self._entry_layout = data.StructLayout(
            {"inserts": 1, "writes": 1, "live": 1, "place": place(geometry), "order": order(geometry)}
        )
        kept = {name: shape[name].shape for name in KEPT}
        self._fill_layout = data.StructLayout(kept | {"side": Side})
        self._late_layout = data.StructLayout(
            kept
            | reference
            | {"side": Side, "tell": 1, "closes": 1, "opens": 1, "unreadable": 1, "fault": 1, "cause": IntegrityCause}
            | {"sale": 1, "sale_tick": 1, "sale_price": 32}
        )

    def _begin(self, m: Module) -> tuple[Signal, Signal, Value]:
        """Choose what begins: the second step of a replace, a message that begins anew, the oldest that waits, or the one that
        comes. Gives: a message was lost; table and ladder begin to forget all; there is nothing to do."""
        geometry, table, ladder = self._geometry, self._table, self._ladder
        (first, second_stage, third), step, flush = self._early, self._step, self._flush
        # Block RAM, and one at its output.
        m.submodules.queue = queue = SyncFIFOBuffered(width=self._message_layout.size, depth=geometry.book_queue + 1)
        m.submodules.begun = begun = Memory(shape=unsigned(self._message_layout.size), depth=_BEGUN, init=[])
        kept, keep = begun.read_port(domain="comb"), begun.write_port()
        came, begins = Signal(range(_BEGUN)), Signal(range(_BEGUN))  # those from `begins` to before `came` begin anew
        come, head, current = (Signal(self._message_layout, name=name) for name in ("come", "head", "current"))
        second, beat = Signal(), Signal()
        for name in USED:
            m.d.comb += Value.cast(come[name]).eq(Value.cast(self.message.p[name]))

        overrun, clearing, emptied, started, ready = (
            Signal(name=name) for name in ("overrun", "clearing", "emptied", "started", "ready")
        )
        m.d.sync += [started.eq(emptied), ready.eq(table.ready & ladder.ready)]
        at_work = emptied | started | ~ready
        usable = ~clearing & ~at_work

        again, waits, free = Signal(), Signal(), Signal()
        m.d.comb += [
            again.eq(came != begins),
            waits.eq(again | queue.r_rdy),
            head.eq(Mux(again, kept.data, Mux(queue.r_rdy, queue.r_data, come))),
            kept.addr.eq(begins),
            free.eq(usable & (beat | self._idle) & ~second & ~self._solo & ~self._held),
        ]
        order_ref, rows = Signal(64), Signal(first.rows.shape())
        m.d.comb += order_ref.eq(Mux(second, current.new_order_ref, head.order_ref))
        for row, of_reference in zip(rows, rows_of(geometry, order_ref), strict=True):
            m.d.comb += row.eq(of_reference)
        pairs = ((stage, mine, row) for stage in self._early for mine, row in zip(stage.rows, rows, strict=True))
        # What a malformed message seems to name is nothing to wait for.
        meets = Cat(stage.valid & ~stage.message.malformed & (mine == row) for stage, mine, row in pairs).any()

        changes = Cat(stage.valid for stage in (*self._early, self._late[0])).any()

        own, alone, begins_now, take, take_next, direct, wanted, replaces = (
            Signal(name=name) for name in ("own", "alone", "begins_now", "take", "take_next", "direct", "wanted", "replaces")
        )
        m.d.comb += [
            wanted.eq(self.message.valid & self.message.p.for_book),
            own.eq(self._refilling & (head.slot == self._refill.slot)),
            alone.eq((head.mark == Mark.DETACH) | (head.mark == Mark.ATTACH)),
            replaces.eq(is_type(head.type, itch.ORDER_REPLACE) & ~head.malformed),
            # One that comes does not wait, if nothing else does.
            direct.eq(free & ~waits & (queue.level == 0) & ~self._refilling),
            begins_now.eq(~(meets & is_type(head.type, *ADDS) & ~head.malformed) & (~alone | self._idle)),
            take.eq(begins_now & ((free & waits & ~own) | (direct & wanted))),
            take_next.eq(second & (beat | self._idle) & ~meets),
            step.eq(beat | take | take_next),
            queue.r_en.eq(take & ~again),
            queue.w_data.eq(come),
            queue.w_en.eq(wanted & ~(direct & begins_now)),
            table.lookup.valid.eq(take | take_next),
            table.lookup.p.order_ref.eq(order_ref),
            table.lookup.p.rows.eq(rows),
            keep.addr.eq(came),
            keep.data.eq(head.as_value()),
            keep.en.eq(take & ~again),
            # Nobody looks at the table, nor will anybody change it.
            self._may_fill.eq(~(changes | second | at_work | self._solo)),
            self._others.eq(waits & ~own & ~clearing),
            self._quiet.eq(Mux(waits, own, queue.level == 0) | clearing),
            self.drop[Drop.BOOK_OVERRUN].eq(overrun),
            self.ready.eq(usable),
        ]
        m.d.sync += [beat.eq(~step), overrun.eq(queue.w_en & ~queue.w_rdy)]
        with m.If(take):
            m.d.sync += [current.eq(head), second.eq(replaces), begins.eq(begins + 1), self._solo.eq(alone)]
            with m.If(~again):
                m.d.sync += came.eq(came + 1)
        with m.If(take_next):
            m.d.sync += second.eq(0)
        with m.If(step):
            m.d.sync += [
                first.valid.eq(take | take_next),
                first.message.eq(Mux(second, current, head)),
                first.second.eq(second),
                first.last.eq(second | ~replaces),
                first.index.eq(begins - second),
                first.order_ref.eq(order_ref),
                first.rows.eq(rows),
                second_stage.eq(first),
                third.eq(second_stage),
            ]
        with m.If(flush):
            m.d.sync += [second.eq(0), begins.eq(self._late[0].index + 1), *(stage.valid.eq(0) for stage in self._early)]

        rest = clearing & self._idle & ~second & ~at_work & ~self._refilling & ~self._solo & ~self._held
        m.d.sync += emptied.eq(rest)
        with m.If(self.clear):
            m.d.sync += clearing.eq(1)
        with m.Elif(rest):
            m.d.sync += clearing.eq(0)
        m.d.comb += [table.clear.eq(emptied), ladder.clear.eq(emptied)]
        self._current = current
        return overrun, emptied, direct & self._idle & ~wanted

    def _look_up(self, m: Module) -> None:
        """Clocks 1 to 4: the order named, as the steps before leave it; room for the one that comes; the ladder's step."""
        (first, stage, third), table, ladder, ticks = self._early, self._table, self._ladder, self._ticks
        kinds, answer, message = self._kinds, table.result.p, stage.message
        acts, code = ~first.message.malformed, first.message.type
        replaces = is_type(code, itch.ORDER_REPLACE) & acts
        m.d.comb += ticks.price.eq(first.message.price)
        with m.If(self._step):
            m.d.sync += [
                kinds.adds.eq((is_type(code, *ADDS) & acts) | (replaces & first.second)),
                kinds.takes_shares.eq(is_type(code, *TAKES_SHARES) & acts),
                kinds.takes_order.eq(is_type(code, *TAKES_ORDER) & acts & ~first.second),
                kinds.replaces.eq(replaces),
                self._same.eq(
                    Cat(before.valid & (before.order_ref == first.order_ref) for before in (stage, third, self._late[0]))
                ),
            ]

        found, named, where = Signal(), Signal(answer.order.shape()), Signal(answer.place.shape())
        m.d.comb += [found.eq(answer.found), named.eq(answer.order), where.eq(answer.place)]
        for same, entry in reversed(list(zip(self._same, self._entries, strict=True))):
            with m.If(same & entry.writes):
                m.d.comb += [found.eq(entry.live), named.eq(entry.order), where.eq(entry.place)]

        known, comes, inserts = Signal(), Signal(), Signal()
        side, tick, given = Signal(Side), Signal(32), ladder.step.p
        m.d.comb += [
            known.eq(stage.valid & (kinds.takes_shares | kinds.takes_order) & found & (named.slot == message.slot)),
            comes.eq(stage.valid & kinds.adds & (~stage.second | self._replaces_known)),
            inserts.eq(comes & ~answer.found & ~answer.full & (message.shares != 0)),
            side.eq(Mux(kinds.adds, Mux(stage.second, self._replaces_side, message.side), named.side)),
            tick.eq(Mux(ticks.on_tick, ticks.tick, message.price)),
        ]
        with m.If(self._step & stage.valid & kinds.replaces & ~stage.second):
            m.d.sync += [self._replaces_known.eq(known), self._replaces_side.eq(named.side)]
        late = self._looked_up
        with m.If(self._step):
            m.d.sync += [
                *(late[name].eq(kinds[name]) for name in kinds.shape().members),
                late.known.eq(known),
                late.comes.eq(comes),
                late.inserts.eq(inserts),
                late.found.eq(answer.found),
                late.full.eq(answer.full),
                late.side.eq(side),
                late.tick.eq(tick),
                late.on_tick.eq(ticks.on_tick),
                late.named.eq(named),
                late.named_place.eq(where),
                late.free.eq(answer.free),
                late.difference.eq(named.shares - message.shares),
            ]

        stored, fill = table.found.p, self._working
        m.d.comb += [
            ladder.step.valid.eq((self._step & stage.valid) | self._replay | self._tell),
            given.slot.eq(Mux(self._replay | self._tell, fill.slot, message.slot)),
            given.side.eq(Mux(self._replay | self._tell, fill.side, side)),
            given.acts.eq(self._replay | (inserts & ticks.on_tick) | (known & named.on_tick)),
            given.action.eq(Mux(kinds.adds | self._replay, Action.ADD, Action.REMOVE)),
            given.replay.eq(self._replay),
            given.settles.eq(~self._replay & (stage.last | self._tell)),
            given.tick.eq(Mux(self._replay, stored.tick, Mux(kinds.adds, ticks.tick, named.tick))),
            given.shares.eq(Mux(self._replay, stored.shares, message.shares)),
            given.stored.eq(named.shares),
        ]

    def _change(self, m: Module) -> None:
        """Clocks 5 to 7: what becomes of the order, which those behind look at from clock 6 on; the table is written."""
        (*_, stage), looked_up, table, ladder = self._early, self._looked_up, self._table, self._ladder
        names, message = looked_up.takes_shares | looked_up.takes_order, stage.message
        entry, four, five = self._entries
        difference = looked_up.difference
        m.d.sync += self._closes.eq(names & (looked_up.takes_order | difference[32] | (difference == 0)))
        m.d.comb += [
            ladder.closes.eq(self._closes),
            entry.inserts.eq(looked_up.inserts),
            entry.writes.eq(stage.valid & (looked_up.known | looked_up.inserts)),
            entry.live.eq(~self._closes),
            entry.place.eq(Mux(looked_up.inserts, looked_up.free, looked_up.named_place)),
            entry.order.eq(looked_up.named),
            entry.order.shares.eq(difference),
        ]
        with m.If(looked_up.inserts):
            m.d.comb += [
                entry.order.slot.eq(message.slot),
                entry.order.side.eq(looked_up.side),
                entry.order.on_tick.eq(looked_up.on_tick),
                entry.order.tick.eq(looked_up.tick),
                entry.order.shares.eq(message.shares),
            ]
        with m.If(self._step):
            m.d.sync += [four.eq(entry), five.eq(four)]

        written, hollow, change = self._late[0], Signal(), table.change.p
        now = ~self._step & written.valid
        m.d.comb += [
            table.change.valid.eq(now & four.writes & ~ladder.overflow),
            change.change.eq(Mux(four.inserts, Change.INSERT, Mux(written.closes, Change.REMOVE, Change.REDUCE))),
            change.place.eq(four.place),
            change.order_ref.eq(written.order_ref),
            change.order.eq(four.order),
            hollow.eq(now & ladder.hollow & written.last & ~written.tell),
            self._flush.eq(hollow | (now & ladder.overflow)),
            ladder.hold.eq(hollow),
            ladder.cancel.eq(self._flush),
        ]
        self._hollow = hollow

    def _carry(self, m: Module) -> None:
        """Clocks 6 to 13: what is told of a step goes with it."""
        (*_, stage), (four, five, six, seven), looked_up = self._early, self._late, self._looked_up
        message, hollow, spilt = stage.message, Signal(), Signal()
        names = looked_up.takes_shares | looked_up.takes_order
        command = (message.mark == Mark.DETACH) | (message.mark == Mark.ATTACH) | message.malformed
        executed = is_type(message.type, itch.ORDER_EXECUTED)
        printed = is_type(message.type, itch.ORDER_EXECUTED_WITH_PRICE) & (message.code == ord(itch.PRINTABLE))
        m.d.comb += self._prices.tick.eq(looked_up.named.tick)
        with m.If(~self._step):
            m.d.sync += [hollow.eq(self._hollow), spilt.eq(four.valid & self._ladder.overflow)]
        with m.If(self._step):
            m.d.sync += [
                *(four[name].eq(message[name]) for name in KEPT),
                *(four[name].eq(stage[name]) for name in ("valid", "last", "index")),
                four.order_ref.eq(Mux(message.malformed, 0, stage.order_ref)),
                four.side.eq(looked_up.side),
                four.tell.eq(0),
                four.closes.eq(self._closes),
                four.unreadable.eq(message.malformed & ~message.watched),
                four.fault.eq(1),
                four.sale.eq(~command & (is_type(message.type, itch.TRADE) | (looked_up.known & (executed | printed)))),
                four.sale_tick.eq(executed & looked_up.named.on_tick),
                four.sale_price.eq(Mux(executed, looked_up.named.tick, message.price)),
                five.eq(four),
                five.opens.eq(hollow),
                six.eq(five),
                seven.eq(six),
            ]
            with m.If(names & ~looked_up.known):
                m.d.sync += four.cause.eq(IntegrityCause.UNKNOWN_ORDER)
            with m.Elif(looked_up.takes_shares & looked_up.difference[32]):
                m.d.sync += four.cause.eq(IntegrityCause.OVERFILL)
            with m.Elif(looked_up.comes & (message.shares == 0)):
                m.d.sync += four.cause.eq(IntegrityCause.ZERO_SHARES)
            with m.Elif(looked_up.comes & looked_up.found):
                m.d.sync += four.cause.eq(IntegrityCause.DUPLICATE_ORDER)
            with m.Elif(looked_up.comes & looked_up.full):
                m.d.sync += four.cause.eq(IntegrityCause.TABLE_FULL)
            with m.Elif(looked_up.comes & ~looked_up.on_tick):
                m.d.sync += four.cause.eq(IntegrityCause.OFF_TICK)
            with m.Elif(message.malformed):
                m.d.sync += [four.fault.eq(message.watched), four.cause.eq(IntegrityCause.MALFORMED)]
            with m.Else():
                m.d.sync += four.fault.eq(0)
            with m.If(spilt):
                m.d.sync += [five.fault.eq(1), five.cause.eq(IntegrityCause.LEVEL_OVERFLOW)]
            with m.If(four.sale_tick):
                m.d.sync += five.sale_price.eq(self._prices.price)
        # The touch of a window that is full now goes the way of a message's own.
        told = Signal()
        with m.If(self._step):
            m.d.sync += told.eq(self._tell)
        with m.If(self._step & told):
            m.d.sync += [
                *(four[name].eq(self._working[name]) for name in KEPT),
                four.valid.eq(1),
                four.last.eq(1),
                four.tell.eq(1),
                four.order_ref.eq(0),
                four.unreadable.eq(0),
                four.sale.eq(0),
                four.fault.eq(self._spilt.bit_select(self._nested, 1)),
                four.cause.eq(IntegrityCause.LEVEL_OVERFLOW),
            ]
        with m.If(self._ladder.overflow & ~four.valid):
            m.d.sync += self._spilt.bit_select(self._nested, 1).eq(1)
        with m.Elif(self._step & told):
            m.d.sync += self._spilt.bit_select(self._nested, 1).eq(0)

    def _fill(self, m: Module) -> None:
        """Fill windows that ran empty, one at a time, and take out the orders of a slot that is detached."""
        table, ladder, hollow, stage = self._table, self._ladder, self._hollow, self._late[0]
        row, scanned = Signal(table.row.shape()), Signal()
        with m.If(hollow):
            for filling, fill, when in (
                (self._refilling, self._refill, ~self._refilling),
                (self._nested, self._nest, self._refilling),
            ):
                with m.If(when):
                    m.d.sync += [filling.eq(1), *(fill[name].eq(stage[name]) for name in fill.shape().members)]
            with m.If(~self._refilling):
                m.d.sync += row.eq(0)
        at_leisure = ~self._nested & ~self._solo
        m.d.comb += self._working.eq(Mux(self._nested, self._nest, self._refill))
        with m.If(self._solo):
            m.d.comb += (self._working[name].eq(self._current[name]) for name in KEPT)
        m.d.comb += [
            self._held.eq(self._nested),
            table.scan.p.slot.eq(self._working.slot),
            table.scan.p.side.eq(self._working.side),
            table.scan.p.row.eq(Mux(at_leisure, row, 0)),
            table.pause.eq(at_leisure & self._others),
            table.found.ready.eq(self._replay),
            ladder.forget.p.slot.eq(self._working.slot),
        ]
        with m.FSM():
            with m.State("MESSAGES"):
                with m.If(self._idle & self._solo & (self._current.mark == Mark.DETACH)):
                    m.d.comb += [table.scan.valid.eq(1), table.scan.p.removes.eq(1), ladder.forget.valid.eq(1)]
                    m.next = "FORGET"
                with m.Elif(self._may_fill & (self._nested | (self._refilling & self._quiet))):
                    m.next = "SCAN"
            with m.State("FORGET"):
                with m.If(table.scan.ready):
                    m.d.sync += self._solo.eq(0)
                    m.next = "MESSAGES"
            with m.State("SCAN"):
                m.d.comb += [self._held.eq(1), table.scan.valid.eq(1)]
                m.next = "REPLAY"
            with m.State("REPLAY"):
                m.d.comb += [
                    self._held.eq(1),
                    self._replay.eq(table.found.valid & self._step),
                    scanned.eq(table.scan.ready & ~table.found.valid),
                ]
                with m.If(scanned & table.through):
                    m.next = "TELL"
                with m.Elif(scanned):
                    m.d.sync += row.eq(table.row)
                    m.next = "MESSAGES"
            with m.State("TELL"):
                m.d.comb += [self._held.eq(1), self._tell.eq(self._step)]
                with m.If(self._step):
                    m.next = "TOLD"
            with m.State("TOLD"):
                m.d.comb += self._held.eq(1)
                with m.If(self._closed):
                    m.next = "MESSAGES"
                    with m.If(self._nested):
                        m.d.sync += self._nested.eq(0)
                    with m.Else():
                        m.d.sync += self._refilling.eq(0)

    def _give(self, m: Module) -> None:
        """Clock 8: who looks up ahead may begin. Clock 13: best bid and offer, and last sale."""
        first, *ahead, last = self._late
        step, telling = self._step, Signal(SETTLED - 1)
        now = last.valid & ~step
        attaches = last.mark == Mark.ATTACH
        m.d.sync += telling.eq(Cat(now & (last.tell | attaches), telling))
        m.d.comb += [
            self.accept.valid.eq(first.valid & first.last & step & ~Cat(stage.valid & stage.last for stage in ahead).any()),
            self.accept.p.slot.eq(first.slot),
            self.bbo.valid.eq(now & last.last & ~last.opens & ((self._ladder.changed & ~last.mark.any()) | attaches)),
            self.bbo.p.touch.eq(self._ladder.touch),
            *(self.bbo.p[name].eq(last[name]) for name in KEPT if name != "mark"),
            self.trade.valid.eq(now & last.sale),
            self.trade.p.slot.eq(last.slot),
            self.trade.p.price.eq(last.sale_price),
            self._closed.eq(telling[-1]),
        ]
        with m.If(self._closed & self._solo):
            m.d.sync += self._solo.eq(0)

    def _judge(self, m: Module, overrun: Signal, emptied: Signal, at_rest: Value) -> None:
        """Clock 12: errors and commands; the windows' records."""
        stage, view = self._late[2], Signal(data.StructLayout({name: self._late_layout[name].shape for name in KEPT}))
        for name in view.shape().members:
            m.d.comb += Value.cast(view[name]).eq(Mux(stage.valid, Value.cast(stage[name]), Value.cast(self._working[name])))
        now = stage.valid & self._step
        lower, detach, attach, opened, closed = (Signal(name=name) for name in ("lower", "detach", "attach", "opened", "closed"))
        m.d.comb += [
            lower.eq(now & stage.fault),
            detach.eq(now & (stage.mark == Mark.DETACH)),
            attach.eq(self._closed & self._solo),
            opened.eq(now & stage.opens),
            closed.eq(self._closed & ~self._solo),
        ]
        # An ATTACH that waited while something behind it was lost does not tell of a book that has all: it is doubtful until
        # nothing waits any more.
        lossy, lost_of_slot = Signal(), Signal()
        with m.If(overrun):
            m.d.sync += lossy.eq(1)
        with m.Elif(at_rest):
            m.d.sync += lossy.eq(0)
        m.d.sync += [
            lost_of_slot.eq(self.message.p.watched),
            self.unreadable.eq((now & stage.unreadable) | (overrun & ~lost_of_slot)),
        ]
        lost, restore = overrun & lost_of_slot, self._restore(m, at_rest)
        told = (detach, attach), (opened, closed)
        self._keep_integrity(m, view, lower, stage.cause, stage.order_ref, lost, restore, *told, lossy, emptied)
