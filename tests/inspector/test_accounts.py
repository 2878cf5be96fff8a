from __future__ import annotations

import os
from pathlib import Path

import pytest

from bramble_inspector import accounts
from bramble_inspector.accounts import Accounts
from bramble_protocol import BrambleError
from tests import warm

SECRET = "correct horse battery"


@pytest.fixture(scope="module")
def line() -> str:
    return accounts.entry("anna", SECRET, "admin")


def test_a_line_lets_in_by_its_password_alone_and_holds_nothing_of_it(line: str, tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    path.write_text(f"{line}\n{line.replace('anna', 'ben').replace('admin', 'read')}\n")
    known = Accounts(path)
    anna, ben = known.verify("anna", SECRET), known.verify("ben", SECRET)
    assert anna is not None
    assert anna.scope == "admin"
    assert ben is not None
    assert ben.scope == "read"
    assert known.verify("anna", SECRET[:-1]) is known.verify("clara", SECRET) is known.verify("clara", "") is None
    assert SECRET not in path.read_text()
    assert line != accounts.entry("anna", SECRET, "admin"), "a salt"


def test_the_file_is_read_again_when_it_changes_and_a_typo_locks_nobody_out(
    line: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "users.toml"
    path.write_text(line)
    known = Accounts(path)
    path.write_text(line + "\nben = 3\n")
    assert known.get("anna") is not None
    assert known.get("anna") is not None
    assert caplog.text.count("what was read before stays in force") == 1
    os.replace(_written(tmp_path / "other", ""), path)
    assert known.get("anna") is None


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("anna = ", "is not TOML"),
        ("anna = 'secret'", "anna: expected { hash, scope }"),
        ("anna = { hash = 'secret', scope = 'read' }", "anna: hash: it is none that"),
        ("anna = { hash = '{line}', scope = 'metrics' }", "anna: scope: expected one of read, operate, admin"),
    ],
)
def test_a_file_that_is_none_is_named_with_the_entry(content: str | None, said: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    if content is not None:
        path.write_text(content.replace("{line}", line.split('"')[1]))
    with pytest.raises(BrambleError) as error:
        Accounts(path)
    assert str(error.value).startswith(f"--users: {path}")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("name", "password", "scope", "said"),
    [
        ("", SECRET, "read", "not a name"),
        ("anna = 1 #", SECRET, "read", "not a name"),
        ("anna", "short", "read", "5 characters; take 10 to 1000"),
        ("anna", SECRET, "metrics", "--scope: 'metrics' is not one of read, operate, admin"),
    ],
)
def test_what_can_be_no_line_is_refused(name: str, password: str, scope: str, said: str) -> None:
    with pytest.raises(BrambleError, match=said):
        accounts.entry(name, password, scope)


def test_the_command_makes_a_line_of_a_password_in_a_pipe(tmp_path: Path) -> None:
    done = warm.run("bramble", "inspector", "password", "anna", "--scope", "read", said=f"{SECRET}\n")
    assert (done.returncode, done.stderr) == (0, "")
    path = _written(tmp_path / "users.toml", done.stdout)
    assert accounts.read(path)["anna"].scope == "read"
    assert Accounts(path).verify("anna", SECRET) is not None
