"""What people get wrong, and what third parties' code does: a sentence that names the thing and the remedy, and the good sensors run on."""

from __future__ import annotations

import errno
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bramble_client.hal import Quality, catalogue, commands, config, detect, errors, open_board
from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.base import Measurement
from bramble_client.hal.drivers.tmp117 import TMP117
from bramble_client.hal.selftest import selftest
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.chips.bme280 import BME280
from bramble_client.hal.sim.chips.tmp117 import TMP117 as Chip
from bramble_client.hal.sim.scene import Scene
from bramble_protocol.errors import BrambleError
from tests.edge_client.hal.conftest import Still
from tests.edge_client.hal.kernel import Kernel
from tests.examples import examples

ANY = settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
T0 = 1672531200.0


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "sensors.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.slow
@ANY
@given(st.one_of(st.text(), st.binary(), st.from_regex(r"(\[\[?sensor\]?\]?\n|(driver|bus|every|offset) ?= ?[a-z0-9\"{}]*\n){1,6}")))
def test_any_file_is_read_or_refused_in_a_sentence_that_names_it(tmp_path: Path, content: str | bytes) -> None:
    path = write(tmp_path, content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    try:
        _, problems = config.load(path)
    except errors.ConfigError as error:
        problems = [error]
    assert all(str(path) in str(problem) for problem in problems)


SCALAR = st.one_of(st.integers(-10, 300), st.floats(), st.booleans(), st.sampled_from(["bme280", "mpu6050", "Roof!", "roof", ""]))
TABLE = st.dictionaries(st.sampled_from(["temperature", "pressure", "wetness"]), SCALAR, max_size=2)
ENTRY = st.dictionaries(
    st.sampled_from([*config.KEYS, "adress"]), st.one_of(SCALAR, TABLE, st.sampled_from([0x76, 0x77, 0x68, 0x90, 60, 200])), max_size=5
)


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    return str(value).lower() if isinstance(value, (bool, int, float)) else f'"{value}"'


@pytest.mark.slow
@ANY
@given(st.lists(ENTRY, max_size=4))
def test_of_any_entries_each_is_a_sensor_or_a_problem_with_line_and_key(tmp_path: Path, entries: list[dict[str, Any]]) -> None:
    lines: list[str] = []
    for entry in entries:
        lines += ["[[sensor]]", *(f"{key} = {toml(value)}" for key, value in entry.items())]
    sensors, problems = config.load(write(tmp_path, "\n".join(lines)))
    assert len(sensors) + len(problems) == len(entries)
    for problem in problems:
        place, key = str(problem).removeprefix(f"{tmp_path / 'sensors.toml'}, line ").split(", key '")[:2]
        line = lines[int(place) - 1]
        assert line == "[[sensor]]" or line.startswith(f"{key.split(chr(39))[0]} = "), f"{problem}: that line is {line}"
    for sensor in sensors:
        assert sensor.address in sensor.driver.addresses
        assert sensor.every >= sensor.driver.fastest or sensor.rate is not None
        assert all(abs(value) <= 1e9 for value in (*sensor.offset.values(), *sensor.gain.values()))
    assert len({(sensor.bus, sensor.address) for sensor in sensors}) == len({sensor.name for sensor in sensors}) == len(sensors)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e10", "true"])
def test_a_correction_that_would_spoil_every_value_is_refused(tmp_path: Path, value: str) -> None:
    _, (problem,) = config.load(write(tmp_path, f'[[sensor]]\ndriver = "bme280"\noffset = {{ temperature = {value} }}\n'))
    assert "line 3, key 'offset': expected a number for temperature, not" in str(problem)


def test_of_three_sensors_the_two_at_one_address_cost_one(tmp_path: Path) -> None:
    text = '[[sensor]]\ndriver = "bme280"\n[[sensor]]\ndriver = "bmp280"\n[[sensor]]\ndriver = "sht3x"\n'
    board = open_board("mock", seed="pi-1", configuration=write(tmp_path, text))
    assert [sensor.name for sensor in board.sensors] == ["bme280", "sht3x"]
    assert "0x76 on bus 1 is taken by bme280; two chips cannot share an address" in str(board.problems[0])
    assert None not in board.sample(T0).values()


@pytest.mark.parametrize("error", [errno.EACCES, errno.ENOENT])
def test_a_bus_that_cannot_be_opened_costs_its_own_sensors_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: VirtualClock, caplog: pytest.LogCaptureFixture, error: int
) -> None:
    kernel = Kernel(tmp_path / "i2c")
    kernel.install(monkeypatch)
    kernel.chips[0x76] = BME280(Scene(Still(), clock), clock)
    monkeypatch.setattr("bramble_client.hal.opening.SystemClock", lambda: clock)
    board = open_board("linux", seed="pi-1", configuration=write(tmp_path, '[[sensor]]\ndriver = "bme280"\n'))
    kernel.open_error = error
    for _ in range(3):
        assert set(board.sample().values()) == {None}
        clock.sleep(100)
    (line,) = caplog.messages
    assert "/dev/i2c-1" in line
    assert ("sudo usermod -aG i2c" if error == errno.EACCES else "enable I2C") in line
    kernel.open_error = None
    assert None not in board.sample().values()
    board.close()


