"""Whenever the server dies, what it has answered is there, and what it has not is not half there."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bramble_server.store import Store, models, rounds

SIZE = 20_000
KEEP = 5

WRITER = f"""
import sys
import numpy as np
from pathlib import Path
from bramble_server.store import Store, models, rounds

store = Store(Path(sys.argv[1]))
with store.writing() as connection:
    number, _ = rounds.recover(connection, "climate", 1.0, 16)
while True:
    number += 1
    with store.writing() as connection:
        rounds.opened(connection, "climate", number, 1.0, ["a", "b"])
    print("opened", number, flush=True)
    with store.writing() as connection:
        for client in "ab":
            rounds.parts(connection, number, [{{"client": client, "reason": None, "replied": 2.0, "samples": number}}])
            weights = np.full({SIZE}, number, np.float32)
            models.save_updates(connection, models.LatestUpdate("climate", client, number, number, {{}}, weights=weights))
        rounds.committed(connection, number, 3.0, 2, {{"loss_after": float(number)}})
        if number == int(sys.argv[2]):
            print("inside", number, flush=True)
            sys.stdin.read()
        models.save(connection, "climate", number, weights, models.UNKNOWN, {KEEP})
    print("committed", number, flush=True)
"""

Spawn = Callable[[int], subprocess.Popen[str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bramble.db"


@pytest.fixture
def spawn(path: Path) -> Iterator[Spawn]:
    """Start a writer that goes on for ever, or stops inside the transaction that commits a given round."""
    started: list[subprocess.Popen[str]] = []

    def start(pause_in: int = 0) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WRITER, str(path), str(pause_in)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def kill(process: subprocess.Popen[str]) -> list[str]:
    """Kill it as a power cut would; return what it had still answered."""
    process.send_signal(signal.SIGKILL)
    assert process.stdout
    rest = process.stdout.read()  # behind what was read ahead, which communicate() would pass over
    process.wait()
    return [line for line in rest.split("\n")[:-1] if line]


def check(path: Path) -> tuple[int, int]:
    """Hold the database to its promises; return the last round opened and the last committed."""
    store = Store(path)
    try:
        with store.writing() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            last, answered = rounds.recover(connection, "climate", 9.0, 16)
        with store.reading() as connection:
            found = models.latest(connection, "climate")
            history = rounds.history(connection, "climate", limit=10_000, clients=True)
            updates = list(models.latest_updates_of_all(connection, "climate"))
            kept = models.kept(connection, "climate")
    finally:
        store.close()
    assert [item["round"] for item in history] == list(range(1, last + 1))
    assert {item["state"] for item in history} <= {"committed", "abandoned"}
    done = [item["round"] for item in history if item["state"] == "committed"]
    committed = done[-1] if done else 0
    assert (found[0] if found else 0) == committed
    assert kept == done[-KEEP:]
    if found:
        np.testing.assert_array_equal(found[1], np.full(SIZE, committed, np.float32))
        assert [(item.client, item.round) for item in updates] == [("a", committed), ("b", committed)]
    for item in history:
        delivered = {client for client, part in item["clients"].items() if part["replied"] is not None}
        assert delivered == ({"a", "b"} if item["state"] == "committed" else set())
        assert answered.get(item["round"], frozenset()) == delivered or item["round"] <= last - 16
    return last, committed


def test_killed_again_and_again_it_never_loses_what_it_answered(spawn: Spawn, path: Path) -> None:
    last = committed = 0
    for lines in (1, 2, 3, 4, 7, 10, 15, 20):
        process = spawn(0)
        assert process.stdout
        said = [process.stdout.readline().strip() for _ in range(lines)] + kill(process)
        for line in said:
            word, number = line.split()
            last = max(last, int(number))
            committed = max(committed, int(number)) if word == "committed" else committed
        now_last, now_committed = check(path)
        assert now_last in (last, last + 1), "at most the one that it had no time to answer"
        assert now_committed >= committed
        last, committed = now_last, now_committed
    assert committed > 8


@pytest.mark.parametrize("number", [1, 2, 8])
def test_killed_inside_a_commit_it_leaves_the_round_abandoned_and_the_model_as_it_was(spawn: Spawn, path: Path, number: int) -> None:
    process = spawn(number)
    assert process.stdout
    while process.stdout.readline().strip() != f"inside {number}":
        assert process.poll() is None
    kill(process)
    assert check(path) == (number, number - 1)


def test_a_log_torn_at_any_place_still_holds_whole_transactions(spawn: Spawn, path: Path, tmp_path: Path) -> None:
    process = spawn(8)
    assert process.stdout
    while process.stdout.readline().strip() != "inside 8":
        assert process.poll() is None
    wal = path.with_name(path.name + "-wal").read_bytes()
    database = path.read_bytes()
    kill(process)
    seen = set()
    for cut in np.linspace(0, len(wal), 40).astype(int):
        torn = tmp_path / f"torn-{cut}" / "bramble.db"
        torn.parent.mkdir()
        torn.write_bytes(database)
        torn.with_name("bramble.db-wal").write_bytes(wal[:cut])
        seen.add(check(torn)[1])
        shutil.rmtree(torn.parent)
    assert max(seen) == 7
    assert len(seen) > 2
