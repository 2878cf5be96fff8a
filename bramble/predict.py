"""``bramble predict``: a model on a recording, a line a window."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bramble.model_settings import PredictSettings
from bramble_client.hal.channels import known_to_a_task
from bramble_client.hal.sim import recordings
from bramble_client.learn.fitting import Model
from bramble_client.learn.labels import said
from bramble_client.learn.runtime import Runtime, result
from bramble_client.learn.windows import Windows, binned, windows
from bramble_client.use.own import persistence
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import GraphFile, Manifest

CHUNK = 1024
"""Windows that are forecast in one go."""
ALL = 1 << 40
"""Bytes of windows: all that a recording has."""
Line = dict[str, Any]


def run(settings: PredictSettings) -> int:
    """Write the lines; return 0.

    Raises
    ------
    BrambleError
        If model or recording cannot be read, do not fit, or the file cannot be written.
    """
    if settings.csv is None:
        raise BrambleError("predict: say with --csv which recording to forecast from")
    graph = _graph(settings)
    lines = predicted(graph, settings.csv)
    try:
        with nullcontext(sys.stdout) if settings.output is None else settings.output.open("w", encoding="utf-8", newline="") as file:
            count = _write(lines, file, settings.as_json)
    except OSError as error:
        raise BrambleError(f"predict: cannot write {settings.output or 'to stdout'} ({error.strerror}); say where with --output") from None
    print(f"{count:,} windows of {graph.manifest.task}", file=sys.stderr)
    return 0


def _graph(settings: PredictSettings) -> GraphFile:
    try:
        graph = GraphFile.read(settings.model.read_bytes())
    except OSError as error:
        raise BrambleError(f"predict: cannot read {settings.model} ({error.strerror}); bramble model get writes one") from None
    if settings.task is not None and graph.manifest.task != settings.task:
        raise BrambleError(f"predict: {settings.model} is a model of task {graph.manifest.task}, not of {settings.task}")
    return graph


def predicted(graph: GraphFile, path: Path) -> Iterator[Line]:
    """Yield a line for each window of whole bins.

    Raises
    ------
    BrambleError
        If the recording lacks a channel, or has no window.
    """
    manifest = graph.manifest
    known_to_a_task(manifest.channels, f"task {manifest.task}")
    recording, keys = recordings.load(path), [channel.key for channel in manifest.channels]
    taken = {key for part in manifest.interface.inputs for key in part.channels}
    missing = [key for key in keys if key in taken and key not in recording.channels and key not in manifest.optional]
    if missing:
        others = ", ".join(recording.channels)
        raise BrambleError(f"predict: {path} has no {', '.join(missing)}, which task {manifest.task} takes; it has {others}")
    times, values = said(recording.labels, *recording.samples(keys), manifest)
    # one more bin, for the last is taken to be filling
    times, values = np.append(times, times[-1] + manifest.step_s), np.vstack([values, np.full(len(keys), np.nan)])
    found = windows(times, values, manifest, ALL, open_ended=True)
    if not len(found):
        raise BrambleError(
            f"predict: {path} has no window of task {manifest.task}, which takes {manifest.window} bins of {manifest.step_s:g} s "
            "one after the other, each with a reading of all its channels"
        )
    runtime = Runtime(graph.flatbuffer)
    came = _came(times, values, manifest)
    for done, part in zip(range(0, len(found), CHUNK), found.parts(CHUNK), strict=False):
        if sys.stderr.isatty():
            print(f"{done:,} of {len(found):,} windows", end="\r", file=sys.stderr)
        yield from _lines(runtime, graph, part, came)


def _came(times: NDArray[np.float64], values: NDArray[np.float64], manifest: Manifest) -> dict[int, float]:
    """Return the target's channel by the number of its bin."""
    bins = binned(times, values, manifest)
    column = [channel.key for channel in manifest.channels].index(manifest.target)
    return dict(zip(bins.index.tolist(), bins.value[:, column].tolist(), strict=True))


def _lines(runtime: Runtime, graph: GraphFile, part: Windows, came: dict[int, float]) -> Iterator[Line]:
    manifest, kind = graph.manifest, graph.manifest.kind
    given = runtime("infer", **part.inputs, **Model(graph.initial, graph.state).arguments(manifest))
    outputs = {value.name: result(given, value.name, (len(part), *value.shape), value.dtype) for value in manifest.interface.outputs}
    last = persistence(part, manifest)
    for row, t in enumerate(part.time.tolist()):
        line: Line = {"measured": _utc(t), "for": _utc(t + manifest.horizon * manifest.step_s)}
        if kind.classes:
            line["class"] = kind.classes[int(outputs[manifest.interface.outputs[0].name][row].argmax())]
        line |= {name: array[row].tolist() for name, array in outputs.items()}
        if manifest.target and (kind.forecasts or kind.classes):
            target = came.get(int(t // manifest.step_s) + manifest.horizon, float("nan"))
            known = None if np.isnan(target) else target
            line["target"] = kind.classes[int(known)] if kind.classes and known is not None else known
        if last is not None:
            line["baseline"] = float(last[row])
        yield line


def _utc(t: float) -> str:
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(lines: Iterator[Line], file: IO[str], as_json: bool) -> int:
    count, table = 0, None
    for line in lines:
        count += 1
        if as_json:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            continue
        flat = dict(_flat(line))
        if table is None:
            table = csv.DictWriter(file, list(flat), lineterminator="\n")
            table.writeheader()
        table.writerow(flat)
    return count


def _flat(line: Line) -> Iterator[tuple[str, Any]]:
    """Yield the columns of a line: a list's each have a number."""
    for name, value in line.items():
        if isinstance(value, list):
            yield from ((f"{name}_{number}", each) for number, each in enumerate(np.ravel(value).tolist()))
        else:
            yield name, value
