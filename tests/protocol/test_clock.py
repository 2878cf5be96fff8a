"""Whoever goes by the time is told it by a clock that is handed to it, so that tests and simulations can have their own."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ["bramble_protocol", "bramble_server", "bramble_client", "bramble.simulation"]
READS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "thread_time", "sleep"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
NOW_BY_DEFAULT = {"gmtime": 1, "localtime": 1, "ctime": 1, "strftime": 2}
"""What takes this moment unless it is given another, and with how many arguments it is."""
EXCEPTIONS = {
    "bramble_client/hal/clock.py": "is the machine's own clock, where a test has another",
    "bramble_client/deliver/tls.py": "is made by the module ssl, which has no clock to hand on; measures how long it waits itself",
    "bramble_protocol/mqtt/broker.py": "waits for a broker's last acknowledgements, which no other clock knows",
    "bramble_server/tracking.py": "dates curves for the tools that draw them, also those of a simulation",
    "bramble_server/store/dialect.py": "bounds how long this disk is read, which no other clock knows",
    "bramble/simulation/run.py": "measures how long a simulation took whoever waits for it",
}


def readings(source: str) -> Iterator[str]:
    """Yield each place in a module that reads the machine's clock or waits by it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            yield f"{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Attribute) and node.attr in READS.get(_last(node.value), ()):
            yield f"{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _last(node.func.value) == "time":
            if len(node.args) < NOW_BY_DEFAULT.get(node.func.attr, 0):
                yield f"{node.lineno}: {ast.unparse(node)}"


def _last(node: ast.expr) -> str:
    """Return a module's or class's own name: ``datetime`` of ``datetime.datetime``."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def files(package: str) -> list[tuple[str, Path]]:
    """Return the files of a package, by the names that :data:`EXCEPTIONS` has."""
    (folder,) = importlib.import_module(package).__path__
    root = Path(folder)
    return [(f"{package.replace('.', '/')}/{path.relative_to(root)}", path) for path in sorted(root.rglob("*.py"))]


@pytest.mark.parametrize("package", PACKAGES)
def test_nobody_reads_the_machines_own_clock(package: str) -> None:
    read = {name: found for name, path in files(package) if name not in EXCEPTIONS and (found := [*readings(path.read_text())])}
    assert not read, "take a Clock"


def test_each_exception_is_one() -> None:
    everything = dict(found for package in PACKAGES for found in files(package))
    assert all([*readings(everything[name].read_text())] for name in EXCEPTIONS)


@pytest.mark.parametrize(
    "line",
    [
        "time.time()",
        "begun = time.monotonic",
        "def wait(now=time.monotonic): ...",
        "time.sleep(1)",
        "from time import monotonic as now",
        "time.strftime('%Y')",
        "time.gmtime()",
        "datetime.now(UTC)",
        "datetime.datetime.utcnow()",
    ],
)
def test_every_way_to_read_it_is_found(line: str) -> None:
    assert [*readings(line)]


@pytest.mark.parametrize("line", ["def begin(clock: Clock = time): ...", "clock.time()", "time.gmtime(t)", "datetime.fromtimestamp(t)"])
def test_what_is_told_the_time_is_left_alone(line: str) -> None:
    assert not [*readings(line)]
