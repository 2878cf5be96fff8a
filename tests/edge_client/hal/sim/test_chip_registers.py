"""The register maps of the data sheets, for every chip that has registers: power-on values, what can be written, how the pointer moves."""

from __future__ import annotations

import pytest

from tests.edge_client.hal.bench import WORLD, Bench

WORDS = ("tmp117", "tmp102", "tmp105", "lm75", "ads1115", "ina219", "ina226", "mcp9808")
BYTES = ("bme280", "bmp280", "bme680", "bmp390", "mpu6050", "adxl345")

RESETS: dict[str, dict[int, int]] = {
    "tmp117": {0x00: 0x8000, 0x01: 0x0220, 0x02: 0x6000, 0x03: 0x8000, 0x07: 0x0000, 0x0F: 0x0117},  # SNOSD82D, table 7-3
    "tmp102": {0x00: 0x0000, 0x01: 0x60A0, 0x02: 0x4B00, 0x03: 0x5000},  # SBOS397: 75 °C and 80 °C
    "tmp105": {0x00: 0x0000, 0x02: 0x4B00, 0x03: 0x5000},  # SBOS648
    "lm75": {0x00: 0x0000, 0x02: 0x4B00, 0x03: 0x5000},  # LM75, section 1.14
    "ads1115": {0x00: 0x0000, 0x01: 0x8583, 0x02: 0x8000, 0x03: 0x7FFF},  # SBAS444D, section 9.6
    "ina219": {0x00: 0x399F, 0x01: 0, 0x03: 0, 0x04: 0, 0x05: 0},  # SBOS448G, table 2
    "ina226": {
        0x00: 0x4127,
        0x01: 0,
        0x02: 0,
        0x03: 0,
        0x04: 0,
        0x05: 0,
        0x06: 0,
        0x07: 0,
        0xFE: 0x5449,
        0xFF: 0x2260,
    },  # SBOS547B, table 7-1
    "mcp9808": {0x01: 0, 0x02: 0, 0x03: 0, 0x04: 0, 0x05: 0, 0x06: 0x0054, 0x07: 0x0400},  # DS25095A, table 5-1
    "bme280": {0xD0: 0x60, 0xF2: 0, 0xF3: 0, 0xF4: 0, 0xF5: 0, 0xF7: 0x80, 0xF8: 0, 0xF9: 0, 0xFA: 0x80, 0xFD: 0x80, 0xFE: 0},  # table 18
    "bmp280": {0xD0: 0x58, 0xF3: 0, 0xF4: 0, 0xF5: 0, 0xF7: 0x80, 0xF8: 0, 0xF9: 0, 0xFA: 0x80, 0xFB: 0, 0xFC: 0},  # table 18
    "bmp390": {0x00: 0x60, 0x06: 0x80, 0x09: 0x80, 0x1B: 0, 0x1C: 0x02, 0x1D: 0, 0x1F: 0, 0x7E: 0},  # DS002, section 4.2
    "bme680": {0xD0: 0x61, 0x1F: 0x80, 0x22: 0x80, 0x25: 0x80, 0x72: 0, 0x74: 0, 0x75: 0},  # section 5.2
    "mpu6050": {0x19: 0, 0x1A: 0, 0x1B: 0, 0x1C: 0, 0x23: 0, 0x3A: 0, 0x6A: 0, 0x6B: 0x40, 0x75: 0x68},  # section 3
    "adxl345": {0x00: 0xE5, 0x2C: 0x0A, 0x2D: 0, 0x2E: 0, 0x30: 0x02, 0x31: 0, 0x38: 0, 0x39: 0},  # table 19
}
KEPT: list[tuple[str, int, int, int]] = [  # chip, register, written, and what is read back: the other bits do not exist or are the chip's
    ("tmp117", 0x01, 0xFFFC, 0x0FFC),
    ("tmp117", 0x02, 0x1234, 0x1234),
    ("tmp117", 0x03, 0xFEDC, 0xFEDC),
    ("tmp117", 0x04, 0xFFFF, 0x8000),
    ("tmp102", 0x01, 0x1EFF, 0x7EF0),
    ("tmp102", 0x01, 0x0000, 0x6020),
    ("tmp102", 0x02, 0xFFFF, 0xFFF0),
    ("tmp102", 0x03, 0x1238, 0x1230),
    ("tmp105", 0x02, 0xFFFF, 0xFFF0),
    ("tmp105", 0x03, 0x1238, 0x1230),
    ("lm75", 0x02, 0xFFFF, 0xFF80),
    ("lm75", 0x03, 0x12F8, 0x1280),
    ("ads1115", 0x01, 0x0583, 0x8583),
    ("ads1115", 0x02, 0x1234, 0x1234),
    ("ads1115", 0x03, 0xFEDC, 0xFEDC),
    ("ina219", 0x00, 0x3FFF, 0x3FFF),
    ("ina219", 0x05, 0xFFFF, 0xFFFE),
    ("ina226", 0x00, 0x7FFF, 0x4FFF),
    ("ina226", 0x05, 0xFFFF, 0x7FFF),
    ("ina226", 0x07, 0x1234, 0x1234),
    ("mcp9808", 0x02, 0xFFFF, 0x1FFC),
    ("mcp9808", 0x03, 0x1230, 0x1230),
    ("mcp9808", 0x01, 0xFFFF, 0x07CF),
]
READ_ONLY = {
    "tmp117": (0x00, 0x0F),
    "tmp102": (0x00,),
    "tmp105": (0x00,),
    "lm75": (0x00,),
    "ads1115": (0x00,),
    "ina219": (0x01, 0x02, 0x03, 0x04),
    "ina226": (0x01, 0x02, 0x03, 0x04, 0xFE, 0xFF),
    "mcp9808": (0x05, 0x06, 0x07),
    "bme280": (0x88, 0xA1, 0xD0, 0xE1, 0xF3, 0xF7, 0xFA, 0xFD),
    "bmp280": (0x88, 0x9F, 0xD0, 0xF3, 0xF7, 0xFA),
    "bme680": (0x1D, 0x1F, 0x22, 0x25, 0x2A, 0x8A, 0xD0, 0xE1),
    "bmp390": (0x00, 0x01, 0x03, 0x04, 0x09, 0x31, 0x45),
    "mpu6050": (0x3A, 0x3B, 0x41, 0x48, 0x75),
    "adxl345": (0x00, 0x01, 0x1C, 0x2B, 0x30, 0x32, 0x37, 0x39),
}


