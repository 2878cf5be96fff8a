"""Which tests start processes: found by what they call, so that nobody has to say it, and held to it by Python's own audit."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Set
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

STARTERS = (
    "subprocess", "multiprocessing", "pexpect", "playwright", "tests.fleet.", "bramble.processes", "bramble_client.learn.runner",
    "bramble_client.learn.trainer.Trainer", "bramble_client.commands.rehearsal.train", "bramble_client.commands.check.check",
)  # fmt: skip
"""Modules, and names in them, that are there to start something; the product's own beside the library's."""
STARTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec"})
"""What Python's audit calls it."""
_started: list[str] = []


def mark(items: list[pytest.Item]) -> None:
    """Mark every test as ``process`` that starts one: itself, by a fixture, or by a helper in tests/ or bench/."""
    found: dict[tuple[str, Any], bool] = {}  # of a test and its fixtures, which are the same for all parameters
    for item in items:
        if isinstance(item, pytest.Function):
            fixtures = [fixture.func for same_name in item._fixtureinfo.name2fixturedefs.values() for fixture in same_name]
            for function in (item.function, *fixtures):
                key = item.module.__name__, function
                if key not in found:
                    found[key] = _Search(item.module.__name__).starts(function)
                if found[key]:
                    item.add_marker("process")
                    break


def audit(event: str, arguments: Any, starts: Set[str] = STARTS, started: list[str] = _started) -> None:
    """Note that a process starts. It is let: code that is kept from it leaves half of it behind, for the next test to stumble over.

    What it knows are its defaults, for at Python's end modules are empty and a hook is still called.
    """
    if event in starts:
        started.append(event)


def forget() -> None:
    """Begin a test."""
    _started.clear()


def check(item: pytest.Item) -> None:
    """Fail a test that has started a process in a way that :func:`mark` misses. What ends with a test need not be the test's own."""
    if _started and not any(item.iter_markers("process")):
        pytest.fail(f"{item.nodeid} starts a process ({_started[0]}), and is to be marked so: @pytest.mark.process", pytrace=False)


class _Search:
    """Goes through what a test calls in its own file, in tests/ and in bench/; what the product does is seen by the audit alone."""

    def __init__(self, own: str) -> None:
        self._own, self._seen = own, set[int]()

    def starts(self, thing: Any) -> bool:
        """Whether this leads to a module that starts processes."""
        name = thing.__name__ if isinstance(thing, ModuleType) else str(getattr(thing, "__module__", ""))
        own = thing.__qualname__ if isinstance(thing, (FunctionType, type)) else ""
        if f"{name}.{own}".startswith(STARTERS):
            return True
        if isinstance(thing, ModuleType) or id(thing) in self._seen or not (name == self._own or name.startswith(("tests.", "bench."))):
            return False
        self._seen.add(id(thing))
        if isinstance(thing, type):
            return any(self.starts(part) for base in thing.__mro__ for part in vars(base).values())
        thing = getattr(thing, "__func__", getattr(thing, "fget", None) or getattr(thing, "__wrapped__", thing))
        return isinstance(thing, FunctionType) and any(self.starts(part) for part in _named(thing.__code__, thing.__globals__))


def _named(code: CodeType, known: dict[str, Any]) -> Iterator[Any]:
    """Return what a function's code names: in its own file, by an import, and in modules of ours that it names."""
    for name in code.co_names:
        found = known.get(name, sys.modules.get(name))
        yield found
        if isinstance(found, ModuleType) and found.__name__.startswith(("tests.", "bramble")):
            yield from (getattr(found, attribute, None) for attribute in code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _named(constant, known)
