"""A run of market data through the card: keeps the wire busy, takes what comes out, and answers the orders."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from hdl.spec import events
from hdl.spec.layout import LayoutError
from hdl.spec.reasons import Mode
from hdl.spec.statistics import FRACTION
from host import config
from host.card import WiredCard
from host.config import PRICE_UNITS, Configuration
from host.exposure import read_sums
from host.feed_reload import FeedReload
from host.framing import Feed, Framer
from host.inputs.source import InputError
from host.legs import Fate
from host.liquidation import Liquidation
from host.loader import Loader
from host.recovery import Recovery
from host.reload import Reload
from host.snapshot import Snapshot, average_usd
from host.stimulus import Index, Stimulus, wire_cycles
from host.summary import (
    Fills,
    Latency,
    LeggedSummary,
    Orders,
    PairSummary,
    Portfolio,
    Samples,
    SlotSummary,
    Summary,
    Triggers,
    Verdicts,
    bad_packets,
    geometry_of,
)
from host.tally import Tally
from host.watch import Watch
from host.wire_log import WireLog

_RECOVERY_SLICE = 2_000
"""Clocks between two looks where missing messages are asked for: about what the third line takes for those that can wait."""
_HEARTBEAT = 5 * _RECOVERY_SLICE
"""Clocks between two heartbeats of the feed once nothing else comes: fewer than it takes to believe that nothing is missing."""
_SILENCE = 100 * _HEARTBEAT
"""Clocks in which something has come on the feed's lines, be it one of those: a replay has no silences."""
_SLICE = 100_000
"""Clocks of market data queued ahead while nobody answers."""
_BEATS = 4
"""Heartbeats in the time in which the card wants one."""
_BEHIND = 1_000
"""Clocks after which the card has judged what the last frame led to."""
_LAST_ROUNDS = 1_000
"""Times the card may go on sending orders after the market data has ended."""
_IDLE_LIMIT = 10_000_000
"""Clocks until the card must have come to rest behind the last frame."""


class Exchange(Protocol):
    """The far end of the order session."""

    @property
    def latency(self) -> int:
        """Clocks from the end of an order frame to the reply's start, at least."""

    def observe(self, message: bytes) -> None:
        """See one message of the market."""

    def receive(self, frame: bytes, cycle: int) -> list[tuple[int, bytes]]:
        """Take a frame whose last byte came at a clock; return replies and the clocks at which they start."""


@dataclass
class Outputs:
    """Files a run writes as it goes."""

    bbo: TextIO | None = None
    orders: TextIO | None = None
    wire: WireLog | None = None


@dataclass(frozen=True)
class Push:
    """Parameters and limits to put in force as a run goes.

    Parameters
    ----------
    message : int
        The first message they are for, counted from 0; where it is not the first of its packet, they are for the whole packet.
    configuration : Configuration
        What holds from then on.
    """

    message: int
    configuration: Configuration


@dataclass
class Progress:
    """How far a run is, for whoever shows it."""

    frames: int = 0
    records: int = 0
    cycles: int = 0
    show: Callable[[], None] = field(default=lambda: None)


