"""Every fault does what it says, begins and ends when it should, and is survived by the sensor."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from bramble_client.hal import Quality, errors
from bramble_client.hal.sensor import Sensor
from bramble_client.hal.sim import script
from bramble_client.hal.sim.faults import Faults, Kind
from tests.edge_client.hal.bench import Bench, active

WEATHER = {"temperature": 20.0, "humidity": 50.0, "pressure": 1000.0}


def faulty(name: str = "bme280", seed: int = 0) -> tuple[Bench, Faults]:
    bench = Bench(name, **WEATHER)
    bench.driver.setup()
    bench.bus.faults = faults = Faults(bench.clock, seed)
    return bench, faults


def attempt(bench: Bench, write: bytes = b"\xd0", read: int = 1) -> bytes | int | None:
    """Return what one transfer without retries gives: bytes, or the errno."""
    try:
        return bench.bus._attempt(bench.driver.address, write, read)
    except OSError as error:
        return error.errno


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        (Kind.NACK, {errno.EREMOTEIO, errno.ENODEV}),
        (Kind.TIMEOUT, {errno.ETIMEDOUT}),
        (Kind.STUCK, {errno.ETIMEDOUT}),
        (Kind.BUSY, {errno.EBUSY}),
        (Kind.PERMISSION, {errno.EACCES}),
        (Kind.UNPLUG, {errno.EREMOTEIO}),
    ],
)
def test_a_failing_transfer_fails_as_the_kernel_does(kind: Kind, numbers: set[int]) -> None:
    bench, faults = faulty()
    faults.on(kind)
    assert {attempt(bench) for _ in range(40)} == numbers
    faults.off(kind)
    assert attempt(bench) == b"\x60", "switched off at run time"


def test_a_short_read_is_short() -> None:
    bench, faults = faulty()
    faults.on(Kind.SHORT_READ)
    data = attempt(bench, b"\x88", 26)
    assert isinstance(data, bytes)
    assert len(data) < 26
    with pytest.raises(errors.ShortRead):
        bench.driver.read()


def test_a_flipped_bit_is_one_bit() -> None:
    bench, faults = faulty()
    whole = attempt(bench, b"\x88", 26)
    faults.on(Kind.BIT_FLIP)
    damaged = attempt(bench, b"\x88", 26)
    assert isinstance(whole, bytes)
    assert isinstance(damaged, bytes)
    assert sum((a ^ b).bit_count() for a, b in zip(whole, damaged, strict=True)) == 1


def test_a_flipped_bit_in_a_write_reaches_the_chip() -> None:
    bench, faults = faulty()
    faults.on(Kind.BIT_FLIP)
    before = bytes(bench.chip.memory)
    for _ in range(200):
        attempt(bench, b"\xf5\xa0", 0)
    assert bytes(bench.chip.memory) != before


def test_a_bad_check_sum_is_only_for_chips_that_have_one() -> None:
    bench, faults = faulty("sht3x")
    faults.on(Kind.BAD_CRC)
    with pytest.raises(errors.ChecksumError):
        bench.driver.read()
    other, faults = faulty("bme280")
    faults.on(Kind.BAD_CRC)
    assert other.read()
    assert not faults.counts


def test_a_brown_out_leaves_power_on_values() -> None:
    bench, faults = faulty()
    bench.read()
    assert bench.chip.memory[0xF2] == 1
    faults.on(Kind.BROWN_OUT, once=True)
    assert attempt(bench, b"\xf2", 1) == b"\x00"
    assert faults.counts == {(Kind.BROWN_OUT, 0x76): 1}
    assert attempt(bench, b"\xf2", 1) == b"\x00"


def test_a_wrong_id_is_another_chips() -> None:
    bench, faults = faulty()
    faults.on(Kind.WRONG_ID)
    assert attempt(bench) != b"\x60"
    with pytest.raises(errors.WrongChip):
        bench.driver.setup()
    faults.off()
    bench.driver.setup()


def test_a_stuck_line_stops_every_chip_and_then_lets_go() -> None:
    bench, faults = faulty()
    faults.on(Kind.STUCK, once=True, address=0x76, seconds=0.5)
    assert attempt(bench) == errno.ETIMEDOUT
    with pytest.raises(OSError, match="timed out"):
        bench.bus._attempt(0x50, b"", 0)
    assert active(faults, 0x50) == {Kind.STUCK}
    bench.clock.sleep(0.6)
    assert attempt(bench) == b"\x60"


def test_unplugged_and_plugged_in_again() -> None:
    bench, faults = faulty()
    faults.on(Kind.UNPLUG, once=True, seconds=10)
    assert attempt(bench) == errno.EREMOTEIO
    bench.clock.sleep(9.9)
    assert attempt(bench) == errno.EREMOTEIO
    bench.clock.sleep(0.2)
    assert attempt(bench, b"\xf2", 1) == b"\x00", "it comes back with its power-on values"


def test_frozen_for_a_while() -> None:
    bench, faults = faulty()
    bench.read()
    faults.on(Kind.FROZEN, once=True, seconds=10)
    bench.world.values["temperature"] = 30.0
    assert bench.read()["temperature"] == pytest.approx(20, abs=0.05)
    bench.clock.sleep(11)
    assert bench.read()["temperature"] == pytest.approx(30, abs=0.05)


def test_drift_grows_and_ends() -> None:
    bench, faults = faulty()
    faults.on(Kind.DRIFT, once=True, seconds=100, size=0.1)
    bench.read()
    bench.clock.sleep(50)
    assert abs(bench.read()["temperature"] - 20) == pytest.approx(7.25, abs=0.2), "half of a tenth of 145 °C"
    bench.clock.sleep(51)
    assert bench.read()["temperature"] == pytest.approx(20, abs=0.05)


def test_a_spike_lasts_for_one_conversion() -> None:
    bench, faults = faulty()
    faults.on(Kind.SPIKE, once=True)
    assert abs(bench.read()["temperature"] - 20) == pytest.approx(29, abs=0.2)
    assert bench.read()["temperature"] == pytest.approx(20, abs=0.05)


def test_chance_is_seeded_and_keeps_its_probability() -> None:
    counts = []
    for seed in (1, 1, 2):
        bench, faults = faulty(seed=seed)
        for kind in (Kind.NACK, Kind.TIMEOUT, Kind.BIT_FLIP):
            faults.on(kind, 0.05)
        outcome = [attempt(bench) for _ in range(4000)]
        counts.append((outcome, dict(faults.counts)))
        for kind in (Kind.NACK, Kind.TIMEOUT, Kind.BIT_FLIP):
            assert faults.counts[kind, 0x76] == pytest.approx(200, abs=60)
    assert counts[0] == counts[1] != counts[2]


def test_a_fault_at_one_address_spares_the_others() -> None:
    bench, faults = faulty()
    faults.on(Kind.NACK, address=0x77)
    assert attempt(bench) == b"\x60"


@pytest.mark.parametrize("kind", list(Kind))
def test_every_fault_is_survived_and_the_sensor_comes_back(kind: Kind) -> None:
    bench, faults = faulty("sht3x" if kind is Kind.BAD_CRC else "bme280")
    del bench.chip.random.gauss  # with its noise again: without it, a healthy chip looks frozen
    sensor = Sensor(bench.driver)
    assert all(reading.good for reading in sensor.read())
    faults.on(kind, seconds=30)
    for _ in range(20):
        bench.clock.sleep(60)
        assert len(sensor.read()) == len(bench.driver.channels)
    faults.off()
    for _ in range(3):
        bench.clock.sleep(60)
        readings = sensor.read()
    assert [reading.quality for reading in readings] == [Quality.GOOD] * len(readings)
    for reading in readings:
        assert reading.value == pytest.approx(WEATHER[reading.channel], abs=0.3)


SCRIPT = """
seed = 7

