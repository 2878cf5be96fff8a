"""Channels that a sensors file declares itself, for drivers that are told which channels they have; and those that a task alone knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from bramble_client.hal import channels
from bramble_client.hal.channels import Quantity, known_to_a_task
from bramble_client.hal.config import load
from bramble_client.hal.sim import recordings
from bramble_protocol.messages import Channel

POWER = """
[[channel]]
key = "power_kw"
unit = "kW"
low = 0
high = 20
jump = 5
"""
METER = """
[[sensor]]
driver = "mqtt"
broker = "mqtt://192.168.1.5"
topic = "tele/meter/SENSOR"
inputs = { power_kw = "ENERGY.Power" }
"""


@pytest.fixture(autouse=True)
def only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "_added", {})


def loaded(folder: Path, text: str) -> tuple[list[str], list[str]]:
    (folder / "sensors.toml").write_text(text)
    sensors, problems = load(folder / "sensors.toml")
    return [channel for sensor in sensors for channel in sensor.driver.channels], [str(problem) for problem in problems]


def test_a_sensor_measures_a_channel_that_its_file_declares(tmp_path: Path) -> None:
    assert loaded(tmp_path, METER + POWER) == (["power_kw"], [])
    assert channels.quantity("power_kw") == Quantity("power_kw", "kW", None, 0, 20, 0.001, 5)
    assert loaded(tmp_path, POWER + METER) == (["power_kw"], []), "read once more, it is the same one"


def test_without_it_the_sensor_is_refused(tmp_path: Path) -> None:
    measured, (problem,) = loaded(tmp_path, METER)
    assert measured == []
    assert "channel 'power_kw' is not in the channel table" in problem


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("low = 0\n", ""), "key 'low': is missing"),
        (("high = 20", "high = -1"), "key 'key': channel 'power_kw' of sensors.toml: its range from 0.0 to -1.0, or a step of it, is none"),
        (
            ("power_kw", "temperature"),
            "channel 'temperature' of sensors.toml: Bramble has a channel of this name, in °C; correct it",
        ),
        (("power_kw", "forecast"), "this name means something else in Bramble, and no channel may have it; correct it here"),
        (("power_kw", "Power"), "key 'key': 'Power' does not fit"),
        (("jump", "leap"), "key 'leap': is not known here; the keys are key, unit, low, high, resolution, jump"),
    ],
)
def test_a_bad_one_is_named_and_stops_no_sensor(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    measured, (problem,) = loaded(tmp_path, '[[sensor]]\ndriver = "tmp117"\n' + POWER.replace(*change))
    assert measured == ["temperature"]
    assert "sensors.toml, line " in problem
    assert complaint in problem


def test_a_recording_has_the_channels_that_a_task_alone_knows_of(tmp_path: Path) -> None:
    path = tmp_path / "house.csv"
    path.write_text("time,temperature,power_kw\n2023-01-01T00:00Z,20,1.5\n")
    known_to_a_task([Channel("temperature", "°C"), Channel("power_kw", "kW"), Channel("label", "")], "task power")
    assert recordings.load(path).at(1_672_531_200.0) == {"temperature": 20.0, "power_kw": 1.5}
    assert not channels.known("label")
