"""What may go wrong with a queue between its fill level and its data: nothing of it becomes a value, and nothing is dated wrongly."""

from __future__ import annotations

import errno
from collections.abc import Callable
from itertools import pairwise

import pytest

from bramble_client.hal import errors
from bramble_client.hal.drivers.base import Pacer
from bramble_client.hal.sim.faults import Faults, Kind
from bramble_client.hal.stream import Stream
from tests.edge_client.hal.bench import WORLD, Bench

G = 9.80665
RESTING = {**WORLD, "acceleration_z": G}
QUEUE = {"mpu6050": b"\x74", "adxl345": b"\x32"}
"""The register that the queue is fetched from."""

both = pytest.mark.parametrize("name", QUEUE)


def started(name: str, seconds: float = 0.05) -> Bench:
    bench = Bench(name, **RESTING)
    bench.driver.start(200.0)
    bench.driver.drain()
    bench.clock.sleep(seconds)
    return bench


def before(bench: Bench, register: bytes, which: int, action: Callable[[], None]) -> None:
    """Do something before the n-th transfer that names a register."""
    original, count = bench.bus._attempt, [0]

    def attempt(address: int, write: bytes, read: int, once: bool = False) -> bytes:
        if write[:1] == register:
            count[0] += 1
            if count[0] == which:
                action()
        return original(address, write, read)

    bench.bus._attempt = attempt  # type: ignore[method-assign]


def fail(number: int) -> Callable[[], None]:
    def action() -> None:
        raise OSError(number, "as the kernel says")

    return action


@pytest.mark.parametrize(("name", "which"), [("mpu6050", 1), ("adxl345", 1), ("adxl345", 2)])
def test_power_that_fails_between_level_and_data_is_noticed(name: str, which: int) -> None:
    """The chip then gives zeros, and a sensor at rest is never weightless."""
    bench = started(name)
    before(bench, QUEUE[name], which, bench.chip.power_on)
    with pytest.raises(errors.SettingsLost, match="check its power supply"):
        bench.driver.drain()


@both
def test_data_that_broke_off_are_not_asked_for_again(name: str) -> None:
    """What the first attempt took is gone: a second would begin in the middle."""
    bench = started(name)
    calls: list[int] = []
    before(bench, QUEUE[name], 1, fail(errno.ETIMEDOUT))
    attempt = bench.bus._attempt
    bench.bus._attempt = lambda address, write, read, once=False: (  # type: ignore[method-assign]
        calls.append(1) if write == QUEUE[name] else None,
        attempt(address, write, read),
    )[1]
    with pytest.raises(errors.BusTimeout):
        bench.driver.drain()
    assert len(calls) == 1


@both
def test_data_that_nobody_acknowledged_are_asked_for_again(name: str) -> None:
    bench = started(name)
    before(bench, QUEUE[name], 1, fail(errno.EREMOTEIO))
    assert {round(item.values["acceleration_z"], 1) for item in bench.driver.drain()} == {9.8}


@both
@pytest.mark.parametrize("wrong", [-3, 3, 12])
def test_a_level_that_was_damaged_is_noticed(name: str, wrong: int) -> None:
    bench = started(name, 0.1)
    register = b"\x6a" if name == "mpu6050" else b"\x38"
    original, first = bench.bus.transfer, [True]

    def transfer(address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        data = original(address, write, read, once)
        if write == register and first and first.pop():
            if name == "mpu6050":
                return data[:-2] + (int.from_bytes(data[-2:], "big") + 12 * wrong).to_bytes(2, "big")
            return data[:-1] + bytes((data[-1] + wrong,))
        return data

    bench.bus.transfer = transfer  # type: ignore[method-assign]
    with pytest.raises(errors.UnsteadyRead, match="the fill level of its queue was damaged"):
        bench.driver.drain()


@both
def test_conversions_that_come_between_the_looks_at_the_level_are_no_damage(name: str) -> None:
    """A busy machine may let a while pass; what comes meanwhile is fetched next time."""
    bench = started(name, 0.03)
    before(bench, b"\x6a" if name == "mpu6050" else b"\x38", 2, lambda: bench.clock.sleep(0.05))
    first = bench.driver.drain()
    second = bench.driver.drain()
    assert (len(first), len(second)) == (pytest.approx(6, abs=1), pytest.approx(10, abs=1))


@both
def test_after_a_queue_ran_over_the_next_conversions_have_their_own_times(name: str) -> None:
    bench = started(name, 2.0)
    with pytest.raises(errors.Overrun):
        bench.driver.drain()
    begin = bench.clock.monotonic()
    bench.clock.sleep(0.05)
    stamps = [item.at for item in bench.driver.drain()]
    assert len(stamps) == pytest.approx(10, abs=1)
    assert begin - 0.006 <= stamps[0]
    assert stamps[-1] <= bench.clock.monotonic()
    assert all(b - a == pytest.approx(0.005, abs=1e-6) for a, b in pairwise(stamps))


def test_a_pacer_that_begins_anew_forgets_the_last_conversion() -> None:
    pacer, fresh = Pacer(200.0), Pacer(200.0)
    pacer.stamps(10, 1.0, 1.0)
    pacer.restart()
    assert pacer.stamps(4, 9.0, 9.0) == fresh.stamps(4, 9.0, 9.0)


@pytest.mark.parametrize(("seconds", "most"), [(0.0, 2), (0.05, 13), (1.0, 222)])
def test_no_chip_makes_more_than_a_tenth_too_many(seconds: float, most: int) -> None:
    assert Pacer(200.0).most(seconds) == most


@both
@pytest.mark.parametrize("kind", [Kind.BROWN_OUT, Kind.SHORT_READ, Kind.NACK, Kind.TIMEOUT, Kind.STUCK, Kind.UNPLUG, Kind.WRONG_ID])
@pytest.mark.slow
def test_no_fault_of_power_or_bus_lets_a_wrong_value_through(name: str, kind: Kind) -> None:
    """At rest every conversion shows gravity: a zero, or a value of another axis, is a wrong one."""
    bench = Bench(name, **RESTING)
    del bench.chip.random.gauss
    source, good = Stream(bench.driver, 200.0), 0
    source.read()
    bench.bus.faults = faults = Faults(bench.clock, 3)
    faults.on(kind, 0.02, seconds=0.3)
    for _ in range(500):
        bench.clock.sleep(0.05)
        for reading in source.read():
            assert reading.value is not None
            if reading.good:
                good += 1
                assert reading.value == pytest.approx(RESTING[reading.channel], abs=0.5), kind
    assert faults.counts.total() > 10
    assert good > 3000
