"""``bramble sensors`` as a person types it."""

from __future__ import annotations

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