def powered(name: str) -> Bench:
    """A chip that has loaded what it loads after power-on, but has not yet measured by itself."""
    bench = Bench(name, **WORLD)
    if name in ("bme280", "bmp280", "bmp390"):
        bench.clock.sleep(0.0021)
    return bench


def size(name: str) -> int:
    return 2 if name in WORDS else 1


@pytest.mark.parametrize("name", RESETS)
def test_after_power_on_registers_have_the_values_of_the_data_sheet(name: str) -> None:
    bench = powered(name)
    assert {register: bench.ask(register, read=size(name)) for register in RESETS[name]} == RESETS[name]


@pytest.mark.parametrize("name", RESETS)
def test_power_that_was_away_for_a_moment_restores_every_register(name: str) -> None:
    bench = powered(name)
    before = {register: bench.ask(register, read=size(name)) for register in RESETS[name]}
    for register in RESETS[name]:
        bench.send(register, *([0x55] * size(name)))
    bench.clock.sleep(1)
    bench.chip.power_on()
    if name in ("bme280", "bmp280", "bmp390"):
        bench.clock.sleep(0.0021)
    assert {register: bench.ask(register, read=size(name)) for register in RESETS[name]} == before


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("tmp117", (0x01, 0x00, 0x02)),
        ("ina219", (0x00, 0x80, 0x00)),
        ("ina226", (0x00, 0x80, 0x00)),
        ("bme280", (0xE0, 0xB6)),
        ("bmp280", (0xE0, 0xB6)),
        ("bme680", (0xE0, 0xB6)),
        ("bmp390", (0x7E, 0xB6)),
        ("mpu6050", (0x6B, 0x80)),
    ],
)
def test_the_chips_own_reset_restores_every_register(name: str, order: tuple[int, ...]) -> None:
    bench = powered(name)
    marked = {
        "tmp117": 0x02,
        "ina219": 0x05,
        "ina226": 0x05,
        "bme280": 0xF5,
        "bmp280": 0xF5,
        "bme680": 0x72,
        "bmp390": 0x1F,
        "mpu6050": 0x19,
    }[name]
    bench.send(marked, *([0x44] * size(name)))
    assert bench.ask(marked, read=size(name)) != RESETS[name].get(marked, 0), "it was written"
    bench.send(*order)
    bench.clock.sleep(0.0021 if name.startswith("bm") else 0)
    assert {register: bench.ask(register, read=size(name)) for register in RESETS[name]} == RESETS[name]


@pytest.mark.parametrize(("name", "register", "written", "read"), KEPT)
def test_a_register_keeps_the_bits_that_it_has(name: str, register: int, written: int, read: int) -> None:
    bench = powered(name)
    bench.send(register, *written.to_bytes(2, "big"))
    assert bench.ask(register) == read


@pytest.mark.parametrize(("name", "register"), [(name, register) for name, registers in READ_ONLY.items() for register in registers])
def test_what_can_only_be_read_stays_whatever_is_written(name: str, register: int) -> None:
    bench = powered(name)
    before = bench.ask(register, read=size(name))
    for byte in (0x00, 0xFF, 0x55):
        bench.send(register, *([byte] * size(name)))
        assert bench.ask(register, read=size(name)) == before


