"""The whole feed begins anew from a snapshot, after a loss nobody can make good and after a late start, at both widths."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from hdl.spec import events, itch
from hdl.spec.geometry import PRESETS
from hdl.spec.reasons import Integrity, IntegrityCause, Refusal
from host.config import FeedTable, RecoveryTable, Slot
from host.feed_reload import FeedReload
from host.framing import Feed, Framer
from host.heard import Heard
from host.loader import Loader, OrderSession
from host.recovery import Recovery
from host.reload import Reload
from host.replay import Replay
from host.stimulus import Stimulus, from_the_middle
from sim.card import SimulatedCard
from sim.glimpse import GlimpseServer
from sim.retransmission import RetransmissionServer
from tests.support.desk import CONFIGURATION, LOCATES, Market
from tests.system.test_two_lines import day

FEED = Feed()
SESSION = FEED.session
ORDER = ("sequence", "slot", "bid_price", "bid_shares", "ask_price", "ask_shares")
TABLE = RecoveryTable(timeout_us=Decimal(20), tries=3, reload_feed=True)
PAUSE = 3
"""Frames of somebody else's between two of the feed: no line is full for long."""
LOST = range(250, 330)
EVERY = 0xFFFF


def opened() -> list[bytes]:
    """Stocks and their states before the day."""
    market, head = Market(), {"stock_locate": 0, "tracking_number": 0, "timestamp": 1}
    states = {"trading_state": "T", "reserved": " ", "reason": ""}
    return [
        itch.SYSTEM_EVENT.pack(**head, event_code="O"),
        *(_listed(symbol) for symbol in LOCATES),
        itch.SYSTEM_EVENT.pack(**head, event_code="Q"),
        *(market.message("H", symbol, **states) for symbol in LOCATES),
    ]


def _listed(symbol: str) -> bytes:
    blank = {field.name: field.size * " " if field.kind.name in ("CHAR", "ALPHA") else 0 for field in itch.STOCK_DIRECTORY}
    blank.pop("type")
    return itch.STOCK_DIRECTORY.pack(**blank | {"stock_locate": LOCATES[symbol], "stock": symbol})


HALT = len(opened()) + LOST.start
"""Number of a message in what is lost that halts BBB."""


def messages() -> list[bytes]:
    made = [*opened(), *day(seed=4, count=1_000)]
    made.insert(HALT - 1, Market().message("H", "BBB", trading_state="H", reserved=" ", reason=""))
    return made


DAY = messages()
LAST = len(DAY) + 1


