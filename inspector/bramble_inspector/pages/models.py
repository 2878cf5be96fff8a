"""Models: the versions of the global model that are kept, what each is worth at which site, and what can be done with them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import Output, dcc, get_relative_path, html

from bramble.api import JSON, ServerError
from bramble_inspector import parts, sentences, words
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import models as figures
from bramble_inspector.figures import style
from bramble_inspector.figures.metric import Metric
from bramble_inspector.library import Library, Shelf
from bramble_inspector.live import Answer, Page
from bramble_inspector.panels import Panel
from bramble_inspector.tables import number as short
from bramble_inspector.tables import table
from bramble_protocol.printable import printable

NONE: style.Figure = {"data": [], "layout": {}}
KINDS = {"npz": "NumPy (.npz)", "bin": "raw float32 (.bin)", "json": "JSON"}
"""What a model's weights can be had as."""
SITES = 200
"""Rows of the table of sites."""


def page(library: Library) -> Page:
    """Return the page, of what a library knows."""
    panels = (
        Panel("weights", ("status",), ("at",), lambda s, p: _weights(library, s, p["at"]), lambda s, p: _no_weights(library, s, p["at"])),
        Panel("sites", ("status",), ("at",), lambda s, p: figures.sites(_found(library.look(s), s, p["at"])), lambda s, p: _NO_SITES),
        Panel(
            "matrix", ("status",), (), lambda s, p: figures.matrix(library.look(s).latest(), Metric(s.manifest).title), lambda s, p: _NO_TRY
        ),
    )

    def refresh(answer: Answer, snapshot: Snapshot, picks: JSON) -> None:
        shelf, number = library.look(snapshot), picks["at"]
        news = [shelf.mark, shelf.said, snapshot.changed["status"], number]
        answer.put("cards", news, lambda: _cards(shelf, snapshot))
        answer.put("said", news, lambda: _said(shelf, snapshot, number))
        answer.put("versions", news, lambda: _versions(shelf, snapshot))
        answer.put("table", news, lambda: _sites(shelf, snapshot, number))
        for panel in panels:
            answer.plot(panel, snapshot, picks)

    outputs = {name: Output(f"models-{name}", "children") for name in ("cards", "said", "versions", "table")}
    return Page("models", "Models", "/models", layout, refresh, outputs, {"at": "models-at"}, panels, template="/models/<number>")


_NO_SITES = "Nobody has measured yet what this model is worth where: the round after a model does, and “Try the newest models”."
_NO_TRY = (
    "No model has been tried at its sites yet. Press “Try the newest models”, or `bramble evaluate`: clients test them and do not train."
)


def layout(number: str | None = None, task: str | None = None, **_: str) -> list[Any]:
    """Return the page; with ``number`` that model comes first."""
    one = [
        html.Div(id="models-said"),
        html.Div([*_acts(), *_downloads(number or "", task)], className="acts"),
        parts.plot("weights", "Weights", "which part of each tensor's weights lies where; tensors of fewer than 8 are left out"),
    ]
    tried = [dmc.Button("Try the newest models", id="models-evaluate", size="xs", variant="light", className="needs-operate")]
    return [
        dcc.Store(id="models-at", data=number),
        _confirm(),
        html.Div(id="models-cards", className="cards"),
        html.Div(one, className="one", style={} if number else parts.HIDDEN),
        parts.panel("Versions", "the newest first; the error is on readings that came after the model", html.Div(id="models-versions")),
        html.Div(
            [
                parts.plot("sites", "Sites", "where the model beats the baseline, and where not; the worst first"),
                parts.plot("matrix", "Sites and models", "a row's models were tried on the same readings", tried),
            ],
            className="grid",
        ),
        parts.panel("Sites in numbers", "the worst first", html.Div(id="models-table")),
        words.explain("champion", "baseline", "test error"),
    ]


