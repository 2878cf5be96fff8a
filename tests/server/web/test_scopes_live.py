"""What each HTTP token opens, over a real socket."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from bramble_server.fleet.tokens import hash_of, http_entry
from tests.server.pi import Pi, hello
from tests.server.process import ServerProcess
from tests.waiting import wait_for

NAMES = ("metrics", "read", "operate", "admin")
PATHS = {
    **dict.fromkeys((("GET", "/metrics"),), "metrics"),
    **dict.fromkeys(
        [("GET", path) for path in ("/status", "/clients", "/rounds", "/model", "/model/clients", "/data/all", "/tasks")], "read"
    ),
    **dict.fromkeys(
        [("GET", "/generate?x=1"), ("POST", "/generate?x=1"), ("GET", "/?x=1"), ("POST", "/?x=1"), ("POST", "/stop?x=1")], "operate"
    ),
    **dict.fromkeys(
        [("GET", "/reset?x=1"), ("POST", "/reset?x=1"), ("HEAD", "/reset"), ("POST", "/tasks?x=1"), ("GET", "/audit")], "admin"
    ),
}
"""What asks for what. A parameter that is not known shows that the door was passed, and nothing happens."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("scopes")
    entries = [http_entry(name, hash_of(name), [name]).replace("[http]\n", "") for name in NAMES]
    lines = ["[clients]", f'pi-1 = "{hash_of("pi")}"', "[http]", *entries, f'old = "{hash_of("old")}"']
    (folder / "tokens.toml").write_text("\n".join(lines))
    with ServerProcess(folder, "--min-clients", "1", "--tokens", str(folder / "tokens.toml")) as process:
        yield process


@pytest.mark.parametrize("shown", NAMES)
def test_a_token_opens_its_scope_and_what_is_below_and_nothing_else(shown: str, server: ServerProcess) -> None:
    for (method, path), needed in PATHS.items():
        status, content, _ = server.request(method, path, {"Authorization": f"Bearer {shown}"})
        if NAMES.index(shown) >= NAMES.index(needed):
            assert status in (200, 202, 400, 405), (path, status, content)
        else:
            assert status == 403, (path, status, content)
            if content:
                assert content["error"] == f"Authorization: the token of {shown} does not open this; it takes the scope {needed}"


def test_whoever_asks_is_told_what_the_own_token_opens(server: ServerProcess) -> None:
    for place, name in enumerate(NAMES):
        status, content, _ = server.request("GET", "/whoami", {"Authorization": f"Bearer {name}"})
        assert (status, content) == (200, {"name": name, "opens": list(NAMES[: place + 1])})
    assert server.request("GET", "/whoami", {"Authorization": "Bearer other"})[0] == 401


def test_a_scrape_token_reads_the_metrics_alone(server: ServerProcess) -> None:
    scrape = {"Authorization": "Bearer metrics"}
    graph = server.request("GET", "/status", {"Authorization": "Bearer read"})[1]["graph"]
    for path in ("/", "/nothing", "/rounds/1", f"/graphs/{graph}.tflite", "/reset", "/socket.io"):
        assert server.request("GET", path, scrape)[0] in (400, 403), path
        assert server.request("GET", path, {**scrape, "Accept": "text/html"})[0] in (400, 403), path
    assert server.request("GET", "/metrics", scrape)[0] == 200


def test_an_entry_of_release_0_1_still_opens_everything_and_the_log_says_so_once(server: ServerProcess) -> None:
    for method, path in PATHS:
        assert server.request(method, path, {"Authorization": "Bearer old"})[0] in (200, 202, 400, 405), path
    assert server.logged("old without scopes may do everything") == 1


def test_a_browser_shows_a_token_as_the_password_and_is_asked_for_it(server: ServerProcess) -> None:
    page = {"Accept": "text/html"}
    status, content, headers = server.request("GET", "/", page)
    assert (status, headers["WWW-Authenticate"]) == (401, 'Basic realm="Bramble", charset="UTF-8"')
    assert "the password, of any user name" in content["error"]
    for password, expected in (("admin", 200), ("read", 200), ("metrics", 403), ("wrong", 401), ("pi", 401)):
        basic = {"Authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()}
        status, content, _ = server.request("GET", "/reset", {**page, **basic})
        assert status == expected, content
        if status == 200:
            assert (b"<button>" in content) == (password == "admin"), "no button for what the token does not open"
    for broken in ("Basic", "Basic ====", "Basic " + base64.b64encode(b"admin").decode(), "Basic \xff"):
        assert server.request("GET", "/", {**page, "Authorization": broken})[0] == 401


def test_a_reset_takes_admin_and_a_round_takes_operate(server: ServerProcess) -> None:
    with Pi(server.url, auth=hello("pi-1", token="pi")) as pi:
        status, content, _ = server.request("GET", "/", {"Authorization": "Bearer operate"})
        assert status == 202
        pi.train()
        read = {"Authorization": "Bearer read"}
        wait_for(lambda: server.request("GET", "/status", read)[1]["round"] == content["round"], "the commit")
        assert server.request("POST", "/reset", {"Authorization": "Bearer operate"})[0] == 403
        assert server.request("GET", "/status", read)[1]["round"] == content["round"]
        assert server.request("GET", "/reset", {"Authorization": "Bearer admin"})[0] == 200
        assert server.request("GET", "/status", read)[1]["round"] == 0
