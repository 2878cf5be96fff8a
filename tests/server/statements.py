"""Every statement that a database is given, whether by SQLAlchemy or past it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from bramble_server.store import dialect


@contextmanager
def before_each(hear: Callable[[], None], of: Engine | type[Engine] = Engine) -> Iterator[None]:
    """Call something before each statement and each commit, of one engine or of all."""
    execute = dialect.execute

    def past(connection: Any, *arguments: Any, **named: Any) -> Any:
        if of is Engine or connection.engine is of:
            hear()
        return execute(connection, *arguments, **named)

    def heard(*_: Any) -> None:
        hear()

    dialect.execute = past
    for what in ("before_cursor_execute", "commit"):
        event.listen(of, what, heard)
    try:
        yield
    finally:
        dialect.execute = execute
        for what in ("before_cursor_execute", "commit"):
            event.remove(of, what, heard)
