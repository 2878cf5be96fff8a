"""Taking a task in and letting it go, with the coordinator alone: what is left where something fails on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import GraphFile
from bramble_protocol.interface import ADAM, Interface
from bramble_server import foundation
from bramble_server.deployed import Deployed
from bramble_server.rounds.writer import RefusedError
from tests.server.office import Office
from tests.server.process import write_graph
from tests.server.rounds.test_tracks import WET, WIDER, deliver, join


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    join(made, "both")
    yield made
    made.close()


def damp(office: Office, folder: Path, *chosen: str) -> foundation.Foundation:
    graph = GraphFile.read(write_graph(folder, WIDER, "damp", WET).read_bytes())
    return foundation.of(office.settings, Deployed(graph, chosen=chosen))


def nothing() -> None:
    """What keeps and forgets a task that is not to survive."""


def test_a_task_that_cannot_be_kept_is_not_learnt_and_can_be_deployed_again(office: Office, tmp_path: Path) -> None:
    before = office.coordinator.view

    def full() -> None:
        raise BrambleError("the disk is full")

    with pytest.raises(BrambleError, match="the disk is full"):
        office.coordinator.deploy(damp(office, tmp_path), full)
    assert office.coordinator.view == before
    assert list(office.registry.to_json(())["both"]["tasks"]) == ["small"]
    assert b"damp" not in office.metrics.text()
    assert office.coordinator.deploy(damp(office, tmp_path), nothing) == 0
    assert list(office.registry.to_json(())["both"]["tasks"]) == ["small", "damp"]


def test_a_task_that_cannot_be_forgotten_is_learnt_on(office: Office, tmp_path: Path) -> None:
    office.coordinator.deploy(damp(office, tmp_path), nothing)
    number = office.coordinator.start_round("damp").round

    def stuck() -> None:
        raise BrambleError("it cannot be deleted")

    with pytest.raises(BrambleError, match="it cannot be deleted"):
        office.coordinator.retire("damp", stuck)
    deliver(office, "both", number, layout=WIDER)
    assert office.record(number)["state"] == "committed"


def test_rounds_of_a_retired_task_are_over_and_numbers_go_on(office: Office, tmp_path: Path) -> None:
    office.coordinator.deploy(damp(office, tmp_path), nothing)
    number = office.coordinator.start_round("damp").round
    office.coordinator.retire("damp", nothing)
    assert (office.record(number)["state"], office.record(number)["reason"]) == ("abandoned", "its task was retired")
    assert office.transport.said[-1] == ("reset damp", ["both"])
    with pytest.raises(RefusedError, match="round over"):
        office.coordinator.manifest(number)
    with pytest.raises(RefusedError, match="damp is not served here any more"):
        office.coordinator.start_round("damp")
    assert office.coordinator.start_round().round == number + 1


def test_settings_of_its_own_hold_for_it_alone_and_the_servers_go_before_them(office: Office, tmp_path: Path) -> None:
    built = damp(office, tmp_path, "deadline=99s", "epochs=3")
    assert (built.settings.deadline, built.settings.epochs) == (99.0, 3)
    assert office.settings.deadline == 60.0
    office.settings.track["damp"] = {"deadline": "7s"}
    built = damp(office, tmp_path, "deadline=99s", "epochs=3")
    assert (built.settings.deadline, built.settings.epochs) == (7.0, 3)


def test_a_strategy_that_reckons_with_plain_steps_takes_no_task_whose_clients_step_by_adam(office: Office, tmp_path: Path) -> None:
    graph = GraphFile.read(write_graph(tmp_path, WIDER, "damp", WET).read_bytes())
    manifest = replace(graph.manifest, declared=Interface.usual(["humidity"], 4, "humidity", 1, ADAM))
    assert manifest.former is None, "release 0.1 would take plain steps"
    adam = GraphFile.pack(graph.flatbuffer, manifest, graph.initial)
    assert foundation.of(office.settings, Deployed(adam, chosen=("strategy=fedadam",))).settings.strategy == "fedadam"
    for strategy in ("fednova", "scaffold", "feddyn"):
        with pytest.raises(BrambleError, match=f"strategy: {strategy} reckons with plain steps, and clients step by Adam in task damp"):
            foundation.of(office.settings, Deployed(adam, chosen=(f"strategy={strategy}",)))
