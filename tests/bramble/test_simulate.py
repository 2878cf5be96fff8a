"""``bramble simulate``: the fleet's own code in simulated time, the same bits every time, and nothing half-done."""

from __future__ import annotations

import csv
import itertools
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from bramble import cli
from bramble.simulation.rounds import Device, Simulation
from bramble.simulation.scenario import Scenario
from bramble.simulation.workers import Threads
from bramble_client.learn.plausibility import WindowDoubts
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.trainer import Ready, local_run
from bramble_protocol import BrambleError, reasons
from bramble_protocol.messages import ClientUpdate, Timing
from tests.bramble.simulated import MANIFEST, built, everywhere, recorded, shorter, simulated, stretches


def bramble(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["simulate", *map(str, arguments)])
    assert end.value.code == code


# What it computes


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["fedavg", "fedadam", "scaffold"])
def test_the_same_seed_gives_the_same_bits_whoever_trains_whom(strategy: str) -> None:
    once, thrice = (simulated(count=count, strategy=strategy) for count in (1, 3))
    assert [each.digest for each in once[1]] == [each.digest for each in thrice[1]]
    assert once[1] == thrice[1]
    other, _ = simulated(seed=2, strategy=strategy)
    assert other.digest != once[0].digest


def test_a_round_of_fedavg_is_the_mean_of_what_the_clients_own_code_trains() -> None:
    simulation, [played] = simulated(2, 1)
    base = built()
    config = replace(base.settings.training(MANIFEST.config), seed=1)
    update = ClientUpdate(1, MANIFEST.task, base.graph.sha256, MANIFEST.layout, "float32", "float32", base.graph.initial, config)
    runtime = Runtime(base.graph.flatbuffer)
    trained = []
    for stretch in map(shorter, stretches(2)):
        ready = Ready(MANIFEST, base.graph.state, stretch.windows, WindowDoubts(), stretch.client)
        trained.append(local_run(runtime, ready, update, None, None, Timing(0.0, 0.0, 0.0)).complete)
    mean = np.average([each.weights for each in trained], axis=0, weights=[each.samples for each in trained])
    assert simulation.model.weights == pytest.approx(mean, abs=1e-6)
    assert played.delivered == 2
    assert not np.array_equal(simulation.model.weights, base.graph.initial)


