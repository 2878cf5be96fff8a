"""The engine over real sockets: slow, silent, dead and endless peers; TLS; a clean end."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest
import trustme

from bramble_protocol.layout import Layout
from bramble_protocol.messages import ClientUpdate
from tests.network import Proxy
from tests.server.pi import Closed, Pi, hello
from tests.server.process import ServerProcess
from tests.waiting import wait_for

BIG = Layout.of([("dense/kernel", [2048, 2048])])
"""16 MiB as float32: far more than any socket buffers, so that one send never takes it whole."""


def small_buffer(url: str, size: int = 1 << 16) -> socket.socket:
    """Connect with a receive buffer that holds next to nothing."""
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    end.settimeout(30)
    end.connect(("127.0.0.1", int(url.rpartition(":")[2])))
    return end


@pytest.mark.load
def test_a_message_far_larger_than_the_socket_buffer_reaches_a_slow_reader_whole(tmp_path: Path) -> None:
    patience = 4.0  # seconds without a sign of life; taking bytes is one, so a slow reader is not a dead one
    with (
        ServerProcess(tmp_path, "--min-clients", "1", "--ping-interval", "2", "--ping-timeout", "2", layout=BIG) as server,
        Pi(server.url, "slow", socket=small_buffer(server.url)) as pi,
    ):
        number = server.api.start()["round"]
        started, stream = time.monotonic(), bytearray()
        while len(stream) < 4 * BIG.size:
            slow = time.monotonic() - started < 2 * patience
            stream += pi.connection.recv(1 << 12 if slow else 1 << 20)
            if slow:  # a request in between slows the reading down, and shows that the big message is in nobody's way
                assert server.api.status()["waiting_for"] == ["slow"]
        assert len(stream) > 4 * BIG.size
        assert server.api.status()["running"] == number
        head = stream.index(b"\x82\x7f")  # a final binary frame with a length of 64 bits
        assert int.from_bytes(stream[head + 2 : head + 10], "big") == 4 * BIG.size
        weights = np.frombuffer(bytes(stream[head + 10 : head + 10 + 4 * (BIG.size - 100)]), "<f4")
        assert np.array_equal(weights, np.arange(BIG.size - 100, dtype=np.float32))


def test_a_big_model_goes_both_ways_while_a_slow_client_takes_its_time(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path, "--min-clients", "2", layout=BIG) as server,
        Pi(server.url, "slow", socket=small_buffer(server.url)) as slow,
        Pi(server.url, "quick") as quick,
    ):
        number = server.api.start()["round"]
        for pi in (quick, slow):
            update = ClientUpdate.from_wire(pi.next("client_update"))
            assert np.array_equal(update.weights, np.arange(BIG.size, dtype=np.float32))
            answer = {**answer_of(BIG.size, number), "weights": (update.weights + 1).tobytes()}
            assert pi.call("training_complete", answer) == {"accepted": True}
        wait_for(lambda: server.api.status()["round"] == number, "the commit")
        model = np.frombuffer(server.request("GET", "/model", {"Accept": "application/octet-stream"})[1], "<f4")
        assert np.array_equal(model, np.arange(BIG.size, dtype=np.float32) + 1)


def test_a_broadcast_is_not_copied_for_each_receiver(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--min-clients", "20", layout=BIG) as server:
        process = psutil.Process(server.process.pid)
        fleet = [Pi(server.url, f"pi-{number}", socket=small_buffer(server.url)) for number in range(20)]
        before = process.memory_info().rss
        server.api.start()
        # Nobody reads: every message is under way at once. Twenty copies of it would be 320 MiB.
        wait_for(lambda: server.get("/metrics") and server.api.status()["running"], "the round")
        assert process.memory_info().rss - before < 6 * 4 * BIG.size
        for pi in fleet:
            pi.close()
        wait_for(lambda: server.api.status()["clients"] == 0, "writers to notice that nobody is there")


def answer_of(size: int, number: int) -> dict[str, Any]:
    return {
        "round": number,
        "layout": BIG.to_wire(),
        "encoding": "float32",
        "weights": bytes(4 * size),
        "samples": 1,
        "metrics": {},
        "timing": {"received": 1.0, "train_start": 1.0, "train_end": 1.0},
    }


@pytest.mark.load
def test_a_client_that_sends_for_longer_than_it_may_be_silent_stays_and_hears_from_the_server(tmp_path: Path) -> None:
    patience = 4.0
    with (
        ServerProcess(tmp_path, "--min-clients", "1", "--ping-interval", "2", "--ping-timeout", "2", layout=BIG) as server,
        Pi(server.url, "uploads") as pi,
    ):
        number = server.api.start()["round"]
        pi.next("client_update")
        connection, started = pi.connection, time.monotonic()

        def slowly(data: Any) -> int:
            slow = time.monotonic() - started < 2 * patience
            if slow:
                assert server.api.status()["waiting_for"] == ["uploads"]
            return int(connection.send(data[:4096] if slow else data))

        pi.socket._send = slowly  # type: ignore[method-assign]  # it answers no pings: what it says queues behind the large message
        assert pi.call("training_complete", answer_of(BIG.size, number)) == {"accepted": True}
        assert pi.noops >= 2


def test_large_messages_that_come_at_once_are_not_all_in_memory(tmp_path: Path) -> None:
    fleet = 24
    with ServerProcess(tmp_path, "--min-clients", str(fleet), layout=BIG) as server:
        process = psutil.Process(server.process.pid)
        clients = [Pi(server.url, f"pi-{number}", within=600.0) for number in range(fleet)]
        number = server.api.start()["round"]
        for pi in clients:
            pi.next("client_update")
        before, peak, gate = process.memory_info().rss, 0, threading.Barrier(fleet)

        def deliver(pi: Pi) -> Any:
            gate.wait(60)
            return pi.call("training_complete", answer_of(BIG.size, number))

        with ThreadPoolExecutor(fleet) as pool:
            answers = [pool.submit(deliver, pi) for pi in clients]
            while not all(answer.done() for answer in answers):
                peak = max(peak, process.memory_info().rss)
                assert server.api.healthy()
            assert [answer.result() for answer in answers] == [{"accepted": True}] * fleet
        wait_for(lambda: server.api.status()["round"] == number, "the commit")
        # all of them together would be 384 MiB, and more while they are put together
        assert peak - before < 250 << 20
        for pi in clients:
            pi.close()


@pytest.mark.load
def test_a_client_that_falls_silent_leaves_at_the_ping_timeout(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--ping-interval", "1", "--ping-timeout", "0.5") as server, Proxy(server.port) as cable:
        stays, cut = Pi(server.url, "stays"), Pi(f"http://127.0.0.1:{cable.port}", "cut")
        number = server.api.start()["round"]
        cut.next("client_update")
        cable.cut()
        silent = time.monotonic()

        def left() -> bool:
            stays.call("training_failed", {"round": 10**6, "reason": "still here"})  # and answers pings meanwhile
            return bool(server.api.status()["waiting_for"] == ["stays"])

        wait_for(left, "the silent one to leave")
        assert time.monotonic() - silent > 0.3, "not before its time-out"
        assert stays.train(1.0) == {"accepted": True}
        record = wait_for(lambda: (r := server.api.round(number))["state"] == "committed" and r, "the round to go on")
        assert record["clients"]["cut"]["reason"] == "disconnected"
        stays.close(), cut.close()


@pytest.mark.load
def test_a_silent_client_leaves_even_while_a_message_to_it_is_stuck(tmp_path: Path) -> None:
    flags = ("--min-clients", "1", "--ping-interval", "1", "--ping-timeout", "0.3")
    with ServerProcess(tmp_path, *flags, layout=BIG) as server, Pi(server.url, "stuck", socket=small_buffer(server.url)):
        number = server.api.start()["round"]
        record = wait_for(lambda: (r := server.api.round(number))["state"] != "running" and r, "it to be dropped")
        assert record["clients"]["stuck"]["reason"] == "disconnected"
        assert server.api.status()["clients"] == 0


def test_a_client_that_floods_is_read_no_faster_than_it_is_answered(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--min-clients", "1") as server, Pi(server.url, "good") as good:
        process = psutil.Process(server.process.pid)
        before = process.memory_info().rss
        with Pi(server.url, "flood") as flood:
            flood.connection.settimeout(0.5)
            reason = "x" * 60_000
            try:
                for _ in range(1500):
                    flood.emit("training_failed", {"round": 10**6, "reason": reason})
            except (Closed, TimeoutError):
                pass
            assert server.api.healthy()
        assert process.memory_info().rss - before < 64 << 20
        server.api.start()
        assert good.train() == {"accepted": True}
        assert len(server.log()) < 100_000


def certified(folder: Path) -> tuple[list[str], ssl.SSLContext]:
    """Make a certificate; return how a server is told of it, and what trusts it."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return ["--tls-cert", str(cert), "--tls-key", str(key)], context


