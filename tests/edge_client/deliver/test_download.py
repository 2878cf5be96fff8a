"""Fetching a graph over real HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bramble_client.deliver import download
from bramble_client.deliver.download import DownloadFailed, GraphDownload

SHA = "ab" * 32
Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    answer: Answer
    seen: list[tuple[str, str | None]]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers["Authorization"]))
        self.server.answer(self)

    def log_message(self, *_: object) -> None:
        pass


def send(status: int, body: bytes, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        made.seen = []
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.shutdown()
        thread.join(30)


def fetch(server: Server, token: str | None = "s3cret", timeout: float = 30.0) -> bytes:
    return GraphDownload(f"http://127.0.0.1:{server.server_port}", token, None, timeout)(SHA)


def test_it_asks_by_digest_shows_its_token_and_returns_the_bytes(server: Server) -> None:
    server.answer = send(200, bytes(range(256)) * 400)
    assert fetch(server) == bytes(range(256)) * 400
    assert server.seen == [(f"/graphs/{SHA}.tflite", "Bearer s3cret")]


def test_without_a_token_none_is_shown(server: Server) -> None:
    server.answer = send(200, b"graph")
    fetch(server, token=None)
    assert server.seen[0][1] is None


@pytest.mark.parametrize(("status", "passing"), [(401, False), (404, False), (500, True), (503, True)])
def test_a_refusal_is_named_and_only_a_servers_trouble_may_pass(server: Server, status: int, passing: bool) -> None:
    server.answer = send(status, b"{}")
    with pytest.raises(DownloadFailed, match=rf"graph abababababab: the server answered HTTP {status}") as caught:
        fetch(server)
    assert caught.value.passing is passing


def test_a_redirect_is_not_followed_so_that_nobody_else_sees_the_token(server: Server) -> None:
    server.answer = send(302, b"", Location="http://127.0.0.1:1/graphs")
    with pytest.raises(DownloadFailed, match="HTTP 302"):
        fetch(server)
    assert len(server.seen) == 1


def test_a_download_that_breaks_off_is_no_graph(server: Server) -> None:
    server.answer = send(200, b"half", **{"Content-Length": "8"})
    with pytest.raises(DownloadFailed) as caught:
        fetch(server)
    assert caught.value.passing


def test_a_server_that_falls_silent_is_given_up(server: Server) -> None:
    release = threading.Event()

    def silent(handler: BaseHTTPRequestHandler) -> None:
        release.wait(60)

    server.answer = silent
    with pytest.raises(DownloadFailed, match="timed out") as caught:
        fetch(server, timeout=0.1)
    release.set()
    assert caught.value.passing


def test_a_server_that_is_not_there_is_named(server: Server) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(DownloadFailed, match="refused") as caught:
            GraphDownload(url, None, None)(SHA)
    assert caught.value.passing


def test_an_endless_graph_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "LARGEST", 1000)
    server.answer = send(200, bytes(1001))
    with pytest.raises(DownloadFailed, match="more than 1000 bytes"):
        fetch(server)
