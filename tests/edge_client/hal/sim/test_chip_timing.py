"""How long the chips take, by their data sheets: until a conversion ends there is the old value, or no acknowledge, then the new."""

from __future__ import annotations

import pytest

from bramble_client.hal import errors
from tests.edge_client.hal.bench import WORLD, Bench

A_MOMENT = 1e-4


def single_ended(rate: int) -> tuple[int, int, int]:
    """AIN0 against ground at 4.096 V, once, at a data rate of SBAS444D, table 8."""
    return 0x01, 0xC3, rate << 5 | 3


ONCE = [  # chip, order, seconds, register, before, after
    *[("tmp117", (0x01, 0x0C, avg << 5), 0.0155 * n, 0x00, 0x8000, 0x0C80) for avg, n in enumerate((1, 8, 32, 64))],  # SNOSD82D, 7.3.2
    ("tmp102", (0x01, 0xE1, 0xA0), 0.026, 0x00, 0x0000, 0x1900),  # SBOS397, electrical characteristics
    *[("ads1115", single_ended(rate), 1 / hertz, 0x00, 0, 0x1F40) for rate, hertz in enumerate((8, 16, 32, 64, 128, 250, 475, 860))],
    ("ina219", (0x00, 0x39, 0x9B), 2 * 532e-6, 0x01, 0, 0x03E8),  # SBOS448G, section 7.5: 10 mV
    *[
        ("ina226", (0x00, 0x40 | avg << 1 | t >> 2, (t & 3) << 6 | t << 3 | 3), 2 * n * s, 0x01, 0, 0x0FA0)  # SBOS547B, section 5.5: 10 mV
        for avg, n in enumerate((1, 4, 16, 64, 128, 256, 512, 1024))
        for t, s in enumerate((140e-6, 204e-6, 332e-6, 588e-6, 1.1e-3, 2.116e-3, 4.156e-3, 8.244e-3))
    ],
]
CONTINUOUS = [  # chip, order, seconds until the first conversion, seconds between two, register
    *[("tmp117", (0x01, cycle >> 1, (cycle & 1) << 7), 0.0155, s, 0x00) for cycle, s in enumerate((0.0155, 0.125, 0.25, 0.5, 1, 4, 8, 16))],
    ("tmp117", (0x01, 0x00, 0x20), 0.124, 0.124, 0x00),  # the average takes longer than the cycle: table 7-7
    ("tmp117", (0x01, 0x01, 0x60), 0.992, 0.992, 0x00),
    *[("tmp102", (0x01, 0x60, rate << 6 | 0x20), 0.026, s, 0x00) for rate, s in enumerate((4, 1, 0.25, 0.125))],  # CR1, CR0
    ("tmp105", (0x01, 0x60), 0.22, 0.22, 0x00),
    ("lm75", (0x01, 0x00), 0.1, 0.1, 0x00),
    ("ads1115", (0x01, 0x42, 0xE3), 1 / 860, 1 / 860, 0x00),
    ("ina219", (0x00, 0x39, 0x9F), 2 * 532e-6, 2 * 532e-6, 0x01),
    ("ina226", (0x00, 0x43, 0x27), 8.8e-3, 8.8e-3, 0x01),
    *[("mcp9808", (0x08, resolution), 0.25, s, 0x05) for resolution, s in enumerate((0.03, 0.065, 0.13, 0.25))],  # DS25095A, table 5-2
]


def warmer(bench: Bench) -> None:
    bench.world.values.update({key: 1.1 * value for key, value in bench.world.values.items()})


@pytest.mark.parametrize(("name", "order", "seconds", "register", "before", "after"), ONCE)
def test_a_conversion_shows_when_it_has_ended_and_not_before(
    name: str, order: tuple[int, ...], seconds: float, register: int, before: int, after: int
) -> None:
    bench = Bench(name, **WORLD)
    if name in ("tmp102", "ina219", "ina226"):
        asleep = {"tmp102": (order[1] & 0x7F, order[2]), "ina219": (0x39, 0x98), "ina226": (0x41, 0x20)}[name]
        bench.send(order[0], *asleep)
    bench.send(*order)
    bench.clock.sleep(seconds - A_MOMENT)
    assert bench.ask(register) == before
    bench.clock.sleep(2 * A_MOMENT)
    assert bench.ask(register) == after
    warmer(bench)
    bench.clock.sleep(100)
    assert bench.ask(register) == after, "once is once"


