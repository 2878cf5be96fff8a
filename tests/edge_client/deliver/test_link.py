"""The link over real sockets, against a small Socket.IO server in this process."""

from __future__ import annotations

import datetime as dt
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme

from bramble_client.deliver.link import Link, LinkDown, NoAnswer
from tests.edge_client.socketserver import Server
from tests.network import Proxy
from tests.ports import kept
from tests.waiting import wait_for


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def build(**options: Any) -> Server:
        servers.append(Server(**options))
        return servers[-1]

    yield build
    for server in servers:
        server.stop()


@pytest.fixture
def connect() -> Iterator[Callable[..., Link]]:
    links: list[Link] = []

    def build(url: str, start: bool = True, **options: Any) -> Link:
        handshake = options.pop("handshake", {"client_id": "pi-1", "token": "s3cret"})
        link = Link(url, handshake, **{"longest_pause": 0.05, "timeout": 10.0, **options})
        links.append(link)
        if start:
            link.start()
        return link

    yield build
    for link in links:
        link.stop()


def up(link: Link) -> Link:
    assert link.wait_up(30), "the link did not come up"
    return link


def records(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "bramble_client.deliver.link"]


def test_it_shakes_hands_calls_and_returns_the_acknowledgement(serve: Callable[..., Server], connect: Callable[..., Link]) -> None:
    server = serve()
    server.answer = lambda event, data: {"event": event, "n": len(data["weights"])}
    link = up(connect(server.url))
    assert link.call("training_complete", {"round": 1, "weights": bytes(100_000)}, 30) == {"event": "training_complete", "n": 100_000}
    assert server.auth == [{"client_id": "pi-1", "token": "s3cret"}]
    assert server.heard == [("training_complete", {"round": 1, "weights": bytes(100_000)})]


def test_it_sends_no_origin_header_which_only_browsers_need(serve: Callable[..., Server], connect: Callable[..., Link]) -> None:
    server = serve()
    up(connect(server.url))
    assert server.origins == [None]


@pytest.mark.slow
def test_events_arrive_in_order_with_their_attachments_whole(serve: Callable[..., Server], connect: Callable[..., Link]) -> None:
    server = serve()
    link = connect(server.url, start=False)
    got: list[Any] = []
    link.on("client_update", got.append)
    link.on("reset", got.append)
    link.start()
    up(link)
    layout = [{"name": f"tensor-{index}", "shape": [index + 1]} for index in range(1000)]
    sent: list[Any] = []
    for number in range(20):
        sent += [{"number": number, "layout": layout, "weights": bytes([number]) * 50_000}, {"number": number}]
    for payload in sent:
        server.sio.emit("client_update" if "layout" in payload else "reset", payload)
    wait_for(lambda: len(got) == len(sent), "every event")
    assert got == sent


def test_an_event_that_arrives_before_the_handshake_is_through_is_not_lost(
    serve: Callable[..., Server], connect: Callable[..., Link]
) -> None:
    server = serve()
    server.greet = lambda sid: server.sio.emit("generate_data", {"cycle": 1}, to=sid)
    link = connect(server.url, start=False)
    got: list[Any] = []
    link.on("generate_data", got.append)
    link.start()
    up(link)
    assert link.call("data_update", got[0], 30) == {"accepted": True}
    assert server.heard == [("data_update", {"cycle": 1})]


def test_calls_of_many_threads_at_once_are_not_torn_apart(serve: Callable[..., Server], connect: Callable[..., Link]) -> None:
    server = serve()
    server.answer = lambda event, data: [data["n"], data["weights"][:1], len(data["weights"])]
    link = up(connect(server.url))
    answers: dict[int, Any] = {}

    def work(n: int) -> None:
        answers[n] = link.call("training_complete", {"n": n, "weights": bytes([n]) * 20_000}, 60)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == {n: [n, bytes([n]), 20_000] for n in range(12)}


def broken(data: Any) -> None:
    raise ZeroDivisionError


