from __future__ import annotations

import logging
import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from bramble_client.acquire.database import Database, StorageError
from bramble_client.acquire.recorder import Recorder

NAN = math.nan


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Recorder]]:
    made: list[Recorder] = []

    def build(cap: int = 1000, commit_every: float = 0.0) -> Recorder:
        made.append(Recorder(tmp_path / "readings.db", cap, commit_every))
        return made[-1]

    yield build
    for recorder in made:
        recorder.close()


def rows_on_disk(path: Path) -> int:
    db = sqlite3.connect(path)
    try:
        return int(db.execute("SELECT count(*) FROM samples").fetchone()[0])
    finally:
        db.close()


def test_samples_come_back_in_order_of_time_whatever_order_they_came_in(make: Callable[..., Recorder]) -> None:
    recorder = make()
    recorder.append(30.0, {"temperature": 3.0, "humidity": 33.0})
    recorder.append(10.0, {"temperature": 1.0, "humidity": 11.0})
    recorder.append_many([(20.0, {"temperature": 2.0, "humidity": 22.0})])
    t, values = recorder.columns(["humidity", "temperature"])
    assert_array_equal(t, [10, 20, 30])
    assert_array_equal(values, [[11, 1], [22, 2], [33, 3]])
    assert t.dtype == values.dtype == np.float64


def test_a_failed_or_not_finite_reading_and_a_channel_never_seen_are_nan(make: Callable[..., Recorder]) -> None:
    recorder = make()
    recorder.append(1.0, {"temperature": None, "humidity": 50.0})
    recorder.append(2.0, {"temperature": NAN, "humidity": math.inf})
    recorder.append(3.0, {"humidity": 52.0})
    _, values = recorder.columns(["temperature", "humidity", "pressure"])
    assert_array_equal(values, [[NAN, 50, NAN], [NAN, NAN, NAN], [NAN, 52, NAN]])


def test_an_empty_store_has_no_rows_but_as_many_columns_as_asked(make: Callable[..., Recorder]) -> None:
    t, values = make().columns(["temperature", "pressure"])
    assert t.shape == (0,)
    assert values.shape == (0, 2)


def test_since_is_inclusive(make: Callable[..., Recorder]) -> None:
    recorder = make()
    recorder.append_many((float(t), {"temperature": float(t)}) for t in range(10))
    assert_array_equal(recorder.columns(["temperature"], 7.0)[0], [7, 8, 9])
    assert recorder.columns(["temperature"], 10.0)[0].size == 0


def test_the_same_time_twice_is_one_sample_that_the_second_completes(make: Callable[..., Recorder]) -> None:
    recorder = make()
    recorder.append(5.0, {"temperature": 1.0, "humidity": 40.0})
    recorder.append(5.0, {"temperature": 2.0})
    t, values = recorder.columns(["temperature", "humidity"])
    assert_array_equal(t, [5])
    assert_array_equal(values, [[2, 40]])


def test_the_oldest_make_room_and_the_cap_holds_after_every_commit(make: Callable[..., Recorder], tmp_path: Path) -> None:
    recorder = make(cap=100)
    for start in range(0, 1000, 7):
        recorder.append_many((float(t), {"temperature": 0.5}) for t in range(start, start + 7))
        assert rows_on_disk(tmp_path / "readings.db") <= 100
    t, _ = recorder.columns(["temperature"])
    assert t[-1] == 1000
    assert t.size > 90
    assert_array_equal(t, np.arange(t[0], 1001))


def test_rewriting_the_same_samples_does_not_push_others_out(make: Callable[..., Recorder]) -> None:
    recorder = make(cap=100)
    for _ in range(50):
        recorder.append_many((float(t), {"temperature": 0.5}) for t in range(90))
    assert recorder.columns(["temperature"])[0].size == 90


