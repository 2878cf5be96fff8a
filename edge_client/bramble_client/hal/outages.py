"""When a sensor is gone, when it is tried again, and when it is back: the same for one that is asked and one that queues."""

from __future__ import annotations

import logging
import random

from bramble_client.hal.drivers.base import Driver
from bramble_client.hal.errors import DriverFailure, SensorError
from bramble_client.hal.readings import Judge

logger = logging.getLogger(__name__)

BACK_OFF_S, BACK_OFF_MAX_S = 0.1, 60.0
"""How long a sensor that failed twice in a row is left alone, and at most; doubled each time. After one failure it is tried at once."""


def back_off(failures: int) -> float:
    """Return for how many seconds to leave a sensor alone after so many failures in a row."""
    if failures < 2:
        return 0.0
    return min(BACK_OFF_S * 2.0 ** min(failures - 2, 30), BACK_OFF_MAX_S)


class Outages:
    """What a supervised sensor notes of its driver's failures; each outage is logged once, and so is its end."""

    driver: Driver
    _judge: Judge

    def __init__(self, name: str) -> None:
        self.name = name
        self.error: SensorError | None = None
        """Why the sensor is gone, or None while it works."""
        self._failures = 0
        self._again_at = 0.0
        self._jitter = random.Random(name)

    def _gone(self, error: SensorError) -> None:
        """Note a failure: the sensor is left alone for a while, and what was known of its values is forgotten."""
        self._failures += 1
        self._again_at = self.driver.clock.monotonic() + back_off(self._failures) * self._jitter.uniform(0.75, 1.25)
        if self.error is None:
            logger.warning("sensor %s is gone: %s", self.name, error, exc_info=isinstance(error, DriverFailure))
        self.error = error
        self._judge.forget()

    def _back(self) -> None:
        """Note that the sensor works again."""
        if self.error is not None:
            logger.warning("sensor %s is back", self.name)
        self.error, self._failures = None, 0
