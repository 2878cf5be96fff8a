from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bramble_protocol.graph import GraphFile, digest
from bramble_protocol.layout import Layout
from bramble_server import tasks
from bramble_server.store import Store, StoreError, meta, reset

CLIMATE = tasks.load("climate")


def like(graph: GraphFile, data: bytes, **changes: Any) -> GraphFile:
    """Another file whose manifest differs so."""
    return GraphFile(data, digest(data), replace(graph.manifest, **changes), graph.initial)


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


def test_a_task_belongs_to_the_graph_that_it_was_first_served_with(store: Store, reopen: Callable[[], Store]) -> None:
    with store.writing() as connection:
        assert not meta.adopt(connection, "climate", CLIMATE)
    store = reopen()
    with store.writing() as connection:
        assert not meta.adopt(connection, "climate", CLIMATE)
        assert not meta.adopt(connection, "vibration", like(CLIMATE, b"other", task="vibration")), (
            "another task is another history, beside the first"
        )
        assert set(meta.get(connection, "graphs")) == {"climate", "vibration"}
    other = (
        rf"its history of task climate is that of graph {CLIMATE.sha256[:12]}, .* give the task another name, or choose another --data-dir"
    )
    for changes in ({"horizon": 6}, {"window": 48}, {"layout": Layout.of([("w", [3])])}):
        with pytest.raises(StoreError, match=other), store.writing() as connection:
            meta.adopt(connection, "climate", like(CLIMATE, b"other", **changes))


def test_a_graph_made_anew_goes_on_with_the_history_of_the_one_before(store: Store) -> None:
    newer = like(CLIMATE, b"newer", description="the same, in other words")
    with store.writing() as connection:
        meta.adopt(connection, "climate", CLIMATE)
        assert meta.adopt(connection, "climate", newer)
        assert not meta.adopt(connection, "climate", newer)
        assert meta.get(connection, "graphs")["climate"][0] == newer.sha256


def test_a_history_of_manifest_format_1_goes_on_in_format_2_and_back(store: Store) -> None:
    former = CLIMATE.manifest.former
    assert former is not None
    older = like(CLIMATE, b"older", declared=None)
    assert (older.manifest, older.manifest.format, CLIMATE.manifest.format) == (former, 1, 2)
    for graph in (older, CLIMATE, older):  # and back: a release is rolled back
        with store.writing() as connection:
            meta.adopt(connection, graph.manifest.task, graph)
            # as databases hold it since before there was a format 2
            assert meta.get(connection, "graphs")["climate"][1] == "130d6c2d08321a3ef3f8f5e34eb33b65825e5c97d46786247ed548c1b2c26a60"


def test_a_database_of_release_0_1_goes_on_with_the_graph_of_today(store: Store) -> None:
    old = GraphFile.read((Path(__file__).parents[2] / "runtimes" / "references" / "climate-0.1.tflite").read_bytes())
    assert old.sha256 != CLIMATE.sha256
    with store.writing() as connection:
        meta.put(connection, "graphs", {"climate": [old.sha256]})
    for terms in (tasks.Terms(1), tasks.Terms(6), tasks.Terms(step_s=600)):
        other = tasks.load("climate", terms)
        with pytest.raises(StoreError, match="history of task climate is that of graph"), store.writing() as connection:
            meta.adopt(connection, "climate", other, tasks.former("climate", other.manifest))
    with store.writing() as connection:
        assert meta.adopt(connection, "climate", CLIMATE, tasks.former("climate", CLIMATE.manifest))


@pytest.mark.parametrize("ahead", [1, 12, 24])
def test_the_former_digests_are_those_of_that_release(ahead: int) -> None:
    old = GraphFile.read((Path(__file__).parents[2] / "runtimes" / "references" / "climate-0.1.tflite").read_bytes())
    manifest = tasks.create("climate", tasks.Terms(ahead)).manifest(old.manifest.layout).former
    assert manifest is not None
    packed = GraphFile.pack(old.flatbuffer, manifest, old.initial)
    assert tasks.former("climate", manifest) == {packed.sha256}


def test_a_reset_keeps_only_what_must_not_come_twice(store: Store, reopen: Callable[[], Store]) -> None:
    with store.writing() as connection:
        meta.adopt(connection, "climate", CLIMATE)
        for name in ("last_round", "cycle", "next_t"):
            meta.put(connection, name, 5)
        reset(connection)
    with reopen().writing() as connection:
        assert meta.get(connection, "last_round") == 5
        assert meta.get(connection, "cycle") == 5
        assert meta.get(connection, "next_t") is None
        meta.adopt(connection, "climate", CLIMATE)
