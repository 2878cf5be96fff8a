"""Data: mirrored readings of all clients on one time axis, and their forecasts (evaluation mode)."""

from __future__ import annotations

from typing import Any

from dash import Output, html

from bramble.api import JSON
from bramble_inspector import client_chips, parts, sentences
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import forecast, streams
from bramble_inspector.live import Answer, Page
from bramble_inspector.panels import Panel, picked
from bramble_inspector.series import FORECAST

SPANS = {"last 100": 100, "last 500": 500, "all": None}
"""How many of the task's steps are shown."""
_SPAN = "last 500"


def layout(channel: str | None = None, span: str | None = None, focus: str | None = None, **_: str) -> list[Any]:
    """Return the page."""
    controls = [
        parts.pick("channel", [], channel, "Channel"),
        parts.pick("span", list(SPANS), parts.known(span, SPANS, _SPAN), "Time shown"),
    ]
    return [
        client_chips.strip("data-focus", focus),
        html.Div(
            [
                parts.plot("streams", "Readings", "all clients on one time axis", controls),
                parts.plot("forecast", "Forecast against measurement", "newest readings; dotted: the model's forecast"),
            ],
            className="grid",
            id="data-panels",
        ),
    ]


def refresh(answer: Answer, snapshot: Snapshot, picks: JSON) -> None:
    """Show what is new."""
    channels = _channels(snapshot)
    before = answer.was("task")
    kept = picks["channel"] in channels and before in (None, snapshot.task)
    channel = picks["channel"] if kept or not channels else _default(snapshot, channels)
    answer.note("task", snapshot.task)
    answer.put("channel", [channels, channel], lambda: [_labels(channels), channel])
    answer.put("chips", snapshot.changed["order"] + snapshot.changed["clients"], lambda: client_chips.chips(snapshot))
    picks = {**picks, "channel": channel or "", "span": picks["span"] or _SPAN}
    for panel in PANELS:
        answer.plot(panel, snapshot, picks)
    shown = max(1, len(forecast.rows(snapshot, picked(snapshot, picks["focus"]))))
    answer.put("forecast_style", shown, lambda: {"minHeight": f"{forecast.FRAME_PX + forecast.ROW_PX * shown}px"})
    answer.put("grid", snapshot.private, lambda: "grid private" if snapshot.private else "grid")


def _labels(channels: dict[str, str]) -> list[JSON]:
    return [{"value": key, "label": f"{key} ({unit})"} for key, unit in channels.items()]


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


def _default(snapshot: Snapshot, channels: dict[str, str]) -> str | None:
    target = snapshot.manifest.get("target")
    return target if target in channels else next(iter(channels), None)


PANELS = (
    Panel(
        "streams",
        ("readings", "task"),
        ("focus", "channel", "span"),
        lambda snapshot, picks: streams.figure(snapshot, picked(snapshot, picks["focus"]), picks["channel"], SPANS[picks["span"]]),
        lambda snapshot, picks: sentences.no_readings(snapshot),
    ),
    Panel(
        "forecast",
        ("readings", "rounds", "task"),
        ("focus",),
        lambda snapshot, picks: forecast.figure(snapshot, picked(snapshot, picks["focus"])),
        lambda snapshot, picks: sentences.no_forecasts(snapshot),
    ),
)
PAGE = Page(
    "data", "Data", "/data", layout, refresh,
    {
        "channel": [Output("channel", "data"), Output("channel", "value")],
        "chips": Output("data-focus", "children"),
        "forecast_style": Output("forecast-box", "style"),
        "grid": Output("data-panels", "className"),
    },
    {"focus": "data-focus", "channel": "channel", "span": "span"},
    PANELS,
)  # fmt: skip
