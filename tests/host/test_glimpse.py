"""A snapshot as the simulated server gives it, judged by a plain book and nasdaq-protocols' framing, and what is none."""

from __future__ import annotations

import random

import pytest
from nasdaq_protocols import soup

from hdl.spec import glimpse, itch
from host.glimpse import SnapshotError, SnapshotReader, login
from sim.glimpse import GlimpseServer
from tests.hdl.book.flows import Maker
from tests.hdl.book.model import PlainBook

SESSION = b"000010059B"


def day() -> tuple[list[bytes], PlainBook]:
    """Legal messages of four stocks, and the book they leave."""
    made, book = [], PlainBook()
    for number, (slot, raw) in enumerate(Maker(3, slots=4, most=60).messages(800), 1):
        made.append(raw[:1] + (slot + 100).to_bytes(2, "big") + raw[3:])
        book.apply(number, slot, itch.MESSAGES[chr(raw[0])].unpack(raw))
    return made, book


DAY, BOOK = day()


def stream(messages: list[bytes] = DAY) -> bytes:
    """The answer to a login."""
    server = GlimpseServer(SESSION, latency=10)
    server.publish(1, messages)
    server.publish(1, messages)
    server.login(login(), 5)
    assert server.answers(14) == b""
    answer = server.answers(15)
    assert server.answers(100) == b"" and server.logins == 1
    return answer


STREAM = stream()


def packets(data: bytes) -> list[bytes]:
    """Packets of a stream."""
    found = []
    while data:
        size = 2 + int.from_bytes(data[:2], "big")
        found.append(data[:size])
        data = data[size:]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_it_holds_every_open_order_with_what_is_open(seed: int) -> None:
    """Whatever the segments' borders."""
    reader, rng, at = SnapshotReader(SESSION), random.Random(seed), 0
    while at < len(STREAM):
        step = rng.randrange(1, 200)
        reader.take(STREAM[at : at + step])
        at += step
    snapshot = reader.finish()
    assert snapshot.next_sequence == len(DAY) + 1
    found = {}
    for locate in range(100, 104):
        for raw in snapshot.orders(locate):
            fields = itch.MESSAGES[chr(raw[0])].unpack(raw)
            assert fields["stock_locate"] == locate
            found[fields["order_ref"]] = (locate - 100, fields["side"], fields["shares"], fields["price"])
    assert found == {ref: (one.slot, one.side, one.shares, one.price) for ref, one in BOOK.orders.items()}
    assert len(snapshot.orders()) == len(found) > 20


def test_its_frames_are_those_of_nasdaq_protocols() -> None:
    (_, accepted), *rest = (soup.SoupMessage.from_bytes(packet) for packet in packets(STREAM))
    assert (accepted.session_id.strip(), accepted.sequence) == (SESSION.decode(), 1)
    assert all(isinstance(each, soup.SequencedData) for _, each in rest)
    assert rest[-1][1].data == b"G%020d" % (len(DAY) + 1) and len(rest[-1][1].data) == glimpse.SNAPSHOT.size == 21
    _, request = soup.SoupMessage.from_bytes(login())
    assert (request.user, request.session, int(request.sequence)) == ("", "", 1)


def test_the_last_state_of_each_stock_is_told_before_its_orders() -> None:
    head = {"tracking_number": 0, "timestamp": 1}

    def state(locate: int, code: str) -> bytes:
        return itch.STOCK_TRADING_ACTION.pack(**head, stock_locate=locate, stock="X", trading_state=code, reserved=" ", reason="")

    event = itch.SYSTEM_EVENT.pack(**head, stock_locate=0, event_code="O")
    messages = [event, state(1, "H"), state(2, "T"), state(1, "T"), *DAY[:5]]
    reader = SnapshotReader(SESSION)
    reader.take(stream(messages))
    snapshot = reader.finish()
    assert snapshot.messages[:3] == (event, state(1, "T"), state(2, "T"))
    assert {0, 1, 2} <= snapshot.locates and not snapshot.directory
    begun = itch.SYSTEM_EVENT.pack(**head, stock_locate=0, event_code="Q")
    reader = SnapshotReader(SESSION)
    reader.take(stream([event, state(1, "H"), begun, state(2, "T")]))
    assert reader.finish().states({1}) == [begun, state(1, "H")], "what began the day is over"


def test_what_is_no_login_is_not_answered() -> None:
    server = GlimpseServer(SESSION)
    for wrong in (b"", login()[:-1], login().replace(b" 1", b" 2"), b"\0\1R", login()[:2] + b"U" + login()[3:]):
        server.login(wrong, 0)
    assert server.logins == 0 and server.answers(1 << 40) == b""


def wrapped(message: bytes) -> bytes:
    return (1 + len(message)).to_bytes(2, "big") + b"S" + message


def read(data: bytes) -> None:
    reader = SnapshotReader(SESSION)
    reader.take(data)
    reader.finish()


FIRST, *REST = packets(STREAM)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ended after 0 messages"),
        (STREAM[:-1], "before the marker"),
        (STREAM[: len(STREAM) // 2], "before the marker"),
        (FIRST + b"".join(REST[:-1]) + b"\0\1Z", "before the marker"),
        (b"\0\2JA", "rejected: A"),
        (FIRST[:-2] + b" 2" + b"".join(REST), "begins at message 2"),
        (FIRST[:1] + b"\5" + FIRST[2:7], "the login's answer has 4 bytes"),
        (b"".join(REST), "before the login was accepted"),
        (FIRST[:3] + b"YESTERDAY " + FIRST[13:], "it is of session 'YESTERDAY', the feed is of '000010059B'"),
        (FIRST + b"\0\0H", "a packet without a type"),
        (FIRST + b"\0\1L", "'L' is not one of a server"),
        (FIRST + wrapped(DAY[0][:-1]), "message 1: type .* has .* bytes"),
        (FIRST + REST[0] + wrapped(b"D" + bytes(18)), "message 2: type 'D' does not belong"),
        (FIRST + wrapped(b""), "type '' does not belong"),
        (FIRST + wrapped(b"G" + b" " * 20), "the marker's number"),
        (FIRST + wrapped(b"G" + b"0" * 20), "the marker's number"),
        (FIRST + wrapped(b"G" + b"-1".rjust(20)), "the marker's number"),
        (FIRST + wrapped(b"G" + b"5".rjust(8)), "type 'G' has 9 bytes, not 21"),
    ],
)
def test_what_is_no_snapshot_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(SnapshotError, match=why):
        read(data)


def test_heartbeats_and_debug_packets_are_passed_over() -> None:
    reader = SnapshotReader(SESSION)
    reader.take(FIRST + b"\0\1H" + b"\0\4+abc" + b"".join(REST))
    assert reader.finish().next_sequence == len(DAY) + 1
