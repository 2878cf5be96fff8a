"""The page against a real server with clients that speak the protocol, in a real browser."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from bramble.api import ServerRefused
from tests.inspector.conftest import RealServer, Watched, at, traces
from tests.inspector.pi import Pi, measures
from tests.waiting import wait_for

pytestmark = pytest.mark.browser

NAMES = ["greensboro", "miami", "sand-point"]
StartServer = Callable[..., RealServer]
StartFleet = Callable[..., list[Pi]]
Live = tuple[RealServer, list[Pi], Page]


@pytest.fixture
def live(start_server: StartServer, start_fleet: StartFleet, inspect: Callable[..., str], watched: Watched) -> Live:
    """A server, three clients, and the page."""
    server = start_server()
    fleet = start_fleet(server, NAMES)
    return server, fleet, watched.open(inspect(server.url))


def generate(server: RealServer, page: Page, count: int) -> None:
    """Press Generate, and wait until the cycle's readings are there."""
    cycle = server.api.status()["cycle"] + 1
    page.locator("#count").fill(str(count))
    page.get_by_role("button", name="Generate").click()
    wait_for(lambda: server.api.status()["cycle"] == cycle and not server.api.status()["cycle_waiting_for"], "the cycle's readings")


def run_round(page: Page, number: int) -> None:
    """Press Start round, and wait until the page says that it is over."""
    page.get_by_role("button", name="Start round").click()
    expect(at(page, "#round-line")).to_contain_text(f"idle; round {number} averaged 3 updates")


def points(page: Page, graph: str, name: str) -> dict[float, float | None]:
    trace = traces(page, graph).get(name, {"x": [], "y": []})
    return dict(zip(trace["x"], trace["y"], strict=True))


def wait_points(page: Page, graph: str, name: str, expected: dict[Any, Any]) -> None:
    close = pytest.approx(expected, rel=1e-9)
    try:
        wait_for(lambda: points(page, graph, name) == close, f"{name} in {graph}")
    except AssertionError:
        assert points(page, graph, name) == close
        raise


def x_range(page: Page, graph: str) -> list[str]:
    at(page, f"#{graph}")
    shown = page.evaluate("id => document.querySelector(`#${id} .js-plotly-plot`).layout.xaxis.range", graph)
    return [str(end) for end in shown]


def notice(page: Page, text: str) -> None:
    expect(page.locator(".mantine-Notification-root").filter(has_text=text)).to_be_visible()


def test_generate_brings_every_clients_readings_into_one_plot(live: Live) -> None:
    server, fleet, page = live
    expect(at(page, "#streams-note")).to_contain_text("Press Generate")
    generate(server, page, 30)
    notice(page, "Cycle 1: 3 clients take 30 readings each.")
    for pi in fleet:
        wait_points(page, "streams", pi.name, {t * 1000: v for t, v in pi.sent["temperature"].items()})
        assert len(pi.sent["temperature"]) == 30
    assert set(traces(page, "streams")) == set(NAMES)
    expect(at(page, "#streams-note")).to_be_hidden()
    expect(at(page, "#data-line")).to_have_text("until 2023-01-02 05:00 UTC")
    generate(server, page, 12)
    for pi in fleet:
        wait_points(page, "streams", pi.name, {t * 1000: v for t, v in pi.sent["temperature"].items()})
        assert len(pi.sent["temperature"]) == 42
    assert x_range(page, "streams")[1] >= "2023-01-02 17", "an axis that nobody zoomed follows the data"


def test_another_channel_shows_that_channel(live: Live) -> None:
    server, fleet, page = live
    generate(server, page, 20)
    at(page, "#channel").get_by_text("pressure (hPa)").click()
    for pi in fleet:
        wait_points(page, "streams", pi.name, {t * 1000: v for t, v in pi.sent["pressure"].items()})
    expect(at(page, "#streams .ytitle")).to_have_text("pressure (hPa)")


