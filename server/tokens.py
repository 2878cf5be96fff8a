"""Who may connect: a TOML file that holds the SHA-256 of every token, never a token.

::

    [clients]                       # Socket.IO: the client's id
    pi-kitchen = "sha256:9f86d0..."
    [http]                          # HTTP: any name, for the log
    inspector = "sha256:60303a..."

A token is 256 random bits, so its plain hash gives nothing away and needs neither salt nor a slow function.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import tomllib
from pathlib import Path
from typing import Any

from protocol.errors import BrambleError
from protocol.fields import CLIENT_ID

log = logging.getLogger(__name__)

_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_SECTIONS = ("clients", "http")
_NOBODY = "sha256:" + "0" * 64
"""What the token of an unknown name is compared with, so that its answer takes as long as that of a known one."""


class TokenError(BrambleError):
    """The token file cannot be read; the text names the line or the entry."""


def new_token() -> tuple[str, str]:
    """Return a new token, for the one who will show it, and its hash, for the token file."""
    token = secrets.token_urlsafe(32)
    return token, hash_of(token)


def hash_of(token: str) -> str:
    """Return what the token file holds for a token."""
    return "sha256:" + hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


class Tokens:
    """The token file, read again whenever it changes: taking a line out revokes that token without a restart.

    A file that became unreadable is logged once, and the last good one stays in force: a typo locks nobody out.

    Parameters
    ----------
    path
        The TOML file.

    Raises
    ------
    TokenError
        If it cannot be read at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._stamp()
        self._table = read(path)

    def client(self, client_id: str, token: str | None) -> bool:
        """Whether this is the token of this client."""
        return self.holds(client_id, hash_of(token or ""))

    def holds(self, client_id: str, hashed: str) -> bool:
        """Whether this is the hash of the token of this client."""
        return hmac.compare_digest(hashed, self._current()["clients"].get(client_id, _NOBODY))

    def any_client(self, token: str | None) -> bool:
        """Whether this is the token of some client. Every entry is compared, whichever fits."""
        given = hash_of(token or "")
        return any([hmac.compare_digest(given, known) for known in self._current()["clients"].values()])

    def http(self, token: str | None) -> str | None:
        """Return the name that goes with a token of the HTTP side, or None. Every entry is compared, whichever fits."""
        given, found = hash_of(token or ""), None
        for name, known in self._current()["http"].items():
            if hmac.compare_digest(given, known):
                found = name
        return found

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _current(self) -> dict[str, dict[str, str]]:
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._table = read(self._path)
            except TokenError as error:
                log.error("%s; the tokens read before stay in force", error)
            else:
                log.info("tokens: read %s again", self._path)
        return self._table


def read(path: Path) -> dict[str, dict[str, str]]:
    """Read a token file: section -> name -> hash.

    Raises
    ------
    TokenError
        If it is not there, not TOML (naming the line), or an entry is not a name and a SHA-256 (naming the entry).
    """
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise TokenError(f"tokens: {path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise TokenError(f"tokens: {path} is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise TokenError(f"tokens: {path} is not TOML: {error}") from error
    for section, entries in content.items():
        if section not in _SECTIONS or not isinstance(entries, dict):
            raise TokenError(f"tokens: {path} has [{section}], expected only the sections [clients] and [http]")
        for name, value in entries.items():
            where = f"tokens: {path}, [{section}] {name}"
            if section == "clients" and not CLIENT_ID.fullmatch(name):
                raise TokenError(f"{where}: the name is not a client id, expected {CLIENT_ID.pattern}")
            if not isinstance(value, str) or not _HASH.fullmatch(value):
                raise TokenError(f'{where}: expected "sha256:" and 64 hexadecimal digits')
    return {section: content.get(section, {}) for section in _SECTIONS}
