from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.hal.registers import Device, Field, Register
from edge_client.hal.sim.bus import SimulatedBus
from edge_client.hal.sim.chips.bme280 import BME280
from edge_client.hal.sim.scene import Scene


@given(st.integers(0, 15), st.integers(1, 16), st.booleans(), st.integers(0, 0xFFFFFFFF), st.data())
def test_a_field_gives_back_what_was_put_and_leaves_the_rest(low: int, width: int, signed: bool, raw: int, data: st.DataObject) -> None:
    field = Field(low, width, signed)
    lowest = -(1 << (width - 1)) if signed else 0
    value = data.draw(st.integers(lowest, lowest + (1 << width) - 1))
    changed = field.put(raw, value)
    assert field.get(changed) == value
    assert changed & ~field.mask == raw & ~field.mask


@pytest.mark.parametrize(("field", "value"), [(Field(0, 3), 8), (Field(0, 3), -1), (Field(4, 3, True), 4), (Field(4, 3, True), -5)])
def test_a_value_that_does_not_fit_a_field_is_refused(field: Field, value: int) -> None:
    with pytest.raises(ValueError, match="does not fit a field of 3 bits"):
        field.put(0, value)


@pytest.mark.parametrize(
    ("register", "data", "value"),
    [
        (Register(0, 2), b"\xff\xfe", 0xFFFE),
        (Register(0, 2, signed=True), b"\xff\xfe", -2),
        (Register(0, 2, signed=True, order="little"), b"\xfe\xff", -2),
        (Register(0, 3), b"\x12\x34\x56", 0x123456),
        (Register(0, 1, signed=True), b"\x80", -128),
    ],
)
def test_registers_read_sign_and_order_as_declared(register: Register, data: bytes, value: int) -> None:
    assert register.decode(data) == value
    assert register.encode(value) == data


def test_a_register_is_found_within_a_block() -> None:
    assert Register(0x0A, 2).within(bytes(range(5, 20)), 5) == 0x0A0B


def test_a_device_reads_and_writes_registers(bus: SimulatedBus, scene: Scene) -> None:
    bus.attach(0x76, BME280(scene, bus._clock))
    device = Device(bus, 0x76)
    assert device.read(Register(0xD0)) == 0x60
    device.write(Register(0xF5), 0xA0)
    assert device.block(0xF4, 2) == b"\x00\xa0"
