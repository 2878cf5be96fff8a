"""Which drivers and simulated chips there are: the built-in ones, and those that other packages bring along.

A package registers a driver through the entry-point group ``bramble.sensors``, and its simulated chip through ``bramble.chips``.
Nothing is imported before it is needed: a plug-in that does not import hurts nobody who does not name it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from bramble_client.hal import declared
from bramble_client.hal.drivers.base import Driver
from bramble_client.hal.errors import UnknownSensor
from bramble_client.hal.sim.chips.base import Chip
from bramble_protocol.errors import BrambleError
from bramble_protocol.plugins import entry_points, loaded, one

SENSORS_GROUP, CHIPS_GROUP = "bramble.sensors", "bramble.chips"

BUILTIN = {
    "bme280": "bme280:BME280",
    "bmp280": "bmp280:BMP280",
    "sht3x": "sht3x:SHT3x",
    "sht4x": "sht4x:SHT4x",
    "tmp117": "tmp117:TMP117",
    "tmp102": "tmp102:TMP102",
    "tmp105": "tmp102:TMP105",
    "lm75": "tmp102:LM75",
    "ads1115": "ads1115:ADS1115",
    "ina219": "ina219:INA219",
    "bh1750": "bh1750:BH1750",
    "mpu6050": "mpu6050:MPU6050",
    "adxl345": "adxl345:ADXL345",
    "scd4x": "scd4x:SCD4x",
    "bme680": "bme680:BME680",
    "ina226": "ina226:INA226",
    "mcp9808": "mcp9808:MCP9808",
    "shtc3": "shtc3:SHTC3",
    "aht20": "aht20:AHT20",
    "sgp40": "sgp40:SGP40",
    "bmp390": "bmp390:BMP390",
    "vl53l0x": "vl53l0x:VL53L0X",
}
"""Module and class of each; a driver and its simulated chip have the same, in their two packages."""
ADAPTERS = {
    "iio": "kernel:Iio",
    "hwmon": "kernel:Hwmon",
    "circuitpython": "circuitpython:CircuitPython",
    "mqtt": "mqtt:Mqtt",
}
"""Drivers over other people's drivers and devices: what they read nobody here can check, and nobody simulates."""


def names() -> list[str]:
    """Return the names of all drivers, built-in and third parties'."""
    return sorted({*BUILTIN, *ADAPTERS, *(point.name for point in entry_points(group=SENSORS_GROUP))})


def driver(name: str) -> type[Driver]:
    """Return the driver class of a name: its own, or the one under which its package registers it.

    Raises
    ------
    UnknownSensor
        If there is no such driver, a plug-in does not import, or what it offers cannot be used.
    """
    # What packages offer is asked for last: that reads the metadata of all that is installed.
    if name not in BUILTIN and name not in ADAPTERS and name not in names():
        for other in drivers():
            if not isinstance(other, UnknownSensor) and other.name == name:
                return other
    found = _load(name, "bramble_client.hal.drivers", SENSORS_GROUP)
    return declared.check(name, found)


def chip(name: str) -> type[Chip]:
    """Return the simulated chip of a name.

    Raises
    ------
    UnknownSensor
        If there is none, or a plug-in does not import.
    """
    found = _load(name, "bramble_client.hal.sim.chips", CHIPS_GROUP)
    if not (isinstance(found, type) and issubclass(found, Chip)):
        raise UnknownSensor(f"simulated chip {name!r}: its plug-in offers {found!r}, which is not a Chip; ask its author")
    return found


def drivers() -> Iterator[type[Driver] | UnknownSensor]:
    """Yield every driver class, or the error of one that cannot be had."""
    for name in names():
        try:
            yield driver(name)
        except UnknownSensor as error:
            yield error


def _load(name: str, package: str, group: str) -> object:
    own = {**BUILTIN, **ADAPTERS} if group == SENSORS_GROUP else BUILTIN
    if name in own:
        module, _, attribute = own[name].partition(":")
        return getattr(import_module(f"{package}.{module}"), attribute)
    points = tuple(entry_points(group=group, name=name))
    if not points:
        raise UnknownSensor(
            f"there is no {'driver' if group == SENSORS_GROUP else 'simulated chip'} {name!r}; there are {', '.join(sorted(own))}"
        )
    what = f"{'sensor' if group == SENSORS_GROUP else 'simulated chip'} {name!r}"
    try:
        return loaded(one(points, what), what)
    except BrambleError as error:
        raise UnknownSensor(str(error)) from error
