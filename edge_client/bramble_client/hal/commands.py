"""What ``bramble sensors`` does, as functions that return data."""

from __future__ import annotations

import queue
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bramble_client.hal import catalogue, config, detect
from bramble_client.hal.board import Board
from bramble_client.hal.bus import I2CBus
from bramble_client.hal.config import SensorConfig
from bramble_client.hal.detect import Found
from bramble_client.hal.drivers import kernel
from bramble_client.hal.drivers.base import Driver
from bramble_client.hal.drivers.kernel import Device, KernelSensor
from bramble_client.hal.errors import UnknownSensor
from bramble_client.hal.linux import LinuxBus
from bramble_client.hal.opening import open_board
from bramble_client.hal.readings import Reading
from bramble_client.hal.sampler import Stats
from bramble_protocol.clock import Clock


@dataclass(frozen=True)
class Known:
    """A driver that there is, or the reason why one cannot be had."""

    name: str
    driver: type[Driver] | None
    problem: str = ""


def known() -> list[Known]:
    """Return every driver, built-in and third parties'."""
    rows = []
    for name in catalogue.names():
        try:
            rows.append(Known(name, catalogue.driver(name)))
        except UnknownSensor as error:
            rows.append(Known(name, None, str(error)))
    return rows


@contextmanager
def opened(sensors: Literal["mock", "linux"], number: int, seed: str, configuration: Path | None = None) -> Iterator[I2CBus]:
    """Open the bus alone, without any sensor: for a scan, which must work where no sensor does."""
    if sensors == "linux":
        bus: I2CBus = LinuxBus(number)
        try:
            yield bus
        finally:
            bus.close()
    else:
        board = open_board("mock", seed=seed, configuration=configuration)
        try:
            yield board.buses[0]
        finally:
            board.close()


def found_config(
    found: list[Found], number: int, devices: Sequence[tuple[type[KernelSensor], Device]] = (), sysfs: str = kernel.SYSFS
) -> str:
    """Return a configuration for what a scan found; chips that cannot be told apart are left for a person to decide.

    Parameters
    ----------
    devices
        What the kernel reads.
    sysfs
        Where it shows that.
    """
    usable = [item for item in found if item.drivers]
    chosen: list[tuple[type[Driver], int, int, dict[str, Any]]] = [(item.drivers[0], item.address, number, {}) for item in usable]
    for kind, device in devices:
        options = {"device": device.place, "inputs": dict(device.inputs), **({"sysfs": sysfs} if sysfs != kernel.SYSFS else {})}
        chosen.append((kind.configured(options), 0, 0, options))
    names = detect.names([driver.usual_name() for driver, *_ in chosen])
    sensors = [
        SensorConfig(driver, address, bus, name, max(driver.interval, driver.fastest), options=options)
        for (driver, address, bus, options), name in zip(chosen, names, strict=True)
    ]
    notes = [f"{item.address:#04x}: {item.note}" for item in found if not item.certain]
    notes += [f"{device.place}: the kernel reads it, and nothing here can check what it says" for _, device in devices]
    return config.dumps(sensors, notes)


def kernel_devices(sysfs: str) -> list[tuple[type[KernelSensor], Device]]:
    """Return what the kernel's own drivers measure outside of this machine."""
    return [(kind, device) for kind in kernel.SUBSYSTEMS for device in kind.find(sysfs) if device.outside]


def watch(board: Board) -> Generator[tuple[list[Reading], dict[str, Stats]]]:
    """Yield readings as they are taken, each sensor at its own pace, with how sampling goes; end by closing the iterator."""
    taken: queue.Queue[list[Reading]] = queue.Queue()
    sampler = board.sampler(taken.put)
    sampler.start()
    try:
        while True:
            yield taken.get(), sampler.stats
    finally:
        sampler.stop()


@dataclass(frozen=True)
class Line:
    """What a person sees of one sensor: its newest reading of each channel, and what came since the line before."""

    latest: list[Reading]
    readings: int
    doubtful: int
    stats: Stats


def thinned(rows: Iterable[tuple[list[Reading], dict[str, Stats]]], every: float, clock: Clock = time) -> Iterator[Line]:
    """Make lines that a person can follow: one a sensor in so many seconds, however fast it is; 0 makes one of each row."""
    due: dict[str, float] = {}
    taken: dict[str, list[Reading]] = {}
    for batch, stats in rows:
        name = batch[0].sensor
        since = taken.setdefault(name, [])
        since += batch
        if clock.monotonic() < due.get(name, 0.0):
            continue
        due[name] = clock.monotonic() + every
        latest = list({reading.channel: reading for reading in since}.values())
        yield Line(latest, len({item.sequence for item in since}), sum(not item.good for item in since), stats[name])
        since.clear()
