"""``bramble predict`` on recordings, and ``bramble model get``, which writes what it takes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from bramble.cli import main
from bramble_client.hal.sim import recordings, rooms
from bramble_protocol.graph import GraphFile
from bramble_protocol.kinds import LABEL
from bramble_server import tasks
from tests.edge_client.process import CLIMATE
from tests.server.process import ServerProcess

CHICAGO = recordings.builtin()["chicago"]
GRAPH = GraphFile.read(CLIMATE.read_bytes())


def predict(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["predict", *map(str, arguments)])
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    return said.out


def graph(task: str) -> Path:
    return tasks.find(task).path


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """Thirty hours that get warmer by a degree each."""
    path = tmp_path / "short.csv"
    rows = [f"{1_672_531_200 + 3600 * n},{n},50,1000" for n in range(30)]
    path.write_text("\n".join(["time,temperature,humidity,pressure", *rows]) + "\n")
    return path


def test_each_window_is_a_line_with_what_came_and_the_baseline(capsys: pytest.CaptureFixture[str], short: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(predict(capsys, "--model", CLIMATE, "--csv", short))))
    assert len(lines) == 30 - 24 + 1
    assert lines[0]["measured"] == "2023-01-01T23:00:00Z"
    assert lines[0]["for"] == "2023-01-02T02:00:00Z"
    # the model that nobody trained forecasts that nothing changes
    assert [float(line["y"]) for line in lines] == pytest.approx(list(range(23, 30)), abs=1e-4)
    assert [float(line["baseline"]) for line in lines] == pytest.approx(list(range(23, 30)))
    assert [line["target"] for line in lines] == ["26.0", "27.0", "28.0", "29.0", "", "", ""]


def test_as_json_each_line_is_an_object(capsys: pytest.CaptureFixture[str], short: Path, tmp_path: Path) -> None:
    predict(capsys, "--model", CLIMATE, "--csv", short, "--json", "--output", tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert len(lines) == 7
    assert lines[-1]["target"] is None


def test_the_weights_in_the_file_are_those_that_forecast(capsys: pytest.CaptureFixture[str], short: Path, tmp_path: Path) -> None:
    weights = GRAPH.initial + np.float32(0.1)
    (tmp_path / "other.tflite").write_bytes(GraphFile.pack(GRAPH.flatbuffer, GRAPH.manifest, weights).data)
    plain, other = (predict(capsys, "--model", path, "--csv", short) for path in (CLIMATE, tmp_path / "other.tflite"))
    assert plain != other


@pytest.mark.slow
def test_a_year_is_forecast_as_the_graph_measures_it(capsys: pytest.CaptureFixture[str]) -> None:
    lines = list(csv.DictReader(io.StringIO(predict(capsys, "--model", CLIMATE, "--csv", CHICAGO))))
    assert len(lines) > 8000


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("time,temperature\n2023-01-01T00:00Z,1\n", "has no humidity, pressure, which task climate takes; it has temperature"),
        (
            "time,temperature,humidity,pressure\n2023-01-01T00:00Z,1,50,1000\n",
            "has no window of task climate, which takes 24 bins of 3600 s",
        ),
    ],
)
def test_a_recording_that_does_not_fit_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "odd.csv").write_text(content)
    with pytest.raises(SystemExit) as ended:
        main(["predict", "--model", str(CLIMATE), "--csv", str(tmp_path / "odd.csv")])
    assert ended.value.code == 1
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--model", "none.tflite"], "cannot read none.tflite (No such file or directory); bramble model get writes one"),
        (["--model", str(CHICAGO)], "not a graph file with a manifest"),
        (["--model", str(CLIMATE), "--task", "room"], "is a model of task climate, not of room"),
    ],
)
def test_a_model_that_does_not_fit_is_said(capsys: pytest.CaptureFixture[str], arguments: list[str], why: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["predict", *arguments, "--csv", str(CHICAGO)])
    assert ended.value.code == 1
    assert why in capsys.readouterr().err


def test_a_servers_model_is_fetched_with_its_weights_inside(tmp_path: Path, capsys: pytest.CaptureFixture[str], short: Path) -> None:
    path = tmp_path / "mine.tflite"
    with ServerProcess(tmp_path, "--task", str(CLIMATE)) as server, pytest.raises(SystemExit) as ended:
        main(["model", "get", "--server", server.url, "--output", str(path)])
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    assert "the model of round 0 of climate" in said.out
    fetched = GraphFile.read(path.read_bytes())
    assert np.array_equal(fetched.initial, GRAPH.initial)
    assert fetched.fingerprint == GRAPH.fingerprint
    assert predict(capsys, "--model", path, "--csv", short) == predict(capsys, "--model", CLIMATE, "--csv", short)


def test_a_task_that_classifies_names_each_windows_class_beside_what_the_recording_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, flat = tmp_path / "motion.csv", tasks.load("activity")
    axes = [channel.key for channel in flat.manifest.channels if channel.key != LABEL]
    said = ["pendulum"] * 200 + ["" if n < 250 else "upright row" for n in range(200, 400)]
    rows = [f"{1_672_531_200 + n / 50 + 0.01:.2f},{','.join('1' for _ in axes)},{label}" for n, label in enumerate(said)]
    path.write_text("\n".join([f"time,{','.join(axes)},{LABEL}", *rows]) + "\n")
    lines = list(csv.DictReader(io.StringIO(predict(capsys, "--model", graph("activity"), "--csv", path))))
    assert len(lines) == 6, "a window ends each second from the third on"
    assert {line["class"] for line in lines} <= set(flat.manifest.kind.classes)
    assert sum(float(lines[0][f"probability_{n}"]) for n in range(7)) == pytest.approx(1)
    assert [line["target"] for line in lines] == ["pendulum", "pendulum", "", "upright row", "upright row", "upright row"]


def test_a_task_that_reconstructs_gives_an_error_that_jumps_where_something_breaks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "room.csv"
    times, values = rooms.readings("a", 300)
    values[200, 0] += 40
    rows = [f"{t:.0f},{temperature:.3f},{humidity:.3f}" for t, (temperature, humidity, _) in zip(times, values, strict=True)]
    path.write_text("\n".join(["time,temperature,humidity", *rows]) + "\n")
    lines = [json.loads(line) for line in predict(capsys, "--model", graph("anomaly"), "--csv", path, "--json").splitlines()]
    assert len(lines) == 24, "a window each ten minutes"
    broken = [line for line in lines if "03:20" <= line["measured"][11:16] <= "04:19"]
    assert min(line["error"] for line in broken) > 2 * max(line["error"] for line in lines if line not in broken)
    assert "target" not in lines[0]
