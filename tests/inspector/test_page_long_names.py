"""The page of a fleet with long names, many clients and a strategy of which much is set: nothing is cut that tells one from another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.inspector.conftest import Watched, at
from tests.inspector.standin import Standin

pytestmark = pytest.mark.browser

ALIKE = [f"a-pi-in-the-north-greenhouse-upper-shelf-behind-the-tomato-000{number}" for number in (1, 2)]
STRATEGY = {"name": "normbound+fedadam", "parameters": {"bound": 1.5, "learning_rate": 0.01, "beta1": 0.9, "beta2": 0.99, "tau": 0.001}}
SEEN = """node => {
  const box = node.getBoundingClientRect();
  return box.left >= 0 && box.right <= innerWidth && node.scrollWidth <= node.clientWidth + 1;
}"""
Inspect = Callable[..., str]


@pytest.mark.parametrize("width", [400, 1400])
def test_long_names_are_told_apart_wherever_they_stand(standin: Standin, inspect: Inspect, watched: Watched, width: int) -> None:
    standin.add_clients(*ALIKE)
    standin.add_readings(60)
    standin.add_round()
    standin.touch(strategy=STRATEGY)
    watched.page.set_viewport_size({"width": width, "height": 844})
    page = watched.open(inspect(standin.url))
    expect(page.locator("#strategy")).to_contain_text("tau 0.001")
    assert page.locator("#strategy .mantine-Badge-label").evaluate(SEEN), "all that is set of the strategy can be read"
    chips = at(page, "#data-focus-strip label")
    expect(chips).to_have_count(2)
    for name, chip in zip(ALIKE, chips.all(), strict=True):
        assert chip.evaluate(SEEN)
        assert (chip.inner_text()[-4:], chip.locator("span[title]").get_attribute("title")) == (name[-4:], name)
    titles = at(page, "#forecast .annotation-text")
    expect(titles).to_have_count(2)
    plot = at(page, "#forecast .main-svg").first.bounding_box()
    for name, title in zip(ALIKE, titles.all(), strict=True):
        box = title.bounding_box()
        assert box is not None
        assert plot is not None
        assert box["x"] + box["width"] <= plot["x"] + plot["width"], "the score stands behind the name"
        assert name[-4:] in (title.text_content() or "")
    at(page, "#fleet").scroll_into_view_if_needed()
    for name in ALIKE:
        cell = at(page, f'#fleet tr[data-client="{name}"] [data-column="client"]')
        expect(cell).to_contain_text(name[-4:])
        assert cell.evaluate("node => node.scrollWidth <= node.clientWidth + 1")


def test_of_many_clients_it_is_seen_that_there_are_more(standin: Standin, inspect: Inspect, watched: Watched) -> None:
    standin.add_clients(*(f"pi-{number:02}" for number in range(70)))
    page = watched.open(inspect(standin.url))
    hint = at(page, "#data-focus-strip .hint")
    expect(hint).to_have_text("Pick some of 70 clients to see only them")
    strip, place = page.locator("#data-focus-strip").bounding_box(), hint.bounding_box()
    assert strip is not None
    assert place is not None
    assert strip["y"] <= place["y"] < place["y"] + place["height"] <= strip["y"] + strip["height"]
    boxes = [box for chip in page.locator("#data-focus-strip label").all() if (box := chip.bounding_box())]
    end = strip["y"] + strip["height"]
    assert any(box["y"] < end < box["y"] + box["height"] for box in boxes), "a row that is cut says that there are more"
