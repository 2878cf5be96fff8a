"""A real server, real clients, a real browser."""

from __future__ import annotations

import logging
import signal
import subprocess
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from dash import Dash
from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, Request
from werkzeug.serving import make_server

from bramble.api import Server
from bramble_inspector.app import create_app
from bramble_inspector.settings import InspectorSettings
from tests import warm
from tests.inspector.pi import Pi
from tests.inspector.standin import Standin
from tests.ports import kept
from tests.server.database import migrated
from tests.waiting import wait_for


class RealServer:
    """``bramble server`` as its own process, which can be killed and started again on the same port."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self._folder, self._flags = folder, flags
        self.port = kept()
        self.start()

    def start(self) -> None:
        migrated(self._folder)
        arguments = ["--data-dir", str(self._folder), *self._flags, "--port", str(self.port)]
        self.process = warm.Popen("bramble_server", *arguments, stdout=subprocess.PIPE, text=True, cwd=warm.ROOT)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.endswith(f"ready on http://127.0.0.1:{self.port}\n"), line

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> Server:
        return Server(self.url, timeout=60)


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start_server(tmp_path: Path, cleanup: ExitStack) -> Callable[..., RealServer]:
    """Starts a real server with flags."""

    def start(*flags: str) -> RealServer:
        server = RealServer(tmp_path / "server", *flags)
        cleanup.callback(lambda: server.process.poll() is None and server.stop())
        return server

    return start


@pytest.fixture
def start_fleet(cleanup: ExitStack) -> Callable[[RealServer, list[str]], list[Pi]]:
    """Connects protocol-speaking clients to a real server."""

    def start(server: RealServer, names: list[str]) -> list[Pi]:
        fleet = []
        for place, name in enumerate(names):
            fleet.append(Pi(server.url, name, place))
            cleanup.callback(fleet[-1].close)
        wait_for(lambda: server.api.status()["clients"] == len(names), "all clients to be connected")
        return fleet

    return start


@pytest.fixture
def standin(cleanup: ExitStack) -> Standin:
    """A server whose state the test writes by hand."""
    server = Standin()
    cleanup.callback(server.close)
    return server


class Stage:
    """One address for the inspector of every test, so that the browser loads its scripts once."""

    app: Dash

    def __init__(self) -> None:
        self._server = make_server("127.0.0.1", 0, lambda environ, start: self.app.server.wsgi_app(environ, start), threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    logging.getLogger("werkzeug").setLevel("WARNING")
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture
def inspect(stage: Stage) -> Callable[..., str]:
    """Serves the inspector of a server's address; returns the page's."""

    def serve(url: str, **settings: Any) -> str:
        stage.app = create_app(InspectorSettings(server=url, **{"interval": 0.2, **settings}))
        return stage.url

    return serve


class Watched:
    """A page of the inspector, with everything that went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            self.elsewhere.append(request.url)

    def open(self, url: str) -> Page:
        self.page.goto(url)
        self.page.wait_for_selector("#nav .current")
        self.page.wait_for_selector(".page")
        return self.page


@pytest.fixture
def watched(browser: BrowserContext) -> Iterator[Watched]:
    """A fresh tab; the test fails on any console message, script error, or request to elsewhere."""
    page = browser.new_page()
    tab = Watched(page)
    yield tab
    page.close()
    assert tab.errors == []
    assert tab.elsewhere == []


HOMES = {
    "Fleet": ("fleet", "card", "round-line", "clients-line", "error-line", "data-line", "champion-line"),
    "Data": ("streams", "forecast", "channel", "span", "data-"),
    "Rounds": ("loss", "error", "divergence", "when", "measure", "rounds-"),
}
"""On which page what is, by the beginning of its id."""


def show(page: Page, title: str) -> None:
    """Go to a page by the navigation, unless it is the one that is shown."""
    if page.locator("#nav .current").inner_text() != title:
        page.get_by_role("navigation").get_by_text(title, exact=True).click()
        page.wait_for_selector(f".page.{title.lower()}")


def at(page: Page, selector: str) -> Locator:
    """Return something by its id (``#loss .xtitle``), on the page on which it is."""
    name = selector.removeprefix("#").split(" ")[0]
    show(page, next(home for home, beginnings in HOMES.items() if name.startswith(beginnings)))
    return page.locator(selector)


def traces(page: Page, graph: str) -> dict[str, dict[str, Any]]:
    """Return what a graph holds, read out of the browser: trace name -> its x and y. Small multiples are told apart by meta.

    One that is not there has no points: to a test that waits for some, a graph that is still to be drawn is one like any other.
    """
    at(page, f"#{graph}")
    data = page.evaluate(
        "id => (document.querySelector(`#${id} .js-plotly-plot`)?.data ?? []).map(t => ({name: t.meta ? `${t.meta} ${t.name}` : t.name, "
        "x: Array.from(t.x), y: Array.from(t.y), colour: (t.line || t.marker).color}))",
        graph,
    )
    return defaultdict(lambda: {"x": [], "y": [], "colour": None}, {trace["name"]: trace for trace in data})
