"""From the book to the order: strategy, gate and ledger as one component."""

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl import interfaces
from hdl.control.parameter_sets import ParameterSets
from hdl.interfaces import Integrity, Mode, OrderReport, TradingState
from hdl.order.cancel_walker import CancelWalker
from hdl.risk.card_ceilings import CardCeilings
from hdl.risk.ledger import INSPECT_BITS, RELOAD, Ledger
from hdl.risk.loss_limit import LOSS_BITS, LossLimit
from hdl.risk.market_status import MarketStatus
from hdl.risk.portfolio import Portfolio, total_bits
from hdl.risk.report_rates import COUNT_BITS as REPORT_BITS
from hdl.risk.report_rates import ReportRates
from hdl.risk.risk_gate import CEILINGS, HOST_ORDER, LIMITS, REFERENCES, RiskGate
from hdl.spec import events
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Alarm, Miss, Refusal
from hdl.spec.registers import EPOCH_BITS
from hdl.spec.statistics import COUNT_BITS, MEAN_BITS, VARIANCE_BITS
from hdl.strategy.leg_repair import LegRepair
from hdl.strategy.spread_statistics import SpreadStatistics
from hdl.strategy.spread_trigger import PAIR_INDEX, PAIR_LEGS, PAIR_LISTS, PAIRS, SpreadTrigger

_SETS = ("frozen", "swap", "wrong_epoch", "incomplete", "above_ceiling", "out_of_turn")