@pytest.mark.parametrize(("name", "order", "first", "period", "register"), CONTINUOUS)
def test_a_chip_that_goes_on_measuring_keeps_its_period(
    name: str, order: tuple[int, ...], first: float, period: float, register: int
) -> None:
    bench = Bench(name, **WORLD)
    bench.send(*order)
    bench.clock.sleep(first + A_MOMENT)
    shown = bench.ask(register)
    for _ in range(3):
        warmer(bench)
        bench.clock.sleep(period - 2 * A_MOMENT)
        assert bench.ask(register) == shown, "not before its time"
        bench.clock.sleep(2 * A_MOMENT + (A_MOMENT if name == "tmp102" else 0))
        assert bench.ask(register) > shown
        shown = bench.ask(register)


@pytest.mark.parametrize(("name", "order", "first", "period", "register"), [row for row in CONTINUOUS if row[0] != "tmp102"])
def test_whoever_looks_seldom_finds_the_same_pace(name: str, order: tuple[int, ...], first: float, period: float, register: int) -> None:
    bench = Bench(name, **WORLD)
    bench.send(*order)
    bench.clock.sleep(first + 7 * period + 0.5 * period)
    shown = bench.ask(register)
    warmer(bench)
    bench.clock.sleep(0.4 * period)
    assert bench.ask(register) == shown
    bench.clock.sleep(0.2 * period)
    assert bench.ask(register) > shown


@pytest.mark.parametrize(
    ("name", "order", "register"),
    [
        ("tmp117", (0x01, 0x04, 0x00), 0x00),
        ("ina219", (0x00, 0x39, 0x98), 0x01),
        ("ina226", (0x00, 0x43, 0x20), 0x01),
        ("mcp9808", (0x01, 0x01, 0x00), 0x05),
    ],
)
def test_a_chip_that_is_shut_down_stands_still(name: str, order: tuple[int, ...], register: int) -> None:
    bench = Bench(name, **WORLD)
    bench.clock.sleep(1)
    shown = bench.ask(register)
    bench.send(*order)
    warmer(bench)
    bench.clock.sleep(100)
    assert bench.ask(register) == shown


@pytest.mark.parametrize("order", [0x98, 0x9C], ids=["power-down", "ADC off"])
def test_ina219_begins_nothing_in_its_two_modes_without_conversion(order: int) -> None:
    bench = Bench("ina219", **WORLD)
    bench.send(0x00, 0x39, order)
    bench.clock.sleep(1)
    assert bench.ask(0x02) == 0


@pytest.mark.parametrize(("mode", "seconds"), [(0x20, 0.12), (0x21, 0.12), (0x23, 0.016), (0x10, 0.12), (0x11, 0.12), (0x13, 0.016)])
@pytest.mark.parametrize("register", [31, 69, 254])
def test_bh1750_takes_time_in_proportion_to_its_register(mode: int, seconds: float, register: int) -> None:
    """ "Measurement time": 69 is one; the count grows with it."""
    bench = Bench("bh1750", **WORLD)
    bench.send(0x40 | register >> 5)
    bench.send(0x60 | register & 0x1F)
    bench.send(mode)
    bench.clock.sleep(seconds * register / 69 - A_MOMENT)
    assert bench.bus.transfer(0x23, b"", 2) == b"\x00\x00"
    bench.clock.sleep(2 * A_MOMENT)
    count = int.from_bytes(bench.bus.transfer(0x23, b"", 2), "big")
    assert count == round(100 * 1.2 * (2 if mode & 1 and not mode & 2 else 1) * register / 69)
    warmer(bench)
    bench.clock.sleep(10)
    assert (int.from_bytes(bench.bus.transfer(0x23, b"", 2), "big") > count) is (mode < 0x20), "continuous modes go on"


