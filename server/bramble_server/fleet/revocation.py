"""Ends the connections of clients whose token has been taken away: revoking does not wait for a client to come back."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bramble_server.fleet.registry import Registry
from bramble_server.fleet.tokens import Tokens
from bramble_server.loop import Loop

log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two looks at the token file."""


def sweep(registry: Registry, tokens: Tokens, disconnect: Callable[[str], None]) -> None:
    """Disconnect, by its session, each client that could not connect again with the token it connected with, and forget it."""
    for name in registry.connected():
        client = registry.get(name)
        if client and client.sid and not tokens.holds(name, client.credential):
            log.warning("%s: its token was taken away; its connection is ended", name)
            disconnect(client.sid)
    holders = set(tokens.clients())
    for name in registry.absent():
        if name not in holders:
            registry.forget(name)


def start(loop: Loop, registry: Registry, tokens: Tokens, disconnect: Callable[[str], None]) -> None:
    """Look for revoked tokens every few seconds, from now on."""

    def watch() -> None:
        pause = loop.event()
        while True:
            pause.wait(EVERY)
            try:
                sweep(registry, tokens, disconnect)
            except Exception:
                log.exception("looking for revoked clients failed; it is tried again")

    loop.spawn(watch)
