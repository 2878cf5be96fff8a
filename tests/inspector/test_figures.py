from __future__ import annotations

import itertools
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bramble.api import Server
from bramble_inspector.feed import Feed, Snapshot
from bramble_inspector.figures import divergence, forecast, learning, machine, streams, style
from bramble_inspector.figures.metric import Metric
from bramble_inspector.thinning import MAX_POINTS
from tests.inspector.standin import MANIFEST, STEP, T0, Standin

NAMES = ("a", "b", "c")


@pytest.fixture
def lively(standin: Standin) -> Standin:
    standin.add_clients(*NAMES)
    standin.add_readings(60)
    standin.add_round()
    standin.add_round()
    return standin


def snapshot(standin: Standin) -> Snapshot:
    return Feed(Server(standin.url), interval=0.0, history=10_000).look()


def by_name(figure: style.Figure) -> dict[str, Any]:
    return {trace["name"]: trace for trace in figure["data"]}


def test_streams_hold_every_reading_of_the_channel_on_one_time_axis(lively: Standin) -> None:
    figure = streams.figure(snapshot(lively), NAMES, "humidity", None)
    traces = by_name(figure)
    assert tuple(traces) == NAMES
    for name, trace in traces.items():
        column = lively.data[name]["humidity"]
        assert trace["x"] == [t * 1000 for t in column["t"]]
        assert trace["y"] == column["value"]
    assert figure["layout"]["xaxis"]["type"] == "date"
    assert figure["layout"]["yaxis"]["title"]["text"] == "humidity (%)"


def test_streams_show_the_newest_part_that_was_picked(lively: Standin) -> None:
    lively.leave("b")
    lively.add_readings(40, "a", "c")
    shown = by_name(streams.figure(snapshot(lively), NAMES, "temperature", 50))
    assert shown["a"]["x"] == [(T0 + hour * STEP) * 1000 for hour in range(49, 100)]
    assert shown["b"]["x"] == [(T0 + hour * STEP) * 1000 for hour in range(49, 60)]


def test_streams_of_a_long_history_are_downsampled(lively: Standin) -> None:
    lively.add_readings(5000)
    shown = by_name(streams.figure(snapshot(lively), NAMES, "temperature", None))
    assert all(MAX_POINTS / 2 < len(trace["x"]) <= MAX_POINTS for trace in shown.values())


def test_a_failed_reading_is_a_hole_in_the_stream(lively: Standin) -> None:
    lively.data["a"]["temperature"]["value"][10] = None
    shown = by_name(streams.figure(snapshot(lively), NAMES, "temperature", None))
    assert shown["a"]["y"].count(None) == 1
    assert shown["b"]["y"].count(None) == 0


def test_a_channel_nobody_has_gives_an_empty_plot(lively: Standin) -> None:
    assert streams.figure(snapshot(lively), NAMES, "wind", None)["data"] == []


def test_forecast_and_measurement_stand_in_one_row_a_client(lively: Standin) -> None:
    figure = forecast.figure(snapshot(lively), NAMES)
    assert [(t["meta"], t["name"], t["yaxis"]) for t in figure["data"]] == [
        ("a", "measured", "y"), ("a", "forecast", "y"), ("b", "measured", "y2"), ("b", "forecast", "y2"), ("c", "measured", "y3"),
        ("c", "forecast", "y3"),
    ]  # fmt: skip
    for trace in figure["data"]:
        column = lively.data[trace["meta"]]["temperature" + (".forecast" if trace["name"] == "forecast" else "")]
        assert (trace["x"], trace["y"]) == ([t * 1000 for t in column["t"]], column["value"])
    domains = [figure["layout"][axis]["domain"] for axis in ("yaxis", "yaxis2", "yaxis3")]
    assert all(upper[0] > lower[1] for upper, lower in itertools.pairwise(domains))
    assert figure["layout"]["xaxis"]["anchor"] == "y3"


def test_each_forecast_row_says_how_good_it_was(lively: Standin) -> None:
    measures = lively.rounds[-1]["clients"]["b"]
    text = forecast.figure(snapshot(lively), NAMES)["layout"]["annotations"][1]["text"]
    error, baseline = math.sqrt(measures["test_error"]), math.sqrt(measures["test_baseline"])
    assert text == f"<b>b</b>  {error:.3g} °C, persistence {baseline:.3g} °C"


def test_a_client_without_forecasts_gets_no_row(lively: Standin) -> None:
    del lively.data["b"]["temperature.forecast"]
    assert forecast.rows(snapshot(lively), NAMES) == ["a", "c"]


def test_more_clients_than_rows_show_the_first_ones(standin: Standin) -> None:
    names = [f"pi-{place:02d}" for place in range(20)]
    standin.add_clients(*names)
    standin.add_readings(40)
    assert forecast.rows(snapshot(standin), names) == names[: forecast.MAX_ROWS]
    assert forecast.rows(snapshot(standin), names[-2:]) == names[-2:]


