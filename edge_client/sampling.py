"""When the sensors are read: at a fixed rate, or when the server asks for a synchronised cycle."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from edge_client import mirror
from edge_client.outbox import Outbox
from edge_client.recorder import Recorder, Sample
from protocol.messages import Channel, GenerateData

log = logging.getLogger(__name__)


class Sensors(Protocol):
    """What a board offers, see :func:`edge_client.hal.open_board`."""

    channels: tuple[Channel, ...]
    simulated: bool

    def sample(self, t: float | None = None) -> dict[str, float | None]:
        """Read every sensor once."""


class Sampler:
    """Reads the sensors at a fixed rate on the monotonic clock, and stamps with the wall clock.

    A reading that comes late does not shift the ones after it, and those that were missed, while the machine was suspended
    for instance, are not made up for.

    Parameters
    ----------
    every
        Seconds from one sample to the next.
    keep
        Called with each sample.
    """

    def __init__(self, sensors: Sensors, every: float, keep: Callable[[Sample], None]) -> None:
        self._sensors = sensors
        self._every = every
        self._keep = keep
        self._stopping = threading.Event()
        self._failing = False
        self.turned = time.monotonic()
        """When the sensors were last dealt with, successfully or not, on the monotonic clock."""
        self.sampled: float | None = None
        """When they were last read successfully."""
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Begin to sample, at once."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        began = time.monotonic()
        tick = 0
        while not self._stopping.wait(max(0.0, began + tick * self._every - time.monotonic())):
            self._sample()
            self.turned = time.monotonic()
            tick = max(tick + 1, int((time.monotonic() - began) / self._every))

    def _sample(self) -> None:
        try:
            self._keep((time.time(), self._sensors.sample()))
        except Exception:
            if not self._failing:
                log.exception("sampling failed; trying again every %g s", self._every)
            self._failing = True
            return
        self.sampled = time.monotonic()
        if self._failing:
            log.warning("sampling works again")
        self._failing = False


class Cycles:
    """Takes the batches of readings that the server asks for, one cycle after the other, and mirrors them.

    Parameters
    ----------
    pause
        Seconds between two readings of a real sensor. Simulated ones are set to the world's time and need none.
    """

    def __init__(self, sensors: Sensors, recorder: Recorder, outbox: Outbox, pause: float = 1.0) -> None:
        self._sensors = sensors
        self._recorder = recorder
        self._outbox = outbox
        self._pause = 0.0 if sensors.simulated else pause
        self._asked: queue.SimpleQueue[tuple[GenerateData, int] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._resets = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cycles", daemon=True)

    def start(self) -> None:
        """Begin to take requests."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End; a cycle that is being taken is broken off."""
        self._stopping.set()
        self._asked.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def ask(self, request: GenerateData) -> None:
        """Take a cycle when those before it are done; does not block."""
        self._asked.put((request, self._resets))

    def forget(self, clear: Callable[[], None]) -> None:
        """Break off what is being taken, and run ``clear`` after the last reading of it was kept."""
        with self._lock:
            self._resets += 1
            clear()

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            request, resets = asked
            try:
                self._take(request, resets)
            except Exception:
                log.exception("cycle %d failed", request.cycle)

    def _take(self, request: GenerateData, resets: int) -> None:
        name = f"{request.cycle} from {request.t!r}"
        if self._recorder.get("cycle") == name:
            return
        length = max(1, mirror.PART // len(self._sensors.channels))
        part: list[Sample] = []
        for sample in self._samples(request):
            part.append(sample)
            if len(part) == length:
                if not self._keep(request.cycle, part, resets):
                    return
                part = []
        if not self._stopping.is_set() and self._keep(request.cycle, part, resets):
            self._recorder.set("cycle", name)
            log.info("cycle %d: took %d samples", request.cycle, request.count)

    def _samples(self, request: GenerateData) -> Iterator[Sample]:
        for index in range(request.count):
            if self._stopping.is_set():
                return
            if self._sensors.simulated:
                t = request.t + index * request.step
                yield t, self._sensors.sample(t)
            else:
                yield time.time(), self._sensors.sample()
                if index + 1 < request.count:
                    self._stopping.wait(self._pause)

    def _keep(self, cycle: int, part: list[Sample], resets: int) -> bool:
        """Store and mirror a part, unless a reset has come since the cycle was asked for."""
        with self._lock:
            if resets != self._resets:
                log.info("cycle %d: broken off by a reset", cycle)
                return False
            self._recorder.append_many(part)
            for message in mirror.parts(cycle, part, self._sensors.channels):
                self._outbox.put_readings(f"cycle {cycle} from {message.t[0]!r}", "data_update", message.to_wire())
            return True