class TradingCore(wiring.Component):
    """`SpreadTrigger` with `SpreadStatistics`, `LegRepair`, `MarketStatus`, `RiskGate`, `Ledger`, `Portfolio`, `LossLimit`,
    `ReportRates`, `CardCeilings` and `CancelWalker`, joined, and `ParameterSets`, which says what set they go by.

    Latency: `order` is valid `LATENCY` clocks after `bbo` for the first pair of the slot's list, see `SpreadTrigger` for the lead
    `accept` must have. The components say what happens under overload.

    Source: DESIGN sections 6 to 8.

    Parameters
    ----------
    geometry : Geometry
        Decides slots, pairs and own orders followed at once.

    Members
    -------
    decoded : In(stream.Signature(interfaces.decoded(geometry), always_ready=True))
        Every message of the feed, for market status.
    accept : In(stream.Signature(StructLayout({"slot"}), always_ready=True))
    bbo : In(stream.Signature(interfaces.bbo(geometry), always_ready=True))
    trade : In(stream.Signature(StructLayout({"slot", "price"}), always_ready=True))
    integrity : In(ArrayLayout(Integrity, geometry.slots))
        Of the book.
    pairs, limits, ceilings : In(stream.Signature(interfaces.table_write(...), always_ready=True))
        Rows of the host; of the first two see `ParameterSets`.
    pair_legs, pair_lists, pair_index, references : In(stream.Signature(interfaces.table_write(...), always_ready=True))
        Rows of the host, only taken while the trading state is HALTED or KILLED; `pair_legs` not while `repairing`.
    reload : In(stream.Signature(interfaces.table_write(RELOAD, geometry), always_ready=True))
        The same, and only where no own order is open, no pair `repairing` and the ledger at rest.
    structure_refused : Out(1)
        One-clock pulse: one was not.
    commit, epoch, frozen, swap, wrong_epoch, incomplete, above_ceiling, out_of_turn
        Of `ParameterSets`. Registers that are part of a set change when `swap` says so.
    staged : In(interfaces.card_limits())
        Of these, what `CardCeilings` looks at, as they are to be in the next set.
    host_order : In(stream.Signature(interfaces.table_write(HOST_ORDER, geometry), always_ready=True))
        A single order of the host, offered to the gate in the next clock only: a trigger goes first, and what the gate does not
        take is dropped, Miss.HOST_ORDER. Orders that repair a pair come last.
    cooldown, trading_state, mode, rate_tokens, rate_interval, ignore_market_hours, stale_after
        Registers of the host.
    ceilings_locked, limits_refused : Out(1)
        Of `RiskGate`.
    live : Out(range(geometry.open_orders + 1))
        Own orders that have not ended; `ended` is high while there is none and none is being entered.
    ended : Out(1)
    clear : In(1)
        Forget all touches, and halts and restrictions of all slots, as the book is cleared.
    load_user_ref_num : In(stream.Signature(32, always_ready=True))
        The host sets the number of the next order.
    next_user_ref_num : Out(32)
        Number of the next order.
    report : In(stream.Signature(OrderReport, always_ready=True))
        Reports of the exchange.
    order : Out(stream.Signature(interfaces.order_pair(geometry), always_ready=True))
        Orders that leave; valid only while `transmitter_ready`, which must not depend on it in the same clock.
    transmitter_ready, session_up : In(1)
        Of the order session.
    cancel_all : In(1)
        The host wants all that is open canceled, as a kill does.
    cancel : Out(stream.Signature(32))
        Number of an order to cancel, of `CancelWalker`.
    max_gross, max_net, max_loss, max_open_orders, duplicate_window, slot_rate_orders, slot_rate_window, reject_rate_orders,
    cancel_rate_orders, report_rate_window, canary_quantity
        Registers of the host.
    rearm_loss : In(1)
        The host forgets that the loss limit was reached.
    loss_reached : Out(1)
        It was: the trading state has to be REDUCE_ONLY or lower.
    pnl, gross, net_long, net_short : Out(signed(total_bits(geometry)))
        Sums of `Portfolio`.
    now : In(32)
        Clock count.
    trigger_event, verdict_event, fill_event, order_state_event, alarm_event : Out(stream.Signature(interfaces.event(...),
    always_ready=True))
        Records for the host.
    triggered : Out(1)
        One-clock pulse: that of `trigger_event` is of a trigger, and not of a pair that is legged.
    repairing : Out(1)
        Some pair is being repaired.
    miss : Out(len(Miss))
    alarm : Out(len(Alarm))
        One-clock pulses by cause.
    refusal : Out(ArrayLayout(range(3), len(Refusal)))
        Orders refused in this clock, by reason.
    passed, refused : Out(range(3))
        Orders judged in this clock.
    halt : Out(1)
        The trading state has to fall to HALTED.
    inspect_ledger, inspected_ledger, inspected_word, ledger_changes
        Of `Ledger`: `inspect`, `inspected`, `inspected_word` and `changes`.
    sample_interval, inspect, inspected, mean, variance, samples, sample_taken, sample_cut, samples_lost
        Of `SpreadStatistics`.
    """

    LATENCY = SpreadTrigger.LATENCY + RiskGate.LATENCY

    def __init__(self, *, geometry: Geometry):
        self._geometry = geometry

        def always(shape, direction=In):
            return direction(stream.Signature(shape, always_ready=True))

        def rows(table):
            return always(interfaces.table_write(table, geometry))

        super().__init__(
            {
                "decoded": always(interfaces.decoded(geometry)),
                "accept": always(data.StructLayout({"slot": geometry.slot_bits})),
                "bbo": always(interfaces.bbo(geometry)),
                "trade": always(data.StructLayout({"slot": geometry.slot_bits, "price": 32})),
                "integrity": In(data.ArrayLayout(Integrity, geometry.slots)),
                "pairs": rows(PAIRS),
                "pair_legs": rows(PAIR_LEGS),
                "pair_lists": rows(PAIR_LISTS),
                "pair_index": rows(PAIR_INDEX),
                "limits": rows(LIMITS),
                "ceilings": rows(CEILINGS),
                "host_order": rows(HOST_ORDER),
                "references": rows(REFERENCES),
                "reload": rows(RELOAD),
                "structure_refused": Out(1),
                "commit": always(EPOCH_BITS),
                "epoch": Out(EPOCH_BITS),
                **dict.fromkeys(_SETS, Out(1)),
                "staged": In(interfaces.card_limits()),
                "ceilings_locked": Out(1),
                "limits_refused": Out(1),
                "live": Out(range(geometry.open_orders + 1)),
                "ended": Out(1),
                "stale_after": In(32),
                "cooldown": In(32),
                "trading_state": In(TradingState),
                "mode": In(Mode),
                "rate_tokens": In(16),
                "rate_interval": In(32),
                "ignore_market_hours": In(1),
                "clear": In(1),
                "load_user_ref_num": always(32),
                "next_user_ref_num": Out(32),
                "report": always(OrderReport),
                "order": always(interfaces.order_pair(geometry), Out),
                "transmitter_ready": In(1),
                "session_up": In(1),
                "cancel_all": In(1),
                "cancel": Out(stream.Signature(32)),
                "max_gross": In(56),
                "max_net": In(56),
                "max_loss": In(LOSS_BITS),
                "rearm_loss": In(1),
                "loss_reached": Out(1),
                "max_open_orders": In(16),
                "duplicate_window": In(32),
                "slot_rate_orders": In(16),
                "slot_rate_window": In(32),
                "reject_rate_orders": In(REPORT_BITS),
                "cancel_rate_orders": In(REPORT_BITS),
                "report_rate_window": In(32),
                "canary_quantity": In(20),
                **dict.fromkeys(("pnl", "gross", "net_long", "net_short"), Out(signed(total_bits(geometry)))),
                "now": In(32),
                "trigger_event": always(interfaces.event(events.TRIGGER), Out),
                "triggered": Out(1),
                "repairing": Out(1),
                "verdict_event": always(interfaces.event(events.VERDICT), Out),
                "fill_event": always(interfaces.event(events.FILL), Out),
                "order_state_event": always(interfaces.event(events.ORDER_STATE), Out),
                "alarm_event": always(interfaces.event(events.ALARM), Out),
                "miss": Out(len(Miss)),
                "alarm": Out(len(Alarm)),
                "refusal": Out(data.ArrayLayout(range(3), len(Refusal))),
                "passed": Out(range(3)),
                "refused": Out(range(3)),
                "halt": Out(1),
                "inspect_ledger": always(INSPECT_BITS),
                "inspected_ledger": Out(INSPECT_BITS),
                "inspected_word": Out(32),
                "ledger_changes": Out(32),
                "sample_interval": In(6),
                "inspect": always(16),
                "inspected": Out(16),
                "mean": Out(signed(MEAN_BITS)),
                "variance": Out(VARIANCE_BITS),
                "samples": Out(COUNT_BITS),
                "sample_taken": Out(1),
                "sample_cut": Out(1),
                "samples_lost": Out(range(3)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.sets = sets = ParameterSets(geometry=self._geometry)
        m.submodules.trigger = trigger = SpreadTrigger(geometry=self._geometry)
        m.submodules.status = status = MarketStatus(geometry=self._geometry)
        m.submodules.gate = gate = RiskGate(geometry=self._geometry)
        m.submodules.ledger = ledger = Ledger(geometry=self._geometry)
        m.submodules.walker = walker = CancelWalker(geometry=self._geometry)
        m.submodules.portfolio = portfolio = Portfolio(geometry=self._geometry)
        m.submodules.loss = loss = LossLimit(bits=total_bits(self._geometry))
        m.submodules.rates = rates = ReportRates()
        m.submodules.highest = highest = CardCeilings(geometry=self._geometry)

        for target, names in (
            (status, ("decoded",)),
            (trigger, ("accept", "bbo")),
            (gate, ("bbo", "trade", "ceilings", "load_user_ref_num", "order", "verdict_event")),
            (sets, ("commit",)),
            (ledger, ("report", "fill_event", "order_state_event", "alarm_event")),
            (walker, ("cancel",)),
        ):
            for name in names:
                connect(m, **{name: flipped(getattr(self, name)), "inner": getattr(target, name)})
        # Behind the path: a clock later than the ledger tells it.
        m.d.sync += [rates.rejected.eq(ledger.rejected), rates.canceled.eq(ledger.canceled)]
        repair = self._repair(m, sets, trigger, gate, ledger)
        dropped = self._requests(m, trigger.request, repair, gate.request, sets.hold)
        connect(m, returned=gate.returned, trigger=trigger.returned)
        connect(m, ledger=ledger.booked, portfolio=portfolio.booked)
        connect(m, ledger=ledger.shown, walker=walker.shown)

        for target, names in (
            (trigger, ("cooldown", "clear", "integrity", "now")),
            (status, ("clear", "ignore_market_hours", "stale_after")),
            (
                gate,
                (
                    "trading_state",
                    "mode",
                    "rate_tokens",
                    "rate_interval",
                    "max_gross",
                    "max_net",
                    "max_open_orders",
                    "duplicate_window",
                    "slot_rate_orders",
                    "slot_rate_window",
                    "canary_quantity",
                    "clear",
                    "integrity",
                    "transmitter_ready",
                    "session_up",
                    "now",
                ),
            ),
            (ledger, ("now",)),
            (walker, ("trading_state", "cancel_all")),
            (rates, ("reject_rate_orders", "cancel_rate_orders", "report_rate_window")),
        ):
            m.d.comb += [getattr(target, name).eq(getattr(self, name)) for name in names]
        m.d.comb += [
            # A replay that begins mid-day has neither the system events nor the spin of trading states.
            status.assume_trading.eq(self.ignore_market_hours),
            gate.halted.eq(status.halted),
            gate.restricted.eq(status.restricted),
            gate.market_open.eq(status.market_open),
            gate.stale.eq(status.stale),
            self.ceilings_locked.eq(gate.ceilings_locked),
            # The gate takes the same stream.
            highest.ceilings.valid.eq(self.ceilings.valid),
            highest.ceilings.payload.eq(self.ceilings.payload),
            highest.locked.eq(gate.ceilings_locked),
            highest.staged.eq(self.staged),
            sets.registers_above.eq(highest.above),
            self.limits_refused.eq(gate.limits_refused),
            self.live.eq(ledger.live),
            self.ended.eq((ledger.live == 0) & ~ledger.booking & ~gate.order.valid),
            gate.allowed.eq(trigger.allowed),
            ledger.sent.valid.eq(gate.order.valid),
            ledger.sent.payload.eq(gate.order.payload),
            ledger.next_user_ref_num.eq(gate.next_user_ref_num),
            ledger.show.eq(walker.show),
            walker.next_user_ref_num.eq(gate.next_user_ref_num),
            ledger.lookup.eq(gate.lookup),
            ledger.looking.eq(gate.request.valid & gate.request.ready),
            gate.exposure.eq(ledger.exposure),
            gate.booking.eq(ledger.booking),
            gate.settling.eq(portfolio.settling),
            # The trigger takes the same stream.
            portfolio.bbo.valid.eq(self.bbo.valid),
            portfolio.bbo.payload.eq(self.bbo.payload),
            self.pnl.eq(portfolio.pnl),
            self.gross.eq(portfolio.gross),
            self.net_long.eq(portfolio.long),
            self.net_short.eq(portfolio.short),
            *(getattr(gate, name).eq(getattr(self, name)) for name in ("gross", "net_long", "net_short")),
            loss.pnl.eq(portfolio.pnl),
            loss.valid.eq(portfolio.counted),
            loss.max_loss.eq(self.max_loss),
            loss.rearm.eq(self.rearm_loss),
            gate.loss.eq(loss.reached),
            gate.rejects_reached.eq(rates.rejects_reached),
            gate.cancels_reached.eq(rates.cancels_reached),
            self.loss_reached.eq(loss.reached),
            gate.ledger_full.eq(ledger.full),
            self.next_user_ref_num.eq(gate.next_user_ref_num),
            self.miss.eq(trigger.miss),
            self.miss[Miss.HOST_ORDER].eq(dropped),
            self.alarm.eq(ledger.alarm),
            self.halt.eq(ledger.halt),
            self.refusal.eq(gate.refusal),
            self.passed.eq(gate.passed),
            self.refused.eq(gate.refused),
        ]
        connect(m, inspect=flipped(self.inspect_ledger), ledger=ledger.inspect)
        m.d.comb += [
            self.inspected_ledger.eq(ledger.inspected),
            self.inspected_word.eq(ledger.inspected_word),
            self.ledger_changes.eq(ledger.changes),
        ]
        taken = self._rows(m, sets, trigger, gate, ledger, repair)
        if self._geometry.adaptive:
            self._adapt(m, sets, trigger, taken)
        return m

    def _adapt(self, m: Module, sets: ParameterSets, trigger: SpreadTrigger, taken: Value) -> None:
        """Statistics that give adaptive pairs their thresholds. Without them such a pair gets none, and so never fires."""
        m.submodules.statistics = statistics = SpreadStatistics(geometry=self._geometry)
        connect(m, inspect=flipped(self.inspect), statistics=statistics.inspect)
        connect(m, trigger=trigger.sample, statistics=statistics.sample)
        connect(m, trigger=trigger.thresholds, statistics=statistics.thresholds)
        m.d.comb += [
            # The trigger takes the same streams; statistics only look on.
            statistics.pairs.valid.eq(trigger.pairs.valid),
            statistics.pairs.payload.eq(trigger.pairs.payload),
            statistics.bank.eq(sets.bank),
            statistics.swap.eq(sets.swap),
            statistics.restart.valid.eq(taken),
            statistics.restart.payload.pair.eq(self.pair_legs.payload.index),
            statistics.timestamp.valid.eq(self.bbo.valid),
            statistics.timestamp.payload.eq(self.bbo.payload.timestamp),
            statistics.interval.eq(self.sample_interval),
            *(getattr(self, name).eq(getattr(statistics, name)) for name in ("inspected", "mean", "variance", "samples")),
            self.sample_taken.eq(statistics.taken),
            self.sample_cut.eq(statistics.cut),
            self.samples_lost.eq(statistics.lost),
        ]

    def _repair(self, m: Module, sets: ParameterSets, trigger: SpreadTrigger, gate: RiskGate, ledger: Ledger) -> LegRepair | None:
        """How orders of pairs ended goes to the trigger, a clock later: the ledger's reports are the longest way of all. Pairs
        that are legged are repaired before, where the card does so."""
        told = trigger.trigger_event
        m.d.comb += [
            self.triggered.eq(told.valid),
            self.trigger_event.valid.eq(told.valid),
            self.trigger_event.payload.eq(told.payload),
        ]
        if not self._geometry.repair:
            m.d.sync += [trigger.done.valid.eq(ledger.done.valid), trigger.done.payload.eq(ledger.done.payload)]
            return None
        m.submodules.repair = repair = LegRepair(geometry=self._geometry)
        connect(m, ledger=ledger.done, repair=repair.done)
        connect(m, ledger=ledger.leg_told, repair=repair.leg_told)
        connect(m, repair=repair.ended, trigger=trigger.done)
        m.d.comb += [
            # The trigger takes the same streams.
            repair.pairs.valid.eq(trigger.pairs.valid),
            repair.pairs.payload.eq(trigger.pairs.payload),
            repair.bbo.valid.eq(self.bbo.valid),
            repair.bbo.payload.eq(self.bbo.payload),
            repair.bank.eq(sets.bank),
            repair.hold.eq(sets.hold),
            repair.epoch.eq(sets.epoch[:8]),
            repair.cooldown.eq(self.cooldown),
            repair.now.eq(self.now),
            repair.judging.eq(gate.judging),
            repair.left.eq(gate.order.valid),
            repair.told.eq(told.valid),
        ]
        with m.If(repair.event.valid):
            m.d.comb += [self.trigger_event.valid.eq(1), self.trigger_event.payload.eq(repair.event.payload)]
        return repair

    def _requests(self, m: Module, trigger, repair: LegRepair | None, gate, hold: Value) -> Signal:
        """Lead the trigger's requests, the host's orders and those that repair a pair to the gate, in this order; whether one
        of the host was dropped.

        Which one it is hangs on registers alone, for the gate's first clock is a full one. The trigger keeps to `hold` itself: no
        request may meet sets that change."""
        host, asked, dropped, held, kept_out = Signal(self.host_order.payload.shape()), Signal(), Signal(), Signal(), Signal()
        m.d.sync += [host.eq(self.host_order.payload), asked.eq(self.host_order.valid)]
        # In the first clock of a new set `MarketStatus` still judges by the old one.
        m.d.sync += held.eq(hold)
        m.d.comb += [
            kept_out.eq(hold | held | (host.row.slot >= self._geometry.slots)),
            gate.valid.eq(trigger.valid | (asked & ~kept_out)),
            trigger.ready.eq(gate.ready),
            gate.payload.eq(trigger.payload),
            dropped.eq(asked & (trigger.valid | kept_out | ~gate.ready)),
        ]
        with m.If(~trigger.valid):
            m.d.comb += [
                gate.payload.single.eq(1),
                *(gate.payload.legs[0][name].eq(host.row[name]) for name in ("slot", "side", "quantity", "price")),
            ]
        if repair is not None:
            free = ~trigger.valid & ~asked
            with m.If(free & repair.request.valid & ~hold & ~held):
                m.d.comb += [gate.valid.eq(1), repair.request.ready.eq(gate.ready)]
            with m.If(free):
                m.d.comb += gate.payload.eq(repair.request.payload)
        return dropped

    def _rows(
        self, m: Module, sets: ParameterSets, trigger: SpreadTrigger, gate: RiskGate, ledger: Ledger, repair: LegRepair | None
    ) -> Value:
        """Rows of the host: of a set through `ParameterSets`, of all else while nothing can leave. Whether a pair's legs are
        written, which none are while a pair is being repaired."""
        halted, refused = Signal(), Signal()
        m.d.comb += halted.eq((self.trading_state == TradingState.HALTED) | (self.trading_state == TradingState.KILLED))
        if repair is not None:
            m.d.comb += self.repairing.eq(repair.busy)
        for target, name, allowed in (
            (trigger, "pair_legs", halted & ~self.repairing),
            (trigger, "pair_lists", halted),
            (trigger, "pair_index", halted),
            (gate, "references", halted),
            (ledger, "reload", halted & self.ended & ~self.repairing),
        ):
            outer, inner = getattr(self, name), getattr(target, name)
            m.d.comb += [inner.valid.eq(outer.valid & allowed), inner.payload.eq(outer.payload)]
            with m.If(outer.valid & ~(inner.ready & allowed)):
                m.d.comb += refused.eq(1)
        m.d.sync += self.structure_refused.eq(refused)

        # A clock later than it is taken, which is long before a commit can bring it into force: the way to the memories is long.
        m.d.sync += [trigger.pairs.valid.eq(sets.take_pair), trigger.pairs.payload.eq(self.pairs.payload)]
        m.d.comb += [
            sets.pairs.valid.eq(self.pairs.valid),
            sets.pairs.payload.row.eq(self.pairs.payload.index),
            sets.limits.valid.eq(self.limits.valid),
            sets.limits.payload.row.eq(self.limits.payload.index),
            gate.limits.valid.eq(sets.take_limits),
            gate.limits.payload.eq(self.limits.payload),
            sets.limits_waiting.eq(gate.limits_waiting),
            sets.limits_refused.eq(gate.row_refused),
            sets.judging.eq(gate.judging),
            trigger.hold.eq(sets.hold),
            self.epoch.eq(sets.epoch),
            *(getattr(self, name).eq(getattr(sets, name)) for name in _SETS),
        ]
        m.d.comb += [part.bank.eq(sets.bank) for part in (trigger, gate)]
        m.d.comb += [part.epoch.eq(sets.epoch[:8]) for part in (trigger, gate)]
        return trigger.pair_legs.valid & trigger.pair_legs.ready
