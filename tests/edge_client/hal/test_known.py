"""A sensor that was there once is expected, and its channels' names never pass to another in silence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bramble_client.commands import check, startup
from bramble_client.hal import Board, catalogue, errors, open_board
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.bme280 import BME280
from bramble_client.hal.drivers.bmp280 import BMP280
from bramble_client.hal.drivers.tmp102 import LM75, TMP105
from bramble_client.hal.drivers.tmp117 import TMP117
from bramble_client.hal.known import FILE, Memory
from bramble_client.hal.sim.scene import Scene
from bramble_client.settings import ClientSettings
from tests.edge_client.hal.kernel import Kernel

Plug = Callable[[int, str], None]


@pytest.fixture
def plug(kernel: Kernel, scene: Scene, clock: VirtualClock) -> Plug:
    def attach(address: int, name: str) -> None:
        kernel.chips[address] = catalogue.chip(name)(scene, clock)

    return attach


class Starts:
    """A client's sensors, at one start after the other."""

    def __init__(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.path = folder / FILE
        self._caplog = caplog
        caplog.set_level(logging.INFO)

    def __call__(self, configuration: Path | None = None, writable: bool = True) -> Board:
        self._caplog.clear()
        return open_board("linux", seed="pi-1", configuration=configuration, memory=Memory(self.path, writable))

    @property
    def said(self) -> list[str]:
        return [record.getMessage() for record in self._caplog.records if record.name == "bramble_client.hal.opening"]


@pytest.fixture
def start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Starts:
    return Starts(tmp_path, caplog)


def owners(board: Board) -> dict[str, str]:
    """Which sensor each channel is of."""
    return {key: sensor for (sensor, _), key in board._keys.items()}


def test_a_chip_that_is_absent_at_a_start_keeps_its_channels_and_is_looked_for(
    start: Starts, plug: Plug, kernel: Kernel, clock: VirtualClock
) -> None:
    plug(0x44, "sht3x")
    plug(0x76, "bme280")
    first = start()
    before = owners(first)
    assert before == {
        "temperature": "sht3x", "humidity": "sht3x",
        "bme280.temperature": "bme280", "bme280.humidity": "bme280", "pressure": "bme280",
    }  # fmt: skip
    first.close()
    chip = kernel.chips.pop(0x44)
    board = start()
    assert owners(board) == before
    assert start.said == [f"sensors on /dev/i2c-1: sht3x at 0x44 does not answer, and is looked for again; see {start.path}"]
    values = board.sample()
    assert (values["temperature"], values["bme280.temperature"] is None) == (None, False)
    assert board.gone == ["sht3x"]
    kernel.chips[0x44] = chip
    clock.sleep(200)
    assert board.sample()["temperature"] is not None
    assert board.gone == []
    board.close()
    assert owners(start()) == before
    assert start.said == [], "all are there"


def test_all_chips_absent_is_a_board_that_waits(start: Starts, plug: Plug, kernel: Kernel, clock: VirtualClock) -> None:
    plug(0x76, "bme280")
    start().close()
    kernel.pull_out()
    board = start()
    assert start.said == [
        "/dev/i2c-1: there is no such bus; enable I2C (sudo raspi-config nonint do_i2c 0) or name another one; "
        "the sensors that were found there before are looked for all the same"
    ]
    assert board.sample()["temperature"] is None
    kernel.plug_in()
    clock.sleep(200)
    assert board.sample()["temperature"] is not None


def test_a_found_board_opens_its_bus_again_when_the_adapter_is_back(start: Starts, plug: Plug, kernel: Kernel, clock: VirtualClock) -> None:
    plug(0x76, "bme280")
    board = start()
    assert board.sample()["temperature"] is not None
    kernel.pull_out()
    assert board.sample()["temperature"] is None
    assert kernel.held == 0, "the kernel waits until the device file is closed"
    kernel.plug_in()
    clock.sleep(200)
    assert board.sample()["temperature"] is not None


def test_a_new_chip_takes_no_name_that_is_in_use(start: Starts, plug: Plug) -> None:
    plug(0x76, "bme280")
    start().close()
    plug(0x44, "sht3x")  # a lower address, which a scan meets first
    found = owners(start())
    assert found["temperature"] == found["humidity"] == "bme280"
    assert found["sht3x.temperature"] == "sht3x"
    assert start.said == [f"sensors on /dev/i2c-1: sht3x at 0x44 is new, and measures sht3x.temperature, sht3x.humidity; see {start.path}"]


def test_two_of_a_kind_are_the_same_two_at_the_next_start(start: Starts, plug: Plug, kernel: Kernel) -> None:
    plug(0x77, "bme280")
    start().close()
    plug(0x76, "bme280")
    board = start()
    assert {sensor.name: sensor.driver.address for sensor in board.sensors} == {"bme280": 0x77, "bme280_2": 0x76}
    board.close()
    del kernel.chips[0x77]
    assert {sensor.name: sensor.driver.address for sensor in start().sensors} == {"bme280": 0x77, "bme280_2": 0x76}


def test_another_chip_in_the_same_place_goes_on_with_what_both_measure_and_that_is_said(start: Starts, plug: Plug) -> None:
    plug(0x44, "sht3x")
    plug(0x76, "bmp280")
    assert owners(start())["bmp280.temperature"] == "bmp280"
    plug(0x76, "bme280")
    found = owners(start())
    assert found["bmp280.temperature"] == found["pressure"] == found["bme280.humidity"] == "bme280"
    assert found["humidity"] == "sht3x", "the new chip measures it too, and does not take the name"
    assert start.said == [
        "sensors on /dev/i2c-1: where bmp280 at 0x76 was, there is bme280 at 0x76 now, and measures "
        f"bmp280.temperature, pressure, bme280.humidity; see {start.path}"
    ]


def test_a_chip_that_may_be_another_changes_nothing_and_is_named(start: Starts, plug: Plug) -> None:
    plug(0x48, "tmp117")
    start().close()
    plug(0x48, "lm75")
    assert [sensor.driver.name for sensor in start().sensors] == ["tmp117"]
    assert "what answers in place of tmp117 at 0x48 is perhaps" in start.said[0]


def test_a_scan_that_misheard_a_chips_identity_changes_nothing(
    start: Starts, plug: Plug, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug(0x76, "bme280")
    before = owners(start())
    real = BME280.identify
    monkeypatch.setattr(BME280, "identify", lambda bus, address: False)
    monkeypatch.setattr(BMP280, "identify", lambda bus, address: True)
    board = start()
    assert owners(board) == before
    assert "what answers in place of bme280 at 0x76 is BMP280, by its identity" in start.said[0]
    monkeypatch.setattr(BME280, "identify", real)
    assert board.sample()["humidity"] is not None


def test_a_driver_that_has_learnt_to_measure_more_takes_no_name_that_is_in_use(start: Starts, plug: Plug) -> None:
    plug(0x76, "bme280")
    plug(0x77, "bme280")
    start().close()
    known = Memory(start.path)
    first, second = known.sensors
    known.keep([first, replace(second, channels={"temperature": "bme280_2.temperature"})])
    assert owners(start())["bme280_2.pressure"] == "bme280_2"
    assert Memory(start.path).sensors[1].channels["humidity"] == "bme280_2.humidity"


def test_queued_readings_of_an_absent_chip_are_still_offered(start: Starts, plug: Plug, kernel: Kernel) -> None:
    """The server refuses readings of a channel that a client did not offer when it connected."""
    plug(0x23, "bh1750")
    plug(0x76, "bme280")
    offered = start().channels
    del kernel.chips[0x23]
    assert start().channels == offered


def test_a_sensor_whose_driver_is_gone_keeps_its_names_too(start: Starts, plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    plug(0x44, "sht3x")
    plug(0x76, "bme280")
    start().close()
    monkeypatch.delitem(catalogue.BUILTIN, "sht3x")
    board = start()
    assert "temperature" not in owners(board)
    assert "there is no driver 'sht3x'" in str(board.problems[0])


def test_who_only_looks_remembers_nothing(start: Starts, plug: Plug) -> None:
    plug(0x76, "bme280")
    start(writable=False)
    assert not start.path.exists()


def test_client_check_leaves_no_memory_and_a_client_does(start: Starts, plug: Plug, tmp_path: Path) -> None:
    plug(0x76, "bme280")
    settings = ClientSettings(id="pi-1", sensors="linux", data_dir=tmp_path / "data")
    settings.folder.mkdir()
    assert "temperature" in check._sensors(settings)
    assert list(settings.folder.iterdir()) == []
    startup.open_sensors(settings).close()
    assert [path.name for path in settings.folder.iterdir()] == [FILE]


@pytest.mark.parametrize(
    "text",
    ["[[sensor", "[[sensor]]\nname = 5", '[[sensor]]\nname = "x"\ndriver = "bme280"\nchannels = { temperature = "Ta; DROP" }', b"\xff"],
)
def test_a_memory_that_cannot_be_read_is_one_line_and_begins_anew(start: Starts, plug: Plug, text: Any, caplog: Any) -> None:
    plug(0x76, "bme280")
    start.path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert owners(start())["temperature"] == "bme280"
    assert sum("the sensors are named anew" in record.getMessage() for record in caplog.records) == 1
    assert [sensor.name for sensor in Memory(start.path).sensors] == ["bme280"]


def test_a_disk_that_takes_no_file_costs_only_the_memory(start: Starts, plug: Plug, tmp_path: Path, caplog: Any) -> None:
    plug(0x76, "bme280")
    start.path = tmp_path / "missing" / FILE
    assert owners(start())["temperature"] == "bme280"
    assert "cannot be written (No such file or directory)" in caplog.text


def test_another_bus_is_another_set(start: Starts, plug: Plug) -> None:
    plug(0x76, "bme280")
    start().close()
    board = open_board("linux", seed="pi-1", bus=3, memory=Memory(start.path))
    assert [sensor.name for sensor in board.sensors] == ["bme280_2"]
    assert [(sensor.name, sensor.bus) for sensor in Memory(start.path).sensors] == [("bme280", 1), ("bme280_2", 3)]


def configuration(folder: Path, *entries: str) -> Path:
    path = folder / "sensors.toml"
    path.write_text("".join(f"[[sensor]]\n{text}\n" for text in entries))
    return path


BROKEN, ROOF, CELLAR = 'driver = "bme280"\nevry = 5', 'driver = "bme280"', 'driver = "sht3x"'


def test_a_sensor_that_is_described_wrongly_today_keeps_its_channels(start: Starts, plug: Plug, tmp_path: Path) -> None:
    start(configuration(tmp_path, ROOF, CELLAR)).close()
    board = start(configuration(tmp_path, BROKEN, CELLAR))
    assert owners(board) == {"sht3x.temperature": "sht3x", "sht3x.humidity": "sht3x"}
    assert owners(start(configuration(tmp_path, CELLAR, ROOF)))["temperature"] == "bme280", "the order says nothing once they have names"


def test_a_sensor_that_left_the_file_leaves_its_names_and_that_is_said(start: Starts, plug: Plug, tmp_path: Path) -> None:
    start(configuration(tmp_path, ROOF, CELLAR)).close()
    assert owners(start(configuration(tmp_path, CELLAR))) == {"temperature": "sht3x", "humidity": "sht3x"}
    assert start.said == ["temperature is sht3x's now, and was bme280's", "humidity is sht3x's now, and was bme280's"]
    start(configuration(tmp_path, ROOF, CELLAR)).close()
    assert start.said == [], "the plain names stay where they are"
    found = owners(start(configuration(tmp_path, ROOF, CELLAR)))
    assert (found["temperature"], found["bme280.temperature"], found["pressure"]) == ("sht3x", "bme280", "bme280")


class Broken(TMP105):
    """A driver that fits a chip that it cannot read."""

    name, chip = "aaa_broken", "BROKEN-1"

    def read(self) -> Any:
        return 1 / 0


class Certain(BME280):
    name = "aaa_certain"

    def setup(self) -> None:
        raise errors.WrongChip("this driver wants a newer revision")


@pytest.mark.parametrize(("driver", "chip", "address", "next_"), [(Broken, "lm75", 0x48, LM75), (Certain, "bme280", 0x76, BME280)])
def test_when_the_first_driver_that_fits_fails_the_next_is_tried(
    start: Starts, plug: Plug, monkeypatch: pytest.MonkeyPatch, caplog: Any, driver: Any, chip: str, address: int, next_: Any
) -> None:
    plug(address, chip)
    kinds = [driver, LM75, BME280, TMP117]
    monkeypatch.setattr(catalogue, "drivers", lambda: iter(kinds))
    board = start()
    assert [type(sensor.driver) for sensor in board.sensors] == [next_]
    assert board.sample()["temperature"] is not None
    assert f"the driver {driver.name} does not read what answers at {address:#04x}: " in caplog.text


def test_when_no_driver_that_fits_reads_the_chip_the_first_one_waits_for_it(
    start: Starts, plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug(0x48, "lm75")
    monkeypatch.setattr(catalogue, "drivers", lambda: iter([LM75, Broken]))
    monkeypatch.setattr(LM75, "read", Broken.read)
    board = start()
    assert [type(sensor.driver) for sensor in board.sensors] == [LM75]
    assert board.sample()["temperature"] is None


def test_a_chip_that_the_kernel_has_at_the_start_is_said(start: Starts, plug: Plug, kernel: Kernel, caplog: Any) -> None:
    plug(0x44, "sht3x")
    plug(0x76, "bme280")
    kernel.owned.add(0x44)
    assert [sensor.name for sensor in start().sensors] == ["bme280"]
    assert caplog.text.count("a kernel driver owns 0x44; unload it") == 1


def test_a_kernel_driver_that_takes_a_chip_over_is_said_and_the_chip_is_back_afterwards(
    start: Starts, plug: Plug, kernel: Kernel, clock: VirtualClock, caplog: Any
) -> None:
    plug(0x76, "bme280")
    board = start()
    assert board.sample()["temperature"] is not None
    kernel.owned.add(0x76)
    assert board.sample()["temperature"] is None
    assert "sensor bme280 is gone: /dev/i2c-1: a kernel driver owns 0x76; unload it" in caplog.text
    kernel.owned.clear()
    clock.sleep(200)
    assert board.sample()["temperature"] is not None
