"""BME280 and BMP280: the data sheets' numbers, an independent driver, and what a weak supply does."""

from __future__ import annotations

import random
from typing import Any

import pytest
from bme280pi.readout import read_sensor  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from bramble_client.hal import errors
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.bme280 import BME280, humidity_calibration, relative_humidity
from bramble_client.hal.drivers.bmp280 import BMP280, Calibration
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.chips import bme280 as chips
from bramble_client.hal.sim.chips import bmp280 as chips_bmp
from bramble_client.hal.sim.scene import Scene
from tests.edge_client.hal.conftest import Still
from tests.examples import examples

WORKED = Calibration((27504, 26435, -1000), (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000))


def open_chip(chip: type[chips_bmp.BMP280] = chips.BME280, /, **options: Any) -> tuple[Still, chips_bmp.BMP280, SimulatedBus, VirtualClock]:
    world, clock = Still(), VirtualClock()
    bus = SimulatedBus(clock)
    model = chip(Scene(world, clock), clock, **options)
    bus.attach(0x76, model)
    return world, model, bus, clock


def test_the_data_sheets_worked_example() -> None:
    """BMP280 data sheet, section 3.12: adc_T = 519888 and adc_P = 415148 are 25.08 °C and 100653.27 Pa."""
    fine = WORKED.fine(519888)
    assert fine == 128422
    assert (fine * 5 + 128 >> 8) / 100 == 25.08
    assert WORKED.pressure(415148, fine) == pytest.approx(1006.5327, abs=0.0005)


def test_the_chip_makes_the_worked_examples_readings() -> None:
    """The same example backwards: at 25.0825 °C and 100653.27 Pa the chip's converter shows those two numbers."""
    _, model, _, _ = open_chip(chips_bmp.BMP280)
    adc_t, fine = model._adc_temperature(128422 / 5120)
    assert adc_t == pytest.approx(519888, abs=1)
    assert model._adc_pressure(100653.27, fine) == pytest.approx(415148, abs=1)


@pytest.mark.parametrize(
    ("block", "h4", "h5"),
    [
        (bytes((0x72, 0x01, 0xFF, 0x13, 0x29, 0x03, 0x1E)), 0x139, 0x032),
        (bytes((0x72, 0x01, 0xFF, 0x80, 0x0F, 0xFF, 0x80)), -2033, -16),
        (bytes((0x72, 0x01, 0xFF, 0xFF, 0xF0, 0x80, 0x80)), -16, -2033),
    ],
)
def test_humidity_calibration_is_signed_where_the_data_sheet_says_so(block: bytes, h4: int, h5: int) -> None:
    first = bytes(25) + b"\xc8"
    h1, h2, h3, *rest = humidity_calibration(first, block)
    assert (h1, h2, h3) == (200, 370, 255), "dig_H1 and dig_H3 are unsigned"
    assert rest == [h4, h5, 30 if block[6] == 0x1E else -128]


def test_humidity_stays_between_0_and_100() -> None:
    h = (75, 370, 0, 313, 50, 30)
    assert relative_humidity(0, 128422, h) == 0
    assert relative_humidity(0xFFFF, 128422, h) == 100


class Smbus:
    """What the independent driver expects of its bus, over ours."""

    def __init__(self, bus: SimulatedBus, clock: VirtualClock) -> None:
        self._bus, self._clock = bus, clock

    def write_byte_data(self, address: int, register: int, value: int) -> None:
        self._bus.transfer(address, bytes((register, value)))

    def read_i2c_block_data(self, address: int, register: int, length: int) -> list[int]:
        self._clock.sleep(0.02)  # instead of the driver's own wait, which a virtual clock does not see
        return list(self._bus.transfer(address, bytes((register,)), length))


def trims(rng: random.Random) -> dict[str, tuple[int, ...]]:
    """Return a random calibration: every parameter across what chips of this kind have, H3 and H5 across all they can hold."""
    return {
        "trim_t": (rng.randint(26000, 29000), rng.randint(24500, 28000), rng.randint(-1200, 100)),
        "trim_p": (
            rng.randint(34000, 40000),
            rng.randint(-11500, -9500),
            rng.randint(2800, 3200),
            rng.randint(0, 9000),
            rng.randint(-200, 250),
            -7,
            rng.randint(9000, 15500),
            rng.randint(-14600, -8000),
            rng.randint(4000, 6500),
        ),
        "trim_h": (
            rng.randint(0, 90),
            rng.randint(330, 390),
            rng.randint(0, 255),
            rng.randint(280, 360),
            rng.randint(-2048, 2047) if rng.random() < 0.5 else rng.randint(-60, 60),
            rng.randint(-128, 127),
        ),
    }


