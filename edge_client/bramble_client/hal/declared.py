"""What a driver says of itself, checked before it is used: a third party's mistake is one sentence, and nobody else's trouble."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping

from bramble_client.hal import channels
from bramble_client.hal.bus import FIRST_ADDRESS, LAST_ADDRESS
from bramble_client.hal.drivers.base import NAME, Driver, Streaming
from bramble_client.hal.drivers.options import Option
from bramble_client.hal.errors import ChannelRefused, UnknownSensor


def check(name: str, offered: object) -> type[Driver]:
    """Return the driver, with its own channels added to the table.

    Parameters
    ----------
    name
        Under which it is registered.
    offered
        What is registered there.

    Raises
    ------
    UnknownSensor
        If it cannot be used; the text says why.
    """

    def wrong(what: str) -> UnknownSensor:
        return UnknownSensor(f"sensor {name!r}: {what}; ask its author")

    if not (isinstance(offered, type) and issubclass(offered, Driver)):
        raise wrong(f"its plug-in offers {offered!r}, which is not a Driver")
    driver = offered
    called = str(getattr(driver, "name", ""))
    if not re.fullmatch(NAME, called):
        raise wrong(f"its driver is called {called!r}, which does not fit {NAME}")
    if inspect.isabstract(driver):
        raise wrong(f"its driver does not define {', '.join(sorted(driver.__abstractmethods__))}")
    if not isinstance(getattr(driver, "chip", None), str):
        raise wrong("its driver does not say what the chip is called")
    keys = getattr(driver, "channels", ())
    # Where options decide on the channels, they are known only once it is configured
    if not (_texts(keys) or (keys == () and driver.configured.__func__ is not Driver.configured.__func__)):  # type: ignore[attr-defined]
        raise wrong("its driver does not say which channels it has, as a tuple of texts")
    addresses = getattr(driver, "addresses", ())
    if not (isinstance(addresses, tuple) and (addresses or not driver.on_bus) and all(map(_address, addresses))):
        raise wrong(
            f"its driver does not say at which addresses it can sit, as a tuple of numbers from {FIRST_ADDRESS:#04x} to {LAST_ADDRESS:#04x}"
        )
    if not (_number(driver.interval) and driver.interval > 0 and _number(driver.fastest) and driver.fastest >= 0):
        raise wrong("its driver's 'interval' and 'fastest' are no seconds")
    if not (driver.frozen_after is None or (type(driver.frozen_after) is int and driver.frozen_after > 0)):
        raise wrong("its driver's 'frozen_after' is no number of measurements")
    if not (isinstance(driver.options, tuple) and all(isinstance(option, Option) for option in driver.options)):
        raise wrong("its driver's 'options' are no tuple of Option")
    if not isinstance(driver.ranges, Mapping):
        raise wrong("its driver's 'ranges' are no range by channel")
    if issubclass(driver, Streaming):
        rates = getattr(driver, "rates", ())
        if not (isinstance(rates, tuple) and rates and all(_number(rate) and rate > 0 for rate in rates)):
            raise wrong("its driver does not say which rates it keeps, as a tuple of numbers in Hz")
    try:
        channels.add(driver.quantities, f"sensor {name!r}")
    except (ChannelRefused, TypeError) as error:
        raise UnknownSensor(str(error) if isinstance(error, ChannelRefused) else str(wrong("its 'quantities' are no tuple"))) from error
    for key in driver.channels:
        try:
            channels.quantity(key)
        except KeyError:
            raise wrong(
                f"its driver measures {key!r}, which no channel table has; declare it in 'quantities', or under {channels.GROUP}"
            ) from None
    return driver


def _texts(value: object) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(item, str) for item in value) and len(set(value)) == len(value)


def _address(value: object) -> bool:
    return type(value) is int and FIRST_ADDRESS <= value <= LAST_ADDRESS


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
