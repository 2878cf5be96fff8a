"""What is around every page: the bar with its buttons, the navigation, the choice of the task, and what the server has to say."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import ALL, ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update

from bramble.api import JSON
from bramble_inspector import header, login, parts
from bramble_inspector.feed import Feeds, Snapshot
from bramble_inspector.live import ADDRESS, Answer, Page, task_of

_GONE = "The process that serves this page does not answer. This page goes on by itself as soon as it does."
THEME = {
    "primaryColor": "pink",
    "primaryShade": 8,
    "defaultRadius": "md",
    "fontFamily": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif",
    "headings": {"fontFamily": "inherit"},
    "respectReducedMotion": True,
}
OUTPUTS = {
    "alert": Output("alert", "children"),
    "badges": Output("badges", "children"),
    "chooser": [Output("task", "data"), Output("task", "value"), Output("chooser", "style")],
    "resets": [Output("reset-one", "children"), Output("reset-task", "children"), Output("reset-task", "style")],
    "disabled": [Output(button, "disabled") for button in ("start", "reset", "generate")],
    "main": Output("main", "className"),
    "shown": Output("shown", "data"),
}


def layout(server: str, interval: float, logo: str) -> Any:
    """Return it, for the server at that address and one look every ``interval`` seconds; ``logo`` is where the picture is."""
    return dmc.MantineProvider(
        [
            dcc.Interval(id="tick", interval=round(interval * 1000)),
            dcc.Store(id="ask"),
            dcc.Store(id="shown", data={}),
            dcc.Store(id={"drawn": "shell"}, data={}),
            dmc.NotificationContainer(id="toast", position="bottom-right", autoClose=6000),
            _confirm(),
            # no <header>: the question before a reset has one, and of two the page would have two banners
            html.Section(
                [
                    html.Div(_bar(server, logo), className=f"bar {login.closed()}"),
                    html.Nav(id="nav", className="nav", **parts.aria(label="Pages")),
                ],
                className="top",
                **parts.aria(label="Server and actions"),
            ),
            html.Main(
                [
                    html.Div(dmc.Alert(_GONE, title="The inspector is out of reach", color="red"), id="gone", className="gone"),
                    html.Div(id="alert", role="alert"),
                    *_router(),
                ],
                id="main",
            ),
        ],
        theme=THEME,
        defaultColorScheme="auto",
    )


def register(app: Dash, feeds: Feeds, pages: tuple[Page, ...]) -> None:
    """Keep it up to date."""
    # The browser asks again only after all answers: a slow server slows the page down, and requests never pile up. (A callback's
    # own `running` would stop the clock for good if this process went away in the middle of one.)
    app.clientside_callback(  # type: ignore[no-untyped-call]
        ClientsideFunction("inspector", "next"),
        Output("ask", "data"),
        Output("gone", "className"),
        Input("tick", "n_intervals"),
        State("ask", "data"),
        State({"drawn": ALL}, "data"),
    )

    app.clientside_callback(ClientsideFunction("table", "show"), Input("fleet-shown", "data"))  # type: ignore[no-untyped-call]

    @app.callback(Output(ADDRESS, "search"), Input("task", "value"), State("shown", "data"), prevent_initial_call=True)
    def choose(task: str | None, shown: JSON) -> Any:
        """Have the page's address name the task, so that a link to it leads to the same."""
        return no_update if task in (None, shown.get("task")) else f"?{urlencode({'task': task})}"

    @app.callback(Output("nav", "children"), Input(ADDRESS, "pathname"), Input(ADDRESS, "search"))
    def navigate(path: str | None, search: str | None) -> Any:
        return navigation(pages, app.strip_relative_path(path or "/") or "", task_of(search))

    @app.callback(
        output={"drawn": Output({"drawn": "shell"}, "data"), "answer": OUTPUTS},
        inputs={"ask": Input("ask", "data"), "search": Input(ADDRESS, "search"), "drawn": State({"drawn": "shell"}, "data")},
    )
    def refresh(ask: int | None, search: str | None, drawn: JSON) -> JSON:
        answer = Answer(OUTPUTS, drawn or {})
        draw(answer, feeds.look(task_of(search)))
        return {"drawn": {"answered": ask, "marks": answer.marks}, "answer": answer.values}


