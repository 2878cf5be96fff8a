"""One rule for the way to the server: the link and the download take the same one, through whatever networks there are."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble_client.commands import check
from bramble_client.deliver.download import DownloadFailed, GraphDownload
from bramble_client.deliver.link import Link
from bramble_client.settings import ClientSettings
from tests.edge_client.socketserver import Server
from tests.http_proxy import HttpProxy
from tests.waiting import wait_for

SHA = "ab" * 32


@contextlib.contextmanager
def link_to(url: str, **options: str) -> Iterator[Link]:
    link = Link(url, {"client_id": "pi-1", "token": "s3cret"}, longest_pause=0.05, timeout=10.0, **options)  # type: ignore[arg-type]
    link.start()
    try:
        yield link
    finally:
        link.stop()


def said(caplog: pytest.LogCaptureFixture, piece: str) -> bool:
    return any(piece in record.getMessage() for record in caplog.records)


@pytest.fixture
def environments_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpProxy]:
    with HttpProxy() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        yield proxy


def test_the_environments_proxy_is_handed_neither_link_nor_download(server: Server, environments_proxy: HttpProxy) -> None:
    with link_to(server.url) as link:
        assert link.wait_up(30)
    with pytest.raises(DownloadFailed, match="HTTP 404"):
        GraphDownload(server.url, "s3cret", None)(SHA)
    assert environments_proxy.asked == []


def test_a_named_proxy_carries_the_link_and_the_download(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")  # nor does the environment take anything away from it
    with HttpProxy() as proxy:
        with link_to(server.url, proxy=proxy.url) as link:
            assert link.wait_up(30)
        assert proxy.asked == [f"CONNECT 127.0.0.1:{server.port}"]
        with pytest.raises(DownloadFailed, match="HTTP 404"):
            GraphDownload(server.url, "s3cret", None, proxy=proxy.url)(SHA)
        assert proxy.asked[1:] == [f"GET {server.url}/graphs/{SHA}.tflite"]


def test_a_server_under_a_path_of_its_host_is_found_by_both(server: Server) -> None:
    with HttpProxy(server.port, prefix="/bramble") as front:
        with link_to(f"{front.url}/bramble") as link:
            assert link.wait_up(30)
            assert link.call("health", {"sent": 1}, 30) == {"accepted": True}
        with pytest.raises(DownloadFailed, match="HTTP 404"):
            GraphDownload(f"{front.url}/bramble", None, None)(SHA)
    assert front.asked[0].startswith("GET /bramble/socket.io/?")
    assert front.asked[1] == f"GET /bramble/graphs/{SHA}.tflite"


def test_a_proxy_that_passes_no_upgrade_on_is_named_as_a_possible_cause(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with HttpProxy(server.port, upgrade=False) as front, link_to(front.url):
        wait_for(lambda: said(caplog, "HTTP 400"), "the link's complaint")
    assert said(caplog, "pass on Upgrade")


@contextlib.contextmanager
def speaker(greeting: bytes) -> Iterator[int]:
    """Listen as a server of another protocol does, which greets whoever comes."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.request.recv(1 << 16)
                self.request.sendall(greeting)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield listener.server_address[1]
        listener.shutdown()
        thread.join(30)


GREETINGS = {
    "ssh": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\r\n",
    "mail": b"220 mail.example ESMTP ready\r\n\r\n",
    "redis": b"-ERR unknown command 'GET'\r\n\r\n",
    "mqtt": bytes([0x20, 2, 0, 1, 10, 10]),
    "not utf-8": b"\xff\xfe\xfa\r\n\r\n",
    "one word": b"hello\r\n\r\n",
    "a bad header": b"HTTP/1.1 101 Switching\r\nthis is no header\r\n\r\n",
}


@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
def test_a_server_that_speaks_no_http_is_told_in_a_sentence(greeting: bytes, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with speaker(greeting) as port, link_to(f"http://127.0.0.1:{port}"):
        wait_for(lambda: said(caplog, "cannot reach the server"), "the link's complaint")
    assert said(caplog, "does not speak HTTP") or (greeting.startswith(b"220") and said(caplog, "HTTP"))
    assert "invalid literal" not in caplog.text
    assert "Traceback" not in caplog.text


def test_the_download_and_the_check_say_so_too() -> None:
    with speaker(GREETINGS["ssh"]) as port:
        url = f"http://127.0.0.1:{port}"
        with pytest.raises(DownloadFailed, match="does not speak HTTP"):
            GraphDownload(url, None, None)(SHA)
        findings = check.check(ClientSettings(sensors="mock", id="pi-1", server=url))
    server = next(finding for finding in findings if finding.part == "server")
    assert not server.good
    assert "does not speak HTTP" in server.sentence


@pytest.mark.parametrize("proxy", ["proxy.example:3128", "socks5://127.0.0.1:1080", "http://", "http://127.0.0.1:0", "http://h:x"])
def test_a_proxy_that_is_none_is_refused_by_name(proxy: str) -> None:
    with pytest.raises(ValueError, match="expected an HTTP proxy's address"):
        ClientSettings(sensors="mock", id="pi-1", proxy=proxy)
