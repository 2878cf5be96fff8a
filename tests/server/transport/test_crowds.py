"""Connections without number and requests without end: the server still accepts, answers and commits."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import websocket

from bramble.api import ServerDown
from tests.server.pi import Pi, update
from tests.server.process import ROOT, ServerProcess
from tests.waiting import wait_for

pytestmark = pytest.mark.load
STRAINED = ROOT / "tests" / "server" / "transport" / "strained.py"


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Let this process hold as many connections as the system allows."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def crowd(port: int, count: int, said: bytes) -> Iterator[list[socket.socket]]:
    """So many connections that have said something and wait."""
    with ExitStack() as stack:
        ends = []
        for _ in range(count):
            end = stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
            try:
                end.sendall(said)
            except OSError:  # it was hung up on already
                pass
            ends.append(end)
        yield ends


def runs(server: ServerProcess, pi: Pi) -> None:
    """A client joins, a round commits, the server answers."""
    number = server.api.start()["round"]
    while pi.next("client_update")["round"] != number:
        pass
    assert pi.call("training_complete", update(number)) == {"accepted": True}
    wait_for(lambda: server.api.status()["round"] == number, "the commit")
    assert server.api.healthy()


SLOW = {
    "nothing": b"",
    "half a header": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    "half a body": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nhalf",
}


@pytest.mark.parametrize("said", SLOW)
def test_1500_connections_that_end_no_request_keep_nobody_out(said: str, tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--min-clients", "1") as server, Pi(server.url, "early") as early, crowd(server.port, 1500, SLOW[said]):
        with Pi(server.url, "late"):
            assert server.api.clients()["early"]["connected"]
        wait_for(lambda: server.api.status()["clients"] == 1, "it to leave")
        runs(server, early)
        files = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        assert files < 1200, "the quietest had to go"
    assert "Traceback" not in server.log()


def test_with_few_files_there_are_some_left_to_accept_and_to_commit_with(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path, "--min-clients", "1", script=STRAINED, FILES="256") as server,
        Pi(server.url, "early") as early,
        crowd(server.port, 400, SLOW["half a header"]),
    ):
        with Pi(server.url, "late"):
            pass
        wait_for(lambda: server.api.status()["clients"] == 1, "it to leave")
        runs(server, early)
    assert "Traceback" not in server.log()
    assert "Too many open files" not in server.log()


def test_clients_beyond_the_limit_are_refused_and_those_who_are_there_stay(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path, "--min-clients", "1", "--max-connections", "20", "--max-per-address", "16") as server,
        ExitStack() as stack,
    ):
        fleet = [stack.enter_context(Pi(server.url, f"pi-{number}")) for number in range(15)]
        assert server.api.status()["clients"] == 15
        fleet.append(stack.enter_context(Pi(server.url, "last")))
        with pytest.raises((OSError, websocket.WebSocketException), match=r"reset|closed|aborted|Connection"):
            Pi(server.url, "more")
        assert server.logged("127.0.0.1: its connection is refused: 16 are open, at most 20 may be, 16 of one address") == 1
        fleet.pop().close()
        wait_for(lambda: not server.log().endswith("refused") and try_get(server) == 15, "one to leave")
        runs_with_all(server, fleet)


def try_get(server: ServerProcess) -> int | None:
    try:
        clients: int = server.api.status()["clients"]
    except ServerDown:
        return None
    return clients


def runs_with_all(server: ServerProcess, fleet: list[Pi]) -> None:
    number = server.api.start()["round"]
    assert [pi.train() for pi in fleet] == [{"accepted": True}] * len(fleet)
    wait_for(lambda: server.api.status()["round"] == number, "the commit")


@pytest.mark.parametrize("said", ["half a header", "half a body"])
def test_a_request_that_trickles_in_is_ended_in_time(said: str, tmp_path: Path) -> None:
    with ServerProcess(tmp_path, script=STRAINED, REQUEST_S="0.5") as server:
        with socket.create_connection(("127.0.0.1", server.port), 30) as end:
            end.sendall(SLOW[said])
            end.settimeout(0.05)
            answer, sent = b"", 0
            while not answer:
                try:
                    end.sendall(b"x")  # a byte now and then is no progress
                    sent += 1
                    answer = end.recv(1000)
                except TimeoutError:
                    assert sent < 600
            assert answer.startswith(b"HTTP/1.1 408")
        assert server.api.healthy()


def test_headers_without_end_are_refused(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port), 30) as end:
        end.sendall(b"GET /healthz HTTP/1.1\r\n")
        try:
            for number in range(100_000):
                end.sendall(b"X-%d: %s\r\n" % (number, b"x" * 1000))
        except OSError:
            pass
        assert server.api.healthy()
        assert server.logged("a request is not HTTP (_TooLongError)") == 1


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000,
        b"Transfer-Encoding: chunked\r\n\r\n" + b"8000\r\n" + b"x" * 0x8000 + b"\r\n" + b"8001\r\n" + b"x" * 0x8001 + b"\r\n0\r\n\r\n",
    ],
)
def test_a_body_that_nobody_wants_is_refused_and_not_read_to_its_end(body: bytes, tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port), 30) as end:
        end.sendall(b"POST /reset HTTP/1.1\r\nHost: 127.0.0.1\r\n" + body)
        answer = b""
        while part := end.recv(1000):
            answer += part
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"Connection: close" in answer
