"""Forecasts beside the rounds, with the climate graph on whichever runtime is installed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_client.acquire.recorder import Recorder
from bramble_client.learn import local_state
from bramble_client.learn.graphs import GraphRejected
from bramble_client.learn.memory import Memory
from bramble_client.learn.pace import BrokenOff, Pace
from bramble_client.learn.runner import Runner
from bramble_client.learn.trainer import Trainer
from bramble_client.use import own as module
from bramble_client.use.forecaster import Forecaster
from bramble_client.use.inference import Inference
from bramble_client.use.latest import Latest
from bramble_client.use.received import Received
from bramble_protocol.graph import GraphFile
from bramble_protocol.layout import Weights
from bramble_protocol.messages import ClientUpdate, TrainConfig
from tests.waiting import wait_for

GRAPH = GraphFile.read((Path(__file__).parents[2] / "server/bramble_server/tasks/climate.tflite").read_bytes())
START = 1_672_531_200.0
HOUR = 3600.0


def readings(count: int, first: int = 0) -> list[tuple[float, dict[str, float | None]]]:
    return [
        (START + HOUR * n, {"temperature": 10.0 + 5 * np.sin(n * np.pi / 12), "humidity": 50.0, "pressure": 1000.0})
        for n in range(first, first + count)
    ]


def update(number: int = 3, weights: Weights | None = None) -> ClientUpdate:
    return ClientUpdate(
        round=number,
        task="climate",
        graph=GRAPH.sha256,
        layout=GRAPH.manifest.layout,
        encoding="float32",
        reply_encoding="float32",
        weights=GRAPH.initial if weights is None else weights,
        config=TrainConfig(batch_size=16, learning_rate=0.05),
    )


class Site:
    """A client's parts that a forecast needs."""

    def __init__(self, folder: Path, approve: Callable[[GraphFile], None] = lambda graph: None) -> None:
        self.folder, self.mirrored = folder, list[Inference]()
        self.recorder = Recorder(folder / "readings.db", 10_000)
        self.memory = Memory(self.recorder)
        self.runner = Runner()
        self.trainer = Trainer(folder, lambda _: pytest.fail("a forecast fetches no graph"), "pi-1", self.runner, approve)
        (folder / "graphs").mkdir(exist_ok=True)
        (folder / "graphs" / f"{GRAPH.sha256}.tflite").write_bytes(GRAPH.data)
        latest = Latest(folder / "latest.json", "pi-1", lambda: 0.0)
        self.forecaster = Forecaster(self.trainer, self.recorder, self.memory, latest, lambda *told: self.mirrored.append(told[-1]))
        self.recorder.appended = self.forecaster.wake
        self.forecaster.start()

    def receive(self, asked: ClientUpdate) -> None:
        with self.memory.lock:
            self.forecaster.received(asked)

    def told(self) -> dict[str, Any] | None:
        path = self.folder / "latest.json"
        told: dict[str, Any] | None = json.loads(path.read_text())["tasks"].get("climate") if path.exists() else None
        return told

    def await_forecast(self, measured: float) -> dict[str, Any]:
        wait_for(lambda: (self.told() or {}).get("measured") == measured, f"a forecast from {measured}")
        told = self.told()
        assert told is not None
        return told

    def close(self) -> None:
        self.forecaster.stop(5)
        self.runner.close()
        self.recorder.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def test_a_bin_that_is_whole_is_forecast_from(site: Site) -> None:
    site.recorder.append_many(readings(30))
    site.receive(update())
    told = site.await_forecast(START + 28 * HOUR)  # the newest reading's bin is still filling
    assert told["for"] == told["measured"] + 3 * HOUR
    assert (told["round"], told["target"], told["unit"], told["in_use"]) == (3, "temperature", "°C", "baseline")
    assert told["outputs"]["y"] == pytest.approx(readings(30)[28][1]["temperature"], abs=1e-5)
    site.recorder.append_many(readings(1, 30))
    site.await_forecast(START + 29 * HOUR)
    assert [found.measured for found in site.mirrored] == [START + 28 * HOUR, START + 29 * HOUR]


def test_too_few_readings_are_no_forecast(site: Site) -> None:
    site.receive(update())
    site.recorder.append_many(readings(24))
    wait_for(lambda: bool(site.forecaster._told), "a look at the readings")
    assert site.told() is None
    site.recorder.append_many(readings(1, 24))
    site.await_forecast(START + 23 * HOUR)


def note(site: Site, in_use: str, personal: Weights | None) -> None:
    """Have the site go by a model."""
    standing = replace(module.Own().standing, in_use=in_use)
    kept = local_state.Kept(GRAPH.state, {}, None, module.Own(personal, standing))
    with site.memory.lock:
        site.memory.note("climate", {"tested_until": START, "layer_state": local_state.written(GRAPH.manifest, kept)})


