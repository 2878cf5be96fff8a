"""What simulated chips have in common: pointers, identity, their own pace."""

from __future__ import annotations

from typing import ClassVar

import pytest

from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.chips import queue
from bramble_client.hal.sim.chips.base import RegisterChip
from bramble_client.hal.sim.scene import Scene


def test_a_paced_chip_makes_what_is_due_once_and_keeps_what_its_depth_allows(scene: Scene, clock: VirtualClock) -> None:
    made: list[float] = []
    counts: list[int] = []

    class Paced(queue.PacedChip):
        name = "paced"
        depth = 3
        convert = lambda self, at: made.append(at)  # noqa: E731
        converted = lambda self, count: counts.append(count)  # noqa: E731

    chip = Paced(scene, clock)
    chip.refresh()
    chip.run(10.0)
    clock.sleep(0.35)
    chip.refresh()
    chip.refresh()
    assert made == pytest.approx([0.1, 0.2, 0.3])
    clock.sleep(1.0)
    chip.refresh()
    assert made[3:] == pytest.approx([1.1, 1.2, 1.3]), "older ones would be overwritten anyway"
    assert counts == [3, 10]
    chip.run(None)
    clock.sleep(1.0)
    chip.refresh()
    assert len(made) == 6
    chip.run(5.0)
    clock.sleep(0.2)
    chip.refresh()
    assert made[6:] == pytest.approx([clock.monotonic()]), "counted anew, and not short of one for want of a rounding"


def test_a_register_chip_moves_its_pointer_with_every_read_and_starts_again_after_the_last(scene: Scene, clock: VirtualClock) -> None:
    class Memory(RegisterChip):
        name = "memory"
        resets: ClassVar[dict[int, int]] = {0xFE: 1, 0xFF: 2, 0x00: 3}
        identity = 0xFF

    chip = Memory(scene, clock)
    chip.write(b"\xfe")
    assert chip.read(1) + chip.read(1) + chip.read(1) == b"\x01\x02\x03"
    chip.impostor = True
    chip.write(b"\xfd")
    assert chip.read(3) == b"\x00\x01" + bytes((2 ^ 0x5A,))
    chip.write(b"\xfd")
    assert chip.read(2) == b"\x00\x01", "its identity was not asked for"


def test_an_empty_simulated_bus_is_named_and_has_no_faults(clock: VirtualClock) -> None:
    bus = SimulatedBus(clock)
    assert (bus.name, bus.faults, bus.scan()) == ("the simulated bus", None, [])
