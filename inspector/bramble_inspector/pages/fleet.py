"""Fleet: how it stands, and each client in one row."""

from __future__ import annotations

from typing import Any

from dash import Output, html

from bramble.api import JSON
from bramble_inspector import client_table, header, parts
from bramble_inspector.feed import Snapshot
from bramble_inspector.live import Answer, Page


def layout(**_: str) -> list[Any]:
    """Return the page."""
    return [
        html.Div(id="summary", className="cards"),
        parts.panel("Clients", "everybody whom the server has ever seen", client_table.table(), name="fleet-table"),
    ]


def refresh(answer: Answer, snapshot: Snapshot, picks: JSON) -> None:
    """Show what is new."""
    changed = snapshot.changed
    answer.put("summary", [changed[part] for part in ("status", "rounds", "readings")], lambda: header.summary(snapshot))
    answer.put("columns", snapshot.several, lambda: client_table.columns(snapshot.several))
    answer.put("rows", client_table.mark(snapshot), lambda: client_table.rows(snapshot))
    count = len(snapshot.order) + len(snapshot.never_seen)
    answer.put("table_style", count, lambda: client_table.height(count))


PAGE = Page(
    "fleet", "Fleet", "/", layout, refresh,
    {
        "summary": Output("summary", "children"),
        "columns": Output("fleet", "columnDefs"),
        "rows": Output("fleet", "rowData"),
        "table_style": Output("fleet", "style"),
    },
)  # fmt: skip
