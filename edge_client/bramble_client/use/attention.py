"""What an answer of a model calls for on the spot: an alarm, or a question to whoever is near."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Protocol

from bramble_client.learn.labels import Labels
from bramble_client.machine.exchange import Question
from bramble_client.use.asking import Asking, order
from bramble_client.use.inference import Inference
from bramble_client.use.received import Received
from bramble_protocol.graph import Manifest
from bramble_protocol.kinds import LABEL

log = logging.getLogger(__name__)

ASKED = "asked"
"""Where the recorder keeps on which day questions were asked last, and how many."""
SHARE = 0.4
"""The part of the windows, those of which a model is least sure, that a person may be asked about."""


class Notes(Protocol):
    """Keeps named values over a restart, as the recorder does."""

    def get(self, name: str) -> str | None:
        """Return a named value, or None."""

    def set(self, name: str, value: str | None) -> None:
        """Keep it."""


class Attention:
    """Looks at each answer. Called by one thread, and looked at by others.

    Parameters
    ----------
    classes
        What the label button can name.
    daily
        Most questions in a day.
    labels
        Returns what was said, in order of time: whoever says what is going on is not asked.
    notes
        Keeps how often was asked on a day.
    """

    def __init__(self, classes: Sequence[str], daily: int, labels: Labels, notes: Notes) -> None:
        self._classes, self._labels, self._notes = tuple(classes), labels, notes
        self._asking = Asking(daily, SHARE, _asked(notes.get(ASKED)))
        self._alarms: int | None = None
        self._above: frozenset[str] = frozenset()
        self.ask: Callable[[Question], None] = lambda question: None
        """Asks; by default nobody is there to be asked."""

    @property
    def alarms(self) -> int | None:
        """How many windows were above their task's threshold since this began; None before there was one."""
        return self._alarms

    @property
    def alarming(self) -> bool:
        """Whether the newest window of any task is above its threshold."""
        return bool(self._above)

    def told(self, task: str, model: Received, manifest: Manifest, found: Inference) -> None:
        """Take an answer."""
        first = found.outputs[manifest.interface.outputs[0].name]
        if manifest.kind.name == "reconstruct" and model.threshold is not None:
            self._judge(task, float(first), model.threshold)
        elif manifest.kind.name == "classify" and manifest.target == LABEL and not manifest.kind.edges:
            self._consider(manifest, first, found.measured)

    def forget(self, task: str | None = None) -> None:
        """Forget that anything is above its threshold."""
        self._above = frozenset() if task is None else self._above - {task}

    def _judge(self, task: str, error: float, threshold: float) -> None:
        above = error > threshold
        self._alarms = (self._alarms or 0) + above
        if above and task not in self._above:
            log.warning("alarm of %s: an error of %.3g, where the fleet's threshold is %.3g", task, error, threshold)
        if not above and task in self._above:
            log.info("alarm of %s: over, an error of %.3g", task, error)
        self._above = self._above | {task} if above else self._above - {task}

    def _consider(self, manifest: Manifest, probabilities: Sequence[float], measured: float) -> None:
        known = [number for number in order(probabilities) if manifest.kind.classes[number] in self._classes]
        if len(known) < 2 or not self._asking.about(probabilities, measured):
            return
        self._notes.set(ASKED, " ".join(map(str, self._asking.asked)))
        said = self._labels()
        if said and said[-1][1]:
            return
        since = (math.floor(measured / manifest.step_s) - manifest.window + 1) * manifest.step_s
        self.ask(Question(since, tuple(self._classes.index(manifest.kind.classes[number]) for number in known)))


def _asked(kept: str | None) -> tuple[int, int]:
    try:
        day, count = map(int, (kept or "").split())
    except ValueError:  # nothing, or a damaged page's
        return -1, 0
    return day, count
