"""SHT3x, SHT4x, SHTC3, SCD4x and SGP40 on their own: their commands, what they refuse, and what they answer once."""

from __future__ import annotations

import pytest

from bramble_client.hal import errors
from bramble_client.hal.sim.chips.sensirion import packed
from tests.edge_client.hal.bench import WORLD, Bench

SERIAL_4X = packed(0x0F4A, 0x91C3)


def opened(name: str) -> Bench:
    return Bench(name, **WORLD)


def answer(bench: Bench, *command: int, wait: float = 0.02, length: int = 3) -> bytes:
    bench.send(*command)
    bench.clock.sleep(wait)
    return bench.bus.transfer(bench.driver.address, b"", length)


def refused(bench: Bench, *command: int) -> bool:
    try:
        bench.chip.write(bytes(command))
    except OSError:
        return True
    return False


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("sht3x", (0x2C, 0x07)),
        ("sht3x", (0xFF, 0xFF)),
        ("sht4x", (0x00,)),
        ("scd4x", (0x12, 0x34)),
        ("shtc3", (0x12, 0x34)),
        ("sgp40", (0x12, 0x34)),
    ],
)
def test_a_command_that_the_chip_does_not_have_is_not_acknowledged(name: str, command: tuple[int, ...]) -> None:
    bench = opened(name)
    assert refused(bench, *command)
    with pytest.raises(errors.NoAcknowledge):
        bench.bus.transfer(bench.driver.address, b"", 3)


@pytest.mark.parametrize(("name", "half"), [("sht3x", (0x24,)), ("scd4x", (0x21,)), ("shtc3", (0x78,)), ("sgp40", (0x26,))])
def test_half_a_command_is_not_acknowledged(name: str, half: tuple[int, ...]) -> None:
    assert refused(opened(name), *half)


@pytest.mark.parametrize("name", ["sht3x", "sht4x", "scd4x", "shtc3", "sgp40"])
def test_a_chip_that_was_asked_nothing_has_nothing_to_say(name: str) -> None:
    bench = opened(name)
    bench.bus.transfer(bench.driver.address)
    with pytest.raises(errors.NoAcknowledge):
        bench.bus.transfer(bench.driver.address, b"", 3)


@pytest.mark.parametrize(
    ("name", "command", "length"),
    [("sht3x", (0xF3, 0x2D), 3), ("sht4x", (0x89,), 6), ("scd4x", (0x36, 0x82), 9), ("shtc3", (0xEF, 0xC8), 3), ("sgp40", (0x36, 0x82), 9)],
)
def test_an_answer_is_given_once_and_ends_in_ones(name: str, command: tuple[int, ...], length: int) -> None:
    bench = opened(name)
    long = answer(bench, *command, length=length + 4)
    assert long[length:] == b"\xff" * 4, "nobody pulls the line down any more"
    with pytest.raises(errors.NoAcknowledge):
        bench.bus.transfer(bench.driver.address, b"", length)
    assert answer(bench, *command, length=length) == long[:length]
    assert answer(bench, *command, length=2) == long[:2]


@pytest.mark.parametrize(
    ("name", "first", "second"), [("sht3x", (0x24, 0x00), (0xF3, 0x2D)), ("sht4x", (0xFD,), (0x89,)), ("shtc3", (0x78, 0x66), (0xEF, 0xC8))]
)
def test_a_new_command_takes_the_place_of_an_answer_that_nobody_fetched(name: str, first: tuple[int, ...], second: tuple[int, ...]) -> None:
    bench = opened(name)
    alone = answer(bench, *second)
    bench.send(*first)
    bench.clock.sleep(0.02)
    assert answer(bench, *second) == alone


@pytest.mark.parametrize(
    ("name", "command"),
    [("sht3x", (0xF3, 0x2D)), ("sht4x", (0x89,)), ("scd4x", (0x36, 0x82)), ("shtc3", (0xEF, 0xC8)), ("sgp40", (0x36, 0x82))],
)
def test_an_impostors_words_do_not_match_its_check_sums(name: str, command: tuple[int, ...]) -> None:
    bench = opened(name)
    honest = answer(bench, *command)
    bench.chip.impostor = True
    assert answer(bench, *command) != honest


