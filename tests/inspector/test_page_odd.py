"""Odd servers and odd names on the pages of a client, a round and a model: each goes on, and says what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Dialog, expect

from tests.inspector.conftest import Watched, traces
from tests.inspector.standin import MANIFEST, Standin
from tests.waiting import wait_for

pytestmark = pytest.mark.browser

Inspect = Callable[..., str]
EVIL = '<img src=x onerror="alert(1)">'
ROOM = {**MANIFEST, "task": "room", "target": "humidity", "description": "Something else", "news": {"of": ["a later release"]}}


def lively(standin: Standin, *names: str) -> None:
    standin.add_clients(*names)
    standin.add_readings(60)
    for _ in range(3):
        standin.add_round()


def test_a_client_whose_name_is_html_is_text_in_every_place(standin: Standin, inspect: Inspect, watched: Watched) -> None:
    lively(standin, EVIL, "b")
    standin.clients[EVIL]["remarks"] = [f"is odd: {EVIL}"]
    standin.never_seen = [f"{EVIL}2"]
    standin.touch()
    dialogs: list[Dialog] = []
    watched.page.on("dialog", lambda dialog: dialogs.append(dialog))
    url = inspect(standin.url)
    page = watched.open(url)
    row = page.locator("#fleet tbody tr").first
    expect(row.locator('[data-column="remark"]')).to_contain_text(f"is odd: {EVIL}")
    row.get_by_role("link").click()
    expect(page.locator(".page-title")).to_have_text(EVIL)
    expect(page.locator("#card-client-state")).to_have_text("connected")
    for address in ("rounds/2", "data"):
        watched.open(url + address)
        expect(page.locator("body")).to_contain_text(EVIL[:5])
        assert page.locator("img[src='x']").count() == 0
    assert dialogs == []


def test_an_older_and_a_newer_server_are_shown_as_far_as_they_tell(standin: Standin, inspect: Inspect, watched: Watched) -> None:
    lively(standin, "a", "b")
    url = inspect(standin.url)
    page = watched.open(f"{url}client/a")
    expect(page.locator("#client-log")).to_contain_text("of a release that keeps no past of its clients")
    expect(page.locator("#client-machine-note")).to_contain_text("of a release that keeps no past")
    wait_for(lambda: page.locator("#client-readings .scatterlayer .trace").count() == 1, "its readings all the same")
    watched.open(f"{url}models")
    expect(page.locator("#alert")).to_be_empty()
    later = {
        "events": [{"at": 1.7e9, "kind": "unheard of", "text": "something new", "more": 1}],
        "health": None,
        "came": {"news": {"messages": 1, "bytes": 9}},
    }
    standin.answers["GET", "/clients/a/history"] = (200, later)
    standin.clients["a"] |= {"later": {"x": 1}}
    standin.touch(later=[1, 2], version="9.0.0")
    watched.open(f"{url}client/a")
    expect(page.locator("#client-log")).to_contain_text("something new")
    expect(page.locator("#client-came")).to_contain_text("news")


def test_a_server_that_comes_back_with_another_task_is_another_on_all_pages(standin: Standin, inspect: Inspect, watched: Watched) -> None:
    lively(standin, "a", "b")
    page = watched.open(f"{inspect(standin.url)}client/a")
    wait_for(lambda: page.locator("#client-rounds tbody tr").count() == 3, "its rounds")
    standin.clear()
    standin.touch(task="room", manifest=ROOM)
    expect(page.locator("#client-about")).to_contain_text("No client of this name has ever been seen")
    lively(standin, "a", "c")
    expect(page.locator("#card-client-state")).to_have_text("connected")
    expect(page.locator("#client-readings .ytitle")).to_contain_text("humidity")
    page.get_by_role("navigation").get_by_text("Rounds").click()
    wait_for(lambda: set(traces(page, "loss")) == {"a", "c", "global model"}, "the new fleet's rounds")


def test_a_round_older_than_those_that_are_kept_here_is_fetched_and_one_that_is_not_there_said(
    standin: Standin, inspect: Inspect, watched: Watched
) -> None:
    lively(standin, "a", "b")
    old = standin.rounds.pop(0)
    standin.answers["GET", "/rounds/1"] = (200, {**old, "task": "climate"})
    standin.answers["GET", "/rounds/7"] = (200, {**old, "round": 7, "task": "room"})
    url = inspect(standin.url)
    page = watched.open(f"{url}rounds/1")
    expect(page.locator("#rounds-said")).to_contain_text("Round 1 averaged 2 updates")
    expect(page.locator("#rounds-clients tbody tr")).to_have_count(2)
    for address, said in (
        ("rounds/7", "There is no round 7 of climate: the newest is 3."),
        ("rounds/99999", "There is no round 99999"),
        ("rounds/%3Cb%3E", "There is no round %3Cb%3E of"),
        ("models/99", "The model of round 99 is not kept"),
        ("models/-1", "The model of round -1 is not kept"),
    ):
        watched.open(url + address)
        expect(page.locator(f"#{address.split('/')[0]}-said")).to_contain_text(said)
