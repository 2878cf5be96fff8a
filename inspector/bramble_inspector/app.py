"""Builds the inspector, and serves it until told to stop."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from pathlib import Path

from dash import Dash
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from bramble.api import Server
from bramble_inspector import actions, callbacks, guard, page, prefix, watchdog
from bramble_inspector.feed import Feeds
from bramble_inspector.settings import InspectorSettings
from bramble_protocol import BrambleError
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


def create_app(settings: InspectorSettings) -> Dash:
    """Wire everything; nothing else constructs.

    Raises
    ------
    BrambleError
        If the token's or the authority's file cannot be read.
    """
    client = Server.of(settings)
    app = Dash(
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
    app.layout = page.layout(settings.server, settings.interval)
    drawn = callbacks.register(app, Feeds(client, settings.interval, settings.history), settings.server)
    actions.register(app, client)
    watchdog.answer(app.server, drawn)
    prefix.install(app.server, settings.prefix)
    guard.install(app.server, KnownHosts(f"{settings.host},{settings.allowed_hosts}"), app.csp_hashes())
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
    server = _serve(settings)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            # shutdown() waits for the serving loop, which the handler interrupts: so not in this thread
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    host = f"[{server.host}]" if ":" in server.host else server.host
    print(f"bramble inspector ready on http://{host}:{server.port}{settings.prefix}", flush=True)
    watchdog.start(server.host, server.port)
    server.serve_forever()
    server.server_close()
    return 0


def _serve(settings: InspectorSettings) -> BaseWSGIServer:
    app = create_app(settings)
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # Bound here because werkzeug would print its own advice and end the process where the port is taken
        listener = socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        reason = (error.strerror or str(error)).split(" (")[0]
        raise BrambleError(f"Cannot serve on {settings.host}:{settings.port} ({reason}); choose another --host or --port.") from error
    with listener:
        server = make_server(
            settings.host, listener.getsockname()[1], app.server, threaded=True, request_handler=_Handler, fd=listener.fileno()
        )
    if settings.host not in ("127.0.0.1", "::1", "localhost"):
        logger.warning("the page has no login: whoever reaches %s:%d can start and reset rounds", settings.host, server.port)
    return server


class _Handler(WSGIRequestHandler):
    """Keeps connections open between a page's many small requests, and says nothing of each."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        logger.debug('"%s" %s', self.requestline, code)

    def log(self, type: str, message: str, *args: object) -> None:
        logger.debug(message, *args)
