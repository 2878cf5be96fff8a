"""Keeps the page up to date: one callback for everything on it that changes by itself or with what the reader picks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import ClientsideFunction, Dash, Input, Output, Patch, State, html, no_update

from bramble.api import JSON
from bramble_inspector import client_table, header, sentences
from bramble_inspector.feed import Feeds, Snapshot
from bramble_inspector.figures import divergence, forecast, style
from bramble_inspector.page import HIDDEN, SPANS
from bramble_inspector.panels import PANELS, Choice, candidates
from bramble_inspector.series import FORECAST

FIRST: JSON = {"focus": [], "channel": None, "span": "last 500", "when": "before", "measure": next(iter(divergence.MEASURES))}
"""What a page that was just opened has picked."""


LONGEST_NAME = 32
"""Characters of a client's name on what it is picked by, which is to fit on a phone."""


def register(app: Dash, feeds: Feeds, server: str) -> Callable[[], str | None]:
    """Refresh the page of ``app`` from ``feeds``, which look at the server at that address.

    Returns
    -------
    Callable
        Draws all that a page shows which was just opened; returns why it would show nothing new, or None. Raises what drawing raises.
    """
    outputs = {
        "drawn": Output("drawn", "data"),
        "alert": Output("alert", "children"),
        "badges": Output("badges", "children"),
        "summary": Output("summary", "children"),
        "chooser": [Output("task", "data"), Output("task", "value"), Output("chooser", "style")],
        "resets": [Output("reset-one", "children"), Output("reset-task", "children"), Output("reset-task", "style")],
        "chips": Output("focus", "children"),
        "channels": Output("channel", "data"),
        "channel": Output("channel", "value"),
        "disabled": [Output(button, "disabled") for button in ("start", "reset", "generate")],
        "figures": {panel.name: Output(panel.name, "figure") for panel in PANELS},
        "notes": {panel.name: Output(f"{panel.name}-note", "children") for panel in PANELS},
        "forecast_style": Output("forecast-box", "style"),
        "columns": Output("fleet", "columnDefs"),
        "rows": Output("fleet", "rowData"),
        "table_style": Output("fleet", "style"),
        "grid": Output("panels", "className"),
    }
    picks = {name: Input(name, "value") for name in ("focus", "channel", "span", "when", "measure")}

    # The browser asks again only after an answer: a slow server slows the page down, and requests never pile up. (The
    # callback's own `running` would stop the clock for good if this process went away in the middle of one.)
    app.clientside_callback(  # type: ignore[no-untyped-call]
        ClientsideFunction("inspector", "next"),
        Output("ask", "data"),
        Output("gone", "className"),
        Input("tick", "n_intervals"),
        State("ask", "data"),
        State("drawn", "data"),
    )

    @app.callback(Output("url", "search"), Input("task", "value"), State("drawn", "data"), prevent_initial_call=True)
    def choose(task: str | None, drawn: JSON) -> Any:
        """Have the page's address name the task, so that a link to it leads to the same."""
        return no_update if task in (None, drawn.get("task")) else f"?{urlencode({'task': task})}"

    inputs = {"ask": Input("ask", "data"), "search": Input("url", "search"), "picks": picks, "drawn": State("drawn", "data")}

    @app.callback(output=outputs, inputs=inputs)
    def refresh(ask: int | None, search: str | None, picks: JSON, drawn: JSON) -> JSON:
        snapshot = feeds.look(next(iter(parse_qs((search or "").removeprefix("?")).get("task", [])), None))
        answer: JSON = {name: _hold(output) for name, output in outputs.items()}
        channels = _channels(snapshot)
        new: JSON = {"answered": ask, "task": snapshot.task, "tasks": snapshot.tasks}
        kept = picks["channel"] in channels and drawn.get("task") in (None, snapshot.task)
        channel = picks["channel"] if kept else _default_channel(snapshot, channels)
        choice = Choice(tuple(picks["focus"] or ()), channel or "", SPANS[picks["span"]], picks["when"], picks["measure"], server)
        if (new["task"], new["tasks"]) != (drawn.get("task"), drawn.get("tasks")):
            answer |= _of_task(snapshot)
        new["header"] = f"{snapshot.changed['status']} {snapshot.changed['rounds']} {snapshot.changed['readings']}"
        if new["header"] != drawn.get("header"):
            answer["alert"], answer["badges"], answer["summary"] = header.alert(snapshot), header.badges(snapshot), header.summary(snapshot)
            down = snapshot.down is not None
            answer["disabled"] = [down, down, down or snapshot.private]
            answer["grid"] = " ".join(["grid", *["stale"] * down, *["private"] * snapshot.private])
        new["channels"] = channels
        if channels != drawn.get("channels") or channel != picks["channel"]:
            answer["channels"] = [{"value": key, "label": f"{key} ({unit})"} for key, unit in channels.items()]
            answer["channel"] = channel
        new["chips"] = candidates(snapshot)
        if new["chips"] != drawn.get("chips"):
            answer["chips"] = _chips(snapshot)
        new["fleet"] = client_table.mark(snapshot)
        if new["fleet"] != drawn.get("fleet"):
            answer["rows"] = client_table.rows(snapshot)
            answer["table_style"] = client_table.height(len(answer["rows"]))
        for panel in PANELS:
            mark, (old_mark, empty, view) = panel.mark(snapshot, choice), drawn.get(panel.name, ["", True, None])
            if mark != old_mark:
                figure = panel.figure(snapshot, choice)
                same_view = view is not None and view == figure["layout"].get("uirevision")
                empty, view = not figure["data"], figure["layout"].get("uirevision")
                answer["figures"][panel.name] = _new_data(figure) if same_view else figure
            new[panel.name] = [mark, empty, view]
            answer["notes"][panel.name] = header.rich(panel.empty(snapshot, choice)) if empty else None
        shown = max(1, len(forecast.rows(snapshot, choice.clients(snapshot))))
        answer["forecast_style"] = {"minHeight": f"{forecast.FRAME_PX + forecast.ROW_PX * shown}px"}
        answer["drawn"] = new
        return answer

    def drawn() -> str | None:
        refresh(None, None, FIRST, {})
        return feeds.look().down

    return drawn


