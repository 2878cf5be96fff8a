"""The sensor configuration: a TOML file that says which chip sits where, how often to read it, and how to correct it.

::

    [[sensor]]
    driver = "bme280"
    bus = 1
    address = 0x76
    name = "roof"                     # default: the driver's
    every = 60                        # seconds; or rate = 200, in Hz
    offset = { temperature = -0.4 }   # added to the value, in its unit, after the gain
    gain = { humidity = 1.02 }        # never beyond 100 %
    humidity_follows = true           # relative humidity follows an offset of the same chip's temperature

A driver may take options of its own beside these: ``bramble sensors list --options``. A channel that Bramble does not have, for drivers
that are told which channels they have (``mqtt``, ``kernel``), is declared beside the sensors::

    [[channel]]
    key = "power_kw"
    unit = "kW"
    low = 0                           # plausible range: beyond it a reading is an error
    high = 20
    resolution = 0.001                # smallest step worth keeping
    jump = 5                          # largest change between two readings that needs no second look; default: any
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bramble_client.hal import catalogue, channels, tables
from bramble_client.hal.bus import FIRST_ADDRESS, LAST_ADDRESS
from bramble_client.hal.channels import Quantity
from bramble_client.hal.drivers import options
from bramble_client.hal.drivers.base import NAME, Driver, Streaming, guarded
from bramble_client.hal.errors import ChannelRefused, ConfigError, SensorError, UnknownSensor

CHANNEL_KEYS = ("key", "unit", "low", "high", "resolution", "jump")
KEYS = ("driver", "bus", "address", "name", "every", "rate", "offset", "gain", "humidity_follows")


@dataclass(frozen=True)
class SensorConfig:
    """One sensor of the file; see the module for what its keys mean."""

    driver: type[Driver]
    address: int
    bus: int = 1
    name: str = ""
    every: float = 60.0
    rate: float | None = None
    offset: dict[str, float] = field(default_factory=dict)
    gain: dict[str, float] = field(default_factory=dict)
    humidity_follows: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


def load(path: Path, every: float | None = None) -> tuple[list[SensorConfig], list[SensorError]]:
    """Read a configuration.

    Parameters
    ----------
    every
        Seconds between two readings of a sensor for which the file says nothing; what is usual for its chip if None.

    Returns
    -------
    The sensors that are well described, and what is wrong with each of the others: a bad one never stops the good ones.

    Raises
    ------
    ConfigError
        If the file cannot be read or is not TOML.
    """
    _, entries = tables.read(path, "sensor", ConfigError, ("channel",))
    sensors: list[SensorConfig] = []
    problems: list[SensorError] = list(_channels(path))
    for entry in entries:
        try:
            sensor = _sensor(entry, every)
            for other in sensors:
                if sensor.driver.on_bus and (other.bus, other.address) == (sensor.bus, sensor.address):
                    entry.wrong(
                        "address", f"{sensor.address:#04x} on bus {sensor.bus} is taken by {other.name}; two chips cannot share an address"
                    )
                if other.name == sensor.name:
                    entry.wrong("name", f"another sensor is called {sensor.name!r} already; give this one a name of its own")
            sensors.append(sensor)
        except ConfigError as error:
            error.sensor = str(entry.values.get("name", entry.values.get("driver")))
            problems.append(error)
    return sensors, problems


def _channels(path: Path) -> Iterator[ConfigError]:
    """Add the file's own channels to the table; yield what is wrong with each that cannot be."""
    for entry in tables.read(path, "channel", ConfigError, ("sensor",))[1]:
        try:
            entry.only(*CHANNEL_KEYS)
            row = Quantity(
                entry.text("key", channels.KEY.pattern),
                entry.text("unit", ".*"),
                None,
                entry.number("low", -1e12, 1e12),
                entry.number("high", -1e12, 1e12),
                entry.number("resolution", 1e-12, 1e12, 0.001),
                entry.number("jump", 0, math.inf, math.inf),
            )
            try:
                channels.add([row], path.name)
            except ChannelRefused as error:
                entry.wrong("key", str(error).partition("; ")[0] + "; correct it here")  # its own remedy is one for packages
        except ConfigError as error:
            error.sensor = str(entry.values.get("key"))
            yield error


