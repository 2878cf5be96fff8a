"""One sensor under supervision: measured, judged, and brought back when it goes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from bramble_client.hal.channels import quantity
from bramble_client.hal.corrections import Corrections
from bramble_client.hal.doubts import Doubts
from bramble_client.hal.drivers.base import Driver, Measurement, guarded, whole
from bramble_client.hal.errors import SensorError
from bramble_client.hal.outages import Outages
from bramble_client.hal.readings import Judge, Quality, Reading

ATTEMPTS = 3
"""How often one measurement is tried, with the chip initialised anew from the second time on."""
CONFIRMATIONS = 2
"""How many further measurements may be asked to confirm or refute a surprising one."""


class Sensor(Outages):
    """A driver that never raises: what cannot be read is a reading without a value, and the reason is logged once.

    A sensor that stops answering is tried again, initialised anew (a brown-out leaves power-on values behind), then left alone
    for a growing time. It comes back by itself.

    Parameters
    ----------
    driver
        The driver, not yet set up.
    name
        What readings and logs call it.
    simulated
        Whether a chip model stands behind it.
    offset, gain
        Corrections by channel: value * gain + offset.
    humidity_follows
        Whether relative humidity follows a corrected temperature, see ``Corrections``.
    """

    def __init__(
        self,
        driver: Driver,
        name: str | None = None,
        *,
        simulated: bool = False,
        offset: Mapping[str, float] | None = None,
        gain: Mapping[str, float] | None = None,
        humidity_follows: bool = True,
    ) -> None:
        self.driver = driver
        super().__init__(name or driver.name)
        self.simulated = simulated
        self.sequence = 0
        self.lost = 0
        """Measurements that could not be made."""
        self.absent: Callable[[str], bool] = lambda key: False
        """Says of a channel that there is nothing to measure: a simulated chip in a recording's gap measures, and nobody recorded what."""
        self.corrections = Corrections(gain or {}, offset or {}, humidity_follows)
        self.doubts = Doubts(self.name)
        """What of it is not believed now."""
        self._ready = False
        self._lock = threading.Lock()
        self.begin_anew()

    def read(self) -> list[Reading]:
        """Measure once, and return a reading for every channel of the sensor, whatever happens.

        Any thread may ask; one is served at a time.
        """
        with self._lock:
            return self._read()

    def begin_anew(self) -> None:
        """Forget what was measured before: it was another world."""
        with self._lock:
            self._judge = Judge(self.driver.channels, self.driver.frozen_after, self.corrections.ranges(self.driver))

    def _read(self) -> list[Reading]:
        clock = self.driver.clock
        self.sequence += 1
        if self.error is not None and clock.monotonic() < self._again_at:
            self.lost += 1
            return self._missing(clock.monotonic(), clock.utc(), self.driver.channels)
        try:
            measurement, confirmed = self._measure_and_confirm()
        except SensorError as error:
            self.lost += 1
            self._gone(error)
            return self._missing(clock.monotonic(), clock.utc(), self.driver.channels)
        self._back()
        return self._readings(measurement, confirmed)

    def _measure_and_confirm(self) -> tuple[Measurement, bool]:
        """Measure; where a channel changed a lot, or nothing is known yet, measure again until two in a row agree."""
        last = self._measure()
        for _ in range(CONFIRMATIONS):
            suspects = self._judge.suspects(last)
            if not suspects:
                return last, False
            following = self._measure()
            if all(self._judge.agree(last, following, key) for key in suspects):
                return following, True
            last = following
        return last, False

    def _measure(self) -> Measurement:
        attempt = 1
        while True:
            try:
                with guarded(self.driver):
                    if not self._ready:
                        self.driver.setup()
                        self._ready = True
                    measurement = self.corrections.apply(whole(self.driver, self.driver.read()))
                    return Measurement(measurement.at, {key: value for key, value in measurement.values.items() if not self.absent(key)})
            except SensorError as error:
                self._ready = False
                if not error.transient or attempt == ATTEMPTS:
                    raise
                attempt += 1

    def _readings(self, measurement: Measurement, confirmed: bool) -> list[Reading]:
        qualities = self._judge.judge(measurement, confirmed)
        self.doubts.report(qualities, self._judge.doubt)
        clock = self.driver.clock
        now, utc = clock.monotonic(), clock.utc()
        stamp = None if utc is None else utc - (now - measurement.at)
        found = Reading.of(self.name, measurement, qualities, stamp, self.sequence, self.simulated)
        return found + self._missing(measurement.at, stamp, [key for key in self.driver.channels if self.absent(key)])

    def _missing(self, at: float, utc: float | None, channels: Iterable[str]) -> list[Reading]:
        return [
            Reading(self.name, key, None, quantity(key).unit, at, utc, self.sequence, Quality.MISSING, self.simulated) for key in channels
        ]
