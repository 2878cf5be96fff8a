"""A real browser, with a page of somebody else in it: nothing that the page does starts, resets or joins anything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect
from werkzeug.datastructures import Headers

from bramble.api import Server
from bramble_server.fleet.tokens import hash_of, http_entry
from bramble_server.web import browsers
from tests.server.pi import Pi, hello, update
from tests.server.process import ServerProcess
from tests.waiting import wait_for

EVIL = Path(__file__).with_name("evil.html").read_bytes()
FROM = ["http://evil.example", "http://hub.local", "http://127.0.0.1"]
"""Another name, and another port of the server's own: as a name in the network, and as loopback, where browsers send ``Sec-Fetch-Site``."""
STARTERS = ("/", "/reset", "/generate")


class Site:
    """A web server that shows the page to whoever comes, and notes what it is asked."""

    def __init__(self) -> None:
        asked: list[tuple[str, str, Headers]] = []

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                asked.append((self.command, self.path, Headers(list(self.headers.items()))))
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(EVIL)))
                self.end_headers()
                self.wfile.write(EVIL if self.path.startswith("/evil") else b" " * len(EVIL))

            do_GET = do_POST = do_OPTIONS = answer

            def log_message(self, *arguments: Any) -> None:
                pass

        self.asked = asked
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def site() -> Iterator[Callable[[], Site]]:
    with ExitStack() as stack:

        def make() -> Site:
            made = Site()
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    tab = browser.new_page()
    yield tab
    tab.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server"), "--min-clients", "1", "--deadline", "1h") as process:
        yield process


def visit(page: Page, origin: str, site: Site, target: str) -> None:
    page.goto(f"{origin}:{site.port}/evil.html?target={target}")
    expect(page).to_have_title("done")
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("origin", FROM)
def test_everything_that_the_page_sends_is_known_for_a_browsers(origin: str, page: Page, site: Callable[[], Site]) -> None:
    evil, recorder = site(), site()
    target = f"{origin.replace('evil.example', 'hub.local')}:{recorder.port}"
    visit(page, origin, evil, target + "&named")
    ways = {"img-silent", "script-silent", "style", "video", "iframe", "object", "form", "fetch-silent", "fetch-plain", "beacon", "sandbox"}
    seen = {path.partition("by=")[2] for _, path, _ in recorder.asked}
    assert ways <= seen, "the page does what it is for"
    for method, path, headers in recorder.asked:
        if method == "GET":
            assert browsers.telltale(headers), (path, headers)
        elif method == "POST":
            assert browsers.foreign(headers, "http"), (path, headers)


@pytest.mark.parametrize("origin", FROM)
def test_a_page_of_another_origin_starts_resets_and_joins_nothing(
    origin: str, page: Page, site: Callable[[], Site], server: ServerProcess
) -> None:
    target = f"{origin.replace('evil.example', 'hub.local')}:{server.port}"
    with Pi(server.url) as pi:
        number = server.api.start()["round"]
        pi.train()
        wait_for(lambda: server.api.status()["round"] == number, "a round that a reset would forget")
        before = server.api.status()
        answers: list[tuple[str, str, int, str]] = []
        page.on("response", lambda one: answers.append((one.request.method, one.url, one.status, one.headers.get("content-type", ""))))
        visit(page, origin, site(), target)
        assert server.api.status() == before
        assert list(server.api.clients()) == ["pi-1"]
    there = [(method, url, status, kind) for method, url, status, kind in answers if url.startswith(target)]
    assert {method for method, *_ in there} >= {"GET", "POST"}
    for method, url, status, kind in there:
        harmless = method == "GET" and kind.startswith("text/html")
        assert status == 403 or method == "OPTIONS" or (status == 200 and harmless), (method, url, status)
    server.empty()


def test_a_name_that_is_made_to_mean_this_server_is_refused(page: Page, server: ServerProcess) -> None:
    for path in ("/", "/status", "/reset"):
        answer = page.goto(f"http://rebound.example:{server.port}{path}")
        assert answer is not None
        assert (answer.status, answer.json()["error"].partition(":")[0]) == (403, "Host")


@pytest.mark.parametrize("name", ["hub.local", "127.0.0.1"])
def test_the_servers_own_page_has_the_buttons(name: str, page: Page, server: ServerProcess) -> None:
    root = f"http://{name}:{server.port}/"
    errors: list[str] = []

    def note(said: ConsoleMessage) -> None:
        if said.type in ("error", "warning") and "favicon" not in str(said.location):
            errors.append(said.text)

    page.on("console", note)
    with Pi(server.url) as pi:
        page.goto(root)
        before = server.api.status()
        assert before["running"] is None, "to look is to start nothing"
        page.get_by_role("button", name="Start a round").click()
        number = pi.next("client_update")["round"]
        expect(page.get_by_role("status")).to_have_text(f"Round {number} is running with 1 client.")
        errors.clear()
        page.get_by_role("link", name="Back").click()
        page.get_by_role("button", name="Start a round").click()
        expect(page.get_by_role("status")).to_have_text(f"Round {number} is running")
        assert errors == ["Failed to load resource: the server responded with a status of 409 (CONFLICT)"]
        errors.clear()
        pi.call("training_complete", update(number))
        wait_for(lambda: server.api.status()["running"] is None, "the commit")
        page.get_by_role("link", name="Back").click()
        expect(page.get_by_text(f"The last committed round is {number}.")).to_be_visible()
        page.get_by_role("button", name="Generate 24 readings").click()
        assert pi.next("generate_data")["count"] == 24
        page.goto(root + "generate")
        page.get_by_role("button", name="Generate 24 readings").click()
        assert pi.next("generate_data")["count"] == 24
        page.goto(root)
        page.get_by_role("link", name="Reset").click()
        expect(page).to_have_url(root + "reset")
        assert server.api.status()["round"] == number, "asked first"
        page.get_by_role("button", name="Reset everything").click()
        expect(page.get_by_role("status")).to_have_text("The server is back at the initial model and told 1 client.")
        assert pi.next("reset") == {}
        assert server.api.status()["round"] == 0
    assert errors == []
    server.empty()


def test_with_tokens_a_browser_shows_one_as_its_password_and_no_other_page_can_use_it(
    page: Page, site: Callable[[], Site], tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(f'{http_entry("me", hash_of("mine"), ["operate"])}\n[clients]\npi-1 = "{hash_of("pi")}"\n')
    with ServerProcess(tmp_path, "--min-clients", "1", "--tokens", str(tokens)) as server:
        with Pi(server.url, auth=hello("pi-1", token="pi")) as pi:
            page.goto(f"http://anybody:mine@hub.local:{server.port}/")
            expect(page.get_by_role("link", name="Reset")).to_have_count(0)
            page.get_by_role("button", name="Start a round").click()
            assert pi.next("client_update")["round"] == 1
            pi.call("training_complete", update(1))
            me = Server(server.url, "mine", timeout=60)
            wait_for(lambda: (status := me.status())["round"] == 1 and status["running"] is None, "the commit")
            before = me.status()
            # the browser now shows the password by itself, whoever makes it ask
            visit(page, "http://evil.example", site(), f"http://hub.local:{server.port}")
            assert me.status() == before
        assert "mine" not in server.log()
