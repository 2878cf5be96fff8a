"""A database that release 0.1 left: every step since then in order, on what it really wrote."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
from sqlalchemy import inspect

from bramble_server.store import Store, clients, meta, mirror, models, rounds, schema

RELEASE_0_1 = Path(__file__).with_name("release-0.1.sql")


def test_a_database_of_release_0_1_gets_every_table_and_column_and_keeps_what_it_had(tmp_path: Path) -> None:
    path = tmp_path / "bramble.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(RELEASE_0_1.read_text())
    for _ in range(2):  # and is not brought up to date twice
        store = Store(path)
        try:
            with store.writing() as connection:
                assert meta.get(connection, "schema") == schema.version()
                there = {name: {column["name"] for column in inspect(connection).get_columns(name)} for name in schema.metadata.tables}
                assert there == {name: set(table.columns.keys()) for name, table in schema.metadata.tables.items()}
                record = rounds.one(connection, 7)
                assert record is not None
                assert (record["state"], record["metrics"], record["clients"]["pi-1"]["samples"]) == ("committed", {"loss_before": 2.0}, 10)
                newest = models.latest(connection)
                assert newest is not None
                assert newest[0] == 7
                np.testing.assert_array_equal(newest[1], np.array([1, 2], np.float32))
                assert rounds.recover(connection, 200.0, 16) == (7, {7: frozenset({"pi-1"})})
                assert meta.get(connection, "cycle") == 3
                assert (clients.load(connection), mirror.clients(connection)) == ([], [])
        finally:
            store.close()