@pytest.mark.parametrize(
    ("control", "seconds"), [(0x25, 0.0055), (0x49, 0.0095), (0x6D, 0.0175), (0x91, 0.0335), (0xB5, 0.0655), (0x21, 0.003)]
)
def test_bmp280_measures_as_long_as_its_oversampling_asks(control: int, seconds: float) -> None:
    """Section 3.8.1, typical: 1 ms, 2 ms for each sample, 0.5 ms for pressure."""
    bench = Bench("bmp280", **WORLD)
    bench.clock.sleep(1)
    bench.send(0xF4, control)
    bench.clock.sleep(seconds - A_MOMENT)
    assert (bench.ask(0xF3, read=1), bench.ask(0xF4, read=1), bench.ask(0xFA, read=3)) == (0x08, control, 0x800000)
    bench.clock.sleep(2 * A_MOMENT)
    assert (bench.ask(0xF3, read=1), bench.ask(0xF4, read=1)) == (0, control & ~3)
    assert bench.ask(0xFA, read=3) != 0x800000


STANDBY = {"bmp280": (0.5, 62.5, 125, 250, 500, 1000, 2000, 4000), "bme280": (0.5, 62.5, 125, 250, 500, 1000, 10, 20)}


@pytest.mark.parametrize(("name", "code"), [(name, code) for name in STANDBY for code in range(8)])
def test_bosch_chips_stand_by_as_their_tables_say(name: str, code: int) -> None:
    """BMP280 table 11; BME280 table 27, whose last two differ."""
    bench = Bench(name, **WORLD)
    bench.clock.sleep(1)
    bench.send(0xF5, code << 5, 0xF4, 0x27)
    conversion, standby = 0.0055, STANDBY[name][code] / 1000
    bench.clock.sleep(conversion + A_MOMENT)
    shown = bench.ask(0xFA, read=3)
    assert shown != 0x800000
    warmer(bench)
    bench.clock.sleep(conversion + standby - 2 * A_MOMENT)
    assert bench.ask(0xFA, read=3) == shown
    bench.clock.sleep(2 * A_MOMENT)
    assert bench.ask(0xFA, read=3) > shown


SHOTS: dict[str, dict[tuple[int, ...], float]] = {  # data sheets SHT3x-DIS, table 4, and SHT4x, section 3.2: typical durations
    "sht3x": {(0x24, 0x00): 0.0125, (0x24, 0x0B): 0.0045, (0x24, 0x16): 0.0025},
    "sht4x": {(0xFD,): 0.0069, (0xF6,): 0.0037, (0xE0,): 0.0013},
}


@pytest.mark.parametrize(("name", "order", "seconds"), [(name, *shot) for name in SHOTS for shot in SHOTS[name].items()])
def test_sensirions_chips_acknowledge_no_read_and_no_command_while_they_measure(name: str, order: tuple[int, ...], seconds: float) -> None:
    bench = Bench(name, **WORLD)
    bench.send(*order)
    before = bench.clock.monotonic()
    bench.chip.clock.advance(seconds - 5e-4)
    with pytest.raises(OSError, match="Remote I/O"):
        bench.chip.read(6)
    with pytest.raises(OSError, match="Remote I/O"):
        bench.chip.write(bytes(order))
    bench.clock.sleep(seconds + 1e-6 - (bench.clock.monotonic() - before))
    assert len(bench.chip.read(6)) == 6


@pytest.mark.parametrize(("order", "first"), [((0x21, 0xB1), 5.0), ((0x21, 0xAC), 30.0)])
def test_scd4x_measures_every_five_seconds_or_thirty(order: tuple[int, ...], first: float) -> None:
    """Sections 3.5.1 and 3.8.1."""

    def ready() -> bool:
        bench.send(0xE4, 0xB8)
        bench.clock.sleep(0.001)
        return int.from_bytes(bench.bus.transfer(0x62, b"", 3)[:2], "big") & 0x07FF != 0

    bench = Bench("scd4x", **WORLD)
    bench.send(*order)
    bench.clock.sleep(first - 0.05)
    assert not ready()
    bench.clock.sleep(0.05)
    assert ready()
    bench.send(0xEC, 0x05)
    bench.clock.sleep(0.001)
    assert len(bench.bus.transfer(0x62, b"", 9)) == 9
    assert not ready(), "fetched"
    bench.send(0xEC, 0x05)
    bench.clock.sleep(0.001)
    with pytest.raises(errors.NoAcknowledge):
        bench.bus.transfer(0x62, b"", 9)


