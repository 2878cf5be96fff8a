from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bramble_client.hal.sim import recordings
from bramble_inspector import client_table, sentences
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import forecast
from tests.inspector.standin import MANIFEST

STATUS = {
    "mode": "evaluation", "clients": 2, "min_clients": 2, "running": None, "round": 0, "cycle": 0, "waiting_for": [], "manifest": MANIFEST,
}  # fmt: skip


def knowing(rounds: list[dict[str, Any]] | None = None, readings: Any = None, **status: Any) -> Snapshot:
    return Snapshot(
        "http://pi:5000", status=STATUS | status, rounds={entry["round"]: entry for entry in rounds or []}, readings=readings or {}
    )


ABANDONED = {"round": 4, "state": "abandoned", "reason": "0 of 2 updates came"}
COMMITTED = {"round": 5, "state": "committed", "reason": None, "metrics": {}}


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (Snapshot(), "the server has not answered"),
        (knowing(mode="private"), "Private mode: readings never leave the clients"),
        (knowing(clients=0), "`bramble client --server http://pi:5000 --id pi-1 --sensors mock`"),
        (knowing(), "Press Generate"),
    ],
)
def test_a_plot_without_readings_says_why_and_what_to_do(snapshot: Snapshot, said: str) -> None:
    assert said in sentences.no_readings(snapshot)


def test_with_more_clients_than_a_page_knows_each_of_it_says_where_one_clients_readings_are() -> None:
    many = replace(knowing(clients=2000), summary={"total": 2000, "rows": []})
    for said in (sentences.no_readings(many), sentences.no_forecasts(many)):
        assert "more than 200 clients" in said
        assert "on its own page" in said


def test_a_plot_without_forecasts_counts_the_readings_that_a_first_one_takes() -> None:
    assert "27 readings (24 to look at, 3 ahead)" in sentences.no_forecasts(knowing(readings={"a": {}}))
    assert "Press Generate" in sentences.no_forecasts(knowing())
    assert "Private mode" in sentences.no_forecasts(knowing(readings={"a": {}}, mode="private"))


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (Snapshot(), "the server has not answered"),
        (knowing(running=3), "Round 3 is running"),
        (knowing(clients=1), "A round needs 2 clients; 1 connected so far."),
        (knowing([ABANDONED]), "Round 4 was abandoned: 0 of 2 updates came."),
        (knowing(), "Press Start round"),
    ],
)
def test_a_plot_without_rounds_says_why_and_what_to_do(snapshot: Snapshot, said: str) -> None:
    assert said in sentences.no_rounds(snapshot)


def test_a_plot_without_test_error_says_where_it_comes_from() -> None:
    assert "readings that arrived since the round before" in sentences.no_error(knowing([COMMITTED]))
    assert sentences.no_error(knowing(clients=1)) == sentences.no_rounds(knowing(clients=1))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "just now"), (9, "just now"), (10, "10 s ago"), (59, "50 s ago"), (60, "1 min ago"), (7300, "2 h ago"), (200_000, "2 d ago")],
)
def test_times_are_told_coarsely(seconds: float, said: str) -> None:
    assert sentences.ago(seconds) == said


def test_a_long_list_of_names_is_cut() -> None:
    assert sentences.several(["a", "b", "c", "d"]) == "a, b, c, d"
    assert sentences.several([str(n) for n in range(50)]) == "0, 1, 2 and 47 more"
    assert sentences.several([]) == ""


def test_small_things_read_well() -> None:
    assert (sentences.plural(1, "client"), sentences.plural(0, "client")) == ("1 client", "0 clients")
    assert sentences.moment(1_672_531_200) == "2023-01-01 00:00 UTC"
    assert (sentences.full_stop("busy"), sentences.full_stop("Busy.")) == ("busy.", "Busy.")


@pytest.mark.parametrize(("name", "said"), [("attic", "attic"), ("a" * 12, "a" * 12), ("greenhouse-01", "greenh…se-01"), ("", "")])
def test_a_long_name_is_said_without_its_middle(name: str, said: str) -> None:
    assert sentences.short(name, 12) == said


@pytest.mark.parametrize("most", [client_table.LONGEST_NAME, forecast.LONGEST_NAME])
def test_the_stations_that_come_with_bramble_are_named_whole(most: int) -> None:
    assert [sentences.short(name, most) for name in recordings.builtin()] == list(recordings.builtin())
