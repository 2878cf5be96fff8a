from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble_client.hal.registers import Device, Field, Register
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.chips.bme280 import BME280
from bramble_client.hal.sim.scene import Scene


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


def test_a_field_is_one_unsigned_bit_unless_it_is_told() -> None:
    assert (Field(3).mask, Field(3).get(0xFF), Field(3).put(0, 1)) == (0x08, 1, 0x08)
    with pytest.raises(ValueError, match="does not fit a field of 1 bits, from 0 to 1"):
        Field(3).put(0, 2)


@pytest.mark.parametrize(("field", "mask"), [(Field(0, 3), 0x07), (Field(5, 2), 0x60), (Field(4, 12), 0xFFF0)])
def test_a_fields_mask_is_its_bits_in_place(field: Field, mask: int) -> None:
    assert field.mask == mask
    assert field.put(0xFFFF, 0) == 0xFFFF & ~mask


def test_a_signed_field_reads_the_ends_of_its_range() -> None:
    field = Field(4, 4, signed=True)
    assert [field.get(raw << 4) for raw in (0, 7, 8, 15)] == [0, 7, -8, -1]
    assert (field.put(0, -8), field.put(0, 7)) == (0x80, 0x70)


def test_a_register_is_one_unsigned_byte_unless_it_is_told() -> None:
    assert (Register(0x10).decode(b"\xff"), Register(0x10).encode(255)) == (255, b"\xff")
    with pytest.raises(OverflowError):
        Register(0x10).encode(256)
    assert Register(0x12, 2, True, "little").within(b"\x00\x00\xfe\xff", 0x10) == -2


def test_a_device_names_the_register_and_reads_just_it(bus: SimulatedBus) -> None:
    heard: list[tuple[int, bytes, int]] = []

    def transfer(address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        heard.append((address, write, read))
        return bytes(read)

    bus.transfer = transfer  # type: ignore[method-assign]
    device = Device(bus, 0x48)
    device.read(Register(0x0F, 2))
    device.write(Register(0x01, 2), 0x0C20)
    device.block(0x88, 24)
    assert heard == [(0x48, b"\x0f", 2), (0x48, b"\x01\x0c\x20", 0), (0x48, b"\x88", 24)]
