from __future__ import annotations

import socket
import ssl
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from bramble.api import Server, ServerDown, ServerRefused
from tests.inspector.standin import Standin


def test_a_token_goes_with_every_request_and_opens_the_server(standin: Standin) -> None:
    standin.token = "s3cret"
    with pytest.raises(ServerRefused, match=r"asks for a token; .* --token-file") as refused:
        Server(standin.url).status()
    assert refused.value.status == 401
    assert Server(standin.url, "s3cret").status()["task"] == "climate"


def test_starters_are_sent_as_posts(standin: Standin) -> None:
    standin.answers = {("POST", "/"): (202, {"round": 1, "clients": []}), ("POST", "/generate"): (202, {"cycle": 1, "clients": 2})}
    standin.answers["POST", "/reset"] = (200, {"clients": 2})
    client = Server(standin.url)
    client.start()
    client.generate(7)
    client.reset()
    assert standin.asked == [("POST", "/", {}), ("POST", "/generate", {"count": "7"}), ("POST", "/reset", {})]


def test_what_is_not_asked_for_is_not_sent(standin: Standin) -> None:
    client = Server(standin.url)
    client.readings()
    client.readings(since=1.5, limit=9, client="pi-1")
    client.rounds(3, 50)
    client.updates()
    assert [query for _, _, query in standin.asked] == [
        {},
        {"since": "1.5", "limit": "9", "client": "pi-1"},
        {"since": "3", "limit": "50", "clients": "1"},
        {"weights": "0"},
    ]


def test_a_times_exact_value_survives_the_query_string(standin: Standin) -> None:
    since = 1_672_531_199.9999998
    Server(standin.url).readings(since=since)
    assert float(standin.asked[-1][2]["since"]) == since


def test_a_refusal_carries_the_servers_own_sentence(standin: Standin) -> None:
    standin.answers["POST", "/"] = (409, {"error": "round 3 is running"})
    with pytest.raises(ServerRefused, match=r"^round 3 is running$"):
        Server(standin.url).start()


@pytest.mark.parametrize("body", [b"<html>a router's login page</html>", b"[1, 2]", b""])
def test_something_else_at_that_address_is_named_as_such(standin: Standin, body: bytes) -> None:
    standin.answers["GET", "/status"] = (200, body)
    with pytest.raises(ServerDown, match="is not a Bramble server; check --server"):
        Server(standin.url).status()


def test_a_redirect_is_not_followed_with_the_token(standin: Standin) -> None:
    standin.answers["GET", "/status"] = (302, {"error": "elsewhere"})
    with pytest.raises(ServerDown, match="status 302"):
        Server(standin.url, "s3cret").status()
    assert len(standin.asked) == 1


def test_an_error_without_a_sentence_still_reads_as_one(standin: Standin) -> None:
    standin.answers["GET", "/status"] = (500, {})
    with pytest.raises(ServerRefused, match="answered with status 500"):
        Server(standin.url).status()


def test_no_server_at_all_says_how_to_start_one(standin: Standin) -> None:
    standin.down()
    with pytest.raises(ServerDown, match=f"No server answers at {standin.url}; start one with `bramble server`"):
        Server(standin.url).status()


def test_a_server_of_another_protocol_is_told_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            with listener.accept()[0] as client:
                client.recv(4096)
                client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(ServerDown, match=r"does not speak HTTP; check the address and the port\."):
            Server(f"http://127.0.0.1:{listener.getsockname()[1]}").status()
        thread.join(30)


def test_a_server_that_keeps_silent_is_given_up(standin: Standin) -> None:
    standin.gate.clear()
    with pytest.raises(ServerDown, match=r"did not answer within 0\.2 s"):
        Server(standin.url, timeout=0.2).status()


def test_the_environments_proxies_and_netrc_are_left_out_of_it(standin: Standin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    standin.token = "s3cret"
    assert Server(standin.url, "s3cret").status()["task"] == "climate"


def test_a_certificate_of_an_unknown_authority_is_refused_and_a_known_one_taken(tmp_path: Path, cleanup: ExitStack) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    standin = Standin(context)
    cleanup.callback(standin.close)
    assert standin.url.startswith("https://")
    with pytest.raises(ServerDown, match=r"certificate of .* is not trusted; name its authority with --ca"):
        Server(standin.url).status()
    assert Server(standin.url, ca=tmp_path / "ca.pem").status()["task"] == "climate"


def test_a_connection_that_breaks_off_is_a_server_that_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Server(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.2)
        with pytest.raises(ServerDown):
            client.status()
