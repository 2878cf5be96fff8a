"""When the sensors are read by themselves: each at its own pace, its readings kept and now and then mirrored."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable

from bramble_client.acquire import data_updates
from bramble_client.acquire.recorder import Recorder, Sample, to_the_minute
from bramble_client.deliver.outbox import Outbox
from bramble_client.hal import Board, Reading
from bramble_client.hal.sampler import AHEAD_S
from bramble_protocol.clock import Clock

log = logging.getLogger(__name__)

MIRROR_S = 60.0
"""Readings that sensors take at their own pace are mirrored together, this often."""


class SelfPaced:
    """Samples every sensor at its own pace, keeps the readings, and mirrors them if it may.

    Parameters
    ----------
    recorder
        Takes each reading, with no value where there is reason to doubt it.
    outbox
        Takes what is mirrored to the server, or None to mirror nothing.
    clock
        That of the board's readings.
    """

    def __init__(self, board: Board, recorder: Recorder, outbox: Outbox | None, clock: Clock = time) -> None:
        self._channels = board.channels
        self._recorder = recorder
        self._outbox = outbox
        self._clock = clock
        self._dated = board.dated(self._keep, self._pull_back)
        self._sampler = board.sampler(self._take)
        self._lock = threading.Lock()
        self._unmirrored: list[Sample] = []
        self._mirrored_at = self._clock.monotonic()
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
            self._dated.at(self._clock.monotonic() - (self._clock.time() - t), lambda dated: self._recorder.label(dated, label))

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
            what = f"{samples} samples dated after {to_the_minute(limit)}" + (f", and {messages} messages with such," if messages else "")
            log.warning("this machine's clock ran ahead: %s are dropped, and what is measured from now on is tested again", what)

    def _take(self, readings: list[Reading]) -> None:
        with self._lock:
            if any(reading.good for reading in readings):
                self.sampled = self._clock.monotonic()
            self._dated(readings)

    def _keep(self, t: float, values: dict[str, float | None]) -> None:
        self._recorder.append(t, values)
        if self._outbox is None:
            return
        self._unmirrored.append((t, values))
        if self._clock.monotonic() - self._mirrored_at >= MIRROR_S or len(self._unmirrored) * len(self._channels) >= data_updates.PART:
            self._mirror(self._outbox)

    def _mirror(self, outbox: Outbox) -> None:
        """Send each sensor's readings by themselves: the others were read at other times, and did not fail."""
        groups: dict[frozenset[str], list[Sample]] = {}
        for sample in self._unmirrored:
            groups.setdefault(frozenset(sample[1]), []).append(sample)
        self._unmirrored = []
        self._mirrored_at = self._clock.monotonic()
        for keys, samples in groups.items():
            channels = [channel for channel in self._channels if channel.key in keys]
            for message in data_updates.parts(None, samples, channels):
                outbox.put_readings(f"{channels[0].key} sampled from {message.t[0]!r}", "data_update", message.to_wire())
