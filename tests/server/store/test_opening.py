from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bramble_server.store import Store, StoreError, dialect, meta, models, rounds
from tests.server.postgres import PASSWORD, Cluster


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store(path)
    yield opened
    opened.close()


def committed(store: Store, number: int) -> None:
    with store.writing() as connection:
        rounds.opened(connection, "climate", number, 1.0, ["a"])
        rounds.committed(connection, number, 2.0, 1, {})
        models.save(connection, "climate", number, np.full(1000, number, np.float32), models.UNKNOWN, 20)


class TestDurability:
    def test_a_commit_reaches_the_disk_before_it_returns(self, store: Store) -> None:
        with store.writing() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2

    def test_a_sync_brings_to_the_disk_what_was_committed_without_one(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        synced: list[tuple[int, int]] = []
        fdatasync = os.fdatasync

        def sync(file: int) -> None:
            fdatasync(file)
            synced.append((os.fstat(file).st_ino, os.fstat(file).st_size))

        log = path.with_name("bramble.db-wal")
        with closing(Store(path)) as store:
            monkeypatch.setattr(os, "fdatasync", sync)
            with store.writing(synced=False) as connection:
                rounds.opened(connection, "climate", 1, 1.0, ["a"])
            written: list[bool] = []
            store.sync(lambda _: written.append(True))
            assert synced == [(log.stat().st_ino, log.stat().st_size)]
            assert written == [], "it is there already"

    def test_a_sync_that_the_disk_refuses_is_said_with_the_remedy(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def sync(file: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with closing(Store(path)) as store:
            monkeypatch.setattr(os, "fdatasync", sync)
            with pytest.raises(StoreError, match=r"bramble\.db-wal cannot be brought to the disk \(Input/output error\): check the disk"):
                store.sync(lambda _: None)
            assert store.trouble

    def test_where_no_log_can_be_reached_a_sync_is_a_transaction(self, postgresql: Cluster) -> None:
        with closing(Store(postgresql.url)) as store:
            store.sync(lambda connection: rounds.number_used(connection, 3))
            with store.reading() as connection:
                assert meta.get(connection, "last_round") == 3

    def test_a_block_that_raises_leaves_nothing(self, store: Store) -> None:
        def half_done() -> None:
            with store.writing() as connection:
                rounds.opened(connection, "climate", 1, 1.0, ["a"])
                models.save(connection, "climate", 1, np.ones(3, np.float32), models.UNKNOWN, 20)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            half_done()
        with store.reading() as connection:
            assert rounds.one(connection, 1) is None
            assert models.latest(connection, "climate") is None
            assert meta.get(connection, "last_round") is None

    def test_one_large_round_does_not_leave_a_long_log_for_ever(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dialect, "LOG_BYTES", 1 << 16)
        log = path.with_name("bramble.db-wal")
        with closing(Store(path)) as store:
            with store.writing() as connection:
                large = models.Memory("fedavgm", {}, {"velocity": np.ones(3_000_000, np.float32)})
                models.save(connection, "climate", 1, np.ones(3, np.float32), large, 1)
            assert log.stat().st_size > 12_000_000
            for number in (2, 3):
                committed(store, number)
            assert log.stat().st_size < 1 << 17

    def test_a_reader_sees_one_state_and_waits_for_nobody(self, store: Store) -> None:
        committed(store, 1)
        with store.reading() as reader:
            assert [item["round"] for item in rounds.history(reader, "climate")][-1] == 1
            with store.writing() as writer:
                rounds.opened(writer, "climate", 2, 1.0, ["a"])
                rounds.committed(writer, 2, 2.0, 1, {})
                assert [item["round"] for item in rounds.history(reader, "climate")][-1] == 1
            assert [item["round"] for item in rounds.history(reader, "climate")][-1] == 1, "a snapshot stays one"
        with store.reading() as reader:
            assert [item["round"] for item in rounds.history(reader, "climate")][-1] == 2

    def test_writers_take_turns(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dialect, "BUSY_S", 0.0)  # whoever met the other's lock would fail at once

        with closing(Store(path)) as store:

            def write() -> None:
                for _ in range(20):
                    with store.writing() as connection:
                        meta.put(connection, "count", meta.get(connection, "count", 0) + 1)

            threads = [threading.Thread(target=write) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            with store.reading() as connection:
                assert meta.get(connection, "count") == 80


class TestOneServerOnly:
    def test_a_second_server_is_refused_by_name(self, store: Store, path: Path) -> None:
        with pytest.raises(StoreError, match=r"bramble.db is in use by another server: stop that one, or choose another --data-dir"):
            Store(path)
        committed(store, 1)

    def test_the_database_is_free_again_once_it_is_closed(self, path: Path) -> None:
        for number in (1, 2):
            opened = Store(path)
            committed(opened, number)
            opened.close()
            opened.close()  # closing twice closes nothing of somebody else's

    def test_a_server_that_could_not_open_it_holds_nothing(self, path: Path) -> None:
        path.write_bytes(b"not a database, by far" * 100)
        for _ in range(2):
            with pytest.raises(StoreError, match="is not a database"):
                Store(path)


def test_another_programs_database_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE songs (title TEXT)")
    with pytest.raises(StoreError, match="is not a Bramble database"):
        Store(path)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]


class TestTrouble:
    def test_a_full_disk(self, store: Store) -> None:
        committed(store, 1)
        with store.writing() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")  # SQLite then answers as on a full disk
        with pytest.raises(StoreError, match="cannot grow because the disk is full: free some space"), store.writing() as connection:
            models.save(connection, "climate", 2, np.ones(60_000, np.float32), models.UNKNOWN, 20)
        with store.writing() as connection:
            assert models.kept(connection, "climate") == [1], "what was committed is there, and the store goes on"
            connection.exec_driver_sql("PRAGMA max_page_count = 100000")
            models.save(connection, "climate", 2, np.ones(60_000, np.float32), models.UNKNOWN, 20)

    def test_somebody_elses_lock(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dialect, "BUSY_S", 0.01)
        opened = Store(path)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="is locked by another process: stop what else has it open"), opened.writing():
                pass
            other.execute("ROLLBACK")
        committed(opened, 1)
        opened.close()

    def test_a_damaged_file(self, store: Store, path: Path) -> None:
        for number in range(1, 11):
            committed(store, number)
        store.close()
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (size - 4096))
        with pytest.raises(StoreError, match=r"is damaged.*: stop the server, move the file away"):
            self.read_all(path)

    def read_all(self, path: Path) -> None:
        opened = Store(path)
        try:
            with opened.reading() as connection:
                models.latest(connection, "climate")
        finally:
            opened.close()

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match=r"nowhere/bramble.db.lock cannot be opened \(No such file or directory\)"):
            Store(tmp_path / "nowhere" / "bramble.db")

    def test_a_folder_in_place_of_the_file(self, path: Path) -> None:
        path.mkdir()
        with pytest.raises(StoreError, match="cannot be opened: check that its folder exists"):
            Store(path)


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "sentence"),
        [
            ("nonsense", "expected a URL such as sqlite:"),
            ("mysql://localhost/bramble", "mysql is not supported, expected sqlite or postgresql"),
            ("sqlite://", "needs a file"),
            ("sqlite:///:memory:", "needs a file"),
            ("postgresql+nothing://localhost/bramble", "driver for postgresql.nothing is not installed"),
        ],
    )
    def test_one_that_cannot_be_is_a_sentence(self, url: str, sentence: str) -> None:
        with pytest.raises(StoreError, match=sentence):
            Store(url)

    def test_a_file_may_be_named_by_url(self, path: Path) -> None:
        opened = Store(f"sqlite:///{path}")
        committed(opened, 1)
        opened.close()
        assert path.exists()

    def test_a_password_shows_in_no_message(self) -> None:
        pytest.importorskip("psycopg")
        with pytest.raises(StoreError) as caught:
            Store("postgresql+psycopg://bramble:h0ney@127.0.0.1:1/bramble")
        assert "h0ney" not in str(caught.value)
        assert "127.0.0.1" in str(caught.value)


