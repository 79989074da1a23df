"""What the host heard itself is given without asking; for the rest somebody else is asked."""

from __future__ import annotations

import pytest

from host.heard import Heard
from host.recovery import messages_of, request_for
from tests.host.test_recovery import SESSION, Server, message


def test_what_was_heard_is_given_and_the_rest_asked_for() -> None:
    server = Server()
    heard = Heard(SESSION, server)
    heard.hear(10, [message(10), message(11)])
    heard.hear(14, [message(14)])
    heard.request(request_for(SESSION, 10, 100), 0)
    assert [messages_of(answer, SESSION) for answer in heard.answers(0)] == [(10, (message(10), message(11)))]
    assert not server.requests and not heard.answers(0)
    heard.request(request_for(SESSION, 12, 100), 5)
    assert server.requests == [(5, 12, 2)], "up to what was heard"
    server.answer(12, 2)
    assert [messages_of(answer, SESSION) for answer in heard.answers(6)] == [(12, (message(12), message(13)))]


def test_the_latest_are_kept() -> None:
    server = Server()
    heard = Heard(SESSION, server, keep=2)
    heard.hear(1, [message(number) for number in (1, 2, 3)])
    heard.request(request_for(SESSION, 1, 3), 0)
    assert server.requests == [(0, 1, 1)] and not heard.answers(0)
    heard.request(request_for(SESSION, 2, 3), 0)
    assert [messages_of(answer, SESSION) for answer in heard.answers(0)] == [(2, (message(2), message(3)))]
    with pytest.raises(ValueError, match="allowed"):
        Heard(SESSION, server, keep=0)
