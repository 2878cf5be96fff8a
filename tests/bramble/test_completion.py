"""What a shell offers behind ``bramble``: commands, options, and values that are installed here or that the server knows."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pexpect
import pytest

from bramble import cli, completion
from tests.bramble.test_fleet import StandIn, server
from tests.terminal import SHELLS

__all__ = ["server"]

BIN = Path(sys.executable).parent


def offered(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what fish is told, the plainest of the forms: a value a line, with what it means behind a tab."""
    monkeypatch.setenv("_BRAMBLE_COMPLETE", "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", f"bramble {line}")
    with pytest.raises(SystemExit):
        cli.main([])
    said = capsys.readouterr()
    assert said.err == ""
    return [each.partition("\t")[0] for each in said.out.splitlines() if each]


@pytest.fixture
def fleet(server: StandIn) -> StandIn:
    server.answers["/models"] = {"models": [{"round": 6}, {"round": 17}]}
    server.answers["/tasks"] = {"tasks": [{"task": "climate"}, {"task": "attic"}]}
    return server


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("round s", ["start", "stop", "show"]),
        ("sensors s", ["scan", "selftest"]),
        ("sensors read --se", ["--sensors", "--sensors-file"]),
        ("simulate --strategy fedav", ["fedavg", "fedavgm"]),
        ("server --codec delta", ["delta-float16", "delta-int8"]),
        ("server --selection u", ["uniform"]),
        ("server --discipline ", ["synchronous", "asynchronous"]),
        ("token pi-1 --scope ", ["metrics", "read", "operate", "admin"]),
        ("task show c", ["climate"]),
        ("--log-level w", ["warning"]),
    ],
)
def test_what_is_installed_here_is_offered(
    line: str, expected: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert offered(line, monkeypatch, capsys) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("client show {} ", ["pi-1", "pi-2"]),
        ("fleet forget {} pi-2", ["pi-2"]),
        ("round show {} ", ["8", "7", "6"]),
        ("model show {} 1", ["17"]),
        ("model pin {} ", ["17", "6"]),
        ("round start {} --task ", ["climate", "attic"]),
        ("task show {} a", ["attic"]),
    ],
)
def test_what_the_server_knows_that_the_line_names_is_offered(
    line: str, expected: list[str], fleet: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert offered(line.format(f"--server {fleet.url}"), monkeypatch, capsys) == expected


def test_a_server_that_is_not_there_offers_nothing_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert offered("client show --server http://127.0.0.1:9 ", monkeypatch, capsys) == []
    assert offered("client show --config /nowhere.toml ", monkeypatch, capsys) == []


@pytest.mark.parametrize(
    ("words", "at", "expected", "then"),
    [
        (["bramble", "client", "show", "--server", "http", ":", "//h", ":", "5000", ""], 9, "http://h:5000", 5),
        (["bramble", "client", "show", "--server", "=", "http", ":", "//h", "pi"], 8, "--server=http://h", 4),
        (["bramble", "round", "show", "7"], 2, "show", 2),
    ],
)
def test_an_address_that_bash_took_apart_is_one_word_again(words: list[str], at: int, expected: str, then: int) -> None:
    environ = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(at)}
    completion.join_words(environ)
    assert expected in environ["COMP_WORDS"].split("\n")
    assert environ["COMP_CWORD"] == str(then)
    assert environ["COMP_WORDS"].split("\n")[then] == words[at]


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize(("name", "begin"), [("bash", ""), ("zsh", "autoload -Uz compinit && compinit -D; ")])
def test_the_tab_key_completes_a_client_that_the_server_knows(name: str, begin: str, fleet: StandIn, tmp_path: Path) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed; apt-get install {name}")
    fleet.answers["/clients"]["clients"] = {"attic-17": fleet.answers["/clients"]["clients"]["pi-1"]}
    environ = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "dumb"}
    command, *flags = SHELLS[name]
    shell = pexpect.spawn(command, [*flags, "-i"], cwd=str(tmp_path), env=environ, encoding="utf-8", dimensions=(50, 200), timeout=60)
    try:
        shell.sendline(f'{begin}eval "$(_BRAMBLE_COMPLETE=source_{name} bramble)"; echo rea""dy')
        shell.expect("ready")
        shell.send(f"bramble client show --server {fleet.url} att\t")
        shell.expect("attic-17")
    finally:
        shell.close(force=True)
