"""A page of the clients, found, sorted and cut here: of thousands only those travel that somebody looks at."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from bramble_protocol.clock import Clock
from bramble_protocol.graph import Metric
from bramble_server.fleet import attention
from bramble_server.fleet.attention import KINDS, Complaint, Part
from bramble_server.installed import release
from bramble_server.store import rounds

if TYPE_CHECKING:
    from bramble_server.fleet.registry import Client
    from bramble_server.web import Services

MOST = 1000
"""Clients in one answer."""
SORTS = ("attention", "id", "state", "version", "round", "error", "since")
"""What they can be sorted by; each the other way round with a minus before it."""
_KEPT = 30.0
"""Seconds for which what was found of rounds is believed at most: one that was abandoned between two questions shows in nothing else."""


class Roll:
    """Finds clients by what is asked for.

    Parameters
    ----------
    services
        What the endpoints work with.
    """

    def __init__(self, services: Services, clock: Clock = time) -> None:
        self._services, self._clock = services, clock
        self._parts: dict[str, tuple[Any, float, dict[str, Part]]] = {}

    def wrong(self, task: str) -> dict[str, list[Complaint]]:
        """Return what is wrong with each client that needs somebody, those that never came too."""
        found = self._services.registry.complaints(task, self.parts(task), release())
        return found | {name: [complaint] for name, complaint in attention.never(self._services.never_seen()).items()}

    def parts(self, task: str) -> dict[str, Part]:
        """Return clients' parts in the newest rounds of a task, which are read once for each round."""
        progress = self._services.coordinator.view.tasks[task]
        mark = (progress.model.round, progress.running)
        known = self._parts.get(task)
        if known is None or known[0] != mark or self._clock.monotonic() - known[1] > _KEPT:
            known = (mark, self._clock.monotonic(), self._services.loop.offload(self._read, task))
            self._parts[task] = known
        return known[2]

    def _read(self, task: str) -> dict[str, Part]:
        with self._services.store.reading() as connection:
            return attention.parts(rounds.history(connection, task, 0, attention.ROUNDS, True))

    def page(self, task: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the rows that were asked for, and how many there are of what.

        Parameters
        ----------
        task
            Whose rounds and models are meant.
        asked
            ``limit``, and perhaps ``offset``, ``sort``, ``search`` (a part of an id, of a version or of what is wrong), ``attention`` (one
            of the kinds, or ``any``), ``group`` (as ``building=north``).
        """
        services, wrong, parts = self._services, self.wrong(task), self.parts(task)
        track = services.track(task)
        training = set(services.coordinator.view.tasks[task].waiting_for)
        private, metric = services.settings.mode == "private", track.graph.manifest.metric
        everybody = [
            _row(client, task, parts.get(client.id), wrong, metric, client.id in training, private)
            for client in services.registry.clients()
        ]
        everybody += [_stranger(name, wrong) for name in services.never_seen()]
        found = [row for row in everybody if _fits(row, asked)]
        by = asked["sort"] or "attention"
        found.sort(key=lambda row: row["id"])
        found.sort(key=_key(by.removeprefix("-")), reverse=by.startswith("-"))
        first = asked["offset"] or 0
        return {
            "rows": found[first : first + asked["limit"]],
            "found": len(found),
            "total": len(everybody),
            "connected": len(services.registry),
            "simulated": sum(bool(row["simulated"]) and row["connected"] for row in everybody),
            "attention": len(wrong),
            "kinds": dict(Counter(complaints[0].kind for complaints in wrong.values())),
            "groups": {key: dict(Counter(names)) for key, names in _groups(everybody).items()},
        }


def _row(
    client: Client, task: str, part: Part | None, wrong: dict[str, list[Complaint]], metric: Metric, training: bool, private: bool
) -> dict[str, Any]:
    read = {name: None if part is None or (value := getattr(part, name)) is None else metric.read(value) for name in ("error", "baseline")}
    used = client.health.in_use.get(task) if client.health and not private else None
    return {
        "id": client.id,
        "connected": client.connected,
        "training": training,
        "simulated": client.simulated,
        "version": client.version,
        "groups": dict(client.groups),
        "since": client.since,
        "last_seen": client.last_seen,
        "round": part.round if part else None,
        **read,
        "in_use": used,
        "wrong": [complaint.to_json() for complaint in wrong.get(client.id, ())],
    }


def _stranger(name: str, wrong: dict[str, list[Complaint]]) -> dict[str, Any]:
    nothing = dict.fromkeys(("simulated", "since", "last_seen", "round", "error", "baseline", "in_use"))
    told = [complaint.to_json() for complaint in wrong[name]]
    return {"id": name, "connected": False, "training": False, "version": "", "groups": {}, **nothing, "wrong": told}


def _fits(row: dict[str, Any], asked: dict[str, Any]) -> bool:
    kinds = [complaint["kind"] for complaint in row["wrong"]]
    if (kind := asked["attention"]) is not None and not (kinds if kind == "any" else kind in kinds):
        return False
    if (group := asked["group"]) is not None:
        key, _, name = group.partition("=")
        if row["groups"].get(key) != name:
            return False
    words = (asked["search"] or "").lower().split()
    said = " ".join([row["id"], row["version"], *row["groups"].values(), *(complaint["text"] for complaint in row["wrong"])]).lower()
    return all(word in said for word in words)


def _key(by: str) -> Any:
    order = list(KINDS)

    def key(row: dict[str, Any]) -> Any:
        if by == "attention":
            return order.index(row["wrong"][0]["kind"]) if row["wrong"] else len(order)
        if by == "state":
            return (row["connected"], row["training"])
        value = row[by]
        return (value is None, value if value is not None else 0)  # who has none comes last

    return key


def _groups(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        for key, name in row["groups"].items():
            found.setdefault(key, []).append(name)
    return found
