"""All that is in a database, whatever wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, inspect, text

Contents = dict[str, list[dict[str, Any]]]


def contents(target: Path | str) -> Contents:
    """Return every row of every table, read by nothing of the store's."""
    engine = create_engine(f"sqlite:///{target}" if isinstance(target, Path) else target)
    with engine.connect() as connection:
        found = {}
        for name in inspect(connection).get_table_names():
            columns = [column["name"] for column in inspect(connection).get_columns(name)]
            rows = connection.execute(text(f"SELECT {', '.join(columns)} FROM {name}"))
            found[name] = sorted((dict(row) for row in rows.mappings()), key=repr)
    engine.dispose()
    return found


def lost(before: Contents, after: Contents) -> list[Any]:
    """Return the rows that are not there any more as they were; but for what ``meta`` has under another name or value since."""
    return [
        row
        for table, rows in before.items()
        for row in rows
        if row.get("name") not in ("schema", "graph")
        and row not in [{name: new[name] for name in row if name in new} for new in after.get(table, [])]
    ]
