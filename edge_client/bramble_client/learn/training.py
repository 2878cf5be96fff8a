"""Which round to train for: one run at a time, the newest request wins, and none is trained twice."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any, Protocol

from bramble_client.deliver.outbox import Outbox
from bramble_client.learn.trainer import BrokenOff, NotEnoughData, Result
from bramble_client.worker import Worker
from bramble_protocol import BrambleError
from bramble_protocol.fields import SENTENCE
from bramble_protocol.messages import ClientUpdate, TrainingFailed

log = logging.getLogger(__name__)


class Train(Protocol):
    """One local training run, as :meth:`bramble_client.learn.trainer.Trainer.run` does it."""

    def __call__(self, update: ClientUpdate, received: float) -> Result:
        """Train; raise ``BrambleError`` with a sentence if it cannot be done."""


@dataclass(frozen=True)
class _Job:
    update: ClientUpdate
    received: float
    request: str
    """Digest of all that was asked. A round's number alone is no identity: a server that was wiped counts from 1 again."""


class Training(Worker):
    """Trains in a thread of its own, so that the link's heartbeat goes on, and puts each answer into the outbox.

    When a newer request comes meanwhile, that round is over: the run is broken off as soon as it asks, and its result is dropped.

    Parameters
    ----------
    train
        Does the work.
    outbox
        Takes the answers.
    trained
        Called with each result that was put into the outbox.
    """

    def __init__(
        self,
        train: Train,
        outbox: Outbox,
        trained: Callable[[ClientUpdate, Result], None] = lambda update, result: None,
    ) -> None:
        super().__init__("training")
        self._train = train
        self._outbox = outbox
        self._trained = trained
        self._changed = threading.Condition()
        self._next: _Job | None = None
        self._running: _Job | None = None
        self._valid = True
        self.failing = False
        """Whether the last run failed; one that had too little data to begin with did not."""

    def wake(self) -> None:
        """Look whether there is something to train."""
        with self._changed:
            self._changed.notify_all()

    @property
    def running(self) -> bool:
        """Whether a run is going on."""
        return self._running is not None

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for the run that is going on."""
        return self._valid and self._next is None and not self._stopping.is_set()

    def ask(self, update: ClientUpdate) -> None:
        """Train as the server asks, unless that is going on, or done and only not yet delivered; does not block.

        One who answered no and is asked again tries again.
        """
        job = _Job(update, time.time(), _digest(update))
        with self._changed:
            answer = self._outbox.answer()
            if answer is not None and answer.note.get("request") == job.request:
                self._outbox.wake()
                return
            latest = self._next or (self._running if self._valid else None)
            if latest is not None and latest.request == job.request:
                return
            if self._running is not None and self._valid and self._running.request == job.request:
                self._next = None  # the server came back to what is being trained
                return
            self._next = job
            self._changed.notify_all()

    def fail(self, round_number: int, reason: str) -> None:
        """Answer a request that cannot even be tried."""
        log.warning("round %d: not trained: %s", round_number, reason)
        self._outbox.put_answer("training_failed", TrainingFailed(round_number, reason[:SENTENCE]).to_wire(), {})

    def forget(self, clear: Callable[[], None]) -> None:
        """Drop what is asked and what is being trained, and run ``clear`` before any later result can be kept."""
        with self._changed:
            self._next, self._valid = None, False
            clear()

    def run(self) -> None:
        """Train until told to stop.

        A run that fails from then on, because its process was ended, is no answer: the server asks again after the restart.
        """
        while True:
            with self._changed:
                self._running = None
                while self._next is None and not self._stopping.is_set():
                    self._changed.wait()
                if self._stopping.is_set() or self._next is None:
                    return
                self._running, self._next, self._valid = self._next, None, True
                job = self._running
            try:
                self._answer(job)
            except Exception:
                log.exception("round %d: the answer was lost", job.update.round)

    def _answer(self, job: _Job) -> None:
        number = job.update.round
        log.info("round %d: training", number)
        failing = True
        try:
            result = self._train(job.update, job.received)
            payload = result.complete.to_wire(job.update)  # what cannot be sent is as little an update as what was not trained
        except NotEnoughData as error:
            failing = False
            log.info("round %d: not trained: %s", number, error)
            self._failed(job, str(error))
        except BrokenOff as error:
            failing = False
            log.info("round %d: %s: nobody waits for it any more", number, error)
            with self._changed:
                if self.wanted:  # the server came back to it while it was being put down
                    self._next = job
                self._valid = False
        except MemoryError:
            log.error("round %d: not trained: out of memory", number)
            self._failed(job, "out of memory")
        except BrambleError as error:
            if self._stopping.is_set():
                log.info("round %d: broken off, for this client ends", number)
                return
            log.warning("round %d: not trained: %s", number, error)
            self._failed(job, str(error))
        except Exception as error:
            log.exception("round %d: training failed", number)
            self._failed(job, f"{type(error).__name__}: {error}")
        else:
            failing = False
            note = {"request": job.request, "tested_until": result.tested_until, "untold": result.untold, "layer_state": result.layer_state}
            if self._put(job, "training_complete", payload, note):
                self._trained(job.update, result)
        finally:
            self.failing = failing

    def _failed(self, job: _Job, reason: str) -> None:
        self._put(job, "training_failed", TrainingFailed(job.update.round, reason[:SENTENCE]).to_wire(), {})

    def _put(self, job: _Job, event: str, payload: dict[str, Any], note: dict[str, Any]) -> bool:
        with self._changed:
            if not self._valid or self._next is not None:
                log.info("round %d: the result is dropped: %s", job.update.round, "a newer round came" if self._valid else "a reset came")
                return False
            self._outbox.put_answer(event, payload, note)
            return True


def _digest(update: ClientUpdate) -> str:
    asked = update.round, update.graph, update.reply_encoding, astuple(update.config), update.extras.to_wire()
    digest = hashlib.sha256(repr(asked).encode())
    for name, vector in (("weights", update.weights), *update.extras.vectors.items()):
        digest.update(name.encode())
        digest.update(vector.data)
    return digest.hexdigest()
