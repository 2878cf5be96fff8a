"""Which chips sit on a bus: by what they say of themselves, never by their address alone."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from edge_client.hal import catalogue
from edge_client.hal.bus import I2CBus
from edge_client.hal.drivers.base import Driver, guarded
from edge_client.hal.errors import BusBusy, DriverFailure, SensorError, UnknownSensor

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What answers at one address.

    Parameters
    ----------
    drivers
        Drivers whose chip this can be, the likeliest first. One whose chip proves its identity stands alone.
    note
        What a person should know of it.
    """

    address: int
    drivers: tuple[type[Driver], ...]
    note: str

    @property
    def certain(self) -> bool:
        """Whether the chip has proved what it is."""
        return len(self.drivers) == 1 and self.drivers[0].certain


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
        try:
            with guarded(item.chip):
                fits = item.identify(bus, address)
            if fits and item.certain:
                return Found(address, (item,), f"{item.chip}, by its identity")
            if fits:
                possible.append(item)
        except BusBusy as error:
            return Found(address, (), str(error))
        except DriverFailure as error:
            logger.warning("%s", error)
        except SensorError as error:
            logger.debug("%s did not answer as a %s: %s", hex(address), item.chip, error)
    if possible:
        chips = " or ".join(item.chip for item in possible)
        return Found(address, tuple(possible), f"perhaps {chips}: it has no identity to prove it; name it in the configuration")
    return Found(address, (), "unknown chip; no driver recognises it" + (f" ({missing})" if missing else ""))


def names(drivers: list[str]) -> list[str]:
    """Return a name for each sensor: its driver's, numbered from the second of a kind on."""
    return [name if drivers[:i].count(name) == 0 else f"{name}_{drivers[:i].count(name) + 1}" for i, name in enumerate(drivers)]
