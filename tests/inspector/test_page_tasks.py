"""The page of a server that learns two tasks, in a real browser: it shows one of them, and its address says which."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Page, expect

from bramble_protocol.messages import Channel
from tests.inspector.conftest import RealServer, Watched, at, show, traces
from tests.inspector.pi import CHANNELS, Pi, measures
from tests.server.process import write_graph
from tests.waiting import wait_for

pytestmark = pytest.mark.browser

DAMP = (Channel("humidity", "%"),)
Inspect = Callable[..., str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """Two tasks; two clients that take part in both and one in the second alone; a round of the first and two of the second."""
    folder = tmp_path_factory.mktemp("server")
    damp = write_graph(folder, task="damp", channels=DAMP)
    own = ("strategy=fedprox", "strategy_option=mu=0.25", "codec=topk", "codec_option=share=0.5")
    option = [part for each in own for part in ("--track", f"damp.{each}")]
    with ExitStack() as stack:
        server = RealServer(folder / "data", "--task", "climate", "--task", str(damp), *option)
        stack.callback(lambda: server.process.poll() is None and server.stop())
        for place, (name, channels) in enumerate({"attic": CHANNELS, "cellar": CHANNELS, "shed": DAMP}.items()):
            stack.callback(Pi(server.url, name, place, channels, several=True).close)
        wait_for(lambda: server.api.status("damp")["able"] == 3, "all clients")
        for number, task in enumerate(("climate", "damp", "damp"), 1):
            assert server.api.start(task)["round"] == number
            wait_for(lambda number=number: server.api.round(number)["state"] == "committed", f"round {number}")
        yield server


def shows(page: Page, task: str, rounds: list[int], strategy: str) -> None:
    """Wait until the page is about a task, and look whether all of it is."""
    expect(page.get_by_role("textbox", name="Task")).to_have_value(task)
    expect(at(page, "#card-round")).to_have_text(str(rounds[-1]))
    expect(page.locator("#strategy")).to_have_text(strategy)
    expect(page.locator("#codec")).to_have_text(["topk, share 0.5"] if task == "damp" else [])
    for graph, measure in (("loss", "loss_before"), ("error", None)):
        wait_for(lambda graph=graph: traces(page, graph).get("attic", {}).get("x") == rounds, f"{graph} of {task}")
        if measure:
            assert traces(page, graph)["attic"]["y"] == pytest.approx([measures(0, number)[measure] for number in rounds])
    wait_for(lambda: traces(page, "divergence").get("attic", {}).get("x") == rounds, f"divergence of {task}")
    expect(at(page, '#fleet tr[data-client="attic"] [data-column="round"]')).to_have_text(str(rounds[-1]))


def test_a_link_names_its_task_and_choosing_another_names_that_one(server: RealServer, inspect: Inspect, watched: Watched) -> None:
    url = inspect(server.url)
    page = watched.open(url)
    shows(page, "climate", [1], "fedavg")
    assert page.url == url, "without a name it is the first, and the address stays as it is"
    page.get_by_role("textbox", name="Task").click()
    page.get_by_role("option", name="damp").click()
    expect(at(page, "#card-round")).to_have_text("3")
    assert page.url == f"{url}?task=damp"
    page.go_back()
    expect(at(page, "#card-round")).to_have_text("1")
    page.go_forward()
    shows(page, "damp", [2, 3], "fedprox, mu 0.25")
    assert page.url == f"{url}?task=damp", "the other pages' links named it too"
    show(page, "Rounds")
    page.go_back()
    shows(page, "damp", [2, 3], "fedprox, mu 0.25")
    watched.open(f"{url}?task=damp")
    shows(page, "damp", [2, 3], "fedprox, mu 0.25")


def test_the_table_says_in_which_tasks_a_client_takes_part_and_why_not_in_the_others(
    server: RealServer, inspect: Inspect, watched: Watched
) -> None:
    url = inspect(server.url)
    why = server.api.clients()["shed"]["tasks"]["climate"]
    page = watched.open(f"{url}?task=damp")
    for client, tasks, remark in (("attic", "climate, damp", ""), ("shed", "damp", f"climate: {why}")):
        row = at(page, f'#fleet tr[data-client="{client}"]')
        expect(row.locator('[data-column="tasks"]')).to_have_text(tasks)
        expect(row.locator('[data-column="remark"]')).to_have_text(remark)
        expect(row.locator('[data-column="protocol"]')).to_have_text("2")
    watched.open(f"{url}?task=climate")
    expect(at(page, "#clients-line")).to_contain_text("1 cannot train this task")
    expect(page.locator("#alert")).to_be_empty()  # it takes part in another: nobody has to see to it


@pytest.mark.parametrize("name", ["nothing", "<b>" + 9_000 * "x"])
def test_a_name_that_no_task_has_is_said_and_the_first_is_shown(server: RealServer, inspect: Inspect, watched: Watched, name: str) -> None:
    page = watched.open(f"{inspect(server.url)}?task={name}")
    expect(page.locator("#alert")).to_contain_text(
        f"'{name[:63]}' is not served here; there is climate, damp. What is shown below is climate."
    )
    shows(page, "climate", [1], "fedavg")


def test_on_a_phone_the_chooser_fits(server: RealServer, inspect: Inspect, watched: Watched) -> None:
    watched.page.set_viewport_size({"width": 360, "height": 844})
    page = watched.open(f"{inspect(server.url)}?task=damp")
    expect(page.locator("#chooser")).to_be_visible()
    box = page.locator("#chooser").bounding_box()
    assert box is not None
    assert 0 <= box["x"] < box["x"] + box["width"] <= 360
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360


def test_the_buttons_act_on_the_task_that_is_shown(server: RealServer, inspect: Inspect, watched: Watched) -> None:
    page = watched.open(f"{inspect(server.url)}?task=damp")
    shows(page, "damp", [2, 3], "fedprox, mu 0.25")
    page.get_by_role("button", name="Start round").click()
    expect(page.locator(".mantine-Notification-root").filter(has_text="Round 4 of damp started with 3 clients.")).to_be_visible()
    shows(page, "damp", [2, 3, 4], "fedprox, mu 0.25")
    page.get_by_role("button", name="Reset", exact=True).click()
    page.get_by_role("button", name="Reset damp alone").click()
    told = "Reset: the server is back at the initial model of damp and told 3 clients."
    expect(page.locator(".mantine-Notification-root").filter(has_text=told)).to_be_visible()
    expect(at(page, "#card-round")).to_have_text("0")
    assert server.api.rounds(task="damp") == []
    assert server.api.status()["round"] == 1, "the other task stays as it is"
