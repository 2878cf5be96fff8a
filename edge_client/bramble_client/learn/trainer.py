"""One local training run: the server's weights and this client's readings in, better weights and honest measures out."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bramble_client.learn import controls, counting, feedback, local_state
from bramble_client.learn.counting import CHUNK, LARGEST_ANSWER
from bramble_client.learn.fitting import Model, Shuffle, TrainingFault, drawn_by, fit
from bramble_client.learn.gathering import NotEnoughData, enough
from bramble_client.learn.graphs import GraphCache, GraphRejected
from bramble_client.learn.labels import Columns, Labels, labelled
from bramble_client.learn.pace import UNBOUND, BrokenOff, NotNow, Pace
from bramble_client.learn.plausibility import WindowDoubts, improved
from bramble_client.learn.runner import Runner
from bramble_client.learn.runtime import Graph, GraphFailed, result
from bramble_client.learn.windows import Windows, windows
from bramble_protocol.clock import Clock
from bramble_protocol.graph import GraphFile, Manifest
from bramble_protocol.interface import MEASURES
from bramble_protocol.layout import Layout, Weights
from bramble_protocol.messages import ClientUpdate, Evaluate, Timing, TrainConfig, TrainingComplete
from bramble_protocol.reasons import NO_WINDOW

logger = logging.getLogger(__name__)
T = TypeVar("T")

_EACH = np.ones(CHUNK, np.float32)
"""What each of the windows counts that are measured in one go."""
DIVERGED = 1e18
"""A weight or loss beyond it has no float32 square. Looking for infinity is not enough: tflite-runtime stops at the largest float32."""


@dataclass(frozen=True)
class Result:
    """What one training run gives: the answer to the server, and what the client keeps for itself."""

    complete: TrainingComplete
    forecasts: list[tuple[float, float]]
    """Time of the target and its forecast by the weights that came in, for windows whose target is new since the last run."""
    tested_until: float
    """Time of the newest target; hand it to the next run, which then tests on newer ones only."""
    untold: str | None = None
    """Measures that wait for the next run, as :mod:`bramble_client.learn.measures` notes them; in private mode only."""
    local_state: str | None = None
    """What else goes on from here, as :mod:`bramble_client.learn.local_state` writes it; hand it to the next run."""


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
    clock
        Says when training began and ended.
    labels
        Returns what a person said of the readings, nothing by default.
    forgets
        Whether nothing is trained on that was measured before the error of a task rose here.
    """

    def __init__(
        self,
        data_dir: Path,
        fetch: Callable[[str], bytes],
        client_id: str,
        runner: Runner | None = None,
        approve: Callable[[GraphFile], None] = lambda graph: None,
        clock: Clock = time,
        labels: Labels = tuple,
        forgets: bool = False,
    ) -> None:
        self.graphs = GraphCache(data_dir / "graphs", fetch, approve)
        self._client_id, self._labels, self._forgets = client_id, labels, forgets
        self._runner, self._clock = runner or Runner(clock=clock), clock
        self._loaded: tuple[Manifest, Weights] | None = None
        self._running = threading.Lock()
        self._doubts = WindowDoubts()

    @property
    def doubtful(self) -> int | None:
        """Windows that the last run did not believe; None before the first."""
        return self._doubts.windows

    def run(
        self,
        update: ClientUpdate,
        columns: Columns,
        tested_until: float | None,
        received: float | None = None,
        noted: str | None = None,
        pace: Pace = UNBOUND,
    ) -> Result:
        """Test the weights that came on what is new here, then train them on what is here.

        Blocks for the whole run, and no longer than the round's ``deadline_s``. Where the strategy can use a part of it, a run whose
        time is up, or that may not go on, ends with the steps that it has done. Done twice with the same update, readings and
        state of layers, it gives the same weights.

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
        noted
            The last result's state of layers, None if there is none.
        pace
            What it goes by: asked now and then.

        Raises
        ------
        NotEnoughData
            If there are fewer windows than the task wants.
        UnknownLabels
            If a person labelled readings, and never with one of the task's classes.
        GraphRejected
            If the graph is not the one that was named, or is no graph for the update's layout.
        TrainingFault
            If the run is too long, or its weights grew beyond all bounds.
        BrokenOff
            If it is no longer wanted.
        NotNow
            If it may not go on, and no part of it is of use.
        Unbelievable
            If most readings cannot be true, or the loss ends far above where it began.
        GraphFailed, RuntimeMissing
            If the graph cannot be loaded or run here, or not in time.
        """
        with self._running:
            return self._run(update, columns, tested_until, received, noted, pace)

    def _run(
        self, update: ClientUpdate, columns: Columns, tested_until: float | None, received: float | None, noted: str | None, pace: Pace
    ) -> Result:
        start = self._clock.time()
        ready = self._ready(update.graph, update.layout, update.config.deadline_s, columns)
        timing = Timing(start if received is None else received, start, start)
        return local_run(self._runner, ready, update, tested_until, noted, timing, pace, self._clock)

    def trying(self, asked: Evaluate, columns: Columns, work: Callable[[Graph, Ready], T]) -> T:
        """Do something else than a run with a graph and this client's windows, when no run is going on.

        Raises
        ------
        NotEnoughData, GraphRejected, GraphFailed, RuntimeMissing
            As :meth:`run` raises them.
        """
        with self._running:
            return work(self._runner, self._ready(asked.graph, asked.layout, asked.deadline_s, columns))

    def _ready(self, sha256: str, layout: Layout, seconds: float, columns: Columns) -> Ready:
        """Return what a graph that was named runs on here."""
        manifest, initial = self._load(sha256, seconds)
        if manifest.layout != layout:
            raise GraphRejected(f"graph: its layout has {manifest.layout.size} weights, the update's {layout.size}; not run")
        columns = labelled(columns, self._labels, manifest)
        times, values = columns([channel.key for channel in manifest.channels], None)
        data = windows(times, values, manifest)
        enough(data, times, values, manifest, self._clock.time())
        return Ready(manifest, initial, data, self._doubts, self._client_id, forgets=self._forgets)

    def beside(self, sha256: str, seconds: float, work: Callable[[Graph, Manifest, Weights], None]) -> bool:
        """Lend a graph to what is done beside the runs, between two calls of theirs.

        Parameters
        ----------
        sha256
            Its digest.
        seconds
            What loading it and ``work`` may take.
        work
            Called with the graph, its manifest, and what its layers' state begins with.

        Returns
        -------
        bool
            Whether it was; not while a run has another graph loaded, nor before a run fetched this one.

        Raises
        ------
        GraphRejected, GraphFailed, RuntimeMissing
            If it cannot be loaded or run.
        """
        with self._runner.turn:
            free = self._running.acquire(blocking=False)
            try:
                if not self._runner.holds(sha256) and not (free and sha256 in self.graphs):
                    return False
                work(self._runner, *self._load(sha256, seconds))
            finally:
                if free:
                    self._running.release()
        return True

    def _load(self, sha256: str, seconds: float) -> tuple[Manifest, Weights]:
        """Return the manifest of the graph that was named, and what its layers' state begins with."""
        with self._runner.turn:
            if self._loaded is None or not self._runner.holds(sha256):
                graph = self.graphs.get(sha256)
                self._runner.allow(seconds)
                self._runner.load(graph.sha256, graph.flatbuffer, LARGEST_ANSWER + graph.manifest.interface.answer)
                self._loaded = graph.manifest, graph.state
            self._runner.allow(seconds)
            return self._loaded


