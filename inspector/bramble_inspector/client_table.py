"""The fleet table: one row a client."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from dash import dcc, html

from bramble_inspector import parts, sentences
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import style
from bramble_inspector.figures.metric import Metric
from bramble_protocol.health import DISK

LONGEST_NAME = 13
"""Characters of a client's name that its column holds, which stays where it is while the others go by."""
_SENSORS = {True: "simulated", False: "real", None: "–"}


@dataclass(frozen=True)
class Column:
    """A column of the table: the field of a row that it shows, its title, and by what the server sorts for it."""

    field: str
    title: str
    sort: str | None = None
    number: bool = False
    hint: str = ""


_COLUMNS = (
    Column("client", "Client", "id"),
    Column("state", "State", "state"),
    Column("tasks", "Takes part in"),
    Column("group", "Group"),
    Column("version", "Release", "version"),
    Column("sensors", "Sensors"),
    Column("seen", "Last seen", "since"),
    Column("round", "Last round", "round", number=True),
    Column("samples", "Samples", number=True),
    Column("before", "Loss before", number=True),
    Column("after", "Loss after", number=True),
    Column("error", "Test error", "error", number=True, hint="On readings that came since the round before, with the model it was sent"),
    Column("baseline", "Baseline", number=True, hint="What the test error is to beat"),
    Column("in_use", "Goes by", hint="Which model does best at its site, and is used there"),
    Column("distance", "Distance", number=True, hint="Of its last update from the new global model"),
    Column("protocol", "Contract", number=True, hint="Version of the contract that it speaks"),
    Column("remark", "Remark", "attention"),
)
_NEAR = ("samples", "before", "after", "distance", "protocol", "tasks")
"""Columns of what is known of each client of a fleet of which all are known here; the page of one client has it of every fleet."""


def columns(several: bool, many: bool = False) -> list[Column]:
    """Return the table's columns; where there are ``several`` tasks one says in which each client takes part, of ``many`` clients fewer."""
    return [one for one in _COLUMNS if (several or one.field != "tasks") and not (many and one.field in _NEAR)]


def table() -> Any:
    """Return the empty table, which the browser fills from the store beside it: thousands of cells would be slow as components."""
    return html.Div(
        [dcc.Store(id="fleet-shown"), html.Div(id="fleet", className="rows", tabIndex="0", role="region", **parts.aria(label="Clients"))]
    )


def shown(snapshot: Snapshot, found: list[dict[str, Any]], sort: str | None) -> dict[str, Any]:
    """Return rows as the browser lays them out: the columns, and the text of each cell.

    Parameters
    ----------
    found
        Rows of :func:`rows` or :func:`merged`.
    sort
        What they are sorted by; None where the server cannot sort.
    """
    chosen = columns(snapshot.several, snapshot.many)
    heads = [
        {"field": one.field, "title": one.title, "sort": one.sort if sort else None, "number": one.number, "hint": one.hint}
        for one in chosen
    ]
    body = [{**{name: row.get(name) for name in _LOOK}, "cells": [_text(row, one.field) for one in chosen]} for row in found]
    return {"columns": heads, "rows": body, "sort": sort}


_LOOK = ("client", "shown", "colour", "link")
_FORMS = {"round": "d", "protocol": "d", "samples": ",d"}


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return "" if name == "remark" else "–"
    if isinstance(value, str):
        return value
    said = format(value, _FORMS.get(name, ".3g"))
    return f"{said} {row['unit']}".strip() if name in ("error", "baseline") else said


