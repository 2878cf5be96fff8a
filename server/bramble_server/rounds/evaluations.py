"""Evaluations: clients try models, without training, on readings that these were not trained on. One of a task at a time is open."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from bramble_protocol import kinds
from bramble_protocol.errors import BrambleError
from bramble_protocol.features import EVALUATE
from bramble_protocol.layout import Weights
from bramble_protocol.messages import MOST_MODELS, Evaluate, Evaluated, model_name
from bramble_protocol.printable import printable
from bramble_protocol.privacy import LEAST_SAMPLES
from bramble_server.metrics import Tried
from bramble_server.rounds.shared import Shared
from bramble_server.rounds.track import Track
from bramble_server.rounds.tracks import Tracks
from bramble_server.rounds.writer import RefusedError, Writer
from bramble_server.store import evaluations, models

log = logging.getLogger(__name__)

SILENT = "no answer in time"
LARGEST = 64 << 20
"""Bytes of models in one evaluation: a client holds them all in memory."""
TOLD = "what clients would say of models has no noise; try them on a recording, with bramble predict"
"""Why nobody is asked where there is a budget."""

Names = dict[str, list[int]]


@dataclass(frozen=True)
class Evaluation:
    """One that is open: who is asked what, and who has not answered yet."""

    number: int
    task: str
    models: tuple[int, ...]
    """Rounds whose models are tried; 0 is the initial one."""
    until: float
    """When it ends at the latest, seconds since 1970 UTC."""
    pending: frozenset[str]
    answered: frozenset[str] = frozenset()

    def with_answer(self, client: str) -> Evaluation:
        """Return it after a client's answer; one that repeats its answer changes nothing."""
        return replace(self, pending=self.pending - {client}, answered=self.answered | {client}) if client in self.pending else self


class Plan:
    """When a task's newest model is tried by itself: after so many new ones, or at an interval once there is one. It is told the time.

    Parameters
    ----------
    every
        A whole number of new models, or else seconds.
    now, newest
        The time, and the round of the newest model, from which on it counts.
    """

    def __init__(self, every: int | float, now: float, newest: int) -> None:
        self._every, self._seen = every, newest
        self._models, self._last = 0, now

    def due(self, now: float, newest: int) -> float | None:
        """Return seconds until it is to be tried; None while too few models are new."""
        if newest != self._seen:
            self._models, self._seen = self._models + 1, newest
        if isinstance(self._every, int):
            return 0.0 if self._models >= self._every else None
        return max(0.0, self._last + self._every - now) if newest else None

    def begun(self, now: float) -> None:
        """Count anew."""
        self._models, self._last = 0, now


