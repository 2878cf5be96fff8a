"""What pages are made of: a plot in its frame, a control, a card, an empty state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import dcc, get_relative_path, html

_PLOT: Any = {
    "displaylogo": False,
    # Plotly offers by default to upload a chart to its makers' cloud; a fleet's readings are not theirs
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "modeBarButtonsToRemove": ["sendChartToCloud", "select2d", "lasso2d", "toImage", "autoScale2d"],
}
HIDDEN = {"display": "none"}


def plot(name: str, title: str, hint: str, controls: Sequence[Any] = ()) -> Any:
    """Return the frame of the panel called ``name`` in ``panels.py``: its title, controls, figure, and what it says while it is empty."""
    graph = dcc.Graph(
        id=name,
        figure={"data": [], "layout": {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"}},
        config=_PLOT,
        responsive=True,
        className="plot",
    )
    box = html.Div([graph, html.Div(id=f"{name}-note", className="note")], className="plot-box", id=f"{name}-box")
    return panel(title, hint, box, controls, name)


def panel(title: str, hint: str, content: Any, controls: Sequence[Any] = (), name: str = "") -> Any:
    """Return anything in a frame with a title, a few words on what it is, and controls."""
    head = [html.Div([html.H2(title), html.Span(hint, className="hint")]), html.Div(list(controls), className="controls")]
    return dmc.Paper([html.Div(head, className="panel-head"), content], className=f"panel {name}", withBorder=True)


def pick(name: str, data: Sequence[Any], value: str | None, label: str) -> Any:
    """Return a control of which one value is picked; ``label`` is what it is called where it is read out."""
    return dmc.SegmentedControl(id=name, data=list(data), value=value, size="xs", **aria(label=label))


def card(name: str, title: str, value: str, lines: Sequence[Any] = ()) -> Any:
    """Return one figure that can be read from afar, with lines below it."""
    return dmc.Paper(
        [html.Div(title, className="card-title"), html.Div(value, className="card-value", id=f"card-{name}"), *lines],
        className="card",
        withBorder=True,
    )


def line(text: str, name: str) -> Any:
    """Return a line of a card."""
    return html.Div(text, className="card-line", title=text, id=name)


def rich(text: str) -> Any:
    """Return a sentence with what stands between backticks as code."""
    return html.Span([html.Code(part) if odd % 2 else part for odd, part in enumerate(text.split("`"))])


def empty(text: str) -> Any:
    """Return what stands where there is nothing to show yet: why, and what to do next."""
    return html.Div(rich(text), className="empty")


def address(path: str, task: str | None = None, **query: str | None) -> str:
    """Return where a page of the inspector is, below the path that a proxy may offer it under, and with the task if it has to be said."""
    said = {name: value for name, value in {"task": task, **query}.items() if value}
    return str(get_relative_path(quote(path))) + (f"?{urlencode(said)}" if said else "")  # type: ignore[no-untyped-call]


def link(text: Any, path: str, task: str | None = None, className: str = "", **query: str | None) -> Any:
    """Return a link to another page, which is shown without loading anything anew."""
    return dcc.Link(text, href=address(path, task, **query), className=className)


def aria(**words: str) -> dict[str, Any]:
    """Return attributes for those who hear the page: ``aria(label="Pages")`` is ``aria-label``."""
    return {f"aria-{name}": word for name, word in words.items()}


def known(value: str | None, choices: Mapping[str, Any] | Sequence[str], default: str) -> str:
    """Return what an address says, where it is one of the choices; a stranger's link may say anything."""
    return value if value in choices else default  # type: ignore[return-value]
