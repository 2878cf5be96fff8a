"""Who is logged in.

Sessions are in this process's memory: what a browser holds is a random number that means nothing anywhere else, logging out
forgets it, and so does a restart.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from bramble.api import Server, ServerDown, ServerError, ServerRefused
from bramble_inspector.accounts import Account, Accounts
from bramble_protocol.scopes import opens

MOST = 1000
"""Sessions at a time; the oldest goes first."""
AGAIN_S = 60.0
"""Seconds after which the server is asked again whether it still knows a session's token."""

Clock = Callable[[], float]


@dataclass
class Session:
    """One login."""

    name: str
    opens: frozenset[str]
    """Of the scopes."""
    until: float
    client: Server
    """The server, as this person acts on it: by the person's token, or else by the inspector's."""
    account: Account | None = None
    """None of somebody who came with a token."""
    asked: float = field(default=0.0)


class Sessions:
    """Logs people in and out.

    Parameters
    ----------
    client
        The server, as the inspector's own token opens it.
    hours
        How long a session lasts.
    """

    def __init__(self, client: Server, accounts: Accounts, hours: float, clock: Clock = time.monotonic) -> None:
        self._client, self._accounts, self._seconds, self._clock = client, accounts, hours * 3600, clock
        self._known: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()
        # A password takes a tenth of a second and 32 MB to compare
        self._comparing = threading.Semaphore(2)

    def log_in(self, name: str, password: str) -> tuple[str, Session] | None:
        """Return a new session and what its browser shows for it; None if the password is wrong.

        Raises
        ------
        ServerError
            If it may be a token, and the server cannot be asked.
        """
        with self._comparing:
            account = self._accounts.verify(name, password)
        if account is not None:
            session = Session(name, opens([account.scope]), 0.0, self._client.on_behalf_of(name), account)
        elif self._accounts.get(name) is None and (found := self._by_token(password)):
            session = found
        else:
            return None
        session.until = self._clock() + self._seconds
        number = secrets.token_urlsafe(32)
        with self._lock:
            self._known[number] = session
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return number, session

    def _by_token(self, token: str) -> Session | None:
        if not 20 <= len(token) <= 200 or not token.isascii() or not token.isprintable() or " " in token:
            return None
        client = self._client.as_of(token)
        try:
            visitor = client.whoami()
        except ServerRefused as error:
            if error.status == 404:
                raise ServerError("The server is of a release that does not say what a token opens; log in by a password.") from error
            if error.status == 429:  # others guessed here
                raise
            return None
        if visitor["name"] is None:  # it asks for no token, so none tells who somebody is
            return None
        return Session(f"{visitor['name']} (token)", frozenset(visitor["opens"]), 0.0, client, asked=self._clock())

    def get(self, number: str | None) -> Session | None:
        """Return the session that a browser shows, while it lasts."""
        session = self._known.get(number or "")
        if session is None or number is None:
            return None
        if self._clock() > session.until or not self._still(session):
            self.log_out(number)
            return None
        return session

    def _still(self, session: Session) -> bool:
        """Whether the password has not changed, and the server still takes the token; while it cannot be asked, it does."""
        if session.account is not None:
            now = self._accounts.get(session.name)
            return now == session.account
        if self._clock() - session.asked > AGAIN_S:
            session.asked = self._clock()
            try:
                session.opens = frozenset(session.client.whoami()["opens"])
            except ServerDown:
                return True
            except ServerRefused as error:
                return error.status == 429
        return True

    def log_out(self, number: str) -> None:
        """Forget a session."""
        with self._lock:
            self._known.pop(number, None)
