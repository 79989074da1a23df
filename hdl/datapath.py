"""From frames to orders: every stage of the appliance between the MACs, and the control bus beside them."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl import interfaces
from hdl.book.books import book_of
from hdl.book.slot_gate import SlotGate
from hdl.control.event_writer import EventWriter
from hdl.control.register_file import ControlBus, RegisterFile
from hdl.control.trading_state_holder import TradingStateHolder
from hdl.control.watchdog import Watchdog
from hdl.feed.message_injector import MessageInjector
from hdl.feed.moldudp64_receiver import MoldUdp64Receiver
from hdl.feed.resequencer import Resequencer
from hdl.itch.itch_decoder import ItchDecoder
from hdl.net.frame_filter import FrameFilter
from hdl.net.packet_hold import PacketHold
from hdl.order.order_session import OrderSession
from hdl.spec.geometry import Geometry
from hdl.spec.reasons import Drop, IntegrityCause
from hdl.spec.registers import MAGIC
from hdl.trading import TradingCore


class EventPort(wiring.Signature):
    """Event records, word by word, as plain signals a top level can show.

    Members
    -------
    payload.data : Out(32)
        Word.
    payload.last : Out(1)
        Final word of its record.
    valid : Out(1)
        A word is there.
    ready : In(1)
        The host takes it.
    """

    def __init__(self) -> None:
        payload = wiring.Signature({"data": Out(32), "last": Out(1)})
        super().__init__({"payload": Out(payload), "valid": Out(1), "ready": In(1)})


class DataPath(wiring.Component):
    """The appliance without its MACs.

    Frames go in at `receive`, order frames come out at `transmit`; the stages stand in the order in which data flows. The host
    sees registers and event records. Nothing between `receive` and the book's queue can wait.

    Latency, overload and counters are those of the stages; see `docs/architecture.md` for the sum.

    Parameters
    ----------
    geometry : Geometry
        Width and capacities.

    Members
    -------
    receive : In(interfaces.frame_signature(width))
        Frames from the MAC.
    transmit : Out(stream.Signature(interfaces.beat(width)))
        Frames to the MAC.
    transmit_idle : In(1)
        The MAC takes a frame at once.
    transmit_fault : In(1)
        The MAC had to cut a frame: trading halts.
    control : Out(ControlBus())
        The host's way to the registers.
    events : Out(EventPort())
        Records for the host.
    now : Out(32)
        Low bits of the clock count.
    """

    def __init__(self, *, geometry: Geometry) -> None:
        self._geometry = geometry
        super().__init__(
            {
                "receive": In(interfaces.frame_signature(geometry.width)),
                "transmit": Out(stream.Signature(interfaces.beat(geometry.width))),
                "transmit_idle": In(1),
                "transmit_fault": In(1),
                "control": Out(ControlBus()),
                "events": Out(EventPort()),
                "now": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        geometry, width = self._geometry, self._geometry.width
        m = Module()
        m.submodules.registers = registers = RegisterFile(geometry=geometry)
        waiting = {"bbo_behind": geometry.bbo_records, "integrity_behind": geometry.integrity_records}
        m.submodules.events = writer = EventWriter(**waiting)
        m.submodules.filter = frames = FrameFilter(width=width)
        m.submodules.hold = hold = PacketHold(width=width)
        m.submodules.moldudp64 = mold = MoldUdp64Receiver(width=width)
        m.submodules.resequencer = order = Resequencer(width=width, ring_messages=geometry.ring_messages)
        # A clock more than the verdict takes: in it a number the host has loaded goes first.
        settle = frames.verdict + mold.verdict + order.latency + 1
        m.submodules.injector = injector = MessageInjector(width=width, settle=settle, tail=order.latency)
        m.submodules.itch = itch = ItchDecoder(geometry=geometry, delay=frames.latency + mold.latency + order.latency)
        m.submodules.gate = gate = SlotGate(geometry=geometry)
        m.submodules.book = book = book_of(geometry)
        m.submodules.trading = trading = TradingCore(geometry=geometry)
        m.submodules.session = session = OrderSession(geometry=geometry)
        m.submodules.trading_state = trading_state = TradingStateHolder()
        m.submodules.watchdog = watchdog = Watchdog()

        cycles = Signal(64)
        m.d.sync += cycles.eq(cycles + 1)
        m.d.comb += self.now.eq(cycles[:32])
        for stage in (itch, book, trading, session):
            m.d.comb += stage.now.eq(self.now)

        connect(m, flipped(self.control), registers.bus)
        self._feed(m, registers.feed, frames, hold, mold, injector, order, itch)
        self._book(m, registers.book, order, itch, gate, book)
        self._reload(m, registers, injector, itch, gate, book)
        self._trading(m, registers, itch, book, trading, trading_state, watchdog, session)
        self._session(m, registers.session, frames, trading, session)
        self._events(m, writer, order, book, trading, session)
        self._identity(m, registers, cycles)
        self._status(m, registers.status, writer, frames, hold, mold, injector, order, itch, gate, book, trading, session)
        return m

    def _feed(self, m, registers, frames, hold, mold, injector, order, itch) -> None:
        # Registers lie far from what they steer; a clock on the way is nothing to the host.
        m.d.sync += order.recover.eq(registers.recover)
        connect(m, flipped(self.receive), frames.frame)
        connect(m, frames.feed, hold.i)
        connect(m, frames.feed_end, hold.i_end)
        connect(m, hold.o, mold.payload)
        connect(m, hold.o_end, mold.payload_end)
        connect(m, mold.message, injector.message)
        connect(m, mold.packet, injector.packet)
        connect(m, registers.inject.load, injector.word)
        connect(m, injector.message_out, order.message)
        connect(m, injector.packet_out, order.packet)
        connect(m, order.o, itch.message)
        connect(m, registers.next_sequence.load, order.load)
        m.d.comb += [
            frames.feed_address.eq(registers.address),
            frames.feed_port.eq(registers.port),
            frames.feed_b_address.eq(registers.address_b),
            frames.feed_b_port.eq(registers.port_b),
            hold.hold.eq(registers.hold_until_fcs),
            mold.session.eq(registers.session),
            injector.coming.eq(mold.coming),
            injector.line.eq(mold.line),
            injector.busy.eq(mold.busy),
            injector.frame.valid.eq(self.receive.valid),
            injector.frame.last.eq(self.receive.payload.last),
            injector.waiting.eq(hold.waiting),
            injector.clear.eq(registers.next_sequence.load.valid),
            registers.inject.value.eq(injector.level),
            order.coming.eq(injector.coming_out),
            order.line.eq(injector.line_out),
            order.mark.eq(injector.mark_out),
            order.asks.eq(injector.asks),
            injector.draining.eq(order.draining),
            itch.mark.eq(order.mark_out),
            itch.behind.eq(order.behind),
            order.busy.eq(injector.busy_out),
            order.gap_wait.eq(registers.gap_wait),
            registers.next_sequence.value.eq(order.expected),
            registers.highest.eq(order.highest),
            itch.bind.valid.eq(registers.bindings.valid),
            itch.bind.payload.slot.eq(registers.bindings.payload.index),
            itch.bind.payload.locate.eq(registers.bindings.payload.row.locate),
            itch.bind.payload.valid.eq(registers.bindings.payload.row.valid),
        ]

    def _book(self, m, registers, order, itch, gate, book) -> None:
        connect(m, itch.decoded, book.message)
        m.d.sync += book.declare_exact.eq(registers.declare_exact)
        m.d.comb += [
            book.clear.eq(registers.clear),
            book.suspect.valid.eq(order.gap.valid | order.lost_after_use | book.unreadable),
            book.given_up.eq(order.given_up),
            book.recovered.eq(order.recovered),
            book.detached.eq(gate.detached),
            book.suspect.payload.cause.eq(IntegrityCause.MALFORMED),
            registers.ready.eq(book.ready),
            registers.live_orders.eq(book.live_orders),
            registers.table_peak.eq(book.table_peak),
        ]
        # Of those that come together the one that can be mended goes last.
        with m.If(order.lost_after_use):
            m.d.comb += book.suspect.payload.cause.eq(IntegrityCause.LOST_AFTER_USE)
        with m.Elif(order.gap.valid & ~book.unreadable):
            m.d.comb += book.suspect.payload.cause.eq(IntegrityCause.GAP)

    def _reload(self, m, registers, injector, itch, gate, book) -> None:
        m.d.comb += [
            gate.decoded.valid.eq(itch.decoded.valid),
            gate.decoded.payload.eq(itch.decoded.payload),
            gate.clear.eq(registers.book.clear),
            # Of what the host writes too fast or forgets by loading a number, some may have been the slot's.
            gate.lost.eq(
                injector.drop[Drop.INJECT_LENGTH]
                | injector.drop[Drop.INJECT_OVERRUN]
                | registers.feed.next_sequence.load.valid
                | itch.unread
                | book.lost_private
            ),
            itch.detached.eq(gate.detached),
            itch.latest.eq(gate.latest),
            registers.book.detached.eq(gate.slot),
        ]

    def _trading(self, m, registers, itch, book, trading, trading_state, watchdog, session) -> None:
        strategy, risk = registers.strategy, registers.risk
        for source, name in (
            (book, "accept"),
            (book, "bbo"),
            (book, "trade"),
            (strategy, "pairs"),
            (strategy, "pair_legs"),
            (strategy, "pair_lists"),
            (strategy, "pair_index"),
            (risk, "limits"),
            (risk, "ceilings"),
            (risk, "references"),
            (risk, "reload"),
        ):
            connect(m, getattr(source, name), getattr(trading, name))
        connect(m, risk.order, trading.host_order)
        m.d.comb += [
            # The book takes the same stream; market status only looks on, at what the feed says.
            trading.decoded.valid.eq(itch.decoded.valid & ~itch.decoded.payload.mark.any()),
            trading.decoded.payload.eq(itch.decoded.payload),
            trading.integrity.eq(book.integrity),
            trading.clear.eq(registers.book.clear),
            trading.cooldown.eq(strategy.cooldown),
            trading.sample_interval.eq(strategy.sample_interval),
            strategy.inspect.value.eq(trading.inspected),
            strategy.inspect_mean.eq(trading.mean),
            strategy.inspect_variance.eq(trading.variance),
            strategy.inspect_samples.eq(trading.samples),
            trading.trading_state.eq(trading_state.value),
            trading.mode.eq(risk.mode),
            trading.rate_tokens.eq(risk.rate_tokens),
            trading.rate_interval.eq(risk.rate_interval),
            trading.ignore_market_hours.eq(risk.ignore_market_hours),
            trading.stale_after.eq(risk.stale_after),
            risk.ceilings_locked.eq(trading.ceilings_locked),
            risk.orders_open.eq(trading.live),
            *(getattr(trading, name).eq(getattr(risk, name)) for name in ("max_gross", "max_net", "max_loss", "rearm_loss")),
            trading.max_open_orders.eq(risk.max_open_orders),
            trading.duplicate_window.eq(risk.duplicate_window),
            trading.slot_rate_orders.eq(risk.slot_rate_orders),
            trading.slot_rate_window.eq(risk.slot_rate_window),
            trading.cancel_all.eq(risk.cancel_all),
            trading.reject_rate_orders.eq(risk.reject_rate_orders),
            trading.cancel_rate_orders.eq(risk.cancel_rate_orders),
            trading.report_rate_window.eq(risk.report_rate_window),
            trading.canary_quantity.eq(risk.canary_quantity),
            *(getattr(risk, name).eq(getattr(trading, name)) for name in ("pnl", "gross", "net_long", "net_short")),
            risk.loss_reached.eq(trading.loss_reached),
            watchdog.heartbeat.eq(risk.heartbeat),
            watchdog.period.eq(risk.watchdog),
            # As long as the loss is not re-armed, nothing raises the state further.
            trading_state.reduce.eq(watchdog.overdue | trading.loss_reached),
            trading_state.kill.eq(watchdog.lost),
            trading_state.ended.eq(trading.ended),
            risk.rearm.value.eq(trading_state.rearming),
            registers.status.limits_refused.eq(trading.limits_refused),
            registers.status.watchdog_expired.eq(watchdog.expired),
            trading_state.load.valid.eq(risk.trading_state.load.valid),
            trading_state.load.payload.eq(risk.trading_state.load.payload),
            # An order lost behind the gate or a frame cut by the MAC cannot happen; if it does, nothing more may leave. A message
            # of the exchange that could not be read is one the ledger has not booked.
            trading_state.halt.eq(
                trading.halt
                | session.order_lost
                | session.drop[Drop.SOUP_TYPE]
                | session.drop[Drop.OUCH_TYPE]
                | self.transmit_fault
            ),
            risk.trading_state.value.eq(trading_state.value),
            risk.next_user_ref_num.value.eq(trading.next_user_ref_num),
        ]
        connect(m, risk.next_user_ref_num.load, trading.load_user_ref_num)
        connect(m, risk.rearm.load, trading_state.rearm)
        connect(m, strategy.inspect.load, trading.inspect)
        connect(m, risk.inspect_ledger.load, trading.inspect_ledger)
        m.d.comb += [
            risk.inspect_ledger.value.eq(trading.inspected_ledger),
            risk.inspect_ledger_word.eq(trading.inspected_word),
            risk.ledger_changes.eq(trading.ledger_changes),
        ]
        self._sets(m, registers, trading)

    def _sets(self, m, registers, trading) -> None:
        risk, status = registers.risk, registers.status
        connect(m, risk.commit.load, trading.commit)
        m.d.comb += [
            risk.commit.value.eq(trading.frozen),
            risk.epoch.eq(trading.epoch),
            risk.checksum.eq(registers.checksum),
            registers.swap.eq(trading.swap),
            registers.frozen.eq(trading.frozen),
            status.commits_wrong_epoch.eq(trading.wrong_epoch),
            status.commits_incomplete.eq(trading.incomplete),
            status.commits_above_ceiling.eq(trading.above_ceiling),
            trading.staged.eq(registers.staged),
            status.rows_out_of_turn.eq(trading.out_of_turn | registers.refused),
            status.structure_refused.eq(trading.structure_refused),
        ]

    def _session(self, m, registers, frames, trading, session) -> None:
        connect(m, frames.segment, session.segment)
        connect(m, frames.segment_end, session.segment_end)
        connect(m, session.report, trading.report)
        connect(m, trading.order, session.order)
        connect(m, trading.cancel, session.cancel)
        connect(m, registers.symbols, session.symbols)
        connect(m, registers.send_next.load, session.load_send_next)
        connect(m, registers.receive_next.load, session.load_receive_next)
        connect(m, session.frame, flipped(self.transmit))
        m.d.comb += session.segment_header.eq(frames.segment_header)
        for name in ("local_mac", "local_address", "local_port", "peer_address", "peer_port"):
            m.d.comb += getattr(frames, name).eq(getattr(registers, name))
        for name in ("local_mac", "peer_mac", "local_address", "peer_address", "local_port", "peer_port"):
            m.d.comb += getattr(session, name).eq(getattr(registers, name))

        # A session the exchange ended stays down until the host has taken it down and up again.
        lost = Signal()
        with m.If(session.session_lost):
            m.d.sync += lost.eq(1)
        with m.Elif(~registers.up):
            m.d.sync += lost.eq(0)
        m.d.sync += trading.session_up.eq(registers.up & ~lost)
        m.d.comb += [
            trading.transmitter_ready.eq(session.ready),
            session.hold_cancels.eq(~trading.session_up),
            session.mac_idle.eq(self.transmit_idle),
            registers.send_next.value.eq(session.send_next),
            registers.receive_next.value.eq(session.receive_next),
        ]

    def _events(self, m, writer, order, book, trading, session) -> None:
        connect(m, session.sent_event, writer.order_sent)
        connect(m, session.cancel_event, writer.cancel_sent)
        connect(m, book.integrity_event, writer.integrity)
        for name in ("trigger", "verdict", "fill", "order_state", "alarm"):
            connect(m, getattr(trading, f"{name}_event"), getattr(writer, name))
        bbo, integrity = writer.bbo.payload, book.integrity
        m.d.comb += [
            writer.bbo.valid.eq(book.bbo.valid),
            bbo.sequence.eq(book.bbo.payload.sequence),
            bbo.timestamp.eq(book.bbo.payload.timestamp),
            bbo.cycle.eq(self.now),
            bbo.bid_price.eq(book.bbo.payload.touch.bid_price),
            bbo.bid_shares.eq(book.bbo.payload.touch.bid_shares),
            bbo.ask_price.eq(book.bbo.payload.touch.ask_price),
            bbo.ask_shares.eq(book.bbo.payload.touch.ask_shares),
            bbo.slot.eq(book.bbo.payload.slot),
            bbo.integrity.eq(integrity[book.bbo.payload.slot]),
            writer.gap.valid.eq(order.gap.valid),
            writer.gap.payload.cycle.eq(self.now),
            writer.gap.payload.first.eq(order.gap.payload.first),
            writer.gap.payload.next.eq(order.gap.payload.next),
            self.events.valid.eq(writer.words.valid),
            self.events.payload.data.eq(writer.words.payload.data),
            self.events.payload.last.eq(writer.words.payload.last),
            writer.words.ready.eq(self.events.ready),
        ]

    def _identity(self, m, registers, cycles) -> None:
        identity, geometry = registers.identity, self._geometry
        m.d.comb += [
            identity.magic.eq(MAGIC),
            identity.map_digest.eq(registers.map.digest),
            identity.width.eq(geometry.width),
            identity.slots.eq(geometry.slots),
            identity.pairs.eq(geometry.pairs),
            identity.order_capacity.eq(geometry.order_capacity),
            identity.ladder_ticks.eq(geometry.ladder_ticks),
            identity.open_orders.eq(geometry.open_orders),
            identity.cycles.eq(cycles),
            identity.ring_messages.eq(geometry.ring_messages),
            identity.adaptive.eq(geometry.adaptive),
            identity.repair.eq(geometry.repair),
            identity.line_rate.eq(geometry.line_rate),
        ]

    def _status(self, m, status, writer, frames, hold, mold, injector, order, itch, gate, book, trading, session) -> None:
        for name, gain in (
            ("frames_received", frames.received),
            ("frames_sent", session.frames_sent),
            ("messages", itch.type_seen.any()),
            ("bbo_changes", book.bbo.valid),
            ("triggers", trading.triggered),
            ("orders_passed", trading.passed),
            ("orders_refused", trading.refused),
            ("events_lost", writer.lost),
            ("samples", trading.sample_taken),
            ("samples_lost", trading.samples_lost),
            ("samples_cut", trading.sample_cut),
            ("lost_after_use", order.lost_after_use),
            ("gaps", order.gap.valid),
            ("heartbeats", mold.heartbeat),
            ("duplicates_a", order.duplicate[0]),
            ("duplicates_b", order.duplicate[1]),
            ("duplicates_inject", order.duplicate[2]),
            ("recovered", order.recovered),
            ("cancels_sent", session.cancel_event.valid),
        ):
            m.d.comb += getattr(status, name).eq(gain)

        overruns = Signal(len(Drop))
        m.d.comb += [overruns[Drop.HOLD_OVERRUN].eq(hold.overflow), overruns[Drop.SEGMENT_OVERRUN].eq(session.overflow)]
        causes = [stage.drop for stage in (frames, mold, injector, order, itch, gate, book, session)] + [overruns]
        m.d.comb += [status.drop[cause].eq(sum(stage[cause] for stage in causes)) for cause in Drop]
        # Known last in their clock, and nobody waits for their count.
        m.d.sync += [status.refusal.eq(trading.refusal), status.miss.eq(trading.miss)]
        m.d.comb += [
            status.alarm.eq(trading.alarm),
            status.itch_type.eq(itch.type_seen),
        ]
