"""The channel table: what a quantity is called, in which unit, and what of it can be true.

Keys, units and device classes are Home Assistant's, so that a reading means the same on both sides. Other packages add rows, through
the entry-point group ``bramble.channels`` or with a driver that declares its own.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from bramble_client.hal.errors import ChannelRefused
from bramble_protocol import plugins
from bramble_protocol.messages import Channel
from bramble_protocol.plugins import entry_points

logger = logging.getLogger(__name__)

GROUP = "bramble.channels"
KEY = re.compile("[a-z][a-z0-9_]{0,30}")
"""What a channel may be called; a sensor's name and a dot before it still fit a message."""
RESERVED = ("t", "time", "label", "forecast")
"""Names that mean something else: in the store of readings, in recordings, beside a channel that is forecast."""
LONGEST_UNIT = 20


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
    reach
        What some sensor can measure of it, where that is more than from ``low`` to ``high``.
    usual
        What it can be where a sensor may be: beyond it, though within the range, a reading is doubtful. No air has 0 ppm of carbon dioxide.
    """

    key: str
    unit: str
    device_class: str | None
    low: float
    high: float
    resolution: float = 0.001
    jump: float = math.inf
    slope: float = 0.0
    least: float = -1e12
    most: float = 1e12
    reach: tuple[float, float] | None = None
    usual: tuple[float, float] | None = None

    def step(self, seconds: float) -> float:
        """Return the largest change over a time that needs no second look; after five minutes more time excuses no more."""
        return self.jump + self.slope * min(abs(seconds), 300.0)

    def plausible(self, value: float) -> bool:
        """Say whether the value lies in the plausible range; NaN does not."""
        return self.low <= value <= self.high

    @property
    def widest(self) -> tuple[float, float]:
        """What any sensor can measure."""
        return self.reach or (self.low, self.high)

    def doubtful(self, value: float) -> bool:
        """Say whether a value, though a sensor can show it, is none that the quantity has where sensors are."""
        return self.usual is not None and not self.usual[0] <= value <= self.usual[1]

    def possible(self, value: float) -> float:
        """Return the possible value that is nearest; NaN stays what it is."""
        return value if value != value else min(max(value, self.least), self.most)


_G = 9.80665

TABLE: dict[str, Quantity] = {
    row.key: row
    for row in (
        Quantity("temperature", "°C", "temperature", -60, 85, 0.01, 1.0, 0.02, least=-273.15, reach=(-60, 150)),
        # A sensor that shows 0 % is not dry but dead
        Quantity("humidity", "%", "humidity", 0, 100, 0.01, 5.0, 0.05, least=0, most=100, usual=(0.1, 100)),
        Quantity("pressure", "hPa", "atmospheric_pressure", 300, 1100, 0.01, 1.0, 0.02, least=0, reach=(300, 1250)),
        # A closed greenhouse comes down to 150 ppm; no plant takes it further
        Quantity("carbon_dioxide", "ppm", "carbon_dioxide", 0, 40_000, 1, 200, 5, least=0, usual=(150, 40_000)),
        Quantity("illuminance", "lx", "illuminance", 0, 130_000, 0.5, 500, 100, least=0),
        Quantity("gas_resistance", "Ω", None, 0, 1e8, 1, 1e6, 1e5, least=0, usual=(100, 1e8)),
        Quantity("voc_raw", "ticks", None, 0, 65_535, 1, 500, 100, least=0),
        Quantity("distance", "mm", "distance", 0, 10_000, 1, 500, 1000, least=0),
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


_added: dict[str, tuple[Quantity, str]] = {}
"""Rows of other packages, each with who brought it."""
_asked: set[str] = set()
"""Entry points that were asked for their rows."""


def add(rows: Iterable[Quantity], owner: str) -> None:
    """Add rows to the table: all of them, or none.

    Parameters
    ----------
    owner
        Who brings them, for the sentence if one is refused.

    Raises
    ------
    ChannelRefused
        If a row is malformed, or its key is taken.
    """
    rows = list(rows)
    for row in rows:
        _check(row, owner)
    for row in rows:
        _added.setdefault(row.key, (row, owner))


def known_to_a_task(told: Iterable[Channel], owner: str) -> None:
    """Add rows for what a task alone knows of, by key and unit: any number is plausible."""
    add([Quantity(each.key, each.unit, None, -1e12, 1e12) for each in told if not known(each.key) and each.key not in RESERVED], owner)


def quantity(channel: str) -> Quantity:
    """Return the row of a channel; ``attic.temperature`` is a temperature.

    Raises
    ------
    KeyError
        If the table has no such row.
    """
    key = channel.rpartition(".")[2]
    if key in TABLE:
        return TABLE[key]
    if key not in _added:
        _ask()
    if key in _added:
        return _added[key][0]
    raise KeyError(f"channel {channel!r} is not in the channel table; it has {', '.join((*TABLE, *_added))}")


def known(key: str) -> bool:
    """Say whether the table has a row of this key."""
    try:
        return quantity(key).key == key
    except KeyError:
        return False


def _ask() -> None:
    """Take what packages offer; one that fails, or offers what is refused, is named in one line and hurts nobody else."""
    for point in entry_points(group=GROUP):
        if point.value in _asked:
            continue
        _asked.add(point.value)
        try:
            offered = point.load()
            add([offered] if isinstance(offered, Quantity) else offered, plugins.owner(point))
        except ChannelRefused as error:
            logger.error("%s", error)
        except (Exception, SystemExit) as error:  # whatever a third party's module does while it is imported
            logger.error(
                "channels of %s cannot be had (%s: %s); repair or remove that package",
                plugins.owner(point),
                type(error).__name__,
                " ".join(str(error).split()),
            )


def _check(row: Quantity, owner: str) -> None:
    if not isinstance(row, Quantity):
        raise ChannelRefused(f"{owner} offers {row!r} as a channel, which is no Quantity; ask its author")
    named = f"channel {row.key!r} of {owner}"
    if not isinstance(row.key, str) or not KEY.fullmatch(row.key):
        raise ChannelRefused(f"{named}: a channel is called with up to 31 of a-z, 0-9 and _, a letter first; ask its author")
    if row.key in RESERVED:
        raise ChannelRefused(
            f"{named}: this name means something else in Bramble, and no channel may have it; ask its author to choose another"
        )
    if row.key in TABLE:
        raise ChannelRefused(
            f"{named}: Bramble has a channel of this name, in {TABLE[row.key].unit}; ask its author to use that, or to choose another name"
        )
    other = _added.get(row.key)
    if other is not None and other[0] != row:
        raise ChannelRefused(
            f"{named}: {other[1]} has brought another channel of this name, in {other[0].unit}; remove one of the two packages"
        )
    if not isinstance(row.unit, str) or len(row.unit) > LONGEST_UNIT or not row.unit.isprintable():
        raise ChannelRefused(f"{named}: its unit {row.unit!r} is no text of at most {LONGEST_UNIT} characters; ask its author")
    if not (row.device_class is None or isinstance(row.device_class, str)):
        raise ChannelRefused(f"{named}: its device class {row.device_class!r} is no text; ask its author")
    numbers = (row.low, row.high, row.resolution, row.jump, row.slope, row.least, row.most)
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers) or not (
        -1e12 <= row.low < row.high <= 1e12
        and row.least <= row.low
        and row.high <= row.most
        and row.resolution > 0
        and row.jump >= 0
        and row.slope >= 0
    ):
        raise ChannelRefused(f"{named}: its range from {row.low!r} to {row.high!r}, or a step of it, is none; ask its author")


def describe(channel: str) -> Channel:
    """Return the channel as a client offers it to the server."""
    return Channel(channel, quantity(channel).unit)
