"""Opening a board: which buses, which chips, real or simulated. The kind is always named, never guessed."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Literal

from bramble_client.hal import catalogue, config, detect
from bramble_client.hal.board import Board, Pace
from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock, HostClock, SystemClock, VirtualClock
from bramble_client.hal.config import SensorConfig
from bramble_client.hal.drivers.base import Driver, guarded
from bramble_client.hal.errors import ConfigError, SensorError, UnknownSensor
from bramble_client.hal.known import Known, Memory, name_channels, names, passed, reconcile
from bramble_client.hal.linux import ReopeningBus
from bramble_client.hal.sensor import Sensor
from bramble_client.hal.sim import recordings, script
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.scene import Scene, World
from bramble_client.hal.sim.world import Layered, Nearby, Synthetic

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
    memory: Memory | None = None,
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
    memory
        Which sensors this client has had: found ones that are absent are expected all the same, and channels keep their names.

    Raises
    ------
    SensorError
        If nothing is found on the bus, or it cannot be used, and nothing was found before; or if a file is malformed.
    """
    memory = memory or Memory()
    if faults is not None and sensors != "mock":
        raise ConfigError(f"{faults}: faults are for mock sensors; real ones have their own")
    chosen = _configured(configuration, every) if configuration is not None else None
    if sensors == "linux":
        return _configured_board(*chosen, memory) if chosen is not None else _found_board(bus, every, memory)
    return _mock_board(*_world(replay, seed), seed, chosen, faults, every, live, memory)


def _configured(path: Path, every: float | None) -> tuple[list[SensorConfig], list[SensorError]]:
    chosen, problems = config.load(path, every)
    if problems and not chosen:
        raise ConfigError("; ".join(str(problem) for problem in problems))
    if not chosen:
        raise ConfigError(f"{path} lists no sensor; begin one with [[sensor]], or write it with `bramble sensors scan`")
    for problem in problems:
        logger.error("%s", problem)
    return chosen, problems


def _sensors(
    items: Iterable[SensorConfig], bus: Callable[[int], I2CBus], clock: Clock, simulated: bool
) -> tuple[list[Sensor], list[Pace], list[SensorError]]:
    """Return the sensors, how often each is read, and what is wrong with those that cannot be made: none stops another."""
    sensors: list[Sensor] = []
    paces: list[Pace] = []
    problems: list[SensorError] = []
    for item in items:
        try:
            with guarded(item.driver.chip):
                driver = item.driver(bus(item.bus), item.address, clock, **item.options)
                driver.clock.monotonic()  # one that forgets to hand its clock on to the base class must not be met later
                corrections = {"offset": item.offset, "gain": item.gain}
                sensors.append(Sensor(driver, item.name, simulated=simulated, humidity_follows=item.humidity_follows, **corrections))
            paces.append(Pace(item.every, item.rate))
        except SensorError as error:
            logger.error("sensor %s cannot be used: %s", item.name, error)
            problems.append(error)
    return sensors, paces, problems


def _pace(driver: type[Driver], every: float | None) -> float:
    return max(every or driver.interval, driver.fastest)


def _settled(memory: Memory, items: list[SensorConfig], problems: Sequence[SensorError]) -> dict[tuple[str, str], str]:
    """Return what the channels of configured sensors are called, and say which names have passed on."""
    broken = {error.sensor for error in problems if isinstance(error, ConfigError)}
    sensors = {item.name: Known(item.name, item.driver.name, item.bus, item.address, {}) for item in items}
    known = name_channels(memory.sensors, sensors, {item.name: item.driver.channels for item in items}, broken)
    for change in passed(memory.sensors, known):
        logger.warning("%s", change)
    memory.keep(known)
    return names(known)


def _configured_board(chosen: list[SensorConfig], problems: list[SensorError], memory: Memory) -> Board:
    # A bus that is not there takes only its own sensors with it, and may come later
    clock = SystemClock()
    buses: dict[int, I2CBus] = {number: ReopeningBus(number, clock) for number in {item.bus for item in chosen}}
    sensors, paces, unusable = _sensors(chosen, buses.__getitem__, clock, simulated=False)
    if not sensors:
        raise ConfigError("; ".join(str(problem) for problem in [*problems, *unusable]))
    called = _settled(memory, chosen, problems)
    return Board(sensors, list(buses.values()), clock=clock, paces=paces, problems=[*problems, *unusable], names=called)


