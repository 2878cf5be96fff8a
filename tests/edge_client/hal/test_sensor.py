"""Recovery and judgement: what becomes of a measurement between the driver and the recorder."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.base import Driver, Measurement
from bramble_client.hal.errors import NoAcknowledge, SettingsLost, WrongChip
from bramble_client.hal.outages import BACK_OFF_MAX_S
from bramble_client.hal.readings import Quality, Reading
from bramble_client.hal.sensor import ATTEMPTS, Sensor
from tests.edge_client.hal.bench import Bench


class Script(Driver):
    """A driver that does what the test's script says: a number is a temperature, an exception is raised."""

    name = chip = "script"
    addresses = (0x40,)
    channels = ("temperature",)
    frozen_after = 3

    def __init__(self, clock: VirtualClock, *script: float | Exception) -> None:
        super().__init__(None, 0x40, clock)  # type: ignore[arg-type]
        # The first value is confirmed by a second measurement: here, by the same
        first = [script[0]] if script and isinstance(script[0], float) and script[0] < 100 else []
        self.script: list[float | Exception] = [*first, *script]
        self.setups = 0
        self.reads = 0
        self.on_setup: Callable[[], None] = lambda: None

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        return True

    def setup(self) -> None:
        self.setups += 1
        self.on_setup()

    def read(self) -> Measurement:
        self.reads += 1
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return Measurement(self.clock.monotonic(), {"temperature": step})


def read(sensor: Sensor) -> Reading:
    (reading,) = sensor.read()
    return reading


def test_a_reading_says_all_that_is_known(clock: VirtualClock) -> None:
    clock.sleep(100)
    sensor = Sensor(Script(clock, 20.0, 20.5), "roof", simulated=True)
    first, second = read(sensor), read(sensor)
    assert first == Reading("roof", "temperature", 20.0, "°C", 100.0, 100.0, 1, Quality.GOOD, True)
    assert second.sequence == 2


def test_utc_is_none_until_the_clock_is_synchronised(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "utc", lambda: None)
    assert read(Sensor(Script(clock, 20.0))).utc is None


