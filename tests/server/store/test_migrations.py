"""An empty database, and one of each version before, becomes one of today, and keeps what it had."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from bramble_server.store import Store, StoreError, clients, meta, migrate, mirror, models, rounds, schema
from tests.server.store.conftest import Migrations
from tests.server.store.contents import contents, lost

Reopen = Callable[[], Store]
Released = Callable[[], None]


def differences(store: Store) -> list[Any]:
    """Return where the tables in a database differ from those that the store reads and writes."""
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        found: list[Any] = compare_metadata(context, schema.metadata)
        if connection.dialect.name == "sqlite":  # which Alembic does not compare
            listed = connection.exec_driver_sql("SELECT name, wr FROM pragma_table_list WHERE schema = 'main'").all()
            found += [name for name, bare in listed if name in schema.metadata.tables and bare != (name == "readings")]
        return found


def version(store: Store) -> Any:
    with store.reading() as connection:
        return meta.get(connection, "schema")


class TestTables:
    def test_an_empty_database_gets_those_that_the_store_knows(self, reopen: Reopen) -> None:
        assert differences(reopen()) == []
        assert version(reopen()) == migrate.newest()

    def test_so_does_one_of_release_0_1(self, reopen: Reopen, released: Released) -> None:
        released()
        assert differences(reopen()) == []

    def test_a_column_without_a_migration_is_found(self, reopen: Reopen, monkeypatch: pytest.MonkeyPatch, migrations: Migrations) -> None:
        monkeypatch.setattr(migrate, "MIGRATIONS", migrations(until=6))
        found = [(what[0], what[2], what[3].name) for what in differences(reopen()) if what[0] == "add_column"]
        assert ("add_column", "updates", "asked") in found

    def test_each_migration_has_the_number_that_its_file_is_called_by(self) -> None:
        files = sorted((migrate.MIGRATIONS / "versions").glob("*.py"))
        assert [int(file.name[:4]) for file in files] == list(range(1, migrate.newest() + 1))
        for file in files:
            assert f'\nrevision = "{file.name[:4]}"\n' in file.read_text("utf-8"), file.name


class TestOlder:
    def test_what_release_0_1_left_is_there_row_by_row(self, target: Path | str, reopen: Reopen, released: Released) -> None:
        released()
        before = contents(target)
        assert all(before[name] for name in ("meta", "rounds", "updates", "models", "latest_updates", "series", "readings"))
        reopen()
        after = contents(target)
        assert lost(before, after) == []
        assert {name: len(after[name]) for name in before} == {name: len(rows) for name, rows in before.items()}
        reopen()
        assert contents(target) == after, "it is not brought up to date twice"

    def test_the_store_reads_what_it_was(self, reopen: Reopen, released: Released) -> None:
        released()
        with reopen().writing() as connection:
            record = rounds.one(connection, 7)
            assert record is not None
            assert (record["state"], record["metrics"], record["clients"]["pi-1"]["samples"]) == ("committed", {"loss_before": 2.0}, 10)
            newest = models.latest(connection, "climate")
            assert newest is not None
            assert newest[0] == 7
            np.testing.assert_array_equal(newest[1], np.array([1, 2], np.float32))
            assert rounds.recover(connection, "climate", 200.0, 2) == (8, {7: frozenset({"pi-1"}), 8: frozenset()})
            assert (meta.get(connection, "cycle"), clients.load(connection)) == (3, [])
            assert mirror.columns(connection, client="zoë-2")["zoë-2"]["temperature"]["value"] == [21.5, None, 0.1]

    @pytest.mark.parametrize("former", range(1, migrate.newest() + 1))
    def test_one_that_alembic_never_saw_goes_on_from_the_version_that_it_names(
        self, former: int, reopen: Reopen, monkeypatch: pytest.MonkeyPatch, migrations: Migrations
    ) -> None:
        with monkeypatch.context() as then:
            then.setattr(migrate, "MIGRATIONS", migrations(until=former))
            with reopen().writing() as connection:
                connection.execute(text("DROP TABLE alembic_version"))
        assert differences(reopen()) == []
        assert version(reopen()) == migrate.newest()

    def test_an_upgrade_is_one_sentence_and_nothing_else_is_said(
        self, reopen: Reopen, released: Released, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        released()
        where = reopen().where
        reopen()
        assert caplog.messages == [f"database {where} was upgraded from version 1 to {migrate.newest()}"]

    def test_of_a_new_database_nothing_is_said(self, reopen: Reopen, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        reopen()
        assert caplog.messages == []

    def test_alembic_is_loaded_only_where_something_is_missing(self, path: Path) -> None:
        program = "import sys; from pathlib import Path; from bramble_server.store import Store; Store(Path(sys.argv[1])).close()"
        command = [sys.executable, "-c", f"{program}; print('alembic' in sys.modules)", str(path)]
        said = [subprocess.run(command, check=True, capture_output=True).stdout for _ in range(2)]
        assert said == [b"True\n", b"False\n"]


class TestFollowing:
    """Migrations that are yet to come, of the kinds that need care."""

    def test_a_table_that_is_made_anew_keeps_what_refers_to_it(
        self, target: Path | str, reopen: Reopen, released: Released, monkeypatch: pytest.MonkeyPatch, migrations: Migrations
    ) -> None:
        released()
        before = contents(target)
        anew = 'with op.batch_alter_table("rounds") as batch: batch.alter_column("started", nullable=True)'
        monkeypatch.setattr(migrate, "MIGRATIONS", migrations(anew))
        store = reopen()
        assert lost(before, contents(target)) == []
        with store.writing() as connection:
            rounds.trim(connection, "climate", 8, 1)
        assert {row["round"] for row in contents(target)["updates"]} == {8}, "what refers to a round goes with it still"

    def test_a_row_that_would_refer_to_nothing_stops_it(
        self, target: Path | str, reopen: Reopen, released: Released, monkeypatch: pytest.MonkeyPatch, migrations: Migrations
    ) -> None:
        released()
        before = contents(target)
        monkeypatch.setattr(migrate, "MIGRATIONS", migrations('op.execute("UPDATE series SET id = id + 100")'))
        with pytest.raises(StoreError, match=r"is not upgraded: a row of readings refers to one of series|readings_series_fkey"):
            reopen()
        assert contents(target) == before

    def test_one_that_fails_leaves_the_old_one_whole(
        self, target: Path | str, reopen: Reopen, released: Released, monkeypatch: pytest.MonkeyPatch, migrations: Migrations
    ) -> None:
        released()
        before = contents(target)
        good = 'op.add_column("rounds", sa.Column("note", sa.String))'
        with monkeypatch.context() as patched:
            patched.setattr(migrate, "MIGRATIONS", migrations(good, 'op.execute("UPDATE songs SET title = 1")'))
            with pytest.raises(StoreError, match="songs"):
                reopen()
            assert contents(target) == before
        assert differences(reopen()) == []


class TestStrategyState:
    def test_a_model_of_version_3_is_kept_and_says_nothing_of_its_strategy(
        self, target: Path | str, reopen: Reopen, monkeypatch: pytest.MonkeyPatch, migrations: Migrations
    ) -> None:
        with monkeypatch.context() as then:
            then.setattr(migrate, "MIGRATIONS", migrations(until=3))
            with reopen().writing() as connection:
                weights = np.array([1, 2], "<f4").tobytes()
                connection.execute(text("INSERT INTO models (round, weights) VALUES (7, :weights)"), {"weights": weights})
        before = contents(target)
        del before["alembic_version"]
        store = reopen()
        assert lost(before, contents(target)) == []
        state = {"v": np.array([[1.5, -2.0]], ">f8"), "n": np.array(3), "none": np.zeros((0, 2), np.float32)}
        with store.writing() as connection:
            assert models.memory(connection, 7) == models.UNKNOWN
            models.save(connection, "climate", 8, np.ones(2, np.float32), models.Memory("fedavgm", {"momentum": 0.9}, state), 20)
            found = models.memory(connection, 8)
        assert (found.strategy, found.parameters, set(found.state)) == ("fedavgm", {"momentum": 0.9}, set(state))
        for name, array in found.state.items():
            np.testing.assert_array_equal(array, state[name])
            assert array.shape == state[name].shape


class TestTracks:
    def test_what_there_is_becomes_the_one_task_s_and_another_s_is_beside_it(
        self, reopen: Reopen, monkeypatch: pytest.MonkeyPatch, migrations: Migrations
    ) -> None:
        with monkeypatch.context() as then:
            then.setattr(migrate, "MIGRATIONS", migrations(until=4))
            with reopen().writing() as connection:
                for statement in (
                    """INSERT INTO meta VALUES ('graph', '["vibration", "abab", "cdcd"]')""",
                    "INSERT INTO rounds (round, state, started, selected, updates, metrics) VALUES (3, 'committed', 1.0, 1, 1, '{}')",
                    "INSERT INTO updates (round, client, replied) VALUES (3, 'a', 2.0)",
                    "INSERT INTO latest_updates (client, round, samples, metrics) VALUES ('a', 3, 7, '{}')",
                ):
                    connection.execute(text(statement))
                connection.execute(text("INSERT INTO models (round, weights) VALUES (3, :weights)"), {"weights": b"\0\0\x80\x3f"})
                state = "INSERT INTO strategy_state (round, name, dtype, shape, data) VALUES (3, 'v', '|u1', '[1]', :data)"
                connection.execute(text(state), {"data": b"\7"})
        with reopen().writing() as connection:
            assert meta.get(connection, "graphs") == {"vibration": ["abab", "cdcd"]}
            assert meta.get(connection, "graph") is None
            assert [item["clients"]["a"]["replied"] for item in rounds.history(connection, "vibration", clients=True)] == [2.0]
            assert models.kept(connection, "vibration") == [3]
            assert models.memory(connection, 3).state["v"].tolist() == [7]
            assert [(item.client, item.samples) for item in models.latest_updates_of_all(connection, "vibration")] == [("a", 7)]
        with reopen().writing() as connection:
            models.save_updates(connection, models.LatestUpdate("climate", "a", 4, 1, {}))
            models.save(connection, "climate", 4, np.ones(1, np.float32), models.UNKNOWN, 1)
            assert (models.kept(connection, "vibration"), models.kept(connection, "climate")) == ([3], [4])
            assert len(list(models.latest_updates_of_all(connection, "vibration"))) == 1


class TestRefused:
    def newer(self, store: Store) -> str:
        with store.writing() as connection:
            meta.put(connection, "schema", migrate.newest() + 3)
        store.close()
        return (
            f"database {store.where} is of version {migrate.newest() + 3}, and this Bramble knows versions up to {migrate.newest()}: "
            "install the newer Bramble that wrote it, restore a copy from before, or choose another --data-dir or --database"
        )

    def test_a_newer_one_is_left_as_it_is(self, target: Path | str, store: Store) -> None:
        sentence = self.newer(store)
        before = contents(target)
        with pytest.raises(StoreError) as caught:
            Store(target)
        assert str(caught.value) == sentence
        assert contents(target) == before

    @pytest.mark.parametrize("mode", ["WAL", "DELETE"])
    def test_not_one_byte_of_its_file_changes(self, mode: str, path: Path) -> None:
        self.newer(Store(path))
        with closing(sqlite3.connect(path)) as raw:
            raw.execute(f"PRAGMA journal_mode={mode}")
        before = path.read_bytes()
        with pytest.raises(StoreError, match="install the newer Bramble"):
            Store(path)
        assert path.read_bytes() == before

    @pytest.mark.parametrize("value", ["0", "-1", "true", '"3"', "null", "2.5"])
    def test_one_whose_version_is_no_number_is_not_taken_for_bramble_s(self, value: str, path: Path) -> None:
        Store(path).close()
        with closing(sqlite3.connect(path)) as raw, raw:
            raw.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (value,))
        with pytest.raises(StoreError, match="is not a Bramble database"):
            Store(path)
