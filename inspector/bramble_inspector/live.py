"""Keeps pages up to date: each by one callback, which sends only those parts whose mark has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from dash import ClientsideFunction, Dash, Input, Output, Patch, State, dcc, html, no_update

from bramble.api import JSON
from bramble_inspector import parts
from bramble_inspector.feed import Feeds, Snapshot
from bramble_inspector.panels import Panel

ADDRESS = "_pages_location"
"""The ``dcc.Location`` that Dash Pages goes by."""


class Answer:
    """What one refresh changes on a page. A part whose mark is the one that the page has already is not even made.

    Parameters
    ----------
    outputs
        The page's outputs by name, to be held where nothing is put.
    drawn
        What the page was told last: the marks of its parts.
    """

    def __init__(self, outputs: Mapping[str, Any], drawn: JSON) -> None:
        self.values: JSON = {name: _hold(output) for name, output in outputs.items()}
        self.marks: JSON = {}
        self._old: JSON = drawn.get("marks") or {}

    def put(self, name: str, mark: Any, make: Callable[[], Any]) -> None:
        """Show what ``make`` returns, if ``mark`` (anything that JSON can hold) is another than the last."""
        self.marks[name] = mark
        if self._old.get(name) != mark or name not in self._old:
            self.values[name] = make()

    def note(self, name: str, mark: Any) -> None:
        """Remember something for the next refresh, which :meth:`was` returns then."""
        self.marks[name] = mark

    def was(self, name: str) -> Any:
        """Return the mark of a part that the page has, or what was noted; None if there is none."""
        return self._old.get(name)

    def plot(self, panel: Panel, snapshot: Snapshot, picks: JSON) -> None:
        """Draw a panel anew where what it depends on has changed. A reader's zoom stays as long as the figure's ``uirevision`` does."""
        mark, (old, view) = panel.mark(snapshot, picks), self._old.get(panel.name) or ("", None)
        if mark == old:
            self.marks[panel.name] = [old, view]
            return
        figure = panel.figure(snapshot, picks)
        new = figure["layout"].get("uirevision")
        self.values[panel.name] = _new_data(figure) if new is not None and new == view else figure
        self.values[f"{panel.name}-note"] = None if figure["data"] else parts.rich(panel.empty(snapshot, picks))
        self.marks[panel.name] = [mark, new]


Refresh = Callable[[Answer, Snapshot, JSON], None]


@dataclass(frozen=True)
class Page:
    """One page.

    Parameters
    ----------
    name
        What it is called in ids; a lower-case word.
    title
        What it is called in the navigation and in the browser's tab.
    path
        Its address. With ``template`` such as ``/rounds/<number>`` also those; what stands there is passed to ``layout`` by name.
    layout
        Its skeleton; called with what the address says, path and query, as strings.
    refresh
        Puts what is new into an answer; called with the snapshot and what the reader has picked.
    outputs
        What ``refresh`` may put: a name for each Dash output.
    picks
        What the reader can pick: a name for each component's id, whose ``value`` it is; or, where the id ends in ``-at``, the ``data`` of
        a ``dcc.Store``.
    panels
        Plots on it.
    listed
        Whether the navigation has it.
    """

    name: str
    title: str
    path: str
    layout: Callable[..., list[Any]]
    refresh: Refresh
    outputs: Mapping[str, Any] = field(default_factory=dict)
    picks: Mapping[str, str] = field(default_factory=dict)
    panels: Sequence[Panel] = ()
    template: str | None = None
    listed: bool = True

    def all_outputs(self) -> JSON:
        """Return its outputs, those of its plots too."""
        figures = {panel.name: Output(panel.name, "figure") for panel in self.panels}
        return {**self.outputs, **figures, **{f"{panel.name}-note": Output(f"{panel.name}-note", "children") for panel in self.panels}}

    def kept(self) -> dict[str, str]:
        """Return the picks that its address says, under their names; what is in a store was said by the address."""
        return {name: part for name, part in self.picks.items() if not part.endswith("-at")}

    def skeleton(self, **address: Any) -> Any:
        """Return what is on it before anything is known, for an address; repeated words of a query count once."""
        said = {name: value[-1] if isinstance(value, list) else value for name, value in address.items()}
        names = dcc.Store(id={"names": self.name}, data=list(self.kept()))
        return html.Div(
            [dcc.Store(id={"drawn": self.name}, data={}), dcc.Store(id={"kept": self.name}), names, *self.layout(**said)],
            className=f"page {self.name}",
        )


def task_of(search: str | None) -> str | None:
    """Return the task that an address names."""
    return next(iter(parse_qs((search or "").removeprefix("?")).get("task", [])), None)


def register(app: Dash, feeds: Feeds, page: Page) -> Callable[[Snapshot], None]:
    """Keep one page up to date, and its address in step with what is picked on it.

    Returns
    -------
    Callable
        Draws all of the page that was just opened, from a snapshot; raises what drawing raises.
    """
    outputs = page.all_outputs()
    picks = {name: Input(part, "value" if name in page.kept() else "data") for name, part in page.picks.items()}

    @app.callback(
        output={"drawn": Output({"drawn": page.name}, "data"), "answer": outputs},
        inputs={
            "ask": Input("ask", "data"), "picks": picks, "search": State(ADDRESS, "search"), "drawn": State({"drawn": page.name}, "data"),
        },
    )  # fmt: skip
    def refresh(ask: int | None, picks: JSON, search: str | None, drawn: JSON) -> JSON:
        answer = Answer(outputs, drawn or {})
        page.refresh(answer, feeds.look(task_of(search)), picks)
        return {"drawn": {"answered": ask, "marks": answer.marks}, "answer": answer.values}

    if page.kept():
        # So that an address leads to what is seen; no entry of the history for each click, and nothing is loaded anew
        app.clientside_callback(  # type: ignore[no-untyped-call]
            ClientsideFunction("inspector", "keep"),
            Output({"kept": page.name}, "data"),
            [Input(part, "value") for part in page.kept().values()],
            State({"names": page.name}, "data"),
            prevent_initial_call=True,
        )
    return lambda snapshot: page.refresh(Answer(outputs, {}), snapshot, dict.fromkeys(page.picks))


def _hold(output: Any) -> Any:
    """Return ``no_update`` in the shape of an output."""
    if isinstance(output, dict):
        return dict.fromkeys(output, no_update)
    return [no_update] * len(output) if isinstance(output, list) else no_update


def _new_data(figure: JSON) -> Patch:
    """Return what is new in a figure whose axes stay as the reader left them.

    The browser keeps a zoom in the figure's layout, so a whole new figure would undo it.
    """
    patch = Patch()
    patch["data"] = figure["data"]
    for key in ("annotations", "hovermode"):
        if key in figure["layout"]:
            patch["layout"][key] = figure["layout"][key]
    return patch
