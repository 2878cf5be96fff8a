"""Opening a board: which buses, which chips, real or simulated. The kind is always named, never guessed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal

from edge_client.hal import catalogue, config, detect
from edge_client.hal.board import Board, Pace
from edge_client.hal.bus import I2CBus
from edge_client.hal.clock import Clock, HostClock, SystemClock, VirtualClock
from edge_client.hal.config import SensorConfig
from edge_client.hal.drivers.base import Driver
from edge_client.hal.errors import ConfigError, SensorError, UnknownSensor
from edge_client.hal.linux import LinuxBus, ReopeningBus
from edge_client.hal.sensor import Sensor
from edge_client.hal.sim import recordings, script
from edge_client.hal.sim.bus import SimulatedBus
from edge_client.hal.sim.scene import Scene, World
from edge_client.hal.sim.world import Layered, Nearby, Synthetic

logger = logging.getLogger(__name__)

WEATHER = ("temperature", "humidity", "pressure")


def open_board(
    sensors: Literal["mock", "linux"],
    *,
    replay: Path | None = None,
    seed: str,
    bus: int = 1,
    configuration: Path | None = None,
    faults: Path | None = None,
    every: float | None = None,
    live: bool = False,
) -> Board:
    """Open the sensors of this client.

    Parameters
    ----------
    sensors
        ``linux``: those on the I2C bus. ``mock``: simulated ones; the drivers are the same.
    replay
        Recording that simulated sensors replay; without it, one of the built-in ones, chosen by the seed.
    seed
        The client's id: makes simulated clients distinct, and the same again next time.
    bus
        Number of the I2C bus, where no configuration names one.
    configuration
        File that lists the sensors; without it, they are found on the bus by their identity.
    faults
        Script of what goes wrong on a simulated bus.
    every
        Seconds between two readings of a sensor for which no configuration says it; what is usual for its chip if None.
    live
        Let simulated sensors run on the real clock, for sampling at a rate. Otherwise their time is the one that each sample is
        for, and waiting for a conversion takes none.

    Raises
    ------
    SensorError
        If the bus cannot be used, nothing is found on it, or a file is malformed.
    """
    if faults is not None and sensors != "mock":
        raise ConfigError(f"{faults}: faults are for mock sensors; real ones have their own")
    chosen = _configured(configuration, every) if configuration is not None else None
    if sensors == "linux":
        return _configured_board(*chosen) if chosen is not None else _found_board(bus, every)
    return _mock_board(*_world(replay, seed), seed, chosen, faults, every, live)


def _configured(path: Path, every: float | None) -> tuple[list[SensorConfig], list[SensorError]]:
    chosen, problems = config.load(path, every)
    if problems and not chosen:
        raise ConfigError("; ".join(str(problem) for problem in problems))
    if not chosen:
        raise ConfigError(f"{path} lists no sensor; begin one with [[sensor]], or write it with `bramble sensors scan`")
    for problem in problems:
        logger.error("%s", problem)
    return chosen, problems


def _sensor(item: SensorConfig, bus: I2CBus, clock: Clock, simulated: bool) -> Sensor:
    return Sensor(item.driver(bus, item.address, clock), item.name, simulated=simulated, offset=item.offset, gain=item.gain)


def _pace(driver: type[Driver] | Driver, every: float | None) -> Pace:
    return Pace(max(every or driver.interval, driver.fastest))


def _paces(chosen: list[SensorConfig]) -> list[Pace]:
    return [Pace(item.every, item.rate) for item in chosen]


def _configured_board(chosen: list[SensorConfig], problems: list[SensorError]) -> Board:
    # A bus that is not there takes only its own sensors with it, and may come later
    clock = SystemClock()
    buses: dict[int, I2CBus] = {number: ReopeningBus(number) for number in {item.bus for item in chosen}}
    sensors = [_sensor(item, buses[item.bus], clock, simulated=False) for item in chosen]
    return Board(sensors, list(buses.values()), paces=_paces(chosen), problems=problems)


def _found_board(number: int, every: float | None) -> Board:
    bus, clock = LinuxBus(number), SystemClock()
    try:
        found = [item for item in detect.scan(bus) if item.drivers]
        if not found:
            raise SensorError(f"no sensor that a driver knows answers on {bus.name}; check the wiring, then run `bramble sensors scan`")
        sensors = [
            Sensor(item.drivers[0](bus, item.address, clock), name)
            for item, name in zip(found, detect.names([item.drivers[0].name for item in found]), strict=True)
        ]
    except SensorError:
        bus.close()
        raise
    return Board(sensors, [bus], paces=[_pace(sensor.driver, every) for sensor in sensors])


def _world(replay: Path | None, seed: str) -> tuple[World, Collection[str]]:
    """Return what simulated sensors measure, and which channels of it they are to offer."""
    if replay is not None:
        recording = recordings.load(replay)
        return recording, recording.channels
    paths = list(recordings.builtin().values())
    if not paths:
        return Synthetic(seed), WEATHER
    choice = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") % len(paths)
    recording = recordings.load(paths[choice])
    return Nearby(recording, seed), recording.channels


def _mock_board(
    world: World,
    channels: Collection[str],
    seed: str,
    chosen: tuple[list[SensorConfig], list[SensorError]] | None,
    faults: Path | None,
    every: float | None,
    live: bool,
) -> Board:
    clock: Clock = HostClock() if live else VirtualClock()
    scene = Scene(Layered(world, Synthetic(seed)), clock)
    wished, problems = chosen if chosen is not None else (_covering(channels, every), [])
    buses: dict[int, SimulatedBus] = {}
    items: list[SensorConfig] = []
    for item in wished:
        try:
            chip = catalogue.chip(item.driver.name)(scene, clock, f"{seed} {item.bus} {item.address}")
        except UnknownSensor as error:  # a third party's driver may come without a chip
            problems.append(error)
            logger.error("%s", error)
            continue
        buses.setdefault(item.bus, SimulatedBus(clock, f"simulated bus {item.bus}")).attach(item.address, chip)
        items.append(item)
    if not items:
        raise ConfigError("; ".join(str(problem) for problem in problems))
    for bus in buses.values():
        bus.faults = script.load(faults, clock) if faults is not None else None
    sensors = [_sensor(item, buses[item.bus], clock, simulated=True) for item in items]
    prepare = _follow(scene, clock) if live else _pin(scene, clock)
    wanted = channels if chosen is None else None
    return Board(sensors, list(buses.values()), clock=clock, wanted=wanted, prepare=prepare, paces=_paces(items), problems=problems)


def _pin(scene: Scene, clock: Clock) -> Callable[[float | None], None]:
    """Set the world to the time of each sample, and let as much time pass as lies between two of them."""
    last: float | None = None

    def prepare(t: float | None) -> None:
        nonlocal last
        t = (SystemClock().utc() or clock.now()) if t is None else t
        # Back-off and rates of change mean what they say only if the drivers' clock moves as the world does
        if last is not None and t > last:
            clock.sleep(t - last)
        last = t
        scene.pin(t)

    return prepare


def _follow(scene: Scene, clock: Clock) -> Callable[[float | None], None]:
    """Let the world move with the real clock, from now or from the time of the last sample."""
    scene.follow(clock.utc() or 0.0)

    def prepare(t: float | None) -> None:
        if t is not None:
            scene.follow(t)

    return prepare


def _covering(channels: Collection[str], every: float | None) -> list[SensorConfig]:
    """Return sensors that together have these channels, as few as possible."""
    missing, chosen = set(channels), list[SensorConfig]()
    kinds = [catalogue.driver(name) for name in catalogue.BUILTIN if name != "bme680"]
    while missing:
        best: type[Driver] = max(kinds, key=lambda item: len(missing & {*item.channels}))
        gained = missing & {*best.channels}
        taken = {item.address for item in chosen}
        free = [address for address in best.addresses if address not in taken]
        if not gained or not free:
            raise SensorError(f"no simulated sensor measures {', '.join(sorted(missing))}; leave the column out of the recording")
        chosen.append(SensorConfig(best, free[0], name=best.name, every=_pace(best, every).every))
        missing -= gained
    return chosen
