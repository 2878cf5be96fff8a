from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests
import trustme

from bramble_inspector import serving
from bramble_inspector.serving import PageServer
from bramble_inspector.settings import InspectorSettings
from bramble_protocol import BrambleError


def scheme(environ: dict[str, str], start: object) -> list[bytes]:
    start("200 OK", [("Content-Type", "text/plain")])  # type: ignore[operator]
    return [environ["wsgi.url_scheme"].encode()]


@contextmanager
def served(**settings: object) -> Iterator[PageServer]:
    server = PageServer(scheme, InspectorSettings.model_validate({"port": 0, **settings}))
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server
    server.stop()
    thread.join()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, made = tmp_path_factory.mktemp("tls"), trustme.CA()
    own = made.issue_cert("127.0.0.1")
    paths = {"ca": folder / "ca.pem", "tls_cert": folder / "own.pem", "tls_key": folder / "own.key"}
    made.cert_pem.write_to_path(paths["ca"])
    own.cert_chain_pems[0].write_to_path(paths["tls_cert"])
    own.private_key_pem.write_to_path(paths["tls_key"])
    return paths


def test_who_connects_and_keeps_silent_takes_no_thread_from_anybody() -> None:
    with served() as server, ExitStack() as silent, requests.Session() as page:
        for _ in range(serving.THREADS + 4):
            silent.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert page.get(server.url, timeout=10).text == "http"
        assert page.get(server.url, timeout=10).headers.get("Connection") != "close", "the same connection serves the next"


def test_over_tls_a_handshake_that_does_not_come_holds_up_nobody(authority: dict[str, Path]) -> None:
    ca = authority["ca"]
    with served(tls_cert=authority["tls_cert"], tls_key=authority["tls_key"]) as server, ExitStack() as silent:
        for _ in range(serving.THREADS + 4):
            silent.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert server.url == f"https://127.0.0.1:{server.port}"
        assert requests.get(server.url, timeout=10, verify=str(ca)).text == "https"
        with socket.create_connection(("127.0.0.1", server.port), 10) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert plain.recv(100)[:5] != b"HTTP/", "no page without TLS"


def test_a_request_larger_than_any_page_sends_is_refused() -> None:
    with served() as server:
        assert requests.get(server.url, headers={"X": "x" * serving.LARGEST_HEADER}, timeout=10).status_code == 413
        large = {"Content-Length": str(serving.LARGEST_BODY + 1)}
        assert requests.post(server.url, headers=large, timeout=10).status_code == 413


def test_a_certificate_that_is_none_is_named(authority: dict[str, Path]) -> None:
    with pytest.raises(BrambleError, match=r"^--tls-cert .*: not a certificate with its key"):
        PageServer(scheme, InspectorSettings(port=0, tls_cert=authority["tls_key"], tls_key=authority["tls_key"]))
    with pytest.raises(ValueError, match="--tls-cert and --tls-key belong together"):
        InspectorSettings(tls_cert=authority["tls_cert"])
