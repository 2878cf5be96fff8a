"""When the server asks for synchronised readings: one cycle after the other, all sensors at once."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from bramble_client.acquire import data_updates
from bramble_client.acquire.recorder import Recorder, Sample, to_the_minute
from bramble_client.deliver.outbox import Outbox
from bramble_client.worker import Worker
from bramble_protocol.messages import Channel, GenerateData

log = logging.getLogger(__name__)


class Sensors(Protocol):
    """What a board offers, see :func:`bramble_client.hal.open_board`."""

    channels: tuple[Channel, ...]
    simulated: bool

    def sample(self, t: float | None = None) -> dict[str, float | None]:
        """Read every sensor once."""

    def utc(self) -> float | None:
        """Date readings of real sensors; None until the wall clock is known, for which a cycle waits."""


class Cycles(Worker):
    """Takes the batches of readings that the server asks for, one cycle after the other, and mirrors them.

    Parameters
    ----------
    pause
        Seconds between two readings of a real sensor. Simulated ones are set to the world's time and need none.
    """

    def __init__(self, sensors: Sensors, recorder: Recorder, outbox: Outbox, pause: float = 1.0) -> None:
        super().__init__("cycles")
        self._sensors = sensors
        self._recorder = recorder
        self._outbox = outbox
        self._pause = 0.0 if sensors.simulated else pause
        self._asked: queue.SimpleQueue[tuple[GenerateData, int] | None] = queue.SimpleQueue()
        self._open = 0
        self._done = threading.Condition()
        self._lock = threading.Lock()
        self._resets = 0

    def wake(self) -> None:
        """Look whether it is time to end."""
        self._asked.put(None)
        with self._done:
            self._done.notify_all()

    def ask(self, request: GenerateData) -> None:
        """Take a cycle when those before it are done; does not block."""
        with self._done:
            self._open += 1
        self._asked.put((request, self._resets))

    def wait(self, timeout: float) -> bool:
        """Wait until every cycle that was asked for is taken; return whether it was, within so many seconds."""
        with self._done:
            return self._done.wait_for(lambda: self._open == 0 or self._stopping.is_set(), timeout)

    def forget(self, clear: Callable[[], None]) -> None:
        """Break off what is being taken, and run ``clear`` after the last reading of it was kept."""
        with self._lock:
            self._resets += 1
            clear()

    def run(self) -> None:
        """Take one cycle after the other until told to stop, which breaks off the one that is being taken."""
        while not self._stopping.is_set():
            if (asked := self._asked.get()) is None:
                continue
            request, resets = asked
            try:
                self._take(request, resets)
            except Exception:
                log.exception("cycle %d failed", request.cycle)
            finally:
                with self._done:
                    self._open -= 1
                    self._done.notify_all()

    def _take(self, request: GenerateData, resets: int) -> None:
        if self._sensors.simulated:
            self._begin_at(request.t)
        length = max(1, data_updates.PART // len(self._sensors.channels))
        part: list[Sample] = []
        for sample in self._samples(request):
            part.append(sample)
            if len(part) == length:
                if not self._keep(request.cycle, part, resets):
                    return
                part = []
        if not self._stopping.is_set() and self._keep(request.cycle, part, resets):
            log.info("cycle %d: took %d samples", request.cycle, request.count)

    def _begin_at(self, t: float) -> None:
        """Forget what is ahead of the simulated world's clock: it was measured in another server's world, or for this very cycle."""
        try:
            forgotten = self._recorder.forget_from(t)
        except sqlite3.Error as error:
            log.error("samples of an earlier world cannot be forgotten (%s); the cycle is taken all the same", error)
            return
        if forgotten:
            log.info("the server's world is at %s: %d samples from there on, of an earlier one, are forgotten", to_the_minute(t), forgotten)

    def _samples(self, request: GenerateData) -> Iterator[Sample]:
        for index in range(request.count):
            if self._stopping.is_set():
                return
            if self._sensors.simulated:
                t = request.t + index * request.step
                yield t, self._sensors.sample(t)
            else:
                if index == 0:
                    self._await_clock(request.cycle)
                now, values = self._sensors.utc(), self._sensors.sample()
                if now is None:  # asked to stop
                    return
                yield now, values
                if index + 1 < request.count:
                    self._stopping.wait(self._pause)

    def _await_clock(self, cycle: int) -> None:
        if self._sensors.utc() is None:
            log.warning("cycle %d waits until this machine's clock is synchronised; see `timedatectl` if that lasts", cycle)
        while self._sensors.utc() is None and not self._stopping.wait(self._pause):
            pass

    def _keep(self, cycle: int, part: list[Sample], resets: int) -> bool:
        """Store and mirror a part, unless a reset has come since the cycle was asked for."""
        with self._lock:
            if resets != self._resets:
                log.info("cycle %d: broken off by a reset", cycle)
                return False
            self._recorder.append_many(part)
            for message in data_updates.parts(cycle, part, self._sensors.channels):
                self._outbox.put_readings(f"cycle {cycle} from {message.t[0]!r}", "data_update", message.to_wire())
            return True
