"""A simulated GLIMPSE 5.0 server: a login in, the book as it stands out, over what the feed has sent so far.

The answer is a SoupBinTCP stream: the login accepted, system events, the stocks and their states, every open order with what is
open of it, each message one sequenced packet, and last the snapshot marker `G` with the number from which the feed goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hdl.spec import glimpse, itch, soupbintcp
from hdl.spec.layout import Value

_STATES = (itch.STOCK_DIRECTORY, itch.STOCK_TRADING_ACTION, itch.REG_SHO_SHORT_SALE_PRICE_TEST, itch.OPERATIONAL_HALT)
"""Of these the last one of each stock is told."""
_TAKES = {
    itch.ORDER_EXECUTED.code: "executed_shares",
    itch.ORDER_EXECUTED_WITH_PRICE.code: "executed_shares",
    itch.ORDER_CANCEL.code: "cancelled_shares",
}


class _Book:
    """What a snapshot tells, as of some message."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.states: dict[tuple[str, int], bytes] = {}
        self.orders: dict[int, dict[str, Value]] = {}

    def apply(self, raw: bytes) -> None:
        layout = itch.MESSAGES.get(chr(raw[0])) if raw else None
        if layout is None or len(raw) != layout.size:
            return
        fields = layout.unpack(raw)
        if layout is itch.SYSTEM_EVENT:
            self.events.append(raw)
        elif layout in _STATES:
            self.states[layout.code, int(fields["stock_locate"])] = raw
        elif layout in (itch.ADD_ORDER_NO_MPID, itch.ADD_ORDER_WITH_MPID):
            self.orders[int(fields["order_ref"])] = fields
        elif layout is itch.ORDER_REPLACE:
            order = self.orders.pop(int(fields["orig_order_ref"]), None)
            if order is not None:
                new = {name: fields[name] for name in ("shares", "price", "timestamp")}
                self.orders[int(fields["new_order_ref"])] = order | new | {"order_ref": fields["new_order_ref"]}
        elif layout is itch.ORDER_DELETE:
            self.orders.pop(int(fields["order_ref"]), None)
        elif layout.code in _TAKES and (order := self.orders.get(int(fields["order_ref"]))) is not None:
            order["shares"] = int(order["shares"]) - int(fields[_TAKES[layout.code]])
            if int(order["shares"]) <= 0:
                del self.orders[int(fields["order_ref"])]

    def messages(self) -> Iterator[bytes]:
        yield from self.events
        for layout in _STATES:
            yield from (raw for (code, _), raw in self.states.items() if code == layout.code)
        for order in self.orders.values():
            layout = itch.MESSAGES[str(order["type"])]
            yield layout.pack(**{name: value for name, value in order.items() if name != "type"})


class GlimpseServer:
    """Answers logins with the book as of the last message sent.

    Parameters
    ----------
    session : bytes
        Session of the feed, ten bytes.
    latency : int
        Clocks from a login to the whole of its answer.

    Attributes
    ----------
    logins : int
        Logins that were answered.
    """

    def __init__(self, session: bytes, *, latency: int = 50_000) -> None:
        if len(session) != soupbintcp.LOGIN_ACCEPTED_PAYLOAD.by_name["session"].size:
            raise ValueError(f"session: {session!r} was given, allowed are ten bytes")
        if latency < 1:
            raise ValueError(f"latency: {latency} was given, allowed is 1 and more")
        self._session, self._latency = session, latency
        self._book, self._next = _Book(), 1
        self._answers: list[tuple[int, bytes]] = []
        self.logins = 0

    def publish(self, sequence: int, messages: Sequence[bytes]) -> None:
        """Take note of messages that were sent; the first copy of a number counts."""
        for number, message in enumerate(messages, sequence):
            if number >= self._next:
                self._book.apply(message)
                self._next = number + 1

    def login(self, packet: bytes, cycle: int) -> None:
        """Take a login request, as bytes of its TCP stream, at a clock. What is none is not answered."""
        if not _is_login(packet):
            return
        self.logins += 1
        accepted = soupbintcp.LOGIN_ACCEPTED_PAYLOAD.pack(session=self._session, sequence_number=b"%20d" % 1)
        marker = glimpse.SNAPSHOT.pack(sequence_number=b"%020d" % self._next)
        stream = _packet(soupbintcp.LOGIN_ACCEPTED, accepted)
        stream += b"".join(_packet(soupbintcp.SEQUENCED_DATA, raw) for raw in (*self._book.messages(), marker))
        self._answers.append((cycle + self._latency, stream))

    def answers(self, cycle: int) -> bytes:
        """Bytes of the stream that have come by a clock and were not taken yet."""
        come = b"".join(answer for at, answer in self._answers if at <= cycle)
        self._answers = [(at, answer) for at, answer in self._answers if at > cycle]
        return come


def _packet(kind: str, payload: bytes) -> bytes:
    return soupbintcp.HEADER.pack(packet_length=1 + len(payload), packet_type=kind) + payload


def _is_login(packet: bytes) -> bool:
    """A whole login request for the first message on."""
    head, layout = soupbintcp.HEADER, soupbintcp.LOGIN_REQUEST_PAYLOAD
    if len(packet) != head.size + layout.size or head.unpack(packet) != {
        "packet_length": 1 + layout.size,
        "packet_type": soupbintcp.LOGIN_REQUEST,
    }:
        return False
    number = layout.unpack(packet, head.size)["requested_sequence_number"]
    assert isinstance(number, bytes)
    return number.strip().lstrip(b"0") == b"1"


