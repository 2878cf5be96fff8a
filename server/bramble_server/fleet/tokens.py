"""Who may connect: a TOML file that holds the SHA-256 of every token, never a token.

::

    [clients]                       # Socket.IO: the client's id
    pi-kitchen = "sha256:9f86d0..."
    [http]                          # HTTP: any name, for the log, and what its token opens
    inspector = { hash = "sha256:60303a...", scopes = ["operate"] }

Where a hash stands there may be a list of them: each is good. While tokens are made anew, those of before stand in a second file
beside it, ``tokens.former.toml`` for ``tokens.toml``, which may come and go. It has the same form, and its own name, so that a
release that knows neither lists nor it still starts.

A token is 256 random bits, so its plain hash gives nothing away and needs neither salt nor a slow function.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bramble_protocol.errors import BrambleError
from bramble_protocol.fields import CLIENT_ID
from bramble_protocol.scopes import SCOPES, opens
from bramble_server.fleet.guesses import Guesses

log = logging.getLogger(__name__)

_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # https://toml.io/en/v1.0.0#keys
_SECTIONS = ("clients", "http")
LONGEST_NAME = 63
_NOBODY = "sha256:" + "0" * 64
"""What the token of an unknown name is compared with, so that its answer takes as long as that of a known one."""


class TokenError(BrambleError):
    """The token file cannot be read; the text names the line or the entry."""


@dataclass(frozen=True)
class Visitor:
    """Whose an HTTP token is, and what it opens."""

    name: str
    opens: frozenset[str]
    """Of the keys of :data:`bramble_protocol.scopes.SCOPES`."""


@dataclass(frozen=True)
class _Entry:
    hashes: tuple[str, ...]
    visitor: Visitor


@dataclass(frozen=True)
class Table:
    """A token file, read."""

    clients: dict[str, tuple[str, ...]]
    """Client id -> hashes of its tokens."""
    http: tuple[_Entry, ...]
    unscoped: tuple[str, ...] = field(default=())
    """Names of HTTP entries without scopes, as release 0.1 wrote them; they open everything, as they did."""


def client_entry(client: str, hashed: str) -> str:
    """Return what the token file needs for a client's token.

    Raises
    ------
    TokenError
        If no client can have that id.
    """
    if not CLIENT_ID.fullmatch(client):
        raise TokenError(f"{client!r} is not a client id; one has small letters, digits and dashes, such as pi-kitchen")
    return f'[clients]\n{client} = "{hashed}"'


def http_entry(name: str, hashed: str, scopes: Iterable[str]) -> str:
    """Return what the token file needs for a token of the HTTP side.

    Raises
    ------
    TokenError
        If a scope is none, or the name cannot be written to a log.
    """
    scopes = list(dict.fromkeys(scopes))
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown:
        raise TokenError(f"--scope: {unknown[0]!r} is not one of {', '.join(SCOPES)}")
    if not name or not name.isprintable() or len(name) > LONGEST_NAME:
        raise TokenError(f"{name[:80]!r} is not a name for the log; take at most {LONGEST_NAME} printable characters, such as grafana")
    key = name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)
    return f'[http]\n{key} = {{ hash = "{hashed}", scopes = {json.dumps(scopes)} }}'


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
        The TOML file. The one of former tokens is looked for beside it, at the start and ever after.

    Raises
    ------
    TokenError
        If it cannot be read at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._former = path, former(path)
        self._seen = self._stamp()
        self._table = self._read()
        self._said: tuple[str, ...] = ()
        self.guesses = Guesses()
        """What was shown that is no token of anybody."""
        self._warn()

    def client(self, client_id: str, token: str | None) -> bool:
        """Whether this is the token of this client."""
        return self.holds(client_id, hash_of(token or ""))

    def holds(self, client_id: str, hashed: str) -> bool:
        """Whether this is the hash of the token of this client."""
        return any([hmac.compare_digest(hashed, known) for known in self._current().clients.get(client_id, (_NOBODY,))])

    def any_client(self, token: str | None) -> bool:
        """Whether this is the token of some client. Every entry is compared, whichever fits."""
        given = hash_of(token or "")
        return any([hmac.compare_digest(given, known) for hashes in self._current().clients.values() for known in hashes])

    def clients(self) -> list[str]:
        """Return the ids of all clients that have a token, in order."""
        return sorted(self._current().clients)

    def http(self, token: str | None) -> Visitor | None:
        """Return who comes with a token of the HTTP side, or None. Every entry is compared, whichever fits."""
        given, found = hash_of(token or ""), None
        for entry in self._current().http:
            if any([hmac.compare_digest(given, known) for known in entry.hashes]):
                found = entry.visitor
        return found

    def _read(self) -> Table:
        table = read(self._path)
        if not self._former.exists():
            return table
        before, http = read(self._former), {entry.visitor.name: entry.visitor for entry in table.http}
        # Of names that the file itself has, and with the scopes that it gives them: who is taken out of it is out.
        clients = {name: hashes + before.clients.get(name, ()) for name, hashes in table.clients.items()}
        visitors = tuple(_Entry(entry.hashes, http[entry.visitor.name]) for entry in before.http if entry.visitor.name in http)
        return Table(clients, table.http + visitors, table.unscoped)

    def _stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        return _stamp(self._path), _stamp(self._former)

    def _warn(self) -> None:
        unscoped = self._table.unscoped
        if unscoped and unscoped != self._said:
            log.warning(
                "tokens: %s, [http]: %s without scopes may do everything, as with release 0.1; give each the smallest of %s that works",
                self._path, ", ".join(unscoped), ", ".join(SCOPES),
            )  # fmt: skip
        self._said = unscoped

    def _current(self) -> Table:
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._table = self._read()
            except TokenError as error:
                log.error("%s; the tokens read before stay in force", error)
            else:
                log.info("tokens: read %s again", self._path)
                self._warn()
        return self._table


def former(path: Path) -> Path:
    """Return where the tokens of before stand, for a token file."""
    return path.with_name(f"{path.stem}.former{path.suffix}")


def read(path: Path) -> Table:
    """Read a token file.

    Raises
    ------
    TokenError
        If it is not there, not TOML (naming the line), or an entry is not what its section takes (naming the entry).
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
    clients, http = {}, content.get("http", {})
    for name, value in content.get("clients", {}).items():
        where = f"tokens: {path}, [clients] {name}"
        if not CLIENT_ID.fullmatch(name):
            raise TokenError(f"{where}: the name is not a client id, expected {CLIENT_ID.pattern}")
        clients[name] = _hashes(value, where)
    visitors = tuple(_entry(name, value, f"tokens: {path}, [http] {name}") for name, value in http.items())
    return Table(clients, visitors, tuple(name for name, value in http.items() if isinstance(value, str)))


def _entry(name: str, value: Any, where: str) -> _Entry:
    if not isinstance(value, dict):
        return _Entry(_hashes(value, where), Visitor(name, opens(SCOPES)))
    unknown = sorted(value.keys() - {"hash", "scopes"})
    if unknown:
        raise TokenError(f"{where}: {unknown[0]} is not known, expected hash and scopes")
    scopes = value.get("scopes")
    if not isinstance(scopes, list) or not scopes or any(not isinstance(scope, str) or scope not in SCOPES for scope in scopes):
        raise TokenError(f"{where}: scopes: expected a list of {', '.join(SCOPES)}")
    return _Entry(_hashes(value.get("hash"), where), Visitor(name, opens(scopes)))


def _hashes(value: Any, where: str) -> tuple[str, ...]:
    hashes = value if isinstance(value, list) else [value]
    if not hashes or any(not isinstance(item, str) or not _HASH.fullmatch(item) for item in hashes):
        raise TokenError(f'{where}: expected "sha256:" and 64 hexadecimal digits, or a list of such')
    return tuple(hashes)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
