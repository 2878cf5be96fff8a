"""Which sensors a client has had, and what it calls their channels, remembered on disk.

The server, the readings on disk and a task know a channel by its name alone. So a name stays with its sensor: one that is absent
keeps its own, one that is new takes none that is in use, and where a name does pass on, one line says so.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bramble_client.hal import tables
from bramble_client.hal.detect import Found
from bramble_client.hal.drivers.base import NAME, Driver
from bramble_client.hal.errors import ConfigError, SensorError
from bramble_protocol import fields

logger = logging.getLogger(__name__)

FILE = "known-sensors.toml"
"""Name of the file in a client's data folder."""
_HEAD = """\
# The sensors that this client has had, and what it calls their channels. Written by the client: a sensor that is absent is looked for
# again, and its channels pass to no other. Delete a sensor here, or the file, while the client is stopped to have it forgotten.
"""


@dataclass(frozen=True)
class Known:
    """One sensor: its name, its driver's, where it sits (both 0 where that says nothing), and its channels' names by the driver's key."""

    name: str
    driver: str
    bus: int
    address: int
    channels: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.name} at {self.address:#04x}"


class Memory:
    """The file, read once, and written when something has changed.

    Parameters
    ----------
    path
        The file, which need not be there yet; None remembers nothing.
    writable
        Whether to write it: who only looks, beside a client that runs, must not.
    """

    def __init__(self, path: Path | None = None, writable: bool = True) -> None:
        self.path, self._writable = path, writable
        self.sensors: list[Known] = []
        if path is not None and path.exists():
            try:
                self.sensors = [_read(entry) for entry in tables.read(path, "sensor", ConfigError)[1]]
            except SensorError as error:
                logger.error("%s; the sensors are named anew, and channels may pass to others", error)

    def keep(self, sensors: Sequence[Known]) -> None:
        """Remember these from now on. A disk that takes no file costs the memory, not the client."""
        if self.path is None or not self._writable or list(sensors) == self.sensors:
            return
        self.sensors = list(sensors)
        try:
            _write(self.path, _HEAD + "".join(map(_entry, sensors)))
        except OSError as error:
            logger.warning("%s cannot be written (%s); after the next start channels may be called otherwise", self.path, error.strerror)


def names(sensors: Iterable[Known]) -> dict[tuple[str, str], str]:
    """Return each channel's name, by its sensor's name and the driver's key."""
    return {(sensor.name, key): name for sensor in sensors for key, name in sensor.channels.items()}


def reconcile(
    before: Sequence[Known], found: Iterable[Found], bus: int, choose: Callable[[Found, str | None], type[Driver] | None]
) -> tuple[list[Known], list[str]]:
    """Bring together what was known and what a scan has found.

    Parameters
    ----------
    before
        All sensors that are known, those of other buses included.
    choose
        Picks one of the drivers that fit a chip, if one is to be believed; takes the chip, and the name of the driver that it had.

    Returns
    -------
    The sensors to be known from now on: each one from before, in its order, then the new ones. And what has changed, in phrases.
    """
    there = {item.address: item for item in found}
    after: list[Known] = []
    changes: list[str] = []
    for sensor in before:
        after.append(sensor)
        if sensor.bus != bus:
            continue
        item = there.pop(sensor.address, None)
        others = [*after[:-1], *before[len(after) :]]
        fits = item is not None and (item.certain or any(sensor.driver == driver.name for driver in item.drivers))
        driver = choose(item, sensor.driver) if item is not None and fits else None
        if item is None:
            changes.append(f"{sensor} does not answer, and is looked for again")
        elif driver is None:
            if item.drivers:
                changes.append(f"what answers in place of {sensor} is {item.note}")
        elif driver.name == sensor.driver:
            after[-1] = complete(sensor, driver.channels, others)
        else:
            after[-1] = _placed(driver, sensor.address, bus, others, sensor)
            changes.append(f"where {sensor} was, there is {after[-1]} now, and measures {_listed(after[-1])}")
    for item in there.values():
        driver = choose(item, None) if item.drivers else None
        if driver is not None:
            after.append(_placed(driver, item.address, bus, after))
            changes.append(f"{after[-1]} is new, and measures {_listed(after[-1])}")
    return after, changes


def _placed(driver: type[Driver], address: int, bus: int, others: Sequence[Known], place: Known | None = None) -> Known:
    """Return a sensor with names that nobody has; one that takes another's place goes on with the channels that both have."""
    name, number = driver.name, 2
    while name in {other.name for other in others}:
        name, number = f"{driver.name[:28]}_{number}", number + 1
    inherited = {key: called for key, called in place.channels.items() if key in driver.channels} if place else {}
    sensor = Known(name, driver.name, bus, address, inherited)
    return complete(sensor, driver.channels, others)


def complete(sensor: Known, channels: Iterable[str], others: Iterable[Known]) -> Known:
    """Return the sensor with a name for each of its channels: those that it has, and for the others the plain one if nobody has it."""
    taken = {name for other in [*others, sensor] for name in other.channels.values()}
    named = dict(sensor.channels)
    for key in channels:
        if key not in named:
            called = key
            while called in taken:
                called = f"{sensor.name}.{called}"
            named[key] = called
            taken.add(called)
    return replace(sensor, channels=named)


def name_channels(
    before: Iterable[Known], sensors: Mapping[str, Known], channels: Mapping[str, Sequence[str]], broken: Collection[str | None]
) -> list[Known]:
    """Name the channels of configured sensors: as before, as long as whoever has the plain name is in the file still.

    Parameters
    ----------
    sensors
        By name, in the file's order.
    channels
        What each of them measures, by the driver's key.
    broken
        Names of those that are described wrongly today: they will be mended, so their channels are kept for them.
    """
    former = {sensor.name: sensor for sensor in before if sensor.name in sensors or sensor.name in broken}
    plain = {key for name, sensor in former.items() for key in channels.get(name, sensor.channels) if sensor.channels.get(key) == key}
    after = {
        name: sensor
        if name not in sensors
        else replace(
            sensors[name], channels={key: sensor.channels[key] for key in channels[name] if key in plain and key in sensor.channels}
        )
        for name, sensor in former.items()
    }
    for name, sensor in sensors.items():
        mine = after.pop(name, sensor)
        after[name] = complete(mine, channels[name], after.values())
    return list(after.values())


def passed(before: Iterable[Known], after: Iterable[Known]) -> list[str]:
    """Return which channels' names have passed from one sensor to another, in phrases."""
    owners = {name: sensor.name for sensor in before for name in sensor.channels.values()}
    return [
        f"{name} is {sensor.name}'s now, and was {owners[name]}'s"
        for sensor in after
        for name in sensor.channels.values()
        if owners.get(name, sensor.name) != sensor.name
    ]


def _listed(sensor: Known) -> str:
    return ", ".join(sensor.channels.values())


def _read(entry: tables.Entry) -> Known:
    entry.only("name", "driver", "bus", "address", "channels")
    channels = entry.values.get("channels")
    if not isinstance(channels, dict) or not all(
        isinstance(name, str) and fields.CHANNEL_KEY.fullmatch(name) and fields.CHANNEL_KEY.fullmatch(key) for key, name in channels.items()
    ):
        entry.wrong("channels", f'expected names by channel, such as {{ temperature = "temperature" }}, not {channels!r}')
    return Known(
        name=entry.text("name", NAME),
        driver=entry.text("driver", NAME),
        bus=entry.integer("bus", 0, 255, 0),
        address=entry.integer("address", 0, 0x7F, 0),
        channels=channels,
    )


def _entry(sensor: Known) -> str:
    channels = ", ".join(f'"{key}" = "{name}"' for key, name in sensor.channels.items())
    place = f"bus = {sensor.bus}\naddress = {sensor.address:#04x}\n" if sensor.address else ""
    return f'\n[[sensor]]\nname = "{sensor.name}"\ndriver = "{sensor.driver}"\n{place}channels = {{ {channels} }}\n'


def _write(path: Path, text: str) -> None:
    """Write a file that is whole after a power cut: the former one, or this."""
    other = path.with_suffix(".new")
    with other.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    other.replace(path)
