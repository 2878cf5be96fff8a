"""The fleet table: one row a client."""

from __future__ import annotations

import math
import time
from typing import Any

import dash_ag_grid as dag  # type: ignore[import-untyped]

from bramble_inspector import parts, sentences
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import style
from bramble_inspector.figures.metric import Metric
from bramble_protocol.health import DISK

_ROW_PX, _MAX_ROWS = 34, 12
LONGEST_NAME = 13
"""Characters of a client's name that its column holds, which stays where it is while the others go by."""
_SENSORS = {True: "simulated", False: "real", None: "–"}
_THEME = """themeQuartz.withParams({
    backgroundColor: 'transparent', foregroundColor: 'var(--mantine-color-text)', headerBackgroundColor: 'transparent',
    borderColor: 'var(--mantine-color-default-border)', chromeBackgroundColor: 'transparent', fontFamily: 'inherit',
    fontSize: 13,
    headerTextColor: 'var(--mantine-color-dimmed)', rowHoverColor: 'var(--mantine-color-default-hover)',
    menuBackgroundColor: 'var(--mantine-color-body)', wrapperBorder: false, rowHeight: 34, headerHeight: 42, spacing: 6})"""


def _number(field: str, title: str, suffix: str = "", form: str = ".3~g", **more: Any) -> dict[str, Any]:
    return {
        "field": field,
        "headerName": title,
        "type": "rightAligned",
        "valueFormatter": {"function": f"params.value == null ? '–' : d3.format('{form}')(params.value){suffix}"},
        **more,
    }


_NEAR = ("samples", "before", "after", "distance", "protocol", "tasks")
"""Columns of what is known of each client of a fleet of which all are known here; the page of one client has it of every fleet."""


def columns(several: bool, many: bool = False) -> list[dict[str, Any]]:
    """Return the table's columns; where there are ``several`` tasks one says in which each client takes part, of ``many`` clients fewer."""
    return [column for column in _columns(several) if not many or column["field"] not in _NEAR]


def _columns(several: bool) -> list[dict[str, Any]]:
    unit = " + ' ' + params.data.unit"
    part = {"field": "tasks", "headerName": "Takes part in", "minWidth": 130, "tooltipField": "tasks"}
    return [
        {
            "field": "client",
            "headerName": "Client",
            "pinned": "left",
            "width": 142,
            "flex": None,
            "cellRenderer": "Swatch",
            "tooltipField": "client",
        },
        {"field": "state", "headerName": "State", "cellRenderer": "State", "minWidth": 110},
        *([part] if several else []),
        {"field": "group", "headerName": "Group", "minWidth": 90, "tooltipField": "group"},
        {"field": "version", "headerName": "Release", "minWidth": 80},
        {"field": "sensors", "headerName": "Sensors", "minWidth": 90},
        {"field": "seen", "headerName": "Last seen", "minWidth": 84, "sortable": False},
        _number("round", "Last round", form="d", minWidth=66),
        _number("samples", "Samples", form=",d", minWidth=86),
        _number("before", "Loss before"),
        _number("after", "Loss after"),
        _number("error", "Test error", unit, headerTooltip="On readings that came since the round before, with the model it was sent"),
        _number("baseline", "Baseline", unit, minWidth=88, headerTooltip="What the test error is to beat"),
        {
            "field": "in_use",
            "headerName": "Goes by",
            "minWidth": 88,
            "headerTooltip": "Which model does best at its site, and is used there",
        },
        _number("distance", "Distance", minWidth=88, headerTooltip="Of its last update from the new global model"),
        _number("protocol", "Contract", form="d", minWidth=88, headerTooltip="Version of the contract that it speaks"),
        {"field": "remark", "headerName": "Remark", "flex": 3, "minWidth": 120, "tooltipField": "remark"},
    ]


def table() -> Any:
    """Return the empty table."""
    return dag.AgGrid(
        id="fleet",
        columnDefs=columns(several=False),
        rowData=[],
        getRowId="params.data.client",
        defaultColDef={"flex": 1, "minWidth": 78, "resizable": True, "suppressMovable": True, "wrapHeaderText": True},
        dashGridOptions={
            "theme": {"function": _THEME},
            "animateRows": False,
            "suppressCellFocus": True,
            "localeText": {"noRowsToShow": "No client has been seen yet"},
            "tooltipShowDelay": 300,
        },
        style=height(0),
    )


def height(rows: int) -> dict[str, str]:
    """Return the table's style: as high as its rows, up to where it scrolls."""
    return {"height": f"{42 + _ROW_PX * min(max(rows, 2), _MAX_ROWS) + 16}px", "width": "100%"}


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
