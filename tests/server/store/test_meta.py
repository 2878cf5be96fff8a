from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from server.store import Store, StoreError, meta, reset

CLIMATE = ("climate", "ab" * 32)


@pytest.mark.parametrize("value", [0, 1.5, "text", True, None, [1, "two"], {"t": 3}])
def test_a_fact_survives_a_restart(store: Store, reopen: Callable[[], Store], value: Any) -> None:
    with store.writing() as connection:
        meta.put(connection, "fact", "before")
        meta.put(connection, "fact", value)
    with reopen().reading() as connection:
        assert meta.get(connection, "fact", "default") == value


def test_a_fact_that_was_never_put_is_the_default(store: Store) -> None:
    with store.reading() as connection:
        assert meta.get(connection, "fact") is None
        assert meta.get(connection, "fact", 7) == 7


def test_a_database_belongs_to_the_graph_that_it_first_saw(store: Store, reopen: Callable[[], Store]) -> None:
    with store.writing() as connection:
        meta.adopt(connection, *CLIMATE)
    store = reopen()
    with store.writing() as connection:
        meta.adopt(connection, *CLIMATE)
    other = r"history of task climate \(graph abababababab\), not of vibration \(graph cdcdcdcdcdcd\): choose another --data-dir"
    with pytest.raises(StoreError, match=other), store.writing() as connection:
        meta.adopt(connection, "vibration", "cd" * 32)
    with pytest.raises(StoreError, match="not of climate"), store.writing() as connection:
        meta.adopt(connection, "climate", "cd" * 32)


def test_a_reset_keeps_only_what_must_not_come_twice(store: Store, reopen: Callable[[], Store]) -> None:
    with store.writing() as connection:
        meta.adopt(connection, *CLIMATE)
        for name in ("last_round", "cycle", "next_t"):
            meta.put(connection, name, 5)
        reset(connection)
    with reopen().writing() as connection:
        assert meta.get(connection, "last_round") == 5
        assert meta.get(connection, "cycle") == 5
        assert meta.get(connection, "next_t") is None
        meta.adopt(connection, *CLIMATE)
