"""What can be done with models on their page: try, pin, go back, and take along."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State, ctx, no_update
from flask import Flask, Response, request

from bramble.api import JSON, Server, ServerDown, ServerError, ServerRefused
from bramble_inspector.actions import shown_task, tell
from bramble_inspector.login import acting
from bramble_inspector.pages.models import KINDS, at
from bramble_inspector.sentences import plural

_ACTS = ("models-evaluate", "models-pin", "models-unpin", "models-back", "models-back-cancel", "models-back-confirm")


def register(app: Dash, client: Server) -> None:
    """Attach the buttons and the downloads."""

    @app.callback(
        Output("toast", "sendNotifications", allow_duplicate=True),
        Output("models-modal", "opened"),
        inputs={"clicks": [Input(button, "n_clicks") for button in _ACTS]},
        state={"number": State("models-at", "data"), "shown": State("shown", "data")},
        prevent_initial_call=True,
    )
    def on_click(clicks: list[int | None], number: str | None, shown: JSON) -> tuple[Any, bool]:
        pressed = ctx.triggered_id
        if not any(clicks) or pressed == "models-back-cancel":  # the buttons have only come
            return no_update, False
        if pressed == "models-back":
            return no_update, True
        return tell(lambda: _act(client, str(pressed), at(number) or 0, shown_task(shown))), False

    web: Flask = app.server

    @web.get("/model/<int:number>.<kind>")
    def download(number: int, kind: str) -> Response:
        if kind not in KINDS:
            return Response(f"A model can be had as {', '.join(KINDS)}.", 404, mimetype="text/plain")
        try:
            content = client.model_file(number, kind, request.args.get("task"))
        except ServerError as error:
            status = error.status if isinstance(error, ServerRefused) else 503 if isinstance(error, ServerDown) else 500
            return Response(str(error), status, mimetype="text/plain")
        answer = Response(content, mimetype="application/json" if kind == "json" else "application/octet-stream")
        answer.headers["Content-Disposition"] = f'attachment; filename="model-{number}.{kind}"'
        return answer


def _act(client: Server, pressed: str, number: int, task: str | None) -> str:
    if pressed == "models-evaluate":
        asked = acting(client, "operate").evaluate((), task)
        models = ", ".join(map(str, asked["models"]))
        return f"{plural(len(asked['clients']), 'client')} try the models of rounds {models}; what they find is shown here as it comes."
    if pressed == "models-pin":
        acting(client, "admin").pin(number, task)
        return f"The model of round {number} is the champion now, whatever comes, until it is unpinned."
    if pressed == "models-unpin":
        unpinned = acting(client, "admin").unpin(task)["unpinned"]
        return (
            "No model was pinned."
            if unpinned is None
            else f"The model of round {unpinned} is pinned no longer: the best is the champion again."
        )
    made = acting(client, "admin").rollback(number, task)
    return f"The model of round {number} is the global one again, as version {made['round']}."
