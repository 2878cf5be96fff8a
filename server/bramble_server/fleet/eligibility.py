"""Who is not asked for rounds though it could train: what a client reports of itself and its machine says why, in words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from bramble_protocol.health import DISK, HOT, THROTTLED, Health, resting

CLOCK = 60.0
"""Seconds by which a clock may be wrong: its readings are put into bins of many minutes by it."""
PATIENCE, SLACK = 3, 10.0
"""Sampling intervals, and seconds beyond them, after which a client's newest sample is no longer fresh."""
_HOT_NOW, _SLOWED_NOW = 1 << 3, (1 << 0, 1 << 1, 1 << 2)


def _heat(health: Health, ahead: float) -> str | None:
    if health.soc_temperature is not None and health.soc_temperature >= HOT:
        return f"is hot ({health.soc_temperature:.0f} °C)"
    return "is hot" if (health.throttled or 0) & _HOT_NOW else None


def _throttling(health: Health, ahead: float) -> str | None:
    told = health.throttled or 0
    found = [THROTTLED[bit.bit_length() - 1] for bit in _SLOWED_NOW if told & bit]
    return f"is slowed down by its firmware ({', '.join(found)})" if found else None


def _disk(health: Health, ahead: float) -> str | None:
    wrong = DISK.get(health.disk or "ok")
    return f"has trouble with its disk ({wrong})" if wrong else None


def _clock(health: Health, ahead: float) -> str | None:
    return f"has a clock that is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}" if abs(ahead) > CLOCK else None


def _data(health: Health, ahead: float) -> str | None:
    if health.sample_every is None:  # it measures when it is asked
        return None
    late = health.sample_age is None or health.sample_age > PATIENCE * health.sample_every + SLACK
    return "has no fresh sample" if late else None


KINDS: Mapping[str, Callable[[Health, float], str | None]] = {
    "heat": _heat,
    "throttling": _throttling,
    "disk": _disk,
    "clock": _clock,
    "data": _data,
}
"""What may be wrong with a client, and how it is told."""


def reason(health: Health, now: float, well: Collection[str]) -> str | None:
    """Return in words why a client is not asked for rounds for the time being, or None if it is.

    Parameters
    ----------
    health
        Its last report.
    now
        When that came, seconds since 1970 UTC.
    well
        Which of ``KINDS`` must be well; what its owner does not let it do is asked of nobody, whatever they are.
    """
    if health.not_now is not None:
        return f"{resting(health.not_now, health.not_before)}, so it is not asked for rounds"
    found = [sentence for kind, wrong in KINDS.items() if kind in well and (sentence := wrong(health, health.sent - now))]
    return f"{' and '.join(found)}, so it is not asked for rounds until it is better" if found else None
