"""MoldUDP64 1.00: the framing of the multicast feed, its retransmissions and its requests.

Source: Nasdaq MoldUDP64 V 1.00, formatting update 2024-08-02; checked against real captures.
"""

from __future__ import annotations

from hdl.spec.layout import Field, Kind, Layout

HEADER = Layout(
    "moldudp64_header",
    (
        Field("session", 10, Kind.ALPHA, "id of the message stream"),
        Field("sequence_number", 8, Kind.UINT, "number of the first message in the packet, or the next one where it has none"),
        Field("message_count", 2, Kind.UINT, "message blocks that follow"),
    ),
)
BLOCK = Layout("moldudp64_block", (Field("message_length", 2, Kind.UINT, "bytes of message data that follow"),))

HEARTBEAT = 0
"""`message_count` of a packet without messages."""
END_OF_SESSION = 0xFFFF
"""`message_count` of the packets that close a session."""
