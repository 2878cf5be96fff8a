"""How a client and its machine are: sent on connecting and every half minute, kept by the server, never part of a round."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bramble_protocol import VERSION, fields
from bramble_protocol.errors import ProtocolError
from bramble_protocol.fields import YEAR_3000

EVENT = "health"
INTERVAL = 30.0
"""Seconds between two reports."""
SPARING = 900.0
"""The same while the bytes that its owner gave it for the month are used up: what a report costs goes on the same bill."""
THROTTLED = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "hot",
    16: "under-voltage before",
    17: "frequency capped before",
    18: "throttled before",
    19: "hot before",
}
"""Bits of the Pi firmware's ``get_throttled``: what is, and what has been since the boot."""
NOW = 0xF
"""Those bits that tell what is."""
HOT = 80.0
"""Degrees Celsius from which on a Pi's firmware slows it down."""
DISK = {"ok": "", "full": "disk full", "read-only": "disk read-only", "failing": "disk fails"}
"""What a client's disk does, and the words for it: whether it takes readings, and if not, why."""
RESTING = {
    "hours": "outside of the hours in which it may",
    "bytes": "this month's bytes are used up",
    "power": "its power supply is too weak",
    "battery": "its battery is too low",
}
"""Why a client does not train for the time being, by its owner's will."""
IN_USE = ("baseline", "global", "personal", "blend")
"""What a client may go by at its site: the task's baseline; the fleet's model; that as its last run left it; the mean of the two."""
SINCE_2 = (
    "sensors_doubted",
    "windows_doubtful",
    "disk",
    "slow",
    "not_now",
    "not_before",
    "alarms",
    "in_use",
    "drifted",
    "first_training",
    "bytes_left",
    "hours_until",
)
"""Fields that version 1 of the contract does not have."""
SELDOM = ("first_training", "bytes_left", "hours_until")
"""Fields that are absent where there is nothing to say, which is the rule."""
MOST_TASKS = 16
"""Of how many tasks one report says something at most."""
MOST_SENSORS = 32
"""How many sensors one report names at most."""
SENSOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
"""What a sensor may be called."""
_NUMBERS = {
    "sample_age": (0, 1e10), "sample_every": (0, 1e6), "soc_temperature": (-100, 200), "memory_free": (0, 1e9), "disk_free": (0, 1e12),
}  # fmt: skip


