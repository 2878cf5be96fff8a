"""What a client keeps to itself, what it mirrors, and what a reset makes it forget."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bramble_client.acquire.recorder import Recorder
from bramble_client.hal.sim import recordings
from bramble_protocol.graph import GraphFile
from tests import warm
from tests.edge_client.process import CLIMATE, ClientProcess
from tests.server.process import ServerProcess
from tests.waiting import wait_for


def serve(folder: Path, *flags: str) -> ServerProcess:
    return ServerProcess(folder, "--task", str(CLIMATE), "--min-clients", "1", *flags)


def test_in_evaluation_the_server_sees_what_the_client_stored_and_what_it_forecast(tmp_path: Path) -> None:
    station = next(iter(recordings.builtin().values()))
    with serve(tmp_path) as server, ClientProcess(server.url, tmp_path, "--replay", str(station)) as client:
        client.wait_connected()
        server.measure(100)
        record = server.play()
        data = wait_for(lambda: (found := server.api.readings()["pi-1"]).get("temperature.forecast") and found, "the forecasts")
        assert len(data["temperature"]["t"]) == len(data["humidity"]["t"]) == len(data["pressure"]["t"]) == 100
        assert client.samples == 100
        recording = recordings.load(station)
        expected = [recording.at(t)["temperature"] for t in data["temperature"]["t"]]
        assert np.allclose(data["temperature"]["value"], np.array(expected, np.float64), atol=0.05)
        forecast, unit = data["temperature.forecast"], data["temperature"]["unit"]
        assert forecast["unit"] == unit == "°C"
        assert len(forecast["t"]) == record["metrics"]["test_samples"] == record["clients"]["pi-1"]["samples"]
        # the forecasts are for times that were measured, and their error is the one that was reported
        measured = dict(zip(data["temperature"]["t"], data["temperature"]["value"], strict=True))
        errors = [(value - measured[t]) ** 2 for t, value in zip(forecast["t"], forecast["value"], strict=True)]
        assert math.isclose(np.mean(errors), record["metrics"]["test_error"], rel_tol=1e-3)


def test_each_stretch_is_tested_once_before_anybody_trains_on_it(tmp_path: Path) -> None:
    with serve(tmp_path) as server, ClientProcess(server.url, tmp_path) as client:
        client.wait_connected()
        server.measure(100)
        first = server.play()["clients"]["pi-1"]
        client.delivered()
        second = server.play()["clients"]["pi-1"]
        client.delivered()
        server.measure(40)
        third = server.play()["clients"]["pi-1"]
        assert first["test_samples"] == first["samples"]
        assert second["test_samples"] is None
        assert third["test_samples"] == 40
        assert third["samples"] == first["samples"] + 40


def test_a_reset_makes_it_forget_its_readings_and_how_far_it_was_tested(tmp_path: Path) -> None:
    with serve(tmp_path) as server, ClientProcess(server.url, tmp_path) as client:
        client.wait_connected()
        server.measure(100)
        before = server.play()["clients"]["pi-1"]
        client.delivered()
        server.api.reset()
        wait_for(lambda: client.samples == 0, "the client to forget")
        assert "consecutive bins" in server.play()["clients"]["pi-1"]["reason"]
        server.measure(100)
        after = server.play()["clients"]["pi-1"]
        assert (after["samples"], after["test_samples"]) == (before["samples"], before["test_samples"])
        assert math.isclose(after["test_error"], before["test_error"], rel_tol=0.05)  # the sensors' noise


def test_a_reset_that_came_while_it_was_away_reaches_it_when_it_is_back(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        with ClientProcess(server.url, tmp_path) as client:
            client.wait_connected()
            server.measure(50)
            client.kill()
        wait_for(lambda: server.api.status()["clients"] == 0, "the server to miss it")
        server.api.reset()
        with ClientProcess(server.url, tmp_path) as client:
            client.wait_log("reset: ")
            assert client.samples == 0


def test_in_private_mode_it_trains_on_what_it_sampled_and_no_reading_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "pi-1").mkdir()
    recorder = Recorder(tmp_path / "pi-1" / "readings.db", 10_000)
    recorder.append_many((3600.0 * hour, {"temperature": math.sin(hour / 4), "humidity": 50.0, "pressure": 1000.0}) for hour in range(200))
    recorder.close()
    # the server would take readings: that none comes is the client's own doing
    with serve(tmp_path) as server, ClientProcess(server.url, tmp_path, "--mode", "private", "--sample-every", "0.05") as client:
        client.wait_connected()
        wait_for(lambda: client.samples > 200, "the sampler's own readings")
        for _ in range(2):
            server.api.generate(10)
        client.wait_log("this client runs in private mode and sends none")
        record = server.play()
        assert record["state"] == "committed"
        assert record["clients"]["pi-1"]["test_samples"] > 100
        assert server.api.readings() == {}
        assert client.logged("private mode") == 1
        client.delivered()
        assert client.stop() == 0


def test_a_client_adds_noise_for_as_long_as_its_owner_allows_and_its_receipt_says_how_much(tmp_path: Path) -> None:
    own = ("--clip", "1", "--noise", "8", "--epsilon", "1.2")
    with serve(tmp_path) as server, private(server, tmp_path, "pi-1", *own, every=3600.0) as client:
        client.wait_connected()
        before = server.api.model()["weights"]
        record = server.play()
        assert record["state"] == "committed", record["reason"]
        assert record["clients"]["pi-1"]["samples"] == 20, "the same number whatever it measured"
        assert {name for name in record["metrics"] if "loss" in name or "test" in name} == set()
        moved = np.concatenate([np.ravel(np.subtract(server.api.model()["weights"][name], before[name])) for name in before])
        assert float(np.std(moved)) == pytest.approx(8.0, rel=0.1)
        again = server.play()
        assert "its owner allows 1.2 (--epsilon)" in again["clients"]["pi-1"]["reason"]
        begun = server.request("POST", "/evaluations?models=0")[1]["evaluation"]
        wait_for(lambda: server.get(f"/evaluations/{begun}")["state"] == "ended", "the evaluation to end")
        assert "tells nothing of itself without noise" in server.get(f"/evaluations/{begun}")["clients"]["pi-1"]["reason"]
        client.delivered()
        assert client.stop() == 0
    said = warm.run("bramble", "client", "receipt", "--data-dir", str(tmp_path / "pi-1")).stdout
    assert "shortened to 1, noise of 8 added to each number here, epsilon 1.01" in said


def test_a_private_server_takes_a_mock_client_only_if_it_is_told_to_and_never_asks_for_readings(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--mode", "private") as server:
        with ClientProcess(server.url, tmp_path, "--mode", "private") as client:
            client.wait_log("refuses this client: simulated: mock sensors are not let in here")
    with ServerProcess(tmp_path, "--mode", "private", "--allow-simulated") as server:
        with ClientProcess(server.url, tmp_path, "--mode", "private") as client:
            client.wait_connected()
            assert server.request("GET", "/generate")[0] == 403
            assert server.request("GET", "/data/all")[0] == 403
            assert client.stop() == 0


def bramble(*arguments: str) -> None:
    done = warm.run("bramble", *arguments)
    assert done.returncode == 0, done.stderr


def private(server: ServerProcess, folder: Path, name: str, *flags: str, every: float = 60.0) -> ClientProcess:
    (folder / name).mkdir(exist_ok=True)
    recorder = Recorder(folder / name / "readings.db", 10_000)
    recorder.append_many((every * n, {"temperature": math.sin(n / 4), "humidity": 50.0, "pressure": 1000.0}) for n in range(200))
    recorder.close()
    return ClientProcess(server.url, folder, "--mode", "private", "--sample-every", "1h", *flags, name=name)


def test_a_private_client_runs_a_graph_of_somebodys_own_only_if_an_operator_signed_it(tmp_path: Path) -> None:
    """As whoever runs the server could send one whose result is what went in."""
    built_in = GraphFile.read(CLIMATE.read_bytes())
    own = tmp_path / "own.tflite"
    own.write_bytes(GraphFile.pack(built_in.flatbuffer, replace(built_in.manifest, step_s=60.0), built_in.initial).data)
    key = tmp_path / "operator.key"
    flags = ("--task", str(own), "--mode", "private", "--allow-simulated", "--min-updates", "2")
    bramble("task", "key", str(key))
    with ServerProcess(tmp_path, *flags) as server:
        assert server.logged("clients in private mode run no such one: bramble task sign") == 1
        with private(server, tmp_path, "pi-1") as without, private(server, tmp_path, "pi-2", "--trust-graphs", f"{key}.pub") as provisioned:
            without.wait_connected()
            provisioned.wait_connected()
            parts = server.play()["clients"]
            assert "did not come with Bramble, and this client was given no operator's key; not run" in parts["pi-1"]["reason"]
            assert "nobody signed it; not run" in parts["pi-2"]["reason"]
            assert not list((tmp_path / "pi-1" / "graphs").glob("*")), "what is not run is not kept"
    bramble("task", "sign", str(own), "--key", str(key))
    with ServerProcess(tmp_path, *flags) as server:
        assert server.logged("run no such one") == 1, "not once more"
        with (
            private(server, tmp_path, "pi-1") as without,
            private(server, tmp_path, "pi-2", "--trust-graphs", f"{key}.pub") as provisioned,
            private(server, tmp_path, "pi-3", "--trust-graphs", f"{tmp_path}/missing.pub, {key}.pub") as wrong,
        ):
            assert wrong.process.wait(60) == 1
            assert "--trust-graphs: cannot read" in wrong.log()
            with private(server, tmp_path, "pi-4", "--trust-graphs", Path(f"{key}.pub").read_text().strip()) as another:
                for client in (without, provisioned, another):
                    client.wait_connected()
                record = server.play()
        assert record["state"] == "committed"
        assert {name for name, part in record["clients"].items() if part["samples"]} == {"pi-2", "pi-4"}
        assert "not run" in record["clients"]["pi-1"]["reason"]


def test_a_built_in_task_is_run_in_private_mode_whatever_its_horizon(tmp_path: Path) -> None:
    flags = ("--task", "climate", "--horizon", "6", "--mode", "private", "--allow-simulated", "--min-updates", "2")
    with ServerProcess(tmp_path, *flags) as server:
        clients = [private(server, tmp_path, f"pi-{n}") for n in (1, 2)]
        with clients[0], clients[1]:
            for client in clients:
                client.wait_connected()
            reasons = [part["reason"] for part in server.play()["clients"].values()]
        assert all("task climate needs 30 consecutive bins" in reason for reason in reasons), reasons
