"""A sensor whose chip queues its conversions, under supervision: the counterpart of ``Sensor`` for bursts."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bramble_client.hal.corrections import Corrections
from bramble_client.hal.doubts import Doubts
from bramble_client.hal.drivers.base import Measurement, Streaming, guarded, whole
from bramble_client.hal.errors import NotReady, Overrun, SensorError
from bramble_client.hal.outages import Outages
from bramble_client.hal.readings import Judge, Reading

logger = logging.getLogger(__name__)

SILENT_S, SILENT_PERIODS = 1.0, 10.0
"""After how long without a conversion a queue that still answers is given up: so many seconds, and as long as so many conversions take."""


class Stream(Outages):
    """A queue that is drained without ever raising; each call returns every conversion that was made since the last.

    Parameters
    ----------
    driver
        The driver, not yet started.
    hertz
        Rate of the conversions.
    name
        What readings and logs call it.
    simulated
        Whether a chip model stands behind it.
    corrections
        What is done to what the chip says.
    absent
        Says of a channel that there is nothing to measure, see ``Sensor``.
    """

    def __init__(
        self,
        driver: Streaming,
        hertz: float,
        name: str | None = None,
        *,
        simulated: bool = False,
        corrections: Corrections | None = None,
        absent: Callable[[str], bool] = lambda key: False,
    ) -> None:
        self.driver: Streaming = driver
        self.hertz = hertz
        super().__init__(name or driver.name)
        self.simulated = simulated
        self._corrections = corrections or Corrections()
        self.doubts = Doubts(self.name)
        """What of it is not believed now."""
        self._absent = absent
        self.sequence = 0
        self.lost = 0
        """Conversions that are missing since the first start, judged by the time that passed."""
        self._judge = Judge(driver.channels, driver.frozen_after, self._corrections.ranges(driver))
        self._running = False
        self._late = False
        self._since: float | None = None
        """From when on conversions are counted; None before the first start."""
        self._made = 0
        self._latest = 0.0

    def read(self) -> list[Reading]:
        """Fetch what is in the queue; start it, or start it anew, where that is needed."""
        now = self.driver.clock.monotonic()
        if self.error is not None and now < self._again_at:
            return []
        try:
            with guarded(self.driver):
                if not self._running:
                    self._start()
                    return []
                measurements = [self._corrections.apply(whole(self.driver, measurement)) for measurement in self.driver.drain()]
        except Overrun as error:
            self._account()
            self._latest = now
            if not self._late:
                logger.warning("sensor %s: %s", self.name, error)
            self._late = True
            return []
        except SensorError as error:
            self._gone(error)
            return []
        if measurements:
            self._latest = now
        elif now - self._latest > max(SILENT_S, SILENT_PERIODS / self.hertz):
            self._gone(NotReady(f"{self.driver} has not measured for {now - self._latest:.1f} s; take its power away for a moment"))
            return []
        self._made += len(measurements)
        if measurements and self._late:
            logger.warning("sensor %s keeps up again; %d conversions were lost so far", self.name, self.lost)
            self._late = False
        if measurements:
            self._back()
        utc = self.driver.clock.utc()
        shift = None if utc is None else utc - self.driver.clock.monotonic()
        readings: list[Reading] = []
        for measurement in measurements:
            self.sequence += 1
            present = Measurement(measurement.at, {key: value for key, value in measurement.values.items() if not self._absent(key)})
            qualities = self._judge.judge(present, confirmed=self._judge.blank)
            stamp = None if shift is None else measurement.at + shift
            readings += Reading.of(self.name, present, qualities, stamp, self.sequence, self.simulated)
        if readings:
            # One conversion at a limit is a knock; a channel of which a whole queue is doubtful is worth a line
            best = {reading.channel: reading.quality for reading in sorted(readings, key=lambda reading: reading.good)}
            self.doubts.report(best, self._judge.doubt)
        return readings

    def _start(self) -> None:
        self.driver.start(self.hertz)
        self._running = True
        if self._since is None:
            self._since = self.driver.clock.monotonic()
        self._account()
        self._latest = self._since

    def _account(self) -> None:
        """Count what should have come and did not, absences included, and count from now on."""
        now = self.driver.clock.monotonic()
        if self._since is not None:
            self.lost += max(0, round((now - self._since) * self.hertz) - self._made)
            self._since, self._made = now, 0

    def _gone(self, error: SensorError) -> None:
        self._account()
        self._running = False
        super()._gone(error)
