"""A liar in a running fleet: asked no more, seen by everybody who looks, through a restart, until an operator lets it back."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bramble import cli
from bramble.api import ServerRefused
from tests.server.pi import Pi
from tests.server.process import ServerProcess

FLAGS = ("--quarantine", "2", "--min-clients", "3")
FLEET = ("liar", "pi-1", "pi-2", "pi-3")


def fleet(server: ServerProcess, stack: ExitStack) -> dict[str, Pi]:
    return {name: stack.enter_context(Pi(server.url, name)) for name in FLEET}


def played(server: ServerProcess, pis: dict[str, Pi]) -> list[str]:
    """Have whoever is asked answer, three of them upwards, and one down; return who was."""
    opened, way = server.api.start(), {"liar": -3.0, "pi-1": 1.0, "pi-2": 2.0, "pi-3": 3.0}
    for name in opened["clients"]:
        assert pis[name].train(_now(server) + way[name])["accepted"]
    assert server.ended(opened["round"])["state"] == "committed"
    return list(opened["clients"])


def _now(server: ServerProcess) -> float:
    return max(float(row) for tensor in server.api.model()["weights"].values() for row in _flat(tensor))


def _flat(value: Any) -> list[float]:
    return [each for item in value for each in _flat(item)] if isinstance(value, list) else [value]


def bramble(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main([*map(str, arguments)])
    return int(end.value.code or 0)


def test_a_liar_is_asked_no_more_until_it_is_let_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ServerProcess(tmp_path, *FLAGS) as server, ExitStack() as stack:
        pis = fleet(server, stack)
        assert [played(server, pis) for _ in range(3)] == [[*FLEET]] * 3  # in the first all go the same way, to weights that are equal
        assert played(server, pis) == [*FLEET[1:]]
        server.logged("liar is asked no more: it offended in 2 rounds more than not")
        why = server.api.client("liar")["wrong"][0]
        assert why["kind"] == "quarantined"
        assert "went against the others' (cosine -" in why["text"]
        assert "% of that round's way back" in why["text"]
        assert "is in quarantine" in server.api.updates()["liar"]["not_asked"]
        server.kill()
    with ServerProcess(tmp_path, *FLAGS) as server, ExitStack() as stack:
        pis = fleet(server, stack)
        assert played(server, pis) == [*FLEET[1:]]
        server.api.reset()
        assert played(server, pis) == [*FLEET[1:]]
        capfd.readouterr()
        bramble("fleet", "status", "--server", server.url)
        assert "liar" in (shown := capfd.readouterr().out)
        assert "is asked no more: it offended in 2 rounds" in " ".join(shown.split())
        assert bramble("client", "release", "liar", "--server", server.url, "--json") == 0
        assert json.loads(capfd.readouterr().out) == {"released": "liar", "task": "small"}
        assert played(server, pis) == [*FLEET]
        with pytest.raises(ServerRefused, match="liar is not in quarantine for task small; nobody is") as refused:
            server.api.release("liar")
        assert refused.value.status == 404
        assert ("POST /clients/liar/release", 200) in [(each["what"], each["status"]) for each in server.api.audit()["changes"]]
