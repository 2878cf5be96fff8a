"""The page in states that are hard to bring about in a real fleet, and pages from elsewhere that want to misuse it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from werkzeug.serving import make_server

from bramble_inspector.app import create_app
from bramble_inspector.settings import InspectorSettings
from bramble_inspector.thinning import MAX_POINTS
from tests.inspector.conftest import Watched, at, traces
from tests.inspector.standin import Standin
from tests.ports import kept
from tests.waiting import wait_for

pytestmark = pytest.mark.browser

Inspect = Callable[..., str]
GRAPHS = ("streams", "forecast", "loss", "error", "divergence")


def lively(standin: Standin, *names: str, readings: int = 60, rounds: int = 5) -> Standin:
    standin.add_clients(*names)
    standin.add_readings(readings)
    for _ in range(rounds):
        standin.add_round()
    return standin


def test_a_page_opened_before_the_server_waits_for_it(standin: Standin, inspect: Inspect, watched: Watched) -> None:
    lively(standin, "a", "b")
    standin.down()
    page = watched.open(inspect(standin.url))
    expect(page.locator("#alert")).to_contain_text("start one with bramble server")
    expect(page.locator("#badges")).to_have_text("no server")
    for graph in GRAPHS:
        expect(at(page, f"#{graph}-note")).to_have_text("Nothing is known of the fleet yet: the server has not answered.")
    standin.up()
    expect(page.locator("#alert")).to_be_empty()
    wait_for(lambda: set(traces(page, "streams")) == {"a", "b"}, "the readings")


def test_a_server_that_keeps_silent_is_said_and_clicks_still_work(standin: Standin, inspect: Inspect, watched: Watched) -> None:
    lively(standin, "a", "b")
    page = watched.open(inspect(standin.url, timeout=0.5))
    expect(at(page, "#card-round")).to_have_text("5")
    standin.gate.clear()
    expect(page.locator("#alert")).to_contain_text("did not answer within 0.5 s")
    at(page, "#when").get_by_text("after").click()
    wait_for(lambda: "mean after training" in traces(page, "loss"), "another plot of what is known")
    standin.gate.set()
    expect(page.locator("#alert")).to_be_empty()


def test_a_missing_token_is_said_with_the_flag_that_gives_it(standin: Standin, inspect: Inspect, watched: Watched) -> None:
    standin.token = "s3cret"
    page = watched.open(inspect(standin.url))
    expect(page.locator("#alert")).to_contain_text("asks for a token; give a token with --token-file.")


def test_fifty_clients_are_drawn_within_what_a_browser_can_bear(standin: Standin, inspect: Inspect, watched: Watched) -> None:
    names = [f"pi-{place:02d}" for place in range(50)]
    lively(standin, *names, readings=700, rounds=3)
    page = watched.open(inspect(standin.url))
    at(page, "#span").get_by_text("all").click()
    wait_for(lambda: set(traces(page, "streams")) == set(names), "all clients")
    drawn = traces(page, "streams")
    assert all(100 < len(trace["x"]) <= MAX_POINTS for trace in drawn.values())
    assert sum(len(trace["x"]) for trace in drawn.values()) <= 50 * 410
    assert len({trace["colour"] for trace in drawn.values()}) == 50
    assert len(traces(page, "forecast")) == 12, "six clients, measured and forecast"
    before = drawn["pi-49"]["x"][-1]
    standin.add_readings(20)
    wait_for(lambda: traces(page, "streams")["pi-49"]["x"][-1] > before, "the page to keep up")
    page.locator("#data-focus-strip label").filter(has_text="pi-31").click()
    wait_for(lambda: set(traces(page, "streams")) == {"pi-31"}, "one of fifty alone")


def test_more_clients_than_lines_can_tell_apart_are_a_band_and_who_is_far_off_is_named(
    standin: Standin, inspect: Inspect, watched: Watched
) -> None:
    names = [f"pi-{place:03d}" for place in range(130)]
    lively(standin, *names, readings=5, rounds=2)
    standin.data["pi-007"]["temperature"]["value"] = [95.0] * 5
    standin.touch(cycle=2)
    page = watched.open(inspect(standin.url))
    expect(at(page, "#data-focus-strip")).to_contain_text("Pick some of 130 clients")
    wait_for(lambda: "pi-007" in traces(page, "streams"), "the one that is far off")
    assert set(traces(page, "streams")) == {"lowest tenth", "highest tenth", "median of 130 clients", "pi-007"}
    page.locator("#data-focus-strip label").filter(has_text="pi-031").click()
    wait_for(lambda: set(traces(page, "streams")) == {"pi-031"}, "one of them alone")
    wait_for(lambda: "median of 130 clients" in traces(page, "loss"), "the band of the rounds")
    assert traces(page, "loss")["median of 130 clients"]["x"] == [1, 2]


def test_a_gap_in_the_readings_is_a_gap_in_the_line(standin: Standin, inspect: Inspect, watched: Watched) -> None:
    lively(standin, "a", "b", rounds=0)
    standin.data["a"]["temperature"]["value"][20:24] = [None] * 4
    page = watched.open(inspect(standin.url))
    wait_for(lambda: len(traces(page, "streams")) == 2, "the readings")
    assert traces(page, "streams")["a"]["y"].count(None) == 1
    assert traces(page, "streams")["b"]["y"].count(None) == 0


def test_no_button_sends_a_chart_to_anybody(standin: Standin, inspect: Inspect, watched: Watched) -> None:
    lively(standin, "a", "b")
    page = watched.open(inspect(standin.url))
    wait_for(lambda: len(traces(page, "loss")) == 3, "the plots")
    titles = page.locator(".modebar-btn").evaluate_all("all => all.map(button => button.dataset.title)")
    assert set(titles) == {"Zoom", "Pan", "Zoom in", "Zoom out", "Reset axes"}
    assert page.evaluate("() => document.querySelector('#loss .js-plotly-plot')._context.plotlyServerURL") == ""


def test_an_abandoned_round_is_shown_with_its_reason(standin: Standin, inspect: Inspect, watched: Watched) -> None:
    lively(standin, "a", "b", rounds=2)
    standin.add_round("abandoned", "1 of 2 updates came by the deadline", a={"reason": "not enough data: 12 of 27 readings"})
    page = watched.open(inspect(standin.url))
    expect(at(page, "#round-line")).to_have_text("idle; round 3 was abandoned (1 of 2 updates came by the deadline)")
    wait_for(lambda: traces(page, "loss").get("abandoned", {}).get("x") == [3], "the mark in the plot")
    remark = at(page, '#fleet tr[data-client="a"] [data-column="remark"]')
    expect(remark).to_have_text("not enough data: 12 of 27 readings")


@pytest.mark.parametrize("width", [360, 390, 768, 1400])
def test_nothing_overflows_on_any_width(standin: Standin, inspect: Inspect, watched: Watched, width: int) -> None:
    lively(standin, "sand-point", "greensboro", "a-client-with-a-rather-long-name-of-its-own")
    watched.page.set_viewport_size({"width": width, "height": 844})
    page = watched.open(inspect(standin.url))
    wait_for(lambda: len(traces(page, "loss")) == 4, "the plots")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    for graph in GRAPHS:
        box = at(page, f"#{graph} .main-svg").first.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_in_the_readers_colour_scheme(standin: Standin, inspect: Inspect, watched: Watched, scheme: str) -> None:
    lively(standin, "a", "b")
    watched.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page = watched.open(inspect(standin.url))
    wait_for(lambda: len(traces(page, "loss")) == 3, "the plots")
    paper = _luminance(page, ".panel.loss", "backgroundColor")
    assert (paper > 0.5) == (scheme == "light")
    for selector, style in ((".hint", "color"), ("#loss .xtick text", "fill"), ("#loss .ytitle", "fill"), ("#nav a", "color")):
        ink = _luminance(page, selector, style)
        lighter, darker = max(ink, paper), min(ink, paper)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, f"{selector}: WCAG 2.1 AA asks for a contrast of 4.5"


def _luminance(page: Page, selector: str, style: str) -> float:
    """Relative luminance of a colour on the page (WCAG 2.1)."""
    rgb = page.evaluate(
        "([s, p]) => getComputedStyle(document.querySelector(s))[p].match(/[0-9.]+/g).slice(0, 3).map(Number)", [selector, style]
    )
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])


class Inspector:
    """An inspector on a port of its own that can go away and come back."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.port = kept()
        self.up()

    def up(self) -> None:
        app = create_app(InspectorSettings(server=self._server, interval=0.2))
        self._wsgi = make_server("127.0.0.1", self.port, app.server, threaded=True)
        self._thread = threading.Thread(target=self._wsgi.serve_forever, args=(0.02,))
        self._thread.start()

    def down(self) -> None:
        if self._thread.is_alive():
            self._wsgi.shutdown()
            self._thread.join()
            self._wsgi.server_close()


