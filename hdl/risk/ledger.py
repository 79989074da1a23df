"""Own orders, positions and cash."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.interfaces import OrderReport, PairOutcome, Side
from hdl.risk.product import Product
from hdl.spec import events, ouch, reasons
from hdl.spec.geometry import Geometry
from hdl.spec.layout import Layout
from hdl.spec.reasons import Alarm
from hdl.spec.registers import LEDGER_ORDER, LEDGER_SLOT, RISK, SHORT_BITS, VIEW_WORDS, WORD, Table

RELOAD = next(table for table in RISK.tables if table.name == "reload")
INSPECT_BITS = next(register.bits for register in RISK.registers if register.name == "inspect_ledger")
_NOT_YET = (1 << INSPECT_BITS) - 1

NOTED = (ouch.CANCEL_PENDING, ouch.CANCEL_REJECT, ouch.ORDER_RESTATED, ouch.ORDER_PRIORITY_UPDATE)
"""Reports that move no shares: of a cancel that waits or came to nothing, of another display, rank or reference."""
OUTLIVING = (ouch.CANCEL_REJECT, ouch.BROKEN_TRADE)
"""Reports that an order may get which has ended, as long as its place is not another's."""


class OrderState(enum.Enum, shape=3):
    """`reasons.OrderState` with a shape."""

    FREE = reasons.OrderState.FREE.value
    SENT = reasons.OrderState.SENT.value
    LIVE = reasons.OrderState.LIVE.value
    FILLED = reasons.OrderState.FILLED.value
    CANCELED = reasons.OrderState.CANCELED.value
    REJECTED = reasons.OrderState.REJECTED.value


class Exposure(data.Struct):
    """What a slot holds and what is on its way, shares; how many orders are open; and the shares of orders marked short that were
    filled or are open."""

    position: signed(32)
    open_buys: 32
    open_sells: 32
    orders: 16
    shorts: SHORT_BITS


class Entry(data.Struct):
    """Shares that made a position greater since it was 0, and what they cost or brought."""

    notional: 56
    shares: 40


def side_code(side, short):
    """Side as event records tell it: 0 buy, 1 sell, 2 sell short."""
    return Mux(side == Side.SELL, Mux(short, 2, 1), 0)


def minus_if(negative, value, bits: int):
    """`value`, or minus `value` where `negative`, modulo ``2**bits``: a sum with it is one carry chain, a choice between sum and
    difference is two."""
    return (value ^ negative.replicate(bits))[:bits] + negative


def words_of(view: Table, values: dict) -> list:
    """Words of a row of a view, lowest first."""
    columns = [Cat(values.get(column.name, 0), Const(0, column.bits))[: column.bits] for column in view.columns]
    row = Cat(columns, Const(0, -view.bits % WORD))
    return [row[at : at + WORD] for at in range(0, len(row), WORD)]


def booked(geometry: Geometry) -> data.StructLayout:
    """What the ledger wrote of a slot: exposure, and cash where `filled`. `price` is that of the order `entered` (as leg `leg`),
    or of the fill."""
    return data.StructLayout(
        {"slot": geometry.slot_bits, "exposure": Exposure, "cash": signed(64), "price": 32, "entered": 1, "leg": 1, "filled": 1}
    )


def shown() -> data.StructLayout:
    """What is shown of an own order: its number, and whether it was sent and has not ended."""
    return data.StructLayout({"user_ref_num": 32, "open": 1})


def is_open(order) -> Value:
    """The order was sent and has not ended."""
    return (order.state == OrderState.SENT) | (order.state == OrderState.LIVE)