def test_utc_is_the_conversions_not_the_reads(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Script(clock)
    monkeypatch.setattr(driver, "read", lambda: Measurement(clock.monotonic() - 0.25, {"temperature": 1.0}))
    clock.sleep(10)
    assert read(Sensor(driver)).utc == 9.75


def test_threads_that_read_one_sensor_take_turns(clock: VirtualClock) -> None:
    inside, met = threading.Barrier(2), list[int]()

    class Shared(Script):
        def read(self) -> Measurement:
            try:
                met.append(inside.wait(0.1))  # passes only if another thread is here as well
            except threading.BrokenBarrierError:
                inside.reset()
            return super().read()

    sensor = Sensor(Shared(clock, 20.0, 20.0))
    threads = [threading.Thread(target=sensor.read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sensor.sequence == 2
    assert met == []


def test_offset_and_gain_correct_the_value(clock: VirtualClock) -> None:
    sensor = Sensor(Script(clock, 20.0), offset={"temperature": -0.5}, gain={"temperature": 1.1})
    assert read(sensor).value == pytest.approx(21.5)


def test_a_passing_failure_costs_a_new_initialisation_and_no_reading(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    driver = Script(clock, 20.0, SettingsLost("lost"), 20.1)
    sensor = Sensor(driver)
    assert [read(sensor).value for _ in range(2)] == [20.0, 20.1]
    assert driver.setups == 2
    assert sensor.lost == 0
    assert caplog.text == ""


def test_attempts_are_bounded(clock: VirtualClock) -> None:
    driver = Script(clock, *[NoAcknowledge("gone")] * 9)
    assert read(Sensor(driver)).quality is Quality.MISSING
    assert driver.reads == ATTEMPTS


def test_what_a_retry_cannot_mend_is_not_retried(clock: VirtualClock) -> None:
    driver = Script(clock, *[WrongChip("another chip")] * 9)
    read(Sensor(driver))
    assert driver.reads == 1


def test_quarantine_grows_to_a_bound_and_ends_by_itself(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    driver = Script(clock, *[WrongChip("x")] * 15, 20.0, 20.0)
    sensor = Sensor(driver)
    waits, last = [], None
    with caplog.at_level(logging.INFO):
        while driver.script:
            before = driver.reads
            read(sensor)
            if driver.reads > before:
                if last is not None:
                    waits.append(clock.monotonic() - last)
                last = clock.monotonic()
            clock.sleep(0.05)
    assert waits[0] == pytest.approx(0.05, abs=0.06)
    assert waits[4] == pytest.approx(0.8, abs=0.3)
    assert max(waits) <= BACK_OFF_MAX_S * 1.25 + 0.1
    assert [record.message for record in caplog.records] == ["sensor script is gone: x", "sensor script is back"]
    assert sensor.error is None


def test_every_lost_reading_is_counted(clock: VirtualClock) -> None:
    sensor = Sensor(Script(clock, WrongChip("x"), WrongChip("x")))
    readings = [read(sensor) for _ in range(5)]
    assert sensor.lost == 5
    assert [reading.value for reading in readings] == [None] * 5
    assert [reading.sequence for reading in readings] == [1, 2, 3, 4, 5]


def test_an_implausible_value_is_marked_and_said_once(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    sensor = Sensor(Script(clock, 20.0, *[130.0] * 6, 20.1, 20.2))
    with caplog.at_level(logging.INFO):
        qualities = [read(sensor).quality for _ in range(5)]
    assert qualities == [Quality.GOOD, Quality.RANGE, Quality.RANGE, Quality.RANGE, Quality.GOOD]
    assert [record.message for record in caplog.records] == [
        "sensor script: temperature is out of range and is not used",
        "sensor script: temperature is good again",
    ]


def test_not_a_number_is_implausible(clock: VirtualClock) -> None:
    reading = read(Sensor(Script(clock, *[float("nan")] * 3)))
    assert (reading.quality, reading.value) == (Quality.RANGE, None)


def test_a_channel_that_saturates_takes_no_other_with_it() -> None:
    """Not even at the start, when every value is measured twice before it is believed."""
    bench = Bench("ads1115", voltage=18.0)
    for _ in range(3):
        readings = Sensor(bench.driver).read()
        assert [(reading.quality, reading.value) for reading in readings[:1]] == [(Quality.RANGE, None)]
        assert all(reading.good for reading in readings[1:])


def test_a_spike_is_measured_again(clock: VirtualClock) -> None:
    sensor = Sensor(Script(clock, 20.0, 35.0, 20.1))
    assert [read(sensor).value for _ in range(2)] == [20.0, 20.1]


def test_a_step_that_stays_is_believed(clock: VirtualClock) -> None:
    sensor = Sensor(Script(clock, 20.0, 35.0, 35.1))
    assert [read(sensor) for _ in range(2)][1].quality is Quality.GOOD


def test_measurements_that_contradict_each_other_are_marked(clock: VirtualClock) -> None:
    sensor = Sensor(Script(clock, 20.0, 35.0, 60.0, 84.0))
    assert [read(sensor).quality for _ in range(2)] == [Quality.GOOD, Quality.JUMP]


def test_a_change_that_time_allows_is_no_jump(clock: VirtualClock) -> None:
    driver = Script(clock, 20.0, 26.5)
    sensor = Sensor(driver)
    read(sensor)
    before = driver.reads
    clock.sleep(3600)
    assert read(sensor).quality is Quality.GOOD
    assert driver.reads == before + 1


def test_the_first_value_needs_a_second_measurement(clock: VirtualClock) -> None:
    driver = Script(clock)
    driver.script = [70.0, 20.0, 20.1, 20.2]
    sensor = Sensor(driver)
    assert read(sensor).value == 20.1
    assert read(sensor).value == 20.2


def test_after_an_absence_the_first_value_needs_a_second_one_again(clock: VirtualClock) -> None:
    driver = Script(clock, 20.0, WrongChip("x"))
    sensor = Sensor(driver)
    read(sensor)
    read(sensor)
    clock.sleep(10)
    driver.script = [70.0, 20.0, 20.1]
    assert read(sensor).value == 20.1


def test_a_stuck_chip_is_noticed_after_what_its_noise_allows(clock: VirtualClock) -> None:
    sensor = Sensor(Script(clock, *[20.0] * 5, 20.1))
    assert [read(sensor).quality for _ in range(6)] == [Quality.GOOD] * 3 + [Quality.FROZEN] * 2 + [Quality.GOOD]


def test_setup_is_done_before_the_first_read_and_failing_there_counts(clock: VirtualClock) -> None:
    driver = Script(clock, 20.0)
    tries = iter([SettingsLost("not yet")])

    def fail_once() -> None:
        for error in tries:
            raise error

    driver.on_setup = fail_once
    assert read(Sensor(driver)).value == 20.0
    assert driver.setups == 2
