"""Does the inspector name the sick six of a fleet on the first screen, and what does it cost? Asked by a script that knows who is sick.

A real server believes in fleets of 5, 200 and 2,000 clients (``bench/crowd.py``); the page is Debian's chromium.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Error, Page, Request, sync_playwright

from bench import crowd
from bench.table import Row

FLEETS = (5, 200, 2000)
SCREENS = ((1440, 900), (390, 844))
FIRST, GRAPHS, REFRESH, REPAINT = 900.0, 2100.0, 100.0, 200.0
"""kB of the first load of Fleet and of a page with graphs, kB of a refresh, milliseconds of the browser's main thread."""
MEMORY, CORE = 200.0, 20.0
"""MB and percent of a core with three open pages."""
WATCHED_S = 20.0
_LONGEST = """() => { window.longest = 0; new PerformanceObserver(list => { for (const task of list.getEntries())
window.longest = Math.max(window.longest, task.duration); }).observe({type: 'longtask'}); }"""


def main() -> list[Row]:
    """Measure, and return the rows."""
    rows = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        for clients in FLEETS:
            with _running("bench.crowd", "--clients", str(clients)) as (server, _):
                with _running("bramble_inspector", "--server", server, "--port", "0") as (url, process):
                    rows += _measure(browser, url, process, clients)
        browser.close()
    return rows


@contextmanager
def _running(module: str, *flags: str) -> Iterator[tuple[str, psutil.Process]]:
    """Run a module that says its address; yield that and its process."""
    with subprocess.Popen([sys.executable, "-m", module, *flags], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split(" on ")[1].strip(), psutil.Process(process.pid)
        finally:
            process.terminate()


def _measure(browser: Browser, url: str, process: psutil.Process, clients: int) -> list[Row]:
    rows = []
    truth = crowd.sick(clients)
    for width, height in SCREENS:
        page = browser.new_page(viewport={"width": width, "height": height})
        sizes = _sizes(page)
        page.goto(url)
        page.wait_for_selector(".sick li, .attention.none", timeout=120_000)
        page.wait_for_selector("#fleet tbody tr", timeout=120_000)
        found = _named(page)
        right = sum(words in found.get(name, "") for name, (_, words) in truth.items())
        rows.append(
            Row(f"{clients:,} clients: sick named with the right reason, {width} x {height}", right, "", limit=len(truth), bound="at least")
        )
        if width == SCREENS[0][0]:
            rows.append(Row(f"{clients:,} clients: first load of Fleet", sum(sizes.values()) / 1000, "kB", limit=FIRST))
            refreshes = [size for address, size in sizes.items() if "_dash-update-component" in address]
            rows.append(Row(f"{clients:,} clients: largest refresh, everything new", max(refreshes) / 1000, "kB", limit=REFRESH))
            rows.append(Row(f"{clients:,} clients: longest repaint, table sorted anew", _repaint(page), "ms", limit=REPAINT))
        page.close()
    page = browser.new_page()
    sizes = _sizes(page)
    page.goto(f"{url}/rounds")
    page.wait_for_selector("#error .main-svg", timeout=120_000)
    rows.append(Row(f"{clients:,} clients: first load of Rounds, with graphs", sum(sizes.values()) / 1000, "kB", limit=GRAPHS))
    page.close()
    return rows + _cost(browser, url, process, clients)


def _sizes(page: Page) -> dict[str, int]:
    """Return what gets filled with the bytes of each answer over the wire."""
    found: dict[str, int] = {}

    def note(request: Request) -> None:
        try:
            sizes = request.sizes()
        except Error:  # the page was closed meanwhile
            return
        found[f"{request.url} {len(found)}"] = sizes["responseBodySize"] + sizes["responseHeadersSize"]

    page.on("requestfinished", note)
    return found


def _named(page: Page) -> dict[str, str]:
    """Return who is named with what, wholly on the first screen."""
    height = (page.viewport_size or {"height": 0})["height"]
    found = {}
    for row in page.locator(".sick li").all():
        box = row.bounding_box()
        if box is not None and box["y"] + box["height"] <= height:
            found[row.locator(".who").inner_text()] = row.locator(".why").inner_text()
    return found


def _repaint(page: Page) -> float:
    """Return for how long the browser's main thread is busy at a stretch while every row of the table changes."""
    page.wait_for_timeout(2000)
    page.evaluate(_LONGEST)
    page.get_by_role("textbox", name="Order").click()
    page.get_by_role("option", name="largest error first").click()
    page.wait_for_timeout(4000)
    return float(page.evaluate("() => window.longest"))


def _cost(browser: Browser, url: str, process: psutil.Process, clients: int) -> list[Row]:
    """Return what the inspector's process takes with three pages open."""
    asked: list[str] = []
    with ExitStack() as stack:
        for path in ("", "/rounds", "/data"):
            page = browser.new_page()
            stack.callback(page.close)
            page.on("request", lambda request: asked.append(request.url))
            page.goto(url + path)
            page.wait_for_selector(".page")
        asked.clear()
        before, began = sum(process.cpu_times()[:2]), time.monotonic()
        page.wait_for_timeout(WATCHED_S * 1000)
        busy = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
        memory = process.memory_full_info().pss / 1e6
    return [
        Row(f"{clients:,} clients: memory of the inspector, three open pages", memory, "MB", limit=MEMORY),
        Row(
            f"{clients:,} clients: a core's share, three open pages",
            100 * busy,
            "%",
            limit=CORE,
            ratio_of=f"{len(asked)} requests in {WATCHED_S} s",
        ),
    ]
