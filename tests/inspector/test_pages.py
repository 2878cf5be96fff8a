"""Every page has an address of its own that leads to it, and says what to do while there is nothing on it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.inspector.conftest import Watched, show
from tests.inspector.standin import Standin

pytestmark = pytest.mark.browser

Inspect = Callable[..., str]
ADDRESSES = ("", "client/a", "rounds", "rounds/3", "models", "models/3", "experiments", "data")
EVIL = "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"


def test_each_address_leads_to_its_page_and_says_what_to_do_before_there_is_anything(
    standin: Standin, inspect: Inspect, watched: Watched
) -> None:
    url = inspect(standin.url)
    for address in ADDRESSES:
        page = watched.open(url + address)
        expect(page.locator(f".page.{address.split('/')[0] or 'fleet'}")).to_be_visible()
        expect(page.locator("#nav [aria-current=page]")).to_have_count(1)
    page = watched.open(url + "rounds")
    expect(page.locator("#error-note")).to_contain_text("A round needs 2 clients; 0 connected so far.")
    watched.open(url + "data")
    expect(page.locator("#streams-note")).to_contain_text("Start one: bramble client --server")


def test_back_and_forward_go_from_page_to_page(standin: Standin, inspect: Inspect, watched: Watched) -> None:
    page = watched.open(inspect(standin.url))
    for title in ("Rounds", "Data"):
        show(page, title)
    page.go_back()
    expect(page.locator(".page.rounds")).to_be_visible()
    expect(page).to_have_title("Rounds – Bramble")
    page.go_forward()
    expect(page.locator(".page.data")).to_be_visible()


@pytest.mark.parametrize(
    ("address", "said"),
    [("nowhere", "There is no such page here."), ("client/nobody", "No client of this name"), (f"client/{EVIL}", "No client of this name")],
)
def test_an_address_of_what_is_not_there_says_so(standin: Standin, inspect: Inspect, watched: Watched, address: str, said: str) -> None:
    standin.add_clients("a")
    page = watched.page
    page.goto(inspect(standin.url) + address)
    expect(page.locator(".empty").first).to_contain_text(said)
    if address.endswith(EVIL):
        expect(page.locator(".page-title")).to_have_text("<img src=x onerror=alert(1)>")
