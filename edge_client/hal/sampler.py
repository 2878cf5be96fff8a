"""Fixed-rate sampling: each sensor in its own thread, on the monotonic clock, without drift."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_client.hal.clock import Clock, SystemClock
from edge_client.hal.readings import Reading

logger = logging.getLogger(__name__)

Sink = Callable[[list[Reading]], None]


class Source(Protocol):
    """What can be sampled: a sensor, or a stream."""

    @property
    def name(self) -> str:
        """What logs call it."""

    def read(self) -> list[Reading]:
        """Measure, and never raise."""


@dataclass
class Stats:
    """How sampling goes.

    Parameters
    ----------
    taken
        Samples that were taken.
    missed
        Deadlines that passed while the sensor, or the machine, was busy.
    latest
        Largest delay of a sample behind its deadline, seconds.
    """

    taken: int = 0
    missed: int = 0
    latest: float = 0.0


class Schedule:
    """Deadlines at a fixed distance from each other, counted from the first one: no error adds up.

    Parameters
    ----------
    start
        The first deadline.
    interval
        Seconds from each to the next.
    """

    def __init__(self, start: float, interval: float) -> None:
        if not interval > 0:
            raise ValueError(f"an interval must be positive, not {interval}")
        self._start, self._interval, self._next = start, interval, 0

    @property
    def due(self) -> float:
        """The next deadline."""
        return self._start + self._next * self._interval

    def take(self, now: float) -> int:
        """Note that a sample is taken now, and return how many deadlines had passed before the one that it is for."""
        slot = max(self._next, int((now - self._start) / self._interval))
        missed, self._next = slot - self._next, slot + 1
        return missed


class Sampler:
    """Takes samples until it is stopped.

    Each source has a thread of its own: one that waits for its conversion never delays another, and the bus is shared transfer by transfer.

    Parameters
    ----------
    sources
        Sensors or streams, each with its interval in seconds.
    sink
        Takes the readings; called from several threads, one call at a time.
    clock
        Decides what the time is.
    wait
        Waits some seconds and says whether to stop; for tests.
    """

    def __init__(
        self, sources: Sequence[tuple[Source, float]], sink: Sink, clock: Clock | None = None, wait: Callable[[float], bool] | None = None
    ) -> None:
        self._sources = list(sources)
        self._sink = sink
        self._clock = clock or SystemClock()
        self._stop = threading.Event()
        self._wait = wait or self._stop.wait
        self._turn = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.stats: dict[str, Stats] = {source.name: Stats() for source, _ in self._sources}

    def start(self) -> None:
        """Begin."""
        for source, interval in self._sources:
            thread = threading.Thread(target=self.run, args=(source, interval), name=f"sample {source.name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, timeout: float = 5.0) -> None:
        """End; a sample that is under way is finished first, if it does not take longer than the time-out."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout)

    def run(self, source: Source, interval: float) -> None:
        """Sample one source until told to stop."""
        schedule, stats = Schedule(self._clock.now(), interval), self.stats[source.name]
        while not self._wait(max(0.0, schedule.due - self._clock.now())):
            now = self._clock.now()
            stats.missed += schedule.take(now)
            stats.latest = max(stats.latest, now - (schedule.due - interval))
            readings = source.read()
            stats.taken += 1
            if readings:
                self._deliver(source, readings)

    def _deliver(self, source: Source, readings: list[Reading]) -> None:
        try:
            with self._turn:
                self._sink(readings)
        except Exception:
            # A full disk or a closed database must not end the sampling of this sensor, nor of the others
            logger.exception("readings of sensor %s were not taken", source.name)


class Dated:
    """A sink in front of another: holds readings back until the wall clock is known, then dates them after the fact.

    Parameters
    ----------
    append
        Takes a time (seconds since 1970-01-01 UTC) and good values by channel.
    clock
        The clock by which the readings were made.
    key
        Names the channel of a reading.
    hold
        How many undated readings to hold at most; the oldest make room.
    """

    def __init__(
        self,
        append: Callable[[float, dict[str, float | None]], None],
        clock: Clock,
        key: Callable[[Reading], str] = lambda reading: reading.channel,
        hold: int = 100_000,
    ) -> None:
        self._append, self._clock, self._key, self._hold = append, clock, key, hold
        self._undated: list[list[Reading]] = []

    def __call__(self, readings: list[Reading]) -> None:
        """Take readings of one source."""
        self._undated.append(readings)
        utc = self._clock.utc()
        if utc is None:
            del self._undated[: -self._hold]
            return
        shift = utc - self._clock.now()
        for batch in self._undated:
            self._store(batch, shift)
        self._undated.clear()

    def _store(self, batch: list[Reading], shift: float) -> None:
        rows: dict[float, dict[str, float | None]] = {}
        for reading in batch:
            stamp = reading.utc if reading.utc is not None else reading.monotonic + shift
            rows.setdefault(stamp, {})[self._key(reading)] = reading.value if reading.good else None
        for stamp, values in rows.items():
            self._append(stamp, values)