class Ledger(wiring.Component):
    """Follows every own order from the clock it is sent to its end, and keeps position, open shares and cash of every slot.

    A single order is followed like one of a pair, but for `done`: no pair waits for its end. `leg_told` has it where it is to
    repair one.

    An order lives in the place ``user_ref_num`` modulo ``geometry.open_orders``; its whole number is kept and compared. What was
    sent counts at once as open. Reports move shares from open to ended: A (order_state D: dead at once), E, C and D (partial ones
    too) and J. B takes a fill back, position and cash, and opens nothing again: the last one of an order, once, and for as long
    as its place is not another's; a break of any other fill is an alarm. `NOTED` ones are recorded and move none. S names no
    order and is passed over. Every other report, and one that cannot be true, changes nothing, raises an alarm and asks for a
    halt: an order that is not followed (never sent, ended, or another number in its place), more shares than are open, a report
    type or a sequence that cannot be. What answers a request this card never makes (replaced, modified, mass cancel, order entry
    switched) is such a type.

    A report is booked in one write, so worst-case exposure never shows a state that was not: a fill moves shares from open to
    position in the same clock. Shares of orders marked short count from then on, but for those that end unfilled: what was bought
    back since was located once all the same. `booked` tells of it once all of it stands: a fill's cash comes with its shares.

    Timing: a pair is booked 5 to 12 clocks after `sent`, a single order two earlier; `booking` is high meanwhile, and the gate
    waits for it. A report that does not wait is booked six clocks after it came, seven where the gate looks up exposures in the
    clock in which it would be judged; a broken trade takes two more. Reports wait in a queue of `report_queue`; one that finds it
    full is lost, which is an alarm and a halt, never silent.

    Entry figures: of a position, shares that made it greater since it was 0, and what they cost or brought. A fill that makes
    it smaller leaves both; one that leads through 0 begins anew with the part beyond. Their quotient is the average price at
    which it was entered. They stand six clocks after a fill's record at the latest.

    The host reads a word at a time: `inspect` names it, and it is there once `inspected` says so. It waits for reports and
    orders, and holds up one that comes meanwhile by four clocks at most. `changes` tells whether words that were read one after
    the other are of the same moment.

    The host writes what a slot begins with by `reload`, while no order is open and no report waits: what is `booked` then is as
    after a fill.

    Who wants to know of every order asks with `show` and waits for `shown`: the place is looked at in every clock without a
    report or an order at work, so that no port is needed and nothing here waits.

    Source: DESIGN sections 7 and 8, OUCH 5.0 (open shares are those sent less every increment of E, C and D).

    Parameters
    ----------
    geometry : Geometry
        Decides slots, pairs and own orders followed at once.
    report_queue : int
        Reports that may wait, a power of two from 4 on.

    Members
    -------
    sent : In(stream.Signature(interfaces.order_pair(geometry), always_ready=True))
        Orders on their way out. Not while `booking`.
    booking : Out(1)
        Orders of `sent` are being entered.
    report : In(stream.Signature(OrderReport, always_ready=True))
        Reports of the exchange.
    next_user_ref_num : In(32)
        Number the next leg a will bear.
    live : Out(range(geometry.open_orders + 1))
        Orders entered that have not ended.
    full : Out(1)
        A place of the next two numbers is taken. Valid three clocks after `next_user_ref_num` changed, four after the ledger did.
    lookup : In(ArrayLayout(geometry.slot_bits, 2))
        Slots to look up.
    looking : In(1)
        The gate takes `exposure` in this clock. Never while `booking`, nor twice in a row.
    exposure : Out(ArrayLayout(Exposure, 2))
        Exposure of the slots looked up, in the same clock; only while `looking` is it sure to be theirs.
    booked : Out(stream.Signature(booked(geometry), always_ready=True))
        A slot changed; told in the clock of the write, or one later where cash changed too.
    inspect : In(stream.Signature(INSPECT_BITS, always_ready=True))
        Word to show, see `registers.inspected`.
    inspected : Out(INSPECT_BITS)
        Word that `inspected_word` is; all ones where it is not there yet.
    inspected_word : Out(32)
    changes : Out(32)
        Times something was booked.
    reload : In(stream.Signature(interfaces.table_write(RELOAD, geometry)))
        What a slot begins with. What is not taken in its clock is not taken at all.
    show : In(range(geometry.open_orders))
        A place whose order is to be shown.
    shown : Out(stream.Signature(shown(), always_ready=True))
        The order of the place that was asked for a clock before, where the ledger had time to look.
    now : In(32)
        Clock count.
    done : Out(stream.Signature(interfaces.pair_done(geometry), always_ready=True))
        Both orders of a pair ended, and how. Not of single orders.
    rejected, canceled : Out(1)
        One-clock pulses: a report was booked by which the exchange rejected an order, or canceled one in part or whole.
    leg_told : Out(stream.Signature(interfaces.leg_report(geometry), always_ready=True))
        What happened to legs of pairs, in the clock of `done` where both.
    fill_event, order_state_event, alarm_event : Out(stream.Signature(interfaces.event(...), always_ready=True))
        Records for the host.
    alarm : Out(len(Alarm))
        One-clock pulses, a bit per `Alarm`.
    halt : Out(1)
        Some alarm was raised: trading has to stop.
    """

    def __init__(self, *, geometry: Geometry, report_queue: int = 16):
        if report_queue < 4 or report_queue & (report_queue - 1):
            raise ValueError(f"report_queue: {report_queue} was given, allowed are powers of two from 4 on")
        self._geometry = geometry
        self._report_queue = report_queue
        super().__init__(
            {
                "sent": In(stream.Signature(interfaces.order_pair(geometry), always_ready=True)),
                "booking": Out(1),
                "report": In(stream.Signature(OrderReport, always_ready=True)),
                "next_user_ref_num": In(32),
                "live": Out(range(geometry.open_orders + 1)),
                "full": Out(1),
                "lookup": In(data.ArrayLayout(geometry.slot_bits, 2)),
                "looking": In(1),
                "exposure": Out(data.ArrayLayout(Exposure, 2)),
                "booked": Out(stream.Signature(booked(geometry), always_ready=True)),
                "inspect": In(stream.Signature(INSPECT_BITS, always_ready=True)),
                "inspected": Out(INSPECT_BITS, init=_NOT_YET),
                "inspected_word": Out(WORD),
                "changes": Out(32),
                "reload": In(stream.Signature(interfaces.table_write(RELOAD, geometry))),
                "show": In(range(geometry.open_orders)),
                "shown": Out(stream.Signature(shown(), always_ready=True)),
                "now": In(32),
                "done": Out(stream.Signature(interfaces.pair_done(geometry), always_ready=True)),
                "rejected": Out(1),
                "canceled": Out(1),
                "leg_told": Out(stream.Signature(interfaces.leg_report(geometry), always_ready=True)),
                "fill_event": Out(stream.Signature(interfaces.event(events.FILL), always_ready=True)),
                "order_state_event": Out(stream.Signature(interfaces.event(events.ORDER_STATE), always_ready=True)),
                "alarm_event": Out(stream.Signature(interfaces.event(events.ALARM), always_ready=True)),
                "alarm": Out(len(Alarm)),
                "halt": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        geometry = self._geometry
        order_layout = data.StructLayout(
            {
                "state": OrderState,
                "user_ref_num": 32,
                "slot": geometry.slot_bits,
                "pair": geometry.pair_bits,
                "single": 1,
                "repair": 1,
                "leg": 1,
                "side": Side,
                "short": 1,
                "open": 32,
                "any_filled": 1,
                "any_ended": 1,
                "taken_back": 1,
            }
        )
        # Of the last fill of each order first its number, then how much it was.
        fill_layout = data.UnionLayout({"match_number": 64, "much": data.StructLayout({"quantity": 32, "price": 32})})
        tally_layout = data.StructLayout({"orders": 2, "all_full": 1, "none_filled": 1, "rejected": 1})

        # A row is read for a report, two clocks before one may be written: the memory need not say what a read gives then.
        attributes = {"ram_style": "block", "no_rw_check": 1}
        m.submodules.orders = orders = Memory(shape=order_layout, depth=geometry.open_orders, init=[], attrs=attributes)
        m.submodules.fills = fills = Memory(shape=fill_layout, depth=2 * geometry.open_orders, init=[], attrs=attributes)
        m.submodules.taken = taken = Memory(shape=1, depth=geometry.open_orders, init=[], attrs={"ram_style": "block"})
        m.submodules.tallies = tallies = Memory(shape=tally_layout, depth=max(2, geometry.pairs), init=[])
        m.submodules.exposures = exposures = Memory(shape=Exposure, depth=geometry.slots, init=[])
        m.submodules.money = money = Memory(shape=signed(64), depth=geometry.slots, init=[])
        m.submodules.entries = entries = Memory(shape=Entry, depth=geometry.slots, init=[])
        orders_read, orders_write = orders.read_port(domain="comb"), orders.write_port()
        row = Signal(order_layout, reset_less=True)
        idle, shown = Signal(), Signal()
        m.d.sync += [row.eq(orders_read.data), shown.eq(idle & ~self.booking)]
        m.d.comb += [
            self.shown.valid.eq(shown),
            self.shown.payload.open.eq(is_open(row)),
            self.shown.payload.user_ref_num.eq(row.user_ref_num),
        ]
        much, fills_last = Signal(), Signal()
        fills_read, fills_write = fills.read_port(domain="comb"), fills.write_port()
        last_fill = Signal(fill_layout, reset_less=True)
        m.d.sync += last_fill.eq(fills_read.data)
        taken_read, taken_write = taken.read_port(), taken.write_port()
        tally_read, tally_write = tallies.read_port(domain="comb"), tallies.write_port()
        lookups = [exposures.read_port(domain="comb"), exposures.read_port(domain="comb")]
        exposure_write = exposures.write_port()
        money_read, money_write = money.read_port(domain="comb"), money.write_port()
        entry_read, entry_write = entries.read_port(domain="comb"), entries.write_port()
        m.submodules.product = product = Product(a=32, b=32)

        # Reports and bookings use the first port while the gate does not; their slot is known a clock before they read.
        own_slot = Signal(geometry.slot_bits)
        own_exposure = lookups[0].data
        m.d.comb += [
            lookups[0].addr.eq(Mux(self.looking, self.lookup[0], own_slot)),
            lookups[1].addr.eq(self.lookup[1]),
            *(self.exposure[index].eq(port.data) for index, port in enumerate(lookups)),
        ]

        # The two places are read in turn.
        turn, found = Signal(), Signal(2)
        m.d.comb += [taken_read.addr.eq(self.next_user_ref_num + turn), self.full.eq(found.any())]
        m.d.sync += turn.eq(~turn)
        with m.If(turn):
            m.d.sync += found[0].eq(taken_read.data)
        with m.Else():
            m.d.sync += found[1].eq(taken_read.data)

        # Like the memory it counts, it outlives a reset.
        live = Signal(range(geometry.open_orders + 1), reset_less=True)
        m.d.sync += live.eq(live + (taken_write.en & taken_write.data) - (taken_write.en & ~taken_write.data))
        m.d.comb += self.live.eq(live)

        # Reports wait while orders are entered.
        m.submodules.queue = queue = SyncFIFOBuffered(width=OrderReport.as_shape().size, depth=self._report_queue)
        overrun = Signal()
        lost = Signal(OrderReport)
        lost_told = Signal(init=1)
        m.d.comb += [
            queue.w_data.eq(self.report.payload),
            queue.w_en.eq(self.report.valid),
            overrun.eq(self.report.valid & ~queue.w_rdy),
        ]

        sent = Signal(interfaces.order_pair(geometry))
        leg_index = Signal()
        leg = sent.legs[leg_index]
        with m.If(self.sent.valid):
            m.d.sync += [sent.eq(self.sent.payload), leg_index.eq(0), self.booking.eq(1)]

        report = Signal(OrderReport)
        order = Signal(order_layout)
        held = Signal(Exposure)
        cash = Signal(signed(64))
        tally = Signal(tally_layout)
        m.d.comb += [
            product.a.eq(report.quantity),
            product.b.eq(report.price),
            orders_read.addr.eq(Mux(idle, self.show, report.user_ref_num)),
            fills_read.addr.eq(Cat(much, report.user_ref_num)),
            fills_write.addr.eq(Cat(fills_last, report.user_ref_num)),
            fills_write.data.match_number.eq(report.match_number),
            money_read.addr.eq(order.slot),
            money_write.addr.eq(order.slot),
            tally_read.addr.eq(order.pair),
        ]

        # What the report does, and whether it can be. What hangs on its type alone is known before its row has come.
        def is_type(*layouts: Layout) -> Signal:
            told = Signal(name=f"is_{layouts[0].name}")
            m.d.sync += told.eq(Cat(report.type == ord(layout.code) for layout in layouts).any())
            return told

        accepted = is_type(ouch.ORDER_ACCEPTED)
        executed = is_type(ouch.ORDER_EXECUTED)
        canceled = is_type(ouch.ORDER_CANCELED, ouch.AIQ_CANCELED)
        rejected = is_type(ouch.REJECTED)
        noted = is_type(*NOTED)
        broken = is_type(ouch.BROKEN_TRADE)
        outliving = is_type(*OUTLIVING)
        no_order = is_type(ouch.SYSTEM_EVENT)
        dead = report.order_state == ord(ouch.ORDER_STATE_DEAD)
        live = report.order_state == ord(ouch.ORDER_STATE_LIVE)
        open_now = is_open(order)
        followed = (open_now | (outliving & (order.state != OrderState.FREE))) & (order.user_ref_num == report.user_ref_num)
        fresh = order.state == OrderState.SENT
        known_type, unknown, overfill, possible = Signal(), Signal(), Signal(), Signal()
        fill, back, all_ends, some_canceled, refused = Signal(), Signal(), Signal(), Signal(), Signal()
        # A broken trade is told by its number alone: how much it was is fetched before it is judged.
        recalled, same_octets, same_fill = Signal(), Signal(8), Signal()
        m.d.sync += same_fill.eq(same_octets.all())
        for octet in range(8):
            kept, told = (each.match_number.word_select(octet, 8) for each in (last_fill, report))
            m.d.sync += same_octets[octet].eq(kept == told)
        ended, left = Signal(32), Signal(32)
        whole = (accepted & dead) | rejected
        stays = (accepted & live) | noted | broken

        selling = order.side == Side.SELL
        slot_words = words_of(
            LEDGER_SLOT,
            {name: held[name] for name in ("position", "open_buys", "open_sells", "orders", "shorts")}
            | {"cash": money_read.data, "entry_notional": entry_read.data.notional, "entry_shares": entry_read.data.shares},
        )
        order_columns = {column.name: order[column.name] for column in LEDGER_ORDER.columns}
        order_words = words_of(LEDGER_ORDER, order_columns | {"single": order.single & ~order.repair})

        judged, good, judged_bad, cause = Signal(), Signal(), Signal(), Signal(Alarm)
        m.d.sync += judged.eq(0)
        m.d.comb += [
            good.eq(known_type & ~unknown & ~overfill & possible),
            judged_bad.eq(judged & ~no_order & ~good),
            cause.eq(
                Mux(
                    ~known_type,
                    Alarm.UNHANDLED_REPORT,
                    Mux(
                        unknown,
                        Alarm.UNKNOWN_ORDER,
                        Mux(overfill, Alarm.OVERFILL, Mux(back, Alarm.BROKEN_TRADE, Alarm.UNHANDLED_REPORT)),
                    ),
                )
            ),
        ]

        def write_order(place, row) -> list:
            return [orders_write.addr.eq(place), orders_write.data.eq(row), orders_write.en.eq(1)]

        # What a fill does to the entry figures is written in the clock behind its record; of what led through 0, a second product
        # is there four clocks later: one before the next fill needs them.
        entry, entry_slot = Signal(Entry, reset_less=True), Signal(geometry.slot_bits)
        late, against, crossed = Signal(5), Signal(), Signal()
        beyond = late[3]
        grown = entry_read.data.notional + product.product
        m.d.sync += late.eq(late << 1)
        m.d.comb += [
            # By the time of the second product 0 stands there.
            entry_read.addr.eq(Mux(beyond, entry_slot, order.slot)),
            entry_write.addr.eq(entry_slot),
            entry_write.data.eq(entry),
            entry_write.en.eq(late[0] | (late[4] & crossed)),
        ]
        with m.If(late[0] & crossed):
            m.d.sync += entry.shares.eq(report.quantity)
        with m.If(beyond):
            m.d.sync += entry.notional.eq(grown)

        asked, asking, meant = Signal(INSPECT_BITS), Signal(), Signal()
        of_order = asked[16 + VIEW_WORDS.bit_length() - 1]
        quiet = ~self.booking & ~queue.r_rdy & ~late.any()

        # What is taken back moves the position as a trade in the other direction does.
        traded, falls = Signal(), Signal()
        m.d.comb += [traded.eq(fill | back), falls.eq(selling ^ back)]
        after = Signal(order_layout)
        still = Signal(Exposure)
        told, leg_told = self.booked.payload, self.leg_told.payload
        m.d.comb += [told.cash.eq(cash), told.leg.eq(leg_index)]
        m.d.comb += [
            leg_told.pair.eq(order.pair),
            leg_told.leg.eq(order.leg),
            leg_told.slot.eq(order.slot),
            leg_told.side.eq(order.side),
            leg_told.quantity.eq(Mux(fill, ended, 0)),
            leg_told.ended.eq(all_ends & order.repair),
            leg_told.back.eq(back),
        ]
        outcome = Signal(tally_layout)
        # This and `_fsm` are what a proof of this component stands on.
        self._at_work = (sent, report, row, order)
        with m.FSM() as self._fsm:
            with m.State("IDLE"):
                m.d.comb += idle.eq(1)
                m.d.sync += own_slot.eq(leg.slot)
                with m.If(self.booking):
                    m.next = "ENTER_READ"
                with m.Elif(queue.r_rdy):
                    m.d.comb += queue.r_en.eq(1)
                    m.d.sync += [report.eq(queue.r_data), recalled.eq(0)]
                    m.next = "FETCH"
                with m.Elif(self.reload.valid & self.reload.ready):
                    row_given = self.reload.payload.row
                    m.d.sync += [
                        order.slot.eq(self.reload.payload.index),
                        held.eq(0),
                        held.position.eq(row_given.position),
                        held.shorts.eq(row_given.shorts),
                        cash.eq(row_given.cash),
                        report.price.eq(row_given.price),
                        entry_slot.eq(self.reload.payload.index),
                        entry.notional.eq(row_given.entry_notional),
                        entry.shares.eq(row_given.entry_shares),
                        crossed.eq(0),
                        late[0].eq(1),
                        # What stands there is written as it is.
                        fill.eq(0),
                        back.eq(0),
                        ended.eq(0),
                        all_ends.eq(0),
                    ]
                    m.next = "RELOAD"
                with m.Elif(asking & quiet):
                    m.d.sync += [
                        meant.eq(1),
                        report.user_ref_num[: len(orders_read.addr)].eq(asked),
                        order.slot.eq(asked),
                        own_slot.eq(asked),
                    ]
                    m.next = "LOOK"
                m.d.comb += self.reload.ready.eq(quiet & (self.live == 0))

            with m.State("LOOK"):
                m.d.sync += held.eq(own_exposure)
                with m.If(~self.looking):
                    m.next = "LOOK_ORDER"
            with m.State("LOOK_ORDER"):
                with m.If(of_order):
                    m.d.sync += order.eq(row)
                m.next = "SHOW"
            with m.State("SHOW"):
                with m.Switch(asked[16:]):
                    for number, word in enumerate(slot_words):
                        with m.Case(number):
                            m.d.sync += self.inspected_word.eq(word)
                    for number, word in enumerate(order_words, VIEW_WORDS):
                        with m.Case(number):
                            m.d.sync += self.inspected_word.eq(word)
                # Not where another word was asked for meanwhile.
                with m.If(meant):
                    m.d.sync += [self.inspected.eq(asked), asking.eq(0)]
                m.next = "IDLE"
            with m.State("RELOAD"):
                m.d.comb += [
                    exposure_write.addr.eq(order.slot),
                    exposure_write.data.eq(still),
                    exposure_write.en.eq(1),
                    money_write.data.eq(cash),
                    money_write.en.eq(1),
                    self.booked.valid.eq(1),
                    told.slot.eq(order.slot),
                    told.exposure.eq(held),
                    told.price.eq(report.price),
                    told.filled.eq(1),
                ]
                m.next = "IDLE"

            with m.State("ENTER_READ"):
                m.d.sync += held.eq(own_exposure)
                m.next = "ENTER_WRITE"
            with m.State("ENTER_WRITE"):
                m.d.comb += [
                    exposure_write.addr.eq(leg.slot),
                    exposure_write.data.eq(held),
                    exposure_write.en.eq(1),
                    *write_order(leg.user_ref_num, 0),
                    orders_write.data.state.eq(OrderState.SENT),
                    orders_write.data.user_ref_num.eq(leg.user_ref_num),
                    orders_write.data.slot.eq(leg.slot),
                    orders_write.data.pair.eq(sent.pair),
                    orders_write.data.single.eq(sent.single),
                    orders_write.data.repair.eq(sent.repair),
                    orders_write.data.leg.eq(leg_index | sent.leg),
                    orders_write.data.side.eq(leg.side),
                    orders_write.data.short.eq(leg.short),
                    orders_write.data.open.eq(leg.quantity),
                    taken_write.addr.eq(leg.user_ref_num),
                    taken_write.data.eq(1),
                    taken_write.en.eq(1),
                    tally_write.addr.eq(sent.pair),
                    tally_write.data.orders.eq(2),
                    tally_write.data.all_full.eq(1),
                    tally_write.data.none_filled.eq(1),
                    tally_write.data.rejected.eq(0),
                    tally_write.en.eq(~sent.single),
                    self.leg_told.valid.eq(~sent.single),
                    leg_told.pair.eq(sent.pair),
                    leg_told.leg.eq(leg_index),
                    leg_told.slot.eq(leg.slot),
                    leg_told.side.eq(leg.side),
                    leg_told.quantity.eq(leg.quantity),
                    leg_told.entered.eq(1),
                    leg_told.ended.eq(0),
                    leg_told.back.eq(0),
                ]
                with m.If(leg.side == Side.SELL):
                    m.d.comb += exposure_write.data.open_sells.eq(held.open_sells + leg.quantity)
                with m.Else():
                    m.d.comb += exposure_write.data.open_buys.eq(held.open_buys + leg.quantity)
                m.d.comb += [
                    exposure_write.data.orders.eq(held.orders + 1),
                    exposure_write.data.shorts.eq(held.shorts + Mux(leg.short, leg.quantity, 0)),
                    self.booked.valid.eq(1),
                    told.slot.eq(leg.slot),
                    told.exposure.eq(exposure_write.data),
                    told.price.eq(leg.price),
                    told.entered.eq(1),
                ]
                m.d.sync += [leg_index.eq(1), own_slot.eq(sent.legs[1].slot)]
                with m.If(leg_index | sent.single):
                    m.d.sync += self.booking.eq(0)
                    m.next = "IDLE"
                with m.Else():
                    m.next = "ENTER_READ"

            with m.State("FETCH"):
                m.d.comb += much.eq(~recalled)
                m.next = "ROW"
            with m.State("ROW"):
                m.d.sync += [order.eq(row), own_slot.eq(row.slot)]
                m.next = "JUDGE"
                with m.If(broken & ~recalled):
                    m.d.sync += [report[name].eq(last_fill.much[name]) for name in ("quantity", "price")]
                    m.d.sync += recalled.eq(1)
                    m.next = "FETCH"
            with m.State("JUDGE"):
                m.d.sync += [
                    held.eq(own_exposure),
                    cash.eq(money_read.data),
                    tally.eq(tally_read.data),
                    judged.eq(~self.looking),
                    known_type.eq(accepted | executed | canceled | rejected | noted | broken),
                    unknown.eq(~followed),
                    overfill.eq((executed | canceled) & (order.open < report.quantity)),
                    possible.eq(
                        Mux(
                            accepted,
                            fresh & (report.quantity == order.open) & (dead | live),
                            Mux(
                                broken,
                                same_fill & order.any_filled & ~order.taken_back,
                                Mux(rejected, fresh, noted | (report.quantity != 0)),
                            ),
                        )
                    ),
                    fill.eq(executed),
                    back.eq(broken),
                    some_canceled.eq(whole | canceled),
                    refused.eq(whole),
                    # Of a broken trade it is what goes back.
                    ended.eq(Mux(stays & ~broken, 0, Mux(whole, order.open, report.quantity))),
                    left.eq(Mux(stays, order.open, Mux(whole, 0, order.open - report.quantity))),
                    all_ends.eq(~stays & (whole | (report.quantity == order.open))),
                ]
                with m.If(~self.looking):
                    m.next = "BOOK"
            with m.State("BOOK"):
                m.next = "IDLE"
                m.d.sync += against.eq(held.position.any() & (held.position[-1] ^ falls))
                with m.If(good):
                    m.d.comb += [
                        exposure_write.addr.eq(order.slot),
                        exposure_write.data.eq(still),
                        exposure_write.en.eq(1),
                        *write_order(report.user_ref_num, after),
                        taken_write.addr.eq(report.user_ref_num),
                        taken_write.en.eq(all_ends),
                        tally_write.addr.eq(order.pair),
                        tally_write.data.eq(outcome),
                        tally_write.en.eq(all_ends & ~order.single),
                        self.order_state_event.valid.eq(1),
                        self.done.valid.eq(all_ends & (tally.orders == 1) & ~order.single),
                        self.leg_told.valid.eq(~order.single | order.repair),
                        self.booked.valid.eq(~traded),
                        self.rejected.eq(refused),
                        self.canceled.eq(some_canceled & ~refused),
                        told.slot.eq(order.slot),
                        told.exposure.eq(still),
                    ]
                    m.d.comb += fills_write.en.eq(fill)
                    with m.If(traded):
                        m.d.sync += [
                            held.eq(still),
                            cash.eq(cash + minus_if(~falls, product.product, 64)),
                        ]
                        m.next = "CASH"
            with m.State("CASH"):
                begins_anew = against & ((held.position[-1] == falls) | ~held.position.any())
                m.d.sync += [
                    entry_slot.eq(order.slot),
                    entry.notional.eq(grown),
                    entry.shares.eq(entry_read.data.shares + report.quantity),
                    crossed.eq(begins_anew & held.position.any()),
                    late[0].eq(begins_anew | ~against),
                    # The part beyond 0, should there be one: a factor for a clock.
                    report.quantity.eq(minus_if(held.position[-1], held.position, 32)),
                ]
                with m.If(begins_anew):
                    m.d.sync += entry.eq(0)
                m.d.comb += [
                    money_write.data.eq(cash),
                    money_write.en.eq(1),
                    fills_last.eq(1),
                    fills_write.en.eq(fill),
                    *(fills_write.data.much[name].eq(report[name]) for name in ("quantity", "price")),
                    self.fill_event.valid.eq(1),
                    self.booked.valid.eq(1),
                    told.slot.eq(order.slot),
                    told.exposure.eq(held),
                    told.price.eq(report.price),
                    told.filled.eq(1),
                ]
                m.next = "IDLE"

        with m.If(self.inspect.valid):
            m.d.sync += [asked.eq(self.inspect.payload), asking.eq(1), meant.eq(0), self.inspected.eq(_NOT_YET)]
        m.d.sync += self.changes.eq(self.changes + self.booked.valid)

        m.d.comb += [
            still.open_buys.eq(Mux(selling | back, held.open_buys, held.open_buys - ended)),
            still.open_sells.eq(Mux(selling & ~back, held.open_sells - ended, held.open_sells)),
            still.position.eq(held.position + minus_if(falls, Mux(traded, ended, 0), 32)),
            still.orders.eq(held.orders - all_ends),
            still.shorts.eq(held.shorts - Mux(order.short & ~traded, ended, 0)),
            after.eq(order),
            after.open.eq(left),
            after.any_filled.eq(order.any_filled | fill),
            # What was filled and taken back is not filled, and the order will not be whole.
            after.any_ended.eq(order.any_ended | some_canceled | back),
            after.taken_back.eq(back | (order.taken_back & ~fill)),
            after.state.eq(
                Mux(
                    ~all_ends,
                    Mux(open_now, OrderState.LIVE, order.state),
                    Mux(fill, OrderState.FILLED, Mux(rejected, OrderState.REJECTED, OrderState.CANCELED)),
                )
            ),
            outcome.orders.eq(tally.orders - 1),
            outcome.all_full.eq(tally.all_full & ~after.any_ended),
            outcome.none_filled.eq(tally.none_filled & ~after.any_filled),
            outcome.rejected.eq(tally.rejected | refused),
            self.done.payload.pair.eq(order.pair),
            self.done.payload.rejected.eq(outcome.rejected),
            self.done.payload.outcome.eq(
                Mux(outcome.all_full, PairOutcome.FILLED, Mux(outcome.none_filled, PairOutcome.NOTHING, PairOutcome.LEGGED))
            ),
        ]

        state, done_fill = self.order_state_event.payload, self.fill_event.payload
        m.d.comb += [
            state.cycle.eq(self.now),
            state.user_ref_num.eq(report.user_ref_num),
            state.open_shares.eq(left),
            state.slot.eq(order.slot),
            state.pair.eq(interfaces.pair_number(order)),
            state.state.eq(after.state),
            state.report.eq(report.type),
            state.reason.eq(report.reason),
            done_fill.cycle.eq(self.now),
            done_fill.user_ref_num.eq(report.user_ref_num),
            done_fill.match_number.eq(report.match_number),
            done_fill.price.eq(report.price),
            done_fill.quantity.eq(report.quantity),
            done_fill.position.eq(held.position),
            done_fill.cash.eq(cash),
            done_fill.slot.eq(order.slot),
            done_fill.pair.eq(interfaces.pair_number(order)),
            done_fill.side.eq(side_code(order.side, order.short) | (back << events.TAKEN_BACK_BIT)),
        ]

        # A judgement speaks before a lost report; that one waits a clock.
        named = Array([lost, report])[judged_bad]
        m.d.comb += [
            self.alarm_event.valid.eq(judged_bad | ~lost_told),
            self.alarm_event.payload.cycle.eq(self.now),
            self.alarm_event.payload.user_ref_num.eq(named.user_ref_num),
            self.alarm_event.payload.report.eq(named.type),
            self.alarm_event.payload.alarm.eq(Mux(judged_bad, cause, Alarm.REPORT_OVERRUN)),
        ]
        m.d.comb += [self.alarm[kind].eq(judged_bad & (cause == kind)) for kind in Alarm if kind != Alarm.REPORT_OVERRUN]
        lost_now = Signal()
        m.d.sync += lost_now.eq(overrun)
        m.d.comb += [self.alarm[Alarm.REPORT_OVERRUN].eq(lost_now), self.halt.eq(self.alarm.any())]
        with m.If(~judged_bad):
            m.d.sync += lost_told.eq(1)
        with m.If(overrun):
            m.d.sync += [lost.eq(self.report.payload), lost_told.eq(0)]
        return m
