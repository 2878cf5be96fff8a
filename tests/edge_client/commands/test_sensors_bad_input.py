"""``bramble sensors`` given what is wrong: the good sensors are shown all the same, and the exit code tells."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bramble_client.hal import catalogue, errors
from bramble_client.hal.sim.bus import SimulatedBus
from tests.edge_client.sensors_command import run

GOOD = '[[sensor]]\ndriver = "bme280"\n'


def configured(folder: Path, text: str) -> tuple[str, ...]:
    path = folder / "sensors.toml"
    path.write_text(text)
    return "--sensors", "mock", "--sensors-file", str(path)


@pytest.mark.parametrize(
    "bad",
    [
        '[[sensor]]\ndriver = "bme281"\n',
        '[[sensor]]\ndriver = "sht3x"\naddress = 0x99\n',
        '[[sensor]]\ndriver = "bmp280"\naddress = 0x76\n',
        '[[sensor]]\ndriver = "sht3x"\nevery = "often"\n',
    ],
)
def test_a_bad_sensor_costs_an_exit_code_and_no_reading(tmp_path: Path, bad: str) -> None:
    output = run("read", *configured(tmp_path, GOOD + bad), code=1)
    assert [line.split()[-1] for line in output.splitlines()[1:]] == ["good"] * 3
    output = run("selftest", *configured(tmp_path, GOOD + bad), code=1)
    assert [line for line in output.splitlines() if line.startswith("FAIL")] == [output.splitlines()[0]]
    assert "line 4" in output or "line 5" in output


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[[sensor]]\ndriver = "bme280\n', "line 2, key 'driver': not TOML"),
        ("", "lists no sensor"),
        ("[[sensors]]\n", "line 1, key 'sensors': is not known here"),
    ],
)
@pytest.mark.parametrize("command", ["read", "watch", "selftest", "scan"])
def test_a_file_without_a_sensor_is_refused_by_every_command(tmp_path: Path, command: str, text: str, complaint: str) -> None:
    with pytest.raises(errors.ConfigError, match=complaint):
        run(command, *configured(tmp_path, text))


@pytest.mark.parametrize("command", ["read", "watch", "selftest", "scan"])
def test_a_bus_that_is_not_there_is_named_by_every_command(command: str) -> None:
    with pytest.raises(errors.NoSuchBus, match="/dev/i2c-250: there is no such bus; enable I2C"):
        run(command, "--sensors", "linux", "--bus", "250")


@pytest.mark.parametrize("command", ["read", "watch", "selftest"])
def test_a_script_of_faults_that_is_wrong_is_refused_by_every_command(tmp_path: Path, command: str) -> None:
    path = tmp_path / "faults.toml"
    path.write_text('[[fault]]\nkind = "gremlin"\n')
    with pytest.raises(errors.FaultScriptError, match="line 2, key 'kind': 'gremlin' is not a fault"):
        run(command, "--sensors", "mock", "--faults", str(path))
    with pytest.raises(errors.ConfigError, match="faults are for mock sensors"):
        run(command, "--sensors", "linux", "--faults", str(path))


def test_a_plug_in_that_does_not_import_is_listed_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("lost", "no_such_module:Driver", catalogue.SENSORS_GROUP)]
    monkeypatch.setattr(catalogue, "entry_points", lambda group, name="lost": [p for p in points if (p.group, p.name) == (group, name)])
    output = run("list")
    assert "does not import" in output
    assert all(name in output for name in catalogue.BUILTIN)


def test_a_package_that_is_missing_is_named_in_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bramble_client.hal.drivers.bme680", raising=False)
    monkeypatch.setitem(sys.modules, "bme680", None)
    assert "pip install bme680" in run("list")


def test_a_scan_of_an_empty_bus_says_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimulatedBus, "scan", lambda self: [])
    output = run("scan", "--sensors", "mock")
    assert "nothing answers on simulated bus 1; check the wiring and the power" in output


def test_a_doubtful_reading_is_shown_with_its_doubt_and_costs_an_exit_code(tmp_path: Path) -> None:
    arguments = configured(tmp_path, GOOD + "offset = { humidity = 500 }\n")
    output = run("read", *arguments, code=1)
    assert [line.split("%")[1].strip() for line in output.splitlines() if " humidity " in line] == ["out of range"]
    assert "(out of range)" in run("watch", *arguments, "--count", "1")
    selftest = run("selftest", *configured(tmp_path, GOOD))
    assert "FAIL" not in selftest


def test_watching_a_queue_shows_its_newest_values(tmp_path: Path) -> None:
    output = run("watch", *configured(tmp_path, '[[sensor]]\ndriver = "adxl345"\nrate = 400\n'), "--count", "2")
    assert len(output.splitlines()) == 2
    assert output.count("acceleration_x") == 2, "one value for each line, not one for each conversion"
