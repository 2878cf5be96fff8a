"""A client's part in evaluations: it tries models on readings that none of them was trained on, when there is nothing to train."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from bramble_client.acquire.recorder import Recorder
from bramble_client.deliver.outbox import Outbox
from bramble_client.learn.pace import BrokenOff, NotNow
from bramble_client.learn.scoring import Scores, score
from bramble_client.learn.trainer import Trainer
from bramble_client.participation import Participation
from bramble_protocol import BrambleError
from bramble_protocol.clock import Clock
from bramble_protocol.fields import SENTENCE
from bramble_protocol.messages import Evaluate, Evaluated
from bramble_protocol.privacy import LEAST_SAMPLES

if TYPE_CHECKING:
    from bramble_client.settings import ClientSettings

log = logging.getLogger(__name__)


def alone(settings: ClientSettings) -> str | None:
    """Return why a client's owner has it tell nothing of its site alone; None where it may."""
    if settings.secure:
        return "this client tells of itself in secure sums alone (--secure)"
    if settings.bounded:
        return "this client tells nothing of itself without noise (--noise, --epsilon)"
    return None


class Evaluating:
    """Answers requests of evaluations, in the thread that trains and after whatever is to be trained.

    Parameters
    ----------
    trainer
        Tries models.
    recorder, outbox
        What they are tried on, and where answers go.
    part
        The client's part in rounds: what it trained on, and its thread.
    halted
        Returns why its owner does not let it work now, or None.
    private
        Whether no mean over fewer than 20 windows may be told, nor any from which one follows.
    alone
        Why nothing may be told of this site alone, so that nothing is tried; None: it may.
    clock
        Says until when an answer is of use.
    """

    def __init__(
        self, trainer: Trainer, recorder: Recorder, outbox: Outbox, part: Participation, halted: Callable[[], str | None], private: bool,
        alone: str | None, clock: Clock,
    ) -> None:  # fmt: skip
        self._trainer, self._recorder, self._outbox, self._part = trainer, recorder, outbox, part
        self._halted, self._private, self._alone, self._clock = halted, private, alone, clock

    def ask(self, asked: Evaluate) -> None:
        """Try models once nothing is to be trained; does not block."""
        if self._alone is not None:
            self.fail(asked.evaluation, self._alone, asked.task)
            return
        until = self._clock.monotonic() + asked.deadline_s
        self._part.queue.beside(f"{asked.task} evaluation", partial(self._run, asked, until))

    def fail(self, number: int, reason: str, task: str = "") -> None:
        """Answer that nothing was tried, and why."""
        log.warning("evaluation %d: nothing is tried: %s", number, reason)
        self._put(task, Evaluated(number, reason=reason[:SENTENCE]))

    def _run(self, asked: Evaluate, until: float) -> Callable[[], None]:
        """Try the models; return what puts the answer into the outbox."""
        if self._clock.monotonic() > until:
            log.info("evaluation %d of %s: nobody waits for it any more", asked.evaluation, asked.task)
            return lambda: None
        try:
            found = self._score(asked)
        except BrokenOff:
            raise
        except MemoryError:
            return partial(self.fail, asked.evaluation, "out of memory", asked.task)
        except BrambleError as error:
            return partial(self.fail, asked.evaluation, str(error), asked.task)
        return partial(self._told, asked, found)

    def _score(self, asked: Evaluate) -> Scores:
        if halted := self._halted():
            raise NotNow(halted)
        memory, task = self._part.memory, asked.task
        # In private mode each window is in the means of one span alone, whose ends are trainings and multiples of so many windows.
        since = memory.trained.until(task, None if self._private else asked.trained)
        whole = LEAST_SAMPLES if self._private else 1
        noted = memory.local_state(task)

        def spare() -> bool:
            return self._part.queue.spare

        return self._trainer.trying(
            asked, self._recorder.columns, lambda runtime, ready: score(runtime, ready, asked.models, since, noted, spare, whole)
        )

    def _told(self, asked: Evaluate, found: Scores) -> None:
        log.info("evaluation %d of %s: tried %d models on %d windows", asked.evaluation, asked.task, len(found.errors), found.samples)
        if self._private:
            with self._part.memory.lock:
                self._part.memory.trained.score(asked.task, found.until)
        self._put(asked.task, Evaluated(asked.evaluation, found.samples, found.baseline, found.errors, found.counts))

    def _put(self, task: str, answer: Evaluated) -> None:
        self._outbox.put_answer("evaluated", answer.to_wire(), {}, f"{task} evaluation")
