"""What the host heard on the feed's lines itself, in front of a retransmission server."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from hdl.spec import moldudp64
from host.recovery import Server


class Heard:
    """A retransmission server that asks another one only for what the host did not hear.

    The card is where it is because it had to wait; the host, who listens to the same lines, did not.

    Parameters
    ----------
    session : bytes
        MoldUDP64 session.
    server : Server
        Who is asked for the rest.
    keep : int
        Messages that are kept, the latest.
    """

    def __init__(self, session: bytes, server: Server, *, keep: int = 1 << 20) -> None:
        if keep < 1:
            raise ValueError(f"keep: {keep} was given, allowed is 1 and more")
        self._session, self._server, self._keep = session, server, keep
        self._messages: OrderedDict[int, bytes] = OrderedDict()
        self._ready: list[bytes] = []

    def hear(self, sequence: int, messages: Sequence[bytes]) -> None:
        """Take what came on a line."""
        self._messages.update(enumerate(messages, sequence))
        while len(self._messages) > self._keep:
            self._messages.popitem(last=False)

    def request(self, packet: bytes, cycle: int) -> None:
        """Take a request: what was heard from its first number on is the answer; where nothing was, it goes on."""
        header = moldudp64.HEADER.unpack(packet)
        first, count = int(header["sequence_number"]), int(header["message_count"])
        known = first in self._messages
        end = first + 1
        while end < first + count and (end in self._messages) == known:
            end += 1
        head = moldudp64.HEADER.pack(session=self._session, sequence_number=first, message_count=end - first)
        if not known:
            self._server.request(head, cycle)
            return
        heard = [self._messages[number] for number in range(first, end)]
        self._ready.append(head + b"".join(moldudp64.BLOCK.pack(message_length=len(raw)) + raw for raw in heard))

    def answers(self, cycle: int) -> list[bytes]:
        """What has come back since the last call."""
        ready, self._ready = self._ready, []
        return [*ready, *self._server.answers(cycle)]