def test_tls_is_spoken_with_a_certificate_and_only_tls(tmp_path: Path) -> None:
    flags, context = certified(tmp_path)
    with ServerProcess(tmp_path, *flags, "--min-clients", "1", layout=BIG) as server:
        assert server.url.startswith("https://127.0.0.1:")
        with Pi(server.url, "pi-1", sslopt={"context": context}) as pi:
            request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            with context.wrap_socket(socket.create_connection(("127.0.0.1", server.port)), server_hostname="localhost") as end:
                end.sendall(request)
                answer = b""
                while part := end.recv(4096):
                    answer += part
            number = json.loads(answer.partition(b"\r\n\r\n")[2])["round"]
            update = ClientUpdate.from_wire(pi.next("client_update"))
            assert update.round == number
            assert np.array_equal(update.weights, np.arange(BIG.size, dtype=np.float32))
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain, contextlib.suppress(ConnectionResetError):
                plain.sendall(request)
                assert not plain.recv(4096).startswith(b"HTTP")
            assert server.logged("127.0.0.1: a TLS handshake failed") == 1
            assert pi.call("training_failed", {"round": number, "reason": "no"}) == {"accepted": True}
        assert "Traceback" not in server.log()


def test_over_tls_too_it_hangs_up_on_the_quietest_stranger_and_in_the_end_on_everybody(tmp_path: Path) -> None:
    flags, context = certified(tmp_path)

    def connection() -> ssl.SSLSocket:
        return context.wrap_socket(small_buffer(server.url), server_hostname="127.0.0.1")

    server = ServerProcess(tmp_path, *flags, "--max-connections", "200", "--max-per-address", "40", layout=BIG)
    strangers = [connection() for _ in range(11)]  # one more than a quarter
    strangers[0].settimeout(20.0)  # sooner than it would be hung up on for its silence
    assert strangers[0].recv(1) == b""
    pis = [Pi(server.url, f"slow-{number}", socket=connection()) for number in range(8)]
    for end in strangers:
        end.close()
    with connection() as end:
        end.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := end.recv(4096):
            answer += part
    assert b'"slow-7"' in answer, "all are sent the model"
    assert server.stop() == 0
    for pi in pis:
        pi.close()
    assert not any(word in server.log() for word in ("Traceback", "did not end", "libev"))