@pytest.mark.parametrize("place", ["data", "rounds"])
def test_picked_clients_are_shown_alone_in_every_plot_of_a_page_in_their_own_colours(live: Live, place: str) -> None:
    server, _, page = live
    generate(server, page, 40)
    run_round(page, 1)
    plots = {
        "data": {"streams": {"miami"}, "forecast": {"miami measured", "miami forecast"}},
        "rounds": {"loss": {"miami", "global model"}, "error": {"miami", "global model", "persistence"}, "divergence": {"miami"}},
    }[place]
    first = next(iter(plots))
    wait_for(lambda: set(traces(page, first)) >= set(NAMES), "all clients")
    colours = {name: trace["colour"] for name, trace in traces(page, first).items()}
    page.locator(f"#{place}-focus-strip label").filter(has_text="miami").click()
    for graph, names in plots.items():
        wait_for(lambda graph=graph, names=names: set(traces(page, graph)) == names, f"miami alone in {graph}")
    assert traces(page, first)["miami"]["colour"] == colours["miami"]
    assert page.url.endswith("focus=miami") or "focus=miami&" in page.url, "a link to it shows the same"
    page.reload()
    wait_for(lambda: set(traces(page, first)) == plots[first], "miami alone again")
    page.locator(f"#{place}-focus-strip label").filter(has_text="miami").click()
    wait_for(lambda: set(traces(page, first)) >= set(NAMES), "all clients again")
    assert {name: trace["colour"] for name, trace in traces(page, first).items()} == colours


def test_a_round_is_shown_as_the_server_keeps_it(live: Live) -> None:
    server, fleet, page = live
    expect(at(page, "#loss-note")).to_contain_text("Press Start round")
    generate(server, page, 60)
    run_round(page, 1)
    notice(page, "Round 1 started with 3 clients.")
    run_round(page, 2)
    kept = server.api.rounds()
    assert [entry["round"] for entry in kept] == [1, 2]
    for number, entry in enumerate(kept, 1):
        for pi in fleet:
            assert entry["clients"][pi.name]["loss_before"] == measures(pi.place, number)["loss_before"]
    wait_points(page, "loss", "global model", {entry["round"]: entry["metrics"]["loss_before"] for entry in kept})
    wait_points(page, "error", "global model", {entry["round"]: math.sqrt(entry["metrics"]["test_error"]) for entry in kept})
    wait_points(page, "error", "persistence", {entry["round"]: math.sqrt(entry["metrics"]["test_baseline"]) for entry in kept})
    for name in NAMES:
        mine = {entry["round"]: entry["clients"][name] for entry in kept}
        wait_points(page, "loss", name, {number: one["loss_before"] for number, one in mine.items()})
        wait_points(page, "error", name, {number: math.sqrt(one["test_error"]) for number, one in mine.items()})
        wait_points(page, "divergence", name, {number: one["distance"] for number, one in mine.items()})
    at(page, "#when").get_by_text("after").click()
    wait_points(page, "loss", "mean after training", {entry["round"]: entry["metrics"]["loss_after"] for entry in kept})
    for label, measure in (("update norm", "update_norm"), ("cosine", "cosine")):
        at(page, "#measure").get_by_text(label).click()
        wait_points(page, "divergence", "miami", {entry["round"]: entry["clients"]["miami"][measure] for entry in kept})
    last = kept[-1]["metrics"]
    expect(at(page, "#card-error")).to_have_text(f"{math.sqrt(last['test_error']):.3g} °C")
    expect(at(page, "#error-line")).to_contain_text(f"persistence ({math.sqrt(last['test_baseline']):.3g} °C), round 2")


def test_forecasts_stand_against_what_was_measured(live: Live) -> None:
    server, fleet, page = live
    generate(server, page, 60)
    expect(at(page, "#forecast-note")).to_contain_text("that takes 27 readings (24 to look at, 3 ahead)")
    run_round(page, 1)
    for pi in fleet:
        assert len(pi.sent["temperature.forecast"]) == 48
        wait_points(page, "forecast", f"{pi.name} forecast", {t * 1000: v for t, v in pi.sent["temperature.forecast"].items()})
        wait_points(page, "forecast", f"{pi.name} measured", {t * 1000: v for t, v in pi.sent["temperature"].items()})


