"""The user's corrections of what a chip says, and what follows from them.

A chip whose own heat makes it 5 °C too warm tells the relative humidity of air that is 5 °C too warm: the water in it is true, the
percentage is not. So humidity follows a corrected temperature, unless the configuration says otherwise; and power is voltage times current.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp

from bramble_client.hal.channels import quantity
from bramble_client.hal.drivers.base import Driver, Measurement

TEMPERATURE, HUMIDITY = "temperature", "humidity"
COLDEST, WARMEST = -100.0, 200.0
"""Between which temperatures humidity follows, °C: beyond, there is no formula, and no such air."""

SLACK = 0.5
"""How far a correction may overshoot what a quantity can be, as a part of its range."""


def saturation(celsius: float) -> float:
    """Return the pressure of saturated water vapour over water, in hPa.

    The Magnus formula with the coefficients of Sonntag (1990), which the World Meteorological Organization's guide to instruments takes:
    within 0.3 % from -45 to 60 °C.
    """
    return 6.112 * exp(17.62 * celsius / (243.12 + celsius))


@dataclass(frozen=True)
class Corrections:
    """What is done to a measurement: value * gain + offset by channel, ending at what the quantity can be.

    Parameters
    ----------
    gain, offset
        By channel.
    humidity_follows
        Whether a corrected temperature takes the relative humidity of the same chip along, before the humidity's own corrections.
    """

    gain: Mapping[str, float] = field(default_factory=dict)
    offset: Mapping[str, float] = field(default_factory=dict)
    humidity_follows: bool = True

    def apply(self, measurement: Measurement) -> Measurement:
        """Return the corrected measurement."""
        if not self.gain and not self.offset:
            return measurement
        raw = measurement.values
        values = dict(raw)
        if self.humidity_follows and TEMPERATURE in raw and HUMIDITY in raw:
            values[HUMIDITY] = _moved(raw[HUMIDITY], raw[TEMPERATURE], self.value(TEMPERATURE, raw[TEMPERATURE]))
        if raw.keys() >= {"voltage", "current", "power"} and (self._corrects("voltage") or self._corrects("current")):
            values["power"] = self.value("voltage", raw["voltage"]) * self.value("current", raw["current"])
        return Measurement(measurement.at, {key: self.value(key, value) for key, value in values.items()})

    def value(self, key: str, value: float) -> float:
        """Return the corrected value of one channel, which stays possible."""
        if not self._corrects(key):
            return value
        return _possible(key, value * self.gain.get(key, 1.0) + self.offset.get(key, 0.0))

    def _corrects(self, key: str) -> bool:
        return key in self.gain or key in self.offset

    def ranges(self, driver: Driver) -> dict[str, tuple[float, float]]:
        """Return what becomes of a driver's ranges: a chip's limits are those of what it says, not of what is made of it."""
        ends = {key: [quantity(key).possible(self.value(key, end)) for end in driver.measurable(key)] for key in driver.channels}
        return {key: (min(values), max(values)) for key, values in ends.items()}


def _moved(percent: float, before: float, after: float) -> float:
    """Return the relative humidity of the same air at another temperature."""
    if before == after or not (COLDEST <= before <= WARMEST and COLDEST <= after <= WARMEST):
        return percent
    return quantity(HUMIDITY).possible(percent * saturation(before) / saturation(after))


def _possible(key: str, value: float) -> float:
    """Return a value that a correction took too far as what the quantity ends at; far beyond, the correction is wrong, and shows."""
    row = quantity(key)
    nearest = row.possible(value)
    return nearest if abs(value - nearest) <= SLACK * (row.high - row.low) else value
