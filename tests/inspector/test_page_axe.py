"""Everybody can read and work each page, whatever state it is in: axe-core (WCAG 2.2 A and AA, and its own rules) finds nothing."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.inspector.conftest import Watched
from tests.inspector.standin import Standin
from tests.inspector.test_pages import ADDRESSES
from tests.inspector.test_runs import write

pytestmark = pytest.mark.browser

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
RUN = """() => axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.map(
  one => `${one.id}: ${one.nodes.map(node => node.target.join(' ')).slice(0, 4).join(', ')}`))"""

DRAWN = {"models": ("sites", "matrix"), "models/4": ("weights", "sites", "matrix"), "experiments": ("overlay",), "data": ("streams",)}
"""Plots that a page has by then."""


def found(page: Page) -> list[str]:
    """Return what axe-core has against the page as it is now."""
    page.evaluate(AXE)
    violations: list[str] = page.evaluate(RUN)
    return violations


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_axe_finds_nothing_on_any_page_without_a_client_with_a_fleet_and_without_a_server(
    standin: Standin, inspect: Callable[..., str], watched: Watched, tmp_path: Path, scheme: str, width: int
) -> None:
    for seed in (0, 1):
        write(tmp_path / f"seed{seed}", [3.0, 2.0, 1.0], strategy="fedavg", seed=seed)
    watched.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    watched.page.set_viewport_size({"width": width, "height": 844})
    url = inspect(standin.url, experiments=tmp_path)
    against: dict[str, list[str]] = {}
    for address in (*ADDRESSES, "models/4", "nowhere"):
        standin.clear()
        standin.touch()
        page = watched.page
        page.goto(url + address)
        expect(page.locator("#badges")).to_contain_text("live")
        against[f"{address} without a client"] = found(page)
        standin.add_clients("a", "b")
        standin.clients["a"]["remarks"] = ["two clients have this name; give each an id of its own"]
        standin.add_readings(60)
        for _ in range(4):
            standin.add_round()
        standin.add_models()
        expect(page.locator("#alert")).to_contain_text("two clients have this name")
        for plot in DRAWN.get(address, ()):
            expect(page.locator(f"#{plot} .main-svg").first).to_be_visible()
        against[f"{address} with a fleet"] = found(page)
        standin.down()
        expect(page.locator("#alert")).to_contain_text("start one with bramble server")
        against[f"{address} without a server"] = found(page)
        standin.up()
    assert {where: what for where, what in against.items() if what} == {}


def test_axe_finds_nothing_on_the_login_and_in_the_question_before_a_reset(
    standin: Standin, inspect: Callable[..., str], watched: Watched
) -> None:
    page = watched.page
    page.emulate_media(reduced_motion="reduce")  # half faded in, words are paler than they are
    page.goto(inspect(standin.url, login=True))
    expect(page.get_by_label("Password")).to_be_visible()
    assert found(page) == []
    page = watched.open(inspect(standin.url))
    page.get_by_role("button", name="Reset").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert found(page) == []
