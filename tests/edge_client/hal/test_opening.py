"""Boards from a configuration, with faults, live, and the bad input that a person may give."""

from __future__ import annotations

import queue
import threading
import time
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from bramble_client.hal import Board, catalogue, errors, open_board
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.tmp117 import TMP117
from bramble_client.hal.readings import Reading
from bramble_client.hal.sim.chips.bme280 import BME280
from bramble_client.hal.sim.scene import Scene
from tests.edge_client.hal.kernel import Kernel

T0 = 1672531200.0


def write(folder: Path, text: str, name: str = "sensors.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def entry(driver: str, *lines: str) -> str:
    return "\n".join(["[[sensor]]", f'driver = "{driver}"', *lines, ""])


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene, clock: VirtualClock) -> Kernel:
    kernel = Kernel(tmp_path / "i2c")
    kernel.install(monkeypatch)
    kernel.chips[0x76] = BME280(scene, clock)
    monkeypatch.setattr("bramble_client.hal.opening.SystemClock", lambda: clock)
    return kernel


def test_a_configured_mock_board_has_the_chips_that_are_named(tmp_path: Path) -> None:
    text = entry("bme280", 'name = "roof"', "offset = { temperature = 5 }") + entry("bme280", "address = 0x77") + entry("scd4x")
    board = open_board("mock", seed="pi-1", configuration=write(tmp_path, text))
    keys = [channel.key for channel in board.channels]
    assert keys[:5] == ["temperature", "humidity", "pressure", "bme280.temperature", "bme280.humidity"]
    assert keys[6:] == ["carbon_dioxide", "scd4x.temperature", "scd4x.humidity"]
    values = board.sample(T0)
    assert None not in values.values()
    assert values["temperature"] - values["bme280.temperature"] == pytest.approx(5, abs=0.1)  # type: ignore[operator]


def test_every_built_in_sensor_can_be_configured_together(tmp_path: Path) -> None:
    places = {
        "tmp102": "0x49",
        "tmp105": "0x48\nbus = 2",
        "lm75": "0x4f",
        "ads1115": "0x4a",
        "sht4x": "0x45",
        "bmp280": "0x77",
        "tmp117": "0x4b",
        "ina226": "0x41",
        "bmp390": "0x76\nbus = 2",
    }
    text = "".join(entry(name, f"address = {places[name]}" if name in places else "") for name in catalogue.names() if name != "bme680")
    board = open_board("mock", seed="pi-1", configuration=write(tmp_path, text))
    assert len(board.sensors) == len(catalogue.BUILTIN) - 1
    for hour in range(3):
        values = board.sample(T0 + 43200 + 3600 * hour)
        assert [key for key, value in values.items() if value is None] == []


def test_a_bad_sensor_never_stops_the_good_ones(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, entry("bme281") + entry("bme280"))
    board = open_board("mock", seed="pi-1", configuration=path)
    assert [sensor.name for sensor in board.sensors] == ["bme280"]
    assert len(board.problems) == 1
    assert caplog.text.count("there is no driver 'bme281'") == 1


@pytest.mark.parametrize(
    ("text", "complaint"), [("", r"lists no sensor; begin one with \[\[sensor\]\]"), (entry("bme281"), "there is no driver")]
)
def test_a_configuration_without_a_good_sensor_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(errors.ConfigError, match=complaint):
        open_board("mock", seed="pi-1", configuration=write(tmp_path, text))


def test_a_sensor_without_a_pace_of_its_own_is_read_as_often_as_is_said(tmp_path: Path, kernel: Kernel) -> None:
    path = write(tmp_path, entry("bme280", "every = 7") + entry("sht3x") + entry("scd4x"))
    board = open_board("mock", seed="pi-1", configuration=path, every=2.0)
    slowest = catalogue.driver("scd4x").fastest
    assert slowest > 2, "a chip is never read faster than it converts"
    assert [pace.every for pace in board.paces] == [7.0, 2.0, slowest]
    assert [pace.every for pace in open_board("mock", seed="pi-1", every=2.0).paces] == [2.0]
    assert [pace.every for pace in open_board("linux", seed="pi-1", every=2.0).paces] == [2.0]
    usual = catalogue.driver("bme280").interval
    assert [pace.every for pace in open_board("linux", seed="pi-1").paces] == [usual]


