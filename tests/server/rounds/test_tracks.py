"""Several tasks on one server: rounds of both at once, each with its own history, and what is one's is not the other's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_protocol.errors import BrambleError
from bramble_protocol.features import TRACKS
from bramble_protocol.layout import Layout
from bramble_protocol.messages import Channel, Delivery, Handshake, Timing, TrainConfig, TrainingComplete
from bramble_server import foundation
from bramble_server.learning.strategies import STRATEGIES, Context
from bramble_server.learning.strategies.fedavg import FedAvg
from bramble_server.rounds.writer import RefusedError
from bramble_server.settings import ServerSettings
from bramble_server.store import models, rounds
from tests.server.office import Office
from tests.server.process import LAYOUT, NotReady, ServerProcess, write_graph

WIDER = Layout.of([("w", [3, 3])])
WET = (Channel("humidity", "%"),)
Open = Callable[..., Office]


@pytest.fixture
def tasks(tmp_path: Path) -> list[str]:
    """Two tasks, of which the second takes less and has another layout."""
    return [str(write_graph(tmp_path)), str(write_graph(tmp_path, WIDER, "damp", WET))]


@pytest.fixture
def open_office(tmp_path: Path, tasks: list[str]) -> Iterator[Open]:
    opened: list[Office] = []

    def open_with(**settings: Any) -> Office:
        opened.append(Office(tmp_path, **{"task": tasks, **settings}))
        return opened[-1]

    yield open_with
    for office in opened:
        if office.coordinator._writer._task.is_alive():
            office.close()


@pytest.fixture
def office(open_office: Open) -> Office:
    """With two clients that know of several tasks, of which one fits only the second."""
    office = open_office()
    join(office, "both")
    join(office, "wet", WET)
    return office


def join(office: Office, client: str, channels: tuple[Channel, ...] = (Channel("temperature", "°C"), *WET), *, knows: bool = True) -> None:
    office._sessions[client] = f"session of {client}"
    features = (TRACKS,) if knows else ()
    office.registry.join(Handshake(2, client, channels=channels, features=features), office._sessions[client], "127.0.0.1")
    office.coordinator.joined(client)
    office.drain()


def deliver(office: Office, client: str, number: int, value: float = 1.0, layout: Layout = LAYOUT) -> None:
    complete = TrainingComplete(number, layout, "float32", np.full(layout.size, value, np.float32), 10, {}, Timing(1.0, 2.0, 3.0))
    office.coordinator.deliver(client, Delivery.from_wire(complete.to_wire(), office.coordinator.manifest(number).layout))
    office.drain()


def test_rounds_of_two_tasks_are_open_at_once_and_neither_waits_for_the_other(office: Office) -> None:
    first, second = office.coordinator.start_round().round, office.coordinator.start_round("damp").round
    assert (first, second) == (1, 2), "one sequence of numbers"
    assert office.transport.said == [("ask 1", ["both"]), ("ask 2", ["both", "wet"])]
    with pytest.raises(RefusedError, match="round 1 is running"):
        office.coordinator.start_round("small")
    deliver(office, "both", first, 3.0)
    view = office.coordinator.view.tasks
    assert (view["small"].model.round, view["small"].running) == (1, None)
    assert (view["damp"].model.round, view["damp"].running, view["damp"].waiting_for) == (0, 2, ("both", "wet"))
    deliver(office, "wet", second, 5.0, WIDER)
    deliver(office, "both", second, 7.0, WIDER)
    assert office.coordinator.view.tasks["damp"].model.weights.tolist() == [6.0] * WIDER.size
    deliver(office, "both", first, 50.0)  # a repeat, answered as the first was
    assert office.stored() == (1, [3.0] * LAYOUT.size)
    with office.store.reading() as connection:
        assert (models.kept(connection, "small"), models.kept(connection, "damp")) == ([1], [2])
        assert [update.client for update in models.latest_updates_of_all(connection, "damp")] == ["both", "wet"]


class Broken(FedAvg):
    """A third party's."""

    def plan(self, context: Context, clients: Sequence[str]) -> dict[str, TrainConfig]:
        """Fail as it was never meant to."""
        raise ZeroDivisionError


