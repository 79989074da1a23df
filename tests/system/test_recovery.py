"""From a loss on every line to an exact book: card, host and retransmission server together."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from hdl.spec import events
from hdl.spec.reasons import Integrity, IntegrityCause
from host.config import FeedTable, RecoveryTable
from host.framing import Framer
from host.loader import Loader, OrderSession
from host.recovery import Recovery
from host.replay import Replay
from host.stimulus import Stimulus
from sim.card import SimulatedCard
from sim.retransmission import RetransmissionServer
from tests.support.desk import CONFIGURATION
from tests.system.test_two_lines import DAY, FEED, LAST, Packet, both, undisturbed

__all__ = ["undisturbed"]
TABLE = RecoveryTable(timeout_us=Decimal(100), tries=20, messages_per_request=30)


def lossy(seed: int, rate: float) -> Iterator[Packet]:
    """Either line loses what it likes; now and then both lose the same."""
    rng = random.Random(seed)
    return (packet for packet in both(seed=seed) if rng.random() >= rate)


class Day:
    """The day of `test_two_lines` on lossy lines, with somebody to ask."""

    def __init__(self, card: SimulatedCard, server: RetransmissionServer, *, hold: bool = False) -> None:
        self.card, self.server = card, server
        self.records: list[dict[str, Any]] = []
        configuration = replace(CONFIGURATION, feed=FeedTable(gap_wait_us=Decimal(10), recover=True), recovery=TABLE)
        self.loader = Loader(card)
        self.loader.load(configuration, FEED, OrderSession(), hold_until_fcs=hold)
        self.loader.arm(configuration.mode)
        card.events()
        self.recovery = Recovery(self.loader, FEED.session, TABLE, server)
        self.replay = Replay(card, self.loader, configuration, FEED, recovery=self.recovery, listen=self.records.append)
        self._framers = [Framer(FEED), Framer(replace(FEED, address=FEED.address_b, port=FEED.port_b, address_b=0))]

    def run(self, packets: Iterator[Packet]) -> None:
        """Both lines to their end, and a heartbeat that tells it."""
        self.server.publish(1, DAY)
        self.replay.run(self._stimuli(packets))

    def _stimuli(self, packets: Iterator[Packet]) -> Iterator[Stimulus]:
        for packet in packets:
            framer, messages = self._framers[packet.line], DAY[packet.first - 1 : packet.behind - 1]
            framer.next_sequence = packet.first
            yield Stimulus(framer.packet(messages), tuple(messages), packet.first)
        self._framers[0].next_sequence = LAST
        yield Stimulus(self._framers[0].packet([]))

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        names = ("sequence", "slot", "bid_price", "bid_shares", "ask_price", "ask_shares")
        return [tuple(record[name] for name in names) for record in self.records if record["kind"] == events.BBO.code]

    @property
    def changes(self) -> list[tuple[Integrity, IntegrityCause]]:
        return [
            (Integrity(record["integrity"]), IntegrityCause(record["cause"]))
            for record in self.records
            if record["kind"] == events.INTEGRITY.code
        ]

    @property
    def passed(self) -> int:
        """Orders the gate let through."""
        return sum(not record["refusals"] for record in self.records if record["kind"] == events.VERDICT.code)


SUSPECT, EXACT = (Integrity.SUSPECT, IntegrityCause.GAP), (Integrity.EXACT, IntegrityCause.RECOVERED)


@pytest.mark.parametrize("hold", [False, True], ids=["cut_through", "hold"])
@pytest.mark.parametrize("loss", [0.0, 0.3], ids=["answering", "losing"])
def test_every_slot_is_exact_again_and_no_row_is_different(
    card: SimulatedCard, undisturbed: list[tuple[Any, ...]], hold: bool, loss: float
) -> None:
    day = Day(card, RetransmissionServer(FEED.session, latency=2_000, loss=loss, seed=3), hold=hold)
    day.run(lossy(seed=11, rate=0.4))
    counts = day.recovery.summary()
    assert counts.gaps > 1 and counts.given > 50 and not counts.unrecovered
    assert (counts.repeats > 0) == (loss > 0)
    assert day.rows == undisturbed
    assert day.changes[:2] == [SUSPECT, EXACT] and day.changes[-1] == EXACT and set(day.changes) == {SUSPECT, EXACT}
    assert day.loader.next_sequence == day.loader.highest == LAST
    summary = day.replay.summary(file="", form="", engine="")
    assert {slot.integrity for slot in summary.slots} == {"exact"}
    assert summary.findings == () and summary.recovery == counts and summary.missing_messages == 0


def test_a_server_that_never_answers_leaves_everything_suspect(card: SimulatedCard, undisturbed: list[tuple[Any, ...]]) -> None:
    day = Day(card, RetransmissionServer(FEED.session, latency=2_000, loss=1.0))
    packets = list(both(seed=11))
    day.run(packet for packet in packets if not packet.first <= 200 < packet.behind)
    first = day.loader.next_sequence
    assert first <= 200
    assert day.changes == [SUSPECT]
    assert day.rows == [row for row in undisturbed if row[0] < first]
    counts = day.recovery.summary()
    assert (counts.requests, counts.repeats, counts.given) == (TABLE.tries, TABLE.tries - 1, 0)
    summary = day.replay.summary(file="", form="", engine="")
    assert {slot.integrity for slot in summary.slots} == {"suspect"}
    [finding] = [finding for finding in summary.findings if "missing" in finding]
    assert finding.startswith(f"messages {first} to ")
    # What would fire the pair does not: nothing behind the hole reaches the book.
    passed = day.passed
    framer = Framer(FEED)
    framer.next_sequence = LAST
    card.send(framer.packet([DAY[-1]]))
    card.run_until_idle(limit=100_000)
    day.records += card.events()
    assert day.passed == passed and day.loader.next_sequence == first