def test_faults_come_from_a_script(tmp_path: Path) -> None:
    script = write(tmp_path, '[[fault]]\nkind = "unplug"\nat = 7200\nseconds = 3600\n', "faults.toml")
    board = open_board("mock", seed="pi-1", faults=script)
    gone = [board.sample(T0 + 1800 * i)["temperature"] is None for i in range(10)]
    assert gone == [False] * 4 + [True] * 2 + [False] * 4


def test_faults_are_not_for_real_sensors(tmp_path: Path) -> None:
    script = write(tmp_path, '[[fault]]\nkind = "nack"\n', "faults.toml")
    with pytest.raises(errors.ConfigError, match="faults are for mock sensors"):
        open_board("linux", seed="pi-1", faults=script)


def test_a_recording_without_a_sensor_for_it_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "time,gas_resistance\n1700000000,1\n", "x.csv")
    with pytest.raises(errors.SensorError, match="no simulated sensor measures gas_resistance; leave the column out"):
        open_board("mock", seed="pi-1", replay=path)


def test_a_recording_of_many_quantities_gets_a_sensor_for_each(tmp_path: Path) -> None:
    lines = [
        "time,carbon_dioxide,illuminance,pressure,distance (cm),voc_raw",
        "1700000000,500,100,1000,90,30000",
        "1700000060,510,120,1001,91,30010",
    ]
    text = "\n".join(lines)
    board = open_board("mock", seed="pi-1", replay=write(tmp_path, text, "x.csv"))
    assert {channel.key for channel in board.channels} == {"carbon_dioxide", "illuminance", "pressure", "distance", "voc_raw"}
    values = board.sample(1_700_000_000.0)
    assert values["carbon_dioxide"] == pytest.approx(500, abs=60)
    assert values["illuminance"] == pytest.approx(100, abs=2)
    assert values["distance"] == pytest.approx(900, abs=30)
    assert values["voc_raw"] == pytest.approx(30_000, abs=60)


def test_a_bus_that_is_not_there_takes_only_its_own_sensors(tmp_path: Path, kernel: Kernel, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, entry("bme280") + entry("sht3x", "bus = 9"))
    kernel.missing = {"/dev/i2c-9"}
    board = open_board("linux", seed="pi-1", configuration=path)
    assert [reading.value is not None for reading in board.read()] == [True] * 3 + [False] * 2
    assert "sensor sht3x is gone: /dev/i2c-9: there is no such bus; enable I2C" in caplog.text
    board.close()


def test_a_bus_that_goes_and_comes_back_is_opened_again(tmp_path: Path, kernel: Kernel, clock: VirtualClock) -> None:
    board = open_board("linux", seed="pi-1", configuration=write(tmp_path, entry("bme280")))
    assert board.sample()["pressure"] is not None
    chip = kernel.chips.pop(0x76)
    kernel.missing = {"/dev/i2c-1"}
    assert board.sample()["pressure"] is None
    kernel.missing, kernel.chips[0x76] = set(), chip
    clock.sleep(200)
    assert board.sample()["pressure"] is not None
    board.close()
    board.close()


def test_a_live_simulated_world_needs_no_synchronised_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble_client.hal.clock.clock_synchronised", lambda: False)
    board = open_board("mock", seed="pi-1", live=True)
    before = time.time()
    stamps = [reading.utc or 0.0 for reading in board.read()]
    assert stamps
    assert before <= min(stamps) <= max(stamps) <= time.time()


