"""A real server whose rounds wait for nobody, killed (SIGKILL) at several points and started again on the same data.

Every client's training adds one to each weight, and old updates count as any other, so the model is its initial value plus the number of
rounds that committed: an update that was lost, counted twice or laid on the wrong model would show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine

from bramble_server.store import rounds
from tests.server.process import LAYOUT, ROOT, ServerProcess
from tests.server.worker import Worker
from tests.waiting import wait_for

DYING = ROOT / "tests" / "server" / "dying.py"
FLAGS = (
    *("--discipline", "asynchronous", "--buffer", "2", "--max-staleness", "1000", "--staleness-exponent", "0"),
    *("--min-clients", "2", "--min-updates", "2", "--deadline", "1h", "--keep-rounds", "1000000"),
)


def started(folder: Path, die_at: str = "never:0", port: int = 0) -> ServerProcess:
    return ServerProcess(folder, *FLAGS, port=port, script=DYING, DIE_AT=die_at)


def history(server: ServerProcess) -> list[dict[str, Any]]:
    """Return all rounds, with their clients; they follow each other so quickly that no answer over HTTP holds them all."""
    engine = create_engine(f"sqlite:///{server.folder / 'data' / 'bramble.db'}")
    with engine.connect() as connection:
        return rounds.history(connection, "small", limit=1_000_000, clients=True)


def checked(server: ServerProcess) -> list[dict[str, Any]]:
    """Stop the rounds; return what was committed, once it is seen that the model is what exactly these updates made."""
    server.request("POST", "/stop")
    done = [one for one in history(server) if one["state"] == "committed"]
    answers = [
        (client, part["asked"] or one["round"]) for one in done for client, part in one["clients"].items() if part["replied"] is not None
    ]
    assert len(answers) == len(set(answers)), "what was asked once counts once"
    # What came with the last update lies in its file, too: after a kill it counts there.
    assert all(2 <= one["updates"] == sum(part["replied"] is not None for part in one["clients"].values()) <= 3 for one in done)
    weights = np.frombuffer(server.request("GET", "/model", {"Accept": "application/octet-stream"})[1], "<f4")
    assert weights.tolist() == (np.arange(LAYOUT.size) + len(done)).tolist()
    return done


def accepted(workers: Sequence[Worker]) -> set[tuple[str, int]]:
    """Who was told that what he was asked in a round is taken."""
    return {(f"pi-{index}", number) for index, worker in enumerate(workers) for number, ack in list(worker.acks) if ack["accepted"]}


def kept(server: ServerProcess) -> set[tuple[str, int]]:
    """Return whose answers are on record, in rounds that were stopped too."""
    return {
        (client, part["asked"] or one["round"]) for one in history(server) for client, part in one["clients"].items() if part["replied"]
    }


@pytest.fixture
def slow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[ServerProcess, list[Worker]]]:
    """A server that dies as it is told, and three clients, of which the last trains for long."""
    server = started(tmp_path, getattr(request, "param", "never:0"))
    workers = [Worker(server.url, f"pi-{index}") for index in range(3)]
    workers[2].go.clear()
    wait_for(lambda: server.api.status()["clients"] == 3, "three clients")
    yield server, workers
    for worker in workers:
        worker.go.set()
    for worker in workers:
        worker.stop()


POINTS = (
    *("before asking", "before an update is on the disk", "before an update is acknowledged", "before the commit", "in the commit"),
    *("after the commit", "before its file is let go"),
)


@pytest.mark.parametrize(("slow", "point"), [(f"{point}:3", point) for point in POINTS], indirect=["slow"])
def test_a_server_that_dies_at_a_point_of_a_version_goes_on_by_itself(slow: tuple[ServerProcess, list[Worker]], point: str) -> None:
    server, workers = slow
    server.request("POST", "/")
    for following in (f"{point}:6", "never:0"):
        assert server.process.wait(60) == -9
        server.stop()
        server = started(server.folder, following, port=server.port)
    known = server.api.status()["round"]
    assert known >= 4
    # Versions follow one another once both others are back; what came before that would be refused, and asked for anew.
    wait_for(lambda: server.api.status()["round"] > known, "another version without the slow one")
    known = server.api.status()["round"]
    workers[2].go.set()
    wait_for(lambda: any(ack["accepted"] for _, ack in list(workers[2].acks)), "what the slow one trained all the time to be taken")
    wait_for(lambda: server.api.status()["round"] > known + 2, "it to go on by itself")
    checked(server)
    assert accepted(workers) <= kept(server), "what was acknowledged is there"
    assert ("pi-2", 1) in kept(server), "though it was asked before the first kill"
    server.stop()


def test_who_is_slow_holds_up_nobody_and_counts_when_it_is_done(slow: tuple[ServerProcess, list[Worker]]) -> None:
    server, workers = slow
    status, opened, _ = server.request("POST", "/")
    assert (status, opened["clients"]) == (202, ["pi-0", "pi-1", "pi-2"])
    wait_for(lambda: server.api.status()["round"] >= 5, "five versions without the slow one")
    assert "pi-2" in server.api.status()["waiting_for"]
    workers[2].go.set()
    wait_for(lambda: (1, {"accepted": True}) in list(workers[2].acks), "its update to be taken")
    wait_for(lambda: len(list(workers[2].acks)) >= 3, "it to be asked again")
    done = checked(server)
    parameters = {"buffer": 2, "max_staleness": 1000, "staleness_exponent": 0.0, "concurrency": None}
    assert done[0]["discipline"] == server.api.status()["discipline"] == {"name": "asynchronous", "parameters": parameters}
    assert {part["asked"] for one in done for client, part in one["clients"].items() if client == "pi-2"} >= {1}
    assert server.api.stop() == {"round": None}
    assert b"Stop the rounds" in server.request("GET", "/", {"Accept": "text/html"})[1]
    server.stop()
