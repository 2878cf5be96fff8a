"""``bramble experiment`` over a running fleet: a grid that real clients learn side by side, and that is gone on with after a failure."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bramble import experimenting
from bramble.api import ServerError
from bramble.settings import ExperimentSettings
from bramble.side_by_side import SideBySide
from bramble_protocol.errors import BrambleError
from tests.edge_client.process import CLIMATE, ClientProcess
from tests.server.process import ServerProcess

FILE = """title = "Two strategies here"

[fleet]
rounds = 2
generate = 30
deadline = "2m"

[grid]
strategy = ["fedavg", { name = "fedavgm", momentum = 0.5 }]
seed = [1, 2]
"""


def test_a_grid_is_learnt_side_by_side_and_goes_on_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "two.toml"
    path.write_text(FILE)
    with ServerProcess(tmp_path, "--task", str(CLIMATE), "--min-updates", "2") as server:
        clients = [ClientProcess(server.url, tmp_path, name=name).wait_connected() for name in ("pi-1", "pi-2")]
        try:
            server.measure(100)
            settings = ExperimentSettings(file=str(path), server=server.url)
            with monkeypatch.context() as broken:
                broken.setattr(SideBySide, "_write", _fails)
                with pytest.raises(ServerError, match="gone"):
                    experimenting.played(settings, Console(quiet=True))
            assert len(server.api.tasks()) == 5, "what was begun is there still"
            rounds = server.api.status()["round"]
            assert experimenting.run(settings) == 0
            assert server.api.status()["round"] == rounds, "no round was played twice"
            assert [task["task"] for task in server.api.tasks()] == ["climate"]
            shown = [server.api.round(number) for number in range(1, 9)]
            assert [record["strategy"]["name"] for record in shown] == ["fedavg", "fedavg", "fedavgm", "fedavgm"] * 2
            assert [record["seed"] for record in shown] == [1, 2] * 4
        finally:
            for client in clients:
                client.stop()
    rows = _cells(tmp_path / "two")
    assert [(row["cell"], row["seed"]) for row in rows] == [(c, s) for c in ("fedavg", "fedavgm (momentum=0.5)") for s in ("1", "2")]
    assert len({row["baseline"] for row in rows}) == 1, "all were tried on the same readings"
    assert len({row["digest"] for row in rows}) == 4
    page = (tmp_path / "two" / "report.md").read_text()
    assert "2 clients of a running fleet, task climate, 2 cells of 2 seeds (1, 2)." in page
    assert f"bramble experiment two.toml --server {server.url}" in page


def test_what_cannot_be_learnt_starts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    with ServerProcess(tmp_path, "--task", str(CLIMATE)) as server:
        for change, said in (
            (("rounds = 2", "round = 2"), r"line 4: nothing is called round, did you mean rounds\?"),
            (("rounds = 2", "clients = 2"), "line 4: nothing is called clients"),
            (("seed = [1, 2]", "every = [1, 2]"), "line 10: every: all runs of a fleet go side by side"),
            (("rounds = 2", 'task = "climat"'), r"'climat' is not served at .*, did you mean 'climate'\?"),
            (('"fedavg"', '"fedavgg"'), r"'fedavgg' is not one of .*, did you mean 'fedavg'\?"),
            (("[1, 2]", "[1, 2, 3, 4, 5, 6, 7, 8]"), "16 runs learn side by side, and the server has room for 15 tasks more"),
            (("[grid]", "[simulate]\n[grid]"), r"leave \[simulate\] or \[fleet\] out"),
            (("generate = 30", "generate = true"), "line 5: generate: True is no value for it"),
        ):
            path.write_text(FILE.replace(*change))
            with pytest.raises(BrambleError, match=said):
                experimenting.run(ExperimentSettings(file=str(path), server=server.url))
        path.write_text(FILE)
        with pytest.raises(BrambleError, match="no client that was ever here measures"):
            experimenting.run(ExperimentSettings(file=str(path), server=server.url))
        assert [task["task"] for task in server.api.tasks()] == ["climate"]


def _fails(*_: Any) -> None:
    raise ServerError("it is gone")


def _cells(folder: Path) -> list[dict[str, str]]:
    with (folder / "cells.csv").open(newline="") as table:
        return list(csv.DictReader(table))
