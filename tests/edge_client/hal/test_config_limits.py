"""The sensor configuration at its limits, and in all the forms that TOML allows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble_client.hal import config, errors, tables
from bramble_client.hal.drivers.tmp117 import TMP117


def described(folder: Path, lines: str) -> Iterator[config.SensorConfig]:
    path = folder / "sensors.toml"
    path.write_text(f"[[sensor]]\n{lines}\n")
    sensors, problems = config.load(path)
    assert problems == []
    yield from sensors


@pytest.mark.parametrize(
    ("lines", "every", "rate"),
    [
        ('driver = "mpu6050"\nrate = 1', 1.0, None),
        ('driver = "mpu6050"\nrate = 0.5', 2.0, None),
        ('driver = "mpu6050"\nrate = 50', 0.02, 50.0),
        ('driver = "mpu6050"\nevery = 0.002', 0.002, None),
        ('driver = "bme280"\nevery = 0.05', 0.05, None),
        ('driver = "bme280"\nevery = 1000000', 1e6, None),
        ('driver = "scd4x"\nevery = 5', 5.0, None),
    ],
)
def test_a_pace_may_be_as_fast_and_as_slow_as_this(tmp_path: Path, lines: str, every: float, rate: float | None) -> None:
    (sensor,) = described(tmp_path, lines)
    assert (sensor.every, sensor.rate) == (every, rate)


@pytest.mark.parametrize("lines", ['driver = "bme280"\nbus = 0', 'driver = "bme280"\nbus = 255', 'driver = "bme280"\nname = "a"'])
def test_the_ends_of_every_range_belong_to_it(tmp_path: Path, lines: str) -> None:
    assert list(described(tmp_path, lines))


@pytest.mark.parametrize("lines", ["every = 1000001", "rate = 10001", "bus = -1", "bus = 256", "every = 0.00001", "rate = 0.000001"])
def test_what_is_beyond_a_range_does_not(tmp_path: Path, lines: str) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text(f'[[sensor]]\ndriver = "mpu6050"\n{lines}\n')
    _, (problem,) = config.load(path)
    assert "expected a" in str(problem)


def test_a_rate_above_one_hertz_is_one_of_the_chips(tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text('[[sensor]]\ndriver = "adxl345"\nrate = 1.5\n')
    _, (problem,) = config.load(path)
    assert "line 3, key 'rate': a ADXL345 queues at 25, 50, 100, 200, 400 Hz, not at 1.5" in str(problem)


def test_a_sensor_of_no_description_is_on_bus_1_and_read_every_minute() -> None:
    plain = config.SensorConfig(TMP117, 0x48)
    assert (plain.bus, plain.name, plain.every, plain.rate) == (1, "", 60.0, None)
    assert "name" not in config.dumps([plain]), "a name that is its driver's need not be said"
    assert 'name = "roof"' in config.dumps([config.SensorConfig(TMP117, 0x48, name="roof")])


def test_entries_may_be_written_inline_and_their_line_is_the_first(tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text('sensor = [{ driver = "bme280" }, { driver = "bme281" }]\n')
    sensors, (problem,) = config.load(path)
    assert [sensor.name for sensor in sensors] == ["bme280"]
    assert "line 1, key 'driver'" in str(problem)


@pytest.mark.parametrize(("lines", "line"), [("offset.temperature = true", 3), ("[sensor.offset]\ntemperature = true", 3)])
def test_a_dotted_key_and_a_table_of_its_own_are_found_at_their_line(tmp_path: Path, lines: str, line: int) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text(f'[[sensor]]\ndriver = "bme280"\n{lines}\n')
    _, (problem,) = config.load(path)
    assert f"line {line}, key 'offset': expected a number for temperature, not True" in str(problem)


@pytest.mark.parametrize("key", ["every", '"every"', "'every'", "  every  "])
def test_a_key_is_found_at_its_line_however_it_is_quoted(tmp_path: Path, key: str) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text(f'[[sensor]]\ndriver = "bme280"\n\n{key} = 0\n')
    _, (problem,) = config.load(path)
    assert "line 4, key 'every': expected a number" in str(problem)


@pytest.mark.parametrize("key", ["bus-number", '"bus number"', "[bus]", "[[bus]]"])
def test_a_key_that_stands_before_the_first_entry_is_found_at_its_line(tmp_path: Path, key: str) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text(f"# a comment\n\n{key}{'' if key.startswith('[') else ' = 1'}\n")
    with pytest.raises(errors.ConfigError, match=r"line 3, key 'bus[ -]?(number)?': is not known here; entries begin with"):
        config.load(path)


@pytest.mark.parametrize("read", ["number", "integer"])
def test_a_number_that_has_no_default_must_be_there(tmp_path: Path, read: str) -> None:
    entry = tables.Entry(tmp_path / "x.toml", 7, {"wrong": "text"}, {"wrong": 9}, errors.ConfigError)
    with pytest.raises(errors.ConfigError, match="line 7, key 'much': is missing"):
        getattr(entry, read)("much", 0, 1)
    with pytest.raises(errors.ConfigError, match="line 9, key 'wrong': expected a"):
        getattr(entry, read)("wrong", 0, 1)
    assert getattr(entry, read)("much", 0, 1, 1) == 1
