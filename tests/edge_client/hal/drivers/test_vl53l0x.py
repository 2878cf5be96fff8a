"""VL53L0X: how it is brought up, what its status says, and that damage anywhere in some 200 transfers is noticed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from bramble_client.hal import catalogue, errors
from bramble_client.hal.contract import OneFlip, PowerFails, Rig
from bramble_client.hal.sim.chips.base import nack
from tests.edge_client.hal.bench import WORLD, Bench, stopped


def result(status: int, millimetres: int) -> bytes:
    return bytes((status << 3 | 1,)) + bytes(9) + millimetres.to_bytes(2, "big")


@pytest.mark.parametrize(("millimetres", "lost"), [(0, False), (1, False), (1234, False), (8189, False), (8190, True), (8191, True)])
def test_the_result_is_in_millimetres_and_its_last_codes_are_no_distance(millimetres: int, lost: bool) -> None:
    bench = stopped("vl53l0x")
    bench.chip.pages[0][0x14:0x20] = result(11, millimetres)
    value = bench.read()["distance"]
    assert math.isnan(value) if lost else value == millimetres


@pytest.mark.parametrize("status", [0, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15])
def test_a_status_without_a_clear_echo_is_no_distance(status: int) -> None:
    bench = stopped("vl53l0x")
    bench.chip.pages[0][0x14:0x20] = result(status, 700)
    assert math.isnan(bench.read()["distance"])


@pytest.mark.parametrize(
    ("status", "kind", "sentence"),
    [
        (1, errors.SensorError, "its laser fails; replace it"),
        (2, errors.SensorError, "its laser fails"),
        (3, errors.SettingsLost, "brown-out"),
    ],
)
def test_a_chip_that_says_that_it_is_not_well_is_believed(status: int, kind: type[errors.SensorError], sentence: str) -> None:
    bench = stopped("vl53l0x")
    bench.chip.pages[0][0x14:0x20] = result(status, 700)
    with pytest.raises(kind, match=sentence):
        bench.read()


@pytest.mark.parametrize("distance", [2001.0, 5000.0])
def test_what_is_beyond_its_reach_is_no_distance(distance: float) -> None:
    bench = Bench("vl53l0x", distance=distance)
    bench.driver.setup()
    assert math.isnan(bench.read()["distance"])


@pytest.mark.parametrize(
    "left",
    [(0xFF, 0x01), (0x80, 0x01), (0xFF, 0x06), (0x00, 0x02), (0xB0, 0, 0, 0, 0, 0, 0), (0x01, 0x00), (0x30, 0x55), (0xBF, 0x00)],
    ids=["page 1", "unlocked", "page 6", "continuous", "no reference", "no steps", "not tuned", "in reset"],
)
def test_setup_works_from_where_another_program_left_the_chip(left: tuple[int, ...]) -> None:
    bench = Bench("vl53l0x", **WORLD)
    bench.clock.sleep(0.01)
    bench.send(*left)
    bench.driver.setup()
    assert bench.read() == {"distance": 800.0}


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ({"calibrated": set()}, 3),
        ({"calibrated": {0x01}}, 6),
        ({"reference": bytes(6)}, 4),
        ({"reference": b"\xff" * 6}, 4),
    ],
)
def test_the_chip_measures_only_when_it_was_brought_up(damage: dict[str, object], expected: int) -> None:
    bench = stopped("vl53l0x")
    bench.chip.frozen = False
    if "calibrated" in damage:
        bench.chip._calibrated = damage["calibrated"]
    else:
        bench.chip.pages[0][0xB0:0xB6] = damage["reference"]
    bench.send(0x00, 0x01)
    bench.clock.sleep(0.04)
    assert bench.ask(0x14, read=1) >> 3 == expected


def test_a_chip_that_is_not_tuned_is_wrong_and_the_driver_notices() -> None:
    bench = stopped("vl53l0x")
    bench.chip.frozen = False
    bench.send(0x52, 0x97)
    with pytest.raises(errors.SettingsLost, match="lost its settings"):
        bench.read()
    assert bench.ask(0x1E) == 860


def test_its_stop_value_is_behind_a_lock_and_without_it_nothing_ends() -> None:
    bench = stopped("vl53l0x")
    bench.send(0xFF, 0x01)
    assert bench.ask(0x91, read=1) == 0
    bench.send(0x91, 0x55)
    for order in ((0x80, 0x01), (0x00, 0x00)):
        bench.send(*order)
    assert bench.ask(0x91, read=1) == 0x3C, "what was written before the lock was open did not arrive"
    bench.send(0x91, 0x55)
    for order in ((0x00, 0x01), (0xFF, 0x00), (0x80, 0x00), (0x00, 0x01)):
        bench.send(*order)
    bench.clock.sleep(10)
    assert bench.ask(0x13, read=1) & 7 == 0


def test_a_measurement_that_does_not_end_is_not_ready() -> None:
    bench = stopped("vl53l0x")
    bench.chip._start = lambda value: None
    with pytest.raises(errors.NotReady, match="has not finished for 100 ms"):
        bench.read()


def test_the_reference_is_chosen_from_the_good_sensors_of_its_kind() -> None:
    """The memory says nine, with aperture: from number 12 on; 14 and 19 are not good."""
    bench = stopped("vl53l0x")
    chosen = int.from_bytes(bench.bus.transfer(0x29, b"\xb0", 6), "little")
    assert [i for i in range(48) if chosen >> i & 1] == [12, 13, 15, 16, 17, 18, 20, 21, 22]


def test_a_memory_that_promises_more_good_sensors_than_there_are_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble_client.hal.sim.chips.vl53l0x.REFERENCE", 0x80 | 40)
    with pytest.raises(errors.NotReady, match="fewer good reference sensors than it says"):
        Bench("vl53l0x", **WORLD).driver.setup()


def unreadable(bench: Bench, register: int, values: Callable[[], int]) -> None:
    """Let a register of page 0 show something else than what it holds."""
    show = bench.chip._show
    bench.chip._show = lambda number: values() if number == register and bench.chip.everywhere[0xFF] == 0 else show(number)


def test_a_register_that_cannot_be_read_is_no_damage() -> None:
    bench = Bench("vl53l0x", **WORLD)
    rng = random.Random(0)
    unreadable(bench, 0x78, lambda: rng.randrange(0x22, 0xFF))
    bench.driver.setup()
    assert bench.read() == bench.read() == {"distance": 800.0}


def test_a_register_that_differs_only_once_is_damage() -> None:
    bench = Bench("vl53l0x", **WORLD)
    shown = iter([0x20])
    unreadable(bench, 0x78, lambda: next(shown, 0x21))
    with pytest.raises(errors.UnsteadyRead, match="does not keep what is written to it"):
        bench.driver.setup()


def test_a_relative_is_refused_by_name() -> None:
    bench = Bench("vl53l0x", **WORLD)
    bench.clock.sleep(0.01)
    bench.chip.pages[0][0xC0:0xC2] = b"\xea\xcc"
    assert not bench.driver.identify(bench.bus, 0x29)
    with pytest.raises(errors.WrongChip, match="has id 0xeacc, not 0xeeaa; VL53L1X, VL53L4CD, VL6180X, TSL2591 and TCS34725 may"):
        bench.driver.setup()


def test_a_chip_that_stays_in_its_reset_is_not_ready() -> None:
    bench = Bench("vl53l0x", **WORLD)
    bench.clock.sleep(0.01)
    store = bench.chip._store
    bench.chip._store = lambda register, value: None if (register, value) == (0xBF, 1) else store(register, value)
    with pytest.raises(errors.NotReady, match="does not come out of a reset"):
        bench.driver.setup()


def test_while_it_boots_the_chip_does_not_acknowledge() -> None:
    bench = Bench("vl53l0x", **WORLD)
    with pytest.raises(OSError, match=str(nack())[-16:]):
        bench.chip.write(b"\xc0")
    bench.clock.sleep(0.0012)
    assert bench.ask(0xC0, read=3) == 0xEEAA10


def test_in_continuous_mode_the_chip_goes_on_until_it_is_told_to_stop() -> None:
    bench = stopped("vl53l0x")
    bench.chip.frozen = False
    bench.send(0x00, 0x02)
    for distance in (500.0, 600.0):
        bench.world.values["distance"] = distance
        bench.clock.sleep(0.032)
        assert bench.ask(0x1E) == distance
    bench.send(0x00, 0x00)
    bench.world.values["distance"] = 700.0
    bench.clock.sleep(1)
    assert bench.ask(0x1E) == 600


TRANSFERS = 217
"""As many as setup and one measurement take."""


@pytest.mark.parametrize("fault", ["written", "read", "power"])
def test_damage_anywhere_on_the_way_is_noticed_or_harmless(fault: str) -> None:
    """The contract tries the first forty transfers; here each has its turn."""
    driver, chip, rng = catalogue.driver("vl53l0x"), catalogue.chip("vl53l0x"), random.Random(fault)
    noticed = 0
    for which in range(TRANSFERS):
        rig = Rig(driver, chip, lambda scene, key: scene.value(key))
        rig.clock.sleep(0.01)
        bus = PowerFails(rig.bus, which, rig.chip) if fault == "power" else OneFlip(rig.bus, which, rng, fault == "written")
        damaged = driver(bus, None, rig.clock)
        try:
            damaged.setup()
            measurement = damaged.read()
        except errors.SensorError:
            noticed += 1
            continue
        assert not rig.errors(measurement)["distance"] > 45, f"transfer {which}"  # NaN is no value
    assert noticed > 50