class Day:
    """The day on a card; `lost` numbers reach it not at all, the `bad` one damaged and the `short` one without what tells its
    stock, and who gives them again has `keep` messages."""

    def __init__(self, card: SimulatedCard, *, lost: Collection[int] = (), bad: int = 0, short: int = 0, keep: int = 20,
                 start: int = 0, until: int = LAST, glimpse: GlimpseServer | None = None) -> None:  # fmt: skip
        self.card, self._lost, self._bad, self._short, self._until = card, lost, bad, short, until
        self.records: list[dict[str, Any]] = []
        configuration = replace(CONFIGURATION, feed=FeedTable(gap_wait_us=Decimal(10), recover=True), recovery=TABLE,
                                slots=tuple(Slot(symbol=symbol) for symbol in LOCATES))  # fmt: skip
        self.loader = Loader(card)
        self.loader.load(configuration, FEED, OrderSession(), late=bool(start))
        self.loader.arm(configuration.mode)
        self.before = card.events()
        server = RetransmissionServer(SESSION, latency=2_000, keep=keep)
        again = RetransmissionServer(SESSION, latency=2_000)
        slots, self.glimpse = GlimpseServer(SESSION), glimpse or GlimpseServer(SESSION, latency=4_000)
        self._servers: Sequence[RetransmissionServer | GlimpseServer] = (server, again, slots, self.glimpse)
        heard = Heard(SESSION, server)
        recovery = Recovery(self.loader, SESSION, TABLE, heard)
        self.reload = Reload(self.loader, SESSION, TABLE, again, slots)
        self.anew = FeedReload(
            self.loader, SESSION, TABLE, recovery, self.reload, self.glimpse, heard=heard, late=bool(start)
        )
        self.replay = Replay(
            card, self.loader, configuration, FEED, recovery=recovery, reload=self.reload, feed_reload=self.anew,
            listen=self.records.append,
        )  # fmt: skip
        self.replay.run(from_the_middle(self._stimuli(), start))
        self.summary = self.replay.summary(file="", form="", engine="")

    def _stimuli(self) -> Iterator[Stimulus]:
        framer, other = Framer(FEED), Framer(replace(FEED, port=FEED.port + 1))
        for number in range(1, self._until):
            raw = DAY[number - 1]
            for server in self._servers:
                server.publish(number, [raw])
            frame = framer.packet([raw[: itch.HEADER_BYTES - 1] if number == self._short else raw])
            damaged = frame[:-1] + bytes([frame[-1] ^ 1]) if number == self._bad else frame
            yield Stimulus(damaged, (raw,), number, lost=number in self._lost)
            yield from PAUSE * [Stimulus(other.packet([]))]

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return [tuple(record[name] for name in ORDER) for record in self.records if record["kind"] == events.BBO.code]

    @property
    def exact(self) -> list[int]:
        """Numbers of rows that were EXACT."""
        return [record["sequence"] for record in self.records
                if record["kind"] == events.BBO.code and record["integrity"] == Integrity.EXACT]  # fmt: skip

    def changes(self, slot: int) -> list[tuple[Integrity, IntegrityCause]]:
        return [(Integrity(record["integrity"]), IntegrityCause(record["cause"])) for record in self.records
                if record["kind"] == events.INTEGRITY.code and record["slot"] in (slot, EVERY)]  # fmt: skip

    @property
    def joined_at(self) -> int:
        """The number behind the snapshot's last."""
        [number] = {record["sequence"] for record in self.records if record["kind"] == events.INTEGRITY.code
                    and record["cause"] == IntegrityCause.RELOADED and record["slot"] != EVERY}  # fmt: skip
        return int(number) + 1


@pytest.fixture(scope="module")
def undisturbed() -> list[tuple[Any, ...]]:
    """Best bids and offers of the day."""
    with SimulatedCard(PRESETS["versa"]) as card:
        run = Day(card)
        assert not run.summary.findings and len(run.rows) > 200 and len(run.exact) == len(run.rows)
        return run.rows


