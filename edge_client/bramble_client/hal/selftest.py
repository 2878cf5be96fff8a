"""Checks of every sensor, one by one, each with what to do where it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isnan

from bramble_client.hal.board import Board, Pace
from bramble_client.hal.channels import quantity
from bramble_client.hal.drivers.base import Driver, Measurement, Streaming, guarded
from bramble_client.hal.errors import SensorError
from bramble_client.hal.sensor import Sensor

READS = 10
"""Reads of each sensor, to see how many arrive undamaged and how long they take."""
STREAM_S = 1.0
ON_TIME = 0.99


@dataclass(frozen=True)
class Check:
    """One question, and its answer."""

    sensor: str
    what: str
    passed: bool
    note: str
    blind: str = ""
    """The note without what was measured, where it says that."""

    @property
    def told(self) -> str:
        """What may be sent to somebody who is to know no reading."""
        return self.blind or self.note


def selftest(board: Board) -> Iterator[Check]:
    """Check of every sensor that it is there and the right chip, that its bytes arrive, its values are plausible, and it keeps its rate."""
    for problem in board.problems:
        yield Check("configuration", "described", False, str(problem))
    for sensor, pace in zip(board.sensors, board.paces, strict=True):
        yield from _sensor(board, sensor, pace)


def _sensor(board: Board, sensor: Sensor, pace: Pace) -> Iterator[Check]:
    driver = sensor.driver
    board.advance()
    identity = _attempt(sensor, "identity", lambda: _identity(driver))
    yield identity
    if not identity.passed:
        return
    ready = _attempt(sensor, "setup", lambda: _setup(driver))
    yield ready
    if not ready.passed:
        return
    measurements, errors, seconds = _reads(driver)
    yield Check(sensor.name, "bytes", not errors, _spoilt(errors, len(errors) + len(measurements)))
    if measurements:
        yield _plausible(sensor, measurements)
        yield _rate(sensor, pace, seconds)
    if pace.rate is not None and isinstance(driver, Streaming):
        yield _attempt(sensor, "stream", lambda: _stream(driver, pace.rate or 0.0))


def _attempt(sensor: Sensor, what: str, action: Callable[[], str]) -> Check:
    try:
        with guarded(sensor.driver):
            return Check(sensor.name, what, True, action())
    except SensorError as error:
        return Check(sensor.name, what, False, str(error))


def _identity(driver: Driver) -> str:
    if not driver.identify(driver.bus, driver.address):
        raise SensorError(f"what answers at {driver.address:#04x} is no {driver.chip}; run `bramble sensors scan` to see what sits there")
    return f"{driver}" if driver.certain else f"perhaps {driver}: it has no identity to prove it"


def _setup(driver: Driver) -> str:
    driver.setup()
    return "done"


def _reads(driver: Driver) -> tuple[list[Measurement], list[SensorError], float]:
    """Read some times, and return what came, what went wrong, and the longest time that a read took."""
    measurements: list[Measurement] = []
    errors: list[SensorError] = []
    longest = 0.0
    for _ in range(READS if driver.fastest < 1 else 2):
        start = driver.clock.monotonic()
        try:
            with guarded(driver):
                measurements.append(driver.read())
            longest = max(longest, driver.clock.monotonic() - start)
        except SensorError as error:
            errors.append(error)
    return measurements, errors, longest


def _spoilt(errors: list[SensorError], reads: int) -> str:
    return f"{len(errors)} of {reads} reads failed, such as: {errors[-1]}" if errors else "all arrived undamaged"


def _plausible(sensor: Sensor, measurements: list[Measurement]) -> Check:
    values = measurements[-1].values
    bad = [key for key, value in values.items() if not _possible(sensor, key, value)]
    shown = ", ".join(
        f"{key} beyond the chip" if isnan(value) else f"{key} {value:.2f} {quantity(key).unit}" for key, value in values.items()
    )
    blind = f"{', '.join(bad)} cannot be: replace the sensor, or check what it is wired to" if bad else f"{', '.join(values)} can be"
    return Check(sensor.name, "plausible", not bad, f"{shown}; {blind}" if bad else shown, blind)


def _possible(sensor: Sensor, key: str, value: float) -> bool:
    low, high = sensor.driver.measurable(key)
    return low <= value <= high and not quantity(key).doubtful(value)


def _rate(sensor: Sensor, pace: Pace, seconds: float) -> Check:
    if pace.rate is not None:
        return Check(sensor.name, "rate", True, f"one read takes {seconds * 1000:.0f} ms; the queue is tried below")
    passed = seconds <= pace.every
    remedy = "" if passed else "; ask for it less often, or speed the bus up with dtparam=i2c_arm_baudrate=400000"
    return Check(sensor.name, "rate", passed, f"one read takes {seconds * 1000:.0f} ms of {pace.every:g} s{remedy}")


def _stream(driver: Streaming, hertz: float) -> str:
    driver.start(hertz)
    began, count = driver.clock.monotonic(), 0
    while driver.clock.monotonic() - began < STREAM_S:
        driver.clock.sleep(driver.patience(hertz))
        count += len(driver.drain())
    wanted = (driver.clock.monotonic() - began) * hertz
    if count < ON_TIME * wanted - 1:
        raise SensorError(
            f"{count} of {wanted:.0f} conversions came at {hertz:g} Hz; speed the bus up with dtparam=i2c_arm_baudrate=400000"
        )
    return f"{count} of {wanted:.0f} conversions came at {hertz:g} Hz"
