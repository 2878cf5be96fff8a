"""Synchronised readings and their mirror, in evaluation mode alone."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bramble_protocol import fields
from bramble_protocol.errors import ProtocolError
from bramble_protocol.messages.handshake import MAX_CHANNELS

FORECAST = ".forecast"
"""What the key of a channel ends with in which a client mirrors its forecasts of another."""
MAX_READINGS = 10_000
"""Readings of one channel in one message; a longer stretch is sent in parts."""


def forecast_of(target: str, task: str | None = None) -> str:
    """Return the key of the channel in which forecasts of a channel are mirrored.

    Parameters
    ----------
    target
        Key of the channel.
    task
        Name of the task, where it is to be told apart from another with the same target.
    """
    if task is None:
        return f"{target}{FORECAST}"
    named = f"{target}.{task.replace('-', '_')}{FORECAST}"  # one to one, for no task's name has a low line
    short = hashlib.sha256(task.encode()).hexdigest()[:8]
    return named if len(named) <= fields.LONGEST_KEY else f"{target}.{short}{FORECAST}"


def next_of(forecast: str) -> str | None:
    """Return the key of the channel for what is still to come, beside the one of a task's forecasts; None if it would be too long.

    It is one of its own because a round's forecasts come later and are of earlier times: who reads a channel from where it ended
    the last time would pass them over.
    """
    key = f"{forecast.removesuffix(FORECAST)}._next{FORECAST}"  # no task is called so
    return key if len(key) <= fields.LONGEST_KEY else None


@dataclass(frozen=True)
class GenerateData:
    """Server to all: take one synchronised batch of readings (evaluation mode only)."""

    cycle: int
    t: float
    step: float
    count: int

    @classmethod
    def from_wire(cls, value: Any) -> GenerateData:
        """Read and check the wire form."""
        item = fields.mapping(value, "generate_data", ("cycle", "t", "step", "count"))
        return cls(
            cycle=fields.integer(item["cycle"], "cycle", 1),
            t=fields.number(item["t"], "t", 0, fields.YEAR_3000),
            step=fields.number(item["step"], "step", 1e-3, 1e7),
            count=fields.integer(item["count"], "count", 1, MAX_READINGS),
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form."""
        return asdict(self)


@dataclass(frozen=True)
class Column:
    """One channel's values; ``None`` stands for a reading that failed."""

    unit: str
    value: tuple[float | None, ...]


@dataclass(frozen=True)
class DataUpdate:
    """Client to server: readings mirrored for the inspector (evaluation mode only), one column a channel."""

    cycle: int | None
    t: tuple[float, ...]
    channels: Mapping[str, Column]

    @classmethod
    def from_wire(cls, value: Any) -> DataUpdate:
        """Read and check the wire form."""
        item = fields.mapping(value, "data_update", ("cycle", "t", "channels"))
        times, columns = item["t"], item["channels"]
        if not isinstance(times, list) or not 0 < len(times) <= MAX_READINGS:
            raise ProtocolError(f"t: expected a list of 1 to {MAX_READINGS} times")
        if not isinstance(columns, dict) or not 0 < len(columns) <= MAX_CHANNELS:
            raise ProtocolError(f"channels: expected an object of 1 to {MAX_CHANNELS} channels")
        stamps = tuple(fields.number(t, f"t[{i}]", 0, fields.YEAR_3000) for i, t in enumerate(times))
        if any(later <= earlier for earlier, later in itertools.pairwise(stamps)):
            raise ProtocolError("t: expected times that increase")
        return cls(
            cycle=fields.optional(fields.integer, item["cycle"], "cycle", low=1),
            t=stamps,
            channels={fields.key(key, "channel"): _column(column, key, len(stamps)) for key, column in columns.items()},
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form."""
        channels = {key: {"unit": column.unit, "value": list(column.value)} for key, column in self.channels.items()}
        return {"cycle": self.cycle, "t": list(self.t), "channels": channels}


def _column(value: Any, key: str, length: int) -> Column:
    item = fields.mapping(value, f"channels.{key}", ("unit", "value"))
    values = item["value"]
    if not isinstance(values, list) or len(values) != length:
        raise ProtocolError(f"channels.{key}.value: expected {length} values, one for each t")
    return Column(
        unit=fields.label(item["unit"], f"channels.{key}.unit", 20),
        value=tuple(fields.optional(fields.number, item, f"channels.{key}[{i}]") for i, item in enumerate(values)),
    )
