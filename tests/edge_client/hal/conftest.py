from __future__ import annotations

import pytest

from edge_client.hal.clock import VirtualClock
from edge_client.hal.sim.bus import SimulatedBus
from edge_client.hal.sim.scene import Scene


class Still:
    """A world that a test sets by hand."""

    def __init__(self, **values: float) -> None:
        self.values = {"temperature": 21.37, "humidity": 48.2, "pressure": 1006.5, **values}

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(self.values)

    def at(self, t: float) -> dict[str, float]:
        return self.values


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def world() -> Still:
    return Still()


@pytest.fixture
def scene(world: Still, clock: VirtualClock) -> Scene:
    return Scene(world, clock)


@pytest.fixture
def bus(clock: VirtualClock) -> SimulatedBus:
    return SimulatedBus(clock)
