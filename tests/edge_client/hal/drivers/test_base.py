"""What drivers have in common: what they are unless they say otherwise, and the dating of a queue's conversions."""

from __future__ import annotations

import pytest

from bramble_client.hal.clock import SystemClock
from bramble_client.hal.drivers.base import Driver, Measurement, Pacer, Streaming
from bramble_client.hal.sim.bus import SimulatedBus


def test_a_driver_that_says_nothing_is_read_every_minute_proves_its_chip_and_may_repeat_itself(bus: SimulatedBus) -> None:
    class Plain(Driver):
        name = chip = "plain"
        addresses, channels = (0x19, 0x18), ("temperature",)

        @classmethod
        def identify(cls, bus: object, address: int) -> bool:
            return True

        def setup(self) -> None:
            """Nothing to set."""

        def read(self) -> Measurement:
            return Measurement(0.0, {})

    driver = Plain(bus)
    assert (driver.address, str(driver)) == (0x19, "plain at 0x19")
    assert isinstance(driver.clock, SystemClock)
    assert (Plain.interval, Plain.fastest, Plain.certain, Plain.frozen_after) == (60.0, 1.0, True, None)
    assert Plain(bus, 0x18).address == 0x18


def test_a_queue_that_says_nothing_of_its_depth_holds_thirty_two() -> None:
    assert Streaming.queue == 32
    assert Streaming.patience(1000.0) == 0.016
    assert Streaming.patience(10.0) == 0.1


@pytest.mark.parametrize(("before", "after"), [(10.0, 10.0), (10.0, 10.02)])
def test_the_first_stamps_end_half_a_period_before_the_middle_of_what_is_known(before: float, after: float) -> None:
    stamps = Pacer(50.0).stamps(4, before, after)
    newest = (before + after - 0.02) / 2
    assert stamps == pytest.approx([newest - 0.06, newest - 0.04, newest - 0.02, newest])


def test_stamps_never_reach_into_the_future_nor_fall_behind_by_more_than_a_period() -> None:
    pacer = Pacer(50.0)
    pacer.stamps(1, 1.0, 1.0)
    assert pacer.stamps(10, 1.05, 1.05)[-1] == 1.05, "the chip is faster than it says"
    assert pacer.stamps(2, 9.0, 9.0) == pytest.approx([8.94, 8.98]), "a gap belongs to no conversion"