class Replay:
    """One run.

    Parameters
    ----------
    card : WiredCard
        Loaded card.
    loader : Loader
        Loader that loaded it.
    configuration : Configuration
        What it was loaded with.
    feed : Feed
        What it listens to.
    exchange : Exchange, optional
        Answers orders.
    outputs : Outputs, optional
        Files to write.
    recovery : Recovery, optional
        Asks for what is missing.
    reload : Reload, optional
        Gives DEAD slots their orders anew.
    feed_reload : FeedReload, optional
        Begins the feed anew where `recovery` cannot help; with `recovery` and `reload`.
    listen : callable, optional
        Told every event record, in order.
    pushes : sequence of Push
        Sets to put in force as it goes.
    start : Snapshot, optional
        What the card's ledger was reloaded with.
    """

    def __init__(
        self,
        card: WiredCard,
        loader: Loader,
        configuration: Configuration,
        feed: Feed,
        *,
        exchange: Exchange | None = None,
        outputs: Outputs | None = None,
        recovery: Recovery | None = None,
        reload: Reload | None = None,
        feed_reload: FeedReload | None = None,
        listen: Callable[[Mapping[str, Any]], None] | None = None,
        pushes: Sequence[Push] = (),
        start: Snapshot | None = None,
    ) -> None:
        self._card = card
        self._loader = loader
        self._configuration = configuration
        self._feed = feed
        self._exchange = exchange
        self._outputs = outputs or Outputs()
        self._recovery = recovery
        self._reload = reload
        self._feed_reload = feed_reload
        self._listen = listen
        self._watch = Watch(loader, configuration)
        self._index = Index(feed.next_sequence)
        self._tally = Tally(
            self._index.__getitem__,
            loader.symbol,
            tuple(pair.title for pair in configuration.pairs),
            bbo=self._outputs.bbo,
            orders=self._outputs.orders,
            start=(start, loader.slots) if start else None,
            repairs=card.geometry.repair,
            late=feed_reload is not None and feed_reload.late,
        )
        if feed_reload is not None:
            feed_reload.attend(
                learn=self._watch.see, integrity=self._tally.beside_windows, lost=lambda: self._tally.lost, silence=_SILENCE
            )
        self.liquidation = (
            Liquidation(
                loader,
                configuration,
                card.geometry,
                exposure=self._tally.exposure,
                integrity=self._tally.state,
            )
            if configuration.liquidation
            else None
        )
        self._pushes = deque(sorted(pushes, key=lambda push: push.message))
        self._next_at = 0
        self._beat_every = loader.watchdog // _BEATS
        self._beaten_at = card.cycle
        self._unseen: deque[tuple[int, tuple[bytes, ...]]] = deque()
        """Messages on their way to the exchange's own view, with the clock at which they are there."""
        self._unusable = 0
        self._frames_in = 0
        self._frames_out = 0
        self._bad_frames = 0
        self.progress = Progress()
        self.findings: list[str] = []
        self.seconds = 0.0
        """Wall time of the run."""

    @property
    def loader(self) -> Loader:
        """Of the card."""
        return self._loader

    @property
    def locates(self) -> Mapping[str, int]:
        """Stock locate of each watched symbol, 0 where none is known."""
        return self._watch.locates

    def run(self, stimuli: Iterator[Stimulus]) -> None:
        """Give the card every frame and take everything it says. What the input breaks off with becomes a finding."""
        started = time.perf_counter()
        try:
            self._run(stimuli)
        finally:
            self.seconds = time.perf_counter() - started

    def _run(self, stimuli: Iterator[Stimulus]) -> None:
        ahead = min(_SLICE, self._exchange.latency) if self._exchange else _SLICE
        ahead = min(ahead, self._beat_every or ahead, _RECOVERY_SLICE if self._recovery or self._reload else ahead)
        ahead = min(ahead, self.liquidation.interval if self.liquidation else ahead)
        self._next_at = self._card.cycle
        try:
            while self._fill(stimuli, self._card.cycle + ahead):
                self._attend()
                self._card.run(ahead)
                self._drain()
                if self.liquidation:
                    self.liquidation.step(self._card.cycle)
        except KeyboardInterrupt:
            self.findings.append("interrupted: the file was not read to its end")
        self._finish()
        self._settle()
        for _ in range(_LAST_ROUNDS):
            self._finish()
            answered = self._drain()
            if not self._fill_windows() and not answered and not self._wind_down():
                return
        self.findings.append("the card was still sending orders long after the market data had ended")

    def _finish(self) -> None:
        """Run until everything queued is in and the card rests."""
        while self._beat_every and self._next_at > self._card.cycle:
            self._beat()
            self._card.run(min(self._beat_every, self._next_at - self._card.cycle))
        if self._beat_every:
            # Nobody beats until the card rests; what it has still to do then takes a small part of the shortest watchdog.
            self._loader.beat()
        backlog = max(0, self._next_at - self._card.cycle)
        self._card.run_until_idle(limit=backlog + _IDLE_LIMIT)

    def _fill_windows(self) -> bool:
        """A window is filled without a word until it is full, which looks like rest; whether the exchange answered meanwhile."""
        geometry, answered = self._card.geometry, False
        end = self._card.cycle + geometry.order_rows + 8 * geometry.order_capacity
        while self._tally.filling and self._card.cycle < end:
            self._beat()
            self._card.run(min(_SLICE, geometry.order_rows))
            answered |= self._drain()
        return answered

    def _wind_down(self) -> bool:
        """Whether a liquidation under way had something to do, with the touches as they were last."""
        if self.liquidation is None or not self.liquidation.ending():
            return False
        for _ in range(len(self._loader.slots)):
            self._beat()
            self._card.run(self.liquidation.interval)
            self.liquidation.step(self._card.cycle)
        return True

    def _settle(self) -> None:
        """Nothing more comes: what waits at a hole goes on, hole by hole."""
        if not self._configuration.feed.recover:
            self._give_up_holes()
        self._recover_rest()

    def _give_up_holes(self) -> None:
        before = -1
        self._loader.end_wait()
        while before < (number := self._loader.next_sequence) < self._loader.highest:
            before = number
            self._card.run(2 * self._card.geometry.ring_messages)
            self._card.run_until_idle(limit=_IDLE_LIMIT)

    def _attend(self) -> None:
        """What the host does beside the frames."""
        self._beat()
        if self._recovery is not None and self._recovery.busy:
            self._recovery.step(self._card.cycle)
        for each in (self._reload, self._feed_reload):
            if each is not None:
                each.step(self._card.cycle)

    def _recover_rest(self) -> None:
        """Nothing more comes on the lines: until nothing is missing, or what is was given up, and every slot that can be has its
        orders again, or was given up."""
        quiet_since = self._card.cycle
        wait = config.feed_registers(self._configuration.feed, self._card.geometry)["gap_wait"] + _RECOVERY_SLICE
        told_at = self._card.cycle
        self._heartbeat()
        self._card.run(_RECOVERY_SLICE)
        self._drain()
        while (busy := any(each.busy for each in self._helpers)) or self._missing:
            if busy:
                quiet_since = self._card.cycle
            elif self._recovery is not None and self._card.cycle - quiet_since > wait:
                # The record of the gap was lost.
                self._recovery.open(self._loader.next_sequence, self._loader.highest, self._card.cycle)
            if self._card.cycle - told_at > _HEARTBEAT:
                told_at = self._card.cycle
                self._heartbeat()
            self._attend()
            self._card.run(_RECOVERY_SLICE)
            self._drain()

    def _heartbeat(self) -> None:
        """Lines that are shut now and then have to tell their number when they are open."""
        if self._feed_reload is not None:
            framer = Framer(self._feed)
            framer.next_sequence = self._index.next_sequence
            self._put(framer.packet([]), self._card.cycle)

    @property
    def _helpers(self) -> Iterator[Recovery | Reload | FeedReload]:
        return (each for each in (self._recovery, self._reload, self._feed_reload) if each is not None)

    @property
    def _missing(self) -> bool:
        """Something is, and was not given up."""
        if self._recovery is None or self._recovery.failed or (self._feed_reload is not None and self._feed_reload.failed):
            return False
        return self._loader.next_sequence < self._loader.highest

    def _beat(self) -> None:
        """Tell the card that the host lives, where it is time."""
        if self._beat_every and self._card.cycle - self._beaten_at >= self._beat_every:
            self._loader.beat()
            self._beaten_at = self._card.cycle

    def _fill(self, stimuli: Iterator[Stimulus], horizon: int) -> bool:
        """Queue frames that start before a clock; False where the input has no more."""
        while self._next_at < horizon:
            try:
                stimulus = next(stimuli, None)
            except InputError as error:
                self.findings.append(f"input: {error}; everything before it was processed")
                return False
            if stimulus is None:
                return False
            self._push(self._index.records + len(stimulus.messages))
            self._send(stimulus)
        return True

    def _push(self, records: int) -> None:
        """Put in force the sets for these first messages: written while those before come in, committed behind them."""
        while self._pushes and self._pushes[0].message < records:
            push = self._pushes.popleft()
            self._loader.stage_change(push.configuration)
            self._card.run(max(0, self._next_at - self._card.cycle))
            self._card.run(_BEHIND)
            self._loader.commit()
            self._configuration = push.configuration
            self._next_at = max(self._next_at, self._card.cycle)
            self._drain()

    def _send(self, stimulus: Stimulus) -> None:
        for message in () if stimulus.before else stimulus.messages:
            self._watch.see(message)
            if self.liquidation is not None:
                self.liquidation.see(message)
        fresh = self._index.add(stimulus)
        if not (stimulus.lost or stimulus.before):
            self._put(stimulus.frame, self._next_at)
            for each in (self._reload, self._feed_reload):
                if each is not None:
                    each.hear(stimulus.sequence, stimulus.messages)
        if self._exchange is not None and fresh:
            self._unseen.append((self._next_at, fresh))

    def _put(self, frame: bytes, at: int) -> None:
        self._card.send(frame, at=at)
        self._frames_in += 1
        # A reply that goes out in between holds the market data back by as much.
        self._next_at = max(at, self._next_at) + wire_cycles(frame)
        if self._outputs.wire is not None:
            self._outputs.wire.add(at, frame)

    def _drain(self) -> bool:
        """Take what the card gave; whether the exchange had to answer."""
        answered = False
        for frame in self._card.frames():
            self._frames_out += 1
            self._bad_frames += not frame.fcs_ok
            if self._outputs.wire is not None:
                self._outputs.wire.add(frame.wire_cycle, frame.data)
            if self._exchange is not None:
                self._observe(frame.end_cycle)
                for at, reply in self._exchange.receive(frame.data, frame.end_cycle):
                    self._put(reply, max(at, self._card.cycle))
                    answered = True
        self._observe(self._card.cycle)
        for record in self._card.events():
            self._tally.add(record)
            if self._feed_reload is not None and record["kind"] in (events.GAP.code, events.INTEGRITY.code):
                self._feed_reload.take(record, self._card.cycle)
            elif self._recovery is not None and record["kind"] == events.GAP.code:
                self._recovery.take(record, self._card.cycle)
            if self._reload is not None and record["kind"] == events.INTEGRITY.code:
                self._reload.take(record)
            if self.liquidation is not None:
                self.liquidation.take(record)
            if self._listen is not None:
                self._listen(record)
        if self._outputs.wire is not None:
            # A frame that is leaving now is reported when it ends; the longest takes less than this.
            self._outputs.wire.flush(self._card.cycle - 20_000)
        self.progress.frames, self.progress.records = self._frames_in, self._index.records
        self.progress.cycles = self._card.cycle
        self.progress.show()
        return answered

    def _observe(self, until: int) -> None:
        while self._exchange is not None and self._unseen and self._unseen[0][0] <= until:
            for message in self._unseen.popleft()[1]:
                try:
                    self._exchange.observe(message)
                except (KeyError, LayoutError):
                    # Of a day that is cut, the simulated exchange does not know every order either.
                    self._unusable += 1

    def summary(self, *, file: str, form: str, engine: str) -> Summary:
        """What the run did, with the card's own counters."""
        card, tally, configuration = self._card, self._tally, self._configuration
        if self._outputs.wire is not None:
            self._outputs.wire.flush(card.cycle + _IDLE_LIMIT)
        status = {name: card.read("status", name) for name in _STATUS}
        counts = {name: dict(card.read_rows("status", name)) for name in ("drop", "refusal", "miss", "alarm", "itch_type")}
        clock_hz = card.geometry.clock_hz
        # A gap that is filled in parts is told more than once.
        recovery = self._recovery.summary() if self._recovery else None
        events_lost = max(status["events_lost"], tally.lost)
        summary = Summary(
            file=file,
            format=form,
            engine=engine,
            geometry=geometry_of(card.geometry),
            feed=self._feed.described(),
            mode=configuration.mode.name.lower(),
            epoch=self._loader.epoch,
            trading_state=self._loader.trading_state.name.lower(),
            watchdog_expired=status["watchdog_expired"],
            limits_refused=status["limits_refused"],
            frames_in=self._frames_in,
            frames_out=self._frames_out,
            records=self._index.records,
            messages=status["messages"],
            messages_by_type=counts["itch_type"],
            bbo_changes=tally.bbo_changes.total(),
            pairs=tuple(self._pairs()),
            legged=tuple(self._legged()),
            samples=Samples(taken=status["samples"], lost=status["samples_lost"], cut=status["samples_cut"]),
            triggers=Triggers(requests=status["triggers"], misses=counts["miss"]),
            verdicts=Verdicts(passed=tally.verdicts["passed"], refused=tally.verdicts["refused"], by_reason=counts["refusal"]),
            orders=Orders(
                frames=tally.sent_frames,
                sent=tally.sent_orders,
                ended=dict(tally.ended),
                open=card.read("risk", "orders_open"),
                cancels=status["cancels_sent"],
                noted=dict(tally.noted),
            ),
            fills=Fills(**tally.fills),
            portfolio=Portfolio(**read_sums(card), loss_reached=bool(card.read("risk", "loss_reached"))),
            alarms=counts["alarm"],
            eot_to_sof=Latency.of(tally.eot_to_sof, clock_hz),
            som_to_sof=Latency.of(tally.som_to_sof, clock_hz),
            drops=counts["drop"],
            gaps=status["gaps"],
            missing_messages=recovery.unrecovered if recovery else tally.missing_messages,
            lost_after_use=status["lost_after_use"],
            heartbeats=status["heartbeats"],
            events_lost=events_lost,
            unknown_references=tally.unknown_references,
            live_orders=card.read("book", "live_orders"),
            table_peak=card.read("book", "table_peak"),
            slots=tuple(self._slots()),
            unwatched_symbols=self._watch.unwatched,
            cycles=card.cycle,
            recovery=recovery,
            reload=self._reload.summary() if self._reload else None,
            feed_reload=self._feed_reload.summary() if self._feed_reload else None,
            findings=(),
        )
        return summary.model_copy(update={"findings": (*self.findings, *self._found(summary))})

    def snapshot(self) -> Snapshot:
        """What the card's ledger holds, with the marks as the host knows them."""
        lines = self._tally.exposure.lines
        return self._loader.snapshot({symbol: lines[slot].mark for symbol, slot in self._loader.slots.items()})

    def _pairs(self) -> Iterator[PairSummary]:
        for number, pair in enumerate(self._configuration.pairs):
            row = config.pair_row(pair)
            summary = PairSummary(pair=pair.title, thresholds=pair.thresholds, units=self._tally.legs.units[number])
            if not pair.adaptive:
                yield summary.model_copy(update={f"{name}_usd": config.spread_usd(row[name]) for name in _THRESHOLDS})
                continue
            found = self._loader.statistics(number)
            known: dict[str, object] = {"samples": found.samples, "warmup_samples": row["warmup"]}
            if found.samples:
                known["mean_usd"] = config.spread_usd(found.mean / (2 << FRACTION))
                known["sigma_usd"] = config.spread_usd(found.sigma / 2)
            if found.samples >= max(1, row["warmup"]):
                thresholds = vars(found.thresholds(k_entry=row["k_entry"], k_exit=row["k_exit"]))
                known |= {f"{name}_usd": config.spread_usd(value) for name, value in thresholds.items()}
            yield summary.model_copy(update=known)

    def _legged(self) -> Iterator[LeggedSummary]:
        for legged in self._tally.legs.legged:
            (filled_a, filled_b), (held_a, held_b) = legged.filled, legged.trade.signed
            yield LeggedSummary(
                pair=self._configuration.pairs[legged.pair].title,
                action=legged.trade.action.name.lower(),
                filled_a=filled_a,
                filled_b=filled_b,
                tries=legged.tries,
                outcome=legged.fate.value,
                held_a=held_a,
                held_b=held_b,
            )

    def _slots(self) -> Iterator[SlotSummary]:
        for symbol, slot in self._loader.slots.items():
            # What was never traded nor brought over has no entry figures.
            entry = self._loader.ledger(symbol) if slot in self._tally.position else defaultdict(int)
            yield SlotSummary(
                slot=slot,
                symbol=symbol,
                locate=self._watch.locates[symbol],
                bbo_changes=self._tally.bbo_changes[slot],
                integrity=self._tally.state(slot).name.lower(),
                lowered_by=self._tally.lowered_by(slot),
                position=self._tally.position[slot],
                cash=self._tally.cash[slot],
                entry_shares=entry["entry_shares"],
                entry_notional=entry["entry_notional"],
                average_usd=average_usd(entry["entry_notional"], entry["entry_shares"]),
            )

    def _found(self, summary: Summary) -> Iterator[str]:
        """What the reader of a summary must not overlook."""
        yield from self._watch.conflicts
        if summary.lost_after_use and self._feed_reload is None:
            yield bad_packets(summary.lost_after_use)
        if self._recovery is not None:
            yield from self._recovery.findings()
        if self._reload is not None:
            yield from self._reload.findings()
        if self._feed_reload is not None:
            yield from self._feed_reload.findings()
        for symbol in self._watch.missing:
            yield f"{symbol}: no message of the file tells its locate; give it with --symbol {symbol}=LOCATE"
        if summary.events_lost:
            yield f"{summary.events_lost} event records were lost: rows are missing in what was written"
        if summary.drops["book_overrun"]:
            yield f"{summary.drops['book_overrun']} messages were lost in front of the book, which was too slow for them"
        for slot in summary.slots:
            short = [cause for cause in _CAPACITY if slot.lowered_by.get(cause)]
            if short:
                yield f"{slot.symbol}: the card's book was too small ({', '.join(short)})"
        for push in self._pushes:
            yield f"push at message {push.message:,}: the file has {summary.records:,}; the set was never put in force"
        if self._bad_frames:
            yield f"{self._bad_frames} frames left the card with a wrong check sequence"
        if alarms := sum(summary.alarms.values()):
            yield f"{alarms} reports of the exchange could not be squared with the card's ledger"
        if summary.trading_state == "killed" and summary.orders.open:
            yield f"the card was killed and {summary.orders.open} of its orders have not ended: it cannot be re-armed"
        if summary.fills.broken:
            yield f"{summary.fills.broken} fills were broken and taken back: what pairs hold is no longer what they count"
        for each in summary.legged:
            if each.outcome in (Fate.STOPPED.value, Fate.LEGGED.value):
                state = "latched off" if each.outcome == Fate.STOPPED.value else "under repair"
                yield f"{each.pair}: legged, {state}, and holds {each.held_a:,} and {each.held_b:,} shares beside its units"
        if summary.portfolio.loss_reached:
            yield "the loss limit was reached: the card lets nothing grow until it is re-armed"
        if self.liquidation is not None:
            for symbol, (shares, reason) in self.liquidation.left.items():
                yield f"liquidation: {symbol}: {shares:,} shares are left: {reason}"
        # Records that are missing have a finding of their own, and no fold is right without them.
        folds = {} if summary.events_lost else self._tally.exposure.sums()
        for name, folded in folds.items():
            if (card := getattr(summary.portfolio, name)) != folded:
                yield f"{name}: the card says {card / PRICE_UNITS:,.4f} dollars, the host's fold {folded / PRICE_UNITS:,.4f}"
        for slot in summary.slots if folds else ():
            line = self._tally.exposure.lines[slot.slot]
            if (slot.entry_notional, slot.entry_shares) != (line.entry_notional, line.entry_shares):
                yield (
                    f"{slot.symbol}: the card says {slot.entry_shares:,} shares were entered for "
                    f"{slot.entry_notional / PRICE_UNITS:,.4f} dollars, the host's fold {line.entry_shares:,} for "
                    f"{line.entry_notional / PRICE_UNITS:,.4f}"
                )
        if summary.watchdog_expired:
            yield f"the host's heartbeat came too late, {summary.watchdog_expired} times"
        if summary.limits_refused:
            yield f"{summary.limits_refused} rows of limits or ceilings were not taken over by the card"
        if self._configuration.mode is not Mode.OFF and summary.trading_state != "active":
            yield f"trading was stopped: the card ended {summary.trading_state.upper()}"
        if summary.feed["session"] and not summary.messages and summary.records:
            yield "the card decoded no message: see what was not used, by cause"


_STATUS = (
    "messages", "triggers", "gaps", "lost_after_use", "heartbeats", "events_lost", "watchdog_expired", "limits_refused",
    "samples", "samples_lost", "samples_cut", "cancels_sent",
)  # fmt: skip
_THRESHOLDS = ("upper", "lower", "exit_short", "exit_long")
_CAPACITY = ("table_full", "level_overflow", "overrun")
