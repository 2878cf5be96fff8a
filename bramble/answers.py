"""What a server answered, before anybody shows it."""

from __future__ import annotations

from http.client import HTTPException, RemoteDisconnected
from typing import Any

from bramble_protocol.printable import printable


def shown(body: dict[str, Any]) -> dict[str, Any]:
    """Make an object's texts printable: many are those of clients, and go to terminals and pages."""
    return {printable(name): _text(value) for name, value in body.items()}


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value, None)
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [_text(item) for item in value]
    return value


def speaks_no_http(error: BaseException) -> bool:
    """Whether something answered, and not as HTTP has it."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, HTTPException) and not isinstance(link, RemoteDisconnected):
            return True
        link = link.__cause__ or link.__context__
    return False


def with_remedy(status: int, sentence: str) -> str:
    """Return what a server refused with, and what only whoever asked can know to do."""
    if status == 401:
        return f"{sentence.rstrip('.')}; give a token with --token-file."
    if status == 404 and sentence.startswith("nothing is at "):
        return f"{sentence.rstrip('.')}: the server is older than this command; upgrade it."
    return sentence
