"""A round's file: what was synced is there after any end of the process or the power, and what was torn is not."""

from __future__ import annotations

import errno
import os
import resource
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from bramble_protocol.layout import Weights
from bramble_server.rounds import roundfile
from bramble_server.rounds.roundfile import Header, Record, RoundFile, RoundFileError

HEADER = Header(7, "ab" * 32, "private", 5, ("a", "b", "zoë"), 100.5, 160.5)
Make = Callable[[], RoundFile]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "7.round"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    opened: list[RoundFile] = []

    def make_one() -> RoundFile:
        opened.append(RoundFile.create(path, HEADER))
        return opened[-1]

    yield make_one
    for file in opened:
        file.close()


def vectors(count: int, size: int = 5) -> list[Weights]:
    rng = np.random.default_rng(3)
    return [rng.standard_normal(size, np.float32) for _ in range(count)]


def about(client: str) -> dict[str, object]:
    return {"kind": "update", "client": client, "at": 1.5}


def reopened(path: Path) -> tuple[Header, list[tuple[str, list[float]]]]:
    """What a next process finds, and what it would find after having gone on."""
    file, records = RoundFile.reopen(path)
    found = [(record.about["client"], back(file, record)) for record in records]
    file.append(about("later"), np.zeros(5, np.float32))
    file.sync()
    file.close()
    again, more = RoundFile.reopen(path)
    again.close()
    assert [record.about for record in more[:-1]] == [record.about for record in records]
    assert more[-1].about["client"] == "later"
    return file.header, found


