"""What a fleet learns, as its inventory names it, and as its server's settings do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

GRAPH = ".tflite"
OTHER_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""What a task may be served by that is not its own name, as in ``north=climate``."""


def bramble_tasks(server: Mapping[str, Any], folder: str) -> list[dict[str, str]]:
    """Return the tasks that a server is to serve, from the variables of its host.

    Parameters
    ----------
    server
        The variables. ``server_tasks`` names several, built-in ones and graphs on the controller; else it is the one in ``server_graph``,
        or ``server_task``, which is a built-in's name or what the server's host has already.
    folder
        Where a path of a graph begins that does not begin at the root.

    Returns
    -------
    list of dict
        Of each what the server's settings call it, ``task``; of a graph of the controller's also its ``graph`` there, its ``path`` on the
        server's host, seen from the root, and the ``variable`` that names it.
    """
    variable = next((name for name in ("server_tasks", "server_graph") if name in server), None)
    if variable is None:
        return [{"task": str(server.get("server_task", "climate"))}]
    given, graphs, found = server[variable], 0, []
    for name in map(str, given if variable == "server_tasks" else [given]):
        if variable == "server_tasks" and not name.endswith(GRAPH):
            found.append({"task": name})
            continue
        other, equals, graph = name.partition("=")
        if not equals or not OTHER_NAME.fullmatch(other):
            other, equals, graph = "", "", name
        graphs += 1
        path = f"etc/bramble/graph{f'-{graphs}' if graphs > 1 else ''}{GRAPH}"
        known = str(Path(folder, Path(graph).expanduser()))
        found.append({"task": f"{other}{equals}/{path}", "path": path, "graph": known, "variable": variable})
    return found


def bramble_toml(value: Any) -> str:
    """Return a value as a TOML file has it in one line: a text, number, truth, list or table."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(str(key))} = {bramble_toml(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(bramble_toml, value))}]"
    if isinstance(value, bool | int | float):
        return json.dumps(value).lower().replace("infinity", "inf")
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")  # JSON's own way to write 😀 is none of TOML's


def _key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name, re.ASCII) else bramble_toml(name)


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"bramble_tasks": bramble_tasks, "bramble_toml": bramble_toml}
