"""What the field found, replayed through the whole sensing side: each file was once read as something that nobody had measured."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest

from bramble_client.hal import Quality, open_board
from bramble_client.hal.corrections import saturation
from bramble_client.hal.sim import recordings

FOLDER = Path(__file__).parent / "faulty"
START, HOUR = 1672531200.0, 3600.0
GOOD, RANGE, DOUBTFUL = Quality.GOOD, Quality.RANGE, Quality.DOUBTFUL


def replayed(name: str, sensors: str | Path | None = None) -> dict[str, tuple[float | None, Quality]]:
    """Return the last reading of each channel after three hours of a recording."""
    configuration = FOLDER / sensors if sensors is not None else None
    board = open_board("mock", replay=FOLDER / name, seed="faulty", configuration=configuration)
    for hour in range(3):
        readings = board.read(START + hour * HOUR)
    return {reading.channel: (reading.value, reading.quality) for reading in readings}


def test_full_sun_is_beyond_a_bh1750_and_no_value() -> None:
    assert replayed("sun.csv") == {"illuminance": (None, RANGE)}


def test_five_amperes_are_beyond_an_ina219_on_its_usual_shunt() -> None:
    found = replayed("ina219_5A.csv")
    assert found["voltage"] == (pytest.approx(12.0), GOOD)
    assert (found["current"], found["power"]) == ((None, RANGE), (None, RANGE))


def test_air_without_carbon_dioxide_is_doubtful(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = replayed("co2_zero.csv")
    assert found["carbon_dioxide"] == (0.0, DOUBTFUL) or found["carbon_dioxide"][1] is DOUBTFUL
    assert (found["temperature"][1], found["humidity"][1]) == (GOOD, GOOD)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("sensor scd4x: carbon_dioxide is doubtful and is not used: it is never beyond 150 to 40000 ppm")


def test_a_gain_takes_fog_to_100_percent_and_no_further() -> None:
    assert replayed("fog.csv", "gain.toml")["humidity"] == (100.0, GOOD)


def test_humidity_follows_a_corrected_temperature() -> None:
    found = replayed("selfheat.csv", "offset.toml")
    assert found["temperature"] == (pytest.approx(20.0, abs=0.05), GOOD)
    assert found["humidity"] == (pytest.approx(54.2, abs=0.3), GOOD)


def test_humidity_stays_where_the_configuration_says_so(tmp_path: Path) -> None:
    alone = tmp_path / "sensors.toml"
    alone.write_text((FOLDER / "offset.toml").read_text() + "humidity_follows = false\n")
    assert replayed("selfheat.csv", alone)["humidity"] == (pytest.approx(40.0, abs=0.3), GOOD)


def test_what_shakes_beyond_the_range_is_no_value_on_that_axis() -> None:
    found = replayed("shake.csv")
    assert {key for key, (value, quality) in found.items() if (value, quality) == (None, RANGE)} == {
        "acceleration_x",
        "acceleration_y",
        "rotation_x",
        "rotation_y",
    }
    assert found["acceleration_z"] == (pytest.approx(9.8, abs=0.2), GOOD)


@pytest.mark.parametrize(("driver", "celsius", "quality"), [
    ("tmp117", 120.0, GOOD), ("sht3x", 120.0, GOOD), ("sht4x", 120.0, GOOD), ("shtc3", 120.0, GOOD), ("mcp9808", 120.0, GOOD),
    ("lm75", 120.0, GOOD), ("bme280", 100.0, RANGE), ("scd4x", 100.0, RANGE), ("tmp117", -58.0, RANGE),
])  # fmt: skip
def test_what_is_plausible_is_what_the_sensor_can_measure(tmp_path: Path, driver: str, celsius: float, quality: Quality) -> None:
    hot, sensors = tmp_path / "hot.csv", tmp_path / "sensors.toml"
    hot.write_text(f"time,temperature\n2023-01-01T00:00:00Z,{celsius}\n2023-01-01T05:00:00Z,{celsius}\n")
    sensors.write_text(f'[[sensor]]\ndriver = "{driver}"\n')
    value, found = replayed(str(hot), sensors)["temperature"]
    assert found is quality
    if quality is GOOD:
        assert value == pytest.approx(celsius, abs=0.5)


@pytest.mark.parametrize(("celsius", "hectopascal"), [(-20, 1.2540), (0, 6.112), (20, 23.37), (25, 31.67), (50, 123.4)])
def test_magnus_is_within_half_a_percent_of_the_steam_tables(celsius: float, hectopascal: float) -> None:
    assert saturation(celsius) == pytest.approx(hectopascal, rel=0.005)


def test_nonsense_inside_the_range_is_doubted_as_a_whole_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rng, path = random.Random(5), tmp_path / "loose.csv"
    rows = [
        f"{START + hour * HOUR:.0f},{rng.uniform(0, 30):.1f},{rng.uniform(20, 80):.0f},{rng.uniform(800, 1000):.0f}" for hour in range(200)
    ]
    path.write_text("\n".join(["time,temperature,humidity,pressure", *rows]))
    board = open_board("mock", replay=path, seed="loose")
    with caplog.at_level(logging.WARNING):
        taken = [board.sample(START + hour * HOUR) for hour in range(199)]
    assert all(value is None for row in taken[20:] for value in row.values())
    assert board.doubted == ["bme280"]
    assert board.gone == []
    said = [record.getMessage() for record in caplog.records if "erratic" in record.getMessage() or "jumps" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("sensor bme280 is doubtful and is not used: it jumps as no air can")


@pytest.mark.slow
@pytest.mark.parametrize("name", recordings.builtin())
def test_a_month_at_a_real_station_comes_through_whole(name: str) -> None:
    board = open_board("mock", replay=recordings.builtin()[name], seed="whole")
    for hour in range(720):
        assert all(reading.good for reading in board.read(START + hour * HOUR)), hour
    assert board.doubted == []


def test_a_world_that_begins_anew_is_no_jump() -> None:
    board = open_board("mock", replay=recordings.builtin()["chicago"], seed="anew")
    for start in (START + 180 * 24 * HOUR, START):
        for hour in range(50):
            assert all(reading.good for reading in board.read(start + hour * HOUR)), hour
