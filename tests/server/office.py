"""The coordinator between a real database, a transport that notes what is said, and a clock that a test sets."""

from __future__ import annotations

import contextlib
import functools
import itertools
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from bramble_protocol.messages import (
    Channel,
    ClientUpdate,
    Column,
    DataUpdate,
    Delivery,
    Evaluate,
    GenerateData,
    Handshake,
    Timing,
    TrainingComplete,
)
from bramble_server import foundation
from bramble_server.fleet.registry import Registry
from bramble_server.metrics import Metrics
from bramble_server.rounds.archive import Archive
from bramble_server.rounds.coordinator import Coordinator
from bramble_server.rounds.machine import Failed, Machine
from bramble_server.settings import ServerSettings
from bramble_server.store import Store, models, rounds
from tests.server.database import migrated
from tests.server.process import LAYOUT, write_graph

T = TypeVar("T")
CHANNELS = (Channel("temperature", "°C"), Channel("humidity", "%"))


class Threads:
    """A server's loop of the standard library's threads: nobody knows which one he runs on."""

    def queue(self) -> Any:
        return queue.Queue()

    def event(self) -> Any:
        return threading.Event()

    def spawn(self, work: Callable[[], None]) -> Any:
        def until_it_dies() -> None:
            with contextlib.suppress(SystemExit):
                work()

        thread = threading.Thread(target=until_it_dies, daemon=True)
        thread.start()
        return thread

    def offload(self, work: Callable[..., T], *arguments: Any) -> T:
        return work(*arguments)

    def hand_over(self, work: Callable[..., Any], *arguments: Any) -> None:
        work(*arguments)

    def rest(self) -> None:
        pass


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.past = 0.0
        """Seconds by which somebody turned the machine's clock back."""

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000.0 + self.now - self.past


class Transport:
    """Notes what clients are told; ``broken`` names what fails."""

    def __init__(self, registry: Registry) -> None:
        self._registry, self.broken = registry, ""
        self.said: list[tuple[str, list[str]]] = []
        self.asked: dict[str, ClientUpdate] = {}
        self.tried: Evaluate | None = None
        """What clients were last asked to try."""

    def ask(self, clients: Iterable[str], update: ClientUpdate) -> None:
        clients = list(clients)
        self.asked |= dict.fromkeys(clients, update)
        self._say(f"ask {update.round}", clients)

    def over(self, clients: Iterable[str], number: int) -> None:
        self._say(f"over {number}", clients)

    def evaluate(self, clients: Iterable[str], asked: Evaluate) -> None:
        self.tried = asked
        self._say(f"evaluate {asked.evaluation}", clients)

    def generate(self, message: GenerateData) -> None:
        self._say("generate", self._registry.connected())

    def reset(self, clients: Iterable[str] | None = None, task: str | None = None) -> int:
        told = list(self._registry.connected() if clients is None else clients)
        self._say("reset" if task is None else f"reset {task}", told)
        return len(told)

    def _say(self, what: str, clients: Iterable[str]) -> None:
        if self.broken and what.startswith(self.broken):
            raise OSError("the transport is broken")
        self.said.append((what, sorted(clients)))


def answered(complete: TrainingComplete, asked: ClientUpdate) -> TrainingComplete:
    """An answer with what was asked for beside the weights, after one step."""
    control, config = asked.extras.control, asked.config
    if control is None:
        return replace(complete, steps=1)
    delta = (control.rate or 1 / config.learning_rate) * (asked.weights - complete.weights) - (
        0 if control.common is None else control.common
    )
    return replace(complete, steps=1, since=control.since, sections={"control_delta": delta.astype(np.float32)})


