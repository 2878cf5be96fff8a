"""More clients than lines can tell apart: where most are, and who is elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from bramble_inspector.figures import band
from bramble_inspector.thinning import Floats


def fleet(count: int, **odd: float) -> dict[str, tuple[Floats, Floats]]:
    x = np.arange(50.0)
    lines = {f"pi-{place:03d}": (x, np.full(50, float(place % 11))) for place in range(count)}
    return lines | {name: (x, np.full(50, value)) for name, value in odd.items()}


def test_the_median_and_four_fifths_of_all_clients_are_drawn() -> None:
    low, high, middle = band.figures(fleet(110), "°C")
    assert (set(low["y"]), set(middle["y"]), set(high["y"])) == ({1.0}, {5.0}, {9.0})
    assert middle["name"] == "median of 110 clients"
    assert len(middle["x"]) == band.POINTS


def test_who_is_far_from_all_others_is_named_at_its_line_and_nobody_else() -> None:
    names = [trace["name"] for trace in band.figures(fleet(110, attic=40.0, roof=-30.0), "°C")[3:]]
    assert names == ["roof", "attic"] or names == ["attic", "roof"]
    (attic,) = (trace for trace in band.figures(fleet(110, attic=40.0), "°C")[3:])
    assert attic["text"][-1] == "attic"
    assert set(attic["y"]) == {40.0}


def test_more_outliers_than_can_be_told_apart_are_the_farthest() -> None:
    odd = {f"odd-{place}": 100.0 + place for place in range(6)}
    assert [trace["name"] for trace in band.figures(fleet(110, **odd), "")[3:]] == ["odd-5", "odd-4", "odd-3"]


def test_rounds_are_compared_where_they_are_and_a_reading_that_failed_counts_for_none() -> None:
    lines = fleet(70)
    lines["pi-000"][1][:] = np.nan
    rounds = np.array([3.0, 4.0])
    middle = band.figures(lines, "", rounds)[2]
    assert middle["x"] == [3.0, 4.0]
    assert middle["name"] == "median of 69 clients"


@pytest.mark.parametrize("lines", [{}, {"a": (np.array([]), np.array([]))}, {"a": (np.array([1.0]), np.array([np.nan]))}])
def test_nothing_to_compare_is_no_line(lines: dict[str, tuple[Floats, Floats]]) -> None:
    assert band.figures(lines, "") == []