@pytest.mark.parametrize(
    "name",
    [
        "tmp117",
        "tmp102",
        "tmp105",
        "lm75",
        "ina219",
        "bh1750",
        "bme280",
        "bmp280",
        "sht3x",
        "sht4x",
        "ina226",
        "mcp9808",
        "shtc3",
        "aht20",
        "sgp40",
        "bmp390",
        "vl53l0x",
    ],
)
def test_a_frozen_chip_ends_its_conversions_and_keeps_its_values(name: str) -> None:
    bench = Bench(name, **WORLD)
    bench.driver.setup()
    values = bench.read()
    bench.chip.frozen = True
    warmer(bench)
    bench.clock.sleep(10)
    assert bench.read() == values
    bench.chip.frozen = False
    bench.clock.sleep(10)
    assert all(new > old for new, old in zip(bench.read().values(), values.values(), strict=True))


def test_ina219_says_that_a_conversion_is_ready_until_its_power_is_read_or_the_next_is_ordered() -> None:
    """SBOS448G, section 8.6.3.2: CNVR."""

    def is_ready() -> bool:
        return bool(bench.ask(0x02) & 2)

    bench = Bench("ina219", **WORLD)
    bench.send(0x00, 0x39, 0x9B)
    assert not is_ready()
    bench.clock.sleep(0.002)
    for register in (0x00, 0x01, 0x02, 0x04, 0x05):
        bench.ask(register)
    assert is_ready(), "other registers do not clear it"
    bench.send(0x00, 0x39, 0x98)
    assert is_ready(), "nor does a mode without conversion"
    bench.send(0x00, 0x39, 0x9B)
    assert not is_ready()
    bench.clock.sleep(0.002)
    assert is_ready()
    bench.ask(0x03)
    assert not is_ready()


@pytest.mark.parametrize(("amperes", "calibration", "overflow"), [(0.1, 0x1000, False), (3.2, 0xFFFE, True), (-3.2, 0xFFFE, True)])
def test_ina219_says_that_current_or_power_ran_over(amperes: float, calibration: int, overflow: bool) -> None:
    """Section 8.6.3.2: OVF."""
    bench = Bench("ina219", **{**WORLD, "current": amperes})
    bench.send(0x05, *calibration.to_bytes(2, "big"))
    bench.clock.sleep(0.002)
    assert bool(bench.ask(0x02) & 1) is overflow


def test_ina219_knows_no_negative_bus_voltage() -> None:
    bench = Bench("ina219", **{**WORLD, "voltage": -5.0})
    bench.clock.sleep(0.002)
    assert bench.ask(0x02) >> 3 == 0


@pytest.mark.parametrize(("mode", "seconds"), [(0x10, 0.12), (0x11, 0.12), (0x13, 0.016)])
def test_bh1750_goes_on_measuring_at_its_pace_whoever_looks(mode: int, seconds: float) -> None:
    def count() -> int:
        return int.from_bytes(bench.bus.transfer(0x23, b"", 2), "big")

    bench = Bench("bh1750", **WORLD)
    bench.send(mode)
    for pause in (1.5, 1.0, 1.0, 6.0):
        bench.clock.sleep(pause * seconds)
        shown = count()
        warmer(bench)
        bench.clock.sleep(0.4 * seconds)
        assert count() == shown
        bench.clock.sleep(0.2 * seconds)
        assert count() > shown
        bench.clock.sleep(0.4 * seconds)


def test_bh1750_that_measures_is_powered_and_one_that_was_told_to_power_down_is_not() -> None:
    bench = Bench("bh1750", **WORLD)
    assert not bench.chip.powered
    bench.send(0x10)
    bench.clock.sleep(0.13)
    bench.send(0x07)
    assert bench.bus.transfer(0x23, b"", 2) == b"\x00\x00", "a reset is heard"
    bench.send(0x00)
    bench.clock.sleep(1)
    assert bench.bus.transfer(0x23, b"", 2) == b"\x00\x00", "and nothing is measured any more"
