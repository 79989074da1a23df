"""A simulated retransmission server: MoldUDP64 requests in, downstream packets out, over what the feed has sent so far.

It keeps every message of the day by its number, or the latest ones. A request is answered with one packet: the messages wanted
from the first on, as many as fit a datagram. A request for what the server does not have, or that is none, is not answered.
Requests and answers can be lost, by a seeded generator, each the same in every run.
"""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from collections.abc import Sequence

from hdl.spec import moldudp64

LARGEST_PAYLOAD = 1472
"""Bytes of UDP payload in an IP packet of 1,500."""


class RetransmissionServer:
    """Answers requests for messages that were sent.

    Parameters
    ----------
    session : bytes
        MoldUDP64 session, ten bytes.
    latency : int
        Clocks from a request to its answer.
    loss : float
        Part of the requests, and of the answers, that are lost.
    seed : int
        Of what is lost.
    keep : int
        Messages it has, the latest; 0: all.

    Attributes
    ----------
    counts : Counter
        ``requests`` that arrived, ``answers`` that were sent, ``lost`` of both, ``unanswered`` requests.
    """

    def __init__(self, session: bytes, *, latency: int = 12_500, loss: float = 0.0, seed: int = 1, keep: int = 0) -> None:
        if len(session) != moldudp64.HEADER.by_name["session"].size:
            raise ValueError(f"session: {session!r} was given, allowed are ten bytes")
        if latency < 1:
            raise ValueError(f"latency: {latency} was given, allowed is 1 and more")
        if not 0 <= loss <= 1:
            raise ValueError(f"loss: {loss} was given, allowed are 0 to 1")
        if keep < 0:
            raise ValueError(f"keep: {keep} was given, allowed is 0 and more")
        self._session, self._keep = session, keep
        self._latency = latency
        self._loss, self._rng = loss, random.Random(seed)
        self._messages: OrderedDict[int, bytes] = OrderedDict()
        self._answers: list[tuple[int, bytes]] = []
        self.counts: Counter[str] = Counter()

    def publish(self, sequence: int, messages: Sequence[bytes]) -> None:
        """Take note of messages that were sent; the first copy of a number counts."""
        for number, message in enumerate(messages, sequence):
            self._messages.setdefault(number, message)
        while 0 < self._keep < len(self._messages):
            self._messages.popitem(last=False)

    def request(self, packet: bytes, cycle: int) -> None:
        """Take a request, the payload of its datagram, at a clock."""
        if self._lost():
            return
        self.counts["requests"] += 1
        answer = self._answer(packet)
        if answer is None:
            self.counts["unanswered"] += 1
        elif not self._lost():
            self.counts["answers"] += 1
            self._answers.append((cycle + self._latency, answer))

    def answers(self, cycle: int) -> list[bytes]:
        """Payloads of the answers that have come by a clock and were not taken yet."""
        come = [answer for at, answer in self._answers if at <= cycle]
        self._answers = [(at, answer) for at, answer in self._answers if at > cycle]
        return come

    def _lost(self) -> bool:
        lost = self._loss > 0 and self._rng.random() < self._loss
        self.counts["lost"] += lost
        return lost

    def _answer(self, packet: bytes) -> bytes | None:
        if len(packet) != moldudp64.HEADER.size:
            return None
        values = moldudp64.HEADER.unpack(packet)
        first, count = (int(values[name]) for name in ("sequence_number", "message_count"))
        if packet[: len(self._session)] != self._session or count in (moldudp64.HEARTBEAT, moldudp64.END_OF_SESSION):
            return None
        blocks, sent = b"", 0
        while sent < count and (message := self._messages.get(first + sent)) is not None:
            block = moldudp64.BLOCK.pack(message_length=len(message)) + message
            if moldudp64.HEADER.size + len(blocks) + len(block) > LARGEST_PAYLOAD:
                break
            blocks, sent = blocks + block, sent + 1
        if not sent:
            return None
        return moldudp64.HEADER.pack(session=self._session, sequence_number=first, message_count=sent) + blocks