def test_sht3x_tells_of_a_reset_and_of_its_heater_in_its_status() -> None:
    """Section 4.11, table 18."""
    bench = opened("sht3x")
    assert answer(bench, 0xF3, 0x2D) == packed(0x8010)
    bench.send(0x30, 0x41)
    bench.send(0x30, 0x6D)
    assert answer(bench, 0xF3, 0x2D) == packed(0x2000)
    bench.send(0x30, 0x66)
    assert answer(bench, 0xF3, 0x2D) == packed(0x0000)
    assert refused(bench, 0x12, 0x34)
    assert answer(bench, 0xF3, 0x2D) == packed(0x0002), "the last command was not processed"
    bench.send(0x30, 0xA2)
    assert refused(bench, 0xF3, 0x2D), "it takes half a millisecond"
    bench.clock.sleep(0.0006)
    assert answer(bench, 0xF3, 0x2D) == packed(0x8010)


def test_a_measurement_that_a_reset_ended_is_never_given() -> None:
    for name, order, reset in (("sht3x", (0x24, 0x00), (0x30, 0xA2)), ("sht4x", (0xFD,), (0x94,))):
        bench = opened(name)
        bench.send(*order)
        bench.clock.sleep(0.02)
        bench.send(*reset)
        bench.clock.sleep(0.02)
        with pytest.raises(errors.NoAcknowledge):
            bench.bus.transfer(0x44, b"", 6)


def test_sht4x_has_a_serial_number_and_takes_no_parameters() -> None:
    bench = opened("sht4x")
    assert answer(bench, 0x89, length=6) == SERIAL_4X
    assert refused(bench, 0xFD, 0x00)
    bench.send(0x94)
    assert refused(bench, 0x89)
    bench.clock.sleep(0.0007)
    assert not refused(bench, 0x89), "section 3.2: 1 ms at most"
    assert answer(bench, 0x89, length=6) == SERIAL_4X


@pytest.mark.parametrize(("name", "dry", "wet"), [("sht3x", 0x0000, 0xFFFF), ("sht4x", 3146, 55574)])
def test_beyond_what_a_word_can_say_the_chip_clips_and_no_air_is_drier_or_wetter_than_air_can_be(name: str, dry: int, wet: int) -> None:
    for temperature, humidity, words in ((-100.0, -20.0, (0, dry)), (200.0, 150.0, (0xFFFF, wet))):
        bench = opened(name)
        bench.world.values.update(temperature=temperature, humidity=humidity)
        assert answer(bench, *((0x24, 0x00) if name == "sht3x" else (0xFD,)), length=6) == packed(*words)


MEASURING = {(0xEC, 0x05), (0x3F, 0x86), (0xE4, 0xB8)}
IDLE = {(0x36, 0x82), (0x36, 0x46), (0x23, 0x18), (0x23, 0x22), (0x23, 0x13), (0x21, 0xB1), (0x21, 0xAC)}


@pytest.mark.parametrize("command", sorted(MEASURING | IDLE))
def test_scd4x_takes_while_it_measures_only_what_table_9_says(command: tuple[int, int]) -> None:
    assert not refused(opened("scd4x"), *command), "idle, it takes all"
    bench = opened("scd4x")
    bench.send(0x21, 0xB1)
    assert refused(bench, *command) is (command in IDLE)


def test_scd4x_takes_the_ambient_pressure_at_any_time() -> None:
    """Section 3.6.5, with its example: 98 700 Pa are 03DBh, 42h."""
    bench = opened("scd4x")
    bench.send(0x21, 0xB1)
    bench.send(0xE0, 0x00, 0x03, 0xDB, 0x42)
    bench.clock.sleep(0.001)
    assert refused(bench, 0xE0, 0x00, 0x03, 0xDB, 0x43)
    assert refused(bench, 0xE0, 0x00, 0x03, 0xDB)


@pytest.mark.parametrize(
    ("write", "read", "start", "word"),
    [
        ((0x24, 0x1D), (0x23, 0x18), 0x05D5, 0x07E6),  # section 3.6.1: 4 °C, and the example's 5.4 °C
        ((0x24, 0x27), (0x23, 0x22), 0x0000, 0x079E),  # section 3.6.3: sea level, and the example's 1950 m
        ((0x24, 0x16), (0x23, 0x13), 0x0001, 0x0000),  # section 3.7.2: on
    ],
)
def test_scd4x_keeps_a_setting_until_it_is_without_power(write: tuple[int, int], read: tuple[int, int], start: int, word: int) -> None:
    bench = opened("scd4x")
    assert answer(bench, *read) == packed(start)
    bench.send(*write, *packed(word))
    bench.clock.sleep(0.001)
    assert answer(bench, *read) == packed(word)
    bench.chip.power_on()
    assert answer(bench, *read) == packed(start)


