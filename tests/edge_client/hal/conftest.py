from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.gpio import open_factory
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.scene import Scene
from tests.edge_client.hal.kernel import Kernel


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


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: VirtualClock) -> Kernel:
    """Linux with its buses faked below smbus2; who opens a board by itself has the test's clock."""
    kernel = Kernel(tmp_path / "i2c")
    kernel.install(monkeypatch)
    monkeypatch.setattr("bramble_client.hal.opening.SystemClock", lambda: clock)
    return kernel


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """gpiozero with simulated pins."""
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "unset")
    factory = open_factory("mock")
    yield factory
    factory.close()
