"""What a reset forgets, and in which order: nothing that is under way meanwhile may bring any of it back."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Protocol

from bramble_client.acquire.cycles import Cycles
from bramble_client.acquire.recorder import Recorder
from bramble_client.acquire.self_paced import SelfPaced
from bramble_client.deliver.outbox import Outbox
from bramble_client.learn.memory import Memory
from bramble_client.learn.training_queue import TrainingQueue
from bramble_client.machine import disk
from bramble_client.use.forecaster import Forecaster

log = logging.getLogger(__name__)


class Forgetful(Protocol):
    """Says something of tasks, until they are forgotten."""

    def forget(self, task: str | None = None) -> None:
        """Say nothing more of a task, or of any."""


class Forgetting:
    """Forgets what a client has on its disk and what its parts are about to put there.

    Parameters
    ----------
    folder
        Where it keeps its data.
    others
        Whoever says something of tasks.
    """

    def __init__(
        self, folder: Path, recorder: Recorder, outbox: Outbox, memory: Memory, training: TrainingQueue, cycles: Cycles,
        paced: SelfPaced | None, forecaster: Forecaster, *others: Forgetful,
    ) -> None:  # fmt: skip
        self._folder, self._recorder, self._outbox, self._memory = folder, recorder, outbox, memory
        self._training, self._cycles, self._paced, self._forecaster = training, cycles, paced, forecaster
        self._others = others

    def __call__(self, task: str | None = None) -> None:
        """Forget readings, labels, results, and how far they were tested; where one task is named, what belongs to it, and no reading."""

        def clear() -> None:
            with self._memory.lock:
                self._outbox.clear(task)
                if task is None:
                    self._recorder.clear()
                self._memory.forget(task)
                self._forecaster.forget(task)
                for other in self._others:
                    other.forget(task)

        paced = self._paced
        everything = clear if paced is None else lambda: paced.forget(clear)
        try:
            self._training.forget(clear if task else lambda: self._cycles.forget(everything), task)
        except sqlite3.Error as error:
            why = disk.remedy(self._folder, error)
            log.error("reset: what is on the disk cannot be forgotten (%s); reset again when it takes changes", why)
            return
        log.info("reset: %s forgotten", f"results of task {task} are" if task else "local readings and results are")
