"""Which round to train for: one run at a time, of each task the newest request wins, and none is trained twice."""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any, Protocol

from bramble_client.deliver.outbox import Outbox
from bramble_client.learn.trainer import BrokenOff, NotEnoughData, NotNow, Result
from bramble_client.worker import Worker
from bramble_protocol import BrambleError
from bramble_protocol.clock import Clock
from bramble_protocol.fields import SENTENCE
from bramble_protocol.messages import ClientUpdate, TrainingFailed

log = logging.getLogger(__name__)

HOMEWARD = 0.1
"""Part of a round's time that is left for the request to come and the answer to go."""
MOST_WAITING = 16
"""Tasks of which a request may wait; each holds a model in memory."""


Beside = Callable[[], Callable[[], None]]
"""Other work for the same thread; it returns what to do with its result, which is not done where a reset came meanwhile."""


class Train(Protocol):
    """One local training run, as :meth:`bramble_client.learn.trainer.Trainer.run` does it."""

    def __call__(self, update: ClientUpdate, received: float) -> Result:
        """Train; raise ``BrambleError`` with a sentence if it cannot be done."""


@dataclass(frozen=True)
class _Job:
    update: ClientUpdate
    received: float
    until: float
    """When its answer must be on its way, on the monotonic clock."""
    request: str
    """Digest of all that was asked. A round's number alone is no identity: a server that was wiped counts from 1 again."""

    @property
    def task(self) -> str:
        """What is to be learnt."""
        return self.update.task

    def __str__(self) -> str:
        return f"round {self.update.round} of {self.task}"


