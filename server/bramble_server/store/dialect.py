"""The only place that knows one database from another: how to open them, and how to say "insert or replace"."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, Executable, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from bramble_server.store.errors import REMEDY, StoreError
from bramble_server.store.weights import KEY, Folder

LOOK_S = 10.0
"""How long to look for damage at a start; some hundred megabytes."""
BUSY_S = 10.0
"""How long SQLite waits for somebody else's lock before it gives up."""
LOG_BYTES = 16 << 20
"""Length to which SQLite cuts its write-ahead log back."""
_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""How long PostgreSQL may be silent, in its own words (libpq's): a network that went away must not keep the writer for minutes."""
SYNCED = "bramble_synced"
"""Option of the writer's engine: whether what it commits is on the disk when that returns, or with the next commit that is."""
_LOCK_KEY = 0x6272616D626C65
"""PostgreSQL's advisory locks have numbers for names; this one spells "bramble"."""


def parse(url: str, password_file: Path | None = None) -> URL:
    """Read a database URL, and put the password in a file, if one is named, into it.

    Raises
    ------
    StoreError
        If it is not one, or names a database that the store was not written for, or the file cannot be read.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError("database: expected a URL such as sqlite:////var/lib/bramble/bramble.db") from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(f"database: {parsed.get_backend_name()} is not supported, expected sqlite or postgresql")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StoreError("database: an SQLite database needs a file, one in memory would not survive the server")
    return parsed if password_file is None else parsed.set(password=_password(parsed, password_file))


def _password(url: URL, file: Path) -> str:
    if url.get_backend_name() == "sqlite":
        raise StoreError("--database-password-file: SQLite has no password; name PostgreSQL by --database")
    if url.password:
        raise StoreError("--database-password-file: the URL of --database has a password already; give one of the two")
    try:
        password = file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise StoreError(f"--database-password-file: {file} cannot be read ({reason})") from None
    if not password or "\n" in password:
        raise StoreError(f"--database-password-file: {file} does not hold one password; write it alone into the file")
    return password


def engine(url: URL, writer: bool) -> Engine:
    """Return an engine for the one writer or for the many readers.

    Raises
    ------
    StoreError
        If the driver is not installed.
    """
    try:
        if url.get_backend_name() == "sqlite":
            made = create_engine(url, connect_args={"timeout": BUSY_S}, hide_parameters=True)
            _tune_sqlite(made, writer)
        else:
            # One connection for the one writer, which holds the claim for as long as it lives.
            pool = {"pool_size": 1, "max_overflow": 0} if writer else {}
            made = create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args=dict(_PATIENCE), **pool)
            if writer:
                event.listen(made, "connect", _claim_postgresql)
                event.listen(made, "begin", _ease_postgresql)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(f"database: the driver for {url.drivername} is not installed ({error})") from error
    return made


def look_through(connection: Connection, where: str) -> None:
    """Look for damage in an SQLite file for some seconds: a server must not find it in the middle of a round.

    Raises
    ------
    StoreError
        If there is any. A damaged history is never begun anew by itself.
    """
    if connection.dialect.name != "sqlite":
        return
    raw = connection.connection.dbapi_connection
    assert raw is not None
    until = time.monotonic() + LOOK_S
    raw.set_progress_handler(lambda: time.monotonic() > until, 100_000)
    try:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    except OperationalError as error:
        if getattr(error.orig, "sqlite_errorname", "") != "SQLITE_INTERRUPT":
            raise
        found = "ok"  # as far as it was seen
    finally:
        raw.set_progress_handler(None, 0)
    if found != "ok":
        raise StoreError(f"database {where} is damaged ({' '.join(str(found).split())}): {REMEDY}")


def _tune_sqlite(made: Engine, writer: bool) -> None:
    """Make commits survive a power cut, and let the driver leave transactions to us.

    With WAL and synchronous=FULL every commit reaches the disk before it returns (https://sqlite.org/wal.html). The
    writer takes its lock at once, so that it never has to be upgraded half-way. A log that one large round made long is
    cut back, for a Pi's card is small. A reader sets nothing, for it also looks at what is not ours to change.
    """

    @event.listens_for(made, "connect")
    def connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        if writer:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"journal_size_limit={LOG_BYTES}"):
                connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(made, "begin")
    def start(connection: Connection) -> None:
        if writer:
            synced = connection.get_execution_options().get(SYNCED, True)
            if connection.info.get(SYNCED, True) != synced:
                connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
                connection.info[SYNCED] = synced
        execute(connection, "BEGIN IMMEDIATE" if writer else "BEGIN", ())


@contextmanager
def altering(writer: Engine, where: str) -> Iterator[Connection]:
    """Open a transaction in which tables may be altered, which is all done or not at all.

    Most of what SQLite cannot alter, Alembic does to a copy that then takes the table's place. If foreign keys were on, to drop
    the table would delete what refers to it in others; inside a transaction they cannot be put off
    (https://sqlite.org/lang_altertable.html#otheralter).

    Raises
    ------
    StoreError
        If at its end a row refers to one that is not there.
    """
    with writer.connect() as connection:
        if connection.dialect.name != "sqlite":
            with connection.begin():
                yield connection
            return
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                yield connection
                if astray := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise StoreError(
                        f"database {where} is not upgraded: a row of {astray[0]} refers to one of {astray[2]} that is not there: {REMEDY}"
                    )
        finally:
            raw.execute("PRAGMA foreign_keys=ON")


def sync_log(url: URL) -> bool:
    """Have what is in SQLite's log survive a power cut; return whether the database has one that can be reached.

    A commit of ``synchronous=NORMAL`` writes to the log and syncs nothing (https://sqlite.org/pragma.html#pragma_synchronous), so this is
    all that it lacks, without a transaction. The log has none of SQLite's locks, which closing another file of the process would drop.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    if url.get_backend_name() != "sqlite":
        return False
    path = Path(f"{url.database}-wal")
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # each time: SQLite may have made another
        try:
            os.fdatasync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise StoreError(
            f"database: {path} cannot be brought to the disk ({error.strerror}): check the disk (on a Pi, its SD card)"
        ) from error
    return True


def folder(url: URL, *engines: Engine) -> Folder | None:
    """Give these engines' connections the folder for large models beside an SQLite file; PostgreSQL keeps those itself."""
    if url.get_backend_name() != "sqlite":
        return None
    made = Folder(Path(url.database or ""))
    for each in engines:
        event.listen(each, "connect", lambda _, record: record.info.update({KEY: made}))
    return made


def claim(url: URL) -> ExitStack:
    """Lock an SQLite database until the result is closed, so that no two servers write one history.

    The kernel gives it back by itself when the process dies. For PostgreSQL the writer's connection does this: whenever it is
    made, also after the database was away.

    Raises
    ------
    StoreError
        If another server holds it.
    """
    held = ExitStack()
    if url.get_backend_name() != "sqlite":
        return held
    path = Path(url.database or "")
    lock = path.with_name(path.name + ".lock")
    try:
        file = held.enter_context(lock.open("a"))
    except OSError as error:
        raise StoreError(f"database: {lock} cannot be opened ({error.strerror}): check that its folder may be written to") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise StoreError(f"database {path} is in use by another server: stop that one, or choose another --data-dir") from error
    return held


def _claim_postgresql(connection: Any, record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK_KEY,))
        (mine,) = cursor.fetchone()
    connection.commit()
    if not mine:
        connection.close()
        raise StoreError("database: it is in use by another server: stop that one, or choose another database")


def _ease_postgresql(connection: Connection) -> None:
    if not connection.get_execution_options().get(SYNCED, True):
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")


def erase_what_is_deleted(connection: Connection) -> None:
    """Have SQLite overwrite what this connection deletes from now on; PostgreSQL leaves that to its own housekeeping."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


class Statement:
    """A statement of every round: compiled once for each kind of database, and then given to the driver with its values.

    To have it compiled, looked up and its values put in order for each execution takes several times as long as to run it. What it
    selects comes as the driver has it.

    Parameters
    ----------
    clause
        The statement; its values are bound by name.
    columns
        What an insertion or an update sets, beside what ``clause`` says.
    """

    def __init__(self, clause: Executable, columns: Iterable[str] = ()) -> None:
        self._clause, self._columns = clause, list(columns)
        self._compiled: dict[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {}

    def run(self, connection: Connection, *rows: Mapping[str, Any]) -> Any:
        """Execute it with the values of one row, or once for each of several; return the driver's cursor."""
        name = connection.dialect.name
        if name not in self._compiled:
            self._compiled[name] = self._compile(connection.dialect)
        text, values = self._compiled[name]
        if len(rows) == 1:
            return execute(connection, text, values(rows[0]))
        return execute(connection, text, list(map(values, rows)), many=True)

    def _compile(self, dialect: Dialect) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
        compiled: Any = self._clause.compile(dialect=dialect, column_keys=self._columns or None, for_executemany=True)  # type: ignore[attr-defined]
        known = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for bind, name in compiled.bind_names.items()}
        said, processed = compiled.params, [(name, process) for name, process in known.items() if process]

        def values(row: Mapping[str, Any]) -> dict[str, Any]:
            given = {**said, **row}
            for name, process in processed:
                given[name] = process(given[name])
            return given

        if compiled.positional:
            ordered = (
                itemgetter(*compiled.positiontup) if len(compiled.positiontup) > 1 else lambda given: (given[compiled.positiontup[0]],)
            )
            return compiled.string, lambda row: ordered(values(row))
        return compiled.string, values


def execute(connection: Connection, text: str, values: Any, many: bool = False) -> Any:
    """Give the driver a statement past SQLAlchemy, whose own work for each costs more; an error is as if it had gone that way."""
    raw = connection.connection
    cursor = raw.cursor()
    try:
        if many:
            cursor.executemany(text, values)
        else:
            cursor.execute(text, values)
    except BaseException as error:
        dialect = connection.dialect
        known: Any = dialect.loaded_dbapi.Error
        if not isinstance(error, known):
            raise
        if gone := dialect.is_disconnect(error, raw, cursor):
            connection.invalidate(error)
        raise DBAPIError.instance(text, None, error, known, hide_parameters=True, connection_invalidated=gone, dialect=dialect) from error
    return cursor


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, all with the same columns, and replace these columns where the primary key is there already."""
    if rows:
        _upsert(connection.dialect.name, table, tuple(rows[0])).run(connection, *rows)


@lru_cache
def _upsert(dialect: str, table: Table, columns: tuple[str, ...]) -> Statement:
    insert = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)
    keys = [column.name for column in table.primary_key]
    replaced = {name: insert.excluded[name] for name in columns if name not in keys}
    return Statement(insert.on_conflict_do_update(index_elements=keys, set_=replaced), columns)
