from __future__ import annotations

import pytest

from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.sim.bus import SimulatedBus, carry
from bramble_client.hal.sim.chips.bme280 import BME280
from bramble_client.hal.sim.scene import Scene


def test_two_chips_cannot_share_an_address(bus: SimulatedBus, scene: Scene, clock: VirtualClock) -> None:
    bus.attach(0x76, BME280(scene, clock))
    with pytest.raises(ValueError, match="has a bme280 at 0x76 already"):
        bus.attach(0x76, BME280(scene, clock))


def test_a_chip_can_be_moved(bus: SimulatedBus, scene: Scene, clock: VirtualClock) -> None:
    chip = BME280(scene, clock)
    bus.attach(0x76, chip)
    assert bus.detach(0x76) is chip
    bus.attach(0x77, chip)
    assert bus.scan() == [0x77]


def test_without_a_chip_nothing_acknowledges() -> None:
    with pytest.raises(OSError, match="Remote I/O error"):
        carry(None, b"\x00", 1)


def test_two_chips_of_one_seed_are_alike_and_of_two_are_not(scene: Scene, clock: VirtualClock) -> None:
    def values(seed: int) -> bytes:
        chip = BME280(scene, clock, seed)
        for _ in range(5):
            chip.write(b"\xf2\x01\xf4\x25")
            clock.sleep(0.02)
            chip.write(b"\xf7")
            data = chip.read(8)
        return data

    assert values(1) == values(1)
    assert values(1) != values(2)


def test_registers_past_the_last_are_zero(scene: Scene, clock: VirtualClock) -> None:
    chip = BME280(scene, clock)
    chip.write(b"\xfe")
    assert len(chip.read(8)) == 8
