"""What every driver must hold, with its simulated chip: the tests that built-in drivers and third parties' pass alike.

A test module derives one class and names the two::

    class TestMyChip(DriverContract):
        driver, chip = MyDriver, MyChip
        tolerance = {"temperature": 0.2}
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, ClassVar

from bramble_client.hal import declared
from bramble_client.hal.bus import I2CBus
from bramble_client.hal.channels import quantity
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.base import Driver, Measurement
from bramble_client.hal.errors import NoAcknowledge, SensorError
from bramble_client.hal.sensor import Sensor
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.chips.base import Chip
from bramble_client.hal.sim.scene import Scene, World
from bramble_client.hal.sim.world import Synthetic

FAR = 1e6
"""Beyond what any sensor measures, in any unit."""
START = 1_683_000_000.0
"""A spring noon, when the synthetic world has light, people and motion."""


class Rig:
    """A driver and its chip on a simulated bus, in a synthetic world."""

    def __init__(
        self,
        driver: type[Driver],
        chip: type[Chip],
        truth: Callable[[Scene, str], float],
        seed: str = "contract",
        world: World | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.scene = Scene(world or Synthetic(seed), self.clock)
        self.scene.follow(START)
        self.bus = SimulatedBus(self.clock)
        self.chip = chip(self.scene, self.clock, seed)
        self.bus.attach(driver.addresses[0], self.chip)
        self.driver = driver(self.bus, None, self.clock)
        self._truth = truth

    def errors(self, measurement: Measurement) -> dict[str, float]:
        """Return how far each value is from what the world had at the measurement's time."""
        with self.scene.shifted(measurement.at - self.clock.monotonic()):
            return {key: abs(value - self._truth(self.scene, key)) for key, value in measurement.values.items()}


class Beyond:
    """A world in which one quantity is far beyond what a sensor can measure."""

    def __init__(self, world: World, key: str, value: float) -> None:
        self.channels: Collection[str] = world.channels
        self._world, self._key, self._value = world, key, value

    def at(self, t: float) -> Mapping[str, float]:
        """Return the true values at a time."""
        values = {key: value for key, value in self._world.at(t).items() if value is not None} | {self._key: self._value}
        if self._key in ("voltage", "current"):
            values["power"] = values["voltage"] * values["current"]
        return values


class Wrapped:
    """A bus around another; what a subclass does not change is passed on."""

    name = "a bus with a fault"

    def __init__(self, bus: I2CBus) -> None:
        self._bus = bus

    def scan(self) -> list[int]:
        """Return the addresses that answer."""
        return self._bus.scan()

    def close(self) -> None:
        """Release the bus."""
        self._bus.close()


