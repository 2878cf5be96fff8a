"""A server of today on the database of release 0.1, whose history is of the graph that the task had then."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bramble_protocol.graph import GraphFile
from bramble_server.store import Store, rounds
from bramble_server.tasks import load
from tests.server.process import NotReady, ServerProcess

OLD = GraphFile.read((Path(__file__).parents[2] / "runtimes" / "references" / "climate-0.1.tflite").read_bytes())
SCHEMA = Path(__file__).parent / "release-0.1.sql"


def database(path: Path, graph: str = OLD.sha256) -> np.ndarray:
    """Write a database of that release with two committed rounds; return the newer one's model."""
    path.parent.mkdir()
    weights = np.arange(OLD.manifest.layout.size, dtype="<f4") / 1000
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(SCHEMA.read_text())
        for table in ("latest_updates", "models", "readings", "series", "updates", "rounds"):
            db.execute(f"DELETE FROM {table}")
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [("graph", json.dumps(["climate", graph])), ("last_round", "2")])
        for number in (1, 2):
            db.execute("INSERT INTO rounds VALUES (?, 'committed', NULL, 10.0, 11.0, 1, 1, '{\"loss_after\": 0.5}')", (number,))
            db.execute("INSERT INTO updates (round, client, replied, samples, loss_after) VALUES (?, 'pi-1', 11.0, 5, 0.5)", (number,))
            db.execute("INSERT INTO models VALUES (?, ?)", (number, (weights * number).tobytes()))
    return weights * 2


def test_the_store_takes_its_tables_over(tmp_path: Path) -> None:
    database(tmp_path / "data" / "bramble.db")
    store = Store(tmp_path / "data" / "bramble.db")
    with store.reading() as connection:
        found = rounds.history(connection, "climate", clients=True)
    store.close()
    assert [(item["round"], item["rollback_of"], item["clients"]["pi-1"]["samples"]) for item in found] == [(1, None, 5), (2, None, 5)]


def test_it_goes_on_with_the_graph_of_today_and_may_go_back(tmp_path: Path) -> None:
    newest = database(tmp_path / "data" / "bramble.db")
    with ServerProcess(tmp_path, "--task", "climate") as server:
        assert server.logged("the graph of task climate was made anew, and the history of its models goes on") == 1
        model = server.api.model()
        assert (model["round"], model["graph"]) == (2, load("climate").sha256)
        raw = server.request("GET", "/model", {"Accept": "application/octet-stream"})[1]
        np.testing.assert_array_equal(np.frombuffer(raw, "<f4"), newest)
        assert server.api.rollback(1) == {"round": 3, "rollback_of": 1}
    with ServerProcess(tmp_path, "--task", "climate") as server:
        assert server.logged("made anew") == 1, "it is said once, not at every start"


def test_the_history_of_another_graph_is_refused_still(tmp_path: Path) -> None:
    database(tmp_path / "data" / "bramble.db", graph="ab" * 32)
    with pytest.raises(NotReady, match="its history of task climate is that of graph abababababab"):
        ServerProcess(tmp_path, "--task", "climate")


def test_clients_of_that_release_can_read_the_manifest_of_today() -> None:
    assert load("climate").manifest.former == OLD.manifest