@pytest.mark.parametrize("when", ["before", "after"])
def test_loss_is_drawn_for_the_global_model_and_for_each_client(lively: Standin, when: str) -> None:
    lively.add_round("abandoned", "0 of 3 updates came")
    figure = learning.loss(snapshot(lively), NAMES, when)
    traces = by_name(figure)
    whole = traces["global model" if when == "before" else "mean after training"]
    assert whole["x"] == [1, 2]
    assert whole["y"] == [entry["metrics"][f"loss_{when}"] for entry in lively.rounds[:2]]
    for name in NAMES:
        assert traces[name]["x"] == [1, 2]
        assert traces[name]["y"] == [entry["clients"][name][f"loss_{when}"] for entry in lively.rounds[:2]]
    assert traces["abandoned"]["x"] == [3]
    assert traces["abandoned"]["text"] == ["0 of 3 updates came"]
    assert figure["layout"]["xaxis"]["title"]["text"] == "round"


def test_a_rollback_is_marked_with_what_it_brought_back(lively: Standin) -> None:
    lively.add_round("committed", "rolled back to the model of round 1")
    lively.rounds[-1] |= {"rollback_of": 1, "metrics": {}, "clients": {}}
    mark = by_name(learning.loss(snapshot(lively), list(lively.clients), "before"))["rolled back"]
    assert (mark["x"], mark["text"]) == ([3], ["rolled back to the model of round 1"])


def test_error_and_baseline_are_drawn_in_the_metrics_unit(lively: Standin) -> None:
    figure = learning.error(snapshot(lively), NAMES)
    traces = by_name(figure)
    assert traces["global model"]["y"] == [math.sqrt(entry["metrics"]["test_error"]) for entry in lively.rounds]
    assert traces["persistence"]["y"] == [math.sqrt(entry["metrics"]["test_baseline"]) for entry in lively.rounds]
    assert traces["b"]["y"] == [math.sqrt(entry["clients"]["b"]["test_error"]) for entry in lively.rounds]
    assert figure["layout"]["yaxis"]["title"]["text"] == "RMSE (°C)"


def test_a_round_that_tested_on_nothing_leaves_no_point(lively: Standin) -> None:
    for measures in (lively.rounds[0]["metrics"], lively.rounds[0]["clients"]["a"]):
        del measures["test_error"]
    traces = by_name(learning.error(snapshot(lively), NAMES))
    assert traces["global model"]["x"] == [2]
    assert traces["a"]["x"] == [2]


def test_without_any_test_there_is_no_error_plot(lively: Standin) -> None:
    for entry in lively.rounds:
        entry["metrics"] = {"loss_before": 1.0, "loss_after": 0.9}
    assert learning.error(snapshot(lively), NAMES)["data"] == []


@pytest.mark.parametrize("measure", list(divergence.MEASURES))
def test_divergence_is_drawn_for_each_client_and_round(lively: Standin, measure: str) -> None:
    figure = divergence.figure(snapshot(lively), NAMES, measure)
    traces = by_name(figure)
    assert {name: trace["y"] for name, trace in traces.items()} == {
        name: [entry["clients"][name][measure] for entry in lively.rounds] for name in NAMES
    }
    assert figure["layout"]["yaxis"]["title"]["text"] == divergence.MEASURES[measure]


def test_a_client_that_dropped_has_a_gap_and_no_invented_value(lively: Standin) -> None:
    for _ in range(10):
        lively.add_round(b={"distance": None})
    lively.add_round()
    b = by_name(divergence.figure(snapshot(lively), NAMES, "distance"))["b"]
    assert [x for x, y in zip(b["x"], b["y"], strict=True) if y is not None] == [1, 2, 13]


def test_nothing_is_drawn_before_the_first_committed_round(standin: Standin) -> None:
    standin.add_clients(*NAMES)
    standin.add_round("abandoned", "nobody answered")
    known = snapshot(standin)
    for figure in (learning.loss(known, NAMES, "before"), learning.error(known, NAMES), divergence.figure(known, NAMES, "distance")):
        assert figure["data"] == []


def test_a_client_has_one_colour_in_every_plot_and_the_global_model_its_own(lively: Standin) -> None:
    known = snapshot(lively)
    plots = [
        streams.figure(known, NAMES, "temperature", None),
        learning.loss(known, NAMES, "before"),
        learning.error(known, NAMES),
        divergence.figure(known, NAMES, "distance"),
    ]
    for name in NAMES:
        assert {by_name(plot)[name]["line"]["color"] for plot in plots} == {style.colour(NAMES, name)}
    assert {by_name(plot)["global model"]["line"]["color"] for plot in plots[1:3]} == {style.GLOBAL}
    measured = [trace for trace in forecast.figure(known, NAMES)["data"] if trace["name"] == "measured"]
    assert [trace["line"]["color"] for trace in measured] == [style.colour(NAMES, name) for name in NAMES]


def channels(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5))
    return red, green, blue


