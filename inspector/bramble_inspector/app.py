"""Builds the inspector, and serves it until told to stop."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dash
from dash import Dash
from werkzeug.middleware.proxy_fix import ProxyFix

from bramble.api import Server
from bramble_inspector import actions, delivery, guard, live, login, model_actions, prefix, serving, shell, watchdog
from bramble_inspector.apart import Apart
from bramble_inspector.feed import Feeds, Snapshot
from bramble_inspector.library import Library
from bramble_inspector.pages import client, data, experiments, fleet, models, not_found_404, rounds
from bramble_inspector.runs import Runs
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
    <link rel="icon" type="image/svg+xml" href="ASSETS/bramble.svg">
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
    server = Server.of(settings)
    app = _Page(
        "bramble_inspector",
        title="Bramble",
        update_title="",
        use_pages=True,
        pages_folder="",
        suppress_callback_exceptions=True,  # what a callback puts on a page is there while that page is shown
        serve_locally=True,
        requests_pathname_prefix=f"{settings.prefix}/",
        routes_pathname_prefix="/",
        assets_folder=str(Path(__file__).parent / "assets"),
        include_pages_meta=False,
        add_log_handler=False,
        enable_mcp=False,
    )
    app.index_string = _INDEX.replace("ASSETS", app.get_asset_url("").rstrip("/"))
    # for each page anew: it says who is logged in
    app.layout = lambda: shell.layout(settings.server, settings.interval, app.get_asset_url("bramble.svg"))
    feeds = Feeds(server, settings.interval, settings.history)
    # In the order of the navigation
    pages = (
        fleet.PAGE,
        client.page(Apart(server)),
        rounds.PAGE,
        models.page(Library(server)),
        experiments.page(Runs(settings.experiments)),
        data.PAGE,
    )
    shell.register(app, feeds, pages)
    opened = [_add(app, feeds, page) for page in pages]
    dash.register_page(not_found_404.__name__, path="/not-found", layout=not_found_404.layout, title="Bramble")  # type: ignore[no-untyped-call]
    actions.register(app, server)
    model_actions.register(app, server)

    def drawn() -> str | None:
        snapshot = feeds.look()
        shell.draw(live.Answer(shell.OUTPUTS, {}), snapshot)
        for draw in opened:
            draw(snapshot)
        return snapshot.down

    watchdog.answer(app.server, drawn)
    prefix.install(app.server, settings.prefix)
    if settings.proxies:
        app.server.wsgi_app = ProxyFix(app.server.wsgi_app, settings.proxies, settings.proxies, x_host=0)
    guard.install(app.server, KnownHosts(f"{settings.host},{settings.allowed_hosts}"), app.csp_hashes)
    login.install(app.server, server, settings)
    return app


def _add(app: Dash, feeds: Feeds, page: live.Page) -> Callable[[Snapshot], None]:
    """Put a page into the app; return what draws it."""
    title = "Bramble" if page.path == "/" else f"{page.title} – Bramble"
    dash.register_page(page.name, path=page.path, path_template=page.template, title=title, layout=page.skeleton)  # type: ignore[no-untyped-call]
    return live.register(app, feeds, page)


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
