"""Raw HTTP, for tests of the wire itself. Whatever asks a server as a user does asks through ``bramble.api``."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

Answer = tuple[int, Any, Any]


def request(url: str, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> Answer:
    """Return status, body (parsed if it is JSON) and headers of one request over a connection of its own."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        content: Any = response.read()
        if (response.headers["Content-Type"] or "").startswith("application/json") and content:
            content = json.loads(content)
        return response.status, content, response.headers
    finally:
        connection.close()
