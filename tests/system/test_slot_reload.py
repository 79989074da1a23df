"""A DEAD slot comes back while the feed goes on: card, host, GLIMPSE and retransmission server together, at both widths."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from hdl.spec import events, itch
from hdl.spec.geometry import PRESETS
from hdl.spec.injection import Mark
from hdl.spec.reasons import Integrity, IntegrityCause
from host.config import FeedTable, RecoveryTable
from host.framing import Framer
from host.glimpse import SnapshotReader, login
from host.loader import Loader, OrderSession
from host.recovery import Recovery
from host.reload import Reload
from host.replay import Replay
from host.stimulus import Stimulus
from sim.card import SimulatedCard
from sim.glimpse import GlimpseServer
from sim.retransmission import RetransmissionServer
from tests.support.desk import CONFIGURATION, LOCATES
from tests.system.test_two_lines import DAY, FEED, Run

BETWEEN = 12
"""Messages of other stocks between two of the day: no feed is of the watched ones alone."""
SESSION = FEED.session
ORDER = ("sequence", "slot", "bid_price", "bid_shares", "ask_price", "ask_shares")
TABLE = RecoveryTable(timeout_us=Decimal(1_000), tries=4, reload_dead=True)
DETACHED, RELOADED = (Integrity.DEAD, IntegrityCause.DETACHED), (Integrity.EXACT, IntegrityCause.RELOADED)


def busy_day() -> list[bytes]:
    """The day among messages nobody watches."""
    rng, made = random.Random(5), []
    for raw in DAY:
        for _ in range(rng.randrange(2 * BETWEEN)):
            made.append(itch.ADD_ORDER_NO_MPID.pack(
                stock_locate=99, tracking_number=0, timestamp=1, order_ref=(1 << 60) + len(made), side="B", shares=1, stock="Z",
                price=100,
            ))  # fmt: skip
        made.append(raw)
    return made


BUSY = busy_day()
LAST = len(BUSY) + 1


def of(slot: int, numbers: range) -> list[int]:
    """Numbers of the slot's messages among these."""
    locate = list(LOCATES.values())[slot]
    return [number for number in numbers if int.from_bytes(BUSY[number - 1][1:3], "big") == locate]


def unknown(raw: bytes) -> bytes:
    """The message with a reference no order has."""
    return raw[:11] + bytes(8 * [0xEE]) + raw[19:]


def cut(raw: bytes) -> bytes:
    """The message without its last byte."""
    return raw[:-1]


class Day:
    """The busy day on a card whose DEAD slots are reloaded; `bad` messages reach it spoiled, `lost` ones not at all."""

    def __init__(self, card: SimulatedCard, *, first: int = 1, bad: tuple[int, ...] = (), lost: tuple[range, ...] = (),
                 table: RecoveryTable = TABLE, glimpse: GlimpseServer | None = None,
                 spoil: Callable[[bytes], bytes] = unknown) -> None:  # fmt: skip
        self.card, self.bad, self.lost, self.first, self._spoil = card, bad, lost, first, spoil
        self.records: list[dict[str, Any]] = []
        feed = replace(FEED, next_sequence=first)
        configuration = replace(CONFIGURATION, feed=FeedTable(gap_wait_us=Decimal(10), recover=True), recovery=table)
        self.loader = Loader(card)
        self.loader.load(configuration, feed, OrderSession())
        self.loader.arm(configuration.mode)
        card.events()
        self.server = RetransmissionServer(SESSION, latency=2_000)
        again = RetransmissionServer(SESSION, latency=2_000)
        self.glimpse = glimpse or GlimpseServer(SESSION, latency=4_000)
        self.servers = (self.server, again, self.glimpse)
        for server in self.servers:
            server.publish(1, BUSY[: first - 1])
        self.reload = Reload(self.loader, SESSION, table, again, self.glimpse)
        recovery = Recovery(self.loader, SESSION, table, self.server)
        self.replay = Replay(
            card, self.loader, configuration, feed, recovery=recovery, reload=self.reload, listen=self.records.append
        )
        self._framer = Framer(feed)

    def run(self) -> None:
        self.replay.run(self._stimuli())

    def _stimuli(self) -> Iterator[Stimulus]:
        for number in range(self.first, LAST):
            raw = BUSY[number - 1]
            for server in self.servers:
                server.publish(number, [raw])
            self._framer.next_sequence = number
            frame = self._framer.packet([self._spoil(raw) if number in self.bad else raw])
            yield Stimulus(frame, (raw,), number, lost=any(number in each for each in self.lost))
        self._framer.next_sequence = LAST
        yield Stimulus(self._framer.packet([]))

    def rows(self, slot: int) -> list[tuple[Any, ...]]:
        return [tuple(record[name] for name in ORDER) for record in self.records
                if record["kind"] == events.BBO.code and record["slot"] == slot]  # fmt: skip

    def changes(self, slot: int) -> list[tuple[Integrity, IntegrityCause, int]]:
        return [(Integrity(record["integrity"]), IntegrityCause(record["cause"]), record["sequence"]) for record in self.records
                if record["kind"] == events.INTEGRITY.code and record["slot"] in (slot, 0xFFFF)]  # fmt: skip

    def judge(self, slot: int, undisturbed: list[tuple[Any, ...]], dead_at: int) -> int:
        """Rows of a slot that was reloaded are the undisturbed ones before it was DEAD and behind the number it was attached at,
        which is given back; there it is what the undisturbed one was."""
        *_, (state, cause, behind) = self.changes(slot)
        assert (state, cause) == RELOADED
        mine, plain = self.rows(slot), [row for row in undisturbed if row[1] == slot]
        assert [row for row in mine if row[0] < dead_at] == [row for row in plain if self.first <= row[0] < dead_at]
        later = [row for row in mine if row[0] >= behind]
        before = [row for row in plain if row[0] <= behind]
        assert later[0][2:] == before[-1][2:]
        assert later[1:] == [row for row in plain if row[0] > behind]
        return behind


