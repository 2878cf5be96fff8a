"""Readings as ``data_update`` messages (evaluation mode only)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bramble_client.acquire.recorder import Sample
from bramble_protocol.messages import Channel, Column, DataUpdate

PART = 2000
"""Readings in one message, all channels together; some 40 kB."""


def parts(cycle: int | None, samples: Iterable[Sample], channels: Sequence[Channel]) -> Iterator[DataUpdate]:
    """Yield the messages that bring these samples, in order of time.

    Parameters
    ----------
    cycle
        The cycle that asked for them, or ``None``.
    samples
        At equal times the last one counts.
    channels
        Which channels to send; a sample without one of them sends ``null`` there.
    """
    at = dict(samples)
    times = sorted(at)
    length = max(1, PART // len(channels))
    for start in range(0, len(times), length):
        stretch = times[start : start + length]
        columns = {channel.key: Column(channel.unit, tuple(at[t].get(channel.key) for t in stretch)) for channel in channels}
        yield DataUpdate(cycle, tuple(stretch), columns)


def forecasts(channel: Channel, found: Sequence[tuple[float, float]]) -> Iterator[DataUpdate]:
    """Yield the messages that bring a task's forecasts, each stamped with the time that it is for.

    Parameters
    ----------
    channel
        In which they are mirrored.
    found
        Times and forecasts; a year of them at once would take megabytes.
    """
    for start in range(0, len(found), PART):
        yield from parts(None, [(t, {channel.key: value}) for t, value in found[start : start + PART]], [channel])
