"""What goes on around a simulated fleet: who is slow, away or lost in a round. All of it follows from a seed."""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bramble_protocol.errors import BrambleError
from bramble_protocol.nearest import nearest

Part = Field(0.0, ge=0, le=1)


class Scenario(BaseModel):
    """Times in seconds of the simulated clock."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training_s: float = Field(10.0, gt=0, le=1e6)
    """What a usual client takes for a round's training."""
    network_s: float = Field(0.5, ge=0, le=1e6)
    """What it takes to send both ways."""
    spread: float = Field(0.25, ge=0, le=3)
    """Standard deviation of the logarithm of how long clients take, each for good."""
    slow: float = Part
    """Part of the clients that are slow."""
    slow_times: float = Field(10.0, ge=1, le=1e4)
    """How many times longer they take."""
    slow_by: Literal["round", "client", "place"] = "round"
    """Who they are: others in each round, the same clients always, or all clients of some places."""
    away: float = Part
    """Part of the clients that are not there when a round opens."""
    lost: float = Part
    """Part of those asked whose connection breaks while they train, and that are there again for the next round."""
    joining_s: float = Field(0.0, ge=0, le=1e9)
    """The fleet comes together over so many seconds."""

    def here(self, client: str, place: str, round_number: int, seed: int) -> bool:
        """Return whether a client that has joined is there when a round opens."""
        return not self.away or drawn(seed, "away", client, round_number) >= self.away

    def joins(self, client: str, seed: int) -> float:
        """Return when it joins."""
        return self.joining_s and self.joining_s * drawn(seed, "joins", client)

    def takes(self, client: str, place: str, round_number: int, seed: int) -> float:
        """Return how long it takes from being asked to its answer's arrival."""
        usual = math.exp(self.spread * _normal(seed, "speed", client))
        whose = {"round": (client, round_number), "client": (client,), "place": (place,)}[self.slow_by]
        slow = self.slow and drawn(seed, "slow", *whose) < self.slow
        return self.network_s + self.training_s * usual * (self.slow_times if slow else 1.0)

    def breaks(self, client: str, round_number: int, seed: int) -> bool:
        """Return whether its connection breaks before it has answered."""
        return bool(self.lost) and drawn(seed, "lost", client, round_number) < self.lost


def read(path: Path) -> Scenario:
    """Read a TOML file.

    Raises
    ------
    BrambleError
        If it cannot be read, or something in it is unknown, of another type or out of range; the text names it with its line.
    """
    try:
        text = path.read_text("utf-8")
        values = tomllib.loads(text)
    except OSError as error:
        raise BrambleError(f"scenario: cannot read {path} ({error.strerror})") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BrambleError(f"scenario: {path} is not TOML: {error}") from None
    try:
        return Scenario(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        line = next((number for number, item in enumerate(text.splitlines(), 1) if re.match(rf"\s*\[?{re.escape(name)}\b", item)), 1)
        if first["type"] == "extra_forbidden":
            near = nearest(name, Scenario.model_fields)
            meant = f", did you mean {near}?" if near else f"; there are {', '.join(Scenario.model_fields)}"
            raise BrambleError(f"scenario: {path}, line {line}: nothing is called {name}{meant}") from None
        raise BrambleError(f"scenario: {path}, line {line}: {name}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None


def _generator(seed: int, *what: str | int) -> np.random.Generator:
    """Return what draws one thing: the same whatever else was drawn before it."""
    digest = hashlib.sha256(repr(what).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def drawn(seed: int, *what: str | int) -> float:
    """Return a number from 0 to 1 that follows from a seed and what it is for."""
    return float(_generator(seed, *what).random())


@lru_cache(1 << 17)
def _normal(seed: int, *what: str | int) -> float:
    return float(_generator(seed, *what).standard_normal())
