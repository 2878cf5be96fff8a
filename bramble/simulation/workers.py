"""Who trains several simulated clients at once: here threads, one TFLite runtime each, which leaves Python to the others while it computes.

What one gives depends on its arguments alone, so that neither the number of workers nor who took which work changes a bit.
"""

from __future__ import annotations

import contextlib
import os
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from bramble_client.learn.runtime import Runtime
from bramble_protocol.graph import GraphFile

AHEAD = 2
"""Portions of work that each worker may have before it."""
MODELS = 8 << 20
"""Bytes of models that come of one portion."""
R = TypeVar("R")
Work = tuple[Sequence[Any], Any]
"""What a function is given that it shares with other work, and what it alone is given."""


class Workers(ABC):
    """Workers that each hold a graph.

    Work is a function at the top of a module, which is given a worker's runtime, the graph, what it shares with other work, and its item.
    """

    name: str
    """Of the TensorFlow Lite runtime."""
    portion = 1
    """How much work goes to one of them at a time, at most: to hand it over takes a while."""
    portions = 8
    """Into which each one's part of some work is cut at least, so that all end at about the same time."""

    def __init__(self, graph: GraphFile, count: int) -> None:
        self._graph, self._count = graph, count

    @abstractmethod
    def send(self, function: Callable[..., R], work: Sequence[Work]) -> Future[list[R]]:
        """Have one of them do some work, one after the other, as soon as it can.

        Parameters
        ----------
        function
            Called for each as ``function(runtime, graph, *shared, item)``.
        work
            What is shared with other work, to which nobody may write, and what it alone is given.
        """

    @abstractmethod
    def close(self) -> None:
        """End them."""

    def map(self, function: Callable[..., R], work: Iterable[Work]) -> Iterator[R]:
        """Yield a function's results in the order of its work, some of them computed ahead."""
        waiting: deque[Future[list[R]]] = deque()
        work = list(work)
        each = max(1, min(self.portion, len(work) // (self.portions * self._count), MODELS // (4 * self._graph.manifest.layout.size)))
        try:
            for start in range(0, len(work), each):
                if len(waiting) >= AHEAD * self._count:
                    yield from waiting.popleft().result()
                waiting.append(self.send(function, work[start : start + each]))
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class Threads(Workers):
    """Threads of this process.

    Parameters
    ----------
    graph
        Loaded by each thread when it first needs it.
    count
        How many threads there are.
    """

    portion = 4

    def __init__(self, graph: GraphFile, count: int) -> None:
        super().__init__(graph, count)
        self._own = threading.local()
        self._pool = ThreadPoolExecutor(count, "simulated")
        with quiet():
            self.name = self._runtime.name
            self._runtime.prepare()

    @property
    def _runtime(self) -> Runtime:
        if not hasattr(self._own, "runtime"):
            self._own.runtime = Runtime(self._graph.flatbuffer)
        runtime: Runtime = self._own.runtime
        return runtime

    def send(self, function: Callable[..., R], work: Sequence[Work]) -> Future[list[R]]:
        """Have a thread do it as soon as one is free."""
        return self._pool.submit(lambda: [function(self._runtime, self._graph, *shared, item) for shared, item in work])

    def close(self) -> None:
        """End the threads, once each has done what it is at."""
        self._pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let nobody see what a library writes to stderr from C++, such as which of its parts a runtime uses."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