def test_while_a_round_runs_the_page_says_for_whom_it_waits(live: Live) -> None:
    server, fleet, page = live
    slow = fleet[1]
    slow.gate.clear()
    page.get_by_role("button", name="Start round").click()
    expect(at(page, "#round-line")).to_have_text("running: waiting for miami")
    expect(at(page, "#card-round")).to_have_text("1")
    expect(at(page, "#fleet .state.training")).to_have_count(1)
    page.get_by_role("button", name="Start round").click()
    with pytest.raises(ServerRefused) as refusal:
        server.api.start()
    assert refusal.value.status == 409
    notice(page, str(refusal.value))
    assert slow.asked == [1], "a refused click starts nothing"
    slow.gate.set()
    expect(at(page, "#round-line")).to_contain_text("idle; round 1 averaged 3 updates")
    expect(at(page, "#fleet .state.training")).to_have_count(0)


def test_a_refusal_is_told_in_the_servers_own_words(
    start_server: StartServer, start_fleet: StartFleet, inspect: Callable[..., str], watched: Watched
) -> None:
    server = start_server("--min-clients", "4")
    start_fleet(server, NAMES)
    page = watched.open(inspect(server.url))
    expect(at(page, "#loss-note")).to_have_text("A round needs 4 clients; 3 connected so far.")
    page.get_by_role("button", name="Start round").click()
    with pytest.raises(ServerRefused) as refusal:
        server.api.start()
    assert refusal.value.status == 503
    notice(page, str(refusal.value))


def test_without_a_count_generate_asks_for_one_and_starts_nothing(live: Live) -> None:
    server, _, page = live
    page.locator("#count").fill("")
    page.get_by_role("button", name="Generate").click()
    notice(page, "Say how many readings to generate")
    assert server.api.status()["cycle"] == 0


def test_reset_asks_first_and_cancel_changes_nothing(live: Live) -> None:
    server, fleet, page = live
    generate(server, page, 20)
    before = server.api.readings()
    page.get_by_role("button", name="Reset", exact=True).click()
    dialog = page.get_by_role("dialog", name="Reset the whole fleet?")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    assert server.api.readings() == before
    assert [pi.resets for pi in fleet] == [0, 0, 0]


def test_a_confirmed_reset_empties_server_clients_and_page(live: Live) -> None:
    server, fleet, page = live
    generate(server, page, 30)
    run_round(page, 1)
    wait_points(page, "loss", "miami", {1: measures(1, 1)["loss_before"]})
    page.get_by_role("button", name="Reset", exact=True).click()
    page.get_by_role("button", name="Reset everything").click()
    notice(page, "Reset: the server is back at the initial model and told 3 clients.")
    expect(page.get_by_role("dialog")).to_be_hidden()
    for graph in ("streams", "forecast", "loss", "error", "divergence"):
        expect(at(page, f"#{graph}-note")).to_be_visible()
        wait_for(lambda graph=graph: traces(page, graph) == {}, f"{graph} to be empty")
    expect(at(page, "#card-round")).to_have_text("0")
    assert server.api.readings() == {}
    wait_for(lambda: [pi.resets for pi in fleet] == [1, 1, 1], "the clients to be told")


def test_a_reset_by_somebody_else_shows_too(live: Live) -> None:
    server, _, page = live
    generate(server, page, 25)
    wait_for(lambda: set(traces(page, "streams")) == set(NAMES), "the readings")
    server.api.reset()
    expect(at(page, "#streams-note")).to_contain_text("Press Generate")
    wait_for(lambda: traces(page, "streams") == {}, "the plot to be empty")


