"""Blocking work in a few threads, while the loop goes on.

gevent has a pool for this, whose queue and conditions are Python: to hand something over and get it back took a fifth of what a small
round costs. Here both ways are queues in C, and one watcher wakes the loop for all that is done.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

import gevent  # type: ignore[import-untyped]
from gevent.hub import Waiter  # type: ignore[import-untyped]

log = logging.getLogger(__name__)
T = TypeVar("T")


class Threads:
    """So many threads, which take what comes in its order. Made, and asked, in the loop's own thread."""

    def __init__(self, count: int) -> None:
        self._calls = SimpleQueue[tuple[Any, Callable[..., Any], tuple[Any, ...]]]()
        self._done = deque[tuple[Any, list[Any]]]()
        self._wake = gevent.get_hub().loop.async_()
        self._wake.start(self._deliver)
        for _ in range(count):
            threading.Thread(target=self._work, daemon=True).start()

    def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run something in a thread; return its result or raise its error. Who asks waits, and the loop serves others meanwhile."""
        waiter = Waiter()
        self._calls.put((waiter, work, arguments))
        outcome = waiter.get()
        error = outcome.pop()
        try:
            if error is not None:
                raise error
            return outcome.pop()  # type: ignore[no-any-return]
        finally:
            del error  # else it would hold on to this call, and with it to what was handed over

    def hand_over(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Run something in a thread, and do not wait for it."""
        self._calls.put((None, work, arguments))

    def _work(self) -> None:
        while True:
            self._attempt(*self._calls.get())  # apart, so that nothing large is held on to until the next call

    def _attempt(self, waiter: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            outcome = [work(*arguments), None]
        except BaseException as error:
            outcome = [None, error]
            if waiter is None:
                log.exception("what was to be done beside failed; nothing else is affected")
        if waiter is None:
            return
        self._done.append((waiter, outcome))
        self._wake.send()

    def _deliver(self) -> None:
        while self._done:
            waiter, outcome = self._done.popleft()
            waiter.switch(outcome)  # and back here when whoever waited waits for something else: until then it is not gone
