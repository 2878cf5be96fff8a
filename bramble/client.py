"""``bramble client list``, ``show`` and ``release``: who the server has ever seen, what each speaks, and which tasks it takes part in."""

from __future__ import annotations

import json
import time
from datetime import datetime

from rich.markup import escape

from bramble import terminal
from bramble.api import JSON, Server, ServerError
from bramble.fleet import span
from bramble.operating_settings import ShowClientSettings
from bramble.settings import ListClientsSettings, ReleaseSettings
from bramble_protocol.nearest import nearest
from bramble_protocol.printable import printable
from bramble_protocol.tables import clients as rows

COLUMNS = ("client", "", "address", "version", "contract", "features", "tasks")


def listed(settings: ListClientsSettings) -> int:
    """Print a line for each client, and below them why one takes no part in a task; return 0.

    Raises
    ------
    ServerError
        If the server refuses, or does not answer.
    """
    server = Server.of(settings)
    status, clients = server.status(), server.clients()
    for client in clients.values():
        client["tasks"] = tasks(client, status["task"])
    if settings.as_json:
        print(json.dumps(clients, indent=2))
        return 0
    if not clients:
        print(f"no client has been seen yet; start one with: bramble client --server {server.url} --id pi-1 --sensors mock")
        return 0
    console = terminal.console()
    console.print(terminal.table(COLUMNS, [_row(name, client) for name, client in sorted(clients.items())]))
    for name, client in sorted(clients.items()):
        for task, why in client["tasks"].items():
            if why is not None:
                console.print(f"{name} takes no part in {escape(task)}: {escape(why)}", soft_wrap=True)
    return 0


def shown(settings: ShowClientSettings) -> int:
    """Print what is known of one client; return 0.

    Raises
    ------
    ServerError
        If the server refuses, does not answer, or never saw it.
    """
    server = Server.of(settings)
    clients = server.clients(settings.task)
    if settings.client not in clients:
        near = nearest(settings.client, clients)
        meant = f", did you mean {near}?" if near else "; bramble client list shows who was"
        raise ServerError(f"client show: {settings.client} was never seen{meant}")
    client = clients[settings.client]
    if settings.as_json:
        print(json.dumps(client, indent=2))
        return 0
    [row] = rows({settings.client: client})
    found = {**row, **(client.get("health") or {})}
    for name, value in found.items():
        if value not in (None, "", [], {}):
            text = value.strftime("%Y-%m-%d %H:%M:%S UTC") if isinstance(value, datetime) else str(value)
            print(printable(f"{name:<20} {text}", None))
    for task, why in (client.get("tasks") or {}).items():
        print(printable(f"{task:<20} {'takes part' if why is None else why}", None))
    return 0


def released(settings: ReleaseSettings) -> int:
    """Have a client be asked again; return 0.

    Raises
    ------
    ServerError
        If the server refuses, or does not answer.
    """
    answer = Server.of(settings).release(settings.client, settings.task)
    terminal.tell(settings.as_json, answer, f"{settings.client} is asked for rounds of {answer['task']} again")
    return 0


def tasks(client: JSON, only: str) -> dict[str, str | None]:
    """Return the server's tasks with None where a client takes part, and else why not.

    Parameters
    ----------
    client
        What the server says of it.
    only
        The task of a server that knows one alone, and says no more than whether a client fits it.
    """
    named: dict[str, str | None] | None = client.get("tasks")
    if named is not None:
        return named
    return {only: None if client.get("fits", True) else "; ".join(client["remarks"]) or "it does not offer what the task takes"}


def _row(name: str, client: JSON) -> tuple[str, ...]:
    return (
        name,
        "[green]there[/]" if client["connected"] else f"[red]gone {span(time.time() - client['last_seen'])}[/]",
        escape(str(client.get("address") or "")),
        escape(client["version"]),
        f"version {client['protocol']}" if "protocol" in client else "",
        escape(", ".join(client.get("features", ()))),
        escape(", ".join(task for task, why in client["tasks"].items() if why is None)) or "none",
    )