class TrainingQueue(Worker):
    """Trains in a thread of its own, so that the link's heartbeat goes on, and puts each answer into the outbox.

    When a newer request of the same task comes meanwhile, or the server says that the round is over, the run is broken off as soon as it
    asks, and its result is dropped. Requests of other tasks wait in the order in which they came.

    Parameters
    ----------
    train
        Does the work.
    outbox
        Takes the answers.
    trained
        Called with each result that was put into the outbox.
    before
        Called with it before that.
    serves
        Asks whether a graph, by its digest, is still the server's.
    clock
        Says when a request came.
    """

    def __init__(
        self,
        train: Train,
        outbox: Outbox,
        trained: Callable[[ClientUpdate, Result], None] = lambda update, result: None,
        before: Callable[[ClientUpdate, Result], None] = lambda update, result: None,
        serves: Callable[[str], bool] = lambda graph: True,
        clock: Clock = time,
    ) -> None:
        super().__init__("training")
        self._train = train
        self._outbox = outbox
        self._trained, self._before = trained, before
        self._serves, self._clock = serves, clock
        self._changed = threading.Condition()
        self._waiting: dict[str, _Job] = {}
        """The newest request of each task, in the order in which the tasks came."""
        self._beside: dict[str, Beside] = {}
        """What is to be done when nothing waits to be trained, by whose it is."""
        self._done_beside = ""
        """Which of it is being done; empty for none, and once a reset came meanwhile."""
        self._running: _Job | None = None
        self._void = ""
        """Why nobody waits for the run that is going on; empty while somebody may."""
        self._gathers: dict[str, float | None] = {}
        """When tasks whose last run found too little can be trained, as far as that is known."""
        self._failing: dict[str, str] = {}
        """Tasks whose last run failed, with the graph that it ran."""
        self._unsure: dict[str, str] = {}
        """Those of them of which it is to be found out whether the server has them still."""

    def wake(self) -> None:
        """Look whether there is something to train."""
        with self._changed:
            self._changed.notify_all()

    @property
    def running(self) -> bool:
        """Whether a run is going on."""
        return self._running is not None

    @property
    def until(self) -> float:
        """When the result of the run that is going on must be on its way, on the monotonic clock."""
        return math.inf if self._running is None else self._running.until

    def rest(self, seconds: float) -> None:
        """Have the run that is going on wait, while it is wanted."""
        with self._changed:
            self._changed.wait_for(lambda: not self.wanted, seconds)

    @property
    def failing(self) -> bool:
        """Whether the last run of any task failed; one that had too little data to begin with, or was not allowed, did not."""
        return bool(self._failing)

    @property
    def first_training(self) -> float | None:
        """When the first of the tasks that lack readings will have enough, seconds since 1970 UTC; None if none does, or who knows."""
        return min((at for at in self._gathers.values() if at is not None), default=None)

    def look_again(self) -> None:
        """Find out which tasks whose runs failed are still served: a server that was started anew may be without them."""
        with self._changed:
            self._unsure = dict(self._failing)
            self._changed.notify_all()

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for the run that is going on."""
        job = self._running
        return not self._void and (job is None or job.task not in self._waiting) and not self._stopping.is_set()

    def ask(self, update: ClientUpdate) -> None:
        """Train as the server asks, unless that is going on, or done and only not yet delivered; does not block.

        One who answered no and is asked again tries again.
        """
        until = self._clock.monotonic() + (1 - HOMEWARD) * update.config.deadline_s
        job = _Job(update, self._clock.time(), until, _digest(update))
        with self._changed:
            answer = self._outbox.answer(job.task)
            if answer is not None and answer.note.get("request") == job.request:
                self._outbox.wake()
                return
            running = None if self._void else self._running
            latest = self._waiting.get(job.task) or running
            if latest is not None and latest.request == job.request:
                return
            if running is not None and running.request == job.request:
                del self._waiting[job.task]  # the server came back to what is being trained
                return
            if job.task not in self._waiting and len(self._waiting) >= MOST_WAITING:
                self.fail(update.round, f"busy: requests of {MOST_WAITING} other tasks wait here already", job.task)
                return
            self._waiting[job.task] = job
            self._changed.notify_all()

    def beside(self, key: str, work: Beside) -> None:
        """Do something else once nothing waits to be trained; of a key, which begins with a task and a space, the newest alone.

        It may raise ``BrokenOff`` when it sees that it is not :attr:`spare` any more, and is done anew then.
        """
        with self._changed:
            self._beside[key] = work
            self._changed.notify_all()

    @property
    def spare(self) -> bool:
        """Whether what is done beside may go on."""
        return bool(self._done_beside) and not self._waiting and not self._stopping.is_set()

    def fail(self, round_number: int, reason: str, task: str = "") -> None:
        """Answer a request that cannot even be tried; ``task`` is what it is for, if that can be read."""
        log.warning("round %d: not trained: %s", round_number, reason)
        self._outbox.put_answer("training_failed", TrainingFailed(round_number, reason[:SENTENCE]).to_wire(), {}, task)

    def over(self, round_number: int) -> None:
        """Do no more for a round that goes on without this client: neither train for it nor send what came of it."""
        with self._changed:
            self._waiting = {task: job for task, job in self._waiting.items() if job.update.round != round_number}
            if self._running is not None and self._running.update.round == round_number:
                self._void = "the round is over"
            self._changed.notify_all()
            self._outbox.forget_answer(round_number)

    def forget(self, clear: Callable[[], None], task: str | None = None) -> None:
        """Drop what is asked and what is being trained, of all tasks or of one, and run ``clear`` before any later result can be kept."""
        with self._changed:
            for name in [*self._waiting] if task is None else [task]:
                self._waiting.pop(name, None)
            self._failing = {} if task is None else self._without(task)
            if task is None or (self._running is not None and self._running.task == task):
                self._void = "a reset came"
            self._beside = {key: work for key, work in self._beside.items() if task not in (None, key.split(" ")[0])}
            if task in (None, self._done_beside.split(" ")[0]):
                self._done_beside = ""
            self._changed.notify_all()
            clear()

    def run(self) -> None:
        """Train until told to stop.

        A run that fails from then on, because its process was ended, is no answer: the server asks again after the restart.
        """
        while True:
            with self._changed:
                self._running = None
                while not (self._waiting or self._unsure or self._beside or self._stopping.is_set()):
                    self._changed.wait()
                if self._stopping.is_set():
                    return
                job = self._waiting.pop(next(iter(self._waiting))) if self._waiting else None
                if job is not None:
                    self._running, self._void = job, ""
            if job is None:
                self._let_go() if self._unsure else self._do_beside()
                continue
            try:
                self._answer(job)
            except Exception:
                log.exception("%s: the answer was lost", job)

    def _let_go(self) -> None:
        """Hold no failure against a graph that nobody serves any more."""
        with self._changed:
            unsure, self._unsure = self._unsure, {}
        gone = {task: graph for task, graph in unsure.items() if not self._serves(graph)}
        with self._changed:
            self._failing = {task: graph for task, graph in self._failing.items() if gone.get(task) != graph}

    def _do_beside(self) -> None:
        with self._changed:
            if not self._beside:
                return
            key = self._done_beside = next(iter(self._beside))
            work = self._beside.pop(key)
        try:
            finish = work()
            with self._changed:
                if self._done_beside:
                    finish()
        except BrokenOff:
            with self._changed:
                if self._done_beside and key not in self._beside:
                    self._beside = {key: work, **self._beside}
        except Exception:
            log.exception("%s: failed", key)
        finally:
            self._done_beside = ""

    def _answer(self, job: _Job) -> None:
        log.info("%s: training", job)
        failing, gathers = True, None
        try:
            result = self._train(job.update, job.received)
            payload = result.complete.to_wire(job.update)  # what cannot be sent is as little an update as what was not trained
        except (NotEnoughData, NotNow) as error:
            failing = False
            gathers = getattr(error, "ready_at", None)
            log.info("%s: not trained: %s", job, error)
            self._failed(job, str(error))
        except BrokenOff as error:
            failing = False
            log.info("%s: %s: nobody waits for it any more", job, error)
            with self._changed:
                if self.wanted:  # the server came back to it while it was being put down
                    self._waiting = {job.task: job, **self._waiting}
                self._void = self._void or "it was broken off"
        except MemoryError:
            log.error("%s: not trained: out of memory", job)
            self._failed(job, "out of memory")
        except BrambleError as error:
            if self._stopping.is_set():
                log.info("%s: broken off, for this client ends", job)
                return
            log.warning("%s: not trained: %s", job, error)
            self._failed(job, str(error))
        except Exception as error:
            log.exception("%s: training failed", job)
            self._failed(job, f"{type(error).__name__}: {error}")
        else:
            failing = False
            note = {"request": job.request, "tested_until": result.tested_until, "untold": result.untold, "layer_state": result.local_state}
            if self._put(job, "training_complete", payload, note, lambda: self._before(job.update, result)):
                self._trained(job.update, result)
        finally:
            with self._changed:
                self._gathers = {**self._gathers, job.task: gathers}
                self._failing = self._without(job.task) | ({job.task: job.update.graph} if failing and not self._void else {})

    def _without(self, task: str) -> dict[str, str]:
        return {name: graph for name, graph in self._failing.items() if name != task}

    def _failed(self, job: _Job, reason: str) -> None:
        self._put(job, "training_failed", TrainingFailed(job.update.round, reason[:SENTENCE]).to_wire(), {})

    def _put(self, job: _Job, event: str, payload: dict[str, Any], note: dict[str, Any], before: Callable[[], None] = lambda: None) -> bool:
        with self._changed:
            if self._void or job.task in self._waiting:
                log.info("%s: the result is dropped: %s", job, self._void or "a newer round came")
                return False
            before()
            self._outbox.put_answer(event, payload, note, job.task)
            return True


def _digest(update: ClientUpdate) -> str:
    asked = update.round, update.graph, update.reply_encoding, astuple(update.config), update.extras.to_wire(), update.secure
    digest = hashlib.sha256(repr(asked).encode())
    for name, vector in (("weights", update.weights), ("best", update.best), *update.extras.vectors.items()):
        digest.update(name.encode())
        digest.update(vector.data)
    return digest.hexdigest()
