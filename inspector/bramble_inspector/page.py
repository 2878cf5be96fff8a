"""The page's skeleton: everything that is on it before the first answer of the server."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import dcc, html

from bramble_inspector import client_table, login
from bramble_inspector.figures import divergence

SPANS = {"last 100": 100, "last 500": 500, "all": None}
"""How many of the task's steps the streams show."""
HIDDEN = {"display": "none"}
_MEASURES = [{"value": key, "label": key.replace("_", " ")} for key in divergence.MEASURES]
_GONE = "The process that serves this page does not answer. This page goes on by itself as soon as it does."
_PLOT: Any = {
    "displaylogo": False,
    # Plotly offers by default to upload a chart to its makers' cloud; a fleet's readings are not theirs
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "modeBarButtonsToRemove": ["sendChartToCloud", "select2d", "lasso2d", "toImage", "autoScale2d"],
}
THEME = {
    "primaryColor": "pink",
    "primaryShade": 8,
    "defaultRadius": "md",
    "fontFamily": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif",
    "headings": {"fontFamily": "inherit"},
}


def layout(server: str, interval: float) -> Any:
    """Return the whole page, for the server at that address and one look every ``interval`` seconds."""
    return dmc.MantineProvider(
        [
            dcc.Interval(id="tick", interval=round(interval * 1000)),
            dcc.Location(id="url", refresh=False),
            dcc.Store(id="ask"),
            dcc.Store(id="drawn", data={}),
            dmc.NotificationContainer(id="toast", position="bottom-right", autoClose=6000),
            _confirm(),
            html.Header(_bar(server), className=f"bar {login.closed()}"),
            html.Main(
                [
                    html.Div(dmc.Alert(_GONE, title="The inspector is out of reach", color="red"), id="gone", className="gone"),
                    html.Div(id="alert", role="alert"),
                    html.Div(id="summary", className="cards"),
                    html.Div(dmc.ChipGroup(id="focus", multiple=True, value=[]), className="focus", id="focus-strip"),
                    html.Div(_panels(), className="grid", id="panels"),
                ]
            ),
        ],
        theme=THEME,
        defaultColorScheme="auto",
    )


def _bar(server: str) -> list[Any]:
    return [
        html.Div(
            [html.Img(src="assets/bramble.svg", alt="", width=26, height=26), html.H1("Bramble"), html.Span(server, className="server")],
            className="brand",
        ),
        html.Div(_chooser(), id="chooser", style=HIDDEN),
        html.Div(id="badges", className="badges"),
        html.Div(
            [
                dmc.Button("Start round", id="start", size="sm", className="needs-operate"),
                html.Div(
                    [
                        dmc.Button("Generate", id="generate", size="sm", variant="light"),
                        dmc.NumberInput(
                            id="count", value=168, min=1, max=10_000, step=24, size="sm", w=138, suffix=" readings",
                            allowDecimal=False, allowNegative=False, **{"aria-label": "Readings to generate"},
                        ),
                    ],
                    className="generate needs-operate",
                ),
                dmc.Button("Reset", id="reset", size="sm", variant="subtle", color="red", className="needs-admin"),
            ],
            className="actions",
        ),
        *login.corner(),
    ]  # fmt: skip


def _chooser() -> Any:
    return dmc.Select(
        id="task", data=[], value=None, size="sm", w=210, allowDeselect=False, leftSection=html.Span("task", className="hint"),
        leftSectionWidth=46, **{"aria-label": "Task"},
    )  # fmt: skip


def _confirm() -> Any:
    return dmc.Modal(
        [
            dmc.Text("The server forgets its readings, rounds and model and starts again from the initial one. "
                     "Every connected client forgets its data and model too. There is no way back.", size="sm"),
            dmc.Text(id="reset-one", size="sm", mt="sm"),
            dmc.Group(
                [
                    dmc.Button("Cancel", id="reset-cancel", variant="default"),
                    dmc.Button("Reset the task", id="reset-task", color="red", variant="light", style=HIDDEN),
                    dmc.Button("Reset everything", id="reset-confirm", color="red"),
                ],
                justify="flex-end", mt="lg",
            ),
        ],
        id="reset-modal", title="Reset the whole fleet?", opened=False, centered=True,
    )  # fmt: skip


def _panels() -> list[Any]:
    return [
        _panel("streams", "Readings", "all clients on one time axis", [_pick("channel", [], None), _pick("span", list(SPANS), "last 500")]),
        _panel("error", "Test error", "on readings nobody has trained on yet; dashed: baseline"),
        _panel("forecast", "Forecast against measurement", "newest readings; dotted: the model's forecast"),
        _panel("loss", "Training loss", "thick: all clients", [_pick("when", ["before", "after"], "before")]),
        _panel("divergence", "Divergence", "from the global model", [_pick("measure", _MEASURES, "distance")]),
        dmc.Paper([html.H2("Fleet"), client_table.table()], className="panel fleet", withBorder=True),
    ]


def _panel(name: str, title: str, hint: str, controls: list[Any] | None = None) -> Any:
    plot = dcc.Graph(
        id=name,
        figure={"data": [], "layout": {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"}},
        config=_PLOT,
        responsive=True,
        className="plot",
    )
    head = [html.Div([html.H2(title), html.Span(hint, className="hint")]), html.Div(controls, className="controls")]
    box = html.Div([plot, html.Div(id=f"{name}-note", className="note")], className="plot-box", id=f"{name}-box")
    return dmc.Paper([html.Div(head, className="panel-head"), box], className=f"panel {name}", withBorder=True)


def _pick(name: str, data: list[Any], value: str | None) -> Any:
    return dmc.SegmentedControl(id=name, data=data, value=value, size="xs")