def test_scd4x_stops_for_half_a_second_and_restarts_for_twenty_milliseconds() -> None:
    """Sections 3.5.3 and 3.9.5."""
    bench = opened("scd4x")
    bench.send(0x21, 0xB1)
    bench.clock.sleep(5)
    bench.send(0x3F, 0x86)
    bench.clock.sleep(0.497)
    assert refused(bench, 0x36, 0x82)
    bench.clock.sleep(0.004)
    assert answer(bench, 0xE4, 0xB8) == packed(0x8000), "what was measured before is gone"
    bench.send(0x36, 0x46)
    assert refused(bench, 0x36, 0x82)
    bench.clock.sleep(0.021)
    assert not refused(bench, 0x36, 0x82)


def test_scd4x_says_with_the_eleven_lowest_bits_that_a_measurement_waits() -> None:
    bench = opened("scd4x")
    bench.send(0x21, 0xB1)
    bench.clock.sleep(4.9)
    assert answer(bench, 0xE4, 0xB8, wait=0.001) == packed(0x8000)
    bench.clock.sleep(0.2)
    assert int.from_bytes(answer(bench, 0xE4, 0xB8, wait=0.001)[:2], "big") & 0x07FF
    data = answer(bench, 0xEC, 0x05, wait=0.001, length=9)
    assert data[:3] == packed(500)
    assert answer(bench, 0xE4, 0xB8, wait=0.001) == packed(0x8000)


def test_scd4x_keeps_its_pace_whoever_looks_and_gives_the_latest() -> None:
    bench = opened("scd4x")
    bench.send(0x21, 0xB1)
    bench.clock.sleep(23)
    assert answer(bench, 0xEC, 0x05, wait=0.001, length=9)[:3] == packed(500)
    bench.world.values["carbon_dioxide"] = 900.0
    bench.clock.sleep(1.9)
    assert answer(bench, 0xE4, 0xB8, wait=0.001) == packed(0x8000)
    bench.clock.sleep(0.2)
    assert answer(bench, 0xEC, 0x05, wait=0.001, length=9)[:3] == packed(900)


@pytest.mark.parametrize(("ppm", "word"), [(-10.0, 0), (40_500.0, 40_000)])
def test_scd4x_clips_at_its_output_range(ppm: float, word: int) -> None:
    bench = opened("scd4x")
    bench.world.values["carbon_dioxide"] = ppm
    bench.send(0x21, 0xB1)
    bench.clock.sleep(5)
    assert answer(bench, 0xEC, 0x05, wait=0.001, length=3) == packed(word)


def test_scd4x_frozen_gives_the_last_measurement_as_new() -> None:
    bench = opened("scd4x")
    bench.send(0x21, 0xB1)
    bench.clock.sleep(5)
    first = answer(bench, 0xEC, 0x05, wait=0.001, length=9)
    bench.chip.frozen = True
    bench.world.values["carbon_dioxide"] = 900.0
    bench.clock.sleep(5)
    assert answer(bench, 0xEC, 0x05, wait=0.001, length=9) == first


@pytest.mark.parametrize(
    ("name", "celsius", "percent", "raw"),
    [
        ("sht3x", -45.0, 0.0, (0x0000, 0x0000)),
        ("sht3x", 0.0, 10.0, (16852, 6554)),
        ("sht3x", 85.0, 90.0, (48683, 58982)),
        ("sht4x", -45.0, 0.0, (0x0000, 3146)),
        ("sht4x", 0.0, 10.0, (16852, 8388)),
        ("sht4x", 85.0, 90.0, (48683, 50331)),
        ("scd4x", 0.0, 10.0, (500, 16852, 6554)),
        ("scd4x", 60.0, 90.0, (500, 39321, 58982)),
    ],
)
def test_the_words_are_those_that_the_published_formulas_turn_into_what_is_felt(
    name: str, celsius: float, percent: float, raw: tuple[int, ...]
) -> None:
    bench = opened(name)
    bench.world.values.update(temperature=celsius, humidity=percent)
    if name == "scd4x":
        bench.send(0x21, 0xB1)
        bench.clock.sleep(5)
    order = {"sht3x": (0x24, 0x00), "sht4x": (0xFD,), "scd4x": (0xEC, 0x05)}[name]
    assert answer(bench, *order, length=3 * len(raw)) == packed(*raw)
