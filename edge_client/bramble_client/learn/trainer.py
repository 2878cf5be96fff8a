"""One local training run: the server's weights and this client's readings in, better weights and honest measures out."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_client.learn.doubt import Doubts, improved
from bramble_client.learn.graphs import GraphCache, GraphRejected
from bramble_client.learn.runner import Runner
from bramble_client.learn.runtime import Graph, GraphFailed, result
from bramble_client.learn.windows import Windows, windows
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import GraphFile, Manifest
from bramble_protocol.layout import Layout, Weights
from bramble_protocol.messages import ClientUpdate, Timing, TrainConfig, TrainingComplete
from bramble_protocol.reasons import NO_WINDOW

logger = logging.getLogger(__name__)
Columns = Callable[[Sequence[str], float | None], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""The recorder's ``columns``: channel keys and a start time to times (n,) and values (n, channels), NaN where missing."""

CHUNK = 1024
"""Windows measured in one go, so that the memory for a model's activations has an end."""
DIVERGED = 1e18
"""A weight or loss beyond it has no float32 square. Looking for infinity is not enough: tflite-runtime stops at the largest float32."""
MOST_VISITS = 4_000_000
"""Window visits in one run: epochs times windows. Their shuffled order takes 8 bytes each."""


class NotEnoughData(BrambleError):
    """There is no training window yet; the text says what is missing."""


class TrainingFault(BrambleError):
    """A run cannot be done as configured, or came to nothing; the text names the setting to change."""


@dataclass(frozen=True)
class Result:
    """What a run leaves behind."""

    complete: TrainingComplete
    forecasts: list[tuple[float, float]]
    """Time of the target and its forecast by the weights that came in, for windows whose target is new since the last run."""
    tested_until: float
    """Time of the newest target; hand it to the next run, which then tests on newer ones only."""
    untold: str | None = None
    """Measures that wait for the next run, as :mod:`bramble_client.learn.measures` notes them; in private mode only."""


class Trainer:
    """Runs graphs on what this client recorded.

    Parameters
    ----------
    data_dir
        The client's folder; graphs are kept in its ``graphs``.
    fetch
        Returns the bytes of the graph with this digest, from the server.
    client_id
        Makes this client's shuffles its own.
    runner
        Runs them, one of its own by default.
    approve
        Raises ``GraphRejected`` for a graph that is not to be run; by default every graph is.
    """

    def __init__(
        self,
        data_dir: Path,
        fetch: Callable[[str], bytes],
        client_id: str,
        runner: Runner | None = None,
        approve: Callable[[GraphFile], None] = lambda graph: None,
    ) -> None:
        self.graphs = GraphCache(data_dir / "graphs", fetch, approve)
        self._client_id = client_id
        self._runner = runner or Runner()
        self._manifest: Manifest | None = None
        self._doubts = Doubts()

    @property
    def doubtful(self) -> int | None:
        """Windows that the last run did not believe; None before the first."""
        return self._doubts.windows

    def run(self, update: ClientUpdate, columns: Columns, tested_until: float | None, received: float | None = None) -> Result:
        """Test the weights that came on what is new here, then train them on what is here.

        Blocks for the whole run, and no longer than the round's ``deadline_s``. Done twice with the same update and
        readings, it gives the same weights.

        Parameters
        ----------
        update
            What the server asked for.
        columns
            The recorder's readings.
        tested_until
            The last result's, None if there is none.
        received
            When the update came, seconds since 1970-01-01 UTC; now by default.

        Raises
        ------
        NotEnoughData
            If not a single window can be built.
        GraphRejected
            If the graph is not the one that was named, or is no graph for the update's layout.
        TrainingFault
            If the run is too long, or its weights grew beyond all bounds.
        Unbelievable
            If most readings cannot be true, or the loss ends far above where it began.
        GraphFailed, RuntimeMissing
            If the graph cannot be loaded or run here, or not in time.
        """
        start = time.time()
        manifest, runtime = self._load(update), self._runner
        config = update.config
        data = windows(*columns([channel.key for channel in manifest.channels], None), manifest)
        if not len(data):
            raise NotEnoughData(_missing(manifest, columns))
        data = self._doubts.believable(runtime, data)
        before = arguments(update.layout, update.weights)
        fresh = data.since(tested_until)
        metrics = {}
        if len(fresh):
            tested = measure(runtime, fresh, before)
            metrics = {"test_samples": float(len(fresh)), "test_error": tested["error"], "test_baseline": tested["baseline"]}
        metrics["loss_before"] = measure(runtime, data, before)["loss"]
        weights = fit(runtime, data, update.layout, before, config, shuffles(config.seed, self._client_id, update.round))
        metrics["loss_after"] = measure(runtime, data, arguments(update.layout, weights))["loss"]
        _check(weights, metrics, config)
        improved(metrics["loss_before"], metrics["loss_after"])
        forecasts = forecast(runtime, fresh, before)
        logger.info(
            "round %d: trained on %d windows, loss %.4g to %.4g", update.round, len(data), metrics["loss_before"], metrics["loss_after"]
        )
        return Result(
            complete=TrainingComplete(
                round=update.round,
                layout=update.layout,
                encoding=update.reply_encoding,
                weights=weights,
                samples=len(data),
                metrics=metrics,
                timing=Timing(start if received is None else received, start, time.time()),
            ),
            forecasts=list(zip(fresh.time.tolist(), forecasts.tolist(), strict=True)),
            tested_until=float(data.time[-1]),
        )

    def _load(self, update: ClientUpdate) -> Manifest:
        manifest = self._manifest
        if manifest is None or not self._runner.holds(update.graph):
            graph = self.graphs.get(update.graph)
            self._runner.allow(update.config.deadline_s)
            self._runner.load(graph.sha256, graph.flatbuffer)
            manifest = self._manifest = graph.manifest
        self._runner.allow(update.config.deadline_s)
        if manifest.layout != update.layout:
            raise GraphRejected(f"graph: its layout has {manifest.layout.size} weights, the update's {update.layout.size}; not run")
        return manifest


