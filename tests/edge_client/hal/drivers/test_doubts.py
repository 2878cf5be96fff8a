"""What the drivers refuse to believe, case by case: damage, settings that are gone, conversions that did not begin or end."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan

import pytest

from bramble_client.hal import errors
from bramble_client.hal.drivers.base import Pacer, one_conversion, steady
from tests.edge_client.hal.bench import WORLD, Bench


def ready(name: str) -> Bench:
    bench = Bench(name, **WORLD)
    bench.driver.setup()
    bench.clock.sleep(0.1)
    return bench


def spoil(bench: Bench, change: Callable[[bytes, int, bytes], bytes], register: int) -> None:
    """Change what one register's reads give: ``change`` takes what was written, which read of it this is, and the data."""
    original, count = bench.bus.transfer, [0]

    def transfer(address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        data = original(address, write, read)
        if read and write == bytes((register,)):
            count[0] += 1
            return change(write, count[0], data)
        return data

    bench.bus.transfer = transfer  # type: ignore[method-assign]


def flip(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big")


def test_steady_registers_are_read_twice_and_returned() -> None:
    reads = iter([7, 7])
    assert steady(lambda: next(reads), "x") == 7
    assert next(reads, None) is None
    reads = iter([7, 8])
    with pytest.raises(errors.UnsteadyRead, match="x: two reads of the same registers differ"):
        steady(lambda: next(reads), "x")


def converted(*blocks: bytes) -> bytes:
    """Each block is a flag and one byte of data; the flag says that a conversion ended since the last read."""
    left = iter(blocks)
    return one_conversion(lambda: next(left), lambda block: bool(block[0]), slice(1, 2), "x")


def test_a_conversion_is_settled_when_two_reads_show_the_same() -> None:
    assert converted(b"\x01A", b"\x00A") == b"\x00A"
    assert converted(b"\x01A", b"\x01B", b"\x00B") == b"\x00B", "one ended between the two"
    assert converted(b"\x01A", b"\x01B", b"\x01C", b"\x01D", b"\x00D") == b"\x00D"


@pytest.mark.parametrize("blocks", [(b"\x01A", b"\x00B"), (b"\x01A", b"\x01B", b"\x00C"), tuple(b"\x01" + bytes((i,)) for i in range(5))])
def test_a_conversion_that_differs_or_never_settles_is_damage(blocks: tuple[bytes, ...]) -> None:
    with pytest.raises(errors.UnsteadyRead, match="two reads of the same conversion differ"):
        converted(*blocks)


@pytest.mark.parametrize(("name", "bit"), [("tmp117", 3), ("tmp102", 15), ("ads1115", 4), ("lm75", 9)])
def test_a_result_that_reads_differently_twice_is_damage(name: str, bit: int) -> None:
    bench = ready(name)
    spoil(bench, lambda write, which, data: flip(data, bit) if which % 2 else data, 0x00)
    with pytest.raises(errors.UnsteadyRead):
        bench.read()


@pytest.mark.parametrize(("name", "register", "bit"), [("tmp117", 0x01, 5), ("tmp102", 0x01, 6), ("ads1115", 0x01, 9), ("ina219", 0x00, 3)])
def test_settings_that_are_not_what_was_written_are_lost(name: str, register: int, bit: int) -> None:
    bench = ready(name)
    spoil(bench, lambda write, which, data: flip(data, bit), register)
    with pytest.raises(errors.SettingsLost, match="check its power supply"):
        bench.read()


@pytest.mark.parametrize("bit", [15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
def test_tmp102_ignores_of_its_settings_only_what_the_chip_changes(bit: int) -> None:
    bench = ready("tmp102")
    spoil(bench, lambda write, which, data: flip(data, bit), 0x01)
    if bit == 5:  # AL follows the temperature
        assert bench.read()
        return
    with pytest.raises((errors.SettingsLost, errors.NotReady)):
        bench.read()


def test_tmp102_and_ads1115_that_do_not_begin_are_not_ready() -> None:
    for name in ("tmp102", "ads1115"):
        bench = ready(name)
        bench.read()
        bench.chip.written = lambda address, value: None
        with pytest.raises(errors.NotReady, match="did not begin to measure"):
            bench.read()


def test_tmp102_that_does_not_end_is_not_ready() -> None:
    bench = ready("tmp102")
    bench.chip.typical_s = 10.0
    with pytest.raises(errors.NotReady, match="still measuring after 35 ms"):
        bench.read()


@pytest.mark.parametrize("seconds", [10.0, 0.001])
def test_lm75_never_returns_a_measurement_twice(seconds: float) -> None:
    bench = ready("lm75")
    first = bench.driver.read().at
    bench.clock.sleep(seconds)
    assert bench.driver.read().at >= first + 0.3


def test_ina219_voltage_that_reads_differently_twice_is_damage() -> None:
    bench = ready("ina219")
    spoil(bench, lambda write, which, data: flip(data, 3) if which == 2 else data, 0x02)
    with pytest.raises(errors.UnsteadyRead, match="two reads of the voltage differ"):
        bench.read()


@pytest.mark.parametrize(("register", "bit"), [(0x01, 4), (0x03, 9), (0x04, 6)])
def test_ina219_registers_that_do_not_belong_together_are_damage(register: int, bit: int) -> None:
    bench = ready("ina219")
    spoil(bench, lambda write, which, data: flip(data, bit), register)
    with pytest.raises(errors.UnsteadyRead, match="contradict each other"):
        bench.read()


def test_ina219_that_does_not_end_is_not_ready_and_one_flipped_overflow_bit_is_no_overflow() -> None:
    bench = ready("ina219")
    spoil(bench, lambda write, which, data: flip(data, 1), 0x02)
    with pytest.raises(errors.NotReady, match=r"has not measured after 1\.3 ms"):
        bench.read()
    bench = ready("ina219")
    spoil(bench, lambda write, which, data: flip(data, 0) if which == 1 else data, 0x02)
    assert bench.read()["voltage"] == pytest.approx(4.0, abs=0.01)


def test_ina219_that_keeps_no_calibration_is_none() -> None:
    bench = Bench("ina219", **WORLD)
    bench.chip.writable = {0: 0x7FFF}
    with pytest.raises(errors.SettingsLost, match="check that the chip is an INA219"):
        bench.driver.setup()


def test_a_supply_of_another_calibration_is_not_believed() -> None:
    bench = ready("ina219")
    bench.send(0x05, 0x20, 0x00)
    with pytest.raises(errors.SettingsLost):
        bench.read()


@pytest.mark.parametrize(
    ("name", "register"), [("mpu6050", 0x1B), ("mpu6050", 0x6B), ("adxl345", 0x2D), ("adxl345", 0x31), ("adxl345", 0x2C)]
)
def test_motion_of_other_settings_is_not_believed(name: str, register: int) -> None:
    bench = ready(name)
    value = bench.ask(register, read=1)
    bench.chip.memory[register] = value ^ 0x02
    with pytest.raises(errors.SettingsLost, match="check its power supply"):
        bench.read()


def test_mpu6050_that_does_not_queue_what_it_was_told_is_noticed_at_the_start() -> None:
    bench = Bench("mpu6050", **WORLD)
    bench.chip.writable = {register: mask for register, mask in bench.chip.writable.items() if register != 0x23}
    with pytest.raises(errors.SettingsLost, match="does not keep its settings"):
        bench.driver.start(200.0)


@pytest.mark.parametrize(("name", "register"), [("mpu6050", 0x6A), ("mpu6050", 0x6B), ("adxl345", 0x38), ("adxl345", 0x31)])
def test_a_queue_of_other_settings_is_not_believed(name: str, register: int) -> None:
    bench = Bench(name, **WORLD)
    bench.driver.start(200.0)
    bench.clock.sleep(0.05)
    bench.chip.memory[register] ^= 0x01
    with pytest.raises(errors.SettingsLost, match="check its power supply"):
        bench.driver.drain()


@pytest.mark.parametrize("name", ["mpu6050", "adxl345"])
def test_an_empty_queue_gives_nothing_and_does_no_harm(name: str) -> None:
    bench = Bench(name, **WORLD)
    bench.driver.start(200.0)
    bench.driver.drain()
    assert bench.driver.drain() == []
    bench.clock.sleep(0.05)
    assert len(bench.driver.drain()) == pytest.approx(10, abs=1)


@pytest.mark.parametrize(
    ("name", "found"), [("mpu6050", "0x32"), ("adxl345", "0xbf"), ("bmp280", "0x02"), ("bme280", "0x3a"), ("tmp117", "0xb4d")]
)
def test_another_chip_is_refused_with_the_identity_that_it_has(name: str, found: str) -> None:
    bench = Bench(name, **WORLD)
    bench.chip.impostor = True
    with pytest.raises(errors.WrongChip, match=f"has id {found}, not 0x[0-9a-f]+; run `bramble sensors scan`"):
        bench.driver.setup()


POWER_ON = {0xF7: b"\x80\x00\x00", 0xFA: b"\x80\x00\x00", 0xFD: b"\x80\x00"}


def powered_on(name: str, *registers: int) -> Bench:
    """A chip that is set up and shows the power-on values in some of its data registers."""
    bench = ready(name)
    bench.read()
    bench.chip.frozen = True
    for register in registers:
        bench.chip.memory[register : register + len(POWER_ON[register])] = POWER_ON[register]
    return bench


@pytest.mark.parametrize(("name", "registers"), [("bmp280", (0xF7, 0xFA)), ("bme280", (0xF7, 0xFA, 0xFD))])
def test_bosch_chips_with_nothing_but_power_on_values_have_measured_nothing(name: str, registers: tuple[int, ...]) -> None:
    with pytest.raises(errors.SettingsLost, match="power-on values instead of a measurement"):
        powered_on(name, *registers).read()


@pytest.mark.parametrize(
    ("name", "registers"),
    [("bmp280", (0xF7,)), ("bmp280", (0xFA,)), *[("bme280", some) for some in ((0xF7,), (0xFA,), (0xFD,), (0xF7, 0xFA), (0xFA, 0xFD))]],
)
def test_one_code_that_is_also_the_power_on_value_is_a_measurement(name: str, registers: tuple[int, ...]) -> None:
    """0x80000 is an ordinary room: 26.46 °C, or 819 hPa at 25 °C, with the data sheet's calibration; 0x8000 is some 70 %."""
    values = powered_on(name, *registers).read()
    if 0xFA in registers:
        assert values["temperature"] == pytest.approx(26.46, abs=0.01)
    if 0xF7 in registers:
        assert values["pressure"] == pytest.approx(819, abs=3)
    if 0xFD in registers:
        assert values["humidity"] == pytest.approx(71, abs=2)


@pytest.mark.parametrize("name", ["bmp280", "bme280"])
def test_a_temperature_at_its_limit_leaves_nothing_that_could_be_compensated(name: str) -> None:
    for code in (b"\x00\x00\x00", b"\xff\xff\x00"):
        bench = powered_on(name)
        bench.chip.memory[0xFA:0xFD] = code
        assert all(isnan(value) for value in bench.read().values())
        bench.chip.memory[0xF7:0xFA] = code
        bench.chip.memory[0xFA:0xFD] = b"\x80\x00\x00"
        assert [key for key, value in bench.read().items() if isnan(value)] == ["pressure"]


@pytest.mark.parametrize("name", ["tmp117", "tmp102", "ads1115", "ina219", "bme280", "sht3x", "sht4x"])
def test_a_measurement_is_stamped_when_it_was_made_not_when_it_was_asked_for(name: str) -> None:
    bench = ready(name)
    before = bench.clock.monotonic()
    at = bench.driver.read().at
    assert before < at <= bench.clock.monotonic()


def test_stamps_are_evenly_spaced_and_end_with_the_newest() -> None:
    pacer = Pacer(100.0)
    assert pacer.stamps(3, 1.0, 1.0) == pytest.approx([0.975, 0.985, 0.995]), "half a period of doubt about the newest"
    assert pacer.stamps(2, 1.02, 1.02) == pytest.approx([1.005, 1.015])
    assert pacer.stamps(1, 1.0, 1.0)[0] <= 1.0, "never in the future"


@pytest.mark.parametrize("bit", [14, 12, 3, 2])
def test_sht3x_is_known_by_a_good_check_sum_and_by_bits_that_read_0(bit: int) -> None:
    """SHT3x-DIS, table 18."""
    bench = Bench("sht3x", **WORLD)
    assert bench.driver.identify(bench.bus, 0x44)
    bench.chip.status |= 1 << bit
    assert not bench.driver.identify(bench.bus, 0x44)
    bench = Bench("sht3x", **WORLD)
    bench.chip.impostor = True
    assert not bench.driver.identify(bench.bus, 0x44)


def test_sht4x_and_scd4x_are_known_by_the_check_sums_of_their_serial_numbers() -> None:
    for name in ("sht4x", "scd4x"):
        bench = Bench(name, **WORLD)
        assert bench.driver.identify(bench.bus, bench.driver.address) is True
        bench.chip.impostor = True
        assert bench.driver.identify(bench.bus, bench.driver.address) is False


def test_scd4x_waits_for_a_measurement_that_is_a_little_late_and_for_none_that_does_not_come() -> None:
    bench = Bench("scd4x", **WORLD)
    bench.driver.setup()
    bench.chip._next += 0.4
    assert bench.read()["carbon_dioxide"] == 500.0
    bench.chip._next += 100.0
    before = bench.clock.monotonic()
    with pytest.raises(errors.NotReady):
        bench.read()
    assert 10.5 < bench.clock.monotonic() - before < 11.5, "until one is due, and a period and a fifth more"


@pytest.mark.parametrize(("name", "hertz"), [("mpu6050", 50.0), ("mpu6050", 500.0), ("adxl345", 25.0), ("adxl345", 400.0)])
def test_a_queue_runs_at_the_rate_that_was_asked_for(name: str, hertz: float) -> None:
    bench = Bench(name, **WORLD)
    bench.driver.start(hertz)
    bench.driver.drain()
    bench.clock.sleep(16 / hertz)
    stamps = [item.at for item in bench.driver.drain()]
    assert len(stamps) == pytest.approx(16, abs=1)
    assert stamps[-1] - stamps[0] == pytest.approx((len(stamps) - 1) / hertz, rel=0.15)