def test_a_busy_machine_cuts_no_run_into_several(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    ticks = itertools.count(step=10.0)

    class Noting(Runtime):
        def __call__(self, signature: str, **inputs: Any) -> dict[str, Any]:
            called.append(signature)
            return super().__call__(signature, **inputs)

    monkeypatch.setattr("bramble.simulation.workers.Runtime", Noting)
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    simulated(2, 1)
    once = called.count("doubt")
    called.clear()
    simulated(2, 2)
    assert called.count("descend") == 4
    assert called.count("doubt") == once > 0, "windows are the same in each round, and judged once"


def test_a_client_whose_readings_cannot_be_true_says_so() -> None:
    base, (broken, well) = built(), map(shorter, stretches(2))
    known = broken.place.known
    boiling = replace(broken.place, known=replace(known, inputs={name: array + 500 for name, array in known.inputs.items()}))
    with closing(Threads(base.graph, 1)) as workers:
        fleet = Simulation(base, [replace(broken, place=boiling), well], Scenario(), 1, workers)
        [played] = fleet.play(1)
    assert played.delivered == 1
    assert "60 of 60" in played.parts[broken.client]["reason"]


def test_a_fleet_learns_what_it_never_trained_on() -> None:
    _, played = simulated(14, 4)
    assert played[-1].error < played[0].error
    assert {each.baseline for each in played} == {played[0].baseline}
    assert set(played[0].by_place) == {place.name for place in everywhere()}


@pytest.mark.parametrize("selection", ["uniform", "loss", "tiers", "oort"])
def test_a_cohort_is_asked_by_the_servers_own_code_and_the_same_again(selection: str) -> None:
    settings: dict[str, Any] = {"clients_per_round": 3, "over_selection": 1.5, "selection": selection, "adaptive_deadline": 3.0}
    scenario = Scenario(slow=0.3, slow_times=2)
    (_, once), (_, again) = (simulated(9, 4, scenario, count=count, **settings) for count in (1, 3))
    assert once == again
    for played in once:
        assert (played.asked, played.delivered) == (5, 3)
        assert sum(part["reason"] == reasons.SPARED for part in played.parts.values()) == 2
    assert len({client for played in once for client in played.parts}) > 5, "not always the same"


def test_tiers_go_by_the_times_that_were_measured() -> None:
    scenario = Scenario(slow=0.4, slow_times=10, slow_by="client", spread=0)
    settings: dict[str, Any] = {"clients_per_round": 2, "selection": "tiers", "selection_option": {"tiers": 4}, "deadline": 500.0}
    _, played = simulated(8, 12, scenario, seed=2, **settings)
    seconds = [[part["replied"] - part["sent"] for part in each.parts.values()] for each in played]
    assert any(max(each) > 5 * min(each) for each in seconds[:4]), "while nobody was measured the slow are among the fast"
    assert all(max(each) < 2 * min(each) for each in seconds[4:])


def test_over_selection_does_not_wait_for_the_slow() -> None:
    scenario = Scenario(slow=0.3, slow_times=5, spread=0)
    (_, waiting), (_, sparing) = (simulated(9, 4, scenario, clients_per_round=3, over_selection=over) for over in (1.0, 2.0))
    assert sparing[-1].ended < waiting[-1].ended


def test_a_cohort_larger_than_the_fleet_is_refused_before_anything_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bramble("--clients", 5, "--clients-per-round", 6, "--out", tmp_path / "out", code=1)
    assert "clients_per_round: 6 are wanted for a round, and there are 5; lower it, or raise --clients" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# What goes on around it


def test_who_is_late_costs_the_round_its_deadline_and_is_not_counted() -> None:
    scenario = Scenario(spread=0, slow=0.5, slow_times=100, slow_by="client")
    _, [first, second] = simulated(14, 2, scenario, deadline=60.0)
    slow = {client for client, part in first.parts.items() if part["reason"]}
    assert 0 < len(slow) < 14
    assert first.delivered == 14 - len(slow)
    assert first.ended - first.opened == 60.0
    assert {client for client, part in second.parts.items() if part["reason"]} == slow
    assert all(first.parts[client]["samples"] is None for client in slow)


def test_slow_places_are_slow_as_a_whole() -> None:
    scenario = Scenario(spread=0, slow=0.5, slow_times=100, slow_by="place")
    _, [played] = simulated(21, 1, scenario)
    late = {client for client, part in played.parts.items() if part["reason"]}
    assert late
    assert {client.rpartition("-")[0] for client in late}.isdisjoint(
        client.rpartition("-")[0] for client in played.parts if client not in late
    )


def test_whose_connection_breaks_is_gone_for_that_round_alone() -> None:
    _, played = simulated(14, 3, Scenario(lost=0.4))
    gone = [{client for client, part in each.parts.items() if part["reason"] == reasons.GONE} for each in played]
    assert all(gone)
    assert gone[0] != gone[1]
    assert [each.delivered for each in played] == [14 - len(each) for each in gone]
    assert all(each.ended - each.opened < 60 for each in played)


def test_who_is_away_is_not_asked_and_who_joins_later_is_asked_then() -> None:
    _, played = simulated(14, 3, Scenario(away=0.5))
    assert all(0 < each.asked < 14 for each in played)
    _, played = simulated(14, 6, Scenario(joining_s=40.0), min_clients=3, min_updates=1)
    assert played[0].asked == 3
    assert played[0].opened > 0
    assert played[-1].asked == 14


def test_a_client_remembers_what_the_server_took_and_nothing_else() -> None:
    simulation, [played] = simulated(7, 1, Scenario(lost=0.5), strategy="scaffold")
    for client, part in played.parts.items():
        device: Device = simulation._devices[client]
        assert (device.local_state is not None) == (part["samples"] is not None)


def test_too_few_updates_abandon_a_round_and_leave_the_model() -> None:
    simulation, [played] = simulated(7, 1, Scenario(lost=1.0))
    assert played.state == "abandoned"
    assert played.reason
    assert np.array_equal(simulation.model.weights, simulation.graph.initial)


def test_no_round_opens_with_too_few_clients() -> None:
    with pytest.raises(BrambleError, match="3 clients are connected, a round needs 5"):
        simulated(3, 1, min_clients=5)


def test_a_round_that_cannot_open_ends_it_with_what_there_is(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "strike.toml").write_text("away = 0.5\n")
    bramble(*FEW, "--rounds", 50, "--min-updates", 6, "--scenario", tmp_path / "strike.toml", "--out", tmp_path / "out", code=1)
    assert "clients are connected, a round needs 6; lower --min-clients, or let fewer be away" in capfd.readouterr().err
    kept = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert not kept["finished"]
    assert kept["stopped"]


# The command

FEW = ("--clients", 7, "--rounds", 2, "--workers", 2)


@pytest.fixture(autouse=True)
def weather(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command find three small places, unless it is told of others."""
    (tmp_path / "weather").mkdir()
    for name in ("attic", "cellar", "shed"):
        recorded(tmp_path / "weather" / f"{name}.csv", phase=len(name))
    monkeypatch.setenv("BRAMBLE_SIMULATE_DATA", str(tmp_path / "weather"))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_results_are_whole_in_each_form(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bramble(*FEW, "--out", tmp_path / "out", "--json")
    printed = json.loads(capfd.readouterr().out)
    kept = json.loads((tmp_path / "out" / "summary.json").read_text())
    rounds, clients = table(tmp_path / "out" / "rounds.csv"), table(tmp_path / "out" / "clients.csv")
    assert kept["digest"] == printed["digest"] == rounds[-1]["digest"]
    assert kept["settings"] == printed["settings"]
    assert (kept["finished"], kept["committed"], kept["trainings"]) == (True, 2, 14)
    assert (len(rounds), len(clients)) == (2, 14)
    for name, rows in (("rounds", rounds), ("clients", clients)):
        columns = pyarrow.parquet.read_table(tmp_path / "out" / f"{name}.parquet").to_pylist()
        assert [{key: "" if value is None else str(value) for key, value in row.items()} for row in columns] == rows


def test_results_are_not_written_over_those_of_another_simulation(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bramble(*FEW, "--out", tmp_path / "out")
    before = (tmp_path / "out" / "summary.json").read_text()
    bramble(*FEW, "--out", tmp_path / "out", "--seed", 5, code=1)
    assert "holds the results of another simulation (its seed differ" in capfd.readouterr().err
    assert (tmp_path / "out" / "summary.json").read_text() == before
    bramble(*FEW, "--out", tmp_path / "out")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "thesis.tex").touch()
    bramble(*FEW, "--out", tmp_path / "else", code=1)
    assert "is not empty, and holds no results of a simulation" in capfd.readouterr().err
    bramble(*FEW, "--out", tmp_path / "out" / "summary.json", code=1)
    assert "is a file; name a folder" in capfd.readouterr().err


def test_a_line_for_each_round(capfd: pytest.CaptureFixture[str]) -> None:
    bramble(*FEW)
    out, err = capfd.readouterr()
    assert "7 clients at 3 places" in out
    assert sum(line.startswith("round ") for line in out.splitlines()) == 2
    assert "held out: RMSE" in out
    assert err == ""


def test_rounds_that_came_to_nothing_are_an_exit_code(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "storm.toml").write_text("lost = 1.0\n")
    bramble(*FEW, "--scenario", tmp_path / "storm.toml", code=1)
    assert "abandoned" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spread = 0.1\nslo = 0.5\n", "line 2: nothing is called slo, did you mean slow?"),
        ("weather = 1\n", "line 1: nothing is called weather; there are training_s, network_s"),
        ("\n\nlost = 1.5\n", "line 3: lost: input should be less than or equal to 1"),
        ("slow_by = 'mood'\n", "line 1: slow_by: input should be 'round', 'client' or 'place'"),
        ("lost = \n", "is not TOML"),
        (None, "cannot read"),
    ],
)
def test_a_scenario_that_is_none(tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str | None, said: str) -> None:
    path = tmp_path / "scenario.toml"
    if text is not None:
        path.write_text(text)
    bramble(*FEW, "--scenario", path, "--out", tmp_path / "out", code=1)
    assert said in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--strategy", "fedadan"), "did you mean 'fedadam'?"),
        (("--strategy", "fedprox", "--strategy-option", "nu=1"), "it has mu (a number, 0 to 1000)"),
        (("--strategy-option", "mu=1"), "fedavg has no parameter 'mu'"),
        (("--clients", "0"), "--clients: input should be greater than or equal to 1, got '0'"),
        (("--task", "weather"), "task: 'weather' is not one of activity"),
        (("--min-updates", "9"), "min_updates: 7 clients never give 9 updates; lower --min-updates"),
        (("--backend", "spark"), "--backend: input should be 'threads' or 'ray', got 'spark'"),
        (("--data", "nowhere"), "nowhere is not a folder of CSV files"),
    ],
)
def test_what_cannot_be_is_said_before_anything_begins(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: Sequence[str], said: str
) -> None:
    bramble(*FEW, *arguments, code=1)
    assert said in capfd.readouterr().err


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    bramble(*FEW, "--backend", "ray", code=1)
    assert "Ray is not installed; pip install 'bramble-fl[ray]', or leave --backend at threads" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'bramble-fl[ray]'")
def test_where_no_cluster_of_ray_is_that_is_said_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        bramble(*FEW, "--backend", "ray", "--ray-address", address, code=1)
    assert f"ray: {address} cannot be reached" in capfd.readouterr().err


def test_ctrl_c_keeps_what_there_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bramble", "simulate", *map(str, FEW), "--rounds", "100000", "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        while not (line := process.stdout.readline()).startswith("round   2"):
            assert line, "it ended by itself"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
    kept = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert "Stopped before its end." in out
    assert (kept["finished"], kept["stopped"]) == (False, "interrupted")
    assert len(table(tmp_path / "out" / "rounds.csv")) == kept["committed"] >= 2


# Rounds that wait for nobody


BUFFERED: dict[str, Any] = {"discipline": "asynchronous", "buffer": 3, "max_staleness": 4, "deadline": 500.0}


def test_asynchronous_rounds_have_the_same_bits_whoever_trains_whom() -> None:
    some_are_slow = Scenario(slow=0.3, lost=0.2, away=0.2)
    once, thrice = (simulated(9, 6, some_are_slow, count=count, **BUFFERED) for count in (1, 3))
    assert once[1] == thrice[1]
    assert [each.delivered for each in once[1]] == [3] * 6
    late = {client: part["asked"] for each in once[1] for client, part in each.parts.items() if part["asked"] and part["replied"]}
    assert late, "what was slow counts in a later round"


def test_nobody_waits_for_who_is_slow_in_asynchronous_rounds() -> None:
    slow = Scenario(spread=0.0, slow=0.3, slow_by="client")
    _, waiting = simulated(9, 3, slow, deadline=500.0)
    _, buffered = simulated(9, 3, slow, **BUFFERED)
    assert [each.ended - each.opened for each in waiting] == [100.5] * 3
    assert next(each.ended - each.opened for each in buffered) == 10.5


def test_who_is_too_slow_for_the_bound_never_counts_in_asynchronous_rounds() -> None:
    slow = Scenario(slow=0.3, slow_by="client", slow_times=1000)
    _, played = simulated(9, 12, slow, **{**BUFFERED, "deadline": 1e5})
    parts = [(each.round, client, part) for each in played for client, part in each.parts.items()]
    never = {client for _, client, _ in parts} - {client for _, client, part in parts if part["replied"]}
    assert never
    asked = [number for number, client, part in parts if client == min(never) and part["asked"] is None]
    assert asked == [1, 6, 11], "it is asked anew once its work would not count any more"