class PowerFails(Wrapped):
    """A bus whose chip is without power for a moment before one of the transfers."""

    def __init__(self, bus: I2CBus, which: int, chip: Chip) -> None:
        super().__init__(bus)
        self._left, self._chip = which, chip

    def transfer(self, address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        """Carry out the transfer."""
        if self._left == 0:
            self._chip.power_on()
        self._left -= 1
        return self._bus.transfer(address, write, read, once)


class OneFlip(Wrapped):
    """A bus that flips one bit of one transfer, in what is written or in what is read."""

    def __init__(self, bus: I2CBus, which: int, rng: random.Random, written: bool) -> None:
        super().__init__(bus)
        self._left, self._rng, self._written = which, rng, written

    def transfer(self, address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        """Carry out the transfer, with its flip if this is the one."""
        mine = bool(write if self._written else read)
        hit = mine and self._left == 0
        self._left -= mine
        data = self._bus.transfer(address, self._flip(write) if hit and self._written else write, read, once)
        return self._flip(data) if hit and not self._written else data

    def _flip(self, data: bytes) -> bytes:
        bit = self._rng.randrange(8 * len(data))
        return bytes(byte ^ (1 << bit % 8 if i == bit // 8 else 0) for i, byte in enumerate(data))


class DriverContract:
    """Derive from this, and name the driver, its chip, and how exact they are together."""

    driver: ClassVar[type[Driver]]
    chip: ClassVar[type[Chip]]
    tolerance: ClassVar[Mapping[str, float]]
    """Largest error of each channel, noise and resolution included."""
    beyond: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """How low and how high a quantity is taken to see that the chip's limits are no readings, where not everything can happen."""

    def truth(self, scene: Scene, key: str) -> float:
        """Return what a channel should show; override where it is not the world's quantity of that name."""
        return scene.value(key)

    def rig(self, **options: Any) -> Rig:
        """Return a fresh driver and chip; a channel that the driver brings along is in the table from now on."""
        declared.check(self.driver.name, self.driver)
        return Rig(self.driver, self.chip, self.truth, **options)

    def right(self, rig: Rig, measurement: Measurement) -> bool:
        """Say whether every value is within the tolerance of the truth; NaN is no value, and nothing takes it for one."""
        return not any(error > self.tolerance[key] for key, error in rig.errors(measurement).items())

    def test_its_channels_are_in_the_table(self) -> None:
        """What the driver declares can be used: every channel is a quantity of the table, or its own, and has a tolerance."""
        assert declared.check(self.driver.name, self.driver) is self.driver
        assert self.driver.channels
        assert all(quantity(key) for key in self.driver.channels)
        assert set(self.tolerance) == set(self.driver.channels)

    def test_it_recognises_its_chip_without_changing_it(self) -> None:
        """A scan finds the chip while it is in use, and does no harm."""
        rig = self.rig()
        rig.driver.setup()
        rig.driver.read()
        assert self.driver.identify(rig.bus, rig.driver.address)
        assert self.right(rig, rig.driver.read())

    def test_it_reads_what_the_world_has(self) -> None:
        """Values are true, complete, and stamped with the conversion's time."""
        for seed in ("a", "b", "c"):
            rig = self.rig(seed=seed)
            rig.driver.setup()
            for _ in range(5):
                before = rig.clock.monotonic()
                measurement = rig.driver.read()
                assert tuple(measurement.values) == self.driver.channels
                assert before - self.driver.interval <= measurement.at <= rig.clock.monotonic()
                assert self.right(rig, measurement), rig.errors(measurement)
                rig.clock.sleep(max(self.driver.fastest, 30.0))

    def test_what_is_beyond_the_chip_is_no_reading(self) -> None:
        """A code at which the chip saturates is not passed on as if it were measured; it is `OUT_OF_RANGE`, and the driver goes on."""
        for key, value in self._extremes():
            rig = self.rig(world=Beyond(Synthetic("contract"), key, value))
            rig.driver.setup()
            for _ in range(2):
                measurement = rig.driver.read()
                assert self.right(rig, measurement), f"with a {key} of {value:g} it measured {dict(measurement.values)}"
                rig.clock.sleep(max(self.driver.fastest, 1.0))

    def test_setup_works_from_any_state(self) -> None:
        """Setting up again is harmless."""
        rig = self.rig()
        for _ in range(3):
            rig.driver.setup()
            assert self.right(rig, rig.driver.read())

    def test_an_impostor_is_refused(self) -> None:
        """A chip that says that it is another one is neither recognised nor set up."""
        rig = self.rig()
        if not self.driver.certain:
            return
        rig.chip.impostor = True
        assert not self._recognised(rig)
        assert str(rig.driver) in _failure(rig.driver.setup, SensorError)

    def test_a_missing_chip_is_no_acknowledge(self) -> None:
        """Setup and read both notice that nothing answers."""
        rig = self.rig()
        rig.driver.setup()
        rig.bus.detach(rig.driver.address)
        for action in (rig.driver.setup, rig.driver.read):
            assert hex(rig.driver.address) in _failure(action, NoAcknowledge)

    def test_a_brown_out_is_never_a_wrong_reading(self) -> None:
        """Power-on values are not passed on, and the sensor recovers within one reading."""
        rig = self.rig()
        sensor = Sensor(rig.driver)
        sensor.read()
        for _ in range(5):
            rig.chip.power_on()
            readings = sensor.read()
            assert all(reading.good for reading in readings), sensor.error
            assert self.right(rig, Measurement(readings[0].monotonic, {r.channel: r.value for r in readings if r.value is not None}))
            rig.clock.sleep(self.driver.fastest)

    def test_a_brown_out_at_any_moment_is_never_a_wrong_reading(self) -> None:
        """Whichever transfer of a measurement the power fails before, the driver notices, or the value is true."""
        for which in range(40):
            rig = self.rig()
            rig.driver.setup()
            rig.driver.read()
            rig.clock.sleep(self.driver.fastest)
            weak = self.driver(PowerFails(rig.bus, which, rig.chip), rig.driver.address, rig.clock)
            try:
                weak.setup()
                measurement = weak.read()
            except SensorError:
                continue
            assert self.right(rig, measurement), f"power failed before transfer {which}: {rig.errors(measurement)}"

    def test_a_flipped_bit_is_never_a_wrong_reading(self) -> None:
        """One damaged bit, in any transfer and either direction, is noticed or harmless."""
        rng = random.Random(0)
        for written in (False, True):
            for which in range(40):
                rig = self.rig()
                rig.driver.setup()
                rig.driver.read()
                rig.clock.sleep(self.driver.fastest)
                damaged = self.driver(OneFlip(rig.bus, which, rng, written), rig.driver.address, rig.clock)
                try:
                    damaged.setup()
                    measurement = damaged.read()
                except SensorError:
                    continue
                assert self.right(rig, measurement), f"bit flipped in transfer {which}: {rig.errors(measurement)}"

    def test_a_frozen_chip_does_not_raise(self) -> None:
        """Data registers that stand still are for the judge, not for the driver."""
        rig = self.rig()
        sensor = Sensor(rig.driver)
        sensor.read()
        rig.chip.frozen = True
        for _ in range(3):
            rig.clock.sleep(self.driver.fastest)
            assert all(reading.value is not None for reading in sensor.read()), sensor.error

    def _extremes(self) -> Iterator[tuple[str, float]]:
        for key in dict.fromkeys(channel.rpartition(".")[2] for channel in self.driver.channels):
            if key == "power":  # nothing by itself: it follows from voltage and current
                continue
            row = quantity(key)
            for value in self.beyond.get(key, (max(row.least, -FAR), min(row.most, FAR))):
                yield key, value

    def _recognised(self, rig: Rig) -> bool:
        try:
            return self.driver.identify(rig.bus, rig.driver.address)
        except SensorError:
            return False


def _failure(action: Callable[[], object], kind: type[SensorError]) -> str:
    """Return what an action complains of; that it does not is the failure of a test."""
    try:
        action()
    except kind as error:
        return str(error)
    raise AssertionError(f"{action} should have raised {kind.__name__}")