class Evaluations:
    """Asks clients to try models, and keeps what they answer. All but :meth:`start` and :meth:`take` is the one writer's to call.

    An answer is stored before it is acknowledged, so one that is open goes on after a restart: who has not answered is asked again when it
    comes back, until the deadline.

    Parameters
    ----------
    tracks
        Whose models are tried.
    shared
        What the tracks have in common.
    writer
        The server's.
    """

    def __init__(self, tracks: Tracks, shared: Shared, writer: Writer) -> None:
        self._tracks, self._writer = tracks, writer
        self._store, self._registry, self._downlink = shared.store, shared.registry, shared.downlink
        self._loop, self._clock, self._limited_log, self._metrics = shared.loop, shared.clock, shared.limited_log, shared.metrics
        self._open: dict[str, Evaluation] = {}
        self._asked: dict[str, Evaluate] = {}
        """What clients are asked in the open one of each task."""
        self._names: dict[str, Names] = {}
        """The rounds of each of its models, by what the model is called on the wire; models that are alike have one name."""

        self._plans: dict[str, Plan] = {}
        """When the newest model of each task is tried by itself."""

    def recover(self, connection: Connection) -> None:
        """Take up what a former process left open, end what cannot go on, and show what the last ones found."""
        for track in self._tracks:
            self._show(track.task, evaluations.last(connection, track.task))
        for record in evaluations.open_ones(connection):
            number, task = record["evaluation"], record["task"]
            pending = {name for name, found in record["clients"].items() if found["samples"] is None and found["reason"] is None}
            one = Evaluation(
                number, task, tuple(record["models"]), record["until"], frozenset(pending), frozenset(record["clients"]) - pending
            )
            try:
                if task not in self._tracks:
                    raise RefusedError("unknown task", f"task {task} is not served any more")
                self._opened(one, *self._request(one, connection))
            except RefusedError as error:
                evaluations.ended(connection, number, self._clock.time(), f"server restarted: {error}")

    # What others ask

    def start(self, task: str, numbers: Sequence[int]) -> tuple[Evaluation, dict[str, str]]:
        """Ask all who can to try the models of these rounds, all of them on the same windows; return it, and why others are not asked.

        Parameters
        ----------
        numbers
            Rounds; none stands for the newest model, and 0 is the initial one.

        Raises
        ------
        RefusedError
            If one runs, a model is not there, or nobody can be asked.
        """
        started: tuple[Evaluation, dict[str, str]] = self._writer.submit(lambda _: self.begin(task, numbers))
        return started

    def take(self, client: str, found: Evaluated) -> None:
        """Store a client's answer, then note it."""

        def work(connection: Connection) -> None:
            one = self._of(found.evaluation)
            if one is None or client not in one.pending | one.answered:
                raise RefusedError("evaluation over", "evaluation over")
            if client in one.pending:
                evaluations.answered(connection, one.number, client, self._row(one, found))

        self._writer.write(work, lambda: self._answered(client, found.evaluation))

    # What the writer does

    def begin(self, task: str, numbers: Sequence[int]) -> tuple[Evaluation, dict[str, str]]:
        """Do what :meth:`start` says."""
        if task in self._open:
            raise RefusedError("busy", f"evaluation {self._open[task].number} of {task} is running")
        if self._tracks.named(task).settings.epsilon is not None:
            raise RefusedError("budget", f"{task} has a privacy budget: {TOLD}")
        if self._tracks.named(task).settings.secure:
            raise RefusedError(
                "secure", f"task {task} is learnt by secure sums, and what single clients find would be told: nothing is tried"
            )
        if len(numbers) > MOST_MODELS:
            raise RefusedError("too many models", f"models: {MOST_MODELS} can be tried at once; ask for the others afterwards")
        asked, passed = self._clients(task)
        if not asked:
            raise RefusedError("too few clients", f"no client can try models of {task}: {_said(passed)}")
        now, settings = self._clock.time(), self._tracks.named(task).settings
        one = Evaluation(0, task, tuple(dict.fromkeys(numbers)), now + settings.deadline, frozenset(asked))

        def work() -> tuple[Evaluation, Evaluate, Names]:
            with self._store.writing() as connection:
                newest = models.latest(connection, task)
                what = one if numbers else replace(one, models=(newest[0] if newest else 0,))
                request, names = self._request(what, connection)
                number = evaluations.begun(connection, task, what.models, now, what.until, {**dict.fromkeys(asked), **passed})
            return replace(what, number=number), replace(request, evaluation=number), names

        one, request, names = self._loop.offload(work)
        self._opened(one, request, names)
        log.info(
            "evaluation %d of %s: asking %d clients to try the models of rounds %s",
            one.number,
            task,
            len(asked),
            ", ".join(map(str, one.models)),
        )
        self._downlink.evaluate(asked, request)
        return one, passed

    def joined(self, client: str) -> None:
        """Ask a client again that came back without having answered."""
        for task, one in self._open.items():
            if client in one.pending:
                left = max(1.0, one.until - self._clock.time())
                self._downlink.evaluate([client], replace(self._asked[task], deadline_s=left))

    def due(self) -> float | None:
        """Return seconds until the next one ends by its deadline, or begins by itself; None for neither."""
        ends = (one.until - self._clock.time() for one in self._open.values())
        return min((*ends, *(left for track in self._tracks if (left := self._waits(track)) is not None)), default=None)

    def tick(self) -> None:
        """End those whose deadline has passed, and begin those that are due."""
        for one in [one for one in self._open.values() if one.until <= self._clock.time()]:
            self._end(one, SILENT)
        for track in self._tracks:
            left = self._waits(track)
            if left is None or left > 0:
                continue
            self._plans[track.task].begun(self._clock.monotonic())  # also where it cannot: what is missing does not come back at once
            try:
                self.begin(track.task, ())
            except RefusedError as error:
                self._limited_log.about("the schedule", f"the newest model of {track.task} is not tried: {error}", logging.WARNING)

    def _waits(self, track: Track) -> float | None:
        """Return seconds until a task's newest model is to be tried by itself; None for not, or not yet known."""
        every = track.settings.evaluate_every
        if every is None or track.task in self._open:
            return None
        now, newest = self._clock.monotonic(), track.model.round
        plan = self._plans.setdefault(track.task, Plan(every, now, newest))
        return plan.due(now, newest)

    def end(self, task: str, reason: str) -> None:
        """End the open one of a task, if there is one, for whoever has not answered."""
        if task in self._open:
            self._end(self._open[task], reason)

    def forget(self, task: str | None = None) -> None:
        """Let go of what is open, of all tasks or of one, after a reset."""
        for name in [*self._open] if task is None else [task]:
            self._closed(name)

    # How

    def _clients(self, task: str) -> tuple[list[str], dict[str, str]]:
        """Return who is asked, and why others that are connected are not."""
        asked: list[str] = []
        passed: dict[str, str] = {}
        for name in self._registry.connected():
            client = self._registry.get(name)
            why = None if client is None else client.not_asked.get(task)
            if client is not None and EVALUATE not in client.features:
                why = f"it cannot try models without training (version {printable(client.version) or 'unknown'}); upgrade it"
            if why is None:
                asked.append(name)
            else:
                passed[name] = why
        return asked, passed

    def _request(self, one: Evaluation, connection: Connection) -> tuple[Evaluate, Names]:
        """Return what clients are asked, and the rounds of each model; raise ``RefusedError`` for one that is not kept."""
        foundation = self._tracks.named(one.task).foundation
        manifest, encoding = foundation.graph.manifest, foundation.settings.encoding
        found: dict[str, Weights] = {}
        names: Names = {}
        for number in one.models:
            weights = models.get(connection, one.task, number) if number else foundation.graph.initial
            if weights is None:
                there = ", ".join(map(str, models.kept(connection, one.task))) or "none"
                raise RefusedError("unknown model", f"the model of round {number} is not kept; there are those of rounds {there}")
            name = model_name(manifest.layout, weights, encoding)
            found[name] = weights
            names.setdefault(name, []).append(number)
        if len(found) > 1 and len(found) * manifest.layout.size * 4 > LARGEST:
            raise RefusedError("too many models", f"models: together larger than {LARGEST >> 20} MiB; ask for fewer at once")
        trained, left = evaluations.trained(connection, one.task, one.models), max(1.0, one.until - self._clock.time())
        sha256 = foundation.graph.sha256
        return Evaluate(max(1, one.number), one.task, sha256, manifest.layout, encoding, found, trained, left), names

    def _opened(self, one: Evaluation, request: Evaluate, names: Names) -> None:
        self._open[one.task], self._asked[one.task], self._names[one.task] = one, request, names

    def _row(self, one: Evaluation, found: Evaluated) -> dict[str, Any]:
        """Return what is stored of an answer."""
        if found.reason is not None:
            return {"reason": printable(found.reason)}
        names = self._names[one.task]
        if set(found.errors) != set(names):
            raise BrambleError("errors: expected one of each model that was asked for, and no other")
        settings = self._tracks.named(one.task).foundation.settings
        if settings.mode == "private" and found.samples < LEAST_SAMPLES:
            return {"reason": f"its means are over fewer than {LEAST_SAMPLES} windows, which private mode does not keep"}
        wanted, counts = kinds.counted(self._tracks.named(one.task).foundation.graph.manifest), found.counts or {}
        if wanted and counts.keys() != names.keys():
            raise BrambleError("counts: expected those of each model that was asked for, and no other")
        for counted in counts.values():
            kinds.counts_from_wire({name: list(vector) for name, vector in counted.items()}, wanted)
            if any(kinds.windows_in(name, vector) > found.samples for name, vector in counted.items()):
                raise BrambleError(f"counts: they are of more windows than the {found.samples} that were tried")

        def by_round(told: Mapping[str, Any]) -> dict[str, Any]:
            return {str(number): value for name, value in told.items() for number in names[name]}

        return {"samples": found.samples, "baseline": found.baseline, "errors": by_round(found.errors), "counts": by_round(counts) or None}

    def _of(self, number: int) -> Evaluation | None:
        return next((one for one in self._open.values() if one.number == number), None)

    def _answered(self, client: str, number: int) -> None:
        one = self._of(number)
        if one is None:
            return
        one = self._open[one.task] = one.with_answer(client)
        if not one.pending:
            self._end(one, SILENT)

    def _end(self, one: Evaluation, reason: str) -> None:
        def work() -> dict[str, Any] | None:
            with self._store.writing() as connection:
                evaluations.ended(connection, one.number, self._clock.time(), reason)
                return evaluations.one(connection, one.number)

        self._show(one.task, self._loop.offload(work))
        self._closed(one.task)
        log.info("evaluation %d of %s: over, %d of %d answered", one.number, one.task, len(one.answered), len(one.answered | one.pending))

    def _show(self, task: str, record: Mapping[str, Any] | None) -> None:
        """Show what an evaluation found of the newest of its models, if it found anything."""
        if record is None or not (parts := [found for found in record["clients"].values() if found["samples"]]):
            return
        windows, number = sum(part["samples"] for part in parts), max(record["models"])
        error = sum(part["samples"] * part["errors"][str(number)] for part in parts) / windows
        baseline = sum(part["samples"] * part["baseline"] for part in parts) / windows
        self._metrics.tried(task, Tried(number, windows, len(parts), error, baseline))

    def _closed(self, task: str) -> None:
        for kept in (self._open, self._asked, self._names):
            kept.pop(task, None)


def _said(passed: Mapping[str, str]) -> str:
    """Say of some why they are not asked."""
    first = "; ".join(f"{name} {why}" if not why.startswith("it ") else f"{name}: {why}" for name, why in list(passed.items())[:3])
    return first + (f"; and {len(passed) - 3} more" if len(passed) > 3 else "") or "nobody is connected"
