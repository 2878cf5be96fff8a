"""The board: all sensors of one client, behind one call."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal

from edge_client.hal import catalogue, detect
from edge_client.hal.bus import I2CBus
from edge_client.hal.channels import describe
from edge_client.hal.clock import SystemClock, VirtualClock
from edge_client.hal.errors import SensorError
from edge_client.hal.linux import LinuxBus
from edge_client.hal.readings import Reading
from edge_client.hal.sensor import Sensor
from edge_client.hal.sim import recordings
from edge_client.hal.sim.bus import SimulatedBus
from edge_client.hal.sim.scene import Scene, World
from edge_client.hal.sim.world import Layered, Nearby, Synthetic
from protocol.messages import Channel


class Board:
    """All sensors of one client.

    Parameters
    ----------
    sensors
        In the order in which they were configured or found.
    buses
        Closed with the board.
    wanted
        Which channels to offer, or None for all.
    prepare
        Called with the time before each sample; a simulated board sets its world to it.
    """

    def __init__(
        self,
        sensors: list[Sensor],
        buses: list[I2CBus],
        *,
        wanted: Collection[str] | None = None,
        prepare: Callable[[float | None], None] = lambda t: None,
    ) -> None:
        self.sensors = sensors
        self.simulated = any(sensor.simulated for sensor in sensors)
        self._buses = buses
        self._prepare = prepare
        self._lock = threading.Lock()
        self._keys = _unique_keys(sensors, wanted)
        self.channels: tuple[Channel, ...] = tuple(describe(key) for key in self._keys.values())

    def sample(self, t: float | None = None) -> dict[str, float | None]:
        """Measure every sensor once and return the values by channel; None where there is none that can be trusted.

        Parameters
        ----------
        t
            The world's time for simulated sensors, seconds since 1970-01-01 UTC. Real sensors measure now, whatever it says.
        """
        values: dict[str, float | None] = dict.fromkeys(self._keys.values())
        for reading in self.read(t):
            key = self._keys.get((reading.sensor, reading.channel))
            if key is not None and reading.good:
                values[key] = reading.value
        return values

    def read(self, t: float | None = None) -> list[Reading]:
        """Measure every sensor once and return all that is known of each reading."""
        with self._lock:
            self._prepare(t)
            return [reading for sensor in self.sensors for reading in sensor.read()]

    def close(self) -> None:
        """Release the buses; closing twice does no harm."""
        for bus in self._buses:
            bus.close()


def _unique_keys(sensors: list[Sensor], wanted: Collection[str] | None) -> dict[tuple[str, str], str]:
    """Name every channel: the first sensor that has it gives it its plain name, a further one puts its own name before it."""
    keys: dict[tuple[str, str], str] = {}
    for sensor in sensors:
        for key in sensor.driver.channels:
            if wanted is None or key in wanted:
                keys[sensor.name, key] = key if key not in keys.values() else f"{sensor.name}.{key}"
    return keys


def open_board(sensors: Literal["mock", "linux"], *, replay: Path | None = None, seed: str, bus: int = 1) -> Board:
    """Open the sensors of this client.

    Parameters
    ----------
    sensors
        ``linux``: those found on the I2C bus. ``mock``: simulated ones; the driver is the same.
    replay
        Recording that simulated sensors replay; without it, one of the built-in ones, chosen by the seed.
    seed
        The client's id: makes simulated clients distinct, and the same again next time.
    bus
        Number of the I2C bus.

    Raises
    ------
    SensorError
        If the bus cannot be used, nothing is found on it, or the recording is malformed.
    """
    if sensors == "linux":
        return _linux_board(bus)
    if replay is not None:
        recording = recordings.load(replay)
        return _mock_board(recording, recording.channels, seed)
    paths = list(recordings.builtin().values())
    if not paths:
        world = Synthetic(seed)
        return _mock_board(world, ("temperature", "humidity", "pressure"), seed)
    choice = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") % len(paths)
    recording = recordings.load(paths[choice])
    return _mock_board(Nearby(recording, seed), recording.channels, seed)


def _linux_board(number: int) -> Board:
    bus = LinuxBus(number)
    try:
        found = [item for item in detect.scan(bus) if item.drivers]
        if not found:
            raise SensorError(f"no sensor that a driver knows answers on {bus.name}; check the wiring, then run `bramble sensors scan`")
        clock = SystemClock()
        return Board([Sensor(item.drivers[0](bus, item.address, clock)) for item in found], [bus])
    except SensorError:
        bus.close()
        raise


def _mock_board(world: World, channels: Collection[str], seed: str) -> Board:
    clock = VirtualClock()
    scene = Scene(Layered(world, Synthetic(seed)), clock)
    bus = SimulatedBus(clock)
    chosen = []
    for name in _covering(channels):
        kind = catalogue.driver(name)
        bus.attach(kind.addresses[0], catalogue.chip(name)(scene, clock, seed))
        chosen.append(Sensor(kind(bus, None, clock), simulated=True))
    last: float | None = None

    def prepare(t: float | None) -> None:
        nonlocal last
        t = SystemClock().utc() if t is None else t
        t = clock.now() if t is None else t
        # Time passes between samples as it does in the world, so that back-off and rates of change mean what they say
        clock.advance(t - last if last is not None else 0.0)
        last = t
        scene.pin(t)

    return Board(chosen, [bus], wanted=channels, prepare=prepare)


def _covering(channels: Collection[str]) -> list[str]:
    """Return the names of sensors that together have these channels, the fewest from the front of the catalogue."""
    missing, chosen = set(channels), []
    while missing:
        best = max(
            (item for item in catalogue.drivers() if not isinstance(item, SensorError)), key=lambda item: len(missing & {*item.channels})
        )
        if not missing & {*best.channels}:
            raise SensorError(f"no simulated sensor measures {', '.join(sorted(missing))}; leave the column out of the recording")
        chosen.append(best.name)
        missing -= {*best.channels}
    return chosen
