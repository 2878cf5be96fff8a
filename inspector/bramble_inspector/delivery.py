"""How the page's parts travel: compressed, and kept by the browser where they never change."""

from __future__ import annotations

import re

from flask import Flask, Request, Response, request
from flask_compress import Compress

QUALITY = 5
"""Of Brotli. The best would make scripts a tenth smaller, and take a Pi most of a minute, in which the page has the less of it."""
_YEAR = "public, max-age=31536000, immutable"
_SCRIPTS = "/_dash-component-suites/"
_UNUSED = re.compile(r'<script src="[^"]*/dash_table/[^"]*"></script>\n?')


def needed(scripts: str) -> str:
    """Return a page's script elements without the one for a table that no page has."""
    return _UNUSED.sub("", scripts)


def install(app: Flask) -> None:
    """Compress what ``app`` answers, and say of each answer how long a browser may keep it."""
    app.config |= {
        "COMPRESS_ALGORITHM": ["br", "gzip"],  # browsers offer Brotli over TLS and on loopback alone
        "COMPRESS_BR_LEVEL": QUALITY,
        "COMPRESS_STREAMS": False,
        "COMPRESS_CACHE_BACKEND": _Scripts,
        "COMPRESS_CACHE_KEY": _script,
    }
    Compress(app)

    @app.after_request
    def whole(response: Response) -> Response:
        """Read a file before it is compressed, so that its length is told."""
        if response.is_streamed and response.direct_passthrough:
            response.direct_passthrough = False
            response.set_data(response.get_data())
        return response

    @app.after_request
    def keep(response: Response) -> Response:
        # What is named by its version, or by the time at which it was changed, never changes under that name
        versioned = request.path.startswith(_SCRIPTS) and "max-age" in response.headers.get("Cache-Control", "")
        dated = request.path.startswith("/assets/") and "m" in request.args
        if response.status_code == 200 and (versioned or dated):
            response.headers["Cache-Control"] = _YEAR
        elif "Cache-Control" not in response.headers:
            # A script that is fetched later has no version in its name: it is kept, and asked about
            response.headers["Cache-Control"] = "no-cache" if "ETag" in response.headers else "no-store"
        return response


def _script(asked: Request) -> str:
    return asked.path if asked.path.startswith(_SCRIPTS) else ""


class _Scripts:
    """Keeps scripts as they were compressed first: they are large, and never change."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        """Return what is kept."""
        return self._kept.get(key)

    def set(self, key: str, value: bytes) -> None:
        """Keep it, if it is a script's: the key of anything else ends where its path would begin."""
        if not key.endswith(";"):
            self._kept[key] = value
