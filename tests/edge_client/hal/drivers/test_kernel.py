"""What the kernel's own drivers read, in its units, with its failures, over a tree of real files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from bramble_client.hal import Board, catalogue, commands, config, errors, open_board
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.kernel import Hwmon, Iio, KernelSensor
from bramble_client.hal.known import FILE, Memory
from bramble_client.hal.selftest import selftest
from bramble_client.hal.sensor import Sensor
from tests.edge_client import sysfs as trees
from tests.edge_client.hal.kernel import Kernel
from tests.edge_client.process import ClientProcess
from tests.edge_client.sensors_command import run
from tests.edge_client.sysfs import Sysfs, fails_with_eio, fails_with_enxio
from tests.server.process import ServerProcess


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path / "sys")


def sensor(kind: type[KernelSensor], sysfs: Sysfs, device: str, clock: VirtualClock | None = None, /, **inputs: str) -> Sensor:
    driver = kind.configured({"device": device, "sysfs": str(sysfs.root), **({"inputs": inputs} if inputs else {})})
    return Sensor(driver(None, 0, clock or VirtualClock()), driver.usual_name())  # type: ignore[arg-type]


def values(sensor: Sensor) -> dict[str, Any]:
    return {reading.channel: reading.value for reading in sensor.read()}


CASES = {
    "bme280": (Iio, trees.BME280, {"temperature": 23.45, "pressure": 988.37402343, "humidity": 45.678}),
    "dht11": (Iio, trees.DHT11, {"temperature": 21.0, "humidity": 52.0}),
    "hx711": (Iio, trees.HX711, {"voltage": -120000 * 0.000000298 / 1000}),
    "w1_slave_temp": (Hwmon, trees.DS18B20, {"temperature": -12.625}),
    "ina219": (Hwmon, trees.INA219, {"voltage": 12.016, "current": -0.32, "power": 3.84}),
    "ina226": (
        Iio,
        {
            "in_voltage0_raw": "320", "in_voltage0_scale": "0.0025", "in_voltage1_raw": "9612", "in_voltage1_scale": "1.25",
            "in_power2_raw": "100", "in_power2_scale": "12.5", "in_current3_raw": "800", "in_current3_scale": "0.5",
        },
        {"voltage": 12.015, "power": 1.25, "current": 0.4},
    ),
    "mpu6050": (
        Iio,
        trees.MPU6050,
        {
            "temperature": (12420 - 1030) * 2.941176 / 1000,
            "acceleration_x": 0.0, "acceleration_y": -16384 * 0.000598, "acceleration_z": 8192 * 0.000598,
            **{f"rotation_{axis}": math.degrees(0.1064724) for axis in "xyz"},
        },
    ),
    "scd41": (Iio, {"in_concentration_co2_raw": "812", "in_concentration_co2_scale": "0.0001"}, {"carbon_dioxide": 812.0}),
    "bh1750": (Iio, {"in_illuminance_raw": "1200", "in_illuminance_scale": "0.833333"}, {"illuminance": 999.9996}),
    "bme680": (Iio, {"in_resistance_input": "120345"}, {"gas_resistance": 120345.0}),
    "sht21": (Hwmon, {"temp1_input": "20550", "humidity1_input": "40120"}, {"temperature": 20.55, "humidity": 40.12}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_the_kernel_says_is_read_in_our_units(name: str, sysfs: Sysfs) -> None:
    kind, files, expected = CASES[name]
    (sysfs.iio if kind is Iio else sysfs.hwmon)(0, "i2c-1/1-0040", name, files)
    assert values(sensor(kind, sysfs, name)) == pytest.approx(expected)


def test_a_distance_is_read_in_the_unit_that_the_channel_table_has(sysfs: Sysfs, monkeypatch: pytest.MonkeyPatch) -> None:
    from bramble_client.hal import channels

    sysfs.iio(0, "i2c-1/1-0029", "vl53l0x", trees.VL53L0X)
    for unit, distance in (("m", 1.234), ("cm", 123.4), ("mm", 1234.0)):
        monkeypatch.setitem(channels.TABLE, "distance", channels.Quantity("distance", unit, "distance", 0, 4000))
        assert values(sensor(Iio, sysfs, "vl53l0x")) == {"distance": pytest.approx(distance)}


def test_a_device_goes_by_its_place_its_name_or_its_folder(sysfs: Sysfs) -> None:
    sysfs.hwmon(0, "28-0316a2797a5c", "w1_slave_temp", trees.DS18B20)
    for name in ("28-0316a2797a5c", "w1_slave_temp", "hwmon0"):
        assert values(sensor(Hwmon, sysfs, name)) == {"temperature": -12.625}
    assert sensor(Hwmon, sysfs, "28-0316a2797a5c").name == "hwmon_28_0316a2797a5c"


def test_folders_that_are_no_links_are_read_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "sys" / "bus" / "iio" / "devices" / "iio:device3"
    folder.mkdir(parents=True)
    for file, text in {"name": "dht11", **trees.DHT11}.items():
        (folder / file).write_text(text)
    (found,) = Iio.find(str(tmp_path / "sys"))
    assert (found.place, found.kernel) == ("iio:device3", "dht11")


def test_of_several_that_are_called_alike_one_is_named_by_its_place(sysfs: Sysfs) -> None:
    for number, serial in enumerate(("28-000001", "28-000002")):
        sysfs.hwmon(number, serial, "w1_slave_temp", {"temp1_input": f"{number}000"})
    both = sensor(Hwmon, sysfs, "w1_slave_temp")
    assert values(both) == {"temperature": None}
    assert "several devices are called so; name one by where it sits: 28-000001, 28-000002" in str(both.error)
    assert values(sensor(Hwmon, sysfs, "28-000002")) == {"temperature": 1.0}


def test_an_input_may_be_chosen(sysfs: Sysfs) -> None:
    sysfs.iio(0, "weight", "hx711", trees.HX711)
    assert values(sensor(Iio, sysfs, "hx711", voltage="in_voltage1")) == {"voltage": pytest.approx(400 * 0.000001192 / 1000)}
    both = {"voltage": "in_voltage0", "b.voltage": "in_voltage1"}
    assert set(values(sensor(Iio, sysfs, "hx711", **both))) == set(both)
    with pytest.raises(errors.ConfigError, match="no file 'in_voltage1' of iio can be read as 'temperature'"):
        sensor(Iio, sysfs, "hx711", temperature="in_voltage1")


@pytest.mark.parametrize(
    ("break_it", "kind", "said"),
    [
        (fails_with_eio, errors.BusTimeout, "the kernel got no valid answer"),
        (fails_with_enxio, errors.NoAcknowledge, "does not answer the kernel"),
        (lambda path: path.unlink(), errors.NoAcknowledge, "does not answer the kernel"),
        (lambda path: path.write_text(""), errors.ShortRead, "says '', which is no number"),
        (lambda path: path.write_text("nan"), errors.ShortRead, "says 'nan', which is no number"),
        (lambda path: path.write_bytes(b"\xff\xfe"), errors.ShortRead, "which is no number"),
    ],
)
def test_a_file_that_fails_is_a_typed_error_and_the_sensor_comes_back(
    sysfs: Sysfs, break_it: Any, kind: type[Exception], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock()
    folder = sysfs.iio(0, "dht11@4", "dht11", trees.DHT11)
    dht = sensor(Iio, sysfs, "dht11@4", clock)
    assert values(dht)["humidity"] == 52.0
    break_it(folder / "in_humidityrelative_input")
    for _ in range(3):
        assert values(dht) == {"temperature": None, "humidity": None}
        clock.sleep(100)
    assert type(dht.error) is kind
    assert said in str(dht.error)
    (folder / "in_humidityrelative_input").unlink(missing_ok=True)
    (folder / "in_humidityrelative_input").write_text("40000")
    assert values(dht) == {"temperature": 21.0, "humidity": 40.0}
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["sensor dht11_4 is gone", "sensor dht11_4 is back"]


def test_a_device_that_went_is_found_under_its_new_number_and_no_other_is_taken_for_it(sysfs: Sysfs) -> None:
    clock = VirtualClock()
    folder = sysfs.hwmon(1, "28-000001", "w1_slave_temp", {"temp1_input": "20000"})
    probe = sensor(Hwmon, sysfs, "28-000001", clock)
    assert values(probe) == {"temperature": 20.0}
    sysfs.remove(folder)
    sysfs.hwmon(1, "1-0048", "lm75", {"temp1_input": "33000"})
    assert values(probe) == {"temperature": None}
    assert "28-000001 in hwmon is not there" in str(probe.error)
    sysfs.hwmon(5, "28-000001", "w1_slave_temp", {"temp1_input": "21000"})
    clock.sleep(100)
    assert values(probe) == {"temperature": 21.0}


def test_a_fault_that_the_kernel_reports_is_no_reading(sysfs: Sysfs) -> None:
    sysfs.hwmon(0, "spi0.0", "max31865", {"temp1_input": "988790", "temp1_fault": "1"})
    probe = sensor(Hwmon, sysfs, "max31865")
    assert values(probe) == {"temperature": None}
    assert "the kernel reports a fault at temp1" in str(probe.error)


@pytest.mark.parametrize(("name", "celsius", "good"), [("w1_slave_temp", 120, True), ("dht11", 120, False), ("max31855", 900, True)])
def test_what_is_plausible_is_what_that_sensor_can_feel(sysfs: Sysfs, name: str, celsius: int, good: bool) -> None:
    sysfs.hwmon(0, "here", name, {"temp1_input": f"{celsius}000"})
    assert [reading.good for reading in sensor(Hwmon, sysfs, name).read()] == [good]


def test_the_85_degrees_of_a_probe_that_was_without_power_are_no_reading_and_real_ones_are(sysfs: Sysfs) -> None:
    clock = VirtualClock()
    folder = sysfs.hwmon(0, "28-000001", "w1_slave_temp", {"temp1_input": "85000"})
    probe = sensor(Hwmon, sysfs, "28-000001", clock)
    read: list[Any] = []
    for celsius in (85, 21, 85, 22, 70, 82, 85, 85, 84):
        (folder / "temp1_input").write_text(f"{celsius}000")
        read.append(values(probe)["temperature"])
        clock.sleep(300)
    assert read == [None, 21, None, 22, 70, 82, 85, 85, 84]


def configuration(folder: Path, text: str) -> Path:
    path = folder / "sensors.toml"
    path.write_text(text)
    return path


def entry(sysfs: Sysfs, driver: str, device: str, *lines: str) -> str:
    return "\n".join(["[[sensor]]", f'driver = "{driver}"', f'device = "{device}"', f'sysfs = "{sysfs.root}"', *lines, ""])


def test_they_are_configured_like_any_sensor(sysfs: Sysfs, tmp_path: Path, kernel: Kernel) -> None:
    sysfs.iio(0, "dht11@4", "dht11", trees.DHT11)
    sysfs.hwmon(0, "28-000001", "w1_slave_temp", trees.DS18B20)
    text = entry(sysfs, "iio", "dht11", 'name = "cellar"', "every = 5", "offset = { humidity = -2 }")
    board = open_board("linux", seed="pi-1", configuration=configuration(tmp_path, text + entry(sysfs, "hwmon", "28-000001")))
    assert board.sample() == {"temperature": 21.0, "humidity": 50.0, "hwmon_28_000001.temperature": -12.625}
    assert [pace.every for pace in board.paces] == [5.0, 60.0]
    assert kernel.requests == [], "no I2C bus is opened for them"
    assert all(check.passed for check in selftest(board))


def test_one_that_is_absent_at_a_start_takes_only_itself_and_comes_back(sysfs: Sysfs, tmp_path: Path, kernel: Kernel, clock: Any) -> None:
    dht = sysfs.iio(0, "dht11@4", "dht11", trees.DHT11)
    sysfs.hwmon(0, "28-000001", "w1_slave_temp", trees.DS18B20)
    told = entry(sysfs, "iio", "dht11@4", 'inputs = { temperature = "in_temp", humidity = "in_humidityrelative" }')
    path = configuration(tmp_path, told + entry(sysfs, "hwmon", "28-000001"))
    sysfs.remove(dht)

    def start() -> Board:
        return open_board("linux", seed="pi-1", configuration=path, memory=Memory(tmp_path / FILE))

    board = start()
    assert board.sample() == {"temperature": None, "humidity": None, "hwmon_28_000001.temperature": -12.625}
    sysfs.iio(4, "dht11@4", "dht11", trees.DHT11)
    clock.sleep(200)
    assert board.sample()["temperature"] == 21.0


@pytest.mark.parametrize(
    ("driver", "lines", "complaint"),
    [
        (
            "iio",
            ('device = "dht22"',),
            "key 'driver': iio has no device 'dht22' that measures anything known now; run `bramble sensors scan`",
        ),
        ("iio", (), "key 'device': is missing: what the kernel calls it"),
        ("hwmon", ('device = "x"', 'inputs = { temperature = "fan1" }'), "no file 'fan1' of hwmon can be read as 'temperature'"),
        ("hwmon", ('device = "x"', 'inputs = { radium = "temp1" }'), "no file 'temp1' of hwmon can be read as 'radium'"),
        ("hwmon", ('device = "x"', 'inputs = { temperature = "temp1" }', "address = 0x48"), "key 'address': says nothing here"),
        ("hwmon", ('device = "x"', 'inputs = { temperature = "temp1" }', "bus = 1"), "key 'bus': says nothing here"),
        ("hwmon", ('device = "x"', 'inputs = { temperature = "../../etc/temp1" }'), "no file '../../etc/temp1'"),
    ],
)
def test_what_is_described_wrongly_is_named(tmp_path: Path, driver: str, lines: tuple[str, ...], complaint: str) -> None:
    path = configuration(tmp_path, "\n".join(["[[sensor]]", f'driver = "{driver}"', f'sysfs = "{tmp_path}"', *lines]))
    sensors, problems = config.load(path)
    assert sensors == []
    assert complaint in str(problems[0])


def test_a_scan_lists_them_and_writes_them_without_the_machines_own(sysfs: Sysfs, tmp_path: Path, kernel: Kernel) -> None:
    sysfs.hwmon(0, "virtual/thermal/thermal_zone0", "cpu_thermal", trees.CPU)
    sysfs.hwmon(1, "28-000001", "w1_slave_temp", trees.DS18B20)
    sysfs.hwmon(10, "28-000002", "w1_slave_temp", trees.DS18B20)
    sysfs.iio(0, "weight", "hx711", trees.HX711)
    output = run("scan", "--sysfs", str(sysfs.root), "--write", str(tmp_path / "sensors.toml"))
    for said in ("28-000001", "temperature (temp1)", "w1_slave_temp", "voltage (in_voltage0)", "hx711; also in_voltage1", "unchecked"):
        assert said in output
    assert "cpu_thermal" not in output
    board = open_board("linux", seed="pi-1", configuration=tmp_path / "sensors.toml")
    assert [sensor.name for sensor in board.sensors] == ["weight", "hwmon_28_000001", "hwmon_28_000002"]
    assert None not in board.sample().values()


def test_a_scan_shows_what_the_kernel_reads_where_there_is_no_bus(sysfs: Sysfs, kernel: Kernel) -> None:
    kernel.missing = {"/dev/i2c-1"}
    with pytest.raises(errors.NoSuchBus):
        run("scan", "--sysfs", str(sysfs.root))
    sysfs.hwmon(1, "28-000001", "w1_slave_temp", trees.DS18B20)
    output = run("scan", "--sysfs", str(sysfs.root))
    assert "28-000001" in output
    assert "there is no such bus; enable I2C" in output


def test_the_list_marks_them_as_unchecked() -> None:
    lines = {line.split()[0]: line for line in run("list").splitlines() if line}
    assert all("unchecked" in lines[name] for name in catalogue.ADAPTERS)
    assert not any("unchecked" in lines[name] for name in catalogue.BUILTIN)
    assert commands.kernel_devices("/nowhere") == []


def test_a_real_client_reads_a_kernels_sensor(sysfs: Sysfs, tmp_path: Path) -> None:
    folder = sysfs.iio(0, "dht11@4", "dht11", trees.DHT11)
    path = configuration(tmp_path, entry(sysfs, "iio", "dht11"))
    flags = ("--sensors", "linux", "--sensors-file", str(path), "--sample-every", "1s")
    with ServerProcess(tmp_path) as server, ClientProcess(server.url, tmp_path, *flags) as client:
        client.wait_connected()
        fails_with_eio(folder / "in_temp_input")
        client.wait_log("sensor dht11 is gone: dht11 in iio: the kernel got no valid answer (in_temp_input: Input/output error)")
        (folder / "in_temp_input").unlink()
        (folder / "in_temp_input").write_text("22000")
        client.wait_log("sensor dht11 is back")
        clients = server.api.clients()
        assert {channel["key"]: channel["unit"] for channel in clients["pi-1"]["channels"]} == {"temperature": "°C", "humidity": "%"}
        assert client.stop() == 0
