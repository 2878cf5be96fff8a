"""The page against a real server with clients that speak the protocol, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.inspector.conftest import RealServer, Watched, traces
from tests.inspector.fleet import Pi
from tests.waiting import wait_for

pytestmark = pytest.mark.browser

NAMES = ["greensboro", "miami", "sand-point"]
Live = tuple[RealServer, list[Pi], Page]


@pytest.fixture
def live(
    start_server: Callable[..., RealServer], start_fleet: Callable[..., list[Pi]], inspect: Callable[..., str], watched: Watched
) -> Live:
    """A server, three clients, and the page."""
    server = start_server()
    fleet = start_fleet(server, NAMES)
    return server, fleet, watched.open(inspect(server.url))


def generate(server: RealServer, page: Page, count: int) -> None:
    cycle = server.get("/status")["cycle"] + 1
    page.locator("#count").fill(str(count))
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#card-data")).to_have_text(str(cycle))
    wait_for(lambda: not server.get("/status")["cycle_waiting_for"], "the cycle's readings")


def run_round(server: RealServer, page: Page) -> int:
    number: int = server.get("/status")["round"] + 1
    page.get_by_role("button", name="Start round").click()
    expect(page.locator("#round-line")).to_contain_text(f"idle; round {number} averaged 3 updates")
    return number


def shows(page: Page, graph: str, names: set[str]) -> dict[str, Any]:
    wait_for(lambda: names <= traces(page, graph).keys(), f"{graph} to show {names}", 20)
    return traces(page, graph)


def test_generate_brings_every_clients_readings_into_one_plot(live: Live) -> None:
    server, fleet, page = live
    generate(server, page, 30)
    shown = shows(page, "streams", set(NAMES))
    assert shown.keys() == set(NAMES)
    for pi in fleet:
        wait_for(lambda pi=pi: len(traces(page, "streams")[pi.name]["x"]) == 30, "all readings")
        trace = traces(page, "streams")[pi.name]
        assert dict(zip(trace["x"], trace["y"], strict=True)) == {t * 1000: v for t, v in pi.sent["temperature"].items()}
    assert "Cycle 1: 3 clients take 30 readings each." in page.locator(".mantine-Notification-root").all_inner_texts()[0]
