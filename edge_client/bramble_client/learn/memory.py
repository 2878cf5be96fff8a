"""What a client remembers of its runs, task by task: up to when it tested, measures that wait, and what a model's layers noted.

The values of the task that came first stand under the names without a task: there a release that knew one task kept its own, and finds
them again after a rollback.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from typing import Any

from bramble_client.acquire.recorder import TESTED_UNTIL, Recorder
from bramble_client.learn.local_state import LOCAL_STATE
from bramble_client.learn.measures import UNTOLD
from bramble_client.learn.trained_rounds import TrainedRounds

MODEL = "model"
"""Where the recorder keeps the newest global model that came, as :mod:`bramble_client.use.received` writes it."""
TASKS = "tasks"
"""Where the recorder keeps of which tasks something is remembered: the first, then the others, the one that was noted last at the end."""
MOST = 16
"""Tasks of which something is remembered; of more, those that were noted longest ago are forgotten."""
_VALUES = (TESTED_UNTIL, UNTOLD, LOCAL_STATE, MODEL)


class Memory:
    """What the runs of each task left behind, in the recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.lock = threading.Lock()
        """Held by whoever notes or forgets, with all that belongs together: the one must not come in between the other."""
        self.trained = TrainedRounds(recorder, self.tested_until)
        """Up to when was trained for each round."""

    def tested_until(self, task: str) -> float | None:
        """Return up to when a task was tested, in seconds since 1970-01-01 UTC."""
        return self._recorder.tested_until(self._name(TESTED_UNTIL, task))

    def untold(self, task: str) -> str | None:
        """Return the measures of a task that wait to be told."""
        return self._recorder.get(self._name(UNTOLD, task))

    def local_state(self, task: str) -> str | None:
        """Return what the layers of a task's model noted."""
        return self._recorder.get(self._name(LOCAL_STATE, task))

    def note(self, task: str, note: Mapping[str, Any]) -> None:
        """Remember what came with a result that the server took; what was kept without a task belongs to the one that comes first.

        Parameters
        ----------
        task
            Its name; empty for a result of a release that knew one task.
        note
            As :class:`bramble_client.learn.training_queue.TrainingQueue` puts it beside the result.
        """
        self._recorder.update(
            self._listed(task)
            | {
                self._name(TESTED_UNTIL, task): repr(note["tested_until"]),
                self._name(UNTOLD, task): note.get("untold"),
                self._name(LOCAL_STATE, task): note.get("layer_state"),
            }
        )

    def keep_model(self, task: str, model: str | None) -> None:
        """Keep the newest global model of a task, in the place of the one before; None keeps none."""
        self._recorder.update(self._listed(task) | {self._name(MODEL, task): model})

    def models(self) -> dict[str, str]:
        """Return the global models that are kept, by task."""
        found = {task: self._recorder.get(self._name(MODEL, task)) for task in self._tasks()}
        return {task: model for task, model in found.items() if task and model is not None}

    def forget(self, task: str | None = None) -> None:
        """Forget what is remembered of all tasks, or of one."""
        names = [name for each in (self._tasks() or [""] if task is None else [task]) for name in self._names(each)]
        self._recorder.update(dict.fromkeys([*names, TASKS] if task is None else names))
        self.trained.forget(task)

    def forget_untold(self) -> None:
        """Forget what of all tasks waits to be told, or goes on with answers that were: it is another fleet's server's."""
        self._recorder.update({self._name(value, task): None for task in self._tasks() or [""] for value in (UNTOLD, LOCAL_STATE, MODEL)})
        self.trained.forget()

    def _listed(self, task: str) -> dict[str, str | None]:
        """Return what is to be changed for a task to be among those of which something is remembered."""
        tasks = self._tasks()
        if task and task not in tasks[:1]:
            tasks = [*(name for name in tasks if name != task), task]
        values: dict[str, str | None] = {}
        many = max(0, len(tasks) - MOST)
        for gone in tasks[1 : 1 + many]:
            values |= dict.fromkeys(self._names(gone))
        values[TASKS] = json.dumps(tasks[:1] + tasks[1 + many :])
        return values

    def _tasks(self) -> list[str]:
        with contextlib.suppress(ValueError):  # a damaged page's
            found = json.loads(self._recorder.get(TASKS) or "[]")
            if isinstance(found, list) and all(isinstance(name, str) for name in found):
                return found
        return []

    def _names(self, task: str) -> list[str]:
        return [self._name(value, task) for value in _VALUES]

    def _name(self, value: str, task: str) -> str:
        return value if not task or task in (self._tasks()[:1] or [task]) else f"{value} {task}"