[[fault]]
kind = "nack"
probability = 0.5
from = 10
until = 20

[[fault]]
kind = "unplug"
address = 0x76
at = 60
seconds = 5
"""


def test_a_script_says_what_where_when_and_how_often(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(SCRIPT)
    bench = Bench("bme280", **WEATHER)
    bench.bus.faults = script.load(path, bench.clock)
    outcome = {}
    for second in range(80):
        outcome[second] = attempt(bench)
        bench.clock.sleep(1)
    quiet = [second for second, data in outcome.items() if data == b"\x60"]
    assert set(range(10)) | set(range(21, 60)) | set(range(66, 80)) <= set(quiet)
    assert 0 < len([second for second in range(10, 21) if second not in quiet]) < 11
    assert [outcome[second] for second in range(60, 65)] == [errno.EREMOTEIO] * 5


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[fault]\n", "line 1, key '.*': not TOML"),
        ('[[fault]]\nkind = "nack"\nprobability = \n', "line 3, key 'probability': not TOML"),
        ("[[fault]]\n", "line 1, key 'kind': is missing"),
        ('[[fault]]\nkind = "gremlin"\n', "line 2, key 'kind': 'gremlin' is not a fault; there are nack, timeout, stuck"),
        (
            '[[fault]]\nkind = "nack"\n[[fault]]\nkind = "nack"\nprobability = 2\n',
            "line 5, key 'probability': expected a number from 0 to 1",
        ),
        ('[[fault]]\nkind = "nack"\naddress = 0x90\n', "line 3, key 'address': expected an integer from 0x8 to 0x77, not 0x90"),
        ('[[fault]]\nkind = "nack"\nwhen = 3\n', "line 3, key 'when': is not known here; the keys are kind, probability"),
        ('[[fault]]\nkind = "nack"\nfrom = 9\nuntil = 3\n', "line 4, key 'until': expected a number from 9"),
        ("[[falut]]\n", "line 1, key 'falut': is not known here; entries begin with"),
        ("fault = 3\n", "key 'fault': write each entry as"),
        ("[[fault]]\nkind = 3\n", "line 2, key 'kind': expected a text, not 3"),
        ('[[fault]]\nkind = "nack"\nseconds = "long"\n', "line 3, key 'seconds': expected a number, not 'long'"),
    ],
)
def test_a_malformed_script_is_refused_naming_line_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(text)
    bench = Bench("bme280", **WEATHER)
    with pytest.raises(errors.FaultScriptError, match=complaint) as caught:
        script.load(path, bench.clock)
    assert str(path) in str(caught.value)


def test_a_script_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.FaultScriptError, match="cannot be read: No such file"):
        script.load(tmp_path / "none.toml", Bench("bme280", **WEATHER).clock)
