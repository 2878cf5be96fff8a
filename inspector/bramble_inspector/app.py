"""Builds the inspector, and serves it until told to stop."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from typing import Any

from dash import Dash
from werkzeug.middleware.proxy_fix import ProxyFix

from bramble.api import Server
from bramble_inspector import actions, callbacks, delivery, guard, login, page, prefix, serving, watchdog
from bramble_inspector.feed import Feeds
from bramble_inspector.settings import InspectorSettings
from bramble_protocol.origins import KnownHosts

logger = logging.getLogger(__name__)

_INDEX = """<!DOCTYPE html>
<html lang="en">
  <head>
    {%metas%}
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>{%title%}</title>
    <link rel="icon" type="image/svg+xml" href="assets/bramble.svg">
    {%css%}
  </head>
  <body>
    {%app_entry%}
    <footer>{%config%}{%scripts%}{%renderer%}</footer>
  </body>
</html>
"""


class _Page(Dash):
    def interpolate_index(self, **parts: Any) -> str:  # type: ignore[override]
        """Return the page's HTML."""
        return str(super().interpolate_index(**parts | {"scripts": delivery.needed(parts["scripts"])}))  # type: ignore[no-untyped-call]


def create_app(settings: InspectorSettings) -> Dash:
    """Wire everything; nothing else constructs.

    Raises
    ------
    BrambleError
        If the token's or the authority's file cannot be read.
    """
    client = Server.of(settings)
    app = _Page(
        "bramble_inspector",
        title="Bramble",
        update_title="",
        index_string=_INDEX,
        serve_locally=True,
        requests_pathname_prefix=f"{settings.prefix}/",
        routes_pathname_prefix="/",
        assets_folder=str(Path(__file__).parent / "assets"),
        include_pages_meta=False,
        add_log_handler=False,
        enable_mcp=False,
    )
    app.layout = lambda: page.layout(settings.server, settings.interval)  # for each page anew: it says who is logged in
    drawn = callbacks.register(app, Feeds(client, settings.interval, settings.history), settings.server)
    actions.register(app, client)
    watchdog.answer(app.server, drawn)
    prefix.install(app.server, settings.prefix)
    if settings.proxies:
        app.server.wsgi_app = ProxyFix(app.server.wsgi_app, settings.proxies, settings.proxies, x_host=0)
    guard.install(app.server, KnownHosts(f"{settings.host},{settings.allowed_hosts}"), app.csp_hashes())
    login.install(app.server, client, settings)
    return app


def run(settings: InspectorSettings) -> int:
    """Serve the page until SIGINT or SIGTERM.

    Returns
    -------
    int
        0, after a clean end.

    Raises
    ------
    BrambleError
        If it cannot start: in one sentence.
    """
    app = create_app(settings).server
    delivery.install(app)
    server = serving.PageServer(app, settings)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            # stop() waits for the serving loop, which the handler interrupts: so not in this thread
            signal.signal(number, lambda *_: threading.Thread(target=server.stop).start())
    if settings.without_login and not settings.loopback:
        logger.warning("the page has no login: whoever reaches %s:%d may do what its token opens", settings.host, server.port)
    server.prepare()
    print(f"bramble inspector ready on {server.url}{settings.prefix}", flush=True)
    watchdog.start(server.url)
    server.serve()
    return 0
