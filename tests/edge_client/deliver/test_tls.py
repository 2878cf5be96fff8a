"""The TLS socket that is read and written at once, against a peer on loopback."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from bramble_client.commands.startup import Authorities, tls_context
from bramble_client.deliver.tls import TlsSocket

Pair = tuple[TlsSocket, ssl.SSLSocket]


@pytest.fixture
def connect(tmp_path: Path) -> Callable[[], Pair]:
    """Make connections: a client's socket and the server's, hands shaken."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def one() -> Pair:
        peers: list[ssl.SSLSocket] = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=lambda: peers.append(context.wrap_socket(listener.accept()[0], server_side=True)))
            thread.start()
            raw = socket.create_connection(listener.getsockname(), timeout=30)
            client = tls_context(tmp_path / "ca.pem").wrap_socket(raw, server_hostname="127.0.0.1")
            thread.join(30)
        assert isinstance(client, TlsSocket)
        return client, peers[0]

    return one


@pytest.fixture
def pair(connect: Callable[[], Pair]) -> Iterator[Pair]:
    """One connection."""
    client, peer = connect()
    with client, peer:
        yield client, peer


def received(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := sock.recv(65536)):
        data += more
    return data


def test_it_speaks_tls_both_ways_and_sees_the_end(pair: Pair) -> None:
    client, peer = pair
    client.sendall(b"question")
    assert received(peer, 8) == b"question"
    peer.sendall(b"answer")
    buffer = bytearray(6)
    assert client.recv_into(buffer) == 6
    assert buffer == b"answer"
    peer.close()
    assert client.recv(10) == b""


def test_a_time_out_is_kept_and_counts(pair: Pair) -> None:
    client, _ = pair
    assert client.gettimeout() == 30
    client.settimeout(0.05)
    assert client.gettimeout() == 0.05
    with pytest.raises(TimeoutError):
        client.recv(1)


def test_a_peer_that_does_not_read_is_waited_for_and_then_given_up(pair: Pair) -> None:
    client, peer = pair
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.sendall(bytes(64 << 20))
    client.settimeout(60)
    assert peer.recv(1) == b"\0"


def test_who_waits_for_bytes_keeps_nobody_from_sending(pair: Pair) -> None:
    client, peer = pair
    answers: list[bytes] = []
    reader = threading.Thread(target=lambda: answers.append(client.recv(6)))
    reader.start()
    client.sendall(b"question")
    assert received(peer, 8) == b"question"
    peer.sendall(b"answer")
    reader.join(30)
    assert answers == [b"answer"]


def test_who_waits_for_bytes_is_woken_when_another_closes_the_socket(connect: Callable[[], Pair]) -> None:
    """As a refused client does it: shut down and closed at once, which epoll slept through in one of four."""
    for _ in range(40):
        client, peer = connect()

        def read(client: TlsSocket = client) -> None:
            with contextlib.suppress(OSError, ValueError):
                client.recv(1)

        with peer:
            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            client.shutdown(socket.SHUT_RDWR)
            client.close()
            reader.join(20)
            assert not reader.is_alive()


def test_no_two_threads_are_in_openssl_at_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    client, peer = pair
    inside, most = [0], [0]

    def watched(name: str) -> None:
        original = getattr(ssl.SSLSocket, name)

        def call(self: ssl.SSLSocket, *arguments: object) -> object:
            if self is not client:
                return original(self, *arguments)
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.001)  # long enough for the other thread to come in, if it can
            try:
                return original(self, *arguments)
            finally:
                inside[0] -= 1

        monkeypatch.setattr(ssl.SSLSocket, name, call)

    watched("recv")
    watched("send")
    total = 100_000

    def echo() -> None:
        while data := peer.recv(4096):
            peer.sendall(data)

    echoing = threading.Thread(target=echo, daemon=True)
    echoing.start()
    writing = threading.Thread(target=lambda: [client.sendall(bytes(1000)) for _ in range(total // 1000)])
    writing.start()
    assert len(received(client, total)) == total
    writing.join(30)
    client.close()
    echoing.join(30)
    assert most == [1]


def served_by(authority: trustme.CA, authorities: Authorities) -> bool:
    """Whether a server with a certificate of this authority is believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(listener.accept()[0], server_side=True) as peer:
            peer.sendall(b"welcome")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            with authorities().wrap_socket(
                socket.create_connection(listener.getsockname(), timeout=30), server_hostname="127.0.0.1"
            ) as sock:
                return received(sock, 7) == b"welcome"
        except ssl.SSLCertVerificationError:
            return False
        finally:
            thread.join(30)


def test_a_fleets_authority_is_replaced_while_a_client_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old, new, path = trustme.CA(), trustme.CA(), tmp_path / "ca.crt"

    def trust(text: bytes) -> None:
        (tmp_path / "new").write_bytes(text)
        (tmp_path / "new").replace(path)

    trust(old.cert_pem.bytes())
    authorities = Authorities(path)
    assert (served_by(old, authorities), served_by(new, authorities)) == (True, False)
    trust(new.cert_pem.bytes() + old.cert_pem.bytes())
    assert (served_by(old, authorities), served_by(new, authorities)) == (True, True)
    trust(new.cert_pem.bytes())
    assert (served_by(old, authorities), served_by(new, authorities)) == (False, True)
    trust(b"torn")
    assert served_by(new, authorities)
    path.unlink()
    assert served_by(new, authorities)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert all("the authorities read before stay trusted" in record.getMessage() for record in caplog.records)
