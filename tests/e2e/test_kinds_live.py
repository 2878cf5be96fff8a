"""Tasks that do not forecast, learnt from simulated chips by real clients: what they count reaches the server, and whoever asks it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from bramble_client.recordings.exercises import CHANNELS, CLASSES, people
from bramble_protocol import kinds
from tests.bramble.test_round import bramble
from tests.edge_client.process import ClientProcess
from tests.server.process import ServerProcess
from tests.waiting import wait_for

BINS = 300
"""Of each exercise: six seconds."""
WRIST = """[[sensor]]
driver = "mpu6050"
range = 8
rotation_range = 2000
"""


def exercised(path: Path, name: str) -> Path:
    """Write a recording of some of each exercise that a person did, one after the other."""
    person = people()[name]
    rows = np.concatenate([np.flatnonzero(person.labels == number)[50 : 50 + BINS] for number in range(len(CLASSES))])
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", *CHANNELS, "label"])
        for place, row in enumerate(rows.tolist()):
            writer.writerow([f"{1_672_531_200 + place / 50:.2f}", *person.values[row].round(3), CLASSES[int(person.labels[row])]])
    return path


def test_exercises_are_learnt_by_the_labels_of_a_recording_and_their_confusion_is_pooled(tmp_path: Path) -> None:
    (tmp_path / "wrist.toml").write_text(WRIST)
    with ServerProcess(tmp_path, "--task", "activity", "--min-updates", "2") as server:
        clients = [
            ClientProcess(
                server.url, tmp_path, "--replay", str(exercised(tmp_path / f"{name}.csv", name)), "--sensors-file",
                str(tmp_path / "wrist.toml"), name=name,
            ).wait_connected()
            for name in ("person-01", "person-02")
        ]  # fmt: skip
        try:
            server.measure(BINS * len(CLASSES))
            record = server.play()
            assert (record["state"], record["updates"]) == ("committed", 2), record
            # a window ends each second: of six, two take readings of the exercise before
            windows = sum(part["samples"] for part in record["clients"].values())
            assert windows == 2 * 4 * len(CLASSES)
            model = server.api.model()
            confusion = np.reshape(model["counts"][kinds.CONFUSION], (len(CLASSES), len(CLASSES)))
            assert confusion.sum() == windows
            np.testing.assert_array_equal(confusion.sum(1), [8] * len(CLASSES))
            accuracy = np.trace(confusion) / windows
            assert record["metrics"]["accuracy"] == pytest.approx(accuracy)
            assert record["metrics"]["test_error"] == pytest.approx(1 - accuracy)
            [told] = server.api.status()["tasks"]
            assert (told["kind"], told["measures"]["accuracy"], told["unseen"]) == ("classify", pytest.approx(accuracy), [])
            said = f"accuracy {accuracy:.1%}  macro F1 {record['metrics']['macro_f1']:.2f}"
            assert said in bramble("round", "show", "1", "--server", server.url).stdout
            assert f"activity:  {said}" in bramble("fleet", "status", "--server", server.url).stdout
        finally:
            for client in clients:
                client.stop()


def test_the_threshold_of_anomalies_comes_of_pooled_histograms_and_says_how_many_alarms_there_were(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--task", "anomaly", "--min-updates", "2") as server:
        clients = [ClientProcess(server.url, tmp_path, name=name).wait_connected() for name in ("pi-1", "pi-2")]
        try:
            server.measure(300)
            first = server.play()
            assert first["state"] == "committed", first
            assert "alarm_rate" not in first["metrics"], "nobody had a threshold yet"
            counts = server.api.model()["counts"]
            windows = sum(part["samples"] for part in first["clients"].values())
            assert len(counts[kinds.ALL]) == kinds.BINS
            assert sum(counts[kinds.ALL]) == sum(counts[kinds.FRESH]) == windows
            server.measure(200)
            tried = json.loads(bramble("evaluate", "1", "--server", server.url, "--json").stdout)["pooled"]["1"]
            second = server.play()
            assert tried["samples"] == 40
            assert tried["alarm_rate"] == second["metrics"]["alarm_rate"], "of the same windows, by the threshold that clients had"
            assert second["metrics"]["alarm_rate"] <= 1
            assert sum(server.api.model()["counts"][kinds.FRESH]) == 40, "twenty windows more of either"
            [told] = server.api.status()["tasks"]
            assert told["kind"] == "reconstruct"
            assert told["measures"] == {name: second["metrics"][name] for name in ("alarm_rate", "threshold")}
            assert "anomaly:  alarms " in bramble("fleet", "status", "--server", server.url).stdout
            wait_for(lambda: "error" in (clients[0].folder / "latest.json").read_text(), "the newest window's error")
        finally:
            for client in clients:
                client.stop()
