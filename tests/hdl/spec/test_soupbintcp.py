"""SoupBinTCP against the exchange's own client library."""

import pytest
from nasdaq_protocols import soup

from hdl.spec import soupbintcp

EXAMPLES = {
    soupbintcp.DEBUG: soup.Debug("hello"),
    soupbintcp.LOGIN_ACCEPTED: soup.LoginAccepted("SESSION1", 4711),
    soupbintcp.LOGIN_REJECTED: soup.LoginRejected("A"),
    soupbintcp.SEQUENCED_DATA: soup.SequencedData(b"abc"),
    soupbintcp.SERVER_HEARTBEAT: soup.ServerHeartbeat(),
    soupbintcp.END_OF_SESSION: soup.EndOfSession(),
    soupbintcp.LOGIN_REQUEST: soup.LoginRequest("user", "secret", "", "1"),
    soupbintcp.UNSEQUENCED_DATA: soup.UnSequencedData(b"abc"),
    soupbintcp.CLIENT_HEARTBEAT: soup.ClientHeartbeat(),
    soupbintcp.LOGOUT_REQUEST: soup.LogoutRequest(),
}


def test_all_types_are_known():
    assert set(soupbintcp.FROM_SERVER) | set(soupbintcp.FROM_CLIENT) == set(EXAMPLES)
    assert set(soup.SoupMessage.ClassByIndicator) == set(EXAMPLES)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_header(kind):
    _, raw = EXAMPLES[kind].to_bytes()
    assert soupbintcp.HEADER.unpack(raw) == {"packet_length": len(raw) - 2, "packet_type": kind}


def test_login_request():
    layout = soupbintcp.LOGIN_REQUEST_PAYLOAD
    payload = layout.pack(
        username="user", password="secret", requested_session="SESSION1", requested_sequence_number=b"42".rjust(20)
    )
    raw = soupbintcp.HEADER.pack(packet_length=1 + layout.size, packet_type=soupbintcp.LOGIN_REQUEST) + payload
    _, request = soup.SoupMessage.from_bytes(raw)
    assert (request.user, request.password, request.session, request.sequence) == ("user", "secret", "SESSION1", "42")


def test_login_accepted():
    _, raw = EXAMPLES[soupbintcp.LOGIN_ACCEPTED].to_bytes()
    found = soupbintcp.LOGIN_ACCEPTED_PAYLOAD.unpack(raw, at=soupbintcp.HEADER.size)
    assert (found["session"].strip(), int(found["sequence_number"])) == (b"SESSION1", 4711)
    assert len(raw) == soupbintcp.HEADER.size + soupbintcp.LOGIN_ACCEPTED_PAYLOAD.size