def test_a_live_board_samples_at_its_own_pace(tmp_path: Path) -> None:
    board = open_board(
        "mock", seed="pi-1", live=True, configuration=write(tmp_path, entry("mpu6050", "rate = 200") + entry("bme280", "every = 0.05"))
    )
    taken: list[Reading] = []
    enough = threading.Event()

    def sink(readings: list[Reading]) -> None:
        taken.extend(readings)
        kinds = [reading.channel for reading in taken]
        if kinds.count("acceleration_x") >= 20 and kinds.count("pressure") >= 2:
            enough.set()

    sampler = board.sampler(sink)
    sampler.start()
    assert enough.wait(60)
    sampler.stop()
    motion = [reading.monotonic for reading in taken if reading.channel == "acceleration_x"]
    assert motion == sorted(motion)
    assert {reading.sensor for reading in board.read()} == {"bme280"}, "a queue that a sampler empties is left to it"


def test_a_stream_is_corrected_as_the_configuration_says(tmp_path: Path) -> None:
    text = entry("mpu6050", "rate = 200", "offset = { acceleration_x = 50 }")
    board = open_board("mock", seed="pi-1", live=True, configuration=write(tmp_path, text))
    first: queue.SimpleQueue[list[Reading]] = queue.SimpleQueue()
    sampler = board.sampler(first.put)
    sampler.start()
    values = [reading.value for reading in first.get(timeout=60) if reading.channel == "acceleration_x"]
    sampler.stop()
    assert values
    assert all(value is not None and value > 25 for value in values)


def test_a_channel_that_the_board_does_not_offer_is_not_recorded(tmp_path: Path) -> None:
    path = write(tmp_path, "time,temperature\n1700000000,20\n1700000060,21\n", "x.csv")
    board = open_board("mock", seed="pi-1", replay=path)
    rows: list[dict[str, Any]] = []
    board.dated(lambda t, values: rows.append(values))(board.read(0.0))
    assert [set(values) for values in rows] == [{"temperature"}]


def test_a_board_hands_its_readings_to_a_recorder(tmp_path: Path) -> None:
    board = open_board("mock", seed="pi-1", configuration=write(tmp_path, entry("bme280") + entry("sht3x")))
    rows: list[tuple[float, dict[str, Any]]] = []
    sink = board.dated(lambda t, values: rows.append((t, values)))
    sink(board.read(T0))
    assert {key for _, values in rows for key in values} == {channel.key for channel in board.channels}


def fake_entry_points(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    def entry_points(group: str, name: str | None = None) -> list[EntryPoint]:
        return [point for point in points if point.group == group and name in (None, point.name)]

    monkeypatch.setattr(catalogue, "entry_points", entry_points)


def test_a_third_partys_driver_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = "bramble_client.hal.{}.tmp117:TMP117"
    fake_entry_points(
        monkeypatch,
        EntryPoint("thermo", target.format("drivers"), "bramble.sensors"),
        EntryPoint("tmp117", target.format("sim.chips"), "bramble.chips"),
    )
    assert "thermo" in catalogue.names()
    board = open_board("mock", seed="pi-1", configuration=write(tmp_path, entry("thermo")))
    assert isinstance(board, Board)
    assert board.sample(T0)["temperature"] is not None


class Oddly(TMP117):
    name = "Smoke & Gas"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("no_such_module:Driver", r"no_such_module:Driver does not import \(ModuleNotFoundError.*repair or remove that package"),
        ("bramble_client.hal.crc:crc8", "which is not a Driver; ask its author"),
        ("tests.edge_client.hal.test_opening:Oddly", r"its driver is called 'Smoke & Gas', which does not fit .*; ask its author"),
    ],
)
def test_a_plug_in_that_does_not_import_stops_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, complaint: str
) -> None:
    fake_entry_points(monkeypatch, EntryPoint("broken", value, "bramble.sensors"))
    with pytest.raises(errors.UnknownSensor, match=complaint):
        catalogue.driver("broken")
    board = open_board("mock", seed="pi-1", configuration=write(tmp_path, entry("broken") + entry("bme280")))
    assert [sensor.name for sensor in board.sensors] == ["bme280"]
    assert "line 2, key 'driver'" in str(board.problems[0])
    kinds = list(catalogue.drivers())
    assert sum(isinstance(kind, errors.UnknownSensor) for kind in kinds) == 1
