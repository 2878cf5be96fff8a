"""Every built-in driver passes the contract that third parties' are asked to pass."""

from __future__ import annotations

from typing import Any

import pytest

from bramble_client.hal import catalogue
from bramble_client.hal.contract import DriverContract
from bramble_client.hal.sim.chips.ads1115 import DIVIDERS
from bramble_client.hal.sim.scene import Scene

TOLERANCE: dict[str, dict[str, float]] = {
    "bme280": {"temperature": 0.05, "humidity": 0.2, "pressure": 0.2},
    "bmp280": {"temperature": 0.05, "pressure": 0.2},
    "sht3x": {"temperature": 0.15, "humidity": 0.3},
    "sht4x": {"temperature": 0.15, "humidity": 0.3},
    "tmp117": {"temperature": 0.05},
    "tmp102": {"temperature": 0.15},
    "tmp105": {"temperature": 0.15},
    "lm75": {"temperature": 0.4},
    "ads1115": {f"a{i}.voltage": 0.001 for i in range(4)},
    "ina219": {"voltage": 0.01, "current": 0.0002, "power": 0.01},
    "bh1750": {"illuminance": 3000.0},  # the cloud of a fifth of a second
    "mpu6050": {f"{kind}_{axis}": tolerance for kind, tolerance in (("acceleration", 3.0), ("rotation", 20.0)) for axis in "xyz"},
    "adxl345": {f"acceleration_{axis}": 3.0 for axis in "xyz"},
    "scd4x": {"carbon_dioxide": 60.0, "temperature": 0.3, "humidity": 0.6},
    "ina226": {"voltage": 0.005, "current": 0.0002, "power": 0.005},
    "mcp9808": {"temperature": 0.15},
    "shtc3": {"temperature": 0.3, "humidity": 0.35},
    "aht20": {"temperature": 0.08, "humidity": 0.2},
    "sgp40": {"voc_raw": 60.0},
    "vl53l0x": {"distance": 45.0},
    "bmp390": {"temperature": 0.03, "pressure": 0.06},
}


def truth_of_dividers(self: Any, scene: Scene, key: str) -> float:
    return scene.value("voltage") * DIVIDERS[int(key[1])]


def test_every_built_in_driver_is_held_to_the_contract() -> None:
    assert set(TOLERANCE) == set(catalogue.BUILTIN) - {"bme680"}


for _name in TOLERANCE:
    _members = {"driver": catalogue.driver(_name), "chip": catalogue.chip(_name), "tolerance": TOLERANCE[_name]}
    if _name in ("ina219", "ina226"):
        _members["beyond"] = {"voltage": (0.0, 1e6)}  # a supply of the wrong sign ends the chip
    if _name == "ads1115":
        _members["truth"] = truth_of_dividers
    globals()[f"Test{_name.upper()}"] = type(f"Test{_name.upper()}", (DriverContract,), _members)


@pytest.mark.parametrize("name", sorted(TOLERANCE))
def test_a_driver_and_its_chip_are_called_alike(name: str) -> None:
    assert catalogue.driver(name).name == catalogue.chip(name).name == name