@pytest.mark.parametrize("in_use", ["global", "personal", "blend"])
def test_the_forecast_is_that_of_the_model_in_use(site: Site, in_use: str) -> None:
    random = np.random.default_rng(0)
    model, personal = [GRAPH.initial + np.asarray(random.normal(0, 0.1, GRAPH.initial.size), np.float32) for _ in range(2)]
    site.recorder.append_many(readings(30))
    note(site, in_use, personal)
    site.receive(update(weights=model))
    told = site.await_forecast(START + 28 * HOUR)
    models: dict[str, Weights] = {"global": model, "personal": personal, "blend": np.asarray((model + personal) / 2, np.float32)}
    x = np.array([[list(values.values()) for _, values in readings(24, 5)]], np.float32)
    tensors = {f"w{i}": tensor for i, tensor in enumerate(GRAPH.manifest.layout.split(models[in_use]))}
    site.runner.allow(60)
    (expected,) = site.runner("infer", x=x, **tensors)["y"]
    assert told["in_use"] == in_use == site.forecaster.in_use["climate"]
    assert told["outputs"]["y"] == pytest.approx(float(expected), abs=1e-6)


def test_a_new_choice_is_gone_by_at_once(site: Site) -> None:
    site.recorder.append_many(readings(30))
    site.receive(update())
    assert site.await_forecast(START + 28 * HOUR)["in_use"] == "baseline"
    note(site, "personal", GRAPH.initial + 1)
    site.forecaster.changed("climate")
    wait_for(lambda: (site.told() or {}).get("in_use") == "personal", "a forecast with the personal model")


def test_after_a_restart_the_model_that_came_last_is_gone_by(tmp_path: Path) -> None:
    before = Site(tmp_path)
    before.recorder.append_many(readings(30))
    before.receive(update(7))
    before.await_forecast(START + 28 * HOUR)
    before.close()
    again = Site(tmp_path)
    wait_for(lambda: bool(again.mirrored), "a forecast")
    assert again.await_forecast(START + 28 * HOUR)["round"] == 7
    again.close()


def test_after_a_reset_there_is_nothing_to_read(site: Site) -> None:
    site.recorder.append_many(readings(30))
    site.receive(update())
    site.await_forecast(START + 28 * HOUR)
    with site.memory.lock:
        site.memory.forget()
        site.forecaster.forget()
    assert site.told() is None
    assert site.memory.models() == {}
    site.recorder.append_many(readings(1, 30))
    assert site.forecaster.in_use == {}


def test_a_process_that_died_costs_no_forecast_beyond_the_next(site: Site) -> None:
    site.recorder.append_many(readings(30))
    site.receive(update())
    site.await_forecast(START + 28 * HOUR)
    assert site.runner._process is not None
    site.runner._process.kill()
    site.runner._process.wait()
    site.recorder.append_many(readings(1, 30))
    site.await_forecast(START + 29 * HOUR)


def test_a_forecast_comes_between_the_calls_of_a_run(site: Site) -> None:
    """A long run goes on until the forecast was seen: had that to wait for its end, this would never end."""
    site.recorder.append_many(readings(300))
    seen = threading.Event()
    asked = replace(update(), config=TrainConfig(epochs=2000, batch_size=4, learning_rate=1e-6))

    def train() -> None:
        with pytest.raises(BrokenOff):
            site.trainer.run(asked, site.recorder.columns, None, pace=Pace(lambda: not seen.is_set(), lambda: None))

    run = threading.Thread(target=train)
    run.start()
    wait_for(lambda: site.runner.holds(GRAPH.sha256), "the run to begin")
    site.receive(asked)
    site.await_forecast(START + 298 * HOUR)
    assert run.is_alive()
    seen.set()
    run.join(30)
    assert not run.is_alive()


def test_a_graph_that_is_not_to_be_run_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(graph: GraphFile) -> None:
        raise GraphRejected("graph: nobody signed it")

    site = Site(tmp_path, refuse)
    site.recorder.append_many(readings(30))
    site.receive(update())
    wait_for(lambda: "no forecast of climate: graph: nobody signed it" in caplog.text, "a word about it")
    site.recorder.append_many(readings(2, 30))
    site.close()
    assert sum("no forecast" in message for message in caplog.messages) == 1


def test_before_a_run_fetched_the_graph_nothing_is_forecast_nor_fetched(site: Site) -> None:
    site.recorder.append_many(readings(30))
    site.receive(replace(update(), graph="0" * 64))
    assert not site.trainer.beside("0" * 64, 5.0, lambda *loaded: pytest.fail("there is no such graph"))
    assert site.told() is None


def test_a_model_is_read_as_it_was_kept_and_one_that_is_damaged_is_none() -> None:
    model = Received.of(update(5))
    kept = model.written()
    assert kept is not None
    read = Received.read(kept)
    assert read is not None
    assert (read.graph, read.round, read.layout) == (model.graph, 5, model.layout)
    assert np.array_equal(read.weights, GRAPH.initial)
    assert Received.read(kept[:-5]) is None
    assert Received.read("{}") is None


def test_a_large_model_is_not_written_with_each_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble_client.use.received.LARGEST", 10)
    assert Received.of(update()).written() is None
