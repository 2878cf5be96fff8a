"""Who is missing, and who is there and cannot take part, on the page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.inspector.conftest import Watched, at
from tests.inspector.standin import Standin

pytestmark = pytest.mark.browser

TWO = "two clients have this name; give each an id of its own"
MISFIT = "does not measure humidity, so it is not asked for rounds of this task"


def test_two_of_one_name_a_client_that_does_not_fit_and_one_never_seen_are_told(
    standin: Standin, inspect: Callable[..., str], watched: Watched
) -> None:
    standin.add_clients("attic", "cellar")
    standin.clients["attic"]["remarks"] = [TWO]
    standin.clients["cellar"]["remarks"] = [MISFIT]
    standin.never_seen = ["garden"]
    standin.touch(able=1)
    page = watched.open(inspect(standin.url))

    def cell(client: str, column: str) -> str:
        return f'#fleet tr[data-client="{client}"] [data-column="{column}"]'

    expect(at(page, "#clients-line")).to_have_text("2 needed for a round · 1 never seen · 1 cannot train this task · all simulated")
    expect(at(page, "#loss-note")).to_have_text(
        "A round needs 2 clients; 1 connected so far (1 more cannot train this task, the table says why)."
    )
    expect(page.locator("#alert")).to_contain_text(f"Some clients need youattic: {TWO}.cellar: {MISFIT}.")
    at(page, "#fleet").scroll_into_view_if_needed()
    for client, state, remark in (
        ("attic", "connected", TWO), ("cellar", "connected", MISFIT), ("garden", "away", "it has a token and has never connected"),
    ):  # fmt: skip
        expect(page.locator(cell(client, "state"))).to_have_text(state)
        expect(page.locator(cell(client, "remark"))).to_have_text(remark)
    expect(page.locator(cell("garden", "seen"))).to_have_text("never")
    standin.never_seen = []
    for client in standin.clients.values():
        client["remarks"] = []
    standin.touch(able=2)
    expect(page.locator(cell("garden", "state"))).to_have_count(0)
    expect(page.locator("#alert")).to_be_empty()