def plugged(monkeypatch: pytest.MonkeyPatch, **drivers: object) -> None:
    """Install packages that offer drivers; the simulated chip of each is a TMP117's."""
    module = ModuleType("plugged")
    for name, driver in drivers.items():
        setattr(module, name, driver)
    monkeypatch.setitem(sys.modules, "plugged", module)
    points = [EntryPoint(name, f"plugged:{name}", catalogue.SENSORS_GROUP) for name in drivers]
    points += [EntryPoint(name, "bramble_client.hal.sim.chips.tmp117:TMP117", catalogue.CHIPS_GROUP) for name in drivers]

    def entry_points(group: str, name: str | None = None) -> list[EntryPoint]:
        return [point for point in points if point.group == group and name in (None, point.name)]

    monkeypatch.setattr(catalogue, "entry_points", entry_points)


class Clumsy(TMP117):
    """A third party's driver whose author forgot something."""

    name, chip, addresses = "clumsy", "CLUMSY-1", (0x19,)

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        return bool(dict[str, str]()["identity"])

    def read(self) -> Measurement:
        raise IndexError("list index out of range")


BOTH = '[[sensor]]\ndriver = "clumsy"\n[[sensor]]\ndriver = "bme280"\n'


def test_a_driver_that_is_wrong_never_stops_the_good_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plugged(monkeypatch, clumsy=Clumsy)
    board = open_board("mock", seed="pi-1", configuration=write(tmp_path, BOTH))
    for hour in range(3):
        qualities = {reading.sensor: reading.quality for reading in board.read(T0 + 3600 * hour)}
        assert qualities == {"clumsy": Quality.MISSING, "bme280": Quality.GOOD}
    assert caplog.messages == [
        "sensor clumsy is gone: the driver of CLUMSY-1 at 0x19 is wrong (IndexError: list index out of range); tell its author"
    ]


def test_a_scan_goes_on_past_a_driver_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, clock: VirtualClock, scene: Scene, bus: SimulatedBus, caplog: pytest.LogCaptureFixture
) -> None:
    plugged(monkeypatch, clumsy=Clumsy)
    for address in (0x19, 0x48):
        bus.attach(address, Chip(scene, clock))
    assert [item.note.partition(";")[0] for item in detect.scan(bus)] == ["unknown chip", "TMP117, by its identity"]
    assert "the driver of CLUMSY-1 is wrong (KeyError: 'identity'); tell its author" in caplog.text


def test_a_self_test_names_a_driver_that_is_wrong_and_tests_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugged(monkeypatch, clumsy=Clumsy)
    rows = list(selftest(open_board("mock", seed="pi-1", configuration=write(tmp_path, BOTH))))
    assert [(row.sensor, row.what) for row in rows if not row.passed] == [("clumsy", "identity")]
    assert "tell its author" in rows[0].note
    monkeypatch.setattr(Clumsy, "identify", TMP117.identify)
    rows = list(selftest(open_board("mock", seed="pi-1", configuration=write(tmp_path, BOTH))))
    (failed,) = [row for row in rows if not row.passed]
    assert (failed.sensor, failed.what) == ("clumsy", "bytes")
    assert failed.note.startswith("10 of 10 reads failed, such as: the driver of CLUMSY-1")


