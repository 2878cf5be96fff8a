"""``bramble sensors`` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bramble_client.hal import catalogue, config
from bramble_client.hal.errors import ConfigError
from tests.edge_client.sensors_command import run


def test_list_names_every_driver() -> None:
    output = run("list")
    for name in catalogue.names():
        assert name in output
    assert "0x40 to 0x4f" in output


def test_scan_finds_and_writes_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    output = run("scan", "--sensors", "mock", "--write", str(path))
    assert "0x76" in output
    assert "BME280, by its identity" in output
    sensors, problems = config.load(path)
    assert [sensor.name for sensor in sensors] == ["bme280"]
    assert problems == []


def test_scan_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="exists; name another file"):
        run("scan", "--sensors", "mock", "--write", str(path))
    assert path.read_text() == "precious"


def test_read_shows_every_channel() -> None:
    output = run("read", "--sensors", "mock")
    for word in ("temperature", "humidity", "pressure", "°C", "hPa", "good"):
        assert word in output


def test_read_ends_with_1_if_a_reading_is_missing(tmp_path: Path) -> None:
    script = tmp_path / "faults.toml"
    script.write_text('[[fault]]\nkind = "unplug"\nseconds = 100\n')
    assert "missing" in run("read", "--sensors", "mock", "--faults", str(script), code=1)


def test_watch_ends_after_a_count(tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text('[[sensor]]\ndriver = "bme280"\nname = "roof"\nevery = 0.05\n')
    output = run("watch", "--sensors", "mock", "--sensors-file", str(path), "--count", "3")
    assert len(output.splitlines()) == 3
    assert output.startswith("roof: temperature ")
    assert "missed]" in output


def test_selftest_passes_and_fails(tmp_path: Path) -> None:
    assert "FAIL" not in run("selftest", "--sensors", "mock")
    script = tmp_path / "faults.toml"
    script.write_text('[[fault]]\nkind = "permission"\n')
    assert "add the user to the group i2c" in run("selftest", "--sensors", "mock", "--faults", str(script), code=1)


class TestForPrograms:
    """What ``--json`` says."""

    def test_each_driver_with_addresses_channels_and_if_asked_options(self) -> None:
        listed = {row["name"]: row for row in json.loads(run("list", "--json"))}
        assert list(listed) == catalogue.names()
        assert listed["bme280"]["addresses"] == [0x76, 0x77]
        assert "options" not in listed["bme280"]
        assert all({"name", "default", "values", "meaning"} == set(item) for row in json.loads(run("list", "--options", "--json"))
                   for item in row.get("options", []))  # fmt: skip

    def test_what_a_scan_found_and_nothing_else(self, tmp_path: Path) -> None:
        (found,) = json.loads(run("scan", "--sensors", "mock", "--json"))["bus"]
        assert (found["address"], found["drivers"]) == (0x76, ["bme280"])

    def test_each_reading_and_none_where_there_is_none(self, tmp_path: Path) -> None:
        readings = json.loads(run("read", "--sensors", "mock", "--json"))
        assert {reading["channel"] for reading in readings} == {"temperature", "pressure", "humidity"}
        assert all(isinstance(reading["value"], float) and reading["quality"] == "good" for reading in readings)
        script = tmp_path / "faults.toml"
        script.write_text('[[fault]]\nkind = "unplug"\nseconds = 100\n')
        missing = json.loads(run("read", "--sensors", "mock", "--faults", str(script), "--json", code=1))
        assert {reading["value"] for reading in missing} == {None}

    def test_a_line_for_each_look(self, tmp_path: Path) -> None:
        path = tmp_path / "sensors.toml"
        path.write_text('[[sensor]]\ndriver = "bme280"\nevery = 0.05\n')
        lines = run("watch", "--sensors", "mock", "--sensors-file", str(path), "--every", "0", "--count", "3", "--json").splitlines()
        assert len(lines) == 3
        assert all(json.loads(line)["latest"] for line in lines)

    def test_each_check(self) -> None:
        checks = json.loads(run("selftest", "--sensors", "mock", "--json"))
        assert {check["sensor"] for check in checks} == {"bme280"}
        assert all(check["passed"] and check["note"] for check in checks)
