from __future__ import annotations

from pathlib import Path

import pytest

from bramble_client.hal import catalogue, errors
from bramble_client.hal.config import SensorConfig, dumps, load

GOOD = """
[[sensor]]
driver = "bme280"
bus = 3
address = 0x77
name = "roof"
every = 30
offset = { temperature = -0.5 }
gain = { humidity = 1.02 }

[[sensor]]
driver = "mpu6050"
rate = 200

[[sensor]]
driver = "tmp117"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "sensors.toml"
    path.write_text(text)
    return path


def test_a_configuration_names_everything(tmp_path: Path) -> None:
    sensors, problems = load(write(tmp_path, GOOD))
    assert problems == []
    roof, motion, plain = sensors
    assert roof == SensorConfig(catalogue.driver("bme280"), 0x77, 3, "roof", 30.0, None, {"temperature": -0.5}, {"humidity": 1.02})
    assert (motion.address, motion.rate, motion.every) == (0x68, 200.0, 0.005)
    assert (plain.name, plain.bus, plain.address, plain.every) == ("tmp117", 1, 0x48, 60.0)


def test_what_is_written_is_read_back_the_same(tmp_path: Path) -> None:
    sensors, _ = load(write(tmp_path, GOOD))
    text = dumps(sensors, ["found on a bus"])
    assert text.startswith("# found on a bus\n")
    assert load(write(tmp_path, text)) == (sensors, [])


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ('driver = "bme281"', r"line 2, key 'driver': there is no driver 'bme281'; there are .*bme280"),
        ("address = 0x76", "line 1, key 'driver': is missing"),
        ('driver = "bme280"\naddress = 0x78', "line 3, key 'address': expected an integer from 0x8 to 0x77, not 0x78"),
        ('driver = "bme280"\naddress = 0x40', "line 3, key 'address': a BME280 sits at 0x76 or 0x77, not at 0x40"),
        ('driver = "bme280"\naddress = "0x76"', "line 3, key 'address': expected an integer, not '0x76'"),
        ('driver = "bme280"\naddress = true', "line 3, key 'address': expected an integer, not True"),
        ('driver = "bme280"\nbus = 300', "line 3, key 'bus': expected an integer from 0x0 to 0xff"),
        ('driver = "bme280"\nevery = 0', "line 3, key 'every': expected a number from"),
        ('driver = "scd4x"\nevery = 1', "line 3, key 'every': a SCD4x is read every 5 s at most"),
        ('driver = "bme280"\nrate = 100', "line 3, key 'rate': a BME280 is read every 0.05 s at most"),
        ('driver = "mpu6050"\nrate = 123', "line 3, key 'rate': a MPU-6050 queues at 50, 100, 200, 250, 500 Hz, not at 123"),
        ('driver = "mpu6050"\nrate = 200\nevery = 1', "line 3, key 'rate': stands beside 'every'"),
        ('driver = "bme280"\nname = "Roof!"', "line 3, key 'name': 'Roof!' does not fit"),
        ('driver = "bme280"\noffset = 3', "line 3, key 'offset': expected numbers by channel"),
        ('driver = "bme280"\noffset = { temperature = "cold" }', "line 3, key 'offset': expected a number for temperature"),
        (
            'driver = "bmp280"\ngain = { humidity = 2 }',
            "line 3, key 'gain': a BMP280 has no channel 'humidity'; it has temp",
        ),
        ('driver = "bme280"\nadress = 0x76', "line 3, key 'adress': is not known here; the keys are driver, bus, address"),
    ],
)
def test_a_bad_sensor_is_named_and_does_not_stop_the_good_ones(tmp_path: Path, lines: str, complaint: str) -> None:
    path = write(tmp_path, f'[[sensor]]\n{lines}\n\n[[sensor]]\ndriver = "sht3x"\n')
    sensors, problems = load(path)
    assert [sensor.name for sensor in sensors] == ["sht3x"]
    (problem,) = problems
    with pytest.raises(errors.ConfigError, match=complaint):
        raise problem
    assert str(path) in str(problem)


def test_two_sensors_at_one_address_are_refused(tmp_path: Path) -> None:
    text = '[[sensor]]\ndriver = "bme280"\n[[sensor]]\ndriver = "bmp280"\naddress = 0x76\n'
    sensors, problems = load(write(tmp_path, text))
    assert len(sensors) == 1
    assert "line 5, key 'address': 0x76 on bus 1 is taken by bme280; two chips cannot share an address" in str(problems[0])
    sensors, problems = load(write(tmp_path, text + "bus = 2\n"))
    assert (len(sensors), problems) == (2, [])


def test_two_sensors_of_one_name_are_refused(tmp_path: Path) -> None:
    sensors, problems = load(write(tmp_path, '[[sensor]]\ndriver = "bme280"\n[[sensor]]\ndriver = "bme280"\naddress = 0x77\n'))
    assert len(sensors) == 1
    assert "key 'name': another sensor is called 'bme280' already" in str(problems[0])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[[sensor]]\ndriver = "bme280\n', "line 2, key 'driver': not TOML"),
        ('[[sensor]]\ndriver = "bme280"\ndriver = "bme280"\n', "line 3, key 'driver': not TOML"),
        ("bus = 1\n", "line 1, key 'bus': is not known here; entries begin with"),
        ("[sensor]\n", "key 'sensor': write each entry as"),
    ],
)
def test_a_malformed_file_is_refused_naming_line_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(errors.ConfigError, match=complaint):
        load(write(tmp_path, text))


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    path.write_bytes(b'[[sensor]]\nname = "\xe4"\n')
    with pytest.raises(errors.ConfigError, match="not UTF-8 text"):
        load(path)