@pytest.fixture(scope="module")
def undisturbed() -> list[tuple[Any, ...]]:
    """Best bids and offers of the day."""
    with SimulatedCard(PRESETS["versa"]) as card:
        day = Day(card)
        day.run()
        assert not day.changes(0) and not day.changes(1)
        rows = sorted(day.rows(0) + day.rows(1))
        assert len(rows) > 100
        return rows


def spoiled_at(slot: int, part: float) -> int:
    """A delete of the slot's somewhere in the day."""
    return next(number for number in of(slot, range(int(LAST * part), LAST)) if BUSY[number - 1][:1] == b"D")


@pytest.mark.parametrize(("spoil", "cause"), [(unknown, IntegrityCause.UNKNOWN_ORDER), (cut, IntegrityCause.MALFORMED)])
def test_a_dead_slot_comes_back_and_the_other_never_stops(
    card: SimulatedCard, undisturbed: list[tuple[Any, ...]], spoil: Callable[[bytes], bytes], cause: IntegrityCause
) -> None:
    at = spoiled_at(0, 0.3)
    day = Day(card, bad=(at,), spoil=spoil)
    day.run()
    behind = day.judge(0, undisturbed, at)
    assert at < behind < LAST * 0.7, "it came back while the feed went on"
    assert day.rows(1) == [row for row in undisturbed if row[1] == 1] and not day.changes(1)
    assert [each[:2] for each in day.changes(0)] == [(Integrity.DEAD, cause), DETACHED, RELOADED]
    counts = day.reload.summary()
    assert (counts.begun, counts.reloaded, counts.given_up, counts.snapshots) == (1, 1, 0, 1)
    assert counts.orders > 0
    summary = day.replay.summary(file="", form="", engine="")
    assert {slot.integrity for slot in summary.slots} == {"exact"} and summary.reload == counts and not summary.findings


def test_who_begins_in_the_middle_of_the_day_has_all_books_in_the_end(
    card: SimulatedCard, undisturbed: list[tuple[Any, ...]]
) -> None:
    """Orders from before are unknown, slot by slot."""
    first = LAST // 3
    day = Day(card, first=first)
    day.run()
    for slot in (0, 1):
        assert day.judge(slot, undisturbed, first) < LAST * 0.9
    assert day.reload.summary().reloaded == 2


