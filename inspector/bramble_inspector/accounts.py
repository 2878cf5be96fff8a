"""Who may log in by name and password: a TOML file that holds a hash of every password, never a password.

::

    anna = { hash = "scrypt:32768:8:1$...", scope = "admin" }

``bramble inspector password anna`` makes such a line. Scopes are those of the server's tokens.
"""

from __future__ import annotations

import logging
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from werkzeug.security import check_password_hash, generate_password_hash

from bramble_protocol import BrambleError
from bramble_protocol.scopes import SCOPES

logger = logging.getLogger(__name__)

SHORTEST = 10
"""Characters of a password. Who guesses is slowed down, but has all the time there is."""
LONGEST = 1000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
ROLES = tuple(scope for scope in SCOPES if scope != "metrics")
"""Scopes that somebody who looks at a page can have."""
_HASH = re.compile(r"scrypt:\d{1,9}:\d{1,3}:\d{1,3}\$[!-#%-~]{1,200}\$[0-9a-f]{128}")


@dataclass(frozen=True)
class Account:
    """A line of the file."""

    hash: str
    scope: str


def entry(name: str, password: str, scope: str) -> str:
    """Return what the file needs for somebody.

    Raises
    ------
    BrambleError
        If the name, the password or the scope is none that can be taken.
    """
    if not NAME.fullmatch(name):
        raise BrambleError(f"password: {name[:80]!r} is not a name; take letters, digits, dashes, at most 63, such as anna")
    if scope not in ROLES:
        raise BrambleError(f"--scope: {scope!r} is not one of {', '.join(ROLES)}")
    if not SHORTEST <= len(password) <= LONGEST:
        raise BrambleError(f"password: it has {len(password)} characters; take {SHORTEST} to {LONGEST}")
    return f'{name} = {{ hash = "{generate_password_hash(password)}", scope = "{scope}" }}'


class Accounts:
    """The file, read again whenever it changes: taking a line out ends that person's sessions without a restart.

    A file that became unreadable is logged once, and the last good one stays in force.

    Parameters
    ----------
    path
        None: nobody has a password.

    Raises
    ------
    BrambleError
        If it cannot be read at the start.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen = _stamp(path)
        self._known = read(path) if path else {}
        self._nobody = generate_password_hash("")

    def get(self, name: str) -> Account | None:
        """Return somebody's line."""
        stamp = _stamp(self._path)
        if self._path and stamp != self._seen:
            self._seen = stamp
            try:
                self._known = read(self._path)
            except BrambleError as error:
                logger.error("%s; what was read before stays in force", error)
        return self._known.get(name)

    def verify(self, name: str, password: str) -> Account | None:
        """Return whose name and password these are; it takes as long for a name that nobody has."""
        found = self.get(name)
        fits = check_password_hash(found.hash if found else self._nobody, password[:LONGEST])
        return found if fits else None


def read(path: Path) -> dict[str, Account]:
    """Read a file of accounts.

    Raises
    ------
    BrambleError
        If it is not there, no TOML (naming the line), or an entry is not what it should be (naming it).
    """
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BrambleError(f"--users: {path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise BrambleError(f"--users: {path} is not TOML: {error}") from error
    return {name: _account(value, f"--users: {path}, {name[:80]}") for name, value in content.items()}


def _account(value: Any, where: str) -> Account:
    if not isinstance(value, dict) or value.keys() != {"hash", "scope"}:
        raise BrambleError(f"{where}: expected {{ hash, scope }}, as `bramble inspector password` prints them")
    if not isinstance(value["hash"], str) or not _HASH.fullmatch(value["hash"]):
        raise BrambleError(f"{where}: hash: it is none that `bramble inspector password` prints")
    if value["scope"] not in ROLES:
        raise BrambleError(f"{where}: scope: expected one of {', '.join(ROLES)}")
    return Account(value["hash"], value["scope"])


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path) if path else None
    except OSError:
        return None
    return status and (status.st_mtime_ns, status.st_size, status.st_ino)