def test_postgresql_too_belongs_to_one_server(postgresql: Cluster) -> None:
    first = Store(postgresql.url)
    try:
        with pytest.raises(StoreError, match="in use by another server"):
            Store(postgresql.url)
    finally:
        first.close()
    Store(postgresql.url).close()


def test_after_postgresql_was_away_it_belongs_to_the_same_server_again(postgresql: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    first = Store(postgresql.url)
    try:
        postgresql.stop()
        for _ in range(3):
            with pytest.raises(StoreError, match="cannot be reached"), first.writing() as connection:
                meta.put(connection, "tried", 1)
        assert first.trouble
        postgresql.start()
        with first.writing() as connection:
            meta.put(connection, "tried", 2)
        assert not first.trouble
        with pytest.raises(StoreError, match="in use by another server"):
            Store(postgresql.url)
    finally:
        first.close()
    assert caplog.text.count("it is tried again") == 1
    assert caplog.text.count("works again") == 1
    assert PASSWORD not in caplog.text


class TestPasswordFile:
    def test_the_password_of_a_database_can_come_from_a_file(self, postgresql: Cluster, tmp_path: Path) -> None:
        file = tmp_path / "password"
        file.write_text(PASSWORD + "\n")
        opened = Store(postgresql.bare_url, file)
        assert PASSWORD not in opened.where
        opened.close()

    @pytest.mark.parametrize(
        ("url", "content", "sentence"),
        [
            ("postgresql+psycopg://bramble@127.0.0.1:1/x", None, "password cannot be read (No such file or directory)"),
            ("postgresql+psycopg://bramble@127.0.0.1:1/x", "", "does not hold one password; write it alone into the file"),
            ("postgresql+psycopg://bramble@127.0.0.1:1/x", "two\nlines", "does not hold one password"),
            ("postgresql+psycopg://bramble:a@127.0.0.1:1/x", "b", "has a password already; give one of the two"),
            ("sqlite:////nowhere/bramble.db", "b", "SQLite has no password; name PostgreSQL by --database"),
        ],
    )
    def test_a_file_that_gives_none_is_named(self, url: str, content: str | None, sentence: str, tmp_path: Path) -> None:
        file = tmp_path / "password"
        if content is not None:
            file.write_text(content)
        with pytest.raises(StoreError) as caught:
            Store(url, file)
        assert str(caught.value).startswith("--database-password-file: ")
        assert sentence in str(caught.value)


def test_a_commit_is_on_the_disk_unless_it_may_wait_for_the_next(tmp_path: Path) -> None:
    store = Store(tmp_path / "bramble.db")
    modes = []
    for synced in (True, False, False, True):
        with store.writing(synced) as connection:
            modes.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())
    store.close()
    assert modes == [2, 1, 1, 2]  # FULL and NORMAL
