"""The board: all sensors of one client, behind one call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.channels import describe
from bramble_client.hal.clock import Clock, SystemClock
from bramble_client.hal.drivers.base import Streaming
from bramble_client.hal.errors import SensorError
from bramble_client.hal.readings import Reading
from bramble_client.hal.sampler import Dated, Sampler, Sink, Source
from bramble_client.hal.sensor import Sensor
from bramble_client.hal.stream import Stream
from bramble_protocol.messages import Channel


@dataclass(frozen=True)
class Pace:
    """How often one sensor is sampled: every so many seconds, or as a stream of so many conversions a second."""

    every: float
    rate: float | None = None


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
    paces
        How often each sensor is sampled by itself; by the driver's usual interval where none is given.
    problems
        Sensors that were configured and cannot be used, each with the reason.
    names
        What channels are called, by their sensor's name and the driver's key, where that is settled. Any other has its plain name if
        no sensor before it has that, else its own sensor's name before it.
    said
        Returns what was going on in a simulated world between two times, where its recording has that; in the form of a recorder's labels.
    """

    def __init__(
        self,
        sensors: list[Sensor],
        buses: Sequence[I2CBus],
        *,
        clock: Clock | None = None,
        wanted: Collection[str] | None = None,
        prepare: Callable[[float | None], None] = lambda t: None,
        paces: Sequence[Pace] | None = None,
        problems: Sequence[SensorError] = (),
        names: Mapping[tuple[str, str], str] | None = None,
        said: Callable[[float, float], list[tuple[float, str]]] | None = None,
    ) -> None:
        self.sensors = sensors
        self.said = said
        self.buses = list(buses)
        self.simulated = any(sensor.simulated for sensor in sensors)
        self.problems = list(problems)
        self._clock = clock or SystemClock()
        self._prepare = prepare
        self.paces = list(paces) if paces is not None else [Pace(sensor.driver.interval) for sensor in sensors]
        self._lock = threading.Lock()
        self._world_time: float | None = None
        self._streams: list[Stream] = []
        self._keys = _unique_keys(sensors, wanted, names or {})
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
        """Measure every sensor once and return all that is known of each reading; one whose queue a sampler empties is left to it."""
        streaming = {stream.name for stream in self._streams}
        with self._lock:
            self._prepare(t)
            if self.simulated and t is not None:
                if self._world_time is not None and t < self._world_time:  # a world that begins anew is another one
                    for sensor in self.sensors:
                        sensor.begin_anew()
                self._world_time = t
            return [reading for sensor in self.sensors if sensor.name not in streaming for reading in sensor.read()]

    @property
    def gone(self) -> list[str]:
        """The names of the sensors that do not answer as they should."""
        sources: list[Sensor | Stream] = [*self.sensors, *self._streams]
        return [source.name for source in sources if source.error is not None]

    @property
    def doubted(self) -> list[str]:
        """The names of the sensors that answer what is not believed."""
        sources: list[Sensor | Stream] = [*self.sensors, *self._streams]
        return [source.name for source in sources if source.error is None and source.doubts]

    def advance(self) -> None:
        """Set a simulated world to now, for who talks to the drivers directly."""
        with self._lock:
            self._prepare(None)

    def key(self, reading: Reading) -> str:
        """Return the name that a reading's channel has among all of the board's."""
        return self._keys.get((reading.sensor, reading.channel), reading.channel)

    def sampler(self, sink: Sink) -> Sampler:
        """Return a sampler, not yet started, that reads every sensor at its own pace. A board has one at most."""
        sources: list[tuple[Source, float]] = []
        for sensor, pace in zip(self.sensors, self.paces, strict=True):
            if pace.rate is not None and isinstance(sensor.driver, Streaming):
                stream = Stream(
                    sensor.driver, pace.rate, sensor.name, simulated=sensor.simulated, corrections=sensor.corrections, absent=sensor.absent
                )
                self._streams.append(stream)
                sources.append((stream, sensor.driver.patience(pace.rate)))
            else:
                sources.append((sensor, pace.every))
        return Sampler(sources, sink, self._clock)

    def dated(self, append: Callable[[float, dict[str, float | None]], None], known: Callable[[float], None] = lambda utc: None) -> Dated:
        """Return a sink that hands values to a recorder, each with its time; undated ones wait until the wall clock is known."""
        return Dated(append, self._clock, lambda reading: self._keys.get((reading.sensor, reading.channel)), known=known)

    def utc(self) -> float | None:
        """Return the wall clock's time, or None until it is known."""
        return self._clock.utc()

    def close(self) -> None:
        """Release drivers and buses; closing twice does no harm."""
        for sensor in self.sensors:
            sensor.driver.close()
        for bus in self.buses:
            bus.close()


def _unique_keys(sensors: list[Sensor], wanted: Collection[str] | None, names: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    keys: dict[tuple[str, str], str] = {}
    for sensor in sensors:
        for key in sensor.driver.channels:
            if wanted is None or key in wanted:
                offered = names.get((sensor.name, key), key)
                while offered in keys.values():
                    offered = f"{sensor.name}.{offered}"
                keys[sensor.name, key] = offered
    return keys