def test_a_killed_server_is_said_at_once_and_its_return_too(live: Live) -> None:
    server, _, page = live
    generate(server, page, 30)
    run_round(page, 1)
    wait_points(page, "loss", "miami", {1: measures(1, 1)["loss_before"]})
    known = traces(page, "streams")
    server.stop(signal.SIGKILL)
    expect(page.locator("#alert")).to_contain_text(f"No server answers at {server.url}")
    expect(page.get_by_role("button", name="Start round")).to_be_disabled()
    expect(page.get_by_role("button", name="Generate")).to_be_disabled()
    expect(page.get_by_role("button", name="Reset", exact=True)).to_be_disabled()
    wait_for(lambda: traces(page, "streams") == known, "what was known, which stays to be read")
    server.start()
    expect(page.locator("#alert")).to_be_empty()
    expect(page.get_by_role("button", name="Start round")).to_be_enabled()
    expect(at(page, "#card-clients")).to_have_text("3")
    run_round(page, 2)
    wait_points(page, "loss", "miami", {number: measures(1, number)["loss_before"] for number in (1, 2)})


def test_clients_that_leave_and_join_are_told_apart_and_keep_their_colours(live: Live, start_fleet: StartFleet) -> None:
    server, fleet, page = live
    generate(server, page, 10)
    wait_for(lambda: set(traces(page, "streams")) == set(NAMES), "the readings")
    colours = {name: trace["colour"] for name, trace in traces(page, "streams").items()}
    fleet[0].close()
    expect(at(page, "#card-clients")).to_have_text("2")
    row = at(page, '#fleet tr[data-client="greensboro"]')
    expect(row.locator(".state").first).to_have_text("away")
    newcomer = Pi(server.url, "alamosa", 3)
    try:
        expect(at(page, "#card-clients")).to_have_text("3")
        generate(server, page, 10)
        wait_for(lambda: set(traces(page, "streams")) == {*NAMES, "alamosa"}, "the newcomer's readings")
        now = {name: trace["colour"] for name, trace in traces(page, "streams").items()}
        assert {name: now[name] for name in NAMES} == colours
        assert now["alamosa"] not in colours.values()
    finally:
        newcomer.close()


def test_the_fleet_table_holds_what_each_clients_last_update_said(live: Live) -> None:
    server, _, page = live
    generate(server, page, 30)
    run_round(page, 1)
    row = at(page, '#fleet tr[data-client="miami"]')
    expect(row.locator('[data-column="round"]')).to_have_text("1")
    said = measures(1, 1)
    texts = {
        cell: row.locator(f'[data-column="{cell}"]').inner_text() for cell in ("samples", "before", "after", "error", "sensors", "seen")
    }
    assert texts == {
        "samples": "101",
        "before": f"{said['loss_before']:.3g}",
        "after": f"{said['loss_after']:.3g}",
        "error": f"{math.sqrt(said['test_error']):.3g} °C",
        "sensors": "simulated",
        "seen": "now",
    }


def test_zoom_survives_readings_that_arrive(live: Live) -> None:
    server, _, page = live
    generate(server, page, 40)
    wait_for(lambda: len(points(page, "streams", "miami")) == 40, "the readings")
    box = at(page, "#streams .nsewdrag").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.25, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=5)
    page.mouse.up()
    wait_for(lambda: x_range(page, "streams")[0] > "2023-01-01 08", "the zoom")
    zoomed = x_range(page, "streams")
    generate(server, page, 5)
    wait_for(lambda: len(points(page, "streams", "miami")) == 45, "the new readings")
    assert x_range(page, "streams") == zoomed


def test_private_mode_says_that_there_are_no_readings_and_shows_the_rest(
    start_server: StartServer, start_fleet: StartFleet, inspect: Callable[..., str], watched: Watched
) -> None:
    server = start_server("--mode", "private", "--allow-simulated")
    start_fleet(server, NAMES)
    page = watched.open(inspect(server.url))
    expect(at(page, "#streams-note")).to_contain_text("Private mode: readings never leave the clients")
    expect(at(page, "#card-data")).to_have_text("private")
    expect(page.get_by_role("button", name="Generate")).to_be_disabled()
    run_round(page, 1)
    wait_points(page, "loss", "miami", {1: measures(1, 1)["loss_before"]})
    kept = server.api.rounds()[0]
    wait_points(page, "divergence", "miami", {1: kept["clients"]["miami"]["distance"]})
    expect(at(page, "#forecast")).to_be_hidden()