def test_an_inspector_that_is_busy_is_not_called_out_of_reach(standin: Standin, browser: BrowserContext, cleanup: ExitStack) -> None:
    lively(standin, "a", "b", rounds=2)
    inspector = Inspector(standin.url)
    cleanup.callback(inspector.down)
    page = browser.new_page()
    cleanup.callback(page.close)
    signs: list[int] = []
    page.on("response", lambda response: signs.append(response.status) if response.url.endswith("/_alive") else None)
    page.goto(f"http://127.0.0.1:{inspector.port}/")
    expect(at(page, "#card-round")).to_have_text("2")
    standin.gate.clear()
    cleanup.callback(standin.gate.set)
    standin.add_round()
    for _ in range(300):
        page.wait_for_timeout(100)
        expect(page.locator("#gone")).to_be_hidden()
        if len(signs) >= 4:
            break
    assert signs[:4] == [204] * 4, "the page asked whether the inspector lives, and was told so"
    standin.gate.set()
    expect(at(page, "#card-round")).to_have_text("3")


def test_a_page_outlives_the_inspector_that_served_it(standin: Standin, browser: BrowserContext, cleanup: ExitStack) -> None:
    lively(standin, "a", "b", rounds=2)
    inspector = Inspector(standin.url)
    cleanup.callback(inspector.down)
    page = browser.new_page()
    cleanup.callback(page.close)
    page.goto(f"http://127.0.0.1:{inspector.port}/")
    expect(at(page, "#card-round")).to_have_text("2")
    inspector.down()
    expect(page.locator("#gone")).to_contain_text("The process that serves this page does not answer")
    expect(page.locator("#gone")).to_be_visible()
    standin.add_round()
    inspector.up()
    expect(at(page, "#card-round")).to_have_text("3")
    expect(page.locator("#gone")).to_be_hidden()
    wait_for(lambda: traces(page, "loss").get("a", {}).get("x") == [1, 2, 3], "the plots to go on")


