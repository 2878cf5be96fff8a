"""The self-test's figures: how many reads, how long each took, how many conversions of a queue came, and what it advises."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bramble_client.hal.board import Board, Pace
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.base import Measurement
from bramble_client.hal.errors import ChecksumError, Overrun, WrongChip
from bramble_client.hal.selftest import Check, selftest
from bramble_client.hal.sensor import Sensor
from bramble_client.hal.sim.bus import SimulatedBus
from tests.edge_client.hal.scripted import Scripted, ScriptedQueue


class Quick(Scripted):
    """A thermometer that is read ten times; one read takes a while."""

    fastest = 0.1
    takes = 0.02

    def read(self) -> Measurement:
        self.clock.sleep(self.takes)
        return super().read()


class Steady(ScriptedQueue):
    """A queue at 100 Hz of which a part comes."""

    part = 1.0
    single = 0.5

    def setup(self) -> None:
        self.since = self.clock.monotonic()

    start = lambda self, hertz: self.setup()  # noqa: E731

    def read(self) -> Measurement:
        return Measurement(self.clock.monotonic(), {"acceleration_x": self.single})

    def drain(self) -> list[Measurement]:
        since, self.since = self.since, self.clock.monotonic()
        return [self.read()] * round((self.since - since) * 100 * self.part)


def checks(bus: SimulatedBus, *sensors: tuple[Sensor, Pace], prepare: Callable[[float | None], None] = lambda t: None) -> dict[str, Check]:
    board = Board([sensor for sensor, _ in sensors], [bus], paces=[pace for _, pace in sensors], prepare=prepare)
    return {f"{check.sensor} {check.what}": check for check in selftest(board)}


def test_a_good_sensor_passes_with_its_figures(clock: VirtualClock, bus: SimulatedBus) -> None:
    driver = Quick(clock, 20.0)
    rows = checks(bus, (Sensor(driver, "roof"), Pace(60)))
    assert {what: (check.passed, check.note) for what, check in rows.items()} == {
        "roof identity": (True, "scripted at 0x40"),
        "roof setup": (True, "done"),
        "roof bytes": (True, "all arrived undamaged"),
        "roof plausible": (True, "temperature 20.00 °C"),
        "roof rate": (True, "one read takes 20 ms of 60 s"),
    }
    assert [what for _, what in driver.calls] == ["setup", *["read"] * 10]


def test_a_slow_sensor_is_read_twice_and_so_it_says(clock: VirtualClock, bus: SimulatedBus) -> None:
    driver = Scripted(clock, 20.0, ChecksumError("damaged"))
    assert driver.fastest == 1
    rows = checks(bus, (Sensor(driver, "roof"), Pace(60)))
    assert [what for _, what in driver.calls].count("read") == 2
    assert rows["roof bytes"].note == "1 of 2 reads failed, such as: damaged"
    assert rows["roof plausible"].passed, "what did come is looked at"


def test_the_latest_failure_is_the_example_and_no_value_is_judged_where_none_came(clock: VirtualClock, bus: SimulatedBus) -> None:
    rows = checks(bus, (Sensor(Quick(clock, *[WrongChip(f"no. {i}") for i in range(10)]), "roof"), Pace(60)))
    assert rows["roof bytes"].note == "10 of 10 reads failed, such as: no. 9"
    assert set(rows) == {"roof identity", "roof setup", "roof bytes"}


def test_the_longest_read_counts_and_may_take_as_long_as_there_is(clock: VirtualClock, bus: SimulatedBus) -> None:
    clock.sleep(1000)
    driver = Quick(clock, 20.0)
    driver.takes = 0.25
    assert checks(bus, (Sensor(driver, "roof"), Pace(0.25)))["roof rate"].passed
    rate = checks(bus, (Sensor(driver, "roof"), Pace(0.2)))["roof rate"]
    assert not rate.passed
    assert rate.note == "one read takes 250 ms of 0.2 s; ask for it less often, or speed the bus up with dtparam=i2c_arm_baudrate=400000"


def test_the_last_value_is_judged(clock: VirtualClock, bus: SimulatedBus) -> None:
    check = checks(bus, (Sensor(Quick(clock, *[20.0] * 9, 130.0), "roof"), Pace(60)))["roof plausible"]
    assert not check.passed
    assert check.note == "temperature 130.00 °C; temperature cannot be: replace the sensor, or check what it is wired to"


@pytest.mark.parametrize(("part", "passed"), [(1.0, True), (0.99, True), (0.9, False), (0.0, False)])
def test_a_queue_must_give_ninety_nine_of_a_hundred_conversions(clock: VirtualClock, bus: SimulatedBus, part: float, passed: bool) -> None:
    clock.sleep(1000)
    driver = Steady(clock, [])
    driver.part = part
    rows = checks(bus, (Sensor(driver, "motion"), Pace(0.01, 100.0)))
    assert rows["motion rate"].note == "one read takes 0 ms; the queue is tried below"
    assert rows["motion stream"].passed is passed
    wanted = {1.0: "100 of 100", 0.99: "100 of 100", 0.9: "90 of 100", 0.0: "0 of 100"}[part]
    assert rows["motion stream"].note.startswith(f"{wanted} conversions came at 100 Hz")
    assert ("speed the bus up" in rows["motion stream"].note) is not passed


def test_a_queue_without_a_rate_and_a_rate_without_a_queue_are_read_one_by_one(clock: VirtualClock, bus: SimulatedBus) -> None:
    rows = checks(bus, (Sensor(Steady(clock, []), "motion"), Pace(1)), (Sensor(Quick(clock, 20.0), "roof"), Pace(1, 100.0)))
    assert not [what for what in rows if what.endswith("stream")]


def test_a_queue_that_runs_over_fails_with_its_reason(clock: VirtualClock, bus: SimulatedBus) -> None:
    driver = Steady(clock, [])

    def full() -> list[Measurement]:
        raise Overrun("its queue was full")

    driver.drain = full  # type: ignore[method-assign]
    check = checks(bus, (Sensor(driver, "motion"), Pace(0.01, 100.0)))["motion stream"]
    assert (check.passed, check.note) == (False, "its queue was full")


def test_what_cannot_be_set_up_is_not_read(clock: VirtualClock, bus: SimulatedBus) -> None:
    class Refusing(Quick):
        def setup(self) -> None:
            raise WrongChip("another chip")

    driver = Refusing(clock, 20.0)
    rows = checks(bus, (Sensor(driver, "roof"), Pace(60)), (Sensor(Quick(clock, 20.0), "attic"), Pace(60)))
    assert not rows["roof setup"].passed
    assert driver.calls == []
    assert [check.sensor for check in rows.values()].count("attic") == 5, "the next one is tested"


def test_the_world_is_set_to_now_before_each_sensor(clock: VirtualClock, bus: SimulatedBus) -> None:
    prepared: list[float | None] = []
    checks(bus, *[(Sensor(Quick(clock, 20.0), name), Pace(60)) for name in "abc"], prepare=prepared.append)
    assert prepared == [None] * 3