@dataclass(frozen=True)
class Health:
    """One report; ``None`` stands for what this machine cannot tell."""

    sent: float
    """The client's clock, seconds since 1970 UTC."""
    sample_age: float | None = None
    """Seconds since the newest sample was taken, by the monotonic clock."""
    sample_every: float | None = None
    """Interval in seconds at which sensors are read; None when only the server asks for samples."""
    samples_missed: int | None = None
    """Deadlines since the client began that passed while a sensor, or the machine, was busy."""
    sensors_gone: tuple[str, ...] = ()
    """Names of the sensors that do not answer."""
    sensors_doubted: tuple[str, ...] = ()
    """Names of the sensors that answer what is not believed."""
    windows_doubtful: int | None = None
    """Training windows that cannot be true, when it last trained; None where none were looked at."""
    soc_temperature: float | None = None
    """Degrees Celsius."""
    throttled: int | None = None
    """Bits as in ``THROTTLED``."""
    memory_free: float | None = None
    """MiB."""
    disk_free: float | None = None
    """MiB where the client keeps its data."""
    disk: str | None = None
    """Whether the disk takes readings: one of ``DISK``."""
    slow: bool | None = None
    """Whether it trains at half its pace just now, for it is hot or throttled."""
    not_now: str | None = None
    """Why it does not train for the time being, one of ``RESTING``; None if it does."""
    not_before: float | None = None
    """Until when, seconds since 1970 UTC, where that is known."""
    alarms: int | None = None
    """Windows since the client began that were unlike all that the fleet has learnt; None where no task has a threshold."""
    in_use: Mapping[str, str] = field(default_factory=dict)
    """What it goes by, of each task that it forecasts: one of ``IN_USE``."""
    drifted: Mapping[str, float] = field(default_factory=dict)
    """Of each task whose error has risen of late at this site, since when: the beginning of a day, seconds since 1970 UTC."""
    first_training: float | None = None
    """When it will have readings enough to train for the first time, seconds since 1970 UTC; None if it has, or nobody can say."""
    bytes_left: int | None = None
    """What its connections may still carry this month; None without a limit."""
    hours_until: float | None = None
    """Until when the hours go on in which it may train now, seconds since 1970 UTC; None at any hour, or outside of them."""

    @classmethod
    def from_wire(cls, value: Any) -> Health:
        """Read and check the wire form."""
        others = ("samples_missed", "sensors_gone", "throttled", *SINCE_2)
        item = fields.mapping(value, "health", ("sent",), (*_NUMBERS, *others))
        numbers = {
            name: fields.optional(fields.number, item.get(name), f"health.{name}", low=low, high=high)
            for name, (low, high) in _NUMBERS.items()
        }
        return cls(
            sent=fields.number(item["sent"], "health.sent", 0, YEAR_3000),
            samples_missed=fields.optional(fields.integer, item.get("samples_missed"), "health.samples_missed"),
            sensors_gone=_names(item, "sensors_gone"),
            sensors_doubted=_names(item, "sensors_doubted"),
            windows_doubtful=fields.optional(fields.integer, item.get("windows_doubtful"), "health.windows_doubtful"),
            throttled=fields.optional(fields.integer, item.get("throttled"), "health.throttled", high=2**32 - 1),
            disk=None if item.get("disk") is None else _one_of(item["disk"], "disk", DISK),
            slow=fields.optional(fields.flag, item.get("slow"), "health.slow"),
            not_now=None if item.get("not_now") is None else _one_of(item["not_now"], "not_now", RESTING),
            not_before=fields.optional(fields.number, item.get("not_before"), "health.not_before", low=0, high=YEAR_3000),
            alarms=fields.optional(fields.integer, item.get("alarms"), "health.alarms"),
            in_use={task: _one_of(told, "in_use", IN_USE) for task, told in _by_task(item, "in_use")},
            drifted={task: fields.number(told, "health.drifted", 0, YEAR_3000) for task, told in _by_task(item, "drifted")},
            first_training=fields.optional(fields.number, item.get("first_training"), "health.first_training", low=0, high=YEAR_3000),
            bytes_left=fields.optional(fields.integer, item.get("bytes_left"), "health.bytes_left"),
            hours_until=fields.optional(fields.number, item.get("hours_until"), "health.hours_until", low=0, high=YEAR_3000),
            **numbers,
        )

    def to_wire(self, protocol: int = VERSION) -> dict[str, Any]:
        """Return the wire form for a peer of this version of the contract; one of version 1 refuses what it does not know."""
        wire: dict[str, Any] = {**asdict(self), "sensors_gone": list(self.sensors_gone), "sensors_doubted": list(self.sensors_doubted)}
        wire = {name: value for name, value in wire.items() if value is not None or name not in SELDOM}
        return {name: value for name, value in wire.items() if protocol != 1 or name not in SINCE_2}


def _one_of(value: Any, field: str, choices: Collection[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise ProtocolError(f"health.{field}: expected one of {', '.join(choices)}")
    return value


def _by_task(item: dict[str, Any], field: str) -> list[tuple[str, Any]]:
    told = item.get(field, {})
    if not isinstance(told, dict) or len(told) > MOST_TASKS:
        raise ProtocolError(f"health.{field}: expected an object of at most {MOST_TASKS} tasks")
    return [(fields.text(task, f"health.{field}", 63, fields.CLIENT_ID), value) for task, value in told.items()]


def _names(item: dict[str, Any], field: str) -> tuple[str, ...]:
    names = item.get(field, ())
    if not isinstance(names, list | tuple) or len(names) > MOST_SENSORS:
        raise ProtocolError(f"health.{field}: expected a list of at most {MOST_SENSORS} names")
    return tuple(fields.text(name, f"health.{field}", pattern=SENSOR) for name in names)


def day(t: float) -> str:
    """Return the day of a time, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(t))


def resting(not_now: str, not_before: float | None) -> str:
    """Return in words why a client does not train for the time being, and until when."""
    until = "" if not_before is None else f", until {time.strftime('%Y-%m-%d %H:%M', time.gmtime(not_before))} UTC"
    return f"does not train: {RESTING[not_now]}{until}"


def throttling(throttled: int) -> str:
    """Return what is wrong with the power or the heat, in words; ``no`` if nothing is or was."""
    return ", ".join(word for bit, word in THROTTLED.items() if throttled >> bit & 1) or "no"
