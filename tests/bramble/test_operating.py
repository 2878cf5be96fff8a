"""``bramble reset`` and ``bramble client show``: asked first, and told by name."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from bramble import cli
from bramble.api import Server

CLIENT = {
    "connected": True, "version": "0.2.0", "protocol": 2, "since": 1000.0, "last_seen": 2000.0,
    "channels": [{"key": "temperature", "unit": "°C"}],
    "groups": {}, "health": {"sample_age": 3.0, "disk": "ok"}, "tasks": {"climate": None, "room": "does not measure co2"}, "remarks": [],
}  # fmt: skip


def bramble(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main([*arguments, "--server", "http://127.0.0.1:9"])
    return int(str(end.value.code))


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    found: list[str | None] = []

    def reset(self: Server, task: str | None = None) -> dict[str, Any]:
        found.append(task)
        return {"clients": 2}

    monkeypatch.setattr(Server, "reset", reset)
    return found


def test_nothing_is_forgotten_unless_somebody_says_so(
    forgotten: list[str | None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert bramble("reset") == 1
    assert "say --yes if that is meant" in capsys.readouterr().err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: "n" if "what was learnt of room" in question else "y")
    assert bramble("reset", "--task", "room") == 1
    assert forgotten == []
    assert bramble("reset") == 0
    assert bramble("reset", "--task", "room", "--yes") == 0
    assert forgotten == [None, "room"]
    assert "what was learnt of room forgotten; 2 clients were told" in capsys.readouterr().out


def test_one_client_is_shown_whole_and_another_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Server, "clients", lambda self, task=None: {"pi-attic": CLIENT})
    assert bramble("client", "show", "pi-attic") == 0
    lines = [line.split(None, 1) for line in capsys.readouterr().out.splitlines()]
    assert ["last_seen", "1970-01-01 00:33:20 UTC"] in lines
    assert ["sample_age", "3.0"] in lines
    assert lines[-2:] == [["climate", "takes part"], ["room", "does not measure co2"]]
    assert bramble("client", "show", "pi-attic", "--json") == 0
    assert json.loads(capsys.readouterr().out) == CLIENT
    assert bramble("client", "show", "pi-atic") == 1
    assert capsys.readouterr().err == "bramble: client show: pi-atic was never seen, did you mean pi-attic?\n"
