"""What must survive a restart, in SQLite (WAL) by default and in PostgreSQL by URL.

One writer, many short readers. Everything in one ``writing()`` block is one transaction: it is on the disk when the block
ends, or never was. The functions of ``rounds``, ``models``, ``meta`` and ``mirror`` take its connection::

    with store.writing() as connection:
        rounds.committed(connection, 7, ended, 5, metrics)
        models.save(connection, "climate", 7, weights, memory, keep=20)
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from bramble_server.store import clients, dialect, evaluations, meta, migrate, mirror, models, rounds, standings
from bramble_server.store.errors import StoreError, explained
from bramble_server.store.trouble import Trouble

__all__ = ["Store", "StoreError", "clients", "evaluations", "meta", "mirror", "models", "reset", "reset_task", "rounds", "standings"]

log = logging.getLogger(__name__)


class Store:
    """An open database.

    Parameters
    ----------
    target
        The file of an SQLite database, made if it is not there, or a URL: ``postgresql+psycopg://user:password@host/name``.
    password_file
        File with the password that belongs into the URL.

    Raises
    ------
    StoreError
        If it cannot be opened, another server has it, or it is of a newer version; always one sentence.
    """

    def __init__(self, target: Path | str, password_file: Path | None = None) -> None:
        url = self._url = dialect.parse(target if isinstance(target, str) else f"sqlite:///{target.absolute()}", password_file)
        self.where = url.render_as_string(hide_password=True) if url.get_backend_name() != "sqlite" else str(url.database)
        self.trouble = Trouble(self.where)
        self._lock = threading.Lock()
        with explained(self.where):
            self._writer, self._readers = dialect.engine(url, writer=True), dialect.engine(url, writer=False)
            self._folder = dialect.folder(url, self._writer, self._readers)
            self._unsynced = self._writer.execution_options(**{dialect.SYNCED: False})
            self._claim = dialect.claim(url)
            try:
                with self._readers.connect() as connection:
                    dialect.look_through(connection, self.where)
                    former = migrate.found(connection, self.where)
                due = former < migrate.newest()
                with dialect.altering(self._writer, self.where) if due else self._writer.begin() as connection:
                    migrate.upgrade(connection, self.where)
            except BaseException:
                self.close()
                raise
        if former and due:
            log.info("database %s was upgraded from version %d to %d", self.where, former, migrate.newest())

    @contextmanager
    def writing(self, synced: bool = True) -> Iterator[Connection]:
        """Open the one write transaction; it commits at the end of the block, and rolls back if the block raises.

        Parameters
        ----------
        synced
            Whether it is on the disk then. Otherwise it outlives this process, but a power cut only after a :meth:`sync`, or once a later
            one that is synced ends.

        Raises
        ------
        StoreError
            If the database refuses: a full disk, a lock, damage. Nothing of the block is then kept.
        """
        engine = self._writer if synced else self._unsynced
        with self._lock, self.trouble.noted("write"), explained(self.where):
            with engine.begin() as connection:
                yield connection
                named = models.in_files(connection) if self._folder and self._folder.stale else None
            if self._folder and named is not None:  # not before: what is rolled back names its files again
                self._folder.keep(named)

    def sync(self, again: Callable[[Connection], None]) -> None:
        """Have all that was written without a sync survive a power cut.

        Parameters
        ----------
        again
            Writes some of it once more, in a transaction of its own, where the database has no other way.

        Raises
        ------
        StoreError
            If the database refuses.
        """
        with self.trouble.noted("write"):
            if dialect.sync_log(self._url):
                return
        with self.writing() as connection:
            again(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a short transaction that sees one consistent state, whatever the writer does meanwhile."""
        with self.trouble.noted("read"), explained(self.where), self._readers.connect() as connection:
            yield connection

    def probe(self) -> None:
        """Read something.

        Raises
        ------
        StoreError
            If the database refuses.
        """
        with self.reading() as connection:
            meta.get(connection, "schema")

    def close(self) -> None:
        """Close every connection and let another server have the database."""
        self._readers.dispose()
        self._writer.dispose()
        self._claim.close()


def reset(connection: Connection) -> None:
    """Forget what was learnt, tried and mirrored, and the world's clock; keep the numbers that are in use on the wire, and who there is."""
    for part in (rounds, models, evaluations, mirror, meta):
        part.clear(connection)


def reset_task(connection: Connection, task: str) -> None:
    """Forget rounds, models, updates and evaluations of one task, and nothing else."""
    for part in (rounds, models, evaluations):
        part.clear(connection, task)
