"""``bramble task deploy``, ``retire`` and ``list --server``: the tasks of a running server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from bramble import task, terminal
from bramble.api import Server
from bramble.settings import DeployTaskSettings, ListTasksSettings, RetireTaskSettings, ShowTaskSettings
from bramble_protocol import BrambleError
from bramble_protocol.printable import printable


def listed(settings: ListTasksSettings) -> int:
    """Print the tasks that a server learns; return 0."""
    task.tell(Server.of(settings).tasks(), _learnt, settings.as_json)  # type: ignore[arg-type]
    return 0


def shown(settings: ShowTaskSettings) -> int:
    """Print one of the tasks that a server learns; return 0.

    Raises
    ------
    ServerError
        If it learns none of this name, refuses, or does not answer.
    """
    tasks = {item["task"]: item for item in Server.of(settings).tasks()}  # type: ignore[arg-type]
    task.show(tasks, settings, _learnt)
    return 0


def deploy(settings: DeployTaskSettings) -> int:
    """Hand a task's graph to a running server; return 0.

    Raises
    ------
    BrambleError
        If the file is no graph, the key signs nothing, or the server refuses.
    """
    path = Path(settings.file)
    own = task.is_own(settings.file)
    read = task.own_graph(settings.file) if own else task.read_graph(path)
    signed = path.with_name(f"{path.name}.sig")
    try:
        lines = signed.read_text("ascii") if signed.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise BrambleError(f"task deploy: {signed} cannot be read ({getattr(error, 'strerror', None) or 'it is no text'})") from None
    if settings.key is not None:
        task.needs_cryptography()
        lines += task.signature(read, task.private_key(settings.key)) + "\n"
    told = Server.of(settings).deploy(read.data, lines, settings.set)
    name = told["task"]
    if settings.as_json:
        print(json.dumps(told, indent=2))
        return 0
    again = f"; it goes on from its model of round {told['round']}" if told["round"] else ""
    typer.echo(f"{name}: graph {told['graph'][:12]} is learnt from here on, by {told['able']} clients that are connected{again}")
    if not any(item.startswith(("every=", "rounds=")) for item in settings.set):
        typer.echo(f"bramble round start --task {name} starts a round of it, unless the server's settings do")
    return 0


def retire(settings: RetireTaskSettings) -> int:
    """Have a server let go of a deployed task; return 0.

    Raises
    ------
    ServerError
        If the server refuses, or does not answer.
    """
    told = Server.of(settings).retire(settings.name)
    text = f"{told['retired']} is learnt no longer; its rounds and models are kept, and go on if it is deployed again"
    terminal.tell(settings.as_json, told, text)
    return 0


def _learnt(item: dict[str, Any]) -> list[str]:
    running = f", round {item['running']} is running" if item["running"] else ""
    told = (
        item["description"],
        f"graph {item['graph'][:12]}{', deployed' * item['deployed']}{', signed' * item['signed']}",
        f"{task.takes(item)}; {item['able']} clients can train it; last committed round {item['round']}{running}",
    )
    return [printable(f"{'' if index else item['task']:16}{line}", None) for index, line in enumerate(told)]