@dataclass(frozen=True)
class Ready:
    """What a client brings to a local run, beside what the server asks."""

    manifest: Manifest
    initial: Weights
    """What the state of the graph's layers begins with."""
    data: Windows
    """All windows that can be built of its readings; at least one."""
    doubts: WindowDoubts
    """Its own, from run to run."""
    client_id: str
    """Makes this client's shuffles its own."""
    personal: bool = True
    """Whether its site goes by what comes of it: a model of its own beside the fleet's, and forecasts."""
    forgets: bool = False
    """Whether it trains on nothing that was measured before its error rose."""


def local_run(
    runtime: Graph,
    ready: Ready,
    update: ClientUpdate,
    tested_until: float | None,
    noted: str | None,
    timing: Timing,
    pace: Pace = UNBOUND,
    clock: Clock = time,
) -> Result:
    """Do what :meth:`Trainer.run` says, on windows that are there and with a graph that is loaded.

    Parameters
    ----------
    timing
        When the update came and the work began; when it ended is filled in.
    clock
        Says when that is.
    """
    manifest, client_id, config = ready.manifest, ready.client_id, update.config
    whole = ready.doubts.believable(runtime, ready.data)
    data = counting.trusted(manifest, whole)
    if not len(data):
        raise NotEnoughData(f"{NO_WINDOW}: all {len(whole)} windows are known faults, and none of them is trained on")
    kept = local_state.read(noted, manifest, ready.initial)
    model, own = Model(update.weights, kept.state), controls.held(update, kept.controls)
    before = model.arguments(manifest)
    fresh = data.since(tested_until)
    if ready.forgets and len(recent := kept.own.recent(data)) < len(data):
        logger.info("round %d: %d windows from before the error rose here are left out", update.round, len(data) - len(recent))
        data = recent
    metrics, site, began = {}, kept.own, pace.clock.monotonic()
    if len(fresh):
        tested = measure(runtime, fresh, before)
        metrics = {"test_samples": float(len(fresh)), "test_error": tested["error"], "test_baseline": tested["baseline"]}
        best = tested
        if update.champion is not None:  # with the state of layers that is here: the weights alone travel
            best = measure(runtime, fresh, Model(update.champion.weights, kept.state).arguments(manifest))
            metrics |= {"champion": float(update.champion.round), "champion_error": best["error"]}
    counts = counting.counts(runtime, manifest, whole.since(tested_until), whole, before) if update.extras.counts else None
    if len(fresh) and ready.personal:
        site = site.scored(
            lambda weights: measure(runtime, fresh, Model(weights, kept.state).arguments(manifest))["error"],
            update.best, best, fresh, manifest,
        ).watched(lambda part: measure(runtime, part, Model(update.best, kept.state).arguments(manifest))["error"], fresh)  # fmt: skip
    metrics["loss_before"] = tested["loss"] if fresh is data else measure(runtime, data, before)["loss"]
    run = fit(
        runtime, manifest, data, model, config, shuffles(config.seed, client_id, update.round), pace,
        tested=pace.clock.monotonic() - began, part_counts=update.extras.steps,
        correction=controls.correction(update, own), momentum=update.extras.momentum,
        draw=drawn_by(f"{config.seed} {client_id} {update.round} dropout"),
    )  # fmt: skip
    trained = run.model
    metrics["loss_after"] = measure(runtime, data, trained.arguments(manifest))["loss"]
    _check(trained, metrics, config)
    improved(metrics["loss_before"], metrics["loss_after"])
    moved = controls.moved(update, own, kept.controls, trained.weights, run.done)
    seed = f"{config.seed} {client_id} {update.round} rounding"
    shared = feedback.share(update, trained.weights, kept.left, seed)
    forecasts = []
    if ready.personal:
        site = site.trained(trained.weights)
        forecasts = list(zip(fresh.time.tolist(), forecast(runtime, manifest, fresh, before).tolist(), strict=False))
    logger.info(
        "round %d: trained on %d windows, loss %.4g to %.4g", update.round, len(data), metrics["loss_before"], metrics["loss_after"]
    )
    return Result(
        complete=TrainingComplete(
            round=update.round,
            layout=update.layout,
            encoding=update.reply_encoding,
            weights=shared.sent,
            samples=len(data),
            metrics=metrics,
            timing=replace(timing, train_end=clock.time()),
            steps=run.done if update.extras.steps else None,
            since=own.since if own else None,
            sections=moved.sections,
            counts=counts,
            seed=seed,
        ),
        forecasts=forecasts,
        tested_until=float(whole.time[-1]),
        local_state=local_state.written(manifest, local_state.Kept(trained.state, moved.controls, shared.left, site)),
    )


