"""The one gate every order passes."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl import interfaces
from hdl.flags import one_hot
from hdl.interfaces import Integrity, Mode, Side, TradingState
from hdl.risk.ledger import Exposure, side_code
from hdl.risk.off_tick import OffTick
from hdl.risk.portfolio import total_bits
from hdl.risk.product import Product
from hdl.risk.recent_orders import RecentOrders
from hdl.spec import events, registers
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Refusal

LIMITS, CEILINGS, REFERENCES, HOST_ORDER = (
    next(table for table in registers.RISK.tables if table.name == name)
    for name in ("limits", "ceilings", "references", "order")
)

_BPS = 10_000
"""Basis points in the whole."""


@dataclass(frozen=True)
class _Leg:
    """What is found of one leg alone.

    Parameters
    ----------
    mask : Signal
        Its own reasons, valid four clocks after the request was taken. Those that hang on what all orders share, on the portfolio
        or on orders before, and OTHER_LEG, are left 0.
    short : Signal
        It is a short sale; as late as `mask`.
    growing : Signal
        It would not shrink the position; as late as `mask`.
    weight : Value
        Its notional where it is growing, else 0; a clock before `mask`.
    """

    mask: Signal
    short: Signal
    growing: Signal
    weight: Value


class RiskGate(wiring.Component):
    """Judges both orders of a pair on every limit at once; both leave or neither does. A single order is judged alone.

    Each order gets exactly one verdict, `LATENCY` clocks after the request was taken, whether it passed or not; all reasons
    that hold are in it. Leg a's record comes first, leg b's in the next clock. What passes in mode LIVE leaves on
    `order` in the clock of leg a's verdict. In mode SHADOW nothing leaves, no order number and no token is used.

    What every order shares (trading state, mode, session, transmitter) is judged in the very clock in which the order would
    leave: with KILLED set no order is valid in that clock, and `order` is only valid while `transmitter_ready` is. What the feed
    tells (integrity, touches, halts, hours, silence) is judged as it stands when the request is taken: what changes in the last 4
    clocks before an order leaves does not stop it.

    Rules
    -----
    ``QUANTITY``: 1 to max_quantity. ``NOTIONAL``: quantity times price, exact, up to max_notional. ``COLLAR``: ``|price -
    reference| * 10000 <= reference * collar_bps`` and ``|price - reference| <= collar``; the reference is the last sale, or
    that of `references` until one comes. ``LONG_LIMIT`` (buys): position + open buys + quantity up to max_long. ``SHORT_LIMIT``
    (sells): position - open sells - quantity not below -max_short. ``REDUCE_ONLY``: a sale must leave position - open sells -
    quantity at 0 or above, a buy position + open buys + quantity at 0 or below: then the position shrinks whatever fills. A
    sale of more than position - open sells is short, all of it. ``SHORT_SALE``: no short sale at all while the slot is
    restricted. ``LOCATE``: shares of short sales that were filled or are open, with this one's, up to `located`. ``CANARY``:
    quantity up to `canary_quantity`, where that is not 0. ``REJECT_RATE``, ``CANCEL_RATE``: none while `rejects_reached`, or
    `cancels_reached`, is high three clocks after the request was taken.
    ``RATE``: an order that leaves takes a token, one comes back every rate_interval clocks; refused ones take none. Both legs
    see the exposure before the pair, so legs of one slot, which would have to be summed, are refused (``PAIR_DISABLED``).
    ``OFF_TICK``: from a dollar on, a price is a multiple of 100. A single order needs no pair: neither ``PAIR_DISABLED`` nor
    ``OTHER_LEG`` is ever said of it, it takes one token and one number, and `returned` does not tell of it.

    What all slots share. An order is exempt from the first three where ``REDUCE_ONLY`` would let it pass, whatever the trading
    state is. ``GROSS``: gross and the notional of all legs that are not exempt, each at its own price, up to max_gross.
    ``NET``: net_long and that of the buys among them up to max_net, net_short less that of the sales not below -max_net.
    ``LOSS``: none while `loss` is high in the clock in which it would leave.

    What a slot did before. ``OPEN_ORDERS``: fewer than max_open_orders of it are open. ``DUPLICATE``, ``SLOT_RATE``: see
    `RecentOrders`.

    Ceilings: the first row of `ceilings` after reset holds until the next reset; before it there are none. A row of `limits` with
    a column above its ceiling is not taken over.

    Two sets. Rows of `limits` lie in two banks: a request is judged by those of `bank`, rows of the host go to the other one.
    `bank`, and every register that is part of a set, may only change while neither `judging` is high nor a request is taken.

    Overload: a second request waits (`request.ready` is low) from the clock a request is taken until its verdicts are given,
    the ledger has entered its orders and the portfolio has counted them. Nothing is queued here.

    Source: DESIGN section 7, `reasons.Refusal`.

    Parameters
    ----------
    geometry : Geometry
        Decides slots and pairs.

    Members
    -------
    request : In(stream.Signature(interfaces.order_pair(geometry)))
        Orders asked for.
    allowed : In(1)
        The pair of `request` is enabled and not latched off.
    limits : In(stream.Signature(interfaces.table_write(LIMITS, geometry), always_ready=True))
        Rows of the host, three clocks apart at least, for the bank that is not in force.
    references : In(stream.Signature(interfaces.table_write(REFERENCES, geometry)))
        Reference prices of the host. One takes effect in the clock after it came or the next in which no sale comes.
    bank : In(1)
        Bank in force.
    epoch : In(8)
        What its verdicts bear.
    judging : Out(1)
        A request is being judged, from the clock after it was taken on.
    limits_waiting : Out(1)
        A row of limits is not in its bank yet.
    row_refused : Out(1)
        One-clock pulse: that row was above a ceiling.
    ceilings : In(stream.Signature(interfaces.table_write(CEILINGS, geometry), always_ready=True))
        Highest limits, once.
    ceilings_locked : Out(1)
        They were loaded.
    limits_refused : Out(1)
        One-clock pulse: a row above a ceiling, or ceilings when locked.
    trading_state : In(TradingState)
    mode : In(Mode)
    rate_tokens : In(16)
    rate_interval : In(32)
        Registers.
    trade : In(stream.Signature(StructLayout({"slot", "price"}), always_ready=True))
        Last sales: new references.
    bbo : In(stream.Signature(interfaces.bbo(geometry), always_ready=True))
        Touches, for CROSSED. A slot of which none was seen is one-sided.
    clear : In(1)
        Forget all touches.
    integrity : In(ArrayLayout(Integrity, geometry.slots))
        State of each slot's book.
    halted, restricted : In(geometry.slots)
    market_open, stale : In(1)
        Of `MarketStatus`.
    transmitter_ready : In(1)
        An order pair given in this clock leaves at once.
    session_up : In(1)
        The order session is up.
    load_user_ref_num : In(stream.Signature(32, always_ready=True))
        Sets the number of the next order.
    next_user_ref_num : Out(32)
        Number the next order will bear; leg b, where there is one, bears the one after.
    lookup : Out(ArrayLayout(geometry.slot_bits, 2))
    exposure : In(ArrayLayout(Exposure, 2))
    booking : In(1)
    settling : In(1)
        An order that left is not in the portfolio's sums yet.
    gross, net_long, net_short : In(signed(total_bits(geometry)))
        Sums of the portfolio.
    max_gross, max_net : In(56)
    max_open_orders, slot_rate_orders : In(16)
    duplicate_window, slot_rate_window : In(32)
        Registers.
    loss : In(1)
        The loss limit was reached.
    rejects_reached, cancels_reached : In(1)
        Of `ReportRates`.
    canary_quantity : In(20)
        Register.
    ledger_full : In(1)
        To and from `Ledger`.
    now : In(32)
        Clock count.
    order : Out(stream.Signature(interfaces.order_pair(geometry), always_ready=True))
        Orders that leave.
    returned : Out(stream.Signature(StructLayout({"pair", "allowed"}), always_ready=True))
        A pair's request that was taken and did not leave, and what `allowed` said of it.
    verdict_event : Out(stream.Signature(interfaces.event(events.VERDICT), always_ready=True))
        Record of each verdict.
    refusal : Out(ArrayLayout(range(3), len(Refusal)))
        Orders refused in this clock, by reason.
    passed, refused : Out(range(3))
        Orders judged in this clock.
    """

    LATENCY = 5

    def __init__(self, *, geometry: Geometry):
        self._geometry = geometry
        slots = geometry.slots
        super().__init__(
            {
                "request": In(stream.Signature(interfaces.order_pair(geometry))),
                "allowed": In(1),
                "limits": In(stream.Signature(interfaces.table_write(LIMITS, geometry), always_ready=True)),
                "ceilings": In(stream.Signature(interfaces.table_write(CEILINGS, geometry), always_ready=True)),
                "references": In(stream.Signature(interfaces.table_write(REFERENCES, geometry))),
                "bank": In(1),
                "epoch": In(8),
                "judging": Out(1),
                "limits_waiting": Out(1),
                "row_refused": Out(1),
                "ceilings_locked": Out(1),
                "limits_refused": Out(1),
                "trading_state": In(TradingState),
                "mode": In(Mode),
                "rate_tokens": In(16),
                "rate_interval": In(32),
                "trade": In(stream.Signature(data.StructLayout({"slot": geometry.slot_bits, "price": 32}), always_ready=True)),
                "bbo": In(stream.Signature(interfaces.bbo(geometry), always_ready=True)),
                "clear": In(1),
                "integrity": In(data.ArrayLayout(Integrity, slots)),
                "halted": In(slots),
                "restricted": In(slots),
                "market_open": In(1),
                "stale": In(1),
                "transmitter_ready": In(1),
                "session_up": In(1),
                "load_user_ref_num": In(stream.Signature(32, always_ready=True)),
                "next_user_ref_num": Out(32, init=1),
                "lookup": Out(data.ArrayLayout(geometry.slot_bits, 2)),
                "exposure": In(data.ArrayLayout(Exposure, 2)),
                "booking": In(1),
                "settling": In(1),
                **dict.fromkeys(("gross", "net_long", "net_short"), In(signed(total_bits(geometry)))),
                "max_gross": In(56),
                "max_net": In(56),
                "loss": In(1),
                "rejects_reached": In(1),
                "cancels_reached": In(1),
                "canary_quantity": In(20),
                "max_open_orders": In(16),
                "duplicate_window": In(32),
                "slot_rate_orders": In(16),
                "slot_rate_window": In(32),
                "ledger_full": In(1),
                "now": In(32),
                "order": Out(stream.Signature(interfaces.order_pair(geometry), always_ready=True)),
                "returned": Out(
                    stream.Signature(data.StructLayout({"pair": geometry.pair_bits, "allowed": 1}), always_ready=True)
                ),
                "verdict_event": Out(stream.Signature(interfaces.event(events.VERDICT), always_ready=True)),
                "refusal": Out(data.ArrayLayout(range(3), len(Refusal))),
                "passed": Out(range(3)),
                "refused": Out(range(3)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        taken = Signal()
        # One-hot: step[n] is high n clocks after the request was taken.
        step = Signal(self.LATENCY + 2)
        busy = Signal()
        request = Signal(self.request.payload.shape())
        m.d.comb += [
            self.request.ready.eq(~busy & ~self.booking & ~self.settling),
            taken.eq(self.request.valid & self.request.ready),
            step[0].eq(taken),
            self.judging.eq(busy),
        ]
        m.d.sync += step[1:].eq(step[:-1])
        with m.If(taken):
            m.d.sync += [request.eq(self.request.payload), self.returned.payload.allowed.eq(self.allowed), busy.eq(1)]
        with m.If(taken & self.request.payload.single):
            m.d.sync += [request[name].eq(0) for name in ("type", "sequence", "som", "eot")]
            with m.If(~self.request.payload.repair):
                m.d.sync += request.pair.eq(-1)
        with m.If(step[self.LATENCY]):
            m.d.sync += busy.eq(0)

        rows = self._tables(m, request, step)
        crossed = self._crossed(m)
        short_of_tokens = self._rate(m, request)
        own = [self._leg(m, request, index, *rows[index], crossed, short_of_tokens[index]) for index in range(2)]
        late = [Signal(len(Refusal), name=f"late_{index}") for index in range(2)]
        self._recent(m, request, taken, late)
        self._portfolio(m, request, own, late)
        self._verdict(m, request, step, own, late)
        return m

    def _recent(self, m: Module, request, taken: Signal, late: list) -> None:
        """Reasons that hang on what left before, valid four clocks after the request was taken."""
        m.submodules.recent = recent = RecentOrders(geometry=self._geometry)
        m.d.comb += [recent.taken.eq(taken), recent.sent.eq(self.order.valid), recent.single.eq(request.single)]
        for name in ("duplicate_window", "slot_rate_orders", "slot_rate_window"):
            m.d.comb += getattr(recent, name).eq(getattr(self, name))
        for index, leg in enumerate(request.legs):
            m.d.comb += [recent.asked[index][name].eq(leg[name]) for name in ("slot", "side", "quantity", "price")]
            m.d.comb += [
                late[index][Refusal.DUPLICATE].eq(recent.duplicate[index]),
                late[index][Refusal.SLOT_RATE].eq(recent.crowded[index]),
            ]

    def _portfolio(self, m: Module, request, own: list, late: list) -> None:
        """Reasons that hang on all slots, valid four clocks after the request was taken.

        Clock 3: what the legs add. What there is room for was known before. Clock 4: they are compared."""
        bits = total_bits(self._geometry) + 1
        gross_room, buy_room, sell_room = (Signal(signed(bits), name=f"{name}_room") for name in ("gross", "buy", "sell"))
        added, bought, sold = (Signal(65, name=name) for name in ("added", "bought", "sold"))
        selling = Cat(leg.side == Side.SELL for leg in request.legs)
        weights = [each.weight for each in own]
        m.d.sync += [
            gross_room.eq(self.max_gross - self.gross),
            buy_room.eq(self.max_net - self.net_long),
            sell_room.eq(self.max_net + self.net_short),
            added.eq(weights[0] + weights[1]),
            bought.eq(sum(weight & ~selling[index].replicate(64) for index, weight in enumerate(weights))),
            sold.eq(sum(weight & selling[index].replicate(64) for index, weight in enumerate(weights))),
        ]
        too_gross, too_long, too_short = gross_room < added, buy_room < bought, sell_room < sold
        for index, each in enumerate(own):
            m.d.comb += [
                late[index][Refusal.GROSS].eq(each.growing & too_gross),
                late[index][Refusal.NET].eq(each.growing & Mux(selling[index], too_short, too_long)),
            ]

    def _tables(self, m: Module, request, step: Signal) -> list:
        """Of each leg its limits, valid three clocks after the request was taken, and reference and bps, valid after one."""
        geometry = self._geometry
        columns = dict(self.limits.payload.row.shape().members)
        del columns["collar_bps"]
        row_layout = data.StructLayout(columns)
        banks = 2 << geometry.slot_bits
        # What is read is in force and what is written is not, so the memory need not say what a read of the same row gives.
        attributes = {"ram_style": "block", "no_rw_check": 1}
        m.submodules.rows = rows = Memory(shape=row_layout, depth=banks, init=[], attrs=attributes)
        m.submodules.bps = bps = Memory(shape=len(self.limits.payload.row.collar_bps), depth=banks, init=[])
        row_read, row_write, bps_write = rows.read_port(domain="comb"), rows.write_port(), bps.write_port()
        references = self._references(m)

        # Held back until it is compared with the ceilings.
        waiting = Signal(self.limits.payload.shape())
        waits, checked, write = Signal(), Signal(), Signal()
        above = self._ceilings(m, waiting.row, waits & checked)
        m.d.sync += checked.eq(waits & ~self.limits.valid)
        m.d.comb += [
            write.eq(waits & checked & ~above),
            self.row_refused.eq(waits & checked & above),
            self.limits_waiting.eq(waits),
        ]
        with m.If(self.limits.valid):
            m.d.sync += [waiting.eq(self.limits.payload), waits.eq(1)]
        with m.Elif(checked):
            m.d.sync += waits.eq(0)
        m.d.comb += [
            row_write.addr.eq(Cat(waiting.index, ~self.bank)),
            *(row_write.data[name].eq(waiting.row[name]) for name in columns),
            row_write.en.eq(write),
            bps_write.addr.eq(Cat(waiting.index, ~self.bank)),
            bps_write.data.eq(waiting.row.collar_bps),
            bps_write.en.eq(write),
        ]

        row_data = Signal(row_layout, reset_less=True)
        m.d.sync += row_data.eq(row_read.data)
        m.d.comb += row_read.addr.eq(Cat(Mux(step[1], request.legs[1].slot, self.request.payload.legs[0].slot), self.bank))
        read = []
        for index, leg in enumerate(self.request.payload.legs):
            row = Signal(row_layout, name=f"row_{index}")
            reference, share = Signal(32, name=f"reference_{index}"), Signal(len(waiting.row.collar_bps), name=f"bps_{index}")
            reference_read, bps_read = references.read_port(domain="comb"), bps.read_port(domain="comb")
            m.d.comb += [reference_read.addr.eq(leg.slot), bps_read.addr.eq(Cat(leg.slot, self.bank))]
            m.d.sync += [reference.eq(reference_read.data), share.eq(bps_read.data)]
            with m.If(step[1 + index]):
                m.d.sync += row.eq(row_data)
            read.append((row, reference, share))
        return read

    def _references(self, m: Module) -> Memory:
        """The last sale of each slot. A sale goes before the price of the host that waits, and is not undone by it."""
        m.submodules.references = references = Memory(shape=32, depth=self._geometry.slots, init=[])
        write = references.write_port()
        given, trade = self.references, self.trade.payload
        waiting, waits, free = Signal(given.payload.shape()), Signal(), Signal()
        m.d.comb += [free.eq(waits & ~self.trade.valid), given.ready.eq(~waits | free)]
        with m.If(given.valid & given.ready):
            m.d.sync += [waiting.eq(given.payload), waits.eq(1)]
        with m.Elif(free):
            m.d.sync += waits.eq(0)
        newest = Mux(given.valid & given.ready, given.payload.index, waiting.index)
        with m.If(self.trade.valid & (trade.slot == newest)):
            m.d.sync += waiting.row.price.eq(trade.price)
        m.d.comb += [
            write.addr.eq(Mux(self.trade.valid, trade.slot, waiting.index)),
            write.data.eq(Mux(self.trade.valid, trade.price, waiting.row.price)),
            write.en.eq(self.trade.valid | waits),
        ]
        return references

    def _ceilings(self, m: Module, row: data.View, judged: Value) -> Signal:
        """Whether a row of limits is above a ceiling, a clock after the row stands; `judged` tells that it is asked for."""
        names = [column.name for column in CEILINGS.columns if column.name in row.shape().members]
        shape = data.StructLayout({name: len(row[name]) for name in names})
        ceilings = Signal(shape, init={name: (1 << len(row[name])) - 1 for name in names})
        above = Signal()
        m.d.sync += [
            above.eq(Cat(ceilings[name] < row[name] for name in names).any()),
            self.limits_refused.eq((judged & above) | (self.ceilings.valid & self.ceilings_locked)),
        ]
        with m.If(self.ceilings.valid & ~self.ceilings_locked):
            m.d.sync += [*(ceilings[name].eq(self.ceilings.payload.row[name]) for name in names), self.ceilings_locked.eq(1)]
        return above

    def _crossed(self, m: Module) -> Signal:
        """One bit a slot: locked, crossed or one-sided."""
        crossed = Signal(self._geometry.slots, init=-1)
        seen, slot, bad = Signal(), Signal(self._geometry.slot_bits), Signal()
        touch = self.bbo.payload.touch
        m.d.sync += [
            seen.eq(self.bbo.valid),
            slot.eq(self.bbo.payload.slot),
            bad.eq((touch.bid_price == 0) | (touch.ask_price == 0) | (touch.bid_price >= touch.ask_price)),
        ]
        told = one_hot(m, slot, len(crossed), seen)
        m.d.sync += crossed.eq(Mux(bad, crossed | told, crossed & ~told))
        with m.If(self.clear):
            m.d.sync += [crossed.eq(-1), seen.eq(0)]
        return crossed

    def _rate(self, m: Module, request) -> list:
        """Whether a leg lacks a token. Tokens in use are counted, so a new rate_tokens acts at once."""
        used = Signal(17)
        timer = Signal(32, init=1)
        due, back, left = Signal(), Signal(), Signal()
        lacks = [Signal(name=f"lacks_{index}") for index in range(2)]
        # Both changes of `used` are a clock late; the next order is judged later than that.
        m.d.comb += due.eq((used != back) & (self.rate_interval != 0) & (timer >= self.rate_interval))
        m.d.sync += [
            back.eq(due),
            left.eq(self.order.valid),
            timer.eq(Mux(due | (used == back) | (self.rate_interval == 0), 1, timer + 1)),
            # A single order's `left` is as late as its request stands.
            used.eq(used + Mux(left, Mux(request.single, 1, 2), 0) - back),
            lacks[0].eq(used >= self.rate_tokens),
            lacks[1].eq(used + 1 >= self.rate_tokens),
        ]
        return lacks

    def _leg(self, m: Module, request, index: int, row, reference, bps, crossed: Signal, lacks_token: Signal):
        """What is found of one leg alone."""
        leg = request.legs[index]
        asked = self.request.payload.legs[index]
        selling = leg.side == Side.SELL
        mask = Signal(len(Refusal), name=f"mask_{index}")
        short, growing = Signal(name=f"short_{index}"), Signal(name=f"growing_{index}")
        limit = f"leg_{index}"

        def delayed(value, clocks: int, name: str):
            for number in range(clocks):
                later = Signal(len(value), name=f"{limit}_{name}_{number}")
                m.d.sync += later.eq(value)
                value = later
            return value

        # Clock 0: the request stands on the stream; references, exposure and slot bits are fetched by its slot.
        # Turned round for a sale, so that one sum serves both sides. What it comes to is one less than the worst case, which
        # makes "the order shrinks the position" its sign.
        exposure = self.exposure[index]
        asked_sale = asked.side == Side.SELL
        held, opened = Signal(signed(32), name=f"{limit}_held"), Signal(32, name=f"{limit}_opened")
        orders = Signal(16, name=f"{limit}_orders")
        shorts = Signal(len(exposure.shorts), name=f"{limit}_shorts")
        quantity = Signal(signed(33), name=f"{limit}_quantity")
        m.d.comb += self.lookup[index].eq(asked.slot)
        m.d.sync += [
            held.eq(exposure.position ^ asked_sale.replicate(32)),
            opened.eq(Mux(asked_sale, exposure.open_sells, exposure.open_buys)),
            orders.eq(exposure.orders),
            shorts.eq(exposure.shorts),
            quantity.eq(asked.quantity - (asked.side == Side.BUY)),
        ]
        m.submodules[f"notional_{index}"] = notional = Product(a=32, b=32)
        m.d.comb += [notional.a.eq(asked.quantity), notional.b.eq(asked.price)]
        inexact = Cat(self.integrity[slot] != Integrity.EXACT for slot in range(self._geometry.slots))
        one_slot = self.request.payload.legs[0].slot == self.request.payload.legs[1].slot
        single = self.request.payload.single
        fetched = {
            Refusal.INTEGRITY: inexact.bit_select(asked.slot, 1),
            Refusal.STOCK_HALTED: self.halted.bit_select(asked.slot, 1),
            Refusal.CROSSED: crossed.bit_select(asked.slot, 1),
            Refusal.PAIR_DISABLED: (~self.allowed | one_slot) & ~single,
            Refusal.MARKET_CLOSED: ~self.market_open,
            Refusal.STALE: self.stale,
        }
        restricted = delayed(self.restricted.bit_select(asked.slot, 1), 3, "restricted")
        reasons = {kind: delayed(value, 3, kind.name.lower()) for kind, value in fetched.items()}

        off_tick = OffTick()
        m.submodules[f"off_tick_{index}"] = off_tick
        m.d.comb += off_tick.price.eq(asked.price)
        reasons[Refusal.OFF_TICK] = off_tick.off_tick

        # Clock 1: reference and exposure are in registers.
        distance = Signal(32, name=f"{limit}_distance")
        above, below = Signal(33), Signal(33)
        m.d.comb += [above.eq(leg.price - reference), below.eq(reference - leg.price)]
        allowed_low, allowed_high = Signal(32, name=f"{limit}_allowed_low"), Signal(28, name=f"{limit}_allowed_high")
        worst = Signal(signed(35), name=f"{limit}_worst")
        m.d.sync += [
            distance.eq(Mux(above[-1], below, above)),
            allowed_low.eq(reference[:18] * bps),
            allowed_high.eq(reference[18:] * bps),
            worst.eq(held + opened + quantity),
        ]
        no_reference = delayed(reference == 0, 2, "no_reference")
        reasons[Refusal.NO_REFERENCE] = no_reference
        reasons[Refusal.OPEN_ORDERS] = delayed(orders >= self.max_open_orders, 2, "open_orders")
        none = leg.quantity == 0
        nothing = delayed(none, 1, "nothing")

        # Clock 2: sums and the distance are in registers.
        far_low, far_high = Signal(32, name=f"{limit}_far_low"), Signal(28, name=f"{limit}_far_high")
        allowed = Signal(46, name=f"{limit}_allowed")
        m.d.sync += [
            far_low.eq(distance[:18] * _BPS),
            far_high.eq(distance[18:] * _BPS),
            allowed.eq(allowed_low + (allowed_high << 18)),
        ]
        present = ~request.single if index else Const(1)
        grows = delayed((~worst[-1] | nothing) & present, 1, "grows")
        is_short = delayed(selling & ~worst[-1], 1, "is_short")
        worst, distance = delayed(worst, 1, "worst").as_signed(), delayed(distance, 1, "distance")
        borrowed = delayed(delayed(shorts, 1, "shorts") + leg.quantity, 1, "borrowed")

        # Clock 3: the rows are in registers; the last carry chains; everything comes together.
        room = (
            Cat(allowed, Const(0, 3)).as_signed()
            - Cat(far_low, Const(0, 1)).as_signed()
            - Cat(Const(0, 18), far_high, Const(0, 1)).as_signed()
        )
        reasons[Refusal.SLOT_DISABLED] = ~row.enabled
        reasons[Refusal.QUANTITY] = delayed(nothing, 1, "none") | (row.max_quantity < leg.quantity)
        reasons[Refusal.LONG_LIMIT] = ~selling & (worst >= row.max_long)
        reasons[Refusal.SHORT_LIMIT] = selling & (worst >= row.max_short)
        reasons[Refusal.COLLAR] = ~no_reference & ((row.collar < distance) | (room < 0))
        reasons[Refusal.NOTIONAL] = row.max_notional < notional.product
        reasons[Refusal.SHORT_SALE] = restricted & is_short
        reasons[Refusal.LOCATE] = is_short & (row.located < borrowed)
        reasons[Refusal.CANARY] = (self.canary_quantity != 0) & (self.canary_quantity < leg.quantity)
        reasons[Refusal.REJECT_RATE] = self.rejects_reached
        reasons[Refusal.CANCEL_RATE] = self.cancels_reached
        reasons[Refusal.RATE] = lacks_token
        reasons[Refusal.LEDGER_FULL] = self.ledger_full
        m.d.sync += [mask.eq(0), *(mask[kind].eq(value) for kind, value in reasons.items())]
        with m.If(~present):
            m.d.sync += mask.eq(0)
        m.d.sync += [short.eq(is_short), growing.eq(grows)]
        return _Leg(mask, short, growing, notional.product & grows.replicate(len(notional.product)))

    def _verdict(self, m: Module, request, step: Signal, own: list, late: list) -> None:
        """Bring the legs together; judge what they share in the last clock."""
        own_masks = [Signal(len(Refusal), name=f"own_mask_{index}") for index in range(2)]
        late_masks = [Signal(len(Refusal), name=f"late_mask_{index}") for index in range(2)]
        own_good = Signal()
        shorts, growing = Signal(2), Signal(2)
        m.d.sync += [kept.eq(each.mask) for kept, each in zip(own_masks, own, strict=True)]
        # Apart: what they hang on comes last in its clock.
        m.d.sync += [kept.eq(mask) for kept, mask in zip(late_masks, late, strict=True)]
        with m.If(request.single):
            m.d.sync += late_masks[1].eq(0)
        m.d.sync += [
            own_good.eq(~(own[0].mask.any() | own[1].mask.any())),
            shorts.eq(Cat(each.short for each in own)),
            growing.eq(Cat(each.growing for each in own)),
        ]

        shared = Signal(len(Refusal))
        m.d.comb += [
            shared[Refusal.KILLED].eq(self.trading_state == TradingState.KILLED),
            shared[Refusal.HALTED].eq(self.trading_state == TradingState.HALTED),
            shared[Refusal.MODE_OFF].eq((self.mode != Mode.LIVE) & (self.mode != Mode.SHADOW)),
            shared[Refusal.TRANSMITTER_BUSY].eq(~self.transmitter_ready),
            shared[Refusal.SESSION_DOWN].eq(~self.session_up),
        ]
        reducing = Signal()
        m.d.comb += reducing.eq(self.trading_state == TradingState.REDUCE_ONLY)
        # What is not there has no reasons: leg b's own ones, and whether it is growing, were left 0.
        pair = ~request.single
        alone = [Signal(len(Refusal), name=f"alone_{index}") for index in range(2)]
        masks = [Signal(len(Refusal), name=f"whole_mask_{index}") for index in range(2)]
        for index, (mask, of_all) in enumerate(zip(masks, (shared, shared & pair.replicate(len(shared))), strict=True)):
            m.d.comb += [
                alone[index].eq(own_masks[index] | late_masks[index] | of_all),
                alone[index][Refusal.REDUCE_ONLY].eq(reducing & growing[index]),
                alone[index][Refusal.LOSS].eq(self.loss & growing[index]),
                mask.eq(alone[index]),
                mask[Refusal.OTHER_LEG].eq(alone[1 - index].any() & pair),
            ]
        judging = step[self.LATENCY]
        good, leaves = Signal(), Signal()
        number, number_b = self.next_user_ref_num, Signal(32)
        m.d.comb += [
            good.eq(own_good & ~Cat(late_masks).any() & ~shared.any() & ~((reducing | self.loss) & growing.any())),
            leaves.eq(good & (self.mode == Mode.LIVE)),
            number_b.eq(number + 1),
            self.order.valid.eq(judging & leaves),
            self.order.payload.eq(request),
            self.returned.valid.eq(judging & ~leaves & pair),
            self.returned.payload.pair.eq(request.pair),
        ]
        for index, value in enumerate((number, number_b)):
            m.d.comb += [
                self.order.payload.legs[index].user_ref_num.eq(value),
                self.order.payload.legs[index].short.eq(shorts[index]),
            ]
        m.d.comb += self.order.payload.epoch.eq(self.epoch)
        with m.If(self.load_user_ref_num.valid):
            m.d.sync += number.eq(self.load_user_ref_num.payload)
        with m.Elif(self.order.valid):
            m.d.sync += number.eq(number + Mux(pair, 2, 1))

        with m.If(judging):
            orders = Mux(pair, 2, 1)
            m.d.comb += [self.passed.eq(Mux(good, orders, 0)), self.refused.eq(Mux(good, 0, orders))]
            m.d.comb += [self.refusal[kind].eq(masks[0][kind] + masks[1][kind]) for kind in Refusal]

        # Leg b's record is kept for the clock after.
        records = [Signal(self.verdict_event.payload.shape(), name=f"record_{index}") for index in range(2)]
        for index, record in enumerate(records):
            leg = request.legs[index]
            m.d.comb += [
                record.sequence.eq(request.sequence),
                record.cycle.eq(self.now),
                record.refusals.eq(masks[index]),
                record.user_ref_num.eq(Mux(leaves, (number, number_b)[index], 0)),
                record.price.eq(leg.price),
                record.quantity.eq(leg.quantity),
                record.slot.eq(leg.slot),
                record.pair.eq(interfaces.pair_number(request)),
                record.side.eq(side_code(leg.side, shorts[index])),
                record.leg.eq(index | request.leg),
                record.mode.eq(self.mode),
                record.epoch.eq(self.epoch),
            ]
        second = Signal(self.verdict_event.payload.shape())
        m.d.sync += second.eq(records[1])
        m.d.comb += [
            self.verdict_event.valid.eq(judging | (step[self.LATENCY + 1] & pair)),
            self.verdict_event.payload.eq(Mux(judging, records[0], second)),
        ]
