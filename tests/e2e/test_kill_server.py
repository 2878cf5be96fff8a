"""A real server, killed (SIGKILL) at several points of a round, more than once, and started again on the same data.

The last committed round is there, the open one goes on with what was acknowledged, clients come back by themselves, the next round runs.
"""

from __future__ import annotations

import contextlib
import http.client
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.server.process import LAYOUT, ROOT, ServerProcess
from tests.server.worker import Worker
from tests.waiting import wait_for

DYING = ROOT / "tests" / "server" / "dying.py"
FLAGS = ("--min-clients", "2", "--min-updates", "2", "--deadline", "1h")


class House:
    """A server that dies and is started again on the same port and data, and two clients that live on."""

    def __init__(self, folder: Path, die_at: str) -> None:
        self.folder = folder
        self.server = ServerProcess(folder, *FLAGS, script=DYING, DIE_AT=die_at)
        self.workers = [Worker(self.server.url, f"pi-{number}") for number in range(2)]

    def restart(self, die_at: str = "never:0") -> None:
        """Start the server again, armed to die at a point."""
        self.server.stop()
        self.server = ServerProcess(self.folder, *FLAGS, port=self.server.port, script=DYING, DIE_AT=die_at)

    def start_round(self) -> None:
        """Start a round as soon as both clients are back; the server may die before it answers."""
        wait_for(lambda: self.server.api.status()["clients"] == 2, "both clients to come back by themselves")
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.server.request("POST", "/")

    def files(self) -> list[Path]:
        """Return the files of rounds on its disk."""
        return sorted((self.folder / "data" / "rounds").iterdir())

    def wait_dead(self) -> None:
        """Wait until the server has killed itself."""
        assert self.server.process.wait(60) == -9

    def run_round(self) -> int:
        """Run a round to its commit."""
        self.start_round()
        number: int = self.server.api.status()["running"] or self.server.api.status()["round"]
        wait_for(lambda: self.server.api.status()["round"] == number, f"round {number} to commit")
        return number


def committed(server: ServerProcess) -> list[int]:
    """Return the committed rounds, and check that the model is what exactly these rounds made."""
    history: list[dict[str, Any]] = server.api.rounds(limit=1000)
    assert [item["round"] for item in history] == sorted({item["round"] for item in history})
    done = [item["round"] for item in history if item["state"] == "committed"]
    assert all(item["updates"] == 2 for item in history if item["state"] == "committed")
    weights = np.frombuffer(server.request("GET", "/model", {"Accept": "application/octet-stream"})[1], "<f4")
    assert weights.tolist() == (np.arange(LAYOUT.size) + len(done)).tolist()
    assert server.api.model()["round"] == (done[-1] if done else 0)
    return done


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    house = House(tmp_path, getattr(request, "param", "never:0"))
    yield house
    for worker in house.workers:
        worker.go.set()
    for worker in house.workers:
        worker.stop()
    assert house.server.stop() == 0


POINTS = (
    "before asking",
    "before an update is on the disk",
    "before an update is acknowledged",
    "before the commit",
    "in the commit",
    "after the commit",
    "before its file is let go",
)


@pytest.mark.parametrize(("house", "point"), [(f"{point}:2", point) for point in POINTS], indirect=["house"])
def test_a_server_that_dies_at_a_point_of_a_round_goes_on_with_it(house: House, point: str) -> None:
    expected, doomed = [house.run_round()], 2
    for _ in range(2):
        house.start_round()
        house.wait_dead()
        house.restart(f"{point}:{doomed + 2}")
        wait_for(lambda doomed=doomed: house.server.api.status()["round"] == doomed, "it to go on to its commit")
        expected.append(doomed)
        assert committed(house.server) == expected
        record = house.server.api.round(doomed)
        assert {client: part["samples"] for client, part in record["clients"].items()} == {"pi-0": 5, "pi-1": 5}
        assert house.server.api.status()["running"] is None
        wait_for(lambda doomed=doomed: [path.name for path in house.files()] == [f"{doomed}.round"], "no other file")
        shown = house.server.api.updates(weights=True)
        assert {name: (update["round"], update["weights"]["dense/bias"]) for name, update in shown.items()} == {
            name: (doomed, house.server.api.model()["weights"]["dense/bias"]) for name in ("pi-0", "pi-1")
        }
        following = house.run_round()
        assert following == doomed + 1, "a number that was on the wire is not used again"
        expected.append(following)
        doomed = following + 1
    assert committed(house.server) == expected


