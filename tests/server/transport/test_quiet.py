"""Peers that are gone are just gone: no traceback, no line without end, whatever they broke off."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.server.pi import Pi
from tests.server.process import ServerProcess
from tests.waiting import wait_for


def reset(end: socket.socket) -> None:
    """Break a connection off with a reset."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


SAID = {
    "nothing": b"",
    "a request with an escape": b"GET /\x1b[2J HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "half a header": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    "half a body": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nhalf",
    "many requests": b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 2000,
    "an upgrade": b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as process:
        yield process


@pytest.mark.parametrize("said", SAID)
def test_a_reset_connection_is_quiet(said: str, server: ServerProcess) -> None:
    before = server.log()
    for _ in range(20):
        end = socket.create_connection(("127.0.0.1", server.port), 30)
        end.sendall(SAID[said])
        reset(end)
    assert server.api.healthy()
    said_since = server.log().removeprefix(before)
    assert "Traceback" not in said_since
    assert "\x1b" not in said_since
    assert len(said_since) < 5000


def test_a_tls_client_that_closes_at_once_is_quiet_and_one_that_speaks_something_else_is_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.private_key_pem.write_to_path(key)
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(cert, append=True)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with ServerProcess(tmp_path, "--tls-cert", str(cert), "--tls-key", str(key)) as server:
        for _ in range(20):
            socket.create_connection(("127.0.0.1", server.port), 30).close()
            reset(socket.create_connection(("127.0.0.1", server.port), 30))
            with socket.create_connection(("127.0.0.1", server.port), 30) as plain:
                reset(context.wrap_socket(plain, server_hostname="127.0.0.1"))
        with socket.create_connection(("127.0.0.1", server.port), 30) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with contextlib.suppress(OSError):
                plain.recv(100)
        with Pi(server.url, "good", sslopt={"context": context}, suppress_origin=True):
            pass
        assert server.logged("127.0.0.1: a TLS handshake failed (HTTP_REQUEST)") == 1
        assert "Traceback" not in server.log()
        assert server.log().count("TLS handshake") == 1


def test_a_day_of_bad_handshakes_with_fresh_names_is_some_hundred_lines(server: ServerProcess) -> None:
    before = server.log()
    for number in range(200):
        with Pi(server.url, connect=False) as pi:
            pi.send(f'40{{"protocol":1,"client_id":"stranger-{number}","version":"\\u001b[2J"}}')
            wait_for(lambda pi=pi: str(pi._receive()).startswith("44"), "the refusal")
    said = server.log().removeprefix(before)
    assert 50 < said.count("handshake refused: version: expected printable text") < 150
    assert "\x1b" not in said
