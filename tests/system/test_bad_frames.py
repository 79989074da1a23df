"""Ten thousand frames that must do nothing: each is counted under one cause, and nothing else changes."""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Callable

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from sim.card import SimulatedCard
from tests.support.desk import Desk

FRAMES = 10_000


class Vandal:
    """Makes frames that are wrong in one way each.

    Parameters
    ----------
    desk : Desk
        Whose feed and session are to be imitated.
    rng : random.Random
        Source of all choices.
    """

    def __init__(self, desk: Desk, rng: random.Random) -> None:
        self._desk = desk
        self._rng = rng
        self._good = self._packet()

    def _packet(self) -> bytes:
        """A packet the card would use, were it not spoiled: the next number, messages that would change the book."""
        desk = self._desk
        messages = [desk.add("AAA", "B", 100, 90 + self._rng.randrange(500) / 100)[1] for _ in range(self._rng.randrange(1, 5))]
        blocks = b"".join(struct.pack(">H", len(message)) + message for message in messages)
        return self._datagram(struct.pack(">10sQH", desk.feed.session, desk.framer.next_sequence, len(messages)) + blocks)

    def _datagram(self, payload: bytes, **changes: object) -> bytes:
        feed = self._desk.feed
        ip = IP(dst=changes.get("address", self._dotted(feed.address)), src="206.200.127.138", flags="DF")
        udp = UDP(dport=changes.get("port", feed.port), sport=49653)
        if "length" in changes:
            udp.len = changes["length"]
        return bytes(Ether(dst="01:00:5e:36:0c:6f", src="02:00:5e:00:00:01") / ip / udp / Raw(payload))

    @staticmethod
    def _dotted(address: int) -> str:
        return ".".join(str(byte) for byte in address.to_bytes(4, "big"))

    def truncated(self) -> tuple[bytes, None]:
        """Cut anywhere behind the headers, with a check sequence that fits what is left, as a bad switch would make it."""
        return self._good[: self._rng.randrange(42, len(self._good))], None

    def oversized(self) -> tuple[bytes, None]:
        """Longer than a frame may be."""
        return self._good + bytes(self._rng.randrange(1_600, 2_500)), None

    def wrong_address(self) -> tuple[bytes, None]:
        """Another group."""
        return self._datagram(self._good[42:], address=f"233.54.{self._rng.randrange(13, 200)}.111"), None

    def wrong_port(self) -> tuple[bytes, None]:
        """Another port."""
        return self._datagram(self._good[42:], port=self._rng.choice([1, 26476, 26478, 65535])), None

    def wrong_length(self) -> tuple[bytes, None]:
        """UDP length that does not fit the packet."""
        right = len(self._good) - 34
        return self._datagram(self._good[42:], length=self._rng.choice([0, 7, right - 1, right + 1, 65535])), None

    def wrong_check_sequence(self) -> tuple[bytes, int]:
        """A right frame whose check sequence is not."""
        return self._good, self._rng.getrandbits(32)

    def wrong_session(self) -> tuple[bytes, None]:
        """Another MoldUDP64 session."""
        return self._datagram(b"SOMEOTHER1" + self._good[52:]), None

    def wrong_block(self) -> tuple[bytes, None]:
        """First message block reaches past the packet."""
        payload = bytearray(self._good[42:])
        payload[20:22] = struct.pack(">H", self._rng.randrange(len(payload), 65536))
        return self._datagram(bytes(payload)), None

    def segment(self) -> tuple[bytes, None]:
        """TCP of somebody else."""
        segment = Ether() / IP(dst="10.0.0.2", src="10.9.9.9") / TCP(sport=1, dport=2) / Raw(self._good[42:])
        return bytes(segment), None

    def flipped(self) -> tuple[bytes, None]:
        """A right frame with one bit of the headers turned over, the check sequence fitting."""
        raw = bytearray(self._good)
        at = self._rng.randrange(14 * 8, 42 * 8)
        raw[at // 8] ^= 1 << at % 8
        return bytes(raw), None

    def garbage(self) -> tuple[bytes, int | None]:
        """Anything of any length."""
        size = self._rng.choice([1, 2, 13, 14, 15, 33, 34, 35, 41, 42, 43, self._rng.randrange(1, 1_600)])
        return self._rng.randbytes(size), None


KINDS: tuple[Callable[[Vandal], tuple[bytes, int | None]], ...] = (
    Vandal.truncated,
    Vandal.oversized,
    Vandal.wrong_address,
    Vandal.wrong_port,
    Vandal.wrong_length,
    Vandal.wrong_check_sequence,
    Vandal.wrong_session,
    Vandal.wrong_block,
    Vandal.segment,
    Vandal.flipped,
    Vandal.garbage,
)

DROPS = {
    Vandal.oversized: {"oversize"},
    Vandal.wrong_address: {"address"},
    Vandal.wrong_port: {"port"},
    Vandal.wrong_length: {"udp_length"},
    Vandal.wrong_check_sequence: {"fcs"},
    Vandal.wrong_session: {"session"},
    Vandal.wrong_block: {"block_length"},
    Vandal.segment: {"address"},
}
"""Causes a kind must be counted under, where it is always the same."""


def state(card: SimulatedCard) -> dict[str, int]:
    """Everything of the card that a bad frame must leave as it is."""
    blocks = {
        "feed": ("next_sequence",),
        "book": ("live_orders", "table_peak"),
        "risk": ("trading_state", "next_user_ref_num"),
        "session": ("send_next", "receive_next"),
        "status": ("frames_sent", "messages", "bbo_changes", "triggers", "orders_passed", "orders_refused", "gaps"),
    }
    return {f"{block}.{name}": card.read(block, name) for block, names in blocks.items() for name in names}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_bad_frames_are_counted_and_do_nothing(card: SimulatedCard, kind: Callable[[Vandal], tuple[bytes, int | None]]) -> None:
    desk = Desk(card, hold_until_fcs=True)
    desk.touch()
    card.events()
    before, drops_before = state(card), Counter(card.read_rows("status", "drop"))
    received = card.read("status", "frames_received")

    rng = random.Random(kind.__name__)
    count = FRAMES // len(KINDS) + 1
    vandal = Vandal(desk, rng)
    sent = 0
    for _ in range(count):
        frame, check = kind(vandal)
        sent += 1
        card.send(frame, fcs=check)
    card.run_until_idle(limit=count * 4_200)
    # What waits in the ring of `PacketHold` moves nothing that is seen from outside.
    card.run(4_096)

    drops = Counter(card.read_rows("status", "drop"))
    drops.subtract(drops_before)
    assert card.read("status", "frames_received") - received == sent
    assert sum(drops.values()) == sent, +drops
    if kind in DROPS:
        assert set(+drops) == DROPS[kind]
    assert state(card) == before
    assert not card.events()
    assert not card.frames()

    # The line is as good as before.
    desk.send(desk.add("AAA", "B", 500, 100.06)[1])
    assert len(card.frames()) == 1


def test_a_frame_that_turns_out_bad_after_use_lowers_integrity_and_blocks_trading(card: SimulatedCard) -> None:
    desk = Desk(card)
    desk.touch()
    card.events()
    frame = desk.framer.packet([desk.add("BBB", "B", 10, 49.00)[1]])
    card.send(frame, fcs=0)
    card.run_until_idle(limit=10_000)
    assert card.read("status", "lost_after_use") == 1
    assert card.read_rows("status", "drop")["fcs"] == 1
    lowered = [record for record in card.events() if record["kind"] == "I"]
    assert [(record["slot"], record["integrity"]) for record in lowered] == [(0xFFFF, 1)]

    # What it brought counts as missing; the next message waits for it, then that is a gap too.
    desk.send(desk.add("AAA", "B", 500, 100.06)[1])
    assert card.read("status", "gaps") == 0
    card.run(10_000)
    assert card.read("status", "gaps") == 1
    assert not card.frames()
    card.pulse("book", "declare_exact")
    desk.send(desk.add("AAA", "B", 500, 100.07)[1])
    assert len(card.frames()) == 1
