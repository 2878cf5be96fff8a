"""What systemd hears of the inspector."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from bramble_inspector import watchdog


class Page(HTTPServer):
    """A page that can be told to fail or to hang."""

    def __init__(self) -> None:
        self.status = 200
        self.go = threading.Event()
        self.go.set()
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                page.go.wait()
                self.send_response(page.status)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def page() -> Iterator[Page]:
    with Page() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.go.set()
        server.shutdown()


def test_a_page_that_answers_is_alive_whatever_it_says_of_the_request(page: Page) -> None:
    assert watchdog.look(f"http://127.0.0.1:{page.server_port}", 30) is None
    page.status = 403
    assert watchdog.look(f"http://127.0.0.1:{page.server_port}", 30) is None
    assert watchdog.look(f"http://0.0.0.0:{page.server_port}", 30) is None, "every address includes loopback"


def test_a_page_that_fails_hangs_or_is_gone_is_not(page: Page) -> None:
    page.status = 500
    assert watchdog.look(f"http://127.0.0.1:{page.server_port}", 30) == "HTTP 500"
    page.go.clear()
    assert watchdog.look(f"http://127.0.0.1:{page.server_port}", 0.05) == "timed out"
    assert "refused" in (watchdog.look("http://127.0.0.1:1", 5) or "")


def test_readiness_comes_first_and_then_each_look_feeds_the_watchdog(
    page: Page, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    watchdog.start(f"http://127.0.0.1:{page.server_port}")
    assert [systemd.recv(100) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"]


def test_without_a_watchdog_nobody_looks(page: Page, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    before = set(threading.enumerate())
    watchdog.start(f"http://127.0.0.1:{page.server_port}")
    assert systemd.recv(100) == b"READY=1"
    assert set(threading.enumerate()) <= before
