"""An empty database of this version, migrated once: Alembic's part is most of what it takes a server to start beside nothing."""

from __future__ import annotations

import functools
from pathlib import Path
from tempfile import TemporaryDirectory

from bramble_server.store import Store


@functools.cache
def _empty() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bramble.db"
        Store(path).close()
        return path.read_bytes()


def migrated(folder: Path) -> Path:
    """Put an empty database into a server's data folder, unless it has one; return its path."""
    path = folder / "bramble.db"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_bytes(_empty())
    return path
