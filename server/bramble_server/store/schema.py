"""The tables, and how a database of an older version becomes one of this version."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    inspect,
    select,
    text,
)

from bramble_server.store.errors import StoreError

metadata = MetaData()

meta = Table("meta", metadata, Column("name", String(63), primary_key=True), Column("value", JSON))

rounds = Table(
    "rounds",
    metadata,
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("state", String(10), nullable=False),  # running, committed or abandoned
    Column("reason", String(500)),
    Column("started", Float, nullable=False),
    Column("ended", Float),
    Column("selected", Integer, nullable=False),
    Column("updates", Integer, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("rollback_of", Integer),  # the older round whose model this one brought back; NULL for one that clients trained
)

MEASURES = (
    *("sent", "received", "train_start", "train_end", "replied", "bytes", "samples"),
    *("loss_before", "loss_after", "test_error", "test_baseline", "test_samples", "update_norm", "cosine", "distance"),
)
"""What is known of one client's part in a round: times as seconds since 1970 UTC, counts, and norms over all parameters."""

updates = Table(
    "updates",
    metadata,
    Column("round", ForeignKey("rounds.round", ondelete="CASCADE"), primary_key=True),
    Column("client", String(63), primary_key=True),
    *(Column(name, Integer if name in ("bytes", "samples", "test_samples") else Float) for name in MEASURES),
    Column("reason", String(500)),  # why the round went on without this client
)

models = Table(
    "models",
    metadata,
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("weights", LargeBinary, nullable=False),  # float32, little-endian, in layout order
)

latest_updates = Table(
    "latest_updates",
    metadata,
    Column("client", String(63), primary_key=True),
    Column("round", Integer, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("update_norm", Float),
    Column("cosine", Float),
    Column("distance", Float),
    Column("weights", LargeBinary),  # in evaluation mode only
)

clients = Table(
    "clients",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("simulated", Boolean, nullable=False),
    Column("version", String(40), nullable=False),
    Column("protocol", Integer, nullable=False),
    Column("channels", JSON, nullable=False),
    *(Column(name, Float(53), nullable=False) for name in ("first_seen", "since", "last_seen")),  # seconds since 1970 UTC
    Column("last_cycle", Integer),
    Column("health", JSON),
    Column("health_at", Float(53)),
)


def _keep_clients(connection: Connection) -> None:
    Table(
        "clients",
        MetaData(),
        Column("id", String(63), primary_key=True),
        Column("simulated", Boolean, nullable=False),
        Column("version", String(40), nullable=False),
        Column("protocol", Integer, nullable=False),
        Column("channels", JSON, nullable=False),
        *(Column(name, Float(53), nullable=False) for name in ("first_seen", "since", "last_seen")),
        Column("last_cycle", Integer),
        Column("health", JSON),
        Column("health_at", Float(53)),
    ).create(connection)


def _rollbacks(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE rounds ADD COLUMN rollback_of INTEGER"))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_keep_clients, _rollbacks)
"""Step i takes a database from version i + 1 to i + 2. Once released a step is never changed."""

_VERSION = "schema"


def version() -> int:
    """Return the version of the schema that this code reads and writes."""
    return 1 + len(MIGRATIONS)


def prepare(connection: Connection, where: str) -> None:
    """Create the tables in an empty database, or bring those of an older version up to date; all or nothing.

    Raises
    ------
    StoreError
        If the database belongs to a newer version, or to another program.
    """
    present = set(inspect(connection).get_table_names())
    if not present:
        metadata.create_all(connection)
        connection.execute(meta.insert().values(name=_VERSION, value=version()))
        return
    found = connection.scalar(select(meta.c.value).where(meta.c.name == _VERSION)) if "meta" in present else None
    if not isinstance(found, int):
        raise StoreError(f"{where} is not a Bramble database: choose another --data-dir or URL")
    if found > version():
        raise StoreError(
            f"{where} has schema {found} and this Bramble knows schemas up to {version()}: install the newer Bramble that wrote it, "
            "or choose another --data-dir"
        )
    for migrate in MIGRATIONS[found - 1 :]:
        migrate(connection)
    connection.execute(meta.update().where(meta.c.name == _VERSION).values(value=version()))
