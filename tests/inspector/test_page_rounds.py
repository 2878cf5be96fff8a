from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.inspector.conftest import Watched
from tests.inspector.standin import Standin

pytestmark = pytest.mark.browser


def test_a_round_has_an_address_and_is_taken_apart_there(standin: Standin, inspect: Callable[..., str], watched: Watched) -> None:
    standin.add_clients("a", "b")
    for _ in range(3):
        standin.add_round()
    page = watched.open(inspect(standin.url) + "rounds")
    expect(page.locator("#anatomy")).to_be_hidden()
    page.locator("#rounds-history").get_by_role("link", name="2").click()
    expect(page.locator("#rounds-said")).to_contain_text("Round 2 averaged 2 updates")
    expect(page.locator("#anatomy .ytick")).to_have_count(2)
    expect(page.locator("#rounds-clients tbody tr")).to_have_count(2)
    page.go_back()
    expect(page.locator("#anatomy")).to_be_hidden()
    page.goto(page.url + "/99")
    expect(page.locator("#rounds-said")).to_contain_text("There is no round 99 of climate")
    standin.touch(running=4, waiting_for=["b"])
    expect(page.locator("#card-awaited")).to_have_text("1")
