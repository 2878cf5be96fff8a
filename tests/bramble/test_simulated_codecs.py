"""Codecs in simulated time: the code that server and clients run, with what it costs in bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bramble.settings import SimulateSettings, WorkersSettings
from bramble.simulation import grid
from bramble.simulation.rounds import Played, Simulation
from bramble.simulation.scenario import Scenario
from bramble_client.learn import local_state
from bramble_protocol.codecs import encoded_size
from bramble_protocol.errors import BrambleError
from bramble_protocol.messages import ClientUpdate, Delivery, TrainingComplete
from tests.bramble.simulated import MANIFEST, simulated

pytestmark = pytest.mark.slow

TOPK: dict[str, Any] = {"codec": "topk", "codec_option": {"share": 0.01}}


def left(simulation: Simulation) -> list[float]:
    """The length of what each client has still to send."""
    graph = simulation.graph
    notes = [device.local_state for device in simulation._devices.values()]
    found = [local_state.read(note, graph.manifest, graph.state).left for note in notes]
    return [0.0 if rest is None else float(abs(rest.added).sum()) for rest in found]


def sent(played: list[Played]) -> set[int]:
    return {part["bytes"] for each in played for part in each.parts.values()}


@pytest.mark.parametrize(("settings", "encoding"), [({"codec": "delta-int8"}, "delta-int8"), (TOPK, "topk-0.01")])
def test_updates_travel_as_they_would_whatever_the_workers(settings: dict[str, Any], encoding: str) -> None:
    (simulation, played), (again, _) = (simulated(5, 3, count=count, **settings) for count in (1, 2))
    assert sent(played) == {encoded_size(MANIFEST.layout, encoding)}
    assert simulation.digest == again.digest != simulated(5, 3)[0].digest
    assert played[-1].error < played[0].error
    assert left(simulation) == left(again)
    assert all(rest > 0 for rest in left(simulation)) == (encoding == "topk-0.01")


@pytest.mark.parametrize("strategy", ["fedavg", "scaffold"])
def test_what_no_codec_changes_counts_as_if_it_had_travelled(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, short = simulated(4, strategy=strategy)

    def travelled(complete: TrainingComplete, asked: ClientUpdate) -> Delivery:
        return Delivery.from_wire(complete.to_wire(asked), asked.layout)

    monkeypatch.setattr("bramble.simulation.rounds.as_read", travelled)
    assert simulated(4, strategy=strategy)[1] == short


@pytest.mark.parametrize("discipline", [{}, {"discipline": "asynchronous", "buffer": 4}])
def test_what_a_round_that_came_to_nothing_took_is_sent_again(discipline: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, tuple[int, ...]]] = []
    plain = Simulation._request

    def listening(self: Simulation, number: int, plan: Any) -> Any:
        made = plain(self, number, plan)
        asked.append({client: update.abandoned for alike, update in made for client in alike})
        return made

    monkeypatch.setattr(Simulation, "_request", listening)
    scenario = Scenario(lost=0.3, slow=0.2, slow_times=50)
    _, played = simulated(6, 6, scenario, seed=5, epochs=1, min_updates=4, min_clients=4, deadline=60.0, **discipline, **TOPK)
    lost = {(each.round, client) for each in played if each.state == "abandoned" for client, part in each.parts.items() if part["replied"]}
    assert lost
    assert any(each.state == "committed" for each in played)
    for number, client in lost:
        since = [numbers[client] for numbers, each in zip(asked, played, strict=True) if each.round > number and client in numbers]
        its = next(part["asked"] or number for each in played if each.round == number for part in [each.parts[client]])
        assert all(its in numbers for numbers in since)


def test_another_seed_rounds_otherwise() -> None:
    assert len({simulated(3, 1, seed=seed, codec="int8", epochs=1)[0].digest for seed in (1, 2)}) == 2


def experiment(tmp_path: Path, text: str) -> grid.Experiment[SimulateSettings]:
    path = tmp_path / "codecs.toml"
    path.write_text(text)
    return grid.read(path, WorkersSettings(workers=1))


def test_an_experiment_compares_codecs_with_their_parameters(tmp_path: Path) -> None:
    text = '[simulate]\nclients = 3\n[grid]\ncodec = ["float32", { name = "topk", share = 0.02 }, { name = "topk" }]\n'
    found = experiment(tmp_path, text)
    assert [cell.label for cell in found.cells] == ["float32", "topk (share=0.02)", "topk"]
    options = [next(iter(cell.settings.values())).codec_option for cell in found.cells]
    assert options == [{}, {"share": 0.02}, {}]
    common = experiment(tmp_path, '[simulate]\nclients = 3\n[simulate.codec]\nname = "topk"\nshare = 0.02\n')
    assert next(iter(common.cells[0].settings.values())).codec_option == {"share": 0.02}


@pytest.mark.parametrize("codec", ['"int4"', '{ name = "topk", shares = 0.1 }', '{ name = "topk", share = 2 }'])
def test_a_codec_that_there_is_not_ends_it_before_it_begins(tmp_path: Path, codec: str) -> None:
    with pytest.raises(BrambleError, match=r"codec.*: .*(int4|shares|share)"):
        experiment(tmp_path, f"[simulate]\nclients = 3\n[grid]\ncodec = [{codec}]\n")


def test_the_first_line_names_a_codec_that_is_not_the_plain_one(tmp_path: Path) -> None:
    from bramble.settings import SimulateSettings
    from bramble.simulating import _head
    from bramble.simulation.run import Run

    console = Console(record=True, width=200)
    for settings in (SimulateSettings(clients=3, codec="topk"), SimulateSettings(clients=3)):
        console.print(_head(Run(settings)))
    first, second = console.export_text().splitlines()
    assert "fedavg, topk (share=0.01), seed 0" in first
    assert "topk" not in second
