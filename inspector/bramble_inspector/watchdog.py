"""Tells systemd that the page is served, for as long as it really is: it looks at the page itself."""

from __future__ import annotations

import http.client
import logging
import ssl
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify

from bramble_protocol.notify import notify, watchdog_interval

logger = logging.getLogger(__name__)


def answer(app: Flask, drawn: Callable[[], str | None]) -> None:
    """Have the page's process answer whether it lives, without asking anybody else, and whether its page has anything to show.

    Parameters
    ----------
    drawn
        Draws the page; returns why it shows nothing new, or None.
    """

    @app.get("/_alive")
    def alive() -> tuple[str, int]:
        return "", 204

    @app.get("/_ready")
    def ready() -> tuple[Response, int]:
        try:
            why = drawn()
        except Exception as error:  # what a page would show as an error, too
            logger.exception("the page cannot be drawn")
            why = f"The page cannot be drawn ({type(error).__name__}); the journal says where."
        return jsonify(error=why), 200 if why is None else 503


def start(url: str) -> None:
    """Say that the page is ready, and from then on that it lives, if systemd wants to know.

    Parameters
    ----------
    url
        Where the page is served.
    """
    notify(READY=1)
    interval = watchdog_interval()
    if interval is not None:
        beat = threading.Thread(target=_beat, args=(url, interval), name="alive", daemon=True)
        beat.start()


def _beat(url: str, interval: float) -> None:
    pause = threading.Event()
    said = False
    while True:
        problem = look(url, interval)
        if problem is None:
            notify(WATCHDOG=1)
        elif not said:
            logger.error("the page does not answer (%s); systemd will restart the inspector", problem)
        said = problem is not None
        pause.wait(interval)


def look(url: str, timeout: float) -> str | None:
    """Ask for the page's head; return what is wrong, or None."""
    parts = urlsplit(url)
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(parts.hostname or "", parts.hostname or "")
    connection = http.client.HTTPConnection(target, parts.port, timeout=timeout)
    if parts.scheme == "https":
        # Whether it answers, and not who it is: its certificate need not name what it is asked by here
        connection = http.client.HTTPSConnection(target, parts.port, timeout=timeout, context=ssl._create_unverified_context())
    try:
        connection.request("HEAD", "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return None if status < 500 else f"HTTP {status}"