def test_a_failing_handler_is_logged_and_the_link_lives_on(
    serve: Callable[..., Server], connect: Callable[..., Link], caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    link = connect(server.url, start=False)
    got: list[Any] = []
    link.on("reset", broken)
    link.on("generate_data", got.append)
    link.start()
    up(link)
    server.sio.emit("reset", {})
    server.sio.emit("generate_data", {"cycle": 1})
    wait_for(lambda: got, "the event after")
    assert "the handler of reset failed" in caplog.text
    assert len(server.auth) == 1


def test_an_event_nobody_knows_is_ignored(serve: Callable[..., Server], connect: Callable[..., Link]) -> None:
    server = serve()
    link = up(connect(server.url))
    server.sio.emit("of_a_later_version", {"x": 1})
    assert link.call("training_failed", {}, 30) == {"accepted": True}


def test_a_call_without_a_connection_fails_at_once(connect: Callable[..., Link]) -> None:
    link = connect("http://127.0.0.1:9", start=False)
    assert not link.up
    with pytest.raises(LinkDown, match="no connection"):
        link.call("training_failed", {}, 30)


def test_a_call_that_is_not_answered_in_time_says_so(serve: Callable[..., Server], connect: Callable[..., Link]) -> None:
    server = serve()
    release = threading.Event()
    server.answer = lambda event, data: release.wait(30)
    link = up(connect(server.url))
    with pytest.raises(NoAnswer, match=r"did not answer training_failed within 0\.05 s"):
        link.call("training_failed", {}, 0.05)
    release.set()
    server.answer = lambda event, data: "now"
    assert link.call("training_failed", {}, 30) == "now"


def test_a_call_whose_connection_ends_fails_then_and_not_at_its_time_out(
    serve: Callable[..., Server], connect: Callable[..., Link]
) -> None:
    server = serve()
    release = threading.Event()
    server.answer = lambda event, data: release.wait(60)
    with Proxy(server.port) as proxy:
        link = up(connect(f"http://127.0.0.1:{proxy.port}"))
        failed: list[BaseException] = []

        def work() -> None:
            try:
                link.call("training_failed", {}, 3600)
            except LinkDown as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        wait_for(lambda: server.heard, "the call")
        proxy.drop()
        thread.join(30)
        release.set()
        link.stop()
    assert [str(error) for error in failed] == ["the connection to the server ended before it answered"]


def test_it_comes_back_each_time_the_server_throws_it_out_with_pauses_that_grow(
    serve: Callable[..., Server], connect: Callable[..., Link]
) -> None:
    server = serve()
    link = up(connect(server.url))
    for count in range(2, 6):
        server.sio.disconnect(server.sids[-1])
        wait_for(lambda count=count: len(server.auth) == count and link.up, "the next connection")
        assert link.call("training_failed", {}, 30) == {"accepted": True}
        assert link._unreachable.attempts == count - 1


def test_it_comes_back_when_the_connection_is_dropped_and_says_so_once(
    serve: Callable[..., Server], connect: Callable[..., Link], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = serve()
    with Proxy(server.port) as proxy:
        link = up(connect(f"http://127.0.0.1:{proxy.port}"))
        proxy.drop()
        wait_for(lambda: len(server.auth) == 2 and link.up, "the next connection")
        link.stop()
    lines = [line for line in records(caplog) if "lost" in line or "again" in line]
    assert len(lines) == 2
    assert lines[0].startswith("lost the connection")
    assert lines[1].endswith("again")


def test_an_unreachable_server_is_named_once_and_tried_until_it_is_there(
    serve: Callable[..., Server], connect: Callable[..., Link], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with socket.socket() as held:  # a port where nobody listens, and nobody else will
        held.bind(("127.0.0.1", kept()))
        port = held.getsockname()[1]
        link = connect(f"http://127.0.0.1:{port}")
        wait_for(lambda: link._unreachable.attempts >= 5, "five attempts")
    server = serve(port=port)
    up(link)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == [f"cannot reach the server at {server.url} (connection refused); trying again until it answers"]
    assert records(caplog)[-1] == f"connected to the server at {server.url} again"


@pytest.mark.load
def test_a_silent_cut_is_noticed_by_the_missing_pings_and_the_link_comes_back(
    serve: Callable[..., Server], connect: Callable[..., Link]
) -> None:
    server = serve(ping=1)
    with Proxy(server.port) as proxy:
        link = up(connect(f"http://127.0.0.1:{proxy.port}", timeout=1.0))
        proxy.cut()
        assert link.up  # nobody can know yet
        with pytest.raises((LinkDown, NoAnswer)):
            link.call("training_failed", {}, 60)
        wait_for(lambda: not link.up and proxy.accepted >= 3, "attempts that get no answer")
        proxy.mend()
        up(link)
        assert link.call("training_failed", {}, 30) == {"accepted": True}
        link.stop()
    assert len(server.heard) == 1


def test_a_server_of_the_release_before_is_spoken_to_in_its_version_and_one_of_today_in_its_own(
    serve: Callable[..., Server], connect: Callable[..., Link], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = serve()
    server.refuse = lambda auth: f"protocol: {auth['protocol']} is not spoken here, this server speaks 1" if auth["protocol"] != 1 else None
    older = {"protocol": 1, "client_id": "pi-1"}
    link = up(connect(server.url, handshake={**older, "protocol": 2}, older=older))
    assert (link.protocol, [auth["protocol"] for auth in server.auth]) == (1, [2, 1])
    server.refuse = lambda auth: None
    server.sio.disconnect(server.sids[0])
    wait_for(lambda: len(server.auth) == 3 and link.up, "the next connection")
    assert (link.protocol, server.auth[2]["protocol"]) == (2, 2)
    assert not [line for line in records(caplog) if "refuses" in line]
    assert f"the server at {server.url} speaks version 1 of the contract, and so does this client until it is upgraded" in records(caplog)


@pytest.mark.parametrize(
    "said", ["protocol: 2 is not spoken here, this server speaks 3 and 4; upgrade the client", "token: not the one of client pi-1"]
)
def test_one_that_offers_no_version_of_this_client_is_quoted(
    serve: Callable[..., Server], connect: Callable[..., Link], caplog: pytest.LogCaptureFixture, said: str
) -> None:
    server = serve()
    server.refuse = lambda auth: said
    older = {"protocol": 1, "client_id": "pi-1"}
    connect(server.url, handshake={**older, "protocol": 2}, older=older)
    wait_for(lambda: records(caplog), "a word about it")
    assert records(caplog)[0] == f"the server at {server.url} refuses this client: {said}"
    assert {auth["protocol"] for auth in server.auth} == {2}


def test_a_refusal_is_said_in_the_servers_words_once_per_reason_and_ends_when_it_is_lifted(
    serve: Callable[..., Server], connect: Callable[..., Link], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = serve()
    server.refuse = lambda auth: "the token is not known" if len(server.auth) <= 3 else "simulated data is not allowed here"
    link = connect(server.url, longest_pause=0.005)
    wait_for(lambda: len(server.auth) >= 6, "six attempts")
    assert not link.up
    server.refuse = lambda auth: None
    up(link)
    said = [record for record in caplog.records if record.levelno >= logging.WARNING]
    # the test's own HTTP server has something to say of a WebSocket that it refused
    assert [record.getMessage() for record in said if record.name.startswith("bramble")] == [
        f"the server at {server.url} refuses this client: the token is not known",
        f"the server at {server.url} refuses this client: simulated data is not allowed here",
    ]
    assert "s3cret" not in caplog.text


def test_a_web_server_that_is_no_bramble_is_named(
    serve: Callable[..., Server], connect: Callable[..., Link], caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    server.http.app = lambda environ, start: (start("404 NOT FOUND", []), [b""])[1]
    connect(server.url)
    wait_for(lambda: records(caplog), "a sentence")
    assert "HTTP 404; is this a Bramble server?" in records(caplog)[0]


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def test_tls_with_the_right_authority(serve: Callable[..., Server], connect: Callable[..., Link], authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = serve(tls=context)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    link = up(connect(server.url, tls=lambda: trusted))
    assert link.call("training_failed", {}, 30) == {"accepted": True}


def test_tls_with_an_unknown_authority_is_not_trusted_and_the_remedy_is_named(
    serve: Callable[..., Server], connect: Callable[..., Link], authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = serve(tls=context)
    link = connect(server.url, tls=ssl.create_default_context)
    wait_for(lambda: records(caplog), "a sentence")
    assert not link.up
    assert "its certificate is not trusted" in records(caplog)[0]
    assert "--ca" in records(caplog)[0]
    assert server.auth == []


DAY = dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("name", "starts", "ends", "said"),
    [
        ("127.0.0.1", -20, -10, "its certificate has expired by this machine's clock"),
        ("127.0.0.1", 10, 20, "its certificate is not valid yet by this machine's clock"),
        ("10.9.8.7", -10, 10, "its certificate is for another name"),
        ("pi.local", -10, 10, "its certificate is for another name"),
    ],
    ids=["expired", "of the future", "another address", "a name"],
)
def test_what_is_wrong_with_a_certificate_is_said_with_the_remedy(
    serve: Callable[..., Server], connect: Callable[..., Link], authority: trustme.CA, caplog: pytest.LogCaptureFixture,
    name: str, starts: int, ends: int, said: str,
) -> None:  # fmt: skip
    context, now = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), dt.datetime.now(dt.UTC)
    authority.issue_cert(name, not_before=now + starts * DAY, not_after=now + ends * DAY).configure_cert(context)
    server = serve(tls=context)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    link = connect(server.url, tls=lambda: trusted)
    wait_for(lambda: records(caplog), "a sentence")
    assert not link.up
    assert said in records(caplog)[0]
    assert server.auth == []


def test_stop_ends_a_connection_in_order(serve: Callable[..., Server], connect: Callable[..., Link]) -> None:
    server = serve()
    link = up(connect(server.url))
    link.stop()
    wait_for(lambda: not server.sids, "the server to see it go")
    wait_for(lambda: not link.alive, "the thread to end")
    assert len(server.auth) == 1


def test_stop_ends_a_link_that_never_came_up(connect: Callable[..., Link]) -> None:
    link = connect("http://127.0.0.1:9")
    link.stop()
    wait_for(lambda: not link.alive, "the thread to end")