def _of_task(snapshot: Snapshot) -> JSON:
    """Return what depends on which tasks there are, and which of them is shown; nothing says so while there is one alone."""
    if not snapshot.several:
        return {"chooser": [[], None, HIDDEN], "resets": [None, "", HIDDEN], "columns": client_table.columns(several=False)}
    one = f"Or only task {snapshot.task} begins anew: its rounds and its model are forgotten, readings and the other tasks stay."
    return {
        "chooser": [snapshot.tasks, snapshot.task, {}],
        "resets": [one, f"Reset {snapshot.task} alone", {}],
        "columns": client_table.columns(several=True),
    }


def _hold(output: Any) -> Any:
    """Return ``no_update`` in the shape of an output."""
    if isinstance(output, dict):
        return dict.fromkeys(output, no_update)
    return [no_update] * len(output) if isinstance(output, list) else no_update


def _new_data(figure: style.Figure) -> Patch:
    """Return what is new in a figure whose axes stay as the reader left them.

    The browser keeps a zoom in the figure's layout, so a whole new figure would undo it.
    """
    patch = Patch()
    patch["data"] = figure["data"]
    for key in ("annotations", "hovermode"):
        if key in figure["layout"]:
            patch["layout"][key] = figure["layout"][key]
    return patch


def _channels(snapshot: Snapshot) -> dict[str, str]:
    """Return the channels that can be shown with their units: the task's first, then whatever else came in."""
    if snapshot.private:
        return {}
    channels = {channel["key"]: channel["unit"] for channel in snapshot.manifest.get("channels", [])}
    for columns in snapshot.readings.values():
        for key, column in columns.items():
            if not key.endswith(FORECAST):
                channels.setdefault(key, column.unit)
    return channels


def _default_channel(snapshot: Snapshot, channels: dict[str, str]) -> str | None:
    target = snapshot.manifest.get("target")
    return target if target in channels else next(iter(channels), None)


def _chips(snapshot: Snapshot) -> Any:
    shown = candidates(snapshot)
    chips = [
        dmc.Chip(
            [
                html.I(className="dot", style={"background": style.colour(snapshot.order, client)}),
                html.Span(sentences.short(client, LONGEST_NAME), title=client),
            ],
            value=client, size="xs", variant="outline", color=style.colour(snapshot.order, client),
        )
        for client in shown
    ]  # fmt: skip
    hidden = len(snapshot.order) - len(shown)
    hint = f"{len(shown)} of {len(snapshot.order)} clients are drawn" if hidden else "Pick clients to see only them"
    # before them: of many not all are in sight
    return [html.Span(hint, className="hint"), *chips] if shown else []
