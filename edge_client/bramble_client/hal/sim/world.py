"""What there is to measure where nobody recorded anything: a place with days, years, weather, people and motion.

Every value is a pure function of the seed and the time, so a hundred clients are distinct, and each is the same again tomorrow.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from math import cos, exp, pi, sin

from bramble_client.hal.channels import quantity
from bramble_client.hal.sim.scene import World

DAY, YEAR = 86_400.0, 365.25 * 86_400.0
COLDEST = 20 * DAY  # of the year
WARMEST_HOUR = 15 * 3600.0
STILL, WALKING, SHAKEN = range(3)
MOTION_S = 10.0
"""How long one kind of motion lasts."""
_G = 9.80665


class Synthetic:
    """A seeded world with every quantity of the channel table.

    Parameters
    ----------
    seed
        Decides climate, weather, habits and motion of the place.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed
        rng = random.Random(f"world {seed}")
        self._mean = rng.uniform(4, 22)
        self._yearly, self._daily = rng.uniform(4, 14), rng.uniform(2, 6)
        self._wet = rng.uniform(45, 75)
        self._level = rng.uniform(930, 1020)  # the pressure of the place's height above the sea
        # Weather fronts: waves whose periods have no common multiple within a lifetime
        self._fronts = [(2 * pi / (rng.uniform(2.2, 11) * DAY), rng.uniform(0, 2 * pi), rng.uniform(0.3, 1.0)) for _ in range(5)]
        self._battery = rng.uniform(11.8, 12.4)
        self._step_hz = rng.uniform(1.6, 2.2)
        self._values: dict[str, Callable[[float], float]] = {
            "temperature": self.temperature,
            "humidity": lambda t: min(max(self._wet - 2.2 * self._day(t) + 6 * self._front(t + 0.3 * DAY), 3.0), 99.0),
            "pressure": lambda t: self._level - 7 * self._front(t),
            "carbon_dioxide": lambda t: 425 + 850 * self.occupancy(t),
            "illuminance": lambda t: 45_000 * self._sun(t) * (1 - 0.2 * abs(self._front(t))) + 280 * self.occupancy(t),
            "gas_resistance": lambda t: 120_000 * exp(-1.2 * self.occupancy(t)),
            "voc_raw": lambda t: 31_000 - 4500 * self.occupancy(t),
            "distance": lambda t: 1600 - 900 * self.occupancy(t),
            "voltage": self._voltage,
            "current": self._current,
            "power": lambda t: self._voltage(t) * self._current(t),
            **{f"acceleration_{axis}": self._acceleration(i) for i, axis in enumerate("xyz")},
            **{f"rotation_{axis}": self._rotation(i) for i, axis in enumerate("xyz")},
        }
        self.channels: Collection[str] = tuple(self._values)

    def at(self, t: float) -> Mapping[str, float]:
        """Return the true values at a time."""
        return _Lazy(self._values, t)

    def temperature(self, t: float) -> float:
        """Return °C: the year, the day, and fronts."""
        return self._mean - self._yearly * cos(2 * pi * (t - COLDEST) / YEAR) + self._day(t) + 3 * self._front(t)

    def occupancy(self, t: float) -> float:
        """Return how much the people of the place are there, 0 to 1; they come and leave at their own times each day."""
        day, second = divmod(t, DAY)
        arrive, leave, there = _habits(self._seed, int(day))
        return there * (_ramp(second - arrive, 1800) - _ramp(second - leave, 1800))

    def motion(self, t: float) -> int:
        """Return what moves the place: STILL, WALKING or SHAKEN."""
        return _motion(self._seed, int(t // MOTION_S))

    def _day(self, t: float) -> float:
        return self._daily * cos(2 * pi * (t - WARMEST_HOUR) / DAY)

    def _front(self, t: float) -> float:
        return sum(weight * sin(speed * t + phase) for speed, phase, weight in self._fronts)

    def _sun(self, t: float) -> float:
        return max(0.0, -cos(2 * pi * t / DAY) - 0.15 * cos(2 * pi * (t - COLDEST) / YEAR))

    def _voltage(self, t: float) -> float:
        return self._battery + 1.6 * min(self._sun(t), 1.0)

    def _current(self, t: float) -> float:
        return 0.35 + 0.5 * self.occupancy(t) - 0.3 * min(self._sun(t), 1.0)

    def _acceleration(self, axis: int) -> Callable[[float], float]:
        rest = _G if axis == 2 else 0.0

        def value(t: float) -> float:
            strength = (0.0, 2.5, 9.0)[self.motion(t)]
            hertz = self._step_hz * (1 if axis == 2 else 0.5) * (3 if strength > 5 else 1)
            # Each stretch of motion swells and ebbs, so that the signal has no steps
            return rest + strength * sin(pi * (t % MOTION_S) / MOTION_S) ** 2 * sin(2 * pi * hertz * t + axis)

        return value

    def _rotation(self, axis: int) -> Callable[[float], float]:
        def value(t: float) -> float:
            strength = (0.0, 40.0, 180.0)[self.motion(t)]
            return strength * sin(pi * (t % MOTION_S) / MOTION_S) ** 2 * sin(2 * pi * self._step_hz * t + 2 * axis)

        return value


class Layered:
    """One world for the quantities that it has, another for all others: a recording of the weather in a synthetic house."""

    def __init__(self, upper: World, lower: World) -> None:
        self._upper, self._lower = upper, lower
        self.channels: Collection[str] = tuple({**dict.fromkeys(upper.channels), **dict.fromkeys(lower.channels)})

    def at(self, t: float) -> Mapping[str, float | None]:
        """Return the true values at a time."""
        return _Both(self._upper.at(t), self._lower.at(t))


class Nearby:
    """A place near a recorded one, whose own exposure shifts the readings a little: clients that share a recording are not copies."""

    def __init__(self, world: World, seed: str) -> None:
        rng = random.Random(f"nearby {seed}")
        self.channels: Collection[str] = world.channels
        self._world = world
        self._warmer, self._swing = rng.uniform(-1, 1), rng.uniform(-0.8, 0.8)
        self._higher = rng.uniform(-4, 4)

    def at(self, t: float) -> Mapping[str, float | None]:
        """Return the true values at a time."""
        shifts = {"temperature": self._warmer + self._swing * cos(2 * pi * (t - WARMEST_HOUR) / DAY), "pressure": self._higher}
        return {key: None if value is None else value + shifts.get(key, 0.0) for key, value in self._world.at(t).items()}


class _Lazy(Mapping[str, float]):
    """Values that are computed when they are asked for: a chip needs one or two of sixteen."""

    def __init__(self, values: Mapping[str, Callable[[float], float]], t: float) -> None:
        self._functions, self._t = values, t

    def __getitem__(self, key: str) -> float:
        if key in self._functions:
            return self._functions[key](self._t)
        return _somewhere(key, self._t)

    def __contains__(self, key: object) -> bool:
        return key in self._functions

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)


class _Both(Mapping[str, float | None]):
    def __init__(self, upper: Mapping[str, float | None], lower: Mapping[str, float | None]) -> None:
        self._upper, self._lower = upper, lower

    def __getitem__(self, key: str) -> float | None:
        return self._upper[key] if key in self._upper else self._lower[key]

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(self._upper), **dict.fromkeys(self._lower)})

    def __len__(self) -> int:
        return len({*self._upper, *self._lower})


def _somewhere(key: str, t: float) -> float:
    """Return a value of a quantity that only a plug-in knows: it comes and goes with the day, in the middle of its range."""
    row = quantity(key)
    return row.low + (row.high - row.low) * (0.5 + 0.25 * cos(2 * pi * (t - WARMEST_HOUR) / DAY))


def _ramp(seconds: float, width: float) -> float:
    """Return a smooth step from 0 to 1 around 0."""
    return 1 / (1 + exp(-max(min(seconds / width * 4, 40), -40)))


@lru_cache(maxsize=4096)
def _motion(seed: str, stretch: int) -> int:
    return random.Random(f"{seed} {stretch}").choices((STILL, WALKING, SHAKEN), (6, 3, 1))[0]


@lru_cache(maxsize=4096)
def _habits(seed: str, day: int) -> tuple[float, float, float]:
    """Return when people come and leave on a day, in seconds from midnight, and how many of them."""
    rng = random.Random(f"{seed} day {day}")
    weekday = (day + 3) % 7 < 5  # 1970-01-01 was a Thursday
    return rng.uniform(7, 9.5) * 3600, rng.uniform(16, 19) * 3600, rng.uniform(0.5, 1.0) if weekday else rng.uniform(0.0, 0.3)
