"""How a database, empty or of an older version, becomes one of this version: Alembic runs what is missing of ``migrations/``.

A database's version is the number of its last migration. It stands in ``meta``, where releases look for it that knew nothing of
Alembic, and Alembic keeps its own note of it, in the same transaction. Alembic takes time and memory to import, so it is
imported only where something is missing.
"""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, inspect, select

from bramble_server.store.errors import StoreError
from bramble_server.store.schema import meta

MIGRATIONS = Path(__file__).with_name("migrations")


def newest() -> int:
    """Return the version that this code reads and writes."""
    return max(int(path.name.partition("_")[0]) for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def found(connection: Connection, where: str) -> int:
    """Return the version of a database, 0 for an empty one; it is only read.

    Raises
    ------
    StoreError
        If it is of a newer version, or another program's.
    """
    present = inspect(connection).get_table_names()
    if not present:
        return 0
    version = connection.scalar(select(meta.c.value).where(meta.c.name == "schema")) if "meta" in present else None
    if type(version) is not int or version < 1:
        raise StoreError(f"{where} is not a Bramble database: choose another --data-dir or --database")
    if version > newest():
        raise StoreError(
            f"database {where} is of version {version}, and this Bramble knows versions up to {newest()}: install the newer Bramble that "
            "wrote it, restore a copy from before, or choose another --data-dir or --database"
        )
    return version


def upgrade(connection: Connection, where: str) -> None:
    """Run the migrations that a database has not seen.

    Whoever opened the connection's transaction ends it: then all of them are done, or none.

    Raises
    ------
    StoreError
        If it is of a newer version, or another program's.
    """
    version = found(connection, where)
    if version < newest():
        logging.getLogger("alembic").setLevel(logging.WARNING)  # it says every step
        from alembic import command
        from alembic.config import Config

        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        if version:
            command.stamp(config, f"{version:04}", purge=True)  # what stands in meta is what holds
        command.upgrade(config, "head")
