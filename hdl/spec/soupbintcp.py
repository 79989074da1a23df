"""SoupBinTCP 3.00: the framing of the order session.

Source: Nasdaq SoupBinTCP 3.00, revisions to 2017-02-22; checked against real captures. `packet_length` counts the type and the
payload, not itself. Packets do not care for TCP segment borders.
"""

from __future__ import annotations

from hdl.spec.layout import Field, Kind, Layout

HEADER = Layout(
    "soupbintcp_header",
    (
        Field("packet_length", 2, Kind.UINT, "bytes that follow this field"),
        Field("packet_type", 1, Kind.CHAR, "see the packet types"),
    ),
)

DEBUG = "+"
LOGIN_ACCEPTED = "A"
LOGIN_REJECTED = "J"
SEQUENCED_DATA = "S"
SERVER_HEARTBEAT = "H"
END_OF_SESSION = "Z"
LOGIN_REQUEST = "L"
UNSEQUENCED_DATA = "U"
CLIENT_HEARTBEAT = "R"
LOGOUT_REQUEST = "O"

FROM_SERVER = (DEBUG, LOGIN_ACCEPTED, LOGIN_REJECTED, SEQUENCED_DATA, SERVER_HEARTBEAT, END_OF_SESSION)
FROM_CLIENT = (DEBUG, LOGIN_REQUEST, UNSEQUENCED_DATA, CLIENT_HEARTBEAT, LOGOUT_REQUEST)

LOGIN_ACCEPTED_PAYLOAD = Layout(
    "login_accepted",
    (
        Field("session", 10, Kind.RAW, "id of the session, padded with spaces"),
        Field("sequence_number", 20, Kind.RAW, "number of the next sequenced message, ASCII digits"),
    ),
)
LOGIN_REQUEST_PAYLOAD = Layout(
    "login_request",
    (
        Field("username", 6, Kind.ALPHA, "compared without case"),
        Field("password", 10, Kind.ALPHA, "compared without case"),
        Field("requested_session", 10, Kind.ALPHA, "blank for the active one"),
        Field("requested_sequence_number", 20, Kind.RAW, "next number wanted, ASCII digits"),
    ),
)
