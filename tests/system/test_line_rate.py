"""The worst the wire can bring, without a pause: nothing is dropped, and the book is what a plain count says.

`make soak` runs twenty million clocks of each; here it is a sample.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from itertools import islice

import pytest

from hdl.spec import events
from host.framing import Feed, Framer, pack_messages
from sim.card import SimulatedCard
from tests.support.desk import DOLLAR, Desk

CLOCKS = {False: 30_000, True: 20_000_000}
"""Clocks of line rate, in a sample and in a soak."""

FEED = Feed(address_b=int(IPv4Address("233.54.12.112")), port_b=26478)

CHUNK = 200
"""Packets queued at once."""

WIRE = 8 + 4 + 12
"""Bytes a frame has besides its own: preamble, check sequence, gap."""

Flow = Iterator[tuple[bytes, int]]
"""Messages, and how many orders each leaves more."""


def orders(desk: Desk, rng: random.Random, count: int) -> Iterator[tuple[int, bytes]]:
    for _ in range(count):
        side, low, high = rng.choice((("B", 9_900, 9_999), ("S", 10_001, 10_100)))
        yield desk.add("AAA", side, 100, rng.randrange(low, high) / 100)


def deletes(desk: Desk, rng: random.Random) -> Flow:
    """The shortest messages there are, in as long a row as the table allows, and the adds they need."""
    while True:
        references = []
        for reference, message in orders(desk, rng, 1_000):
            references.append(reference)
            yield message, 1
        rng.shuffle(references)
        for reference in references:
            yield desk.message("D", order_ref=reference), -1


def replaces(desk: Desk, rng: random.Random) -> Flow:
    """A storm of replaces in one symbol, each at the touch."""
    reference, message = desk.add("AAA", "B", 100, 99.90)
    yield message, 1
    while True:
        new = rng.getrandbits(64)
        price = rng.randrange(9_900, 9_999) * DOLLAR // 100
        yield desk.message("U", orig_order_ref=reference, new_order_ref=new, shares=rng.randrange(1, 1_000), price=price), 0
        reference = new


def executions(desk: Desk, rng: random.Random) -> Flow:
    """Orders are added, canceled in part, executed in part at another price, and executed to the end."""
    while True:
        for reference, message in list(orders(desk, rng, 100)):
            yield message, 1
            yield desk.message("X", order_ref=reference, cancelled_shares=10), 0
            yield desk.message("C", order_ref=reference, executed_shares=20), 0
            yield desk.message("E", order_ref=reference, executed_shares=70), -1


FLOWS: tuple[Callable[[Desk, random.Random], Flow], ...] = (deletes, replaces, executions)


@pytest.mark.soak
@pytest.mark.parametrize("frames", ["full", "short", "both_lines"])
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
def test_nothing_is_dropped_at_line_rate(
    card: SimulatedCard, flow: Callable[[Desk, random.Random], Flow], frames: str, soak: bool
) -> None:
    """In frames as full as can be, in frames of one message, and in full ones that come on line B right behind line A."""
    desk = Desk(card, feed=FEED)
    framers = [desk.framer]
    if frames == "both_lines":
        framers.append(Framer(Feed(address=FEED.address_b, port=FEED.port_b)))
    width = card.geometry.width
    messages = flow(desk, random.Random(flow.__name__))
    sent, live, clocks, copies = 0, 0, 0, 0
    while clocks < CLOCKS[soak]:
        burst = list(islice(messages, CHUNK * 40))
        packets = list(pack_messages((message for message, _ in burst), most=1 if frames == "short" else 1_000))
        wire = 0
        for packet in packets:
            for framer in framers:
                frame = framer.packet(packet)
                card.send(frame)
                wire += max(60, len(frame)) + WIRE
        # The wire does not rest between bursts: the next one is queued before this one is out.
        card.run(wire // width)
        card.events_raw()
        card.received_at()
        sent += len(burst)
        copies += len(packets) * (len(framers) - 1)
        live += sum(change for _, change in burst)
        clocks += wire // width
    card.run_until_idle(limit=100_000)
    card.run(20 * card.geometry.book_queue)

    drops = {cause: count for cause, count in card.read_rows("status", "drop").items() if count}
    assert drops == ({"duplicate": copies} if copies else {})
    assert card.read("status", "messages") == sent
    assert card.read("book", "live_orders") == live
    assert card.read("status", "duplicates_b") == (sent if copies else 0)
    assert card.read("status", "gaps") == card.read("status", "lost_after_use") == 0
    # The book never left EXACT and knows its touch: the pair trades.
    assert not card.frames()
    opening = [("BBB", "B", 49.90), ("BBB", "S", 49.95), ("AAA", "S", 100.10), ("AAA", "B", 100.00)]
    desk.send(*[desk.add(symbol, side, 1_000, price)[1] for symbol, side, price in opening])
    assert len(card.frames()) == 1


def test_a_loss_is_told_while_the_storm_lasts(card: SimulatedCard) -> None:
    """Frames without a pause leave no time to spare between two packets: the gap is declared all the same, and nothing trades."""
    desk = Desk(card)
    desk.touch()
    card.events()
    card.received_at()
    for number in range(400):
        # 108 bytes a frame: at eight bytes a clock the shortest gap, time after time.
        frame = desk.framer.packet([desk.add("BBB", "B", 1, 40.00 + number / 100, code="F")[1]])
        if number != 100:
            card.send(frame)
    card.run_until_idle(limit=200_000)
    # What finds no room in the ring meanwhile is missing too.
    gap, *later = [record for record in card.events() if record["kind"] == events.GAP.code]
    assert gap["next"] - gap["first"] == 1
    assert sum(record["next"] - record["first"] for record in later) <= card.read_rows("status", "drop")["beyond"] < 5
    frames = card.received_at()["last"]
    assert frames[100] < gap["cycle"] < frames[-50]
    desk.send(desk.add("AAA", "B", 500, 100.06)[1])
    assert not card.frames()
