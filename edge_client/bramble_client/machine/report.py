"""Reports on the client itself and on its machine: on connecting, and every half minute, or quarter of an hour where bytes are short."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bramble_client.deliver.link import Link, LinkDown, NoAnswer
from bramble_client.machine import disk
from bramble_client.machine import health as machine
from bramble_client.machine.budgets import Left, Rest
from bramble_client.worker import Worker
from bramble_protocol.clock import Clock
from bramble_protocol.health import EVENT, INTERVAL, MOST_SENSORS, SPARING, Health

log = logging.getLogger(__name__)

ACK_S = 10.0
"""Seconds to wait for the server's answer; a report that is lost is not repeated, the next one says more."""

SOON_S = 2.0
"""Seconds until the next report while there is no sample yet: whoever deploys a release waits for the first one."""


Used = tuple[Mapping[str, str], Mapping[str, float]]
"""As ``in_use`` and ``drifted`` of a report."""


class Sampling(Protocol):
    """What there is to say of sensors that are read at a pace of their own."""

    @property
    def every(self) -> float:
        """The shortest interval of any sensor, in seconds."""

    @property
    def missed(self) -> int:
        """Deadlines that were missed."""

    @property
    def sampled(self) -> float | None:
        """When a good reading was taken last, on the monotonic clock."""


class Reporter(Worker):
    """Sends reports while the link is up.

    Parameters
    ----------
    folder
        Where the client keeps its data; its disk is the one reported on.
    sampling
        How sampling goes, or None if only the server asks for samples.
    gone, doubted
        Return the names of the sensors that do not answer, and of those that answer what is not believed.
    trouble
        Returns why the disk takes nothing, in the words of ``disk``, or None while it does.
    doubtful
        Returns how many training windows cannot be true, or None if that is not known.
    slow
        Returns whether it trains slowly.
    rest
        Returns why it does not train for the time being, or None.
    left
        Returns what is left of the owner's budgets.
    alarms
        Returns how many windows were alarms since it began, or None if nothing can be one.
    used
        Returns what it goes by, of each task, and since when the error of some has risen.
    first_training
        Returns when it will have readings enough to train, or None.
    clock
        Dates reports, and says how old the newest sample is.
    """

    def __init__(
        self,
        link: Link,
        folder: Path,
        sampling: Sampling | None,
        gone: Callable[[], Sequence[str]],
        trouble: Callable[[], str | None] = lambda: None,
        doubted: Callable[[], Sequence[str]] = lambda: (),
        doubtful: Callable[[], int | None] = lambda: None,
        slow: Callable[[], bool] = lambda: False,
        rest: Callable[[], Rest | None] = lambda: None,
        left: Callable[[], Left] = Left,
        alarms: Callable[[], int | None] = lambda: None,
        used: Callable[[], Used] = lambda: ({}, {}),
        first_training: Callable[[], float | None] = lambda: None,
        clock: Clock = time,
    ) -> None:
        super().__init__("reporter")
        self._link = link
        self._folder = folder
        self._sampling = sampling
        self._gone, self._doubted = gone, doubted
        self._trouble = trouble
        self._doubtful, self._slow = doubtful, slow
        self._rest, self._left, self._alarms, self._used, self._clock = rest, left, alarms, used, clock
        self._first_training = first_training
        self._due = threading.Event()

    def wake(self) -> None:
        """Report now: the link has come up."""
        self._due.set()

    def read(self) -> Health:
        """Return how things are."""
        sampling, found = self._sampling, machine.read(self._folder)
        sampled = None if sampling is None else sampling.sampled
        rest, left, (in_use, drifted) = self._rest(), self._left(), self._used()
        throttled = found.get("health_throttled")
        return Health(
            sent=self._clock.time(),
            sample_age=None if sampled is None else self._clock.monotonic() - sampled,
            sample_every=None if sampling is None else sampling.every,
            samples_missed=None if sampling is None else sampling.missed,
            sensors_gone=tuple(self._gone()[:MOST_SENSORS]),
            sensors_doubted=tuple(self._doubted()[:MOST_SENSORS]),
            windows_doubtful=self._doubtful(),
            soc_temperature=found.get("health_cpu_temperature"),
            throttled=None if throttled is None else int(throttled),
            memory_free=found.get("health_memory_available"),
            disk_free=found.get("health_disk_free"),
            disk=self._trouble() or disk.state(self._folder) or "ok",
            slow=self._slow(),
            not_now=None if rest is None else rest.why,
            not_before=None if rest is None else rest.until,
            alarms=self._alarms(),
            in_use=in_use,
            drifted=drifted,
            first_training=self._first_training(),
            bytes_left=left.bytes,
            hours_until=left.until,
        )

    def run(self) -> None:
        """Report until told to stop."""
        failing, pause = False, INTERVAL
        while not self._stopping.is_set():
            self._due.wait(pause)
            self._due.clear()
            if self._stopping.is_set() or not self._link.up:
                continue
            health = self.read()
            pause = SOON_S if health.sample_every is not None and health.sample_age is None else INTERVAL
            if health.not_now == "bytes":
                pause = SPARING
            if health.not_before is not None:  # whoever is asked at the first moment of its hours must have said that it may be
                pause = min(pause, max(SOON_S, health.not_before - health.sent))
            try:
                answer = self._link.call(EVENT, health.to_wire(self._link.protocol), ACK_S)
            except (LinkDown, NoAnswer):
                continue
            refused = not (isinstance(answer, dict) and answer.get("accepted") is True)
            if refused and not failing:
                log.warning("the server does not take this client's health report: %s", answer)
            failing = refused