def test_a_plug_in_that_does_not_import_is_listed_with_its_reason(monkeypatch: pytest.MonkeyPatch, bus: SimulatedBus) -> None:
    points = [EntryPoint("lost", "no_such_module:Driver", catalogue.SENSORS_GROUP)]
    monkeypatch.setattr(catalogue, "entry_points", lambda group, name="lost": [p for p in points if (p.group, p.name) == (group, name)])
    rows = {row.name: row for row in commands.known()}
    assert rows["lost"].driver is None
    assert "no_such_module:Driver does not import (ModuleNotFoundError" in rows["lost"].problem
    assert "repair or remove that package" in rows["lost"].problem
    assert all(row.driver is not None for row in rows.values() if row.name not in ("lost", "bme680"))


def test_a_plug_in_whose_chip_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("thermo", "bramble_client.hal.drivers.tmp117:TMP117", catalogue.SENSORS_GROUP),
        EntryPoint("tmp117", "bramble_client.hal.crc:crc8", catalogue.CHIPS_GROUP),
    ]
    monkeypatch.setattr(catalogue, "BUILTIN", {})
    monkeypatch.setattr(catalogue, "entry_points", lambda group, name=None: [p for p in points if p.group == group])
    with pytest.raises(errors.ConfigError, match=r"simulated chip 'tmp117': its plug-in offers .* which is not a Chip; ask its author"):
        open_board("mock", seed="pi-1", configuration=write(tmp_path, '[[sensor]]\ndriver = "thermo"\n'))
    points.pop()
    with pytest.raises(errors.ConfigError, match="there is no simulated chip 'tmp117'"):
        open_board("mock", seed="pi-1", configuration=write(tmp_path, '[[sensor]]\ndriver = "thermo"\n'))


def test_a_driver_without_a_simulated_chip_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plugged(monkeypatch, clumsy=Clumsy)
    real = vars(catalogue)["entry_points"]
    monkeypatch.setattr(catalogue, "entry_points", lambda group, **names: real(group, **names) if group == catalogue.SENSORS_GROUP else [])
    board = open_board("mock", seed="pi-1", configuration=write(tmp_path, BOTH))
    assert [sensor.name for sensor in board.sensors] == ["bme280"]
    assert None not in board.sample(T0).values()
    assert caplog.messages == [str(board.problems[0])]
    assert "there is no simulated chip 'clumsy'" in caplog.text


def test_a_reason_of_many_lines_becomes_one_comment(tmp_path: Path) -> None:
    found = [detect.Found(0x3C, (), "unknown chip (its driver does not import:\n\n  install libfoo\n)")]
    path = write(tmp_path, commands.found_config(found, 1))
    assert path.read_text() == "# 0x3c: unknown chip (its driver does not import: install libfoo )\n"
    assert config.load(path) == ([], [])


def test_a_recording_and_a_script_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(errors.RecordingError, match=r"station\.csv cannot be read: No such file"):
        open_board("mock", seed="pi-1", replay=tmp_path / "station.csv")
    with pytest.raises(errors.FaultScriptError, match=r"faults\.toml cannot be read: No such file"):
        open_board("mock", seed="pi-1", faults=tmp_path / "faults.toml")
    (tmp_path / "sensors.toml").mkdir()
    with pytest.raises(errors.ConfigError, match=r"sensors\.toml cannot be read: Is a directory"):
        open_board("mock", seed="pi-1", configuration=tmp_path / "sensors.toml")


@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__module__ == errors.__name__])
def test_every_sensor_error_is_of_the_one_tree(kind: type[Exception]) -> None:
    assert issubclass(kind, BrambleError)
    assert kind.__doc__
