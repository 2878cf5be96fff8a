"""Readings, and whether they can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isnan

from bramble_client.hal.channels import Quantity, quantity
from bramble_client.hal.drivers.base import Measurement
from bramble_client.hal.reputation import Reputation


class Quality(StrEnum):
    """What speaks for or against a reading. Only good ones are trained on."""

    GOOD = "good"
    RANGE = "out of range"
    JUMP = "contradicted by a second measurement"
    FROZEN = "frozen"
    DOUBTFUL = "doubtful"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one channel.

    Parameters
    ----------
    sensor, channel
        Where it comes from.
    value
        In ``unit``; None if nothing could be read, or the chip could not show it.
    monotonic
        When the chip made the conversion, by the machine's monotonic clock, seconds.
    utc
        The same moment, seconds since 1970-01-01 UTC; None until the wall clock is synchronised.
    sequence
        Counts the sensor's measurements, failed ones included.
    simulated
        Whether a chip model made it.
    """

    sensor: str
    channel: str
    value: float | None
    unit: str
    monotonic: float
    utc: float | None
    sequence: int
    quality: Quality
    simulated: bool

    @classmethod
    def of(
        cls, sensor: str, measurement: Measurement, qualities: Mapping[str, Quality], utc: float | None, sequence: int, simulated: bool
    ) -> list[Reading]:
        """Return the readings of one measurement."""
        return [
            cls(
                sensor,
                key,
                None if isnan(value) else value,
                quantity(key).unit,
                measurement.at,
                utc,
                sequence,
                qualities[key],
                simulated,
            )
            for key, value in measurement.values.items()
        ]

    @property
    def good(self) -> bool:
        """Whether the value may be used."""
        return self.quality is Quality.GOOD


class Judge:
    """Looks at a sensor's measurements one after the other, and doubts those that cannot be true.

    Parameters
    ----------
    channels
        Channels of the sensor, by the driver's key.
    frozen_after
        How many equal measurements in a row mean that the chip is stuck, or None.
    ranges
        What the sensor can measure, by channel, its corrections included; the channel table's range where none is given.
    """

    def __init__(
        self, channels: tuple[str, ...], frozen_after: int | None, ranges: Mapping[str, tuple[float, float]] | None = None
    ) -> None:
        self._quantities: dict[str, Quantity] = {key: quantity(key) for key in channels}
        self._ranges = {key: (row.low, row.high) for key, row in self._quantities.items()} | dict(ranges or {})
        self._reputation = Reputation(channels, restless=frozen_after is not None)
        self.doubt: str | None = None
        """Why the sensor as a whole is not believed at the last measurement, or None."""
        self._frozen_after = frozen_after
        self._trusted: dict[str, tuple[float, float]] = {}
        self._last: Mapping[str, float] | None = None
        self._equal = 0

    @property
    def blank(self) -> bool:
        """Whether there is no trusted value yet to compare with."""
        return not self._trusted

    def suspects(self, measurement: Measurement) -> list[str]:
        """Return the channels that deserve a second look: they changed a lot since the last trusted value, or there is none."""
        return [key for key, value in measurement.values.items() if not isnan(value) and self._jumped(key, value, measurement.at)]

    def agree(self, one: Measurement, two: Measurement, key: str) -> bool:
        """Say whether two measurements in short order can both be true."""
        return abs(one.values[key] - two.values[key]) <= self._quantities[key].step(two.at - one.at)

    def judge(self, measurement: Measurement, confirmed: bool) -> dict[str, Quality]:
        """Return each channel's quality, and remember what is good.

        Parameters
        ----------
        confirmed
            Whether a second measurement agreed with this one, so that a jump is taken to be real.
        """
        values = measurement.values
        self._equal = self._equal + 1 if values == self._last else 0
        self._last = values
        frozen = self._frozen_after is not None and self._equal >= self._frozen_after
        found = {key: self._one(key, value, measurement.at, frozen, confirmed) for key, value in values.items()}
        # What a second measurement contradicted is part of the record, too: a loose wire says another thing each time
        seen = {key: value for key, value in values.items() if found[key] in (Quality.GOOD, Quality.JUMP)}
        self.doubt = self._reputation.doubt(measurement.at, seen)
        for key, quality in found.items():
            if quality is Quality.GOOD and (self.doubt is not None or self._quantities[key].doubtful(values[key])):
                found[key] = Quality.DOUBTFUL
            elif quality is Quality.GOOD:
                self._trusted[key] = (values[key], measurement.at)
        return found

    def forget(self) -> None:
        """Start anew, after a time without readings."""
        self._trusted.clear()
        self._last = None

    def _one(self, key: str, value: float, at: float, frozen: bool, confirmed: bool) -> Quality:
        low, high = self._ranges[key]
        if not low <= value <= high:
            return Quality.RANGE
        if frozen:
            return Quality.FROZEN
        if not confirmed and self._jumped(key, value, at):
            return Quality.JUMP
        return Quality.GOOD

    def _jumped(self, key: str, value: float, at: float) -> bool:
        last = self._trusted.get(key)
        if last is None:
            return True
        return abs(value - last[0]) > self._quantities[key].step(at - last[1])
