"""BME680 through its own package, over our bus: an independent decoder for our chip, and our care around it."""

from __future__ import annotations

import sys
from typing import ClassVar

import pytest

bme680 = pytest.importorskip("bme680", reason="the optional package bme680 is not installed")

from bramble_client.hal import catalogue, errors  # noqa: E402
from bramble_client.hal.contract import DriverContract  # noqa: E402
from tests.edge_client.hal.bench import Bench  # noqa: E402

WORLD = {"temperature": 21.5, "humidity": 44.0, "pressure": 1001.2, "gas_resistance": 95_000.0}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package waits by the wall clock; the chip's time is virtual."""
    monkeypatch.setattr("bme680.time.sleep", lambda seconds: None)


class TestContract(DriverContract):
    driver, chip = catalogue.driver("bme680"), catalogue.chip("bme680")
    tolerance: ClassVar[dict[str, float]] = {"temperature": 0.1, "humidity": 0.3, "pressure": 0.3, "gas_resistance": 1500.0}


@pytest.mark.parametrize("temperature", [-20.0, 0.0, 21.5, 60.0])
@pytest.mark.parametrize("ohms", [9_000.0, 95_000.0, 600_000.0])
def test_the_packages_integer_formulas_agree_with_the_data_sheets(temperature: float, ohms: float) -> None:
    bench = Bench("bme680", **{**WORLD, "temperature": temperature, "gas_resistance": ohms})
    bench.driver.setup()
    values = bench.read()
    assert values["temperature"] == pytest.approx(temperature, abs=0.02)
    assert values["humidity"] == pytest.approx(44.0, abs=0.2)
    assert values["pressure"] == pytest.approx(1001.2, abs=0.1)
    assert values["gas_resistance"] == pytest.approx(ohms, rel=0.01)


def test_it_is_told_apart_from_its_siblings() -> None:
    bench = Bench("bme680", **WORLD)
    assert bench.driver.identify(bench.bus, 0x76)
    assert not catalogue.driver("bme280").identify(bench.bus, 0x76)


def test_a_bus_error_under_the_package_stays_what_it_is() -> None:
    bench = Bench("bme680", **WORLD)
    bench.driver.setup()
    bench.bus.detach(0x76)
    with pytest.raises(errors.NoAcknowledge, match="0x76"):
        bench.driver.read()


def test_a_heater_that_is_not_warm_gives_no_gas_resistance() -> None:
    bench = Bench("bme680", **WORLD)
    bench.driver.setup()
    original = bench.chip._measure

    def cold() -> None:
        original()
        bench.chip.memory[0x2B] &= ~0x10

    bench.chip._measure = cold
    values = bench.read()
    assert values["gas_resistance"] != values["gas_resistance"], "NaN"
    assert values["temperature"] == pytest.approx(21.5, abs=0.02)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bramble_client.hal.drivers.bme680", raising=False)
    monkeypatch.setitem(sys.modules, "bme680", None)
    with pytest.raises(errors.UnknownSensor, match="pip install bme680"):
        catalogue.driver("bme680")
    assert "bme680" in catalogue.names()


def ready() -> Bench:
    bench = Bench("bme680", **WORLD)
    bench.driver.setup()
    return bench


def test_a_chip_that_never_measures_is_not_ready() -> None:
    bench = ready()
    bench.chip.refresh = lambda: None
    with pytest.raises(errors.NotReady, match="has not measured in time; take its power away"):
        bench.read()


def test_data_that_read_differently_twice_are_damage() -> None:
    bench = ready()
    original, blocks = bench.bus.transfer, [0]

    def transfer(address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        data = original(address, write, read)
        if write == b"\x1d" and read > 1:
            blocks[0] += 1
            data = data[:6] + bytes((data[6] ^ blocks[0] % 2,)) + data[7:]
        return data

    bench.bus.transfer = transfer  # type: ignore[method-assign]
    with pytest.raises(errors.UnsteadyRead, match="two reads of the same registers differ"):
        bench.read()


@pytest.mark.parametrize("register", [0x72, 0x74, 0x75])
def test_oversampling_or_filter_of_another_make_are_settings_that_were_lost(register: int) -> None:
    bench = ready()
    bench.read()
    original = bench.chip._measure

    def measured() -> None:
        original()
        bench.chip.memory[register] ^= 0x04

    bench.chip._measure = measured
    with pytest.raises(errors.SettingsLost, match="check its power supply"):
        bench.read()


def test_the_status_of_a_measurement_is_no_setting() -> None:
    bench = ready()
    bench.chip.memory[0x73] ^= 0x10
    assert bench.read()


def test_the_heater_is_told_how_warm_and_for_how_long() -> None:
    """Section 3.3.5, heater profile 0: gas_wait_0 counts 1 ms steps times 4 for each of its two highest bits; run_gas is on."""
    bench = ready()
    bench.read()
    wait = bench.chip.memory[0x64]
    assert (wait & 0x3F) * 4 ** (wait >> 6) == pytest.approx(150, abs=3)
    assert bench.chip.memory[0x5A] > 0, "res_heat_0"
    assert bench.chip.memory[0x71] & 0x1F == 0x10, "profile 0, gas on"


def test_an_error_of_the_packages_own_is_a_sensors_error() -> None:
    bench = ready()

    def fail() -> bool:
        raise RuntimeError("the package's reason")

    bench.driver._package.get_sensor_data = fail
    with pytest.raises(errors.NotReady, match="BME680 at 0x76 cannot be used: the package's reason"):
        bench.read()


def test_another_chip_is_refused_with_the_identity_that_it_has() -> None:
    bench = Bench("bme680", **WORLD)
    bench.chip.impostor = True
    with pytest.raises(errors.WrongChip, match="has id 0x3b, not 0x61"):
        bench.driver.setup()
    assert not bench.driver.identify(bench.bus, 0x76)


def test_it_sits_where_its_siblings_do_and_is_read_once_a_second_at_most() -> None:
    kind = catalogue.driver("bme680")
    assert (set(kind.addresses), kind.certain, kind.fastest) == ({0x76, 0x77}, True, 1.0)
    bench = ready()
    before = bench.clock.monotonic()
    bench.read()
    assert 0.15 < bench.clock.monotonic() - before < 1.0, "the heater's time is in it"


@pytest.mark.parametrize("pressure", [330.0, 700.0, 1090.0])
@pytest.mark.parametrize("humidity", [0.0, 33.0, 100.0])
def test_the_package_and_the_data_sheets_formulas_agree_over_the_range(pressure: float, humidity: float) -> None:
    bench = Bench("bme680", **{**WORLD, "pressure": pressure, "humidity": humidity})
    bench.driver.setup()
    values = bench.read()
    assert values["pressure"] == pytest.approx(pressure, abs=0.1)
    assert values["humidity"] == pytest.approx(humidity, abs=0.2)


@pytest.mark.parametrize("which", range(12))
def test_a_bus_that_fails_at_any_moment_of_the_setup_stays_a_bus_error(which: int) -> None:
    bench = Bench("bme680", **WORLD)
    original, left = bench.bus.transfer, [which]

    def transfer(address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        left[0] -= 1
        if left[0] < 0:
            raise errors.BusTimeout("the transfer with 0x76 timed out")
        return original(address, write, read)

    bench.bus.transfer = transfer  # type: ignore[method-assign]
    with pytest.raises(errors.BusTimeout):
        bench.driver.setup()
