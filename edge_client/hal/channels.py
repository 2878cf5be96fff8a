"""The channel table: what a quantity is called, in which unit, and what of it can be true.

Keys, units and device classes are Home Assistant's, so that a reading means the same on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.messages import Channel


@dataclass(frozen=True, slots=True)
class Quantity:
    """One row of the table.

    Parameters
    ----------
    key
        Name of the channel.
    unit
        Unit of its values.
    device_class
        Home Assistant's device class, or None where it has none.
    low, high
        Plausible range in that unit: beyond it a reading is an error, not weather.
    resolution
        Smallest step worth keeping.
    jump
        Largest change between two readings that needs no second look, however short the time between them.
    slope
        How much that grows with each second between them.
    least, most
        What the quantity itself can be, whoever measures it: nothing is colder than -273.15 °C, no air holds more than 100 %.
    """

    key: str
    unit: str
    device_class: str | None
    low: float
    high: float
    resolution: float
    jump: float
    slope: float
    least: float = -1e12
    most: float = 1e12

    def step(self, seconds: float) -> float:
        """Return the largest change over a time that needs no second look; after five minutes more time excuses no more."""
        return self.jump + self.slope * min(abs(seconds), 300.0)

    def plausible(self, value: float) -> bool:
        """Say whether the value lies in the plausible range; NaN does not."""
        return self.low <= value <= self.high

    def possible(self, value: float) -> float:
        """Return the possible value that is nearest; NaN stays what it is."""
        return value if value != value else min(max(value, self.least), self.most)


_G = 9.80665

TABLE: dict[str, Quantity] = {
    row.key: row
    for row in (
        Quantity("temperature", "°C", "temperature", -60, 85, 0.01, 1.0, 0.02, least=-273.15),
        Quantity("humidity", "%", "humidity", 0, 100, 0.01, 5.0, 0.05, least=0, most=100),
        Quantity("pressure", "hPa", "atmospheric_pressure", 300, 1100, 0.01, 1.0, 0.02, least=0),
        Quantity("carbon_dioxide", "ppm", "carbon_dioxide", 0, 40_000, 1, 200, 5, least=0),
        Quantity("illuminance", "lx", "illuminance", 0, 130_000, 0.5, 500, 100, least=0),
        Quantity("gas_resistance", "Ω", None, 0, 1e8, 1, 1e6, 1e5, least=0),
        Quantity("voc_raw", "ticks", None, 0, 65_535, 1, 500, 100, least=0),
        Quantity("voltage", "V", "voltage", -32, 32, 0.0001, 0.5, 0.1),
        Quantity("current", "A", "current", -40, 40, 0.0001, 0.5, 0.1),
        Quantity("power", "W", "power", -1300, 1300, 0.001, 10.0, 1.0),
        Quantity("acceleration_x", "m/s²", None, -16 * _G, 16 * _G, 0.001, 40, 2000),
        Quantity("acceleration_y", "m/s²", None, -16 * _G, 16 * _G, 0.001, 40, 2000),
        Quantity("acceleration_z", "m/s²", None, -16 * _G, 16 * _G, 0.001, 40, 2000),
        Quantity("rotation_x", "°/s", None, -2000, 2000, 0.01, 500, 20_000),
        Quantity("rotation_y", "°/s", None, -2000, 2000, 0.01, 500, 20_000),
        Quantity("rotation_z", "°/s", None, -2000, 2000, 0.01, 500, 20_000),
    )
}


def quantity(channel: str) -> Quantity:
    """Return the row of a channel; ``attic.temperature`` is a temperature.

    Raises
    ------
    KeyError
        If the table has no such row.
    """
    key = channel.rpartition(".")[2]
    try:
        return TABLE[key]
    except KeyError:
        raise KeyError(f"channel {channel!r} is not in the channel table; it has {', '.join(TABLE)}") from None


def describe(channel: str) -> Channel:
    """Return the channel as a client offers it to the server."""
    return Channel(channel, quantity(channel).unit)