class Office:
    """What a test has in hand."""

    def __init__(
        self, folder: Path, downlink: Callable[[Registry], Any] = Transport, clock: Clock | None = None, database: Path | str | None = None,
        machine: Machine[Any] | None = None, **settings: Any,
    ) -> None:  # fmt: skip
        self.clock = clock or Clock()
        self._sessions: dict[str, str] = {}
        self._numbers = itertools.count()
        settings = {"task": [str(write_graph(folder))], **settings}
        self.settings = ServerSettings(data_dir=folder, **{"min_clients": 1, "deadline": 60.0, **settings})
        tracks = foundation.read(self.settings)
        if machine:
            tracks = tuple(track._replace(machine=machine) for track in tracks)
        self.store = Store(database or migrated(folder))
        # Its clients are of version 1: what the first task's strategy needs of them, those who test strategies leave aside.
        needs = {track.task: track.needs for track in tracks}
        first = tracks[0].task
        self.registry = Registry({**needs, first: needs[first]._replace(features=())}, self.clock)
        self.transport = downlink(self.registry)
        self.metrics = Metrics({track.task: track.graph.manifest.metric for track in tracks}, self.registry)
        self.archive = Archive(folder)
        self.coordinator = Coordinator(
            self.settings, tracks, self.store, self.registry, self.transport, Threads(), self.metrics, self.archive, self.clock
        )
        self.coordinator.start()
        self._full = False
        event.listen(self.store._writer, "commit", self._commit)

    def close(self) -> None:
        self.full(False)
        self.coordinator.stop()
        self.shut()

    def _done(self, done: threading.Event, _: object) -> None:
        done.set()

    def die(self) -> None:
        """End as a killed server does: nothing is written or said any more."""
        self.drain()
        writer = self.coordinator._writer
        writer.post(lambda _: setattr(writer, "_stopping", True))
        writer._task.join()
        self.shut()

    def shut(self) -> None:
        self.archive.close()
        self.store.close()

    def full(self, full: bool = True) -> None:
        """Have the disk be full at every commit from here on, or not."""
        self._full = full

    def _commit(self, connection: Any) -> None:
        if self._full:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorname = "SQLITE_FULL"
            raise OperationalError("COMMIT", {}, error)

    def join(self, *clients: str, features: tuple[str, ...] = ()) -> None:
        for client in clients:
            self._sessions[client] = f"{client} {next(self._numbers)}"
            hello = Handshake(2 if features else 1, client, channels=CHANNELS, features=features)
            self.registry.join(hello, self._sessions[client], "127.0.0.1")
            self.coordinator.joined(client)
        self.drain()

    def leave(self, client: str) -> None:
        self.registry.leave(self._sessions[client])
        self.coordinator.left(client)
        self.drain()

    def drain(self) -> None:
        """Return once all that was asked for is done, and what was due by the clock before, or the server has died of it."""
        for _ in range(2):
            done = threading.Event()
            self.coordinator._writer.post(functools.partial(self._done, done))
            while not done.wait(0.01) and self.coordinator._writer._task.is_alive():
                pass

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.drain()

    def deliver(self, client: str, number: int, value: float = 1.0) -> None:
        weights = np.full(LAYOUT.size, value, np.float32)
        complete = TrainingComplete(number, LAYOUT, "float32", weights, 10, {}, Timing(1.0, 2.0, 3.0))
        asked = getattr(self.transport, "asked", {}).get(client)
        wire = complete.to_wire()
        if asked and asked.round == number and asked.extras.features:
            wire = answered(complete, asked).to_wire(replace(asked, model=asked.digest))
        self._unless_it_dies(functools.partial(self.coordinator.deliver, client, Delivery.from_wire(wire, LAYOUT)))
        self.drain()  # an acknowledgement may come before what it sets off is done

    def _unless_it_dies(self, work: Callable[[], Any]) -> None:
        """Do something and wait for its end, which does not come where the server dies of it."""
        done, failures = threading.Event(), list[Exception]()

        def attempt() -> None:
            try:
                work()
            except Exception as error:
                failures.append(error)
            done.set()

        threading.Thread(target=attempt, daemon=True).start()
        while not done.wait(0.01) and self.coordinator._writer._task.is_alive():
            pass
        if failures:
            raise failures[0]

    def refuse(self, client: str, number: int) -> None:
        self.coordinator.say(Failed(client, number, "busy"))
        self.drain()

    def readings(self, client: str, cycle: int, count: int) -> int:
        times = tuple(float(n) for n in range(count))
        return self.coordinator.mirror(client, DataUpdate(cycle, times, {"temperature": Column("°C", times)}))

    def record(self, number: int) -> dict[str, Any]:
        with self.store.reading() as connection:
            found = rounds.one(connection, number)
        assert found, f"there is no record of round {number}"
        return found

    def stored(self) -> tuple[int, list[float]] | None:
        """Number and weights of the newest model on the disk."""
        with self.store.reading() as connection:
            newest = models.latest(connection, "small")
        return (newest[0], newest[1].tolist()) if newest else None

    def committed(self, *clients: str, value: float = 1.0) -> int:
        """Run a round to its commit."""
        number = self.coordinator.start_round().round
        for client in clients:
            self.deliver(client, number, value)
        assert self.record(number)["state"] == "committed"
        return number
