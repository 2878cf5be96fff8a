"""``bramble model``: the global models that are kept, and the way back to one of them."""

from __future__ import annotations

import json
from datetime import datetime

from bramble import terminal
from bramble.api import Server
from bramble.round import described
from bramble.settings import ListModelsSettings, RollbackSettings


def listed(settings: ListModelsSettings) -> int:
    """Print the models that are kept, oldest first; return 0."""
    server = Server.of(settings)
    kept = server.models(settings.task)
    if settings.as_json:
        print(json.dumps(kept, indent=2))
        return 0
    if not kept:
        print("no model yet but the initial one; each round that commits makes one")
        return 0
    metric = server.status(settings.task)["manifest"]["metric"]
    for record in kept:
        when = datetime.fromtimestamp(record["ended"]).strftime("%Y-%m-%d %H:%M")
        terminal.console().print(f"{when}  {described(record, metric)}", soft_wrap=True)
    return 0


def rollback(settings: RollbackSettings) -> int:
    """Bring an older model back; return 0.

    Raises
    ------
    ServerError
        If the server refuses, or does not answer.
    """
    server = Server.of(settings)
    answer = server.rollback(settings.number, settings.task)
    print(f"the model of round {answer['rollback_of']} is the global one again, as round {answer['round']}")
    return 0
