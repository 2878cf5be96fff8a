"""Fixed-rate sampling: each sensor in its own thread, on the monotonic clock, without drift."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bramble_client.hal.clock import Clock, SystemClock
from bramble_client.hal.readings import Reading
from bramble_client.worker import Worker

logger = logging.getLogger(__name__)

AHEAD_S = 60.0
"""How far a clock may be set back, in seconds, before what it dated is looked at again; an NTP client corrects less than that."""

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


class Deadlines:
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


class SourceSampler(Worker):
    """Samples one source in a thread of its own: see :class:`Sampler`, whose parameters these are."""

    def __init__(self, source: Source, interval: float, sink: Sink, clock: Clock, wait: Callable[[float], bool] | None) -> None:
        super().__init__(f"sample {source.name}")
        self.source, self.interval, self.stats = source, interval, Stats()
        self._sink, self._clock, self._wait = sink, clock, wait or self._stopping.wait
        self._turned = clock.monotonic()
        self._failing = False

    def stuck(self, patience: float) -> bool:
        """Whether nobody samples the source any more, or three intervals and so many seconds have passed since."""
        return not self.alive or self._clock.monotonic() - self._turned > 3 * self.interval + patience

    def start(self) -> None:
        """Begin; returns at once."""
        self._turned = self._clock.monotonic()
        super().start()

    def run(self) -> None:
        """Sample until told to stop."""
        deadlines, stats = Deadlines(self._clock.monotonic(), self.interval), self.stats
        while not self._wait(max(0.0, deadlines.due - self._clock.monotonic())):
            now = self._clock.monotonic()
            stats.missed += deadlines.take(now)
            stats.latest = max(stats.latest, now - (deadlines.due - self.interval))
            self._sample()
            stats.taken += 1
            self._turned = self._clock.monotonic()

    def _sample(self) -> None:
        try:
            readings = self.source.read()
            if readings:
                self._sink(readings)
        except Exception:
            # A driver's mistake or a closed database must not end the sampling of this sensor, nor of the others
            if not self._failing:
                logger.exception("sampling sensor %s failed; trying again at its pace", self.source.name)
            self._failing = True
            return
        if self._failing:
            logger.warning("sampling sensor %s works again", self.source.name)
        self._failing = False


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
        self._sink, self._turn = sink, threading.Lock()
        self._clock = clock = clock or SystemClock()
        self.parts = [SourceSampler(source, interval, self._take, clock, wait) for source, interval in sources]
        """One for each source, in their order."""
        self.stats: dict[str, Stats] = {part.source.name: part.stats for part in self.parts}

    def _take(self, readings: list[Reading]) -> None:
        with self._turn:
            self._sink(readings)

    @property
    def shortest(self) -> float:
        """The shortest interval of any source, in seconds."""
        return min(part.interval for part in self.parts)

    def start(self) -> None:
        """Begin."""
        for part in self.parts:
            part.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End within so many seconds; samples that are under way are finished first, if they do not take longer."""
        deadline = self._clock.monotonic() + timeout
        for part in self.parts:  # all are told before any is waited for
            part.stop(0)
        for part in self.parts:
            part.stop(max(0.0, deadline - self._clock.monotonic()))

    def stuck(self, patience: float) -> str | None:
        """Return the name of a source that nobody samples any more, or None.

        Parameters
        ----------
        patience
            Seconds beyond three intervals after which a source that does not come back is given up; a bus with time-outs is slow, not dead.
        """
        return next((part.source.name for part in self.parts if part.stuck(patience)), None)


class Dated:
    """A sink in front of another: holds readings back until the wall clock is known, then dates them after the fact.

    Parameters
    ----------
    append
        Takes a time (seconds since 1970-01-01 UTC) and good values by channel.
    clock
        The clock by which the readings were made.
    key
        Names the channel of a reading; one without a name is left out.
    hold
        How many undated readings to hold at most; the oldest make room.
    known
        Called with the wall clock's time when it becomes known, and when it was set back: what is dated later was dated wrongly.
    """

    def __init__(
        self,
        append: Callable[[float, dict[str, float | None]], None],
        clock: Clock,
        key: Callable[[Reading], str | None] = lambda reading: reading.channel,
        hold: int = 100_000,
        known: Callable[[float], None] = lambda utc: None,
    ) -> None:
        self._append, self._clock, self._key, self._hold, self._known = append, clock, key, hold, known
        self._undated: deque[list[Reading]] = deque()
        self._moments: deque[tuple[float, Callable[[float], None]]] = deque(maxlen=1000)
        self._shift: float | None = None
        self._waiting = False
        self.held = 0
        """How many readings wait for a date."""

    def __call__(self, readings: list[Reading]) -> None:
        """Take readings of one source."""
        self._undated.append(readings)
        self.held += len(readings)
        while self.held > self._hold and len(self._undated) > 1:
            self._drop()
        self._date()

    def at(self, monotonic: float, note: Callable[[float], None]) -> None:
        """Have something noted that happened at a moment of the readings' clock: ``note`` is called with its date, once that is known."""
        self._moments.append((monotonic, note))
        self._date()

    def _date(self) -> None:
        utc = self._clock.utc()
        if utc is None:
            if not self._waiting:
                logger.warning("this machine's clock is not synchronised, so readings wait in memory; see `timedatectl` if that lasts")
            self._waiting = True
            return
        if self._waiting:
            logger.info("the clock is synchronised: %d readings that waited for it are dated", self.held)
            self._waiting = False
        shift = utc - self._clock.monotonic()
        if self._shift is None or shift < self._shift - AHEAD_S:
            self._known(utc)
        self._shift = shift
        while self._undated:
            self._store(self._undated[0], shift)
            self._drop()
        while self._moments:
            monotonic, note = self._moments.popleft()
            note(monotonic + shift)

    def forget(self) -> None:
        """Drop readings that wait for a date."""
        self._undated.clear()
        self._moments.clear()
        self.held = 0

    def _drop(self) -> None:
        self.held -= len(self._undated.popleft())

    def _store(self, batch: list[Reading], shift: float) -> None:
        rows: dict[float, dict[str, float | None]] = {}
        for reading in batch:
            key = self._key(reading)
            if key is not None:
                stamp = reading.utc if reading.utc is not None else reading.monotonic + shift
                rows.setdefault(stamp, {})[key] = reading.value if reading.good else None
        for stamp, values in rows.items():
            self._append(stamp, values)
