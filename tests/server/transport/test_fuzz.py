"""Thousands of requests and messages that are almost right: never a 500 nor a traceback, and a good client never notices."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest

from tests.server.pi import Closed, Pi, update
from tests.server.process import ServerProcess
from tests.server.transport.malformed import message, request

REQUESTS, MESSAGES = 4000, 6000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server"), "--min-clients", "1", "--min-updates", "1", "--deadline", "1h") as process:
        yield process


@pytest.fixture
def good(server: ServerProcess) -> Iterator[None]:
    """A client that stays connected, and trains afterwards."""
    with Pi(server.url, "good") as pi:
        since = server.api.clients()["good"]["since"]
        yield
        while (number := server.api.status()["running"]) is not None:  # started by chance; it was asked, too, and its answer ends it
            pi.call("training_complete", update(number))
        number = server.api.start()["round"]
        while pi.next("client_update")["round"] != number:
            pass

        assert pi.call("training_complete", update(number)) == {"accepted": True}
        assert server.ended(number)["state"] == "committed"
        assert server.api.clients()["good"]["since"] == since
    assert "Traceback" not in server.log()
    assert "\x1b" not in server.log()


def status(port: int, data: bytes) -> bytes:
    """Return the status of the first answer to these bytes, which may be none."""
    try:
        with socket.create_connection(("127.0.0.1", port), 30) as end:
            end.sendall(data)
            end.shutdown(socket.SHUT_WR)
            answer = b""
            while len(answer) < 12 and (part := end.recv(4096)):
                answer += part
            return answer[9:12]
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    "data",
    [
        b"GET /status?since=\xf8 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://[\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://[\r\nReferer: http://[::1\r\n\r\n",
        b"GET /\xf8 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic \xf8\r\nAccept: text/html\r\n\r\n",
        b"GET /socket.io/?EIO=4&transport=websocket&j=\xf8 HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://[\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n: nothing\r\nno colon\r\n\r\n",
    ],
)
def test_a_request_with_an_odd_byte_is_refused(data: bytes, server: ServerProcess, good: None) -> None:
    assert status(server.port, data)[:1] in (b"2", b"4")


def test_requests_by_chance_are_never_a_500(server: ServerProcess, good: None) -> None:
    chance = random.Random(1)
    failed = [data for data in (request(chance) for _ in range(REQUESTS)) if status(server.port, data) == b"500"]
    assert failed == []


def test_messages_by_chance_end_no_more_than_their_connection(server: ServerProcess, good: None) -> None:
    chance, sent, connections = random.Random(2), 0, 0
    while sent < MESSAGES:
        connections += 1
        with Pi(server.url, f"fuzz-{connections}") as pi:
            try:
                for _ in range(800):
                    for frame in message(chance):
                        pi.send(frame)
                    sent += 1
            except Closed:
                pass
    assert connections > 5