ATTACK = """<!doctype html><title>cats</title>
<form method=post enctype=text/plain action=TARGET_dash-update-component><input></form>
<iframe src=TARGET></iframe>
<script>
const body = BODY;
const shot = (mode, type) => fetch('TARGET_dash-update-component', {method: 'POST', mode, body, headers: {'Content-Type': type}});
document.querySelector('input').name = body;
(async () => {
  await shot('no-cors', 'text/plain').catch(() => 0);
  await shot('no-cors', 'application/x-www-form-urlencoded').catch(() => 0);
  await shot('cors', 'application/json').catch(() => 0);
  document.forms[0].submit();
})();
</script>"""


@pytest.fixture
def elsewhere(cleanup: ExitStack) -> Callable[[str], str]:
    """Serves a page of somebody else's."""

    def serve(text: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(text.encode())

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()

        def stop() -> None:
            server.shutdown()
            thread.join()
            server.server_close()

        cleanup.callback(stop)
        return f"127.0.0.1:{server.server_port}"

    return serve


@pytest.fixture
def target(standin: Standin, inspect: Inspect, browser: BrowserContext, cleanup: ExitStack) -> tuple[str, str]:
    """The inspector's address, and the very request that its Start button sends."""
    lively(standin, "a", "b")
    standin.answers["POST", "/"] = (202, {"round": 6, "clients": ["a", "b"]})
    url = inspect(standin.url)
    page = browser.new_page()
    cleanup.callback(page.close)
    page.goto(url)
    expect(at(page, "#card-round")).to_have_text("5")
    with page.expect_request(lambda request: '"start"' in (request.post_data or "")) as sent:
        page.get_by_role("button", name="Start round").click()
    wait_for(lambda: started(standin) == 1, "the honest click to arrive")
    return url, sent.value.post_data or ""


def started(standin: Standin) -> int:
    return [(method, path) for method, path, _ in standin.asked].count(("POST", "/"))


@pytest.mark.parametrize("name", ["127.0.0.1", "evil.example"])
def test_a_page_of_another_site_cannot_start_a_round(
    name: str,
    standin: Standin,
    target: tuple[str, str],
    elsewhere: Callable[[str], str],
    browser: BrowserContext,
    cleanup: ExitStack,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url, body = target
    port = elsewhere(ATTACK.replace("TARGET", url).replace("BODY", json.dumps(body))).rsplit(":", 1)[1]
    page = browser.new_page()
    cleanup.callback(page.close)
    page.goto(f"http://{name}:{port}/")
    page.wait_for_url(url + "_dash-update-component")  # by the form, which is the last it tries
    tried = [record.getMessage().split(" /")[0] for record in caplog.records if "_dash-update-component" in record.getMessage()]
    assert tried == ["refused POST", "refused POST", "refused OPTIONS", "refused POST"]
    assert started(standin) == 1, "only the honest click"


def test_a_name_that_is_pointed_at_this_machine_opens_nothing(
    standin: Standin, target: tuple[str, str], browser: BrowserContext, cleanup: ExitStack
) -> None:
    url, body = target
    page = browser.new_page()
    cleanup.callback(page.close)
    rebound = url.replace("127.0.0.1", "evil.example")
    reply = page.goto(rebound)
    assert reply is not None
    assert reply.status == 403
    status = page.evaluate(
        "([url, body]) => fetch(url + '_dash-update-component', {method: 'POST', body, headers: {'Content-Type': 'application/json'}})"
        ".then(r => r.status)",
        [rebound, body],
    )
    assert status == 403
    assert started(standin) == 1, "only the honest click"