def measure(runtime: Graph, data: Windows, model: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """Return the means over windows of the task's ``loss``, ``error`` and ``baseline``."""
    totals = dict.fromkeys(MEASURES, 0.0)
    for part in data.parts(CHUNK):
        means = runtime("evaluate", **part.inputs, **part.targets, sw=_EACH[: len(part)], **model)
        for name in totals:
            totals[name] += float(result(means, name, ())) * len(part)
    return {name: total / len(data) for name, total in totals.items()}


def forecast(runtime: Graph, manifest: Manifest, data: Windows, model: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the forecast of the manifest's target for each window, shape (n,), in its unit; empty if the graph gives none."""
    first, targets = manifest.interface.outputs[0], manifest.interface.targets
    if not manifest.kind.forecasts or (first.shape, first.dtype) != (targets[0].shape, "float32"):
        return np.empty(0, np.float32)
    found = counting.first_output(runtime, manifest, data, model)
    return found if found.ndim == 1 else found[:, -1]


def shuffles(seed: int, client_id: str, round_number: int) -> Shuffle:
    """Return what shuffles for one run: in another order for each client and round, the same when a run is repeated."""
    source = random.Random(f"{seed} {client_id} {round_number}")

    def shuffle(count: int) -> NDArray[np.intp]:
        # numpy has a permutation, too, but its generators take 4 MB of a client's memory
        return np.frombuffer(source.randbytes(8 * count), "<u8").argsort(kind="stable")

    return shuffle


def _check(trained: Model, metrics: dict[str, float], config: TrainConfig) -> None:
    largest = (float(np.abs(part).max(initial=0)) for part in (trained.weights, trained.state))
    if not all(abs(value) < DIVERGED for value in (*largest, *metrics.values())):  # written so that a NaN fails too
        losses = f"loss {metrics['loss_before']:.3g} to {metrics['loss_after']:.3g}"
        raise TrainingFault(f"training diverged with learning rate {config.learning_rate:g} ({losses}); lower learning_rate")


__all__ = ["BrokenOff", "Columns", "GraphFailed", "GraphRejected", "NotEnoughData", "NotNow", "Result", "Trainer", "TrainingFault"]
