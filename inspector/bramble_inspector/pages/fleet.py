"""Fleet: who needs somebody, how it stands, and each client in one row."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import Output, html

from bramble.api import JSON, ServerError
from bramble_inspector import attention, client_table, header, parts
from bramble_inspector.feed import Snapshot
from bramble_inspector.live import Answer, Page

ROWS = 100
"""Rows of one page of the table."""
SORTS = {
    "attention": "most pressing first", "id": "by name", "-id": "by name, backwards", "-round": "newest round first",
    "round": "oldest round first", "-error": "largest error first", "error": "smallest error first", "version": "oldest release first",
    "-version": "newest release first", "state": "who is away first", "-state": "who trains first", "-since": "newest first",
    "since": "longest there or away first",
}  # fmt: skip
"""How the server can sort, with the words for it."""
_ALL = "everybody"


def layout(search: str = "", attention: str = _ALL, group: str = _ALL, sort: str = "id", page: str = "1", **_: str) -> list[Any]:
    """Return the page."""
    number = int(page) if page.isdecimal() and len(page) < 6 else 1
    orders = [{"value": key, "label": words} for key, words in SORTS.items()]
    controls = [
        dmc.TextInput(id="fleet-search", value=search, placeholder="Search", size="xs", w=170, debounce=300, **parts.aria(label="Search")),
        _select("attention", _needs([]), attention, "Needs"),
        _select("group", [{"value": _ALL, "label": "All groups"}], group, "Group"),
        _select("sort", orders, parts.known(sort, SORTS, "id"), "Order"),
    ]
    pages = dmc.Pagination(id="fleet-page", value=number, total=1, size="sm", withControls=False)  # arrows would have no names
    table = html.Div([client_table.table(), html.Div(id="fleet-note", className="hint"), pages])
    return [
        html.Div(id="attention", role="status"),
        html.Div(id="summary", className="cards"),
        parts.panel("Clients", "everybody whom the server has ever seen", table, controls, "fleet-table"),
    ]


def refresh(answer: Answer, snapshot: Snapshot, picks: JSON) -> None:
    """Show what is new."""
    changed, summary = snapshot.changed, snapshot.summary
    news = [changed[part] for part in ("status", "clients", "rounds", "order")]
    answer.put("attention", [changed["clients"], snapshot.task, attention.mark()], lambda: attention.listed(snapshot))
    answer.put("summary", [*news, changed["readings"]], lambda: header.summary(snapshot))
    kinds = list(summary["kinds"]) if summary else []
    answer.put("kinds", kinds, lambda: _needs(kinds))
    groups = [f"{key}={name}" for key, names in (summary["groups"] if summary else {}).items() for name in names]
    answer.put("groups", groups, lambda: _groups(groups))
    answer.put("controls", summary is None, lambda: [parts.HIDDEN if summary is None else {}] * 3)
    wanted = {name: picks[name] for name in ("search", "attention", "group", "sort", "page")}
    answer.put("rows", [client_table.mark(snapshot), wanted], lambda: _rows(snapshot, picks))


def _select(name: str, data: list[JSON], value: str, label: str) -> Any:
    return dmc.Select(id=f"fleet-{name}", data=data, value=value, size="xs", w=170, allowDeselect=False, **parts.aria(label=label))


def _needs(kinds: list[str]) -> list[JSON]:
    known = [{"value": kind, "label": kind.replace("_", " ")} for kind in kinds]
    return [{"value": _ALL, "label": "Everybody"}, {"value": "any", "label": "All that need you"}, *known]


def _groups(groups: list[str]) -> list[Any]:
    known = [{"value": one, "label": one.replace("=", " ")} for one in groups]
    return [[{"value": _ALL, "label": "All groups"}, *known], {} if groups else parts.HIDDEN]


def _rows(snapshot: Snapshot, picks: JSON) -> list[Any]:
    """Return the table, a note beneath it, and how many pages there are."""
    known = client_table.rows(snapshot)
    page, sort = picks["page"] or 1, picks["sort"] or "id"
    if snapshot.summary is None:  # of a release before 0.2, which finds and sorts nothing
        here = known[ROWS * (page - 1) : ROWS * page]
        return _paged(client_table.shown(snapshot, here, None), len(known), len(known), False)
    asked = {name: None if picks[name] in (None, "", _ALL) else picks[name] for name in ("search", "attention", "group")}
    try:
        found = snapshot.find(limit=ROWS, offset=ROWS * (page - 1), sort=sort, **asked)
    except ServerError as error:
        return [client_table.shown(snapshot, [], sort), str(error), 1, parts.HIDDEN]
    by_name = {row["client"]: row for row in known}
    rows = [client_table.merged(row, by_name.get(row["id"]), snapshot) for row in found["rows"]]
    return _paged(client_table.shown(snapshot, rows, sort), found["found"], found["total"], any(asked.values()))


def _paged(table: JSON, found: int, total: int, some: bool) -> list[Any]:
    pages = max(1, -(-found // ROWS))
    return [table, f"{found:,} of {total:,} clients" if some or pages > 1 else None, pages, {} if pages > 1 else parts.HIDDEN]


PAGE = Page(
    "fleet", "Fleet", "/", layout, refresh,
    {
        "attention": Output("attention", "children"),
        "summary": Output("summary", "children"),
        "kinds": Output("fleet-attention", "data"),
        "groups": [Output("fleet-group", "data"), Output("fleet-group", "style")],
        "controls": [Output(f"fleet-{name}", "style") for name in ("search", "attention", "sort")],
        "rows": [
            Output("fleet-shown", "data"), Output("fleet-note", "children"), Output("fleet-page", "total"), Output("fleet-page", "style"),
        ],
    },
    {"search": "fleet-search", "attention": "fleet-attention", "group": "fleet-group", "sort": "fleet-sort", "page": "fleet-page"},
)  # fmt: skip
