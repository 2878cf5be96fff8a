"""Who changed what, over a real socket: on record whatever came of it, through restarts and resets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bramble.api import Server, ServerRefused
from bramble.settings import AuditSettings
from bramble_server.fleet.guesses import BURST, PAUSE_S
from bramble_server.fleet.tokens import hash_of, http_entry
from tests.server.pi import Pi, Refused, hello
from tests.server.process import ROOT, ServerProcess

NAMES = ("read", "operate", "admin")


def served(folder: Path, *flags: str) -> ServerProcess:
    entries = [http_entry(f"{name}-token", hash_of(name), [name]).replace("[http]\n", "") for name in NAMES]
    (folder / "tokens.toml").write_text("\n".join(["[clients]", f'pi-1 = "{hash_of("pi")}"', "[http]", *entries]))
    return ServerProcess(folder, "--tokens", str(folder / "tokens.toml"), *flags)


def asked(server: ServerProcess, method: str, path: str, token: str) -> int:
    return server.request(method, path, {"Authorization": f"Bearer {token}"})[0]


def reached(server: ServerProcess, folder: Path) -> Server:
    token = folder / "admin.token"
    token.write_text("admin")
    token.chmod(0o600)
    return Server.of(AuditSettings(server=server.url, token_file=token))


def test_what_changes_something_is_on_record_with_its_author_through_a_reset_and_a_restart(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        assert asked(server, "POST", "/", "operate") == 503, "nobody is connected"
        assert asked(server, "POST", "/reset", "operate") == 403
        assert asked(server, "GET", "/reset", "admin") == 200
        assert asked(server, "POST", "/model/rollback?round=7", "admin") == 404
        assert asked(server, "POST", "/reset", "who am I") == 401
        with pytest.raises(ServerRefused):
            reached(server, tmp_path).on_behalf_of("änna\n").rollback(8)
        for path in ("/status", "/clients", "/metrics"):
            assert asked(server, "GET", path, "read") == 200
        server.kill()
    with served(tmp_path) as server:
        changes = reached(server, tmp_path).audit()["changes"]
        assert [(each["who"], each["what"], each["status"]) for each in changes] == [
            ("admin-token for änna?", "POST /model/rollback?round=8", 404),
            ("admin-token", "POST /model/rollback?round=7", 404),
            ("admin-token", "GET /reset", 200),
            ("operate-token", "POST /reset", 403),
            ("operate-token", "POST /", 503),
        ], "strangers and those who only read are not"
        assert {each["from"] for each in changes} == {"127.0.0.1"}
        assert [each["n"] for each in changes] == [5, 4, 3, 2, 1]
        assert asked(server, "GET", "/audit", "operate") == 403
        assert reached(server, tmp_path).audit(2)["changes"] == changes[:2]
    kept = (tmp_path / "data" / "audit.jsonl").read_text()
    assert not any(secret in kept for secret in ('"admin"', '"operate"', "who am I"))


def test_a_line_that_was_taken_out_shows_and_the_command_ends_with_code_4(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        for _ in range(4):
            asked(server, "POST", "/reset", "admin")
        path = tmp_path / "data" / "audit.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[:1] + lines[2:]))
        told = reached(server, tmp_path).audit()
        assert told["broken"] == "line 2 of audit.jsonl does not follow the one before: 1 are missing before it"
        command = [sys.executable, "-m", "bramble", "fleet", "audit", "--server", server.url, "--token-file", str(tmp_path / "admin.token")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 4
        assert "admin-token from 127.0.0.1: POST /reset: 200" in done.stdout
        assert "The chain is broken: line 2" in done.stdout


def test_without_tokens_it_says_from_where(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        with pytest.raises(ServerRefused):
            server.api.start()
        [change] = server.api.audit()["changes"]
        assert (change["who"], change["from"], change["what"]) == (None, "127.0.0.1", "POST /")


def test_who_guesses_at_tokens_waits_by_http_and_by_socket_which_is_on_record_once_and_nobody_else_does(tmp_path: Path) -> None:
    guesser, other = ({"X-Forwarded-For": address} for address in ("10.0.0.9", "10.0.0.8"))
    with served(tmp_path, "--proxies", "1") as server:
        Pi(server.url, auth=hello("pi-1", token="pi"), header=guesser).close()
        for number in range(BURST):
            assert server.request("GET", "/status", {**guesser, "Authorization": f"Bearer guess {number}"})[0] == 401
        for token in ("one more", "admin"):
            status, content, headers = server.request("GET", "/status", {**guesser, "Authorization": f"Bearer {token}"})
            assert (status, content["error"].split(",")[0]) == (429, "token: too many wrong ones came")
            assert 0 < int(headers["Retry-After"]) <= PAUSE_S
        for shown in ({}, {"Authorization": "Bearer guess 7"}):
            assert server.request("GET", "/status", {**guesser, **shown})[0] == 401, "that is no guess"
        with pytest.raises(Refused, match="too many wrong ones came"):
            Pi(server.url, auth=hello("pi-1", token="a guess"), header=guesser)
        for header in (other, guesser):  # from elsewhere, and where it was right before
            Pi(server.url, auth=hello("pi-1", token="pi"), header=header).close()
        graph = server.request("GET", "/status", {**other, "Authorization": "Bearer read"})[1]["graph"]
        assert server.request("GET", f"/graphs/{graph}.tflite", {**guesser, "Authorization": "Bearer pi"})[0] == 200
        changes = server.request("GET", "/audit", {**other, "Authorization": "Bearer admin"})[1]["changes"]
        assert [(each["who"], each["from"], each["status"]) for each in changes] == [(None, "10.0.0.9", 429)]
        assert changes[0]["what"] == f"{BURST} wrong tokens came from there: others are looked at one every {PAUSE_S:g} s"
        assert server.logged("tokens from 10.0.0.9") == 1
