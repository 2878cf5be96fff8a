"""Which readings of a sensor are doubted now: said once when that begins, and once when it is over."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from bramble_client.hal.channels import quantity
from bramble_client.hal.readings import Quality
from bramble_client.hal.reputation import LEAPED

logger = logging.getLogger(__name__)


class Doubts:
    """The doubts about one sensor, as a whole and by channel.

    Parameters
    ----------
    name
        What logs call the sensor.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._whole: str | None = None
        self._said: str | None = None
        self._leaped = False
        """Whether it was said before that the sensor leaps: each single one is worth no line."""
        self._channels: set[str] = set()

    def __bool__(self) -> bool:
        return self._whole is not None or bool(self._channels)

    def report(self, qualities: Mapping[str, Quality], whole: str | None) -> None:
        """Take what a measurement was judged to be.

        Parameters
        ----------
        whole
            Why the sensor as a whole is not believed, or None.
        """
        if whole is not None and whole != self._said and not (whole == LEAPED and self._leaped):
            logger.warning("sensor %s is doubtful and is not used: %s", self._name, whole)
            self._said, self._leaped = whole, True
        elif whole is None and self._said is not None:
            logger.warning("sensor %s is believed again", self._name)
            self._said = None
        self._whole = whole
        for key, quality in qualities.items():
            if quality is Quality.GOOD and key in self._channels:
                self._channels.discard(key)
                logger.warning("sensor %s: %s is good again", self._name, key)
            elif quality is not Quality.GOOD and key not in self._channels and not (whole is not None and quality is Quality.DOUBTFUL):
                self._channels.add(key)
                logger.warning("sensor %s: %s is %s and is not used%s", self._name, key, quality.value, _why(key, quality))


def _why(key: str, quality: Quality) -> str:
    row = quantity(key)
    if quality is not Quality.DOUBTFUL or row.usual is None:
        return ""
    low, high = row.usual
    return f": it is never beyond {low:g} to {high:g} {row.unit} where a sensor can be; calibrate the sensor, or replace it"
