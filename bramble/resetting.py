"""``bramble reset``: back to the initial models, after a question."""

from __future__ import annotations

import sys

from bramble import terminal
from bramble.api import Server
from bramble.operating_settings import ResetSettings
from bramble_protocol.errors import BrambleError


def run(settings: ResetSettings) -> int:
    """Reset the server or one task; return 0, or 1 if somebody said no.

    Raises
    ------
    BrambleError
        If nobody can be asked and --yes was not said, or the server refuses or does not answer.
    """
    server = Server.of(settings)
    what = f"what was learnt of {settings.task}" if settings.task else "all models, rounds and readings"
    if not settings.yes:
        if not sys.stdin.isatty():
            raise BrambleError(f"reset: {what} on {server.url} would be forgotten; say --yes if that is meant")
        if input(f"Forget {what} on {server.url}? [y/N] ").strip().casefold() not in ("y", "yes"):
            terminal.tell(settings.as_json, None, "Nothing was forgotten.")
            return 1
    answer = server.reset(settings.task)
    terminal.tell(settings.as_json, answer, f"{what} forgotten; {answer['clients']} clients were told")
    return 0
