"""The moment in which the simulated chips measure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from bramble_client.hal.channels import quantity
from bramble_client.hal.clock import Clock


class World(Protocol):
    """What the chips could measure, at any time."""

    @property
    def channels(self) -> Collection[str]:
        """The quantities that this world has."""

    def at(self, t: float) -> Mapping[str, float | None]:
        """Return the true values at a time in seconds since 1970-01-01 UTC; None for one that nobody recorded then."""


class Scene:
    """A world at one time: pinned to a moment, or moving on with the clock from there."""

    def __init__(self, world: World, clock: Clock, start: float = 0.0) -> None:
        self.world = world
        self._clock = clock
        self._moment: float | None = None
        self._values: Mapping[str, float | None] = {}
        self._held: dict[str, float] = {}
        self._absent: set[str] = set()
        self.follow(start)

    def pin(self, t: float) -> None:
        """Hold the world still at a time: readings that belong to one time stamp see one state of the world."""
        if t != self._moment:
            self._moment = t
            self._values = self.world.at(t)

    def follow(self, t: float) -> None:
        """Set the time and let it move on with the clock."""
        self._moment = None
        self._seen: float | None = None
        self._start, self._since = t, self._clock.monotonic()

    @property
    def time(self) -> float:
        """The world's time, seconds since 1970-01-01 UTC."""
        return self._start + self._clock.monotonic() - self._since if self._moment is None else self._moment

    @contextmanager
    def shifted(self, seconds: float) -> Iterator[None]:
        """Look at the world as it was a little earlier, for a chip that kept what it measured then."""
        if self._moment is None:
            self._start += seconds
            try:
                yield
            finally:
                self._start -= seconds
        else:
            yield

    def value(self, key: str) -> float:
        """Return the true value of a quantity now; where nobody recorded it, something for the chip's arithmetic, see ``absent``.

        Raises
        ------
        KeyError
            If the world does not have it.
        """
        t = self.time
        if self._moment is None and t != self._seen:
            self._seen, self._values = t, self.world.at(t)
        value = self._values[key]
        if value is None:
            self._absent.add(key)
            row = quantity(key)
            return self._held.get(key, (row.low + row.high) / 2)
        self._absent.discard(key)
        self._held[key] = value
        return value

    def absent(self, key: str) -> bool:
        """Say whether what a chip measured last of a quantity was recorded by nobody, and so must not become a reading."""
        return key in self._absent
