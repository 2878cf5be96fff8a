"""``bramble quickstart`` as a person runs it: what it makes, what it says, and that clients get in with it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest

from bramble.api import Server
from bramble.flags import SettingError, load
from bramble.quickstart.settings import QuickstartSettings
from tests import warm
from tests.edge_client.process import ClientProcess
from tests.ports import kept
from tests.waiting import wait_for


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"clients": "pi-1,Pi_2"}, "'Pi_2' is no client's name"),
        ({"clients": "pi-1,pi-1"}, "two clients have one name"),
        ({"clients": "pi-1"}, "averages two clients at least"),
        ({"address": "hub; reboot"}, "expected a name or a number alone"),
    ],
)
def test_what_does_not_work_out_is_refused_before_anything_is_made(given: dict[str, str], why: str) -> None:
    with pytest.raises(SettingError, match=re.escape(why)):
        load(QuickstartSettings, "quickstart", given, None)


def free_pair() -> int:
    """Return a port that is free with the one behind it."""
    while True:
        port = kept()
        if port + 1 < 65535:
            return port


def begun(folder: Path, port: int, *flags: str) -> tuple[subprocess.Popen[str], Path]:
    said = folder / "said"
    with said.open("w") as output:
        command = [
            sys.executable,
            "-m",
            "bramble",
            "quickstart",
            "--address",
            "127.0.0.1",
            "--port",
            str(port),
            "--dir",
            str(folder / "f"),
            *flags,
        ]
        return subprocess.Popen(command, stdout=output, stderr=output, text=True, env=warm.environment()), said


def ended(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGINT)
    return process.wait(30)


@pytest.mark.slow
def test_clients_join_with_what_it_makes_and_it_goes_on_where_it_was(tmp_path: Path) -> None:
    port, folder = free_pair(), tmp_path / "f"
    flags = ("--clients", "attic,cellar", "--sensors", "mock", "--mode", "evaluation", "--task", "climate", "--qr")
    process, said = begun(tmp_path, port, *flags)
    try:
        lines = wait_for(lambda: "Ctrl-C stops" in (text := said.read_text()) and re.findall(r"(?m)^ (printf .*)$", text), "the lines")
        assert [line.split()[-1] for line in lines] == ["attic)", "cellar)"]
        tokens = {name: (folder / f"clients/{name}.token").read_text() for name in ("attic", "cellar")}
        assert all(f"printf %s {token} " in line for token, line in zip(tokens.values(), lines, strict=True))
        with urllib.request.urlopen(f"http://127.0.0.1:{port + 1}/join.sh") as answer:
            script = answer.read().decode()
        assert not any(token in script for token in tokens.values()), "whoever fetches the script learns no secret"
        assert (folder / "ca.crt").read_text().strip() in script
        assert all(path.stat().st_mode & 0o077 == 0 for path in [folder, *folder.glob("*.key"), *folder.glob("clients/*")])
        files = ("--ca", str(folder / "ca.crt"), "--token-file", str(folder / "clients/attic.token"))
        with ClientProcess(f"https://127.0.0.1:{port}", tmp_path, *files, name="attic") as client:
            client.wait_connected()
            wait_for(lambda: "attic has joined" in said.read_text(), "it to be said")
        assert ended(process) == 0, said.read_text()
        before = {path: path.read_bytes() for path in folder.glob("*.*") if path.name != "tokens.toml"}
        process, said = begun(tmp_path, port, *flags[:1], "attic,cellar,roof", *flags[2:])
        wait_for(lambda: "Ctrl-C stops" in said.read_text(), "the lines")
        assert {path: path.read_bytes() for path in before} == before
        assert set(tomllib.loads((folder / "tokens.toml").read_text())["clients"]) == {"attic", "cellar", "roof"}
        operator = Server(f"https://127.0.0.1:{port}", (folder / "operator.token").read_text(), folder / "ca.crt")
        assert operator.whoami()["name"] == "operator"
        assert ended(process) == 0, said.read_text()
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    port = free_pair()
    with socket.create_server(("", port + 1)):
        process, said = begun(tmp_path, port, "--mode", "evaluation")
        assert process.wait(60) == 1
    assert f"--port: {port + 1}, the next one, cannot be used" in said.read_text()
