"""Chips that say that they are another one: the compatible ones are read, the others named, in a scan and in a driver's error."""

from __future__ import annotations

from typing import ClassVar

import pytest

from bramble_client.hal import catalogue, detect
from bramble_client.hal.contract import DriverContract
from bramble_client.hal.drivers.mpu6050 import MPU6050, OTHERS, SUCCESSORS
from bramble_client.hal.errors import Overrun, WrongChip
from bramble_client.hal.sim.chips.mpu6050 import MPU6500
from tests.edge_client.hal.bench import WORLD, Bench
from tests.edge_client.hal.drivers.test_contract import TOLERANCE


class TestMPU6500(DriverContract):
    driver, chip = MPU6050, MPU6500
    tolerance: ClassVar[dict[str, float]] = TOLERANCE["mpu6050"]


def saying(name: str, register: int, code: int) -> Bench:
    bench = Bench(name, **WORLD)
    bench.chip.resets = {**bench.chip.resets, register: code}
    bench.chip.power_on()
    return bench


@pytest.mark.parametrize(("code", "chip"), SUCCESSORS.items())
def test_a_successor_is_read_and_called_by_its_own_name(code: int, chip: str) -> None:
    bench = saying("mpu6050", 0x75, code)
    (found,) = detect.scan(bench.bus)
    assert [item.name for item in found.drivers] == ["mpu6050"]
    assert found.note.startswith(chip)
    bench.world.values.update(acceleration_x=9.0, rotation_y=100.0)
    bench.driver.setup()
    bench.clock.sleep(0.02)
    values = bench.read()
    assert (values["acceleration_x"], values["rotation_y"]) == pytest.approx((9.0, 100.0), abs=0.02)
    assert bench.ask(0x1D, read=1) == 3, "its accelerometer has a filter of its own"


@pytest.mark.parametrize(("code", "chip"), OTHERS.items())
def test_a_stranger_with_other_registers_is_named_in_the_scan_and_in_the_error(code: int, chip: str) -> None:
    bench = saying("mpu6050", 0x75, code)
    (found,) = detect.scan(bench.bus)
    assert (found.drivers, found.note) == ((), f"{chip}, whose registers are others; no driver here reads it")
    with pytest.raises(WrongChip, match=f"has id {code:#04x}, not 0x68: that is the {chip}, whose registers are others"):
        bench.driver.setup()


def test_the_driver_that_reads_it_is_named_where_there_is_one() -> None:
    bench = saying("bmp280", 0xD0, 0x60)
    with pytest.raises(WrongChip, match='BMP280 at 0x76 has id 0x60, not 0x58: that is the BME280; write driver = "bme280"'):
        bench.driver.setup()


@pytest.mark.parametrize("code", [0x56, 0x57])
def test_early_samples_of_a_bmp280_are_read(code: int) -> None:
    bench = saying("bmp280", 0xD0, code)
    bench.driver.setup()
    assert bench.read()["temperature"] == pytest.approx(25.0, abs=0.02)


def test_an_id_of_nobodys_is_told_with_what_to_do() -> None:
    bench = saying("mpu6050", 0x75, 0x33)
    with pytest.raises(WrongChip, match="has id 0x33, not 0x68; run `bramble sensors scan`"):
        bench.driver.setup()
    (found,) = detect.scan(bench.bus)
    assert found.note.startswith("unknown chip; no driver recognises it")


def test_a_successors_queue_is_half_as_long_and_its_end_is_noticed() -> None:
    bench = Bench("mpu6050", **WORLD)
    bench.bus.detach(0x68)
    bench.chip = MPU6500(bench.scene, bench.clock)
    bench.bus.attach(0x68, bench.chip)
    bench.driver.start(500.0)
    bench.driver.drain()
    bench.clock.sleep(MPU6050.patience(500.0))
    assert len(bench.driver.drain()) == pytest.approx(21, abs=1), "left alone for as long as it may be, it loses nothing"
    bench.clock.sleep(0.1)
    with pytest.raises(Overrun):
        bench.driver.drain()


def test_every_identity_knows_its_own_chip_and_no_relative_is_also_read() -> None:
    for name in catalogue.names():
        if name == "bme680":
            pytest.importorskip(name)
        kind = catalogue.driver(name)
        if kind.identity is not None:
            assert kind.chip in kind.identity.chips.values()
            assert all(kind.identity.chips.get(code) in (None, kind.chip) for code in kind.identity.relatives)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in catalogue.BUILTIN if name != "bme680" and catalogue.driver(name).certain])
def test_a_chip_that_says_what_it_is_is_found_as_that_and_nothing_else_wherever_it_can_sit(name: str) -> None:
    """Three Bosch chips at 0x76, two of Texas Instruments' at 0x40: the address tells nothing."""
    kind = catalogue.driver(name)
    for address in {min(kind.addresses), max(kind.addresses)}:
        bench = Bench(name, **WORLD)
        bench.bus.attach(address, bench.bus.detach(kind.addresses[0]))
        bench.clock.sleep(1)
        (found,) = detect.scan(bench.bus)
        assert ([item.name for item in found.drivers], found.certain, found.address) == ([name], True, address)


@pytest.mark.parametrize("name", ["ina226", "mcp9808", "shtc3", "aht20", "sgp40", "bmp390", "vl53l0x"])
def test_another_driver_at_the_same_address_does_not_take_the_chip_for_its_own(name: str) -> None:
    bench = Bench(name, **WORLD)
    bench.clock.sleep(1)
    address = bench.driver.address
    others = [catalogue.driver(other) for other in catalogue.BUILTIN if other not in (name, "bme680")]
    for other in (item for item in others if address in item.addresses):
        assert not other.identify(bench.bus, address), other.name
