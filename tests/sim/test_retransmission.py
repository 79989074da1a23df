"""The simulated retransmission server, judged by scapy's reading of what MoldUDP64's description says."""

from __future__ import annotations

import pytest
from scapy.fields import FieldLenField, LongField, PacketListField, ShortField, StrFixedLenField, StrLenField
from scapy.packet import Packet

from sim.retransmission import LARGEST_PAYLOAD, RetransmissionServer

SESSION = b"T2TREPLAY1"
MESSAGES = [bytes([65 + number % 26]) * (20 + number % 30) for number in range(200)]


class Block(Packet):
    """A message block."""

    name = "block"
    fields_desc = [
        FieldLenField("length", None, length_of="data", fmt="H"),
        StrLenField("data", b"", length_from=lambda packet: packet.length),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


class Mold(Packet):
    """Header and blocks, as in section 1.1 of the description."""

    name = "mold"
    fields_desc = [
        StrFixedLenField("session", b"", 10),
        LongField("sequence", 0),
        ShortField("count", 0),
        PacketListField("blocks", [], Block, count_from=lambda packet: packet.count),
    ]


def request(first: int, count: int, session: bytes = SESSION) -> bytes:
    """A request: a header and nothing behind it."""
    raw = bytes(Mold(session=session, sequence=first, count=count))
    assert len(raw) == 20
    return raw


def server(**options: float) -> RetransmissionServer:
    made = RetransmissionServer(SESSION, latency=10, **options)  # type: ignore[arg-type]
    made.publish(1, MESSAGES)
    return made


def test_an_answer_is_a_downstream_packet_with_as_many_as_fit() -> None:
    asked, got = server(), []
    first = 1
    while first <= len(MESSAGES):
        asked.request(request(first, 1_000), cycle=100)
        assert asked.answers(109) == []
        [raw] = asked.answers(110)
        packet = Mold(raw)
        assert (packet.session, packet.sequence, packet.count) == (SESSION, first, len(packet.blocks))
        assert len(raw) <= LARGEST_PAYLOAD and bytes(packet) == raw
        got += [block.data for block in packet.blocks]
        first += packet.count
    assert got == MESSAGES
    assert asked.counts["requests"] == asked.counts["answers"] > 3


def test_no_more_is_sent_than_was_asked_for() -> None:
    asked = server()
    asked.request(request(5, 2), cycle=0)
    [raw] = asked.answers(10)
    assert [block.data for block in Mold(raw).blocks] == MESSAGES[4:6]


@pytest.mark.parametrize(
    "raw",
    [request(201, 1), request(0, 5), request(1, 0), request(1, 0xFFFF), request(1, 1, b"ANOTHER   "), request(1, 1) + b"\0", b""],
    ids=["beyond", "before", "none", "end", "session", "long", "empty"],
)
def test_what_cannot_be_answered_is_not(raw: bytes) -> None:
    asked = server()
    asked.request(raw, cycle=0)
    assert asked.answers(1_000_000) == [] and asked.counts["unanswered"] == 1


def test_the_first_copy_of_a_number_counts() -> None:
    asked = server()
    asked.publish(1, [b"another"])
    asked.request(request(1, 1), cycle=0)
    assert Mold(asked.answers(10)[0]).blocks[0].data == MESSAGES[0]


def test_loss_is_the_same_in_every_run() -> None:
    came = []
    for _ in range(2):
        asked = server(loss=0.3, seed=5)
        for at in range(100):
            asked.request(request(1, 1), cycle=at)
        came.append((len(asked.answers(200)), asked.counts["lost"]))
    assert came[0] == came[1] and came[0][0] + came[0][1] == 100 and 30 < came[0][1] < 70


@pytest.mark.parametrize("wrong", [{"session": b"short"}, {"latency": 0}, {"loss": 1.5}, {"keep": -1}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        RetransmissionServer(**{"session": SESSION} | wrong)  # type: ignore[arg-type]


def test_a_server_may_have_the_latest_alone() -> None:
    kept, last = server(keep=2), len(MESSAGES)
    kept.request(request(last - 2, 1), 0)
    kept.request(request(last - 1, 2), 0)
    [answer] = kept.answers(100)
    assert [block.data for block in Mold(answer).blocks] == MESSAGES[-2:] and kept.counts["unanswered"] == 1
