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
    found = {}
    for row in page.locator(".sick li").all():
        box = row.bounding_box()
        assert box is not None
        if box["y"] >= 0 and box["y"] + box["height"] <= (page.viewport_size or {"height": 0})["height"]:
            found[row.locator(".who").inner_text()] = row.locator(".why").inner_text()
    return found


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
