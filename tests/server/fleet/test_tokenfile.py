from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bramble import cli
from bramble_protocol import BrambleError
from bramble_server.fleet.tokenfile import add
from bramble_server.fleet.tokens import TokenError, Tokens, client_entry, hash_of, http_entry, new_token


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


def test_the_first_entry_makes_the_file_for_its_owner_alone(path: Path) -> None:
    token, hashed = new_token()
    add(path, client_entry("pi-1", hashed))
    assert Tokens(path).client("pi-1", token)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_further_entries_come_into_their_sections_and_what_people_wrote_stays(path: Path) -> None:
    path.write_text('# ours\n[http]  # who looks\n"a b" = "' + hash_of("x") + '"\n')
    os.chmod(path, 0o640)
    tokens = {}
    for name in ("pi-1", "2-pi", "pi-3"):
        tokens[name], hashed = new_token()
        add(path, client_entry(name, hashed))
    operator, hashed = new_token()
    add(path, http_entry("me and you", hashed, ["read"]))
    table = Tokens(path)
    assert all(table.client(name, token) for name, token in tokens.items())
    assert table.http(operator)
    assert table.http("x")
    assert path.read_text().startswith("# ours\n[http]  # who looks\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(os.listdir(path.parent)) == ["tokens.toml"]


def test_a_name_that_has_a_token_keeps_it(path: Path) -> None:
    token, hashed = new_token()
    add(path, client_entry("pi-1", hashed))
    with pytest.raises(TokenError, match="holds a token of pi-1 already; delete its line first"):
        add(path, client_entry("pi-1", new_token()[1]))
    assert Tokens(path).client("pi-1", token)


def test_a_file_that_is_none_is_left_alone(path: Path) -> None:
    path.write_text("[clients\n")
    with pytest.raises(TokenError, match="is not TOML"):
        add(path, client_entry("pi-1", new_token()[1]))
    assert path.read_text() == "[clients\n"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match=r"tokens.toml cannot be written \(No such file"):
        add(tmp_path / "none" / "tokens.toml", client_entry("pi-1", new_token()[1]))


def test_the_command_adds_and_says_only_the_secret(path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["token", "kitchen", "--add", str(path)])
    assert result.exit_code == 0
    assert Tokens(path).client("kitchen", result.stdout.strip())
    assert result.stderr == ""
    assert tomllib.loads(path.read_text())["clients"]["kitchen"].startswith("sha256:")


def test_as_json_it_says_secret_and_line_once() -> None:
    result = CliRunner().invoke(cli.app, ["token", "me", "--http", "--scope", "read", "--json"])
    found = json.loads(result.stdout)
    assert found["line"] == http_entry("me", hash_of(found["token"]), ["read"])
    assert (found["name"], found["file"], result.stderr) == ("me", None, "")


@pytest.mark.parametrize("name", ["Bad Name", "", "-x", "ü", 'a"b', "a\nb"])
def test_a_name_that_no_client_may_have_is_refused_before_anything_is_written(path: Path, name: str) -> None:
    result = CliRunner().invoke(cli.app, ["token", "--add", str(path), "--", name])
    assert isinstance(result.exception, BrambleError)
    assert not path.exists()
