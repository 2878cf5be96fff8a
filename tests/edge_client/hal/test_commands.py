from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from bramble_client.hal import catalogue, commands, config, detect, errors, open_board
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.readings import Quality, Reading
from bramble_client.hal.sampler import Stats
from bramble_client.hal.selftest import Check, selftest
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.chips.base import RegisterChip
from bramble_client.hal.sim.faults import Faults, Kind
from bramble_client.hal.sim.scene import Scene
from bramble_client.hal.sim.world import Synthetic
from tests.edge_client.hal.kernel import Kernel

ALL = {
    "sht3x": 0x44,
    "sht4x": 0x45,
    "ina219": 0x40,
    "tmp117": 0x48,
    "tmp102": 0x49,
    "ads1115": 0x4A,
    "lm75": 0x4F,
    "bh1750": 0x23,
    "bme280": 0x76,
    "bmp280": 0x77,
    "mpu6050": 0x68,
    "adxl345": 0x53,
    "scd4x": 0x62,
    "ina226": 0x41,
    "mcp9808": 0x18,
    "shtc3": 0x70,
    "aht20": 0x38,
    "sgp40": 0x59,
    "vl53l0x": 0x29,
}


class Mute(RegisterChip):
    """A chip that no driver knows."""

    name = "mute"


@pytest.fixture
def full(clock: VirtualClock) -> SimulatedBus:
    """A bus with one chip of every kind, and one that nobody knows."""
    bus = SimulatedBus(clock)
    scene = Scene(Synthetic("a"), clock)
    scene.follow(1_683_000_000.0)
    for name, address in ALL.items():
        bus.attach(address, catalogue.chip(name)(scene, clock))
    bus.attach(0x3C, Mute(scene, clock))
    clock.sleep(1)
    return bus


def test_a_scan_tells_every_chip_by_its_identity(full: SimulatedBus) -> None:
    found = {item.address: item for item in detect.scan(full)}
    assert set(found) == {*ALL.values(), 0x3C}
    for name, address in ALL.items():
        driver = catalogue.driver(name)
        assert driver in found[address].drivers, name
        assert found[address].certain == driver.certain, name
    assert found[0x3C].drivers == ()
    assert found[0x3C].note.startswith("unknown chip; no driver recognises it")
    assert found[0x76].note == "BME280, by its identity"
    assert "it has no identity to prove it" in found[0x40].note