@pytest.mark.parametrize("signal_number", [2, 15])
@pytest.mark.load
def test_a_signal_ends_it_cleanly_in_time_with_an_open_round_and_clients_of_every_kind(signal_number: int, tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, "--min-clients", "2", layout=BIG)
    polite, stuck = Pi(server.url, "polite"), Pi(server.url, "stuck", socket=small_buffer(server.url))
    idle = socket.create_connection(("127.0.0.1", server.port))
    number = server.api.start()["round"]
    polite.next("client_update")
    server.process.send_signal(signal_number)
    assert server.process.wait(30) == 0
    polite.wait_closed()
    stuck.close(), idle.close()
    assert server.stop() == 0
    assert "Traceback" not in server.log()
    with ServerProcess(tmp_path, layout=BIG) as again:
        assert again.api.status()["running"] == number, "it goes on"


def test_connections_without_a_handshake_cost_nobody_else_anything(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--min-clients", "1") as server:
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
        half = [Pi(server.url, connect=False) for _ in range(50)]
        with Pi(server.url, auth=hello("pi-1")) as pi:
            number = server.api.start()["round"]
            pi.train()
            wait_for(lambda: server.api.status()["round"] == number, "the commit")
        for connection in idle:
            connection.close()
        for silent in half:
            silent.close()
        assert server.api.healthy()


@pytest.mark.load
def test_who_does_not_shake_hands_in_time_is_hung_up_on(tmp_path: Path) -> None:
    script = tmp_path / "hasty.py"
    script.write_text(
        "import sys\nfrom bramble.cli import main\nimport bramble_server.transport.websocket\n"
        "bramble_server.transport.websocket.HELLO_S = 1\nmain(['server', *sys.argv[1:]])\n"
    )
    with ServerProcess(tmp_path, "--ping-interval", "1", script=script) as server, Pi(server.url, "quick") as quick:
        stranger = Pi(server.url, connect=False)
        stranger.wait_closed()  # and answers pings meanwhile, which keep nobody here
        assert server.logged("a connection from 127.0.0.1: no handshake within 1 s") == 1
        assert quick.call("training_complete", None)["accepted"] is False, "who has, stays"


def test_ipv6_is_spoken_and_its_address_written_in_brackets(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with ServerProcess(tmp_path, "--host", "::1") as server:
        assert server.url == f"http://[::1]:{server.port}"
        with Pi(server.url, "six") as pi:
            assert pi.call("training_complete", None)["accepted"] is False
