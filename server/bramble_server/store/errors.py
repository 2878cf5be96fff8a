"""What goes wrong with a database, as sentences."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from bramble_protocol.errors import BrambleError


class StoreError(BrambleError):
    """The store cannot be opened, read or written."""


class AwayError(StoreError):
    """The database does not answer: whatever else is tried now fails alike."""


REMEDY = "stop the server, move the file away and restore a copy, or what `sqlite3 FILE .recover` saves, or start anew without it"
_SQLITE = {
    "SQLITE_BUSY": "is locked by another process: stop what else has it open",
    "SQLITE_FULL": "cannot grow because the disk is full: free some space; nothing that was committed is lost",
    "SQLITE_CORRUPT": f"is damaged: {REMEDY}",
    "SQLITE_NOTADB": "is not a database: move the file away, or choose another --data-dir",
    "SQLITE_READONLY": "may not be written to: give its file and folder to the user that runs the server",
    "SQLITE_CANTOPEN": "cannot be opened: check that its folder exists and may be written to",
    "SQLITE_IOERR": "cannot be read or written, the disk reports an error: check the disk (on a Pi, its SD card)",
}
"""Primary result code (https://sqlite.org/rescode.html) -> what to say."""


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn what a database driver raises into a ``StoreError`` that names the database and the remedy."""
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated or _cut_off(error):
            raise AwayError(f"database {where} cannot be reached ({_first_line(error.orig)}): see whether it runs") from error
        raise StoreError(f"database {where} {_explain(error.orig)}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:  # what stands in a column is not what was written there
        raise StoreError(f"database {where} is damaged: {REMEDY}") from error
    except SQLAlchemyError as error:
        raise StoreError(f"database {where}: {_first_line(error)}") from error


def _cut_off(error: DBAPIError) -> bool:
    """Whether PostgreSQL could not be reached or is closing down: classes 08 and 57P of its error codes, or none where it said nothing."""
    if not isinstance(error, OperationalError) or isinstance(error.orig, sqlite3.Error):
        return False
    code = getattr(error.orig, "sqlstate", None)
    return code is None or str(code).startswith(("08", "57P"))


def _explain(error: BaseException | None) -> str:
    name = getattr(error, "sqlite_errorname", "") if isinstance(error, sqlite3.Error) else ""
    for code, sentence in _SQLITE.items():
        if name == code or name.startswith(code + "_"):
            return sentence
    if isinstance(error, sqlite3.OperationalError) and "decode" in str(error):
        return _SQLITE["SQLITE_CORRUPT"]
    return f"reports: {_first_line(error)}"


def _first_line(error: BaseException | None) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