def _found_board(number: int, every: float | None, memory: Memory) -> Board:
    clock = SystemClock()
    bus = ReopeningBus(number, clock)
    try:
        known, problems = _look(bus, number, clock, memory)
        items = []
        for sensor in known:
            try:
                driver = catalogue.driver(sensor.driver)
                items.append(SensorConfig(driver, sensor.address, number, sensor.name, _pace(driver, every)))
            except UnknownSensor as error:
                logger.error("sensor %s cannot be used: %s", sensor.name, error)
                problems.append(error)
        sensors, paces, unusable = _sensors(items, lambda number: bus, clock, simulated=False)
        if not sensors:
            raise SensorError(
                f"no sensor that a driver knows answers on {bus.name}; check the wiring, then run `bramble sensors scan`"
                if not problems
                else "; ".join(str(problem) for problem in [*problems, *unusable])
            )
    except SensorError:
        bus.close()
        raise
    return Board(sensors, [bus], clock=clock, paces=paces, problems=[*problems, *unusable], names=names(known))


def _look(bus: ReopeningBus, number: int, clock: Clock, memory: Memory) -> tuple[list[Known], list[SensorError]]:
    """Return the sensors of a bus: those that were found before, and what else answers. Say what has changed in one line."""
    before = [sensor for sensor in memory.sensors if sensor.address and sensor.driver not in catalogue.ADAPTERS]
    mine = [sensor for sensor in before if sensor.bus == number]
    try:
        found = detect.scan(bus)
    except SensorError as error:
        if not mine:
            raise
        logger.error("%s; the sensors that were found there before are looked for all the same", error)
        return mine, [error]
    for item in found:
        if item.owned:
            logger.warning("%s", item.note)
    after, changes = reconcile(before, found, number, lambda item, had: detect.choose(bus, item, clock, had))
    if changes:
        level, where = (logging.WARNING if mine else logging.INFO), f"; see {memory.path}" if memory.path is not None else ""
        logger.log(level, "sensors on %s: %s%s", bus.name, "; ".join(changes), where)
    memory.keep(after)
    return [sensor for sensor in after if sensor.bus == number], []


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
    memory: Memory,
) -> Board:
    clock: Clock = HostClock() if live else VirtualClock()
    scene = Scene(Layered(world, Synthetic(seed)), clock)
    wished, problems = chosen if chosen is not None else (_covering(channels, every), [])
    buses: dict[int, SimulatedBus] = {}
    items: list[SensorConfig] = []
    for item in wished:
        try:
            with guarded(f"the simulated {item.driver.chip}"):
                chip = catalogue.chip(item.driver.name)(scene, clock, f"{seed} {item.bus} {item.address}")
                chip.wire(**item.options)
        except SensorError as error:  # a third party's driver may come without a chip
            problems.append(error)
            logger.error("%s", error)
            continue
        buses.setdefault(item.bus, SimulatedBus(clock, f"simulated bus {item.bus}")).attach(item.address, chip)
        items.append(item)
    if not items:
        raise ConfigError("; ".join(str(problem) for problem in problems))
    for bus in buses.values():
        bus.faults = script.load(faults, clock) if faults is not None else None
    sensors, paces, unusable = _sensors(items, buses.__getitem__, clock, simulated=True)
    for sensor in sensors:
        sensor.absent = scene.absent
    if not sensors:
        raise ConfigError("; ".join(str(problem) for problem in [*problems, *unusable]))
    return Board(
        sensors,
        list(buses.values()),
        clock=clock,
        wanted=channels if chosen is None else None,
        prepare=_follow(scene, clock) if live else _pin(scene, clock),
        paces=paces,
        problems=[*problems, *unusable],
        names=_settled(memory, wished, problems) if chosen is not None else None,
        said=world.said if isinstance(world, recordings.Recording) and world.labels else None,
    )


def _pin(scene: Scene, clock: Clock) -> Callable[[float | None], None]:
    """Set the world to the time of each sample, and let as much time pass as lies between two of them."""
    last: float | None = None

    def prepare(t: float | None) -> None:
        nonlocal last
        t = (SystemClock().utc() or clock.monotonic()) if t is None else t
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
    if not missing <= {key for item in kinds for key in item.channels}:
        kinds += _plugged_in()
    while missing:
        best: type[Driver] = max(kinds, key=lambda item: len(missing & {*item.channels}))
        gained = missing & {*best.channels}
        taken = {item.address for item in chosen}
        free = [address for address in best.addresses if address not in taken]
        if not gained or not free:
            raise SensorError(f"no simulated sensor measures {', '.join(sorted(missing))}; leave the column out of the recording")
        chosen.append(SensorConfig(best, free[0], name=best.name, every=_pace(best, every)))
        missing -= gained
    return chosen


def _plugged_in() -> list[type[Driver]]:
    """Return other packages' drivers that come with a simulated chip."""
    kinds = []
    for name in sorted({*catalogue.names()} - {*catalogue.BUILTIN, *catalogue.ADAPTERS}):
        with contextlib.suppress(UnknownSensor):
            catalogue.chip(name)
            kinds.append(catalogue.driver(name))
    return kinds
