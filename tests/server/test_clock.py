"""Whoever decides something by the time is told it by the one clock that is injected, so that tests and simulations have their own."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

CLOCKS = {"time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "now", "utcnow", "today"}


@pytest.mark.parametrize(
    "wing", ["rounds", "fleet", "learning", "store.mirror", "store.models", "store.rounds", "store.meta", "store.clients"]
)
def test_nobody_reads_the_machines_own_clock(wing: str) -> None:
    module = importlib.import_module(f"bramble_server.{wing}")
    assert module.__file__
    file = Path(module.__file__)
    files = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    assert files
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in CLOCKS:
                where = f"{path.name}:{node.lineno}"
                assert node.value.id not in ("time", "datetime", "date"), f"{where} reads {ast.unparse(node)}: take a Clock"