@pytest.mark.parametrize("house", ["before it is on record:2"], indirect=True)
def test_a_server_that_dies_before_a_round_is_on_record_never_opened_it(house: House) -> None:
    expected = [house.run_round()]
    house.start_round()
    house.wait_dead()
    assert len(house.files()) == 2
    house.restart()
    assert committed(house.server) == expected
    assert house.server.request("GET", "/rounds/2")[0] == 404
    assert [path.name for path in house.files()] == ["1.round"], "what was left of it is gone"
    assert house.run_round() == 2


def test_a_server_killed_while_its_clients_train_takes_what_they_bring(house: House) -> None:
    expected = [house.run_round()]
    for _ in range(2):
        for worker in house.workers:
            worker.go.clear()
        house.start_round()
        number = house.server.api.status()["running"]
        wait_for(lambda number=number: all(worker.asked == number for worker in house.workers), "both to be asked")
        house.server.kill()
        house.restart()
        for worker in house.workers:
            worker.go.set()
        wait_for(lambda number=number: house.server.api.status()["round"] == number, "the round to commit")
        expected.append(number)
        assert committed(house.server) == expected


def test_a_server_killed_between_two_updates_has_the_first_one_and_does_not_ask_for_it_again(house: House) -> None:
    expected = [house.run_round()]
    early, late = house.workers
    for _ in range(2):
        late.go.clear()
        house.start_round()
        number = house.server.api.status()["running"]
        wait_for(lambda number=number: (number, {"accepted": True}) in early.acks, "the first update to be accepted")
        house.server.kill()
        early.asked = 0
        house.restart()
        assert (house.server.api.status()["running"], house.server.api.status()["waiting_for"]) == (number, ["pi-1"])
        late.go.set()
        wait_for(lambda number=number: house.server.api.status()["round"] == number, "the round to commit")
        expected.append(number)
        assert committed(house.server) == expected
        assert early.asked == 0
        assert [ack for ack in early.acks if ack[0] == number] == [(number, {"accepted": True})]


def test_a_server_killed_again_and_again_at_any_moment_loses_no_committed_round(tmp_path: Path) -> None:
    chance = random.Random(7)
    flags = ("--min-updates", "2", "--deadline", "1h", "--rounds", "100000")
    server = ServerProcess(tmp_path, *flags)
    known = 0
    with Worker(server.url, "pi-0"), Worker(server.url, "pi-1"):
        for _ in range(4):
            moment = chance.randint(4, 30)
            wait_for(lambda server=server, known=known: server.api.status()["round"] > known, "one more commit")
            wait_for(lambda server=server, moment=moment: server.api.status()["revision"] >= moment, "rounds to go on")
            seen = server.api.status()["round"]
            server.kill()
            server.stop()
            server = ServerProcess(tmp_path, *flags, port=server.port)
            history = server.api.rounds(limit=1000)
            done = [item["round"] for item in history if item["state"] == "committed"]
            assert done[-1] >= seen >= known, "what was said to be committed is there"
            known = done[-1]
        wait_for(lambda: server.api.status()["round"] > known, "one more commit")
    server.kill()
    server.stop()
    # Without clients nothing moves, and the model and the history are of one moment; first a round ends that all had answered.
    with ServerProcess(tmp_path, "--min-updates", "2") as still:
        wait_for(lambda: (found := still.api.status())["running"] is None or found["waiting_for"], "what was left to be done")
        assert len(committed(still)) > 4


@pytest.mark.parametrize(("point", "done"), [("in the rollback", False), ("after the rollback", True)])
def test_a_server_that_dies_in_a_rollback_has_made_it_or_has_not(house: House, point: str, done: bool) -> None:
    def server_model() -> Any:
        return house.server.api.model()["weights"]["dense/bias"]

    house.run_round()
    first = server_model()
    house.run_round()
    second = server_model()
    house.restart(f"{point}:3")
    with contextlib.suppress(OSError):
        house.server.request("POST", "/model/rollback?round=1")
    house.wait_dead()
    house.restart()
    assert house.server.api.model()["round"] == (3 if done else 2)
    assert server_model() == (first if done else second)
    if not done:
        assert house.server.request("GET", "/rounds/3")[0] == 404
        assert house.server.api.rollback(1) == {"round": 3, "rollback_of": 1}
    assert server_model() == first
    assert [(item["round"], item["rollback_of"]) for item in house.server.api.rounds()] == [(1, None), (2, None), (3, 1)]
    assert house.run_round() == 4
    assert server_model() == second, "the fourth round goes on from the first's model"
