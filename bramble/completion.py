"""Values for a shell's completion: what is installed here, and what the server knows that the line so far names."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, get_args

import typer

from bramble.reach import ReachSettings
from bramble_protocol import BrambleError

PATIENCE_S = 2.0
"""How long a shell waits for a server."""
Source = Callable[[typer.Context], Iterable[object]]


def of(values: object) -> Callable[[typer.Context, str], list[str]] | None:
    """Return what completes an option or argument.

    Parameters
    ----------
    values
        A name among ``SOURCES``, or a ``Literal`` with the values; anything else has none, and the shell offers files.
    """
    source = SOURCES.get(values, None) if isinstance(values, str) else None
    literal = get_args(values) if source is None else ()

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        logging.disable(logging.CRITICAL)  # it would be said in the middle of the line that is typed
        try:
            found = source(ctx) if source else literal
            return [text for value in found if (text := str(value)).startswith(incomplete)]
        except (BrambleError, ImportError):  # a shell has no place for a sentence; the command itself says it
            return []
        finally:
            logging.disable(logging.NOTSET)

    return complete if source or literal else None


def join_words(environ: MutableMapping[str, str]) -> None:
    """Put together what bash took apart in the line that it asks about: a word ends at each ``:`` and ``=``, within an address too."""
    if "COMP_WORDS" not in environ or "COMP_CWORD" not in environ:
        return
    words: list[str] = []
    at = int(environ["COMP_CWORD"])
    joined, glued = at, False
    for index, word in enumerate(environ["COMP_WORDS"].split("\n")):
        separator = word in (":", "=")
        if words and (separator or glued):
            words[-1] += word
            joined -= index <= at
        else:
            words.append(word)
        glued = separator
    environ["COMP_WORDS"], environ["COMP_CWORD"] = "\n".join(words), str(joined)


def _server(ctx: typer.Context) -> Any:
    from bramble import flags  # which takes this room's functions into its options
    from bramble.api import Server
    from bramble.settings import OperatorSettings

    given = {name: ctx.params.get(name) for name in ReachSettings.model_fields}
    settings = flags.load(OperatorSettings, "fleet", given, ctx.params.get("config"))
    return Server.of(settings.model_copy(update={"timeout": PATIENCE_S}))


def _clients(ctx: typer.Context) -> Iterable[object]:
    there, never_seen = _server(ctx).everybody()
    return sorted({*there, *never_seen})


def _models(ctx: typer.Context) -> Iterable[object]:
    return [record["round"] for record in reversed(_server(ctx).models(ctx.params.get("task")))]


def _rounds(ctx: typer.Context) -> Iterable[object]:
    return [record["round"] for record in reversed(_server(ctx).rounds(clients=False))]


def _tasks(ctx: typer.Context) -> Iterable[object]:
    return [task["task"] for task in _server(ctx).tasks()]


def _shown_tasks(ctx: typer.Context) -> Iterable[object]:
    return _tasks(ctx) if ctx.params.get("server") or os.environ.get("BRAMBLE_SERVER") else _installed_tasks(ctx)


def _installed_tasks(ctx: typer.Context) -> Iterable[object]:
    from bramble_server import tasks

    return tasks.names()


def _strategies(ctx: typer.Context) -> Iterable[object]:
    from bramble_server.learning import strategies

    return strategies.OFFERED.names()


def _selections(ctx: typer.Context) -> Iterable[object]:
    from bramble_server.learning import selection

    return selection.OFFERED.names()


def _codecs(ctx: typer.Context) -> Iterable[object]:
    from bramble_protocol import codecs

    return dict.fromkeys([*codecs.CODECS, *codecs.NAMED])


SOURCES: dict[str, Source] = {
    "clients": _clients,
    "models": _models,
    "rounds": _rounds,
    "tasks": _tasks,
    "shown tasks": _shown_tasks,
    "installed tasks": _installed_tasks,
    "strategies": _strategies,
    "selections": _selections,
    "codecs": _codecs,
}
"""By the name that a setting has as ``values`` in its ``json_schema_extra``."""
