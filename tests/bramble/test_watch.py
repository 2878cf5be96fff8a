"""``bramble round watch``, with a real server and clients that are well, ill, or only young."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bramble.api import Server
from bramble.settings import WatchRoundSettings
from bramble.watch import Finding, Watch, see_each
from bramble_protocol import reasons
from bramble_protocol.features import TRACKS
from bramble_protocol.layout import Layout
from tests.bramble.test_round import bramble
from tests.server.pi import Closed, Pi, hello, update
from tests.server.process import ServerProcess, write_graph
from tests.waiting import wait_for

YOUNG = "no training window yet: 3 readings; task small needs 5"
DOUBT = "270 of 273 windows cannot be true: check this client's sensors and their units"
REPORT = {
    "sample_age": 2.0, "sample_every": 60.0, "samples_missed": 0, "sensors_gone": [], "sensors_doubted": [], "windows_doubtful": 0,
    "soc_temperature": None, "throttled": None, "memory_free": None, "disk": "ok", "disk_free": None,
}  # fmt: skip


class Client:
    """A client in a thread of its own that answers each round as told: with ``well``, ``far``, ``gone``, ``silent`` or a reason."""

    def __init__(
        self, server: ServerProcess, name: str, answer: str = "well", version: str = "2", sample_age: float = 2.0, **other: Any
    ) -> None:
        self.answer, self.asked = answer, 0
        self._server, self._hello, self._age = server, hello(name, version=version, **other), sample_age
        self._ending = threading.Event()
        self._pi = self._join()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _join(self) -> Pi:
        pi = Pi(self._server.url, auth=self._hello, within=600)
        pi.call("health", {**REPORT, "sample_age": self._age, "sent": time.time()})
        return pi

    def _serve(self) -> None:
        with contextlib.suppress(Closed, AssertionError):
            while not self._ending.is_set():
                number = self._pi.next("client_update")["round"]
                self.asked += 1
                if self.answer == "gone":
                    self._pi.close()
                    self._pi = self._join()
                elif self.answer in ("well", "far"):
                    self._pi.call("training_complete", update(number, 1e9 if self.answer == "far" else 5.0))
                elif self.answer != "silent":
                    self._pi.call("training_failed", {"round": number, "reason": self.answer})

    def close(self) -> None:
        self._ending.set()
        self._pi.socket.abort()  # type: ignore[no-untyped-call]  # wakes the thread, which a closed file does not
        self._thread.join(30)
        self._pi.close()


@pytest.fixture
def clients() -> Iterator[list[Client]]:
    made: list[Client] = []
    yield made
    for client in made:
        client.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path, "--min-clients", "2", "--deadline", "4s") as made:
        yield made


def watch(server: ServerProcess, *names: str, seen_within: float = 0.0, version: str = "") -> Finding:
    return Watch(Server(server.url), 60.0, seen_within).see(dict.fromkeys(names, version))


def test_clients_that_are_there_and_count_pass_in_a_round_that_is_started_for_them(server: ServerProcess, clients: list[Client]) -> None:
    clients += [Client(server, name) for name in ("pi-1", "pi-2", "pi-3")]
    assert watch(server, "pi-1", "pi-2", version="2") == Finding(1)
    assert server.api.round(1)["state"] == "committed"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("ZeroDivisionError: division by zero", "round 1: ZeroDivisionError: division by zero"),
        ("training diverged with learning rate 0.01", "round 1: training diverged"),
        ("far", "round 1: left out: its update is"),
        (DOUBT, f"round 1: {DOUBT}"),
        ("silent", "round 2: no answer before the deadline"),
        ("gone", "round 2: "),
    ],
)
def test_a_client_that_fails_is_named_and_the_others_are_not(
    server: ServerProcess, clients: list[Client], answer: str, sentence: str
) -> None:
    clients += [Client(server, "pi-1", answer), Client(server, "pi-2"), Client(server, "pi-3")]
    found = watch(server, "pi-1", "pi-2")
    assert found.failed.keys() == {"pi-1"}
    assert found.failed["pi-1"].startswith(sentence)


def test_one_that_misses_a_single_round_is_seen_in_the_next(server: ServerProcess, clients: list[Client]) -> None:
    clients += [Client(server, "pi-1", "silent"), Client(server, "pi-2")]
    waking = threading.Thread(target=lambda: (wait_for(lambda: clients[0].asked, "the first"), setattr(clients[0], "answer", "well")))
    waking.start()
    assert watch(server, "pi-1") == Finding(2)
    waking.join()


def test_a_young_fleet_passes_with_a_note(server: ServerProcess, clients: list[Client]) -> None:
    clients.append(Client(server, "pi-1"))
    assert watch(server, "pi-1").notes == ["no round can be held yet: 1 clients are there that can take part, and a round needs 2"]
    clients.append(Client(server, "pi-2", YOUNG))
    assert watch(server, "pi-1", "pi-2") == Finding(1, notes=[f"pi-2 did not train: {YOUNG}"])
    clients[0].answer = YOUNG
    found = watch(server, "pi-1", "pi-2")
    assert (found.failed, len(found.notes)) == ({}, 2)


def test_one_whose_owner_does_not_let_it_train_now_is_no_wrong_release(server: ServerProcess, clients: list[Client]) -> None:
    resting = "not now: does not train: outside of the hours in which it may, until 2026-11-28 01:00 UTC"
    clients += [Client(server, "pi-1", resting), Client(server, "pi-2"), Client(server, "pi-3")]
    assert watch(server, "pi-1", "pi-2") == Finding(1, notes=[f"pi-1 did not train: {resting}"])


SECRETIVE = (
    f"{reasons.FEW}2 clients would be in it, and this one wants 3",
    f"this client sends its updates {reasons.ALONE} (--secure): have the server ask for one",
)


@pytest.mark.parametrize("said", SECRETIVE, ids=["too few", "in the open"])
def test_a_fleet_that_goes_over_to_secure_sums_or_back_holds_it_against_nobody(
    server: ServerProcess, clients: list[Client], said: str
) -> None:
    clients += [Client(server, "pi-1"), Client(server, "pi-2")]
    assert watch(server) == Finding(1), "it learnt before"
    for client in clients:
        client.answer = said
    found = watch(server, "pi-1", "pi-2")
    assert (found.failed, sorted(found.notes)[:2]) == ({}, [f"{name} did not train: {said}" for name in ("pi-1", "pi-2")])
    (note,) = watch(server).notes
    assert note.endswith(f"2 clients took no part: {said}")


def test_who_has_yet_to_be_given_its_key_of_the_roll_is_held_against_no_server_and_who_should_have_it_is_named(
    server: ServerProcess, clients: list[Client]
) -> None:
    clients += [Client(server, "pi-1"), Client(server, "pi-2")]
    assert watch(server) == Finding(1), "it learnt before"
    unsigned = f"its part in the phase keys was refused: secure sum: what it says is {reasons.UNSIGNED}"
    for client in clients:
        client.answer = unsigned
    found = watch(server)
    assert (found.failed, found.notes[0].endswith(f"2 clients took no part: {unsigned}")) == ({}, True)
    assert watch(server, "pi-1").failed["pi-1"].endswith(unsigned), "whose release brought it its key"


def test_a_sensor_that_was_broken_before_is_not_held_against_a_release(server: ServerProcess, clients: list[Client]) -> None:
    clients += [Client(server, "pi-1", DOUBT), Client(server, "pi-2")]
    for _ in range(3):
        assert "pi-1" in watch(server, "pi-1").failed
    found = watch(server, "pi-1")
    assert (found.failed, found.notes) == ({}, [f"pi-1 did not count, as in the rounds before: {DOUBT}"])
    clients[0].answer = "ZeroDivisionError"
    assert "pi-1" in watch(server, "pi-1").failed, "a training that fails is never usual"


@pytest.mark.parametrize(("version", "sample_age", "sentence"), [("1", 2.0, "it is at version 1"), ("2", 1e6, "it has no fresh sample")])
def test_who_is_not_there_as_it_should_be_is_named_and_no_round_is_started(
    server: ServerProcess, clients: list[Client], version: str, sample_age: float, sentence: str
) -> None:
    clients += [Client(server, "pi-1", version=version, sample_age=sample_age), Client(server, "pi-2")]
    assert watch(server, "pi-1", version="2") == Finding(failed={"pi-1": sentence})
    assert watch(server, "pi-9") == Finding(failed={"pi-9": "the server has never seen it"})
    assert server.api.status()["running"] is None
    clients[1].close()
    wait_for(lambda: not server.api.clients()["pi-2"]["connected"], "pi-2 to be gone")
    assert watch(server, "pi-2").failed == {"pi-2": "it is gone"}


def test_it_waits_for_a_client_that_is_still_starting(server: ServerProcess, clients: list[Client]) -> None:
    clients.append(Client(server, "pi-2"))
    late = threading.Timer(1.0, lambda: clients.append(Client(server, "pi-1")))
    late.start()
    assert watch(server, "pi-1", seen_within=60).failed == {}
    late.join()


def test_a_round_that_runs_is_taken_and_what_the_process_before_answered_is_not(server: ServerProcess, clients: list[Client]) -> None:
    clients += [Client(server, "pi-1", "ZeroDivisionError"), Client(server, "pi-2", "silent")]
    assert server.api.start()["round"] == 1
    wait_for(lambda: server.api.round(1)["clients"]["pi-1"]["reason"], "the old release to fail")
    clients[0].close()
    clients[0] = Client(server, "pi-1")
    assert watch(server, "pi-1") == Finding(2)
    assert "ZeroDivisionError" in server.api.round(1)["clients"]["pi-1"]["reason"]


def test_the_server_is_watched_where_nobody_is_named(server: ServerProcess, clients: list[Client]) -> None:
    assert "no round can be held yet" in watch(server).notes[0]
    clients += [Client(server, name, YOUNG) for name in ("pi-1", "pi-2")]
    (note,) = watch(server).notes
    assert note.startswith("round 1 was abandoned: 0 of 2 clients delivered")
    for client in clients:
        client.answer = "well"
    assert watch(server) == Finding(2)
    for client in clients:
        client.answer = "client_update: its layout is not the graph's"
    found = watch(server)
    assert found.failed[""].startswith("round 4 was abandoned: 0 of 2 clients delivered"), "two tries"


def test_a_server_that_cannot_commit_is_named_even_in_its_first_round(tmp_path: Path, clients: list[Client]) -> None:
    script = tmp_path / "broken.py"
    script.write_text(
        "import sys\nfrom bramble.cli import main\nfrom bramble_server.rounds.commits import Commits\n\n"
        "def finish(*_): raise ZeroDivisionError\n\nCommits.finish = finish\nmain(['server', *sys.argv[1:]])\n"
    )
    with ServerProcess(tmp_path, "--min-clients", "1", script=script) as server:
        clients.append(Client(server, "pi-1"))
        assert "the server failed to commit it" in watch(server).failed[""]
        clients.pop().close()


def test_a_further_task_that_nobody_learns_is_noticed_and_who_takes_no_part_in_it_is_well(tmp_path: Path, clients: list[Client]) -> None:
    tasks = [str(write_graph(tmp_path)), str(write_graph(tmp_path, Layout.of([("w", [3, 3])]), "damp"))]
    with ServerProcess(tmp_path, "--task", tasks[0], "--task", tasks[1], "--min-clients", "1") as server:
        clients += [Client(server, "pi-1", protocol=2, features=[TRACKS]), Client(server, "pi-2")]  # whose updates fit the first task alone
        settings = WatchRoundSettings(server=server.url, seen_within=0)
        found = see_each(server.api, settings, {"pi-1": "", "pi-2": ""})
        assert found.failed == {"pi-1": found.failed["pi-1"]}
        assert found.failed["pi-1"].startswith("round 2: ")
        assert server.api.round(2)["task"] == "damp"
        assert see_each(server.api, settings.model_copy(update={"task": "small"}), {"pi-1": ""}).failed == {}
        found = see_each(server.api, settings, {})
        assert any(note.startswith("damp: round ") for note in found.notes), "none was committed before either"
        while clients:
            clients.pop().close()


def test_the_command_tells_by_its_code_and_as_json(server: ServerProcess, clients: list[Client]) -> None:
    clients += [Client(server, "pi-1"), Client(server, "pi-2", "ZeroDivisionError")]
    command = ["round", "watch", "--server", server.url]
    done = bramble(*command, "pi-1@2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "round 1: all is well\n", "")
    done = bramble(*command, "pi-1@2", "pi-2@2")
    assert (done.returncode, done.stderr) == (1, "pi-2: round 2: ZeroDivisionError\n")
    answer: dict[str, Any] = json.loads(bramble(*command, "pi-1", "pi-2", "--json").stdout)
    assert answer == {"round": 3, "clients": {"pi-1": None, "pi-2": "round 3: ZeroDivisionError"}, "notes": []}
    done = bramble("round", "watch", "--server", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "No server answers" in done.stderr


def test_who_was_asked_to_spare_and_not_needed_has_not_failed_and_is_watched_further() -> None:
    watched, found = Watch(Server("http://127.0.0.1:9"), 1.0, 1.0), Finding()
    watched._since = {"a": 0.0}
    record = {"round": 1, "started": 1.0, "clients": {"a": {"replied": None, "reason": reasons.SPARED}}}
    assert watched._of_clients(record, ["a"], found) == {"a"}
    assert (found.failed, found.notes) == ({}, [])
