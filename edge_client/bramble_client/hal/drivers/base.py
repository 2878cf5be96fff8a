"""What every driver offers. It knows its chip, an address and a clock, and never which bus it is on."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.channels import Quantity, quantity
from bramble_client.hal.clock import Clock, SystemClock
from bramble_client.hal.drivers.identity import Identity
from bramble_client.hal.drivers.options import Option
from bramble_client.hal.errors import DriverFailure, SensorError, SettingsLost, UnsteadyRead

T = TypeVar("T")
NAME = "[a-z][a-z0-9_]{0,30}"
"""What a driver, and a sensor, may be called: reports, files and channels carry the name."""


OUT_OF_RANGE = float("nan")
"""The value of a channel that the chip cannot show because it lies beyond what the chip can measure."""


class Measurement(NamedTuple):
    """One conversion: when the chip made it (monotonic seconds), and its values by channel, ``OUT_OF_RANGE`` where it saturated."""

    at: float
    values: Mapping[str, float]


class Driver(ABC):
    """One chip at one address.

    A driver raises ``SensorError`` for everything that goes wrong, and never returns a value that it has reason to doubt: the code at which
    a chip saturates becomes ``OUT_OF_RANGE``, see ``within``.
    """

    name: ClassVar[str]
    """What configuration and commands call it, for instance ``bme280``."""
    chip: ClassVar[str]
    """What the chip's maker calls it."""
    addresses: ClassVar[tuple[int, ...]]
    """Where the chip can sit, the usual address first."""
    on_bus: ClassVar[bool] = True
    """Whether it sits on an I2C bus of ours; what the kernel reads has no address there."""
    channels: ClassVar[tuple[str, ...]]
    """Keys of the channel table that one measurement has."""
    quantities: ClassVar[tuple[Quantity, ...]] = ()
    """Rows that this driver adds to the channel table, where it measures what the table does not have."""
    interval: ClassVar[float] = 60.0
    """Usual seconds between measurements."""
    fastest: ClassVar[float] = 1.0
    """Fewest seconds between measurements that the chip and this driver can keep up."""
    certain: ClassVar[bool] = True
    """Whether ``identify`` can prove the chip; some have no identity, and then it can only rule others out."""
    frozen_after: ClassVar[int | None] = None
    """How many equal measurements in a row mean that the chip is stuck; None where a healthy chip may repeat itself for hours."""
    ranges: Mapping[str, tuple[float, float]] = {}
    """What the chip can measure, by channel, where the channel table's range is not its own; options may change it."""
    options: ClassVar[tuple[Option, ...]] = ()
    """Keys of ``[[sensor]]`` that it takes beside those of every sensor; ``__init__`` gets what is set there by keyword."""
    identity: ClassVar[Identity | None] = None
    """The register that says what the chip is, where it has one."""

    def __init__(self, bus: I2CBus, address: int | None = None, clock: Clock | None = None) -> None:
        self.bus = bus
        self.address = self.addresses[0] if address is None else address
        self.clock = clock or SystemClock()

    @classmethod
    def configured(cls, options: Mapping[str, Any]) -> type[Driver]:
        """Return the class for some options: a derived one where, say, the channels depend on them."""
        return cls

    @classmethod
    def usual_name(cls) -> str:
        """Return what a sensor is called if nobody says it."""
        return cls.name

    @classmethod
    @abstractmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether this chip is at the address, by what it says of itself. Must not change the chip's settings."""

    @abstractmethod
    def setup(self) -> None:
        """Check the chip's identity, then bring it from any state to where ``read`` works. Also used after a brown-out."""

    @abstractmethod
    def read(self) -> Measurement:
        """Measure once."""

    def close(self) -> None:  # noqa: B027
        """Let go of what it holds beside its bus; one may override it. Closing twice does no harm."""

    def measurable(self, key: str) -> tuple[float, float]:
        """Return from where to where the chip can measure a channel, its options included; beyond, a value is an error."""
        row = quantity(key)
        return self.ranges.get(key, (row.low, row.high))

    def _settings_lost(self) -> SettingsLost:
        """Return the error of a chip that shows power-on values where the driver had written settings."""
        return SettingsLost(f"{self} lost its settings, as after a brown-out; check its power supply")

    def __str__(self) -> str:
        return f"{self.chip} at {self.address:#04x}"


def within(raw: int, low: int, high: int, value: float) -> float:
    """Return a value, or NaN if its code is one of the two at which the chip saturates: the truth may lie anywhere beyond.

    Parameters
    ----------
    raw
        The code that the chip gave.
    low, high
        The codes that it gives for everything beyond them.
    value
        What the code means.
    """
    return value if low < raw < high else OUT_OF_RANGE


