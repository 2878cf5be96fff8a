"""A round in small: a release whose training is broken in any way fails it, and a sensor that is broken does not."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bramble_client.acquire.recorder import Recorder
from bramble_client.commands import check, rehearsal
from bramble_client.hal.sim import recordings
from bramble_client.learn import builtin, trainer
from bramble_client.learn.fitting import Model
from bramble_client.learn.runner import Runner
from bramble_client.learn.trainer import Trainer
from bramble_client.settings import ClientSettings

MANIFEST = builtin.weather_graph().manifest


def settings(folder: Path, **other: Any) -> ClientSettings:
    return ClientSettings(sensors="mock", id="pi-1", data_dir=folder, **other)


def measured(folder: Path, hours: int, off: float = 0.0) -> Path:
    """Have a client measure weather, each temperature off by so much."""
    recording, recorder = recordings.load(min(recordings.builtin().values())), Recorder(folder / "readings.db", 10_000)
    times = [recording.first + MANIFEST.step_s * number for number in range(hours)]
    values = [recording.at(t) for t in times]
    recorder.append_many(
        [(t, {**value, "temperature": (value["temperature"] or 0.0) + off}) for t, value in zip(times, values, strict=True)]
    )
    recorder.close()
    return folder


def verdict(folder: Path, **other: Any) -> check.Finding:
    return next(finding for finding in check.check(settings(folder, server="http://127.0.0.1:1", **other)) if finding.part == "training")


@pytest.mark.parametrize(
    "own", [{"mode": "evaluation"}, {"mode": "private"}, {"mode": "private", "secure": True, "clip": 1.0, "noise": 9.0, "epsilon": 1.0}]
)
def test_a_client_without_readings_trains_on_recorded_weather(tmp_path: Path, own: dict[str, Any]) -> None:
    assert "trains task climate on 120 windows of recorded weather" in rehearsal.train(settings(tmp_path, **own))
    assert not list(tmp_path.iterdir()), "nothing is left where its data lie"


def test_a_client_with_readings_trains_on_them_and_keeps_them_as_they_were(tmp_path: Path) -> None:
    measured(tmp_path, 100)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("readings.db")}
    assert "windows of its own readings" in rehearsal.train(settings(tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.glob("readings.db")} == before


@pytest.mark.parametrize(("hours", "off"), [(MANIFEST.window, 0.0), (100, 500.0)], ids=["too few for a window", "a broken sensor"])
def test_readings_that_cannot_be_trained_on_are_no_fault_of_the_release(tmp_path: Path, hours: int, off: float) -> None:
    assert "of recorded weather" in rehearsal.train(settings(measured(tmp_path, hours, off)))


def broken(monkeypatch: pytest.MonkeyPatch, how: str) -> str:
    """Break the training as a release might; return what the check must say."""

    def crash(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("the release is broken")

    def hang(*_: Any, **__: Any) -> Any:
        threading.Event().wait()

    def nothing(graph: Any, manifest: Any, data: Any, start: Any, *others: Any, **more: Any) -> Any:
        return SimpleNamespace(model=start, done=1)

    def no_numbers(*given: Any, **more: Any) -> Any:
        start = nothing(*given).model
        return SimpleNamespace(model=Model(start.weights * np.float32("nan"), start.state), done=1)

    if how == "crash":
        monkeypatch.setattr(Trainer, "run", crash)
        return "training fails on recorded weather: ZeroDivisionError: the release is broken"
    if how == "crash of the process":
        monkeypatch.setattr("sys.executable", "/bin/false")
        return "training fails on recorded weather: graph: loading ended its process"
    if how == "hang":
        monkeypatch.setattr(rehearsal, "WITHIN_S", 1.0)
        monkeypatch.setattr(Trainer, "run", hang)
        return "training fails on recorded weather: there was no answer within 1 s"
    if how == "no numbers":
        monkeypatch.setattr(trainer, "fit", no_numbers)
        return "training diverged with learning rate"
    if how == "no numbers, and nobody looks":
        monkeypatch.setattr(trainer, "fit", no_numbers)
        monkeypatch.setattr(trainer, "_check", lambda *_: None)
        monkeypatch.setattr(trainer, "improved", lambda *_: None)
        return "finite"
    monkeypatch.setattr(trainer, "fit", nothing)
    return "training on recorded weather changes nothing"


@pytest.mark.parametrize("how", ["crash", "crash of the process", "hang", "no numbers", "no numbers, and nobody looks", "nothing"])
def test_a_release_whose_training_is_broken_fails_the_check_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    sentence = broken(monkeypatch, how)
    found = verdict(tmp_path)
    assert not found.good
    assert sentence in found.sentence


def test_a_training_process_that_hangs_is_ended_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "WITHIN_S", 2.0)
    hanging = tmp_path / "hanging"
    hanging.write_text("#!/bin/sh\nexec sleep 1000\n")
    hanging.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(hanging))
    runners: list[Runner] = []
    start = Runner._start
    monkeypatch.setattr(Runner, "_start", lambda self: (runners.append(self), start(self))[1])
    found = verdict(tmp_path)
    assert not found.good
    assert "did not end within" in found.sentence
    assert not any(runner.alive for runner in runners)
