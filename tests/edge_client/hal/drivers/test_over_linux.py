"""Every driver over the kernel's bus: smbus2's own code, with chips behind a faked ioctl, with I2C_RDWR and without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bramble_client.hal import catalogue
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.linux import LinuxBus
from bramble_client.hal.sensor import Sensor
from bramble_client.hal.sim.scene import Scene
from bramble_client.hal.sim.world import Synthetic
from tests.edge_client.hal.drivers.test_contract import TOLERANCE
from tests.edge_client.hal.kernel import Kernel

COMMANDS = {"sht3x", "scd4x", "sht4x", "bh1750", "shtc3", "aht20", "sgp40"}
"""Chips that are read without naming a register, which SMBus calls cannot do for more than a byte."""


@pytest.mark.parametrize("name", sorted(TOLERANCE))
@pytest.mark.parametrize("plain", [True, False], ids=["i2c", "smbus"])
def test_a_driver_reads_the_same_over_the_kernels_bus(
    name: str, plain: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    kernel = Kernel(tmp_path / "i2c", plain)
    kernel.install(monkeypatch)
    scene = Scene(Synthetic("kernel"), clock)
    scene.pin(1_683_000_000.0)
    kind = catalogue.driver(name)
    kernel.chips[kind.addresses[0]] = catalogue.chip(name)(scene, clock)
    bus = LinuxBus(1, clock)
    driver = kind(bus, None, clock)
    if not plain and name in COMMANDS:
        (reading, *_) = Sensor(driver).read()
        assert reading.value is None
        assert "use another bus for this sensor" in caplog.text
    else:
        assert kind.identify(bus, driver.address)
        driver.setup()
        for key, value in driver.read().values.items():
            truth = scene.value(key) if name != "ads1115" else scene.value("voltage") * (0.25, 0.2, 0.1, 0.05)[int(key[1])]
            assert value == pytest.approx(truth, abs=TOLERANCE[name][key])
    bus.close()
