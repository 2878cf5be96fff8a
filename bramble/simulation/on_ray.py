"""Trains simulated clients in processes of Ray: on this machine, or on all of a cluster's.

Ray carries Python objects as pickles, so whoever reaches a cluster runs code there: that is Ray's own affair, and a cluster's owner's. One
that is started here lasts as long as this process, and admits nobody who does not know its token.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from bramble.simulation.workers import Work, Workers, quiet
from bramble_client.learn.runtime import Runtime
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import GraphFile

R = TypeVar("R")
QUIETLY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Ray tells its makers nothing, and us nothing of graphics cards."""
KNOCK_S = 5.0
"""How long a cluster has to take a connection."""
RETRIES = 3
"""How often a worker whose process or machine is lost begins anew; its work gives the same bits again."""


class Worker:
    """What a process of Ray's holds: the graph and its runtime."""

    def __init__(self, graph: GraphFile) -> None:
        with quiet():
            self._graph, self._runtime = graph, Runtime(graph.flatbuffer)
            self._runtime.prepare()

    def about(self) -> tuple[str, str]:
        """Return the name of its runtime, and the version of Bramble that is installed there."""
        return self._runtime.name, version("bramble-fl")

    def work(self, function: Callable[..., R], items: Sequence[tuple[Sequence[int], Any]], *shared: Any) -> list[R]:
        """Call a function with runtime and graph for each item, before which go those of what is shared that its numbers name."""
        return [function(self._runtime, self._graph, *(shared[at] for at in which), item) for which, item in items]


class RayWorkers(Workers):
    """Processes of Ray, a processor each.

    Parameters
    ----------
    graph
        Loaded by each.
    count
        How many there are.
    address
        Of a cluster; without it one is started on this machine, unless an earlier one of this process still is there.

    Raises
    ------
    BrambleError
        If Ray is not installed, there is no such cluster, it is too small, or another version of Bramble is installed there.
    """

    portion, portions = 16, 3  # a call of Ray's takes about as long as two trainings of a small model

    def __init__(self, graph: GraphFile, count: int, address: str | None = None) -> None:
        super().__init__(graph, count)
        self._ray = _ray(count, address)
        if (there := self._ray.cluster_resources().get("CPU", 0)) < count:
            raise BrambleError(f"workers: {count} are more than the {there:.0f} processors that Ray has; lower --workers")
        self._refs: dict[int, Any] = {}
        self._lock, self._busy = Lock(), [0] * count
        actor = self._ray.remote(num_cpus=1, max_restarts=RETRIES, max_task_retries=RETRIES)(Worker)
        with quiet():  # what Ray says of those who do not keep it
            self._actors = [actor.remote(self._stored(graph)) for _ in range(count)]
        try:
            about = sorted(set(self._ray.get([each.about.remote() for each in self._actors])))
            if about != [(about[0][0], version("bramble-fl"))]:
                there = ", ".join(f"{release} with {runtime}" for runtime, release in about)
                raise BrambleError(f"ray: its machines have Bramble {there}, and here is {version('bramble-fl')}; install the same on all")
        except self._ray.exceptions.RayError as error:
            self.close()
            raise _lost(error) from error
        except BrambleError:
            self.close()
            raise
        self.name = about[0][0]

    def send(self, function: Callable[..., R], work: Sequence[Work]) -> Future[list[R]]:
        """Have the process do it that has least to do; what is shared is sent to a machine once."""
        with self._lock:
            index = min(range(self._count), key=self._busy.__getitem__)
            self._busy[index] += 1
        done: Future[list[R]] = Future()

        def told(future: Future[list[R]]) -> None:
            with self._lock:
                self._busy[index] -= 1
            if not done.set_running_or_notify_cancel():
                return
            error = future.exception()
            if isinstance(error, self._ray.exceptions.RayTaskError):
                done.set_exception(error.cause)
            elif isinstance(error, self._ray.exceptions.RayError):
                done.set_exception(_lost(error))
            elif error:
                done.set_exception(error)
            else:
                done.set_result(future.result())

        things = list({id(thing): thing for shared, _ in work for thing in shared}.values())
        number = {id(thing): at for at, thing in enumerate(things)}
        items = [([number[id(thing)] for thing in shared], item) for shared, item in work]
        reference = self._actors[index].work.remote(function, items, *map(self._stored, things))
        reference.future().add_done_callback(told)
        return done

    def close(self) -> None:
        """End the processes; a cluster of this machine's own ends with this one."""
        for each in self._actors:
            self._ray.kill(each)

    def _stored(self, thing: Any) -> Any:
        """Return where Ray keeps something, as long as it lives here."""
        key = id(thing)
        if key not in self._refs:
            self._refs[key] = self._ray.put(thing)
            weakref.finalize(thing, self._refs.pop, key, None)
        return self._refs[key]


def _ray(count: int, address: str | None) -> Any:
    if "ray" not in sys.modules:  # it reads them when it is imported
        admission = _known_token() if address else {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        os.environ.update({name: value for name, value in (QUIETLY | admission).items() if name not in os.environ})
    try:
        import ray
    except ModuleNotFoundError:
        raise BrambleError("backend: Ray is not installed; pip install 'bramble-fl[ray]', or leave --backend at threads") from None
    if ray.is_initialized():
        return ray
    quietly: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    try:
        if address:
            _knock(address)
            with quiet():  # for a minute of tries
                ray.init(address, **quietly)
        else:
            ray.init("local", num_cpus=count, include_dashboard=False, _node_ip_address="127.0.0.1", **quietly)
    except (RuntimeError, ValueError, OverflowError, OSError) as error:
        where = f"{address} cannot be reached" if address else "it cannot be started here"
        remedy = "see that `ray status` works there, with a token where it wants one, or leave --backend at threads"
        raise BrambleError(f"ray: {where} ({_first(error)}); {remedy}") from error
    return ray


def _known_token() -> dict[str, str]:
    """Return what has Ray show the token that there is, if any: ``ray start`` asks for it then, and a driver shows none by itself."""
    named = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
    return {"RAY_AUTH_MODE": "token"} if named or (Path.home() / ".ray" / "auth_token").exists() else {}


def _knock(address: str) -> None:
    """Raise an OSError if nobody listens there: Ray itself would try for minutes, and complain meanwhile."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():  # it may be "auto"
        socket.create_connection((host, int(port)), KNOCK_S).close()


def _lost(error: Exception) -> BrambleError:
    return BrambleError(f"ray: a worker was lost {1 + RETRIES} times ({_first(error)}); see that memory suffices, or lower --workers")


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
