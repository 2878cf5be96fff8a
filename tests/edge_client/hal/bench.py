"""A driver and its noiseless chip in a world that a test sets by hand."""

from __future__ import annotations

from typing import Any

from bramble_client.hal import catalogue
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.faults import Faults, Kind
from bramble_client.hal.sim.scene import Scene

STILL = {f"{kind}_{axis}": 0.0 for kind in ("acceleration", "rotation") for axis in "xyz"}
WORLD = {
    "temperature": 25.0,
    "humidity": 50.0,
    "pressure": 1000.0,
    "voltage": 4.0,
    "current": 0.1,
    "illuminance": 100.0,
    "carbon_dioxide": 500.0,
    "gas_resistance": 90_000.0,
    "voc_raw": 30_000.0,
    "distance": 800.0,
    **STILL,
}
"""Something for every chip to measure."""


class Flat:
    """The same values at any time."""

    def __init__(self, **values: float) -> None:
        self.values = values

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(self.values)

    def at(self, t: float) -> dict[str, float]:
        return self.values


def noiseless(chip: Any) -> Any:
    chip.random.gauss = lambda mean, deviation: mean
    return chip


class Bench:
    def __init__(self, name: str, chip: str | None = None, options: dict[str, Any] | None = None, /, **world: float) -> None:
        self.world = Flat(**world)
        self.clock = VirtualClock()
        self.scene = Scene(self.world, self.clock)
        self.bus = SimulatedBus(self.clock)
        kind = catalogue.driver(name)
        self.chip: Any = noiseless(catalogue.chip(chip or name)(self.scene, self.clock))
        self.bus.attach(kind.addresses[0], self.chip)
        self.driver: Any = kind(self.bus, None, self.clock, **(options or {}))

    def read(self) -> dict[str, float]:
        return dict(self.driver.read().values)

    def send(self, *data: int) -> None:
        self.bus.transfer(self.driver.address, bytes(data))

    def ask(self, *data: int, read: int = 2) -> int:
        return int.from_bytes(self.bus.transfer(self.driver.address, bytes(data), read), "big")


def stopped(name: str, **options: Any) -> Bench:
    """A chip that is set up and has measured once, whose registers a test can fill from now on."""
    bench = Bench(name, None, options, **WORLD)
    bench.driver.setup()
    bench.clock.sleep(0.5)
    if name != "scd4x":
        bench.read()
    bench.chip.frozen = True
    return bench


def active(faults: Faults, address: int) -> set[Kind]:
    """Return the faults that an address suffers now: those that last, and a spike that the next conversion will feel."""
    now = faults._clock.monotonic()
    lasting = {kind for (kind, where), until in faults._until.items() if until > now and where in (address, -1)}
    return lasting | ({Kind.SPIKE} if address in faults._spiking else set())
