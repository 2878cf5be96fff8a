"""The page of models: what is asked for it, what it says, and what its buttons do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from bramble.api import Server
from bramble_inspector.app import create_app
from bramble_inspector.feed import Feeds, Snapshot
from bramble_inspector.figures import models as figures
from bramble_inspector.library import Library
from bramble_inspector.pages.models import layout
from bramble_inspector.settings import InspectorSettings
from tests.inspector.conftest import Watched
from tests.inspector.standin import Standin
from tests.waiting import wait_for


@pytest.fixture
def kept(standin: Standin) -> Standin:
    standin.add_clients("a", "b")
    standin.add_round()
    standin.add_round()
    standin.add_models()
    standin.answers |= {
        ("POST", "/model/pin"): (200, {"pinned": 2}),
        ("POST", "/model/rollback"): (200, {"round": 3, "rollback_of": 1}),
    }
    return standin


def seen(standin: Standin) -> tuple[Library, Snapshot]:
    server = Server(standin.url)
    return Library(server), Feeds(server, 0.2, 10).look()


def test_a_download_is_of_the_task_that_the_page_shows() -> None:
    create_app(InspectorSettings())  # which knows the path that addresses begin with
    said = str(layout("2", task="room & hall"))
    assert said.count("model/2.npz?task=room+%26+hall") == 1
    assert "?" not in str(layout("2")).partition("Download")[2].partition("bramble model export")[0]


def test_what_each_client_found_last_is_known_by_model_and_who_found_nothing_is_left_out(kept: Standin) -> None:
    library, snapshot = seen(kept)
    shelf = library.look(snapshot)
    assert list(shelf.models) == [1, 2]
    assert shelf.latest() == {
        "a": {1: {"error": 1.9, "baseline": 2.0, "samples": 10}, 2: {"error": 1.5, "baseline": 2.0, "samples": 10}},
        "b": {1: {"error": 1.2, "baseline": 1.0, "samples": 10}, 2: {"error": 1.1, "baseline": 1.0, "samples": 10}},
    }


def test_a_server_is_asked_once_however_many_pages_look(kept: Standin) -> None:
    library, snapshot = seen(kept)
    shelves = [library.look(snapshot) for _ in range(5)]
    assert all(shelf is shelves[0] for shelf in shelves)
    assert [path for _, path, _ in kept.asked].count("/models") == 1


def test_an_older_server_is_said_to_be_one(standin: Standin) -> None:
    library, snapshot = seen(standin)
    assert "does not list its models; update it" in (library.look(snapshot).said or "")


def test_weights_are_counted_where_they_lie_and_tensors_of_a_few_are_left_out(kept: Standin) -> None:
    library, snapshot = seen(kept)
    found = library.histograms(snapshot, 2)
    assert list(found) == ["dense/kernel"]
    middles, parts = found["dense/kernel"]
    assert sum(parts) == pytest.approx(1.0)
    assert parts[0] == parts[-1] == 0.25
    assert len(figures.weights(found, 2)["data"][0]["x"]) == len(middles)


def test_sites_are_ranked_by_what_the_model_is_worth_there_the_worst_first() -> None:
    found: dict[str, Any] = {
        "a": {"error": 1.0, "baseline": 2.0},
        "b": {"error": 1.1, "baseline": 1.0},
        "c": {"error": None, "baseline": 1.0},
    }
    assert figures.gains(found) == pytest.approx({"b": -0.1, "a": 0.5})
    assert {trace["name"]: trace["y"] for trace in figures.sites(found)["data"]} == {
        "loses to the baseline": ["b"], "beats the baseline": ["a"],
    }  # fmt: skip
    many = {f"pi-{place}": {"error": 1.0 + place, "baseline": 1.0} for place in range(2000)}
    assert figures.sites(many)["data"][0]["y"][0] == "pi-1999", "of many those that fare worst"


def test_a_matrix_has_a_gap_where_a_model_was_not_tried() -> None:
    assert figures.matrix({}, "RMSE")["data"] == []
    (trace,) = figures.matrix({"a": {1: {"error": 2.0}}, "b": {2: {"error": 3.0}}}, "RMSE")["data"]
    assert (trace["y"], trace["x"], trace["z"]) == (["b", "a"], ["round 1", "round 2"], [[None, 3.0], [2.0, None]])


def test_a_model_is_downloaded_in_what_the_server_has_and_what_it_says_is_passed_on(kept: Standin) -> None:
    kept.answers["GET", "/models/2"] = (200, b"npz")
    browser = create_app(InspectorSettings(server=kept.url)).server.test_client()
    here = {"Host": "127.0.0.1"}
    done = browser.get("/model/2.npz", headers=here)
    assert (done.data, done.headers["Content-Disposition"]) == (b"npz", 'attachment; filename="model-2.npz"')
    kept.answers["GET", "/models/9"] = (404, {"error": "the model of round 9 is not kept"})
    gone = browser.get("/model/9.npz", headers=here)
    assert (gone.status_code, gone.text) == (404, "the model of round 9 is not kept")
    assert browser.get("/model/2.exe", headers=here).status_code == 404
    kept.down()
    assert browser.get("/model/2.npz", headers=here).status_code == 503


@pytest.mark.browser
def test_a_model_has_an_address_and_is_pinned_or_brought_back_there(kept: Standin, inspect: Callable[..., str], watched: Watched) -> None:
    page = watched.open(inspect(kept.url) + "models")
    expect(page.locator("#card-champion")).to_have_text("round 2")
    page.locator("#models-versions").get_by_role("link", name="2").click()
    expect(page.locator("#models-said")).to_contain_text("averaged from 2 updates")
    expect(page.locator("#weights .scatterlayer .trace")).to_have_count(1)
    expect(page.locator("#matrix .heatmaplayer .hm")).to_have_count(1)
    page.get_by_role("button", name="Pin it").click()
    expect(page.get_by_text("The model of round 2 is the champion now")).to_be_visible()
    page.get_by_role("button", name="Roll back to it").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(page.get_by_text("is the global one again, as version 3")).to_be_visible()
    wait_for(lambda: ("POST", "/model/rollback", {"round": "2"}) in kept.asked, "the server to be asked")
    page.goto(page.url.replace("models/2", "models/77"))
    expect(page.locator("#models-said")).to_contain_text("The model of round 77 is not kept: kept are 2, 1.")