def test_a_gap_meanwhile_holds_for_it_too(card: SimulatedCard, undisturbed: list[tuple[Any, ...]]) -> None:
    """Messages lost on every line right behind the fault: asked for, and given to either."""
    at = spoiled_at(0, 0.3)
    day = Day(card, bad=(at,), lost=(range(at + 40, at + 60), range(at + 300, at + 310)))
    day.run()
    *_, (state, cause, _) = day.changes(0)
    assert state is Integrity.EXACT and cause in (IntegrityCause.RELOADED, IntegrityCause.RECOVERED)
    assert day.rows(1) == [row for row in undisturbed if row[1] == 1]
    attached = next(number for state, cause, number in day.changes(0) if cause is IntegrityCause.RELOADED)
    assert [row for row in day.rows(0) if row[0] > attached] == [
        row for row in undisturbed if row[1] == 0 and row[0] > attached
    ]
    assert day.reload.summary().reloaded == 1
    assert {slot.integrity for slot in day.replay.summary(file="", form="", engine="").slots} == {"exact"}


class Deaf(GlimpseServer):
    """Answers nobody."""

    def login(self, packet: bytes, cycle: int) -> None:
        pass


class Cutting(GlimpseServer):
    """Gives half of it and ends the session."""

    def answers(self, cycle: int) -> bytes:
        whole = super().answers(cycle)
        return whole[: len(whole) // 2] + b"\0\1Z" if whole else b""


@pytest.mark.parametrize(("kind", "why"), [(Deaf, "no answer in time"), (Cutting, "the snapshot")])
def test_a_slot_without_a_snapshot_is_given_up(card: SimulatedCard, kind: type[GlimpseServer], why: str) -> None:
    at = spoiled_at(1, 0.9)
    day = Day(card, bad=(at,), glimpse=kind(SESSION, latency=1_000), table=replace_table(tries=2, timeout_us=Decimal(100)))
    day.run()
    summary = day.replay.summary(file="", form="", engine="")
    [finding] = [finding for finding in summary.findings if "not reloaded" in finding]
    assert finding.startswith("BBB: not reloaded: ") and why in finding
    assert [slot.integrity for slot in summary.slots] == ["exact", "dead"]
    assert day.reload.summary().given_up == 1 and not day.reload.busy
    assert day.loader.detached is None, "another slot may be detached"
    assert day.changes(1)[-1][:2] == (Integrity.DEAD, IntegrityCause.RELOADED)


def replace_table(**changes: Any) -> RecoveryTable:
    return TABLE.model_copy(update=changes)


def test_refused_until_all_has_been_given(card: SimulatedCard) -> None:
    """By hand: too early, too late, another slot's message, and what the card counts of it."""
    run = Run(card)
    server = GlimpseServer(SESSION)
    reader = SnapshotReader(SESSION)

    def give(first: int, behind: int) -> None:
        for number in range(first, behind):
            run._framers[0].next_sequence = number
            card.send(run._framers[0].packet([BUSY[number - 1]]))
        run.rest(500)

    def private(number: int, raw: bytes) -> None:
        while not run.loader.inject_room:
            card.run(20)
        run.loader.inject(number, raw, Mark.PRIVATE)

    give(1, 400)
    server.publish(1, BUSY[:449])
    server.login(login(), 0)
    reader.take(server.answers(1 << 40))
    snapshot = reader.finish()
    assert snapshot.next_sequence == 450
    run.loader.detach(0)
    run.loader.detach(1)
    run.rest(2_000)
    assert run.loader.detached == 0 and run.drop("detach_refused") == 1
    for raw in snapshot.orders(LOCATES["AAA"]):
        private(449, raw)
    run.loader.attach(0, 449)
    run.rest(500)
    assert run.loader.detached == 0 and run.drop("attach_refused") == 1, "the card has not come to it"
    give(400, 500)
    newest = of(0, range(450, 500))[-1]
    run.loader.attach(0, newest - 1)
    run.rest(500)
    assert run.loader.detached == 0 and run.drop("attach_refused") == 2, "one message is missing"
    for number in of(0, range(450, 500)):
        private(number, BUSY[number - 1])
    run.loader.attach(0, newest)
    run.rest(500)
    assert run.loader.detached is None
    assert run.changes == [DETACHED, RELOADED]
    private(500, BUSY[of(1, range(1, 500))[-1] - 1])
    run.rest(500)
    assert run.drop("private_refused") == 1
    assert run.status("duplicates_inject") == 0 and not run.gaps
    assert run.loader.next_sequence == run.loader.highest == 500
