"""The one greenlet that changes anything: a queue of jobs with replies, group commit, and a clock."""

from __future__ import annotations

import itertools
import logging
import queue
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from bramble_protocol.clock import Clock
from bramble_protocol.errors import BrambleError
from bramble_server.loop import Loop
from bramble_server.store import Store, StoreError
from bramble_server.store.errors import AwayError

log = logging.getLogger(__name__)
T = TypeVar("T")
BATCH = 500
"""Jobs taken at a time, so that the clock is looked at in between."""
TOGETHER = 0.002
"""Seconds within which what is put on a shelf after something else shares its visit to the thread and its sync, where more is awaited."""
PAUSE = 1.0
"""Seconds before the clock's work is tried again after it failed unexpectedly."""


class InternalError(BrambleError):
    """Something failed that should not; the log has the traceback."""


class RefusedError(BrambleError):
    """The answer is no. ``code`` is the kind of reason, for statistics and for HTTP's status."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Reply:
    """The answer to a job, and whoever waits for it. Only the first answer counts."""

    def __init__(self, event: Any) -> None:
        self._event = event
        self._value: Any = None
        self._error: Exception | None = None
        self._given = self._held = False

    def answer(self, value: Any = None) -> None:
        """Let whoever waits go on with this value."""
        if not self._given:
            self._value = value
            self._give()

    def fail(self, error: Exception) -> None:
        """Let whoever waits go on with this error."""
        if not self._given:
            self._error = error
            self._give()

    def _give(self) -> None:
        self._given = True
        if not self._held:
            self._event.set()

    def hold(self) -> None:
        """Keep whoever waits waiting, whatever is answered, until :meth:`release`."""
        self._held = True

    def release(self, error: Exception | None = None) -> None:
        """Let whoever waits go on with what was answered meanwhile, or with this error."""
        self._error = error or self._error
        self._event.set()

    def wait(self) -> Any:
        """Wait for the answer."""
        self._event.wait()
        if self._error is not None:
            raise self._error
        return self._value


class Shelf(Protocol):
    """Where things are put on the disk before anybody is told that they were taken."""

    def awaits(self, count: int) -> bool:
        """Whether more than so many things are likely to come soon, and it is worth to wait a moment for them."""

    def foresee(self, count: int) -> None:
        """Get ready, on the loop, for so many things that are put there next: what follows from them may be done with it."""

    def put(self, items: list[Any]) -> bool:
        """Write them, in a thread; return whether they are sure to stay. If not, what is done with them now makes sure of it."""

    def secure(self) -> None:
        """Make sure that whatever was put there stays, if that is still to be done."""


class _Job:
    """Something to do, and the reply that waits for it."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


class _Work(_Job):
    """Runs on the loop."""

    def __init__(self, reply: Reply, work: Callable[[Reply], Any]) -> None:
        super().__init__(reply)
        self.work = work


class _Taken(_Work):
    """Has a part before it that blocks, for which neighbours in the queue share one visit to a thread."""

    def __init__(self, reply: Reply, item: Any, shelf: Shelf, work: Callable[[Reply], Any]) -> None:
        super().__init__(reply, work)
        self.item, self.shelf = item, shelf


class _Stored(_Job):
    """Writes to the store; neighbours in the queue share one transaction."""

    def __init__(self, reply: Reply, work: Callable[[Connection], Any], then: Callable[[], None]) -> None:
        super().__init__(reply)
        self.work, self.then = work, then


