"""``bramble fleet groups``: whether a group does better with a model of its own than with everybody's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bramble import terminal
from bramble.api import Server
from bramble.settings import GroupsSettings
from bramble_protocol import groups
from bramble_protocol.graph import Metric

NONE = (
    "no task of this server is a group's alone beside everybody's; serve one twice, as in: "
    "bramble server --task climate --task north=climate --track north.group=building=north"
)


def run(settings: GroupsSettings) -> int:
    """Print the comparison; return 0."""
    found = compared(Server.of(settings), settings.limit)
    if settings.as_json:
        print(json.dumps(found, indent=2))
        return 0
    if not found:
        print(NONE)
        return 0
    columns = ("group", "task", "clients", "windows", "error", "beside", "error", "baseline", "own to other's")
    rows = []
    for item in found:
        own, other = item["own"], item["other"]
        rows.append(
            (
                groups.told(item["group"]), item["task"], str(item["clients"]), f"{own['samples']:,}", _figure(own["error"], item["unit"]),
                item["beside"], _figure(other["error"], item["unit"]), _figure(own["baseline"], item["unit"]),
                "" if item["ratio"] is None else f"{item['ratio']:.3f}",
            )
        )  # fmt: skip
    terminal.console().print(terminal.table(columns, rows))
    return 0


def compared(server: Server, limit: int) -> list[dict[str, Any]]:
    """Return for each task that is a group's alone what its clients' test errors are by it, and by each other task of the same graph.

    Parameters
    ----------
    limit
        How many of each task's newest rounds to go by; those without a model do not count.

    Returns
    -------
    list of dict
        ``group``, ``task``, ``beside`` (the other task), ``clients`` (how many were tested by either), ``unit``, ``own`` and ``other``
        (``error``, ``baseline`` in ``unit``, None if nothing was tested, and ``samples``), and ``ratio``, own error by the other's.
    """
    served = server.status()["tasks"]
    found = []
    for track in (each for each in served if each.get("group")):
        metric = Metric(**server.status(track["task"])["manifest"]["metric"])
        mine = _tested(server, track["task"], limit)
        for other in served:
            if other["task"] == track["task"] or other["graph"] != track["graph"] or not _wider(other["group"], track["group"]):
                continue
            theirs = {name: parts for name, parts in _tested(server, other["task"], limit).items() if name in mine}
            own, beside = (_pooled((part for parts in of.values() for part in parts), metric) for of in (mine, theirs))
            both = own["error"] is not None and beside["error"]
            found.append(
                {
                    "group": track["group"], "task": track["task"], "beside": other["task"], "clients": len(mine), "unit": metric.unit,
                    "own": own, "other": beside, "ratio": own["error"] / beside["error"] if both else None,
                }
            )  # fmt: skip
    return found


def _wider(other: Mapping[str, str], own: Mapping[str, str]) -> bool:
    """Whether all of a group take part in another task, too."""
    return other.items() <= own.items()


def _tested(server: Server, task: str, limit: int) -> dict[str, list[dict[str, Any]]]:
    """Return by client its parts in a task's newest rounds in which something was tested."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in server.rounds(0, limit, task):
        for name, part in record["clients"].items() if record["state"] == "committed" else ():
            if part.get("test_samples"):
                found.setdefault(name, []).append(part)
    return found


def _pooled(parts: Iterable[Mapping[str, Any]], metric: Metric) -> dict[str, Any]:
    """Pool means over samples, as a round does, and read them in the metric's unit."""
    kept = list(parts)
    samples = sum(part["test_samples"] for part in kept)
    means = {name: sum(part[f"test_{name}"] * part["test_samples"] for part in kept) for name in ("error", "baseline")}
    return {"samples": int(samples), **{name: metric.read(total / samples) if samples else None for name, total in means.items()}}


def _figure(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3f} {unit}"
