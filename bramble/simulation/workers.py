"""Trains several simulated clients at once: one TFLite runtime a thread, which leaves Python to the others while it computes."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bramble_client.learn.runtime import Runtime
from bramble_protocol.graph import GraphFile

AHEAD = 4
"""Results that may wait for each worker: they are models."""
T = TypeVar("T")
R = TypeVar("R")


class Workers:
    """Threads that each hold a graph; whoever calls a signature gets that of its own thread, so this is a :class:`Graph` itself.

    What one gives depends on its arguments alone, so that neither the number of threads nor who took which work changes a bit.

    Parameters
    ----------
    graph
        Loaded by each thread when it first needs it.
    count
        How many threads there are.
    """

    def __init__(self, graph: GraphFile, count: int) -> None:
        self._graph, self._count = graph, count
        self._own = threading.local()
        self._pool = ThreadPoolExecutor(count, "simulated")
        with _quiet():
            self.name = self._runtime.name
            self._runtime.prepare()
        """Name of the TensorFlow Lite runtime."""

    @property
    def _runtime(self) -> Runtime:
        if not hasattr(self._own, "runtime"):
            self._own.runtime = Runtime(self._graph.flatbuffer)
        runtime: Runtime = self._own.runtime
        return runtime

    @property
    def signatures(self) -> Collection[str]:
        """Names of the signatures that the graph has."""
        return self._runtime.signatures

    def __call__(self, signature: str, **inputs: Any) -> dict[str, NDArray[np.float32]]:
        """Run one signature in this thread."""
        return self._runtime(signature, **inputs)

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield a function's results in the order of its arguments, some of them computed ahead."""
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                if len(waiting) >= AHEAD * self._count:
                    yield waiting.popleft().result()
                waiting.append(self._pool.submit(function, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def submit(self, work: Callable[[], R]) -> Future[R]:
        """Have a thread do something as soon as one is free."""
        return self._pool.submit(work)

    def close(self) -> None:
        """End the threads, once each has done what it is at."""
        self._pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let nobody see what a runtime writes to stderr when it is loaded: which of its parts it uses."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