def rows(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return one row for each client ever seen, in the clients' fixed order."""
    metric = Metric(snapshot.manifest)
    last = snapshot.ended[-1].get("clients", {}) if snapshot.ended else {}
    now = time.time()
    result = []
    for client in snapshot.order:
        info, update = snapshot.clients.get(client, {}), snapshot.updates.get(client, {})
        measures = update.get("metrics") or {}
        others = [f"{task}: {why}" for task, why in info.get("tasks", {}).items() if why is not None and task != snapshot.task]
        result.append(
            {
                "client": client,
                "shown": sentences.short(client, LONGEST_NAME),
                "colour": style.colour(snapshot.order, client),
                "state": _state(snapshot, client),
                "group": ", ".join(info.get("groups", {}).values()) or "–",
                "version": info.get("version", "–"),
                "tasks": ", ".join(task for task, why in info.get("tasks", {}).items() if why is None) or "none",
                "sensors": _SENSORS[info.get("simulated")],
                "seen": "now" if info.get("connected") else sentences.ago(now - info["last_seen"]) if info.get("last_seen") else "–",
                "round": update.get("round"),
                "samples": update.get("samples"),
                "before": measures.get("loss_before"),
                "after": measures.get("loss_after"),
                "error": metric.value(measures.get("test_error")),
                "baseline": metric.value(measures.get("test_baseline")),
                "unit": metric.unit,
                "in_use": ((info.get("health") or {}).get("in_use") or {}).get(snapshot.task, "–"),
                "distance": update.get("distance"),
                "protocol": info.get("protocol"),
                "link": parts.address(f"/client/{client}", snapshot.task),
                "remark": ", ".join(
                    filter(None, (*info.get("remarks", ()), _disk(info), _gathers(info, now), last.get(client, {}).get("reason"), *others))
                ),
            }
        )
    missing = "it has a token and has never connected"
    nothing = {"colour": "transparent", "sensors": _SENSORS[None], "seen": "never", "unit": metric.unit, "remark": missing}
    return result + [
        {"client": client, "shown": sentences.short(client, LONGEST_NAME), "state": "away", **nothing} for client in snapshot.never_seen
    ]


def merged(row: dict[str, Any], known: dict[str, Any] | None, snapshot: Snapshot) -> dict[str, Any]:
    """Return a row of the server's page of clients as one of the table, with what else is known of it."""
    wrong = [complaint["text"] for complaint in row["wrong"]]
    seen = "now" if row["connected"] else sentences.ago(time.time() - row["last_seen"]) if row["last_seen"] else "never"
    if known is None:
        known = {
            "client": row["id"],
            "shown": sentences.short(row["id"], LONGEST_NAME),
            "colour": "transparent",
            "group": ", ".join(row["groups"].values()) or "–",
            "version": row["version"] or "–",
            "sensors": _SENSORS[row["simulated"]],
            "round": row["round"],
            "error": row["error"],
            "baseline": row["baseline"],
            "unit": Metric(snapshot.manifest).unit,
            "in_use": row["in_use"] or "–",
            "remark": "",
        }
    state = "away" if not row["connected"] else "training" if row["training"] else "connected"
    remark = "; ".join(dict.fromkeys([*wrong, *filter(None, [known["remark"]])]))
    return {**known, "state": state, "seen": seen, "remark": remark, "link": parts.address(f"/client/{row['id']}", snapshot.task)}


def _gathers(info: dict[str, Any], now: float) -> str | None:
    """Say how long a client still gathers readings before it trains for the first time."""
    at = (info.get("health") or {}).get("first_training") or 0.0
    return f"gathers readings: first training in {math.ceil((at - now) / 60)} min" if at > now else None


def mark(snapshot: Snapshot) -> str:
    """Return what the table depends on; the clock counts only while somebody is away."""
    away = any(not info["connected"] for info in snapshot.clients.values())
    parts = [snapshot.changed[part] for part in ("status", "clients", "rounds", "order")]
    return " ".join([*parts, str(time.time() // 10 if away else 0)])


def _disk(info: dict[str, Any]) -> str:
    return DISK.get((info.get("health") or {}).get("disk") or "ok", "")


def _state(snapshot: Snapshot, client: str) -> str:
    info = snapshot.clients.get(client, {})
    if not info.get("connected"):
        return "away"
    return "training" if info.get("training") or client in snapshot.status["waiting_for"] else "connected"