def steady(read: Callable[[], T], what: object) -> T:
    """Read something that holds still twice, and insist that both agree: the protection for chips without a check sum.

    Raises
    ------
    UnsteadyRead
        If the two differ.
    """
    first = read()
    if read() != first:
        raise UnsteadyRead(f"{what}: two reads of the same registers differ; shorten the wires or slow the bus down")
    return first


def latest(read: Callable[[], T], what: object) -> T:
    """Read a register that changes now and then, without a flag that tells: two reads must agree, or else the next two.

    Raises
    ------
    UnsteadyRead
        If they differ as well: no two conversions end so soon one after the other.
    """
    first = read()
    second = read()
    return second if second == first else steady(read, what)


def one_conversion(read: Callable[[], bytes], fresh: Callable[[bytes], bool], data: slice, what: object) -> bytes:
    """Read registers that change under way until two reads show the same conversion, and insist that both agree.

    Parameters
    ----------
    read
        Reads the registers, the flag for fresh data among them; reading clears the flag.
    fresh
        Takes the flag out of what was read.
    data
        Where the conversion is in it.

    Raises
    ------
    UnsteadyRead
        If the two differ, or no two reads show the same conversion.
    """
    first = read()
    for _ in range(4):
        second = read()
        if not fresh(second):
            if second[data] != first[data]:
                break
            return second
        first = second
    raise UnsteadyRead(f"{what}: two reads of the same conversion differ; shorten the wires or slow the bus down")


def whole(driver: Driver, measurement: Measurement) -> Measurement:
    """Return a measurement that has a number for each of the driver's channels, and nothing else.

    Raises
    ------
    DriverFailure
        If it does not: what comes after relies on it.
    """
    if isinstance(measurement, Measurement) and isinstance(measurement.values, Mapping):
        at, values = measurement
        numbers = all(isinstance(value, int | float | np.number) for value in (at, *values.values()))
        if numbers and math.isfinite(at) and set(values) == set(driver.channels):
            return measurement
    raise DriverFailure(
        f"the driver of {driver} is wrong: it returned {str(measurement)[:200]}, not a number for each of {', '.join(driver.channels)}; "
        "tell its author"
    )


@contextmanager
def guarded(what: object) -> Iterator[None]:
    """Turn a driver's own mistakes into sensor errors: one driver that is wrong must not stop the other sensors.

    Raises
    ------
    DriverFailure
        In place of whatever is no ``SensorError``.
    """
    try:
        yield
    except SensorError:
        raise
    except (Exception, SystemExit) as cause:
        raise DriverFailure(f"the driver of {what} is wrong ({type(cause).__name__}: {cause}); tell its author") from cause


class Streaming(Driver):
    """A driver whose chip keeps conversions in a queue, to be fetched in bursts."""

    rates: ClassVar[tuple[float, ...]]
    """Rates that the chip can keep, Hz."""
    queue: ClassVar[int] = 32
    """Conversions that the queue holds at least."""

    @classmethod
    def patience(cls, hertz: float) -> float:
        """Return for how many seconds the queue may be left alone: half of the time in which it fills, and a tenth at most."""
        return min(0.1, cls.queue / hertz / 2)

    @abstractmethod
    def start(self, hertz: float) -> None:
        """Begin to queue conversions at one of ``rates``. Also used after a brown-out; replaces ``setup``."""

    @abstractmethod
    def drain(self) -> list[Measurement]:
        """Fetch what is in the queue, each conversion with its own time; an empty list if there is nothing yet.

        Raises
        ------
        Overrun
            If the queue was full and conversions were lost.
        """


class Pacer:
    """Dates the conversions of a queue: evenly spaced by the chip's own clock, which no two chips share, and never in the future."""

    def __init__(self, hertz: float) -> None:
        self._period = 1.0 / hertz
        self._last: float | None = None

    def restart(self) -> None:
        """Begin anew: conversions were lost, and the next one does not follow the last."""
        self._last = None

    def most(self, seconds: float) -> int:
        """Return how many conversions may be made in some seconds, by a chip that is a little fast."""
        return int(1.1 * seconds / self._period) + 2

    def stamps(self, count: int, before: float, after: float) -> list[float]:
        """Return the times of the next conversions.

        Parameters
        ----------
        count
            How many were in the queue.
        before, after
            Between which times the chip was asked for that number; a busy machine may let a while pass in between.
        """
        if count == 0:
            return []
        # The chip's clock runs a little faster or slower than it says: follow it, within what is known of the newest conversion
        due = (before + after - self._period) / 2 if self._last is None else self._last + count * self._period
        newest = min(max(due, before - self._period), after)
        since = newest - count * self._period if self._last is None else max(self._last, newest - 2 * count * self._period)
        self._last = newest
        return [since + (newest - since) * (i + 1) / count for i in range(count)]
