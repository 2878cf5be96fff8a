from __future__ import annotations

import math

import pytest

from bramble_client.hal import catalogue
from bramble_client.hal.channels import TABLE, describe, quantity
from bramble_protocol.messages import Channel

HOME_ASSISTANT = {  # device class: the units that it may have
    "temperature": {"°C"},
    "humidity": {"%"},
    "atmospheric_pressure": {"hPa"},
    "carbon_dioxide": {"ppm"},
    "illuminance": {"lx"},
    "voltage": {"V"},
    "current": {"A"},
    "power": {"W"},
    "distance": {"mm", "m"},
}


@pytest.mark.parametrize("key", TABLE)
def test_every_row_is_consistent(key: str) -> None:
    row = TABLE[key]
    assert row.key == key
    assert row.low < row.high
    assert 0 < row.resolution < row.high - row.low
    assert 0 < row.jump < row.high - row.low
    assert row.slope > 0
    assert Channel.from_wire({"key": key, "unit": row.unit}) == describe(key), "the server takes it"
    if row.device_class is not None:
        assert row.unit in HOME_ASSISTANT[row.device_class]


def test_a_channel_of_a_sensor_is_the_same_quantity() -> None:
    assert quantity("attic.temperature") is TABLE["temperature"]
    assert describe("a0.voltage") == Channel("a0.voltage", "V")


def test_an_unknown_channel_is_refused_with_what_there_is() -> None:
    with pytest.raises(KeyError, match="'wetness' is not in the channel table; it has temperature, humidity"):
        quantity("wetness")


@pytest.mark.parametrize(
    ("value", "plausible"), [(20.0, True), (-60.0, True), (85.0, True), (85.1, False), (-61.0, False), (math.nan, False), (math.inf, False)]
)
def test_plausible_is_within_the_range(value: float, plausible: bool) -> None:
    assert TABLE["temperature"].plausible(value) is plausible


def test_more_time_excuses_more_change_up_to_five_minutes() -> None:
    row = TABLE["temperature"]
    assert row.step(0) == row.jump
    assert row.step(-60) == row.step(60) == pytest.approx(row.jump + 60 * row.slope)
    assert row.step(300) == row.step(86_400)


@pytest.mark.parametrize("name", [name for name in catalogue.names() if name != "bme680"])
def test_every_driver_measures_channels_of_the_table(name: str) -> None:
    kind = catalogue.driver(name)
    assert kind.name == name
    assert bool(kind.addresses) == kind.on_bus
    assert 0 < kind.fastest
    for key in kind.channels:
        assert quantity(key)
