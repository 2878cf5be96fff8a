"""The command ``bramble``, which knows each room by its settings and its ``run``, and imports only the one that is asked for.

For programs it has the HTTP client: ``from bramble import Server, ServerError``. That is loaded when it is asked for, because a client on a
Pi has no use for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bramble.api import Server, ServerDown, ServerError, ServerRefused

__all__ = ["Server", "ServerDown", "ServerError", "ServerRefused"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bramble import api

    return getattr(api, name)
