"""The page on sensors is true: its files load, and its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bramble_client.hal import Quality, catalogue, channels, config
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.gpio import PATTERNS, Status
from bramble_client.hal.sim import script
from bramble_client.hal.sim.faults import Kind

PAGE = (Path(__file__).parents[3] / "docs" / "sensors.md").read_text(encoding="utf-8")
SENSORS, OPTIONS, OTHERS, FAULTS, OWN = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def test_its_configuration_loads(tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text(SENSORS)
    sensors, problems = config.load(path)
    assert problems == []
    assert [(sensor.name, sensor.rate) for sensor in sensors] == [("roof", None), ("mpu6050", 200.0)]


def test_its_options_load(tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text(OPTIONS)
    sensors, problems = config.load(path)
    assert problems == []
    assert [dict(sensor.options) for sensor in sensors] == [{"shunt_ohms": 0.01}, {"range": 16}]


def test_its_sensors_that_others_read_load(tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text(OTHERS)
    sensors, problems = config.load(path)
    assert [sensor.driver.channels for sensor in sensors] == [("temperature",)] * (2 - len(problems))
    assert all("adafruit-circuitpython-mcp9808" in str(problem) for problem in problems), "or the library is not installed"


def test_its_channel_of_ones_own_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "_added", {})
    (tmp_path / "sensors.toml").write_text(OWN)
    sensors, problems = config.load(tmp_path / "sensors.toml")
    assert problems == []
    assert [sensor.driver.channels for sensor in sensors] == [("power_kw",)]


@pytest.mark.parametrize("name", [name for name in catalogue.BUILTIN if name != "bme680"])
def test_it_names_every_option_beside_its_driver(name: str) -> None:
    for option in catalogue.driver(name).options:
        assert re.search(rf"^\|[^|]*`{name}`[^|]*\|[^|]*`{option.name}`", PAGE, re.MULTILINE), option.name


def test_its_script_loads(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(FAULTS)
    assert [rule.kind for rule in script.load(path, VirtualClock()).rules] == [Kind.NACK, Kind.UNPLUG]


@pytest.mark.parametrize("kind", list(Kind))
def test_it_names_every_fault(kind: Kind) -> None:
    assert f"`{kind}`" in PAGE


@pytest.mark.parametrize("quality", list(Quality))
def test_it_names_every_quality(quality: Quality) -> None:
    assert f"| {quality} |" in PAGE


@pytest.mark.parametrize("name", [name for name in catalogue.BUILTIN if name != "bme680"])
def test_it_lists_every_chip_with_what_it_measures_and_where_it_can_sit(name: str) -> None:
    kind = catalogue.driver(name)
    (row,) = re.findall(rf"^\| `{name}` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|", PAGE, re.MULTILINE)
    maker, measures, places = row
    assert kind.chip.rstrip("x") in maker
    assert tuple(measures.split(", ")) == kind.channels
    ends = [int(place, 16) for place in re.findall("0x[0-9a-f]{2}", places)]
    assert {*range(ends[0], ends[1] + 1)} == {*kind.addresses} if " to " in places else {*ends} == {*kind.addresses}


def test_it_says_which_chips_have_no_identity() -> None:
    (named,) = re.findall(r"Some chips have no identity \(([^)]+)\)", PAGE)
    kinds = [catalogue.driver(name) for name in catalogue.BUILTIN if name != "bme680"]
    assert set(named.split(", ")) == {kind.chip for kind in kinds if not kind.certain}


def test_it_describes_every_pattern_of_the_lamp() -> None:
    rows = re.findall(r"^\| ([^|]+) \| (?:looking|connected|training|an error|an alarm)[^|]* \|$", PAGE, re.MULTILINE)
    assert len(rows) == len(PATTERNS) == len(Status)
