"""What this Pi's owner gave it for training: hours of the day, bytes of a month, and the power that it must have."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bramble_client.machine.hours import Hours
from bramble_client.machine.traffic import Traffic
from bramble_protocol.health import resting
from bramble_protocol.reasons import NOT_NOW

log = logging.getLogger(__name__)

UNDER_VOLTAGE = 1


@dataclass(frozen=True)
class Rest:
    """Why it does not train now, one of :data:`bramble_protocol.health.RESTING`, and until when (seconds since 1970 UTC)."""

    why: str
    until: float | None = None

    def __str__(self) -> str:
        return f"{NOT_NOW}{resting(self.why, self.until)}"


@dataclass(frozen=True)
class Left:
    """What is left: bytes of this month, and until when its hours go on (seconds since 1970 UTC); None without a limit, or outside."""

    bytes: int | None = None
    until: float | None = None


class Budgets:
    """Says whether it may train now.

    Parameters
    ----------
    hours
        When; None: at any hour.
    monthly_bytes
        How much its connections may carry in a month; None: any amount.
    steady_power
        Whether it must not train while its power supply is too weak.
    least_battery
        How full its battery must be, in percent; None: as empty as it may be.
    traffic
        Counts bytes.
    machine
        Returns what the machine says of itself, as :func:`bramble_client.machine.health.read`.
    utc
        Returns the time in seconds since 1970 UTC, or None while nobody knows it.
    """

    def __init__(
        self,
        hours: Hours | None,
        monthly_bytes: int | None,
        steady_power: bool,
        least_battery: int | None,
        traffic: Traffic,
        machine: Callable[[], Mapping[str, float]],
        utc: Callable[[], float | None],
    ) -> None:
        self._hours, self._monthly_bytes, self._traffic = hours, monthly_bytes, traffic
        self._steady_power, self._least_battery = steady_power, least_battery
        self._machine, self._utc = machine, utc
        self._said: str | None = None

    @property
    def spent(self) -> bool:
        """Whether this month's bytes are used up."""
        used = self._traffic.used()
        return self._monthly_bytes is not None and used >= self._monthly_bytes

    def left(self) -> Left:
        """Return what is left of them."""
        now, hours = self._utc(), self._hours
        allowed = None if self._monthly_bytes is None else max(0, self._monthly_bytes - self._traffic.used())
        return Left(allowed, None if hours is None or now is None or not hours.has(now) else hours.until(now))

    def rest(self) -> Rest | None:
        """Return why it may not train now, or None if it may; what is new of that is logged."""
        found = self._rest()
        why = None if found is None else found.why
        if why != self._said:
            self._said = why
            log.info("%s", found or "this client trains again when it is asked")
        return found

    def _rest(self) -> Rest | None:
        now, spent = self._utc(), self.spent
        if self._hours is not None and (now is None or not self._hours.has(now)):
            return Rest("hours", None if now is None else self._hours.next(now))
        if spent:
            return Rest("bytes", self._traffic.next_month())
        if self._steady_power or self._least_battery is not None:
            found = self._machine()
            if self._steady_power and int(found.get("health_throttled", 0)) & UNDER_VOLTAGE:
                return Rest("power")
            if self._least_battery is not None and found.get("health_battery", 100.0) < self._least_battery:
                return Rest("battery")
        return None
