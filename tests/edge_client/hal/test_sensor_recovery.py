"""A sensor under arbitrary trouble: every read accounted for, every change of its state said once, quarantine kept."""

from __future__ import annotations

import logging
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bramble_client.hal import Quality
from bramble_client.hal.channels import quantity
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.errors import ChecksumError, NoAcknowledge, SettingsLost, WrongChip
from bramble_client.hal.outages import BACK_OFF_MAX_S, BACK_OFF_S, back_off
from bramble_client.hal.sensor import ATTEMPTS, CONFIRMATIONS, Sensor
from bramble_client.hal.sim.faults import Faults, Kind
from tests.edge_client.hal.bench import Bench
from tests.edge_client.hal.scripted import Scripted, said
from tests.examples import examples

ERROR = st.sampled_from([NoAcknowledge("silent"), SettingsLost("brown-out"), ChecksumError("damaged"), WrongChip("stranger"), OSError("?")])
VALUE = st.one_of(st.floats(-70, 95), st.floats(19.9, 20.1), st.just(float("nan")))
STEP = st.one_of(VALUE, VALUE, ERROR)
ARBITRARY = settings(max_examples=examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])


def alternates(lines: list[str], first: str, second: str) -> bool:
    mine = [line for line in lines if line in (first, second)]
    return mine[::2] == [first] * len(mine[::2]) and mine[1::2] == [second] * len(mine[1::2])


@ARBITRARY
@given(st.lists(STEP, min_size=1, max_size=60), st.lists(st.floats(0, 200), min_size=1, max_size=8))
def test_every_read_is_good_doubtful_or_missing_and_every_change_is_said_once(
    caplog: pytest.LogCaptureFixture, script: list[float | Exception], pauses: list[float]
) -> None:
    caplog.clear()
    caplog.set_level(logging.INFO)
    clock = VirtualClock()
    sensor = Sensor(Scripted(clock, *script))
    missing = 0
    for i in range(1, 41):
        (reading,) = sensor.read()
        assert reading.sequence == i
        assert reading.quality is not Quality.MISSING or reading.value is None
        assert reading.value is not None or reading.quality in (Quality.MISSING, Quality.RANGE)
        assert (sensor.error is not None) == (reading.quality is Quality.MISSING)
        missing += reading.quality is Quality.MISSING
        assert sensor.lost == missing
        clock.sleep(pauses[i % len(pauses)])
    lines = said(caplog)
    assert alternates(lines, "sensor scripted is gone", "sensor scripted is back")
    doubts = [record.getMessage() for record in caplog.records if "temperature is" in record.getMessage()]
    assert all(("good again" in one) != ("good again" in two) for one, two in pairwise(doubts)), doubts


@ARBITRARY
@given(st.lists(VALUE, min_size=1, max_size=60), st.lists(st.floats(0, 400), min_size=1, max_size=8))
def test_a_good_value_is_plausible_and_near_the_last_good_one_or_was_measured_twice(script: list[float], pauses: list[float]) -> None:
    clock, row = VirtualClock(), quantity("temperature")
    driver = Scripted(clock, *script)
    sensor, last = Sensor(driver), None
    for i in range(30):
        before = len(driver.measured)
        (reading,) = sensor.read()
        now = driver.measured[before:]
        assert 1 <= len(now) <= 1 + CONFIRMATIONS
        if reading.good:
            assert reading.value is not None
            assert row.plausible(reading.value)
            twice = len(now) > 1 and abs(now[-1] - now[-2]) <= row.step(0)
            assert twice or (last is not None and abs(reading.value - last[0]) <= row.step(clock.monotonic() - last[1]))
            last = reading.value, clock.monotonic()
        clock.sleep(pauses[i % len(pauses)])


@ARBITRARY
@given(st.lists(ERROR, min_size=1, max_size=30), st.floats(0.001, 30))
def test_a_sensor_in_quarantine_is_left_alone(script: list[float | Exception], pause: float) -> None:
    clock = VirtualClock()
    driver = Scripted(clock, *script)
    sensor = Sensor(driver)
    for _ in range(60):
        sensor.read()
        clock.sleep(pause)
    tries = Counter(at for at, what in driver.calls if what == "read")
    times = sorted(tries)
    for i, (earlier, later) in enumerate(pairwise(times)):
        assert later - earlier >= back_off(i + 1) * 0.75 - 1e-9
    assert max(tries.values()) <= ATTEMPTS


def test_back_off_doubles_from_a_tenth_of_a_second_to_a_minute() -> None:
    assert [back_off(n) for n in (0, 1, 2, 3, 4, 11)] == [0, 0, BACK_OFF_S, 2 * BACK_OFF_S, 4 * BACK_OFF_S, 51.2]
    assert back_off(12) == back_off(10_000) == BACK_OFF_MAX_S == 60


def test_two_sensors_in_quarantine_do_not_return_in_step() -> None:
    back = []
    for name in ("roof", "cellar"):
        clock = VirtualClock()
        driver = Scripted(clock, WrongChip("stranger"))
        sensor = Sensor(driver, name)
        for _ in range(500):
            sensor.read()
            clock.sleep(0.01)
        back.append([at for at, what in driver.calls if what == "read"])
    assert back[0][2:] != back[1][2:]


@pytest.mark.parametrize("transient", [True, False])
def test_each_further_attempt_sets_the_chip_up_anew(clock: VirtualClock, transient: bool) -> None:
    driver = Scripted(clock, NoAcknowledge("silent") if transient else WrongChip("stranger"))
    Sensor(driver).read()
    assert [what for _, what in driver.calls] == ["setup", "read"] * (ATTEMPTS if transient else 1)


