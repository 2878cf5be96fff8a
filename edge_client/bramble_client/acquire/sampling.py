"""When the sensors are read: each at its own pace, or when the server asks for a synchronised cycle."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Protocol

from bramble_client.acquire import mirror
from bramble_client.acquire.recorder import Recorder, Sample
from bramble_client.deliver.outbox import Outbox
from bramble_client.hal import Board, Reading
from bramble_client.hal.sampler import AHEAD_S
from bramble_client.worker import Worker
from bramble_protocol.messages import Channel, GenerateData

log = logging.getLogger(__name__)

MIRROR_S = 60.0
"""Readings that sensors take at their own pace are mirrored together, this often."""


class Sensors(Protocol):
    """What a board offers, see :func:`bramble_client.hal.open_board`."""

    channels: tuple[Channel, ...]
    simulated: bool

    def sample(self, t: float | None = None) -> dict[str, float | None]:
        """Read every sensor once."""


class SelfPaced:
    """Samples every sensor at its own pace, keeps the readings, and mirrors them if it may.

    Parameters
    ----------
    recorder
        Takes each reading, with no value where there is reason to doubt it.
    outbox
        Takes what is mirrored to the server, or None to mirror nothing.
    """

    def __init__(self, board: Board, recorder: Recorder, outbox: Outbox | None) -> None:
        self._channels = board.channels
        self._recorder = recorder
        self._outbox = outbox
        self._dated = board.dated(self._keep, self._pull_back)
        self._sampler = board.sampler(self._take)
        self._lock = threading.Lock()
        self._unmirrored: list[Sample] = []
        self._mirrored_at = time.monotonic()
        self.sampled: float | None = None
        """When a good reading was taken last, on the monotonic clock."""

    @property
    def every(self) -> float:
        """The shortest interval of any sensor, in seconds."""
        return self._sampler.shortest

    @property
    def missed(self) -> int:
        """How many deadlines of all sensors passed while a sensor, or the machine, was busy."""
        return sum(stats.missed for stats in self._sampler.stats.values())

    def start(self) -> None:
        """Begin to sample, at once."""
        self._sampler.start()

    def stop(self, timeout: float) -> None:
        """End, and say how it went. What was not mirrored yet waits in the outbox."""
        self._sampler.stop(timeout)
        with self._lock:
            if self._outbox is not None:
                self._mirror(self._outbox)
        for name, stats in self._sampler.stats.items():
            log.info("sensor %s: %d samples, %d deadlines missed, at most %.3g s late", name, stats.taken, stats.missed, stats.latest)
        if self._dated.held:
            log.warning("%d readings are lost: this machine's clock was never synchronised", self._dated.held)

    def stuck(self, patience: float) -> str | None:
        """Return which sensor is not sampled any more, see :meth:`bramble_client.hal.sampler.Sampler.stuck`."""
        return self._sampler.stuck(patience)

    def forget(self, clear: Callable[[], None]) -> None:
        """Drop what is not dated or mirrored yet, and run ``clear`` while no reading is being kept."""
        with self._lock:
            self._dated.forget()
            self._unmirrored = []
            clear()

    def label(self, t: float, label: str) -> None:
        """Note what is being measured from a time on, by the wall clock as it is; once that is synchronised the label is dated anew."""
        with self._lock:
            self._dated.at(time.monotonic() - (time.time() - t), lambda dated: self._recorder.label(dated, label))

    def _pull_back(self, utc: float) -> None:
        """Drop what a clock that ran ahead has dated, beyond a good clock's time."""
        limit = utc + AHEAD_S
        try:
            samples = self._recorder.forget_from(limit)
            messages = 0 if self._outbox is None else self._outbox.forget_from(limit)
        except sqlite3.Error as error:
            log.error("what is dated in the future cannot be dropped (%s)", error)
            return
        if samples or messages:
            what = f"{samples} samples dated after {_utc(limit)}" + (f", and {messages} messages with such," if messages else "")
            log.warning("this machine's clock ran ahead: %s are dropped, and what is measured from now on is tested again", what)

    def _take(self, readings: list[Reading]) -> None:
        with self._lock:
            if any(reading.good for reading in readings):
                self.sampled = time.monotonic()
            self._dated(readings)

    def _keep(self, t: float, values: dict[str, float | None]) -> None:
        self._recorder.append(t, values)
        if self._outbox is None:
            return
        self._unmirrored.append((t, values))
        if time.monotonic() - self._mirrored_at >= MIRROR_S or len(self._unmirrored) * len(self._channels) >= mirror.PART:
            self._mirror(self._outbox)

    def _mirror(self, outbox: Outbox) -> None:
        """Send each sensor's readings by themselves: the others were read at other times, and did not fail."""
        groups: dict[frozenset[str], list[Sample]] = {}
        for sample in self._unmirrored:
            groups.setdefault(frozenset(sample[1]), []).append(sample)
        self._unmirrored = []
        self._mirrored_at = time.monotonic()
        for keys, samples in groups.items():
            channels = [channel for channel in self._channels if channel.key in keys]
            for message in mirror.parts(None, samples, channels):
                outbox.put_readings(f"{channels[0].key} sampled from {message.t[0]!r}", "data_update", message.to_wire())


class Cycles(Worker):
    """Takes the batches of readings that the server asks for, one cycle after the other, and mirrors them.

    Parameters
    ----------
    pause
        Seconds between two readings of a real sensor. Simulated ones are set to the world's time and need none.
    utc
        Dates readings of real sensors; None until the wall clock is known, for which a cycle waits.
    """

    def __init__(
        self, sensors: Sensors, recorder: Recorder, outbox: Outbox, pause: float = 1.0, utc: Callable[[], float | None] = time.time
    ) -> None:
        super().__init__("cycles")
        self._utc = utc
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

    def settle(self, timeout: float) -> bool:
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
        length = max(1, mirror.PART // len(self._sensors.channels))
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
            log.info("the server's world is at %s: %d samples from there on, of an earlier one, are forgotten", _utc(t), forgotten)

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
                now, values = self._utc(), self._sensors.sample()
                if now is None:  # asked to stop
                    return
                yield now, values
                if index + 1 < request.count:
                    self._stopping.wait(self._pause)

    def _await_clock(self, cycle: int) -> None:
        if self._utc() is None:
            log.warning("cycle %d waits until this machine's clock is synchronised; see `timedatectl` if that lasts", cycle)
        while self._utc() is None and not self._stopping.wait(self._pause):
            pass

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


def _utc(t: float) -> str:
    return datetime.fromtimestamp(t, UTC).isoformat(sep=" ", timespec="minutes").removesuffix("+00:00")
