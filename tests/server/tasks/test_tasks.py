"""The built-in tasks are served from committed graphs, by name or by file, without TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_client.hal.channels import TABLE
from bramble_protocol import released
from bramble_protocol.errors import ProtocolError
from bramble_protocol.graph import GraphFile
from bramble_protocol.layout import Layout
from bramble_server import tasks
from bramble_server.tasks import climate


@pytest.mark.parametrize("name", tasks.TASKS)
def test_each_task_has_its_graph_committed_with_the_manifest_it_declares(name: str) -> None:
    graph = tasks.load(name)
    assert graph.manifest == tasks.create(name).manifest(graph.manifest.layout)
    assert graph.manifest.task == name
    assert np.isfinite(graph.initial).all()


@pytest.mark.parametrize("name", tasks.TASKS)
def test_the_manifest_committed_for_reading_is_the_one_in_the_graph(name: str) -> None:
    assert json.loads((tasks.FOLDER / f"{name}.json").read_text("utf-8")) == tasks.load(name).manifest.to_wire()


def test_no_committed_graph_is_without_its_task() -> None:
    assert {path.stem for path in tasks.FOLDER.glob("*.tflite")} == set(tasks.TASKS)


@pytest.mark.parametrize("name", tasks.TASKS)
def test_each_built_in_graph_is_among_the_released_ones_so_that_private_clients_run_it(name: str) -> None:
    assert tasks.load(name).fingerprint in released.fingerprints(), "bramble task export, without a name, adds it"


def test_the_graph_of_release_0_1_stays_among_them() -> None:
    assert "fbd9ebda02b7849c0856c7d130a7840345993f78416259fda12ced7ea71dc37f" in released.fingerprints()


def test_releasing_a_graph_adds_one_line_and_takes_none_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "released.txt"
    copy.write_text(released.FILE.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(released, "FILE", copy)
    released.fingerprints.cache_clear()
    try:
        before = released.fingerprints()
        assert [released.add("ab" * 32, "climate"), released.add("ab" * 32, "climate")] == [True, False]
        assert released.fingerprints() == before | {"ab" * 32}
    finally:
        released.fingerprints.cache_clear()


def test_the_signatures_beside_a_graph_are_found_and_checked_for_their_form(tmp_path: Path) -> None:
    assert tasks.signatures_of("climate") == b""
    path = tmp_path / "mine.tflite"
    assert tasks.signatures_of(str(path)) == b""
    (tmp_path / "mine.tflite.sig").write_text("AAAA\n")
    with pytest.raises(ProtocolError, match=r"mine\.tflite\.sig, line 1: a signature has 64 bytes"):
        tasks.signatures_of(str(path))


def test_a_horizon_changes_the_manifest_and_nothing_else() -> None:
    usual, far = tasks.load("climate"), tasks.load("climate", tasks.Terms(6))
    assert (usual.manifest.horizon, far.manifest.horizon) == (3, 6)
    assert far.manifest.metric.baseline == "persistence: in 6 hours it will be as now"
    assert far.flatbuffer == usual.flatbuffer
    assert far.sha256 != usual.sha256
    np.testing.assert_array_equal(far.initial, usual.initial)
    words: dict[str, Any] = {"metric": usual.manifest.metric, "description": usual.manifest.description}
    assert replace(far.manifest, horizon=3, declared=usual.manifest.declared, **words) == usual.manifest
    assert far.manifest.interface.targets[0].horizons == (6,)
    assert far.manifest.former is not None, "clients of release 0.1 forecast as far"


def test_another_length_of_its_bins_changes_the_manifest_and_what_it_means() -> None:
    usual, quick = tasks.load("climate"), tasks.load("climate", tasks.Terms(6, 600.0))
    assert quick.manifest.description == "Temperature 1 hours ahead, from the last 4 hours of temperature, humidity and pressure"
    assert quick.manifest.step_s == 600
    assert quick.flatbuffer == usual.flatbuffer
    assert quick.manifest.meaning != tasks.load("climate", tasks.Terms(6)).manifest.meaning
    assert quick.fingerprint != usual.fingerprint, "it learns from other readings than what was released: it wants a signature"
    ends = tasks.load("climate", tasks.Terms(3, 90.0)).manifest.metric.baseline
    assert ends == "persistence: in 270 seconds it will be as now"


def test_another_window_is_another_graph_and_how_to_make_it_is_said() -> None:
    assert tasks.load("climate", tasks.Terms(window=24)).sha256 == tasks.load("climate").sha256
    assert tasks.create("climate", tasks.Terms(window=12)).manifest(Layout.of([("w", [1])])).interface.inputs[0].shape == (12, 3)
    sentence = (
        r"window: the graph of 'climate' takes windows of 24 bins; export one of 12 and give its path: "
        r"bramble task export climate --step 600s --window 12 --out FILE\.tflite"
    )
    with pytest.raises(tasks.TaskError, match=sentence):
        tasks.load("climate", tasks.Terms(step_s=600.0, window=12))


@pytest.mark.parametrize(("terms", "name"), [(tasks.Terms(step_s=600.0), "step"), (tasks.Terms(window=3), "window")])
def test_a_task_whose_numbers_are_its_own_says_so(terms: tasks.Terms, name: str) -> None:
    with pytest.raises(tasks.TaskError, match=f"{name}: 'room' has its own; leave it out"):
        tasks.load("room", terms)


def test_a_graph_of_ones_own_is_loaded_by_its_path(tmp_path: Path) -> None:
    far = tasks.load("climate", tasks.Terms(6))
    (tmp_path / "mine.tflite").write_bytes(far.data)
    loaded = tasks.load(str(tmp_path / "mine.tflite"))
    assert (loaded.sha256, loaded.manifest) == (far.sha256, far.manifest)


def test_an_unknown_task_is_refused_with_the_known_ones() -> None:
    known = ", ".join(sorted(tasks.TASKS))
    with pytest.raises(tasks.TaskError, match=rf"task: 'climte' is not one of {known}, did you mean 'climate'\?$"):
        tasks.load("climte")
    with pytest.raises(tasks.TaskError, match=rf"task: 'power' is not one of {known}; for a graph of your own, give the path"):
        tasks.load("power")


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(tasks.TaskError, match=r"task: cannot read .*mine\.tflite \(No such file or directory\)"):
        tasks.load(str(tmp_path / "mine.tflite"))


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.tflite").write_bytes(b"TFL3 but no manifest")
    with pytest.raises(tasks.TaskError, match=r"task: .*mine\.tflite: not a graph file with a manifest"):
        tasks.load(str(tmp_path / "mine.tflite"))


def test_a_horizon_for_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.tflite"
    path.write_bytes(tasks.load("climate").data)
    with pytest.raises(tasks.TaskError, match=r"horizon: the graph in .* has its own; export it again"):
        tasks.load(str(path), tasks.Terms(4))


def test_the_flatbuffer_is_the_graph_file_without_what_was_packed_behind_it() -> None:
    graph = tasks.load("climate")
    assert graph.data.startswith(graph.flatbuffer)
    assert graph.flatbuffer[4:8] == b"TFL3"
    again = GraphFile.pack(graph.flatbuffer, graph.manifest, graph.initial)
    assert (again.flatbuffer, again.manifest) == (graph.flatbuffer, graph.manifest)


def test_climate_scales_its_channels_by_the_channel_tables_ranges() -> None:
    for channel, (low, high) in zip(climate.Climate.channels, climate.RANGES, strict=True):
        quantity = TABLE[channel.key]
        assert (channel.unit, low, high) == (quantity.unit, quantity.low, quantity.high)


def test_serving_a_task_imports_no_tensorflow() -> None:
    load = "from bramble_server import tasks; tasks.load('climate', tasks.Terms(5, 600, 24))"
    code = f"import sys; {load}; print({{'tensorflow', 'keras'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(tasks.__file__).parents[2])
    assert done.stdout.strip() == "set()"


def test_the_defaults_of_a_local_run_travel_in_the_manifest() -> None:
    config = asdict(tasks.load("climate").manifest.config)
    assert {name: config[name] for name in ("epochs", "batch_size", "proximal_mu")} == {"epochs": 1, "batch_size": 32, "proximal_mu": 0.0}