def back(file: RoundFile, record: Record) -> list[float]:
    weights = np.empty(record.length // 4, np.float32)
    file.read(record, weights)
    return weights.tolist()


def test_only_the_servers_user_can_read_it(make: Make, path: Path) -> None:
    make()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_next_process_finds_header_and_records_in_their_order(make: Make, path: Path) -> None:
    first, second = vectors(2)
    file = make()
    file.append(about("b"), first)
    file.append({"kind": "left", "client": "zoë", "at": 2.0})
    file.append(about("a"), second)
    file.close()
    header, found = reopened(path)
    assert header == HEADER
    assert found == [("b", first.tolist()), ("zoë", []), ("a", second.tolist())]


def test_a_file_of_that_name_that_is_there_is_no_part_of_the_new_one(make: Make, path: Path) -> None:
    path.write_bytes(b"x" * 10_000)
    path.chmod(0o644)
    make().close()
    assert reopened(path) == (HEADER, [])
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_last_record_torn_at_any_byte_is_cut_off_and_the_others_are_whole(make: Make, path: Path) -> None:
    first, last = vectors(2)
    file = make()
    file.append(about("a"), first)
    whole = path.stat().st_size
    file.append(about("b"), last)
    data = path.read_bytes()
    for end in range(whole, len(data)):
        for tail in (b"", bytes(len(data) - end), b"\xff" * (len(data) - end)):  # cut, or of a length whose bytes never came
            if data[:end] + tail == data:
                continue
            path.write_bytes(data[:end] + tail)
            assert reopened(path)[1] == [("a", first.tolist())], (end, tail[:1])


def test_one_damaged_update_is_none_and_those_after_it_are(make: Make, path: Path) -> None:
    first, second = vectors(2)
    file = make()
    record = file.append(about("a"), first)
    file.append(about("b"), second)
    data = bytearray(path.read_bytes())
    data[record.start] ^= 1
    path.write_bytes(data)
    assert reopened(path)[1] == [("b", second.tolist())]


@pytest.mark.parametrize("content", [b"", b"bram", b"\0" * 100, b"SQLite format 3\0" * 10])
def test_what_does_not_begin_as_one_is_a_sentence(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(RoundFileError, match=r"7\.round does not begin as one of this version"):
        RoundFile.reopen(path)


def test_one_of_another_version_is_a_sentence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as then:
        then.setattr(roundfile, "FORMAT", 9)
        RoundFile.create(path, HEADER).close()
    with pytest.raises(RoundFileError, match="of this version"):
        RoundFile.reopen(path)


def test_memory_does_not_grow_with_the_clients(tmp_path: Path) -> None:
    size = 1_000_000
    update = np.ones(size, np.float32)
    file = RoundFile.create(tmp_path / "1.round", HEADER)
    tracemalloc.start()
    try:
        records = [file.append(about(f"pi-{index}"), update) for index in range(20)]
        space = np.empty(size, np.float32)
        for record in records:
            file.read(record, space)
        file.close()
        RoundFile.reopen(tmp_path / "1.round")[0].close()
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


def test_a_full_disk_is_a_sentence_and_costs_only_the_update_that_did_not_fit(make: Make, path: Path) -> None:
    first, second = vectors(2, 1000)
    third = vectors(1, 10)[0]
    file = make()
    file.append(about("a"), first)
    size = path.stat().st_size
    with small_disk(), pytest.raises(RoundFileError, match="the update of b could not be put aside"):
        file.append(about("b"), second)
    assert path.stat().st_size == size
    file.append(about("zoë"), third)
    assert reopened(path)[1] == [("a", first.tolist()), ("zoë", third.tolist())]


def test_what_a_sync_failed_to_write_is_gone_so_that_it_is_written_anew(make: Make, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = vectors(2)
    file = make()
    file.append(about("a"), first)
    file.sync()

    def broken(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        file.append(about("b"), second)
        with pytest.raises(RoundFileError, match="Input/output error"):
            file.sync()
    assert reopened(path)[1] == [("a", first.tolist())]


def test_the_first_sync_has_the_disk_know_the_file_by_its_name(make: Make, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    whole = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.readlink(f"/proc/self/fd/{handle}")), whole(handle))[1])
    file = make()
    file.sync()
    assert synced == [str(path.parent)]


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RoundFileError, match=r"nowhere.7\.round cannot be made"):
        RoundFile.create(tmp_path / "nowhere" / "7.round", HEADER)


def test_a_file_cut_short_is_noticed(make: Make, path: Path) -> None:
    file = make()
    record = file.append(about("a"), np.ones(5, np.float32))
    os.truncate(path, record.start + 3)
    with pytest.raises(RoundFileError, match=r"the update of a in .* cannot be read back"):
        file.read(record, np.empty(5, np.float32))


def test_what_came_beside_the_weights_is_read_back_by_its_name(make: Make, path: Path) -> None:
    file, (weights, delta, more) = make(), vectors(3)
    file.append(about("a"), weights)
    record = file.append({**about("b"), "sections": ["control_delta", "more"]}, weights, delta, more)
    file.sync()
    file.close()
    file, records = RoundFile.reopen(path)
    assert [record.sections for record in records] == [(), ("control_delta", "more")]
    for section, expected in ((None, weights), ("control_delta", delta), ("more", more)):
        found = np.empty(5, np.float32)
        file.read(records[1], found, section)
        np.testing.assert_array_equal(found, expected)
    file.close()
    with path.open("rb") as opened:
        np.testing.assert_array_equal(roundfile.read(path, opened.fileno(), record, 5), weights)


def test_what_is_small_is_written_in_one_go_and_what_is_large_is_not_copied(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    file, sizes, write = make(), list[int](), os.pwrite

    def written(handle: int, data: bytes | memoryview, at: int) -> int:
        sizes.append(len(data))
        return write(handle, data, at)

    monkeypatch.setattr(os, "pwrite", written)
    small = file.append(about("a"), np.ones(5, np.float32))
    assert len(sizes) == 1
    file.append(about("b"), np.ones(1 << 20, np.float32))
    assert len(sizes) == 3
    assert sizes[2] == 4 << 20
    found = np.empty(5, np.float32)
    file.read(small, found)
    assert found.tolist() == [1.0] * 5