class Writer:
    """Runs jobs one after the other, and the clock's work when it is due.

    Parameters
    ----------
    due
        Seconds until ``tick`` should run, or ``None`` for not by itself. Asked after every batch.
    tick
        The clock's work.
    """

    def __init__(self, store: Store, loop: Loop, due: Callable[[], float | None], tick: Callable[[], None], clock: Clock = time) -> None:
        self._store, self._loop, self._due, self._tick, self._clock = store, loop, due, tick, clock
        self._jobs = loop.queue()
        self._stopping = False
        self._not_before = 0.0
        self._failed = ""
        self._task: Any = None

    def start(self) -> None:
        """Begin to work."""
        self._task = self._loop.spawn(self._run)

    def stop(self, work: Callable[[Reply], Any], within: float) -> None:
        """Do what is queued and this last job, then end; whoever comes later is answered with an error.

        Does not wait longer than ``within`` seconds: what is being written then is completed or rolled back by the store.
        """

        def last(reply: Reply) -> None:
            try:
                work(reply)
            finally:
                self._stopping = True

        self.post(last)
        self._task.join(timeout=within)

    def submit(self, work: Callable[[Reply], Any]) -> Any:
        """Run a job and wait for its answer: what it gave to the reply, or else what it returned."""
        return self._put(_Work(self._reply(), work)).wait()

    def post(self, work: Callable[[Reply], Any]) -> None:
        """Run a job without waiting."""
        self._put(_Work(self._reply(), work))

    def take(self, item: Any, shelf: Shelf, then: Callable[[Reply], Any]) -> Any:
        """Put something on the disk, run a job, and wait for its answer; what is queued at the same time shares the first part.

        Parameters
        ----------
        shelf
            Given the items of all of them in their order. Nobody is answered before it is sure that they stay there.
        then
            The second part, as for :meth:`submit`.
        """
        return self._put(_Taken(self._reply(), item, shelf, then)).wait()

    def write(self, work: Callable[[Connection], T], then: Callable[[], None]) -> T:
        """Write to the store and wait until it is on the disk; what is written at the same time shares one commit.

        Parameters
        ----------
        work
            Called with the open transaction, perhaps in another thread, perhaps twice.
        then
            Called afterwards as part of the same job.
        """
        result: T = self._put(_Stored(self._reply(), work, then)).wait()
        return result

    def _reply(self) -> Reply:
        return Reply(self._loop.event())

    def _put(self, job: _Job) -> Reply:
        if self._stopping:
            job.reply.fail(InternalError("the server is stopping"))
        else:
            self._jobs.put(job)
        return job.reply

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except Exception as error:
                self._not_before = self._clock.monotonic() + PAUSE
                if isinstance(error, StoreError):  # said by the store
                    continue
                if repr(error) != self._failed:
                    log.exception("the clock's work failed and is tried again")
                self._failed = repr(error)
        while not self._jobs.empty():
            self._jobs.get().reply.fail(InternalError("the server is stopping"))

    def _turn(self) -> None:
        due = self._due()
        if due is not None:
            due = max(0.0, due, self._not_before - self._clock.monotonic())
        for (kind, shelf), group in itertools.groupby(self._next(due), lambda job: (type(job), getattr(job, "shelf", None))):
            jobs = list(group)
            if kind is _Stored:
                self._write(jobs)
            elif shelf is not None:
                self._take(shelf, jobs)
            else:
                for job in jobs:
                    self._do(job)
        due = self._due()
        if due is not None and due <= 0 and self._clock.monotonic() >= self._not_before and not self._stopping:
            self._tick()
            self._failed = ""

    def _next(self, timeout: float | None) -> list[Any]:
        jobs: list[Any] = []
        try:
            jobs.append(self._jobs.get(timeout=timeout) if timeout != 0 else self._jobs.get_nowait())
            while len(jobs) < BATCH:
                wait = self._jobs.empty() and isinstance(jobs[-1], _Taken) and jobs[-1].shelf.awaits(len(jobs))
                jobs.append(self._jobs.get(timeout=TOGETHER) if wait else self._jobs.get_nowait())
        except queue.Empty:
            pass
        return jobs

    def _do(self, job: _Work) -> None:
        try:
            job.reply.answer(job.work(job.reply))
        except BrambleError as error:
            job.reply.fail(error)
        except Exception:
            log.exception("a job failed; nothing else is affected")
            job.reply.fail(InternalError("the server could not do that, its log says why"))

    def _take(self, shelf: Shelf, jobs: list[_Taken]) -> None:
        items = [job.item for job in jobs]
        try:
            shelf.foresee(len(items))
            sure = self._loop.offload(shelf.put, items)
        except Exception:
            log.exception("jobs failed; nothing else is affected")
            for job in jobs:
                job.reply.fail(InternalError("the server could not do that, its log says why"))
            return
        for job in jobs if not sure else ():
            job.reply.hold()
        for job in jobs:
            self._do(job)
        if not sure:
            self._release(shelf, jobs)

    def _release(self, shelf: Shelf, jobs: list[_Taken]) -> None:
        failure: Exception | None = None
        try:
            shelf.secure()
        except Exception as error:
            failure = error
            if not isinstance(error, BrambleError):
                log.exception("jobs failed; nothing else is affected")
                failure = InternalError("the server could not do that, its log says why")
        for job in jobs:
            job.reply.release(failure)

    def _write(self, jobs: list[_Stored]) -> None:
        try:
            results = self._loop.offload(self._commit, jobs)
        except Exception as error:
            if len(jobs) > 1 and not isinstance(error, AwayError):  # find the one at fault: the others must not suffer
                for job in jobs:
                    self._write([job])
                return
            if not isinstance(error, BrambleError):
                log.exception("a write failed; nothing else is affected")
                error = InternalError("the server could not store that, its log says why")
            for job in jobs:
                job.reply.fail(error)
            return
        for job, result in zip(jobs, results, strict=True):
            job.reply.answer(result)
            self._do(_Work(Reply(self._loop.event()), lambda _, then=job.then: then()))  # type: ignore[misc]

    def _commit(self, jobs: list[_Stored]) -> list[Any]:
        with self._store.writing() as connection:
            return [job.work(connection) for job in jobs]