def through(number: int, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """What the rows come to at a number, slot by slot, as they are told of the message before it."""
    return [(number - 1, *[row for row in rows if row[1] == slot and row[0] < number][-1][1:]) for slot in (0, 1)]


def test_a_loss_nobody_makes_good(card: SimulatedCard, undisturbed: list[tuple[Any, ...]]) -> None:
    run = Day(card, lost=LOST)
    number = run.joined_at
    assert LOST.stop <= number < LAST * 0.6
    before, after = ([row for row in undisturbed if part(row[0])] for part in (LOST.start.__gt__, number.__le__))
    assert run.rows == [*before, *through(number, undisturbed), *after]
    assert number < exact_again(run, LOST.start, undisturbed) < LAST * 0.9
    for slot in (0, 1):
        kinds = [cause.name for _, cause in run.changes(slot)]
        assert kinds == ["GAP", "CLEARED", "DETACHED", "RELOADED", "RECOVERED"] and run.changes(slot)[3][0] is Integrity.SUSPECT
    assert {slot.integrity for slot in run.summary.slots} == {"exact"} and not run.summary.findings
    anew = run.summary.feed_reload
    assert anew is not None and (anew.begun, anew.ended, anew.snapshots, anew.let_go) == (1, 1, 1, len(LOST))
    # What was lost halted BBB, and so the card knows.
    assert refused(run, lambda at: at < LOST.start) == 0 < refused(run, lambda at: at > number)


def exact_again(run: Day, since: int, undisturbed: list[tuple[Any, ...]]) -> int:
    """The first row behind a number that is EXACT, which all are from there on."""
    exact = [row for row in run.exact if row >= since]
    assert exact == [row[0] for row in undisturbed if row[0] >= exact[0]]
    return exact[0]


def refused(run: Day, when: Any) -> int:
    return sum(record["refusals"] >> Refusal.STOCK_HALTED & 1 for record in run.records
               if record["kind"] == events.VERDICT.code and when(record["sequence"]))  # fmt: skip


START = 300


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_a_late_start(card: SimulatedCard, undisturbed: list[tuple[Any, ...]], used: bool) -> None:
    """Which symbol has which locate, the snapshot alone tells. A card that was used before forgets what it took for EXACT."""
    if used:
        loader = Loader(card)
        loader.load(CONFIGURATION, FEED, OrderSession())
        card.send(Framer(FEED).packet(DAY[7:10]))
        card.run_until_idle(limit=10_000)
    run = Day(card, start=START)
    if used:
        told = [(record["slot"], record["cause"]) for record in run.before if record["kind"] == events.INTEGRITY.code]
        assert told[-1] == (EVERY, IntegrityCause.CLEARED)
    number = run.joined_at
    assert START < number < LAST * 0.6
    assert run.rows == [*through(number, undisturbed), *[row for row in undisturbed if row[0] >= number]]
    exact_again(run, 0, undisturbed)
    assert {slot.integrity for slot in run.summary.slots} == {"exact"} and not run.summary.findings
    anew = run.summary.feed_reload
    assert anew is not None and (anew.begun, anew.ended, anew.snapshots) == (1, 1, 1)


@pytest.mark.parametrize("how", ["bad", "short"])
def test_a_bad_frame_that_was_used_is_the_books_end(
    card: SimulatedCard, undisturbed: list[tuple[Any, ...]], how: str
) -> None:
    """And so is a message that may be of any of them."""
    bad = next(row[0] for row in undisturbed if row[0] > 200 and DAY[row[0] - 1][:1] == b"A")
    run = Day(card, **{how: bad})
    assert (run.summary.lost_after_use, run.summary.drops["itch_length"]) == ((1, 0) if how == "bad" else (0, 1))
    assert bad < run.joined_at < exact_again(run, bad + 1, undisturbed) < LAST * 0.9
    assert [row for row in run.rows if row[0] >= run.joined_at] == [row for row in undisturbed if row[0] >= run.joined_at]
    assert {slot.integrity for slot in run.summary.slots} == {"exact"} and not run.summary.findings


def test_what_is_lost_meanwhile_is_given_or_begins_it_once_more(
    card: SimulatedCard, undisturbed: list[tuple[Any, ...]]
) -> None:
    """First a few, which the server has; then more than it has, while the card is not yet up to the lines."""
    run = Day(card, lost={*LOST, *range(480, 485), *range(520, 560)}, keep=30)
    joined = sorted({record["sequence"] + 1 for record in run.records if record["kind"] == events.INTEGRITY.code
                     and record["cause"] == IntegrityCause.RELOADED and record["slot"] != EVERY})  # fmt: skip
    assert len(joined) == 2 and LOST.stop <= joined[0] < 560 <= joined[1]
    assert [row for row in run.rows if row[0] >= joined[1]] == [row for row in undisturbed if row[0] >= joined[1]]
    assert {slot.integrity for slot in run.summary.slots} == {"exact"} and not run.summary.findings


class Cutting(GlimpseServer):
    """Gives half of it and ends the session."""

    def answers(self, cycle: int) -> bytes:
        whole = super().answers(cycle)
        return whole[: len(whole) // 2] + b"\0\1Z" if whole else b""


class Standing(GlimpseServer):
    """Stays where it is once it has come to the loss."""

    def publish(self, sequence: int, messages: Sequence[bytes]) -> None:
        if sequence < LOST.start + 10:
            super().publish(sequence, messages)


class Forgetful(GlimpseServer):
    """Does not know BBB."""

    def publish(self, sequence: int, messages: Sequence[bytes]) -> None:
        known = [raw if int.from_bytes(raw[1:3], "big") != LOCATES["BBB"] else DAY[0] for raw in messages]
        super().publish(sequence, known)


@pytest.fixture
def narrow() -> Iterator[SimulatedCard]:
    """What the host refuses does not depend on the width."""
    with SimulatedCard(PRESETS["versa"]) as card:
        yield card


class Filling(GlimpseServer):
    """Somebody fills the hole after all, while the snapshot is on its way."""

    def __init__(self, card: SimulatedCard) -> None:
        super().__init__(SESSION, latency=4_000)
        self._loader = Loader(card)

    def login(self, packet: bytes, cycle: int) -> None:
        super().login(packet, cycle)
        for number in LATE:
            self._loader.inject(number, DAY[number - 1])


LATE = range(250, 260)


def test_slots_that_are_exact_again_before_the_snapshot_are_dead_with_their_books(
    narrow: SimulatedCard, undisturbed: list[tuple[Any, ...]]
) -> None:
    run = Day(narrow, lost=LATE, keep=1, glimpse=Filling(narrow))
    for slot in (0, 1):
        kinds = [cause.name for _, cause in run.changes(slot)]
        assert kinds == ["GAP", "RECOVERED", "CLEARED", "DETACHED", "RELOADED", "RECOVERED"]
    assert [row for row in run.rows if row[0] >= run.joined_at] == [row for row in undisturbed if row[0] >= run.joined_at]
    told = {row[0]: row for row in undisturbed}
    assert all(row == told[row[0]] for row in run.rows if row[0] in run.exact and row[0] != run.joined_at - 1)
    assert {slot.integrity for slot in run.summary.slots} == {"exact"} and not run.summary.findings


SHORT = 420
UNUSABLE = {
    "cut": (lambda: Cutting(SESSION, latency=1_000), "the snapshot: the stream ended after"),
    "another": (lambda: GlimpseServer(b"YESTERDAY ", latency=1_000), "the snapshot: it is of session 'YESTERDAY'"),
    "old": (
        lambda: Standing(SESSION, latency=1_000),
        f"the snapshot: it goes on at message {LOST.start + 10}, and before {LOST.stop} some are missing",
    ),
    "none": (lambda: GlimpseServer(SESSION, latency=1 << 40), "the snapshot: no answer in time"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_without_a_snapshot_nothing_is_exact(narrow: SimulatedCard, undisturbed: list[tuple[Any, ...]], kind: str) -> None:
    server, why = UNUSABLE[kind]
    run = Day(narrow, lost=LOST, until=SHORT, glimpse=server())
    assert run.rows == [row for row in undisturbed if row[0] < LOST.start]
    assert {slot.integrity for slot in run.summary.slots} == {"dead"}
    lost, anew = run.summary.findings
    assert lost.startswith(f"messages {LOST.start} to ") and anew.startswith("the feed was not begun anew: " + why)
    assert run.anew.failed and not run.anew.busy
    counts = run.summary.feed_reload
    assert counts is not None and (counts.begun, counts.ended, counts.snapshots) == (1, 0, TABLE.tries)


def test_a_late_start_without_a_snapshot_shows_nothing(narrow: SimulatedCard) -> None:
    run = Day(narrow, start=START, until=SHORT, glimpse=Cutting(SESSION, latency=1_000))
    assert not run.rows and {slot.integrity for slot in run.summary.slots} == {"dead"}
    assert any(finding.startswith("the feed was not begun anew: the snapshot: ") for finding in run.summary.findings)


@pytest.mark.parametrize("given", [{"start": START}, {"lost": LOST}], ids=["late", "loss"])
def test_a_symbol_the_snapshot_does_not_know(
    narrow: SimulatedCard, undisturbed: list[tuple[Any, ...]], given: dict[str, Any]
) -> None:
    """It alone stays DEAD."""
    run = Day(narrow, glimpse=Forgetful(SESSION, latency=4_000), **given)
    assert [slot.integrity for slot in run.summary.slots] == ["exact", "dead"]
    assert run.summary.findings == ("BBB: not joined: the snapshot does not know it",)
    plain = [row for row in undisturbed if row[0] >= run.joined_at and row[1] == 0]
    assert [row for row in run.rows if row[0] >= run.joined_at and row[1] == 0] == plain
    assert not [record for record in run.records if record["kind"] == events.BBO.code and record["slot"] == 1
                and record["integrity"] == Integrity.EXACT and record["sequence"] > LOST.start]  # fmt: skip
