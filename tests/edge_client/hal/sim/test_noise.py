"""The chips' own noise: as large as their data sheets say, different from chip to chip, and the same again."""

from __future__ import annotations

from statistics import mean, stdev

import pytest

from bramble_client.hal import catalogue
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.scene import Scene
from tests.edge_client.hal.bench import WORLD, Flat

NOISE = [  # chip, channel, standard deviation with the driver's settings, and where it is from
    ("tmp117", "temperature", 0.0058),  # SNOSD82D, section 8.2.2.1: less than one step with 8 averages
    ("bme280", "temperature", 0.005),  # BST-BME280, table 11, temperature resolution and noise at oversampling of 1
    ("bme280", "humidity", 0.02),  # section 3.4.3, table 12
    ("bme280", "pressure", 0.026),  # section 3.4.3: between 1.3 and 3.3 Pa, by oversampling
    ("sht3x", "temperature", 0.02),  # SHT3x-DIS, table 2: repeatability of 0.04 is two of them
    ("sht3x", "humidity", 0.04),
    ("sht4x", "temperature", 0.02),
    ("sht4x", "humidity", 0.04),
    ("scd4x", "carbon_dioxide", 10.0),  # SCD4x, table 1: repeatability of 10 ppm
    ("scd4x", "temperature", 0.05),
    ("scd4x", "humidity", 0.1),
    ("adxl345", "acceleration_x", 0.04),  # ADXL345, table 1: about one step
    ("mpu6050", "acceleration_x", 0.03),  # PS-MPU-6000A, section 6.2: 400 ug per root of Hz, with margin
    ("mpu6050", "rotation_z", 0.05),  # section 6.1: 0.05 °/s
    ("shtc3", "temperature", 0.05),  # SHTC3, table 2: repeatability of 0.1 is two of them
    ("shtc3", "humidity", 0.05),  # table 1
    ("vl53l0x", "distance", 4.0),  # half a per cent
    ("bmp390", "temperature", 0.003),  # BMP390, table 2: noise of pressure with 8 and of temperature with 1
    ("bmp390", "pressure", 0.009),
    ("aht20", "temperature", 0.01),  # AHT20, tables 1 and 2: resolution
    ("aht20", "humidity", 0.024),
    ("sgp40", "voc_raw", 10.0),
    ("ina226", "voltage", 0.0005),  # as of a step of 1.25 mV
    ("ina219", "voltage", 0.001),  # a quarter of the step of 4 mV
]


def series(name: str, channel: str, seed: str, count: int = 300) -> list[float]:
    clock = VirtualClock()
    bus = SimulatedBus(clock)
    kind = catalogue.driver(name)
    bus.attach(kind.addresses[0], catalogue.chip(name)(Scene(Flat(**WORLD), clock), clock, seed))
    driver = kind(bus, None, clock)
    driver.setup()
    values = []
    for _ in range(count):
        clock.sleep(max(kind.fastest, 0.02))
        values.append(driver.read().values[channel])
    return values


@pytest.mark.parametrize(("name", "channel", "deviation"), NOISE)
def test_values_scatter_around_the_truth_as_the_data_sheet_says(name: str, channel: str, deviation: float) -> None:
    values = series(name, channel, "a")
    assert stdev(values) == pytest.approx(deviation, rel=0.2)
    assert mean(values) == pytest.approx(WORLD[channel], abs=0.005 * abs(WORLD[channel]) + deviation)


@pytest.mark.parametrize("name", ["tmp117", "bme280", "sht3x", "scd4x", "mpu6050"])
def test_two_chips_differ_and_each_is_the_same_again(name: str) -> None:
    channel = catalogue.driver(name).channels[0]
    first = series(name, channel, "a", 20)
    assert series(name, channel, "a", 20) == first
    assert series(name, channel, "b", 20) != first
