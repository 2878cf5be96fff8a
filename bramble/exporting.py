"""``bramble model export``: a trained model in the format that somebody else takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bramble import terminal
from bramble.api import Server
from bramble.model_settings import ExportModelSettings
from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Layout, Weights

CALIBRATED = "tflite-int8"
ENDINGS = {CALIBRATED: "int8.tflite"}


def run(settings: ExportModelSettings) -> int:
    """Fetch a model from the server and write it; return 0.

    Raises
    ------
    BrambleError
        If the server has no such model, the format needs what is not installed, or the file cannot be written.
    """
    if settings.csv is not None and settings.format != CALIBRATED:
        raise BrambleError(f"model export: --csv is for {CALIBRATED}, which is calibrated on it; {settings.format} needs none")
    server = Server.of(settings)
    found, manifest = server.model_of(settings.number, settings.task), server.status(settings.task)["manifest"]
    layout = Layout.from_wire(found["layout"])
    weights = layout.join([np.asarray(found["weights"][tensor.name], np.float32) for tensor in layout.tensors])
    output = settings.output or Path(f"{manifest['task']}-{settings.number}.{ENDINGS.get(settings.format, settings.format)}")
    said = written(settings.format, output, manifest, layout, weights, settings.csv)
    told = {"file": str(output), "format": settings.format, "task": manifest["task"], "round": settings.number, "said": said}
    terminal.tell(settings.as_json, told, *said)
    return 0


def written(kind: str, output: Path, manifest: Mapping[str, Any], layout: Layout, weights: Weights, csv: Path | None = None) -> list[str]:
    """Write a model; return what there is to say of it.

    Parameters
    ----------
    manifest
        The ``manifest`` of ``/status``: the task's name and horizon.
    weights
        Shape (layout.size,).
    csv
        A recording, on which int8 is calibrated and compared with float.
    """
    said: list[str] = []
    if kind == "npz":
        _keep(output, lambda path: _npz(path, layout, weights))
    else:
        trained, task = _trained(manifest, weights)
        if kind == "keras":
            if output.suffix != ".keras":
                raise BrambleError(f"model export: Keras writes files that end in .keras; {output} does not")
            _keep(output, trained.keras)
        elif kind == CALIBRATED:
            said = _int8(trained, task, output, csv)
        else:
            data = trained.tflite() if kind == "tflite" else trained.onnx()
            _keep(output, lambda path: path.write_bytes(data))
    return [f"{output}: {output.stat().st_size} bytes, task {manifest['task']}, {layout.size} weights", *said]


def _npz(path: Path, layout: Layout, weights: Weights) -> None:
    with path.open("wb") as file:  # numpy would add an ending to a name
        np.savez(file, **{tensor.name: part for tensor, part in zip(layout.tensors, layout.split(weights), strict=True)})  # type: ignore[arg-type]


def _trained(manifest: Mapping[str, Any], weights: Weights) -> tuple[Any, Any]:
    """Return the model with its weights in Keras layers, and its task."""
    from bramble_server import tasks

    try:
        from bramble_server.authoring.trained import Trained
    except ModuleNotFoundError as error:
        raise BrambleError(
            f"{error.name} is not installed; get it with: pip install 'bramble-fl[authoring]'; the format npz needs none"
        ) from error
    name = str(manifest["task"])
    if name not in tasks.names():
        raise BrambleError(f"model export: task {name} is not installed here, and its Keras model is made by it; the format npz needs none")
    # of the numbers that may be others than the task's own, those that are
    own = tasks.create(name)
    terms = {part: manifest[part] for part in ("horizon", "step_s", "window") if manifest[part] != getattr(own, part)}
    task = tasks.create(name, tasks.Terms(**terms))
    return Trained(task, weights), task


def _int8(trained: Any, task: Any, output: Path, csv: Path | None) -> list[str]:
    if csv is None:
        data = trained.int8(None)
        _keep(output, lambda path: path.write_bytes(data))
        return ["weights alone are int8: name a recording with --csv to calibrate the rest, and to see the error"]
    try:
        from bramble.simulation import places
    except ModuleNotFoundError as error:
        raise BrambleError(
            f"{error.name} is not installed, and recordings need it; get it with: pip install 'bramble-fl[client]'"
        ) from error
    from bramble_client.learn.windows import windows

    manifest = trained.manifest
    known = windows(*places.recorded(csv, manifest), manifest, places.MOST)
    if not len(known):
        raise BrambleError(
            f"model export: {csv} has no window of task {task.name}: {manifest.window} bins of {manifest.step_s:g} s in a row"
        )
    plain, data = trained.tflite(), trained.int8(known.inputs)
    _keep(output, lambda path: path.write_bytes(data))
    before, after = (trained.error(each, known.inputs, known.targets) for each in (plain, data))
    metric = task.metric
    return [f"{metric.name} over {len(known)} windows of {csv}: {after:.4g} {metric.unit} in int8, {before:.4g} {metric.unit} in float"]


def _keep(output: Path, write: Any) -> None:
    """Write a file whole, or leave what was there."""
    aside = output.with_name(f".{output.name}.part{output.suffix}")
    try:
        write(aside)
        aside.replace(output)
    except OSError as error:
        raise BrambleError(f"model export: {output} cannot be written ({error.strerror}); say where with --output") from None
    finally:
        aside.unlink(missing_ok=True)
