"""Which chips sit on a bus: by what they say of themselves, never by their address alone."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from bramble_client.hal import catalogue
from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import Driver, guarded
from bramble_client.hal.errors import BusBusy, DriverFailure, SensorError, UnknownSensor

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a driver is tried before the next one that fits."""


@dataclass(frozen=True, slots=True)
class Found:
    """What answers at one address.

    Parameters
    ----------
    drivers
        Drivers whose chip this can be, the likeliest first. Where a chip proves its identity, only those that it proves it to.
    note
        What a person should know of it.
    owned
        Whether a kernel driver has it.
    """

    address: int
    drivers: tuple[type[Driver], ...]
    note: str
    owned: bool = False

    @property
    def certain(self) -> bool:
        """Whether the chip has proved what it is."""
        return bool(self.drivers) and self.drivers[0].certain


def scan(bus: I2CBus) -> list[Found]:
    """Look at every address that answers.

    Raises
    ------
    BusError
        If the bus itself cannot be used.
    """
    kinds = list(catalogue.drivers())
    candidates = [kind for kind in kinds if not isinstance(kind, UnknownSensor)]
    missing = "; ".join(str(kind) for kind in kinds if isinstance(kind, UnknownSensor))
    return [_look(bus, address, candidates, missing) for address in bus.scan()]


def _look(bus: I2CBus, address: int, candidates: list[type[Driver]], missing: str) -> Found:
    here = sorted((item for item in candidates if address in item.addresses), key=lambda item: not item.certain)
    possible: list[type[Driver]] = []
    for item in here:
        if possible and possible[0].certain and not item.certain:
            break
        try:
            with guarded(item.chip):
                if item.identify(bus, address):
                    possible.append(item)
        except BusBusy as error:
            return Found(address, (), str(error), owned=True)
        except DriverFailure as error:
            logger.warning("%s", error)
        except SensorError as error:
            logger.debug("%s did not answer as a %s: %s", hex(address), item.chip, error)
    chips = " or ".join(dict.fromkeys(_name(item, bus, address) for item in possible))
    if possible and possible[0].certain:
        return Found(address, tuple(possible), f"{chips}, by its identity")
    if possible:
        return Found(address, tuple(possible), f"perhaps {chips}: it has no identity to prove it; name it in the configuration")
    stranger = next((known for item in here if (known := _relative(item, bus, address)) is not None), None)
    return Found(address, (), (stranger or "unknown chip; no driver recognises it") + (f" ({missing})" if missing else ""))


def _name(item: type[Driver], bus: I2CBus, address: int) -> str:
    """Return what a chip that a driver recognises is called: several kinds may have one driver."""
    if item.identity is None or item.chip not in item.identity.chips.values():
        return item.chip
    try:
        return item.identity.chips.get(item.identity.read(bus, address), item.chip)
    except SensorError:
        return item.chip


def _relative(item: type[Driver], bus: I2CBus, address: int) -> str | None:
    """Return what a driver knows of a chip that it does not read."""
    try:
        return None if item.identity is None else item.identity.relative(bus, address)
    except SensorError:
        return None


def choose(bus: I2CBus, item: Found, clock: Clock, had: str | None = None) -> type[Driver] | None:
    """Return the first of the drivers that fit a chip which also reads it, or the first of them if none does.

    Parameters
    ----------
    had
        Name of the driver that read what was there before, which is tried first. If it does not fit any more, another one takes its
        place only if it reads the chip, since a scan may have misheard; None if none does.
    """
    drivers = sorted(item.drivers, key=lambda driver: driver.name != had)
    other = had is not None and drivers[0].name != had
    for driver in drivers if len(drivers) > 1 or other else ():
        try:
            _read(driver, bus, item.address, clock)
            return driver
        except SensorError as error:
            logger.warning("the driver %s does not read what answers at %#04x: %s", driver.name, item.address, error)
    return None if other else drivers[0]


def _read(driver: type[Driver], bus: I2CBus, address: int, clock: Clock) -> None:
    for attempt in range(ATTEMPTS):
        try:
            with guarded(driver.chip):
                candidate = driver(bus, address, clock)
                candidate.setup()
                candidate.read()
                return
        except SensorError as error:
            if not error.transient or attempt == ATTEMPTS - 1:
                raise


def names(drivers: list[str]) -> list[str]:
    """Return a name for each sensor: its driver's, numbered from the second of a kind on."""
    return [name if drivers[:i].count(name) == 0 else f"{name}_{drivers[:i].count(name) + 1}" for i, name in enumerate(drivers)]