def draw(answer: Answer, snapshot: Snapshot) -> None:
    """Put what is new."""
    down = snapshot.down is not None
    news = [snapshot.changed[part] for part in ("status", "clients", "rounds")]
    answer.put("alert", news, lambda: header.alert(snapshot))
    answer.put("badges", news, lambda: header.badges(snapshot))
    answer.put("disabled", [down, snapshot.private], lambda: [down, down, down or snapshot.private])
    answer.put("main", down, lambda: "stale" if down else "")
    tasks = [snapshot.task, snapshot.tasks]
    answer.put("shown", tasks, lambda: {"task": snapshot.task, "tasks": snapshot.tasks})
    answer.put("chooser", tasks, lambda: [snapshot.tasks, snapshot.task, {}] if snapshot.several else [[], None, parts.HIDDEN])
    answer.put("resets", tasks, lambda: _resets(snapshot))


def navigation(pages: tuple[Page, ...], path: str, task: str | None) -> Any:
    """Return the links to all pages, which keep the task; ``path`` is that of the page that is shown, without slashes around."""
    here = path.split("/")[0]
    links = []
    for page in pages:
        if page.listed:
            current = page.path.strip("/") == here or (page.name == "fleet" and here == "client")
            text = html.Span(page.title, **(parts.aria(current="page") if current else {}))
            links.append(parts.link(text, page.path, task, className="current" if current else ""))
    return links


def _resets(snapshot: Snapshot) -> list[Any]:
    """Return what of the question before a reset depends on which tasks there are."""
    if not snapshot.several:
        return [None, "", parts.HIDDEN]
    one = f"Or only task {snapshot.task} begins anew: its rounds and its model are forgotten, readings and the other tasks stay."
    return [one, f"Reset {snapshot.task} alone", {}]


def _router() -> list[Any]:
    """Return what ``dash.page_container`` is, but with a title from the beginning, without which its own script fails."""
    content, dummy = (html.Div(id=f"_pages_{name}", disable_n_clicks=True) for name in ("content", "dummy"))
    return [dcc.Location(id=ADDRESS, refresh="callback-nav"), content, dcc.Store(id="_pages_store", data={"title": "Bramble"}), dummy]


def _bar(server: str, logo: str) -> list[Any]:
    return [
        html.Div(
            [
                html.Img(src=logo, alt="", width=26, height=26),
                html.H1("Bramble"),
                html.Span(server, className="server"),
            ],
            className="brand",
        ),
        html.Div(_chooser(), id="chooser", style=parts.HIDDEN),
        html.Div(id="badges", className="badges"),
        html.Div(
            [
                dmc.Button("Start round", id="start", size="sm", className="needs-operate"),
                html.Div(
                    [
                        dmc.Button("Generate", id="generate", size="sm", variant="light"),
                        dmc.NumberInput(
                            id="count", value=168, min=1, max=10_000, step=24, size="sm", w=138, suffix=" readings",
                            allowDecimal=False, allowNegative=False, **parts.aria(label="Readings to generate"),
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
        leftSectionWidth=46, **parts.aria(label="Task"),
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
                    dmc.Button("Reset the task", id="reset-task", color="red", variant="light", style=parts.HIDDEN),
                    dmc.Button("Reset everything", id="reset-confirm", color="red"),
                ],
                justify="flex-end", mt="lg",
            ),
        ],
        id="reset-modal", title="Reset the whole fleet?", opened=False, centered=True,
        closeButtonProps=parts.aria(label="Close"),
    )  # fmt: skip