def _acts() -> list[Any]:
    return [
        dmc.Button("Pin it", id="models-pin", size="xs", className="needs-admin"),
        dmc.Button("Unpin", id="models-unpin", size="xs", variant="light", className="needs-admin"),
        dmc.Button("Roll back to it", id="models-back", size="xs", variant="subtle", color="red", className="needs-admin"),
    ]


def _downloads(number: str, task: str | None) -> list[Any]:
    if not number.isdigit():
        return []
    asked = f"?{urlencode({'task': task})}" if task else ""
    where = {kind: get_relative_path(f"/model/{number}.{kind}") + asked for kind in KINDS}  # type: ignore[no-untyped-call]
    links = [html.A(text, href=where[kind], download=f"model-{number}.{kind}") for kind, text in KINDS.items()]
    return [html.Span(["Download: ", *(part for link in links for part in (link, " "))], className="hint"),
            html.Span(parts.rich(f"or with its graph: `bramble model export {number}`"), className="hint")]  # fmt: skip


def _confirm() -> Any:
    text = "Its weights become the global model again, as a new version; nothing is deleted. The next round goes on from them."
    buttons = [
        dmc.Button("Cancel", id="models-back-cancel", variant="default"),
        dmc.Button("Roll back", id="models-back-confirm", color="red"),
    ]
    content = [dmc.Text(text, size="sm"), dmc.Group(buttons, justify="flex-end", mt="lg")]
    return dmc.Modal(
        content,
        id="models-modal",
        title="Roll back to this model?",
        opened=False,
        centered=True,
        closeButtonProps=parts.aria(label="Close"),
    )


def at(number: str | None) -> int | None:
    """Return the round that an address names, if it can be one."""
    return int(number) if number and number.isascii() and number.isdigit() and len(number) < 16 else None


def _found(shelf: Shelf, snapshot: Snapshot, number: str | None) -> dict[str, JSON]:
    """Return what a model is worth at each site: as its clients last tried it, or of the newest as the round after it found."""
    chosen = at(number) if number else max(shelf.models, default=None)
    tried = {client: models[chosen] for client, models in shelf.latest().items() if chosen in models} if chosen is not None else {}
    after = next((entry for entry in snapshot.committed if entry["round"] > (chosen or 0) and not entry.get("rollback_of")), None)
    if number is None and not tried:
        after = snapshot.committed[-1] if snapshot.committed else None
    metric = Metric(snapshot.manifest)
    measured = {
        client: {
            "error": metric.value(part.get("test_error")), "baseline": metric.value(part.get("test_baseline")),
            "samples": part.get("test_samples"),
        }
        for client, part in (after or {}).get("clients", {}).items()
        if part.get("test_error") is not None
    }  # fmt: skip
    return {**measured, **tried}


def _cards(shelf: Shelf, snapshot: Snapshot) -> list[Any]:
    if shelf.said:
        return [parts.empty(shelf.said)]
    if not shelf.models:
        return [parts.empty("Only the initial model yet. A round makes the next: press Start round, or `bramble round start`.")]
    newest = max(shelf.models)
    champion = next((one for one in shelf.models.values() if one.get("champion")), None)
    use = _in_use(snapshot)
    used = ", ".join(f"{sentences.plural(count, 'client')} by {model}" for model, count in use.items()) or "clients have not said"
    lines = [
        parts.line(_worth(champion, snapshot) if champion else "a model is one as soon as a round has tested it", "models-champion-line")
    ]
    return [
        parts.card("champion", "Champion", f"round {champion['round']}" if champion else "none yet", lines),
        parts.card("newest", "Newest", f"round {newest}", [parts.line(_worth(shelf.models[newest], snapshot), "models-newest-line")]),
        parts.card("kept", "Kept", str(len(shelf.models)), [parts.line("versions that one can go back to", "models-kept-line")]),
        parts.card("used", "In use", str(sum(use.values())) if use else "–", [parts.line(used, "models-used-line")]),
    ]  # fmt: skip


