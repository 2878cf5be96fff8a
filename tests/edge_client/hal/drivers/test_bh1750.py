from __future__ import annotations

import pytest

from bramble_client.hal import errors
from tests.edge_client.hal.bench import Bench


def test_the_technical_notes_example() -> None:
    """ "Read format": 83h 90h are 28067 lx."""
    bench = Bench("bh1750", illuminance=0.0)
    bench.driver.setup()
    bench.chip.frozen = True
    bench.chip.count = 0x8390
    assert bench.read()["illuminance"] == pytest.approx(28067, abs=0.5)


@pytest.mark.parametrize("lux", [0.0, 1.0, 320.0, 54612.0])
def test_what_shines_is_what_is_read(lux: float) -> None:
    bench = Bench("bh1750", illuminance=lux)
    bench.driver.setup()
    assert bench.read()["illuminance"] == pytest.approx(lux, abs=0.5)


def test_a_value_needs_two_conversions_that_agree() -> None:
    bench = Bench("bh1750", illuminance=100.0)
    bench.driver.setup()
    levels = iter([100.0, 400.0, 100.0, 101.0])
    bench.chip.feel = lambda key, noise=0.0: next(levels)
    assert bench.read()["illuminance"] == pytest.approx(101, abs=1)


@pytest.mark.parametrize("levels", [[100.0, 94.0, 100.2], [94.0, 100.0, 100.2], [100.0, 106.0, 99.8]])
def test_of_two_that_nearly_agree_a_third_decides(levels: list[float]) -> None:
    """A flipped bit in the measurement time changes a value by a few per cent."""
    bench = Bench("bh1750", illuminance=100.0)
    bench.driver.setup()
    left = iter(levels)
    bench.chip.feel = lambda key, noise=0.0: next(left)
    assert bench.read()["illuminance"] == pytest.approx(100, abs=0.9)


def test_light_that_flickers_is_reported() -> None:
    bench = Bench("bh1750", illuminance=100.0)
    bench.driver.setup()
    levels = iter([100.0, 400.0] * 4)
    bench.chip.feel = lambda key, noise=0.0: next(levels)
    with pytest.raises(errors.UnsteadyRead, match="the light flickers"):
        bench.read()


def test_a_measurement_time_that_was_damaged_is_set_right() -> None:
    bench = Bench("bh1750", illuminance=1000.0)
    bench.driver.setup()
    bench.send(0x60)
    assert bench.chip.time == 64
    assert bench.read()["illuminance"] == pytest.approx(1000, abs=1)


def test_modes_power_and_reset() -> None:
    bench = Bench("bh1750", illuminance=100.0)
    bench.send(0x07)
    bench.send(0x21)
    bench.clock.sleep(0.119)
    assert int.from_bytes(bench.bus.transfer(0x23, b"", 2), "big") == 0, "not yet"
    bench.clock.sleep(0.01)
    assert int.from_bytes(bench.bus.transfer(0x23, b"", 2), "big") == 240, "mode 2 counts half lux"
    assert not bench.chip.powered, "after one time it powers down"
    bench.send(0x07)
    assert bench.chip.count == 240, "reset is not heard while powered down"
    bench.send(0x01)
    bench.send(0x07)
    assert bench.chip.count == 0
    bench.send(0x13)
    bench.clock.sleep(0.02)
    assert int.from_bytes(bench.bus.transfer(0x23, b"", 2), "big") == 120
    bench.world.values["illuminance"] = 200.0
    bench.clock.sleep(0.02)
    assert int.from_bytes(bench.bus.transfer(0x23, b"", 2), "big") == 240, "continuous"


def levelled(*levels: float) -> Bench:
    bench = Bench("bh1750", illuminance=1000.0)
    bench.driver.setup()
    left = iter(levels)
    bench.chip.feel = lambda key, noise=0.0: next(left)
    return bench


@pytest.mark.parametrize(
    ("levels", "conversions"), [((1000.0, 1003.0), 2), ((1000.0, 1030.0, 1015.0), 3), ((0.0, 0.8), 2), ((0.0, 2.0, 1.0), 3)]
)
def test_two_conversions_that_agree_are_enough_and_of_two_that_nearly_do_there_is_a_third(
    levels: tuple[float, ...], conversions: int
) -> None:
    """They agree within half a per cent and one count, nearly within a tenth and four counts."""
    bench = levelled(*levels)
    before = bench.clock.monotonic()
    assert bench.read()["illuminance"] == pytest.approx(levels[-1], abs=0.9)
    assert bench.clock.monotonic() - before == pytest.approx(0.18 * conversions)


@pytest.mark.parametrize("step", [1.15, 0.87])
def test_two_conversions_that_differ_by_more_than_a_tenth_are_measured_anew(step: float) -> None:
    assert levelled(1000.0, 1000.0 * step, 1000.0 * step).read()["illuminance"] == pytest.approx(1000.0 * step, abs=0.9)


def test_after_four_conversions_that_all_differ_it_gives_up() -> None:
    bench = levelled(100.0, 200.0, 400.0, 800.0, 1600.0)
    before = bench.clock.monotonic()
    with pytest.raises(errors.UnsteadyRead, match="no two measurements agree"):
        bench.driver.read()
    assert bench.clock.monotonic() - before == pytest.approx(4 * 0.18)


def test_a_measurement_is_stamped_in_the_middle_of_its_conversion() -> None:
    bench = levelled(1000.0, 1000.0)
    measurement = bench.driver.read()
    assert measurement.at == pytest.approx(bench.clock.monotonic() - 0.09)


@pytest.mark.parametrize("instructions", [(0x40, 0x60), (0x47, 0x7F), (0x40, 0x61)])
def test_the_chip_survives_a_measurement_time_that_it_does_not_have(instructions: tuple[int, int]) -> None:
    """A flipped bit once set it to 0, and a division by zero ended the simulated chip for good."""
    bench = Bench("bh1750", illuminance=500.0)
    for instruction in (*instructions, 0x10):
        bench.send(instruction)
    bench.clock.sleep(1)
    assert bench.ask(read=2) > 0
    bench.driver.setup()
    assert bench.read()["illuminance"] == pytest.approx(500.0, abs=1)
