"""Real CircuitPython libraries over our bus: they read simulated chips right, and fail as native drivers do. Blinka is not needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bramble_client.hal import catalogue, config, errors, open_board
from bramble_client.hal.clock import HostClock
from bramble_client.hal.drivers.circuitpython import I2C, CircuitPython
from bramble_client.hal.selftest import selftest
from bramble_client.hal.sensor import Sensor
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.faults import Faults, Kind
from bramble_client.hal.sim.scene import Scene
from tests.edge_client.hal.conftest import Still
from tests.edge_client.hal.kernel import Kernel
from tests.warm import ROOT, environment

LIBRARIES = {
    "adafruit_mcp9808.MCP9808": ("mcp9808", 0x18, {"temperature": 0.3}),
    "adafruit_bme280.basic.Adafruit_BME280_I2C": ("bme280", 0x77, {"temperature": 0.1, "humidity": 0.5, "pressure": 0.5}),
    "adafruit_sht31d.SHT31D": ("sht3x", 0x44, {"temperature": 0.1, "humidity": 0.5}),
}


@pytest.fixture
def clock() -> HostClock:
    """Libraries wait with time.sleep, so the chips have to live in real time."""
    return HostClock()


@pytest.fixture
def scene(world: Still, clock: Any) -> Scene:
    return Scene(world, clock)


@pytest.fixture
def bus(clock: Any) -> SimulatedBus:
    return SimulatedBus(clock)


def sensor(bus: SimulatedBus, library: str, clock: Any, **options: Any) -> Sensor:
    driver = CircuitPython.configured({"library": library, **options})
    return Sensor(driver(bus, None, clock), driver.usual_name())


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_reads_what_the_world_has_at_its_own_address(
    library: str, bus: SimulatedBus, scene: Scene, world: Still, clock: Any
) -> None:
    chip, address, tolerance = LIBRARIES[library]
    bus.attach(address, catalogue.chip(chip)(scene, clock))
    readings = sensor(bus, library, clock).read()
    assert {reading.channel for reading in readings} == set(tolerance)
    for reading in readings:
        assert reading.value == pytest.approx(world.values[reading.channel], abs=tolerance[reading.channel])


def test_a_chip_that_goes_is_what_the_bus_says_and_it_comes_back(bus: SimulatedBus, scene: Scene, clock: Any) -> None:
    bus.attach(0x18, catalogue.chip("mcp9808")(scene, clock))
    mine = sensor(bus, "adafruit_mcp9808.MCP9808", clock)
    assert mine.read()[0].good
    chip = bus.detach(0x18)
    assert mine.read()[0].value is None
    assert type(mine.error) is errors.NoAcknowledge
    assert str(mine.error).startswith("the simulated bus: nothing answers at 0x18; check the wiring")
    bus.attach(0x18, chip)
    assert mine.read()[0].good


@pytest.mark.parametrize(
    ("kind", "error"),
    [(Kind.TIMEOUT, errors.BusTimeout), (Kind.BUSY, errors.BusBusy), (Kind.PERMISSION, errors.PermissionDenied)],
)
def test_what_the_bus_says_is_not_lost_in_the_library(
    bus: SimulatedBus, scene: Scene, clock: Any, kind: Kind, error: type[Exception]
) -> None:
    bus.attach(0x18, catalogue.chip("mcp9808")(scene, clock))
    faults = bus.faults = Faults(clock)
    faults.on(kind)
    mine = sensor(bus, "adafruit_mcp9808.MCP9808", clock)
    mine.read()
    assert type(mine.error) is error


def test_bytes_that_fail_the_librarys_check_are_no_reading(bus: SimulatedBus, scene: Scene, clock: Any) -> None:
    bus.attach(0x44, catalogue.chip("sht3x")(scene, clock))
    mine = sensor(bus, "adafruit_sht31d.SHT31D", clock)
    assert mine.read()[0].good
    faults = bus.faults = Faults(clock)
    faults.on(Kind.BAD_CRC)
    assert [reading.value for reading in mine.read()] == [None, None]
    assert "the library could not read it (CRC mismatch)" in str(mine.error)


def test_another_chip_than_the_librarys_is_named(bus: SimulatedBus, scene: Scene, clock: Any) -> None:
    bus.attach(0x77, catalogue.chip("bmp280")(scene, clock))
    mine = sensor(bus, "adafruit_bme280.basic.Adafruit_BME280_I2C", clock)
    mine.read()
    assert type(mine.error) is errors.WrongChip
    assert "the library does not know what answers there (Failed to find BME280! Chip ID 0x58)" in str(mine.error)


def test_a_library_that_is_wrong_costs_only_its_own_sensor(
    bus: SimulatedBus, scene: Scene, clock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "class Odd:\n    def __init__(self, i2c):\n        self.i2c = i2c\n\n    temperature = property(lambda self: 1 / 0)\n"
    (tmp_path / "odd_library.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    mine = sensor(bus, "odd_library.Odd", clock)
    assert mine.read()[0].value is None
    assert "is wrong (ZeroDivisionError" in str(mine.error)


def test_several_values_and_the_units_of_the_design_guide(
    bus: SimulatedBus, clock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "class Motion:\n    acceleration = (0.0, 0.0, 9.8)\n    gyro = (0.0, 1.0, -1.0)\n    current = 250.0\n"
        "    tilt = (1.5, 2.5)\n    def __init__(self, i2c_bus, addr=0x1D):\n        assert addr == 0x1D\n"
    )
    (tmp_path / "motion_library.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    values = {reading.channel: reading.value for reading in sensor(bus, "motion_library.Motion", clock).read()}
    assert values == pytest.approx(
        {
            "acceleration_x": 0.0, "acceleration_y": 0.0, "acceleration_z": 9.8,
            "rotation_x": 0.0, "rotation_y": 57.29578, "rotation_z": -57.29578, "current": 0.25,
        }
    )  # fmt: skip
    chosen = sensor(bus, "motion_library.Motion", clock, inputs={"temperature": "tilt.1"})
    assert [reading.value for reading in chosen.read()] == [2.5]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ((), "key 'library': is missing: module and class"),
        (('library = "adafruit_nothing.X"',), r"library 'adafruit_nothing.X' cannot be had (No module named 'adafruit_nothing')"),
        (('library = "adafruit_nothing.X"',), "pip install 'bramble-fl[circuitpython]' adafruit-circuitpython-nothing"),
        (('library = "adafruit_mcp9808.Nothing"',), "library 'adafruit_mcp9808.Nothing' cannot be had"),
        (('library = "adafruit_mcp9808"',), "library 'adafruit_mcp9808' cannot be had"),
        (('library = "fractions.Fraction"',), "fractions.Fraction has no property that is known; say which are read"),
        (('library = "adafruit_mcp9808.MCP9808"', 'inputs = { warmth = "temperature" }'), "channel 'warmth' is not in the channel table"),
        (('library = "adafruit_mcp9808.MCP9808"', 'inputs = { temperature = "os.system" }'), "'os.system' is no property"),
        (('library = "adafruit_mcp9808.MCP9808"', "address = 5"), "key 'address': expected an integer from 0x8 to 0x77"),
    ],
)
def test_what_is_described_wrongly_is_named(tmp_path: Path, lines: tuple[str, ...], complaint: str) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text("\n".join(["[[sensor]]", 'driver = "circuitpython"', *lines]))
    sensors, problems = config.load(path)
    assert sensors == []
    assert complaint in str(problems[0])


def test_it_is_configured_like_any_sensor_and_sits_on_the_kernels_bus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene, clock: Any, world: Still
) -> None:
    kernel = Kernel(tmp_path / "i2c")
    kernel.install(monkeypatch)
    kernel.chips[0x1C] = catalogue.chip("mcp9808")(scene, clock)
    kernel.chips[0x76] = catalogue.chip("bme280")(scene, clock)
    path = tmp_path / "sensors.toml"
    path.write_text(
        '[[sensor]]\ndriver = "circuitpython"\nlibrary = "adafruit_mcp9808.MCP9808"\naddress = 0x1C\noffset = { temperature = 1 }\n'
        '[[sensor]]\ndriver = "bme280"\n'
    )
    board = open_board("linux", seed="pi-1", configuration=path)
    values = board.sample()
    assert [sensor.name for sensor in board.sensors] == ["mcp9808", "bme280"]
    assert values["temperature"] == pytest.approx(world.values["temperature"] + 1, abs=0.3)
    assert values["pressure"] == pytest.approx(world.values["pressure"], abs=0.5)
    assert all(check.passed for check in selftest(board)), [check for check in selftest(board) if not check.passed]
    board.close()


def test_a_scan_is_not_troubled_by_it(bus: SimulatedBus) -> None:
    assert not CircuitPython.identify(bus, 0x18)


def test_the_bus_form_carries_parts_of_buffers(bus: SimulatedBus, scene: Scene, clock: Any) -> None:
    bus.attach(0x18, catalogue.chip("mcp9808")(scene, clock))
    i2c = I2C(bus)
    buffer = bytearray(b"\xee" * 6)
    i2c.writeto_then_readfrom(0x18, b"\x00\x06\x00", buffer, out_start=1, out_end=2, in_start=2, in_end=4)
    assert bytes(buffer) == b"\xee\xee\x00\x54\xee\xee", "the manufacturer's id, data sheet DS25095A, register 5-7"
    i2c.writeto(0x18, b"\xff\x06", start=1)
    i2c.readfrom_into(0x18, buffer, start=4)
    assert bytes(buffer[4:]) == b"\x00\x54"
    assert i2c.scan() == [0x18]
    with pytest.raises(OSError, match="nothing answers at 0x19") as caught:
        i2c.writeto(0x19, b"")
    assert caught.value.errno == 121


WITHOUT_BLINKA = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("busio", "board", "digitalio", "micropython", "adafruit_blinka", "adafruit_platformdetect"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())

from bramble_client.hal import catalogue
from bramble_client.hal.clock import HostClock
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.scene import Scene
from bramble_client.hal.sim.world import Synthetic

clock = HostClock()
bus, scene = SimulatedBus(clock), Scene(Synthetic("x"), clock, 1.7e9)
for library, chip, address in (
    ("adafruit_mcp9808.MCP9808", "mcp9808", 0x18),
    ("adafruit_bme280.basic.Adafruit_BME280_I2C", "bme280", 0x77),
    ("adafruit_sht31d.SHT31D", "sht3x", 0x44),
):
    bus.attach(address, catalogue.chip(chip)(scene, clock))
    driver = catalogue.driver("circuitpython").configured({"library": library})(bus, address, clock)
    driver.setup()
    assert abs(driver.read().values["temperature"] - scene.value("temperature")) < 0.5, library
assert not {"busio", "micropython", "digitalio", "adafruit_blinka"} & set(sys.modules)
print("read")
"""


def test_blinka_is_not_needed() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_BLINKA], capture_output=True, text=True, timeout=120, cwd=ROOT, env=environment())
    assert (done.stdout, done.stderr) == ("read\n", "")
