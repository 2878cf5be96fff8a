"""``/audit``: who changed what and when, in a file that no reset clears."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from flask import Blueprint, Flask, Response, g, jsonify, request

from bramble_protocol import chain
from bramble_protocol.clock import Clock
from bramble_protocol.printable import printable
from bramble_server.web import query
from bramble_server.web.scopes import READS, needs

if TYPE_CHECKING:
    from bramble_server.web import Services

log = logging.getLogger(__name__)

FILE = "audit.jsonl"
MOST = 1000
LONGEST = 500
"""Characters of a query that are kept."""


def register(app: Flask, services: Services, clock: Clock = time) -> None:
    """Write down every request that may change something, and what came of it; of strangers only that too many guess at tokens.

    Raises
    ------
    BrambleError
        If what was written before cannot be read on from.
    """
    lines, lock = chain.Chain(services.settings.data_dir / FILE), threading.Lock()
    trouble: list[OSError] = []

    def write(who: str | None, address: str | None, what: str, status: int) -> None:
        at = datetime.fromtimestamp(clock.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            with lock:
                lines.append([{"at": at, "who": who, "from": address, "what": what, "status": status}])
            trouble.clear()
        except OSError as error:  # what was asked is done or refused already
            if not trouble:
                log.error("%s cannot be written (%s): changes are not on record until it can", FILE, error.strerror)
            trouble[:] = [error]

    @app.after_request
    def note(response: Response) -> Response:
        rule, visitor = request.url_rule, getattr(g, "visitor", None)
        changes = rule is not None and (request.method not in READS or "POST" in (rule.methods or ()))
        if changes and response.status_code not in (401, 429) and (visitor is not None or not services.tokens):
            who = _who(visitor.name if visitor else None, request.headers.get("Bramble-For"))
            write(who, request.remote_addr, f"{request.method} {request.full_path[:LONGEST].rstrip('?')}", response.status_code)
        return response

    def throttled(address: str, sentence: str) -> None:
        services.limited_log.about(f"tokens from {address}", sentence, address=address)
        write(None, address, sentence, 429)

    if services.tokens:
        services.tokens.guesses.say = throttled


def _who(token: str | None, person: str | None) -> str | None:
    """Return whose token it is, and for whom its owner says to ask: a page for a person who logged in there."""
    return f"{token or 'without a token,'} for {printable(unquote(person))[:63]}" if person else token


def blueprint(services: Services) -> Blueprint:
    """Return the endpoint."""
    part = Blueprint("audit", __name__)

    @part.get("/audit")
    @needs("admin")
    @query.takes(limit=query.integer(1, MOST))
    def audit() -> Response:
        found = services.loop.offload(chain.read, services.settings.data_dir / FILE)
        return jsonify(changes=told(found, query.asked()["limit"] or 100), broken=found.broken)

    return part


def told(found: chain.Read, limit: int) -> list[dict[str, Any]]:
    """Return the newest changes, the newest first, without what only the chain needs."""
    return [{name: value for name, value in line.items() if name != "after"} for line in found.lines[: -limit - 1 : -1]]
