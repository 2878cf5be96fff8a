"""BME680 through its own package, over our bus: an independent decoder for our chip, and our care around it."""

from __future__ import annotations

import sys
from typing import ClassVar

import pytest

bme680 = pytest.importorskip("bme680", reason="the optional package bme680 is not installed")

from edge_client.hal import catalogue, errors  # noqa: E402
from edge_client.hal.contract import DriverContract  # noqa: E402
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
    monkeypatch.delitem(sys.modules, "edge_client.hal.drivers.bme680", raising=False)
    monkeypatch.setitem(sys.modules, "bme680", None)
    with pytest.raises(errors.UnknownSensor, match="pip install bme680"):
        catalogue.driver("bme680")
    assert "bme680" in catalogue.names()