def test_a_scan_names_the_package_that_a_driver_lacks(full: SimulatedBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bramble_client.hal.drivers.bme680", raising=False)
    monkeypatch.setitem(sys.modules, "bme680", None)
    found = {item.address: item for item in detect.scan(full)}
    assert "pip install bme680" in found[0x3C].note
    assert found[0x76].certain


def test_a_scan_rules_out_what_can_be_ruled_out(full: SimulatedBus) -> None:
    found = {item.address: {driver.name for driver in item.drivers} for item in detect.scan(full)}
    assert found[ALL["ads1115"]] == {"ads1115"}
    assert found[ALL["tmp102"]] == {"tmp102"} or "ads1115" not in found[ALL["tmp102"]]
    assert "ina219" not in found[ALL["lm75"]]


def test_a_scan_leaves_the_chips_as_they_were(full: SimulatedBus) -> None:
    drivers = [catalogue.driver(name)(full, address, full._clock) for name, address in ALL.items()]
    for driver in drivers:
        driver.setup()
        driver.read()
    detect.scan(full)
    for driver in drivers:
        full._clock.sleep(6)
        assert driver.read().values


def test_a_scan_of_a_bad_bus_goes_on(full: SimulatedBus) -> None:
    full.faults = faults = Faults(full._clock)
    faults.on(Kind.BUSY, address=0x76)
    found = {item.address: item for item in detect.scan(full)}
    assert "a kernel driver owns 0x76" in found[0x76].note
    assert found[0x77].certain


def test_what_a_scan_finds_becomes_a_configuration_that_works(full: SimulatedBus, tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text(commands.found_config(detect.scan(full), 1))
    sensors, problems = config.load(path)
    assert problems == []
    assert {sensor.address for sensor in sensors} == set(ALL.values())
    assert "# 0x3c: unknown chip" in path.read_text()
    assert len({sensor.name for sensor in sensors}) == len(sensors)


def test_two_of_a_kind_have_names_of_their_own() -> None:
    assert detect.names(["bme280", "sht3x", "bme280", "bme280"]) == ["bme280", "sht3x", "bme280_2", "bme280_3"]


def test_every_driver_is_known() -> None:
    rows = commands.known()
    assert {row.name for row in rows} >= {*ALL, "bme680"}
    assert all(row.driver is not None or row.problem for row in rows)


def test_watching_shows_readings_and_how_sampling_goes() -> None:
    board = open_board("mock", seed="pi-1", live=True)
    board.paces = [type(board.paces[0])(0.02)]
    with closing(commands.watch(board)) as rows:
        seen = list(islice(rows, 3))
    readings, stats = seen[-1]
    assert [reading.channel for reading in readings] == ["temperature", "humidity", "pressure"]
    assert stats["bme280"].taken >= 3


def test_a_simulated_bus_can_be_opened_alone() -> None:
    with commands.opened("mock", 1, "pi-1") as bus:
        assert [item.note for item in detect.scan(bus)] == ["BME280, by its identity"]


def checks(text: str, folder: Path, script: str = "") -> list[Check]:
    path = folder / "sensors.toml"
    path.write_text(text)
    faults = folder / "faults.toml" if script else None
    if faults is not None:
        faults.write_text(script)
    return list(selftest(open_board("mock", seed="pi-1", configuration=path, faults=faults)))


def test_a_self_test_of_good_sensors_passes_every_check(tmp_path: Path) -> None:
    rows = checks('[[sensor]]\ndriver = "bme280"\n[[sensor]]\ndriver = "mpu6050"\nrate = 200\n[[sensor]]\ndriver = "lm75"\n', tmp_path)
    assert [row for row in rows if not row.passed] == []
    assert [row.what for row in rows if row.sensor == "bme280"] == ["identity", "setup", "bytes", "plausible", "rate"]
    notes = {(row.sensor, row.what): row.note for row in rows}
    assert "perhaps LM75" in notes["lm75", "identity"]
    assert "conversions came at 200 Hz" in notes["mpu6050", "stream"]
    assert "hPa" in notes["bme280", "plausible"]


@pytest.mark.parametrize(
    ("fault", "what", "remedy"),
    [
        ("unplug", "identity", "check the wiring, the power and the address"),
        ("wrong_id", "identity", "run `bramble sensors scan`"),
        ("permission", "identity", "add the user to the group i2c"),
        ("busy", "identity", "a kernel driver owns 0x76"),
    ],
)
def test_a_self_test_says_what_to_do(tmp_path: Path, fault: str, what: str, remedy: str) -> None:
    rows = checks('[[sensor]]\ndriver = "bme280"\n', tmp_path, f'[[fault]]\nkind = "{fault}"\nseconds = 1000\n')
    failed = [row for row in rows if not row.passed]
    assert [row.what for row in failed] == [what]
    assert remedy in failed[0].note


def test_a_self_test_counts_damaged_bytes(tmp_path: Path) -> None:
    rows = checks('[[sensor]]\ndriver = "sht3x"\n', tmp_path, '[[fault]]\nkind = "bad_crc"\nprobability = 0.4\nfrom = 0.005\n')
    failed = [row for row in rows if not row.passed]
    assert [row.what for row in failed] == ["bytes"]
    assert "do not match their check sum" in failed[0].note


def test_a_self_test_notices_a_rate_that_cannot_be_kept(tmp_path: Path) -> None:
    board = open_board("mock", seed="pi-1")
    board.paces = [type(board.paces[0])(0.001)]
    failed = [row for row in selftest(board) if not row.passed]
    assert [row.what for row in failed] == ["rate"]
    assert "ask for it less often" in failed[0].note


def test_a_self_test_notices_values_that_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("time,temperature\n1700000000,84.9\n1700000060,84.9\n")
    board = open_board("mock", seed="pi-1", replay=path)
    driver = board.sensors[0].driver
    assert driver.name == "bme280"
    original = driver.read
    driver.read = lambda: original()._replace(values={"temperature": 900.0})  # type: ignore[method-assign]
    failed = [row for row in selftest(board) if not row.passed]
    assert [row.what for row in failed] == ["plausible"]
    assert "temperature cannot be" in failed[0].note


def test_a_self_test_begins_with_what_is_wrong_in_the_configuration(tmp_path: Path) -> None:
    rows = checks('[[sensor]]\ndriver = "nonsense"\n[[sensor]]\ndriver = "bme280"\n', tmp_path)
    assert rows[0].sensor == "configuration"
    assert not rows[0].passed
    assert "there is no driver 'nonsense'" in rows[0].note
    assert all(row.passed for row in rows[1:])


def test_a_linux_bus_is_scanned_and_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: VirtualClock) -> None:
    kernel = Kernel(tmp_path / "i2c")
    kernel.install(monkeypatch)
    scene = Scene(Synthetic("a"), clock)
    kernel.chips[0x48] = catalogue.chip("tmp117")(scene, clock)
    with commands.opened("linux", 1, "pi-1") as bus:
        assert [item.note for item in detect.scan(bus)] == ["TMP117, by its identity"]
    with pytest.raises(errors.BusClosed):
        bus.scan()


def test_a_linux_bus_that_is_not_there_is_named() -> None:
    with pytest.raises(errors.NoSuchBus, match="there is no such bus"), commands.opened("linux", 250, "pi-1"):
        pass


def test_a_fast_sensor_is_shown_at_a_rate_for_people_and_no_doubt_is_hidden() -> None:
    def reading(sensor: str, sequence: int, value: float, quality: Quality = Quality.GOOD) -> Reading:
        return Reading(sensor, "acceleration_x", value, "m/s²", sequence / 200, None, sequence, quality, False)

    clock = VirtualClock()

    def rows() -> Iterator[tuple[list[Reading], dict[str, Stats]]]:
        stats = {"fast": Stats(), "slow": Stats()}
        for step in range(500):  # ten readings each 50 ms are 200 Hz
            clock.sleep(step * 0.05 - clock.monotonic())
            batch = [reading("fast", 10 * step + i, float(i), Quality.JUMP if step == 30 else Quality.GOOD) for i in range(10)]
            yield batch, stats
            if step % 60 == 0:
                yield [reading("slow", step, 1.0)], stats

    lines = list(commands.thinned(rows(), 1.0, clock))
    fast = [line for line in lines if line.latest[0].sensor == "fast"]
    assert len(fast) == 25, "25 seconds"
    assert [line.latest[0].value for line in fast] == [9.0] * 25, "the newest of each stretch"
    assert sum(line.readings for line in fast) == 10 * 481
    assert [line.doubtful for line in fast if line.doubtful] == [10]
    assert [line.readings for line in lines if line.latest[0].sensor == "slow"] == [1] * 9
    assert len(list(commands.thinned(rows(), 0.0, clock))) == 509, "all, for who asks for all"
