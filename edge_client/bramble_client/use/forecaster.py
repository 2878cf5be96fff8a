"""Forecasts beside the rounds: whenever a bin of readings is whole, with the newest model that came, or whatever does better here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bramble_client.acquire.recorder import Recorder
from bramble_client.learn import local_state
from bramble_client.learn.memory import Memory
from bramble_client.learn.runtime import Graph
from bramble_client.learn.trainer import Trainer
from bramble_client.use.drift import DAY, Drift
from bramble_client.use.inference import Inference, infer, newest
from bramble_client.use.latest import Latest
from bramble_client.use.received import Received
from bramble_client.worker import Worker
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import Manifest
from bramble_protocol.health import day
from bramble_protocol.layout import Weights
from bramble_protocol.messages import ClientUpdate

log = logging.getLogger(__name__)

PATIENCE_S = 30.0
"""Seconds that loading a graph and one forecast may take."""
Mirror = Callable[[str, Received, Manifest, Inference], None]
"""Takes a task, its model, its manifest and what was forecast."""


class Forecaster(Worker):
    """Says in a file what the newest readings lead to, and hands each forecast on.

    The graph runs in the training process, between two calls of a run that goes on; while a run has another task's graph loaded, a forecast
    waits for its end.

    Parameters
    ----------
    trainer
        Lends its process.
    recorder
        The readings; wakes this when there are new ones.
    memory
        The models, and what this client keeps of its own.
    latest
        The file.
    mirror
        Takes each forecast.
    """

    def __init__(self, trainer: Trainer, recorder: Recorder, memory: Memory, latest: Latest, mirror: Mirror = lambda *told: None) -> None:
        super().__init__("forecaster")
        self._trainer, self._recorder, self._memory, self._latest = trainer, recorder, memory, latest
        self._mirror = mirror
        self._due = threading.Event()
        self._models: dict[str, Received] = {}
        self._told: dict[str, tuple[float, float, int]] = {}
        """Of each task, beginning and end of the bin that was filling when a forecast was made last, and the round of its model."""
        self._troubles: dict[str, str] = {}
        self._found: dict[str, tuple[int, Inference]] = {}
        """Of each task, the round of the model and what was told last."""
        self._drifted: dict[str, float] = {}
        self._forgotten = 0

    @property
    def in_use(self) -> dict[str, str]:
        """What each task goes by here, one of ``bramble_client.use.standing.CHOICES``."""
        return {task: found.in_use for task, (_, found) in list(self._found.items())}

    @property
    def drifted(self) -> dict[str, float]:
        """Of each task whose error has risen here of late, since when, in seconds since 1970-01-01 UTC."""
        return dict(self._drifted)

    def wake(self) -> None:
        """Look whether there is something to forecast."""
        self._due.set()

    def received(self, update: ClientUpdate) -> None:
        """Go by a global model from now on, and keep it; whoever calls holds the memory's lock."""
        self._models[update.task] = model = Received.of(update)
        self._memory.keep_model(update.task, model.written())
        self.wake()

    def changed(self, task: str) -> None:
        """Forecast anew: what is kept of this site's own has changed."""
        self._told.pop(task, None)
        self.wake()

    def forget(self, task: str | None = None) -> None:
        """Forget models and forecasts of all tasks, or of one; whoever calls holds the memory's lock."""
        self._forgotten += 1
        for kept in (self._models, self._told, self._troubles, self._found, self._drifted):
            for name in [*kept] if task is None else [task]:
                kept.pop(name, None)
        self._latest.forget(task)

    def run(self) -> None:
        """Forecast until told to stop."""
        with self._memory.lock:
            self._latest.forget()  # what a former run said
            found = {task: Received.read(kept) for task, kept in self._memory.models().items()}
            self._models = {task: model for task, model in found.items() if model is not None} | self._models
        self._due.set()
        while self._due.wait() and not self._stopping.is_set():
            self._due.clear()
            for task in [*self._models]:
                try:
                    self._forecast(task)
                except BrambleError as error:
                    self._trouble(task, str(error))
                except Exception:
                    log.exception("forecasts of %s failed", task)

    def _trouble(self, task: str, sentence: str) -> None:
        if self._troubles.get(task) != sentence and not self._stopping.is_set():
            log.warning("no forecast of %s: %s", task, sentence)
        self._troubles[task] = sentence

    def _forecast(self, task: str) -> None:
        generation, model, last = self._forgotten, self._models.get(task), self._recorder.newest()
        if model is None or last is None:
            return
        begins, ends, number = self._told.get(task, (0.0, 0.0, 0))
        if begins <= last < ends and number == model.round:
            return
        noted = self._memory.local_state(task)

        def work(graph: Graph, manifest: Manifest, initial: Weights) -> None:
            window = newest(self._recorder.columns, last, manifest)
            # the next window is whole as soon as the bin begins that follows its last, whose number the stride divides
            begins = ((last // manifest.step_s - 1) // manifest.stride * manifest.stride + 1) * manifest.step_s
            self._told[task] = begins, begins + manifest.stride * manifest.step_s, model.round
            if not len(window) or manifest.layout != model.layout:
                return
            kept = local_state.read(noted, manifest, initial)
            self._note(task, kept.own.drift)
            found = infer(graph, manifest, window, model.weights, kept.state, kept.own)
            with self._memory.lock:
                if generation == self._forgotten:
                    self._tell(task, model, manifest, found)

        if self._trainer.beside(model.graph, PATIENCE_S, work):
            self._troubles.pop(task, None)

    def _note(self, task: str, drift: Drift) -> None:
        """Say once that the error has risen here."""
        before = self._drifted.pop(task, None)
        if drift.since is None:
            return
        self._drifted[task] = since = drift.since * DAY
        if since != before:
            log.warning("the error of %s is higher here since %s: a sensor, where it stands, or the weather has changed", task, day(since))

    def _tell(self, task: str, model: Received, manifest: Manifest, found: Inference) -> None:
        if self._found.get(task) == (model.round, found):
            return
        self._found[task] = model.round, found
        units = {channel.key: channel.unit for channel in manifest.channels}
        self._latest.tell(
            task,
            {
                "round": model.round,
                "in_use": found.in_use,
                "measured": found.measured,
                "for": found.at,
                "target": manifest.target,
                "unit": units[manifest.target],
                "outputs": found.outputs,
                **({} if model.threshold is None else {"threshold": model.threshold}),
            },
        )
        self._mirror(task, model, manifest, found)