def _sensor(entry: tables.Entry, usual: float | None) -> SensorConfig:
    try:
        driver = catalogue.driver(entry.text("driver", ".*"))
    except UnknownSensor as error:
        entry.wrong("driver", str(error))
    entry.only(*KEYS, *(option.name for option in driver.options))
    chosen = options.read(driver.options, entry)
    try:
        with guarded(driver.chip):
            driver = driver.configured(chosen)
    except SensorError as error:
        entry.wrong("driver", str(error))
    bus, address = _place(entry, driver)
    if "rate" in entry.values and "every" in entry.values:
        entry.wrong("rate", "stands beside 'every'; say one of the two")
    rate = entry.number("rate", 1e-5, 10_000) if "rate" in entry.values else None
    if rate is not None and issubclass(driver, Streaming) and rate > 1 and rate not in driver.rates:
        entry.wrong("rate", f"a {driver.chip} queues at {', '.join(f'{known:g}' for known in driver.rates)} Hz, not at {rate:g}")
    streaming = rate is not None and rate > 1 and issubclass(driver, Streaming)
    every = 1 / rate if rate is not None else entry.number("every", 1e-4, 1e6, max(usual or driver.interval, driver.fastest))
    if every < driver.fastest and not streaming:
        entry.wrong("every" if rate is None else "rate", f"a {driver.chip} is read every {driver.fastest:g} s at most")
    corrections = {key: entry.numbers(key) for key in ("offset", "gain")}
    for key, numbers in corrections.items():
        for channel in numbers:
            if channel not in driver.channels:
                entry.wrong(key, f"a {driver.chip} has no channel {channel!r}; it has {', '.join(driver.channels)}")
    return SensorConfig(
        driver=driver,
        address=address,
        bus=bus,
        name=entry.text("name", NAME, driver.usual_name()),
        every=every,
        rate=rate if streaming else None,
        options=chosen,
        humidity_follows=entry.flag("humidity_follows", True),
        **corrections,
    )


def _place(entry: tables.Entry, driver: type[Driver]) -> tuple[int, int]:
    """Return bus and address of a sensor, both 0 where it has none."""
    if not driver.on_bus:
        for key in ("bus", "address"):
            if key in entry.values:
                entry.wrong(key, f"says nothing here: {driver.name} reads what sits elsewhere")
        return 0, 0
    address = entry.integer("address", FIRST_ADDRESS, LAST_ADDRESS, driver.addresses[0])
    if address not in driver.addresses:
        entry.wrong(
            "address", f"a {driver.chip} sits at {' or '.join(f'{known:#04x}' for known in driver.addresses)}, not at {address:#04x}"
        )
    return entry.integer("bus", 0, 255, 1), address


def dumps(sensors: Iterable[SensorConfig], notes: Iterable[str] = ()) -> str:
    """Return the file that describes these sensors; notes become comments at its top."""
    lines = [f"# {' '.join(note.split())}" for note in notes]  # one line each, whatever a third party's error says
    for sensor in sensors:
        lines += ["", "[[sensor]]", f'driver = "{sensor.driver.name}"']
        if sensor.driver.on_bus:
            lines += [f"bus = {sensor.bus}", f"address = {sensor.address:#04x}"]
        if sensor.name and sensor.name != sensor.driver.usual_name():
            lines.append(f'name = "{sensor.name}"')
        lines.append(f"rate = {sensor.rate:g}" if sensor.rate is not None else f"every = {sensor.every:g}")
        lines += [f"{key} = {options.written(value)}" for key, value in sensor.options.items()]
        if not sensor.humidity_follows:
            lines.append("humidity_follows = false")
        for key, numbers in (("offset", sensor.offset), ("gain", sensor.gain)):
            if numbers:
                inner = ", ".join(f'"{channel}" = {value!r}' for channel, value in numbers.items())
                lines.append(f"{key} = {{ {inner} }}")
    return "\n".join(lines).lstrip("\n") + "\n"
