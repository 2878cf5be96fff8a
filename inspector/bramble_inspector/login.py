"""The way in: a form, a session for whoever knows a password, and what each may do.

Without ``--login`` and ``--users`` all of this is absent: whoever reaches the page does what the inspector's own token opens.
"""

from __future__ import annotations

import logging
import math
from urllib.parse import urlencode

from dash import get_relative_path, html
from flask import Flask, Response, g, has_app_context, jsonify, redirect, render_template_string, request
from markupsafe import Markup

from bramble.api import Server, ServerError
from bramble_inspector.accounts import Accounts
from bramble_inspector.sessions import Session, Sessions
from bramble_inspector.settings import InspectorSettings
from bramble_protocol import BrambleError
from bramble_protocol.addresses import owner
from bramble_protocol.printable import printable
from bramble_protocol.throttle import Throttle

logger = logging.getLogger(__name__)

OPEN = ("/login", "/_alive", "/_ready", "/assets/", "/_dash-component-suites/", "/_favicon.ico")
"""Beginnings of the paths that need no session: none of them tells anything about the fleet."""
WRONG = "Name and password do not fit."
BURST, PAUSE_S = 5, 30.0
"""Wrong passwords of one address that are looked at at once, and seconds after which one more is."""
EXPIRED = "Your session has ended; log in again."
_FORM = """<!DOCTYPE html>
<html lang="en" class="login">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Log in · Bramble</title>
    <link rel="icon" type="image/svg+xml" href="assets/bramble.svg">
    <link rel="stylesheet" href="assets/login.css">
  </head>
  <body>
    <main>
      <h1><img src="assets/bramble.svg" alt="" width="32" height="32"> Bramble</h1>
      {% if error %}<p class="wrong" role="alert">{{ error }}</p>{% endif %}
      <form method="post" action="login">
        <input type="hidden" name="next" value="{{ next }}">
        {{ fields }}
        <button>Log in</button>
      </form>
      <p class="hint">{{ hint }}</p>
    </main>
  </body>
</html>
"""
_FIELDS = Markup("""
        <label>Name
          <input name="name" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="63" required autofocus></label>
        <label>Password
          <input name="password" type="password" autocomplete="current-password" maxlength="1000" required></label>""")
_HINT = "Or any name, and a token of the server as the password."


def install(app: Flask, client: Server, settings: InspectorSettings) -> None:
    """Let nobody see the page of ``app`` but who is logged in; nothing, where no login is set.

    Raises
    ------
    BrambleError
        If the file of passwords cannot be read.
    """
    if not settings.guarded:
        return
    sessions, throttle = Sessions(client, Accounts(settings.users), settings.session_hours), Throttle(BURST, PAUSE_S)
    # Cookies do not know ports: two inspectors on a host would take each other's
    cookie, path = f"bramble-{settings.port}", f"{settings.prefix}/"
    secure = settings.tls_cert is not None or settings.proxies > 0

    @app.before_request
    def check() -> Response | None:
        g.session = sessions.get(request.cookies.get(cookie))
        if g.session is not None or request.path.startswith(OPEN):
            return None
        if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
            asked = request.full_path.rstrip("?")
            return redirect(f"{settings.prefix}/login?{urlencode({'next': asked})}")  # type: ignore[return-value]
        # Not 401, whose body Dash reads twice in search of something of its own, and fails
        return Response(EXPIRED, 403, {"Bramble-Login": f"{settings.prefix}/login"}, "text/plain")

    def form(error: str | None, following: str) -> str:
        return render_template_string(_FORM, error=error, next=_local(following), fields=_FIELDS, hint=_HINT)

    @app.get("/login")
    def show() -> Response | str:
        following = _local(request.args.get("next", "/"))
        return form(None, following) if g.session is None else redirect(settings.prefix + following)  # type: ignore[return-value]

    @app.post("/login")
    def log_in() -> Response | tuple[Response | str, int, dict[str, str]]:
        name, following = request.form.get("name", "")[:63], request.form.get("next", "/")
        error, status, headers = _try(sessions, throttle, name, request.form.get("password", ""))
        page = "text/html" in request.headers.get("Accept", "")
        if isinstance(error, str):
            return (form(error, following) if page else jsonify(error=error)), status, headers
        number, session = error
        answer = redirect(settings.prefix + _local(following)) if page else jsonify(name=session.name)
        hold = round(settings.session_hours * 3600)
        answer.set_cookie(cookie, number, hold, path=path, secure=secure, httponly=True, samesite="Lax")
        return answer  # type: ignore[return-value]

    @app.post("/logout")
    def log_out() -> Response:
        sessions.log_out(request.cookies.get(cookie, ""))
        answer = redirect(f"{settings.prefix}/login")
        answer.delete_cookie(cookie, path=path, secure=secure, httponly=True, samesite="Lax")
        return answer  # type: ignore[return-value]


def _try(sessions: Sessions, throttle: Throttle, name: str, password: str) -> tuple[str | tuple[str, Session], int, dict[str, str]]:
    """Return a new session with its number, or why there is none, with the answer's status and headers."""
    address = request.remote_addr or ""
    home = owner(address)
    wait = math.ceil(throttle.take(home))
    if wait > 0:
        return f"Too many wrong passwords came from your address; try again in {wait} s.", 429, {"Retry-After": str(wait)}
    try:
        found = sessions.log_in(name, password)
    except ServerError as error:
        throttle.forgive(home)
        return str(error), 503, {}
    if found is None:
        logger.warning("login of %s from %s refused: name and password do not fit", printable(name) or "nobody", address)
        return WRONG, 401, {}
    throttle.forgive(home)
    logger.info("%s logged in from %s", found[1].name, address)
    return found, 200, {}


def _local(address: str) -> str:
    """Return where to go after the login: a path of this page, and nowhere else."""
    return address if address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable() else "/"


def acting(client: Server, scope: str) -> Server:
    """Return the server as whoever sent the current request acts on it.

    Parameters
    ----------
    client
        As the inspector's own token opens it.
    scope
        What is to be done: ``operate`` starts something, ``admin`` takes something away.

    Raises
    ------
    BrambleError
        If that is not open to this person.
    """
    session = _session()
    if session is None:
        return client
    if scope not in session.opens:
        raise BrambleError(f"{session.name} may not do this; it takes the scope {scope}.")
    return session.client


def _session() -> Session | None:
    """Return whose request is answered; nobody's where there is no login, nor while the page is built for the first time."""
    return g.get("session") if has_app_context() else None


def corner() -> list[html.Form]:
    """Return who is logged in, and the way out, for the header; nothing where there is no login."""
    session = _session()
    if session is None:
        return []
    role = next((scope for scope in ("admin", "operate") if scope in session.opens), "read")
    return [
        html.Form(
            [html.Span(session.name, className="who", title=f"may: {role}"), html.Button("Log out", className="log-out")],
            action=get_relative_path("/logout"),  # type: ignore[no-untyped-call]
            method="post", className="account", id="account",
        )
    ]  # fmt: skip


def closed() -> str:
    """Return the classes by which the page hides what is not open to whoever asked for it."""
    session = _session()
    return "" if session is None else " ".join(f"no-{scope}" for scope in ("operate", "admin") if scope not in session.opens)
