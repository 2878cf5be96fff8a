"""The page of a fleet of thousands, of a real server: the sick are named on the first screen, and only what is shown travels."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from bench import crowd
from tests import warm
from tests.inspector.conftest import Watched
from tests.waiting import wait_for

pytestmark = pytest.mark.browser

CLIENTS = 5000
Inspect = Callable[..., str]


@pytest.fixture(scope="module")
def fleet() -> Iterator[str]:
    """The address of a server that believes in thousands of clients."""
    command = [sys.executable, "-m", "bench.crowd", "--clients", str(CLIENTS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=warm.ROOT) as process:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("ready on ").strip()
        process.terminate()


def named(page: Page) -> dict[str, str]:
    """Return who is named with what, of those that are wholly on the first screen."""
    seen: list[list[str]] = page.evaluate(  # in one go: each answer of the server may draw the list anew
        """() => [...document.querySelectorAll(".sick li")].filter(row => {
            const box = row.getBoundingClientRect();
            return box.top >= 0 && box.bottom <= window.innerHeight;
        }).map(row => [row.querySelector(".who").innerText, row.querySelector(".why").innerText])"""
    )
    return dict(seen)


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_all_six_that_are_sick_are_named_with_their_reason_on_the_first_screen(
    fleet: str, inspect: Inspect, watched: Watched, width: int, height: int
) -> None:
    watched.page.set_viewport_size({"width": width, "height": height})
    page = watched.open(inspect(fleet, interval=1.0, timeout=60.0))
    expect(page.locator(".attention h2")).to_have_text("Needs attention (6)")
    truth = crowd.sick(CLIENTS)
    found = named(page)
    assert found.keys() == truth.keys()
    for name, (_, words) in truth.items():
        assert words in found[name]


def test_the_table_finds_sorts_and_pages_through_thousands_on_the_server(fleet: str, inspect: Inspect, watched: Watched) -> None:
    url = inspect(fleet, interval=1.0, timeout=60.0)
    page = watched.open(url)
    expect(page.locator("#fleet-note")).to_have_text("5,000 of 5,000 clients")
    page.get_by_role("textbox", name="Search").fill("pi-471")
    expect(page.locator("#fleet-note")).to_have_text("10 of 5,000 clients")
    expect(page).to_have_url(re.compile("search=pi-471"))
    expect(page.locator("#fleet tbody tr")).to_have_count(10)
    watched.open(f"{url}?attention=memory")
    expect(page.locator("#fleet-note")).to_have_text("1 of 5,000 clients")
    watched.open(f"{url}?group=building%3DB&sort=-error&page=2")
    expect(page.locator("#fleet-note")).to_have_text("1,250 of 5,000 clients")
    page.locator("#fleet a", has_text="pi-").first.click()
    expect(page.locator(".page.client .page-title")).to_contain_text("pi-")
    page.go_back()
    expect(page.locator("#fleet-note")).to_have_text("1,250 of 5,000 clients")


def test_the_page_of_one_of_thousands_has_its_readings_its_machine_its_rounds_and_its_log(
    fleet: str, inspect: Inspect, watched: Watched
) -> None:
    page = watched.open(f"{inspect(fleet, interval=1.0, timeout=60.0)}client/{crowd.name(0)}")
    wait_for(lambda: drawn(page, "client-readings") != [], "its readings")
    shown = drawn(page, "client-readings")
    assert 400 < len(shown) < 1500, "twenty thousand, thinned by the server"
    assert crowd.SPIKE in shown
    wait_for(lambda: drawn(page, "client-machine") == [52.0], "its machine")
    page.get_by_text("memory", exact=True).click()
    wait_for(lambda: drawn(page, "client-machine") == [210.0], "another measure")
    expect(page).to_have_url(re.compile("measure=memory_free"))
    expect(page.locator("#client-rounds tbody tr")).to_have_count(crowd.ROUNDS)
    expect(page.locator("#client-log tbody tr")).to_have_text([re.compile("connected, release 0.1.0")])
    ill = next(name for name, (kind, _) in crowd.sick(CLIENTS).items() if kind == "diverging")
    page = watched.open(f"{inspect(fleet, interval=1.0, timeout=60.0)}client/{ill}")
    expect(page.locator("#client-log tbody tr")).to_have_count(1 + crowd.ROUNDS)
    expect(page.locator("#client-log")).to_contain_text("round 2: training diverged with learning rate 0.01")


def test_a_round_of_thousands_is_taken_apart_by_its_slowest(fleet: str, inspect: Inspect, watched: Watched) -> None:
    page = watched.open(f"{inspect(fleet, interval=1.0, timeout=60.0)}rounds/2")
    expect(page.locator("#rounds-clients tbody tr")).to_have_count(60)
    expect(page.locator("#rounds-clients")).to_contain_text("training diverged")
    expect(page.locator("#divergence-note")).to_contain_text("a click in the history away")


def drawn(page: Page, graph: str) -> list[float]:
    """Return what the first line of a graph holds."""
    script = "id => Array.from(document.querySelector(`#${id} .js-plotly-plot`)?.data?.[0]?.y ?? [])"
    return [value for value in page.evaluate(script, graph) if value is not None]