@pytest.mark.parametrize("surface", ["#ffffff", "#221e24"], ids=["light page", "dark page"])
def test_every_line_stands_out_from_the_page(surface: str) -> None:
    assert surface in (Path(style.__file__).parents[1] / "assets" / "style.css").read_text()
    order = [f"pi-{index}" for index in range(300)]
    for colour in {*(style.colour(order, name) for name in order), style.GLOBAL, style.BASELINE}:
        dark, light = sorted((style.luminance(channels(colour)), style.luminance(channels(surface))))
        assert (light + 0.05) / (dark + 0.05) >= 3, f"{colour} on {surface}"


@pytest.mark.parametrize("rounds", [1, 2, 3, 8])
def test_a_few_rounds_have_a_tick_each_and_none_between(standin: Standin, rounds: int) -> None:
    standin.add_clients(*NAMES)
    standin.add_readings(60)
    for _ in range(rounds):
        standin.add_round()
    for figure in (learning.loss(snapshot(standin), NAMES, "before"), learning.error(snapshot(standin), NAMES)):
        axis = figure["layout"]["xaxis"]
        assert (axis["tickmode"], axis["dtick"], axis["tickformat"]) == ("linear", 1, "d")


def test_many_rounds_have_ticks_that_say_what_they_are(lively: Standin) -> None:
    for _ in range(30):
        lively.add_round()
    axis = learning.loss(snapshot(lively), NAMES, "before")["layout"]["xaxis"]
    assert "dtick" not in axis
    assert axis["tickformat"] == "~g"


def test_two_hundred_clients_have_two_hundred_colours_and_none_is_the_global_one() -> None:
    order = [f"pi-{place}" for place in range(200)]
    colours = {style.colour(order, name) for name in order}
    assert len(colours) > 190
    assert style.GLOBAL not in colours
    assert all(len(colour) == 7 and int(colour[1:], 16) >= 0 for colour in colours)


def test_figures_are_plain_json_that_a_browser_can_extend(lively: Standin) -> None:
    known = snapshot(lively)
    for figure in (streams.figure(known, NAMES, "temperature", 100), forecast.figure(known, NAMES), learning.error(known, NAMES)):
        assert json.loads(json.dumps(figure, allow_nan=False)) == figure


def test_zoom_survives_new_data_and_not_another_channel(lively: Standin) -> None:
    before = streams.figure(snapshot(lively), NAMES, "temperature", 100)["layout"]["uirevision"]
    lively.add_readings(5)
    assert streams.figure(snapshot(lively), NAMES, "temperature", 100)["layout"]["uirevision"] == before
    assert streams.figure(snapshot(lively), NAMES, "pressure", 100)["layout"]["uirevision"] != before


@pytest.mark.parametrize(
    ("transform", "mean", "text"),
    [("sqrt", 4.0, "2 °C"), ("none", 4.0, "4 °C"), ("sqrt", None, "–"), ("sqrt", math.nan, "–"), ("sqrt", -1e-12, "0 °C")],
)
def test_a_metric_is_transformed_last_of_all(transform: str, mean: float | None, text: str) -> None:
    assert Metric({"metric": {**MANIFEST["metric"], "transform": transform}}).text(mean) == text  # type: ignore[dict-item]


def test_a_metric_says_how_it_compares_with_its_baseline() -> None:
    metric = Metric(MANIFEST)
    assert metric.compared({"test_error": 1.0, "test_baseline": 4.0}) == "50% below persistence (2 °C)"
    assert metric.compared({"test_error": 9.0, "test_baseline": 4.0}) == "50% above persistence (2 °C)"
    assert metric.compared({"test_error": 9.0}) == ""
    assert metric.compared({"test_error": 9.0, "test_baseline": 0.0}) == ""


def test_times_are_those_of_the_readings_in_utc(lively: Standin) -> None:
    first = by_name(streams.figure(snapshot(lively), NAMES, "temperature", None))["a"]["x"][0]
    assert datetime.fromtimestamp(first / 1000, UTC) == datetime(2023, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wrong", "begins_with"),
    [([], "memory_free"), (["gone", "stale", "memory"], "sample_age"), (["power"], "memory_free"), (["outlier"], "memory_free")],
)
def test_a_machines_plot_begins_with_what_is_wrong_and_was_reported_else_with_the_first_that_was(
    wrong: list[str], begins_with: str
) -> None:
    health = {"t": [1.0, 2.0], "soc_temperature": [None, None], "memory_free": [200.0, None], "sample_age": [5.0, 9.0]}
    assert machine.first({"health": health}, wrong) == begins_with
    assert machine.first(None, wrong) == "soc_temperature"


def test_a_machine_that_said_nothing_for_long_has_a_gap_in_its_line() -> None:
    times = [*range(0, 300, 30), *range(3000, 3300, 30)]
    health = {"t": times, "memory_free": [200.0] * len(times), "throttled": [None] * len(times)}
    assert machine.figure({"health": health}, "memory_free")["data"][0]["y"].count(None) == 1


def test_the_first_report_of_a_machine_is_seen_though_no_line_leads_to_it() -> None:
    health = {"t": [1.0], "memory_free": [200.0], "throttled": [None]}
    assert "markers" in machine.figure({"health": health}, "memory_free")["data"][0]["mode"]
