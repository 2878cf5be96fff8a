"""The notebook in docs/ runs as it is, from the first cell to the last."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from tests.edge_client.process import CLIMATE, ClientProcess
from tests.server.process import ServerProcess

NOTEBOOK = Path(__file__).parents[2] / "docs/notebooks/fleet.ipynb"


def execute(source: str, space: dict[str, Any]) -> Any:
    """Run a cell as a notebook does; return the value of its last line, if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), space)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), space) if isinstance(last, ast.Expr) else None


@pytest.mark.slow
def test_the_notebook_runs_from_the_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pandas")
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") for cell in notebook["cells"]), "it is kept without what it printed"
    with ServerProcess(tmp_path, "--task", str(CLIMATE)) as server:
        monkeypatch.setenv("BRAMBLE_SERVER", server.url)
        with ClientProcess(server.url, tmp_path, name="pi-1") as one, ClientProcess(server.url, tmp_path, name="pi-2") as two:
            one.wait_connected()
            two.wait_connected()
            space: dict[str, Any] = {}
            shown = [execute(cell, space) for cell in cells]
    assert capsys.readouterr().out.count("committed: 2 updates") == 2
    assert list(space["rounds"]["round"]) == [1, 2]
    assert space["rounds"]["error"].iloc[1] > 0, "the second tested what the first had not trained on"
    assert set(space["predictions"]["client"]) == {"pi-1", "pi-2"}
    assert len(shown[-1]) == 3
