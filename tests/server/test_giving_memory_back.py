"""What a crowd's messages took is given back once, and not again while nobody sends much."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bramble_server import memory
from bramble_server.metrics import Traffic


class Loop:
    """Runs at once what is spawned; each pause of it lets so many bytes come, and the one after the last ends it."""

    def __init__(self, traffic: Traffic, came: list[int]) -> None:
        self._traffic, self._came = traffic, iter(came)

    def event(self) -> Loop:
        return self

    def wait(self, timeout: float) -> bool:
        came = next(self._came, None)
        self._traffic.received += came or 0
        return came is None

    def spawn(self, work: Callable[[], None]) -> None:
        work()

    def offload(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return work(*arguments)


def test_memory_is_given_back_after_much_came_and_left_alone_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    traffic, given = Traffic(), list[int]()
    monkeypatch.setattr(memory, "_trim", lambda: given.append(traffic.received))
    enough = memory.ENOUGH
    memory.start(Loop(traffic, [enough - 1, 1, enough - 1, 0, 3 * enough]), traffic)  # type: ignore[arg-type]
    assert given == [enough, 5 * enough - 1]


@pytest.mark.parametrize(("taken", "set_"), [(1, 2), (0, 1)])
def test_memory_is_kept_between_rounds_where_the_c_library_takes_large_arrays_from_its_heap(
    taken: int, set_: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dict[int, int]()
    library = SimpleNamespace(mallopt=lambda option, value: options.update({option: value}) or taken)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    memory.start(Loop(Traffic(), []), Traffic())  # type: ignore[arg-type]
    assert options == dict([(-3, memory.LARGEST), (-1, memory.KEPT)][:set_]), "M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of malloc.h"