@pytest.mark.parametrize("name", WORDS)
def test_a_pointer_to_a_word_stays_where_it_was_set(name: str) -> None:
    bench = powered(name)
    first = bench.ask(0x02)
    assert bench.bus.transfer(bench.driver.address, b"", 2) == first.to_bytes(2, "big"), "no register named: the same again"
    assert bench.ask(0x02, read=4) == first << 16 | first, "read on, it repeats itself"


@pytest.mark.parametrize("name", [name for name in WORDS if not name.startswith("ina")])
def test_half_a_word_is_not_written(name: str) -> None:
    bench = powered(name)
    before = bench.ask(0x03)
    bench.send(0x03, 0x12)
    assert bench.ask(0x03) == before


@pytest.mark.parametrize("name", BYTES)
def test_a_pointer_to_a_byte_moves_on_with_every_byte_that_is_read(name: str) -> None:
    bench = powered(name)
    address, start = bench.driver.address, 0x31 if name == "bmp390" else 0xD0 if name.startswith("bm") else 0x2C
    whole = bench.bus.transfer(address, bytes((start,)), 6)
    bench.send(start)
    assert bench.bus.transfer(address, b"", 2) + bench.bus.transfer(address, b"", 4) == whole


@pytest.mark.parametrize(("name", "first"), [("mpu6050", 0x1B), ("adxl345", 0x1E)])
def test_a_burst_writes_register_after_register(name: str, first: int) -> None:
    bench = powered(name)
    bench.send(first, 0x08, 0x10)
    assert bench.ask(first, read=2) == 0x0810


@pytest.mark.parametrize("name", ["bme280", "bmp280", "bme680"])
def test_bosch_chips_take_pairs_and_ignore_half_of_one(name: str) -> None:
    bench = powered(name)
    one, two = (0x72, 0x75) if name == "bme680" else (0xF5, 0xF4)
    bench.send(one, 0x04, two)
    assert (bench.ask(one, read=1), bench.ask(two, read=1)) == (0x04, 0x00)
    bench.send(one, 0x00, two, 0x04)
    assert (bench.ask(one, read=1), bench.ask(two, read=1)) == (0x00, 0x04)


@pytest.mark.parametrize("name", RESETS)
def test_a_probe_sends_only_the_address_and_changes_nothing(name: str) -> None:
    bench = powered(name)
    register = next(iter(RESETS[name]))
    before = bench.ask(register, read=size(name))
    bench.bus.transfer(bench.driver.address)
    assert int.from_bytes(bench.bus.transfer(bench.driver.address, bytes((register,)), size(name)), "big") == before
    assert bench.bus.scan() == [bench.driver.address]


IDENTITY = {
    "ina226": 0xFF,
    "bmp390": 0x00,
    "mcp9808": 0x07,
    "tmp117": 0x0F,
    "bme280": 0xD0,
    "bmp280": 0xD0,
    "bme680": 0xD0,
    "mpu6050": 0x75,
    "adxl345": 0x00,
}


@pytest.mark.parametrize(("name", "register"), IDENTITY.items())
def test_an_impostor_differs_in_its_identity_and_nowhere_else(name: str, register: int) -> None:
    bench = powered(name)
    others = [other for other in RESETS[name] if other != register]
    honest = [bench.ask(other, read=size(name)) for other in others]
    bench.chip.impostor = True
    assert bench.ask(register, read=size(name)) != RESETS[name][register]
    assert [bench.ask(other, read=size(name)) for other in others] == honest
    bench.chip.impostor = False
    assert bench.ask(register, read=size(name)) == RESETS[name][register]


@pytest.mark.parametrize("name", ["lm75", "tmp105"])
def test_the_configuration_of_one_byte_is_read_as_one_byte_over_and_over(name: str) -> None:
    bench = powered(name)
    bench.send(0x01, 0x18)
    assert bench.ask(0x01, read=1) == 0x18
    assert bench.ask(0x01, read=3) == 0x181818


@pytest.mark.parametrize(("name", "kept"), [("lm75", 0x1F), ("tmp105", 0x7F)])
def test_the_configuration_of_one_byte_keeps_the_bits_that_it_has(name: str, kept: int) -> None:
    bench = powered(name)
    bench.send(0x01, 0xFF)
    assert bench.ask(0x01, read=1) == kept
    bench.send(0x01)
    assert bench.bus.transfer(bench.driver.address, b"", 1) == bytes((kept,)), "a pointer alone writes nothing"


@pytest.mark.parametrize(("name", "mask"), [("tmp102", 0x03), ("ads1115", 0x03), ("ina219", 0x07)])
def test_only_the_lowest_bits_of_the_pointer_count(name: str, mask: int) -> None:
    bench = powered(name)
    assert bench.ask(0xF8 | 0x01) == bench.ask(0x01)
    assert bench.ask(mask + 1) == bench.ask(0x00)