def test_the_cap_of_a_store_that_was_opened_again_counts_what_was_there(make: Callable[..., Recorder]) -> None:
    make().append_many((float(t), {"temperature": 0.5}) for t in range(120))
    again = make(cap=100)
    again.append(500.0, {"temperature": 1.0})
    t, _ = again.columns(["temperature"])
    assert t.size <= 100
    assert t[-1] == 500


def test_samples_gather_before_they_are_committed_and_a_reader_sees_them_all(make: Callable[..., Recorder], tmp_path: Path) -> None:
    recorder = make(commit_every=3600.0)
    recorder.append(0.0, {"temperature": 0.0})  # the first one of a quiet store is committed at once
    for t in range(1, 6):
        recorder.append(float(t), {"temperature": 0.0})
    assert rows_on_disk(tmp_path / "readings.db") == 1
    assert recorder.columns(["temperature"])[0].size == 6
    assert rows_on_disk(tmp_path / "readings.db") == 6


def test_many_pending_samples_are_committed_before_their_time(make: Callable[..., Recorder], tmp_path: Path) -> None:
    recorder = make(cap=10_000, commit_every=3600.0)
    for t in range(1500):
        recorder.append(float(t), {"temperature": 0.0})
    assert rows_on_disk(tmp_path / "readings.db") == 1001


def test_labels_are_kept_in_order_of_time_and_outlive_the_process(make: Callable[..., Recorder]) -> None:
    recorder = make()
    recorder.label(20.0, "sitting")
    recorder.label(10.0, "walking")
    assert recorder.labels() == [(10.0, "walking"), (20.0, "sitting")]
    recorder.close()
    assert make().labels() == [(10.0, "walking"), (20.0, "sitting")]


def test_old_labels_make_room(make: Callable[..., Recorder]) -> None:
    recorder = make(cap=5)
    for t in range(9):
        recorder.label(float(t), "walking")
    assert [t for t, _ in recorder.labels()] == [4.0, 5.0, 6.0, 7.0, 8.0]


def test_clear_forgets_labels_too(make: Callable[..., Recorder]) -> None:
    recorder = make()
    recorder.label(10.0, "walking")
    recorder.clear()
    assert recorder.labels() == []


def test_clear_forgets_samples_pending_ones_too_and_keeps_named_values(make: Callable[..., Recorder]) -> None:
    recorder = make(commit_every=3600.0)
    recorder.set("cycle", "7")
    for t in range(3):
        recorder.append(float(t), {"temperature": 0.0})
    recorder.clear()
    assert recorder.columns(["temperature"])[0].size == 0
    assert recorder.get("cycle") == "7"


def test_named_values_are_replaced_forgotten_and_survive_reopening(make: Callable[..., Recorder]) -> None:
    first = make()
    assert first.get("tested_until") is None
    first.set("tested_until", "1.5")
    first.set("tested_until", "2.5")
    first.set("cycle", "1")
    first.set("cycle", None)
    assert make().get("tested_until") == "2.5"
    assert make().get("cycle") is None


@pytest.mark.parametrize("t", [math.nan, math.inf])
def test_a_time_that_is_no_time_is_refused(make: Callable[..., Recorder], t: float) -> None:
    with pytest.raises(ValueError, match="finite time"):
        make().append(t, {"temperature": 1.0})


@pytest.mark.parametrize("key", ["", "Temperature", 'x" REAL); DROP TABLE samples; --', "a" * 64])
def test_a_key_that_is_no_channel_key_is_refused_before_it_reaches_sql(make: Callable[..., Recorder], key: str) -> None:
    with pytest.raises(ValueError, match="channel key"):
        make().append_many([(1.0, {key: 1.0})])


def test_many_threads_lose_nothing(make: Callable[..., Recorder]) -> None:
    recorder = make(cap=100_000)

    def work(index: int) -> None:
        for step in range(200):
            recorder.append(index + step / 1000, {"temperature": float(index)})
            if step % 50 == 0:
                recorder.columns(["temperature"])
                recorder.set(f"thread-{index}", str(step))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _, values = recorder.columns(["temperature"])
    assert_array_equal(np.bincount(values[:, 0].astype(int)), [200] * 6)