@pytest.mark.parametrize("seed", range(200))
def test_it_agrees_with_an_independent_driver_over_random_calibrations(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bme280pi.readout.time.sleep", lambda seconds: None)
    rng = random.Random(seed)
    world, model, bus, clock = open_chip(seed=seed, **trims(rng))
    world.values.update(temperature=rng.uniform(-20, 60), humidity=rng.uniform(5, 95), pressure=rng.uniform(600, 1090))
    driver = BME280(bus, 0x76, clock)
    driver.setup()
    ours = driver.read().values
    model.frozen = True  # the same conversion for both
    theirs = read_sensor(Smbus(bus, clock), 0x76, oversampling={"temperature": 1, "pressure": 1, "humidity": 1})
    assert ours["temperature"] == pytest.approx(theirs["temperature"], abs=0.011)
    assert ours["pressure"] == pytest.approx(theirs["pressure"], abs=0.02)
    assert ours["humidity"] == pytest.approx(theirs["humidity"], abs=0.05)


@settings(max_examples=examples(60))
@given(st.floats(-40, 84), st.floats(1, 99), st.floats(310, 1090), st.integers(0, 10**6))
def test_what_the_chip_feels_is_what_is_read(temperature: float, humidity: float, pressure: float, seed: int) -> None:
    world, _, bus, clock = open_chip(seed=seed)
    world.values.update(temperature=temperature, humidity=humidity, pressure=pressure)
    driver = BME280(bus, 0x76, clock)
    driver.setup()
    values = driver.read().values
    assert values["temperature"] == pytest.approx(temperature, abs=0.05)
    assert values["humidity"] == pytest.approx(humidity, abs=0.2)
    assert values["pressure"] == pytest.approx(pressure, abs=0.2)


def test_siblings_are_told_apart_by_their_id() -> None:
    for chip, right, wrong in ((chips.BME280, BME280, BMP280), (chips_bmp.BMP280, BMP280, BME280)):
        _, _, bus, clock = open_chip(chip)
        assert right.identify(bus, 0x76)
        assert not wrong.identify(bus, 0x76)
        with pytest.raises(errors.WrongChip, match=f'that is the {right.chip}; write driver = "{right.name}"'):
            wrong(bus, 0x76, clock).setup()


def test_a_bmp280_has_no_humidity() -> None:
    world, _, bus, clock = open_chip(chips_bmp.BMP280)
    driver = BMP280(bus, 0x76, clock)
    driver.setup()
    values = driver.read().values
    assert set(values) == {"temperature", "pressure"}
    assert values["pressure"] == pytest.approx(world.values["pressure"], abs=0.2)


def test_the_time_stamp_is_the_conversions() -> None:
    _, _, bus, clock = open_chip()
    driver = BME280(bus, 0x76, clock)
    driver.setup()
    before = clock.monotonic()
    assert before < driver.read().at <= before + BME280.conversion_s


@pytest.mark.parametrize("moment", ["between measurements", "while measuring"])
def test_a_brown_out_is_never_a_reading(moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, model, bus, clock = open_chip()
    driver = BME280(bus, 0x76, clock)
    driver.setup()
    driver.read()
    if moment == "between measurements":
        model.power_on()
    else:
        monkeypatch.setattr(clock, "sleep", lambda seconds: model.power_on())
    with pytest.raises(errors.SettingsLost, match="check its power supply"):
        driver.read()
    monkeypatch.undo()
    driver.setup()
    assert driver.read().values["temperature"] == pytest.approx(21.37, abs=0.05)


def test_a_chip_that_never_finishes_is_reported() -> None:
    _, model, bus, clock = open_chip()
    driver = BME280(bus, 0x76, clock)
    driver.setup()
    model.refresh = lambda: None  # type: ignore[method-assign]
    with pytest.raises(errors.NotReady, match="longer than its data sheet allows"):
        driver.read()


def test_a_chip_that_never_loads_its_calibration_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    _, model, bus, clock = open_chip()
    monkeypatch.setattr(model, "refresh", lambda: model.memory.__setitem__(0xF3, 1))
    with pytest.raises(errors.NotReady, match="did not load its calibration"):
        BME280(bus, 0x76, clock).setup()


class Flipping:
    """Flips one bit of the chosen transfer, counted from 0."""

    def __init__(self, bus: SimulatedBus, which: int) -> None:
        self._bus, self._which, self._count = bus, which, -1
        self.name, self.scan, self.close = bus.name, bus.scan, bus.close

    def transfer(self, address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        data = self._bus.transfer(address, write, read, once)
        self._count += read > 0
        if read and self._count == self._which:
            return data[:-1] + bytes((data[-1] ^ 0x40,))
        return data


def test_damaged_bytes_are_noticed_in_data_and_in_the_calibration() -> None:
    _, _, bus, clock = open_chip()
    reads_of_setup = 6  # id, status, and both calibration blocks twice
    for which in range(2, reads_of_setup):
        with pytest.raises(errors.UnsteadyRead, match="shorten the wires"):
            BME280(Flipping(bus, which), 0x76, clock).setup()
    for which in range(reads_of_setup, reads_of_setup + 2):
        driver = BME280(Flipping(bus, which), 0x76, clock)
        driver.setup()
        with pytest.raises(errors.UnsteadyRead, match="shorten the wires"):
            driver.read()


def test_an_order_to_measure_that_got_lost_is_given_again() -> None:
    """Without a new conversion the old data would pass for new ones."""
    world, model, bus, clock = open_chip()
    driver = BME280(bus, 0x76, clock)
    driver.setup()
    driver.read()
    world.values["temperature"] = 30.0
    lost = [True]
    original = model.store

    def store(address: int, value: int) -> None:
        if not (address == 0xF4 and lost and lost.pop()):
            original(address, value)

    model.store = store  # type: ignore[method-assign]
    assert driver.read().values["temperature"] == pytest.approx(30.0, abs=0.05)