def arguments(layout: Layout, weights: Weights) -> dict[str, NDArray[np.float32]]:
    """Name a flat vector's tensors as a graph's signatures do."""
    return {f"w{i}": tensor for i, tensor in enumerate(layout.split(weights))}


def measure(runtime: Graph, data: Windows, weights: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """Return the means over windows of the task's ``loss``, ``error`` and ``baseline``."""
    totals = dict.fromkeys(("loss", "error", "baseline"), 0.0)
    for start in range(0, len(data), CHUNK):
        x, y = data.x[start : start + CHUNK], data.y[start : start + CHUNK]
        means = runtime("evaluate", x=x, y=y, sw=np.ones(len(y), np.float32), **weights)
        for name in totals:
            totals[name] += float(result(means, name, ())) * len(y)
    return {name: total / len(data) for name, total in totals.items()}


def forecast(runtime: Graph, data: Windows, weights: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the forecast for each window, shape (n,), in the target's unit."""
    chunks = (data.x[start : start + CHUNK] for start in range(0, len(data), CHUNK))
    parts = [result(runtime("infer", x=x, **weights), "y", (len(x),)) for x in chunks]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def shuffles(seed: int, client_id: str, round_number: int) -> np.random.Generator:
    """Return the generator of one run's shuffles: another for each client and round, the same when a run is repeated."""
    identity = int.from_bytes(hashlib.sha256(client_id.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, identity, round_number])


def minibatches(count: int, config: TrainConfig, rng: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Shuffle all windows anew for each epoch and cut them into minibatches.

    Returns
    -------
    idx, sw
        Rows of windows and their weights, shape (steps, batch): an epoch's last minibatch is filled up with weight 0.
    """
    size = min(config.batch_size, count)
    steps = -(-count // size)
    idx = np.zeros((config.epochs, steps * size), np.int32)
    sw = np.zeros_like(idx, np.float32)
    sw[:, :count] = 1
    for order in idx:
        order[:count] = rng.permutation(count)
    return idx.reshape(-1, size), sw.reshape(-1, size)


def fit(
    runtime: Graph,
    data: Windows,
    layout: Layout,
    weights: dict[str, NDArray[np.float32]],
    config: TrainConfig,
    rng: np.random.Generator,
) -> Weights:
    """Train for ``config.epochs`` epochs in one call of the graph and return the flat result.

    Raises
    ------
    TrainingFault
        If that is more than a client does in one run.
    """
    visits = config.epochs * len(data)
    if visits > MOST_VISITS:
        raise TrainingFault(f"{config.epochs} epochs of {len(data)} windows are more than {MOST_VISITS} visits in one run; lower epochs")
    idx, sw = minibatches(len(data), config, rng)
    values: dict[str, Any] = {"lr": np.float32(config.learning_rate), "mu": np.float32(config.proximal_mu)}
    results = runtime("fit", x=data.x, y=data.y, idx=idx, sw=sw, **values, **weights)
    return layout.join([result(results, f"next_w{i}", tensor.shape) for i, tensor in enumerate(layout.tensors)])


def _check(weights: Weights, metrics: dict[str, float], config: TrainConfig) -> None:
    values = np.abs([weights.min(), weights.max(), *metrics.values()])
    # written so that a NaN fails too
    if not (values < DIVERGED).all():
        losses = f"loss {metrics['loss_before']:.3g} to {metrics['loss_after']:.3g}"
        raise TrainingFault(f"training diverged with learning rate {config.learning_rate:g} ({losses}); lower learning_rate")


def _missing(manifest: Manifest, columns: Columns) -> str:
    need = f"{manifest.window + manifest.horizon} consecutive bins of {manifest.step_s:g} s, and one reading after them"
    times, values = columns([channel.key for channel in manifest.channels], None)
    silent = [channel.key for channel, column in zip(manifest.channels, values.T, strict=True) if np.isnan(column).all()]
    if len(times) and silent:
        return f"{NO_WINDOW}: no reading of {', '.join(silent)}; task {manifest.task} needs {need}"
    return f"{NO_WINDOW}: {len(times)} readings; task {manifest.task} needs {need}"


__all__ = ["Columns", "GraphFailed", "GraphRejected", "NotEnoughData", "Result", "Trainer", "TrainingFault"]