def test_a_full_disk_is_said_once_loses_nothing_and_is_over_when_there_is_room(
    make: Callable[..., Recorder], caplog: pytest.LogCaptureFixture
) -> None:
    recorder = make(cap=1_000_000)
    recorder.append(0.0, {"temperature": 0.0})
    pages = recorder._db.execute("PRAGMA page_count").fetchone()[0]
    recorder._db.execute(f"PRAGMA max_page_count = {pages}")
    batch = [(float(t), {"temperature": 1.0, "pressure": 1000.0}) for t in range(1, 2001)]
    recorder.append_many(batch[:1000])
    recorder.append_many(batch[1000:])
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "full; make room on it" in caplog.text
    assert recorder.trouble == "full"
    assert recorder.columns(["temperature"])[0].size == 2001, "what waits is trained on all the same"
    recorder._db.execute("PRAGMA max_page_count = 1000000")
    recorder.append(5000.0, {"temperature": 1.0})
    t, values = recorder.columns(["temperature", "pressure"])
    assert t.size == 2002
    assert np.isfinite(values[1:2001]).all()
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
    assert recorder.trouble is None


CHILD = """
import sys
from pathlib import Path
from bramble_client.acquire.recorder import Recorder
recorder = Recorder(Path(sys.argv[1]), 400)
for start in range(0, 10**9, 50):
    recorder.append_many((float(t), {"temperature": t / 10, "humidity": 50.0}) for t in range(start, start + 50))
    print(start + 50, flush=True)
"""


def test_a_killed_process_leaves_a_whole_store_with_every_committed_sample(tmp_path: Path) -> None:
    path = tmp_path / "readings.db"
    top = 0
    for kills in range(1, 6):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        said = [int(next(child.stdout)) for _ in range(kills * 17)]
        os.kill(child.pid, signal.SIGKILL)
        said += [int(line) for line in child.stdout if line.strip()]
        child.stdout.close()
        child.wait()
        top = max(top, said[-1])
        recorder = Recorder(path, 400)
        assert recorder._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        t, values = recorder.columns(["temperature", "humidity"])
        assert t[-1] >= top - 1
        assert np.isfinite(values).all()
        assert t.size <= 400
        recorder.close()


def test_a_damaged_file_is_set_aside_and_a_new_one_started(
    make: Callable[..., Recorder], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "readings.db"
    path.write_bytes(b"this is no database" * 1000)
    recorder = make()
    recorder.append(1.0, {"temperature": 1.0})
    assert recorder.columns(["temperature"])[0].size == 1
    aside = [file for file in tmp_path.iterdir() if "damaged" in file.name]
    assert [file.read_bytes()[:7] for file in aside] == [b"this is"]
    assert len(caplog.records) == 1
    assert aside[0].name in caplog.text


def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"readings\.db cannot be opened"):
        Database(tmp_path / "missing" / "readings.db", "", ())


GROWN = """
import resource, signal, sys
from pathlib import Path
from bramble_client.acquire.recorder import Recorder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))
recorder = Recorder(Path(sys.argv[1]), cap=1_000_000)
for start in range(0, 200_000, 1000):
    recorder.append_many((float(t), {"temperature": 1.0}) for t in range(start, start + 1000))
    if recorder.trouble:
        break
print(recorder.trouble, start, recorder.span()[0])
"""


def test_a_file_that_may_not_grow_any_more_is_named_with_what_to_do(tmp_path: Path) -> None:
    """The unit allows a gigabyte; what was written stays whole, and readable."""
    done = subprocess.run([sys.executable, "-c", GROWN, tmp_path / "readings.db"], capture_output=True, text=True, check=True)
    trouble, start, count = done.stdout.split()
    assert trouble == "full"
    assert 0 < int(count) <= int(start)
    assert "has reached the 2 MB that a file may have (LimitFSIZE= in its unit); lower keep_samples" in done.stderr