def _in_use(snapshot: Snapshot) -> dict[str, int]:
    return next((dict(one.get("in_use") or {}) for one in snapshot.status.get("tasks", ()) if one["task"] == snapshot.task), {})


def _worth(model: JSON, snapshot: Snapshot) -> str:
    held = model.get("held_out")
    if not held:
        return "not tested yet: the next round does"
    unit, base = held["unit"], held["baseline"]
    against = f", {Metric(snapshot.manifest).short_baseline} {base:.3g} {unit}" if base is not None else ""
    return f"{held['metric']} {held['error']:.3g} {unit}{against}"


def _said(shelf: Shelf, snapshot: Snapshot, number: str | None) -> Any:
    if not number:
        return None
    model = shelf.models.get(at(number) or 0)
    if model is None:
        known = f"kept are {sentences.several([str(one) for one in reversed(shelf.models)], 12)}" if shelf.models else "none is kept yet"
        text = f"The model of round {printable(number)[:20]} is not kept: {known}."
        return dmc.Alert(text, title="No such model", color="yellow", variant="light")
    made = f"averaged from {sentences.plural(model['updates'], 'update')} at {sentences.moment(model['ended'])}"
    if model.get("rollback_of"):
        made = f"the one of round {model['rollback_of']} again, since {sentences.moment(model['ended'])}"
    text = f"It is {made}; {_worth(model, snapshot)}.{_marks(model) and f' It is the {_marks(model)}.'}"
    return dmc.Alert(text, title=f"The model of round {model['round']}", color="gray", variant="light")


def _marks(model: JSON) -> str:
    return ", ".join(word for word in ("champion", "pinned") if model.get(word))


def _versions(shelf: Shelf, snapshot: Snapshot) -> Any:
    if not shelf.models:
        return None
    rows = []
    for model in reversed(shelf.models.values()):
        held, how = model.get("held_out") or {}, model.get("strategy")
        rows.append(
            [
                parts.link(str(model["round"]), f"/models/{model['round']}", snapshot.task if snapshot.several else None),
                sentences.moment(model["ended"]),
                f"round {model['rollback_of']} again" if model.get("rollback_of") else sentences.chosen(how) if how else "–",
                model.get("updates", "–"), short(held.get("error")), short(held.get("baseline")), held.get("samples") or "–",
                _marks(model) + (f" worse in {sentences.plural(model['worse'], 'round')}" if model.get("worse") else ""),
            ]
        )  # fmt: skip
    return table("models", ["Round", "Made", "By", "Updates", Metric(snapshot.manifest).title, "Baseline", "Tested on", "Remarks"], rows)


def _sites(shelf: Shelf, snapshot: Snapshot, number: str | None) -> Any:
    found = _found(shelf, snapshot, number)
    ranked = list(figures.gains(found).items())
    if not ranked:
        return parts.empty(_NO_SITES)
    rows = []
    for site, gain in ranked[:SITES]:
        where = parts.link(site, f"/client/{site}", snapshot.task if snapshot.several else None)
        rows.append([where, short(found[site]["error"]), short(found[site]["baseline"]), f"{gain:+.1%}", found[site]["samples"]])
    return table("sites", ["Site", Metric(snapshot.manifest).title, "Baseline", "Below the baseline by", "Readings"], rows)


def _weights(library: Library, snapshot: Snapshot, number: str | None) -> style.Figure:
    chosen = at(number)
    if chosen not in library.look(snapshot).models or chosen is None:
        return NONE
    try:
        return figures.weights(library.histograms(snapshot, chosen), chosen)
    except ServerError:
        return NONE


def _no_weights(library: Library, snapshot: Snapshot, number: str | None) -> str:
    if not number:
        return ""
    kept = at(number) in library.look(snapshot).models
    return "The server did not send this model's weights; the page asks again as soon as anything is new." if kept else "It is not kept."