def test_a_task_whose_rounds_fail_unexpectedly_does_not_keep_another_from_its_deadline(
    open_office: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(STRATEGIES, "broken", Broken)
    office = open_office(track={"small": {"strategy": "broken", "every": 1}, "damp": {"min_clients": 2}})
    for client in ("a", "b"):
        join(office, client)
    office.coordinator.start_round("damp")
    deliver(office, "a", 1, 5.0, WIDER)
    office.later(61)
    assert office.coordinator.view.tasks["damp"].model.weights.tolist() == [5.0] * WIDER.size
    assert "ZeroDivisionError" in caplog.text


def test_an_answer_of_another_tasks_layout_is_refused(office: Office) -> None:
    office.coordinator.start_round("damp")
    with pytest.raises(BrambleError, match="layout: 6 parameters in 2 tensors are not this task's model"):
        deliver(office, "both", 1, 1.0, LAYOUT)
    assert office.coordinator.view.tasks["damp"].waiting_for == ("both", "wet")


@pytest.mark.parametrize(("named", "fails"), [(None, "first"), (1, "first"), (2, "second"), (3, "neither")])
def test_one_update_that_cannot_be_read_costs_its_sender_one_round_at_most(office: Office, named: int | None, fails: str) -> None:
    """Where it names no round it was meant for the one that asked first: a client trains for one after the other."""
    numbers = {"first": office.coordinator.start_round().round, "second": office.coordinator.start_round("damp").round}
    office.coordinator.refused("both", named, "its update was refused: it is none")
    office.drain()
    for which, number in numbers.items():
        known = office.coordinator.progress(number) or office.record(number)["clients"]
        assert known["both"]["reason"] == ("its update was refused: it is none" if which == fails else None)


def test_one_without_a_round_from_who_was_asked_for_the_second_alone_fails_there(office: Office) -> None:
    first, second = office.coordinator.start_round().round, office.coordinator.start_round("damp").round
    for _ in range(2):
        office.coordinator.refused("wet", None, "its update was refused: it is none")
        office.drain()
    progress = office.coordinator.view.tasks
    assert (progress["small"].waiting_for, progress["damp"].waiting_for) == (("both",), ("both",))
    assert (progress["small"].running, progress["damp"].running) == (first, second)
    office.coordinator.refused("both", None, "its update was refused: it is none")
    office.coordinator.refused("both", None, "its update was refused: it is none")
    office.drain()
    assert office.record(first)["state"] == office.record(second)["state"] == "abandoned", "two of them are two rounds' answers"


def test_a_round_that_is_over_for_long_is_over_whosever_it_was(office: Office) -> None:
    for _ in range(20):
        deliver(office, "both", office.coordinator.start_round().round)
    with pytest.raises(RefusedError, match="round over"):
        office.coordinator.manifest(1)
    assert office.coordinator.manifest(99).layout == LAYOUT, "one that never was is the first's to refuse"


def test_a_client_that_knows_of_no_several_tasks_is_asked_for_the_first_alone(office: Office) -> None:
    join(office, "older", knows=False)
    office.coordinator.start_round()
    office.coordinator.start_round("damp")
    assert office.transport.said[-2:] == [("ask 1", ["both", "older"]), ("ask 2", ["both", "wet"])]


def test_both_open_rounds_go_on_after_the_server_was_killed_each_until_its_deadline(open_office: Open) -> None:
    office = open_office(track={"damp": {"deadline": 600}})
    for client in ("a", "b"):
        join(office, client)
    office.coordinator.start_round()
    office.coordinator.start_round("damp")
    deliver(office, "a", 1, 3.0)
    deliver(office, "b", 2, 5.0, WIDER)
    office.die()
    again = open_office(track={"damp": {"deadline": 600}}, clock=office.clock)
    view = again.coordinator.view.tasks
    assert (view["small"].running, view["small"].waiting_for) == (1, ("b",))
    assert (view["damp"].running, view["damp"].waiting_for) == (2, ("a",))
    join(again, "a")
    again.later(61)
    assert again.coordinator.view.tasks["small"].model.weights.tolist() == [3.0] * LAYOUT.size
    assert again.coordinator.view.tasks["damp"].running == 2
    deliver(again, "a", 2, 7.0, WIDER)
    assert again.coordinator.view.tasks["damp"].model.weights.tolist() == [6.0] * WIDER.size


def test_the_round_of_a_task_that_is_not_served_meanwhile_goes_on_when_it_is_again(open_office: Open, tasks: list[str]) -> None:
    office = open_office(deadline=6000)
    join(office, "a")
    office.coordinator.start_round("damp")
    deliver(office, "a", office.coordinator.start_round().round)
    office.die()
    without = open_office(task=tasks[:1], clock=office.clock)
    join(without, "a")
    deliver(without, "a", without.coordinator.start_round().round)
    without.die()
    again = open_office(deadline=6000, clock=office.clock)
    join(again, "a")
    assert again.coordinator.view.tasks["damp"].running == 1
    deliver(again, "a", 1, 2.0, WIDER)
    assert again.coordinator.view.tasks["damp"].model.round == 1
    assert again.coordinator.start_round().round == 4, "numbers go on through all"


def test_a_reset_of_one_task_leaves_the_other_with_its_open_round(office: Office) -> None:
    join(office, "older", knows=False)
    office.leave("wet")
    deliver(office, "both", office.coordinator.start_round("damp").round, 5.0, WIDER)
    office.coordinator.start_round()
    office.coordinator.start_round("damp")
    office.transport.said.clear()
    assert office.coordinator.reset("damp") == 2
    office.drain()
    assert office.transport.said == [("reset damp", ["both", "older"])]
    view = office.coordinator.view.tasks
    assert (view["damp"].model.round, view["damp"].running, view["small"].running) == (0, None, 2)
    with office.store.reading() as connection:
        assert (models.kept(connection, "damp"), rounds.history(connection, "damp")) == ([], [])
        assert [item["state"] for item in rounds.history(connection, "small")] == ["running"]
    join(office, "wet", WET)
    assert ("reset damp", ["wet"]) in office.transport.said, "who was away hears of it"
    join(office, "wet", WET)
    assert office.transport.said.count(("reset damp", ["wet"])) == 1
    deliver(office, "both", 2, 3.0)
    deliver(office, "older", 2, 3.0)
    assert office.coordinator.view.tasks["small"].model.round == 2


def test_a_plain_reset_forgets_what_is_not_served_too(open_office: Open, tasks: list[str]) -> None:
    office = open_office()
    join(office, "a")
    deliver(office, "a", office.coordinator.start_round("damp").round, 5.0, WIDER)
    office.die()
    without = open_office(task=tasks[:1])
    without.coordinator.reset()
    with without.store.reading() as connection:
        assert models.kept(connection, "damp") == []
    without.die()
    assert open_office().coordinator.view.tasks["damp"].model.round == 0


def test_a_rollback_brings_back_only_the_tasks_own(office: Office) -> None:
    for _ in range(2):
        deliver(office, "both", office.coordinator.start_round().round)
    with pytest.raises(RefusedError, match="the model of round 1 is not kept; there are those of rounds none"):
        office.coordinator.rollback(1, "damp")
    assert office.coordinator.rollback(1) == 3


class TestSettings:
    def read(self, tasks: list[str], **settings: Any) -> tuple[foundation.Foundation, ...]:
        return foundation.read(ServerSettings(task=tasks, **settings))

    def test_what_is_set_for_one_task_alone_is_its_own(self, tasks: list[str]) -> None:
        small, damp = self.read(tasks, every="10m", track={"damp": {"rounds": 3, "min-updates": 4, "strategy": "fedprox"}})
        assert (small.settings.every, small.settings.rounds, small.settings.min_clients) == (600.0, None, 2)
        assert (damp.settings.every, damp.settings.rounds, damp.settings.min_clients) == (None, 3, 4)
        assert (small.settings.strategy, damp.settings.strategy) == ("fedavg", "fedprox")
        _, damp = self.read(tasks, track="damp.every=5m,damp.deadline=2m")
        assert (damp.settings.every, damp.settings.deadline) == (300.0, 120.0)

    @pytest.mark.parametrize(
        ("track", "sentence"),
        [
            ({"damp": {"evry": "1m"}}, "damp.evry cannot be set for one task alone, did you mean every?"),
            ({"damp": {"every": "soon"}}, "damp.every: "),
            ({"damp": {"min_updates": 9, "min_clients": 3}}, "--track damp: damp.min_updates 9 is more than damp.min_clients 3"),
            ({"damp": {"strategy": "fedyogi", "strategy_option": {"tau": "x"}}}, "track: damp.strategy_option: tau of fedyogi is a number"),
            ({"damp": {"strategy": "fedyoga"}}, "track: damp.strategy: 'fedyoga' is not one of"),
            ({"damp": {"rounds": 2, "every": "1m"}}, "damp.rounds and damp.every exclude each other"),
            ({"dump": {"every": "1m"}}, "there are settings for task dump, which is not served, did you mean damp?"),
            ("damp", "is written task.setting=value"),
            ({"damp": "1m"}, "damp: expected a table of what is set for this task alone, such as every = '10m'"),
        ],
    )
    def test_what_cannot_be_set_is_refused(self, tasks: list[str], track: Any, sentence: str) -> None:
        with pytest.raises((ValueError, BrambleError), match=sentence.replace("?", r"\?")):
            self.read(tasks, track=track)

    @pytest.mark.parametrize("name", ["n" * 10_000, "n" * 10_000 + ".tflite", "a\0b", "a\0b.tflite", "none.tflite", "."], ids=range(6))
    def test_what_is_no_task_is_named_at_no_more_length_than_it_needs(self, tasks: list[str], name: str) -> None:
        with pytest.raises(BrambleError, match=r"^task: ") as refused:
            self.read([*tasks, name])
        assert len(str(refused.value)) < 300
        with pytest.raises(BrambleError, match=r"^track: damp\.strategy: ") as refused:
            self.read(tasks, track={"damp": {"strategy": name}})
        assert len(str(refused.value)) < 500

    def test_a_name_means_one_task(self, tasks: list[str], tmp_path: Path) -> None:
        with pytest.raises(BrambleError, match="task: small is given twice; leave one of them out"):
            self.read([tasks[0], tasks[0]])
        (tmp_path / "other").mkdir()
        other = str(write_graph(tmp_path / "other", WIDER))
        with pytest.raises(BrambleError, match=f"task: small is what two graphs are called, {tasks[0]} and {other}; give one"):
            self.read([tasks[0], other])


@pytest.mark.process
def test_over_http_a_task_is_named_or_the_first_is_meant(tmp_path: Path, tasks: list[str]) -> None:
    flags = ("--task", tasks[0], "--task", tasks[1], "--min-clients", "1", "--track", "damp.min_clients=2")
    with ServerProcess(tmp_path, *flags) as server:
        status = server.get("/status")
        assert (status["task"], [each["task"] for each in status["tasks"]], status["min_clients"]) == ("small", ["small", "damp"], 1)
        damp = server.get("/status?task=damp")
        assert (damp["task"], damp["min_clients"], damp["manifest"]["task"]) == ("damp", 2, "damp")
        assert [server.get(f"/model{query}")["task"] for query in ("", "?task=damp")] == ["small", "damp"]
        for path in ("/status", "/model", "/models", "/model/clients", "/rounds", "/clients", "/", "/reset"):
            code, said, _ = server.request("GET", f"{path}?task=nothing")
            assert (code, said) == (404, {"error": "task: 'nothing' is not served here; there is small, damp"}), path
        for graph in (status["graph"], damp["graph"]):
            assert server.request("GET", f"/graphs/{graph}.tflite")[0] == 200
        assert server.request("POST", "/?task=damp")[:2] == (503, {"error": "0 clients are connected, a round needs 2"})
        assert server.request("POST", "/reset?task=damp")[:2] == (200, {"clients": 0})
        page = server.request("GET", "/", {"Accept": "text/html"})[1].decode()
        assert "Start a round of small" in page
        assert "Start a round of damp" in page
    with pytest.raises(NotReady, match="task: small is given twice"):
        ServerProcess(tmp_path, "--task", tasks[0], "--task", tasks[0])
