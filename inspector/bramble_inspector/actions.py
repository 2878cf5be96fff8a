"""The buttons: what they ask of the server, and how the page tells its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dash import Dash, Input, Output, State, ctx, no_update

from bramble.api import JSON, Server, ServerRefused
from bramble_inspector import parts, sentences
from bramble_inspector.login import acting
from bramble_protocol import BrambleError


def register(app: Dash, client: Server) -> None:
    """Attach Start round, Generate and Reset."""
    toast = Output("toast", "sendNotifications", allow_duplicate=True)

    shown = State("shown", "data")

    @app.callback(toast, Input("start", "n_clicks"), shown, running=[(Output("start", "loading"), True, False)], prevent_initial_call=True)
    def on_start(clicks: int, shown: JSON) -> list[JSON]:
        return tell(lambda: _start(client, shown_task(shown)))

    @app.callback(
        toast,
        Input("generate", "n_clicks"),
        State("count", "value"),
        running=[(Output("generate", "loading"), True, False)],
        prevent_initial_call=True,
    )
    def on_generate(clicks: int, count: int | str | None) -> list[JSON]:
        return tell(lambda: _generate(client, count))

    @app.callback(
        toast,
        Output("reset-modal", "opened"),
        inputs={"clicks": [Input(button, "n_clicks") for button in ("reset", "reset-cancel", "reset-task", "reset-confirm")]},
        state={"shown": shown},
        running=[(Output(button, "loading"), True, False) for button in ("reset-task", "reset-confirm")],
        prevent_initial_call=True,
    )
    def on_reset(clicks: list[int], shown: JSON) -> tuple[Any, bool]:
        if ctx.triggered_id == "reset-confirm":
            return tell(lambda: _reset(client)), False
        if ctx.triggered_id == "reset-task":
            return tell(lambda: _reset(client, shown["task"])), False
        return no_update, ctx.triggered_id == "reset"


def shown_task(shown: JSON) -> str | None:
    """Return the task that the page shows; None where the server has no other, or none is known yet, or its release knows of no names."""
    task: str | None = shown.get("task")
    return task if len(shown.get("tasks", ())) > 1 else None


def _start(client: Server, task: str | None) -> str:
    answer = acting(client, "operate").start(task)
    return f"Round {answer['round']}{f' of {task}' if task else ''} started with {sentences.plural(len(answer['clients']), 'client')}."


def _generate(client: Server, count: int | str | None) -> str:
    if not isinstance(count, int):
        raise BrambleError("Say how many readings to generate, for instance 168.")
    answer = acting(client, "operate").generate(count)
    return f"Cycle {answer['cycle']}: {sentences.plural(answer['clients'], 'client')} take {sentences.plural(count, 'reading')} each."


def _reset(client: Server, task: str | None = None) -> str:
    told = sentences.plural(acting(client, "admin").reset(task)["clients"], "client")
    return f"Reset: the server is back at the initial model{f' of {task}' if task else ''} and told {told}."


def tell(act: Callable[[], str]) -> list[JSON]:
    """Do it, and return the notification of what came of it: a refusal in the server's own words."""
    good: JSON = {"title": None, "color": "teal", "autoClose": 6000}
    try:
        look, text = good, act()
    except BrambleError as error:
        title = "The server says no" if isinstance(error, ServerRefused) else "Nothing was started"
        look, text = {"title": title, "color": "red", "autoClose": 12000}, str(error)
    return [{"action": "show", "message": parts.rich(text), **look}]
