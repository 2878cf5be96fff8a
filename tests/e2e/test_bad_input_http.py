"""HTTP that is not in order: a JSON sentence with the right status, and nothing starts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

from bramble_server.fleet.tokens import hash_of
from tests.server.pi import Pi, hello
from tests.server.process import ServerProcess
from tests.waiting import wait_for

STARTERS = ("/", "/reset", "/generate")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server"), "--min-clients", "1", "--allowed-hosts", "fleet.example, pis.example") as process:
        yield process


@pytest.fixture
def pi(server: ServerProcess) -> Iterator[Pi]:
    """A client, so that a round would start if it were not refused. Its coming and its going are in the revision that a test compares."""
    before = server.api.status()["revision"]
    with Pi(server.url) as client:
        wait_for(lambda: server.api.status()["revision"] > before, "it to join")
        yield client
    server.empty()


def error(answer: tuple[int, Any, Any]) -> tuple[int, str]:
    status, content, headers = answer
    assert headers["Content-Type"] == "application/json"
    assert list(content) == ["error"]
    assert "\n" not in content["error"]
    return status, content["error"]


QUERIES = {
    "/data/all?since=yesterday": "since: expected a time in seconds since 1970",
    "/data/all?since=nan": "since: expected a time in seconds since 1970",
    "/data/all?since=inf": "since: expected a time in seconds since 1970",
    "/data/all?since=1_000": "since: expected a time in seconds since 1970",
    "/data/all?since=": "since: expected a time in seconds since 1970",
    "/data/all?limit=0": "limit: expected an integer from 1 to 100000",
    "/data/all?limit=ten": "limit: expected an integer from 1 to 100000",
    "/data/all?limit=1e3": "limit: expected an integer from 1 to 100000",
    "/data/all?limit=%D9%A1": "limit: expected an integer from 1 to 100000",
    "/data/all?limit=" + "9" * 5000: "limit: expected an integer from 1 to 100000",
    "/data/all?limit=1&limit=2": "limit: given 2 times",
    "/data/all?client=../etc": "client: expected a client id such as pi-kitchen",
    "/data/all?client=a'--": "client: expected a client id such as pi-kitchen",
    "/data/all?limti=1": "limti: not a parameter of /data/all; it knows client, format, limit, order, points, since",
    "/rounds?since=-1": "since: expected an integer from 0",
    "/rounds?limit=1001": "limit: expected an integer from 1 to 1000",
    "/rounds?clients=yes": "clients: expected 0 or 1",
    "/model/clients?weights=2": "weights: expected 0 or 1",
    "/generate?count=0": "count: expected an integer from 1 to 10000",
    "/generate?count=10001": "count: expected an integer from 1 to 10000",
    "/generate?count=a": "count: expected an integer from 1 to 10000",
    "/?now=1": "now: not a parameter of /; it knows task",
    "/reset?really=1": "really: not a parameter of /reset; it knows task",
    "/status?x=%00%ff": "x: not a parameter of /status; it knows task",
}


@pytest.mark.parametrize("path", QUERIES)
def test_a_malformed_query_is_refused_by_name_and_starts_nothing(path: str, server: ServerProcess, pi: Pi) -> None:
    before = server.api.status()
    status, sentence = error(server.request("GET", path))
    assert status == 400
    assert QUERIES[path] in sentence
    assert server.api.status() == before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/rounds/999", 404),
        ("GET", "/rounds/-1", 404),
        ("GET", "/rounds/one", 404),
        ("GET", "/rounds/" + "9" * 400, 404),
        ("GET", "/graphs/" + "0" * 64 + ".tflite", 404),
        ("GET", "/graphs/..%2f..%2fetc%2fpasswd.tflite", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/%ff%fe%00", 404),
        ("DELETE", "/", 405),
        ("PUT", "/reset", 405),
        ("POST", "/status", 405),
        ("POST", "/model", 405),
        ("BREW", "/", 405),
    ],
)
def test_what_is_not_there_or_not_taken_is_said_in_json(method: str, path: str, status: int, server: ServerProcess, pi: Pi) -> None:
    assert error(server.request(method, path))[0] == status
    assert server.api.status()["running"] is None


@pytest.mark.parametrize("path", STARTERS)
@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Sec-Purpose": "prefetch"}, "Sec-Purpose"),
        ({"Sec-Purpose": "prefetch;prerender"}, "Sec-Purpose"),
        ({"Purpose": "prefetch"}, "Sec-Purpose"),
        ({"X-Moz": "prefetch"}, "Sec-Purpose"),
        ({"Sec-Fetch-Site": "cross-site"}, "Sec-Fetch-Site"),
        ({"Origin": "https://evil.example"}, "Origin"),
        ({"Origin": "null"}, "Origin"),
        ({"Origin": "http://["}, "Origin"),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"}, "Sec-Fetch-Site"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_web_page_starts_anything(method: str, path: str, headers: dict[str, str], why: str, server: ServerProcess, pi: Pi) -> None:
    before = server.api.status()
    status, sentence = error(server.request(method, path, headers))
    assert (status, sentence.partition(":")[0]) == (403, why)
    assert server.api.status() == before


@pytest.mark.parametrize("path", STARTERS)
@pytest.mark.parametrize("headers", [{"Accept": "image/webp,*/*"}, {"User-Agent": "Mozilla/5.0"}, {"Accept-Language": "de"}], ids=str)
def test_what_a_browser_fetches_for_a_page_starts_nothing(path: str, headers: dict[str, str], server: ServerProcess, pi: Pi) -> None:
    before = server.api.status()
    status, sentence = error(server.request("GET", path, headers))
    assert (status, sentence.partition(":")[0]) == (403, next(iter(headers)))
    assert "send a POST" in sentence
    assert server.api.status() == before


@pytest.mark.parametrize("path", STARTERS)
@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "cross-site"}], ids=str)
def test_a_browser_that_goes_there_gets_a_page_with_a_button(path: str, headers: dict[str, str], server: ServerProcess, pi: Pi) -> None:
    before = server.api.status()
    status, page, answered = server.request("GET", path, {"Accept": "text/html,*/*;q=0.8", **headers})
    assert (status, answered["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b'<form method="post"' in page
    assert (b"There is no way back" in page) == (path == "/reset")
    assert (answered["X-Frame-Options"], answered["Referrer-Policy"]) == ("DENY", "same-origin")
    for rule in ("default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"):
        assert rule in answered["Content-Security-Policy"]
    assert server.api.status() == before


def test_a_page_of_another_origin_opens_no_socket(server: ServerProcess) -> None:
    for origin in ("http://evil.example", f"http://127.0.0.1:{server.port + 1}", "null", "http://["):
        with pytest.raises(websocket.WebSocketBadStatusException) as refusal:
            Pi(server.url, "pi-evil", origin=origin)
        assert refusal.value.status_code == 403
    assert server.api.status()["clients"] == 0
    with Pi(server.url, "pi-own", origin=server.url):
        assert server.api.status()["clients"] == 1
    server.empty()


@pytest.mark.parametrize("path", STARTERS)
def test_head_starts_nothing(path: str, server: ServerProcess, pi: Pi) -> None:
    before = server.api.status()
    status, _, headers = server.request("HEAD", path)
    assert (status, headers["Allow"]) == (405, "GET, POST")
    assert server.api.status() == before
    assert server.request("OPTIONS", path)[0] == 200
    assert server.api.status() == before


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:5000", "127.0.0.1.evil.example", "localhost.evil", "", "[::1", "a b", "é.example"]
)
@pytest.mark.parametrize("path", ["/", "/status", "/model", "/healthz", "/socket.io/?EIO=4&transport=websocket"])
def test_a_name_that_is_not_this_servers_is_refused_everywhere(host: str, path: str, server: ServerProcess, pi: Pi) -> None:
    before = server.api.status()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 403")
    assert b'{"error": "Host: not a name of this server; if it should be, add it to --allowed-hosts"}' in answer
    assert server.api.status() == before


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:5000", "192.168.1.7", "raspberrypi.local", "pis.example", "fleet.example:80", "@own"],
)
def test_names_of_this_server_are_known(host: str, server: ServerProcess) -> None:
    status, _, _ = server.request("GET", "/status", {"Host": socket.gethostname() if host == "@own" else host})
    assert status == 200


def test_answers_are_kept_by_nobody_and_read_by_no_other_site(server: ServerProcess) -> None:
    for path in ("/status", "/clients", "/data/all", "/nothing", "/model/clients"):
        _, _, headers = server.request("GET", path)
        assert headers["Cache-Control"] == "no-store"
        assert (headers["X-Content-Type-Options"], headers["Cross-Origin-Resource-Policy"]) == ("nosniff", "same-origin")


def test_a_huge_body_is_refused(server: ServerProcess, pi: Pi) -> None:
    status, sentence = error(server.request("POST", "/", body=b"x" * (1 << 17)))
    assert (status, sentence) == (413, "the body is larger than 65536 bytes, and nothing here reads one")
    assert server.api.status()["running"] is None


def test_with_tokens_on_every_path_but_healthz_needs_one(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(f'[clients]\npi-1 = "{hash_of("mine")}"\n[http]\ninspector = "{hash_of("secret")}"\n')
    with ServerProcess(tmp_path, "--tokens", str(tokens), "--min-clients", "1") as server:
        paths = [
            "/",
            "/reset",
            "/generate",
            "/data/all",
            "/model",
            "/model/clients",
            "/status",
            "/clients",
            "/rounds",
            "/rounds/1",
            "/metrics",
        ]
        assert server.api.healthy()
        good = {"Authorization": "Bearer secret"}
        graph = server.request("GET", "/status", good)[1]["graph"]
        for path in (*paths, f"/graphs/{graph}.tflite", "/nothing"):
            for value in (None, "", "Bearer", "Bearer wrong", "Basic secret", "secret", f"Bearer {hash_of('secret')}", "Bearer secret2"):
                status, sentence = error(server.request("GET", path, {} if value is None else {"Authorization": value}))
                assert (status, sentence) == (401, "Authorization: expected 'Bearer' and a token that this server knows"), (path, value)
        assert server.request("GET", "/model")[2]["WWW-Authenticate"] == "Bearer"
        for path in paths:
            assert server.request("GET", path, good)[0] != 401, path
        client = {"Authorization": "bearer mine"}
        assert server.request("GET", f"/graphs/{graph}.tflite", client)[0] == 200, "a client fetches its graph with its own token"
        for path in paths:
            assert server.request("GET", path, client)[0] == 401, path
        with Pi(server.url, auth=hello("pi-1", token="mine")):
            assert server.request("POST", "/", good)[0] == 202
        assert "secret" not in server.log().replace("secrets", "")
        assert "mine" not in server.log()
