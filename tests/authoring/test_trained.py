"""A trained model in the formats that others take: each is loaded again, and forecasts what the task's graph does with those weights."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="exporting needs TensorFlow; run: make test-authoring")

from bramble.exporting import written
from bramble_client.learn.fitting import arguments
from bramble_client.learn.runtime import Runtime
from bramble_protocol.errors import BrambleError
from bramble_server.authoring.trained import Trained
from bramble_server.tasks import create, load
from tests.authoring.references import weather

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")

GRAPH = load("climate")
LAYOUT, OUTPUT = GRAPH.manifest.layout, GRAPH.manifest.interface.outputs[0].name
WEIGHTS = GRAPH.initial + np.random.default_rng(3).normal(0, 0.1, LAYOUT.size).astype(np.float32)
X, _ = weather(40, seed=5)


@pytest.fixture(scope="module")
def expected() -> Any:
    return Runtime(GRAPH.flatbuffer)("infer", x=X, **arguments(LAYOUT, WEIGHTS, "w"))[OUTPUT]


def export(kind: str, output: Path, csv: Path | None = None) -> list[str]:
    return written(kind, output, GRAPH.manifest.to_wire(), LAYOUT, WEIGHTS, csv)


def test_npz_has_each_tensor_by_its_name(tmp_path: Path) -> None:
    export("npz", tmp_path / "model.weights")
    with np.load(tmp_path / "model.weights") as found:
        assert list(found) == [tensor.name for tensor in LAYOUT.tensors]
        np.testing.assert_array_equal(LAYOUT.join([found[tensor.name] for tensor in LAYOUT.tensors]), WEIGHTS)


def test_tflite_forecasts_without_being_given_weights(tmp_path: Path, expected: Any) -> None:
    (said,) = export("tflite", tmp_path / "model.tflite")
    graph = Runtime((tmp_path / "model.tflite").read_bytes())
    assert graph.signatures == {"infer": {"inputs": ["x"], "outputs": [OUTPUT]}}
    for rows in (40, 1):
        np.testing.assert_allclose(graph("infer", x=X[:rows])[OUTPUT], expected[:rows], rtol=0, atol=1e-5)
    assert f"{(tmp_path / 'model.tflite').stat().st_size} bytes, task climate" in said


def test_keras_forecasts_alike_when_it_is_loaded_again(tmp_path: Path, expected: Any) -> None:
    export("keras", tmp_path / "model.keras")
    model = importlib.import_module("keras").models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=0, atol=1e-5)
    with pytest.raises(BrambleError, match=r"files that end in \.keras"):
        export("keras", tmp_path / "model.h5")


def test_onnx_forecasts_alike_by_the_reference_of_the_format(tmp_path: Path, expected: Any) -> None:
    pytest.importorskip("tf2onnx")
    export("onnx", tmp_path / "model.onnx")
    reference = importlib.import_module("onnx.reference").ReferenceEvaluator(str(tmp_path / "model.onnx"))
    assert reference.input_names == ["x"]
    assert reference.output_names == [OUTPUT]
    np.testing.assert_allclose(reference.run(None, {"x": X})[0], expected, rtol=0, atol=1e-5)


def test_int8_is_calibrated_on_a_recording_and_its_error_stands_beside_float_s(tmp_path: Path) -> None:
    trained = Trained(create("climate"), WEIGHTS)
    recordings = importlib.import_module("bramble_client.hal.sim.recordings")
    recording = sorted(recordings.builtin().values())[0]
    _, said = export("tflite-int8", tmp_path / "model.tflite", recording)
    data = (tmp_path / "model.tflite").read_bytes()
    assert len(data) < len(trained.tflite())
    found = Runtime(data)("infer", x=X)[OUTPUT]
    plain = Runtime(trained.tflite())("infer", x=X)[OUTPUT]
    np.testing.assert_allclose(found, plain, rtol=0, atol=0.2)
    assert not np.array_equal(found, plain)
    assert said.startswith("RMSE over ")
    after, before = (float(number) for number in re.findall(r"([0-9.]+) °C in", said))
    assert after == pytest.approx(before, rel=0.01)


def test_without_a_recording_its_weights_alone_are_int8(tmp_path: Path, expected: Any) -> None:
    _, said = export("tflite-int8", tmp_path / "model.tflite")
    assert said.startswith("weights alone are int8")
    found = Runtime((tmp_path / "model.tflite").read_bytes())("infer", x=X)[OUTPUT]
    assert np.abs(found - expected).mean() < 0.1 * expected.std()


def test_what_cannot_be_exported_is_said_and_no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrambleError, match="task strange is not installed here"):
        written("tflite", tmp_path / "a", {**GRAPH.manifest.to_wire(), "task": "strange"}, LAYOUT, WEIGHTS)
    with pytest.raises(BrambleError, match="weights here, and 3 came"):
        written("tflite", tmp_path / "a", GRAPH.manifest.to_wire(), LAYOUT, WEIGHTS[:3])
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(BrambleError, match=r"tf2onnx is not installed; get it with: pip install 'bramble-fl\[authoring,onnx\]'"):
        export("onnx", tmp_path / "a")
    with pytest.raises(BrambleError, match="cannot be written"):
        export("tflite", tmp_path / "missing" / "a")
    assert list(tmp_path.iterdir()) == []
