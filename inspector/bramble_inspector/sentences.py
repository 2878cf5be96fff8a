"""Sentences the page says: counts, times, and what to do where there is nothing to show yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bramble_inspector.feed import MANY, Snapshot


def several(names: Sequence[str], most: int = 3) -> str:
    """Join names; of a long list only the first ``most``."""
    if len(names) <= most + 1:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def short(name: str, most: int) -> str:
    """Return a name of more than ``most`` characters without its middle: a fleet's begin alike, and end in what tells them apart."""
    if len(name) <= most:
        return name
    end = (most - 1) // 2
    return f"{name[: most - 1 - end]}…{name[-end:]}"


def plural(count: int, noun: str) -> str:
    """Return ``1 client`` or ``2 clients``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def chosen(what: Mapping[str, Any]) -> str:
    """Name a strategy, or a codec, with what was set of it: ``fedprox, mu 0.1``."""
    return ", ".join([str(what["name"]), *(f"{name} {value}" for name, value in what.get("parameters", {}).items())])


def full_stop(text: str) -> str:
    """Return ``text`` as something another sentence can follow."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def ago(seconds: float) -> str:
    """Say how long ago something was, coarsely enough not to change at every look."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(0, seconds) // 10 * 10:.0f} s ago" if seconds >= 10 else "just now"


def moment(t: float) -> str:
    """Return epoch seconds as UTC date and time."""
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%d %H:%M UTC")


def no_readings(snapshot: Snapshot) -> str:
    """Say why there are no readings, and what would bring some."""
    if not snapshot.status:
        return "Nothing is known of the fleet yet: the server has not answered."
    if snapshot.private:
        return (
            "Private mode: readings never leave the clients, so there are none to plot. Loss, error and divergence come from their updates."
        )
    if snapshot.many and not snapshot.readings:
        return f"There are more than {MANY} clients: their readings are not laid over each other. Those of one are on its own page."
    if not snapshot.status["clients"]:
        return f"No client is connected. Start one: `bramble client --server {snapshot.server} --id pi-1 --sensors mock`"
    return "No readings yet. Press Generate: every client then takes as many from its sensors, all at the same times."


def no_forecasts(snapshot: Snapshot) -> str:
    """Say why there are no forecasts, and what would bring some."""
    if snapshot.private or not snapshot.readings:
        return no_readings(snapshot)
    window, horizon = snapshot.manifest.get("window", 0), snapshot.manifest.get("horizon", 0)
    return (
        f"No forecasts yet. In each round a client first forecasts its new readings with the model it was sent; that takes "
        f"{window + horizon} readings ({window} to look at, {horizon} ahead). Press Generate, then Start round."
    )


def no_rounds(snapshot: Snapshot) -> str:
    """Say why no round has ended, and what would bring one."""
    status = snapshot.status
    if not status:
        return "Nothing is known of the fleet yet: the server has not answered."
    if status["running"]:
        return f"Round {status['running']} is running; its loss is shown here when it ends."
    able = status.get("able", status["clients"])
    if able < status["min_clients"]:
        others = f" ({status['clients'] - able} more cannot train this task, the table says why)" if able < status["clients"] else ""
        return f"A round needs {plural(status['min_clients'], 'client')}; {able} connected so far{others}."
    if snapshot.ended:
        return f"Round {snapshot.ended[-1]['round']} was abandoned: {snapshot.ended[-1].get('reason') or 'no reason given'}."
    return "No round yet. Press Start round; clients need readings to train on."


def no_parts(snapshot: Snapshot) -> str:
    """Say why there is nothing of single clients in the rounds."""
    if snapshot.many and snapshot.committed:
        return f"There are more than {MANY} clients: what each did in a round is on that round's own page, a click in the history away."
    return no_rounds(snapshot)


def no_error(snapshot: Snapshot) -> str:
    """Say why there is no test error, and what would bring one."""
    if not snapshot.committed:
        return no_rounds(snapshot)
    return "No test error yet: it is measured on readings that arrived since the round before. Let new ones arrive, then start a round."
