from __future__ import annotations

import errno
import resource
import signal
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from bramble_protocol.layout import Weights
from bramble_server.learning.aggregate import BLOCK
from bramble_server.rounds.spool import Spool, SpoolError, measure


def vectors(count: int, size: int) -> list[Weights]:
    rng = np.random.default_rng(3)
    return [rng.standard_normal(size, np.float32) for _ in range(count)]


@pytest.mark.parametrize("size", [1, 1000, BLOCK + 5])
def test_gives_back_every_update_as_it_came_and_in_order(tmp_path: Path, size: int) -> None:
    updates = vectors(5, size)
    with Spool(size, tmp_path) as spool:
        for index, weights in enumerate(updates):
            spool.append(f"pi-{index}", weights)
        for _ in range(2):
            back = [(client, weights.copy()) for client, weights in spool]
            assert [client for client, _ in back] == [f"pi-{index}" for index in range(5)]
            for (_, got), sent in zip(back, updates, strict=True):
                np.testing.assert_array_equal(got, sent)


def test_appending_goes_on_after_reading(tmp_path: Path) -> None:
    first, second = vectors(2, 10)
    with Spool(10, tmp_path) as spool:
        spool.append("a", first)
        list(spool)
        spool.append("b", second)
        assert len(spool) == 2
        np.testing.assert_array_equal([weights.copy() for _, weights in spool], [first, second])


def test_a_clients_second_update_takes_the_place_of_its_first(tmp_path: Path) -> None:
    first, second, third, fourth = vectors(4, 10)
    with Spool(10, tmp_path) as spool:
        for client, weights in (("a", first), ("b", second), ("a", third), ("c", fourth)):
            spool.append(client, weights)
        assert [client for client, _ in spool] == ["a", "b", "c"]
        np.testing.assert_array_equal([weights.copy() for _, weights in spool], [third, second, fourth])


def test_has_no_name_on_the_disk_that_a_killed_server_could_leave(tmp_path: Path) -> None:
    with Spool(10, tmp_path) as spool:
        spool.append("a", np.ones(10, np.float32))
        assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_clients(tmp_path: Path) -> None:
    size = 1_000_000
    update = np.ones(size, np.float32)
    with Spool(size, tmp_path) as spool:
        tracemalloc.start()
        try:
            for index in range(20):
                spool.append(f"pi-{index}", update)
            for _ in spool.measures(update, update):
                pass
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 3 * update.nbytes


@contextmanager
def small_disk() -> Iterator[None]:
    """A limit on file sizes stands in for a full disk: the kernel cuts the write short, then refuses the next.

    It holds for the whole process, so it must be gone before the test's outcome is written to a log.
    """
    former_signal = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
        signal.signal(signal.SIGXFSZ, former_signal)


def test_a_full_disk_is_a_sentence_and_costs_only_the_update_that_did_not_fit(tmp_path: Path) -> None:
    first, second = vectors(2, 1000)
    with Spool(1000, tmp_path) as spool:
        spool.append("pi-1", first)
        with small_disk(), pytest.raises(SpoolError, match="the update of pi-2 could not be put aside"):
            spool.append("pi-2", second)
        assert [client for client, _ in spool] == ["pi-1"]
        np.testing.assert_array_equal(next(iter(spool))[1], first)


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match=r"no temporary file can be made in .*nowhere"):
        Spool(10, tmp_path / "nowhere")


def test_a_file_cut_short_is_noticed(tmp_path: Path) -> None:
    with Spool(100, tmp_path) as spool:
        spool.append("a", np.ones(100, np.float32))
        spool._file.truncate(13)
        with pytest.raises(SpoolError, match="the update of a cannot be read back"):
            list(spool)


def test_an_error_that_the_disk_reports_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class BrokenDisk:
        def seek(self, where: int) -> None: ...
        def write(self, data: memoryview) -> int:
            raise OSError(errno.EIO, "Input/output error")

    with Spool(10, tmp_path) as spool, monkeypatch.context() as patched:
        patched.setattr(spool, "_file", BrokenDisk())
        with pytest.raises(SpoolError, match="Input/output error"):
            spool.append("a", np.ones(10, np.float32))


class TestMeasures:
    def test_agree_with_their_definitions(self, tmp_path: Path) -> None:
        old, new, *updates = (vector.astype(np.float32) for vector in vectors(5, BLOCK + 100))
        with Spool(len(old), tmp_path) as spool:
            for index, weights in enumerate(updates):
                spool.append(f"pi-{index}", weights)
            for index, (found, weights) in enumerate(spool.measures(old, new)):
                update, step = (updates[index] - old.astype(np.float64)), (new - old.astype(np.float64))
                assert found.client == f"pi-{index}"
                assert found.update_norm == pytest.approx(np.linalg.norm(update))
                assert found.distance == pytest.approx(np.linalg.norm(updates[index] - new.astype(np.float64)))
                assert found.cosine == pytest.approx(update @ step / np.linalg.norm(update) / np.linalg.norm(step))
                np.testing.assert_array_equal(weights, updates[index])

    def test_a_single_clients_update_points_the_way_the_model_went(self) -> None:
        old, new = np.zeros(3, np.float32), np.array([3, 4, 0], np.float32)
        found = measure("a", new, old, new)
        assert (found.update_norm, found.cosine, found.distance) == (5.0, 1.0, 0.0)

    def test_the_opposite_way_is_minus_one(self) -> None:
        old, new = np.zeros(2, np.float32), np.array([1, 1], np.float32)
        assert measure("a", -new, old, new).cosine == pytest.approx(-1.0)

    def test_no_direction_without_a_step(self) -> None:
        old = np.ones(3, np.float32)
        assert measure("a", old, old, old + 1).cosine is None
        assert measure("a", old + 1, old, old).cosine is None

    def test_extreme_weights_do_not_overflow(self) -> None:
        top = np.full(4, np.finfo(np.float32).max, np.float32)
        found = measure("a", top, -top, top)
        assert np.isfinite(found.update_norm)
        assert found.cosine == pytest.approx(1.0)
