"""Large models' weights in files beside the database."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from bramble_protocol.layout import Weights
from bramble_server.store import Store, StoreError, models, reset
from bramble_server.store.weights import LARGE

NUMBERS = LARGE // 4


def save(store: Store, number: int, keep: int = 20, size: int = NUMBERS) -> Weights:
    weights = np.random.default_rng(number).standard_normal(size, np.float32)
    with store.writing() as connection:
        models.save(connection, "climate", number, weights, models.UNKNOWN, keep)
    return weights


def get(store: Store, number: int) -> Weights | None:
    with store.reading() as connection:
        return models.get(connection, "climate", number)


def files(path: Path) -> set[str]:
    return {file.name for file in path.with_name("bramble.db.models").glob("*")}


@pytest.mark.parametrize("size", [NUMBERS - 1, NUMBERS, NUMBERS + 1])
def test_a_model_comes_back_to_the_bit_from_wherever_it_is(reopen: Callable[[], Store], size: int) -> None:
    weights = save(reopen(), 1, size=size)
    store = reopen()
    with store.reading() as connection:
        number, found = models.latest(connection, "climate") or (0, None)
        before = models.before(connection, "climate", 2)
    assert number == 1
    assert before is not None
    for one in (found, before[1], get(store, 1)):
        np.testing.assert_array_equal(one, weights)


def test_only_large_ones_have_a_file_that_only_its_owner_reads(path: Path) -> None:
    with closing(Store(path)) as store:
        save(store, 1, size=NUMBERS - 1)
        assert files(path) == set()
        save(store, 2)
    (file,) = path.with_name("bramble.db.models").iterdir()
    assert (file.name, file.stat().st_size, file.stat().st_mode & 0o077) == ("2.f32", LARGE, 0)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT round, length(weights) FROM models ORDER BY round").fetchall() == [(1, LARGE - 4), (2, 0)]


def test_a_file_goes_with_its_row(path: Path) -> None:
    with closing(Store(path)) as store:
        for number in (1, 2, 3):
            save(store, number, keep=2)
        assert files(path) == {"2.f32", "3.f32"}
        assert get(store, 1) is None
        with store.writing() as connection:
            reset(connection)
        assert files(path) == set()


def test_a_reader_who_began_before_a_model_went_finds_it_kept_no_more(path: Path) -> None:
    with closing(Store(path)) as store:
        save(store, 1)
        with store.reading() as connection:
            assert models.kept(connection, "climate") == [1]
            save(store, 2, keep=1)
            assert models.kept(connection, "climate") == [1], "the reader sees what there was"
            assert models.get(connection, "climate", 1) is None
        assert not store.trouble


def test_the_file_is_on_the_disk_before_the_row_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    synced = os.fdatasync

    def sync(file: int) -> None:
        synced(file)
        with closing(sqlite3.connect(path)) as raw:
            seen.append(raw.execute("SELECT count(*) FROM models").fetchone()[0])

    with closing(Store(path)) as store:
        monkeypatch.setattr(os, "fdatasync", sync)
        save(store, 1)
        assert seen == [0]
        assert get(store, 1) is not None


def test_what_is_rolled_back_leaves_all_as_it_was(path: Path) -> None:
    with closing(Store(path)) as store:
        first = save(store, 1, keep=1)

        with suppress(KeyError), store.writing() as connection:
            models.save(connection, "climate", 2, np.ones(NUMBERS, np.float32), models.UNKNOWN, 1)
            raise KeyError
        np.testing.assert_array_equal(get(store, 1), first)
        with pytest.raises(StoreError):  # a number that is taken
            save(store, 1, keep=1)
        np.testing.assert_array_equal(get(store, 1), first)
        with store.writing():
            pass
        assert files(path) == {"1.f32"}


def test_what_a_process_left_that_was_killed_in_between_goes_with_the_next_write(path: Path) -> None:
    with closing(Store(path)) as store:
        save(store, 1)
    path.with_name("bramble.db.models").joinpath("2.f32").write_bytes(b"torn")
    with closing(Store(path)) as store:
        second = save(store, 2)
        np.testing.assert_array_equal(get(store, 2), second)
        path.with_name("bramble.db.models").joinpath("3.f32").write_bytes(b"torn")
    with closing(Store(path)) as store, store.writing():
        pass
    assert files(path) == {"1.f32", "2.f32"}


def test_a_file_that_is_missing_or_another_is_named_with_the_remedy(path: Path) -> None:
    with closing(Store(path)) as store:
        save(store, 1)
        file = path.with_name("bramble.db.models") / "1.f32"
        whole = file.read_bytes()
        for other in (whole[:-4], bytes([whole[0] ^ 1]) + whole[1:]):
            file.write_bytes(other)
            with pytest.raises(StoreError, match=r"1\.f32 is not the model of round 1 as it was written: restore a copy"):
                get(store, 1)
        file.unlink()
        with pytest.raises(StoreError, match=r"the model of round 1 cannot be read from .*1\.f32 \(No such file or directory\): restore"):
            get(store, 1)


def test_where_no_file_can_be_written_nothing_is_committed(path: Path) -> None:
    path.with_name("bramble.db.models").write_text("in the way")
    with closing(Store(path)) as store:
        with pytest.raises(StoreError, match=r"the model of round 1 cannot be written to .*1\.f32 \(File exists\)"):
            save(store, 1)
        assert get(store, 1) is None
        save(store, 2, size=3)
        assert get(store, 2) is not None