def test_a_working_sensor_is_set_up_once(clock: VirtualClock) -> None:
    driver = Scripted(clock, 20.0)
    sensor = Sensor(driver)
    for _ in range(5):
        sensor.read()
    assert [what for _, what in driver.calls].count("setup") == 1


def test_after_a_success_one_failure_is_tried_again_at_once(clock: VirtualClock) -> None:
    driver = Scripted(clock, *[WrongChip("x")] * 6, 20.0, 20.0, WrongChip("x"), 20.0)
    sensor = Sensor(driver)
    for _ in range(600):
        sensor.read()
        if sensor.error is None and sensor.sequence > 1:
            break
        clock.sleep(0.05)
    assert sensor.read()[0].quality is Quality.MISSING
    clock.sleep(0.001)
    assert sensor.read()[0].good, "failures in a row are counted, not those of a lifetime"


def test_quarantine_ends_at_its_time_and_not_after_it(clock: VirtualClock) -> None:
    driver = Scripted(clock, WrongChip("x"))
    sensor = Sensor(driver)
    sensor.read()
    sensor.read()
    clock.sleep(sensor._again_at - clock.monotonic())
    before = len(driver.calls)
    sensor.read()
    assert len(driver.calls) > before


def test_a_drivers_own_mistake_is_an_absence_and_shows_where_it_was_made(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    sensor = Sensor(Scripted(clock, ZeroDivisionError("division by zero"), ZeroDivisionError("division by zero"), 20.0), "acme")
    assert [sensor.read()[0].quality for _ in range(2)] == [Quality.MISSING] * 2
    assert "the driver of scripted at 0x40 is wrong (ZeroDivisionError: division by zero); tell its author" in caplog.text
    assert "in read\n" in caplog.text, "with the place"
    clock.sleep(1)
    assert sensor.read()[0].good
    assert said(caplog) == ["sensor acme is gone", "sensor acme is back"]


def test_a_known_failure_needs_no_traceback(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    Sensor(Scripted(clock, WrongChip("stranger"))).read()
    assert not caplog.records[0].exc_info


def test_a_channel_that_is_doubted_again_is_said_again(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    sensor = Sensor(Scripted(clock, 20.0, 20.0, *[130.0] * 3, 20.0, 20.0, 20.0, *[130.0] * 3, 20.0))
    caplog.set_level(logging.INFO)
    for _ in range(8):
        sensor.read()
    assert [line.rpartition("temperature is ")[2] for line in caplog.messages] == [
        "out of range and is not used",
        "good again",
        "out of range and is not used",
        "good again",
    ]


@pytest.mark.parametrize(("options", "value"), [({"gain": {"temperature": 2.0}}, 40.0), ({"offset": {"temperature": 3.0}}, 23.0)])
def test_gain_and_offset_each_work_alone(clock: VirtualClock, options: dict[str, dict[str, float]], value: float) -> None:
    assert Sensor(Scripted(clock, 20.0), **options).read()[0].value == value  # type: ignore[arg-type]


def test_without_a_name_a_sensor_is_called_as_its_driver_and_is_real(clock: VirtualClock) -> None:
    (reading,) = Sensor(Scripted(clock, 20.0)).read()
    assert (reading.sensor, reading.simulated) == ("scripted", False)


RULE = st.tuples(
    st.sampled_from(list(Kind)), st.floats(0, 1), st.sampled_from([0.0, 0.5, 20.0]), st.sampled_from([0.0, 0.5]), st.booleans()
)
WEATHER = {
    "temperature": 20.0,
    "humidity": 50.0,
    "pressure": 1000.0,
    "carbon_dioxide": 600.0,
    "illuminance": 300.0,
    "voltage": 5.0,
    "current": 0.1,
    "voc_raw": 30_000.0,
    "distance": 800.0,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "bme280",
        "sht4x",
        "tmp117",
        "lm75",
        "scd4x",
        "bh1750",
        "ads1115",
        "ina226",
        "mcp9808",
        "shtc3",
        "aht20",
        "sgp40",
        "bmp390",
        "vl53l0x",
    ],
)
@settings(max_examples=examples(15))
@given(st.lists(RULE, max_size=5), st.integers(0, 99), st.lists(st.floats(0, 90), min_size=1, max_size=6))
def test_an_arbitrary_script_of_faults_is_survived(
    name: str, rules: list[tuple[Kind, float, float, float, bool]], seed: int, pauses: list[float]
) -> None:
    bench = Bench(name, **WEATHER)
    del bench.chip.random.gauss
    sensor = Sensor(bench.driver)
    bench.bus.faults = faults = Faults(bench.clock, seed)
    for kind, probability, seconds, size, once in rules:
        faults.on(kind, probability, seconds=seconds, size=size, once=once)
    for i in range(12):
        readings = sensor.read()
        assert [reading.channel for reading in readings] == list(bench.driver.channels)
        assert all(reading.value is not None or reading.quality in (Quality.MISSING, Quality.RANGE) for reading in readings)
        bench.clock.sleep(pauses[i % len(pauses)])
    faults.off()
    for _ in range(4):
        bench.clock.sleep(80)
        readings = sensor.read()
    assert sensor.error is None, "it comes back by itself"
    # What an element has felt that was not there is held against it for longer than this
    forgiven = (Quality.GOOD, Quality.DOUBTFUL) if any(rule[0] in (Kind.DRIFT, Kind.SPIKE) for rule in rules) else (Quality.GOOD,)
    assert all(reading.quality in forgiven for reading in readings)
